package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config says where the database is.
type Config struct {
	URL      string
	MaxConns int32 // 0 = 16
	// IdentityKey encrypts riders' identities at rest, 32 bytes: the one that follows
	// from the installation's secret. nil where IdentityKeys names all there are.
	IdentityKey []byte
	// IdentityKeys are those that identities may be encrypted with. Which one new ones
	// are encrypted with says the database; see MoveIdentities.
	IdentityKeys []IdentityKey
}

// DB is a pool of connections that work as role unlatch_app.
type DB struct {
	pool     *pgxpool.Pool
	identity identities
}

// Open connects and checks that the schema is there. It migrates nothing.
func Open(ctx context.Context, c Config) (*DB, error) {
	pc, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	pc.MaxConns = c.MaxConns
	if c.MaxConns == 0 {
		pc.MaxConns = 16
	}
	pc.MaxConnLifetime = 10 * time.Minute
	pc.PingTimeout = 5 * time.Second
	pc.ConnConfig.RuntimeParams["application_name"] = "unlatch"
	pc.ConnConfig.RuntimeParams["timezone"] = "UTC"
	// Every statement of the hot path finds its rows by key, so one plan serves all
	// parameters; Postgres would otherwise plan the first five uses on each
	// connection anew, which costs more than running them.
	pc.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	pc.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET ROLE unlatch_app")
		return err
	}
	box, err := newIdentities(c)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach database: %w", err)
	}
	return &DB{pool: pool, identity: box}, nil
}

// Close ends every connection.
func (db *DB) Close() { db.pool.Close() }

// Ping tells whether the database answers and takes writes.
func (db *DB) Ping(ctx context.Context) error {
	var readOnly bool
	if err := db.pool.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&readOnly); err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	if readOnly {
		return errors.New("the database is a standby and takes no writes; point UNLATCH_DATABASE_URL at the primary")
	}
	return nil
}

// Migrate brings the schema to this binary's version under a session lock, so
// that replicas may all try at once. It returns how many steps it took.
func Migrate(ctx context.Context, url string) (int, error) {
	p, done, err := provider(url)
	if err != nil {
		return 0, err
	}
	defer done()
	steps := 0
	err = patiently(ctx, func() error {
		done, err := p.Up(ctx)
		var part *goose.PartialError
		if errors.As(err, &part) {
			done = part.Applied
		}
		steps += len(done)
		return err
	})
	if err != nil {
		return steps, fmt.Errorf("migrate: %w", err)
	}
	return steps, nil
}

// A statement that waits for a table's lock lets nobody else have it. Behind a backup,
// which holds every table to its end, that would stop the service; so each try waits a
// moment only, and the next one comes when those have gone on who stood behind it.
const (
	lockWait     = time.Second
	lockPause    = 2 * time.Second
	lockPatience = 15 * time.Minute
)

// patiently tries again while somebody holds a lock that do needs.
func patiently(ctx context.Context, do func() error) error {
	for end := time.Now().Add(lockPatience); ; {
		err := do()
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "55P03" || ctx.Err() != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("somebody has held a table for %s, a backup or a long transaction; what was done stays, run it again when they have ended: %w", lockPatience, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(lockPause):
		}
	}
}

// provider opens the migrations on a connection of the schema's owner.
func provider(url string) (p *goose.Provider, done func(), err error) {
	pc, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, nil, fmt.Errorf("database address: %w", err)
	}
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, nil, err
	}
	pc.RuntimeParams["lock_timeout"] = fmt.Sprint(lockWait.Milliseconds())
	db := stdlib.OpenDB(*pc)
	if p, err = goose.NewProvider(goose.DialectPostgres, db, sub, goose.WithSessionLocker(locker)); err != nil {
		_ = db.Close()
		return nil, nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, func() { _ = db.Close() }, nil
}
