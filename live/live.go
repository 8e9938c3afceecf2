// Package live holds what staff see of the whole fleet while it changes: one row per
// device in memory, read from the tables, and the differences as a stream that can be
// resumed.
//
// It decides nothing and writes nothing. The tables are the truth: an update that a
// replica hears of only says which row to read again, and all rows are read again now
// and then for what nobody told. What devices do not sign, their batteries and what
// displays show, comes besides and is never stored here for longer than somebody looks.
//
// # Words
//
// A cursor names a moment of one replica's memory. A scope is the set of venues that a
// member of staff may see. A follower is one open stream.
//
// # Invariants
//
//   - Nothing is held while nobody looks.
//   - A snapshot and the events after its cursor are the fleet, without a gap. Where
//     events were dropped, or the cursor is another memory's, the follower is told to
//     take a new snapshot.
//   - No follower holds up another, the memory, or who tells of a change.
//   - A follower is told nothing of venues outside of its scope.
package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// ErrUnread says that the fleet could not be read; the text has the cause.
var ErrUnread = errors.New("the fleet cannot be read now; try again")

// Fleet reads the tables.
type Fleet interface {
	// FleetRows reads the devices of those ids, nil = all, by id, with the clock that
	// their times are of. Unknown ids are left out.
	FleetRows(ctx context.Context, ids []device.ID) ([]order.FleetRow, time.Time, error)
	Venues(ctx context.Context) ([]order.Venue, error)
	// Preferences are the thresholds in force.
	Preferences(ctx context.Context) (order.Preferences, error)
}

// Updates are those of the outbox, from every replica: order.Update.
type Updates interface {
	// Listen hands every update to hear, which never blocks, until cancel.
	Listen(hear func(subject string, payload []byte)) (cancel func())
}

// Glimpses are what devices say without signing it, to whatever replica.
type Glimpses interface {
	// Known hands the newest of each device that is known here to told, before it returns.
	Known(told func(device.ID, order.Glimpse))
	// Follow hands the newest of each device to told, then what comes, until ctx ends.
	// told never blocks and may hear the same again.
	Follow(ctx context.Context, told func(device.ID, order.Glimpse)) error
}

// Config names a Hub's parts. Fleet and Updates are required.
type Config struct {
	Fleet    Fleet
	Updates  Updates
	Glimpses Glimpses // nil: no battery and no display is shown
	Log      *slog.Logger

	Every  time.Duration // between two looks at what changed; 0 = 250 ms
	Reread time.Duration // between two readings of all rows; 0 = 1 min
	Keep   time.Duration // of the memory once nobody looks; 0 = 5 min
	Events int           // that a stream can be resumed over; 0 = 16,384
	Bytes  int           // of them; 0 = 16 MiB
}

// Hub is one replica's memory of the fleet. Its methods are safe for concurrent use.
type Hub struct {
	c      Config
	wanted chan struct{} // holds one: somebody looks and there is no memory

	listening atomic.Bool
	news      news

	mu        sync.Mutex // guards what follows
	memory    *memory    // nil: nobody looks
	made      chan struct{}
	failed    error     // why the newest attempt made no memory
	looked    time.Time // when somebody last did
	followers map[*Follower]struct{}
	ended     bool

	counts Counts
}

// Counts is what a Hub did, for metrics; each only grows.
type Counts struct {
	Events, Resyncs, Snapshots, Failures atomic.Int64
}

// Size is how large a Hub is now.
type Size struct {
	Devices   int // in memory
	Followers int
	Events    int // that can be resumed over
	Bytes     int // of them
}

// New checks the parts and starts nothing.
func New(c Config) (*Hub, error) {
	if c.Fleet == nil || c.Updates == nil {
		return nil, errors.New("live.New: Fleet and Updates are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		into *time.Duration
		is   time.Duration
	}{{&c.Every, 250 * time.Millisecond}, {&c.Reread, time.Minute}, {&c.Keep, 5 * time.Minute}} {
		if *d.into == 0 {
			*d.into = d.is
		}
	}
	if c.Events == 0 {
		c.Events = 16 << 10
	}
	if c.Bytes == 0 {
		c.Bytes = 16 << 20
	}
	return &Hub{c: c, wanted: make(chan struct{}, 1), made: make(chan struct{}), followers: map[*Follower]struct{}{}}, nil
}

// Counts returns the running counters.
func (h *Hub) Counts() *Counts { return &h.counts }

// Size tells how large it is.
func (h *Hub) Size() Size {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Size{Followers: len(h.followers)}
	if m := h.memory; m != nil {
		s.Devices, s.Events, s.Bytes = len(m.rows), len(m.ring.entries), m.ring.bytes
	}
	return s
}

// Run keeps a memory while somebody looks, until ctx ends. Then every follower ends.
func (h *Hub) Run(ctx context.Context) error {
	defer func() {
		h.mu.Lock()
		h.ended = true
		h.forget()
		for f := range h.followers {
			f.end()
		}
		h.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wanted:
		}
		if err := h.keep(ctx); err != nil && ctx.Err() == nil {
			h.counts.Failures.Add(1)
			h.c.Log.Warn("fleet not read", "err", err)
		}
	}
}

// keep makes a memory and keeps it until nobody has looked for a while. Its error says
// why there was none.
func (h *Hub) keep(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel()
	h.news.take() // what is left of the memory before
	h.listening.Store(true)
	defer h.listening.Store(false)
	defer h.c.Updates.Listen(h.hear)()
	if h.c.Glimpses != nil {
		beside.Go(func() {
			if err := h.c.Glimpses.Follow(ctx, h.news.glimpse); err != nil && ctx.Err() == nil {
				h.c.Log.Warn("what devices say unsigned is not followed", "err", err)
			}
		})
	}
	m, err := h.load(ctx)
	h.mu.Lock()
	if err != nil {
		h.failed = fmt.Errorf("%w: %w", ErrUnread, err)
	} else {
		h.memory, h.failed, h.looked = m, nil, time.Now()
	}
	select { // who asked while it was made has it
	case <-h.wanted:
	default:
	}
	close(h.made) // whoever waits looks at memory and failed
	h.made = make(chan struct{})
	h.mu.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		h.mu.Lock()
		h.forget()
		h.mu.Unlock()
	}()
	tick := time.NewTicker(h.c.Every)
	defer tick.Stop()
	reread, timed := time.Now().Add(h.c.Reread), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if h.unused(now) {
				return nil
			}
			all := !now.Before(reread)
			if all {
				reread = now.Add(h.c.Reread)
			}
			by := now.Sub(timed) >= time.Second // what the clock alone changes
			if by {
				timed = now
			}
			if err := h.tick(ctx, m, all, by); err != nil && ctx.Err() == nil {
				h.counts.Failures.Add(1)
				h.c.Log.Warn("changes of the fleet not read", "err", err)
			}
		}
	}
}

// unused tells whether nobody has looked for so long that the memory may go.
func (h *Hub) unused(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.followers) > 0 {
		h.looked = now
	}
	if now.Sub(h.looked) < h.c.Keep {
		return false
	}
	h.forget() // nobody may begin to look in between
	return true
}

func (h *Hub) forget() { h.memory = nil }

// look returns the memory, made if need be.
func (h *Hub) look(ctx context.Context) (*memory, error) {
	for {
		h.mu.Lock()
		m, made, ended := h.memory, h.made, h.ended
		if m != nil {
			h.looked = time.Now()
		}
		h.mu.Unlock()
		if m != nil {
			return m, nil
		}
		if ended {
			return nil, ErrUnread
		}
		select {
		case h.wanted <- struct{}{}:
		default:
		}
		select {
		case <-made:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		h.mu.Lock()
		m, err := h.memory, h.failed
		h.mu.Unlock()
		if m == nil && err != nil {
			return nil, err
		}
	}
}
