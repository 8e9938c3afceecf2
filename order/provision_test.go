package order_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func provisioning() order.Provision {
	return order.Provision{Device: "bike-1", Kind: device.Lock, Venue: campus.ID, Outlets: 1, PublicKey: make([]byte, 32), Staff: staff}
}

func TestProvisioningRefusesWhatCannotBeMeant(t *testing.T) {
	for name, c := range map[string]struct {
		bend func(*order.Provision)
		want error
	}{
		"a bad id":        {func(p *order.Provision) { p.Device = "a/b" }, device.ErrBadID},
		"no outlet":       {func(p *order.Provision) { p.Outlets = 0 }, order.ErrWrongState},
		"a lock with two": {func(p *order.Provision) { p.Outlets = 2 }, order.ErrInvalid},
		"17 outlets":      {func(p *order.Provision) { p.Kind, p.Outlets = device.Pump, 17 }, order.ErrWrongState},
		"a short key":     {func(p *order.Provision) { p.PublicKey = make([]byte, 31) }, order.ErrWrongState},
		"no key":          {func(p *order.Provision) { p.PublicKey = nil }, order.ErrWrongState},
		"no reason":       {func(p *order.Provision) { p.Staff.Reason = "" }, order.ErrReason},
		"another outlet count": {func(p *order.Provision) {
			side := map[uint8]string{1: "92"}
			p.Kind, p.Outlets, p.Grades = device.Pump, 2, map[uint8]map[uint8]string{1: side, 2: side}
		}, order.ErrWrongState},
	} {
		s := ready(t)
		p := provisioning()
		c.bend(&p)
		if _, err := s.svc.Provision(context.Background(), p); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if d := s.store.Devices()[0]; d.Epoch != 1 || len(s.store.Devices()) != 1 {
			t.Errorf("%s: refused and yet written: %+v", name, d)
		}
	}
}

func TestARetiredDeviceStaysRetired(t *testing.T) {
	s := ready(t)
	if _, err := s.svc.Instruct(context.Background(), order.Instruct{Device: "bike-1", Outlet: 1, Kind: device.Probe, Staff: staff}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.svc.SetService(context.Background(), order.SetService{Device: "bike-1", Service: device.Retired, Staff: staff}); err != nil {
		t.Fatal(err)
	}
	for _, c := range s.store.Commands() {
		if c.State.Open() {
			t.Errorf("%s %s is still open, and nobody listens to the device any more", c.Kind, c.ID)
		}
	}
	if _, err := s.svc.Provision(context.Background(), provisioning()); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("provisioning a retired device: got %v, want ErrWrongState", err)
	}
}

// TestStaffAskingAgainIsAnsweredAgain: the first answer may have been lost with
// its connection.
func TestStaffAskingAgainIsAnsweredAgain(t *testing.T) {
	s, _, o, _, _ := until(t, "active")
	a := order.Act{Order: o.ID, Input: order.ForceEnd, Staff: &staff}
	for range 2 {
		if _, err := s.svc.Act(context.Background(), a); err != nil {
			t.Fatal(err)
		}
	}
	rows := 0
	for _, r := range s.store.Audits() {
		if r.Object == "order "+o.ID {
			rows++
		}
	}
	if rows != 1 {
		t.Errorf("%d audit rows for one end, want 1", rows)
	}
	a.Staff = nil
	if _, err := s.svc.Act(context.Background(), a); !errors.Is(err, order.ErrReason) {
		t.Errorf("an end by nobody: got %v, want ErrReason", err)
	}
}

func TestADeviceIsNotProvisionedAnewInARide(t *testing.T) {
	for _, state := range []string{"starting", "unresolved", "active"} {
		s, _, o, _, _ := until(t, state)
		if _, err := s.svc.Provision(context.Background(), provisioning()); !errors.Is(err, order.ErrOutletBusy) {
			t.Errorf("%s: got %v, want ErrOutletBusy", state, err)
		}
		s.wants(o.ID, o.State)
	}
}

func TestANewEpochForgetsWhatTheOldOneSaid(t *testing.T) {
	s := ready(t)
	s.ride(time.Minute)
	s.distrust("bike-1")
	before := s.store.Devices()[0]
	key := slices.Repeat([]byte{9}, 32)
	p := provisioning()
	p.PublicKey = key
	d, err := s.svc.Provision(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if before.Service != device.OutOfService || d.Service != device.InService || d.Epoch != 2 || d.Applied != 0 ||
		d.Journal != (device.Journal{}) || len(d.Boots) != 0 || d.Sample != (device.Sample{}) {
		t.Errorf("device: %+v, want it new, in service, epoch 2", d)
	}
	if out := s.outlet("bike-1"); out.NextSeq != 1 || out.LastSeq != 0 || out.Stated.Known {
		t.Errorf("outlet: %+v, want it new", out)
	}
	if k, ok := s.store.Key("bike-1", 1); !ok || len(k) != 32 {
		t.Error("the key of the earlier epoch is gone; its late evidence could not be read")
	}
	p2 := s.placing()
	p2.Ticket.Epoch = 1
	s.refused(p2, order.ErrTicketStale)
	p2.Ticket.Epoch = 2
	s.refused(p2, order.ErrOffline)
}

func TestMaintenanceIsASwitchAndRetirementIsNot(t *testing.T) {
	set := func(s *scene, to device.Service, reason string) error {
		who := staff
		who.Reason = reason
		_, err := s.svc.SetService(context.Background(), order.SetService{Device: "bike-1", Service: to, Staff: who})
		return err
	}
	s := ready(t)
	for _, c := range []struct {
		to     device.Service
		reason string
		want   error
		is     device.Service
	}{
		{device.Maintenance, "", order.ErrReason, device.InService},
		{"holiday", "sun", order.ErrWrongState, device.InService},
		{device.OutOfService, "only the server says so", order.ErrWrongState, device.InService},
		{device.Maintenance, "a flat tyre", nil, device.Maintenance},
		{device.InService, "pumped up", nil, device.InService},
		{device.Retired, "rust", nil, device.Retired},
		{device.InService, "second thoughts", order.ErrWrongState, device.Retired},
		{device.Maintenance, "second thoughts", order.ErrWrongState, device.Retired},
		{device.Retired, "twice", order.ErrWrongState, device.Retired},
	} {
		audits := len(s.store.Audits())
		if err := set(s, c.to, c.reason); !errors.Is(err, c.want) {
			t.Errorf("to %s: got %v, want %v", c.to, err, c.want)
		}
		if d := s.store.Devices()[0]; d.Service != c.is || c.want == nil && d.ServiceReason != c.reason {
			t.Errorf("to %s: is %s (%s), want %s", c.to, d.Service, d.ServiceReason, c.is)
		}
		if wrote := len(s.store.Audits()) - audits; (wrote == 1) != (c.want == nil) {
			t.Errorf("to %s: %d audit rows", c.to, wrote)
		}
	}
	if _, err := s.svc.SetService(context.Background(), order.SetService{Device: "bike-9", Service: device.Maintenance, Staff: staff}); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("an unknown device: got %v, want ErrNotFound", err)
	}

	s, _, o := riding(t)
	if err := set(s, device.Retired, "rust"); !errors.Is(err, order.ErrOutletBusy) {
		t.Errorf("retire in a ride: got %v, want ErrOutletBusy", err)
	}
	if err := set(s, device.Maintenance, "after this ride"); err != nil {
		t.Errorf("maintenance in a ride: %v", err)
	}
	s.wants(o.ID, order.Active)
	s.pass(time.Minute)
	s.hear(s.locks["bike-1"].closes())
	s.wants(o.ID, order.Settled)

	s = ready(t)
	s.distrust("bike-1")
	if err := set(s, device.InService, "it will be fine"); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("back in service without provisioning: got %v, want ErrWrongState", err)
	}
	if err := set(s, device.Retired, "rust"); err != nil {
		t.Errorf("retire what is not trusted: %v", err)
	}
}

// TestTheSwitchAndAStartInFlightMeet: a start decided before the switch and
// applied after it must fail its guard.
func TestTheSwitchAndAStartInFlightMeet(t *testing.T) {
	s := ready(t)
	p := s.placing()
	snap, err := s.store.Load(context.Background(), p.Query())
	if err != nil {
		t.Fatal(err)
	}
	changes, _, err := p.Decide(snap, s.svc.Env)
	if err != nil {
		t.Fatal(err)
	}
	s.switchTo("bike-1", device.Maintenance)
	if err := s.store.Apply(context.Background(), changes); !errors.Is(err, order.ErrStale) {
		t.Errorf("the start after the switch: got %v, want ErrStale", err)
	}
}
