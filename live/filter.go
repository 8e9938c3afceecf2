package live

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Filter picks devices as the console's address does; empty fields pick everything.
// testdata/filter.json holds what console/web/lib/fleet.js and this must agree on.
type Filter struct {
	Q        string // part of the id, where zeros before a number may be left out, or of its venue's id or name; upper and lower case are the same
	Venue    string
	Kind     string // one of order.Kinds
	State    string // a word of StateWords
	Service  string // in_service, maintenance, out_of_service, retired
	Problem  string // a word of ProblemWords, or any
	Battery  string // below so many percent, 1 to 101; devices that never told are not below
	Firmware string
	Box      string   // south,west,north,east in degrees
	IDs      []string // only these; nil = all
}

// StateWords are the states of a row by their number.
var StateWords = []string{"available", "in_use", "reserved", "unresolved", "blocked", "offline", "maintenance", "stopped", "never_heard",
	"out_of_service", "retired"}

// ProblemWords are the problems of a row by their bit.
var ProblemWords = []string{"offline", "unresolved", "low_battery", "evidence_gap", "unlock_failures", "clock_drift", "outside", "open_item",
	"stopped", "out_of_service", "rekey", "maintenance", "jammed"}

var serviceWords = []string{string(device.InService), string(device.Maintenance), string(device.OutOfService), string(device.Retired)}

// Matching returns the devices that a filter picks, by id, of those that the scope holds.
// ErrUnread; order.ErrInvalid for a word that no filter knows.
func (h *Hub) Matching(ctx context.Context, scope Scope, f Filter) ([]device.ID, error) {
	picks, err := f.compile()
	if err != nil {
		return nil, err
	}
	m, err := h.look(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	rows := slices.Clone(m.rows)
	h.mu.Unlock()
	venues := map[string]string{}
	if f.Q != "" {
		list, err := h.c.Fleet.Venues(ctx)
		if err != nil {
			return nil, fmt.Errorf("names of venues: %w", err)
		}
		for _, v := range list {
			venues[v.ID] = v.Name
		}
	}
	ids := []device.ID{}
	for _, r := range rows {
		if (scope == nil || scope[r.venue]) && picks(r, venues[r.venue]) {
			ids = append(ids, r.id)
		}
	}
	return ids, nil
}

// compile turns a filter into a test of a row and the name of its venue.
func (f Filter) compile() (func(r row, venueName string) bool, error) {
	bad := func(field, value string, words ...string) error {
		return fmt.Errorf("%s %q is none of %s: %w", field, value, strings.Join(words, ", "), order.ErrInvalid)
	}
	word := func(field, value string, words []string) (int, error) {
		if value == "" {
			return -1, nil
		}
		if i := slices.Index(words, value); i >= 0 {
			return i, nil
		}
		return 0, bad(field, value, words...)
	}
	if f.Kind != "" && !slices.Contains(order.Kinds(), device.Kind(f.Kind)) {
		return nil, bad("kind", f.Kind, fmt.Sprint(order.Kinds()))
	}
	state, err := word("state", f.State, StateWords)
	if err != nil {
		return nil, err
	}
	service, err := word("service", f.Service, serviceWords)
	if err != nil {
		return nil, err
	}
	var problems uint16
	switch i := slices.Index(ProblemWords, f.Problem); {
	case f.Problem == "any":
		problems = ^uint16(0)
	case i >= 0:
		problems = 1 << i
	case f.Problem != "":
		return nil, bad("problem", f.Problem, append([]string{"any"}, ProblemWords...)...)
	}
	below := 0
	if f.Battery != "" {
		if below, err = strconv.Atoi(f.Battery); err != nil || below < 1 || below > 101 {
			return nil, bad("battery", f.Battery, "1 to 101")
		}
	}
	box, err := boxOf(f.Box)
	if err != nil {
		return nil, err
	}
	q := strings.ToLower(f.Q)
	var only map[device.ID]bool
	if f.IDs != nil {
		only = make(map[device.ID]bool, len(f.IDs))
		for _, id := range f.IDs {
			only[device.ID(id)] = true
		}
	}
	return func(r row, venueName string) bool {
		switch {
		case f.Venue != "" && r.venue != f.Venue, f.Firmware != "" && r.firmware != f.Firmware, only != nil && !only[r.id],
			f.Kind != "" && string(r.kind) != f.Kind, state >= 0 && int(r.state) != state, service >= 0 && int(r.service) != service,
			problems != 0 && r.problems&problems == 0, below > 0 && (r.battery < 0 || int(r.battery) >= below),
			box != nil && !box.holds(r):
			return false
		}
		return q == "" || strings.Contains(strings.ToLower(string(r.id)), q) || strings.Contains(unpadded(strings.ToLower(string(r.id))), q) ||
			strings.Contains(strings.ToLower(r.venue), q) ||
			strings.Contains(strings.ToLower(venueName), q)
	}, nil
}

// unpadded takes the zeros away that stand before a number: bike-017 is found as bike-17.
func unpadded(id string) string {
	b := make([]byte, 0, len(id))
	digit := func(i int) bool { return i >= 0 && i < len(id) && id[i] >= '0' && id[i] <= '9' }
	for i := range len(id) {
		inside := digit(i-1) && len(b) > 0 && b[len(b)-1] >= '0' && b[len(b)-1] <= '9' // of a number that has begun
		if id[i] == '0' && digit(i+1) && !inside {
			continue
		}
		b = append(b, id[i])
	}
	return string(b)
}

// box is a span of degrees, in millionths.
type box struct{ south, west, north, east float64 }

func boxOf(text string) (*box, error) {
	if text == "" {
		return nil, nil
	}
	bad := fmt.Errorf("box %q is not south,west,north,east in degrees: %w", text, order.ErrInvalid)
	parts := strings.Split(text, ",")
	if len(parts) != 4 {
		return nil, bad
	}
	var at [4]float64
	for i, p := range parts {
		n, err := strconv.ParseFloat(p, 64)
		if err != nil {
			return nil, bad
		}
		at[i] = n * 1e6
	}
	if !(at[0] < at[2] && at[1] < at[3]) {
		return nil, bad
	}
	return &box{at[0], at[1], at[2], at[3]}, nil
}

func (b *box) holds(r row) bool {
	lat, lng := float64(r.lat), float64(r.lng)
	return r.placed && lat >= b.south && lat <= b.north && lng >= b.west && lng <= b.east
}
