package order

import (
	"fmt"
	"maps"
	"slices"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// kind is what an order of one kind of device does in its own way. Everything
// else (commands, evidence, the state table, money) is the same for all. A kind is
// a file here with a line in kinds.
type kind interface {
	// fits says why a device of the kind cannot be provisioned so.
	fits(Provision) error
	// prices says why a tariff is none for the kind.
	prices(billing.Tariff) error
	// start returns the arguments of an order's start, nil where it has none. An
	// error refuses the order.
	start(o *Order, a billing.Allowance, out *device.Outlet, c Config) (*device.StartArgs, error)
	// stops tells whether a stop ends a use; it only fences where it does not.
	stops() bool
	// pauses tells whether a use may be interrupted by closing the outlet, to be resumed
	// by another start.
	pauses() bool
	// heard looks at a piece of evidence before it is applied to an order.
	heard(t *turn, e device.Evidence) error
	// booted applies a device's word at its start to the active order of its outlet.
	booted(t *turn, o *Order, e device.Evidence) error
	// settled looks at the outlets once everything that came is applied.
	settled(t *turn) error
	// measure says what an order used: e is the piece that ended it, nil where none
	// did. doubt is why staff must decide its bill, "" where they need not.
	measure(t *turn, o *Order, e *device.Evidence) (u billing.Usage, doubt string, err error)
}

var kinds = map[device.Kind]kind{device.Lock: lock{}, device.Pump: pump{}}

// kind returns the ways of the turn's device.
func (t *turn) kind() kind {
	if k, known := kinds[t.device.Kind]; known {
		return k
	}
	return stranger{}
}

// stranger is a kind that a newer program stored: it is heard and starts nothing.
type stranger struct{ timed }

func (stranger) fits(Provision) error { return ErrWrongState }

func (stranger) start(*Order, billing.Allowance, *device.Outlet, Config) (*device.StartArgs, error) {
	return nil, ErrNotInService
}

func (stranger) booted(*turn, *Order, device.Evidence) error { return nil }

// Kinds lists the kinds that orders can be for, sorted.
func Kinds() []device.Kind { return slices.Sorted(maps.Keys(kinds)) }

// CheckTariff returns a billing.ErrBadTariff that says why a tariff cannot be used
// for a kind.
func CheckTariff(name device.Kind, t billing.Tariff) error {
	k, known := kinds[name]
	if !known {
		return fmt.Errorf("%w: kind %q is none of %v", billing.ErrBadTariff, name, Kinds())
	}
	if err := t.Check(); err != nil {
		return err
	}
	return k.prices(t)
}

// timed is what kinds have in common that meter nothing but time.
type timed struct{}

func (timed) start(*Order, billing.Allowance, *device.Outlet, Config) (*device.StartArgs, error) {
	return nil, nil
}

func (timed) prices(t billing.Tariff) error {
	if t.TimeRule == nil {
		return fmt.Errorf("%w: it needs prices by time", billing.ErrBadTariff)
	}
	return nil
}

func (timed) stops() bool                        { return false }
func (timed) pauses() bool                       { return false }
func (timed) heard(*turn, device.Evidence) error { return nil }
func (timed) settled(t *turn) error              { t.goesOn(); return nil }

func (timed) measure(t *turn, o *Order, _ *device.Evidence) (billing.Usage, string, error) {
	return o.length(t.device.Boots, t.snapshot.DaySpent[o.ID]), "", nil
}
