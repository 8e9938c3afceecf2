package localpg

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that the server runs as: ourselves, or, since Postgres
// refuses root, an unprivileged user when we are root.
type identity struct {
	name string
	uid  int
	gid  int
	drop bool // we are root and must become somebody else
}

// serverUsers are tried in this order when we are root.
var serverUsers = []string{"postgres", "nobody"}

func serverIdentity() (identity, error) {
	if os.Getuid() != 0 {
		return identity{uid: os.Getuid(), gid: os.Getgid()}, nil
	}
	for _, name := range serverUsers {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil && uid != 0 {
			return identity{name: name, uid: uid, gid: gid, drop: true}, nil
		}
	}
	return identity{}, fmt.Errorf("%w: Postgres refuses to run as root and there is neither a user postgres nor nobody; run this as another user", ErrNoUser)
}

// apply makes a command run as the identity, in a folder that every user may
// enter, without the variables through which libpq and Postgres take settings.
func (id identity) apply(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=/usr/bin:/bin"}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A group of its own, so that an interrupt typed at the terminal reaches us
	// only and the server outlives our last transaction.
	cmd.SysProcAttr.Setpgid = true
	if id.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
}

// own gives a folder to the identity and closes it to all others.
func (id identity) own(dir string) error {
	if id.drop {
		if err := os.Chown(dir, id.uid, id.gid); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o700)
}

// canReach checks that the identity may pass through dir and every parent.
func (id identity) canReach(dir string) error {
	if !id.drop {
		return nil
	}
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return nil
		}
		need := os.FileMode(0o001)
		switch {
		case int(st.Uid) == id.uid:
			need = 0o100
		case int(st.Gid) == id.gid:
			need = 0o010
		}
		if info.Mode().Perm()&need == 0 {
			return fmt.Errorf("%w: user %s cannot enter %s: choose another folder or run: chmod o+x %s", ErrNotReachable, id.name, dir, dir)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent
	}
}

const (
	// socketPort only names the socket file; no TCP port is opened.
	socketPort = "5432"
	socketFile = ".s.PGSQL." + socketPort
	// socketLimit is the longest socket path: sun_path of macOS (104 bytes, of
	// Linux 108) less its final zero.
	socketLimit = 103
)

// socketFolder is a short path that depends on the data folder alone, so that a
// connection string stays good over a restart.
func socketFolder(data string) string {
	sum := sha256.Sum256([]byte(data))
	name := fmt.Sprintf("unlatch-pg-%x", sum[:8])
	if dir := filepath.Join(os.TempDir(), name); len(dir)+1+len(socketFile) <= socketLimit {
		return dir
	}
	return filepath.Join("/tmp", name)
}

// makeSocketFolder makes the socket's folder anew. Its parent is writable by all,
// so a folder that somebody else put there is refused rather than used.
func makeSocketFolder(data string, as identity) (string, error) {
	dir := socketFolder(data)
	if err := as.canReach(filepath.Dir(dir)); err != nil {
		return "", fmt.Errorf("socket folder: %w", err)
	}
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", err
		}
		return dir, as.own(dir)
	case err != nil:
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || (int(st.Uid) != as.uid && int(st.Uid) != os.Getuid()) {
		return "", fmt.Errorf("socket folder %s belongs to somebody else: remove it", dir)
	}
	return dir, as.own(dir)
}
