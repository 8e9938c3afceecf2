package store

import (
	"context"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Prices returns, for each kind and group of riders that has a tariff at a venue, the version in force
// by the rule of TariffFor and those that will be. Of several versions with one
// future effective_at only the highest will ever count, and only it is told.
func (db *DB) Prices(ctx context.Context, venue string) (order.PriceList, error) {
	var p order.PriceList
	fail := func(err error) (order.PriceList, error) { return p, fmt.Errorf("prices of venue %s: %w", venue, err) }
	rows, err := db.pool.Query(ctx, `WITH now AS MATERIALIZED (SELECT clock_timestamp() AS t), found AS (
			(SELECT DISTINCT ON (kind, rider_group) rule, kind, effective_at, rider_group FROM tariffs, now WHERE venue = $1 AND effective_at <= t
				ORDER BY kind, rider_group, effective_at DESC, version DESC, id)
			UNION ALL
			(SELECT DISTINCT ON (kind, rider_group, effective_at) rule, kind, effective_at, rider_group FROM tariffs, now
				WHERE venue = $1 AND effective_at > t ORDER BY kind, rider_group, effective_at, version DESC, id)
		) SELECT t, f.rule, f.kind, f.effective_at, f.rider_group FROM now LEFT JOIN found f ON true
		ORDER BY f.kind, f.rider_group, f.effective_at`, venue)
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		var rule *billing.Tariff // nil, as the rest: there is no tariff at all
		var kind *device.Kind
		var effective *time.Time
		var group *string
		if err := rows.Scan(&p.At, &rule, &kind, &effective, &group); err != nil {
			return fail(err)
		}
		if rule != nil {
			p.Tariffs = append(p.Tariffs, order.TariffRow{Tariff: *rule, Venue: venue, Kind: *kind, Group: *group, EffectiveAt: *effective})
		}
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return p, nil
}
