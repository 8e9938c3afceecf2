package order

import (
	"time"

	"github.com/unlatch/unlatch/device"
)

// RingEvery is how long after a ring the next one of the same outlet is made: numbers are
// burned for it, and the battery pays.
const RingEvery = 10 * time.Second

// ring has the device of an active order make itself heard. One that is still on its way,
// or was made a moment ago, is enough.
func (t *turn) ring(o *Order) error {
	switch {
	case o.State != Active, o.pauseState() == PauseResuming: // its number would fence the start that is on its way
		return ErrWrongState
	case t.device == nil:
		return ErrNotFound
	case !t.device.Clock(t.now).Fresh(t.now):
		return ErrOffline
	}
	for _, c := range t.commands {
		if c.Kind == device.Ring && c.Outlet == o.Outlet && (c.State.Open() && t.now.Before(c.Deadline) || t.now.Sub(c.CreatedAt) < RingEvery) {
			return nil
		}
	}
	_, err := t.command(device.Ring, o.Outlet, "")
	return err
}
