package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// What a pump is made of is in pump_body.go, its arithmetic in meter.go, its
// screens in pump_display.go, what hands do to it in pump_hands.go.

// side is one outlet with what its controller keeps in memory; all but the Side
// is lost with power.
type side struct {
	*Side
	armUntil time.Time // armed and no nozzle lifted: until then; else zero
	flow     *flow     // the motor runs; nil: it does not, and the valve is shut
	sale     *Sale     // of the use that goes on
	done     bool      // the use is over and its nozzle not back yet
	told     wire.MeterState
}

// pump is what the controller's firmware does on a pump.
type pump struct {
	plain
	body    *Pump
	sides   []*side
	numbers []uint8
	seen    time.Time // the last time that anything happened
}

func newPumpKind(c *Controller) (kind, error) {
	if c.Pump == nil {
		c.Pump = NewPump(NewSide(1, map[uint8]string{1: "92"}))
	}
	if err := c.Pump.check(); err != nil {
		return nil, fmt.Errorf("device %s: %w", c.Device, err)
	}
	p := &pump{plain: plain{c}, body: c.Pump}
	worst := wire.Beat{Epoch: 1<<32 - 1, Boot: wire.Boot{1}, Journal: wire.Journal{1}, Uptime: 1 << 53, Lowest: 1 << 62, Highest: 1 << 62, Firmware: c.Firmware, Wire: wire.Version}
	for _, s := range p.body.Sides {
		p.sides = append(p.sides, &side{Side: s})
		p.numbers = append(p.numbers, s.Outlet)
		most := wire.OutletBeat{Outlet: s.Outlet, LastSeq: 1 << 62, Closed: true, Counters: wire.Counters{Totaliser: map[uint8]uint64{}}}
		for _, n := range s.Nozzles {
			most.Counters.Totaliser[n.Number] = 1 << 62
		}
		worst.Outlets = append(worst.Outlets, most)
	}
	if _, err := wire.SealBeat(c.Key, c.Device, worst); err != nil {
		return nil, fmt.Errorf("device %s has more outlets and nozzles than a beat can list: %w", c.Device, err)
	}
	c.pump = p
	return p, nil
}

func recallPump(m *Memory, c *Config) {
	c.Pump.adopt(m.Pump)
	m.Pump = c.Pump
}

func (p *pump) outlets() []uint8 { return p.numbers }

func (p *pump) side(outlet uint8) *side { return p.sides[slices.Index(p.numbers, outlet)] }

// use is the use that runs on a side; nil: none.
func (p *pump) use(s *side) *Use { return p.c.flash.outlet(s.Outlet).Use }

// closed (P6.4): the valve is open in a use alone.
func (p *pump) closed(_ uint8, o *Outlet) bool { return o.Use == nil }

// counters are the meters' own (P6.15).
func (p *pump) counters(n uint8, _ *Outlet) wire.Counters {
	return wire.Counters{Totaliser: p.side(n).totals()}
}

// totals reads the totalisers of a side.
func (s *Side) totals() map[uint8]uint64 {
	totals := make(map[uint8]uint64, len(s.Nozzles))
	for _, n := range s.Nozzles {
		totals[n.Number] = n.Totaliser
	}
	return totals
}

// start arms a side, or says why not (P6.3, P6.5, P6.6). Its seq is burned.
func (p *pump) start(now time.Time, cmd wire.Command) {
	c, s := p.c, p.side(cmd.Outlet)
	if reason := p.refusal(s, cmd.Start); reason != wire.ReasonNone {
		c.reject(now, cmd, reason)
		return
	}
	alive := c.answer(now, cmd, wire.EvidenceExecuted, wire.ReasonNone, func(o *Outlet) {
		o.Use = &Use{Seq: cmd.Seq, ID: cmd.ID, Order: cmd.Order, Args: cmd.Start, From: s.totals()}
	})
	if use := p.use(s); use == nil || use.Seq != cmd.Seq {
		return // power went before the write
	}
	c.moved++
	p.body.Armings = append(p.body.Armings, Movement{
		Device: c.Device, Outlet: s.Outlet, Epoch: c.flash.Epoch, Seq: cmd.Seq, Order: cmd.Order, At: now, Uptime: c.Uptime(now),
	})
	s.sale = &Sale{
		Device: c.Device, Outlet: s.Outlet, Epoch: c.flash.Epoch, Seq: cmd.Seq, Order: cmd.Order,
		MaxMl: cmd.Start.MaxMillilitres, MaxFen: cmd.Start.MaxFen, Residual: p.body.Residual, ArmedAt: now,
	}
	p.body.Sales = append(p.body.Sales, s.sale)
	s.ShownMl, s.ShownFen, s.done = 0, 0, false
	if !alive {
		p.shut(s, now, wire.ReasonPower)
		return
	}
	s.armUntil = now.Add(time.Duration(cmd.Start.ArmMillis) * time.Millisecond)
	p.begin(now, s)
}

// refusal is the first reason of P6.3 that holds, behind expired.
func (p *pump) refusal(s *side, args *wire.StartArgs) wire.Reason {
	exists := func(n *Nozzle) bool { _, ok := args.UnitPrices[n.Number]; return ok }
	switch {
	case args == nil || !slices.ContainsFunc(s.Nozzles, exists):
		return wire.ReasonUnsupported
	case p.body.ShutDown != 0:
		return wire.ReasonShutDown
	case p.use(s) != nil, s.Up != 0 && s.done: // the nozzle may still be in the last rider's tank
		return wire.ReasonBusy
	case s.Broken:
		return wire.ReasonNotWorking
	case !p.c.hasPlace(placeStart):
		return wire.ReasonJournalFull
	}
	return wire.ReasonNone
}

// begin starts the motor where a nozzle is up that the use allows: its number is
// in flash first (P6.9).
func (p *pump) begin(now time.Time, s *side) {
	use := p.use(s)
	if use == nil || use.Nozzle != 0 {
		return
	}
	price, allowed := use.Args.UnitPrices[s.Up]
	if !allowed {
		return
	}
	noted := *use
	noted.Nozzle = s.Up
	if !p.c.write(StepBeforeNoted, StepNoted, func(f *Flash) { f.outlet(s.Outlet).Use = &noted }) {
		return
	}
	s.armUntil = time.Time{}
	s.sale.Nozzle, s.sale.Price = s.Up, price
	s.sale.Limit = limitOf(price, use.Args.MaxMillilitres, use.Args.MaxFen)
	if s.sale.Limit == 0 { // not one ml may flow
		p.end(now, s, wire.ReasonLimit)
		return
	}
	s.flow = startFlow(now, s.Nozzle(s.Up).Rate, s.Hand)
	p.c.hastenBeat(now)
}

// stop ends the use that it means (P6.17). A repeat without effect is answered by
// the end of that use, where the journal has it.
func (p *pump) stop(now time.Time, cmd wire.Command, burned bool) bool {
	s := p.side(cmd.Outlet)
	if use := p.use(s); use != nil && (cmd.Order.IsZero() || cmd.Order == use.Order) {
		p.end(now, s, wire.ReasonStopped)
		return true
	}
	if e, ok := p.c.flash.end(s.Outlet, cmd.Order); ok && !burned {
		p.c.emitEntry(e)
		return true
	}
	return false
}

// end shuts the valve and journals the end of the use (P6.13, P6.16).
func (p *pump) end(now time.Time, s *side, reason wire.Reason) {
	use := *p.use(s)
	p.shut(s, now, reason)
	s.done = use.Nozzle != 0 && use.Nozzle == s.Up
	e := wire.Evidence{Kind: wire.EvidenceEnded, Reason: reason, CommandSeq: use.Seq, CommandID: use.ID, Order: use.Order}
	e.Millilitres, e.Fen = s.dispensed(&use)
	p.c.journal(now, s.Outlet, StepBeforeEnded, StepEnded, e, func(o *Outlet) { o.Use = nil })
}

// dispensed is what a use came to: what its nozzle's totaliser has grown by since
// the start, and what that costs (P6.13).
func (s *Side) dispensed(use *Use) (ml, fen int64) {
	n := s.Nozzle(use.Nozzle)
	if n == nil {
		return 0, 0
	}
	ml = int64(n.Totaliser - use.From[n.Number])
	if fen = fenOf(ml, use.Args.UnitPrices[n.Number]); ml > 0 {
		fen = max(0, fen+s.Wrong)
	}
	return ml, fen
}

// shut is physics: the valve shuts, what is still in it flows out, and the body's
// record is closed. It does nothing to a side whose valve is shut already.
func (p *pump) shut(s *side, now time.Time, how wire.Reason) {
	if s.flow != nil && s.flow.hand > 0 {
		p.count(s, p.c.Rand.Int64N(p.body.Residual+1)+s.Sticky)
	}
	s.flow, s.armUntil = nil, time.Time{}
	if s.sale != nil {
		s.sale.EndedAt, s.sale.How = now, how.String()
		s.sale = nil
		p.c.moved++
	}
}

// count lets ml pass the meter of the nozzle in use.
func (p *pump) count(s *side, ml int64) {
	if ml == 0 {
		return
	}
	s.Nozzle(s.sale.Nozzle).Totaliser += uint64(ml)
	s.sale.Ml += ml
	s.sale.Fen = fenOf(s.sale.Ml, s.sale.Price)
	s.ShownMl, s.ShownFen = s.sale.Ml, s.sale.Fen
	p.c.moved++
}

// due is when time alone ends the side's use: at the limit, closing early by the
// residual flow (P6.12), or not lifted in time (P6.8). Zero: never, as things are.
func (p *pump) due(s *side) time.Time {
	if s.flow == nil {
		return s.armUntil
	}
	at := s.flow.when(max(0, s.sale.Limit-p.body.Residual) - s.sale.Ml)
	if !at.IsZero() && at.Before(p.seen) {
		return p.seen
	}
	return at
}

func (p *pump) next() (at time.Time) {
	for _, s := range p.sides {
		if due := p.due(s); !due.IsZero() && (at.IsZero() || due.Before(at)) {
			at = due
		}
	}
	return at
}

// advance ends what time ended, each use at its own moment however late we are
// called, and meters what flowed.
func (p *pump) advance(now time.Time) {
	for {
		at := p.next()
		if at.IsZero() || at.After(now) {
			p.meter(now)
			return
		}
		i := slices.IndexFunc(p.sides, func(s *side) bool { return p.due(s).Equal(at) })
		s := p.sides[i]
		p.meter(at)
		reason := wire.ReasonNotLifted
		if s.flow != nil {
			reason = wire.ReasonLimit
		}
		if p.end(at, s, reason); !p.c.powered {
			return
		}
	}
}

// meter counts what flowed until now on all sides.
func (p *pump) meter(now time.Time) {
	for _, s := range p.sides {
		if s.flow != nil {
			p.count(s, s.flow.pass(now))
		}
	}
	p.seen = now
}

// look lets an observer see the meters turn. What time ends the next Tick tells.
func (p *pump) look(now time.Time) {
	if at := p.next(); p.c.powered && (at.IsZero() || at.After(now)) {
		p.meter(now)
	}
}

// dark: springs shut the valves.
func (p *pump) dark() {
	for _, s := range p.sides {
		p.shut(s, p.seen, wire.ReasonPower)
		s.done, s.told, s.State = false, 0, 0
	}
}

// boot is P3 on a pump: burned seqs, then uses, then what was not told, then the
// boot (P6.18 to P6.20). Nothing is armed again.
func (p *pump) boot(now time.Time) {
	p.seen = now
	for _, s := range p.sides {
		s.done = s.Up != 0                              // nobody knows whose tank it is in
		if sale := p.body.open(s.Outlet); sale != nil { // the simulator's own process died
			sale.EndedAt, sale.How = now, wire.ReasonPower.String()
		}
	}
	for _, s := range p.sides {
		if b := p.c.flash.outlet(s.Outlet).Burn; b.Seq == 0 || b.Settled {
			continue
		} else if !p.c.journal(now, s.Outlet, StepBeforeSettled, StepSettled, wire.Evidence{
			Kind: wire.EvidenceRejected, Reason: wire.ReasonPower, CommandSeq: b.Seq, CommandID: b.ID, Order: b.Order,
		}, func(o *Outlet) { o.Burn.Settled = true }) {
			return
		}
	}
	for _, s := range p.sides {
		use := p.use(s)
		if use == nil {
			continue
		}
		e := wire.Evidence{Kind: wire.EvidenceInterrupted, Reason: wire.ReasonPower, CommandSeq: use.Seq, CommandID: use.ID, Order: use.Order}
		e.Millilitres, e.Fen = s.dispensed(use)
		if !p.c.journal(now, s.Outlet, StepBeforeSettled, StepSettled, e, func(o *Outlet) { o.Use = nil }) {
			return
		}
	}
	if p.tellShutDown(now); p.c.powered {
		p.c.journalBoot(now, wire.Evidence{}, false, func(*Outlet) {})
	}
}

// tellShutDown journals a shut-down or a release that was not told yet, once
// there is a place for it (P6.27).
func (p *pump) tellShutDown(now time.Time) {
	o := p.c.flash.outlet(1)
	reason := p.body.ShutDown
	if reason == o.Told {
		if !o.OweRelease {
			return
		}
		reason = wire.ReasonReleased
	} else if reason == 0 {
		reason = wire.ReasonReleased
	}
	if !p.c.hasPlace(placeAlarm) {
		return
	}
	p.c.journal(now, 1, StepBeforeAlarm, StepAlarmed, wire.Evidence{Kind: wire.EvidenceAlarm, Reason: reason}, func(o *Outlet) {
		o.Told, o.OweRelease = p.body.ShutDown, false
	})
}

// state is the side's, in the words of telemetry.
func (p *pump) state(s *side) wire.MeterState {
	switch use := p.use(s); {
	case !p.c.powered:
		return 0
	case p.body.ShutDown != 0:
		return wire.MeterClosed
	case s.Broken:
		return wire.MeterFault
	case use != nil && s.flow == nil:
		return wire.MeterAuthorised
	case use != nil && s.Hand > 0:
		return wire.MeterFuelling
	case use != nil && s.sale.Ml > 0:
		return wire.MeterSuspended
	case use != nil:
		return wire.MeterStarted
	case s.Up != 0 && s.done:
		return wire.MeterComplete
	case s.Up != 0:
		return wire.MeterCalling
	}
	return wire.MeterIdle
}

// changed tells a state that is new at once (P6.29).
func (p *pump) changed(now time.Time) {
	if p.tellShutDown(now); !p.c.powered {
		return
	}
	news := false
	for _, s := range p.sides {
		s.State = p.state(s)
		news = news || s.State != s.told
	}
	if news && p.c.connected {
		p.c.emitTelemetry(now)
	}
}

// maxMeters is how many meters telemetry has room for.
const maxMeters = 8

// telemetry adds the sides that are not idle or whose state is news; news first.
func (p *pump) telemetry(t *wire.Telemetry) {
	var news, rest []*side
	for _, s := range p.sides {
		if s.State = p.state(s); s.State != s.told {
			news = append(news, s)
		} else if s.State != wire.MeterIdle {
			rest = append(rest, s)
		}
	}
	tell := append(news, rest...)
	for _, s := range tell[:min(len(tell), maxMeters)] {
		m := wire.Meter{Outlet: s.Outlet, State: s.State}
		if p.use(s) != nil || s.State == wire.MeterComplete {
			m.Millilitres, m.Fen = s.ShownMl, s.ShownFen
		}
		t.Meters = append(t.Meters, m)
		s.told = s.State
	}
}

// pace is faster while fuel may flow (P6.30, P9.1).
func (p *pump) pace() (beats, telemetry time.Duration) {
	for _, s := range p.sides {
		if s.flow != nil {
			return 5 * time.Second, time.Second
		}
	}
	return 0, 0
}
