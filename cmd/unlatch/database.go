package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/unlatch/unlatch/internal/localpg"
	"github.com/unlatch/unlatch/store"
)

// database is how commands find Postgres.
type database struct {
	DatabaseURL string `name:"database-url" env:"UNLATCH_DATABASE_URL" placeholder:"URL" help:"Postgres 15 or newer, as postgres://user:password@host/name. Without it a private cluster runs in the data folder."`
	Data        string `env:"UNLATCH_DATA" type:"path" placeholder:"DIR" help:"Folder for the private cluster, the broker's state and the keys."`
}

// opened is a database that answers; cluster is nil unless this process runs it.
type opened struct {
	url     string
	cluster *localpg.Cluster
}

// stop ends the private cluster, if any.
func (o opened) stop() error {
	if o.cluster == nil {
		return nil
	}
	return o.cluster.Stop()
}

// errDatabaseGone ends the process: whoever supervises it starts it again, and
// that start recovers the cluster.
var errDatabaseGone = errors.New("the private database ended by itself; start again to recover it")

// watch returns errDatabaseGone when the private cluster ends before ctx does.
func (o opened) watch(ctx context.Context) error {
	if o.cluster == nil {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-o.cluster.Done():
		if ctx.Err() != nil {
			return nil
		}
		return errDatabaseGone
	}
}

// open finds the database, running the private cluster when none is named.
// beside: a tool may use the cluster of an installation that runs in the same
// folder.
func (d database) open(ctx context.Context, log *slog.Logger, beside bool) (opened, error) {
	if d.DatabaseURL != "" {
		return opened{url: d.DatabaseURL}, nil
	}
	if beside && d.Data == "" {
		return opened{}, errors.New("say which database: --database-url URL, or --data DIR of an installation")
	}
	dir := d.Data
	if dir != "" {
		dir += "/postgres"
	}
	c, err := localpg.Start(ctx, localpg.Config{Dir: dir, Log: log, MaxConnections: 100})
	if errors.Is(err, localpg.ErrInUse) && beside {
		url, err := localpg.Address(dir, localpg.DefaultDatabase)
		return opened{url: url}, err
	}
	if err != nil {
		return opened{}, fmt.Errorf("private database: %w", err)
	}
	return opened{c.URL(localpg.DefaultDatabase), c}, nil
}

type migrateCmd struct {
	database `embed:""`
}

// Help teaches when to run it.
func (migrateCmd) Help() string {
	return "Safe to run beside replicas of this version and of the one before, and by several at once: one of them works, the others wait."
}

// Run migrates and says how many steps it took.
func (m migrateCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	db, err := m.open(ctx, log, true)
	if err != nil {
		return err
	}
	steps, err := store.Migrate(ctx, db.url)
	if err == nil {
		fmt.Fprintf(out, "The schema is up to date; %d steps were taken.\n", steps)
	}
	return joinStop(err, db.stop)
}

// joinStop stops the cluster and keeps the first error.
func joinStop(err error, stop func() error) error {
	if e := stop(); err == nil {
		return e
	}
	return err
}

type auditCmd struct {
	database `embed:""`
	JSON     bool `name:"json" help:"Print the findings as JSON."`
}

// Help teaches what the exit code means.
func (auditCmd) Help() string {
	return "Reads one consistent snapshot and changes nothing. Exit 0: every promise holds. Exit 1: the findings are printed."
}

// Run prints each finding; errFound when there is one.
func (a auditCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	if _, err := os.Stat(filepath.Join(a.Data, "postgres")); a.DatabaseURL == "" && a.Data != "" && err != nil {
		return fmt.Errorf("%s holds no installation to check", a.Data)
	}
	db, err := a.open(ctx, log, true)
	if err != nil {
		return err
	}
	return joinStop(a.check(ctx, db.url, out), db.stop)
}

func (a auditCmd) check(ctx context.Context, url string, out io.Writer) error {
	db, err := store.Open(ctx, store.Config{URL: url, MaxConns: 2, IdentityKey: make([]byte, 32)}) // no identity is read
	if err != nil {
		return err
	}
	defer db.Close()
	bar := progress(-1, "auditing")
	checked, err := db.Audit(ctx, func(view string, done, all int) {
		bar.ChangeMax(all)
		bar.Describe(view)
		_ = bar.Set(done)
	})
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if a.JSON {
		if checked.Findings == nil {
			checked.Findings = []store.Finding{}
		}
		if err := json.NewEncoder(out).Encode(checked.Findings); err != nil {
			return err
		}
	} else {
		for _, f := range checked.Findings {
			fmt.Fprintf(out, "%s: %s: %s\n", f.View, f.Subject, f.What)
		}
		fmt.Fprintf(out, "%d checks, %d quotes computed again, %d findings\n", len(checked.Views)+1, checked.Quotes, len(checked.Findings))
	}
	if len(checked.Findings) > 0 {
		return errFound
	}
	return nil
}

// progress draws a bar on a terminal and nothing elsewhere. max -1: not known yet.
func progress(max int, what string) *progressbar.ProgressBar {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return progressbar.DefaultSilent(int64(max), what)
	}
	return progressbar.NewOptions(max, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what),
		progressbar.OptionClearOnFinish(), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true))
}
