// Package gateway is the device side: the Dispatcher puts committed commands on
// the air, Ingest takes evidence, beats and telemetry in, the Link speaks MQTT.
//
// It verifies signatures and translates between the wire contract and the words
// of package device; it decides nothing about orders.
//
// # Invariants
//
//   - Only committed bytes are published; a publish that fails or is lost is
//     nobody's loss, since the schedule in the store sends again.
//   - An ack is published only after the transaction that it speaks of committed.
//   - Every queue is bounded; what does not fit is dropped and counted, because
//     devices send again what is not acked.
package gateway
