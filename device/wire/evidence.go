package wire

import "strconv"

// EvidenceKind says what a piece of evidence proves.
type EvidenceKind uint8

// The evidence kinds of version 1. On the wire, 0 under the same label is a beat.
const (
	EvidenceBoot        EvidenceKind = iota + 1 // the device came up
	EvidenceExecuted                            // lock: the sensor saw it open; pump: armed; ring: it rang
	EvidenceRejected                            // refused, nothing moved
	EvidenceFailed                              // tried, did not open, driven back to safe
	EvidenceEnded                               // the use is over
	EvidenceInterrupted                         // pump: power was lost while armed or in use
	EvidenceAlarm                               // tamper, forced opening, a shut-down and its end
)

var evidenceKinds = [...]string{"unknown", "boot", "executed", "rejected", "failed", "ended", "interrupted", "alarm"}

// String is the kind's word in docs/protocol.md, "kind 99" for an unknown one.
func (k EvidenceKind) String() string {
	if k == 0 || int(k) >= len(evidenceKinds) {
		return "kind " + strconv.Itoa(int(k))
	}
	return evidenceKinds[k]
}

// Answers reports whether evidence of this kind is the result of a command.
func (k EvidenceKind) Answers() bool {
	return k == EvidenceExecuted || k == EvidenceRejected || k == EvidenceFailed
}

// Reason says why. A number that a reader does not know is kept, not refused.
type Reason uint8

// The reasons of version 1, grouped by the kind of evidence that gives them.
const (
	ReasonNone Reason = 0 // absent

	// rejected
	ReasonBusy        Reason = 1 // open, or in use
	ReasonLowBattery  Reason = 2 // too little charge to open and to close again
	ReasonExpired     Reason = 3 // uptime past not_after
	ReasonNotWorking  Reason = 4 // a jam, a broken sensor, a pump's own fault
	ReasonJournalFull Reason = 5 // fewer than 8 free places for evidence
	ReasonPower       Reason = 6 // power was lost between burning the seq and moving
	ReasonUnsupported Reason = 7 // arguments, or a kind, that this device has no hardware for
	ReasonShutDown    Reason = 8 // shut down until a hand at the device releases it

	// failed
	ReasonJam Reason = 16 // the bolt did not reach its end

	// ended
	ReasonClosedByHand Reason = 32 // the rider shut the lock
	ReasonStopped      Reason = 33 // a stop command, a stop button, the shut-down of the device
	ReasonNozzleBack   Reason = 34 // the nozzle was hung up
	ReasonLimit        Reason = 35 // max_ml or max_fen was reached
	ReasonNotLifted    Reason = 36 // no nozzle was lifted within arm_ms
	ReasonBroken       Reason = 37 // the device found a fault of its own

	// alarm
	ReasonTamper        Reason = 48 // the housing was opened, or the device moved while locked
	ReasonForcedOpen    Reason = 49 // the bolt opened and no command had asked for it
	ReasonEmergencyStop Reason = 50 // a hand pressed the emergency stop: the device is shut down
	ReasonGas           Reason = 51 // a gas or leak detector: the device is shut down
	ReasonReleased      Reason = 52 // a hand at the device ended its shut-down, or one that staff ordered
)

var reasons = map[Reason]string{
	ReasonNone: "none", ReasonBusy: "busy", ReasonLowBattery: "low_battery", ReasonExpired: "expired",
	ReasonNotWorking: "not_working", ReasonJournalFull: "journal_full", ReasonPower: "power",
	ReasonUnsupported: "unsupported", ReasonShutDown: "shut_down", ReasonJam: "jam",
	ReasonClosedByHand: "closed_by_hand", ReasonStopped: "stopped", ReasonNozzleBack: "nozzle_back",
	ReasonLimit: "limit", ReasonNotLifted: "not_lifted", ReasonBroken: "broken", ReasonTamper: "tamper",
	ReasonForcedOpen: "forced_open", ReasonEmergencyStop: "emergency_stop", ReasonGas: "gas", ReasonReleased: "released",
}

// String is the reason's word in docs/protocol.md, "reason 99" for an unknown one.
func (r Reason) String() string {
	if word, ok := reasons[r]; ok {
		return word
	}
	return "reason " + strconv.Itoa(int(r))
}

// Counters are physical counts that never go back, over the device's whole life.
type Counters struct {
	// Opens is how often the lock opened, by command or by force. Absent is 0.
	Opens uint64 `cbor:"0,keyasint,omitempty"`
	// Totaliser is, per nozzle (1 to 255), everything it ever dispensed, in ml.
	// Absent: the device has no nozzles; a nozzle absent is 0. At most 16.
	Totaliser map[uint8]uint64 `cbor:"1,keyasint,omitempty"`
}

// normalise makes an empty totaliser an absent one.
func (c *Counters) normalise() {
	if len(c.Totaliser) == 0 {
		c.Totaliser = nil
	}
}

func (c *Counters) check() error {
	if c.Opens > maxInt64 || len(c.Totaliser) > 16 {
		return malformed("counters: %d opens, %d nozzles", c.Opens, len(c.Totaliser))
	}
	for nozzle, ml := range c.Totaliser {
		if nozzle == 0 || ml > maxInt64 {
			return malformed("totaliser of nozzle %d: %d ml", nozzle, ml)
		}
	}
	return nil
}

// Unknown names a start that was burned and whose outcome the device cannot tell.
type Unknown struct {
	// Seq is the start's; never absent.
	Seq uint64 `cbor:"0,keyasint"`
	// CommandID is the start's; never absent.
	CommandID ID `cbor:"1,keyasint"`
	// Order is the start's. Absent: the start named none.
	Order ID `cbor:"2,keyasint,omitzero"`
}

// Evidence is a signed statement of a device that proves a physical fact. It is
// signed once, when it is journalled; each resend is the same bytes. It is
// unique by (device, Epoch, Journal, Seq).
type Evidence struct {
	// Epoch is the epoch in which it was journalled. Absent is 0.
	Epoch uint32 `cbor:"1,keyasint,omitempty"`
	// Outlet is 1 to 255. 0 is read as 1 when sealing; 1 is not sent.
	Outlet uint8 `cbor:"2,keyasint,omitempty"`
	// CommandSeq is the seq of the command that this is about: in executed,
	// rejected and failed the one that it answers, never absent; in ended and
	// interrupted, and in a boot while a use goes on or is found over, the start
	// that began the use. Never in an alarm, nor in a pump's boot: no use of a
	// pump outlives its run. Absent is 0: no command.
	CommandSeq uint64 `cbor:"3,keyasint,omitempty"`
	// CommandID goes with CommandSeq: both or neither.
	CommandID ID `cbor:"4,keyasint,omitzero"`
	// Order is that command's. Absent: it named none.
	Order ID `cbor:"6,keyasint,omitzero"`
	// Boot is the run in which it was journalled; never absent.
	Boot Boot `cbor:"7,keyasint"`
	// Kind is never absent.
	Kind EvidenceKind `cbor:"12,keyasint"`
	// Uptime is when it was journalled, in ms since that boot, at most 2^63-1.
	// Absent is 0.
	Uptime uint64 `cbor:"13,keyasint,omitempty"`
	// Journal is never absent.
	Journal Journal `cbor:"14,keyasint"`
	// Seq numbers the journal from 1, without a gap, over boots and outlets; never absent.
	Seq uint64 `cbor:"15,keyasint"`
	// LastSeq is the highest seq burned on Outlet. Absent is 0: none ever.
	LastSeq uint64 `cbor:"16,keyasint,omitempty"`
	// Closed says that Outlet is in its safe state: a lock's bolt is seen shut; a
	// pump's valve is shut and no start is in force on that side, neither armed
	// nor in use. A device of any kind states it in every piece and every beat.
	// Absent is false: it is not, or not known to be.
	Closed bool `cbor:"17,keyasint,omitempty"`
	// Counters are those of Outlet. Absent: all are 0.
	Counters Counters `cbor:"18,keyasint,omitzero"`
	// Reason is absent in executed, and in boot but where a bolt found shut ended a use.
	Reason Reason `cbor:"19,keyasint,omitempty"`
	// Unknown is only in a boot. nil: every burned start has a journalled result.
	Unknown *Unknown `cbor:"20,keyasint,omitempty"`
	// Millilitres is what a pump dispensed in this use, in ml, only in ended and
	// interrupted. Absent is 0.
	Millilitres int64 `cbor:"21,keyasint,omitempty"`
	// Fen is what the pump's display showed for it, in Fen, only in ended and
	// interrupted. Absent is 0.
	Fen int64 `cbor:"22,keyasint,omitempty"`
}

// evidenceMessage is what is signed.
type evidenceMessage struct {
	Version uint64 `cbor:"0,keyasint"`
	Evidence
}

// SealEvidence encodes e and signs it for device. Errors: ErrMalformed where e
// breaks a rule stated at its fields, ErrTooLarge beyond MaxUplink bytes, and
// what s returns.
func SealEvidence(s Signer, device string, e Evidence) ([]byte, error) {
	payload, err := encodeEvidence(e)
	if err != nil {
		return nil, err
	}
	return seal(s, device, payload, MaxUplink)
}

func encodeEvidence(e Evidence) ([]byte, error) {
	if e.Outlet == 0 {
		e.Outlet = 1
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	if e.Outlet == 1 {
		e.Outlet = 0
	}
	payload, err := encode.Marshal(evidenceMessage{Version, e})
	if err != nil {
		return nil, malformed("%w", err)
	}
	return payload, nil
}

func decodeEvidence(payload []byte) (*Evidence, error) {
	m := evidenceMessage{Evidence: Evidence{Outlet: 1}}
	if err := decode.Unmarshal(payload, &m); err != nil {
		return nil, malformed("%w", err)
	}
	m.Counters.normalise()
	if err := m.check(); err != nil {
		return nil, err
	}
	return &m.Evidence, nil
}

// check holds the rules stated at the fields, for both ends.
func (e *Evidence) check() error {
	if e.Kind == 0 || e.Kind > EvidenceAlarm {
		return &UnknownKindError{Kind: uint64(e.Kind)}
	}
	if e.Boot.IsZero() || e.Journal.IsZero() || e.Seq == 0 || e.Outlet == 0 {
		return malformed("evidence needs a boot, a journal, a seq and an outlet from 1")
	}
	if e.Seq > maxInt64 || e.Uptime > maxUptime || e.LastSeq > maxInt64-1 || e.CommandSeq > maxInt64 {
		return malformed("evidence number above 2^63-1, or uptime above 2^53 ms")
	}
	if (e.CommandSeq == 0) != e.CommandID.IsZero() {
		return malformed("command seq and command id go together")
	}
	if e.Kind.Answers() && e.CommandSeq == 0 {
		return malformed("%s evidence names no command", e.Kind)
	}
	if e.CommandSeq != 0 && e.Kind == EvidenceAlarm {
		return malformed("an alarm names a command")
	}
	if u := e.Unknown; u != nil {
		if e.Kind != EvidenceBoot || u.Seq == 0 || u.Seq > maxInt64 || u.CommandID.IsZero() {
			return malformed("unknown outcome needs a boot, a seq and a command id")
		}
	}
	if e.Millilitres < 0 || e.Fen < 0 ||
		(e.Millilitres != 0 || e.Fen != 0) && e.Kind != EvidenceEnded && e.Kind != EvidenceInterrupted {
		return malformed("%s evidence with %d ml, %d fen", e.Kind, e.Millilitres, e.Fen)
	}
	return e.Counters.check()
}
