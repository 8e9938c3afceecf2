package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

var errCloseUnknown = errors.New("there is no such close")

func (a *API) closeRoutes(h huma.API) {
	op := answersOf(forStaff("add-close", http.MethodPost, "/v1/operator/venues/{id}/closes", "Close a shift or a day of a petrol station"),
		http.StatusCreated, "application/json", schemaOf[Close](a))
	op.Description += " It holds every settled sale of fuel and every refund that no earlier close of the period holds," +
		" exactly once, and is never changed: a sale that is still under way, or waits for a decision, is in the next one," +
		" and so is a refund made later. Shifts and days are independent of each other. There is no way to take one back."
	register(a, h, op, a.addClose)
	register(a, h, forStaff("list-closes", http.MethodGet, "/v1/operator/venues/{id}/closes", "A venue's closes, newest first"), a.listCloses)
	register(a, h, forStaff("get-close", http.MethodGet, "/v1/operator/venues/{id}/closes/{close}", "One close"), a.getClose)
	register(a, h, forStaff("preview-close", http.MethodGet, "/v1/operator/venues/{id}/closes/preview",
		"What a close would hold now; nothing is stored"), a.previewClose)
}

// Close is what a venue sold of fuel since its previous close of the same period.
type Close struct {
	ID       string         `json:"id,omitempty" doc:"Absent in a preview"`
	Venue    string         `json:"venue"`
	Period   string         `json:"period" enum:"shift,day"`
	Number   int            `json:"number" doc:"1, 2, 3 per venue and period; of a preview the one that it would get"`
	From     *time.Time     `json:"from" nullable:"true" doc:"When the previous close of the period was made; null for the first. What a close holds is not told by times: an order that was being settled at that moment is in the next one"`
	At       time.Time      `json:"at"`
	By       string         `json:"by,omitempty" doc:"The staff member's id"`
	Reason   string         `json:"reason,omitempty"`
	Orders   int64          `json:"orders" doc:"That it holds, test deliveries included"`
	Billed   int64          `json:"billed_fen"`
	Refunds  int64          `json:"refunds" doc:"That it holds, of its own orders or of earlier ones"`
	Refunded int64          `json:"refunded_fen"`
	Grades   []CloseGrade   `json:"grades" doc:"Sales by grade"`
	Pay      []ClosePay     `json:"pay" doc:"Sales by way to pay"`
	Tests    []CloseTest    `json:"tests" doc:"Service orders by grade: they pass the totalisers, cost nothing and are no sales"`
	Nozzles  []CloseNozzle  `json:"nozzles" doc:"Totalisers beside sales"`
	Open     CloseOpen      `json:"open" doc:"Orders that it cannot hold yet: live, or ended and waiting for a decision"`
	Items    CloseOpenItems `json:"open_items" doc:"Open items of the kinds totaliser_gap, fuel_unbilled and bill_needs_decision"`
}

// CloseGrade is what was sold of a grade.
type CloseGrade struct {
	Grade            string `json:"grade"`
	Orders           int64  `json:"orders"`
	Millilitres      int64  `json:"millilitres"`
	Priced           int64  `json:"priced_fen" doc:"As the pumps computed it"`
	AboveFen         int64  `json:"above_limit_fen" doc:"Of it above what an order held: the operator's loss"`
	AboveMillilitres int64  `json:"above_limit_ml" doc:"The same by the unit price"`
	Decided          int64  `json:"decided_fen" doc:"What decisions of staff added; mostly below zero"`
	Amount           int64  `json:"amount_fen" doc:"Billed: priced less above_limit plus decided"`
	Refunded         int64  `json:"refunded_fen"`
}

// ClosePay is what a way to pay brought.
type ClosePay struct {
	PayWith  string `json:"pay_with"`
	Orders   int64  `json:"orders"`
	Captured int64  `json:"captured_fen"`
	Debt     int64  `json:"debt_fen" doc:"Billed and not covered by what was held, whether paid since or not"`
	Refunded int64  `json:"refunded_fen"`
}

// CloseTest is what service orders moved of a grade.
type CloseTest struct {
	Grade       string `json:"grade"`
	Orders      int64  `json:"orders"`
	Millilitres int64  `json:"millilitres"`
}

// CloseNozzle compares a nozzle's totaliser with its sales.
type CloseNozzle struct {
	Device     string `json:"device"`
	Outlet     int    `json:"outlet"`
	Nozzle     int    `json:"nozzle" doc:"0: no nozzle of that side carries the grade any more"`
	Grade      string `json:"grade"`
	From       *int64 `json:"totaliser_from_ml" nullable:"true" doc:"At the previous close of the period; null: see note"`
	To         *int64 `json:"totaliser_to_ml" nullable:"true" doc:"Now, up to the last use that is wholly told; null: see note"`
	Moved      *int64 `json:"moved_ml" nullable:"true"`
	Sold       int64  `json:"sold_ml" doc:"Billed orders of this nozzle; of several nozzles of one grade at a side, the one that the evidence shows to have moved"`
	Tested     int64  `json:"tested_ml" doc:"Service orders"`
	Waiting    int64  `json:"waiting_ml" doc:"Flowed in orders that wait for a decision"`
	Difference *int64 `json:"difference_ml" nullable:"true" doc:"moved less sold and tested and what waiting grew by since the previous close; above zero flowed unbilled. What staff end from afar is billed at once and moves the totaliser here when the pump has told its end"`
	Note       string `json:"note,omitempty" enum:"first,provisioned_again,unheard,not_here" doc:"Why there is no difference: no earlier close has this nozzle; the device was provisioned again since; it has told no totaliser yet; it is not at the venue any more"`
}

// CloseOpen are orders that are not over.
type CloseOpen struct {
	Count  int64    `json:"count"`
	Orders []string `json:"orders" doc:"The 50 oldest"`
}

// CloseOpenItems are open items that bear on a close.
type CloseOpenItems struct {
	Count int64       `json:"count"`
	Items []CloseItem `json:"items" doc:"The 50 oldest"`
}

// CloseItem is an open item.
type CloseItem struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
}

// ClosePage is one page of closes.
type ClosePage struct {
	Closes     []Close `json:"closes"`
	NextCursor string  `json:"next_cursor,omitempty"`
}

func closeOf(c order.Close) Close {
	return Close{ID: c.ID, Venue: c.Venue, Period: string(c.Period), Number: c.Number, From: c.From, At: c.At, By: c.By, Reason: c.Reason,
		Orders: c.Orders, Billed: int64(c.Billed), Refunds: c.Refunds, Refunded: int64(c.Refunded),
		Grades: each(c.Grades, func(g order.GradeTotal) CloseGrade {
			return CloseGrade{g.Grade, g.Orders, g.Millilitres, int64(g.Priced), int64(g.AboveFen), g.AboveMillilitres, int64(g.Decided),
				int64(g.Billed), int64(g.Refunded)}
		}),
		Pay: each(c.Pay, func(p order.PayTotal) ClosePay {
			return ClosePay{string(p.PayWith), p.Orders, int64(p.Captured), int64(p.Debt), int64(p.Refunded)}
		}),
		Tests: each(c.Tests, func(t order.TestTotal) CloseTest { return CloseTest(t) }),
		Nozzles: each(c.Nozzles, func(n order.NozzleTotal) CloseNozzle {
			return CloseNozzle{string(n.Device), int(n.Outlet), int(n.Nozzle), n.Grade, n.From, n.To, n.Moved, n.Sold, n.Tested, n.Waiting,
				n.Difference, string(n.Note)}
		}),
		Open:  CloseOpen{c.Open.Count, each(c.Open.IDs, func(id string) string { return id })},
		Items: CloseOpenItems{c.ItemsAll, each(c.Items, func(i order.CloseItem) CloseItem { return CloseItem(i) })},
	}
}

// CloseBody is a close's request.
type CloseBody struct {
	Period string `json:"period" enum:"shift,day"`
	Reason string `json:"reason,omitempty" maxLength:"500" doc:"Kept in the close and in the audit"`
}

type addCloseInput struct {
	Keyed
	ID      string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	RawBody []byte
	Body    CloseBody
}

func (a *API) addClose(ctx context.Context, in *addCloseInput) (*rawAnswer, error) {
	key, err := in.keyFor("staff:" + staffOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	id := newID(time.Now())
	status, body, err := a.Store.TakeClose(ctx, order.TakeClose{ID: id, Venue: in.ID, Period: order.Period(in.Body.Period), Key: key,
		// The venue is not in the body, so the route names it.
		Route: "POST /v1/operator/venues/" + in.ID + "/closes", Hash: sha256.Sum256(in.RawBody),
		Staff: audit(ctx, "venue.close", "venue "+in.ID, in.Body.Reason, map[string]string{"close": id, "period": in.Body.Period}),
		Answer: func(c order.Close) (int, []byte, error) {
			body, err := json.Marshal(closeOf(c))
			return http.StatusCreated, body, err
		}})
	if err != nil {
		return nil, instead(err, errVenueUnknown)
	}
	return rawJSON(status, body), nil
}

type listClosesInput struct {
	PageQuery
	ID     string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Period string `query:"period" enum:"shift,day" doc:"Both, unless given"`
}

type closePageOutput struct{ Body ClosePage }

func (a *API) listCloses(ctx context.Context, in *listClosesInput) (*closePageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	if _, err := a.getVenue(ctx, &venuePath{ID: in.ID}); err != nil {
		return nil, err
	}
	rows, err := a.Store.Closes(ctx, in.ID, order.Period(in.Period), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(c order.Close) string { return c.ID })
	return &closePageOutput{ClosePage{each(rows, closeOf), next}}, nil
}

type closePath struct {
	ID    string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Close string `path:"close" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type closeOutput struct{ Body Close }

func (a *API) getClose(ctx context.Context, in *closePath) (*closeOutput, error) {
	c, err := a.Store.CloseByID(ctx, in.ID, in.Close)
	if err != nil {
		return nil, instead(err, errCloseUnknown)
	}
	return &closeOutput{closeOf(c)}, nil
}

type previewCloseInput struct {
	ID     string `path:"id" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Period string `query:"period" required:"true" enum:"shift,day"`
}

func (a *API) previewClose(ctx context.Context, in *previewCloseInput) (*closeOutput, error) {
	c, err := a.Store.PreviewClose(ctx, in.ID, order.Period(in.Period))
	if err != nil {
		return nil, instead(err, errVenueUnknown)
	}
	return &closeOutput{closeOf(c)}, nil
}
