package memstore

import (
	"cmp"
	"slices"

	"github.com/unlatch/unlatch/order"
)

// SeedPass puts a pass on offer.
func (s *Store) SeedPass(p order.PassRow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offers[p.Pass.ID] = p
}

// loadPasses adds the queried rider's passes that are not over, those that the
// snapshot's orders met, and what is on offer.
func (s *Store) loadPasses(snap *order.Snapshot, q order.Query) {
	met := func(h order.HeldPass) bool {
		return slices.ContainsFunc(snap.Orders, func(o order.Order) bool {
			return o.Pass == h.ID || o.Pass != "" && o.Rider == h.Rider && !o.CreatedAt.Before(h.From) && o.CreatedAt.Before(h.Until)
		})
	}
	for _, h := range s.held {
		if met(h) || h.Rider == q.Rider && h.Until.After(snap.Now) && h.Revoked.IsZero() {
			snap.Passes = append(snap.Passes, h)
		}
	}
	slices.SortFunc(snap.Passes, func(a, b order.HeldPass) int { return cmp.Compare(a.ID, b.ID) })
	if p, ok := s.offers[q.Pass]; ok {
		snap.Offer = &p
	}
}

func (s *Store) applyPasses(c order.Changes) {
	for _, h := range c.Passes {
		h.Version++
		s.held[h.ID] = h
	}
}

func (s *Store) stalePasses(c order.Changes) string {
	for _, h := range c.Passes {
		if s.held[h.ID].Version != h.Version {
			return "pass"
		}
	}
	return ""
}
