package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) venueRoutes(h huma.API) {
	register(a, h, forStaff("list-venues", http.MethodGet, "/v1/operator/venues", "All venues"), a.listVenues)
	register(a, h, forStaff("get-venue", http.MethodGet, "/v1/operator/venues/{id}", "One venue"), a.getVenue)
	put := forStaff("put-venue", http.MethodPut, "/v1/operator/venues/{id}", "Make a venue, or replace its facts")
	put.MaxBodyBytes = 256 << 10 // a geofence may have two thousand points
	register(a, h, put, a.putVenue)
}

// VenueFacts is what is known of a venue. Positions are WGS-84.
type VenueFacts struct {
	Name        string  `json:"name" minLength:"1" maxLength:"100"`
	TimeZone    string  `json:"time_zone" minLength:"1" maxLength:"64" doc:"IANA name, such as Asia/Shanghai"`
	Open        bool    `json:"open" doc:"Whether riders may start here"`
	Lat         float64 `json:"lat,omitempty" minimum:"-90" maximum:"90"`
	Lng         float64 `json:"lng,omitempty" minimum:"-180" maximum:"180"`
	StartRadius int     `json:"start_radius_m,omitempty" minimum:"0" maximum:"100000" doc:"How far from the device a rider may be; 0 = anywhere"`
	Hours       string  `json:"opening_hours,omitempty" maxLength:"500" doc:"When riders may start while open, in OpenStreetMap's syntax: Mo-Fr 06:00-23:00; Sa,Su 08:00-22:00. Absent = always"`
	Fence       *Area   `json:"geofence,omitempty" doc:"Where its devices belong; absent = anywhere"`
	KioskOnly   bool    `json:"kiosk_only,omitempty" doc:"No pump starts on the forecourt: the code must be one that hangs at the kiosk"`
	Phone       string  `json:"phone,omitempty" maxLength:"40" doc:"Shown to riders"`
}

// Area is a GeoJSON MultiPolygon (RFC 7946): polygons of rings of [longitude,
// latitude], WGS-84 degrees. A ring's last point is its first.
type Area struct {
	Type        string           `json:"type" enum:"MultiPolygon"`
	Coordinates [][][][2]float64 `json:"coordinates" nullable:"false" minItems:"1"`
}

func areaOf(f order.Fence) *Area {
	if len(f) == 0 {
		return nil
	}
	a := &Area{Type: "MultiPolygon"}
	for _, polygon := range f {
		var rings [][][2]float64
		for _, ring := range polygon {
			rings = append(rings, each(ring, func(p order.Point) [2]float64 { return [2]float64{p.Lng, p.Lat} }))
		}
		a.Coordinates = append(a.Coordinates, rings)
	}
	return a
}

func (a *Area) fence() order.Fence {
	if a == nil {
		return nil
	}
	var f order.Fence
	for _, polygon := range a.Coordinates {
		var rings [][]order.Point
		for _, ring := range polygon {
			rings = append(rings, each(ring, func(p [2]float64) order.Point { return order.Point{Lat: p[1], Lng: p[0]} }))
		}
		f = append(f, rings)
	}
	return f
}

// Venue is a place with devices.
type Venue struct {
	ID string `json:"id"`
	VenueFacts
	Stopped bool `json:"stopped" doc:"An emergency stop is in force on a device here; only a hand at it ends that"`
}

// VenueList is all venues.
type VenueList struct {
	Venues []Venue `json:"venues"`
}

func venueOf(v order.Venue) Venue {
	return Venue{v.ID, VenueFacts{Name: v.Name, TimeZone: v.TimeZone, Open: v.Open, Lat: v.Lat, Lng: v.Lng,
		StartRadius: v.StartRadius, Hours: v.Hours.String(), Fence: areaOf(v.Fence), KioskOnly: v.KioskOnly, Phone: v.Phone}, v.Stopped || v.Halted}
}

type listVenuesOutput struct{ Body VenueList }

func (a *API) listVenues(ctx context.Context, _ *struct{}) (*listVenuesOutput, error) {
	rows, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(v order.Venue) bool { return !keeps(ctx, v.ID) })
	return &listVenuesOutput{VenueList{each(rows, venueOf)}}, nil
}

type venuePath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
}

type venueOutput struct{ Body Venue }

func (a *API) getVenue(ctx context.Context, in *venuePath) (*venueOutput, error) {
	rows, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range rows {
		if v.ID == in.ID {
			return &venueOutput{venueOf(v)}, nil
		}
	}
	return nil, errVenueUnknown
}

// VenueBody is a venue's request.
type VenueBody struct {
	VenueFacts
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

type putVenueInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Body VenueBody
}

func (a *API) putVenue(ctx context.Context, in *putVenueInput) (*venueOutput, error) {
	b := in.Body
	hours, err := order.ParseHours(b.Hours)
	if err != nil {
		return nil, err
	}
	v := order.Venue{ID: in.ID, Name: b.Name, TimeZone: b.TimeZone, Open: b.Open, Lat: b.Lat, Lng: b.Lng,
		StartRadius: b.StartRadius, Hours: hours, Fence: b.Fence.fence(), KioskOnly: b.KioskOnly, Phone: b.Phone}
	if err := a.Store.PutVenue(ctx, v, audit(ctx, "venue.put", "venue "+in.ID, b.Reason, b.VenueFacts)); err != nil {
		return nil, err
	}
	return &venueOutput{venueOf(v)}, nil
}
