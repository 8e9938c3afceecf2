package testkit

import (
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Reserving is Rider's request for a lock, under a key.
func Reserving(id device.ID, key string) order.Reserve {
	return order.Reserve{Rider: Rider.ID, Device: id, Outlet: 1, Venue: Venue.ID, Tariff: Tariff, Route: "reservations",
		Key: order.KeyRef{Principal: "rider:" + Rider.ID, Key: key}, Hash: sha256.Sum256([]byte(id)),
		Answer: func(r order.Reservation, _ order.Venue, _ time.Time) (int, []byte, error) {
			return 201, []byte(r.ID), nil
		}}
}

func reservations(t *testing.T, s Subject) {
	provision(t, s, "bike-1")
	provision(t, s, "bike-2")
	topUp(t, s, "k1", 5000)
	// Of two that one rider asks for at once, one is made.
	second, _ := decide(t, s, order.UseCase[order.Placed](Reserving("bike-2", "r2")))
	first, _ := decide(t, s, order.UseCase[order.Placed](Reserving("bike-1", "r1")))
	if err := s.Apply(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), second); !errors.Is(err, order.ErrStale) {
		t.Errorf("a second reservation decided beside the first: %v, want ErrStale", err)
	}
	snap, err := s.Load(t.Context(), order.Query{Device: "bike-1", Rider: Rider.ID})
	if err != nil || len(snap.Reservations) != 1 || snap.Unused[first.Reservations[0].Day] != 1 {
		t.Fatalf("reservations %+v, unused %v, %v; want one", snap.Reservations, snap.Unused, err)
	}
	held, want := snap.Reservations[0], first.Reservations[0]
	want.Version = 1
	if diff := cmp.Diff(want, held); diff != "" {
		t.Errorf("reservation read back (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(device.Reservation{ID: held.ID, Rider: Rider.ID, Until: held.ExpiresAt}, snap.Outlets[0].Reservation); diff != "" {
		t.Errorf("its outlet (-want +got):\n%s", diff)
	}
	snap, err = s.Load(t.Context(), order.Query{Reservation: held.ID})
	if err != nil || snap.Device == nil || snap.Device.ID != "bike-1" || snap.Rider == nil || len(snap.Reservations) != 1 {
		t.Errorf("by its id: device %+v, rider %+v, %+v, %v", snap.Device, snap.Rider, snap.Reservations, err)
	}
	// What was decided before it was used is refused.
	cancel, _ := decide(t, s, order.UseCase[order.Reservation](order.CancelReservation{ID: held.ID, Rider: Rider.ID}))
	p := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
	if err := s.Apply(t.Context(), cancel); !errors.Is(err, order.ErrStale) {
		t.Errorf("a cancellation decided before it was used: %v, want ErrStale", err)
	}
	snap, err = s.Load(t.Context(), order.Query{Reservation: held.ID})
	if err != nil || len(snap.Reservations) != 1 || snap.Reservations[0].State != order.ReservationUsed || snap.Reservations[0].Order != p.Order.ID ||
		snap.Unused[held.Day] != 0 || snap.Outlets[0].Reservation != (device.Reservation{}) {
		t.Errorf("used: %+v, unused %v, its outlet %+v, %v", snap.Reservations, snap.Unused, snap.Outlets, err)
	}
	// An order that never ran used none.
	act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 1, device.SaidRejected, 2000)))
	snap, err = s.Load(t.Context(), order.Query{Rider: Rider.ID})
	if err != nil || snap.Unused[held.Day] != 1 {
		t.Errorf("once its order was voided: unused %v, %v; want 1", snap.Unused, err)
	}
}

func pauses(t *testing.T, s Subject) {
	provision(t, s, "bike-1")
	topUp(t, s, "k1", 5000)
	o := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1"))).Order
	asks := func(in order.ActInput) {
		t.Helper()
		act(t, s, order.UseCase[order.Acted](order.Act{Order: o.ID, Input: in, Rider: Rider.ID}))
		snap, err := s.Load(t.Context(), order.Query{Order: o.ID})
		if err != nil {
			t.Fatal(err)
		}
		o = snap.Orders[0]
	}
	beat(t, s, "bike-1", 1500, 0, 0)
	act(t, s, order.UseCase[order.Heard](said("bike-1", o, 1, device.SeenExecuted, 2000)))
	asks(order.PauseIt)
	if p := o.Pause; p == nil || p.State != order.PauseAsked || p.Boot != boot || p.Uptime == 0 || time.Until(p.Until) <= 0 {
		t.Fatalf("a pause that was asked for is read back as %+v", p)
	}
	act(t, s, order.UseCase[order.Heard](said("bike-1", o, 2, device.SaidEnded, 3000)))
	beat(t, s, "bike-1", 4000, 2, o.Seq)
	asks(order.PauseIt)
	if o.State != order.Active || o.Pause == nil || o.Pause.State != order.PausePaused {
		t.Fatalf("paused: %s, %+v", o.State, o.Pause)
	}
	first := o.Command
	snap, err := s.Load(t.Context(), order.Query{Order: o.ID})
	if err != nil || len(snap.Commands) != 0 {
		t.Errorf("open commands: %+v, %v; want none", snap.Commands, err)
	}
	snap, err = s.Load(t.Context(), order.Query{Order: o.ID, Answered: true})
	if err != nil || len(snap.Commands) != 1 || snap.Commands[0].ID != first || snap.Commands[0].State != device.Executed {
		t.Errorf("with what was answered: %+v, %v; want the start %s", snap.Commands, err, first)
	}
	asks(order.ResumeIt)
	if o.Pause.State != order.PauseResuming || o.Command == first {
		t.Fatalf("resuming: %+v by start %s, the first was %s", o.Pause, o.Command, first)
	}
	act(t, s, order.UseCase[order.Heard](said("bike-1", o, 3, device.SeenExecuted, 62_000)))
	act(t, s, order.UseCase[order.Heard](said("bike-1", o, 4, device.SaidEnded, 63_000)))
	snap, err = s.Load(t.Context(), order.Query{Order: o.ID})
	if err != nil {
		t.Fatal(err)
	}
	if o = snap.Orders[0]; o.State != order.Settled || o.Pause != nil || o.Usage.BilledMS != 61_000 {
		t.Errorf("after the second closing: %s, pause %+v, usage %+v; want settled for 61 s", o.State, o.Pause, o.Usage)
	}
}
