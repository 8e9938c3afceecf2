package world

import (
	"time"

	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// Fault is a kind of misfortune.
type Fault string

// The kinds. Each is counted when it happens.
const (
	Drop            Fault = "drop"             // a message is lost
	Delay           Fault = "delay"            // a message is seconds to minutes late
	Duplicate       Fault = "duplicate"        // a message arrives two or three times
	Reorder         Fault = "reorder"          // a message overtakes others
	Flip            Fault = "flip"             // a bit of a message is flipped
	Partition       Fault = "partition"        // a lock's network is cut, one way or both
	Broker          Fault = "broker"           // every connection breaks
	PowerCut        Fault = "power_cut"        // at no particular step
	StepCut         Fault = "step_cut"         // at a named step of the device's work
	Drift           Fault = "drift"            // a clock within 200 ppm
	LowBattery      Fault = "low_battery"      //
	Jam             Fault = "jam"              // the motor cannot draw the bolt
	ForcedOpen      Fault = "forced_open"      // a hand tears the bolt open
	ReplicaDeath    Fault = "replica_death"    // at any step; it comes back
	UncertainCommit Fault = "uncertain_commit" // committed or not, nobody says
	Stall           Fault = "stall"            // seconds between load and apply
	LostAnswer      Fault = "lost_answer"      // a rider's request is answered to nobody
	Wear            Fault = "wear"             // evidence that was not acked is gone
	FlashLost       Fault = "flash_lost"       // the chip forgets everything
	Reprovision     Fault = "reprovision"      // staff give a lock a new epoch
)

// usual are the kinds that a seed mixes; rare ones need staff to repair.
var (
	usual = []Fault{Drop, Delay, Duplicate, Reorder, Flip, Partition, Broker, PowerCut, StepCut, Drift, LowBattery, Jam,
		ForcedOpen, ReplicaDeath, UncertainCommit, Stall, LostAnswer}
	rare = map[Fault]float64{Wear: 0.2, FlashLost: 0.08, Reprovision: 0.12}
)

// sure are kinds that happen by plan, so that no schedule has fewer than three.
var sure = []Fault{Partition, Broker, PowerCut, ReplicaDeath, LowBattery, Jam}

func (w *world) drawFaults() map[Fault]bool {
	m := map[Fault]bool{}
	for _, f := range usual {
		m[f] = w.chance(0.5)
	}
	for _, f := range []Fault{Wear, FlashLost, Reprovision} {
		m[f] = w.chance(rare[f])
	}
	first := w.rand.IntN(len(sure))
	for i := range 4 {
		m[sure[(first+i)%len(sure)]] = true
	}
	return m
}

// odds are how often faults strike in one schedule.
type odds struct {
	latency                               time.Duration
	drop, delay, duplicate, reorder, flip float64
	length                                time.Duration // of the chaos
}

func (w *world) drawOdds() odds {
	upTo := func(most float64) float64 { return most * (0.2 + 0.8*w.rand.Float64()) }
	return odds{latency: w.between(8*time.Millisecond, 400*time.Millisecond), drop: upTo(0.3), delay: upTo(0.12),
		duplicate: upTo(0.2), reorder: upTo(0.3), flip: upTo(0.08), length: w.between(12*time.Minute, 22*time.Minute)}
}

// chaos plays the phase of faults.
func (w *world) chaos() {
	plan := func(f Fault, least, most int, do func(*lock)) {
		if !w.faults[f] {
			return
		}
		for range least + w.rand.IntN(most-least+1) {
			l := pick(w, w.locks)
			w.after(w.between(5*time.Second, w.odds.length), func() {
				if !w.healing {
					do(l)
				}
			})
		}
	}
	plan(Partition, 1, 5, w.partition)
	plan(Broker, 1, 2, w.brokerRestarts)
	plan(PowerCut, 1, 4, w.cutPower)
	plan(StepCut, 1, 4, func(l *lock) { w.armCut(l, pick(w, sim.Steps)) })
	plan(LowBattery, 1, 2, w.drain)
	plan(Jam, 1, 2, w.jam)
	plan(ForcedOpen, 1, 2, w.force)
	plan(ReplicaDeath, 1, 3, func(*lock) { w.die(pick(w, w.replicas), "in an idle moment") })
	plan(FlashLost, 1, 1, w.loseFlash)
	plan(Wear, 1, 1, w.wear)
	plan(Reprovision, 1, 2, w.reprovision)
	w.staffAtWork()
	w.runUntil(w.odds.length, nil)
}

// partition cuts a lock's network for a while, one way or both.
func (w *world) partition(l *lock) {
	w.fault(Partition)
	ways := [][]direction{{up}, {down}, {up, down}}[w.rand.IntN(3)]
	length := w.between(2*time.Second, 40*time.Second)
	if w.chance(0.4) {
		length = w.between(40*time.Second, 6*time.Minute)
	}
	w.note(string(l.id), "its network is cut %v for %s", ways, length.Round(time.Second))
	for _, d := range ways {
		l.links[d].cut = true
	}
	if len(ways) == 2 && length > 45*time.Second {
		w.after(45*time.Second, func() { // the keep-alive notices
			if l.links[up].cut && l.links[down].cut {
				w.disconnect(l)
			}
		})
	}
	w.after(length, func() {
		for _, d := range ways {
			l.links[d].cut = false
		}
		w.note(string(l.id), "its network is whole again")
		w.connectSoon(l, w.between(0, 4*time.Second))
	})
}

// brokerRestarts breaks every connection at once.
func (w *world) brokerRestarts(*lock) {
	w.fault(Broker)
	for _, l := range w.locks {
		w.disconnect(l)
		w.connectSoon(l, w.between(0, 20*time.Second))
	}
}

// armCut cuts power when the lock passes a step next.
func (w *world) armCut(l *lock, s sim.Step) {
	if l.c.ArmCut(s) == nil {
		w.note(string(l.id), "will lose power at %q", s)
	}
}

// drain empties a lock's battery for a while.
func (w *world) drain(l *lock) {
	w.fault(LowBattery)
	charge := uint8(w.rand.IntN(10))
	w.note(string(l.id), "its battery falls to %d%%", charge)
	w.touch(l, func(now time.Time) []sim.Packet { return l.c.SetBattery(now, charge) })
	w.after(w.between(time.Minute, 6*time.Minute), func() {
		w.note(string(l.id), "its battery is charged")
		w.touch(l, func(now time.Time) []sim.Packet { return l.c.SetBattery(now, 100) })
	})
}

// jam blocks the motor until a mechanic frees it.
func (w *world) jam(l *lock) {
	w.fault(Jam)
	w.note(string(l.id), "jams")
	l.c.SetJammed(true)
	w.after(w.between(time.Minute, 6*time.Minute), func() {
		w.note(string(l.id), "is freed by a mechanic")
		l.c.SetJammed(false)
	})
}

// loseFlash takes the power and with it all that the chip knew.
func (w *world) loseFlash(l *lock) {
	w.fault(FlashLost)
	l.c.PowerCut()
	w.note(string(l.id), "forgets everything")
	*l.flash = sim.Flash{Epoch: l.flash.Epoch, Outlet: sim.Outlet{Opens: l.flash.Outlet.Opens}}
	l.lossy = true
	w.dark(l, "with its flash")
}

// reprovision gives a lock a new epoch: first the server's word, then the lock.
// Staff ask again while nobody answers.
func (w *world) reprovision(l *lock) {
	r := w.someReplica()
	key, answered := w.bytes(32), false
	w.after(30*time.Second, func() {
		if !answered {
			w.reprovision(l)
		}
	})
	if r == nil {
		return
	}
	run(w, r, "provisioning "+string(l.id), order.UseCase[device.Device](w.provisioning(l, key)), func(d device.Device, err error) {
		answered = true
		if err == nil && d.Epoch > l.epoch { // an older file is thrown away
			w.provisioned(l, d.Epoch, key)
		}
	})
}

// provisioned brings the file of a new epoch to the lock.
func (w *world) provisioned(l *lock, epoch uint32, key []byte) {
	w.fault(Reprovision)
	w.note(string(l.id), "is provisioned as epoch %d", epoch)
	l.c.PowerCut()
	l.outage++
	w.planWake(l)
	w.furnishKey(l, epoch, key)
	outage := l.outage
	w.after(w.between(time.Second, 5*time.Second), func() {
		if l.outage == outage {
			w.power(l)
		}
	})
}

// heal repairs everything, lets all locks be shut, and waits until nothing is
// open any more or the time that this may take is over.
func (w *world) heal() {
	w.healing, w.healAt = true, w.at
	w.note("world", "everything is repaired")
	for _, r := range w.replicas {
		w.rise(r)
	}
	for _, l := range w.locks {
		l.c.DisarmCuts()
		l.c.SetJammed(false)
		l.links[up].cut, l.links[down].cut = false, false
		w.touch(l, func(now time.Time) []sim.Packet { return l.c.SetBattery(now, 100) })
		if !l.c.Powered() {
			w.power(l)
		} else if !l.c.Connected() {
			w.connectSoon(l, w.between(0, 4*time.Second))
		}
		if !l.body.Closed {
			w.handShuts(l, w.between(time.Second, 40*time.Second))
		}
		if l.lossy {
			w.repair(l)
		}
	}
	// A word may still be minutes late; a ride whose end is lost waits for the
	// watchdog; an unresolved start for the end of patience.
	c := w.env.Config
	w.runUntil(w.at+w.between(20*time.Second, 60*time.Second), nil)
	w.runUntil(w.at+c.MaxRide+c.Patience+15*time.Minute, w.oracle.resolved)
	w.runUntil(w.at+6*time.Minute, nil) // nothing late may undo it
}
