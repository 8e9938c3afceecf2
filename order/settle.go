package order

import (
	"fmt"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// extend notes that the use was proved to go on at (boot, uptime). A boot that
// has no span yet begins one: at the same uptime for the first, at 0 for a later
// boot, since its bolt was open from the moment it started. False: that much was
// proved already.
func (o *Order) extend(boot device.Boot, uptime uint64) bool {
	for i, s := range o.Spans {
		if s.Boot == boot {
			o.Spans[i].To = max(s.To, uptime)
			return uptime > s.To
		}
	}
	from := uint64(0)
	if len(o.Spans) == 0 {
		from = uptime
	}
	o.Spans = append(o.Spans, Span{Boot: boot, From: from, To: uptime})
	return true
}

// endAt ends the proved use where the device says that it ended. A word that
// showed the outlet open later than that came first and speaks of another opening.
func (o *Order) endAt(boot device.Boot, uptime uint64) {
	o.extend(boot, uptime)
	for i, s := range o.Spans {
		if s.Boot == boot {
			o.Spans[i].To = max(s.From, uptime)
			o.Spans = o.Spans[:i+1]
			return
		}
	}
}

// length measures a use by time, DESIGN section 6 "Billing clock". Within one boot it
// is a difference of uptimes. Across boots each boot is placed on server time by
// its fastest message; where a boot was heard only through its journal, or the
// list of boots no longer knows it, only the spans themselves are proved, and
// their sum is the shortest ride.
func (o *Order) length(boots []device.BootSeen, daySpent billing.Fen) billing.Usage {
	u := billing.Usage{DaySpent: daySpent, Evidence: o.Evidence, Measured: billing.WithinBoot, Reserved: o.Reserved}
	if len(o.Spans) == 0 {
		u.Measured = billing.Shortest
		return u
	}
	for _, s := range o.Spans {
		u.BilledMS += int64(s.To - s.From)
	}
	if len(o.Spans) > 1 {
		u.Measured = billing.Shortest
		first, last := o.Spans[0], o.Spans[len(o.Spans)-1]
		a, knowA := placed(boots, first.Boot)
		b, knowB := placed(boots, last.Boot)
		if knowA && knowB {
			if across := b + int64(last.To) - a - int64(first.From); across > u.BilledMS {
				u.BilledMS, u.Measured = across, billing.AcrossBoots
			}
		}
	}
	switch o.EndedBy {
	case StaffEnded, Watchdog, FoundShut, RiderEnded:
		if !o.Shut() { // else the device said when it was closed
			u.Measured = billing.LastProven
		}
	}
	return u
}

// placed returns where on server time a boot began, unix ms, if a beat placed it.
func placed(boots []device.BootSeen, b device.Boot) (int64, bool) {
	for _, seen := range boots {
		if seen.Boot == b {
			return seen.Offset, seen.Beaten
		}
	}
	return 0, false
}

// settle quotes an ended order and captures in the same turn, unless the figures
// do not agree: then it stays ended until staff decide. e is what ended it, or nil.
func (t *turn) settle(o *Order, by string, e *device.Evidence) error {
	usage, doubt, err := t.kind().measure(t, o, e)
	if err != nil {
		return fmt.Errorf("measure order %s: %w", o.ID, err)
	}
	t.draw(o, &usage)
	o.Usage, o.Quote = &usage, o.Tariff.Quote(usage)
	if doubt != "" {
		return t.item(ItemMismatch, o.ID, o.ID, doubt)
	}
	return t.capture(o, Captured, by)
}

// capture takes the quote of the hold. What the hold does not cover is a debt,
// paid at once from what else the wallet has.
func (t *turn) capture(o *Order, in Input, by string) error {
	total := o.Quote.Total
	o.Charged = min(total, o.HoldFen)
	o.Debt = total - o.Charged
	if hold := o.HoldTransfer(); hold != nil {
		m := billing.Transfer{Kind: billing.Post, Debit: hold.Debit, Credit: hold.Credit, Amount: o.Charged,
			Purpose: billing.ForCapture, Order: o.ID, Hold: hold.ID}
		if o.Charged == 0 {
			m.Kind, m.Purpose, m.Amount = billing.Void, billing.ForRelease, hold.Amount
		}
		if err := t.transfer(m, hold); err != nil {
			return fmt.Errorf("settle order %s: %w", o.ID, err)
		}
	}
	if o.Debt > 0 {
		if err := t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.Receivable(o.Rider),
			Credit: billing.Revenue, Amount: o.Debt, Purpose: billing.ForDebt, Order: o.ID}, nil); err != nil {
			return fmt.Errorf("settle order %s: %w", o.ID, err)
		}
		if err := t.payDebt(o.Rider, o.ID, ""); err != nil {
			return err
		}
	}
	if err := t.move(o, in, by); err != nil {
		return err
	}
	if err := ways[o.PayWith].settled(t, o); err != nil {
		return err
	}
	if o.PayWith == PayService {
		return nil
	}
	return t.message(TellEnded, o.Rider, o.ID, o.Quote.Total)
}

// payDebt moves what the wallet can spare to what its rider owes.
func (t *turn) payDebt(rider, orderID, key string) error {
	wallet := t.book.Account(billing.Wallet(rider))
	owed := t.book.Account(billing.Receivable(rider)).Debt()
	pay := min(wallet.Available(), owed)
	if pay <= 0 {
		return nil
	}
	return t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.Wallet(rider),
		Credit: billing.Receivable(rider), Amount: pay, Purpose: billing.ForDebtPayment, Order: orderID, Key: key}, nil)
}

// giveBack refunds part of a settled order: first against what is still owed, the
// rest to where the money came from. The sum of refunds never passes what was billed.
func (t *turn) giveBack(o *Order, amount billing.Fen, key string) error {
	if amount <= 0 || amount > o.Paid() {
		return fmt.Errorf("refund %d fen of order %s: %w", amount, o.ID, ErrOverRefund)
	}
	o.Refunded += amount
	t.touchOrder(o)
	owed := min(amount, t.book.Account(billing.Receivable(o.Rider)).Debt())
	if err := t.refundTo(billing.Receivable(o.Rider), o, owed, key); err != nil {
		return err
	}
	if amount == owed {
		return nil
	}
	return ways[o.PayWith].giveBack(t, o, amount-owed, key)
}
