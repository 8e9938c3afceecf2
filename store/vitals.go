package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Vitals reads how the installation stands: one round trip, each statement by an
// index of what is live.
func (db *DB) Vitals(ctx context.Context) (order.Vitals, error) {
	v := order.Vitals{Orders: map[order.State]int64{}, Payments: map[order.PaymentState]int64{}, Items: map[string]int64{}, Alarms: map[order.Severity]int64{}, Devices: map[string]int64{}}
	b := &pgx.Batch{}
	counts := func(into func(key string, n int64), sql string, args ...any) {
		b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
			var key string
			var n int64
			_, err := pgx.ForEachRow(rows, []any{&key, &n}, func() error { into(key, n); return nil })
			return err
		})
	}
	one := func(n *int64, age *time.Duration, sql string, args ...any) {
		b.Queue(sql, args...).QueryRow(func(row pgx.Row) error {
			var seconds float64
			err := row.Scan(n, &seconds)
			*age = time.Duration(max(seconds, 0) * float64(time.Second))
			return err
		})
	}
	var unused time.Duration
	var count int64
	b.Queue(`SELECT clock_timestamp()`).QueryRow(func(row pgx.Row) error { return row.Scan(&v.At) })
	counts(func(k string, n int64) { v.Orders[order.State(k)] = n },
		`SELECT state, count(*) FROM orders WHERE state IN ('pending', 'starting', 'unresolved', 'active', 'ended') GROUP BY state`)
	one(&count, &v.UnresolvedFor, `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min((SELECT max(m.at) FROM order_moves m
		WHERE m.order_id = o.id))), 0)::float8 FROM orders o WHERE o.state = 'unresolved'`)
	one(&v.Waiting, &v.WaitingFor, `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(received_at)), 0)::float8
		FROM evidence WHERE status = 'waiting'`)
	one(&v.Behind, &unused, `SELECT coalesce(sum(greatest((head->>'highest')::bigint - applied, 0)), 0)::bigint, 0::float8 FROM devices
		WHERE service <> 'retired'`)
	one(&v.CommandsDue, &v.DueFor, `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8
		FROM commands WHERE due_at <= clock_timestamp()`)
	one(&v.Outbox, &unused, `SELECT count(*), 0::float8 FROM updates`)
	counts(func(k string, n int64) { v.Payments[order.PaymentState(k)] = n },
		`SELECT state, count(*) FROM payments WHERE state NOT IN ('paid', 'closed') GROUP BY state`)
	one(&count, &v.LateFor, `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(due_at)), 0)::float8
		FROM payments WHERE due_at <= clock_timestamp()`)
	counts(func(k string, n int64) { v.Alarms[order.AlarmKind(k).Severity()] += n }, `SELECT kind, count(*) FROM alarms
		WHERE cleared_at IS NULL AND coalesce(snoozed_until, '-infinity') <= now() GROUP BY kind`)
	counts(func(k string, n int64) { v.Items[k] = n }, `SELECT kind, count(*) FROM items WHERE closed_at IS NULL GROUP BY kind`)
	counts(func(k string, n int64) { v.Devices[k] = n }, `SELECT service, count(*) FROM devices GROUP BY service`)
	one(&v.Silent, &unused, `SELECT count(*), 0::float8 FROM devices WHERE service = 'in_service'
		AND (heard_at IS NULL OR heard_at < clock_timestamp() - $1::interval)`, device.SampleLife)
	b.Queue(`SELECT value FROM settings WHERE name = 'audit'`).QueryRow(func(row pgx.Row) error {
		var text string
		err := optional(row.Scan(&text), func() {})
		if err != nil || text == "" {
			return err
		}
		return json.Unmarshal([]byte(text), &v.Audit)
	})
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return order.Vitals{}, fmt.Errorf("read vitals: %w", err)
	}
	return v, nil
}

// auditPatience is how long an audit may take before another replica takes it over.
const auditPatience = 30 * time.Minute

// AuditAlone runs an audit unless another replica has begun one within the last
// every, and keeps what it found for everybody's metrics. ran: this one did.
func (db *DB) AuditAlone(ctx context.Context, every time.Duration) (run order.AuditRun, ran bool, err error) {
	fail := func(err error) (order.AuditRun, bool, error) {
		return order.AuditRun{}, false, fmt.Errorf("audit: %w", err)
	}
	// The row is the claim: who moves its time on, in one statement, audits.
	// A claim that nothing came of, since its replica died, is taken over.
	tag, err := db.pool.Exec(ctx, `INSERT INTO settings (name, value) VALUES ('audit_begun', extract(epoch FROM clock_timestamp())::text)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE settings.value::float8 < excluded.value::float8 - $1
			OR settings.value::float8 < excluded.value::float8 - $2 AND settings.value::float8 > coalesce(
				(SELECT extract(epoch FROM (a.value::jsonb->>'At')::timestamptz)::float8 FROM settings a WHERE a.name = 'audit'), 0)`,
		every.Seconds(), auditPatience.Seconds())
	if err != nil {
		return fail(err)
	}
	if tag.RowsAffected() == 0 {
		return order.AuditRun{}, false, nil
	}
	began := time.Now()
	checked, err := db.Audit(ctx, func(string, int, int) {})
	if err != nil { // the next one may try at once
		given, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_, _ = db.pool.Exec(given, `UPDATE settings SET value = '0' WHERE name = 'audit_begun'`)
		return fail(err)
	}
	run = order.AuditRun{At: time.Now().UTC(), Took: time.Since(began), Findings: map[string]int{"quote_recomputed": 0}}
	for _, view := range checked.Views {
		run.Findings[view] = 0
	}
	for _, f := range checked.Findings {
		run.Findings[f.View]++
	}
	text, err := json.Marshal(run)
	if err != nil {
		return fail(err)
	}
	_, err = db.pool.Exec(ctx, `INSERT INTO settings (name, value) VALUES ('audit', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, string(text))
	if err != nil {
		return fail(err)
	}
	return run, true, nil
}

// Pool is how the database's connections stand.
type Pool struct {
	Busy, Idle, Most int32
	Waited           int64         // how often a connection had to be waited for
	WaitedFor        time.Duration // in all
}

// Pool returns the state of the pool.
func (db *DB) Pool() Pool {
	s := db.pool.Stat()
	return Pool{Busy: s.AcquiredConns(), Idle: s.IdleConns(), Most: s.MaxConns(), Waited: s.EmptyAcquireCount(), WaitedFor: s.EmptyAcquireWaitTime()}
}
