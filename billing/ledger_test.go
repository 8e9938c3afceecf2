package billing_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
)

const rider = "r1"

var wallet, receivable = billing.Wallet(rider), billing.Receivable(rider)

func hold(id string, amount billing.Fen) billing.Transfer {
	return billing.Transfer{ID: id, Kind: billing.Pending, Debit: wallet, Credit: billing.Revenue, Amount: amount, Purpose: billing.ForHold}
}

func resolve(kind billing.TransferKind, h billing.Transfer, amount billing.Fen) billing.Transfer {
	return billing.Transfer{ID: h.ID + "-" + string(kind), Kind: kind, Debit: h.Debit, Credit: h.Credit, Amount: amount, Hold: h.ID, Purpose: billing.ForCapture}
}

func single(debit, credit billing.AccountID, amount billing.Fen) billing.Transfer {
	return billing.Transfer{ID: "s", Kind: billing.Single, Debit: debit, Credit: credit, Amount: amount, Purpose: billing.ForTopUp}
}

func TestABookRefusesWhatTheLedgerForbids(t *testing.T) {
	h, other := hold("h", 300), hold("other", 300)
	loaded := []billing.Account{{ID: wallet, Posted: 500, Held: 300, Version: 4}, {ID: receivable, Posted: -50, Version: 2}}
	for _, c := range []struct {
		name string
		move billing.Transfer
		hold *billing.Transfer
		want error
	}{
		{"zero", single(billing.TopUps, wallet, 0), nil, billing.ErrBadAmount},
		{"a negative amount", single(billing.TopUps, wallet, -5), nil, billing.ErrBadAmount},
		{"an account to itself", single(wallet, wallet, 5), nil, billing.ErrSameParty},
		{"more than is free", single(wallet, billing.Revenue, 201), nil, billing.ErrNoMoney},
		{"a hold of more than is free", hold("h2", 201), nil, billing.ErrNoMoney},
		{"an unknown kind", billing.Transfer{Kind: "gift", Debit: wallet, Credit: billing.Revenue, Amount: 1}, nil, billing.ErrNotAHold},
		{"no kind", billing.Transfer{Debit: wallet, Credit: billing.Revenue, Amount: 1}, nil, billing.ErrNotAHold},
		{"a capture without its hold", resolve(billing.Post, h, 300), nil, billing.ErrNotAHold},
		{"a capture of another hold", resolve(billing.Post, h, 300), &other, billing.ErrNotAHold},
		{"a capture to another account", billing.Transfer{Kind: billing.Post, Debit: wallet, Credit: billing.TopUps, Amount: 1, Hold: "h"}, &h, billing.ErrNotAHold},
		{"a capture above the hold", resolve(billing.Post, h, 301), &h, billing.ErrOverHold},
		{"a release of a part", resolve(billing.Void, h, 299), &h, billing.ErrOverHold},
		{"a debt paid beyond what is owed", single(wallet, receivable, 51), nil, billing.ErrNoMoney},
		{"a hold on a receivable", billing.Transfer{Kind: billing.Pending, Debit: receivable, Credit: billing.Revenue, Amount: 1}, nil, billing.ErrNoMoney},
		{"a top-up that no balance can show", single(billing.TopUps, wallet, math.MaxInt64), nil, billing.ErrNoMoney},
		{"a debt that no balance can show", single(receivable, billing.Revenue, math.MaxInt64), nil, billing.ErrNoMoney},
	} {
		b := billing.NewBook(loaded...)
		if err := b.Move(c.move, c.hold); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if transfers, accounts := b.Changes(); len(transfers) != 0 || len(accounts) != 0 {
			t.Errorf("%s: refused and yet it changed %v, %v", c.name, transfers, accounts)
		}
	}
}

func TestAHoldResolvesOnce(t *testing.T) {
	for _, first := range []billing.TransferKind{billing.Post, billing.Void} {
		for _, second := range []billing.TransferKind{billing.Post, billing.Void} {
			h := hold("h", 300)
			// A second hold of the same wallet must not pay for the first one twice.
			b := billing.NewBook(billing.Account{ID: wallet, Posted: 1000, Held: 600})
			if err := b.Move(resolve(first, h, 300), &h); err != nil {
				t.Fatalf("%s: %v", first, err)
			}
			before := b.Account(wallet)
			if err := b.Move(resolve(second, h, 300), &h); !errors.Is(err, billing.ErrNotAHold) {
				t.Errorf("%s after %s: got %v, want ErrNotAHold", second, first, err)
			}
			if after := b.Account(wallet); after != before {
				t.Errorf("%s after %s moved the wallet from %+v to %+v", second, first, before, after)
			}
		}
	}
}

func TestACaptureReleasesTheRest(t *testing.T) {
	h := hold("h", 300)
	b := billing.NewBook(billing.Account{ID: wallet, Posted: 500, Version: 7})
	if err := errors.Join(b.Move(h, nil), b.Move(resolve(billing.Post, h, 120), &h)); err != nil {
		t.Fatal(err)
	}
	transfers, accounts := b.Changes()
	if want := []billing.Account{{ID: wallet, Posted: 380, Version: 7}}; !cmp.Equal(want, accounts) {
		t.Errorf("accounts: got %+v, want %+v", accounts, want)
	}
	if len(transfers) != 2 {
		t.Errorf("transfers: got %d, want 2", len(transfers))
	}
}

// ledger is a Book under test beside a model that a child could check: what was
// put in, taken out and is held, per account, in big steps.
type ledger struct {
	book    *billing.Book
	posted  map[billing.AccountID]billing.Fen // of every account, limited or not
	open    map[string]billing.Transfer
	held    billing.Fen
	gone    map[string]billing.Transfer
	all     []billing.Transfer
	counter int
}

func (l *ledger) id() string {
	l.counter++
	return fmt.Sprint("t", l.counter)
}

// move posts and, on success, books the same in the model.
func (l *ledger) move(t *rapid.T, m billing.Transfer, h *billing.Transfer, allowed bool) {
	m.ID = l.id()
	before := l.book.Account(wallet)
	err := l.book.Move(m, h)
	if (err == nil) != allowed {
		t.Fatalf("%s of %d from %s to %s with wallet %+v: got %v, want allowed %v", m.Kind, m.Amount, m.Debit, m.Credit, before, err, allowed)
	}
	if err != nil {
		return
	}
	l.all = append(l.all, m)
	switch m.Kind {
	case billing.Pending:
		l.open[m.ID] = m
		l.held += m.Amount
		return
	case billing.Post, billing.Void:
		delete(l.open, m.Hold)
		l.gone[m.Hold] = *h
		l.held -= h.Amount
		if m.Kind == billing.Void {
			return
		}
	}
	l.posted[m.Debit] -= m.Amount
	l.posted[m.Credit] += m.Amount
}

func anyHold(t *rapid.T, from map[string]billing.Transfer) *billing.Transfer {
	if len(from) == 0 {
		t.Skip("no such hold")
	}
	var ids []string
	for i := range 10_000 {
		if _, ok := from[fmt.Sprint("t", i)]; ok {
			ids = append(ids, fmt.Sprint("t", i))
		}
		if len(ids) == len(from) {
			break
		}
	}
	h := from[rapid.SampledFrom(ids).Draw(t, "hold")]
	return &h
}

func TestTheBookAgreesWithAChildsLedger(t *testing.T) {
	amount := rapid.Map(rapid.Int64Range(-2, 500), func(n int64) billing.Fen { return billing.Fen(n) })
	rapid.Check(t, func(t *rapid.T) {
		l := &ledger{book: billing.NewBook(), posted: map[billing.AccountID]billing.Fen{}, open: map[string]billing.Transfer{},
			gone: map[string]billing.Transfer{}}
		free := func() billing.Fen { return l.posted[wallet] - l.held }
		t.Repeat(map[string]func(*rapid.T){
			"top up": func(t *rapid.T) {
				a := amount.Draw(t, "fen")
				l.move(t, single(billing.TopUps, wallet, a), nil, a > 0)
			},
			"hold": func(t *rapid.T) {
				a := amount.Draw(t, "fen")
				l.move(t, hold("", a), nil, a > 0 && a <= free())
			},
			"capture": func(t *rapid.T) {
				h, a := anyHold(t, l.open), amount.Draw(t, "fen")
				l.move(t, resolve(billing.Post, *h, a), h, a > 0 && a <= h.Amount)
			},
			"release": func(t *rapid.T) {
				h := anyHold(t, l.open)
				l.move(t, resolve(billing.Void, *h, h.Amount), h, true)
			},
			"resolve again": func(t *rapid.T) {
				h := anyHold(t, l.gone)
				l.move(t, resolve(rapid.SampledFrom([]billing.TransferKind{billing.Post, billing.Void}).Draw(t, "kind"), *h, h.Amount), h, false)
			},
			"owe": func(t *rapid.T) {
				a := amount.Draw(t, "fen")
				l.move(t, single(receivable, billing.Revenue, a), nil, a > 0)
			},
			"pay a debt": func(t *rapid.T) {
				a := amount.Draw(t, "fen")
				l.move(t, single(wallet, receivable, a), nil, a > 0 && a <= free() && a <= -l.posted[receivable])
			},
			"refund": func(t *rapid.T) {
				a := amount.Draw(t, "fen")
				l.move(t, single(billing.Revenue, wallet, a), nil, a > 0)
			},
			"": func(t *rapid.T) {
				w, r := l.book.Account(wallet), l.book.Account(receivable)
				if w.Posted != l.posted[wallet] || w.Held != l.held || r.Posted != l.posted[receivable] || r.Held != 0 {
					t.Fatalf("book: wallet %+v, receivable %+v; model: %d posted, %d held, %d owed", w, r, l.posted[wallet], l.held, l.posted[receivable])
				}
				if w.Available() < 0 || w.Held < 0 || r.Posted > 0 || r.Debt() != -r.Posted {
					t.Fatalf("past a limit: wallet %+v, receivable %+v", w, r)
				}
				var sum billing.Fen
				for _, fen := range l.posted {
					sum += fen
				}
				if sum != 0 {
					t.Fatalf("all accounts come to %d, want 0", sum)
				}
				transfers, accounts := l.book.Changes()
				if diff := cmp.Diff(l.all, transfers); diff != "" {
					t.Fatalf("transfers (-model +book):\n%s", diff)
				}
				for i, a := range accounts {
					if !a.ID.Limited() || i > 0 && strings.Compare(string(accounts[i-1].ID), string(a.ID)) >= 0 {
						t.Fatalf("balances are not the limited accounts in order: %+v", accounts)
					}
				}
			},
		})
	})
}

func TestOnlyRidersAccountsHaveALimit(t *testing.T) {
	for id, want := range map[billing.AccountID]bool{wallet: true, receivable: true, billing.Revenue: false, billing.TopUps: false, "": false} {
		if got := id.Limited(); got != want {
			t.Errorf("%q: got %v, want %v", id, got, want)
		}
	}
}
