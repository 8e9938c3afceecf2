package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unlatch/unlatch/order"
)

// TestARiderIsReadByMembersWithARoleAlone: one that this version does not know is less
// than every other, and its store is never asked.
func TestARiderIsReadByMembersWithARoleAlone(t *testing.T) {
	a := newTestAPI(t)
	a.Store = &street{member: order.Staff{ID: "s1", Role: "janitor"}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/operator/riders/ada", nil)
	r.Header.Set("Authorization", "Bearer "+keyPrefix+strings.Repeat("x", secretLength))
	w := httptest.NewRecorder()
	a.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"role_insufficient"`) {
		t.Errorf("a member of an unknown role reads a rider: %d %s", w.Code, w.Body)
	}
}
