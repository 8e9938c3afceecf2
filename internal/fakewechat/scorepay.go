package fakewechat

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// longestDebitPause is the longest time between two debits; WeChat tries without end.
const longestDebitPause = 6 * time.Hour

// completion is the body of POST .../{number}/complete.
type completion struct {
	AppID         string          `json:"appid"`
	ServiceID     string          `json:"service_id"`
	PostPayments  []scoreItem     `json:"post_payments,omitempty"`
	PostDiscounts []scoreItem     `json:"post_discounts,omitempty"`
	TotalAmount   *int64          `json:"total_amount"`
	TimeRange     *scoreTimeRange `json:"time_range,omitempty"`
	Location      *scoreLocation  `json:"location,omitempty"`
	ProfitSharing bool            `json:"profit_sharing,omitempty"`
	GoodsTag      string          `json:"goods_tag,omitempty"`
	Device        *scoreDevice    `json:"device,omitempty"`
}

// completeScore is POST /v3/payscore/serviceorder/{number}/complete.
func (s *Server) completeScore(c *payCall) (any, *problem) {
	var params completion
	if p := c.read(&params); p != nil {
		return nil, p
	}
	if p := s.serviceOf(params.AppID, params.ServiceID); p != nil {
		return nil, p
	}
	o, p := s.findScore(c.PathValue("number"), c.now)
	if p != nil {
		return nil, p
	}
	text, err := json.Marshal(params)
	if err != nil {
		return nil, badParam("/body", err.Error())
	}
	if o.completed != "" && o.state == scorePaying {
		if o.completed != string(text) {
			return nil, invalid("完结参数与首次请求不一致", scoreOtherParams)
		}
		return s.viewScore(o), nil
	}
	if _, allowed := scoreNext[o.state][inputComplete]; !allowed {
		return nil, scoreRefusals[inputComplete]
	}
	if p := s.checkCompletion(o, params, c.now); p != nil {
		return nil, p
	}
	o.move(inputComplete)
	o.completed, o.total = string(text), *params.TotalAmount
	o.params.PostPayments, o.params.PostDiscounts, o.params.TimeRange = params.PostPayments, params.PostDiscounts, params.TimeRange
	if params.Location != nil {
		o.params.Location = params.Location
	}
	if params.Device != nil {
		device := *params.Device
		if device.StartDeviceID == "" && o.params.Device != nil {
			device.StartDeviceID = o.params.Device.StartDeviceID
		}
		o.params.Device = &device
	}
	s.collect(o, c.now, s.pay.DebitTime)
	return s.viewScore(o), nil
}

func (s *Server) checkCompletion(o *scoreOrder, params completion, now time.Time) *problem {
	if p := checkEnd(params.TimeRange, now); p != nil {
		return p
	}
	if p := checkDevice(params.Device); p != nil {
		return p
	}
	if l := params.Location; l != nil && (!within(l.StartLocation, 0, 50) || !within(l.EndLocation, 0, 50)) {
		return badParam("/location", "has at most 50 characters each")
	}
	if !within(params.GoodsTag, 0, 32) {
		return badParam("/goods_tag", "has at most 32 characters")
	}
	return s.checkTotal(o, params.TotalAmount, params.PostPayments, params.PostDiscounts)
}

// collect plans the next debit; an order that costs nothing is done at once.
func (s *Server) collect(o *scoreOrder, now time.Time, wait time.Duration) {
	s.cancel(o.debit)
	o.debit = nil
	if o.outstanding() == 0 {
		o.move(inputPaid)
		s.tellPaid(o, now)
		return
	}
	if o.rider.conduct.FailingDebits < 0 && o.failed > 0 {
		return // it would fail for ever; ScoreFor plans it when that changes
	}
	o.debit = s.plan(&event{act: func() { s.tryDebit(o) }}, now.Add(wait))
}

// tryDebit is one debit.
func (s *Server) tryDebit(o *scoreOrder) {
	o.debit = nil
	now, conduct := s.now(), &o.rider.conduct
	if conduct.FailingDebits != 0 {
		if conduct.FailingDebits > 0 {
			conduct.FailingDebits--
		}
		o.failed++
		s.collect(o, now, s.debitPause(o))
		return
	}
	fen := o.outstanding()
	if conduct.PartialFen > 0 {
		fen = min(fen, conduct.PartialFen)
	}
	s.pay.serial++
	number := fmt.Sprintf("wxzff%s%013d", now.In(china).Format("20060102"), s.pay.serial)
	s.bookScore(o, &transaction{number: number, kind: tradeAuth, attach: "wxzff|service order|" + o.params.OutOrderNo}, fen, now)
	if o.state == scorePaying {
		s.collect(o, now, s.debitPause(o))
	}
}

func (s *Server) debitPause(o *scoreOrder) time.Duration {
	return min(s.pay.DebitTime<<min(o.failed, 20), longestDebitPause)
}

// bookScore books money for a score order and tells the merchant.
func (s *Server) bookScore(o *scoreOrder, t *transaction, fen int64, now time.Time) {
	t.rider, t.fen, t.score = o.rider, fen, o
	t.description, t.notifyURL = o.params.ServiceIntroduction, o.params.NotifyURL
	if o.params.Device != nil {
		t.deviceID = o.params.Device.StartDeviceID
	}
	s.settle(t, now)
	o.details = append(o.details, scoreDetail{
		Seq: len(o.details) + 1, Amount: fen, PaidType: "NEWTON", PaidTime: compact(now), TransactionID: t.id,
	})
	if o.outstanding() == 0 {
		o.move(inputPaid)
		s.cancel(o.debit)
		o.debit = nil
	} else {
		o.move(inputPart)
	}
	s.tellPaid(o, now)
}

func (s *Server) tellPaid(o *scoreOrder, now time.Time) {
	s.notify(notice{
		event: "PAYSCORE.USER_PAID", original: "payscore", summary: "用户支付成功", number: o.params.OutOrderNo,
		url: o.params.NotifyURL, rider: o.rider.name, resource: s.viewScore(o),
	}, now)
}

// modifyScore is POST .../{number}/modify: only less, and not less than was paid.
func (s *Server) modifyScore(c *payCall) (any, *problem) {
	var params struct {
		AppID         string      `json:"appid"`
		ServiceID     string      `json:"service_id"`
		PostPayments  []scoreItem `json:"post_payments"`
		PostDiscounts []scoreItem `json:"post_discounts"`
		TotalAmount   *int64      `json:"total_amount"`
		Reason        string      `json:"reason"`
	}
	if p := c.read(&params); p != nil {
		return nil, p
	}
	if p := s.serviceOf(params.AppID, params.ServiceID); p != nil {
		return nil, p
	}
	o, p := s.findScore(c.PathValue("number"), c.now)
	if p != nil {
		return nil, p
	}
	if _, allowed := scoreNext[o.state][inputModify]; !allowed {
		return nil, scoreRefusals[inputModify]
	}
	if !within(params.Reason, 1, 50) {
		return nil, badParam("/reason", "has 1 to 50 characters")
	}
	if p := s.checkTotal(o, params.TotalAmount, params.PostPayments, params.PostDiscounts); p != nil {
		return nil, p
	}
	if *params.TotalAmount >= o.total || *params.TotalAmount < o.paid() {
		return nil, badParam("/total_amount", "is less than it was and not less than what is paid")
	}
	o.move(inputModify)
	o.total = *params.TotalAmount
	o.params.PostPayments, o.params.PostDiscounts = params.PostPayments, params.PostDiscounts
	if o.outstanding() == 0 {
		s.collect(o, c.now, 0)
	}
	return s.viewScore(o), nil
}

// syncScore is POST .../{number}/sync: the merchant was paid elsewhere.
func (s *Server) syncScore(c *payCall) (any, *problem) {
	var params struct {
		AppID     string `json:"appid"`
		ServiceID string `json:"service_id"`
		Type      string `json:"type"`
		Detail    struct {
			PaidTime string `json:"paid_time"`
		} `json:"detail"`
	}
	if p := c.read(&params); p != nil {
		return nil, p
	}
	if p := s.serviceOf(params.AppID, params.ServiceID); p != nil {
		return nil, p
	}
	o, p := s.findScore(c.PathValue("number"), c.now)
	if p != nil {
		return nil, p
	}
	at, exact, ok := scoreTime(params.Detail.PaidTime)
	switch {
	case params.Type != "Order_Paid":
		return nil, badParam("/type", "is Order_Paid")
	case !ok || !exact:
		return nil, badParam("/detail/paid_time", "is yyyyMMddHHmmss")
	case at.After(c.now):
		return nil, badParam("/detail/paid_time", "is in the future")
	}
	rest := o.outstanding()
	if !o.move(inputSync) {
		return nil, scoreRefusals[inputSync]
	}
	s.cancel(o.debit)
	o.debit, o.synced = nil, rest
	o.details = append(o.details, scoreDetail{Seq: len(o.details) + 1, Amount: rest, PaidType: "MCH", PaidTime: params.Detail.PaidTime})
	return s.viewScore(o), nil
}

// collectScore is POST .../{number}/pay: WeChat is asked to debit now.
func (s *Server) collectScore(c *payCall) (any, *problem) {
	var params struct {
		AppID     string `json:"appid"`
		ServiceID string `json:"service_id"`
	}
	if p := c.read(&params); p != nil {
		return nil, p
	}
	if p := s.serviceOf(params.AppID, params.ServiceID); p != nil {
		return nil, p
	}
	o, p := s.findScore(c.PathValue("number"), c.now)
	if p != nil {
		return nil, p
	}
	if !o.move(inputCollect) {
		return nil, scoreRefusals[inputCollect]
	}
	if o.debit != nil && o.debit.at.Sub(c.now) <= s.pay.DebitTime {
		return nil, invalid("订单正在扣款中", scoreDebitRuns)
	}
	s.collect(o, c.now, s.pay.DebitTime)
	return s.receipt(o), nil
}

// ScoreConduct is how Pay Score behaves towards a rider; its zero value is well.
type ScoreConduct struct {
	// RefuseCode is the number with which risk control refuses new orders, as
	// "271300099"; empty for no refusal.
	RefuseCode    string `json:"refuse_code"`
	RefuseMessage string `json:"refuse_message"`
	// FailingDebits is how many debits fail from now on; -1 for all, which are then
	// tried once.
	FailingDebits int `json:"failing_debits"`
	// PartialFen is the most that one debit takes; 0 for no limit.
	PartialFen int64 `json:"partial_fen"`
}

// ScoreFor sets a rider's conduct. Its errors are ErrUnknownRider and complaints
// about the conduct.
func (s *Server) ScoreFor(name string, c ScoreConduct) error {
	if c.RefuseCode != "" && !digits(c.RefuseCode, 9, 9) {
		return errors.New("a refuse code has nine digits")
	}
	if c.PartialFen < 0 || c.FailingDebits < -1 {
		return errors.New("partial fen or failing debits are negative")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.riders[name]
	if r == nil {
		return ErrUnknownRider
	}
	r.conduct = c
	if s.pay == nil {
		return nil
	}
	for _, o := range s.pay.scoresByOpenID[r.openID] {
		if o.state == scorePaying && o.debit == nil {
			s.collect(o, s.now(), s.pay.DebitTime)
		}
	}
	return nil
}

// Confirm is a rider who confirms on the page that wx.openBusinessView shows for a
// package. Its errors are ErrNoMerchant, ErrUnknownRider, ErrUnknownOrder,
// ErrOtherRider, ErrScoreState and ErrScoreRefused.
func (s *Server) Confirm(name, pack string) error {
	if s.pay == nil {
		return ErrNoMerchant
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, o, now := s.riders[name], s.pay.scoresByPack[pack], s.now()
	switch {
	case r == nil:
		return ErrUnknownRider
	case o == nil:
		return ErrUnknownOrder
	case o.rider != nil && o.rider != r:
		return ErrOtherRider
	}
	o.lapse(now)
	if o.state != scoreCreated {
		return ErrScoreState
	}
	if p := s.assess(r, now); p != nil {
		return fmt.Errorf("%w: %s", ErrScoreRefused, p.message)
	}
	o.rider = r
	s.known(o)
	o.move(inputConfirm)
	if o.params.TimeRange.StartTime == onAccept {
		span := *o.params.TimeRange
		span.StartTime = compact(now)
		o.params.TimeRange = &span
	}
	s.notify(notice{
		event: "PAYSCORE.USER_CONFIRM", original: "payscore", summary: "用户确认成功", number: o.params.OutOrderNo,
		url: o.params.NotifyURL, rider: name, resource: s.viewScore(o),
	}, now)
	return nil
}

// PayScoreOrder is a rider who pays by hand what debits did not collect. Its errors
// are ErrNoMerchant, ErrUnknownRider, ErrUnknownOrder, ErrOtherRider and
// ErrScoreState.
func (s *Server) PayScoreOrder(name, outOrderNo string) error {
	if s.pay == nil {
		return ErrNoMerchant
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, o := s.riders[name], s.pay.scores[outOrderNo]
	switch {
	case r == nil:
		return ErrUnknownRider
	case o == nil:
		return ErrUnknownOrder
	case o.rider != r:
		return ErrOtherRider
	case o.state != scorePaying:
		return ErrScoreState
	}
	s.bookScore(o, &transaction{number: outOrderNo, kind: tradeJSAPI}, o.outstanding(), s.now())
	return nil
}
