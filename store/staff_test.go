package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/order"
)

// TestOneFirstRunLinkWorksAtATime, however many replicas start at once, and one of
// several who spend it makes the first admin.
func TestOneFirstRunLinkWorksAtATime(t *testing.T) {
	db, _ := open(t)
	var together sync.WaitGroup
	for i := range 8 {
		together.Go(func() {
			if needed, err := db.AddFirstRun(t.Context(), [32]byte{byte(i)}, time.Hour); err != nil || !needed {
				t.Errorf("link %d: %v, %v", i, needed, err)
			}
		})
	}
	together.Wait()
	works := -1
	for i := range 8 {
		switch err := db.FirstRunOpen(t.Context(), [32]byte{byte(i)}); {
		case err == nil && works >= 0:
			t.Errorf("links %d and %d both work", works, i)
		case err == nil:
			works = i
		case !errors.Is(err, order.ErrNotFound):
			t.Fatal(err)
		}
	}
	if works < 0 {
		t.Fatal("no link works")
	}
	made := make(chan string, 8)
	for i := range 8 {
		together.Go(func() {
			s := order.Staff{ID: uuid.NewString(), Name: "admin " + string(rune('a'+i)), Role: order.Admin}
			key := order.APIKey{ID: uuid.NewString(), Staff: s.ID, Label: "k", Role: order.Admin}
			err := db.UseFirstRun(t.Context(), [32]byte{byte(i)}, s, key, [32]byte{byte(i)}, order.Audit{ID: uuid.NewString(), Staff: s.ID, Act: "staff.first_run", At: time.Now()})
			if err == nil {
				made <- s.Name
			} else if !errors.Is(err, order.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if want := "admin " + string(rune('a'+works)); len(made) != 1 || <-made != want {
		t.Errorf("%d more admins were made than %s", len(made), want)
	}
	if needed, err := db.AddFirstRun(t.Context(), [32]byte{9}, time.Hour); err != nil || needed {
		t.Errorf("a link where there is an admin: %v, %v", needed, err)
	}
	if err := db.FirstRunOpen(t.Context(), [32]byte{byte(works)}); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("the link that was spent: %v", err)
	}
}
