package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func (a *API) statisticsRoutes(h huma.API) {
	op := forStaff("statistics", http.MethodGet, "/v1/operator/statistics", "How a span went: orders, revenue, time to unlock, failures, utilisation")
	op.Description += " Orders of riders that were made within the span, at most 92 days; without from the last seven days."
	register(a, h, op, a.statistics)
}

type statisticsInput struct {
	Venue string    `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Kind  string    `query:"kind" enum:"lock,pump"`
	From  time.Time `query:"from" doc:"Orders made from then"`
	To    time.Time `query:"to" doc:"until before then; now unless given"`
}

// Statistics is how a span went.
type Statistics struct {
	From     time.Time          `json:"from"`
	To       time.Time          `json:"to"`
	Orders   int64              `json:"orders"`
	Settled  int64              `json:"settled"`
	Voided   int64              `json:"voided"`
	Billed   int64              `json:"billed_fen" doc:"Captured or owed, before refunds"`
	Refunded int64              `json:"refunded_fen"`
	Unlock   *UnlockTimes       `json:"unlock,omitempty" doc:"Absent where nothing started"`
	Reasons  []ReasonCount      `json:"void_reasons" doc:"The most frequent first"`
	Firmware []FirmwareFailures `json:"firmware" doc:"Of the devices as they are now"`
	Outlets  int64              `json:"outlets" doc:"Of devices that are in service now"`
	Used     int64              `json:"used_s" doc:"Seconds for which outlets were in use within the span"`
	Utilised float64            `json:"utilisation" doc:"used_s divided by outlets times the span"`
	Days     []DayStatistics    `json:"days" doc:"By the day of the start at its venue; days without orders are left out"`
}

// UnlockTimes are milliseconds from the committed start to the device's proof.
type UnlockTimes struct {
	P50 int64 `json:"p50_ms"`
	P95 int64 `json:"p95_ms"`
	P99 int64 `json:"p99_ms"`
}

// ReasonCount is how many orders were voided for a reason.
type ReasonCount struct {
	Reason string `json:"reason"`
	Orders int64  `json:"orders"`
}

// FirmwareFailures is how starts went on a firmware.
type FirmwareFailures struct {
	Firmware string  `json:"firmware" doc:"Empty where devices never told"`
	Devices  int64   `json:"devices"`
	Starts   int64   `json:"starts"`
	Failed   int64   `json:"failed" doc:"Voided, and not because the rider cancelled"`
	Rate     float64 `json:"failure_rate"`
}

// DayStatistics is one day.
type DayStatistics struct {
	Day      string `json:"day"`
	Orders   int64  `json:"orders"`
	Settled  int64  `json:"settled"`
	Voided   int64  `json:"voided"`
	Billed   int64  `json:"billed_fen"`
	Refunded int64  `json:"refunded_fen"`
	Used     int64  `json:"used_s"`
}

type statisticsOutput struct{ Body Statistics }

func (a *API) statistics(ctx context.Context, in *statisticsInput) (*statisticsOutput, error) {
	q := order.StatisticsQuery{Venue: in.Venue, Kind: device.Kind(in.Kind), From: in.From, To: in.To}
	if q.To.IsZero() {
		q.To = time.Now()
	}
	if q.From.IsZero() {
		q.From = q.To.AddDate(0, 0, -7)
	}
	switch {
	case !q.From.Before(q.To):
		return nil, fmt.Errorf("from must be before to: %w", order.ErrInvalid)
	case q.To.Sub(q.From) > order.StatisticsMost:
		return nil, fmt.Errorf("the span is longer than %d days; ask for parts of it: %w", order.StatisticsMost/(24*time.Hour), order.ErrInvalid)
	}
	if q.Venue != "" {
		card, err := a.cards.card(ctx, q.Venue)
		switch {
		case err != nil:
			return nil, err
		case card == nil:
			return nil, errVenueUnknown
		}
	}
	select { // one at a time: it is large, and nobody waits for it in the street
	case a.replays <- struct{}{}:
		defer func() { <-a.replays }()
	default:
		return nil, order.ErrBusy
	}
	s, err := a.Store.Statistics(ctx, q)
	if err != nil {
		return nil, err
	}
	v := Statistics{From: q.From.UTC(), To: q.To.UTC(), Outlets: s.Outlets, Used: int64(s.Used / time.Second),
		Reasons: each(s.Reasons, func(c order.Count) ReasonCount { return ReasonCount{c.What, c.N} }),
		Firmware: each(s.Firmware, func(f order.FirmwareStatistics) FirmwareFailures {
			return FirmwareFailures{Firmware: f.Firmware, Devices: f.Devices, Starts: f.Starts, Failed: f.Failed, Rate: share(float64(f.Failed), float64(f.Starts))}
		}),
		Days: each(s.Days, func(d order.DayStatistics) DayStatistics {
			return DayStatistics{Day: d.Day, Orders: d.Orders, Settled: d.Settled, Voided: d.Voided, Billed: int64(d.Billed),
				Refunded: int64(d.Refunded), Used: int64(d.Used / time.Second)}
		})}
	for _, d := range v.Days {
		v.Orders, v.Settled, v.Voided = v.Orders+d.Orders, v.Settled+d.Settled, v.Voided+d.Voided
		v.Billed, v.Refunded = v.Billed+d.Billed, v.Refunded+d.Refunded
	}
	if len(s.Unlock) == 3 {
		v.Unlock = &UnlockTimes{s.Unlock[0].Milliseconds(), s.Unlock[1].Milliseconds(), s.Unlock[2].Milliseconds()}
	}
	v.Utilised = share(s.Used.Seconds(), float64(s.Outlets)*q.To.Sub(q.From).Seconds())
	return &statisticsOutput{v}, nil
}

// share is a part of a whole, 0 of nothing.
func share(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}
