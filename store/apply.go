package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// applyTimeout bounds a commit. It runs detached from its caller: a rider who
// hangs up must not leave a transaction whose outcome nobody waits for.
const applyTimeout = 10 * time.Second

// Apply implements order.Store: one round trip, one implicit transaction. Rows
// come in lock order (devices, outlets, orders, accounts, payments, passes, reservations), then what is only
// inserted.
func (db *DB) Apply(ctx context.Context, c order.Changes) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	b := &pgx.Batch{}
	queueChanges(b, c)
	r := db.pool.SendBatch(ctx, b)
	for range b.Len() {
		if _, err := r.Exec(); err != nil {
			_ = r.Close()
			return applyError(err)
		}
	}
	if err := r.Close(); err != nil {
		return applyError(err)
	}
	return nil
}

func queueChanges(b *pgx.Batch, c order.Changes) {
	for _, d := range c.Devices {
		queueDevice(b, d)
	}
	for _, o := range c.Outlets {
		queueOutlet(b, o)
	}
	for _, o := range c.Orders {
		queueOrder(b, o)
	}
	for _, a := range c.Accounts {
		queueAccount(b, a)
	}
	for _, p := range c.Payments {
		queuePayment(b, p)
	}
	for _, h := range c.Passes {
		queueHeld(b, h)
	}
	for _, r := range c.Reservations {
		queueReservation(b, r)
	}
	for _, k := range c.Commands {
		queueCommand(b, k)
	}
	for _, e := range c.Evidence {
		queueEvidence(b, e)
	}
	for _, m := range c.Moves {
		b.Queue(`INSERT INTO order_moves (order_id, n, at, from_state, to_state, input, by)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, m.Order, m.N, m.At, m.From, m.To, m.Input, m.By)
	}
	for _, t := range c.Transfers {
		queueTransfer(b, t)
	}
	for _, k := range c.Keys {
		b.Queue(`INSERT INTO idempotency_keys (principal, key, route, body_hash, status, answer, order_id, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			k.Principal, k.Key, k.Route, k.BodyHash[:], k.Status, k.Answer, nilUUID(k.Order), k.At)
	}
	for _, i := range c.Items {
		b.Queue(`INSERT INTO items (id, kind, subject, device, order_id, venue, detail, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO NOTHING`,
			i.ID, i.Kind, i.Subject, i.Device, nilUUID(i.Order), i.Venue, i.Detail, i.At)
	}
	for _, u := range c.Updates {
		// The mark lies in the payload until it is routed: Relay takes it out.
		b.Queue(`INSERT INTO updates (subject, payload) VALUES ($1, $2::jsonb || CASE WHEN $3 THEN '{"moved": true}'::jsonb ELSE '{}' END)`, u.Subject, u.Payload, u.Moved)
	}
	for _, a := range c.Audits {
		queueAudit(b, a)
	}
	for _, s := range c.Stops {
		queueStop(b, s)
	}
	for _, m := range c.PaymentMoves {
		b.Queue(`INSERT INTO payment_moves (payment_id, n, at, from_state, to_state, input) VALUES ($1, $2, $3, $4, $5, $6)`,
			m.Payment, m.N, m.At, m.From, m.To, m.Input)
	}
	for _, m := range c.Messages {
		b.Queue(`INSERT INTO messages (id, rider, kind, order_id, amount, at) VALUES ($1, $2, $3, $4, $5, $6)`,
			m.ID, m.Rider, m.Kind, nilUUID(m.Order), m.Amount, m.At)
	}
	for _, n := range c.Notices {
		b.Queue(`UPDATE notices SET done_at = now() WHERE id = $1 AND done_at IS NULL`, n)
	}
}

// queueAudit writes the row of a privileged act beside the act itself.
func queueAudit(b *pgx.Batch, a order.Audit) {
	b.Queue(`INSERT INTO audits (id, staff, act, object, reason, before, after, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		a.ID, a.Staff, a.Act, a.Object, a.Reason, nilJSON(a.Before), nilJSON(a.After), a.At)
}

// audited writes the row of a privileged act in the act's transaction.
func audited(ctx context.Context, tx pgx.Tx, a order.Audit) error {
	b := &pgx.Batch{}
	queueAudit(b, a)
	return tx.SendBatch(ctx, b).Close()
}

// replaced wraps an UPDATE ... RETURNING 1 so that a missed row aborts the
// transaction.
func replaced(update, what string) string {
	return fmt.Sprintf("WITH u AS (%s RETURNING 1) SELECT guard((SELECT count(*) FROM u), '%s')", update, what)
}

// nilUUID maps the absent id to NULL.
func nilUUID(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}

// nilTime maps the zero time to NULL.
func nilTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// nilJSON maps no document to NULL.
func nilJSON(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
