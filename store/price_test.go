package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func TestAScheduledPriceSwitchesAtItsMomentAndNotBefore(t *testing.T) {
	s := newStation(t)
	add := func(price int64, at time.Time) {
		t.Helper()
		tariff := stationFuel
		rule := *tariff.FuelRule
		rule.Grades = []billing.Grade{{ID: "92", Name: "92#", UnitPrice: price}}
		tariff.FuelRule = &rule
		if _, err := s.db.AddTariff(t.Context(), order.TariffRow{Tariff: tariff, Venue: stationID, Kind: device.Pump, EffectiveAt: at}, s.audit("tariff")); err != nil {
			t.Fatal(err)
		}
	}
	price := func() int64 {
		t.Helper()
		tariff, err := s.db.TariffFor(t.Context(), stationID, device.Pump, "")
		if err != nil {
			t.Fatal(err)
		}
		return tariff.Grades[0].UnitPrice
	}
	list := func() (now int64, ahead []int64) {
		t.Helper()
		l, err := s.db.Prices(t.Context(), stationID)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range l.Tariffs {
			if r.Venue != stationID || r.Kind != device.Pump {
				t.Errorf("a price of %s at %s", r.Kind, r.Venue)
			}
			if p := r.Tariff.Grades[0].UnitPrice; r.EffectiveAt.After(l.At) {
				ahead = append(ahead, p)
			} else {
				now = p
			}
		}
		return now, ahead
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	add(7900, tomorrow)
	add(8000, tomorrow.Add(time.Hour))
	add(7950, tomorrow) // mends the one before it: of two for one moment the higher version counts
	if got := price(); got != 7850 {
		t.Errorf("in force with others ahead: %d, want 7850", got)
	}
	if now, ahead := list(); now != 7850 || len(ahead) != 2 || ahead[0] != 7950 || ahead[1] != 8000 {
		t.Errorf("prices: %d, then %v; want 7850, then 7950 and 8000", now, ahead)
	}
	soon := time.Now().Add(time.Second)
	add(7777, soon)
	if got := price(); got != 7850 && time.Now().Before(soon) {
		t.Errorf("in force before its moment: %d, want 7850", got)
	}
	for price() != 7777 {
		if time.Now().After(soon.Add(10 * time.Second)) {
			t.Fatal("the scheduled price never came into force")
		}
		if _, err := s.owner.Exec(t.Context(), `SELECT pg_sleep(0.02)`); err != nil {
			t.Fatal(err)
		}
	}
	if time.Now().Before(soon) {
		t.Error("the scheduled price came early")
	}
	if now, ahead := list(); now != 7777 || len(ahead) != 2 {
		t.Errorf("prices after it: %d, then %v", now, ahead)
	}
	if l, err := s.db.Prices(t.Context(), "nowhere"); err != nil || len(l.Tariffs) != 0 || l.At.IsZero() {
		t.Errorf("prices of no venue: %+v, %v", l, err)
	}
	// The first one may lie ahead.
	s.venue("new")
	if _, err := s.db.AddTariff(t.Context(), order.TariffRow{Tariff: billing.Tariff{ID: "first", FuelRule: stationFuel.FuelRule, Rounding: billing.HalfUp},
		Venue: "new", Kind: device.Pump, EffectiveAt: tomorrow}, s.audit("tariff")); err != nil {
		t.Fatal(err)
	}
	if l, err := s.db.Prices(t.Context(), "new"); err != nil || len(l.Tariffs) != 1 {
		t.Errorf("prices of a new venue: %+v, %v", l, err)
	}
	if _, err := s.db.TariffFor(t.Context(), "new", device.Pump, ""); !errors.Is(err, order.ErrNoTariff) {
		t.Errorf("tariff before the first: %v, want ErrNoTariff", err)
	}
}
