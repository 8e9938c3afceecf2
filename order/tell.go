package order

import (
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// Tell takes in what became of one step of a payment, or what a notification says of
// it. It is the only way in which WeChat moves anything here; saying it twice, late or
// out of order leads to the same ledger.
type Tell struct {
	Payment string       // its id; of a notification: of the number that it names
	Said    billing.Said // the zero value: the step's outcome is not known
	Step    billing.Step // "" = a notification
	Notice  string       // id of the notification's row, which is dealt with in the same commit
}

// Told is what follows once the changes are committed.
type Told struct {
	Payment Payment
	Send    []device.Command
}

// Query names what Tell must see.
func (w Tell) Query() Query { return Query{Payment: w.Payment} }

// Decide checks the word against our own record before anything is posted: what
// differs in amount, merchant or app is an alarm and moves nothing.
func (w Tell) Decide(s Snapshot, env Env) (Changes, Told, error) {
	t := newTurn(s, env)
	p := t.payment(w.Payment)
	if w.Notice != "" {
		t.out.Notices = append(t.out.Notices, w.Notice)
	}
	if p == nil {
		if w.Notice == "" {
			return Changes{}, Told{}, fmt.Errorf("payment %s: %w", w.Payment, ErrNotFound)
		}
		err := t.item(ItemPayment, w.Said.Number, "", fmt.Sprintf("WeChat tells of number %s (%s, %v yuan), which is none of ours",
			w.Said.Number, w.Said.Stands, w.Said.Moved))
		return t.changes(), Told{}, err
	}
	if err := t.tell(p, w); err != nil {
		return Changes{}, Told{}, fmt.Errorf("payment %s: %w", p.ID, err)
	}
	return t.changes(), Told{Payment: *p, Send: t.fresh}, nil
}

func (t *turn) tell(p *Payment, w Tell) error {
	if p.State.Done() { // a late answer: only signed money is believed after the end
		w.Step = ""
		if w.Said.Stands == "" || w.Said.Stands == billing.StandsRefused {
			return nil
		}
	}
	if w.Step != "" {
		t.touchPayment(p)
		if w.Said.Stands == "" {
			p.DueAt = t.now.Add(backOff(p.Tries))
			return nil
		}
		p.Last, p.Tries = w.Step, 0
	}
	said := w.Said
	billed := p.Amount
	if o := t.orders[p.Order]; o != nil {
		billed = max(billed, o.Charged) // WeChat may not have heard yet that it is less
	}
	if what := p.unequal(said, billed); what != "" {
		if w.Step != "" {
			p.DueAt = t.now.Add(10 * time.Minute)
		}
		return t.item(ItemPayment, p.ID+"/"+what, p.Order, fmt.Sprintf("WeChat's word on number %s: %s", p.Number(), what))
	}
	if w.Step == "" && p.Road == billing.Score && said.Moved > 0 && said.Amount != p.Amount && !p.State.Done() {
		// Its bill was lowered: how far WeChat has heard of that is asked, not told.
		p.DueAt = t.now
		t.touchPayment(p)
		return nil
	}
	if said.Stands == billing.StandsUnknown && (p.State == PaymentOpen || p.State == PaymentCompleting || p.State == PaymentCollecting) {
		if err := t.item(ItemPayment, p.ID+"/unknown", p.Order, fmt.Sprintf("WeChat knows no number %s, and ours is %s, %v yuan", p.Number(), p.State, p.Amount)); err != nil {
			return err
		}
	}
	var err error
	switch p.Road {
	case billing.Transaction:
		err = t.tellTransaction(p, said)
	case billing.Score:
		err = t.tellScore(p, said)
	case billing.Refund:
		err = t.tellRefund(p, said)
	default:
		err = ErrWrongState
	}
	if err != nil {
		return err
	}
	if p.Order == "" && !p.ExpiresAt.IsZero() && !t.now.Before(p.ExpiresAt) {
		t.withdraw(p, "not_paid")
	}
	if w.Step != "" && p.Last == w.Step && !p.State.Done() {
		p.DueAt = p.next(t.now, said)
	}
	return nil
}

// unequal names what of a word is not as we have it, "" when all is. billed is the most
// that WeChat was ever told to collect.
func (p Payment) unequal(s billing.Said, billed billing.Fen) string {
	switch {
	case s.Foreign != "":
		return "it belongs elsewhere: " + s.Foreign
	case s.Road != p.Road:
		return fmt.Sprintf("a %s, and we made a %s", s.Road, p.Road)
	case s.Moved < 0 || s.Amount < 0:
		return "a negative amount"
	}
	exact := p.Road != billing.Score
	switch {
	case exact && s.Amount != 0 && s.Amount != p.Amount:
		return fmt.Sprintf("it is of %v yuan, and ours is of %v", s.Amount, p.Amount)
	case exact && s.Stands == billing.StandsPaid && s.Moved != p.Amount:
		return fmt.Sprintf("%v yuan moved, and ours is of %v", s.Moved, p.Amount)
	case p.Road == billing.Score && s.Moved > 0 && s.Amount > billed:
		return fmt.Sprintf("%v yuan are to be collected, and ours was of %v", s.Amount, billed)
	case p.Road == billing.Score && s.Stands == billing.StandsPaid && (s.Moved < p.Amount || s.Moved != s.Amount):
		return fmt.Sprintf("%v yuan were collected of %v, and ours is of %v", s.Moved, s.Amount, p.Amount)
	case p.Road == billing.Score && s.Stands == billing.StandsCollecting && s.Amount > 0 && s.Amount < p.Amount:
		return fmt.Sprintf("%v yuan are being collected, and ours is of %v", s.Amount, p.Amount)
	}
	return ""
}

// tellTransaction: a top-up or what was paid for one order.
func (t *turn) tellTransaction(p *Payment, said billing.Said) error {
	if said.Stands == billing.StandsOpen && said.Key != "" && (p.State == PaymentCreated || p.State == PaymentOpen) {
		p.Key = said.Key
		t.showPayment(p)
	}
	if said.Stands == billing.StandsOpen && p.Key == "" { // its key was lost on the way: it is asked for again
		return nil
	}
	if !t.movePayment(p, said.Stands) {
		return nil
	}
	o := t.orders[p.Order]
	switch p.State {
	case PaymentPaid:
		p.Moved, p.Ref = p.Amount, said.ID
		into := billing.Prepaid(p.Order)
		purpose := billing.ForPrepay
		if p.For == ForTopUp {
			into, purpose = billing.Wallet(p.Rider), billing.ForTopUp
		}
		if err := t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.WeChat, Credit: into, Amount: p.Amount,
			Purpose: purpose, Order: p.Order, Key: p.ID}, nil); err != nil {
			return err
		}
		if p.For == ForTopUp {
			return t.toppedUp(p)
		}
		if o != nil && o.State == Pending && o.Payment == p.ID {
			return t.authorised(o, "payment/"+p.ID)
		}
		if o == nil {
			return fmt.Errorf("its order %s was not loaded", p.Order)
		}
		return t.sendRestBack(o, "order_over")
	case PaymentClosed:
		if said.Stands == billing.StandsRefused {
			p.Reason = said.Why
			if err := t.setup(p, said.Why); err != nil {
				return err
			}
		}
		return t.unpaid(p, said.Stands == billing.StandsRefused)
	}
	return nil
}

// unpaid voids the pending order that a payment was to fund.
func (t *turn) unpaid(p *Payment, refused bool) error {
	o := t.orders[p.Order]
	if o == nil || o.State != Pending || o.Payment != p.ID {
		return nil
	}
	in, reason := Refused, "not_paid"
	switch {
	case o.Cancelling:
		in, reason = Cancelled, "cancelled"
	case refused:
		reason = "payment_unavailable"
	}
	return t.void(o, in, "payment/"+p.ID, reason, device.NotBlocked)
}

// setup tells staff what only they can mend.
func (t *turn) setup(p *Payment, why string) error {
	if why != billing.WhySetup {
		return nil
	}
	return t.item(ItemSetup, string(p.Road), p.Order, "WeChat refuses our keys, permissions or ids; run: unlatch doctor wechat")
}

// toppedUp pays debts first; what passes the most that a wallet may hold goes back.
func (t *turn) toppedUp(p *Payment) error {
	if err := t.payDebt(p.Rider, "", p.ID); err != nil {
		return err
	}
	limit := t.env.Config.BalanceCap
	w := t.book.Account(billing.Wallet(p.Rider))
	if limit < 0 || w.Posted <= limit {
		return nil
	}
	return t.sendBack(p, w.ID, min(w.Posted-limit, w.Available(), p.Amount), "over_balance_cap")
}

// tellScore: a ride that is paid after.
func (t *turn) tellScore(p *Payment, said billing.Said) error {
	if said.Stands == billing.StandsOpen && said.Key != "" && (p.State == PaymentCreated || p.State == PaymentOpen) {
		p.Key = said.Key
		t.showPayment(p)
	}
	if said.Stands == billing.StandsOpen && p.Key == "" {
		return nil
	}
	if said.Stands == billing.StandsRefused && p.State != PaymentCreated {
		if said.Why == billing.WhyState { // how it stands is asked next
			return nil
		}
		if err := t.setup(p, said.Why); err != nil {
			return err
		}
		return t.item(ItemPayment, p.ID+"/"+string(p.State), p.Order, fmt.Sprintf("WeChat refuses number %s, %v yuan, while it is %s: %s",
			p.Number(), p.Amount, p.State, said.Why))
	}
	if p.State == PaymentClosing && p.BilledAt.IsZero() && (said.Stands == billing.StandsCollecting || said.Stands == billing.StandsPaid) {
		return t.item(ItemPayment, p.ID+"/"+string(said.Stands), p.Order, fmt.Sprintf("WeChat has number %s %s, and it was never billed", p.Number(), said.Stands))
	}
	if p.State == PaymentCompleting || p.State == PaymentCollecting || p.State == PaymentClosing { // whose bill was known, as seen above
		if err := t.collected(p, said); err != nil {
			return err
		}
	}
	if p.State == PaymentCollecting && !p.Late && said.Stands == billing.StandsCollecting && t.now.Sub(p.BilledAt) > time.Hour {
		p.Late = true
		t.touchPayment(p)
		if err := t.message(TellUnpaid, p.Rider, p.Order, p.Amount-p.Moved); err != nil {
			return err
		}
	}
	moved := t.movePayment(p, said.Stands)
	if !moved {
		if said.Stands == billing.StandsClosed && !p.State.Done() {
			return t.item(ItemPayment, p.ID+"/closed", p.Order, fmt.Sprintf("WeChat closed number %s, and ours is %s", p.Number(), p.State))
		}
		return nil
	}
	o := t.orders[p.Order]
	switch p.State {
	case PaymentConfirmed:
		p.DueAt = time.Time{} // until its order ends
		if o == nil || o.State != Pending || o.Payment != p.ID {
			t.withdraw(p, "order_over")
			return nil
		}
		return t.authorised(o, "payment/"+p.ID)
	case PaymentPaid:
		if o != nil { // what was refunded before it was collected
			return t.sendRestBack(o, "refund")
		}
	case PaymentClosed:
		if !p.BilledAt.IsZero() {
			return t.becomesDebt(p)
		}
		if said.Stands != billing.StandsRefused {
			if p.Reason == payInstead {
				return t.fallBack(p)
			}
			return t.unpaid(p, false)
		}
		p.Reason = said.Why
		if err := t.setup(p, said.Why); err != nil {
			return err
		}
		return t.fallBack(p)
	}
	return nil
}

// becomesDebt moves what WeChat will not collect any more of a bill to what its rider
// owes: it blocks new orders, and the next top-up pays it.
func (t *turn) becomesDebt(p *Payment) error {
	rest := p.Amount - p.Moved
	// What was refunded of it before it came in is nobody's debt.
	refunded := min(rest, t.book.Account(billing.Prepaid(p.Order)).Available())
	if refunded > 0 {
		if err := t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.Prepaid(p.Order), Credit: billing.ScoreDue,
			Amount: refunded, Purpose: billing.ForUncollected, Order: p.Order, Key: p.ID + "/refunded"}, nil); err != nil {
			return err
		}
		rest -= refunded
	}
	if rest <= 0 {
		return nil
	}
	if err := t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.Receivable(p.Rider), Credit: billing.ScoreDue,
		Amount: rest, Purpose: billing.ForUncollected, Order: p.Order, Key: p.ID}, nil); err != nil {
		return err
	}
	if err := t.payDebt(p.Rider, p.Order, p.ID); err != nil {
		return err
	}
	return t.item(ItemPayment, p.ID+"/uncollected", p.Order, fmt.Sprintf("WeChat closed number %s; %v yuan of it were billed to its rider instead: out of the wallet, or as a debt", p.Number(), rest))
}

// fallBack asks a rider whom WeChat does not let pay after to pay before, in the same
// order.
func (t *turn) fallBack(p *Payment) error {
	o := t.orders[p.Order]
	if o == nil || o.State != Pending || o.Payment != p.ID {
		return nil
	}
	if o.Cancelling || o.HoldFen > t.env.Config.PrepayMost {
		return t.unpaid(p, true)
	}
	o.PayWith = PayBefore
	next, err := ways[PayBefore].ask(t, o)
	if err != nil {
		return err
	}
	o.Payment, o.DueAt = next.ID, next.ExpiresAt
	t.touchOrder(o)
	return nil
}

// collected posts what WeChat has collected beyond what we know of. More than is due
// was collected before it heard of a lower amount: it goes back.
func (t *turn) collected(p *Payment, said billing.Said) error {
	if said.Stands != billing.StandsCollecting && said.Stands != billing.StandsPaid {
		return nil
	}
	if said.ID != "" {
		p.Ref = said.ID
	}
	for _, d := range said.Debits {
		if !slices.ContainsFunc(p.Debits, func(have PaymentDebit) bool { return have.ID == d.ID }) {
			p.Debits = append(p.Debits, PaymentDebit{Debit: d})
		}
	}
	if said.Amount > 0 { // the answer to a step may leave it out
		p.Asked = said.Amount
	}
	t.touchPayment(p)
	more := said.Moved - p.Moved
	if more <= 0 {
		return nil
	}
	over := max(said.Moved-max(p.Amount, p.Moved), 0)
	for _, part := range []struct {
		to     billing.AccountID
		amount billing.Fen
	}{{billing.ScoreDue, more - over}, {billing.Prepaid(p.Order), over}} {
		if part.amount == 0 {
			continue
		}
		if err := t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.WeChat, Credit: part.to, Amount: part.amount,
			Purpose: billing.ForCollected, Order: p.Order, Key: fmt.Sprintf("%s/%d", p.ID, said.Moved)}, nil); err != nil {
			return err
		}
	}
	p.Moved = said.Moved
	t.touchPayment(p)
	return nil
}

// tellRefund: accepted is not done.
func (t *turn) tellRefund(p *Payment, said billing.Said) error {
	if said.ID != "" && p.Ref != said.ID {
		p.Ref = said.ID
		t.touchPayment(p)
	}
	if said.Stands == billing.StandsRefused {
		switch said.Why {
		case billing.WhyState, billing.WhyFigures:
			said.Stands = billing.StandsClosed
		default: // the account is short, or the keys are wrong: it stays, and staff are told
			return t.item(ItemRefund, p.ID, p.Order, fmt.Sprintf("refund of %v yuan, number %s: %s", p.Amount, p.Number(), said.Why))
		}
	}
	if !t.movePayment(p, said.Stands) {
		return nil
	}
	hold := p.payback(p.purse())
	switch p.State {
	case PaymentPaid:
		p.Moved = p.Amount
		if err := t.transfer(billing.Transfer{Kind: billing.Post, Debit: hold.Debit, Credit: hold.Credit, Amount: p.Amount,
			Purpose: billing.ForPayback, Order: p.Order, Hold: hold.ID}, &hold); err != nil {
			return err
		}
		return t.message(TellRefund, p.Rider, p.Order, p.Amount)
	case PaymentClosed:
		if err := t.refundKept(p); err != nil {
			return err
		}
		return t.item(ItemRefund, p.ID, p.Order, fmt.Sprintf("refund of %v yuan, number %s, was closed (%s); try it again when its cause is gone", p.Amount, p.Number(), said.Why))
	case PaymentAbnormal:
		return t.item(ItemRefund, p.ID, p.Order, fmt.Sprintf("refund of %v yuan, number %s, cannot reach its rider; settle it in WeChat's merchant console", p.Amount, p.Number()))
	}
	return nil
}

// refundKept lets go of the money of a refund that will never arrive: it stays where it
// was.
func (t *turn) refundKept(p *Payment) error {
	of := t.payment(p.Of)
	if of == nil {
		return fmt.Errorf("its payment %s was not loaded", p.Of)
	}
	of.Back -= p.Amount
	for i := range of.Debits {
		if of.Debits[i].ID == p.Debit {
			of.Debits[i].Back -= p.Amount
		}
	}
	t.showPayment(of)
	hold := p.payback(p.purse())
	return t.transfer(billing.Transfer{Kind: billing.Void, Debit: hold.Debit, Credit: hold.Credit, Amount: p.Amount,
		Purpose: billing.ForKept, Order: p.Order, Hold: hold.ID}, &hold)
}

// Ask is the step that is due for a payment; its payer and its order's figures are for
// whoever asks. A step whose outcome is not known is never repeated before WeChat was
// asked how the payment stands.
func (p Payment) Ask() billing.Ask {
	a := billing.Ask{Road: p.Road, Number: p.Number(), Amount: p.Amount, Venue: p.Venue, Device: string(p.Device),
		Kind: string(p.Kind), Expires: p.ExpiresAt, Reason: p.Reason}
	switch p.State {
	case PaymentCreated:
		a.Step = billing.AskCreate
	case PaymentClosing:
		a.Step = billing.AskClose
	case PaymentCompleting:
		a.Step = billing.AskComplete
	default:
		a.Step = billing.AskQuery
	}
	switch {
	case p.Tries > 1: // the last one has no answer
		a.Step = billing.AskQuery
	case p.State == PaymentClosing && p.Last == billing.AskClose, p.State == PaymentCompleting && p.Last == billing.AskComplete:
		a.Step = billing.AskQuery // what became of it is what counts
	case p.State == PaymentCollecting && p.Asked > max(p.Amount, p.Moved) && p.Last != billing.AskModify:
		a.Step, a.Amount = billing.AskModify, max(p.Amount, p.Moved) // WeChat takes no less than it has collected
	case p.State == PaymentCollecting && p.Last == billing.AskQuery && p.Late:
		a.Step = billing.AskCollect
	}
	return a
}

// next is when a payment is looked at again after an answer. Notifications usually
// come first; these looks find what they lost within a minute.
func (p Payment) next(now time.Time, said billing.Said) time.Time {
	age := now.Sub(p.CreatedAt)
	if said.Stands == billing.StandsRefused && said.Why != billing.WhyState { // staff must act first
		return now.Add(step(age, 15*time.Second, 6*time.Hour))
	}
	switch p.State {
	case PaymentCreated:
		switch {
		case p.Road == billing.Refund: // WeChat wants a minute between tries
			return now.Add(step(age, time.Minute, time.Hour))
		case said.Stands == billing.StandsUnknown && age > 10*time.Second:
			return now.Add(step(age, time.Second, 30*time.Second))
		}
		return now
	case PaymentConfirmed:
		return time.Time{}
	case PaymentOpen:
		if p.Road == billing.Refund {
			return now.Add(step(age, 5*time.Second, 6*time.Hour))
		}
		return now.Add(step(age, 5*time.Second, 30*time.Second))
	case PaymentClosing:
		if p.Last == billing.AskClose {
			return now
		}
		return now.Add(step(age, 5*time.Second, time.Minute))
	case PaymentCompleting:
		if p.Last == billing.AskComplete {
			return now
		}
		return now.Add(5 * time.Second)
	case PaymentCollecting:
		if p.Asked > max(p.Amount, p.Moved) && said.Stands != billing.StandsRefused {
			return now.Add(time.Second)
		}
		return now.Add(step(now.Sub(p.BilledAt), 30*time.Second, 6*time.Hour))
	}
	return now.Add(time.Hour)
}

// step grows with age between two bounds: a fifth of it.
func step(age, least, most time.Duration) time.Duration { return min(max(age/5, least), most) }

// backOff is how long to wait after the n-th step without an answer.
func backOff(n int) time.Duration {
	return min(time.Second<<min(max(n-1, 0), 6), time.Minute)
}
