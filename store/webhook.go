package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

const webhookColumns = `id::text, label, url, events, enabled, failing, created_at, version`

// Webhooks lists all, the newest first.
func (db *DB) Webhooks(ctx context.Context) ([]order.Webhook, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+webhookColumns+` FROM webhooks ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Webhook])
}

// AddWebhook keeps a webhook with its secret, 32 bytes.
func (db *DB) AddWebhook(ctx context.Context, w order.Webhook, secret []byte, a order.Audit) error {
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO webhooks (id, label, url, events, secret, enabled, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, 1)`,
		w.ID, w.Label, w.URL, w.Events, secret, w.Enabled, w.Created)
	queueAudit(b, a)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("add webhook: %w", domainError(err))
	}
	return nil
}

// PutWebhook changes label, address, events and whether it is told; order.ErrNotFound.
// What waits for one that is switched off stays and goes out when it is on again.
func (db *DB) PutWebhook(ctx context.Context, w order.Webhook, a order.Audit) error {
	return db.changeWebhook(ctx, w.ID, a, `UPDATE webhooks SET label = $2, url = $3, events = $4, enabled = $5, failing = 0,
		version = version + 1 WHERE id = $1`, w.Label, w.URL, w.Events, w.Enabled)
}

// RotateWebhook gives a webhook a new secret; the old one signs too for the overlap.
func (db *DB) RotateWebhook(ctx context.Context, id string, secret []byte, overlap time.Duration, a order.Audit) error {
	return db.changeWebhook(ctx, id, a, `UPDATE webhooks SET old_secret = secret, old_until = now() + $3::interval, secret = $2,
		version = version + 1 WHERE id = $1`, secret, overlap)
}

// RemoveWebhook forgets a webhook and what waits for it; order.ErrNotFound.
func (db *DB) RemoveWebhook(ctx context.Context, id string, a order.Audit) error {
	return db.changeWebhook(ctx, id, a, `DELETE FROM webhooks WHERE id = $1`)
}

// changeWebhook runs a statement on one webhook, with its audit row. The row says what
// was there before, never a secret.
func (db *DB) changeWebhook(ctx context.Context, id string, a order.Audit, statement string, args ...any) error {
	fail := func(err error) error { return fmt.Errorf("change webhook %s: %w", id, err) }
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	err = tx.QueryRow(ctx, `SELECT jsonb_build_object('label', label, 'url', url, 'events', events, 'enabled', enabled)
		FROM webhooks WHERE id = $1::uuid FOR UPDATE`, uuidOrNil(id)).Scan(&a.Before)
	if errors.Is(err, pgx.ErrNoRows) {
		return fail(order.ErrNotFound)
	}
	if err != nil {
		return fail(err)
	}
	if _, err := tx.Exec(ctx, statement, append([]any{id}, args...)...); err != nil {
		return fail(domainError(err))
	}
	b := &pgx.Batch{}
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	return tx.Commit(ctx)
}

// queueDeliveries writes an event down for each webhook that asks for its type, of which
// only is the one if named.
const queueDeliveries = `INSERT INTO webhook_deliveries (id, webhook, event, type, body, at, due_at)
	SELECT gen_random_uuid(), id, $1, $2, $3, $4, now() FROM webhooks
	WHERE enabled AND ($2 = ANY(events) AND $5::uuid IS NULL OR id = $5)`

// TestWebhook sends a webhook.test event to one webhook; order.ErrNotFound when there is
// none that is switched on.
func (db *DB) TestWebhook(ctx context.Context, id, event string, body []byte, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("test webhook: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	known := uuidOrNil(id)
	if known == nil {
		return fmt.Errorf("test webhook: %w", order.ErrNotFound)
	}
	tag, err := tx.Exec(ctx, queueDeliveries, event, order.EventTest, body, time.Now(), known)
	if err != nil {
		return fmt.Errorf("test webhook: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("test webhook: %w", order.ErrNotFound)
	}
	b := &pgx.Batch{}
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("test webhook: %w", err)
	}
	return tx.Commit(ctx)
}

const deliveryColumns = `d.id::text, d.webhook::text, d.event::text, d.type, d.body, d.at, d.due_at, d.tries, d.status, d.error, d.done_at`

func scanDelivery(d *order.Delivery, due, done **time.Time) []any {
	return []any{&d.ID, &d.Webhook, &d.Event, &d.Type, &d.Body, &d.At, due, &d.Tries, &d.Status, &d.Error, done}
}

// Deliveries lists a webhook's, the newest event first; after is the id of the last of the
// page before.
func (db *DB) Deliveries(ctx context.Context, webhook, after string, limit int) ([]order.Delivery, error) {
	var f filter
	f.when(true, "d.webhook = %s::uuid", uuidOrNil(webhook))
	f.when(after != "", "(d.at, d.id) < (SELECT at, id FROM webhook_deliveries WHERE id = %s::uuid)", uuidOrNil(after))
	rows, err := db.pool.Query(ctx, `SELECT `+deliveryColumns+` FROM webhook_deliveries d`+f.sql("d.at DESC, d.id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d order.Delivery, err error) {
		var due, done *time.Time
		err = row.Scan(scanDelivery(&d, &due, &done)...)
		d.DueAt, d.DoneAt = timeOf(due), timeOf(done)
		return d, err
	})
}

// ReplayDelivery makes a delivery due again, whatever became of it; order.ErrNotFound.
func (db *DB) ReplayDelivery(ctx context.Context, webhook, id string, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("replay delivery: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	tag, err := tx.Exec(ctx, `UPDATE webhook_deliveries SET due_at = now(), done_at = NULL, tries = 0 WHERE id = $1::uuid AND webhook = $2::uuid`,
		uuidOrNil(id), uuidOrNil(webhook))
	if err != nil {
		return fmt.Errorf("replay delivery: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("replay delivery: %w", order.ErrNotFound)
	}
	b := &pgx.Batch{}
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("replay delivery: %w", err)
	}
	return tx.Commit(ctx)
}

// TakeDeliveries claims up to limit deliveries that are due for a minute, after which
// another replica may take them.
func (db *DB) TakeDeliveries(ctx context.Context, limit int) ([]order.Sending, error) {
	rows, err := db.pool.Query(ctx, `WITH taken AS (
			SELECT d.id FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook AND w.enabled
			WHERE d.due_at <= now() ORDER BY d.due_at LIMIT $1 FOR UPDATE OF d SKIP LOCKED),
		d AS (UPDATE webhook_deliveries SET due_at = now() + interval '1 minute' WHERE id IN (SELECT id FROM taken) RETURNING *)
		SELECT `+deliveryColumns+`, w.url, w.secret, CASE WHEN w.old_until > now() THEN w.old_secret END
		FROM d JOIN webhooks w ON w.id = d.webhook`, limit)
	if err != nil {
		return nil, fmt.Errorf("take deliveries: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s order.Sending, err error) {
		var due, done *time.Time
		var secret, old []byte
		err = row.Scan(append(scanDelivery(&s.Delivery, &due, &done), &s.URL, &secret, &old)...)
		s.DueAt, s.DoneAt = timeOf(due), timeOf(done)
		if s.Secrets = [][]byte{secret}; old != nil {
			s.Secrets = append(s.Secrets, old)
		}
		return s, err
	})
}

// Delivered notes what became of a try: status is the answer's, failure is "" when it
// arrived, wait is until the next try, below zero for none.
func (db *DB) Delivered(ctx context.Context, d order.Delivery, status int, failure string, wait time.Duration) error {
	b := &pgx.Batch{}
	b.Queue(`UPDATE webhook_deliveries SET tries = tries + 1, status = $2, error = $3,
			due_at = CASE WHEN $3 = '' OR $4::interval < '0' THEN NULL ELSE now() + $4::interval END, done_at = CASE WHEN $3 = '' THEN now() END
		WHERE id = $1::uuid`, d.ID, status, failure, wait)
	b.Queue(`UPDATE webhooks SET failing = CASE WHEN $2 = '' THEN 0 ELSE failing + 1 END
		WHERE id = $1::uuid AND (CASE WHEN $2 = '' THEN failing > 0 ELSE $3::interval < '0' END)`, d.Webhook, failure, wait)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("note delivery: %w", err)
	}
	return nil
}

// queueEvents writes down, in the outbox's own transaction, what webhooks ask for: an
// update that is routed was written for each webhook once.
func queueEvents(ctx context.Context, tx pgx.Tx, updates []order.Update) error {
	b := &pgx.Batch{}
	for _, u := range updates {
		if kind := order.EventOf(u); kind != "" {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			now := time.Now()
			body, err := json.Marshal(order.Event(id.String(), kind, now, u))
			if err != nil {
				return err
			}
			b.Queue(queueDeliveries, id.String(), kind, body, now, nil)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, b).Close()
}
