package fakewechat

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDebitFailsAndSucceeds(t *testing.T) {
	f := newShop(t)
	f.confirmed("ride1", "ann")
	if err := f.s.ScoreFor("ann", ScoreConduct{FailingDebits: 3}); err != nil {
		t.Fatal(err)
	}
	f.must(200, f.complete("ride1", 100))
	if r := f.call("POST", scorePath+"/ride1/pay", f.ids()); r.tail() != "271316754" {
		t.Errorf("collect while a debit is due: got %s", r.raw)
	}
	f.run(14 * time.Second) // at 1, 1+2, 3+4, 7+8 seconds
	if q := f.queryScore("ride1"); triple(q.body) != "DOING MCH_COMPLETE USER_PAYING" {
		t.Errorf("after 14 s: got %s", q.raw)
	}
	f.run(time.Second)
	if q := f.queryScore("ride1"); triple(q.body) != "DONE - USER_PAID" {
		t.Errorf("after 15 s: got %s", q.raw)
	}
}

func TestDebitsInParts(t *testing.T) {
	f := newShop(t)
	f.confirmed("ride1", "ann")
	if err := f.s.ScoreFor("ann", ScoreConduct{PartialFen: 100}); err != nil {
		t.Fatal(err)
	}
	f.must(200, f.complete("ride1", 250))
	f.run(time.Second)
	q := f.queryScore("ride1")
	c := q.body["collection"].(object)
	if c["state"] != "USER_PAYING" || c["paid_amount"] != 100.0 || c["paying_amount"] != 150.0 || c["total_amount"] != 250.0 {
		t.Errorf("first part: got %s", q.raw)
	}
	modify := func(fen int) reply {
		return f.call("POST", scorePath+"/ride1/modify", with(f.ids(), object{
			"reason": "kind", "total_amount": fen, "post_payments": []object{{"name": "骑行费用", "amount": fen}},
		}))
	}
	for _, fen := range []int{250, 251, 99} {
		if r := modify(fen); r.status != 400 || r.code() != "PARAM_ERROR" {
			t.Errorf("modify to %d: got %s", fen, r.raw)
		}
	}
	f.must(200, modify(230))
	f.run(time.Minute)
	same(t, "events", f.events(), []string{"PAYSCORE.USER_CONFIRM", "PAYSCORE.USER_PAID", "PAYSCORE.USER_PAID", "PAYSCORE.USER_PAID"})
	q = f.queryScore("ride1")
	details := q.body["collection"].(object)["details"].([]any)
	if triple(q.body) != "DONE - USER_PAID" || len(details) != 3 || details[2].(object)["amount"] != 30.0 {
		t.Errorf("at last: got %s", q.raw)
	}
	var sum int64
	for _, m := range f.s.Money().Transactions {
		sum += m.Fen
	}
	if sum != 230 {
		t.Errorf("money: got %d fen, want 230", sum)
	}
}

func TestOverdueOrderIsPaidByHandElsewhereOrForgiven(t *testing.T) {
	f := newShop(t)
	if err := f.s.ScoreFor("ann", ScoreConduct{FailingDebits: -1}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"hand", "sync", "free", "late"} {
		f.confirmed(n, "ann")
		f.must(200, f.complete(n, 100))
	}
	f.run(time.Hour)
	if _, due := f.s.Due(); due {
		t.Error("debits that fail for ever are still tried")
	}
	for _, tc := range []struct {
		rider, number string
		want          error
	}{{"eve", "hand", ErrUnknownRider}, {"ann", "x", ErrUnknownOrder}, {"bo", "hand", ErrOtherRider}, {"ann", "hand", nil}, {"ann", "hand", ErrScoreState}} {
		if err := f.s.PayScoreOrder(tc.rider, tc.number); !errors.Is(err, tc.want) {
			t.Errorf("%s pays %s: got %v, want %v", tc.rider, tc.number, err, tc.want)
		}
	}
	for _, bad := range []object{
		{"type": "Paid", "detail": object{"paid_time": "20261102120000"}}, {"type": "Order_Paid", "detail": object{"paid_time": "20261102"}},
		{"type": "Order_Paid", "detail": object{"paid_time": "20261102130001"}},
	} {
		if r := f.call("POST", scorePath+"/sync/sync", with(f.ids(), bad)); r.status != 400 {
			t.Errorf("sync %v: got %s", bad, r.raw)
		}
	}
	f.must(200, f.call("POST", scorePath+"/sync/sync", with(f.ids(), object{"type": "Order_Paid", "detail": object{"paid_time": "20261102123000"}})))
	f.must(200, f.call("POST", scorePath+"/free/modify", with(f.ids(), object{
		"reason": "kind", "total_amount": 0, "post_payments": []object{{"name": "骑行费用", "amount": 0}},
	})))
	f.must(200, f.call("POST", scorePath+"/late/pay", f.ids()))
	if err := f.s.ScoreFor("ann", ScoreConduct{}); err != nil {
		t.Fatal(err)
	}
	f.run(time.Minute)
	var got []string
	for _, o := range f.s.Money().ScoreOrders {
		got = append(got, fmt.Sprint(o.OutOrderNo, " ", o.State, " ", o.Paid, " ", o.Synced, " ", o.Paying))
	}
	same(t, "orders", got, []string{"free DONE 0 0 0", "hand DONE 100 0 0", "late DONE 100 0 0", "sync DONE 0 100 0"})
	kinds := map[string]string{}
	for _, m := range f.s.Money().Transactions {
		kinds[m.OutOrderNo] = m.TradeType + " " + m.OutTradeNo
	}
	if kinds["hand"] != "JSAPI hand" || !strings.HasPrefix(kinds["late"], "AUTH wxzff") || len(kinds) != 2 {
		t.Errorf("transactions: got %v", kinds)
	}
}

func TestPaymentByHandStopsTheDebit(t *testing.T) {
	for name, pay := range map[string]func(f *shop) error{
		"by hand": func(f *shop) error { return f.s.PayScoreOrder("ann", "ride1") },
		"elsewhere": func(f *shop) error {
			f.must(200, f.call("POST", scorePath+"/ride1/sync", with(f.ids(), object{"type": "Order_Paid", "detail": object{"paid_time": compact(f.clock())}})))
			return nil
		},
	} {
		f := newShop(t)
		f.confirmed("ride1", "ann")
		f.must(200, f.complete("ride1", 100))
		if err := pay(f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f.run(24 * time.Hour)
		o := f.s.Money().ScoreOrders[0]
		if n := len(f.s.Money().Transactions); o.State != "DONE" || o.Paid+o.Synced != 100 || n != int(o.Paid/100) {
			t.Errorf("%s: got %+v and %d transactions", name, o, n)
		}
	}
}

func TestFreeRideIsDoneAtOnce(t *testing.T) {
	f := newShop(t)
	f.confirmed("ride1", "ann")
	r := f.must(200, f.complete("ride1", 0))
	if triple(r.body) != "DONE - USER_PAID" || r.body["need_collection"] != false {
		t.Errorf("got %s", r.raw)
	}
	f.run(time.Hour)
	same(t, "events", f.events(), []string{"PAYSCORE.USER_CONFIRM", "PAYSCORE.USER_PAID"})
	if m := f.s.Money(); len(m.Transactions) != 0 {
		t.Errorf("money: got %+v", m)
	}
}

func TestScoreFieldsOfLaterCalls(t *testing.T) {
	f := newShop(t)
	f.confirmed("ride1", "ann")
	f.must(200, f.complete("ride1", 100))
	good := with(f.ids(), object{"reason": "kind", "total_amount": 60, "post_payments": []object{{"name": "a", "amount": 60}}})
	for name, change := range map[string]object{
		"no reason": {"reason": nil}, "long reason": {"reason": strings.Repeat("a", 51)}, "no total": {"total_amount": nil},
		"no items": {"post_payments": nil}, "app": {"appid": "wx2"}, "service": {"service_id": nil}, "member": {"x": 1},
	} {
		for _, path := range []string{"/modify", "/cancel"} {
			if r := f.call("POST", scorePath+"/ride1"+path, with(good, change)); r.status != 400 {
				t.Errorf("%s %s: got %d %s", path, name, r.status, r.raw)
			}
		}
	}
	for _, path := range []string{"/cancel", "/complete", "/modify", "/sync", "/pay"} {
		for _, body := range []any{"x", object{}, with(f.ids(), object{"appid": "wx2"}), with(f.ids(), object{"Reason": "a"})} {
			if r := f.call("POST", scorePath+"/ride1"+path, body); r.status != 400 {
				t.Errorf("%s %v: got %d %s", path, body, r.status, r.raw)
			}
		}
	}
	if q := f.queryScore("ride1"); triple(q.body) != "DOING MCH_COMPLETE USER_PAYING" || q.body["total_amount"] != 100.0 {
		t.Errorf("after the refusals: got %s", q.raw)
	}
}
