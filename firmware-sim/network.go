package sim

import (
	"bytes"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"
)

// Direction is a way through a device's network.
type Direction string

// The directions; Both is each of the others.
const (
	Up   Direction = "up"
	Down Direction = "down"
	Both Direction = "both"
)

// NetworkOrder tells a device's network how to misbehave from now on.
type NetworkOrder struct {
	// Do is off, on, delay, drop, duplicate, reorder or flip. on ends all others
	// of the direction. off in both directions also breaks the connection, as
	// walking into a tunnel does; in one direction it swallows silently.
	Do string `json:"do"`
	// Direction defaults to both.
	Direction Direction `json:"direction"`
	// Millis is how long delay holds each message, and reorder at most holds
	// one, in ms, 1 to 600,000; default 500.
	Millis int `json:"millis"`
	// Probability of each message to suffer, above 0 to 1; default 1.
	Probability float64 `json:"probability"`
	// Count ends the fault after so many messages; default 0: never.
	Count int `json:"count"`
}

func (o *NetworkOrder) check() error {
	switch o.Do {
	case "off", "on", "delay", "drop", "duplicate", "reorder", "flip":
	default:
		return fmt.Errorf("do is %q, want off, on, delay, drop, duplicate, reorder or flip", o.Do)
	}
	if o.Direction == "" {
		o.Direction = Both
	}
	if o.Direction != Up && o.Direction != Down && o.Direction != Both {
		return fmt.Errorf("direction is %q, want up, down or both", o.Direction)
	}
	if o.Millis == 0 {
		o.Millis = 500
	}
	if o.Millis < 1 || o.Millis > 600_000 {
		return fmt.Errorf("millis is %d, want 1 to 600000", o.Millis)
	}
	if o.Probability == 0 {
		o.Probability = 1
	}
	if o.Probability < 0 || o.Probability > 1 {
		return fmt.Errorf("probability is %g, want above 0 to 1", o.Probability)
	}
	if o.Count < 0 {
		return fmt.Errorf("count is %d, want 0 or more", o.Count)
	}
	return nil
}

// Network stands between one device and its broker and does to messages what
// NetworkOrders say. It reads no clock and is not safe for concurrent use. The
// zero Network but for Rand passes everything on.
type Network struct {
	// Rand decides; it must not be nil.
	Rand *rand.Rand

	faults map[Direction]map[string]*NetworkOrder
	late   lateQueue
	order  uint64
}

// Transit is one message on its way.
type Transit struct {
	Direction Direction // Up or Down
	Packet    Packet    // of a Down transit only the Payload counts

	at    time.Time
	order uint64
}

// Order takes an order; an error says what is wrong with it.
func (n *Network) Order(o NetworkOrder) error {
	if err := o.check(); err != nil {
		return err
	}
	if n.faults == nil {
		n.faults = map[Direction]map[string]*NetworkOrder{Up: {}, Down: {}}
	}
	for _, d := range []Direction{Up, Down} {
		if o.Direction != d && o.Direction != Both {
			continue
		}
		if o.Do == "on" {
			clear(n.faults[d])
			continue
		}
		fault := o
		n.faults[d][o.Do] = &fault
	}
	return nil
}

// Off reports whether both directions are off.
func (n *Network) Off() bool {
	return n.faults[Up]["off"] != nil && n.faults[Down]["off"] != nil
}

// Pass takes a message and returns what goes through at once; the rest comes
// out of Due later, or never.
func (n *Network) Pass(now time.Time, t Transit) []Transit {
	if n.hit(t.Direction, "off") != nil || n.hit(t.Direction, "drop") != nil {
		return nil
	}
	if n.hit(t.Direction, "flip") != nil && len(t.Packet.Payload) > 0 {
		t.Packet.Payload = bytes.Clone(t.Packet.Payload)
		t.Packet.Payload[n.Rand.IntN(len(t.Packet.Payload))] ^= 1 << n.Rand.IntN(8)
	}
	copies := 1
	if n.hit(t.Direction, "duplicate") != nil {
		copies = 2
	}
	var through []Transit
	for range copies {
		var wait time.Duration
		if f := n.hit(t.Direction, "delay"); f != nil {
			wait += time.Duration(f.Millis) * time.Millisecond
		}
		if f := n.hit(t.Direction, "reorder"); f != nil {
			wait += time.Duration(1+n.Rand.IntN(f.Millis)) * time.Millisecond
		}
		if wait == 0 {
			through = append(through, t)
			continue
		}
		t.at, t.order = now.Add(wait), n.order
		n.order++
		heap.Push(&n.late, t)
	}
	return through
}

// hit draws whether a fault strikes this message, and counts it.
func (n *Network) hit(d Direction, do string) *NetworkOrder {
	f := n.faults[d][do]
	if f == nil || f.Probability < 1 && n.Rand.Float64() >= f.Probability {
		return nil
	}
	if f.Count > 0 {
		if f.Count--; f.Count == 0 {
			delete(n.faults[d], do)
		}
	}
	return f
}

// Next is when Due has something; zero: nothing is on its way.
func (n *Network) Next() time.Time {
	if len(n.late) == 0 {
		return time.Time{}
	}
	return n.late[0].at
}

// Due returns what was held back until now, in order of its time.
func (n *Network) Due(now time.Time) []Transit {
	var due []Transit
	for len(n.late) > 0 && !now.Before(n.late[0].at) {
		due = append(due, heap.Pop(&n.late).(Transit))
	}
	return due
}

// lateQueue is a heap by time.
type lateQueue []Transit

func (q lateQueue) Len() int      { return len(q) }
func (q lateQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q lateQueue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].order < q[j].order
	}
	return q[i].at.Before(q[j].at)
}
func (q *lateQueue) Push(x any) { *q = append(*q, x.(Transit)) }
func (q *lateQueue) Pop() any {
	old := *q
	t := old[len(old)-1]
	*q = old[:len(old)-1]
	return t
}
