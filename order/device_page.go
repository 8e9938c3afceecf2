package order

import (
	"time"

	"github.com/unlatch/unlatch/device"
)

// Note is what a member of staff wrote about a device for the others.
type Note struct {
	ID     string // UUIDv7
	Device device.ID
	Text   string // 1 to 2000 characters
	Staff  string // who wrote it
	Name   string // of Staff; "" where they are nobody any more
	At     time.Time
}

// Hop is a step of a command's way that a replica saw, a while before it is written.
type Hop struct {
	Command string
	Acked   bool // the ack of its answer left; else the command itself did
	At      time.Time
}

// Hops is a command's way by the database's clock, for eyes only. What nobody noted, or
// what was lost on its way here, is zero.
type Hops struct {
	Sends  int       // how often its bytes were due to leave
	Handed time.Time // the broker took it first
	Acked  time.Time // the ack of its answer was handed to the broker
	Tried  bool      // its device proved that it tried and failed; a refusal proves that nothing moved
}

// EvidenceAt is a place in the list of a device's evidence; the zero value is its head.
type EvidenceAt struct {
	Epoch   uint32
	Journal device.Journal
	Seq     uint64
}

// Hit is what a search found.
type Hit struct {
	Kind  string // device, order, rider, code or venue
	ID    string
	Title string
}
