package order

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device"
)

// Road is a way between the server and an order's device besides the device's own
// connection.
type Road string

// Bluetooth: the rider's phone stands beside the device and carries commands to it and
// its words back. Nobody trusts the phone: both are signed, and either may come by both
// roads, late, twice or never.
const Bluetooth Road = "bluetooth"

// CarryAfter is how long after its end an order still has acks to carry: a device that
// hears none says everything again.
const CarryAfter = 10 * time.Minute

// mostCarried bounds the commands of one Carry; the newest count.
const mostCarried = 8

// Carry is what a phone may bring to an order's device now.
type Carry struct {
	Commands [][]byte    // signed, committed and unanswered, oldest first
	Epoch    uint32      // for which the ack counts
	Ack      *device.Ack // how far the device's words are committed; nil: none was heard
}

// Carrier reads what phones may carry.
type Carrier interface {
	// Carried returns a device with its open commands, by number, and the database's
	// clock. ErrNotFound: there is no such device.
	Carried(context.Context, device.ID) (device.Device, []device.Command, time.Time, error)
}

// Carry returns what a rider's phone may bring to the order's device. nil: nothing,
// since the device has no second road or the order has long been over.
func (s *Service) Carry(ctx context.Context, o Order) (*Carry, error) {
	if s.Carrier == nil || o.PayWith == PayService {
		return nil, nil
	}
	d, open, now, err := s.Carrier.Carried(ctx, o.Device)
	if err != nil {
		return nil, fmt.Errorf("what a phone may carry for order %s: %w", o.ID, err)
	}
	return carry(o, newTurn(Snapshot{Now: now, Device: &d, Commands: open}, s.Env)), nil
}

// carry picks what concerns the order: of another rider's nothing, of nobody's only
// while the outlet is this order's, and no start that the device would find expired.
func carry(o Order, t *turn) *Carry {
	live := o.State.Live()
	if !t.device.Bluetooth || !live && !t.now.Before(o.DoneAt.Add(CarryAfter)) && o.State != Ended {
		return nil
	}
	c := &Carry{Epoch: t.device.Epoch}
	open := t.openCommands()
	for i, k := range open {
		if slices.ContainsFunc(open[i+1:], func(later device.Command) bool {
			return k.Kind == device.Probe && later.Kind == device.Probe && later.Outlet == k.Outlet
		}) {
			continue // the later one does for both
		}
		if k.Outlet == o.Outlet && k.State == device.Published && (k.Order == o.ID || k.Order == "" && live) &&
			(!k.Kind.Expires() || t.now.Before(k.Deadline)) {
			c.Commands = append(c.Commands, k.Bytes)
		}
	}
	c.Commands = c.Commands[max(len(c.Commands)-mostCarried, 0):]
	if t.device.Journal != (device.Journal{}) {
		c.Ack = &device.Ack{Journal: t.device.Journal, N: t.device.Applied, Key: t.ackKey()}
	}
	return c
}

// saidLately tells whether a word that a phone brought was said lately: it shows a number
// burned that nobody knew before its command was made, not long ago.
func (t *turn) saidLately(w device.Word) bool {
	for _, c := range t.commands {
		if t.now.Sub(c.CreatedAt) >= device.SampleLife {
			continue
		}
		if e := w.Evidence; e != nil && e.Outlet == c.Outlet && e.LastSeq >= c.Seq {
			return true
		}
		if b := w.Beat; b != nil {
			for _, o := range b.Outlets {
				if o.N == c.Outlet && o.LastSeq >= c.Seq {
					return true
				}
			}
		}
	}
	return false
}

// relays tells whether an order may wait for the rider's phone to reach the device.
func (p Place) relays(t *turn) bool { return p.Road == Bluetooth && t.device.Bluetooth }

// funded tells whether nothing but the device keeps a pending order waiting.
func (t *turn) funded(o *Order) bool {
	if o.Payment == "" {
		return true
	}
	p := t.payment(o.Payment)
	return p != nil && p.Authorised()
}

// Authorised tells whether an order may start on the payment.
func (p Payment) Authorised() bool { return p.State == PaymentPaid || p.State == PaymentConfirmed }

// unheard tells whether an order on the second road must wait: the device's clock cannot
// be dated, or a probe is not answered yet. A word that answers it was said after the
// order was made, so an old one that somebody kept starts nothing.
func (t *turn) unheard(out *device.Outlet) bool {
	if !t.device.Contactable(t.now) {
		return true
	}
	for _, c := range t.commands {
		if c.Kind == device.Probe && c.Outlet == out.N && c.State == device.Published {
			return true
		}
	}
	return false
}

// askByRelay publishes the probe whose answer lets an order on the second road start. It
// is always a new one: what answers an open one may have been said, and kept, long ago.
//
// It does for the older ones of its outlet, which nobody need send any more: whoever
// orders and cancels all day leaves one open. The one of a change of keys is of another
// kind: it says which key the device knows.
func (t *turn) askByRelay(n uint8) error {
	own, err := t.command(device.Probe, n, "")
	if err != nil {
		return err
	}
	for _, c := range t.openCommands() {
		if c.Kind != device.Probe || c.Outlet != n || c.Seq >= own.Seq || t.device.Rekey != nil && t.device.Rekey.Seq == c.Seq {
			continue
		}
		if err := t.finish(t.commands[c.ID], device.Supersede); err != nil {
			return err
		}
	}
	return nil
}

// awaitRelay leaves a paid order pending until its device was heard, for as long as it
// might have waited for its payment.
func (t *turn) awaitRelay(o *Order) error {
	o.DueAt = t.now.Add(t.env.Config.PayTime)
	t.touchOrder(o)
	for _, c := range t.commands {
		if c.Kind == device.Probe && c.Outlet == o.Outlet && c.State == device.Published && !c.CreatedAt.Before(o.CreatedAt) {
			return nil // its own is out
		}
	}
	return t.askByRelay(o.Outlet)
}

// relayed starts orders that waited only for a word of their device, by whatever road it
// came. One whose time is over is not started by a late word: nobody stands there any
// more. Where a start cannot be signed here the order waits on.
func (t *turn) relayed() error {
	for i := range t.outlets {
		out := &t.outlets[i]
		o := t.orders[out.Order]
		if o == nil || o.State != Pending || o.Road != Bluetooth || t.unheard(out) || !t.funded(o) {
			continue
		}
		by := fmt.Sprintf("word %x/%d", t.device.Sample.Boot, t.device.Sample.Uptime)
		err := error(nil)
		if !o.DueAt.IsZero() && !t.now.Before(o.DueAt) {
			err = t.void(o, GiveUp, "rule", "not_relayed", device.NotBlocked)
		} else if o.Payment == "" && t.book.Account(ways[o.PayWith].purse(*o)).Available() < o.HoldFen {
			// Nothing was held while it waited, and the rider spent it elsewhere.
			err = t.void(o, Refused, by, "no_money", device.NotBlocked)
		} else {
			err = unlessUnsealed(t.authorised(o, by))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
