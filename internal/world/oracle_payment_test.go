package world

import (
	"strings"
	"testing"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// The same for payments: each lie told after a sane schedule must be seen.
func TestOracleSeesEachLieAboutAPayment(t *testing.T) {
	seed := uint64(baseSeed)
	type tellers struct{ before, after, refund order.Payment }
	for name, lie := range map[string]struct {
		promise string
		tell    func(*oracle, tellers)
	}{
		"money that never came": {"M7", func(o *oracle, p tellers) {
			o.committed(order.Changes{Transfers: []billing.Transfer{{ID: "new", Kind: billing.Single, Debit: billing.WeChat,
				Credit: billing.Prepaid(p.before.Order), Amount: 1, Purpose: billing.ForPrepay, Key: p.before.ID}}}, nil, o.w.now())
		}},
		"a debit twice": {"M7", func(o *oracle, p tellers) {
			o.committed(order.Changes{Transfers: []billing.Transfer{{ID: "new", Kind: billing.Single, Debit: billing.WeChat,
				Credit: billing.ScoreDue, Amount: 1, Purpose: billing.ForCollected, Key: p.after.ID + "/1"}}}, nil, o.w.now())
		}},
		"a refund that did not arrive": {"M7", func(o *oracle, p tellers) {
			o.ledger.holds["h"] = billing.Transfer{ID: "h", Debit: billing.WeChat, Credit: billing.WeChat, Amount: 1, Key: p.refund.ID}
			o.committed(order.Changes{Transfers: []billing.Transfer{{ID: "new", Kind: billing.Post, Debit: billing.Prepaid(p.refund.Order),
				Credit: billing.WeChat, Amount: 1, Purpose: billing.ForPayback, Hold: "h"}}}, nil, o.w.now())
		}},
		"half of a refund": {"M4", func(o *oracle, p tellers) {
			o.ledger.holds["h"] = billing.Transfer{ID: "h", Amount: 2, Key: p.refund.ID}
			o.committed(order.Changes{Transfers: []billing.Transfer{{ID: "new", Kind: billing.Post, Debit: billing.Prepaid(p.refund.Order),
				Credit: billing.WeChat, Amount: 1, Purpose: billing.ForPayback, Hold: "h"}}}, nil, o.w.now())
		}},
		"started unpaid": {"A3", func(o *oracle, p tellers) {
			x := o.orders[p.before.Order]
			x.HoldFen = p.before.Amount + 1
			o.authorised(x)
		}},
		"started on another's money": {"A3", func(o *oracle, p tellers) {
			x := o.orders[p.before.Order]
			x.Rider = "rider-9"
			o.authorised(x)
		}},
		"started unconfirmed":  {"A3", func(o *oracle, p tellers) { o.authorised(o.orders[p.after.Order]) }}, // it is paid by now
		"paid and open again":  {"E3", func(o *oracle, p tellers) { p.before.State = order.PaymentOpen; o.payment(p.before) }},
		"confirmed, then open": {"E3", func(o *oracle, p tellers) { p.after.State = order.PaymentConfirmed; o.payment(p.after) }},
		"another's payment":    {"E3", func(o *oracle, p tellers) { p.before.Order = "other"; o.payment(p.before) }},
		"another amount":       {"E3", func(o *oracle, p tellers) { p.before.Amount++; o.payment(p.before) }},
		"more back than came":  {"M8", func(o *oracle, p tellers) { p.before.Back = p.before.Moved + 1; o.payment(p.before) }},
		"less moved than did":  {"M8", func(o *oracle, p tellers) { p.before.Moved--; o.payment(p.before) }},
		"more moved than did": {"M7", func(o *oracle, p tellers) {
			p.before.Moved++
			o.payments[p.before.ID] = p.before
			o.judge()
		}},
		"another number": {"M7", func(o *oracle, p tellers) {
			o.asked(p.before.ID, billing.Ask{Road: p.before.Road, Number: p.after.Number()}, billing.Said{}, nil, true)
		}},
		"other figures": {"M7", func(o *oracle, p tellers) {
			o.asked(p.before.ID, billing.Ask{Step: billing.AskCreate, Road: p.before.Road, Number: p.before.Number()},
				billing.Said{Stands: billing.StandsRefused, Why: billing.WhyFigures}, nil, true)
		}},
		"another amount is believed": {"M7", func(o *oracle, p tellers) {
			said := billing.Said{Road: p.before.Road, Number: p.before.Number(), Stands: billing.StandsPaid, Amount: p.before.Amount + 1}
			o.committed(order.Changes{}, word{n: order.Notice{Said: said}}, o.w.now())
		}},
		"repeated unasked": {"M7", func(o *oracle, p tellers) {
			for range 2 {
				o.asked(p.before.ID, billing.Ask{Step: billing.AskClose, Road: p.before.Road, Number: p.before.Number()}, billing.Said{}, billing.ErrUnsure, true)
			}
		}},
		"unpaid at WeChat": {"M7", func(o *oracle, p tellers) {
			p.after.State = order.PaymentClosed
			o.payments[p.after.ID] = p.after
			o.judge()
		}},
		"left over": {"M9", func(o *oracle, p tellers) {
			p.before.State = order.PaymentOpen
			o.payments[p.before.ID] = p.before
			o.judge()
		}},
		"prepaid and kept": {"M9", func(o *oracle, p tellers) { o.ledger.posted[billing.Prepaid(p.before.Order)] += 1 << 30; o.judge() }},
		"closed in silence": {"M9", func(o *oracle, p tellers) {
			p.refund.State = order.PaymentClosed
			o.payments[p.refund.ID] = p.refund
			delete(o.items, order.ItemRefund+"/"+p.refund.ID)
			o.judge()
		}},
		"a purse below zero": {"M3", func(o *oracle, p tellers) {
			o.committed(order.Changes{Transfers: []billing.Transfer{{ID: "new", Kind: billing.Single, Debit: billing.Prepaid(p.before.Order),
				Credit: billing.Revenue, Amount: 1 << 40, Purpose: billing.ForCapture, Order: p.before.Order}}}, nil, o.w.now())
		}},
		"a message too many": {"M9", func(o *oracle, p tellers) { o.w.env.Config.Messages = !o.w.env.Config.Messages; o.judge() }},
		"a pump that stands still": {"P1", func(o *oracle, p tellers) {
			for _, x := range o.w.store.Orders() {
				if x.Kind == device.Pump {
					o.halts[x.Device] = &halted{}
					o.stopsAndStarts(order.Changes{Moves: []order.Move{{Order: x.ID, From: order.Pending, To: order.Starting, Input: order.Authorised}}}, nil, 0)
					return
				}
			}
		}},
	} {
		w, before, after, refund := paidOnce(t, &seed)
		if lie.tell(w.oracle, tellers{before, after, refund}); !strings.Contains(strings.Join(w.result.Violations, "\n"), " "+lie.promise+": ") {
			t.Errorf("%s, a lie about %s, is not seen; violations: %q", name, lie.promise, w.result.Violations)
		}
	}
}

// paidOnce plays a schedule with pumps in which somebody paid before, somebody after,
// and something went back: that of seed or the next one after it.
func paidOnce(t *testing.T, seed *uint64) (w *world, before, after, refund order.Payment) {
	t.Helper()
	for ; ; *seed++ {
		w = play(*seed+*seed%2, Options{})
		before, after, refund = order.Payment{}, order.Payment{}, order.Payment{}
		for _, p := range w.store.Payments() {
			switch {
			case p.State != order.PaymentPaid || p.Order == "" || w.oracle.orders[p.Order].State != order.Settled:
			case p.Road == billing.Transaction:
				before = p
			case p.Road == billing.Score:
				after = p
			case w.oracle.payments[p.Of].Road == billing.Transaction:
				refund = p
			}
		}
		if before.ID != "" && after.ID != "" && refund.ID != "" {
			if len(w.result.Violations) > 0 {
				t.Fatalf("seed %d: %q", *seed, w.result.Violations)
			}
			return w, before, after, refund
		}
	}
}
