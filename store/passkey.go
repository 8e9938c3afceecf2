package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// BeginCeremony keeps what the end of a passkey ceremony is compared with. login names
// whose registration it is, in the place of one that was begun before; "": a sign-in.
func (db *DB) BeginCeremony(ctx context.Context, id, login string, data []byte, life time.Duration) error {
	b := &pgx.Batch{}
	b.Queue(`DELETE FROM ceremonies WHERE login = $1::uuid`, uuidOrNil(login))
	b.Queue(`INSERT INTO ceremonies (id, login, data, expires_at) VALUES ($1, $2::uuid, $3, now() + $4::interval)
		ON CONFLICT (login) DO UPDATE SET id = $1, data = $3, expires_at = now() + $4::interval`, id, uuidOrNil(login), data, life)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("begin ceremony: %w", domainError(err))
	}
	return nil
}

// EndCeremony returns what BeginCeremony kept, once, by the login if one is named, else
// by the id of a sign-in; order.ErrNotFound when it is unknown, was ended or is too old.
func (db *DB) EndCeremony(ctx context.Context, id, login string) ([]byte, error) {
	var data []byte
	var fresh bool
	err := db.pool.QueryRow(ctx, `DELETE FROM ceremonies WHERE login = $2::uuid OR $2::uuid IS NULL AND login IS NULL AND id = $1::uuid
		RETURNING data, expires_at > now()`, uuidOrNil(id), uuidOrNil(login)).Scan(&data, &fresh)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !fresh {
		err = order.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("end ceremony: %w", err)
	}
	return data, nil
}

const passkeyColumns = `p.id::text, p.staff::text, p.label, p.credential_id, p.credential, p.created_at, p.last_used_at, p.revoked_at`

// Passkeys lists a member's passkeys, newest first, revoked ones included.
func (db *DB) Passkeys(ctx context.Context, staff string) ([]order.Passkey, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+passkeyColumns+` FROM passkeys p WHERE p.staff = $1::uuid ORDER BY p.id DESC`, uuidOrNil(staff))
	if err != nil {
		return nil, fmt.Errorf("list passkeys: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Passkey])
}

// AddPasskey stores a member's new passkey; order.ErrExists when it is known already,
// whoever's it is.
func (db *DB) AddPasskey(ctx context.Context, p order.Passkey, a order.Audit) error {
	b := &pgx.Batch{}
	b.Queue(`INSERT INTO passkeys (id, staff, label, credential_id, credential, created_at) VALUES ($1, $2, $3, $4, $5, now())`,
		p.ID, p.Staff, p.Label, p.Credential, p.Record)
	queueAudit(b, a)
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("add passkey: %w", domainError(err))
	}
	return nil
}

// RevokePasskey ends a passkey, of that member unless staff is empty;
// order.ErrNotFound, order.ErrLastAdmin when no admin of all venues could come in afterwards.
func (db *DB) RevokePasskey(ctx context.Context, id, staff string, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := lockAdmins(ctx, tx); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `UPDATE passkeys p SET revoked_at = coalesce(p.revoked_at, now()) FROM passkeys old
			WHERE p.id = $1::uuid AND old.id = p.id AND ($2::text = '' OR p.staff::text = $2)
			RETURNING jsonb_build_object('staff', old.staff, 'label', old.label, 'created_at', old.created_at, 'revoked_at', old.revoked_at)`,
			uuidOrNil(id), staff).Scan(&a.Before)
		if errors.Is(err, pgx.ErrNoRows) {
			return order.ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := adminLeft(ctx, tx); err != nil {
			return err
		}
		return audited(ctx, tx, a)
	})
	if err != nil {
		return fmt.Errorf("revoke passkey: %w", err)
	}
	return nil
}

// PasskeyLogin signs in who proved that they hold the passkey, and keeps what its
// authenticator counts; before is the record that the proof was compared with.
// order.ErrNotFound when the passkey is revoked, its owner disabled, or another
// sign-in moved the record meanwhile.
func (db *DB) PasskeyLogin(ctx context.Context, p order.Passkey, before []byte, l order.NewLogin, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE passkeys p SET credential = $3, last_used_at = now() FROM staff s
			WHERE p.id = $1 AND p.staff = $2 AND p.credential = $4 AND p.revoked_at IS NULL AND s.id = p.staff AND s.disabled_at IS NULL`,
			p.ID, l.Staff, p.Record, before)
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
