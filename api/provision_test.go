package api

import (
	"slices"
	"testing"
)

func TestAPositionFarFromItsVenueIsDoubted(t *testing.T) {
	fence := &Area{Type: "MultiPolygon", Coordinates: [][][][2]float64{{{{51, 1}, {52, 1}, {52, 2}, {51, 2}, {51, 1}}}}}
	placed, fenced, nowhere := Venue{ID: "v"}, Venue{ID: "v"}, Venue{ID: "v"}
	placed.Lat, placed.Lng = 1.5, 51.5
	fenced.Fence = fence
	n := func(f float64) *float64 { return &f }
	const outside, swapped, half = "its position is outside of the geofence of venue v", "with lat and lng swapped it would be near",
		"lat and lng go together: no position is noted"
	for name, c := range map[string]struct {
		venue    Venue
		lat, lng *float64
		want     []string
	}{
		"none":                        {placed, nil, nil, nil},
		"half":                        {placed, n(1.5), nil, []string{half}},
		"19.5 km off":                 {placed, n(1.6754), n(51.5), nil},
		"20.5 km off":                 {placed, n(1.6844), n(51.5), []string{"its position is 21 km from venue v"}},
		"swapped, by the place":       {placed, n(51.5), n(1.5), []string{"its position is 7243 km from venue v", swapped}},
		"swapped, by the fence":       {fenced, n(51.5), n(1.5), []string{outside, swapped}},
		"outside, swapped as well":    {fenced, n(10), n(11), []string{outside}},
		"swapped there is no such":    {fenced, n(1.5), n(120), []string{outside}},
		"inside":                      {fenced, n(1.5), n(51.5), nil},
		"a venue that stands nowhere": {nowhere, n(80), n(170), nil},
	} {
		if got := c.venue.Doubts(c.lat, c.lng); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestDistancesReadAsPeopleSayThem(t *testing.T) {
	for lat, want := range map[float64]string{0: "0 m", 0.00036: "40 m", 0.008985: "999 m", 0.009: "1.0 km", 0.0225: "2.5 km", 0.0894: "9.9 km", 0.09: "10 km", 1.7087: "190 km"} {
		if got := Apart(0, 0, lat, 0); got != want {
			t.Errorf("%v degrees: got %s, want %s", lat, got, want)
		}
	}
}
