package gateway

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// PositionStore writes down where devices are. It has the last word on whether a
// position is far enough from the one before, and late enough after it, and returns
// where each known device now stands by what is written.
type PositionStore interface {
	NotePositions(ctx context.Context, told []order.DeviceAt, history bool) ([]order.DeviceAt, error)
}

const (
	trackQueue = 4096             // positions that wait to be written; more are dropped
	trackBatch = 500              // that one statement writes
	trackEvery = time.Second      // between two statements
	trackAgain = time.Minute      // before the store is asked about a device again
	trackMoved = 5                // metres: less than the store's own least distance
	trackKnown = 200_000          // devices that are remembered
	trackSlow  = 10 * time.Second // for one statement
)

// Tracks takes positions from telemetry to the database. It never holds up who brings
// one: a position that finds no room, or comes within a minute of one before, is
// dropped, and the device tells the next. They are unsigned, so that nothing is decided
// by them.
type Tracks struct {
	Store   PositionStore
	History bool // where devices were before is kept for a while
	Log     *slog.Logger

	once  sync.Once
	queue chan order.DeviceAt

	mu    sync.Mutex
	known map[device.ID]track
}

// track is what this replica remembers of a device.
type track struct {
	tried   time.Time
	at      order.Point // as written
	written bool
}

func (k *Tracks) waiting() chan order.DeviceAt {
	k.once.Do(func() { k.queue = make(chan order.DeviceAt, trackQueue) })
	return k.queue
}

// Offer takes a position in, or drops it.
func (k *Tracks) Offer(d order.DeviceAt) {
	if d.Point == (order.Point{}) || math.Abs(d.Lat) > 90 || math.Abs(d.Lng) > 180 {
		return // no fix: some receivers say zero
	}
	now := time.Now()
	k.mu.Lock()
	t := k.known[d.Device]
	if !t.tried.IsZero() && now.Sub(t.tried) < trackAgain || t.written && near(t.at, d.Point) {
		k.mu.Unlock()
		return
	}
	if k.known == nil || len(k.known) > trackKnown {
		k.known = map[device.ID]track{}
	}
	t.tried = now
	k.known[d.Device] = t
	k.mu.Unlock()
	select {
	case k.waiting() <- d:
	default:
		k.forget(d.Device)
	}
}

func (k *Tracks) forget(id device.ID) {
	k.mu.Lock()
	delete(k.known, id)
	k.mu.Unlock()
}

// near tells, a little too strictly, whether two positions are the same for the store.
func near(a, b order.Point) bool {
	const metres = 111_195 // of a degree of latitude
	north, east := (a.Lat-b.Lat)*metres, (a.Lng-b.Lng)*metres*math.Cos(a.Lat*math.Pi/180)
	return math.Hypot(north, east) < trackMoved
}

// Run writes positions down until ctx ends.
func (k *Tracks) Run(ctx context.Context) error {
	tick := time.NewTicker(trackEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for k.write(ctx) == trackBatch {
		}
	}
}

// write writes what waits, a batch at most, and returns how many that were.
func (k *Tracks) write(ctx context.Context) int {
	var batch []order.DeviceAt
	for len(batch) < trackBatch {
		select {
		case d := <-k.waiting():
			batch = append(batch, d)
			continue
		default:
		}
		break
	}
	if len(batch) == 0 {
		return 0
	}
	put, cancel := context.WithTimeout(ctx, trackSlow)
	stand, err := k.Store.NotePositions(put, batch, k.History)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			k.Log.Warn("positions not written", "err", err)
		}
		for _, d := range batch { // the next one will do
			k.forget(d.Device)
		}
		return 0
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range stand {
		if t, ok := k.known[d.Device]; ok {
			t.at, t.written = d.Point, true
			k.known[d.Device] = t
		}
	}
	return len(batch)
}
