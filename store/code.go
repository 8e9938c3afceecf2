package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Code implements order.Catalog.
func (db *DB) Code(ctx context.Context, number string) (order.Code, error) {
	c := order.Code{Number: number}
	var id *string
	var n *uint8
	var revoked *time.Time
	err := db.pool.QueryRow(ctx, `SELECT device, outlet, revoked_at, kiosk FROM codes WHERE number = $1`, number).
		Scan(&id, &n, &revoked, &c.Kiosk)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, fmt.Errorf("code: %w", order.ErrNotFound)
	}
	if err != nil {
		return c, fmt.Errorf("look up code: %w", err)
	}
	if id != nil && n != nil {
		c.Device, c.Outlet = device.ID(*id), *n
	}
	c.Revoked = revoked != nil
	return c, nil
}

// AddCode stores a minted number for an outlet; ErrExists when the number is
// taken (mint another), ErrUnknown when the device is not there.
func (db *DB) AddCode(ctx context.Context, c order.Code, a order.Audit) error {
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO codes (number, device, outlet, created_at, kiosk) VALUES ($1, $2, $3, now(), $4)`, c.Number, c.Device,
		c.Outlet, c.Kiosk)
	queueAudit(b, a)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("add code: %w", domainError(err))
	}
	return nil
}

// ReplaceCode revokes a code that is in use and stores another for the same
// outlet, both or neither; order.ErrNotFound when there is none,
// order.ErrCodeRevoked when it is not in use, order.ErrExists when the new number
// is taken.
func (db *DB) ReplaceCode(ctx context.Context, old, number string, a order.Audit) (order.Code, error) {
	c := order.Code{Number: number}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return c, fmt.Errorf("replace code: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var id *string
	var n *uint8
	err = tx.QueryRow(ctx, `UPDATE codes SET revoked_at = now() WHERE number = $1 AND revoked_at IS NULL
		RETURNING device, outlet, kiosk`, old).Scan(&id, &n, &c.Kiosk)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := db.Code(ctx, old); err != nil {
			return c, err
		}
		return c, fmt.Errorf("replace code: %w", order.ErrCodeRevoked)
	}
	if err != nil {
		return c, fmt.Errorf("replace code: %w", err)
	}
	if id == nil || n == nil {
		return c, fmt.Errorf("replace code: %w", order.ErrCodeUnbound)
	}
	c.Device, c.Outlet = device.ID(*id), *n
	if _, err := tx.Exec(ctx, `INSERT INTO codes (number, device, outlet, created_at, kiosk) VALUES ($1, $2, $3, now(), $4)`,
		c.Number, c.Device, c.Outlet, c.Kiosk); err != nil {
		return c, fmt.Errorf("replace code: %w", domainError(err))
	}
	b := &pgx.Batch{}
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return c, fmt.Errorf("replace code: %w", err)
	}
	return c, tx.Commit(ctx)
}

// RevokeCode takes a code out of use for good; order.ErrNotFound when there is
// none. Revoking twice changes nothing but adds its audit row.
func (db *DB) RevokeCode(ctx context.Context, number string, a order.Audit) error {
	b := &pgx.Batch{}
	found := false
	b.Queue(`UPDATE codes SET revoked_at = coalesce(revoked_at, now()) WHERE number = $1`, number).
		Exec(func(tag pgconn.CommandTag) error { found = tag.RowsAffected() == 1; return nil })
	queueAudit(b, a)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("revoke code: %w", err)
	}
	if !found {
		return fmt.Errorf("revoke code: %w", order.ErrNotFound)
	}
	return nil
}

// Codes lists the codes of a device ("" = of all), newest first, revoked ones
// included.
func (db *DB) Codes(ctx context.Context, id device.ID, limit int) ([]order.Code, error) {
	var f filter
	f.when(id != "", "device = %s", id)
	rows, err := db.pool.Query(ctx, `SELECT number, coalesce(device, ''), coalesce(outlet, 0), revoked_at IS NOT NULL, kiosk
		FROM codes`+f.sql("created_at DESC, number", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list codes: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Code, error) {
		var c order.Code
		err := row.Scan(&c.Number, &c.Device, &c.Outlet, &c.Revoked, &c.Kiosk)
		return c, err
	})
}
