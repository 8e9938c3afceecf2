package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// emptyStore has no row at all; what a test does not expect to be called panics.
type emptyStore struct{ Store }

func (emptyStore) RiderByToken(context.Context, [32]byte) (string, error) {
	return "", order.ErrNotFound
}

func (emptyStore) StaffByKey(context.Context, [32]byte) (order.Staff, error) {
	return order.Staff{}, order.ErrNotFound
}

type noLogin struct{}

func (noLogin) Exchange(context.Context, string) (string, error) { return "", ErrLoginCode }

func newTestAPI(t *testing.T) *API {
	t.Helper()
	minter, err := qr.NewMinter(qr.MinterConfig{Secret: []byte("0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Orders: &order.Service{}, Store: emptyStore{}, Login: noLogin{}, Minter: minter,
		StopKey: make([]byte, 16), Domain: "u.example", Provision: func(context.Context, ProvisionRequest) (any, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestEveryProblemIsUniqueAndDocumented(t *testing.T) {
	a := newTestAPI(t)
	schema := a.document.Components.Schemas.Map()["Problem"]
	if schema == nil || schema.Properties["code"] == nil {
		t.Fatal("the document has no Problem with a code")
	}
	documented := map[string]bool{}
	for _, code := range schema.Properties["code"].Enum {
		documented[fmt.Sprint(code)] = true
	}
	seen, sentinels := map[string]bool{}, map[error]string{}
	for _, row := range problems {
		if seen[row.Code] {
			t.Errorf("code %s stands twice in the table", row.Code)
		}
		seen[row.Code] = true
		if !documented[row.Code] {
			t.Errorf("code %s is not in the document's Problem", row.Code)
		}
		if !strings.Contains(a.document.Info.Description, "`"+row.Code+"`") {
			t.Errorf("code %s is not in the document's table", row.Code)
		}
		if row.Status < 400 || row.Status > 599 || row.Title == "" || len(row.Errs) == 0 {
			t.Errorf("row of %s is not complete: %+v", row.Code, row)
		}
		for _, err := range row.Errs {
			if other, ok := sentinels[err]; ok {
				t.Errorf("%v stands under %s and %s", err, other, row.Code)
			}
			sentinels[err] = row.Code
		}
	}
	if len(documented) != len(problems) {
		t.Errorf("the document has %d codes, the table %d", len(documented), len(problems))
	}
}

func TestEveryOperatorOperationHasALeastRole(t *testing.T) {
	a := newTestAPI(t)
	found := map[string]bool{}
	for path, item := range a.document.Paths {
		if !strings.HasPrefix(path, "/v1/operator/") {
			continue
		}
		for method, op := range map[string]any{"GET": item.Get, "POST": item.Post, "PUT": item.Put} {
			raw, err := json.Marshal(op)
			if err != nil {
				t.Fatal(err)
			}
			var o struct{ OperationID string }
			if string(raw) == "null" {
				continue
			}
			if err := json.Unmarshal(raw, &o); err != nil {
				t.Fatal(err)
			}
			found[o.OperationID] = true
			if _, ok := leastRole[o.OperationID]; !ok {
				t.Errorf("%s %s (%s) is in no row of leastRole: nobody may do it", method, path, o.OperationID)
			}
		}
	}
	for id := range leastRole {
		if !found[id] {
			t.Errorf("leastRole names %s, which is no operation", id)
		}
	}
}

func TestUnknownErrorTellsNothing(t *testing.T) {
	p, known := problemOf(errors.New("password of the database is hunter2"))
	if known || p.Status != 500 || p.Code != "internal" || strings.Contains(p.Detail, "hunter2") {
		t.Errorf("got %+v, known %v; want a fixed sentence", p, known)
	}
}

func TestMorePreciseErrorWins(t *testing.T) {
	for _, c := range []struct {
		err  error
		code string
	}{
		{order.ErrNotFound, "order_unknown"},
		{fmt.Errorf("read: %w", order.ErrNotFound), "order_unknown"},
		{instead(order.ErrNotFound, errCodeUnknown), "code_unknown"},
		{instead(order.ErrCodeRevoked, errCodeUnknown), "code_revoked"},
		{&limited{}, "too_many_requests"},
	} {
		if p, _ := problemOf(c.err); p.Code != c.code {
			t.Errorf("%v: got %s, want %s", c.err, p.Code, c.code)
		}
	}
}

func TestRefusalsAreProblems(t *testing.T) {
	a := newTestAPI(t)
	token := "Bearer " + strings.Repeat("a", secretLength)
	for _, c := range []struct {
		name, method, path, body, auth string
		status                         int
		code                           string
	}{
		{"unknown address", "GET", "/nothing", "", "", 404, "route_unknown"},
		{"unknown rider route", "GET", "/v1/nothing", "", "", 404, "route_unknown"},
		{"unknown operator route", "GET", "/v1/operator/nothing", "", "", 404, "route_unknown"},
		{"wrong method", "DELETE", "/v1/login", "", "", 405, "method_not_allowed"},
		{"no token", "GET", "/v1/me", "", "", 401, "unauthenticated"},
		{"unknown token", "GET", "/v1/me", "", token, 401, "unauthenticated"},
		{"no key", "GET", "/v1/operator/venues", "", "", 401, "unauthenticated"},
		{"rider's token as a key", "GET", "/v1/operator/venues", "", token, 401, "unauthenticated"},
		{"login code", "POST", "/v1/login", `{"login_code":"x"}`, "", 401, "login_code_invalid"},
		{"not JSON", "POST", "/v1/login", `{`, "", 400, "bad_request"},
		{"no body", "POST", "/v1/login", ``, "", 400, "bad_request"},
		{"unknown field", "POST", "/v1/login", `{"login_code":"x","more":1}`, "", 400, "bad_request"},
		{"wrong type", "POST", "/v1/login", `{"login_code":1}`, "", 400, "bad_request"},
		{"NUL", "POST", "/v1/login", `{"login_code":"\u0000"}`, "", 400, "bad_request"},
		{"too large", "POST", "/v1/login", `{"login_code":"` + strings.Repeat("x", maxBody) + `"}`, "", 413, "body_too_large"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			if c.body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			if c.auth != "" {
				r.Header.Set("Authorization", c.auth)
			}
			before := a.Refusals()[c.code]
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, r)
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("answer %q is no problem: %v", w.Body, err)
			}
			if w.Code != c.status || p.Status != c.status || p.Code != c.code {
				t.Errorf("got %d %s (%s), want %d %s", w.Code, p.Code, w.Body, c.status, c.code)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type is %q", got)
			}
			if got := a.Refusals()[c.code]; got != before+1 {
				t.Errorf("%s counted %d times, want once", c.code, got-before)
			}
			if c.status == http.StatusMethodNotAllowed && w.Header().Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestDocumentIsStable(t *testing.T) {
	first, err := newTestAPI(t).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	second, err := newTestAPI(t).OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Error("two documents of one binary differ")
	}
	if !strings.Contains(string(first), `"openapi": "3.1.0"`) {
		t.Error("the document is not OpenAPI 3.1")
	}
}
