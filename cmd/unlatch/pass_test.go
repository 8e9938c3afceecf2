package main

import (
	"net/http"
	"path"
	"strings"
	"testing"
	"time"
)

type heldPass struct {
	ID    string
	From  time.Time
	Until time.Time
	Left  int64 `json:"budget_left_ms"`
}

// TestACampusSellsPassesAndPricesItsGroups: staff put a rider into a group with a
// tariff of its own and sell passes; the rider buys one, rides without a fen left,
// and the draft of a dearer tariff is replayed over what was ridden.
func TestACampusSellsPassesAndPricesItsGroups(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada", "ben"}})
	ada, ben, staff := v.rider("ada", 0, 1000), v.rider("ben", 0, 1000), v.staff()
	do := func(c client, method, path, key string, body, into any) {
		t.Helper()
		if err := c.do(v.ctx, method, path, key, body, into); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	type card struct {
		Ticket string
		Tariff struct {
			ID    string
			Least int64 `json:"least_fen"`
		}
		Pass *heldPass
	}
	scan := func(c client, bike string) card {
		t.Helper()
		var s card
		do(c, http.MethodPost, "/v1/scans", "", map[string]string{"url": v.codes[bike]}, &s)
		return s
	}
	ride := func(c client, bike string) seen {
		t.Helper()
		o, err := v.start(c, bike)
		if err != nil {
			t.Fatal(err)
		}
		v.reaches(c, o.ID, "active", 60*time.Second)
		v.direct(bike, "close", nil)
		return v.reaches(c, o.ID, "settled", 60*time.Second)
	}

	do(staff, http.MethodPost, "/v1/operator/tariffs", "", map[string]any{"id": "teachers", "name": "Teachers", "venue": demoVenue,
		"kind": "lock", "group": "teachers", "unlock_fee_fen": 40, "block_ms": 3600_000, "ride_cap_fen": 40}, nil)
	do(staff, http.MethodPost, "/v1/operator/riders/"+ada.id+"/group", "", map[string]string{"group": "teachers", "reason": "on the list"}, nil)
	if s := scan(ada, "bike-1"); s.Tariff.ID != "teachers" {
		t.Errorf("a teacher is priced by %s, want the tariff of teachers", s.Tariff.ID)
	}
	if s := scan(ben, "bike-1"); s.Tariff.ID != "test" {
		t.Errorf("anybody is priced by %s, want the tariff of everybody", s.Tariff.ID)
	}
	if o := ride(ada, "bike-1"); o.Charged != 40 {
		t.Errorf("a teacher's ride: %d fen, want 40", o.Charged)
	}

	do(staff, http.MethodPost, "/v1/operator/passes", "", map[string]any{"id": "month", "name": "Month", "venue": demoVenue, "kind": "lock",
		"price_fen": 1000, "days": 30, "unlock_free": true, "budget_ms": 3600_000}, nil)
	var mine struct {
		Held    []heldPass
		Offered []struct {
			ID    string
			Price int64 `json:"price_fen"`
		}
	}
	do(ben, http.MethodGet, "/v1/me/passes", "", nil, &mine)
	if len(mine.Held) != 0 || len(mine.Offered) != 1 || mine.Offered[0].Price != 1000 {
		t.Fatalf("before the purchase: %+v", mine)
	}
	var bought, again heldPass
	for _, into := range []*heldPass{&bought, &again} {
		do(ben, http.MethodPost, "/v1/me/passes", "buy-1", map[string]any{"pass": "month", "price_fen": 1000}, into)
	}
	if bought.ID == "" || again.ID != bought.ID || bought.Until.Sub(bought.From) != 30*24*time.Hour {
		t.Errorf("bought %+v, and with the same key %+v", bought, again)
	}
	if s := scan(ben, "bike-2"); s.Pass == nil || s.Pass.ID != bought.ID || s.Tariff.Least != 0 {
		t.Errorf("a scan with an empty wallet and a pass: %+v, want the pass and a least of 0", s)
	}
	o := ride(ben, "bike-2")
	if o.Charged != 0 || o.Quote.Total != 0 {
		t.Errorf("a ride on the pass: %d fen charged, want 0", o.Charged)
	}
	do(ben, http.MethodGet, "/v1/me/passes", "", nil, &mine)
	if len(mine.Held) != 1 || mine.Held[0].Left >= 3600_000 || mine.Held[0].Left < 3500_000 {
		t.Errorf("after a ride of a moment: %+v, want a little less than an hour left", mine.Held)
	}

	var raw map[string]any
	do(staff, http.MethodPost, "/v1/operator/tariffs/replay", "", map[string]any{"venue": demoVenue, "kind": "lock", "tariff": "teachers",
		"from": time.Now().Add(-time.Hour), "to": time.Now().Add(time.Hour),
		"draft": map[string]any{"unlock_fee_fen": 90, "block_ms": 3600_000, "ride_cap_fen": 90}}, &raw)
	if raw["orders"] != 1.0 || raw["was_fen"] != 40.0 || raw["would_fen"] != 90.0 || raw["dearer"] != 1.0 {
		t.Errorf("replayed: %+v, want one order that costs 90 in place of 40", raw)
	}
	do(staff, http.MethodPost, "/v1/operator/riders/"+ben.id+"/passes/"+bought.ID+"/revoke", "", map[string]string{"reason": "sold by mistake"}, nil)
	if _, err := v.start(ben, "bike-2"); err == nil {
		t.Error("a ride without money on a revoked pass started")
	}
	v.judge("bike-1", "bike-2")
}

// TestAVenueTakesNoOrdersOutsideItsHours, and says so at the scan; what runs may end.
func TestAVenueTakesNoOrdersOutsideItsHours(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada"}})
	ada, staff := v.rider("ada", 0, 1000), v.staff()
	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 60*time.Second)
	yesterday := time.Now().In(time.FixedZone("Asia/Shanghai", 8*3600)).AddDate(0, 0, -2).Weekday().String()[:2]
	var facts struct {
		Hours string `json:"opening_hours"`
		Fence struct {
			Coordinates [][][][2]float64
		} `json:"geofence"`
	}
	body := map[string]any{"name": "Campus", "time_zone": "Asia/Shanghai", "open": true, "opening_hours": yesterday + " 08:00-20:00",
		"geofence": map[string]any{"type": "MultiPolygon", "coordinates": [][][][2]float64{{{{120, 30}, {121, 30}, {121, 31}, {120, 30}}}}}}
	if err := staff.do(v.ctx, http.MethodPut, "/v1/operator/venues/"+demoVenue, "", body, &facts); err != nil {
		t.Fatal(err)
	}
	if facts.Hours != yesterday+" 08:00-20:00" || len(facts.Fence.Coordinates) != 1 || facts.Fence.Coordinates[0][0][1] != [2]float64{121, 30} {
		t.Errorf("the venue's facts: %+v", facts)
	}
	if status, page := get(t, v.nodes[0].url()+"/d/"+path.Base(v.codes["bike-2"])); status != 200 || strings.Contains(page, "Available") || strings.Contains(page, "可用") {
		t.Errorf("the page behind the code outside of the hours: %d %s", status, page)
	}
	status, code, _ := v.ask(ada, http.MethodPost, "/v1/orders", "k1", `{"ticket":"`+v.ticket(ada, "bike-2")+`","pay_with":"wallet"}`)
	if status != http.StatusConflict || code != "venue_closed" {
		t.Errorf("an order outside of the hours: %d %s, want 409 venue_closed", status, code)
	}
	v.direct("bike-1", "close", nil)
	v.reaches(ada, o.ID, "settled", 60*time.Second)
	if status, code, _ := v.ask(staff, http.MethodPut, "/v1/operator/venues/"+demoVenue, "", `{"name":"C","time_zone":"Asia/Shanghai","open":true,"opening_hours":"whenever"}`); status != 422 || code != "value_invalid" {
		t.Errorf("hours that cannot be read: %d %s, want 422", status, code)
	}
	v.judge("bike-1", "bike-2")
}
