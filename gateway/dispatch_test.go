package gateway

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
)

// outbox claims what a test put in, once; its zero value is empty.
type outbox struct {
	mu    sync.Mutex
	due   []device.Command
	err   error
	asked int
}

func (o *outbox) Outgoing(_ context.Context, limit int) ([]device.Command, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked++
	if o.err != nil {
		return nil, o.err
	}
	n := min(limit, len(o.due))
	claimed := o.due[:n]
	o.due = o.due[n:]
	return claimed, nil
}

func (o *outbox) put(err error, c ...device.Command) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due, o.err = append(o.due, c...), err
}

func command(id device.ID, bytes string) device.Command {
	return device.Command{ID: bytes, Device: id, Bytes: []byte(bytes)}
}

func dispatcher(t *testing.T, o *outbox, a *air) *Dispatcher {
	t.Helper()
	d, err := NewDispatcher(o, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOnlyWhatWasHandedOverOrClaimedIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a := &outbox{}, &air{}
		d := dispatcher(t, o, a)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		topics := func(want ...string) {
			t.Helper()
			var got []string
			for _, s := range a.all() {
				got = append(got, s.topic+" "+string(s.payload))
			}
			if !slices.Equal(got, want) {
				t.Errorf("published %v, want %v", got, want)
			}
		}
		time.Sleep(time.Second)
		topics()
		d.Dispatch([]device.Command{command("bike-1", "start"), command("bike-2", "stop")})
		synctest.Wait() // at once, not at the next look
		topics("ul/1/bike-1/cmd start", "ul/1/bike-2/cmd stop")
		o.put(nil, command("bike-3", "again"))
		time.Sleep(poll)
		synctest.Wait()
		topics("ul/1/bike-1/cmd start", "ul/1/bike-2/cmd stop", "ul/1/bike-3/cmd again")
		time.Sleep(10 * time.Second) // each claim is one send
		topics("ul/1/bike-1/cmd start", "ul/1/bike-2/cmd stop", "ul/1/bike-3/cmd again")
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a clean stop: got %v, want nil", err)
		}
		if d.Sent.Load() != 3 || d.Unsent.Load() != 0 || d.Dropped.Load() != 0 {
			t.Errorf("counted %d sent, %d unsent, %d dropped; want 3, 0, 0", d.Sent.Load(), d.Unsent.Load(), d.Dropped.Load())
		}
	})
}

func TestWhatDoesNotLeaveIsCountedAndLeftToTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, a := &outbox{}, &air{err: ErrNotConnected}
		d := dispatcher(t, o, a)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		d.Dispatch([]device.Command{command("bike-1", "start")})
		o.put(nil, command("bike-2", "start"))
		time.Sleep(time.Second)
		synctest.Wait()
		if d.Unsent.Load() != 2 || d.Sent.Load() != 0 {
			t.Errorf("counted %d unsent, %d sent; want 2, 0", d.Unsent.Load(), d.Sent.Load())
		}
		a.mu.Lock()
		a.err = nil
		a.mu.Unlock()
		time.Sleep(time.Minute)
		if n := len(a.all()); n != 0 {
			t.Errorf("%d late commands left by themselves", n)
		}
		o.put(errors.New("the database is away"))
		time.Sleep(time.Second)
		o.put(nil, command("bike-2", "start"))
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(a.all()); n != 1 {
			t.Errorf("published after the database came back: got %d, want 1", n)
		}
		cancel()
		<-done
	})
}

func TestAFullHandOverDropsAndCounts(t *testing.T) {
	d := dispatcher(t, &outbox{}, &air{})
	d.Dispatch(slices.Repeat([]device.Command{command("bike-1", "x")}, cap(d.queue)+7)) // nobody runs
	if d.Dropped.Load() != 7 {
		t.Errorf("dropped: got %d, want 7", d.Dropped.Load())
	}
}

func TestADispatcherNeedsItsParts(t *testing.T) {
	if _, err := NewDispatcher(nil, &air{}, nil); err == nil {
		t.Error("made without an outbox")
	}
	if _, err := NewDispatcher(&outbox{}, nil, nil); err == nil {
		t.Error("made without a publisher")
	}
}

func TestTheSameCommandIsTheSameBytes(t *testing.T) {
	s := Sealer{Signer: wire.NewSigner(private(server))}
	c := device.Command{ID: "01900000-0000-7000-8000-000000000001", Order: "01900000-0000-7000-8000-000000000002", Device: "bike-1",
		Outlet: 1, Epoch: 3, Seq: 9, Kind: device.Start, Boot: device.Boot{4}, NotAfter: 77}
	first, err := s.Seal("bike-1", c)
	if err != nil || len(first) > 200 {
		t.Fatalf("start: %d bytes, %v, want at most 200", len(first), err)
	}
	if again, _ := s.Seal("bike-1", c); string(again) != string(first) {
		t.Error("sealed again it differs")
	}
	w, err := wire.OpenCommand(wire.NewVerifier(public(server)), "bike-1", first)
	if err != nil || w.Seq != 9 || w.Epoch != 3 || w.Kind != wire.KindStart || w.NotAfter != 77 || w.ID.String() != c.ID || w.Order.String() != c.Order {
		t.Errorf("read back: %+v, %v", w, err)
	}
	if _, err := wire.OpenCommand(wire.NewVerifier(public(server)), "bike-2", first); err == nil {
		t.Error("another device takes it for its own")
	}
	for name, bad := range map[string]device.Command{"an unknown kind": {ID: c.ID, Kind: "dance"}, "a bad id": {ID: "x", Kind: device.Probe, Seq: 1},
		"a bad order": {ID: c.ID, Order: "x", Kind: device.Probe, Seq: 1}} {
		if b, err := s.Seal("bike-1", bad); err == nil {
			t.Errorf("%s: sealed as %x", name, b)
		}
	}
}
