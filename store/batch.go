package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// batchChunk is how many codes go to the database in one statement.
const batchChunk = 10_000

// AddBatch mints a batch in one transaction, or returns what the key has answered
// before. Numbers that are taken are drawn anew. order.ErrNotFound: there is no such
// venue. order.ErrKeyReused: the key belongs to another request. order.ErrUncertain:
// ask again with the same key.
func (db *DB) AddBatch(ctx context.Context, add order.AddBatch) (status int, answer []byte, err error) {
	fail := func(err error) (int, []byte, error) {
		return 0, nil, fmt.Errorf("mint %d codes for venue %s: %w", add.Count, add.Venue, err)
	}
	if add.Count < 1 || add.Count > order.MostBatch {
		return fail(fmt.Errorf("a batch has 1 to %d codes: %w", order.MostBatch, order.ErrInvalid))
	}
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// The same request twice at one moment: the second waits here and finds the answer.
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('batch ' || $1 || '/' || $2))`, add.Key.Principal, add.Key.Key); err != nil {
		return fail(err)
	}
	var route string
	var hash []byte
	err = tx.QueryRow(ctx, `SELECT route, body_hash, status, answer FROM idempotency_keys WHERE principal = $1 AND key = $2`,
		add.Key.Principal, add.Key.Key).Scan(&route, &hash, &status, &answer)
	switch {
	case err == nil && (route != add.Route || !slices.Equal(hash, add.Hash[:])):
		return fail(order.ErrKeyReused)
	case err == nil:
		return status, answer, nil
	case !errors.Is(err, pgx.ErrNoRows):
		return fail(err)
	}
	made := order.CodeBatch{ID: add.ID, Venue: add.Venue, Count: add.Count, Caption: add.Caption, By: add.Staff.Staff, Unbound: add.Count}
	err = tx.QueryRow(ctx, `SELECT name, now() FROM venues WHERE id = $1`, add.Venue).Scan(&made.VenueName, &made.At)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return fail(err)
	}
	if _, err := tx.Exec(ctx, `INSERT INTO code_batches (id, venue, count, caption, by, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		made.ID, made.Venue, made.Count, made.Caption, made.By, made.At); err != nil {
		return fail(domainError(err))
	}
	for from := 1; from <= add.Count; from += batchChunk {
		if err := mintLabels(ctx, tx, add, from, min(from+batchChunk-1, add.Count)); err != nil {
			return fail(err)
		}
	}
	if status, answer, err = add.Answer(made); err != nil {
		return fail(fmt.Errorf("render: %w", err))
	}
	// As in Apply: who hangs up leaves no commit behind that nobody waits for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	b := &pgx.Batch{}
	queueChanges(b, order.Changes{
		Keys:   []order.Key{{KeyRef: add.Key, Route: add.Route, BodyHash: add.Hash, Status: status, Answer: answer, At: made.At}},
		Audits: []order.Audit{add.Staff},
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(applyError(err))
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(applyError(err))
	}
	return status, answer, nil
}

// mintLabels gives each label from first to last a number that is free.
func mintLabels(ctx context.Context, tx pgx.Tx, add order.AddBatch, first, last int) error {
	var left []int32
	for label := first; label <= last; label++ {
		left = append(left, int32(label))
	}
	for len(left) > 0 {
		numbers := make([]string, len(left))
		for i := range numbers {
			number, err := add.Mint()
			if err != nil {
				return err
			}
			numbers[i] = number
		}
		rows, err := tx.Query(ctx, `INSERT INTO codes (number, created_at, kiosk, venue, batch, label)
			SELECT x.number, now(), $3, $4, $5, x.label FROM unnest($1::text[], $2::int[]) AS x(number, label)
			ON CONFLICT (number) DO NOTHING RETURNING label`, numbers, left, add.Kiosk, add.Venue, add.ID)
		if err != nil {
			return err
		}
		stored, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			return domainError(err)
		}
		done := make(map[int32]bool, len(stored))
		for _, label := range stored {
			done[label] = true
		}
		left = slices.DeleteFunc(left, func(label int32) bool { return done[label] })
	}
	return nil
}

// batchSelect reads batches b with what became of their codes.
const batchSelect = `SELECT b.id::text, b.venue, v.name, b.count, b.caption, b.by, b.created_at, n.bound, n.unbound, n.revoked
	FROM code_batches b JOIN venues v ON v.id = b.venue CROSS JOIN LATERAL (
		SELECT count(*) FILTER (WHERE c.revoked_at IS NULL AND c.device IS NOT NULL) AS bound,
			count(*) FILTER (WHERE c.revoked_at IS NULL AND c.device IS NULL) AS unbound,
			count(*) FILTER (WHERE c.revoked_at IS NOT NULL) AS revoked
		FROM codes c WHERE c.batch = b.id) n`

func scanBatch(row pgx.Row) (order.CodeBatch, error) {
	var b order.CodeBatch
	var at time.Time
	err := row.Scan(&b.ID, &b.Venue, &b.VenueName, &b.Count, &b.Caption, &b.By, &at, &b.Bound, &b.Unbound, &b.Revoked)
	b.At = at.UTC()
	return b, err
}

// Batches lists batches, newest first; venue and after filter unless empty.
func (db *DB) Batches(ctx context.Context, venues []string, after string, limit int) ([]order.CodeBatch, error) {
	var f filter
	f.when(venues != nil, "b.venue = ANY(%s)", venues)
	f.when(after != "", "b.id < %s::uuid", uuidOrNil(after))
	rows, err := db.pool.Query(ctx, batchSelect+f.sql("b.id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list batches: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.CodeBatch, error) { return scanBatch(row) })
}

// Batch returns one batch; order.ErrNotFound.
func (db *DB) Batch(ctx context.Context, id string) (order.CodeBatch, error) {
	b, err := scanBatch(db.pool.QueryRow(ctx, batchSelect+` WHERE b.id = $1::uuid`, uuidOrNil(id)))
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return b, fmt.Errorf("batch %q: %w", id, err)
	}
	return b, nil
}

// BatchCodes lists a batch's codes by label, revoked ones included; label and number
// are where the page before ended, 0 and "" for the first.
func (db *DB) BatchCodes(ctx context.Context, id string, label int, number string, limit int) ([]order.Code, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+codeColumns+` FROM codes c WHERE c.batch = $1::uuid AND (c.label, c.number) > ($2, $3)
		ORDER BY c.label, c.number LIMIT $4`, uuidOrNil(id), label, number, limit)
	if err != nil {
		return nil, fmt.Errorf("codes of batch %q: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Code, error) { return scanCode(row) })
}
