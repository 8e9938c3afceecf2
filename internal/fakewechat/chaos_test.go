package fakewechat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPayHostBreaks(t *testing.T) {
	f := newShop(t)
	for _, tc := range []struct {
		kind   string
		status int
		code   string
		exists bool // afterwards
	}{
		{FaultOutage, 502, "", false}, {FaultSignError, 401, "SIGN_ERROR", false}, {FaultLimited, 429, "FREQUENCY_LIMITED", false},
		{FaultSystemError, 500, "SYSTEM_ERROR", false}, {FaultLost, 0, "", true}, {FaultBadSignature, 200, "", true},
	} {
		number := strings.ReplaceAll(tc.kind, "_", "") + "001"
		f.fault(tc.kind, 1)
		f.t = quiet{t} // a bad signature is what this is about
		r := f.call("POST", "/v3/pay/transactions/jsapi", f.order(number, "ann", 1))
		h := r.header
		f.t = t
		if r.status != tc.status || r.code() != tc.code || r.cut != (tc.kind == FaultLost) {
			t.Errorf("%s: got %d %s, cut %v", tc.kind, r.status, r.raw, r.cut)
		}
		if tc.kind == FaultBadSignature && checkHash(lines(h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), string(r.raw)), h.Get("Wechatpay-Signature")) == nil {
			t.Error("the bad signature is good")
		}
		if exists := f.query(number).status == 200; exists != tc.exists {
			t.Errorf("%s: the order exists: %v", tc.kind, exists)
		}
	}
}

func TestFaultIsLimitedToGroupAndRider(t *testing.T) {
	f := newShop(t)
	if err := f.s.Break(Fault{Kind: FaultSystemError, On: GroupScore}); err != nil {
		t.Fatal(err)
	}
	f.create("ride0001", "ann", 1)
	if r := f.call("POST", scorePath, f.score("s1", "ann")); r.status != 500 {
		t.Errorf("score: got %d", r.status)
	}
	if err := f.s.Break(Fault{Kind: FaultDrop, Rider: "bo"}); err != nil {
		t.Fatal(err)
	}
	f.paid("ride0002", "ann", 1)
	f.paid("ride0003", "bo", 1)
	f.run(time.Minute)
	if len(f.got) != 1 || f.got[0].resource["out_trade_no"] != "ride0002" {
		t.Errorf("got %v", f.got)
	}
	for _, bad := range []Fault{{Kind: FaultDrop, On: GroupPay}, {Kind: FaultDelay, DelaySeconds: -1}, {Kind: FaultLost, Rider: "ann"}, {Kind: FaultDrop, Rider: "eve"}} {
		if f.s.Break(bad) == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// schedule runs rides under chaos and returns everything that can be seen of it.
func schedule(t testing.TB, seed byte, rides int) (log []byte, money Money, violations int) {
	f := newShop(t, func(c *Config) {
		c.Rand = rand.NewChaCha8([32]byte{seed})
		c.Chaos.Rates = map[string]float64{
			"outage": .05, "pay/system_error": .1, "limited": .05, "lost": .1, "drop": .1, "delay": .2, "reorder": .2, "duplicate": .2,
			"probe": .1, "forged": .1, "stale": .1, "truncated": .1, "nonce_length": .1, "unknown_serial": .1, "other_key": .1,
			"refund_abnormal": .2, "refund_closed": .2,
		}
	})
	f.t = quiet{t}
	f.receive = func(g got) (int, error) {
		if !g.signed || g.resource == nil || age(f, g) >= stampWindow || g.header.Get("Wechatpay-Serial") != "PUB_KEY_ID_1" {
			return 401, nil
		}
		return 204, nil
	}
	var seen bytes.Buffer
	see := func(r reply) reply { fmt.Fprintf(&seen, "%d %v %s\n", r.status, r.cut, r.raw); return r }
	dice := rand.New(rand.NewPCG(uint64(seed), 0))
	for i := range rides {
		number := fmt.Sprintf("ride%04d", i)
		rider := []string{"ann", "bo"}[dice.IntN(2)]
		if dice.IntN(2) == 0 {
			r := see(f.call("POST", "/v3/pay/transactions/jsapi", f.order(number, rider, 100)))
			if f.s.Pay(rider, f.payRequest(r.text("prepay_id"))) == nil {
				if id := see(f.query(number)).text("transaction_id"); id != "" {
					see(f.refund(id, "b"+number, 1+dice.IntN(100), 100))
				}
			}
		} else {
			r := see(f.call("POST", scorePath, f.score(number, rider)))
			_ = f.s.ScoreFor(rider, ScoreConduct{FailingDebits: dice.IntN(3), PartialFen: int64(dice.IntN(2)) * 40})
			if f.s.Confirm(rider, r.text("package")) == nil {
				f.step(time.Minute)
				see(f.complete(number, 100))
			}
		}
		f.run(time.Duration(dice.IntN(60)) * time.Second)
	}
	_ = f.s.ScoreFor("ann", ScoreConduct{})
	_ = f.s.ScoreFor("bo", ScoreConduct{})
	f.run(7 * 24 * time.Hour)
	if _, due := f.s.Due(); due {
		t.Errorf("seed %d: something is due after a week", seed)
	}
	money = f.s.Money()
	for _, d := range f.s.Callbacks() {
		if d.Violation {
			violations++
		}
	}
	tail, err := json.Marshal([]any{money, f.s.Callbacks()})
	if err != nil {
		t.Fatal(err)
	}
	return append(seen.Bytes(), tail...), money, violations
}

func TestSameSeedSameLog(t *testing.T) {
	first, _, _ := schedule(t, 1, 60)
	second, _, _ := schedule(t, 1, 60)
	other, _, _ := schedule(t, 2, 60)
	if !bytes.Equal(first, second) {
		t.Error("the same seed gave another log")
	}
	if bytes.Equal(first, other) {
		t.Error("another seed gave the same log")
	}
}

// TestMoneyAddsUpUnderChaos: whatever breaks, a score order collects what it costs
// and no more, and no refund exceeds its payment.
func TestMoneyAddsUpUnderChaos(t *testing.T) {
	for seed := range byte(20) {
		_, money, violations := schedule(t, seed, 40)
		if violations != 0 {
			t.Errorf("seed %d: a strict receiver violated %d times", seed, violations)
		}
		paid, back, byOrder := map[string]int64{}, map[string]int64{}, map[string]int64{}
		for _, m := range money.Transactions {
			paid[m.TransactionID] = m.Fen
			if m.OutOrderNo != "" {
				byOrder[m.OutOrderNo] += m.Fen
			}
		}
		for _, r := range money.Refunds {
			if r.Status == "PROCESSING" {
				t.Errorf("seed %d: refund %s never ended", seed, r.OutRefundNo)
			}
			if back[r.TransactionID] += r.Fen; r.Status == "SUCCESS" && back[r.TransactionID] > paid[r.TransactionID] {
				t.Errorf("seed %d: more refunded than paid: %+v", seed, r)
			}
		}
		for _, o := range money.ScoreOrders {
			if o.Paid != byOrder[o.OutOrderNo] || (o.State == "DONE") != (o.Total > 0 && o.Paying == 0) || o.Paid > o.Total {
				t.Errorf("seed %d: %+v, transactions of %d", seed, o, byOrder[o.OutOrderNo])
			}
		}
	}
}

func TestSetChaosEndsIt(t *testing.T) {
	f := newShop(t, func(c *Config) { c.Chaos.Rates = map[string]float64{"system_error": 1, "pay/system_error": 0} })
	f.must(404, f.query("ride0001"))
	f.must(500, f.call("GET", "/v3/refund/domestic/refunds/x", nil))
	if r := f.send(f.request("POST", "/chaos", []byte(`{"rates":{"system_error":0}}`))); r.status != 204 {
		t.Errorf("chaos: got %d %s", r.status, r.raw)
	}
	f.must(404, f.call("GET", "/v3/refund/domestic/refunds/x", nil))
	if r := f.send(f.request("POST", "/chaos", []byte(`{"rates":{"flood":1}}`))); r.status != 400 {
		t.Errorf("bad chaos: got %d %s", r.status, r.raw)
	}
}

func TestAdminSide(t *testing.T) {
	f := newShop(t)
	ask := func(method, path, body string) reply {
		w := httptest.NewRecorder()
		f.s.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		r := reply{status: w.Code, raw: w.Body.Bytes()}
		_ = json.Unmarshal(r.raw, &r.body)
		return r
	}
	payment, err := json.Marshal(f.payRequest(f.create("ride0001", "ann", 70)))
	if err != nil {
		t.Fatal(err)
	}
	f.confirmed("score1", "bo")
	for _, tc := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/riders/eve/pay", string(payment), 404},
		{"POST", "/riders/bo/pay", string(payment), 409},
		{"POST", "/riders/ann/pay", string(payment), 204},
		{"POST", "/riders/ann/pay", string(payment), 409},
		{"POST", "/riders/ann/pay", `{"x":1}`, 400},
		{"POST", "/riders/ann/confirm", `{"package":"x"}`, 404},
		{"POST", "/riders/ann/confirm", `x`, 400},
		{"POST", "/riders/bo/confirm", `{"package":"` + f.s.pay.scores["score1"].pack + `"}`, 409},
		{"POST", "/riders/bo/score-orders/score1/pay", "", 409},
		{"POST", "/riders/bo/score-orders/none/pay", "", 404},
		{"POST", "/riders/bo/score", `{"failing_debits":-1}`, 204},
		{"POST", "/riders/bo/score", `{"failing_debits":-2}`, 400},
		{"POST", "/riders/eve/score", `{}`, 404},
		{"POST", "/faults", `{"kind":"delay","on":"callback","rider":"ann","delay_seconds":5}`, 204},
		{"POST", "/riders/ann/phone-code", `x`, 400},
		{"POST", "/riders/ann/scan", `x`, 400},
		{"GET", "/money", "", 200},
		{"GET", "/messages", "", 200},
		{"GET", "/callbacks", "", 200},
	} {
		if r := ask(tc.method, tc.path, tc.body); r.status != tc.want {
			t.Errorf("%s %s %s: got %d %s, want %d", tc.method, tc.path, tc.body, r.status, r.raw, tc.want)
		}
	}
	f.must(200, f.complete("score1", 10))
	f.run(time.Minute)
	if r := ask("POST", "/riders/bo/score-orders/score1/pay", ""); r.status != 204 {
		t.Errorf("by hand: got %d %s", r.status, r.raw)
	}
	var money Money
	if err := json.Unmarshal(ask("GET", "/money", "").raw, &money); err != nil {
		t.Fatal(err)
	}
	same(t, "money", money, f.s.Money())
	if len(money.Transactions) != 2 {
		t.Errorf("got %+v", money)
	}
}

func TestConcurrentCallsAndSteps(t *testing.T) {
	f := newShop(t)
	var wait sync.WaitGroup
	prepay := f.payRequest(f.create("ride0001", "ann", 1))
	for i := range 20 {
		body, err := json.Marshal(f.order(fmt.Sprintf("ride1%03d", i), "bo", 1))
		if err != nil {
			t.Fatal(err)
		}
		r := f.request("POST", "/v3/pay/transactions/jsapi", body)
		wait.Go(func() {
			_ = f.s.Pay("ann", prepay)
			f.pay.ServeHTTP(httptest.NewRecorder(), r)
			_, _ = f.s.Due()
			_, _ = f.s.Money(), f.s.Callbacks()
		})
	}
	wait.Wait()
	f.run(time.Minute)
	if m := f.s.Money(); len(m.Transactions) != 1 || len(f.got) != 1 || len(f.s.pay.orders) != 21 {
		t.Errorf("got %d transactions, %d callbacks, %d orders", len(m.Transactions), len(f.got), len(f.s.pay.orders))
	}
}

func TestEmptyRandomnessBreaksThePayHostOnly(t *testing.T) {
	f := newShop(t, func(c *Config) { c.Rand = strings.NewReader("") })
	if r := f.query("ride0001"); r.status != 500 || r.code() != "SYSTEM_ERROR" {
		t.Errorf("got %d %s", r.status, r.raw)
	}
	if r := f.send(f.request("GET", tokenQuery, nil)); r.body["errcode"] != -1.0 {
		t.Errorf("token: got %s", r.raw)
	}
}

func BenchmarkOrder(b *testing.B) {
	f := newShop(b)
	body, err := json.Marshal(f.order("ride0001", "ann", 1))
	if err != nil {
		b.Fatal(err)
	}
	r := f.request("POST", "/v3/pay/transactions/jsapi", body)
	b.ReportAllocs()
	for b.Loop() {
		r.Body = readCloser{bytes.NewReader(body)}
		f.pay.ServeHTTP(httptest.NewRecorder(), r)
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }
