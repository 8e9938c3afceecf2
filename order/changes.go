package order

import (
	"context"
	"encoding/json"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// Query says what a use case needs to see. Zero fields ask for nothing. A
// query that names an order also loads that order's device.
type Query struct {
	Device device.ID
	Order  string
	// Answered also loads what is closed already: the queried order's newest start, and
	// what was made for its outlet in the last RingEvery.
	Answered bool
	Rider    string // also loads the rider's accounts and live orders
	Key      *KeyRef
	Ticket   string // loads whether the ticket was used
	// Journal and Evidence name a piece that may be stored already.
	Epoch    uint32
	Journal  device.Journal
	Evidence uint64
	// Names is an order that the word names and that need not be live.
	Names string
	// Tariff and TariffVersion name the version that a ticket pinned.
	Tariff        string
	TariffVersion int
	// Payment names a payment; it also loads the payment's order, rider and, of a
	// refund, the payment that it gives back.
	Payment string
	// TopUps also loads the rider's paid top-ups, newest first.
	TopUps bool
	// Pass names what is on offer.
	Pass string
	// Reservation names one; it also loads its device and rider.
	Reservation string
}

// KeyRef names an idempotency key: it belongs to one principal.
type KeyRef struct {
	Principal string // "rider:{id}" or "staff:{id}"
	Key       string
}

// Key is an accepted request and its answer; a second one with the same body
// gets the same bytes, one with another body is refused.
type Key struct {
	KeyRef
	Route    string
	BodyHash [32]byte
	Status   int
	Answer   []byte
	Order    string
	At       time.Time
}

// Snapshot is what was loaded, at one moment of the database's clock.
//
// Device is nil when the query names none or an unknown one. Orders holds the
// live order of each outlet, the queried one, the one that the word names, those
// that waiting evidence names and those whose command is still open. Accounts
// holds the wallet and receivable of every rider among them and of the queried
// rider, and what was prepaid for each order. Payments holds those of every order
// among them, the queried one, and what is open of the queried rider's.
type Snapshot struct {
	Now      time.Time
	Device   *device.Device
	Outlets  []device.Outlet  // sorted by N
	Commands []device.Command // open ones, sorted by (outlet, seq); then those of Query.Answered
	Waiting  []device.Evidence
	Stored   *device.Evidence
	Orders   []Order
	Accounts []billing.Account
	Payments []Payment
	Venue    *Venue
	Rider    *Rider
	Live     []Order // the queried rider's live orders
	Riders   []Rider // of those of Orders that are pending
	// DaySpent is, per order of Orders, what its rider's other ended or settled
	// orders of the same venue, kind and Day come to, refunds taken off.
	DaySpent map[string]billing.Fen
	Tariff   *billing.Tariff
	Key      *Key
	Used     bool // the ticket was used
	// Spent is, per day, what the queried rider's orders on printed codes came to or
	// may still come to; days before yesterday may be missing.
	Spent map[string]billing.Fen
	// Passes are those of the queried rider that are not over, and, of each of Orders that
	// met one, all that its rider held when it began.
	Passes []HeldPass
	Offer  *PassRow
	// Reservations are the queried rider's that is not over by its row, if any, and the
	// queried one. Unused counts, per day, the rider's that no order used but one that was
	// voided; days before yesterday may be missing.
	Reservations []Reservation
	Unused       map[string]int
}

// Rider is what a decision needs to know of a rider.
type Rider struct {
	ID      string
	Blocked bool
	Group   string // whose tariffs and passes they get; "" = everybody's
	Erased  bool   // nobody knows any more who they were
}

// Item is something that staff must look at. Subject names one cause: the same
// item is opened once.
type Item struct {
	ID      string
	Kind    string // one of the Item... words
	Subject string // unique together with Kind while open
	Device  device.ID
	Order   string
	Venue   string
	Detail  string
	At      time.Time
}

// The kinds of open items.
const (
	ItemQuarantined   = "evidence_quarantined" // it names another or an unknown order
	ItemLost          = "evidence_lost"
	ItemFault         = "fault_reported" // by a rider
	ItemRestored      = "restored_from_backup"
	ItemFlash         = "flash_replaced"
	ItemContradiction = "evidence_contradicts"
	ItemUnknown       = "outcome_unknown"
	ItemLateExecuted  = "executed_after_void"
	ItemLateRefusal   = "refused_while_active"
	ItemUnproven      = "voided_without_proof"
	ItemWatchdog      = "ride_never_ended"
	ItemAlarm         = "alarm"
	ItemOldEpoch      = "evidence_of_earlier_epoch"
	ItemTotaliser     = "totaliser_gap"       // a meter moved and no sale accounts for it
	ItemUnbilled      = "fuel_unbilled"       // it flowed and nobody pays for it
	ItemMismatch      = "bill_needs_decision" // the device's own figures do not agree
	ItemStopped       = "emergency_stop"
	ItemPayment       = "payment_mismatch" // WeChat's word and our record differ; nothing was posted
	ItemRefund        = "refund_stuck"     // money that is a rider's cannot reach them
	ItemSetup         = "wechat_setup"     // WeChat refuses our keys, permissions or ids
	ItemBill          = "bill_difference"  // a day's bill and the ledger differ
	ItemDisk          = "disk_low"         // new orders are refused for want of room
	ItemBillMissing   = "bill_missing"     // a day's bill could not be had
	ItemOutside       = "parked_outside"   // a device said so as its use ended; unsigned
)

// Update is a state change to route to riders and staff, and later to webhooks.
type Update struct {
	Subject string // "order.{id}" or "device.{id}"
	Payload json.RawMessage
	// Moved: the order is in another state than before. It is for webhooks; the payload
	// does not say it.
	Moved bool
}

// Audit is one privileged act.
type Audit struct {
	ID     string
	Staff  string
	Act    string
	Object string
	Reason string
	Before json.RawMessage
	After  json.RawMessage
	At     time.Time
}

// Changes is everything that one decision writes, in one transaction. A row with
// Version 0 is inserted; any other replaces the row of that very version, which
// becomes Version+1. When a guard fails the whole is refused with ErrStale.
type Changes struct {
	Devices      []device.Device
	Outlets      []device.Outlet
	Orders       []Order
	Accounts     []billing.Account
	Payments     []Payment
	PaymentMoves []PaymentMove
	Passes       []HeldPass
	Reservations []Reservation
	Commands     []device.Command
	Evidence     []device.Evidence
	Keys         []Key
	Moves        []Move
	Transfers    []billing.Transfer
	Items        []Item
	Updates      []Update
	Audits       []Audit
	Stops        []Stop
	Messages     []Message
	Notices      []string // ids of notifications that are dealt with
}

// Stop is an emergency stop of a venue beginning. See StopLog.
type Stop struct {
	ID     string
	Venue  string
	By     string // "staff {id}", "device {id}"
	Reason string
	At     time.Time
}

// Empty tells whether there is nothing to write.
func (c Changes) Empty() bool {
	return len(c.Devices)+len(c.Outlets)+len(c.Orders)+len(c.Accounts)+len(c.Commands)+len(c.Evidence)+
		len(c.Keys)+len(c.Moves)+len(c.Transfers)+len(c.Items)+len(c.Updates)+len(c.Audits)+len(c.Stops)+
		len(c.Payments)+len(c.PaymentMoves)+len(c.Messages)+len(c.Notices)+len(c.Passes)+len(c.Reservations) == 0
}

// Store loads snapshots and applies changes.
type Store interface {
	// Load reads one consistent enough snapshot: every row that a decision
	// replaces is guarded by its version at Apply, so rows may be of different
	// moments. Nothing unknown is an error; it is absent.
	Load(context.Context, Query) (Snapshot, error)
	// Apply commits all of the changes or none. ErrStale: a guard failed, nothing
	// is written. ErrTicketUsed, ErrKeyReused: that unique fact was there first.
	// ErrUncertain: the commit may have happened. Nil: it is durable.
	Apply(context.Context, Changes) error
}

// Sealer makes the bytes of a command for a device. It is pure: the same command
// gives the same bytes. Only the signer's key is behind it.
type Sealer interface {
	Seal(device.ID, device.Command) ([]byte, error)
}
