package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
)

// AddFirstRun stores a one-time link, in the place of any before it, unless staff exist
// already: then it returns false and there is nothing to set up. Of replicas that start
// at once, the link of the last one works.
func (db *DB) AddFirstRun(ctx context.Context, hash [32]byte, life time.Duration) (needed bool, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := lockFirstRun(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE first_run_links SET used_at = now() WHERE used_at IS NULL`); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `INSERT INTO first_run_links (hash, expires_at)
			SELECT $1, now() + $2 WHERE NOT EXISTS (SELECT FROM staff)`, hash[:], life)
		needed = tag.RowsAffected() == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("store first-run link: %w", err)
	}
	return needed, nil
}

// lockFirstRun lets one at a time make or spend a link.
func lockFirstRun(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('unlatch first run'))`)
	return err
}

// UseFirstRun spends a link and makes the first admin with a key, in one
// transaction; order.ErrNotFound when the link is unknown, used or too old, or
// staff exist already.
func (db *DB) UseFirstRun(ctx context.Context, link [32]byte, s order.Staff, key order.APIKey, keyHash [32]byte, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := spendFirstRun(ctx, tx, link); err != nil {
			return err
		}
		return addStaff(ctx, tx, s, key, keyHash, a)
	})
	if err != nil {
		return fmt.Errorf("first run: %w", err)
	}
	return nil
}

func spendFirstRun(ctx context.Context, tx pgx.Tx, link [32]byte) error {
	if err := lockFirstRun(ctx, tx); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `UPDATE first_run_links SET used_at = now() WHERE hash = $1 AND used_at IS NULL
		AND expires_at > now() AND NOT EXISTS (SELECT FROM staff)`, link[:])
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("first-run link: %w", order.ErrNotFound)
	}
	return nil
}

// AddStaff makes a staff member with a first key; ErrExists when the name is
// taken.
func (db *DB) AddStaff(ctx context.Context, s order.Staff, key order.APIKey, keyHash [32]byte, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("add staff: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := addStaff(ctx, tx, s, key, keyHash, a); err != nil {
		return fmt.Errorf("add staff: %w", err)
	}
	return tx.Commit(ctx)
}

func addStaff(ctx context.Context, tx pgx.Tx, s order.Staff, key order.APIKey, keyHash [32]byte, a order.Audit) error {
	b := &pgx.Batch{}
	queueStaff(b, s)
	queueKey(b, key, keyHash)
	queueAudit(b, a)
	return domainError(tx.SendBatch(ctx, b).Close())
}

func queueStaff(b *pgx.Batch, s order.Staff) {
	queueVenuesKnown(b, s.Venues)
	b.Queue(`INSERT INTO staff (id, name, role, venues, created_at) VALUES ($1, $2, $3, $4, now())`, s.ID, s.Name, s.Role, s.Venues)
}

func queueKey(b *pgx.Batch, key order.APIKey, hash [32]byte) {
	queueVenuesKnown(b, key.Venues)
	b.Queue(`INSERT INTO api_keys (id, hash, staff, label, role, venues, created_at) VALUES ($1, $2, $3, $4, $5, $6, now())`,
		key.ID, hash[:], key.Staff, key.Label, key.Role, key.Venues)
}

// queueVenuesKnown fails with order.ErrUnknown unless all of the venues exist.
func queueVenuesKnown(b *pgx.Batch, venues []string) {
	if len(venues) == 0 {
		return
	}
	b.Queue(`SELECT v FROM unnest($1::text[]) v WHERE NOT EXISTS (SELECT FROM venues WHERE id = v) LIMIT 1`, venues).
		Query(func(rows pgx.Rows) error {
			unknown, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err == nil && len(unknown) > 0 {
				return fmt.Errorf("venue %q: %w", unknown[0], order.ErrUnknown)
			}
			return err
		})
}

const staffColumns = `s.id::text, s.name, s.role, s.venues, s.disabled_at, s.password IS NOT NULL,
	(SELECT count(*) FROM passkeys p WHERE p.staff = s.id AND p.revoked_at IS NULL),
	greatest((SELECT max(seen_at) FROM logins l WHERE l.staff = s.id), (SELECT max(last_used_at) FROM api_keys k WHERE k.staff = s.id))`

func scanStaff(row pgx.CollectableRow) (order.Staff, error) {
	var s order.Staff
	err := row.Scan(&s.ID, &s.Name, &s.Role, &s.Venues, &s.Disabled, &s.Password, &s.Passkeys, &s.Seen)
	return s, err
}

// StaffList lists all members by name.
func (db *DB) StaffList(ctx context.Context) ([]order.Staff, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+staffColumns+` FROM staff s ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list staff: %w", err)
	}
	return pgx.CollectRows(rows, scanStaff)
}

// StaffNames lists who is called what, by name, disabled members too.
func (db *DB) StaffNames(ctx context.Context) ([]order.StaffName, error) {
	rows, err := db.pool.Query(ctx, `SELECT id::text, name, disabled_at IS NOT NULL FROM staff ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("list names of staff: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.StaffName])
}

// StaffByID returns one member, disabled or not; order.ErrNotFound.
func (db *DB) StaffByID(ctx context.Context, id string) (order.Staff, error) {
	rows, err := db.pool.Query(ctx, `SELECT `+staffColumns+` FROM staff s WHERE s.id = $1::uuid`, uuidOrNil(id))
	if err != nil {
		return order.Staff{}, fmt.Errorf("member: %w", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanStaff)
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return s, fmt.Errorf("member: %w", err)
	}
	return s, nil
}

// ChangeStaff replaces a member's role, venues and disabled, and fills in the before of
// the audit; who is disabled is signed out. order.ErrNotFound, order.ErrUnknown for a
// venue, order.ErrLastAdmin when no admin of all venues would be left.
func (db *DB) ChangeStaff(ctx context.Context, s order.Staff, disabled bool, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := lockAdmins(ctx, tx); err != nil {
			return err
		}
		var before []byte
		err := tx.QueryRow(ctx, `SELECT jsonb_build_object('name', name, 'role', role, 'venues', venues, 'disabled', disabled_at IS NOT NULL)
			FROM staff WHERE id = $1::uuid FOR UPDATE`, uuidOrNil(s.ID)).Scan(&before)
		if errors.Is(err, pgx.ErrNoRows) {
			return order.ErrNotFound
		}
		if err != nil {
			return err
		}
		a.Before = before
		b := &pgx.Batch{}
		queueVenuesKnown(b, s.Venues)
		b.Queue(`UPDATE staff SET role = $2, venues = $3,
			disabled_at = CASE WHEN $4 THEN coalesce(disabled_at, now()) END WHERE id = $1`, s.ID, s.Role, s.Venues, disabled)
		if disabled {
			queueSignOut(b, s.ID, "")
			b.Queue(`UPDATE invites SET used_at = now() WHERE staff = $1 AND used_at IS NULL`, s.ID)
		}
		queueAudit(b, a)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return domainError(err)
		}
		return adminLeft(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("change member: %w", err)
	}
	return nil
}

// StaffByKey returns whose key it is, with what both the key and its owner may;
// order.ErrNotFound when it is unknown or revoked or its owner disabled.
func (db *DB) StaffByKey(ctx context.Context, hash [32]byte) (order.Staff, error) {
	var s order.Staff
	var role order.Role
	var venues []string
	err := db.pool.QueryRow(ctx, `SELECT s.id::text, s.name, s.role, s.venues, k.role, k.venues FROM api_keys k JOIN staff s ON s.id = k.staff
		WHERE k.hash = $1 AND k.revoked_at IS NULL AND s.disabled_at IS NULL`, hash[:]).Scan(&s.ID, &s.Name, &s.Role, &s.Venues, &role, &venues)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, fmt.Errorf("api key: %w", order.ErrNotFound)
	}
	if err != nil {
		return s, fmt.Errorf("look up api key: %w", err)
	}
	_, err = db.pool.Exec(ctx, `UPDATE api_keys SET last_used_at = now()
		WHERE hash = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')`, hash[:])
	if err != nil {
		return s, fmt.Errorf("note use of api key: %w", err)
	}
	return s.Bounded(role, venues), nil
}

// APIKeys lists all keys, newest first.
func (db *DB) APIKeys(ctx context.Context) ([]order.APIKey, error) {
	rows, err := db.pool.Query(ctx, `SELECT id::text, staff::text, label, role, venues, created_at, last_used_at, revoked_at
		FROM api_keys ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("list api keys: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.APIKey])
}

// AddAPIKey gives a staff member another key; order.ErrUnknown for the member or a
// venue, order.ErrInvalid when the member may less than the key would.
func (db *DB) AddAPIKey(ctx context.Context, key order.APIKey, hash [32]byte, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		var role order.Role
		err := tx.QueryRow(ctx, `SELECT role FROM staff WHERE id = $1::uuid AND disabled_at IS NULL FOR SHARE`, uuidOrNil(key.Staff)).Scan(&role)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("member %s: %w", key.Staff, order.ErrUnknown)
		case err != nil:
			return err
		case !role.Includes(key.Role):
			return fmt.Errorf("the member is %s, and their key cannot be %s: %w", role, key.Role, order.ErrInvalid)
		}
		b := &pgx.Batch{}
		queueKey(b, key, hash)
		queueAudit(b, a)
		return domainError(tx.SendBatch(ctx, b).Close())
	})
	if err != nil {
		return fmt.Errorf("add api key: %w", err)
	}
	return nil
}

// RevokeAPIKey ends a key; order.ErrNotFound when there is none, order.ErrLastAdmin
// when no admin of all venues could come in afterwards.
func (db *DB) RevokeAPIKey(ctx context.Context, id string, a order.Audit) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := lockAdmins(ctx, tx); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `UPDATE api_keys k SET revoked_at = coalesce(k.revoked_at, now()) FROM api_keys old
			WHERE k.id = $1::uuid AND old.id = k.id RETURNING jsonb_build_object('staff', old.staff, 'label', old.label, 'role', old.role,
				'venues', old.venues, 'revoked_at', old.revoked_at)`, uuidOrNil(id)).Scan(&a.Before)
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
		return fmt.Errorf("revoke api key: %w", err)
	}
	return nil
}

// lockAdmins lets one at a time take away what an admin needs: two who do it to each
// other must not both succeed.
func lockAdmins(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('unlatch admin keys'))`)
	return err
}

// adminLeft is order.ErrLastAdmin unless an admin of all venues can still come in, with
// a key, a password or a passkey. The transaction holds the lock.
func adminLeft(ctx context.Context, tx pgx.Tx) error {
	var left bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM staff s WHERE s.role = 'admin' AND s.venues IS NULL AND s.disabled_at IS NULL
		AND (s.password IS NOT NULL
			OR EXISTS (SELECT FROM passkeys p WHERE p.staff = s.id AND p.revoked_at IS NULL)
			OR EXISTS (SELECT FROM api_keys k WHERE k.staff = s.id AND k.role = 'admin' AND k.venues IS NULL AND k.revoked_at IS NULL)))`).Scan(&left)
	if err == nil && !left {
		err = order.ErrLastAdmin
	}
	return err
}

// AuditPage lists privileged acts, newest first.
func (db *DB) AuditPage(ctx context.Context, after string, limit int) ([]order.Audit, error) {
	var f filter
	f.when(after != "", "id < %s::uuid", uuidOrNil(after))
	rows, err := db.pool.Query(ctx, `SELECT id::text, staff, act, object, reason, before, after, at FROM audits`+
		f.sql("id DESC", limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list audit: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[order.Audit])
}

// Items lists open items, oldest first, or all of them newest first. An empty kind
// filters nothing, venues unless they are nil.
func (db *DB) Items(ctx context.Context, all bool, kind string, venues []string, limit int) ([]order.ItemRow, error) {
	var f filter
	sort := "at DESC"
	if !all {
		f.when(true, "(closed_at IS NULL) = %s", true)
		sort = "at"
	}
	f.when(kind != "", "kind = %s", kind)
	f.when(venues != nil, "venue = ANY(%s)", venues)
	rows, err := db.pool.Query(ctx, `SELECT id::text, kind, subject, device, coalesce(order_id::text, ''), venue, detail,
		at, closed_at, coalesce(closed_by, ''), owner, coalesce((SELECT s.name FROM staff s WHERE s.id::text = items.owner), '') FROM items`+f.sql(sort, limit), f.args...)
	if err != nil {
		return nil, fmt.Errorf("list open items: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.ItemRow, error) {
		var i order.ItemRow
		err := row.Scan(&i.ID, &i.Kind, &i.Subject, &i.Device, &i.Order, &i.Venue, &i.Detail, &i.At, &i.ClosedAt, &i.ClosedBy,
			&i.Owner, &i.OwnerName)
		return i, err
	})
}

// CloseItem notes that staff have dealt with an item.
func (db *DB) CloseItem(ctx context.Context, id string, a order.Audit) error {
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("close item: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// A bill that waits for a decision is closed by the decision alone: its hold would
	// stay for ever and nobody would see it.
	var waits bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM items i JOIN orders o ON o.id = i.order_id
		WHERE i.id = $1::uuid AND i.kind = $2 AND o.state = 'ended')`, uuidOrNil(id), order.ItemMismatch).Scan(&waits); err != nil {
		return fmt.Errorf("close item: %w", err)
	}
	if waits {
		return fmt.Errorf("close item: decide its order instead: %w", order.ErrWrongState)
	}
	tag, err := tx.Exec(ctx, `UPDATE items SET closed_at = now(), closed_by = $2 WHERE id = $1::uuid AND closed_at IS NULL`,
		uuidOrNil(id), a.Staff)
	if err != nil {
		return fmt.Errorf("close item: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("open item: %w", order.ErrNotFound)
	}
	if err := audited(ctx, tx, a); err != nil {
		return fmt.Errorf("close item: %w", err)
	}
	return tx.Commit(ctx)
}

// AssignItem says who deals with an open item; "" = nobody. order.ErrNotFound;
// order.ErrUnknown: there is no such member, or they work here no more.
func (db *DB) AssignItem(ctx context.Context, id, owner string, a order.Audit) error {
	fail := func(err error) error { return fmt.Errorf("assign item: %w", err) }
	tx, err := db.pool.Begin(ctx)
	if err != nil {
		return fail(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	err = tx.QueryRow(ctx, `SELECT jsonb_build_object('owner', owner) FROM items WHERE id = $1::uuid AND closed_at IS NULL FOR UPDATE`,
		uuidOrNil(id)).Scan(&a.Before)
	if errors.Is(err, pgx.ErrNoRows) {
		return fail(order.ErrNotFound)
	}
	if err != nil {
		return fail(err)
	}
	tag, err := tx.Exec(ctx, `UPDATE items SET owner = $2 WHERE id = $1 AND ($2 = '' OR EXISTS (SELECT FROM staff s WHERE s.id::text = $2
		AND s.disabled_at IS NULL))`, id, owner)
	if err != nil {
		return fail(err)
	}
	if tag.RowsAffected() == 0 {
		return fail(fmt.Errorf("member %s: %w", owner, order.ErrUnknown))
	}
	if err := audited(ctx, tx, a); err != nil {
		return fail(err)
	}
	return tx.Commit(ctx)
}

// OpenItem opens one thing for staff to look at; one of the same kind and
// subject that is open already is enough.
func (db *DB) OpenItem(ctx context.Context, i order.Item) error {
	b := &pgx.Batch{}
	queueChanges(b, order.Changes{Items: []order.Item{i}})
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("open item: %w", err)
	}
	return nil
}
