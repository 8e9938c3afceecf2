package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// The station's part of a venue: pumps of two sides with a screen each, nozzle 1
// of a side 92, nozzle 2 95.

const stationVenue = "station"

var stationTariff = billing.Tariff{ID: "fuel", Name: "Fuel", Rounding: billing.HalfUp, FuelRule: &billing.FuelRule{
	Grades: []billing.Grade{{ID: "92", Name: "92#", UnitPrice: 7850, TaxCode: "1070101010100000000", TaxPermille: 130},
		{ID: "95", Name: "95#", UnitPrice: 8390, TaxCode: "1070101010100000000", TaxPermille: 130}},
	LeastAmount: 100, MostAmount: 100_000, MostMillilitres: 200_000}}

// rapidFlow makes nozzles give five litres a second, so that tests need not wait.
func rapidFlow(c *sim.Config) {
	if c.Pump == nil {
		return
	}
	for _, side := range c.Pump.Sides {
		for _, n := range side.Nozzles {
			n.Rate = 5000
		}
	}
}

func (v *venue) seedStation(pumps []string) (files []sim.Provision) {
	v.t.Helper()
	n := v.nodes[0]
	check := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	check(n.db.PutVenue(v.ctx, order.Venue{ID: stationVenue, Name: "Station", TimeZone: "Asia/Shanghai", Open: true}, seedAudit("a", "b")))
	_, err := n.db.AddTariff(v.ctx, order.TariffRow{Tariff: stationTariff, Venue: stationVenue, Kind: device.Pump,
		EffectiveAt: time.Now().Add(-time.Hour)}, seedAudit("a", "b"))
	check(err)
	nozzles := map[uint8]string{1: "92", 2: "95"}
	for _, id := range pumps {
		file, err := n.provision(v.ctx, api.ProvisionRequest{Device: device.ID(id), Kind: device.Pump, Venue: stationVenue, Outlets: 2,
			Grades: map[uint8]map[uint8]string{1: nozzles, 2: nozzles}, Display: true, Staff: seedAudit("a", "b")})
		check(err)
		files = append(files, file.(sim.Provision))
		codes, err := n.db.Codes(v.ctx, device.ID(id), 10)
		check(err)
		for _, c := range codes {
			v.codes[fmt.Sprintf("%s/%d", id, c.Outlet)] = "https://q.test/d/" + c.Number
		}
	}
	return files
}

// sale is a fuel order as a rider sees it.
type sale struct {
	seen
	Hold int64 `json:"hold_fen"`
	Live *struct {
		State  string
		Ml     int64 `json:"millilitres"`
		Fen    int64 `json:"amount_fen"`
		Proven bool
	}
	Fuel *struct {
		Grade string
		Ml    int64 `json:"millilitres"`
		Fen   int64 `json:"amount_fen"`
	}
	Next struct{ What string }
}

// buy scans the code of a side and orders; preset as in the API.
func (v *venue) buy(c client, code string, preset map[string]any) (sale, error) {
	var scan struct{ Ticket string }
	if err := c.do(v.ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": code}, &scan); err != nil {
		return sale{}, err
	}
	var o sale
	return o, c.do(v.ctx, http.MethodPost, "/v1/orders", scan.Ticket, map[string]any{"ticket": scan.Ticket, "pay_with": "wallet", "preset": preset}, &o)
}

func (v *venue) sale(c client, id string) sale {
	v.t.Helper()
	var o sale
	if err := c.do(v.ctx, http.MethodGet, "/v1/orders/"+id, "", nil, &o); err != nil {
		v.t.Fatal(err)
	}
	return o
}

// sold waits until an order is settled.
func (v *venue) sold(c client, id string) sale {
	v.t.Helper()
	v.reaches(c, id, "settled", 90*time.Second)
	return v.sale(c, id)
}

// hand does something at one side of a pump.
func (v *venue) hand(pump string, side int, what string, body map[string]any) {
	v.t.Helper()
	all := map[string]any{"outlet": side}
	for k, x := range body {
		all[k] = x
	}
	v.direct(pump, what, all)
}

func (v *venue) lift(pump string, side, nozzle int) {
	v.t.Helper()
	v.hand(pump, side, "nozzle", map[string]any{"do": "lift", "nozzle": nozzle})
}

func (v *venue) squeeze(pump string, side, percent int) {
	v.t.Helper()
	v.hand(pump, side, "squeeze", map[string]any{"percent": percent})
}

func (v *venue) hangUp(pump string, side int) {
	v.t.Helper()
	v.hand(pump, side, "nozzle", map[string]any{"do": "hang_up"})
}

// side is what one side of a pump really is.
func (v *venue) side(pump string, n int) sim.OutletState {
	v.t.Helper()
	for _, s := range v.body(pump).Pump.Outlets {
		if int(s.Outlet) == n {
			return s
		}
	}
	v.t.Fatalf("%s has no side %d", pump, n)
	return sim.OutletState{}
}

// flows waits until a side has dispensed at least ml in its use.
func (v *venue) flows(pump string, side int, ml int64) {
	v.t.Helper()
	v.until(fmt.Sprintf("%s gave %d ml at side %d", pump, ml, side), 60*time.Second, func() bool {
		return v.side(pump, side).Ml >= ml
	})
}

// staff does something with an admin's key.
func (v *venue) staff() client {
	v.t.Helper()
	text, hash := api.NewSecret("ul_")
	id := seedAudit("a", "b").ID
	err := v.nodes[0].db.AddStaff(v.ctx, order.Staff{ID: id, Name: "test " + id, Role: order.Admin},
		order.APIKey{ID: seedAudit("a", "b").ID, Staff: id, Label: "test", Role: order.Admin, Created: time.Now()}, hash, seedAudit("a", "b"))
	if err != nil {
		v.t.Fatal(err)
	}
	return client{base: v.nodes[0].url(), token: text}
}

// reconcile holds the books against the pumps: the audit finds nothing but what is
// expected, and each sale that a body remembers was billed with exactly its litres.
func (v *venue) reconcile(expected []string, pumps ...string) {
	v.t.Helper()
	n := v.nodes[0]
	checked, err := n.db.Audit(v.ctx, func(string, int, int) {})
	if err != nil {
		v.t.Fatal(err)
	}
	var found []string
	for _, f := range checked.Findings {
		found = append(found, f.View+": "+f.Subject+": "+f.What)
	}
	for _, f := range found {
		if !slices.ContainsFunc(expected, func(e string) bool { return strings.Contains(f, e) }) {
			v.t.Errorf("audit: %s", f)
		}
	}
	if len(found) != len(expected) {
		v.t.Errorf("audit found %q, want %q", found, expected)
	}
	for _, pump := range pumps {
		body := v.body(pump).Pump
		billed := map[string]order.Order{}
		orders, err := n.db.Orders(v.ctx, order.Page{Device: device.ID(pump), Limit: 500})
		if err != nil {
			v.t.Fatal(err)
		}
		for _, o := range orders {
			billed[o.ID] = o
		}
		for _, s := range body.Sales {
			o := billed[s.Order.String()]
			switch {
			case o.ID == "":
				v.t.Errorf("%s sold %d ml for order %s, which is not there", pump, s.Ml, s.Order)
			case s.Ml > s.Limit+s.Residual:
				v.t.Errorf("%s gave %d ml of a limit of %d and a residual of %d", pump, s.Ml, s.Limit, s.Residual)
			case o.State == order.Settled && (o.Usage.Fuel.Millilitres != s.Ml || o.Charged > o.HoldFen):
				v.t.Errorf("%s gave %d ml, order %s billed %d for %v of %v", pump, s.Ml, o.ID, o.Usage.Fuel.Millilitres, o.Charged, o.HoldFen)
			case o.State == order.Voided && s.Ml > 0:
				v.t.Errorf("%s gave %d ml for order %s, which was voided", pump, s.Ml, o.ID)
			}
			delete(billed, o.ID)
		}
		for _, o := range billed {
			if !o.ActiveAt.IsZero() {
				v.t.Errorf("order %s was active and %s knows nothing of it", o.ID, pump)
			}
		}
	}
}

// items lists the open items of a pump by kind.
func (v *venue) items(c client, pump string) map[string]string {
	v.t.Helper()
	var list struct {
		Items []struct{ Kind, Device, Detail string }
	}
	if err := c.do(v.ctx, http.MethodGet, "/v1/operator/open-items", "", nil, &list); err != nil {
		v.t.Fatal(err)
	}
	found := map[string]string{}
	for _, i := range list.Items {
		if i.Device == pump {
			found[i.Kind] = i.Detail
		}
	}
	return found
}

// follow long-polls an order until it is over and returns every state of the
// display on the way.
func (v *venue) follow(c client, id string, each func(sale)) {
	v.t.Helper()
	tag := ""
	for {
		r, err := http.NewRequestWithContext(v.ctx, http.MethodGet, c.base+"/v1/orders/"+id, nil)
		if err != nil {
			v.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+c.token)
		r.Header.Set("Prefer", "wait=10")
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			v.t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil {
			v.t.Fatal(err)
		}
		tag = answer.Header.Get("ETag")
		if answer.StatusCode == http.StatusNotModified {
			continue
		}
		var o sale
		if err := json.Unmarshal(body, &o); err != nil || answer.StatusCode != http.StatusOK {
			v.t.Fatalf("status %d, %v: %s", answer.StatusCode, err, body)
		}
		each(o)
		if o.State == "settled" || o.State == "voided" {
			return
		}
	}
}
