package wechat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

const (
	appID  = "wxcanaryapp"
	secret = "canary-secret"
)

type fixture struct {
	t     *testing.T
	fake  *httptest.Server
	login *wechat.Login
}

func newFixture(t *testing.T, bend func(*wechat.Config)) *fixture {
	t.Helper()
	s, err := fakewechat.New(fakewechat.Config{
		AppID: appID, Secret: secret, Riders: []string{"ann"}, Unions: true,
		Now: time.Now, Rand: rand.NewChaCha8([32]byte{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, fake: httptest.NewServer(s.Handler())}
	t.Cleanup(f.fake.Close)
	// net/http repeats a GET whose kept connection was cut; here each call has a
	// connection of its own, so that a lost answer stays lost.
	transport := &http.Transport{DisableKeepAlives: true}
	cfg := wechat.Config{AppID: appID, Secret: secret, BaseURL: f.fake.URL, HTTP: &http.Client{Transport: transport}}
	if bend != nil {
		bend(&cfg)
	}
	if f.login, err = wechat.New(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) post(path, body string) []byte {
	f.t.Helper()
	resp, err := http.Post(f.fake.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out bytes.Buffer
	if _, err := out.ReadFrom(resp.Body); err != nil || resp.StatusCode >= 300 {
		f.t.Fatalf("POST %s: %s %v", path, resp.Status, err)
	}
	return out.Bytes()
}

func (f *fixture) code() string {
	f.t.Helper()
	var got struct {
		LoginCode string `json:"login_code"`
	}
	if err := json.Unmarshal(f.post("/riders/ann/login-code", ""), &got); err != nil {
		f.t.Fatal(err)
	}
	return got.LoginCode
}

// refused wants the error and looks for canaries in it.
func (f *fixture) refused(ctx context.Context, code string, want error) error {
	f.t.Helper()
	openID, unionID, err := f.login.Exchange(ctx, code)
	if !errors.Is(err, want) || openID != "" || unionID != "" {
		f.t.Errorf("got %s, %v, want %v", openID, err, want)
	}
	noCanary(f.t, err, code)
	return err
}

func noCanary(t *testing.T, err error, code string) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		text := fmt.Sprintf("%v %+v %q %#v", e, e, e, e)
		for _, canary := range []string{secret, code, "jscode2session?"} {
			if len(canary) >= 8 && strings.Contains(text, canary) {
				t.Errorf("error tells %q: %s", canary, text)
			}
		}
	}
}

func TestLoginCodeNamesAPerson(t *testing.T) {
	f := newFixture(t, nil)
	first, union, err := f.login.Exchange(t.Context(), f.code())
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := f.login.Exchange(t.Context(), f.code())
	if err != nil || string(first) != string(again) || len(string(first)) != 28 || len(string(union)) != 28 {
		t.Errorf("got %q and %q, %v, want one openid of 28 characters", string(first), string(again), err)
	}
}

func TestUsedAndUnknownCodesAreBad(t *testing.T) {
	f := newFixture(t, nil)
	code := f.code()
	if _, _, err := f.login.Exchange(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	err := f.refused(t.Context(), code, wechat.ErrBadCode)
	if !strings.Contains(err.Error(), "errcode 40163, request ") {
		t.Errorf("error %q does not name errcode and request", err)
	}
	f.refused(t.Context(), "made-up-code", wechat.ErrBadCode)
	f.refused(t.Context(), "", wechat.ErrBadCode)
	f.refused(t.Context(), strings.Repeat("a", 257), wechat.ErrBadCode)
	f.refused(t.Context(), "a&secret=other code", wechat.ErrBadCode)
}

func TestBusyWeChatMayBeAskedAgain(t *testing.T) {
	f := newFixture(t, nil)
	code := f.code()
	f.post("/faults", `{"kind":"busy"}`)
	f.refused(t.Context(), code, wechat.ErrBusy)
	f.post("/faults", `{"kind":"outage"}`)
	f.refused(t.Context(), code, wechat.ErrBusy)
	if _, _, err := f.login.Exchange(t.Context(), code); err != nil {
		t.Errorf("third try: %v", err)
	}
}

func TestTooManyLoginsAreBusy(t *testing.T) {
	f := newFixture(t, nil)
	code := f.code()
	for range 100 {
		_, _, _ = f.login.Exchange(t.Context(), code)
	}
	f.refused(t.Context(), code, wechat.ErrBusy)
}

func TestLostAnswerIsBusyAndThenTheCodeIsBad(t *testing.T) {
	f := newFixture(t, nil)
	code := f.code()
	f.post("/faults", `{"kind":"lost"}`)
	f.refused(t.Context(), code, wechat.ErrBusy)
	f.refused(t.Context(), code, wechat.ErrBadCode)
}

func TestHeldPersonIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	f.post("/faults", `{"kind":"high_risk","rider":"ann"}`)
	f.refused(t.Context(), f.code(), wechat.ErrRefused)
}

func TestMisconfigurationNamesWhatToFix(t *testing.T) {
	f := newFixture(t, func(c *wechat.Config) { c.AppID = "wxother" })
	if err := f.refused(t.Context(), f.code(), wechat.ErrMisconfigured); !strings.Contains(err.Error(), "app id") {
		t.Errorf("got %q, want it to name the app id", err)
	}
	f = newFixture(t, func(c *wechat.Config) { c.Secret = "canary-secret-old" })
	if err := f.refused(t.Context(), f.code(), wechat.ErrMisconfigured); !strings.Contains(err.Error(), "app secret") {
		t.Errorf("got %q, want it to name the app secret", err)
	}
	for name, cfg := range map[string]wechat.Config{
		"no app id": {Secret: secret}, "no secret": {AppID: appID},
		"base without scheme": {AppID: appID, Secret: secret, BaseURL: "api.weixin.qq.com"},
		"base with query":     {AppID: appID, Secret: secret, BaseURL: "https://a.cn/?x=1"},
		"base not a URL":      {AppID: appID, Secret: secret, BaseURL: "https://a b%"},
	} {
		if _, err := wechat.New(cfg); !errors.Is(err, wechat.ErrMisconfigured) {
			t.Errorf("%s: got %v, want ErrMisconfigured", name, err)
		}
	}
}

func TestDeadServerIsBusyAndTellsNoSecret(t *testing.T) {
	f := newFixture(t, nil)
	f.fake.Close()
	f.refused(t.Context(), "code-of-canary", wechat.ErrBusy)
}

func TestEndOfTheContextIsSeen(t *testing.T) {
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.refused(ctx, "code-of-canary", context.Canceled)
	f.refused(ctx, "code-of-canary", wechat.ErrBusy)
}

func TestSlowServerIsBusy(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(release) })
	f := newFixture(t, func(c *wechat.Config) {
		c.BaseURL = slow.URL
		c.HTTP = &http.Client{Timeout: 20 * time.Millisecond}
	})
	f.refused(t.Context(), "code-of-canary", wechat.ErrBusy)
}

// oddServer answers what WeChat should not.
func oddServer(t *testing.T, status int, header, body string) *fixture {
	t.Helper()
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Errorf("a redirect was followed, Referer %q", r.Referer())
		}
		w.Header().Set("Location", header)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(odd.Close)
	return newFixture(t, func(c *wechat.Config) { c.BaseURL = odd.URL + "/" })
}

func TestOddAnswersAreNeverALogin(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"redirect", 302, "", wechat.ErrBusy},
		{"server error with a session", 500, `{"openid":"oCANARY-openid"}`, wechat.ErrBusy},
		{"no JSON", 200, "<html>", wechat.ErrBusy},
		{"empty", 200, "", wechat.ErrBusy},
		{"no openid", 200, `{"session_key":"canary-key"}`, wechat.ErrUnexpected},
		{"openid too long", 200, `{"openid":"` + strings.Repeat("o", 129) + `"}`, wechat.ErrUnexpected},
		{"unknown errcode", 200, `{"errcode":50000,"errmsg":"` + secret + `"}`, wechat.ErrUnexpected},
		{"errcode beside an openid", 200, `{"errcode":-1,"openid":"oCANARY-openid"}`, wechat.ErrBusy},
		{"request id in the other spelling", 200, `{"errcode":40029,"errmsg":"invalid code hints: [ req_id: Ab_1 ]"}`, wechat.ErrBadCode},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := oddServer(t, tc.status, "/elsewhere", tc.body)
			err := f.refused(t.Context(), "code-of-canary", tc.want)
			if strings.Contains(fmt.Sprintf("%#v", err), "CANARY") {
				t.Errorf("error tells the openid: %v", err)
			}
		})
	}
}

func TestExplicitZeroErrcodeIsSuccess(t *testing.T) {
	f := oddServer(t, 200, "", `{"errcode":0,"errmsg":"ok","openid":"oabc"}`)
	openID, unionID, err := f.login.Exchange(t.Context(), "code-of-canary")
	if err != nil || string(openID) != "oabc" || unionID != "" {
		t.Errorf("got %q, %q, %v", string(openID), string(unionID), err)
	}
}

func TestIdentitiesMaskThemselves(t *testing.T) {
	type holder struct {
		ID    wechat.OpenID
		Union wechat.UnionID
	}
	h := holder{"oCANARY", "uCANARY"}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb, h, h.ID, h.Union)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "id", h.ID, "union", h.Union)
	}
	if s := out.String(); strings.Contains(s, "CANARY") || strings.Contains(s, fmt.Sprintf("%x", "CANARY")) || !strings.Contains(s, "***") {
		t.Errorf("got %s", s)
	}
}
