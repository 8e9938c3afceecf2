package wechat_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/notify"
	"github.com/wechatpay-apiv3/wechatpay-go/core/option"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/jsapi"
)

func TestBentNoticesAreToldApart(t *testing.T) {
	for _, tc := range []struct {
		fault string
		want  error
		said  func(billing.Said) bool
	}{
		{fakewechat.FaultProbe, wechat.ErrForged, nil},
		{fakewechat.FaultForged, wechat.ErrForged, nil},
		{fakewechat.FaultStale, wechat.ErrForged, nil},
		{fakewechat.FaultUnknownSerial, wechat.ErrForged, nil},
		{fakewechat.FaultTruncated, wechat.ErrNotice, nil},
		{fakewechat.FaultNonceLength, wechat.ErrNotice, nil},
		{fakewechat.FaultOtherKey, wechat.ErrNotice, nil},
		{fakewechat.FaultEmptyAssociated, nil, func(s billing.Said) bool { return s.Foreign == "" && s.Moved == 2000 }},
		{fakewechat.FaultOtherAmount, nil, func(s billing.Said) bool { return s.Foreign == "" && s.Amount == 2001 && s.Moved == 2001 }},
		{fakewechat.FaultOtherApp, nil, func(s billing.Said) bool { return strings.HasPrefix(s.Foreign, "appid ") }},
		{fakewechat.FaultOtherMerchant, nil, func(s billing.Said) bool { return strings.HasPrefix(s.Foreign, "mchid ") }},
	} {
		s := newShop(t, nil)
		a := s.ask(billing.Transaction, billing.AskCreate, 2000)
		key := s.do(a).Key
		s.provoke(tc.fault, fakewechat.GroupCallback)
		s.pay("ann", key)
		s.pass(time.Minute)
		heard := s.notices()
		if len(heard) == 0 || !errors.Is(heard[0].err, tc.want) {
			t.Errorf("%s: heard %+v, want %v", tc.fault, heard, tc.want)
			continue
		}
		s.silent(heard[0].err)
		if tc.said != nil && !tc.said(heard[0].said) {
			t.Errorf("%s: heard %+v", tc.fault, heard[0].said)
		}
		if last := heard[len(heard)-1]; tc.want != nil && (last.err != nil || last.said.Stands != billing.StandsPaid) {
			t.Errorf("%s: the honest one: %+v", tc.fault, last)
		}
		for _, d := range s.fake.Callbacks() {
			if d.Violation {
				t.Errorf("%s: accepted %+v", tc.fault, d)
			}
		}
	}
}

// TestOfficialSDKReadsTheDouble is the counter-check: code that nobody here wrote
// accepts what our own tests stand on.
func TestOfficialSDKReadsTheDouble(t *testing.T) {
	s := newShop(t, nil)
	a := s.ask(billing.Transaction, billing.AskCreate, 2000)
	s.pay("ann", s.do(a).Key)
	client, err := core.NewClient(t.Context(), option.WithWechatPayPublicKeyAuthCipher(mchID, serial, keys().merchant, keyID, &keys().wechat.PublicKey),
		option.WithHTTPClient(&http.Client{Transport: toDouble{s}}))
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := (&jsapi.JsapiApiService{Client: client}).QueryOrderByOutTradeNo(t.Context(),
		jsapi.QueryOrderByOutTradeNoRequest{OutTradeNo: &a.Number, Mchid: core.String(mchID)})
	if err != nil || *got.TradeState != "SUCCESS" || *got.Amount.Total != 2000 {
		t.Fatalf("got %v, %v", got, err)
	}
	handler, err := notify.NewRSANotifyHandler(apiV3Key, verifiers.NewSHA256WithRSAPubkeyVerifier(keyID, keys().wechat.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	var official error = errors.New("nothing came")
	seen := newShop(t, func(_ *wechat.PayConfig, f *fakewechat.Config) {
		f.Pay.Callbacks = roundTrip(func(r *http.Request) (*http.Response, error) {
			_, official = handler.ParseNotifyRequest(r.Context(), r, new(payments.Transaction))
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
		})
	})
	seen.pay("ann", seen.do(seen.ask(billing.Transaction, billing.AskCreate, 1)).Key)
	seen.pass(time.Second)
	if official != nil {
		t.Errorf("the SDK's notify handler: %v", official)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type toDouble struct{ *shop }

func (d toDouble) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", strings.TrimPrefix(d.server.URL, "http://")
	return d.client.Transport.RoundTrip(out)
}

func TestBillOfADay(t *testing.T) {
	s := newShop(t, nil)
	day := "2026-11-01"
	if _, err := s.TradeBill(t.Context(), day); !errors.Is(err, wechat.ErrNoBill) {
		t.Errorf("today: got %v, want ErrNoBill", err)
	}
	a := s.ask(billing.Transaction, billing.AskCreate, 2000)
	s.pay("ann", s.do(a).Key)
	score := s.running(fakewechat.ScoreConduct{})
	s.pass(time.Minute)
	back := s.ask(billing.Refund, billing.AskCreate, 500)
	back.Paid, back.Of = 2000, a.Number
	s.do(back)
	s.pass(15 * time.Hour)
	if _, err := s.TradeBill(t.Context(), day); !errors.Is(err, wechat.ErrBillNotReady) {
		t.Errorf("in the night: got %v, want ErrBillNotReady", err)
	}
	s.pass(24 * time.Hour)
	lines, err := s.TradeBill(t.Context(), day)
	if err != nil || len(lines) != 3 {
		t.Fatalf("got %+v, %v", lines, err)
	}
	for i, want := range []billing.BillLine{
		{Road: billing.Transaction, Number: a.Number, Amount: 2000, Fee: 12, State: "SUCCESS"},
		{Road: billing.Score, Number: score.Number, Amount: 150, Fee: 1, State: "SUCCESS"},
		{Road: billing.Refund, Number: back.Number, Amount: 500, Fee: -3, State: "SUCCESS"},
	} {
		want.ID, want.At = lines[i].ID, lines[i].At
		if lines[i] != want || lines[i].ID == "" {
			t.Errorf("line %d: got %+v, want %+v", i, lines[i], want)
		}
	}
	money := s.fake.Money()
	if lines[0].ID != money.Transactions[0].TransactionID || !lines[0].At.Equal(money.Transactions[0].PaidAt.Truncate(time.Second)) {
		t.Errorf("got %+v, want %+v", lines[0], money.Transactions[0])
	}
	s.provoke(fakewechat.FaultBillAmount, fakewechat.GroupBill)
	if bent, err := s.TradeBill(t.Context(), day); err != nil || bent[0].Amount != 2001 {
		t.Errorf("bent: got %+v, %v", bent, err)
	}
	for _, fault := range []string{fakewechat.FaultLost, fakewechat.FaultSystemError, fakewechat.FaultLimited, fakewechat.FaultSignError, fakewechat.FaultOutage} {
		s.provoke(fault, fakewechat.GroupBill)
		_, err := s.TradeBill(t.Context(), day)
		if !errors.Is(err, billing.ErrUnsure) {
			t.Errorf("%s: got %v, want ErrUnsure", fault, err)
		}
		s.silent(err)
	}
	for _, wrong := range []string{"2026-11-31", "20261101", "", "2026-11-01T00:00:00Z"} {
		if _, err := s.TradeBill(t.Context(), wrong); !errors.Is(err, wechat.ErrBadAsk) {
			t.Errorf("%q: got %v, want ErrBadAsk", wrong, err)
		}
	}
	for name, bend := range map[string]func(*http.Response, []byte) []byte{
		"file": func(r *http.Response, b []byte) []byte {
			if strings.Contains(r.Request.URL.Path, "billdownload") {
				b[len(b)/2] ^= 1
			}
			return b
		},
		"cut": func(r *http.Response, b []byte) []byte {
			if strings.Contains(r.Request.URL.Path, "billdownload") {
				return b[:len(b)/2]
			}
			return b
		},
	} {
		cfg := s.cfg
		cfg.HTTP = &http.Client{Transport: through{s.client.Transport, bend}}
		c, err := wechat.NewCashier(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.TradeBill(t.Context(), day); !errors.Is(err, wechat.ErrBill) {
			t.Errorf("%s: got %v, want ErrBill", name, err)
		}
	}
}
