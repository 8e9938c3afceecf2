package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/unlatch/unlatch/order"
)

// SetPhone keeps a rider's phone number, with its country and in digits behind a +,
// encrypted; "" forgets it. Several riders may have one number. order.ErrNotFound.
func (db *DB) SetPhone(ctx context.Context, rider, number string) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		var mac, sealed []byte
		var key *string
		if number != "" {
			// The key cannot change while this row is held, as for RiderByIdentity.
			var name string
			if err := tx.QueryRow(ctx, `SELECT value FROM settings WHERE name = $1 FOR SHARE`, identitySetting).Scan(&name); err != nil {
				return err
			}
			box, ok := db.identity[name]
			if !ok {
				return fmt.Errorf("key %q: %w", name, ErrIdentityKey)
			}
			mac, sealed, key = box.phoneMAC(number), box.seal(number), &name
		}
		tag, err := tx.Exec(ctx, `UPDATE riders SET phone_mac = $2, phone_box = $3, phone_key = $4 WHERE id = $1::uuid AND erased_at IS NULL`,
			uuidOrNil(rider), mac, sealed, key)
		if err == nil && tag.RowsAffected() == 0 {
			err = order.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("set a rider's phone: %w", err)
	}
	return nil
}

// Phone is the number that a rider gave, "" = none.
func (db *DB) Phone(ctx context.Context, rider string) (string, error) {
	var key *string
	var box []byte
	err := db.pool.QueryRow(ctx, `SELECT phone_key, phone_box FROM riders WHERE id = $1::uuid`, uuidOrNil(rider)).Scan(&key, &box)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && key == nil {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("phone of a rider: %w", err)
	}
	return db.identity.open(*key, box)
}

// What one look for riders may cost.
const (
	findPatience = 10 * time.Second // of the database, for each statement
	findOrders   = 5_000            // of a span
	// longestUse is how long before a span an order was placed at most that was live in it:
	// a use ends by itself after a day.
	longestUse = 7 * day
)

// isRider picks the ids of riders out of orders: a start by staff has another one's.
const isRider = `o.rider ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'`

// FindRiders looks riders up, the newest first: by the number that they gave, by an
// order, or by who used a device in a span. a is the audit row of the look, in the same
// transaction. order.ErrTooMany: the span holds more orders than one look reads.
func (db *DB) FindRiders(ctx context.Context, q order.RiderQuery, a order.Audit) ([]order.RiderRow, error) {
	var f filter
	f.when(q.Phone != "", "r.phone_mac = ANY(%s::bytea[])", db.identity.phoneMACs(q.Phone))
	f.when(q.Order != "", "r.id = (SELECT CASE WHEN "+isRider+" THEN o.rider::uuid END FROM orders o WHERE o.id = %s::uuid)", uuidOrNil(q.Order))
	var found []order.RiderRow
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT set_config('statement_timeout', $1, true)`, fmt.Sprint(findPatience.Milliseconds())); err != nil {
			return err
		}
		if !q.From.IsZero() {
			riders, err := ridersOf(ctx, tx, q)
			if err != nil {
				return err
			}
			f.when(true, "r.id = ANY(%s::text[]::uuid[])", riders)
		}
		rows, err := tx.Query(ctx, `SELECT r.id::text, r.blocked, r.rider_group, r.created_at, r.erased_at FROM riders r`+f.sql("r.id DESC", q.Limit), f.args...)
		if err != nil {
			return err
		}
		if found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[order.RiderRow]); err != nil {
			return err
		}
		return audited(ctx, tx, a)
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "57014" && ctx.Err() == nil { // the statement's time was over
		err = order.ErrTooMany
	}
	if errors.Is(err, order.ErrTooMany) {
		return nil, fmt.Errorf("find riders: the span holds too many orders; name a device, or take a shorter span: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("find riders: %w", err)
	}
	return found, nil
}

// ridersOf lists who used something in a span. It goes by the orders' ids, which begin with
// when they were placed, and by their device where one is named: both have an index.
func ridersOf(ctx context.Context, tx pgx.Tx, q order.RiderQuery) ([]string, error) {
	var f filter
	f.when(true, "o.id >= %s::uuid", firstID(q.From.Add(-longestUse)))
	f.when(true, "o.id < %s::uuid", firstID(q.To.Add(time.Minute))) // made by another clock than created_at
	f.when(true, "o.created_at < %s", q.To)
	f.when(true, "coalesce(o.done_at, now()) >= %s", q.From)
	f.when(q.Device != "", "o.device = %s", q.Device)
	f.conditions = append(f.conditions, isRider)
	rows, err := tx.Query(ctx, `SELECT o.rider FROM orders o`+f.sql("o.id DESC", findOrders+1), f.args...)
	if err != nil {
		return nil, err
	}
	riders, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	if len(riders) > findOrders {
		return nil, order.ErrTooMany
	}
	slices.Sort(riders)
	return slices.Compact(riders), nil
}
