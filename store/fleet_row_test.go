package store_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// TestAFleetRowSumsUpItsDevice: each fact of another table shows in its device's row, and
// in no other's, whether all are read or some.
func TestAFleetRowSumsUpItsDevice(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	exec := func(sql string, args ...any) { t.Helper(); run(t, conn, sql, args...) }
	read := func(ids ...device.ID) map[device.ID]order.FleetRow {
		t.Helper()
		rows, now, err := db.FleetRows(t.Context(), ids)
		if err != nil || now.IsZero() && ids == nil {
			t.Fatalf("at %v: %v", now, err)
		}
		if !slices.IsSortedFunc(rows, func(a, b order.FleetRow) int { return slices.Compare([]byte(a.ID), []byte(b.ID)) }) {
			t.Error("not by id")
		}
		all := map[device.ID]order.FleetRow{}
		for _, r := range rows {
			all[r.ID] = r
		}
		return all
	}
	all := read()
	var starting order.FleetRow
	for _, r := range all {
		if r.Orders > 0 {
			starting = r
		}
	}
	if len(all) != 3 || starting.Orders != 1 || starting.Pending != 0 || starting.Began.IsZero() || starting.Outlets != 1 || starting.Behind {
		t.Fatalf("three devices, of which one starts: %+v", all)
	}
	id := starting.ID
	// Beside it a ride of three hours.
	exec(`INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', gen_random_uuid(), 'outlet', 2, 'state', 'active', 'active_at', now() - interval '3 hours',
		'slot', 0, 'ticket', 'another', 'hold_id', NULL, 'command_id', NULL))).* FROM orders o WHERE device = $1 AND state = 'starting'`, id)
	exec(`UPDATE orders SET state = 'unresolved' WHERE device = $1 AND state = 'starting'`, id)
	exec(`UPDATE outlets SET jammed = true WHERE device = $1`, id)
	exec(`INSERT INTO items (id, kind, subject, device, venue, detail, at) VALUES (gen_random_uuid(), 'alarm', 's', $1, 'campus', '', now())`, id)
	exec(`UPDATE devices SET halt = '{"reason": "x"}', lat = 1.5, lng = 2.5, placed_at = now(), rekey = '{}', heard_at = now() - interval '1 hour' WHERE id = $1`, id)
	exec(`UPDATE devices SET sample = jsonb_build_object('boot', '[1,0,0,0,0,0,0,0]'::jsonb, 'uptime', 100000, 'at', to_timestamp(1000)),
		boots = jsonb_build_array(jsonb_build_object('boot', '[1,0,0,0,0,0,0,0]'::jsonb, 'offset', 870000)) WHERE id = $1`, id)
	exec(`INSERT INTO evidence SELECT $1, 9, '\x0000000000000000', 7, boot, uptime, kind, outlet, last_seq, command_seq, command_id, order_id, closed, counters,
		reason, unknown, received_at, 'waiting', raw, version FROM evidence LIMIT 1`, id)
	for which, rows := range map[string]map[device.ID]order.FleetRow{"of all": read(), "by its id": read(id, "nobody")} {
		r := rows[id]
		// In doubt since just now, however long its other orders have been live.
		if time.Since(r.Doubted) > time.Minute || r.Began.After(r.Doubted.Add(-time.Hour)) {
			t.Errorf("%s: in doubt since %v, live since %v", which, r.Doubted, r.Began)
		}
		if r.Unproven != 1 || !r.Jammed || !r.Item || !r.Stopped || *r.Lat != 1.5 || *r.Lng != 2.5 || !r.Behind || !r.Gap || time.Since(r.HeardAt) < time.Hour ||
			r.Up != 100*time.Second || r.Lag != 30*time.Second || !r.Drifts() {
			t.Errorf("%s: %+v", which, r)
		}
		if which == "by its id" && len(rows) != 1 {
			t.Errorf("asked for one, got %d", len(rows))
		}
		for other, r := range rows {
			if other != id && (r.Unproven != 0 || r.Jammed || r.Item || r.Stopped || r.Gap || r.Behind || r.Drifts()) {
				t.Errorf("%s: %s shows what is another's: %+v", which, other, r)
			}
		}
	}
	// An uptime that no number holds hides nobody.
	exec(`UPDATE devices SET sample = jsonb_set(sample, '{uptime}', '18446744073709551615') WHERE id = $1`, id)
	if r := read()[id]; r.Up != 0 || r.Lag != 0 {
		t.Errorf("an absurd uptime: %+v", r)
	}
	if rows, _, err := db.FleetRows(t.Context(), []device.ID{}); err != nil || len(rows) != 0 {
		t.Errorf("of none: %v, %v", rows, err)
	}
}

// TestAFailedUnlockCountsOnItsVenuesDay: what the rider took back, or never paid for,
// counts as none.
func TestAFailedUnlockCountsOnItsVenuesDay(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	// Where it is tomorrow already, and where it may still be yesterday.
	if _, err := conn.Exec(t.Context(), `UPDATE venues SET time_zone = 'Pacific/Kiritimati'; UPDATE orders SET day = '2020-01-01'`); err != nil {
		t.Fatal(err)
	}
	const today = `to_char(now() AT TIME ZONE 'Pacific/Kiritimati', 'YYYY-MM-DD')`
	n := 0
	void := func(day, reason, command string, more ...string) {
		t.Helper()
		n++
		if _, err := conn.Exec(t.Context(), `INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', gen_random_uuid(), 'state', 'voided',
			'slot', 0, 'ticket', 'failed-'||$1::text, 'due_at', null, 'reason', $2::text, 'day', `+day+`, 'command_id', `+strings.Join(append([]string{command}, more...), ", ")+`))).*
			FROM orders o WHERE device = 'bike-1' LIMIT 1`, strconv.Itoa(n), reason); err != nil {
			t.Fatal(err)
		}
	}
	void(today, "jam", "gen_random_uuid()")
	void(today, "not_executed", "gen_random_uuid()")
	void(today, "failed_jam", "gen_random_uuid()", `'pay_with', 'service'`) // staff's count as riders' do
	void(today, "cancelled", "gen_random_uuid()")
	void(today, "not_paid", "null")
	void("'2020-01-01'", "jam", "gen_random_uuid()")
	for _, ids := range [][]device.ID{nil, {"bike-1", "bike-2"}} {
		rows, _, err := db.FleetRows(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if want := map[device.ID]int{"bike-1": 3}[r.ID]; r.Failures != want {
				t.Errorf("%s: %d failures, want %d", r.ID, r.Failures, want)
			}
		}
	}
}

// TestAJamOfBeforeIsKnownAfterTheUpgrade: by the last order that says something of the bolt,
// unless staff have put the lock into service since.
func TestAJamOfBeforeIsKnownAfterTheUpgrade(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	exec := func(sql string, args ...any) { t.Helper(); run(t, conn, sql, args...) }
	n := 0
	past := func(id, reason string, opened bool) {
		t.Helper()
		n++
		state, active := "voided", "null"
		if opened {
			state, active = "settled", "now() - interval '1 hour'"
		}
		exec(`INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', 'ffffffff-0000-7000-8000-' || lpad($1::text, 12, '0'), 'device', $2::text, 'state', $3::text, 'slot', 0,
			'ticket', 'past-' || $1::text, 'due_at', null, 'reason', $4::text, 'done_at', now() - interval '1 hour', 'active_at', `+active+`, 'command_id', gen_random_uuid()))).*
			FROM orders o LIMIT 1`, strconv.Itoa(n), id, state, reason)
	}
	for _, id := range []string{"bike-4", "bike-5"} {
		exec(`INSERT INTO devices SELECT (jsonb_populate_record(d, jsonb_build_object('id', $1::text))).* FROM devices d WHERE d.id = 'bike-1'`, id)
		exec(`INSERT INTO outlets SELECT (jsonb_populate_record(o, jsonb_build_object('device', $1::text, 'order_id', null))).* FROM outlets o WHERE o.device = 'bike-1'`, id)
	}
	past("bike-1", "failed_jam", false)
	past("bike-1", "cancelled", false) // says nothing of the bolt
	past("bike-2", "jam", false)
	past("bike-3", "jam", false)
	past("bike-3", "closed_by_hand", true)
	past("bike-4", "failed_jam", false)
	past("bike-5", "failed_jam", false)
	for id, to := range map[string]string{"bike-4": "in_service", "bike-5": "maintenance"} {
		exec(`INSERT INTO audits (id, staff, act, object, reason, after, at) VALUES (gen_random_uuid(), 's1', 'device.service', 'device ' || $1::text, 'x', jsonb_build_object('service', $2::text), now())`, id, to)
	}
	exec(`ALTER TABLE outlets DROP COLUMN jammed`)
	exec(`DELETE FROM goose_db_version WHERE version_id >= 23`)
	if _, err := store.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	jammed := []string{}
	if err := conn.QueryRow(t.Context(), `SELECT array_agg(device ORDER BY device) FROM outlets WHERE jammed`).Scan(&jammed); err != nil {
		t.Fatal(err)
	}
	if want := []string{"bike-1", "bike-2", "bike-5"}; !slices.Equal(jammed, want) {
		t.Errorf("jammed: %v, want %v", jammed, want)
	}
}

// TestAnItemTellsItselfWhoeverOpensOrClosesIt.
func TestAnItemTellsItselfWhoeverOpensOrClosesIt(t *testing.T) {
	db, _ := open(t)
	testkit.ThreeOrders(t, db)
	ctx := t.Context()
	relay := func() (subjects []string, payloads []string) {
		t.Helper()
		for {
			n, err := db.Relay(ctx, 100, func(us []order.Update) error {
				for _, u := range us {
					subjects, payloads = append(subjects, u.Subject), append(payloads, string(u.Payload))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				return subjects, payloads
			}
		}
	}
	relay()
	item := order.Item{ID: uuid.Must(uuid.NewV7()).String(), Kind: order.ItemFault, Subject: "bike-1/1/damaged/x", Device: "bike-1", Venue: "campus", At: time.Now()}
	id, err := db.ReportFault(ctx, item)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ReportFault(ctx, item); err != nil { // open already: nothing to tell
		t.Fatal(err)
	}
	want := func(open bool) {
		t.Helper()
		subjects, payloads := relay()
		if !slices.Equal(subjects, []string{"item." + id}) || payloads[0] != fmt.Sprintf(`{"id": %q, "kind": "fault_reported", "open": %v, "venue": "campus", "device": "bike-1"}`, id, open) {
			t.Errorf("told %v %v, want that %s is open: %v", subjects, payloads, id, open)
		}
	}
	want(true)
	if err := db.CloseItem(ctx, id, order.Audit{ID: uuid.Must(uuid.NewV7()).String(), Staff: "s1", Act: "item.close", Object: "open item " + id, Reason: "mended", At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	want(false)
}

// BenchmarkFleetRows reads 50,000 devices, and 125 of them, which is what a quarter of a
// second changes at 500 changes a second. UNLATCH_FLEET says of how many.
func BenchmarkFleetRows(b *testing.B) {
	n := 50_000
	if text := os.Getenv("UNLATCH_FLEET"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	url := testkit.Database(b)
	if _, err := store.Migrate(b.Context(), url); err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(b.Context()) }()
	if _, err := conn.Exec(b.Context(), `
		INSERT INTO venues (id, name, time_zone) VALUES ('campus', 'Campus', 'Asia/Shanghai');
		INSERT INTO devices (id, kind, venue, epoch, public_key, service, service_reason, journal, applied, lost_up_to, boots, head, sample, heard_at, firmware, lat, lng, version)
			SELECT 'bike-'||lpad(i::text, 5, '0'), 'lock', 'campus', 1, sha256(i::text::bytea), 'in_service', '', '\x0102030405060708', 5, 0,
				jsonb_build_array(jsonb_build_object('boot', '[1,2,3,4,5,6,7,8]'::jsonb, 'offset', 0, 'seq', 1)), '{}',
				jsonb_build_object('boot', '[1,2,3,4,5,6,7,8]'::jsonb, 'uptime', 100000, 'at', now()), now(), '1.0', 31+i*1e-6, 121, 1
			FROM generate_series(1, `+strconv.Itoa(n)+`) i;
		INSERT INTO outlets (device, n, block, next_seq, last_seq, stated_known, stated_closed, stated_boot, stated_uptime, opens, version)
			SELECT id, 1, '', 5, 1, true, true, '\x0102030405060708', 1, 1, 1 FROM devices`); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Exec(b.Context(), `VACUUM ANALYZE`); err != nil {
		b.Fatal(err)
	}
	db, err := store.Open(b.Context(), store.Config{URL: url, IdentityKey: make([]byte, 32)})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var some []device.ID
	for i := 1; i <= n && len(some) < 125; i += max(1, n/125) {
		some = append(some, device.ID(fmt.Sprintf("bike-%05d", i)))
	}
	for name, ids := range map[string][]device.ID{"all": nil, "125": some} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := db.FleetRows(b.Context(), ids); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
