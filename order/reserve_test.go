package order_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// priced is a tariff that asks 0.20 for each minute of a reservation beyond five.
var priced = func() billing.Tariff {
	t, rule := bike, *bike.TimeRule
	rule.ReserveFee = 20
	t.TimeRule = &rule
	return t
}()

// reserving is a rider's request for a lock.
func (s *scene) reserving(r order.Rider, id device.ID) order.Reserve {
	s.drawn++
	return order.Reserve{Rider: r.ID, Device: id, Outlet: 1, Venue: campus.ID, Tariff: priced, Route: "reservations",
		Key: order.KeyRef{Principal: "rider:" + r.ID, Key: fmt.Sprint("reserve-", s.drawn)}, Hash: sha256.Sum256([]byte(id)),
		Answer: func(r order.Reservation, _ order.Venue, _ time.Time) (int, []byte, error) {
			return 201, []byte(r.ID), nil
		}}
}

func (s *scene) tryReserve(r order.Reserve) (string, error) {
	snap, err := s.store.Load(context.Background(), r.Query())
	if err != nil {
		s.Fatal(err)
	}
	changes, placed, err := r.Decide(snap, s.svc.Env)
	if err != nil {
		return "", err
	}
	if !changes.Empty() {
		err = s.store.Apply(context.Background(), changes)
	}
	return string(placed.Answer), err
}

func (s *scene) reserve(r order.Rider, id device.ID) order.Reservation {
	s.Helper()
	name, err := s.tryReserve(s.reserving(r, id))
	if err != nil {
		s.Fatalf("reserve %s: %v", id, err)
	}
	return s.reservation(name)
}

func (s *scene) reservation(id string) order.Reservation {
	s.Helper()
	all := s.store.Reservations()
	i := slices.IndexFunc(all, func(r order.Reservation) bool { return r.ID == id })
	if i < 0 {
		s.Fatalf("no reservation %s", id)
	}
	return all[i]
}

func TestAReservationKeepsABikeForItsRiderAlone(t *testing.T) {
	s := ready(t)
	s.topUp(ben, 5000)
	r := s.reserve(ann, "bike-1")
	if r.StateAt(s.now) != order.ReservationHeld || !r.FreeUntil.Equal(s.now.Add(5*time.Minute)) || !r.ExpiresAt.Equal(s.now.Add(10*time.Minute)) || r.Fee != 20 {
		t.Errorf("reserved: %+v", r)
	}
	if _, err := s.svc.Scan(t.Context(), ben.ID, "bike-1", ""); !errors.Is(err, order.ErrReserved) {
		t.Errorf("another rider's scan: %v, want ErrReserved", err)
	}
	p := s.placing()
	by(ben)(&p)
	if _, err := s.svc.Place(t.Context(), p); !errors.Is(err, order.ErrReserved) {
		t.Errorf("another rider's order on an earlier scan: %v, want ErrReserved", err)
	}
	if _, err := s.tryReserve(s.reserving(ben, "bike-1")); !errors.Is(err, order.ErrReserved) {
		t.Errorf("another rider's reservation: %v, want ErrReserved", err)
	}
	scanned, err := s.svc.Scan(t.Context(), ann.ID, "bike-1", "")
	if err != nil || scanned.Availability != device.Available {
		t.Errorf("the holder's scan: %s, %v, want available", scanned.Availability, err)
	}
	if got := s.store.Devices()[0].Availability(s.outlet("bike-1"), false, s.now); got != device.Reserved {
		t.Errorf("everybody sees %s, want reserved", got)
	}
	o, _ := s.place()
	if got := s.reservation(r.ID); got.State != order.ReservationUsed || got.Order != o.ID || s.outlet("bike-1").Reservation != (device.Reservation{}) {
		t.Errorf("used: %+v, outlet %+v", got, s.outlet("bike-1").Reservation)
	}
	if o.Reserved != nil {
		t.Errorf("used within its free minutes, it costs %+v", o.Reserved)
	}
}

func TestAReservationIsBilledToTheOrderThatUsesIt(t *testing.T) {
	s := ready(t)
	r := s.reserve(ann, "bike-1")
	s.pass(7*time.Minute + time.Second)
	l := s.locks["bike-1"]
	s.hear(l.beat())
	o, c := s.place()
	if o.Reserved == nil || *o.Reserved != (billing.Reserved{Minutes: 3, Fee: 20}) || s.reservation(r.ID).FeeAt(s.now.Add(time.Hour)) != 60 {
		t.Fatalf("reserved for 7:01 of which 5 are free: %+v, told as %v; want 3 minutes", o.Reserved, s.reservation(r.ID).FeeAt(s.now))
	}
	s.hear(l.opens(c))
	s.pass(time.Minute)
	s.hear(l.closes())
	o = s.wants(o.ID, order.Settled)
	if o.Quote.Total != 100+50+60 || len(o.Quote.Lines) != 3 || o.Quote.Lines[2].Kind != billing.LineReservation {
		t.Errorf("bill %+v", o.Quote)
	}
	s.books()
}

// TestAnUnusedReservationCostsNothingAndFreesItsBikeByTheClock: nothing is written when
// its time is over.
func TestAnUnusedReservationCostsNothingAndFreesItsBikeByTheClock(t *testing.T) {
	s := ready(t)
	s.topUp(ben, 5000)
	r := s.reserve(ann, "bike-1")
	before := s.wallet()
	s.pass(10*time.Minute - time.Millisecond)
	l := s.locks["bike-1"]
	s.hear(l.beat())
	if _, err := s.tryReserve(s.reserving(ben, "bike-1")); !errors.Is(err, order.ErrReserved) {
		t.Errorf("in its last moment: %v, want ErrReserved", err)
	}
	s.pass(time.Millisecond)
	if got := s.reservation(r.ID); got.StateAt(s.now) != order.ReservationExpired || got.State != order.ReservationHeld || got.FeeAt(s.now) != 0 {
		t.Errorf("over: %+v", got)
	}
	s.place(by(ben))
	if after := s.wallet(); after != before {
		t.Errorf("the wallet of who let it lapse: %+v, then %+v", before, after)
	}
	if s.reservation(r.ID).Order != "" {
		t.Error("another's order used it")
	}
}

func TestALateHolderOrdersWithoutTheReservation(t *testing.T) {
	s := ready(t)
	r := s.reserve(ann, "bike-1")
	s.pass(10 * time.Minute)
	s.hear(s.locks["bike-1"].beat())
	o, _ := s.place()
	if got := s.reservation(r.ID); o.Reserved != nil || got.Order != "" || got.StateAt(s.now) != order.ReservationExpired {
		t.Errorf("an order after its time: %+v bills %+v", got, o.Reserved)
	}
}

func TestOneReservationARiderAndAFewUnusedADay(t *testing.T) {
	s := ready(t)
	s.lock("bike-2")
	first := s.reserving(ann, "bike-1")
	id, err := s.tryReserve(first)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.tryReserve(first); err != nil || again != id {
		t.Errorf("the same request: %q, %v, want %q", again, err, id)
	}
	other := first
	other.Hash = sha256.Sum256([]byte("other"))
	if _, err := s.tryReserve(other); !errors.Is(err, order.ErrKeyReused) {
		t.Errorf("another body: %v, want ErrKeyReused", err)
	}
	if _, err := s.tryReserve(s.reserving(ann, "bike-2")); !errors.Is(err, order.ErrReserving) {
		t.Errorf("a second one: %v, want ErrReserving", err)
	}
	cancel := func(id string, r order.Rider) error {
		_, err := s.svc.CancelReservation(t.Context(), order.CancelReservation{ID: id, Rider: r.ID})
		return err
	}
	if err := cancel(id, ben); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("another's cancellation: %v, want ErrNotFound", err)
	}
	for range 2 {
		if err := cancel(id, ann); err != nil {
			t.Errorf("cancel: %v", err)
		}
	}
	if got := s.reservation(id); got.State != order.ReservationCancelled || s.outlet("bike-1").Reservation != (device.Reservation{}) {
		t.Errorf("cancelled: %+v, its outlet %+v", got, s.outlet("bike-1").Reservation)
	}
	for range 2 {
		s.reserve(ann, "bike-2")
		s.pass(10 * time.Minute)
		s.hear(s.locks["bike-1"].beat(), s.locks["bike-2"].beat())
	}
	if _, err := s.tryReserve(s.reserving(ann, "bike-2")); !errors.Is(err, order.ErrReserveMost) {
		t.Errorf("after three that nobody used: %v, want ErrReserveMost", err)
	}
	s.pass(24 * time.Hour)
	s.hear(s.locks["bike-2"].beat())
	r := s.reserve(ann, "bike-2")
	s.place(on("bike-2"))
	if err := cancel(r.ID, ann); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("cancel one that was used: %v, want ErrWrongState", err)
	}
}

func TestWhatCannotStartIsNotReserved(t *testing.T) {
	for name, c := range map[string]struct {
		want error
		do   func(s *scene, r *order.Reserve)
	}{
		"somebody rides it": {order.ErrOutletBusy, func(s *scene, _ *order.Reserve) { s.topUp(ben, 5000); s.place(by(ben)) }},
		"it is silent":      {order.ErrOffline, func(s *scene, _ *order.Reserve) { s.pass(11 * time.Minute) }},
		"it is open": {order.ErrOutletOpen, func(s *scene, _ *order.Reserve) {
			s.pass(time.Second)
			s.locks["bike-1"].closed = false
			s.hear(s.locks["bike-1"].beat())
		}},
		"it is empty":         {order.ErrBatteryLow, func(_ *scene, r *order.Reserve) { low := 3; r.Battery = &low }},
		"it is not there":     {order.ErrNotFound, func(_ *scene, r *order.Reserve) { r.Device = "bike-9" }},
		"no such side":        {order.ErrNotFound, func(_ *scene, r *order.Reserve) { r.Outlet = 2 }},
		"it moved meanwhile":  {order.ErrTicketStale, func(_ *scene, r *order.Reserve) { r.Venue = "elsewhere" }},
		"there is no room":    {order.ErrFull, func(_ *scene, r *order.Reserve) { r.Full = true }},
		"none are offered":    {order.ErrNoReservations, func(_ *scene, r *order.Reserve) { r.Tariff = billing.Service() }},
		"the venue is closed": {order.ErrVenueClosed, func(s *scene, _ *order.Reserve) { v := campus; v.Open = false; s.store.Seed(v, bike) }},
		"the rider is blocked": {order.ErrRiderBlocked, func(s *scene, _ *order.Reserve) {
			s.store.Seed(campus, bike, order.Rider{ID: ann.ID, Blocked: true})
		}},
		"the rider is gone": {order.ErrRiderErased, func(s *scene, _ *order.Reserve) {
			s.store.Seed(campus, bike, order.Rider{ID: ann.ID, Erased: true})
		}},
		"the rider rides another": {order.ErrTooManyLive, func(s *scene, _ *order.Reserve) { s.lock("bike-2"); s.place(on("bike-2")) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := ready(t)
			r := s.reserving(ann, "bike-1")
			c.do(s, &r)
			if _, err := s.tryReserve(r); !errors.Is(err, c.want) || len(s.store.Reservations()) != 0 {
				t.Errorf("%v, %d reservations; want %v and none", err, len(s.store.Reservations()), c.want)
			}
		})
	}
}

func TestStaffUnlockAReservedBikeAndItStaysReserved(t *testing.T) {
	s := ready(t)
	r := s.reserve(ann, "bike-1")
	offer, err := s.svc.Offer(t.Context(), "staff:s1", "bike-1", 1)
	if err != nil || offer.Availability != device.Available {
		t.Fatalf("staff's offer: %s, %v", offer.Availability, err)
	}
	who := staff
	o, c := s.place(func(p *order.Place) {
		p.Rider, p.Ticket.Rider, p.PayWith, p.Staff = "staff:s1", "staff:s1", order.PayService, &who
	})
	l := s.locks["bike-1"]
	s.hear(l.opens(c))
	s.pass(time.Minute)
	s.hear(l.closes(), l.beat())
	s.wants(o.ID, order.Settled)
	if got := s.reservation(r.ID); got.StateAt(s.now) != order.ReservationHeld || !s.outlet("bike-1").Reservation.HoldsFor(ann.ID, s.now) {
		t.Errorf("after staff's visit: %+v", got)
	}
	o, _ = s.place()
	if s.reservation(r.ID).Order != o.ID {
		t.Error("the holder's order does not use it")
	}
}

func TestNewKeysTakeNoReservationAway(t *testing.T) {
	s := ready(t)
	s.reserve(ann, "bike-1")
	s.lock("bike-1")
	if !s.outlet("bike-1").Reservation.HoldsFor(ann.ID, s.now) {
		t.Error("a new provisioning took the reservation away")
	}
}

// TestAReservationIsUnusedIfItsOrderNeverRan: else a bike is kept all day by orders that
// are called off.
func TestAReservationIsUnusedIfItsOrderNeverRan(t *testing.T) {
	s := ready(t)
	l := s.locks["bike-1"]
	for range 3 {
		r := s.reserve(ann, "bike-1")
		o, c := s.place()
		s.must(o.ID, order.Cancel)
		l.burn(device.Command{Seq: c.Seq + 1})
		s.hear(l.beat())
		s.wants(o.ID, order.Voided)
		if got := s.reservation(r.ID); got.State != order.ReservationUsed {
			t.Errorf("%+v, want it used", got)
		}
		s.pass(time.Minute)
		s.hear(l.beat())
	}
	if _, err := s.tryReserve(s.reserving(ann, "bike-1")); !errors.Is(err, order.ErrReserveMost) {
		t.Errorf("after three that no ride used: %v, want ErrReserveMost", err)
	}
}

func TestWhoHoldsItIsAnsweredTheReservationThatTheyHold(t *testing.T) {
	s := ready(t)
	s.lock("bike-2")
	r := s.reserve(ann, "bike-1")
	s.pass(time.Minute)
	again := s.reserving(ann, "bike-1")
	for range 2 { // its key answers too
		if got, err := s.tryReserve(again); err != nil || got != r.ID || len(s.store.Reservations()) != 1 {
			t.Errorf("reserved again: %q, %v, %d in all; want %s alone", got, err, len(s.store.Reservations()), r.ID)
		}
	}
	if got := s.reservation(r.ID); !got.ExpiresAt.Equal(r.ExpiresAt) {
		t.Errorf("asking again moved its end to %v", got.ExpiresAt)
	}
	if _, err := s.tryReserve(s.reserving(ann, "bike-2")); !errors.Is(err, order.ErrReserving) {
		t.Errorf("another one: %v, want ErrReserving", err)
	}
}

func TestAReservationsFeeNeverWraps(t *testing.T) {
	at := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	r := order.Reservation{State: order.ReservationHeld, Fee: math.MaxInt64, FreeUntil: at, ExpiresAt: at.Add(24 * time.Hour)}
	if got := r.FeeAt(at.Add(23 * time.Hour)); got <= 0 {
		t.Errorf("the fee of 23 h is %d", got)
	}
	if got := r.FeeAt(at.Add(24 * time.Hour)); got != 0 {
		t.Errorf("expired, it costs %d, want 0", got)
	}
}
