package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// TaxRows hands each sale of fuel that a venue settled in [from, to), and each
// refund made in it, to row: oldest first, one at a time. Left out are service
// orders, which sell nothing, and orders of which nothing flowed. A refund that was
// paid in parts (a debt first, the rest to the wallet) is one row. It stops at the
// first error of row and returns it.
func (db *DB) TaxRows(ctx context.Context, venue string, from, to time.Time, row func(order.TaxRow) error) error {
	const goods = `(SELECT g FROM jsonb_array_elements(CASE jsonb_typeof(o.tariff->'grades') WHEN 'array' THEN o.tariff->'grades'
		ELSE '[]' END) g WHERE g->>'grade' = o.usage->'fuel'->>'grade' LIMIT 1)`
	rows, err := db.pool.Query(ctx, `SELECT id::text, refund, at, device, outlet, grade, goods, ml, amount, off FROM (
		SELECT o.id, false AS refund, o.done_at AS at, o.device, o.outlet, o.usage->'fuel'->>'grade' AS grade, `+goods+` AS goods,
			(o.usage->'fuel'->>'millilitres')::bigint AS ml, (o.quote->>'total_fen')::bigint AS amount,
			greatest((o.usage->'fuel'->>'fen')::bigint, 0) - (o.quote->>'total_fen')::bigint AS off
		FROM orders o WHERE o.venue = $1 AND o.state = 'settled' AND o.usage ? 'fuel' AND o.pay_with <> 'service'
			AND o.done_at >= $2 AND o.done_at < $3
		UNION ALL
		SELECT o.id, true, r.at, o.device, o.outlet, o.usage->'fuel'->>'grade', `+goods+`, 0, -r.amount, 0
		FROM (SELECT order_id, key, at, sum(amount)::bigint AS amount FROM transfers WHERE purpose = 'refund'
				AND at >= $2 AND at < $3 GROUP BY order_id, key, at) r
			JOIN orders o ON o.id = r.order_id
		WHERE o.venue = $1 AND o.state = 'settled' AND o.usage ? 'fuel'
	) x WHERE ml <> 0 OR amount <> 0 ORDER BY at, id, refund`, venue, from, to)
	if err != nil {
		return fmt.Errorf("tax data of venue %s: %w", venue, err)
	}
	var r order.TaxRow
	var grade string
	var goodsOf *billing.Grade
	_, err = pgx.ForEachRow(rows, []any{&r.Order, &r.Refund, &r.At, &r.Device, &r.Outlet, &grade, &goodsOf, &r.Millilitres,
		&r.Amount, &r.Off}, func() error {
		r.Grade = billing.Grade{ID: grade} // of a tariff that asks nothing
		if goodsOf != nil {
			r.Grade = *goodsOf
		}
		return row(r)
	})
	if err != nil {
		return fmt.Errorf("tax data of venue %s: %w", venue, err)
	}
	return nil
}
