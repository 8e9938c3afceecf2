package device

import (
	"crypto/sha256"
	"time"
)

// EvidenceKind is what a piece of evidence states.
type EvidenceKind string

// The kinds of the wire contract, version 1.
const (
	Booted          EvidenceKind = "boot"
	SeenExecuted    EvidenceKind = "executed"
	SaidRejected    EvidenceKind = "rejected"
	SaidFailed      EvidenceKind = "failed"
	SaidEnded       EvidenceKind = "ended"
	SaidInterrupted EvidenceKind = "interrupted"
	Alarm           EvidenceKind = "alarm"
)

// EvidenceStatus says what became of a piece of evidence.
type EvidenceStatus string

// Waiting lies behind a gap and is not acked. Applied moved what it names.
// Quarantined is acked in sequence and shown to staff, never applied.
const (
	Waiting     EvidenceStatus = "waiting"
	Applied     EvidenceStatus = "applied"
	Quarantined EvidenceStatus = "quarantined"
)

// Counters only grow, over boots and orders.
type Counters struct {
	Opens      uint64           `json:"opens"`
	Totaliser  map[uint8]uint64 `json:"totaliser,omitempty"` // ml per nozzle
	Millilitre int64            `json:"ml,omitempty"`        // of the use that ended
	Fen        int64            `json:"fen,omitempty"`       // as the pump computed it
}

// UnknownStart names a burned start of which the device cannot tell the outcome.
type UnknownStart struct {
	Outlet    uint8  `json:"outlet"`
	Seq       uint64 `json:"seq"`
	CommandID string `json:"command"`
	Order     string `json:"order"`
}

// Evidence is a verified, numbered statement of a device.
type Evidence struct {
	Device     ID
	Epoch      uint32
	Journal    Journal
	Seq        uint64 // 1-based, dense per journal
	Boot       Boot
	Uptime     uint64 // ms
	Kind       EvidenceKind
	Outlet     uint8
	LastSeq    uint64
	CommandSeq uint64
	CommandID  string
	Order      string // "" = names none
	Closed     bool
	Counters   Counters
	Reason     string
	Unknown    *UnknownStart

	Received time.Time // database clock at ingest
	Status   EvidenceStatus
	Raw      []byte // the signed bytes, kept as the proof

	Version int64
}

// Same tells whether two copies of one number carry the same bytes.
func (e Evidence) Same(other Evidence) bool {
	return sha256.Sum256(e.Raw) == sha256.Sum256(other.Raw)
}

// Beat is a verified sign of life.
type Beat struct {
	Epoch    uint32
	Boot     Boot
	Uptime   uint64
	Journal  Journal
	Lowest   uint64 // of the evidence that the device still holds
	Highest  uint64
	Firmware string
	Outlets  []OutletBeat
	Received time.Time
}

// OutletBeat is a beat's word on one outlet.
type OutletBeat struct {
	N        uint8
	LastSeq  uint64
	Closed   bool
	Counters Counters
}

// Word is one verified statement: exactly one of the two is set.
type Word struct {
	Evidence *Evidence
	Beat     *Beat
	// Kept: it may have been said long ago, and kept by whoever brought it. What it
	// proves, it proves; but it dates no command and ends no silence.
	Kept bool
}
