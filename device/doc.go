// Package device holds what the server believes about the hardware at a venue:
// devices and their outlets, the commands sent to them and the evidence that
// comes back.
//
// The package decides and never acts. It opens no socket, reads no clock and
// touches no table: callers pass the time in and store what is returned.
//
// # Invariants
//
//   - A sequence number is used once per (device, outlet, epoch).
//   - A command ends exactly once: executed, rejected, not executed, outcome
//     unknown or, where nothing moves, spent.
//   - Silence never ends a command; it leaves it unresolved.
//   - Evidence is applied in the order of its journal, without gaps; a gap that
//     can never fill is closed as lost and taints every proof that needs it.
//   - What a device said is believed by its own boot and uptime, never by the
//     order in which the network happened to deliver it.
//
// # Words
//
// An uptime is milliseconds of the device's own clock since its boot id was
// drawn. A sample pairs one uptime with the database's clock at the moment the
// server took it in; since a message is taken in after it was sent, a sample
// can only be late, and everything computed from it is on the strict side.
package device
