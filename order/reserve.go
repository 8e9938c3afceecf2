package order

import (
	"context"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// ReservationState is where a reservation stands.
type ReservationState string

// Held: the outlet is kept. Used: an order of the rider's took it. Cancelled by the
// rider. Expired: its time passed; no writer is needed for that.
const (
	ReservationHeld      ReservationState = "held"
	ReservationUsed      ReservationState = "used"
	ReservationCancelled ReservationState = "cancelled"
	ReservationExpired   ReservationState = "expired"
)

// Reservation is an outlet kept for a rider for a while. What decides whether it is kept
// now is its outlet's row; this one is what is known of it for longer.
type Reservation struct {
	ID      string // UUIDv7
	Rider   string
	Venue   string
	Day     string // it began, in the venue's time zone: 2006-01-02
	Device  device.ID
	Outlet  uint8
	Kind    device.Kind
	State   ReservationState // as stored; see StateAt
	Tariff  string           // "{id}@{version}" that its price is of
	Fee     billing.Fen      // of each minute begun beyond FreeUntil
	Order   string           // that used it, "" = none
	Version int64

	CreatedAt time.Time
	FreeUntil time.Time
	ExpiresAt time.Time
	DoneAt    time.Time // used or cancelled; zero else
}

// StateAt is where it stands at a moment: what nobody used has expired by the clock.
func (r Reservation) StateAt(now time.Time) ReservationState {
	if r.State == ReservationHeld && !now.Before(r.ExpiresAt) {
		return ReservationExpired
	}
	return r.State
}

// FeeAt is what an order would be billed for it that began at a moment, and of one that
// was used what it is billed.
func (r Reservation) FeeAt(now time.Time) billing.Fen {
	switch r.StateAt(now) {
	case ReservationHeld:
	case ReservationUsed:
		now = r.DoneAt
	default:
		return 0
	}
	reserved := billing.Reserved{Minutes: billing.Begun(r.FreeUntil, now), Fee: r.Fee}
	return reserved.Fen()
}

// Reserve keeps an outlet for a rider; asked again for the one that they hold, it answers
// that one. Nothing physical happens, and nobody pays for it
// unless an order of theirs uses it.
type Reserve struct {
	Rider   string
	Device  device.ID
	Outlet  uint8
	Venue   string         // whose tariff it is; the device may have moved since
	Tariff  billing.Tariff // in force for this rider
	Key     KeyRef
	Route   string
	Hash    [32]byte // of the request's body
	Battery *int     // last known percent, nil = not known
	Full    bool
	// Answer renders the bytes that the request gets and that its key replays.
	Answer func(r Reservation, v Venue, now time.Time) (status int, body []byte, err error)
}

// Query names what Reserve must see.
func (r Reserve) Query() Query {
	return Query{Device: r.Device, Rider: r.Rider, Key: &r.Key}
}

// Decide refuses what a scan and an order would refuse; besides ErrReserved (for
// somebody else), ErrTicketStale (the device moved meanwhile), ErrReserving (the rider holds another one), ErrReserveMost (too many
// unused ones today) and ErrNoReservations (the tariff offers none).
func (r Reserve) Decide(s Snapshot, env Env) (Changes, Placed, error) {
	fail := func(err error) (Changes, Placed, error) { return Changes{}, Placed{}, err }
	if s.Key != nil {
		if s.Key.BodyHash != r.Hash || s.Key.Route != r.Route {
			return fail(ErrKeyReused)
		}
		return Changes{}, Placed{Status: s.Key.Status, Answer: s.Key.Answer, Replayed: true}, nil
	}
	t := newTurn(s, env)
	offer, err := r.admit(t)
	if err != nil {
		return fail(err)
	}
	held := Reservation{Rider: r.Rider, Venue: t.device.Venue, Day: day(t.now, s.Venue.TimeZone), Device: t.device.ID, Outlet: r.Outlet,
		Kind: t.device.Kind, State: ReservationHeld, Tariff: fmt.Sprintf("%s@%d", r.Tariff.ID, r.Tariff.Version), Fee: offer.Fee, CreatedAt: t.now,
		FreeUntil: t.now.Add(offer.Free), ExpiresAt: t.now.Add(offer.Most)}
	for _, have := range s.Reservations {
		switch {
		case have.Rider != r.Rider || have.State != ReservationHeld:
		case have.StateAt(t.now) == ReservationHeld && have.Device == held.Device && have.Outlet == held.Outlet:
			return r.answer(t, have)
		case have.StateAt(t.now) == ReservationHeld:
			return fail(ErrReserving)
		default: // it makes room: one row of a rider's is open
			have.State = ReservationExpired
			t.out.Reservations = append(t.out.Reservations, have)
		}
	}
	if s.Unused[held.Day] >= env.Config.ReserveUnused {
		return fail(ErrReserveMost)
	}
	if held.ID, err = env.newID(t.now); err != nil {
		return fail(err)
	}
	out := t.outlet(r.Outlet)
	out.Reservation = device.Reservation{ID: held.ID, Rider: held.Rider, Until: held.ExpiresAt}
	t.touchOutlet(out)
	t.out.Reservations = append(t.out.Reservations, held)
	return r.answer(t, held)
}

// answer keeps what the request gets with its key.
func (r Reserve) answer(t *turn, held Reservation) (Changes, Placed, error) {
	status, body, err := r.Answer(held, *t.snapshot.Venue, t.now)
	if err != nil {
		return Changes{}, Placed{}, fmt.Errorf("render reservation: %w", err)
	}
	t.out.Keys = append(t.out.Keys, Key{KeyRef: r.Key, Route: r.Route, BodyHash: r.Hash, Status: status, Answer: body, At: t.now})
	return t.changes(), Placed{Status: status, Answer: body}, nil
}

func (r Reserve) admit(t *turn) (billing.Reserving, error) {
	offer, offered := r.Tariff.Reserving()
	out := t.outlet(r.Outlet)
	switch {
	case r.Full:
		return offer, ErrFull
	case t.device == nil || out == nil:
		return offer, ErrNotFound
	case !offered || t.kind().stops():
		return offer, ErrNoReservations
	case t.device.Venue != r.Venue:
		return offer, ErrTicketStale
	}
	if err := t.admitted(false); err != nil {
		return offer, err
	}
	switch {
	case out.Order != "", out.Block == device.NotBlocked && t.openStart(out.N) != nil:
		return offer, ErrOutletBusy
	case out.Reservation.HoldsAgainst(r.Rider, t.now):
		return offer, ErrReserved
	}
	if err := t.able(out); err != nil {
		return offer, err
	}
	if r.Battery != nil && *r.Battery < t.env.Config.MinBattery {
		return offer, ErrBatteryLow
	}
	return offer, t.mayUse(r.Rider)
}

// mayUse says why a rider may not begin anything on a device of this kind.
func (t *turn) mayUse(rider string) error {
	s, live := t.snapshot, 0
	for _, o := range s.Live {
		if o.Kind == t.device.Kind {
			live++
		}
	}
	switch {
	case s.Rider == nil:
		return ErrNotFound
	case s.Rider.Erased:
		return ErrRiderErased
	case s.Rider.Blocked:
		return ErrRiderBlocked
	case live >= t.env.Config.LivePerKind:
		return ErrTooManyLive
	case t.book.Account(billing.Receivable(rider)).Debt() > 0, t.overdue(rider):
		return ErrDebt
	}
	return nil
}

// useReservation lets an order of the holder's take what is kept for them. The order is
// billed for what was begun beyond the free minutes, at the price that they were told.
func (t *turn) useReservation(o *Order, out *device.Outlet) {
	if !out.Reservation.HoldsFor(o.Rider, t.now) {
		return
	}
	for _, r := range t.snapshot.Reservations {
		if r.ID != out.Reservation.ID || r.State != ReservationHeld {
			continue
		}
		r.State, r.Order, r.DoneAt = ReservationUsed, o.ID, t.now
		t.out.Reservations = append(t.out.Reservations, r)
		if minutes := billing.Begun(r.FreeUntil, t.now); minutes > 0 && r.Fee > 0 {
			o.Reserved = &billing.Reserved{Minutes: minutes, Fee: r.Fee}
		}
	}
	out.Reservation = device.Reservation{}
	t.touchOutlet(out)
}

// CancelReservation gives an outlet back before its time. It counts as unused.
type CancelReservation struct {
	ID    string
	Rider string
}

// Query names what CancelReservation must see.
func (c CancelReservation) Query() Query { return Query{Reservation: c.ID} }

// Decide returns the reservation as it then is; one that is cancelled or expired stays as
// it is. ErrWrongState: an order used it. ErrNotFound also hides other riders' ones.
func (c CancelReservation) Decide(s Snapshot, env Env) (Changes, Reservation, error) {
	fail := func(err error) (Changes, Reservation, error) { return Changes{}, Reservation{}, err }
	for _, r := range s.Reservations {
		if r.ID != c.ID || r.Rider != c.Rider {
			continue
		}
		switch r.StateAt(s.Now) {
		case ReservationHeld:
		case ReservationUsed:
			return fail(fmt.Errorf("cancel reservation %s: %w", c.ID, ErrWrongState))
		default:
			return Changes{}, r, nil
		}
		t := newTurn(s, env)
		r.State, r.DoneAt = ReservationCancelled, t.now
		t.out.Reservations = append(t.out.Reservations, r)
		if out := t.outlet(r.Outlet); out != nil && out.Reservation.ID == r.ID {
			out.Reservation = device.Reservation{}
			t.touchOutlet(out)
		}
		return t.changes(), r, nil
	}
	return fail(ErrNotFound)
}

// Reserve runs the use case of that name, with the tariff that is in force.
func (s *Service) Reserve(ctx context.Context, r Reserve) (Placed, error) {
	snapshot, err := s.Store.Load(ctx, Query{Device: r.Device})
	if err != nil {
		return Placed{}, fmt.Errorf("load device %s: %w", r.Device, err)
	}
	if snapshot.Device == nil {
		return Placed{}, fmt.Errorf("device %s: %w", r.Device, ErrNotFound)
	}
	r.Venue = snapshot.Device.Venue
	if r.Tariff, err = s.Catalog.TariffFor(ctx, r.Venue, snapshot.Device.Kind, r.Rider); err != nil {
		return Placed{}, fmt.Errorf("tariff of venue %s: %w", r.Venue, err)
	}
	if b, ok := s.battery(r.Device); ok {
		r.Battery = &b
	}
	r.Full = s.Full()
	return run(ctx, s, UseCase[Placed](r))
}

// CancelReservation runs the use case of that name.
func (s *Service) CancelReservation(ctx context.Context, c CancelReservation) (Reservation, error) {
	return run(ctx, s, UseCase[Reservation](c))
}
