package sim

import (
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// Lock is a lock's body: what is physically true, whatever any message says.
// Tests hold the evidence against it. It keeps its state without power.
type Lock struct {
	Closed bool `json:"closed"`
	// Opens counts every opening there ever was, commanded or forced.
	Opens uint64 `json:"opens"`
	// Rings counts the noises made.
	Rings uint64 `json:"rings"`
	// Jammed: the motor cannot draw the bolt. A hand still can.
	Jammed bool `json:"jammed"`
	// Battery is the charge in percent, 0 to 100.
	Battery uint8 `json:"battery"`
	// Movements are the openings by motor, in order.
	Movements []Movement `json:"movements"`
}

// Movement is one opening by the motor.
type Movement struct {
	Device string    `json:"device"`
	Outlet uint8     `json:"outlet"`
	Epoch  uint32    `json:"epoch"`
	Seq    uint64    `json:"seq"`
	Order  wire.ID   `json:"order"`
	At     time.Time `json:"at"`        // true time
	Uptime uint64    `json:"uptime_ms"` // the device's clock, ms
}

// NewLock is a lock as it leaves the works: shut, charged, never opened.
func NewLock() *Lock { return &Lock{Closed: true, Battery: 100} }

// drive lets the motor draw the bolt and reports whether it did. A jammed bolt
// is driven back and stays shut.
func (l *Lock) drive(m Movement) bool {
	if l.Jammed {
		return false
	}
	l.Closed = false
	l.Opens++
	l.Movements = append(l.Movements, m)
	return true
}

// shut is a hand pushing the bolt home; false: it was.
func (l *Lock) shut() bool {
	was := l.Closed
	l.Closed = true
	return !was
}

// force is a hand tearing the bolt open; false: it was.
func (l *Lock) force() bool {
	if !l.Closed {
		return false
	}
	l.Closed = false
	l.Opens++
	return true
}

// lockKind is what the controller's firmware does on a lock.
type lockKind struct {
	plain
	body *Lock
	// jam is known (P2.6); lost with power.
	jam bool
}

func newLockKind(c *Controller) (kind, error) {
	if c.Lock == nil {
		c.Lock = NewLock()
	}
	c.lock = c.Lock
	return &lockKind{plain: plain{c}, body: c.Lock}, nil
}

func recallLock(m *Memory, c *Config) { c.Lock = &m.Lock }

func (l *lockKind) closed(uint8, *Outlet) bool { return l.body.Closed }

func (l *lockKind) dark() { l.jam = false }

// fresh: movements and the mechanical count are the body's.
func (l *lockKind) fresh(uint8) Outlet {
	return Outlet{Opens: l.c.flash.Outlet.Opens, KnownOpen: !l.body.Closed}
}

func (l *lockKind) telemetry(t *wire.Telemetry) {
	battery := l.body.Battery
	t.Battery = &battery
}

func (l *lockKind) show(_ time.Time, s *DeviceState) {
	b := l.body
	s.Closed, s.Jammed, s.Battery, s.Opens, s.Rings = b.Closed, b.Jammed, b.Battery, b.Opens, b.Rings
	s.Movements = append([]Movement{}, b.Movements...)
}

// start opens the lock, or says why not (P2.3 to P2.7). Its seq is burned.
func (l *lockKind) start(now time.Time, cmd wire.Command) {
	c := l.c
	if reason := l.refusal(cmd); reason != wire.ReasonNone {
		c.reject(now, cmd, reason)
		return
	}
	if !c.write("", StepMoving, func(f *Flash) { f.Outlet.Burn.Moving = true }) {
		return
	}
	opened := l.body.drive(Movement{
		Device: c.Device, Outlet: 1, Epoch: c.flash.Epoch, Seq: cmd.Seq, Order: cmd.Order, At: now, Uptime: c.Uptime(now),
	})
	if !c.pass(StepMoved) {
		return
	}
	if !opened {
		l.jam = true
		c.answer(now, cmd, wire.EvidenceFailed, wire.ReasonJam, func(*Outlet) {})
		return
	}
	c.answer(now, cmd, wire.EvidenceExecuted, wire.ReasonNone, func(o *Outlet) { o.began(o.Burn) })
}

// refusal is the first reason of P2.3 that holds, behind expired.
func (l *lockKind) refusal(cmd wire.Command) wire.Reason {
	c := l.c
	switch {
	case cmd.Start != nil:
		return wire.ReasonUnsupported
	case !l.body.Closed || c.flash.Outlet.Use != nil:
		return wire.ReasonBusy
	case l.jam:
		return wire.ReasonNotWorking
	case int64(l.body.Battery) < c.param(wire.ParamLowBatteryPercent):
		return wire.ReasonLowBattery
	case !c.hasPlace(placeStart):
		return wire.ReasonJournalFull
	}
	return wire.ReasonNone
}

// ring makes a noise. Its seq is burned.
func (l *lockKind) ring(now time.Time, cmd wire.Command) {
	l.body.Rings++
	l.c.answer(now, cmd, wire.EvidenceExecuted, wire.ReasonNone, func(*Outlet) {})
}

// began is the change that goes with a start's executed (P2.5, P3.1).
func (o *Outlet) began(b Burn) {
	o.Use = &Use{Seq: b.Seq, ID: b.ID, Order: b.Order}
	o.Opens = b.Opens + 1
	o.KnownOpen = true
}

// boot is P3 on a lock.
func (l *lockKind) boot(now time.Time) {
	unknown, ok := l.settle(now)
	if !ok {
		return
	}
	o := &l.c.flash.Outlet
	if !l.body.Closed && o.Use == nil && !o.KnownOpen {
		l.alarmForced(now) // opened while nobody looked
	}
	if !l.c.powered {
		return
	}
	e := wire.Evidence{Unknown: unknown}
	use := o.Use
	over := use != nil && l.body.Closed
	if use != nil {
		e.CommandSeq, e.CommandID, e.Order = use.Seq, use.ID, use.Order
	}
	if over { // P3.5
		e.Reason = wire.ReasonClosedByHand
	}
	l.c.journalBoot(now, e, unknown != nil || over, func(o *Outlet) {
		o.Burn.Settled = true
		o.KnownOpen = !l.body.Closed
		if over {
			o.Use = nil
		}
	})
}

// settle answers a burned command that has no result (P3.1 to P3.3). Of a start
// whose outcome it cannot tell it returns the name; ok: the device still runs.
func (l *lockKind) settle(now time.Time) (unknown *wire.Unknown, ok bool) {
	b := l.c.flash.Outlet.Burn
	if b.Settled || b.Seq == 0 {
		return nil, true
	}
	e := wire.Evidence{CommandSeq: b.Seq, CommandID: b.ID, Order: b.Order}
	settled := func(o *Outlet) { o.Burn.Settled = true }
	switch {
	case !b.Moving: // a ring never has the mark
		e.Kind, e.Reason = wire.EvidenceRejected, wire.ReasonPower
	case !l.body.Closed:
		e.Kind = wire.EvidenceExecuted
		settled = func(o *Outlet) { o.Burn.Settled = true; o.began(b) }
	default:
		return &wire.Unknown{Seq: b.Seq, CommandID: b.ID, Order: b.Order}, true
	}
	return nil, l.c.journal(now, 1, StepBeforeSettled, StepSettled, e, settled)
}

// alarmForced journals an opening that nobody asked for, or where there is no
// place for an alarm at least notes it.
func (l *lockKind) alarmForced(now time.Time) {
	if !l.c.hasPlace(placeAlarm) {
		l.noteBolt(now, 1)
		return
	}
	l.c.journal(now, 1, StepBeforeAlarm, StepAlarmed, wire.Evidence{Kind: wire.EvidenceAlarm, Reason: wire.ReasonForcedOpen},
		func(o *Outlet) { o.KnownOpen = true; o.Opens++ })
}

// noteBolt writes what the sensor shows outside a use, and tells it by a beat (P9.2).
func (l *lockKind) noteBolt(now time.Time, opens uint64) {
	if l.c.write(StepBeforeNoted, StepNoted, func(f *Flash) {
		f.Outlet.KnownOpen = !l.body.Closed
		f.Outlet.Opens += opens
	}) {
		l.c.emitBeat(now)
	}
}

// CloseByHand pushes the bolt home (P5.1, P5.4). Without power only the body
// changes. Nothing happens to a device that is no lock.
func (c *Controller) CloseByHand(now time.Time) []Packet {
	l, ok := c.kind.(*lockKind)
	if !ok || !l.body.shut() || !c.powered {
		return nil
	}
	l.jam = false
	use := c.flash.Outlet.Use
	if use == nil {
		l.noteBolt(now, 0)
		return c.done(now)
	}
	c.journal(now, 1, StepBeforeEnded, StepEnded, wire.Evidence{
		Kind: wire.EvidenceEnded, Reason: wire.ReasonClosedByHand, CommandSeq: use.Seq, CommandID: use.ID, Order: use.Order,
	}, func(o *Outlet) { o.Use, o.KnownOpen = nil, false })
	return c.done(now)
}

// ForceOpen tears the bolt open (P5.4). Without power only the body changes.
// Nothing happens to a device that is no lock.
func (c *Controller) ForceOpen(now time.Time) []Packet {
	l, ok := c.kind.(*lockKind)
	if !ok || !l.body.force() || !c.powered {
		return nil
	}
	l.jam = false
	l.alarmForced(now)
	return c.done(now)
}

// SetJammed jams the bolt, or has a mechanic free it, who moves it to see that
// it runs (P2.6). Nothing happens to a device that is no lock.
func (c *Controller) SetJammed(jammed bool) {
	l, ok := c.kind.(*lockKind)
	if !ok {
		return
	}
	l.body.Jammed = jammed
	if !jammed {
		l.jam = false
	}
}

// SetBattery sets the charge in percent, at most 100, and tells it at once.
// Nothing happens to a device that is no lock.
func (c *Controller) SetBattery(now time.Time, percent uint8) []Packet {
	l, ok := c.kind.(*lockKind)
	if !ok {
		return nil
	}
	l.body.Battery = min(percent, 100)
	if c.powered {
		c.emitTelemetry(now)
	}
	return c.done(now)
}
