package order

import (
	"encoding/json"
	"fmt"

	"github.com/unlatch/unlatch/billing"
)

// Mend is staff putting a payment right that does not get on by itself.
type Mend struct {
	Payment string
	// GiveUp ends it: the money of a refund that WeChat refuses or cannot deliver is put
	// into its rider's wallet; a Pay Score bill that WeChat does not take becomes a debt
	// of its rider. Without it a closed refund is made anew, under a new number, and
	// WeChat is asked at once about any other payment.
	GiveUp bool
	Key    KeyRef
	Route  string
	Hash   [32]byte
	Staff  Audit
	Answer func(Payment) (status int, body []byte, err error)
}

// Query names what Mend must see.
func (m Mend) Query() Query { return Query{Payment: m.Payment, Key: &m.Key} }

// Decide does it once per key. ErrWrongState: the payment is over, or nothing of the
// kind can be done with it now.
func (m Mend) Decide(s Snapshot, env Env) (Changes, Placed, error) {
	return keyed(s, env, m.Key, m.Route, m.Hash, func(t *turn) (func() (int, []byte, error), error) {
		p := t.payment(m.Payment)
		switch {
		case p == nil:
			return nil, fmt.Errorf("payment %s: %w", m.Payment, ErrNotFound)
		case m.Staff.Reason == "":
			return nil, ErrReason
		}
		before, _ := json.Marshal(map[string]any{"state": p.State})
		made, err := p, error(nil)
		if m.GiveUp {
			err = t.giveUpPayment(p)
		} else {
			made, err = t.again(p)
		}
		if err != nil {
			return nil, err
		}
		after, _ := json.Marshal(map[string]any{"payment": made.ID, "state": made.State})
		if err := t.audit(m.Staff, "payment "+p.ID, before, after); err != nil {
			return nil, err
		}
		return func() (int, []byte, error) { return m.Answer(*made) }, nil
	})
}

// triedAgain is the reason of a closed refund that has a successor.
const triedAgain = "tried_again"

func (t *turn) again(p *Payment) (*Payment, error) {
	switch {
	case p.State == PaymentPaid, p.State == PaymentClosed && p.Road != billing.Refund, p.Reason == triedAgain, p.State == PaymentConfirmed:
		return nil, fmt.Errorf("payment %s is %s: %w", p.ID, p.State, ErrWrongState)
	case p.State != PaymentClosed:
		p.DueAt = t.now
		t.touchPayment(p)
		return p, nil
	}
	of := t.payment(p.Of)
	if of == nil {
		return nil, fmt.Errorf("payment %s: %w", p.Of, ErrNotFound)
	}
	p.Reason = triedAgain
	t.touchPayment(p)
	if err := t.sendBack(of, p.purse(), p.Amount, "retry"); err != nil {
		return nil, err
	}
	made := p
	for _, q := range t.payments {
		if q.Road == billing.Refund && q.Version == 0 {
			made = q
		}
	}
	return made, nil
}

func (t *turn) giveUpPayment(p *Payment) error {
	// Of a refund that is not accepted only WeChat's own refusal counts: one that is on its
	// way, or has no answer, may arrive all the same.
	refused := p.State == PaymentCreated && p.Last == billing.AskCreate && p.Tries == 0
	switch {
	case p.Road == billing.Refund && (p.State == PaymentAbnormal || refused):
		if !t.movePayment(p, Withdrawn) {
			return ErrWrongState
		}
		p.Reason = "given_up"
		if err := t.refundKept(p); err != nil || p.Order == "" {
			return err
		}
		// It cannot go back to where it came from, and it is the rider's all the same.
		return t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.Prepaid(p.Order), Credit: billing.Wallet(p.Rider),
			Amount: p.Amount, Purpose: billing.ForCredit, Order: p.Order, Key: p.ID}, nil)
	case p.Road == billing.Score && p.State == PaymentCompleting:
		t.withdraw(p, "given_up")
		return nil
	}
	return fmt.Errorf("give up payment %s in state %s: %w", p.ID, p.State, ErrWrongState)
}
