package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// AddScans counts scans by code and day. It is for eyes only: a scan that is lost is lost.
func (db *DB) AddScans(ctx context.Context, notes []order.ScanNote) error {
	b := &pgx.Batch{}
	notes = slices.Clone(notes) // in one order at every replica, so that none waits for another in turn
	slices.SortFunc(notes, func(a, b order.ScanNote) int { return strings.Compare(a.Number, b.Number) })
	for _, n := range notes {
		located, far, metres := 0, 0, int64(0)
		if n.Metres >= 0 {
			located = 1
			if n.Metres > order.FarScan {
				far, metres = 1, int64(n.Metres)
			}
		}
		b.Queue(`INSERT INTO scan_days (number, day, scans, located, far, far_m, last_at) VALUES ($1, ($2 AT TIME ZONE 'UTC')::date, 1, $3, $4, $5, $2)
			ON CONFLICT (number, day) DO UPDATE SET scans = scan_days.scans + 1, located = scan_days.located + $3, far = scan_days.far + $4,
				far_m = scan_days.far_m + $5, last_at = greatest(scan_days.last_at, $2)`, n.Number, n.At, located, far, metres)
	}
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("count scans: %w", err)
	}
	return nil
}

// Suspects are the codes in use whose scans of the last 14 days look wrong, the most
// telling first. See order.Suspect for the rules. Venues nil = all.
func (db *DB) Suspects(ctx context.Context, venue string, venues []string, limit int) ([]order.Suspect, error) {
	rows, err := db.pool.Query(ctx, `
		WITH s AS (SELECT number, sum(scans) AS scans, sum(located) AS located, sum(far) AS far, sum(far_m) AS far_m, max(last_at) AS last_at,
				count(*) FILTER (WHERE day < current_date - 3 AND day >= current_date - 10) AS before
			FROM scan_days WHERE day >= current_date - 14 GROUP BY number),
		c AS (SELECT s.*, c.device, c.outlet, d.venue, (SELECT count(*) FROM orders o WHERE o.device = c.device AND o.outlet = c.outlet
					AND o.created_at > now() - interval '14 days' AND o.state <> 'voided') AS starts,
				d.service = 'in_service' AND d.heard_at > now() - interval '1 hour' AND NOT EXISTS (SELECT FROM orders o WHERE o.device = c.device
					AND o.outlet = c.outlet AND o.created_at > now() - interval '3 days') AS idle
			FROM s JOIN codes c ON c.number = s.number AND c.revoked_at IS NULL JOIN devices d ON d.id = c.device
			WHERE ($1 = '' OR d.venue = $1) AND ($2::text[] IS NULL OR d.venue = ANY($2))),
		r AS (SELECT *, array_remove(ARRAY[CASE WHEN far >= 3 AND far * 2 >= located THEN $3 END,
				CASE WHEN scans >= 5 AND starts = 0 THEN $4 END,
				CASE WHEN before >= 6 AND idle AND last_at < now() - interval '3 days' THEN $5 END]::text[], NULL) AS reasons FROM c)
		SELECT number, device, venue, reasons, scans, located, far, CASE WHEN far > 0 THEN far_m / far ELSE 0 END, starts, last_at
		FROM r WHERE cardinality(reasons) > 0 ORDER BY cardinality(reasons) DESC, far DESC, number LIMIT $6`,
		venue, venues, order.FarScans, order.NoUnlocks, order.Silence, limit)
	if err != nil {
		return nil, fmt.Errorf("list suspect codes: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s order.Suspect, err error) {
		var last *time.Time
		err = row.Scan(&s.Number, &s.Device, &s.Venue, &s.Reasons, &s.Scans, &s.Located, &s.Far, &s.FarMean, &s.Starts, &last)
		s.LastScan = timeOf(last)
		return s, err
	})
}
