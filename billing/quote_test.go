package billing_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
)

// bike: 1.00 to unlock, 10 minutes free, 0.50 per started minute, 10.00 per ride,
// 15.00 per day.
var bike = billing.Tariff{ID: "bike", Version: 3, Name: "Bike", Rounding: billing.StartedBlocks,
	TimeRule: &billing.TimeRule{UnlockFee: 100, FreeMS: 600_000, BlockMS: 60_000, BlockFee: 50,
		RideCap: 1000, DayCap: 1500}}

func with(t billing.Tariff, bend func(*billing.Tariff)) billing.Tariff {
	rule := *t.TimeRule
	t.TimeRule = &rule
	bend(&t)
	return t
}

func TestAQuoteBillsStartedBlocksBeyondTheFreeTimeUpToTheCaps(t *testing.T) {
	noFree := with(bike, func(t *billing.Tariff) { t.FreeMS = 0 })
	noDay := with(bike, func(t *billing.Tariff) { t.DayCap = 0 })
	for _, c := range []struct {
		name   string
		tariff billing.Tariff
		ms     int64
		spent  billing.Fen
		want   billing.Fen
		lines  int
	}{
		{"nothing", bike, 0, 0, 100, 2},
		{"the last free millisecond", bike, 600_000, 0, 100, 2},
		{"the first billed one", bike, 600_001, 0, 150, 2},
		{"the last of the first block", bike, 660_000, 0, 150, 2},
		{"the first of the second block", bike, 660_001, 0, 200, 2},
		{"one millisecond without free time", noFree, 1, 0, 150, 2},
		{"zero without free time", noFree, 0, 0, 100, 2},
		{"just at the ride's cap", noFree, 18 * 60_000, 0, 1000, 2},
		{"past the ride's cap", noFree, 18*60_000 + 1, 0, 1000, 3},
		{"days past the ride's cap", noFree, 1e9, 0, 1000, 3},
		{"what the day leaves", bike, 600_001, 1400, 100, 3},
		{"just what the day leaves", bike, 600_001, 1350, 150, 2},
		{"a day that is used up", bike, 600_001, 1500, 0, 3},
		{"a day that is more than used up", bike, 600_001, 9999, 0, 3},
		{"both caps", noFree, 1e9, 900, 600, 4},
		{"no day cap", noDay, 600_001, 1e12, 150, 2},
		{"a negative length is none", bike, -1, 0, 100, 2},
		{"a day of refunds alone leaves no more than the cap", noFree, 1e9, -500, 1000, 3},
		{"service", billing.Service(), 1e9, 1e9, 0, 0},
	} {
		q := c.tariff.Quote(billing.Usage{BilledMS: c.ms, DaySpent: c.spent, Measured: billing.WithinBoot})
		if q.Total != c.want || len(q.Lines) != c.lines {
			t.Errorf("%s (%d ms, %d spent): got %d in %d lines, want %d in %d: %+v", c.name, c.ms, c.spent, q.Total, len(q.Lines), c.want, c.lines, q.Lines)
		}
	}
}

// TestAQuoteIsTheSameBytesForever: receipts and refunds are computed again from
// what an order stores; a change here changes old bills.
func TestAQuoteIsTheSameBytesForever(t *testing.T) {
	tariff := with(bike, func(t *billing.Tariff) { t.FreeMS = 0 })
	got, err := json.Marshal(tariff.Quote(billing.Usage{BilledMS: 20 * 60_000, DaySpent: 700, Measured: billing.AcrossBoots,
		Evidence: []string{"0700000000000000/12", "beat/0a00000000000000/61000"}}))
	if err != nil {
		t.Fatal(err)
	}
	const evidence = `"tariff":"bike@3","evidence":["0700000000000000/12","beat/0a00000000000000/61000"]}`
	const want = `{"total_fen":800,"lines":[` +
		`{"kind":"unlock","quantity":1,"unit_fen":100,"amount_fen":100,` + evidence + `,` +
		`{"kind":"time","quantity":20,"unit_fen":50,"amount_fen":1000,"note":"across_boots",` + evidence + `,` +
		`{"kind":"ride_cap","quantity":1,"unit_fen":1000,"amount_fen":-100,` + evidence + `,` +
		`{"kind":"day_cap","quantity":1,"unit_fen":1500,"amount_fen":-200,` + evidence + `]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	usage, err := json.Marshal(billing.Usage{BilledMS: 61_000, DaySpent: 5, Measured: billing.Shortest, Evidence: []string{"a/1"}})
	if want := `{"billed_ms":61000,"day_spent_fen":5,"measured":"shortest","evidence":["a/1"]}`; err != nil || string(usage) != want {
		t.Errorf("usage: got %s, %v, want %s", usage, err, want)
	}
}

// anyInt64 draws edges as often as the middle.
func anyInt64() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, 1e10),
		rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, 1 << 53, 600_000, 600_001}))
}

func anyTariff() *rapid.Generator[billing.Tariff] {
	return rapid.Custom(func(t *rapid.T) billing.Tariff {
		return billing.Tariff{ID: "t", Version: 1, Rounding: billing.StartedBlocks,
			TimeRule: &billing.TimeRule{UnlockFee: billing.Fen(anyInt64().Draw(t, "unlock")), FreeMS: anyInt64().Draw(t, "free"),
				BlockMS: anyInt64().Draw(t, "block"), BlockFee: billing.Fen(anyInt64().Draw(t, "fee")), RideCap: billing.Fen(anyInt64().Draw(t, "cap")),
				DayCap: billing.Fen(anyInt64().Draw(t, "day"))}}
	})
}

// usableTariff draws one that Check accepts, now and then with huge amounts.
func usableTariff() *rapid.Generator[billing.Tariff] {
	amount := rapid.OneOf(rapid.Int64Range(0, 5000), rapid.Int64Range(0, 1<<53), rapid.SampledFrom([]int64{0, 1, 1 << 53}))
	return rapid.Custom(func(t *rapid.T) billing.Tariff {
		unlock := amount.Draw(t, "unlock")
		return billing.Tariff{ID: "t", Version: 1, Rounding: billing.StartedBlocks,
			TimeRule: &billing.TimeRule{UnlockFee: billing.Fen(unlock), FreeMS: rapid.Int64Range(0, 24*3600_000).Draw(t, "free"),
				BlockMS: rapid.Int64Range(1000, 24*3600_000).Draw(t, "block"), BlockFee: billing.Fen(amount.Draw(t, "fee")),
				RideCap: billing.Fen(max(unlock, amount.Draw(t, "cap"), 1)), DayCap: billing.Fen(amount.Draw(t, "day"))}}
	})
}

func TestAnyUsageGivesABillWithinTheCaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tariff := usableTariff().Draw(t, "tariff")
		if err := tariff.Check(); err != nil {
			t.Fatalf("the drawn tariff cannot be used: %v", err)
		}
		u := billing.Usage{BilledMS: anyInt64().Draw(t, "ms"), DaySpent: billing.Fen(anyInt64().Draw(t, "spent"))}
		q := tariff.Quote(u)
		if q.Total < 0 || q.Total > tariff.RideCap || tariff.DayCap > 0 && q.Total > tariff.DayCap {
			t.Fatalf("total %d of %+v is outside 0..caps: %+v", q.Total, u, q.Lines)
		}
		var sum billing.Fen
		for _, l := range q.Lines {
			sum += l.Amount
			if l.Quantity < 0 || (l.Kind == billing.LineUnlock || l.Kind == billing.LineTime) && l.Amount < 0 {
				t.Fatalf("line %+v of %+v is below zero", l, u)
			}
		}
		if sum != q.Total {
			t.Fatalf("the lines of %+v come to %d, the total is %d", u, sum, q.Total)
		}
		longer := u
		longer.BilledMS = max(u.BilledMS, anyInt64().Draw(t, "longer"))
		if more := tariff.Quote(longer).Total; more < q.Total {
			t.Fatalf("%d ms cost %d, the longer %d ms %d", u.BilledMS, q.Total, longer.BilledMS, more)
		}
		if diff := cmp.Diff(q, tariff.Quote(u)); diff != "" {
			t.Fatalf("computed again it differs:\n%s", diff)
		}
		if a, err := tariff.Allow(billing.Preset{}, nil, math.MaxInt64); err != nil || q.Total > a.Hold {
			t.Fatalf("a full hold of %d (%v) does not cover %d", a.Hold, err, q.Total)
		}
	})
}

func TestACheckedTariffNeverOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tariff := anyTariff().Draw(t, "tariff")
		if tariff.Check() != nil {
			return
		}
		if least := tariff.Least(nil); least < 0 || least > tariff.RideCap {
			t.Fatalf("least of %+v: got %d, want 0..ride cap", tariff, least)
		}
		q := tariff.Quote(billing.Usage{BilledMS: anyInt64().Draw(t, "ms")})
		if q.Total < 0 || q.Total > tariff.RideCap {
			t.Fatalf("total of %+v: got %d, want 0..ride cap", tariff, q.Total)
		}
	})
}

func TestATariffThatCannotBeMeantIsRefused(t *testing.T) {
	if err := bike.Check(); err != nil {
		t.Fatalf("the plain tariff: %v", err)
	}
	service := billing.Service()
	if err := service.Check(); err != nil {
		t.Errorf("the service tariff: %v", err)
	}
	for name, bend := range map[string]func(*billing.Tariff){
		"negative unlock fee":     func(t *billing.Tariff) { t.UnlockFee = -1 },
		"negative block fee":      func(t *billing.Tariff) { t.BlockFee = -1 },
		"negative ride cap":       func(t *billing.Tariff) { t.RideCap = -1 },
		"negative day cap":        func(t *billing.Tariff) { t.DayCap = -1 },
		"negative free time":      func(t *billing.Tariff) { t.FreeMS = -1 },
		"more than a day free":    func(t *billing.Tariff) { t.FreeMS = 24*3600_000 + 1 },
		"no block":                func(t *billing.Tariff) { t.BlockMS = 0 },
		"a block below a second":  func(t *billing.Tariff) { t.BlockMS = 999 },
		"a block above a day":     func(t *billing.Tariff) { t.BlockMS = 24*3600_000 + 1 },
		"unknown rounding":        func(t *billing.Tariff) { t.Rounding = "down" },
		"no ride cap":             func(t *billing.Tariff) { t.RideCap = 0 },
		"cap below the unlock":    func(t *billing.Tariff) { t.RideCap = 99 },
		"more than a receipt has": func(t *billing.Tariff) { t.RideCap = 1<<53 + 1 },
		"the largest amounts": func(t *billing.Tariff) {
			t.UnlockFee, t.BlockFee, t.RideCap = math.MaxInt64, math.MaxInt64, math.MaxInt64
		},
	} {
		if err := with(bike, bend).Check(); !errors.Is(err, billing.ErrBadTariff) {
			t.Errorf("%s: got %v, want ErrBadTariff", name, err)
		}
	}
}

func TestAHoldIsTheBalanceOrTheRidesCap(t *testing.T) {
	for _, c := range []struct {
		balance, hold billing.Fen
		ok            bool
	}{{-1, 0, false}, {0, 0, false}, {149, 0, false}, {150, 150, true}, {999, 999, true}, {1000, 1000, true}, {50_000, 1000, true}} {
		if a, err := bike.Allow(billing.Preset{}, nil, c.balance); a.Hold != c.hold || (err == nil) != c.ok {
			t.Errorf("balance %d: got %d, %v, want %d, %v", c.balance, a.Hold, err, c.hold, c.ok)
		}
	}
	if a, err := billing.Service().Allow(billing.Preset{}, nil, 0); a.Hold != 0 || err != nil {
		t.Errorf("service with no balance: got %d, %v, want 0", a.Hold, err)
	}
}

func BenchmarkQuote(b *testing.B) {
	t := billing.Tariff{ID: "bike", Version: 1, Rounding: billing.StartedBlocks,
		TimeRule: &billing.TimeRule{UnlockFee: 100, FreeMS: 300_000, BlockMS: 1_800_000, BlockFee: 150, RideCap: 2000,
			DayCap: 3000}}
	u := billing.Usage{BilledMS: 7_200_000, DaySpent: 2500, Measured: billing.WithinBoot, Evidence: []string{"0102030405060708/1", "0102030405060708/2"}}
	for b.Loop() {
		if t.Quote(u).Total == 0 {
			b.Fatal("a ride of two hours is not free")
		}
	}
}
