package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/live"
	"github.com/unlatch/unlatch/order"
)

func (a *API) deviceListRoutes(h huma.API) {
	register(a, h, forStaff("list-devices", http.MethodGet, "/v1/operator/devices", "Devices by id"), a.listDevices)
	register(a, h, asCSV(forStaff("devices-csv", http.MethodGet, "/v1/operator/devices.csv", "Devices by id, as CSV")), a.devicesCSV)
}

// DeviceFilter picks devices; what is absent picks all.
type DeviceFilter struct {
	Q       string `query:"q" maxLength:"64" doc:"Part of the id, or of the venue's id or name"`
	Venue   string `query:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Kind    string `query:"kind" maxLength:"16" doc:"lock or pump"`
	State   string `query:"state" maxLength:"40" doc:"available, in_use, reserved, unresolved, blocked, offline, maintenance, stopped, never_heard, out_of_service or retired"`
	Service string `query:"service" enum:"in_service,maintenance,out_of_service,retired"`
	Problem string `query:"problem" maxLength:"40" doc:"any, offline, unresolved, low_battery, evidence_gap, unlock_failures, clock_drift, outside, open_item, stopped, out_of_service, rekey, maintenance or jammed"`
}

// picked returns the devices of a filter behind an id, at most limit, by id.
func (a *API) picked(ctx context.Context, f DeviceFilter, after device.ID, limit int) ([]order.DeviceRow, error) {
	scope := venuesOf(ctx)
	if scope == nil && f.Q+f.Kind+f.State+f.Service+f.Problem == "" {
		return a.Store.Devices(ctx, "", f.Venue, after, limit) // no need to know the fleet's states
	}
	if a.Hub == nil {
		return nil, errFleetUnread
	}
	ids, err := a.Hub.Matching(ctx, live.ScopeOf(scope), live.Filter{Q: f.Q, Venue: f.Venue, Kind: f.Kind, State: f.State, Service: f.Service, Problem: f.Problem})
	if err != nil {
		return nil, unread(err)
	}
	from, found := slices.BinarySearch(ids, after)
	if found {
		from++
	}
	return a.Store.DevicesByID(ctx, ids[from:min(from+limit, len(ids))])
}

type listDevicesInput struct {
	PageQuery
	DeviceFilter
}

type devicePageOutput struct{ Body DevicePage }

func (a *API) listDevices(ctx context.Context, in *listDevicesInput) (*devicePageOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.picked(ctx, in.DeviceFilter, device.ID(after), in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(r order.DeviceRow) string { return string(r.Device.ID) })
	venues, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
	return &devicePageOutput{DevicePage{NextCursor: next,
		Devices: each(rows, func(r order.DeviceRow) Device { return a.deviceOf(r, venues) })}}, nil
}

type devicesCSVInput struct{ DeviceFilter }

func (a *API) devicesCSV(ctx context.Context, in *devicesCSVInput) (*huma.StreamResponse, error) {
	venues, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
	after := device.ID("")
	scope := ctx // page is called with the connection's context, which knows no member
	header := []string{"id", "kind", "venue", "service", "service_reason", "stopped", "availability", "orders", "heard_at", "firmware", "battery", "lat", "lng",
		"outside", "epoch", "opens"}
	return a.table(ctx, "devices.csv", header, func(ctx context.Context) ([][]any, bool, error) {
		rows, err := a.picked(context.WithValue(ctx, staffKey{}, staffOf(scope)), in.DeviceFilter, after, csvPage)
		if err != nil || len(rows) == 0 {
			return nil, false, err
		}
		after = rows[len(rows)-1].Device.ID
		return each(rows, func(r order.DeviceRow) []any { return deviceCells(a.deviceOf(r, venues)) }), len(rows) == csvPage, nil
	})
}

func deviceCells(d Device) []any {
	var availability, orders []string
	opens := uint64(0)
	for _, o := range d.Outlets {
		availability = append(availability, o.Availability)
		if o.Order != "" {
			orders = append(orders, o.Order)
		}
		opens += o.Opens
	}
	return []any{d.ID, d.Kind, d.Venue, d.Service, d.ServiceReason, d.Stopped, strings.Join(availability, " "), strings.Join(orders, " "),
		d.HeardAt, d.Firmware, d.Battery, d.Lat, d.Lng, d.Outside, d.Epoch, opens}
}

// timeCell is a moment in UTC, "" for none.
func timeCell(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
