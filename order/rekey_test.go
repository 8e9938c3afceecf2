package order_test

import (
	"context"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// signedBy notes which of the server's keys signed each command, by its id.
type signedBy map[string]string

func (s signedBy) Seal(id device.ID, c device.Command) ([]byte, error) {
	s[c.ID] = c.Key
	return sealer{}.Seal(id, c)
}

// rotating is a scene whose bike-1 knows the key "old", and whose server has "new".
func rotating(t *testing.T) (*scene, *lock, signedBy) {
	t.Helper()
	signed := signedBy{}
	s := ready(t, func(c *order.ServiceConfig) {
		c.Env.Sealer = signed
		c.Env.Keys = order.ServerKeys{Name: "old", Public: make([]byte, 32)}
	})
	s.svc.Env.Keys = order.ServerKeys{Name: "new", Public: make([]byte, 32)}
	return s, s.locks["bike-1"], signed
}

func (s *scene) device(id device.ID) device.Device {
	s.Helper()
	snap, err := s.store.Load(context.Background(), order.Query{Device: id})
	if err != nil || snap.Device == nil {
		s.Fatalf("device %s: %v", id, err)
	}
	return *snap.Device
}

// next beats and returns the one command that follows, nil where none does.
func (s *scene) next(l *lock) *device.Command {
	s.Helper()
	s.pass(time.Second)
	s.dispatched()
	heard := s.hear(l.beat())
	if len(heard.Send) == 0 {
		return nil
	}
	return &heard.Send[len(heard.Send)-1]
}

func TestADeviceChangesItsServerKeyStepByStep(t *testing.T) {
	s, l, signed := rotating(t)
	shown := s.next(l)
	if shown == nil || shown.Kind != device.Config || signed[shown.ID] != "old" {
		t.Fatalf("first: %+v, signed by %q; want a config by the old key", shown, signed[shown.ID])
	}
	if c := s.next(l); c != nil {
		t.Fatalf("before it is burned: %+v, want nothing", c)
	}
	l.burn(*shown)
	tried := s.next(l)
	if tried == nil || tried.Kind != device.Probe || signed[tried.ID] != "new" {
		t.Fatalf("then: %+v, signed by %q; want a probe by the new key", tried, signed[tried.ID])
	}
	if got := s.device("bike-1").ServerKey; got != "old" {
		t.Errorf("before the probe is burned the key is %q, want old", got)
	}
	l.burn(*tried)
	alone := s.next(l)
	if alone == nil || alone.Kind != device.Config || signed[alone.ID] != "new" {
		t.Fatalf("then: %+v, signed by %q; want a config by the new key", alone, signed[alone.ID])
	}
	if d := s.device("bike-1"); d.ServerKey != "new" || d.Rekey == nil {
		t.Errorf("proved: key %q, %+v; want new, and the old one still to be dropped", d.ServerKey, d.Rekey)
	}
	l.burn(*alone)
	if c := s.next(l); c != nil {
		t.Errorf("in the end: %+v, want nothing", c)
	}
	if d := s.device("bike-1"); d.ServerKey != "new" || d.Rekey != nil {
		t.Errorf("in the end: key %q, %+v", d.ServerKey, d.Rekey)
	}
}

// TestANumberThatWasPassedProvesNoKey: the probe of the new key was lost, and a ride's
// start, signed by the old one, burned a higher number.
func TestANumberThatWasPassedProvesNoKey(t *testing.T) {
	s, l, signed := rotating(t)
	l.burn(*s.next(l)) // shown
	tried := s.next(l)
	o, start := s.place()
	if signed[start.ID] != "old" {
		t.Fatalf("a start before the proof is signed by %q, want old", signed[start.ID])
	}
	s.hear(l.opens(start), l.closes())
	s.wants(o.ID, order.Settled)
	again := s.next(l)
	if d := s.device("bike-1"); d.ServerKey != "old" {
		t.Fatalf("number %d was passed by %d, and the device counts as knowing key %q", tried.Seq, start.Seq, d.ServerKey)
	}
	if again == nil || again.Kind != device.Config || signed[again.ID] != "old" {
		t.Errorf("the change begins anew: %+v, want a config by the old key", again)
	}
}

// TestNoKeyChangesDuringARide, and a device that answers nothing is asked again, but not
// at every beat.
func TestNoKeyChangesDuringARide(t *testing.T) {
	s, l, _ := rotating(t)
	s.svc.Env.Keys.Name = "old"
	o, c := s.place()
	s.hear(l.opens(c))
	s.wants(o.ID, order.Active)
	s.svc.Env.Keys.Name = "new"
	if c := s.next(l); c != nil && c.Kind == device.Config {
		t.Errorf("during the ride: %+v", c)
	}
	s.hear(l.closes())
	first := s.next(l)
	if first == nil || first.Kind != device.Config {
		t.Fatalf("after the ride: %+v, want a config", first)
	}
	for range 5 {
		if c := s.next(l); c != nil {
			t.Fatalf("within the minute: %+v", c)
		}
	}
	s.pass(time.Minute)
	if c := s.next(l); c == nil || c.Seq <= first.Seq {
		t.Errorf("after the minute: %+v, want another config", c)
	}
}

func TestANewDeviceKnowsTheNewKeyAlone(t *testing.T) {
	s, _, _ := rotating(t)
	l := s.lock("bike-2")
	if d := s.device("bike-2"); d.ServerKey != "new" || d.Rekey != nil {
		t.Errorf("provisioned with %q, %+v", d.ServerKey, d.Rekey)
	}
	if c := s.next(l); c != nil {
		t.Errorf("it is sent %+v, want nothing", c)
	}
}
