package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// statisticsPatience ends a read that would take the disk from riders for too long.
const statisticsPatience = 20 * time.Second

// Statistics reads how a span went, all of one moment. order.ErrTooMany: it takes longer
// than 20 s.
func (db *DB) Statistics(ctx context.Context, q order.StatisticsQuery) (order.Statistics, error) {
	var s order.Statistics
	fail := func(err error) (order.Statistics, error) {
		if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
			return s, fmt.Errorf("%w: the orders of that span take too long to count; take a shorter one", order.ErrTooMany)
		}
		return s, fmt.Errorf("statistics: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, statisticsPatience)
	defer cancel()
	tx, err := db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// An order's id begins with its moment, so that the primary key finds a span.
	args := []any{firstID(q.From), firstID(q.To), q.Venue, q.Kind, q.To}
	const picked = `WITH o AS (SELECT *, least(coalesce(ended_at, done_at, now()), $5::timestamptz) - active_at AS used FROM orders
		WHERE id >= $1 AND id < $2 AND ($3 = '' OR venue = $3) AND ($4 = '' OR kind = $4) AND pay_with <> 'service') `
	b := &pgx.Batch{}
	b.Queue(picked+`SELECT day, count(*), count(*) FILTER (WHERE state = 'settled'), count(*) FILTER (WHERE state = 'voided'),
			coalesce(sum(charged + debt), 0)::bigint, coalesce(sum(refunded), 0)::bigint, coalesce(sum(greatest(used, '0')), '0')
		FROM o GROUP BY day ORDER BY day`, args...).
		Query(collect(&s.Days, func(row pgx.Row) (d order.DayStatistics, err error) {
			return d, row.Scan(&d.Day, &d.Orders, &d.Settled, &d.Voided, (*int64)(&d.Billed), (*int64)(&d.Refunded), &d.Used)
		}))
	b.Queue(picked+`, times AS (SELECT greatest(extract(epoch FROM active_at
			- (SELECT m.at FROM order_moves m WHERE m.order_id = o.id AND m.to_state = 'starting' ORDER BY m.n LIMIT 1)), 0) AS s
			FROM o WHERE active_at IS NOT NULL AND $5::timestamptz IS NOT NULL)
		SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY s::float8) FROM times`, args...).
		QueryRow(func(row pgx.Row) error {
			var seconds []float64
			err := row.Scan(&seconds)
			for _, x := range seconds {
				s.Unlock = append(s.Unlock, time.Duration(x*float64(time.Second)))
			}
			return err
		})
	b.Queue(picked+`SELECT reason, count(*) FROM o WHERE state = 'voided' GROUP BY reason ORDER BY count(*) DESC, reason LIMIT 50`, args...).
		Query(collect(&s.Reasons, func(row pgx.Row) (c order.Count, err error) { return c, row.Scan(&c.What, &c.N) }))
	b.Queue(picked+`SELECT d.firmware, count(DISTINCT d.id), count(*), count(*) FILTER (WHERE o.state = 'voided' AND o.reason <> 'cancelled')
		FROM o JOIN devices d ON d.id = o.device WHERE o.state <> 'pending'
			AND EXISTS (SELECT FROM order_moves m WHERE m.order_id = o.id AND m.to_state = 'starting')
		GROUP BY d.firmware ORDER BY count(*) DESC, d.firmware LIMIT 50`, args...).
		Query(collect(&s.Firmware, func(row pgx.Row) (f order.FirmwareStatistics, err error) {
			return f, row.Scan(&f.Firmware, &f.Devices, &f.Starts, &f.Failed)
		}))
	b.Queue(`SELECT count(*) FROM outlets x JOIN devices d ON d.id = x.device WHERE d.service = 'in_service'
		AND ($1 = '' OR d.venue = $1) AND ($2 = '' OR d.kind = $2)`, q.Venue, q.Kind).
		QueryRow(func(row pgx.Row) error { return row.Scan(&s.Outlets) })
	// What is in use reaches into the span from before it: the longest use is a day.
	b.Queue(`SELECT coalesce(sum(greatest(least(coalesce(ended_at, done_at, now()), $2) - greatest(active_at, $1), '0')), '0') FROM orders
		WHERE id >= $5 AND id < $6 AND ($3 = '' OR venue = $3) AND ($4 = '' OR kind = $4) AND active_at IS NOT NULL`,
		q.From, q.To, q.Venue, q.Kind, firstID(q.From.Add(-48*time.Hour)), firstID(q.To)).
		QueryRow(func(row pgx.Row) error { return row.Scan(&s.Used) })
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	return s, nil
}

// firstID is the least UUIDv7 of a moment (RFC 9562 section 5.7).
func firstID(at time.Time) uuid.UUID {
	var id uuid.UUID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(at.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	id[6], id[8] = 0x70, 0x80
	return id
}
