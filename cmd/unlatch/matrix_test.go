package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/order"
)

// operation is what the OpenAPI document says of one of staff's.
type operation struct {
	ID, Method, Path string
	Least            order.Role // "anybody" too
	Venues           string     // named, listed, whole, own, free, open
	Keyed            bool
	Multipart        bool
	LoginNeeded      bool
}

// operations reads the document of a running installation.
func (v *venue) operations() (all []operation) {
	v.t.Helper()
	raw, err := v.nodes[0].api.OpenAPI()
	if err != nil {
		v.t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		v.t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method, raw := range methods {
			var o struct {
				OperationID string
				Tags        []string
				Least       order.Role `json:"x-least-role"`
				Venues      string     `json:"x-venues"`
				LoginNeeded bool       `json:"x-login-needed"`
				Security    []map[string][]string
				Parameters  []struct{ Name, In string }
				RequestBody struct{ Content map[string]any }
			}
			if json.Unmarshal(raw, &o) != nil || !slices.Contains(o.Tags, "operator") {
				continue
			}
			op := operation{ID: o.OperationID, Method: strings.ToUpper(method), Path: path, Least: o.Least, Venues: o.Venues, LoginNeeded: o.LoginNeeded}
			if keys := slices.ContainsFunc(o.Security, func(s map[string][]string) bool { return s["operator"] != nil }); keys != (!op.LoginNeeded && op.Least != "anybody") {
				v.t.Errorf("%s: the document says of keys %v, of a login that is needed %v", op.ID, keys, op.LoginNeeded)
			}
			if op.LoginNeeded != slices.Contains(needsLogin, op.ID) {
				v.t.Errorf("%s: a login is needed: %v; the table of this test says otherwise", op.ID, op.LoginNeeded)
			}
			for _, p := range o.Parameters {
				op.Keyed = op.Keyed || p.Name == "Idempotency-Key"
			}
			_, op.Multipart = o.RequestBody.Content["multipart/form-data"]
			if op.Least == "" || op.Venues == "" {
				v.t.Errorf("%s: least role %q, venues %q: a table has no line", op.ID, op.Least, op.Venues)
			}
			all = append(all, op)
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	return all
}

// writes holds a valid body for each operation that is not a GET; {words} stand for
// ids of the stage. A new write without a line fails TestWritesAreAudited.
var writes = map[string]string{
	"provision-devices":  `{"reason":"r","devices":[{"id":"{new-device}","kind":"lock","venue":"campus"}]}`,
	"set-service":        `{"service":"maintenance","reason":"r"}`,
	"transfer-device":    `{"venue":"station","reason":"r"}`,
	"place-device":       `{"lat":30.1,"lng":120.1,"datum":"wgs84"}`,
	"command-device":     `{"kind":"ring","reason":"r"}`,
	"stop-device":        `{"reason":"r"}`,
	"mint-code":          `{"device":"{device}"}`,
	"bind-code":          `{"device":"ridden","move":true}`,
	"swap-codes":         `{"a":"{code}","b":"{other-code}"}`,
	"revoke-code":        ``,
	"remint-code":        ``,
	"add-code-batch":     `{"venue":"campus","count":2}`,
	"add-tariff":         `{"id":"test","name":"Test","venue":"campus","kind":"lock","unlock_fee_fen":100,"block_ms":60000,"ride_cap_fen":1000}`,
	"replay-tariff":      `{"venue":"campus","kind":"lock","from":"2026-11-01T00:00:00Z","to":"2026-12-01T00:00:00Z","draft":{"unlock_fee_fen":150,"block_ms":60000,"ride_cap_fen":1000}}`,
	"add-close":          `{"period":"shift"}`,
	"interlock-venue":    `{"reason":"r"}`,
	"stop-venue":         `{"reason":"r"}`,
	"put-venue":          `{"name":"Campus","time_zone":"Asia/Shanghai","open":true}`,
	"put-venue-map":      `{"reason":"r"}`,
	"add-venue-image":    ``,
	"service-unlock":     `{"device":"{device}","reason":"r"}`,
	"end-order-by-staff": `{"reason":"r"}`,
	"void-order":         `{"reason":"r"}`,
	"decide-order":       `{"amount_fen":1,"reason":"r"}`,
	"refund":             `{"order":"{settled}","amount_fen":1,"reason":"r"}`,
	"approve-refund":     ``,
	"decline-refund":     `{"reason":"r"}`,
	"retry-payment":      `{"reason":"r"}`,
	"give-up-payment":    `{"reason":"r"}`,
	"top-up":             `{"amount_fen":100,"reason":"r"}`,
	"block-rider":        `{"blocked":false,"reason":"r"}`,
	"add-pass":           `{"id":"month","name":"Month","venue":"campus","kind":"lock","price_fen":1,"days":30,"unlock_free":true}`,
	"grant-pass":         `{"pass":"{pass}","reason":"r"}`,
	"revoke-pass":        `{"reason":"r"}`,
	"group-rider":        `{"group":"staff","reason":"r"}`,
	"erase-rider":        `{"reason":"r"}`,
	"close-open-item":    `{"reason":"r"}`,
	"assign-open-item":   `{"staff":"me"}`,
	"acknowledge-alarm":  ``,
	"snooze-alarm":       ``,
	"clear-alarm":        ``,
	"put-settings":       `{"refund_alone_fen":{refund-alone},"offline_after_s":600,"low_battery_percent":20,"failures_per_day":3,"map":{"tiles":"","attribution":"","datum":"wgs84"},"version":{settings},"reason":"r"}`,
	"add-webhook":        `{"label":"w","url":"https://hooks.example/x","events":["order.settled"],"reason":"r"}`,
	"put-webhook":        `{"label":"w","url":"https://hooks.example/y","events":["order.settled"],"enabled":false,"reason":"r"}`,
	"remove-webhook":     `{"reason":"r"}`,
	"rotate-webhook":     `{"reason":"r"}`,
	"test-webhook":       ``,
	"replay-delivery":    ``,
	"add-staff":          `{"name":"{new-name}","role":"viewer","invite":true}`,
	"change-staff":       `{"role":"viewer","disabled":false,"venues":null,"reason":"r"}`,
	"invite-staff":       `{"reason":"r"}`,
	"add-key":            `{"staff":"{member}","label":"k","role":"viewer"}`,
	"revoke-key":         ``,
	"revoke-login":       ``,
	"end-login":          ``,
	"change-password":    `{"old":"not the old password","new":"another long password"}`,
	"begin-passkey":      ``,
	"add-passkey":        `{"label":"p","credential":{}}`,
	"revoke-passkey":     ``,
	"add-bulk":           `{"filter":{"ids":["{device}"]},"act":"ring","reason":"r","set":"{set}"}`,
	"halt-bulk":          `{"reason":"r"}`,
	"add-note":           `{"text":"a note"}`,
	"find-riders":        `{"phone":"13800000000","reason":"r"}`,
}

// queries are what a GET needs beside its path.
var queries = map[string]string{
	"list-codes": "device={device}", "export-rider": "reason=r", "preview-close": "period=shift",
	"tax-data": "from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z", "statistics": "venue=campus&from=2026-11-01T00:00:00Z&to=2026-11-30T00:00:00Z",
	"search": "q=bike",
}

// stagePaths say which id of the stage an address takes; the first that fits counts.
var stagePaths = []struct{ prefix, param, stage string }{
	{"/devices/{id}/stop", "{id}", "{pump}"},
	{"/devices/{id}", "{id}", "{device}"},
	{"/venues/{id}/closes", "{id}", "station"},
	{"/venues/{id}/stop", "{id}", "station"},
	{"/venues/{id}/interlock", "{id}", "station"},
	{"/venues/{id}", "{id}", "campus"},
	{"/codes/batches/{id}", "{id}", "{batch}"},
	{"/orders/{id}/end", "{id}", "{active}"},
	{"/orders/{id}", "{id}", "{settled}"},
	{"/payments/{id}", "{id}", "{payment}"},
	{"/refunds/{id}", "{id}", "{refund}"},
	{"/riders/{id}/erase", "{id}", "{leaving}"},
	{"/riders/{id}", "{id}", "{rider}"},
	{"/faults/{id}", "{id}", "{fault}"},
	{"/open-items/{id}", "{id}", "{item}"},
	{"/alarms/{id}", "{id}", "{alarm}"},
	{"/staff/{id}", "{id}", "{member}"},
	{"/keys/{id}", "{id}", "{key}"},
	{"/logins/{id}", "{id}", "{login}"},
	{"/passkeys/{id}", "{id}", "{passkey}"},
	{"/webhooks/{id}", "{id}", "{webhook}"},
	{"/bulk/{id}", "{id}", "{bulk}"},
}

// stage is an installation with one of everything that an operation may name.
type stage struct {
	*venue
	db  *pgx.Conn
	ids map[string]string // by the word in braces
}

func (s *stage) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.db.Exec(s.ctx, sql, args...); err != nil {
		s.t.Fatalf("%v\n%s", err, sql)
	}
}

func (s *stage) text(sql string, args ...any) (text string) {
	s.t.Helper()
	if err := s.db.QueryRow(s.ctx, sql, args...).Scan(&text); err != nil {
		s.t.Fatalf("%v\n%s", err, sql)
	}
	return text
}

// member is one of staff with a key and a login.
type member struct {
	id, key, cookie string
	role            order.Role
	scope           string // all, own, foreign
}

// member makes one; nil venues are all of them.
func (s *stage) member(name string, role order.Role, scope string, venues []string) member {
	s.t.Helper()
	m := member{id: newUUID(), role: role, scope: scope}
	key, keyHash := api.NewSecret("ul_")
	m.key = key
	err := s.nodes[0].db.AddStaff(s.ctx, order.Staff{ID: m.id, Name: name, Role: role, Venues: venues},
		order.APIKey{ID: newUUID(), Staff: m.id, Label: "k", Role: role}, keyHash, seedAudit("staff.add", "staff "+m.id))
	if err != nil {
		s.t.Fatal(err)
	}
	_, m.cookie = s.login(m.id)
	return m
}

// login signs a member in without a password.
func (s *stage) login(staff string) (id, cookie string) {
	s.t.Helper()
	cookie, hash := api.NewSecret("")
	id = newUUID()
	s.exec(`INSERT INTO logins (id, hash, staff, how, created_at, seen_at, expires_at, agent, address)
		VALUES ($1, $2, $3, 'password', now(), now(), now() + interval '1 day', 'test', '')`, id, hash[:], staff)
	return id, cookie
}

// newStage plays what cannot be put into the database: a settled ride and one that goes on.
func newStage(t *testing.T) *stage {
	v := newVenue(t, venueConfig{Bikes: []string{"bike", "spare", "ridden"}, Pumps: []string{"pump"}, Riders: []string{"ada", "ben", "eve"}})
	set := sha256.Sum256([]byte("bike\n")) // as the preview of a bulk names it
	s := &stage{venue: v, ids: map[string]string{"device": "bike", "pump": "pump", "set": hex.EncodeToString(set[:16])}}
	var err error
	if s.db, err = pgx.Connect(v.ctx, v.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close(context.Background()) })
	ada, ben, eve := v.rider("ada", 0, 10_000), v.rider("ben", 0, 10_000), v.rider("eve", 0, 0)
	s.ids["rider"], s.ids["leaving"] = ada.id, eve.id
	first, err := v.start(ada, "spare")
	if err != nil {
		t.Fatal(err)
	}
	going, err := v.start(ben, "ridden")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, first.ID, "active", 30*time.Second)
	v.reaches(ben, going.ID, "active", 30*time.Second)
	v.direct("spare", "close", nil)
	v.reaches(ada, first.ID, "settled", 30*time.Second)
	s.ids["settled"], s.ids["active"] = first.ID, going.ID
	if err := v.nodes[0].db.PutVenue(v.ctx, order.Venue{ID: "elsewhere", Name: "Elsewhere", TimeZone: "Asia/Shanghai", Open: true}, seedAudit("a", "b")); err != nil {
		t.Fatal(err)
	}
	s.set()
	return s
}

// set puts one of everything there, unused.
func (s *stage) set() {
	admin := s.member("setter "+newUUID(), order.Admin, "all", nil)
	do := func(method, path, body string) (answer map[string]any) {
		s.t.Helper()
		status, _, raw := s.send(operation{ID: path, Method: method, Keyed: true}, admin, "login", "/v1/operator"+path, body)
		if status >= 300 {
			s.t.Fatalf("%s %s: %d %s", method, path, status, raw)
		}
		_ = json.Unmarshal(raw, &answer)
		return answer
	}
	text := func(v any) string { t, _ := v.(string); return t }
	s.ids["code"] = text(do("POST", "/codes", `{"device":"bike"}`)["number"])
	s.ids["other-code"] = text(do("POST", "/codes", `{"device":"spare"}`)["number"])
	s.ids["batch"] = text(do("POST", "/codes/batches", `{"venue":"campus","count":1}`)["id"])
	s.ids["close"] = text(do("POST", "/venues/station/closes", `{"period":"day"}`)["id"])
	s.exec(`UPDATE rider_passes SET revoked_at = now() WHERE revoked_at IS NULL`)
	do("POST", "/passes", `{"id":"week","name":"Week","venue":"campus","kind":"lock","price_fen":1,"days":7,"unlock_free":true}`)
	s.ids["pass"] = "week"
	s.ids["held"] = text(do("POST", "/riders/"+s.ids["rider"]+"/passes", `{"pass":"week","reason":"r"}`)["id"])
	made := do("POST", "/staff", `{"name":"member `+newUUID()+`","role":"viewer"}`)
	s.ids["key"] = text(made["id"])
	s.ids["member"], _ = made["staff"].(map[string]any)["id"].(string)
	s.ids["login"], _ = s.login(s.ids["member"])
	for _, id := range []string{"fault", "item", "alarm", "refund", "webhook", "delivery", "payment", "passkey", "bulk"} {
		s.ids[id] = newUUID()
	}
	s.exec(`INSERT INTO items (id, kind, subject, device, venue, detail, at) VALUES ($1::uuid, 'fault', $1::uuid::text, 'bike', 'campus', 'other: x', now())`, s.ids["fault"])
	s.exec(`INSERT INTO fault_photos (item, rider, image) VALUES ($1, $2, '\x00')`, s.ids["fault"], s.ids["rider"])
	s.exec(`INSERT INTO items (id, kind, subject, device, venue, detail, at) VALUES ($1::uuid, 'test', $1::uuid::text, 'bike', 'campus', 'x', now())`, s.ids["item"])
	s.exec(`INSERT INTO alarms (id, kind, subject, device, venue, detail, raised_at, seen_at, times, version)
		VALUES ($1::uuid, 'test', $1::uuid::text, 'bike', 'campus', 'x', now(), now() + interval '1 hour', 1, 1)`, s.ids["alarm"])
	s.exec(`UPDATE refund_requests SET state = 'declined', decided_at = now(), decided_by = 'somebody' WHERE state = 'waiting'`)
	s.exec(`INSERT INTO refund_requests (id, order_id, venue, amount, reason, staff, state, at) VALUES ($1, $2, 'campus', 1, 'r', 'somebody', 'waiting', now())`,
		s.ids["refund"], s.ids["settled"])
	s.exec(`INSERT INTO webhooks (id, label, url, events, secret, enabled, created_at, version)
		VALUES ($1, 'w', 'https://hooks.example/', '{order.settled}', $2, true, now(), 1)`, s.ids["webhook"], make([]byte, 32))
	s.exec(`INSERT INTO webhook_deliveries (id, webhook, event, type, body, at, done_at) VALUES ($1::uuid, $2, $1::uuid, 'order.settled', '{}', now(), now())`,
		s.ids["delivery"], s.ids["webhook"])
	s.exec(`INSERT INTO passkeys (id, staff, label, credential_id, credential, created_at) VALUES ($1, $2, 'p', $3, '{}', now())`,
		s.ids["passkey"], admin.id, []byte(s.ids["passkey"]))
	s.exec(`INSERT INTO venue_maps (venue, value, image, type, version) VALUES ('campus', '{}', '\x00', 'image/png', 1)
		ON CONFLICT (venue) DO UPDATE SET image = '\x00', type = 'image/png'`)
	s.ids["settings"], s.ids["refund-alone"] = s.text(`SELECT coalesce(max(version), 0)::text FROM preferences`), "0"
}

var word = regexp.MustCompile(`\{[a-z-]+\}`)

// filled puts the stage's ids into the place of words; what is made gets a new one.
func (s *stage) filled(text string) string {
	return word.ReplaceAllStringFunc(text, func(w string) string {
		switch id, known := s.ids[strings.Trim(w, "{}")]; {
		case known:
			return id
		case w == "{new-device}":
			return "n-" + newUUID()[24:]
		case w == "{new-name}":
			return "name " + newUUID()
		}
		return w
	})
}

// address is an operation's with the stage's ids in it.
func (s *stage) address(op operation) string {
	path := strings.TrimPrefix(op.Path, "/v1/operator")
	for _, p := range stagePaths {
		if strings.HasPrefix(path, p.prefix) {
			path = strings.Replace(path, p.param, p.stage, 1)
			break
		}
	}
	path = strings.NewReplacer("{number}", "{code}", "{label}", "1").Replace(path)
	if q := queries[op.ID]; q != "" {
		path += "?" + q
	}
	filled := s.filled(path)
	if word.MatchString(filled) {
		s.t.Fatalf("%s: nothing on the stage for %s", op.ID, filled)
	}
	return "/v1/operator" + filled
}

// send asks as a member, with a key, a login, or as a page of another address would
// with the login; or as nobody.
func (s *stage) send(op operation, m member, by, path, body string) (status int, code string, raw []byte) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, op.Method, s.nodes[0].url()+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body == "" {
		r.Body, r.ContentLength = nil, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if op.Multipart {
		picture := "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"x.png\"\r\nContent-Type: image/png\r\n\r\n" + onePixel + "\r\n--b--\r\n"
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(picture)), int64(len(picture))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	}
	if op.Keyed {
		r.Header.Set("Idempotency-Key", newUUID())
	}
	switch by {
	case "key":
		r.Header.Set("Authorization", "Bearer "+m.key)
	case "login", "another page":
		r.Header.Set("Cookie", "unlatch_console="+m.cookie)
		r.Header.Set("Origin", s.nodes[0].url())
		if by == "another page" {
			r.Header.Set("Origin", "https://elsewhere.example")
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatalf("%s: %v", op.ID, err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Type") != "text/event-stream" {
		if raw, err = io.ReadAll(answer.Body); err != nil {
			s.t.Fatalf("%s: %v", op.ID, err)
		}
	}
	var p struct{ Code string }
	if answer.StatusCode >= 400 {
		_ = json.Unmarshal(raw, &p)
	}
	return answer.StatusCode, p.Code, raw
}

// onePixel is a PNG of one white pixel.
const onePixel = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\nIDATx\x9cc\xf8\x0f\x00\x01\x01\x01\x00\x1b\xb6\xeeV\x00\x00\x00\x00IEND\xaeB`\x82"

// needsLogin are the operations that no API key may do: who finds a key must not make
// themselves at home, and one admin with keys in others' names must not be two people.
var needsLogin = []string{"end-login", "change-password", "begin-passkey", "add-passkey", "revoke-passkey",
	"approve-refund", "add-staff", "change-staff", "invite-staff", "add-key", "put-settings"}

// TestWhoMayDoWhat asks for every operation of staff, as each role, of all venues, of
// the venues that the request names, and of another one; with nothing, a key, a login,
// and a login that a page of another address uses. What is to come out is computed from
// the tables alone.
func TestWhoMayDoWhat(t *testing.T) {
	s := newStage(t)
	var members []member
	for _, role := range []order.Role{order.Viewer, order.Field, order.Finance, order.Admin} {
		for scope, venues := range map[string][]string{"all": nil, "own": {"campus", "station"}, "foreign": {"elsewhere"}} {
			members = append(members, s.member(fmt.Sprintf("%s %s", role, scope), role, scope, venues))
		}
	}
	asked := 0
	for _, op := range s.operations() {
		if op.Least == "anybody" {
			if status, code, _ := s.send(op, members[0], "another page", s.address(op), `{}`); status != 403 || code != "cross_origin" {
				t.Errorf("%s from another page: %d %s, want 403 cross_origin", op.ID, status, code)
			}
			continue
		}
		path, body := s.address(op), s.filled(writes[op.ID])
		if status, code, _ := s.send(op, member{}, "", path, body); status != 401 || code != "unauthenticated" {
			t.Errorf("%s by nobody: %d %s, want 401 unauthenticated", op.ID, status, code)
		}
		for _, m := range members {
			for _, by := range []string{"key", "login", "another page"} {
				if by == "another page" && m.scope != "all" {
					continue // what it comes out as does not hang on the venues
				}
				body := s.filled(writes[op.ID])
				switch op.ID { // what a success uses up
				case "end-login":
					_, m.cookie = s.login(m.id)
				case "revoke-login":
					s.ids["login"], _ = s.login(m.id)
					path = s.address(op)
				case "close-open-item":
					s.ids["item"] = newUUID()
					s.exec(`INSERT INTO items (id, kind, subject, device, venue, detail, at) VALUES ($1::uuid, 'test', $1::uuid::text, 'bike', 'campus', 'x', now())`, s.ids["item"])
					path = s.address(op)
				case "revoke-pass":
					held := newUUID()
					s.exec(`INSERT INTO rider_passes (id, rider, venue, kind, pass, terms, from_at, until_at, drawn, by, at, version)
						SELECT $1, rider, venue, kind, pass, terms, from_at, until_at, drawn, by, at, version FROM rider_passes WHERE id = $2`, held, s.ids["held"])
					s.exec(`UPDATE rider_passes SET revoked_at = NULL WHERE id = $1`, held)
					s.ids["held"] = held
					path = s.address(op)
				case "remove-webhook":
					s.ids["webhook"] = newUUID()
					s.exec(`INSERT INTO webhooks (id, label, url, events, secret, enabled, created_at, version)
						VALUES ($1, 'w', 'https://hooks.example/', '{order.settled}', $2, true, now(), 1)`, s.ids["webhook"], make([]byte, 32))
					path = s.address(op)
				}
				status, code, raw := s.send(op, m, by, path, body)
				asked++
				want := due(op, m, by)
				if m.scope == "foreign" && op.Venues != "free" && op.Venues != "own" {
					for _, ours := range []string{"campus", "station", "bike", "pump", s.ids["settled"], s.ids["batch"], s.ids["code"]} {
						if strings.Contains(string(raw), ours) {
							t.Errorf("%s shows %s to %s of another venue\n%.300s", op.ID, ours, m.role, raw)
							break
						}
					}
				}
				if want.fits(op, status, code) {
					continue
				}
				t.Errorf("%s by %s of %s venues with %s: %d %s, want %s\n%.300s", op.ID, m.role, m.scope, by, status, code, want, raw)
			}
		}
		if op.Venues == "named" {
			s.sameAsUnknown(op, members)
		}
	}
	t.Logf("%d requests", asked)
}

// outcome is what the tables say comes out.
type outcome struct {
	status int // 0: it passes
	code   string
}

func (o outcome) String() string {
	if o.status == 0 {
		return "that it passes"
	}
	return fmt.Sprint(o.status, " ", o.code)
}

func due(op operation, m member, by string) outcome {
	switch {
	case by == "another page" && op.Method != http.MethodGet:
		return outcome{403, "cross_origin"}
	case !m.role.Includes(op.Least):
		return outcome{403, "role_insufficient"}
	case m.scope != "all" && op.Venues == "whole":
		return outcome{403, "venue_scope"}
	case by == "key" && op.LoginNeeded:
		return outcome{403, "login_needed"}
	case m.scope == "foreign" && op.Venues == "named":
		return outcome{404, ""}
	}
	return outcome{}
}

// fits tells whether an answer is what was to come. What passes may still meet a state
// that does not allow it, such as a lock that rings already.
func (o outcome) fits(op operation, status int, code string) bool {
	if o.status != 0 {
		return status == o.status && (o.code == "" || code == o.code)
	}
	if status == 404 { // these names cannot be on the stage
		return code == "payment_unknown" || code == "passkey_unknown" || code == "bulk_unknown"
	}
	return status < 500 && status != 400 && status != 401 && status != 403
}

// sameAsUnknown: what belongs to another venue is answered like what does not exist.
func (s *stage) sameAsUnknown(op operation, members []member) {
	s.t.Helper()
	i := slices.IndexFunc(members, func(m member) bool { return m.scope == "foreign" && m.role == order.Admin })
	foreignStatus, foreignCode, foreign := s.send(op, members[i], "login", s.address(op), s.filled(writes[op.ID]))
	was := s.ids
	s.ids = map[string]string{}
	for name, id := range was {
		switch {
		case len(id) == 36:
			id = newUUID()
		case name == "code", name == "other-code":
			number, err := s.nodes[0].minter.Mint(strings.NewReader(newUUID() + newUUID() + name))
			if err != nil {
				s.t.Fatal(err)
			}
			id = string(number)
		default:
			id = "no-such"
		}
		s.ids[name] = id
	}
	path, body := s.address(op), s.filled(writes[op.ID])
	s.ids = was
	path, body = strings.Replace(path, "/venues/campus", "/venues/nowhere", 1), strings.ReplaceAll(body, `"campus"`, `"nowhere"`)
	path = strings.Replace(strings.Replace(path, "/venues/station", "/venues/nowhere", 1), "venue=campus", "venue=nowhere", 1)
	status, code, unknown := s.send(op, members[i], "login", path, body)
	if status != foreignStatus || code != foreignCode || string(unknown) != string(foreign) {
		s.t.Errorf("%s: of another venue %s, of what does not exist %s", op.ID, foreign, unknown)
	}
}
