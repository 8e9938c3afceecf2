package sim

import (
	"bytes"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// Boot gives the device power. It settles what the last run left open (P3) and
// journals the boot; it does not connect. A device with power is left alone.
func (c *Controller) Boot(now time.Time) {
	if c.powered {
		return
	}
	c.powered = true
	c.stats.Boots++
	c.boot = c.random8()
	c.bootedAt = now
	if c.flash.Journal.IsZero() || c.flash.Epoch != c.Epoch {
		c.format()
	}
	unknown, ok := c.settle(now)
	if !ok {
		return
	}
	o := &c.flash.Outlet
	if !c.lock.Closed && o.Use == nil && !o.KnownOpen {
		c.alarmForced(now) // opened while nobody looked
	}
	if !c.powered {
		return
	}
	c.journalBoot(now, unknown)
}

// format makes the chip new for this provisioning (P4.1). Movements and the
// mechanical count stay: they are the body's.
func (c *Controller) format() {
	keys := make([][]byte, len(c.ServerKeys))
	for i, key := range c.ServerKeys {
		keys[i] = bytes.Clone(key)
	}
	*c.flash = Flash{
		Epoch: c.Epoch, Journal: c.random8(), ServerKeys: keys, Writes: c.flash.Writes + 1,
		Outlet: Outlet{Opens: c.flash.Outlet.Opens, KnownOpen: !c.lock.Closed},
	}
}

// settle answers a burned command that has no result (P3.1 to P3.3). Of a start
// whose outcome it cannot tell it returns the name; ok: the device still runs.
func (c *Controller) settle(now time.Time) (unknown *wire.Unknown, ok bool) {
	b := c.flash.Outlet.Burn
	if b.Settled || b.Seq == 0 {
		return nil, true
	}
	e := wire.Evidence{CommandSeq: b.Seq, CommandID: b.ID, Order: b.Order}
	settled := func(o *Outlet) { o.Burn.Settled = true }
	switch {
	case !b.Moving: // a ring never has the mark
		e.Kind, e.Reason = wire.EvidenceRejected, wire.ReasonPower
	case !c.lock.Closed:
		e.Kind = wire.EvidenceExecuted
		settled = func(o *Outlet) { o.Burn.Settled = true; o.began(b) }
	default:
		return &wire.Unknown{Seq: b.Seq, CommandID: b.ID, Order: b.Order}, true
	}
	return nil, c.journal(now, StepBeforeSettled, StepSettled, e, settled)
}

// journalBoot states how the device found itself (P3.4, P3.5).
func (c *Controller) journalBoot(now time.Time, unknown *wire.Unknown) {
	e := wire.Evidence{Kind: wire.EvidenceBoot, Unknown: unknown}
	use := c.flash.Outlet.Use
	if use != nil {
		e.CommandSeq, e.CommandID, e.Order = use.Seq, use.ID, use.Order
		if c.lock.Closed {
			e.Reason = wire.ReasonClosedByHand
		}
	}
	over := use != nil && c.lock.Closed
	change := func(o *Outlet) {
		o.Burn.Settled = true
		o.KnownOpen = !c.lock.Closed
		if over {
			o.Use = nil
		}
	}
	if unknown == nil && !over && !c.hasPlace(placeBoot) {
		c.write(StepBeforeBooted, StepBooted, func(f *Flash) { change(&f.Outlet) })
		return
	}
	c.journal(now, StepBeforeBooted, StepBooted, e, change)
}
