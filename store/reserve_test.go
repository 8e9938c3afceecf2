package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// keep stores a reservation of a rider's that began a while ago and is held for another.
func keep(rider string, ago, left time.Duration) order.Changes {
	now := time.Now()
	return order.Changes{Reservations: []order.Reservation{{ID: uuid.Must(uuid.NewV7()).String(), Rider: rider, Venue: testkit.Venue.ID, Day: "2026-03-01",
		Device: "bike-1", Outlet: 1, Kind: "lock", State: order.ReservationHeld, Tariff: "bike@1", CreatedAt: now.Add(-ago), FreeUntil: now, ExpiresAt: now.Add(left)}}}
}

func TestReservationsGoWithTheirRider(t *testing.T) {
	db, url := open(t)
	conn, ctx := owner(t, url), t.Context()
	testkit.ThreeOrders(t, db)
	rider, err := db.RiderByIdentity(ctx, "oA-Rider-Who-Reserves")
	if err != nil {
		t.Fatal(err)
	}
	kept := keep(rider, 0, time.Minute)
	if err := db.Apply(ctx, kept); err != nil {
		t.Fatal(err)
	}
	run(t, conn, `UPDATE outlets SET reservation_id = $1, reserved_for = $2, reserved_until = $3 WHERE order_id IS NULL`,
		kept.Reservations[0].ID, rider, kept.Reservations[0].ExpiresAt)
	if f, err := db.RiderFile(ctx, rider, nil); err != nil || len(f.Reservations) != 1 {
		t.Errorf("their file: %+v, %v; want the reservation", f.Reservations, err)
	}
	if r, now, err := db.ReservationOf(ctx, rider); err != nil || r.ID != kept.Reservations[0].ID || r.StateAt(now) != order.ReservationHeld {
		t.Errorf("held: %+v, %v", r, err)
	}
	if err := db.EraseRider(ctx, erasure(rider)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := db.Reservation(ctx, kept.Reservations[0].ID); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("after they were erased: %v, want ErrNotFound", err)
	}
	var left int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM outlets WHERE reserved_for IS NOT NULL OR reservation_id IS NOT NULL`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d outlets are kept for nobody, %v", left, err)
	}
	if err := db.Apply(ctx, keep(rider, 0, time.Minute)); !errors.Is(err, order.ErrStale) {
		t.Errorf("a reservation of nobody's: %v, want ErrStale", err)
	}
	for _, f := range audit(t, db).Findings {
		t.Errorf("audit: %+v", f)
	}
}

func TestOldReservationsAreSwept(t *testing.T) {
	db, _ := open(t)
	ctx := t.Context()
	old, long := keep("rider-a", 40*24*time.Hour, -39*24*time.Hour), keep("rider-b", 40*24*time.Hour, time.Minute)
	young := keep("rider-c", 20*24*time.Hour, -19*24*time.Hour)
	for _, c := range []order.Changes{old, long, young} {
		if err := db.Apply(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if gone, err := db.Sweep(ctx, store.DefaultRetention); err != nil || gone["reservations"] != 1 {
		t.Errorf("swept %v, %v; want one reservation", gone, err)
	}
	for c, want := range map[*order.Changes]error{&old: order.ErrNotFound, &long: nil, &young: nil} {
		if r, now, err := db.Reservation(ctx, c.Reservations[0].ID); !errors.Is(err, want) {
			t.Errorf("reservation of %s: %+v at %v, %v; want %v", c.Reservations[0].Rider, r, now, err, want)
		}
	}
}
