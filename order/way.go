package order

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// way is what an order does in its own way of paying. Everything else (tickets,
// commands, evidence, quotes) is the same for all. A way is a file here with a line
// in ways.
type way interface {
	// most is what a rider can hold in this way now. ErrPayWith: it is not offered.
	most(t *turn, rider string) (billing.Fen, error)
	// purse is the account that an order's hold is on.
	purse(Order) billing.AccountID
	// ask makes the payment that must be authorised before the order may start, and
	// leaves it pending; nil where the money is there already.
	ask(t *turn, o *Order) (*Payment, error)
	// settled takes the order's bill to where the money comes from, once the hold was
	// captured. It also sends back what the hold has left.
	settled(t *turn, o *Order) error
	// voided lets go of what the order would have been paid with.
	voided(t *turn, o *Order, reason string) error
	// giveBack returns amount of a settled order's revenue to its rider.
	giveBack(t *turn, o *Order, amount billing.Fen, key string) error
}

var ways map[PayWith]way

// Offers are the ways to pay that riders have, the plainest first.
func (c Config) Offers() []PayWith {
	offers := []PayWith{PayWallet}
	if c.WeChatPay {
		offers = append(offers, PayBefore)
	}
	if c.WeChatPay && c.RiskCap > 0 {
		offers = append(offers, PayScore)
	}
	return offers
}

// The table is filled here because its ways look into it themselves.
func init() {
	ways = map[PayWith]way{PayWallet: wallet{}, PayService: service{}, PayBefore: prepay{}, PayScore: score{}}
}

// wallet is a rider's balance.
type wallet struct{}

func (wallet) most(t *turn, rider string) (billing.Fen, error) {
	return t.book.Account(billing.Wallet(rider)).Available(), nil
}

func (wallet) purse(o Order) billing.AccountID     { return billing.Wallet(o.Rider) }
func (wallet) ask(*turn, *Order) (*Payment, error) { return nil, nil }
func (wallet) settled(*turn, *Order) error         { return nil }
func (wallet) voided(*turn, *Order, string) error  { return nil }

func (wallet) giveBack(t *turn, o *Order, amount billing.Fen, key string) error {
	return t.refundTo(billing.Wallet(o.Rider), o, amount, key)
}

// service is staff's unlock, at a tariff of zero.
type service struct{ wallet }

// refundTo posts a refund of an order to an account. A refund without an end of its
// own (key "") cannot be: several refunds are told apart by it.
func (t *turn) refundTo(to billing.AccountID, o *Order, amount billing.Fen, key string) error {
	if amount == 0 {
		return nil
	}
	if err := t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.Revenue, Credit: to, Amount: amount,
		Purpose: billing.ForRefund, Order: o.ID, Key: key}, nil); err != nil {
		return fmt.Errorf("refund order %s: %w", o.ID, err)
	}
	return nil
}

// prepay is WeChat Pay before the use. The money waits on an account of the order's
// own; what the bill leaves of it goes back by itself.
type prepay struct{}

func (prepay) most(t *turn, _ string) (billing.Fen, error) {
	if !t.env.Config.WeChatPay {
		return 0, ErrPayWith
	}
	return t.env.Config.PrepayMost, nil
}

func (prepay) purse(o Order) billing.AccountID { return billing.Prepaid(o.ID) }

func (prepay) ask(t *turn, o *Order) (*Payment, error) {
	return t.newPayment(Payment{Road: billing.Transaction, For: ForOrder, Rider: o.Rider, Order: o.ID, Venue: o.Venue,
		Device: o.Device, Kind: o.Kind, Amount: o.HoldFen, ExpiresAt: t.now.Add(t.env.Config.PayTime)})
}

func (prepay) settled(t *turn, o *Order) error { return t.sendRestBack(o, "rest") }

func (prepay) voided(t *turn, o *Order, reason string) error {
	t.withdraw(t.payment(o.Payment), reason)
	return t.sendRestBack(o, reason)
}

func (prepay) giveBack(t *turn, o *Order, amount billing.Fen, key string) error {
	if err := t.refundToPayer(o, amount, key); err != nil {
		return err
	}
	return t.sendRestBack(o, "refund")
}

// refundToPayer posts a refund to where the order's own payments can carry it back.
// What its rider paid otherwise, a debt out of the wallet, goes to the wallet.
func (t *turn) refundToPayer(o *Order, amount billing.Fen, key string) error {
	room := -t.book.Account(billing.Prepaid(o.ID)).Available() // that is on its way already
	for _, p := range t.paymentsOf(o.ID) {
		switch {
		case p.Road == billing.Refund:
		case p.State == PaymentCompleting, p.State == PaymentCollecting:
			room += max(p.Amount, p.Moved) - p.Back
		default:
			room += p.Moved - p.Back
		}
	}
	part := min(amount, max(room, 0))
	if err := t.refundTo(billing.Prepaid(o.ID), o, part, key); err != nil {
		return err
	}
	return t.refundTo(billing.Wallet(o.Rider), o, amount-part, key)
}

// sendRestBack returns what an order's own account has to spare to the payments that
// it came from.
func (t *turn) sendRestBack(o *Order, reason string) error {
	left := t.book.Account(billing.Prepaid(o.ID)).Available()
	for _, p := range t.paymentsOf(o.ID) {
		if p.Road == billing.Refund {
			continue
		}
		part := min(left, p.Moved-p.Back)
		if err := t.sendBack(p, billing.Prepaid(o.ID), part, reason); err != nil {
			return err
		}
		left -= max(part, 0)
	}
	if left > 0 {
		return t.item(ItemRefund, o.ID, o.ID, fmt.Sprintf("%v yuan cannot go back: no payment has that much left", left))
	}
	return nil
}

// paymentsOf lists an order's payments, oldest first.
func (t *turn) paymentsOf(orderID string) []*Payment {
	var all []*Payment
	for _, p := range t.payments {
		if p.Order == orderID {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *Payment) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// score is WeChat Pay Score: the rider confirms, rides, and WeChat collects the bill.
// The hold is on what the operator has yet to get from WeChat.
type score struct{}

func (score) most(t *turn, _ string) (billing.Fen, error) {
	if !t.env.Config.WeChatPay || t.env.Config.RiskCap <= 0 {
		return 0, ErrPayWith
	}
	return t.env.Config.RiskCap, nil
}

func (score) purse(Order) billing.AccountID { return billing.ScoreDue }

func (score) ask(t *turn, o *Order) (*Payment, error) {
	return t.newPayment(Payment{Road: billing.Score, For: ForOrder, Rider: o.Rider, Order: o.ID, Venue: o.Venue,
		Device: o.Device, Kind: o.Kind, Amount: o.HoldFen, ExpiresAt: t.now.Add(t.env.Config.PayTime)})
}

func (score) settled(t *turn, o *Order) error {
	if o.Payment == "" { // it was free
		return nil
	}
	p := t.payment(o.Payment)
	if p == nil {
		return fmt.Errorf("settle order %s: its payment %s was not loaded", o.ID, o.Payment)
	}
	if o.Charged == 0 {
		t.withdraw(p, "nothing_due")
		return nil
	}
	if !t.movePayment(p, Billed) {
		return t.item(ItemPayment, p.ID, o.ID, fmt.Sprintf("its bill of %v yuan cannot be collected: the payment is %s", o.Charged, p.State))
	}
	p.Amount, p.BilledAt, p.ExpiresAt = o.Charged, t.now, t.now.Add(t.env.Config.ScoreGrace)
	return nil
}

func (score) voided(t *turn, o *Order, reason string) error {
	t.withdraw(t.payment(o.Payment), reason)
	return nil
}

// giveBack lowers what is yet to be collected; what was collected goes back.
func (score) giveBack(t *turn, o *Order, amount billing.Fen, key string) error {
	p := t.payment(o.Payment)
	if p == nil {
		return fmt.Errorf("refund order %s: its payment %s was not loaded", o.ID, o.Payment)
	}
	lower := billing.Fen(0)
	if p.State == PaymentCompleting || p.State == PaymentCollecting {
		// WeChat takes no order of nothing: the last fen is collected and comes back.
		lower = max(min(amount, p.Amount-p.Moved-1), 0)
	}
	if lower > 0 {
		p.Amount -= lower
		p.Last, p.Tries, p.DueAt = "", 0, t.now
		t.showPayment(p)
		if err := t.refundTo(billing.ScoreDue, o, lower, key); err != nil {
			return err
		}
	}
	if amount == lower {
		return nil
	}
	if err := t.refundToPayer(o, amount-lower, key); err != nil {
		return err
	}
	if !p.State.Done() { // collected first: then it goes back
		return nil
	}
	return t.sendRestBack(o, "refund")
}

// admitted says why nothing of the device may start now, whoever pays.
func (t *turn) admitted(service bool) error {
	v := t.snapshot.Venue
	switch {
	case t.device.Halt != nil, v != nil && v.Stopped && t.kind().stops():
		return ErrStopped
	case t.device.Service != device.InService && !(service && t.device.Service == device.Maintenance):
		return ErrNotInService
	case v == nil || !service && !v.Serves(t.now):
		return ErrVenueClosed
	}
	return nil
}

// able says why an outlet that nobody else uses cannot start now.
func (t *turn) able(out *device.Outlet) error {
	switch {
	case out.Block != device.NotBlocked:
		return ErrOutletBlocked
	case !t.device.Contactable(t.now):
		return ErrOffline
	case out.Stated.Known && !out.Stated.Closed:
		return ErrOutletOpen
	}
	return nil
}

// refusals name in an order's reason why it could not start once it was paid for.
var refusals = []struct {
	err  error
	word string
}{{ErrStopped, "stopped"}, {ErrNotInService, "not_in_service"}, {ErrVenueClosed, "venue_closed"},
	{ErrOutletBlocked, "outlet_blocked"}, {ErrOffline, "offline"}, {ErrOutletOpen, "outlet_open"},
	{ErrRiderBlocked, "rider_blocked"}, {ErrRiderErased, "rider_erased"}, {ErrDebt, "debt_unpaid"}}

// barred says why the rider of an order that waited may not start it any more: what a new
// order would be refused for may have come in between.
func (t *turn) barred(o *Order) error {
	for _, r := range t.snapshot.Riders {
		switch {
		case r.ID != o.Rider:
		case r.Erased:
			return ErrRiderErased
		case r.Blocked:
			return ErrRiderBlocked
		}
	}
	if t.book.Account(billing.Receivable(o.Rider)).Debt() > 0 {
		return ErrDebt
	}
	return nil
}

// authorised starts a pending order whose money is there; where the rider called it off
// meanwhile, or the device cannot start any more, it is voided, and the money goes back.
func (t *turn) authorised(o *Order, by string) error {
	if o.Cancelling {
		return t.void(o, Cancelled, by, "cancelled", device.NotBlocked)
	}
	out := t.outlet(o.Outlet)
	if out == nil || t.device == nil {
		return fmt.Errorf("start order %s: %w", o.ID, ErrNotFound)
	}
	err := t.admitted(false)
	if err == nil {
		err = t.barred(o)
	}
	if err == nil && o.Road == Bluetooth && !o.DueAt.IsZero() && t.unheard(out) {
		return t.awaitRelay(o)
	}
	if err == nil {
		err = t.able(out)
	}
	if err != nil {
		for _, r := range refusals {
			if errors.Is(err, r.err) {
				return t.void(o, Refused, by, r.word, device.NotBlocked)
			}
		}
		return err
	}
	allowed, err := o.Tariff.Allow(o.Preset, t.passOf(o), o.HoldFen) // the same as when it was ordered
	if err != nil {
		return fmt.Errorf("start order %s: %w", o.ID, err)
	}
	if err := t.start(o, out, allowed); err != nil {
		return err
	}
	return t.move(o, Authorised, by)
}

// start publishes the start of an order that is new or pending and holds the money.
// errUnsealed: the start cannot be signed, and nothing was changed.
func (t *turn) start(o *Order, out *device.Outlet, allowed billing.Allowance) error {
	args, err := t.kind().start(o, allowed, out, t.env.Config)
	if err != nil {
		return err
	}
	c, err := t.command(device.Start, out.N, o.ID, device.Args{Start: args})
	if err != nil {
		return err
	}
	o.Command, o.Seq, o.DueAt = c.ID, c.Seq, t.now.Add(t.env.Config.StartDeadline)
	if o.HoldFen == 0 {
		return nil
	}
	if o.Hold, err = t.env.newID(t.now); err != nil {
		return err
	}
	if err := t.transfer(*o.HoldTransfer(), nil); err != nil {
		return fmt.Errorf("hold for order %s: %w", o.ID, err)
	}
	return nil
}
