package billing

import "fmt"

// Pass is what a rider buys for a while instead of paying each ride in full: one
// version of it, as pinned in the pass that a rider holds. Neither version nor held
// pass ever changes its terms.
type Pass struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Name    string `json:"name"`
	Price   Fen    `json:"price_fen"` // 0 = given away
	Days    int    `json:"days"`      // how long it is valid, 1 to 366 times 24 hours
	PassTerms
}

// PassTerms is what a pass takes off a use that is billed by time. At least one of
// them does.
type PassTerms struct {
	UnlockFree bool  `json:"unlock_free,omitempty"`  // no unlock fee
	RideFreeMS int64 `json:"ride_free_ms,omitempty"` // of each ride, after the tariff's own free time
	BudgetMS   int64 `json:"budget_ms,omitempty"`    // in all, over the days; each ride takes of it what RideFreeMS left
}

// PassUse is a held pass as one use met it. It is part of the Usage, so that the
// quote can be computed again: BudgetMS is what was left of it then.
type PassUse struct {
	Held string `json:"held"` // id of the pass that the rider holds
	Name string `json:"name"`
	PassTerms
	Drawn int64 `json:"drawn_ms"` // what the use took of the budget; no quote depends on it
}

// LinePass is what a pass takes off.
const LinePass LineKind = "pass"

// maxPassDays and the like bound what a pass may name.
const (
	maxPassDays = 366
	maxRideFree = 24 * 3600_000
	maxBudget   = maxPassDays * maxRideFree
)

// Check returns an ErrBadTariff that names the first term that cannot be meant.
func (p Pass) Check() error {
	switch {
	case p.Price < 0 || p.Price > maxAmount:
		return bad("price_fen must be 0 to 2^53")
	case p.Days < 1 || p.Days > maxPassDays:
		return bad("days must be 1 to %d", maxPassDays)
	case p.RideFreeMS < 0 || p.RideFreeMS > maxRideFree:
		return bad("ride_free_ms must be 0 to 24 hours")
	case p.BudgetMS < 0 || p.BudgetMS > maxBudget:
		return bad("budget_ms must be 0 to %d days", maxPassDays)
	case p.PassTerms == PassTerms{}:
		return bad("a pass that takes nothing off: set unlock_free, ride_free_ms or budget_ms")
	}
	return nil
}

// least is what a rider with the pass must be able to pay before a use starts: the
// unlock fee unless the pass pays it, and the first block unless the pass has time.
func (u *PassUse) least(t *TimeRule) Fen {
	var l Fen
	if u == nil || !u.UnlockFree {
		l += t.UnlockFee
	}
	if u == nil || u.RideFreeMS+u.BudgetMS == 0 {
		l += t.BlockFee
	}
	return min(l, t.RideCap)
}

// paid is what a pass pays of a use: ride ms of the time that the use is billed for,
// and of what is left of that, budget ms. It draws no more than lowers the price, caps
// included: blocks that were begun are billed whole, and what a cap takes off anyway
// is worth nothing.
func (t *TimeRule) paid(u Usage) (ride, budget int64) {
	over := t.over(u)
	if u.Pass == nil || over == 0 {
		return 0, 0
	}
	ride = min(over, u.Pass.RideFreeMS)
	rest := over - ride
	most := min(rest, max(u.Pass.BudgetMS, 0))
	fewest, all := blocksOf(rest-most, t.BlockMS), blocksOf(rest, t.BlockMS)
	// The most blocks that cost as little as the fewest: the price rises with them.
	for low := fewest; low < all; {
		middle := low + (all-low+1)/2
		if t.price(u, middle) == t.price(u, fewest) {
			low = middle
		} else {
			all = middle - 1
		}
		fewest = low
	}
	if fewest == blocksOf(rest, t.BlockMS) {
		return ride, 0
	}
	return ride, max(rest-fewest*t.BlockMS, 0)
}

// price is what a use costs whose pass leaves so many blocks, caps included.
func (t *TimeRule) price(u Usage, blocks int64) Fen {
	total := t.timed(blocks)
	if !u.Pass.UnlockFree {
		total += t.UnlockFee
	}
	total += u.Reserved.Fen()
	total = min(total, t.RideCap)
	if t.DayCap > 0 {
		total = min(total, max(t.DayCap-max(u.DaySpent, 0), 0))
	}
	return total
}

// Drawn is how much of its pass's budget a use takes, ms.
func (t Tariff) Drawn(u Usage) int64 {
	if t.TimeRule == nil {
		return 0
	}
	_, budget := t.paid(u)
	return budget
}

// String names a pass's version.
func (p Pass) String() string { return fmt.Sprintf("%s@%d", p.ID, p.Version) }
