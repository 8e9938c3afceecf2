package billing

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// Road is how foreign money travels: what WeChat knows a payment's number as.
type Road string

// The roads. Transaction: the rider pays before (out_trade_no). Score: the rider
// confirms before and pays after (out_order_no). Refund: what goes back of either
// (out_refund_no).
const (
	Transaction Road = "transaction"
	Score       Road = "score"
	Refund      Road = "refund"
)

// Step is one call for one payment. Repeating a step with the same number and the
// same figures moves no money twice.
type Step string

// The steps. Create begins a payment or asks for a refund; Close takes a payment
// back that nobody paid (a score order: cancels it); Complete, Modify, Collect and
// Sync are of a score order: the final amount, a lower one, please try the debit
// now, the rider paid elsewhere. Query asks how it stands and changes nothing.
const (
	AskCreate   Step = "create"
	AskQuery    Step = "query"
	AskClose    Step = "close"
	AskComplete Step = "complete"
	AskModify   Step = "modify"
	AskCollect  Step = "collect"
	AskSync     Step = "sync"
)

// Payer is a rider's openid on its way to WeChat. It is personal data and shows as
// *** however it is printed; string(p) gives it.
type Payer string

// Format hides the value under every verb.
func (Payer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "***") }

// LogValue hides the value.
func (Payer) LogValue() slog.Value { return slog.StringValue("***") }

// MarshalText hides the value inside of what is logged or stored as JSON.
func (Payer) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Ask is one step of one payment, with all that WeChat must be told.
type Ask struct {
	Step   Step
	Road   Road
	Number string // ours, 32 hex digits
	Payer  Payer  // of Create, but for refunds
	// Amount is what to pay; of a score order at Create the risk fund, at Complete and
	// Modify what to collect; of a refund what to give back.
	Amount Fen
	// Paid and Of are a refund's: what was paid with the transaction, and its number;
	// OfTransaction is WeChat's own id of it, which a score order's refund needs.
	Paid          Fen
	Of            string
	OfTransaction string
	// Venue and Device say where, of Create; 32 characters of [A-Za-z0-9_-] at most.
	Venue, Device string
	Kind          string // of device: "lock", "pump"; "" = a top-up
	Expires       time.Time
	// Tariff explains a score order's price; Used says how long the use was, and From
	// and Until when, at Complete.
	Tariff      Tariff
	Used        time.Duration
	From, Until time.Time
	Reason      string // of Close, Modify and refunds: a short stable word
}

// Standing is how a payment stands at WeChat, in our words.
type Standing string

// The standings.
const (
	// StandsUnknown: WeChat knows no such number.
	StandsUnknown Standing = "unknown"
	// StandsOpen: it waits for the rider (to pay, to confirm).
	StandsOpen Standing = "open"
	// StandsConfirmed: a score order's rider agreed to pay after.
	StandsConfirmed Standing = "confirmed"
	// StandsCollecting: a score order was completed and is not paid in full.
	StandsCollecting Standing = "collecting"
	// StandsPaid: the money moved; of a refund, back.
	StandsPaid Standing = "paid"
	// StandsClosed: nothing moved and nothing ever will.
	StandsClosed Standing = "closed"
	// StandsProcessing: a refund was accepted and is not done.
	StandsProcessing Standing = "processing"
	// StandsAbnormal: a refund cannot reach the rider and waits for staff.
	StandsAbnormal Standing = "abnormal"
	// StandsRefused: the step was refused for good; Why says it.
	StandsRefused Standing = "refused"
)

// Said is WeChat's verified word on one payment: an answer to a step or a
// notification. It states what WeChat believes; whether that agrees with ours is
// for whoever hears it to check.
type Said struct {
	Road   Road     `json:"road"`
	Number string   `json:"number"` // ours
	Stands Standing `json:"stands"`
	// Amount is the whole of it: to be paid, to be collected, to be given back; 0 where
	// WeChat does not say.
	Amount Fen `json:"amount_fen,omitempty"`
	// Moved is what has been paid, collected or given back so far.
	Moved Fen `json:"moved_fen,omitempty"`
	// ID is WeChat's own id of the transaction or refund, once there is one.
	ID string `json:"id,omitempty"`
	// Key opens WeChat's page on the rider's phone: a prepay_id, or a score order's
	// package. Only Create answers it.
	Key string    `json:"key,omitempty"`
	At  time.Time `json:"at,omitzero"` // when the money moved, by WeChat's clock
	// Debits are the parts in which a score order was collected, where WeChat names them:
	// each is refunded for itself.
	Debits []Debit `json:"debits,omitempty"`
	// Foreign names what is not ours about it: another merchant, app, payer's currency
	// or service. Such a word moves nothing.
	Foreign string `json:"foreign,omitempty"`
	Why     string `json:"why,omitempty"` // of StandsRefused: one of the Why... words, or WeChat's code
}

// Debit is one transaction by which a score order was collected.
type Debit struct {
	ID     string `json:"id"` // WeChat's transaction id
	Amount Fen    `json:"amount_fen"`
}

// Why a step was refused. None of these words is for a rider's eyes.
const (
	// WhyRisk: WeChat does not let this rider pay after; paying before is open to them.
	WhyRisk = "risk"
	// WhyArrears: the rider has unpaid score orders at WeChat.
	WhyArrears = "arrears"
	// WhyFigures: the number is known with other figures.
	WhyFigures = "figures"
	// WhyFunds: the merchant's account does not cover a refund.
	WhyFunds = "funds"
	// WhySetup: keys, permissions or ids are wrong; staff must act.
	WhySetup = "setup"
	// WhyState: the payment is in a state that does not allow the step. Ask how it
	// stands.
	WhyState = "state"
)

// ErrUnsure: no verified answer came, so the step may or may not have happened.
// Ask how it stands before anything else.
var ErrUnsure = errors.New("WeChat's answer is not known")

// BillLine is one line of a day's bill: money that moved.
type BillLine struct {
	Road   Road // Transaction, Score or Refund
	Number string
	ID     string // WeChat's own
	Amount Fen    // moved: paid, or given back; > 0
	Fee    Fen    // WeChat's own, may be negative on refunds
	At     time.Time
	State  string // WeChat's word: SUCCESS, REFUND, ...
}
