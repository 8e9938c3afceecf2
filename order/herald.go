package order

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// ErrNotWanted says that a rider takes no message of a kind: it is dropped.
var ErrNotWanted = errors.New("the rider takes no such message")

// Teller sends one message. ErrNotWanted: never again; any other error: later.
type Teller interface {
	Tell(ctx context.Context, to billing.Payer, m Message) error
}

// Letters is the outbox of messages.
type Letters interface {
	Payer(ctx context.Context, rider string) (billing.Payer, error)
	// DueMessages claims messages whose time has come; the n-th try of one is later than
	// the one before.
	DueMessages(ctx context.Context, limit int) ([]Message, error)
	// DropMessage forgets a message that was sent or that nobody wants.
	DropMessage(ctx context.Context, id string) error
}

// Herald sends what riders are told, best effort: a message that fails a few times is
// forgotten, and no order waits for one.
type Herald struct {
	Teller  Teller
	Letters Letters
	Log     *slog.Logger
}

// Run sends what is due every second until ctx ends.
func (h *Herald) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := h.Turn(ctx); err != nil && ctx.Err() == nil {
			h.Log.Warn("messages not sent", "err", err)
		}
	}
}

// Turn sends what is due now.
func (h *Herald) Turn(ctx context.Context) error {
	due, err := h.Letters.DueMessages(ctx, 5) // so few that each is sent within its claim
	if err != nil {
		return err
	}
	for _, m := range due {
		to, err := h.Letters.Payer(ctx, m.Rider)
		if err == nil {
			call, cancel := context.WithTimeout(ctx, 10*time.Second)
			err = h.Teller.Tell(call, to, m)
			cancel()
		}
		if err != nil && !errors.Is(err, ErrNotWanted) && !errors.Is(err, ErrNotFound) {
			h.Log.Info("message waits", "kind", m.Kind, "order", m.Order, "err", err)
			continue
		}
		if err := h.Letters.DropMessage(ctx, m.ID); err != nil {
			return err
		}
	}
	return nil
}
