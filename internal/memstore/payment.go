package memstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// notice is a row of the inbox.
type notice struct {
	order.Notice
	subject, event string
	done           bool
}

// loadPayments adds what a snapshot holds of payments, as the Postgres store does.
func (s *Store) loadPayments(snap *order.Snapshot, q order.Query) {
	wanted := map[string]bool{}
	for _, p := range s.payments {
		ofOrder := slices.ContainsFunc(snap.Orders, func(o order.Order) bool { return o.ID == p.Order })
		mine := q.Rider != "" && p.Rider == q.Rider
		if ofOrder || p.ID == q.Payment && q.Payment != "" || mine && !p.State.Done() ||
			mine && q.TopUps && p.For == order.ForTopUp && p.State == order.PaymentPaid && p.Back < p.Moved {
			wanted[p.ID] = true
		}
		if p.ID == q.Payment && p.Of != "" {
			wanted[p.Of] = true
		}
	}
	for id := range wanted {
		snap.Payments = append(snap.Payments, s.payments[id])
	}
	slices.SortFunc(snap.Payments, func(a, b order.Payment) int { return strings.Compare(a.ID, b.ID) })
}

func (s *Store) applyPayments(c order.Changes) {
	for _, p := range c.Payments {
		p.Version++
		s.payments[p.ID] = p
	}
	for _, id := range c.Notices {
		for i := range s.notices {
			if s.notices[i].ID == id {
				s.notices[i].done = true
			}
		}
	}
	s.messages = append(s.messages, c.Messages...)
	s.paymentMoves = append(s.paymentMoves, c.PaymentMoves...)
}

func (s *Store) stalePayments(c order.Changes) string {
	funds := func(p order.Payment) bool {
		switch p.State {
		case order.PaymentCreated, order.PaymentOpen, order.PaymentConfirmed, order.PaymentCompleting, order.PaymentCollecting:
			return p.For == order.ForOrder
		}
		return false
	}
	next := map[string]order.Payment{}
	for _, p := range c.Payments {
		if s.payments[p.ID].Version != p.Version {
			return "payment"
		}
		if p.State.Done() && !p.DueAt.IsZero() || p.State.Done() == p.DoneAt.IsZero() || p.Back < 0 || p.Back > p.Moved {
			panic(fmt.Sprintf("payment that the database refuses: %+v", p))
		}
		next[p.ID] = p
	}
	for _, p := range c.Payments {
		for _, have := range s.payments {
			if changed, ok := next[have.ID]; ok {
				have = changed
			}
			if have.ID != p.ID && funds(p) && funds(have) && have.Order == p.Order {
				return "payments_one_funds_an_order"
			}
		}
	}
	return ""
}

// DuePayments implements order.Purses.
func (s *Store) DuePayments(_ context.Context, lease time.Duration, limit int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []order.Payment
	for _, p := range s.payments {
		if !p.DueAt.IsZero() && !p.DueAt.After(s.Now()) {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b order.Payment) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), strings.Compare(a.ID, b.ID))
	})
	var ids []string
	for _, p := range due[:min(limit, len(due))] {
		p.DueAt, p.Tries, p.Version = s.Now().Add(lease).UTC(), p.Tries+1, p.Version+1
		s.payments[p.ID] = p
		ids = append(ids, p.ID)
	}
	return ids, nil
}

// Payer implements order.Purses: a rider's identity is "openid-" and their id.
func (s *Store) Payer(_ context.Context, rider string) (billing.Payer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.riders[rider]; !ok {
		return "", fmt.Errorf("rider %s: %w", rider, order.ErrNotFound)
	}
	return billing.Payer("openid-" + rider), nil
}

// AddNotice keeps a notification unless the same fact is there already.
func (s *Store) AddNotice(_ context.Context, said billing.Said, event string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	subject := said.Number
	if said.Road == billing.Score {
		subject = fmt.Sprintf("%s/%d", said.Number, said.Moved)
	}
	for _, n := range s.notices {
		if n.subject == subject && n.event == event {
			return nil
		}
	}
	s.notices = append(s.notices, notice{Notice: order.Notice{ID: fmt.Sprint("notice-", len(s.notices)), Said: said}, subject: subject, event: event})
	return nil
}

// Notices implements order.Purses.
func (s *Store) Notices(_ context.Context, limit int) ([]order.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var open []order.Notice
	for _, n := range s.notices {
		if !n.done && len(open) < limit {
			open = append(open, n.Notice)
		}
	}
	return open, nil
}

// Payments returns every payment by id, for oracles.
func (s *Store) Payments() []order.Payment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []order.Payment
	for _, p := range s.payments {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b order.Payment) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// Messages returns what riders were told, for oracles.
func (s *Store) Messages() []order.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}
