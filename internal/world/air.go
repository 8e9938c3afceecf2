package world

import (
	"bytes"
	"errors"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/gateway"
)

// direction is a way through a device's network.
type direction int

const (
	up direction = iota
	down
)

func (d direction) String() string { return [...]string{"up", "down"}[d] }

// link is one way between a device and the broker. Without faults it keeps order,
// as a connection does.
type link struct {
	cut  bool
	last time.Duration // when the newest message in order arrives
	lag  time.Duration // what every message takes longer until slow is over
	slow time.Duration
}

// carry takes a message over a link: in order and soon, unless a fault strikes.
func (w *world) carry(m *machine, d direction, what string, payload []byte, arrive func([]byte)) {
	way := &m.links[d]
	who := string(m.id)
	if way.cut || m.tunnel {
		w.note(who, "%s is swallowed on its way %s", what, d)
		return
	}
	if w.strikes(Drop, w.odds.drop) {
		w.fault(Drop)
		w.note(who, "%s is lost on its way %s", what, d)
		return
	}
	copies := 1
	if w.strikes(Duplicate, w.odds.duplicate) {
		w.fault(Duplicate)
		copies += 1 + w.rand.IntN(2)
	}
	for range copies {
		payload := payload
		if w.strikes(Flip, w.odds.flip) {
			w.fault(Flip)
			payload = bytes.Clone(payload)
			payload[w.rand.IntN(len(payload))] ^= 1 << w.rand.IntN(8)
		}
		wait := w.between(w.odds.latency/8, w.odds.latency)
		if w.at < way.slow {
			wait += way.lag
		}
		switch {
		case w.strikes(Delay, w.odds.delay):
			w.fault(Delay)
			if wait += w.between(time.Second, 28*time.Second); w.chance(0.2) {
				wait += w.between(10*time.Second, 4*time.Minute)
			}
		case w.strikes(Reorder, w.odds.reorder):
			w.fault(Reorder)
			wait += w.between(0, 2500*time.Millisecond)
		default:
			way.last = max(way.last, w.at+wait)
			wait = way.last - w.at
		}
		w.after(wait, func() {
			if way.cut || m.tunnel {
				w.note(who, "%s is swallowed on its way %s", what, d)
				return
			}
			arrive(payload)
		})
	}
}

// up carries what a device sends to some replica.
func (w *world) up(m *machine, packets []sim.Packet) {
	for _, p := range packets {
		_, channel, _ := wire.ParseTopic(p.Topic)
		if channel == wire.ChannelPresence {
			continue // for display only
		}
		if channel == wire.ChannelTelemetry && m.pump != nil {
			continue // for eyes only, and once a second
		}
		what := "telemetry"
		if channel == wire.ChannelEvidence {
			what = "a word"
			if m.lock != nil { // brokers are not trusted either
				w.kept[m.id] = keep(w.kept[m.id], kept{bytes: p.Payload})
			}
		}
		w.carry(m, up, what, p.Payload, func(payload []byte) {
			if channel == wire.ChannelTelemetry {
				if t, err := wire.DecodeTelemetry(payload); err == nil && t.Battery != nil {
					w.battery[m.id] = int(*t.Battery)
				}
				return
			}
			r := w.someReplica()
			if r == nil {
				w.note(string(m.id), "a word finds no replica")
				return
			}
			w.take(r, m, payload)
		})
	}
}

// down carries a command or an ack to a device.
func (w *world) down(m *machine, payload []byte) {
	if m == nil {
		return
	}
	w.carry(m, down, "a command", payload, func(payload []byte) {
		if !m.c.Connected() {
			w.note(string(m.id), "is not there to hear a command")
			return
		}
		w.note(string(m.id), "hears a message")
		w.touch(m, func(now time.Time) []sim.Packet { return m.c.Receive(now, payload) })
	})
}

var errEpoch = errors.New("signed by a key of another epoch")

// open verifies an uplink as the gateway does: by a key of the device, and of
// the epoch that it states.
func (w *world) open(m *machine, payload []byte) (device.Word, uint32, error) {
	err := error(wire.ErrUnknownKey)
	for stated := m.epoch; stated > 0; stated-- {
		key, ok := m.keys[stated]
		if !ok {
			continue // a provisioning whose file never reached the device
		}
		var u wire.Uplink
		if u, err = wire.OpenUplink(key, string(m.id), payload); errors.Is(err, wire.ErrUnknownKey) {
			continue
		}
		if err != nil {
			return device.Word{}, 0, err
		}
		epoch := uint32(0)
		if u.Evidence != nil {
			epoch = u.Evidence.Epoch
		} else {
			epoch = u.Beat.Epoch
		}
		if epoch != stated {
			return device.Word{}, 0, errEpoch
		}
		return gateway.Word(m.id, u, payload), epoch, nil
	}
	return device.Word{}, 0, err
}
