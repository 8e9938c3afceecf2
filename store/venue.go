package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

const venueColumns = `v.id, v.name, v.time_zone, v.open, v.lat, v.lng, v.start_radius, v.phone, v.kiosk_only, v.opening_hours, v.geofence,
	EXISTS (SELECT FROM venue_stops x WHERE x.venue = v.id AND x.reached_at IS NULL),
	EXISTS (SELECT FROM devices x WHERE x.venue = v.id AND x.halt IS NOT NULL AND x.service <> 'retired')`

func scanVenue(row pgx.Row) (order.Venue, error) {
	var v order.Venue
	var hours string
	err := row.Scan(&v.ID, &v.Name, &v.TimeZone, &v.Open, &v.Lat, &v.Lng, &v.StartRadius, &v.Phone,
		&v.KioskOnly, &hours, &v.Fence, &v.Stopped, &v.Halted)
	if err == nil {
		v.Hours, err = order.ParseHours(hours)
	}
	return v, err
}

// Venues lists all venues by id.
func (db *DB) Venues(ctx context.Context) ([]order.Venue, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+venueColumns+` FROM venues v ORDER BY v.id`)
	if err != nil {
		return nil, fmt.Errorf("list venues: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Venue, error) { return scanVenue(row) })
}

// PutVenue makes a venue or replaces its facts, with the audit row beside it.
func (db *DB) PutVenue(ctx context.Context, v order.Venue, a order.Audit) error {
	if err := v.Check(); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `SELECT jsonb_build_object('name', name, 'time_zone', time_zone, 'open', open, 'lat', lat, 'lng', lng,
			'start_radius_m', start_radius, 'opening_hours', opening_hours, 'kiosk_only', kiosk_only, 'phone', phone, 'geofence', geofence)
			FROM venues WHERE id = $1 FOR UPDATE`, v.ID).Scan(&a.Before)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		b := &pgx.Batch{}
		b.Queue(`INSERT INTO venues (id, name, time_zone, open, lat, lng, start_radius, phone, kiosk_only, opening_hours, geofence)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (id) DO UPDATE SET name = $2, time_zone = $3, open = $4, lat = $5, lng = $6, start_radius = $7,
				phone = $8, kiosk_only = $9, opening_hours = $10, geofence = $11`, v.ID, v.Name, v.TimeZone, v.Open, v.Lat, v.Lng, v.StartRadius,
			v.Phone, v.KioskOnly, v.Hours.String(), v.Fence)
		if !v.Open || v.KioskOnly {
			// A start that loaded the venue while it was allowed is guarded by its outlet's
			// version, and so fails and looks again. Locked in order, as Apply locks.
			b.Queue(`UPDATE outlets o SET version = version + 1 FROM (SELECT device, n FROM outlets WHERE device IN
				(SELECT id FROM devices WHERE venue = $1) ORDER BY device, n FOR UPDATE) x WHERE o.device = x.device AND o.n = x.n`, v.ID)
		}
		queueAudit(b, a)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return fmt.Errorf("put venue %s: %w", v.ID, domainError(err))
	}
	return nil
}

// TariffFor implements order.Catalog.
func (db *DB) TariffFor(ctx context.Context, venue string, kind device.Kind, rider string) (billing.Tariff, error) {
	var t billing.Tariff
	err := db.pool.QueryRow(ctx, `SELECT rule FROM tariffs WHERE venue = $1 AND kind = $2
		AND rider_group IN ('', (SELECT rider_group FROM riders WHERE id = $3::uuid)) AND effective_at <= clock_timestamp()
		ORDER BY rider_group = '', effective_at DESC, version DESC, id LIMIT 1`, venue, kind, uuidOrNil(rider)).Scan(&t)
	if errors.Is(err, pgx.ErrNoRows) {
		return t, fmt.Errorf("tariff for %s at venue %s: %w", kind, venue, order.ErrNoTariff)
	}
	if err != nil {
		return t, fmt.Errorf("tariff for %s at venue %s: %w", kind, venue, err)
	}
	return t, nil
}

// AddTariff stores the next version of the tariff's id and returns it with its
// number. Versions never change and never go.
func (db *DB) AddTariff(ctx context.Context, r order.TariffRow, a order.Audit) (billing.Tariff, error) {
	t := r.Tariff
	if err := order.CheckTariff(r.Kind, t); err != nil {
		return t, err
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return t, fmt.Errorf("add tariff %s: %w", t.ID, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('tariff ' || $1))`, t.ID); err != nil {
		return t, fmt.Errorf("add tariff %s: %w", t.ID, err)
	}
	if err := tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) + 1 FROM tariffs WHERE id = $1`, t.ID).
		Scan(&t.Version); err != nil {
		return t, fmt.Errorf("add tariff %s: %w", t.ID, err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO tariffs (id, version, venue, kind, rule, effective_at, rider_group)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, t.ID, t.Version, r.Venue, r.Kind, t, r.EffectiveAt, r.Group); err != nil {
		return t, fmt.Errorf("add tariff %s: %w", t.ID, domainError(err))
	}
	if err := audited(ctx, tx, a); err != nil {
		return t, fmt.Errorf("add tariff %s: %w", t.ID, err)
	}
	return t, tx.Commit(ctx)
}

// Tariffs lists every version, newest first.
func (db *DB) Tariffs(ctx context.Context) ([]order.TariffRow, error) {
	rows, err := db.pool.Query(ctx, `SELECT rule, venue, kind, effective_at, rider_group FROM tariffs ORDER BY effective_at DESC, version DESC`)
	if err != nil {
		return nil, fmt.Errorf("list tariffs: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.TariffRow, error) {
		var r order.TariffRow
		err := row.Scan(&r.Tariff, &r.Venue, &r.Kind, &r.EffectiveAt, &r.Group)
		return r, err
	})
}
