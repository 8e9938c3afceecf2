package order

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/unlatch/unlatch/device"
)

// TransferDevice moves a device to another venue, with its codes, keys and journal.
// Orders copied their venue and stay where they were. A pump's totalisers belong to
// the books of its venue, so that it stays: retire it, and provision the hardware
// anew there.
type TransferDevice struct {
	Device device.ID
	Venue  string // which exists
	Staff  Audit
}

// Query names what TransferDevice must see.
func (x TransferDevice) Query() Query { return Query{Device: x.Device} }

// Decide refuses while an order is live (ErrOutletBusy). It touches every outlet, so
// that a start in flight between load and apply fails its guard and runs again.
func (x TransferDevice) Decide(s Snapshot, env Env) (Changes, device.Device, error) {
	fail := func(err error) (Changes, device.Device, error) { return Changes{}, device.Device{}, err }
	t := newTurn(s, env)
	switch {
	case t.device == nil:
		return fail(fmt.Errorf("device %s: %w", x.Device, ErrNotFound))
	case x.Staff.Reason == "":
		return fail(ErrReason)
	case t.device.Service == device.Retired:
		return fail(fmt.Errorf("transfer %s: it is retired: %w", x.Device, ErrWrongState))
	case t.kind().stops():
		return fail(fmt.Errorf("transfer %s: the totalisers of a %s belong to the books of its venue; retire it and provision the hardware anew there: %w",
			x.Device, t.device.Kind, ErrWrongState))
	case t.device.Venue == x.Venue:
		return Changes{}, *t.device, nil
	}
	for i := range t.outlets {
		if t.outlets[i].Order != "" || t.openStart(t.outlets[i].N) != nil {
			return fail(fmt.Errorf("transfer %s: %w", x.Device, ErrOutletBusy))
		}
		t.touchOutlet(&t.outlets[i])
	}
	before, _ := json.Marshal(map[string]string{"venue": t.device.Venue})
	after, _ := json.Marshal(map[string]string{"venue": x.Venue})
	t.device.Venue = x.Venue
	t.dirty["device"] = true
	if err := t.audit(x.Staff, "device "+string(x.Device), before, after); err != nil {
		return fail(err)
	}
	return t.changes(), *t.device, nil
}

// TransferDevice runs the use case of that name.
func (s *Service) TransferDevice(ctx context.Context, x TransferDevice) (device.Device, error) {
	return run(ctx, s, UseCase[device.Device](x))
}

// TryProvision decides as Provision does, and writes nothing.
func (s *Service) TryProvision(ctx context.Context, p Provision) error {
	snapshot, err := s.Store.Load(ctx, p.Query())
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	_, _, err = p.Decide(snapshot, s.Env)
	return err
}
