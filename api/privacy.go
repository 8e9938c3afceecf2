package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) privacyRoutes(h huma.API) {
	register(a, h, forRiders("export-me", http.MethodGet, "/v1/me/export", "Everything that is kept about me"), a.exportMe)
	op := forRiders("erase-me", http.MethodPost, "/v1/me/erase", "Forget who I am, for good")
	op.Description = "Ends every login. Refused while an order, a debt or a payment is open or money is in the wallet." +
		" Orders and the books stay, under an id that leads to nobody. Logging in again makes a new rider."
	register(a, h, op, a.eraseMe)
}

func (a *API) operatorPrivacyRoutes(h huma.API) {
	op := forStaff("export-rider", http.MethodGet, "/v1/operator/riders/{id}/export", "Everything that is kept about a rider")
	op.Description += " It is in the audit."
	register(a, h, op, a.exportRider)
	op = forStaff("erase-rider", http.MethodPost, "/v1/operator/riders/{id}/erase", "Forget who a rider is, for good")
	op.Description += " Refused while an order, a debt or a payment is open, and, unless it is forfeit, while money is in" +
		" the wallet."
	register(a, h, op, a.eraseRider)
}

// RiderExport is everything that is kept about a rider, newest first.
type RiderExport struct {
	MadeAt    time.Time       `json:"made_at"`
	Rider     Rider           `json:"rider"`
	Identity  bool            `json:"identity_kept" doc:"The identity at WeChat is kept, encrypted; it is not shown"`
	Phone     string          `json:"phone,omitempty" doc:"The number that I gave, kept encrypted"`
	Wallet    Wallet          `json:"wallet"`
	Orders    []Order         `json:"orders" doc:"Each with its receipt"`
	Payments  []Payment       `json:"payments"`
	Transfers []RiderTransfer `json:"transfers" doc:"Of the wallet and of what was owed"`
	Passes    []HeldPass      `json:"passes"`
	Faults    []FaultReport   `json:"faults_reported"`
	Logins    []LoginRow      `json:"logins"`
	Tracks    []Track         `json:"positions" doc:"Of what was used, while it was used"`
	Messages  int             `json:"messages_waiting"`

	Reservations []Reservation `json:"reservations" doc:"Of the last weeks"`
}

// RiderTransfer is one movement of a rider's money.
type RiderTransfer struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Kind    string    `json:"kind" doc:"single, pending (a hold), post or void (what became of one)"`
	Debit   string    `json:"debit"`
	Credit  string    `json:"credit"`
	Amount  int64     `json:"amount_fen"`
	Purpose string    `json:"purpose"`
	Order   string    `json:"order,omitempty"`
}

// FaultReport is what a rider reported of a device.
type FaultReport struct {
	ID     string     `json:"id"`
	At     time.Time  `json:"at"`
	Device string     `json:"device"`
	Text   string     `json:"text" doc:"Its kind, and what was written"`
	Photo  bool       `json:"photo" doc:"GET /v1/faults/{id}/photo has it"`
	Closed *time.Time `json:"closed_at,omitempty"`
}

// LoginRow is one login.
type LoginRow struct {
	Expires time.Time  `json:"expires_at"`
	Revoked *time.Time `json:"revoked_at,omitempty"`
}

// Track is where a device was while an order used it.
type Track struct {
	Order string `json:"order"`
	Stood
}

type riderExportOutput struct{ Body RiderExport }

func (a *API) exportMe(ctx context.Context, _ *struct{}) (*riderExportOutput, error) {
	return a.export(ctx, riderOf(ctx).rider, nil)
}

type exportRiderInput struct {
	ID     string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Reason string `query:"reason" required:"true" minLength:"1" maxLength:"500" doc:"Kept in the audit"`
}

func (a *API) exportRider(ctx context.Context, in *exportRiderInput) (*riderExportOutput, error) {
	act := audit(ctx, "rider.export", "rider "+in.ID, in.Reason, nil)
	return a.export(ctx, in.ID, &act)
}

// exportPage is how many orders or payments are read at once.
const exportPage = 500

func (a *API) export(ctx context.Context, rider string, act *order.Audit) (*riderExportOutput, error) {
	f, err := a.Store.RiderFile(ctx, rider, act)
	if err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	purse, err := a.Store.Wallet(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	held, err := a.Store.AllPasses(ctx, f.ID)
	if err != nil {
		return nil, err
	}
	x := RiderExport{MadeAt: time.Now().UTC(), Identity: f.Identified, Phone: f.Phone, Wallet: walletOf(purse), Messages: f.Messages,
		Rider:  Rider{ID: f.ID, Blocked: f.Blocked, Group: f.Group, Since: f.Since, Erased: f.Erased},
		Orders: []Order{}, Payments: []Payment{}, Passes: each(held, heldPassOf),
		Transfers: each(f.Transfers, func(t order.RiderTransfer) RiderTransfer {
			return RiderTransfer{ID: t.ID, At: t.At, Kind: string(t.Kind), Debit: string(t.Debit), Credit: string(t.Credit),
				Amount: int64(t.Amount), Purpose: string(t.Purpose), Order: t.Order}
		}),
		Faults: each(f.Faults, func(i order.FaultRow) FaultReport {
			return FaultReport{ID: i.ID, Photo: i.Photo, At: i.At, Device: string(i.Device), Text: i.Detail, Closed: i.ClosedAt}
		}),
		Logins:       each(f.Logins, func(l order.RiderLogin) LoginRow { return LoginRow{l.Expires, l.Revoked} }),
		Reservations: []Reservation{},
		Tracks:       each(f.Tracks, func(t order.Track) Track { return Track{t.Order, stoodOf(t.Stood)} }),
	}
	for _, r := range f.Reservations {
		card, err := a.venueOf(ctx, r)
		if err != nil {
			return nil, err
		}
		x.Reservations = append(x.Reservations, reservationOf(r, card, x.MadeAt))
	}
	for after := ""; ; {
		rows, err := a.Store.Orders(ctx, order.Page{Rider: f.ID, After: after, Limit: exportPage})
		if err != nil {
			return nil, err
		}
		for _, o := range rows {
			x.Orders = append(x.Orders, orderOf(o, nil, byForRiders))
		}
		if len(rows) < exportPage {
			break
		}
		after = rows[len(rows)-1].ID
	}
	for after := ""; ; {
		rows, err := a.Store.Payments(ctx, order.PaymentPage{Rider: f.ID, After: after, Limit: exportPage})
		if err != nil {
			return nil, err
		}
		for _, p := range rows {
			v, _ := plainPaymentOf(p)
			x.Payments = append(x.Payments, v)
		}
		if len(rows) < exportPage {
			break
		}
		after = rows[len(rows)-1].ID
	}
	return &riderExportOutput{x}, nil
}

// byRiders stands in the audit where riders asked for something themselves.
const byRiders = "rider"

func (a *API) eraseMe(ctx context.Context, _ *struct{}) (*struct{}, error) {
	rider, now := riderOf(ctx).rider, time.Now()
	return nil, a.Store.EraseRider(ctx, order.Erase{Rider: rider, Audit: order.Audit{ID: newID(now), Staff: byRiders, Act: "rider.erase",
		Object: "rider " + rider, Reason: "they asked for it themselves", At: now}})
}

// EraseBody is an erasure's request.
type EraseBody struct {
	Reason  string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S" doc:"Kept in the audit, for good: name nobody"`
	Forfeit bool   `json:"forfeit,omitempty" doc:"What is left in the wallet falls to the operator: for what staff gave and nobody can withdraw, or the rider gave up"`
}

type eraseRiderInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body EraseBody
}

func (a *API) eraseRider(ctx context.Context, in *eraseRiderInput) (*struct{}, error) {
	err := a.Store.EraseRider(ctx, order.Erase{Rider: in.ID, Forfeit: in.Body.Forfeit,
		Audit: audit(ctx, "rider.erase", "rider "+in.ID, in.Body.Reason, nil)})
	return nil, instead(err, errRiderUnknown)
}
