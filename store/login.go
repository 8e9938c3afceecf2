package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// StaffByLogin returns whose login it is; order.ErrNotFound when it is unknown,
// revoked, over or was idle for longer than that, or its owner is disabled. Used, it is
// idle from now on; looked at alone, it stays as it is.
func (db *DB) StaffByLogin(ctx context.Context, hash [32]byte, idle time.Duration, used bool) (order.Staff, error) {
	var s order.Staff
	var stale bool
	err := db.pool.QueryRow(ctx, `SELECT s.id::text, s.name, s.role, s.venues, l.id::text, now() - l.created_at,
			l.seen_at < now() - interval '1 minute'
		FROM logins l JOIN staff s ON s.id = l.staff
		WHERE l.hash = $1 AND l.revoked_at IS NULL AND l.expires_at > now() AND l.seen_at > now() - $2::interval AND s.disabled_at IS NULL`,
		hash[:], idle).Scan(&s.ID, &s.Name, &s.Role, &s.Venues, &s.Login, &s.LoginAge, &stale)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("login: %w", order.ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("look up login: %w", err)
	}
	if stale && used {
		if _, err = db.pool.Exec(ctx, `UPDATE logins SET seen_at = now() WHERE hash = $1`, hash[:]); err != nil {
			return s, fmt.Errorf("note use of login: %w", err)
		}
	}
	return s, nil
}

// PasswordOf returns a member's id and encoded password, looked up by id or else by
// name; order.ErrNotFound when there is none, or the member is disabled.
func (db *DB) PasswordOf(ctx context.Context, id, name string) (staff, encoded string, err error) {
	err = db.pool.QueryRow(ctx, `SELECT id::text, password FROM staff
		WHERE (id = $1::uuid OR $1::uuid IS NULL AND name = $2) AND password IS NOT NULL AND disabled_at IS NULL`,
		uuidOrNil(id), name).Scan(&staff, &encoded)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return "", "", fmt.Errorf("password: %w", err)
	}
	return staff, encoded, nil
}

// AddLogin signs a member in who proved that they know the encoded password, which is
// compared again: it may have changed since. order.ErrNotFound.
func (db *DB) AddLogin(ctx context.Context, l order.NewLogin, encoded string, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `SELECT FROM staff WHERE id = $1 AND disabled_at IS NULL AND password = $2 FOR SHARE`, l.Staff, encoded)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return order.ErrNotFound
		}
		b := &pgx.Batch{}
		queueLogin(b, l)
		queueAudit(b, a)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return fmt.Errorf("add login: %w", err)
	}
	return nil
}

func queueLogin(b *pgx.Batch, l order.NewLogin) {
	b.Queue(`UPDATE logins SET revoked_at = now() WHERE hash = $1 AND revoked_at IS NULL`, l.Instead[:])
	b.Queue(`INSERT INTO logins (id, hash, staff, how, created_at, seen_at, expires_at, agent, address)
		VALUES ($1, $2, $3, $4, now(), now(), now() + $5::interval, $6, $7)`, l.ID, l.Hash[:], l.Staff, l.How, l.Life, l.Agent, l.Address)
}

// queueSignOut ends a member's logins but the one to keep; "" keeps none.
func queueSignOut(b *pgx.Batch, staff, keep string) {
	b.Queue(`UPDATE logins SET revoked_at = now() WHERE staff = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2::uuid`,
		staff, uuidOrNil(keep))
}

// StaffLogins lists logins, newest first; an empty member means everybody's. What is
// over or idle is left out, what was revoked stays for a while.
func (db *DB) StaffLogins(ctx context.Context, staff string, idle time.Duration, limit int) ([]order.StaffLogin, error) {
	var f filter
	f.when(staff != "", "l.staff = %s::uuid", uuidOrNil(staff))
	f.when(true, "(l.revoked_at IS NOT NULL OR l.expires_at > now() AND l.seen_at > now() - %s::interval)", idle)
	rows, err := db.pool.Query(ctx, `SELECT l.id::text, l.staff::text, s.name, l.how, l.created_at, l.seen_at, l.agent, l.address, l.revoked_at
		FROM logins l JOIN staff s ON s.id = l.staff`+f.sql("l.id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list logins: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.StaffLogin])
}

// RevokeLogin ends a login, of that member unless staff is empty; order.ErrNotFound.
func (db *DB) RevokeLogin(ctx context.Context, id, staff string, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `UPDATE logins l SET revoked_at = coalesce(l.revoked_at, now()) FROM logins old
			WHERE l.id = $1::uuid AND old.id = l.id AND ($2::text = '' OR l.staff::text = $2)
			RETURNING jsonb_build_object('staff', old.staff, 'how', old.how, 'created_at', old.created_at, 'revoked_at', old.revoked_at)`,
			uuidOrNil(id), staff).Scan(&a.Before)
		if errors.Is(err, pgx.ErrNoRows) {
			return order.ErrNotFound
		}
		if err != nil {
			return err
		}
		return audited(ctx, tx, a)
	})
	if err != nil {
		return fmt.Errorf("revoke login: %w", err)
	}
	return nil
}

// ChangePassword replaces a password by who knows the one before, and ends the
// member's other logins and open invites; order.ErrNotFound when it is another by now.
func (db *DB) ChangePassword(ctx context.Context, staff, before, after, keep string, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE staff SET password = $3, password_at = now() WHERE id = $1 AND password = $2`, staff, before, after)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return order.ErrNotFound
		}
		b := &pgx.Batch{}
		queueSignOut(b, staff, keep)
		b.Queue(`UPDATE invites SET used_at = now() WHERE staff = $1 AND used_at IS NULL`, staff)
		queueAudit(b, a)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return nil
}

// FirstRunOpen is order.ErrNotFound unless a first-run link may be spent now.
func (db *DB) FirstRunOpen(ctx context.Context, link [32]byte) error {
	var open bool
	err := db.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM first_run_links WHERE hash = $1 AND used_at IS NULL AND expires_at > now()
		AND NOT EXISTS (SELECT FROM staff))`, link[:]).Scan(&open)
	if err == nil && !open {
		err = order.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("first-run link: %w", err)
	}
	return nil
}

// SetUp spends a first-run link: the first admin, signed in with a password.
// order.ErrNotFound as UseFirstRun.
func (db *DB) SetUp(ctx context.Context, link [32]byte, s order.Staff, encoded string, l order.NewLogin, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := spendFirstRun(ctx, tx, link); err != nil {
			return err
		}
		b := &pgx.Batch{}
		queueStaff(b, s)
		b.Queue(`UPDATE staff SET password = $2, password_at = now() WHERE id = $1`, s.ID, encoded)
		queueLogin(b, l)
		queueAudit(b, a)
		return domainError(tx.SendBatch(ctx, b).Close())
	})
	if err != nil {
		return fmt.Errorf("first run: %w", err)
	}
	return nil
}

// AddInvited makes a member without a key, and the link that sets their password.
// order.ErrExists, order.ErrUnknown for a venue.
func (db *DB) AddInvited(ctx context.Context, s order.Staff, link [32]byte, life time.Duration, a order.Audit) error {
	b := &pgx.Batch{}
	queueStaff(b, s)
	queueInvite(b, s.ID, link, life)
	queueAudit(b, a)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("invite: %w", domainError(err))
	}
	return nil
}

func queueInvite(b *pgx.Batch, staff string, link [32]byte, life time.Duration) {
	b.Queue(`UPDATE invites SET used_at = now() WHERE staff = $1 AND used_at IS NULL`, staff) // one link at a time
	b.Queue(`INSERT INTO invites (hash, staff, expires_at) VALUES ($1, $2, now() + $3::interval)`, link[:], staff, life)
}

// Invite stores a link that sets a member's password once, and returns until when it
// can. The member is found by id or else by name. order.ErrNotFound; order.ErrWrongState
// when they are disabled. The audit's object is filled in.
func (db *DB) Invite(ctx context.Context, id, name string, link [32]byte, life time.Duration, a order.Audit) (until time.Time, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		var staff string
		var disabled bool
		err := tx.QueryRow(ctx, `SELECT id::text, disabled_at IS NOT NULL, now() + $3::interval FROM staff
			WHERE id = $1::uuid OR $1::uuid IS NULL AND name = $2 FOR UPDATE`, uuidOrNil(id), name, life).Scan(&staff, &disabled, &until)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return order.ErrNotFound
		case err != nil:
			return err
		case disabled:
			return order.ErrWrongState
		}
		a.Object = "staff " + staff
		b := &pgx.Batch{}
		queueInvite(b, staff, link, life)
		queueAudit(b, a)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return until, fmt.Errorf("invite: %w", err)
	}
	return until, nil
}

// Invited returns whom a link invites; order.ErrNotFound when it is unknown, used or
// too old, or the member is disabled.
func (db *DB) Invited(ctx context.Context, link [32]byte) (order.Staff, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+staffColumns+` FROM staff s JOIN invites i ON i.staff = s.id
		WHERE i.hash = $1 AND i.used_at IS NULL AND i.expires_at > now() AND s.disabled_at IS NULL`, link[:])
	if err != nil {
		return order.Staff{}, fmt.Errorf("invite link: %w", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanStaff)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return s, fmt.Errorf("invite link: %w", err)
	}
	return s, nil
}

// UseInvite spends a link: it sets the password, ends every login of the member, and
// signs them in. order.ErrNotFound as Invited.
func (db *DB) UseInvite(ctx context.Context, link [32]byte, encoded string, l order.NewLogin, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE invites i SET used_at = now() FROM staff s WHERE i.hash = $1 AND i.used_at IS NULL
			AND i.expires_at > now() AND s.id = i.staff AND s.id = $2 AND s.disabled_at IS NULL`, link[:], l.Staff)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return order.ErrNotFound
		}
		var had bool
		if err := tx.QueryRow(ctx, `SELECT password IS NOT NULL FROM staff WHERE id = $1 FOR UPDATE`, l.Staff).Scan(&had); err != nil {
			return err
		}
		a.Before, _ = json.Marshal(map[string]bool{"has_password": had}) // of plain values: cannot fail
		b := &pgx.Batch{}
		b.Queue(`UPDATE staff SET password = $2, password_at = now() WHERE id = $1`, l.Staff, encoded)
		b.Queue(`UPDATE passkeys SET revoked_at = now() WHERE staff = $1 AND revoked_at IS NULL`, l.Staff)
		queueSignOut(b, l.Staff, "")
		queueLogin(b, l)
		queueAudit(b, a)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return fmt.Errorf("use invite: %w", err)
	}
	return nil
}
