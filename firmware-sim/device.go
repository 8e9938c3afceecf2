package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// inboxSize bounds the commands that wait to be handled (P8.3).
const inboxSize = 64

// ErrStopped: the device's Run has ended, or has not begun.
var ErrStopped = errors.New("simulated device is not running")

// DeviceConfig makes a Device. Only Provision has no default.
type DeviceConfig struct {
	Provision Provision
	// Memory is chip and body as an earlier process left them. nil: new ones.
	Memory *Memory
	// Store is called with the memory after each change, before anything that
	// tells of the change is sent, and never concurrently. An error stops the
	// device. nil: memory ends with the process.
	Store func(*Memory) error
	// TLS is for mqtts brokers. nil: the system's roots.
	TLS *tls.Config
	// Rand draws everything; nil: seeded by the operating system. The device owns it.
	Rand *rand.Rand
	// Log gets connections and faults. nil: slog.Default.
	Log *slog.Logger
	// Controller adjusts what the provisioning file does not say: drift, journal
	// capacity, firmware. nil: nothing.
	Controller func(*Config)
	// dials bounds how many devices connect at a time. nil: no bound.
	dials chan struct{}
}

// Device runs a Controller on a real broker and a real clock. One goroutine
// owns the controller; every other reaches it through do.
type Device struct {
	cfg    DeviceConfig
	memory *Memory
	c      *Controller
	net    Network
	rand   *rand.Rand
	log    *slog.Logger

	actions chan func(now time.Time) []Packet
	inbox   chan []byte
	links   chan linkNews
	stopped chan struct{}
	dropped atomic.Uint64 // commands that found the inbox full

	// Owned by Run.
	link       *link
	generation int // of the link or attempt that counts; news of others is stale
	attempt    int
	linkedAt   time.Time
	dialing    bool
	cancelDial context.CancelFunc
	dials      sync.WaitGroup
	stored     uint64    // flash writes when last stored
	moved      uint64    // changes of the body by then
	changed    bool      // a hand was at the body since
	phoneUntil time.Time // when a phone that does not come back is gone; zero: none is here
}

// linkNews is what happened to a connection or an attempt at one.
type linkNews struct {
	generation int
	link       *link // up
	err        error // down, or never up
}

// NewDevice checks the configuration and starts nothing.
func NewDevice(cfg DeviceConfig) (*Device, error) {
	if err := cfg.Provision.check(); err != nil {
		return nil, err
	}
	if cfg.Memory == nil {
		cfg.Memory = &Memory{Lock: *NewLock()}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	config := cfg.Provision.Config()
	config.Flash, config.Rand = &cfg.Memory.Flash, cfg.Rand
	row, err := kindOf(config.Kind)
	if err != nil {
		return nil, err
	}
	if row.recall != nil {
		row.recall(cfg.Memory, &config)
	} else {
		config.Body = cfg.Memory.Body
	}
	if cfg.Controller != nil {
		cfg.Controller(&config)
	}
	c, err := NewController(config)
	if err != nil {
		return nil, err
	}
	cfg.Memory.Body = c.Body
	return &Device{
		cfg: cfg, memory: cfg.Memory, c: c, rand: c.Rand, net: Network{Rand: c.Rand},
		log:     cfg.Log.With("device", cfg.Provision.Device),
		actions: make(chan func(time.Time) []Packet), inbox: make(chan []byte, inboxSize),
		links: make(chan linkNews), stopped: make(chan struct{}),
	}, nil
}

// ID is the device id.
func (d *Device) ID() string { return d.cfg.Provision.Device }

// Run gives the device power and keeps it on the network until ctx ends, then
// takes the power away. It returns nil then, and an error where the memory
// cannot be stored. It may be called once.
func (d *Device) Run(ctx context.Context) error {
	defer close(d.stopped)
	defer d.dials.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer d.unlink()

	now := time.Now()
	d.c.Boot(now)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := d.store(); err != nil {
			return err
		}
		d.keepLinked(ctx)
		timer.Reset(d.untilWake(time.Now()))
		var out []Packet
		select {
		case <-ctx.Done():
			d.c.PowerCutAt(time.Now())
			return d.store()
		case act := <-d.actions:
			now = time.Now()
			out = act(now)
		case payload := <-d.inbox:
			now = time.Now()
			out = d.deliver(now, d.net.Pass(now, Transit{Direction: Down, Packet: Packet{Payload: payload}}))
		case news := <-d.links:
			now = time.Now()
			out = d.hear(now, news)
		case now = <-timer.C:
			d.forgetPhone(now)
			out = append(d.deliver(now, d.net.Due(now)), d.c.Tick(now)...)
		}
		if err := d.store(); err != nil {
			return err
		}
		for _, p := range out {
			d.deliver(now, d.net.Pass(now, Transit{Direction: Up, Packet: p}))
		}
	}
}

// deliver brings messages to their end: the controller, whose answers it
// returns, or the broker.
func (d *Device) deliver(now time.Time, messages []Transit) (out []Packet) {
	for _, m := range messages {
		if m.Direction == Down {
			out = append(out, d.c.Receive(now, m.Packet.Payload)...)
		} else if d.link != nil && d.c.Powered() {
			d.link.publish(m.Packet)
		}
	}
	return out
}

// store keeps what changed since it last did.
func (d *Device) store() error {
	if err := d.c.Err(); err != nil {
		return err
	}
	if d.cfg.Store == nil || d.stored == d.c.flash.Writes && d.moved == d.c.moved && !d.changed {
		return nil
	}
	if err := d.cfg.Store(d.memory); err != nil {
		return err
	}
	d.stored, d.moved, d.changed = d.c.flash.Writes, d.c.moved, false
	return nil
}

// untilWake is how long nothing is due.
func (d *Device) untilWake(now time.Time) time.Duration {
	wait := time.Hour
	for _, at := range []time.Time{d.c.NextWake(), d.net.Next(), d.phoneUntil} {
		if !at.IsZero() {
			wait = min(wait, max(0, at.Sub(now)))
		}
	}
	return wait
}

// keepLinked holds the connection against what it ought to be.
func (d *Device) keepLinked(ctx context.Context) {
	ought := d.c.Powered() && !d.net.Off()
	if !ought {
		d.unlink()
		return
	}
	if d.link != nil || d.dialing {
		return
	}
	d.dialing = true
	d.generation++
	generation, wait, will := d.generation, reconnectWait(d.rand, d.attempt), d.c.Will()
	d.attempt++
	dialCtx, cancel := context.WithCancel(ctx)
	d.cancelDial = cancel
	d.dials.Go(func() {
		l, err := d.connect(dialCtx, wait, will, generation)
		d.tell(ctx, linkNews{generation: generation, link: l, err: err})
	})
}

// connect waits its turn and dials.
func (d *Device) connect(ctx context.Context, wait time.Duration, will Packet, generation int) (*link, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.cfg.dials != nil {
		select {
		case d.cfg.dials <- struct{}{}:
			defer func() { <-d.cfg.dials }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return dial(ctx, linkConfig{
		broker: d.cfg.Provision.Broker, device: d.ID(), password: d.cfg.Provision.MQTTPassword, will: will, tls: d.cfg.TLS,
		message: func(payload []byte) {
			select {
			case d.inbox <- payload:
			default:
				d.dropped.Add(1)
			}
		},
		lost: func(err error) {
			select {
			case d.links <- linkNews{generation: generation, err: err}:
			case <-d.stopped:
			}
		},
	})
}

// tell brings news to Run; where Run has ended a fresh connection is closed.
func (d *Device) tell(ctx context.Context, news linkNews) {
	select {
	case d.links <- news:
	case <-ctx.Done():
		if news.link != nil {
			news.link.cut()
		}
	}
}

// hear takes news of the connection.
func (d *Device) hear(now time.Time, news linkNews) []Packet {
	if news.generation != d.generation {
		if news.link != nil {
			news.link.cut()
		}
		return nil
	}
	d.dialing = false
	if news.link == nil {
		if d.link != nil && now.Sub(d.linkedAt) >= time.Minute {
			d.attempt = 0
		}
		d.log.Debug("no connection", "attempt", d.attempt, "err", news.err)
		d.unlink()
		return nil
	}
	d.link, d.linkedAt = news.link, now
	d.log.Debug("connected")
	return d.c.Connect(now)
}

// unlink ends the connection, or the attempt at one, without a word.
func (d *Device) unlink() {
	if d.cancelDial != nil {
		d.cancelDial()
		d.cancelDial = nil
	}
	d.dialing = false
	d.generation++
	d.c.Disconnect()
	if d.link != nil {
		d.link.cut()
		d.link = nil
	}
}

// do runs act in the device's goroutine and waits for it. It returns ErrStopped
// or ctx's error where act did not run.
func (d *Device) do(ctx context.Context, act func(now time.Time) []Packet) error {
	done := make(chan struct{})
	wrapped := func(now time.Time) []Packet { defer close(done); return act(now) }
	select {
	case d.actions <- wrapped:
		<-done
		return nil
	case <-d.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// change is do for what touches the body, which must be stored.
func (d *Device) change(ctx context.Context, act func(now time.Time) []Packet) error {
	return d.do(ctx, func(now time.Time) []Packet {
		d.changed = true
		return act(now)
	})
}

// JournalState is what a device holds of its evidence.
type JournalState struct {
	ID      wire.Journal `json:"id"`
	Lowest  uint64       `json:"lowest"`
	Highest uint64       `json:"highest"`
	Acked   uint64       `json:"acked"`
}

// DeviceState is what a device and its body really are and did.
type DeviceState struct {
	ID        string       `json:"id"`
	Kind      string       `json:"kind"`
	Powered   bool         `json:"powered"`
	Connected bool         `json:"connected"`
	Closed    bool         `json:"closed"` // every outlet is
	Riding    bool         `json:"riding"` // the device believes that a use runs
	Jammed    bool         `json:"jammed"`
	Battery   uint8        `json:"battery"`
	Opens     uint64       `json:"opens"` // all openings, forced ones too
	Rings     uint64       `json:"rings"`
	Movements []Movement   `json:"movements"` // openings by motor, armings
	Epoch     uint32       `json:"epoch"`
	Boot      wire.Boot    `json:"boot"`
	Uptime    uint64       `json:"uptime_ms"`
	LastSeq   uint64       `json:"last_seq"` // of outlet 1
	Journal   JournalState `json:"journal"`
	Writes    uint64       `json:"flash_writes"`
	Dropped   uint64       `json:"dropped_messages"` // found the inbox full
	Pump      *PumpState   `json:"pump,omitempty"`   // nil: not a pump
	Body      any          `json:"body,omitempty"`   // of a kind without a field here
	Stats
}

// State asks the device. Errors: ErrStopped, ctx's.
func (d *Device) State(ctx context.Context) (s DeviceState, err error) {
	err = d.do(ctx, func(now time.Time) []Packet {
		f := d.c.flash
		s = DeviceState{
			ID: d.ID(), Kind: d.cfg.Provision.Kind, Powered: d.c.powered, Connected: d.c.connected, Closed: true, Movements: []Movement{},
			Epoch: f.Epoch, Boot: d.c.boot, Uptime: d.c.Uptime(now), LastSeq: f.Outlet.LastSeq,
			Journal: JournalState{ID: f.Journal, Lowest: f.Lowest(), Highest: f.Highest, Acked: f.Acked},
			Writes:  f.Writes, Dropped: d.dropped.Load(), Stats: d.c.stats,
		}
		for _, n := range d.c.kind.outlets() {
			o := f.outlet(n)
			s.Closed = s.Closed && d.c.kind.closed(n, o)
			s.Riding = s.Riding || o.Use != nil
		}
		d.c.kind.show(now, &s)
		return nil
	})
	return s, err
}

// Tamper opens the housing.
func (d *Device) Tamper(ctx context.Context) error { return d.change(ctx, d.c.Tamper) }

// CutPower cuts it now or, where at is a Step, when the device next passes it.
func (d *Device) CutPower(ctx context.Context, at Step) error {
	var armed error
	err := d.change(ctx, func(now time.Time) []Packet {
		if at == "" {
			d.c.PowerCutAt(now)
		} else {
			armed = d.c.ArmCut(at)
		}
		return nil
	})
	return errors.Join(err, armed)
}

// RestorePower boots the device; cuts that are armed stay so.
func (d *Device) RestorePower(ctx context.Context) error {
	return d.do(ctx, func(now time.Time) []Packet {
		d.attempt = 0
		d.c.Boot(now)
		return nil
	})
}

// OrderNetwork changes what the network does to messages.
func (d *Device) OrderNetwork(ctx context.Context, o NetworkOrder) error {
	var refused error
	err := d.do(ctx, func(time.Time) []Packet {
		if refused = d.net.Order(o); refused == nil && o.Do == "on" {
			d.attempt = 0
		}
		return nil
	})
	return errors.Join(err, refused)
}
