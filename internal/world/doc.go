// Package world is a deterministic simulation of the whole for locks: riders,
// staff, replicas, their store, the network, devices and what is physically
// true, on one virtual clock, in one goroutine, from one seed.
//
// It runs the real decision code. A replica loads, decides and applies as three
// things that happen at three moments, so replicas interleave between load and
// apply, lose commits' answers and die anywhere. Devices are the controllers of
// firmware-sim on their own flash and body; their words and the server's
// commands are sealed and opened by the wire contract.
//
// A schedule is a phase of faults, then a phase in which everything is repaired
// and given time. The oracle watches both. It holds the tables against bolts and
// wallets, which it follows by itself, and never takes the product's word for
// what the product should have done.
//
// It refuses to be realistic where that costs reach: faults are far more
// frequent than in any street.
//
// # Invariants
//
//   - The same seed and options give the same schedule, to the byte of its trace.
//   - Nothing reads a clock or draws from a source of chance but the world's.
//   - Rules of the oracle are written from the design, not from the code: its
//     table of moves, its price and its wallets are its own.
//
// # Limits of what a lock can know
//
// Two things that hands can do are left out, because no sensor of a lock can
// tell them from the use itself: a bolt that is shut and torn open again before
// the next boot has journalled what it saw, and a bolt torn open in the very
// power cut that fell between the moving mark and the motor.
package world
