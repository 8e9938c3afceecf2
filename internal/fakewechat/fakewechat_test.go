package fakewechat

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type fixture struct {
	t       *testing.T
	now     atomic.Int64
	handler http.Handler
}

func newFixture(t *testing.T, unions bool) *fixture {
	t.Helper()
	f := &fixture{t: t}
	f.now.Store(time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC).UnixNano())
	s, err := New(Config{
		AppID: "wx1", Secret: "s3cret", Riders: []string{"ann", "bo"}, Unions: unions,
		Now:  func() time.Time { return time.Unix(0, f.now.Load()) },
		Rand: rand.NewChaCha8([32]byte{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.handler = s.Handler()
	return f
}

func (f *fixture) step(d time.Duration) { f.now.Add(int64(d)) }

func (f *fixture) do(method, target, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w
}

func (f *fixture) code(rider string) string {
	f.t.Helper()
	w := f.do("POST", "/riders/"+rider+"/login-code", "")
	var got struct {
		LoginCode string `json:"login_code"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.LoginCode == "" {
		f.t.Fatalf("login code: got %d %s", w.Code, w.Body)
	}
	return got.LoginCode
}

func (f *fixture) fault(body string) {
	f.t.Helper()
	if w := f.do("POST", "/faults", body); w.Code != http.StatusNoContent {
		f.t.Fatalf("fault %s: got %d %s", body, w.Code, w.Body)
	}
}

func query(code string) url.Values {
	return url.Values{"appid": {"wx1"}, "secret": {"s3cret"}, "js_code": {code}, "grant_type": {"authorization_code"}}
}

// exchange returns the answer's members.
func (f *fixture) exchange(q url.Values) map[string]any {
	f.t.Helper()
	w := f.do("GET", "/sns/jscode2session?"+q.Encode(), "")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		f.t.Fatalf("answer %q: %v", w.Body, err)
	}
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/plain" {
		f.t.Errorf("got status %d, type %s, want 200 and text/plain", w.Code, w.Header().Get("Content-Type"))
	}
	if message, failed := got["errmsg"].(string); failed && !strings.Contains(message, ", rid: ") {
		f.t.Errorf("errmsg %q has no rid", message)
	}
	return got
}

func (f *fixture) refused(q url.Values, want float64) {
	f.t.Helper()
	got := f.exchange(q)
	if got["errcode"] != want || got["openid"] != nil || got["session_key"] != nil {
		f.t.Errorf("got %v, want errcode %v and no session", got, want)
	}
}

func TestSuccessHasNoErrcodeAndAStableOpenID(t *testing.T) {
	f := newFixture(t, false)
	first, second := f.exchange(query(f.code("ann"))), f.exchange(query(f.code("ann")))
	other := f.exchange(query(f.code("bo")))
	for _, got := range []map[string]any{first, second, other} {
		openID, _ := got["openid"].(string)
		if len(got) != 2 || len(openID) != 28 || openID[0] != 'o' || len(got["session_key"].(string)) != 24 {
			t.Errorf("got %v, want openid and session_key alone", got)
		}
	}
	if first["openid"] != second["openid"] || first["openid"] == other["openid"] {
		t.Errorf("openids: got %v, %v, %v, want one per rider", first["openid"], second["openid"], other["openid"])
	}
	if first["session_key"] == second["session_key"] {
		t.Error("session_key repeats")
	}
	again := newFixture(t, true).exchange(query(newFixture(t, true).code("ann")))
	if again["errcode"] != float64(40029) { // a code of another server is unknown
		t.Errorf("got %v, want 40029", again)
	}
}

func TestBoundAppGetsAUnionID(t *testing.T) {
	f := newFixture(t, true)
	got := f.exchange(query(f.code("ann")))
	if u, _ := got["unionid"].(string); len(u) != 28 || u == got["openid"] {
		t.Errorf("got %v, want a unionid of its own", got)
	}
}

func TestCodeIsUsedOnce(t *testing.T) {
	f := newFixture(t, false)
	code := f.code("ann")
	f.exchange(query(code))
	f.refused(query(code), 40163)
}

func TestConcurrentExchangesOfOneCodeHaveOneWinner(t *testing.T) {
	f := newFixture(t, false)
	code := f.code("ann")
	var won atomic.Int32
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if f.exchange(query(code))["openid"] != nil {
				won.Add(1)
			}
			f.code("bo")
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("winners: got %d, want 1", won.Load())
	}
}

func TestCodeLivesFiveMinutes(t *testing.T) {
	f := newFixture(t, false)
	atTheEnd, tooLate := f.code("ann"), f.code("ann")
	f.step(5 * time.Minute)
	if got := f.exchange(query(atTheEnd)); got["openid"] == nil {
		t.Errorf("after five minutes: got %v, want a session", got)
	}
	f.step(time.Second)
	f.refused(query(tooLate), 40029)
	f.code("ann") // sweeps
	f.refused(query(tooLate), 40029)
	f.refused(query("made-up"), 40029)
}

func TestCallerMustBeConfigured(t *testing.T) {
	f := newFixture(t, false)
	code := f.code("ann")
	for want, change := range map[float64]url.Values{
		41002: {"appid": nil}, 41004: {"secret": nil}, 41008: {"js_code": nil},
		40013: {"appid": {"wx2"}}, 40125: {"secret": {"other"}}, 40002: {"grant_type": {"client_credential"}},
	} {
		q := query(code)
		for name, value := range change {
			q[name] = value
		}
		f.refused(q, want)
	}
	w := f.do("POST", "/sns/jscode2session?"+query(code).Encode(), "")
	if !strings.Contains(w.Body.String(), "43001") {
		t.Errorf("POST: got %s, want 43001", w.Body)
	}
	if got := f.exchange(query(code)); got["openid"] == nil {
		t.Errorf("the refusals used the code up: %v", got)
	}
}

func TestHundredExchangesAMinutePerRider(t *testing.T) {
	f := newFixture(t, false)
	for range 100 {
		if got := f.exchange(query(f.code("ann"))); got["openid"] == nil {
			t.Fatalf("got %v, want a session", got)
		}
	}
	waiting := f.code("ann")
	f.refused(query(waiting), 45011)
	if got := f.exchange(query(f.code("bo"))); got["openid"] == nil {
		t.Errorf("another rider: got %v, want a session", got)
	}
	f.step(time.Minute)
	if got := f.exchange(query(waiting)); got["openid"] == nil {
		t.Errorf("a minute later: got %v, want a session", got)
	}
}

func TestFaultsLastAsLongAsAskedFor(t *testing.T) {
	f := newFixture(t, false)
	code := f.code("ann")
	f.fault(`{"kind":"busy","times":2}`)
	f.refused(query(code), -1)
	f.refused(query(code), -1)

	f.fault(`{"kind":"outage"}`)
	if w := f.do("GET", "/sns/jscode2session?"+query(code).Encode(), ""); w.Code != 502 {
		t.Errorf("outage: got %d, want 502", w.Code)
	}

	f.fault(`{"kind":"high_risk","rider":"bo"}`)
	if got := f.exchange(query(code)); got["openid"] == nil {
		t.Errorf("rider without a fault: got %v, want a session", got)
	}
	risky := f.code("bo")
	f.refused(query(risky), 40226)
	f.refused(query(risky), 40163)

	f.fault(`{"kind":"busy","times":5}`)
	f.fault(`{"kind":"busy","times":0}`)
	if got := f.exchange(query(f.code("bo"))); got["openid"] == nil {
		t.Errorf("after the faults: got %v, want a session", got)
	}
}

func TestLostAnswerUsesTheCodeUp(t *testing.T) {
	f := newFixture(t, false)
	server := httptest.NewServer(f.handler)
	defer server.Close()
	f.fault(`{"kind":"lost"}`)
	target := server.URL + "/sns/jscode2session?" + query(f.code("ann")).Encode()
	// net/http repeats a GET by itself when a kept connection is cut, so each call
	// gets a connection of its own.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Get(target); err == nil {
		resp.Body.Close()
		t.Fatalf("got an answer: %s", resp.Status)
	}
	resp, err := client.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), "40163") {
		t.Errorf("got %s, want 40163", body)
	}
}

func TestAdminRefusesWhatItDoesNotKnow(t *testing.T) {
	f := newFixture(t, false)
	for _, tc := range []struct {
		method, target, body string
		want                 int
	}{
		{"POST", "/riders/eve/login-code", "", 404},
		{"GET", "/riders/ann/login-code", "", 405},
		{"POST", "/faults", `{"kind":"flood"}`, 400},
		{"POST", "/faults", `{"kind":"busy","rider":"ann"}`, 400},
		{"POST", "/faults", `{"kind":"busy","times":-1}`, 400},
		{"POST", "/faults", `{"kind":"high_risk","rider":"eve"}`, 404},
		{"POST", "/faults", `{"kinds":"busy"}`, 400},
		{"POST", "/faults", `nonsense`, 400},
	} {
		w := f.do(tc.method, tc.target, tc.body)
		if w.Code != tc.want {
			t.Errorf("%s %s %s: got %d, want %d", tc.method, tc.target, tc.body, w.Code, tc.want)
		}
		if tc.want != 405 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: got %q, want JSON", tc.method, tc.target, w.Body)
		}
	}
}

func TestIncompleteConfigIsRefused(t *testing.T) {
	full := Config{AppID: "a", Secret: "s", Riders: []string{"ann"}, Now: time.Now, Rand: strings.NewReader("")}
	for name, bend := range map[string]func(*Config){
		"app":    func(c *Config) { c.AppID = "" },
		"secret": func(c *Config) { c.Secret = "" },
		"clock":  func(c *Config) { c.Now = nil },
		"random": func(c *Config) { c.Rand = nil },
		"twice":  func(c *Config) { c.Riders = []string{"ann", "ann"} },
		"empty":  func(c *Config) { c.Riders = []string{""} },
	} {
		cfg := full
		bend(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestEmptyRandomnessIsAnErrorNotACrash(t *testing.T) {
	s, err := New(Config{AppID: "a", Secret: "s", Riders: []string{"ann"}, Now: time.Now, Rand: strings.NewReader("")})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Admin().ServeHTTP(w, httptest.NewRequest("POST", "/riders/ann/login-code", nil))
	if w.Code != 500 {
		t.Errorf("got %d, want 500", w.Code)
	}
}
