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
		return t.released()
	case alarmGas:
		if err := t.stopVenue("device "+string(t.device.ID), alarmGas); err != nil {
			return err
		}
		fallthrough
	case alarmEmergency:
		if err := t.halt(e.Reason); err != nil {
			return err
		}
	}
	return t.item(ItemAlarm, t.ref(e), e.Order, e.Reason)
}

// halt stops the device: nothing starts on it until a hand at it says so, and what
// runs on any of its sides ends, idle ones too, so that starts in flight are fenced.
func (t *turn) halt(reason string) error {
	if t.device.Service == device.InService || t.device.Service == device.Maintenance {
		t.device.Service, t.device.ServiceReason = device.Stopped, reason
	}
	t.dirty["device"] = true
	for i := range t.outlets {
		t.touchOutlet(&t.outlets[i])
		if _, err := t.command(device.Stop, t.outlets[i].N, ""); err != nil {
			return err
		}
	}
	return nil
}

// released is the word of a hand at the device.
func (t *turn) released() error {
	if t.device.Service == device.Stopped {
		t.device.Service, t.device.ServiceReason = device.InService, ""
		t.dirty["device"] = true
		for i := range t.outlets {
			t.touchOutlet(&t.outlets[i])
		}
	}
	return t.stop(Stop{Venue: t.device.Venue, By: "device " + string(t.device.ID), Over: true})
}

func (t *turn) stopVenue(by, reason string) error {
	return t.stop(Stop{Venue: t.device.Venue, By: by, Reason: reason})
}

func (t *turn) stop(s Stop) (err error) {
	s.At = t.now
	if s.ID, err = t.env.newID(t.now); err != nil {
		return err
	}
	t.out.Stops = append(t.out.Stops, s)
	return nil
}

// stopping tells whether a stop has yet to bring what it was sent for: where it can
// end the use that runs on its outlet, burning its number is not enough, and it is
// sent again until the use is over.
func (t *turn) stopping(c device.Command) bool {
	if c.Kind != device.Stop || !t.kind().stops() {
		return false
	}
	out := t.outlet(c.Outlet)
	o := t.orders[out.Order]
	return o != nil && o.State == Active && (c.Order == "" || c.Order == o.ID)
}

// tellTime sends the time to a device whose display needs it, once per boot and
// then every few hours. The time belongs to a moment of the device's own clock, so
// that a late delivery tells no wrong one.
func (t *turn) tellTime() error {
	d := t.device
	if !d.Display || d.Service == device.Retired || !d.Sample.Fresh(t.now) ||
		d.Timed == d.Sample.Boot && t.now.Sub(d.TimedAt) < t.env.Config.TellTime {
		return nil
	}
	for _, out := range t.outlets {
		if t.openStart(out.N) != nil {
			continue // a higher number would fence it
		}
		d.Timed, d.TimedAt = d.Sample.Boot, t.now
		t.dirty["device"] = true
		_, err := t.command(device.Config, out.N, "", device.Args{Wall: &d.Sample})
		return err
	}
	return nil
}

// Halt stops one device for staff or on behalf of its venue's stop.
type Halt struct {
	Device device.ID
	Reason string
	Staff  *Audit // nil: the venue's stop has its own row
}

// Query names what Halt must see.
func (h Halt) Query() Query { return Query{Device: h.Device} }

// Decide stops the device again where it is stopped already: its sides may run by
// an older start. ErrWrongState: its kind cannot be stopped, or it is retired.
func (h Halt) Decide(s Snapshot, env Env) (Changes, Acted, error) {
	fail := func(err error) (Changes, Acted, error) { return Changes{}, Acted{}, err }
	if s.Device == nil {
		return fail(fmt.Errorf("device %s: %w", h.Device, ErrNotFound))
	}
	t := newTurn(s, env)
	if !t.kind().stops() || s.Device.Service == device.Retired {
		return fail(fmt.Errorf("stop %s, a %s that is %s: %w", h.Device, s.Device.Kind, s.Device.Service, ErrWrongState))
	}
	if h.Staff != nil && h.Staff.Reason == "" {
		return fail(ErrReason)
	}
	if err := t.halt(h.Reason); err != nil {
		return fail(err)
	}
	if err := t.item(ItemStopped, string(h.Device), "", h.Reason); err != nil {
		return fail(err)
	}
	if h.Staff != nil {
		before, _ := json.Marshal(map[string]any{"service": s.Device.Service})
		after, _ := json.Marshal(map[string]any{"service": t.device.Service})
		if err := t.audit(*h.Staff, "device "+string(h.Device), before, after); err != nil {
			return fail(err)
		}
	}
	return t.changes(), Acted{Send: t.fresh}, nil
}

// StopLog knows the emergency stops of venues.
type StopLog interface {
	// BeginStop stores a stop of a venue with the audit row beside it; every start
	// after it reads it. ErrUnknown: there is no such venue.
	BeginStop(context.Context, Stop, *Audit) error
	// Unstopped lists devices, of the given kinds, that serve although a stop of
	// their venue is in force that has not reached every device yet.
	Unstopped(ctx context.Context, kinds []device.Kind, limit int) ([]Unstopped, error)
	// Reached notes that every device of a stop's venue was told.
	Reached(ctx context.Context, stop string) error
}

// Unstopped is a device that a stop has yet to reach; Device is "" where none is
// left.
type Unstopped struct {
	Stop   string
	Reason string
	Device device.ID
}
