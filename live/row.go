package live

import (
	"math"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// The states of a device at a glance: the most telling one of its outlets.
const (
	available = iota
	inUse
	reserved
	unresolved
	blocked
	offline
	maintenance
	stopped
	neverHeard
	outOfService
	retired
)

// The bits of a device's problems.
const (
	ProblemOffline = 1 << iota
	ProblemUnresolved
	ProblemBattery
	ProblemGap
	ProblemFailures
	ProblemClock
	ProblemOutside
	ProblemItem
	ProblemStopped
	ProblemOutOfService
	ProblemKey
	ProblemMaintenance
	ProblemJammed
)

// row is a device as it is shown. Numbers are those of the columns.
type row struct {
	id       device.ID
	venue    string
	firmware string
	heard    int64 // unix s; 0 = never
	since    int64 // unix s; 0 = not known
	lat, lng int32 // millionths of a degree
	problems uint16
	failures uint16
	outlets  uint16
	orders   uint16
	kind     device.Kind
	service  uint8
	state    uint8
	battery  int8 // percent; -1 = not known
	placed   bool // lat and lng are known
}

// nearBy is how far, in millionths of a degree (about five metres), a device must have
// moved to be shown elsewhere.
const nearBy = 45

var services = map[device.Service]uint8{device.InService: 0, device.Maintenance: 1, device.OutOfService: 2, device.Retired: 3}

// show says how a device is shown at a moment, and until when the clock alone changes
// nothing of it; zero = it never will. was is how it was shown before, the zero row at
// first.
func show(f order.FleetRow, g order.Glimpse, v order.Venue, p order.Preferences, now time.Time, was row) (r row, until time.Time) {
	r = row{id: f.ID, kind: f.Kind, venue: f.Venue, firmware: f.Firmware, service: services[f.Service], battery: -1,
		failures: clamp16(f.Failures), outlets: clamp16(f.Outlets), orders: clamp16(f.Orders)}
	if !f.HeardAt.IsZero() {
		r.heard = f.HeardAt.Unix()
	}
	if g.Battery != nil {
		r.battery = int8(min(max(*g.Battery, 0), 100))
	}
	r.place(f, g, was)
	at := order.Point{Lat: float64(r.lat) / 1e6, Lng: float64(r.lng) / 1e6}
	silent := f.HeardAt.IsZero() || now.Sub(f.HeardAt) >= p.OfflineAfter
	if !silent {
		until = f.HeardAt.Add(p.OfflineAfter)
	}
	kept := now.Before(f.Kept)
	if kept && (until.IsZero() || f.Kept.Before(until)) {
		until = f.Kept
	}
	serving := f.Service == device.InService
	for _, is := range []struct {
		so  bool
		bit uint16
	}{
		{silent && serving, ProblemOffline},
		{f.Unproven > 0, ProblemUnresolved},
		{serving && r.battery >= 0 && int(r.battery) < p.LowBattery, ProblemBattery},
		{f.Gap, ProblemGap},
		{f.Failures >= p.Failures, ProblemFailures},
		{f.Service != device.Retired && f.Drifts(), ProblemClock},
		{f.Service != device.Retired && r.placed && !v.Fence.Holds(at), ProblemOutside},
		{f.Item, ProblemItem},
		{f.Stopped && f.Service != device.Retired, ProblemStopped},
		{f.Service == device.OutOfService, ProblemOutOfService},
		{f.Behind, ProblemKey},
		{f.Service == device.Maintenance, ProblemMaintenance},
		{f.Jammed && f.Service != device.Retired, ProblemJammed},
	} {
		if is.so {
			r.problems |= is.bit
		}
	}
	// The order of these is that of device.Availability: what staff want to hear first.
	switch {
	case f.Service == device.Retired:
		r.state = retired
	case f.Stopped:
		r.state = stopped
	case f.Service == device.Maintenance:
		r.state = maintenance
	case !serving:
		r.state = outOfService
	case f.Unproven > 0:
		r.state = unresolved
	case f.Orders > f.Pending:
		r.state = inUse
	case f.Pending > 0, kept:
		r.state = reserved
	case f.Blocked:
		r.state = blocked
	case f.HeardAt.IsZero():
		r.state = neverHeard
	case silent:
		r.state = offline
	case f.Open:
		r.state = blocked
	}
	switch {
	case f.Orders > 0 && (r.state == inUse || r.state == unresolved || r.state == reserved):
		r.since = f.Began.Unix()
	case r.state == offline:
		r.since = f.HeardAt.Add(p.OfflineAfter).Unix()
	case was.id == "":
	case was.state != r.state:
		r.since = now.Unix()
	default:
		r.since = was.since
	}
	return r, until
}

// Glance is the state of a device and its problems, in the words of StateWords and
// ProblemWords; never nil.
func Glance(f order.FleetRow, g order.Glimpse, v order.Venue, p order.Preferences, now time.Time) (state string, problems []string) {
	r, _ := show(f, g, v, p, now, row{})
	problems = []string{}
	for i, word := range ProblemWords {
		if r.problems&(1<<i) != 0 {
			problems = append(problems, word)
		}
	}
	return StateWords[r.state], problems
}

// place says where a device is: as written, or by its own word where that is newer; then
// where it was shown while that is near.
func (r *row) place(f order.FleetRow, g order.Glimpse, was row) {
	lat, lng := f.Lat, f.Lng
	itself := g.At != nil && (lat == nil || lng == nil || g.Placed.After(f.PlacedAt))
	if itself {
		lat, lng = &g.At.Lat, &g.At.Lng
	}
	if lat == nil || lng == nil {
		return
	}
	r.lat, r.lng, r.placed = int32(math.Round(*lat*1e6)), int32(math.Round(*lng*1e6)), true
	east := float64(r.lng-was.lng) * math.Cos(*lat*math.Pi/180)
	if itself && was.placed && math.Hypot(float64(r.lat-was.lat), east) < nearBy {
		r.lat, r.lng = was.lat, was.lng
	}
}

func clamp16(n int) uint16 { return uint16(min(max(n, 0), math.MaxUint16)) }
