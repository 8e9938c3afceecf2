package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
)

// TestAMovedDeviceLeavesItsPastBehind: members of its new venue alone see what is since it
// came, on its page and on every list of it; who sees all venues sees all of it.
func TestAMovedDeviceLeavesItsPastBehind(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"ada"}})
	db, admin := v.nodes[0].db, v.staff()
	if err := admin.do(v.ctx, http.MethodPut, "/v1/operator/venues/south", "", map[string]any{"name": "South", "time_zone": "Asia/Shanghai", "open": true,
		"lat": 31.2, "lng": 121.4}, nil); err != nil {
		t.Fatal(err)
	}
	text, hash := api.NewSecret("ul_")
	member := order.Staff{ID: newUUID(), Name: "south alone", Role: order.Field, Venues: []string{"south"}}
	if err := db.AddStaff(v.ctx, member, order.APIKey{ID: newUUID(), Staff: member.ID, Label: "test", Role: order.Field}, hash, seedAudit("staff.add", "staff")); err != nil {
		t.Fatal(err)
	}
	scoped := client{base: v.nodes[0].url(), token: text, id: member.ID}
	do := func(c client, method, path, body string, want int) string {
		t.Helper()
		status, code, b := v.ask(c, method, "/v1/operator"+path, newUUID(), body)
		if status != want {
			t.Fatalf("%s %s: %d %s %s, want %d", method, path, status, code, b, want)
		}
		return string(b)
	}
	ada := v.rider("ada", 0, 5000)
	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	v.direct("bike-1", "close", nil)
	v.reaches(ada, o.ID, "settled", 30*time.Second)
	do(admin, http.MethodPost, "/devices/bike-1/notes", `{"text":"the north key is under the mat"}`, 201)
	if _, err := db.NotePositions(v.ctx, []order.DeviceAt{{Device: "bike-1", Point: order.Point{Lat: 31.25, Lng: 121.5}}}, true); err != nil {
		t.Fatal(err)
	}
	past := func(c client) map[string]int {
		t.Helper()
		var d api.DeviceDetail
		if err := json.Unmarshal([]byte(do(c, http.MethodGet, "/devices/bike-1", "", 200)), &d); err != nil {
			t.Fatal(err)
		}
		var lists struct {
			Commands, Evidence, Notes, Positions, Orders []json.RawMessage
		}
		for _, list := range []string{"/devices/bike-1/commands", "/devices/bike-1/evidence", "/devices/bike-1/notes", "/devices/bike-1/positions", "/orders?device=bike-1"} {
			if err := json.Unmarshal([]byte(do(c, http.MethodGet, list, "", 200)), &lists); err != nil {
				t.Fatal(err)
			}
		}
		return map[string]int{"commands of the page": len(d.Commands), "evidence of the page": len(d.Evidence), "notes of the page": len(d.Notes),
			"commands": len(lists.Commands), "evidence": len(lists.Evidence), "notes": len(lists.Notes), "positions": len(lists.Positions), "orders": len(lists.Orders)}
	}
	do(scoped, http.MethodGet, "/devices/bike-1", "", 404)
	before := past(admin)
	for what, n := range before {
		if n == 0 {
			t.Errorf("before the move there are no %s", what)
		}
	}
	do(admin, http.MethodPost, "/devices/bike-1/transfer", `{"venue":"south","reason":"more riders there"}`, 200)
	for what, n := range past(scoped) {
		if n != 0 {
			t.Errorf("the new venue sees %d %s from before", n, what)
		}
	}
	if said := do(scoped, http.MethodGet, "/devices/bike-1/diagnosis", "", 200); strings.Contains(said, o.ID) {
		t.Errorf("the diagnosis names an order from before: %s", said)
	}
	after := past(admin)
	for what, n := range before {
		if after[what] < n {
			t.Errorf("who sees all venues sees %d %s after the move, %d before", after[what], what, n)
		}
	}
	do(scoped, http.MethodPost, "/devices/bike-1/notes", `{"text":"arrived"}`, 201)
	do(scoped, http.MethodPost, "/devices/bike-1/commands", `{"kind":"probe","outlet":1,"reason":"is it well"}`, 202)
	if now := past(scoped); now["notes"] != 1 || now["commands"] == 0 || now["notes of the page"] != 1 || now["commands of the page"] == 0 {
		t.Errorf("of what is since the move the new venue sees %v", now)
	}
}

// TestACodeBelongsWhereItsDeviceStands: members of the venue to which a device was moved
// deal with the sticker on it, which another venue printed.
func TestACodeBelongsWhereItsDeviceStands(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}})
	admin := v.staff()
	do := func(c client, method, path, body string, want int) []byte {
		t.Helper()
		status, code, b := v.ask(c, method, "/v1/operator"+path, newUUID(), body)
		if status != want {
			t.Errorf("%s %s: %d %s, want %d", method, path, status, code, want)
		}
		return b
	}
	do(admin, http.MethodPut, "/venues/south", `{"name":"South","time_zone":"Asia/Shanghai","open":true}`, 200)
	var batch struct{ ID string }
	_ = json.Unmarshal(do(admin, http.MethodPost, "/codes/batches", `{"venue":"campus","count":1}`, 201), &batch)
	var list struct{ Codes []struct{ Number string } }
	_ = json.Unmarshal(do(admin, http.MethodGet, "/codes/batches/"+batch.ID+"/codes", "", 200), &list)
	number := strings.ReplaceAll(list.Codes[0].Number, "-", "")
	do(admin, http.MethodPost, "/codes/"+number+"/bind", `{"device":"bike-1"}`, 200)
	do(admin, http.MethodPost, "/devices/bike-1/transfer", `{"venue":"south","reason":"r"}`, 200)
	field := v.staffed(order.Field)
	if _, err := v.owner().Exec(v.ctx, `UPDATE staff SET venues = '{south}' WHERE id = $1`, field.id); err != nil {
		t.Fatal(err)
	}
	do(field, http.MethodGet, "/codes?device=bike-1", "", 200)
	do(field, http.MethodGet, "/codes/"+number, "", 200)
	do(field, http.MethodPost, "/codes/"+number+"/revoke", `{"reason":"pasted over"}`, 200)
}
