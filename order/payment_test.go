package order_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func TestAPrepaidRideStartsWhenItIsPaidAndTheRestGoesBack(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayBefore))
	if o.HoldFen != 1000 || o.Hold != "" || o.Command != "" {
		t.Fatalf("pending: hold of %d (%q), command %q; want 1000 and neither", o.HoldFen, o.Hold, o.Command)
	}
	c.refused(c.placing(), order.ErrOutletBusy)
	number := c.bank.only(billing.Transaction)
	c.bank.pays(number)
	c.deliver()
	c.turn()
	start := c.started(o.ID)
	l := c.locks["bike-1"]
	c.hear(l.opens(start))
	c.pass(3 * time.Minute)
	c.hear(l.closes())
	o = c.wants(o.ID, order.Settled)
	if o.Charged != 250 || c.wallet().Posted != 5000 {
		t.Errorf("charged %d, wallet %d; want 250 of what was prepaid and an untouched wallet", o.Charged, c.wallet().Posted)
	}
	c.turn()
	if a := c.account(billing.Prepaid(o.ID)); a.Posted != 750 || a.Held != 750 {
		t.Errorf("accepted is not done: %+v, want 750 held", a)
	}
	c.bank.works()
	c.deliver()
	c.turn()
	c.resting()
	if c.bank.net() != 250 {
		t.Errorf("WeChat has %d, want the 250 of the ride", c.bank.net())
	}
}

func TestAPaymentWithoutANotificationIsFoundWithinAMinute(t *testing.T) {
	c := atCounter(t)
	id, err := c.topUpByWeChat(3000)
	if err != nil {
		t.Fatal(err)
	}
	c.turn()
	for range 20 { // up to 10 minutes of thinking
		if c.payment(id).State != order.PaymentOpen {
			t.Fatalf("top-up is %s", c.payment(id).State)
		}
		c.after(30 * time.Second)
	}
	c.bank.pays(c.bank.only(billing.Transaction))
	c.after(40 * time.Second)
	if c.payment(id).State != order.PaymentPaid || c.wallet().Posted != 8000 {
		t.Errorf("after 40 s: %s, wallet %d; want paid, 8000", c.payment(id).State, c.wallet().Posted)
	}
	c.resting()
}

func TestNobodyPaysAndTheOrderIsVoidedOnlyByWeChatsAnswer(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayBefore))
	c.after(110 * time.Second)
	c.wants(o.ID, order.Pending)
	c.bank.down = 1000
	c.after(60 * time.Second)
	c.wants(o.ID, order.Pending)
	c.bank.down = 0
	c.after(70 * time.Second)
	if o = c.wants(o.ID, order.Voided); o.Reason != "not_paid" {
		t.Errorf("voided because %q, want not_paid", o.Reason)
	}
	c.resting()
	c.place()
}

func TestPaidBeforeTheAnswerStartsAfterItGoesBack(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		c := atCounter(t)
		o := c.pending(paying(order.PayBefore))
		c.bank.down = 1000
		c.after(130 * time.Second)
		c.bank.pays(c.bank.only(billing.Transaction)) // the close has not reached WeChat
		c.bank.down = 0
		c.hear(c.locks["bike-1"].beat())
		for range 12 {
			c.pass(10 * time.Second)
			c.once()
		}
		c.once()
		c.started(o.ID)
	})
	t.Run("after the rider called it off", func(t *testing.T) {
		c := atCounter(t)
		o := c.pending(paying(order.PayBefore))
		c.must(o.ID, order.Cancel)
		c.bank.pays(c.bank.only(billing.Transaction))
		c.turn()
		if o = c.wants(o.ID, order.Voided); o.Reason != "cancelled" || len(c.dispatched()) != 0 {
			t.Errorf("voided because %q, want cancelled and no command", o.Reason)
		}
		c.bank.works()
		c.after(time.Minute)
		c.resting()
		if c.bank.net() != 0 {
			t.Errorf("WeChat kept %d of an order that was called off", c.bank.net())
		}
	})
	t.Run("after staff let go", func(t *testing.T) {
		c := atCounter(t)
		o := c.pending(paying(order.PayBefore))
		c.bank.down = 1000
		c.must(o.ID, order.GiveUpNow)
		c.wants(o.ID, order.Voided)
		c.bank.pays(c.bank.only(billing.Transaction))
		c.bank.down = 0
		c.after(2 * time.Minute)
		c.bank.works()
		c.after(2 * time.Minute)
		c.resting()
		if c.bank.net() != 0 {
			t.Errorf("WeChat kept %d of an order that never started", c.bank.net())
		}
		c.wants(o.ID, order.Voided)
	})
}

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

func TestADeviceThatCannotStartAnyMoreGivesTheMoneyBack(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayBefore))
	if _, err := c.svc.SetService(context.Background(), order.SetService{Device: "bike-1", Service: device.Maintenance, Staff: staff}); err != nil {
		t.Fatal(err)
	}
	c.bank.pays(c.bank.only(billing.Transaction))
	c.deliver()
	c.turn()
	if o = c.wants(o.ID, order.Voided); o.Reason != "not_in_service" {
		t.Errorf("voided because %q, want not_in_service", o.Reason)
	}
	c.bank.works()
	c.after(time.Minute)
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

func TestARefundThatWeChatRefusesForGoodIsGivenUp(t *testing.T) {
	c := atCounter(t)
	id, err := c.topUpByWeChat(1000)
	if err != nil {
		t.Fatal(err)
	}
	c.turn()
	c.bank.pays(c.payment(id).Number())
	c.deliver()
	c.turn()
	c.bank.no = map[billing.Step]string{billing.AskCreate: "USER_ACCOUNT_ABNORMAL"}
	if _, err := c.svc.Withdraw(context.Background(), order.Withdraw{Rider: ann.ID, Amount: 400, Route: "withdrawals",
		Key:    order.KeyRef{Principal: "rider:" + ann.ID, Key: "w"},
		Answer: func(sent []order.Payment) (int, []byte, error) { id = sent[0].ID; return 201, []byte("{}"), nil }}); err != nil {
		t.Fatal(err)
	}
	before := len(c.bank.asked)
	c.after(2 * time.Hour)
	if n := len(c.bank.asked) - before; n > 20 || !slices.Contains(c.itemKinds(), order.ItemRefund) {
		t.Errorf("asked %d times, items %v; want a few and refund_stuck", n, c.itemKinds())
	}
	if _, err := c.mend(id, true, "g"); err != nil {
		t.Fatal(err)
	}
	if w := c.wallet(); w.Held != 0 || w.Posted != 6000 {
		t.Errorf("wallet %+v, want 6000 and nothing held", w)
	}
	c.resting()
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

func TestASecondDecisionMakesTheSameRefund(t *testing.T) {
	numbers := map[string]bool{}
	for range 2 { // as after a restore of an older backup: the same ride is settled again
		c := atCounter(t)
		o := c.pending(paying(order.PayBefore))
		c.bank.pays(c.bank.only(billing.Transaction))
		c.deliver()
		c.turn()
		l := c.locks["bike-1"]
		c.hear(l.opens(c.started(o.ID)))
		if len(numbers) == 1 {
			c.pass(0)
			_, _ = c.topUpByWeChat(1) // chance has moved on since
		}
		c.hear(l.closes())
		for _, p := range c.store.Payments() {
			if p.Road == billing.Refund {
				numbers[p.Number()] = true
			}
		}
	}
	if len(numbers) != 1 {
		t.Errorf("the refund got the numbers %v, want one", numbers)
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

func TestALateAnswerChangesNothingThatIsOver(t *testing.T) {
	c := atCounter(t)
	id, err := c.topUpByWeChat(100)
	if err != nil {
		t.Fatal(err)
	}
	c.turn()
	c.bank.pays(c.payment(id).Number())
	c.deliver()
	c.turn()
	for _, said := range []billing.Said{{}, {Stands: billing.StandsRefused, Why: billing.WhySetup}, {Road: billing.Transaction, Stands: billing.StandsPaid, Amount: 1, Moved: 1}} {
		snap, err := c.store.Load(context.Background(), order.Query{Payment: id})
		if err != nil {
			t.Fatal(err)
		}
		changes, _, err := order.Tell{Payment: id, Said: said, Step: billing.AskQuery}.Decide(snap, order.Env{Rand: chance(9), Sealer: sealer{}})
		if err != nil || len(changes.Payments) != 0 || len(changes.Transfers) != 0 {
			t.Errorf("%+v changes %+v (%v)", said, changes, err)
		}
	}
}

func TestOpenRefundsAreAskedAboutLessAndLess(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayBefore))
	c.bank.slow = true
	c.bank.pays(c.bank.only(billing.Transaction))
	c.deliver()
	c.turn()
	l := c.locks["bike-1"]
	c.hear(l.opens(c.started(o.ID)))
	c.hear(l.closes())
	c.turn()
	before, version := len(c.bank.asked), c.order(o.ID).Version
	for range 24 * 6 {
		c.pass(10 * time.Minute)
		c.turn()
	}
	if n := len(c.bank.asked) - before; n > 60 || c.order(o.ID).Version > version+1 {
		t.Errorf("a day with an open refund: asked %d times, the order's version went from %d to %d", n, version, c.order(o.ID).Version)
	}
}

func TestPaymentsMoveOnlyAsTheirTableSays(t *testing.T) {
	all := []order.PaymentState{order.PaymentCreated, order.PaymentOpen, order.PaymentConfirmed, order.PaymentCompleting,
		order.PaymentCollecting, order.PaymentClosing, order.PaymentAbnormal, order.PaymentPaid, order.PaymentClosed, "unknown"}
	inputs := []order.PaymentInput{billing.StandsUnknown, billing.StandsOpen, billing.StandsConfirmed, billing.StandsCollecting, billing.StandsPaid,
		billing.StandsClosed, billing.StandsProcessing, billing.StandsAbnormal, billing.StandsRefused, order.Withdrawn, order.Billed, "nonsense"}
	type row struct {
		road billing.Road
		from order.PaymentState
		in   order.PaymentInput
	}
	// What must hold whatever else the table says.
	for _, road := range []billing.Road{billing.Transaction, billing.Score, billing.Refund, "nowhere"} {
		for _, from := range all {
			for _, in := range inputs {
				to, ok := order.PaymentNext(road, from, in)
				switch {
				case road == "nowhere" || from == "unknown" || in == "nonsense":
					if ok {
						t.Errorf("%s %s on %s moves to %s", road, from, in, to)
					}
				case from == order.PaymentPaid && ok:
					t.Errorf("%s: paid is not the end: %s leads to %s", road, in, to)
				case from == order.PaymentClosed && ok && (row{road, from, in} != row{billing.Transaction, order.PaymentClosed, billing.StandsPaid}):
					t.Errorf("%s: closed is not the end: %s leads to %s", road, in, to)
				case to == order.PaymentPaid && in != billing.StandsPaid:
					t.Errorf("%s %s: %s is no money, and leads to paid", road, from, in)
				case from == order.PaymentClosing && to == order.PaymentConfirmed:
					t.Errorf("%s: a withdrawn order is confirmed", road)
				case in == billing.StandsProcessing && to == order.PaymentPaid:
					t.Errorf("%s: accepted is taken for done", road)
				}
			}
		}
	}
	for _, want := range []struct {
		row
		to order.PaymentState
	}{
		{row{billing.Transaction, order.PaymentClosing, billing.StandsPaid}, order.PaymentPaid},
		{row{billing.Transaction, order.PaymentOpen, order.Withdrawn}, order.PaymentClosing},
		{row{billing.Score, order.PaymentOpen, billing.StandsConfirmed}, order.PaymentConfirmed},
		{row{billing.Score, order.PaymentConfirmed, order.Billed}, order.PaymentCompleting},
		{row{billing.Score, order.PaymentCollecting, billing.StandsClosed}, order.PaymentClosed},
		{row{billing.Refund, order.PaymentCreated, billing.StandsProcessing}, order.PaymentOpen},
		{row{billing.Refund, order.PaymentAbnormal, billing.StandsPaid}, order.PaymentPaid},
	} {
		if to, ok := order.PaymentNext(want.road, want.from, want.in); !ok || to != want.to {
			t.Errorf("%s %s on %s: got %q, want %s", want.road, want.from, want.in, to, want.to)
		}
	}
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

func TestARefundOfADebtThatTheWalletPaidGoesToTheWallet(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayScore))
	c.bank.confirms(c.bank.only(billing.Score))
	c.deliver()
	c.turn()
	l := c.locks["bike-1"]
	c.hear(l.opens(c.started(o.ID)))
	c.pass(time.Hour) // 1000: 800 by Pay Score, 200 out of the wallet
	c.hear(l.closes())
	if err := c.refund(o.ID, 1000, "all"); err != nil {
		t.Fatal(err)
	}
	c.turn()
	c.bank.works()
	c.after(time.Minute)
	c.bank.works()
	c.after(time.Minute)
	c.resting()
	if c.wallet().Posted != 5000 || c.bank.net() != 0 {
		t.Errorf("wallet %d, WeChat %d; want 5000 and 0", c.wallet().Posted, c.bank.net())
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

func TestAnUnansweredStepIsNotRepeatedBeforeWeChatWasAsked(t *testing.T) {
	for name, fail := range map[string]func(*bank){
		"it happened": func(b *bank) { b.lost = 1 }, "it did not": func(b *bank) { b.down = 1 },
		"and the question is lost too": func(b *bank) { b.lost = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			c := atCounter(t)
			fail(c.bank)
			id, err := c.topUpByWeChat(100)
			if err != nil {
				t.Fatal(err)
			}
			c.after(time.Minute)
			unanswered := c.bank.lost + c.bank.down
			if c.payment(id).State != order.PaymentOpen || unanswered != 0 {
				t.Fatalf("top-up is %s", c.payment(id).State)
			}
			if c.bank.asked[0].Step != billing.AskCreate || c.bank.asked[1].Step != billing.AskQuery {
				t.Errorf("asked %s, then %s; want create, then query", c.bank.asked[0].Step, c.bank.asked[1].Step)
			}
			for i, a := range c.bank.asked {
				if i > 0 && a.Step == billing.AskCreate && c.bank.asked[i-1].Step != billing.AskQuery {
					t.Errorf("step %d creates again after %s", i, c.bank.asked[i-1].Step)
				}
			}
		})
	}
}

func TestACrashAfterAStepBeganAsksFirst(t *testing.T) {
	c := atCounter(t)
	if _, err := c.topUpByWeChat(100); err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.DuePayments(context.Background(), 30*time.Second, 10); err != nil { // claimed, and then the process dies
		t.Fatal(err)
	}
	c.after(time.Minute)
	if c.bank.asked[0].Step != billing.AskQuery {
		t.Errorf("the next replica began with %s, want query", c.bank.asked[0].Step)
	}
}

func TestAWordThatIsNotAsWeHaveItMovesNothing(t *testing.T) {
	for name, bend := range map[string]func(*billing.Said){
		"another amount":      func(s *billing.Said) { s.Amount, s.Moved = 1, 1 },
		"another amount paid": func(s *billing.Said) { s.Moved = 99 },
		"another merchant":    func(s *billing.Said) { s.Foreign = "mchid" },
		"another road":        func(s *billing.Said) { s.Road = billing.Score },
		"nobody's number":     func(s *billing.Said) { s.Number = "0190000000007000800000000000dead" },
		"no number at all":    func(s *billing.Said) { s.Number = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			c := atCounter(t)
			id, err := c.topUpByWeChat(100)
			if err != nil {
				t.Fatal(err)
			}
			c.turn()
			said := billing.Said{Road: billing.Transaction, Number: c.payment(id).Number(), Stands: billing.StandsPaid, Amount: 100, Moved: 100}
			bend(&said)
			if err := c.store.AddNotice(context.Background(), said, "TRANSACTION.SUCCESS"); err != nil {
				t.Fatal(err)
			}
			c.turn()
			if c.wallet().Posted != 5000 || c.payment(id).State != order.PaymentOpen {
				t.Errorf("wallet %d, top-up %s; want 5000 and open", c.wallet().Posted, c.payment(id).State)
			}
			if kinds := c.itemKinds(); !slices.Equal(kinds, []string{order.ItemPayment}) {
				t.Errorf("items %v, want one payment_mismatch", kinds)
			}
			if left, _ := c.store.Notices(context.Background(), 10); len(left) != 0 {
				t.Errorf("the notification waits for ever: %+v", left)
			}
		})
	}
}

func TestATopUpStaysBelowTheBalanceCap(t *testing.T) {
	c := atCounter(t)
	if _, err := c.topUpByWeChat(5001); !errors.Is(err, order.ErrBalanceCap) {
		t.Errorf("5001 beside 5000: %v, want ErrBalanceCap", err)
	}
	first, err := c.topUpByWeChat(5000)
	if err != nil {
		t.Fatal(err)
	}
	c.turn()
	c.bank.down = 1000 // the withdrawal of the first does not reach WeChat
	second, err := c.topUpByWeChat(4000)
	if err != nil {
		t.Fatal(err)
	}
	c.bank.down = 0
	c.bank.pays(c.payment(first).Number())
	c.turn()
	c.bank.pays(c.payment(second).Number())
	c.deliver()
	c.turn()
	c.bank.works()
	c.after(time.Minute)
	if c.wallet().Posted != 10_000 || c.bank.net() != 5000 {
		t.Errorf("wallet %d, WeChat %d; want 10000 and the rest back", c.wallet().Posted, c.bank.net())
	}
	c.resting()
}

func TestAWithdrawalIsRefundsOfNamedTopUps(t *testing.T) {
	c := atCounter(t)
	for _, fen := range []billing.Fen{1000, 2000} {
		id, err := c.topUpByWeChat(fen)
		if err != nil {
			t.Fatal(err)
		}
		c.turn()
		c.bank.pays(c.payment(id).Number())
		c.deliver()
		c.turn()
	}
	ask := func(key string, fen billing.Fen) error {
		_, err := c.svc.Withdraw(context.Background(), order.Withdraw{Rider: ann.ID, Amount: fen, Route: "withdrawals",
			Key:    order.KeyRef{Principal: "rider:" + ann.ID, Key: key},
			Answer: func([]order.Payment) (int, []byte, error) { return 201, nil, nil }})
		return err
	}
	if err := ask("w1", 2500); err != nil {
		t.Fatal(err)
	}
	if err := ask("w1", 2500); err != nil { // the same key once
		t.Fatal(err)
	}
	if w := c.wallet(); w.Held != 2500 || w.Posted != 8000 {
		t.Errorf("wallet %+v, want 2500 held", w)
	}
	if err := ask("w2", 600); !errors.Is(err, order.ErrOverRefund) {
		t.Errorf("600 where 500 came from top-ups: %v, want ErrOverRefund", err)
	}
	c.turn()
	c.bank.works()
	c.after(time.Minute)
	c.resting()
	if c.wallet().Posted != 5500 || c.bank.net() != 500 {
		t.Errorf("wallet %d, WeChat %d; want 5500, 500", c.wallet().Posted, c.bank.net())
	}
}

func TestARefundThatCannotArriveIsToldAndTriedAgain(t *testing.T) {
	c := atCounter(t)
	o := c.pending(paying(order.PayBefore))
	c.bank.pays(c.bank.only(billing.Transaction))
	c.deliver()
	c.turn()
	l := c.locks["bike-1"]
	c.hear(l.opens(c.started(o.ID)))
	c.hear(l.closes())
	c.turn()
	refund := c.bank.only(billing.Refund)
	c.bank.entries[refund].stands = billing.StandsAbnormal
	c.after(time.Minute)
	if kinds := c.itemKinds(); !slices.Contains(kinds, order.ItemRefund) {
		t.Fatalf("items %v, want refund_stuck", kinds)
	}
	c.bank.entries[refund].stands = billing.StandsClosed
	c.bank.entries[c.bank.entries[refund].of].back = 0
	c.after(2 * time.Hour)
	if a := c.account(billing.Prepaid(o.ID)); a.Posted != 900 || a.Held != 0 {
		t.Fatalf("%+v, want 900 that nothing holds", a)
	}
	again, err := c.mend(order.PaymentOf(refund), false, "m1")
	if err != nil || again == order.PaymentOf(refund) {
		t.Fatalf("retry: %+v, %v", again, err)
	}
	if twice, err := c.mend(order.PaymentOf(refund), false, "m1"); err != nil || twice != again {
		t.Errorf("the same key again: %s, %v; want the same answer", twice, err)
	}
	if _, err := c.mend(order.PaymentOf(refund), false, "m2"); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("retry twice: %v, want ErrWrongState", err)
	}
	c.turn()
	c.bank.works()
	c.after(time.Minute)
	c.resting()
}

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
	for range 15 {
		rapid.Check(t, schedule)
	}
	for _, want := range []string{"transaction paid order", "transaction paid topup", "transaction closed order", "score paid order",
		"score collecting order", "score closed order", "refund paid payback", "refund of score", "collected more than due", "paid after the order was over"} {
		if !reached[want] {
			t.Errorf("no schedule reached %q", want)
		}
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
