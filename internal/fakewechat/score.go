package fakewechat

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	// confirmTime is how long a rider may take to confirm.
	confirmTime = 30 * 24 * time.Hour
	// runningOrders is how many services a rider may have running.
	runningOrders = 3
)

type scoreOrder struct {
	params    scoreParams
	text      string // of params, to compare a repeat with
	id        string // order_id
	pack      string // what the confirm page is opened with
	queryID   string
	rider     *rider // nil until known
	state     scoreState
	expires   time.Time
	total     int64
	completed string // text of the completion, to compare a repeat with
	details   []scoreDetail
	synced    int64  // fen paid elsewhere
	failed    int    // debits that failed
	debit     *event // the next debit, if one is planned
}

// scoreDetail is a payment of a score order.
type scoreDetail struct {
	Seq           int    `json:"seq"`
	Amount        int64  `json:"amount"`
	PaidType      string `json:"paid_type"` // NEWTON through WeChat Pay, MCH elsewhere
	PaidTime      string `json:"paid_time"`
	TransactionID string `json:"transaction_id,omitempty"`
}

func (o *scoreOrder) paid() (fen int64) {
	for _, d := range o.details {
		if d.TransactionID != "" {
			fen += d.Amount
		}
	}
	return fen
}

func (o *scoreOrder) outstanding() int64 { return o.total - o.paid() - o.synced }

// lapse ends an order that nobody confirmed.
func (o *scoreOrder) lapse(now time.Time) {
	if !now.Before(o.expires) {
		o.move(inputExpire)
	}
}

// scoreView is a score order as every answer and callback shows it.
type scoreView struct {
	AppID               string           `json:"appid"`
	MchID               string           `json:"mchid"`
	ServiceID           string           `json:"service_id"`
	OutOrderNo          string           `json:"out_order_no"`
	OrderID             string           `json:"order_id"`
	ServiceIntroduction string           `json:"service_introduction"`
	State               string           `json:"state"`
	StateDescription    string           `json:"state_description,omitempty"`
	TotalAmount         *int64           `json:"total_amount,omitempty"`
	PostPayments        []scoreItem      `json:"post_payments,omitempty"`
	PostDiscounts       []scoreItem      `json:"post_discounts,omitempty"`
	RiskFund            *scoreRiskFund   `json:"risk_fund"`
	TimeRange           *scoreTimeRange  `json:"time_range"`
	Location            *scoreLocation   `json:"location,omitempty"`
	Attach              string           `json:"attach,omitempty"`
	NotifyURL           string           `json:"notify_url"`
	OpenID              string           `json:"openid,omitempty"`
	Device              *scoreDevice     `json:"device,omitempty"`
	NeedCollection      *bool            `json:"need_collection,omitempty"`
	Collection          *scoreCollection `json:"collection,omitempty"`
	Package             string           `json:"package,omitempty"` // while the rider can confirm
}

type scoreCollection struct {
	State        string        `json:"state"`
	TotalAmount  int64         `json:"total_amount"`
	PayingAmount int64         `json:"paying_amount"`
	PaidAmount   int64         `json:"paid_amount"`
	Details      []scoreDetail `json:"details,omitempty"`
}

func (s *Server) viewScore(o *scoreOrder) scoreView {
	words := scoreWords[o.state]
	v := scoreView{
		AppID: s.appID, MchID: s.pay.MchID, ServiceID: s.pay.ServiceID, OutOrderNo: o.params.OutOrderNo, OrderID: o.id,
		ServiceIntroduction: o.params.ServiceIntroduction, State: words.state, StateDescription: words.description,
		PostPayments: o.params.PostPayments, PostDiscounts: o.params.PostDiscounts, RiskFund: o.params.RiskFund,
		TimeRange: o.params.TimeRange, Location: o.params.Location, Attach: o.params.Attach, NotifyURL: o.params.NotifyURL,
		Device: o.params.Device,
	}
	if o.rider != nil {
		v.OpenID = o.rider.openID
	}
	if o.state == scoreCreated {
		v.Package = o.pack
	}
	if words.collection != "" {
		total, need := o.total, o.total > 0
		v.TotalAmount, v.NeedCollection = &total, &need
		v.Collection = &scoreCollection{
			State: words.collection, TotalAmount: o.total, PayingAmount: o.outstanding(), PaidAmount: o.total - o.outstanding(),
			Details: slices.Clone(o.details),
		}
	}
	return v
}

// serviceOf checks the two ids that every call of Pay Score names.
func (s *Server) serviceOf(appID, serviceID string) *problem {
	switch {
	case s.pay.ServiceID == "":
		return noService
	case appID == "":
		return badParam("/appid", "is required")
	case appID != s.appID:
		return invalid("appid与商户号未绑定", scoreAppMismatch)
	case serviceID == "":
		return badParam("/service_id", "is required")
	case serviceID != s.pay.ServiceID:
		return noService
	}
	return nil
}

var noService = &problem{status: http.StatusForbidden, code: "NO_AUTH", message: "商户无权限或不在白名单内(268503786)", tail: scoreNotGranted}

// noPermissions answers for the mode without a confirmation, which is granted to few.
func (s *Server) noPermissions(*payCall) (any, *problem) { return nil, noService }

// createScore is POST /v3/payscore/serviceorder.
func (s *Server) createScore(c *payCall) (any, *problem) {
	var params scoreParams
	if p := c.read(&params); p != nil {
		return nil, p
	}
	if p := s.serviceOf(params.AppID, params.ServiceID); p != nil {
		return nil, p
	}
	if params.NeedUserConfirm != nil && !*params.NeedUserConfirm {
		return nil, noService
	}
	text, err := json.Marshal(params)
	if err != nil {
		return nil, badParam("/body", err.Error())
	}
	if o := s.pay.scores[params.OutOrderNo]; o != nil {
		o.lapse(c.now)
		if o.text != string(text) {
			return nil, invalid("商户服务订单号重复，参数与首次请求不一致", scoreOtherParams)
		}
		return s.viewScore(o), nil
	}
	if p := s.checkScore(params, c.now); p != nil {
		return nil, p
	}
	o := &scoreOrder{params: params, text: string(text), state: scoreCreated, expires: c.now.Add(confirmTime)}
	if params.OpenID != "" {
		if o.rider = s.byOpenID[params.OpenID]; o.rider == nil {
			return nil, invalid("openid与appid不匹配", tailNoOpenID)
		}
		if p := s.assess(o.rider, c.now); p != nil {
			return nil, p
		}
	}
	b, err := s.draw(24)
	if err != nil {
		return nil, systemError
	}
	o.id = s.pay.number("1500", c.now, 20)
	o.pack, o.queryID = letters(b[:12])+o.id, letters(b[12:])+o.id
	s.pay.scores[params.OutOrderNo], s.pay.scoresByPack[o.pack], s.pay.scoresByQuery[o.queryID] = o, o, o
	s.known(o)
	return s.viewScore(o), nil
}

// known files an order under its rider, once that one is known.
func (s *Server) known(o *scoreOrder) {
	if o.rider != nil && !slices.Contains(s.pay.scoresByOpenID[o.rider.openID], o) {
		s.pay.scoresByOpenID[o.rider.openID] = append(s.pay.scoresByOpenID[o.rider.openID], o)
	}
}

// assess is the judgement of WeChat's risk control about a rider.
func (s *Server) assess(r *rider, now time.Time) *problem {
	code, message := r.conduct.RefuseCode, r.conduct.RefuseMessage
	running := 0
	for _, o := range s.pay.scoresByOpenID[r.openID] {
		o.lapse(now)
		switch {
		case o.state == scoreConfirmed:
			running++
		case o.state == scorePaying && o.failed > 0 && code == "":
			code, message = strconv.Itoa(scoreUnpaidOverdue), "用户有逾期未支付的订单"
		}
	}
	if running >= runningOrders && code == "" {
		code, message = strconv.Itoa(scoreRiskRefused), "用户未通过综合评估"
	}
	if code == "" {
		return nil
	}
	if message == "" {
		message = "服务暂不可用"
	}
	tail, _ := strconv.Atoi(code) // ScoreFor took a number only
	return &problem{status: http.StatusForbidden, code: "INVALID_REQUEST", message: message + "(" + code + ")", tail: tail}
}

// findScore is the order of a call by its number.
func (s *Server) findScore(number string, now time.Time) (*scoreOrder, *problem) {
	o := s.pay.scores[number]
	if o == nil {
		return nil, notFound("ORDER_NOT_EXIST", "服务订单不存在", scoreUnknown)
	}
	o.lapse(now)
	return o, nil
}

// queryScore is GET /v3/payscore/serviceorder.
func (s *Server) queryScore(c *payCall) (any, *problem) {
	if p := s.serviceOf(c.query.Get("appid"), c.query.Get("service_id")); p != nil {
		return nil, p
	}
	number, id := c.query.Get("out_order_no"), c.query.Get("query_id")
	if (number == "") == (id == "") {
		return nil, badQuery("out_order_no", "or query_id, one of them")
	}
	if o := s.pay.scoresByQuery[id]; o != nil {
		number = o.params.OutOrderNo
	}
	o, p := s.findScore(number, c.now)
	if p != nil {
		return nil, p
	}
	return s.viewScore(o), nil
}

// scoreReceipt is the answer to what does not change the sums.
type scoreReceipt struct {
	AppID      string `json:"appid"`
	MchID      string `json:"mchid"`
	OutOrderNo string `json:"out_order_no"`
	ServiceID  string `json:"service_id"`
	OrderID    string `json:"order_id"`
}

func (s *Server) receipt(o *scoreOrder) scoreReceipt {
	return scoreReceipt{s.appID, s.pay.MchID, o.params.OutOrderNo, s.pay.ServiceID, o.id}
}

// cancelScore is POST .../{number}/cancel.
func (s *Server) cancelScore(c *payCall) (any, *problem) {
	var params struct {
		AppID     string `json:"appid"`
		ServiceID string `json:"service_id"`
		Reason    string `json:"reason"`
	}
	if p := c.read(&params); p != nil {
		return nil, p
	}
	if p := s.serviceOf(params.AppID, params.ServiceID); p != nil {
		return nil, p
	}
	if !within(params.Reason, 1, 50) {
		return nil, badParam("/reason", "has 1 to 50 characters")
	}
	o, p := s.findScore(c.PathValue("number"), c.now)
	if p != nil {
		return nil, p
	}
	if !o.move(inputCancel) {
		return nil, scoreRefusals[inputCancel]
	}
	return s.receipt(o), nil
}
