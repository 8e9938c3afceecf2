package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unlatch/unlatch/order"
)

// room watches the disk of the data folder. Postgres stops for everybody when it
// cannot write; so riders start nothing new while there is still room for what runs to
// end. It says nothing of a database elsewhere: that one says by itself that it is full.
type room struct {
	dir     string
	reserve uint64 // bytes; 0 = by the disk's size
	free    func(dir string) (free, size uint64, err error)
	log     *slog.Logger
	every   time.Duration
	changed func(full bool, free, reserve uint64) // set before Run
	full    atomic.Bool
}

const mib = 1 << 20

// usualReserve is enough for the write-ahead log between two checkpoints and for the
// ends of many rides.
const usualReserve = 512 * mib

// newRoom watches the disk of dir with a reserve of so many MiB, 0 for the usual; nil
// where there is nothing to watch.
func newRoom(dir string, reserve int64, log *slog.Logger) (*room, error) {
	switch {
	case reserve < -1:
		return nil, errors.New("--disk-reserve is a number of MiB, or -1 to refuse nobody")
	case dir == "" || reserve == -1:
		return nil, nil
	}
	return &room{dir: dir, reserve: uint64(reserve) * mib, free: freeBytes, log: log, every: time.Second}, nil
}

// reserveOf is what must stay free on a disk of a size.
func reserveOf(size uint64) uint64 { return min(usualReserve, size/20) }

// freeBytes is what a process without privileges may still write below dir, and how
// large its disk is.
func freeBytes(dir string) (free, size uint64, err error) {
	for {
		var st syscall.Statfs_t
		err := syscall.Statfs(dir, &st)
		if err == nil {
			return uint64(st.Bavail) * uint64(st.Bsize), uint64(st.Blocks) * uint64(st.Bsize), nil
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, os.ErrNotExist) || parent == dir { // the first start makes the folder
			return 0, 0, fmt.Errorf("free room of %s: %w", dir, err)
		}
		dir = parent
	}
}

// Run looks every second until ctx ends. It refuses from the moment on at which less
// than the reserve is free, and no longer when a tenth more than that is.
func (r *room) Run(ctx context.Context) error {
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	for {
		r.look()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (r *room) look() {
	free, size, err := r.free(r.dir)
	if err != nil {
		r.log.Warn("the disk's room is not known", "dir", r.dir, "err", err)
		return
	}
	reserve := r.reserve
	if reserve == 0 {
		reserve = reserveOf(size)
	}
	was := r.full.Load()
	is := free < reserve || was && free < reserve+reserve/10
	if is == was {
		return
	}
	r.full.Store(is)
	if r.changed != nil {
		r.changed(is, free, reserve)
	}
}

// full tells whether riders may start nothing new.
func (n *node) full() bool { return n.c.Room != nil && n.c.Room.full.Load() }

// roomChanged says so in the log and to staff.
func (n *node) roomChanged(full bool, free, reserve uint64) {
	if !full {
		n.c.Log.Warn("there is room again; riders may start", "free", free, "reserve", reserve)
		return
	}
	n.c.Log.Error("the disk is nearly full: riders start nothing new, what runs goes on and ends", "dir", n.c.Room.dir, "free", free, "reserve", reserve)
	n.beside(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		detail := fmt.Sprintf("%d MiB are free in %s, and %d are kept for what runs; riders can start nothing until there is more", free/mib, n.c.Room.dir, reserve/mib)
		if err := n.db.OpenItem(ctx, order.Item{ID: newUUID(), Kind: order.ItemDisk, Subject: n.c.Room.dir, Detail: detail, At: time.Now().UTC()}); err != nil {
			n.c.Log.Warn("no item for the full disk", "err", err)
		}
		return nil
	})
}
