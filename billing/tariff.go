package billing

import (
	"errors"
	"fmt"
)

// ErrBadTariff says which rule of a tariff cannot be meant.
var ErrBadTariff = errors.New("tariff cannot be used")

// ErrPreset says what cannot be chosen.
var ErrPreset = errors.New("this cannot be chosen")

// Rounding names how parts of a unit count. It is stored with the tariff version,
// so that a later rule cannot change an old bill.
type Rounding string

// Tariff is one version of a price rule, as pinned in an order. Two versions of
// one tariff share ID and differ in Version; neither ever changes. At most one of
// the rules is set: which one a kind needs is the kind's to say. Without a rule
// everything is free.
type Tariff struct {
	ID       string   `json:"id"`
	Version  int      `json:"version"`
	Name     string   `json:"name"`
	Rounding Rounding `json:"rounding,omitempty"`

	*TimeRule
	*FuelRule
}

// Preset is what a rider chose before a use. Its zero value is the only choice
// where a use is measured in time; of fuel it takes a grade, and at most one of
// amount and volume: neither means a full tank, up to what can be held.
type Preset struct {
	Grade       string `json:"grade,omitempty"`
	Amount      Fen    `json:"amount_fen,omitempty"`
	Millilitres int64  `json:"millilitres,omitempty"`
}

// Allowance is the most that a use may come to.
type Allowance struct {
	Hold        Fen   // to hold of the balance; 0 = nothing
	UnitPrice   int64 // milli-yuan per litre; of fuel
	Millilitres int64 // 0 where nothing flows
}

// rule is what a price rule answers; each has a file of its own.
type rule interface {
	check(Rounding) error
	allow(p Preset, pass *PassUse, balance Fen) (Allowance, error)
	least() Fen
	quote(q *bill, u Usage)
}

// free is the rule of a tariff that has none.
type free struct{}

func (free) check(Rounding) error { return nil }
func (free) least() Fen           { return 0 }
func (free) quote(*bill, Usage)   {}

func (free) allow(p Preset, _ *PassUse, _ Fen) (Allowance, error) {
	return Allowance{Millilitres: p.Millilitres}, nil
}

func (t Tariff) rule() rule {
	switch {
	case t.TimeRule != nil:
		return t.TimeRule
	case t.FuelRule != nil:
		return t.FuelRule
	}
	return free{}
}

// Service is the tariff of a service unlock: nothing, ever.
func Service() Tariff { return Tariff{ID: "service", Version: 1, Name: "service"} }

// maxAmount is the most that a tariff or a line of a receipt may name: what a
// client's JSON number still holds. Sums of a few such never pass int64.
const maxAmount Fen = 1 << 53

// bad names the rule of a tariff that cannot be meant.
func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadTariff, fmt.Sprintf(format, args...))
}

// Check returns an ErrBadTariff that names the first rule that cannot be meant.
func (t Tariff) Check() error {
	if t.TimeRule != nil && t.FuelRule != nil {
		return bad("it has a rule for time and one for fuel")
	}
	return t.rule().check(t.Rounding)
}

// Free tells whether nothing is ever due.
func (t Tariff) Free() bool {
	_, none := t.rule().(free)
	return none
}

// Least is what a rider must be able to pay before a use may start that meets pass,
// nil = none.
func (t Tariff) Least(pass *PassUse) Fen {
	if t.TimeRule != nil {
		return pass.least(t.TimeRule)
	}
	return t.rule().least()
}

// Allow turns a choice and what a rider can pay into limits. ErrPreset: this
// tariff does not offer the choice; ErrNoMoney: balance does not cover it. pass is
// the one that the use will meet, nil = none.
func (t Tariff) Allow(p Preset, pass *PassUse, balance Fen) (Allowance, error) {
	if p.Amount < 0 || p.Millilitres < 0 || p.Amount > 0 && p.Millilitres > 0 {
		return Allowance{}, fmt.Errorf("%w: give an amount or a volume above zero, not both", ErrPreset)
	}
	return t.rule().allow(p, pass, balance)
}
