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

const webhookColumns = `id::text, label, url, events, enabled, failing, created_at, version, strikes, rest_until, dropped,
	(SELECT count(*) FROM webhook_deliveries d WHERE d.webhook = w.id AND d.due_at IS NOT NULL)`

// Webhooks lists all, the newest first.
func (db *DB) Webhooks(ctx context.Context) ([]order.Webhook, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+webhookColumns+` FROM webhooks w WHERE removed_at IS NULL ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (w order.Webhook, err error) {
		var rests *time.Time
		err = row.Scan(&w.ID, &w.Label, &w.URL, &w.Events, &w.Enabled, &w.Failing, &w.Created, &w.Version, &w.Strikes, &rests, &w.Dropped, &w.Waiting)
		w.Rests = timeOf(rests)
		return w, err
	})
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
		strikes = 0, rest_until = NULL, dropped = 0, version = version + 1 WHERE id = $1`, w.Label, w.URL, w.Events, w.Enabled)
}

// RotateWebhook gives a webhook a new secret; the old one signs too for the overlap.
func (db *DB) RotateWebhook(ctx context.Context, id string, secret []byte, overlap time.Duration, a order.Audit) error {
	return db.changeWebhook(ctx, id, a, `UPDATE webhooks SET old_secret = secret, old_until = now() + $3::interval, secret = $2,
		version = version + 1 WHERE id = $1`, secret, overlap)
}

// RemoveWebhook forgets a webhook and what waits for it; order.ErrNotFound. Its address
// and secrets go at once, its deliveries in Sweep: there may be very many.
func (db *DB) RemoveWebhook(ctx context.Context, id string, a order.Audit) error {
	return db.changeWebhook(ctx, id, a, `UPDATE webhooks SET removed_at = now(), enabled = false, url = '', secret = decode(repeat('00', 32), 'hex'),
		old_secret = NULL, old_until = NULL, version = version + 1 WHERE id = $1`)
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
		FROM webhooks WHERE id = $1::uuid AND removed_at IS NULL FOR UPDATE`, uuidOrNil(id)).Scan(&a.Before)
	if errors.Is(err, pgx.ErrNoRows) {
		return fail(order.ErrNotFound)
	}
	if err != nil {
		return fail(err)
	}
	if _, err := tx.Exec(ctx, statement, append([]any{id}, args...)...); err != nil {
		return fail(domainError(err))
	}
	if err := audited(ctx, tx, a); err != nil {
		return fail(err)
	}
	return tx.Commit(ctx)
}

// queueDeliveries writes an event down for each webhook that asks for its type, of which
// only is the one if named.
const queueDeliveries = `INSERT INTO webhook_deliveries (id, webhook, event, type, body, at, due_at)
	SELECT gen_random_uuid(), id, $1, $2, $3, $4, now() FROM webhooks
	WHERE enabled AND ($2 = ANY(events) AND $5::uuid IS NULL OR id = $5)`

// wakeWebhook ends a webhook's rest: staff want to see a try now.
const wakeWebhook = `UPDATE webhooks SET rest_until = NULL WHERE id = $1 AND rest_until IS NOT NULL`

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
	b.Queue(wakeWebhook, known)
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
	tag, err := tx.Exec(ctx, `UPDATE webhook_deliveries SET due_at = now(), done_at = NULL, tries = 0, taken = false
		WHERE id = $1::uuid AND webhook = $2::uuid AND EXISTS (SELECT FROM webhooks w WHERE w.id = webhook AND w.removed_at IS NULL)`,
		uuidOrNil(id), uuidOrNil(webhook))
	if err != nil {
		return fmt.Errorf("replay delivery: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("replay delivery: %w", order.ErrNotFound)
	}
	b := &pgx.Batch{}
	b.Queue(wakeWebhook, uuidOrNil(webhook))
	queueAudit(b, a)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("replay delivery: %w", err)
	}
	return tx.Commit(ctx)
}

// TakeDeliveries claims up to limit deliveries that are due for a minute, after which
// another replica may take them: of each webhook so many that order.WebhookAtOnce are
// under way in all, of one whose newest try failed a single one, and none while it rests.
func (db *DB) TakeDeliveries(ctx context.Context, limit int) (due []order.Sending, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		// Who holds a webhook's row counts what is under way in the next statement's
		// snapshot, so that no two replicas fill the same room.
		rows, err := tx.Query(ctx, `SELECT w.id::text FROM webhooks w WHERE w.enabled AND w.removed_at IS NULL
				AND (w.rest_until IS NULL OR w.rest_until <= now())
				AND EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook = w.id AND d.due_at <= now())
			FOR NO KEY UPDATE SKIP LOCKED`)
		if err != nil {
			return err
		}
		awake, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(awake) == 0 {
			return err
		}
		rows, err = tx.Query(ctx, `WITH room AS (
				SELECT w.id, CASE WHEN w.strikes > 0 THEN 1 ELSE $2 END
					- (SELECT count(*) FROM webhook_deliveries f WHERE f.webhook = w.id AND f.taken AND f.due_at > now()) AS n
				FROM webhooks w WHERE w.id = ANY($3::uuid[])),
			taken AS (
				SELECT x.id FROM room r CROSS JOIN LATERAL (
					SELECT d.id, d.due_at FROM webhook_deliveries d WHERE d.webhook = r.id AND d.due_at <= now()
					ORDER BY d.due_at LIMIT greatest(r.n, 0) FOR UPDATE SKIP LOCKED) x
				ORDER BY x.due_at LIMIT $1),
			d AS (UPDATE webhook_deliveries SET due_at = now() + interval '1 minute', taken = true WHERE id IN (SELECT id FROM taken) RETURNING *)
			SELECT `+deliveryColumns+`, w.url, w.secret, CASE WHEN w.old_until > now() THEN w.old_secret END
			FROM d JOIN webhooks w ON w.id = d.webhook`, limit, order.WebhookAtOnce, awake)
		if err != nil {
			return err
		}
		due, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s order.Sending, err error) {
			var at, done *time.Time
			var secret, old []byte
			err = row.Scan(append(scanDelivery(&s.Delivery, &at, &done), &s.URL, &secret, &old)...)
			s.DueAt, s.DoneAt = timeOf(at), timeOf(done)
			if s.Secrets = [][]byte{secret}; old != nil {
				s.Secrets = append(s.Secrets, old)
			}
			return s, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("take deliveries: %w", err)
	}
	return due, nil
}

// TrimDeliveries drops the oldest of what waits for a webhook beyond most, a slice at a
// time, and counts them at the webhook. It returns how many went.
func (db *DB) TrimDeliveries(ctx context.Context, most int) (dropped int64, err error) {
	for {
		n, err := db.trimSlice(ctx, most)
		if err != nil {
			return dropped, fmt.Errorf("trim deliveries: %w", err)
		}
		if n == 0 {
			return dropped, nil
		}
		dropped += n
	}
}

// trimSlice drops one slice of what is too long.
func (db *DB) trimSlice(ctx context.Context, most int) (dropped int64, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		// Who holds a webhook's row counts its queue in the next statement's snapshot, so
		// that no two replicas drop the same excess.
		rows, err := tx.Query(ctx, `SELECT w.id::text FROM webhooks w
			WHERE (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook = w.id AND d.due_at IS NOT NULL) > $1
			ORDER BY w.id FOR NO KEY UPDATE`, most)
		if err != nil {
			return err
		}
		long, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || len(long) == 0 {
			return err
		}
		tag, err := tx.Exec(ctx, `WITH over AS (
				SELECT id, (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook = w.id AND d.due_at IS NOT NULL) - $1 AS n
				FROM unnest($3::uuid[]) AS w (id)),
			gone AS (DELETE FROM webhook_deliveries WHERE id IN (
				SELECT x.id FROM over o CROSS JOIN LATERAL (
					SELECT d.id FROM webhook_deliveries d WHERE d.webhook = o.id AND d.due_at IS NOT NULL AND NOT (d.taken AND d.due_at > now())
					ORDER BY d.at, d.id LIMIT greatest(least(o.n, $2), 0) FOR UPDATE SKIP LOCKED) x
				) RETURNING webhook),
			told AS (UPDATE webhooks w SET dropped = w.dropped + g.n FROM (SELECT webhook, count(*) AS n FROM gone GROUP BY webhook) g WHERE w.id = g.webhook RETURNING 1)
			SELECT FROM gone`, most, sweepBatch, long)
		dropped = tag.RowsAffected()
		return err
	})
	return dropped, err
}

// Delivered notes what became of the try that d was taken for. Once another replica has
// taken the delivery, or staff replay it, nothing is noted of the try before.
func (db *DB) Delivered(ctx context.Context, d order.Delivery, t order.Tried) error {
	over := t.Failure == "" || t.GivenUp
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE webhook_deliveries SET tries = tries + 1, status = $3, error = $4, taken = false,
				due_at = CASE WHEN NOT $5 THEN now() + $6::interval END, done_at = CASE WHEN $4 = '' THEN now() END
			WHERE id = $1::uuid AND taken AND due_at = $2`, d.ID, d.DueAt, t.Status, t.Failure, over, t.Wait)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if t.Failure == "" {
			_, err = tx.Exec(ctx, `UPDATE webhooks SET failing = 0, strikes = 0, rest_until = NULL
				WHERE id = $1::uuid AND (failing > 0 OR strikes > 0 OR rest_until IS NOT NULL)`, d.Webhook)
			return err
		}
		rests := make([]time.Duration, 0, 12)
		for n := range cap(rests) {
			rests = append(rests, order.WebhookRest(n+1))
		}
		_, err = tx.Exec(ctx, `UPDATE webhooks SET failing = failing + CASE WHEN $2 THEN 1 ELSE 0 END,
				strikes = CASE WHEN rest_until > now() THEN strikes ELSE strikes + 1 END,
				rest_until = CASE WHEN rest_until > now() THEN rest_until ELSE now() + ($3::interval[])[least(strikes + 1, cardinality($3::interval[]))] END
			WHERE id = $1::uuid`, d.Webhook, t.GivenUp, rests)
		return err
	})
	if err != nil {
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
