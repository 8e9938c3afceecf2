package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/unlatch/unlatch/order"
)

// TestPaymentsInBadWeather: two replicas, twelve riders, and a WeChat that cuts answers
// off after the fact, fails before it, signs badly, and delivers its notifications
// twice, late, out of order, forged or never. At the end every fen agrees.
func TestPaymentsInBadWeather(t *testing.T) {
	t.Parallel()
	const riders = 12
	var names, bikes []string
	for i := range riders {
		names, bikes = append(names, fmt.Sprint("rider-", i)), append(bikes, fmt.Sprint("bike-", i))
	}
	notices := map[string]float64{
		fakewechat.FaultDrop: 0.2, fakewechat.FaultDuplicate: 0.3, fakewechat.FaultReorder: 0.2, fakewechat.FaultProbe: 0.3,
		fakewechat.FaultForged: 0.1, fakewechat.FaultStale: 0.1, fakewechat.FaultUnknownSerial: 0.1, fakewechat.FaultTruncated: 0.1,
		fakewechat.FaultNonceLength: 0.1, fakewechat.FaultOtherKey: 0.1, fakewechat.FaultOtherAmount: 0.1, fakewechat.FaultOtherApp: 0.1,
	}
	v := newVenue(t, venueConfig{Replicas: 2, Bikes: bikes, Riders: names,
		WeChat: func(c *fakewechat.Config) {
			c.Chaos = fakewechat.Chaos{Rates: maps.Clone(notices)}
			maps.Copy(c.Chaos.Rates, map[string]float64{
				fakewechat.FaultLost: 0.1, fakewechat.FaultSystemError: 0.1, fakewechat.FaultLimited: 0.05, fakewechat.FaultBadSignature: 0.05,
				"login/" + fakewechat.FaultLost: 0, "token/" + fakewechat.FaultLost: 0})
		}})
	var wg sync.WaitGroup
	for i := range riders {
		c := v.rider(names[i], i%2, 1000)
		wg.Go(func() { v.roughRide(t, c, names[i], bikes[i], i) })
	}
	wg.Wait()
	// WeChat answers again, and still notifies badly. A refund is asked for once a
	// minute, so a storm without an end could outlast any patience.
	if err := v.double.fake.SetChaos(fakewechat.Chaos{Rates: notices}); err != nil {
		t.Fatal(err)
	}
	v.squared()
	v.judge(bikes...)
	refused, probes := 0, 0
	for _, d := range v.double.fake.Callbacks() {
		if d.Status == http.StatusUnauthorized {
			refused++
		}
		if d.Fault == fakewechat.FaultProbe {
			probes++
		}
	}
	if refused == 0 || probes == 0 {
		t.Errorf("%d notifications were refused, %d were probes; the weather was too fair", refused, probes)
	}
}

// roughRide tops up, rides in one way or another and sometimes changes its mind.
func (v *venue) roughRide(t *testing.T, c client, name, bike string, n int) {
	chance := rand.New(rand.NewPCG(1, uint64(n)))
	p := v.topsUp(c, int64(1000+chance.IntN(1000)), "t")
	if err := v.pay(name, p); err != nil {
		t.Errorf("%s pays the top-up: %v", name, err)
	}
	way := []string{"pay_score", "prepay"}[n%2]
	o, err := v.places(c, v.codes[bike], way, nil)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	_, p = v.payable(c, o.ID)
	if n%4 == 3 { // thinks better of it, and pays all the same
		if err := c.do(v.ctx, http.MethodPost, "/v1/orders/"+o.ID+"/cancel", "", nil, nil); err != nil {
			t.Errorf("%s cancels: %v", name, err)
		}
	}
	if way == "pay_score" {
		err = v.double.fake.Confirm(name, p.Package)
	} else {
		err = v.pay(name, p)
	}
	if err != nil && n%4 != 3 {
		t.Errorf("%s at WeChat: %v", name, err)
	}
	v.until("order "+o.ID+" has started or is over", 60*time.Second, func() bool {
		s := v.order(c, o.ID).State
		return s == "active" || s == "voided"
	})
	if v.order(c, o.ID).State == "active" {
		v.direct(bike, "close", nil)
		v.reaches(c, o.ID, "settled", 60*time.Second)
	}
	v.topUpDone(c, name)
}

// topUpDone waits until no top-up of a rider is open: it was paid.
func (v *venue) topUpDone(c client, name string) {
	v.until(name+"'s top-up is in the wallet", 60*time.Second, func() bool {
		all, err := v.nodes[0].db.Payments(v.ctx, order.PaymentPage{Rider: c.id, For: order.ForTopUp, Limit: 10})
		if err != nil {
			v.t.Error(err)
			return true
		}
		for _, p := range all {
			if !p.State.Done() {
				return false
			}
		}
		return true
	})
}

// TestNoticesAreJudgedOverTheirRawBytes: what is not WeChat's word gets 401 or 400 and
// changes nothing, however it is bent.
func TestNoticesAreJudgedOverTheirRawBytes(t *testing.T) {
	v := newVenue(t, venueConfig{Riders: []string{"ada"}})
	ada := v.rider("ada", 0, 0)
	p := v.topsUp(ada, 100, "t1")
	for name, body := range map[string]string{"nothing": "", "no JSON": "x", "a lie": `{"event_type":"TRANSACTION.SUCCESS","resource":{}}`,
		"much": strings.Repeat("x", maxPayload*5)} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, v.nodes[0].url()+"/v1/wechat/notify", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if want := map[bool]int{true: http.StatusRequestEntityTooLarge, false: http.StatusUnauthorized}[name == "much"]; answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", name, answer.StatusCode, want)
		}
	}
	if left, err := v.nodes[0].db.Notices(t.Context(), 10); err != nil || len(left) != 0 {
		t.Errorf("notifications that were kept: %+v, %v", left, err)
	}
	v.topUpIs(ada, p.ID, "open", time.Second)
}
