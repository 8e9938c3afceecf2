package order_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func TestADeviceMovesOnlyWithoutALiveOrder(t *testing.T) {
	s, l, o := riding(t)
	move := order.TransferDevice{Device: "bike-1", Venue: "south", Staff: staff}
	if _, err := s.svc.TransferDevice(context.Background(), move); !errors.Is(err, order.ErrOutletBusy) {
		t.Errorf("during a ride: %v, want ErrOutletBusy", err)
	}
	s.hear(l.closes())
	s.wants(o.ID, order.Settled)
	late := s.placing()
	late.Ticket.Venue = campus.ID
	bare := move
	bare.Staff.Reason = ""
	if _, err := s.svc.TransferDevice(context.Background(), bare); !errors.Is(err, order.ErrReason) {
		t.Errorf("without a reason: %v, want ErrReason", err)
	}
	south := campus
	south.ID = "south"
	s.store.Seed(south, bike)
	d, err := s.svc.TransferDevice(context.Background(), move)
	if err != nil || d.Venue != "south" {
		t.Fatalf("moved to %q, %v; want south", d.Venue, err)
	}
	if _, err := s.svc.Place(context.Background(), late); !errors.Is(err, order.ErrTicketStale) {
		t.Errorf("a ticket of the venue before: %v, want ErrTicketStale", err)
	}
	if got := s.order(o.ID).Venue; got != campus.ID {
		t.Errorf("the ride before the move is of venue %q now, want %q", got, campus.ID)
	}
	fresh := s.placing()
	fresh.Ticket.Venue = "south"
	if p, err := s.svc.Place(context.Background(), fresh); err != nil || p.Order.Venue != "south" {
		t.Errorf("a ride after the move: venue %q, %v", p.Order.Venue, err)
	}
}

// TestAStartInFlightMeetsTheTransfer: it was decided at the venue before.
func TestAStartInFlightMeetsTheTransfer(t *testing.T) {
	s := ready(t)
	snap, err := s.store.Load(context.Background(), s.placing().Query())
	if err != nil {
		t.Fatal(err)
	}
	started, _, err := s.placing().Decide(snap, s.svc.Env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.svc.TransferDevice(context.Background(), order.TransferDevice{Device: "bike-1", Venue: "south", Staff: staff}); err != nil {
		t.Fatal(err)
	}
	if err := s.store.Apply(context.Background(), started); !errors.Is(err, order.ErrStale) {
		t.Errorf("the start: %v, want ErrStale", err)
	}
}

func TestAPumpStaysWithItsBooksAndARetiredDeviceWhereItIs(t *testing.T) {
	s := ready(t)
	s.pass(time.Second)
	if _, err := s.svc.SetService(context.Background(), order.SetService{Device: "bike-1", Service: device.Retired, Staff: staff}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.svc.TransferDevice(context.Background(), order.TransferDevice{Device: "bike-1", Venue: "south", Staff: staff}); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("a retired lock: %v, want ErrWrongState", err)
	}
	if _, err := s.svc.Provision(context.Background(), order.Provision{Device: "pump-9", Kind: device.Pump, Venue: campus.ID, Outlets: 1,
		Grades: map[uint8]map[uint8]string{1: {1: "92"}}, PublicKey: make([]byte, 32), Staff: staff}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.svc.TransferDevice(context.Background(), order.TransferDevice{Device: "pump-9", Venue: "south", Staff: staff}); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("a pump: %v, want ErrWrongState", err)
	}
}

func TestTryingToProvisionWritesNothing(t *testing.T) {
	s := ready(t)
	p := order.Provision{Device: "bike-2", Kind: device.Lock, Venue: campus.ID, Outlets: 1, PublicKey: make([]byte, 32), Staff: staff}
	if err := s.svc.TryProvision(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if snap, err := s.store.Load(context.Background(), order.Query{Device: "bike-2"}); err != nil || snap.Device != nil {
		t.Errorf("tried, and known: %+v, %v", snap.Device, err)
	}
	p.Device, p.OnlyNew = "bike-1", true
	if err := s.svc.TryProvision(context.Background(), p); !errors.Is(err, order.ErrExists) {
		t.Errorf("only a new one, and it is known: %v, want ErrExists", err)
	}
}
