package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// codeColumns is what scanCode reads of codes c.
const codeColumns = `c.number, coalesce(c.device, ''), coalesce(c.outlet, 0), c.revoked_at IS NOT NULL, c.kiosk,
	coalesce(c.venue, (SELECT d.venue FROM devices d WHERE d.id = c.device), ''), coalesce(c.batch::text, ''), coalesce(c.label, 0)`

func scanCode(row pgx.Row) (order.Code, error) {
	var c order.Code
	err := row.Scan(&c.Number, &c.Device, &c.Outlet, &c.Revoked, &c.Kiosk, &c.Venue, &c.Batch, &c.Label)
	return c, err
}

// Code implements order.Catalog.
func (db *DB) Code(ctx context.Context, number string) (order.Code, error) {
	c, err := scanCode(db.pool.QueryRow(ctx, `SELECT `+codeColumns+` FROM codes c WHERE c.number = $1`, number))
	if errors.Is(err, pgx.ErrNoRows) {
		return order.Code{Number: number}, fmt.Errorf("code: %w", order.ErrNotFound)
	}
	if err != nil {
		return c, fmt.Errorf("look up code: %w", err)
	}
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

// ReplaceCode revokes a code that is in use and stores another in its place: on the
// same outlet, if it hangs on one, and with the same label of the same batch. Both or
// neither; order.ErrNotFound when there is none, order.ErrCodeRevoked when it is not
// in use, order.ErrExists when the new number is taken.
func (db *DB) ReplaceCode(ctx context.Context, old, number string, a order.Audit) (order.Code, error) {
	fail := func(err error) (order.Code, error) {
		return order.Code{Number: number}, fmt.Errorf("replace code: %w", err)
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	was, err := heldCode(ctx, tx, old)
	if err != nil {
		return fail(err)
	}
	if _, err := tx.Exec(ctx, `UPDATE codes SET revoked_at = now() WHERE number = $1`, old); err != nil {
		return fail(err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO codes (number, device, outlet, created_at, kiosk, venue, batch, label)
		SELECT $2, device, outlet, now(), kiosk, venue, batch, label FROM codes WHERE number = $1`, old, number); err != nil {
		return fail(domainError(err))
	}
	c := was.Code
	c.Number = number
	if a.Before, a.After = codesJSON(was.Code), codesJSON(c); c.Device == "" {
		a.Object = codeObject(c)
	}
	if err := audited(ctx, tx, a); err != nil {
		return fail(err)
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
	rows, err := db.pool.Query(ctx, `SELECT `+codeColumns+` FROM codes c`+f.sql("created_at DESC, number", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list codes: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Code, error) { return scanCode(row) })
}
