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

// meets tells whether a use of a kind at a venue that starts at a moment meets the
// pass. One that is revoked later stays with the use.
func (h HeldPass) meets(venue string, kind device.Kind, at time.Time) bool {
	return h.Venue == venue && h.Kind == kind && (h.Revoked.IsZero() || h.Revoked.After(at)) && !at.Before(h.From) && at.Before(h.Until)
}

// spent tells whether a pass of minutes has none left, so that the next one of its sort
// is wanted now and not when its days are over.
func (h HeldPass) spent() bool { return h.Pass.BudgetMS > 0 && h.Left() == 0 }

// Use is what the pass takes off a use now; nil of none.
func (h *HeldPass) Use() *billing.PassUse {
	if h == nil {
		return nil
	}
	u := &billing.PassUse{Held: h.ID, Name: h.Pass.Name, PassTerms: h.Pass.PassTerms}
	u.BudgetMS = h.Left()
	return u
}

// ChoosePass returns which of a rider's passes a use that starts now meets at first: the
// one that asks least of the wallet, of several the one that ends first. nil: none
// helps. What the use comes to is settled with the pass that makes it cheapest.
func ChoosePass(held []HeldPass, venue string, kind device.Kind, tariff billing.Tariff, now time.Time) *HeldPass {
	var best *HeldPass
	for i, h := range held {
		if !h.meets(venue, kind, now) || h.spent() && !h.Pass.UnlockFree && h.Pass.RideFreeMS == 0 {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(tariff.Least(h.Use()), tariff.Least(best.Use())), h.Until.Compare(best.Until), cmp.Compare(h.ID, best.ID)) < 0 {
			best = &held[i]
		}
	}
	return best
}

// passOf is what an order's pass would take off now; nil without one. It stays with
// the order when its days are over during the use.
func (t *turn) passOf(o *Order) *billing.PassUse {
	return t.passes[o.Pass].Use()
}

// draw settles a use with the pass that makes it cheapest, of those that its rider held
// when it began, and takes what it needs of that one's budget.
func (t *turn) draw(o *Order, u *billing.Usage) {
	if o.Pass == "" {
		return
	}
	var best *HeldPass
	var total billing.Fen
	for _, h := range t.passes {
		if h.Rider != o.Rider || !h.meets(o.Venue, o.Kind, o.CreatedAt) {
			continue
		}
		with := *u
		with.Pass = h.Use()
		cost := o.Tariff.Quote(with).Total
		if best == nil || cmp.Or(cmp.Compare(cost, total), h.Until.Compare(best.Until), cmp.Compare(h.ID, best.ID)) < 0 {
			best, total = h, cost
		}
	}
	if best == nil { // the row is gone, or of another rider: nothing is taken off
		return
	}
	o.Pass, u.Pass = best.ID, best.Use()
	if u.Pass.Drawn = o.Tariff.Drawn(*u); u.Pass.Drawn > 0 {
		best.Drawn += u.Pass.Drawn
		t.dirty["pass/"+best.ID] = true
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

// hand gives a rider a pass. One of the same sort that they hold, and that has not used up
// its minutes, is extended: the new one begins where it ends. The rider's wallet is
// touched, so that of two at once one sees the other.
func (t *turn) hand(rider string, row PassRow, by string) (*HeldPass, error) {
	id, err := t.env.newID(t.now)
	if err != nil {
		return nil, err
	}
	from := t.now
	for _, h := range t.passes {
		if h.Rider == rider && h.Pass.ID == row.Pass.ID && h.Venue == row.Venue && h.Kind == row.Kind && h.Revoked.IsZero() && !h.spent() &&
			h.Until.After(from) {
			from = h.Until
		}
	}
	h := &HeldPass{ID: id, Rider: rider, Venue: row.Venue, Kind: row.Kind, Pass: row.Pass, From: from,
		Until: from.Add(time.Duration(row.Pass.Days) * 24 * time.Hour), By: by, At: t.now}
	t.passes[id] = h
	t.dirty["pass/"+id] = true
	t.book.Touch(billing.Wallet(rider))
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
	Rider  string
	Pass   string
	Staff  Audit
	Key    KeyRef
	Route  string
	Hash   [32]byte
	Answer func(HeldPass) (status int, body []byte, err error)
}

// Query names what GrantPass must see.
func (g GrantPass) Query() Query { return Query{Rider: g.Rider, Key: &g.Key, Pass: g.Pass} }

// Decide hands the pass out. ErrReason, ErrNotFound, ErrPassUnknown, ErrPassMany.
func (g GrantPass) Decide(s Snapshot, env Env) (Changes, Placed, error) {
	return keyed(s, env, g.Key, g.Route, g.Hash, func(t *turn) (func() (int, []byte, error), error) {
		switch {
		case g.Staff.Reason == "":
			return nil, ErrReason
		case s.Rider == nil:
			return nil, ErrNotFound
		case s.Rider.Erased:
			return nil, ErrRiderErased
		case s.Offer == nil:
			return nil, ErrPassUnknown
		case len(s.Passes) >= mostPasses:
			return nil, ErrPassMany
		}
		h, err := t.hand(g.Rider, *s.Offer, "staff "+g.Staff.Staff)
		if err != nil {
			return nil, err
		}
		after, _ := json.Marshal(map[string]any{"pass": h.Pass.String(), "held": h.ID, "until": h.Until})
		if err := t.audit(g.Staff, "rider "+g.Rider, nil, after); err != nil {
			return nil, err
		}
		return func() (int, []byte, error) { return g.Answer(*h) }, nil
	})
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
func (s *Service) GrantPass(ctx context.Context, g GrantPass) (Placed, error) {
	return run(ctx, s, UseCase[Placed](g))
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
