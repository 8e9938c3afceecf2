package sim

import (
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// Lock is a lock's body: what is physically true, whatever any message says.
// Tests hold the evidence against it. It keeps its state without power.
type Lock struct {
	Closed bool `json:"closed"`
	// Opens counts every opening there ever was, commanded or forced.
	Opens uint64 `json:"opens"`
	// Rings counts the noises made.
	Rings uint64 `json:"rings"`
	// Jammed: the motor cannot draw the bolt. A hand still can.
	Jammed bool `json:"jammed"`
	// Battery is the charge in percent, 0 to 100.
	Battery uint8 `json:"battery"`
	// Movements are the openings by motor, in order.
	Movements []Movement `json:"movements"`
}

// Movement is one opening by the motor.
type Movement struct {
	Device string    `json:"device"`
	Outlet uint8     `json:"outlet"`
	Epoch  uint32    `json:"epoch"`
	Seq    uint64    `json:"seq"`
	Order  wire.ID   `json:"order"`
	At     time.Time `json:"at"`        // true time
	Uptime uint64    `json:"uptime_ms"` // the device's clock, ms
}

// NewLock is a lock as it leaves the works: shut, charged, never opened.
func NewLock() *Lock { return &Lock{Closed: true, Battery: 100} }

// drive lets the motor draw the bolt and reports whether it did. A jammed bolt
// is driven back and stays shut.
func (l *Lock) drive(m Movement) bool {
	if l.Jammed {
		return false
	}
	l.Closed = false
	l.Opens++
	l.Movements = append(l.Movements, m)
	return true
}

// shut is a hand pushing the bolt home; false: it was.
func (l *Lock) shut() bool {
	was := l.Closed
	l.Closed = true
	return !was
}

// force is a hand tearing the bolt open; false: it was.
func (l *Lock) force() bool {
	if !l.Closed {
		return false
	}
	l.Closed = false
	l.Opens++
	return true
}
