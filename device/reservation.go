package device

import "time"

// Reservation says for whom an outlet is kept. It lapses by the clock, with nobody to
// take it away; the zero value is none.
type Reservation struct {
	ID    string
	Rider string
	Until time.Time
}

// Holds tells whether the outlet is kept for somebody at a moment.
func (r Reservation) Holds(now time.Time) bool { return r.ID != "" && now.Before(r.Until) }

// HoldsFor tells whether it is kept for this rider.
func (r Reservation) HoldsFor(rider string, now time.Time) bool {
	return r.Holds(now) && r.Rider == rider
}

// HoldsAgainst tells whether it is kept for another one.
func (r Reservation) HoldsAgainst(rider string, now time.Time) bool {
	return r.Holds(now) && r.Rider != rider
}
