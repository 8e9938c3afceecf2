package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// Restored says that a database came out of a backup. What happened between BackupAt
// and RestoredAt is not in it. It lies under the name "restored" in settings, which
// every schema has.
type Restored struct {
	BackupAt   time.Time  `json:"backup_at"`
	RestoredAt time.Time  `json:"restored_at"`
	From       string     `json:"from,omitempty"` // the file's name
	TakenInAt  *time.Time `json:"taken_in_at,omitempty"`
}

// ErrInUse says that an installation is connected to the database.
var ErrInUse = errors.New("an installation works on this database; stop every replica first")

// ErrHalfRestored says that a restore into the database did not come to its end.
var ErrHalfRestored = errors.New("a restore into this database broke off, so it may be incomplete; drop it, make an empty one and restore again")

// restoringTable stands in a database while a backup is loaded into it, and after that
// broke off. It has no rows.
const restoringTable = "unlatch_restoring"

// BeginRestore makes it impossible to serve from a database until MarkRestored, as its
// owner: what is loaded next looks whole long before it is known to be, and is the state
// of another day.
func BeginRestore(ctx context.Context, url string) error {
	return once(ctx, url, "begin the restore", `CREATE TABLE IF NOT EXISTS `+restoringTable+` (); COMMENT ON TABLE `+restoringTable+
		` IS 'a backup is being loaded; while this table is here nobody serves'`)
}

// MarkRestored notes that a database came out of a backup, as its owner. The next
// replica that starts takes it in. It is the end of a restore that BeginRestore began.
// ErrInUse.
func MarkRestored(ctx context.Context, url string, backupAt time.Time, from string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("reach database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var busy bool
	var now time.Time
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
		AND application_name = 'unlatch' AND pid <> pg_backend_pid()), clock_timestamp()`).Scan(&busy, &now); err != nil {
		return fmt.Errorf("mark as restored: %w", err)
	}
	if busy {
		return fmt.Errorf("mark as restored: %w", ErrInUse)
	}
	if backupAt.After(now) {
		return fmt.Errorf("mark as restored: the backup is of %s, and the database's clock says %s; set the clock right first",
			backupAt.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	text, err := json.Marshal(Restored{BackupAt: backupAt.UTC(), RestoredAt: now.UTC(), From: from})
	if err != nil {
		return err
	}
	b := &pgx.Batch{} // one transaction
	b.Queue(`INSERT INTO settings (name, value) VALUES ('restored', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, string(text))
	b.Queue(`DROP TABLE IF EXISTS ` + restoringTable)
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("mark as restored: %w", err)
	}
	return nil
}

// What a live order of a backup is given at least, before time alone moves it: its
// device has to come back and tell what happened since.
const (
	unresolvedGrace = 10 * time.Minute
	activeGrace     = time.Hour
)

// TakeIn makes a database that came out of a backup safe to serve from, once: nil when
// there is nothing to take in. ErrHalfRestored: nobody may serve from it. Its devices
// went on without it. So
//
//   - nothing starts before the device's next beat: clock sample and newest beat are
//     forgotten, and every free outlet waits until its device has told all and states it
//     closed;
//   - live orders get the time back that passed since the backup, so that their own
//     evidence decides before a watchdog does;
//   - orders that waited for a payment are called off: nobody stands at the device any
//     more, and what was paid goes back;
//   - venues whose devices can be stopped are closed until staff open them: stops and
//     prices of the time in between are forgotten.
func (db *DB) TakeIn(ctx context.Context) (*Restored, error) {
	fail := func(err error) (*Restored, error) { return nil, fmt.Errorf("take in a restored database: %w", err) }
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var half bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('public.`+restoringTable+`') IS NOT NULL`).Scan(&half); err != nil {
		return fail(err)
	}
	if half {
		return fail(ErrHalfRestored)
	}
	var text string
	err = tx.QueryRow(ctx, `SELECT value FROM settings WHERE name = 'restored' FOR UPDATE`).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return fail(err)
	}
	var r Restored
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fail(fmt.Errorf("setting restored: %w", err))
	}
	if r.TakenInAt != nil {
		return nil, nil
	}
	var now time.Time
	if err := tx.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return fail(err)
	}
	now = now.UTC()
	r.TakenInAt = &now
	mark, err := json.Marshal(r)
	if err != nil {
		return fail(err)
	}
	ids := [2]uuid.UUID{}
	for i := range ids {
		if ids[i], err = uuid.NewV7(); err != nil {
			return fail(err)
		}
	}
	gap := max(now.Sub(r.BackupAt), 0)
	detail := fmt.Sprintf("this database is the backup of %s; what happened until %s is known to the devices and to WeChat alone: see docs/backup.md",
		r.BackupAt.Format(time.RFC3339), now.Format(time.RFC3339))
	b := &pgx.Batch{}
	b.Queue(`UPDATE devices SET head = '{}', sample = '{}', version = version + 1`)
	b.Queue(`UPDATE outlets SET block = 'await_closed', version = version + 1 WHERE order_id IS NULL AND block = ''`)
	b.Queue(`UPDATE orders SET version = version + 1, cancelling = cancelling OR state = 'pending', due_at = CASE state
			WHEN 'pending' THEN CASE WHEN due_at IS NOT NULL THEN $2::timestamptz END
			WHEN 'starting' THEN due_at + $1::interval
			WHEN 'unresolved' THEN greatest(due_at + $1::interval, $2::timestamptz + $3::interval)
			ELSE greatest(due_at + $1::interval, $2::timestamptz + $4::interval) END
		WHERE state IN ('pending', 'starting', 'unresolved', 'active')`, gap, now, unresolvedGrace, activeGrace)
	// What was ended since the backup must not come back: who may come in, what is done by
	// itself, and whom it is told.
	b.Queue(`UPDATE logins SET revoked_at = now() WHERE revoked_at IS NULL`)
	b.Queue(`UPDATE invites SET used_at = now() WHERE used_at IS NULL`)
	b.Queue(`DELETE FROM ceremonies`)
	b.Queue(`UPDATE bulk_results SET state = 'halted', at = now() WHERE state IN ('waiting', 'doing')`)
	b.Queue(`UPDATE bulks SET halted_at = now(), halted_by = 'restore' WHERE halted_at IS NULL`)
	b.Queue(`UPDATE webhooks SET enabled = false, version = version + 1 WHERE enabled`)
	b.Queue(`UPDATE venues SET open = false WHERE open AND id IN (SELECT venue FROM devices WHERE kind = ANY($1::text[]))`, stoppable())
	b.Queue(`INSERT INTO items (id, kind, subject, device, venue, detail, at) VALUES ($1, $2, 'installation', '', '', $3, $4)
		ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO UPDATE SET detail = excluded.detail`, ids[0], order.ItemRestored, detail, now)
	queueAudit(b, order.Audit{ID: ids[1].String(), Staff: "unlatch", Act: "restore", Object: "installation", Reason: detail, After: mark, At: now})
	b.Queue(`UPDATE settings SET value = $1 WHERE name = 'restored'`, string(mark))
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(err)
	}
	return &r, nil
}

// unbeaten: it has spoken in its life, and no beat came since the database was taken in.
const unbeaten = `d.service <> 'retired' AND d.applied > 0 AND coalesce(d.head->'boot', '[0, 0, 0, 0, 0, 0, 0, 0]') = '[0, 0, 0, 0, 0, 0, 0, 0]'`

// Unbeaten lists devices that no probe is out for, of those without a beat since a
// restored database was taken in, and counts them all.
func (db *DB) Unbeaten(ctx context.Context, limit int) (ask []order.Unheard, left int, err error) {
	rows, err := db.pool.Query(ctx, `SELECT d.id, min(o.n)::smallint FROM devices d JOIN outlets o ON o.device = d.id
		WHERE `+unbeaten+` AND NOT EXISTS (SELECT FROM commands c WHERE c.device = d.id AND c.state = 'published' AND c.kind = 'probe')
		GROUP BY d.id ORDER BY d.id LIMIT $1`, limit)
	if err == nil {
		ask, err = pgx.CollectRows(rows, pgx.RowToStructByPos[order.Unheard])
	}
	if err == nil {
		err = db.pool.QueryRow(ctx, `SELECT count(*) FROM devices d WHERE `+unbeaten).Scan(&left)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("look for silent devices: %w", err)
	}
	return ask, left, nil
}

// stoppable lists the kinds of which a stop can end a use.
func stoppable() []string {
	kinds := []string{}
	for _, k := range order.Kinds() {
		if order.Stops(k) {
			kinds = append(kinds, string(k))
		}
	}
	return kinds
}
