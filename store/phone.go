package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

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

// FindRiders looks riders up, the newest first: by the number that they gave, by an
// order, or by who used a device in a span. a is the audit row of the look, in the same
// transaction.
func (db *DB) FindRiders(ctx context.Context, q order.RiderQuery, a order.Audit) ([]order.RiderRow, error) {
	var f filter
	f.when(q.Phone != "", "r.phone_mac = ANY(%s::bytea[])", db.identity.phoneMACs(q.Phone))
	f.when(q.Order != "", "r.id::text = (SELECT o.rider FROM orders o WHERE o.id = %s::uuid)", uuidOrNil(q.Order))
	if q.Device != "" || !q.From.IsZero() || !q.To.IsZero() {
		used := fmt.Sprintf("EXISTS (SELECT FROM orders o WHERE o.rider = r.id::text AND o.created_at < $%d AND coalesce(o.done_at, now()) >= $%d AND ($%d = '' OR o.device = $%d))",
			len(f.args)+1, len(f.args)+2, len(f.args)+3, len(f.args)+3)
		f.args = append(f.args, q.To, q.From, q.Device)
		f.conditions = append(f.conditions, used)
	}
	var found []order.RiderRow
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT r.id::text, r.blocked, r.rider_group, r.created_at, r.erased_at FROM riders r`+f.sql("r.id DESC", q.Limit), f.args...)
		if err != nil {
			return err
		}
		if found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[order.RiderRow]); err != nil {
			return err
		}
		b := &pgx.Batch{}
		queueAudit(b, a)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return nil, fmt.Errorf("find riders: %w", err)
	}
	return found, nil
}
