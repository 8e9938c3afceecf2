package order_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// relayed is a word as a phone brings it.
func relayed(h order.Hear) order.Hear {
	h.Relayed = true
	return h
}

// TestAKeptBeatMakesNoLockReachable: a phone may bring what a lock said hours ago, as
// often as it likes. It proves what it proves, and dates nothing; what answers a probe of
// ours was said after it, and does.
func TestAKeptBeatMakesNoLockReachable(t *testing.T) {
	s := ready(t)
	l := s.locks["bike-1"]
	kept := relayed(l.beat())
	s.pass(3 * time.Hour)
	for range 3 {
		s.hear(kept)
		if d := s.device("bike-1"); d.Contactable(s.now) || s.now.Sub(d.HeardAt) < time.Hour {
			t.Fatalf("a beat of three hours ago makes it reachable: heard %v, clock %+v", d.HeardAt, d.Clock(s.now))
		}
		s.pass(device.SampleLife)
	}
	if _, err := s.svc.Place(context.Background(), s.placing()); !errors.Is(err, order.ErrOffline) {
		t.Errorf("an order without the second road: %v, want %v", err, order.ErrOffline)
	}
	s.dispatched()
	p := s.placing()
	overBluetooth(&p)
	placed, err := s.svc.Place(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	probe := s.dispatched()[0]
	s.hear(kept)
	s.wants(placed.Order.ID, order.Pending)
	s.hear(relayed(l.answers(probe)))
	s.wants(placed.Order.ID, order.Starting)
	if c := s.start(); !l.fresh(c) {
		t.Errorf("the start is dated %d, the lock's uptime is %d", c.NotAfter, l.uptime())
	}
}
