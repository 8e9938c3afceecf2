// Package world is a deterministic simulation of the whole for locks and pumps:
// riders, staff, replicas, their store, the network, devices, WeChat and what is
// physically true, on one virtual clock, in one goroutine, from one seed.
//
// It runs the real decision code. A replica loads, decides and applies as three
// things that happen at three moments, so replicas interleave between load and
// apply, lose commits' answers and die anywhere. Devices are the controllers of
// firmware-sim on their own flash and body; their words and the server's
// commands are sealed and opened by the wire contract.
//
// A schedule is a phase of faults, then a phase in which everything is repaired
// and given time. The oracle watches both. It holds the tables against bolts,
// meters and wallets, which it follows by itself, and never takes the product's
// word for what the product should have done. Of a pump it promises two things more
// than of a lock: while a stop is in force nothing begins (P1), and only a hand at
// a pump ends it (P2).
//
// In most schedules riders also pay with WeChat. The real cashier, with the official
// SDK, talks to internal/fakewechat within the process; the real order.Collector is
// taken apart by till.go, so that replicas die, stall and interleave between a claim,
// the call, its answer and the commit. The double's books are the judge: fen by fen
// and number by number the ledger must agree with them, and nothing starts before the
// double has the money or the rider's consent.
//
// In most schedules with locks riders have whims (pause.go, reserve.go): they lock up for
// a while and ride on, end or forget it, and keep bikes that they use, give back or
// forget. Of a pause the oracle demands that a hand shut the lock in time, that the bill
// ends at the closing after the newest proved opening, and that openings are executed
// starts. Of reservations it promises that nobody takes what is kept for another (R1),
// that a rider keeps one at a time (R2), and that the bill has its minutes (R3).
//
// Beside some locks stand riders' phones, which carry commands and words for their
// orders over Bluetooth, badly; some locks have no coverage for most of the story; and
// whatever was once said somebody may have kept, and bring again.
//
// What one kind alone has is in files of its name: lock.go; pump.go and
// mischief.go for the bodies and hands, stops.go and judge_pump.go for the oracle.
// Phones are in phone.go. Of payments wechat.go is the line to the double, wechat_faults.go what it does amiss,
// payer.go the riders and staff, till.go the replicas, judge_payment.go the oracle.
//
// It refuses to be realistic where that costs reach: faults are far more
// frequent than in any street.
//
// # Invariants
//
//   - The same seed and options give the same schedule, to the byte of its trace.
//   - Nothing reads a clock or draws from a source of chance but the world's. Only
//     signatures do (their stamps, nonces and, in every fiftieth seed, RSA keys), and
//     nothing depends on what they read or drew.
//   - Rules of the oracle are written from the design, not from the code: its
//     table of moves, its price and its wallets are its own.
//
// # Limits of what the server can know
//
// Two things that hands can do are left out, because no sensor of a lock can
// tell them from the use itself: a bolt that is shut and torn open again before
// the next boot has journalled what it saw, and a bolt torn open in the very
// power cut that fell between the moving mark and the motor.
//
// Of a pump the oracle demands less where evidence is gone for good: a worn page, a
// flash that was lost, a new provisioning before the end of a use was heard. Then
// what flowed may be billed, up to the hold, with a crank that followed, or be told
// as a gap; and staff may have to decide a bill whose figures agree. A crank need
// not be told where it came before the server knew the totaliser of an idle side,
// and several may be told as one. What staff decide is billed as they say.
//
// A refund of money that a refund without an arrival keeps WeChat refuses for good: it
// may wait for staff with an item. Signed words of another amount than ours post nothing, but of a bill that
// was lowered the oracle knows no better than WeChat how far it has heard of that.
package world
