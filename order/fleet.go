package order

import (
	"time"

	"github.com/unlatch/unlatch/device"
)

// FleetRow is a device as a glance at the whole fleet needs it: what the tables say, one
// row per device whatever it has of outlets and orders. What is unsigned is a Glimpse.
type FleetRow struct {
	ID       device.ID
	Kind     device.Kind
	Venue    string
	Service  device.Service
	Stopped  bool      // an emergency stop is in force
	HeardAt  time.Time // zero = never
	Firmware string
	Lat, Lng *float64 // WGS-84 degrees
	PlacedAt time.Time
	// Behind: it does not know the installation's signing key alone.
	Behind bool
	// Lag is by how much the device's clock fell behind the database's since its boot, as
	// far as its newest sample tells; 0 = not known, or not behind.
	Lag time.Duration
	// Up is for how long that boot has run.
	Up time.Duration

	Outlets  int
	Orders   int       // live ones
	Pending  int       // of them, those that only wait for a payment
	Unproven int       // of them, those of which nobody knows whether they began
	Blocked  bool      // an outlet takes no order until its device has spoken
	Open     bool      // an outlet is stated open and nobody uses it
	Jammed   bool      // the newest word on a start was that the bolt would not move
	Kept     time.Time // until when an outlet is kept for a rider; zero = none is
	Began    time.Time // when the oldest live order reached its state; zero = none
	Doubted  time.Time // when the oldest of the Unproven became one; zero = none

	Gap      bool // evidence waits behind a gap
	Item     bool // an open item names it
	Failures int  // unlocks of the venue's day that came to nothing; not those that riders cancelled
}

// Glimpse is what a device last said without signing it, for eyes only.
type Glimpse struct {
	Battery *int // percent; nil = not told
	At      *Point
	Placed  time.Time      // when it told At
	Meters  map[uint8]Live // by outlet; must not be changed
}

// Drifts tells whether a device's clock is worse than the wire contract allows: it fell
// behind by more than 200 ppm of its uptime, and by ten seconds more than a slow network
// explains.
func (r FleetRow) Drifts() bool { return r.Lag > 10*time.Second+r.Up/5000 }
