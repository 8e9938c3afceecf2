package api

import (
	"context"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// outside tells whether a device was last said to be outside of its venue's geofence.
func outside(row order.DeviceRow, venues []order.Venue) bool {
	if row.Lat == nil || row.Lng == nil {
		return false
	}
	for _, v := range venues {
		if v.ID == row.Device.Venue {
			return !v.Fence.Holds(order.Point{Lat: *row.Lat, Lng: *row.Lng})
		}
	}
	return false
}

// Stood is where a device was.
type Stood struct {
	At  time.Time `json:"at"`
	Lat float64   `json:"lat" doc:"WGS-84"`
	Lng float64   `json:"lng"`
}

func stoodOf(s order.Stood) Stood { return Stood{At: s.At, Lat: s.Lat, Lng: s.Lng} }

// StoodList is where a device was, newest first.
type StoodList struct {
	Positions []Stood `json:"positions"`
}

type listPositionsInput struct {
	ID    string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type listPositionsOutput struct{ Body StoodList }

func (a *API) listPositions(ctx context.Context, in *listPositionsInput) (*listPositionsOutput, error) {
	id := device.ID(in.ID)
	rows, err := a.Store.Devices(ctx, id, "", "", 1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errDeviceUnknown
	}
	since, err := a.since(ctx, id)
	if err != nil {
		return nil, err
	}
	found, err := a.Store.Positions(ctx, id, since, in.Limit)
	if err != nil {
		return nil, err
	}
	return &listPositionsOutput{StoodList{each(found, stoodOf)}}, nil
}
