package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// ask scans one row of a plain query.
func ask(t *testing.T, url, sql string, into ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(into...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func TestARestoredDatabaseIsTakenInOnce(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	testkit.Sale(t, db, "pump-1", 2_000)
	if r, err := db.TakeIn(t.Context()); r != nil || err != nil {
		t.Errorf("a database that was never restored: %+v, %v", r, err)
	}
	var due time.Time
	ask(t, url, `SELECT due_at FROM orders WHERE state = 'starting'`, &due)
	at := time.Now().Add(-3 * time.Hour)
	if err := store.MarkRestored(t.Context(), url, at, "x.tar"); !errors.Is(err, store.ErrInUse) {
		t.Errorf("marked beside an installation: %v, want ErrInUse", err)
	}
	db.Close()
	if err := store.MarkRestored(t.Context(), url, time.Now().Add(time.Hour), "x.tar"); err == nil {
		t.Error("a backup of the future was believed")
	}
	if err := store.MarkRestored(t.Context(), url, at, "x.tar"); err != nil {
		t.Fatal(err)
	}
	if v, err := store.Examine(t.Context(), url); err != nil || v.Restored == nil || v.Restored.TakenInAt != nil || v.Restored.From != "x.tar" {
		t.Errorf("health: %+v, %v", v.Restored, err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: url, IdentityKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := db.TakeIn(t.Context())
	if err != nil || r == nil || !r.BackupAt.Equal(at.UTC()) || r.TakenInAt == nil {
		t.Fatalf("taken in: %+v, %v", r, err)
	}
	var believed, free, pumpVenues, items, audits int
	var later time.Time
	ask(t, url, `SELECT (SELECT count(*) FROM devices WHERE head <> '{}' OR sample <> '{}'),
		(SELECT count(*) FROM outlets WHERE order_id IS NULL AND block <> 'await_closed'),
		(SELECT count(*) FROM venues WHERE open), (SELECT count(*) FROM items WHERE kind = 'restored_from_backup'),
		(SELECT count(*) FROM audits WHERE act = 'restore'), (SELECT due_at FROM orders WHERE state = 'starting')`,
		&believed, &free, &pumpVenues, &items, &audits, &later)
	if believed+free+pumpVenues != 0 || items != 1 || audits != 1 {
		t.Errorf("%d devices are still believed, %d outlets are free, %d venues with pumps are open, %d items, %d audit rows", believed, free, pumpVenues, items, audits)
	}
	if gap := later.Sub(due); gap < 3*time.Hour || gap > 3*time.Hour+time.Minute {
		t.Errorf("the start's deadline moved by %v, want the three hours that passed", gap)
	}
	if again, err := db.TakeIn(t.Context()); again != nil || err != nil {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	if c := audit(t, db); len(c.Findings) != 0 {
		t.Errorf("findings: %+v", c.Findings)
	}
	if v, err := store.Examine(t.Context(), url); err != nil || v.Silent == 0 || v.OpenItems == 0 || v.Restored.TakenInAt == nil {
		t.Errorf("health: %d silent, %d items, %+v, %v", v.Silent, v.OpenItems, v.Restored, err)
	}
}

// TestWaitingOrdersAreCalledOffByARestore: nobody stands at the device any more.
func TestWaitingOrdersAreCalledOffByARestore(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	db.Close()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for state, want := range map[string]struct {
		cancelling bool
		least      time.Duration // of what is left
		most       time.Duration
	}{"pending": {true, -time.Minute, time.Second}, "unresolved": {false, 9 * time.Minute, 11 * time.Minute}, "active": {false, 59 * time.Minute, 61 * time.Minute}} {
		if _, err := conn.Exec(t.Context(), `SET session_replication_role = replica; UPDATE orders SET cancelling = false, state = $1,
			due_at = now() - interval '1 h' + interval '1 s' WHERE id = (SELECT id FROM orders WHERE due_at IS NOT NULL LIMIT 1)`, pgx.QueryExecModeSimpleProtocol, state); err != nil {
			t.Fatal(err)
		}
		if err := store.MarkRestored(t.Context(), url, time.Now().Add(-time.Hour), ""); err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(t.Context(), store.Config{URL: url, IdentityKey: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.TakeIn(t.Context()); err != nil {
			t.Fatal(err)
		}
		db.Close()
		var cancelling bool
		var left float64
		ask(t, url, `SELECT cancelling, extract(epoch FROM due_at - clock_timestamp())::float8 FROM orders WHERE due_at IS NOT NULL LIMIT 1`, &cancelling, &left)
		if d := time.Duration(left * float64(time.Second)); cancelling != want.cancelling || d < want.least || d > want.most {
			t.Errorf("%s: called off %v, due in %v; want %v, %v to %v", state, cancelling, d, want.cancelling, want.least, want.most)
		}
	}
}

// TestBillsOfARestoredDatabaseBeginWithItsBackup: all payments there are may be known to
// WeChat alone.
func TestBillsOfARestoredDatabaseBeginWithItsBackup(t *testing.T) {
	db, url := open(t)
	last := time.Now().In(order.China).AddDate(0, 0, -1).Format(time.DateOnly)
	if days, err := db.DueBills(t.Context(), last); err != nil || len(days) != 0 {
		t.Fatalf("without a payment: %+v, %v", days, err)
	}
	db.Close()
	if err := store.MarkRestored(t.Context(), url, time.Now().AddDate(0, 0, -2), ""); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: url, IdentityKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if days, err := db.DueBills(t.Context(), last); err != nil || len(days) != 2 {
		t.Errorf("days whose bill is due: %+v, %v; want two", days, err)
	}
}

// TestARefusalForWantOfRoomIsNamed lets Postgres say that a table cannot grow.
func TestARefusalForWantOfRoomIsNamed(t *testing.T) {
	db, url := open(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
		CREATE TRIGGER full_disk BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION full_disk();
		CREATE TRIGGER full_disk BEFORE INSERT ON venues FOR EACH ROW EXECUTE FUNCTION full_disk()`); err != nil {
		t.Fatal(err)
	}
	item := order.Item{ID: "01900000-0000-7000-8000-0000000000e1", Kind: order.ItemAlarm, Subject: "x", At: time.Now()}
	if err := db.Apply(t.Context(), order.Changes{Items: []order.Item{item}}); !errors.Is(err, order.ErrFull) {
		t.Errorf("a decision: %v, want ErrFull", err)
	}
	venue := testkit.Venue
	venue.ID = "another"
	if err := db.PutVenue(t.Context(), venue, order.Audit{ID: "01900000-0000-7000-8000-0000000000e2", Staff: "test", Act: "a", At: time.Now()}); !errors.Is(err, order.ErrFull) {
		t.Errorf("what staff enter: %v, want ErrFull", err)
	}
}

// TestNobodyServesFromADatabaseThatIsBeingRestored: until it is marked, however whole it
// looks.
func TestNobodyServesFromADatabaseThatIsBeingRestored(t *testing.T) {
	db, url := open(t)
	before, err := store.CountRows(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // one that broke off may begin again
		if err := store.BeginRestore(t.Context(), url); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.TakeIn(t.Context()); !errors.Is(err, store.ErrHalfRestored) {
		t.Errorf("served from: %v, want ErrHalfRestored", err)
	}
	if now, err := store.CountRows(t.Context(), url); err != nil || len(now.Rows) != len(before.Rows) {
		t.Errorf("%d tables, %v; want %d as before", len(now.Rows), err, len(before.Rows))
	}
	db.Close()
	if err := store.MarkRestored(t.Context(), url, time.Now().Add(-time.Hour), ""); err != nil {
		t.Fatal(err)
	}
	if db, err = store.Open(t.Context(), store.Config{URL: url, IdentityKey: make([]byte, 32)}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if r, err := db.TakeIn(t.Context()); r == nil || err != nil {
		t.Errorf("marked: %+v, %v; want it taken in", r, err)
	}
}

// TestDevicesWhoseKeyIsGivenUpAreOutOfService, none while an order is live on one of them.
func TestDevicesWhoseKeyIsGivenUpAreOutOfService(t *testing.T) {
	db, url := open(t)
	testkit.Sale(t, db, "pump-1", 2_000)
	ids, err := db.AbandonKey(t.Context(), "new")
	if err != nil || !slices.Equal(ids, []string{"pump-1"}) {
		t.Fatalf("given up: %v, %v; want pump-1", ids, err)
	}
	var service, key string
	var rows int
	ask(t, url, `SELECT service, server_key, (SELECT count(*) FROM audits WHERE act = 'abandon_key' AND staff = 'unlatch' AND object = 'device pump-1')
		FROM devices WHERE id = 'pump-1'`, &service, &key, &rows)
	if service != "out_of_service" || key != "new" || rows != 1 {
		t.Errorf("pump-1 is %s, its key %q, with %d audit rows; want out_of_service, new and one", service, key, rows)
	}
	testkit.ThreeOrders(t, db)
	if ids, err := db.AbandonKey(t.Context(), "new"); !errors.Is(err, order.ErrOutletBusy) {
		t.Errorf("beside live orders: %v, %v; want ErrOutletBusy", ids, err)
	}
	ask(t, url, `SELECT count(*) FROM devices WHERE service = 'out_of_service'`, &rows)
	if rows != 1 {
		t.Errorf("%d devices are out of service, want pump-1 alone", rows)
	}
}

// TestARestoreEndsWhatWasEndedSince: who was signed out, invited or told at the backup, and
// what ran by itself, is so no more.
func TestARestoreEndsWhatWasEndedSince(t *testing.T) {
	db, url := open(t)
	testkit.ThreeOrders(t, db)
	conn := owner(t, url)
	member, hook, bulk, halted := uuid.NewString(), uuid.NewString(), uuid.NewString(), uuid.NewString()
	run(t, conn, `INSERT INTO staff (id, name, role, created_at) VALUES ($1, 'ann', 'admin', now())`, member)
	run(t, conn, `INSERT INTO logins (id, hash, staff, how, created_at, seen_at, expires_at, agent, address, revoked_at) SELECT gen_random_uuid(), h::bytea, $1, 'password',
		now(), now(), now() + interval '1 day', '', '', r FROM (VALUES ('in force', NULL), ('ended', now() - interval '1 day')) v(h, r)`, member)
	run(t, conn, `INSERT INTO invites (hash, staff, expires_at) VALUES ('open', $1, now() + interval '1 day')`, member)
	run(t, conn, `INSERT INTO ceremonies (id, data, expires_at) VALUES (gen_random_uuid(), '{}', now() + interval '1 hour')`)
	run(t, conn, `INSERT INTO webhooks (id, label, url, events, secret, enabled, created_at, version) VALUES ($1, 'w', 'https://x/', '{order.settled}', $2, true, now(), 1)`, hook, make([]byte, 32))
	run(t, conn, `INSERT INTO bulks (id, act, args, filter, reason, staff, total, at, halted_at, halted_by) SELECT b::uuid, 'ring', '{}', '{}', 'r', $3, 2, now(), h, w
		FROM (VALUES ($1, NULL, ''), ($2, now() - interval '1 day', 'bob')) v(b, h, w)`, bulk, halted, member)
	run(t, conn, `INSERT INTO bulk_results (bulk, n, device, state) VALUES ($1, 1, 'bike-1', 'done'), ($1, 2, 'bike-2', 'waiting'), ($1, 3, 'bike-3', 'doing')`, bulk)
	db.Close()
	if err := store.MarkRestored(t.Context(), url, time.Now().Add(-time.Hour), "x.tar"); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: url, IdentityKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.TakeIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	for what, sql := range map[string]string{
		"logins in force":                        `SELECT count(*) FROM logins WHERE revoked_at IS NULL`,
		"logins that were ended just now, twice": `SELECT count(*) FROM logins WHERE hash = 'ended' AND revoked_at > now() - interval '1 hour'`,
		"invites that let somebody in":           `SELECT count(*) FROM invites WHERE used_at IS NULL`,
		"sign-ins that were begun":               `SELECT count(*) FROM ceremonies`,
		"webhooks that are told":                 `SELECT count(*) FROM webhooks WHERE enabled`,
		"bulks that run":                         `SELECT count(*) FROM bulks WHERE halted_at IS NULL OR id = '` + bulk + `' AND halted_by <> 'restore' OR id = '` + halted + `' AND halted_by <> 'bob'`,
		"devices of theirs that wait":            `SELECT count(*) FROM bulk_results WHERE state IN ('waiting', 'doing') OR n = 1 AND state <> 'done'`,
	} {
		var n int
		if ask(t, url, sql, &n); n != 0 {
			t.Errorf("after a restore there are %d %s", n, what)
		}
	}
	if due, err := db.TakeDeliveries(t.Context(), 10); err != nil || len(due) != 0 {
		t.Errorf("%d deliveries go out, %v", len(due), err)
	}
	if _, r, some, err := db.TakeBulk(t.Context()); err != nil || some {
		t.Errorf("%+v is carried on, %v", r, err)
	}
}
