package api

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// battery is the last known percentage, nil when nobody said.
func (a *API) battery(id device.ID) *int {
	if a.Battery == nil {
		return nil
	}
	if b, ok := a.Battery.Battery(id); ok {
		return &b
	}
	return nil
}

const (
	// fleetLife is how old the fleet that riders look at may be.
	fleetLife = 3 * time.Second
	// fleetPage and fleetMost bound one read of it.
	fleetPage = 500
	fleetMost = 20_000
	// nearbyMost is how many devices one answer holds.
	nearbyMost = 100
)

// fleet is a copy of all devices and venues that is a few seconds old at most, so
// that many riders looking at maps cost the database one read.
type fleet struct {
	store Store

	mu      sync.Mutex
	at      time.Time
	devices []order.DeviceRow
	venues  map[string]order.Venue
}

// look returns the copy; who comes while it is read waits for it. Neither the
// slice nor the map is changed once it was returned.
func (f *fleet) look(ctx context.Context) ([]order.DeviceRow, map[string]order.Venue, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.venues != nil && time.Since(f.at) < fleetLife {
		return f.devices, f.venues, nil
	}
	list, err := f.store.Venues(ctx)
	if err != nil {
		return nil, nil, err
	}
	venues := make(map[string]order.Venue, len(list))
	for _, v := range list {
		venues[v.ID] = v
	}
	var devices []order.DeviceRow
	for after := device.ID(""); len(devices) < fleetMost; {
		rows, err := f.store.Devices(ctx, "", "", after, fleetPage)
		if err != nil {
			return nil, nil, err
		}
		devices = append(devices, rows...)
		if len(rows) < fleetPage {
			break
		}
		after = rows[len(rows)-1].Device.ID
	}
	f.at, f.devices, f.venues = time.Now(), devices, venues
	return devices, venues, nil
}

func (a *API) nearbyRoutes(h huma.API) {
	register(a, h, forRiders("list-nearby", http.MethodGet, "/v1/nearby", "Available devices around a position"), a.nearby)
}

type nearbyInput struct {
	Lat    float64 `query:"lat" required:"true" minimum:"-90" maximum:"90"`
	Lng    float64 `query:"lng" required:"true" minimum:"-180" maximum:"180"`
	Datum  string  `query:"datum" enum:"wgs84,gcj02" default:"wgs84" doc:"Of the question and of the answer"`
	Radius int     `query:"radius_m" minimum:"1" maximum:"5000" default:"500"`
}

// Nearby is the devices around a position, nearest first, a hundred at most.
type Nearby struct {
	Devices []NearbyDevice `json:"devices"`
	Venues  []NearbyVenue  `json:"venues" doc:"Of the devices"`
}

// NearbyVenue is a venue on the map; without a position where nobody said it.
type NearbyVenue struct {
	VenueCard
	Lat *float64 `json:"lat,omitempty"`
	Lng *float64 `json:"lng,omitempty"`
}

// NearbyDevice is a device with at least one available outlet.
type NearbyDevice struct {
	ID       string  `json:"id"`
	Kind     Kind    `json:"kind"`
	Venue    string  `json:"venue"`
	Outlets  int     `json:"outlets_available"`
	Lat      float64 `json:"lat"`
	Lng      float64 `json:"lng"`
	Distance int     `json:"distance_m"`
	Battery  *int    `json:"battery,omitempty" doc:"Percent, as last told"`
}

type nearbyOutput struct{ Body Nearby }

func (a *API) nearby(ctx context.Context, in *nearbyInput) (*nearbyOutput, error) {
	datum := Datum(in.Datum)
	from := Location{Lat: in.Lat, Lng: in.Lng, Datum: datum}.wgs84()
	devices, venues, err := a.fleet.look(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	found := []NearbyDevice{}
	for _, row := range devices {
		if row.Lat == nil || row.Lng == nil || !venues[row.Device.Venue].Serves(now) {
			continue
		}
		at := point{*row.Lat, *row.Lng}
		m := metres(from, at)
		if m > float64(in.Radius) {
			continue
		}
		free := 0
		for _, o := range row.Outlets {
			if row.Device.Availability(o, false, now) == device.Available {
				free++
			}
		}
		if free == 0 {
			continue
		}
		shown := at.in(datum)
		found = append(found, NearbyDevice{ID: string(row.Device.ID), Kind: kindOf(row.Device.Kind), Venue: row.Device.Venue,
			Outlets: free, Lat: shown.lat, Lng: shown.lng, Distance: int(math.Round(m))})
	}
	slices.SortFunc(found, func(x, y NearbyDevice) int {
		return cmp.Or(cmp.Compare(x.Distance, y.Distance), cmp.Compare(x.ID, y.ID))
	})
	found = found[:min(len(found), nearbyMost)]
	for i := range found { // a look-up each, so only for those that are shown
		found[i].Battery = a.battery(device.ID(found[i].ID))
	}
	return &nearbyOutput{Nearby{found, nearbyVenues(found, venues, datum)}}, nil
}

// nearbyVenues lists the venues of devices by id.
func nearbyVenues(found []NearbyDevice, venues map[string]order.Venue, datum Datum) []NearbyVenue {
	list, seen := []NearbyVenue{}, map[string]bool{}
	for _, d := range found {
		if seen[d.Venue] {
			continue
		}
		seen[d.Venue] = true
		v := venues[d.Venue]
		row := NearbyVenue{VenueCard: cardOf(v)}
		if at := (point{v.Lat, v.Lng}); at != (point{}) {
			shown := at.in(datum)
			row.Lat, row.Lng = &shown.lat, &shown.lng
		}
		list = append(list, row)
	}
	slices.SortFunc(list, func(x, y NearbyVenue) int { return cmp.Compare(x.ID, y.ID) })
	return list
}
