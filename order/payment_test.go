package order_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

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
	if n := len(c.bank.asked) - before; n > 40 || !slices.Contains(c.itemKinds(), order.ItemRefund) {
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
