package fakewechat

import (
	"cmp"
	"slices"
	"time"
)

// Money is what really moved, to compare a server's books with. Amounts are in fen.
type Money struct {
	Transactions []MoneyTransaction `json:"transactions"` // by transaction id
	Refunds      []MoneyRefund      `json:"refunds"`      // by out_refund_no
	ScoreOrders  []MoneyScoreOrder  `json:"score_orders"` // by out_order_no
}

// MoneyTransaction is a payment or a debit.
type MoneyTransaction struct {
	OutTradeNo    string    `json:"out_trade_no"` // for a debit made by WeChat
	TransactionID string    `json:"transaction_id"`
	OpenID        string    `json:"openid"`
	Rider         string    `json:"rider"`
	Fen           int64     `json:"fen"`
	PaidAt        time.Time `json:"paid_at"`
	TradeType     string    `json:"trade_type"` // JSAPI or AUTH
	// OutOrderNo is the score order that was paid for; empty for an order.
	OutOrderNo string `json:"out_order_no,omitempty"`
}

// MoneyRefund has moved money when its status is SUCCESS, and only then.
type MoneyRefund struct {
	OutRefundNo   string    `json:"out_refund_no"`
	RefundID      string    `json:"refund_id"`
	TransactionID string    `json:"transaction_id"`
	OutTradeNo    string    `json:"out_trade_no"`
	Fen           int64     `json:"fen"`
	Status        string    `json:"status"`
	DoneAt        time.Time `json:"done_at,omitzero"` // zero while PROCESSING
}

// MoneyScoreOrder is a score order as its triple of states and its sums.
type MoneyScoreOrder struct {
	OutOrderNo       string `json:"out_order_no"`
	OrderID          string `json:"order_id"`
	OpenID           string `json:"openid,omitempty"`
	Rider            string `json:"rider,omitempty"`
	State            string `json:"state"`
	StateDescription string `json:"state_description,omitempty"`
	CollectionState  string `json:"collection_state,omitempty"`
	Total            int64  `json:"total"`
	Paid             int64  `json:"paid"`   // to the merchant through WeChat Pay
	Paying           int64  `json:"paying"` // still to be collected
	Synced           int64  `json:"synced"` // paid elsewhere, as the merchant said
}

// Money returns the books of the pay host; it is empty without a merchant.
func (s *Server) Money() Money {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := Money{Transactions: []MoneyTransaction{}, Refunds: []MoneyRefund{}, ScoreOrders: []MoneyScoreOrder{}}
	if s.pay == nil {
		return v
	}
	now := s.now()
	for _, t := range s.pay.ledger {
		line := MoneyTransaction{
			OutTradeNo: t.number, TransactionID: t.id, OpenID: t.rider.openID, Rider: t.rider.name, Fen: t.fen,
			PaidAt: t.paidAt, TradeType: t.kind,
		}
		if t.score != nil {
			line.OutOrderNo = t.score.params.OutOrderNo
		}
		v.Transactions = append(v.Transactions, line)
	}
	for _, r := range s.pay.refundList {
		v.Refunds = append(v.Refunds, MoneyRefund{
			OutRefundNo: r.number, RefundID: r.id, TransactionID: r.transaction.id, OutTradeNo: r.transaction.number, Fen: r.fen,
			Status: r.status, DoneAt: r.doneAt,
		})
	}
	for _, o := range s.pay.scores {
		o.lapse(now)
		words := scoreWords[o.state]
		line := MoneyScoreOrder{
			OutOrderNo: o.params.OutOrderNo, OrderID: o.id, State: words.state, StateDescription: words.description,
			CollectionState: words.collection, Total: o.total, Paid: o.paid(), Paying: o.outstanding(), Synced: o.synced,
		}
		if o.rider != nil {
			line.OpenID, line.Rider = o.rider.openID, o.rider.name
		}
		v.ScoreOrders = append(v.ScoreOrders, line)
	}
	slices.SortFunc(v.Transactions, func(a, b MoneyTransaction) int { return cmp.Compare(a.TransactionID, b.TransactionID) })
	slices.SortFunc(v.Refunds, func(a, b MoneyRefund) int { return cmp.Compare(a.OutRefundNo, b.OutRefundNo) })
	slices.SortFunc(v.ScoreOrders, func(a, b MoneyScoreOrder) int { return cmp.Compare(a.OutOrderNo, b.OutOrderNo) })
	return v
}
