package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/internal/localpg"
	"github.com/unlatch/unlatch/order"
)

// TestRoomRefusesAtTheReserveAndForgivesAboveIt looks at made-up disks.
func TestRoomRefusesAtTheReserveAndForgivesAboveIt(t *testing.T) {
	const gib = 1024 * mib
	quiet := slog.New(slog.DiscardHandler)
	r, err := newRoom(t.TempDir(), 0, quiet)
	if err != nil {
		t.Fatal(err)
	}
	var told []bool
	r.changed = func(full bool, _, _ uint64) { told = append(told, full) }
	for i, step := range []struct {
		free, size uint64
		err        error
		want       bool
	}{
		{513 * mib, 100 * gib, nil, false}, {511 * mib, 100 * gib, nil, true}, {520 * mib, 100 * gib, nil, true}, // not to and fro
		{0, 0, errors.New("no such disk"), true}, {600 * mib, 100 * gib, nil, false},
		{52 * mib, gib, nil, false}, {51 * mib, gib, nil, true}, {60 * mib, gib, nil, false}, // 5 % of a small one
	} {
		r.free = func(string) (uint64, uint64, error) { return step.free, step.size, step.err }
		if r.look(); r.full.Load() != step.want {
			t.Errorf("step %d, %d of %d MiB free: full %v, want %v", i, step.free/mib, step.size/mib, r.full.Load(), step.want)
		}
	}
	if fmt.Sprint(told) != "[true false true false]" {
		t.Errorf("told %v", told)
	}
	if r, err := newRoom(t.TempDir(), -1, quiet); r != nil || err != nil {
		t.Errorf("-1 watches: %v, %v", r, err)
	}
	if _, err := newRoom(t.TempDir(), -2, quiet); err == nil {
		t.Error("-2 MiB were accepted")
	}
	if free, size, err := freeBytes(filepath.Join(t.TempDir(), "not", "yet")); err != nil || free == 0 || free > size {
		t.Errorf("a folder that the first start makes: %d of %d free, %v", free, size, err)
	}
}

// TestFullInstallationRefusesBeforeCommit: the watch says that there is no room. What
// was accepted is answered again, what runs ends, and riders start again afterwards.
func TestFullInstallationRefusesBeforeCommit(t *testing.T) {
	var free atomic.Uint64
	free.Store(600 * mib)
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada", "bob"}, Node: func(c *nodeConfig) {
		c.Room = &room{dir: "/data", free: func(string) (uint64, uint64, error) { return free.Load(), 1 << 40, nil }, log: c.Log, every: 10 * time.Millisecond}
	}})
	ada, bob := v.rider("ada", 0, 10_000), v.rider("bob", 0, 10_000)
	var scan struct{ Ticket string }
	if err := ada.do(t.Context(), http.MethodPost, "/v1/scans", "", map[string]string{"url": v.codes["bike-1"]}, &scan); err != nil {
		t.Fatal(err)
	}
	var o, again seen
	place := func(into *seen) error {
		return ada.do(t.Context(), http.MethodPost, "/v1/orders", scan.Ticket, map[string]string{"ticket": scan.Ticket, "pay_with": "wallet"}, into)
	}
	if err := place(&o); err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 30*time.Second)
	free.Store(500 * mib)
	v.until("the watch has seen it", 10*time.Second, v.nodes[0].full)
	v.until("an order is refused", 10*time.Second, func() bool {
		_, err := v.start(bob, "bike-2")
		return err != nil && refusal(err) == "installation_full" && strings.Contains(err.Error(), " 503 ")
	})
	err := bob.do(t.Context(), http.MethodPost, "/v1/me/topups", "t", map[string]int64{"amount_fen": 100}, nil)
	if err == nil || refusal(err) != "installation_full" {
		t.Errorf("a top-up: %v, want installation_full", err)
	}
	if err := place(&again); err != nil || again.ID != o.ID {
		t.Errorf("what was accepted is answered with %+v, %v", again, err)
	}
	v.until("staff are told", 10*time.Second, func() bool {
		items, err := v.nodes[0].db.Items(t.Context(), false, order.ItemDisk, nil, 10)
		return err == nil && len(items) == 1
	})
	v.direct("bike-1", "close", nil)
	v.reaches(ada, o.ID, "settled", 30*time.Second)
	free.Store(600 * mib)
	v.until("riders start again", 10*time.Second, func() bool { _, err := v.start(bob, "bike-2"); return err == nil })
	v.judge("bike-1", "bike-2")
}

// smallDisk mounts a file system of so many MiB; only root can.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := serverFolder(t)
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("only root on Linux can mount a small disk")
	}
	if err := mountSmall(dir, size); err != nil {
		t.Skipf("this machine lets nobody mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill takes all but so many bytes of a disk.
func fill(t *testing.T, dir string, leave uint64) (path string) {
	t.Helper()
	path = filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for chunk := uint64(mib); chunk >= 4096; {
		free, _, err := freeBytes(dir)
		if err != nil {
			t.Fatal(err)
		}
		if free < leave+chunk {
			chunk /= 2
			continue
		}
		if _, err := io.CopyN(f, zeros{}, int64(chunk)); errors.Is(err, syscall.ENOSPC) {
			chunk /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestDiskFillsUpInMidRun puts a private cluster on a small disk and fills it to the
// last byte while six riders ride. With the watch nobody notices but who wants to start;
// without it Postgres itself says that its tables cannot grow, which is refused in the
// same words. Either way what runs ends, and when there is room again all is as it
// should be.
func TestDiskFillsUpInMidRun(t *testing.T) {
	t.Parallel()
	for name, watch := range map[string]bool{"the watch sees it coming": true, "Postgres says so": false} {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t, 256)
			cluster, err := localpg.Start(t.Context(), localpg.Config{Dir: filepath.Join(disk, "postgres")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cluster.Stop() })
			var bikes, riders []string
			for i := range 12 {
				bikes, riders = append(bikes, fmt.Sprint("bike-", i)), append(riders, fmt.Sprint("rider-", i))
			}
			v := newVenue(t, venueConfig{Bikes: bikes, Riders: riders, Database: cluster.URL(localpg.DefaultDatabase), Node: func(c *nodeConfig) {
				if watch {
					c.Room = &room{dir: disk, reserve: 32 * mib, free: freeBytes, log: c.Log, every: 20 * time.Millisecond}
				}
			}})
			var clients []client
			for _, name := range riders {
				clients = append(clients, v.rider(name, 0, 50_000))
			}
			riding := make([]seen, 6)
			for i := range riding {
				if riding[i], err = v.start(clients[i], bikes[i]); err != nil {
					t.Fatal(err)
				}
				v.reaches(clients[i], riding[i].ID, "active", 30*time.Second)
			}
			freshLog(t, v.url)
			leave := uint64(0)
			if watch {
				leave = 16 * mib
			}
			filler := fill(t, disk, leave)
			var refused error
			placed := map[string]int{}                                // the bike of each order
			moves := func(i int, id string, patience time.Duration) { // rides on bike i end as they can
				deadline := time.After(patience)
				for state := ""; state != "settled" && state != "voided"; {
					select {
					case <-deadline:
						return
					case <-time.After(20 * time.Millisecond):
					}
					if state = v.order(clients[i], id).State; state == "active" {
						v.direct(bikes[i], "close", nil)
					}
				}
			}
			v.until("an order is refused for want of room", 60*time.Second, func() bool {
				for i := len(riding); i < len(bikes); i++ {
					o, err := v.start(clients[i], bikes[i])
					if err != nil {
						if refusal(err) == "installation_full" {
							refused = err
							return true
						}
						continue
					}
					placed[o.ID] = i
					moves(i, o.ID, 2*time.Second)
				}
				return false
			})
			if !strings.Contains(refused.Error(), " 503 ") {
				t.Errorf("refused with %v, want 503", refused)
			}
			for i := range riding {
				v.direct(bikes[i], "close", nil)
			}
			if watch { // there is room kept for them
				for i := range riding {
					v.reaches(clients[i], riding[i].ID, "settled", 30*time.Second)
				}
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			for i := range riding {
				v.reaches(clients[i], riding[i].ID, "settled", 90*time.Second)
			}
			for id, i := range placed {
				moves(i, id, 90*time.Second)
				if s := v.order(clients[i], id).State; s != "settled" && s != "voided" {
					t.Errorf("order %s on %s is %s when there is room again", id, bikes[i], s)
				}
			}
			v.until("riders start again", 30*time.Second, func() bool { _, err := v.start(clients[0], bikes[0]); return err == nil })
			v.judge(bikes...)
		})
	}
}

// freshLog gives the server a whole segment of its log to write into: what a full disk
// does to the log itself, it stops the server, which the watch is there to prevent.
func freshLog(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, sql := range []string{"SELECT pg_switch_wal()", "CHECKPOINT"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}
