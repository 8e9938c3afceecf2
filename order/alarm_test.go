package order_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// watched plays looks at given moments and keeps what a store would.
type watched struct {
	known           []order.Alarm
	drawn           int
	raised, cleared int
}

func (w *watched) look(at time.Time, so ...order.Condition) {
	moves := order.WatchAlarms(w.known, at, so, func() string { w.drawn++; return fmt.Sprint("alarm-", w.drawn) })
	w.raised += len(moves.Raised) + len(moves.Returned)
	w.cleared += len(moves.Cleared)
	w.known = append(w.known, moves.Raised...)
	for _, list := range [][]order.Alarm{moves.Kept, moves.Cleared, moves.Returned} {
		for _, a := range list {
			for i := range w.known {
				if w.known[i].ID == a.ID {
					w.known[i] = a
				}
			}
		}
	}
}

// forgets drops what a store would not hand out any more.
func (w *watched) forgets(at time.Time) {
	var left []order.Alarm
	for _, a := range w.known {
		if a.Open() || at.Sub(a.ClearedAt) < order.Flap || a.ClearedBy != "" && at.Sub(a.SeenAt) < order.Flap {
			left = append(left, a)
		}
	}
	w.known = left
}

var silent = order.Condition{Kind: order.AlarmOffline, Subject: "bike-1", Device: "bike-1", Venue: "campus", Detail: "Not heard."}

func TestAnAlarmIsRaisedOncePerEntry(t *testing.T) {
	start := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	var w watched
	for s := range 600 { // ten minutes of looks, one a second
		w.look(start.Add(time.Duration(s)*time.Second), silent)
	}
	if w.raised != 1 || w.cleared != 0 {
		t.Fatalf("a condition that lasts raised %d alarms and ended %d, want 1 and 0", w.raised, w.cleared)
	}
	end := start.Add(10 * time.Minute)
	w.look(end.Add(5 * time.Second)) // gone for a moment: nothing is told yet
	if w.cleared != 0 {
		t.Fatal("an alarm ended as soon as its condition was not seen")
	}
	w.look(end.Add(time.Minute))
	if w.cleared != 1 {
		t.Fatal("an alarm did not end with its condition")
	}
	// It flaps: the same alarm once more, told to nobody.
	w.look(end.Add(2*time.Minute), silent)
	if w.raised != 1 || w.known[0].Times != 2 || !w.known[0].Open() {
		t.Fatalf("a flap raised %d alarms; the first is %+v", w.raised, w.known[0])
	}
	w.look(end.Add(3 * time.Minute))
	late := end.Add(3*time.Minute + order.Flap + time.Minute)
	w.forgets(late)
	w.look(late, silent)
	if w.raised != 2 {
		t.Fatalf("a new entry raised %d alarms in all, want 2", w.raised)
	}
}

// TestAStopThatReturnsIsTold: its end was told, so that nobody may go on believing it.
func TestAStopThatReturnsIsTold(t *testing.T) {
	start := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	stop := order.Condition{Kind: order.AlarmStop, Subject: "pump-1", Device: "pump-1", Venue: "station", Detail: "Stopped."}
	for name, end := range map[string]func(*watched){
		"lifted": func(*watched) {},
		"cleared by hand, then lifted": func(w *watched) {
			w.known[0].ClearedAt, w.known[0].ClearedBy = start.Add(time.Second), "ann"
		},
	} {
		var w watched
		w.look(start, stop)
		w.known[0].AckedAt, w.known[0].AckedBy, w.known[0].Snoozed = start, "ann", start.Add(time.Hour)
		end(&w)
		w.look(start.Add(5 * time.Minute))
		w.look(start.Add(9*time.Minute), stop)
		newest := w.known[len(w.known)-1]
		if w.raised != 2 || !newest.Open() || newest.AckedBy != "" || !newest.Snoozed.IsZero() {
			t.Errorf("%s: told %d times, and is %+v", name, w.raised, newest)
		}
	}
}

func TestAnAlarmClearedByHandStaysAwayWhileItLasts(t *testing.T) {
	start := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	var w watched
	w.look(start, silent)
	w.known[0].ClearedAt, w.known[0].ClearedBy = start.Add(time.Second), "ann"
	for m := range 120 {
		at := start.Add(time.Duration(m+1) * 30 * time.Second)
		w.forgets(at)
		w.look(at, silent)
	}
	if w.raised != 1 {
		t.Fatalf("an alarm that staff cleared came back %d times while its condition lasted", w.raised-1)
	}
	back := start.Add(time.Hour + order.Flap + time.Minute) // it ended, and is so again
	w.forgets(back)
	w.look(back, silent)
	if w.raised != 2 {
		t.Fatal("an alarm that staff cleared did not return with its condition")
	}
}

func TestConditionsNameWhatIsWrong(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	well := order.FleetRow{ID: "bike-1", Kind: device.Lock, Venue: "campus", Service: device.InService, HeardAt: now}
	battery := func(device.ID) (int, bool) { return 80, true }
	for name, test := range map[string]struct {
		bend    func(*order.FleetRow)
		battery int
		want    []order.AlarmKind
	}{
		"all well":          {func(*order.FleetRow) {}, 80, nil},
		"silent":            {func(r *order.FleetRow) { r.HeardAt = now.Add(-11 * time.Minute) }, 80, []order.AlarmKind{order.AlarmOffline}},
		"never heard":       {func(r *order.FleetRow) { r.HeardAt = time.Time{} }, 80, nil},
		"silent, in repair": {func(r *order.FleetRow) { r.HeardAt, r.Service = now.Add(-time.Hour), device.Maintenance }, 10, nil},
		"retired":           {func(r *order.FleetRow) { r.Service, r.Stopped, r.Gap = device.Retired, true, true }, 80, nil},
		"low battery":       {func(*order.FleetRow) {}, 19, []order.AlarmKind{order.AlarmBattery}},
		"failures":          {func(r *order.FleetRow) { r.Failures = 3 }, 80, []order.AlarmKind{order.AlarmFailures}},
		"jammed":            {func(r *order.FleetRow) { r.Jammed, r.Failures = true, 1 }, 80, []order.AlarmKind{order.AlarmJammed}},
		"jammed, in repair": {func(r *order.FleetRow) { r.Jammed, r.Service = true, device.Maintenance }, 80, nil},
		"jammed and failed": {func(r *order.FleetRow) { r.Jammed, r.Failures = true, 3 }, 80, []order.AlarmKind{order.AlarmFailures}},
		"gap":               {func(r *order.FleetRow) { r.Gap = true }, 80, []order.AlarmKind{order.AlarmGap}},
		"clock":             {func(r *order.FleetRow) { r.Up, r.Lag = time.Hour, time.Minute }, 80, []order.AlarmKind{order.AlarmClock}},
		"stopped":           {func(r *order.FleetRow) { r.Stopped = true }, 80, []order.AlarmKind{order.AlarmStop}},
		"unresolved":        {func(r *order.FleetRow) { r.Unproven, r.Doubted = 1, now.Add(-3*time.Minute) }, 80, []order.AlarmKind{order.AlarmUnresolved}},
		"just unresolved":   {func(r *order.FleetRow) { r.Unproven, r.Doubted = 1, now.Add(-time.Minute) }, 80, nil},
		"just unresolved, beside a long ride": {func(r *order.FleetRow) {
			r.Orders, r.Unproven, r.Began, r.Doubted = 2, 1, now.Add(-time.Hour), now.Add(-time.Minute)
		}, 80, nil},
	} {
		t.Run(name, func(t *testing.T) {
			row := well
			test.bend(&row)
			battery = func(device.ID) (int, bool) { return test.battery, true }
			var got []order.AlarmKind
			for _, c := range order.Conditions([]order.FleetRow{row}, nil, battery, order.DefaultPreferences(), now) {
				if c.Detail == "" || c.Subject != "bike-1" || c.Venue != "campus" {
					t.Errorf("condition %+v does not say what and where", c)
				}
				got = append(got, c.Kind)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	// A station without power is one alarm, and so is the next look at it.
	var rows []order.FleetRow
	for i := range 500 {
		row := well
		row.ID, row.HeardAt, row.Gap = device.ID(fmt.Sprint("bike-", i)), now.Add(-time.Hour), i < 30
		rows = append(rows, row)
	}
	count := map[order.AlarmKind]int{}
	for _, c := range order.Conditions(rows, nil, battery, order.DefaultPreferences(), now) {
		count[c.Kind]++
		if c.Kind == order.AlarmOffline && (c.Device != "" || c.Subject != "campus/device_offline" || !strings.Contains(c.Detail, "500 devices")) {
			t.Errorf("500 silent bikes are %+v", c)
		}
	}
	if count[order.AlarmOffline] != 1 || count[order.AlarmGap] != 30 {
		t.Errorf("500 silent bikes, 30 of them with a gap, are %v", count)
	}
	items := []order.ItemCount{{Venue: "campus", Kind: order.ItemTotaliser, N: 2, Since: now}, {Venue: "campus", Kind: order.ItemFault, N: 1, Since: now}}
	so := order.Conditions(nil, items, battery, order.DefaultPreferences(), now)
	if len(so) != 2 || so[0].Kind != order.AlarmTotaliser || so[1].Kind != order.AlarmItem {
		t.Errorf("conditions of open items: %+v", so)
	}
}

func TestPreferencesRefuseWhatMakesNoSense(t *testing.T) {
	for name, bend := range map[string]func(*order.Preferences){
		"a negative limit":   func(p *order.Preferences) { p.RefundAlone = -1 },
		"offline at once":    func(p *order.Preferences) { p.OfflineAfter = time.Second },
		"a full battery low": func(p *order.Preferences) { p.LowBattery = 100 },
		"no failures":        func(p *order.Preferences) { p.Failures = 0 },
		"an unknown datum":   func(p *order.Preferences) { p.Map.Datum = "mars" },
		"tiles without {z}":  func(p *order.Preferences) { p.Map.Tiles = "https://tiles.example/{x}/{y}.png" },
		"tiles of a script":  func(p *order.Preferences) { p.Map.Tiles = "javascript:alert({x}{y}{z})" },
		"a policy in a host": func(p *order.Preferences) { p.Map.Tiles = "https://a;script-src *.example/{z}/{x}/{y}" },
	} {
		p := order.DefaultPreferences()
		bend(&p)
		if p.Check() == nil {
			t.Errorf("%s was taken", name)
		}
	}
	p := order.DefaultPreferences()
	p.Map.Tiles = "https://{s}.tiles.example:8443/{z}/{x}/{y}.png?key=1"
	if origin, err := p.Map.Origin(); err != nil || p.Check() != nil || origin != "https://*.tiles.example:8443" {
		t.Errorf("origin %q, %v", origin, err)
	}
}

// TestAnAlarmStaysAtItsVenue: a device that moves leaves its alarms, with what staff did
// about them and noted, where it was; whatever state they are in, its new venue has one of
// its own.
func TestAnAlarmStaysAtItsVenue(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	north := order.Alarm{ID: "old", Condition: order.Condition{Kind: order.AlarmBattery, Subject: "bike-1", Device: "bike-1", Venue: "north", Detail: "low"},
		RaisedAt: now.Add(-time.Hour), SeenAt: now.Add(-20 * time.Second), Times: 1, AckedAt: now.Add(-time.Minute), AckedBy: "ann", Comment: "the key is under the mat", Version: 3}
	lately, byHand := north, north
	lately.ClearedAt = now.Add(-time.Minute)
	byHand.ClearedAt, byHand.ClearedBy = now.Add(-time.Minute), "ann"
	condition := north.Condition
	condition.Venue = "south"
	for name, test := range map[string]struct {
		was     order.Alarm
		cleared int
	}{"open": {north, 1}, "ended lately": {lately, 0}, "cleared by hand": {byHand, 0}} {
		t.Run(name, func(t *testing.T) {
			w := watched{known: []order.Alarm{test.was}}
			for s := range 60 {
				w.look(now.Add(time.Duration(s)*time.Second), condition)
			}
			if w.raised != 1 || w.cleared != test.cleared || len(w.known) != 2 {
				t.Fatalf("%d raised, %d cleared, want 1 and %d: %+v", w.raised, w.cleared, test.cleared, w.known)
			}
			if old := w.known[0]; old.Open() || old.Venue != "north" || old.Comment != north.Comment || old.AckedBy != "ann" {
				t.Errorf("the old venue's is %+v", old)
			}
			if own := w.known[1]; !own.Open() || own.Venue != "south" || own.Comment != "" || own.AckedBy != "" || !own.RaisedAt.Equal(now) {
				t.Errorf("the new venue's is %+v", own)
			}
		})
	}
}
