package fakewechat

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// prepayLife is how long a prepay id can be paid with.
	prepayLife = 2 * time.Hour
	// orderLife is how long an order without time_expire can be paid.
	orderLife = 7 * 24 * time.Hour
	// shortestOrder is what an earlier time_expire is raised to.
	shortestOrder = time.Minute
	// longestOrder is the shorter of the two limits that WeChat's documents give.
	longestOrder = 15 * 24 * time.Hour
)

// orderParams is the body of POST /v3/pay/transactions/jsapi.
type orderParams struct {
	AppID         string          `json:"appid"`
	MchID         string          `json:"mchid"`
	Description   string          `json:"description"`
	OutTradeNo    string          `json:"out_trade_no"`
	TimeExpire    string          `json:"time_expire,omitempty"`
	Attach        string          `json:"attach,omitempty"`
	NotifyURL     string          `json:"notify_url"`
	GoodsTag      string          `json:"goods_tag,omitempty"`
	LimitPay      []string        `json:"limit_pay,omitempty"`
	SupportFapiao bool            `json:"support_fapiao,omitempty"`
	Amount        orderAmount     `json:"amount"`
	Payer         orderPayer      `json:"payer"`
	Detail        json.RawMessage `json:"detail,omitempty"`
	SceneInfo     *sceneInfo      `json:"scene_info,omitempty"`
	SettleInfo    *settleInfo     `json:"settle_info,omitempty"`
}

type orderAmount struct {
	Total    int64  `json:"total"`
	Currency string `json:"currency,omitempty"`
}

type orderPayer struct {
	OpenID string `json:"openid"`
}

type sceneInfo struct {
	PayerClientIP string     `json:"payer_client_ip,omitempty"`
	DeviceID      string     `json:"device_id,omitempty"`
	StoreInfo     *storeInfo `json:"store_info,omitempty"`
}

type storeInfo struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	AreaCode string `json:"area_code,omitempty"`
	Address  string `json:"address,omitempty"`
}

type settleInfo struct {
	ProfitSharing bool `json:"profit_sharing,omitempty"`
}

type order struct {
	params  orderParams
	text    string // of params, to compare a repeat with
	rider   *rider
	expires time.Time
	closed  bool
	paid    *transaction // nil until the rider paid
}

type prepay struct {
	order  *order
	minted time.Time
}

// lapsed is also true of a paid order: nobody can pay it any more.
func (o *order) lapsed(now time.Time) bool { return o.closed || !now.Before(o.expires) }

// createOrder is POST /v3/pay/transactions/jsapi.
func (s *Server) createOrder(c *payCall) (any, *problem) {
	var params orderParams
	if p := c.read(&params); p != nil {
		return nil, p
	}
	rider, p := s.checkOrder(params)
	if p != nil {
		return nil, p
	}
	text, err := json.Marshal(params)
	if err != nil {
		return nil, badParam("/body", err.Error())
	}
	o := s.pay.orders[params.OutTradeNo]
	switch {
	case o == nil:
		o = &order{params: params, text: string(text), rider: rider}
		if o.expires, p = expiry(params.TimeExpire, c.now); p != nil {
			return nil, p
		}
		s.pay.orders[params.OutTradeNo] = o
	case o.paid != nil:
		return nil, &problem{status: http.StatusBadRequest, code: "ORDERPAID", message: "该订单已支付", tail: tailOrderPaid}
	case o.lapsed(c.now):
		return nil, orderClosed
	case o.text != string(text):
		return nil, invalid("请求重入时，参数与首次请求时不一致", tailOtherParams)
	}
	id := s.pay.number("wx", c.now, 26)
	s.pay.prepays[id] = &prepay{o, c.now}
	return struct {
		PrepayID string `json:"prepay_id"`
	}{id}, nil
}

var orderClosed = &problem{status: http.StatusBadRequest, code: "ORDER_CLOSED", message: "该订单已关闭", tail: tailOrderExpired}

// checkOrder is the table of fields.
func (s *Server) checkOrder(p orderParams) (*rider, *problem) {
	scene := p.SceneInfo
	if scene == nil {
		scene = &sceneInfo{}
	}
	switch {
	case p.AppID == "":
		return nil, badParam("/appid", "is required")
	case p.MchID == "":
		return nil, badParam("/mchid", "is required")
	case p.AppID != s.appID || p.MchID != s.pay.MchID:
		return nil, &problem{status: http.StatusBadRequest, code: "APPID_MCHID_NOT_MATCH", message: "商户号mchid与appid不匹配", tail: tailAppMismatch}
	case !within(p.Description, 1, 127):
		return nil, badParam("/description", "has 1 to 127 characters")
	case !tradeNumber(p.OutTradeNo):
		return nil, badParam("/out_trade_no", "has 6 to 32 digits, letters and _-|*")
	case !within(p.Attach, 0, 128):
		return nil, badParam("/attach", "has at most 128 characters")
	case !notifyURL(p.NotifyURL):
		return nil, badParam("/notify_url", "is a public https address without a query, at most 255 characters")
	case !within(p.GoodsTag, 0, 32):
		return nil, badParam("/goods_tag", "has at most 32 characters")
	case p.Amount.Total < 1:
		return nil, badParam("/amount/total", "is at least 1")
	case p.Amount.Currency != "" && p.Amount.Currency != "CNY":
		return nil, badParam("/amount/currency", "is CNY")
	case scene.StoreInfo != nil && !within(scene.StoreInfo.ID, 1, 32):
		return nil, badParam("/scene_info/store_info/id", "has 1 to 32 characters")
	case p.SceneInfo != nil && scene.PayerClientIP == "":
		return nil, badParam("/scene_info/payer_client_ip", "is required")
	case scene.PayerClientIP != "" && !address(scene.PayerClientIP):
		return nil, badParam("/scene_info/payer_client_ip", "is an address")
	case !within(scene.DeviceID, 0, 32):
		return nil, badParam("/scene_info/device_id", "has at most 32 characters")
	case p.Payer.OpenID == "":
		prob := badParam("/payer/openid", "is required")
		prob.tail = tailNoOpenID
		return nil, prob
	}
	rider := s.byOpenID[p.Payer.OpenID]
	if rider == nil {
		return nil, invalid("appid和openid不匹配", tailNoOpenID)
	}
	return rider, nil
}

func expiry(text string, now time.Time) (time.Time, *problem) {
	if text == "" {
		return now.Add(orderLife), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return at, badParam("/time_expire", "is a time of RFC 3339 with its offset")
	case !at.After(now):
		return at, badParam("/time_expire", "is in the past")
	case at.Sub(now) > longestOrder:
		return at, badParam("/time_expire", "is too far away")
	case at.Sub(now) < shortestOrder:
		return now.Add(shortestOrder), nil
	}
	return at, nil
}

// within counts characters.
func within(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return n >= least && n <= most && utf8.ValidString(s)
}

func made(s, extra string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}

func tradeNumber(s string) bool { return len(s) >= 6 && len(s) <= 32 && made(s, "_-|*") }

func address(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// notifyURL refuses what WeChat could not reach from outside.
func notifyURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 255 && u.Scheme == "https" && u.User == nil && !strings.ContainsAny(s, "?#") &&
		strings.Contains(u.Hostname(), ".") && !address(u.Hostname())
}

// transactionView is an order as query and callback show it.
type transactionView struct {
	AppID          string          `json:"appid"`
	MchID          string          `json:"mchid"`
	OutTradeNo     string          `json:"out_trade_no"`
	TransactionID  string          `json:"transaction_id,omitempty"`
	TradeType      string          `json:"trade_type,omitempty"`
	TradeState     string          `json:"trade_state"`
	TradeStateDesc string          `json:"trade_state_desc"`
	BankType       string          `json:"bank_type,omitempty"`
	Attach         string          `json:"attach,omitempty"`
	SuccessTime    string          `json:"success_time,omitempty"`
	Payer          *orderPayer     `json:"payer,omitempty"`
	Amount         *amountView     `json:"amount,omitempty"`
	SceneInfo      *sceneDeviceOut `json:"scene_info,omitempty"`
}

type amountView struct {
	Total         int64  `json:"total"`
	PayerTotal    int64  `json:"payer_total,omitempty"`
	Currency      string `json:"currency"`
	PayerCurrency string `json:"payer_currency,omitempty"`
}

type sceneDeviceOut struct {
	DeviceID string `json:"device_id"`
}

func (s *Server) viewOrder(o *order, now time.Time) transactionView {
	if o.paid != nil {
		return s.viewTransaction(o.paid)
	}
	v := transactionView{
		AppID: s.appID, MchID: s.pay.MchID, OutTradeNo: o.params.OutTradeNo, TradeState: "NOTPAY", TradeStateDesc: "订单未支付",
		Attach: o.params.Attach, Amount: &amountView{Total: o.params.Amount.Total, Currency: "CNY"},
	}
	if o.lapsed(now) {
		v.TradeState, v.TradeStateDesc = "CLOSED", "订单已关闭"
	}
	return v
}

// merchantOf reads mchid of a query.
func (s *Server) merchantOf(c *payCall) *problem {
	switch c.query.Get("mchid") {
	case s.pay.MchID:
		return nil
	case "":
		return badQuery("mchid", "is required")
	}
	return invalid("商户号不匹配", tailAppMismatch)
}

var orderUnknown = notFound("ORDER_NOT_EXIST", "订单不存在", tailOrderUnknown)

// queryOrder is GET /v3/pay/transactions/out-trade-no/{number}.
func (s *Server) queryOrder(c *payCall) (any, *problem) {
	if p := s.merchantOf(c); p != nil {
		return nil, p
	}
	o := s.pay.orders[c.PathValue("number")]
	if o == nil {
		return nil, orderUnknown
	}
	return s.viewOrder(o, c.now), nil
}

// queryTransaction is GET /v3/pay/transactions/id/{id}.
func (s *Server) queryTransaction(c *payCall) (any, *problem) {
	if p := s.merchantOf(c); p != nil {
		return nil, p
	}
	t := s.pay.transactions[c.PathValue("id")]
	if t == nil {
		return nil, orderUnknown
	}
	return s.viewTransaction(t), nil
}

// closeOrder is POST /v3/pay/transactions/out-trade-no/{number}/close. It also
// answers 204 to a number that nobody ordered with.
func (s *Server) closeOrder(c *payCall) (any, *problem) {
	var params struct {
		MchID string `json:"mchid"`
	}
	if p := c.read(&params); p != nil {
		return nil, p
	}
	switch params.MchID {
	case s.pay.MchID:
	case "":
		return nil, badParam("/mchid", "is required")
	default:
		return nil, invalid("商户号不匹配", tailAppMismatch)
	}
	o := s.pay.orders[c.PathValue("number")]
	switch {
	case o == nil:
	case o.paid != nil:
		return nil, &problem{status: http.StatusBadRequest, code: "ORDER_PAID", message: "该订单已支付，请走退款流程", tail: tailOrderPaid}
	default:
		o.closed = true
	}
	return nil, nil
}
