package billing_test

import (
	"testing"

	"github.com/unlatch/unlatch/billing"
)

func ride(order, rider, day string, done int64, minutes int64, was billing.Fen) billing.Past {
	return billing.Past{Order: order, Rider: rider, Day: day, Done: done, Usage: billing.Usage{BilledMS: minutes * minute}, Total: was}
}

func TestReplayFillsTheDaysCapWithTheDraftsOwnPrices(t *testing.T) {
	draft := with(campus, func(t *billing.Tariff) { t.UnlockFee, t.DayCap = 200, 500 })
	r := draft.ReplayOf([]billing.Past{
		ride("c", "ann", "2026-11-01", 3, 10, 150), // 250, of which 0 is left of the cap
		ride("a", "ann", "2026-11-01", 1, 10, 150), // 250
		ride("b", "ann", "2026-11-01", 2, 10, 150), // 250
		ride("d", "ben", "2026-11-01", 4, 10, 150), // 250: another rider's cap
		ride("e", "ann", "2026-11-02", 5, 4, 200),  // 200: a new day
	})
	if r.Orders != 5 || r.Was != 800 || r.Would != 250*3+200 || r.Dearer != 3 || r.More != 300 || r.Cheaper != 1 || r.Less != 150 || r.Riders != 2 {
		t.Errorf("got %+v", r)
	}
	if len(r.Days) != 2 || r.Days[0] != (billing.DayChange{Day: "2026-11-01", Orders: 4, Was: 600, Would: 750}) {
		t.Errorf("days: %+v", r.Days)
	}
	if len(r.Biggest) != 4 || r.Biggest[0].Order != "c" || r.Biggest[0].Draft != 0 || r.Biggest[1].Order != "a" {
		t.Errorf("biggest: %+v", r.Biggest)
	}
}

// What was ridden before the span, or by another tariff, fills the cap as it was billed.
func TestReplayCountsWhatItDoesNotPriceTowardsTheDaysCap(t *testing.T) {
	draft := with(campus, func(t *billing.Tariff) { t.DayCap = 200 })
	before := ride("a", "ann", "2026-11-01", 1, 10, 150)
	before.Aside = true
	r := draft.ReplayOf([]billing.Past{before, ride("b", "ann", "2026-11-01", 2, 10, 150)})
	if r.Orders != 1 || r.Was != 150 || r.Would != 50 {
		t.Errorf("got %+v, want one order that costs the 50 that are left of the day", r)
	}
}

func TestReplayOfTheSameTariffChangesNothing(t *testing.T) {
	var past []billing.Past
	var spent billing.Fen
	for i := range int64(40) {
		p := ride(string(rune('a'+i)), "ann", "2026-11-01", i, i*7, 0)
		p.Usage.DaySpent = spent
		p.Usage.Pass = &billing.PassUse{PassTerms: billing.PassTerms{BudgetMS: 60 * minute}}
		p.Total = bike.Quote(p.Usage).Total
		spent += p.Total
		past = append(past, p)
	}
	if r := bike.ReplayOf(past); r.Was != r.Would || r.Dearer+r.Cheaper+r.Riders != 0 || len(r.Biggest) != 0 {
		t.Errorf("got %+v, want no difference", r)
	}
}

func TestReplayPricesFuelByItsLitresAndLeavesDecisionsAlone(t *testing.T) {
	draft := billing.Tariff{ID: "fuel", Rounding: billing.HalfUp, FuelRule: &billing.FuelRule{LeastAmount: 100, MostAmount: 100_000,
		MostMillilitres: 200_000, Grades: []billing.Grade{{ID: "92", Name: "92", UnitPrice: 8000}}}}
	decided := billing.Fen(5)
	r := draft.ReplayOf([]billing.Past{
		{Order: "a", Usage: billing.Usage{Fuel: &billing.Fuel{Grade: "92", Millilitres: 10_000, Fen: 7850, Limit: 7850}}, Total: 7850},
		{Order: "b", Usage: billing.Usage{Fuel: &billing.Fuel{Grade: "98", Millilitres: 10_000, Fen: 7850, Limit: 7850}}, Total: 7850},
		{Order: "c", Usage: billing.Usage{Fuel: &billing.Fuel{Grade: "92", Millilitres: 10_000}, Decided: &decided}, Total: 5},
	})
	if r.Orders != 1 || r.Was != 7850 || r.Would != 8000 || r.Strange != 1 || r.Kept != 1 {
		t.Errorf("got %+v", r)
	}
}
