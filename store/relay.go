package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Carried implements order.Carrier: one pipelined round trip. The device is read before
// its commands, as Load does: what it acks was committed by then.
func (db *DB) Carried(ctx context.Context, id device.ID) (d device.Device, open []device.Command, now time.Time, err error) {
	b := &pgx.Batch{}
	known := false
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	b.Queue(`SELECT `+deviceColumns+` FROM devices WHERE id = $1`, id).QueryRow(func(row pgx.Row) (err error) {
		d, err = scanDevice(row)
		return optional(err, func() { known = true })
	})
	b.Queue(`SELECT `+commandColumns+` FROM commands WHERE device = $1 AND state = 'published' ORDER BY outlet, seq`, id).
		Query(collect(&open, scanCommand))
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return d, nil, now, fmt.Errorf("read device %s: %w", id, err)
	}
	if !known {
		return d, nil, now, fmt.Errorf("device %s: %w", id, order.ErrNotFound)
	}
	return d, open, now, nil
}

var _ order.Carrier = (*DB)(nil)
