package store

import (
	"context"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// AppRole is the role that the application works as. It belongs to the whole server,
// so no dump of a database holds it.
const AppRole = "unlatch_app"

// Facts are what a backup says of the moment it was taken at.
type Facts struct {
	At            time.Time        `json:"at"`             // the database's clock
	Server        int              `json:"server"`         // major version of Postgres
	ServerVersion string           `json:"server_version"` // such as "15.8 (Debian ...)"
	Schema        int64            `json:"schema"`         // the newest migration that ran
	SigningKey    string           `json:"signing_key,omitempty"`
	Domain        string           `json:"domain,omitempty"`
	Rows          map[string]int64 `json:"rows"` // by table
}

// Frozen is one moment of a database, which a dump can share by its snapshot. It
// holds a transaction open: Close it soon.
type Frozen struct {
	Facts
	Snapshot string // for pg_dump --snapshot
	conn     *pgx.Conn
}

// Freeze holds on to this moment of a live database and counts it, read-only.
func Freeze(ctx context.Context, url string) (*Frozen, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("reach database: %w", err)
	}
	f := &Frozen{conn: conn}
	if err := f.read(ctx); err != nil {
		f.Close()
		return nil, fmt.Errorf("freeze database: %w", err)
	}
	return f, nil
}

func (f *Frozen) read(ctx context.Context) error {
	if _, err := f.conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`); err != nil {
		return err
	}
	if err := f.conn.QueryRow(ctx, `SELECT pg_export_snapshot()`).Scan(&f.Snapshot); err != nil {
		return err
	}
	facts, err := readFacts(ctx, f.conn)
	f.Facts = facts
	return err
}

// Close lets go of the moment.
func (f *Frozen) Close() { _ = f.conn.Close(context.WithoutCancel(context.Background())) }

// CountRows reads the facts of a database as it is now.
func CountRows(ctx context.Context, url string) (Facts, error) {
	f, err := Freeze(ctx, url)
	if err != nil {
		return Facts{}, err
	}
	defer f.Close()
	return f.Facts, nil
}

func readFacts(ctx context.Context, conn *pgx.Conn) (Facts, error) {
	f := Facts{Rows: map[string]int64{}}
	var number int
	err := conn.QueryRow(ctx, `SELECT clock_timestamp(), current_setting('server_version_num')::int, current_setting('server_version')`).
		Scan(&f.At, &number, &f.ServerVersion)
	if err != nil {
		return f, err
	}
	f.Server = number / 10000
	rows, err := conn.Query(ctx, `SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'
		AND tablename <> '`+restoringTable+`' ORDER BY 1`)
	if err != nil {
		return f, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return f, err
	}
	for _, table := range tables {
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{"public", table}.Sanitize()).Scan(&n); err != nil {
			return f, err
		}
		f.Rows[table] = n
	}
	if _, migrated := f.Rows["goose_db_version"]; migrated {
		if err := conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&f.Schema); err != nil {
			return f, err
		}
	}
	if _, set := f.Rows["settings"]; set {
		err = conn.QueryRow(ctx, `SELECT coalesce((SELECT value FROM settings WHERE name = 'signing_key'), ''),
			coalesce((SELECT value FROM settings WHERE name = 'domain'), '')`).Scan(&f.SigningKey, &f.Domain)
	}
	return f, err
}

// SchemaVersion is the newest migration that this program knows.
func SchemaVersion() int64 {
	var newest int64
	files, _ := fs.Glob(migrations, "migrations/*.sql")
	for _, path := range files {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, "migrations/"), "_")
		if n, err := strconv.ParseInt(name, 10, 64); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// MakeRole makes the application's role where the server has none, and lets whoever
// connects work as it. It is what the first migration does, for a database that comes
// out of a dump.
func MakeRole(ctx context.Context, url string) error {
	return once(ctx, url, "make role "+AppRole, `DO $$
		BEGIN
			IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'unlatch_app') THEN
				CREATE ROLE unlatch_app NOLOGIN;
			END IF;
			IF NOT pg_has_role(current_user, 'unlatch_app', 'MEMBER') THEN
				EXECUTE format('GRANT unlatch_app TO %I', current_user);
			END IF;
		EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
		END $$`)
}

// NoteBackup remembers when the newest backup was taken.
func NoteBackup(ctx context.Context, url string, at time.Time) error {
	return once(ctx, url, "note the backup", `INSERT INTO settings (name, value) VALUES ('last_backup', $1)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, at.UTC().Format(time.RFC3339))
}

// once runs one statement on a connection of its own.
func once(ctx context.Context, url, what, sql string, args ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("reach database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
