package fakewechat

import (
	"strings"
	"time"
)

// Trade types of transactions.
const (
	tradeJSAPI = "JSAPI" // the rider paid
	tradeAuth  = "AUTH"  // Pay Score debited
)

// transaction is money that moved from a rider to the merchant.
type transaction struct {
	appID, mchID string
	id, number   string // transaction_id and out_trade_no
	kind         string
	rider        *rider
	fen          int64
	paidAt       time.Time
	description  string
	attach       string
	deviceID     string
	notifyURL    string
	score        *scoreOrder // nil for an order
	refunds      []*refund
}

// settle books a transaction.
func (s *Server) settle(t *transaction, now time.Time) *transaction {
	t.appID, t.mchID, t.id, t.paidAt = s.appID, s.pay.MchID, s.pay.number("4200000", now, 13), now
	s.pay.transactions[t.id] = t
	s.pay.ledger = append(s.pay.ledger, t)
	return t
}

// refunded is what refunds took or may still take from it, closed ones left out.
func (t *transaction) refunded() (fen int64, count int) {
	for _, r := range t.refunds {
		if r.status != refundClosed {
			fen += r.fen
			count++
		}
	}
	return fen, count
}

func (s *Server) viewTransaction(t *transaction) transactionView {
	v := transactionView{
		AppID: s.appID, MchID: s.pay.MchID, OutTradeNo: t.number, TransactionID: t.id, TradeType: t.kind,
		TradeState: "SUCCESS", TradeStateDesc: "支付成功", BankType: "OTHERS", Attach: t.attach, SuccessTime: inChina(t.paidAt),
		Payer:  &orderPayer{t.rider.openID},
		Amount: &amountView{Total: t.fen, PayerTotal: t.fen, Currency: "CNY", PayerCurrency: "CNY"},
	}
	if t.deviceID != "" {
		v.SceneInfo = &sceneDeviceOut{t.deviceID}
	}
	if _, count := t.refunded(); count > 0 {
		v.TradeState, v.TradeStateDesc = "REFUND", "订单发生过退款"
	}
	return v
}

// PayRequest is what wx.requestPayment is given, and the app id, which the phone
// knows by itself.
type PayRequest struct {
	AppID     string `json:"appId"`     // of the mini-program that asks; "" = the double's own
	TimeStamp string `json:"timeStamp"` // unix seconds
	NonceStr  string `json:"nonceStr"`
	Package   string `json:"package"`  // prepay_id=...
	SignType  string `json:"signType"` // RSA
	PaySign   string `json:"paySign"`
}

// Pay is a rider who pays: wx.requestPayment and the password. Its errors are
// ErrNoMerchant, ErrUnknownRider, ErrBadPayRequest, ErrOtherRider, ErrOrderPaid,
// ErrOrderClosed and ErrPrepayExpired.
func (s *Server) Pay(name string, r PayRequest) error {
	if s.pay == nil {
		return ErrNoMerchant
	}
	if r.AppID == "" {
		r.AppID = s.appID
	}
	id, ok := strings.CutPrefix(r.Package, "prepay_id=")
	if !ok || r.AppID != s.appID || r.SignType != "RSA" || !digits(r.TimeStamp, 1, 10) || len(r.NonceStr) == 0 || len(r.NonceStr) > 32 ||
		s.pay.Verify(lines(r.AppID, r.TimeStamp, r.NonceStr, r.Package), r.PaySign) != nil {
		return ErrBadPayRequest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rider, now := s.riders[name], s.now()
	p := s.pay.prepays[id]
	switch {
	case rider == nil:
		return ErrUnknownRider
	case p == nil:
		return ErrBadPayRequest
	case p.order.rider != rider:
		return ErrOtherRider
	case p.order.paid != nil:
		return ErrOrderPaid
	case p.order.lapsed(now):
		return ErrOrderClosed
	case now.Sub(p.minted) > prepayLife:
		return ErrPrepayExpired
	}
	o := p.order
	t := &transaction{
		number: o.params.OutTradeNo, kind: tradeJSAPI, rider: rider, fen: o.params.Amount.Total,
		description: o.params.Description, attach: o.params.Attach, notifyURL: o.params.NotifyURL,
	}
	if o.params.SceneInfo != nil {
		t.deviceID = o.params.SceneInfo.DeviceID
	}
	o.paid = s.settle(t, now)
	s.notify(notice{
		event: "TRANSACTION.SUCCESS", original: "transaction", summary: "支付成功", number: t.number,
		url: t.notifyURL, rider: name, resource: s.viewTransaction(t),
	}, now)
	return nil
}
