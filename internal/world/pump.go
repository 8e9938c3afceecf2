package world

import (
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	sim "github.com/unlatch/unlatch/firmware-sim"
)

// pump is what a machine has that is a dispenser.
type pump struct {
	body    *sim.Pump
	sides   []*side
	display bool
	armed   int // armings seen by the oracle
	// released is when a hand last ended a shut-down, or a stop that the pump knows
	// nothing of.
	released time.Duration
	struck   time.Duration // when its own alarm last did
	heard    time.Duration // when the one did that the server heard last
	told     evidenceKey   // its newest word that it was released
	toldAt   time.Duration // when it was journalled
	alarms   []alarm       // as journalled
	walking  bool          // a hand is on its way to release it
}

// alarm is a word of a pump's on its shut-downs.
type alarm struct {
	key    evidenceKey
	reason wire.Reason
	at     time.Duration // when it struck
}

// side is one outlet of a dispenser and who stands at it.
type side struct {
	n      uint8
	body   *sim.Side
	visit  int // grows with each who comes to it
	sale   *sale
	cranks []crank
	based  bool // the server knows the totaliser up to which nothing is its to explain
}

// sale is a true use of a side, with what only the world knows of it.
type sale struct {
	*sim.Sale
	m      *machine
	side   *side
	id     string         // of the order
	sticky int64          // the most that the valve let through besides the residual, ml
	over   bool           // the valve shut, with that much passed
	ml     int64          //
	said   *wire.Evidence // the end as the pump signed it; nil: it did not (yet)
}

// crank is what passed a meter in no use.
type crank struct {
	at     time.Duration
	epoch  uint32
	nozzle uint8
	ml     int64
	based  bool // the server knew the totaliser before
}

// The grades that the station sells.
var fuelGrades = []string{"92", "95"}

// installPump mounts a dispenser of two sides with one or two nozzles each.
func (w *world) installPump(id device.ID) {
	w.install(id, device.Pump, func(m *machine) {
		var sides []*sim.Side
		for n := range uint8(2) {
			nozzles := map[uint8]string{1: pick(w, fuelGrades)}
			if w.chance(0.7) {
				nozzles = map[uint8]string{1: "92", 3: "95"}
			}
			s := sim.NewSide(n+1, nozzles)
			for _, hose := range s.Nozzles {
				hose.Rate = 40 + w.rand.Int64N(500)
				hose.Totaliser = w.rand.Uint64N(1_000_000)
			}
			sides = append(sides, s)
		}
		m.pump = &pump{body: sim.NewPump(sides...), display: w.chance(0.5), released: -1, toldAt: -1}
		m.pump.body.Residual = w.rand.Int64N(60)
		for _, s := range m.pump.body.Sides {
			m.pump.sides = append(m.pump.sides, &side{n: s.Outlet, body: s})
		}
		w.pumps = append(w.pumps, m)
	})
}

// grades are what staff enter of the nozzles.
func (p *pump) grades() map[uint8]map[uint8]string {
	all := map[uint8]map[uint8]string{}
	for _, s := range p.sides {
		all[s.n] = map[uint8]string{}
		for _, hose := range s.body.Nozzles {
			all[s.n][hose.Number] = hose.Grade
		}
	}
	return all
}

func (p *pump) side(n uint8) *side {
	for _, s := range p.sides {
		if s.n == n {
			return s
		}
	}
	return nil
}

// busy tells whether a use goes on.
func (s *side) busy() bool { return s.sale.busy() }

func (x *sale) busy() bool { return x != nil && !x.over }

// nozzle is one that gives a grade, other one that does not; 0: there is none.
func (s *side) nozzle(grade string) (right, other uint8) {
	for _, hose := range s.body.Nozzles {
		if hose.Grade == grade {
			right = hose.Number
		} else {
			other = hose.Number
		}
	}
	return right, other
}

// follow looks at what a pump's body did: first armings, then what it signed
// behind number last, then ends.
func (w *world) follow(m *machine, last uint64) {
	p := m.pump
	for ; p.armed < len(p.body.Armings); p.armed++ {
		w.arms(m, p.body.Armings[p.armed], p.body.Sales[p.armed])
	}
	w.journalled(m, last)
	for _, s := range p.sides {
		x := s.sale
		if x == nil || x.over {
			continue
		}
		x.sticky = max(x.sticky, s.body.Sticky)
		if x.EndedAt.IsZero() {
			if !m.c.Powered() {
				w.oracle.violation("A8: side %d of %s has no power and its valve is not shut", s.n, m.id)
			}
			continue
		}
		x.over, x.ml = true, x.Ml
		w.note(string(m.id), "side %d SHUTS for %s: %s, %d ml", s.n, w.oracle.name(x.id), x.How, x.Ml)
		w.oracle.dispensed(x)
		w.goes(m, s)
	}
}

// signed keeps the end of a use, and a hand's word, as the pump signed them.
func (w *world) signed(m *machine, e sim.Entry) {
	if e.Ends.IsZero() && e.Kind != wire.EvidenceAlarm {
		return
	}
	u, err := wire.OpenUplink(m.keys[m.epoch], string(m.id), e.Sealed)
	if err != nil {
		w.oracle.violation("world: %s cannot read what it signed: %v", m.id, err)
		return
	}
	if e.Kind == wire.EvidenceAlarm {
		key := evidenceKey{m.id, u.Evidence.Epoch, device.Journal(u.Evidence.Journal), e.Seq}
		m.pump.alarms = append(m.pump.alarms, alarm{key, u.Evidence.Reason, m.pump.struck})
		if u.Evidence.Reason == wire.ReasonReleased {
			m.pump.told, m.pump.toldAt = key, w.at
		}
	}
	if x := w.oracle.sales[e.Ends.String()]; x != nil {
		x.said = u.Evidence
		w.result.Ends[endWord(u.Evidence)]++
	}
}

// endWord is how Ends counts an end.
func endWord(e *wire.Evidence) string {
	if e.Kind == wire.EvidenceInterrupted {
		return e.Kind.String()
	}
	return e.Reason.String()
}

// arms follows a true arming.
func (w *world) arms(m *machine, v sim.Movement, of *sim.Sale) {
	s := m.pump.side(v.Outlet)
	x := &sale{Sale: of, m: m, side: s, id: v.Order.String(), sticky: s.body.Sticky}
	s.sale = x
	w.note(string(m.id), "side %d ARMS for start #%d of %s", s.n, v.Seq, w.oracle.name(x.id))
	w.oracle.moved(m, v)
	w.oracle.armed(x)
	w.losesProof(m)
	w.mischief(m, s)
	w.visits(m, s)
}

// hand lets who stands at a side do something after a while, if he is still there.
func (w *world) hand(s *side, wait time.Duration, do func()) {
	visit := s.visit
	w.after(wait, func() {
		if s.visit == visit {
			do()
		}
	})
}

// visits plans what the rider of a side that is armed now does.
func (w *world) visits(m *machine, s *side) {
	s.visit++
	right, other := s.nozzle(w.oracle.orders[s.sale.id].Preset.Grade)
	wait := w.between(time.Second, 12*time.Second)
	switch {
	case s.body.Up != 0: // it was in his hand before
		w.draws(m, s)
		return
	case w.healing:
	case w.chance(0.1): // forgets it
		return
	case other != 0 && w.chance(0.15):
		w.hand(s, wait, func() { w.lift(m, s, other) })
		w.hand(s, wait+time.Second, func() { w.squeeze(m, s, 100) })
		wait += w.between(2*time.Second, 15*time.Second)
		if w.chance(0.3) {
			w.hand(s, wait, func() { w.hangUp(m, s) })
			return
		}
	case w.chance(0.07): // in the last moment, or a little later
		arm := w.env.Config.ArmTime
		wait = w.between(arm-2*time.Second, arm+2*time.Second)
	}
	w.hand(s, wait, func() {
		w.lift(m, s, right)
		w.draws(m, s)
	})
}

// draws plans what a hand does with the nozzle that it has lifted.
func (w *world) draws(m *machine, s *side) {
	w.hand(s, w.between(200*time.Millisecond, 3*time.Second), func() { w.squeeze(m, s, 30+w.rand.IntN(71)) })
	for range w.rand.IntN(3) {
		pause := w.between(2*time.Second, 30*time.Second)
		w.hand(s, pause, func() { w.squeeze(m, s, 0) })
		w.hand(s, pause+w.between(time.Second, 20*time.Second), func() { w.squeeze(m, s, 30+w.rand.IntN(71)) })
	}
	away := w.between(2*time.Second, 70*time.Second)
	switch {
	case w.healing:
	case w.chance(0.08):
		w.hand(s, away, func() {
			w.note(string(m.id), "side %d: its stop button is pressed", s.n)
			w.touch(m, func(now time.Time) []sim.Packet { return m.c.PressStop(now, s.n) })
		})
		away += w.between(time.Second, 20*time.Second)
	case w.chance(0.2): // the trigger holds by itself
		away = w.between(time.Minute, 8*time.Minute)
	case w.chance(0.12): // and walks away
		w.hand(s, away, func() { w.squeeze(m, s, 0) })
		away = 3 * time.Hour
	}
	w.hand(s, away, func() { w.hangUp(m, s) })
}

// goes plans that the nozzle of a use that is over is hung up.
func (w *world) goes(m *machine, s *side) {
	if s.body.Up != 0 {
		w.hand(s, w.between(2*time.Second, 40*time.Second), func() { w.hangUp(m, s) })
	}
}

func (w *world) lift(m *machine, s *side, nozzle uint8) {
	if s.body.Up != 0 {
		w.hangUp(m, s)
	}
	w.note(string(m.id), "side %d: nozzle %d is lifted", s.n, nozzle)
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.Lift(now, s.n, nozzle) })
}

func (w *world) squeeze(m *machine, s *side, percent int) {
	if s.body.Up == 0 {
		return
	}
	w.note(string(m.id), "side %d: its nozzle is opened by %d%%", s.n, percent)
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.Squeeze(now, s.n, percent) })
}

func (w *world) hangUp(m *machine, s *side) {
	if s.body.Up == 0 {
		return
	}
	w.note(string(m.id), "side %d: nozzle %d is hung up", s.n, s.body.Up)
	last := m.flash.Highest
	use := s.busy() && m.c.Powered()
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.HangUp(now, s.n) })
	if use && m.flash.Highest > last && w.strikes(Wear, 0.6) {
		// The page that holds what was not acked wears out before it leaves.
		w.silence(m, time.Second)
		w.wear(m)
	}
}

// calls lifts a nozzle before anything is armed.
func (w *world) calls(m *machine, s *side, nozzle uint8) {
	if s.busy() || s.body.Up != 0 || nozzle == 0 {
		return
	}
	s.visit++
	w.lift(m, s, nozzle)
	if w.chance(0.3) {
		w.squeeze(m, s, 60)
	}
	w.hand(s, w.between(20*time.Second, 2*time.Minute), func() { w.hangUp(m, s) })
}

// healPump repairs a pump; what hangs on a hand comes a little later.
func (w *world) healPump(m *machine) {
	for _, s := range m.pump.sides {
		w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetBroken(now, s.n, false) })
		w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetFaults(now, s.n, 0, 0) })
		w.hand(s, w.between(time.Second, 40*time.Second), func() { w.hangUp(m, s) })
	}
	w.walk(m)
}

// newPrices puts a new version of the fuel's tariff in force.
func (w *world) newPrices() {
	w.fault(NewPrices)
	t := w.fuel()
	rule := *t.FuelRule
	rule.Grades = nil
	for _, g := range t.Grades {
		g.UnitPrice = 5_000 + w.rand.Int64N(5_000)
		rule.Grades = append(rule.Grades, g)
	}
	t.Version, t.FuelRule = t.Version+1, &rule
	w.fuels = append(w.fuels, t)
	w.store.Seed(w.venue, t)
	w.note("world", "fuel has new prices, version %d", t.Version)
}

// fuel is the tariff in force.
func (w *world) fuel() billing.Tariff { return w.fuels[len(w.fuels)-1] }

// firstPrices is the tariff of fuel that a schedule begins with.
func (w *world) firstPrices() billing.Tariff {
	return billing.Tariff{ID: "fuel", Version: 1, Name: "Fuel", Rounding: billing.HalfUp, FuelRule: &billing.FuelRule{
		Grades:      []billing.Grade{{ID: "92", Name: "92#", UnitPrice: 7850}, {ID: "95", Name: "95#", UnitPrice: 8390}},
		LeastAmount: 50, MostAmount: 30_000, MostMillilitres: 40_000, StepMillilitres: w.rand.Int64N(2) * 10}}
}

// preset is what a rider chooses at a side.
func (w *world) preset(s *side, service bool) billing.Preset {
	p := billing.Preset{Grade: pick(w, s.body.Nozzles).Grade}
	if w.chance(0.03) {
		p.Grade = pick(w, fuelGrades) // this side may not have it
	}
	switch n := w.rand.IntN(3); {
	case service || n == 0:
		p.Millilitres = 60 + w.rand.Int64N(6_000)
	case n == 1:
		p.Amount = billing.Fen(50 + w.rand.IntN(4_000))
	}
	return p
}
