package localpg

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dieWithParent asks the kernel to shut the server down (fast, with a checkpoint)
// when the thread that starts it ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }

// watchParent has nothing to do here: the kernel watches.
func watchParent(int) (undo func()) { return func() {} }

// isServerOf reports whether the process is a Postgres server of that data folder.
// A server makes its data folder its working folder.
func isServerOf(pid int, data string) bool {
	proc := fmt.Sprintf("/proc/%d", pid)
	cwd, err := os.Readlink(filepath.Join(proc, "cwd"))
	if err != nil || cwd != data {
		return false
	}
	exe, err := os.Readlink(filepath.Join(proc, "exe"))
	return err == nil && filepath.Base(exe) == "postgres"
}
