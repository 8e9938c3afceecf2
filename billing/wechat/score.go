package wechat

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
)

// The official SDK has no package for score orders; these calls go through its
// client, which signs and verifies.
const scorePath = payURL + "/v3/payscore/serviceorder"

// maxScoreReason is what WeChat takes as the reason of a cancellation or a lower
// amount.
const maxScoreReason = 50

// scoreItem is one line of what the rider sees. At Create there is one, the tariff
// in words; the names at Complete are those that WeChat's acceptance allows.
type scoreItem struct {
	Name        string `json:"name"`
	Amount      int64  `json:"amount,omitempty"`
	Description string `json:"description,omitempty"`
}

type scoreFund struct {
	Name   string `json:"name"`
	Amount int64  `json:"amount"`
}

type scoreRange struct {
	Start string `json:"start_time"`
	End   string `json:"end_time,omitempty"`
}

type scorePlace struct {
	Start string `json:"start_location,omitempty"`
}

type scoreDevice struct {
	Start string `json:"start_device_id,omitempty"`
}

// scoreRequest is the body of every call; each fills in what it needs. Without an
// openid whoever opens the package can confirm.
type scoreRequest struct {
	OutOrderNo   string       `json:"out_order_no,omitempty"`
	AppID        string       `json:"appid"`
	ServiceID    string       `json:"service_id"`
	Introduction string       `json:"service_introduction,omitempty"`
	Items        []scoreItem  `json:"post_payments,omitempty"`
	Fund         *scoreFund   `json:"risk_fund,omitempty"`
	Range        *scoreRange  `json:"time_range,omitempty"`
	Place        *scorePlace  `json:"location,omitempty"`
	Device       *scoreDevice `json:"device,omitempty"`
	Attach       string       `json:"attach,omitempty"`
	NotifyURL    string       `json:"notify_url,omitempty"`
	OpenID       string       `json:"openid,omitempty"`
	Confirm      *bool        `json:"need_user_confirm,omitempty"`
	Total        *int64       `json:"total_amount,omitempty"`
	Reason       string       `json:"reason,omitempty"`
	Type         string       `json:"type,omitempty"`
	Detail       *scorePaid   `json:"detail,omitempty"`
}

type scorePaid struct {
	PaidTime string `json:"paid_time"`
}

func (c *Cashier) scoreRequest() scoreRequest {
	return scoreRequest{AppID: c.cfg.AppID, ServiceID: c.cfg.ServiceID}
}

func (c *Cashier) createScore(ctx context.Context, a billing.Ask) (billing.Said, error) {
	if a.Amount < 1 {
		return billing.Said{}, fmt.Errorf("%w: a score order needs a risk fund of one fen or more", ErrBadAsk)
	}
	r := c.scoreRequest()
	r.OutOrderNo, r.Introduction, r.NotifyURL, r.Attach = a.Number, c.cfg.ServiceIntroduction, c.cfg.NotifyURL, url.QueryEscape(attach(a))
	r.Confirm = core.Bool(true)
	if c.cfg.NamePayer {
		r.OpenID = string(a.Payer)
	}
	r.Fund = &scoreFund{Name: c.cfg.RiskFundName, Amount: int64(a.Amount)}
	r.Items = []scoreItem{{Name: itemRule, Description: ruleText(a.Tariff)}}
	r.Range = &scoreRange{Start: "OnAccept"}
	if a.Venue != "" {
		r.Place = &scorePlace{Start: a.Venue}
	}
	if a.Device != "" {
		r.Device = &scoreDevice{Start: a.Device}
	}
	said, err := c.postScore(ctx, "", r)
	if err == nil && said.Stands == billing.StandsOpen && said.Key == "" {
		return billing.Said{}, fmt.Errorf("%w: the answer has no package", billing.ErrUnsure)
	}
	return said, err
}

func (c *Cashier) queryScore(ctx context.Context, a billing.Ask) (billing.Said, error) {
	query := url.Values{"service_id": {c.cfg.ServiceID}, "appid": {c.cfg.AppID}, "out_order_no": {a.Number}}
	return c.hearScore(c.client.Get(ctx, scorePath+"?"+query.Encode()))
}

// cancelScore answers StandsClosed: the answer itself names no state.
func (c *Cashier) cancelScore(ctx context.Context, a billing.Ask) (billing.Said, error) {
	r := c.scoreRequest()
	if r.Reason = clip(a.Reason, maxScoreReason); r.Reason == "" {
		r.Reason = "cancelled"
	}
	return c.postStep(ctx, a, "cancel", r, billing.StandsClosed)
}

// completeScore says what the use came to. A repetition must be the same to the
// byte, so the ask names From and Until; with others it is refused for the state or
// the figures.
func (c *Cashier) completeScore(ctx context.Context, a billing.Ask) (billing.Said, error) {
	if a.Amount < 0 {
		return billing.Said{}, fmt.Errorf("%w: an amount is below zero", ErrBadAsk)
	}
	r := c.scoreRequest()
	r.Items, r.Total = billItems(a), core.Int64(int64(a.Amount))
	r.Range = useRange(a, c.cfg.Now())
	return c.postStep(ctx, a, "complete", r, billing.StandsCollecting)
}

func (c *Cashier) modifyScore(ctx context.Context, a billing.Ask) (billing.Said, error) {
	if a.Amount < 0 {
		return billing.Said{}, fmt.Errorf("%w: an amount is below zero", ErrBadAsk)
	}
	r := c.scoreRequest()
	r.Items, r.Total = billItems(a), core.Int64(int64(a.Amount))
	if r.Reason = clip(a.Reason, maxScoreReason); r.Reason == "" {
		r.Reason = "corrected"
	}
	return c.postStep(ctx, a, "modify", r, billing.StandsCollecting)
}

func (c *Cashier) collectScore(ctx context.Context, a billing.Ask) (billing.Said, error) {
	return c.postStep(ctx, a, "pay", c.scoreRequest(), billing.StandsCollecting)
}

// syncScore tells WeChat that the rider paid elsewhere, at Until; the zero time is
// now.
func (c *Cashier) syncScore(ctx context.Context, a billing.Ask) (billing.Said, error) {
	paid := a.Until
	if paid.IsZero() {
		paid = c.cfg.Now()
	}
	r := c.scoreRequest()
	r.Type, r.Detail = "Order_Paid", &scorePaid{PaidTime: compact(paid)}
	return c.postStep(ctx, a, "sync", r, billing.StandsPaid)
}

// postStep takes a step of an order that exists. Some answers only echo the number:
// then the step's success says how it stands.
func (c *Cashier) postStep(ctx context.Context, a billing.Ask, name string, r scoreRequest, done billing.Standing) (billing.Said, error) {
	said, err := c.postScore(ctx, "/"+url.PathEscape(a.Number)+"/"+name, r)
	if err == nil && said.Stands == "" {
		said.Stands = done
	}
	return said, err
}

func (c *Cashier) postScore(ctx context.Context, path string, r scoreRequest) (billing.Said, error) {
	return c.hearScore(c.client.Post(ctx, scorePath+path, r))
}

func (c *Cashier) hearScore(answer *core.APIResult, err error) (billing.Said, error) {
	if err != nil {
		return billing.Said{}, err
	}
	var w scoreWord
	if err := core.UnMarshalResponse(answer.Response, &w); err != nil {
		return billing.Said{}, err
	}
	return c.scoreHeard(w)
}

// compact is a time as Pay Score writes it: yyyyMMddHHmmss, China.
func compact(t time.Time) string { return t.In(china).Format("20060102150405") }

// useRange is when the use went on, in whole seconds. WeChat demands an end after the
// start and not in the future, also of a use that was shorter than a second.
func useRange(a billing.Ask, now time.Time) *scoreRange {
	from, until := a.From, a.Until
	if until.IsZero() || until.After(now) {
		until = now
	}
	if from.IsZero() {
		from = until.Add(-max(a.Used, time.Second))
	}
	until = until.Truncate(time.Second)
	if from = from.Truncate(time.Second); !from.Before(until) {
		from = until.Add(-time.Second)
	}
	return &scoreRange{Start: compact(from), End: compact(until)}
}
