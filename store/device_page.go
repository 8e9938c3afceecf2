package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// AddNote keeps a note with its audit row; order.ErrNotFound where there is no such
// device.
func (db *DB) AddNote(ctx context.Context, n order.Note, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("note on device %s: %w", n.Device, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	tag, err := tx.Exec(ctx, `INSERT INTO device_notes (id, device, staff, text) SELECT $1, id, $3, $4 FROM devices WHERE id = $2`,
		n.ID, n.Device, n.Staff, n.Text)
	if err != nil {
		return fmt.Errorf("note on device %s: %w", n.Device, domainError(err))
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("note on device %s: %w", n.Device, order.ErrNotFound)
	}
	if err := audited(ctx, tx, a); err != nil {
		return fmt.Errorf("note on device %s: %w", n.Device, err)
	}
	return tx.Commit(ctx)
}

// Notes lists the notes on a device since a moment, the zero time = all, newest first.
func (db *DB) Notes(ctx context.Context, id device.ID, since time.Time, limit int) ([]order.Note, error) {
	var f filter
	f.when(true, "n.device = %s", id)
	f.when(!since.IsZero(), "n.at >= %s", since)
	rows, err := db.pool.Query(ctx, `SELECT n.id::text, n.device, n.text, n.staff, coalesce(s.name, ''), n.at FROM device_notes n
		LEFT JOIN staff s ON s.id::text = n.staff`+f.sql("n.id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("notes on device %s: %w", id, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Note])
}

// NoteHops implements gateway.HopStore: one statement, and of each step the first time
// counts. Moments become those of the database's clock by how long ago they were.
func (db *DB) NoteHops(ctx context.Context, hops []order.Hop) error {
	ids, acked, ago := make([]string, len(hops)), make([]bool, len(hops)), make([]float64, len(hops))
	for i, h := range hops {
		ids[i], acked[i], ago[i] = h.Command, h.Acked, max(time.Since(h.At), 0).Seconds()
	}
	_, err := db.pool.Exec(ctx, `INSERT INTO command_hops AS h (command, handed_at, acked_at)
		SELECT command, min(at) FILTER (WHERE NOT acked), min(at) FILTER (WHERE acked)
			FROM (SELECT command, acked, clock_timestamp() - make_interval(secs => ago) AS at FROM unnest($1::uuid[], $2::boolean[], $3::float8[]) t(command, acked, ago)) n
			GROUP BY command ORDER BY command
		ON CONFLICT (command) DO UPDATE SET handed_at = least(h.handed_at, excluded.handed_at), acked_at = least(h.acked_at, excluded.acked_at)`,
		ids, acked, ago)
	if err != nil {
		return fmt.Errorf("note times of commands: %w", err)
	}
	return nil
}

// Hops returns the ways of commands, by id; one that nobody noted shows how often it was
// sent.
func (db *DB) Hops(ctx context.Context, commands []string) (map[string]order.Hops, error) {
	rows, err := db.pool.Query(ctx, `SELECT c.id::text, c.sends, h.handed_at, h.acked_at,
			c.state = 'rejected' AND EXISTS (SELECT FROM evidence e WHERE e.order_id = c.order_id AND e.command_id = c.id AND e.kind = 'failed' AND e.status = 'applied')
		FROM commands c LEFT JOIN command_hops h ON h.command = c.id WHERE c.id = ANY($1::uuid[])`, commands)
	if err != nil {
		return nil, fmt.Errorf("times of commands: %w", err)
	}
	all := map[string]order.Hops{}
	var id string
	var sends int
	var handed, acked *time.Time
	var tried bool
	_, err = pgx.ForEachRow(rows, []any{&id, &sends, &handed, &acked, &tried}, func() error {
		all[id] = order.Hops{Sends: sends, Handed: timeOf(handed), Acked: timeOf(acked), Tried: tried}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("times of commands: %w", err)
	}
	return all, nil
}

// CommandPage lists a device's commands since a moment, the zero time = all, behind one of
// them, "" = from the newest.
func (db *DB) CommandPage(ctx context.Context, id device.ID, since time.Time, after string, limit int) ([]device.Command, error) {
	var f filter
	f.when(true, "device = %s", id)
	f.when(!since.IsZero(), "created_at >= %s", since)
	f.when(after != "", "id < %s::uuid", uuidOrNil(after))
	rows, err := db.pool.Query(ctx, `SELECT `+commandColumns+` FROM commands`+f.sql("id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("commands of %s: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (device.Command, error) { return scanCommand(row) })
}

// EvidencePage lists a device's evidence since a moment, the zero time = all, newest number
// first, behind a place of the list.
func (db *DB) EvidencePage(ctx context.Context, id device.ID, since time.Time, after order.EvidenceAt, limit int) ([]device.Evidence, error) {
	f := said(id, since)
	if after != (order.EvidenceAt{}) {
		n := len(f.args)
		f.args = append(f.args, after.Epoch, after.Journal[:], after.Seq)
		f.conditions = append(f.conditions, fmt.Sprintf("(epoch < $%d OR epoch = $%[1]d AND (journal > $%d OR journal = $%[2]d AND seq < $%d))", n+1, n+2, n+3))
	}
	rows, err := db.pool.Query(ctx, `SELECT `+evidenceColumns+` FROM evidence`+f.sql("epoch DESC, journal, seq DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("evidence of %s: %w", id, err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (device.Evidence, error) { return scanEvidence(row) })
}

// gapsMost is how many gaps of a journal are told.
const gapsMost = 50

// EvidenceGaps finds the numbers of a device's present journal that are not here, oldest
// first: those up to what is applied are lost, the others are awaited, up to the highest
// that waits or that the device said it has.
func (db *DB) EvidenceGaps(ctx context.Context, id device.ID) ([]order.EvidenceGap, error) {
	fail := func(err error) ([]order.EvidenceGap, error) { return nil, fmt.Errorf("gaps of %s: %w", id, err) }
	rows, err := db.pool.Query(ctx, `SELECT `+deviceColumns+` FROM devices WHERE id = $1`, id)
	if err != nil {
		return fail(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (device.Device, error) { return scanDevice(row) })
	if err != nil || len(found) == 0 || found[0].Journal == (device.Journal{}) {
		if err != nil {
			return fail(err)
		}
		return nil, nil
	}
	d, b, gaps := found[0], &pgx.Batch{}, []order.EvidenceGap(nil)
	if d.LostUpTo > 0 { // most journals have lost nothing, and are long
		b.Queue(`SELECT before + 1, seq - 1 FROM (SELECT seq, lag(seq, 1, 0::bigint) OVER (ORDER BY seq) AS before FROM (
				SELECT seq FROM evidence WHERE device = $1 AND epoch = $2 AND journal = $3 AND seq <= $4 UNION ALL SELECT $4::bigint + 1) has) runs
			WHERE seq > before + 1 ORDER BY seq LIMIT $5`, id, d.Epoch, d.Journal[:], d.Applied, gapsMost).Query(func(rows pgx.Rows) error {
			g := order.EvidenceGap{Journal: d.Journal, Lost: true}
			_, err := pgx.ForEachRow(rows, []any{&g.From, &g.To}, func() error { gaps = append(gaps, g); return nil })
			return err
		})
	}
	var waiting []uint64
	b.Queue(`SELECT seq FROM evidence WHERE device = $1 AND epoch = $2 AND journal = $3 AND status = 'waiting' AND seq > $4 ORDER BY seq LIMIT 1000`,
		id, d.Epoch, d.Journal[:], d.Applied).Query(func(rows pgx.Rows) error {
		var err error
		waiting, err = pgx.CollectRows(rows, pgx.RowTo[uint64])
		return err
	})
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	next := d.Applied + 1
	for _, seq := range append(waiting, d.Head.Highest+1) {
		if seq > next && len(gaps) < gapsMost {
			gaps = append(gaps, order.EvidenceGap{Journal: d.Journal, From: next, To: seq - 1})
		}
		next = max(next, seq+1)
	}
	return gaps, nil
}

// DevicesByID reads devices by id, in that order; unknown ids are left out.
func (db *DB) DevicesByID(ctx context.Context, ids []device.ID) ([]order.DeviceRow, error) {
	return db.devices(ctx, ` WHERE id = ANY($1) ORDER BY id COLLATE "C"`, ids)
}
