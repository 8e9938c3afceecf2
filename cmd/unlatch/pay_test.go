package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/unlatch/unlatch/order"
)

// payment is a payment as a rider sees it.
type payment struct {
	ID, For, Road, State, Package string
	Amount                        int64 `json:"amount_fen"`
	Moved                         int64 `json:"moved_fen"`
	Request                       map[string]string
}

// paid is an order with its payments.
type paid struct {
	sale
	PayWith  string `json:"pay_with"`
	Payments []payment
}

// pay is the rider at WeChat's own page.
func (v *venue) pay(rider string, p payment) error {
	return v.double.fake.Pay(rider, fakewechat.PayRequest{TimeStamp: p.Request["timeStamp"], NonceStr: p.Request["nonceStr"],
		Package: p.Request["package"], SignType: p.Request["signType"], PaySign: p.Request["paySign"]})
}

// topsUp starts a top-up and waits until the rider can pay it.
func (v *venue) topsUp(c client, fen int64, key string) payment {
	v.t.Helper()
	var p payment
	if err := c.do(v.ctx, http.MethodPost, "/v1/me/topups", key, map[string]int64{"amount_fen": fen}, &p); err != nil {
		v.t.Fatal(err)
	}
	return v.topUpIs(c, p.ID, "open", 30*time.Second)
}

func (v *venue) topUpIs(c client, id, state string, patience time.Duration) payment {
	v.t.Helper()
	var p payment
	v.until(fmt.Sprintf("top-up %s is %s", id, state), patience, func() bool {
		if err := c.do(v.ctx, http.MethodGet, "/v1/me/topups/"+id, "", nil, &p); err != nil {
			v.t.Fatal(err)
		}
		return p.State == state
	})
	return p
}

// places orders in a way of paying.
func (v *venue) places(c client, code, way string, preset map[string]any) (paid, error) {
	var scan struct{ Ticket string }
	if err := c.do(v.ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": code}, &scan); err != nil {
		return paid{}, err
	}
	body := map[string]any{"ticket": scan.Ticket, "pay_with": way}
	if preset != nil {
		body["preset"] = preset
	}
	var o paid
	return o, c.do(v.ctx, http.MethodPost, "/v1/orders", scan.Ticket, body, &o)
}

func (v *venue) paid(c client, id string) paid {
	v.t.Helper()
	var o paid
	if err := c.do(v.ctx, http.MethodGet, "/v1/orders/"+id, "", nil, &o); err != nil {
		v.t.Fatal(err)
	}
	return o
}

// payable waits until the newest payment of an order can be paid or confirmed.
func (v *venue) payable(c client, id string) (paid, payment) {
	v.t.Helper()
	var o paid
	v.until("order "+id+" can be paid for", 30*time.Second, func() bool {
		o = v.paid(c, id)
		return len(o.Payments) > 0 && o.Payments[len(o.Payments)-1].State == "open"
	})
	return o, o.Payments[len(o.Payments)-1]
}

// squared waits until nothing is on its way any more, and then holds our books
// against WeChat's: every transaction, score order and refund, fen by fen.
func (v *venue) squared() {
	v.t.Helper()
	v.until("no payment is left to do", 3*time.Minute, func() bool {
		all, err := v.nodes[0].db.Payments(v.ctx, order.PaymentPage{Limit: 500})
		if err != nil {
			v.t.Fatal(err)
		}
		for _, p := range all {
			if !p.State.Done() {
				return false
			}
		}
		return true
	})
	all, err := v.nodes[0].db.Payments(v.ctx, order.PaymentPage{Limit: 500})
	if err != nil {
		v.t.Fatal(err)
	}
	ours := map[string]billing.Fen{}
	for _, p := range all {
		if p.Moved != 0 {
			ours[p.Number()] = p.Moved
		}
	}
	for number, fen := range v.movedAtWeChat() {
		if ours[number] != fen {
			v.t.Errorf("WeChat moved %v for number %s, the ledger %v", fen, number, ours[number])
		}
		delete(ours, number)
	}
	for number, fen := range ours {
		v.t.Errorf("the ledger moved %v for number %s, WeChat nothing", fen, number)
	}
	for _, d := range v.double.fake.Callbacks() {
		if d.Violation {
			v.t.Errorf("a notification was taken that had to be refused: %+v", d)
		}
	}
}

func (v *venue) movedAtWeChat() map[string]billing.Fen {
	moved := map[string]billing.Fen{}
	m := v.double.fake.Money()
	for _, x := range m.Transactions {
		if x.OutOrderNo == "" {
			moved[x.OutTradeNo] += billing.Fen(x.Fen)
		} else {
			moved[x.OutOrderNo] += billing.Fen(x.Fen)
		}
	}
	for _, x := range m.Refunds {
		if x.Status == "SUCCESS" {
			moved[x.OutRefundNo] += billing.Fen(x.Fen)
		}
	}
	return moved
}

// TestPayingWithWeChat is the whole of it, as the demo shows it: top up, ride on the
// wallet, ride on Pay Score, fuel on prepay with the rest back.
func TestPayingWithWeChat(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike"}, Pumps: []string{"pump-1"}, Riders: []string{"ada", "ben"}})
	ada := v.rider("ada", 0, 0)
	_ = v.double.fake.Accept("ada", "demo-refund", 5)
	p := v.topsUp(ada, 5000, "t1")
	if p.Request["package"] == "" {
		t.Fatalf("an open top-up without what the phone needs: %+v", p)
	}
	if err := v.pay("ben", p); err == nil {
		t.Error("somebody else could pay with ada's request")
	}
	if err := v.pay("ada", p); err != nil {
		t.Fatal(err)
	}
	v.topUpIs(ada, p.ID, "paid", 30*time.Second)
	if w, err := v.nodes[0].db.Wallet(t.Context(), ada.id); err != nil || w.Balance != 5000 {
		t.Errorf("wallet after the top-up: %+v (%v), want 5000", w, err)
	}
	if err := ada.do(t.Context(), http.MethodPost, "/v1/me/topups", "t2", map[string]int64{"amount_fen": 5001}, nil); err == nil || !strings.Contains(err.Error(), "409 balance_cap") {
		t.Errorf("a top-up beyond the cap: %v, want 409 balance_cap", err)
	}

	o, err := v.start(ada, "bike")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	v.direct("bike", "close", nil)
	v.reaches(ada, o.ID, "settled", 30*time.Second)

	ride, err := v.places(ada, v.codes["bike"], "pay_score", nil)
	if err != nil || ride.State != "pending" {
		t.Fatalf("ride on Pay Score: %+v, %v; want pending", ride, err)
	}
	ride, p = v.payable(ada, ride.ID)
	if ride.Next.What != "wait_for_confirmation" || p.Package == "" || len(v.body("bike").Movements) != 1 {
		t.Errorf("before the confirmation: %+v, the bike moved %d times", ride, len(v.body("bike").Movements))
	}
	if err := v.double.fake.Confirm("ada", p.Package); err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, ride.ID, "active", 30*time.Second)
	v.direct("bike", "close", nil)
	v.reaches(ada, ride.ID, "settled", 30*time.Second)

	fuel, err := v.places(ada, v.codes["pump-1/1"], "prepay", map[string]any{"grade": "92", "amount_fen": 20_000})
	if err != nil || fuel.State != "pending" {
		t.Fatalf("fuel on prepay: %+v, %v; want pending", fuel, err)
	}
	fuel, p = v.payable(ada, fuel.ID)
	if p.Amount != 20_000 || fuel.Next.What != "wait_for_payment" {
		t.Errorf("to pay: %+v of %+v, want 20000", p, fuel)
	}
	if err := v.pay("ada", p); err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, fuel.ID, "active", 30*time.Second)
	v.lift("pump-1", 1, 1)
	v.squeeze("pump-1", 1, 100)
	v.flows("pump-1", 1, 3000)
	v.hangUp("pump-1", 1)
	done := v.sold(ada, fuel.ID)
	v.squared()
	var back int64
	for _, p := range v.paid(ada, fuel.ID).Payments {
		if p.Road == "refund" {
			back += p.Moved
		}
	}
	if back != 20_000-done.Charged || done.Charged == 0 {
		t.Errorf("of 20000 came %d back, and %d were charged", back, done.Charged)
	}
	v.until("ada was told of her refund", 30*time.Second, func() bool { return len(v.double.fake.Messages()) > 0 })
	v.judge("bike")
	v.reconcile(nil, "pump-1")
}

// TestWhoPayScoreRefusesPaysBefore: WeChat refuses on its own page, and the rider goes
// on in the same order; the bike moves once, for what was paid.
func TestWhoPayScoreRefusesPaysBefore(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike"}, Riders: []string{"ada"}})
	ada := v.rider("ada", 0, 0)
	if err := v.double.fake.ScoreFor("ada", fakewechat.ScoreConduct{RefuseCode: "271300099"}); err != nil {
		t.Fatal(err)
	}
	o, err := v.places(ada, v.codes["bike"], "pay_score", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, p := v.payable(ada, o.ID)
	if err := v.double.fake.Confirm("ada", p.Package); err == nil {
		t.Fatal("Pay Score took a rider whom it refuses")
	}
	for range 2 {
		if err := ada.do(v.ctx, http.MethodPost, "/v1/orders/"+o.ID+"/cancel", "", map[string]string{"instead": "prepay"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	v.until("the order asks for money in advance", 30*time.Second, func() bool { return v.paid(ada, o.ID).PayWith == "prepay" })
	o, p = v.payable(ada, o.ID)
	if o.State != "pending" || p.Road != "transaction" || len(v.body("bike").Movements) != 0 {
		t.Errorf("%+v, the bike moved %d times; want pending, a transaction and an unmoved bike", o, len(v.body("bike").Movements))
	}
	if err := v.pay("ada", p); err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	v.direct("bike", "close", nil)
	v.reaches(ada, o.ID, "settled", 30*time.Second)
	v.squared()
	v.judge("bike")
	for _, s := range []string{"271300099", "risk"} {
		var raw map[string]any
		if err := ada.do(v.ctx, http.MethodGet, "/v1/orders/"+o.ID, "", nil, &raw); err != nil || strings.Contains(fmt.Sprint(raw), s) {
			t.Errorf("the rider reads %q in %v (%v)", s, raw, err)
		}
	}
}
