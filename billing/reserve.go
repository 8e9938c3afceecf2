package billing

import "time"

// Reserved is what a reservation costs the use that it ended in: each minute that was
// begun beyond its free ones, at the price that was told when it was made. One that
// nobody used costs nothing.
type Reserved struct {
	Minutes int64 `json:"minutes"`
	Fee     Fen   `json:"minute_fen"` // of one
}

// LineReservation is Reserved on a receipt; it counts towards the ride's cap and the
// day's.
const LineReservation LineKind = "reservation"

// What a tariff by time says of reservations where it says nothing.
const (
	reserveFree = 5  // minutes
	reserveMost = 10 // minutes
)

// Reserving is what a tariff offers.
type Reserving struct {
	Free time.Duration // before it costs anything
	Most time.Duration // for which it is held
	Fee  Fen           // of each minute begun between them
}

// Reserving returns what the tariff offers of reservations; false: none.
func (t Tariff) Reserving() (Reserving, bool) {
	r := t.TimeRule
	if r == nil || r.ReserveMost < 0 {
		return Reserving{}, false
	}
	minutes := func(v, normally int64) time.Duration {
		if v == 0 {
			v = normally
		}
		return time.Duration(max(v, 0)) * time.Minute
	}
	most := minutes(r.ReserveMost, reserveMost)
	return Reserving{Free: min(minutes(r.ReserveFree, reserveFree), most), Most: most, Fee: r.ReserveFee}, true
}

// Begun counts the minutes that a reservation is billed for when it is used at a moment.
func Begun(freeUntil, used time.Time) int64 {
	return blocksOf(used.Sub(freeUntil).Milliseconds(), time.Minute.Milliseconds())
}

// Fen is what it comes to, cut as any line is; of nil nothing.
func (r *Reserved) Fen() Fen {
	if r == nil {
		return 0
	}
	return min(r.Fee.times(max(r.Minutes, 0)), maxAmount)
}
