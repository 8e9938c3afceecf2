package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
)

// ask sends one request with raw bytes and returns status, code and body.
func (v *venue) ask(c client, method, path, key, body string) (int, string, []byte) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	var p struct {
		Code, Type, Title string
		Status            int
	}
	if answer.StatusCode >= 400 {
		if err := json.Unmarshal(b, &p); err != nil || p.Code == "" || p.Title == "" || p.Type == "" || p.Status != answer.StatusCode ||
			answer.Header.Get("Content-Type") != "application/problem+json" {
			v.t.Errorf("%s %s: not a problem document: %s", method, path, b)
		}
	}
	return answer.StatusCode, p.Code, b
}

func (v *venue) ticket(c client, bike string) string {
	v.t.Helper()
	var scan struct{ Ticket string }
	if err := c.do(v.ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": v.codes[bike]}, &scan); err != nil {
		v.t.Fatal(err)
	}
	return scan.Ticket
}

func ordering(ticket string) string { return `{"ticket":"` + ticket + `","pay_with":"wallet"}` }

// TestEachBadRequestIsANamedProblemAndChangesNothing walks what bad input gets.
func TestEachBadRequestIsANamedProblemAndChangesNothing(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"free", "busy", "low", "repair", "gone"},
		Riders: []string{"ada", "ben", "poor", "blocked"}})
	ada, ben := v.rider("ada", 0, 10_000), v.rider("ben", 0, 10_000)
	poor, blocked := v.rider("poor", 0, 0), v.rider("blocked", 0, 10_000)
	n := v.nodes[0]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	busy, err := v.start(ben, "busy")
	must(err)
	v.reaches(ben, busy.ID, "active", 30*time.Second)
	v.direct("low", "battery", map[string]any{"percent": 1})
	v.until("the battery is known to be low", 10*time.Second, func() bool {
		percent, ok := n.orders.LastKnown.Battery("low")
		return ok && percent == 1
	})
	staff := seedAudit("x", "y")
	_, err = n.orders.SetService(t.Context(), order.SetService{Device: "repair", Service: device.Maintenance, Staff: staff})
	must(err)
	must(n.db.BlockRider(t.Context(), blocked.id, true, seedAudit("block", "rider "+blocked.id)))
	blocked = v.rider("blocked", 0, 0)
	number := func(bike string) string { return v.codes[bike][len(v.codes[bike])-14:] }
	must(n.db.RevokeCode(t.Context(), number("gone"), seedAudit("revoke", "code")))
	forged := number("free")[:13] + string('0'+(number("free")[13]-'0'+1)%10)
	mistyped := string('0'+(number("free")[0]-'0'+1)%10) + number("free")[1:]
	unknown, err := n.minter.Mint(bytes.NewReader([]byte("a number that nobody printed, ever")))
	must(err)

	stolen, used, twice := v.ticket(ben, "free"), "", v.ticket(ada, "free")
	old, err := n.orders.Tickets.Make(strings.NewReader("twelve bytes of chance"), order.Ticket{Rider: ada.id, Device: "free",
		Outlet: 1, Epoch: 1, Tariff: "test", Version: 1, Expires: time.Now().Add(-time.Second).UnixMilli()})
	must(err)
	scan := func(n string) string { return `{"number":"` + n + `"}` }
	for _, x := range []struct {
		what         string
		c            client
		method, path string
		key, body    string
		status       int
		code         string
	}{
		{"a forged code", ada, "POST", "/v1/scans", "", scan(forged), 422, "code_forged"},
		{"a mistyped code", ada, "POST", "/v1/scans", "", scan(mistyped), 422, "code_mistyped"},
		{"a foreign code", ada, "POST", "/v1/scans", "", `{"url":"https://elsewhere.test/d/` + number("free") + `"}`, 422, "code_foreign"},
		{"no code at all", ada, "POST", "/v1/scans", "", `{"url":"https://q.test/menu"}`, 422, "not_a_code"},
		{"a code that nobody has", ada, "POST", "/v1/scans", "", scan(string(unknown)), 404, "code_unknown"},
		{"a revoked code", ada, "POST", "/v1/scans", "", scan(number("gone")), 410, "code_revoked"},
		{"no token", client{base: ada.base}, "POST", "/v1/scans", "", scan(number("free")), 401, "unauthenticated"},
		{"a made-up token", client{base: ada.base, token: "x"}, "GET", "/v1/me", "", "", 401, "unauthenticated"},
		{"a made-up ticket", ada, "POST", "/v1/orders", "k1", ordering("nonsense"), 422, "ticket_invalid"},
		{"an altered ticket", ada, "POST", "/v1/orders", "k2", ordering(twice[:len(twice)-4] + "AAAA"), 422, "ticket_invalid"},
		{"a stolen ticket", ada, "POST", "/v1/orders", "k3", ordering(stolen), 403, "ticket_foreign"},
		{"an old ticket", ada, "POST", "/v1/orders", "k4", ordering(old), 410, "ticket_expired"},
		{"no idempotency key", ada, "POST", "/v1/orders", "", ordering(twice), 400, "idempotency_key_missing"},
		{"a preset for a lock", ada, "POST", "/v1/orders", "k5", `{"ticket":"` + twice + `","pay_with":"wallet","preset":{"grade":"92","amount_fen":100}}`, 422, "preset_not_taken"},
		{"an unknown way to pay", ada, "POST", "/v1/orders", "k6", `{"ticket":"` + twice + `","pay_with":"gold"}`, 422, ""},
		{"staff's way to pay", ada, "POST", "/v1/orders", "k7", `{"ticket":"` + twice + `","pay_with":"service"}`, 422, ""},
		{"an unknown field", ada, "POST", "/v1/orders", "k8", `{"ticket":"` + twice + `","pay_with":"wallet","price":1}`, 400, "bad_request"},
		{"a wrong type", ada, "POST", "/v1/orders", "k9", `{"ticket":17,"pay_with":"wallet"}`, 400, "bad_request"},
		{"no JSON", ada, "POST", "/v1/orders", "k10", `ticket please`, 400, "bad_request"},
		{"a body too large", ada, "POST", "/v1/orders", "k11", `{"ticket":"` + strings.Repeat("x", 20<<10) + `"}`, 413, "body_too_large"},
		{"a bike in use", ada, "POST", "/v1/orders", "k12", ordering(v.ticket(ada, "busy")), 409, "outlet_busy"},
		{"a bike with a low battery", ada, "POST", "/v1/orders", "k13", ordering(v.ticket(ada, "low")), 409, "battery_low"},
		{"a bike in repair", ada, "POST", "/v1/orders", "k14", ordering(v.ticket(ada, "repair")), 409, "not_in_service"},
		{"no money", poor, "POST", "/v1/orders", "k15", ordering(v.ticket(poor, "free")), 402, "balance_too_low"},
		{"a blocked rider", blocked, "POST", "/v1/orders", "k16", ordering(v.ticket(blocked, "free")), 403, "rider_blocked"},
		{"a second bike at once", ben, "POST", "/v1/orders", "k17", ordering(stolen), 409, "too_many_live_orders"},
		{"a foreign order", ada, "GET", "/v1/orders/" + busy.ID, "", "", 404, "order_unknown"},
		{"a foreign order to end", ada, "POST", "/v1/orders/" + busy.ID + "/end", "", "", 404, "order_unknown"},
		{"an order out of thin air", ada, "GET", "/v1/orders/nothing", "", "", 404, "order_unknown"},
		{"an open lock to end", ben, "POST", "/v1/orders/" + busy.ID + "/end", "", "", 409, "still_open"},
		{"a ride to cancel", ben, "POST", "/v1/orders/" + busy.ID + "/cancel", "", "", 409, "wrong_state"},
		{"staff's route with a rider's token", ada, "GET", "/v1/operator/devices", "", "", 401, ""},
		{"an unknown route", ada, "GET", "/v1/nonsense", "", "", 404, ""},
		{"a wrong method", ada, "DELETE", "/v1/me", "", "", 405, ""},
		{"a used login code", client{base: ada.base}, "POST", "/v1/login", "", `{"login_code":"spent"}`, 401, "login_code_invalid"},
	} {
		status, code, body := v.ask(x.c, x.method, x.path, x.key, x.body)
		if status != x.status || x.code != "" && code != x.code {
			t.Errorf("%s: %d %s, want %d %s\n%s", x.what, status, code, x.status, x.code, body)
		}
	}
	if p, err := n.db.Wallet(t.Context(), ada.id); err != nil || p.Balance != 10_000 || p.Held != 0 {
		t.Errorf("after all refusals ada's wallet is %+v (%v), want 10000 and nothing held", p, err)
	}
	if all, err := n.db.Orders(t.Context(), order.Page{Limit: 100}); err != nil || len(all) != 1 {
		t.Errorf("after all refusals there are %d orders (%v), want ben's alone", len(all), err)
	}
	if refused := n.api.Refusals(); refused["code_forged"] != 1 || refused["outlet_busy"] != 1 || refused["bad_request"] < 3 {
		t.Errorf("refusals counted: %v, want each by its code", refused)
	}

	// The same request twice: one effect, the same bytes back; another body: no.
	status, _, first := v.ask(ada, "POST", "/v1/orders", "once", ordering(twice))
	again, _, second := v.ask(ada, "POST", "/v1/orders", "once", ordering(twice))
	if status != 201 || again != 201 || !bytes.Equal(first, second) {
		t.Errorf("the same request twice: %d and %d, bytes equal %v\n%s\n%s", status, again, bytes.Equal(first, second), first, second)
	}
	if status, code, _ := v.ask(ada, "POST", "/v1/orders", "once", ordering(stolen)); status != 422 || code != "idempotency_key_reused" {
		t.Errorf("the same key with another body: %d %s, want 422 idempotency_key_reused", status, code)
	}
	var o seen
	must(json.Unmarshal(first, &o))
	used = twice
	v.reaches(ada, o.ID, "active", 30*time.Second)
	for bike, c := range map[string]client{"free": ada, "busy": ben} {
		v.direct(bike, "close", nil)
		id := o.ID
		if bike == "busy" {
			id = busy.ID
		}
		v.reaches(c, id, "settled", 30*time.Second)
	}
	if status, code, _ := v.ask(ada, "POST", "/v1/orders", "k20", ordering(used)); status != 409 || code != "ticket_used" {
		t.Errorf("a used ticket: %d %s, want 409 ticket_used", status, code)
	}
	v.judge("free", "busy")
}

// TestTwoRidersInTheSameMillisecond: one wins, the other is told why.
func TestTwoRidersInTheSameMillisecond(t *testing.T) {
	v := newVenue(t, venueConfig{Bikes: []string{"bike"}, Riders: []string{"ada", "ben"}})
	riders := []client{v.rider("ada", 0, 10_000), v.rider("ben", 0, 10_000)}
	tickets := []string{v.ticket(riders[0], "bike"), v.ticket(riders[1], "bike")}
	answers := make(chan string, 2)
	for i, c := range riders {
		go func() {
			status, code, _ := v.ask(c, "POST", "/v1/orders", "k", ordering(tickets[i]))
			answers <- fmt.Sprint(status, " ", code)
		}()
	}
	got := []string{<-answers, <-answers}
	if !(got[0] == "201 " && got[1] == "409 outlet_busy" || got[1] == "201 " && got[0] == "409 outlet_busy") {
		t.Errorf("two riders at once got %v, want one 201 and one 409 outlet_busy", got)
	}
	v.judge("bike")
}

// TestStaffPutRight walks what the operator needs: a key from the first-run link,
// a service unlock, an end by staff, a refund, each with its audit row.
func TestStaffPutRight(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike", "spare"}, Riders: []string{"ada"}})
	n := v.nodes[0]
	link, err := n.firstRun(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(link, "link=")
	var made struct {
		APIKey string `json:"api_key"`
	}
	open := client{base: n.url()}
	if err := open.do(t.Context(), "POST", "/v1/operator/first-run", "", map[string]string{"link": secret, "name": "Lin"}, &made); err != nil {
		t.Fatal(err)
	}
	if err := open.do(t.Context(), "POST", "/v1/operator/first-run", "", map[string]string{"link": secret, "name": "Eve"}, nil); err == nil {
		t.Error("the first-run link worked twice")
	}
	lin := client{base: n.url(), token: made.APIKey}
	ada := v.rider("ada", 0, 10_000)
	o, err := v.start(ada, "bike")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	reason := map[string]any{"reason": "the rider called"}
	if err := lin.do(t.Context(), "POST", "/v1/operator/orders/"+o.ID+"/end", "", reason, nil); err != nil {
		t.Fatal(err)
	}
	ended := v.reaches(ada, o.ID, "settled", 10*time.Second)
	if ended.EndedBy != "staff_ended" {
		t.Errorf("ended by %s, want staff_ended", ended.EndedBy)
	}
	if _, err := v.start(ada, "bike"); err == nil || refusal(err) != "outlet_blocked" && refusal(err) != "outlet_open" {
		t.Errorf("an outlet that is not proved closed was offered again: %v", err)
	}
	refund := map[string]any{"order": o.ID, "amount_fen": ended.Charged, "reason": "as promised"}
	for range 2 { // the same key: once
		if err := lin.do(t.Context(), "POST", "/v1/operator/refunds", "refund-1", refund, nil); err != nil {
			t.Fatal(err)
		}
	}
	refund["amount_fen"] = 1
	if err := lin.do(t.Context(), "POST", "/v1/operator/refunds", "refund-2", refund, nil); err == nil {
		t.Error("more was refunded than was charged")
	}
	if p, _ := n.db.Wallet(t.Context(), ada.id); p.Balance != 10_000 {
		t.Errorf("after the refund the wallet is %+v, want 10000", p)
	}
	v.direct("bike", "close", nil)
	var unlock seen
	if err := lin.do(t.Context(), "POST", "/v1/operator/orders", "unlock-1", map[string]any{"device": "spare", "reason": "to clean it"}, &unlock); err != nil {
		t.Fatal(err)
	}
	v.until("the spare bike opened for staff", 30*time.Second, func() bool { return !v.body("spare").Closed })
	v.direct("spare", "close", nil)
	v.until("the service order is settled", 30*time.Second, func() bool {
		s, err := n.db.Order(t.Context(), unlock.ID)
		return err == nil && s.State == order.Settled && s.Charged == 0
	})
	// Of several who replace one sticker at once, one does.
	number := v.codes["spare"][len(v.codes["spare"])-14:]
	answers := make(chan string, 4)
	for range 4 {
		go func() {
			status, code, _ := v.ask(lin, "POST", "/v1/operator/codes/"+number+"/remint", "", "{}")
			answers <- fmt.Sprint(status, code)
		}()
	}
	count := map[string]int{}
	for range 4 {
		count[<-answers]++
	}
	if count["201"] != 1 || count["410code_revoked"] != 3 {
		t.Errorf("four at once who replace one code: %v, want one 201 and three 410 code_revoked", count)
	}
	var keys struct{ Keys []struct{ ID string } }
	if err := lin.do(t.Context(), "GET", "/v1/operator/keys", "", nil, &keys); err != nil || len(keys.Keys) != 1 {
		t.Fatalf("keys: %+v, %v", keys, err)
	}
	if status, code, _ := v.ask(lin, "POST", "/v1/operator/keys/"+keys.Keys[0].ID+"/revoke", "", "{}"); status != 409 || code != "last_admin_key" {
		t.Errorf("revoking the last admin's key: %d %s, want 409 last_admin_key", status, code)
	}
	twice := `{"reason":"new","devices":[{"id":"bike-9","kind":"lock","venue":"campus"},{"id":"bike-9","kind":"lock","venue":"campus"}]}`
	if _, _, b := v.ask(lin, "POST", "/v1/operator/devices", "", twice); strings.Count(string(b), "device_key") != 1 {
		t.Errorf("one id twice in a request gave\n%s\nwant one file", b)
	}
	rows, err := n.db.AuditPage(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	acts := 0
	for _, r := range rows {
		if r.Object == "order "+o.ID || r.Object == "order "+unlock.ID {
			acts++
		}
	}
	if acts != 3 {
		t.Errorf("%d audit rows for an end, a refund and a service unlock, want 3", acts)
	}
	v.judge("bike", "spare")
}

// TestPageBehindACode asks for the page as any phone would.
func TestPageBehindACode(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike"}, Riders: []string{"ada"}})
	code, err := qr.Parse(v.codes["bike"], "q.test")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/d/" + string(code.Number):            {200, qr.Format(code.Number)},
		"/d/" + string(code.Number)[:13] + "x": {422, ""},
		"/d/" + "00000000000000":               {422, ""},
	} {
		answer, err := http.Get(v.nodes[0].url() + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != want.status && !(want.status == 422 && answer.StatusCode == 404) || !strings.Contains(string(b), want.text) {
			t.Errorf("%s: %d, want %d with %q\n%s", path, answer.StatusCode, want.status, want.text, b)
		}
		if strings.Contains(string(b), "://") && strings.Contains(string(b), "src=\"http") {
			t.Errorf("%s asks somebody else for something", path)
		}
	}
}
