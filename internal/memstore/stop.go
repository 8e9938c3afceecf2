package memstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func (s *Store) applyStop(x order.Stop) {
	s.stops = append(s.stops, stop{Stop: x})
}

// BeginStop implements order.StopLog.
func (s *Store) BeginStop(_ context.Context, x order.Stop, a *order.Audit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.venues[x.Venue]; !ok {
		return order.ErrUnknown
	}
	s.applyStop(x)
	if a != nil {
		s.audits = append(s.audits, *a)
	}
	return nil
}

// Unstopped implements order.StopLog.
func (s *Store) Unstopped(_ context.Context, kinds []device.Kind, limit int) ([]order.Unstopped, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []order.Unstopped
	for i, x := range s.stops {
		if x.reached {
			continue
		}
		n, before := int64(i+1), len(left)
		for _, d := range s.devices {
			if d.Venue == x.Venue && slices.Contains(kinds, d.Kind) && d.Service != device.Retired && d.Told < n {
				left = append(left, order.Unstopped{Stop: n, Reason: x.Reason, Device: d.ID})
			}
		}
		if len(left) == before {
			left = append(left, order.Unstopped{Stop: n, Reason: x.Reason})
		}
	}
	slices.SortFunc(left, func(a, b order.Unstopped) int {
		return cmp.Or(cmp.Compare(a.Stop, b.Stop), cmp.Compare(a.Device, b.Device))
	})
	return left[:min(limit, len(left))], nil
}

// Reached implements order.StopLog.
func (s *Store) Reached(_ context.Context, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > 0 && n <= int64(len(s.stops)) {
		s.stops[n-1].reached = true
	}
	return nil
}

var _ order.StopLog = (*Store)(nil)
