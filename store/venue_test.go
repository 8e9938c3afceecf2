package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
)

// TestAStartInFlightMeetsTheClosedVenue: the start loaded the venue while it was
// open and applies after staff have closed it.
func TestAStartInFlightMeetsTheClosedVenue(t *testing.T) {
	db, _ := open(t)
	started := testkit.StartInFlight(t, db)
	venue := testkit.Venue
	venue.Open = false
	if err := db.PutVenue(t.Context(), venue, order.Audit{ID: "01900000-0000-7000-8000-000000000009", Staff: "test", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := db.Apply(t.Context(), started); !errors.Is(err, order.ErrStale) {
		t.Errorf("a start decided before the venue closed: got %v, want ErrStale", err)
	}
}
