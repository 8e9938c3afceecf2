package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

const taxPath = "/v1/operator/venues/station/tax-data?from=2026-03-01T00:00:00%2B08:00&to=2026-04-01T00:00:00%2B08:00"

func taxStore() *stationStore {
	petrol := billing.Grade{ID: "92", Name: "92号车用汽油", UnitPrice: 7850, TaxCode: "1070101010100000000", TaxPermille: 130}
	evil := billing.Grade{ID: "-95", Name: `=cmd|' /C calc'!A1,"x"`, UnitPrice: 8_390, TaxCode: "@SUM(1)", TaxPermille: 135}
	at := time.Date(2026, 3, 1, 16, 30, 0, 999_000_000, time.UTC)
	return &stationStore{role: order.Finance, tax: []order.TaxRow{
		{Order: "o1", At: at, Device: "pump-1", Outlet: 2, Grade: petrol, Millilitres: 12_345, Amount: 96_91},
		{Order: "o2", At: at, Device: "-pump", Outlet: 1, Grade: evil, Millilitres: 25_500, Amount: 200_00, Off: 18},
		{Order: "o1", At: at.Add(24 * time.Hour), Refund: true, Device: "pump-1", Outlet: 2, Grade: petrol, Amount: -96_91},
		{Order: "o3", At: at, Device: "pump-1", Outlet: 1, Grade: billing.Grade{ID: "＝92", Name: "\ttab", UnitPrice: 1}, Millilitres: 7, Amount: 0, Off: -3},
	}}
}

// golden is what Excel is given; its net and tax were worked out by hand:
// 96.91/1.13 = 85.761..., 200.00/1.135 = 176.211...
const golden = "\ufefforder,settled_at,venue,device,outlet,grade,goods,tax_code,quantity,unit,unit_price,amount,tax_rate,net,tax,taken_off,row\r\n" +
	"o1,2026-03-02T00:30:00+08:00,station,pump-1,2,92,92号车用汽油,1070101010100000000,12.345,升,7.850,96.91,0.130,85.76,11.15,0.00,sale\r\n" +
	"o2,2026-03-02T00:30:00+08:00,station,'-pump,1,'-95,\"'=cmd|' /C calc'!A1,\"\"x\"\"\",'@SUM(1),25.500,升,8.390,200.00,0.135,176.21,23.79,0.18,sale\r\n" +
	"o1,2026-03-03T00:30:00+08:00,station,pump-1,2,92,92号车用汽油,1070101010100000000,,升,,-96.91,0.130,-85.76,-11.15,0.00,refund\r\n" +
	"o3,2026-03-02T00:30:00+08:00,station,pump-1,1,'＝92,'\ttab,,0.007,升,0.001,0.00,0.000,0.00,0.00,-0.03,sale\r\n"

func TestTaxDataIsASheet(t *testing.T) {
	for _, accept := range []string{"", "text/csv", "application/json", "image/png"} {
		s := taxStore()
		w := s.ask(t, http.MethodGet, taxPath, "", "Accept", accept)
		if got := w.Body.String(); w.Code != 200 || got != golden {
			t.Errorf("with Accept %q: %d, got\n%s\nwant\n%s", accept, w.Code, got, golden)
		}
		h := w.Header()
		if h.Get("Content-Type") != taxType || h.Get("Content-Disposition") != `attachment; filename="tax-station-20260301.csv"` {
			t.Errorf("headers %v", h)
		}
		if from := s.asked[1].(time.Time); !from.Equal(time.Date(2026, 2, 28, 16, 0, 0, 0, time.UTC)) {
			t.Errorf("asked from %v", from)
		}
	}
	s := taxStore()
	s.tax = nil
	if w := s.ask(t, http.MethodGet, taxPath, ""); w.Code != 200 || w.Body.String() != golden[:strings.Index(golden, "\n")+1] {
		t.Errorf("without sales: %d %q, want the header alone", w.Code, w.Body)
	}
}

func TestTaxDataIsRefusedBeforeItBegins(t *testing.T) {
	const at = "/v1/operator/venues/station/tax-data"
	for _, c := range []struct {
		name, path string
		status     int
		code       string
	}{
		{"no times", at, 400, "bad_request"},
		{"no time", at + "?from=today&to=2026-04-01T00:00:00Z", 400, "bad_request"},
		{"an empty time", at + "?from=2026-04-01T00:00:00Z&to=2026-04-01T00:00:00Z", 422, "value_invalid"},
		{"backwards", at + "?from=2026-04-01T00:00:00Z&to=2026-03-01T00:00:00Z", 422, "value_invalid"},
		{"too long", at + "?from=2025-01-01T00:00:00Z&to=2026-02-05T00:00:01Z", 422, "value_invalid"},
		{"longer than a duration", at + "?from=0001-01-01T00:00:00Z&to=9999-01-01T00:00:00Z", 422, "value_invalid"},
		{"another venue", strings.Replace(taxPath, "station", "nowhere", 1), 404, "venue_unknown"},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, taxStore().ask(t, http.MethodGet, c.path, ""), c.status, c.code) })
	}
	s := taxStore()
	s.role = order.Field
	refused(t, s.ask(t, http.MethodGet, taxPath, ""), 403, "role_insufficient")
	s = taxStore()
	s.fail = errors.New("the database is gone") // nothing was written yet
	w := s.ask(t, http.MethodGet, taxPath, "", "Accept", "text/csv")
	refused(t, w, 500, "internal")
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type of the problem: %s", got)
	}
}

// TestABrokenSheetDoesNotLookWhole: what fails after the first bytes cuts the
// connection.
func TestABrokenSheetDoesNotLookWhole(t *testing.T) {
	s := taxStore()
	for range 200 {
		s.tax = append(s.tax, s.tax[0])
	}
	s.fail = errors.New("the database is gone")
	defer func() {
		if fault := recover(); fault != http.ErrAbortHandler {
			t.Errorf("ended with %v, want the connection cut", fault)
		}
	}()
	s.ask(t, http.MethodGet, taxPath, "")
}

func TestTheNetIsRoundedHalfUpInIntegers(t *testing.T) {
	for _, c := range []struct {
		amount   billing.Fen
		permille int
		net      billing.Fen
	}{
		{0, 130, 0},
		{113, 130, 100},
		{1, 130, 1}, // 0.88
		{-1, 130, -1},
		{3, 1000, 2},                     // 1.5: half up
		{-3, 1000, -2},                   // mirrored, so that a refund of all takes back what was stated
		{1, 1000, 1},                     // 0.5
		{9691, 130, 8576},                // 8576.106
		{100, 0, 100},                    // no tax
		{1 << 53, 130, 7970972791806188}, // the most that a line may name
	} {
		if got := netOf(c.amount, c.permille); got != c.net {
			t.Errorf("net of %d at %d: got %d, want %d", c.amount, c.permille, got, c.net)
		}
	}
}
