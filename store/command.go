package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
)

const commandColumns = `id, device, outlet, epoch, seq, kind, order_id, boot, not_after, deadline, journal, floor,
	state, bytes, created_at, done_at, version`

func scanCommand(row pgx.Row) (device.Command, error) {
	var c device.Command
	var order *string
	var boot, journal []byte
	var deadline, done *time.Time
	err := row.Scan(&c.ID, &c.Device, &c.Outlet, &c.Epoch, &c.Seq, &c.Kind, &order, &boot, &c.NotAfter, &deadline,
		&journal, &c.Floor, &c.State, &c.Bytes, &c.CreatedAt, &done, &c.Version)
	copy(c.Boot[:], boot)
	copy(c.Journal[:], journal)
	if order != nil {
		c.Order = *order
	}
	if deadline != nil {
		c.Deadline = *deadline
	}
	if done != nil {
		c.DoneAt = *done
	}
	return c, err
}

func queueCommand(b *pgx.Batch, c device.Command) {
	if c.Version != 0 {
		// due_at ends with the state: a closed command is never sent again, and an
		// unresolved start is past its expiry.
		b.Queue(replaced(`UPDATE commands SET state = $3, done_at = $4, version = $2 + 1,
			due_at = CASE WHEN $3 = 'published' THEN due_at END
			WHERE id = $1 AND version = $2`, "command"), c.ID, c.Version, c.State, nilTime(c.DoneAt))
		return
	}
	b.Queue(`INSERT INTO commands (id, device, outlet, epoch, seq, kind, order_id, boot, not_after, deadline, journal,
		floor, state, bytes, created_at, done_at, version, due_at, sends)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1,
			CASE WHEN $13 = 'published' THEN clock_timestamp() + interval '0.6 s' END, 1)`,
		c.ID, c.Device, c.Outlet, c.Epoch, c.Seq, c.Kind, nilUUID(c.Order), c.Boot[:], c.NotAfter, nilTime(c.Deadline),
		c.Journal[:], c.Floor, c.State, c.Bytes, c.CreatedAt, nilTime(c.DoneAt))
}

// Outgoing claims commands whose next send is due, for this replica to send
// once. The schedule lives here, so that any replica carries on what another
// began: a start at about 0.6, 1.5, 3 and 6 s after its commit and never after
// its deadline; what does not expire goes on every 30 s.
func (db *DB) Outgoing(ctx context.Context, limit int) ([]device.Command, error) {
	rows, err := db.pool.Query(ctx, `
		UPDATE commands SET sends = sends + 1, due_at = CASE
			WHEN deadline IS NOT NULL AND clock_timestamp() > deadline THEN NULL
			WHEN sends = 1 THEN greatest(created_at + interval '1.5 s', clock_timestamp() + interval '0.5 s')
			WHEN sends = 2 THEN greatest(created_at + interval '3 s', clock_timestamp() + interval '1 s')
			WHEN sends = 3 THEN greatest(created_at + interval '6 s', clock_timestamp() + interval '2 s')
			WHEN deadline IS NOT NULL THEN NULL
			WHEN sends = 4 THEN clock_timestamp() + interval '6 s'
			WHEN sends = 5 THEN clock_timestamp() + interval '12 s'
			ELSE clock_timestamp() + interval '30 s' END
		WHERE id IN (SELECT id FROM commands WHERE due_at <= clock_timestamp()
			ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING `+commandColumns, limit)
	if err != nil {
		return nil, fmt.Errorf("claim outgoing commands: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (device.Command, error) { return scanCommand(row) })
	if err != nil {
		return nil, fmt.Errorf("claim outgoing commands: %w", err)
	}
	return all, nil
}
