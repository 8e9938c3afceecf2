package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/unlatch/unlatch/order"
)

// nobodysLinks is a store in which no link may be spent.
type nobodysLinks struct{ emptyStore }

func (nobodysLinks) FirstRunOpen(context.Context, [32]byte) error { return order.ErrNotFound }

func (nobodysLinks) Invited(context.Context, [32]byte) (order.Staff, error) {
	return order.Staff{}, order.ErrNotFound
}

// TestAStrangerMakesNobodyHashAPassword: a link that may not be spent is refused before
// anything is computed, and before the password is judged.
func TestAStrangerMakesNobodyHashAPassword(t *testing.T) {
	for _, path := range []string{"/first-run", "/invite"} {
		for _, password := range []string{"a long enough sentence", "short"} {
			a := newTestAPI(t)
			a.Store = nobodysLinks{}
			for range hashesAtOnce { // all turns are taken: who computes has to wait, and gives up
				a.hashes.turns <- struct{}{}
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			form := url.Values{"link": {"no such link"}, "name": {"Eve"}, "password": {password}}
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, r)
			if w.Code != http.StatusGone {
				t.Errorf("%s with a wrong link and the password %q: %d, want 410", path, password, w.Code)
			}
		}
	}
}
