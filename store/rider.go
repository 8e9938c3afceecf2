package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// AddToken stores the hash of a rider's token. order.ErrRiderErased: they were erased
// while they logged in.
func (db *DB) AddToken(ctx context.Context, rider string, hash [32]byte, life time.Duration) error {
	tag, err := db.pool.Exec(ctx, `INSERT INTO rider_tokens (hash, rider, expires_at)
		SELECT $1, id, now() + $3 FROM riders WHERE id = $2 AND erased_at IS NULL FOR KEY SHARE`, hash[:], rider, life)
	if err != nil {
		return fmt.Errorf("store token: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("store token: %w", order.ErrRiderErased)
	}
	return nil
}

// RiderByToken returns whose token it is; order.ErrNotFound when it is unknown,
// expired or revoked.
func (db *DB) RiderByToken(ctx context.Context, hash [32]byte) (string, error) {
	var rider string
	err := db.pool.QueryRow(ctx, `SELECT t.rider::text FROM rider_tokens t JOIN riders r ON r.id = t.rider
		WHERE t.hash = $1 AND t.revoked_at IS NULL AND t.expires_at > now() AND r.erased_at IS NULL`, hash[:]).Scan(&rider)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("token: %w", order.ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("look up token: %w", err)
	}
	return rider, nil
}

// RevokeTokens ends one token, or all of a rider's when hash is nil.
func (db *DB) RevokeTokens(ctx context.Context, rider string, hash *[32]byte) error {
	var one []byte
	if hash != nil {
		one = hash[:]
	}
	_, err := db.pool.Exec(ctx, `UPDATE rider_tokens SET revoked_at = now()
		WHERE rider = $1::uuid AND revoked_at IS NULL AND ($2::bytea IS NULL OR hash = $2)`, uuidOrNil(rider), one)
	if err != nil {
		return fmt.Errorf("revoke tokens: %w", err)
	}
	return nil
}

// BlockRider sets or lifts a rider's block. Blocking also ends their logins.
func (db *DB) BlockRider(ctx context.Context, rider string, blocked bool, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("block rider: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	err = tx.QueryRow(ctx, `UPDATE riders r SET blocked = $2 FROM riders old WHERE r.id = $1::uuid AND old.id = r.id
		RETURNING jsonb_build_object('blocked', old.blocked)`, uuidOrNil(rider), blocked).Scan(&a.Before)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("rider: %w", order.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("block rider: %w", err)
	}
	if err := audited(ctx, tx, a); err != nil {
		return fmt.Errorf("block rider: %w", err)
	}
	return tx.Commit(ctx)
}

// Wallet reads a rider's balances; a rider without any has zero.
func (db *DB) Wallet(ctx context.Context, rider string) (order.Purse, error) {
	var w order.Purse
	rows, err := db.pool.Query(ctx, `SELECT id, posted, held FROM accounts WHERE id = ANY($1)`,
		[]string{string(billing.Wallet(rider)), string(billing.Receivable(rider))})
	if err != nil {
		return w, fmt.Errorf("read wallet: %w", err)
	}
	var a billing.Account
	_, err = pgx.ForEachRow(rows, []any{&a.ID, &a.Posted, &a.Held}, func() error {
		if a.ID == billing.Wallet(rider) {
			w.Balance, w.Held, w.Available = a.Posted, a.Held, a.Available()
		} else {
			w.Debt = a.Debt()
		}
		return nil
	})
	return w, err
}

// Riders lists riders, newest first; after is the last id of the page before.
func (db *DB) Riders(ctx context.Context, after string, limit int) ([]order.RiderRow, error) {
	var f filter
	f.when(after != "", "id < %s::uuid", uuidOrNil(after))
	rows, err := db.pool.Query(ctx, `SELECT id::text, blocked, rider_group, created_at, erased_at FROM riders`+f.sql("id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list riders: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.RiderRow])
}

// Rider reads a rider; ErrNotFound where there is none.
func (db *DB) Rider(ctx context.Context, id string) (order.RiderRow, error) {
	rows, err := db.pool.Query(ctx, `SELECT id::text, blocked, rider_group, created_at, erased_at FROM riders WHERE id = $1::uuid`, uuidOrNil(id))
	if err != nil {
		return order.RiderRow{}, fmt.Errorf("read rider: %w", err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[order.RiderRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return row, fmt.Errorf("rider %s: %w", id, order.ErrNotFound)
	}
	return row, err
}
