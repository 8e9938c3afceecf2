package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

const paymentColumns = `id::text, road, purpose, rider::text, coalesce(order_id::text, ''), venue, device, kind, state, amount, moved,
	back, backs, asked, late, coalesce(of_id::text, ''), coalesce(hold_id::text, ''), debits, debit, key, ref, last, tries, created_at, billed_at,
	expires_at, due_at, done_at, reason, version`

func scanPayment(row pgx.Row) (order.Payment, error) {
	var p order.Payment
	var billed, expires, due, done *time.Time
	err := row.Scan(&p.ID, &p.Road, &p.For, &p.Rider, &p.Order, &p.Venue, &p.Device, &p.Kind, &p.State, &p.Amount, &p.Moved,
		&p.Back, &p.Backs, &p.Asked, &p.Late, &p.Of, &p.Hold, &p.Debits, &p.Debit, &p.Key, &p.Ref, &p.Last, &p.Tries, &p.CreatedAt, &billed, &expires, &due,
		&done, &p.Reason, &p.Version)
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{billed, &p.BilledAt}, {expires, &p.ExpiresAt}, {due, &p.DueAt}, {done, &p.DoneAt}} {
		if t.from != nil {
			*t.to = *t.from
		}
	}
	return p, err
}

func queuePayment(b *pgx.Batch, p order.Payment) {
	debits := p.Debits
	if debits == nil {
		debits = []order.PaymentDebit{}
	}
	args := []any{p.ID, p.Version, p.State, p.Amount, p.Moved, p.Back, p.Asked, p.Late, p.Key, p.Ref, p.Last, p.Tries,
		nilTime(p.BilledAt), nilTime(p.ExpiresAt), nilTime(p.DueAt), nilTime(p.DoneAt), p.Reason, p.Backs, debits}
	if p.Version != 0 {
		b.Queue(replaced(`UPDATE payments SET version = $2 + 1, state = $3, amount = $4, moved = $5, back = $6, asked = $7,
			late = $8, key = $9, ref = $10, last = $11, tries = $12, billed_at = $13, expires_at = $14, due_at = $15,
			done_at = $16, reason = $17, backs = $18, debits = $19
			WHERE id = $1 AND version = $2`, "payment"), args...)
		return
	}
	b.Queue(`INSERT INTO payments (id, version, state, amount, moved, back, asked, late, key, ref, last, tries, billed_at,
		expires_at, due_at, done_at, reason, backs, debits, road, purpose, rider, order_id, venue, device, kind, of_id, hold_id,
		created_at, debit)
		VALUES ($1, $2 + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23,
		$24, $25, $26, $27, $28, $29, $30)`,
		append(args, p.Road, p.For, p.Rider, nilUUID(p.Order), p.Venue, p.Device, p.Kind, nilUUID(p.Of), nilUUID(p.Hold), p.CreatedAt, p.Debit)...)
}

// queueLoadPayments reads the payments that a snapshot holds; see order.Snapshot.
func queueLoadPayments(b *pgx.Batch, q order.Query, s *order.Snapshot) {
	add := func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Payment, error) { return scanPayment(row) })
		for _, p := range found {
			if !hasPayment(s.Payments, p.ID) {
				s.Payments = append(s.Payments, p)
			}
		}
		return err
	}
	if q.Device != "" || q.Order != "" {
		b.Queue(`SELECT `+paymentColumns+` FROM payments WHERE order_id = `+theOrders+` ORDER BY id`,
			string(q.Device), uuidOrNil(q.Order), uuidOrNil(q.Names)).Query(add)
	}
	if q.Payment != "" {
		b.Queue(`SELECT `+paymentColumns+` FROM payments WHERE id = ANY(ARRAY[$1::uuid,
			(SELECT of_id FROM payments WHERE id = $1::uuid)]) ORDER BY id`, uuidOrNil(q.Payment)).Query(add)
	}
	if q.Rider != "" {
		b.Queue(`SELECT `+paymentColumns+` FROM payments WHERE rider = $1::uuid AND state NOT IN ('paid', 'closed') ORDER BY id`,
			uuidOrNil(q.Rider)).Query(add)
	}
	if q.TopUps {
		// WeChat refunds what was paid within a year.
		b.Queue(`SELECT `+paymentColumns+` FROM payments WHERE rider = $1::uuid AND purpose = 'topup' AND state = 'paid'
			AND back < moved AND done_at > now() - interval '360 days' ORDER BY id DESC LIMIT 200`, uuidOrNil(q.Rider)).Query(add)
	}
}

func hasPayment(all []order.Payment, id string) bool {
	for _, p := range all {
		if p.ID == id {
			return true
		}
	}
	return false
}

// whose completes a query that names a payment with the payment's order and rider.
func (db *DB) whose(ctx context.Context, q order.Query) (order.Query, error) {
	if q.Reservation != "" {
		return db.reserver(ctx, q)
	}
	if q.Payment == "" {
		return q, nil
	}
	err := db.pool.QueryRow(ctx, `SELECT coalesce(order_id::text, ''), rider::text FROM payments WHERE id = $1::uuid`,
		uuidOrNil(q.Payment)).Scan(&q.Order, &q.Rider)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return q, err
}

// DuePayments implements order.Purses. A claim is a new version: what was decided on
// the row before it does not take the count of tries back.
func (db *DB) DuePayments(ctx context.Context, lease time.Duration, limit int) ([]string, error) {
	rows, err := db.pool.Query(ctx, `UPDATE payments SET due_at = clock_timestamp() + $1, tries = tries + 1, version = version + 1 WHERE id IN (
		SELECT id FROM payments WHERE due_at <= now() ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
		RETURNING id::text`, lease, limit)
	if err != nil {
		return nil, fmt.Errorf("look for due payments: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// PaymentsLeft counts payments with a step that is still to be taken.
func (db *DB) PaymentsLeft(ctx context.Context) (int, error) {
	var n int
	if err := db.pool.QueryRow(ctx, `SELECT count(*) FROM payments WHERE due_at IS NOT NULL`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count payments: %w", err)
	}
	return n, nil
}

// Payer implements order.Purses.
func (db *DB) Payer(ctx context.Context, rider string) (billing.Payer, error) {
	var box []byte
	var key string
	err := db.pool.QueryRow(ctx, `SELECT openid_box, openid_key FROM riders WHERE id = $1::uuid AND erased_at IS NULL`,
		uuidOrNil(rider)).Scan(&box, &key)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("rider %s: %w", rider, order.ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("read rider: %w", err)
	}
	openid, err := db.identity.open(key, box)
	if err != nil {
		return "", fmt.Errorf("rider %s: their identity cannot be read; is this the installation's own secret? %w", rider, err)
	}
	return billing.Payer(openid), nil
}

// AddNotice keeps a verified notification unless the same fact is there already. event
// is WeChat's event_type.
func (db *DB) AddNotice(ctx context.Context, said billing.Said, event string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	subject := said.Number
	if said.Road == billing.Score {
		subject = fmt.Sprintf("%s/%d", said.Number, said.Moved) // each part that was collected is a fact of its own
	}
	if _, err := db.pool.Exec(ctx, `INSERT INTO notices (id, subject, event, said) VALUES ($1, $2, $3, $4)
		ON CONFLICT ON CONSTRAINT notices_once DO NOTHING`, id.String(), subject, event, said); err != nil {
		return fmt.Errorf("keep notification: %w", err)
	}
	return nil
}

// Notices implements order.Purses: the n-th look at one waits longer for the next.
func (db *DB) Notices(ctx context.Context, limit int) ([]order.Notice, error) {
	rows, err := db.pool.Query(ctx, `UPDATE notices SET tries = tries + 1, due_at = clock_timestamp() + least(tries + 1, 60) * interval '10 s'
		WHERE id IN (SELECT id FROM notices WHERE done_at IS NULL AND due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING id::text, said`, limit)
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[order.Notice])
	slices.SortFunc(found, func(a, b order.Notice) int { return strings.Compare(a.ID, b.ID) })
	return found, err
}

// Payments lists payments, newest first, by what the page names; empty fields filter
// nothing.
func (db *DB) Payments(ctx context.Context, p order.PaymentPage) ([]order.Payment, error) {
	var f filter
	f.when(p.Rider != "", "rider = %s::uuid", uuidOrNil(p.Rider))
	f.when(p.Order != "", "order_id = %s::uuid", uuidOrNil(p.Order))
	f.when(p.State != "", "state = %s", p.State)
	f.when(p.For != "", "purpose = %s", p.For)
	f.when(p.After != "", "id < %s::uuid", uuidOrNil(p.After))
	rows, err := db.pool.Query(ctx, `SELECT `+paymentColumns+` FROM payments`+f.sql("id DESC", p.Limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list payments: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Payment, error) { return scanPayment(row) })
}

// Payment returns one payment; order.ErrNotFound.
func (db *DB) Payment(ctx context.Context, id string) (order.Payment, error) {
	p, err := scanPayment(db.pool.QueryRow(ctx, `SELECT `+paymentColumns+` FROM payments WHERE id = $1::uuid`, uuidOrNil(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		return p, fmt.Errorf("payment %q: %w", id, order.ErrNotFound)
	}
	if err != nil {
		return p, fmt.Errorf("read payment: %w", err)
	}
	return p, nil
}
