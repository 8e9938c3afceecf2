package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// WeChatPay is what the API needs of the cashier.
type WeChatPay interface {
	// Open verifies a notification over its raw bytes and translates it; event is
	// WeChat's event_type. ErrNoticeForged: it is not WeChat's, or too old;
	// ErrNoticeStrange: it is, and cannot be understood; ErrNoticeIgnored: it is of a
	// kind that nothing here depends on.
	Open(ctx context.Context, header http.Header, body []byte) (said billing.Said, event string, err error)
	// Checkout returns what wx.requestPayment takes for a payment's key.
	Checkout(key string) (map[string]string, error)
}

// Payment is money on its way between a rider and the operator through WeChat.
type Payment struct {
	ID      string            `json:"id"`
	For     string            `json:"for" enum:"topup,order,payback"`
	Road    string            `json:"road" enum:"transaction,score,refund"`
	Order   string            `json:"order,omitempty"`
	State   string            `json:"state" enum:"created,open,confirmed,completing,collecting,closing,abnormal,paid,closed"`
	Amount  int64             `json:"amount_fen" doc:"To pay, to collect or to give back"`
	Moved   int64             `json:"moved_fen" doc:"What WeChat said has moved; of a refund only when it arrived"`
	Back    int64             `json:"back_fen,omitempty" doc:"Of moved_fen: given back, or on its way back"`
	Of      string            `json:"of,omitempty" doc:"The payment that a refund gives back"`
	Request map[string]string `json:"request,omitempty" doc:"For wx.requestPayment, while the rider can pay"`
	Package string            `json:"package,omitempty" doc:"For wx.openBusinessView wxpayScoreUse, while the rider can confirm"`
	Created time.Time         `json:"created_at"`
	Expires *time.Time        `json:"expires_at,omitempty" doc:"When it is withdrawn if nobody pays"`
	Done    *time.Time        `json:"done_at,omitempty"`
}

// OperatorPayment is a payment as staff see it.
type OperatorPayment struct {
	Payment
	Rider  string     `json:"rider"`
	Number string     `json:"number" doc:"At WeChat: out_trade_no, out_order_no or out_refund_no"`
	Ref    string     `json:"wechat_id,omitempty" doc:"WeChat's own id"`
	Tries  int        `json:"tries" doc:"Steps without an answer in a row"`
	DueAt  *time.Time `json:"due_at,omitempty" doc:"Of the next step"`
	Reason string     `json:"reason,omitempty"`
}

// paymentOf shows a payment; what a phone needs to pay only while it can.
func (a *API) paymentOf(p order.Payment) (Payment, error) {
	v, _ := plainPaymentOf(p)
	if p.State != order.PaymentOpen || p.Road == billing.Refund {
		return v, nil
	}
	v.Expires = optionalTime(p.ExpiresAt)
	if p.Road == billing.Score {
		v.Package = p.Key
		return v, nil
	}
	if a.Pay == nil {
		return v, nil
	}
	var err error
	v.Request, err = a.Pay.Checkout(p.Key)
	return v, err
}

// plainPaymentOf shows a payment without what a phone needs to pay, which is the
// rider's alone.
func plainPaymentOf(p order.Payment) (Payment, error) {
	return Payment{ID: p.ID, For: string(p.For), Road: string(p.Road), Order: p.Order, State: string(p.State), Amount: int64(p.Amount),
		Moved: int64(p.Moved), Back: int64(p.Back), Of: p.Of, Created: p.CreatedAt, Done: optionalTime(p.DoneAt)}, nil
}

func operatorPaymentOf(p order.Payment) OperatorPayment {
	v, _ := plainPaymentOf(p)
	return OperatorPayment{Payment: v, Rider: p.Rider, Number: p.Number(), Ref: p.Ref, Tries: p.Tries, DueAt: optionalTime(p.DueAt), Reason: p.Reason}
}

// addPayments shows what an order is paid with, as show does it.
func (a *API) addPayments(ctx context.Context, o order.Order, v *Order, show func(order.Payment) (Payment, error)) error {
	if o.Payment == "" {
		return nil
	}
	rows, err := a.Store.Payments(ctx, order.PaymentPage{Order: o.ID, Limit: 100})
	if err != nil {
		return err
	}
	for i := len(rows) - 1; i >= 0; i-- { // oldest first
		p, err := show(rows[i])
		if err != nil {
			return err
		}
		v.Payments = append(v.Payments, p)
	}
	return nil
}

func (a *API) paymentRoutes(h huma.API) {
	topup := answersOf(forRiders("add-topup", http.MethodPost, "/v1/me/topups", "Pay into my wallet"),
		http.StatusCreated, "application/json", schemaOf[Payment](a))
	topup.Description = "Answers at once; read the top-up until it is open, and pay with its request. Debts are paid of it first."
	register(a, h, topup, a.addTopUp)
	register(a, h, forRiders("get-topup", http.MethodGet, "/v1/me/topups/{id}", "How a top-up stands"), a.getTopUp)
	back := answersOf(forRiders("add-withdrawal", http.MethodPost, "/v1/me/withdrawals", "Take money out of my wallet"),
		http.StatusCreated, "application/json", schemaOf[Withdrawal](a))
	back.Description = "As refunds of the top-ups that it came from, newest first."
	register(a, h, back, a.addWithdrawal)
	register(a, h, forRiders("list-my-payments", http.MethodGet, "/v1/me/payments", "My payments, newest first"), a.listMyPayments)
	register(a, h, forRiders("list-my-debts", http.MethodGet, "/v1/me/debts", "What I have not paid"), a.listMyDebts)
}

func (a *API) operatorPaymentRoutes(h huma.API) {
	register(a, h, forStaff("list-payments", http.MethodGet, "/v1/operator/payments", "Payments, newest first"), a.listPayments)
	register(a, h, answersOf(forStaff("retry-payment", http.MethodPost, "/v1/operator/payments/{id}/retry",
		"Make a closed refund anew, or ask WeChat at once how another payment stands"),
		http.StatusOK, "application/json", schemaOf[OperatorPayment](a)), a.retryPayment)
	giveUp := answersOf(forStaff("give-up-payment", http.MethodPost, "/v1/operator/payments/{id}/give-up",
		"End a payment that does not get on"), http.StatusOK, "application/json", schemaOf[OperatorPayment](a))
	giveUp.Description += " A refund that WeChat refuses or cannot deliver: its money goes to the rider's wallet. A Pay Score bill that" +
		" WeChat does not take: it becomes a debt of its rider."
	register(a, h, giveUp, a.giveUpPayment)
	register(a, h, forStaff("list-debts", http.MethodGet, "/v1/operator/debts", "What riders have not paid, oldest first"), a.listDebts)
	register(a, h, forStaff("list-bill-days", http.MethodGet, "/v1/operator/bills",
		"Days whose bill was held against the ledger, newest first"), a.listBillDays)
}

// TopUpRequest is a top-up's request.
type TopUpRequest struct {
	Amount int64 `json:"amount_fen" minimum:"1" maximum:"10000000"`
}

type addTopUpInput struct {
	Keyed
	RawBody []byte
	Body    TopUpRequest
}

func (a *API) addTopUp(ctx context.Context, in *addTopUpInput) (*rawAnswer, error) {
	rider := riderOf(ctx).rider
	key, err := in.keyFor("rider:" + rider)
	if err != nil {
		return nil, err
	}
	made, err := a.Orders.TopUp(ctx, order.TopUp{Rider: rider, Amount: billing.Fen(in.Body.Amount), Key: key,
		Route: "POST /v1/me/topups", Hash: sha256.Sum256(in.RawBody),
		Answer: func(p order.Payment) (int, []byte, error) {
			v, err := a.paymentOf(p)
			if err != nil {
				return 0, nil, err
			}
			body, err := json.Marshal(v)
			return http.StatusCreated, body, err
		}})
	if err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	return rawJSON(made.Status, made.Answer), nil
}

type paymentPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type paymentOutput struct{ Body Payment }

func (a *API) getTopUp(ctx context.Context, in *paymentPath) (*paymentOutput, error) {
	p, err := a.Store.Payment(ctx, in.ID)
	if err != nil {
		return nil, instead(err, errPaymentUnknown)
	}
	if p.Rider != riderOf(ctx).rider || p.For != order.ForTopUp {
		return nil, errPaymentUnknown
	}
	v, err := a.paymentOf(p)
	return &paymentOutput{v}, err
}

// WithdrawalRequest is a withdrawal's request.
type WithdrawalRequest struct {
	Amount int64 `json:"amount_fen,omitempty" minimum:"0" maximum:"10000000" doc:"0 or absent: all that can go back"`
}

// Withdrawal is what is on its way back.
type Withdrawal struct {
	Amount  int64     `json:"amount_fen"`
	Refunds []Payment `json:"refunds"`
}

type addWithdrawalInput struct {
	Keyed
	RawBody []byte
	Body    WithdrawalRequest
}

func (a *API) addWithdrawal(ctx context.Context, in *addWithdrawalInput) (*rawAnswer, error) {
	rider := riderOf(ctx).rider
	key, err := in.keyFor("rider:" + rider)
	if err != nil {
		return nil, err
	}
	made, err := a.Orders.Withdraw(ctx, order.Withdraw{Rider: rider, Amount: billing.Fen(in.Body.Amount), Key: key,
		Route: "POST /v1/me/withdrawals", Hash: sha256.Sum256(in.RawBody),
		Answer: func(sent []order.Payment) (int, []byte, error) {
			v := Withdrawal{Refunds: []Payment{}}
			for _, p := range sent {
				shown, err := a.paymentOf(p)
				if err != nil {
					return 0, nil, err
				}
				v.Amount += shown.Amount
				v.Refunds = append(v.Refunds, shown)
			}
			body, err := json.Marshal(v)
			return http.StatusCreated, body, err
		}})
	if err != nil {
		return nil, instead(err, errRiderUnknown)
	}
	return rawJSON(made.Status, made.Answer), nil
}

// PaymentList is one page of payments.
type PaymentList struct {
	Payments   []Payment `json:"payments"`
	NextCursor string    `json:"next_cursor,omitempty" doc:"Absent on the last page"`
}

type listMyPaymentsInput struct{ PageQuery }

type paymentListOutput struct{ Body PaymentList }

func (a *API) listMyPayments(ctx context.Context, in *listMyPaymentsInput) (*paymentListOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Payments(ctx, order.PaymentPage{Rider: riderOf(ctx).rider, After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(p order.Payment) string { return p.ID })
	list := PaymentList{NextCursor: next, Payments: []Payment{}}
	for _, p := range rows {
		v, err := a.paymentOf(p)
		if err != nil {
			return nil, err
		}
		list.Payments = append(list.Payments, v)
	}
	return &paymentListOutput{list}, nil
}

// OperatorPaymentList is one page of payments as staff see them.
type OperatorPaymentList struct {
	Payments   []OperatorPayment `json:"payments"`
	NextCursor string            `json:"next_cursor,omitempty" doc:"Absent on the last page"`
}

type listPaymentsInput struct {
	PageQuery
	Rider string `query:"rider" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Order string `query:"order" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	State string `query:"state" enum:"created,open,confirmed,completing,collecting,closing,abnormal,paid,closed"`
	For   string `query:"for" enum:"topup,order,payback"`
}

type operatorPaymentListOutput struct{ Body OperatorPaymentList }

func (a *API) listPayments(ctx context.Context, in *listPaymentsInput) (*operatorPaymentListOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Payments(ctx, order.PaymentPage{Rider: in.Rider, Order: in.Order, State: order.PaymentState(in.State),
		For: order.PaymentFor(in.For), After: after, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(p order.Payment) string { return p.ID })
	return &operatorPaymentListOutput{OperatorPaymentList{NextCursor: next, Payments: each(rows, operatorPaymentOf)}}, nil
}

type mendPaymentInput struct {
	Keyed
	ID      string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	RawBody []byte
	Body    ReasonBody
}

func (a *API) retryPayment(ctx context.Context, in *mendPaymentInput) (*rawAnswer, error) {
	return a.mendPayment(ctx, in, "retry", false)
}

func (a *API) giveUpPayment(ctx context.Context, in *mendPaymentInput) (*rawAnswer, error) {
	return a.mendPayment(ctx, in, "give-up", true)
}

func (a *API) mendPayment(ctx context.Context, in *mendPaymentInput, how string, giveUp bool) (*rawAnswer, error) {
	key, err := in.keyFor("staff:" + staffOf(ctx).ID)
	if err != nil {
		return nil, err
	}
	done, err := a.Orders.Mend(ctx, order.Mend{Payment: in.ID, GiveUp: giveUp, Key: key, Hash: sha256.Sum256(in.RawBody),
		// The payment is not in the body, so the route names it.
		Route: "POST /v1/operator/payments/" + in.ID + "/" + how,
		Staff: audit(ctx, "payment."+how, "payment "+in.ID, in.Body.Reason, nil),
		Answer: func(p order.Payment) (int, []byte, error) {
			body, err := json.Marshal(operatorPaymentOf(p))
			return http.StatusOK, body, err
		}})
	if err != nil {
		return nil, instead(err, errPaymentUnknown)
	}
	return rawJSON(done.Status, done.Answer), nil
}

// Debt is what a rider has not paid of one order.
type Debt struct {
	Rider  string     `json:"rider,omitempty" doc:"For staff"`
	Order  string     `json:"order"`
	Amount int64      `json:"amount_fen"`
	Since  time.Time  `json:"since"`
	By     string     `json:"by" enum:"topup,pay_score" doc:"What pays it: the rider's next top-up, or WeChat's collection"`
	NextAt *time.Time `json:"next_at,omitempty" doc:"When WeChat is asked to collect again"`
	Blocks bool       `json:"blocks" doc:"No new order before it is paid"`
}

// DebtList is unpaid debts.
type DebtList struct {
	Total int64  `json:"total_fen" doc:"Of this page"`
	Debts []Debt `json:"debts"`
}

type debtListOutput struct{ Body DebtList }

func debtsOf(rows []order.DebtRow, staff bool) *debtListOutput {
	list := DebtList{Debts: each(rows, func(d order.DebtRow) Debt {
		v := Debt{Rider: d.Rider, Order: d.Order, Amount: int64(d.Amount), Since: d.Since, By: "topup", NextAt: optionalTime(d.NextAt), Blocks: d.Blocks}
		if d.Score {
			v.By = "pay_score"
		}
		if !staff {
			v.Rider = ""
		}
		return v
	})}
	for _, d := range list.Debts {
		list.Total += d.Amount
	}
	return &debtListOutput{list}
}

func (a *API) listMyDebts(ctx context.Context, _ *struct{}) (*debtListOutput, error) {
	rows, err := a.Store.Debts(ctx, riderOf(ctx).rider, 200)
	if err != nil {
		return nil, err
	}
	return debtsOf(rows, false), nil
}

type listDebtsInput struct {
	Rider string `query:"rider" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

func (a *API) listDebts(ctx context.Context, in *listDebtsInput) (*debtListOutput, error) {
	rows, err := a.Store.Debts(ctx, in.Rider, in.Limit)
	if err != nil {
		return nil, err
	}
	return debtsOf(rows, true), nil
}

// BillDay is a day of WeChat's bill as it was held against the ledger.
type BillDay struct {
	Day         string     `json:"day" doc:"China time, 2006-01-02"`
	State       string     `json:"state" enum:"waiting,matched,differs"`
	Lines       int        `json:"lines"`
	Came        int64      `json:"came_fen" doc:"Paid to the operator, by the bill"`
	Went        int64      `json:"went_fen" doc:"Given back, by the bill"`
	Differences int        `json:"differences" doc:"Each is an open item of kind bill_difference"`
	DueAt       *time.Time `json:"due_at,omitempty" doc:"When it is fetched, or tried again"`
	At          time.Time  `json:"at"`
}

// BillDayList is days of bills.
type BillDayList struct {
	Days []BillDay `json:"days"`
}

type listBillDaysInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"500" default:"31"`
}

type billDayListOutput struct{ Body BillDayList }

func (a *API) listBillDays(ctx context.Context, in *listBillDaysInput) (*billDayListOutput, error) {
	rows, err := a.Store.BillDays(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	return &billDayListOutput{BillDayList{each(rows, func(d order.BillDay) BillDay {
		return BillDay{Day: d.Day, State: d.State, Lines: d.Lines, Came: int64(d.Came), Went: int64(d.Went),
			Differences: d.Differences, DueAt: optionalTime(d.DueAt), At: d.At}
	})}}, nil
}
