package api

import (
	"math"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// TestAStartIsDatedByTheWordThatToldTheUptime: a device is heard again by words that date
// no better, and that moves no start.
func TestAStartIsDatedByTheWordThatToldTheUptime(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	sample := device.Sample{Boot: device.Boot{1}, Uptime: 90_000, At: at}
	start := at.Add(-90 * time.Second)
	for heard, row := range map[time.Duration]order.DeviceRow{
		0:         {Device: device.Device{Sample: sample, HeardAt: at}},
		time.Hour: {Device: device.Device{Sample: sample, HeardAt: at.Add(time.Hour)}},
	} {
		if got := saysOf(row, nil).StartedAt; got == nil || !got.Equal(start) {
			t.Errorf("heard %s later: started %v, want %v", heard, got, start)
		}
	}
	for name, s := range map[string]device.Sample{
		"no sample":           {},
		"of no boot":          {Uptime: 5, At: at},
		"an absurd uptime":    {Boot: device.Boot{1}, Uptime: math.MaxUint64, At: at},
		"a sample of no time": {Boot: device.Boot{1}, Uptime: 5},
	} {
		if got := saysOf(order.DeviceRow{Device: device.Device{Sample: s, HeardAt: at}}, nil).StartedAt; got != nil {
			t.Errorf("%s: started %v", name, got)
		}
	}
}
