package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// Finding is one row of an audit view: something that a promise says cannot be.
type Finding struct {
	View    string `json:"view"`
	Subject string `json:"subject"`
	What    string `json:"what"`
}

// Checked is what an audit looked at.
type Checked struct {
	Views    []string
	Quotes   int // settled orders whose quote was computed again
	Findings []Finding
}

// maxFindings bounds what one view may report.
const maxFindings = 100

// Audit reads every audit view and computes every settled order's quote again
// from its stored usage, in one read-only snapshot of a live database.
func (db *DB) Audit(ctx context.Context, progress func(view string, done, all int)) (Checked, error) {
	var c Checked
	tx, err := db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return c, fmt.Errorf("audit: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	rows, err := tx.Query(ctx, `SELECT viewname::text FROM pg_views WHERE schemaname = 'public' AND viewname LIKE 'audit\_%' ORDER BY 1`)
	if err != nil {
		return c, fmt.Errorf("audit: %w", err)
	}
	if c.Views, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return c, fmt.Errorf("audit: %w", err)
	}
	for i, view := range c.Views {
		progress(view, i, len(c.Views)+1)
		rows, err := tx.Query(ctx, fmt.Sprintf(`SELECT $1::text, subject, what FROM %s LIMIT %d`,
			pgx.Identifier{view}.Sanitize(), maxFindings), view)
		if err != nil {
			return c, fmt.Errorf("audit view %s: %w", view, err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Finding])
		if err != nil {
			return c, fmt.Errorf("audit view %s: %w", view, err)
		}
		c.Findings = append(c.Findings, found...)
	}
	progress("quotes", len(c.Views), len(c.Views)+1)
	err = c.recompute(ctx, tx)
	progress("", len(c.Views)+1, len(c.Views)+1)
	return c, err
}

// recompute checks promise M5: the stored quote is what its tariff makes of its
// usage.
func (c *Checked) recompute(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT id::text, tariff, usage, quote FROM orders WHERE state = 'settled'`)
	if err != nil {
		return fmt.Errorf("audit quotes: %w", err)
	}
	var o order.Order
	var quote billing.Quote
	_, err = pgx.ForEachRow(rows, []any{&o.ID, &o.Tariff, &o.Usage, &quote}, func() error {
		c.Quotes++
		if o.Usage == nil {
			c.Findings = append(c.Findings, Finding{"quote_recomputed", o.ID, "settled without a usage"})
		} else if again := o.Tariff.Quote(*o.Usage); !slices.EqualFunc(again.Lines, quote.Lines, sameLine) || again.Total != quote.Total {
			c.Findings = append(c.Findings, Finding{"quote_recomputed", o.ID,
				fmt.Sprintf("stored %d fen, computed again %d fen", quote.Total, again.Total)})
		}
		o, quote = order.Order{}, billing.Quote{}
		return nil
	})
	if err != nil {
		return fmt.Errorf("audit quotes: %w", err)
	}
	return nil
}

func sameLine(a, b billing.Line) bool {
	return a.Kind == b.Kind && a.Quantity == b.Quantity && a.Unit == b.Unit && a.Amount == b.Amount && a.Note == b.Note &&
		a.Tariff == b.Tariff && slices.Equal(a.Evidence, b.Evidence)
}
