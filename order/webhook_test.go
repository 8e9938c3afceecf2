package order_test

import (
	"slices"
	"testing"
	"time"

	"github.com/unlatch/unlatch/order"
)

// TestAnOrderTellsEachStateOnce: an order is updated for much that is no move; webhooks
// hear of its states alone.
func TestAnOrderTellsEachStateOnce(t *testing.T) {
	s := ready(t)
	told := func(id string) (events []string, updates int) {
		for _, u := range s.store.Updates() {
			if u.Subject != "order."+id {
				continue
			}
			updates++
			if e := order.EventOf(u); e != "" {
				events = append(events, e)
			}
		}
		return events, updates
	}
	l := s.locks["bike-1"]
	o, c := s.place()
	s.pass(16 * time.Second)
	s.must(o.ID, order.Elapse)
	s.must(o.ID, order.Cancel) // while it is unresolved
	s.hear(l.opens(c))
	s.pass(5 * time.Minute)
	s.hear(l.closes())
	s.wants(o.ID, order.Settled)
	for _, key := range []string{"first", "second", "third"} {
		if err := s.refund(o.ID, 1, key); err != nil {
			t.Fatal(err)
		}
	}
	events, updates := told(o.ID)
	if want := []string{order.EventUnresolved, order.EventOrderActive, order.EventOrderSettled}; !slices.Equal(events, want) || updates < len(want)+4 {
		t.Errorf("of %d updates webhooks hear %v, want %v", updates, events, want)
	}
	s.hear(l.beat())
	given, _ := s.giveUpOnBen()
	if events, _ := told(given.ID); !slices.Equal(events, []string{order.EventUnresolved, order.EventOrderVoided}) {
		t.Errorf("of an order that is given up webhooks hear %v", events)
	}
}
