package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) riderRowRoutes(h huma.API) {
	register(a, h, forStaff("list-riders", http.MethodGet, "/v1/operator/riders", "Riders, newest first"), a.listRiders)
	register(a, h, forStaff("get-rider", http.MethodGet, "/v1/operator/riders/{id}", "A rider"), a.getRider)
	register(a, h, forStaff("get-rider-wallet", http.MethodGet, "/v1/operator/riders/{id}/wallet", "A rider's money"), a.getRiderWallet)
	op := forStaff("block-rider", http.MethodPost, "/v1/operator/riders/{id}/block", "Block a rider, or lift the block")
	op.Description += " Blocking also ends the rider's logins. Live orders go on."
	register(a, h, op, a.blockRider)
	a.operatorPrivacyRoutes(h)
	a.riderFindRoutes(h)
}

// Rider is what staff see of a rider; no identity.
type Rider struct {
	ID      string    `json:"id"`
	Blocked bool      `json:"blocked"`
	Group   string    `json:"group,omitempty"`
	Since   time.Time `json:"since"`
	// Erased is absent while they are known.
	Erased *time.Time `json:"erased_at,omitempty"`
}

// RiderPage is one page of riders.
type RiderPage struct {
	Riders     []Rider `json:"riders"`
	NextCursor string  `json:"next_cursor,omitempty"`
}

type listRidersInput struct{ PageQuery }

type riderPageOutput struct{ Body RiderPage }

func (a *API) listRiders(ctx context.Context, in *listRidersInput) (*riderPageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Riders(ctx, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(r order.RiderRow) string { return r.ID })
	return &riderPageOutput{RiderPage{NextCursor: next, Riders: each(rows, riderRowOf)}}, nil
}

func riderRowOf(r order.RiderRow) Rider {
	return Rider{ID: r.ID, Blocked: r.Blocked, Group: r.Group, Since: r.Since, Erased: r.Erased}
}

type riderPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type riderOutput struct{ Body Rider }

func (a *API) getRider(ctx context.Context, in *riderPath) (*riderOutput, error) {
	row, err := a.Store.Rider(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	return &riderOutput{riderRowOf(row)}, nil
}

// getRiderWallet shows zeros for a rider that does not exist, as for one without
// money.
func (a *API) getRiderWallet(ctx context.Context, in *riderPath) (*walletOutput, error) {
	purse, err := a.Store.Wallet(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &walletOutput{walletOf(purse)}, nil
}

// BlockBody is a block's request.
type BlockBody struct {
	Blocked bool   `json:"blocked"`
	Reason  string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type blockRiderInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body BlockBody
}

func (a *API) blockRider(ctx context.Context, in *blockRiderInput) (*struct{}, error) {
	act := audit(ctx, "rider.block", "rider "+in.ID, in.Body.Reason, map[string]bool{"blocked": in.Body.Blocked})
	if err := a.Store.BlockRider(ctx, in.ID, in.Body.Blocked, act); err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	if !in.Body.Blocked {
		return nil, nil
	}
	return nil, a.Store.RevokeTokens(ctx, in.ID, nil)
}
