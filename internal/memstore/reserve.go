package memstore

import (
	"cmp"
	"slices"

	"github.com/unlatch/unlatch/order"
)

func (s *Store) loadReservations(snap *order.Snapshot, q order.Query) {
	if q.Rider == "" {
		return
	}
	snap.Unused = map[string]int{}
	for _, r := range s.reserved {
		if r.ID == q.Reservation || r.Rider == q.Rider && r.State == order.ReservationHeld {
			snap.Reservations = append(snap.Reservations, r)
		}
		if r.Rider == q.Rider && (r.State != order.ReservationUsed || s.orders[r.Order].State == order.Voided) {
			snap.Unused[r.Day]++
		}
	}
	slices.SortFunc(snap.Reservations, func(a, b order.Reservation) int { return cmp.Compare(a.ID, b.ID) })
}

func (s *Store) applyReservations(c order.Changes) {
	for _, r := range c.Reservations {
		r.Version++
		s.reserved[r.ID] = r
	}
}

// staleReservations replaces rows one by one, as the statements of Postgres do: the one
// that makes room comes first.
func (s *Store) staleReservations(c order.Changes) string {
	open := map[string]string{}
	for _, r := range s.reserved {
		if r.State == order.ReservationHeld {
			open[r.Rider] = r.ID
		}
	}
	for _, r := range c.Reservations {
		if s.reserved[r.ID].Version != r.Version {
			return "reservation"
		}
		switch have := open[r.Rider]; {
		case r.State == order.ReservationHeld && have != "" && have != r.ID:
			return "reservations_one_open"
		case r.State == order.ReservationHeld:
			open[r.Rider] = r.ID
		case have == r.ID:
			delete(open, r.Rider)
		}
	}
	return ""
}

// Reservations returns all, by id.
func (s *Store) Reservations() []order.Reservation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []order.Reservation
	for _, r := range s.reserved {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b order.Reservation) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
