package world

import (
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

// fuelPrice is P6.14 in the oracle's own words.
func fuelPrice(ml, unitPrice int64) billing.Fen { return billing.Fen((ml*unitPrice + 5000) / 10000) }

// gap is what staff were told of a meter that moved in no use.
type gap struct {
	ml int64
	at time.Duration
}

// gap follows an item of that kind.
func (o *oracle) gap(i order.Item) {
	k := sideKey{device: i.Device}
	var epoch uint32
	var ml int64
	if _, err := fmt.Sscanf(i.Subject[len(i.Device):], "/%d/%d/", &epoch, &k.outlet); err != nil {
		o.violation("world: an item's subject %q: %v", i.Subject, err)
	}
	if _, err := fmt.Sscanf(i.Detail, "%d ml", &ml); err != nil {
		o.violation("world: an item's detail %q: %v", i.Detail, err)
	}
	o.gaps[k] = append(o.gaps[k], gap{ml, o.w.at})
}

// armed holds a true arming against its order.
func (o *oracle) armed(x *sale) {
	o.sales[x.id] = x
	o.armsStopped(x)
	of := o.orders[x.id]
	switch {
	case billing.Fen(x.MaxFen) != of.HoldFen:
		o.violation("A3: %s arms up to %d fen, the hold is %d", o.name(x.id), x.MaxFen, of.HoldFen)
	case of.Preset.Millilitres > 0 && x.MaxMl > of.Preset.Millilitres:
		o.violation("A7: %s arms up to %d ml, its rider chose %d", o.name(x.id), x.MaxMl, of.Preset.Millilitres)
	case of.Preset.Amount > 0 && of.HoldFen > of.Preset.Amount:
		o.violation("A7: %s holds %d fen, its rider chose %d", o.name(x.id), of.HoldFen, of.Preset.Amount)
	}
}

// dispensed holds a true use that is over against its limits (A7).
func (o *oracle) dispensed(x *sale) {
	name := o.name(x.id)
	if x.Nozzle == 0 {
		if x.Ml != 0 {
			o.violation("A7: %s drew %d ml through no nozzle", name, x.Ml)
		}
		return
	}
	most := x.Limit + x.sticky
	if x.Limit < x.Residual {
		most += x.Residual
	}
	if x.Ml > most {
		o.violation("A7: %s drew %d ml, its limit is %d, the residual %d, the valve stuck for %d", name, x.Ml, x.Limit, x.Residual, x.sticky)
	}
	of := o.orders[x.id]
	if grade := x.side.body.Nozzle(x.Nozzle).Grade; grade != of.Preset.Grade {
		o.violation("A3: %s drew %s, its rider chose %s", name, grade, of.Preset.Grade)
	}
	if want := o.unitPrice(of); x.Price != want {
		o.violation("M5: %s is armed at %d a litre, its ticket says %d", name, x.Price, want)
	}
}

// unitPrice is what a litre costs by the version that the order's ticket pinned.
func (o *oracle) unitPrice(x order.Order) int64 {
	if x.PayWith == order.PayService {
		return 0
	}
	g, _ := o.w.fuels[o.versions[x.Ticket]-1].Grade(x.Preset.Grade)
	return g.UnitPrice
}

// agrees tells whether the amount that a pump signed is what its volume costs, as
// exactly as it measures.
func (o *oracle) agrees(x order.Order, said *wire.Evidence) bool {
	unit, step := o.unitPrice(x), o.w.fuel().StepMillilitres
	if x.PayWith == order.PayService {
		step = 0
	}
	fen := billing.Fen(said.Fen)
	return fen >= fuelPrice(max(said.Millilitres-step, 0), unit) && fen <= fuelPrice(said.Millilitres+step, unit)
}

// undecided tells whether an order waits for staff, and they know.
func (o *oracle) undecided(x order.Order) bool {
	return x.Kind == device.Pump && x.State == order.Ended && o.items[order.ItemMismatch+"/"+x.ID]
}

// soldOrder looks at one written row of a pump's order against the one before.
func (o *oracle) soldOrder(x, was order.Order) {
	if x.State == was.State || x.State != order.Ended && x.State != order.Settled {
		return
	}
	if was.State == order.Ended {
		if x.Usage.Decided == nil || x.Quote.Total != *x.Usage.Decided {
			o.violation("M5: %s is settled at %d fen behind the back of staff", o.name(x.ID), x.Quote.Total)
		}
		return
	}
	o.measured(x)
}

// measured holds an order's measure and bill against its body at the moment at
// which its use ended for the server.
func (o *oracle) measured(x order.Order) {
	name, s := o.name(x.ID), o.sales[x.ID]
	if x.Usage == nil || x.Usage.Fuel == nil || s == nil {
		o.violation("M5: %s ends without a measured use (%v) or one at all (%v)", name, x.Usage == nil, s == nil)
		return
	}
	f := x.Usage.Fuel
	unit := o.unitPrice(x)
	total := fuelPrice(f.Millilitres, unit)
	if x.EndedBy == order.DeviceEnded {
		switch {
		case !s.over || s.said == nil || f.Millilitres != s.ml:
			o.violation("M5: %s is billed for %d ml, its body says %d (over %v, signed %v)", name, f.Millilitres, s.Ml, s.over, s.said != nil)
			return
		case x.State == order.Settled && !o.agrees(x, s.said):
			o.violation("M5: %s is settled at %d fen for %d ml at %d a litre", name, s.said.Fen, f.Millilitres, unit)
		case x.State == order.Ended && o.agrees(x, s.said) && !s.m.lostIn[s.Epoch]:
			o.violation("M5: %s waits for staff, and its figures agree: %d fen for %d ml at %d a litre", name, s.said.Fen, f.Millilitres, unit)
		}
		total = billing.Fen(s.said.Fen)
	} else {
		o.w.result.Ends[string(x.EndedBy)]++
		if most := s.Ml + s.crankedSince(s.ArmedAt.Sub(o.w.began)); f.Millilitres > most {
			o.violation("M5: %s is billed for %d ml, not more than %d passed its meters", name, f.Millilitres, most)
		}
	}
	if x.State == order.Ended {
		o.w.result.Ends["undecided"]++
		if x.EndedBy != order.DeviceEnded && !s.m.lostIn[s.Epoch] {
			o.violation("M5: %s (%s) waits for staff, and no evidence is lost", name, x.EndedBy)
		}
	}
	if x.EndedBy == order.FoundShut && !s.over {
		o.violation("M5: %s is found shut, and its use goes on", name)
	}
	if want := min(total, x.HoldFen); x.Quote.Total != want {
		o.violation("M5: %s comes to %d fen, want %d of %d ml at %d a litre, held %d", name, x.Quote.Total, want, f.Millilitres, unit, x.HoldFen)
	}
}

// crankedSince is what passed the meters of a sale's side by crank, in ml.
func (s *sale) crankedSince(at time.Duration) (ml int64) {
	for _, c := range s.side.cranks {
		if c.at >= at {
			ml += c.ml
		}
	}
	return ml
}

// judgeSale is the verdict on a pump's order.
func (o *oracle) judgeSale(x order.Order) {
	name, s := o.name(x.ID), o.sales[x.ID]
	if x.Debt != 0 {
		o.violation("M5: %s owes %d fen beyond its hold", name, x.Debt)
	}
	if x.PayWith != order.PayService && x.Tariff.Version != o.versions[x.Ticket] {
		o.violation("M5: %s goes by version %d of the tariff, its ticket by %d", name, x.Tariff.Version, o.versions[x.Ticket])
	}
	if s == nil {
		return
	}
	if s.ml != s.Ml || !s.over {
		o.violation("A8: %s drew %d ml when its valve shut, and now %d", name, s.ml, s.Ml)
	}
	unit := o.unitPrice(x)
	worth := fuelPrice(s.Ml, unit)
	decided := x.Usage != nil && x.Usage.Decided != nil
	byPump := x.EndedBy == order.DeviceEnded && s.said != nil
	lost := s.m.lostIn[s.Epoch] || s.Epoch != s.m.epoch // its end may never have been heard
	most := worth
	if lost {
		most = fuelPrice(s.Ml+s.crankedSince(s.ArmedAt.Sub(o.w.began)), unit)
	}
	if paid := x.Paid(); !decided && !byPump && paid > most {
		o.violation("M5: %s cost %d fen, what flowed is worth %d", name, paid, worth)
	}
	if s.Ml == 0 && !decided && !lost && x.Paid() != 0 {
		o.violation("M5: %s cost %d fen and nothing flowed", name, x.Paid())
	}
	billed := x.Charged
	if byPump {
		worth = billing.Fen(s.said.Fen)
	}
	if worth > billed && !decided && !lost && x.State != order.Ended && x.PayWith != order.PayService &&
		!o.items[order.ItemUnbilled+"/"+x.ID] && !o.items[order.ItemMismatch+"/"+x.ID] {
		o.violation("M5: %s drew %d ml for %d fen, was billed %d (%s by %s), and nobody is told", name, s.Ml, worth, billed, x.State, x.EndedBy)
	}
}

// learns notes from a committed word up to where the server can know a pump's
// totalisers: all evidence up to a beat is in, and nothing goes on at the side.
func (o *oracle) learns(m *machine, word device.Word) {
	var epoch uint32
	if b := word.Beat; b != nil {
		key := sideKey{m.id, b.Epoch, 0}
		o.beats[key] = max(o.beats[key], b.Highest)
		epoch = b.Epoch
	} else {
		epoch = word.Evidence.Epoch
	}
	highest, beaten := o.beats[sideKey{m.id, epoch, 0}]
	if !beaten || epoch != m.epoch {
		return
	}
	for n := uint64(1); n <= highest; n++ {
		if _, ok := o.evidence[evidenceKey{m.id, epoch, device.Journal(m.flash.Journal), n}]; !ok {
			return
		}
	}
	for _, s := range m.pump.sides {
		// A word that ends the last start itself still finds the side taken.
		key := sideKey{m.id, epoch, s.n}
		was := o.free[key]
		o.free[key] = !s.busy() && !o.taken(m.id, s.n)
		s.based = s.based || was && o.free[key]
	}
}

// taken tells whether an order or an open start has an outlet.
func (o *oracle) taken(id device.ID, n uint8) bool {
	for _, x := range o.orders {
		if x.Device == id && x.Outlet == n && x.State.Live() {
			return true
		}
	}
	for _, k := range o.commands {
		if k.Device == id && k.Outlet == n && k.Kind == device.Start && k.State.Open() {
			return true
		}
	}
	return false
}

// judgePump is the verdict on a pump's meters.
func (o *oracle) judgePump(m *machine) {
	outlets := o.w.store.Outlets(m.id)
	for i, s := range m.pump.sides {
		for _, hose := range s.body.Nozzles {
			if known := outlets[i].Meter.Stated[hose.Number]; known != hose.Totaliser {
				o.violation("E2: nozzle %d of side %d of %s stands at %d ml, the server believes %d", hose.Number, s.n, m.id, hose.Totaliser, known)
			}
		}
		if !outlets[i].Stated.Closed {
			o.violation("E2: the server believes that side %d of %s is open", s.n, m.id)
		}
		o.judgeGaps(m, s)
	}
	total := int64(0)
	for _, s := range m.pump.sides {
		for _, c := range s.cranks {
			total += c.ml
		}
	}
	if total != m.pump.body.Unauthorised {
		o.violation("A7: %s let %d ml through in no use, hands cranked %d", m.id, m.pump.body.Unauthorised, total)
	}
	if wall := m.flash.Wall; m.pump.display && (wall == nil || wall.Boot != m.c.BootID()) {
		o.violation("S5: %s has a display and was never told the time in this run", m.id)
	}
}

// judgeGaps holds what staff were told of a side's meters against the cranks: every
// millilitre once, where the server can know of it; see the package's limits. What a
// sale drew whose end was never heard looks the same.
func (o *oracle) judgeGaps(m *machine, s *side) {
	told, items := int64(0), len(o.gaps[sideKey{m.id, 0, s.n}])
	for _, g := range o.gaps[sideKey{m.id, 0, s.n}] {
		told += g.ml
	}
	least, most, times := int64(0), int64(0), len(s.cranks)
	for _, c := range s.cranks {
		if most += c.ml; c.based && len(m.lostIn) == 0 {
			least += c.ml
		}
	}
	for _, x := range o.sales {
		if x.m == m && x.side == s && (m.lostIn[x.Epoch] || x.Epoch != m.epoch) {
			most, times = most+x.Ml, times+1
		}
	}
	if told < least || told > most || items > times {
		o.violation("A7: side %d of %s let %d to %d ml through by %d cranks or lost sales, staff were told of %d ml by %d items", s.n, m.id,
			least, most, times, told, items)
	}
}
