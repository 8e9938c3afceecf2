package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/unlatch/unlatch/internal/localpg"
	"github.com/unlatch/unlatch/store"
)

type upgradeDatabaseCmd struct {
	Data      string `required:"" env:"UNLATCH_DATA" type:"path" placeholder:"DIR" help:"Folder of the installation; nobody may be serving from it."`
	RemoveOld bool   `help:"Remove the cluster that an earlier upgrade has kept, and do nothing else."`
}

// Help teaches when it is needed.
func (upgradeDatabaseCmd) Help() string {
	return `Brings the private cluster to the newest Postgres that is installed here. Both versions must be installed. The database is copied,
counted and audited, and only then takes the old one's place, which is kept beside it until --remove-old. It needs as much room again as
the database has. With your own Postgres use what comes with it.`
}

// Run upgrades, or removes what an upgrade has kept.
func (u upgradeDatabaseCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	dir := filepath.Join(u.Data, "postgres")
	if err := (database{Data: u.Data}).exists(); err != nil {
		return err
	}
	if u.RemoveOld {
		removed, err := localpg.RemoveOld(dir)
		for _, path := range removed {
			fmt.Fprintf(out, "Removed %s.\n", path)
		}
		if err == nil && len(removed) == 0 {
			fmt.Fprintln(out, "There was nothing to remove.")
		}
		return inUse(err)
	}
	bar := progress(-1, "copying")
	done, err := localpg.Upgrade(ctx, localpg.Upgrading{Dir: dir, Log: log, Prepare: store.MakeRole, Check: sameDatabase,
		Table: func(name string) { bar.Describe("copying " + name); _ = bar.Add(1) }})
	_ = bar.Finish()
	if err != nil {
		return inUse(err)
	}
	fmt.Fprintf(out, "The database moved from Postgres %s to %s.\nThe old one is kept in %s; when all is well: unlatch upgrade-database --data %s --remove-old\n",
		done.From, done.To, done.Kept, u.Data)
	return nil
}

func inUse(err error) error {
	if errors.Is(err, localpg.ErrInUse) {
		return fmt.Errorf("%w: stop unlatch first", err)
	}
	return err
}

// sameDatabase holds a copy against its original: every table's rows, and no finding of
// the audit that the original has not.
func sameDatabase(ctx context.Context, before, after string) error {
	var facts [2]store.Facts
	var findings [2]int
	for i, url := range []string{before, after} {
		var err error
		if facts[i], err = store.CountRows(ctx, url); err != nil {
			return err
		}
		db, err := store.Open(ctx, store.Config{URL: url, MaxConns: 1, IdentityKey: make([]byte, 32)}) // no identity is read
		if err != nil {
			return err
		}
		checked, err := db.Audit(ctx, func(string, int, int) {})
		db.Close()
		if err != nil {
			return err
		}
		findings[i] = len(checked.Findings)
	}
	if err := sameRows(facts[0].Rows, facts[1].Rows); err != nil {
		return err
	}
	if findings[0] != findings[1] {
		return fmt.Errorf("the audit has %d findings of the copy, and %d of the original", findings[1], findings[0])
	}
	return nil
}
