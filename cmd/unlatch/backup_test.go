package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// home is a small installation: a migrated database with a venue, and its keys.
type home struct {
	url, data string
	keys      keys
	log       *slog.Logger
}

func newHome(t *testing.T) home {
	t.Helper()
	h := home{url: testkit.Database(t), data: t.TempDir(), log: slog.New(slog.DiscardHandler)}
	var err error
	if _, err = store.Migrate(t.Context(), h.url); err != nil {
		t.Fatal(err)
	}
	if h.keys, _, err = loadKeys("", "", h.data); err != nil {
		t.Fatal(err)
	}
	db := h.open(t)
	defer db.Close()
	if _, err := db.ClaimSetting(t.Context(), "signing_key", h.keys.keyID()); err != nil {
		t.Fatal(err)
	}
	if err := db.PutVenue(t.Context(), order.Venue{ID: "campus", Name: "Campus", TimeZone: "Asia/Shanghai", Open: true}, seedAudit("seed", "test")); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h home) open(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: h.url, MaxConns: 2, IdentityKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (h home) backup(t *testing.T, bend ...func(*backupCmd)) (path string, err error) {
	t.Helper()
	c := backupCmd{database: database{DatabaseURL: h.url, Data: h.data}, Out: filepath.Join(t.TempDir(), "backup.tar")}
	for _, f := range bend {
		f(&c)
	}
	return c.Out, c.Run(t.Context(), h.log, io.Discard)
}

func TestBackupIsRefusedWhereItWouldBeWorthless(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	other := t.TempDir()
	if _, _, err := loadKeys("", "", other); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bend func(*backupCmd)
		says string
	}{
		"no keys":              {func(b *backupCmd) { b.Data = "" }, "--without-keys"},
		"somebody else's keys": {func(b *backupCmd) { b.Data = other }, "could not be served from"},
		"an empty database":    {func(b *backupCmd) { b.DatabaseURL = testkit.Database(t) }, "holds no installation"},
		"an empty folder":      {func(b *backupCmd) { b.DatabaseURL, b.Data = "", t.TempDir() }, "holds no installation"},
	} {
		path, err := h.backup(t, c.bend)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

func TestBackupsInAFolderArePruned(t *testing.T) {
	h := newHome(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "unlatch-notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var newest string
	for range 3 {
		if _, err := h.backup(t, func(b *backupCmd) { b.Out, b.Keep = folder, 2 }); err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(folder, "*.tar"))
		if err != nil || len(left) == 0 || left[len(left)-1] == newest {
			t.Fatalf("backups: %v, %v", left, err)
		}
		newest = left[len(left)-1]
	}
	left, _ := os.ReadDir(folder)
	if len(left) != 3 { // two and the notes
		t.Errorf("left: %v", left)
	}
	info, err := os.Stat(newest)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want 0600", info.Mode(), err)
	}
	db := h.open(t)
	defer db.Close()
	if at, err := db.Setting(t.Context(), "last_backup"); err != nil || at == "" {
		t.Errorf("the database does not know of its backups: %q, %v", at, err)
	}
}

// ownerOf makes a database that belongs to a user who is no superuser, as on a managed
// server, and returns that user's URL of it.
func ownerOf(t *testing.T) string {
	t.Helper()
	address := testkit.Database(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	name := fmt.Sprintf("owner_%d", time.Now().UnixNano())
	for _, sql := range []string{"CREATE ROLE " + name + " LOGIN CREATEROLE", "ALTER DATABASE " + strings.TrimPrefix(u.Path, "/") + " OWNER TO " + name} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	u.User = url.User(name)
	return u.String()
}

// TestRestoreGivesBackWhatWasBackedUp: rows, rights, triggers and the schema's version,
// into a database of another owner.
func TestRestoreGivesBackWhatWasBackedUp(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	file, err := h.backup(t)
	if err != nil {
		t.Fatal(err)
	}
	target, data := ownerOf(t), filepath.Join(t.TempDir(), "data")
	var said bytes.Buffer
	r := restoreCmd{database: database{DatabaseURL: target, Data: data}, File: file}
	if err := r.Run(t.Context(), h.log, &said); err != nil {
		t.Fatal(err)
	}
	if k, _, err := loadKeys("", "", data); err != nil || k.keyID() != h.keys.keyID() {
		t.Errorf("keys: %v", err)
	}
	before, err := store.CountRows(t.Context(), h.url)
	if err != nil {
		t.Fatal(err)
	}
	after, err := store.CountRows(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	before.Rows["settings"] = after.Rows["settings"] // the backup's time is noted here, the restore's there
	if err := sameRows(before.Rows, after.Rows); err != nil || before.Schema != after.Schema {
		t.Errorf("%v; schema %d and %d", err, before.Schema, after.Schema)
	}
	if pending, err := store.Pending(t.Context(), target); err != nil || pending {
		t.Errorf("migrations are pending: %v, %v", pending, err)
	}
	conn, err := pgx.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, role := range []string{"SET ROLE unlatch_app", "RESET ROLE"} {
		for _, change := range []string{`UPDATE audits SET reason = 'x'`, `DELETE FROM audits`} {
			if _, err := conn.Exec(t.Context(), role); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Exec(t.Context(), change); err == nil {
				t.Errorf("%s after %s went through: history can be changed", change, role)
			}
		}
	}
	if _, err := conn.Exec(t.Context(), `SET ROLE unlatch_app; INSERT INTO updates (subject, payload) VALUES ('x', '{}')`); err != nil {
		t.Errorf("the application cannot work: %v", err)
	}
	if !strings.Contains(said.String(), "docs/backup.md") {
		t.Errorf("said %q", said.String())
	}
	if err := r.Run(t.Context(), h.log, io.Discard); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second restore: %v, want that the database is not empty", err)
	}
}

// bent writes a backup whose parts and manifest are changed.
func bent(t *testing.T, file string, change func(m *manifest, parts map[string][]byte)) string {
	t.Helper()
	a, err := openArchive(file)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	parts := map[string][]byte{}
	var names []string
	for _, p := range a.Parts {
		if parts[p.Name], err = io.ReadAll(a.part(p.Name)); err != nil {
			t.Fatal(err)
		}
		names = append(names, p.Name)
	}
	m := a.manifest
	m.Parts = slices.Clone(m.Parts)
	change(&m, parts)
	path := filepath.Join(t.TempDir(), "bent.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := &archiveWriter{f: f}
	for _, name := range names {
		if err := w.add(name, time.Now(), func(w io.Writer) error { _, err := w.Write(parts[name]); return err }); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.add(manifestName, time.Now(), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRestoreRefusesWhatItCannotDoWhole(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	file, err := h.backup(t)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.tar")
	if err := os.WriteFile(cut, whole[:len(whole)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	used, foreign := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "something"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := loadKeys("", "", foreign); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file, data, says string
	}{
		"a byte of the dump differs": {file: bent(t, file, func(_ *manifest, p map[string][]byte) { p[dumpName][len(p[dumpName])/2] ^= 1 }), says: "sha256"},
		"a byte of the keys differs": {file: bent(t, file, func(_ *manifest, p map[string][]byte) { p[keyFile][30] ^= 1 }), says: "sha256"},
		"the file is cut off":        {file: cut, says: "not a whole backup"},
		"a row is missing":           {file: bent(t, file, func(m *manifest, _ map[string][]byte) { m.Facts.Rows["audits"]++ }), says: "table audits has"},
		"a newer schema":             {file: bent(t, file, func(m *manifest, _ map[string][]byte) { m.Facts.Schema = 9999 }), says: "restore with that version"},
		"a newer Postgres":           {file: bent(t, file, func(m *manifest, _ map[string][]byte) { m.Facts.Server = 99 }), says: "postgresql-client-99"},
		"a newer format":             {file: bent(t, file, func(m *manifest, _ map[string][]byte) { m.Format = 2 }), says: "newer unlatch"},
		"no backup at all":           {file: filepath.Join(h.data, keyFile), says: "not a whole backup"},
		"a folder in use":            {file: file, data: used, says: "not empty"},
		"another key in the folder":  {file: file, data: foreign, says: "the backup belongs to"},
	} {
		t.Run(name, func(t *testing.T) {
			data := c.data
			if data == "" {
				data = serverFolder(t)
			}
			before, _ := os.ReadDir(data)
			err := restoreCmd{database: database{Data: data}, File: c.file}.Run(t.Context(), h.log, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if after, _ := os.ReadDir(data); len(after) != len(before) {
				t.Errorf("left behind: %v", after)
			}
		})
	}
}

// TestARestoreThatBreaksOffIsServedByNobody: into a database that is not ours to throw away.
func TestARestoreThatBreaksOffIsServedByNobody(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	file, err := h.backup(t)
	if err != nil {
		t.Fatal(err)
	}
	short := bent(t, file, func(m *manifest, _ map[string][]byte) { m.Facts.Rows["audits"]++ })
	power := errors.New("the power is cut")
	for name, r := range map[string]restoreCmd{
		"between load and mark": {File: file, loaded: func() error { return power }},
		"a row is missing":      {File: short},
	} {
		r.DatabaseURL = ownerOf(t)
		if err := r.Run(t.Context(), h.log, io.Discard); err == nil {
			t.Errorf("%s: the restore came to its end", name)
		}
		if facts, err := store.CountRows(t.Context(), r.DatabaseURL); err != nil || facts.Rows["venues"] != 1 {
			t.Errorf("%s: %v, %v; want that it was loaded", name, facts.Rows, err)
		}
		db, err := store.Open(t.Context(), store.Config{URL: r.DatabaseURL, MaxConns: 2, IdentityKey: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.TakeIn(t.Context()); !errors.Is(err, store.ErrHalfRestored) {
			t.Errorf("%s: a replica starts with %v, want ErrHalfRestored", name, err)
		}
		db.Close()
	}
}

// TestRestoreIntoAFolder goes once round: a private cluster comes out of a backup, is
// backed up while it stands still, and is refused an upgrade to what it is.
func TestRestoreIntoAFolder(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	file, err := h.backup(t, func(b *backupCmd) { b.WithoutKeys, b.Data = true, "" })
	if err != nil {
		t.Fatal(err)
	}
	data := serverFolder(t)
	if err := os.MkdirAll(filepath.Join(data, restoring, "data"), 0o700); err != nil { // of one that was cut off
		t.Fatal(err)
	}
	var said bytes.Buffer
	if err := (restoreCmd{database: database{Data: data}, File: file, Migrate: true}).Run(t.Context(), h.log, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "put your copy of key "+h.keys.keyID()) {
		t.Errorf("said %q, want that the keys are missing", said.String())
	}
	if err := h.keys.save(filepath.Join(data, keyFile)); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again.tar")
	if err := (backupCmd{database: database{Data: data}, Out: again}).Run(t.Context(), h.log, io.Discard); err != nil {
		t.Errorf("back up while it stands still: %v", err)
	}
	err = upgradeDatabaseCmd{Data: data}.Run(t.Context(), h.log, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no newer Postgres is installed") {
		t.Errorf("upgrade: %v, want that there is nothing newer", err)
	}
	if err := (upgradeDatabaseCmd{Data: data, RemoveOld: true}).Run(t.Context(), h.log, &said); err != nil || !strings.Contains(said.String(), "nothing to remove") {
		t.Errorf("remove what an upgrade kept: %v", err)
	}
	if err := (upgradeDatabaseCmd{Data: t.TempDir()}).Run(t.Context(), h.log, io.Discard); err == nil || !strings.Contains(err.Error(), "holds no installation") {
		t.Errorf("upgrade of an empty folder: %v", err)
	}
	if err := (restoreCmd{database: database{Data: data}, MarkOnly: time.Now().Add(-time.Hour)}).Run(t.Context(), h.log, io.Discard); err != nil {
		t.Errorf("mark: %v", err)
	}
	db, err := database{Data: data}.open(t.Context(), h.log, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.stop() }()
	if err := sameDatabase(t.Context(), db.url, db.url); err != nil {
		t.Errorf("a database differs from itself: %v", err)
	}
	if err := sameDatabase(t.Context(), db.url, h.url); err == nil {
		t.Error("a database is the same as one with other rows")
	}
}
