package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing/wechat"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

// canaries are the personal values that the suite used, by value: what no line of
// the product's log may show.
var canaries sync.Map

func canary(kind, value string) {
	if value != "" {
		canaries.Store(value, kind)
	}
}

// suiteFile holds everything that installations in this process logged, at the
// least level, as the product writes it.
var suiteFile = sync.OnceValues(func() (*os.File, error) { return os.CreateTemp("", "unlatch-suite-log-*") })

// suiteLog logs as the product does, into the suite's file; warnings also go to the
// test while it runs.
func suiteLog(t testing.TB) *slog.Logger {
	t.Helper()
	f, err := suiteFile()
	if err != nil {
		t.Fatal(err)
	}
	return newLogger(&suiteWriter{t: t, file: f}, slog.LevelDebug, "text")
}

type suiteWriter struct {
	t    testing.TB
	file *os.File
	mu   sync.Mutex
}

func (w *suiteWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t.Context().Err() == nil && (bytes.Contains(line, []byte("level=WARN")) || bytes.Contains(line, []byte("level=ERROR"))) {
		w.t.Log(strings.TrimSpace(string(line)))
	}
	return w.file.Write(line)
}

// readSuiteLog returns the lines that show a canary, and takes the file away.
func readSuiteLog() []string {
	f, err := suiteFile()
	if err != nil {
		return []string{err.Error()}
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return []string{err.Error()}
	}
	var found []string
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadString('\n')
		if what := shown(line); what != "" && len(found) < 20 {
			found = append(found, what+" in: "+line)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				found = append(found, err.Error())
			}
			return found
		}
	}
}

// shown names the kind of canary that a line shows, "" when it shows none. A canary
// is one word of letters, digits, '_' and '-'.
func shown(line string) string {
	for word := range strings.FieldsFuncSeq(line, func(r rune) bool {
		return !(r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}) {
		if kind, ok := canaries.Load(word); ok {
			return kind.(string)
		}
	}
	return ""
}

func TestALineThatShowsACanaryIsFound(t *testing.T) {
	canary("openid", "oCanaryOfThisTestAlone_0001")
	defer canaries.Delete("oCanaryOfThisTestAlone_0001")
	for line, want := range map[string]string{
		`level=INFO msg="x" err="user oCanaryOfThisTestAlone_0001: no"`: "openid",
		`{"msg":"x","url":"/a?openid=oCanaryOfThisTestAlone_0001&b"}`:   "openid",
		`level=INFO msg="x" order=oCanaryOfThisTestAlone_00012`:         "",
	} {
		if got := shown(line); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

// tapped notes which of the words it was given went over it, in either direction.
type tapped struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (w *tapped) look(words []string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, word := range words {
		if strings.Contains(text, word) {
			w.seen[word] = true
		}
	}
}

// tap is a proxy before a server that looks at everything that passes.
func (w *tapped) tap(t *testing.T, to string, words ...string) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			b, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(b))
			w.look(words, string(b))
			return err
		}}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(b))
		w.look(words, r.URL.String()+fmt.Sprint(r.Header)+string(b))
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestNothingPersonalIsLogged: an openid, a phone number, a token and a request's body
// go over the wire, through success and failure, at the least level of the log, and
// no line shows one of them. What every other test of this package logged is read by
// TestMain in the same way.
func TestNothingPersonalIsLogged(t *testing.T) {
	const phone, text, forged = "13912345678", "canary-body-7f3a", "canary-notice-91c2"
	for _, word := range []string{phone, text, forged} {
		canary("body or phone", word)
	}
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"carla"}})
	openid := v.double.fake.OpenID("carla")
	w := &tapped{seen: map[string]bool{}}

	// The product asks WeChat through the tap.
	login, err := wechat.New(wechat.Config{AppID: demoAppID, Secret: demoSecret, BaseURL: w.tap(t, v.double.url, openid, demoSecret)})
	if err != nil {
		t.Fatal(err)
	}
	v.nodes[0].api.Login = weChatLogin{login}
	carla := v.rider("carla", 0, 3000)
	carla.base = w.tap(t, v.nodes[0].url(), carla.token, phone, text, forged)

	fault := fmt.Sprintf(`{"url":%q,"kind":"other","text":"call %s, %s"}`, v.codes["bike-1"], phone, text)
	if status, _, body := v.ask(carla, http.MethodPost, "/v1/faults", "", fault); status >= 300 {
		t.Fatalf("the fault was not taken: %d %s", status, body)
	}
	o, err := v.start(carla, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(carla, o.ID, "active", 60*time.Second)
	v.direct("bike-1", "close", nil)
	v.reaches(carla, o.ID, "settled", 60*time.Second)

	// What goes wrong is where texts of requests and of foreign libraries get near a log.
	for _, x := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/wechat/notify", `{"id":"` + forged + `","resource":{}}`},
		{http.MethodPost, "/v1/login", `{"login_code":"` + text + `"}`},
		{http.MethodPost, "/v1/scans", `{"url":"https://evil.test/d/` + text + `"}`},
		{http.MethodPost, "/v1/orders", `{"ticket":"` + text + `","pay_with":"wallet"}`},
		{http.MethodPost, "/v1/faults", `{"number":"` + text + `","kind":"other"`},
		{http.MethodGet, "/v1/orders/" + text, ""},
	} {
		if status, _, _ := v.ask(carla, x.method, x.path, "key-"+text, x.body); status < 400 {
			t.Errorf("%s %s: status %d, want a refusal", x.method, x.path, status)
		}
	}
	if err := v.double.fake.Break(fakewechat.Fault{Kind: fakewechat.FaultOutage, On: fakewechat.GroupLogin}); err != nil {
		t.Fatal(err)
	}
	if _, err := (&demo{ready: readyFile{HTTP: carla.base, WeChat: v.wechat}}).client(v.ctx, "carla"); err == nil {
		t.Error("a login while WeChat is down went through")
	}
	// A TLS client on the plain port makes the server itself complain.
	if _, err := tls.Dial("tcp", strings.TrimPrefix(v.nodes[0].url(), "http://"), &tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("TLS on the plain port")
	}
	for _, word := range []string{openid, carla.token, phone, text, forged} {
		if !w.seen[word] {
			t.Errorf("canary %q was never seen on the wire: the test proves nothing", word)
		}
	}
	f, err := suiteFile()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "order="+o.ID) || !strings.Contains(string(b), "level=DEBUG") {
		t.Error("the log lacks the order's moves, or its debug lines: nothing was watched")
	}
	for _, word := range []string{openid, carla.token, phone, text, forged, demoSecret} {
		if strings.Contains(string(b), word) {
			t.Errorf("%q is in the log", word)
		}
	}
}

// TestWhatAForeignErrorTextHoldsIsMasked: the last line of defence.
func TestWhatAForeignErrorTextHoldsIsMasked(t *testing.T) {
	var b bytes.Buffer
	log := newLogger(&b, slog.LevelDebug, "json")
	token, openid := strings.Repeat("aB3-", 10)+"xyz", "oGZUI0egBJY1zhBYw2KhdUfwVJJE"
	log.Error("call failed", "err", fmt.Errorf("Get \"https://api.weixin.qq.com/sns/jscode2session?appid=wx1&secret=s3cr3t&js_code=0a1b2c\": %w", errors.New("EOF")),
		"text", "openid "+openid+" phone 13912345678, +8613912345678 bearer "+token, "url", "postgres://unlatch:pa55word@db/x",
		"said", "1234-5678-9012-34 or 12345678901234", "token", "a-b", "edges", "-"+token[1:]+" "+openid[:27]+"- "+token[:42]+"-",
		"config", "mqtt_PASSWORD=pa55word2 "+base64.StdEncoding.EncodeToString(make([]byte, 32)), "at", `{"lat": 31.2304, "lng":121.4737}`, "key", "ul_"+token)
	for _, secret := range []string{"a-b", token[1:], openid[:27], token[:42], "pa55word2", "AAAAAAAAAAAA"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q is in the line: %s", secret, b.String())
		}
	}
	for _, secret := range []string{"s3cr3t", "0a1b2c", openid, "13912345678", token, "pa55word", "5678-9012", "12345678901234", "31.2304", "121.4737"} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("%q is in the line: %s", secret, b.String())
		}
	}
	b.Reset()
	id := newUUID()
	log.Info("order moved", "order", id, "device", "bike-0123", "payment", strings.ReplaceAll(id, "-", ""), "took", 1500*time.Millisecond)
	for _, want := range []string{id, strings.ReplaceAll(id, "-", ""), "bike-0123", "order moved"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q was masked: %s", want, b.String())
		}
	}
}

// get fetches an address whatever its status.
func get(t *testing.T, address string) (int, string) {
	t.Helper()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b)
}
