package billing

import (
	"cmp"
	"slices"
)

// Past is an order that was settled, as a replay needs it. Rider and Day are those
// of the order; Done orders the rides of a day, since the day's cap counts what
// was paid before.
type Past struct {
	Order string
	Rider string
	Day   string // 2006-01-02, in the venue's time zone
	Done  int64  // unix µs
	Usage Usage
	Total Fen // as billed, before refunds
	// Aside: it is not priced again, and only fills the day's cap with what it cost.
	Aside bool
}

// Change is what an order would have cost.
type Change struct {
	Past
	Draft Fen
}

// Replay is what a draft tariff would have made of past orders.
type Replay struct {
	Orders     int // that were priced again
	Kept       int // besides: staff decided their bill, which no tariff changes
	Strange    int // besides: of a grade that the draft does not price
	Was, Would Fen // sums over Orders
	Dearer     int // orders that would cost more, and by how much in all
	Cheaper    int
	More, Less Fen
	Riders     int // whose sum changes
	Days       []DayChange
	Biggest    []Change // at most 20, by how far they differ, the dearer first
}

// DayChange is one day of a replay.
type DayChange struct {
	Day        string
	Orders     int
	Was, Would Fen
}

// biggest is how many single orders a replay names.
const biggest = 20

// ReplayOf prices past orders by a draft, in the order in which they were settled.
// What was measured stays: times, litres, and what a pass took off. The day's cap is
// filled by the draft's own prices. Fuel is priced by its litres: what a pump would
// have stopped at under another price nobody knows.
func (t Tariff) ReplayOf(past []Past) Replay {
	past = slices.Clone(past)
	slices.SortFunc(past, func(a, b Past) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Done, b.Done), cmp.Compare(a.Order, b.Order))
	})
	var r Replay
	spent, differ := map[string]Fen{}, map[string]Fen{}
	day := ""
	for _, p := range past {
		if p.Day != day {
			day = p.Day
			clear(spent)
		}
		if p.Aside {
			spent[p.Rider] += p.Total
			continue
		}
		if p.Usage.Decided != nil {
			r.Kept++
			spent[p.Rider] += p.Total
			continue
		}
		u, ok := t.again(p.Usage)
		if !ok {
			r.Strange++
			spent[p.Rider] += p.Total
			continue
		}
		if n := len(r.Days); n == 0 || r.Days[n-1].Day != p.Day {
			r.Days = append(r.Days, DayChange{Day: p.Day})
		}
		u.DaySpent = spent[p.Rider]
		c := Change{Past: p, Draft: t.Quote(u).Total}
		spent[p.Rider] += c.Draft
		differ[p.Rider] += c.Draft - p.Total
		r.add(c)
	}
	for _, d := range differ {
		if d != 0 {
			r.Riders++
		}
	}
	return r
}

// again is a usage as the tariff would have met it; false where it has no price.
func (t Tariff) again(u Usage) (Usage, bool) {
	if u.Fuel == nil {
		return u, t.FuelRule == nil
	}
	g, ok := t.FuelRule.Grade(u.Fuel.Grade)
	if !ok {
		return u, false
	}
	f := *u.Fuel
	f.Fen = Price(f.Millilitres, g.UnitPrice)
	f.Limit = maxAmount
	u.Fuel = &f
	return u, true
}

func (r *Replay) add(c Change) {
	day := &r.Days[len(r.Days)-1]
	r.Orders++
	day.Orders++
	r.Was += c.Total
	r.Would += c.Draft
	day.Was += c.Total
	day.Would += c.Draft
	switch d := c.Draft - c.Total; {
	case d > 0:
		r.Dearer++
		r.More += d
	case d < 0:
		r.Cheaper++
		r.Less -= d
	default:
		return
	}
	far := func(c Change) Fen { return max(c.Draft-c.Total, c.Total-c.Draft) }
	at, _ := slices.BinarySearchFunc(r.Biggest, c, func(a, b Change) int {
		return cmp.Or(-cmp.Compare(far(a), far(b)), -cmp.Compare(a.Draft-a.Total, b.Draft-b.Total), cmp.Compare(a.Order, b.Order))
	})
	if r.Biggest = slices.Insert(r.Biggest, at, c); len(r.Biggest) > biggest {
		r.Biggest = r.Biggest[:biggest]
	}
}
