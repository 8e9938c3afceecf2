package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) venueRoutes(h huma.API) {
	register(a, h, forStaff("list-venues", http.MethodGet, "/v1/operator/venues", "All venues"), a.listVenues)
	register(a, h, forStaff("get-venue", http.MethodGet, "/v1/operator/venues/{id}", "One venue"), a.getVenue)
	register(a, h, forStaff("put-venue", http.MethodPut, "/v1/operator/venues/{id}", "Make a venue, or replace its facts"), a.putVenue)
}

// VenueFacts is what is known of a venue. Positions are WGS-84.
type VenueFacts struct {
	Name        string  `json:"name" minLength:"1" maxLength:"100"`
	TimeZone    string  `json:"time_zone" minLength:"1" maxLength:"64" doc:"IANA name, such as Asia/Shanghai"`
	Open        bool    `json:"open" doc:"Whether riders may start here"`
	Lat         float64 `json:"lat,omitempty" minimum:"-90" maximum:"90"`
	Lng         float64 `json:"lng,omitempty" minimum:"-180" maximum:"180"`
	StartRadius int     `json:"start_radius_m,omitempty" minimum:"0" maximum:"100000" doc:"How far from the device a rider may be; 0 = anywhere"`
	KioskOnly   bool    `json:"kiosk_only,omitempty" doc:"No pump starts on the forecourt: the code must be one that hangs at the kiosk"`
	Phone       string  `json:"phone,omitempty" maxLength:"40" doc:"Shown to riders"`
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
		StartRadius: v.StartRadius, KioskOnly: v.KioskOnly, Phone: v.Phone}, v.Stopped || v.Halted}
}

type listVenuesOutput struct{ Body VenueList }

func (a *API) listVenues(ctx context.Context, _ *struct{}) (*listVenuesOutput, error) {
	rows, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
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
	v := order.Venue{ID: in.ID, Name: b.Name, TimeZone: b.TimeZone, Open: b.Open, Lat: b.Lat, Lng: b.Lng,
		StartRadius: b.StartRadius, KioskOnly: b.KioskOnly, Phone: b.Phone}
	if err := a.Store.PutVenue(ctx, v, audit(ctx, "venue.put", "venue "+in.ID, b.Reason, b.VenueFacts)); err != nil {
		return nil, err
	}
	return &venueOutput{venueOf(v)}, nil
}
