package wechat_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

func TestTransactionFromKeyToMoneyBack(t *testing.T) {
	s := newShop(t, nil)
	a := s.ask(billing.Transaction, billing.AskCreate, 2000)
	if got := s.then(a, billing.AskQuery); got.Stands != billing.StandsUnknown {
		t.Errorf("before it is created: got %+v", got)
	}
	created := s.do(a)
	s.want(created, billing.StandsOpen, 0, 0)
	if again := s.do(a); again.Key == created.Key || again.Stands != billing.StandsOpen {
		t.Errorf("the same ask again: got %+v, want a fresh key", again)
	}
	s.want(s.then(a, billing.AskQuery), billing.StandsOpen, 2000, 0)
	s.pay("ann", created.Key)
	paid := s.then(a, billing.AskQuery)
	s.want(paid, billing.StandsPaid, 2000, 2000)
	if paid.ID == "" || !paid.At.Equal(s.now()) || paid.Key != "" {
		t.Errorf("paid: got %+v", paid)
	}
	s.pass(time.Second)
	if heard := s.notices(); len(heard) != 1 || heard[0].kind != "TRANSACTION.SUCCESS" || !reflect.DeepEqual(heard[0].said, paid) || heard[0].err != nil {
		t.Errorf("heard %+v, want what the query said: %+v", heard, paid)
	}
	if got := s.do(a); got.Stands != billing.StandsRefused || got.Why != billing.WhyState {
		t.Errorf("create again: got %+v", got)
	}
	if got := s.then(a, billing.AskClose); got.Stands != billing.StandsRefused || got.Why != billing.WhyState {
		t.Errorf("close: got %+v", got)
	}

	back := s.ask(billing.Refund, billing.AskCreate, 500)
	back.Paid, back.Of = 2000, a.Number
	if got := s.then(back, billing.AskQuery); got.Stands != billing.StandsUnknown {
		t.Errorf("before it is asked for: got %+v", got)
	}
	s.want(s.do(back), billing.StandsProcessing, 500, 0)
	s.want(s.do(back), billing.StandsProcessing, 500, 0)
	s.pass(time.Minute)
	done := s.then(back, billing.AskQuery)
	s.want(done, billing.StandsPaid, 500, 500)
	if heard := s.notices(); len(heard) != 1 || heard[0].kind != "REFUND.SUCCESS" || !reflect.DeepEqual(heard[0].said, done) {
		t.Errorf("heard %+v, want %+v", heard, done)
	}
	s.want(s.then(a, billing.AskQuery), billing.StandsPaid, 2000, 2000)
	more := s.ask(billing.Refund, billing.AskCreate, 1501)
	more.Paid, more.Of = 2000, a.Number
	if got := s.do(more); got.Stands != billing.StandsRefused || got.Why != "INVALID_REQUEST" {
		t.Errorf("more than was paid: got %+v", got)
	}
	more.Of = more.Number
	if got := s.do(more); got.Stands != billing.StandsRefused || got.Why != "RESOURCE_NOT_EXISTS" {
		t.Errorf("of nothing: got %+v", got)
	}
}

func TestTransactionThatNobodyPaysIsClosed(t *testing.T) {
	s := newShop(t, nil)
	a := s.ask(billing.Transaction, billing.AskCreate, 2000)
	s.do(a)
	other := a
	other.Amount = 1
	if got := s.do(other); got.Stands != billing.StandsRefused || got.Why != billing.WhyFigures {
		t.Errorf("other figures: got %+v", got)
	}
	s.want(s.then(a, billing.AskClose), billing.StandsClosed, 0, 0)
	s.want(s.then(a, billing.AskClose), billing.StandsClosed, 0, 0)
	s.want(s.then(a, billing.AskQuery), billing.StandsClosed, 2000, 0)
	if got := s.do(a); got.Stands != billing.StandsClosed {
		t.Errorf("create after close: got %+v", got)
	}
	late := s.ask(billing.Transaction, billing.AskCreate, 2000)
	s.do(late)
	s.pass(16 * time.Minute)
	s.want(s.then(late, billing.AskQuery), billing.StandsClosed, 2000, 0)
}

func TestRefundsThatDoNotArrive(t *testing.T) {
	for fault, want := range map[string]struct {
		stands billing.Standing
		kind   string
	}{
		fakewechat.FaultRefundAbnormal: {billing.StandsAbnormal, "REFUND.ABNORMAL"},
		fakewechat.FaultRefundClosed:   {billing.StandsClosed, "REFUND.CLOSED"},
	} {
		s := newShop(t, nil)
		a := s.ask(billing.Transaction, billing.AskCreate, 2000)
		s.pay("ann", s.do(a).Key)
		s.pass(time.Second)
		s.notices()
		back := s.ask(billing.Refund, billing.AskCreate, 2000)
		back.Paid, back.Of = 2000, a.Number
		s.provoke(fakewechat.FaultNotEnough, fakewechat.GroupRefund)
		if got := s.do(back); got.Stands != billing.StandsRefused || got.Why != billing.WhyFunds {
			t.Errorf("without funds: got %+v", got)
		}
		s.provoke(fault, fakewechat.GroupRefund)
		s.want(s.do(back), billing.StandsProcessing, 2000, 0)
		s.pass(time.Minute)
		s.want(s.then(back, billing.AskQuery), want.stands, 2000, 0)
		if heard := s.notices(); len(heard) != 1 || heard[0].kind != want.kind || heard[0].said.Stands != want.stands {
			t.Errorf("heard %+v, want %s", heard, want.kind)
		}
	}
}

func TestScoreOrderFromConfirmationToDebit(t *testing.T) {
	s := newShop(t, nil)
	a := s.ask(billing.Score, billing.AskCreate, 2000)
	if got := s.then(a, billing.AskQuery); got.Stands != billing.StandsUnknown {
		t.Errorf("before it is created: got %+v", got)
	}
	created := s.do(a)
	s.want(created, billing.StandsOpen, 2000, 0)
	if again := s.do(a); !reflect.DeepEqual(again, created) || created.Key == "" {
		t.Errorf("the same ask again: got %+v, want %+v", again, created)
	}
	other := a
	other.Amount = 1
	if got := s.do(other); got.Stands != billing.StandsRefused || got.Why != billing.WhyFigures {
		t.Errorf("other figures: got %+v", got)
	}
	early := a
	early.Step, early.Amount = billing.AskComplete, 150
	early.From, early.Until = s.now().Add(-time.Minute), s.now()
	if got := s.do(early); got.Stands != billing.StandsRefused || got.Why != billing.WhyState {
		t.Errorf("completed before it began: got %+v", got)
	}
	if err := s.fake.Confirm("ann", created.Key); err != nil {
		t.Fatal(err)
	}
	confirmed := s.then(a, billing.AskQuery)
	s.want(confirmed, billing.StandsConfirmed, 2000, 0)
	s.pass(time.Second)
	if heard := s.notices(); len(heard) != 1 || heard[0].kind != "PAYSCORE.USER_CONFIRM" || !reflect.DeepEqual(heard[0].said, confirmed) {
		t.Errorf("heard %+v, want %+v", heard, confirmed)
	}
	if got := s.then(a, billing.AskCollect); got.Stands != billing.StandsRefused || got.Why != billing.WhyState {
		t.Errorf("collected before it ended: got %+v", got)
	}
	a.From = s.now()
	s.pass(12 * time.Minute)
	a.Until, a.Amount = s.now(), 150
	s.want(s.then(a, billing.AskComplete), billing.StandsCollecting, 150, 0)
	s.want(s.then(a, billing.AskQuery), billing.StandsCollecting, 150, 0)
	if got := s.then(a, billing.AskCollect); got.Stands != billing.StandsCollecting {
		t.Errorf("collect while a debit runs: got %+v", got)
	}
	if got := s.then(a, billing.AskClose); got.Stands != billing.StandsRefused || got.Why != billing.WhyState {
		t.Errorf("cancelled after it ended: got %+v", got)
	}
	s.pass(time.Minute)
	paid := s.then(a, billing.AskQuery)
	s.want(paid, billing.StandsPaid, 150, 150)
	if paid.ID == "" || paid.At.IsZero() {
		t.Errorf("paid: got %+v", paid)
	}
	if heard := s.notices(); len(heard) != 1 || heard[0].kind != "PAYSCORE.USER_PAID" || !reflect.DeepEqual(heard[0].said, paid) {
		t.Errorf("heard %+v, want %+v", heard, paid)
	}
	back := s.ask(billing.Refund, billing.AskCreate, 50)
	back.Paid, back.Of, back.OfTransaction = 150, a.Number, paid.ID
	s.want(s.do(back), billing.StandsProcessing, 50, 0)
	s.pass(time.Minute)
	s.want(s.then(back, billing.AskQuery), billing.StandsPaid, 50, 50)
}

// running is a score order whose rider has ended a use of 1.50 yuan.
func (s *shop) running(conduct fakewechat.ScoreConduct) billing.Ask {
	s.t.Helper()
	a := s.ask(billing.Score, billing.AskCreate, 2000)
	if err := s.fake.Confirm("ann", s.do(a).Key); err != nil {
		s.t.Fatal(err)
	}
	if err := s.fake.ScoreFor("ann", conduct); err != nil {
		s.t.Fatal(err)
	}
	s.pass(12 * time.Minute)
	a.Until, a.Amount = s.now(), 150
	s.want(s.then(a, billing.AskComplete), billing.StandsCollecting, 150, 0)
	return a
}

func TestDebitsThatFailAreCollectedInOtherWays(t *testing.T) {
	s := newShop(t, nil)
	a := s.running(fakewechat.ScoreConduct{FailingDebits: -1})
	s.pass(time.Minute)
	s.want(s.then(a, billing.AskQuery), billing.StandsCollecting, 150, 0)
	less := a
	less.Step, less.Amount = billing.AskModify, 100
	s.want(s.do(less), billing.StandsCollecting, 100, 0)
	less.Amount = 120
	if got := s.do(less); got.Stands != billing.StandsRefused {
		t.Errorf("more again: got %+v", got)
	}
	if got := s.then(a, billing.AskCollect); got.Stands != billing.StandsCollecting {
		t.Errorf("collect: got %+v", got)
	}
	if err := s.fake.PayScoreOrder("ann", a.Number); err != nil {
		t.Fatal(err)
	}
	s.want(s.then(a, billing.AskQuery), billing.StandsPaid, 100, 100)

	parts := newShop(t, nil)
	b := parts.running(fakewechat.ScoreConduct{PartialFen: 100})
	parts.pass(time.Second)
	parts.want(parts.then(b, billing.AskQuery), billing.StandsCollecting, 150, 100)
	parts.pass(time.Minute)
	parts.want(parts.then(b, billing.AskQuery), billing.StandsPaid, 150, 150)
	if n := len(parts.notices()); n != 3 { // the confirmation and two debits
		t.Errorf("heard %d notices, want 3", n)
	}

	elsewhere := newShop(t, nil)
	c := elsewhere.running(fakewechat.ScoreConduct{FailingDebits: -1})
	elsewhere.pass(time.Minute)
	elsewhere.want(elsewhere.then(c, billing.AskSync), billing.StandsPaid, 150, 150)
}

func TestScoreOrderThatIsNotUsed(t *testing.T) {
	s := newShop(t, nil)
	a := s.ask(billing.Score, billing.AskCreate, 2000)
	key := s.do(a).Key
	s.want(s.then(a, billing.AskClose), billing.StandsClosed, 0, 0)
	s.want(s.then(a, billing.AskQuery), billing.StandsClosed, 0, 0)
	if got := s.then(a, billing.AskClose); got.Stands != billing.StandsRefused || got.Why != billing.WhyState {
		t.Errorf("cancelled twice: got %+v", got)
	}
	if err := s.fake.Confirm("ann", key); !errors.Is(err, fakewechat.ErrScoreState) {
		t.Errorf("confirmed after: %v", err)
	}
	b := s.ask(billing.Score, billing.AskCreate, 2000)
	if err := s.fake.Confirm("ann", s.do(b).Key); err != nil {
		t.Fatal(err)
	}
	s.want(s.then(b, billing.AskClose), billing.StandsClosed, 0, 0)
	c := s.ask(billing.Score, billing.AskCreate, 2000)
	s.do(c)
	s.pass(31 * 24 * time.Hour)
	s.want(s.then(c, billing.AskQuery), billing.StandsClosed, 0, 0)
	nothing := s.ask(billing.Score, billing.AskCreate, 2000)
	if err := s.fake.Confirm("ann", s.do(nothing).Key); err != nil {
		t.Fatal(err)
	}
	s.pass(time.Minute)
	nothing.Amount, nothing.Until = 0, s.now()
	s.want(s.then(nothing, billing.AskComplete), billing.StandsPaid, 0, 0)
}

func TestPayScoreRefusesRiders(t *testing.T) {
	for code, why := range map[string]string{"271300099": billing.WhyRisk, "271299627": billing.WhyArrears, "268560785": billing.WhyRisk, "268503786": billing.WhySetup} {
		s := newShop(t, nil)
		if err := s.fake.ScoreFor("ann", fakewechat.ScoreConduct{RefuseCode: code}); err != nil {
			t.Fatal(err)
		}
		if got := s.do(s.ask(billing.Score, billing.AskCreate, 2000)); got.Stands != billing.StandsRefused || got.Why != why {
			t.Errorf("%s: got %+v, want %s", code, got, why)
		}
	}
	s := newShop(t, nil)
	if got := s.do(s.ask(billing.Score, billing.AskCreate, 20_001)); got.Stands != billing.StandsRefused || got.Why != billing.WhySetup {
		t.Errorf("above the cap: got %+v", got)
	}
	for range 3 {
		if err := s.fake.Confirm("ann", s.do(s.ask(billing.Score, billing.AskCreate, 2000)).Key); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.do(s.ask(billing.Score, billing.AskCreate, 2000)); got.Stands != billing.StandsRefused || got.Why != billing.WhyRisk {
		t.Errorf("a fourth order: got %+v", got)
	}
	no := newShop(t, func(_ *wechat.PayConfig, f *fakewechat.Config) { f.Pay.ServiceID = "" })
	if got := no.do(no.ask(billing.Score, billing.AskCreate, 2000)); got.Stands != billing.StandsRefused {
		t.Errorf("without permission: got %+v", got)
	}
}

// TestSilenceIsAskedAbout: whatever breaks, nothing is known, and a query tells
// whether the step happened.
func TestSilenceIsAskedAbout(t *testing.T) {
	for _, tc := range []struct {
		fault    string
		happened bool
	}{
		{fakewechat.FaultLost, true}, {fakewechat.FaultBadSignature, true},
		{fakewechat.FaultSystemError, false}, {fakewechat.FaultLimited, false}, {fakewechat.FaultOutage, false},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			s := newShop(t, nil)
			check := func(a billing.Ask, group string, before, after billing.Standing) {
				t.Helper()
				s.provoke(tc.fault, group)
				s.unsure(a)
				want := before
				if tc.happened {
					want = after
				}
				if got := s.then(a, billing.AskQuery); got.Stands != want {
					t.Errorf("%s %s: got %+v, want %s", a.Step, a.Road, got, want)
				}
				s.provoke(tc.fault, group)
				query := a
				query.Step = billing.AskQuery
				s.unsure(query)
			}
			a := s.ask(billing.Transaction, billing.AskCreate, 2000)
			check(a, fakewechat.GroupPay, billing.StandsUnknown, billing.StandsOpen)
			s.pay("ann", s.do(a).Key)
			back := s.ask(billing.Refund, billing.AskCreate, 500)
			back.Paid, back.Of = 2000, a.Number
			check(back, fakewechat.GroupRefund, billing.StandsUnknown, billing.StandsProcessing)
			s.want(s.do(back), billing.StandsProcessing, 500, 0)
			closed := s.ask(billing.Transaction, billing.AskCreate, 2000)
			s.do(closed)
			closed.Step = billing.AskClose
			check(closed, fakewechat.GroupPay, billing.StandsOpen, billing.StandsClosed)
			score := s.ask(billing.Score, billing.AskCreate, 2000)
			check(score, fakewechat.GroupScore, billing.StandsUnknown, billing.StandsOpen)
			if err := s.fake.Confirm("ann", s.do(score).Key); err != nil {
				t.Fatal(err)
			}
			s.pass(time.Minute)
			score.Step, score.Amount, score.Until = billing.AskComplete, 150, s.now()
			check(score, fakewechat.GroupScore, billing.StandsConfirmed, billing.StandsCollecting)
			// The same completion again is no second one.
			s.want(s.do(score), billing.StandsCollecting, 150, 0)
			if n := len(s.fake.Money().Refunds); n != 1 {
				t.Errorf("%d refunds, want one", n)
			}
		})
	}
}

func TestSetupThatWeChatRefuses(t *testing.T) {
	for name, bend := range map[string]func(*wechat.PayConfig, *fakewechat.Config){
		"serial": func(c *wechat.PayConfig, _ *fakewechat.Config) { c.MerchantSerial = "0000000000" },
		"key":    func(c *wechat.PayConfig, _ *fakewechat.Config) { c.MerchantKey = keys().other },
		"merchant": func(c *wechat.PayConfig, _ *fakewechat.Config) {
			c.MchID = "1900000110"
		},
		"clock": func(_ *wechat.PayConfig, f *fakewechat.Config) {
			f.Stamp = func() time.Time { return time.Now().Add(10 * time.Minute) }
		},
	} {
		s := newShop(t, bend)
		a := s.ask(billing.Transaction, billing.AskCreate, 2000)
		if got := s.do(a); got.Stands != billing.StandsRefused || got.Why != billing.WhySetup {
			t.Errorf("%s: create: got %+v", name, got)
		}
		a.Step = billing.AskQuery
		s.unsure(a)
	}
	other := newShop(t, func(_ *wechat.PayConfig, f *fakewechat.Config) {
		f.Pay.Key = keys().other
	})
	other.unsure(other.ask(billing.Transaction, billing.AskCreate, 2000))
}

func TestAlteredAnswersAreNotBelieved(t *testing.T) {
	for name, bend := range map[string]func(*http.Response, []byte) []byte{
		"amount":    func(_ *http.Response, b []byte) []byte { return bytes.Replace(b, []byte("2000"), []byte("2001"), 1) },
		"a space":   func(_ *http.Response, b []byte) []byte { return append(b, ' ') },
		"no serial": func(r *http.Response, b []byte) []byte { r.Header.Del("Wechatpay-Serial"); return b },
		"old": func(r *http.Response, b []byte) []byte {
			r.Header.Set("Wechatpay-Timestamp", strconv.FormatInt(time.Now().Add(-6*time.Minute).Unix(), 10))
			return b
		},
		"other key": func(r *http.Response, b []byte) []byte {
			r.Header.Set("Wechatpay-Serial", "PUB_KEY_ID_0000000000000000000000000000000000")
			return b
		},
	} {
		s := newShop(t, nil)
		a := s.ask(billing.Transaction, billing.AskCreate, 2000)
		s.do(a)
		cfg := s.cfg
		cfg.HTTP = &http.Client{Transport: through{s.client.Transport, bend}}
		var err error
		if s.Cashier, err = wechat.NewCashier(cfg); err != nil {
			t.Fatal(err)
		}
		a.Step = billing.AskQuery
		if _, err := s.Do(t.Context(), a); !errors.Is(err, billing.ErrUnsure) || !strings.Contains(err.Error(), "the signature does not hold") {
			t.Errorf("%s: got %v, want ErrUnsure", name, err)
		}
	}
}

func TestErrorsNameTheStep(t *testing.T) {
	s := newShop(t, nil)
	s.provoke(fakewechat.FaultSystemError, fakewechat.GroupPay)
	a := s.ask(billing.Transaction, billing.AskCreate, 1)
	_, err := s.Do(t.Context(), a)
	if want := fmt.Sprintf("create transaction %q: WeChat's answer is not known (status 500, code SYSTEM_ERROR, request ", a.Number); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s...", err, want)
	}
}
