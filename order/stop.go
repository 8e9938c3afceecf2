package order

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/unlatch/unlatch/device"
)

// Stops tells whether a stop ends what runs on devices of a kind.
func Stops(name device.Kind) bool {
	k, known := kinds[name]
	return known && k.stops()
}

// The alarms that the server acts on; the words are those of the wire contract.
const (
	alarmEmergency = "emergency_stop" // a hand pressed the button at the device
	alarmGas       = "gas"            // a gas or leak detector
	alarmReleased  = "released"       // a hand at the device ended the stop
)

// alarmed opens an item for an alarm and, where the kind can be stopped, does what
// it demands: a button stops its device, gas the whole venue, and a hand at the
// device, nothing else, ends a stop.
func (t *turn) alarmed(e device.Evidence) error {
	if !t.kind().stops() {
		return t.item(ItemAlarm, t.ref(e), e.Order, e.Reason)
	}
	switch e.Reason {
	case alarmReleased:
		return t.released(e)
	case alarmGas:
		if err := t.stopVenue("device "+string(t.device.ID), alarmGas); err != nil {
			return err
		}
		t.shutDown(e.Reason)
	case alarmEmergency:
		t.shutDown(e.Reason)
	}
	return t.item(ItemAlarm, t.ref(e), e.Order, e.Reason)
}

// shutDown notes that the device stopped itself: its valves are shut by its own
// word, and it refuses starts.
func (t *turn) shutDown(reason string) {
	if t.device.Halt == nil {
		t.device.Halt = &device.Halt{Reason: reason}
	}
	t.dirty["device"] = true
	for i := range t.outlets {
		t.touchOutlet(&t.outlets[i])
	}
}

// halt stops the device: nothing starts on it until a hand at it says so, and what
// runs on any of its sides ends. Idle sides are stopped too, so that starts in
// flight are fenced.
func (t *turn) halt(reason string) error {
	h := &device.Halt{Reason: reason, Seqs: map[uint8]uint64{}}
	for _, out := range t.outlets {
		c, err := t.command(device.Stop, out.N, "")
		if err != nil {
			return err
		}
		h.Seqs[out.N] = c.Seq
	}
	t.device.Halt = h
	t.dirty["device"] = true
	return nil
}

// released is the word of a hand at the device.
func (t *turn) released(e device.Evidence) error {
	h := t.device.Halt
	switch {
	case h == nil:
		return nil
	case !h.Releases(e):
		return t.item(ItemAlarm, t.ref(e), "", "a hand released it before it had heard of the stop; it takes another one")
	}
	t.device.Halt = nil
	t.dirty["device"] = true
	for i := range t.outlets {
		t.touchOutlet(&t.outlets[i])
	}
	return nil
}

func (t *turn) stopVenue(by, reason string) error {
	id, err := t.env.newID(t.now)
	if err != nil {
		return err
	}
	t.out.Stops = append(t.out.Stops, Stop{ID: id, Venue: t.device.Venue, By: by, Reason: reason, At: t.now})
	return nil
}

// stopping tells whether a stop has yet to bring what it was sent for: where it can
// end the use that runs on its outlet, burning its number is not enough, and it is
// sent again until the use is over. A use that began after it is none of its
// business.
func (t *turn) stopping(c device.Command) bool {
	if c.Kind != device.Stop || !t.kind().stops() {
		return false
	}
	out := t.outlet(c.Outlet)
	if out.Order == "" { // a use whose order was let go may go on
		return out.Stated.Known && !out.Stated.Closed
	}
	o := t.orders[out.Order]
	if o == nil || o.Seq > c.Seq || c.Order != "" && c.Order != o.ID {
		return false
	}
	return o.State == Active || out.Stated.Known && !out.Stated.Closed // its start may be proved yet
}

// tellTime sends the time to a device whose display needs it, once per boot and
// then every few hours. The time belongs to a moment of the device's own clock, so
// that a late delivery tells no wrong one.
func (t *turn) tellTime() error {
	d := t.device
	clock := d.Clock(t.now)
	if !d.Display || d.Service == device.Retired || !clock.Fresh(t.now) ||
		d.Timed == d.Sample.Boot && t.now.Sub(d.TimedAt) < t.env.Config.TellTime {
		return nil
	}
	for _, out := range t.outlets {
		if t.openStart(out.N) != nil {
			continue // a higher number would fence it
		}
		if _, err := t.command(device.Config, out.N, "", device.Args{Wall: &clock}); err != nil {
			return unlessUnsealed(err)
		}
		d.Timed, d.TimedAt = d.Sample.Boot, t.now
		t.dirty["device"] = true
		return nil
	}
	return nil
}

// untold: a higher number than that of a config is burned, so perhaps it came too
// late to be obeyed, and the time is told again.
func (t *turn) untold() {
	t.device.Timed = device.Boot{}
	t.dirty["device"] = true
}

// Halt stops one device for staff or on behalf of its venue's stop.
type Halt struct {
	Device device.ID
	Stop   int64 // the number of the venue's stop; 0: staff stop this device alone
	Reason string
	Staff  *Audit // nil: the venue's stop has its own row
}

// Query names what Halt must see.
func (h Halt) Query() Query { return Query{Device: h.Device} }

// Decide stops the device, again where it is stopped already: its sides may run by
// an older start. A stop of its venue that was told before changes nothing.
// ErrWrongState: its kind cannot be stopped, or it is retired.
func (h Halt) Decide(s Snapshot, env Env) (Changes, Acted, error) {
	fail := func(err error) (Changes, Acted, error) { return Changes{}, Acted{}, err }
	if s.Device == nil {
		return fail(fmt.Errorf("device %s: %w", h.Device, ErrNotFound))
	}
	t := newTurn(s, env)
	switch {
	case !t.kind().stops() || s.Device.Service == device.Retired:
		return fail(fmt.Errorf("stop %s, a %s that is %s: %w", h.Device, s.Device.Kind, s.Device.Service, ErrWrongState))
	case h.Staff != nil && h.Staff.Reason == "":
		return fail(ErrReason)
	case h.Stop != 0 && t.device.Told >= h.Stop:
		return Changes{}, Acted{}, nil
	}
	if err := t.halt(h.Reason); err != nil {
		return fail(err)
	}
	t.device.Told = max(t.device.Told, h.Stop)
	if err := t.item(ItemStopped, string(h.Device), "", h.Reason); err != nil {
		return fail(err)
	}
	if h.Staff != nil {
		before, _ := json.Marshal(map[string]any{"stopped": s.Device.Halt != nil})
		after, _ := json.Marshal(map[string]any{"stopped": true})
		if err := t.audit(*h.Staff, "device "+string(h.Device), before, after); err != nil {
			return fail(err)
		}
	}
	return t.changes(), Acted{Send: t.fresh}, nil
}

// StopLog knows the emergency stops of venues. One is in force, for every start that
// reads its venue, until it has reached every device; from then on each device's own
// Halt is.
type StopLog interface {
	// BeginStop stores a stop of a venue with the audit row beside it. ErrUnknown:
	// there is no such venue.
	BeginStop(context.Context, Stop, *Audit) error
	// Unstopped lists, for each stop in force, the devices of the given kinds that it
	// has yet to reach; one row without a device where it reached all. In the order
	// in which the stops began.
	Unstopped(ctx context.Context, kinds []device.Kind, limit int) ([]Unstopped, error)
	// Reached notes that every device of a stop's venue was told.
	Reached(ctx context.Context, stop int64) error
}

// Unstopped is a device that a stop has yet to reach; Device is "" where none is
// left.
type Unstopped struct {
	Stop   int64 // numbers rise as stops begin
	Reason string
	Device device.ID
}
