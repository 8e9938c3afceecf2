package api

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func (a *API) deviceRoutes(h huma.API) {
	a.deviceListRoutes(h)
	register(a, h, forStaff("get-device", http.MethodGet, "/v1/operator/devices/{id}",
		"A device with its newest commands and evidence"), a.getDevice)
	op := forStaff("provision-devices", http.MethodPost, "/v1/operator/devices", "Make devices known, or give them new keys")
	op.Description += " Each file is shown once and belongs on its device. A known device gets a new epoch, which" +
		" frees outlets that wait for an earlier one's word."
	register(a, h, op, a.provisionDevices)
	register(a, h, forStaff("set-service", http.MethodPost, "/v1/operator/devices/{id}/service",
		"Take a device out of service, back in, or retire it"), a.setService)
	register(a, h, forStaff("transfer-device", http.MethodPost, "/v1/operator/devices/{id}/transfer",
		"Move a device to another venue"), a.transferDevice)
	register(a, h, forStaff("place-device", http.MethodPost, "/v1/operator/devices/{id}/position",
		"Note where a device stands"), a.placeDevice)
	register(a, h, forStaff("list-positions", http.MethodGet, "/v1/operator/devices/{id}/positions",
		"Where a device said that it was, newest first"), a.listPositions)
	op = forStaff("command-device", http.MethodPost, "/v1/operator/devices/{id}/commands", "Ring, probe or stop an outlet")
	op.DefaultStatus = http.StatusAccepted
	register(a, h, op, a.commandDevice)
}

// Device is a device as staff see it.
type Device struct {
	ID            string     `json:"id"`
	Kind          Kind       `json:"kind"`
	Venue         string     `json:"venue"`
	Epoch         int64      `json:"epoch" doc:"How often it was provisioned"`
	Service       string     `json:"service" enum:"in_service,maintenance,out_of_service,retired"`
	ServiceReason string     `json:"service_reason,omitempty"`
	Stopped       string     `json:"stopped,omitempty" doc:"Why an emergency stop is in force; only a hand at the device ends it"`
	HeardAt       *time.Time `json:"heard_at,omitempty"`
	Firmware      string     `json:"firmware,omitempty"`
	Lat           *float64   `json:"lat,omitempty" doc:"WGS-84"`
	Lng           *float64   `json:"lng,omitempty"`
	PlacedAt      *time.Time `json:"placed_at,omitempty" doc:"When it told its position, or staff did"`
	Outside       bool       `json:"outside,omitempty" doc:"Of its venue's geofence"`
	Display       bool       `json:"display,omitempty" doc:"It shows rotating codes"`
	Bluetooth     bool       `json:"bluetooth,omitempty" doc:"Riders' phones can carry commands and words for it"`
	Battery       *int       `json:"battery,omitempty" doc:"Percent, as last told"`
	Outlets       []Outlet   `json:"outlets"`
}

// Outlet is an outlet as staff see it.
type Outlet struct {
	N            int          `json:"outlet"`
	Availability string       `json:"availability"`
	Order        string       `json:"order,omitempty" doc:"The live one"`
	Block        string       `json:"block,omitempty" doc:"unproven or await_closed: it waits for its device's word"`
	Closed       *bool        `json:"closed,omitempty" doc:"As the device last stated"`
	Jammed       bool         `json:"jammed,omitempty" doc:"Its bolt would not move when it was last to open; until it opens, or the device is put into service"`
	Opens        uint64       `json:"opens" doc:"As counted by the device"`
	Nozzles      []Nozzle     `json:"nozzles,omitempty" doc:"Of a pump's side"`
	Live         *LiveFigures `json:"live,omitempty" doc:"What its display shows; unsigned"`

	Reserved *Kept `json:"reserved,omitempty" doc:"For whom it is kept now"`
}

// Kept is for whom an outlet is kept.
type Kept struct {
	ID    string    `json:"id" doc:"Of the reservation"`
	Rider string    `json:"rider"`
	Until time.Time `json:"until"`
}

// DevicePage is one page of devices.
type DevicePage struct {
	Devices    []Device `json:"devices"`
	NextCursor string   `json:"next_cursor,omitempty"`
}

// DeviceDetail is a device with what went to it and what it said, newest first.
type DeviceDetail struct {
	Device
	State    string         `json:"state" doc:"As /v1/operator/fleet has it, in words"`
	Problems []string       `json:"problems" doc:"As /v1/operator/fleet has them, in words"`
	Commands []Command      `json:"commands"`
	Evidence []Evidence     `json:"evidence"`
	Codes    []Code         `json:"codes"`
	Wanted   DeviceWanted   `json:"wanted"`
	Says     DeviceSays     `json:"says"`
	Counters DeviceCounters `json:"counters"`
	Gaps     []EvidenceGap  `json:"evidence_gaps"`
	Notes    []Note         `json:"notes" doc:"Newest first"`
}

// Command is a signed instruction.
type Command struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	Outlet    int        `json:"outlet"`
	Epoch     int64      `json:"epoch"`
	Seq       uint64     `json:"seq"`
	Order     string     `json:"order,omitempty"`
	State     string     `json:"state"`
	Tried     bool       `json:"tried,omitempty" doc:"Rejected, and the device proved that it tried and failed, instead of refusing to try"`
	Deadline  *time.Time `json:"deadline,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	DoneAt    *time.Time `json:"done_at,omitempty"`
	Hops      *Hops      `json:"hops,omitempty"`
}

// Evidence is a signed statement.
type Evidence struct {
	Epoch    int64     `json:"epoch"`
	Journal  string    `json:"journal"`
	Seq      uint64    `json:"seq"`
	Kind     string    `json:"kind"`
	Outlet   int       `json:"outlet"`
	Command  string    `json:"command,omitempty"`
	Order    string    `json:"order,omitempty"`
	Closed   bool      `json:"closed"`
	Reason   string    `json:"reason,omitempty"`
	Status   string    `json:"status"`
	Uptime   uint64    `json:"uptime_ms"`
	Received time.Time `json:"received_at"`
}

func (a *API) deviceOf(row order.DeviceRow, venues []order.Venue) Device {
	d, now := row.Device, time.Now()
	v := Device{ID: string(d.ID), Kind: kindOf(d.Kind), Venue: d.Venue, Epoch: int64(d.Epoch), Service: string(d.Service),
		ServiceReason: d.ServiceReason, HeardAt: optionalTime(d.HeardAt), Firmware: d.Firmware, Lat: row.Lat, Lng: row.Lng,
		PlacedAt: row.PlacedAt, Outside: outside(row, venues),
		Battery: a.battery(d.ID), Display: d.Display, Bluetooth: d.Bluetooth}
	if d.Halt != nil {
		v.Stopped = d.Halt.Reason
	}
	live := a.displays(row)
	v.Outlets = each(row.Outlets, func(o device.Outlet) Outlet {
		shown := Outlet{N: int(o.N), Jammed: o.Jammed, Availability: string(d.Availability(o, false, now)), Order: o.Order,
			Block: string(o.Block), Opens: o.Opens, Nozzles: nozzlesOf(o.Meter, true), Live: live[o.N]}
		if o.Stated.Known {
			shown.Closed = &o.Stated.Closed
		}
		if r := o.Reservation; r.Holds(now) {
			shown.Reserved = &Kept{ID: r.ID, Rider: r.Rider, Until: r.Until}
		}
		return shown
	})
	return v
}

func commandOf(c device.Command) Command {
	return Command{ID: c.ID, Kind: string(c.Kind), Outlet: int(c.Outlet), Epoch: int64(c.Epoch), Seq: c.Seq, Order: c.Order,
		State: string(c.State), Deadline: optionalTime(c.Deadline), CreatedAt: c.CreatedAt, DoneAt: optionalTime(c.DoneAt)}
}

func evidenceOf(e device.Evidence) Evidence {
	return Evidence{Epoch: int64(e.Epoch), Journal: hex.EncodeToString(e.Journal[:]), Seq: e.Seq, Kind: string(e.Kind),
		Outlet: int(e.Outlet), Command: e.CommandID, Order: e.Order, Closed: e.Closed, Reason: e.Reason,
		Status: string(e.Status), Uptime: e.Uptime, Received: e.Received}
}

type devicePath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
}

type deviceDetailOutput struct{ Body DeviceDetail }

// deviceNewest is how many commands and pieces of evidence a device shows.
const deviceNewest = 20

func (a *API) getDevice(ctx context.Context, in *devicePath) (*deviceDetailOutput, error) {
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
	commands, err := a.Store.CommandsOf(ctx, id, since, deviceNewest)
	if err != nil {
		return nil, err
	}
	evidence, err := a.Store.EvidenceOf(ctx, id, since, deviceNewest)
	if err != nil {
		return nil, err
	}
	codes, err := a.Store.Codes(ctx, id, codesMost)
	if err != nil {
		return nil, err
	}
	venues, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := a.shownCommands(ctx, commands)
	if err != nil {
		return nil, err
	}
	out := &deviceDetailOutput{DeviceDetail{Device: a.deviceOf(rows[0], venues), Commands: shown, Evidence: each(evidence, evidenceOf),
		Codes: each(codes, a.codeOf)}}
	return out, a.addPage(ctx, rows[0], venues, since, &out.Body)
}

// ServiceBody is the switch of a device.
type ServiceBody struct {
	Service string `json:"service" enum:"in_service,maintenance,retired"`
	Reason  string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type setServiceInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Body ServiceBody
}

type deviceOutput struct{ Body Device }

func (a *API) setService(ctx context.Context, in *setServiceInput) (*deviceOutput, error) {
	id := device.ID(in.ID)
	_, err := a.Orders.SetService(ctx, order.SetService{Device: id, Service: device.Service(in.Body.Service),
		Staff: audit(ctx, "device.service", "device "+in.ID, in.Body.Reason, nil)})
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return a.deviceNow(ctx, id)
}

// TransferBody names the venue that a device moves to.
type TransferBody struct {
	Venue  string `json:"venue" pattern:"^[A-Za-z0-9_-]{1,32}$"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type transferDeviceInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Body TransferBody
}

func (a *API) transferDevice(ctx context.Context, in *transferDeviceInput) (*deviceOutput, error) {
	if _, err := a.getVenue(ctx, &venuePath{in.Body.Venue}); err != nil {
		return nil, err
	}
	_, err := a.Orders.TransferDevice(ctx, order.TransferDevice{Device: device.ID(in.ID), Venue: in.Body.Venue,
		Staff: audit(ctx, "device.transfer", "device "+in.ID, in.Body.Reason, nil)})
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return a.deviceNow(ctx, device.ID(in.ID))
}

// PositionBody is where a device stands.
type PositionBody struct {
	Location
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

type placeDeviceInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Body PositionBody
}

func (a *API) placeDevice(ctx context.Context, in *placeDeviceInput) (*deviceOutput, error) {
	at := in.Body.wgs84()
	// The audit says that it was placed, not where: positions go after their time.
	err := a.Store.MoveDevice(ctx, device.ID(in.ID), at.lat, at.lng, audit(ctx, "device.place", "device "+in.ID, in.Body.Reason, nil))
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return a.deviceNow(ctx, device.ID(in.ID))
}

// deviceNow shows what became of a device.
func (a *API) deviceNow(ctx context.Context, id device.ID) (*deviceOutput, error) {
	rows, err := a.Store.Devices(ctx, id, "", "", 1)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errDeviceUnknown
	}
	venues, err := a.Store.Venues(ctx)
	if err != nil {
		return nil, err
	}
	return &deviceOutput{a.deviceOf(rows[0], venues)}, nil
}

// CommandBody is a command's request.
type CommandBody struct {
	Kind   string `json:"kind" enum:"ring,probe,stop"`
	Outlet int    `json:"outlet,omitempty" minimum:"1" maximum:"255" default:"1"`
	Reason string `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

type commandDeviceInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,24}$"`
	Body CommandBody
}

type commandOutput struct{ Body Command }

// commandDevice needs no key: asking twice burns two numbers, which is harmless.
func (a *API) commandDevice(ctx context.Context, in *commandDeviceInput) (*commandOutput, error) {
	c, err := a.Orders.Instruct(ctx, order.Instruct{Device: device.ID(in.ID), Outlet: uint8(in.Body.Outlet),
		Kind:  device.CommandKind(in.Body.Kind),
		Staff: audit(ctx, "device.command", "device "+in.ID, in.Body.Reason, nil)})
	if err != nil {
		return nil, instead(err, errDeviceUnknown)
	}
	return &commandOutput{commandOf(c)}, nil
}
