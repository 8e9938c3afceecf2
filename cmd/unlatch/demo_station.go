package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// demoStation is the venue beside the campus.
const demoStation = "station"

// demoFuel is what it sells, at prices as they were in 2026.
var demoFuel = billing.Tariff{ID: "station-fuel", Name: "Fuel", Rounding: billing.HalfUp, FuelRule: &billing.FuelRule{
	Grades: []billing.Grade{
		{ID: "92", Name: "92号汽油", UnitPrice: 7850, TaxCode: "1070101010100000000", TaxPermille: 130},
		{ID: "95", Name: "95号汽油", UnitPrice: 8390, TaxCode: "1070101010100000000", TaxPermille: 130},
		{ID: "0", Name: "0号柴油", UnitPrice: 7520, TaxCode: "1070101010200000000", TaxPermille: 130},
	},
	LeastAmount: 10_00, MostAmount: 1000_00, MostMillilitres: 200_000}}

// pumpID names the demo's pumps from 1.
func pumpID(i int) device.ID { return device.ID(fmt.Sprintf("pump-%02d", i)) }

// openStation makes the venue and its prices where they are not there yet.
func (d *demo) openStation(ctx context.Context) error {
	if d.Pumps == 0 {
		return nil
	}
	venues, err := d.node.db.Venues(ctx)
	if err != nil {
		return err
	}
	for _, v := range venues {
		if v.ID == demoStation {
			return nil
		}
	}
	if err := d.node.db.PutVenue(ctx, order.Venue{ID: demoStation, Name: "Willow Road Station", TimeZone: "Asia/Shanghai", Open: true,
		Lat: 31.0230, Lng: 121.4345, Phone: "400-000-0000"}, seedAudit("put_venue", "venue "+demoStation)); err != nil {
		return err
	}
	_, err = d.node.db.AddTariff(ctx, order.TariffRow{Venue: demoStation, Kind: device.Pump, EffectiveAt: time.Now().Add(-time.Minute),
		Tariff: demoFuel}, seedAudit("add_tariff", "tariff "+demoFuel.ID))
	return err
}

// provisionPump makes one dispenser of two sides with a screen each. The last four
// of a dozen sell diesel too, as at most stations.
func (d *demo) provisionPump(ctx context.Context, i int) (sim.Provision, error) {
	nozzles := map[uint8]string{1: "92", 2: "95"}
	if i%12 > 8 || i%12 == 0 {
		nozzles[3] = "0"
	}
	id := pumpID(i)
	made, err := d.node.provision(ctx, api.ProvisionRequest{Device: id, Kind: device.Pump, Venue: demoStation, Outlets: 2, Display: true,
		Grades: map[uint8]map[uint8]string{1: nozzles, 2: nozzles}, Staff: seedAudit("device.provision", "device "+string(id))})
	if err != nil {
		return sim.Provision{}, err
	}
	lat, lng := 31.0230+0.00008*float64(i%4), 121.4345+0.0001*float64(i/4) // on islands of four
	file := made.(sim.Provision)
	file.Lat, file.Lng = lat, lng
	return file, d.node.db.PlaceDevice(ctx, id, lat, lng)
}

// drivers are the simulated riders who fill up.
func (d *demo) drivers() []string {
	var names []string
	for i := range min(d.Fuelling, d.Pumps) {
		names = append(names, fmt.Sprintf("driver-%02d", i+1))
	}
	return names
}

// startFuelling lets each driver fill up again and again, at the front half of the
// station; the back half is left to people.
func (d *demo) startFuelling(ctx context.Context, group *errgroup.Group) {
	for i, name := range d.drivers() {
		group.Go(func() error {
			for ctx.Err() == nil {
				pump, side := pumpID(1+(i+rand.IntN(2))%max(1, d.Pumps/2)), uint8(1+i%2)
				if err := d.fillUp(ctx, name, pump, side); err != nil && ctx.Err() == nil {
					d.log.Info("a simulated driver gives up", "err", err)
				}
				pause(ctx, time.Duration(5+rand.IntN(30))*time.Second)
			}
			return nil
		})
	}
}

// fillUp scans the screen of a side, pays for an amount, a volume or a full tank,
// and draws it.
func (d *demo) fillUp(ctx context.Context, name string, id device.ID, side uint8) error {
	c, err := d.client(ctx, name)
	if err != nil {
		return err
	}
	pump := d.fleet.Device(string(id))
	state, err := pump.State(ctx)
	if err != nil {
		return err
	}
	code := d.sticker[stickerOf(string(id), side)]
	for _, o := range state.Pump.Outlets {
		if o.Outlet == side && o.Display.URL != "" {
			code = o.Display.URL
		}
		if o.Outlet == side && o.Up != 0 { // left by an earlier run
			if err := pump.HangUp(ctx, side); err != nil {
				return err
			}
		}
	}
	var scan struct{ Ticket string }
	if err := c.do(ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": code}, &scan); err != nil {
		return err
	}
	nozzle := uint8(1 + rand.IntN(2))
	preset := map[string]any{"grade": []string{"", "92", "95"}[nozzle]}
	switch rand.IntN(3) {
	case 0:
		preset["amount_fen"] = 100_00 * (1 + rand.IntN(4))
	case 1:
		preset["millilitres"] = 10_000 * (1 + rand.IntN(4))
	}
	var o struct{ ID, State string }
	if err := c.do(ctx, http.MethodPost, "/v1/orders", scan.Ticket, map[string]any{"ticket": scan.Ticket, "pay_with": "wallet", "preset": preset}, &o); err != nil {
		return err
	}
	for range 30 {
		pause(ctx, time.Second)
		if err := c.do(ctx, http.MethodGet, "/v1/orders/"+o.ID, "", nil, &o); err != nil {
			return err
		}
		if o.State != "starting" && o.State != "unresolved" {
			break
		}
	}
	if o.State != "active" {
		return fmt.Errorf("order %s became %s", o.ID, o.State)
	}
	if err := pump.Lift(ctx, side, nozzle); err != nil {
		return err
	}
	if err := pump.Squeeze(ctx, side, 50+rand.IntN(51)); err != nil {
		return err
	}
	pause(ctx, time.Duration(15+rand.IntN(60))*time.Second) // most tanks are full before the limit
	if ctx.Err() != nil {
		return nil
	}
	return pump.HangUp(ctx, side)
}

// stickerOf is the key of an outlet's address.
func stickerOf(id string, side uint8) string { return fmt.Sprintf("%s/%d", id, side) }

// announceStation prints how to fill up; the helpers stand above it.
func (d *demo) announceStation(w io.Writer) {
	if d.Pumps == 0 {
		return
	}
	id := pumpID(d.Pumps)
	fmt.Fprintf(w, "Or fill up at side 1 of %s:\n", id)
	fmt.Fprintf(w, "  TICKET=$(post $API/v1/scans -d '{\"url\":\"%s\"}' | pick ticket)\n", d.sticker[stickerOf(string(id), 1)])
	fmt.Fprintf(w, "  ORDER=$(post $API/v1/orders -H \"Idempotency-Key: $TICKET\" -d '{\"ticket\":\"'$TICKET'\",\"pay_with\":\"wallet\",\"preset\":{\"grade\":\"92\",\"amount_fen\":5000}}' | pick id)\n")
	fmt.Fprintf(w, "  curl -s -X POST $SIM/devices/%s/nozzle -d '{\"do\":\"lift\",\"nozzle\":1}' -o /dev/null\n", id)
	fmt.Fprintf(w, "  curl -s -X POST $SIM/devices/%s/squeeze -d '{\"percent\":100}' -o /dev/null\n", id)
	fmt.Fprintf(w, "  curl -s $API/v1/orders/$ORDER -H \"Authorization: Bearer $TOKEN\"; echo     # litres and yuan run, not yet proven\n")
	fmt.Fprintf(w, "  curl -s -X POST $SIM/devices/%s/nozzle -d '{\"do\":\"hang_up\"}' -o /dev/null\n", id)
	fmt.Fprintf(w, "  curl -s $API/v1/orders/$ORDER -H \"Authorization: Bearer $TOKEN\"; echo     # settled: what the pump signed\n")
}
