package billing_test

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
)

const minute = 60_000

// campus bills 1.00 to unlock, and 0.50 per 30 min begun after 5 free ones.
var campus = billing.Tariff{ID: "campus", Version: 1, Rounding: billing.StartedBlocks, TimeRule: &billing.TimeRule{UnlockFee: 100,
	FreeMS: 5 * minute, BlockMS: 30 * minute, BlockFee: 50, RideCap: 1000, DayCap: 0}}

func TestAPassTakesOffWhatItNames(t *testing.T) {
	for _, c := range []struct {
		name         string
		terms        billing.PassTerms
		ms           int64
		total, drawn int64
	}{
		{"without time it pays the unlock", billing.PassTerms{UnlockFree: true}, 40 * minute, 100, 0},
		{"a ride within its free time is free", billing.PassTerms{UnlockFree: true, RideFreeMS: 60 * minute}, 65 * minute, 0, 0},
		{"a ms beyond it begins a block", billing.PassTerms{UnlockFree: true, RideFreeMS: 60 * minute}, 65*minute + 1, 50, 0},
		{"the free time alone leaves the unlock", billing.PassTerms{RideFreeMS: 60 * minute}, 10 * minute, 100, 0},
		{"a budget pays what it can", billing.PassTerms{BudgetMS: 45 * minute}, 45 * minute, 100, 40 * minute},
		{"a budget too short pays whole blocks", billing.PassTerms{BudgetMS: 45 * minute}, 95 * minute, 100 + 2*50, 30 * minute},
		{"a budget that saves no block is kept", billing.PassTerms{BudgetMS: 10 * minute}, 30 * minute, 100 + 50, 0},
		{"a ride within the tariff's free time draws nothing", billing.PassTerms{BudgetMS: 10 * minute}, 5 * minute, 100, 0},
		{"per ride first, then the budget", billing.PassTerms{RideFreeMS: 10 * minute, BudgetMS: 60 * minute}, 45 * minute, 100, 30 * minute},
		{"a budget that is used up is none", billing.PassTerms{UnlockFree: true}, 10 * minute, 50, 0},
		{"what a cap takes off draws nothing", billing.PassTerms{BudgetMS: 600 * minute}, 1205 * minute, 1000, 0},
		{"a budget that beats the cap draws what it takes", billing.PassTerms{BudgetMS: 1200 * minute}, 1205 * minute, 100, 1200 * minute},
		{"the cap still counts", billing.PassTerms{UnlockFree: true}, 24 * 60 * minute, 1000, 0},
	} {
		u := billing.Usage{BilledMS: c.ms, Pass: &billing.PassUse{Held: "h", Name: "Month", PassTerms: c.terms}}
		q := campus.Quote(u)
		if int64(q.Total) != c.total || campus.Drawn(u) != c.drawn {
			t.Errorf("%s: %d ms cost %d and draw %d, want %d and %d: %+v", c.name, c.ms, q.Total, campus.Drawn(u), c.total, c.drawn, q.Lines)
		}
	}
}

func TestAPassNeverMakesARideDearer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tariff := usableTariff().Draw(t, "tariff")
		u := billing.Usage{BilledMS: anyInt64().Draw(t, "ms"), DaySpent: billing.Fen(anyInt64().Draw(t, "spent"))}
		without := tariff.Quote(u).Total
		u.Pass = &billing.PassUse{Held: "h", PassTerms: billing.PassTerms{UnlockFree: rapid.Bool().Draw(t, "unlock"),
			RideFreeMS: rapid.Int64Range(0, 24*3600_000).Draw(t, "ride"), BudgetMS: rapid.Int64Range(0, 366*24*3600_000).Draw(t, "budget")}}
		with, drawn := tariff.Quote(u), tariff.Drawn(u)
		if with.Total < 0 || with.Total > without {
			t.Fatalf("%+v costs %d with the pass, %d without", u, with.Total, without)
		}
		if drawn < 0 || drawn > u.Pass.BudgetMS {
			t.Fatalf("%d ms drawn of %d", drawn, u.Pass.BudgetMS)
		}
		less := u
		p := *u.Pass
		less.Pass = &p
		if p.BudgetMS = drawn; tariff.Quote(less).Total != with.Total {
			t.Fatalf("a budget of what was drawn, %d, costs %d, want %d", drawn, tariff.Quote(less).Total, with.Total)
		}
		if drawn > 0 {
			if p.BudgetMS = drawn - 1; tariff.Quote(less).Total <= with.Total {
				t.Fatalf("a ms less than the %d that were drawn costs no more: %+v", drawn, u)
			}
		}
		longer := u
		longer.BilledMS = max(u.BilledMS, anyInt64().Draw(t, "longer"))
		if more := tariff.Quote(longer).Total; more < with.Total {
			t.Fatalf("%d ms cost %d with the pass, the longer %d ms %d", u.BilledMS, with.Total, longer.BilledMS, more)
		}
		least := tariff.Least(u.Pass)
		if a, err := tariff.Allow(billing.Preset{}, u.Pass, least); err != nil || a.Hold != min(least, tariff.RideCap) || least > tariff.Least(nil) {
			t.Fatalf("the least of %d is not enough: hold %d, %v; %d without the pass", least, a.Hold, err, tariff.Least(nil))
		}
	})
}

func TestAPassThatCannotBeMeantIsRefused(t *testing.T) {
	month := billing.Pass{ID: "month", Version: 1, Name: "Month", Price: 1900, Days: 30, PassTerms: billing.PassTerms{UnlockFree: true, RideFreeMS: 30 * minute}}
	if err := month.Check(); err != nil {
		t.Fatalf("a plain month: %v", err)
	}
	for name, bend := range map[string]func(*billing.Pass){
		"negative price":    func(p *billing.Pass) { p.Price = -1 },
		"no days":           func(p *billing.Pass) { p.Days = 0 },
		"more than a year":  func(p *billing.Pass) { p.Days = 367 },
		"takes nothing off": func(p *billing.Pass) { p.PassTerms = billing.PassTerms{} },
		"negative time":     func(p *billing.Pass) { p.RideFreeMS = -1 },
		"endless budget":    func(p *billing.Pass) { p.BudgetMS = math.MaxInt64 },
	} {
		p := month
		if bend(&p); !errors.Is(p.Check(), billing.ErrBadTariff) {
			t.Errorf("%s: got %v, want ErrBadTariff", name, p.Check())
		}
	}
}
