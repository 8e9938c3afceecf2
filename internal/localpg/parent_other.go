//go:build !linux

package localpg

import (
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

func dieWithParent(*syscall.SysProcAttr) {}

// watchParent starts a shell that reads a pipe which only we can write to. When
// we end, however we end, the read returns and the shell asks the server for a
// fast shutdown. Without a shell the next Start on the folder stops the server.
func watchParent(pid int) (undo func()) {
	cmd := exec.Command("/bin/sh", "-c", "read line || kill -INT "+strconv.Itoa(pid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	hold, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return func() {}
	}
	return func() {
		_, _ = io.WriteString(hold, "\n") // a line: the server is gone, do nothing
		_ = hold.Close()
		_ = cmd.Wait()
	}
}

// isServerOf reports whether the process is a Postgres server of that data
// folder, by the command line that launch gives it.
func isServerOf(pid int, data string) bool {
	out, err := exec.Command("/bin/ps", "-ww", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres -D "+data+" ")
}
