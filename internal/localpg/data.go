package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// prepareData returns the installation that fits the cluster, which it makes when
// there is none. A power cut at any line leaves data absent or complete.
func prepareData(ctx context.Context, dir, data string, installed []installation, as identity) (installation, error) {
	if err := settle(dir, data); err != nil {
		return installation{}, err
	}
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err == nil {
		major, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return installation{}, fmt.Errorf("read %s/PG_VERSION: %w", data, err)
		}
		at := slices.IndexFunc(installed, func(i installation) bool { return i.major == major })
		if at < 0 {
			return installation{}, fmt.Errorf("%w: %s needs Postgres %d, installed is %s", ErrOtherVersion, data, major, installed[0].version)
		}
		// Another user may run us today, or a restored backup may be root's.
		if as.drop {
			if err := chownAll(data, as); err != nil {
				return installation{}, err
			}
		}
		return installed[at], nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return installation{}, err
	}
	newest := slices.MaxFunc(installed, func(a, b installation) int { return a.major - b.major })
	fresh := data + ".new"
	if err := os.RemoveAll(fresh); err != nil { // left by a start that was cut off
		return installation{}, err
	}
	if err := makeCluster(ctx, newest, fresh, as); err != nil {
		return installation{}, err
	}
	if err := os.Rename(fresh, data); err != nil {
		return installation{}, err
	}
	return newest, syncFolder(dir)
}

// makeCluster runs initdb for a folder that does not exist yet.
func makeCluster(ctx context.Context, use installation, fresh string, as identity) error {
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return err
	}
	if err := as.own(fresh); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(use.bin, "initdb"),
		"--pgdata="+fresh, "--username="+Owner, "--data-checksums", "--encoding=UTF8", "--locale=C",
		"--auth-local=trust", "--auth-host=reject", "--no-instructions")
	as.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("%w: initdb: %w: %s", ErrServerFailed, err, bytes.TrimSpace(out)))
	}
	return nil
}

func chownAll(dir string, as identity) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == as.uid {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, as.uid, as.gid)
	})
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}

// pidFile is what a server says about itself in postmaster.pid.
type pidFile struct {
	pid   int
	ready bool // it accepts connections
}

// readPidFile reports ok only for a complete file; the server writes it line by
// line while it starts.
func readPidFile(data string) (pidFile, bool) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return pidFile{}, false
	}
	lines := strings.Split(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 1 {
		return pidFile{}, false
	}
	// Line 8 is the state; the files of single-user mode have a negative pid.
	return pidFile{pid: pid, ready: len(lines) >= 8 && strings.TrimSpace(lines[7]) == "ready"}, true
}

// stopStale ends a server that an earlier process left on this folder, and takes
// away a postmaster.pid whose number now belongs to another program: Postgres
// itself would believe it. We hold the folder's lock, so no other starter is near.
func stopStale(ctx context.Context, data string) error {
	path := filepath.Join(data, "postmaster.pid")
	began := time.Now()
	for {
		file, ok := readPidFile(data)
		if !ok {
			if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
				return nil
			}
			// Empty or torn: a power cut, or a server that is just writing it.
			if time.Since(began) < time.Second {
				if !pause(ctx, 50*time.Millisecond) {
					return ctx.Err()
				}
				continue
			}
		}
		if !ok || !isServerOf(file.pid, data) {
			err := os.Remove(path)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		}
		sig := syscall.SIGINT // fast: cut connections, checkpoint
		if time.Since(began) > stopPatience {
			sig = syscall.SIGQUIT // immediate: the next start recovers
		}
		if err := syscall.Kill(file.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stop stale server %d of %s: %w", file.pid, data, err)
		}
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// pause waits and reports whether the context outlived the wait.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
