package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/unlatch/unlatch/store"
)

// block is a fenced block of shell in README.md, in order. Its info string says
// how it runs: "sh" in the one shell of the page, "sh background" beside it until
// the page ends, "sh elsewhere" not here.
type block struct {
	info, text string
}

var fence = regexp.MustCompile("(?ms)^```(sh[a-z ]*)\n(.*?)^```$")

func readme(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{m[1], m[2]})
	}
	if len(all) < 8 {
		t.Fatalf("README has %d blocks of shell, want at least 8", len(all))
	}
	return all
}

// expected is what the page's shell must have printed when it ends, in order.
var expected = []string{
	`"state":"active"`, `"state":"settled"`, // the first ride
	`"reason":"power"`,                                                                               // the unlucky one
	`"state":"fuelling"`, `"proven":false`, `"state":"active"`, `"state":"settled"`, `"kind":"fuel"`, // the tank
	`"available_fen":`, `"pay_with":"pay_score"`, `"road":"score"`, // paid with WeChat
	`"pay_with":"prepay"`, `"road":"refund"`, `"state":"paid"`, `"status":"SUCCESS"`,
	"500 schedules, 0 violations", // bad luck
	`"id":"campus"`, `"id":"bike"`, "2 provisioning files are in", "bike-002",
	`"id":"station"`, `"unit_price":8390`, "1 provisioning files are in", "0 findings",
	"50 rows: 50 new, 0 known, 0 wrong. Nothing was changed", "50 rows: 50 new", "written once", "stickers.pdf", "bike-001,lock,campus", // a fleet
	"Mo-Su", `"id":"month"`, `"orders":0`,
	`"bike-001"`, `"availability":"available"`, // the simulated locks are heard
	`"state":"settled"`, `"ended_by":"device_ended"`, // the first ride
	`"stopped":"spill"`, `"confirm":"`, `"number":1`, `"unit_price":7850`, "tax_code", "emergency_stop", // a day at the station
	".tar", "Restored the state of", "0 findings", // kept for years
}

// TestReadmeTellsTheTruth runs README.md's commands as they stand there, in one
// shell, with only the ports replaced by free ones.
func TestReadmeTellsTheTruth(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := readmeFolder(t)
	if err := os.Symlink(filepath.Join(root, "bin"), filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 5)
	replace := strings.NewReplacer("127.0.0.1:8080", ports[0], "127.0.0.1:8081", ports[1], "127.0.0.1:8082", ports[2])
	ready := filepath.Join(dir, "ready.json")
	env := append(os.Environ(), "UNLATCH_HTTP="+ports[0], "UNLATCH_SIM="+ports[1], "UNLATCH_WECHAT="+ports[2], "UNLATCH_MQTT="+ports[3],
		"UNLATCH_METRICS="+ports[4], "UNLATCH_READY_FILE="+ready)

	shell := newShell(t, dir, env)
	var running []*background
	stop := func() {
		for _, b := range running {
			b.stop(t)
		}
		running = nil
	}
	defer stop()
	for i, b := range readme(t) {
		switch b.info {
		case "sh":
			text := replace.Replace(b.text)
			for _, r := range running {
				if r.says("link=") {
					text = strings.ReplaceAll(text, "paste-what-stands-behind-link=", r.link())
				}
			}
			if out, err := shell.run(text); err != nil {
				t.Fatalf("block %d: %v\n%s\nprinted\n%s", i+1, err, b.text, out)
			}
		case "sh background":
			where := dir
			if strings.HasPrefix(b.text, "make ") {
				where = root
			}
			if strings.Contains(b.text, "serve") {
				auditDemo(t, ready)
				stop() // the demo's port is wanted
			}
			running = append(running, start(t, where, env, replace.Replace(b.text)))
			if strings.HasPrefix(b.text, "make ") {
				running[len(running)-1].until(t, 4*time.Minute, func() bool { _, err := os.Stat(ready); return err == nil })
			} else {
				running[len(running)-1].until(t, time.Minute, func() bool { return running[len(running)-1].says("erving", "stage directions") })
			}
		case "sh elsewhere":
			if n := strings.Count(b.text, "\n"); n > 10 {
				t.Errorf("block %d is not run here and has %d lines, want at most 10", i+1, n)
			}
			knownFlags(t, b.text)
		default:
			t.Errorf("block %d: %q says not how it runs", i+1, b.info)
		}
	}
	rest := shell.printed()
	for _, want := range expected {
		at := strings.Index(rest, want)
		if at < 0 {
			t.Fatalf("README's commands did not print %s after what came before; they printed\n%s", want, shell.printed())
		}
		rest = rest[at+len(want):]
	}
}

// auditDemo checks the promises on the demo's database while it runs.
func auditDemo(t *testing.T, ready string) {
	t.Helper()
	text, err := os.ReadFile(ready)
	if err != nil {
		t.Fatal(err)
	}
	var r readyFile
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: r.Database, MaxConns: 2, IdentityKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	checked, err := db.Audit(t.Context(), func(string, int, int) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range checked.Findings {
		t.Errorf("the demo's audit: %s: %s: %s", f.View, f.Subject, f.What)
	}
}

// readmeFolder is a folder that the private cluster's user can enter, which
// t.TempDir is not.
func readmeFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "unlatch-readme-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func freePorts(t *testing.T, n int) []string {
	t.Helper()
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// shell is one bash that runs block after block and stops at the first command
// that fails.
type shell struct {
	cmd   *exec.Cmd
	stdin interface{ Write([]byte) (int, error) }
	mu    sync.Mutex
	out   bytes.Buffer
	n     int
}

func newShell(t *testing.T, dir string, env []string) *shell {
	t.Helper()
	s := &shell{cmd: exec.CommandContext(t.Context(), "bash", "-eo", "pipefail")}
	s.cmd.Dir, s.cmd.Env = dir, env
	in, err := s.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdin, s.cmd.Stdout, s.cmd.Stderr = in, s, s
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = s.cmd.Wait() })
	return s
}

func (s *shell) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *shell) printed() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

func (s *shell) run(text string) (string, error) {
	s.n++
	mark := fmt.Sprintf("block-%d-is-done", s.n)
	before := len(s.printed())
	if _, err := fmt.Fprintf(s.stdin, "%s\necho; echo %s\n", text, mark); err != nil {
		return "", err
	}
	deadline := time.NewTimer(4 * time.Minute)
	defer deadline.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		out := s.printed()[before:]
		if strings.Contains(out, "\n"+mark) {
			return out, nil
		}
		select {
		case <-look.C:
			if err := s.cmd.Process.Signal(syscall.Signal(0)); err != nil || exited(s.cmd.Process.Pid) {
				return out, fmt.Errorf("a command failed")
			}
		case <-deadline.C:
			return out, context.DeadlineExceeded
		}
	}
}

// exited tells whether a child is a zombie: it ended and nobody waited yet.
func exited(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

// background is a command that runs beside the page's shell.
type background struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func start(t *testing.T, dir string, env []string, text string) *background {
	t.Helper()
	b := &background{cmd: exec.Command("bash", "-c", text)}
	b.cmd.Dir, b.cmd.Env, b.cmd.Stdout, b.cmd.Stderr = dir, env, b, b
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *background) printed() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

func (b *background) says(any ...string) bool {
	return slices.ContainsFunc(any, func(s string) bool { return strings.Contains(b.printed(), s) })
}

// link is the secret of the first-run link that the command printed.
func (b *background) link() string {
	_, after, _ := strings.Cut(b.printed(), "link=")
	return strings.Fields(after + " ")[0]
}

func (b *background) until(t *testing.T, patience time.Duration, is func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
			if exited(b.cmd.Process.Pid) {
				t.Fatalf("it ended by itself:\n%s", b.printed())
			}
		case <-deadline.C:
			t.Fatalf("it is not ready after %v:\n%s", patience, b.printed())
		}
	}
}

// stop is Ctrl-C.
func (b *background) stop(t *testing.T) {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGINT)
	done := make(chan struct{})
	go func() { _ = b.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(45 * time.Second):
		_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
		t.Errorf("Ctrl-C did not end it within 45 s:\n%s", b.printed())
		<-done
	}
}

var flag = regexp.MustCompile(`--([a-z-]+)`)

// knownFlags checks that each command of a block and each of its flags exists.
func knownFlags(t *testing.T, text string) {
	t.Helper()
	var c cli
	parser, err := kong.New(&c, kong.Vars{"version": version, "kinds": kindNames()})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "unlatch" {
			t.Errorf("%q is no command of unlatch", line)
			continue
		}
		command := parser.Model.Node
		for _, word := range words[1:] {
			i := slices.IndexFunc(command.Children, func(n *kong.Node) bool { return n.Name == word })
			if i < 0 {
				break
			}
			command = command.Children[i]
		}
		if command == parser.Model.Node || command.Type == kong.CommandNode && len(command.Children) > 0 && command.DefaultCmd == nil {
			t.Errorf("%q names no command of unlatch", line)
			continue
		}
		for _, m := range flag.FindAllStringSubmatch(line, -1) {
			if !slices.ContainsFunc(command.Flags, func(f *kong.Flag) bool { return f.Name == m[1] }) {
				t.Errorf("%s has no flag --%s", command.FullPath(), m[1])
			}
		}
	}
}
