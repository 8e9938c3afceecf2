package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func (a *API) orderListRoutes(h huma.API) {
	register(a, h, forStaff("list-orders", http.MethodGet, "/v1/operator/orders", "Orders, newest first"), a.listOrders)
	register(a, h, asCSV(forStaff("orders-csv", http.MethodGet, "/v1/operator/orders.csv", "Orders, newest first, as CSV")), a.ordersCSV)
	register(a, h, asCSV(forStaff("open-items-csv", http.MethodGet, "/v1/operator/open-items.csv", "What staff must look at, as CSV")), a.itemsCSV)
}

// OrderFilter picks orders; what is absent picks all.
type OrderFilter struct {
	Rider  string    `query:"rider" pattern:"^[A-Za-z0-9:_-]{1,64}$"`
	Venue  string    `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Device string    `query:"device" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Kind   string    `query:"kind" pattern:"^[a-z_]{1,16}$"`
	State  string    `query:"state" enum:"pending,starting,unresolved,active,ended,settled,voided"`
	From   time.Time `query:"from" doc:"Begun from then"`
	To     time.Time `query:"to" doc:"until before then"`
	Review bool      `query:"review" doc:"Only those that staff should look at: unresolved, waiting for a decision, or named by an open item"`
}

// page is the store's question.
func (f OrderFilter) page(ctx context.Context, after string, limit int) order.Page {
	return order.Page{Rider: f.Rider, Venue: f.Venue, Venues: venuesOf(ctx), State: order.State(f.State), Device: device.ID(f.Device), Kind: device.Kind(f.Kind),
		From: f.From, To: f.To, Review: f.Review, After: after, Limit: limit}
}

type listOrdersInput struct {
	PageQuery
	OrderFilter
}

type operatorOrderPageOutput struct{ Body OperatorOrderPage }

func (a *API) listOrders(ctx context.Context, in *listOrdersInput) (*operatorOrderPageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Orders(ctx, in.page(ctx, after, in.Limit+1))
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(o order.Order) string { return o.ID })
	return &operatorOrderPageOutput{OperatorOrderPage{NextCursor: next,
		Orders: each(rows, func(o order.Order) OperatorOrder { return operatorOrderOf(o, nil) })}}, nil
}

type ordersCSVInput struct{ OrderFilter }

func (a *API) ordersCSV(ctx context.Context, in *ordersCSVInput) (*huma.StreamResponse, error) {
	page := in.page(ctx, "", csvPage)
	header := []string{"id", "created_at", "state", "reason", "venue", "device", "outlet", "kind", "rider", "pay_with", "tariff", "active_at", "ended_at", "ended_by",
		"done_at", "billed_s", "total_yuan", "charged_yuan", "debt_yuan", "refunded_yuan", "day"}
	return a.table(ctx, "orders.csv", header, func(ctx context.Context) ([][]any, bool, error) {
		rows, err := a.Store.Orders(ctx, page)
		if err != nil || len(rows) == 0 {
			return nil, false, err
		}
		page.After = rows[len(rows)-1].ID
		return each(rows, orderCells), len(rows) == csvPage, nil
	})
}

func orderCells(o order.Order) []any {
	billed := ""
	if o.Usage != nil {
		billed = strconv.FormatInt(o.Usage.BilledMS/1000, 10)
	}
	return []any{o.ID, o.CreatedAt, o.State, o.Reason, o.Venue, o.Device, o.Outlet, o.Kind, o.Rider, o.PayWith, fmt.Sprintf("%s@%d", o.Tariff.ID, o.Tariff.Version),
		o.ActiveAt, o.EndedAt, o.EndedBy, o.DoneAt, billed, o.Quote.Total, o.Charged, o.Debt, o.Refunded, o.Day}
}

type itemsCSVInput struct {
	All   bool   `query:"all"`
	Kind  string `query:"kind" pattern:"^[a-z_]{1,40}$"`
	Venue string `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
}

// itemsMost bounds the items of one file: open ones are few, and of all the newest count.
const itemsMost = 50_000

func (a *API) itemsCSV(ctx context.Context, in *itemsCSVInput) (*huma.StreamResponse, error) {
	venues := venuesAsked(ctx, in.Venue)
	header := []string{"id", "kind", "at", "venue", "device", "order", "subject", "detail", "owner", "closed_at", "closed_by"}
	return a.table(ctx, "open-items.csv", header, func(ctx context.Context) ([][]any, bool, error) {
		rows, err := a.Store.Items(ctx, in.All, in.Kind, venues, itemsMost)
		return each(rows, func(i order.ItemRow) []any {
			return []any{i.ID, i.Kind, i.At, i.Venue, i.Device, i.Order, i.Subject, i.Detail, i.OwnerName, i.ClosedAt, i.ClosedBy}
		}), false, err
	})
}
