package order

import "github.com/unlatch/unlatch/device"

// ring has the device of an active order make itself heard. One that is still on its way
// is enough: numbers are burned for it.
func (t *turn) ring(o *Order) error {
	switch {
	case o.State != Active, o.pauseState() == PauseResuming: // its number would fence the start that is on its way
		return ErrWrongState
	case t.device == nil:
		return ErrNotFound
	case !t.device.Clock(t.now).Fresh(t.now):
		return ErrOffline
	}
	for _, c := range t.openCommands() {
		if c.Kind == device.Ring && c.Outlet == o.Outlet && t.now.Before(c.Deadline) {
			return nil
		}
	}
	_, err := t.command(device.Ring, o.Outlet, "")
	return err
}
