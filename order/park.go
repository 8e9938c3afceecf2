package order

import (
	"time"

	"github.com/unlatch/unlatch/device"
)

// standLife is how old a position may be, and how long ago a use may have ended, for
// the one to say where the other did.
const standLife = 5 * time.Minute

// parked opens an item when a bike that was just locked by its rider said that it is
// outside of its venue's geofence. The position is unsigned, so that nothing but
// staff's errands follows from it; nobody pays for it. An item is a bike's, however
// many uses end out there before somebody brings it back.
func (t *turn) parked(h Hear) error {
	at, e := h.Stands, h.Word.Evidence
	if at == nil || e == nil || e.Kind != device.SaidEnded || t.device.Kind != device.Lock || t.now.Sub(at.Said) > standLife ||
		t.snapshot.Venue == nil || t.snapshot.Venue.Fence.Holds(at.Point) {
		return nil
	}
	o := t.orders[e.Order]
	if o == nil || o.PayWith == PayService || o.EndedBy != DeviceEnded || !o.EndedAt.Equal(t.now) || o.Venue != t.snapshot.Venue.ID {
		return nil // this word did not end it
	}
	// Told late: it may have been carried anywhere since.
	if boot, known := placed(t.device.Boots, e.Boot); known && t.now.UnixMilli()-boot-int64(e.Uptime) > standLife.Milliseconds() {
		return nil
	}
	return t.item(ItemOutside, string(o.Device), o.ID, "it said that it is outside of the venue's geofence when it was locked")
}
