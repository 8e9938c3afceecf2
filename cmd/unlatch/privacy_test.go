package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

// refusedAs is the code of the problem that a request got, "" for none.
func refusedAs(err error) string {
	var p *apiRefusal
	if errors.As(err, &p) {
		return p.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestABikeIsFoundWhereItStandsAndARiderIsForgotten: a ride ends outside of the
// geofence; riders and staff see the bike there, staff get an item and the rider the
// same bill. Then two riders have themselves erased.
func TestABikeIsFoundWhereItStandsAndARiderIsForgotten(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada", "ben"}})
	n, staff := v.nodes[0], v.staff()
	ada, ben := v.rider("ada", 0, 5000), v.rider("ben", 0, 0)
	do := func(c client, method, path string, body, into any) error {
		return c.do(v.ctx, method, path, "", body, into)
	}
	must := func(c client, method, path string, body, into any) {
		t.Helper()
		if err := do(c, method, path, body, into); err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	fence := order.Fence{{{{Lat: 30, Lng: 120}, {Lat: 30, Lng: 121}, {Lat: 31, Lng: 121}, {Lat: 31, Lng: 120}, {Lat: 30, Lng: 120}}}}
	if err := n.db.PutVenue(v.ctx, order.Venue{ID: demoVenue, Name: "Campus", TimeZone: "Asia/Shanghai", Open: true, Lat: 30.5, Lng: 120.5, Fence: fence},
		seedAudit("a", "b")); err != nil {
		t.Fatal(err)
	}

	o, err := v.start(ada, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 60*time.Second)
	if got := refusedAs(do(ada, http.MethodPost, "/v1/me/erase", nil, nil)); got != "order_not_over" {
		t.Errorf("erased in mid-ride: %q", got)
	}
	n.seen.Telemetry("bike-1", wire.Telemetry{Position: &wire.Position{Lat: 31_500_000, Lng: 120_500_000}})
	n.seen.Telemetry("bike-2", wire.Telemetry{Position: &wire.Position{Lat: 30_500_000, Lng: 120_500_000}})
	v.direct("bike-1", "close", nil)
	settled := v.reaches(ada, o.ID, "settled", 60*time.Second)
	if settled.Charged != settled.Quote.Total || settled.Charged == 0 {
		t.Errorf("charged %d of %d", settled.Charged, settled.Quote.Total)
	}
	type bike struct {
		ID      string
		Lat     float64
		Outside bool
	}
	var list struct{ Devices []bike }
	v.until("both positions are written", 20*time.Second, func() bool {
		must(staff, http.MethodGet, "/v1/operator/devices", nil, &list)
		return len(list.Devices) == 2 && list.Devices[0].Lat != 0 && list.Devices[1].Lat != 0
	})
	if want := []bike{{"bike-1", 31.5, true}, {"bike-2", 30.5, false}}; !slices.Equal(list.Devices, want) {
		t.Errorf("staff see %+v, want %+v", list.Devices, want)
	}
	var items struct {
		Items []struct{ Device, Order, Detail string }
	}
	must(staff, http.MethodGet, "/v1/operator/open-items?kind="+order.ItemOutside, nil, &items)
	if len(items.Items) != 1 || items.Items[0].Device != "bike-1" || items.Items[0].Order != o.ID || strings.Contains(items.Items[0].Detail, "31") {
		t.Errorf("items %+v, want one of bike-1 and its order that tells no position", items.Items)
	}
	var history struct{ Positions []struct{ Lat float64 } }
	must(v.staffed(order.Field), http.MethodGet, "/v1/operator/devices/bike-1/positions", nil, &history)
	if len(history.Positions) != 1 || history.Positions[0].Lat != 31.5 {
		t.Errorf("its positions: %+v", history.Positions)
	}
	if got := refusedAs(do(v.staffed(order.Viewer), http.MethodGet, "/v1/operator/devices/bike-1/positions", nil, nil)); got != "role_insufficient" {
		t.Errorf("a viewer follows a bike: %q", got)
	}
	v.until("riders find it there", 20*time.Second, func() bool {
		var near struct{ Devices []bike }
		must(ben, http.MethodGet, "/v1/nearby?lat=31.5&lng=120.5", nil, &near)
		return len(near.Devices) == 1 && near.Devices[0].ID == "bike-1"
	})
	var scan struct {
		Device struct {
			Distance int `json:"distance_m"`
		}
	}
	must(ben, http.MethodPost, "/v1/scans", map[string]any{"url": v.codes["bike-1"], "location": map[string]any{"lat": 31.501, "lng": 120.5, "datum": "wgs84"}}, &scan)
	if scan.Device.Distance < 105 || scan.Device.Distance > 117 {
		t.Errorf("the bike is %d m away, want 111", scan.Device.Distance)
	}

	for _, c := range []client{ada, ben} {
		must(c, http.MethodPost, "/v1/faults", map[string]string{"url": v.codes["bike-2"], "kind": "other", "text": "bell of " + c.id}, nil)
	}
	var file struct {
		Rider    struct{ ID string }
		Identity bool `json:"identity_kept"`
		Orders   []seen
		Faults   []struct{ Text string } `json:"faults_reported"`
		Logins   []struct{}
		Transfer []struct{ Purpose string } `json:"transfers"`
		Tracks   []struct{ Order string }   `json:"positions"`
	}
	must(ada, http.MethodGet, "/v1/me/export", nil, &file)
	if file.Rider.ID != ada.id || !file.Identity || len(file.Orders) != 1 || len(file.Orders[0].Quote.Lines) == 0 || len(file.Logins) != 1 ||
		len(file.Faults) != 1 || file.Faults[0].Text != "other: bell of "+ada.id || len(file.Transfer) < 3 || len(file.Tracks) != 1 {
		t.Errorf("what is kept of ada: %+v", file)
	}
	var raw json.RawMessage
	must(staff, http.MethodGet, "/v1/operator/riders/"+ada.id+"/export?reason=asked", nil, &raw)
	if bytes.Contains(raw, []byte(ben.id)) || bytes.Contains(raw, []byte(v.double.fake.OpenID("ada"))) {
		t.Error("the export tells of somebody else, or the identity itself")
	}
	if got := refusedAs(do(staff, http.MethodGet, "/v1/operator/riders/"+newUUID()+"/export?reason=asked", nil, nil)); got != "rider_unknown" {
		t.Errorf("of nobody: %q", got)
	}
	if got := refusedAs(do(v.staffed(order.Finance), http.MethodPost, "/v1/operator/riders/"+ada.id+"/erase", map[string]string{"reason": "r"}, nil)); got != "role_insufficient" {
		t.Errorf("finance erases: %q", got)
	}

	// Ben has nothing and goes; Ada's wallet was filled by staff, who take it back.
	must(ben, http.MethodPost, "/v1/me/erase", nil, nil)
	if got := refusedAs(do(ada, http.MethodPost, "/v1/me/erase", nil, nil)); got != "wallet_not_empty" {
		t.Errorf("ada goes with money in her wallet: %q", got)
	}
	if got := refusedAs(do(staff, http.MethodPost, "/v1/operator/riders/"+ada.id+"/erase", map[string]string{"reason": "asked by letter"}, nil)); got != "wallet_not_empty" {
		t.Errorf("staff erase ada with her money: %q", got)
	}
	must(staff, http.MethodPost, "/v1/operator/riders/"+ada.id+"/erase", map[string]any{"reason": "asked by letter", "forfeit": true}, nil)
	for _, c := range []client{ada, ben} {
		if got := refusedAs(do(c, http.MethodGet, "/v1/me", nil, nil)); got != "unauthenticated" {
			t.Errorf("an erased rider's token: %q", got)
		}
		if got := refusedAs(staff.do(v.ctx, http.MethodPost, "/v1/operator/riders/"+c.id+"/topups", "k"+c.id, map[string]any{"amount_fen": 100, "reason": "r"}, nil)); got != "rider_erased" {
			t.Errorf("an erased rider is topped up: %q", got)
		}
	}
	must(staff, http.MethodGet, "/v1/operator/riders/"+ada.id+"/export?reason=check", nil, &raw)
	for _, gone := range []string{"bell of", `"lat"`, `"identity_kept": true`, `"identity_kept":true`} {
		if bytes.Contains(raw, []byte(gone)) {
			t.Errorf("ada's file still holds %s", gone)
		}
	}
	must(staff, http.MethodGet, "/v1/operator/orders/"+o.ID, nil, nil) // the books stay
	if again := v.rider("ada", 0, 0); again.id == ada.id {
		t.Error("ada logs in as who she was")
	}
	rows, err := n.db.AuditPage(v.ctx, "", 500)
	if err != nil {
		t.Fatal(err)
	}
	acts := map[string]int{}
	for _, r := range rows {
		acts[r.Act]++
		if r.Act == "rider.erase" && r.Object == "rider "+ada.id && string(r.After) != `{"forfeited_fen": `+jsonOf(5000-settled.Charged)+`}` {
			t.Errorf("the audit of ada's erasure: %s", r.After)
		}
	}
	if acts["rider.export"] != 2 || acts["rider.erase"] != 2 {
		t.Errorf("audit rows %v, want two exports by staff and two erasures", acts)
	}
	v.judge("bike-1", "bike-2")
}

func jsonOf(v any) string { b, _ := json.Marshal(v); return string(b) }

// TestTheIdentityKeyRotatesWhileRidersLogIn: by the commands that staff type, beside a
// running replica.
func TestTheIdentityKeyRotatesWhileRidersLogIn(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Riders: []string{"ada", "ben", "cleo"}})
	ada := v.rider("ada", 0, 0)
	dir := t.TempDir()
	if err := v.keys.save(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	tell := func(exit int, says string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if got := run(args, &out, &out); got != exit || !strings.Contains(out.String(), says) {
			t.Fatalf("%s: exit %d, %s; want %d, %q", strings.Join(args, " "), got, out.String(), exit, says)
		}
	}
	at := []string{"--data", dir, "--database-url", v.url}
	file := func() keys {
		t.Helper()
		k, _, err := loadKeys("", "", dir)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	is := func(when, name, id string) {
		t.Helper()
		if c := v.rider(name, 0, 0); c.id != id {
			t.Errorf("%s %s is %s, was %s", when, name, c.id, id)
		}
	}
	tell(1, "rotate-identity first", append([]string{"keys", "move-identities"}, at...)...)
	tell(0, "of the installation's secret", "keys", "rotate-identity", "--data", dir)
	tell(1, "not over", "keys", "rotate-identity", "--data", dir)
	tell(1, "1 riders are encrypted with the key before", append([]string{"keys", "forget-identity"}, at...)...)
	v.again(file())
	is("with both keys", "ada", ada.id)
	ben := v.rider("ben", 0, 0)
	tell(0, "2 riders were encrypted anew", append([]string{"keys", "move-identities"}, at...)...)
	is("moved", "ada", ada.id)
	is("moved", "ben", ben.id)
	cleo := v.rider("cleo", 0, 0)
	tell(0, "is forgotten", append([]string{"keys", "forget-identity"}, at...)...)
	rotated := file()
	if rotated.PreviousIdentity != nil || !bytes.Equal(rotated.Secret, v.keys.Secret) || !bytes.Equal(rotated.Signing, v.keys.Signing) {
		t.Error("the key file after the rotation holds the wrong keys")
	}

	old := v.keys
	old.Identity, old.PreviousIdentity = nil, nil
	c := v.nodes[0].c
	c.HTTP, c.MQTT, c.Metrics, c.NATS, c.StoreDir, c.Keys = "127.0.0.1:0", "127.0.0.1:0", "", "", t.TempDir(), old
	if n, err := startNode(v.ctx, c); err == nil || !strings.Contains(err.Error(), "newest key file") {
		if err == nil {
			n.end()
		}
		t.Errorf("a replica with the key file of before starts: %v", err)
	}
	v.again(rotated)
	is("in the end", "ada", ada.id)
	is("in the end", "ben", ben.id)
	is("in the end", "cleo", cleo.id)
	tell(0, "The identity key is", "keys", "rotate-identity", "--data", dir) // and once more
	v.judge()
}
