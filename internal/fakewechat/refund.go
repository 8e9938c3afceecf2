package fakewechat

import (
	"encoding/json"
	"net/http"
	"time"
)

const (
	refundProcessing = "PROCESSING"
	refundSuccess    = "SUCCESS"
	refundClosed     = "CLOSED"
	refundAbnormal   = "ABNORMAL"

	// refundsPerOrder is how many refunds one transaction may have.
	refundsPerOrder = 50
)

// refundParams is the body of POST /v3/refund/domestic/refunds.
type refundParams struct {
	TransactionID string          `json:"transaction_id,omitempty"`
	OutTradeNo    string          `json:"out_trade_no,omitempty"`
	OutRefundNo   string          `json:"out_refund_no"`
	Reason        string          `json:"reason,omitempty"`
	NotifyURL     string          `json:"notify_url,omitempty"`
	FundsAccount  string          `json:"funds_account,omitempty"`
	Amount        refundAmount    `json:"amount"`
	GoodsDetail   json.RawMessage `json:"goods_detail,omitempty"`
}

type refundAmount struct {
	Refund   int64           `json:"refund"`
	Total    int64           `json:"total"`
	Currency string          `json:"currency"`
	From     json.RawMessage `json:"from,omitempty"`
}

type refund struct {
	id, number  string // refund_id and out_refund_no
	text        string // of the parameters, to compare a repeat with
	transaction *transaction
	fen         int64
	status      string
	fate        string // what PROCESSING ends in
	createdAt   time.Time
	doneAt      time.Time // zero while PROCESSING
	notifyURL   string
	turns       []refundTurn
}

// refundTurn is a status and since when; the bill of a day shows that of its making.
type refundTurn struct {
	at     time.Time
	status string
}

func (r *refund) turn(status string, at time.Time) {
	r.status = status
	r.turns = append(r.turns, refundTurn{at, status})
	if status == refundProcessing {
		r.doneAt = time.Time{}
	} else {
		r.doneAt = at
	}
}

func (r *refund) statusAt(at time.Time) string {
	status := refundProcessing
	for _, turn := range r.turns {
		if !turn.at.After(at) {
			status = turn.status
		}
	}
	return status
}

// createRefund is POST /v3/refund/domestic/refunds.
func (s *Server) createRefund(c *payCall) (any, *problem) {
	var params refundParams
	if p := c.read(&params); p != nil {
		return nil, p
	}
	if p := checkRefund(params); p != nil {
		return nil, p
	}
	text, err := json.Marshal(params)
	if err != nil {
		return nil, badParam("/body", err.Error())
	}
	if r := s.pay.refunds[params.OutRefundNo]; r != nil {
		if r.text != string(text) {
			return nil, invalid("订单金额或退款金额与之前请求不一致，请核实后再试", tailOtherParams)
		}
		return viewRefund(r), nil
	}
	t, p := s.refundable(params)
	if p != nil {
		return nil, p
	}
	if p := s.allowRefund(params, t, c.now); p != nil {
		return nil, p
	}
	r := &refund{
		id: s.pay.number("5030000", c.now, 14), number: params.OutRefundNo, text: string(text), transaction: t,
		fen: params.Amount.Refund, createdAt: c.now, notifyURL: params.NotifyURL, fate: refundSuccess,
	}
	if r.notifyURL == "" && t.score != nil {
		r.notifyURL = t.notifyURL
	}
	switch {
	case s.strikes(FaultRefundAbnormal, GroupRefund, t.rider.name):
		r.fate = refundAbnormal
	case s.strikes(FaultRefundClosed, GroupRefund, t.rider.name):
		r.fate = refundClosed
	}
	t.refunds = append(t.refunds, r)
	s.pay.refunds[r.number], s.pay.refundsByID[r.id] = r, r
	s.pay.refundList = append(s.pay.refundList, r)
	s.process(r, c.now)
	return viewRefund(r), nil
}

// process lets a refund run until its fate.
func (s *Server) process(r *refund, now time.Time) {
	r.turn(refundProcessing, now)
	s.plan(&event{act: func() { s.finishRefund(r) }}, now.Add(s.pay.RefundTime))
}

func (s *Server) finishRefund(r *refund) {
	now := s.now()
	r.turn(r.fate, now)
	if r.notifyURL == "" {
		return
	}
	summary := map[string]string{refundSuccess: "退款成功", refundAbnormal: "退款异常", refundClosed: "退款关闭"}[r.fate]
	s.notify(notice{
		event: "REFUND." + r.fate, original: "refund", summary: summary, number: r.number,
		url: r.notifyURL, rider: r.transaction.rider.name, resource: s.refundNotice(r),
	}, now)
}

func checkRefund(p refundParams) *problem {
	switch {
	case p.TransactionID == "" && p.OutTradeNo == "":
		return badParam("/transaction_id", "or out_trade_no is required")
	case len(p.OutRefundNo) < 1 || len(p.OutRefundNo) > 64 || !made(p.OutRefundNo, "_-|*@"):
		return badParam("/out_refund_no", "has 1 to 64 digits, letters and _-|*@")
	case !within(p.Reason, 0, 80):
		return badParam("/reason", "has at most 80 characters")
	case p.NotifyURL != "" && !notifyURL(p.NotifyURL):
		return badParam("/notify_url", "is a public https address without a query, at most 255 characters")
	case p.FundsAccount != "" && p.FundsAccount != "AVAILABLE" && p.FundsAccount != "UNSETTLED":
		return badParam("/funds_account", "is AVAILABLE or UNSETTLED")
	case p.Amount.Refund < 1:
		return badParam("/amount/refund", "is at least 1")
	case p.Amount.Total < 1:
		return badParam("/amount/total", "is at least 1")
	case p.Amount.Refund > p.Amount.Total:
		return badParam("/amount/refund", "is more than the total")
	case p.Amount.Currency != "CNY":
		return badParam("/amount/currency", "is CNY")
	}
	return nil
}

// refundable finds what was paid. Debits of Pay Score are known by transaction_id
// only.
func (s *Server) refundable(p refundParams) (*transaction, *problem) {
	var byNumber *transaction
	if p.OutTradeNo != "" {
		o := s.pay.orders[p.OutTradeNo]
		switch {
		case o == nil:
			return nil, notFound("RESOURCE_NOT_EXISTS", "订单不存在", tailOrderUnknown)
		case o.paid == nil:
			return nil, invalid("订单未支付，不能退款", 0)
		}
		byNumber = o.paid
	}
	if p.TransactionID == "" {
		return byNumber, nil
	}
	t := s.pay.transactions[p.TransactionID]
	switch {
	case t == nil:
		return nil, notFound("RESOURCE_NOT_EXISTS", "订单不存在", tailOrderUnknown)
	case byNumber != nil && byNumber != t:
		return nil, invalid("transaction_id与out_trade_no不一致", 0)
	}
	return t, nil
}

func (s *Server) allowRefund(p refundParams, t *transaction, now time.Time) *problem {
	fen, count := t.refunded()
	switch {
	case p.Amount.Total != t.fen:
		return invalid("订单金额或退款金额与之前请求不一致，请核实后再试", 0)
	case now.After(t.paidAt.AddDate(1, 0, 0)):
		return invalid("订单已超过可退款的期限", tailOrderExpired)
	case count >= refundsPerOrder:
		return invalid("一笔订单最多支持50次部分退款", 0)
	case p.Amount.Refund > t.fen-fen:
		return invalid("申请退款金额大于订单可退金额", 0)
	case s.strikes(FaultNotEnough, GroupRefund, t.rider.name):
		return &problem{status: http.StatusForbidden, code: "NOT_ENOUGH", message: "基本账户余额不足，请充值后重新发起"}
	}
	return nil
}

// queryRefund is GET /v3/refund/domestic/refunds/{number}.
func (s *Server) queryRefund(c *payCall) (any, *problem) {
	r := s.pay.refunds[c.PathValue("number")]
	if r == nil {
		return nil, notFound("RESOURCE_NOT_EXISTS", "退款单不存在", 0)
	}
	return viewRefund(r), nil
}

// applyAbnormalRefund is POST /v3/refund/domestic/refunds/{id}/apply-abnormal-refund:
// the money goes to a bank card, of the rider or of the merchant.
func (s *Server) applyAbnormalRefund(c *payCall) (any, *problem) {
	var params struct {
		OutRefundNo string `json:"out_refund_no"`
		Type        string `json:"type"`
		BankType    string `json:"bank_type"`
		BankAccount string `json:"bank_account"`
		RealName    string `json:"real_name"`
	}
	if p := c.read(&params); p != nil {
		return nil, p
	}
	r := s.pay.refundsByID[c.PathValue("id")]
	switch {
	case params.Type != "USER_BANK_CARD" && params.Type != "MERCHANT_BANK_CARD":
		return nil, badParam("/type", "is USER_BANK_CARD or MERCHANT_BANK_CARD")
	case params.Type == "USER_BANK_CARD" && (params.BankType == "" || params.BankAccount == "" || params.RealName == ""):
		return nil, badParam("/bank_account", "bank, account and name are required for a rider's card")
	case r == nil || r.number != params.OutRefundNo:
		return nil, notFound("RESOURCE_NOT_EXISTS", "退款单不存在", 0)
	case r.status != refundAbnormal:
		return nil, invalid("退款单状态不是退款异常", 0)
	}
	r.fate = refundSuccess
	s.process(r, c.now)
	return viewRefund(r), nil
}

type refundView struct {
	RefundID      string     `json:"refund_id"`
	OutRefundNo   string     `json:"out_refund_no"`
	TransactionID string     `json:"transaction_id"`
	OutTradeNo    string     `json:"out_trade_no"`
	Channel       string     `json:"channel"`
	Account       string     `json:"user_received_account"`
	SuccessTime   string     `json:"success_time,omitempty"`
	CreateTime    string     `json:"create_time"`
	Status        string     `json:"status"`
	FundsAccount  string     `json:"funds_account"`
	Amount        refundSums `json:"amount"`
}

type refundSums struct {
	Total            int64  `json:"total"`
	Refund           int64  `json:"refund"`
	PayerTotal       int64  `json:"payer_total"`
	PayerRefund      int64  `json:"payer_refund"`
	SettlementRefund int64  `json:"settlement_refund,omitempty"`
	SettlementTotal  int64  `json:"settlement_total,omitempty"`
	DiscountRefund   *int64 `json:"discount_refund,omitempty"`
	Currency         string `json:"currency,omitempty"`
}

const refundAccount = "支付用户零钱"

func viewRefund(r *refund) refundView {
	none := int64(0)
	v := refundView{
		RefundID: r.id, OutRefundNo: r.number, TransactionID: r.transaction.id, OutTradeNo: r.transaction.number,
		Channel: "ORIGINAL", Account: refundAccount, CreateTime: inChina(r.createdAt), Status: r.status, FundsAccount: "AVAILABLE",
		Amount: refundSums{
			Total: r.transaction.fen, Refund: r.fen, PayerTotal: r.transaction.fen, PayerRefund: r.fen,
			SettlementRefund: r.fen, SettlementTotal: r.transaction.fen, DiscountRefund: &none, Currency: "CNY",
		},
	}
	if r.status == refundSuccess {
		v.SuccessTime = inChina(r.doneAt)
	}
	return v
}

type refundNotice struct {
	MchID         string     `json:"mchid"`
	TransactionID string     `json:"transaction_id"`
	OutTradeNo    string     `json:"out_trade_no"`
	RefundID      string     `json:"refund_id"`
	OutRefundNo   string     `json:"out_refund_no"`
	Status        string     `json:"refund_status"`
	SuccessTime   string     `json:"success_time,omitempty"`
	Account       string     `json:"user_received_account"`
	Amount        refundSums `json:"amount"`
}

func (s *Server) refundNotice(r *refund) refundNotice {
	v := viewRefund(r)
	return refundNotice{
		MchID: s.pay.MchID, TransactionID: v.TransactionID, OutTradeNo: v.OutTradeNo, RefundID: v.RefundID,
		OutRefundNo: v.OutRefundNo, Status: v.Status, SuccessTime: v.SuccessTime, Account: v.Account,
		Amount: refundSums{
			Total: v.Amount.Total, Refund: v.Amount.Refund, PayerTotal: v.Amount.PayerTotal, PayerRefund: v.Amount.PayerRefund,
		},
	}
}
