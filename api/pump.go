package api

import (
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// What riders and staff see of pumps alone.

// Live knows what the displays of devices show.
type Live interface {
	// Live returns the newest figures of a device's outlets; those are missing of
	// which nobody told any. They must not be changed.
	Live(id device.ID) map[uint8]order.Live
}

// LiveFigures is what a display shows while an order is active.
type LiveFigures struct {
	State       string    `json:"state" doc:"closed, idle, calling, authorised, started, fuelling, suspended, complete or fault"`
	Millilitres int64     `json:"millilitres"`
	Fen         int64     `json:"amount_fen"`
	At          time.Time `json:"at" doc:"When these figures came in"`
	Stale       bool      `json:"stale" doc:"They are older than five seconds: the link may be lost, and the pump goes on by itself"`
	Proven      bool      `json:"proven" doc:"False: the bill is what the pump signs at the end, and never more than hold_fen"`

	uptime uint64
}

// liveOf is what the display of an active order's outlet shows, nil when there is
// none or it shows another use.
func (a *API) liveOf(o order.Order) *LiveFigures {
	if a.Live == nil || o.State != order.Active {
		return nil
	}
	live, ok := a.Live.Live(o.Device)[o.Outlet]
	if !ok || !inUse[live.State] || live.At.Before(o.ActiveAt.Add(-time.Second)) {
		return nil
	}
	return shownLive(live)
}

// staleAfter is how old figures of a running display may be; they come about once a
// second.
const staleAfter = 5 * time.Second

func shownLive(l order.Live) *LiveFigures {
	return &LiveFigures{State: l.State, Millilitres: l.Millilitres, Fen: l.Fen, At: l.At, Stale: time.Since(l.At) > staleAfter, uptime: l.Uptime}
}

// displays is what a device's displays show, by outlet; nothing is asked of devices
// without a meter.
func (a *API) displays(row order.DeviceRow) map[uint8]*LiveFigures {
	if a.Live == nil || !slices.ContainsFunc(row.Outlets, func(o device.Outlet) bool { return o.Meter.Grades != nil }) {
		return nil
	}
	all := map[uint8]*LiveFigures{}
	for n, l := range a.Live.Live(row.Device.ID) {
		all[n] = shownLive(l)
	}
	return all
}

// inUse holds the states in which a display shows a use: a side that is idle again
// was hung up, and its word of that is on its way.
var inUse = map[string]bool{"authorised": true, "started": true, "fuelling": true, "suspended": true, "complete": true, "fault": true}

// Preset is what a rider chose before the use.
type Preset struct {
	Grade       string `json:"grade,omitempty" maxLength:"16" doc:"One of the tariff's; needed for fuel"`
	Amount      int64  `json:"amount_fen,omitempty" minimum:"1" doc:"Stop at this amount; not with millilitres"`
	Millilitres int64  `json:"millilitres,omitempty" minimum:"1" doc:"Stop at this volume; with neither: a full tank, up to what can be held"`
}

func (p *Preset) preset() billing.Preset {
	if p == nil {
		return billing.Preset{}
	}
	return billing.Preset{Grade: p.Grade, Amount: billing.Fen(p.Amount), Millilitres: p.Millilitres}
}

func presetOf(p billing.Preset) *Preset {
	if p == (billing.Preset{}) {
		return nil
	}
	return &Preset{Grade: p.Grade, Amount: int64(p.Amount), Millilitres: p.Millilitres}
}

// Fuel is what a pump dispensed in an order, as it signed it; where its own end of the
// use is lost, what its totalisers say (measured: totaliser).
type Fuel struct {
	Grade       string `json:"grade"`
	Millilitres int64  `json:"millilitres"`
	Fen         int64  `json:"amount_fen" doc:"As the pump computed it"`
	Limit       int64  `json:"limit_fen" doc:"What is above is not billed"`
}

func fuelOf(u *billing.Usage) *Fuel {
	if u == nil || u.Fuel == nil {
		return nil
	}
	return &Fuel{Grade: u.Fuel.Grade, Millilitres: u.Fuel.Millilitres, Fen: int64(u.Fuel.Fen), Limit: int64(u.Fuel.Limit)}
}

// FuelRule is a price rule by volume.
type FuelRule struct {
	Grades          []FuelGrade `json:"grades" minItems:"1" maxItems:"16" nullable:"false"`
	LeastAmount     int64       `json:"least_amount_fen" minimum:"1" doc:"Least that may be preset and held"`
	MostAmount      int64       `json:"most_amount_fen" minimum:"1" doc:"Most of one use"`
	MostMillilitres int64       `json:"most_millilitres" minimum:"1" doc:"Most of one use"`
	StepMillilitres int64       `json:"step_millilitres,omitempty" minimum:"0" maximum:"100" doc:"Smallest volume that the pumps show; an amount may differ by what it costs"`
	Rounding        string      `json:"rounding,omitempty" enum:"half_up"`
}

// FuelGrade is one sort of fuel at its price.
type FuelGrade struct {
	Grade       string `json:"grade" minLength:"1" maxLength:"16"`
	Name        string `json:"name" maxLength:"60"`
	UnitPrice   int64  `json:"unit_price" minimum:"1" doc:"Milli-yuan per litre, tax included: 7850 is 7.85 yuan"`
	TaxCode     string `json:"tax_code,omitempty" maxLength:"32" doc:"Goods code for invoices"`
	TaxPermille int    `json:"tax_permille,omitempty" minimum:"0" maximum:"1000" doc:"Rate of the value added tax in the price; 130 is 13 %"`
}

func fuelRuleOf(f *billing.FuelRule) *FuelRule {
	if f == nil {
		return nil
	}
	return &FuelRule{LeastAmount: int64(f.LeastAmount), MostAmount: int64(f.MostAmount), MostMillilitres: f.MostMillilitres,
		StepMillilitres: f.StepMillilitres, Rounding: string(billing.HalfUp), Grades: each(f.Grades, func(g billing.Grade) FuelGrade {
			return FuelGrade{Grade: g.ID, Name: g.Name, UnitPrice: g.UnitPrice, TaxCode: g.TaxCode, TaxPermille: g.TaxPermille}
		})}
}

func (f *FuelRule) rule() *billing.FuelRule {
	return &billing.FuelRule{LeastAmount: billing.Fen(f.LeastAmount), MostAmount: billing.Fen(f.MostAmount),
		MostMillilitres: f.MostMillilitres, StepMillilitres: f.StepMillilitres, Grades: each(f.Grades, func(g FuelGrade) billing.Grade {
			return billing.Grade{ID: g.Grade, Name: g.Name, UnitPrice: g.UnitPrice, TaxCode: g.TaxCode, TaxPermille: g.TaxPermille}
		})}
}

func fuelText(f *billing.FuelRule, say func(zh, en string)) {
	for _, g := range f.Grades {
		price := fmt.Sprintf("%d.%03d", g.UnitPrice/1000, g.UnitPrice%1000)
		if g.UnitPrice%10 == 0 { // as pumps show it
			price = price[:len(price)-1]
		}
		say(fmt.Sprintf("%s ¥%s/升", g.Name, price), fmt.Sprintf("%s ¥%s per litre", g.Name, price))
	}
	say(fmt.Sprintf("单次 ¥%v 至 ¥%v", f.LeastAmount, f.MostAmount), fmt.Sprintf("¥%v to ¥%v at a time", f.LeastAmount, f.MostAmount))
}

// Nozzle is a nozzle of an outlet.
type Nozzle struct {
	N         int    `json:"nozzle"`
	Grade     string `json:"grade"`
	Totaliser uint64 `json:"totaliser_ml,omitempty" doc:"As the pump last signed it; absent for riders"`
}

func nozzlesOf(m device.Meter, totals bool) []Nozzle {
	var all []Nozzle
	for n := 1; n <= 255; n++ {
		if grade, ok := m.Grades[uint8(n)]; ok {
			v := Nozzle{N: n, Grade: grade}
			if totals {
				v.Totaliser = m.Stated[uint8(n)]
			}
			all = append(all, v)
		}
	}
	return all
}
