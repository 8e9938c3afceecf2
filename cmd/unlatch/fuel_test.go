package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

var yuan200 = map[string]any{"grade": "92", "amount_fen": 20_000}

// fuelScenario is a sale at side 1 of a pump of its own, by a rider of its own.
type fuelScenario struct {
	name   string
	preset map[string]any // nil: 200 yuan of 92
	// before spoils what the start will meet; play is what the world does with the
	// order placed.
	before func(v *venue, pump string)
	play   func(v *venue, pump string, c client, o sale)
	ends   string // settled, unless given
	reason string
	least  int64 // ml that were billed
	most   int64
}

// armed waits until the pump may be used.
func armed(v *venue, c client, o sale) {
	v.t.Helper()
	v.reaches(c, o.ID, "active", 60*time.Second)
}

// fills draws at least ml and hangs up.
func fills(ml int64) func(*venue, string, client, sale) {
	return func(v *venue, pump string, c client, o sale) {
		v.t.Helper()
		armed(v, c, o)
		v.lift(pump, 1, 1)
		v.squeeze(pump, 1, 20)
		v.flows(pump, 1, ml)
		v.hangUp(pump, 1)
	}
}

// toTheLimit squeezes until the pump stops by itself.
func toTheLimit(v *venue, pump string, c client, o sale) {
	v.t.Helper()
	armed(v, c, o)
	v.lift(pump, 1, 1)
	v.squeeze(pump, 1, 100)
	v.until("the pump has stopped", 60*time.Second, func() bool { return v.side(pump, 1).State == "complete" })
	v.hangUp(pump, 1)
}

var fuelScenarios = []fuelScenario{
	{name: "the nozzle is hung up below the limit", play: fills(3_000), reason: "nozzle_back", least: 3_000, most: 25_478},
	{name: "an amount is reached", play: toTheLimit, reason: "limit", least: 25_400, most: 25_478},
	{name: "a volume is reached", preset: map[string]any{"grade": "92", "millilitres": 10_000}, play: toTheLimit, reason: "limit", least: 9_900, most: 10_000},
	{name: "a full tank up to the hold", preset: map[string]any{"grade": "92"}, play: toTheLimit, reason: "limit", least: 60_000, most: 63_694},
	{name: "nothing is drawn", reason: "nozzle_back", play: func(v *venue, pump string, c client, o sale) {
		armed(v, c, o)
		v.lift(pump, 1, 1)
		v.hangUp(pump, 1)
	}},
	{name: "nobody lifts the nozzle", reason: "not_lifted", play: func(v *venue, pump string, c client, o sale) { armed(v, c, o) }},
	{name: "the nozzle was up before the start", reason: "nozzle_back", least: 1_000, most: 25_478,
		before: func(v *venue, pump string) { v.lift(pump, 1, 1) },
		play: func(v *venue, pump string, c client, o sale) {
			armed(v, c, o)
			v.squeeze(pump, 1, 20)
			v.flows(pump, 1, 1_000)
			v.hangUp(pump, 1)
		}},
	{name: "a nozzle of another grade gives nothing", reason: "not_lifted", play: func(v *venue, pump string, c client, o sale) {
		armed(v, c, o)
		v.lift(pump, 1, 2)
		v.squeeze(pump, 1, 100)
		v.reaches(c, o.ID, "settled", 60*time.Second)
		v.hangUp(pump, 1)
	}},
	{name: "the link is lost in mid-flow and the pump goes on to its limit", reason: "limit", least: 25_400, most: 25_478,
		play: func(v *venue, pump string, c client, o sale) {
			armed(v, c, o)
			v.lift(pump, 1, 1)
			v.squeeze(pump, 1, 20)
			v.flows(pump, 1, 2_000)
			v.direct(pump, "network", map[string]any{"do": "off"})
			v.squeeze(pump, 1, 100)
			v.until("the pump has stopped", 60*time.Second, func() bool { return v.side(pump, 1).State == "complete" })
			v.hangUp(pump, 1)
			if now := v.sale(c, o.ID); now.State != "active" || now.Hold != 20_000 || now.Live != nil && now.Live.Proven {
				v.t.Errorf("while the link is lost: %s, held %d, live %+v; want active, at most 20000, not proven", now.State, now.Hold, now.Live)
			}
			v.direct(pump, "network", map[string]any{"do": "on"})
		}},
	{name: "the nozzle is hung up offline", reason: "nozzle_back", least: 2_000, most: 25_478,
		play: func(v *venue, pump string, c client, o sale) {
			armed(v, c, o)
			v.lift(pump, 1, 1)
			v.squeeze(pump, 1, 10)
			v.direct(pump, "network", map[string]any{"do": "off"})
			v.flows(pump, 1, 2_000)
			v.hangUp(pump, 1)
			v.direct(pump, "network", map[string]any{"do": "on"})
		}},
	{name: "power is lost in mid-flow", reason: "power", least: 2_000, most: 25_478,
		play: func(v *venue, pump string, c client, o sale) {
			armed(v, c, o)
			v.lift(pump, 1, 1)
			v.squeeze(pump, 1, 20)
			v.flows(pump, 1, 2_000)
			v.direct(pump, "power", map[string]any{"do": "cut"})
			v.hangUp(pump, 1)
			v.direct(pump, "power", map[string]any{"do": "restore"})
		}},
	{name: "power is lost between the burn and the arming", ends: "voided", reason: "power",
		before: func(v *venue, pump string) { v.direct(pump, "power", map[string]any{"do": "cut", "at": "burned"}) },
		play:   func(v *venue, pump string, c client, o sale) { restored(v, pump, c, o.seen) }},
	{name: "the answer is lost", reason: "nozzle_back", least: 1_000, most: 25_478,
		before: func(v *venue, pump string) {
			v.direct(pump, "network", map[string]any{"do": "drop", "direction": "up", "count": 1})
		}, play: fills(1_000)},
	{name: "evidence comes twice and out of order", reason: "nozzle_back", least: 1_000, most: 25_478,
		before: func(v *venue, pump string) {
			v.direct(pump, "network", map[string]any{"do": "duplicate", "direction": "up"})
			v.direct(pump, "network", map[string]any{"do": "reorder", "direction": "up", "millis": 1500})
		}, play: fills(1_000)},
	{name: "the rider cancels before lifting", reason: "stopped", play: func(v *venue, pump string, c client, o sale) {
		armed(v, c, o)
		v.callOff(c, o.ID)
	}},
	{name: "the rider cancels while it flows", reason: "stopped", least: 1_000, most: 25_478,
		play: func(v *venue, pump string, c client, o sale) {
			armed(v, c, o)
			v.lift(pump, 1, 1)
			v.squeeze(pump, 1, 20)
			v.flows(pump, 1, 1_000)
			v.callOff(c, o.ID)
			v.reaches(c, o.ID, "settled", 30*time.Second)
			v.hangUp(pump, 1)
		}},
	{name: "the rider cancels while the pump cannot hear", reason: "stopped", least: 1_000, most: 25_478,
		play: func(v *venue, pump string, c client, o sale) {
			armed(v, c, o)
			v.lift(pump, 1, 1)
			v.squeeze(pump, 1, 5)
			v.flows(pump, 1, 1_000)
			v.direct(pump, "network", map[string]any{"do": "off", "direction": "down"})
			v.callOff(c, o.ID)
			v.flows(pump, 1, 1_500)
			v.direct(pump, "network", map[string]any{"do": "on"})
			v.reaches(c, o.ID, "settled", 60*time.Second)
			v.hangUp(pump, 1)
		}},
	{name: "the button at the pump is pressed", reason: "stopped", least: 1_000, most: 25_478,
		play: func(v *venue, pump string, c client, o sale) {
			armed(v, c, o)
			v.lift(pump, 1, 1)
			v.squeeze(pump, 1, 20)
			v.flows(pump, 1, 1_000)
			v.hand(pump, 1, "stop", nil)
			v.hangUp(pump, 1)
		}},
	{name: "two phones at one side", reason: "nozzle_back", least: 500, most: 25_478,
		play: func(v *venue, pump string, c client, o sale) {
			other := v.rider("other-"+pump, 0, 50_000)
			if _, err := v.buy(other, v.codes[pump+"/1"], yuan200); err == nil || refusal(err) != "outlet_busy" {
				v.t.Errorf("the second phone: %v, want outlet_busy", err)
			}
			if _, err := v.buy(c, v.codes[pump+"/2"], yuan200); err == nil || refusal(err) != "too_many_live_orders" {
				v.t.Errorf("a second authorisation while one is open: %v, want too_many_live_orders", err)
			}
			fills(500)(v, pump, c, o)
		}},
	{name: "two riders at two sides", reason: "nozzle_back", least: 2_000, most: 25_478,
		play: func(v *venue, pump string, c client, o sale) {
			other := v.rider("other-"+pump, 0, 50_000)
			p, err := v.buy(other, v.codes[pump+"/2"], map[string]any{"grade": "95", "amount_fen": 10_000})
			if err != nil {
				v.t.Fatalf("the other side: %v", err)
			}
			armed(v, c, o)
			armed(v, other, p)
			v.lift(pump, 1, 1)
			v.lift(pump, 2, 2)
			v.squeeze(pump, 1, 10)
			v.squeeze(pump, 2, 20)
			v.flows(pump, 1, 2_000)
			v.flows(pump, 2, 4_000)
			v.hangUp(pump, 2)
			v.hangUp(pump, 1)
			q := v.sold(other, p.ID)
			if q.Fuel.Ml < 4_000 || q.Fuel.Grade != "95" || q.Charged != int64(billing.Price(q.Fuel.Ml, 8390)) {
				v.t.Errorf("the other side was billed %d for %+v", q.Charged, q.Fuel)
			}
		}},
}

func (v *venue) callOff(c client, id string) {
	v.t.Helper()
	if err := c.do(v.ctx, http.MethodPost, "/v1/orders/"+id+"/cancel", "", nil, nil); err != nil {
		v.t.Fatal(err)
	}
}

// fuelVenue is an installation with pumps whose riders may spend what they have
// and who have little time to lift a nozzle.
func fuelVenue(t *testing.T, c venueConfig) *venue {
	t.Helper()
	c.Orders.ArmTime, c.Orders.PrintedCap = 6*time.Second, -1
	return newVenue(t, c)
}

func TestWholeSales(t *testing.T) {
	t.Parallel()
	var pumps, riders []string
	for i := range fuelScenarios {
		pump := fmt.Sprintf("pump-%d", i)
		pumps, riders = append(pumps, pump), append(riders, fmt.Sprintf("rider-%d", i), "other-"+pump)
	}
	v := fuelVenue(t, venueConfig{Pumps: pumps, Riders: riders})
	t.Run("bad luck", func(t *testing.T) {
		for i, s := range fuelScenarios {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				v := *v
				v.t = t
				s.run(&v, pumps[i], fmt.Sprintf("rider-%d", i))
			})
		}
	})
	v.reconcile(nil, pumps...)
}

func (s fuelScenario) run(v *venue, pump, rider string) {
	c := v.rider(rider, 0, 50_000)
	if s.before != nil {
		s.before(v, pump)
	}
	preset := s.preset
	if preset == nil {
		preset = yuan200
	}
	o, err := v.buy(c, v.codes[pump+"/1"], preset)
	if err != nil {
		v.t.Fatalf("buy: %v", err)
	}
	if o.State != "starting" {
		v.t.Errorf("the answer says %s, want starting", o.State)
	}
	s.play(v, pump, c, o)
	ends := s.ends
	if ends == "" {
		ends = "settled"
	}
	v.reaches(c, o.ID, ends, 90*time.Second)
	got := v.sale(c, o.ID)
	if got.Reason != s.reason {
		v.t.Errorf("%s because of %q, want %q", got.State, got.Reason, s.reason)
	}
	if ends == "settled" && (got.Fuel.Ml < s.least || got.Fuel.Ml > s.most || got.Charged != int64(billing.Price(got.Fuel.Ml, 7850)) || got.Charged > o.Hold) {
		v.t.Errorf("billed %d for %+v of a hold of %d, want %d to %d ml", got.Charged, got.Fuel, o.Hold, s.least, s.most)
	}
	var wallet struct {
		Balance int64 `json:"balance_fen"`
		Held    int64 `json:"held_fen"`
	}
	if err := c.do(v.ctx, http.MethodGet, "/v1/me/wallet", "", nil, &wallet); err != nil {
		v.t.Fatal(err)
	}
	if wallet.Balance != 50_000-got.Charged || wallet.Held != 0 {
		v.t.Errorf("the wallet holds %d (%d held) after a charge of %d of 50000", wallet.Balance, wallet.Held, got.Charged)
	}
}

func TestTheRiderSeesTheLitresRun(t *testing.T) {
	v := fuelVenue(t, venueConfig{Replicas: 2, Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	c := v.rider("ada", 1, 50_000) // asks the replica that may not hear the pump
	o, err := v.buy(c, v.codes["pump-1/1"], yuan200)
	if err != nil {
		t.Fatal(err)
	}
	armed(v, c, o)
	v.lift("pump-1", 1, 1)
	v.squeeze("pump-1", 1, 20) // a litre a second
	var mu sync.Mutex
	var litres []int64
	var states []string
	began := time.Now()
	v.follow(c, o.ID, func(s sale) {
		mu.Lock()
		defer mu.Unlock()
		if s.State != "active" {
			return
		}
		if s.Next.What != "fuel_until_hung_up" {
			t.Errorf("next is %q", s.Next.What)
		}
		if s.Live == nil {
			return
		}
		if s.Live.Proven || s.Live.Fen != int64(billing.Price(s.Live.Ml, 7850)) {
			t.Errorf("live %+v, want an unproven amount that fits", s.Live)
		}
		if n := len(litres); n > 0 && s.Live.Ml < litres[n-1] {
			t.Errorf("the display went back from %d to %d ml", litres[n-1], s.Live.Ml)
		}
		litres, states = append(litres, s.Live.Ml), append(states, s.Live.State)
		if s.Live.Ml > 5_000 {
			v.hangUp("pump-1", 1)
		}
	})
	took := time.Since(began).Seconds()
	if per := float64(len(litres)) / took; per < 0.5 || per > 4 {
		t.Errorf("%d figures in %.1f s, want about one a second: %v", len(litres), took, litres)
	}
	if !slices.Contains(states, "fuelling") {
		t.Errorf("states on the way: %v, want fuelling among them", states)
	}
	v.sold(c, o.ID)
	v.reconcile(nil, "pump-1")
}

func TestUnauthorisedFuelIsAnItemAndFillsTheAudit(t *testing.T) {
	t.Parallel()
	v := fuelVenue(t, venueConfig{Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	c, staff := v.rider("ada", 0, 50_000), v.staff()
	sell := func(ml int64) {
		t.Helper()
		o, err := v.buy(c, v.codes["pump-1/1"], yuan200)
		if err != nil {
			t.Fatal(err)
		}
		fills(ml)(v, "pump-1", c, o)
		v.sold(c, o.ID)
	}
	sell(500)
	v.hand("pump-1", 1, "crank", map[string]any{"nozzle": 2, "ml": 750})
	v.until("the gap is an open item", 30*time.Second, func() bool {
		return strings.Contains(v.items(staff, "pump-1")[order.ItemTotaliser], "750 ml that no sale accounts for")
	})
	sell(500)
	if items := v.items(staff, "pump-1"); len(items) != 1 {
		t.Errorf("items %v, want the gap alone", items)
	}
	v.reconcile([]string{"audit_a7_totaliser_continuous: pump-1 outlet 1"}, "pump-1")
}

func TestFuelAboveTheLimitIsTheOperatorsLoss(t *testing.T) {
	t.Parallel()
	v := fuelVenue(t, venueConfig{Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	c, staff := v.rider("ada", 0, 50_000), v.staff()
	v.hand("pump-1", 1, "fault", map[string]any{"sticky_ml": 400})
	o, err := v.buy(c, v.codes["pump-1/1"], map[string]any{"grade": "92", "amount_fen": 5_000})
	if err != nil {
		t.Fatal(err)
	}
	toTheLimit(v, "pump-1", c, o)
	got := v.sold(c, o.ID)
	if got.Charged != 5_000 || got.Fuel.Fen <= 5_000 || got.Quote.Lines[1].Kind != "above_limit" {
		t.Errorf("charged %d for %+v in %+v, want the preset and a line for what is above", got.Charged, got.Fuel, got.Quote.Lines)
	}
	if items := v.items(staff, "pump-1"); items[order.ItemUnbilled] == "" || len(items) != 1 {
		t.Errorf("items %v, want the fuel that nobody pays", items)
	}
	checked, err := v.nodes[0].db.Audit(v.ctx, func(string, int, int) {})
	if err != nil || len(checked.Findings) != 0 {
		t.Errorf("audit: %+v, %v", checked.Findings, err)
	}
	if s := v.body("pump-1").Pump.Sales[0]; s.Ml != got.Fuel.Ml {
		t.Errorf("the pump gave %d ml, the receipt says %d", s.Ml, got.Fuel.Ml)
	}
}

func TestAnAmountThatIsNotVolumeTimesPriceWaitsForStaff(t *testing.T) {
	t.Parallel()
	v := fuelVenue(t, venueConfig{Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	c, staff := v.rider("ada", 0, 50_000), v.staff()
	v.hand("pump-1", 1, "fault", map[string]any{"wrong_fen": 100})
	o, err := v.buy(c, v.codes["pump-1/1"], yuan200)
	if err != nil {
		t.Fatal(err)
	}
	fills(2_000)(v, "pump-1", c, o)
	v.reaches(c, o.ID, "ended", 30*time.Second)
	got := v.sale(c, o.ID)
	if got.Charged != 0 || got.Next.What != "staff_decide" || v.items(staff, "pump-1")[order.ItemMismatch] == "" {
		t.Errorf("charged %d, next %s, items %v", got.Charged, got.Next.What, v.items(staff, "pump-1"))
	}
	right := int64(billing.Price(got.Fuel.Ml, 7850))
	var list struct {
		Items []struct{ ID, Kind string }
	}
	if err := staff.do(v.ctx, http.MethodGet, "/v1/operator/open-items?kind="+order.ItemMismatch, "", nil, &list); err != nil || len(list.Items) != 1 {
		t.Fatalf("items that need a decision: %+v, %v", list.Items, err)
	}
	if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/open-items/"+list.Items[0].ID+"/close", "", map[string]any{"reason": "x"}, nil); err == nil || refusal(err) != "wrong_state" {
		t.Errorf("closing the item of a bill that waits: %v, want wrong_state", err)
	}
	decide := func(amount int64, reason string) error {
		return staff.do(v.ctx, http.MethodPost, "/v1/operator/orders/"+o.ID+"/decide", "", map[string]any{"amount_fen": amount, "reason": reason}, nil)
	}
	if err := decide(20_001, "more than held"); err == nil || refusal(err) != "value_invalid" {
		t.Errorf("more than is held: %v, want value_invalid", err)
	}
	if err := decide(right, "the display was wrong"); err != nil {
		t.Fatal(err)
	}
	if items := v.items(staff, "pump-1"); items[order.ItemMismatch] != "" {
		t.Errorf("decided, and still open: %v", items)
	}
	if got := v.sold(c, o.ID); got.Charged != right || got.Quote.Total != right || got.Quote.Lines[1].Kind != "staff_decision" {
		t.Errorf("charged %d in %+v, want %d", got.Charged, got.Quote.Lines, right)
	}
	v.reconcile(nil, "pump-1")
}

func TestTheServerIsAwayInMidFuelling(t *testing.T) {
	t.Parallel()
	v := fuelVenue(t, venueConfig{Replicas: 2, Pumps: []string{"pump-1"}, Riders: []string{"ada"}})
	c := v.rider("ada", 0, 50_000)
	o, err := v.buy(c, v.codes["pump-1/1"], yuan200)
	if err != nil {
		t.Fatal(err)
	}
	armed(v, c, o)
	v.lift("pump-1", 1, 1)
	v.squeeze("pump-1", 1, 20)
	v.flows("pump-1", 1, 1_000)
	v.stop(t, 1) // one replica goes; the other holds the broker
	v.flows("pump-1", 1, 3_000)
	v.hangUp("pump-1", 1)
	if got := v.sold(c, o.ID); got.Fuel.Ml < 3_000 {
		t.Errorf("billed %+v", got.Fuel)
	}
	v.reconcile(nil, "pump-1")
}
