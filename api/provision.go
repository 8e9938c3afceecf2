package api

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// ProvisionBody names the devices to provision; one is a list of one.
type ProvisionBody struct {
	Devices []NewDevice `json:"devices" minItems:"1" maxItems:"100" nullable:"false"`
	OnlyNew bool        `json:"only_new,omitempty" doc:"Refuse devices that are known, whose files would become worthless"`
	DryRun  bool        `json:"dry_run,omitempty" doc:"Say what would become of each; change nothing"`
	Reason  string      `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

// NewDevice is a device to make known.
type NewDevice struct {
	ID      string   `json:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Kind    Kind     `json:"kind"`
	Venue   string   `json:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Lat     *float64 `json:"lat,omitempty" minimum:"-90" maximum:"90" doc:"WGS-84; with lng"`
	Lng     *float64 `json:"lng,omitempty" minimum:"-180" maximum:"180"`
	Outlets int      `json:"outlets,omitempty" minimum:"1" maximum:"16" default:"1"`
	Sides   []Side   `json:"sides,omitempty" maxItems:"16" doc:"Of a pump: one per outlet, in their order"`
	Display bool     `json:"display,omitempty" doc:"It shows rotating codes, behind the number of its outlet's code; an outlet without one gets one"`

	Bluetooth bool `json:"bluetooth,omitempty" doc:"Of a lock: it speaks to riders' phones too"`
}

// Side is an outlet with nozzles.
type Side struct {
	Nozzles []SideNozzle `json:"nozzles" minItems:"1" maxItems:"16" nullable:"false"`
}

// SideNozzle is a nozzle to make known.
type SideNozzle struct {
	N     int    `json:"nozzle" minimum:"1" maximum:"255"`
	Grade string `json:"grade" minLength:"1" maxLength:"16"`
}

// grades is the shape that order knows; nil where no side was named.
func grades(sides []Side) (map[uint8]map[uint8]string, error) {
	if len(sides) == 0 {
		return nil, nil
	}
	all := map[uint8]map[uint8]string{}
	for i, s := range sides {
		all[uint8(i+1)] = map[uint8]string{}
		for _, n := range s.Nozzles {
			if _, twice := all[uint8(i+1)][uint8(n.N)]; twice {
				return nil, fmt.Errorf("side %d has nozzle %d twice: %w", i+1, n.N, order.ErrInvalid)
			}
			all[uint8(i+1)][uint8(n.N)] = n.Grade
		}
	}
	return all, nil
}

// ProvisionResults is what became of each device, in the order of the request.
type ProvisionResults struct {
	Devices []ProvisionResult `json:"devices"`
}

// ProvisionResult is a device's file, or why there is none. Both are there when
// the keys were made and only the position could not be noted.
type ProvisionResult struct {
	ID      string   `json:"id"`
	File    any      `json:"file,omitempty" doc:"Shown this once; holds the device's secrets"`
	Problem *Problem `json:"problem,omitempty"`
	Notes   []string `json:"notes,omitempty" doc:"What is odd and no reason to refuse, such as a venue without a tariff for the kind"`
}

type provisionDevicesInput struct{ Body ProvisionBody }

type provisionDevicesOutput struct{ Body ProvisionResults }

// provisionDevices goes on after a refusal: files that were made already are shown
// only once and must not be lost. A single device's refusal is the answer itself.
func (a *API) provisionDevices(ctx context.Context, in *provisionDevicesInput) (*provisionDevicesOutput, error) {
	list, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
	venues := map[string]order.Venue{}
	for _, v := range list {
		venues[v.ID] = v
	}
	results := make([]ProvisionResult, 0, len(in.Body.Devices))
	seen := map[string]bool{}
	for _, d := range in.Body.Devices {
		var file any
		err := errVenueUnknown
		venue, known := venues[d.Venue]
		switch {
		case seen[d.ID]: // a second epoch would make the first file worthless
			err = order.ErrExists
		case known:
			file, err = a.provision(ctx, d, in.Body)
		}
		seen[d.ID] = true
		if err != nil && len(in.Body.Devices) == 1 {
			return nil, err
		}
		result := ProvisionResult{ID: d.ID, File: file}
		if known {
			if result.Notes, err = a.oddities(ctx, d, venue, err); err != nil && file == nil && len(in.Body.Devices) == 1 {
				return nil, err
			}
		}
		if err == nil && d.Lat != nil && d.Lng != nil && !in.Body.DryRun {
			err = a.Store.PlaceDevice(ctx, device.ID(d.ID), *d.Lat, *d.Lng)
		}
		if err != nil {
			result.Problem = a.problem(ctx, "provision-devices", err)
		}
		results = append(results, result)
	}
	return &provisionDevicesOutput{ProvisionResults{results}}, nil
}

// oddities are what an operator would want to know of a device that can be
// provisioned. err is passed on.
func (a *API) oddities(ctx context.Context, d NewDevice, v order.Venue, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	var notes []string
	switch _, err := a.Orders.Catalog.TariffFor(ctx, v.ID, device.Kind(d.Kind), ""); {
	case errors.Is(err, order.ErrNoTariff):
		notes = append(notes, fmt.Sprintf("venue %s has no tariff in force for a %s: nobody can order", v.ID, d.Kind))
	case err != nil:
		return nil, err
	}
	return append(notes, venueOf(v).Doubts(d.Lat, d.Lng)...), nil
}

// farMetres is how far from its venue a device is hardly meant to stand.
const farMetres = 20_000

// Doubts are what is odd about a position for a device of the venue, WGS-84 degrees
// from -90 to 90 and -180 to 180: that it is outside of the geofence, more than 20 km
// away, or half given. A venue whose position nobody said is at 0, 0 and near to all.
func (v Venue) Doubts(lat, lng *float64) []string {
	if lat == nil && lng == nil {
		return nil
	}
	if lat == nil || lng == nil {
		return []string{"lat and lng go together: no position is noted"}
	}
	at, fence := point{v.Lat, v.Lng}, v.Fence.fence()
	far := func(p point) bool { return at != (point{}) && metres(at, p) > farMetres }
	holds := func(p point) bool { return fence.Holds(order.Point{Lat: p.lat, Lng: p.lng}) }
	var notes []string
	p := point{*lat, *lng}
	if !holds(p) {
		notes = append(notes, "its position is outside of the geofence of venue "+v.ID)
	}
	if far(p) {
		notes = append(notes, fmt.Sprintf("its position is %s from venue %s", Apart(v.Lat, v.Lng, p.lat, p.lng), v.ID))
	}
	if q := (point{p.lng, p.lat}); len(notes) > 0 && math.Abs(q.lat) <= 90 && !far(q) && holds(q) {
		notes = append(notes, "with lat and lng swapped it would be near")
	}
	return notes
}

// Apart is how far two WGS-84 positions are from each other, as people say it: 40 m,
// 2.5 km, 190 km.
func Apart(lat, lng, otherLat, otherLng float64) string {
	switch m := metres(point{lat, lng}, point{otherLat, otherLng}); {
	case m < 999.5:
		return fmt.Sprintf("%.0f m", m)
	case m < 9_950:
		return fmt.Sprintf("%.1f km", m/1000)
	default:
		return fmt.Sprintf("%.0f km", m/1000)
	}
}

func (a *API) provision(ctx context.Context, d NewDevice, b ProvisionBody) (any, error) {
	nozzles, err := grades(d.Sides)
	if err != nil {
		return nil, err
	}
	return a.Provision(ctx, ProvisionRequest{Device: device.ID(d.ID), Kind: device.Kind(d.Kind), Venue: d.Venue,
		Outlets: max(d.Outlets, len(d.Sides), 1), Grades: nozzles, Display: d.Display, Bluetooth: d.Bluetooth, OnlyNew: b.OnlyNew, DryRun: b.DryRun,
		Staff: audit(ctx, "device.provision", "device "+d.ID, b.Reason, nil)})
}
