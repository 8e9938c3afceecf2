package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// notRider tells failed unlocks among voided orders o: a start was committed, and it was
// not the rider who took it back.
const notRider = `o.state = 'voided' AND o.command_id IS NOT NULL AND o.reason <> 'cancelled'`

// FleetRows reads the devices of those ids, nil = all, by id, with the database's clock:
// one round trip of a few statements whatever their number. Rows may be of different
// moments. Unknown ids are left out.
func (db *DB) FleetRows(ctx context.Context, ids []device.ID) (rows []order.FleetRow, now time.Time, err error) {
	if ids != nil && len(ids) == 0 {
		return nil, time.Time{}, nil
	}
	var args []any
	some := func(column string) string { return "" }
	if ids != nil { // another text, since plans are made once per text
		args = []any{ids}
		some = func(column string) string { return " AND " + column + " = ANY($1)" }
	}
	at := map[device.ID]int{}
	b := &pgx.Batch{}
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	b.Queue(`SELECT d.id, d.kind, d.venue, d.service, d.halt IS NOT NULL, d.heard_at, d.firmware, d.lat, d.lng, d.placed_at,
			d.service <> 'retired' AND (d.rekey IS NOT NULL OR d.server_key <> coalesce((SELECT value FROM settings WHERE name = 'signing_key'), '')),
			d.sample->>'uptime', d.sample->>'at', d.boots->-1->>'offset', d.boots->-1->>'boot' = d.sample->>'boot'
		FROM devices d WHERE true`+some("d.id")+` ORDER BY d.id`, args...).Query(func(r pgx.Rows) error {
		var err error
		rows, err = pgx.CollectRows(r, func(row pgx.CollectableRow) (order.FleetRow, error) { return scanFleetRow(row) })
		for i := range rows {
			at[rows[i].ID] = i
		}
		return err
	})
	// each hands a statement's rows to the device that they are of.
	each := func(sql string, into func(*order.FleetRow), scan ...any) {
		var id device.ID
		b.Queue(sql, args...).Query(func(r pgx.Rows) error {
			_, err := pgx.ForEachRow(r, append([]any{&id}, scan...), func() error {
				if i, ok := at[id]; ok {
					into(&rows[i])
				}
				return nil
			})
			return err
		})
	}
	var n int
	var blocked, open, jammed bool
	var kept, began, doubted *time.Time
	each(`SELECT o.device, count(*), bool_or(o.block <> ''), bool_or(o.order_id IS NULL AND o.block = '' AND o.stated_known AND NOT o.stated_closed), bool_or(o.jammed),
			max(o.reserved_until) FILTER (WHERE o.reservation_id IS NOT NULL AND o.order_id IS NULL)
		FROM outlets o WHERE true`+some("o.device")+` GROUP BY o.device`,
		func(f *order.FleetRow) {
			f.Outlets, f.Blocked, f.Open, f.Jammed, f.Kept = n, blocked, open, jammed, timeOf(kept)
		}, &n, &blocked, &open, &jammed, &kept)
	var pending, unproven int
	each(`SELECT o.device, count(*), count(*) FILTER (WHERE o.state = 'pending'), count(*) FILTER (WHERE o.state = 'unresolved'),
			min(CASE o.state WHEN 'active' THEN o.active_at WHEN 'unresolved' THEN m.at ELSE o.created_at END), min(m.at)
		FROM orders o LEFT JOIN LATERAL (SELECT max(m.at) AS at FROM order_moves m WHERE m.order_id = o.id AND o.state = 'unresolved') m ON true
		WHERE o.state IN ('pending', 'starting', 'unresolved', 'active')`+some("o.device")+` GROUP BY o.device`,
		func(f *order.FleetRow) {
			f.Orders, f.Pending, f.Unproven, f.Began, f.Doubted = n, pending, unproven, timeOf(began), timeOf(doubted)
		}, &n, &pending, &unproven, &began, &doubted)
	each(`SELECT e.device FROM evidence e WHERE e.status = 'waiting'`+some("e.device")+` GROUP BY e.device`,
		func(f *order.FleetRow) { f.Gap = true })
	each(`SELECT i.device FROM items i WHERE i.closed_at IS NULL AND i.device <> ''`+some("i.device")+` GROUP BY i.device`,
		func(f *order.FleetRow) { f.Item = true })
	// Days differ by the venue's zone: the index finds those that may be meant.
	each(`SELECT o.device, count(*) FROM orders o JOIN venues v ON v.id = o.venue
		WHERE `+notRider+` AND o.day = ANY(ARRAY(SELECT DISTINCT to_char(clock_timestamp() AT TIME ZONE z.time_zone, 'YYYY-MM-DD') FROM venues z))
			AND o.day = to_char(clock_timestamp() AT TIME ZONE v.time_zone, 'YYYY-MM-DD')`+some("o.device")+` GROUP BY o.device`,
		func(f *order.FleetRow) { f.Failures = n }, &n)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return nil, time.Time{}, fmt.Errorf("read fleet: %w", err)
	}
	slices.SortFunc(rows, func(a, b order.FleetRow) int { return strings.Compare(string(a.ID), string(b.ID)) }) // as Go compares, whatever the collation
	return rows, now, nil
}

// longest is an uptime, ms, that no device has: a hundred years.
const longest = 100 * 365 * 24 * 3600 * 1000

func scanFleetRow(row pgx.Row) (order.FleetRow, error) {
	var f order.FleetRow
	var heard, placed *time.Time
	var uptime, at, offset *string // as JSON has them: one that is no number must not hide the fleet
	var same *bool
	err := row.Scan(&f.ID, &f.Kind, &f.Venue, &f.Service, &f.Stopped, &heard, &f.Firmware, &f.Lat, &f.Lng, &placed, &f.Behind,
		&uptime, &at, &offset, &same)
	f.HeardAt, f.PlacedAt = timeOf(heard), timeOf(placed)
	if uptime != nil && at != nil && offset != nil && same != nil && *same {
		sampled, errAt := time.Parse(time.RFC3339Nano, *at)
		up, errUp := strconv.ParseInt(*uptime, 10, 64)
		least, errLeast := strconv.ParseInt(*offset, 10, 64)
		if errAt == nil && errUp == nil && errLeast == nil && !sampled.IsZero() && up < longest {
			f.Up = time.Duration(up) * time.Millisecond
			f.Lag = max(time.Duration(sampled.UnixMilli()-up-least)*time.Millisecond, 0)
		}
	}
	return f, err
}

// timeOf is the zero time for NULL.
func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
