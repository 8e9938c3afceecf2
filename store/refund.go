package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

const requestColumns = `id::text, order_id::text, venue, amount, reason, staff, state, at, decided_at, decided_by, answer, given_at`

func scanRequest(row pgx.CollectableRow) (r order.RefundRequest, err error) {
	var decided, given *time.Time
	err = row.Scan(&r.ID, &r.Order, &r.Venue, &r.Amount, &r.Reason, &r.Staff, &r.State, &r.At, &decided, &r.DecidedBy, &r.Answer, &given)
	r.DecidedAt, r.GivenAt = timeOf(decided), timeOf(given)
	return r, err
}

// AddRefundRequest writes a request down, or returns what the key has answered before.
// order.ErrExists: another one of that order is open. order.ErrKeyReused.
func (db *DB) AddRefundRequest(ctx context.Context, r order.RefundRequest, key order.Key, a order.Audit) (status int, answer []byte, err error) {
	fail := func(err error) (int, []byte, error) { return 0, nil, fmt.Errorf("ask for a refund: %w", err) }
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('refund ' || $1 || '/' || $2))`, key.Principal, key.Key); err != nil {
		return fail(err)
	}
	if status, answer, err = answered(ctx, tx, key); err != nil || status != 0 {
		return status, answer, err
	}
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO refund_requests (id, order_id, venue, amount, reason, staff, state, at) VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7)`,
		r.ID, r.Order, r.Venue, r.Amount, r.Reason, r.Staff, r.At)
	queueChanges(b, order.Changes{Keys: []order.Key{key}, Audits: []order.Audit{a}})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(domainError(err))
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(err)
	}
	return key.Status, key.Answer, nil
}

// RefundRequests lists them, the newest first.
func (db *DB) RefundRequests(ctx context.Context, p order.RefundPage) ([]order.RefundRequest, error) {
	var f filter
	f.when(p.State != "" && p.State != order.RefundOpen, "state = %s", p.State)
	f.when(p.State == order.RefundOpen, "given_at IS NULL AND state <> %s", order.RefundDeclined)
	f.when(p.Order != "", "order_id = %s::uuid", uuidOrNil(p.Order))
	f.when(p.Venues != nil, "venue = ANY(%s)", p.Venues)
	f.when(p.After != "", "id < %s::uuid", uuidOrNil(p.After))
	rows, err := db.pool.Query(ctx, `SELECT `+requestColumns+` FROM refund_requests`+f.sql("id DESC", p.Limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list refund requests: %w", err)
	}
	return pgx.CollectRows(rows, scanRequest)
}

// RefundRequest is one; order.ErrNotFound.
func (db *DB) RefundRequest(ctx context.Context, id string) (order.RefundRequest, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+requestColumns+` FROM refund_requests WHERE id = $1::uuid`, uuidOrNil(id))
	if err != nil {
		return order.RefundRequest{}, fmt.Errorf("refund request: %w", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, scanRequest)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return r, fmt.Errorf("refund request: %w", err)
	}
	return r, nil
}

// FailRefund ends a request whose money cannot be given any more, with the audit's reason.
// Where the money has moved, or the request is over, nothing happens.
func (db *DB) FailRefund(ctx context.Context, id string, a order.Audit) error {
	if _, err := db.endRefund(ctx, id, a); err != nil {
		return fmt.Errorf("end refund: %w", err)
	}
	return nil
}

// DeclineRefund ends a request whose money has not moved; order.ErrWrongState.
func (db *DB) DeclineRefund(ctx context.Context, id string, a order.Audit) error {
	ended, err := db.endRefund(ctx, id, a)
	if err == nil && !ended {
		err = order.ErrWrongState
	}
	if err != nil {
		return fmt.Errorf("decline refund: %w", err)
	}
	return nil
}

// endRefund declines an open request. Its row is what the money meets too (refund_given in
// the migrations): one of both comes first, and the other does nothing.
func (db *DB) endRefund(ctx context.Context, id string, a order.Audit) (ended bool, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE refund_requests SET state = 'declined', decided_at = now(), decided_by = $2, answer = $3
			WHERE id = $1::uuid AND given_at IS NULL AND state <> 'declined'`, uuidOrNil(id), a.Staff, a.Reason)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		ended = true
		return audited(ctx, tx, a)
	})
	return ended, err
}
