package order

import (
	"errors"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// Place makes an order of a ticket and commits its start.
type Place struct {
	Rider   string // who asks; must be the ticket's
	Ticket  Ticket
	PayWith PayWith
	Road    Road // by which the rider's phone reaches the device, "" = none
	Preset  billing.Preset
	Key     KeyRef
	Route   string
	Hash    [32]byte // of the request's body
	Battery *int     // last known percent, nil = not known
	Full    bool     // what room is left is for what runs already
	Staff   *Audit   // set for a service unlock: who and why
	// Answer renders the bytes that the request gets and that its key replays.
	Answer func(Order) (status int, body []byte, err error)
}

// Placed is what Place leads to: either a new order with its command, or the
// answer that the key already has.
type Placed struct {
	Order    Order
	Status   int
	Answer   []byte
	Replayed bool
	Send     []device.Command // committed by now; hand them to the Dispatcher
}

// Query names what Place must see.
func (p Place) Query() Query {
	return Query{Device: p.Ticket.Device, Rider: p.Rider, Key: &p.Key, Ticket: p.Ticket.ID,
		Tariff: p.Ticket.Tariff, TariffVersion: p.Ticket.Version}
}

// Decide is DESIGN section 6, step 2. Every refusal writes nothing.
func (p Place) Decide(s Snapshot, env Env) (Changes, Placed, error) {
	fail := func(err error) (Changes, Placed, error) { return Changes{}, Placed{}, err }
	if s.Key != nil {
		if s.Key.BodyHash != p.Hash || s.Key.Route != p.Route {
			return fail(ErrKeyReused)
		}
		return Changes{}, Placed{Status: s.Key.Status, Answer: s.Key.Answer, Replayed: true}, nil
	}
	t := newTurn(s, env)
	if err := p.admit(t); err != nil {
		return fail(err)
	}
	o, err := p.open(t)
	if err != nil {
		return fail(err)
	}
	status, body, err := p.Answer(*o)
	if err != nil {
		return fail(fmt.Errorf("render order: %w", err))
	}
	t.out.Keys = append(t.out.Keys, Key{KeyRef: p.Key, Route: p.Route, BodyHash: p.Hash, Status: status, Answer: body,
		Order: o.ID, At: t.now})
	if p.Staff != nil {
		a := *p.Staff
		a.Object, a.At = "order "+o.ID, t.now
		if a.ID, err = env.newID(t.now); err != nil {
			return fail(err)
		}
		t.out.Audits = append(t.out.Audits, a)
	}
	return t.changes(), Placed{Order: *o, Status: status, Answer: body, Send: t.fresh}, nil
}

// admit checks everything that may refuse, cheapest and most telling first.
func (p Place) admit(t *turn) error {
	s, k := t.snapshot, p.Ticket
	service := p.PayWith == PayService
	switch {
	case p.Full && !service: // staff may still have to open one
		return ErrFull
	case ways[p.PayWith] == nil:
		return ErrPayWith
	case service && p.Staff == nil:
		return ErrPayWith
	case service && p.Staff.Reason == "":
		return ErrReason
	case k.Rider != p.Rider:
		return ErrTicketForeign
	case s.Used:
		return ErrTicketUsed
	case k.expired(t.now):
		return ErrTicketExpired
	case t.device == nil:
		return ErrNotFound
	case k.Epoch != t.device.Epoch, k.Venue != "" && k.Venue != t.device.Venue:
		return ErrTicketStale
	case !service && s.Tariff == nil:
		return ErrTicketStale
	}
	out := t.outlet(k.Outlet)
	if out == nil {
		return ErrNotFound
	}
	if err := t.admitted(service); err != nil {
		return err
	}
	switch {
	case s.Venue.KioskOnly && t.kind().stops() && !k.Kiosk && !service:
		return ErrKioskOnly
	case out.Order != "", out.Block == device.NotBlocked && t.openStart(out.N) != nil:
		// The rows of a snapshot may be of different moments: an open start on an outlet
		// that shows neither order nor block belongs to who came in between.
		return ErrOutletBusy
	case !service && out.Reservation.HoldsAgainst(p.Rider, t.now):
		return ErrReserved
	}
	if err := t.able(out); err != nil && !(errors.Is(err, ErrOffline) && p.relays(t)) {
		return err
	}
	switch {
	case p.Battery != nil && *p.Battery < t.env.Config.MinBattery && !service:
		return ErrBatteryLow
	}
	if service {
		return nil
	}
	return t.mayUse(p.Rider)
}

// overdue tells whether WeChat has been trying to collect a bill of the rider's for
// longer than the operator is patient.
func (t *turn) overdue(rider string) bool {
	for _, p := range t.payments {
		if p.Rider == rider && p.Road == billing.Score && p.State == PaymentCollecting &&
			t.now.After(p.ExpiresAt) {
			return true
		}
	}
	return false
}

// open writes the order with its hold and its start, or with the payment that it
// waits for.
func (p Place) open(t *turn) (*Order, error) {
	id, err := t.env.newID(t.now)
	if err != nil {
		return nil, err
	}
	out := t.outlet(p.Ticket.Outlet)
	o := &Order{ID: id, Rider: p.Rider, Venue: t.device.Venue, Day: day(t.now, t.snapshot.Venue.TimeZone),
		Device: t.device.ID, Outlet: out.N, Kind: t.device.Kind, State: Starting, PayWith: p.PayWith,
		Ticket: p.Ticket.ID, Class: p.Ticket.Class, Tariff: billing.Service(), Preset: p.Preset, CreatedAt: t.now,
		DueAt: t.now.Add(t.env.Config.StartDeadline)}
	if p.PayWith != PayService {
		o.Tariff, o.Slot = *t.snapshot.Tariff, freeSlot(t.snapshot.Live, o.Kind)
		if h := ChoosePass(t.snapshot.Passes, o.Venue, o.Kind, o.Tariff, t.now); h != nil {
			o.Pass = h.ID
		}
		t.useReservation(o, out)
	}
	allowed, err := p.allow(t, o)
	if err != nil {
		return nil, err
	}
	o.HoldFen = allowed.Hold
	// Until the evidence is in, the quote shows what the least ride would cost.
	o.Quote = o.Tariff.Quote(billing.Usage{Measured: billing.WithinBoot, Pass: t.passOf(o), Reserved: o.Reserved})
	t.orders[o.ID] = o
	out.Order = o.ID
	t.touchOutlet(out)
	t.touchOrder(o)
	first := Move{Order: o.ID, To: Starting, Input: Authorised, At: t.now, By: p.Key.Principal}
	var payment *Payment
	if o.HoldFen > 0 {
		if payment, err = ways[o.PayWith].ask(t, o); err != nil {
			return nil, err
		}
	}
	unheard := !t.device.Contactable(t.now) // and admitted all the same
	if p.relays(t) {
		o.Road = Bluetooth
	}
	if payment == nil && !unheard {
		err = t.start(o, out, allowed)
	} else {
		// What the device would refuse is refused before anybody pays for it.
		_, err = t.kind().start(o, allowed, out, t.env.Config)
		o.State, o.DueAt = Pending, t.now.Add(t.env.Config.PayTime)
		first.To, first.Input = Pending, Ordered
	}
	if err == nil && payment != nil {
		o.Payment, o.DueAt = payment.ID, payment.ExpiresAt
	}
	if err == nil && unheard {
		err = t.askByRelay(out.N)
	}
	if err != nil {
		return nil, err
	}
	t.out.Moves = append(t.out.Moves, first)
	return o, nil
}

// allow asks the tariff what may be used, within what the rider can pay and may
// spend on the sort of code that was scanned.
func (p Place) allow(t *turn, o *Order) (billing.Allowance, error) {
	balance, err := ways[p.PayWith].most(t, p.Rider)
	if err != nil {
		return billing.Allowance{}, err
	}
	left := balance
	if cap := t.env.Config.PrintedCap; o.Class == Printed && cap >= 0 {
		left = min(left, max(cap-t.snapshot.Spent[o.Day], 0))
	}
	pass := t.passOf(o)
	if left < balance { // what the day's limit leaves must cover the least ride, pass or not
		pass = nil
	}
	a, err := o.Tariff.Allow(p.Preset, pass, left)
	if p.PayWith != PayWallet && errors.Is(err, billing.ErrNoMoney) && left == balance {
		return a, fmt.Errorf("%w: at most %v yuan in this way", ErrPreset, balance)
	}
	if errors.Is(err, billing.ErrNoMoney) {
		if _, err := o.Tariff.Allow(p.Preset, t.passOf(o), balance); err == nil {
			return a, ErrSpendingCap
		}
		return a, ErrNoMoney
	}
	return a, err
}

// freeSlot returns the lowest slot from 1 that no live order of the kind has;
// a unique index on (rider, kind, slot) makes two racing orders meet.
func freeSlot(live []Order, kind device.Kind) int {
	for slot := 1; ; slot++ {
		used := false
		for _, o := range live {
			used = used || o.Kind == kind && o.Slot == slot
		}
		if !used {
			return slot
		}
	}
}

// day is the calendar day of a moment in a venue's time zone.
func day(at time.Time, zone string) string { return local(at, zone).Format(time.DateOnly) }
