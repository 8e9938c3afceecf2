package billing_test

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
)

func station(bend func(*billing.FuelRule)) billing.Tariff {
	rule := &billing.FuelRule{Grades: []billing.Grade{{ID: "92", Name: "92#", UnitPrice: 7850}, {ID: "95", Name: "95#", UnitPrice: 8390}},
		LeastAmount: 100, MostAmount: 100_000, MostMillilitres: 200_000}
	if bend != nil {
		bend(rule)
	}
	return billing.Tariff{ID: "fuel", Version: 1, Name: "Fuel", Rounding: billing.HalfUp, FuelRule: rule}
}

func TestAPriceIsVolumeTimesUnitPriceHalfUp(t *testing.T) {
	for _, c := range []struct {
		ml, price int64
		want      billing.Fen
	}{{0, 7850, 0}, {1, 7850, 1}, {1, 4999, 0}, {1, 5000, 1}, {1000, 7850, 785}, {12_345, 7850, 9691}, {2, 7499, 1}, {2, 7500, 2}, {20_000, 7850, 15_700},
		{1 << 62, 1 << 62, 1 << 53}} {
		if got := billing.Price(c.ml, c.price); got != c.want {
			t.Errorf("%d ml at %d: got %d fen, want %d", c.ml, c.price, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		ml, price := rapid.Int64Min(0).Draw(t, "ml"), rapid.Int64Min(0).Draw(t, "price")
		exact := new(big.Int).Mul(big.NewInt(ml), big.NewInt(price))
		exact.Add(exact, big.NewInt(5000)).Div(exact, big.NewInt(10_000))
		if exact.Cmp(big.NewInt(1<<53)) > 0 {
			exact.SetInt64(1 << 53)
		}
		if got := billing.Price(ml, price); int64(got) != exact.Int64() {
			t.Fatalf("%d ml at %d: got %d, want %d", ml, price, got, exact)
		}
	})
}

func TestWhatIsAllowedIsCoveredByItsHold(t *testing.T) {
	tariff := station(nil)
	rapid.Check(t, func(t *rapid.T) {
		p := billing.Preset{Grade: rapid.SampledFrom([]string{"92", "95"}).Draw(t, "grade")}
		switch rapid.IntRange(0, 2).Draw(t, "by") {
		case 1:
			p.Amount = billing.Fen(rapid.Int64Range(1, 120_000).Draw(t, "fen"))
		case 2:
			p.Millilitres = rapid.Int64Range(1, 250_000).Draw(t, "ml")
		}
		balance := billing.Fen(rapid.Int64Range(0, 200_000).Draw(t, "balance"))
		a, err := tariff.Allow(p, nil, balance)
		if err != nil {
			if !errors.Is(err, billing.ErrPreset) && !errors.Is(err, billing.ErrNoMoney) {
				t.Fatalf("%+v of %d: %v", p, balance, err)
			}
			return
		}
		switch {
		case a.Hold > balance || a.Hold < 100 || a.Hold > 100_000:
			t.Fatalf("%+v of %d: holds %d", p, balance, a.Hold)
		case billing.Price(a.Millilitres, a.UnitPrice) > a.Hold:
			t.Fatalf("%+v: %d ml come to more than the %d held", p, a.Millilitres, a.Hold)
		case p.Amount > 0 && a.Hold != p.Amount, p.Millilitres > 0 && a.Millilitres > p.Millilitres:
			t.Fatalf("%+v: allowed %+v", p, a)
		case p.Amount > 0 && a.Millilitres < 200_000 && billing.Price(a.Millilitres+1, a.UnitPrice) <= a.Hold:
			t.Fatalf("%+v: a millilitre more than %d would have fitted", p, a.Millilitres)
		}
	})
}

func TestAFuelQuoteCopiesThePumpUpToItsLimit(t *testing.T) {
	tariff := station(nil)
	decided := billing.Fen(5000)
	for _, c := range []struct {
		name  string
		fuel  *billing.Fuel
		staff *billing.Fen
		want  billing.Fen
		lines int
	}{
		{"nothing stated", nil, nil, 0, 0},
		{"nothing dispensed", &billing.Fuel{Grade: "92", Limit: 20_000}, nil, 0, 1},
		{"below the limit", &billing.Fuel{Grade: "92", Millilitres: 12_345, Fen: 9691, Limit: 20_000}, nil, 9691, 1},
		{"at the limit", &billing.Fuel{Grade: "92", Millilitres: 25_478, Fen: 20_000, Limit: 20_000}, nil, 20_000, 1},
		{"above the limit", &billing.Fuel{Grade: "92", Millilitres: 25_500, Fen: 20_018, Limit: 20_000}, nil, 20_000, 2},
		{"decided by staff", &billing.Fuel{Grade: "92", Millilitres: 12_345, Fen: 1, Limit: 20_000}, &decided, 5000, 2},
		{"decided above the limit's line", &billing.Fuel{Grade: "92", Millilitres: 25_500, Fen: 20_018, Limit: 20_000}, &decided, 5000, 3},
	} {
		q := tariff.Quote(billing.Usage{Measured: billing.ByPump, Fuel: c.fuel, Decided: c.staff})
		var sum billing.Fen
		for _, l := range q.Lines {
			sum += l.Amount
		}
		if q.Total != c.want || sum != c.want || len(q.Lines) != c.lines {
			t.Errorf("%s: got %d in %+v, want %d in %d lines", c.name, q.Total, q.Lines, c.want, c.lines)
		}
	}
}

func TestAnAmountAgreesWithinAStepOfThePump(t *testing.T) {
	exact, coarse := station(nil), station(func(f *billing.FuelRule) { f.StepMillilitres = 10 })
	for _, c := range []struct {
		fen           billing.Fen
		exact, coarse bool
	}{{9691, true, true}, {9692, false, true}, {9690, false, true}, {9699, false, true}, {9683, false, true}, {9700, false, false}, {9682, false, false}} {
		if got := exact.Agrees("92", 12_345, c.fen); got != c.exact {
			t.Errorf("%d fen, every millilitre shown: got %v", c.fen, got)
		}
		if got := coarse.Agrees("92", 12_345, c.fen); got != c.coarse {
			t.Errorf("%d fen, shown in steps of 10 ml: got %v", c.fen, got)
		}
	}
	if free := billing.Service(); !free.Agrees("92", 12_345, 0) || free.Agrees("92", 12_345, 1) {
		t.Error("a test delivery costs nothing, and only that agrees")
	}
}

func TestAFuelTariffThatCannotBeMeantIsRefused(t *testing.T) {
	if err := station(nil).Check(); err != nil {
		t.Fatalf("the plain tariff: %v", err)
	}
	for name, bend := range map[string]func(*billing.FuelRule){
		"no grades":             func(f *billing.FuelRule) { f.Grades = nil },
		"a grade twice":         func(f *billing.FuelRule) { f.Grades = append(f.Grades, f.Grades[0]) },
		"a nameless grade":      func(f *billing.FuelRule) { f.Grades[0].ID = "" },
		"a formula":             func(f *billing.FuelRule) { f.Grades[0].ID = "=1+1" },
		"a line break":          func(f *billing.FuelRule) { f.Grades[0].ID = "92\n" },
		"a free grade":          func(f *billing.FuelRule) { f.Grades[0].UnitPrice = 0 },
		"a price beyond reason": func(f *billing.FuelRule) { f.Grades[0].UnitPrice = 1_000_001 },
		"a tax above the price": func(f *billing.FuelRule) { f.Grades[0].TaxPermille = 1001 },
		"no least amount":       func(f *billing.FuelRule) { f.LeastAmount = 0 },
		"most below least":      func(f *billing.FuelRule) { f.MostAmount = 99 },
		"no volume":             func(f *billing.FuelRule) { f.MostMillilitres = 0 },
		"a step of a litre":     func(f *billing.FuelRule) { f.StepMillilitres = 1000 },
	} {
		if err := station(bend).Check(); !errors.Is(err, billing.ErrBadTariff) {
			t.Errorf("%s: got %v, want ErrBadTariff", name, err)
		}
	}
	both := station(nil)
	both.TimeRule = bike.TimeRule
	if err := both.Check(); !errors.Is(err, billing.ErrBadTariff) {
		t.Errorf("two rules: got %v", err)
	}
	other := station(nil)
	other.Rounding = billing.StartedBlocks
	if err := other.Check(); !errors.Is(err, billing.ErrBadTariff) {
		t.Errorf("the other rounding: got %v", err)
	}
}
