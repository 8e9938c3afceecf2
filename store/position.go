package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// positionMoves is how far a device has to have moved, metres, for its position to be
// written; positionEvery (in the statement below: a minute) how long after the last.
const positionMoves = 10

// NotePositions writes where devices are, one position per device at most, unless one
// was written within the last minute or it moved ten metres at most since; with
// history, where it was before stays known for a while. It returns where each of them
// that is known and not retired now stands by the database.
//
// Distances are those of a plane that touches the globe there: exact to a centimetre at
// ten metres.
func (db *DB) NotePositions(ctx context.Context, told []order.DeviceAt, history bool) ([]order.DeviceAt, error) {
	ids, lats, lngs := make([]string, len(told)), make([]float64, len(told)), make([]float64, len(told))
	for i, t := range told {
		ids[i], lats[i], lngs[i] = string(t.Device), t.Lat, t.Lng
	}
	rows, err := db.pool.Query(ctx, `WITH told AS (
			SELECT DISTINCT ON (device) * FROM unnest($1::text[], $2::float8[], $3::float8[]) AS t(device, lat, lng)
		), known AS MATERIALIZED (
			SELECT d.id, t.lat, t.lng, d.lat AS was_lat, d.lng AS was_lng,
				d.lat IS NULL OR d.lng IS NULL OR (d.placed_at IS NULL OR d.placed_at <= now() - interval '1 minute')
					AND sqrt(pow(t.lat - d.lat, 2) + pow((t.lng - d.lng) * cos(radians(d.lat)), 2)) * 111195 > $5 AS due
			FROM devices d JOIN told t ON t.device = d.id WHERE d.service <> 'retired' ORDER BY d.id FOR NO KEY UPDATE OF d
		), kept AS (
			INSERT INTO positions (device, at, lat, lng) SELECT id, now(), lat, lng FROM known WHERE due AND $4 ON CONFLICT DO NOTHING
		), placed AS (
			UPDATE devices d SET lat = k.lat, lng = k.lng, placed_at = now() FROM known k WHERE d.id = k.id AND k.due
		)
		SELECT id, CASE WHEN due THEN lat ELSE was_lat END, CASE WHEN due THEN lng ELSE was_lng END FROM known`,
		ids, lats, lngs, history, positionMoves)
	if err != nil {
		return nil, fmt.Errorf("note positions: %w", err)
	}
	stand, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t order.DeviceAt, err error) {
		return t, row.Scan(&t.Device, &t.Lat, &t.Lng)
	})
	if err != nil {
		return nil, fmt.Errorf("note positions: %w", err)
	}
	return stand, nil
}

// Positions lists where a device was since a moment, the zero time = all, newest first.
func (db *DB) Positions(ctx context.Context, id device.ID, since time.Time, limit int) ([]order.Stood, error) {
	var f filter
	f.when(true, "device = %s", id)
	f.when(!since.IsZero(), "at >= %s", since)
	rows, err := db.pool.Query(ctx, `SELECT lat, lng, at FROM positions`+f.sql("at DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("positions of %s: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s order.Stood, err error) {
		return s, row.Scan(&s.Lat, &s.Lng, &s.At)
	})
}
