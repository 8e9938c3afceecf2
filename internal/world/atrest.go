package world

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// resolved tells whether nothing waits for anything any more.
func (o *oracle) resolved() bool {
	return len(o.unresolved()) == 0
}

// unresolved lists what still waits.
func (o *oracle) unresolved() []string {
	var open []string
	for _, x := range o.w.rides {
		if !x.over {
			open = append(open, fmt.Sprintf("%s still asks for %s", x.who, x.machine.id))
		}
	}
	for _, id := range sorted(o.orders) {
		s := o.orders[id].State
		if s != order.Settled && s != order.Voided && !o.undecided(o.orders[id]) {
			open = append(open, fmt.Sprintf("M6: %s is %s", o.name(id), s))
		}
	}
	if open = append(open, o.waiting()...); len(open) > 0 {
		return open
	}
	for _, id := range sorted(o.commands) {
		if k := o.commands[id]; k.State.Open() && !(k.Kind == device.Config && o.w.at-o.since[id] < time.Minute) { // it goes on
			open = append(open, fmt.Sprintf("A5: %s #%d of %s is %s", k.Kind, k.Seq, k.Device, k.State))
		}
	}
	for _, d := range o.w.store.Devices() {
		open = append(open, o.restless(d)...)
	}
	slices.Sort(open)
	return open
}

// restless lists what still waits at a device.
func (o *oracle) restless(d device.Device) (open []string) {
	m := o.w.byID[d.ID]
	for _, out := range o.w.store.Outlets(d.ID) {
		if out.Block != device.NotBlocked || out.Order != "" {
			open = append(open, fmt.Sprintf("A4: outlet %d of %s is taken (%q) or blocked (%q)", out.N, d.ID, o.name(out.Order), out.Block))
		}
	}
	switch {
	case d.Service == device.OutOfService, d.Halt != nil:
		open = append(open, fmt.Sprintf("%s is %s: %s, stopped: %+v", d.ID, d.Service, d.ServiceReason, d.Halt))
	case m.pump != nil:
		if s, err := o.w.store.Load(context.Background(), order.Query{Device: d.ID}); err != nil || s.Venue.Stopped {
			open = append(open, fmt.Sprintf("the venue of %s is stopped (%v)", d.ID, err))
		}
	}
	if d.Epoch != m.epoch || !m.c.Connected() || !m.atRest() {
		open = append(open, fmt.Sprintf("%s is not at rest", d.ID))
	}
	// Of pieces that a worn chip lost there is nothing left to ack.
	acked := m.flash.Acked == m.flash.Highest || m.lossy && len(m.flash.Entries) == 0
	if !acked || d.Applied != m.flash.Highest || d.Journal != device.Journal(m.flash.Journal) {
		open = append(open, fmt.Sprintf("E2: %s journalled %d, applied are %d, it knows acked %d", d.ID, m.flash.Highest, d.Applied, m.flash.Acked))
	}
	return open
}

// atRest tells whether no hand is at a device and nothing is open.
func (m *machine) atRest() bool {
	if m.lock != nil {
		return m.lock.body.Closed
	}
	for _, s := range m.pump.sides {
		if s.busy() || s.body.Up != 0 {
			return false
		}
	}
	return m.pump.body.ShutDown == 0
}

// unsettled tells whether a device has a start or ring without a result.
func (o *oracle) unsettled(id device.ID) bool {
	for _, k := range o.commands {
		if k.Device == id && k.Kind.Expires() && k.State.Open() {
			return true
		}
	}
	return false
}
