package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device"
)

// Diagnosing asks why an outlet would not start for a rider who scanned it now.
type Diagnosing struct {
	Device   device.ID
	Outlet   uint8
	Codes    []Code            // of the device
	Recent   []device.Command  // of the device, newest first
	Evidence []device.Evidence // of the device, newest first
	Gaps     []EvidenceGap     // of its journal
	Stands   *Point            // where the device is; nil = not known
	Prefs    Preferences       // thresholds of what is worth a word
}

// EvidenceGap is a run of a journal's numbers that are not here.
type EvidenceGap struct {
	Journal  device.Journal
	From, To uint64
	Lost     bool // for good; else what lies behind waits for them
}

// Diagnosis is what a scan would lead to now, and why.
type Diagnosis struct {
	Opens    string // yes, no, or unknown where only the device can tell: out of reach, or jammed when it was last asked
	Findings []Finding
}

// Finding is one thing that is so; words are made by who shows it.
type Finding struct {
	Code     string // one of the Find... words
	Severity string // blocks: no rider can start; warns: it may fail; ok
	Facts    map[string]any
	Action   *FindingAction // what staff may do about it; nil: nothing from afar
}

// FindingAction is an operation of the API by its id, with the body that mends it.
type FindingAction struct {
	Operation string
	Label     string
	Body      map[string]any
}

// What can be found.
const (
	FindOffline      = "device_offline"
	FindNeverHeard   = "never_heard"
	FindOutOfService = "out_of_service"
	FindMaintenance  = "maintenance"
	FindRetired      = "retired"
	FindStopped      = "stopped"
	FindBusy         = "outlet_busy"
	FindReserved     = "outlet_reserved"
	FindOpen         = "outlet_open"
	FindUnproven     = "block_unproven"
	FindAwaitClosed  = "block_await_closed"
	FindVenueClosed  = "venue_closed"
	FindVenueNotOpen = "venue_not_open"
	FindNoTariff     = "no_tariff"
	FindNoCode       = "code_missing"
	FindGap          = "evidence_gap"
	FindFloor        = "evidence_floor"
	FindBattery      = "low_battery"
	FindUnanswered   = "command_unanswered"
	FindLastFailed   = "last_start_failed"
	FindJammed       = "jammed"
	FindClock        = "clock_stale"
	FindKey          = "key_behind"
	FindOutside      = "outside"
	FindWell         = "all_well"
)

// Diagnose says why an outlet would not start. It writes nothing. ErrNotFound: there is
// no such outlet.
func (s *Service) Diagnose(ctx context.Context, q Diagnosing) (Diagnosis, error) {
	snapshot, err := s.Store.Load(ctx, Query{Device: q.Device})
	if err != nil {
		return Diagnosis{}, fmt.Errorf("load device %s: %w", q.Device, err)
	}
	if snapshot.Device == nil {
		return Diagnosis{}, fmt.Errorf("device %s: %w", q.Device, ErrNotFound)
	}
	tariff, err := s.Catalog.TariffFor(ctx, snapshot.Device.Venue, snapshot.Device.Kind, "")
	if err == nil {
		snapshot.Tariff = &tariff
	} else if !errors.Is(err, ErrNoTariff) {
		return Diagnosis{}, fmt.Errorf("tariff of venue %s: %w", snapshot.Device.Venue, err)
	}
	var battery *int
	if b, ok := s.battery(q.Device); ok {
		battery = &b
	}
	return q.find(snapshot, s.Env, battery)
}

// find is Diagnose without a look at the world: by the tests of a scan and of an order.
func (q Diagnosing) find(s Snapshot, env Env, battery *int) (Diagnosis, error) {
	t := newTurn(s, env)
	out := t.outlet(q.Outlet)
	if out == nil || s.Venue == nil {
		return Diagnosis{}, fmt.Errorf("device %s outlet %d: %w", q.Device, q.Outlet, ErrNotFound)
	}
	x := examination{t: t, out: out, q: q}
	x.service()
	x.outlet()
	x.contact()
	x.venue()
	x.battery(battery)
	x.journal()
	x.past()
	opens := "yes"
	if err := x.refusal(battery); errors.Is(err, ErrOffline) && t.device.Bluetooth && !x.blocked {
		opens = "unknown" // a rider's phone may reach it
	} else if err != nil || x.blocked {
		opens = "no"
	} else if x.unsure {
		opens = "unknown"
	}
	if len(x.found) == 0 {
		x.add(FindWell, "ok", map[string]any{"age_s": x.age(t.device.HeardAt)}, nil)
	}
	rank := map[string]int{"blocks": 0, "warns": 1, "ok": 2}
	slices.SortStableFunc(x.found, func(a, b Finding) int { return rank[a.Severity] - rank[b.Severity] })
	return Diagnosis{opens, x.found}, nil
}

// examination is one diagnosis in the making.
type examination struct {
	t       *turn
	out     *device.Outlet
	q       Diagnosing
	found   []Finding
	blocked bool
	unsure  bool // nothing refuses a start, and the device could not carry out the last one
}

// refusal is what a scan, or an order of its ticket, would be refused for whoever asks;
// nil: it would be offered and placed.
func (x *examination) refusal(battery *int) error {
	t, out := x.t, x.out
	if out.Reservation.Holds(t.now) && out.Order == "" {
		return ErrReserved
	}
	if err := t.admitted(false); err != nil {
		return err
	}
	if out.Order != "" || out.Block == device.NotBlocked && t.openStart(out.N) != nil {
		return ErrOutletBusy
	}
	if err := t.able(out); err != nil {
		return err
	}
	if t.snapshot.Tariff == nil {
		return ErrNoTariff
	}
	if offers(t.snapshot, *out, battery, false, t.env.Config) != device.Available {
		return ErrBatteryLow
	}
	return nil
}

func (x *examination) add(code, severity string, facts map[string]any, action *FindingAction) {
	if facts == nil {
		facts = map[string]any{}
	}
	x.blocked = x.blocked || severity == "blocks"
	x.found = append(x.found, Finding{code, severity, facts, action})
}

// age is whole seconds since a moment.
func (x *examination) age(at time.Time) int64 { return int64(max(x.t.now.Sub(at), 0) / time.Second) }

func (x *examination) probe() *FindingAction {
	return &FindingAction{"command-device", "probe", map[string]any{"kind": "probe", "outlet": int(x.out.N)}}
}

// service: the switches of the device.
func (x *examination) service() {
	d := x.t.device
	switch d.Service {
	case device.InService:
	case device.Maintenance:
		x.add(FindMaintenance, "blocks", map[string]any{"reason": d.ServiceReason},
			&FindingAction{"set-service", "in_service", map[string]any{"service": "in_service"}})
	case device.Retired:
		x.add(FindRetired, "blocks", map[string]any{"reason": d.ServiceReason}, &FindingAction{"provision-devices", "provision", nil})
	default:
		x.add(FindOutOfService, "blocks", map[string]any{"reason": d.ServiceReason}, &FindingAction{"provision-devices", "provision", nil})
	}
	if v := x.t.snapshot.Venue; d.Halt != nil {
		x.add(FindStopped, "blocks", map[string]any{"reason": d.Halt.Reason}, nil)
	} else if v.Stopped && x.t.kind().stops() {
		x.add(FindStopped, "blocks", map[string]any{"venue": v.ID}, nil)
	}
}

// outlet: who has it.
func (x *examination) outlet() {
	out, t := x.out, x.t
	if out.Order != "" {
		facts := map[string]any{"order": out.Order}
		if o := t.orders[out.Order]; o != nil {
			facts["state"], facts["age_s"], facts["service"] = string(o.State), x.age(o.CreatedAt), o.PayWith == PayService
		}
		x.add(FindBusy, "blocks", facts, &FindingAction{"get-operator-order", "order", map[string]any{"id": out.Order}})
	} else if out.Reservation.Holds(t.now) {
		x.add(FindReserved, "blocks", map[string]any{"until": out.Reservation.Until, "reservation": out.Reservation.ID}, nil)
	}
	switch out.Block {
	case device.NotBlocked:
	case device.Unproven:
		x.add(FindUnproven, "blocks", nil, x.probe())
	default:
		x.add(FindAwaitClosed, "blocks", nil, x.probe())
	}
	if out.Order == "" && out.Block == device.NotBlocked && out.Stated.Known && !out.Stated.Closed {
		x.add(FindOpen, "blocks", nil, x.probe())
	}
	for _, c := range t.openCommands() {
		// Without an order or a block to show for it, an open start refuses every other.
		loose := c.Kind == device.Start && out.Order == "" && out.Block == device.NotBlocked
		if c.Outlet != out.N || !loose && t.now.Sub(c.CreatedAt) < t.env.Config.StartDeadline {
			continue // another's, or under way
		}
		severity := "warns"
		if loose {
			severity = "blocks"
		}
		x.add(FindUnanswered, severity, map[string]any{"command": c.ID, "kind": string(c.Kind), "state": string(c.State), "age_s": x.age(c.CreatedAt)}, x.probe())
		break // the oldest tells enough
	}
}

// contact: whether a start could reach it and be dated.
func (x *examination) contact() {
	d := x.t.device
	severity := "blocks"
	if d.Bluetooth {
		severity = "warns" // a phone beside it may do
	}
	switch {
	case d.Service == device.Retired, d.Contactable(x.t.now):
	case d.HeardAt.IsZero():
		x.add(FindNeverHeard, severity, nil, nil)
	case x.t.now.Sub(d.HeardAt) >= device.SampleLife:
		x.add(FindOffline, severity, map[string]any{"age_s": x.age(d.HeardAt)}, x.probe())
	default:
		x.add(FindClock, severity, map[string]any{"age_s": x.age(later(d.Sample.At, d.Spare.At))}, x.probe())
	}
	if name := x.t.env.Keys.Name; d.Service != device.Retired && name != "" && (d.ServerKey != name || d.Rekey != nil) {
		x.add(FindKey, "warns", map[string]any{"knows": d.ServerKey, "key": name}, nil)
	}
}

// later is the later of two moments.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// venue: whether it sells anything here now, and whether anybody can scan it.
func (x *examination) venue() {
	v, d := x.t.snapshot.Venue, x.t.device
	see := &FindingAction{"put-venue", "venue", map[string]any{"id": v.ID}}
	switch {
	case !v.Open:
		x.add(FindVenueClosed, "blocks", map[string]any{"venue": v.ID}, see)
	case !v.Serves(x.t.now):
		x.add(FindVenueNotOpen, "blocks", map[string]any{"venue": v.ID, "hours": v.Hours.String()}, see)
	}
	if x.t.snapshot.Tariff == nil {
		x.add(FindNoTariff, "blocks", map[string]any{"venue": v.ID, "kind": string(d.Kind)}, &FindingAction{"add-tariff", "tariffs", map[string]any{"venue": v.ID}})
	}
	kiosk := v.KioskOnly && x.t.kind().stops()
	if !slices.ContainsFunc(x.q.Codes, func(c Code) bool { return c.Outlet == x.out.N && !c.Revoked && (c.Kiosk || !kiosk) }) {
		x.add(FindNoCode, "blocks", map[string]any{"kiosk": kiosk},
			&FindingAction{"mint-code", "mint", map[string]any{"device": string(d.ID), "outlet": int(x.out.N), "kiosk": kiosk}})
	}
	if at := x.q.Stands; at != nil && !v.Fence.Holds(*at) {
		x.add(FindOutside, "warns", map[string]any{"venue": v.ID}, nil)
	}
}

func (x *examination) battery(percent *int) {
	switch {
	case percent == nil:
	case *percent < x.t.env.Config.MinBattery:
		x.add(FindBattery, "blocks", map[string]any{"percent": *percent, "least": x.t.env.Config.MinBattery}, nil)
	case *percent < x.q.Prefs.LowBattery:
		x.add(FindBattery, "warns", map[string]any{"percent": *percent, "least": x.t.env.Config.MinBattery}, nil)
	}
}

// journal: what it said and we do not have.
func (x *examination) journal() {
	for _, g := range x.q.Gaps {
		code := FindGap
		if g.Lost {
			code = FindFloor
		}
		if slices.ContainsFunc(x.found, func(f Finding) bool { return f.Code == code }) {
			continue // one of each tells enough; the page lists them all
		}
		facts := map[string]any{"from": g.From, "to": g.To}
		if g.Lost {
			x.add(code, "warns", facts, nil)
		} else {
			x.add(code, "warns", facts, x.probe())
		}
	}
}

// past: whether its bolt moved when it was last to, and how the newest start ended.
func (x *examination) past() {
	if x.out.Jammed {
		// A rider's start would be sent, and its bolt is as it was: a service unlock that works
		// tells that it opens again, or staff who put it into service.
		x.unsure = true
		facts := map[string]any{}
		if i := slices.IndexFunc(x.q.Evidence, func(e device.Evidence) bool {
			return e.Outlet == x.out.N && e.Order != "" && (e.Kind == device.SaidFailed || e.Kind == device.SaidRejected && e.Reason == reasonJam)
		}); i >= 0 {
			e := x.q.Evidence[i]
			facts["tried"], facts["order"], facts["age_s"] = e.Kind == device.SaidFailed, e.Order, x.age(e.Received)
		}
		x.add(FindJammed, "warns", facts, &FindingAction{"service-unlock", "unlock", map[string]any{"device": string(x.t.device.ID), "outlet": int(x.out.N)}})
		return
	}
	i := slices.IndexFunc(x.q.Recent, func(c device.Command) bool { return c.Kind == device.Start && c.Outlet == x.out.N })
	if i < 0 {
		return
	}
	c := x.q.Recent[i]
	if c.State != device.Rejected && c.State != device.NotExecuted && c.State != device.OutcomeUnknown {
		return
	}
	facts := map[string]any{"command": c.ID, "order": c.Order, "state": string(c.State), "age_s": x.age(c.CreatedAt), "reason": string(c.State)}
	for _, e := range x.q.Evidence {
		if e.CommandID == c.ID && e.Reason != "" && e.Reason != "none" {
			facts["reason"] = e.Reason
			break
		}
	}
	if facts["reason"] == reasonNotWorking && x.jammedBefore() {
		facts["reason"] = reasonJam // what it calls a fault of its own is the jam that it knows of
	}
	try := &FindingAction{"service-unlock", "unlock", map[string]any{"device": string(x.t.device.ID), "outlet": int(x.out.N)}}
	// A start would be sent: of what lost power in mid-movement only the next one tells.
	x.unsure = x.unsure || c.State == device.OutcomeUnknown
	x.add(FindLastFailed, "warns", facts, try)
}

// jammedBefore tells whether the last that the outlet said of its bolt, but for a refusal to
// try it at all, is that it sticks.
func (x *examination) jammedBefore() bool {
	i := slices.IndexFunc(x.q.Evidence, func(e device.Evidence) bool {
		return e.Outlet == x.out.N && e.Order != "" && !(e.Kind == device.SaidRejected && e.Reason == reasonNotWorking)
	})
	return i >= 0 && x.q.Evidence[i].Reason == reasonJam
}

// offers is what an outlet offers now, by a snapshot of its device, to somebody for whom
// its Reservation, if any, was dealt with. service is staff, who start at any hour.
func offers(s Snapshot, out device.Outlet, battery *int, service bool, c Config) device.Availability {
	reserved := slices.ContainsFunc(s.Orders, func(o Order) bool { return o.ID == out.Order && o.State == Pending })
	a := s.Device.Availability(out, reserved, s.Now)
	if a == device.Available && (battery != nil && *battery < c.MinBattery || !service && !s.Venue.Serves(s.Now)) {
		a = device.NonOperational
	}
	return a
}
