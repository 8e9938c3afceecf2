package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

const requestColumns = `id::text, order_id::text, venue, amount, reason, staff, state, at, decided_at, decided_by, answer`

func scanRequest(row pgx.CollectableRow) (r order.RefundRequest, err error) {
	var decided *time.Time
	err = row.Scan(&r.ID, &r.Order, &r.Venue, &r.Amount, &r.Reason, &r.Staff, &r.State, &r.At, &decided, &r.DecidedBy, &r.Answer)
	r.DecidedAt = timeOf(decided)
	return r, err
}

// AddRefundRequest writes a request down, or returns what the key has answered before.
// order.ErrExists: another one waits for that order. order.ErrKeyReused.
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
	f.when(p.State != "", "state = %s", p.State)
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

// ApproveRefund notes that a second person agrees; the money moves behind it, under the
// request's own key. One that is approved already stays so, for whoever carries on what a
// crash left. order.ErrSecondPerson: who asked for it would agree. order.ErrWrongState: it
// was declined.
func (db *DB) ApproveRefund(ctx context.Context, id, staff string) (order.RefundRequest, error) {
	fail := func(err error) (order.RefundRequest, error) {
		return order.RefundRequest{}, fmt.Errorf("approve refund: %w", err)
	}
	tag, err := db.pool.Exec(ctx, `UPDATE refund_requests SET state = 'approved', decided_at = now(), decided_by = $2
		WHERE id = $1::uuid AND state = 'waiting' AND staff <> $2`, uuidOrNil(id), staff)
	if err != nil {
		return fail(domainError(err))
	}
	r, err := db.RefundRequest(ctx, id)
	switch {
	case err != nil:
		return fail(err)
	case r.Staff == staff:
		return fail(order.ErrSecondPerson)
	case tag.RowsAffected() == 0 && r.State != order.RefundApproved:
		return fail(order.ErrWrongState)
	}
	return r, nil
}

// given tells whether the money of a request r has moved: the refund's own transaction has
// the audit row that names it.
const given = `EXISTS (SELECT FROM audits a WHERE a.act = 'money.refund' AND a.after->>'request' = r.id::text)`

// FailRefund ends an approved request whose money cannot be given any more, with why.
func (db *DB) FailRefund(ctx context.Context, id, staff, why string) error {
	_, err := db.pool.Exec(ctx, `UPDATE refund_requests r SET state = 'declined', decided_at = now(), decided_by = $2, answer = $3
		WHERE id = $1::uuid AND state = 'approved' AND NOT `+given, uuidOrNil(id), staff, why)
	if err != nil {
		return fmt.Errorf("end refund: %w", domainError(err))
	}
	return nil
}

// DeclineRefund ends a request that waits and whose money has not moved;
// order.ErrWrongState.
func (db *DB) DeclineRefund(ctx context.Context, id string, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("decline refund: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	tag, err := tx.Exec(ctx, `UPDATE refund_requests r SET state = 'declined', decided_at = now(), decided_by = $2, answer = $3
		WHERE id = $1::uuid AND state = 'waiting' AND NOT `+given, uuidOrNil(id), a.Staff, a.Reason)
	if err != nil {
		return fmt.Errorf("decline refund: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("decline refund: %w", order.ErrWrongState)
	}
	b := &pgx.Batch{}
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("decline refund: %w", err)
	}
	return tx.Commit(ctx)
}
