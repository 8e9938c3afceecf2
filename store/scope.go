package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// venuesOf holds, by what a thing is called, the statement that says to which venues
// it belongs. A row with NULL or none is a thing of no venue. $1 is its id.
var venuesOf = map[string]string{
	"device": `SELECT venue FROM devices WHERE id = $1`,
	"order":  `SELECT venue FROM orders WHERE id = $1::uuid`,
	// Where it hangs, whoever printed it: their members see a sticker that is pasted over.
	"code":       `SELECT coalesce(d.venue, c.venue) FROM codes c LEFT JOIN devices d ON d.id = c.device WHERE c.number = $1`,
	"code_batch": `SELECT venue FROM code_batches WHERE id = $1::uuid`,
	"item":       `SELECT venue FROM items WHERE id = $1::uuid`,
	"alarm":      `SELECT venue FROM alarms WHERE id = $1::uuid`,
	"refund":     `SELECT venue FROM refund_requests WHERE id = $1::uuid`,
	"tariff":     `SELECT DISTINCT venue FROM tariffs WHERE id = $1`,
	"pass":       `SELECT DISTINCT venue FROM passes WHERE id = $1`,
}

// VenuesOf returns to which venues a thing belongs: almost always one. "" among them is
// no venue. order.ErrNotFound: there is no such thing.
func (db *DB) VenuesOf(ctx context.Context, thing, id string) ([]string, error) {
	statement, known := venuesOf[thing]
	if !known {
		return nil, fmt.Errorf("venues of %s: nothing says where it belongs", thing)
	}
	var arg any = id
	if strings.Contains(statement, "$1::uuid") {
		arg = uuidOrNil(id)
	}
	rows, err := db.pool.Query(ctx, statement, arg)
	if err != nil {
		return nil, fmt.Errorf("venues of %s: %w", thing, err)
	}
	venues, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var v *string
		err := row.Scan(&v)
		if v == nil {
			v = new(string)
		}
		return *v, err
	})
	if err != nil {
		return nil, fmt.Errorf("venues of %s: %w", thing, err)
	}
	if len(venues) == 0 {
		return nil, fmt.Errorf("%s: %w", thing, order.ErrNotFound)
	}
	return venues, nil
}
