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

// TestStaffFindARiderByPhoneOrderAndTime: a number that a rider gave finds them, and them
// alone; it is forgotten when they take it back or are erased, and the audit says that
// somebody looked, without the number.
func TestStaffFindARiderByPhoneOrderAndTime(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"ada", "ben"}})
	ada, ben := v.rider("ada", 0, 5000), v.rider("ben", 0, 5000)
	field := v.staffed(order.Field)
	code := func(name string) string {
		t.Helper()
		var minted struct {
			Code   string `json:"phone_code"`
			Number string `json:"phone_number"`
		}
		if err := (client{base: v.wechat}).do(v.ctx, http.MethodPost, "/riders/"+name+"/phone-code", "", map[string]string{"phone_number": "13800001234"}, &minted); err != nil {
			t.Fatal(err)
		}
		canary("phone", "13800001234")
		return minted.Code
	}
	var shown api.Phone
	if status, name, _ := v.ask(ben, http.MethodPost, "/v1/me/phone", "", `{"code":"`+code("ada")+`"}`); status != http.StatusUnauthorized || name != "login_code_invalid" {
		t.Errorf("another's number: %d %s", status, name)
	}
	if err := ada.do(v.ctx, http.MethodPost, "/v1/me/phone", "", map[string]string{"code": code("ada")}, &shown); err != nil {
		t.Fatal(err)
	}
	if !shown.Given || shown.Ends != "1234" {
		t.Errorf("given: %+v", shown)
	}
	began := time.Now().Add(-time.Minute)
	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	find := func(q map[string]any) (ids []string) {
		t.Helper()
		q["reason"] = "she called"
		var list api.RiderList
		if err := field.do(v.ctx, http.MethodPost, "/v1/operator/riders/find", "", q, &list); err != nil {
			t.Fatal(err)
		}
		for _, r := range list.Riders {
			ids = append(ids, r.ID)
		}
		return ids
	}
	her := func(what string, ids []string) {
		t.Helper()
		if len(ids) != 1 || ids[0] != ada.id {
			t.Errorf("by %s: %v, want %s alone", what, ids, ada.id)
		}
	}
	her("phone", find(map[string]any{"phone": "138 0000 1234"}))
	her("phone with its country", find(map[string]any{"phone": "+86-13800001234"}))
	her("order", find(map[string]any{"order": o.ID}))
	her("time", find(map[string]any{"device": "bike-1", "from": began, "to": time.Now().Add(time.Minute)}))
	for what, q := range map[string]map[string]any{"another number": {"phone": "13800001235"}, "another time": {"from": began.Add(-time.Hour)},
		"another device": {"device": "bike-2", "from": began}, "an unknown order": {"order": newUUID()}} {
		if ids := find(q); len(ids) != 0 {
			t.Errorf("by %s: %v", what, ids)
		}
	}
	for _, bad := range []string{`{"reason":"r"}`, `{"reason":"r","phone":"me"}`, `{"reason":"r","device":"bike-1"}`,
		`{"reason":"r","from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:01Z"}`, `{"reason":"r","from":"2026-11-02T00:00:00Z","to":"2026-11-02T00:00:00Z"}`,
		`{"reason":"r","device":"bike-1","from":"2026-10-01T00:00:00Z","to":"2026-11-02T00:00:00Z"}`} {
		if status, name, _ := v.ask(field, http.MethodPost, "/v1/operator/riders/find", "", bad); status != 422 {
			t.Errorf("%s: %d %s", bad, status, name)
		}
	}
	if status, _, _ := v.ask(v.staffed(order.Viewer), http.MethodPost, "/v1/operator/riders/find", "", `{"reason":"r","phone":"13800001234"}`); status != 403 {
		t.Errorf("a viewer looks riders up: %d", status)
	}
	rows, err := v.nodes[0].db.AuditPage(v.ctx, "", 500)
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	for _, r := range rows {
		if r.Act == "rider.find" {
			looks++
		}
		if b, _ := json.Marshal(r); strings.Contains(string(b), "0001234") {
			t.Errorf("the audit holds a number: %s", b)
		}
	}
	if looks != 8 {
		t.Errorf("%d looks are in the audit, want 8", looks)
	}
	v.direct("bike-1", "close", nil)
	v.reaches(ada, o.ID, "settled", 30*time.Second)

	if err := ada.do(v.ctx, http.MethodPost, "/v1/me/phone/forget", "", nil, nil); err != nil {
		t.Fatal(err)
	}
	if ids := find(map[string]any{"phone": "13800001234"}); len(ids) != 0 {
		t.Errorf("found by a number that she took back: %v", ids)
	}
}
