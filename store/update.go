package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// Relay hands up to limit updates of the outbox to route, oldest first, and
// deletes them once route returned nil. A crash in between routes them again. It
// returns how many there were.
func (db *DB) Relay(ctx context.Context, limit int, route func([]order.Update) error) (int, error) {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return 0, fmt.Errorf("relay updates: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	rows, err := tx.Query(ctx, `DELETE FROM updates WHERE id IN
		(SELECT id FROM updates ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, subject, payload - 'moved', payload ? 'moved'`, limit)
	if err != nil {
		return 0, fmt.Errorf("relay updates: %w", err)
	}
	type row struct {
		ID      int64
		Subject string
		Payload []byte
		Moved   bool
	}
	batch, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return 0, fmt.Errorf("relay updates: %w", err)
	}
	if len(batch) == 0 {
		return 0, nil
	}
	slices.SortFunc(batch, func(a, b row) int { return int(a.ID - b.ID) })
	updates := make([]order.Update, len(batch))
	for i, u := range batch {
		updates[i] = order.Update{Subject: u.Subject, Payload: u.Payload, Moved: u.Moved}
	}
	if err := queueEvents(ctx, tx, updates); err != nil {
		return 0, fmt.Errorf("write updates down for webhooks: %w", err)
	}
	if err := route(updates); err != nil {
		return 0, fmt.Errorf("route updates: %w", err)
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, fmt.Errorf("relay updates: %w", err)
	}
	return len(batch), nil
}

// Setting returns an installation-wide fact, "" when it was never set.
func (db *DB) Setting(ctx context.Context, name string) (string, error) {
	var v string
	err := db.pool.QueryRow(ctx, `SELECT coalesce((SELECT value FROM settings WHERE name = $1), '')`, name).Scan(&v)
	if err != nil {
		return "", fmt.Errorf("read setting %s: %w", name, err)
	}
	return v, nil
}

// ClaimSetting sets a fact that nobody set before and returns what it is now:
// value, or what somebody else claimed first.
func (db *DB) ClaimSetting(ctx context.Context, name, value string) (string, error) {
	if _, err := db.pool.Exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
		name, value); err != nil {
		return "", fmt.Errorf("claim setting %s: %w", name, err)
	}
	return db.Setting(ctx, name)
}

// PutSetting sets a fact.
func (db *DB) PutSetting(ctx context.Context, name, value string) error {
	if _, err := db.pool.Exec(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = $2`, name, value); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	return nil
}
