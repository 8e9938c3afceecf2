package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// Clock is the database's time.
func (db *DB) Clock(ctx context.Context) (time.Time, error) {
	var now time.Time
	if err := db.pool.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return now, fmt.Errorf("read the database's clock: %w", err)
	}
	return now, nil
}

const billColumns = `day, state, lines, came_fen, went_fen, differences, tries, due_at, at`

func scanBillDay(row pgx.CollectableRow) (order.BillDay, error) {
	var d order.BillDay
	var due *time.Time
	err := row.Scan(&d.Day, &d.State, &d.Lines, &d.Came, &d.Went, &d.Differences, &d.Tries, &due, &d.At)
	if due != nil {
		d.DueAt = *due
	}
	return d, err
}

// DueBills implements order.BillBook. WeChat keeps bills for three months. After a
// restore from a backup the first payment may be one that only WeChat knows.
func (db *DB) DueBills(ctx context.Context, last string) ([]order.BillDay, error) {
	if _, err := db.pool.Exec(ctx, `INSERT INTO bill_days (day, state, lines, came_fen, went_fen, differences, tries, due_at, at)
		SELECT to_char(d, 'YYYY-MM-DD'), 'waiting', 0, 0, 0, 0, 0, clock_timestamp(), clock_timestamp()
		FROM (SELECT least((SELECT (created_at AT TIME ZONE interval '+08:00')::date FROM payments ORDER BY id LIMIT 1),
				(SELECT ((value::jsonb->>'backup_at')::timestamptz AT TIME ZONE interval '+08:00')::date FROM settings WHERE name = 'restored')) AS day) first,
			generate_series(greatest(first.day, $1::date - 80)::timestamp, $1::date::timestamp, interval '1 day') d
		WHERE first.day IS NOT NULL
		ON CONFLICT DO NOTHING`, last); err != nil {
		return nil, fmt.Errorf("note days to reconcile: %w", err)
	}
	rows, err := db.pool.Query(ctx, `UPDATE bill_days SET due_at = clock_timestamp() + interval '1 hour', tries = tries + 1
		WHERE day IN (SELECT day FROM bill_days WHERE due_at <= clock_timestamp() ORDER BY day LIMIT 10 FOR UPDATE SKIP LOCKED)
		RETURNING `+billColumns)
	if err != nil {
		return nil, fmt.Errorf("look for days to reconcile: %w", err)
	}
	return pgx.CollectRows(rows, scanBillDay)
}

// BillDays lists days, newest first.
func (db *DB) BillDays(ctx context.Context, limit int) ([]order.BillDay, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+billColumns+` FROM bill_days ORDER BY day DESC LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list reconciled days: %w", err)
	}
	return pgx.CollectRows(rows, scanBillDay)
}

// difference is what a bill and the ledger do not agree on.
type difference struct {
	Number, Order, What string
}

// MatchBill implements order.BillBook. Lines are kept, so that what moved just before
// midnight is found on either day's bill.
func (db *DB) MatchBill(ctx context.Context, day string, lines []billing.BillLine) (order.BillDay, error) {
	d := order.BillDay{Day: day, State: "matched", Lines: len(lines)}
	fail := func(err error) (order.BillDay, error) { return d, fmt.Errorf("match bill of %s: %w", day, err) }
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	b := &pgx.Batch{}
	b.Queue(`SELECT pg_advisory_xact_lock(hashtext('bill ' || $1))`, day)
	for _, l := range lines {
		back := l.Road == billing.Refund
		if back {
			d.Went += l.Amount
		} else {
			d.Came += l.Amount
		}
		b.Queue(`INSERT INTO bill_lines (back, ref, day, number, amount, state, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (back, ref) DO UPDATE SET day = excluded.day, number = excluded.number, amount = excluded.amount, state = excluded.state`,
			back, l.ID, day, l.Number, l.Amount, l.State, l.At)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	rows, err := tx.Query(ctx, `
		WITH day AS NOT MATERIALIZED (
			SELECT $1::text::date::timestamp AT TIME ZONE interval '+08:00' AS begins
		), billed AS (
			SELECT back, number, sum(amount) AS amount, max(state) AS state FROM bill_lines
			WHERE (back, number) IN (SELECT back, number FROM bill_lines WHERE day = $1) GROUP BY back, number
		), ours AS NOT MATERIALIZED (
			SELECT p.*, p.road = 'refund' AS goes_back, replace(p.id::text, '-', '') AS number FROM payments p
		)
		SELECT l.number, '', format('the bill has %s fen for a number that is none of ours', l.amount)
		FROM billed l LEFT JOIN ours p ON p.number = l.number AND p.goes_back = l.back WHERE p.id IS NULL
		UNION ALL
		SELECT l.number, coalesce(p.order_id::text, ''), format('the bill has %s fen (%s), the ledger %s; the payment is %s', l.amount, l.state,
			CASE WHEN l.back THEN p.amount ELSE p.moved END, p.state)
		FROM day, billed l JOIN ours p ON p.number = l.number AND p.goes_back = l.back
		WHERE CASE WHEN l.back THEN p.amount <> l.amount OR p.state = 'closed' AND l.state = 'SUCCESS'
			-- Of a bill that was collected in parts the later ones stand in later days.
			WHEN p.state = 'paid' AND (p.road <> 'score' OR p.done_at < day.begins + interval '1 day') THEN p.moved <> l.amount
			ELSE p.moved < l.amount END
		UNION ALL
		SELECT p.number, coalesce(p.order_id::text, ''), format('the ledger has %s fen, the bill nothing', p.moved)
		FROM day, ours p
		-- What moved just before midnight may stand in the next day's bill, and a refund
		-- stands where WeChat accepted it, which is a day after we made it at the latest.
		WHERE p.state = 'paid' AND (NOT p.goes_back AND p.done_at >= day.begins - interval '10 minutes' AND p.done_at < day.begins + interval '23 hours 50 minutes'
				OR p.goes_back AND p.done_at >= day.begins - interval '24 hours 10 minutes' AND p.done_at < day.begins - interval '10 minutes')
			AND NOT EXISTS (SELECT FROM bill_lines l WHERE l.back = p.goes_back AND l.number = p.number)`, day)
	if err != nil {
		return fail(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[difference])
	if err != nil {
		return fail(err)
	}
	if d.Differences = len(found); d.Differences > 0 {
		d.State = "differs"
	}
	b = &pgx.Batch{}
	for _, x := range found {
		id, err := uuid.NewV7()
		if err != nil {
			return fail(err)
		}
		b.Queue(`INSERT INTO items (id, kind, subject, device, order_id, venue, detail, at)
			SELECT $1, $2, $3, '', $4, '', $5, clock_timestamp()
			WHERE NOT EXISTS (SELECT FROM items WHERE kind = $2 AND subject = $3)`,
			id.String(), order.ItemBill, day+"/"+x.Number, nilUUID(x.Order), x.What)
	}
	b.Queue(`UPDATE bill_days SET state = $2, lines = $3, came_fen = $4, went_fen = $5, differences = $6, due_at = NULL, at = clock_timestamp()
		WHERE day = $1`, day, d.State, d.Lines, d.Came, d.Went, d.Differences)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(err)
	}
	return d, nil
}

// Debts lists what is unpaid, oldest first: what WeChat is collecting, and of each
// rider's debt the newest transfers that make it up, since payments pay the oldest.
func (db *DB) Debts(ctx context.Context, rider string, limit int) ([]order.DebtRow, error) {
	score, owed := "", `a.id LIKE 'receivable:%'`
	args := []any{limit}
	if rider != "" { // texts of their own: one plan serves every parameter
		score, owed = "AND p.rider = $2::uuid", "a.id = 'receivable:' || $2::text"
		if uuidOrNil(rider) == nil {
			return nil, nil
		}
		args = append(args, rider)
	}
	rows, err := db.pool.Query(ctx, `
		SELECT rider, order_id, amount, since, score, next_at, blocks FROM (
			SELECT p.rider::text AS rider, p.order_id::text AS order_id, p.amount - p.moved AS amount, p.billed_at AS since, true AS score,
				p.due_at AS next_at, p.state = 'collecting' AND p.expires_at < now() AS blocks
			FROM payments p WHERE p.road = 'score' AND p.state IN ('completing', 'collecting') `+score+`
			UNION ALL
			SELECT substr(a.id, length('receivable:') + 1), coalesce(t.order_id::text, ''), least(t.amount, -a.posted - t.newer), t.at, false, NULL, true
			FROM accounts a JOIN LATERAL (
				SELECT t.order_id, t.amount, t.at, coalesce(sum(t.amount) OVER (ORDER BY t.id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS newer
				FROM transfers t WHERE t.debit = a.id
			) t ON t.newer < -a.posted
			WHERE a.posted < 0 AND `+owed+`
		) d ORDER BY since LIMIT $1`, args...)
	if err != nil {
		return nil, fmt.Errorf("list debts: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.DebtRow, error) {
		var d order.DebtRow
		var next *time.Time
		err := row.Scan(&d.Rider, &d.Order, &d.Amount, &d.Since, &d.Score, &next, &d.Blocks)
		if next != nil {
			d.NextAt = *next
		}
		return d, err
	})
}
