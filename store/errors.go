package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/unlatch/unlatch/order"
)

// applyError translates what Postgres said of an Apply, by SQLSTATE and, for
// unique keys, by the constraint's name. A unique key that was there first means
// that the snapshot was stale: the next load sees it and says why.
func applyError(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		if pgconn.SafeToRetry(err) {
			return fmt.Errorf("%w: %w", order.ErrStale, err)
		}
		return fmt.Errorf("%w: %w", order.ErrUncertain, err)
	}
	switch {
	case pg.Code == "UL001", pg.Code == "40001", pg.Code == "40P01":
		return fmt.Errorf("%w: %w", order.ErrStale, err)
	case pg.Code == "23505" && raced[pg.ConstraintName]:
		return fmt.Errorf("%w: %w", order.ErrStale, err)
	case pg.Code == diskFull:
		return fmt.Errorf("%w: %w", order.ErrFull, err)
	case strings.HasPrefix(pg.Code, "57P"), strings.HasPrefix(pg.Code, "08"):
		return fmt.Errorf("%w: %w", order.ErrUncertain, err)
	}
	return err
}

// diskFull is what Postgres says when a table cannot grow. Nothing was written.
const diskFull = "53100"

// raced holds the unique keys at which two use cases may meet. Any other
// violation is a fault of this program and is told as such.
var raced = map[string]bool{
	"devices_pkey":                 true,
	"outlets_pkey":                 true,
	"orders_ticket":                true,
	"orders_one_live_per_outlet":   true,
	"orders_slot":                  true,
	"commands_number":              true,
	"commands_one_open_start":      true,
	"evidence_pkey":                true,
	"accounts_pkey":                true,
	"payments_one_funds_an_order":  true,
	"reservations_one_open":        true,
	"idempotency_keys_pkey":        true,
	"transfers_hold_resolves_once": true,
	"transfers_one_per_order":      true,
	"transfers_once_per_key":       true,
}

// domainError translates what Postgres said of a plain write.
func domainError(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err
	}
	switch pg.Code {
	case diskFull:
		return fmt.Errorf("%w: %w", order.ErrFull, err)
	case "23505":
		return fmt.Errorf("%w (%s)", order.ErrExists, pg.ConstraintName)
	case "23503":
		return fmt.Errorf("%w (%s)", order.ErrUnknown, pg.ConstraintName)
	case "23514", "22P02", "22001":
		return fmt.Errorf("%w: %s", order.ErrInvalid, pg.Message)
	}
	return err
}
