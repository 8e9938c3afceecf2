package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
)

// Outbox claims commands whose next send is due; each claim is one send.
type Outbox interface {
	Outgoing(ctx context.Context, limit int) ([]device.Command, error)
}

// Dispatcher puts committed commands on the air: at once those that a use case
// hands over, later, from the store's schedule, those that are still open. It
// implements order.Dispatcher.
type Dispatcher struct {
	Outbox    Outbox
	Publisher Publisher
	Log       *slog.Logger
	// Left is told of each publish that left; nil: nobody asks. It must not block.
	Left func(device.Command)

	queue   chan device.Command
	Sent    atomic.Int64 // publishes that left
	Unsent  atomic.Int64 // publishes that did not; the schedule sends again
	Dropped atomic.Int64 // hand-overs beyond the queue; the schedule sends them
}

// NewDispatcher checks the parts and starts nothing.
func NewDispatcher(outbox Outbox, p Publisher, log *slog.Logger) (*Dispatcher, error) {
	if outbox == nil || p == nil {
		return nil, errors.New("gateway.NewDispatcher: an outbox and a publisher are required")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Dispatcher{Outbox: outbox, Publisher: p, Log: log, queue: make(chan device.Command, 4096)}, nil
}

// Dispatch hands committed commands over and never blocks.
func (d *Dispatcher) Dispatch(commands []device.Command) {
	for _, c := range commands {
		select {
		case d.queue <- c:
		default:
			d.Dropped.Add(1)
		}
	}
}

// poll is how often the schedule is asked. A start goes out again 0.6 s after
// its commit at the earliest.
const poll = 200 * time.Millisecond

// Run publishes until ctx ends.
func (d *Dispatcher) Run(ctx context.Context) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-d.queue:
			d.publish(c)
			continue
		case <-tick.C:
		}
		due, err := d.Outbox.Outgoing(ctx, 500)
		if err != nil {
			if ctx.Err() == nil {
				d.Log.Error("cannot look for outgoing commands", "err", err)
			}
			continue
		}
		for _, c := range due {
			d.publish(c)
		}
	}
}

func (d *Dispatcher) publish(c device.Command) {
	if err := d.Publisher.Publish(wire.CommandTopic(string(c.Device)), c.Bytes); err != nil {
		d.Unsent.Add(1)
		d.Log.Debug("command did not leave", "device", c.Device, "command", c.ID, "err", err)
		return
	}
	d.Sent.Add(1)
	if d.Left != nil {
		d.Left(c)
	}
}
