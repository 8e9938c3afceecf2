package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

const alarmColumns = `id::text, kind, subject, device, venue, detail, raised_at, seen_at, times, acked_at, acked_by, snoozed_until,
	cleared_at, cleared_by, comment, version`

func scanAlarm(row pgx.CollectableRow) (a order.Alarm, err error) {
	var acked, snoozed, cleared *time.Time
	err = row.Scan(&a.ID, &a.Kind, &a.Subject, &a.Device, &a.Venue, &a.Detail, &a.RaisedAt, &a.SeenAt, &a.Times, &acked, &a.AckedBy,
		&snoozed, &cleared, &a.ClearedBy, &a.Comment, &a.Version)
	a.AckedAt, a.Snoozed, a.ClearedAt = timeOf(acked), timeOf(snoozed), timeOf(cleared)
	return a, err
}

// WatchAlarms gives watch the alarms that are open or were lately, and the database's
// clock, and stores what it makes of them with their events, in one transaction. One
// replica at a time watches: false means that another one does.
func (db *DB) WatchAlarms(ctx context.Context, watch func(known []order.Alarm, now time.Time) (order.AlarmMoves, error)) (bool, error) {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("watch alarms: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var mine bool
	var now time.Time
	if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtext('unlatch alarms')), now()`).Scan(&mine, &now); err != nil {
		return false, fmt.Errorf("watch alarms: %w", err)
	}
	if !mine {
		return false, nil
	}
	rows, err := tx.Query(ctx, `SELECT `+alarmColumns+` FROM alarms WHERE cleared_at IS NULL
		UNION ALL SELECT `+alarmColumns+` FROM alarms WHERE cleared_at > now() - $1::interval
			OR cleared_by <> '' AND seen_at > now() - $1::interval`, order.Flap)
	if err != nil {
		return false, fmt.Errorf("watch alarms: %w", err)
	}
	known, err := pgx.CollectRows(rows, scanAlarm)
	if err != nil {
		return false, fmt.Errorf("watch alarms: %w", err)
	}
	moves, err := watch(known, now)
	if err != nil {
		return false, err
	}
	b := &pgx.Batch{}
	for _, a := range moves.Kept {
		b.Queue(`UPDATE alarms SET detail = $2, seen_at = $3, times = $4, cleared_at = $5, venue = $6, version = version + 1
			WHERE id = $1 AND version = $7`, a.ID, a.Detail, a.SeenAt, a.Times, nilTime(a.ClearedAt), a.Venue, a.Version)
	}
	for _, a := range moves.Returned {
		b.Queue(`WITH c AS (UPDATE alarms SET detail = $2, seen_at = $3, times = $4, cleared_at = NULL, venue = $5, acked_at = NULL, acked_by = '',
				snoozed_until = NULL, version = version + 1 WHERE id = $1 AND version = $6 RETURNING 1)
			INSERT INTO updates (subject, payload) SELECT $7, $8 FROM c`, a.ID, a.Detail, a.SeenAt, a.Times, a.Venue, a.Version, "alarm."+a.ID,
			alarmPayload(a, "raised"))
	}
	for _, a := range moves.Cleared {
		b.Queue(`WITH c AS (UPDATE alarms SET cleared_at = $2, version = version + 1 WHERE id = $1 AND version = $3 RETURNING 1)
			INSERT INTO updates (subject, payload) SELECT $4, $5 FROM c`, a.ID, a.ClearedAt, a.Version, "alarm."+a.ID, alarmPayload(a, "cleared"))
	}
	for _, a := range moves.Raised { // behind what ended: of a kind and subject one is open
		b.Queue(`WITH r AS (INSERT INTO alarms (id, kind, subject, device, venue, detail, raised_at, seen_at, times, version)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1) ON CONFLICT (kind, subject) WHERE cleared_at IS NULL DO NOTHING RETURNING 1)
			INSERT INTO updates (subject, payload) SELECT $10, $11 FROM r`, a.ID, a.Kind, a.Subject, a.Device, a.Venue, a.Detail, a.RaisedAt, a.SeenAt, a.Times,
			"alarm."+a.ID, alarmPayload(a, "raised"))
	}
	if b.Len() == 0 {
		return true, nil
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return false, fmt.Errorf("watch alarms: %w", err)
	}
	return true, tx.Commit(ctx)
}

// ItemCounts counts open items by venue and kind.
func (db *DB) ItemCounts(ctx context.Context) ([]order.ItemCount, error) {
	rows, err := db.pool.Query(ctx, `SELECT venue, kind, count(*), min(at) FROM items WHERE closed_at IS NULL GROUP BY venue, kind ORDER BY venue, kind`)
	if err != nil {
		return nil, fmt.Errorf("count open items: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.ItemCount])
}

// alarmPayload is what is told of an alarm, to consoles and webhooks.
func alarmPayload(a order.Alarm, state string) []byte {
	b, _ := json.Marshal(map[string]any{"id": a.ID, "state": state, "kind": a.Kind, "severity": a.Kind.Severity(), "device": a.Device,
		"venue": a.Venue, "detail": a.Detail, "raised_at": a.RaisedAt.UTC().Format(time.RFC3339)}) // plain values: cannot fail
	return b
}

func queueAlarmUpdate(b *pgx.Batch, a order.Alarm, state string) {
	b.Queue(`INSERT INTO updates (subject, payload) VALUES ($1, $2)`, "alarm."+a.ID, alarmPayload(a, state))
}

// Alarms lists them, the newest first.
func (db *DB) Alarms(ctx context.Context, p order.AlarmPage) ([]order.Alarm, error) {
	var f filter
	f.when(p.Open, "(cleared_at IS NULL) = %s", true)
	f.when(p.Kind != "", "kind = %s", p.Kind)
	f.when(p.Venue != "", "venue = %s", p.Venue)
	f.when(p.Venues != nil, "venue = ANY(%s)", p.Venues)
	f.when(p.After != "", "id < %s::uuid", uuidOrNil(p.After))
	rows, err := db.pool.Query(ctx, `SELECT `+alarmColumns+` FROM alarms`+f.sql("id DESC", p.Limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list alarms: %w", err)
	}
	return pgx.CollectRows(rows, scanAlarm)
}

// ActOnAlarm does what staff want with an alarm: order.ErrNotFound when there is none at
// the venues, order.ErrWrongState when it is over.
func (db *DB) ActOnAlarm(ctx context.Context, act order.AlarmAct, venues []string) (a order.Alarm, err error) {
	fail := func(err error) (order.Alarm, error) {
		return order.Alarm{}, fmt.Errorf("%s alarm %s: %w", act.What, act.ID, err)
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	one := func(query string, args ...any) (a order.Alarm, err error) {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return a, err
		}
		a, err = pgx.CollectExactlyOneRow(rows, scanAlarm)
		if errors.Is(err, pgx.ErrNoRows) {
			err = order.ErrNotFound
		}
		return a, err
	}
	before, err := one(`SELECT `+alarmColumns+` FROM alarms WHERE id = $1::uuid AND ($2::text[] IS NULL OR venue = ANY($2)) FOR UPDATE`,
		uuidOrNil(act.ID), venues)
	if err != nil {
		return fail(err)
	}
	if !before.Open() {
		return fail(order.ErrWrongState)
	}
	set := map[string]string{
		order.Acknowledge: `acked_at = coalesce(acked_at, now()), acked_by = CASE WHEN acked_at IS NULL THEN $2 ELSE acked_by END`,
		order.Snooze:      `snoozed_until = $4, acked_at = coalesce(acked_at, now()), acked_by = CASE WHEN acked_at IS NULL THEN $2 ELSE acked_by END`,
		order.Clear:       `cleared_at = now(), cleared_by = $2`,
	}[act.What]
	if set == "" {
		return fail(order.ErrInvalid)
	}
	if a, err = one(`UPDATE alarms SET `+set+`, comment = CASE WHEN $3 = '' THEN comment ELSE $3 END, version = version + 1
		WHERE id = $1::uuid AND ($4::timestamptz IS NULL OR true) RETURNING `+alarmColumns, act.ID, act.Audit.Staff, act.Comment, nilTime(act.Until)); err != nil {
		return fail(domainError(err))
	}
	act.Audit.Before, act.Audit.After = alarmFacts(before), alarmFacts(a)
	b := &pgx.Batch{}
	queueAudit(b, act.Audit)
	queueAlarmUpdate(b, a, map[string]string{order.Acknowledge: "acknowledged", order.Snooze: "snoozed", order.Clear: "cleared"}[act.What])
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	return a, tx.Commit(ctx)
}

// alarmFacts is what an audit row says of an alarm.
func alarmFacts(a order.Alarm) []byte {
	b, _ := json.Marshal(map[string]any{"acked_by": a.AckedBy, "snoozed_until": nilTime(a.Snoozed), "open": a.Open(), "comment": a.Comment})
	return b
}
