package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestJourneyOpensOnlyWhatItsPageNeeds: the same origin is what a phone on the LAN and
// any other page in its browser can reach.
func TestJourneyOpensOnlyWhatItsPageNeeds(t *testing.T) {
	group, ctx := errgroup.WithContext(t.Context())
	double, err := newDouble(ctx, group, "127.0.0.1:0", []string{"ada", "driver-01"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var j journey
	var c nodeConfig
	if err := j.fill(&c, []string{"ada"}, double); err != nil {
		t.Fatal(err)
	}
	answers := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(text + r.URL.Path)) })
	}
	h := c.Around(answers("api "))
	ask := func(method, path, origin string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(method, "http://127.0.0.1:8080"+path, strings.NewReader("{}"))
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		h.ServeHTTP(w, r)
		return w
	}
	if w := ask("GET", "/demo/hands/bike-001", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("hands before there are devices: %d", w.Code)
	}
	j.takes(answers("sim "))
	for _, look := range []struct {
		method, path, origin string
		status               int
		text                 string
	}{
		{"GET", "/v1/me", "", 200, "api /v1/me"},
		{"POST", "/v1/login", "http://elsewhere.example", 200, "api /v1/login"}, // the API judges by itself
		{"GET", "/demo/journey/journey.js", "", 200, "follow"},
		{"GET", "/demo/hands/bike-001", "", 200, "sim /devices/bike-001"},
		{"POST", "/demo/hands/bike-001/close", "http://127.0.0.1:8080", 200, "sim /devices/bike-001/close"},
		{"POST", "/demo/hands/bike-001/close", "http://elsewhere.example", 403, ""},
		{"POST", "/demo/hands/bike-001/battery", "", 404, ""},
		{"POST", "/demo/wechat/ada/login-code", "", 200, "login_code"},
		{"POST", "/demo/wechat/ada/login-code", "http://elsewhere.example", 403, ""},
		{"POST", "/demo/wechat/driver-01/login-code", "", 404, ""}, // simulated riders are not for people
		{"POST", "/demo/wechat/ada/score", "", 404, ""},
		{"POST", "/demo/wechat/faults", "", 404, ""},
		{"GET", "/demo/wechat/money", "", 404, ""},
		{"GET", "/demo/", "", 404, ""},
	} {
		w := ask(look.method, look.path, look.origin)
		if w.Code != look.status || !strings.Contains(w.Body.String(), look.text) {
			t.Errorf("%s %s from %q: %d %.80s, want %d with %q", look.method, look.path, look.origin, w.Code, w.Body, look.status, look.text)
		}
	}
}
