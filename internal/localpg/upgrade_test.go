package localpg

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// anyVersion lets an upgrade go to whatever is installed, so that its machinery runs on a
// machine with one version.
func anyVersion(from installation, installed []installation) (installation, error) {
	newest := from
	for _, i := range installed {
		if i.major > newest.major {
			newest = i
		}
	}
	return newest, nil
}

func nothing(context.Context, string) error          { return nil }
func nothing2(context.Context, string, string) error { return nil }

// filled is a folder with a stopped cluster that holds something.
func filled(t *testing.T) string {
	t.Helper()
	dir := folder(t)
	c := mustStart(t, dir)
	if _, err := connect(t, c).Exec(deadline(t), `CREATE ROLE reader NOLOGIN;
		CREATE TABLE kept AS SELECT n, 'fen ' || n AS text FROM generate_series(1, 1000) n; GRANT SELECT ON kept TO reader`); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestUpgradeCarriesEverythingAndKeepsTheOldCluster(t *testing.T) {
	dir := filled(t)
	var tables []string
	compared := false
	done, err := upgrade(deadline(t), Upgrading{Dir: dir, Table: func(name string) { tables = append(tables, name) },
		Prepare: func(ctx context.Context, url string) error {
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			_, err = conn.Exec(ctx, "CREATE ROLE reader NOLOGIN")
			return err
		},
		Check: func(ctx context.Context, before, after string) error {
			compared = before != after
			return nil
		}}, searchFolders(), anyVersion)
	if err != nil {
		t.Fatal(err)
	}
	if !compared || len(tables) != 1 || tables[0] != "kept" {
		t.Errorf("compared %v, tables %q", compared, tables)
	}
	if _, err := os.Stat(filepath.Join(done.Kept, "PG_VERSION")); err != nil {
		t.Errorf("the old cluster: %v", err)
	}
	c := mustStart(t, dir)
	conn := connect(t, c)
	if sum := one[int](t, conn, "SELECT sum(n)::int FROM kept"); sum != 500500 {
		t.Errorf("sum of what was kept: got %d, want 500500", sum)
	}
	if !one[bool](t, conn, "SELECT has_table_privilege('reader', 'kept', 'SELECT')") {
		t.Error("a right was lost")
	}
	if _, err := RemoveOld(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("removing the old cluster beside a running one: %v, want ErrInUse", err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if removed, err := RemoveOld(dir); err != nil || len(removed) != 1 || removed[0] != done.Kept {
		t.Errorf("removed %v, %v", removed, err)
	}
	one[int](t, connect(t, mustStart(t, dir)), "SELECT 1")
}

func TestUpgradeNeedsANewerVersion(t *testing.T) {
	dir := filled(t)
	if len(majors(t)) > 1 {
		t.Skip("several versions are installed")
	}
	_, err := Upgrade(deadline(t), Upgrading{Dir: dir, Prepare: nothing, Check: nothing2})
	if !errors.Is(err, ErrNothingNewer) || !strings.Contains(err.Error(), "install the newer server") {
		t.Errorf("got %v, want ErrNothingNewer with what to do", err)
	}
	one[int](t, connect(t, mustStart(t, dir)), "SELECT n FROM kept LIMIT 1")
}

// TestUpgradeToAnotherVersion runs where two are installed.
func TestUpgradeToAnotherVersion(t *testing.T) {
	installed := majors(t)
	if len(installed) < 2 {
		t.Skip("one version of Postgres is installed")
	}
	dir := folder(t)
	oldest := installed[0]
	for _, i := range installed {
		if i.major < oldest.major {
			oldest = i
		}
	}
	as, err := serverIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if err := makeCluster(deadline(t), oldest, filepath.Join(dir, "data"), as); err != nil {
		t.Fatal(err)
	}
	c := mustStart(t, dir)
	if _, err := connect(t, c).Exec(deadline(t), "CREATE TABLE kept AS SELECT 7 AS n"); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	done, err := Upgrade(deadline(t), Upgrading{Dir: dir, Prepare: nothing, Check: nothing2})
	if err != nil || done.From == done.To {
		t.Fatalf("%+v, %v", done, err)
	}
	if n := one[int](t, connect(t, mustStart(t, dir)), "SELECT n FROM kept"); n != 7 {
		t.Errorf("row: got %d, want 7", n)
	}
}

func majors(t *testing.T) []installation {
	t.Helper()
	var found []installation
	seen := map[int]bool{}
	for _, i := range findInstallations(deadline(t), searchFolders()) {
		if !seen[i.major] {
			found = append(found, i)
		}
		seen[i.major] = true
	}
	return found
}

func TestAFailedUpgradeLeavesTheClusterAsItWas(t *testing.T) {
	dir := filled(t)
	why := errors.New("a row is missing")
	for name, u := range map[string]Upgrading{
		"the comparison refuses": {Dir: dir, Prepare: func(ctx context.Context, url string) error {
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			_, err = conn.Exec(ctx, "CREATE ROLE reader NOLOGIN")
			return err
		}, Check: func(context.Context, string, string) error { return why }},
		"a role is missing": {Dir: dir, Prepare: nothing, Check: nothing2},
	} {
		if _, err := upgrade(deadline(t), u, searchFolders(), anyVersion); err == nil {
			t.Errorf("%s: the upgrade succeeded", name)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "data" && e.Name() != "lock" {
				t.Errorf("%s: left behind: %s", name, e.Name())
			}
		}
	}
	c := mustStart(t, dir)
	one[int](t, connect(t, c), "SELECT n FROM kept LIMIT 1")
}

// TestACutOffExchangeIsFinished cuts the power between any two of its steps.
func TestACutOffExchangeIsFinished(t *testing.T) {
	for name, c := range map[string]struct {
		have []string // folders, each with its own name in PG_VERSION
		want string   // whose cluster serves
	}{
		"before the old one went": {[]string{"data", upgradedName}, "data"},
		"after the old one went":  {[]string{keptPrefix + "15", upgradedName}, upgradedName},
		"finished":                {[]string{"data", keptPrefix + "15"}, "data"},
	} {
		dir := folder(t)
		for _, f := range c.have {
			if err := os.Mkdir(filepath.Join(dir, f), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, f, "PG_VERSION"), []byte(f), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := settle(dir, filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "data", "PG_VERSION"))
		if err != nil || string(text) != c.want {
			t.Errorf("%s: serves %q (%v), want %q", name, text, err, c.want)
		}
		if _, err := os.Stat(filepath.Join(dir, upgradedName)); err == nil {
			t.Errorf("%s: %s is left", name, upgradedName)
		}
	}
}

func TestDumpsAreReadBack(t *testing.T) {
	c := mustStart(t, folder(t))
	if _, err := connect(t, c).Exec(deadline(t), "CREATE TABLE kept AS SELECT 7 AS n"); err != nil {
		t.Fatal(err)
	}
	major := one[int](t, connect(t, c), "SELECT current_setting('server_version_num')::int / 10000")
	var dump bytes.Buffer
	if err := Dump(deadline(t), Dumping{URL: c.URL(DefaultDatabase), Major: major}, &dump); err != nil {
		t.Fatal(err)
	}
	if err := List(deadline(t), major, bytes.NewReader(dump.Bytes())); err != nil {
		t.Errorf("contents: %v", err)
	}
	if err := List(deadline(t), major, strings.NewReader("no dump")); err == nil {
		t.Error("something else was taken for a dump")
	}
	if err := c.CreateDatabase(deadline(t), "second"); err != nil {
		t.Fatal(err)
	}
	half := bytes.NewReader(dump.Bytes()[:dump.Len()/2])
	if err := Load(deadline(t), Dumping{URL: c.URL("second"), Major: major}, half); err == nil {
		t.Error("half a dump was loaded")
	}
	if err := Load(deadline(t), Dumping{URL: c.URL("second"), Major: major}, &dump); err != nil {
		t.Errorf("after half a load: %v", err)
	}
	_, err := Tool(deadline(t), "pg_dump", 99)
	if !errors.Is(err, ErrNoTool) || !strings.Contains(err.Error(), "postgresql-client-99") {
		t.Errorf("a tool of version 99: %v", err)
	}
}

func TestPasswordsDoNotStandOnCommandLines(t *testing.T) {
	plain, password, err := libpq("postgres://ada:s%40cret@db.example.cn:5432/unlatch?sslmode=require&pool_max_conns=7")
	if err != nil || password != "s@cret" || strings.Contains(plain, "cret") || !strings.Contains(plain, "sslmode=require") || strings.Contains(plain, "pool") {
		t.Errorf("%q, %q, %v", plain, password, err)
	}
	if _, _, err := libpq("host=db password=secret"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("another form: %v", err)
	}
}
