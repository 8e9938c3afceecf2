package world

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// till is the real order.Collector on stand-ins that let a schedule take it apart:
// what it loads, asks, decides and commits happens at moments of the world's choice.
// Advance is called twice for a step: once up to the ask, and once more, on the same
// snapshot, when the answer is there.
type till struct {
	w         *world
	collector *order.Collector

	loads   int
	first   *order.Snapshot // what Advance sees; nil = what is in the store now
	second  *order.Snapshot // what its commit is decided on; nil = it goes no further
	asked   *billing.Ask
	said    billing.Said
	err     error
	changes order.Changes
	send    []device.Command
}

// errNoFurther ends an Advance whose ask is known.
var errNoFurther = errors.New("the answer is not there yet")

func newTill(w *world) (*till, error) {
	t := &till{w: w}
	service, err := order.New(order.ServiceConfig{Store: t, Catalog: t, Due: w.store, Dispatcher: t, Stops: w.store, Tickets: w.tickets, Env: w.env})
	if err != nil {
		return nil, err
	}
	t.collector, err = order.NewCollector(order.CollectorConfig{Service: service, Cashier: t, Purses: t})
	return t, err
}

// Load implements order.Store.
func (t *till) Load(ctx context.Context, q order.Query) (order.Snapshot, error) {
	t.loads++
	switch {
	case t.loads == 1 && t.first != nil:
		return *t.first, nil
	case t.loads == 1:
		s, err := t.w.store.Load(ctx, q)
		t.first = &s
		return s, err
	case t.loads == 2 && t.second != nil:
		return *t.second, nil
	}
	return order.Snapshot{}, errNoFurther
}

// Apply implements order.Store: the changes are kept for a commit at its own moment.
func (t *till) Apply(_ context.Context, c order.Changes) error {
	t.changes = c
	return nil
}

// Do implements order.Cashier.
func (t *till) Do(_ context.Context, a billing.Ask) (billing.Said, error) {
	t.asked = &a
	return t.said, t.err
}

// Dispatch implements order.Dispatcher.
func (t *till) Dispatch(c []device.Command) { t.send = append(t.send, c...) }

// Payer implements order.Purses.
func (t *till) Payer(_ context.Context, rider string) (billing.Payer, error) {
	ids, err := openIDs()
	if err != nil {
		return "", err
	}
	id, ok := ids[rider]
	if !ok {
		return "", order.ErrNotFound
	}
	return id, nil
}

// DuePayments implements order.Purses.
func (t *till) DuePayments(ctx context.Context, lease time.Duration, limit int) ([]string, error) {
	return t.w.store.DuePayments(ctx, lease, limit)
}

// Notices implements order.Purses.
func (t *till) Notices(ctx context.Context, limit int) ([]order.Notice, error) {
	return t.w.store.Notices(ctx, limit)
}

// Code implements order.Catalog; nothing here scans.
func (*till) Code(context.Context, string) (order.Code, error) {
	return order.Code{}, order.ErrNotFound
}

// Passes implements order.Catalog.
func (*till) Passes(context.Context, string) ([]order.HeldPass, error) { return nil, nil }

// TariffFor implements order.Catalog.
func (*till) TariffFor(context.Context, string, device.Kind, string) (billing.Tariff, error) {
	return billing.Tariff{}, order.ErrNotFound
}

// step is a payment's step whose outcome is known, or known to be unknown: what
// Collector.Advance makes of it.
type step struct {
	t       *till
	payment string
	first   order.Snapshot
	said    billing.Said
	err     error
}

// Query names what order.Tell must see.
func (s step) Query() order.Query { return order.Tell{Payment: s.payment}.Query() }

// Decide lets the collector decide.
func (s step) Decide(seen order.Snapshot, _ order.Env) (order.Changes, []device.Command, error) {
	t := s.t
	t.loads, t.first, t.second, t.said, t.err, t.changes, t.send = 0, &s.first, &seen, s.said, s.err, order.Changes{}, nil
	err := t.collector.Advance(context.Background(), s.payment)
	return t.changes, t.send, err
}

// word is a notification out of the inbox: what Collector.Hear makes of it.
type word struct {
	t *till
	n order.Notice
}

// Query names what order.Tell must see.
func (x word) Query() order.Query {
	return order.Tell{Payment: order.PaymentOf(x.n.Said.Number)}.Query()
}

// Decide lets the collector decide.
func (x word) Decide(seen order.Snapshot, _ order.Env) (order.Changes, []device.Command, error) {
	t := x.t
	t.loads, t.first, t.second, t.changes, t.send = 0, &seen, nil, order.Changes{}, nil
	err := t.collector.Hear(context.Background(), x.n)
	return t.changes, t.send, err
}

// ask is what is due for a payment now; false: nothing is.
func (t *till) ask(id string) (step, billing.Ask, bool) {
	t.loads, t.first, t.second, t.asked, t.said, t.err = 0, nil, nil, nil, billing.Said{}, billing.ErrUnsure
	err := t.collector.Advance(context.Background(), id)
	if t.asked == nil {
		if err != nil {
			t.w.oracle.violation("world: %s is not asked for: %v", t.w.oracle.paymentName(id), err)
		}
		return step{}, billing.Ask{}, false
	}
	return step{t: t, payment: id, first: *t.first}, *t.asked, true
}

// lease is how long a claimed payment is left to whoever claimed it.
const lease = 30 * time.Second

// wakeTills plans what the collector of every replica will find after a commit.
func (w *world) wakeTills(c order.Changes) {
	for _, p := range c.Payments {
		if !p.DueAt.IsZero() {
			w.wakeTillsAt(p.DueAt.Sub(w.began))
		}
		if p.State == order.PaymentCompleting && !w.healing && w.chance(0.25) { // staff lose patience
			w.after(w.between(0, 600*time.Millisecond), func() { w.mend(p.ID, true) })
		}
	}
}

func (w *world) wakeTillsAt(at time.Duration) {
	for _, r := range w.replicas {
		w.after(at-w.at+w.between(0, 350*time.Millisecond), func() { w.collect(r) })
	}
}

// collect does on a replica what order.Collector.Run does once: it deals with what
// notifications wait, and takes the steps that are due.
func (w *world) collect(r *replica) {
	if !r.up || w.pay == nil {
		return
	}
	notices, _ := w.store.Notices(context.Background(), 200)
	for _, n := range notices {
		if r.hearing[n.ID] {
			continue
		}
		r.hearing[n.ID] = true
		what := fmt.Sprintf("WeChat's word that %s is %s", w.oracle.number(n.Said.Number), n.Said.Stands)
		run(w, r, what, order.UseCase[[]device.Command](word{w.pay.till, n}), func(send []device.Command, err error) {
			delete(r.hearing, n.ID)
			if err != nil { // it is still there at the next round
				w.later(r, time.Second, func() { w.collect(r) })
				return
			}
			w.dispatch(r, send)
		})
	}
	due, _ := w.store.DuePayments(context.Background(), lease, 1+w.rand.IntN(32))
	if len(due) == 0 {
		return
	}
	w.note(r.name, "takes on %s", w.oracle.paymentList(due))
	w.wakeTillsAt(w.at + lease)
	if w.strikes(ReplicaDeath, 0.015) {
		w.die(r, "with payments in its hands")
		return
	}
	for _, id := range due {
		w.oracle.claims[id]++
		w.oracle.claimedAt[id] = w.at
		claim := w.oracle.claims[id]
		wait := w.between(0, 20*time.Millisecond)
		if w.strikes(Stall, 0.03) {
			w.fault(Stall)
			wait = w.between(time.Second, 50*time.Second)
		}
		w.later(r, wait, func() { w.advance(r, id, claim) })
	}
}

// advance takes one step of a payment on the claim of that number.
func (w *world) advance(r *replica, id string, claim int) {
	s, ask, due := w.pay.till.ask(id)
	if !due {
		return
	}
	what := fmt.Sprintf("%s of %s", ask.Step, w.oracle.paymentName(id))
	w.note(r.name, "is about to ask WeChat for %s (%v yuan)", what, ask.Amount)
	w.later(r, w.between(0, 15*time.Millisecond), func() {
		if w.strikes(ReplicaDeath, 0.01) {
			w.die(r, "before it asked WeChat for "+what)
			return
		}
		s.said, s.err = w.pay.cashier.Do(context.Background(), ask)
		w.pay.heard(r, what, s.said, s.err)
		w.oracle.asked(id, ask, s.said, s.err, w.oracle.claims[id] == claim)
		w.pay.expect()
		if w.strikes(ReplicaDeath, 0.015) {
			w.die(r, "before it kept WeChat's answer to "+what)
			return
		}
		wait := w.between(5*time.Millisecond, 300*time.Millisecond)
		if w.strikes(Stall, 0.04) {
			w.fault(Stall)
			wait = w.between(time.Second, 14*time.Second)
		}
		w.later(r, wait, func() {
			run(w, r, "outcome of "+what, order.UseCase[[]device.Command](s), func(send []device.Command, _ error) { w.dispatch(r, send) })
		})
	})
}
