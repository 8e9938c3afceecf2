package order

import (
	"fmt"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// pump is a fuel dispenser: a start arms a side within limits that the pump keeps
// by itself; what it stated at the end is billed.
type pump struct{}

func (pump) fits(p Provision) error {
	if p.Bluetooth {
		return fmt.Errorf("a pump has no Bluetooth: %w", ErrInvalid)
	}
	for n := 1; n <= p.Outlets; n++ {
		nozzles := p.Grades[uint8(n)]
		if len(nozzles) == 0 || len(nozzles) > 16 {
			return fmt.Errorf("side %d has %d nozzles; name the grade of each, 1 to 16: %w", n, len(nozzles), ErrInvalid)
		}
		for nozzle, grade := range nozzles {
			if nozzle == 0 || grade == "" || len(grade) > 16 {
				return fmt.Errorf("side %d, nozzle %d, grade %q: a nozzle is 1 to 255, a grade 1 to 16 bytes: %w",
					n, nozzle, grade, ErrInvalid)
			}
		}
	}
	nozzles := 0
	for _, side := range p.Grades {
		nozzles += len(side)
	}
	if nozzles > 64 {
		return fmt.Errorf("%d nozzles do not fit a beat; give a pump at most 64: %w", nozzles, ErrInvalid)
	}
	if len(p.Grades) != p.Outlets {
		return fmt.Errorf("nozzles of %d sides for a pump of %d: %w", len(p.Grades), p.Outlets, ErrInvalid)
	}
	return nil
}

func (pump) prices(t billing.Tariff) error {
	if t.FuelRule == nil {
		return fmt.Errorf("%w: it needs prices by volume (fuel)", billing.ErrBadTariff)
	}
	return nil
}

// start allows the nozzles of the chosen grade at the price that the ticket
// pinned. Staff's test delivery costs nothing and needs a volume.
func (pump) start(o *Order, a billing.Allowance, out *device.Outlet, c Config) (*device.StartArgs, error) {
	args := &device.StartArgs{UnitPrices: map[uint8]int64{}, MaxMillilitres: a.Millilitres, MaxFen: int64(a.Hold),
		ArmMillis: uint32(c.ArmTime.Milliseconds())}
	for _, nozzle := range out.Meter.Nozzles(o.Preset.Grade) {
		args.UnitPrices[nozzle] = a.UnitPrice
	}
	switch {
	case len(args.UnitPrices) == 0:
		return nil, fmt.Errorf("%w: this side has no nozzle for grade %q", ErrPreset, o.Preset.Grade)
	case args.MaxMillilitres < 1:
		return nil, fmt.Errorf("%w: give a volume", ErrPreset)
	case o.PayWith == PayService && args.MaxMillilitres > c.MostTest:
		return nil, fmt.Errorf("%w: a test delivery is at most %d ml", ErrPreset, c.MostTest)
	}
	return args, nil
}

func (pump) stops() bool  { return true }
func (pump) pauses() bool { return false }

// heard keeps the totalisers whole: what a nozzle moved between two pieces belongs
// to a use whose end says so, or staff are told (A7). While a use goes on nothing
// is explained yet.
func (p pump) heard(t *turn, e device.Evidence) error {
	out, said := t.outlet(e.Outlet), e.Counters.Totaliser
	if out == nil || said == nil {
		return nil
	}
	switch e.Kind {
	case device.SeenExecuted: // armed: nothing has flowed yet
		return p.explain(t, out, said, nil, 0)
	case device.SaidEnded, device.SaidInterrupted:
		o := t.orders[e.Order]
		if o == nil || o.Outlet != e.Outlet { // a use that is not ours explains nothing
			return p.explain(t, out, said, nil, 0)
		}
		t.flow(o, out, said)
		return p.explain(t, out, said, o, e.Counters.Millilitre)
	}
	return nil
}

// explain opens an item where the totalisers moved by other than ml through the
// nozzles of an order's grade (nil: at all), and from then on takes what they say as
// told.
func (pump) explain(t *turn, out *device.Outlet, said map[uint8]uint64, o *Order, ml int64) error {
	var nozzles []uint8
	id := ""
	if o != nil {
		nozzles, id = out.Meter.Nozzles(o.Preset.Grade), o.ID
	}
	moved, others, known := out.Meter.Since(said, nozzles...)
	if known && (moved != ml || others != 0) {
		detail := fmt.Sprintf("%d ml that no sale accounts for", moved-ml+others)
		for _, j := range out.Meter.Jumps(said) {
			detail += fmt.Sprintf("; nozzle %d went from %d to %d ml", j.Nozzle, j.From, j.To)
		}
		subject := fmt.Sprintf("%s/%d/%d/%d", t.device.ID, t.device.Epoch, out.N, out.Meter.Total())
		if err := t.item(ItemTotaliser, subject, id, detail); err != nil {
			return err
		}
	}
	out.Meter = out.Meter.Explain(said)
	t.touchOutlet(out)
	return nil
}

// flow notes what passed the meters of an order's nozzles since its start.
func (t *turn) flow(o *Order, out *device.Outlet, said map[uint8]uint64) {
	if ml, _, known := out.Meter.Since(said, out.Meter.Nozzles(o.Preset.Grade)...); known {
		t.flowed[o.ID] = ml
	}
}

// booted: power was lost, so the valve is shut and the use over; where no piece
// said so, settled finds it.
func (pump) booted(*turn, *Order, device.Evidence) error { return nil }

// settled ends a use of which nothing more will be told: all evidence is here, or
// lost, and a later word states the side closed. Then it looks at the totalisers of
// the sides that no use may move.
func (p pump) settled(t *turn) error {
	if t.device.Applied < t.device.Head.Highest {
		return nil
	}
	for i := range t.outlets {
		out := &t.outlets[i]
		if !out.Stated.Known || !out.Stated.Closed {
			continue
		}
		if o := t.orders[out.Order]; o != nil && o.State == Active {
			t.flow(o, out, out.Meter.Stated)
			if err := p.explain(t, out, out.Meter.Stated, o, t.flowed[o.ID]); err != nil {
				return err
			}
			if err := t.finishUse(o, FoundShut, fmt.Sprintf("beat/%x/%d", out.Stated.Boot, out.Stated.Uptime),
				device.NotBlocked, nil); err != nil {
				return err
			}
		}
		if out.Order == "" && t.openStart(out.N) == nil && out.Meter.Stated != nil {
			if out.Meter.Explained == nil || len(out.Meter.Jumps(out.Meter.Stated)) > 0 {
				if err := p.explain(t, out, out.Meter.Stated, nil, 0); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// measure copies the pump's own figures where it stated the end, and checks them:
// the amount is volume times price, and no more was billed than passed the
// totaliser. Without such a word the totalisers themselves are the measure.
func (pump) measure(t *turn, o *Order, e *device.Evidence) (billing.Usage, string, error) {
	grade, _ := o.Tariff.Grade(o.Preset.Grade)
	fuel := &billing.Fuel{Grade: o.Preset.Grade, Limit: o.HoldFen}
	u := billing.Usage{Measured: billing.ByPump, Evidence: o.Evidence, Fuel: fuel}
	if e == nil || e.Kind != device.SaidEnded && e.Kind != device.SaidInterrupted {
		u.Measured = billing.ByTotaliser
		if _, noted := t.flowed[o.ID]; !noted { // ended from afar: what the newest beat proves
			out := t.outlet(o.Outlet)
			t.flow(o, out, out.Meter.Stated)
		}
		fuel.Millilitres = max(t.flowed[o.ID], 0)
		fuel.Fen = billing.Price(fuel.Millilitres, grade.UnitPrice)
		doubt := ""
		if o.EndedBy == FoundShut && fuel.Millilitres > 0 && !t.onlyItsEndIsLost(o) {
			doubt = fmt.Sprintf("evidence of the time after its start is lost, and its totalisers moved by %d ml: other sales may be among it", fuel.Millilitres)
		}
		return u, doubt, t.unbilled(o, fuel)
	}
	fuel.Millilitres, fuel.Fen = e.Counters.Millilitre, billing.Fen(e.Counters.Fen)
	doubt := ""
	flowed, metered := t.flowed[o.ID]
	switch {
	case !o.Tariff.Agrees(fuel.Grade, fuel.Millilitres, fuel.Fen):
		doubt = fmt.Sprintf("the pump says %d ml and %v yuan; at its price that is %v", fuel.Millilitres, fuel.Fen,
			billing.Price(fuel.Millilitres, grade.UnitPrice))
	case e.Counters.Totaliser == nil && fuel.Millilitres > 0:
		doubt = fmt.Sprintf("the pump says %d ml and states no totalisers", fuel.Millilitres)
	case metered && fuel.Millilitres > flowed:
		doubt = fmt.Sprintf("the pump says %d ml, and its totalisers moved by %d", fuel.Millilitres, flowed)
	}
	return u, doubt, t.unbilled(o, fuel)
}

// onlyItsEndIsLost tells whether at most one piece is lost since the order's first
// one: that is the end of its use, which every use has.
func (t *turn) onlyItsEndIsLost(o *Order) bool {
	first, known := o.firstPiece()
	return known && t.device.LostUpTo <= first+1
}

// unbilled opens an item for what flowed above the limit: the operator's loss.
func (t *turn) unbilled(o *Order, f *billing.Fuel) error {
	if f.Fen <= f.Limit {
		return nil
	}
	return t.item(ItemUnbilled, o.ID, o.ID, fmt.Sprintf("%d ml came to %v yuan, the limit was %v", f.Millilitres, f.Fen, f.Limit))
}
