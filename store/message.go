package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// DueMessages implements order.Letters: at once, after one minute and after ten. What
// nobody could be told by then is forgotten.
func (db *DB) DueMessages(ctx context.Context, limit int) ([]order.Message, error) {
	if _, err := db.pool.Exec(ctx, `DELETE FROM messages WHERE tries >= 3 AND due_at <= now()`); err != nil {
		return nil, fmt.Errorf("forget messages: %w", err)
	}
	rows, err := db.pool.Query(ctx, `UPDATE messages SET tries = tries + 1,
			due_at = clock_timestamp() + CASE tries WHEN 0 THEN interval '1 minute' ELSE interval '10 minutes' END
		WHERE id IN (SELECT id FROM messages WHERE due_at <= clock_timestamp() AND tries < 3 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING id::text, rider::text, kind, coalesce(order_id::text, ''), amount, at`, limit)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Message])
}

// DropMessage implements order.Letters.
func (db *DB) DropMessage(ctx context.Context, id string) error {
	if _, err := db.pool.Exec(ctx, `DELETE FROM messages WHERE id = $1`, id); err != nil {
		return fmt.Errorf("drop message: %w", err)
	}
	return nil
}
