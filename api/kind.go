package api

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Kind is what a device is. Which there are is order's to say.
type Kind string

// Schema implements huma.SchemaProvider.
func (Kind) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, k := range order.Kinds() {
		s.Enum = append(s.Enum, string(k))
	}
	s.PrecomputeMessages()
	return s
}

// untilEnded names what an active order waits for.
func untilEnded(k device.Kind) string {
	switch k {
	case device.Lock:
		return "ride_until_closed"
	case device.Pump:
		return "fuel_until_hung_up"
	}
	return "use_until_ended"
}

func kindOf(k device.Kind) Kind { return Kind(k) }
