package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

func (a *API) scanRoutes(h huma.API) {
	op := forRiders("scan", http.MethodPost, "/v1/scans", "Present a code; get a ticket")
	op.Description = "Give either the scanned url or the typed number. A ticket lives 120 seconds and orders once."
	register(a, h, op, a.scan)
}

// ScanBody is a scan's request: exactly one of the two texts.
type ScanBody struct {
	URL      string    `json:"url,omitempty" maxLength:"512" doc:"What the camera read, also percent-encoded once"`
	Number   string    `json:"number,omitempty" maxLength:"64" doc:"What the rider typed, with or without dashes"`
	Location *Location `json:"location,omitempty" doc:"Where the rider is"`
}

// Scan is a scan's answer.
type Scan struct {
	Ticket    string     `json:"ticket"`
	ExpiresAt time.Time  `json:"expires_at"`
	Device    DeviceCard `json:"device"`
	Tariff    TariffCard `json:"tariff"`
	PayWith   []string   `json:"pay_with" doc:"The ways to pay that are offered here"`
	Pass      *HeldPass  `json:"pass,omitempty" doc:"Mine, that an order would meet; the tariff's least_fen is what remains"`
}

// DeviceCard is what a rider sees of a device.
type DeviceCard struct {
	ID           string    `json:"id"`
	Kind         Kind      `json:"kind"`
	Outlet       int       `json:"outlet"`
	Number       string    `json:"number" doc:"As printed"`
	Availability string    `json:"availability" enum:"available,reserved,in_use,non_operational,non_contactable,missing,removed"`
	Venue        VenueCard `json:"venue"`
	Distance     *int      `json:"distance_m,omitempty" doc:"Absent where either position is not known"`
	Battery      *int      `json:"battery,omitempty" doc:"Percent, as last told"`
	Nozzles      []Nozzle  `json:"nozzles,omitempty" doc:"Of a pump's side"`
	Code         string    `json:"code" enum:"printed,rotating" doc:"What was scanned; printed codes have a limit per day"`

	Bluetooth *Bluetooth `json:"bluetooth,omitempty" doc:"Where a phone finds it when it is non_contactable; absent where it has none"`
}

type scanInput struct{ Body ScanBody }

type scanOutput struct{ Body Scan }

func (a *API) scan(ctx context.Context, in *scanInput) (*scanOutput, error) {
	code, err := a.presented(in.Body.URL, in.Body.Number)
	if err != nil {
		return nil, err
	}
	number := code.Number
	if err := a.codes.take(string(number), time.Now()); err != nil {
		return nil, err
	}
	s, err := a.Orders.Scan(ctx, riderOf(ctx).rider, string(number), code.OTP)
	if err != nil {
		return nil, instead(err, errCodeUnknown)
	}
	distance, err := a.distance(ctx, s, string(number), in.Body.Location)
	if err != nil {
		return nil, err
	}
	var pass *HeldPass
	if s.Pass != nil {
		p := heldPassOf(*s.Pass)
		pass = &p
	}
	return &scanOutput{Scan{PayWith: each(a.Orders.Env.Config.Offers(), func(w order.PayWith) string { return string(w) }), Ticket: s.Ticket, ExpiresAt: s.Expires, Tariff: tariffCardOf(s.Tariff, s.Pass.Use()), Pass: pass,
		Device: DeviceCard{ID: string(s.Device.ID), Kind: kindOf(s.Device.Kind), Outlet: int(s.Outlet.N),
			Number: qr.Format(number), Availability: string(s.Availability),
			Venue:    cardOf(s.Venue),
			Distance: distance, Battery: a.battery(s.Device.ID), Nozzles: nozzlesOf(s.Outlet.Meter, false),
			Code: string(s.Class), Bluetooth: a.bluetoothOf(s.Device)}}}, nil
}

// presented reads exactly one of a scanned url and a typed number, and checks
// that the number was minted here.
func (a *API) presented(url, number string) (qr.Code, error) {
	text := url + number
	if (url == "") == (number == "") {
		return qr.Code{}, errBadRequest
	}
	code, err := qr.Parse(text, a.Domain)
	if err != nil {
		return qr.Code{}, err
	}
	return code, a.Minter.Check(code.Number)
}

// distance is how far the rider is from the device, nil when one of the positions
// is not known. errTooFar: farther than the venue allows for a start.
func (a *API) distance(ctx context.Context, s order.Scanned, number string, from *Location) (*int, error) {
	note := order.ScanNote{Number: number, At: time.Now(), Metres: -1}
	defer func() { a.noteScan(note) }() // also of one that is refused
	if from == nil {
		return nil, nil
	}
	lat, lng, known, err := a.Store.Position(ctx, s.Device.ID)
	if err != nil {
		return nil, err
	}
	at := point{lat, lng}
	if !known {
		at = point{s.Venue.Lat, s.Venue.Lng}
		if at == (point{}) { // nobody said where the venue is
			return nil, nil
		}
	}
	m := int(math.Round(metres(from.wgs84(), at)))
	if known { // the venue's middle says nothing of where a sticker hangs
		note.Metres = float64(m)
	}
	if s.Venue.StartRadius > 0 && m > s.Venue.StartRadius {
		return nil, errTooFar
	}
	return &m, nil
}

// resolved is the code behind a number, revoked ones included. order.ErrNotFound
// becomes errCodeUnknown; a code without a device is order.ErrCodeUnbound.
func (a *API) resolved(ctx context.Context, number qr.Number) (order.Code, error) {
	code, err := a.Store.Code(ctx, string(number))
	if err != nil {
		return code, instead(err, errCodeUnknown)
	}
	if code.Device == "" {
		return code, order.ErrCodeUnbound
	}
	return code, nil
}
