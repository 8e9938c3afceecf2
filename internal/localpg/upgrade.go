package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrNothingNewer: no newer major version of Postgres is installed than the one that
// the cluster was made by.
var ErrNothingNewer = errors.New("no newer Postgres is installed")

// Upgrading says what to bring to a newer major version of Postgres.
type Upgrading struct {
	Dir string // as in Config
	Log *slog.Logger
	// Prepare runs on the new, empty cluster: it makes the roles that the database
	// grants rights to.
	Prepare func(ctx context.Context, url string) error
	// Check compares the old database with the new one, both running, and returns why
	// the new one must not take its place.
	Check func(ctx context.Context, before, after string) error
	// Table is called as each table is written into the new cluster; nil = nobody asks.
	Table func(name string)
}

// Upgraded is what an Upgrade did.
type Upgraded struct {
	From, To string // versions, such as 15.8
	Kept     string // the folder that holds the old cluster as it was
}

// The folders of an upgrade, beside data. A new cluster is made in upgrading and is
// called upgraded once it is whole; the old one becomes data.old-{major}.
const (
	upgradingName = "data.upgrading"
	upgradedName  = "data.upgraded"
	keptPrefix    = "data.old-"
)

// Upgrade brings the cluster in a folder, which nobody may be using, to the newest
// major version that is installed. The old version must be installed too. A power cut
// at any line leaves the old cluster or the new one in place; the old one is kept.
// Errors: ErrNothingNewer, ErrInUse, ErrOtherVersion, those of Start, Dump and Check.
func Upgrade(ctx context.Context, u Upgrading) (Upgraded, error) {
	done, err := upgrade(ctx, u, searchFolders(), func(from installation, installed []installation) (installation, error) {
		newest := slices.MaxFunc(installed, func(a, b installation) int { return a.major - b.major })
		if newest.major <= from.major {
			return newest, fmt.Errorf("%w: the cluster was made by %d, and the newest here is %s; install the newer server beside it first",
				ErrNothingNewer, from.major, newest.version)
		}
		return newest, nil
	})
	if err != nil {
		return done, fmt.Errorf("upgrade local Postgres: %w", err)
	}
	return done, nil
}

func upgrade(ctx context.Context, u Upgrading, folders []string, choose func(installation, []installation) (installation, error)) (done Upgraded, err error) {
	if u.Log == nil {
		u.Log = slog.New(slog.DiscardHandler)
	}
	installed := findInstallations(ctx, folders)
	if len(installed) == 0 {
		return done, noServer(folders)
	}
	as, err := serverIdentity()
	if err != nil {
		return done, err
	}
	if _, err := os.Stat(filepath.Join(u.Dir, "data", "PG_VERSION")); err != nil {
		return done, fmt.Errorf("%s holds no cluster: %w", u.Dir, err)
	}
	dir, lock, err := claimFolder(u.Dir)
	if err != nil {
		return done, err
	}
	defer func() { _ = lock.Close() }()
	data, upgrading := filepath.Join(dir, "data"), filepath.Join(dir, upgradingName)
	if err := stopStale(ctx, data); err != nil {
		return done, err
	}
	from, err := prepareData(ctx, dir, data, installed, as)
	if err != nil {
		return done, err
	}
	to, err := choose(from, installed)
	if err != nil {
		return done, err
	}
	kept := filepath.Join(dir, keptPrefix+strconv.Itoa(from.major))
	if _, err := os.Stat(kept); err == nil {
		return done, fmt.Errorf("%s is there already, from an earlier upgrade; remove it first", kept)
	}
	for _, left := range []string{upgrading, filepath.Join(dir, upgradedName)} { // by an upgrade that was cut off
		if err := stopStale(ctx, left); err != nil {
			return done, err
		}
		if err := os.RemoveAll(left); err != nil {
			return done, err
		}
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(upgrading)
		}
	}()
	if err := makeCluster(ctx, to, upgrading, as); err != nil {
		return done, err
	}
	if err := u.copy(ctx, from, to, data, upgrading, as); err != nil {
		return done, err
	}
	if err := exchange(dir, kept); err != nil {
		return done, err
	}
	return Upgraded{From: from.version, To: to.version, Kept: kept}, nil
}

// copy carries the database over, with both servers running, and stops both cleanly.
func (u Upgrading) copy(ctx context.Context, from, to installation, data, fresh string, as identity) (err error) {
	var urls []string
	run := func(use installation, data string) (stop func() error, err error) {
		socket, err := makeSocketFolder(data, as)
		if err != nil {
			return nil, err
		}
		s, err := startServer(ctx, use, data, socket, defaultConnections, as, u.Log)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(socket))
		}
		c := &Cluster{socket: socket}
		urls = append(urls, c.URL(DefaultDatabase))
		stop = func() error { return errors.Join(s.stop(stopPatience), os.RemoveAll(socket)) }
		if err := c.ensureDatabase(ctx, DefaultDatabase); err != nil {
			return nil, errors.Join(err, stop())
		}
		return stop, nil
	}
	stopOld, err := run(from, data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopOld()) }()
	stopNew, err := run(to, fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopNew()) }()
	if err := u.Prepare(ctx, urls[1]); err != nil {
		return err
	}
	pipe, dumped := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		// The newer pg_dump knows both versions.
		err := Dump(ctx, Dumping{URL: urls[0], Major: to.major}, dumped)
		_ = dumped.CloseWithError(err)
		failed <- err
	}()
	err = Load(ctx, Dumping{URL: urls[1], Major: to.major, Table: u.Table}, pipe)
	_ = pipe.CloseWithError(errors.New("the new cluster took no more"))
	if err = errors.Join(<-failed, err); err != nil {
		return err
	}
	return u.Check(ctx, urls[0], urls[1])
}

// exchange puts the finished cluster in the old one's place. Between any two of its
// steps settle finds out which of the two is to serve.
func exchange(dir, kept string) error {
	data, upgraded := filepath.Join(dir, "data"), filepath.Join(dir, upgradedName)
	for _, move := range [][2]string{{filepath.Join(dir, upgradingName), upgraded}, {data, kept}, {upgraded, data}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			return err
		}
		if err := syncFolder(dir); err != nil {
			return err
		}
	}
	return nil
}

// settle finishes an exchange that was cut off after the old cluster had gone out of
// the way. Before that the old one serves, and a finished copy of it ages: it goes.
func settle(dir, data string) error {
	upgraded := filepath.Join(dir, upgradedName)
	if _, err := os.Stat(filepath.Join(upgraded, "PG_VERSION")); err != nil {
		return nil
	}
	if _, err := os.Stat(data); err == nil {
		return os.RemoveAll(upgraded)
	}
	if err := os.Rename(upgraded, data); err != nil {
		return err
	}
	return syncFolder(dir)
}

// RemoveOld removes the clusters that upgrades of a folder have kept, and returns
// their folders. Nobody may be using the folder: ErrInUse.
func RemoveOld(dir string) ([]string, error) {
	dir, lock, err := claimFolder(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = lock.Close() }()
	if err := settle(dir, filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), keptPrefix) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if err := os.RemoveAll(path); err != nil {
			return removed, err
		}
		removed = append(removed, path)
	}
	return removed, nil
}
