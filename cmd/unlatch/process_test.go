package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// TestMain lets the test binary be unlatch itself, so that tests can start, kill
// and stop real processes without building anything.
func TestMain(m *testing.M) {
	if os.Getenv("UNLATCH_TEST_BE_UNLATCH") != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	code := m.Run()
	if found := readSuiteLog(); len(found) > 0 {
		fmt.Println("FAIL: personal values in what the suite logged:")
		for _, line := range found {
			fmt.Println("   ", line)
		}
		code = max(code, 1)
	}
	os.Exit(code)
}

// process starts unlatch as a process of its own.
func process(t *testing.T, dir string, args ...string) *background {
	t.Helper()
	b := &background{cmd: exec.Command(os.Args[0], args...)}
	b.cmd.Dir, b.cmd.Env, b.cmd.Stdout, b.cmd.Stderr = dir, append(os.Environ(), "UNLATCH_TEST_BE_UNLATCH=1"), b, b
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

// running starts a small demo and waits for its ready file.
func running(t *testing.T, dir string, args ...string) (*background, readyFile) {
	t.Helper()
	path := filepath.Join(dir, "ready.json")
	_ = os.Remove(path)
	b := process(t, dir, append([]string{"demo", "--http", "127.0.0.1:0", "--sim", "127.0.0.1:0", "--wechat", "127.0.0.1:0",
		"--bikes", "4", "--riding", "1", "--pumps", "1", "--fuelling", "0", "--ready-file", path}, args...)...)
	b.until(t, 2*time.Minute, func() bool { _, err := os.Stat(path); return err == nil })
	var r readyFile
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b, r
}

// as logs a rider in at a running demo.
func as(t *testing.T, r readyFile, name string) (*venue, client) {
	t.Helper()
	v := &venue{t: t, ctx: t.Context(), stage: r.Sim, wechat: r.WeChat, codes: map[string]string{}}
	for i, code := range r.Codes {
		v.codes[[]string{"bike-001", "bike-002", "bike-003", "bike-004"}[i]] = code
	}
	c, err := (&demo{ready: r}).client(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return v, c
}

// TestKilledProcessGoesOn kills everything at once in mid-ride by SIGKILL,
// server, database, broker and bikes alike, and wipes the broker's state besides;
// the second start must find the ride and bill it once.
func TestKilledProcessGoesOn(t *testing.T) {
	t.Parallel()
	dir := readmeFolder(t)
	data := filepath.Join(dir, "data")
	first, r := running(t, dir, "--data", data)
	v, c := as(t, r, "ada")
	o, err := v.start(c, "bike-004")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(c, o.ID, "active", 30*time.Second)
	if _, err := v.start(c, "bike-003"); err == nil || refusal(err) != "too_many_live_orders" {
		t.Errorf("a second ride: %v, want too_many_live_orders", err)
	}
	live := func(r readyFile) (ids []string) { // ada's ride and that of the simulated rider
		t.Helper()
		db, err := store.Open(t.Context(), store.Config{URL: r.Database, MaxConns: 1, IdentityKey: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		orders, err := db.Orders(t.Context(), order.Page{State: order.Active, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range orders {
			ids = append(ids, o.ID)
		}
		return ids
	}
	v.until("the simulated rider rides too", 30*time.Second, func() bool { return len(live(r)) == 2 })
	before := live(r)
	_ = syscall.Kill(first.cmd.Process.Pid, syscall.SIGKILL)
	_ = first.cmd.Wait()
	if err := os.RemoveAll(filepath.Join(data, "nats")); err != nil {
		t.Fatal(err)
	}

	began := time.Now()
	second, r := running(t, dir, "--data", data)
	v, c = as(t, r, "ada")
	if o := v.order(c, o.ID); o.State != "active" {
		t.Errorf("after the kill the order is %s, want active", o.State)
	}
	t.Logf("serving again %v after the kill", time.Since(began).Round(time.Millisecond))
	if body := v.body("bike-004"); body.Closed || len(body.Movements) != 1 {
		t.Errorf("the bike is closed %v after %d movements, want open after one", body.Closed, len(body.Movements))
	}
	v.direct("bike-004", "close", nil)
	done := v.reaches(c, o.ID, "settled", 30*time.Second)
	v.until("the simulated rider's old ride is over too", 60*time.Second, func() bool {
		return !slices.ContainsFunc(live(r), func(id string) bool { return slices.Contains(before, id) })
	})
	var wallet struct {
		Balance int64 `json:"balance_fen"`
	}
	if err := c.do(t.Context(), http.MethodGet, "/v1/me/wallet", "", nil, &wallet); err != nil || wallet.Balance != 10_000-done.Charged {
		t.Errorf("the wallet holds %d (%v) after a charge of %d of 10000", wallet.Balance, err, done.Charged)
	}
	audit := process(t, dir, "audit", "--data", data)
	if err := audit.cmd.Wait(); err != nil {
		t.Errorf("audit beside the running demo: %v\n%s", err, audit.printed())
	}
	second.stop(t)
}

// TestDemoLeavesNothingBehind looks for what Ctrl-C leaves.
func TestDemoLeavesNothingBehind(t *testing.T) {
	dir := readmeFolder(t)
	temporary := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temporary, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(temporary, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temporary)
	b, r := running(t, dir)
	if !strings.Contains(b.printed(), "Ride bike-004 as ada") || strings.Count(b.printed(), "\n") > 60 {
		t.Errorf("the demo printed\n%s", b.printed())
	}
	if r.NATS != "" || len(r.Codes) != 4 || !slices.Contains(r.Riders, "ada") {
		t.Errorf("ready file: %+v", r)
	}
	b.stop(t)
	var left []string
	_ = filepath.WalkDir(temporary, func(path string, d fs.DirEntry, err error) error {
		if path != temporary && err == nil {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestServeRefusesWhatWouldBeUnsafe reads what serve says of bad settings.
func TestServeRefusesWhatWouldBeUnsafe(t *testing.T) {
	t.Parallel()
	dir := readmeFolder(t)
	data := filepath.Join(dir, "data")
	full := []string{"serve", "--data", data, "--domain", "q.test", "--wechat-app-id", "a", "--wechat-secret", "b",
		"--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--metrics", "127.0.0.1:0"}
	says := func(want string, args ...string) {
		t.Helper()
		b := process(t, dir, args...)
		err := b.cmd.Wait()
		if err == nil || !strings.Contains(b.printed(), want) {
			t.Errorf("unlatch %v: %v, said %q, want %q", args, err, b.printed(), want)
		}
	}
	says("give --data", "serve")
	says("--domain", full[:3]...)
	says("--wechat-app-id", full[:5]...)
	says("--tls-cert", append(slices.Clone(full), "--http", "0.0.0.0:0")...)
	for _, domain := range []string{"https://q.example.cn", "q.example.cn/d", "Q.example.cn", "a b", "localhost"} {
		says("plain lower-case host name", "serve", "--data", data, "--domain", domain, "--wechat-app-id", "a", "--wechat-secret", "b")
	}
	says("say which database", "migrate")
	says("say which database", "audit")
	says("holds no installation", "audit", "--data", filepath.Join(dir, "nowhere"))
	if _, err := os.Stat(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("an audit made a folder")
	}
	says("at least one name", "demo", "--riders=")
	says("unlatch migrate", full...)
	if _, err := os.Stat(filepath.Join(data, keyFile)); err == nil {
		t.Error("a key was made before the schema was there")
	}
	b := process(t, dir, append(slices.Clone(full), "--migrate")...)
	b.until(t, time.Minute, func() bool { return b.says("first-run?link=") })
	b.stop(t)
	other := slices.Clone(full)
	other[4] = "other.test"
	says("every sticker in the field would be refused", other...)
	if err := os.Rename(filepath.Join(data, keyFile), filepath.Join(dir, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	says("put your backup of unlatch.key", full...)
	says("put your backup of unlatch.key", full...) // the refusal left no new key to be believed
}

// TestNATSAmnesiaLosesNothing wipes the broker's and the bus's whole state in
// mid-ride, with the service restarted on it.
func TestNATSAmnesiaLosesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike"}, Riders: []string{"ada"}})
	c := v.rider("ada", 0, billing.Fen(10_000))
	o, err := v.start(c, "bike")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(c, o.ID, "active", 30*time.Second)
	old := v.nodes[0]
	v.stop(t, 0)
	if err := os.RemoveAll(old.c.StoreDir); err != nil {
		t.Fatal(err)
	}
	again := old.c
	again.MQTT = old.MQTTAddr // where the bikes look for it
	again.HTTP = old.HTTPAddr
	v.restart(ctx, t, again)
	v.direct("bike", "close", nil)
	v.reaches(c, o.ID, "settled", 60*time.Second)
	v.judge("bike")
}
