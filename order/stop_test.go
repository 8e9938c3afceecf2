package order_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// hears lets the pump burn what was sent to it.
func (p *dispenser) hears(sent []device.Command) {
	for _, c := range sent {
		if c.Device == p.id {
			p.sides[c.Outlet].last = max(p.sides[c.Outlet].last, c.Seq)
		}
	}
}

func (p *dispenser) releasedBy() order.Hear { return p.piece(1, device.Alarm, because("released")) }

// deviceOf reads a device.
func (s *scene) deviceOf(id device.ID) device.Device {
	for _, d := range s.store.Devices() {
		if d.ID == id {
			return d
		}
	}
	return device.Device{}
}

// turnsAway orders at side 2 of a pump and wants that error.
func (s *scene) turnsAway(p *dispenser, want error) {
	s.Helper()
	x := s.placing()
	at(2, func(x *order.Place) { x.Ticket.Device, x.Ticket.Epoch = p.id, p.epoch })(&x)
	if _, err := s.svc.Place(context.Background(), x); !errors.Is(err, want) {
		s.Errorf("order at %s: got %v, want %v", p.id, err, want)
	}
}

func haltedByStaff(s *scene, p *dispenser) error {
	who := staff
	return s.svc.Halt(context.Background(), order.Halt{Device: p.id, Reason: "spill", Staff: &who})
}

func venueStopped(s *scene, _ *dispenser) error {
	return s.svc.StopVenue(context.Background(), order.Stop{Venue: station.ID, By: "staff s1", Reason: "spill", At: s.now}, nil)
}

func TestAnEmergencyStopEndsEverythingUntilAHandReleasesIt(t *testing.T) {
	for name, stop := range map[string]func(*scene, *dispenser) error{
		"staff stop one pump": haltedByStaff, "staff stop the venue": venueStopped,
		"a hand presses the button": func(s *scene, p *dispenser) error {
			s.hear(p.piece(1, device.Alarm, because("emergency_stop")))
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, p, o := fuelling(t)
			p.flows(1, 1, 2_000)
			s.dispatched()
			if err := stop(s, p); err != nil {
				t.Fatalf("stop: %v", err)
			}
			outlets, sent := map[uint8]bool{}, s.dispatched()
			for _, c := range sent {
				outlets[c.Outlet] = outlets[c.Outlet] || c.Kind == device.Stop && c.Order == ""
			}
			if byItself := name == "a hand presses the button"; byItself != (len(sent) == 0) || !byItself && !(outlets[1] && outlets[2]) {
				t.Errorf("stopped outlets %v, want both, the idle one too, unless the pump did it itself", outlets)
			}
			p.hears(sent)
			s.hear(p.ends(1, "stopped"))
			s.wants(o.ID, order.Settled)
			s.turnsAway(p, order.ErrStopped)
			if _, err := s.svc.SetService(context.Background(), order.SetService{Device: p.id, Service: device.InService, Staff: staff}); !errors.Is(err, order.ErrStopped) {
				t.Errorf("resume from afar: got %v, want ErrStopped", err)
			}
			p = s.dispenser(p.id, false) // new keys
			if s.deviceOf(p.id).Halt == nil {
				t.Error("new keys released the stop")
			}
			s.hear(p.releasedBy())
			s.turnsAway(p, nil)
		})
	}
}

// A release that was on its way when the stop came proves that nobody looked.
func TestAReleaseBeforeTheStopReleasesNothing(t *testing.T) {
	s, p := forecourt(t)
	pressed, released := p.piece(1, device.Alarm, because("emergency_stop")), p.releasedBy()
	if err := venueStopped(s, p); err != nil {
		t.Fatal(err)
	}
	sent := s.dispatched()
	s.hear(pressed, released)
	s.turnsAway(p, order.ErrStopped)
	p.hears(sent)
	s.hear(p.releasedBy())
	s.turnsAway(p, nil)
}

func TestAStopReachesPumpsThatAreOutOfServiceAndForgetsNoState(t *testing.T) {
	s, p, o := fuelling(t)
	bent := p.piece(1, device.SaidEnded, about(p.sides[1].use))
	e := *bent.Word.Evidence
	e.Seq, e.Raw = 2, []byte("another") // the number of its executed
	s.hear(order.Hear{Device: p.id, Word: device.Word{Evidence: &e}})
	if got := s.deviceOf(p.id).Service; got != device.OutOfService {
		t.Fatalf("a pump that contradicts itself is %s", got)
	}
	s.dispatched()
	if err := venueStopped(s, p); err != nil {
		t.Fatal(err)
	}
	if sent := s.dispatched(); len(sent) != 2 {
		t.Errorf("sent %+v, want a stop for each side of a pump that still runs order %s", sent, o.ID)
	}
	if d := s.deviceOf(p.id); d.Service != device.OutOfService || d.Halt == nil {
		t.Errorf("it is %s, stopped %v", d.Service, d.Halt != nil)
	}

	other := s.dispenser("pump-2", false)
	if _, err := s.svc.SetService(context.Background(), order.SetService{Device: other.id, Service: device.Maintenance, Staff: staff}); err != nil {
		t.Fatal(err)
	}
	s.dispatched()
	if err := haltedByStaff(s, other); err != nil {
		t.Fatal(err)
	}
	other.hears(s.dispatched())
	s.hear(other.releasedBy())
	if d := s.deviceOf(other.id); d.Service != device.Maintenance || d.Halt != nil {
		t.Errorf("a pump under repair is %s after a stop and its release, stopped %v", d.Service, d.Halt != nil)
	}
}

func TestAnOldStopEndsNoLaterSale(t *testing.T) {
	s, p := forecourt(t)
	if err := haltedByStaff(s, p); err != nil {
		t.Fatal(err)
	}
	sent := s.dispatched()
	stop := sent[slices.IndexFunc(sent, func(c device.Command) bool { return c.Outlet == 1 })]
	p = s.dispenser(p.id, false) // the stops are of an older epoch now: send one that is lost
	s.hear(p.releasedBy())
	s.dispatched()
	if _, err := s.svc.Instruct(context.Background(), order.Instruct{Device: p.id, Outlet: 1, Kind: device.Stop, Staff: staff}); err != nil {
		t.Fatal(err)
	}
	stop = s.dispatched()[0]
	_, c := s.place(at(1, func(x *order.Place) { x.Ticket.Epoch = p.epoch }))
	s.hear(p.arms(c)) // a higher number is burned than the stop's
	if got := s.command(stop.ID).State; got != device.Spent {
		t.Errorf("a stop from before the sale is %s, want spent: sent again it would shut the valve", got)
	}
}

func TestGasStopsTheWholeVenueAndEachPumpResumesByItself(t *testing.T) {
	s, p, _ := fuelling(t)
	other := s.dispenser("pump-2", false)
	s.hear(p.piece(1, device.Alarm, because("gas")))
	s.turnsAway(other, order.ErrStopped) // the switch is read before anybody was told
	s.dispatched()
	if err := s.svc.StopVenue(context.Background(), order.Stop{Venue: station.ID, Reason: "sweep", At: s.now}, nil); err != nil { // what Run does by itself
		t.Fatal(err)
	}
	for _, d := range s.store.Devices() {
		if d.Halt == nil {
			t.Errorf("%s serves after a gas alarm", d.ID)
		}
	}
	sent := s.dispatched()
	p.hears(sent)
	s.hear(p.releasedBy())
	if s.deviceOf(p.id).Halt != nil || s.deviceOf(other.id).Halt == nil {
		t.Error("a hand at one pump releases that one and no other")
	}
}

// The same where the pump's word that it armed is still on its way.
func TestAStopIsNotDoneWhileAnUnprovedUseGoesOn(t *testing.T) {
	s, p := forecourt(t)
	o, c := s.place(at(1))
	armed := p.arms(c)
	s.dispatched()
	s.must(o.ID, order.Cancel)
	stop := s.dispatched()[0]
	p.sides[1].last = stop.Seq + 1
	if s.hear(p.beat()); stop.Kind != device.Stop || s.command(stop.ID).State != device.Published {
		t.Fatalf("%s #%d is %s while its use goes on", stop.Kind, stop.Seq, s.command(stop.ID).State)
	}
	s.hear(armed, p.ends(1, "stopped"))
	if s.wants(o.ID, order.Settled); s.command(stop.ID).State != device.Spent {
		t.Errorf("the stop is %s when its use is over", s.command(stop.ID).State)
	}
}
