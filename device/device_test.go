package device_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device"
)

func TestADeviceIDIsSafeInATopic(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "Bike_7-b": true, strings.Repeat("x", 24): true,
		"": false, strings.Repeat("x", 25): false, "a/b": false, "a+": false, "#": false, "a.b": false, "é": false, "a b": false,
		"a\x00": false, "*": false, ">": false,
	} {
		if err := device.ID(id).Check(); (err == nil) != ok || err != nil && !errors.Is(err, device.ErrBadID) {
			t.Errorf("id %q: got %v, want accepted %v", id, err, ok)
		}
	}
}

func TestAvailabilityNamesTheReasonThatStaffWouldWantFirst(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fresh := device.Sample{Boot: bootA, Uptime: 5, At: now.Add(-time.Minute)}
	closed := device.Stated{Known: true, Closed: true, Boot: bootA}
	beaten := device.Head{Boot: bootA}
	for _, c := range []struct {
		name     string
		d        device.Device
		o        device.Outlet
		reserved bool
		want     device.Availability
	}{
		{"serves", device.Device{Service: device.InService, Sample: fresh, Head: beaten}, device.Outlet{Stated: closed}, false, device.Available},
		{"never said whether it is closed", device.Device{Service: device.InService, Sample: fresh, Head: beaten}, device.Outlet{}, false, device.Available},
		{"never heard", device.Device{Service: device.InService}, device.Outlet{Stated: closed}, false, device.NonContactable},
		{"sample of ten minutes ago", device.Device{Service: device.InService, Sample: device.Sample{Boot: bootA, At: now.Add(-device.SampleLife)}},
			device.Outlet{Stated: closed}, false, device.NonContactable},
		{"only evidence since we were restored", device.Device{Service: device.InService, Sample: fresh}, device.Outlet{Stated: closed}, false, device.NonContactable},
		{"stands open", device.Device{Service: device.InService, Sample: fresh, Head: beaten}, device.Outlet{Stated: device.Stated{Known: true}}, false, device.NonOperational},
		{"blocked and silent", device.Device{Service: device.InService}, device.Outlet{Block: device.Unproven}, false, device.NonOperational},
		{"waits until it is closed", device.Device{Service: device.InService, Sample: fresh, Head: beaten}, device.Outlet{Block: device.AwaitClosed}, false, device.NonOperational},
		{"in use and open", device.Device{Service: device.InService, Sample: fresh, Head: beaten}, device.Outlet{Order: "o", Stated: device.Stated{Known: true}}, false, device.InUse},
		{"waits for a payment", device.Device{Service: device.InService, Sample: fresh, Head: beaten}, device.Outlet{Order: "o"}, true, device.Reserved},
		{"maintenance in a ride", device.Device{Service: device.Maintenance, Sample: fresh, Head: beaten}, device.Outlet{Order: "o"}, false, device.NonOperational},
		{"distrusted", device.Device{Service: device.OutOfService, Sample: fresh, Head: beaten}, device.Outlet{}, false, device.NonOperational},
		{"retired", device.Device{Service: device.Retired, Sample: fresh, Head: beaten}, device.Outlet{Order: "o"}, true, device.Removed},
		{"unknown service word", device.Device{Service: "", Sample: fresh, Head: beaten}, device.Outlet{}, false, device.NonOperational},
	} {
		if got := c.d.Availability(c.o, c.reserved, now); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
