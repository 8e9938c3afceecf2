package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/unlatch/unlatch/internal/localpg"
	"github.com/unlatch/unlatch/store"
)

type restoreCmd struct {
	database `embed:""`
	File     string    `arg:"" optional:"" type:"existingfile" help:"A file that unlatch backup wrote."`
	Migrate  bool      `help:"Bring the schema to this version afterwards."`
	Keys     string    `type:"existingfile" placeholder:"FILE" help:"The unlatch.key of now, where the signing key was rotated after the backup: devices obey it alone."`
	MarkOnly time.Time `placeholder:"TIME" help:"Restore nothing: mark a database that your provider has set back to this moment, such as 2026-11-23T04:00:00Z."`

	loaded func() error // a test breaks off here, between loading and counting; nil: nothing happens
}

// Help teaches what follows.
func (restoreCmd) Help() string {
	return `Writes into an empty data folder, all of it or nothing, or into an empty database (--database-url; with --data for the keys); one in
which it broke off is not served from: drop it. The folder may hold unlatch.key already; it must then be one that serve accepts for the backup. Was the signing key rotated after the
backup was taken? Then give the key file of now with --keys: what is restored signs with it, and keeps the backup's key as the one before.

Devices and WeChat went on after the backup. The database is marked, and the first serve on it takes that in: no device starts anything
before it has told what happened since. docs/backup.md is the list of what to look at then.`
}

// Run checks the file first, then the target, and writes last.
func (r restoreCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	switch {
	case !r.MarkOnly.IsZero() && r.File != "":
		return errors.New("--mark-only is for a database that was restored by other means; give it without a file")
	case !r.MarkOnly.IsZero():
		return r.mark(ctx, log, out)
	case r.File == "":
		return errors.New("give the file to restore from")
	case r.Data == "" && r.DatabaseURL == "":
		return errors.New("say where to: --data DIR, an empty folder, or --database-url URL, an empty database")
	}
	a, err := openArchive(r.File)
	if err != nil {
		return err
	}
	defer a.close()
	if known := store.SchemaVersion(); a.Facts.Schema > known {
		return fmt.Errorf("%s has schema %d, made by unlatch %s, and this program knows up to %d; restore with that version or a newer one",
			r.File, a.Facts.Schema, a.Version, known)
	}
	if _, err := a.check(ctx); err != nil {
		return err
	}
	k, err := r.keysFor(a)
	if err != nil {
		return err
	}
	if err := r.empty(a); err != nil {
		return err
	}
	if r.DatabaseURL != "" {
		if err := r.fill(ctx, a, r.DatabaseURL); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if err := r.putKeys(k); err != nil {
			return err
		}
	} else if err := r.fillFolder(ctx, a, k, log); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	r.report(a, out)
	return nil
}

func (r restoreCmd) mark(ctx context.Context, log *slog.Logger, out io.Writer) error {
	if err := r.exists(); err != nil {
		return err
	}
	db, err := r.open(ctx, log, true)
	if err != nil {
		return err
	}
	if err := joinStop(store.MarkRestored(ctx, db.url, r.MarkOnly, ""), db.stop); err != nil {
		return err
	}
	fmt.Fprintf(out, "The database is marked as the state of %s. The next serve takes that in; see docs/backup.md.\n", r.MarkOnly.UTC().Format(time.RFC3339))
	return nil
}

// restoring is where the private cluster is made; it gets its name when it is whole.
const restoring = "postgres.restoring"

// empty refuses a data folder that holds anything but the right keys and what a restore
// that was cut off has left.
func (r restoreCmd) empty(a *archive) error {
	if r.Data == "" {
		return nil
	}
	entries, err := os.ReadDir(r.Data)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Name() {
		case restoring, keyFileBefore, "lost+found":
		case keyFile:
			k, _, err := loadKeys("", "", r.Data)
			if err != nil {
				return err
			}
			if r.Keys != "" {
				return fmt.Errorf("%s is there already; give --keys with a new folder", filepath.Join(r.Data, keyFile))
			}
			if !k.fits(a.Facts.SigningKey) {
				return fmt.Errorf("%s is key %s, and the backup belongs to %s", filepath.Join(r.Data, keyFile), k.keyID(), a.Facts.SigningKey)
			}
		default:
			return fmt.Errorf("%s is not empty (%s); nothing was changed: give a new folder", r.Data, e.Name())
		}
	}
	return nil
}

// fillFolder makes a private cluster beside its final place and moves it there last: a
// folder has the restored installation or none.
func (r restoreCmd) fillFolder(ctx context.Context, a *archive, k *keys, log *slog.Logger) (err error) {
	if err := os.MkdirAll(r.Data, 0o755); err != nil {
		return err
	}
	fresh := filepath.Join(r.Data, restoring)
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(fresh)
		}
	}()
	c, err := localpg.Start(ctx, localpg.Config{Dir: fresh, Log: log})
	if err != nil {
		return err
	}
	if err := joinStop(r.fill(ctx, a, c.URL(localpg.DefaultDatabase)), c.Stop); err != nil {
		return err
	}
	if err := r.putKeys(k); err != nil {
		return err
	}
	return os.Rename(fresh, filepath.Join(r.Data, "postgres"))
}

// fill loads the dump, counts what came, marks it and migrates it if asked to. From
// before the first row until the mark nothing can be served from the database, wherever
// this breaks off: see store.BeginRestore.
func (r restoreCmd) fill(ctx context.Context, a *archive, url string) (err error) {
	before, err := store.CountRows(ctx, url)
	if err != nil {
		return err
	}
	if len(before.Rows) > 0 {
		return errors.New("the database is not empty; nothing was changed: give a new one")
	}
	if before.Server < a.Facts.Server {
		return fmt.Errorf("the backup is of Postgres %d, and this server is %d; restore into the same version or a newer one", a.Facts.Server, before.Server)
	}
	if err := store.MakeRole(ctx, url); err != nil {
		return fmt.Errorf("%w; somebody who may make roles must run: CREATE ROLE %s NOLOGIN; GRANT %s TO the user that you connect as", err, store.AppRole, store.AppRole)
	}
	if err := store.BeginRestore(ctx, url); err != nil {
		return err
	}
	bar := progress(len(a.Facts.Rows), "restoring")
	err = localpg.Load(ctx, localpg.Dumping{URL: url, Major: before.Server, Table: func(name string) {
		bar.Describe("restoring " + name)
		_ = bar.Add(1)
	}}, a.part(dumpName))
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if r.loaded != nil {
		if err := r.loaded(); err != nil {
			return err
		}
	}
	after, err := store.CountRows(ctx, url)
	if err != nil {
		return err
	}
	if err := sameRows(a.Facts.Rows, after.Rows); err != nil {
		return err
	}
	// What is whole is marked even if somebody pressed Ctrl-C by now.
	if err := store.MarkRestored(context.WithoutCancel(ctx), url, a.Facts.At, filepath.Base(a.path)); err != nil {
		return err
	}
	if r.Migrate {
		_, err = store.Migrate(ctx, url)
	}
	return err
}

// sameRows says which table has other rows than it should have.
func sameRows(want, got map[string]int64) error {
	for _, table := range slices.Sorted(maps.Keys(want)) {
		if n, there := got[table]; !there || n != want[table] {
			return fmt.Errorf("table %s has %d rows, and %d were expected", table, n, want[table])
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("there are %d tables, and %d were expected", len(got), len(want))
	}
	return nil
}

// keysFor are the keys to write: those of the backup, or those of now with the backup's
// as the ones before. nil where there are none, or no place for them.
func (r restoreCmd) keysFor(a *archive) (*keys, error) {
	if r.Keys != "" && r.Data == "" {
		return nil, errors.New("--keys is for the folder that --data names")
	}
	if r.Data == "" || !a.has(keyFile) && r.Keys == "" {
		return nil, nil
	}
	if !a.has(keyFile) {
		k, err := readKeys(r.Keys)
		if err == nil && !k.fits(a.Facts.SigningKey) {
			err = fmt.Errorf("the backup holds no %s, and %s knows key %s neither as the present nor as the one before: "+
				"set its previous_signing_key to the signing_key of your copy of that time", keyFile, r.Keys, a.Facts.SigningKey)
		}
		return &k, err
	}
	old, err := a.keys()
	if err != nil || r.Keys == "" {
		return &old, err
	}
	now, err := readKeys(r.Keys)
	if err != nil {
		return nil, err
	}
	k, err := now.after(old)
	if err == nil && !k.fits(a.Facts.SigningKey) {
		err = fmt.Errorf("the backup belongs to signing key %s, and its %s is %s", a.Facts.SigningKey, keyFile, old.keyID())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Keys, err)
	}
	return &k, nil
}

// after are these keys for an installation that goes back to when old was in force: its
// devices know these, and what its database says follows from old.
func (k keys) after(old keys) (keys, error) {
	if !bytes.Equal(k.Secret, old.Secret) {
		return k, errors.New("its secret is not the backup's: it is the key file of another installation")
	}
	if k.Previous = nil; k.keyID() != old.keyID() {
		k.Previous = old.Signing
	} else if old.Previous != nil {
		k.Previous = old.Previous
	}
	if before, was := k.identities()[0], old.identities(); before.ID == was[0].ID {
		k.Identity, k.PreviousIdentity = old.Identity, old.PreviousIdentity
	} else if len(was) == 1 && k.Identity != nil {
		k.PreviousIdentity = was[0].Key
	} else {
		return k, errors.New("the backup was taken while riders' identities moved to another key, and they moved once more since: restore without --keys, " +
			"and then set signing_key and previous_signing_key by hand")
	}
	return k, nil
}

// putKeys writes the keys, unless right ones are in place.
func (r restoreCmd) putKeys(k *keys) error {
	if k == nil {
		return nil
	}
	path := filepath.Join(r.Data, keyFile)
	if _, err := os.Stat(path); err == nil {
		return nil // they fit: see empty
	}
	return k.save(path)
}

func (r restoreCmd) report(a *archive, out io.Writer) {
	fmt.Fprintf(out, "Restored the state of %s, %s ago: %d orders, %d devices.\n", a.Facts.At.UTC().Format(time.RFC3339),
		time.Since(a.Facts.At).Round(time.Second), a.Facts.Rows["orders"], a.Facts.Rows["devices"])
	if _, err := os.Stat(filepath.Join(r.Data, keyFile)); r.Data == "" || err != nil {
		fmt.Fprintf(out, "No %s is in place: put your copy of key %s there before serve.\n", keyFile, a.Facts.SigningKey)
	}
	if !r.Migrate && a.Facts.Schema < store.SchemaVersion() {
		fmt.Fprintln(out, "The schema is older than this program: run unlatch migrate, or serve with --migrate.")
	}
	fmt.Fprintln(out, "Devices and WeChat know of what happened since. Before you serve, read docs/backup.md.")
}
