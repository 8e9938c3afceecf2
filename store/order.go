package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

const orderColumns = `id, rider, venue, day, device, outlet, kind, state, slot, pay_with, ticket, tariff, hold_id,
	hold_fen, command_id, seq, due_at, cancelling, created_at, active_at, ended_at, done_at, spans, evidence, ended_by,
	usage, quote, charged, debt, refunded, reason, unproven, class, preset, coalesce(payment_id::text, ''), coalesce(pass_id::text, ''), road, pause, reserved, version`

func scanOrder(row pgx.Row) (order.Order, error) {
	var o order.Order
	var hold, command *string
	var due, active, ended, done *time.Time
	err := row.Scan(&o.ID, &o.Rider, &o.Venue, &o.Day, &o.Device, &o.Outlet, &o.Kind, &o.State, &o.Slot, &o.PayWith,
		&o.Ticket, &o.Tariff, &hold, &o.HoldFen, &command, &o.Seq, &due, &o.Cancelling, &o.CreatedAt, &active, &ended,
		&done, &o.Spans, &o.Evidence, &o.EndedBy, &o.Usage, &o.Quote, &o.Charged, &o.Debt, &o.Refunded, &o.Reason,
		&o.Unproven, &o.Class, &o.Preset, &o.Payment, &o.Pass, &o.Road, &o.Pause, &o.Reserved, &o.Version)
	if hold != nil {
		o.Hold = *hold
	}
	if command != nil {
		o.Command = *command
	}
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{due, &o.DueAt}, {active, &o.ActiveAt}, {ended, &o.EndedAt}, {done, &o.DoneAt}} {
		if t.from != nil {
			*t.to = *t.from
		}
	}
	return o, err
}

func queueOrder(b *pgx.Batch, o order.Order) {
	spans, evidence := o.Spans, o.Evidence
	if spans == nil {
		spans = []order.Span{}
	}
	if evidence == nil {
		evidence = []string{}
	}
	args := []any{o.ID, o.Version, o.State, o.Slot, nilTime(o.DueAt), o.Cancelling, nilTime(o.ActiveAt),
		nilTime(o.EndedAt), nilTime(o.DoneAt), spans, evidence, o.EndedBy, o.Usage, o.Quote, o.Charged, o.Debt,
		o.Refunded, o.Reason, o.Unproven, nilUUID(o.Command), o.Seq, o.PayWith, nilUUID(o.Hold), nilUUID(o.Payment), nilUUID(o.Pass), o.Pause}
	if o.Usage != nil && o.Usage.Decided != nil && o.State == order.Settled {
		b.Queue(`UPDATE items SET closed_at = now(), closed_by = 'decision' WHERE order_id = $1 AND kind = $2 AND closed_at IS NULL`,
			o.ID, order.ItemMismatch)
	}
	if o.Version != 0 {
		b.Queue(replaced(`UPDATE orders SET version = $2 + 1, state = $3, slot = $4, due_at = $5, cancelling = $6,
			active_at = $7, ended_at = $8, done_at = $9, spans = $10, evidence = $11, ended_by = $12, usage = $13,
			quote = $14, charged = $15, debt = $16, refunded = $17, reason = $18, unproven = $19, command_id = $20,
			seq = $21, pay_with = $22, hold_id = $23, payment_id = $24, pass_id = $25, pause = $26
			WHERE id = $1 AND version = $2`, "order"), args...)
		return
	}
	b.Queue(`INSERT INTO orders (id, version, state, slot, due_at, cancelling, active_at, ended_at, done_at, spans,
		evidence, ended_by, usage, quote, charged, debt, refunded, reason, unproven, command_id, seq,
		pay_with, hold_id, payment_id, pass_id, pause, rider, venue, day, device, outlet, kind, ticket, tariff, hold_fen, created_at, class, preset, road, reserved)
		VALUES ($1, $2 + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21,
		$22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)`,
		append(args, o.Rider, o.Venue, o.Day, o.Device, o.Outlet, o.Kind, o.Ticket, o.Tariff, o.HoldFen, o.CreatedAt,
			o.Class, o.Preset, o.Road, o.Reserved)...)
}

func queueAccount(b *pgx.Batch, a billing.Account) {
	if a.Version == 0 {
		b.Queue(`INSERT INTO accounts (id, posted, held, version) VALUES ($1, $2, $3, 1)`, a.ID, a.Posted, a.Held)
		return
	}
	b.Queue(replaced(`UPDATE accounts SET posted = $3, held = $4, version = $2 + 1 WHERE id = $1 AND version = $2`,
		"account"), a.ID, a.Version, a.Posted, a.Held)
}

func queueTransfer(b *pgx.Batch, t billing.Transfer) {
	b.Queue(`INSERT INTO transfers (id, kind, debit, credit, amount, purpose, order_id, hold_id, key)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.ID, t.Kind, t.Debit, t.Credit, t.Amount, t.Purpose, nilUUID(t.Order), nilUUID(t.Hold), t.Key)
}

// Due implements order.Due.
func (db *DB) Due(ctx context.Context, limit int) ([]string, error) {
	rows, err := db.pool.Query(ctx, `SELECT id::text FROM orders WHERE due_at <= clock_timestamp()
		ORDER BY due_at LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("look for due orders: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Orders lists orders by what the page names; empty fields filter nothing.
func (db *DB) Orders(ctx context.Context, p order.Page) ([]order.Order, error) {
	var f filter
	f.when(p.Rider != "", "rider = %s", p.Rider)
	f.when(p.Venue != "", "venue = %s", p.Venue)
	f.when(p.Venues != nil, "venue = ANY(%s)", p.Venues)
	f.when(p.State != "", "state = %s", p.State)
	f.when(p.Device != "", "device = %s", p.Device)
	f.when(p.Kind != "", "kind = %s", p.Kind)
	// An order's id has the moment of its making, to the millisecond.
	f.when(!p.From.IsZero(), "id >= %s::uuid", uuidAt(p.From))
	f.when(!p.To.IsZero(), "id < %s::uuid", uuidAt(p.To))
	// The states are named here, so that the index of open orders serves.
	f.when(p.Review, `id = ANY(ARRAY(SELECT id FROM orders WHERE state IN ('unresolved', 'ended') UNION
		SELECT order_id FROM items WHERE closed_at IS NULL AND order_id IS NOT NULL AND %s))`, true)
	f.when(p.After != "", "id < %s::uuid", uuidOrNil(p.After))
	rows, err := db.pool.Query(ctx, `SELECT `+orderColumns+` FROM orders`+f.sql("id DESC", p.Limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Order, error) { return scanOrder(row) })
}

// uuidAt is the least UUIDv7 of a moment.
func uuidAt(t time.Time) string {
	return fmt.Sprintf("%012x70008000000000000000", max(t.UnixMilli(), 0)&(1<<48-1))
}

// Order returns one order; order.ErrNotFound.
func (db *DB) Order(ctx context.Context, id string) (order.Order, error) {
	all, err := db.OrdersByID(ctx, []string{id})
	if err != nil {
		return order.Order{}, err
	}
	if len(all) == 0 {
		return order.Order{}, fmt.Errorf("order %q: %w", id, order.ErrNotFound)
	}
	return all[0], nil
}

// OrdersByID returns those of the orders that exist, in no order. It is how one
// replica re-reads everything that its callers wait for in one statement.
func (db *DB) OrdersByID(ctx context.Context, ids []string) ([]order.Order, error) {
	var valid []string
	for _, id := range ids {
		if uuidOrNil(id) != nil {
			valid = append(valid, id)
		}
	}
	rows, err := db.pool.Query(ctx, `SELECT `+orderColumns+` FROM orders WHERE id = ANY($1::uuid[])`, valid)
	if err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Order, error) { return scanOrder(row) })
}

// Moves returns an order's history, oldest first.
func (db *DB) Moves(ctx context.Context, id string) ([]order.Move, error) {
	rows, err := db.pool.Query(ctx, `SELECT order_id::text, n, from_state, to_state, input, at, by FROM order_moves
		WHERE order_id = $1 ORDER BY n`, uuidOrNil(id))
	if err != nil {
		return nil, fmt.Errorf("read moves of order %s: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Move, error) {
		var m order.Move
		err := row.Scan(&m.Order, &m.N, &m.From, &m.To, &m.Input, &m.At, &m.By)
		return m, err
	})
}
