package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func queueStop(b *pgx.Batch, s order.Stop) {
	b.Queue(`INSERT INTO venue_stops (id, venue, by, reason, at) VALUES ($1, $2, $3, $4, $5)`, s.ID, s.Venue, s.By, s.Reason, s.At)
}

// BeginStop implements order.StopLog.
func (db *DB) BeginStop(ctx context.Context, s order.Stop, a *order.Audit) error {
	b := &pgx.Batch{}
	queueStop(b, s)
	if a != nil {
		queueAudit(b, *a)
	}
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("stop venue %s: %w", s.Venue, domainError(err))
	}
	return nil
}

// Unstopped implements order.StopLog.
func (db *DB) Unstopped(ctx context.Context, kinds []device.Kind, limit int) ([]order.Unstopped, error) {
	rows, err := db.pool.Query(ctx, `SELECT s.n, s.reason, coalesce(d.id, '') FROM venue_stops s
		LEFT JOIN devices d ON d.venue = s.venue AND d.kind = ANY($1) AND d.service <> 'retired' AND d.told < s.n
		WHERE s.reached_at IS NULL ORDER BY s.n, d.id LIMIT $2`, kinds, limit)
	if err != nil {
		return nil, fmt.Errorf("look for devices to stop: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Unstopped])
}

// Reached implements order.StopLog.
func (db *DB) Reached(ctx context.Context, stop int64) error {
	if _, err := db.pool.Exec(ctx, `UPDATE venue_stops SET reached_at = clock_timestamp() WHERE n = $1 AND reached_at IS NULL`, stop); err != nil {
		return fmt.Errorf("note that stop %d reached all: %w", stop, err)
	}
	return nil
}

var _ order.StopLog = (*DB)(nil)
