package wechat

import (
	"context"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/services/refunddomestic"
)

// refundText is what the rider's bill says of why money comes back. It must be the same
// for each try of one refund. A word that is not known says nothing.
func refundText(word string) string {
	switch word {
	case "rest":
		return "预付款余额退回"
	case "withdrawal":
		return "钱包余额提现"
	case "over_balance_cap":
		return "超出余额上限退回"
	case "refund", "retry":
		return "退款"
	case "":
		return ""
	}
	return "订单未开始,全额退回"
}

// maxRefundReason is what the rider's bill shows.
const maxRefundReason = 80

// createRefund asks for money to go back; accepted is not done. After a failure the
// same number is asked for again: it is paid back once.
func (c *Cashier) createRefund(ctx context.Context, a billing.Ask) (billing.Said, error) {
	if a.Amount < 1 || a.Amount > a.Paid {
		return billing.Said{}, fmt.Errorf("%w: a refund is of one fen or more and of what was paid at most", ErrBadAsk)
	}
	request := refunddomestic.CreateRequest{
		OutRefundNo: &a.Number, NotifyUrl: &c.cfg.NotifyURL,
		Amount: &refunddomestic.AmountReq{Refund: core.Int64(int64(a.Amount)), Total: core.Int64(int64(a.Paid)), Currency: core.String(currency)},
	}
	switch {
	case a.OfTransaction != "": // the only way for what a score order brought in
		request.TransactionId = &a.OfTransaction
	case numberText.MatchString(a.Of):
		request.OutTradeNo = &a.Of
	default:
		return billing.Said{}, fmt.Errorf("%w: a refund needs the number or the id of what it gives back", ErrBadAsk)
	}
	if text := refundText(a.Reason); text != "" {
		request.Reason = core.String(clip(text, maxRefundReason))
	}
	answer, _, err := c.refunds().Create(ctx, request)
	if err != nil {
		return billing.Said{}, err
	}
	return c.refundSaid(a, answer)
}

func (c *Cashier) queryRefund(ctx context.Context, a billing.Ask) (billing.Said, error) {
	answer, _, err := c.refunds().QueryByOutRefundNo(ctx, refunddomestic.QueryByOutRefundNoRequest{OutRefundNo: &a.Number})
	if err != nil {
		return billing.Said{}, err
	}
	return c.refundSaid(a, answer)
}

func (c *Cashier) refunds() *refunddomestic.RefundsApiService {
	return &refunddomestic.RefundsApiService{Client: c.client}
}

// refundStates translates status and refund_status.
var refundStates = map[string]billing.Standing{
	"SUCCESS": billing.StandsPaid, "PROCESSING": billing.StandsProcessing,
	"CLOSED": billing.StandsClosed, "ABNORMAL": billing.StandsAbnormal,
}

// refundSaid is the word of an answer, which names neither merchant nor app.
func (c *Cashier) refundSaid(a billing.Ask, r *refunddomestic.Refund) (billing.Said, error) {
	w := refundWord{
		RefundID: value(r.RefundId), OutRefundNo: value(r.OutRefundNo), OutTradeNo: value(r.OutTradeNo),
		TransactionID: value(r.TransactionId), Status: string(value(r.Status)), SuccessTime: value(r.SuccessTime),
		MchID: c.cfg.MchID,
	}
	if r.Amount != nil {
		w.Amount.Refund, w.Amount.Currency = value(r.Amount.Refund), value(r.Amount.Currency)
	}
	said, err := c.refundHeard(w)
	if err == nil && said.Foreign == "" {
		switch {
		case a.OfTransaction != "":
			said.Foreign = foreign([3]string{"transaction", w.TransactionID, a.OfTransaction})
		case a.Of != "":
			said.Foreign = foreign([3]string{"transaction", w.OutTradeNo, a.Of})
		}
	}
	return said, err
}

// refundWord is a refund as a notification describes it.
type refundWord struct {
	MchID         string    `json:"mchid"`
	RefundID      string    `json:"refund_id"`
	OutRefundNo   string    `json:"out_refund_no"`
	OutTradeNo    string    `json:"out_trade_no"`
	TransactionID string    `json:"transaction_id"`
	Status        string    `json:"refund_status"`
	SuccessTime   time.Time `json:"success_time"`
	Amount        struct {
		Refund   int64  `json:"refund"`
		Currency string `json:"currency"`
	} `json:"amount"`
}

// refundHeard translates a refund, whichever way it came.
func (c *Cashier) refundHeard(w refundWord) (billing.Said, error) {
	said := billing.Said{Road: billing.Refund, Number: w.OutRefundNo, ID: w.RefundID, Amount: billing.Fen(w.Amount.Refund)}
	var known bool
	if said.Stands, known = refundStates[w.Status]; !known {
		return billing.Said{}, fmt.Errorf("%w: the refund's status is not one that is known", billing.ErrUnsure)
	}
	if !numberText.MatchString(said.Number) || said.ID == "" || said.Amount < 1 {
		return billing.Said{}, fmt.Errorf("%w: a refund lacks its number, id or amount", billing.ErrUnsure)
	}
	if said.Foreign = foreign([3]string{"mchid", w.MchID, c.cfg.MchID}); said.Foreign == "" {
		said.Foreign = foreignMoney(w.Amount.Currency)
	}
	if said.Stands == billing.StandsPaid {
		said.Moved = said.Amount
		if !w.SuccessTime.IsZero() { // an answer to Create may not have it yet
			said.At = w.SuccessTime.UTC()
		}
	}
	return said, nil
}
