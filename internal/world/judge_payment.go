package world

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/unlatch/unlatch/order"
)

// paths is docs/wechat.md's diagram of a payment's life, written from the text: where
// each state may lead.
var paths = map[billing.Road]map[order.PaymentState]string{
	billing.Transaction: {"": "created", "created": "open paid closed closing", "open": "paid closed closing", "closing": "paid closed",
		"closed": "paid"},
	billing.Score: {"": "created", "created": "open confirmed closed closing", "open": "confirmed closed closing",
		"confirmed": "completing closing", "completing": "collecting paid closed closing", "collecting": "paid closed",
		"closing": "closed collecting paid"},
	billing.Refund: {"": "created", "created": "open paid abnormal closed", "open": "paid abnormal closed", "abnormal": "paid closed"},
}

// purse is what the oracle knows of payments.
type purse struct {
	payments     map[string]order.Payment
	paymentNames map[string]string
	news         []string               // what the newest commit did to payments
	atWeChat     map[string]billing.Fen // what the ledger has at WeChat, by payment; a refund's is below zero
	riskWays     map[string]bool        // orders that were to be paid after
	claims       map[string]int         // how often a payment was claimed
	claimedAt    map[string]time.Duration
	unknown      map[string]billing.Ask // steps at WeChat whose outcome no commit knows, by payment
}

func newPurse() purse {
	return purse{payments: map[string]order.Payment{}, paymentNames: map[string]string{},
		atWeChat: map[string]billing.Fen{}, riskWays: map[string]bool{}, unknown: map[string]billing.Ask{}, claims: map[string]int{},
		claimedAt: map[string]time.Duration{}}
}

// paymentName is how the story calls a payment.
func (o *oracle) paymentName(id string) string {
	if n, ok := o.paymentNames[id]; ok {
		return n
	}
	return "payment " + id
}

func (o *oracle) paymentList(ids []string) string {
	var names []string
	for _, id := range ids {
		names = append(names, o.paymentName(id))
	}
	return strings.Join(names, ", ")
}

// number is how the story calls a payment by its number at WeChat.
func (o *oracle) number(n string) string { return o.paymentName(order.PaymentOf(n)) }

// reached counts something that payments came to.
func (o *oracle) reached(format string, args ...any) {
	o.w.result.Payments[fmt.Sprintf(format, args...)]++
}

// payment looks at one written row of a payment against the one before.
func (o *oracle) payment(p order.Payment) {
	was, known := o.payments[p.ID]
	if !known {
		o.paymentNames[p.ID] = fmt.Sprintf("%s-%d", p.Road, len(o.payments)+1)
	}
	name := o.paymentName(p.ID)
	o.payments[p.ID] = p
	if p.Tries == 0 {
		o.claims[p.ID]++ // whoever had claimed it before is answered for
	}
	if p.State != was.State {
		o.reached("%s %s", p.Road, p.State)
		if known {
			o.reached("%s %s -> %s", p.Road, was.State, p.State)
		}
		if o.w.trace != nil {
			o.news = append(o.news, strings.TrimSpace(fmt.Sprintf("%s %s -> %s", name, was.State, p.State)))
		}
		legal := false
		for _, to := range strings.Fields(paths[p.Road][was.State]) {
			legal = legal || to == string(p.State)
		}
		if !legal {
			o.violation("E3: %s moves %q -> %s", name, was.State, p.State)
		}
	}
	if known && (was.Road != p.Road || was.For != p.For || was.Rider != p.Rider || was.Order != p.Order || was.Of != p.Of || was.Hold != p.Hold) {
		o.violation("E3: %s becomes another's", name)
	}
	if known && p.Road != billing.Score && was.Amount != p.Amount || known && was.State == order.PaymentPaid && was.Amount != p.Amount {
		o.violation("E3: %s was of %d fen and is of %d", name, was.Amount, p.Amount)
	}
	if p.Moved < was.Moved || p.Back < 0 || p.Back > p.Moved {
		o.violation("M8: %s: %d fen moved (%d before), %d of it back", name, p.Moved, was.Moved, p.Back)
	}
	if p.Road == billing.Score {
		o.riskWays[p.Order] = true
	}
}

// listens holds what follows from a notification against our record of before: of other
// money than ours nothing does, but that staff hear of it.
func (o *oracle) listens(said billing.Said, c order.Changes) {
	p, known := o.payments[order.PaymentOf(said.Number)]
	if known && said.Foreign == "" && said.Road == p.Road && (p.Road == billing.Score || said.Amount == 0 || said.Amount == p.Amount) {
		return
	}
	moves := len(c.Transfers) > 0 || len(c.Moves) > 0
	for _, q := range c.Payments {
		moves = moves || q.State != o.payments[q.ID].State
	}
	told := slices.ContainsFunc(c.Items, func(i order.Item) bool { return i.Kind == order.ItemPayment })
	if moves || !told {
		o.violation("M7: a word on %s that is not ours (%d fen, foreign %q) moved something (%v), staff are told (%v)", o.number(said.Number),
			said.Amount, said.Foreign, moves, told)
	}
}

// asked holds a step that goes to WeChat against what was committed of its payment.
// Who has lost the claim may repeat what another has begun: it is the same request.
func (o *oracle) asked(id string, a billing.Ask, said billing.Said, err error, claimed bool) {
	p := o.payments[id]
	if a.Number != p.Number() || a.Road != p.Road {
		o.violation("M7: %s is asked for as %s %s", o.paymentName(id), a.Road, a.Number)
	}
	was, unknown := o.unknown[id]
	switch {
	case a.Step == billing.AskQuery && err == nil:
		delete(o.unknown, id)
	case a.Step == billing.AskQuery:
	case unknown && was.Step == a.Step && was.Amount == a.Amount && claimed:
		o.violation("M7: %s of %s is repeated, and nobody asked what became of it", a.Step, o.paymentName(id))
	case claimed:
		o.unknown[id] = a
	}
	if err == nil && said.Stands == billing.StandsRefused && said.Why == billing.WhyFigures && a.Step == billing.AskCreate {
		o.violation("M7: %s is repeated with other figures", o.paymentName(id))
	}
}

// books are the double's, by payment: what moved, a refund's below zero.
func (o *oracle) books() (moved map[string]billing.Fen, running map[string]bool) {
	moved, running = map[string]billing.Fen{}, map[string]bool{}
	m := o.w.pay.double.Money()
	for _, t := range m.Transactions {
		number := t.OutTradeNo
		if t.OutOrderNo != "" {
			number = t.OutOrderNo
		}
		moved[order.PaymentOf(number)] += billing.Fen(t.Fen)
	}
	for _, r := range m.Refunds {
		if r.Status == "SUCCESS" {
			moved[order.PaymentOf(r.OutRefundNo)] -= billing.Fen(r.Fen)
		}
	}
	for _, s := range m.ScoreOrders {
		running[order.PaymentOf(s.OutOrderNo)] = s.State == "DOING" && s.StateDescription == "USER_CONFIRM"
	}
	return moved, running
}

// authorised checks that the money behind a start is there, as the double sees it.
func (o *oracle) authorised(x order.Order) {
	if x.PayWith != order.PayBefore && x.PayWith != order.PayScore || x.HoldFen == 0 {
		return
	}
	moved, running := o.books()
	p := o.payments[x.Payment]
	switch {
	case p.Order != x.ID || p.Rider != x.Rider:
		o.violation("A3: %s starts on the payment of somebody else", o.name(x.ID))
	case x.PayWith == order.PayBefore && moved[x.Payment] < x.HoldFen:
		o.violation("A3: %s starts on %d fen, %s brought in %d", o.name(x.ID), x.HoldFen, o.paymentName(x.Payment), moved[x.Payment])
	case x.PayWith == order.PayScore && (!running[x.Payment] || p.Amount < x.HoldFen):
		o.violation("A3: %s starts and its rider has not confirmed %s over %d fen (of %d)", o.name(x.ID), o.paymentName(x.Payment), x.HoldFen, p.Amount)
	}
}

// posted holds a commit's transfers from and to WeChat against what really moved.
func (o *oracle) posted(c order.Changes) {
	var touched []string
	for _, t := range c.Transfers {
		if t.Debit != billing.WeChat && t.Credit != billing.WeChat || t.Kind == billing.Pending || t.Kind == billing.Void {
			continue
		}
		key, _, _ := strings.Cut(t.Key, "/")
		amount := t.Amount
		if t.Credit == billing.WeChat {
			key, amount = o.ledger.holds[t.Hold].Key, -amount
		}
		o.atWeChat[key] += amount
		touched = append(touched, key)
	}
	if len(touched) == 0 {
		return
	}
	if o.w.pay == nil {
		o.violation("M7: money moves at WeChat, which nobody uses here")
		return
	}
	moved, _ := o.books()
	for _, id := range touched {
		p, have, is := o.payments[id], o.atWeChat[id], moved[id]
		if have != is && (p.Road != billing.Score || have > is) {
			o.violation("M7: %s has %d fen in the ledger, WeChat moved %d", o.paymentName(id), have, is)
		}
		if abs(have) != p.Moved {
			o.violation("M7: %s says %d fen moved, its transfers say %d", o.paymentName(id), p.Moved, have)
		}
	}
}

func abs(f billing.Fen) billing.Fen { return max(f, -f) }

// stuck tells whether a refund waits for staff, and they know. One that WeChat refuses
// for good is theirs to give up.
func (o *oracle) stuck(p order.Payment) bool {
	if p.Road != billing.Refund || !o.items[order.ItemRefund+"/"+p.ID] {
		return false
	}
	return p.State == order.PaymentAbnormal || p.State == order.PaymentCreated && !o.refundable(p)
}

// refundable tells whether WeChat can make a refund: one debit brought the money in,
// and no refund that cannot reach its rider keeps it.
func (o *oracle) refundable(p order.Payment) bool {
	m := o.w.pay.double.Money()
	debits, kept, of := 0, billing.Fen(0), ""
	for _, t := range m.Transactions {
		if order.PaymentOf(t.OutTradeNo) == p.Of || order.PaymentOf(t.OutOrderNo) == p.Of {
			debits, of = debits+1, t.TransactionID
		}
	}
	left := o.payments[p.Of].Moved
	for _, r := range m.Refunds {
		if r.TransactionID == of && r.Status != "CLOSED" {
			kept += billing.Fen(r.Fen)
		}
	}
	return debits == 1 && p.Amount <= left-kept
}

// waiting lists the payments on which something is left to do.
func (o *oracle) waiting() (open []string) {
	if o.w.pay == nil {
		return nil
	}
	for _, id := range sorted(o.payments) {
		p := o.payments[id]
		if !p.State.Done() && !o.stuck(p) && !o.undecided(o.orders[p.Order]) {
			open = append(open, fmt.Sprintf("M9: %s is %s (%s)", o.paymentName(id), p.State, p.Reason))
		}
	}
	if notices, _ := o.w.store.Notices(context.Background(), 1); len(notices) > 0 {
		open = append(open, "M9: WeChat's word on "+o.number(notices[0].Said.Number)+" waits")
	}
	return open
}

// judgePayments is the verdict on what WeChat moved: fen by fen as it says itself.
func (o *oracle) judgePayments() {
	moved, _ := o.books()
	for id, is := range moved {
		if o.atWeChat[id] != is {
			o.violation("M7: WeChat moved %d fen for %s, the ledger has %d", is, o.paymentName(id), o.atWeChat[id])
		}
	}
	for id, have := range o.atWeChat {
		if _, ok := moved[id]; !ok && have != 0 {
			o.violation("M7: the ledger has %d fen for %s, WeChat moved nothing", have, o.paymentName(id))
		}
	}
	refunds := 0
	for _, id := range sorted(o.payments) {
		p := o.payments[id]
		if p.Moved != abs(o.atWeChat[id]) {
			o.violation("M7: %s says %d fen moved, its transfers say %d", o.paymentName(id), p.Moved, o.atWeChat[id])
		}
		if p.Road == billing.Refund && p.State == order.PaymentPaid {
			refunds++
			o.reached("%s refunded", p.Reason)
		}
		if p.Road == billing.Refund && p.State == order.PaymentClosed && p.Reason != "given_up" && !o.items[order.ItemRefund+"/"+p.ID] {
			o.violation("M9: %s is closed, and no item tells staff", o.paymentName(id))
		}
		if p.State == order.PaymentPaid && p.Moved != p.Amount && p.Road != billing.Score || p.State == order.PaymentPaid && p.Moved < p.Amount {
			o.violation("M7: %s of %d fen is paid with %d", o.paymentName(id), p.Amount, p.Moved)
		}
		if p.Road == billing.Transaction && p.State == order.PaymentPaid && o.orders[p.Order].State == order.Voided {
			o.reached("paid after void")
		}
	}
	o.judgeStandings(o.w.pay.double.Money())
	told := 0
	for _, m := range o.w.store.Messages() {
		if m.Kind == order.TellRefund {
			told++
		}
		o.reached("told %s", m.Kind)
	}
	if want := refunds; o.w.env.Config.Messages && told != want || !o.w.env.Config.Messages && told != 0 {
		o.violation("M9: riders are told of %d refunds, %d arrived (messages %v)", told, want, o.w.env.Config.Messages)
	}
	for _, id := range sorted(o.orders) {
		o.judgePrepaid(o.orders[id])
	}
}

// judgeStandings compares how refunds and score orders stand with what we believe.
func (o *oracle) judgeStandings(m fakewechat.Money) {
	for _, s := range m.ScoreOrders {
		p := o.payments[order.PaymentOf(s.OutOrderNo)]
		ok := map[string]bool{"CREATED": p.State == order.PaymentClosed, "REVOKED": p.State == order.PaymentClosed, "EXPIRED": p.State == order.PaymentClosed,
			"DONE": p.State == order.PaymentPaid, "DOING": o.undecided(o.orders[p.Order])}[s.State]
		if !ok {
			o.violation("M7: %s is %s, at WeChat %s %s", o.paymentName(p.ID), p.State, s.State, s.StateDescription)
		}
	}
	for _, r := range m.Refunds {
		p := o.payments[order.PaymentOf(r.OutRefundNo)]
		want := map[string]order.PaymentState{"SUCCESS": order.PaymentPaid, "CLOSED": order.PaymentClosed, "ABNORMAL": order.PaymentAbnormal}[r.Status]
		if p.State != want && !(r.Status == "ABNORMAL" && p.State == order.PaymentClosed && (p.Reason == "given_up" || p.Reason == "tried_again")) {
			o.violation("M7: %s is %s, at WeChat %s", o.paymentName(p.ID), p.State, r.Status)
		}
	}
}

// judgePrepaid holds what is left on an order's own account against the refunds that
// are stuck.
func (o *oracle) judgePrepaid(x order.Order) {
	id := billing.Prepaid(x.ID)
	posted, held := o.ledger.posted[id], o.ledger.held[id]
	var abnormal, closed billing.Fen
	for _, p := range o.payments {
		switch {
		case p.Order != x.ID || p.Road != billing.Refund:
		case o.stuck(p):
			abnormal += p.Amount
		case p.State == order.PaymentClosed:
			closed += p.Amount
		}
	}
	if o.undecided(x) && x.PayWith == order.PayBefore {
		posted, held = posted-x.HoldFen, held-x.HoldFen
	}
	if spare := posted - held; held != abnormal || spare < 0 || spare > closed {
		o.violation("M9: the prepaid money of %s stands at %d fen, %d held; %d are abnormal, %d closed", o.name(x.ID), posted, held, abnormal, closed)
	}
	if x.State != order.Settled {
		return
	}
	o.reached("settled by %s", x.PayWith)
	switch {
	case x.PayWith == order.PayBefore && o.riskWays[x.ID]:
		o.reached("fell back to prepay")
	case x.PayWith == order.PayScore && x.Debt > 0:
		o.reached("debt beyond the risk cap")
	}
}

// lateMail plays another day of WeChat alone: the last repeats of its words and the
// slowest looks of ours. Devices stand still meanwhile, so the clock is put back.
func (w *world) lateMail() {
	if w.pay == nil {
		return
	}
	for _, open := range w.oracle.waiting() {
		w.oracle.violation("after the repair: %s", open)
	}
	rest := w.at
	w.queue, w.pay.planned = nil, -1
	w.pay.expect()
	for _, id := range sorted(w.oracle.payments) {
		if p := w.oracle.payments[id]; !p.DueAt.IsZero() {
			w.wakeTillsAt(p.DueAt.Sub(w.began))
		}
	}
	w.runUntil(rest+26*time.Hour, nil)
	w.at = rest
	w.pay.timing()
}

// broughtIn is what WeChat took from each rider and did not give back, as the double
// says.
func (o *oracle) broughtIn() map[string]billing.Fen {
	in := map[string]billing.Fen{}
	if o.w.pay == nil {
		return in
	}
	m := o.w.pay.double.Money()
	rider := map[string]string{}
	for _, t := range m.Transactions {
		in[t.Rider] += billing.Fen(t.Fen)
		rider[t.TransactionID] = t.Rider
	}
	for _, r := range m.Refunds {
		if r.Status == "SUCCESS" {
			in[rider[r.TransactionID]] -= billing.Fen(r.Fen)
		}
	}
	return in
}

// waits tells whether a hold is left for a reason that staff know of.
func (o *oracle) waits(hold billing.Transfer) bool {
	if hold.Purpose == billing.ForPayback {
		return o.stuck(o.payments[hold.Key])
	}
	return o.undecided(o.orders[hold.Order])
}
