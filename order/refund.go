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
	Answer    string // why it was declined
}

// RefundState is how far a request is.
type RefundState string

// A request waits for a second person, who approves or declines it, once.
const (
	RefundWaiting  RefundState = "waiting"
	RefundApproved RefundState = "approved"
	RefundDeclined RefundState = "declined"
)

// RefundPrincipal owns the idempotency key of an approved request's refund, which is the
// request's id: however often it is approved, the money moves once.
const RefundPrincipal = "refund-request"

// RefundKey is that key.
func RefundKey(id string) KeyRef { return KeyRef{Principal: RefundPrincipal, Key: id} }

// RefundPage picks requests, the newest first. An empty state filters nothing; Venues nil
// = all.
type RefundPage struct {
	State  RefundState
	Order  string
	Venues []string
	After  string
	Limit  int
}
