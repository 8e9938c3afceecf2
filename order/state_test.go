package order_test

import (
	"errors"
	"testing"

	"github.com/unlatch/unlatch/order"
)

var (
	states = []order.State{order.Pending, order.Starting, order.Unresolved, order.Active, order.Ended, order.Settled, order.Voided, "", "melted"}
	inputs = []order.Input{order.Authorised, order.Cancelled, order.Executed, order.Refused, order.Fenced, order.CannotTell, order.DeadlinePast,
		order.GiveUp, order.DeviceEnded, order.FoundShut, order.RiderEnded, order.StaffEnded, order.Watchdog, order.PauseOver, order.Captured, "", "wish"}
)

// moves is DESIGN section 6, written down a second time: what is not here must be
// refused.
var moves = []struct {
	why  string
	from order.State
	in   order.Input
	to   order.State
}{
	{"the payment is there", order.Pending, order.Authorised, order.Starting},
	{"the payment is refused", order.Pending, order.Refused, order.Voided},
	{"cancelled before it was paid", order.Pending, order.Cancelled, order.Voided},
	{"the device opened", order.Starting, order.Executed, order.Active},
	{"the device refused", order.Starting, order.Refused, order.Voided},
	{"it is proved that it never will", order.Starting, order.Fenced, order.Voided},
	{"the device cannot tell", order.Starting, order.CannotTell, order.Voided},
	{"nobody spoke in time", order.Starting, order.DeadlinePast, order.Unresolved},
	{"staff, while WeChat does not answer", order.Pending, order.GiveUp, order.Voided},
	{"late: it opened", order.Unresolved, order.Executed, order.Active},
	{"late: it refused", order.Unresolved, order.Refused, order.Voided},
	{"late: it never will", order.Unresolved, order.Fenced, order.Voided},
	{"late: it cannot tell", order.Unresolved, order.CannotTell, order.Voided},
	{"patience is over", order.Unresolved, order.GiveUp, order.Voided},
	{"the device ended the use", order.Active, order.DeviceEnded, order.Ended},
	{"found shut at boot", order.Active, order.FoundShut, order.Ended},
	{"the rider, the lock proved closed", order.Active, order.RiderEnded, order.Ended},
	{"staff", order.Active, order.StaffEnded, order.Ended},
	{"the longest ride", order.Active, order.Watchdog, order.Ended},
	{"nobody resumed it", order.Active, order.PauseOver, order.Ended},
	{"billed", order.Ended, order.Captured, order.Settled},
}

// TestOrderMovesOnlyAsItsTableSays covers every state and input: late ones
// (unresolved), duplicates and early ones (no row), and unknown ones.
func TestOrderMovesOnlyAsItsTableSays(t *testing.T) {
	type step struct {
		from order.State
		in   order.Input
	}
	allowed := map[step]order.State{}
	for _, m := range moves {
		allowed[step{m.from, m.in}] = m.to
	}
	for _, from := range states {
		for _, in := range inputs {
			got, err := from.Next(in)
			want, ok := allowed[step{from, in}]
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%q on %q: got %q, %v, want %q", from, in, got, err, want)
			case !ok && !errors.Is(err, order.ErrWrongState):
				t.Errorf("%q on %q: got %q, %v, want ErrWrongState", from, in, got, err)
			case !ok && got != from:
				t.Errorf("%q on %q was refused and yet moved to %q", from, in, got)
			}
		}
	}
}

func TestOnlyTheDevicesWordMakesAnOrderActive(t *testing.T) {
	for _, from := range states {
		for _, in := range inputs {
			if to, err := from.Next(in); err == nil && to == order.Active && in != order.Executed {
				t.Errorf("%s became active by %s", from, in)
			}
		}
	}
}

func TestLiveOrdersAreTheOnesThatHoldAnOutlet(t *testing.T) {
	live := map[order.State]bool{order.Pending: true, order.Starting: true, order.Unresolved: true, order.Active: true}
	for _, s := range states {
		if got := s.Live(); got != live[s] {
			t.Errorf("%q live: got %v, want %v", s, got, live[s])
		}
	}
}
