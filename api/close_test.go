package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// stationStore answers what a station's staff ask; its key is of the given role.
type stationStore struct {
	emptyStore
	role   order.Role
	taken  []order.TakeClose
	closes []order.Close
	asked  []any // of the last list
	prices order.PriceList
	items  []order.ItemRow
	tax    []order.TaxRow
	fail   error // of tax rows, after those of tax
}

func (s *stationStore) StaffByKey(context.Context, [32]byte) (order.Staff, error) {
	return order.Staff{ID: "s1", Role: s.role}, nil
}

func (s *stationStore) Venues(context.Context) ([]order.Venue, error) {
	return []order.Venue{{ID: "station", Name: "Station", TimeZone: "Asia/Shanghai"}}, nil
}

func (s *stationStore) TakeClose(_ context.Context, c order.TakeClose) (int, []byte, error) {
	if c.Venue != "station" {
		return 0, nil, order.ErrNotFound
	}
	s.taken = append(s.taken, c)
	return c.Answer(order.Close{ID: c.ID, Venue: c.Venue, Period: c.Period, Number: 1, By: c.Staff.Staff, Reason: c.Staff.Reason})
}

func (s *stationStore) PreviewClose(_ context.Context, venue string, period order.Period) (order.Close, error) {
	if venue != "station" {
		return order.Close{}, order.ErrNotFound
	}
	return order.Close{Venue: venue, Period: period, Number: 3}, nil
}

func (s *stationStore) Closes(_ context.Context, venue string, period order.Period, after string, limit int) ([]order.Close, error) {
	s.asked = []any{venue, period, after, limit}
	return s.closes[:min(limit, len(s.closes))], nil
}

func (s *stationStore) CloseByID(_ context.Context, venue, id string) (order.Close, error) {
	for _, c := range s.closes {
		if c.Venue == venue && c.ID == id {
			return c, nil
		}
	}
	return order.Close{}, order.ErrNotFound
}

func (s *stationStore) Prices(context.Context, string) (order.PriceList, error) { return s.prices, nil }

func (s *stationStore) Items(_ context.Context, all bool, kind string, venues []string, limit int) ([]order.ItemRow, error) {
	s.asked = []any{all, kind, fmt.Sprint(venues), limit}
	return s.items, nil
}

func (s *stationStore) TaxRows(_ context.Context, venue string, from, to time.Time, row func(order.TaxRow) error) error {
	s.asked = []any{venue, from, to}
	for _, r := range s.tax {
		if err := row(r); err != nil {
			return err
		}
	}
	return s.fail
}

func (s *stationStore) api(t *testing.T) *API {
	t.Helper()
	a := newTestAPI(t)
	a.Store = s
	return a
}

// ask sends a request of staff.
func (s *stationStore) ask(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+keyPrefix+strings.Repeat("a", secretLength))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.api(t).Handler().ServeHTTP(w, r)
	return w
}

// refused checks a problem's status and code.
func refused(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != status || p.Code != code {
		t.Errorf("got %d %s, want %d %s", w.Code, w.Body, status, code)
	}
}

func TestAStationClosesWithAKey(t *testing.T) {
	s := &stationStore{role: order.Field}
	const path = "/v1/operator/venues/station/closes"
	w := s.ask(t, http.MethodPost, path, `{"period":"shift","reason":"handover"}`, "Idempotency-Key", "k")
	var c Close
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != http.StatusCreated || c.By != "s1" || c.Reason != "handover" || c.Period != "shift" {
		t.Fatalf("close: %d %s", w.Code, w.Body)
	}
	if got := s.taken[0]; got.Key.Principal != "staff:s1" || got.Key.Key != "k" || !strings.Contains(got.Route, "/station/") || got.Staff.Act != "venue.close" ||
		got.Staff.Object != "venue station" {
		t.Errorf("asked of the store: %+v", got)
	}
	refused(t, s.ask(t, http.MethodPost, path, `{"period":"shift"}`), 400, "idempotency_key_missing")
	refused(t, s.ask(t, http.MethodPost, path, `{"period":"week"}`, "Idempotency-Key", "k"), 400, "bad_request")
	refused(t, s.ask(t, http.MethodPost, "/v1/operator/venues/nowhere/closes", `{"period":"day"}`, "Idempotency-Key", "k"), 404, "venue_unknown")
	s.role = order.Viewer
	refused(t, s.ask(t, http.MethodPost, path, `{"period":"day"}`, "Idempotency-Key", "k"), 403, "role_insufficient")
	if len(s.taken) != 1 {
		t.Errorf("%d closes were asked for, want 1", len(s.taken))
	}
}

func TestClosesAreReadPageByPage(t *testing.T) {
	s := &stationStore{role: order.Viewer, closes: []order.Close{{ID: "c3", Venue: "station"}, {ID: "c2", Venue: "station"}, {ID: "c1", Venue: "station"}}}
	const path = "/v1/operator/venues/station/closes"
	var page ClosePage
	w := s.ask(t, http.MethodGet, path+"?period=day&limit=2", "")
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Closes) != 2 || page.NextCursor == "" || s.asked[1] != order.Day || s.asked[3] != 3 {
		t.Fatalf("page: %d %s, asked %v", w.Code, w.Body, s.asked)
	}
	s.ask(t, http.MethodGet, path+"?cursor="+page.NextCursor, "")
	if s.asked[2] != "c2" || s.asked[1] != order.Period("") {
		t.Errorf("the next page asked for %v", s.asked)
	}
	if w = s.ask(t, http.MethodGet, path+"/c2", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"id":"c2"`) {
		t.Errorf("one close: %d %s", w.Code, w.Body)
	}
	refused(t, s.ask(t, http.MethodGet, path+"/c9", ""), 404, "close_unknown")
	refused(t, s.ask(t, http.MethodGet, "/v1/operator/venues/nowhere/closes", ""), 404, "venue_unknown")
	w = s.ask(t, http.MethodGet, path+"/preview?period=day", "")
	const empty = `{"venue":"station","period":"day","number":3,"from":null,"at":"0001-01-01T00:00:00Z","orders":0,"billed_fen":0,"refunds":0,` +
		`"refunded_fen":0,"grades":[],"pay":[],"tests":[],"nozzles":[],"open":{"count":0,"orders":[]},"open_items":{"count":0,"items":[]}}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != 200 || got != empty {
		t.Errorf("preview: %d %s, want %s", w.Code, got, empty)
	}
	refused(t, s.ask(t, http.MethodGet, path+"/preview", ""), 400, "bad_request")
	refused(t, s.ask(t, http.MethodGet, "/v1/operator/venues/nowhere/closes/preview?period=day", ""), 404, "venue_unknown")
}

func TestPricesAreTheOneInForceAndThoseAhead(t *testing.T) {
	now := time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)
	row := func(kind device.Kind, version int, at time.Time) order.TariffRow {
		return order.TariffRow{Tariff: billing.Tariff{ID: "t", Version: version}, Venue: "station", Kind: kind, EffectiveAt: at}
	}
	s := &stationStore{role: order.Viewer, prices: order.PriceList{At: now, Tariffs: []order.TariffRow{
		row(device.Lock, 1, now.Add(time.Hour)),
		row(device.Pump, 2, now), row(device.Pump, 4, now.Add(time.Hour)), row(device.Pump, 3, now.Add(2*time.Hour))}}}
	var got PriceList
	w := s.ask(t, http.MethodGet, "/v1/operator/venues/station/prices", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Kinds) != 2 {
		t.Fatalf("prices: %d %s", w.Code, w.Body)
	}
	bikes, pumps := got.Kinds[0], got.Kinds[1]
	if bikes.Now != nil || len(bikes.Ahead) != 1 || pumps.Now == nil || pumps.Now.Version != 2 || len(pumps.Ahead) != 2 || pumps.Ahead[0].Version != 4 {
		t.Errorf("prices: %s", w.Body)
	}
	refused(t, s.ask(t, http.MethodGet, "/v1/operator/venues/nowhere/prices", ""), 404, "venue_unknown")
}

func TestOpenItemsHaveAnAge(t *testing.T) {
	s := &stationStore{role: order.Viewer, items: []order.ItemRow{{Item: order.Item{ID: "i", At: time.Now().Add(-90*time.Second - 500*time.Millisecond)}},
		{Item: order.Item{ID: "j", At: time.Now().Add(time.Hour)}}}} // the database's clock is ahead
	var got OpenItemList
	w := s.ask(t, http.MethodGet, "/v1/operator/open-items?kind=totaliser_gap&venue=station", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Items) != 2 || got.Items[0].Age != 90 || got.Items[1].Age != 0 {
		t.Errorf("items: %d %s, want ages of 90 s and 0", w.Code, w.Body)
	}
	if s.asked[1] != "totaliser_gap" || s.asked[2] != "[station]" {
		t.Errorf("asked %v", s.asked)
	}
}
