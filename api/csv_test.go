package api

import (
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// TestACellIsReadBackAsWhatItIs: a text never becomes a formula, and a figure below zero
// stays a figure.
func TestACellIsReadBackAsWhatItIs(t *testing.T) {
	south, percent := -33.856784, 7
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("", 8*3600))
	for want, values := range map[string][]any{
		"'=1+1":                {"=1+1", device.ID("=1+1")},
		"'-5":                  {"-5"},
		"'＝A1":                 {"＝A1"},
		"bike-1":               {"bike-1", device.ID("bike-1")},
		"-0.50":                {billing.Fen(-50)},
		"1.50":                 {billing.Fen(150)},
		"-33.856784":           {&south},
		"-3":                   {-3, int64(-3)},
		"7":                    {&percent, uint8(7), uint64(7)},
		"true":                 {true},
		"2026-11-23T04:00:00Z": {at, &at},
		"":                     {"", (*float64)(nil), (*int)(nil), time.Time{}, (*time.Time)(nil)},
	} {
		for _, value := range values {
			if got := cellOf(value); got != want {
				t.Errorf("%T %v is written %q, want %q", value, value, got, want)
			}
		}
	}
}

// TestASetNamesItsDevicesAndNoOthers: whatever their order; their number does not do.
func TestASetNamesItsDevicesAndNoOthers(t *testing.T) {
	set := setOf([]device.ID{"bike-2", "bike-1"})
	if set != setOf([]device.ID{"bike-1", "bike-2"}) || len(set) != 32 {
		t.Errorf("one set has two names, or %q is none", set)
	}
	for _, other := range [][]device.ID{{"bike-1", "bike-3"}, {"bike-1bike-2"}, {"bike-1"}, nil} {
		if setOf(other) == set {
			t.Errorf("%q is named as bike-1 and bike-2 are", other)
		}
	}
}
