package order_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// A confirmed score order can still be cancelled at WeChat, so one that was withdrawn
// must not start: the cancellation may be on its way.
func TestAWithdrawnScoreOrderNeverStarts(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayScore))
	number := c.bank.only(billing.Score)
	c.must(o.ID, order.Cancel)
	c.bank.confirms(number)
	c.deliver()
	c.after(time.Minute)
	if o = c.wants(o.ID, order.Voided); o.Reason != "cancelled" || c.bank.entries[number].stands != billing.StandsClosed {
		t.Errorf("%s, and WeChat has it %s; want cancelled and closed", o.Reason, c.bank.entries[number].stands)
	}
	if sent := c.dispatched(); len(sent) != 0 {
		t.Errorf("dispatched %+v", sent)
	}
	c.resting()
}

func TestARideOnPayScoreIsCollectedAfterwards(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayScore))
	number := c.bank.only(billing.Score)
	c.bank.confirms(number)
	c.deliver()
	c.turn()
	l := c.locks["bike-1"]
	c.hear(l.opens(c.started(o.ID)))
	c.bank.slow = true
	c.pass(3 * time.Minute)
	c.hear(l.closes())
	c.turn()
	if o = c.wants(o.ID, order.Settled); o.Charged != 250 || c.bank.entries[number].amount != 250 {
		t.Errorf("charged %d, WeChat collects %d; want 250 both", o.Charged, c.bank.entries[number].amount)
	}
	if err := c.refund(o.ID, 50, "goodwill"); err != nil {
		t.Fatal(err)
	}
	c.turn()
	if got := c.bank.entries[number].amount; got != 200 {
		t.Errorf("after a refund WeChat collects %d, want 200", got)
	}
	c.pass(25 * time.Hour)
	c.hear(l.beat())
	c.refused(c.placing(), order.ErrDebt)
	c.after(time.Minute)
	if m := c.store.Messages(); len(m) != 2 || m[1].Kind != order.TellUnpaid {
		t.Errorf("messages: %+v, want that it ended and that it is unpaid", m)
	}
	c.bank.slow = false
	c.bank.collect(number)
	c.deliver()
	c.turn()
	c.resting()
	c.hear(l.beat())
	c.place()
	if err := c.refund(o.ID, 200, "all"); err != nil {
		t.Fatal(err)
	}
	c.turn()
	c.bank.works()
	c.deliver()
	c.turn()
	c.resting()
}

// scored is a ride on Pay Score that cost 250 and is being collected.
func scored(t *testing.T) (*counter, order.Order, string) {
	t.Helper()
	c := atCounter(t)
	c.bank.slow = true
	o := c.pending(paying(order.PayScore))
	number := c.bank.only(billing.Score)
	c.bank.confirms(number)
	c.deliver()
	c.turn()
	l := c.locks["bike-1"]
	c.hear(l.opens(c.started(o.ID)))
	c.pass(3 * time.Minute)
	c.hear(l.closes())
	return c, o, number
}

func TestABillThatWeChatRefusesForGoodBecomesADebt(t *testing.T) {
	c, _, number := scored(t)
	c.spend(5000)
	c.bank.no = map[billing.Step]string{billing.AskComplete: "PARAM_ERROR"}
	c.after(time.Hour)
	if _, err := c.mend(order.PaymentOf(number), true, "g"); err != nil {
		t.Fatal(err)
	}
	c.after(time.Minute)
	if c.owed() != 250 || c.bank.entries[number].stands != billing.StandsClosed {
		t.Errorf("owed %d, WeChat has it %s; want 250 and closed", c.owed(), c.bank.entries[number].stands)
	}
	c.resting()
}

func TestEachDebitOfAScoreOrderIsRefundedForItself(t *testing.T) {
	c, o, number := scored(t)
	c.turn()
	c.bank.parts = []billing.Fen{100, 100, 50}
	c.bank.slow = false
	c.bank.collect(number)
	c.deliver()
	c.turn()
	if p := c.payment(order.PaymentOf(number)); p.State != order.PaymentPaid || len(p.Debits) != 3 {
		t.Fatalf("%s with debits %+v, want paid in three", p.State, p.Debits)
	}
	for i, fen := range []billing.Fen{30, 120, 100} {
		if err := c.refund(o.ID, fen, string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
		c.turn()
		c.bank.works()
		c.after(time.Minute)
	}
	c.resting()
	if c.bank.net() != 0 || len(c.itemKinds()) != 0 {
		t.Errorf("WeChat keeps %d of 250, items %v", c.bank.net(), c.itemKinds())
	}
}

func TestAnUnpaidScoreOrderIsAskedForWithoutFalseAlarms(t *testing.T) {
	c, _, _ := scored(t)
	c.after(3 * time.Hour)
	collects := 0
	for _, a := range c.bank.asked {
		if a.Step == billing.AskCollect {
			collects++
		}
	}
	if kinds := c.itemKinds(); len(kinds) != 0 || collects == 0 {
		t.Errorf("items %v after asking WeChat to collect %d times, want none", kinds, collects)
	}
}

func TestARefusedBillIsTold(t *testing.T) {
	c, _, _ := scored(t)
	c.bank.no = map[billing.Step]string{billing.AskComplete: "PARAM_ERROR"}
	before := len(c.bank.asked)
	c.after(2 * time.Hour)
	if kinds := c.itemKinds(); !slices.Contains(kinds, order.ItemPayment) {
		t.Errorf("items %v, want payment_mismatch", kinds)
	}
	if n := len(c.bank.asked) - before; n > 40 {
		t.Errorf("asked %d times in two hours", n)
	}
	c.bank.no = nil
	c.bank.slow = false
	c.after(6 * time.Hour)
	c.bank.works()
	c.after(6 * time.Hour)
	c.resting()
}

func TestABillThatWeChatClosesIsADebt(t *testing.T) {
	c, o, number := scored(t)
	c.spend(5000)
	c.bank.entries[number].stands = billing.StandsClosed // in the middle of the ride, say
	c.after(time.Minute)
	if c.owed() != 250 {
		t.Fatalf("owed %d, want the 250 that WeChat does not collect", c.owed())
	}
	c.resting()
	c.hear(c.locks["bike-1"].beat())
	c.refused(c.placing(), order.ErrDebt)
	if err := c.refund(o.ID, 250, "goodwill"); err != nil {
		t.Fatal(err)
	}
	if c.owed() != 0 {
		t.Errorf("owed %d after the refund, want 0", c.owed())
	}
	c.resting()
}

func TestWhatTheRiskCapLeavesOpenIsADebt(t *testing.T) {
	c := atCounter(t)
	c.spend(4900) // 100 are left in the wallet
	o := c.pending(paying(order.PayScore))
	number := c.bank.only(billing.Score)
	c.bank.confirms(number)
	c.deliver()
	c.turn()
	l := c.locks["bike-1"]
	c.hear(l.opens(c.started(o.ID)))
	c.pass(time.Hour) // 1000, and the fund is 800
	c.hear(l.closes())
	o = c.wants(o.ID, order.Settled)
	if o.Charged != 800 || o.Debt != 200 || c.owed() != 100 {
		t.Errorf("charged %d, debt %d, owed %d; want 800, 200, 100 after the wallet paid its part", o.Charged, o.Debt, c.owed())
	}
	c.turn()
	c.bank.works()
	c.deliver()
	c.turn()
	c.resting()
	c.hear(l.beat())
	c.refused(c.placing(), order.ErrDebt)
	id, err := c.topUpByWeChat(500)
	if err != nil {
		t.Fatal(err)
	}
	c.turn()
	c.bank.pays(c.payment(id).Number())
	c.deliver()
	c.turn()
	if c.owed() != 0 || c.wallet().Posted != 400 {
		t.Errorf("owed %d, wallet %d; want 0 and 400", c.owed(), c.wallet().Posted)
	}
}

func TestWhoPayScoreRefusesIsAskedToPayBeforeInTheSameOrder(t *testing.T) {
	c := atCounter(t)
	c.bank.refuse = billing.WhyRisk
	o := c.pending(paying(order.PayScore))
	if o.PayWith != order.PayBefore {
		t.Fatalf("pays with %s, want prepay", o.PayWith)
	}
	number := c.bank.only(billing.Transaction)
	if got := c.bank.entries[number].amount; got != 800 {
		t.Errorf("asked for %d, want 800", got)
	}
	c.bank.pays(number)
	c.deliver()
	c.turn()
	l := c.locks["bike-1"]
	c.hear(l.opens(c.started(o.ID)))
	c.hear(l.closes())
	c.turn()
	c.bank.works()
	c.after(time.Minute)
	c.resting()
	if c.bank.net() != 100 {
		t.Errorf("WeChat has %d, want 100", c.bank.net())
	}
}

func TestWhoCannotConfirmPaysBeforeInstead(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayScore))
	instead := func(a *order.Act) { a.Instead = order.PayBefore }
	for range 2 { // asked twice
		if _, err := c.act(o.ID, order.Cancel, instead); err != nil {
			t.Fatal(err)
		}
	}
	c.turn()
	if o = c.wants(o.ID, order.Pending); o.PayWith != order.PayBefore || o.DueAt.IsZero() {
		t.Fatalf("pays with %s until %v, want prepay with time to pay", o.PayWith, o.DueAt)
	}
	c.bank.pays(c.bank.only(billing.Transaction))
	c.deliver()
	c.turn()
	start := c.started(o.ID)
	if _, err := c.act(o.ID, order.Cancel, instead); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("after it started: %v, want ErrWrongState", err)
	}
	l := c.locks["bike-1"]
	c.hear(l.opens(start))
	c.hear(l.closes())
	c.turn()
	c.bank.works()
	c.after(time.Minute)
	c.resting()
}
