package live

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// TestFiltersPickWhatTheConsolePicks reads the file that the console's own test reads.
func TestFiltersPickWhatTheConsolePicks(t *testing.T) {
	b, err := os.ReadFile("testdata/filter.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Venues  map[string]string
		Devices []struct {
			ID, Venue, Firmware            string
			Kind, Service, State, Problems int
			Battery                        int
			Lat, Lng                       *int32
		}
		Filters []struct {
			Filter Filter
			Picks  []string
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, test := range file.Filters {
		picks, err := test.Filter.compile()
		if err != nil {
			t.Fatalf("%+v: %v", test.Filter, err)
		}
		got := []string{}
		for _, d := range file.Devices {
			r := row{id: device.ID(d.ID), venue: d.Venue, firmware: d.Firmware, kind: []device.Kind{device.Lock, device.Pump}[d.Kind], service: uint8(d.Service), state: uint8(d.State),
				problems: uint16(d.Problems), battery: int8(d.Battery)}
			if d.Lat != nil {
				r.lat, r.lng, r.placed = *d.Lat, *d.Lng, true
			}
			if picks(r, file.Venues[d.Venue]) {
				got = append(got, d.ID)
			}
		}
		if !slices.Equal(got, test.Picks) {
			t.Errorf("%+v picks %v, want %v", test.Filter, got, test.Picks)
		}
	}
	if len(file.Filters) < 10 || len(StateWords) != retired+1 || 1<<(len(ProblemWords)-1) != ProblemJammed {
		t.Error("words and numbers do not go together")
	}
	for _, wrong := range []Filter{{Kind: "boat"}, {State: "lost"}, {Service: "gone"}, {Problem: "none"}, {Battery: "0"}, {Battery: "x"}, {Box: "1,2,3"}, {Box: "3,2,1,4"}} {
		if _, err := wrong.compile(); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
}

// TestAKindIsItsOwnWord: whatever kinds there come to be, a console is told which.
func TestAKindIsItsOwnWord(t *testing.T) {
	drum, _ := show(order.FleetRow{ID: "drum", Kind: "washer"}, order.Glimpse{}, order.Venue{}, order.DefaultPreferences(), time.Now(), row{})
	bike, _ := show(order.FleetRow{ID: "bike", Kind: device.Lock}, order.Glimpse{}, order.Venue{}, order.DefaultPreferences(), time.Now(), row{})
	var said struct {
		Kinds []string
		Kind  []int
	}
	if err := json.Unmarshal(columns([]row{drum, bike}, "c", 3, time.Now()), &said); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(said.Kinds, []string{"washer", "lock"}) || !slices.Equal(said.Kind, []int{0, 1}) {
		t.Errorf("a washer and a lock are %+v", said)
	}
	if one := string(drum.json(nil)); !strings.Contains(one, `"kind":"washer"`) {
		t.Errorf("on the stream a washer is %s", one)
	}
}

// TestADeviceThatDoesNotServeIsCounted: each service has a state of its own, and what is in
// maintenance, or jammed, is a problem at once; a retired device is none.
func TestADeviceThatDoesNotServeIsCounted(t *testing.T) {
	for _, c := range []struct {
		service  device.Service
		jammed   bool
		state    string
		problems []string
	}{
		{device.InService, false, "available", nil},
		{device.InService, true, "available", []string{"jammed"}},
		{device.Maintenance, false, "maintenance", []string{"maintenance"}},
		{device.Maintenance, true, "maintenance", []string{"maintenance", "jammed"}},
		{device.OutOfService, false, "out_of_service", []string{"out_of_service"}},
		{device.Retired, true, "retired", nil},
	} {
		f := order.FleetRow{ID: "bike-1", Kind: device.Lock, Service: c.service, HeardAt: time.Now(), Jammed: c.jammed, Outlets: 1}
		state, problems := Glance(f, order.Glimpse{}, order.Venue{}, order.DefaultPreferences(), time.Now())
		if state != c.state || problems == nil || !slices.Equal(problems, c.problems) {
			t.Errorf("%s, jammed %v: %s %q, want %s %q", c.service, c.jammed, state, problems, c.state, c.problems)
		}
	}
}
