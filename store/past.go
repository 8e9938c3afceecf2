package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// Past lists what q picks, in the order in which it was settled, and aside what else
// fills the caps of its days: other tariffs of the kind, and what was settled up to
// order.PastLead before. References to evidence are left out: no price depends on
// them. order.ErrTooMany.
func (db *DB) Past(ctx context.Context, q order.PastQuery) ([]billing.Past, error) {
	rows, err := db.pool.Query(ctx, `SELECT id::text, rider, day, (extract(epoch FROM done_at) * 1e6)::bigint,
			usage || '{"evidence": []}', charged + debt, NOT (done_at >= $3 AND ($5 = '' OR tariff->>'id' = $5)) FROM orders
		WHERE venue = $1 AND kind = $2 AND state = 'settled' AND pay_with <> 'service' AND usage IS NOT NULL
			AND done_at >= $3::timestamptz - $7::interval AND done_at < $4 ORDER BY done_at, id LIMIT $6`,
		q.Venue, q.Kind, q.From, q.To, q.Tariff, q.Most+1, order.PastLead)
	if err != nil {
		return nil, fmt.Errorf("list past orders: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (billing.Past, error) {
		var p billing.Past
		err := row.Scan(&p.Order, &p.Rider, &p.Day, &p.Done, &p.Usage, &p.Total, &p.Aside)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("list past orders: %w", err)
	}
	if len(all) > q.Most {
		return nil, fmt.Errorf("%w: over %d orders; take a shorter span", order.ErrTooMany, q.Most)
	}
	return all, nil
}
