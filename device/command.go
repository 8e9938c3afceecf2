package device

import (
	"errors"
	"fmt"
	"time"
)

// CommandKind is what a command tells a device to do.
type CommandKind string

// Start and Ring carry a boot id and an expiry; Probe, Stop and Config never
// expire and burn their number; an ack has no number and is not stored.
const (
	Start  CommandKind = "start"
	Ring   CommandKind = "ring"
	Probe  CommandKind = "probe"
	Stop   CommandKind = "stop"
	Config CommandKind = "config"
)

// Expires tells whether the kind carries a boot id and an expiry.
func (k CommandKind) Expires() bool { return k == Start || k == Ring }

// CommandState is where a command stands.
type CommandState string

// Published: committed, so its bytes may have left. Executed: the device proved
// that it opened or armed. Rejected: it proved that it refused. NotExecuted: it
// is proved that it never will. Unresolved: nobody knows yet. OutcomeUnknown:
// the device itself cannot tell. Spent: a command that moves nothing was burned, or a
// later one does for it.
const (
	Published      CommandState = "published"
	Unresolved     CommandState = "unresolved"
	Executed       CommandState = "executed"
	Rejected       CommandState = "rejected"
	NotExecuted    CommandState = "not_executed"
	OutcomeUnknown CommandState = "outcome_unknown"
	Spent          CommandState = "spent"
)

// CommandInput is what may happen to a command.
type CommandInput string

// Execute, Reject and CannotTell are the device's word; Fence is the proof of
// DESIGN section 5, never the sending of a probe; Burn is a beat whose last_seq
// is at or past the number of a command that moves nothing; Supersede is a later one
// whose burning proves the same and more; Deadline is ours.
const (
	Execute    CommandInput = "execute"
	Reject     CommandInput = "reject"
	CannotTell CommandInput = "cannot_tell"
	Fence      CommandInput = "fence"
	Burn       CommandInput = "burn"
	Supersede  CommandInput = "supersede"
	Deadline   CommandInput = "deadline"
)

// ErrBadInput says that a state has no row for an input.
var ErrBadInput = errors.New("no such move")

// commandNext is the whole machine; an input missing from a row is ErrBadInput.
// Silence ends nothing: only the device's word does.
var commandNext = map[CommandState]map[CommandInput]CommandState{
	Published: {Execute: Executed, Reject: Rejected, Fence: NotExecuted, CannotTell: OutcomeUnknown,
		Burn: Spent, Supersede: Spent, Deadline: Unresolved},
	Unresolved: {Execute: Executed, Reject: Rejected, Fence: NotExecuted, CannotTell: OutcomeUnknown},
}

// Next looks up a move. An unknown state or input fails closed.
func (s CommandState) Next(in CommandInput) (CommandState, error) {
	if to, ok := commandNext[s][in]; ok {
		return to, nil
	}
	return s, fmt.Errorf("command in state %s, input %s: %w", s, in, ErrBadInput)
}

// Open tells whether the command may still move something or is not yet
// answered.
func (s CommandState) Open() bool { return s == Published || s == Unresolved }

// Command is a signed instruction. Its bytes are fixed when it is committed;
// every re-send carries the same ones.
type Command struct {
	ID       string // UUIDv7
	Device   ID
	Outlet   uint8
	Epoch    uint32
	Seq      uint64
	Kind     CommandKind
	Order    string // "" for probes and for a stop that names none
	Boot     Boot
	NotAfter uint64    // device uptime, ms; 0 where the kind does not expire
	Deadline time.Time // the E of NotAfter; zero where the kind does not expire

	Journal Journal // the journal that the server knew at commit
	Floor   uint64  // Applied at commit: what it may journal has a higher number

	Args Args   // what only the bytes carry; not stored
	Key  string // of the server's keys, the one that signs; "" = the device's; not stored

	State     CommandState
	Bytes     []byte // COSE_Sign1
	CreatedAt time.Time
	DoneAt    time.Time

	Version int64
}

// Args are the arguments of a command. They are for whoever makes its bytes; what
// is stored is the bytes.
type Args struct {
	Start *StartArgs // of a kind whose start has limits
	Wall  *Sample    // of a config: the time at which the device's clock stood at Uptime
	// ServerKey is of a config: the public key to accept besides the one that signs it,
	// 32 bytes; every other is dropped.
	ServerKey []byte
}

// StartArgs are the limits of a start, all enforced by the device.
type StartArgs struct {
	UnitPrices     map[uint8]int64 // milli-yuan per litre, of each nozzle that may be lifted
	MaxMillilitres int64           // >= 1
	MaxFen         int64           // 0: no limit in money
	ArmMillis      uint32          // how long to wait for a nozzle, >= 1
}

// Move returns the command after in, or ErrBadInput with the command unchanged.
func (c Command) Move(in CommandInput, now time.Time) (Command, error) {
	to, err := c.State.Next(in)
	if err != nil {
		return c, fmt.Errorf("%s %s: %w", c.Kind, c.ID, err)
	}
	c.State = to
	if !to.Open() {
		c.DoneAt = now
	}
	return c, nil
}
