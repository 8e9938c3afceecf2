package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// What hands do at a pump. Each takes effect with or without power; without it
// only the body changes. What cannot be done (an outlet that is not there, a
// nozzle that is up already, a device that is no pump) changes nothing; Device
// says why.

// ErrImpossible: no hand can do that to this device as it is.
var ErrImpossible = errors.New("cannot be done")

func impossible(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrImpossible, fmt.Errorf(format, args...))
}

// Lift takes a nozzle out of its holder (P6.7). At most one of a side is out.
func (c *Controller) Lift(now time.Time, outlet, nozzle uint8) []Packet {
	out, _ := c.lift(now, outlet, nozzle)
	return out
}

// HangUp puts the nozzle back (P6.10).
func (c *Controller) HangUp(now time.Time, outlet uint8) []Packet {
	out, _ := c.hangUp(now, outlet)
	return out
}

// Squeeze opens the nozzle that is up by that much, 0 to 100 percent.
func (c *Controller) Squeeze(now time.Time, outlet uint8, percent int) []Packet {
	out, _ := c.squeeze(now, outlet, percent)
	return out
}

// PressStop presses the side's own stop button (P6.16).
func (c *Controller) PressStop(now time.Time, outlet uint8) []Packet {
	out, _ := c.pressStop(now, outlet)
	return out
}

// PressEmergency presses the emergency stop of the whole device (P6.24).
func (c *Controller) PressEmergency(now time.Time) []Packet {
	out, _ := c.shutDown(now, wire.ReasonEmergencyStop)
	return out
}

// DetectGas lets the gas or leak detector strike (P6.25).
func (c *Controller) DetectGas(now time.Time) []Packet {
	out, _ := c.shutDown(now, wire.ReasonGas)
	return out
}

// Release ends a shut-down by hand (P6.26), the device's own or one that the
// server ordered and the device knows nothing of.
func (c *Controller) Release(now time.Time) []Packet {
	out, _ := c.release(now)
	return out
}

// SetBroken makes the pump find a fault of its own on a side, or repairs it (P6.21).
func (c *Controller) SetBroken(now time.Time, outlet uint8, broken bool) []Packet {
	out, _ := c.setBroken(now, outlet, broken)
	return out
}

// Crank lets ml pass the meter of a nozzle in no use, as a mechanic with a crank
// does, or a thief: the totaliser grows and no evidence says why. Not while the
// side is in use.
func (c *Controller) Crank(now time.Time, outlet, nozzle uint8, ml int64) []Packet {
	out, _ := c.crank(now, outlet, nozzle, ml)
	return out
}

// direct lets hands act on a side of a pump at now.
func (c *Controller) direct(now time.Time, outlet uint8, act func(*pump, *side) error) ([]Packet, error) {
	p := c.pump
	if p == nil {
		return nil, impossible("the device is no pump")
	}
	if p.body.Side(outlet) == nil {
		return nil, impossible("the pump has no outlet %d", outlet)
	}
	if c.powered {
		p.advance(now)
	}
	err := act(p, p.side(outlet))
	return c.done(now), err
}

func (c *Controller) lift(now time.Time, outlet, nozzle uint8) ([]Packet, error) {
	return c.direct(now, outlet, func(p *pump, s *side) error {
		if s.Nozzle(nozzle) == nil {
			return impossible("outlet %d has no nozzle %d", outlet, nozzle)
		}
		if s.Up != 0 {
			return impossible("nozzle %d is up already", s.Up)
		}
		s.Up, s.Hand, s.done = nozzle, 0, false
		c.moved++
		if p.use(s) == nil {
			s.ShownMl, s.ShownFen = 0, 0
		}
		if c.powered {
			p.begin(now, s)
		}
		return nil
	})
}

func (c *Controller) hangUp(now time.Time, outlet uint8) ([]Packet, error) {
	return c.direct(now, outlet, func(p *pump, s *side) error {
		if s.Up == 0 {
			return impossible("no nozzle of outlet %d is up", outlet)
		}
		was := s.Up
		s.Up, s.Hand, s.done = 0, 0, false
		c.moved++
		if s.flow == nil {
			return nil
		}
		s.flow.hand = 0 // the nozzle's own valve: nothing drips
		if use := p.use(s); use != nil && use.Nozzle == was {
			p.end(now, s, wire.ReasonNozzleBack)
		}
		return nil
	})
}

func (c *Controller) squeeze(now time.Time, outlet uint8, percent int) ([]Packet, error) {
	return c.direct(now, outlet, func(_ *pump, s *side) error {
		if s.Up == 0 {
			return impossible("no nozzle of outlet %d is up", outlet)
		}
		if percent < 0 || percent > 100 {
			return impossible("a squeeze of %d percent", percent)
		}
		s.Hand = percent
		c.moved++
		if s.flow != nil {
			s.flow.hand = int64(percent)
		}
		return nil
	})
}

func (c *Controller) pressStop(now time.Time, outlet uint8) ([]Packet, error) {
	return c.direct(now, outlet, func(p *pump, s *side) error {
		if c.powered && p.use(s) != nil {
			p.end(now, s, wire.ReasonStopped)
		}
		return nil
	})
}

// shutDown shuts every valve, then ends every use; the alarm follows (P6.24, P6.25).
func (c *Controller) shutDown(now time.Time, cause wire.Reason) ([]Packet, error) {
	return c.direct(now, 1, func(p *pump, _ *side) error {
		p.body.ShutDown = cause
		c.moved++
		if !c.powered {
			return nil
		}
		for _, s := range p.sides {
			p.shut(s, now, wire.ReasonStopped)
		}
		for _, s := range p.sides {
			if c.powered && p.use(s) != nil {
				p.end(now, s, wire.ReasonStopped)
			}
		}
		return nil
	})
}

func (c *Controller) release(now time.Time) ([]Packet, error) {
	return c.direct(now, 1, func(p *pump, _ *side) error {
		p.body.ShutDown = 0
		c.moved++
		if o := c.flash.outlet(1); c.powered && o.Told == 0 && !o.OweRelease {
			if c.hasPlace(placeAlarm) {
				c.journal(now, 1, StepBeforeAlarm, StepAlarmed, wire.Evidence{Kind: wire.EvidenceAlarm, Reason: wire.ReasonReleased}, func(*Outlet) {})
			} else {
				c.write(StepBeforeNoted, StepNoted, func(f *Flash) { f.outlet(1).OweRelease = true })
			}
		}
		return nil
	})
}

func (c *Controller) setBroken(now time.Time, outlet uint8, broken bool) ([]Packet, error) {
	return c.direct(now, outlet, func(p *pump, s *side) error {
		s.Broken = broken
		c.moved++
		if broken && c.powered && p.use(s) != nil {
			p.end(now, s, wire.ReasonBroken)
		}
		return nil
	})
}

// SetFaults gives a side faults that the pump does not find itself; see Side.
func (c *Controller) SetFaults(now time.Time, outlet uint8, sticky, wrong int64) []Packet {
	out, _ := c.setFaults(now, outlet, sticky, wrong)
	return out
}

func (c *Controller) setFaults(now time.Time, outlet uint8, sticky, wrong int64) ([]Packet, error) {
	return c.direct(now, outlet, func(_ *pump, s *side) error {
		if sticky < 0 || sticky > 1_000_000 {
			return impossible("a valve that lets %d ml through, want 0 to 1,000,000", sticky)
		}
		s.Sticky, s.Wrong = sticky, wrong
		c.moved++
		return nil
	})
}

func (c *Controller) crank(now time.Time, outlet, nozzle uint8, ml int64) ([]Packet, error) {
	return c.direct(now, outlet, func(p *pump, s *side) error {
		n := s.Nozzle(nozzle)
		switch {
		case n == nil:
			return impossible("outlet %d has no nozzle %d", outlet, nozzle)
		case ml < 1 || ml > 1_000_000:
			return impossible("%d ml by crank, want 1 to 1,000,000", ml)
		case p.use(s) != nil:
			return impossible("outlet %d is in use", outlet)
		}
		n.Totaliser += uint64(ml)
		p.body.Unauthorised += ml
		c.moved++
		if c.powered {
			c.emitBeat(now)
		}
		return nil
	})
}
