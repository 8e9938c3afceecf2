package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
)

// TestAPasskeyNeedsAFreshProof: a cookie alone may be stolen, and a passkey outlives it.
func TestAPasskeyNeedsAFreshProof(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Node: func(c *nodeConfig) { c.Limits.SignIn = api.Limit{PerSecond: 1e-9, Burst: 8} }})
	lin, db := v.lin(t), v.owner()
	begin := func(b *browser, password string, status int, code string) {
		t.Helper()
		var body any
		if password != "" {
			body = map[string]string{"password": password}
		}
		got, gotCode, _ := b.ask("POST", "/passkeys/options", body)
		b.is("with the password "+password, got, gotCode, status, code)
	}
	begin(lin, "", 200, "")
	if _, err := db.Exec(v.ctx, `UPDATE logins SET created_at = now() - interval '11 minutes'`); err != nil {
		t.Fatal(err)
	}
	begin(lin, "", 403, "proof_needed")
	begin(lin, "something else entirely", 422, "password_wrong")
	begin(lin, passwordOfLin, 200, "")
	again := v.browser(t)
	if status, _, raw := again.ask("POST", "/logins", map[string]string{"name": "Lin", "password": passwordOfLin}); status != 201 {
		t.Fatalf("sign-in: %d %s", status, raw)
	}
	begin(again, "", 200, "")
	for range 5 { // of 8 tries under the name, 3 are taken
		begin(lin, "something else entirely", 422, "password_wrong")
	}
	begin(lin, passwordOfLin, 429, "too_many_requests")
	key := client{base: v.nodes[0].url(), token: v.staffed(order.Admin).token}
	status, code, _ := v.ask(key, "POST", "/v1/operator/passkeys/options", "", `{"password":"`+passwordOfLin+`"}`)
	lin.is("a key with the password", status, code, 403, "login_needed")
}

// TestWhatLetsPeopleInNeedsAFreshLogin: who finds a cookie that is older than ten minutes
// makes no member, no invite and no key with it; its owner signs in again and does.
func TestWhatLetsPeopleInNeedsAFreshLogin(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{})
	lin, db := v.lin(t), v.owner()
	mei := v.staffed(order.Viewer).id
	acts := []struct {
		method, path string
		body         map[string]any
		status       int
	}{
		{"POST", "/staff", map[string]any{"name": "Kim", "role": "viewer", "invite": true}, 201},
		{"POST", "/keys", map[string]any{"staff": mei, "label": "script", "role": "viewer"}, 201},
		{"PUT", "/staff/" + mei, map[string]any{"role": "field", "venues": nil, "disabled": false, "reason": "moves up"}, 200},
		{"POST", "/staff/" + mei + "/invite", map[string]any{"reason": "lost"}, 201},
	}
	if _, err := db.Exec(v.ctx, `UPDATE logins SET created_at = now() - interval '11 minutes'`); err != nil {
		t.Fatal(err)
	}
	for _, a := range acts {
		got, code, _ := lin.ask(a.method, a.path, a.body)
		lin.is(a.path+" with an old login", got, code, 403, "proof_needed")
	}
	var made int
	if err := db.QueryRow(v.ctx, `SELECT count(*) FROM staff WHERE name = 'Kim' OR id::text = $1 AND role <> 'viewer'`, mei).Scan(&made); err != nil || made != 0 {
		t.Fatalf("%d members were made or changed, %v", made, err)
	}
	if got, code, _ := lin.ask("POST", "/logins", map[string]string{"name": "Lin", "password": passwordOfLin}); got != 201 {
		t.Fatalf("signing in again: %d %s", got, code)
	}
	for _, a := range acts {
		got, code, _ := lin.ask(a.method, a.path, a.body)
		lin.is(a.path+" once signed in again", got, code, a.status, "")
	}
}

// TestAdminsEndOthersPasskeys, and nobody else sees or ends them.
func TestAdminsEndOthersPasskeys(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{})
	db := v.owner()
	person := func(role order.Role, venues []string) (id string, b *browser) {
		t.Helper()
		c := v.staffed(role)
		if _, err := db.Exec(v.ctx, `UPDATE staff SET venues = $2 WHERE id = $1`, c.id, venues); err != nil {
			t.Fatal(err)
		}
		return c.id, v.signedIn(t, db, c.id, time.Hour)
	}
	passkey := func(staff string) (id string) {
		t.Helper()
		id = newUUID()
		if _, err := db.Exec(v.ctx, `INSERT INTO passkeys (id, staff, label, credential_id, credential, created_at) VALUES ($1, $2, 'desk', $3, '{}', now())`,
			id, staff, []byte(id)); err != nil {
			t.Fatal(err)
		}
		return id
	}
	linID, lin := person(order.Admin, nil)
	meiID, mei := person(order.Finance, nil)
	_, local := person(order.Admin, []string{demoVenue})
	ofLin, ofMei := passkey(linID), passkey(meiID)
	list := func(b *browser, of string, status int, code string) (ids []string) {
		t.Helper()
		got, gotCode, raw := b.ask("GET", "/passkeys"+of, nil)
		b.is("list "+of, got, gotCode, status, code)
		var page api.PasskeyList
		_ = json.Unmarshal(raw, &page)
		for _, p := range page.Passkeys {
			ids = append(ids, p.ID)
		}
		return ids
	}
	if got := list(lin, "?staff="+meiID, 200, ""); !slices.Equal(got, []string{ofMei}) {
		t.Errorf("mei's passkeys: %v", got)
	}
	if got := list(lin, "", 200, ""); !slices.Equal(got, []string{ofLin}) {
		t.Errorf("lin's own passkeys: %v", got)
	}
	list(mei, "?staff="+meiID, 200, "")
	list(mei, "?staff="+linID, 403, "role_insufficient")
	list(local, "?staff="+meiID, 403, "venue_scope")
	revoke := func(b *browser, what, id string, status int, code string) {
		t.Helper()
		got, gotCode, _ := b.ask("POST", "/passkeys/"+id+"/revoke", map[string]string{"reason": "lost"})
		b.is(what, got, gotCode, status, code)
	}
	revoke(mei, "finance ends an admin's", ofLin, 404, "passkey_unknown")
	revoke(local, "an admin of a venue ends one", ofMei, 404, "passkey_unknown")
	revoke(lin, "an admin ends mei's", ofMei, 204, "")
	rows, err := v.nodes[0].db.AuditPage(v.ctx, "", 10)
	if err != nil || len(rows) == 0 || rows[0].Act != "passkey.revoke" || rows[0].Staff != linID || rows[0].Reason != "lost" || !strings.Contains(string(rows[0].Before), meiID) {
		t.Errorf("the newest audit row: %+v, %v", rows, err)
	}
}

// TestAnOpenPageKeepsNoLoginFromEnding: what it asks by itself is no use of the login.
func TestAnOpenPageKeepsNoLoginFromEnding(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{})
	lin, db := v.lin(t), v.owner()
	ask := func(path, unattended string) (status int) {
		t.Helper()
		if _, err := db.Exec(v.ctx, `UPDATE logins SET seen_at = now() - interval '11 hours'`); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, lin.base+"/v1/operator"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if unattended != "" {
			r.Header.Set("X-Unattended", unattended)
		}
		answer, err := lin.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close() // a stream has said that it is there
		return answer.StatusCode
	}
	for _, c := range []struct {
		path, unattended string
		used             bool
	}{{"/me", "", true}, {"/me", "1", false}, {"/updates", "", false}} {
		if status := ask(c.path, c.unattended); status != 200 {
			t.Fatalf("%s: %d", c.path, status)
		}
		var used bool
		if err := db.QueryRow(v.ctx, `SELECT seen_at > now() - interval '1 hour' FROM logins`).Scan(&used); err != nil || used != c.used {
			t.Errorf("%s, unattended %q: used %v, want %v; %v", c.path, c.unattended, used, c.used, err)
		}
	}
	if _, err := db.Exec(v.ctx, `UPDATE logins SET seen_at = now() - interval '13 hours'`); err != nil {
		t.Fatal(err)
	}
	if who := lin.who(); who != "" {
		t.Errorf("idle for 13 hours, the login is still %s's", who)
	}
}

// TestIdsOfStaffHaveNames for everybody who works here, whatever they may.
func TestIdsOfStaffHaveNames(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{})
	db := v.owner()
	gone, viewer := v.staffed(order.Admin), v.staffed(order.Viewer)
	for id, change := range map[string]string{gone.id: "disabled_at = now(), name = 'Gone'", viewer.id: "venues = '{campus}', name = 'Vi'"} {
		if _, err := db.Exec(v.ctx, `UPDATE staff SET `+change+` WHERE id = $1`, id); err != nil {
			t.Fatal(err)
		}
	}
	var names api.MemberNames
	if err := viewer.do(v.ctx, http.MethodGet, "/v1/operator/staff/names", "", nil, &names); err != nil {
		t.Fatal(err)
	}
	if want := []api.MemberName{{ID: gone.id, Name: "Gone", Disabled: true}, {ID: viewer.id, Name: "Vi"}}; !slices.Equal(names.Staff, want) {
		t.Errorf("names: %+v, want %+v", names.Staff, want)
	}
}

// TestStaffReadARider, known, blocked, erased or none, unless they work at some venues
// alone: riders belong to none.
func TestStaffReadARider(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Riders: []string{"ada", "eve"}})
	ada, eve := v.rider("ada", 0, 0), v.rider("eve", 0, 0)
	admin, viewer, local := v.staffed(order.Admin), v.staffed(order.Viewer), v.staffed(order.Admin)
	for path, body := range map[string]string{"/riders/" + ada.id + "/block": `{"blocked":true,"reason":"r"}`, "/riders/" + ada.id + "/group": `{"group":"students","reason":"r"}`,
		"/riders/" + eve.id + "/erase": `{"reason":"r"}`} {
		if status, code, raw := v.ask(admin, http.MethodPost, "/v1/operator"+path, "", body); status >= 300 {
			t.Fatalf("%s: %d %s %s", path, status, code, raw)
		}
	}
	if _, err := v.owner().Exec(v.ctx, `UPDATE staff SET venues = '{campus}' WHERE id = $1`, local.id); err != nil {
		t.Fatal(err)
	}
	read := func(by client, id string, status int, code string) (r api.Rider, raw string) {
		t.Helper()
		got, gotCode, body := v.ask(by, http.MethodGet, "/v1/operator/riders/"+id, "", "")
		if got != status || gotCode != code {
			t.Errorf("rider %s: %d %s, want %d %s", id, got, gotCode, status, code)
		}
		_ = json.Unmarshal(body, &r)
		return r, string(body)
	}
	if r, raw := read(viewer, ada.id, 200, ""); r.ID != ada.id || !r.Blocked || r.Group != "students" || r.Since.IsZero() || r.Erased != nil ||
		strings.Contains(raw, v.double.fake.OpenID("ada")) {
		t.Errorf("ada: %s", raw)
	}
	if r, raw := read(viewer, eve.id, 200, ""); r.ID != eve.id || r.Erased == nil || r.Group != "" {
		t.Errorf("eve, erased: %s", raw)
	}
	read(viewer, newUUID(), 404, "rider_unknown")
	read(viewer, "nobody", 404, "rider_unknown")
	read(local, ada.id, 403, "venue_scope")
	read(client{base: viewer.base}, ada.id, 401, "unauthenticated")
	read(client{base: ada.base, token: ada.token}, ada.id, 401, "unauthenticated") // a rider's token
}
