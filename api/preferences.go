package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

func (a *API) preferenceRoutes(h huma.API) {
	register(a, h, forStaff("get-settings", http.MethodGet, "/v1/operator/settings", "What the operator has set"), a.getSettings)
	register(a, h, forStaff("put-settings", http.MethodPut, "/v1/operator/settings", "Set it"), a.putSettings)
	register(a, h, forStaff("get-venue-map", http.MethodGet, "/v1/operator/venues/{id}/map", "What is laid over a venue's map"), a.getVenueMap)
	op := forStaff("put-venue-map", http.MethodPut, "/v1/operator/venues/{id}/map", "Lay a plan or GeoJSON over a venue's map")
	op.MaxBodyBytes = geojsonMost + maxBody
	register(a, h, op, a.putVenueMap)
	op = forStaff("add-venue-image", http.MethodPost, "/v1/operator/venues/{id}/map/image", "Send a venue's plan")
	op.Description += " A PNG or JPEG of at most 4 MiB as the file field image of a multipart/form-data body."
	op.MaxBodyBytes = planMost + maxBody
	op.SkipValidateBody = true
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {
		Schema: &huma.Schema{Type: huma.TypeObject, Required: []string{"image"},
			Properties: map[string]*huma.Schema{"image": {Type: huma.TypeString, Format: "binary"}}}}}}
	register(a, h, op, a.addVenueImage)
	register(a, h, answersOf(forStaff("get-venue-image", http.MethodGet, "/v1/operator/venues/{id}/map/image", "A venue's plan"),
		http.StatusOK, "image/png", &huma.Schema{Type: huma.TypeString, Format: "binary"}), a.getVenueImage)
}

const (
	// geojsonMost is the largest GeoJSON that is kept of a venue, in bytes.
	geojsonMost = 2 << 20
	// planMost is the largest image of a venue, in bytes.
	planMost = 4 << 20
)

// Settings are what the operator sets while it runs.
type Settings struct {
	RefundAlone  int64    `json:"refund_alone_fen" minimum:"0" doc:"The most that one member may give back of an order alone; 0: no limit"`
	OfflineAfter int64    `json:"offline_after_s" minimum:"60" maximum:"604800"`
	LowBattery   int      `json:"low_battery_percent" minimum:"1" maximum:"90"`
	Failures     int      `json:"failures_per_day" minimum:"1" maximum:"100" doc:"Unlocks of a day that fail before a device is suspect"`
	Map          MapTiles `json:"map"`
	Version      int64    `json:"version" minimum:"0" doc:"As read; another one is settings_changed"`
}

// MapTiles is a map to lay under the fleet's.
type MapTiles struct {
	Tiles       string `json:"tiles" maxLength:"1000" doc:"An address with {z}, {x} and {y}; empty: no server is asked"`
	Attribution string `json:"attribution" maxLength:"300"`
	Datum       string `json:"datum" enum:"wgs84,gcj02,bd09" doc:"In which the tiles are drawn"`
}

type settingsOutput struct{ Body Settings }

func settingsOf(p order.Preferences) *settingsOutput {
	return &settingsOutput{Settings{RefundAlone: int64(p.RefundAlone), OfflineAfter: int64(p.OfflineAfter / time.Second), LowBattery: p.LowBattery,
		Failures: p.Failures, Map: MapTiles{Tiles: p.Map.Tiles, Attribution: p.Map.Attribution, Datum: string(p.Map.Datum)}, Version: p.Version}}
}

func (a *API) getSettings(ctx context.Context, _ *struct{}) (*settingsOutput, error) {
	p, err := a.Store.Preferences(ctx)
	if err != nil {
		return nil, err
	}
	return settingsOf(p), nil
}

// SettingsBody is what is set, and why.
type SettingsBody struct {
	Settings
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type putSettingsInput struct{ Body SettingsBody }

func (a *API) putSettings(ctx context.Context, in *putSettingsInput) (*settingsOutput, error) {
	b := in.Body
	p := order.Preferences{RefundAlone: billing.Fen(b.RefundAlone), OfflineAfter: time.Duration(b.OfflineAfter) * time.Second,
		LowBattery: b.LowBattery, Failures: b.Failures, Version: b.Version,
		Map: order.MapTiles{Tiles: b.Map.Tiles, Attribution: b.Map.Attribution, Datum: order.Datum(b.Map.Datum)}}
	if err := p.Check(); err != nil {
		return nil, err
	}
	err := a.Store.PutPreferences(ctx, p, audit(ctx, "settings.put", "settings", b.Reason, nil))
	if errors.Is(err, order.ErrWrongState) {
		return nil, errSettingsChanged
	}
	if err != nil {
		return nil, err
	}
	return a.getSettings(ctx, nil)
}

// VenueMap is what is laid over a venue's map.
type VenueMap struct {
	Plan    *Plan           `json:"plan,omitempty"`
	GeoJSON json.RawMessage `json:"geojson,omitempty" doc:"A FeatureCollection"`
	Datum   string          `json:"datum,omitempty" enum:"wgs84,gcj02,bd09" doc:"Of the GeoJSON; wgs84 unless given"`
	Image   bool            `json:"image,omitempty" doc:"There is an image of the plan" readOnly:"true"`
}

// Plan is where an image's corners are, each a latitude and a longitude, WGS-84.
type Plan struct {
	Corners [2][2]float64 `json:"corners" doc:"Top left and bottom right"`
}

type venueMapOutput struct{ Body VenueMap }

func (a *API) getVenueMap(ctx context.Context, in *venuePath) (*venueMapOutput, error) {
	if _, err := a.getVenue(ctx, in); err != nil {
		return nil, err
	}
	m, err := a.Store.VenueMap(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	v := VenueMap{GeoJSON: m.GeoJSON, Datum: string(m.Datum), Image: m.ImageType != ""}
	if m.Plan != nil {
		v.Plan = &Plan{[2][2]float64{{m.Plan[0].Lat, m.Plan[0].Lng}, {m.Plan[1].Lat, m.Plan[1].Lng}}}
	}
	return &venueMapOutput{v}, nil
}

// VenueMapBody is what is laid over, and why.
type VenueMapBody struct {
	Plan    *Plan           `json:"plan,omitempty"`
	GeoJSON json.RawMessage `json:"geojson,omitempty" doc:"A FeatureCollection of at most 2 MiB; absent: none"`
	Datum   string          `json:"datum,omitempty" enum:"wgs84,gcj02,bd09"`
	Reason  string          `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type putVenueMapInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Body VenueMapBody
}

func (a *API) putVenueMap(ctx context.Context, in *putVenueMapInput) (*venueMapOutput, error) {
	m := order.VenueMap{Datum: order.Datum(in.Body.Datum)}
	if p := in.Body.Plan; p != nil {
		for _, c := range p.Corners {
			if c[0] < -90 || c[0] > 90 || c[1] < -180 || c[1] > 180 {
				return nil, invalid("corners are latitudes from -90 to 90 and longitudes from -180 to 180")
			}
		}
		if p.Corners[0][0] <= p.Corners[1][0] || p.Corners[0][1] >= p.Corners[1][1] {
			return nil, invalid("the first corner is the top left one: further north and further west than the second")
		}
		m.Plan = &[2]order.Point{{Lat: p.Corners[0][0], Lng: p.Corners[0][1]}, {Lat: p.Corners[1][0], Lng: p.Corners[1][1]}}
	}
	if raw := bytes.TrimSpace(in.Body.GeoJSON); len(raw) > 0 && string(raw) != "null" {
		var shape struct {
			Type     string            `json:"type"`
			Features []json.RawMessage `json:"features"`
		}
		if len(raw) > geojsonMost || json.Unmarshal(raw, &shape) != nil || shape.Type != "FeatureCollection" || shape.Features == nil {
			return nil, invalid("geojson must be a FeatureCollection of at most 2 MiB (RFC 7946)")
		}
		m.GeoJSON = raw
	}
	if err := a.Store.PutVenueMap(ctx, in.ID, m, audit(ctx, "venue.map", "venue "+in.ID, in.Body.Reason, nil)); err != nil {
		return nil, instead(err, errVenueUnknown)
	}
	return a.getVenueMap(ctx, &venuePath{in.ID})
}

type venueImageInput struct {
	ID          string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	ContentType string `header:"Content-Type"`
	RawBody     []byte
}

func (a *API) addVenueImage(ctx context.Context, in *venueImageInput) (*venueMapOutput, error) {
	file, err := fileFrom(in.ContentType, in.RawBody, "image", planMost)
	if err != nil {
		return nil, err
	}
	shape, kind, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil || kind != "png" && kind != "jpeg" || shape.Width*shape.Height > photoPixels {
		return nil, fmt.Errorf("the file is no PNG or JPEG of at most 25 megapixels: %w", errPhoto)
	}
	act := audit(ctx, "venue.image", "venue "+in.ID, "", map[string]any{"bytes": len(file), "type": "image/" + kind})
	if err := a.Store.PutVenueImage(ctx, in.ID, file, "image/"+kind, act); err != nil {
		return nil, instead(err, errVenueUnknown)
	}
	return a.getVenueMap(ctx, &venuePath{in.ID})
}

func (a *API) getVenueImage(ctx context.Context, in *venuePath) (*rawAnswer, error) {
	file, kind, err := a.Store.VenueImage(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errVenueImageUnknown)
	}
	return &rawAnswer{Status: http.StatusOK, ContentType: kind, Body: file}, nil
}

// invalid is order.ErrInvalid with what to do.
func invalid(text string) error { return fmt.Errorf("%s: %w", text, order.ErrInvalid) }
