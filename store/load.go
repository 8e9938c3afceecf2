package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// uuidOrNil maps anything that is not a UUID to NULL, which equals nothing: an
// id out of thin air names no row and is no error.
func uuidOrNil(id string) *string {
	if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
		return nil
	}
	return &id
}

// The device of a query: the named one, or that of the named order.
const theDevice = `coalesce(nullif($1::text, ''), (SELECT device FROM orders WHERE id = $2::uuid))`

// The orders of a snapshot; see order.Snapshot.
const theOrders = `ANY(ARRAY(
	SELECT order_id FROM outlets WHERE device = ` + theDevice + ` AND order_id IS NOT NULL
	UNION SELECT order_id FROM commands WHERE device = ` + theDevice + ` AND state IN ('published', 'unresolved') AND order_id IS NOT NULL
	UNION SELECT order_id FROM evidence WHERE device = ` + theDevice + ` AND status = 'waiting' AND order_id IS NOT NULL
	UNION SELECT $2::uuid UNION SELECT $3::uuid))`

// Load implements order.Store: one pipelined round trip, and one before it where the
// query names a payment.
func (db *DB) Load(ctx context.Context, q order.Query) (order.Snapshot, error) {
	var s order.Snapshot
	q, err := db.whose(ctx, q)
	if err != nil {
		return s, fmt.Errorf("load snapshot: %w", err)
	}
	b := &pgx.Batch{}
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&s.Now) })
	if q.Device != "" || q.Order != "" {
		queueLoadDevice(b, q, &s)
	}
	if q.Rider != "" {
		queueLoadRider(b, q, &s)
	}
	queueLoadPayments(b, q, &s)
	queueLoadPasses(b, q, &s)
	queueLoadReservations(b, q, &s)
	if q.Key != nil {
		b.Queue(`SELECT route, body_hash, status, answer, coalesce(order_id::text, ''), at FROM idempotency_keys
			WHERE principal = $1 AND key = $2`, q.Key.Principal, q.Key.Key).QueryRow(func(row pgx.Row) error {
			k := order.Key{KeyRef: *q.Key}
			var hash []byte
			err := row.Scan(&k.Route, &hash, &k.Status, &k.Answer, &k.Order, &k.At)
			copy(k.BodyHash[:], hash)
			return optional(err, func() { s.Key = &k })
		})
	}
	if q.Ticket != "" {
		b.Queue(`SELECT EXISTS (SELECT FROM orders WHERE ticket = $1)`, q.Ticket).
			QueryRow(func(row pgx.Row) error { return row.Scan(&s.Used) })
	}
	if q.Tariff != "" {
		b.Queue(`SELECT rule FROM tariffs WHERE id = $1 AND version = $2`, q.Tariff, q.TariffVersion).
			QueryRow(func(row pgx.Row) error {
				var t billing.Tariff
				return optional(row.Scan(&t), func() { s.Tariff = &t })
			})
	}
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return order.Snapshot{}, fmt.Errorf("load snapshot: %w", err)
	}
	return s, nil
}

// optional runs found when a row was there; no row is no error.
func optional(err error, found func()) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		found()
	}
	return err
}

// collect reads rows into a slice.
func collect[T any](into *[]T, scan func(pgx.Row) (T, error)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return scan(row) })
		*into = all
		return err
	}
}

// queueLoadDevice reads the device before its commands and orders: when a word
// is heard in between, a decision made of the older device sees fewer proofs,
// never more, and its guards refuse it where it would matter.
func queueLoadDevice(b *pgx.Batch, q order.Query, s *order.Snapshot) {
	id, ord := string(q.Device), uuidOrNil(q.Order)
	b.Queue(`SELECT `+deviceColumns+` FROM devices WHERE id = `+theDevice, id, ord).QueryRow(func(row pgx.Row) error {
		d, err := scanDevice(row)
		return optional(err, func() { s.Device = &d })
	})
	b.Queue(`SELECT `+outletColumns+` FROM outlets WHERE device = `+theDevice+` ORDER BY n`, id, ord).
		Query(collect(&s.Outlets, scanOutlet))
	b.Queue(`SELECT `+commandColumns+` FROM commands WHERE device = `+theDevice+`
		AND state IN ('published', 'unresolved') ORDER BY outlet, seq`, id, ord).
		Query(collect(&s.Commands, scanCommand))
	if q.Answered {
		// The newest numbers of its outlet by their index; a device is sent few in so short a time.
		b.Queue(`SELECT `+commandColumns+` FROM commands WHERE state NOT IN ('published', 'unresolved') AND id = ANY(ARRAY(
			SELECT command_id FROM orders WHERE id = $1::uuid UNION SELECT newest.id FROM orders o JOIN devices d ON d.id = o.device,
				LATERAL (SELECT c.id, c.created_at FROM commands c WHERE c.device = o.device AND c.outlet = o.outlet AND c.epoch = d.epoch
					ORDER BY c.seq DESC LIMIT 8) newest
			WHERE o.id = $1::uuid AND newest.created_at > clock_timestamp() - $2::interval)) ORDER BY outlet, seq`, ord, order.RingEvery).
			Query(collectMore(&s.Commands, scanCommand))
	}
	b.Queue(`SELECT `+evidenceColumns+` FROM evidence WHERE device = `+theDevice+` AND status = 'waiting'
		ORDER BY seq`, id, ord).Query(collect(&s.Waiting, scanEvidence))
	names := uuidOrNil(q.Names)
	b.Queue(`SELECT id::text, blocked, rider_group, erased_at IS NOT NULL FROM riders WHERE id = ANY(ARRAY(
		SELECT CASE WHEN rider ~ '^[0-9a-f-]{36}$' THEN rider::uuid END FROM orders
		WHERE id = `+theOrders+` AND state = 'pending')) ORDER BY id`, id, ord, names).
		Query(collect(&s.Riders, scanKnown))
	b.Queue(`SELECT `+orderColumns+` FROM orders WHERE id = `+theOrders+` ORDER BY id`, id, ord, names).
		Query(collect(&s.Orders, scanOrder))
	b.Queue(`SELECT a.id, a.posted, a.held, a.version FROM accounts a WHERE a.id = ANY(ARRAY(
		SELECT p.prefix || o.rider FROM orders o, (VALUES ('wallet:'), ('receivable:')) p(prefix)
		WHERE o.id = `+theOrders+` UNION ALL SELECT 'prepaid:' || o.id FROM orders o
		WHERE o.id = `+theOrders+` AND o.payment_id IS NOT NULL))`, id, ord, names).Query(collectAccounts(s))
	b.Queue(`SELECT o.id::text, (SELECT coalesce(sum(p.charged + p.debt - p.refunded), 0)::bigint FROM orders p
			WHERE p.rider = o.rider AND p.day = o.day AND p.venue = o.venue AND p.kind = o.kind AND p.id <> o.id
			AND p.state = 'settled')
		FROM orders o WHERE o.id = `+theOrders+` AND o.state <> 'settled' AND o.state <> 'voided'`, id, ord, names).
		Query(func(rows pgx.Rows) error {
			s.DaySpent = map[string]billing.Fen{}
			var id string
			var fen billing.Fen
			_, err := pgx.ForEachRow(rows, []any{&id, &fen}, func() error { s.DaySpent[id] = fen; return nil })
			return err
		})
	b.Queue(`SELECT `+venueColumns+` FROM venues v JOIN devices d ON d.venue = v.id WHERE d.id = `+theDevice, id, ord).QueryRow(func(row pgx.Row) error {
		v, err := scanVenue(row)
		return optional(err, func() { s.Venue = &v })
	})
	if q.Evidence != 0 {
		b.Queue(`SELECT `+evidenceColumns+` FROM evidence WHERE device = $1 AND epoch = $2 AND journal = $3 AND seq = $4`,
			q.Device, q.Epoch, q.Journal[:], q.Evidence).QueryRow(func(row pgx.Row) error {
			e, err := scanEvidence(row)
			return optional(err, func() { s.Stored = &e })
		})
	}
}

// collectMore adds rows to a slice.
func collectMore[T any](into *[]T, scan func(pgx.Row) (T, error)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var more []T
		err := collect(&more, scan)(rows)
		*into = append(*into, more...)
		return err
	}
}

// collectAccounts adds balances that are not in the snapshot yet.
func collectAccounts(s *order.Snapshot) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var a billing.Account
		_, err := pgx.ForEachRow(rows, []any{&a.ID, &a.Posted, &a.Held, &a.Version}, func() error {
			for _, have := range s.Accounts {
				if have.ID == a.ID {
					return nil
				}
			}
			s.Accounts = append(s.Accounts, a)
			return nil
		})
		return err
	}
}

func scanKnown(row pgx.Row) (order.Rider, error) {
	var r order.Rider
	err := row.Scan(&r.ID, &r.Blocked, &r.Group, &r.Erased)
	return r, err
}

func queueLoadRider(b *pgx.Batch, q order.Query, s *order.Snapshot) {
	b.Queue(`SELECT id::text, blocked, rider_group, erased_at IS NOT NULL FROM riders WHERE id = $1::uuid`, uuidOrNil(q.Rider)).QueryRow(func(row pgx.Row) error {
		var r order.Rider
		return optional(row.Scan(&r.ID, &r.Blocked, &r.Group, &r.Erased), func() { s.Rider = &r })
	})
	b.Queue(`SELECT id, posted, held, version FROM accounts WHERE id = ANY(ARRAY['wallet:' || $1, 'receivable:' || $1])`,
		q.Rider).Query(collectAccounts(s))
	b.Queue(`SELECT `+orderColumns+` FROM orders WHERE rider = $1 AND slot > 0`, q.Rider).
		Query(collect(&s.Live, scanOrder))
	b.Queue(`SELECT day, sum(CASE state WHEN 'settled' THEN charged + debt - refunded ELSE hold_fen END)::bigint
		FROM orders WHERE rider = $1 AND class = 'printed' AND state <> 'voided'
			AND day >= to_char(now() - interval '2 days', 'YYYY-MM-DD')
		GROUP BY day`, q.Rider).Query(func(rows pgx.Rows) error {
		s.Spent = map[string]billing.Fen{}
		var day string
		var fen billing.Fen
		_, err := pgx.ForEachRow(rows, []any{&day, &fen}, func() error { s.Spent[day] = fen; return nil })
		return err
	})
}

var _ order.Store = (*DB)(nil)
