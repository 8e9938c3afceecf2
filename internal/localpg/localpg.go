// Package localpg runs a private Postgres cluster for the demo, for tests and
// for installations that fit one machine, and runs Postgres' own programs that dump
// and load databases.
//
// It owns one folder: the cluster's data, its lock and, while it runs, one
// server process and one socket folder. It refuses to install anything, to
// listen on TCP, to run the server as root and to share a folder with another
// process.
//
// # Invariants
//
//   - What a committed transaction wrote survives a power cut: fsync,
//     synchronous_commit, full_page_writes and data checksums are on, and the
//     command line says so, which no configuration file can override.
//   - At most one process holds a folder, by a lock that the kernel drops when
//     that process ends, however it ends.
//   - The server does not outlive the process that started it. Where the kernel
//     cannot promise that, the next Start on the folder stops what it finds.
//   - Nobody but the server's user and ours can reach the socket: its folder has
//     mode 0700. That is the whole authentication.
//   - A folder is either a whole cluster or none: initdb works in a folder of
//     its own, which is renamed when it is complete.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// Owner is the superuser that initdb makes and that URL names.
	Owner = "unlatch_owner"
	// DefaultDatabase exists once Start has returned.
	DefaultDatabase = "unlatch"

	// defaultConnections is Postgres' own default.
	defaultConnections = 100
	// stopPatience is how long a fast shutdown (which ends with a checkpoint)
	// may take before an immediate one, which the next start recovers from.
	stopPatience = 30 * time.Second
)

// Errors that callers tell apart. Their text is written for the person who reads
// the terminal and says what to do.
var (
	// ErrNoServer: no Postgres of a usable version is installed.
	ErrNoServer = errors.New("no Postgres server found")
	// ErrInUse: another process runs a cluster in this folder.
	ErrInUse = errors.New("cluster folder is in use by another process")
	// ErrOtherVersion: the folder was made by a major version that is not installed.
	ErrOtherVersion = errors.New("cluster was made by another Postgres version")
	// ErrNotReachable: the server's user cannot enter a parent of the folder.
	ErrNotReachable = errors.New("cluster folder is closed to the server's user")
	// ErrNoUser: we are root, and there is no other user to run the server.
	ErrNoUser = errors.New("no user to run Postgres as")
	// ErrServerFailed: the server or initdb ended by itself; its last words are in the text.
	ErrServerFailed = errors.New("the Postgres server failed")
	// ErrDatabaseExists: CreateDatabase was given a name that is taken.
	ErrDatabaseExists = errors.New("database exists")
)

// Config says where a cluster lives and how large it may grow.
type Config struct {
	// Dir is the cluster's folder, made when absent. Empty means a temporary
	// one, which Stop removes, and which a later Start with an empty Dir removes
	// when this process died before it could.
	Dir string
	// Log receives state changes and the server's own log lines (at debug level,
	// without statements or row values). Nil discards.
	Log *slog.Logger
	// MaxConnections is the server's limit, 100 when zero; at most 10000.
	MaxConnections int
}

// Cluster is a running Postgres server. Its methods are safe for concurrent use.
type Cluster struct {
	dir       string
	data      string
	socket    string
	temporary bool
	log       *slog.Logger
	lock      *os.File
	server    *server

	stopOnce sync.Once
	stopErr  error
}

// Start makes the cluster when the folder is empty, recovers it when its server
// died, and returns once it accepts connections and DefaultDatabase exists. The
// context bounds the start only; Stop ends the cluster.
//
// Errors: ErrNoServer, ErrInUse, ErrOtherVersion, ErrNotReachable, ErrNoUser,
// ErrServerFailed, the context's error, or the operating system's.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = defaultConnections
	}
	if cfg.MaxConnections < 10 || cfg.MaxConnections > 10000 {
		return nil, fmt.Errorf("start local Postgres: %d connections: want 10 to 10000", cfg.MaxConnections)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c, err := start(ctx, cfg, searchFolders())
	if err != nil {
		return nil, fmt.Errorf("start local Postgres: %w", err)
	}
	return c, nil
}

func start(ctx context.Context, cfg Config, folders []string) (_ *Cluster, err error) {
	began := time.Now()
	installed := findInstallations(ctx, folders)
	if len(installed) == 0 {
		return nil, noServer(folders)
	}
	as, err := serverIdentity()
	if err != nil {
		return nil, err
	}
	c := &Cluster{log: cfg.Log, temporary: cfg.Dir == ""}
	if c.temporary {
		sweepTemporary(ctx, os.TempDir())
		c.dir, c.lock, err = makeTemporary(os.TempDir())
	} else {
		c.dir, c.lock, err = claimFolder(cfg.Dir)
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = c.release()
		}
	}()
	if err := as.canReach(c.dir); err != nil {
		return nil, err
	}
	c.data = filepath.Join(c.dir, "data")
	if err := stopStale(ctx, c.data); err != nil {
		return nil, err
	}
	use, err := prepareData(ctx, c.dir, c.data, installed, as)
	if err != nil {
		return nil, err
	}
	if c.socket, err = makeSocketFolder(c.data, as); err != nil {
		return nil, err
	}
	c.server, err = startServer(ctx, use, c.data, c.socket, cfg.MaxConnections, as, c.log)
	if err != nil {
		return nil, err
	}
	if err := c.ensureDatabase(ctx, DefaultDatabase); err != nil {
		_ = c.server.stop(stopPatience)
		return nil, err
	}
	c.log.Info("local postgres started", "version", use.version, "took", time.Since(began))
	return c, nil
}

// URL is the connection string of a database in this cluster, for pgx or libpq.
// It stays the same over restarts of the same folder. The database need not exist.
func (c *Cluster) URL(database string) string { return address(c.socket, database) }

// Address is the URL of a database in the cluster that another process runs in a
// folder, for tools that work beside it: Start says ErrInUse there. Nothing says
// that the cluster still runs.
func Address(dir, database string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", err
	}
	return address(socketFolder(filepath.Join(dir, "data")), database), nil
}

func address(socket, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(Owner),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {socket}, "port": {socketPort}}.Encode(),
	}
	return u.String()
}

// CreateDatabase makes an empty UTF-8 database. A taken name is ErrDatabaseExists.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) error {
	return c.createDatabase(ctx, name, "")
}

func (c *Cluster) createDatabase(ctx context.Context, name, options string) error {
	err := c.admin(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+options)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P04" {
		err = ErrDatabaseExists
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// CopyDatabase makes a database that holds what another one does, to which nobody may
// be connected; ErrDatabaseExists.
func (c *Cluster) CopyDatabase(ctx context.Context, name, from string) error {
	return c.createDatabase(ctx, name, " TEMPLATE "+pgx.Identifier{from}.Sanitize())
}

// DropDatabase removes a database and cuts off whoever is connected to it. A
// database that is not there is not an error.
func (c *Cluster) DropDatabase(ctx context.Context, name string) error {
	if err := c.admin(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// Done is closed when the server process has ended, by Stop or by itself.
func (c *Cluster) Done() <-chan struct{} { return c.server.done }

// Stop shuts the server down with a checkpoint, removes a temporary folder and
// lets go of the lock. Open connections are cut. Further calls return the first
// one's result.
func (c *Cluster) Stop() error {
	c.stopOnce.Do(func() {
		err := c.server.stop(stopPatience)
		c.stopErr = errors.Join(err, c.release())
		c.log.Info("local postgres stopped")
	})
	if c.stopErr != nil {
		return fmt.Errorf("stop local Postgres: %w", c.stopErr)
	}
	return nil
}

// release removes what belongs to a run and drops the lock, in that order, so
// that whoever takes the lock finds no leftovers of ours.
func (c *Cluster) release() error {
	var err error
	if c.socket != "" {
		err = os.RemoveAll(c.socket)
	}
	if c.temporary {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return errors.Join(err, c.lock.Close())
}

func (c *Cluster) ensureDatabase(ctx context.Context, name string) error {
	err := c.CreateDatabase(ctx, name)
	if errors.Is(err, ErrDatabaseExists) {
		return nil
	}
	return err
}

func (c *Cluster) admin(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// claimFolder makes the folder and takes its lock, which this process holds until
// it ends or calls release.
func claimFolder(dir string) (string, *os.File, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	// The server shows its own working folder with symlinks resolved; stopStale
	// compares with that.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", nil, err
	}
	lock, err := takeLock(dir)
	if err != nil {
		return "", nil, err
	}
	return dir, lock, nil
}

// takeLock locks dir/lock. ErrInUse says that somebody else has it, or that
// somebody removed the folder while we waited for the kernel.
func takeLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	held, errHeld := f.Stat()
	named, errNamed := os.Stat(path)
	if errHeld != nil || errNamed != nil || !os.SameFile(held, named) {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", dir, ErrInUse)
	}
	return f, nil
}

const temporaryPrefix = "unlatch-pg-tmp-"

func makeTemporary(under string) (string, *os.File, error) {
	// A sweeper may take a folder between its making and its locking.
	for range 10 {
		dir, err := os.MkdirTemp(under, temporaryPrefix)
		if err != nil {
			return "", nil, err
		}
		// The server's user must be able to pass, not to look.
		if err := os.Chmod(dir, 0o711); err != nil {
			return "", nil, err
		}
		dir, lock, err := claimFolder(dir)
		if err == nil {
			return dir, lock, nil
		}
		if !errors.Is(err, ErrInUse) && !errors.Is(err, os.ErrNotExist) {
			return "", nil, err
		}
	}
	return "", nil, fmt.Errorf("make a temporary folder in %s: %w", under, ErrInUse)
}

// sweepTemporary removes the temporary clusters of processes that ended without
// Stop. It is a courtesy: whatever it cannot remove stays.
func sweepTemporary(ctx context.Context, under string) {
	dirs, _ := filepath.Glob(filepath.Join(under, temporaryPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !ownedByUs(info) {
			continue
		}
		dir, lock, err := claimFolder(dir)
		if err != nil {
			continue
		}
		data := filepath.Join(dir, "data")
		if stopStale(ctx, data) == nil {
			_ = os.RemoveAll(socketFolder(data))
			_ = os.RemoveAll(dir)
		}
		_ = lock.Close()
	}
}

func ownedByUs(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

// lastWords keeps the end of a process' output for error texts.
type lastWords struct {
	mu   sync.Mutex
	text []byte
}

var _ io.Writer = (*lastWords)(nil)

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	if extra := len(w.text) - 2048; extra > 0 {
		w.text = append(w.text[:0], w.text[extra:]...)
	}
	return len(p), nil
}

func (w *lastWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}
