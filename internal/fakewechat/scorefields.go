package fakewechat

import (
	"slices"
	"strconv"
	"time"
)

// scoreParams is the body of POST /v3/payscore/serviceorder.
type scoreParams struct {
	OutOrderNo          string          `json:"out_order_no"`
	AppID               string          `json:"appid"`
	ServiceID           string          `json:"service_id"`
	ServiceIntroduction string          `json:"service_introduction"`
	PostPayments        []scoreItem     `json:"post_payments,omitempty"`
	PostDiscounts       []scoreItem     `json:"post_discounts,omitempty"`
	TimeRange           *scoreTimeRange `json:"time_range,omitempty"`
	Location            *scoreLocation  `json:"location,omitempty"`
	RiskFund            *scoreRiskFund  `json:"risk_fund,omitempty"`
	Attach              string          `json:"attach,omitempty"`
	NotifyURL           string          `json:"notify_url"`
	OpenID              string          `json:"openid,omitempty"`
	NeedUserConfirm     *bool           `json:"need_user_confirm,omitempty"`
	Device              *scoreDevice    `json:"device,omitempty"`
}

// scoreItem is something to pay for, or a discount. A missing amount is not 0: the
// first item of a bike order may have none.
type scoreItem struct {
	Name        string `json:"name,omitempty"`
	Amount      *int64 `json:"amount,omitempty"`
	Description string `json:"description,omitempty"`
	Count       *int64 `json:"count,omitempty"`
}

type scoreTimeRange struct {
	StartTime       string `json:"start_time,omitempty"`
	StartTimeRemark string `json:"start_time_remark,omitempty"`
	EndTime         string `json:"end_time,omitempty"`
	EndTimeRemark   string `json:"end_time_remark,omitempty"`
}

type scoreLocation struct {
	StartLocation string `json:"start_location,omitempty"`
	EndLocation   string `json:"end_location,omitempty"`
}

type scoreRiskFund struct {
	Name        string `json:"name"`
	Amount      int64  `json:"amount"`
	Description string `json:"description,omitempty"`
}

type scoreDevice struct {
	StartDeviceID string `json:"start_device_id,omitempty"`
	EndDeviceID   string `json:"end_device_id,omitempty"`
	MaterielNo    string `json:"materiel_no,omitempty"`
}

const (
	// startGrace is how long a request may be under way before its start is past.
	startGrace = time.Minute
	onAccept   = "OnAccept" // the start is when the rider confirms
	// estimate is the risk fund of the mode "enjoy first", whose orders may cost up to
	// the cap of the service; the others bound the order by themselves.
	estimate = "ESTIMATE_ORDER_COST"
	// bikeRule and bikeTime are what a finished ride must tell the rider.
	bikeRule = "计费规则"
	bikeTime = "骑行时长"
)

var (
	riskFunds = []string{"DEPOSIT", "ADVANCE", "CASH_DEPOSIT", estimate}
	bikeNames = []string{bikeRule, bikeTime, "骑行费用", "调度费用", "头盔费用", "罚款"}
)

// checkScore is the table of fields at the creation.
func (s *Server) checkScore(p scoreParams, now time.Time) *problem {
	if p.TimeRange == nil {
		p.TimeRange = &scoreTimeRange{}
	}
	if p.RiskFund == nil {
		p.RiskFund = &scoreRiskFund{}
	}
	if p.Location == nil {
		p.Location = &scoreLocation{}
	}
	switch {
	case len(p.OutOrderNo) < 1 || len(p.OutOrderNo) > 32 || !made(p.OutOrderNo, "_-|*"):
		return badParam("/out_order_no", "has 1 to 32 digits, letters and _-|*")
	case !within(p.ServiceIntroduction, 1, 20):
		return badParam("/service_introduction", "has 1 to 20 characters")
	case !notifyURL(p.NotifyURL):
		return badParam("/notify_url", "is a public https address without a query, at most 255 characters")
	case !slices.Contains(riskFunds, p.RiskFund.Name):
		return badParam("/risk_fund/name", "is DEPOSIT, ADVANCE, CASH_DEPOSIT or ESTIMATE_ORDER_COST")
	case p.RiskFund.Amount < 1:
		return badParam("/risk_fund/amount", "is at least 1")
	case !within(p.RiskFund.Description, 0, 30):
		return badParam("/risk_fund/description", "has at most 30 characters")
	case p.RiskFund.Amount > s.pay.RiskCap:
		return invalid("风险金额超过服务ID的上限", scoreOverCap)
	case !within(p.Attach, 0, 256) || !made(p.Attach, "%-_.~+*!'()"):
		return badParam("/attach", "has at most 256 characters, url-encoded")
	case !within(p.Location.StartLocation, 0, 50) || !within(p.Location.EndLocation, 0, 50):
		return badParam("/location", "has at most 50 characters each")
	case s.pay.BikeRules && (p.Device == nil || p.Device.StartDeviceID == ""):
		return badParam("/device/start_device_id", "is required for what nobody attends to")
	}
	if prob := checkDevice(p.Device); prob != nil {
		return prob
	}
	if prob := checkStart(*p.TimeRange, now); prob != nil {
		return prob
	}
	if prob := checkItems(p.PostPayments, p.PostDiscounts); prob != nil {
		return prob
	}
	if s.pay.BikeRules {
		first := p.PostPayments
		if len(first) != 1 || first[0].Name != bikeRule || first[0].Description == "" || first[0].Amount != nil || first[0].Count != nil {
			return badParam("/post_payments", "is one 计费规则 with a description alone")
		}
	}
	return nil
}

func checkDevice(d *scoreDevice) *problem {
	if d != nil && (!within(d.StartDeviceID, 0, 32) || !within(d.EndDeviceID, 0, 32) || !within(d.MaterielNo, 0, 32)) {
		return badParam("/device", "has at most 32 characters each")
	}
	return nil
}

// checkItems looks at each item by itself.
func checkItems(payments, discounts []scoreItem) *problem {
	if len(payments) > 100 || len(discounts) > 30 {
		return badParam("/post_payments", "has at most 100 items, post_discounts 30")
	}
	for i, item := range slices.Concat(payments, discounts) {
		list := "/post_payments/"
		if i >= len(payments) {
			i, list = i-len(payments), "/post_discounts/"
		}
		switch {
		case !within(item.Name, 1, 20):
			return badParam(list+strconv.Itoa(i)+"/name", "has 1 to 20 characters")
		case !within(item.Description, 0, 30):
			return badParam(list+strconv.Itoa(i)+"/description", "has at most 30 characters")
		case item.Amount != nil && *item.Amount < 0:
			return badParam(list+strconv.Itoa(i)+"/amount", "is not negative")
		case item.Count != nil && (*item.Count < 1 || *item.Count > 100):
			return badParam(list+strconv.Itoa(i)+"/count", "is 1 to 100")
		}
	}
	return nil
}

// scoreTime reads yyyyMMddHHmmss or yyyyMMdd, Chinese time.
func scoreTime(text string) (at time.Time, exact, ok bool) {
	layout := "20060102"
	if len(text) == 14 {
		layout, exact = "20060102150405", true
	}
	at, err := time.ParseInLocation(layout, text, china)
	return at, exact, err == nil
}

func compact(at time.Time) string { return at.In(china).Format("20060102150405") }

func checkStart(r scoreTimeRange, now time.Time) *problem {
	if !within(r.StartTimeRemark, 0, 20) || !within(r.EndTimeRemark, 0, 20) {
		return badParam("/time_range", "has remarks of at most 20 characters")
	}
	if r.StartTime == onAccept {
		if _, _, ok := scoreTime(r.EndTime); r.EndTime != "" && !ok {
			return badParam("/time_range/end_time", "is yyyyMMddHHmmss or yyyyMMdd")
		}
		return nil
	}
	start, exact, ok := scoreTime(r.StartTime)
	if !ok {
		return badParam("/time_range/start_time", "is yyyyMMddHHmmss, yyyyMMdd or OnAccept")
	}
	earliest, _, _ := scoreTime(now.In(china).Format("20060102"))
	if exact {
		earliest = now.Add(-startGrace)
	}
	if start.Before(earliest) {
		return invalid("服务开始时间不得早于当前时间", scoreBadTime)
	}
	if r.EndTime == "" {
		return nil
	}
	return checkSpan(start, exact, r.EndTime)
}

// checkSpan wants an end of the same precision after the start.
func checkSpan(start time.Time, exact bool, text string) *problem {
	end, endExact, ok := scoreTime(text)
	switch {
	case !ok:
		return badParam("/time_range/end_time", "is yyyyMMddHHmmss or yyyyMMdd")
	case exact != endExact:
		return badParam("/time_range/end_time", "is as precise as the start")
	case exact && !end.After(start), end.Before(start):
		return invalid("服务结束时间须晚于服务开始时间", scoreBadTime)
	}
	return nil
}

// checkEnd is the time range of a completion.
func checkEnd(r *scoreTimeRange, now time.Time) *problem {
	if r == nil {
		return badParam("/time_range", "is required: start and end")
	}
	start, exact, ok := scoreTime(r.StartTime)
	if !ok {
		return badParam("/time_range/start_time", "is yyyyMMddHHmmss or yyyyMMdd")
	}
	if prob := checkSpan(start, exact, r.EndTime); prob != nil {
		return prob
	}
	if end, _, _ := scoreTime(r.EndTime); end.After(now) {
		return invalid("服务结束时间不得晚于当前时间", scoreBadTime)
	}
	if !within(r.StartTimeRemark, 0, 20) || !within(r.EndTimeRemark, 0, 20) {
		return badParam("/time_range", "has remarks of at most 20 characters")
	}
	return nil
}

// checkTotal is the equation of amounts, the caps, and what a bike ride must name.
func (s *Server) checkTotal(o *scoreOrder, total *int64, payments, discounts []scoreItem) *problem {
	if total == nil || *total < 0 {
		return badParam("/total_amount", "is required and not negative")
	}
	if len(payments) == 0 {
		return badParam("/post_payments", "is required")
	}
	if prob := checkItems(payments, discounts); prob != nil {
		return prob
	}
	var sum int64
	for _, item := range payments {
		if item.Amount != nil {
			sum += *item.Amount
		}
	}
	for _, item := range discounts {
		if item.Amount != nil {
			sum -= *item.Amount
		}
	}
	if sum != *total {
		return badParam("/total_amount", "is not the sum of payments less discounts")
	}
	limit := o.params.RiskFund.Amount
	if o.params.RiskFund.Name == estimate {
		limit = s.pay.RiskCap
	}
	if *total > limit {
		return invalid("订单总金额超过上限", scoreOverCap)
	}
	if s.pay.BikeRules {
		named := map[string]bool{}
		for _, item := range payments {
			if !slices.Contains(bikeNames, item.Name) {
				return badParam("/post_payments", "names something that bike sharing does not have")
			}
			named[item.Name] = item.Description != "" || named[item.Name]
		}
		if !named[bikeRule] || !named[bikeTime] {
			return badParam("/post_payments", "tells 计费规则 and 骑行时长")
		}
	}
	return nil
}
