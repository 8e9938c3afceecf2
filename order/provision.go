package order

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/unlatch/unlatch/device"
)

// Provision makes a device known, or gives a known one a new epoch and key. It
// is here because it ends what only the old epoch could have answered: an outlet
// blocked by an unproven start is freed, since no older command verifies any
// more.
type Provision struct {
	Device  device.ID
	Kind    device.Kind
	Venue   string
	Outlets int // 1..16, as many as a beat can speak of
	// Grades names, per outlet, the grade of each nozzle; nil for kinds without.
	Grades    map[uint8]map[uint8]string
	Display   bool // it shows rotating codes
	Bluetooth bool // a rider's phone can carry commands and words for it
	PublicKey []byte
	OnlyNew   bool // ErrExists when the device is known: its file must not become worthless
	Staff     Audit
}

// Query names what Provision must see.
func (p Provision) Query() Query { return Query{Device: p.Device} }

// Decide refuses while an order is live on the device (ErrOutletBusy).
func (p Provision) Decide(s Snapshot, env Env) (Changes, device.Device, error) {
	fail := func(err error) (Changes, device.Device, error) { return Changes{}, device.Device{}, err }
	if err := p.Device.Check(); err != nil {
		return fail(err)
	}
	ways, known := kinds[p.Kind]
	if !known || p.Outlets < 1 || p.Outlets > 16 || len(p.PublicKey) != 32 {
		return fail(fmt.Errorf("provision %s as a %s with %d outlets: %w", p.Device, p.Kind, p.Outlets, ErrWrongState))
	}
	if err := ways.fits(p); err != nil {
		return fail(fmt.Errorf("provision %s: %w", p.Device, err))
	}
	if p.Staff.Reason == "" {
		return fail(ErrReason)
	}
	t := newTurn(s, env)
	if t.device != nil && p.OnlyNew {
		return fail(fmt.Errorf("provision %s: %w", p.Device, ErrExists))
	}
	if t.device != nil && t.device.Service == device.Retired {
		return fail(fmt.Errorf("provision %s: it is retired for good; give the hardware another id: %w", p.Device, ErrWrongState))
	}
	if t.device == nil {
		t.device = &device.Device{ID: p.Device}
		for n := 1; n <= p.Outlets; n++ {
			t.outlets = append(t.outlets, device.Outlet{Device: p.Device, N: uint8(n)})
		}
	}
	if len(t.outlets) != p.Outlets {
		return fail(fmt.Errorf("provision %s: it has %d outlets already: %w", p.Device, len(t.outlets), ErrWrongState))
	}
	for _, o := range t.outlets {
		if o.Order != "" {
			return fail(fmt.Errorf("provision %s: %w", p.Device, ErrOutletBusy))
		}
	}
	if err := t.closeCommands(); err != nil {
		return fail(err)
	}
	before, _ := json.Marshal(map[string]any{"epoch": t.device.Epoch, "service": t.device.Service})
	old := *t.device
	*t.device = device.Device{ID: p.Device, Kind: p.Kind, Venue: p.Venue, Epoch: old.Epoch + 1, PublicKey: p.PublicKey,
		Service: device.InService, Display: p.Display, Bluetooth: p.Bluetooth, ServerKey: env.Keys.Name, Version: old.Version}
	if t.device.Told = old.Told; old.Halt != nil { // new keys release no emergency stop
		t.device.Halt = &device.Halt{Reason: old.Halt.Reason}
	}
	t.dirty["device"] = true
	for i := range t.outlets {
		o := &t.outlets[i]
		meter := device.Meter{Grades: p.Grades[o.N]}
		if maps.Equal(meter.Grades, o.Meter.Grades) { // its totalisers outlive keys and flash; another meter is one item
			meter.Explained = o.Meter.Explained
		}
		*o = device.Outlet{Device: o.Device, N: o.N, NextSeq: 1, Meter: meter, Reservation: o.Reservation, Version: o.Version}
		t.touchOutlet(o)
	}
	after, _ := json.Marshal(map[string]any{"epoch": t.device.Epoch, "service": t.device.Service})
	if err := t.audit(p.Staff, "device "+string(p.Device), before, after); err != nil {
		return fail(err)
	}
	return t.changes(), *t.device, nil
}

// closeCommands ends every open command of a device whose present epoch is over.
// Nothing proves what it did with a start, which may have moved.
func (t *turn) closeCommands() error {
	for _, c := range t.openCommands() {
		in := device.Fence
		if c.Kind.Expires() {
			in = device.CannotTell
		}
		if err := t.finish(t.commands[c.ID], in); err != nil {
			return err
		}
	}
	return nil
}

// SetService is staff's switch on a device: maintenance, back in service, or
// retired for good. It touches every outlet, so that a start in flight between
// load and apply fails its guard and runs again.
type SetService struct {
	Device  device.ID
	Service device.Service
	// Already: a device that is so already is left as it is, which is no refusal.
	Already bool
	Staff   Audit
}

// Query names what SetService must see.
func (x SetService) Query() Query { return Query{Device: x.Device} }

// Decide refuses to retire a device with a live order, and to bring one back
// that the server itself took out of service.
func (x SetService) Decide(s Snapshot, env Env) (Changes, device.Device, error) {
	fail := func(err error) (Changes, device.Device, error) { return Changes{}, device.Device{}, err }
	t := newTurn(s, env)
	if t.device == nil {
		return fail(fmt.Errorf("device %s: %w", x.Device, ErrNotFound))
	}
	from := t.device.Service
	switch {
	case x.Staff.Reason == "":
		return fail(ErrReason)
	case t.device.Halt != nil && x.Service == device.InService:
		return fail(fmt.Errorf("device %s: %w", x.Device, ErrStopped))
	case x.Already && from == x.Service:
		return Changes{}, *t.device, nil
	case from == device.Retired, from == device.OutOfService && x.Service != device.Retired:
		return fail(fmt.Errorf("device %s is %s; provision it again: %w", x.Device, from, ErrWrongState))
	case x.Service != device.InService && x.Service != device.Maintenance && x.Service != device.Retired:
		return fail(ErrWrongState)
	}
	if x.Service == device.Retired {
		for _, o := range t.outlets {
			if o.Order != "" {
				return fail(fmt.Errorf("retire %s: %w", x.Device, ErrOutletBusy))
			}
		}
	}
	if x.Service == device.Retired {
		// It is not heard any more, so nothing could end these; and nothing proves
		// what an open start did.
		if err := t.closeCommands(); err != nil {
			return fail(err)
		}
	}
	t.device.Service, t.device.ServiceReason = x.Service, x.Staff.Reason
	t.dirty["device"] = true
	for i := range t.outlets {
		if x.Service == device.InService { // staff say that it is mended
			t.outlets[i].Jammed = false
		}
		t.touchOutlet(&t.outlets[i])
	}
	before, _ := json.Marshal(map[string]any{"service": from})
	after, _ := json.Marshal(map[string]any{"service": x.Service})
	if err := t.audit(x.Staff, "device "+string(x.Device), before, after); err != nil {
		return fail(err)
	}
	return t.changes(), *t.device, nil
}
