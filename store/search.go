package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// searchNumber is how many digits of a code's number find it.
const searchNumber = 4

// Search finds at most limit things by a text; see api.Finder. One round trip.
func (db *DB) Search(ctx context.Context, text, number string, venues []string, limit int) ([]order.Hit, error) {
	b, hits := &pgx.Batch{}, []order.Hit{}
	find := func(kind, sql string, args ...any) {
		b.Queue(sql, append(args, limit)...).Query(func(rows pgx.Rows) error {
			h := order.Hit{Kind: kind}
			_, err := pgx.ForEachRow(rows, []any{&h.ID, &h.Title}, func() error { hits = append(hits, h); return nil })
			return err
		})
	}
	part := strings.ToLower(text)
	if len(number) >= searchNumber {
		low, high := number+strings.Repeat("0", max(14-len(number), 0)), number+strings.Repeat("9", max(14-len(number), 0))
		find("code", `SELECT c.number, coalesce(c.device, '') || CASE WHEN c.outlet > 1 THEN '/' || c.outlet ELSE '' END
			FROM codes c LEFT JOIN devices d ON d.id = c.device
			WHERE c.number BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR coalesce(d.venue, c.venue) = ANY($3)) ORDER BY c.number LIMIT $4`, low, high, venues)
	}
	find("device", `SELECT d.id, v.name FROM devices d JOIN venues v ON v.id = d.venue
		CROSS JOIN LATERAL (SELECT lower(d.id), regexp_replace(lower(d.id), '(^|[^0-9])0+([0-9])', '\1\2', 'g')) n(id, short) -- bike-017 is found as bike-17
		WHERE (position($1 IN n.id) > 0 OR position($1 IN n.short) > 0) AND ($2::text[] IS NULL OR d.venue = ANY($2))
		ORDER BY n.id <> $1 AND n.short <> $1, position($1 IN n.id), length(d.id), d.id LIMIT $3`, part, venues)
	find("venue", `SELECT v.id, v.name FROM venues v WHERE position($1 IN lower(v.id || ' ' || v.name)) > 0 AND ($2::text[] IS NULL OR v.id = ANY($2))
		ORDER BY v.id LIMIT $3`, part, venues)
	if low, high, ok := uuidSpan(part); ok {
		find("order", `SELECT o.id::text, o.device || ' ' || o.state FROM orders o WHERE o.id BETWEEN $1::uuid AND $2::uuid
			AND ($3::text[] IS NULL OR o.venue = ANY($3)) ORDER BY o.id DESC LIMIT $4`, low, high, venues)
		if venues == nil { // riders belong to no venue
			find("rider", `SELECT r.id::text, '' FROM riders r WHERE r.id BETWEEN $1::uuid AND $2::uuid ORDER BY r.id LIMIT $3`, low, high)
		}
	}
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return hits[:min(len(hits), limit)], nil
}

// uuidSpan is the span of the UUIDs that begin with a text of eight hex digits or more.
func uuidSpan(text string) (low, high string, ok bool) {
	hex := strings.ReplaceAll(text, "-", "")
	if len(hex) < 8 || len(hex) > 32 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", "", false
	}
	return hex + strings.Repeat("0", 32-len(hex)), hex + strings.Repeat("f", 32-len(hex)), true
}
