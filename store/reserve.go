package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

const reservationColumns = `r.id::text, r.rider, r.venue, r.day, r.device, r.outlet, r.kind, r.state, r.tariff, r.fee, coalesce(r.order_id::text, ''),
	r.created_at, r.free_until, r.expires_at, r.done_at, r.version`

func scanReservation(row pgx.Row) (order.Reservation, error) {
	var r order.Reservation
	var done *time.Time
	err := row.Scan(&r.ID, &r.Rider, &r.Venue, &r.Day, &r.Device, &r.Outlet, &r.Kind, &r.State, &r.Tariff, &r.Fee, &r.Order,
		&r.CreatedAt, &r.FreeUntil, &r.ExpiresAt, &done, &r.Version)
	if done != nil {
		r.DoneAt = *done
	}
	return r, err
}

func queueReservation(b *pgx.Batch, r order.Reservation) {
	if r.Version != 0 {
		b.Queue(replaced(`UPDATE reservations SET state = $3, order_id = $4, done_at = $5, version = $2 + 1 WHERE id = $1 AND version = $2`,
			"reservation"), r.ID, r.Version, r.State, nilUUID(r.Order), nilTime(r.DoneAt))
		return
	}
	b.Queue(`INSERT INTO reservations (id, rider, venue, day, device, outlet, kind, state, tariff, fee, order_id, created_at, free_until,
		expires_at, done_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1)`, r.ID, r.Rider, r.Venue, r.Day,
		r.Device, r.Outlet, r.Kind, r.State, r.Tariff, r.Fee, nilUUID(r.Order), r.CreatedAt, r.FreeUntil, r.ExpiresAt, nilTime(r.DoneAt))
}

// queueLoadReservations reads the queried rider's open reservation, the queried one, and
// how many of the rider's went unused lately: an order that was voided used none.
func queueLoadReservations(b *pgx.Batch, q order.Query, s *order.Snapshot) {
	if q.Rider == "" {
		return
	}
	b.Queue(`SELECT `+reservationColumns+` FROM reservations r WHERE r.rider = $1 AND r.state = 'held'
		UNION SELECT `+reservationColumns+` FROM reservations r WHERE r.id = $2::uuid`, q.Rider, uuidOrNil(q.Reservation)).
		Query(collect(&s.Reservations, scanReservation))
	b.Queue(`SELECT day, count(*)::int FROM reservations r WHERE rider = $1 AND (state <> 'used'
			OR EXISTS (SELECT FROM orders o WHERE o.id = r.order_id AND o.state = 'voided')) AND day >= to_char(now() - interval '2 days', 'YYYY-MM-DD')
		GROUP BY day`, q.Rider).Query(func(rows pgx.Rows) error {
		s.Unused = map[string]int{}
		var day string
		var n int
		_, err := pgx.ForEachRow(rows, []any{&day, &n}, func() error { s.Unused[day] = n; return nil })
		return err
	})
}

// reserver fills in the device and the rider of a queried reservation.
func (db *DB) reserver(ctx context.Context, q order.Query) (order.Query, error) {
	err := db.pool.QueryRow(ctx, `SELECT device, rider FROM reservations WHERE id = $1::uuid`, uuidOrNil(q.Reservation)).Scan(&q.Device, &q.Rider)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return q, err
}

// Reservation reads one, with the database's clock, by which it may have expired.
// order.ErrNotFound.
func (db *DB) Reservation(ctx context.Context, id string) (order.Reservation, time.Time, error) {
	return db.reservation(ctx, `r.id = $1::uuid`, uuidOrNil(id))
}

// ReservationOf reads the one that a rider holds now. order.ErrNotFound: none.
func (db *DB) ReservationOf(ctx context.Context, rider string) (order.Reservation, time.Time, error) {
	return db.reservation(ctx, `r.rider = $1 AND r.state = 'held' AND r.expires_at > now()`, rider)
}

func (db *DB) reservation(ctx context.Context, where string, arg any) (order.Reservation, time.Time, error) {
	var now time.Time
	r, err := scanReservation(withMore{db.pool.QueryRow(ctx, `SELECT `+reservationColumns+`, now() FROM reservations r WHERE `+where, arg), []any{&now}})
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return r, now, fmt.Errorf("reservation: %w", err)
	}
	return r, now, nil
}
