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

// heard notes whether the bolt moves: it does once it opened for an order, and does not
// where a start was tried in vain, or refused for a bolt that sticks.
func (lock) heard(t *turn, e device.Evidence) error {
	out := t.outlet(e.Outlet)
	if out == nil || e.Order == "" {
		return nil
	}
	jammed := out.Jammed
	switch e.Kind {
	case device.SeenExecuted, device.SaidEnded:
		jammed = false
	case device.SaidFailed:
		jammed = true
	case device.SaidRejected:
		jammed = jammed || e.Reason == reasonJam
	}
	if jammed != out.Jammed {
		out.Jammed = jammed
		t.touchOutlet(out)
	}
	return nil
}

// reasonJam is a device's word for a bolt that does not reach its end.
const reasonJam = "jam"

// reasonNotWorking is its word for a start that it does not try, knowing of a fault.
const reasonNotWorking = "not_working"

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
