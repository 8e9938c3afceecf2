package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// ReportFault opens the item of a rider's report and returns its id: that of the one of
// the same subject that is open already, where there is one.
func (db *DB) ReportFault(ctx context.Context, i order.Item) (id string, err error) {
	b := &pgx.Batch{}
	queueChanges(b, order.Changes{Items: []order.Item{i}})
	b.Queue(`SELECT id::text FROM items WHERE kind = $1 AND subject = $2 AND closed_at IS NULL`, i.Kind, i.Subject).
		QueryRow(func(row pgx.Row) error { return row.Scan(&id) })
	err = db.pool.SendBatch(ctx, b).Close()
	if errors.Is(err, pgx.ErrNoRows) { // closed between the two
		return i.ID, nil
	}
	if err != nil {
		return "", fmt.Errorf("report fault: %w", err)
	}
	return id, nil
}

// Faults lists the reports of riders: the open ones, oldest first, or all, newest first.
// An empty venue filters nothing.
func (db *DB) Faults(ctx context.Context, all bool, venues []string, limit int) ([]order.FaultRow, error) {
	var f filter
	sort := "at DESC"
	f.when(true, "kind = %s", order.ItemFault)
	if !all {
		f.when(true, "(closed_at IS NULL) = %s", true)
		sort = "at"
	}
	f.when(venues != nil, "venue = ANY(%s)", venues)
	rows, err := db.pool.Query(ctx, `SELECT id::text, kind, subject, device, venue, detail, at, closed_at, coalesce(closed_by, ''),
		EXISTS (SELECT FROM fault_photos p WHERE p.item = items.id) FROM items`+f.sql(sort, limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list faults: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.FaultRow, error) {
		var r order.FaultRow
		err := row.Scan(&r.ID, &r.Kind, &r.Subject, &r.Device, &r.Venue, &r.Detail, &r.At, &r.ClosedAt, &r.ClosedBy, &r.Photo)
		return r, err
	})
}

// TakesPhoto tells whether KeepPhoto would keep one, so that nothing is made of what it
// would not. Its errors are the same.
func (db *DB) TakesPhoto(ctx context.Context, rider, item string, since time.Time, most int) error {
	return takesPhoto(ctx, db.pool, rider, item, since, most, "")
}

// takesPhoto asks, and with a lock makes who adds another photo, or erases the rider, wait.
func takesPhoto(ctx context.Context, on interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, rider, item string, since time.Time, most int, lock string) error {
	var sent int
	err := on.QueryRow(ctx, `SELECT (SELECT count(*) FROM fault_photos p WHERE p.rider = r.id AND p.at > $3 AND p.item <> i.id)
		FROM items i, riders r WHERE i.id::text = $1 AND i.closed_at IS NULL AND `+faultsOf("$2")+` AND r.id::text = $2 AND r.erased_at IS NULL`+lock,
		item, rider, since).Scan(&sent)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return order.ErrNotFound
	case err != nil:
		return fmt.Errorf("look for a report: %w", err)
	case sent >= most:
		return order.ErrTooMany
	}
	return nil
}

// KeepPhoto keeps the photo of a rider's own open report in place of an earlier one.
// order.ErrNotFound: no such report of theirs is open. order.ErrTooMany: they have sent
// most photos, of other reports, since the moment.
func (db *DB) KeepPhoto(ctx context.Context, rider, item string, image []byte, since time.Time, most int) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("keep photo: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// The rider's row makes two photos of the same moment count each other.
	if err := takesPhoto(ctx, tx, rider, item, since, most, ` FOR UPDATE OF r`); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO fault_photos (item, rider, image) VALUES ($1, $2, $3)
		ON CONFLICT (item) DO UPDATE SET image = excluded.image, at = now()`, item, rider, image); err != nil {
		return fmt.Errorf("keep photo: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("keep photo: %w", err)
	}
	return nil
}

// Photo is the photo of a report, of one of the rider's where one is named.
// order.ErrNotFound: there is none, or none any more.
func (db *DB) Photo(ctx context.Context, item, rider string) ([]byte, error) {
	var image []byte
	err := db.pool.QueryRow(ctx, `SELECT image FROM fault_photos WHERE item::text = $1 AND ($2 = '' OR rider::text = $2)`, item, rider).Scan(&image)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, order.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read photo: %w", err)
	}
	return image, nil
}
