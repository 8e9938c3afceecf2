package order_test

import (
	"context"
	"fmt"
	"slices"
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
		t.Errorf("after the minute: %+v, want another step", c)
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

// keyring plays which of the server's keys a device obeys: it burns what one of them
// signed, and nothing else.
type keyring struct {
	knows  []string
	signed signedBy
	last   map[uint8]uint64
}

func (k *keyring) obeys(commands ...device.Command) (obeyed []device.Command) {
	for _, c := range commands {
		if slices.Contains(k.knows, k.signed[c.ID]) && c.Seq > k.last[c.Outlet] {
			k.last[c.Outlet] = c.Seq
			obeyed = append(obeyed, c)
		}
	}
	return obeyed
}

// minutes lets a device beat once a minute, and obey what it can.
func (k *keyring) minutes(s *scene, l *lock, n int) {
	s.Helper()
	for range n {
		s.pass(time.Minute)
		s.dispatched()
		k.obeys(s.hear(l.beat()).Send...)
		l.last = k.last[1]
	}
}

// TestADeviceThatChangedAfterTheBackupIsFound: the database says "old", and the device
// obeys "new" alone.
func TestADeviceThatChangedAfterTheBackupIsFound(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		s, l, signed := rotating(t)
		k := &keyring{knows: []string{"new"}, signed: signed, last: map[uint8]uint64{1: l.last}}
		k.minutes(s, l, 6)
		if d := s.device("bike-1"); d.ServerKey != "new" || d.Rekey != nil {
			t.Errorf("after six minutes: key %q, %+v; want new and at the end", d.ServerKey, d.Rekey)
		}
	})
	t.Run("a rider tried to start it", func(t *testing.T) {
		s, l, signed := rotating(t)
		k := &keyring{knows: []string{"new"}, signed: signed, last: map[uint8]uint64{1: l.last}}
		o, start := s.place()
		if got := k.obeys(start); got != nil {
			t.Fatalf("it obeys %+v", got)
		}
		k.minutes(s, l, 8)
		if d := s.device("bike-1"); d.ServerKey != "new" {
			t.Errorf("after eight minutes: key %q, %+v; want new", d.ServerKey, d.Rekey)
		}
		if got := s.order(o.ID); got.State != order.Voided {
			t.Errorf("the order is %s, want voided: a number above its start is burned", got.State)
		}
	})
	t.Run("its ride of the backup ended since", func(t *testing.T) {
		s, l, signed := rotating(t)
		s.svc.Env.Keys.Name = "old"
		o, start := s.place()
		s.hear(l.opens(start))
		s.wants(o.ID, order.Active)
		s.svc.Env.Keys.Name = "new"
		k := &keyring{knows: []string{"new"}, signed: signed, last: map[uint8]uint64{1: l.last}}
		end := l.closes() // acked by the installation that is gone: it comes again when it is asked for
		asked := false
		for range 6 {
			s.pass(time.Minute)
			heard := s.hear(l.beat())
			k.obeys(heard.Send...)
			l.last = k.last[1]
			asked = asked || heard.Ack != nil && heard.Ack.Key == "new"
		}
		if !asked {
			t.Fatal("nothing that it can read ever asked for its evidence")
		}
		s.hear(end)
		s.wants(o.ID, order.Settled)
		k.minutes(s, l, 4)
		if d := s.device("bike-1"); d.ServerKey != "new" || d.Rekey != nil {
			t.Errorf("in the end: key %q, %+v", d.ServerKey, d.Rekey)
		}
	})
}

// rotatingPump is a forecourt whose pump-1 is a beat away from proving the new key.
func rotatingPump(t *testing.T) (*scene, *dispenser, *keyring) {
	t.Helper()
	signed := signedBy{}
	s, p := forecourt(t, func(c *order.ServiceConfig) {
		c.Env.Sealer = signed
		c.Env.Keys = order.ServerKeys{Name: "old", Public: make([]byte, 32)}
	})
	s.svc.Env.Keys.Name = "new"
	k := &keyring{knows: []string{"old"}, signed: signed, last: map[uint8]uint64{1: p.sides[1].last, 2: p.sides[2].last}}
	return s, p, k
}

// step beats once, and the pump obeys; it returns the config that drops the old key.
func (k *keyring) step(s *scene, p *dispenser) (alone bool) {
	s.Helper()
	s.pass(time.Second)
	for _, c := range k.obeys(s.hear(p.beat()).Send...) {
		if c.Kind == device.Config {
			alone = k.signed[c.ID] == "new"
			k.knows = []string{k.signed[c.ID], "new"}
		}
	}
	for n, side := range p.sides {
		side.last = k.last[n]
	}
	return alone
}

// TestTheOldKeyIsKeptWhileAnOutletNeedsIt: side 2 has a use whose start and stop the old
// key signed, and then a stop that came between the proof and the beat that tells of it.
func TestTheOldKeyIsKeptWhileAnOutletNeedsIt(t *testing.T) {
	t.Run("a use on the other side", func(t *testing.T) {
		s, p, k := rotatingPump(t)
		o, start := s.place(at(2))
		k.obeys(start)
		s.hear(p.arms(start))
		s.wants(o.ID, order.Active)
		k.step(s, p)
		k.step(s, p)
		s.must(o.ID, order.End) // a stop of side 2, which the pump does not hear yet
		stops := s.dispatched()
		for range 5 {
			if k.step(s, p) {
				t.Fatal("the old key is dropped while a stop that it signed is open on side 2")
			}
		}
		if d := s.device("pump-1"); d.ServerKey != "new" {
			t.Errorf("the key is %q, want new: it is proved", d.ServerKey)
		}
		if len(k.obeys(stops...)) == 0 && len(stops) > 0 && k.last[2] < stops[len(stops)-1].Seq {
			t.Errorf("the pump refuses the stop %+v", stops)
		}
		p.sides[2].last = k.last[2]
		s.hear(p.ends(2, "stopped"))
		s.wants(o.ID, order.Settled)
		for range 3 {
			if k.step(s, p) {
				return
			}
			s.pass(time.Minute)
		}
		t.Errorf("the old key is never dropped: %+v", s.device("pump-1").Rekey)
	})
	t.Run("a stop of the pump", func(t *testing.T) {
		s, p, k := rotatingPump(t)
		k.step(s, p)
		k.step(s, p) // the probe of the new key is burned, and no beat has said so
		if err := s.svc.Halt(t.Context(), order.Halt{Device: "pump-1", Reason: "spill", Staff: &staff}); err != nil {
			t.Fatal(err)
		}
		old := s.dispatched()
		if k.step(s, p) {
			t.Fatal("the old key is dropped while the stop that it signed is open")
		}
		for _, c := range s.store.Commands() {
			if c.Kind == device.Stop && k.signed[c.ID] == "new" {
				k.obeys(old...) // late: what came again has passed it
				for range 3 {
					if k.step(s, p) {
						return
					}
				}
				t.Fatalf("the old key is never dropped: %+v", s.device("pump-1").Rekey)
			}
		}
		t.Error("the stop that the old key signed is not sent again by the new one")
	})
}

// keyless signs nothing but by the keys that it holds.
type keyless map[string]bool

func (k keyless) Seal(id device.ID, c device.Command) ([]byte, error) {
	if !k[c.Key] {
		return nil, fmt.Errorf("no key %q here", c.Key)
	}
	return sealer{}.Seal(id, c)
}

// TestAReplicaWithoutTheKeyStillListens, and undoes no step of one that has it.
func TestAReplicaWithoutTheKeyStillListens(t *testing.T) {
	s, l, _ := rotating(t)
	other := s.svc.Env
	l.burn(*s.next(l)) // shown
	before := s.device("bike-1").Rekey
	s.svc.Env.Keys.Name, s.svc.Env.Sealer = "old", keyless{"old": true}
	if c := s.next(l); c != nil {
		t.Errorf("a replica of the old key sends %+v", c)
	}
	if got := s.device("bike-1").Rekey; got == nil || *got != *before {
		t.Errorf("a replica of the old key leaves %+v of %+v", got, before)
	}
	s.svc.Env = other
	l.burn(*s.next(l)) // tried
	l.burn(*s.next(l)) // alone
	s.next(l)
	s.svc.Env.Keys.Name, s.svc.Env.Sealer = "old", keyless{"old": true}
	if c := s.next(l); c != nil {
		t.Errorf("to a device that it has no key for it sends %+v", c)
	}
	if d := s.device("bike-1"); d.ServerKey != "new" || d.Rekey != nil || !d.HeardAt.Equal(s.now) {
		t.Errorf("the beat is not taken in: %+v", d)
	}
}

// TestADisplayIsHeardWithoutItsKey: the time that it needs cannot be signed here.
func TestADisplayIsHeardWithoutItsKey(t *testing.T) {
	s, _ := forecourt(t)
	p := s.dispenser("pump-2", true)
	s.svc.Env.Sealer = keyless{}
	s.pass(7 * time.Hour)
	s.hear(p.beat())
	if d := s.device("pump-2"); !d.HeardAt.Equal(s.now) {
		t.Errorf("heard at %v, want %v", d.HeardAt, s.now)
	}
}
