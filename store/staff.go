package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// AddFirstRun stores a one-time link unless staff exist already: then it returns
// false and there is nothing to set up.
func (db *DB) AddFirstRun(ctx context.Context, hash [32]byte, life time.Duration) (bool, error) {
	tag, err := db.pool.Exec(ctx, `INSERT INTO first_run_links (hash, expires_at)
		SELECT $1, now() + $2 WHERE NOT EXISTS (SELECT FROM staff)`, hash[:], life)
	if err != nil {
		return false, fmt.Errorf("store first-run link: %w", err)
	}
	return tag.RowsAffected() == 1, nil
}

// UseFirstRun spends a link and makes the first admin with a key, in one
// transaction; order.ErrNotFound when the link is unknown, used or too old, or
// staff exist already.
func (db *DB) UseFirstRun(ctx context.Context, link [32]byte, s order.Staff, key order.APIKey, keyHash [32]byte, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("first run: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	tag, err := tx.Exec(ctx, `UPDATE first_run_links SET used_at = now() WHERE hash = $1 AND used_at IS NULL
		AND expires_at > now() AND NOT EXISTS (SELECT FROM staff)`, link[:])
	if err != nil {
		return fmt.Errorf("first run: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("first-run link: %w", order.ErrNotFound)
	}
	if err := addStaff(ctx, tx, s, key, keyHash, a); err != nil {
		return fmt.Errorf("first run: %w", err)
	}
	return tx.Commit(ctx)
}

// AddStaff makes a staff member with a first key; ErrExists when the name is
// taken.
func (db *DB) AddStaff(ctx context.Context, s order.Staff, key order.APIKey, keyHash [32]byte, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("add staff: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := addStaff(ctx, tx, s, key, keyHash, a); err != nil {
		return fmt.Errorf("add staff: %w", err)
	}
	return tx.Commit(ctx)
}

func addStaff(ctx context.Context, tx pgx.Tx, s order.Staff, key order.APIKey, keyHash [32]byte, a order.Audit) error {
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO staff (id, name, role, created_at) VALUES ($1, $2, $3, now())`, s.ID, s.Name, s.Role)
	b.Queue(`INSERT INTO api_keys (id, hash, staff, label, role, created_at) VALUES ($1, $2, $3, $4, $5, now())`,
		key.ID, keyHash[:], s.ID, key.Label, key.Role)
	queueAudit(b, a)
	return domainError(tx.SendBatch(ctx, b).Close())
}

// StaffList lists all members by name.
func (db *DB) StaffList(ctx context.Context) ([]order.Staff, error) {
	rows, err := db.pool.Query(ctx, `SELECT id::text, name, role FROM staff ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list staff: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Staff])
}

// StaffByKey returns whose key it is, with the key's role; order.ErrNotFound when
// it is unknown or revoked or its owner disabled.
func (db *DB) StaffByKey(ctx context.Context, hash [32]byte) (order.Staff, error) {
	var s order.Staff
	err := db.pool.QueryRow(ctx, `SELECT s.id::text, s.name, k.role FROM api_keys k JOIN staff s ON s.id = k.staff
		WHERE k.hash = $1 AND k.revoked_at IS NULL AND s.disabled_at IS NULL`, hash[:]).Scan(&s.ID, &s.Name, &s.Role)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("api key: %w", order.ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("look up api key: %w", err)
	}
	_, err = db.pool.Exec(ctx, `UPDATE api_keys SET last_used_at = now()
		WHERE hash = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`, hash[:])
	if err != nil {
		return s, fmt.Errorf("note use of api key: %w", err)
	}
	return s, nil
}

// APIKeys lists all keys, newest first.
func (db *DB) APIKeys(ctx context.Context) ([]order.APIKey, error) {
	rows, err := db.pool.Query(ctx, `SELECT id::text, staff::text, label, role, created_at, last_used_at, revoked_at
		FROM api_keys ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("list api keys: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.APIKey])
}

// AddAPIKey gives a staff member another key.
func (db *DB) AddAPIKey(ctx context.Context, key order.APIKey, hash [32]byte, a order.Audit) error {
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO api_keys (id, hash, staff, label, role, created_at) VALUES ($1, $2, $3, $4, $5, now())`,
		key.ID, hash[:], key.Staff, key.Label, key.Role)
	queueAudit(b, a)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("add api key: %w", domainError(err))
	}
	return nil
}

// RevokeAPIKey ends a key; order.ErrNotFound when there is none, order.ErrLastAdmin
// when nobody could make another afterwards.
func (db *DB) RevokeAPIKey(ctx context.Context, id string, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("revoke api key: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// One at a time: two admins who revoke each other's key must not both succeed.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('unlatch admin keys'))`); err != nil {
		return fmt.Errorf("revoke api key: %w", err)
	}
	tag, err := tx.Exec(ctx, `UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1::uuid`, uuidOrNil(id))
	if err != nil {
		return fmt.Errorf("revoke api key: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("api key: %w", order.ErrNotFound)
	}
	var admins int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM api_keys k JOIN staff s ON s.id = k.staff
		WHERE k.role = 'admin' AND k.revoked_at IS NULL AND s.disabled_at IS NULL`).Scan(&admins); err != nil {
		return fmt.Errorf("revoke api key: %w", err)
	}
	if admins == 0 {
		return fmt.Errorf("revoke api key: %w", order.ErrLastAdmin)
	}
	b := &pgx.Batch{}
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("revoke api key: %w", err)
	}
	return tx.Commit(ctx)
}

// AuditPage lists privileged acts, newest first.
func (db *DB) AuditPage(ctx context.Context, after string, limit int) ([]order.Audit, error) {
	var f filter
	f.when(after != "", "id < %s::uuid", uuidOrNil(after))
	rows, err := db.pool.Query(ctx, `SELECT id::text, staff, act, object, reason, before, after, at FROM audits`+
		f.sql("id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Audit])
}

// Items lists open items, oldest first, or all of them newest first. An empty kind
// or venue filters nothing.
func (db *DB) Items(ctx context.Context, all bool, kind, venue string, limit int) ([]order.ItemRow, error) {
	var f filter
	sort := "at DESC"
	if !all {
		f.when(true, "(closed_at IS NULL) = %s", true)
		sort = "at"
	}
	f.when(kind != "", "kind = %s", kind)
	f.when(venue != "", "venue = %s", venue)
	rows, err := db.pool.Query(ctx, `SELECT id::text, kind, subject, device, coalesce(order_id::text, ''), venue, detail,
		at, closed_at, coalesce(closed_by, '') FROM items`+f.sql(sort, limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list open items: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.ItemRow, error) {
		var i order.ItemRow
		err := row.Scan(&i.ID, &i.Kind, &i.Subject, &i.Device, &i.Order, &i.Venue, &i.Detail, &i.At, &i.ClosedAt, &i.ClosedBy)
		return i, err
	})
}

// CloseItem notes that staff have dealt with an item.
func (db *DB) CloseItem(ctx context.Context, id string, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("close item: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// A bill that waits for a decision is closed by the decision alone: its hold would
	// stay for ever and nobody would see it.
	var waits bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM items i JOIN orders o ON o.id = i.order_id
		WHERE i.id = $1::uuid AND i.kind = $2 AND o.state = 'ended')`, uuidOrNil(id), order.ItemMismatch).Scan(&waits); err != nil {
		return fmt.Errorf("close item: %w", err)
	}
	if waits {
		return fmt.Errorf("close item: decide its order instead: %w", order.ErrWrongState)
	}
	tag, err := tx.Exec(ctx, `UPDATE items SET closed_at = now(), closed_by = $2 WHERE id = $1::uuid AND closed_at IS NULL`,
		uuidOrNil(id), a.Staff)
	if err != nil {
		return fmt.Errorf("close item: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("open item: %w", order.ErrNotFound)
	}
	b := &pgx.Batch{}
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("close item: %w", err)
	}
	return tx.Commit(ctx)
}

// OpenItem opens one thing for staff to look at; one of the same kind and
// subject that is open already is enough.
func (db *DB) OpenItem(ctx context.Context, i order.Item) error {
	b := &pgx.Batch{}
	queueChanges(b, order.Changes{Items: []order.Item{i}})
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("open item: %w", err)
	}
	return nil
}
