package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
)

// receiver hears webhooks and refuses what the published library does not verify.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	secret string
	refuse bool
	heard  []order.CloudEvent
	ids    []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		check, err := standard.NewWebhook(r.secret)
		if err == nil {
			err = check.Verify(body, q.Header)
		}
		var e order.CloudEvent
		if err != nil || json.Unmarshal(body, &e) != nil || e.SpecVersion != "1.0" {
			t.Errorf("a delivery that a receiver cannot take: %v: %s", err, body)
		}
		if r.refuse {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		r.heard = append(r.heard, e)
		r.ids = append(r.ids, q.Header.Get("webhook-id"))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *receiver) events(kind string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.heard {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// TestAlarmsAreRaisedToldAndPutAway: a lock that jams raises one alarm, however often it is
// looked at; staff take it on, hide it and end it, and a webhook hears what it asked for.
func TestAlarmsAreRaisedToldAndPutAway(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada"},
		Node: func(c *nodeConfig) { c.AlarmEvery, c.WebhooksPrivate = 100*time.Millisecond, true }})
	admin, field, viewer := v.staffed(order.Admin), v.staffed(order.Field), v.staffed(order.Viewer)
	do := func(c client, method, path, body string, want int, out any) {
		t.Helper()
		status, code, b := v.ask(c, method, path, "", body)
		if status != want {
			t.Fatalf("%s %s: %d %s %s, want %d", method, path, status, code, b, want)
		}
		if out != nil {
			if err := json.Unmarshal(b, out); err != nil {
				t.Fatal(err)
			}
		}
	}
	hears := newReceiver(t)
	for _, bad := range []string{`"ftp://x/"`, `"https://user:pass@x/"`, `"/hooks"`} {
		do(admin, http.MethodPost, "/v1/operator/webhooks", `{"label":"desk","url":`+bad+`,"events":["alarm.raised"],"reason":"r"}`, 422, nil)
	}
	do(admin, http.MethodPost, "/v1/operator/webhooks", `{"label":"desk","url":"https://x/","events":["everything"],"reason":"r"}`, 422, nil)
	var hook api.NewWebhook
	do(admin, http.MethodPost, "/v1/operator/webhooks", `{"label":"desk","url":"`+hears.URL+`","events":["alarm.raised","alarm.cleared","order.voided"],"reason":"the desk's screen"}`, 201, &hook)
	hears.set(func() { hears.secret = hook.Secret })

	var s api.Settings
	do(viewer, http.MethodGet, "/v1/operator/settings", "", 200, &s)
	do(field, http.MethodPut, "/v1/operator/settings", `{}`, 403, nil)
	s.Failures = 1
	body, _ := json.Marshal(api.SettingsBody{Settings: s, Reason: "test"})
	do(admin, http.MethodPut, "/v1/operator/settings", string(body), 403, nil) // a key may not say when two people are needed
	desk := v.signedIn(t, v.owner(), admin.id, time.Hour)
	if status, code, raw := desk.ask(http.MethodPut, "/settings", json.RawMessage(body)); status != 200 || json.Unmarshal(raw, &s) != nil {
		t.Fatalf("settings: %d %s %s", status, code, raw)
	}
	if s.Version != 1 || s.Failures != 1 {
		t.Fatalf("settings are %+v", s)
	}
	if status, _, _ := desk.ask(http.MethodPut, "/settings", json.RawMessage(body)); status != 409 { // of version 0: somebody was faster
		t.Errorf("old settings: %d, want 409", status)
	}

	ada := v.rider("ada", 0, 5000)
	v.direct("bike-1", "jam", map[string]any{"jammed": true})
	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "voided", 30*time.Second)
	var list api.AlarmList
	v.until("the jam raises an alarm", 30*time.Second, func() bool {
		do(viewer, http.MethodGet, "/v1/operator/alarms?open=true&kind=unlock_failures", "", 200, &list)
		return len(list.Alarms) > 0
	})
	a := list.Alarms[0]
	if len(list.Alarms) != 1 || a.Device != "bike-1" || a.Severity != "warning" || a.Times != 1 {
		t.Fatalf("alarms: %+v", list.Alarms)
	}
	v.until("the webhook hears of the void and of the alarm", 30*time.Second, func() bool {
		return hears.events("alarm.raised") == 1 && hears.events("order.voided") == 1
	})
	if hears.events("order.settled") != 0 {
		t.Error("a webhook heard what it did not ask for")
	}
	do(viewer, http.MethodPost, "/v1/operator/alarms/"+a.ID+"/acknowledge", `{}`, 403, nil)
	do(field, http.MethodPost, "/v1/operator/alarms/"+a.ID+"/acknowledge", `{"reason":"I go and look"}`, 200, &a)
	if a.AckedBy != field.id || a.Comment != "I go and look" {
		t.Errorf("taken on: %+v", a)
	}
	do(field, http.MethodPost, "/v1/operator/alarms/"+a.ID+"/snooze", `{"until":"2020-01-01T00:00:00Z"}`, 422, nil)
	do(field, http.MethodPost, "/v1/operator/alarms/"+a.ID+"/snooze", "", 200, &a)
	if a.Snoozed == nil || a.AckedBy != field.id {
		t.Errorf("hidden: %+v", a)
	}
	do(field, http.MethodPost, "/v1/operator/alarms/"+a.ID+"/clear", `{"reason":"oiled"}`, 200, &a)
	do(field, http.MethodPost, "/v1/operator/alarms/"+a.ID+"/clear", `{}`, 409, nil)
	do(field, http.MethodPost, "/v1/operator/alarms/no-such/clear", `{}`, 404, nil)
	v.until("the webhook hears that it was put away", 30*time.Second, func() bool { return hears.events("alarm.cleared") == 1 })
	if n := hears.events("alarm.raised"); n != 1 {
		t.Errorf("one entry was told %d times", n)
	}

	// A receiver that is down gets it later; one event keeps its id over tries and replays.
	hears.set(func() { hears.refuse = true })
	do(admin, http.MethodPost, "/v1/operator/webhooks/"+hook.ID+"/test", "", 202, nil)
	var page api.DeliveryPage
	v.until("the failed try is noted", 30*time.Second, func() bool {
		do(admin, http.MethodGet, "/v1/operator/webhooks/"+hook.ID+"/deliveries?limit=1", "", 200, &page)
		return len(page.Deliveries) == 1 && page.Deliveries[0].Tries > 0
	})
	if d := page.Deliveries[0]; d.State != "waiting" || d.Status != 503 || !strings.Contains(d.Error, "not now") || page.NextCursor == "" {
		t.Errorf("a failed try: %+v", d)
	}
	hears.set(func() { hears.refuse = false })
	v.until("it arrives by itself", 30*time.Second, func() bool { return hears.events("webhook.test") == 1 })
	do(admin, http.MethodPost, "/v1/operator/webhooks/"+hook.ID+"/deliveries/"+page.Deliveries[0].ID+"/replay", "", 202, nil)
	v.until("it is sent again", 30*time.Second, func() bool { return hears.events("webhook.test") == 2 })
	hears.set(func() {
		if last := len(hears.ids) - 1; hears.ids[last] != page.Deliveries[0].Event {
			t.Errorf("a replay has id %s, the event %s", hears.ids[last], page.Deliveries[0].Event)
		}
	})
	// With a new secret both sign: the receiver above still checks by the old one.
	do(admin, http.MethodPost, "/v1/operator/webhooks/"+hook.ID+"/rotate", `{"reason":"yearly"}`, 200, nil)
	do(admin, http.MethodPost, "/v1/operator/webhooks/"+hook.ID+"/test", "", 202, nil)
	v.until("the old secret still verifies", 30*time.Second, func() bool { return hears.events("webhook.test") == 3 })
	do(admin, http.MethodPost, "/v1/operator/webhooks/"+hook.ID+"/remove", `{"reason":"the screen broke"}`, 204, nil)
	do(admin, http.MethodPost, "/v1/operator/webhooks/"+hook.ID+"/test", "", 404, nil)
}

// TestOneActOnManyDevices: a filter's devices are counted before, acted on one by one, and
// what became of each is told.
func TestOneActOnManyDevices(t *testing.T) {
	t.Parallel()
	bikes := []string{"bike-1", "bike-2", "bike-3", "bike-4"}
	v := newVenue(t, venueConfig{Bikes: bikes, Riders: []string{"ada"}})
	admin := v.staff()
	post := func(key, body string, want int, out any) {
		t.Helper()
		status, code, b := v.ask(admin, http.MethodPost, "/v1/operator/bulk", key, body)
		if status != want {
			t.Fatalf("%s: %d %s %s, want %d", body, status, code, b, want)
		}
		if out != nil {
			if err := json.Unmarshal(b, out); err != nil {
				t.Fatal(err)
			}
		}
	}
	var preview api.BulkPreview
	post("", `{"filter":{"kind":"lock"},"act":"maintenance","preview":true}`, 200, &preview)
	if preview.Count != 4 || preview.Sample[0] != "bike-1" || preview.Set == "" {
		t.Fatalf("preview: %+v", preview)
	}
	all := `"set":"` + preview.Set + `"}`
	var two api.BulkPreview
	post("", `{"filter":{"ids":["bike-3","bike-4"]},"act":"retire","preview":true}`, 200, &two)
	post("", `{"filter":{"kind":"lock"},"act":"maintenance","reason":"winter",`+all, 400, nil)
	post("k1", `{"filter":{"kind":"lock"},"act":"maintenance","reason":"winter","set":"`+two.Set+`"}`, 409, nil)
	post("k1", `{"filter":{"ids":["bike-1","bike-2"]},"act":"retire","reason":"scrapped","set":"`+two.Set+`"}`, 409, nil) // as many, and others
	post("k1", `{"filter":{"kind":"lock"},"act":"maintenance","reason":"winter"}`, 409, nil)
	post("k2", `{"filter":{"kind":"lock"},"act":"maintenance",`+all, 422, nil)
	post("k3", `{"filter":{"kind":"boat"},"act":"maintenance","reason":"winter",`+all, 422, nil)
	post("k4", `{"filter":{"kind":"lock"},"act":"transfer","args":{"venue":"nowhere"},"reason":"winter",`+all, 404, nil)
	// bike-4 is ridden: it cannot be retired; the others can.
	ada := v.rider("ada", 0, 5000)
	o, err := v.start(ada, "bike-4")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	run := func(key, body string) (d api.BulkDetail) {
		t.Helper()
		var b, again api.Bulk
		post(key, body, 202, &b)
		post(key, body, 202, &again)
		if b.ID != again.ID {
			t.Fatalf("the same request made %s and %s", b.ID, again.ID)
		}
		v.until("the bulk is over", 30*time.Second, func() bool {
			if err := admin.do(v.ctx, http.MethodGet, "/v1/operator/bulk/"+b.ID, "", nil, &d); err != nil {
				t.Fatal(err)
			}
			return d.State == "done"
		})
		return d
	}
	d := run("k5", `{"filter":{"kind":"lock"},"act":"maintenance","reason":"winter",`+all)
	if d.Done != 4 || d.Failed != 0 {
		t.Errorf("maintenance: %+v", d)
	}
	d = run("k6", `{"filter":{"ids":["bike-3","bike-4"]},"act":"retire","reason":"scrapped","set":"`+two.Set+`"}`)
	if d.Done != 1 || d.Failed != 1 || d.Results[1].Device != "bike-4" || d.Results[1].Code != "outlet_busy" || d.Results[1].Detail == "" {
		t.Errorf("retire: %+v", d)
	}
	// What is so already is done, and leaves no second audit row.
	if d := run("k7", `{"filter":{"ids":["bike-1","bike-2","bike-3","bike-4"]},"act":"maintenance","reason":"again",`+all); d.Done != 3 || d.Failed != 1 || d.Results[2].Code != "wrong_state" {
		t.Errorf("maintenance of what is in maintenance, and of a retired one: %+v", d)
	}
	if d := run("k8", `{"filter":{"ids":["bike-3"]},"act":"retire","reason":"again","set":"`+setOfOne(v, admin, "bike-3")+`"}`); d.Done != 1 || d.Failed != 0 {
		t.Errorf("retiring a retired one: %+v", d)
	}
	status, _, csv := v.ask(admin, http.MethodGet, "/v1/operator/bulk/"+d.ID+"/results.csv", "", "")
	if want := "\ufeffdevice,state,code,detail,at\r\n"; status != 200 || !strings.HasPrefix(string(csv), want) || !strings.Contains(string(csv), "bike-4,failed,outlet_busy,") {
		t.Errorf("%d %q", status, csv)
	}
	acts := 0
	rows, err := v.nodes[0].db.AuditPage(v.ctx, "", 500)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Act == "device.maintenance" && strings.Contains(r.Reason, "winter (bulk ") {
			acts++
		}
		if strings.Contains(r.Reason, "again (bulk ") {
			t.Errorf("an act that changed nothing has an audit row: %+v", r)
		}
	}
	if acts != 4 {
		t.Errorf("%d audit rows of devices, want 4", acts)
	}
	v.direct("bike-4", "close", nil)
	v.reaches(ada, o.ID, "settled", 30*time.Second)
}

// setOfOne is what a preview calls a set of one device.
func setOfOne(v *venue, c client, id string) string {
	v.t.Helper()
	_, _, b := v.ask(c, http.MethodPost, "/v1/operator/bulk", "", `{"filter":{"ids":["`+id+`"]},"act":"ring","preview":true}`)
	var p api.BulkPreview
	if err := json.Unmarshal(b, &p); err != nil || p.Count != 1 {
		v.t.Fatalf("preview of %s: %s, %v", id, b, err)
	}
	return p.Set
}
