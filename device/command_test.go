package device_test

import (
	"errors"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
)

var (
	commandStates = []device.CommandState{device.Published, device.Unresolved, device.Executed, device.Rejected,
		device.NotExecuted, device.OutcomeUnknown, device.Spent, "", "melted"}
	commandInputs = []device.CommandInput{device.Execute, device.Reject, device.CannotTell, device.Fence, device.Burn,
		device.Deadline, "", "wish"}
)

// commandMoves is what DESIGN section 5 allows, written down a second time: a
// row that is not here must be refused.
var commandMoves = []struct {
	why  string
	from device.CommandState
	in   device.CommandInput
	to   device.CommandState
}{
	{"the device's word in time", device.Published, device.Execute, device.Executed},
	{"the device refuses in time", device.Published, device.Reject, device.Rejected},
	{"a power cut in the middle", device.Published, device.CannotTell, device.OutcomeUnknown},
	{"the proof before the deadline", device.Published, device.Fence, device.NotExecuted},
	{"a number that moves nothing is burned", device.Published, device.Burn, device.Spent},
	{"a later number does for it", device.Published, device.Supersede, device.Spent},
	{"nobody spoke in time", device.Published, device.Deadline, device.Unresolved},
	{"the device's word late", device.Unresolved, device.Execute, device.Executed},
	{"the device's refusal late", device.Unresolved, device.Reject, device.Rejected},
	{"a power cut told late", device.Unresolved, device.CannotTell, device.OutcomeUnknown},
	{"the proof late", device.Unresolved, device.Fence, device.NotExecuted},
}

// TestCommandMovesOnlyAsItsTableSays covers every state and input: late ones
// (Unresolved), duplicates (a state reached by the same input), early ones and
// unknown ones.
func TestCommandMovesOnlyAsItsTableSays(t *testing.T) {
	allowed := map[device.CommandState]map[device.CommandInput]device.CommandState{}
	for _, m := range commandMoves {
		if allowed[m.from] == nil {
			allowed[m.from] = map[device.CommandInput]device.CommandState{}
		}
		allowed[m.from][m.in] = m.to
	}
	for _, from := range commandStates {
		for _, in := range commandInputs {
			got, err := from.Next(in)
			want, ok := allowed[from][in]
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%q on %q: got %q, %v, want %q", from, in, got, err, want)
			case !ok && !errors.Is(err, device.ErrBadInput):
				t.Errorf("%q on %q: got %q, %v, want ErrBadInput", from, in, got, err)
			case !ok && got != from:
				t.Errorf("%q on %q was refused and yet moved to %q", from, in, got)
			}
		}
	}
}

func TestSilenceEndsNoCommand(t *testing.T) {
	for _, from := range commandStates {
		if to, err := from.Next(device.Deadline); err == nil && !to.Open() {
			t.Errorf("the deadline took a command from %s to %s, which is no open state", from, to)
		}
	}
}

func TestAnEndedCommandNeverMovesAgain(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, m := range commandMoves {
		c, err := device.Command{ID: "c", Kind: device.Start, State: m.from}.Move(m.in, at)
		if err != nil || c.State != m.to {
			t.Fatalf("%s: got state %s, %v, want %s", m.why, c.State, err, m.to)
		}
		if ended := !c.DoneAt.IsZero(); ended == c.State.Open() {
			t.Errorf("%s: state %s has DoneAt %v", m.why, c.State, c.DoneAt)
		}
		if c.State.Open() {
			continue
		}
		for _, in := range commandInputs {
			again, err := c.Move(in, at.Add(time.Hour))
			if !errors.Is(err, device.ErrBadInput) || again.State != c.State || !again.DoneAt.Equal(c.DoneAt) {
				t.Errorf("%s, then %q: got %s at %v, %v, want it unchanged and ErrBadInput", m.why, in, again.State, again.DoneAt, err)
			}
		}
	}
}

func TestOnlyWhatMovesOrRingsExpires(t *testing.T) {
	for kind, want := range map[device.CommandKind]bool{device.Start: true, device.Ring: true, device.Probe: false,
		device.Stop: false, device.Config: false, "": false} {
		if got := kind.Expires(); got != want {
			t.Errorf("%q expires: got %v, want %v", kind, got, want)
		}
	}
}
