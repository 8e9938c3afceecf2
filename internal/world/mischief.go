package world

import (
	"time"

	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// pumpSteps are the steps that a pump passes in a sale.
var pumpSteps = []sim.Step{sim.StepBurned, sim.StepJournalled, sim.StepBeforeNoted, sim.StepNoted, sim.StepBeforeEnded, sim.StepEnded,
	sim.StepBeforeAlarm, sim.StepAlarmed}

// mischief strikes a sale that has just begun, so that it meets a rider in
// mid-flow: at no particular moment of a schedule it hardly would.
func (w *world) mischief(m *machine, s *side) {
	soon := func(f Fault, p float64, do func()) {
		if w.strikes(f, p) {
			w.after(w.between(time.Second, 40*time.Second), func() {
				if !w.healing {
					do()
				}
			})
		}
	}
	soon(PowerCut, 0.12, func() { w.cutPower(m) })
	soon(StepCut, 0.2, func() { w.armCut(m, pick(w, pumpSteps)) })
	soon(Sticky, 0.35, func() { w.stick(m, s) })
	soon(WrongAmount, 0.3, func() { w.miscount(m, s) })
	soon(Broken, 0.15, func() { w.breaks(m, s) })
	soon(Emergency, 0.08, func() { w.emergency(m) })
	soon(Gas, 0.04, func() { w.gas(m) })
	soon(Halt, 0.08, func() { w.halt(m) })
	soon(VenueStop, 0.04, w.stopVenue)
	soon(NewPrices, 0.1, w.newPrices)
	soon(Partition, 0.1, func() { w.partition(m) })
	soon(Partition, 0.08, func() { w.impatient(m, s) })
}

// impatient people end a use while the pump hears nothing, and then ask where it is.
func (w *world) impatient(m *machine, s *side) {
	r := w.someReplica()
	if r == nil || !s.busy() {
		return
	}
	w.fault(Partition)
	w.note(string(m.id), "hears nothing for a while")
	m.links[down].cut = true
	w.after(w.between(3*time.Second, 40*time.Second), func() { m.links[down].cut = false })
	if id := s.sale.id; w.chance(0.5) {
		w.staffActs(r, id, order.ForceEnd)
	} else {
		a := order.Act{Order: id, Input: order.Cancel, Rider: w.oracle.orders[id].Rider}
		run(w, r, "cancel of "+w.oracle.name(id), order.UseCase[order.Acted](a), func(order.Acted, error) {})
	}
	w.after(w.between(time.Second, 8*time.Second), func() {
		if r := w.someReplica(); r != nil {
			w.instruct(r, m, s.n, device.Probe)
		}
	})
}

// mends ends a fault after a while, if the repair has not.
func (w *world) mends(do func()) {
	w.after(w.between(20*time.Second, 4*time.Minute), func() {
		if !w.healing {
			do()
		}
	})
}

// stick lets a valve shut late for a while.
func (w *world) stick(m *machine, s *side) {
	w.fault(Sticky)
	ml := 1 + w.rand.Int64N(400)
	w.note(string(m.id), "side %d: its valve sticks, %d ml", s.n, ml)
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetFaults(now, s.n, ml, s.body.Wrong) })
	w.mends(func() {
		w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetFaults(now, s.n, 0, s.body.Wrong) })
	})
}

// miscount lets a pump compute wrong amounts for a while.
func (w *world) miscount(m *machine, s *side) {
	w.fault(WrongAmount)
	fen := w.rand.Int64N(201) - 100
	if w.chance(0.2) {
		fen = w.rand.Int64N(13) - 6 // what a coarse display comes to
	}
	w.note(string(m.id), "side %d: its amounts are wrong by %d fen", s.n, fen)
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetFaults(now, s.n, s.body.Sticky, fen) })
	w.mends(func() {
		w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetFaults(now, s.n, s.body.Sticky, 0) })
	})
}

// breaks lets a pump find a fault of its own.
func (w *world) breaks(m *machine, s *side) {
	w.fault(Broken)
	w.note(string(m.id), "side %d is broken", s.n)
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetBroken(now, s.n, true) })
	w.mends(func() {
		w.note(string(m.id), "side %d is repaired", s.n)
		w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetBroken(now, s.n, false) })
	})
}

// cranks lets fuel pass a meter in no use.
func (w *world) cranks(m *machine, s *side) {
	ml := 1 + w.rand.Int64N(3_000)
	hose := pick(w, s.body.Nozzles).Number
	before := m.pump.body.Unauthorised
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.Crank(now, s.n, hose, ml) })
	if m.pump.body.Unauthorised == before {
		return // a use goes on
	}
	w.fault(Crank)
	w.note(string(m.id), "side %d: %d ml pass nozzle %d by crank", s.n, ml, hose)
	s.cranks = append(s.cranks, crank{at: w.at, epoch: m.epoch, nozzle: hose, ml: ml, based: s.based})
}

// emergency presses the button of a pump.
func (w *world) emergency(m *machine) {
	w.fault(Emergency)
	m.pump.struck = w.at
	w.note(string(m.id), "its emergency stop is pressed")
	w.touch(m, m.c.PressEmergency)
	w.hurry(m)
}

// gas strikes at a pump.
func (w *world) gas(m *machine) {
	w.fault(Gas)
	m.pump.struck = w.at
	w.note(string(m.id), "smells gas")
	w.touch(m, m.c.DetectGas)
	w.hurry(m)
}

// hurry releases a pump that shut itself down, perhaps before anybody heard of it.
func (w *world) hurry(m *machine) {
	w.mends(func() {
		if m.pump.body.ShutDown != 0 {
			w.release(m)
		}
	})
}

// release is a hand at a pump.
func (w *world) release(m *machine) {
	w.note(string(m.id), "is released by a hand")
	m.pump.released = w.at
	w.touch(m, m.c.Release)
}

// walk sends a hand to a pump that is stopped, and again until it is not.
func (w *world) walk(m *machine) {
	if m.pump.walking {
		return
	}
	m.pump.walking = true
	wait := w.between(20*time.Second, 3*time.Minute)
	if w.healing {
		wait = w.between(5*time.Second, 40*time.Second)
	}
	w.after(wait, func() {
		m.pump.walking = false
		if m.pump.body.ShutDown == 0 && !w.oracle.stopped(m) {
			return
		}
		if m.c.Powered() {
			w.release(m)
		}
		w.walk(m)
	})
}
