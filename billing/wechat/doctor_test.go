package wechat_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

// clinic is an installation in order, for a doctor to look at.
type clinic struct {
	shop   *shop
	cfg    wechat.ExamineConfig
	notify func(http.ResponseWriter) // answers the probe
	file   string
}

func forgedProblem(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, `{"title":"...","status":401,"code":"notice_forged"}`)
}

func newClinic(t *testing.T, bend func(*fakewechat.Config)) *clinic {
	t.Helper()
	c := &clinic{notify: forgedProblem, file: "canary-proof\n"}
	c.shop = newShop(t, func(_ *wechat.PayConfig, f *fakewechat.Config) {
		f.Rules = []fakewechat.Rule{{Prefix: "https://q.example.cn/d/", Page: "pages/ride/ride", Published: true}}
		f.Now = time.Now
		if bend != nil {
			bend(f)
		}
	})
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/v1/wechat/notify":
			c.notify(w)
		case r.Host == "q.example.cn" && r.URL.Path == "/d/proof.txt":
			_, _ = io.WriteString(w, c.file)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(site.Close)
	private, err := x509.MarshalPKCS8PrivateKey(keys().merchant)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&keys().wechat.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	c.cfg = wechat.ExamineConfig{
		Domain: "q.example.cn", AppID: appID, Secret: secret, Page: "pages/ride/ride", VerifyFile: "proof.txt", VerifyContent: "canary-proof",
		Pay: true, MchID: mchID, MerchantSerial: serial,
		MerchantKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		PublicKey:   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		PublicKeyID: keyID, APIv3Key: apiV3Key, ServiceID: serviceID, NotifyURL: notifyURL,
		APIBaseURL: c.shop.server.URL, PayBaseURL: c.shop.server.URL, SiteBaseURL: site.URL,
		HTTP: &http.Client{Transport: c.shop.client.Transport},
	}
	return c
}

// examine returns the findings by what they are about, each "ok" or the detail and
// the fix.
func (c *clinic) examine(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, f := range wechat.Examine(t.Context(), c.cfg) {
		text := f.Detail + " / " + f.Fix
		if f.OK && f.Fix == "" {
			text = "ok"
		} else if f.OK {
			text = "warning: " + text
		} else if f.Fix == "" || f.Detail == "" {
			t.Errorf("%s: a finding without a detail or a fix: %+v", f.What, f)
		}
		if found[f.What] != "" && found[f.What] != "ok" {
			text = found[f.What] + "; " + text
		}
		found[f.What] = text
		for _, canary := range []string{secret, apiV3Key, "-----BEGIN", "canary-proof"} {
			if strings.Contains(f.Detail+f.Fix, canary) {
				t.Errorf("%s tells %q", f.What, canary)
			}
		}
		if _, err := json.Marshal(f); err != nil {
			t.Error(err)
		}
	}
	return found
}

var allFindings = []string{"app id and secret", "code rule", "verification file", "clock", "APIv3 key", "notify URL", "merchant number",
	"merchant certificate serial", "merchant private key", "WeChat Pay public key", "merchant account", "signature of WeChat's answers", "Pay Score service"}

func TestHealthyInstallationHasNothingToFix(t *testing.T) {
	found := newClinic(t, nil).examine(t)
	for _, what := range allFindings {
		if found[what] != "ok" {
			t.Errorf("%s: got %q, want ok", what, found[what])
		}
	}
	if len(found) != len(allFindings) {
		t.Errorf("got %v", found)
	}
	c := newClinic(t, nil)
	c.cfg.Pay, c.cfg.VerifyFile = false, ""
	if found := c.examine(t); len(found) != 3 {
		t.Errorf("without payments: got %v", found)
	}
}

// TestEachFaultIsNamedAndHidesNoOther breaks one thing at a time; all else must stay
// as it was, but for what is named in also.
func TestEachFaultIsNamedAndHidesNoOther(t *testing.T) {
	for name, tc := range map[string]struct {
		double func(*fakewechat.Config)
		bend   func(*clinic)
		what   string
		want   string
		also   []string
	}{
		"secret":  {bend: func(c *clinic) { c.cfg.Secret = "other" }, what: "app id and secret", want: "after a reset the old one is dead", also: []string{"code rule"}},
		"app":     {bend: func(c *clinic) { c.cfg.AppID = "wxother" }, what: "app id and secret", want: "copy the app id", also: []string{"code rule", "Pay Score service"}},
		"nothing": {bend: func(c *clinic) { c.cfg.Secret = "" }, what: "app id and secret", want: "is missing", also: []string{"code rule"}},
		"address": {double: func(f *fakewechat.Config) { f.AllowedIPs = []string{"192.0.2.1"} }, what: "app id and secret",
			want: "add 127.0.0.1 to the list of allowed addresses", also: []string{"code rule"}},
		"no rule":    {double: func(f *fakewechat.Config) { f.Rules = nil }, what: "code rule", want: "there is no rule https://q.example.cn/d/"},
		"draft":      {double: func(f *fakewechat.Config) { f.Rules[0].Published = false }, what: "code rule", want: "is a draft"},
		"slash":      {double: func(f *fakewechat.Config) { f.Rules[0].Prefix = "https://q.example.cn/d" }, what: "code rule", want: `the published "https://q.example.cn/d" is another rule`},
		"http":       {double: func(f *fakewechat.Config) { f.Rules[0].Prefix = "http://q.example.cn/d/" }, what: "code rule", want: `the published "http://q.example.cn/d/"`},
		"other page": {bend: func(c *clinic) { c.cfg.Page = "pages/index" }, what: "code rule", want: `opens the page "pages/ride/ride"`},
		"shadow": {double: func(f *fakewechat.Config) {
			f.Rules = append(f.Rules, fakewechat.Rule{Prefix: "https://q.example.cn/d/test/", Page: "pages/ride/ride"})
		}, what: "code rule", want: `a draft rule "https://q.example.cn/d/test/" takes its codes away`},
		"domain":       {bend: func(c *clinic) { c.cfg.Domain = "https://q.example.cn" }, what: "code rule", want: "no host name", also: []string{"verification file"}},
		"no file":      {bend: func(c *clinic) { c.cfg.VerifyFile = "none.txt" }, what: "verification file", want: "answers 404"},
		"file content": {bend: func(c *clinic) { c.file = "<html>" }, what: "verification file", want: "has other content"},
		"slow clock":   {bend: func(c *clinic) { c.cfg.Now = func() time.Time { return time.Now().Add(-150 * time.Second) } }, what: "clock", want: "warning: 2m"},
		"wrong clock": {bend: func(c *clinic) { c.cfg.Now = func() time.Time { return time.Now().Add(6 * time.Minute) } }, what: "clock", want: "6m",
			also: []string{"signature of WeChat's answers"}},
		"v3 key":       {bend: func(c *clinic) { c.cfg.APIv3Key = "short" }, what: "APIv3 key", want: "it has 5 bytes"},
		"http notify":  {bend: func(c *clinic) { c.cfg.NotifyURL = "http://pay.example.cn/v1/wechat/notify" }, what: "notify URL", want: "only calls https"},
		"query notify": {bend: func(c *clinic) { c.cfg.NotifyURL += "?a=1" }, what: "notify URL", want: "cuts queries"},
		"port notify":  {bend: func(c *clinic) { c.cfg.NotifyURL = "https://pay.example.cn:8443/v1/wechat/notify" }, what: "notify URL", want: "port 8443"},
		"elsewhere":    {bend: func(c *clinic) { c.cfg.NotifyURL = "https://pay.example.cn/other" }, what: "notify URL", want: "it answers 404, and not as unlatch"},
		"swallowed":    {bend: func(c *clinic) { c.notify = func(w http.ResponseWriter) { w.WriteHeader(200) } }, what: "notify URL", want: "something else answers there"},
		"redirected": {bend: func(c *clinic) {
			c.notify = func(w http.ResponseWriter) { w.Header().Set("Location", "/"); w.WriteHeader(301) }
		}, what: "notify URL", want: "does not follow redirects"},
		"gateway": {bend: func(c *clinic) {
			c.notify = func(w http.ResponseWriter) { w.WriteHeader(401); _, _ = io.WriteString(w, `{"code":"session"}`) }
		}, what: "notify URL", want: "it answers 401, and not as unlatch"},
		"merchant": {bend: func(c *clinic) { c.cfg.MchID = "shop" }, what: "merchant number", want: "other characters than digits",
			also: []string{"merchant account", "Pay Score service", "signature of WeChat's answers"}},
		"other merchant": {bend: func(c *clinic) { c.cfg.MchID = "1900000110" }, what: "merchant number", want: "does not know the merchant number",
			also: []string{"merchant account", "Pay Score service", "signature of WeChat's answers"}},
		"serial": {bend: func(c *clinic) { c.cfg.MerchantSerial = "0123456789ABCDEF" }, what: "merchant certificate serial", want: "does not know the serial number",
			also: []string{"merchant account", "Pay Score service", "signature of WeChat's answers"}},
		"no key": {bend: func(c *clinic) { c.cfg.MerchantKey = c.cfg.PublicKey }, what: "merchant private key", want: "it is a public key",
			also: []string{"merchant account", "Pay Score service", "signature of WeChat's answers"}},
		"other key": {double: func(f *fakewechat.Config) { f.Pay.MerchantKey = &keys().other.PublicKey }, what: "merchant private key", want: "refuses our signature",
			also: []string{"merchant account", "Pay Score service", "signature of WeChat's answers"}},
		"public id": {bend: func(c *clinic) { c.cfg.PublicKeyID = serial }, what: "WeChat Pay public key", want: "does not begin with PUB_KEY_ID_",
			also: []string{"merchant account", "Pay Score service", "signature of WeChat's answers"}},
		"other public key": {double: func(f *fakewechat.Config) { f.Pay.Key = keys().other }, what: "signature of WeChat's answers", want: "not of these bytes"},
		"service":          {bend: func(c *clinic) { c.cfg.ServiceID = "12" }, what: "Pay Score service", want: "32 digits"},
		"other service":    {bend: func(c *clinic) { c.cfg.ServiceID = strings.Repeat("1", 32) }, what: "Pay Score service", want: "check that Pay Score was approved"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClinic(t, tc.double)
			if tc.bend != nil {
				tc.bend(c)
			}
			found := c.examine(t)
			if !strings.Contains(found[tc.what], tc.want) {
				t.Errorf("%s: got %q, want %q", tc.what, found[tc.what], tc.want)
			}
			also := fmt.Sprint(tc.also)
			for _, what := range allFindings {
				if what != tc.what && found[what] != "ok" && !strings.Contains(also, what) {
					t.Errorf("%s: got %q, want ok", what, found[what])
				}
			}
		})
	}
}

func TestNothingReachableIsStillExamined(t *testing.T) {
	c := newClinic(t, nil)
	c.cfg.HTTP = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })}
	found := c.examine(t)
	for _, what := range []string{"app id and secret", "code rule", "verification file", "clock", "notify URL", "merchant account", "Pay Score service"} {
		if found[what] == "ok" || found[what] == "" {
			t.Errorf("%s: got %q, want a finding", what, found[what])
		}
	}
	for _, what := range []string{"APIv3 key", "merchant number", "merchant private key"} {
		if found[what] != "ok" {
			t.Errorf("%s: got %q, want ok", what, found[what])
		}
	}
	empty := wechat.Examine(t.Context(), wechat.ExamineConfig{Pay: true, APIBaseURL: c.cfg.APIBaseURL, PayBaseURL: c.cfg.PayBaseURL, HTTP: c.cfg.HTTP})
	if len(empty) < 9 {
		t.Errorf("nothing set: got %+v", empty)
	}
}
