package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Health is what a doctor looks at in a database. Reading them changes nothing.
type Health struct {
	Server        int // major version
	ServerVersion string
	Standby       bool              // takes no writes
	Superuser     bool              // who connects is one
	Role          bool              // AppRole is there, and who connects may work as it
	Durability    map[string]string // of fsync, synchronous_commit, full_page_writes
	Connections   int               // open now
	Limit         int               // of connections, without those kept for superusers
	Behind        time.Duration     // the database's clock less ours
	Unsure        time.Duration     // how far off Behind may be: the time that asking took
	OldestChange  time.Duration     // age of the oldest open transaction of anybody
	Size          int64             // bytes
	Schema        int64             // the newest migration that ran; 0 = none
	Settings      map[string]string // of the installation
	Restored      *Restored         // nil: it did not come out of a backup
	Silent        int               // devices not heard since it was taken in
	OpenItems     int
}

// Examine reads the health of a database, as whoever the address names.
func Examine(ctx context.Context, url string) (Health, error) {
	v := Health{Durability: map[string]string{}, Settings: map[string]string{}}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return v, fmt.Errorf("reach database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	before := time.Now()
	var theirs time.Time
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return v, err
	}
	v.Unsure = time.Since(before)
	v.Behind = theirs.Sub(before.Add(v.Unsure / 2))
	var number int
	var oldest float64
	var fsync, commit, pages string
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
		(SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
		coalesce((SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = $1), false),
		current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'),
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
		current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
		coalesce((SELECT extract(epoch FROM max(clock_timestamp() - xact_start)) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'), 0)::float8,
		pg_database_size(current_database())`, AppRole).
		Scan(&number, &v.ServerVersion, &v.Standby, &v.Superuser, &v.Role, &fsync, &commit, &pages, &v.Connections, &v.Limit, &oldest, &v.Size)
	if err != nil {
		return v, fmt.Errorf("examine database: %w", err)
	}
	v.Server, v.OldestChange = number/10000, time.Duration(oldest*float64(time.Second))
	v.Durability["fsync"], v.Durability["synchronous_commit"], v.Durability["full_page_writes"] = fsync, commit, pages
	err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&v.Schema)
	if err != nil || v.Schema == 0 { // nothing was set up here yet
		v.Schema = 0
		return v, ignoreMissing(err)
	}
	rows, err := conn.Query(ctx, `SELECT name, value FROM settings`)
	if err != nil {
		return v, fmt.Errorf("examine database: %w", err)
	}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { v.Settings[name] = value; return nil }); err != nil {
		return v, fmt.Errorf("examine database: %w", err)
	}
	if text := v.Settings["restored"]; text != "" {
		v.Restored = &Restored{}
		if err := json.Unmarshal([]byte(text), v.Restored); err != nil {
			return v, fmt.Errorf("setting restored: %w", err)
		}
	}
	err = conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM devices d WHERE `+unbeaten+`),
		(SELECT count(*) FROM items WHERE closed_at IS NULL)`).Scan(&v.Silent, &v.OpenItems)
	if err != nil {
		return v, fmt.Errorf("examine database: %w", err)
	}
	return v, nil
}

// ignoreMissing takes a table that is not there for an empty one.
func ignoreMissing(err error) error {
	var pg interface{ SQLState() string }
	if errors.As(err, &pg) && pg.SQLState() == "42P01" {
		return nil
	}
	return err
}
