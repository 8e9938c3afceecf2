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
	Partition       Fault = "partition"        // a device's network is cut, one way or both
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
	Reprovision     Fault = "reprovision"      // staff give a device a new epoch

	Sticky      Fault = "sticky"       // a valve lets more through than its maker declares
	WrongAmount Fault = "wrong_amount" // a pump's computer gets an amount wrong
	Crank       Fault = "crank"        // fuel passes a meter in no use
	Broken      Fault = "broken"       // a pump finds a fault of its own
	Emergency   Fault = "emergency"    // a hand presses the button
	Gas         Fault = "gas"          // a detector strikes
	Halt        Fault = "halt"         // staff stop a pump
	VenueStop   Fault = "venue_stop"   // staff stop a venue
	NewPrices   Fault = "new_prices"   // in mid-use
)

// usual are the kinds that a seed mixes; rare ones need staff to repair.
var (
	usual = []Fault{Drop, Delay, Duplicate, Reorder, Flip, Partition, Broker, PowerCut, StepCut, Drift, LowBattery, Jam,
		ForcedOpen, ReplicaDeath, UncertainCommit, Stall, LostAnswer}
	rare = map[Fault]float64{Wear: 0.2, FlashLost: 0.08, Reprovision: 0.12}
	// atPumps are drawn where there are any.
	atPumps = []Fault{Sticky, WrongAmount, Crank, Broken, Emergency, Gas, Halt, VenueStop, NewPrices}
)

// sure are kinds that happen by plan, so that no schedule has fewer than three.
var sure = []Fault{Partition, Broker, PowerCut, ReplicaDeath, LowBattery, Jam}

func (w *world) drawFaults(o Options) map[Fault]bool {
	m := map[Fault]bool{}
	for _, f := range usual {
		m[f] = w.chance(0.5)
	}
	for _, f := range []Fault{Wear, FlashLost, Reprovision} {
		m[f] = w.chance(rare[f])
	}
	if o.Pumps > 0 {
		for _, f := range atPumps {
			m[f] = w.chance(0.5)
		}
	}
	if o.Devices > 0 {
		m[Tunnel], m[Replay] = w.chance(0.35), w.chance(0.5)
	}
	for _, f := range doubleFaults {
		m[atWeChat(f.kind)] = w.chance(0.5)
	}
	m[NobodyHome], m[StoreFails] = true, w.chance(0.5)
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
	planAt := func(at []*machine, f Fault, least, most int, do func(*machine)) {
		if !w.faults[f] || len(at) == 0 {
			return
		}
		for range least + w.rand.IntN(most-least+1) {
			m := pick(w, at)
			w.after(w.between(5*time.Second, w.odds.length), func() {
				if !w.healing {
					do(m)
				}
			})
		}
	}
	plan := func(f Fault, least, most int, do func(*machine)) { planAt(w.machines, f, least, most, do) }
	plan(Partition, 1, 5, w.partition)
	plan(Broker, 1, 2, w.brokerRestarts)
	plan(PowerCut, 1, 4, w.cutPower)
	plan(StepCut, 1, 4, func(m *machine) { w.armCut(m, pick(w, sim.Steps)) })
	planAt(w.locks, LowBattery, 1, 2, w.drain)
	planAt(w.locks, Jam, 1, 2, w.jam)
	planAt(w.locks, ForcedOpen, 1, 2, w.force)
	plan(ReplicaDeath, 1, 3, func(*machine) { w.die(pick(w, w.replicas), "in an idle moment") })
	plan(FlashLost, 1, 1, w.loseFlash)
	plan(Wear, 1, 1, w.wear)
	plan(Reprovision, 1, 2, w.reprovision)
	planAt(w.locks, Replay, 2, 6, w.replays)
	planAt(w.pumps, Crank, 1, 4, func(m *machine) { w.cranks(m, pick(w, m.pump.sides)) })
	planAt(w.pumps, Emergency, 0, 1, w.emergency)
	planAt(w.pumps, Gas, 0, 1, w.gas)
	planAt(w.pumps, Halt, 0, 1, w.halt)
	planAt(w.pumps, VenueStop, 0, 1, func(*machine) { w.stopVenue() })
	planAt(w.pumps, NewPrices, 1, 3, func(*machine) { w.newPrices() })
	w.staffAtWork()
	w.runUntil(w.odds.length, nil)
}

// partition cuts a machine's network for a while, one way or both.
func (w *world) partition(m *machine) {
	w.fault(Partition)
	ways := [][]direction{{up}, {down}, {up, down}}[w.rand.IntN(3)]
	length := w.between(2*time.Second, 40*time.Second)
	if w.chance(0.4) {
		length = w.between(40*time.Second, 6*time.Minute)
	}
	w.note(string(m.id), "its network is cut %v for %s", ways, length.Round(time.Second))
	for _, d := range ways {
		m.links[d].cut = true
	}
	if len(ways) == 2 && length > 45*time.Second {
		w.after(45*time.Second, func() { // the keep-alive notices
			if m.links[up].cut && m.links[down].cut {
				w.disconnect(m)
			}
		})
	}
	w.after(length, func() {
		for _, d := range ways {
			m.links[d].cut = false
		}
		w.note(string(m.id), "its network is whole again")
		w.connectSoon(m, w.between(0, 4*time.Second))
	})
}

// brokerRestarts breaks every connection at once.
func (w *world) brokerRestarts(*machine) {
	w.fault(Broker)
	for _, m := range w.machines {
		w.disconnect(m)
		w.connectSoon(m, w.between(0, 20*time.Second))
	}
}

// armCut cuts power when the machine passes a step next.
func (w *world) armCut(m *machine, s sim.Step) {
	if m.c.ArmCut(s) == nil {
		w.note(string(m.id), "will lose power at %q", s)
	}
}

// reprovision gives a machine a new epoch: first the server's word, then the file.
// Staff ask again while nobody answers.
func (w *world) reprovision(m *machine) {
	r := w.someReplica()
	key, answered := w.bytes(32), false
	w.after(30*time.Second, func() {
		if !answered {
			w.reprovision(m)
		}
	})
	if r == nil {
		return
	}
	run(w, r, "provisioning "+string(m.id), order.UseCase[device.Device](w.provisioning(m, key)), func(d device.Device, err error) {
		answered = true
		if err == nil && d.Epoch > m.epoch { // an older file is thrown away
			w.provisioned(m, d.Epoch, key)
		}
	})
}

// provisioned brings the file of a new epoch to the machine.
func (w *world) provisioned(m *machine, epoch uint32, key []byte) {
	w.fault(Reprovision)
	w.note(string(m.id), "is provisioned as epoch %d", epoch)
	w.unplug(m)
	if m.pump != nil && w.strikes(Crank, 0.4) { // by the mechanic who is at it
		w.cranks(m, pick(w, m.pump.sides))
	}
	m.outage++
	w.planWake(m)
	w.furnishKey(m, epoch, key)
	outage := m.outage
	w.after(w.between(time.Second, 5*time.Second), func() {
		if m.outage == outage {
			w.power(m)
		}
	})
}

// heal repairs everything, lets all locks be shut and nozzles be hung up, and waits until nothing is
// open any more or the time that this may take is over.
func (w *world) heal() {
	w.healing, w.healAt = true, w.at
	w.note("world", "everything is repaired")
	for _, r := range w.replicas {
		w.rise(r)
	}
	for _, m := range w.machines {
		m.c.DisarmCuts()
		m.links[up].cut, m.links[down].cut = false, false
		w.emerges(m)
		if m.lock != nil {
			w.healLock(m)
		} else {
			w.healPump(m)
		}
		if !m.c.Powered() {
			w.power(m)
		} else if !m.c.Connected() {
			w.connectSoon(m, w.between(0, 4*time.Second))
		}
		if m.lock != nil && !m.lock.body.Closed {
			w.handShuts(m, w.between(time.Second, 40*time.Second))
		}
		if m.lossy {
			w.repair(m)
		}
	}
	w.healPayments()
	// A word may still be minutes late; a ride whose end is lost waits for the
	// watchdog; an unresolved start for the end of patience.
	c := w.env.Config
	if len(w.pumps) > 0 {
		w.after(w.between(time.Second, 8*time.Minute), func() { w.decide(0.6) })
	}
	w.runUntil(w.at+w.between(20*time.Second, 60*time.Second), nil)
	w.runUntil(w.at+c.MaxRide+c.Patience+15*time.Minute, w.oracle.resolved)
	w.runUntil(w.at+6*time.Minute, nil) // nothing late may undo it
	if w.pay != nil && !w.oracle.resolved() {
		w.runUntil(w.at+15*time.Minute, w.oracle.resolved) // staff decided late, and money goes back
	}
}
