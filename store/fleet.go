package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// DeviceKey is a public key of one epoch of a device.
type DeviceKey struct {
	Epoch     uint32
	PublicKey []byte
	Current   bool
	Service   device.Service
}

// DeviceKeys returns every key that the device has had, newest first; empty when
// it is unknown.
func (db *DB) DeviceKeys(ctx context.Context, id device.ID) ([]DeviceKey, error) {
	rows, err := db.pool.Query(ctx, `SELECT k.epoch, k.public_key, k.epoch = d.epoch, d.service
		FROM device_keys k JOIN devices d ON d.id = k.device WHERE k.device = $1 ORDER BY k.epoch DESC`, id)
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", id, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[DeviceKey])
}

// Logins lists every device's current epoch, for the replica's list in memory.
func (db *DB) Logins(ctx context.Context) ([]order.Login, error) {
	rows, err := db.pool.Query(ctx, `SELECT id, epoch, service = 'retired' FROM devices`)
	if err != nil {
		return nil, fmt.Errorf("list logins: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Login])
}

// Devices lists devices by id; after is the last id of the page before, id picks
// a single one.
func (db *DB) Devices(ctx context.Context, id device.ID, venue string, after device.ID, limit int) ([]order.DeviceRow, error) {
	var f filter
	f.when(id != "", "id = %s", id)
	f.when(venue != "", "venue = %s", venue)
	f.when(after != "", "id > %s", after)
	return db.devices(ctx, f.sql("id", limit), f.args...)
}

// devices reads those of a WHERE clause with their outlets.
func (db *DB) devices(ctx context.Context, which string, args ...any) ([]order.DeviceRow, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+deviceColumns+`, lat, lng, placed_at FROM devices`+which, args...)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var all []order.DeviceRow
	at := map[device.ID]int{}
	ids := []string{}
	for rows.Next() {
		var r order.DeviceRow
		d, err := scanDevice(withMore{rows, []any{&r.Lat, &r.Lng, &r.PlacedAt}})
		if err != nil {
			rows.Close()
			return nil, fmt.Errorf("list devices: %w", err)
		}
		r.Device = d
		at[d.ID] = len(all)
		ids = append(ids, string(d.ID))
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	rows, err = db.pool.Query(ctx, `SELECT `+outletColumns+` FROM outlets WHERE device = ANY($1) ORDER BY device, n`, ids)
	if err != nil {
		return nil, fmt.Errorf("list outlets: %w", err)
	}
	outlets, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (device.Outlet, error) { return scanOutlet(row) })
	for _, o := range outlets {
		i := at[o.Device]
		all[i].Outlets = append(all[i].Outlets, o)
	}
	return all, err
}

// withMore scans a row's known columns and then some more.
type withMore struct {
	row  pgx.Row
	more []any
}

func (w withMore) Scan(into ...any) error { return w.row.Scan(append(into, w.more...)...) }

// LastUses is when the newest use of each of a venue's devices began, as proved;
// devices without one are absent.
func (db *DB) LastUses(ctx context.Context, venue string) (map[device.ID]time.Time, error) {
	rows, err := db.pool.Query(ctx, `SELECT d.id, o.active_at FROM devices d CROSS JOIN LATERAL (
			SELECT active_at FROM orders WHERE device = d.id AND active_at IS NOT NULL ORDER BY id DESC LIMIT 1) o
		WHERE d.venue = $1 AND d.service <> 'retired'`, venue)
	if err != nil {
		return nil, fmt.Errorf("newest uses of venue %s: %w", venue, err)
	}
	all := map[device.ID]time.Time{}
	var id device.ID
	var at time.Time
	if _, err = pgx.ForEachRow(rows, []any{&id, &at}, func() error { all[id] = at; return nil }); err != nil {
		return nil, fmt.Errorf("newest uses of venue %s: %w", venue, err)
	}
	return all, nil
}

// PlaceDevice notes where a device stands, WGS-84 degrees.
func (db *DB) PlaceDevice(ctx context.Context, id device.ID, lat, lng float64) error {
	tag, err := db.pool.Exec(ctx, `UPDATE devices SET lat = $2, lng = $3, placed_at = now() WHERE id = $1`, id, lat, lng)
	if err != nil {
		return fmt.Errorf("place device %s: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("place device %s: %w", id, order.ErrNotFound)
	}
	return nil
}

// MoveDevice is PlaceDevice as an act of staff, with its audit row beside it.
func (db *DB) MoveDevice(ctx context.Context, id device.ID, lat, lng float64, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("place device %s: %w", id, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	tag, err := tx.Exec(ctx, `UPDATE devices SET lat = $2, lng = $3, placed_at = now() WHERE id = $1`, id, lat, lng)
	if err != nil {
		return fmt.Errorf("place device %s: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("place device %s: %w", id, order.ErrNotFound)
	}
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO updates (subject, payload) VALUES ('device.' || $1::text, jsonb_build_object('id', $1::text))`, id)
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("place device %s: %w", id, err)
	}
	return tx.Commit(ctx)
}

// Position is where a device stands; known is false when nobody said.
func (db *DB) Position(ctx context.Context, id device.ID) (lat, lng float64, known bool, err error) {
	var la, ln *float64
	err = db.pool.QueryRow(ctx, `SELECT lat, lng FROM devices WHERE id = $1`, id).Scan(&la, &ln)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && (la == nil || ln == nil) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, fmt.Errorf("position of %s: %w", id, err)
	}
	return *la, *ln, true, nil
}

// VenueSince is when a device came to its venue; the zero time where it never was
// elsewhere, as far as is known. order.ErrNotFound.
func (db *DB) VenueSince(ctx context.Context, id device.ID) (time.Time, error) {
	var since *time.Time
	err := db.pool.QueryRow(ctx, `SELECT venue_since FROM devices WHERE id = $1`, id).Scan(&since)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("when %s came to its venue: %w", id, err)
	}
	return timeOf(since), nil
}

// CommandsOf lists a device's commands since a moment, the zero time = all, newest first.
func (db *DB) CommandsOf(ctx context.Context, id device.ID, since time.Time, limit int) ([]device.Command, error) {
	var f filter
	f.when(true, "device = %s", id)
	f.when(!since.IsZero(), "created_at >= %s", since)
	rows, err := db.pool.Query(ctx, `SELECT `+commandColumns+` FROM commands`+f.sql("id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("commands of %s: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (device.Command, error) { return scanCommand(row) })
}

// said picks a device's evidence since a moment, the zero time = all: what came since then,
// but for what it only then told of orders from before.
func said(id device.ID, since time.Time) (f filter) {
	f.when(true, "device = %s", id)
	f.when(!since.IsZero(), "received_at >= %s", since)
	f.when(!since.IsZero(), "coalesce((SELECT o.created_at FROM orders o WHERE o.id = evidence.order_id) >= %s, true)", since)
	return f
}

// EvidenceOf lists a device's evidence since a moment, the zero time = all, newest number
// first.
func (db *DB) EvidenceOf(ctx context.Context, id device.ID, since time.Time, limit int) ([]device.Evidence, error) {
	f := said(id, since)
	rows, err := db.pool.Query(ctx, `SELECT `+evidenceColumns+` FROM evidence`+f.sql("epoch DESC, journal, seq DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("evidence of %s: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (device.Evidence, error) { return scanEvidence(row) })
}

// AdoptKey notes that name is the installation's signing key: devices whose key has
// no name yet know the one that was in force until now.
func (db *DB) AdoptKey(ctx context.Context, name string) error {
	b := &pgx.Batch{}
	b.Queue(`UPDATE devices d SET server_key = s.value FROM settings s WHERE s.name = 'signing_key' AND d.server_key = ''`)
	b.Queue(`UPDATE settings SET value = $1 WHERE name = 'signing_key' AND value <> $1`, name)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("adopt signing key: %w", err)
	}
	return nil
}

// BehindKey lists the devices that are not retired and do not know that key of the
// server's alone, and counts all that are not retired.
func (db *DB) BehindKey(ctx context.Context, name string) (ids []string, all int, err error) {
	rows, err := db.pool.Query(ctx, `SELECT id, server_key = $1 AND rekey IS NULL FROM devices WHERE service <> 'retired' ORDER BY id`, name)
	if err != nil {
		return nil, 0, fmt.Errorf("list devices by key: %w", err)
	}
	var id string
	var there bool
	_, err = pgx.ForEachRow(rows, []any{&id, &there}, func() error {
		if all++; !there {
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list devices by key: %w", err)
	}
	return ids, all, nil
}

// AbandonKey gives up the devices that are not proved to know that key of the server's,
// and names them: each is out of service until it is provisioned anew, with an audit row,
// and what is sent to it all the same is signed by that key, so that nothing waits for a
// signature that nobody can make. ErrOutletBusy: an order is live on one of them, and
// nothing was changed.
func (db *DB) AbandonKey(ctx context.Context, name string) (ids []string, err error) {
	fail := func(err error) ([]string, error) { return nil, fmt.Errorf("abandon devices: %w", err) }
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// Locked, so that no order can begin before the commit.
	rows, err := tx.Query(ctx, `SELECT o.device, o.order_id IS NOT NULL FROM outlets o JOIN devices d ON o.device = d.id
		WHERE d.service <> 'retired' AND d.server_key <> $1 ORDER BY o.device, o.n FOR UPDATE OF o`, name)
	if err != nil {
		return fail(err)
	}
	var id string
	var busy bool
	var live []string
	if _, err := pgx.ForEachRow(rows, []any{&id, &busy}, func() error {
		if busy {
			live = append(live, id)
		}
		return nil
	}); err != nil {
		return fail(err)
	}
	if len(live) > 0 {
		return fail(fmt.Errorf("%w: %s; end it first", order.ErrOutletBusy, strings.Join(slices.Compact(live), " ")))
	}
	const reason = "it knows only a server key that was given up; provision it again"
	rows, err = tx.Query(ctx, `WITH behind AS (
			SELECT id, service FROM devices WHERE service <> 'retired' AND server_key <> $1 FOR UPDATE
		), out AS (
			UPDATE outlets SET version = version + 1 WHERE device IN (SELECT id FROM behind)
		)
		UPDATE devices d SET service = 'out_of_service', service_reason = $2, server_key = $1, rekey = NULL, version = version + 1
		FROM behind b WHERE b.id = d.id RETURNING d.id, b.service, clock_timestamp()`, name, reason)
	if err != nil {
		return fail(err)
	}
	b := &pgx.Batch{}
	var was string
	var now time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &was, &now}, func() error {
		row, err := uuid.NewV7()
		if err != nil {
			return err
		}
		ids = append(ids, id)
		queueAudit(b, order.Audit{ID: row.String(), Staff: "unlatch", Act: "abandon_key", Object: "device " + id, Reason: reason,
			Before: fmt.Appendf(nil, `{"service":%q}`, was), After: []byte(`{"service":"out_of_service"}`), At: now})
		return nil
	}); err != nil {
		return fail(err)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(err)
	}
	slices.Sort(ids)
	return ids, nil
}
