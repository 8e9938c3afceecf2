package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// whims are what riders do besides riding: they pause and reserve, and forget both. They
// are drawn from a source of their own, so that schedules without them stay as they were.
type whims struct {
	w *world
	*rand.Rand
}

// drawWhims gives most schedules with locks riders who have some.
func (w *world) drawWhims(seed uint64, o Options) {
	if seed%5 == 0 || o.Devices == 0 {
		return
	}
	w.whim = &whims{w, rand.New(rand.NewPCG(seed, 0x7768696d))}
	w.env.Config.PauseAsk = w.whim.between(30*time.Second, 2*time.Minute)
	w.env.Config.PauseMost = w.whim.between(time.Minute, 6*time.Minute)
	w.env.Config.ReserveUnused = 1 + w.whim.IntN(4)
	w.tariff.ReserveFree, w.tariff.ReserveFee, w.tariff.ReserveMost = 1, 7, 2+w.whim.Int64N(4)
}

func (h *whims) chance(p float64) bool { return h.Float64() < p }

func (h *whims) between(low, high time.Duration) time.Duration {
	return low + time.Duration(h.Int64N(int64(high-low)))
}

// mayPause plans that the rider of an order locks up for a while.
func (x *ride) mayPause() {
	if h := x.w.whim; h != nil && x.side == nil && h.chance(0.75) {
		x.w.after(h.between(15*time.Second, 3*time.Minute), func() { x.locksUp(4) })
	}
}

// does asks for something of the rider's own order; done hears whether it was granted.
func (x *ride) does(in order.ActInput, done func(error)) {
	w := x.w
	r := w.someReplica()
	if r == nil {
		done(order.ErrBusy)
		return
	}
	w.note(x.name(), "asks to %s %s", in, w.oracle.name(x.order))
	run(w, r, fmt.Sprintf("%s of %s", in, w.oracle.name(x.order)), order.UseCase[order.Acted](order.Act{Order: x.order, Input: in, Rider: x.who}),
		func(a order.Acted, err error) {
			if err == nil {
				w.dispatch(r, a.Send)
			}
			done(err)
		})
}

// locksUp asks for a pause and shuts the lock, in time, too late or not at all.
func (x *ride) locksUp(times int) {
	w, h := x.w, x.w.whim
	if o := w.oracle.orders[x.order]; w.healing || times == 0 || !o.State.Live() {
		return
	}
	x.does(order.PauseIt, func(err error) {
		if err != nil {
			w.after(h.between(10*time.Second, 40*time.Second), func() { x.locksUp(times - 1) })
			return
		}
		wait := h.between(time.Second, w.env.Config.PauseAsk)
		switch {
		case h.chance(0.15):
			wait = w.env.Config.PauseAsk + h.between(-time.Second, time.Minute)
		case h.chance(0.1):
			w.after(wait, func() { x.comesBack(2) }) // and takes it back
			return
		}
		if m := x.machine; !m.lock.body.Closed {
			if h.chance(0.15) { // the power goes while the bolt is home, or as it comes home
				w.armCut(m, []sim.Step{sim.StepBeforeEnded, sim.StepEnded}[h.IntN(2)])
			}
			w.handShuts(m, wait)
		}
		w.after(wait+h.between(2*time.Second, w.env.Config.PauseMost+20*time.Second), func() { x.comesBack(6) })
	})
}

// comesBack is the rider at the locked bike, who rides on, ends the ride or never comes.
func (x *ride) comesBack(times int) {
	w, h := x.w, x.w.whim
	if o := w.oracle.orders[x.order]; w.healing || times == 0 || !o.State.Live() || h.chance(0.12) {
		return
	}
	if h.chance(0.15) {
		x.does(order.End, func(error) {})
		return
	}
	x.does(order.ResumeIt, func(err error) {
		again := func(low, high time.Duration) { w.after(h.between(low, high), func() { x.comesBack(times - 1) }) }
		switch {
		case err != nil:
			again(5*time.Second, 30*time.Second)
		case h.chance(0.15): // a second thought, while the start is on its way
			w.after(h.between(0, 3*time.Second), func() { x.does(order.End, func(error) {}) })
		case h.chance(0.3):
			w.after(h.between(20*time.Second, 2*time.Minute), func() { x.locksUp(2) })
		default:
			again(15*time.Second, 90*time.Second) // looks whether it opened
		}
	})
}

// opening is the newest movement for an order that the server knows to be executed, with
// what this commit says; ok is false where none is.
func (o *oracle) opening(id string) (last movement, ok bool) {
	for _, m := range o.byOrder[id] {
		k := o.commands[o.numbers[numberKey{m.by.id, m.Outlet, m.Epoch, m.Seq}]]
		for _, now := range o.commit.Commands {
			if now.ID == k.ID {
				k = now
			}
		}
		if k.State == device.Executed {
			last, ok = m, true
		}
	}
	return last, ok
}

// shutSince is when a hand first shut a lock from a moment on.
func (m *machine) shutSince(from time.Duration) (at time.Duration, shut bool) {
	for _, at := range m.lock.shuts {
		if at >= from {
			return at, true
		}
	}
	return 0, false
}

// pausing holds a pause against its bolt.
func (o *oracle) pausing(x, was order.Order) {
	if x.Kind != device.Lock {
		if x.Pause != nil {
			o.violation("E3: %s of a %s is paused", o.name(x.ID), x.Kind)
		}
		return
	}
	state := func(x order.Order) order.PauseState {
		if x.Pause == nil {
			return ""
		}
		return x.Pause.State
	}
	if state(x) == order.PausePaused && state(was) == order.PauseAsked {
		m, known := o.opening(x.ID)
		at, shut := m.at, false
		if known {
			at, shut = m.by.shutSince(m.at)
		}
		switch {
		case !shut:
			o.violation("A5: %s is paused and nobody shut its lock", o.name(x.ID))
		case o.w.began.Add(at).After(was.Pause.Until.Add(time.Second)): // drift
			o.violation("A5: %s is paused by a closing %s after its time", o.name(x.ID), o.w.began.Add(at).Sub(was.Pause.Until))
		}
	}
	for _, k := range o.commands {
		own := k.ID == x.Command && state(x) == order.PauseResuming
		if k.Order == x.ID && k.Kind == device.Start && k.State.Open() && x.State == order.Active && !own && !o.closes(k.ID) {
			o.violation("A6: start #%d of %s is open and the order is active (%q)", k.Seq, o.name(x.ID), state(x))
		}
	}
}

// closes tells whether the running commit closes a command.
func (o *oracle) closes(id string) bool {
	for _, k := range o.commit.Commands {
		if k.ID == id {
			return !k.State.Open()
		}
	}
	return false
}

// lateStart notes a start that was proved executed once its order was over.
func (o *oracle) lateStart(k device.Command, c order.Changes) {
	if k.Kind != device.Start || k.State != device.Executed || o.orders[k.Order].State != order.Settled {
		return
	}
	for _, m := range c.Moves {
		if m.Order == k.Order && m.To == order.Settled {
			return // by the same word
		}
	}
	o.late[k.Order] = true
}
