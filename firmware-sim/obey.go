package sim

import (
	"bytes"
	"crypto/ed25519"
	"maps"
	"slices"
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
	if c.kind.advance(now); !c.powered {
		return nil
	}
	c.answering = true
	c.obey(now, payload)
	c.answering = false
	return c.done(now)
}

// obey checks a command (P1) and acts on it (P2).
func (c *Controller) obey(now time.Time, payload []byte) {
	cmd, err := wire.OpenCommand(c.verifier(), c.Device, payload)
	if err != nil || cmd.Epoch != c.flash.Epoch || !slices.Contains(c.kind.outlets(), cmd.Outlet) || cmd.Kind.Expires() && cmd.Boot != c.boot {
		c.refuse(now) // P1.1 to P1.6
		return
	}
	if cmd.Kind == wire.KindAck {
		c.ack(now, *cmd.Ack)
		return
	}
	if cmd.Seq <= c.flash.outlet(cmd.Outlet).LastSeq {
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
	switch {
	case cmd.Kind.Expires() && c.Uptime(now) > cmd.NotAfter:
		c.reject(now, cmd, wire.ReasonExpired)
		return
	case cmd.Kind == wire.KindStart:
		c.kind.start(now, cmd)
		return
	case cmd.Kind == wire.KindRing:
		c.kind.ring(now, cmd)
		return
	case cmd.Kind == wire.KindStop:
		c.kind.stop(now, cmd, true)
	}
	if c.powered { // also a config, which is done with its burn, is answered by a beat (P9.2)
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
	if cmd.Kind == wire.KindStop && c.kind.stop(now, cmd, false) || !c.powered {
		return
	}
	if e, ok := c.flash.result(cmd.Outlet, cmd.Seq, cmd.ID); ok {
		c.emitEntry(e)
		c.notify(e.Sealed)
		return
	}
	c.oweAnswer(now)
}

// burn writes the seq before anything else happens (P2.1). A config takes
// effect in the same write (P2.2). It reports whether the device still runs.
func (c *Controller) burn(cmd wire.Command, payload []byte) bool {
	return c.write(StepBeforeBurn, StepBurned, func(f *Flash) {
		o := f.outlet(cmd.Outlet)
		o.LastSeq = cmd.Seq
		o.Burn = Burn{
			Seq: cmd.Seq, ID: cmd.ID, Kind: cmd.Kind, Order: cmd.Order, Opens: o.Opens,
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
	if args.WallMillis != 0 && args.WallBoot == c.boot {
		f.Wall = &Wall{Boot: args.WallBoot, Uptime: args.WallUptime, Millis: args.WallMillis}
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

// reject journals that a burned command moves nothing, and why.
func (c *Controller) reject(now time.Time, cmd wire.Command, reason wire.Reason) {
	c.answer(now, cmd, wire.EvidenceRejected, reason, func(*Outlet) {})
}

// answer journals the result of a burned command, in one write with change. It
// reports whether the device still runs.
func (c *Controller) answer(now time.Time, cmd wire.Command, kind wire.EvidenceKind, reason wire.Reason, change func(*Outlet)) bool {
	return c.journal(now, cmd.Outlet, "", StepJournalled, wire.Evidence{
		Kind: kind, Reason: reason, CommandSeq: cmd.Seq, CommandID: cmd.ID, Order: cmd.Order,
	}, func(o *Outlet) {
		o.Burn.Settled = true
		change(o)
	})
}
