package fakewechat

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestGateRefuses(t *testing.T) {
	f := newShop(t)
	f.create("ride0001", "ann", 1)
	target := "/v3/pay/transactions/out-trade-no/ride0001?mchid=1900000001"
	replace := func(old, by string) func(*http.Request) {
		return func(r *http.Request) {
			before := r.Header.Get("Authorization")
			after := strings.Replace(before, old, by, 1)
			if before == after {
				t.Fatalf("%q is not in %q", old, before)
			}
			r.Header.Set("Authorization", after)
		}
	}
	stamp := f.clock().Unix()
	for name, tc := range map[string]struct {
		bend   func(*http.Request)
		status int
		code   string
		tail   string
	}{
		"in order":        {func(*http.Request) {}, 200, "", "0"},
		"no accept":       {func(r *http.Request) { r.Header.Del("Accept") }, 400, "INVALID_REQUEST", "0"},
		"accepts text":    {func(r *http.Request) { r.Header.Set("Accept", "text/html") }, 400, "INVALID_REQUEST", "0"},
		"no agent":        {func(r *http.Request) { r.Header.Del("User-Agent") }, 400, "INVALID_REQUEST", "0"},
		"no header":       {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "SIGN_ERROR", "270924332"},
		"scheme":          {replace("SHA256", "SM2"), 401, "SIGN_ERROR", "270924332"},
		"twice":           {replace("nonce_str", `mchid="1900000001",nonce_str`), 401, "SIGN_ERROR", "270924332"},
		"stranger":        {replace("nonce_str", `x="1",nonce_str`), 401, "SIGN_ERROR", "270924332"},
		"no quotes":       {replace(`"5A5A"`, `5A5A`), 401, "SIGN_ERROR", "270924332"},
		"no nonce":        {replace(`nonce_str="n`, `nonce_st="n`), 401, "SIGN_ERROR", "270924332"},
		"empty nonce":     {func(r *http.Request) { replace(`nonce_str="n`+strconv.Itoa(f.nonce)+`"`, `nonce_str=""`)(r) }, 401, "SIGN_ERROR", "270924332"},
		"merchant":        {replace("1900000001", "1900000002"), 401, "SIGN_ERROR", "268443699"},
		"serial":          {replace("5A5A", "5A5B"), 401, "SIGN_ERROR", "268443699"},
		"stamp":           {replace(`timestamp="`+strconv.FormatInt(stamp, 10), `timestamp="`+strconv.FormatInt(stamp+1, 10)), 401, "SIGN_ERROR", "268443699"},
		"stamp of words":  {replace(`timestamp="`+strconv.FormatInt(stamp, 10), `timestamp="now`), 401, "SIGN_ERROR", "268443699"},
		"signature":       {replace(`signature="`, `signature="A`), 401, "SIGN_ERROR", "268443699"},
		"other uri":       {func(r *http.Request) { r.RequestURI += "&a=1" }, 401, "SIGN_ERROR", "268443699"},
		"other method":    {func(r *http.Request) { r.Method = "POST" }, 405, "", ""},
		"wechatpay key":   {func(r *http.Request) { r.Header.Set("Wechatpay-Serial", "PUB_KEY_ID_1") }, 200, "", "0"},
		"other key":       {func(r *http.Request) { r.Header.Set("Wechatpay-Serial", "PUB_KEY_ID_2") }, 400, "PARAM_ERROR", "268435464"},
		"absolute target": {func(r *http.Request) { r.RequestURI = "https://api.mch.weixin.qq.com" + r.RequestURI }, 200, "", "0"},
		"within process":  {func(r *http.Request) { r.RequestURI, r.Body = "", nil }, 200, "", "0"},
		"other order": {func(r *http.Request) {
			rest := strings.TrimPrefix(r.Header.Get("Authorization"), signatureScheme+" ")
			parts := strings.Split(rest, ",")
			r.Header.Set("Authorization", signatureScheme+" "+parts[4]+", "+parts[2]+","+parts[0]+","+parts[3]+","+parts[1])
		}, 200, "", "0"},
	} {
		r := f.request("GET", target, nil)
		tc.bend(r)
		got := f.send(r)
		if got.status != tc.status || got.code() != tc.code || (tc.tail != "" && got.tail() != tc.tail) {
			t.Errorf("%s: got %d %s %v, want %d %s -%s", name, got.status, got.raw, got.header, tc.status, tc.code, tc.tail)
		}
		if got.status != 200 && got.header.Get("Wechatpay-Signature") != "" {
			t.Errorf("%s: a refusal is signed", name)
		}
	}
	for minutes, want := range map[time.Duration]int{-5: 200, 5: 200, -6: 401, 6: 401} {
		r := f.request("GET", target, nil)
		f.step(minutes * time.Minute)
		if got := f.send(r); got.status != want {
			t.Errorf("%d minutes later: got %d, want %d", minutes, got.status, want)
		}
		f.step(-minutes * time.Minute)
	}
	body := []byte(`{"mchid":"1900000001"}`)
	r := f.request("POST", "/v3/pay/transactions/out-trade-no/ride0001/close", body)
	r.Body = io.NopCloser(strings.NewReader(`{"mchid": "1900000001"}`))
	if got := f.send(r); got.status != 401 {
		t.Errorf("other body: got %d", got.status)
	}
	r = f.request("POST", "/v3/pay/transactions/out-trade-no/ride0001/close", body)
	r.Header.Del("Content-Type")
	if got := f.send(r); got.status != 400 || got.code() != "INVALID_REQUEST" {
		t.Errorf("no content type: got %d", got.status)
	}
}

func TestStampClockIsItsOwn(t *testing.T) {
	real := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f := newShop(t, func(c *Config) { c.Stamp = func() time.Time { return real } })
	if r := f.query("ride0001"); r.status != 401 {
		t.Errorf("stamped with the virtual clock: got %d, want 401", r.status)
	}
	f.now = real
	r := f.query("ride0001")
	if r.status != 404 {
		t.Errorf("stamped with the real clock: got %d, want 404", r.status)
	}
}

func TestRSASignsBothWays(t *testing.T) {
	merchant, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	wechat, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	f := newShop(t, func(c *Config) {
		c.Pay.Verify, c.Pay.Sign, c.Pay.MerchantKey, c.Pay.Key = nil, nil, &merchant.PublicKey, wechat
	})
	server := httptest.NewServer(f.s.Handler())
	defer server.Close()
	sign := func(message []byte) string {
		sum := sha256.Sum256(message)
		raw, err := rsa.SignPKCS1v15(nil, merchant, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	target, stamp := "/v3/pay/transactions/out-trade-no/a%7Cb*cdef/close?x=%20", strconv.FormatInt(f.clock().Unix(), 10)
	body := `{"mchid":"1900000001"}`
	for _, alter := range []bool{false, true} {
		signature := sign(lines("POST", target, stamp, "n", body))
		if alter {
			signature = sign(lines("POST", target, stamp, "n", body+" "))
		}
		r, err := http.NewRequest("POST", server.URL+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", fmt.Sprintf(`%s mchid="1900000001",nonce_str="n",timestamp="%s",serial_no="5A5A",signature="%s"`, signatureScheme, stamp, signature))
		r.Header.Set("Accept", "*/*")
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if alter {
			if resp.StatusCode != 401 {
				t.Errorf("altered: got %s, want 401", resp.Status)
			}
			continue
		}
		if resp.StatusCode != 204 {
			b, _ := io.ReadAll(resp.Body)
			t.Fatalf("got %s %s, want 204", resp.Status, b)
		}
		h := resp.Header
		check := verifyWith(&wechat.PublicKey)
		if err := check(lines(h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), ""), h.Get("Wechatpay-Signature")); err != nil {
			t.Errorf("answer: %v", err)
		}
		if h.Get("Wechatpay-Serial") != "PUB_KEY_ID_1" || check(lines("1", "n", ""), "not base64!") == nil {
			t.Errorf("serial %q, or a signature that is no base64 passes", h.Get("Wechatpay-Serial"))
		}
	}
	pay := f.payRequest("wx1")
	pay.PaySign = sign(lines(pay.AppID, pay.TimeStamp, pay.NonceStr, pay.Package))
	if f.s.pay.Verify(lines(pay.AppID, pay.TimeStamp, pay.NonceStr, pay.Package), pay.PaySign) != nil {
		t.Error("paySign is refused")
	}
}

func TestIncompleteMerchantIsRefused(t *testing.T) {
	for name, bend := range map[string]func(*PayConfig){
		"number":       func(c *PayConfig) { c.MchID = "12" },
		"serial":       func(c *PayConfig) { c.MerchantSerial = "" },
		"key id":       func(c *PayConfig) { c.KeyID = "5A5A" },
		"APIv3":        func(c *PayConfig) { c.APIv3Key = "short" },
		"merchant key": func(c *PayConfig) { c.Verify = nil },
		"key":          func(c *PayConfig) { c.Sign = nil },
		"service":      func(c *PayConfig) { c.ServiceID = "1" },
		"cap":          func(c *PayConfig) { c.RiskCap = -1 },
	} {
		pay := PayConfig{MchID: "1900000001", MerchantSerial: "5A", KeyID: "PUB_KEY_ID_1", APIv3Key: shopKey, Verify: checkHash, Sign: keyedHash}
		bend(&pay)
		if _, err := New(Config{AppID: "a", Secret: "s", Now: time.Now, Rand: rand.Reader, Pay: &pay}); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	for name, bend := range map[string]func(*Config){
		"address": func(c *Config) { c.AllowedIPs = []string{"nowhere"} },
		"rule":    func(c *Config) { c.Rules = []Rule{{Prefix: "ftp://x/"}} },
		"chaos":   func(c *Config) { c.Chaos.Rates = map[string]float64{"flood": 1} },
		"rate":    func(c *Config) { c.Chaos.Rates = map[string]float64{"lost": 2} },
		"group":   func(c *Config) { c.Chaos.Rates = map[string]float64{"login/forged": 1} },
	} {
		cfg := Config{AppID: "a", Secret: "s", Now: time.Now, Rand: rand.Reader}
		bend(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestWithoutAMerchantThereIsNoPayHost(t *testing.T) {
	f := newShop(t, func(c *Config) { c.Pay = nil })
	if r := f.query("ride0001"); r.status != 404 || len(r.raw) != 0 {
		t.Errorf("got %d %q, want an empty 404", r.status, r.raw)
	}
	same(t, "money", f.s.Money(), Money{Transactions: []MoneyTransaction{}, Refunds: []MoneyRefund{}, ScoreOrders: []MoneyScoreOrder{}})
	for name, err := range map[string]error{
		"pay": f.s.Pay("ann", PayRequest{}), "confirm": f.s.Confirm("ann", ""), "by hand": f.s.PayScoreOrder("ann", ""),
	} {
		if err != ErrNoMerchant {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if len(f.s.Callbacks()) != 0 || f.s.ScoreFor("ann", ScoreConduct{}) != nil {
		t.Error("log or conduct fail without a merchant")
	}
}

func TestMisspeltMembers(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: "", `{"a":1}`: "", `{"A":1}`: "A", `{"a":{"b" : [ {"cD" :1}]}}`: "cD", `{"a":"B"}`: "", `["A","B"]`: "",
		`{"a\"B":1}`: `a\"B`, `{"a":"\\","C":""}`: "C", `{"a":"\"B\":"}`: "",
		`{}]"abc`: "", `{}]"a\`: "",
	} {
		if got := misspelt([]byte(body)); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	f.Add(`WECHATPAY2-SHA256-RSA2048 mchid="1",nonce_str="n",timestamp="1",serial_no="s",signature="x"`)
	f.Add(`WECHATPAY2-SHA256-RSA2048 mchid=",`)
	f.Fuzz(func(t *testing.T, header string) {
		a, err := parseAuthorization(header)
		if err == nil && (a.mchID == "" || a.nonce == "" || a.timestamp == "" || a.serial == "" || a.signature == "") {
			t.Errorf("%q: got %+v without an error", header, a)
		}
		misspelt([]byte(header))
	})
}
