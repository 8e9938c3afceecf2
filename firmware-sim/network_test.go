package sim

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

func TestNetworkDoesAsOrdered(t *testing.T) {
	now := time.Unix(0, 0)
	message := func(b byte) Transit { return Transit{Direction: Up, Packet: Packet{Payload: []byte{b}}} }
	for _, test := range []struct {
		name        string
		order       NetworkOrder
		now, later  int // of 10 messages up, how many pass at once, how many by and by
		intact      bool
		downAtOnces int // of 10 down
	}{
		{"on", NetworkOrder{Do: "on"}, 10, 0, true, 10},
		{"off", NetworkOrder{Do: "off"}, 0, 0, true, 0},
		{"off up", NetworkOrder{Do: "off", Direction: Up}, 0, 0, true, 10},
		{"drop 3", NetworkOrder{Do: "drop", Direction: Up, Count: 3}, 7, 0, true, 10},
		{"duplicate", NetworkOrder{Do: "duplicate", Direction: Up}, 20, 0, true, 10},
		{"delay", NetworkOrder{Do: "delay", Direction: Up, Millis: 100}, 0, 10, true, 10},
		{"reorder 5", NetworkOrder{Do: "reorder", Direction: Up, Count: 5}, 5, 5, true, 10},
		{"flip", NetworkOrder{Do: "flip", Direction: Up}, 10, 0, false, 10},
	} {
		n := Network{Rand: rand.New(rand.NewPCG(1, 1))}
		if err := n.Order(test.order); err != nil {
			t.Fatal(err)
		}
		original := message(7)
		atOnce, down, intact := 0, 0, true
		for range 10 {
			for _, through := range n.Pass(now, original) {
				atOnce++
				intact = intact && bytes.Equal(through.Packet.Payload, []byte{7})
			}
			down += len(n.Pass(now, Transit{Direction: Down, Packet: Packet{Payload: []byte{7}}}))
		}
		later := len(n.Due(now.Add(time.Second)))
		if atOnce != test.now || later != test.later || intact != test.intact || down != test.downAtOnces {
			t.Errorf("%s: got %d at once, %d later, intact %v, %d down, want %d, %d, %v, %d",
				test.name, atOnce, later, intact, down, test.now, test.later, test.intact, test.downAtOnces)
		}
		if original.Packet.Payload[0] != 7 {
			t.Errorf("%s: changed its caller's bytes", test.name)
		}
		if got, want := n.Off(), test.name == "off"; got != want {
			t.Errorf("%s: Off is %v", test.name, got)
		}
	}
}

func TestReorderingChangesOrderAndLosesNothing(t *testing.T) {
	n := Network{Rand: rand.New(rand.NewPCG(1, 1))}
	if err := n.Order(NetworkOrder{Do: "reorder", Probability: 0.5}); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, 0)
	var got []byte
	for b := range byte(50) {
		for _, through := range n.Pass(now, Transit{Direction: Up, Packet: Packet{Payload: []byte{b}}}) {
			got = append(got, through.Packet.Payload[0])
		}
	}
	for now = n.Next(); !n.Next().IsZero(); now = n.Next() {
		for _, through := range n.Due(now) {
			got = append(got, through.Packet.Payload[0])
		}
	}
	seen := map[byte]bool{}
	rising := true
	for i, b := range got {
		seen[b] = true
		rising = rising && (i == 0 || got[i-1] < b)
	}
	if len(got) != 50 || len(seen) != 50 || rising {
		t.Errorf("got %d messages, %d different, in order %v", len(got), len(seen), rising)
	}
}

func TestBadNetworkOrdersAreRefused(t *testing.T) {
	for _, o := range []NetworkOrder{{}, {Do: "explode"}, {Do: "drop", Direction: "left"}, {Do: "delay", Millis: -1}, {Do: "drop", Probability: 1.5}, {Do: "drop", Count: -1}} {
		if err := (&Network{}).Order(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
