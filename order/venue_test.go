package order

import (
	"errors"
	"testing"
	"time"
)

func TestVenueServesWithinItsHoursAndWhileItsSwitchIsOn(t *testing.T) {
	// 2026-11-23 is a Monday.
	for _, c := range []struct {
		hours, at string
		want      bool
	}{
		{"", "2026-11-23 03:00", true},
		{"24/7", "2026-11-23 03:00", true},
		{"Mo-Fr 06:00-23:00", "2026-11-23 05:59", false},
		{"Mo-Fr 06:00-23:00", "2026-11-23 06:00", true},
		{"Mo-Fr 06:00-23:00", "2026-11-23 22:59", true},
		{"Mo-Fr 06:00-23:00", "2026-11-23 23:00", false},
		{"Mo-Fr 06:00-23:00", "2026-11-28 12:00", false},
		{"Mo-Fr 06:00-12:00,13:00-18:00", "2026-11-23 12:30", false},
		{"06:00-23:00; Su off", "2026-11-29 12:00", false},
		{"06:00-23:00; Su off", "2026-11-28 12:00", true},
		{"Sa,Su 20:00-02:00", "2026-11-30 01:59", true}, // begun on Sunday
		{"Sa,Su 20:00-02:00", "2026-11-30 02:00", false},
		{"Sa,Su 20:00-02:00", "2026-11-28 01:00", false}, // Friday has no evening
		{"Sa-Mo 08:00-24:00", "2026-11-23 23:59", true},
		{"Sa-Mo 08:00-24:00", "2026-11-24 00:00", false},
	} {
		h, err := ParseHours(c.hours)
		if err != nil {
			t.Fatalf("%q: %v", c.hours, err)
		}
		at, err := time.ParseInLocation("2006-01-02 15:04", c.at, local(time.Now(), "Asia/Shanghai").Location())
		if err != nil {
			t.Fatal(err)
		}
		v := Venue{TimeZone: "Asia/Shanghai", Open: true, Hours: h}
		if got := v.Serves(at.UTC()); got != c.want {
			t.Errorf("%q at %s: got %v, want %v", c.hours, c.at, got, c.want)
		}
		if v.Open = false; v.Serves(at) {
			t.Errorf("%q at %s: a closed venue serves", c.hours, c.at)
		}
	}
}

func TestHoursThatCannotBeMeantAreRefused(t *testing.T) {
	for _, text := range []string{"always", "Mo-Fr", "Mo-Fr 6-23", "Mo-Fr 06:00", "Mo 06:00-06:00", "Xx 06:00-23:00", "Mo 25:00-26:00",
		"Mo 06:61-07:00", "Mo off", "Mo 06:00-23:00;", "06:00-+1:00", "Mo 24:00-25:00", "Mo-Fr 06:00-23:00 off"} {
		if h, err := ParseHours(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v, want ErrInvalid", text, h, err)
		}
	}
}

func TestFenceHoldsWhatIsInItsRingsAndNotInTheirHoles(t *testing.T) {
	square := func(lat, lng, side float64) []Point {
		return []Point{{lat, lng}, {lat, lng + side}, {lat + side, lng + side}, {lat + side, lng}, {lat, lng}}
	}
	f := Fence{{square(30, 120, 4), square(31, 121, 1)}, {square(40, 120, 1)}}
	if err := f.check(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		p    Point
		want bool
	}{{Point{30.5, 120.5}, true}, {Point{31.5, 121.5}, false}, {Point{33, 123}, true}, {Point{40.5, 120.5}, true},
		{Point{36, 121}, false}, {Point{30.5, 125}, false}, {Point{30.5, 119}, false}} {
		if got := f.Holds(c.p); got != c.want {
			t.Errorf("%v: got %v, want %v", c.p, got, c.want)
		}
	}
	if !(Fence)(nil).Holds(Point{}) {
		t.Error("no fence holds nothing; want everything")
	}
	bowtie := []Point{{30, 120}, {31, 121}, {30, 121}, {31, 120}, {30, 120}}
	line := []Point{{30, 120}, {31, 121}, {32, 122}, {30, 120}}
	for _, bad := range []Fence{{{bowtie}}, {{line}}, {{{{30, 120}, {30, 120}, {30, 120}, {30, 120}}}}, {{}}, {{square(30, 120, 1)[:3]}}, {{square(30, 120, 1)[:4]}}, {{square(89, 120, 4)}}} {
		if err := bad.check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: got %v, want ErrInvalid", bad, err)
		}
	}
}
