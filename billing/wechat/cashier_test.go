package wechat

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
)

func TestConfigNamesTheFieldAndTheFix(t *testing.T) {
	for name, tc := range map[string]struct {
		bend func(*PayConfig)
		want string
	}{
		"app":       {func(c *PayConfig) { c.AppID = "" }, "AppID: copy"},
		"merchant":  {func(c *PayConfig) { c.MchID = "mch" }, "MchID: copy the merchant number, all digits"},
		"v3 key":    {func(c *PayConfig) { c.APIv3Key += "\n" }, "APIv3Key: it has 33 bytes and must have 32"},
		"no key":    {func(c *PayConfig) { c.MerchantKey = nil }, "MerchantKey: give the private key"},
		"serial":    {func(c *PayConfig) { c.MerchantSerial = "37:75:B6" }, "MerchantSerial: copy the serial"},
		"public":    {func(c *PayConfig) { c.PublicKey = nil }, "PublicKey: give WeChat Pay's public key"},
		"public id": {func(c *PayConfig) { c.PublicKeyID = testSerial }, "PublicKeyID: copy the public key's id"},
		"http":      {func(c *PayConfig) { c.NotifyURL = "http://a.cn/n" }, "NotifyURL: WeChat only calls https"},
		"query":     {func(c *PayConfig) { c.NotifyURL += "?a=b" }, "NotifyURL: WeChat cuts queries"},
		"service":   {func(c *PayConfig) { c.ServiceID = "123" }, "ServiceID: a Pay Score service id has 32 digits"},
		"fund":      {func(c *PayConfig) { c.RiskFundName = "押金" }, "RiskFundName: use DEPOSIT"},
		"intro":     {func(c *PayConfig) { c.ServiceIntroduction = strings.Repeat("骑", 21) }, "ServiceIntroduction: 20"},
		"words":     {func(c *PayConfig) { c.Descriptions = map[string]string{"lock": ""} }, "Descriptions: "},
		"address":   {func(c *PayConfig) { c.ClientIP = "localhost" }, "ClientIP: give"},
		"base":      {func(c *PayConfig) { c.BaseURL = "https://a.cn/prefix" }, "BaseURL: give"},
	} {
		cfg := testConfig()
		tc.bend(&cfg)
		_, err := NewCashier(cfg)
		if !errors.Is(err, ErrPayConfig) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
		noCanaries(t, err)
	}
}

func TestOnlyOneHostIsEverCalled(t *testing.T) {
	called := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer other.Close()
	client := guarded(PayConfig{BaseURL: "http://127.0.0.1:1"}, 0)
	for _, target := range []string{other.URL, "http://api.mch.weixin.qq.com/v3", "https://api.mch.weixin.qq.com.evil.cn/",
		"https://evil@api.mch.weixin.qq.com/", "https://api.weixin.qq.com/"} {
		_, err := client.Post(target, "text/plain", strings.NewReader("x"))
		if !errors.Is(err, errOtherHost) {
			t.Errorf("%s: got %v, want %v", target, err, errOtherHost)
		}
	}
	if called {
		t.Error("another host was called")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	called := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	defer other.Close()
	s := newScripted(t, said{status: 302, bend: func(h http.Header) { h.Set("Location", other.URL) }})
	if _, err := s.Do(t.Context(), ask(billing.Transaction, billing.AskQuery)); !errors.Is(err, billing.ErrUnsure) || called {
		t.Errorf("got %v, called %v", err, called)
	}
}

func TestCheckoutIsSignedAsThePhoneChecksIt(t *testing.T) {
	at := time.Unix(1793500000, 0)
	c := testCashier(t, func(c *PayConfig) { c.Now = func() time.Time { return at } })
	got, err := c.Checkout("wx261153585405162d4d02642eabe7000000")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || got["timeStamp"] != "1793500000" || got["package"] != "prepay_id=wx261153585405162d4d02642eabe7000000" || got["signType"] != "RSA" || got["nonceStr"] == "" {
		t.Errorf("got %v", got)
	}
	sum := sha256.Sum256([]byte(testApp + "\n" + got["timeStamp"] + "\n" + got["nonceStr"] + "\n" + got["package"] + "\n"))
	signature, _ := base64.StdEncoding.DecodeString(got["paySign"])
	if err := rsa.VerifyPKCS1v15(&testKeys().merchant.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"", "a\nb", strings.Repeat("a", 65)} {
		if _, err := c.Checkout(key); !errors.Is(err, ErrBadAsk) {
			t.Errorf("%q: got %v, want ErrBadAsk", key, err)
		}
	}
}

func TestWhatCannotBeMeantIsNeverSent(t *testing.T) {
	s := newScripted(t, said{status: 200, body: "{}"})
	for name, a := range map[string]billing.Ask{
		"road":     {Road: "cash", Step: billing.AskQuery, Number: testNumber},
		"step":     {Road: billing.Refund, Step: billing.AskClose, Number: testNumber},
		"number":   {Road: billing.Transaction, Step: billing.AskQuery, Number: "../../v3/refund"},
		"short":    {Road: billing.Score, Step: billing.AskQuery, Number: "a"},
		"nothing":  {Road: billing.Transaction, Step: billing.AskCreate, Number: testNumber, Payer: testPayer},
		"nobody":   {Road: billing.Transaction, Step: billing.AskCreate, Number: testNumber, Amount: 1},
		"kind":     {Road: billing.Transaction, Step: billing.AskCreate, Number: testNumber, Payer: testPayer, Amount: 1, Kind: "boat"},
		"fund":     {Road: billing.Score, Step: billing.AskCreate, Number: testNumber},
		"negative": {Road: billing.Score, Step: billing.AskComplete, Number: testNumber, Amount: -1},
		"too much": {Road: billing.Refund, Step: billing.AskCreate, Number: testNumber, Of: testNumber, Amount: 2, Paid: 1},
		"of what":  {Road: billing.Refund, Step: billing.AskCreate, Number: testNumber, Amount: 1, Paid: 1},
	} {
		_, err := s.Do(t.Context(), a)
		if !errors.Is(err, ErrBadAsk) || errors.Is(err, billing.ErrUnsure) {
			t.Errorf("%s: got %v, want ErrBadAsk", name, err)
		}
		noCanaries(t, err)
	}
	if s.heard().calls != 0 {
		t.Errorf("%d calls went out", s.heard().calls)
	}
	c := testCashier(t, func(c *PayConfig) { c.ServiceID = "" })
	if _, err := c.Do(t.Context(), ask(billing.Score, billing.AskCreate)); !errors.Is(err, ErrBadAsk) {
		t.Errorf("without Pay Score: got %v, want ErrBadAsk", err)
	}
}

// TestCreateSaysWhatAndWhere pins the body, which a repetition must send again byte
// by byte.
func TestCreateSaysWhatAndWhere(t *testing.T) {
	s := newScripted(t, said{status: 200, body: `{"prepay_id":"wx1"}`})
	got, err := s.Do(t.Context(), ask(billing.Transaction, billing.AskCreate))
	if err != nil || got.Stands != billing.StandsOpen || got.Key != "wx1" || got.Number != testNumber {
		t.Fatalf("got %+v, %v", got, err)
	}
	var sent, want any
	_ = json.Unmarshal([]byte(s.heard().seen), &sent)
	_ = json.Unmarshal([]byte(`{"appid":"wxcanaryapp","mchid":"1900000109","description":"共享单车骑行","out_trade_no":"`+testNumber+`",
		"time_expire":"2030-01-01T08:00:00+08:00","attach":"lock","notify_url":"https://pay.example.cn/v1/wechat/notify",
		"amount":{"total":150,"currency":"CNY"},"payer":{"openid":"oCANARYpayer"},
		"scene_info":{"payer_client_ip":"127.0.0.1","device_id":"bike-0042","store_info":{"id":"campus"}}}`), &want)
	equalJSON(t, sent, want)
	first := s.heard().seen
	if _, err := s.Do(t.Context(), ask(billing.Transaction, billing.AskCreate)); err != nil || s.heard().seen != first {
		t.Errorf("the second ask sent %s, the first %s (%v)", s.heard().seen, first, err)
	}
}

func TestScoreOrderIsCompletedWithWhatAcceptanceWants(t *testing.T) {
	s := newScripted(t, said{status: 200, body: `{"appid":"wxcanaryapp","service_id":"` + testService + `","out_order_no":"` + testNumber + `",
		"state":"DOING","state_description":"MCH_COMPLETE","total_amount":150,"collection":{"state":"USER_PAYING","total_amount":150}}`})
	a := ask(billing.Score, billing.AskComplete)
	a.From, a.Until = time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC), time.Date(2026, 11, 1, 2, 12, 0, 0, time.UTC)
	a.Tariff = billing.Tariff{TimeRule: &billing.TimeRule{UnlockFee: 100, BlockMS: 600_000, BlockFee: 50, RideCap: 2000}}
	got, err := s.Do(t.Context(), a)
	if err != nil || got.Stands != billing.StandsCollecting || got.Amount != 150 || got.Moved != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	var sent, want any
	_ = json.Unmarshal([]byte(s.heard().seen), &sent)
	_ = json.Unmarshal([]byte(`{"appid":"wxcanaryapp","service_id":"`+testService+`","total_amount":150,
		"post_payments":[{"name":"计费规则","description":"起步1元,每10分钟0.5元,封顶20元"},{"name":"骑行时长","description":"12分钟"},{"name":"骑行费用","amount":150}],
		"time_range":{"start_time":"20261101100000","end_time":"20261101101200"}}`), &want)
	equalJSON(t, sent, want)
	if want := "/v3/payscore/serviceorder/" + testNumber + "/complete"; s.heard().path != want {
		t.Errorf("path %s, want %s", s.heard().path, want)
	}
}

func TestScoreOrderIsCreatedForWhoeverConfirms(t *testing.T) {
	s := newScripted(t, said{status: 200, body: `{"appid":"wxcanaryapp","mchid":"1900000109","service_id":"` + testService + `","out_order_no":"` + testNumber + `",
		"state":"CREATED","risk_fund":{"name":"DEPOSIT","amount":2000},"package":"DJIOSQPYWDxsjdldeuwhdodwxasd"}`})
	a := ask(billing.Score, billing.AskCreate)
	a.Amount = 2000
	got, err := s.Do(t.Context(), a)
	if err != nil || got.Stands != billing.StandsOpen || got.Amount != 2000 || got.Key != "DJIOSQPYWDxsjdldeuwhdodwxasd" {
		t.Fatalf("got %+v, %v", got, err)
	}
	var sent, want any
	_ = json.Unmarshal([]byte(s.heard().seen), &sent)
	_ = json.Unmarshal([]byte(`{"out_order_no":"`+testNumber+`","appid":"wxcanaryapp","service_id":"`+testService+`","service_introduction":"共享单车骑行",
		"post_payments":[{"name":"计费规则","description":"免费"}],"risk_fund":{"name":"DEPOSIT","amount":2000},"time_range":{"start_time":"OnAccept"},
		"location":{"start_location":"campus"},"device":{"start_device_id":"bike-0042"},"attach":"lock",
		"notify_url":"https://pay.example.cn/v1/wechat/notify","need_user_confirm":true}`), &want)
	equalJSON(t, sent, want)
}

func equalJSON(t *testing.T, got, want any) {
	t.Helper()
	g, _ := json.Marshal(got)
	w, _ := json.Marshal(want)
	if string(g) != string(w) {
		t.Errorf("sent\n%s\nwant\n%s", g, w)
	}
}

func TestEndedContextIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newScripted(t, said{status: 200, body: `{"prepay_id":"wx1"}`})
	_, err := s.Do(ctx, ask(billing.Transaction, billing.AskCreate))
	if !errors.Is(err, billing.ErrUnsure) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrUnsure and Canceled", err)
	}
	noCanaries(t, err)
}
