package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// Preferences are what the operator set, or the defaults.
func (db *DB) Preferences(ctx context.Context) (order.Preferences, error) {
	p := order.DefaultPreferences()
	var value []byte
	err := db.pool.QueryRow(ctx, `SELECT value, version FROM preferences`).Scan(&value, &p.Version)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read preferences: %w", err)
	}
	if err := json.Unmarshal(value, &p); err != nil {
		return p, fmt.Errorf("read preferences: %w", err)
	}
	return p, nil
}

// PutPreferences sets them; order.ErrWrongState when they are not of p.Version any more.
func (db *DB) PutPreferences(ctx context.Context, p order.Preferences, a order.Audit) error {
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("set preferences: %w", err)
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("set preferences: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var before []byte
	err = tx.QueryRow(ctx, `SELECT value FROM preferences FOR UPDATE`).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		before, err = json.Marshal(order.DefaultPreferences())
	}
	if err != nil {
		return fmt.Errorf("set preferences: %w", err)
	}
	tag, err := tx.Exec(ctx, `INSERT INTO preferences (value, version) SELECT $1, 1 WHERE $2 = 0
		ON CONFLICT (one) DO NOTHING`, value, p.Version)
	if err == nil && p.Version > 0 {
		tag, err = tx.Exec(ctx, `UPDATE preferences SET value = $1, version = version + 1 WHERE version = $2`, value, p.Version)
	}
	if err != nil {
		return fmt.Errorf("set preferences: %w", domainError(err))
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("set preferences: %w", order.ErrWrongState)
	}
	a.Before, a.After = before, value
	if err := audited(ctx, tx, a); err != nil {
		return fmt.Errorf("set preferences: %w", err)
	}
	return tx.Commit(ctx)
}

// VenueMap is what an operator lays over a venue's map; the zero value when nothing was.
func (db *DB) VenueMap(ctx context.Context, venue string) (order.VenueMap, error) {
	var m order.VenueMap
	var value []byte
	err := db.pool.QueryRow(ctx, `SELECT value, type, version FROM venue_maps WHERE venue = $1`, venue).Scan(&value, &m.ImageType, &m.Version)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("map of venue %s: %w", venue, err)
	}
	if err := json.Unmarshal(value, &m); err != nil {
		return m, fmt.Errorf("map of venue %s: %w", venue, err)
	}
	return m, nil
}

// VenueImage is a venue's plan; order.ErrNotFound.
func (db *DB) VenueImage(ctx context.Context, venue string) (image []byte, kind string, err error) {
	err = db.pool.QueryRow(ctx, `SELECT image, type FROM venue_maps WHERE venue = $1 AND image IS NOT NULL`, venue).Scan(&image, &kind)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return nil, "", fmt.Errorf("plan of venue %s: %w", venue, err)
	}
	return image, kind, nil
}

// PutVenueMap sets all but the image.
func (db *DB) PutVenueMap(ctx context.Context, venue string, m order.VenueMap, a order.Audit) error {
	value, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("map of venue %s: %w", venue, err)
	}
	old, err := db.VenueMap(ctx, venue)
	if err != nil {
		return err
	}
	a.Before, _ = json.Marshal(old)
	a.After = value
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO venue_maps (venue, value, version) VALUES ($1, $2, 1)
		ON CONFLICT (venue) DO UPDATE SET value = $2, version = venue_maps.version + 1`, venue, value)
	queueAudit(b, a)
	return venueMapError(venue, db.pool.SendBatch(ctx, b).Close())
}

// PutVenueImage sets a venue's plan; nil takes it away.
func (db *DB) PutVenueImage(ctx context.Context, venue string, image []byte, kind string, a order.Audit) error {
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO venue_maps (venue, value, image, type, version) VALUES ($1, '{}', $2, $3, 1)
		ON CONFLICT (venue) DO UPDATE SET image = $2, type = $3, version = venue_maps.version + 1`, venue, image, kind)
	queueAudit(b, a)
	return venueMapError(venue, db.pool.SendBatch(ctx, b).Close())
}

func venueMapError(venue string, err error) error {
	err = domainError(err)
	if errors.Is(err, order.ErrUnknown) {
		err = order.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("map of venue %s: %w", venue, err)
	}
	return nil
}
