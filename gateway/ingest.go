package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

// Hearer takes in a verified word; order.Service does.
type Hearer interface {
	Hear(context.Context, order.Hear) (order.Heard, error)
}

// Key is the public key of one epoch of a device.
type Key struct {
	Epoch  uint32
	Public ed25519.PublicKey
}

// Keys finds a device's keys, of all its epochs; none when the device is unknown
// or retired.
type Keys interface {
	Keys(context.Context, device.ID) ([]Key, error)
}

// Publisher puts bytes on a topic without waiting for anybody. An error means
// that they did not leave now.
type Publisher interface {
	Publish(topic string, payload []byte) error
}

// Seen takes what is unsigned and for display only.
type Seen interface {
	Telemetry(device.ID, wire.Telemetry)
	Presence(device.ID, wire.Presence)
}

// IngestConfig names an Ingest's parts.
type IngestConfig struct {
	Hearer    Hearer
	Keys      Keys
	Publisher Publisher
	Sealer    Sealer
	Seen      Seen // nil = not wanted
	// Acked is told of the commands whose answers' ack left; nil: nobody asks. It must not
	// block.
	Acked func(commands []string)
	Log   *slog.Logger
	// Workers words are worked on at a time, 0 = 8; each has a queue of Queue
	// words, 0 = 512. A device's words leave in the order in
	// which they were offered.
	Workers, Queue int
	// AckEvery is for how long acks are gathered, 0 = 100 ms.
	AckEvery time.Duration
}

// Ingest takes in what devices say.
type Ingest struct {
	c      IngestConfig
	queues []chan word
	acks   acks
	keys   keyCache
	counts Counts
}

type word struct {
	topic   string
	payload []byte
}

// Counts is what Ingest did, for metrics; every field only grows.
type Counts struct {
	Heard, Dropped, Malformed, Forged, Unknown, Quarantined, Failed, Acked atomic.Int64
}

// NewIngest checks the parts and starts nothing.
func NewIngest(c IngestConfig) (*Ingest, error) {
	if c.Hearer == nil || c.Keys == nil || c.Publisher == nil || c.Sealer.Signer == nil {
		return nil, errors.New("gateway.NewIngest: Hearer, Keys, Publisher and Sealer are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Workers == 0 {
		c.Workers = 8
	}
	if c.Queue == 0 {
		c.Queue = 512
	}
	if c.AckEvery == 0 {
		c.AckEvery = 100 * time.Millisecond
	}
	in := &Ingest{c: c, acks: acks{waiting: map[device.ID]pendingAck{}}, keys: keyCache{entries: map[device.ID]keyEntry{}}}
	for range c.Workers {
		in.queues = append(in.queues, make(chan word, c.Queue))
	}
	return in, nil
}

// Counts returns the running counters.
func (in *Ingest) Counts() *Counts { return &in.counts }

// Offer queues an uplink and never blocks. False: the queue is full or the topic
// is nobody's, and the word is dropped; what matters is sent again. It keeps no
// reference to payload.
func (in *Ingest) Offer(topic string, payload []byte) bool {
	id, _, err := wire.ParseTopic(topic)
	if err != nil {
		in.counts.Malformed.Add(1)
		return false
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	select {
	case in.queues[h.Sum32()%uint32(len(in.queues))] <- word{topic, bytes.Clone(payload)}:
		return true
	default:
		in.counts.Dropped.Add(1)
		return false
	}
}

// Run works the queues and publishes acks until ctx ends.
func (in *Ingest) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, q := range in.queues {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case w := <-q:
					in.Take(ctx, w.topic, w.payload)
				}
			}
		})
	}
	tick := time.NewTicker(in.c.AckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			in.flush()
			return nil
		case <-tick.C:
			in.flush()
		}
	}
}

// Take works one uplink to its end. Whatever is wrong with it is counted and
// changes nothing.
func (in *Ingest) Take(ctx context.Context, topic string, payload []byte) {
	name, channel, err := wire.ParseTopic(topic)
	if err != nil {
		in.counts.Malformed.Add(1)
		return
	}
	id := device.ID(name)
	switch channel {
	case wire.ChannelEvidence:
		in.evidence(ctx, id, payload)
	case wire.ChannelTelemetry:
		if t, err := wire.DecodeTelemetry(payload); err != nil {
			in.counts.Malformed.Add(1)
		} else if in.c.Seen != nil {
			in.c.Seen.Telemetry(id, t)
		}
	case wire.ChannelPresence:
		if p, err := wire.DecodePresence(payload); err != nil {
			in.counts.Malformed.Add(1)
		} else if in.c.Seen != nil {
			in.c.Seen.Presence(id, p)
		}
	default:
		in.counts.Malformed.Add(1)
	}
}

func (in *Ingest) evidence(ctx context.Context, id device.ID, payload []byte) {
	if _, err := in.word(ctx, id, payload, false); err != nil && ctx.Err() == nil {
		in.counts.Failed.Add(1)
		in.c.Log.Error("word not taken in", "device", id, "err", err)
	}
}

func epochOf(up wire.Uplink) uint32 {
	if up.Evidence != nil {
		return up.Evidence.Epoch
	}
	return up.Beat.Epoch
}

// errUnknownDevice, errEpoch and errKeys are what open may find besides wire's
// errors; errKeys is our fault and says nothing of the word.
var (
	errKeys          = errors.New("the device's keys cannot be read")
	errUnknownDevice = errors.New("no such device here")
	errEpoch         = errors.New("the key belongs to another epoch than the word says")
)

// open verifies an uplink by the keys of its device. The epoch that it states
// must be the one whose key signed it.
func (in *Ingest) open(ctx context.Context, id device.ID, payload []byte) (wire.Uplink, error) {
	for _, fresh := range []bool{false, true} {
		entry, err := in.keys.get(ctx, in.c.Keys, id, fresh)
		if err != nil {
			return wire.Uplink{}, fmt.Errorf("%w: %w", errKeys, err)
		}
		if len(entry.keys) == 0 {
			if fresh {
				return wire.Uplink{}, errUnknownDevice
			}
			continue
		}
		up, err := wire.OpenUplink(entry.verifier, string(id), payload)
		if errors.Is(err, wire.ErrUnknownKey) && !fresh {
			continue // provisioned anew since the keys were read
		}
		if err != nil {
			return wire.Uplink{}, err
		}
		return up, entry.checkEpoch(id, up, payload)
	}
	return wire.Uplink{}, wire.ErrUnknownKey
}

func (in *Ingest) count(err error) {
	switch {
	case errors.Is(err, errUnknownDevice):
		in.counts.Unknown.Add(1)
	case errors.Is(err, wire.ErrSignature), errors.Is(err, wire.ErrUnknownKey), errors.Is(err, errEpoch):
		in.counts.Forged.Add(1)
	default:
		in.counts.Malformed.Add(1)
	}
}

// keyCache keeps devices' keys in memory, so that a word costs no look-up.
type keyCache struct {
	mu      sync.Mutex
	entries map[device.ID]keyEntry
}

type keyEntry struct {
	keys     []Key
	verifier wire.Verifier
	read     time.Time
}

// keyLife bounds how long a retired device is still heard; rereadAfter how often
// an unknown key may make us ask again.
const (
	keyLife     = 30 * time.Second
	rereadAfter = time.Second
)

func (c *keyCache) get(ctx context.Context, from Keys, id device.ID, fresh bool) (keyEntry, error) {
	c.mu.Lock()
	e, ok := c.entries[id]
	c.mu.Unlock()
	age := time.Since(e.read)
	if ok && (age < rereadAfter || age < keyLife && !fresh) {
		return e, nil
	}
	keys, err := from.Keys(ctx, id)
	if err != nil {
		return e, err
	}
	e = keyEntry{keys: keys, read: time.Now()}
	public := make([]ed25519.PublicKey, len(keys))
	for i, k := range keys {
		public[i] = k.Public
	}
	e.verifier = wire.NewVerifier(public...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) > 200_000 { // far beyond any fleet: names out of thin air
		c.entries = map[device.ID]keyEntry{}
	}
	c.entries[id] = e
	return e, nil
}

// Forget drops what is remembered of a device's keys: it was provisioned anew, and its
// first word must not be taken for a forgery.
func (in *Ingest) Forget(id device.ID) {
	in.keys.mu.Lock()
	defer in.keys.mu.Unlock()
	delete(in.keys.entries, id)
}

// checkEpoch verifies once more with only the key of the stated epoch, unless the
// device has but one.
func (e keyEntry) checkEpoch(id device.ID, up wire.Uplink, payload []byte) error {
	for _, k := range e.keys {
		if k.Epoch != epochOf(up) {
			continue
		}
		if len(e.keys) == 1 {
			return nil
		}
		if _, err := wire.OpenUplink(wire.NewVerifier(k.Public), string(id), payload); err == nil {
			return nil
		}
	}
	return errEpoch
}

// acks gathers what may be acked, so that a burst of evidence costs one message.
type acks struct {
	mu      sync.Mutex
	waiting map[device.ID]pendingAck
}

type pendingAck struct {
	epoch    uint32
	ack      device.Ack
	commands []string // whose answers it covers, a few at most
}

// mostAcked bounds the commands that one ack is noted for.
const mostAcked = 16

// add takes an ack in; command is the one whose answer it covers, "" = none.
func (a *acks) add(id device.ID, epoch uint32, ack device.Ack, command string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	have, ok := a.waiting[id]
	if !ok || have.epoch != epoch || have.ack.Journal != ack.Journal || have.ack.N <= ack.N {
		have.epoch, have.ack = epoch, ack
	}
	if command != "" && len(have.commands) < mostAcked {
		have.commands = append(have.commands, command)
	}
	a.waiting[id] = have
}

func (in *Ingest) flush() {
	in.acks.mu.Lock()
	waiting := in.acks.waiting
	in.acks.waiting = map[device.ID]pendingAck{}
	in.acks.mu.Unlock()
	for id, p := range waiting {
		b, err := in.c.Sealer.SealAck(id, p.epoch, p.ack)
		if err != nil {
			in.c.Log.Error("ack not sealed", "device", id, "err", err)
			continue
		}
		if err := in.c.Publisher.Publish(wire.CommandTopic(string(id)), b); err == nil {
			in.counts.Acked.Add(1)
			if in.c.Acked != nil && len(p.commands) > 0 {
				in.c.Acked(p.commands)
			}
		}
	}
}
