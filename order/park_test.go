package order_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// stands is where each device said that it is.
type stands map[device.ID]order.Stand

func (stands) Battery(device.ID) (int, bool) { return 0, false }

func (m stands) Position(id device.ID) (order.Point, time.Time, bool) {
	s, ok := m[id]
	return s.Point, s.Said, ok
}

func TestABikeLockedOutsideOfTheGeofenceIsAnItemAndNothingMore(t *testing.T) {
	in, out := order.Point{Lat: 1, Lng: 1}, order.Point{Lat: 5, Lng: 1}
	for _, c := range []struct {
		name   string
		at     order.Point
		age    time.Duration // of the position when the lock's word comes
		late   time.Duration // of the lock's word
		nobody bool          // it never told a position
		want   bool
	}{
		{name: "inside", at: in},
		{name: "outside", at: out, want: true},
		{name: "outside, said four minutes before", at: out, age: 4 * time.Minute, want: true},
		{name: "outside, said six minutes before", at: out, age: 6 * time.Minute},
		{name: "outside, and the word was long on its way", at: out, late: time.Hour},
		{name: "never told", nobody: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			known := stands{}
			s := ready(t, func(s *order.ServiceConfig) { s.LastKnown = known })
			fenced := campus
			fenced.Fence = order.Fence{{{{Lat: 0, Lng: 0}, {Lat: 0, Lng: 2}, {Lat: 2, Lng: 2}, {Lat: 2, Lng: 0}, {Lat: 0, Lng: 0}}}}
			s.store.Seed(fenced, bike, ann)
			o, start := s.place()
			l := s.locks["bike-1"]
			s.hear(l.opens(start))
			s.pass(90 * time.Second)
			s.hear(l.beat())
			word := l.closes()
			s.pass(c.late)
			if !c.nobody {
				known["bike-1"] = order.Stand{Point: c.at, Said: s.now.Add(-c.age)}
			}
			s.hear(word)
			settled := s.wants(o.ID, order.Settled)
			if got := slices.Contains(s.itemKinds(), order.ItemOutside); got != c.want {
				t.Errorf("item %v, want %v", got, c.want)
			}
			if settled.Charged != 200 || settled.Debt != 0 {
				t.Errorf("charged %d and owed %d, want 200 and 0 wherever it stands", settled.Charged, settled.Debt)
			}
		})
	}
}

func TestAnErasedRiderBeginsNothing(t *testing.T) {
	s := ready(t)
	gone := ann
	gone.Erased = true
	s.store.Seed(campus, bike, gone)
	if _, err := s.svc.Place(t.Context(), s.placing()); !isErased(err) {
		t.Errorf("an order: %v, want %v", err, order.ErrRiderErased)
	}
	if _, err := s.money(order.Money{Rider: ann.ID, Amount: 5, Key: order.KeyRef{Principal: "staff:s1", Key: "x"}}); !isErased(err) {
		t.Errorf("a top-up by staff: %v", err)
	}
	answer := func(order.Payment) (int, []byte, error) { return 201, nil, nil }
	if _, err := s.svc.TopUp(t.Context(), order.TopUp{Rider: ann.ID, Amount: 5, Key: order.KeyRef{Principal: "p", Key: "y"}, Answer: answer}); !isErased(err) {
		t.Errorf("a top-up: %v", err)
	}
	if _, err := s.svc.GrantPass(t.Context(), order.GrantPass{Rider: ann.ID, Pass: "month", Staff: staff}); !isErased(err) {
		t.Errorf("a pass given: %v", err)
	}
	if _, err := s.svc.BuyPass(t.Context(), order.BuyPass{Rider: ann.ID, Pass: "month", Key: order.KeyRef{Principal: "p", Key: "z"}}); !isErased(err) {
		t.Errorf("a pass bought: %v", err)
	}
}

func isErased(err error) bool { return errors.Is(err, order.ErrRiderErased) }
