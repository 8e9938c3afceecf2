package world

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

// halt is staff stopping one pump.
func (w *world) halt(m *machine) {
	r := w.someReplica()
	if r == nil {
		return
	}
	w.fault(Halt)
	w.halts(r, order.Halt{Device: m.id, Reason: "it smells", Staff: &order.Audit{Staff: "s1", Act: "stop", Reason: "it smells"}})
}

func (w *world) halts(r *replica, h order.Halt) {
	run(w, r, fmt.Sprintf("stop of %s", h.Device), order.UseCase[order.Acted](h), func(a order.Acted, err error) {
		if err == nil {
			w.dispatch(r, a.Send)
		}
	})
}

// stopVenue is staff stopping all that a stop can end, as order.Service.StopVenue
// does: the switch first, then each device. The replica may die in between.
func (w *world) stopVenue() {
	r := w.someReplica()
	if r == nil {
		return
	}
	w.fault(VenueStop)
	s := order.Stop{ID: fmt.Sprintf("stop-%d", w.drawn), Venue: w.venue.ID, By: "staff s1", Reason: "fire", At: w.now()}
	if err := w.store.BeginStop(context.Background(), s, &order.Audit{Staff: "s1", Act: "stop", Reason: "fire"}); err != nil {
		w.oracle.violation("world: stop of the venue: %v", err)
		return
	}
	w.note(r.name, "stops the venue")
	w.oracle.stopBegins()
	for range 2 { // riders who have not seen it yet
		m := pick(w, w.pumps)
		x := &ride{w: w, n: len(w.rides) + 1, who: pick(w, w.riders), machine: m, side: pick(w, m.pump.sides), hasty: true}
		w.rides = append(w.rides, x)
		w.after(w.between(0, 200*time.Millisecond), x.scan)
	}
}

// sweep does on a replica what order.Service.Run does of stops that have yet to
// reach every device.
func (w *world) sweep(r *replica) {
	if !r.up || r.sweeping {
		return
	}
	r.sweeping = true
	wait := w.between(0, 350*time.Millisecond)
	if w.chance(0.3) { // it may be as slow as it likes
		wait = w.between(350*time.Millisecond, 4*time.Second)
	}
	w.later(r, wait, func() {
		r.sweeping = false
		left, err := w.store.Unstopped(context.Background(), []device.Kind{device.Pump}, 200)
		if err != nil {
			w.oracle.violation("world: what is not stopped: %v", err)
			return
		}
		for _, u := range left {
			if u.Device != "" {
				w.halts(r, order.Halt{Device: u.Device, Stop: u.Stop, Reason: u.Reason})
				continue
			}
			if err := w.store.Reached(context.Background(), u.Stop); err != nil {
				w.oracle.violation("world: reached: %v", err)
			}
			w.note(r.name, "has told every pump of stop %d", u.Stop)
			w.oracle.stopReaches(u.Stop)
		}
		if len(left) > 0 {
			w.sweep(r)
		}
	})
}

// halted is what the oracle knows of a device's stop.
type halted struct {
	at   time.Duration    // when staff last stopped it; of its own alarm, when that struck
	seqs map[uint8]uint64 // the number of its newest stop, by outlet
}

// venueStop is what it knows of the venue's, until every device was told.
type venueStop struct {
	n  int64
	at time.Duration // in force
}

// stopped tells whether a stop is in force for a pump.
func (o *oracle) stopped(m *machine) bool {
	return o.halts[m.id] != nil || len(o.stops) > 0
}

// stopBegins follows the switch of the venue.
func (o *oracle) stopBegins() {
	o.begun++
	o.stops = append(o.stops, &venueStop{n: o.begun, at: o.w.at})
	for _, m := range o.w.pumps {
		o.w.walk(m)
	}
	for _, r := range o.w.replicas {
		o.w.sweep(r)
	}
}

func (o *oracle) stopReaches(n int64) {
	for _, m := range o.w.pumps {
		for _, d := range o.w.store.Devices() {
			if d.ID == m.id && d.Told < n && d.Service != device.Retired {
				o.violation("P1: stop %d counts as told to all, and %s was not", n, m.id)
			}
		}
	}
	o.stops = slices.DeleteFunc(o.stops, func(s *venueStop) bool { return s.n == n })
}

// stopsAndStarts follows what a commit stops and releases, and what it starts all
// the same. loaded is the moment of its snapshot.
func (o *oracle) stopsAndStarts(c order.Changes, by any, loaded time.Duration) {
	for _, v := range c.Moves {
		x := o.orders[v.Order]
		if v.From != "" && v.Input != order.Authorised || o.w.byID[x.Device].pump == nil {
			continue
		}
		if o.halts[x.Device] != nil {
			o.violation("P1: %s is accepted and %s is stopped", o.name(x.ID), x.Device)
		}
		for _, s := range o.stops {
			if loaded >= s.at {
				o.violation("P1: %s is accepted and its venue is stopped", o.name(x.ID))
			}
		}
	}
	for _, d := range c.Devices {
		m, was := o.w.byID[d.ID], o.halts[d.ID]
		switch {
		case m.pump == nil:
		case d.Halt != nil:
			if was == nil {
				o.halts[d.ID] = &halted{at: m.pump.heard, seqs: map[uint8]uint64{}}
				o.w.walk(m)
			}
			if _, sent := by.(order.Halt); sent {
				o.halts[d.ID].at = o.w.at
			}
		case was != nil:
			delete(o.halts, d.ID)
			if m.pump.released < was.at {
				o.violation("P2: the stop of %s ends and no hand released it since", d.ID)
			}
		}
	}
	for _, k := range c.Commands {
		if h := o.halts[k.Device]; h != nil && k.Kind == device.Stop && k.Order == "" && k.Version == 0 {
			h.seqs[k.Outlet] = max(h.seqs[k.Outlet], k.Seq)
		}
	}
	for range c.Stops {
		o.stopBegins()
	}
}

// alarmed holds a commit against the alarms that it applies: a button stops its
// device and gas the venue, in the same commit.
func (o *oracle) alarmed(d device.Device, c order.Changes) {
	m := o.w.byID[d.ID]
	if m.pump == nil {
		return
	}
	shut := false
	for _, a := range m.pump.alarms {
		_, heard := o.evidence[a.key]
		if a.key.epoch != d.Epoch || a.key.journal != d.Journal || a.key.seq <= o.applied[d.ID] || a.key.seq > d.Applied || !heard {
			continue
		}
		shut = a.reason != wire.ReasonReleased
		if shut {
			m.pump.heard = a.at
		}
		if a.reason == wire.ReasonGas && len(c.Stops) == 0 {
			o.violation("P1: %s smells gas and its venue is not stopped", d.ID)
		}
	}
	if shut && d.Halt == nil {
		o.violation("P1: %s told that it is shut down and serves", d.ID)
	}
}

// tellsToStop holds a commit that lets an order go without its pump's word of the
// end against what it sends: the valve may be open, and nobody pays for it.
func (o *oracle) tellsToStop(c order.Changes) {
	gone := func(x order.Order, why string) {
		if x.Kind == device.Pump && !slices.ContainsFunc(c.Commands, func(k device.Command) bool {
			return k.Kind == device.Stop && k.Version == 0 && k.Outlet == x.Outlet && k.Order == x.ID
		}) {
			o.violation("P3: %s is over (%s) and its pump is not told to stop", o.name(x.ID), why)
		}
	}
	for _, v := range c.Moves {
		if v.Input == order.GiveUp && v.From != order.Pending || v.Input == order.StaffEnded || v.Input == order.Watchdog {
			gone(o.orders[v.Order], string(v.Input))
		}
	}
	for _, k := range c.Commands {
		m := o.w.byID[k.Device]
		if m.pump == nil || k.Kind != device.Stop || k.State != device.Spent || k.Epoch != m.epoch {
			continue
		}
		if s := m.pump.side(k.Outlet).sale; s.busy() && s.Epoch == k.Epoch && s.Seq < k.Seq && (k.Order == "" || k.Order == s.id) {
			o.violation("P3: stop #%d of side %d of %s is done and %s goes on (%s)", k.Seq, k.Outlet, k.Device, o.name(s.id), o.orders[s.id].State)
		}
	}
	for _, i := range c.Items {
		x := o.orders[i.Order]
		s := o.sales[i.Order]
		if i.Kind == order.ItemLateExecuted && x.State == order.Voided && s != nil && !s.over {
			gone(x, i.Kind)
		}
	}
}

// armsStopped holds an arming against the stop that is in force for its pump: none
// begins behind the stop's own number.
func (o *oracle) armsStopped(x *sale) {
	if h := o.halts[x.m.id]; h != nil && x.Epoch == x.m.epoch && x.Seq >= h.seqs[x.Outlet] {
		o.violation("P1: side %d of %s arms for #%d behind its stop #%d", x.Outlet, x.m.id, x.Seq, h.seqs[x.Outlet])
	}
	if x.m.pump.body.ShutDown != 0 {
		o.violation("P1: side %d of %s arms and the pump is shut down", x.Outlet, x.m.id)
	}
}
