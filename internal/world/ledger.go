package world

import (
	"fmt"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// ledger computes every balance again, from transfers alone.
type ledger struct {
	posted, held map[billing.AccountID]billing.Fen
	seen         map[string]bool
	holds        map[string]billing.Transfer
	resolved     map[string]billing.Transfer // by hold
	captures     map[string]int              // by order
	byOrder      map[string]billing.Fen      // what an order moved into revenue, refunds taken off
}

func newLedger() ledger {
	return ledger{posted: map[billing.AccountID]billing.Fen{}, held: map[billing.AccountID]billing.Fen{}, seen: map[string]bool{},
		holds: map[string]billing.Transfer{}, resolved: map[string]billing.Transfer{}, captures: map[string]int{},
		byOrder: map[string]billing.Fen{}}
}

// post adds a transaction's transfers and compares the balances that it writes.
func (l *ledger) post(c order.Changes) error {
	for _, t := range c.Transfers {
		if err := l.transfer(t); err != nil {
			return err
		}
	}
	for _, a := range c.Accounts {
		if l.posted[a.ID] != a.Posted || l.held[a.ID] != a.Held {
			return fmt.Errorf("M2: %s is written as %d posted and %d held, its transfers come to %d and %d", a.ID,
				a.Posted, a.Held, l.posted[a.ID], l.held[a.ID])
		}
	}
	for _, t := range c.Transfers {
		for _, id := range []billing.AccountID{t.Debit, t.Credit} {
			if purse := id.Limited() && id[0] != 'r'; purse && (l.posted[id]-l.held[id] < 0 || l.held[id] < 0) {
				return fmt.Errorf("M3: %s stands at %d with %d held", id, l.posted[id], l.held[id])
			}
		}
	}
	return nil
}

func (l *ledger) transfer(t billing.Transfer) error {
	if l.seen[t.ID] || t.Amount <= 0 {
		return fmt.Errorf("M1: transfer %s of %d fen for %s", t.ID, t.Amount, t.Purpose)
	}
	l.seen[t.ID] = true
	if t.Kind == billing.Pending {
		l.holds[t.ID] = t
		l.held[t.Debit] += t.Amount
		return nil
	}
	if t.Kind == billing.Post || t.Kind == billing.Void {
		hold, ok := l.holds[t.Hold]
		if _, twice := l.resolved[t.Hold]; !ok || twice || t.Amount > hold.Amount || t.Order != hold.Order {
			return fmt.Errorf("M4: %s of %d fen resolves hold %s of %d fen (known %v, resolved before %v)", t.Kind, t.Amount, t.Hold,
				hold.Amount, ok, twice)
		}
		l.resolved[t.Hold] = t
		l.held[hold.Debit] -= hold.Amount
		if t.Kind == billing.Void {
			return nil
		}
		if t.Purpose == billing.ForPayback {
			if t.Amount != hold.Amount {
				return fmt.Errorf("M4: %d fen of a refund of %d went back", t.Amount, hold.Amount)
			}
		} else if l.captures[t.Order]++; l.captures[t.Order] > 1 {
			return fmt.Errorf("M5: order %s is captured %d times", t.Order, l.captures[t.Order])
		}
	}
	l.posted[t.Debit] -= t.Amount
	l.posted[t.Credit] += t.Amount
	if t.Credit == billing.Revenue {
		l.byOrder[t.Order] += t.Amount
	}
	if t.Debit == billing.Revenue {
		l.byOrder[t.Order] -= t.Amount
	}
	return nil
}

// judge checks what must hold in the end: everything adds up to zero and no
// hold is left, but those of orders that wait.
func (l *ledger) judge(waits func(hold billing.Transfer) bool) []error {
	var errs []error
	sum := billing.Fen(0)
	for _, posted := range l.posted {
		sum += posted
	}
	if sum != 0 {
		errs = append(errs, fmt.Errorf("M1: all accounts together stand at %d fen", sum))
	}
	for _, id := range sorted(l.holds) {
		if _, ok := l.resolved[id]; !ok && !waits(l.holds[id]) {
			errs = append(errs, fmt.Errorf("M4: the hold of order %s is never resolved", l.holds[id].Order))
		}
	}
	return errs
}
