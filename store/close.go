package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// nozzleOf finds the nozzle of an order o; see order.NozzleTotal. Evidence is read
// only where a side has several nozzles of the grade.
const nozzleOf = `coalesce((SELECT g.key::int FROM outlets u, jsonb_each_text(u.meter->'grades') g
	WHERE u.device = o.device AND u.n = o.outlet AND g.value = o.usage->'fuel'->>'grade'
	ORDER BY CASE WHEN count(*) OVER () > 1 THEN (
		SELECT max((e.counters->'totaliser'->>g.key)::numeric) - min((e.counters->'totaliser'->>g.key)::numeric)
		FROM evidence e WHERE e.order_id = o.id AND e.kind IN ('executed', 'ended', 'interrupted')) END DESC NULLS LAST,
		g.key::int LIMIT 1), 0)`

// gathering reads what a close of venue $1 and period $2 holds, in one statement
// and so in one snapshot: totals, totalisers and entries are of the same moment.
// %s is what becomes of the entries.
//
// What earlier closes hold is taken off as a set, in one pass over the venue's sales
// and entries. An anti-join would be planned by statistics, which know nothing of a
// table that was empty until now, and could take time by the square of the orders.
const gathering = `WITH held AS NOT MATERIALIZED (
	SELECT e.subject FROM closes c JOIN close_entries e ON e.close = c.id WHERE c.venue = $1 AND c.period = $2
), sold AS MATERIALIZED (
	SELECT id FROM orders WHERE venue = $1 AND state = 'settled' AND usage ? 'fuel' EXCEPT SELECT subject FROM held
), sales AS MATERIALIZED (
	SELECT o.id, o.device, o.outlet, o.pay_with, ` + nozzleOf + ` AS nozzle, o.usage->'fuel'->>'grade' AS grade,
		(o.usage->'fuel'->>'millilitres')::bigint AS ml, (o.quote->>'total_fen')::bigint AS billed, o.charged, o.debt,
		l.priced, l.above, l.decided,
		CASE WHEN l.above > 0 AND l.unit_price > 0 THEN round(l.above * 10000 / l.unit_price) ELSE 0 END AS above_ml
	FROM sold JOIN orders o ON o.id = sold.id CROSS JOIN LATERAL (
		SELECT coalesce(sum(x.amount_fen) FILTER (WHERE x.kind = 'fuel'), 0) AS priced,
			-coalesce(sum(x.amount_fen) FILTER (WHERE x.kind = 'above_limit'), 0) AS above,
			coalesce(sum(x.amount_fen) FILTER (WHERE x.kind = 'staff_decision'), 0) AS decided,
			max(x.unit_price) AS unit_price
		FROM jsonb_to_recordset(CASE jsonb_typeof(o.quote->'lines') WHEN 'array' THEN o.quote->'lines' ELSE '[]' END)
			AS x(kind text, amount_fen bigint, unit_price bigint)) l
), given AS MATERIALIZED (
	SELECT id FROM transfers WHERE purpose = 'refund' EXCEPT SELECT subject FROM held
), refunds AS MATERIALIZED (
	SELECT t.id, t.order_id, t.key, t.amount, o.pay_with, o.usage->'fuel'->>'grade' AS grade
	FROM given JOIN transfers t ON t.id = given.id JOIN orders o ON o.id = t.order_id
	WHERE o.venue = $1 AND o.state = 'settled' AND o.usage ? 'fuel'
), taken AS (%s), open AS (
	SELECT o.id FROM orders o WHERE o.venue = $1 AND o.state = 'ended' AND o.usage ? 'fuel'
	UNION ALL SELECT u.order_id FROM devices d JOIN outlets u ON u.device = d.id AND u.meter ? 'grades'
	WHERE d.venue = $1 AND u.order_id IS NOT NULL
), wrong AS (
	SELECT id, kind FROM items WHERE venue = $1 AND closed_at IS NULL AND kind = ANY($3)
)
SELECT clock_timestamp(), (SELECT count(*) FROM taken),
	(SELECT coalesce(jsonb_agg(g), '[]') FROM (SELECT device, outlet, nozzle, grade, pay_with, count(*) AS orders,
		sum(ml) AS ml, sum(billed) AS billed, sum(charged) AS charged, sum(debt) AS debt, sum(priced) AS priced,
		sum(above) AS above, sum(above_ml) AS above_ml, sum(decided) AS decided
		FROM sales GROUP BY device, outlet, nozzle, grade, pay_with) g),
	(SELECT coalesce(jsonb_agg(g), '[]') FROM (SELECT grade, pay_with, sum(amount) AS amount,
		count(DISTINCT (order_id, key)) AS refunds FROM refunds GROUP BY grade, pay_with) g),
	(SELECT coalesce(jsonb_agg(g), '[]') FROM (SELECT d.id AS device, d.epoch, d.service, u.n AS outlet, u.meter
		FROM devices d JOIN outlets u ON u.device = d.id WHERE d.venue = $1 AND u.meter ? 'grades') g),
	(SELECT coalesce(jsonb_agg(g), '[]') FROM (SELECT o.device, o.outlet, o.usage->'fuel'->>'grade' AS grade,
		` + nozzleOf + ` AS nozzle, (o.usage->'fuel'->>'millilitres')::bigint AS ml
		FROM orders o WHERE o.venue = $1 AND o.state = 'ended' AND o.usage ? 'fuel') g),
	(SELECT count(*) FROM open),
	ARRAY(SELECT id::text FROM open ORDER BY id LIMIT 50),
	(SELECT count(*) FROM wrong),
	(SELECT coalesce(jsonb_agg(g), '[]') FROM (SELECT id, kind FROM wrong ORDER BY id LIMIT 50) g),
	(SELECT document FROM closes WHERE venue = $1 AND period = $2 ORDER BY number DESC LIMIT 1)`

const (
	enterClose = `INSERT INTO close_entries (period, subject, close)
		SELECT $2, id, $4::uuid FROM (SELECT id FROM sales UNION ALL SELECT id FROM refunds) x
		ORDER BY id
		RETURNING 1`
	onlyLook = `SELECT id FROM sales UNION ALL SELECT id FROM refunds`
)

// closeItems are the kinds of open items that bear on a close.
var closeItems = []string{order.ItemTotaliser, order.ItemUnbilled, order.ItemMismatch}

// TakeClose closes a period of a venue, or returns what the key has answered
// before. order.ErrNotFound: there is no such venue. order.ErrKeyReused: the key
// belongs to another request. order.ErrUncertain: ask again with the same key.
func (db *DB) TakeClose(ctx context.Context, c order.TakeClose) (status int, answer []byte, err error) {
	fail := func(err error) (int, []byte, error) {
		return 0, nil, fmt.Errorf("close %s of venue %s: %w", c.Period, c.Venue, err)
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// Two closes at one moment: the second waits here, and its next statement sees
	// what the first has taken.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('close ' || $1 || '/' || $2))`, c.Venue, string(c.Period)); err != nil {
		return fail(err)
	}
	var route string
	var hash []byte
	err = tx.QueryRow(ctx, `SELECT route, body_hash, status, answer FROM idempotency_keys WHERE principal = $1 AND key = $2`,
		c.Key.Principal, c.Key.Key).Scan(&route, &hash, &status, &answer)
	switch {
	case err == nil && (route != c.Route || !slices.Equal(hash, c.Hash[:])):
		return fail(order.ErrKeyReused)
	case err == nil:
		return status, answer, nil
	case !errors.Is(err, pgx.ErrNoRows):
		return fail(err)
	}
	made, entries, err := gather(ctx, tx, c.Venue, c.Period, enterClose, c.ID)
	if err != nil {
		return fail(err)
	}
	made.ID, made.By, made.Reason = c.ID, c.Staff.Staff, c.Staff.Reason
	if status, answer, err = c.Answer(made); err != nil {
		return fail(fmt.Errorf("render: %w", err))
	}
	// As in Apply: who hangs up leaves no commit behind that nobody waits for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO closes (id, venue, period, number, at, entries, document) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		made.ID, made.Venue, made.Period, made.Number, made.At, entries, made)
	queueChanges(b, order.Changes{
		Keys:   []order.Key{{KeyRef: c.Key, Route: c.Route, BodyHash: c.Hash, Status: status, Answer: answer, At: made.At}},
		Audits: []order.Audit{c.Staff},
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(applyError(err))
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(applyError(err))
	}
	return status, answer, nil
}

// PreviewClose is what a close would hold now. Nothing is stored.
// order.ErrNotFound: there is no such venue.
func (db *DB) PreviewClose(ctx context.Context, venue string, period order.Period) (order.Close, error) {
	var made order.Close
	err := pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		made, _, err = gather(ctx, tx, venue, period, onlyLook)
		return err
	})
	if err != nil {
		return made, fmt.Errorf("preview close %s of venue %s: %w", period, venue, err)
	}
	return made, nil
}

// Closes lists a venue's closes, newest first; after is the last id of the page
// before, an empty period both.
func (db *DB) Closes(ctx context.Context, venue string, period order.Period, after string, limit int) ([]order.Close, error) {
	var f filter
	f.when(true, "venue = %s", venue)
	f.when(period != "", "period = %s", period)
	f.when(after != "", "(at, id) < (SELECT x.at, x.id FROM closes x WHERE x.id = %s::uuid)", uuidOrNil(after))
	rows, err := db.pool.Query(ctx, `SELECT document FROM closes`+f.sql("at DESC, id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list closes of venue %s: %w", venue, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[order.Close])
}

// CloseByID returns one close of a venue; order.ErrNotFound.
func (db *DB) CloseByID(ctx context.Context, venue, id string) (order.Close, error) {
	var c order.Close
	err := db.pool.QueryRow(ctx, `SELECT document FROM closes WHERE id = $1::uuid AND venue = $2`, uuidOrNil(id), venue).Scan(&c)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return c, fmt.Errorf("close %q of venue %s: %w", id, venue, err)
	}
	return c, nil
}

// What gathering answers.
type (
	soldGroup struct {
		side
		PayWith order.PayWith `json:"pay_with"`
		Orders  int64         `json:"orders"`
		Ml      int64         `json:"ml"`
		Billed  billing.Fen   `json:"billed"`
		Charged billing.Fen   `json:"charged"`
		Debt    billing.Fen   `json:"debt"`
		Priced  billing.Fen   `json:"priced"`
		Above   billing.Fen   `json:"above"`
		AboveMl int64         `json:"above_ml"`
		Decided billing.Fen   `json:"decided"`
	}
	refundGroup struct {
		Grade   string        `json:"grade"`
		PayWith order.PayWith `json:"pay_with"`
		Amount  billing.Fen   `json:"amount"`
		Refunds int64         `json:"refunds"`
	}
	metered struct {
		Device  device.ID      `json:"device"`
		Epoch   uint32         `json:"epoch"`
		Service device.Service `json:"service"`
		Outlet  uint8          `json:"outlet"`
		Meter   device.Meter   `json:"meter"`
	}
	undecided struct {
		side
		Ml int64 `json:"ml"`
	}
	// side is a nozzle with the grade that it carries, or, as nozzle 0, a grade that
	// no nozzle of the outlet carries any more.
	side struct {
		Device device.ID `json:"device"`
		Outlet uint8     `json:"outlet"`
		Nozzle uint8     `json:"nozzle"`
		Grade  string    `json:"grade"`
	}
)

func (s side) compare(o side) int {
	return cmp.Or(strings.Compare(string(s.Device), string(o.Device)), cmp.Compare(s.Outlet, o.Outlet), cmp.Compare(s.Nozzle, o.Nozzle),
		strings.Compare(s.Grade, o.Grade))
}

// gather runs gathering and makes a close of it, without id, author and reason.
func gather(ctx context.Context, tx pgx.Tx, venue string, period order.Period, take string, args ...any) (order.Close, int64, error) {
	c := order.Close{Venue: venue, Period: period, Number: 1}
	var known bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM venues WHERE id = $1)`, venue).Scan(&known); err != nil {
		return c, 0, err
	}
	if !known {
		return c, 0, order.ErrNotFound
	}
	var entries int64
	var sold []soldGroup
	var refunds []refundGroup
	var meters []metered
	var waiting []undecided
	var before *order.Close
	if _, err := tx.Exec(ctx, `SET LOCAL jit = off`); err != nil { // compiling it takes longer than running it
		return c, 0, err
	}
	// Planned anew each time: a close may be a thousand times as large as the one before.
	args = append([]any{pgx.QueryExecModeDescribeExec, venue, string(period), closeItems}, args...)
	err := tx.QueryRow(ctx, fmt.Sprintf(gathering, take), args...).Scan(
		&c.At, &entries, &sold, &refunds, &meters, &waiting, &c.Open.Count, &c.Open.IDs, &c.ItemsAll, &c.Items, &before)
	if err != nil {
		return c, 0, err
	}
	if before != nil {
		c.From, c.Number = &before.At, before.Number+1
	}
	total(&c, sold, refunds)
	c.Nozzles = nozzles(meters, sold, waiting, before)
	return c, entries, nil
}

// total adds up money and volumes.
func total(c *order.Close, sold []soldGroup, refunds []refundGroup) {
	grades, pay, tests := map[string]*order.GradeTotal{}, map[order.PayWith]*order.PayTotal{}, map[string]*order.TestTotal{}
	grade := func(id string) *order.GradeTotal {
		if grades[id] == nil {
			grades[id] = &order.GradeTotal{Grade: id}
		}
		return grades[id]
	}
	way := func(w order.PayWith) *order.PayTotal {
		if pay[w] == nil {
			pay[w] = &order.PayTotal{PayWith: w}
		}
		return pay[w]
	}
	for _, s := range sold {
		c.Orders += s.Orders
		c.Billed += s.Billed
		if s.PayWith == order.PayService {
			if tests[s.Grade] == nil {
				tests[s.Grade] = &order.TestTotal{Grade: s.Grade}
			}
			tests[s.Grade].Orders += s.Orders
			tests[s.Grade].Millilitres += s.Ml
			continue
		}
		g, w := grade(s.Grade), way(s.PayWith)
		g.Orders += s.Orders
		g.Millilitres += s.Ml
		g.Priced += s.Priced
		g.AboveFen += s.Above
		g.AboveMillilitres += s.AboveMl
		g.Decided += s.Decided
		g.Billed += s.Billed
		w.Orders += s.Orders
		w.Captured += s.Charged
		w.Debt += s.Debt
	}
	for _, r := range refunds {
		c.Refunds += r.Refunds
		c.Refunded += r.Amount
		grade(r.Grade).Refunded += r.Amount
		way(r.PayWith).Refunded += r.Amount
	}
	c.Grades, c.Pay, c.Tests = listed(grades, strings.Compare), listed(pay, cmp.Compare[order.PayWith]), listed(tests, strings.Compare)
}

// listed are a map's values sorted by key; never nil, so that they show as [] in
// JSON.
func listed[K comparable, V any](m map[K]*V, compare func(a, b K) int) []V {
	all := make([]V, 0, len(m))
	for _, k := range slices.SortedFunc(maps.Keys(m), compare) {
		all = append(all, *m[k])
	}
	return all
}

// nozzles compares totalisers with sales; see order.NozzleTotal.
func nozzles(meters []metered, sold []soldGroup, waiting []undecided, before *order.Close) []order.NozzleTotal {
	rows, retired := map[side]*order.NozzleTotal{}, map[side]bool{}
	for _, m := range meters {
		for n, grade := range m.Meter.Grades {
			row := &order.NozzleTotal{Device: m.Device, Outlet: m.Outlet, Nozzle: n, Grade: grade, Epoch: m.Epoch}
			if m.Meter.Explained == nil {
				row.Note = order.NozzleUnheard
			} else {
				to := int64(m.Meter.Explained[n])
				row.To = &to
			}
			key := side{m.Device, m.Outlet, n, grade}
			rows[key], retired[key] = row, m.Service == device.Retired
		}
	}
	at := func(s side) *order.NozzleTotal {
		if rows[s] == nil {
			rows[s] = &order.NozzleTotal{Device: s.Device, Outlet: s.Outlet, Nozzle: s.Nozzle, Grade: s.Grade, Note: order.NozzleNotHere}
		}
		return rows[s]
	}
	for _, s := range sold {
		if s.PayWith == order.PayService {
			at(s.side).Tested += s.Ml
		} else {
			at(s.side).Sold += s.Ml
		}
	}
	for _, w := range waiting {
		at(w.side).Waiting += w.Ml
	}
	then := map[side]order.NozzleTotal{} // by nozzle, whatever its grade was
	if before != nil {
		for _, n := range before.Nozzles {
			if n.Epoch != 0 {
				then[side{n.Device, n.Outlet, n.Nozzle, ""}] = n
			}
		}
	}
	for key, row := range rows {
		was, known := then[side{key.Device, key.Outlet, key.Nozzle, ""}]
		switch {
		case row.To == nil: // its note stands
		case !known || was.Epoch == row.Epoch && was.To == nil:
			row.Note = order.NozzleFirst
		case was.Epoch != row.Epoch:
			row.Note = order.NozzleProvisionedAgain
		default:
			moved := *row.To - *was.To
			difference := moved - row.Sold - row.Tested - (row.Waiting - was.Waiting)
			row.From, row.Moved, row.Difference = was.To, &moved, &difference
		}
		// Retired for good: once its last reading is told there is nothing to tell.
		if retired[key] && row.Sold+row.Tested+row.Waiting == 0 && (row.Moved == nil || *row.Moved == 0) {
			delete(rows, key)
		}
	}
	return listed(rows, side.compare)
}
