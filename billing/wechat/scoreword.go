package wechat

import (
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// scoreWord is a score order as answers and notifications describe it.
type scoreWord struct {
	AppID       string `json:"appid"`
	MchID       string `json:"mchid"`
	ServiceID   string `json:"service_id"`
	OutOrderNo  string `json:"out_order_no"`
	State       string `json:"state"`
	Description string `json:"state_description"`
	Package     string `json:"package"`
	Total       int64  `json:"total_amount"`
	Fund        struct {
		Amount int64 `json:"amount"`
	} `json:"risk_fund"`
	Collection struct {
		State   string `json:"state"`
		Total   int64  `json:"total_amount"`
		Paid    *int64 `json:"paid_amount"`
		Details []struct {
			Amount        int64  `json:"amount"`
			PaidTime      string `json:"paid_time"`
			TransactionID string `json:"transaction_id"`
		} `json:"details"`
	} `json:"collection"`
}

// scoreStates translates the three parts of a score order's state. A part that is
// absent is "". What is not listed is not understood: other pages of WeChat name
// states that contradict these, and nobody has seen them.
var scoreStates = map[[3]string]billing.Standing{
	{"CREATED", "", ""}:                      billing.StandsOpen,
	{"DOING", "USER_CONFIRM", ""}:            billing.StandsConfirmed,
	{"DOING", "MCH_COMPLETE", ""}:            billing.StandsCollecting,
	{"DOING", "MCH_COMPLETE", "USER_PAYING"}: billing.StandsCollecting,
	{"DONE", "", "USER_PAID"}:                billing.StandsPaid,
	{"DONE", "MCH_COMPLETE", "USER_PAID"}:    billing.StandsPaid,
	{"DONE", "", ""}:                         billing.StandsPaid, // nothing was due
	{"DONE", "MCH_COMPLETE", ""}:             billing.StandsPaid,
	{"REVOKED", "", ""}:                      billing.StandsClosed,
	{"EXPIRED", "", ""}:                      billing.StandsClosed,
}

// scoreHeard translates a score order. Stands is "" where no state is named, as in
// the answers to some steps.
func (c *Cashier) scoreHeard(w scoreWord) (billing.Said, error) {
	said := billing.Said{Road: billing.Score, Number: w.OutOrderNo, Key: w.Package}
	if !numberText.MatchString(said.Number) {
		return billing.Said{}, fmt.Errorf("%w: the word names no number", billing.ErrUnsure)
	}
	said.Foreign = foreign([3]string{"appid", w.AppID, c.cfg.AppID}, [3]string{"service_id", w.ServiceID, c.cfg.ServiceID})
	if said.Foreign == "" && w.MchID != "" { // not in every answer
		said.Foreign = foreign([3]string{"mchid", w.MchID, c.cfg.MchID})
	}
	if w.State == "" && w.Description == "" && w.Collection.State == "" {
		return said, nil
	}
	var known bool
	if said.Stands, known = scoreStates[[3]string{w.State, w.Description, w.Collection.State}]; !known {
		return billing.Said{}, fmt.Errorf("%w: the score order is in a state that is not known", billing.ErrUnsure)
	}
	switch said.Stands {
	case billing.StandsOpen, billing.StandsConfirmed:
		said.Amount = billing.Fen(w.Fund.Amount)
	case billing.StandsCollecting, billing.StandsPaid:
		if err := w.money(&said); err != nil {
			return billing.Said{}, err
		}
	}
	if said.Amount < 0 {
		return billing.Said{}, fmt.Errorf("%w: an amount is below zero", billing.ErrUnsure)
	}
	return said, nil
}

// money fills in what is to be collected and what was. Several debits may have
// brought it in: the id is that of the largest, the time that of the last.
func (w scoreWord) money(said *billing.Said) error {
	said.Amount = billing.Fen(max(w.Total, w.Collection.Total))
	if w.Total != 0 && w.Collection.Total != 0 && w.Total != w.Collection.Total {
		return fmt.Errorf("%w: the score order names two totals", billing.ErrUnsure)
	}
	var sum, largest int64
	for _, d := range w.Collection.Details {
		if d.Amount < 0 || d.Amount > 1<<53 {
			return fmt.Errorf("%w: a debit has no possible amount", billing.ErrUnsure)
		}
		sum += d.Amount
		if d.TransactionID != "" && d.Amount > 0 {
			said.Debits = append(said.Debits, billing.Debit{ID: d.TransactionID, Amount: billing.Fen(d.Amount)})
		}
		if d.TransactionID != "" && (said.ID == "" || d.Amount > largest) {
			said.ID, largest = d.TransactionID, d.Amount
		}
		if d.PaidTime != "" {
			at, err := scoreTime(d.PaidTime)
			if err != nil {
				return err
			}
			if at.After(said.At) {
				said.At = at
			}
		}
	}
	switch {
	case w.Collection.Paid != nil:
		said.Moved = billing.Fen(*w.Collection.Paid)
	case sum > 0:
		said.Moved = billing.Fen(sum)
	case w.Collection.State == "USER_PAID":
		said.Moved = said.Amount
	}
	if said.Moved < 0 || said.Moved > said.Amount || said.Stands == billing.StandsPaid && said.Moved != said.Amount {
		return fmt.Errorf("%w: what the score order brought in does not fit its total", billing.ErrUnsure)
	}
	return nil
}

// scoreTime reads either of the two ways in which WeChat's pages write times.
func scoreTime(text string) (time.Time, error) {
	if at, err := time.ParseInLocation("20060102150405", text, china); err == nil {
		return at.UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: a time is not understood", billing.ErrUnsure)
	}
	return at.UTC(), nil
}
