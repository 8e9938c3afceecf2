package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// Cashier takes one step of one payment at WeChat. billing.ErrUnsure, or any other
// error: the step may or may not have happened.
type Cashier interface {
	Do(context.Context, billing.Ask) (billing.Said, error)
}

// Notice is a verified notification as it waits in the inbox.
type Notice struct {
	ID   string
	Said billing.Said
}

// Purses is what a Collector reads besides snapshots.
type Purses interface {
	// Payer returns who pays, as WeChat knows them; ErrNotFound.
	Payer(ctx context.Context, rider string) (billing.Payer, error)
	// DuePayments claims payments whose time has come for lease and counts the try:
	// whoever crashes leaves them to the next replica, which knows that a step was
	// begun.
	DuePayments(ctx context.Context, lease time.Duration, limit int) ([]string, error)
	// Notices claims notifications that nobody has dealt with, for a while that grows
	// with each try of one; oldest first.
	Notices(ctx context.Context, limit int) ([]Notice, error)
}

// CollectorConfig names a Collector's parts; all but Log are required.
type CollectorConfig struct {
	Service *Service
	Cashier Cashier
	Purses  Purses
	Log     *slog.Logger
}

// Collector takes the steps of payments that are due and deals with notifications.
// It holds no state of its own; any number may run.
type Collector struct {
	CollectorConfig
	kick chan struct{}
}

// NewCollector checks the parts and starts nothing.
func NewCollector(c CollectorConfig) (*Collector, error) {
	if c.Service == nil || c.Cashier == nil || c.Purses == nil {
		return nil, errors.New("order.NewCollector: Service, Cashier and Purses are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Collector{CollectorConfig: c, kick: make(chan struct{}, 1)}, nil
}

// stepTime bounds one step; lease is longer, so that nobody else begins it meanwhile.
const (
	stepTime = 15 * time.Second
	lease    = 30 * time.Second
)

// Wake makes Run look at once; it never blocks.
func (c *Collector) Wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// atOnce is how many payments one replica works on at the same time.
const atOnce = 32

// Run works until ctx ends: at once when it is woken, and four times a second for what
// nobody told it of. A step that waits for WeChat keeps nobody else waiting: no more
// are claimed than there are hands free.
func (c *Collector) Run(ctx context.Context) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var busy sync.WaitGroup
	defer busy.Wait()
	hands := make(chan struct{}, atOnce)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.kick:
		case <-tick.C:
		}
		if err := c.hear(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error("cannot look for notifications", "err", err)
		}
		free := atOnce - len(hands)
		if free == 0 {
			continue
		}
		due, err := c.Purses.DuePayments(ctx, lease, free)
		if err != nil && ctx.Err() == nil {
			c.Log.Error("cannot look for payments", "err", err)
		}
		for _, id := range due {
			hands <- struct{}{}
			busy.Go(func() {
				defer func() { <-hands; c.Wake() }()
				if err := c.Advance(ctx, id); err != nil && ctx.Err() == nil {
					c.Log.Warn("payment not advanced", "payment", id, "err", err)
				}
			})
		}
	}
}

// hear deals with the notifications that wait.
func (c *Collector) hear(ctx context.Context) error {
	notices, err := c.Purses.Notices(ctx, 200)
	if err != nil {
		return err
	}
	for _, n := range notices {
		if err := c.Hear(ctx, n); err != nil && ctx.Err() == nil {
			c.Log.Error("notification not dealt with", "err", err)
		}
	}
	return nil
}

// Hear applies one notification.
func (c *Collector) Hear(ctx context.Context, n Notice) error {
	told, err := run(ctx, c.Service, UseCase[Told](Tell{Payment: PaymentOf(n.Said.Number), Said: n.Said, Notice: n.ID}))
	if err == nil {
		c.Service.Dispatcher.Dispatch(told.Send)
	}
	return err
}

// Advance takes the step of a payment that is due, and applies what WeChat says.
func (c *Collector) Advance(ctx context.Context, id string) error {
	s, err := c.Service.Store.Load(ctx, Query{Payment: id})
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	ask, due := s.ask(id)
	if !due {
		return nil
	}
	if ask.Step == billing.AskCreate && ask.Road != billing.Refund {
		rider := ""
		for _, p := range s.Payments {
			if p.ID == id {
				rider = p.Rider
			}
		}
		if ask.Payer, err = c.Purses.Payer(ctx, rider); err != nil {
			return err
		}
	}
	call, cancel := context.WithTimeout(ctx, stepTime)
	said, err := c.Cashier.Do(call, ask)
	cancel()
	if err != nil {
		c.Log.Warn("WeChat gave no answer", "payment", id, "step", ask.Step, "err", err)
		said = billing.Said{}
	}
	told, err := run(ctx, c.Service, UseCase[Told](Tell{Payment: id, Said: said, Step: ask.Step}))
	if err == nil {
		c.Service.Dispatcher.Dispatch(told.Send)
	}
	return err
}

// ask is the step that is due for a loaded payment, with what its order and the
// payment that it gives back say.
func (s Snapshot) ask(id string) (billing.Ask, bool) {
	find := func(id string) (Payment, bool) {
		for _, p := range s.Payments {
			if p.ID == id {
				return p, true
			}
		}
		return Payment{}, false
	}
	p, found := find(id)
	// No try is counted: another has answered for the claim that brought us here.
	if !found || p.State.Done() || p.DueAt.IsZero() || p.Tries == 0 {
		return billing.Ask{}, false
	}
	a := p.Ask()
	if of, found := find(p.Of); found {
		a.Paid, a.Of = of.Moved, of.Number()
		if of.Road == billing.Score {
			a.OfTransaction = of.Ref
		}
		for _, d := range of.Debits {
			if d.ID == p.Debit {
				a.OfTransaction, a.Paid = d.ID, d.Amount
			}
		}
	}
	for _, o := range s.Orders {
		if o.ID != p.Order {
			continue
		}
		a.Tariff = o.Tariff
		if o.Usage != nil {
			a.Used = time.Duration(o.Usage.BilledMS) * time.Millisecond
		}
		a.From, a.Until = o.ActiveAt, o.EndedAt
	}
	return a, true
}

// TopUp runs the use case of that name.
func (s *Service) TopUp(ctx context.Context, u TopUp) (Placed, error) {
	u.Full = s.Full()
	return run(ctx, s, UseCase[Placed](u))
}

// Withdraw runs the use case of that name.
func (s *Service) Withdraw(ctx context.Context, w Withdraw) (Placed, error) {
	return run(ctx, s, UseCase[Placed](w))
}

// Mend runs the use case of that name.
func (s *Service) Mend(ctx context.Context, m Mend) (Placed, error) {
	return run(ctx, s, UseCase[Placed](m))
}
