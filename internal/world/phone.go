package world

import (
	"bytes"
	"context"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// The second road: riders' phones beside locks, and locks without coverage.
const (
	Tunnel Fault = "tunnel" // a lock has no coverage for longer than its clock can be dated
	Replay Fault = "replay" // somebody brings words or commands that they kept
)

// atPhones are drawn where there are locks.
var atPhones = []Fault{Tunnel, Replay}

// mostKept bounds what is kept of each lock for replays.
const mostKept = 40

// phone is a rider's, beside the lock of an order.
type phone struct {
	w      *world
	x      *ride
	m      *machine
	in     wire.Assembler
	visits int
	after  int // visits since there was nothing more to wait for
}

// tunnels takes a lock out of coverage for most of the story, and sends riders with
// phones to it.
func (w *world) tunnels() {
	if !w.faults[Tunnel] || len(w.locks) == 0 {
		return
	}
	m := pick(w, w.locks)
	begins := w.between(time.Second, 40*time.Second)
	w.after(begins, func() {
		w.fault(Tunnel)
		w.note(string(m.id), "loses its coverage for good")
		m.tunnel = true
		w.after(45*time.Second, func() { // the keep-alive notices
			if m.tunnel {
				w.disconnect(m)
			}
		})
	})
	dark := begins + device.SampleLife
	for _, when := range []time.Duration{w.between(begins, dark), dark + w.between(0, w.odds.length-dark), dark + w.between(0, w.odds.length-dark)} {
		x := &ride{w: w, n: len(w.rides) + 1, who: pick(w, w.riders), machine: m, phone: true, when: when}
		w.rides = append(w.rides, x)
		w.after(when, x.scan)
	}
}

// emerges ends a tunnel.
func (w *world) emerges(m *machine) {
	if m.tunnel {
		m.tunnel = false
		w.note(string(m.id), "has coverage again")
	}
}

// walksUp lets the rider's phone carry for an order.
func (x *ride) walksUp() {
	if x.w.strikes(Replay, 0.6) { // before the phone brings anything
		x.w.after(x.w.between(0, 2*time.Second), func() { x.w.replays(x.machine) })
	}
	if x.w.chance(0.25) {
		return // its rider never allowed it, or has it in a pocket
	}
	p := &phone{w: x.w, x: x, m: x.machine}
	x.w.after(x.w.between(200*time.Millisecond, 5*time.Second), p.visit)
}

// visit brings what there is for the lock, hears it, and plans the next one.
func (p *phone) visit() {
	w, m := p.w, p.m
	o := w.oracle.orders[p.x.order]
	if p.visits++; p.visits > 40 || p.after > 4 {
		p.leave()
		return
	}
	switch {
	case o.State == order.Active && m.lock != nil && !m.lock.body.Closed:
		w.after(w.between(20*time.Second, 60*time.Second), p.visit)
	case !o.State.Live():
		p.after++
		w.after(w.between(time.Second, 3*time.Second), p.visit)
	default:
		w.after(w.between(time.Second, 5*time.Second), p.visit)
	}
	r := w.someReplica()
	if r == nil || !m.c.Powered() || m.phone != nil && m.phone != p {
		return
	}
	if m.phone = p; !m.c.PhoneConnected() {
		p.in = wire.Assembler{}
		w.note(p.x.name(), "has a phone that connects to %s", m.id)
		w.touch(m, m.c.PhoneConnect)
	}
	for _, b := range w.carried(m, o) {
		w.kept[m.id] = keep(w.kept[m.id], kept{command: true, bytes: b})
		p.brings(b)
	}
	p.hears()
}

// leave ends the connection.
func (p *phone) leave() {
	if p.m.phone == p {
		p.m.phone = nil
		p.m.c.PhoneDisconnect()
		p.w.planWake(p.m)
	}
}

// carried is what the service lets a phone carry; the oracle looks at all of it.
func (w *world) carried(m *machine, o order.Order) [][]byte {
	s := order.Service{ServiceConfig: order.ServiceConfig{Carrier: w.store, Env: w.env}}
	c, err := s.Carry(context.Background(), o)
	if err != nil {
		w.oracle.violation("world: carry for %s: %v", w.oracle.name(o.ID), err)
	}
	if c == nil {
		return nil
	}
	for _, b := range c.Commands {
		w.oracle.carries(m, o, b)
	}
	if c.Ack == nil {
		return c.Commands
	}
	ack, err := w.sealer.SealAck(m.id, c.Epoch, *c.Ack)
	if err != nil {
		w.oracle.violation("world: ack not sealed: %v", err)
	}
	w.oracle.acked(m, c.Epoch, *c.Ack)
	return append(c.Commands, ack)
}

// carries holds what a phone is given against what was committed for its order.
func (o *oracle) carries(m *machine, x order.Order, b []byte) {
	for _, k := range o.commands {
		if k.Device == m.id && bytes.Equal(k.Bytes, b) {
			if k.Order != "" && k.Order != x.ID {
				o.violation("S6: the phone of %s is given %s #%d of %s", o.name(x.ID), k.Kind, k.Seq, o.name(k.Order))
			}
			return
		}
	}
	o.violation("S11: the phone of %s is given what was not committed", o.name(x.ID))
}

// brings writes a message to the lock, as well as the air lets it.
func (p *phone) brings(message []byte) {
	w, m := p.w, p.m
	if w.strikes(Drop, w.odds.drop) {
		w.fault(Drop)
		return
	}
	copies := 1
	if w.strikes(Duplicate, w.odds.duplicate) {
		w.fault(Duplicate)
		copies++
	}
	for range copies {
		frames := wire.Frames(message)
		if w.strikes(Flip, w.odds.flip) {
			w.fault(Flip)
			f := pick(w, frames)
			f[w.rand.IntN(len(f))] ^= 1 << w.rand.IntN(8)
		}
		if w.strikes(Drop, w.odds.drop/4) {
			w.fault(Drop)
			i := w.rand.IntN(len(frames))
			frames = append(frames[:i:i], frames[i+1:]...)
		}
		wait := time.Duration(0)
		if w.strikes(Delay, w.odds.delay) {
			w.fault(Delay)
			wait = w.between(time.Second, 28*time.Second)
		}
		if wait == 0 {
			w.writes(m, frames)
			continue
		}
		w.after(wait, func() { w.writes(m, frames) })
	}
}

// writes lets the lock hear frames, where a phone is connected.
func (w *world) writes(m *machine, frames [][]byte) {
	if !m.c.PhoneConnected() {
		return
	}
	w.note(string(m.id), "hears a phone")
	w.touch(m, func(now time.Time) (out []sim.Packet) {
		for _, f := range frames {
			out = append(out, m.c.PhoneWrite(now, f)...)
		}
		return out
	})
}

// hears takes what the lock notifies and uploads it.
func (p *phone) hears() {
	w, m := p.w, p.m
	for _, f := range m.c.PhoneRead() {
		if w.strikes(Drop, w.odds.drop/8) {
			w.fault(Drop)
			continue
		}
		if b, ok := p.in.Add(f, w.at); ok {
			w.kept[m.id] = keep(w.kept[m.id], kept{bytes: b})
			w.uploads(m, b)
		}
	}
}

// uploads brings a word to some replica, sooner or later.
func (w *world) uploads(m *machine, word []byte) {
	copies := 1
	if w.strikes(Duplicate, w.odds.duplicate) {
		w.fault(Duplicate)
		copies++
	}
	for range copies {
		payload := word
		if w.strikes(Flip, w.odds.flip) {
			w.fault(Flip)
			payload = bytes.Clone(word)
			payload[w.rand.IntN(len(payload))] ^= 1 << w.rand.IntN(8)
		}
		wait := w.between(10*time.Millisecond, 400*time.Millisecond)
		if w.strikes(Delay, w.odds.delay) {
			w.fault(Delay)
			wait += w.between(time.Second, 100*time.Second)
		}
		w.after(wait, func() {
			if r := w.someReplica(); r != nil {
				w.take(r, m, payload)
			}
		})
	}
}

// kept is a message that somebody recorded.
type kept struct {
	command bool
	bytes   []byte
}

func keep(all []kept, k kept) []kept {
	if len(all) == mostKept {
		all = all[1:]
	}
	return append(all, k)
}

// replays brings what was kept of a lock, at times to another one.
func (w *world) replays(m *machine) {
	all := w.kept[m.id]
	if len(all) == 0 {
		return
	}
	w.fault(Replay)
	w.note(string(m.id), "somebody brings what they kept of it")
	for range 1 + w.rand.IntN(5) {
		k, to := pick(w, all), m
		if w.chance(0.2) {
			to = pick(w, w.locks)
		}
		switch r := w.someReplica(); {
		case k.command:
			if to.c.Powered() && !to.c.PhoneConnected() && to.phone == nil { // whose phone it is, nobody asks
				w.touch(to, to.c.PhoneConnect)
				w.writes(to, wire.Frames(k.bytes))
				to.c.PhoneDisconnect()
				w.planWake(to)
			} else {
				w.writes(to, wire.Frames(k.bytes))
			}
		case r != nil:
			w.take(r, to, k.bytes)
		}
	}
}

// relayed looks at the start of an order that waited for its lock alone: it goes by a
// word that the lock said after the order was made.
func (o *oracle) relayed(k device.Command, x order.Order, c order.Changes) {
	for _, v := range c.Moves {
		if v.Order != x.ID || v.From != order.Pending || x.Road != order.Bluetooth {
			continue
		}
		o.w.result.Phones["waited and started"]++
		if x.Payment != "" {
			o.w.result.Phones["waited for money too"]++
			return
		}
		m := o.w.byID[k.Device]
		b, known := m.boots[k.Boot]
		if !known {
			o.violation("A2: start #%d of %s names a run that never was", k.Seq, k.Device)
			return
		}
		run := x.CreatedAt.Sub(o.w.began) - b.at
		run += time.Duration(int64(run/time.Microsecond) * int64(m.ppm) / 1000)
		made := (m.start + run).Milliseconds()
		const slack = 500 // ms that clocks drift while a sample lives
		if least := made + o.w.env.Config.StartDeadline.Milliseconds() - slack; int64(k.NotAfter) < least {
			o.violation("A2: start #%d of %s goes by a word from before %s, %d ms too old", k.Seq, k.Device, o.name(x.ID), least-int64(k.NotAfter))
		}
	}
}
