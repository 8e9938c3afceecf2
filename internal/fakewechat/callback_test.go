package fakewechat

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeatsFollowTheTable(t *testing.T) {
	f := newShop(t)
	f.receive = func(got) (int, error) { return 500, nil }
	f.paid("ride0001", "ann", 1)
	start := f.clock()
	f.run(48 * time.Hour)
	want := []time.Duration{0}
	for _, pause := range []string{"15s", "15s", "30s", "3m", "10m", "20m", "30m", "30m", "30m", "60m", "3h", "3h", "3h", "6h", "6h"} {
		d, err := time.ParseDuration(pause)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, want[len(want)-1]+d)
	}
	var at []time.Duration
	for _, g := range f.got {
		at = append(at, g.at.Sub(start))
	}
	if !slices.Equal(at, want) || at[15] != 24*time.Hour+4*time.Minute {
		t.Errorf("got %v, want %v", at, want)
	}
	log := f.s.Callbacks()
	for i, d := range log {
		if d.Attempt != i+1 || d.Status != 500 || d.Accepted || d.Number != "ride0001" || d.ID != log[0].ID || d.EventType != "TRANSACTION.SUCCESS" {
			t.Errorf("delivery %d: got %+v", i, d)
		}
	}
	nonces := map[string]bool{}
	for _, g := range f.got {
		nonces[g.body.Resource.Nonce], nonces[g.header.Get("Wechatpay-Nonce")] = true, true
	}
	if len(nonces) != 32 {
		t.Errorf("nonces repeat: %d of 32", len(nonces))
	}
}

func TestStatusAloneAccepts(t *testing.T) {
	for status, accepted := range map[int]bool{200: true, 204: true, 201: false, 202: false, 302: false, 400: false, 404: false, 500: false} {
		f := newShop(t)
		f.receive = func(got) (int, error) { return status, nil } // the body says FAIL
		f.paid("ride0001", "ann", 1)
		f.run(time.Second)
		if log := f.s.Callbacks(); len(log) != 1 || log[0].Accepted != accepted {
			t.Errorf("%d: got %+v, want accepted %v", status, log, accepted)
		}
		if _, due := f.s.Due(); due == accepted {
			t.Errorf("%d: a repeat is planned: %v", status, due)
		}
	}
}

func TestSlowAndSilentReceiversFail(t *testing.T) {
	f := newShop(t)
	f.receive = func(got) (int, error) {
		if len(f.got) == 1 {
			f.step(5*time.Second + 1)
			return 204, nil
		}
		if len(f.got) == 2 {
			return 0, errors.New("connection refused")
		}
		return 204, nil
	}
	f.paid("ride0001", "ann", 1)
	f.run(time.Hour)
	log := f.s.Callbacks()
	if len(log) != 3 || log[0].Accepted || log[0].Error == "" || log[1].Status != 0 || log[1].Error == "" || !log[2].Accepted {
		t.Errorf("got %+v", log)
	}
}

func TestReceiverHasFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *shop
		f = newShop(t, func(c *Config) {
			c.Now = time.Now
			c.Pay.Callbacks = roundTrip(func(r *http.Request) (*http.Response, error) {
				if len(f.s.Callbacks()) == 0 {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return f.RoundTrip(r)
			})
		})
		f.now = time.Now()
		f.paid("ride0001", "ann", 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.s.Run(ctx) }()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		log := f.s.Callbacks()
		if len(log) != 2 || log[0].Error == "" || !log[1].Accepted || log[1].At.Sub(log[0].At) != 20*time.Second {
			t.Errorf("got %+v, want a failure after 5 s and a success 15 s later", log)
		}
		f.now = time.Now()
		f.paid("ride0002", "ann", 1) // wakes Run
		synctest.Wait()
		if log := f.s.Callbacks(); len(log) != 3 {
			t.Errorf("a new notice does not wake Run: %+v", log)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCancelledStepKeepsTheDelivery(t *testing.T) {
	f := newShop(t)
	ctx, cancel := context.WithCancel(context.Background())
	f.receive = func(got) (int, error) {
		cancel()
		return 0, ctx.Err()
	}
	f.paid("ride0001", "ann", 1)
	if n := f.s.Step(ctx); n != 1 {
		t.Errorf("steps: got %d, want 1", n)
	}
	f.receive = nil
	f.run(0)
	if log := f.s.Callbacks(); len(log) != 1 || !log[0].Accepted {
		t.Errorf("got %+v", log)
	}
}

func TestReceiverMayCallBack(t *testing.T) {
	f := newShop(t)
	f.receive = func(g got) (int, error) {
		if g.body.EventType == "TRANSACTION.SUCCESS" {
			id, _ := g.resource["transaction_id"].(string)
			f.must(200, f.refund(id, "back1", 1, 1))
		}
		return 204, nil
	}
	f.paid("ride0001", "ann", 1)
	f.run(time.Minute)
	same(t, "events", f.events(), []string{"TRANSACTION.SUCCESS", "REFUND.SUCCESS"})
}

// TestBentDeliveries gives each fault to the first delivery and lets a strict
// receiver judge it.
func TestBentDeliveries(t *testing.T) {
	for kind, check := range map[string]func(f *shop, g got) bool{
		FaultForged:        func(_ *shop, g got) bool { return !g.signed && g.resource != nil },
		FaultStale:         func(f *shop, g got) bool { return g.signed && age(f, g) == 10*time.Minute },
		FaultUnknownSerial: func(_ *shop, g got) bool { return g.signed && g.header.Get("Wechatpay-Serial") != "PUB_KEY_ID_1" },
		FaultTruncated:     func(_ *shop, g got) bool { return g.signed && g.resource == nil && len(g.body.Resource.Nonce) == 12 },
		FaultNonceLength:   func(_ *shop, g got) bool { return g.signed && len(g.body.Resource.Nonce) == 8 },
		FaultOtherKey:      func(_ *shop, g got) bool { return g.signed && g.resource == nil && len(g.body.Resource.Nonce) == 12 },
		FaultEmptyAssociated: func(_ *shop, g got) bool {
			return g.signed && g.resource["out_trade_no"] == "ride0001" && g.body.Resource.AssociatedData == ""
		},
		FaultOtherAmount:   func(_ *shop, g got) bool { return g.signed && g.resource["amount"].(object)["total"] == 101.0 },
		FaultOtherApp:      func(_ *shop, g got) bool { return g.signed && g.resource["appid"] != "wx1" },
		FaultOtherMerchant: func(_ *shop, g got) bool { return g.signed && g.resource["mchid"] != "1900000001" },
	} {
		for _, accepts := range []bool{false, true} {
			f := newShop(t)
			f.receive = func(got) (int, error) {
				if accepts || len(f.got) > 1 {
					return 204, nil
				}
				return 401, nil
			}
			f.fault(kind, 1)
			f.paid("ride0001", "ann", 100)
			f.run(time.Hour)
			if !check(f, f.got[0]) {
				t.Errorf("%s: got %+v", kind, f.got[0])
			}
			log := f.s.Callbacks()
			bad := slices.Contains(mustRefuse, kind)
			if log[0].Fault != kind || log[0].Violation != (bad && accepts) || log[0].Accepted != (!bad && accepts) {
				t.Errorf("%s, accepted %v: got %+v", kind, accepts, log[0])
			}
			if want := 2; len(log) != want && (bad || !accepts) {
				t.Errorf("%s, accepted %v: got %d deliveries, want %d", kind, accepts, len(log), want)
			}
			if last := f.got[len(f.got)-1]; len(f.got) > 1 && (!last.signed || last.resource["mchid"] != "1900000001") {
				t.Errorf("%s: the repeat is bent, too: %+v", kind, last)
			}
		}
	}
}

func age(f *shop, g got) time.Duration {
	seconds, _ := strconv.ParseInt(g.header.Get("Wechatpay-Timestamp"), 10, 64)
	return g.at.Sub(time.Unix(seconds, 0))
}

func TestAlteredRefundAndScore(t *testing.T) {
	f := newShop(t)
	id := f.paid("ride0001", "ann", 100)
	f.run(0)
	f.fault(FaultOtherAmount, 1)
	f.must(200, f.refund(id, "back1", 40, 100))
	f.run(time.Minute)
	if a := f.got[1].resource["amount"].(object); a["refund"] != 41.0 {
		t.Errorf("refund: got %v", a)
	}
	f.confirmed("score1", "ann")
	f.run(0)
	f.fault(FaultOtherAmount, 1)
	f.must(200, f.complete("score1", 50))
	f.run(time.Minute)
	if r := f.got[3].resource; r["total_amount"] != 51.0 || r["collection"].(object)["total_amount"] != 51.0 {
		t.Errorf("score: got %v", r)
	}
	f.fault(FaultOtherApp, 1)
	f.must(200, f.refund(id, "back2", 1, 100))
	f.run(time.Minute)
	if r := f.got[4].resource; r["mchid"] == "1900000001" {
		t.Errorf("a refund has no appid, its mchid is altered: got %v", r)
	}
	q := f.must(200, f.call("GET", "/v3/refund/domestic/refunds/back1", nil))
	if q.body["amount"].(object)["refund"] != 40.0 {
		t.Errorf("the query is altered, too: got %s", q.raw)
	}
}

func TestNoticesGetLostLateTwiceAndOutOfOrder(t *testing.T) {
	f := newShop(t)
	numbers := func() (all []string) {
		for _, g := range f.got {
			all = append(all, g.resource["out_trade_no"].(string))
		}
		f.got = nil
		return all
	}
	f.fault(FaultDrop, 1)
	f.paid("dropped1", "ann", 1)
	f.paid("arrives1", "ann", 1)
	f.run(48 * time.Hour)
	same(t, "dropped", numbers(), []string{"arrives1"})
	if log := f.s.Callbacks(); log[0].Fault != FaultDrop || log[0].Attempt != 0 {
		t.Errorf("log: got %+v", log[0])
	}

	f.fault(FaultDuplicate, 1)
	f.paid("twice001", "ann", 1)
	f.run(time.Minute)
	if len(f.got) == 2 && (f.got[0].body.ID != f.got[1].body.ID || !f.got[1].signed) {
		t.Errorf("a duplicate is another notice: %+v", f.got)
	}
	same(t, "duplicate", numbers(), []string{"twice001", "twice001"})

	f.fault(FaultReorder, 1)
	f.paid("first001", "ann", 1)
	f.run(10 * time.Second)
	f.paid("second01", "ann", 1)
	f.run(0)
	same(t, "reordered", numbers(), []string{"second01", "first001"})
	f.fault(FaultReorder, 1)
	f.paid("alone001", "ann", 1)
	f.run(59 * time.Second)
	same(t, "held back", len(f.got), 0)
	f.run(time.Second)
	f.paid("later001", "ann", 1)
	f.run(time.Second)
	same(t, "let go", numbers(), []string{"alone001", "later001"})

	if err := f.s.Break(Fault{Kind: FaultDelay, Rider: "ann", DelaySeconds: 90}); err != nil {
		t.Fatal(err)
	}
	f.paid("other001", "bo", 1)
	f.paid("late0001", "ann", 1)
	f.run(89 * time.Second)
	same(t, "delayed", numbers(), []string{"other001"})
	f.run(time.Second)
	same(t, "delayed", numbers(), []string{"late0001"})
}

func TestProbeGoesBeforeTheNotice(t *testing.T) {
	for _, status := range []int{401, 204} {
		f := newShop(t)
		f.receive = func(g got) (int, error) {
			if g.signed {
				return 204, nil
			}
			return status, nil
		}
		f.fault(FaultProbe, 1)
		f.paid("ride0001", "ann", 1)
		f.run(time.Hour)
		log := f.s.Callbacks()
		if len(log) != 2 || log[0].Fault != FaultProbe || log[0].Attempt != 0 || log[0].Violation != (status == 204) || log[0].Accepted ||
			!log[1].Accepted || log[1].Attempt != 1 {
			t.Errorf("receiver answers %d: got %+v", status, log)
		}
		if s := f.got[0].header.Get("Wechatpay-Signature"); s[:len(probePrefix)] != probePrefix {
			t.Errorf("signature: got %q", s)
		}
	}
}
