package order

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// PaymentState is where a payment stands, as we know it.
type PaymentState string

// The states. Created: WeChat was not told yet, as far as we know. Open: it waits
// for the rider; of a refund, for WeChat. Confirmed: a score order's rider agreed.
// Completing and Collecting: its amount is on the way to WeChat, and from the rider.
// Closing: nobody is to pay it any more, and WeChat has yet to say that nobody will.
// Abnormal: a refund waits for staff. Paid: the money moved. Closed: it never will.
const (
	PaymentCreated    PaymentState = "created"
	PaymentOpen       PaymentState = "open"
	PaymentConfirmed  PaymentState = "confirmed"
	PaymentCompleting PaymentState = "completing"
	PaymentCollecting PaymentState = "collecting"
	PaymentClosing    PaymentState = "closing"
	PaymentAbnormal   PaymentState = "abnormal"
	PaymentPaid       PaymentState = "paid"
	PaymentClosed     PaymentState = "closed"
)

// Done tells whether no step is left.
func (s PaymentState) Done() bool { return s == PaymentPaid || s == PaymentClosed }

// PaymentInput is what may happen to a payment: one of billing's standings, or what
// we decide ourselves.
type PaymentInput = billing.Standing

// Withdrawn: nobody is to pay it; of a refund: staff gave it up. Billed: a score
// order's amount is known. Made: it begins.
const (
	Made      PaymentInput = "made"
	Withdrawn PaymentInput = "withdrawn"
	Billed    PaymentInput = "billed"
)

// paymentNext is the whole machine, by road. What is missing from a row moves
// nothing. Closed is not quite the end of a transaction: money that came in is
// believed whenever WeChat signs it. A score order that was withdrawn is never
// believed to be confirmed again, since its cancellation may be on the way.
var paymentNext = map[billing.Road]map[PaymentState]map[PaymentInput]PaymentState{
	billing.Transaction: {
		PaymentCreated: {billing.StandsOpen: PaymentOpen, billing.StandsPaid: PaymentPaid, billing.StandsClosed: PaymentClosed,
			billing.StandsRefused: PaymentClosed, Withdrawn: PaymentClosing},
		PaymentOpen:    {billing.StandsPaid: PaymentPaid, billing.StandsClosed: PaymentClosed, Withdrawn: PaymentClosing},
		PaymentClosing: {billing.StandsPaid: PaymentPaid, billing.StandsClosed: PaymentClosed, billing.StandsUnknown: PaymentClosed},
		PaymentClosed:  {billing.StandsPaid: PaymentPaid},
	},
	// Closing may turn out collecting or paid only where its bill was known already.
	billing.Score: {
		PaymentCreated: {billing.StandsOpen: PaymentOpen, billing.StandsConfirmed: PaymentConfirmed,
			billing.StandsClosed: PaymentClosed, billing.StandsRefused: PaymentClosed, Withdrawn: PaymentClosing},
		PaymentOpen:      {billing.StandsConfirmed: PaymentConfirmed, billing.StandsClosed: PaymentClosed, Withdrawn: PaymentClosing},
		PaymentConfirmed: {Billed: PaymentCompleting, Withdrawn: PaymentClosing},
		PaymentClosing: {billing.StandsClosed: PaymentClosed, billing.StandsUnknown: PaymentClosed,
			billing.StandsCollecting: PaymentCollecting, billing.StandsPaid: PaymentPaid},
		PaymentCompleting: {billing.StandsCollecting: PaymentCollecting, billing.StandsPaid: PaymentPaid,
			billing.StandsClosed: PaymentClosed, Withdrawn: PaymentClosing},
		PaymentCollecting: {billing.StandsPaid: PaymentPaid, billing.StandsClosed: PaymentClosed},
	},
	billing.Refund: {
		PaymentCreated: {billing.StandsProcessing: PaymentOpen, billing.StandsPaid: PaymentPaid,
			billing.StandsAbnormal: PaymentAbnormal, billing.StandsClosed: PaymentClosed, Withdrawn: PaymentClosed},
		PaymentOpen:     {billing.StandsPaid: PaymentPaid, billing.StandsAbnormal: PaymentAbnormal, billing.StandsClosed: PaymentClosed},
		PaymentAbnormal: {billing.StandsPaid: PaymentPaid, billing.StandsClosed: PaymentClosed, Withdrawn: PaymentClosed},
	},
}

// PaymentNext looks up a move; ok is false where the input moves nothing.
func PaymentNext(road billing.Road, from PaymentState, in PaymentInput) (to PaymentState, ok bool) {
	to, ok = paymentNext[road][from][in]
	return to, ok
}

// PaymentFor says what a payment is for.
type PaymentFor string

// What payments are for.
const (
	ForTopUp   PaymentFor = "topup"
	ForOrder   PaymentFor = "order"
	ForPayback PaymentFor = "payback"
)

// Payment is money that WeChat moves, under one number and in one direction. Its
// row is also the note that something is left to do: at DueAt the next step is
// taken, by any replica.
type Payment struct {
	ID     string // UUIDv7; see Number
	Road   billing.Road
	For    PaymentFor
	Rider  string
	Order  string // "" = a top-up, or a refund of one
	Venue  string
	Device device.ID
	Kind   device.Kind
	State  PaymentState
	// Amount is what to pay, or to give back; of a score order the risk fund until it
	// is billed, and then what to collect.
	Amount billing.Fen
	Moved  billing.Fen // what WeChat said has moved
	Back   billing.Fen // of Moved: what refunds gave back or are about to
	Backs  int         // refunds that were ever made of it: numbers them, also after a restore
	Of     string      // of a refund: the payment that it gives back
	Hold   string      // of a refund: the transfer that keeps its money
	// Debits are the transactions by which a score order was collected; Debit is the one
	// of them that a refund gives back.
	Debits []PaymentDebit
	Debit  string
	Key    string      // opens WeChat's page on the rider's phone
	Ref    string      // WeChat's own id
	Asked  billing.Fen // of a billed score order: what WeChat was told to collect, as it said last
	Late   bool        // of a billed score order: its rider was told that it is unpaid
	// Last is the newest step that was answered in this state. Tries counts the steps
	// begun since: above one, the outcome of the one before is not known.
	Last      billing.Step
	Tries     int
	CreatedAt time.Time
	BilledAt  time.Time // of a score order: when it was settled
	// ExpiresAt is when it is withdrawn if nobody paid; of a billed score order, when it
	// begins to block its rider.
	ExpiresAt time.Time
	DueAt     time.Time // zero = nothing is left to do by itself
	DoneAt    time.Time
	Reason    string // why it was withdrawn, refused or is stuck, a stable word
	Version   int64
}

// Number is the payment's number at WeChat: the id's 32 hex digits.
func (p Payment) Number() string { return strings.ReplaceAll(p.ID, "-", "") }

// PaymentOf returns the id behind a number; "" when it is none of ours.
func PaymentOf(number string) string {
	if len(number) != 32 || strings.Trim(number, "0123456789abcdef") != "" {
		return ""
	}
	return number[:8] + "-" + number[8:12] + "-" + number[12:16] + "-" + number[16:20] + "-" + number[20:]
}

// PaymentDebit is one transaction of a score order, with what was given back of it or
// is about to.
type PaymentDebit struct {
	billing.Debit
	Back billing.Fen `json:"back_fen,omitempty"`
}

// PaymentMove is a row of a payment's history.
type PaymentMove struct {
	Payment string
	N       int          // orders the history; grows with the payment's version, with gaps
	From    PaymentState // "" for the first
	To      PaymentState
	Input   PaymentInput
	At      time.Time
}

// Message is something that a rider is told, best effort.
type Message struct {
	ID     string
	Rider  string
	Kind   MessageKind
	Order  string
	Amount billing.Fen
	At     time.Time
}

// MessageKind is one of the things that riders are told of.
type MessageKind string

// The kinds of messages.
const (
	TellEnded  MessageKind = "use_ended"
	TellRefund MessageKind = "refund_done"
	TellUnpaid MessageKind = "unpaid"
)

// payment returns the working copy of a payment, or nil.
func (t *turn) payment(id string) *Payment { return t.payments[id] }

func (t *turn) touchPayment(p *Payment) { t.dirty["payment/"+p.ID] = true }

// showPayment touches what riders see of a payment: who waits for its order sees it
// move.
func (t *turn) showPayment(p *Payment) {
	t.touchPayment(p)
	if o := t.orders[p.Order]; o != nil {
		t.touchOrder(o)
	}
}

// newPayment keeps a payment for the end of the turn; its first step is due at once.
// Its id is drawn unless it has one.
func (t *turn) newPayment(p Payment) (*Payment, error) {
	if p.ID == "" {
		var err error
		if p.ID, err = t.env.newID(t.now); err != nil {
			return nil, err
		}
	}
	p.CreatedAt, p.DueAt = t.now, t.now
	t.payments[p.ID] = &p
	t.moved(&p, Made, PaymentCreated)
	return &p, nil
}

// moved sets a payment's state and writes the history row.
func (t *turn) moved(p *Payment, in PaymentInput, to PaymentState) {
	n := int(p.Version) * 8 // a payment moves at most a few times in one turn
	for _, m := range t.out.PaymentMoves {
		if m.Payment == p.ID {
			n++
		}
	}
	t.out.PaymentMoves = append(t.out.PaymentMoves, PaymentMove{Payment: p.ID, N: n, From: p.State, To: to, Input: in, At: t.now})
	p.State = to
	t.showPayment(p)
}

// movePayment takes a payment through its table. False: the input moves nothing.
func (t *turn) movePayment(p *Payment, in PaymentInput) bool {
	to, ok := PaymentNext(p.Road, p.State, in)
	if !ok {
		return false
	}
	t.moved(p, in, to)
	p.Last, p.Tries, p.DueAt = "", 0, t.now
	if to.Done() {
		p.DoneAt, p.DueAt = t.now, time.Time{}
	}
	return true
}

// withdraw makes sure that nobody pays any more. Nothing happens to what is over.
func (t *turn) withdraw(p *Payment, reason string) {
	if p != nil && t.movePayment(p, Withdrawn) {
		p.Reason = reason
	}
}

// message tells a rider something, where the operator has messages at all.
func (t *turn) message(kind MessageKind, rider, orderID string, amount billing.Fen) error {
	if !t.env.Config.Messages || rider == "" {
		return nil
	}
	id, err := t.env.newID(t.now)
	if err != nil {
		return err
	}
	t.out.Messages = append(t.out.Messages, Message{ID: id, Rider: rider, Kind: kind, Order: orderID, Amount: amount, At: t.now})
	return nil
}

// sendBack gives amount of what a payment brought in back to its payer: the money is
// held on the account where it is until WeChat says that it arrived.
func (t *turn) sendBack(of *Payment, from billing.AccountID, amount billing.Fen, reason string) error {
	if amount <= 0 {
		return nil
	}
	if amount > of.Moved-of.Back {
		return fmt.Errorf("give back %d fen of payment %s, which has %d left: %w", amount, of.ID, of.Moved-of.Back, ErrOverRefund)
	}
	for i, d := range of.Debits { // each transaction is refunded for itself
		if part := min(amount, d.Amount-d.Back); part > 0 && part < amount || part > 0 && len(of.Debits) > 1 {
			if err := t.sendPart(of, i, from, part, reason); err != nil {
				return err
			}
			amount -= part
		}
	}
	if amount == 0 {
		return nil
	}
	return t.sendPart(of, len(of.Debits)-1, from, amount, reason)
}

// sendPart is sendBack of one transaction of a payment; i is that of of.Debits, -1
// where it has but one.
func (t *turn) sendPart(of *Payment, i int, from billing.AccountID, amount billing.Fen, reason string) error {
	hold, err := t.env.newID(t.now)
	if err != nil {
		return err
	}
	debit := ""
	if i >= 0 {
		of.Debits[i].Back += amount
		debit = of.Debits[i].ID
	}
	p, err := t.newPayment(Payment{ID: of.refundID(amount), Debit: debit, Road: billing.Refund, For: ForPayback, Rider: of.Rider, Order: of.Order, Venue: of.Venue,
		Device: of.Device, Kind: of.Kind, Amount: amount, Of: of.ID, Hold: hold, Reason: reason})
	if err != nil {
		return err
	}
	of.Back += amount
	of.Backs++
	t.showPayment(of)
	return t.transfer(p.payback(from), nil)
}

// refundID is the id of a payment's next refund: made of the payment, how many refunds
// it had, and the amount. Where we were restored from an older backup and settle anew,
// the same refund gets the same number at WeChat, and is made once. It is a UUIDv7 of
// the payment's own moment.
func (p Payment) refundID(amount billing.Fen) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "refund/%s/%d/%d", p.ID, p.Backs, amount))
	h := hex.EncodeToString(sum[:])
	return p.ID[:14] + "7" + h[:3] + "-" + string("89ab"[sum[20]%4]) + h[3:6] + "-" + h[6:18]
}

// payback is a refund's hold as the ledger has it. from is the account that keeps
// the money meanwhile.
func (p Payment) payback(from billing.AccountID) billing.Transfer {
	return billing.Transfer{ID: p.Hold, Kind: billing.Pending, Debit: from, Credit: billing.WeChat, Amount: p.Amount,
		Purpose: billing.ForPayback, Order: p.Order, Key: p.ID}
}

// purse is the account that a refund's money comes from.
func (p Payment) purse() billing.AccountID {
	if p.Order == "" {
		return billing.Wallet(p.Rider)
	}
	return billing.Prepaid(p.Order)
}
