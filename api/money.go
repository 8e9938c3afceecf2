package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

func (a *API) moneyRoutes(h huma.API) {
	refund := answersOf(forStaff("refund", http.MethodPost, "/v1/operator/refunds", "Give back part of an order"),
		http.StatusCreated, "application/json", schemaOf[Refund](a))
	refund.Description += " Above what the settings let one member give alone it answers 202 with a refund that waits for a second one."
	register(a, h, refund, a.refund)
	register(a, h, answersOf(forStaff("top-up", http.MethodPost, "/v1/operator/riders/{id}/topups", "Top up a rider's wallet"),
		http.StatusCreated, "application/json", schemaOf[TopUp](a)), a.topUp)
}

// RefundBody is a refund's request.
type RefundBody struct {
	Order  string `json:"order" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Amount int64  `json:"amount_fen" minimum:"1" maximum:"10000000"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

// Refund is a refund's answer.
type Refund struct {
	Order    string `json:"order"`
	Amount   int64  `json:"amount_fen" doc:"Given back now: first against what the rider owes, the rest to the wallet"`
	Refunded int64  `json:"refunded_fen" doc:"Given back of this order in all"`
	Charged  int64  `json:"charged_fen"`
	Debt     int64  `json:"debt_fen"`
}

type refundInput struct {
	Keyed
	RawBody []byte
	Body    RefundBody
}

func (a *API) refund(ctx context.Context, in *refundInput) (*rawAnswer, error) {
	hash := sha256.Sum256(in.RawBody)
	key, err := in.keyFor("staff:" + staffOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	p, err := a.Store.Preferences(ctx)
	if err != nil {
		return nil, err
	}
	const route = "POST /v1/operator/refunds"
	done, err := a.Orders.Money(ctx, order.Money{Order: in.Body.Order, Amount: billing.Fen(in.Body.Amount), Alone: p.RefundAlone, Key: key,
		Route: route, Hash: hash, Staff: audit(ctx, "money.refund", "order "+in.Body.Order, in.Body.Reason, nil),
		Answer: refundAnswer(in.Body.Amount)})
	if errors.Is(err, order.ErrSecondPerson) {
		return a.askForRefund(ctx, in.Body, order.Key{KeyRef: key, Route: route, BodyHash: hash})
	}
	if err != nil {
		return nil, err
	}
	return rawJSON(done.Status, done.Answer), nil
}

// refundAnswer writes what became of a refund.
func refundAnswer(amount int64) func(order.Snapshot, billing.Account, *order.Order) (int, []byte, error) {
	return func(_ order.Snapshot, _ billing.Account, o *order.Order) (int, []byte, error) {
		if o == nil {
			return 0, nil, errors.New("a refund of no order")
		}
		body, err := json.Marshal(Refund{Order: o.ID, Amount: amount, Refunded: int64(o.Refunded), Charged: int64(o.Charged), Debt: int64(o.Debt)})
		return http.StatusCreated, body, err
	}
}

// TopUpBody is a top-up's request.
type TopUpBody struct {
	Amount int64  `json:"amount_fen" minimum:"1" maximum:"10000000"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

// TopUp is a top-up's answer.
type TopUp struct {
	Rider     string `json:"rider"`
	Amount    int64  `json:"amount_fen"`
	Balance   int64  `json:"balance_fen" doc:"After debts were paid of it"`
	Held      int64  `json:"held_fen"`
	Available int64  `json:"available_fen"`
}

type topUpInput struct {
	Keyed
	ID      string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	RawBody []byte
	Body    TopUpBody
}

func (a *API) topUp(ctx context.Context, in *topUpInput) (*rawAnswer, error) {
	hash := sha256.Sum256(in.RawBody)
	key, err := in.keyFor("staff:" + staffOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	done, err := a.Orders.Money(ctx, order.Money{Rider: in.ID, Amount: billing.Fen(in.Body.Amount), Key: key,
		// The rider is not in the body, so the route names them.
		Route: "POST /v1/operator/riders/" + in.ID + "/topups", Hash: hash,
		Staff: audit(ctx, "money.topup", "rider "+in.ID, in.Body.Reason, nil),
		Answer: func(_ order.Snapshot, wallet billing.Account, _ *order.Order) (int, []byte, error) {
			body, err := json.Marshal(TopUp{Rider: in.ID, Amount: in.Body.Amount, Balance: int64(wallet.Posted),
				Held: int64(wallet.Held), Available: int64(wallet.Available())})
			return http.StatusCreated, body, err
		}})
	if err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	return rawJSON(done.Status, done.Answer), nil
}
