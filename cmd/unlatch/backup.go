package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/unlatch/unlatch/internal/localpg"
	"github.com/unlatch/unlatch/store"
)

type backupCmd struct {
	database    `embed:""`
	Out         string `required:"" type:"path" placeholder:"FILE" help:"File to write, ending in .tar; or a folder, in which the file is named after the moment."`
	WithoutKeys bool   `help:"Leave unlatch.key out: the file then opens no lock, and without a copy of the key elsewhere it is worthless."`
	Keep        int    `placeholder:"N" help:"Of the backups in the folder keep the newest N; 0 keeps all."`
}

// Help teaches what is in a backup and what is not.
func (backupCmd) Help() string {
	return `Runs beside serve and disturbs nobody. The file holds the database and the keys, is readable by its owner alone, and has been read
back when the command ends: treat it as a secret. Not in it: what the broker remembers (nothing is lost by that), WeChat's keys and
certificates, which you hold as files. docs/backup.md says how to restore, and what to do then.`
}

// Run writes a backup, reads it back and only then gives it its name.
func (b backupCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	if b.Keep < 0 {
		return errors.New("--keep is a number of backups, 0 to keep all")
	}
	if err := b.exists(); err != nil {
		return err
	}
	db, err := b.open(ctx, log, true)
	if err != nil {
		return err
	}
	return joinStop(b.write(ctx, db.url, out), db.stop)
}

// exists refuses a data folder in which open would make a new cluster.
func (d database) exists() error {
	if _, err := os.Stat(filepath.Join(d.Data, "postgres", "data", "PG_VERSION")); d.DatabaseURL == "" && d.Data != "" && err != nil {
		if _, err := os.Stat(filepath.Join(d.Data, "postgres", "data.upgraded", "PG_VERSION")); err == nil {
			return nil // an upgrade was cut off; open finishes it
		}
		return fmt.Errorf("%s holds no installation", d.Data)
	}
	return nil
}

func (b backupCmd) write(ctx context.Context, url string, out io.Writer) error {
	frozen, err := store.Freeze(ctx, url)
	if err != nil {
		return err
	}
	defer frozen.Close()
	if frozen.Schema == 0 {
		return errors.New("this database holds no installation")
	}
	keyText, err := b.keyText(frozen.SigningKey)
	if err != nil {
		return err
	}
	path, folder := b.Out, ""
	if b.Keep > 0 || !strings.HasSuffix(b.Out, ".tar") { // a folder, made with the first backup
		if err := os.MkdirAll(b.Out, 0o700); err != nil {
			return fmt.Errorf("%s is to be the folder of backups: %w", b.Out, err)
		}
	}
	if info, err := os.Stat(b.Out); err == nil && info.IsDir() {
		folder, path = b.Out, filepath.Join(b.Out, "unlatch-"+frozen.At.UTC().Format("20060102T150405.000Z")+".tar")
	}
	tables := progress(len(frozen.Rows), "dumping")
	write := func(f *os.File) error {
		a := &archiveWriter{f: f}
		if err := a.add(dumpName, frozen.At, func(w io.Writer) error {
			into := &firstError{w: w}
			err := localpg.Dump(ctx, localpg.Dumping{URL: url, Major: frozen.Server, Snapshot: frozen.Snapshot, Table: func(name string) {
				tables.Describe("dumping " + name)
				_ = tables.Add(1)
			}}, into)
			return cmp.Or(into.err, err) // that pg_dump was cut off says less than why
		}); err != nil {
			return err
		}
		if keyText != nil {
			if err := a.add(keyFile, frozen.At, func(w io.Writer) error { _, err := w.Write(keyText); return err }); err != nil {
				return err
			}
		}
		_ = tables.Finish()
		return a.finish(manifest{Facts: frozen.Facts})
	}
	var size int64
	err = inPlace(path, write, func(written string) error {
		a, err := openArchive(written)
		if err != nil {
			return err
		}
		defer a.close()
		size, err = a.check(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	frozen.Close()
	if err := store.NoteBackup(ctx, url, frozen.At); err != nil {
		fmt.Fprintf(os.Stderr, "unlatch: the backup is whole, but the database cannot remember when it was taken: %v\n", err)
	}
	fmt.Fprintf(out, "%s holds the database as of %s, %d bytes, and was read back.\n", path, frozen.At.UTC().Format(time.RFC3339), size)
	if keyText != nil {
		fmt.Fprintf(out, "It holds %s, which signs what your devices obey: keep it as you keep a password.\n", keyFile)
	} else {
		fmt.Fprintf(out, "It holds no %s: without your own copy of that file nothing can be served from it.\n", keyFile)
	}
	if folder == "" {
		return nil
	}
	return prune(folder, b.Keep, out)
}

// firstError remembers why a write failed.
type firstError struct {
	w   io.Writer
	err error
}

func (f *firstError) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if f.err == nil {
		f.err = err
	}
	return n, err
}

// check verifies with a bar and returns how many bytes the parts have.
func (a *archive) check(ctx context.Context) (size int64, err error) {
	for _, p := range a.Parts {
		size += p.Bytes
	}
	bar := progress(int(size), "reading back")
	err = a.verify(ctx, func(n int) { _ = bar.Add(n) })
	_ = bar.Finish()
	return size, err
}

// keyText is the key file, after a look at whether it is the database's; nil where it
// is to be left out.
func (b backupCmd) keyText(signing string) ([]byte, error) {
	if b.WithoutKeys {
		return nil, nil
	}
	path := filepath.Join(b.Data, keyFile)
	text, err := os.ReadFile(path)
	if b.Data == "" || errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s to put into the backup: give --data, the folder that holds it, or --without-keys if you keep it elsewhere", keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	k, _, err := loadKeys("", "", b.Data)
	if err != nil {
		return nil, err
	}
	if !k.fits(signing) {
		return nil, fmt.Errorf("%s is key %s, and the database belongs to %s; a backup with it could not be served from", path, k.keyID(), signing)
	}
	return text, nil
}

// backupName is what backups in a folder are called; what sorts last is the newest.
var backupName = regexp.MustCompile(`^unlatch-\d{8}T\d{6}\.\d{3}Z\.tar$`)

// prune removes all but the newest backups of a folder.
func prune(folder string, keep int, out io.Writer) error {
	if keep == 0 {
		return nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && backupName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	for _, name := range names[:max(len(names)-keep, 0)] {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			return fmt.Errorf("remove an old backup: %w", err)
		}
		fmt.Fprintf(out, "Removed %s.\n", name)
	}
	return nil
}
