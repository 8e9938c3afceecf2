package order

import (
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// What a petrol station's staff take out of the books: closes of a shift or a day,
// prices and data for invoices. No decision needs them; the store fills them and
// the API shows them.

// Period is what a close ends. The two are independent: each holds every sale once.
type Period string

// The periods.
const (
	Shift Period = "shift"
	Day   Period = "day"
)

// Close is what a venue sold of fuel since its previous close of the same period,
// as it stood at one moment. It is stored as it marshals to JSON and never changes:
// a refund made later is in a later close.
//
// It holds each settled order and each refund that no earlier close of the period
// holds, whatever their time: an order whose commit was in flight while a close was
// made is in the next one.
type Close struct {
	ID     string     `json:"id"` // UUIDv7; "" of a preview
	Venue  string     `json:"venue"`
	Period Period     `json:"period"`
	Number int        `json:"number"` // 1, 2, 3 per venue and period
	From   *time.Time `json:"from"`   // when the previous one was made; nil: there is none
	At     time.Time  `json:"at"`
	By     string     `json:"by"` // the staff member's id; "" of a preview
	Reason string     `json:"reason"`

	Orders   int64       `json:"orders"` // that it holds, test deliveries included
	Billed   billing.Fen `json:"billed_fen"`
	Refunds  int64       `json:"refunds"` // that it holds, of orders of this close or of earlier ones
	Refunded billing.Fen `json:"refunded_fen"`

	Grades  []GradeTotal  `json:"grades"`
	Pay     []PayTotal    `json:"pay"`
	Tests   []TestTotal   `json:"tests"`
	Nozzles []NozzleTotal `json:"nozzles"`

	Open     OpenOrders  `json:"open"`
	Items    []CloseItem `json:"items"`     // open at that moment: the 50 oldest
	ItemsAll int64       `json:"items_all"` // how many there were
}

// GradeTotal is what was sold of a grade, test deliveries left out. Priced less
// AboveFen plus Decided is Billed.
type GradeTotal struct {
	Grade       string      `json:"grade"`
	Orders      int64       `json:"orders"`
	Millilitres int64       `json:"millilitres"`
	Priced      billing.Fen `json:"priced_fen"` // as the pumps computed it
	// AboveFen and AboveMillilitres flowed above what an order held: the operator's
	// loss. The volume is the amount by the unit price, half up to the ml.
	AboveFen         billing.Fen `json:"above_limit_fen"`
	AboveMillilitres int64       `json:"above_limit_ml"`
	Decided          billing.Fen `json:"decided_fen"` // what staff's decisions added; mostly below zero
	Billed           billing.Fen `json:"billed_fen"`
	Refunded         billing.Fen `json:"refunded_fen"`
}

// PayTotal is what a way to pay brought. Captured plus Debt is what was billed.
type PayTotal struct {
	PayWith  PayWith     `json:"pay_with"`
	Orders   int64       `json:"orders"`
	Captured billing.Fen `json:"captured_fen"`
	Debt     billing.Fen `json:"debt_fen"` // what no hold covered, whether paid since or not
	Refunded billing.Fen `json:"refunded_fen"`
}

// TestTotal is what service orders moved of a grade: it passes the totalisers, costs
// nothing and is no sale.
type TestTotal struct {
	Grade       string `json:"grade"`
	Orders      int64  `json:"orders"`
	Millilitres int64  `json:"millilitres"`
}

// NozzleTotal compares a nozzle's totaliser with what was billed of it.
//
// An order belongs to the nozzle of its side that carries its grade; where several
// do, to the one whose totaliser its evidence shows to have moved, and to the first
// where no evidence is left. Difference is Moved less Sold, Tested and what Waiting
// grew by: above zero, fuel flowed that nobody was billed for. What staff end from
// afar is billed at once, and moves the totaliser here only when the pump has told
// its end.
type NozzleTotal struct {
	Device device.ID `json:"device"`
	Outlet uint8     `json:"outlet"`
	Nozzle uint8     `json:"nozzle"` // 0: no nozzle of that side carries the grade any more
	Grade  string    `json:"grade"`
	Epoch  uint32    `json:"epoch"` // of the device's provisioning; 0: it is not at the venue
	// The totaliser up to which everything is told, in ml: at the previous close of
	// the period and now. nil: see Note.
	From       *int64     `json:"totaliser_from_ml"`
	To         *int64     `json:"totaliser_to_ml"`
	Moved      *int64     `json:"moved_ml"`
	Sold       int64      `json:"sold_ml"`
	Tested     int64      `json:"tested_ml"`
	Waiting    int64      `json:"waiting_ml"` // of orders that wait for a decision
	Difference *int64     `json:"difference_ml"`
	Note       NozzleNote `json:"note,omitempty"`
}

// NozzleNote says why a nozzle has no difference; "" where it has one.
type NozzleNote string

// First: no earlier close has its totaliser. ProvisionedAgain: the device has new
// keys since, and perhaps another meter. Unheard: it has told no totaliser since it
// was provisioned. NotHere: the device, or the nozzle, is not at the venue any more.
const (
	NozzleFirst            NozzleNote = "first"
	NozzleProvisionedAgain NozzleNote = "provisioned_again"
	NozzleUnheard          NozzleNote = "unheard"
	NozzleNotHere          NozzleNote = "not_here"
)

// OpenOrders are orders that a close cannot hold yet: live, or ended and waiting for
// staff to decide their bill.
type OpenOrders struct {
	Count int64    `json:"count"`
	IDs   []string `json:"ids"` // the 50 oldest
}

// CloseItem is an open item that bears on a close.
type CloseItem struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
}

// TakeClose asks for a close, once per key.
type TakeClose struct {
	ID     string
	Venue  string
	Period Period
	Key    KeyRef
	Route  string
	Hash   [32]byte
	Staff  Audit
	// Answer renders what the key replays.
	Answer func(Close) (status int, body []byte, err error)
}

// PriceList is what a venue's tariffs are now and will be.
type PriceList struct {
	At time.Time // the database's clock
	// Tariffs are sorted by kind and time. Of those up to At each kind has the one in
	// force at most, of later ones each that will be.
	Tariffs []TariffRow
}

// TaxRow is what an invoice needs of one sale, or of one refund of it.
type TaxRow struct {
	Order  string
	Refund bool
	At     time.Time // settled or refunded
	Device device.ID
	Outlet uint8
	Grade  billing.Grade // as the order's tariff pinned it
	// Millilitres is 0 of a refund: money comes back, no fuel does.
	Millilitres int64
	Amount      billing.Fen // billed; of a refund below zero
	Off         billing.Fen // what was taken off the pump's amount, by the limit or by staff
}
