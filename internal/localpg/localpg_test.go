package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// childFolder makes this test binary a process that starts a cluster in the named
// folder, prints a line and waits to be killed.
const childFolder = "LOCALPG_TEST_CHILD_FOLDER"

func TestMain(m *testing.M) {
	if dir, ok := os.LookupEnv(childFolder); ok {
		c, err := Start(context.Background(), Config{Dir: dir})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(c.dir)
		select {}
	}
	goleak.VerifyTestMain(m)
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// folder is a temporary one that the server's user can enter, which testing's
// own, of mode 0700, keeps closed when the test runs as root.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustStart(t *testing.T, dir string) *Cluster {
	t.Helper()
	c, err := Start(deadline(t), Config{Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	return c
}

func connect(t *testing.T, c *Cluster) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(deadline(t), c.URL(DefaultDatabase))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func one[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var got T
	if err := conn.QueryRow(deadline(t), sql).Scan(&got); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func TestStartedClusterIsDurableAndPrivate(t *testing.T) {
	c := mustStart(t, folder(t))
	conn := connect(t, c)
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on",
		"listen_addresses": "", "server_encoding": "UTF8", "max_connections": "100",
	} {
		if got := one[string](t, conn, "SHOW "+setting); got != want {
			t.Errorf("%s: got %q, want %q", setting, got, want)
		}
	}
	if got := one[string](t, conn, "SELECT current_user::text"); got != Owner {
		t.Errorf("user: got %s, want %s", got, Owner)
	}
	info, err := os.Stat(c.socket)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("socket folder: got %v, %v, want mode 0700", info, err)
	}
	if path := filepath.Join(c.socket, socketFile); len(path) > 107 {
		t.Errorf("socket path %s: %d bytes, want at most 107", path, len(path))
	}
}

func TestServerNeverRunsAsRoot(t *testing.T) {
	c := mustStart(t, folder(t))
	info, err := os.Stat(fmt.Sprintf("/proc/%d", c.server.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid == 0 {
		t.Error("the server runs as root")
	}
}

func TestCreatedDatabasesAreNamedOnce(t *testing.T) {
	c := mustStart(t, folder(t))
	ctx := deadline(t)
	name := `odd "name"`
	if err := c.CreateDatabase(ctx, name); err != nil {
		t.Fatalf("create: %v", err)
	}
	if err := c.CreateDatabase(ctx, name); !errors.Is(err, ErrDatabaseExists) {
		t.Errorf("create twice: got %v, want ErrDatabaseExists", err)
	}
	conn, err := pgx.Connect(ctx, c.URL(name))
	if err != nil {
		t.Fatalf("connect to %s: %v", name, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for range 2 {
		if err := c.DropDatabase(ctx, name); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
}

func TestKilledServerIsRecoveredByTheNextStart(t *testing.T) {
	dir := folder(t)
	c := mustStart(t, dir)
	conn := connect(t, c)
	if _, err := conn.Exec(deadline(t), "CREATE TABLE kept AS SELECT 7 AS n"); err != nil {
		t.Fatal(err)
	}
	if err := c.server.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := c.Stop(); err != nil {
		t.Fatalf("stop after the kill: %v", err)
	}
	again := mustStart(t, dir)
	if got, want := again.URL("x"), c.URL("x"); got != want {
		t.Errorf("URL after a restart: got %s, want %s", got, want)
	}
	if got := one[int](t, connect(t, again), "SELECT n FROM kept"); got != 7 {
		t.Errorf("row: got %d, want 7", got)
	}
}

func TestFolderHasOneClusterAtATime(t *testing.T) {
	dir := folder(t)
	first := mustStart(t, dir)
	if _, err := Start(deadline(t), Config{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Fatalf("second start: got %v, want ErrInUse", err)
	}
	one[int](t, connect(t, first), "SELECT 1") // the first is unharmed
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	mustStart(t, dir)
}

// startChild runs a cluster in a process of its own and returns once it is up.
func startChild(t *testing.T, dir string) (cmd *exec.Cmd, clusterDir string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if clusterDir == "" {
			return
		}
		// The server notices its parent's death a moment later and still writes its
		// last checkpoint, into a folder that testing is about to remove.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := stopStale(ctx, filepath.Join(clusterDir, "data")); err != nil {
			t.Errorf("server of the killed process: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("child: %q, %v", line, err)
	}
	return cmd, strings.TrimSpace(line)
}

func TestServerDiesWithItsParent(t *testing.T) {
	dir := folder(t)
	child, clusterDir := startChild(t, dir)
	data := filepath.Join(clusterDir, "data")
	watch := &Cluster{socket: socketFolder(data)}
	conn := connect(t, watch)

	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx := deadline(t)
	if _, err := conn.WaitForNotification(ctx); err == nil || ctx.Err() != nil {
		t.Fatalf("the server outlived its parent: %v", err)
	}
	c := mustStart(t, dir) // waits for the rest of the shutdown
	one[int](t, connect(t, c), "SELECT 1")
}

func TestTemporaryClusterIsRemovedByStop(t *testing.T) {
	t.Setenv("TMPDIR", folder(t))
	c := mustStart(t, "")
	dir, socket := c.dir, c.socket
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, socket} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after Stop: got %v, want it gone", path, err)
		}
	}
	if err := c.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func TestTemporaryClusterOfADeadProcessIsSweptAndALiveOneKept(t *testing.T) {
	t.Setenv("TMPDIR", folder(t))
	dead, deadDir := startChild(t, "")
	_, liveDir := startChild(t, "")
	t.Cleanup(func() { _ = os.RemoveAll(socketFolder(filepath.Join(liveDir, "data"))) })
	_ = dead.Process.Kill()
	_ = dead.Wait()
	mustStart(t, "")
	if _, err := os.Stat(deadDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dead process' folder: got %v, want it gone", err)
	}
	if _, err := os.Stat(filepath.Join(liveDir, "data", "PG_VERSION")); err != nil {
		t.Errorf("live process' folder: %v", err)
	}
}

func TestStaleServerIsStoppedBeforeTheNextOneStarts(t *testing.T) {
	dir, err := filepath.EvalSymlinks(folder(t))
	if err != nil {
		t.Fatal(err)
	}
	c := mustStart(t, dir)
	pid := c.server.cmd.Process.Pid
	// The parent forgets its server and the lock, as if the kernel had not told
	// the server of the parent's death.
	if err := c.lock.Close(); err != nil {
		t.Fatal(err)
	}
	next := mustStart(t, dir)
	<-c.Done()
	if got := next.server.cmd.Process.Pid; got == pid {
		t.Errorf("server: got process %d again, want a new one", got)
	}
	one[int](t, connect(t, next), "SELECT 1")
}

func TestForeignPostmasterFileIsNotBelieved(t *testing.T) {
	for name, content := range map[string]string{
		"another program's pid": strconv.Itoa(os.Getpid()) + "\n/elsewhere\n",
		"empty":                 "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t)
			c := mustStart(t, dir)
			if err := c.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.data, "postmaster.pid"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			one[int](t, connect(t, mustStart(t, dir)), "SELECT 1")
		})
	}
}

func TestInterruptedInitIsRepeated(t *testing.T) {
	dir := folder(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	one[int](t, connect(t, mustStart(t, dir)), "SELECT 1")
}

func TestMissingServerIsExplainedWithTheExactCommand(t *testing.T) {
	dir := folder(t)
	_, err := start(deadline(t), Config{Dir: dir, Log: slog.New(slog.DiscardHandler), MaxConnections: 100}, []string{folder(t)})
	if !errors.Is(err, ErrNoServer) {
		t.Fatalf("got %v, want ErrNoServer", err)
	}
	for _, want := range []string{"apt-get install -y postgresql", "create_main_cluster = false", "UNLATCH_DATABASE_URL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("folder: got %v, want nothing made", entries)
	}
}

func TestClusterOfAnotherVersionIsLeftAlone(t *testing.T) {
	dir := folder(t)
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(deadline(t), Config{Dir: dir}); !errors.Is(err, ErrOtherVersion) {
		t.Errorf("got %v, want ErrOtherVersion", err)
	}
}

func TestClosedParentFolderIsNamed(t *testing.T) {
	id := identity{name: "somebody", uid: 64000, gid: 64000, drop: true}
	closed := filepath.Join(folder(t), "closed")
	inside := filepath.Join(closed, "inside")
	if err := os.MkdirAll(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := id.canReach(inside); err != nil {
		t.Errorf("open parents: %v", err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	err := id.canReach(inside)
	if !errors.Is(err, ErrNotReachable) || !strings.HasSuffix(err.Error(), "chmod o+x "+closed) {
		t.Errorf("got %v, want ErrNotReachable naming %s", err, closed)
	}
}

func TestSocketFolderOfAnotherUserIsRefused(t *testing.T) {
	if os.Getuid() != 0 {
		// Only root can hand a folder to another user; for all others the owner
		// of the folder is themselves, and it is accepted.
		t.Setenv("TMPDIR", folder(t))
		if _, err := makeSocketFolder("/somewhere/data", identity{uid: os.Getuid()}); err != nil {
			t.Error(err)
		}
		return
	}
	t.Setenv("TMPDIR", folder(t))
	dir := socketFolder("/somewhere/data")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, 64000, 64000); err != nil {
		t.Fatal(err)
	}
	if _, err := makeSocketFolder("/somewhere/data", identity{uid: 64001}); err == nil {
		t.Error("a foreign folder was taken for the socket")
	}
}

func TestCancelledStartLeavesNothingRunning(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := folder(t)
	if _, err := Start(ctx, Config{Dir: dir}); err == nil {
		t.Fatal("a cancelled start succeeded")
	}
	mustStart(t, dir)
}
