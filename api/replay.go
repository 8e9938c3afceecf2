package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// replayMost is how many orders one replay takes: about a hundred megabytes.
const replayMost = 200_000

func (a *API) replayRoutes(h huma.API) {
	op := forStaff("replay-tariff", http.MethodPost, "/v1/operator/tariffs/replay", "What a draft would have made of past orders")
	op.Description += " Nothing is stored. What was measured stays: times, litres, what a pass took off. The day's cap is filled by" +
		" the draft's own prices. What staff decided is left as it is."
	register(a, h, op, a.replayTariff)
}

// ReplayBody is a draft and the orders to price again.
type ReplayBody struct {
	Venue  string     `json:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Kind   Kind       `json:"kind"`
	From   time.Time  `json:"from" doc:"Orders settled from then"`
	To     time.Time  `json:"to" doc:"until before then"`
	Tariff string     `json:"tariff,omitempty" pattern:"^[A-Za-z0-9_-]{0,32}$" doc:"Only orders that were billed by it, such as the tariff of a group"`
	Draft  TariffRule `json:"draft"`
}

// Replay is what a draft would have made of past orders; amounts are as billed,
// before refunds.
type Replay struct {
	Orders  int         `json:"orders" doc:"That were priced again"`
	Was     int64       `json:"was_fen"`
	Would   int64       `json:"would_fen"`
	Dearer  int         `json:"dearer"`
	More    int64       `json:"more_fen" doc:"What the dearer ones would bring more"`
	Cheaper int         `json:"cheaper"`
	Less    int64       `json:"less_fen"`
	Riders  int         `json:"riders" doc:"Whose sum would change"`
	Decided int         `json:"decided" doc:"Besides: staff decided their bill"`
	Strange int         `json:"strange" doc:"Besides: of a grade that the draft does not price"`
	Days    []ReplayDay `json:"days"`
	Biggest []ReplayRow `json:"biggest" doc:"The orders that differ most, 20 at most"`
}

// ReplayDay is a day of the venue.
type ReplayDay struct {
	Day    string `json:"day"`
	Orders int    `json:"orders"`
	Was    int64  `json:"was_fen"`
	Would  int64  `json:"would_fen"`
}

// ReplayRow is one order.
type ReplayRow struct {
	Order string `json:"order"`
	Day   string `json:"day"`
	Was   int64  `json:"was_fen"`
	Would int64  `json:"would_fen"`
}

type replayInput struct{ Body ReplayBody }

type replayOutput struct{ Body Replay }

func (a *API) replayTariff(ctx context.Context, in *replayInput) (*replayOutput, error) {
	b := in.Body
	draft := billing.Tariff{ID: "draft", Version: 1, Name: "draft"}
	if err := b.Draft.set(&draft); err != nil {
		return nil, err
	}
	if err := order.CheckTariff(device.Kind(b.Kind), draft); err != nil {
		return nil, err
	}
	if !b.From.Before(b.To) {
		return nil, fmt.Errorf("from must be before to: %w", order.ErrInvalid)
	}
	select { // one at a time: it is large, and nobody waits for it in the street
	case a.replays <- struct{}{}:
		defer func() { <-a.replays }()
	default:
		return nil, order.ErrBusy
	}
	past, err := a.Store.Past(ctx, order.PastQuery{Venue: b.Venue, Kind: device.Kind(b.Kind), Tariff: b.Tariff, From: b.From, To: b.To,
		Most: replayMost})
	if err != nil {
		return nil, err
	}
	r := draft.ReplayOf(past)
	return &replayOutput{Replay{Orders: r.Orders, Was: int64(r.Was), Would: int64(r.Would), Dearer: r.Dearer, More: int64(r.More),
		Cheaper: r.Cheaper, Less: int64(r.Less), Riders: r.Riders, Decided: r.Kept, Strange: r.Strange,
		Days: each(r.Days, func(d billing.DayChange) ReplayDay {
			return ReplayDay{Day: d.Day, Orders: d.Orders, Was: int64(d.Was), Would: int64(d.Would)}
		}),
		Biggest: each(r.Biggest, func(c billing.Change) ReplayRow {
			return ReplayRow{Order: c.Order, Day: c.Day, Was: int64(c.Total), Would: int64(c.Draft)}
		})}}, nil
}
