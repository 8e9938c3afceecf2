package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// AddBulk writes a bulk down with its devices, and the request's key, in one transaction;
// or returns what the key has answered before. order.ErrKeyReused.
func (db *DB) AddBulk(ctx context.Context, b order.Bulk, devices []device.ID, key order.Key, a order.Audit) (status int, answer []byte, err error) {
	fail := func(err error) (int, []byte, error) { return 0, nil, fmt.Errorf("add bulk: %w", err) }
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('bulk ' || $1 || '/' || $2))`, key.Principal, key.Key); err != nil {
		return fail(err)
	}
	status, answer, err = answered(ctx, tx, key)
	if err != nil || status != 0 {
		return status, answer, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO bulks (id, act, args, filter, reason, staff, venues, total, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		b.ID, b.Act, b.Args, b.Filter, b.Reason, b.Staff, b.Venues, b.Total, b.At); err != nil {
		return fail(domainError(err))
	}
	if _, err := tx.Exec(ctx, `INSERT INTO bulk_results (bulk, n, device, state)
		SELECT $1, n, id, 'waiting' FROM unnest($2::text[]) WITH ORDINALITY AS x (id, n)`, b.ID, devices); err != nil {
		return fail(err)
	}
	batch := &pgx.Batch{}
	queueChanges(batch, order.Changes{Keys: []order.Key{key}, Audits: []order.Audit{a}})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(err)
	}
	return key.Status, key.Answer, nil
}

// Answered returns what a key has answered before; status 0: nothing. order.ErrKeyReused.
func (db *DB) Answered(ctx context.Context, key order.Key) (status int, answer []byte, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		status, answer, err = answered(ctx, tx, key)
		return err
	})
	return status, answer, err
}

// answered returns what a key has answered before; status 0: nothing. order.ErrKeyReused.
func answered(ctx context.Context, tx pgx.Tx, key order.Key) (status int, answer []byte, err error) {
	var route string
	var hash []byte
	err = tx.QueryRow(ctx, `SELECT route, body_hash, status, answer FROM idempotency_keys WHERE principal = $1 AND key = $2`,
		key.Principal, key.Key).Scan(&route, &hash, &status, &answer)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, nil, nil
	case err != nil:
		return 0, nil, fmt.Errorf("look for the key: %w", err)
	case route != key.Route || string(hash) != string(key.BodyHash[:]):
		return 0, nil, order.ErrKeyReused
	}
	return status, answer, nil
}

const bulkColumns = `b.id::text, b.act, b.args, b.filter, b.reason, b.staff, b.venues, b.total, b.at, b.halted_at, b.halted_by`

func scanBulk(row pgx.Row, more ...any) (b order.Bulk, err error) {
	var halted *time.Time
	err = row.Scan(append([]any{&b.ID, &b.Act, &b.Args, &b.Filter, &b.Reason, &b.Staff, &b.Venues, &b.Total, &b.At, &halted, &b.HaltedBy}, more...)...)
	b.HaltedAt = timeOf(halted)
	return b, err
}

// Bulks lists them, the newest first, with how far each is.
func (db *DB) Bulks(ctx context.Context, after string, limit int) ([]order.Bulk, error) {
	var f filter
	f.when(after != "", "b.id < %s::uuid", uuidOrNil(after))
	rows, err := db.pool.Query(ctx, `SELECT `+bulkColumns+`, (SELECT jsonb_object_agg(s.state, s.n) FROM
		(SELECT state, count(*) AS n FROM bulk_results r WHERE r.bulk = b.id GROUP BY state) s) FROM bulks b`+f.sql("b.id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list bulks: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Bulk, error) {
		var counts map[order.BulkState]int
		b, err := scanBulk(row, &counts)
		b.Counts = counts
		return b, err
	})
}

// BulkByID is one; order.ErrNotFound.
func (db *DB) BulkByID(ctx context.Context, id string) (order.Bulk, error) {
	var counts map[order.BulkState]int
	b, err := scanBulk(db.pool.QueryRow(ctx, `SELECT `+bulkColumns+`, (SELECT jsonb_object_agg(s.state, s.n) FROM
		(SELECT state, count(*) AS n FROM bulk_results r WHERE r.bulk = b.id GROUP BY state) s) FROM bulks b WHERE b.id = $1::uuid`, uuidOrNil(id)), &counts)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return b, fmt.Errorf("bulk %s: %w", id, err)
	}
	b.Counts = counts
	return b, nil
}

// BulkResults lists what became of a bulk's devices, by place, behind after. An empty
// state filters nothing.
func (db *DB) BulkResults(ctx context.Context, id string, state order.BulkState, after, limit int) ([]order.BulkResult, error) {
	var f filter
	f.when(true, "bulk = %s::uuid", uuidOrNil(id))
	f.when(after > 0, "n > %s", after)
	f.when(state != "", "state = %s", state)
	rows, err := db.pool.Query(ctx, `SELECT n, device, state, code, detail, at FROM bulk_results`+f.sql("n", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("results of bulk %s: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r order.BulkResult, err error) {
		var at *time.Time
		err = row.Scan(&r.N, &r.Device, &r.State, &r.Code, &r.Detail, &at)
		r.At = timeOf(at)
		return r, err
	})
}

// HaltBulk leaves the devices that wait as they are; order.ErrNotFound, order.ErrWrongState
// when none waits.
func (db *DB) HaltBulk(ctx context.Context, id string, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("halt bulk: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	tag, err := tx.Exec(ctx, `UPDATE bulks SET halted_at = now(), halted_by = $2 WHERE id = $1::uuid AND halted_at IS NULL`, uuidOrNil(id), a.Staff)
	if err != nil {
		return fmt.Errorf("halt bulk: %w", err)
	}
	if tag.RowsAffected() == 0 {
		if _, err := db.BulkByID(ctx, id); err != nil {
			return err
		}
		return fmt.Errorf("halt bulk: %w", order.ErrWrongState)
	}
	tag, err = tx.Exec(ctx, `UPDATE bulk_results SET state = 'halted', at = now() WHERE bulk = $1
		AND (state = 'waiting' OR state = 'doing' AND at < now() - interval '1 minute')`, id)
	if err != nil {
		return fmt.Errorf("halt bulk: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("halt bulk: %w", order.ErrWrongState)
	}
	if err := audited(ctx, tx, a); err != nil {
		return fmt.Errorf("halt bulk: %w", err)
	}
	return tx.Commit(ctx)
}

// TakeBulk implements order.BulkBook. A device is Foreign that is at no venue of who
// asked by now, or whose asker works here no more.
func (db *DB) TakeBulk(ctx context.Context) (bulk order.Bulk, r order.BulkResult, some bool, err error) {
	fail := func(err error) (order.Bulk, order.BulkResult, bool, error) {
		return order.Bulk{}, order.BulkResult{}, false, fmt.Errorf("take bulk: %w", err)
	}
	bulk, err = scanBulk(db.pool.QueryRow(ctx, `SELECT `+bulkColumns+` FROM bulks b WHERE b.halted_at IS NULL AND EXISTS (SELECT FROM bulk_results r WHERE r.bulk = b.id
		AND (r.state = 'waiting' OR r.state = 'doing' AND r.at < now() - interval '1 minute')) ORDER BY b.id LIMIT 1`))
	if errors.Is(err, pgx.ErrNoRows) {
		// What a replica had in hand when it died is nobody's any more once its bulk was halted.
		if _, err := db.pool.Exec(ctx, `UPDATE bulk_results r SET state = 'halted', at = now() FROM bulks b WHERE b.id = r.bulk AND b.halted_at IS NOT NULL
			AND r.state = 'doing' AND r.at < now() - interval '1 minute'`); err != nil {
			return fail(err)
		}
		return order.Bulk{}, order.BulkResult{}, false, nil
	}
	if err != nil {
		return fail(err)
	}
	err = db.pool.QueryRow(ctx, `WITH taken AS (
			SELECT bulk, n FROM bulk_results WHERE bulk = $1 AND (state = 'waiting' OR state = 'doing' AND at < now() - interval '1 minute')
			ORDER BY n LIMIT 1 FOR UPDATE SKIP LOCKED),
		r AS (UPDATE bulk_results x SET state = 'doing', at = clock_timestamp() FROM taken t WHERE x.bulk = t.bulk AND x.n = t.n RETURNING x.n, x.device, x.at)
		SELECT r.n, r.device, r.at, NOT coalesce($2::text[] IS NULL OR d.venue = ANY($2), false)
			OR NOT EXISTS (SELECT FROM staff s WHERE s.id::text = $3 AND s.disabled_at IS NULL
				AND s.role = 'admin' AND s.venues IS NOT DISTINCT FROM $2::text[])
		FROM r LEFT JOIN devices d ON d.id = r.device`, bulk.ID, bulk.Venues, bulk.Staff).Scan(&r.N, &r.Device, &r.At, &r.Foreign)
	if errors.Is(err, pgx.ErrNoRows) { // others have the rest in hand, or it was halted
		return order.Bulk{}, order.BulkResult{}, false, nil
	}
	if err != nil {
		return fail(err)
	}
	return bulk, r, true, nil
}

// BulkDid implements order.BulkBook: what is noted is of the taking at r.At alone.
func (db *DB) BulkDid(ctx context.Context, bulk string, r order.BulkResult) error {
	if _, err := db.pool.Exec(ctx, `UPDATE bulk_results SET state = $3, code = $4, detail = $5, at = now()
		WHERE bulk = $1 AND n = $2 AND state = 'doing' AND at = $6`, bulk, r.N, r.State, r.Code, r.Detail, r.At); err != nil {
		return fmt.Errorf("note a result of bulk %s: %w", bulk, err)
	}
	return nil
}
