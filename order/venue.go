package order

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Venue is what a decision needs to know of a venue.
type Venue struct {
	ID       string
	Name     string
	TimeZone string // IANA
	Open     bool   // the switch that every start reads
	Hours    Hours  // when riders may start, while Open
	// KioskOnly forbids starting on the forecourt: the code must hang at the kiosk.
	KioskOnly bool
	// Stopped: an emergency stop is on its way to every device that a stop can end.
	Stopped bool
	// Halted: a device here is stopped; for display.
	Halted   bool
	Lat, Lng float64
	// StartRadius is how far from the device a rider may be, metres; 0 = anywhere.
	StartRadius int
	Fence       Fence // where its devices belong; nil = anywhere
	Phone       string
}

// Serves tells whether riders may start here at a moment: the switch is on and the
// moment is within opening hours. What runs already may end at any time.
func (v Venue) Serves(at time.Time) bool { return v.Open && v.Hours.open(local(at, v.TimeZone)) }

// Check returns an ErrInvalid that says which fact cannot be meant.
func (v Venue) Check() error {
	if _, err := time.LoadLocation(v.TimeZone); err != nil || v.TimeZone == "" || v.TimeZone == "Local" {
		return fmt.Errorf("venue %s: time zone %q is not known; use a name such as Asia/Shanghai: %w", v.ID, v.TimeZone, ErrInvalid)
	}
	if err := v.Fence.check(); err != nil {
		return fmt.Errorf("venue %s: %w", v.ID, err)
	}
	return nil
}

// local is a moment in a venue's time zone. A zone that this machine does not know
// counts as UTC; venues are checked when they are made.
func local(at time.Time, zone string) time.Time {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		loc = time.UTC
	}
	return at.In(loc)
}

// Hours are opening hours as OpenStreetMap writes them, in the part of that syntax
// that venues need: rules such as "Mo-Fr 06:00-23:00; Sa,Su 08:00-22:00; We off",
// the later of which replaces the earlier on its days. A span may pass midnight
// ("22:00-02:00"). "" and "24/7" are always.
//
// Source: https://wiki.openstreetmap.org/wiki/Key:opening_hours/specification
type Hours struct {
	text string
	days [7][]span // by time.Weekday; used where text is not ""
}

// span is a stretch of a day, minutes from its midnight; to may pass 1440.
type span struct{ from, to int }

// String is the text that ParseHours reads.
func (h Hours) String() string { return h.text }

// Equal tells whether both are written the same.
func (h Hours) Equal(o Hours) bool { return h.text == o.text }

// weekdays are in the order of a week that begins on Monday.
var weekdays = []string{"Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"}

// ParseHours reads opening hours. ErrInvalid: a rule is none of those that Hours
// names, or nothing is ever open.
func ParseHours(text string) (Hours, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "24/7" {
		return Hours{}, nil
	}
	h := Hours{text: text}
	for rule := range strings.SplitSeq(text, ";") {
		if err := h.add(strings.TrimSpace(rule)); err != nil {
			return Hours{}, fmt.Errorf("opening hours %q: %w; write such as \"Mo-Fr 06:00-23:00; Sa,Su 08:00-22:00\": %w", text, err, ErrInvalid)
		}
	}
	for _, d := range h.days {
		if len(d) > 0 {
			return h, nil
		}
	}
	return Hours{}, fmt.Errorf("opening hours %q are never; close the venue by its switch instead: %w", text, ErrInvalid)
}

func (h *Hours) add(rule string) error {
	days, times, ok := strings.Cut(rule, " ")
	if !ok { // one word: times on every day, or days without times
		if strings.ContainsAny(rule, "0123456789") {
			days, times = "Mo-Su", rule
		} else {
			return fmt.Errorf("%q names no times", rule)
		}
	}
	on, err := parseDays(days)
	if err != nil {
		return err
	}
	var spans []span
	if times = strings.TrimSpace(times); times != "off" && times != "closed" {
		for part := range strings.SplitSeq(times, ",") {
			from, to, ok := strings.Cut(strings.TrimSpace(part), "-")
			f, errFrom := parseClock(from, 23*60+59)
			t, errTo := parseClock(to, 24*60)
			if !ok || errFrom != nil || errTo != nil || f == t {
				return fmt.Errorf("%q is no span of time", part)
			}
			if t < f {
				t += 24 * 60
			}
			spans = append(spans, span{f, t})
		}
	}
	for d := range h.days {
		if on[d] {
			h.days[d] = spans
		}
	}
	return nil
}

// parseDays reads "Mo-Fr,Su"; a range may pass Sunday.
func parseDays(text string) (on [7]bool, err error) {
	number := func(name string) int {
		for i, d := range weekdays {
			if d == name {
				return i
			}
		}
		return -1
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		a, b := number(first), number(last)
		if a < 0 || b < 0 {
			return on, fmt.Errorf("%q names no days of %s", part, strings.Join(weekdays, ", "))
		}
		for d := a; ; d = (d + 1) % 7 {
			on[(d+1)%7] = true // time.Weekday begins on Sunday
			if d == b {
				break
			}
		}
	}
	return on, nil
}

// parseClock reads "06:30" as minutes, at most most.
func parseClock(text string, most int) (int, error) {
	hour, minute, ok := strings.Cut(text, ":")
	h, errHour := strconv.Atoi(hour)
	m, errMinute := strconv.Atoi(minute)
	if !ok || len(hour) != 2 || len(minute) != 2 || strings.Trim(hour+minute, "0123456789") != "" || errHour != nil || errMinute != nil ||
		m > 59 || h*60+m > most {
		return 0, fmt.Errorf("%q is no time of day", text)
	}
	return h*60 + m, nil
}

// open tells whether a local moment is within the hours; the end of a span is not.
func (h Hours) open(at time.Time) bool {
	if h.text == "" {
		return true
	}
	minute := at.Hour()*60 + at.Minute()
	for _, s := range h.days[at.Weekday()] {
		if minute >= s.from && minute < s.to {
			return true
		}
	}
	for _, s := range h.days[(at.Weekday()+6)%7] { // what yesterday began
		if minute+24*60 < s.to {
			return true
		}
	}
	return false
}

// Point is a position, WGS-84 degrees.
type Point struct{ Lat, Lng float64 }

// Fence is an area: polygons, each an outer ring and the holes in it, as in a
// GeoJSON MultiPolygon (RFC 7946). A ring's last point is its first.
type Fence [][][]Point

// fenceMost bounds the points of a fence.
const fenceMost = 2_000

func (f Fence) check() error {
	points := 0
	for _, polygon := range f {
		if len(polygon) == 0 {
			return fmt.Errorf("geofence: a polygon without a ring: %w", ErrInvalid)
		}
		for _, ring := range polygon {
			if len(ring) < 4 || ring[0] != ring[len(ring)-1] {
				return fmt.Errorf("geofence: a ring needs four points or more, the last of them its first: %w", ErrInvalid)
			}
			for _, p := range ring {
				if !(math.Abs(p.Lat) <= 90 && math.Abs(p.Lng) <= 180) {
					return fmt.Errorf("geofence: %v, %v is no position; a point is [longitude, latitude]: %w", p.Lng, p.Lat, ErrInvalid)
				}
			}
			points += len(ring)
			if points > fenceMost {
				return fmt.Errorf("geofence: more than %d points: %w", fenceMost, ErrInvalid)
			}
			if err := checkRing(ring); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRing refuses a ring without an area and one that crosses itself, which RFC 7946
// does not know. Each edge is held against each other one.
func checkRing(ring []Point) error {
	area := 0.0
	for i := 1; i < len(ring); i++ {
		area += (ring[i-1].Lng - ring[0].Lng) * (ring[i].Lat - ring[0].Lat)
		area -= (ring[i].Lng - ring[0].Lng) * (ring[i-1].Lat - ring[0].Lat)
	}
	if math.Abs(area) < 1e-12 { // a few square centimetres
		return fmt.Errorf("geofence: a ring has no area: %w", ErrInvalid)
	}
	// Which side of the line from a to b the point c is on.
	side := func(a, b, c Point) float64 { return (b.Lng-a.Lng)*(c.Lat-a.Lat) - (b.Lat-a.Lat)*(c.Lng-a.Lng) }
	for i := 1; i < len(ring); i++ {
		for j := i + 2; j < len(ring); j++ {
			a, b, c, d := ring[i-1], ring[i], ring[j-1], ring[j]
			if side(a, b, c)*side(a, b, d) < 0 && side(c, d, a)*side(c, d, b) < 0 {
				return fmt.Errorf("geofence: a ring crosses itself near %v, %v: %w", b.Lng, b.Lat, ErrInvalid)
			}
		}
	}
	return nil
}

// Holds tells whether a position is within the fence; everything is within none. A
// point is inside of a ring that a ray from it crosses an odd number of times.
// Fences are small, so that degrees serve as a plane; none may cross the
// antimeridian.
func (f Fence) Holds(p Point) bool {
	if len(f) == 0 {
		return true
	}
	for _, polygon := range f {
		inside := false
		for _, ring := range polygon { // a hole turns it round
			for i := 1; i < len(ring); i++ {
				a, b := ring[i-1], ring[i]
				if (a.Lat > p.Lat) != (b.Lat > p.Lat) && p.Lng < (b.Lng-a.Lng)*(p.Lat-a.Lat)/(b.Lat-a.Lat)+a.Lng {
					inside = !inside
				}
			}
		}
		if inside {
			return true
		}
	}
	return false
}
