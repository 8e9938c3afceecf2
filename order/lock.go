package order

import (
	"fmt"

	"github.com/unlatch/unlatch/device"
)

// lock is a bike's lock: closing it ends the ride, which is billed by time.
type lock struct{ timed }

func (lock) fits(p Provision) error {
	if p.Outlets != 1 || len(p.Grades) != 0 || p.Display {
		return fmt.Errorf("a lock has one outlet, no sides with nozzles and no screen: %w", ErrInvalid)
	}
	return nil
}

func (lock) pauses() bool { return true }

// booted: a ride goes on over a boot that finds the bolt open; a bolt found shut
// ended it, unless it was shut for a pause.
func (lock) booted(t *turn, o *Order, e device.Evidence) error {
	if o.Shut() {
		return nil
	}
	if e.Closed {
		o.Evidence = append(o.Evidence, t.ref(e))
		return t.finishUse(o, FoundShut, t.ref(e), device.NotBlocked, &e)
	}
	if e.Order == o.ID { // else the bolt is open for another reason: the use is over
		o.extend(e.Boot, e.Uptime)
		t.touchOrder(o)
	}
	return nil
}
