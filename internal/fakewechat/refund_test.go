package fakewechat

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRefundEndsAndIsTold(t *testing.T) {
	f := newShop(t)
	id := f.paid("ride0001", "ann", 150)
	f.run(0)
	r := f.must(200, f.refund(id, "back1", 50, 150))
	if r.text("status") != "PROCESSING" || r.body["success_time"] != nil {
		t.Errorf("accepted: got %s", r.raw)
	}
	same(t, "repeat", f.must(200, f.refund(id, "back1", 50, 150)).body, r.body)
	if q := f.query("ride0001"); q.text("trade_state") != "REFUND" {
		t.Errorf("order: got %s", q.raw)
	}
	f.run(2 * time.Second)
	q := f.must(200, f.call("GET", "/v3/refund/domestic/refunds/back1", nil))
	if q.text("status") != "SUCCESS" || q.text("success_time") != "2026-11-02T12:00:02+08:00" {
		t.Errorf("two seconds later: got %s", q.raw)
	}
	last := f.got[len(f.got)-1]
	if last.body.EventType != "REFUND.SUCCESS" || last.body.Resource.OriginalType != "refund" {
		t.Fatalf("callbacks: got %v", f.events())
	}
	same(t, "callback", last.resource, object{
		"mchid": "1900000001", "transaction_id": id, "out_trade_no": "ride0001", "refund_id": q.text("refund_id"),
		"out_refund_no": "back1", "refund_status": "SUCCESS", "success_time": "2026-11-02T12:00:02+08:00",
		"user_received_account": "支付用户零钱", "amount": object{"total": 150, "refund": 50, "payer_total": 150, "payer_refund": 50},
	})
	byNumber := object{"out_trade_no": "ride0001", "out_refund_no": "back2", "amount": object{"refund": 100, "total": 150, "currency": "CNY"}}
	f.must(200, f.call("POST", "/v3/refund/domestic/refunds", byNumber))
	f.run(time.Hour)
	if n := len(f.got); n != 2 {
		t.Errorf("a refund without a notify_url was told: %v", f.events())
	}
	same(t, "money", f.s.Money().Refunds, []MoneyRefund{
		{OutRefundNo: "back1", RefundID: q.text("refund_id"), TransactionID: id, OutTradeNo: "ride0001", Fen: 50, Status: "SUCCESS", DoneAt: f.got[1].at},
		{OutRefundNo: "back2", RefundID: f.s.pay.refunds["back2"].id, TransactionID: id, OutTradeNo: "ride0001", Fen: 100, Status: "SUCCESS", DoneAt: f.got[1].at.Add(2 * time.Second)},
	})
}

func TestRefundIsRefused(t *testing.T) {
	f := newShop(t)
	id, other := f.paid("ride0001", "ann", 150), f.paid("ride0002", "ann", 150)
	f.create("ride0003", "ann", 150)
	good := object{"transaction_id": id, "out_refund_no": "back1", "amount": object{"refund": 50, "total": 150, "currency": "CNY"}}
	for name, tc := range map[string]struct {
		change object
		status int
		code   string
	}{
		"no order":          {object{"transaction_id": nil}, 400, "PARAM_ERROR"},
		"no number":         {object{"out_refund_no": nil}, 400, "PARAM_ERROR"},
		"long number":       {object{"out_refund_no": strings.Repeat("1", 65)}, 400, "PARAM_ERROR"},
		"number with space": {object{"out_refund_no": "a b"}, 400, "PARAM_ERROR"},
		"reason":            {object{"reason": strings.Repeat("因", 81)}, 400, "PARAM_ERROR"},
		"url":               {object{"notify_url": "http://shop.example"}, 400, "PARAM_ERROR"},
		"account":           {object{"funds_account": "MINE"}, 400, "PARAM_ERROR"},
		"nothing":           {object{"amount": object{"refund": 0, "total": 150, "currency": "CNY"}}, 400, "PARAM_ERROR"},
		"no total":          {object{"amount": object{"refund": 1, "currency": "CNY"}}, 400, "PARAM_ERROR"},
		"more than total":   {object{"amount": object{"refund": 151, "total": 150, "currency": "CNY"}}, 400, "PARAM_ERROR"},
		"no currency":       {object{"amount": object{"refund": 1, "total": 150}}, 400, "PARAM_ERROR"},
		"other total":       {object{"amount": object{"refund": 50, "total": 151, "currency": "CNY"}}, 400, "INVALID_REQUEST"},
		"unknown id":        {object{"transaction_id": "42"}, 404, "RESOURCE_NOT_EXISTS"},
		"unknown order":     {object{"transaction_id": nil, "out_trade_no": "ride0009"}, 404, "RESOURCE_NOT_EXISTS"},
		"unpaid":            {object{"transaction_id": nil, "out_trade_no": "ride0003"}, 400, "INVALID_REQUEST"},
		"of two orders":     {object{"transaction_id": other, "out_trade_no": "ride0001"}, 400, "INVALID_REQUEST"},
	} {
		if r := f.call("POST", "/v3/refund/domestic/refunds", with(good, tc.change)); r.status != tc.status || r.code() != tc.code {
			t.Errorf("%s: got %d %s, want %d %s", name, r.status, r.raw, tc.status, tc.code)
		}
	}
	f.must(404, f.call("GET", "/v3/refund/domestic/refunds/back1", nil))
	f.must(200, f.call("POST", "/v3/refund/domestic/refunds", good))
	if r := f.refund(id, "back1", 49, 150); r.status != 400 || r.code() != "INVALID_REQUEST" {
		t.Errorf("same number, other amount: got %s", r.raw)
	}
	if r := f.refund(id, "back2", 101, 150); r.status != 400 || r.code() != "INVALID_REQUEST" {
		t.Errorf("one fen more than is left: got %s", r.raw)
	}
	f.must(200, f.refund(id, "back2", 100, 150))
	f.fault(FaultNotEnough, 1)
	if r := f.refund(other, "back3", 1, 150); r.status != 403 || r.code() != "NOT_ENOUGH" {
		t.Errorf("empty account: got %s", r.raw)
	}
	for i := range 50 {
		f.must(200, f.refund(other, fmt.Sprint("part", i), 1, 150))
	}
	if r := f.refund(other, "part50", 1, 150); r.status != 400 {
		t.Errorf("the 51st: got %s", r.raw)
	}
	old := f.paid("ride0004", "ann", 1)
	f.step(366 * 24 * time.Hour)
	if r := f.refund(old, "old", 1, 1); r.status != 400 || r.tail() != "268447914" {
		t.Errorf("after a year: got %s", r.raw)
	}
}

func TestRefundGoesWrongAndIsMended(t *testing.T) {
	f := newShop(t)
	id := f.paid("ride0001", "ann", 100)
	f.fault(FaultRefundAbnormal, 1)
	r := f.must(200, f.refund(id, "back1", 60, 100))
	f.fault(FaultRefundClosed, 1)
	f.must(200, f.refund(id, "back2", 40, 100))
	f.run(time.Minute)
	same(t, "events", f.events(), []string{"TRANSACTION.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"})
	if f.got[1].resource["refund_status"] != "ABNORMAL" || f.got[1].resource["success_time"] != nil {
		t.Errorf("got %v", f.got[1].resource)
	}
	if r := f.refund(id, "back3", 41, 100); r.status != 400 {
		t.Errorf("an abnormal refund still holds its money: got %s", r.raw)
	}
	f.must(200, f.refund(id, "back3", 40, 100)) // a closed one does not
	mend := "/v3/refund/domestic/refunds/" + r.text("refund_id") + "/apply-abnormal-refund"
	for _, bad := range []object{
		{"out_refund_no": "back1", "type": "CASH"},
		{"out_refund_no": "back1", "type": "USER_BANK_CARD"},
	} {
		f.must(400, f.call("POST", mend, bad))
	}
	f.must(404, f.call("POST", mend, object{"out_refund_no": "back2", "type": "MERCHANT_BANK_CARD"}))
	if r := f.must(200, f.call("POST", mend, object{"out_refund_no": "back1", "type": "MERCHANT_BANK_CARD"})); r.text("status") != "PROCESSING" {
		t.Errorf("mended: got %s", r.raw)
	}
	f.must(400, f.call("POST", mend, object{"out_refund_no": "back1", "type": "MERCHANT_BANK_CARD"}))
	f.run(time.Minute)
	if r := f.call("GET", "/v3/refund/domestic/refunds/back1", nil); r.text("status") != "SUCCESS" {
		t.Errorf("at last: got %s", r.raw)
	}
	if e := f.events(); e[len(e)-1] != "REFUND.SUCCESS" {
		t.Errorf("events: got %v", e)
	}
}
