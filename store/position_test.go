package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// owner is a connection of the schema's owner, who may set clocks back.
func owner(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func at(id device.ID, lat, lng float64) order.DeviceAt {
	return order.DeviceAt{Device: id, Point: order.Point{Lat: lat, Lng: lng}}
}

func TestAPositionIsWrittenOnceAMinuteAndOnlyAfterTenMetres(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	run(t, conn, `UPDATE devices SET service = 'retired', version = version + 1 WHERE id = 'bike-3'`)
	note := func(history bool, told ...order.DeviceAt) map[device.ID]order.Point {
		t.Helper()
		stand, err := db.NotePositions(t.Context(), told, history)
		if err != nil {
			t.Fatal(err)
		}
		by := map[device.ID]order.Point{}
		for _, d := range stand {
			by[d.Device] = d.Point
		}
		return by
	}
	history := func() int {
		t.Helper()
		all, err := db.Positions(t.Context(), "bike-1", time.Time{}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	later := func() {
		run(t, conn, `UPDATE devices SET placed_at = placed_at - interval '61 seconds'`)
		run(t, conn, `UPDATE positions SET at = at - interval '61 seconds'`)
	}
	const metre = 1.0 / 111_195
	for _, step := range []struct {
		name    string
		told    order.DeviceAt
		history bool
		stands  order.Point
		kept    int
	}{
		{"the first is written", at("bike-1", 31, 121), true, order.Point{Lat: 31, Lng: 121}, 1},
		{"far away at once is not", at("bike-1", 32, 121), true, order.Point{Lat: 31, Lng: 121}, 1},
		{"nine metres a minute later is not", at("bike-1", 31+9*metre, 121), true, order.Point{Lat: 31, Lng: 121}, 1},
		{"nine metres to the east is not: a degree is shorter there", at("bike-1", 31, 121+10.4*metre), true, order.Point{Lat: 31, Lng: 121}, 1},
		{"eleven metres is", at("bike-1", 31+11*metre, 121), true, order.Point{Lat: 31 + 11*metre, Lng: 121}, 2},
		{"without history only the newest stays", at("bike-1", 33, 121), false, order.Point{Lat: 33, Lng: 121}, 2},
	} {
		if step.name != "far away at once is not" {
			later()
		}
		if got := note(step.history, step.told)["bike-1"]; got != step.stands {
			t.Errorf("%s: it stands at %v, want %v", step.name, got, step.stands)
		}
		if n := history(); n != step.kept {
			t.Errorf("%s: %d positions are kept, want %d", step.name, n, step.kept)
		}
	}
	lat, lng, known, err := db.Position(t.Context(), "bike-1")
	if err != nil || !known || lat != 33 || lng != 121 {
		t.Errorf("riders find it at %v, %v, %v, %v", lat, lng, known, err)
	}
	later()
	got := note(true, at("bike-1", 34, 121), at("bike-1", 34, 121), at("nobody", 1, 1), at("bike-3", 1, 1), at("bike-2", 35, 121))
	if len(got) != 2 || got["bike-1"].Lat != 34 || got["bike-2"].Lat != 35 {
		t.Errorf("of a known one told twice, an unknown, a retired and another one: %v", got)
	}
}

func TestSweepDropsWhatIsPastItsTimeAndNothingElse(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	// Each kind: one past its time, one not yet.
	run(t, conn, `INSERT INTO positions SELECT 'bike-1', now() - x * interval '1 day', 31, 121 FROM unnest(ARRAY[29, 31]) x`)
	run(t, conn, `INSERT INTO rider_tokens (hash, rider, expires_at, revoked_at) SELECT h::bytea, $1, now() + e * interval '1 day', now() + r * interval '1 day'
		FROM (VALUES ('in force', 5, NULL), ('expired lately', -29, NULL), ('expired', -31, NULL), ('revoked lately', 5, -29), ('revoked', 5, -31)) v(h, e, r)`, testkit.Rider.ID)
	run(t, conn, `INSERT INTO notices (id, subject, event, said, at, done_at) SELECT gen_random_uuid(), h, 'e', '{}', now() - interval '99 days', now() - d * interval '1 day'
		FROM (VALUES ('open', NULL), ('lately', 89), ('done', 91)) v(h, d)`)
	run(t, conn, `INSERT INTO messages (id, rider, kind, amount, at, due_at) SELECT gen_random_uuid(), $1, 'k', 0, now() - d * interval '1 day', now() + interval '1 day'
		FROM unnest(ARRAY[29, 31]) d`, testkit.Rider.ID)
	run(t, conn, `UPDATE idempotency_keys SET at = now() - interval '91 days'`)
	run(t, conn, `INSERT INTO idempotency_keys SELECT principal, 'lately', route, body_hash, status, answer, order_id, now() - interval '89 days'
		FROM idempotency_keys WHERE key = 'p1'`)
	run(t, conn, `INSERT INTO idempotency_keys SELECT 'rider:01900000-0000-7000-8000-00000000eeee', 'pays', route, body_hash, status, answer, NULL, at
		FROM idempotency_keys WHERE key = 'p1'`)
	run(t, conn, aPayment+`('01900000-0000-7000-8000-0000000000f1', 'transaction', 'topup', '01900000-0000-7000-8000-00000000eeee', '', '', '', 'open', 5, 0, 0, 0, 0, false,
		NULL, NULL, '', '', '', 0, now(), '', 1); INSERT INTO payment_moves VALUES ('01900000-0000-7000-8000-0000000000f1', 0, now(), '', 'open', 'x')`)
	run(t, conn, `WITH i AS (INSERT INTO items (id, kind, subject, device, venue, detail, at) SELECT gen_random_uuid(), 'fault_reported', 'b/' || d, 'bike-1', 'campus', 'other',
		now() - d * interval '1 day' FROM unnest(ARRAY[89, 91]) d RETURNING id, at) INSERT INTO fault_photos SELECT id, $1, at, 'x' FROM i`, testkit.Rider.ID)
	// bike-3's order is live: its key p3 answers a retry still.
	want := map[string]int64{"positions": 1, "rider_tokens": 2, "idempotency_keys": 3, "notices": 1, "messages": 1, "fault_photos": 1}
	gone, err := db.Sweep(t.Context(), store.DefaultRetention)
	if err != nil {
		t.Fatal(err)
	}
	for table, n := range want {
		if gone[table] != n {
			t.Errorf("%s: %d rows went, want %d", table, gone[table], n)
		}
	}
	var keys []string
	if err := conn.QueryRow(t.Context(), `SELECT array_agg(key ORDER BY key) FROM idempotency_keys`).Scan(&keys); err != nil || len(keys) != 3 ||
		keys[0] != "lately" || keys[1] != "p3" || keys[2] != "pays" {
		t.Errorf("keys %v are left, %v; want lately, p3 of the live order, pays of the open payment", keys, err)
	}
	if gone, err = db.Sweep(t.Context(), store.DefaultRetention); err != nil {
		t.Fatal(err)
	}
	for table, n := range gone {
		if n != 0 {
			t.Errorf("a second sweep drops %d of %s", n, table)
		}
	}
	if gone, err = db.Sweep(t.Context(), store.Retention{Positions: 0, Logins: time.Hour, Keys: 365 * 24 * time.Hour, Notices: 365 * 24 * time.Hour,
		Messages: 365 * 24 * time.Hour, Photos: 365 * 24 * time.Hour}); err != nil || gone["positions"] != 1 {
		t.Errorf("without a history %v went, %v; want the one position left", gone, err)
	}
	if c := audit(t, db); len(c.Findings) != 0 {
		t.Errorf("the audit finds %+v", c.Findings)
	}
}
