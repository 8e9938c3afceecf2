package bus

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

const (
	uplinkSubject = "ul.1.*.up.*"
	uplinkGroup   = "gateway"

	defaultQueues     = 8
	defaultQueueDepth = 256
	// defaultUplinkSize is the largest message taken, in bytes.
	defaultUplinkSize = 8 << 10
	// pendingMessages and pendingBytes bound what waits between the library and
	// the queues.
	pendingMessages = 16 << 10
	pendingBytes    = 16 << 20
)

// UplinksConfig is a replica's way of device messages in.
type UplinksConfig struct {
	Dial Dial
	// Handle takes one message, with its MQTT topic (ul/1/{device}/up/{kind}).
	// Messages of one device come one after the other in the order of arrival,
	// those of different devices at the same time, on as many goroutines as there
	// are queues. Required.
	Handle func(topic string, payload []byte)
	// Queues is 8 when zero. Devices are spread over them by their id.
	Queues int
	// Depth is how many messages wait in one queue, 256 when zero.
	Depth int
	// MaxSize is the largest message in bytes, 8 KiB when zero.
	MaxSize int
	// Log receives changes of the connection; nil discards.
	Log *slog.Logger
}

// Uplinks brings device messages from NATS: each to one of the replicas. A full
// queue drops: devices send evidence again until it is acknowledged.
type Uplinks struct {
	cfg    UplinksConfig
	log    *slog.Logger
	seed   maphash.Seed
	queues []chan uplink
	ready  chan struct{}
	ran    atomic.Bool

	mu  sync.Mutex // guards sub
	sub *nats.Subscription

	received, handled, dropped, malformed atomic.Int64
}

type uplink struct {
	topic   string
	payload []byte
}

// UplinksStats counts since the start.
type UplinksStats struct {
	Received  int64 // came from NATS
	Handled   int64 // Handle has returned
	Dropped   int64 // a queue was full, here or in the library
	Malformed int64 // no device's topic, or too large
	Waiting   int   // in the queues now
}

// NewUplinks checks the configuration and connects to nothing. Its only error is
// ErrBadConfig.
func NewUplinks(cfg UplinksConfig) (*Uplinks, error) {
	if err := cfg.Dial.check(); err != nil {
		return nil, err
	}
	if cfg.Handle == nil || cfg.Queues < 0 || cfg.Depth < 0 || cfg.MaxSize < 0 {
		return nil, fmt.Errorf("%w: uplinks need a handler and no negative sizes", ErrBadConfig)
	}
	if cfg.Queues == 0 {
		cfg.Queues = defaultQueues
	}
	if cfg.Depth == 0 {
		cfg.Depth = defaultQueueDepth
	}
	if cfg.MaxSize == 0 {
		cfg.MaxSize = defaultUplinkSize
	}
	u := &Uplinks{cfg: cfg, log: cfg.Log, seed: maphash.MakeSeed(), ready: make(chan struct{})}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	for range cfg.Queues {
		u.queues = append(u.queues, make(chan uplink, cfg.Depth))
	}
	return u, nil
}

// Run takes messages until the context ends, waits for the handlers at work and
// returns nil; what still waits in the queues is left to be sent again. It has a
// connection of its own, so that a flood of telemetry delays no wake-up.
func (u *Uplinks) Run(ctx context.Context) error {
	if u.ran.Swap(true) {
		return errors.New("bus: uplinks run once")
	}
	nc, gone, err := u.cfg.Dial.connect("unlatch uplinks", u.log)
	if err != nil {
		return err
	}
	defer func() { nc.Close(); <-gone }()
	sub, err := nc.QueueSubscribe(uplinkSubject, uplinkGroup, u.take)
	if err == nil {
		err = sub.SetPendingLimits(pendingMessages, pendingBytes)
	}
	if err != nil {
		return fmt.Errorf("subscribe to uplinks: %w", err)
	}
	u.mu.Lock()
	u.sub = sub
	u.mu.Unlock()
	var workers sync.WaitGroup
	defer workers.Wait()
	for _, queue := range u.queues {
		workers.Go(func() { u.work(ctx, queue) })
	}
	if !flushWhenConnected(ctx, nc) {
		return nil
	}
	close(u.ready)
	<-ctx.Done()
	return nil
}

// Ready is closed when messages come in for the first time.
func (u *Uplinks) Ready() <-chan struct{} { return u.ready }

// Stats counts messages.
func (u *Uplinks) Stats() UplinksStats {
	stats := UplinksStats{
		Received: u.received.Load(), Handled: u.handled.Load(),
		Dropped: u.dropped.Load(), Malformed: u.malformed.Load(),
	}
	for _, queue := range u.queues {
		stats.Waiting += len(queue)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.sub != nil {
		if lost, err := u.sub.Dropped(); err == nil {
			stats.Dropped += int64(lost)
		}
	}
	return stats
}

// take sorts a message into its device's queue and never waits.
func (u *Uplinks) take(m *nats.Msg) {
	u.received.Add(1)
	levels := strings.Split(m.Subject, ".")
	// The server's self-test is no device. A level with syntax in it comes from a
	// broker that maps topics in its own way.
	if len(levels) != 5 || !validID(levels[2], maxDeviceID) || Reserved(levels[2]) ||
		!validID(levels[4], maxID) || len(m.Data) > u.cfg.MaxSize {
		u.malformed.Add(1)
		return
	}
	queue := u.queues[maphash.String(u.seed, levels[2])%uint64(len(u.queues))]
	select {
	case queue <- uplink{strings.Join(levels, "/"), m.Data}:
	default:
		u.dropped.Add(1)
	}
}

func (u *Uplinks) work(ctx context.Context, queue <-chan uplink) {
	for {
		select {
		case <-ctx.Done():
			return
		case up := <-queue:
			if ctx.Err() != nil {
				return
			}
			u.cfg.Handle(up.topic, up.payload)
			u.handled.Add(1)
		}
	}
}
