package billing_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
)

func TestAReservationIsBilledByTheMinuteBeyondItsFreeOnesWithinTheCaps(t *testing.T) {
	for _, c := range []struct {
		name     string
		reserved *billing.Reserved
		ms       int64
		spent    billing.Fen
		want     billing.Fen
		lines    int
	}{
		{"none", nil, 0, 0, 100, 2},
		{"used within the free minutes", &billing.Reserved{Fee: 20}, 0, 0, 100, 2},
		{"three minutes", &billing.Reserved{Minutes: 3, Fee: 20}, 0, 0, 160, 3},
		{"minutes that cost nothing", &billing.Reserved{Minutes: 3}, 0, 0, 100, 2},
		{"cut by the ride's cap", &billing.Reserved{Minutes: 100, Fee: 20}, 0, 0, 1000, 4},
		{"cut by the day's", &billing.Reserved{Minutes: 10, Fee: 20}, 0, 1400, 100, 4},
	} {
		u := billing.Usage{BilledMS: c.ms, DaySpent: c.spent, Measured: billing.WithinBoot, Reserved: c.reserved}
		if q := bike.Quote(u); q.Total != c.want || len(q.Lines) != c.lines {
			t.Errorf("%s: got %d in %d lines, want %d in %d: %+v", c.name, q.Total, len(q.Lines), c.want, c.lines, q.Lines)
		}
	}
}

func TestMinutesOfAReservationAreThoseThatWereBegun(t *testing.T) {
	free := time.Date(2026, 3, 1, 4, 5, 0, 0, time.UTC)
	for late, want := range map[time.Duration]int64{-time.Minute: 0, 0: 0, time.Millisecond: 1, time.Minute: 1, time.Minute + time.Millisecond: 2} {
		if got := billing.Begun(free, free.Add(late)); got != want {
			t.Errorf("used %v after the free minutes: %d, want %d", late, got, want)
		}
	}
}

// TestATariffThatSaysNothingOfReservationsIsStoredAsEver: what is stored in orders must
// give the same bytes when it is written again.
func TestATariffThatSaysNothingOfReservationsIsStoredAsEver(t *testing.T) {
	const was = `{"id":"bike","version":3,"name":"Bike","rounding":"started_blocks","unlock_fee_fen":100,"free_ms":600000,` +
		`"block_ms":60000,"block_fee_fen":50,"ride_cap_fen":1000,"day_cap_fen":1500}`
	var read billing.Tariff
	if err := json.Unmarshal([]byte(was), &read); err != nil {
		t.Fatal(err)
	}
	for name, tariff := range map[string]billing.Tariff{"made": bike, "read": read} {
		if got, err := json.Marshal(tariff); err != nil || string(got) != was {
			t.Errorf("%s: %s, %v, want %s", name, got, err, was)
		}
	}
	r, offered := read.Reserving()
	if want := (billing.Reserving{Free: 5 * time.Minute, Most: 10 * time.Minute}); !offered || r != want {
		t.Errorf("it offers %+v, %v, want %+v", r, offered, want)
	}
}

func TestWhatATariffOffersOfReservations(t *testing.T) {
	for _, c := range []struct {
		free, most int64
		want       billing.Reserving
		offered    bool
	}{
		{0, 0, billing.Reserving{Free: 5 * time.Minute, Most: 10 * time.Minute, Fee: 20}, true},
		{-1, 30, billing.Reserving{Most: 30 * time.Minute, Fee: 20}, true},
		{15, 0, billing.Reserving{Free: 10 * time.Minute, Most: 10 * time.Minute, Fee: 20}, true},
		{0, -1, billing.Reserving{}, false},
	} {
		tariff := with(bike, func(t *billing.Tariff) { t.ReserveFree, t.ReserveMost, t.ReserveFee = c.free, c.most, 20 })
		if got, offered := tariff.Reserving(); got != c.want || offered != c.offered || tariff.Check() != nil {
			t.Errorf("free %d, most %d: %+v, %v (%v), want %+v, %v", c.free, c.most, got, offered, tariff.Check(), c.want, c.offered)
		}
	}
	for name, bend := range map[string]func(*billing.Tariff){
		"a negative fee":     func(t *billing.Tariff) { t.ReserveFee = -1 },
		"too long":           func(t *billing.Tariff) { t.ReserveMost = 24*60 + 1 },
		"less than none":     func(t *billing.Tariff) { t.ReserveFree = -2 },
		"a fee without caps": func(t *billing.Tariff) { t.UnlockFee, t.BlockFee, t.RideCap, t.ReserveFee = 0, 0, 0, 1 },
	} {
		if err := with(bike, bend).Check(); !errors.Is(err, billing.ErrBadTariff) {
			t.Errorf("%s: %v, want ErrBadTariff", name, err)
		}
	}
	if _, offered := billing.Service().Reserving(); offered {
		t.Error("staff's tariff offers reservations")
	}
}
