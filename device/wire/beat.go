package wire

import (
	"slices"
	"strings"
)

// beatKind stands where evidence has its kind.
const beatKind = 0

// Beat is a signed sign of life. It has no number and is not journalled: a lost
// beat is followed by a better one.
type Beat struct {
	// Epoch is the device's. Absent is 0.
	Epoch uint32 `cbor:"1,keyasint,omitempty"`
	// Boot is the present run; never absent.
	Boot Boot `cbor:"7,keyasint"`
	// Uptime is now, in ms since that boot, at most 2^63-1. Absent is 0.
	Uptime uint64 `cbor:"13,keyasint,omitempty"`
	// Journal is never absent.
	Journal Journal `cbor:"14,keyasint"`
	// Outlets holds every outlet of the device once, rising; 1 to 16.
	Outlets []OutletBeat `cbor:"23,keyasint"`
	// Lowest and Highest are the first and last evidence seq that the device
	// still holds. Both absent, 0: it has never journalled any. Lowest =
	// Highest+1: all up to Highest is acked and none is kept.
	Lowest  uint64 `cbor:"24,keyasint,omitempty"`
	Highest uint64 `cbor:"25,keyasint,omitempty"`
	// Firmware is the maker's version text, at most 32 bytes of UTF-8. Absent: not told.
	Firmware string `cbor:"26,keyasint,omitempty"`
	// Wire is the newest protocol version that the device speaks. Absent is 0:
	// the one of this message.
	Wire uint8 `cbor:"27,keyasint,omitempty"`
}

// OutletBeat is the state of one outlet.
type OutletBeat struct {
	// Outlet is 1 to 255. 0 is read as 1 when sealing; 1 is not sent.
	Outlet uint8 `cbor:"0,keyasint,omitempty"`
	// LastSeq is the highest seq burned. Absent is 0: none ever.
	LastSeq uint64 `cbor:"1,keyasint,omitempty"`
	// Closed says that the outlet is in its safe state; see Evidence.Closed.
	// Absent is false: it is not, or not known to be.
	Closed bool `cbor:"2,keyasint,omitempty"`
	// Counters are the outlet's. Absent: all are 0.
	Counters Counters `cbor:"3,keyasint,omitzero"`
}

// beatMessage is what is signed.
type beatMessage struct {
	Version uint64 `cbor:"0,keyasint"`
	Kind    uint8  `cbor:"12,keyasint"` // beatKind
	Beat
}

// SealBeat encodes b and signs it for device. Errors: ErrMalformed where b
// breaks a rule stated at its fields, ErrTooLarge beyond MaxUplink bytes, and
// what s returns.
func SealBeat(s Signer, device string, b Beat) ([]byte, error) {
	b.Outlets = slices.Clone(b.Outlets)
	for i := range b.Outlets {
		if b.Outlets[i].Outlet == 0 {
			b.Outlets[i].Outlet = 1
		}
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	for i := range b.Outlets {
		if b.Outlets[i].Outlet == 1 {
			b.Outlets[i].Outlet = 0
		}
	}
	payload, err := encode.Marshal(beatMessage{Version, beatKind, b})
	if err != nil {
		return nil, malformed("%w", err)
	}
	return seal(s, device, payload, MaxUplink)
}

func decodeBeat(payload []byte) (*Beat, error) {
	var m beatMessage
	if err := decode.Unmarshal(payload, &m); err != nil {
		return nil, malformed("%w", err)
	}
	for i := range m.Outlets {
		if m.Outlets[i].Outlet == 0 {
			m.Outlets[i].Outlet = 1
		}
		m.Outlets[i].Counters.normalise()
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return &m.Beat, nil
}

// check holds the rules stated at the fields, for both ends.
func (b *Beat) check() error {
	if b.Boot.IsZero() || b.Journal.IsZero() {
		return malformed("beat needs a boot and a journal")
	}
	if b.Uptime > maxUptime || b.Highest > maxInt64-1 || b.Lowest > b.Highest+1 || (b.Lowest == 0) != (b.Highest == 0) {
		return malformed("beat at uptime %d holds evidence %d to %d", b.Uptime, b.Lowest, b.Highest)
	}
	if len(b.Firmware) > 32 || strings.ContainsRune(b.Firmware, 0) {
		return malformed("firmware version of %d bytes, or with a NUL", len(b.Firmware))
	}
	if len(b.Outlets) == 0 || len(b.Outlets) > 16 {
		return malformed("beat of %d outlets, want 1 to 16", len(b.Outlets))
	}
	last := uint8(0)
	for i := range b.Outlets {
		o := &b.Outlets[i]
		if o.Outlet <= last || o.LastSeq > maxInt64-1 {
			return malformed("beat: outlet %d after %d, last seq %d", o.Outlet, last, o.LastSeq)
		}
		last = o.Outlet
		if err := o.Counters.check(); err != nil {
			return err
		}
	}
	return nil
}
