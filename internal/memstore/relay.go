package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Carried implements order.Carrier.
func (s *Store) Carried(ctx context.Context, id device.ID) (device.Device, []device.Command, time.Time, error) {
	snapshot, err := s.Load(ctx, order.Query{Device: id})
	if err == nil && snapshot.Device == nil {
		err = fmt.Errorf("device %s: %w", id, order.ErrNotFound)
	}
	if err != nil {
		return device.Device{}, nil, snapshot.Now, err
	}
	return *snapshot.Device, snapshot.Commands, snapshot.Now, nil
}

var _ order.Carrier = (*Store)(nil)
