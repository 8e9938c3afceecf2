package wechat

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth"
)

// These tests have a pay host that answers what each test writes down, for what the
// double never says.

const (
	testApp     = "wxcanaryapp"
	testMch     = "1900000109"
	testSerial  = "3775B6A45ACD588826D15E583A95F5DD0123ABCD"
	testKeyID   = "PUB_KEY_ID_0119000001092026110100001234567890"
	testAPIv3   = "canary-api-v3-key-of-32-bytes-00"
	testService = "00004000000000000000000000012345"
	testNumber  = "0199c2aa55e17d7b8c3f5a0b1c2d3e4f"
	testPayer   = billing.Payer("oCANARYpayer")
)

var testKeys = sync.OnceValue(func() (keys struct{ merchant, wechat *rsa.PrivateKey }) {
	var err, err2 error
	keys.merchant, err = rsa.GenerateKey(rand.Reader, 2048)
	keys.wechat, err2 = rsa.GenerateKey(rand.Reader, 2048)
	if err != nil || err2 != nil {
		panic("no keys")
	}
	return keys
})

func testConfig() PayConfig {
	return PayConfig{AppID: testApp, MchID: testMch, MerchantSerial: testSerial, MerchantKey: testKeys().merchant,
		PublicKeyID: testKeyID, PublicKey: &testKeys().wechat.PublicKey, APIv3Key: testAPIv3,
		NotifyURL: "https://pay.example.cn/v1/wechat/notify", ServiceID: testService}
}

func testCashier(t testing.TB, bend func(*PayConfig)) *Cashier {
	t.Helper()
	cfg := testConfig()
	if bend != nil {
		bend(&cfg)
	}
	c, err := NewCashier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stamped signs a body as WeChat Pay does and returns the headers.
func stamped(body []byte, at time.Time) http.Header {
	stamp, nonce := strconv.FormatInt(at.Unix(), 10), "5f2c4a1b9e8d7c6b"
	sum := sha256.Sum256([]byte(stamp + "\n" + nonce + "\n" + string(body) + "\n"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, testKeys().wechat, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	h := http.Header{}
	h.Set("Wechatpay-Timestamp", stamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(signature))
	h.Set("Wechatpay-Serial", testKeyID)
	return h
}

// said is one answer of the scripted host.
type said struct {
	status  int
	body    string
	request string // Request-Id
	bend    func(http.Header)
}

// scripted answers every call alike; calls counts them, seen is the last body.
type scripted struct {
	*Cashier
	mu   sync.Mutex
	last lastCall
}

type lastCall struct {
	calls      int
	seen, path string
}

func (s *scripted) heard() lastCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func newScripted(t *testing.T, answer said) *scripted {
	t.Helper()
	s := &scripted{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.last = lastCall{s.last.calls + 1, string(body), r.URL.RequestURI()}
		s.mu.Unlock()
		header := stamped([]byte(answer.body), time.Now())
		if answer.request != "" {
			header.Set("Request-Id", answer.request)
		}
		if answer.bend != nil {
			answer.bend(header)
		}
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.status)
		_, _ = io.WriteString(w, answer.body)
	}))
	t.Cleanup(server.Close)
	s.Cashier = testCashier(t, func(c *PayConfig) {
		c.BaseURL, c.HTTP = server.URL, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	})
	return s
}

// ask is a complete ask of a step.
func ask(road billing.Road, step billing.Step) billing.Ask {
	return billing.Ask{Road: road, Step: step, Number: testNumber, Payer: testPayer, Amount: 150, Paid: 2000,
		Of: "0199c2aa55e17d7b8c3f5a0b1c2d3e50", Venue: "campus", Device: "bike-0042", Kind: "lock",
		Expires: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), Used: 12 * time.Minute, Reason: "cancelled"}
}

// sealed is a notification as WeChat sends it.
func sealed(kind string, content any, bend func(map[string]any)) []byte {
	plain, err := json.Marshal(content)
	if raw, ok := content.(string); ok {
		plain, err = []byte(raw), nil
	}
	if err != nil {
		panic(err)
	}
	block, err := aes.NewCipher([]byte(testAPIv3))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	resource := map[string]any{"original_type": "transaction", "algorithm": "AEAD_AES_256_GCM",
		"associated_data": "transaction", "nonce": "0123456789ab",
		"ciphertext": base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte("0123456789ab"), plain, []byte("transaction")))}
	if bend != nil {
		bend(resource)
	}
	body, err := json.Marshal(map[string]any{"id": "1", "create_time": "2026-11-01T10:00:00+08:00", "event_type": kind,
		"resource_type": "encrypt-resource", "summary": "x", "resource": resource})
	if err != nil {
		panic(err)
	}
	return body
}

// canaries must appear in no error.
var canaries = []string{"oCANARY", testAPIv3, "prepay_id", "-----BEGIN", "CANARYBODY", "WECHATPAY2-SHA256"}

func noCanaries(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		text := fmt.Sprintf("%v %+v %q %#v", e, e, e, e)
		for _, canary := range canaries {
			if strings.Contains(text, canary) {
				t.Errorf("error tells %q: %s", canary, text)
			}
		}
	}
}

// unsigned makes no signature.
type unsigned struct{}

func (unsigned) Algorithm() string { return "SHA256-RSA2048" }
func (unsigned) Sign(context.Context, string) (*auth.SignatureResult, error) {
	return &auth.SignatureResult{MchID: testMch, CertificateSerialNo: testSerial, Signature: "x"}, nil
}

// passing is a validator that holds every signature for good.
type passing struct{}

func (passing) Validate(_ context.Context, r *http.Response) error {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return err
}
func (passing) GetAcceptSerial(context.Context) (string, error) { return testKeyID, nil }
