package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// HopStore writes down when commands left and when their answers were acked. It turns
// each moment into one of the database's clock.
type HopStore interface {
	NoteHops(ctx context.Context, hops []order.Hop) error
}

const (
	hopQueue = 8192             // hops that wait to be written; more are lost
	hopBatch = 1000             // that one statement writes
	hopEvery = time.Second      // between two statements
	hopSlow  = 10 * time.Second // for one statement
)

// Hops takes the times of commands to the database, behind their backs: a start or a piece
// of evidence never waits for it. What finds no room, or cannot be written, is lost and
// shown as unknown; nothing is decided by it.
type Hops struct {
	Store HopStore
	Log   *slog.Logger
	Lost  atomic.Int64 // hops that were not written

	once  sync.Once
	queue chan order.Hop
}

func (h *Hops) waiting() chan order.Hop {
	h.once.Do(func() { h.queue = make(chan order.Hop, hopQueue) })
	return h.queue
}

// Left notes that the broker took a command; see Dispatcher.Left. Only the first time
// counts.
func (h *Hops) Left(c device.Command) { h.offer(order.Hop{Command: c.ID, At: time.Now()}) }

// Acked notes that the ack of these commands' answers left; see IngestConfig.Acked.
func (h *Hops) Acked(commands []string) {
	now := time.Now()
	for _, id := range commands {
		h.offer(order.Hop{Command: id, Acked: true, At: now})
	}
}

func (h *Hops) offer(hop order.Hop) {
	select {
	case h.waiting() <- hop:
	default:
		h.Lost.Add(1)
	}
}

// Run writes hops down until ctx ends, and then what waits.
func (h *Hops) Run(ctx context.Context) error {
	tick := time.NewTicker(hopEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for h.write(context.WithoutCancel(ctx)) == hopBatch {
			}
			return nil
		case <-tick.C:
		}
		for h.write(ctx) == hopBatch {
		}
	}
}

// write writes what waits, a batch at most, and returns how many that were.
func (h *Hops) write(ctx context.Context) int {
	var batch []order.Hop
	for len(batch) < hopBatch {
		select {
		case hop := <-h.waiting():
			batch = append(batch, hop)
			continue
		default:
		}
		break
	}
	if len(batch) == 0 {
		return 0
	}
	put, cancel := context.WithTimeout(ctx, hopSlow)
	err := h.Store.NoteHops(put, batch)
	cancel()
	if err != nil {
		h.Lost.Add(int64(len(batch)))
		if ctx.Err() == nil {
			h.Log.Warn("times of commands not written", "err", err)
		}
		return 0
	}
	return len(batch)
}
