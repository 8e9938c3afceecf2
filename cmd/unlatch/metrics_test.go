package main

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/order"
)

var metricName = regexp.MustCompile(`unlatch_[a-z_]*[a-z]`)

// mentioned are the metrics that documents, alarms and dashboards speak of.
func mentioned(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, root := range []string{"../../docs", "../../deploy", "../../README.md"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".png") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, name := range metricName.FindAllString(string(text), -1) {
				if name != "unlatch_app" && name != "unlatch_session" && name != "unlatch_console" { // a role, two cookies
					found[strings.TrimSuffix(name, "_bucket")] = path
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// TestEveryMetricThatIsSpokenOfIsThere, and each that is there is spoken of.
func TestEveryMetricThatIsSpokenOfIsThere(t *testing.T) {
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"ada"}, AuditEvery: time.Second})
	ada := v.rider("ada", 0, 1000)
	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 60*time.Second)
	v.direct("bike-1", "close", nil)
	v.reaches(ada, o.ID, "settled", 60*time.Second)
	if _, err := v.start(client{base: ada.base}, "bike-1"); err == nil {
		t.Error("a scan without a login was answered")
	}
	// What exists only where there is something to count.
	topUp := v.topsUp(ada, 100, "t1")
	v.topUpIs(ada, topUp.ID, "open", 30*time.Second)
	device := v.codes["bike-1"]
	if err := ada.do(v.ctx, "POST", "/v1/faults", "", map[string]string{"url": device, "kind": "damaged"}, nil); err != nil {
		t.Fatal(err)
	}
	var text string
	v.until("an audit is in the metrics", 60*time.Second, func() bool {
		b, err := client{base: "http://" + v.nodes[0].MetricsAddr}.bytes(v.ctx, "/metrics")
		text = string(b)
		return err == nil && strings.Contains(text, "unlatch_audit_findings{") && strings.Contains(text, `unlatch_items_open{kind="fault_reported"} 1`) &&
			strings.Contains(text, `unlatch_payments_open{state="open"} 1`)
	})
	there := map[string]bool{}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			there[name] = true
		}
	}
	spoken := mentioned(t)
	for name, where := range spoken {
		if !there[name] {
			t.Errorf("%s speaks of %s, and the scrape has no such metric", where, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if strings.HasPrefix(name, "unlatch_") && spoken[name] == "" {
			t.Errorf("no document speaks of %s", name)
		}
	}
	for _, want := range []string{`unlatch_starts_total{end="executed"} 1`, `unlatch_refusals_total{code="unauthenticated"} 1`,
		`unlatch_http_seconds_count{operation="place-order",status="2xx"} 1`, `unlatch_http_seconds_count{operation="scan",status="4xx"} 1`,
		`unlatch_hop_seconds_count{hop="answer"} 1`, `unlatch_audit_findings{view="audit_m2_balance_is_sum"} 0`, `unlatch_devices{service="in_service"} 1`,
		`unlatch_database_up 1`, `unlatch_broker_connected 1`, `unlatch_nats_connected 1`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	if n := strings.Count(text, `unlatch_hop_seconds_count{hop="`); n != 5 {
		t.Errorf("%d hops are measured, want 5", n)
	}
}

func TestTheDashboardIsJSONWithOneIdPerPanel(t *testing.T) {
	b, err := os.ReadFile("../../deploy/grafana/unlatch.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range d.Panels {
		if seen[p.ID] || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d, %q", p.ID, p.Title)
		}
		seen[p.ID] = true
	}
	if len(d.Panels) < 10 {
		t.Errorf("%d panels", len(d.Panels))
	}
}

// TestReadinessNamesThePartThatIsNot: the broker's connection is cut.
func TestReadinessNamesThePartThatIsNot(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{})
	c := client{base: v.nodes[0].url()}
	var r struct {
		Ready bool
		Parts map[string]string
	}
	if err := c.do(v.ctx, "GET", "/readyz", "", nil, &r); err != nil || !r.Ready || r.Parts["database"] != "ok" || r.Parts["broker"] != "ok" || r.Parts["nats"] != "ok" {
		t.Fatalf("well: %+v, %v", r, err)
	}
	trouble := error(order.ErrBusy)
	v.nodes[0].trouble.Store(&trouble)
	status, body := get(t, c.base+"/readyz")
	if status != 503 || !strings.Contains(body, `"broker":"`+trouble.Error()+`"`) || !strings.Contains(body, `"database":"ok"`) {
		t.Errorf("with a broker that lets nobody in: %d %s", status, body)
	}
	if status, body = get(t, c.base+"/livez"); status != 200 {
		t.Errorf("alive: %d %s", status, body)
	}
}
