package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func (a *API) operatorOrderRoutes(h huma.API) {
	a.orderListRoutes(h)
	register(a, h, forStaff("get-operator-order", http.MethodGet, "/v1/operator/orders/{id}",
		"An order with what proves it"), a.getOperatorOrder)
	unlock := answersOf(forStaff("service-unlock", http.MethodPost, "/v1/operator/orders", "Unlock for service"),
		http.StatusCreated, "application/json", schemaOf[Order](a))
	unlock.Description += " An order with pay_with service: the same path as a rider's, at no cost."
	register(a, h, unlock, a.serviceUnlock)
	register(a, h, forStaff("end-order-by-staff", http.MethodPost, "/v1/operator/orders/{id}/end",
		"End a ride from afar, billed to the last proven moment"), a.endByStaff)
	register(a, h, forStaff("decide-order", http.MethodPost, "/v1/operator/orders/{id}/decide",
		"Settle an ended order whose figures do not agree, at the amount that staff set"), a.decideOrder)
	register(a, h, forStaff("void-order", http.MethodPost, "/v1/operator/orders/{id}/void",
		"Let the rider of an unresolved order go, unbilled"), a.voidOrder)
}

// OperatorOrder is an order as staff see it.
type OperatorOrder struct {
	Order
	Rider    string     `json:"rider" doc:"A rider's id, or staff:{id} of a service unlock"`
	Day      string     `json:"day" doc:"Of the start, in the venue's time zone"`
	Ticket   string     `json:"ticket" doc:"The used ticket's id"`
	Tariff   TariffCard `json:"tariff" doc:"As the ticket pinned it"`
	Command  string     `json:"command,omitempty" doc:"The newest start"`
	Seq      uint64     `json:"seq"`
	BilledMS *int64     `json:"billed_ms,omitempty"`
	Evidence []string   `json:"evidence"`
	Spans    []Span     `json:"spans"`
	DueAt    *time.Time `json:"due_at,omitempty"`
	Acts     []OrderAct `json:"acts,omitempty" doc:"What staff did to it, oldest first; absent in lists"`
}

// OrderAct is what a member of staff did to an order or to its money, with the reason that
// they gave.
type OrderAct struct {
	Act     string    `json:"act" doc:"order.unlock, order.end, order.void, order.decide; refund.ask, refund.decline, refund.fail; money.refund: the money went back"`
	Reason  string    `json:"reason,omitempty" doc:"Of a refund that another one agreed to: the asker's"`
	Staff   string    `json:"staff"`
	Name    string    `json:"name,omitempty"`
	At      time.Time `json:"at"`
	Amount  int64     `json:"amount_fen,omitempty" doc:"Of refund.ask and money.refund"`
	Request string    `json:"request,omitempty" doc:"The refund request that it was about; a money.refund with it was the second person's"`
}

func orderActOf(r order.AuditRow) OrderAct {
	var said struct {
		Amount  int64  `json:"amount_fen"`
		Request string `json:"request"`
	}
	_ = json.Unmarshal(r.After, &said) // most say neither
	if id, ok := strings.CutPrefix(r.Object, "refund "); ok {
		said.Request = id
	}
	return OrderAct{Act: r.Act, Reason: r.Reason, Staff: r.Staff, Name: r.Name, At: r.At, Amount: said.Amount, Request: said.Request}
}

// Span is a stretch of one boot during which the use is proved.
type Span struct {
	Boot   string `json:"boot"`
	FromMS uint64 `json:"from_ms"`
	ToMS   uint64 `json:"to_ms"`
}

// OperatorOrderPage is one page of orders.
type OperatorOrderPage struct {
	Orders     []OperatorOrder `json:"orders"`
	NextCursor string          `json:"next_cursor,omitempty"`
}

func operatorOrderOf(o order.Order, moves []order.Move) OperatorOrder {
	v := OperatorOrder{Order: orderOf(o, moves, byForStaff), Rider: o.Rider, Day: o.Day, Ticket: o.Ticket,
		Tariff: tariffCardOf(o.Tariff, nil), Command: o.Command, Seq: o.Seq, DueAt: optionalTime(o.DueAt),
		Evidence: each(o.Evidence, func(s string) string { return s }),
		Spans: each(o.Spans, func(s order.Span) Span {
			return Span{Boot: hex.EncodeToString(s.Boot[:]), FromMS: s.From, ToMS: s.To}
		})}
	if o.Usage != nil {
		v.BilledMS = &o.Usage.BilledMS
	}
	return v
}

type operatorOrderOutput struct {
	ETag string `header:"ETag"`
	Body OperatorOrder
}

func (a *API) getOperatorOrder(ctx context.Context, in *orderPath) (*operatorOrderOutput, error) {
	return a.operatorOrder(ctx, in.ID)
}

func (a *API) operatorOrder(ctx context.Context, id string) (*operatorOrderOutput, error) {
	o, err := a.Store.Order(ctx, id)
	if err != nil {
		return nil, err
	}
	moves, err := a.Store.Moves(ctx, id)
	if err != nil {
		return nil, err
	}
	v := operatorOrderOf(o, moves)
	v.Live = a.liveOf(o)
	acts, err := a.Store.OrderActs(ctx, id)
	if err != nil {
		return nil, err
	}
	v.Acts = each(acts, orderActOf)
	if err := a.addPayments(ctx, o, &v.Order, plainPaymentOf); err != nil {
		return nil, err
	}
	return &operatorOrderOutput{tagOf(o, v.Live), v}, nil
}

// UnlockBody is a service unlock's request.
type UnlockBody struct {
	Device string  `json:"device" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Outlet int     `json:"outlet,omitempty" minimum:"1" maximum:"255" default:"1"`
	Preset *Preset `json:"preset,omitempty" doc:"Of fuel: grade and millilitres of a test delivery"`
	Reason string  `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type serviceUnlockInput struct {
	Keyed
	RawBody []byte
	Body    UnlockBody
}

// serviceUnlock makes a ticket for staff and orders with it. A repeated request
// makes a ticket in vain: the key answers before the ticket is looked at.
func (a *API) serviceUnlock(ctx context.Context, in *serviceUnlockInput) (*rawAnswer, error) {
	hash := sha256.Sum256(in.RawBody)
	staff := "staff:" + staffOf(ctx).ID
	key, err := in.keyFor(staff)
	if err != nil {
		return nil, err
	}
	offer, err := a.Orders.Offer(ctx, staff, device.ID(in.Body.Device), uint8(max(in.Body.Outlet, 1)))
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	ticket, err := a.Orders.Tickets.Open(offer.Ticket)
	if err != nil {
		return nil, err
	}
	act := audit(ctx, "order.unlock", "", in.Body.Reason, nil)
	placed, err := a.Orders.Place(ctx, order.Place{Rider: staff, Ticket: ticket, PayWith: order.PayService, Preset: in.Body.Preset.preset(),
		Key: key, Route: "POST /v1/operator/orders", Hash: hash, Staff: &act, Answer: newOrderAnswer(staff)})
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return rawJSON(placed.Status, placed.Answer), nil
}

type orderActInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body ReasonBody
}

func (a *API) endByStaff(ctx context.Context, in *orderActInput) (*operatorOrderOutput, error) {
	return a.actByStaff(ctx, in, order.ForceEnd, "order.end")
}

// DecideBody is what staff set a bill to.
type DecideBody struct {
	Amount int64  `json:"amount_fen" minimum:"0" doc:"At most what the order holds"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S" doc:"Kept in the audit"`
}

type decideInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body DecideBody
}

func (a *API) decideOrder(ctx context.Context, in *decideInput) (*operatorOrderOutput, error) {
	act := audit(ctx, "order.decide", "order "+in.ID, in.Body.Reason, nil)
	if _, err := a.Orders.Act(ctx, order.Act{Order: in.ID, Input: order.Decide, Staff: &act, Amount: billing.Fen(in.Body.Amount)}); err != nil {
		return nil, err
	}
	return a.operatorOrder(ctx, in.ID)
}

func (a *API) voidOrder(ctx context.Context, in *orderActInput) (*operatorOrderOutput, error) {
	return a.actByStaff(ctx, in, order.GiveUpNow, "order.void")
}

func (a *API) actByStaff(ctx context.Context, in *orderActInput, input order.ActInput, name string) (*operatorOrderOutput, error) {
	act := audit(ctx, name, "order "+in.ID, in.Body.Reason, nil)
	if _, err := a.Orders.Act(ctx, order.Act{Order: in.ID, Input: input, Staff: &act}); err != nil {
		return nil, err
	}
	return a.operatorOrder(ctx, in.ID)
}
