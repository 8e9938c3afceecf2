package world

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/unlatch/unlatch/order"
)

// drawPayments draws whether riders can pay with WeChat in this schedule, and the
// operator's terms.
func (w *world) drawPayments() {
	if !w.chance(0.6) {
		return
	}
	c := &w.env.Config
	c.WeChatPay, c.Messages = true, w.chance(0.5)
	if w.chance(0.85) {
		c.RiskCap = billing.Fen(120 + w.rand.IntN(900))
	}
	c.PayTime = w.between(20*time.Second, 150*time.Second)
	c.TopUpTime = w.between(time.Minute, 8*time.Minute)
	c.BalanceCap = billing.Fen(1_700 + w.rand.IntN(1_500))
	c.ScoreGrace = w.between(time.Minute, 10*time.Minute)
	if w.fuels != nil {
		c.BalanceCap *= 6
	}
	if w.chance(0.3) {
		c.PrepayMost = billing.Fen(150 + w.rand.IntN(600))
	}
}

// payWith draws how a rider pays for the next order.
func (w *world) payWith() order.PayWith {
	if w.pay == nil {
		return order.PayWallet
	}
	return pick(w, []order.PayWith{order.PayWallet, order.PayBefore, order.PayBefore, order.PayScore, order.PayScore})
}

// habit is what a rider makes of being asked to pay.
type habit int

const (
	prompt   habit = iota
	late           // about when the time for it is over
	never          //
	twice          //
	cancels        // and pays all the same
	switches       // of Pay Score: rather pays before, and may have confirmed
)

// payer is a rider with something to pay: for an order, or a top-up.
type payer struct {
	w     *world
	who   string
	order string // "" = a top-up
	id    string // of the top-up's payment
	habit habit
	seen  map[string]bool
	looks int
}

// asks lets a rider look at what there is to pay.
func (w *world) asks(who, orderID, payment string) {
	p := &payer{w: w, who: who, order: orderID, id: payment, seen: map[string]bool{}}
	switch n := w.rand.IntN(100); {
	case n < 14:
		p.habit = late
	case n < 21:
		p.habit = never
	case n < 31:
		p.habit = twice
	case n < 39:
		p.habit = cancels
	case n < 47:
		p.habit = switches
	}
	w.after(w.between(200*time.Millisecond, 2*time.Second), p.look)
}

// payment is what there is to pay now.
func (p *payer) payment() (order.Payment, bool) {
	o := p.w.oracle
	if p.order == "" {
		pay := o.payments[p.id]
		return pay, !pay.State.Done()
	}
	return o.payments[o.orders[p.order].Payment], o.orders[p.order].State == order.Pending
}

// look reads the order until there is a key to pay with.
func (p *payer) look() {
	w := p.w
	pay, waits := p.payment()
	if p.looks++; !waits || p.looks > 120 {
		return
	}
	if pay.State == order.PaymentOpen && pay.Key != "" && !p.seen[pay.ID] {
		p.seen[pay.ID] = true
		p.acts(pay)
	}
	w.after(w.between(time.Second, 4*time.Second), p.look)
}

func (p *payer) acts(pay order.Payment) {
	w := p.w
	soon := w.between(300*time.Millisecond, 8*time.Second)
	again := func() { p.pays(pay) }
	switch p.habit {
	case never:
		return
	case late:
		soon = pay.ExpiresAt.Sub(w.now()) + w.between(-4*time.Second, 12*time.Second)
	case twice:
		w.after(soon+w.between(0, 5*time.Second), again)
	case cancels:
		if p.order == "" {
			w.topsUp(p.who)
		} else {
			w.cancels(p.who, p.order, "")
		}
		soon = w.between(0, 1500*time.Millisecond)
	case switches:
		if pay.Road == billing.Score {
			w.cancels(p.who, p.order, order.PayBefore)
			if w.chance(0.5) {
				return
			}
			soon = w.between(0, 1500*time.Millisecond)
		}
	}
	w.after(soon, again)
}

// pays is the rider's hand on WeChat's page.
func (p *payer) pays(pay order.Payment) {
	w := p.w
	m := w.pay
	name := w.oracle.paymentName(pay.ID)
	var err error
	if pay.Road == billing.Score {
		err = m.double.Confirm(p.who, pay.Key)
	} else {
		var c map[string]string
		if c, err = m.cashier.Checkout(pay.Key); err == nil {
			err = m.double.Pay(p.who, fakewechat.PayRequest{TimeStamp: c["timeStamp"], NonceStr: c["nonceStr"], Package: c["package"],
				SignType: c["signType"], PaySign: c["paySign"]})
		}
	}
	switch {
	case err == nil && pay.Road == billing.Score:
		w.note(p.who, "confirms %s", name)
	case err == nil:
		w.note(p.who, "pays %s, %v yuan", name, pay.Amount)
	case errors.Is(err, fakewechat.ErrScoreRefused):
		w.note(p.who, "cannot confirm %s: %v", name, err)
		if w.chance(0.8) {
			w.after(w.between(500*time.Millisecond, 5*time.Second), func() { w.cancels(p.who, p.order, order.PayBefore) })
		}
	case errors.Is(err, fakewechat.ErrOrderPaid), errors.Is(err, fakewechat.ErrOrderClosed), errors.Is(err, fakewechat.ErrScoreState):
		w.note(p.who, "cannot pay %s: %v", name, err)
	default:
		w.oracle.violation("world: %s cannot pay %s: %v", p.who, name, err)
	}
	m.expect()
}

// cancels is a rider who calls off a pending order, or would rather pay otherwise.
func (w *world) cancels(who, id string, instead order.PayWith) {
	r := w.someReplica()
	if r == nil {
		return
	}
	what := "cancel of " + w.oracle.name(id)
	if instead != "" {
		what = fmt.Sprintf("%s instead for %s", instead, w.oracle.name(id))
	}
	a := order.Act{Order: id, Input: order.Cancel, Rider: who, Instead: instead}
	run(w, r, what, order.UseCase[order.Acted](a), func(a order.Acted, err error) {
		if err == nil {
			w.dispatch(r, a.Send)
		}
	})
}

// planPayments plans what riders and staff do with money besides orders.
func (w *world) planPayments() {
	do := func(times int, what func()) {
		for range times {
			w.after(w.between(10*time.Second, w.odds.length), func() {
				if !w.healing {
					what()
				}
			})
		}
	}
	do(1+w.rand.IntN(3), func() { w.topsUp(pick(w, w.riders)) })
	do(w.rand.IntN(3), func() { w.withdraws(pick(w, w.riders)) })
	do(3, func() { w.paysByHand() })
	do(4, func() { w.mendPayments(0.5) })
	do(8, w.letsGo)
	if w.faults[atWeChat(fakewechat.FaultOutage)] {
		do(w.rand.IntN(3), w.pay.fails)
	}
}

// letsGo is staff giving up an order that waits for its money.
func (w *world) letsGo() {
	for _, id := range sorted(w.oracle.orders) {
		if r := w.someReplica(); r != nil && w.oracle.orders[id].State == order.Pending && w.chance(0.5) {
			w.staffActs(r, id, order.GiveUpNow)
			return
		}
	}
}

// topsUp is a rider who pays into the wallet; often as much as it may hold, while
// somebody else does too.
func (w *world) topsUp(who string) {
	wallet := w.oracle.ledger.posted[billing.Wallet(who)]
	room := w.env.Config.BalanceCap - wallet - w.oracle.ledger.posted[billing.Receivable(who)]
	amount := billing.Fen(10 + w.rand.IntN(600))
	if full := w.chance(0.4) && room > 0; full {
		amount = room
	}
	if w.chance(0.4) {
		w.after(w.between(0, 20*time.Second), func() { w.money(w.topUp(who, 100+amount/4, fmt.Sprintf("also-%d", w.drawn)), 1) })
	}
	u := order.TopUp{Rider: who, Amount: amount, Route: "POST /v1/me/topups", Hash: sha256.Sum256(fmt.Append(nil, amount)),
		Key:    order.KeyRef{Principal: "rider:" + who, Key: fmt.Sprintf("wechat-topup-%d", w.drawn)},
		Answer: func(p order.Payment) (int, []byte, error) { return 201, []byte(p.ID), nil }}
	begun := false
	w.twice(fmt.Sprintf("top-up of %v yuan by %s", amount, who), u.Key, order.UseCase[order.Placed](u), func(p order.Placed) {
		if !begun {
			begun = true
			w.asks(who, "", string(p.Answer))
		}
	})
}

// withdraws is a rider who takes money out of the wallet.
func (w *world) withdraws(who string) {
	x := order.Withdraw{Rider: who, Route: "POST /v1/me/withdrawals",
		Key: order.KeyRef{Principal: "rider:" + who, Key: fmt.Sprintf("withdrawal-%d", w.drawn)},
		Answer: func(sent []order.Payment) (int, []byte, error) {
			return 201, fmt.Appendf(nil, "%d refunds", len(sent)), nil
		}}
	if w.chance(0.6) {
		x.Amount = billing.Fen(1 + w.rand.IntN(400))
	}
	x.Hash = sha256.Sum256(fmt.Append(nil, x.Amount))
	w.twice(fmt.Sprintf("withdrawal of %v yuan by %s", x.Amount, who), x.Key, order.UseCase[order.Placed](x), func(order.Placed) {})
}

// twice sends a request once or twice under its key.
func (w *world) twice(what string, key order.KeyRef, u order.UseCase[order.Placed], done func(order.Placed)) {
	for range 1 + w.rand.IntN(2) {
		w.after(w.between(0, 3*time.Second), func() {
			r := w.someReplica()
			if r == nil {
				return
			}
			run(w, r, what, u, func(p order.Placed, err error) {
				if err != nil {
					return
				}
				if !bytes.Equal(p.Answer, w.oracle.keys[key].Answer) {
					w.oracle.violation("E5: key %s got %q, committed is %q", key.Key, p.Answer, w.oracle.keys[key].Answer)
				}
				done(p)
			})
		})
	}
}

// paysByHand is a rider who pays what debits did not bring in.
func (w *world) paysByHand() {
	for _, id := range sorted(w.oracle.payments) {
		p := w.oracle.payments[id]
		if p.Road != billing.Score || p.State != order.PaymentCollecting || !w.chance(0.5) {
			continue
		}
		err := w.pay.double.PayScoreOrder(p.Rider, p.Number())
		w.note(p.Rider, "pays %s by hand (%v)", w.oracle.paymentName(id), err)
		w.pay.expect()
		return
	}
}

// mendPayments is staff putting right what does not get on by itself: they try again what
// WeChat closed, settle in its console what cannot reach a rider, or give it up.
func (w *world) mendPayments(p float64) {
	for _, id := range sorted(w.oracle.payments) {
		x := w.oracle.payments[id]
		switch {
		case !w.chance(p):
		case x.Road == billing.Refund && x.State == order.PaymentClosed && x.Reason != "tried_again":
			w.mend(id, false)
		case x.Road == billing.Refund && x.State == order.PaymentAbnormal:
			switch settled := w.pay.settled[id]; { // staff know what they did in the console
			case !settled && w.chance(0.3):
				w.pay.settled[id] = true
				w.mend(id, true)
				continue
			case !settled && w.chance(0.8):
				w.pay.settled[id] = true
				w.pay.console(x.Number(), x.Ref)
			}
			w.mend(id, false)
		case x.Road == billing.Refund && x.State == order.PaymentCreated, x.Road == billing.Score && x.State == order.PaymentCompleting:
			w.mend(id, w.chance(0.5))
		}
	}
}

func (w *world) mend(id string, giveUp bool) {
	act := "another try"
	if giveUp {
		act = "giving up"
	}
	m := order.Mend{Payment: id, GiveUp: giveUp, Route: act, Key: order.KeyRef{Principal: "staff:s1", Key: fmt.Sprintf("mend-%s-%d", id, w.result.Steps)},
		Staff:  order.Audit{Staff: "s1", Act: act, Reason: "the rider called"},
		Answer: func(p order.Payment) (int, []byte, error) { return 200, []byte(p.ID), nil }}
	w.twice(act+" of "+w.oracle.paymentName(id), m.Key, order.UseCase[order.Placed](m), func(order.Placed) {})
}

// healPayments ends what WeChat does amiss, and lets staff mend what is stuck.
func (w *world) healPayments() {
	if w.pay == nil {
		return
	}
	w.pay.heal()
	for range 2 {
		w.after(w.between(time.Second, 6*time.Minute), func() { w.mendPayments(0.6) })
	}
	for _, r := range w.replicas {
		w.after(w.between(0, time.Second), func() { w.collect(r) })
	}
}
