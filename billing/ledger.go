package billing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of the ledger's rules.
var (
	ErrNoMoney    = errors.New("the account does not cover the amount")
	ErrBadAmount  = errors.New("an amount must be above zero")
	ErrNotAHold   = errors.New("only a hold can be captured or released")
	ErrOverHold   = errors.New("a capture must not pass its hold")
	ErrSameParty  = errors.New("debit and credit are the same account")
	ErrOverRefund = errors.New("refunds must not pass what was captured")
)

// AccountID names where money is: "wallet:{rider}", "receivable:{rider}", or one
// of the operator's own.
type AccountID string

// The operator's accounts; they keep no balance row.
const (
	Revenue AccountID = "revenue"
	TopUps  AccountID = "topups" // where a staff top-up comes from
	// WeChat is the merchant's account there: debited when a rider's money comes in,
	// credited when it goes back.
	WeChat AccountID = "wechat"
	// ScoreDue is what settled Pay Score orders have yet to bring in.
	ScoreDue AccountID = "score_due"
)

// Wallet is what the operator owes a rider.
func Wallet(rider string) AccountID { return AccountID("wallet:" + rider) }

// Receivable is what a rider owes the operator; its balance is at most zero.
func Receivable(rider string) AccountID { return AccountID("receivable:" + rider) }

// Prepaid is what a rider paid for one order before its use: it is captured, or
// goes back.
func Prepaid(order string) AccountID { return AccountID("prepaid:" + order) }

// Limited tells whether the account has a limit and so keeps a balance.
func (a AccountID) Limited() bool {
	return a.purse() || strings.HasPrefix(string(a), "receivable:")
}

// purse tells whether the account holds a rider's money, which only they can spend.
func (a AccountID) purse() bool {
	return strings.HasPrefix(string(a), "wallet:") || strings.HasPrefix(string(a), "prepaid:")
}

// Account is the balance of an account with a limit. Posted is credits less
// debits; Held is the sum of its unresolved holds. A wallet and what was prepaid
// keep Posted - Held >= 0, a receivable Posted <= 0 and Held = 0.
type Account struct {
	ID      AccountID
	Posted  Fen
	Held    Fen
	Version int64
}

// Available is what may still be held or spent.
func (a Account) Available() Fen { return a.Posted - a.Held }

// Debt is what a receivable stands at, as a positive amount.
func (a Account) Debt() Fen { return max(-a.Posted, 0) }

func (a Account) check() error {
	switch {
	case a.ID.purse() && (a.Available() < 0 || a.Held < 0):
		return fmt.Errorf("%s: %w", a.ID, ErrNoMoney)
	case strings.HasPrefix(string(a.ID), "receivable:") && (a.Posted > 0 || a.Held != 0):
		return fmt.Errorf("%s: %w", a.ID, ErrNoMoney)
	}
	return nil
}

// TransferKind is the part a transfer plays.
type TransferKind string

// Single moves at once. Pending is a hold: it reserves and moves nothing. Post
// captures a part of a hold and releases the rest; Void releases all of it.
const (
	Single  TransferKind = "single"
	Pending TransferKind = "pending"
	Post    TransferKind = "post"
	Void    TransferKind = "void"
)

// Purpose says what a transfer is for; an order has at most one of each purpose
// but refunds, which are told apart by their key.
type Purpose string

// The purposes.
const (
	ForHold        Purpose = "hold"
	ForCapture     Purpose = "capture"
	ForRelease     Purpose = "release"
	ForDebt        Purpose = "debt"
	ForDebtPayment Purpose = "debt_payment"
	ForTopUp       Purpose = "topup"
	ForRefund      Purpose = "refund"
	ForPrepay      Purpose = "prepay"      // a rider's money for one order comes in
	ForCollected   Purpose = "collected"   // a Pay Score order's money comes in
	ForPayback     Purpose = "payback"     // a rider's money goes back to where it came from: a hold until it is there
	ForCredit      Purpose = "credit"      // what cannot go back to its payer goes to their wallet
	ForUncollected Purpose = "uncollected" // what Pay Score will not bring in any more becomes a debt
	ForPass        Purpose = "pass"        // a rider buys a pass of their wallet
	ForForfeit     Purpose = "forfeit"     // what an erased rider gave up, or was given and cannot withdraw
	ForKept        Purpose = "kept"        // a payback that failed: the hold is released
)

// Transfer is one row of the ledger; rows are only ever inserted.
type Transfer struct {
	ID      string // UUIDv7
	Kind    TransferKind
	Debit   AccountID
	Credit  AccountID
	Amount  Fen // > 0; of a Void the whole hold
	Purpose Purpose
	Order   string // "" = none
	Hold    string // the Pending transfer that a Post or Void resolves
	Key     string // tells several refunds or top-ups apart; "" otherwise
}

// Book applies transfers to the balances of one decision. Only accounts with a
// limit are in it; the rest need none.
type Book struct {
	accounts map[AccountID]Account
	changed  map[AccountID]bool
	posted   []Transfer
}

// NewBook opens a book on loaded balances; an account that is missing stands at
// zero and is new.
func NewBook(loaded ...Account) *Book {
	b := &Book{accounts: map[AccountID]Account{}, changed: map[AccountID]bool{}}
	for _, a := range loaded {
		b.accounts[a.ID] = a
	}
	return b
}

// Account returns the balance as it stands now.
func (b *Book) Account(id AccountID) Account {
	if a, ok := b.accounts[id]; ok {
		return a
	}
	return Account{ID: id}
}

// Move posts a transfer. hold is the Pending transfer that t resolves, nil for
// the other kinds. On an error nothing has changed.
func (b *Book) Move(t Transfer, hold *Transfer) error {
	if t.Amount <= 0 {
		return fmt.Errorf("%s of %d fen: %w", t.Purpose, t.Amount, ErrBadAmount)
	}
	if t.Debit == t.Credit {
		return fmt.Errorf("%s: %w", t.Purpose, ErrSameParty)
	}
	debit, credit := b.Account(t.Debit), b.Account(t.Credit)
	switch t.Kind {
	case Single:
		debit.Posted -= t.Amount
		credit.Posted += t.Amount
	case Pending:
		debit.Held += t.Amount
	case Post, Void:
		if hold == nil || hold.Kind != Pending || hold.ID != t.Hold || hold.Debit != t.Debit || hold.Credit != t.Credit {
			return fmt.Errorf("%s: %w", t.Purpose, ErrNotAHold)
		}
		if slices.ContainsFunc(b.posted, func(p Transfer) bool { return p.Hold == t.Hold }) {
			// Another hold of the same wallet would pay for it. Across decisions the
			// store's unique index sees to this.
			return fmt.Errorf("%s: the hold is resolved already: %w", t.Purpose, ErrNotAHold)
		}
		if t.Amount > hold.Amount || t.Kind == Void && t.Amount != hold.Amount {
			return fmt.Errorf("%s of %d fen on a hold of %d: %w", t.Purpose, t.Amount, hold.Amount, ErrOverHold)
		}
		debit.Held -= hold.Amount
		if t.Kind == Post {
			debit.Posted -= t.Amount
			credit.Posted += t.Amount
		}
	default:
		return fmt.Errorf("transfer kind %q: %w", t.Kind, ErrNotAHold)
	}
	for _, a := range []Account{debit, credit} {
		if err := a.check(); err != nil {
			return fmt.Errorf("%s: %w", t.Purpose, err)
		}
	}
	for _, a := range []Account{debit, credit} {
		if a.ID.Limited() {
			b.accounts[a.ID] = a
			b.changed[a.ID] = true
		}
	}
	b.posted = append(b.posted, t)
	return nil
}

// Touch marks an account as changed though nothing moves, so that of two decisions
// about its owner one sees the other.
func (b *Book) Touch(id AccountID) {
	b.accounts[id] = b.Account(id)
	b.changed[id] = true
}

// Changes returns what was moved: the transfers in order, and each touched
// balance in its new state with the version that was loaded, sorted by id.
func (b *Book) Changes() ([]Transfer, []Account) {
	var accounts []Account
	for id := range b.changed {
		accounts = append(accounts, b.accounts[id])
	}
	slices.SortFunc(accounts, func(a, b Account) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return b.posted, accounts
}
