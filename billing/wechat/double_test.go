package wechat_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

const (
	mchID     = "1900000109"
	serial    = "3775B6A45ACD588826D15E583A95F5DD0123ABCD"
	keyID     = "PUB_KEY_ID_0119000001092026110100001234567890"
	apiV3Key  = "canary-api-v3-key-of-32-bytes-00"
	serviceID = "00004000000000000000000000012345"
	notifyURL = "https://pay.example.cn/v1/wechat/notify"
)

var keys = sync.OnceValue(func() (k struct{ merchant, wechat, other *rsa.PrivateKey }) {
	for _, key := range []**rsa.PrivateKey{&k.merchant, &k.wechat, &k.other} {
		made, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		*key = made
	}
	return k
})

// shop is a merchant at the double: a cashier, and a place where notifications come
// in.
type shop struct {
	*wechat.Cashier
	t       *testing.T
	fake    *fakewechat.Server
	server  *httptest.Server
	client  *http.Client
	clock   atomic.Int64 // what both sides take for now
	cfg     wechat.PayConfig
	payer   billing.Payer
	numbers int

	mu    sync.Mutex
	heard []notice
}

// notice is what Open made of one delivery.
type notice struct {
	said billing.Said
	kind string
	err  error
}

func newShop(t *testing.T, bend func(*wechat.PayConfig, *fakewechat.Config)) *shop {
	t.Helper()
	s := &shop{t: t}
	s.clock.Store(time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC).UnixNano())
	cfg := wechat.PayConfig{AppID: appID, MchID: mchID, MerchantSerial: serial, MerchantKey: keys().merchant,
		PublicKeyID: keyID, PublicKey: &keys().wechat.PublicKey, APIv3Key: apiV3Key, NotifyURL: notifyURL, ServiceID: serviceID,
		NamePayer: true, Now: s.now, Stamp: time.Now}
	double := fakewechat.Config{AppID: appID, Secret: secret, Riders: []string{"ann", "bo"}, Now: s.now, Stamp: time.Now,
		Rand: mathrand.NewChaCha8([32]byte{}), Pay: &fakewechat.PayConfig{MchID: mchID, MerchantSerial: serial,
			MerchantKey: &keys().merchant.PublicKey, KeyID: keyID, Key: keys().wechat, APIv3Key: apiV3Key,
			ServiceID: serviceID, RiskCap: 20_000, BikeRules: true, Callbacks: s}}
	if bend != nil {
		bend(&cfg, &double)
	}
	var err error
	if s.fake, err = fakewechat.New(double); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(s.fake.Handler())
	t.Cleanup(s.server.Close)
	s.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	cfg.BaseURL, cfg.HTTP = s.server.URL, s.client
	if s.Cashier, err = wechat.NewCashier(cfg); err != nil {
		t.Fatal(err)
	}
	s.cfg = cfg
	s.payer = s.openID("ann")
	return s
}

func (s *shop) now() time.Time { return time.Unix(0, s.clock.Load()) }

// pass lets time go by and everything happen that is due meanwhile.
func (s *shop) pass(d time.Duration) {
	s.t.Helper()
	until := s.now().Add(d)
	for {
		due, ok := s.fake.Due()
		if !ok || due.After(until) {
			break
		}
		if due.After(s.now()) {
			s.clock.Store(due.UnixNano())
		}
		s.fake.Step(s.t.Context())
	}
	s.clock.Store(until.UnixNano())
}

// RoundTrip takes notifications as a handler would.
func (s *shop) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	said, kind, err := s.Open(r.Context(), r.Header, body)
	s.mu.Lock()
	s.heard = append(s.heard, notice{said, kind, err})
	s.mu.Unlock()
	status := http.StatusNoContent
	switch {
	case errors.Is(err, wechat.ErrForged):
		status = http.StatusUnauthorized
	case errors.Is(err, wechat.ErrNotice):
		status = http.StatusBadRequest
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
}

func (s *shop) notices() []notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.heard
	s.heard = nil
	return got
}

func (s *shop) openID(rider string) billing.Payer {
	s.t.Helper()
	login, err := wechat.New(wechat.Config{AppID: appID, Secret: secret, BaseURL: s.server.URL, HTTP: s.client})
	if err != nil {
		s.t.Fatal(err)
	}
	var minted struct {
		Code string `json:"login_code"`
	}
	resp, err := s.client.Post(s.server.URL+"/riders/"+rider+"/login-code", "application/json", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&minted); err != nil {
		s.t.Fatal(err)
	}
	id, _, err := login.Exchange(s.t.Context(), minted.Code)
	if err != nil {
		s.t.Fatal(err)
	}
	return billing.Payer(id)
}

// ask makes a step with a number of its own.
func (s *shop) ask(road billing.Road, step billing.Step, amount billing.Fen) billing.Ask {
	s.numbers++
	return billing.Ask{Road: road, Step: step, Number: fmt.Sprintf("0199c2aa55e17d7b8c3f5a0b1c%06x", s.numbers), Payer: s.payer, Amount: amount,
		Venue: "campus", Device: "bike-0042", Kind: "lock", Expires: s.now().Add(15 * time.Minute), Used: 12 * time.Minute,
		Tariff: billing.Tariff{TimeRule: &billing.TimeRule{UnlockFee: 100, BlockMS: 600_000, BlockFee: 50, RideCap: 2000}},
		From:   s.now(), Until: s.now(), Reason: "cancelled"}
}

// do takes a step that must give a word.
func (s *shop) do(a billing.Ask) billing.Said {
	s.t.Helper()
	said, err := s.Do(s.t.Context(), a)
	if err != nil {
		s.t.Fatalf("%s %s: %v", a.Step, a.Road, err)
	}
	return said
}

// then is another step of the same payment.
func (s *shop) then(a billing.Ask, step billing.Step) billing.Said {
	s.t.Helper()
	a.Step = step
	return s.do(a)
}

// unsure takes a step that must tell nothing, and nothing secret.
func (s *shop) unsure(a billing.Ask) {
	s.t.Helper()
	said, err := s.Do(s.t.Context(), a)
	if !errors.Is(err, billing.ErrUnsure) || !reflect.DeepEqual(said, billing.Said{}) {
		s.t.Errorf("%s %s: got %+v, %v, want ErrUnsure", a.Step, a.Road, said, err)
	}
	s.silent(err)
}

func (s *shop) silent(err error) {
	s.t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		text := fmt.Sprintf("%v %+v %q %#v", e, e, e, e)
		for _, canary := range []string{string(s.payer), apiV3Key, secret, "prepay_id", "out_trade_no", "Authorization", "http://"} {
			if strings.Contains(text, canary) {
				s.t.Errorf("error tells %q: %s", canary, text)
			}
		}
	}
}

func (s *shop) want(got billing.Said, stands billing.Standing, amount, moved billing.Fen) {
	s.t.Helper()
	if got.Stands != stands || got.Amount != amount || got.Moved != moved || got.Foreign != "" {
		s.t.Errorf("got %+v, want %s, amount %s, moved %s", got, stands, amount, moved)
	}
}

func (s *shop) provoke(kind, group string) {
	s.t.Helper()
	if err := s.fake.Break(fakewechat.Fault{Kind: kind, On: group}); err != nil {
		s.t.Fatal(err)
	}
}

// pay is the rider's tap on a transaction's key.
func (s *shop) pay(rider, key string) {
	s.t.Helper()
	checkout, err := s.Checkout(key)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.fake.Pay(rider, fakewechat.PayRequest{AppID: appID, TimeStamp: checkout["timeStamp"], NonceStr: checkout["nonceStr"],
		Package: checkout["package"], SignType: checkout["signType"], PaySign: checkout["paySign"]}); err != nil {
		s.t.Fatal(err)
	}
}

// through changes answers of the double on their way.
type through struct {
	next http.RoundTripper
	bend func(*http.Response, []byte) []byte
}

func (b through) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	body = b.bend(answer, body)
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	answer.Header.Del("Content-Length")
	return answer, nil
}
