package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// What staff and the forecourt itself do to sales.

func TestStopsAreLiftedByAHandAtThePumpAlone(t *testing.T) {
	t.Parallel()
	pumps := []string{"one", "two"}
	v := fuelVenue(t, venueConfig{Pumps: pumps, Bikes: []string{"bike-1"}, Riders: []string{"ada", "ben", "cleo"}})
	ada, ben, staff := v.rider("ada", 0, 50_000), v.rider("ben", 0, 50_000), v.staff()
	post := func(path string, body map[string]any, out any) error {
		return staff.do(v.ctx, http.MethodPost, path, "", body, out)
	}
	running := func() (a, b sale) {
		t.Helper()
		for i, c := range []client{ada, ben} {
			o, err := v.buy(c, v.codes[pumps[i]+"/1"], yuan200)
			if err != nil {
				t.Fatalf("%s: %v", pumps[i], err)
			}
			armed(v, c, o)
			v.lift(pumps[i], 1, 1)
			v.squeeze(pumps[i], 1, 4)
			v.flows(pumps[i], 1, 300)
			if i == 0 {
				a = o
			} else {
				b = o
			}
		}
		return a, b
	}
	refused := func(pump string, c client) {
		t.Helper()
		if _, err := v.buy(c, v.codes[pump+"/2"], yuan200); err == nil || refusal(err) != "emergency_stop" {
			t.Errorf("an order at stopped %s: %v, want emergency_stop", pump, err)
		}
		err := post("/v1/operator/devices/"+pump+"/service", map[string]any{"service": "in_service", "reason": "from afar"}, nil)
		if err == nil || refusal(err) != "emergency_stop" {
			t.Errorf("resuming %s from afar: %v, want emergency_stop", pump, err)
		}
	}
	ended := func(c client, o sale, pump string) {
		t.Helper()
		if got := v.sold(c, o.ID); got.Reason != "stopped" || got.Fuel.Ml < 300 {
			t.Errorf("%s: ended because of %q with %+v", pump, got.Reason, got.Fuel)
		}
		v.hangUp(pump, 1)
	}
	release := func(pumps ...string) {
		t.Helper()
		for _, pump := range pumps {
			v.direct(pump, "emergency", map[string]any{"do": "release"})
			v.until(pump+" serves again", 30*time.Second, func() bool {
				rows, err := v.nodes[0].db.Devices(v.ctx, device.ID(pump), "", "", 1)
				return err == nil && rows[0].Device.Halt == nil
			})
		}
	}

	t.Log("staff stop one pump, whoever uses it")
	a, b := running()
	if err := post("/v1/operator/devices/one/stop", map[string]any{"reason": "spill"}, nil); err != nil {
		t.Fatal(err)
	}
	ended(ada, a, "one")
	refused("one", ada)
	if got := v.sale(ben, b.ID); got.State != "active" {
		t.Errorf("the other pump's order is %s", got.State)
	}
	v.hangUp("two", 1)
	v.sold(ben, b.ID)
	if err := post("/v1/operator/devices/bike-1/stop", map[string]any{"reason": "spill"}, nil); err == nil || refusal(err) != "wrong_state" {
		t.Errorf("an emergency stop of a bike: %v, want wrong_state", err)
	}
	release("one")

	t.Log("staff stop the venue, in two steps")
	a, b = running()
	var ask struct {
		Confirm          string
		Stopped          bool
		Devices, Running int
	}
	if err := post("/v1/operator/venues/station/stop", map[string]any{"reason": "spill"}, &ask); err != nil || ask.Stopped || ask.Devices != 2 || ask.Running != 2 {
		t.Fatalf("first step: %+v, %v", ask, err)
	}
	if got := v.sale(ada, a.ID); got.State != "active" {
		t.Errorf("the first step alone made an order %s", got.State)
	}
	if err := post("/v1/operator/venues/station/stop", map[string]any{"reason": "spill", "confirm": ask.Confirm + "x"}, nil); err == nil || refusal(err) != "confirmation_expired" {
		t.Errorf("another confirmation: %v", err)
	}
	if err := post("/v1/operator/venues/station/stop", map[string]any{"reason": "spill", "confirm": ask.Confirm}, &ask); err != nil || !ask.Stopped {
		t.Fatalf("second step: %+v, %v", ask, err)
	}
	ended(ada, a, "one")
	ended(ben, b, "two")
	refused("one", ada)
	refused("two", ben)
	cleo := v.rider("cleo", 0, 10_000)
	if o, err := v.start(cleo, "bike-1"); err != nil {
		t.Errorf("a bike while the pumps are stopped: %v", err)
	} else {
		v.reaches(cleo, o.ID, "active", 30*time.Second)
		v.direct("bike-1", "close", nil)
	}
	release("one")
	refused("two", ben)
	release("two")

	t.Log("gas at one pump stops both")
	a, b = running()
	v.direct("two", "gas", nil)
	ended(ben, b, "two")
	ended(ada, a, "one")
	refused("one", ada)
	release("one", "two")

	t.Log("an interlock stops in one step")
	a, b = running()
	if err := post("/v1/operator/venues/station/interlock", map[string]any{"reason": "gas alarm of the kiosk"}, nil); err != nil {
		t.Fatal(err)
	}
	ended(ada, a, "one")
	ended(ben, b, "two")
	release("one", "two")

	t.Log("a hand presses the button")
	a, b = running()
	v.direct("one", "emergency", map[string]any{"do": "press"})
	ended(ada, a, "one")
	refused("one", ada)
	v.hangUp("two", 1)
	v.sold(ben, b.ID)
	release("one")
	v.reconcile(nil, pumps...)
}

func TestCodesOnAScreenRotateAndLiftTheLimit(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Pumps: []string{"pump-1"}, Riders: []string{"ada"}, Orders: order.Config{PrintedCap: 150_00}})
	c := v.rider("ada", 0, 50_000)
	var shown string
	v.until("the screen shows a code", 30*time.Second, func() bool {
		shown = v.side("pump-1", 1).Display.URL
		return shown != ""
	})
	if !strings.HasPrefix(shown, v.codes["pump-1/1"]+"-") {
		t.Errorf("the screen shows %s, want the code of side 1 and a password", shown)
	}
	if other := v.side("pump-1", 2).Display.Code; strings.HasSuffix(shown, other) {
		t.Errorf("both sides show %s", other)
	}
	if _, err := v.buy(c, v.codes["pump-1/1"], yuan200); err == nil || refusal(err) != "spending_cap" {
		t.Errorf("200 yuan by the printed code: %v, want spending_cap", err)
	}
	if _, err := v.buy(c, shown+"x", yuan200); err == nil || refusal(err) != "code_stale" {
		t.Errorf("another password: %v, want code_stale", err)
	}
	o, err := v.buy(c, shown, yuan200)
	if err != nil {
		t.Fatalf("200 yuan by the code on the screen: %v", err)
	}
	fills(500)(v, "pump-1", c, o)
	v.sold(c, o.ID)
	v.direct("pump-1", "network", map[string]any{"do": "off"})
	v.until("a screen without a connection shows none", 10*time.Second, func() bool { return v.side("pump-1", 1).Display.URL == "" })
	v.direct("pump-1", "network", map[string]any{"do": "on"})
	v.direct("pump-1", "power", map[string]any{"do": "cut"})
	v.direct("pump-1", "power", map[string]any{"do": "restore"})
	v.until("a screen that was told the time again shows one", 30*time.Second, func() bool { return v.side("pump-1", 1).Display.URL != "" })
	v.reconcile(nil, "pump-1")
}

func TestAVenueMaySellAtItsKioskAlone(t *testing.T) {
	t.Parallel()
	v := fuelVenue(t, venueConfig{Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	c, staff := v.rider("ada", 0, 50_000), v.staff()
	if err := staff.do(v.ctx, http.MethodPut, "/v1/operator/venues/station", "", map[string]any{"name": "Station", "time_zone": "Asia/Shanghai",
		"open": true, "kiosk_only": true}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := v.buy(c, v.codes["pump-1/1"], yuan200); err == nil || refusal(err) != "kiosk_only" {
		t.Errorf("on the forecourt: %v, want kiosk_only", err)
	}
	var code struct{ URL string }
	if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/codes", "", map[string]any{"device": "pump-1", "outlet": 1, "kiosk": true}, &code); err != nil {
		t.Fatal(err)
	}
	var shown string
	v.until("the screen shows a code", 30*time.Second, func() bool {
		shown = v.side("pump-1", 1).Display.Code
		return shown != ""
	})
	if _, err := v.buy(c, code.URL+"-"+shown, yuan200); err == nil || refusal(err) != "code_stale" {
		t.Errorf("the kiosk's number with the screen's password: %v, want code_stale", err)
	}
	o, err := v.buy(c, code.URL, yuan200)
	if err != nil {
		t.Fatalf("at the kiosk: %v", err)
	}
	fills(500)(v, "pump-1", c, o)
	v.sold(c, o.ID)
	v.reconcile(nil, "pump-1")
}

func TestAPriceCountsFromItsTimeAndNeverForASaleThatBegan(t *testing.T) {
	t.Parallel()
	v := fuelVenue(t, venueConfig{Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	c, staff := v.rider("ada", 0, 50_000), v.staff()
	o, err := v.buy(c, v.codes["pump-1/1"], yuan200)
	if err != nil {
		t.Fatal(err)
	}
	armed(v, c, o)
	v.lift("pump-1", 1, 1)
	v.squeeze("pump-1", 1, 20)
	v.flows("pump-1", 1, 500)
	put := func(price int, at *time.Time) {
		t.Helper()
		if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/tariffs", "", map[string]any{"id": "fuel", "name": "Fuel", "venue": stationVenue, "kind": "pump",
			"effective_at": at, "fuel": map[string]any{"grades": []map[string]any{{"grade": "92", "name": "92#", "unit_price": price}},
				"least_amount_fen": 100, "most_amount_fen": 100_000, "most_millilitres": 200_000}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	price := func() int64 {
		t.Helper()
		var scan struct {
			Tariff struct {
				Fuel struct {
					Grades []struct {
						Price int64 `json:"unit_price"`
					}
				}
			}
		}
		if err := c.do(v.ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": v.codes["pump-1/1"]}, &scan); err != nil {
			t.Fatal(err)
		}
		return scan.Tariff.Fuel.Grades[0].Price
	}
	put(8_000, nil)
	soon := time.Now().Add(4 * time.Second)
	put(9_999, &soon)
	if got := price(); got != 8_000 {
		t.Errorf("the price now is %d, want 8000", got)
	}
	v.flows("pump-1", 1, 1_500)
	v.hangUp("pump-1", 1)
	if got := v.sold(c, o.ID); got.Charged != int64(billing.Price(got.Fuel.Ml, 7_850)) {
		t.Errorf("a sale that began at 7850 was billed %d for %+v", got.Charged, got.Fuel)
	}
	v.until("the scheduled price counts", 30*time.Second, func() bool { return price() == 9_999 })
	v.reconcile(nil, "pump-1")
}

func TestStaffMayTakeATestDelivery(t *testing.T) {
	t.Parallel()
	v := fuelVenue(t, venueConfig{Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	staff := v.staff()
	deliver := func(key string, preset any) (sale, error) {
		var o sale
		return o, staff.do(v.ctx, http.MethodPost, "/v1/operator/orders", key, map[string]any{"device": "pump-1", "outlet": 1, "preset": preset,
			"reason": "yearly verification"}, &o)
	}
	if _, err := deliver("k1", map[string]any{"grade": "92"}); err == nil || refusal(err) != "preset_not_taken" {
		t.Errorf("without a volume: %v, want preset_not_taken", err)
	}
	o, err := deliver("k2", map[string]any{"grade": "92", "millilitres": 20_000})
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		var got sale
		if err := staff.do(v.ctx, http.MethodGet, "/v1/operator/orders/"+o.ID, "", nil, &got); err != nil {
			t.Fatal(err)
		}
		return got.State
	}
	v.until("the pump is armed", 30*time.Second, func() bool { return state() == "active" })
	v.lift("pump-1", 1, 1)
	v.squeeze("pump-1", 1, 100)
	v.until("20 litres ran", 60*time.Second, func() bool { return v.side("pump-1", 1).State == "complete" })
	v.hangUp("pump-1", 1)
	v.until("it is settled", 30*time.Second, func() bool { return state() == "settled" })
	if s := v.body("pump-1").Pump.Sales[0]; s.Fen != 0 || s.Ml < 19_900 || s.Ml > 20_000 {
		t.Errorf("the pump gave %+v, want 20 litres for nothing", s)
	}
	v.reconcile(nil, "pump-1")
}
