package device

import (
	"errors"
	"fmt"
	"reflect"
	"time"
)

// ErrBadID says that a device id is not 1 to 24 of [A-Za-z0-9_-].
var ErrBadID = errors.New("a device id is 1 to 24 letters, digits, '_' or '-'")

// ID names one controller; it is its MQTT user name, client id and topic level.
type ID string

// Check returns ErrBadID unless the id may be used in a topic and a subject.
func (id ID) Check() error {
	if len(id) < 1 || len(id) > 24 {
		return fmt.Errorf("%q: %w", string(id), ErrBadID)
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return fmt.Errorf("%q: %w", string(id), ErrBadID)
		}
	}
	return nil
}

// Kind is what a device is. Every kind shares the command life, the evidence
// journal and the order table; what is its own is in a file of its own name, in
// each package that has something to say about it.
type Kind string

// Service says whether a device may serve riders at all.
type Service string

// InService serves. Maintenance is the staff's switch. OutOfService is the server's
// own verdict (lost flash, contradicting evidence) and ends only by re-provisioning.
// Retired is for good. An emergency stop stands beside them: see Halt.
const (
	InService    Service = "in_service"
	Maintenance  Service = "maintenance"
	OutOfService Service = "out_of_service"
	Retired      Service = "retired"
)

// Boot is drawn at random by a device each time it starts; the zero value means
// that the device has not spoken.
type Boot [8]byte

// Journal names one formatting of a device's flash.
type Journal [8]byte

// Device is one controller and what it has proved about itself.
type Device struct {
	ID            ID
	Kind          Kind
	Venue         string
	Epoch         uint32 // raised by each provisioning; keys belong to one epoch
	PublicKey     []byte // Ed25519, 32 bytes
	Service       Service
	ServiceReason string // why it is not in service, in words for staff
	Halt          *Halt  // the emergency stop in force; nil = none
	Told          int64  // the newest stop of a venue that reached the device; 0 = none

	Journal  Journal // zero until the first evidence or beat of this epoch
	Applied  uint64  // evidence 1..Applied of Journal is applied or lost
	LostUpTo uint64  // the highest evidence number that was closed as lost, or answers a start for another use
	Boots    []BootSeen
	Head     Head // the newest beat, kept until the evidence up to it is here
	Sample   Sample
	Spare    Sample    // stands by for Sample, which is older; see Clock. The zero value: none
	HeardAt  time.Time // database clock of the newest verified word; zero = never
	Firmware string

	// Display says that the device shows rotating codes and needs the time for it.
	// Timed is the boot that was last told the time, TimedAt when.
	Display bool
	Timed   Boot
	TimedAt time.Time

	// Bluetooth says that a rider's phone can carry commands and words for it.
	Bluetooth bool

	// ServerKey names the server's key that the device is proved to accept, by which
	// commands and acks to it are signed; "" = the one that it was provisioned with,
	// before keys were named. Rekey is how far its change to another one is; nil: it
	// knows none but ServerKey.
	ServerKey string
	Rekey     *Rekey

	Version int64 // of the row; 0 = not stored yet
}

// Rekey is a device on its way to another key of the server's. See order's rekey.
type Rekey struct {
	Step RekeyStep `json:"step"`
	Seq  uint64    `json:"seq"` // of the command of this step, on the first outlet
	At   time.Time `json:"at"`  // when it was published
}

// RekeyStep is what the last command did.
type RekeyStep string

// Shown: a config, signed by the old key, brought the new one. Tried: a probe that
// only the new key verifies. Alone: a config, signed by the new key, that drops the
// old one.
const (
	KeyShown RekeyStep = "shown"
	KeyTried RekeyStep = "tried"
	KeyAlone RekeyStep = "alone"
)

// Halt is an emergency stop in force for a device. Whoever began it, only a hand at
// the device ends it, and only one that came after it: a release that was already on
// its way proves that nobody looked.
type Halt struct {
	Reason string `json:"reason"`
	// Seqs are the numbers of the stops that the server sent, by outlet; nil: the
	// device shut itself down.
	Seqs map[uint8]uint64 `json:"seqs,omitempty"`
}

// Releases tells whether a piece of evidence, which says that a hand released the
// device, came after the stop: the number of the server's stop was burned by then.
// What the device itself began precedes its release in the journal anyway.
func (h Halt) Releases(e Evidence) bool {
	seq, sent := h.Seqs[e.Outlet]
	return !sent || e.LastSeq >= seq
}

// BootSeen is one boot of a device as far as its words tell. The list in a Device
// keeps the newest 8, oldest first by Journalled, equal ones as first seen.
type BootSeen struct {
	Boot       Boot   `json:"boot"`
	Seq        uint64 `json:"seq"`        // number of its boot evidence; 0 = not applied (yet)
	Journalled uint64 `json:"journalled"` // highest number of evidence that a word of it stood at
	Offset     int64  `json:"offset"`     // min(received - uptime), unix ms; see Sample
	Beaten     bool   `json:"beaten"`     // at least one beat contributed to Offset
}

// Head is what the newest beat said of its journal and its outlets.
type Head struct {
	Boot    Boot             `json:"boot"`
	Uptime  uint64           `json:"uptime"`
	Highest uint64           `json:"highest"`
	LastSeq map[uint8]uint64 `json:"last_seq,omitempty"`
}

// Block says why an outlet takes no order although no order is live on it.
type Block string

// Unproven: an order was voided without proof and its command is still open.
// AwaitClosed: something moved or was ended from afar, and the device has not
// yet stated the outlet closed.
const (
	NotBlocked  Block = ""
	Unproven    Block = "unproven"
	AwaitClosed Block = "await_closed"
)

// Outlet is what a code names and one order uses.
type Outlet struct {
	Device  ID
	N       uint8  // 1..n; a lock has one
	Order   string // the live order, "" = none
	Block   Block
	NextSeq uint64 // the sequence number of the next command
	LastSeq uint64 // the highest that the device said it burned, this epoch

	Stated Stated // the newest statement about the bolt or valve
	Opens  uint64 // physical openings, as counted by the device
	Jammed bool   // the newest word on a start was that the bolt would not move; until it opens or staff put it into service
	Meter  Meter  // what flows through it; zero for kinds that meter nothing

	Reservation Reservation // for whom it is kept

	Version int64
}

// Same tells whether two states of an outlet are equal.
func (o Outlet) Same(other Outlet) bool { return reflect.DeepEqual(o, other) }

// Stated is a device's word on whether an outlet is closed, which is its safe
// state: a lock's bolt seen shut, a pump's valve shut and no start in force, with
// the moment on the device's clock at which it was so.
type Stated struct {
	Known  bool
	Closed bool
	Boot   Boot
	Uptime uint64
}

// Availability is what riders and open data see, in the words of MDS.
type Availability string

// The words of MDS 2.0, with in_use for on_trip.
const (
	Available      Availability = "available"
	Reserved       Availability = "reserved"
	InUse          Availability = "in_use"
	NonOperational Availability = "non_operational"
	NonContactable Availability = "non_contactable"
	Missing        Availability = "missing"
	Removed        Availability = "removed"
)

// Contactable tells whether a start may go to the device: its clock can be dated, and
// a beat has told which numbers it burned. A piece of evidence may be old and tells
// neither the newest number nor how the bolt is now; that matters where we were
// restored from a backup and what lies between is still to come.
func (d Device) Contactable(now time.Time) bool {
	return d.Clock(now).Fresh(now) && d.Head.Boot != Boot{}
}

// SampleLife is how long a clock sample may be used; DESIGN section 5.
const SampleLife = 10 * time.Minute

// Availability tells what o offers at now to anybody; reserved says that its order only
// waits for a payment. To the rider for whom it is kept it offers what it would without
// its Reservation. The order of the tests is the order in which staff would
// want to hear the reason.
func (d Device) Availability(o Outlet, reserved bool, now time.Time) Availability {
	switch {
	case d.Service == Retired:
		return Removed
	case d.Service != InService, d.Halt != nil:
		return NonOperational
	case o.Order != "" && reserved:
		return Reserved
	case o.Order != "":
		return InUse
	case o.Reservation.Holds(now):
		return Reserved
	case o.Block != NotBlocked:
		return NonOperational
	case !d.Contactable(now):
		return NonContactable
	case o.Stated.Known && !o.Stated.Closed:
		return NonOperational
	}
	return Available
}
