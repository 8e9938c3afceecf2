// Package order holds the life of an order, from ticket to settlement: its state
// table, its use cases and the Service that runs them.
//
// A use case is a Query that says what to load, a pure Decide that turns the
// Snapshot into Changes, and nothing else. The Service loads, decides and
// applies; when a guard fails because somebody else was faster, it does so
// again. Everything that a replica knows between two use cases is in the store.
//
// # Invariants
//
//   - No byte of a command leaves before the transaction that made it commits.
//   - An order becomes active only by the device's evidence.
//   - An order is billed once, by a pure function of its evidence and the tariff
//     version that its ticket pinned; what was captured never passes its hold.
//   - An outlet takes a new order only when the device's word has settled what
//     the last one may have moved.
//
// The package declares the interfaces that it needs (Store, Sealer); adapters
// implement them and meet in cmd.
package order
