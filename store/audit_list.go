package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// Audits lists privileged acts that a query picks, newest first, with the names of the
// members.
func (db *DB) Audits(ctx context.Context, q order.AuditQuery, limit int) ([]order.AuditRow, error) {
	var f filter
	f.when(q.After != "", "a.id < %s::uuid", uuidOrNil(q.After))
	f.when(q.Staff != "", "a.staff = %s", q.Staff)
	f.when(q.Act != "", "a.act LIKE %s", literally(q.Act)+"%")
	f.when(q.Object != "", "a.object ILIKE %s", "%"+literally(q.Object)+"%")
	f.when(q.Text != "", "concat_ws(' ', a.object, a.reason, a.before::text, a.after::text) ILIKE %s", "%"+literally(q.Text)+"%")
	f.when(!q.From.IsZero(), "a.at >= %s", q.From)
	f.when(!q.To.IsZero(), "a.at < %s", q.To)
	rows, err := db.pool.Query(ctx, `SELECT a.id::text, a.staff, a.act, a.object, a.reason, a.before, a.after, a.at,
		coalesce((SELECT s.name FROM staff s WHERE s.id::text = a.staff), '') FROM audits a`+f.sql("a.id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.AuditRow, error) {
		var r order.AuditRow
		err := row.Scan(&r.ID, &r.Staff, &r.Act, &r.Object, &r.Reason, &r.Before, &r.After, &r.At, &r.Name)
		return r, err
	})
}

// OrderActs lists what staff did to an order and to its money, oldest first. The decision
// on a refund request names the request, not the order.
func (db *DB) OrderActs(ctx context.Context, id string) ([]order.AuditRow, error) {
	rows, err := db.pool.Query(ctx, `SELECT a.id::text, a.staff, a.act, a.object, a.reason, a.after, a.at, coalesce((SELECT s.name FROM staff s WHERE s.id::text = a.staff), '')
		FROM audits a WHERE a.object = ANY(ARRAY(SELECT 'order ' || $1::text UNION ALL SELECT 'refund ' || r.id FROM refund_requests r WHERE r.order_id = $2::uuid))
			AND (a.act LIKE 'order.%' OR a.act LIKE 'refund.%' OR a.act = 'money.refund') ORDER BY a.id`, id, uuidOrNil(id))
	if err != nil {
		return nil, fmt.Errorf("acts on order %s: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.AuditRow, error) {
		var r order.AuditRow
		err := row.Scan(&r.ID, &r.Staff, &r.Act, &r.Object, &r.Reason, &r.After, &r.At, &r.Name)
		return r, err
	})
}

// literally is a text in which LIKE finds no wildcard.
func literally(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}
