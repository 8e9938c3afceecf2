package bus

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

func TestListenHearsEverySubjectOfEveryReplica(t *testing.T) {
	b := startBroker(t, nil)
	one, two := startConn(t, Dial{Server: b.Server}), startConn(t, Dial{Server: b.Server})
	heard := make(chan string, 10)
	cancel := one.Listen(func(subject string, payload []byte) { heard <- subject + " " + string(payload) })
	for _, c := range []*Conn{one, two} { // its own at once, the other's over NATS
		if err := c.Publish(OrderSubject("o1"), []byte("x")); err != nil {
			t.Fatal(err)
		}
		if got := next(t, "message", heard); got != "unlatch.order.o1 x" {
			t.Errorf("got %s", got)
		}
	}
	if err := two.Publish(DeviceSubject("bike-1"), []byte("y")); err != nil {
		t.Fatal(err)
	}
	if got := next(t, "message", heard); got != "unlatch.device.bike-1 y" {
		t.Errorf("got %s", got)
	}
	cancel()
	cancel()
	if err := one.Publish(OrderSubject("o1"), nil); err != nil {
		t.Fatal(err)
	}
	if len(heard) != 0 {
		t.Errorf("heard %s after cancel", <-heard)
	}
}

// lines collects what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestFollowLastHearsWhatIsThereAndWhatComes: of thousands, past what NATS sends without
// being answered, and again once the bucket was wiped.
func TestFollowLastHearsWhatIsThereAndWhatComes(t *testing.T) {
	b := startBroker(t, nil)
	var log lines
	c, err := NewConn(ConnConfig{Dial: Dial{Server: b.Server}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	runs(t, c.Run)
	within(t, "connected", c.Ready())
	other := startConn(t, Dial{Server: b.Server})
	document := []byte(`{"pad":"` + strings.Repeat("x", 400) + `"}`)
	const before, after = 3000, 3000
	put := func(n int) {
		t.Helper()
		if err := other.SetLast(t.Context(), fmt.Sprintf("bike-%d", n), document); err != nil {
			t.Fatal(err)
		}
	}
	for n := range before {
		put(n)
	}
	var mu sync.Mutex
	seen, all, wiped := map[string]bool{}, make(chan struct{}), make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.FollowLast(ctx, func(device string, json []byte) {
			if device == "wiped" {
				wiped <- struct{}{}
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if !bytes.Equal(json, document) {
				t.Errorf("%s: %s", device, json)
			}
			if seen[device] = true; len(seen) == before+after && all != nil {
				close(all)
				all = nil
			}
		})
	}()
	heard := all
	for n := range after {
		put(before + n)
	}
	within(t, "all were heard", heard)
	if text := log.text(); strings.Contains(text, "permissions") {
		t.Errorf("NATS refuses something: %s", text)
	}
	js, err := jetstream.New(c.nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteKeyValue(t.Context(), lastBucket); err != nil {
		t.Fatal(err)
	}
	if err := other.SetLast(t.Context(), "wiped", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	next(t, "a state after the wipe", wiped)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
