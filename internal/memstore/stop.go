package memstore

import (
	"context"
	"slices"
	"strings"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func (s *Store) applyStop(x order.Stop) {
	if !x.Over {
		s.stops = append(s.stops, stop{Stop: x})
		return
	}
	for i := range s.stops {
		if s.stops[i].Venue == x.Venue && s.stops[i].reached {
			s.stops[i].over = true
		}
	}
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
	for _, x := range s.stops {
		if x.over || x.reached {
			continue
		}
		before := len(left)
		for _, d := range s.devices {
			if d.Venue == x.Venue && slices.Contains(kinds, d.Kind) && (d.Service == device.InService || d.Service == device.Maintenance) {
				left = append(left, order.Unstopped{Stop: x.ID, Reason: x.Reason, Device: d.ID})
			}
		}
		if len(left) == before {
			left = append(left, order.Unstopped{Stop: x.ID, Reason: x.Reason})
		}
	}
	slices.SortFunc(left, func(a, b order.Unstopped) int {
		return strings.Compare(a.Stop+string(a.Device), b.Stop+string(b.Device))
	})
	return left[:min(limit, len(left))], nil
}

// Reached implements order.StopLog.
func (s *Store) Reached(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.stops {
		s.stops[i].reached = s.stops[i].reached || s.stops[i].ID == id
	}
	return nil
}

var _ order.StopLog = (*Store)(nil)
