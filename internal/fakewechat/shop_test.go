package fakewechat

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	shopService = "00004000000000158253432100000000"
	shopKey     = "0123456789abcdef0123456789ABCDEF"
	shopNotify  = "https://shop.example/notify"
)

// shop is a merchant with a keyed hash for a signature, a clock that stands and a
// receiver of callbacks.
type shop struct {
	t       testing.TB
	s       *Server
	pay     http.Handler
	mu      sync.Mutex
	now     time.Time
	receive func(got) (int, error) // nil: 204
	got     []got
	nonce   int
	agent   string
}

// got is a callback as the receiver sees it.
type got struct {
	at       time.Time
	header   http.Header
	body     callbackBody
	resource map[string]any // nil when it does not open
	signed   bool
}

func keyedHash(message []byte) (string, error) {
	h := hmac.New(sha256.New, []byte("shop"))
	h.Write(message)
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

func checkHash(message []byte, signature string) error {
	if want, _ := keyedHash(message); want != signature {
		return errors.New("wrong")
	}
	return nil
}

func newShop(t testing.TB, bend ...func(*Config)) *shop {
	t.Helper()
	f := &shop{t: t, now: time.Date(2026, 11, 2, 12, 0, 0, 0, china), agent: "shop/1"}
	cfg := Config{
		AppID: "wx1", Secret: "s3cret", Riders: []string{"ann", "bo"}, Now: f.clock, Rand: rand.NewChaCha8([32]byte{}),
		Pay: &PayConfig{
			MchID: "1900000001", MerchantSerial: "5A5A", KeyID: "PUB_KEY_ID_1", APIv3Key: shopKey, ServiceID: shopService, RiskCap: 20000,
			Verify: checkHash, Sign: keyedHash, Callbacks: f,
		},
	}
	for _, b := range bend {
		b(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.s, f.pay = s, s.Handler()
	return f
}

func (f *shop) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *shop) step(d time.Duration) {
	f.mu.Lock()
	f.now = f.now.Add(d)
	f.mu.Unlock()
}

// run moves the clock from event to event for d.
func (f *shop) run(d time.Duration) {
	end := f.clock().Add(d)
	for {
		due, ok := f.s.Due()
		if !ok || due.After(end) {
			break
		}
		if wait := due.Sub(f.clock()); wait > 0 {
			f.step(wait)
		}
		if f.s.Step(context.Background()) == 0 {
			f.t.Fatal("Step did nothing although something was due")
		}
	}
	f.step(end.Sub(f.clock()))
}

func (f *shop) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	g := got{at: f.clock(), header: r.Header}
	if err := json.Unmarshal(b, &g.body); err != nil {
		return nil, err
	}
	h := r.Header
	g.signed = checkHash(lines(h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), string(b)), h.Get("Wechatpay-Signature")) == nil
	g.resource = openResource(g.body.Resource)
	f.got = append(f.got, g)
	status := http.StatusNoContent
	if f.receive != nil {
		if status, err = f.receive(g); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(`{"code":"FAIL"}`)), Request: r}, nil
}

func openResource(r callbackResource) (v map[string]any) {
	aead, err := sealer([]byte(shopKey))
	sealed, err2 := base64.StdEncoding.DecodeString(r.Ciphertext)
	if err != nil || err2 != nil || len(r.Nonce) != aead.NonceSize() {
		return nil
	}
	plain, err := aead.Open(nil, []byte(r.Nonce), sealed, []byte(r.AssociatedData))
	if err != nil || json.Unmarshal(plain, &v) != nil {
		return nil
	}
	return v
}

// reply is an answer of the pay host.
type reply struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
	cut    bool // no answer came
}

func (r reply) code() string { s, _ := r.body["code"].(string); return s }

func (r reply) tail() string {
	id := r.header.Get("Request-Id")
	return id[strings.LastIndexByte(id, '-')+1:]
}

func (r reply) text(name string) string { s, _ := r.body[name].(string); return s }

func (f *shop) request(method, target string, body []byte) *http.Request {
	r := httptest.NewRequest(method, "https://api.mch.weixin.qq.com"+target, bytes.NewReader(body))
	r.RequestURI = target
	f.nonce++
	nonce, stamp := "n"+strconv.Itoa(f.nonce), strconv.FormatInt(f.clock().Unix(), 10)
	signature, _ := keyedHash(lines(method, target, stamp, nonce, string(body)))
	r.Header.Set("Authorization", fmt.Sprintf(`%s mchid="1900000001",nonce_str="%s",timestamp="%s",serial_no="5A5A",signature="%s"`, signatureScheme, nonce, stamp, signature))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", f.agent)
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (f *shop) send(r *http.Request) (out reply) {
	f.t.Helper()
	w := httptest.NewRecorder()
	func() {
		defer func() {
			if p := recover(); p == http.ErrAbortHandler {
				out.cut = true
			} else if p != nil {
				panic(p)
			}
		}()
		f.pay.ServeHTTP(w, r)
	}()
	if out.cut {
		return out
	}
	out = reply{status: w.Code, header: w.Header(), raw: w.Body.Bytes()}
	_ = json.Unmarshal(out.raw, &out.body)
	return out
}

// call signs and sends; body is nil, a string or something to marshal.
func (f *shop) call(method, target string, body any) reply {
	f.t.Helper()
	var raw []byte
	switch b := body.(type) {
	case nil:
	case string:
		raw = []byte(b)
	default:
		var err error
		if raw, err = json.Marshal(b); err != nil {
			f.t.Fatal(err)
		}
	}
	out := f.send(f.request(method, target, raw))
	if !out.cut && out.status < 300 && !strings.HasPrefix(target, "/v3/billdownload/") {
		h := out.header
		if checkHash(lines(h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), string(out.raw)), h.Get("Wechatpay-Signature")) != nil {
			f.t.Errorf("%s %s: the answer's signature is wrong", method, target)
		}
	}
	return out
}

func (f *shop) must(want int, r reply) reply {
	f.t.Helper()
	if r.status != want {
		f.t.Fatalf("got status %d, cut %v, %s, want %d", r.status, r.cut, r.raw, want)
	}
	return r
}

func (f *shop) openid(rider string) string { return f.s.riders[rider].openID }

type object = map[string]any

// with is a copy of o with members replaced; nil removes one.
func with(o object, changes object) object {
	out := object{}
	for k, v := range o {
		out[k] = v
	}
	for k, v := range changes {
		if out[k] = v; v == nil {
			delete(out, k)
		}
	}
	return out
}

func (f *shop) order(number, rider string, fen int) object {
	return object{
		"appid": "wx1", "mchid": "1900000001", "description": "a ride", "out_trade_no": number, "notify_url": shopNotify,
		"amount": object{"total": fen, "currency": "CNY"}, "payer": object{"openid": f.openid(rider)}, "attach": "a",
		"scene_info": object{"payer_client_ip": "192.0.2.1", "device_id": "bike7", "store_info": object{"id": "s1"}},
	}
}

func (f *shop) create(number, rider string, fen int) string {
	f.t.Helper()
	return f.must(200, f.call("POST", "/v3/pay/transactions/jsapi", f.order(number, rider, fen))).text("prepay_id")
}

func (f *shop) payRequest(prepay string) PayRequest {
	r := PayRequest{AppID: "wx1", TimeStamp: strconv.FormatInt(f.clock().Unix(), 10), NonceStr: "abc", Package: "prepay_id=" + prepay, SignType: "RSA"}
	r.PaySign, _ = keyedHash(lines(r.AppID, r.TimeStamp, r.NonceStr, r.Package))
	return r
}

// paid creates and pays an order and returns the transaction's id.
func (f *shop) paid(number, rider string, fen int) string {
	f.t.Helper()
	if err := f.s.Pay(rider, f.payRequest(f.create(number, rider, fen))); err != nil {
		f.t.Fatal(err)
	}
	return f.query(number).text("transaction_id")
}

func (f *shop) query(number string) reply {
	f.t.Helper()
	return f.call("GET", "/v3/pay/transactions/out-trade-no/"+number+"?mchid=1900000001", nil)
}

func (f *shop) refund(id, number string, fen, total int) reply {
	f.t.Helper()
	return f.call("POST", "/v3/refund/domestic/refunds", object{
		"transaction_id": id, "out_refund_no": number, "notify_url": shopNotify + "/refund",
		"amount": object{"refund": fen, "total": total, "currency": "CNY"},
	})
}

func (f *shop) fault(kind string, times int) {
	f.t.Helper()
	if err := f.s.Break(Fault{Kind: kind, Times: &times}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *shop) events() (names []string) {
	for _, g := range f.got {
		names = append(names, g.body.EventType)
	}
	return names
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if !bytes.Equal(g, w) {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}
