package main

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// closing is a shift's or day's close as staff see it.
type closing struct {
	Number   int64
	Orders   int64
	Billed   int64 `json:"billed_fen"`
	Refunded int64 `json:"refunded_fen"`
	Grades   []struct {
		Grade  string
		Ml     int64 `json:"millilitres"`
		Amount int64 `json:"amount_fen"`
	}
	Pay []struct {
		PayWith  string `json:"pay_with"`
		Captured int64  `json:"captured_fen"`
	}
	Nozzles []struct {
		Device     string
		Outlet     int
		Nozzle     int
		Moved      *int64 `json:"moved_ml"`
		Sold       int64  `json:"sold_ml"`
		Difference *int64 `json:"difference_ml"`
	}
}

func TestAStationClosesItsShiftsAndHandsOutItsTaxData(t *testing.T) {
	t.Parallel()
	v := fuelVenue(t, venueConfig{Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	c, staff := v.rider("ada", 0, 50_000), v.staff()
	sell := func(ml int64) sale {
		t.Helper()
		o, err := v.buy(c, v.codes["pump-1/1"], yuan200)
		if err != nil {
			t.Fatal(err)
		}
		fills(ml)(v, "pump-1", c, o)
		return v.sold(c, o.ID)
	}
	closes := func(period, key string) (x closing) {
		t.Helper()
		if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/venues/station/closes", key, map[string]any{"period": period, "reason": "handover"}, &x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	first := closes("shift", "open") // the books begin here
	a, b := sell(1_000), sell(2_000)
	early := closes("shift", "early")
	if again := closes("shift", "early"); again.Number != early.Number {
		t.Errorf("the same key closed again, as number %d after %d", again.Number, early.Number)
	}
	want := a.Charged + b.Charged
	if first.Orders != 0 || early.Number != 2 || early.Orders != 2 || early.Billed != want || early.Grades[0].Ml != a.Fuel.Ml+b.Fuel.Ml || early.Pay[0].Captured != want {
		t.Errorf("the early shift: %+v, want two sales of %d", early, want)
	}
	for _, n := range early.Nozzles {
		if n.Difference == nil || *n.Difference != 0 || *n.Moved != n.Sold {
			t.Errorf("nozzle %d of side %d moved %v and sold %d, difference %v", n.Nozzle, n.Outlet, n.Moved, n.Sold, n.Difference)
		}
	}
	d := sell(500)
	if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/refunds", "r1", map[string]any{"order": a.ID, "amount_fen": 100, "reason": "kindness"}, nil); err != nil {
		t.Fatal(err)
	}
	late, day := closes("shift", "late"), closes("day", "day")
	if late.Orders != 1 || late.Billed != d.Charged || late.Refunded != 100 {
		t.Errorf("the late shift: %+v, want one sale of %d and a refund of 100", late, d.Charged)
	}
	if day.Orders != 3 || day.Billed != early.Billed+late.Billed || day.Refunded != 100 {
		t.Errorf("the day: %+v, want both shifts", day)
	}

	q := url.Values{"from": {time.Now().Add(-time.Hour).Format(time.RFC3339)}, "to": {time.Now().Add(time.Hour).Format(time.RFC3339)}}
	text, err := staff.bytes(v.ctx, "/v1/operator/venues/station/tax-data?"+q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("tax data: %d rows, %v; want a head, three sales and a refund:\n%s", len(rows), err, text)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	sum := billing.Fen(0)
	for _, row := range rows[1:] {
		var yuan, fen int64
		amount := row[column["amount"]]
		if _, err := fmt.Sscanf(strings.TrimPrefix(amount, "-"), "%d.%02d", &yuan, &fen); err != nil {
			t.Fatalf("amount %q: %v", amount, err)
		}
		if strings.HasPrefix(amount, "-") {
			yuan, fen = -yuan, -fen
		}
		sum += billing.Fen(100*yuan + fen)
	}
	if sum != billing.Fen(day.Billed-day.Refunded) {
		t.Errorf("tax data come to %v, the day to %v", sum, billing.Fen(day.Billed-day.Refunded))
	}
	v.reconcile(nil, "pump-1")
}
