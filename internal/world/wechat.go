package world

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

// The merchant's ids. Nothing but the double knows them.
const (
	payApp     = "wx0123456789abcdef"
	paySecret  = "0123456789abcdef0123456789abcdef"
	payMch     = "1900000109"
	paySerial  = "3775B6A45ACD588826D15E583A95F5DD0123ABCD"
	payKeyID   = "PUB_KEY_ID_0119000001092026030100001234567890"
	payV3Key   = "an-api-v3-key-of-thirty-two-byte"
	payService = "00004000000000000000000000012345"
	payNotify  = "https://pay.example.cn/v1/wechat/notify"
)

// merchant is the operator at WeChat: the real cashier, the double behind it, and the
// door through which notifications come in.
type merchant struct {
	w       *world
	double  *fakewechat.Server
	cashier *wechat.Cashier
	till    *till
	host    http.Handler // of the double
	verify  func(message []byte, signature string) error
	sign    func(message []byte) (string, error)
	rates   map[string]float64
	settled map[string]bool // abnormal refunds that staff settled in one way

	planned time.Duration // when the double's agenda is looked at next; < 0 = not
	told    int           // deliveries of its log that were read
	trouble bool          // an outage goes on
}

// keyPair are RSA keys of both sides; drawn once, since that takes longer than a
// schedule.
type keyPair struct{ merchant, wechat *rsa.PrivateKey }

var rsaKeys = sync.OnceValue(func() (k keyPair) {
	var errs [2]error
	k.merchant, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.wechat, errs[1] = rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(errs[:]...); err != nil {
		panic("world: no randomness: " + err.Error())
	}
	return k
})

// keyedHash signs and checks like one side, for nanoseconds instead of a millisecond.
func keyedHash(key []byte) (sign func([]byte) (string, error), verify func([]byte, string) error) {
	sum := func(message []byte) []byte {
		h := hmac.New(sha256.New, key)
		_, _ = h.Write(message) // never fails
		return h.Sum(nil)
	}
	sign = func(message []byte) (string, error) { return hex.EncodeToString(sum(message)), nil }
	verify = func(message []byte, signature string) error {
		if have, err := hex.DecodeString(signature); err != nil || !hmac.Equal(have, sum(message)) {
			return errors.New("the hash is of other bytes")
		}
		return nil
	}
	return sign, verify
}

// openMerchant connects the world to the double. Every fiftieth seed signs with RSA,
// as outside; signatures are the only thing that the real clock and real chance touch,
// and nothing depends on them.
func (w *world) openMerchant(seed uint64) {
	m := &merchant{w: w, planned: -1, settled: map[string]bool{}}
	w.pay = m
	ourSign, ourVerify := keyedHash(w.bytes(32))
	theirSign, theirVerify := keyedHash(w.bytes(32))
	cfg := wechat.PayConfig{AppID: payApp, MchID: payMch, MerchantSerial: paySerial, PublicKeyID: payKeyID, APIv3Key: payV3Key,
		NotifyURL: payNotify, ServiceID: payService, NamePayer: w.chance(0.5), Now: w.now, Stamp: time.Now,
		HTTP: &http.Client{Transport: line{m}}}
	double := fakewechat.Config{AppID: payApp, Secret: paySecret, Riders: w.riders, Now: w.now, Stamp: time.Now,
		Rand: reader{mathrand.New(mathrand.NewPCG(seed, 0x776563686174))},
		Pay: &fakewechat.PayConfig{MchID: payMch, MerchantSerial: paySerial, KeyID: payKeyID, APIv3Key: payV3Key, ServiceID: payService,
			RiskCap: int64(max(w.env.Config.RiskCap, 1)), BikeRules: len(w.fuels) == 0, Callbacks: door{m},
			RefundTime: w.between(time.Second, 20*time.Second), DebitTime: w.between(time.Second, 8*time.Second)}}
	if seed%50 == 0 {
		k := rsaKeys()
		cfg.MerchantKey, cfg.PublicKey = k.merchant, &k.wechat.PublicKey
		double.Pay.MerchantKey, double.Pay.Key = &k.merchant.PublicKey, k.wechat
	} else {
		cfg = cfg.WithSignatures(ourSign, theirVerify)
		double.Pay.Verify, double.Pay.Sign = ourVerify, theirSign
		m.verify, m.sign = theirVerify, ourSign
	}
	var err error
	if m.double, err = fakewechat.New(double); err == nil {
		m.host = m.double.PayAPI()
		if m.cashier, err = wechat.NewCashier(cfg); err == nil {
			m.till, err = newTill(w)
		}
	}
	if err != nil {
		w.oracle.violation("world: no merchant: %v", err)
		w.pay = nil
		return
	}
	m.drawRates()
}

// openIDs are the riders' names at WeChat, asked for as a mini-program does. The same
// app and name give the same openid in every run.
var openIDs = sync.OnceValues(func() (map[string]billing.Payer, error) {
	s, err := fakewechat.New(fakewechat.Config{AppID: payApp, Secret: paySecret, Riders: riderNames, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return nil, err
	}
	ids, phone, api := map[string]billing.Payer{}, s.Admin(), s.API()
	for _, name := range riderNames {
		var code struct {
			Code string `json:"login_code"`
		}
		var session struct {
			OpenID string `json:"openid"`
		}
		if err := call(phone, http.MethodPost, "/riders/"+name+"/login-code", &code); err != nil {
			return nil, err
		}
		if err := call(api, http.MethodGet, "/sns/jscode2session?grant_type=authorization_code&appid="+payApp+"&secret="+paySecret+
			"&js_code="+code.Code, &session); err != nil {
			return nil, err
		}
		ids[name] = billing.Payer(session.OpenID)
	}
	return ids, nil
})

// call asks a handler within the process.
func call(h http.Handler, method, path string, into any) error {
	r, err := http.NewRequest(method, path, nil)
	if err != nil {
		return err
	}
	a := newAnswer()
	h.ServeHTTP(a, r)
	return json.Unmarshal(a.body.Bytes(), into)
}

// answer is an http.ResponseWriter in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{header: http.Header{}, status: http.StatusOK} }

func (a *answer) Header() http.Header             { return a.header }
func (a *answer) WriteHeader(status int)          { a.status = status }
func (a *answer) Write(b []byte) (n int, e error) { return a.body.Write(b) }

func (a *answer) response(r *http.Request) *http.Response {
	return &http.Response{StatusCode: a.status, Status: http.StatusText(a.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body.Bytes())), ContentLength: int64(a.body.Len()), Request: r}
}

var errCut = errors.New("the connection was cut")

// line is the way from the cashier to the double's host.
type line struct{ m *merchant }

// RoundTrip calls the host within the process and counts what it did amiss.
func (l line) RoundTrip(r *http.Request) (res *http.Response, err error) {
	w := l.m.w
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			w.fault(atWeChat(fakewechat.FaultLost))
			res, err = nil, errCut
		default:
			panic(p)
		}
	}()
	a := newAnswer()
	l.m.host.ServeHTTP(a, r)
	l.m.counts(a)
	return a.response(r), nil
}

// door is the way of notifications in.
type door struct{ m *merchant }

// RoundTrip takes a notification on some replica, as api's route does: verified, kept
// once and answered. What follows from it comes later.
func (d door) RoundTrip(r *http.Request) (*http.Response, error) {
	w := d.m.w
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	on := w.someReplica()
	if on == nil {
		w.fault(NobodyHome)
		return nil, errors.New("connection refused")
	}
	a := newAnswer()
	said, event, err := d.m.cashier.Open(context.Background(), r.Header, body)
	switch {
	case errors.Is(err, wechat.ErrIgnored):
		a.status = http.StatusNoContent
		return a.response(r), nil
	case errors.Is(err, wechat.ErrForged):
		a.status = http.StatusUnauthorized
		return a.response(r), nil
	case err != nil:
		a.status = http.StatusBadRequest
		return a.response(r), nil
	}
	a.status = http.StatusNoContent
	fails := w.strikes(StoreFails, 0.1)
	if fails {
		w.fault(StoreFails)
		a.status = http.StatusInternalServerError
		w.note(on.name, "cannot say whether it kept WeChat's word")
		if w.chance(0.5) { // before the commit
			return a.response(r), nil
		}
	}
	if err := w.store.AddNotice(r.Context(), said, event); err != nil {
		w.oracle.violation("world: a notification is not kept: %v", err)
	}
	w.note(on.name, "keeps WeChat's word: %s is %s", w.oracle.number(said.Number), said.Stands)
	for _, r := range w.replicas {
		w.after(w.between(0, 350*time.Millisecond), func() { w.collect(r) })
	}
	if !fails && w.strikes(LostAnswer, 0.05) {
		w.fault(LostAnswer)
		return nil, errCut
	}
	return a.response(r), nil
}

// expect plans the double's next doing, and tells of what it has done.
func (m *merchant) expect() {
	m.read()
	due, ok := m.double.Due()
	if !ok {
		return
	}
	w := m.w
	at := max(due.Sub(w.began), w.at)
	if m.planned >= 0 && m.planned <= at {
		return
	}
	m.planned = at
	w.after(at-w.at, func() {
		if m.planned == at {
			m.planned = -1
			m.double.Step(context.Background())
			m.expect()
		}
	})
}
