package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// flushPatience bounds one round trip to NATS.
const flushPatience = 5 * time.Second

// ConnConfig is a replica's connection.
type ConnConfig struct {
	Dial Dial
	// Replicas of the last states in a NATS cluster, 1 when zero.
	Replicas int
	// Log receives changes of the connection; nil discards.
	Log *slog.Logger
}

// Conn is a replica's one connection for states: it publishes them, wakes those
// who wait in this process, and keeps the last state per device. Its methods are
// safe for concurrent use.
type Conn struct {
	cfg   ConnConfig
	log   *slog.Logger
	ready chan struct{}
	ran   atomic.Bool

	mu       sync.RWMutex // guards what follows
	nc       *nats.Conn
	watchers map[string]map[*watcher]struct{}
	hearers  map[*hearer]struct{}

	making chan struct{} // holds one while the bucket is made
	last   jetstream.KeyValue

	published, failed, received atomic.Int64
}

// ConnStats counts since the start.
type ConnStats struct {
	Connected bool
	Published int64 // handed to NATS
	Failed    int64 // not handed to NATS; waiters in this process heard of it
	Received  int64 // from other replicas
	Watchers  int   // waiting now
}

// NewConn checks the configuration and connects to nothing. Its only error is
// ErrBadConfig.
func NewConn(cfg ConnConfig) (*Conn, error) {
	if err := cfg.Dial.check(); err != nil {
		return nil, err
	}
	if cfg.Replicas < 0 || cfg.Replicas > 5 {
		return nil, fmt.Errorf("%w: %d replicas, want 1 to 5", ErrBadConfig, cfg.Replicas)
	}
	c := &Conn{cfg: cfg, log: cfg.Log, ready: make(chan struct{}), making: make(chan struct{}, 1),
		watchers: map[string]map[*watcher]struct{}{}, hearers: map[*hearer]struct{}{}}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Run connects, keeps the connection until the context ends, and returns nil then.
// It does not fail when NATS is away: it tries for as long as it runs.
func (c *Conn) Run(ctx context.Context) error {
	if c.ran.Swap(true) {
		return errors.New("bus: a connection runs once")
	}
	// Without echo: this process wakes its own waiters itself, and need not be
	// connected to do so.
	nc, gone, err := c.cfg.Dial.connect("unlatch", c.log, nats.NoEcho())
	if err != nil {
		return err
	}
	defer func() { nc.Close(); <-gone }()
	_, err = nc.Subscribe(subjectRoot+">", func(m *nats.Msg) {
		c.received.Add(1)
		c.wake(m.Subject, m.Data)
	})
	if err != nil {
		return fmt.Errorf("subscribe to states: %w", err)
	}
	c.mu.Lock()
	c.nc = nc
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.nc = nil
		c.mu.Unlock()
	}()
	if !flushWhenConnected(ctx, nc) {
		return nil
	}
	close(c.ready)
	<-ctx.Done()
	return nil
}

// flushWhenConnected waits until NATS knows our subscriptions for the first time;
// later the library repeats them by itself. It reports false when the context
// ended first.
func flushWhenConnected(ctx context.Context, nc *nats.Conn) bool {
	changed := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(changed)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		// The library wants a bound for a flush.
		bound, cancel := context.WithTimeout(ctx, flushPatience)
		done := nc.IsConnected() && nc.FlushWithContext(bound) == nil
		cancel()
		if done {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		case <-again.C:
		}
	}
}

// Ready is closed when the connection stood for the first time and hears states.
func (c *Conn) Ready() <-chan struct{} { return c.ready }

// Stats counts messages.
func (c *Conn) Stats() ConnStats {
	c.mu.RLock()
	defer c.mu.RUnlock()
	stats := ConnStats{
		Connected: c.nc != nil && c.nc.IsConnected(),
		Published: c.published.Load(), Failed: c.failed.Load(), Received: c.received.Load(),
	}
	for _, set := range c.watchers {
		stats.Watchers += len(set)
	}
	return stats
}

// PublishOrder tells all replicas an order's new state. See Publish.
func (c *Conn) PublishOrder(ctx context.Context, id string, payload []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return c.Publish(OrderSubject(id), payload)
}

// Publish wakes the waiters of this process, then tells the other replicas. It
// never blocks. Nil does not promise that anybody heard it: who waits reads the
// truth again from time to time.
//
// Errors: ErrBadSubject (nobody was told), ErrNotConnected (this process was).
// The payload must not be changed afterwards.
func (c *Conn) Publish(subject string, payload []byte) error {
	if err := checkSubject(subject); err != nil {
		return err
	}
	c.wake(subject, payload)
	c.mu.RLock()
	nc := c.nc
	c.mu.RUnlock()
	err := ErrNotConnected
	if nc != nil {
		err = nc.Publish(subject, payload)
	}
	if err != nil {
		c.failed.Add(1)
		if !errors.Is(err, ErrNotConnected) {
			err = fmt.Errorf("%w: %w", ErrNotConnected, err)
		}
		return fmt.Errorf("publish %s: %w", subject, err)
	}
	c.published.Add(1)
	return nil
}

// watcher holds one message at most. The lock keeps two wakers from filling the
// channel between each other's take and put.
type watcher struct {
	mu sync.Mutex
	ch chan []byte
}

// Watch waits for a subject's messages, of this replica and all others, from now
// on. The channel holds the newest message only: a reader that is late misses what
// was superseded. cancel ends it and may be called again; the channel is not
// closed. To miss nothing: watch, then read the state, then wait.
//
// A subject that Publish would refuse is never heard of. Messages are shared
// between readers and must not be changed.
func (c *Conn) Watch(subject string) (messages <-chan []byte, cancel func()) {
	w := &watcher{ch: make(chan []byte, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	set := c.watchers[subject]
	if set == nil {
		set = map[*watcher]struct{}{}
		c.watchers[subject] = set
	}
	set[w] = struct{}{}
	return w.ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(set, w)
		if current := c.watchers[subject]; len(current) == 0 {
			delete(c.watchers, subject)
		}
	}
}

// hearer is one Listen; its address is what tells it from others.
type hearer struct {
	hear func(subject string, payload []byte)
}

// Listen hands every message of every subject to hear, those of this replica and of all
// others, from now on. hear must not block: it keeps other messages waiting. cancel ends
// it and may be called again; a message that is on its way may still come. Messages are
// shared and must not be changed.
func (c *Conn) Listen(hear func(subject string, payload []byte)) (cancel func()) {
	h := &hearer{hear}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hearers[h] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.hearers, h)
	}
}

func (c *Conn) wake(subject string, payload []byte) {
	c.mu.RLock()
	woken := slices.Collect(maps.Keys(c.watchers[subject]))
	hearers := slices.Collect(maps.Keys(c.hearers))
	c.mu.RUnlock()
	for _, h := range hearers {
		h.hear(subject, payload)
	}
	for _, w := range woken {
		w.mu.Lock()
		select {
		case <-w.ch:
		default:
		}
		w.ch <- payload
		w.mu.Unlock()
	}
}
