package localpg

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is one postmaster process, our child.
type server struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and was waited for
	err  error         // how it ended; read after done
	last lastWords
}

// startServer returns when the server accepts connections.
//
// After a kill -9 of the postmaster its children hold the shared memory for some
// milliseconds more, and a new one refuses to start meanwhile; that refusal alone
// is tried again, until the context ends.
func startServer(ctx context.Context, use installation, data, socket string, connections int, as identity, log *slog.Logger) (*server, error) {
	for {
		s, err := launch(use, data, socket, connections, as, log)
		if err != nil {
			return nil, err
		}
		if s.waitReady(ctx, data) {
			return s, nil
		}
		if ctx.Err() != nil {
			_ = s.stop(stopPatience)
			return nil, ctx.Err()
		}
		<-s.done
		words := strings.TrimSpace(s.last.String())
		if !strings.Contains(words, "pre-existing shared memory block") {
			return nil, fmt.Errorf("%w: %w: %s", ErrServerFailed, s.err, words)
		}
		if !pause(ctx, 100*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

func launch(use installation, data, socket string, connections int, as identity, log *slog.Logger) (*server, error) {
	args := []string{"-D", data, "-k", socket}
	for _, set := range []string{
		"listen_addresses=",
		"port=" + socketPort,
		"unix_socket_permissions=0700",
		"max_connections=" + strconv.Itoa(connections),
		"fsync=on",
		"full_page_writes=on",
		"synchronous_commit=on",
		"timezone=UTC",
		"log_timezone=UTC",
		"lc_messages=C",
		// Statements and row values may hold riders' data: the log gets neither.
		"log_destination=stderr",
		"logging_collector=off",
		"log_line_prefix=",
		"log_min_messages=log",
		"log_min_error_statement=panic",
		"log_error_verbosity=terse",
		"log_statement=none",
		"log_min_duration_statement=-1",
	} {
		args = append(args, "-c", set)
	}
	cmd := exec.Command(filepath.Join(use.bin, "postgres"), args...)
	as.apply(cmd)
	dieWithParent(cmd.SysProcAttr)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go s.run(stderr, started, log)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%w: %w", ErrServerFailed, err)
	}
	return s, nil
}

// run starts the process and lives as long as it does, on a thread of its own:
// the kernel sends the parent-death signal when the thread that forked ends, and
// the Go runtime ends threads as it likes unless a goroutine is locked to one.
func (s *server) run(stderr io.Reader, started chan<- error, log *slog.Logger) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	if err := s.cmd.Start(); err != nil {
		started <- err
		return
	}
	undoWatch := watchParent(s.cmd.Process.Pid)
	var reading sync.WaitGroup
	reading.Go(func() { s.readLog(stderr, log) })
	started <- nil
	// The pipe ends with the last process of the cluster, which is when its
	// shared memory is free again. Only then may Wait close our end.
	reading.Wait()
	s.err = s.cmd.Wait()
	undoWatch()
}

func (s *server) readLog(stderr io.Reader, log *slog.Logger) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			_, _ = s.last.Write([]byte(line))
			level := slog.LevelDebug
			if strings.HasPrefix(line, "PANIC") {
				level = slog.LevelError
			}
			log.Log(context.Background(), level, "postgres says", "line", strings.TrimRight(line, "\n"))
		}
		if err != nil {
			return
		}
	}
}

// waitReady reports false when the server or the context ended first.
func (s *server) waitReady(ctx context.Context, data string) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if file, ok := readPidFile(data); ok && file.ready && file.pid == s.cmd.Process.Pid {
			return true
		}
		select {
		case <-s.done:
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// stop shuts the server down and waits for it: first with a checkpoint, and
// without one when that takes longer than patience.
func (s *server) stop(patience time.Duration) error {
	select {
	case <-s.done:
		return nil
	default:
	}
	_ = s.cmd.Process.Signal(syscall.SIGINT)
	hurry := time.NewTimer(patience)
	defer hurry.Stop()
	select {
	case <-s.done:
		return nil
	case <-hurry.C:
	}
	_ = s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.done:
		return fmt.Errorf("%w: no checkpoint within %s, the next start recovers", ErrServerFailed, patience)
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.done
		return fmt.Errorf("%w: killed after %s, the next start recovers", ErrServerFailed, 2*patience)
	}
}
