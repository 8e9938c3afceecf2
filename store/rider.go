package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// mac finds a rider by identity without storing it in the clear.
func (b identityBox) mac(openid string) []byte {
	h := hmac.New(sha256.New, b.key)
	h.Write([]byte("openid"))
	h.Write([]byte(openid))
	return h.Sum(nil)
}

func (b identityBox) seal(openid string) []byte {
	nonce := make([]byte, b.aead.NonceSize())
	rand.Read(nonce)
	return b.aead.Seal(nonce, nonce, []byte(openid), []byte("openid"))
}

// open is what seal closed.
func (b identityBox) open(box []byte) (string, error) {
	n := b.aead.NonceSize()
	if len(box) < n {
		return "", errors.New("it is cut short")
	}
	openid, err := b.aead.Open(nil, box[:n], box[n:], []byte("openid"))
	return string(openid), err
}

// RiderByIdentity returns the id of the rider with this WeChat openid, making
// one at the first login.
func (db *DB) RiderByIdentity(ctx context.Context, openid string) (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	var rider string
	err = db.pool.QueryRow(ctx, `WITH added AS (
			INSERT INTO riders (id, openid_mac, openid_box, created_at) VALUES ($1, $2, $3, now())
			ON CONFLICT (openid_mac) DO NOTHING RETURNING id)
		SELECT id::text FROM added UNION ALL SELECT id::text FROM riders WHERE openid_mac = $2 LIMIT 1`,
		id.String(), db.identity.mac(openid), db.identity.seal(openid)).Scan(&rider)
	if errors.Is(err, pgx.ErrNoRows) { // somebody else's insert was in flight
		err = db.pool.QueryRow(ctx, `SELECT id::text FROM riders WHERE openid_mac = $1`, db.identity.mac(openid)).Scan(&rider)
	}
	if err != nil {
		return "", fmt.Errorf("find rider: %w", err)
	}
	return rider, nil
}

// AddToken stores the hash of a rider's token.
func (db *DB) AddToken(ctx context.Context, rider string, hash [32]byte, life time.Duration) error {
	_, err := db.pool.Exec(ctx, `INSERT INTO rider_tokens (hash, rider, expires_at) VALUES ($1, $2, now() + $3)`,
		hash[:], rider, life)
	if err != nil {
		return fmt.Errorf("store token: %w", err)
	}
	return nil
}

// RiderByToken returns whose token it is; order.ErrNotFound when it is unknown,
// expired or revoked.
func (db *DB) RiderByToken(ctx context.Context, hash [32]byte) (string, error) {
	var rider string
	err := db.pool.QueryRow(ctx, `SELECT rider::text FROM rider_tokens WHERE hash = $1 AND revoked_at IS NULL
		AND expires_at > now()`, hash[:]).Scan(&rider)
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
	tag, err := tx.Exec(ctx, `UPDATE riders SET blocked = $2 WHERE id = $1::uuid`, uuidOrNil(rider), blocked)
	if err != nil {
		return fmt.Errorf("block rider: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("rider: %w", order.ErrNotFound)
	}
	b := &pgx.Batch{}
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
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
	rows, err := db.pool.Query(ctx, `SELECT id::text, blocked, rider_group, created_at FROM riders`+f.sql("id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list riders: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.RiderRow])
}
