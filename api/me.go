package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

// riderRoutes registers all that riders may ask.
func (a *API) riderRoutes(h huma.API) {
	a.loginRoutes(h)
	a.scanRoutes(h)
	a.orderRoutes(h)
	a.reservationRoutes(h)
	register(a, h, forRiders("get-me", http.MethodGet, "/v1/me", "Who I am and what I use now"), a.getMe)
	register(a, h, forRiders("list-my-orders", http.MethodGet, "/v1/me/orders", "My orders, newest first"), a.listMyOrders)
	register(a, h, forRiders("get-my-wallet", http.MethodGet, "/v1/me/wallet", "My money"), a.getMyWallet)
	a.paymentRoutes(h)
	a.passRoutes(h)
	a.nearbyRoutes(h)
	a.faultRoutes(h)
	a.privacyRoutes(h)
	a.phoneRoutes(h)
}

// Me is a rider with what they use now.
type Me struct {
	ID   string  `json:"id"`
	Live []Order `json:"live_orders"`

	Reservation *Reservation `json:"reservation,omitempty" doc:"The one that I hold"`
}

type meOutput struct{ Body Me }

func (a *API) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	me := Me{ID: riderOf(ctx).rider, Live: []Order{}}
	for _, state := range []order.State{order.Pending, order.Starting, order.Unresolved, order.Active} {
		// Far more than any limit on live orders.
		orders, err := a.Store.Orders(ctx, order.Page{Rider: me.ID, State: state, Limit: 50})
		if err != nil {
			return nil, err
		}
		for _, o := range orders {
			me.Live = append(me.Live, orderOf(o, nil, byForRiders))
		}
	}
	var err error
	if me.Reservation, err = a.held(ctx, me.ID); err != nil {
		return nil, err
	}
	return &meOutput{me}, nil
}

// OrderPage is one page of orders.
type OrderPage struct {
	Orders     []Order `json:"orders"`
	NextCursor string  `json:"next_cursor,omitempty" doc:"Absent on the last page"`
}

type listMyOrdersInput struct{ PageQuery }

type orderPageOutput struct{ Body OrderPage }

func (a *API) listMyOrders(ctx context.Context, in *listMyOrdersInput) (*orderPageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Orders(ctx, order.Page{Rider: riderOf(ctx).rider, After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(o order.Order) string { return o.ID })
	return &orderPageOutput{OrderPage{NextCursor: next,
		Orders: each(rows, func(o order.Order) Order { return orderOf(o, nil, byForRiders) })}}, nil
}

// Wallet is a rider's money, in Fen.
type Wallet struct {
	Balance   int64 `json:"balance_fen"`
	Held      int64 `json:"held_fen" doc:"Reserved by live orders"`
	Available int64 `json:"available_fen" doc:"balance_fen less held_fen"`
	Debt      int64 `json:"debt_fen" doc:"Paid first by the next top-up; blocks new orders"`
}

type walletOutput struct{ Body Wallet }

func walletOf(p order.Purse) Wallet {
	return Wallet{Balance: int64(p.Balance), Held: int64(p.Held), Available: int64(p.Available), Debt: int64(p.Debt)}
}

func (a *API) getMyWallet(ctx context.Context, _ *struct{}) (*walletOutput, error) {
	purse, err := a.Store.Wallet(ctx, riderOf(ctx).rider)
	if err != nil {
		return nil, err
	}
	return &walletOutput{walletOf(purse)}, nil
}
