package order_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// TestAnyScheduleGivesTheSameLedger: steps that fail before and after they happened,
// notifications that are repeated, late, lost or out of order, crashes between a claim
// and its step, riders who pay, confirm and cancel whenever they like. At rest the
// ledger is what WeChat moved, and no rider paid for more than they used.
func TestAnyScheduleGivesTheSameLedger(t *testing.T) {
	reached := seenPayments{}
	schedule := func(r *rapid.T) {
		c := atCounter(r)
		c.bank.slow = true
		l := c.locks["bike-1"]
		var sent []word // every notification ever sent; any may come again
		acts := map[string]func(*rapid.T){
			"order": func(r *rapid.T) {
				c.hear(l.beat())
				p := c.placing()
				p.PayWith = rapid.SampledFrom([]order.PayWith{order.PayBefore, order.PayScore, order.PayScore, order.PayScore, order.PayWallet}).Draw(r, "way")
				_, _ = c.svc.Place(context.Background(), p)
			},
			"refuse": func(r *rapid.T) {
				c.bank.refuse = rapid.SampledFrom([]string{"", "", "", "", billing.WhyRisk, billing.WhySetup}).Draw(r, "why")
			},
			"top up": func(r *rapid.T) { _, _ = c.topUpByWeChat(billing.Fen(rapid.IntRange(1, 6000).Draw(r, "fen"))) },
			"turn":   func(*rapid.T) { c.once() },
			"crash":  func(*rapid.T) { _, _ = c.store.DuePayments(context.Background(), 30*time.Second, 1) },
			"time": func(r *rapid.T) {
				c.pass(time.Duration(rapid.SampledFrom([]int{1, 1, 7, 7, 20, 40, 130, 4000}).Draw(r, "seconds")) * time.Second)
				c.elapse()
			},
			"pay": func(r *rapid.T) {
				for _, number := range c.bank.numbers() {
					if rapid.Bool().Draw(r, "this one") {
						c.bank.pays(number)
						c.bank.confirms(number)
					}
				}
			},
			"works": func(*rapid.T) { c.bank.slow = false; c.bank.works(); c.bank.slow = true },
			"lose": func(r *rapid.T) {
				c.bank.lost, c.bank.down = rapid.IntRange(0, 3).Draw(r, "lost"), rapid.IntRange(0, 2).Draw(r, "down")
			},
			"notify": func(r *rapid.T) {
				sent = append(sent, c.bank.words...)
				c.bank.words = nil
				for range rapid.IntRange(0, 4).Draw(r, "times") {
					if len(sent) > 0 {
						w := sent[rapid.IntRange(0, len(sent)-1).Draw(r, "which")]
						_ = c.store.AddNotice(context.Background(), w.said, w.event)
					}
				}
			},
			"let go": func(*rapid.T) {
				for _, o := range c.store.Orders() {
					if o.State == order.Pending {
						_, _ = c.act(o.ID, order.GiveUpNow)
					}
				}
			},
			"cancel": func(*rapid.T) {
				for _, o := range c.store.Orders() {
					if o.State.Live() {
						_, _ = c.act(o.ID, order.Cancel)
					}
				}
			},
			"refund": func(r *rapid.T) {
				for _, o := range c.store.Orders() {
					if o.State == order.Settled && o.Paid() > 0 {
						c.drawn++
						_ = c.refund(o.ID, billing.Fen(rapid.IntRange(1, int(o.Paid())).Draw(r, "fen")), string(rune('a'+c.drawn)))
					}
				}
			},
			"bike": func(r *rapid.T) {
				c.hear(l.beat())
				for _, k := range c.dispatched() {
					switch {
					case k.Kind != device.Start || k.Seq <= l.last:
					case rapid.Bool().Draw(r, "opens"):
						c.hear(l.opens(k))
					default:
						c.hear(l.rejects(k))
					}
				}
				if !l.closed && rapid.Bool().Draw(r, "closes") {
					c.pass(time.Duration(rapid.IntRange(0, 1500).Draw(r, "ride")) * time.Second)
					c.hear(l.closes())
				}
				c.hear(l.beat())
			},
		}
		names := slices.Sorted(maps.Keys(acts))
		// What carries an order on comes more often than what hinders it.
		often := []string{"order", "turn", "turn", "turn", "pay", "pay", "bike", "bike", "bike", "notify", "time", "refund", "refund"}
		for range rapid.IntRange(10, 120).Draw(r, "steps") {
			if rapid.IntRange(0, 2).Draw(r, "how") > 0 {
				acts[rapid.SampledFrom(often).Draw(r, "act")](r)
			} else {
				acts[rapid.SampledFrom(names).Draw(r, "act")](r)
			}
			reached.note(c)
		}
		// Then everything gets well.
		c.bank.slow, c.bank.lost, c.bank.down, c.bank.refuse = false, 0, 0, ""
		if !l.closed {
			c.hear(l.closes())
		}
		for range 6 {
			l.last = max(l.last, l.s.outlet("bike-1").NextSeq-1) // the lock burns what it was sent
			c.hear(l.beat())
			c.bank.works()
			sent = append(sent, c.bank.words...)
			c.bank.words = sent
			c.deliver()
			c.after(4 * time.Minute)
			c.pass(40 * time.Minute)
			c.elapse()
			c.turn()
		}
		c.resting()
		used := billing.Fen(0)
		for _, o := range c.store.Orders() {
			if o.State.Live() {
				r.Errorf("order %s is %s", o.ID, o.State)
			}
			used += o.Paid()
		}
		// What riders gave the operator and did not get back is what they used, or what
		// lies in the wallet.
		if got := c.bank.net() + 5000 - c.wallet().Posted + c.owed(); got != used {
			r.Errorf("riders paid %d, and used %d", got, used)
		}
	}
	wanted := []string{"transaction paid order", "transaction paid topup", "transaction closed order", "score paid order",
		"score collecting order", "score closed order", "refund paid payback", "refund of score", "collected more than due", "paid after the order was over"}
	lacking := func() []string {
		return slices.DeleteFunc(slices.Clone(wanted), func(what string) bool { return reached[what] })
	}
	for round := 0; round < 15 || round < 100 && len(lacking()) > 0; round++ { // some are rare
		rapid.Check(t, schedule)
	}
	if missed := lacking(); len(missed) > 0 {
		t.Errorf("no schedule reached %q", missed)
	}
}

// seenPayments counts what the schedules reached, so that the property cannot hold for
// want of anything to go wrong.
type seenPayments map[string]bool

func (s seenPayments) note(c *counter) {
	all := map[string]order.Payment{}
	for _, p := range c.store.Payments() {
		all[p.ID] = p
		s[string(p.Road)+" "+string(p.State)+" "+string(p.For)] = true
	}
	for _, p := range all {
		switch {
		case p.Road == billing.Refund && all[p.Of].Road == billing.Score:
			s["refund of score"] = true
		case p.Road == billing.Score && p.State == order.PaymentPaid && p.Moved > p.Amount:
			s["collected more than due"] = true
		case p.Road == billing.Refund && p.Reason == "order_over":
			s["paid after the order was over"] = true
		}
	}
}
