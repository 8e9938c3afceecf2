package billing

import (
	"fmt"
	"math/bits"
	"strings"
	"unicode"
)

// HalfUp rounds money to the nearest Fen, a half upwards.
const HalfUp Rounding = "half_up"

// FuelRule prices what flows: one unit price per grade.
type FuelRule struct {
	Grades []Grade `json:"grades"` // 1 to 16, each named once
	// LeastAmount is the least that may be preset and held; MostAmount and
	// MostMillilitres bound one use. All above zero.
	LeastAmount     Fen   `json:"least_amount_fen"`
	MostAmount      Fen   `json:"most_amount_fen"`
	MostMillilitres int64 `json:"most_millilitres"`
	// StepMillilitres is the smallest volume that the venue's pumps show, 0 to 100.
	// A pump that measures finer than it shows may come to another amount, by at most
	// what one step costs. 0: they show every millilitre, and the amount is exact.
	StepMillilitres int64 `json:"step_millilitres,omitempty"`
}

// Grade is one sort of fuel at its price, tax included.
type Grade struct {
	ID        string `json:"grade"` // as in the outlets' nozzles, such as "92"
	Name      string `json:"name"`  // as on a receipt
	UnitPrice int64  `json:"unit_price"`
	// TaxCode is the goods code of the invoice system, TaxPermille the rate of the
	// value added tax that is in the price; they are only handed on.
	TaxCode     string `json:"tax_code,omitempty"`
	TaxPermille int    `json:"tax_permille,omitempty"`
}

// Fuel is what a pump stated of one use.
type Fuel struct {
	Grade       string `json:"grade"`
	Millilitres int64  `json:"millilitres"`
	Fen         Fen    `json:"fen"`       // as the pump computed it
	Limit       Fen    `json:"limit_fen"` // what the pump had to stop at; what is above is not billed
}

// ByTotaliser: no end of the use was stated; the volume is the difference of the
// pump's totalisers and the amount is ours.
const ByTotaliser Measured = "totaliser"

// ByPump: volume and amount are those of the pump's signed end.
const ByPump Measured = "pump"

// The lines of a use that is billed by volume.
const (
	LineFuel  LineKind = "fuel"
	LineLimit LineKind = "above_limit" // residual flow: the operator's loss
)

// Price is the amount of ml at a unit price in milli-yuan per litre, half up to the
// Fen: (ml x price + 5000) / 10000. Both must not be negative; what no receipt
// could show is cut to 2^53 Fen.
//
// It is the rule by which inspectors judge a dispenser: "the total price must agree
// to the nearest cent with the unit price displayed and the quantity delivered"
// (Measurement Canada, Field Inspection Manual, Volumetric Measuring Devices, part
// 3 section 10).
func Price(ml, unitPrice int64) Fen {
	hi, lo := bits.Mul64(uint64(ml), uint64(unitPrice))
	lo, carry := bits.Add64(lo, 5000, 0)
	if hi += carry; hi >= 10_000 {
		return maxAmount
	}
	fen, _ := bits.Div64(hi, lo, 10_000)
	return Fen(min(fen, uint64(maxAmount)))
}

// volume is the greatest volume, in ml and at most most, whose price is at most
// amount.
func volume(amount Fen, unitPrice, most int64) int64 {
	if unitPrice <= 0 {
		return most
	}
	hi, lo := bits.Mul64(uint64(amount), 10_000)
	lo, carry := bits.Add64(lo, 4999, 0)
	if hi += carry; hi >= uint64(unitPrice) {
		return most
	}
	ml, _ := bits.Div64(hi, lo, uint64(unitPrice))
	return int64(min(ml, uint64(most)))
}

// The most that a rule may name: a tanker's load, and a price that no grade has.
const (
	maxMillilitres = 100_000_000
	maxUnitPrice   = 1_000_000
)

func (f *FuelRule) check(r Rounding) error {
	if len(f.Grades) == 0 || len(f.Grades) > 16 {
		return bad("it has %d grades; give 1 to 16", len(f.Grades))
	}
	named := map[string]bool{}
	for _, g := range f.Grades {
		switch {
		case g.ID == "" || len(g.ID) > 16 || named[g.ID] || strings.ContainsFunc(g.ID, oddInGrade):
			return bad("grade %q: give each grade its own name of 1 to 16 letters, digits, '+', '-', '#' or '.'", g.ID)
		case g.UnitPrice < 1 || g.UnitPrice > maxUnitPrice:
			return bad("grade %s: unit_price must be 1 to %d milli-yuan per litre", g.ID, maxUnitPrice)
		case g.TaxPermille < 0 || g.TaxPermille > 1000:
			return bad("grade %s: tax_permille must be 0 to 1000", g.ID)
		}
		named[g.ID] = true
	}
	switch {
	case r != HalfUp:
		return bad("rounding %q is unknown; use %q", r, HalfUp)
	case f.LeastAmount < 1 || f.MostAmount < f.LeastAmount || f.MostAmount > maxAmount:
		return bad("amounts must be 1 <= least_amount_fen <= most_amount_fen")
	case f.StepMillilitres < 0 || f.StepMillilitres > 100:
		return bad("step_millilitres must be 0 to 100")
	case f.MostMillilitres < 1 || f.MostMillilitres > maxMillilitres:
		return bad("most_millilitres must be 1 to %d", maxMillilitres)
	}
	return nil
}

// oddInGrade tells what a display, a sheet or a log line should not meet.
func oddInGrade(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+-#.", r)
}

func (f *FuelRule) least() Fen { return f.LeastAmount }

// Grade returns the grade of that name.
func (f *FuelRule) Grade(id string) (Grade, bool) {
	if f != nil {
		for _, g := range f.Grades {
			if g.ID == id {
				return g, true
			}
		}
	}
	return Grade{}, false
}

// Agrees tells whether an amount can be what a volume costs at a grade's price.
func (f *FuelRule) Agrees(grade string, ml int64, fen Fen) bool {
	if f == nil { // free
		return fen == 0
	}
	g, _ := f.Grade(grade)
	return fen >= Price(max(ml-f.StepMillilitres, 0), g.UnitPrice) && fen <= Price(ml+f.StepMillilitres, g.UnitPrice)
}

// allow holds the preset amount, the price of the preset volume or, for a full
// tank, what the balance and the rule allow. Passes are for what is billed by time.
func (f *FuelRule) allow(p Preset, _ *PassUse, balance Fen) (Allowance, error) {
	g, ok := f.Grade(p.Grade)
	if !ok {
		var sold []string
		for _, g := range f.Grades {
			sold = append(sold, g.ID)
		}
		return Allowance{}, fmt.Errorf("%w: choose a grade of %q, not %q", ErrPreset, sold, p.Grade)
	}
	a := Allowance{UnitPrice: g.UnitPrice, Millilitres: f.MostMillilitres}
	switch {
	case p.Millilitres > f.MostMillilitres:
		return Allowance{}, fmt.Errorf("%w: at most %d ml at a time", ErrPreset, f.MostMillilitres)
	case p.Millilitres > 0:
		a.Hold, a.Millilitres = Price(p.Millilitres, g.UnitPrice), p.Millilitres
	case p.Amount > 0:
		a.Hold = p.Amount
	default:
		a.Hold = min(max(balance, f.LeastAmount), f.MostAmount)
	}
	// What the volume bounds needs no more than its price.
	a.Millilitres = volume(a.Hold, g.UnitPrice, a.Millilitres)
	if p.Amount == 0 {
		a.Hold = Price(a.Millilitres, g.UnitPrice)
	}
	switch {
	case a.Hold < f.LeastAmount || a.Hold > f.MostAmount:
		return Allowance{}, fmt.Errorf("%w: give between %v and %v yuan", ErrPreset, f.LeastAmount, f.MostAmount)
	case balance < a.Hold:
		return Allowance{}, ErrNoMoney
	case a.Millilitres < 1:
		return Allowance{}, fmt.Errorf("%w: it buys less than a millilitre", ErrPreset)
	}
	return a, nil
}

// quote copies what the pump stated; what is above the limit is taken off.
func (f *FuelRule) quote(q *bill, u Usage) {
	if u.Fuel == nil {
		return
	}
	g, _ := f.Grade(u.Fuel.Grade)
	q.add(Line{Kind: LineFuel, Quantity: u.Fuel.Millilitres, UnitPrice: g.UnitPrice, Grade: g.ID,
		Amount: min(max(u.Fuel.Fen, 0), maxAmount), Note: string(u.Measured)})
	if q.Total > u.Fuel.Limit {
		q.add(Line{Kind: LineLimit, Quantity: 1, Unit: u.Fuel.Limit, Amount: u.Fuel.Limit - q.Total})
	}
}
