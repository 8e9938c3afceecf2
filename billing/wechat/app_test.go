package wechat_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

// office is a mini-program at the double.
type office struct {
	t     *testing.T
	app   *wechat.App
	fake  *fakewechat.Server
	shop  *shop
	clock *atomic.Int64
	calls *sync.Map // count by path
}

func newOffice(t *testing.T, bend func(*wechat.Config, *fakewechat.Config)) *office {
	t.Helper()
	o := &office{t: t, calls: &sync.Map{}}
	cfg := wechat.Config{AppID: appID, Secret: secret}
	o.shop = newShop(t, func(_ *wechat.PayConfig, f *fakewechat.Config) {
		f.Templates = []fakewechat.Template{{ID: "ended", Keys: []string{"thing1", "amount2", "time3"}}}
		f.Pages = []string{"pages/ride/ride"}
		if bend != nil {
			bend(&cfg, f)
		}
	})
	o.fake, o.clock = o.shop.fake, &o.shop.clock
	cfg.BaseURL, cfg.Now = o.shop.server.URL, o.shop.now
	cfg.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		n, _ := o.calls.LoadOrStore(r.URL.Path, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		return o.shop.client.Transport.RoundTrip(r)
	})}
	var err error
	if o.app, err = wechat.NewApp(cfg); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) asked(path string) int64 {
	n, ok := o.calls.Load(path)
	if !ok {
		return 0
	}
	return n.(*atomic.Int64).Load()
}

func (o *office) phone(code string, payer billing.Payer) (wechat.PhoneNumber, error) {
	return o.app.Phone(o.t.Context(), code, payer)
}

func (o *office) phoneCode(rider string) string {
	o.t.Helper()
	code, err := o.fake.PhoneCode(rider, "13800138000")
	if err != nil {
		o.t.Fatal(err)
	}
	return code
}

func TestPhoneCodesAreExchangedOnce(t *testing.T) {
	o := newOffice(t, nil)
	code := o.phoneCode("ann")
	got, err := o.phone(code, o.shop.payer)
	if err != nil || string(got) != "+8613800138000" {
		t.Fatalf("got %q, %v", string(got), err)
	}
	for name, ask := range map[string]struct {
		code  string
		payer billing.Payer
	}{"used": {code, ""}, "unknown": {"canary-code", ""}, "of somebody else": {o.phoneCode("bo"), o.shop.payer}, "empty": {}, "long": {strings.Repeat("x", 257), ""}} {
		_, err := o.phone(ask.code, ask.payer)
		if !errors.Is(err, wechat.ErrBadCode) {
			t.Errorf("%s: got %v, want ErrBadCode", name, err)
		}
		o.shop.silent(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "phone", got, "in", struct{ P wechat.PhoneNumber }{got})
	fmt.Fprintf(&out, "%v %+v %#v %s %q %x", got, got, got, got, got, got)
	if strings.Contains(out.String(), "138") || strings.Contains(out.String(), fmt.Sprintf("%x", "138")) {
		t.Errorf("a number is shown: %s", out.String())
	}
}

func TestTokenIsKeptAndRenewedInTime(t *testing.T) {
	o := newOffice(t, nil)
	const path = "/cgi-bin/stable_token"
	use := func() {
		t.Helper()
		if _, err := o.phone(o.phoneCode("ann"), ""); err != nil {
			t.Fatal(err)
		}
	}
	var wait sync.WaitGroup
	for range 20 {
		code := o.phoneCode("ann")
		wait.Go(func() {
			if _, err := o.phone(code, ""); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := o.asked(path); n != 1 {
		t.Errorf("asked %d times for a token, want once", n)
	}
	o.clock.Add(int64(115 * time.Minute))
	use()
	if n := o.asked(path); n != 1 {
		t.Errorf("five minutes before its end: asked %d times, want once", n)
	}
	o.clock.Add(int64(90 * time.Second))
	use()
	if n := o.asked(path); n != 2 {
		t.Errorf("near its end: asked %d times, want twice", n)
	}
}

// TestDeadTokenIsReplacedOnce: another system forced a new token, so ours is dead.
func TestDeadTokenIsReplacedOnce(t *testing.T) {
	o := newOffice(t, nil)
	if _, err := o.phone(o.phoneCode("ann"), ""); err != nil {
		t.Fatal(err)
	}
	force := func() {
		t.Helper()
		resp, err := http.Post(o.shop.server.URL+"/cgi-bin/stable_token", "application/json",
			strings.NewReader(fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q,"force_refresh":true}`, appID, secret)))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !strings.Contains(string(body), "access_token") {
			t.Fatalf("got %s", body)
		}
	}
	force()
	if _, err := o.phone(o.phoneCode("ann"), ""); err != nil {
		t.Fatal(err)
	}
	if n := o.asked("/cgi-bin/stable_token"); n != 2 {
		t.Errorf("asked %d times for a token, want twice", n)
	}
}

func TestTokensThatStayDeadAreToldNotTriedForEver(t *testing.T) {
	calls := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls[r.URL.Path]++
		if r.URL.Path == "/cgi-bin/stable_token" {
			_, _ = io.WriteString(w, `{"access_token":"canary-token","expires_in":7200}`)
			return
		}
		_, _ = io.WriteString(w, `{"errcode":40001,"errmsg":"invalid credential canary-token rid: 65f2c1a0-1b2c3d4e-5f607182"}`)
	}))
	defer server.Close()
	app, err := wechat.NewApp(wechat.Config{AppID: appID, Secret: secret, BaseURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = app.Phone(t.Context(), "code", "")
	if !errors.Is(err, wechat.ErrMisconfigured) || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want ErrMisconfigured", err)
	}
	if calls["/cgi-bin/stable_token"] != 3 || calls["/wxa/business/getuserphonenumber"] != 2 {
		t.Errorf("calls: %v, want three for tokens (one of them forced) and two for the number", calls)
	}
	if _, err = app.Phone(t.Context(), "code", ""); !errors.Is(err, wechat.ErrBusy) || calls["/cgi-bin/stable_token"] != 4 {
		t.Errorf("a moment later: got %v after %v, want ErrBusy and nothing forced", err, calls)
	}
}

func TestMessagesAreSentToThoseWhoAskedForThem(t *testing.T) {
	o := newOffice(t, nil)
	m, err := wechat.NewMessenger(o.app, "")
	if err != nil {
		t.Fatal(err)
	}
	message := wechat.Message{To: o.shop.payer, Template: "ended", Page: "pages/ride/ride?id=1",
		Data: map[string]string{"thing1": strings.Repeat("骑", 30) + "\n", "amount2": "1.50元", "time3": "2026年11月1日 10:12"}}
	if err := m.Send(t.Context(), message); !errors.Is(err, wechat.ErrNotWanted) {
		t.Errorf("unasked: got %v, want ErrNotWanted", err)
	}
	if err := o.fake.Accept("ann", "ended", 1); err != nil {
		t.Fatal(err)
	}
	if err := m.Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	sent := o.fake.Messages()
	if len(sent) != 1 || sent[0].Data["thing1"] != strings.Repeat("骑", 19)+"…" || sent[0].State != "formal" || sent[0].Page != message.Page {
		t.Errorf("sent %+v", sent)
	}
	if err := m.Send(t.Context(), message); !errors.Is(err, wechat.ErrNotWanted) {
		t.Errorf("a second one: got %v, want ErrNotWanted", err)
	}
	for name, tc := range map[string]struct {
		bend func(*wechat.Message)
		want error
		text string
	}{
		"stranger": {func(m *wechat.Message) { m.To = "oCANARYstranger" }, wechat.ErrNotWanted, ""},
		"template": {func(m *wechat.Message) { m.Template = "other" }, wechat.ErrMisconfigured, "template id"},
		"page":     {func(m *wechat.Message) { m.Page = "pages/none" }, wechat.ErrMisconfigured, "page"},
		"value": {func(m *wechat.Message) {
			m.Data = map[string]string{"thing1": "x", "amount2": "CANARY", "time3": "10:00"}
		}, wechat.ErrMisconfigured, "the value of amount2"},
		"nobody": {func(m *wechat.Message) { m.To = "" }, wechat.ErrMisconfigured, "needs a rider"},
	} {
		bent := message
		tc.bend(&bent)
		err := m.Send(t.Context(), bent)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: got %v, want %v %q", name, err, tc.want, tc.text)
		}
		o.shop.silent(err)
	}
	for _, fault := range []string{fakewechat.FaultBusy, fakewechat.FaultOutage, fakewechat.FaultLost} {
		if err := o.fake.Accept("ann", "ended", 1); err != nil {
			t.Fatal(err)
		}
		o.shop.provoke(fault, fakewechat.GroupMessage)
		err := m.Send(t.Context(), message)
		if !errors.Is(err, wechat.ErrBusy) {
			t.Errorf("%s: got %v, want ErrBusy", fault, err)
		}
		o.shop.silent(err)
	}
	if _, err := wechat.NewMessenger(o.app, "release"); !errors.Is(err, wechat.ErrMisconfigured) {
		t.Errorf("release: got %v, want ErrMisconfigured", err)
	}
}

func TestAddressThatWeChatDoesNotAllow(t *testing.T) {
	o := newOffice(t, func(_ *wechat.Config, f *fakewechat.Config) { f.AllowedIPs = []string{"192.0.2.1"} })
	_, err := o.phone("code", "")
	if !errors.Is(err, wechat.ErrMisconfigured) || !strings.Contains(err.Error(), "127.0.0.1") || !strings.Contains(err.Error(), "errcode 40164") {
		t.Errorf("got %v, want ErrMisconfigured with the address", err)
	}
}

func TestRulesAreListed(t *testing.T) {
	o := newOffice(t, func(_ *wechat.Config, f *fakewechat.Config) {
		f.Rules = []fakewechat.Rule{{Prefix: "https://q.example.cn/d/", Page: "pages/ride/ride", Published: true, OccupySubRules: true}}
	})
	rules, open, err := o.app.Rules(t.Context())
	want := wechat.Rule{Prefix: "https://q.example.cn/d/", Page: "pages/ride/ride", State: 2, PermitSub: 2}
	if err != nil || !open || len(rules) != 1 || rules[0] != want || !rules[0].Published() {
		t.Errorf("got %+v, %v, %v", rules, open, err)
	}
}
