package sim

import (
	"bytes"
	"crypto/ed25519"
	"maps"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// Receive handles one message that arrived for the device, by whatever road.
// Where the device is not connected, the packets returned are the answer by
// that same road.
func (c *Controller) Receive(now time.Time, payload []byte) []Packet {
	if !c.powered {
		return nil
	}
	c.answering = true
	c.obey(now, payload)
	c.answering = false
	return c.take()
}

// obey checks a command (P1) and acts on it (P2).
func (c *Controller) obey(now time.Time, payload []byte) {
	cmd, err := wire.OpenCommand(c.verifier(), c.Device, payload)
	if err != nil || cmd.Epoch != c.flash.Epoch || cmd.Outlet != 1 || cmd.Kind.Expires() && cmd.Boot != c.boot {
		c.refuse(now) // P1.1 to P1.6
		return
	}
	if cmd.Kind == wire.KindAck {
		c.ack(now, *cmd.Ack)
		return
	}
	if cmd.Seq <= c.flash.Outlet.LastSeq {
		c.repeat(now, cmd)
		return
	}
	if cmd.Kind.Expires() && !c.hasPlace(placeReject) {
		c.refuse(now) // P4.9: no place even to refuse it in writing
		return
	}
	if !c.burn(cmd, payload) {
		return
	}
	switch cmd.Kind {
	case wire.KindStart:
		c.start(now, cmd)
	case wire.KindRing:
		c.ring(now, cmd)
	default: // probe; stop, which on a lock only fences; config, done with its burn
		c.emitBeat(now)
	}
}

// verifier holds the server's keys.
func (c *Controller) verifier() wire.Verifier {
	if c.Server != nil {
		return c.Server
	}
	keys := make([]ed25519.PublicKey, len(c.flash.ServerKeys))
	for i, key := range c.flash.ServerKeys {
		keys[i] = key
	}
	return wire.NewVerifier(keys...)
}

// refuse counts a command that does not concern this device, now (P1.7).
func (c *Controller) refuse(now time.Time) {
	c.stats.Rejected++
	c.oweAnswer(now)
}

// repeat answers a seq that is burned already (P1.8).
func (c *Controller) repeat(now time.Time, cmd wire.Command) {
	c.stats.Repeated++
	if e, ok := c.flash.result(cmd.Seq, cmd.ID); ok {
		c.emitEntry(e)
		return
	}
	c.oweAnswer(now)
}

// burn writes the seq before anything else happens (P2.1). A config takes
// effect in the same write (P2.2). It reports whether the device still runs.
func (c *Controller) burn(cmd wire.Command, payload []byte) bool {
	return c.write(StepBeforeBurn, StepBurned, func(f *Flash) {
		f.Outlet.LastSeq = cmd.Seq
		f.Outlet.Burn = Burn{
			Seq: cmd.Seq, ID: cmd.ID, Kind: cmd.Kind, Order: cmd.Order, Opens: f.Outlet.Opens,
			Settled: !cmd.Kind.Expires(),
		}
		if cmd.Config != nil {
			c.configure(f, *cmd.Config, payload)
		}
	})
}

// configure applies a config to flash; what is unknown or out of range is ignored.
func (c *Controller) configure(f *Flash, args wire.ConfigArgs, payload []byte) {
	f.Params = maps.Clone(f.Params)
	for p, v := range args.Params {
		if r, ok := paramRanges[p]; ok && r[1] <= v && v <= r[2] {
			if f.Params == nil {
				f.Params = map[wire.Param]int64{}
			}
			f.Params[p] = v
		}
	}
	if args.SecondKey == nil {
		return
	}
	keys := [][]byte{}
	for _, key := range f.ServerKeys { // S12: the key that signed this stays
		_, err := wire.OpenCommand(wire.NewVerifier(key), c.Device, payload)
		if err == nil && !bytes.Equal(key, args.SecondKey.Public) {
			keys = append(keys, key)
		}
	}
	f.ServerKeys = append(keys, bytes.Clone(args.SecondKey.Public))
}

// start opens the lock, or says why not (P2.3 to P2.7). Its seq is burned.
func (c *Controller) start(now time.Time, cmd wire.Command) {
	if reason := c.refusal(now, cmd); reason != wire.ReasonNone {
		c.answer(now, cmd, wire.EvidenceRejected, reason, func(*Outlet) {})
		return
	}
	if !c.write("", StepMoving, func(f *Flash) { f.Outlet.Burn.Moving = true }) {
		return
	}
	opened := c.lock.drive(Movement{
		Device: c.Device, Outlet: 1, Epoch: c.flash.Epoch, Seq: cmd.Seq, Order: cmd.Order, At: now, Uptime: c.Uptime(now),
	})
	if !c.pass(StepMoved) {
		return
	}
	if !opened {
		c.knownJam = true
		c.answer(now, cmd, wire.EvidenceFailed, wire.ReasonJam, func(*Outlet) {})
		return
	}
	c.answer(now, cmd, wire.EvidenceExecuted, wire.ReasonNone, func(o *Outlet) { o.began(o.Burn) })
}

// refusal is the first reason of P2.3 that holds.
func (c *Controller) refusal(now time.Time, cmd wire.Command) wire.Reason {
	switch {
	case c.Uptime(now) > cmd.NotAfter:
		return wire.ReasonExpired
	case cmd.Start != nil:
		return wire.ReasonUnsupported
	case !c.lock.Closed || c.flash.Outlet.Use != nil:
		return wire.ReasonBusy
	case c.knownJam:
		return wire.ReasonNotWorking
	case int64(c.lock.Battery) < c.param(wire.ParamLowBatteryPercent):
		return wire.ReasonLowBattery
	case !c.hasPlace(placeStart):
		return wire.ReasonJournalFull
	}
	return wire.ReasonNone
}

// ring makes a noise, or says why not. Its seq is burned.
func (c *Controller) ring(now time.Time, cmd wire.Command) {
	if c.Uptime(now) > cmd.NotAfter {
		c.answer(now, cmd, wire.EvidenceRejected, wire.ReasonExpired, func(*Outlet) {})
		return
	}
	c.lock.Rings++
	c.answer(now, cmd, wire.EvidenceExecuted, wire.ReasonNone, func(*Outlet) {})
}

// answer journals the result of a burned command.
func (c *Controller) answer(now time.Time, cmd wire.Command, kind wire.EvidenceKind, reason wire.Reason, change func(*Outlet)) {
	c.journal(now, "", StepJournalled, wire.Evidence{
		Kind: kind, Reason: reason, CommandSeq: cmd.Seq, CommandID: cmd.ID, Order: cmd.Order,
	}, func(o *Outlet) {
		o.Burn.Settled = true
		change(o)
	})
}

// began is the change that goes with a start's executed (P2.5, P3.1).
func (o *Outlet) began(b Burn) {
	o.Use = &Use{Seq: b.Seq, ID: b.ID, Order: b.Order}
	o.Opens = b.Opens + 1
	o.KnownOpen = true
}
