package order

import (
	"time"

	"github.com/unlatch/unlatch/billing"
)

// RefundRequest is a refund above what one member of staff may give alone: another one
// approves or declines it.
type RefundRequest struct {
	ID        string
	Order     string
	Venue     string
	Amount    billing.Fen
	Reason    string
	Staff     string
	State     RefundState
	At        time.Time
	DecidedAt time.Time
	DecidedBy string
	Answer    string    // why it was declined
	GivenAt   time.Time // when its money moved; zero: it did not
}

// RefundState is how far a request is.
type RefundState string

// A request waits for a second person, who approves or declines it, once. Its approval is
// the transaction that moves its money; what turns out to be impossible then ends declined.
// The version before could leave one approved whose money did not move: it is still open.
const (
	RefundWaiting  RefundState = "waiting"
	RefundApproved RefundState = "approved"
	RefundDeclined RefundState = "declined"
)

// MayGive tells whether the money of the request may be moved by that member.
// ErrSecondPerson: they asked for it. ErrWrongState: it was declined, or given.
func (r RefundRequest) MayGive(staff string) error {
	switch {
	case r.Staff == staff:
		return ErrSecondPerson
	case r.State == RefundDeclined, !r.GivenAt.IsZero():
		return ErrWrongState
	}
	return nil
}

// RefundPrincipal owns the idempotency key of an approved request's refund, which is the
// request's id: however often it is approved, the money moves once.
const RefundPrincipal = "refund-request"

// RefundKey is that key.
func RefundKey(id string) KeyRef { return KeyRef{Principal: RefundPrincipal, Key: id} }

// RefundOpen picks, as a state of RefundPage, what waits and what is approved and not
// given.
const RefundOpen RefundState = "open"

// RefundPage picks requests, the newest first. An empty state filters nothing; Venues nil
// = all.
type RefundPage struct {
	State  RefundState
	Order  string
	Venues []string
	After  string
	Limit  int
}
