package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

// TestAPhotoBelongsToItsReporter: nobody adds one to another's report or sees it, a rider
// sends so many a day and no more, and an erasure takes them.
func TestAPhotoBelongsToItsReporter(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn, ctx, ada := owner(t, url), t.Context(), testkit.Rider.ID
	ben, err := db.RiderByIdentity(ctx, "oA-Ben-Of-This-Test-0001")
	if err != nil {
		t.Fatal(err)
	}
	report := func(rider, device string) string {
		t.Helper()
		id, err := db.ReportFault(ctx, order.Item{ID: uuid.Must(uuid.NewV7()).String(), Kind: order.ItemFault, Device: "bike-1", Venue: "campus",
			Subject: device + "/1/damaged/" + rider, Detail: "damaged: the bell", At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	since := time.Now().Add(-time.Hour)
	first := report(ben, "bike-1")
	if again := report(ben, "bike-1"); again != first {
		t.Errorf("the same fault again is %s, want %s", again, first)
	}
	keep := func(rider, id, image string, most int, want error) {
		t.Helper()
		if err := db.KeepPhoto(ctx, rider, id, []byte(image), since, most); !errors.Is(err, want) {
			t.Errorf("a photo of %s: %v, want %v", id, err, want)
		}
	}
	keep(ada, first, "x", 5, order.ErrNotFound)
	keep(ben, uuid.NewString(), "x", 5, order.ErrNotFound)
	keep(ben, "no id", "x", 5, order.ErrNotFound)
	keep(ben, first, "one", 1, nil)
	keep(ben, first, "two", 1, nil) // in place of the first, which counts no more
	second := report(ben, "bike-2")
	if err := db.TakesPhoto(ctx, ben, second, since, 1); !errors.Is(err, order.ErrTooMany) {
		t.Errorf("asked before: %v", err)
	}
	if err := db.TakesPhoto(ctx, ada, first, since, 5); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("asked before by a stranger: %v", err)
	}
	keep(ben, second, "x", 1, order.ErrTooMany)
	keep(ben, second, "x", 2, nil)
	for _, c := range []struct {
		rider string
		want  error
	}{{"", nil}, {ben, nil}, {ada, order.ErrNotFound}} {
		image, err := db.Photo(ctx, first, c.rider)
		if !errors.Is(err, c.want) || err == nil && string(image) != "two" {
			t.Errorf("seen by %q: %q, %v; want two, %v", c.rider, image, err, c.want)
		}
	}
	rows, err := db.Faults(ctx, false, []string{"campus"}, 10)
	if err != nil || len(rows) != 2 || rows[0].ID != first || !rows[0].Photo || rows[0].Detail != "damaged: the bell" {
		t.Errorf("faults: %+v, %v", rows, err)
	}
	if rows, err := db.Faults(ctx, false, []string{"elsewhere"}, 10); err != nil || len(rows) != 0 {
		t.Errorf("faults of another venue: %+v, %v", rows, err)
	}
	if err := db.CloseItem(ctx, first, order.Audit{ID: uuid.Must(uuid.NewV7()).String(), Staff: "s1", Act: "item.close", Object: "open item " + first, Reason: "mended", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	keep(ben, first, "late", 5, order.ErrNotFound)
	if rows, err := db.Faults(ctx, true, nil, 10); err != nil || len(rows) != 2 || rows[1].ClosedAt == nil {
		t.Errorf("all faults: %+v, %v", rows, err)
	}

	f, err := db.RiderFile(ctx, ben, nil)
	if err != nil || len(f.Faults) != 2 || !f.Faults[0].Photo || !f.Faults[1].Photo {
		t.Errorf("the rider's file: %+v, %v", f.Faults, err)
	}
	if err := db.EraseRider(ctx, erasure(ben)); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM fault_photos`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d photos are left of who was erased, %v", left, err)
	}
	keep(ben, second, "x", 5, order.ErrNotFound)
}
