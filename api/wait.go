package api

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/unlatch/unlatch/order"
)

// waits knows who waits for which order. It holds no order longer than it takes
// to hand it on.
type waits struct {
	perRider int
	draining chan struct{} // closed when every wait has to end

	mu      sync.Mutex
	drained bool
	byOrder map[string]map[*follower]struct{}
	riders  map[string]int
}

func newWaits(perRider int) *waits {
	return &waits{perRider: perRider, draining: make(chan struct{}), byOrder: map[string]map[*follower]struct{}{},
		riders: map[string]int{}}
}

// follower is one wait for one order. Register it, then read the order, then
// wait: so nothing that happens in between is missed.
type follower struct {
	waits   *waits
	rider   string
	order   string
	reread  chan order.Order // the newest state of the shared re-read; holds one
	updates <-chan []byte    // of the Watcher; nil without one
	unwatch func()
	watcher Watcher
	lives   <-chan []byte // new figures on the display; nil until watchLive
}

// follow registers a wait. The caller closes it. errTooManyWaits: the rider has
// as many as one may have.
func (a *API) follow(rider, id string) (*follower, error) {
	f := &follower{waits: a.waits, rider: rider, order: id, reread: make(chan order.Order, 1), unwatch: func() {}}
	if !a.waits.add(f) {
		return nil, errTooManyWaits
	}
	if f.watcher = a.Watcher; f.watcher != nil {
		f.updates, f.unwatch = a.Watcher.Watch("order." + id)
	}
	return f, nil
}

// watchLive also waits for the display of an active order, once. Look at the
// figures after it.
func (f *follower) watchLive(o order.Order) {
	if f.watcher == nil || f.lives != nil || o.State != order.Active {
		return
	}
	lives, unwatch := f.watcher.Watch("live." + string(o.Device))
	before := f.unwatch
	f.lives, f.unwatch = lives, func() { before(); unwatch() }
}

func (f *follower) close() {
	f.unwatch()
	f.waits.remove(f)
}

// hint is why a follower stopped waiting.
type hint int

const (
	moved   hint = iota // something was heard: read the order again
	seen                // the order was read again for all; it comes along
	stirred             // a display shows new figures; the order may be as it was
	elapsed             // the time is over
	ended               // the process drains, or the caller hung up
)

// next waits for one hint.
func (f *follower) next(ctx context.Context, timer <-chan time.Time) (hint, order.Order) {
	select {
	case <-f.waits.draining:
		return ended, order.Order{}
	default:
	}
	select {
	case <-f.updates:
		return moved, order.Order{}
	case o := <-f.reread:
		return seen, o
	case <-f.lives:
		return stirred, order.Order{}
	case <-timer:
		return elapsed, order.Order{}
	case <-f.waits.draining:
		return ended, order.Order{}
	case <-ctx.Done():
		return ended, order.Order{}
	}
}

func (w *waits) add(f *follower) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.riders[f.rider] >= w.perRider {
		return false
	}
	w.riders[f.rider]++
	set := w.byOrder[f.order]
	if set == nil {
		set = map[*follower]struct{}{}
		w.byOrder[f.order] = set
	}
	set[f] = struct{}{}
	return true
}

func (w *waits) remove(f *follower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.riders[f.rider]--; w.riders[f.rider] <= 0 {
		delete(w.riders, f.rider)
	}
	set := w.byOrder[f.order]
	delete(set, f)
	if len(set) == 0 {
		delete(w.byOrder, f.order)
	}
}

// count is how many wait.
func (w *waits) count() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := int64(0)
	for _, set := range w.byOrder {
		n += int64(len(set))
	}
	return n
}

// ids lists the waited orders.
func (w *waits) ids() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.byOrder))
}

// offer hands a state to who waits for it; an older one that was not taken is
// replaced.
func (w *waits) offer(o order.Order) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for f := range w.byOrder[o.ID] {
		select {
		case <-f.reread:
		default:
		}
		f.reread <- o // empty by now, and only filled under the lock
	}
}

// drain ends all waits, now and later.
func (w *waits) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.drained {
		w.drained = true
		close(w.draining)
	}
}
