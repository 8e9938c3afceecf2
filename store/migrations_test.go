package store_test

import (
	"context"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/store"
)

// TestAnIndexWhoseBuildBrokeOffIsBuiltAnew: it is there, invalid, and IF NOT EXISTS would
// take it for a whole one. Each of these migrations may be run again.
func TestAnIndexWhoseBuildBrokeOffIsBuiltAnew(t *testing.T) {
	ctx := t.Context()
	_, url := open(t)
	conn := owner(t, url)
	broken := `'orders_voided'::regclass, 'items_device'::regclass, 'riders_phone'::regclass, 'audits_object'::regclass`
	run(t, conn, `UPDATE pg_index SET indisvalid = false WHERE indexrelid IN (`+broken+`)`)
	if err := store.MigrateAgain(ctx, url, 18, 19, 20, 22, 23); err != nil {
		t.Fatal(err)
	}
	var whole int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid IN (`+broken+`)`).Scan(&whole); err != nil || whole != 4 {
		t.Errorf("%d of four indexes are whole, %v", whole, err)
	}
}

// TestWhenADeviceMovedIsTakenFromTheAudit: of moves before there was a column, and noted by
// the database of those that follow, whichever version moves it.
func TestWhenADeviceMovedIsTakenFromTheAudit(t *testing.T) {
	ctx := t.Context()
	db, url := open(t)
	conn := owner(t, url)
	testkit.ThreeOrders(t, db)
	at := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	for n, what := range []string{"device bike-1", "device bike-1", "device bike-2"} {
		run(t, conn, `INSERT INTO audits (id, staff, act, object, reason, at) VALUES (gen_random_uuid(), 's', $1, $2, 'r', $3)`,
			[]string{"device.transfer", "device.transfer", "device.service"}[n], what, at.Add(time.Duration(n)*time.Hour))
	}
	if err := store.MigrateAgain(ctx, url, 22); err != nil {
		t.Fatal(err)
	}
	if since, err := db.VenueSince(ctx, "bike-1"); err != nil || !since.Equal(at.Add(time.Hour)) {
		t.Errorf("bike-1 is where it is since %v, %v, want its last move in the audit", since, err)
	}
	run(t, conn, `UPDATE devices SET venue = venue, firmware = 'x' WHERE id = 'bike-2'`)
	if since, err := db.VenueSince(ctx, "bike-2"); err != nil || !since.IsZero() {
		t.Errorf("bike-2, which never moved, is where it is since %v, %v", since, err)
	}
	run(t, conn, `INSERT INTO venues SELECT (jsonb_populate_record(v, '{"id": "south"}')).* FROM venues v LIMIT 1`)
	run(t, conn, `UPDATE devices SET venue = 'south' WHERE id = 'bike-2'`)
	if since, err := db.VenueSince(ctx, "bike-2"); err != nil || time.Since(since) > time.Minute {
		t.Errorf("bike-2, which moved just now, is where it is since %v, %v", since, err)
	}
}

var (
	tableMade  = regexp.MustCompile(`CREATE TABLE IF NOT EXISTS (\w+)`)
	indexMade  = regexp.MustCompile(`CREATE (?:UNIQUE )?INDEX (CONCURRENTLY )?IF NOT EXISTS \w+ ON (\w+)`)
	constraint = regexp.MustCompile(`(?s)ADD CONSTRAINT [^;]*;`)
)

// TestMigrationsLetWritersThrough: an index on a table that is there already is built
// beside writers, and a constraint on one is checked by a statement of its own.
func TestMigrationsLetWritersThrough(t *testing.T) {
	files, err := fs.Glob(store.Migrations, "migrations/*.sql")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	made := map[string]bool{} // by a migration that is not released yet, so that nothing is in it
	for _, name := range files {
		if name < "migrations/00018" { // released, or on tables that were small then
			continue
		}
		text, err := fs.ReadFile(store.Migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range tableMade.FindAllStringSubmatch(string(text), -1) {
			made[m[1]] = true
		}
		for _, m := range indexMade.FindAllStringSubmatch(string(text), -1) {
			if !made[m[2]] && m[1] == "" {
				t.Errorf("%s: %s locks writers out; CONCURRENTLY", name, m[0])
			}
		}
		for _, c := range constraint.FindAllString(string(text), -1) {
			if !strings.Contains(c, "NOT VALID") || !strings.Contains(string(text), "-- +goose NO TRANSACTION") {
				t.Errorf("%s: %s\nlocks everybody out while it is checked; NOT VALID, and VALIDATE in a statement of its own", name, c)
			}
		}
	}
}

// TestAMigrationWaitsForABackupWithoutHoldingOthersUp: a dump holds its tables to its
// end; whoever reads them meanwhile does not stand behind the migration that waits.
func TestAMigrationWaitsForABackupWithoutHoldingOthersUp(t *testing.T) {
	_, url := open(t)
	dump, reader := owner(t, url), owner(t, url)
	run(t, dump, `BEGIN`)
	run(t, dump, `LOCK TABLE devices, riders, items, orders IN ACCESS SHARE MODE`)
	done := make(chan error, 1)
	go func() { done <- store.MigrateAgain(context.WithoutCancel(t.Context()), url, 22) }()
	waits := func() (n int) {
		if err := reader.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'devices'::regclass`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for waits() == 0 { // until the migration stands behind the dump
		select {
		case err := <-done:
			t.Fatalf("the migration did not wait: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	run(t, reader, `SET statement_timeout = '20s'`)
	var n int
	if err := reader.QueryRow(t.Context(), `SELECT count(*) FROM devices`).Scan(&n); err != nil {
		t.Errorf("while a backup runs nobody reads devices: %v", err)
	}
	run(t, dump, `COMMIT`)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestAMoveByNewKeysIsKnown: the version before moved devices by provisioning, too, which
// only the venue of their orders tells.
func TestAMoveByNewKeysIsKnown(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	testkit.ThreeOrders(t, db)
	run(t, conn, `INSERT INTO venues SELECT (jsonb_populate_record(v, '{"id": "south"}')).* FROM venues v LIMIT 1`)
	run(t, conn, `UPDATE devices SET venue = 'south' WHERE id = 'bike-1'`)
	run(t, conn, `UPDATE devices SET venue_since = NULL`)
	if err := store.MigrateAgain(t.Context(), url, 22); err != nil {
		t.Fatal(err)
	}
	if since, err := db.VenueSince(t.Context(), "bike-1"); err != nil || since.IsZero() {
		t.Errorf("bike-1 has orders of campus and stands at south, and its members see its past since %v, %v", since, err)
	}
}
