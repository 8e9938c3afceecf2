package bus

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestMessageGoesToOneReplica(t *testing.T) {
	b := startBroker(t, nil)
	one, two := b.uplinks(t), b.uplinks(t)
	bike, _ := b.device(t, "bike-1")
	const many = 200
	for i := range many {
		publish(t, bike, "ul/1/bike-1/up/evt", 0, fmt.Sprint(i))
	}
	seen := map[string]bool{}
	for range many {
		var got string
		select {
		case got = <-one:
		case got = <-two:
		case <-t.Context().Done():
		}
		if seen[got] {
			t.Fatalf("%s came twice", got)
		}
		seen[got] = true
	}
	if len(seen) != many {
		t.Errorf("got %d messages, want %d", len(seen), many)
	}
}

func TestMessagesOfOneDeviceStayInOrder(t *testing.T) {
	b := startBroker(t, nil)
	up := b.uplinks(t)
	var senders sync.WaitGroup
	for d := range 3 {
		id := fmt.Sprintf("bike-%d", d)
		c, _ := b.device(t, id)
		senders.Go(func() {
			for i := range 100 {
				publish(t, c, "ul/1/"+id+"/up/evt", 0, fmt.Sprint(i))
			}
		})
	}
	at := map[string]int{}
	for range 300 {
		topic, text, _ := strings.Cut(next(t, "message", up), " ")
		if want := fmt.Sprint(at[topic]); text != want {
			t.Fatalf("%s: got message %s, want %s", topic, text, want)
		}
		at[topic]++
	}
	senders.Wait()
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	b := startBroker(t, nil)
	release, entered := make(chan struct{}), make(chan struct{}, 100)
	u, err := NewUplinks(UplinksConfig{
		Dial: Dial{Server: b.Server}, Queues: 1, Depth: 2, Log: logger(t),
		Handle: func(string, []byte) { entered <- struct{}{}; <-release },
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := runs(t, u.Run)
	within(t, "uplinks are ready", u.Ready())
	take := func() {
		u.take(&nats.Msg{Subject: "ul.1.bike-1.up.evt"})
	}
	take()
	next(t, "handler", entered) // the first is in the handler's hands
	for range 5 {
		take()
	}
	if got := u.Stats(); got.Received != 6 || got.Dropped != 3 || got.Waiting != 2 || got.Handled != 0 {
		t.Errorf("got %+v, want 6 received, 3 dropped, 2 waiting", got)
	}
	close(release)
	next(t, "handler", entered)
	next(t, "handler", entered)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNoDeviceMessageIsCountedAndDropped(t *testing.T) {
	u, err := NewUplinks(UplinksConfig{
		Dial: Dial{URL: "nats://127.0.0.1:1"}, MaxSize: 10,
		Handle: func(string, []byte) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	bad := []*nats.Msg{
		{Subject: "ul.1.bike/1.up.evt"},
		{Subject: "ul.1.selftest-1.up.evt"},
		{Subject: "ul.1.gateway-1.up.evt"},
		{Subject: "ul.1.a-device-id-of-25-letters.up.evt"},
		{Subject: "ul.1.bike-1.up.e vt"},
		{Subject: "ul.1.bike-1.up.evt.deeper"},
		{Subject: "ul.1.bike-1.up.evt", Data: make([]byte, 11)},
	}
	for _, m := range bad {
		u.take(m)
	}
	u.take(&nats.Msg{Subject: "ul.1.bike-1.up.evt", Data: make([]byte, 10)})
	if got := u.Stats(); got.Malformed != int64(len(bad)) || got.Waiting != 1 {
		t.Errorf("got %+v, want %d malformed and 1 waiting", got, len(bad))
	}
}
