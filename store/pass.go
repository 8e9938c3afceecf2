package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

const heldColumns = `p.id::text, p.rider::text, p.venue, p.kind, p.terms, p.from_at, p.until_at, p.drawn, p.revoked_at, p.by, p.at, p.version`

func scanHeld(row pgx.Row) (order.HeldPass, error) {
	var h order.HeldPass
	var revoked *time.Time
	err := row.Scan(&h.ID, &h.Rider, &h.Venue, &h.Kind, &h.Pass, &h.From, &h.Until, &h.Drawn, &revoked, &h.By, &h.At, &h.Version)
	if revoked != nil {
		h.Revoked = *revoked
	}
	return h, err
}

func queueHeld(b *pgx.Batch, h order.HeldPass) {
	if h.Version != 0 {
		b.Queue(replaced(`UPDATE rider_passes SET drawn = $3, revoked_at = $4, version = $2 + 1 WHERE id = $1 AND version = $2`,
			"pass"), h.ID, h.Version, h.Drawn, nilTime(h.Revoked))
		return
	}
	b.Queue(`INSERT INTO rider_passes (id, rider, venue, kind, pass, terms, from_at, until_at, drawn, revoked_at, by, at, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1)`, h.ID, h.Rider, h.Venue, h.Kind, h.Pass.ID, h.Pass, h.From, h.Until,
		h.Drawn, nilTime(h.Revoked), h.By, h.At)
}

// queueLoadPasses reads the passes of the queried rider that are not over, and those
// that the snapshot's orders met.
func queueLoadPasses(b *pgx.Batch, q order.Query, s *order.Snapshot) {
	if q.Device == "" && q.Order == "" && q.Rider == "" {
		return
	}
	b.Queue(`SELECT `+heldColumns+` FROM rider_passes p WHERE p.rider = $4::uuid AND p.until_at > now() AND p.revoked_at IS NULL
		UNION SELECT `+heldColumns+` FROM orders o JOIN rider_passes p
			ON p.rider = CASE WHEN o.pass_id IS NOT NULL THEN o.rider::uuid END AND p.until_at > o.created_at AND p.from_at <= o.created_at
		WHERE o.id = `+theOrders,
		string(q.Device), uuidOrNil(q.Order), uuidOrNil(q.Names), uuidOrNil(q.Rider)).Query(collect(&s.Passes, scanHeld))
	if q.Pass != "" {
		b.Queue(`SELECT `+passColumns+` FROM passes WHERE id = $1 ORDER BY version DESC LIMIT 1`, q.Pass).QueryRow(func(row pgx.Row) error {
			p, err := scanPass(row)
			return optional(err, func() { s.Offer = &p })
		})
	}
}

const passColumns = `terms, venue, kind, rider_group, on_sale`

func scanPass(row pgx.Row) (order.PassRow, error) {
	var p order.PassRow
	err := row.Scan(&p.Pass, &p.Venue, &p.Kind, &p.Group, &p.OnSale)
	return p, err
}

// Passes implements order.Catalog.
func (db *DB) Passes(ctx context.Context, rider string) ([]order.HeldPass, error) {
	return db.held(ctx, `p.until_at > now() AND p.revoked_at IS NULL`, rider)
}

// AllPasses lists every pass that a rider ever held, newest first.
func (db *DB) AllPasses(ctx context.Context, rider string) ([]order.HeldPass, error) {
	return db.held(ctx, `true`, rider)
}

func (db *DB) held(ctx context.Context, which, rider string) ([]order.HeldPass, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+heldColumns+` FROM rider_passes p WHERE p.rider = $1::uuid AND `+which+`
		ORDER BY p.id DESC`, uuidOrNil(rider))
	if err != nil {
		return nil, fmt.Errorf("list passes of a rider: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.HeldPass, error) { return scanHeld(row) })
}

// PassesOffered lists the newest version of every pass, by id.
func (db *DB) PassesOffered(ctx context.Context) ([]order.PassRow, error) {
	rows, err := db.pool.Query(ctx, `SELECT DISTINCT ON (id) `+passColumns+` FROM passes ORDER BY id, version DESC`)
	if err != nil {
		return nil, fmt.Errorf("list passes: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.PassRow, error) { return scanPass(row) })
}

// AddPass stores the next version of the pass's id and returns it with its number.
// order.ErrUnknown: there is no such venue.
func (db *DB) AddPass(ctx context.Context, p order.PassRow, a order.Audit) (order.PassRow, error) {
	fail := func(err error) (order.PassRow, error) {
		return p, fmt.Errorf("add pass %s: %w", p.Pass.ID, domainError(err))
	}
	if err := p.Pass.Check(); err != nil {
		return p, err
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	b := &pgx.Batch{}
	b.Queue(`SELECT pg_advisory_xact_lock(hashtext('pass ' || $1))`, p.Pass.ID)
	b.Queue(`SELECT coalesce(max(version), 0) + 1 FROM passes WHERE id = $1`, p.Pass.ID).
		QueryRow(func(row pgx.Row) error { return row.Scan(&p.Pass.Version) })
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	b = &pgx.Batch{}
	b.Queue(`INSERT INTO passes (id, version, venue, kind, rider_group, on_sale, terms) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		p.Pass.ID, p.Pass.Version, p.Venue, p.Kind, p.Group, p.OnSale, p.Pass)
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	return p, tx.Commit(ctx)
}

// RiderGroup is the group that a rider is in, "" for none; order.ErrNotFound.
func (db *DB) RiderGroup(ctx context.Context, rider string) (string, error) {
	var group string
	err := db.pool.QueryRow(ctx, `SELECT rider_group FROM riders WHERE id = $1::uuid`, uuidOrNil(rider)).Scan(&group)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("rider: %w", order.ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("group of a rider: %w", err)
	}
	return group, nil
}

// GroupRider puts a rider into a group, "" for none, with the audit row beside it.
func (db *DB) GroupRider(ctx context.Context, rider, group string, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("group rider: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var before string
	var erased bool
	err = tx.QueryRow(ctx, `SELECT rider_group, erased_at IS NOT NULL FROM riders WHERE id = $1::uuid FOR UPDATE`,
		uuidOrNil(rider)).Scan(&before, &erased)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("rider: %w", order.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("group rider: %w", err)
	}
	if erased {
		return fmt.Errorf("group rider: %w", order.ErrRiderErased)
	}
	a.Before = fmt.Appendf(nil, `{"group": %q}`, before)
	b := &pgx.Batch{}
	b.Queue(`UPDATE riders SET rider_group = $2 WHERE id = $1::uuid`, rider, group)
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("group rider: %w", domainError(err))
	}
	return tx.Commit(ctx)
}
