package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

func (a *API) refundRequestRoutes(h huma.API) {
	register(a, h, forStaff("list-refund-requests", http.MethodGet, "/v1/operator/refunds", "Refunds that need or needed a second person, newest first"), a.listRefundRequests)
	op := forStaff("approve-refund", http.MethodPost, "/v1/operator/refunds/{id}/approve", "Agree to another member's refund, and give it")
	op.Description += " Approving again gives nothing twice, and answers the same."
	register(a, h, op, a.approveRefund)
	op = forStaff("decline-refund", http.MethodPost, "/v1/operator/refunds/{id}/decline", "Refuse a refund that waits")
	op.Description += " One that was approved is refused too, where an outage kept its money from moving."
	register(a, h, op, a.declineRefund)
}

// RefundRequest is a refund above what one member may give alone.
type RefundRequest struct {
	ID        string     `json:"id"`
	Order     string     `json:"order"`
	Venue     string     `json:"venue"`
	Amount    int64      `json:"amount_fen"`
	Reason    string     `json:"reason"`
	Staff     string     `json:"staff" doc:"Who asked for it"`
	State     string     `json:"state" enum:"waiting,approved,declined"`
	At        time.Time  `json:"at"`
	DecidedAt *time.Time `json:"decided_at,omitempty"`
	DecidedBy string     `json:"decided_by,omitempty"`
	Answer    string     `json:"answer,omitempty" doc:"Why it was declined"`
	GivenAt   *time.Time `json:"given_at,omitempty" doc:"When the money moved; approved without it: approve again, or decline"`
}

// RefundRequestPage is one page of requests.
type RefundRequestPage struct {
	Refunds    []RefundRequest `json:"refunds"`
	NextCursor string          `json:"next_cursor,omitempty"`
}

func refundRequestOf(r order.RefundRequest) RefundRequest {
	return RefundRequest{ID: r.ID, Order: r.Order, Venue: r.Venue, Amount: int64(r.Amount), Reason: r.Reason, Staff: r.Staff, State: string(r.State),
		At: r.At, DecidedAt: optionalTime(r.DecidedAt), DecidedBy: r.DecidedBy, Answer: r.Answer, GivenAt: optionalTime(r.GivenAt)}
}

// askForRefund writes down a refund that its asker may not give alone, under the key of
// their request.
func (a *API) askForRefund(ctx context.Context, body RefundBody, key order.Key) (*rawAnswer, error) {
	o, err := a.Store.Order(ctx, body.Order)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	r := order.RefundRequest{ID: newID(now), Order: o.ID, Venue: o.Venue, Amount: billing.Fen(body.Amount), Reason: body.Reason,
		Staff: staffOf(ctx).ID, State: order.RefundWaiting, At: now}
	key.Status, key.At, key.Order = http.StatusAccepted, now, o.ID
	if key.Answer, err = json.Marshal(refundRequestOf(r)); err != nil {
		return nil, err
	}
	status, answer, err := a.Store.AddRefundRequest(ctx, r, key, audit(ctx, "refund.ask", "order "+o.ID, body.Reason,
		map[string]any{"request": r.ID, "amount_fen": body.Amount}))
	if errors.Is(err, order.ErrExists) {
		return nil, errRefundWaits
	}
	if err != nil {
		return nil, err
	}
	return rawJSON(status, answer), nil
}

type listRefundRequestsInput struct {
	PageQuery
	State string `query:"state" enum:"waiting,approved,declined,open" doc:"open: waiting, or approved and not given"`
	Order string `query:"order" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type refundRequestPageOutput struct{ Body RefundRequestPage }

func (a *API) listRefundRequests(ctx context.Context, in *listRefundRequestsInput) (*refundRequestPageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.RefundRequests(ctx, order.RefundPage{State: order.RefundState(in.State), Order: in.Order, Venues: venuesOf(ctx),
		After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(r order.RefundRequest) string { return r.ID })
	return &refundRequestPageOutput{RefundRequestPage{Refunds: each(rows, refundRequestOf), NextCursor: next}}, nil
}

type refundPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type refundRequestOutput struct{ Body RefundRequest }

// approveRefund moves the money of a request under its own key, which approves it in the
// same transaction, so that it moves once however often it is asked for. What cannot be
// given any more is declined; what was given already is answered as it is.
func (a *API) approveRefund(ctx context.Context, in *refundPath) (*refundRequestOutput, error) {
	r, err := a.Store.RefundRequest(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errRefundUnknown)
	}
	err = r.MayGive(staffOf(ctx).ID)
	switch {
	case err == nil:
		if r, err = a.giveRefund(ctx, r); err != nil {
			return nil, err
		}
	case !errors.Is(err, order.ErrWrongState) || r.GivenAt.IsZero():
		return nil, err
	}
	return &refundRequestOutput{refundRequestOf(r)}, nil
}

// giveRefund returns the request as it is when its money has moved: of two who give it at
// once, one does and both see it.
func (a *API) giveRefund(ctx context.Context, r order.RefundRequest) (order.RefundRequest, error) {
	_, err := a.Orders.Money(ctx, order.Money{Order: r.Order, Amount: r.Amount, Key: order.RefundKey(r.ID), Request: r.ID,
		Route: "POST /v1/operator/refunds/{id}/approve", Hash: sha256.Sum256([]byte(r.ID)),
		Staff:  audit(ctx, "money.refund", "order "+r.Order, r.Reason, nil),
		Answer: refundAnswer(int64(r.Amount))})
	ctx = context.WithoutCancel(ctx)
	// Only what will never be possible ends it; anything else may be tried again.
	if errors.Is(err, order.ErrOverRefund) || errors.Is(err, billing.ErrOverRefund) || errors.Is(err, order.ErrWrongState) || errors.Is(err, order.ErrRiderErased) {
		act := audit(ctx, "refund.fail", "refund "+r.ID, order.Plain(err), nil)
		if failed := a.Store.FailRefund(ctx, r.ID, act); failed != nil {
			a.Log.Error("a refund that cannot be given is still open", "order", r.Order, "err", failed)
		}
	}
	now, unread := a.Store.RefundRequest(ctx, r.ID)
	switch {
	case unread != nil:
		return r, errors.Join(err, unread)
	case !now.GivenAt.IsZero():
		return now, nil
	case err == nil: // its key answered, and nothing was given: the audit names it
		return r, fmt.Errorf("refund request %s: its key has answered, and nothing was given", r.ID)
	case now.State == order.RefundDeclined && errors.Is(err, order.ErrBusy): // declined while it was about to move
		return r, order.ErrWrongState
	}
	return r, err
}

type declineRefundInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body ReasonBody
}

func (a *API) declineRefund(ctx context.Context, in *declineRefundInput) (*refundRequestOutput, error) {
	if err := a.Store.DeclineRefund(ctx, in.ID, audit(ctx, "refund.decline", "refund "+in.ID, in.Body.Reason, nil)); err != nil {
		return nil, instead(err, errRefundUnknown)
	}
	r, err := a.Store.RefundRequest(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errRefundUnknown)
	}
	return &refundRequestOutput{refundRequestOf(r)}, nil
}
