package sim

import (
	"bytes"
	"maps"
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
	c.kind.boot(now)
	c.done(now) // there is no road yet
}

// format makes the chip new for this provisioning (P4.1). What the body did and
// counted stays.
func (c *Controller) format() {
	keys := make([][]byte, len(c.ServerKeys))
	for i, key := range c.ServerKeys {
		keys[i] = bytes.Clone(key)
	}
	fresh := Flash{
		Epoch: c.Epoch, Journal: c.random8(), ServerKeys: keys, Writes: c.flash.Writes + 1, Params: maps.Clone(c.Params),
	}
	for _, n := range c.kind.outlets() {
		*fresh.outlet(n) = c.kind.fresh(n)
	}
	*c.flash = fresh
}

// journalBoot states how the device found itself (P3.4), in one write with
// change, which always happens. Where must is not set the piece gives way to
// others when places are few (P4.9).
func (c *Controller) journalBoot(now time.Time, e wire.Evidence, must bool, change func(*Outlet)) {
	e.Kind = wire.EvidenceBoot
	if !must && !c.hasPlace(placeBoot) {
		c.write(StepBeforeBooted, StepBooted, func(f *Flash) { change(f.outlet(1)) })
		return
	}
	c.journal(now, 1, StepBeforeBooted, StepBooted, e, change)
}
