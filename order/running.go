package order

import (
	"context"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// Running is what an active order that is billed by time would cost if it ended at a
// moment. Nothing has proved it and nothing is billed by it: the bill goes by what the
// device says.
type Running struct {
	Seconds int64
	Total   billing.Fen
	At      time.Time
}

// Running estimates an order, with the pass and the day's cap that it meets. Nil: it is
// not active, or not billed by time.
func (s *Service) Running(ctx context.Context, o Order) (*Running, error) {
	if o.State != Active || o.Tariff.TimeRule == nil || o.ActiveAt.IsZero() {
		return nil, nil
	}
	snapshot, err := s.Store.Load(ctx, Query{Order: o.ID})
	if err != nil {
		return nil, fmt.Errorf("load order %s: %w", o.ID, err)
	}
	t := newTurn(snapshot, s.Env)
	now := t.orders[o.ID]
	if now == nil || now.State != Active {
		return nil, nil
	}
	ms := max(t.now.Sub(now.ActiveAt).Milliseconds(), 0)
	usage := billing.Usage{BilledMS: ms, DaySpent: snapshot.DaySpent[o.ID], Measured: billing.WithinBoot, Reserved: now.Reserved}
	t.draw(now, &usage)
	return &Running{Seconds: ms / 1000, Total: now.Tariff.Quote(usage).Total, At: t.now}, nil
}
