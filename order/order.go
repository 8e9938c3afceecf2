package order

import (
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// State is where an order stands.
type State string

// The states of DESIGN section 6. Live: pending, starting, unresolved, active.
const (
	Pending    State = "pending"
	Starting   State = "starting"
	Unresolved State = "unresolved"
	Active     State = "active"
	Ended      State = "ended"
	Settled    State = "settled"
	Voided     State = "voided"
)

// Live tells whether the order counts towards its rider's limit and holds its
// outlet.
func (s State) Live() bool {
	switch s {
	case Pending, Starting, Unresolved, Active:
		return true
	}
	return false
}

// Input is what may happen to an order.
type Input string

// The inputs. Executed, Refused, Fenced and CannotTell speak of the order's own
// start; GiveUp is ten minutes without either proof, or staff with a reason.
const (
	Ordered      Input = "ordered" // into pending: money is asked for
	Authorised   Input = "authorised"
	Cancelled    Input = "cancelled"
	Executed     Input = "executed"
	Refused      Input = "refused"
	Fenced       Input = "fenced"
	CannotTell   Input = "cannot_tell"
	DeadlinePast Input = "deadline"
	GiveUp       Input = "give_up"
	DeviceEnded  Input = "device_ended"
	FoundShut    Input = "found_shut"
	RiderEnded   Input = "rider_ended"
	StaffEnded   Input = "staff_ended"
	Watchdog     Input = "watchdog"
	Captured     Input = "captured"
	Decided      Input = "decided"
	PauseOver    Input = "pause_over" // nobody resumed it in time
)

// next is the whole machine; an input missing from a row is ErrWrongState.
var next = map[State]map[Input]State{
	Pending:  {Authorised: Starting, Refused: Voided, Cancelled: Voided, GiveUp: Voided},
	Starting: {Executed: Active, Refused: Voided, Fenced: Voided, CannotTell: Voided, DeadlinePast: Unresolved},
	Unresolved: {Executed: Active, Refused: Voided, Fenced: Voided, CannotTell: Voided,
		GiveUp: Voided},
	Active: {DeviceEnded: Ended, FoundShut: Ended, RiderEnded: Ended, StaffEnded: Ended, Watchdog: Ended,
		PauseOver: Ended},
	Ended: {Captured: Settled, Decided: Settled},
}

// Next looks up a move. An unknown state or input fails closed.
func (s State) Next(in Input) (State, error) {
	if to, ok := next[s][in]; ok {
		return to, nil
	}
	return s, fmt.Errorf("order in state %s, input %s: %w", s, in, ErrWrongState)
}

// PayWith is a way to pay.
type PayWith string

// Wallet is a rider's balance. Prepay is WeChat Pay before the use, whose rest goes
// back; Score is WeChat Pay Score, after it. Service is staff's unlock: no money
// moves.
const (
	PayWallet  PayWith = "wallet"
	PayBefore  PayWith = "prepay"
	PayScore   PayWith = "pay_score"
	PayService PayWith = "service"
)

// Span is a stretch of one boot during which a use is proved to have gone on.
type Span struct {
	Boot device.Boot `json:"boot"`
	From uint64      `json:"from"` // uptime, ms
	To   uint64      `json:"to"`
}

// Order is one use of one outlet by one rider.
type Order struct {
	ID      string // UUIDv7
	Rider   string // a rider's id, or "staff:{id}" where PayWith is service
	Venue   string
	Day     string // of the start, in the venue's time zone: 2006-01-02
	Device  device.ID
	Outlet  uint8
	Kind    device.Kind
	State   State
	Slot    int // 1..K: the rider's live-order slot; 0 for service
	PayWith PayWith
	Ticket  string // the ticket's id, unique
	Class   Class  // of the code behind the ticket
	Road    Road   // by which the rider's phone may reach the device, "" = none
	Tariff  billing.Tariff
	Preset  billing.Preset

	Hold    string      // id of the hold's transfer, "" = none
	HoldFen billing.Fen // of a pending order what the hold will be
	Pass    string      // id of the rider's pass that it met, "" = none
	// Reserved is what the reservation costs that it used; nil = nothing.
	Reserved *billing.Reserved
	Payment  string // id of the newest payment that is to fund it, "" = none

	Command string // id of the newest start
	Seq     uint64
	// DueAt is when the next thing happens by itself: the end of patience while pending,
	// with the payment and then with the relayed probe (zero once the payment is being taken back), the deadline while starting,
	// the end of patience while unresolved, the watchdog while active; while its lock is
	// shut for a pause that pause's end, or the deadline and patience of its resumption.
	DueAt      time.Time
	Cancelling bool // a stop is on its way because the rider asked for it
	// Pause is the temporary lock of an active order, or that it ended out of; nil = none.
	Pause *Pause

	CreatedAt time.Time
	ActiveAt  time.Time // database clock at ingest; for display
	EndedAt   time.Time
	DoneAt    time.Time // settled or voided

	Spans    []Span // from the start's evidence on; the first begins with it
	Evidence []string
	EndedBy  Input          // which input ended it
	Usage    *billing.Usage // set with the final quote
	Quote    billing.Quote
	Charged  billing.Fen // captured of the hold
	Debt     billing.Fen // what the hold did not cover
	Refunded billing.Fen // given back of Charged and Debt

	Reason   string // why it was voided or ended, as a stable word
	Unproven bool   // voided without proof; its command may still be open

	Version int64
}

// Move is a row of an order's history.
type Move struct {
	Order string
	N     int   // orders the history; grows with the order's version, with gaps
	From  State // "" for the first
	To    State
	Input Input
	At    time.Time
	// By names the evidence, the staff member or the rule behind the move.
	By string
}

// HoldTransfer is the order's hold as the ledger has it.
func (o Order) HoldTransfer() *billing.Transfer {
	if o.Hold == "" {
		return nil
	}
	return &billing.Transfer{ID: o.Hold, Kind: billing.Pending, Debit: ways[o.PayWith].purse(o),
		Credit: billing.Revenue, Amount: o.HoldFen, Purpose: billing.ForHold, Order: o.ID}
}
