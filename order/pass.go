package order

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// PassRow is one version of a pass with where it counts. The newest version of an
// id is the one on offer; held passes keep theirs.
type PassRow struct {
	Pass   billing.Pass
	Venue  string
	Kind   device.Kind
	Group  string // "" = anybody may buy it
	OnSale bool
}

// CheckPass returns a billing.ErrBadTariff that says why a pass cannot be offered.
func CheckPass(p PassRow) error {
	if k, known := kinds[p.Kind]; !known || k.prices(billing.Tariff{TimeRule: &billing.TimeRule{}}) != nil {
		return fmt.Errorf("%w: a pass is for what is billed by time, and %q is not", billing.ErrBadTariff, p.Kind)
	}
	return p.Pass.Check()
}

// HeldPass is a pass that a rider bought or was given. Only Drawn and Revoked ever
// change.
type HeldPass struct {
	ID      string
	Rider   string
	Venue   string
	Kind    device.Kind
	Pass    billing.Pass
	From    time.Time
	Until   time.Time // From and Until bound the start of a use
	Drawn   int64     // ms of the budget that uses have taken
	Revoked time.Time // zero: it was not
	By      string    // "rider {id}" or "staff {id}"
	At      time.Time // when it was bought
	Version int64
}

// Left is what the budget still has, ms.
func (h HeldPass) Left() int64 { return max(h.Pass.BudgetMS-h.Drawn, 0) }

// helps tells whether a use of a kind at a venue that starts now would meet it.
func (h HeldPass) helps(venue string, kind device.Kind, now time.Time) bool {
	return h.Venue == venue && h.Kind == kind && h.Revoked.IsZero() && !now.Before(h.From) && now.Before(h.Until) &&
		(h.Pass.UnlockFree || h.Pass.RideFreeMS > 0 || h.Left() > 0)
}

// Use is what the pass takes off a use now; nil of none.
func (h *HeldPass) Use() *billing.PassUse {
	if h == nil {
		return nil
	}
	u := &billing.PassUse{Held: h.ID, Name: h.Pass.Name, PassTerms: h.Pass.PassTerms}
	u.BudgetMS = h.Left()
	return u
}

// ChoosePass returns which of a rider's passes a use that starts now meets: the one
// that ends first. nil: none.
func ChoosePass(held []HeldPass, venue string, kind device.Kind, now time.Time) *HeldPass {
	var first *HeldPass
	for i, h := range held {
		if h.helps(venue, kind, now) && (first == nil || cmp.Or(h.Until.Compare(first.Until), cmp.Compare(h.ID, first.ID)) < 0) {
			first = &held[i]
		}
	}
	return first
}

// passOf is what an order's pass would take off now; nil without one. It stays with
// the order when its days are over during the use.
func (t *turn) passOf(o *Order) *billing.PassUse {
	return t.passes[o.Pass].Use()
}

// draw takes what a use needs of its pass's budget, and notes it in the usage.
func (t *turn) draw(o *Order, u *billing.Usage) {
	h := t.passes[o.Pass]
	if h == nil || u.Pass == nil {
		return
	}
	if u.Pass.Drawn = o.Tariff.Drawn(*u); u.Pass.Drawn > 0 {
		h.Drawn += u.Pass.Drawn
		t.dirty["pass/"+h.ID] = true
	}
}

// drawLess gives back what a use that was proved shorter did not need of its pass's
// budget.
func (t *turn) drawLess(o *Order, proved billing.Usage) {
	h := t.passes[o.Pass]
	if h == nil || o.Usage.Pass == nil {
		return
	}
	less := o.Usage.Pass.Drawn - o.Tariff.Drawn(proved)
	if less <= 0 {
		return
	}
	usage, pass := *o.Usage, *o.Usage.Pass
	pass.Drawn -= less
	usage.Pass, o.Usage = &pass, &usage
	t.touchOrder(o)
	h.Drawn -= less
	t.dirty["pass/"+h.ID] = true
}

// hand gives a rider a pass. One of the same sort that they hold is extended: the new
// one begins where it ends.
func (t *turn) hand(rider string, row PassRow, by string) (*HeldPass, error) {
	id, err := t.env.newID(t.now)
	if err != nil {
		return nil, err
	}
	from := t.now
	for _, h := range t.passes {
		if h.Rider == rider && h.Pass.ID == row.Pass.ID && h.Revoked.IsZero() && h.Until.After(from) {
			from = h.Until
		}
	}
	h := &HeldPass{ID: id, Rider: rider, Venue: row.Venue, Kind: row.Kind, Pass: row.Pass, From: from,
		Until: from.Add(time.Duration(row.Pass.Days) * 24 * time.Hour), By: by, At: t.now}
	t.passes[id] = h
	t.dirty["pass/"+id] = true
	return h, nil
}

// mostPasses bounds how many passes a rider may hold that are not over.
const mostPasses = 24

// BuyPass buys a pass of a rider's wallet.
type BuyPass struct {
	Rider  string
	Pass   string // id of what is on offer
	Price  billing.Fen
	Key    KeyRef
	Route  string
	Hash   [32]byte
	Answer func(HeldPass) (status int, body []byte, err error)
}

// Query names what BuyPass must see.
func (b BuyPass) Query() Query { return Query{Rider: b.Rider, Key: &b.Key, Pass: b.Pass} }

// Decide takes the money and hands the pass out. ErrPassUnknown: it is not on offer to
// this rider; ErrPassPrice: it costs another amount by now; ErrNoMoney, ErrDebt.
func (b BuyPass) Decide(s Snapshot, env Env) (Changes, Placed, error) {
	return keyed(s, env, b.Key, b.Route, b.Hash, func(t *turn) (func() (int, []byte, error), error) {
		row := s.Offer
		switch {
		case s.Rider == nil:
			return nil, ErrNotFound
		case s.Rider.Erased:
			return nil, ErrRiderErased
		case s.Rider.Blocked:
			return nil, ErrRiderBlocked
		case row == nil || !row.OnSale || row.Group != "" && row.Group != s.Rider.Group:
			return nil, ErrPassUnknown
		case row.Pass.Price != b.Price:
			return nil, fmt.Errorf("%w: %v yuan", ErrPassPrice, row.Pass.Price)
		case t.book.Account(billing.Receivable(b.Rider)).Debt() > 0, t.overdue(b.Rider):
			return nil, ErrDebt
		case t.book.Account(billing.Wallet(b.Rider)).Available() < row.Pass.Price:
			return nil, ErrNoMoney
		case len(t.passes) >= mostPasses:
			return nil, ErrPassMany
		}
		h, err := t.hand(b.Rider, *row, b.Key.Principal)
		if err != nil {
			return nil, err
		}
		if row.Pass.Price > 0 {
			if err := t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.Wallet(b.Rider), Credit: billing.Revenue,
				Amount: row.Pass.Price, Purpose: billing.ForPass, Key: h.ID}, nil); err != nil {
				return nil, err
			}
		}
		return func() (int, []byte, error) { return b.Answer(*h) }, nil
	})
}

// GrantPass is staff giving a rider a pass for nothing, whatever its price and group.
type GrantPass struct {
	Rider string
	Pass  string
	Staff Audit
}

// Query names what GrantPass must see.
func (g GrantPass) Query() Query { return Query{Rider: g.Rider, Pass: g.Pass} }

// Decide hands the pass out. ErrReason, ErrNotFound, ErrPassUnknown.
func (g GrantPass) Decide(s Snapshot, env Env) (Changes, HeldPass, error) {
	fail := func(err error) (Changes, HeldPass, error) { return Changes{}, HeldPass{}, err }
	switch {
	case g.Staff.Reason == "":
		return fail(ErrReason)
	case s.Rider == nil:
		return fail(ErrNotFound)
	case s.Rider.Erased:
		return fail(ErrRiderErased)
	case s.Offer == nil:
		return fail(ErrPassUnknown)
	case len(s.Passes) >= mostPasses:
		return fail(ErrPassMany)
	}
	t := newTurn(s, env)
	h, err := t.hand(g.Rider, *s.Offer, "staff "+g.Staff.Staff)
	if err != nil {
		return fail(err)
	}
	after, _ := json.Marshal(map[string]any{"pass": h.Pass.String(), "held": h.ID, "until": h.Until})
	if err := t.audit(g.Staff, "rider "+g.Rider, nil, after); err != nil {
		return fail(err)
	}
	return t.changes(), *h, nil
}

// RevokePass is staff ending a held pass. Uses that met it keep it; money goes back
// by a top-up of staff, if it does.
type RevokePass struct {
	Rider string
	Held  string
	Staff Audit
}

// Query names what RevokePass must see.
func (r RevokePass) Query() Query { return Query{Rider: r.Rider} }

// Decide ends it. ErrPassUnknown: the rider holds none of that id that is not over.
func (r RevokePass) Decide(s Snapshot, env Env) (Changes, HeldPass, error) {
	if r.Staff.Reason == "" {
		return Changes{}, HeldPass{}, ErrReason
	}
	t := newTurn(s, env)
	h := t.passes[r.Held]
	if h == nil || h.Rider != r.Rider || !h.Revoked.IsZero() {
		return Changes{}, HeldPass{}, ErrPassUnknown
	}
	h.Revoked = t.now
	t.dirty["pass/"+h.ID] = true
	after, _ := json.Marshal(map[string]any{"pass": h.Pass.String(), "held": h.ID})
	if err := t.audit(r.Staff, "rider "+r.Rider, after, nil); err != nil {
		return Changes{}, HeldPass{}, err
	}
	return t.changes(), *h, nil
}

// BuyPass runs the use case of that name.
func (s *Service) BuyPass(ctx context.Context, b BuyPass) (Placed, error) {
	return run(ctx, s, UseCase[Placed](b))
}

// GrantPass runs the use case of that name.
func (s *Service) GrantPass(ctx context.Context, g GrantPass) (HeldPass, error) {
	return run(ctx, s, UseCase[HeldPass](g))
}

// RevokePass runs the use case of that name.
func (s *Service) RevokePass(ctx context.Context, r RevokePass) (HeldPass, error) {
	return run(ctx, s, UseCase[HeldPass](r))
}

// changedPasses are the turn's, in the order of their ids.
func (t *turn) changedPasses() []HeldPass {
	var all []HeldPass
	for id, h := range t.passes {
		if t.dirty["pass/"+id] {
			all = append(all, *h)
		}
	}
	slices.SortFunc(all, func(a, b HeldPass) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
