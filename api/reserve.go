package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// Reservations are outlets kept for riders; order.Service makes and ends them. Times are
// of the database's clock, which is returned too.
type Reservations interface {
	Reservation(ctx context.Context, id string) (r order.Reservation, now time.Time, err error)
	// ReservationOf returns order.ErrNotFound when the rider holds none.
	ReservationOf(ctx context.Context, rider string) (r order.Reservation, now time.Time, err error)
}

// Reservation is a bike that is kept for a rider for a while.
type Reservation struct {
	ID        string     `json:"id"`
	Device    string     `json:"device"`
	Outlet    int        `json:"outlet"`
	Kind      Kind       `json:"kind"`
	Venue     VenueCard  `json:"venue"`
	Number    string     `json:"number,omitempty" doc:"As printed on it; absent where it has no code"`
	Lat       *float64   `json:"lat,omitempty" doc:"Where it was last, WGS-84; absent where nobody said"`
	Lng       *float64   `json:"lng,omitempty"`
	State     string     `json:"state" enum:"held,used,cancelled,expired"`
	Order     string     `json:"order,omitempty" doc:"That used it"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at" doc:"When it ends by itself"`
	FreeUntil time.Time  `json:"free_until" doc:"Used before, it costs nothing"`
	DoneAt    *time.Time `json:"done_at,omitempty" doc:"Used or cancelled"`
	PerMinute int64      `json:"fee_per_minute_fen" doc:"Of each minute begun beyond free_until"`
	Fee       int64      `json:"fee_fen" doc:"What an order would be billed for it if it began now, or was; unused it costs nothing"`
}

func reservationOf(r order.Reservation, v VenueCard, now time.Time) Reservation {
	return Reservation{ID: r.ID, Device: string(r.Device), Outlet: int(r.Outlet), Kind: kindOf(r.Kind), Venue: v, State: string(r.StateAt(now)),
		Order: r.Order, CreatedAt: r.CreatedAt, ExpiresAt: r.ExpiresAt, FreeUntil: r.FreeUntil, DoneAt: optionalTime(r.DoneAt),
		PerMinute: int64(r.Fee), Fee: int64(r.FeeAt(now))}
}

func (a *API) reservationRoutes(h huma.API) {
	op := answersOf(forRiders("reserve", http.MethodPost, "/v1/reservations", "Keep a bike for me for a while"),
		http.StatusCreated, "application/json", schemaOf[Reservation](a))
	op.Description = "It ends by itself. An order on the bike uses it; minutes beyond the free ones are then on its receipt." +
		" Unused it costs nothing, but only a few a day may go unused. Asked for again, what I hold already is answered as it is."
	register(a, h, op, a.reserve)
	register(a, h, forRiders("get-reservation", http.MethodGet, "/v1/reservations/{id}", "Read a reservation of mine"), a.getReservation)
	register(a, h, forRiders("cancel-reservation", http.MethodPost, "/v1/reservations/{id}/cancel", "Give a bike back before its time"),
		a.cancelReservation)
}

// ReserveBody is a reservation's request.
type ReserveBody struct {
	Device string `json:"device" minLength:"1" maxLength:"24"`
	Outlet int    `json:"outlet" minimum:"1" maximum:"255"`
}

type reserveInput struct {
	Keyed
	RawBody []byte
	Body    ReserveBody
}

func (a *API) reserve(ctx context.Context, in *reserveInput) (*rawAnswer, error) {
	rider := riderOf(ctx).rider
	key, err := in.keyFor("rider:" + rider)
	if err != nil {
		return nil, err
	}
	r := order.Reserve{Rider: rider, Device: device.ID(in.Body.Device), Outlet: uint8(in.Body.Outlet), Key: key,
		Route: "POST /v1/reservations", Hash: sha256.Sum256(in.RawBody)}
	number, lat, lng, err := a.whereabouts(ctx, r.Device, r.Outlet)
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	r.Answer = func(r order.Reservation, v order.Venue, now time.Time) (int, []byte, error) {
		shown := reservationOf(r, cardOf(v), now)
		shown.Number, shown.Lat, shown.Lng = number, lat, lng
		body, err := json.Marshal(shown)
		return http.StatusCreated, body, err
	}
	placed, err := a.Orders.Reserve(ctx, r)
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return rawJSON(placed.Status, placed.Answer), nil
}

// whereabouts is what helps to find a device: the number on it and its position.
func (a *API) whereabouts(ctx context.Context, id device.ID, outlet uint8) (number string, lat, lng *float64, err error) {
	codes, err := a.Store.Codes(ctx, id, 20)
	if err != nil {
		return "", nil, nil, err
	}
	for _, c := range codes {
		if c.Outlet == outlet && !c.Revoked && !c.Kiosk {
			number = qr.Format(qr.Number(c.Number))
			break
		}
	}
	la, ln, known, err := a.Store.Position(ctx, id)
	if err != nil {
		return "", nil, nil, err
	}
	if known {
		lat, lng = &la, &ln
	}
	return number, lat, lng, nil
}

// venueOf is the card of a reservation's venue, by its id alone where it is gone.
func (a *API) venueOf(ctx context.Context, r order.Reservation) (VenueCard, error) {
	card, err := a.cards.card(ctx, r.Venue)
	if err != nil || card == nil {
		return VenueCard{ID: r.Venue, Name: r.Venue}, err
	}
	return *card, nil
}

// seenReservation shows a reservation as it is now.
func (a *API) seenReservation(ctx context.Context, r order.Reservation, now time.Time) (*Reservation, error) {
	card, err := a.venueOf(ctx, r)
	if err != nil {
		return nil, err
	}
	shown := reservationOf(r, card, now)
	if shown.Number, shown.Lat, shown.Lng, err = a.whereabouts(ctx, r.Device, r.Outlet); err != nil {
		return nil, err
	}
	return &shown, nil
}

// held is the reservation that a rider holds, nil = none.
func (a *API) held(ctx context.Context, rider string) (*Reservation, error) {
	r, now, err := a.Store.ReservationOf(ctx, rider)
	if errors.Is(err, order.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return a.seenReservation(ctx, r, now)
}

type reservationPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type reservationOutput struct{ Body Reservation }

func (a *API) getReservation(ctx context.Context, in *reservationPath) (*reservationOutput, error) {
	r, now, err := a.Store.Reservation(ctx, in.ID)
	if err == nil && r.Rider != riderOf(ctx).rider {
		err = order.ErrNotFound
	}
	if err != nil {
		return nil, instead(err, errReservationUnknown)
	}
	shown, err := a.seenReservation(ctx, r, now)
	if err != nil {
		return nil, err
	}
	return &reservationOutput{*shown}, nil
}

func (a *API) cancelReservation(ctx context.Context, in *reservationPath) (*reservationOutput, error) {
	if _, err := a.Orders.CancelReservation(ctx, order.CancelReservation{ID: in.ID, Rider: riderOf(ctx).rider}); err != nil {
		return nil, instead(err, errReservationUnknown)
	}
	return a.getReservation(ctx, in)
}
