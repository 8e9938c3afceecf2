package order

import (
	"fmt"
	"slices"
	"strings"

	"github.com/unlatch/unlatch/billing"
)

// TopUp asks a rider to pay into their wallet. Debts are paid of it first.
type TopUp struct {
	Rider  string
	Amount billing.Fen
	Key    KeyRef
	Route  string
	Hash   [32]byte
	Full   bool // as in Place
	Answer func(Payment) (status int, body []byte, err error)
}

// Query names what TopUp must see.
func (u TopUp) Query() Query { return Query{Rider: u.Rider, Key: &u.Key} }

// Decide makes the payment. An earlier top-up that was not paid yet is withdrawn: one
// dialogue is open at a time. ErrBalanceCap: the wallet would hold more than it may.
func (u TopUp) Decide(s Snapshot, env Env) (Changes, Placed, error) {
	return keyed(s, env, u.Key, u.Route, u.Hash, func(t *turn) (func() (int, []byte, error), error) {
		c := t.env.Config
		wallet, owed := t.book.Account(billing.Wallet(u.Rider)), t.book.Account(billing.Receivable(u.Rider)).Debt()
		switch {
		case u.Full:
			return nil, ErrFull
		case s.Rider == nil:
			return nil, ErrNotFound
		case s.Rider.Erased:
			return nil, ErrRiderErased
		case !c.WeChatPay:
			return nil, ErrPayWith
		case u.Amount <= 0:
			return nil, ErrTopUp
		case c.BalanceCap >= 0 && wallet.Posted+u.Amount-min(owed, u.Amount) > c.BalanceCap:
			return nil, fmt.Errorf("%w: %v yuan, and %v are in it", ErrBalanceCap, c.BalanceCap, wallet.Posted)
		}
		open := 0
		for _, p := range t.payments {
			if p.Rider == u.Rider && p.For == ForTopUp && !p.State.Done() {
				t.withdraw(p, "another_topup")
				open++
			}
		}
		if open >= 5 { // WeChat has yet to close the ones before
			return nil, ErrTooManyPayments
		}
		p, err := t.newPayment(Payment{Road: billing.Transaction, For: ForTopUp, Rider: u.Rider, Amount: u.Amount,
			ExpiresAt: t.now.Add(c.TopUpTime)})
		if err != nil {
			return nil, err
		}
		return func() (int, []byte, error) { return u.Answer(*p) }, nil
	})
}

// Withdraw gives a rider what their wallet has to spare, as refunds of the top-ups
// that it came from, newest first.
type Withdraw struct {
	Rider  string
	Amount billing.Fen // 0 = all that can go back
	Key    KeyRef
	Route  string
	Hash   [32]byte
	Answer func(sent []Payment) (status int, body []byte, err error)
}

// Query names what Withdraw must see.
func (w Withdraw) Query() Query { return Query{Rider: w.Rider, Key: &w.Key, TopUps: true} }

// Decide holds the money and makes the refunds. ErrNoMoney: there is not that much to
// spare; ErrOverRefund: that much did not come from top-ups that WeChat can refund.
func (w Withdraw) Decide(s Snapshot, env Env) (Changes, Placed, error) {
	return keyed(s, env, w.Key, w.Route, w.Hash, func(t *turn) (func() (int, []byte, error), error) {
		if err := t.payDebt(w.Rider, "", w.Key.Principal+"/"+w.Key.Key); err != nil {
			return nil, err
		}
		wallet := t.book.Account(billing.Wallet(w.Rider))
		left := w.Amount
		if left == 0 {
			left = wallet.Available()
		}
		switch {
		case s.Rider == nil:
			return nil, ErrNotFound
		case left <= 0 || left > wallet.Available():
			return nil, ErrNoMoney
		}
		for _, p := range t.topUps(w.Rider) {
			part := min(left, p.Moved-p.Back)
			if err := t.sendBack(p, wallet.ID, part, "withdrawal"); err != nil {
				return nil, err
			}
			left -= max(part, 0)
		}
		if left > 0 && w.Amount > 0 {
			return nil, fmt.Errorf("%w: %v yuan of it did not come from top-ups of the last year", ErrOverRefund, left)
		}
		var sent []Payment
		for _, p := range t.payments {
			if p.Road == billing.Refund && p.Version == 0 {
				sent = append(sent, *p)
			}
		}
		if len(sent) == 0 {
			return nil, fmt.Errorf("%w: nothing in the wallet came from top-ups of the last year", ErrOverRefund)
		}
		slices.SortFunc(sent, func(a, b Payment) int { return strings.Compare(a.ID, b.ID) })
		return func() (int, []byte, error) { return w.Answer(sent) }, nil
	})
}

// topUps lists a rider's paid top-ups, newest first.
func (t *turn) topUps(rider string) []*Payment {
	var all []*Payment
	for _, p := range t.payments {
		if p.Rider == rider && p.For == ForTopUp && p.State == PaymentPaid {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *Payment) int { return strings.Compare(b.ID, a.ID) })
	return all
}

// keyed runs a decision whose answer its idempotency key replays.
func keyed(s Snapshot, env Env, key KeyRef, route string, hash [32]byte,
	decide func(*turn) (answer func() (int, []byte, error), err error)) (Changes, Placed, error) {
	fail := func(err error) (Changes, Placed, error) { return Changes{}, Placed{}, err }
	if s.Key != nil {
		if s.Key.BodyHash != hash || s.Key.Route != route {
			return fail(ErrKeyReused)
		}
		return Changes{}, Placed{Status: s.Key.Status, Answer: s.Key.Answer, Replayed: true}, nil
	}
	t := newTurn(s, env)
	answer, err := decide(t)
	if err != nil {
		return fail(err)
	}
	status, body, err := answer()
	if err != nil {
		return fail(fmt.Errorf("render: %w", err))
	}
	t.out.Keys = append(t.out.Keys, Key{KeyRef: key, Route: route, BodyHash: hash, Status: status, Answer: body, At: t.now})
	return t.changes(), Placed{Status: status, Answer: body}, nil
}
