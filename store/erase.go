package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

// faultsOf picks the reports of faults by a rider, named by a parameter: their subject
// ends in the id.
func faultsOf(rider string) string {
	return `kind = '` + order.ItemFault + `' AND right(subject, 37) = '/' || ` + rider + `::text`
}

// RiderFile reads what is kept of a rider besides orders, payments and passes; a, where
// not nil, is the audit row of the member of staff who asks, in the same transaction.
// order.ErrNotFound.
func (db *DB) RiderFile(ctx context.Context, rider string, a *order.Audit) (order.RiderFile, error) {
	var f order.RiderFile
	var phoneKey *string
	var phone []byte
	fail := func(err error) (order.RiderFile, error) { return f, fmt.Errorf("file of a rider: %w", err) }
	tx, err := db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	err = tx.QueryRow(ctx, `SELECT id::text, blocked, rider_group, created_at, erased_at, openid_box <> '', phone_key, phone_box
		FROM riders WHERE id = $1::uuid`, uuidOrNil(rider)).Scan(&f.ID, &f.Blocked, &f.Group, &f.Since, &f.Erased, &f.Identified, &phoneKey, &phone)
	if errors.Is(err, pgx.ErrNoRows) {
		return f, fmt.Errorf("rider: %w", order.ErrNotFound)
	}
	if err == nil && phoneKey != nil {
		f.Phone, err = db.identity.open(*phoneKey, phone)
	}
	if err != nil {
		return fail(err)
	}
	b := &pgx.Batch{}
	b.Queue(`SELECT expires_at, revoked_at FROM rider_tokens WHERE rider = $1 ORDER BY expires_at DESC`, f.ID).
		Query(collect(&f.Logins, func(row pgx.Row) (l order.RiderLogin, err error) { return l, row.Scan(&l.Expires, &l.Revoked) }))
	b.Queue(`SELECT id::text, kind, debit, credit, amount, purpose, coalesce(order_id::text, ''), coalesce(hold_id::text, ''), at FROM transfers
		WHERE debit = ANY($1) OR credit = ANY($1) ORDER BY id DESC`, ridersAccounts(f.ID)).
		Query(collect(&f.Transfers, func(row pgx.Row) (t order.RiderTransfer, err error) {
			return t, row.Scan(&t.ID, &t.Kind, &t.Debit, &t.Credit, &t.Amount, &t.Purpose, &t.Order, &t.Hold, &t.At)
		}))
	b.Queue(`SELECT id::text, kind, device, venue, detail, at, closed_at, EXISTS (SELECT FROM fault_photos p WHERE p.item = items.id) FROM items WHERE `+faultsOf("$1")+` ORDER BY id DESC`, f.ID).
		Query(collect(&f.Faults, func(row pgx.Row) (i order.FaultRow, err error) {
			return i, row.Scan(&i.ID, &i.Kind, &i.Device, &i.Venue, &i.Detail, &i.At, &i.ClosedAt, &i.Photo)
		}))
	b.Queue(`SELECT o.id::text, p.lat, p.lng, p.at FROM orders o JOIN positions p ON p.device = o.device AND `+during+`
		WHERE o.rider = $1 ORDER BY p.at DESC`, f.ID).
		Query(collect(&f.Tracks, func(row pgx.Row) (t order.Track, err error) { return t, row.Scan(&t.Order, &t.Lat, &t.Lng, &t.At) }))
	b.Queue(`SELECT `+reservationColumns+` FROM reservations r WHERE r.rider = $1 ORDER BY r.id DESC`, f.ID).Query(collect(&f.Reservations, scanReservation))
	b.Queue(`SELECT count(*) FROM messages WHERE rider = $1`, f.ID).QueryRow(func(row pgx.Row) error { return row.Scan(&f.Messages) })
	if a != nil {
		queueAudit(b, *a)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fail(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fail(err)
	}
	return f, nil
}

// during are the positions p of an order o's device while it was in use; where it was
// left is told a little later.
const during = `p.at >= o.active_at AND p.at <= coalesce(o.ended_at, now()) + interval '5 minutes'`

func ridersAccounts(rider string) []string {
	return []string{string(billing.Wallet(rider)), string(billing.Receivable(rider))}
}

// EraseRider makes whoever a rider was unknown, with e.Audit beside it: identity, logins, texts, tracks, group
// and waiting messages go, passes end. Orders, payments and the ledger stay under the
// rider's id, which leads to nobody. order.ErrNotFound, order.ErrRiderErased;
// order.ErrEraseLive, ErrEraseMoney, ErrDebt and ErrErasePayment say what stands
// against it; order.ErrBusy: what the rider does at this moment was faster.
func (db *DB) EraseRider(ctx context.Context, e order.Erase) error {
	err := db.erase(ctx, e)
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001") {
		err = fmt.Errorf("%w: %w", order.ErrBusy, err)
	}
	if err != nil {
		return fmt.Errorf("erase rider: %w", err)
	}
	return nil
}

func (db *DB) erase(ctx context.Context, e order.Erase) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// Whatever would begin something for this rider waits here, and then finds them gone.
	var id string
	var erased *time.Time
	err = tx.QueryRow(ctx, `SELECT id::text, erased_at FROM riders WHERE id = $1::uuid FOR UPDATE`, uuidOrNil(e.Rider)).Scan(&id, &erased)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return order.ErrNotFound
	case err != nil:
		return err
	case erased != nil:
		return order.ErrRiderErased
	}
	// A new version of both accounts: who moves money on what it saw before decides again.
	if _, err := tx.Exec(ctx, `INSERT INTO accounts (id, posted, held, version) SELECT x, 0, 0, 1 FROM unnest($1::text[]) x ORDER BY x
		ON CONFLICT (id) DO UPDATE SET version = accounts.version + 1`, ridersAccounts(id)); err != nil {
		return err
	}
	var live, payment, debt bool
	var posted, held billing.Fen
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM orders WHERE rider = $1 AND state NOT IN ('settled', 'voided')),
		EXISTS (SELECT FROM payments WHERE rider = $1::uuid AND state NOT IN ('paid', 'closed')),
		EXISTS (SELECT FROM accounts WHERE id = $3 AND posted <> 0), (SELECT posted FROM accounts WHERE id = $2),
		(SELECT held FROM accounts WHERE id = $2)`, id, billing.Wallet(id), billing.Receivable(id)).
		Scan(&live, &payment, &debt, &posted, &held); err != nil {
		return err
	}
	switch {
	case live:
		return order.ErrEraseLive
	case debt:
		return order.ErrDebt
	case payment:
		return order.ErrErasePayment
	case posted != 0 && !e.Forfeit, held != 0:
		return order.ErrEraseMoney
	}
	mac := make([]byte, 32)
	rand.Read(mac)
	b := &pgx.Batch{}
	if posted > 0 {
		transfer, err := uuid.NewV7()
		if err != nil {
			return err
		}
		b.Queue(`INSERT INTO transfers (id, kind, debit, credit, amount, purpose, key) VALUES ($1, 'single', $2, $3, $4, $5, '')`,
			transfer.String(), billing.Wallet(id), billing.TopUps, posted, billing.ForForfeit)
		b.Queue(`UPDATE accounts SET posted = 0 WHERE id = $1`, billing.Wallet(id))
		e.Audit.After = fmt.Appendf(nil, `{"forfeited_fen": %d}`, posted)
	}
	b.Queue(`UPDATE riders SET openid_mac = $2, openid_box = '', openid_key = '', rider_group = '', phone_mac = NULL, phone_box = NULL,
		phone_key = NULL, erased_at = now() WHERE id = $1`, id, mac)
	b.Queue(`UPDATE rider_tokens SET revoked_at = now() WHERE rider = $1 AND revoked_at IS NULL`, id)
	b.Queue(`UPDATE rider_passes SET revoked_at = now(), version = version + 1 WHERE rider = $1 AND revoked_at IS NULL AND until_at > now()`, id)
	b.Queue(`UPDATE items SET detail = split_part(detail, ':', 1) WHERE `+faultsOf("$1"), id)
	b.Queue(`DELETE FROM fault_photos WHERE rider = $1`, id)
	b.Queue(`DELETE FROM messages WHERE rider = $1`, id)
	b.Queue(`UPDATE outlets SET reservation_id = NULL, reserved_for = NULL, reserved_until = NULL, version = version + 1 WHERE reserved_for = $1`, id)
	b.Queue(`DELETE FROM reservations WHERE rider = $1`, id)
	b.Queue(`DELETE FROM idempotency_keys WHERE principal = 'rider:' || $1`, id) // nobody can present them any more
	b.Queue(`DELETE FROM positions p USING orders o WHERE o.rider = $1 AND o.device = p.device AND `+during, id)
	queueAudit(b, e.Audit)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
