package order

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device"
)

// AlarmKind is a condition that staff must know of while it lasts.
type AlarmKind string

// The kinds of alarms. A device has at most one open alarm of each.
const (
	AlarmOffline    AlarmKind = "device_offline"
	AlarmBattery    AlarmKind = "low_battery"
	AlarmFailures   AlarmKind = "unlock_failures"
	AlarmJammed     AlarmKind = "jammed" // and not yet AlarmFailures: one trouble is one alarm
	AlarmGap        AlarmKind = "evidence_gap"
	AlarmClock      AlarmKind = "clock_drift"
	AlarmStop       AlarmKind = "emergency_stop"
	AlarmUnresolved AlarmKind = "unresolved_long"
	AlarmItem       AlarmKind = "open_item"
	AlarmTotaliser  AlarmKind = "totaliser_gap"
)

// Severity tells what has to be looked at first.
type Severity string

// Critical means that money, fuel or a rider may be harmed now.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
)

// Severity of a kind.
func (k AlarmKind) Severity() Severity {
	switch k {
	case AlarmStop, AlarmTotaliser, AlarmUnresolved, AlarmGap:
		return Critical
	}
	return Warning
}

// Condition is one thing that is so now. Subject names it: the same condition has the
// same subject for as long as it lasts.
type Condition struct {
	Kind    AlarmKind
	Subject string
	Device  device.ID // "" = none
	Venue   string    // "" = the whole installation
	Detail  string    // in words, with figures
}

// Alarm is a condition since its entry. It is raised once, however long the condition
// lasts and however often it flaps: one that returns within Flap of its end is the same
// alarm once more.
type Alarm struct {
	ID string
	Condition
	RaisedAt  time.Time
	SeenAt    time.Time // when the condition last held
	Times     int       // how often it was entered
	AckedAt   time.Time // zero: nobody has taken it on
	AckedBy   string
	Snoozed   time.Time // hidden until then
	ClearedAt time.Time // zero: it is open
	ClearedBy string    // "" = the condition ended
	Comment   string
	Version   int64
}

// Open tells whether it is.
func (a Alarm) Open() bool { return a.ClearedAt.IsZero() }

const (
	// Flap is for how long after its end a condition that returns is the same alarm.
	Flap = 10 * time.Minute
	// steady is for how long a condition has to be gone before its alarm ends.
	steady = 30 * time.Second
)

// AlarmMoves is what watching changes: Raised and Cleared are told to whoever listens,
// Kept are written and told to nobody.
type AlarmMoves struct {
	Raised, Cleared, Kept []Alarm
	// Returned are critical ones that are so again shortly after they ended: told as raised,
	// by nobody taken on.
	Returned []Alarm
}

// ItemCount is how many items of a kind are open at a venue.
type ItemCount struct {
	Venue string
	Kind  string
	N     int
	Since time.Time // of the oldest
}

// alarmsMany is from how many devices of a venue on a condition is one of the venue: a
// station without power is one thing to look at, not a hundred.
const alarmsMany = 20

// gathered makes what many devices of a venue have in common one condition. Critical ones
// stay apart: each may harm somebody of its own.
func gathered(so []Condition) []Condition {
	type group struct {
		venue string
		kind  AlarmKind
	}
	n := map[group]int{}
	for _, c := range so {
		n[group{c.Venue, c.Kind}]++
	}
	told := map[group]bool{}
	var all []Condition
	for _, c := range so {
		g := group{c.Venue, c.Kind}
		switch {
		case n[g] < alarmsMany || c.Kind.Severity() == Critical:
			all = append(all, c)
		case !told[g]:
			told[g] = true
			all = append(all, Condition{Kind: c.Kind, Subject: c.Venue + "/" + string(c.Kind), Venue: c.Venue,
				Detail: fmt.Sprintf("%d devices of this venue; the fleet's list has them.", n[g])})
		}
	}
	return all
}

// unresolvedLong is for how long an order may be unresolved before staff must know.
const unresolvedLong = 2 * time.Minute

// Conditions are what is wrong now, by the fleet's rows, by batteries as devices last told
// and by open items.
func Conditions(rows []FleetRow, items []ItemCount, battery func(device.ID) (percent int, ok bool), p Preferences, now time.Time) []Condition {
	var so []Condition
	for _, r := range rows {
		if r.Service == device.Retired {
			continue
		}
		add := func(k AlarmKind, format string, args ...any) {
			so = append(so, Condition{Kind: k, Subject: string(r.ID), Device: r.ID, Venue: r.Venue, Detail: fmt.Sprintf(format, args...)})
		}
		if r.Stopped {
			add(AlarmStop, "An emergency stop is in force; only a hand at the device ends it.")
		}
		if r.Unproven > 0 && !r.Doubted.IsZero() && now.Sub(r.Doubted) >= unresolvedLong {
			add(AlarmUnresolved, "An order has been unresolved since %s: the device has not said whether it moved.", r.Doubted.UTC().Format(time.RFC3339))
		}
		if r.Gap {
			add(AlarmGap, "Evidence waits behind a gap: the device has not told everything in order.")
		}
		if r.Service != device.InService {
			continue
		}
		if !r.HeardAt.IsZero() && now.Sub(r.HeardAt) > p.OfflineAfter {
			add(AlarmOffline, "Not heard since %s.", r.HeardAt.UTC().Format(time.RFC3339))
		}
		if r.Failures >= p.Failures {
			add(AlarmFailures, "%d unlocks of today came to nothing.", r.Failures)
		} else if r.Jammed {
			add(AlarmJammed, "Its bolt did not move when it was last to open.")
		}
		if percent, ok := battery(r.ID); ok && percent < p.LowBattery {
			add(AlarmBattery, "The battery is below %d %%.", p.LowBattery)
		}
		if r.Drifts() {
			add(AlarmClock, "Its clock loses more than 200 ppm.")
		}
	}
	so = gathered(so)
	for _, i := range items {
		kind := AlarmItem
		if i.Kind == ItemTotaliser {
			kind = AlarmTotaliser
		}
		so = append(so, Condition{Kind: kind, Subject: i.Venue + "/" + i.Kind, Venue: i.Venue,
			Detail: fmt.Sprintf("Open items of kind %s: %d, the oldest since %s.", i.Kind, i.N, i.Since.UTC().Format(time.RFC3339))})
	}
	return so
}

// WatchAlarms holds what is so against the alarms that are open or were until Flap ago. It
// is pure: ids come from draw. An alarm that staff cleared by hand while its condition lasts
// stays away until the condition has ended and returned. What staff did and noted stays at
// the venue where they did: a device that is at another one by now has an alarm of its own.
func WatchAlarms(known []Alarm, now time.Time, so []Condition, draw func() string) AlarmMoves {
	type key struct {
		kind    AlarmKind
		subject string
	}
	newest := map[key]Alarm{}
	for _, a := range known {
		k := key{a.Kind, a.Subject}
		if old, ok := newest[k]; !ok || old.RaisedAt.Before(a.RaisedAt) {
			newest[k] = a
		}
	}
	var moves AlarmMoves
	holds := map[key]bool{}
	for _, c := range so {
		k := key{c.Kind, c.Subject}
		if holds[k] {
			continue
		}
		holds[k] = true
		a, ok := newest[k]
		left := ok && a.Venue != c.Venue
		if left && a.Open() {
			a.ClearedAt, a.ClearedBy = now, ""
			moves.Cleared = append(moves.Cleared, a)
		}
		switch {
		case !ok || left || !a.Open() && a.ClearedBy == "" && now.Sub(a.ClearedAt) > Flap:
			moves.Raised = append(moves.Raised, Alarm{ID: draw(), Condition: c, RaisedAt: now, SeenAt: now, Times: 1})
		case a.Open():
			if a.Detail != c.Detail || now.Sub(a.SeenAt) >= steady/2 {
				a.Condition, a.SeenAt = c, now
				moves.Kept = append(moves.Kept, a)
			}
		case a.ClearedBy != "": // by hand, and it has lasted since
			if now.Sub(a.SeenAt) > steady {
				moves.Raised = append(moves.Raised, Alarm{ID: draw(), Condition: c, RaisedAt: now, SeenAt: now, Times: 1})
				continue
			}
			if now.Sub(a.SeenAt) >= steady/2 {
				a.SeenAt = now
				moves.Kept = append(moves.Kept, a)
			}
		default: // it flaps: once more the same, told to nobody
			a.Condition, a.SeenAt, a.ClearedAt = c, now, time.Time{}
			a.Times++
			if c.Kind.Severity() == Critical { // its end was told: nobody must go on believing it
				a.AckedAt, a.AckedBy, a.Snoozed = time.Time{}, "", time.Time{}
				moves.Returned = append(moves.Returned, a)
				continue
			}
			moves.Kept = append(moves.Kept, a)
		}
	}
	for k, a := range newest {
		if a.Open() && !holds[k] && now.Sub(a.SeenAt) >= steady {
			a.ClearedAt, a.ClearedBy = now, ""
			moves.Cleared = append(moves.Cleared, a)
		}
	}
	for _, list := range [][]Alarm{moves.Raised, moves.Cleared, moves.Kept, moves.Returned} {
		slices.SortFunc(list, func(a, b Alarm) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
		})
	}
	return moves
}

// AlarmAct is what staff do about an open alarm.
type AlarmAct struct {
	ID      string
	What    string    // one of the words below
	Until   time.Time // of Snooze; at most 30 days ahead
	Comment string
	Audit   Audit
}

// What staff may do about an alarm.
const (
	Acknowledge = "acknowledge"
	Snooze      = "snooze"
	Clear       = "clear"
)

// AlarmPage picks alarms, the newest first. Open leaves out those that are over. Venues
// nil = all.
type AlarmPage struct {
	Open   bool
	Kind   AlarmKind
	Venue  string
	Venues []string
	After  string
	Limit  int
}

// AlarmBook keeps alarms and reads what is so.
type AlarmBook interface {
	// WatchAlarms hands the open and lately open alarms to watch and stores what it makes
	// of them with their events, in one transaction. Another replica may be at it: false.
	WatchAlarms(ctx context.Context, watch func(known []Alarm, now time.Time) (AlarmMoves, error)) (bool, error)
	// FleetRows reads all devices for nil ids.
	FleetRows(ctx context.Context, ids []device.ID) ([]FleetRow, time.Time, error)
	ItemCounts(ctx context.Context) ([]ItemCount, error)
	Preferences(ctx context.Context) (Preferences, error)
}

// Watchman raises and ends alarms. Any number may run; one at a time watches.
type Watchman struct {
	Book    AlarmBook
	Battery func(device.ID) (percent int, ok bool) // nil: nobody knows
	Env     Env
	Every   time.Duration // between two looks; 0 = 10 s
	Log     *slog.Logger
	// Committed is called after alarms were stored; it wakes the router of updates.
	Committed func()
}

// Run looks until ctx ends. The first look waits until devices had time to come back
// after a start.
func (w *Watchman) Run(ctx context.Context) error {
	every := w.Every
	if every == 0 {
		every = 10 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.Log.Error("alarms not watched", "err", err)
		}
	}
}

func (w *Watchman) look(ctx context.Context) error {
	told := 0
	_, err := w.Book.WatchAlarms(ctx, func(known []Alarm, now time.Time) (AlarmMoves, error) {
		p, err := w.Book.Preferences(ctx)
		if err != nil {
			return AlarmMoves{}, err
		}
		rows, _, err := w.Book.FleetRows(ctx, nil)
		if err != nil {
			return AlarmMoves{}, err
		}
		items, err := w.Book.ItemCounts(ctx)
		if err != nil {
			return AlarmMoves{}, err
		}
		battery := w.Battery
		if battery == nil {
			battery = func(device.ID) (int, bool) { return 0, false }
		}
		var drawn error
		moves := WatchAlarms(known, now, Conditions(rows, items, battery, p, now), func() string {
			id, err := w.Env.newID(now)
			if err != nil {
				drawn = err
			}
			return id
		})
		told = len(moves.Raised) + len(moves.Returned) + len(moves.Cleared)
		for _, a := range moves.Raised {
			w.Log.Warn("alarm raised", "kind", a.Kind, "device", a.Device, "venue", a.Venue)
		}
		return moves, drawn
	})
	if err == nil && told > 0 && w.Committed != nil {
		w.Committed()
	}
	return err
}
