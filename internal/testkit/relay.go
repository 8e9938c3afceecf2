package testkit

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// secondRoad lets an order wait for the word of a lock that was never heard.
func secondRoad(t *testing.T, s Subject) {
	carrier, ok := s.(order.Carrier)
	if !ok {
		t.Fatal("the store cannot tell what a phone may carry")
	}
	act(t, s, order.UseCase[device.Device](order.Provision{Device: "bike-1", Kind: device.Lock, Venue: Venue.ID, Outlets: 1, Bluetooth: true,
		PublicKey: make([]byte, 32), Staff: order.Audit{Staff: "test", Act: "provision", Reason: "test"}}))
	topUp(t, s, "k1", 5000)
	place := placing("bike-1", "t1", "p1")
	place.Road = order.Bluetooth
	p := act(t, s, order.UseCase[order.Placed](place))
	snap, err := s.Load(t.Context(), order.Query{Order: p.Order.ID})
	if err != nil {
		t.Fatal(err)
	}
	want := p.Order
	want.Version = 1
	if diff := cmp.Diff(want, snap.Orders[0], cmpopts.EquateApproxTime(time.Microsecond), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("order read back (-want +got):\n%s", diff)
	}
	if o := snap.Orders[0]; o.State != order.Pending || o.Road != order.Bluetooth || o.DueAt.IsZero() || !snap.Device.Bluetooth {
		t.Fatalf("the order is %s by road %q, due %v, of a device with Bluetooth: %v", o.State, o.Road, o.DueAt, snap.Device.Bluetooth)
	}
	if len(snap.Riders) != 1 || snap.Riders[0].ID != Rider.ID || snap.Riders[0].Blocked {
		t.Errorf("riders who wait: %+v, want the order's", snap.Riders)
	}
	d, open, now, err := carrier.Carried(t.Context(), "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	if !d.Bluetooth || len(open) != 1 || open[0].Kind != device.Probe || len(open[0].Bytes) == 0 || time.Since(now).Abs() > time.Hour {
		t.Errorf("carried: %+v at %v, want the probe with its bytes", open, now)
	}
	beat(t, s, "bike-1", 3_600_000, 0, open[0].Seq)
	snap, err = s.Load(t.Context(), order.Query{Order: p.Order.ID})
	if err != nil {
		t.Fatal(err)
	}
	if o := snap.Orders[0]; o.State != order.Starting || o.Road != order.Bluetooth || o.Hold == "" || o.Command == "" {
		t.Errorf("after the probe's answer it is %s by road %q with hold %q and start %q", o.State, o.Road, o.Hold, o.Command)
	}
	if !snap.Device.Bluetooth {
		t.Errorf("a device that was heard has lost its Bluetooth")
	}
	if _, _, _, err := carrier.Carried(t.Context(), "nobody"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("of an unknown device: %v, want order.ErrNotFound", err)
	}
}
