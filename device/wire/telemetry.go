package wire

import (
	"fmt"
	"strconv"
)

// Telemetry is unsigned, droppable state for display. Nothing is billed from it
// and no order moves on it.
type Telemetry struct {
	// Uptime is when it was measured, in ms since boot, so that late telemetry
	// can be told from new. Absent is 0: unknown.
	Uptime uint64 `cbor:"1,keyasint,omitempty"`
	// Battery is the charge in percent, 0 to 100. nil: no battery, or not measured.
	Battery *uint8 `cbor:"2,keyasint,omitempty"`
	// Position is nil where there is no fix.
	Position *Position `cbor:"3,keyasint,omitempty"`
	// Meters are the live displays of a pump's outlets, at most 8: each outlet that
	// is not idle or stopped being what the last telemetry said. Absent: all are
	// idle, or the device is no pump.
	Meters []Meter `cbor:"4,keyasint,omitempty"`
}

// Position is a place in WGS-84.
type Position struct {
	// Lat is the latitude in 1e-6 degrees, -90,000,000 to 90,000,000, north positive. Absent is 0.
	Lat int32 `cbor:"0,keyasint,omitempty"`
	// Lng is the longitude in 1e-6 degrees, -180,000,000 to 180,000,000, east positive. Absent is 0.
	Lng int32 `cbor:"1,keyasint,omitempty"`
}

// Meter is what one outlet's display shows now.
type Meter struct {
	// Outlet is 1 to 255. 0 is read as 1 when encoding; 1 is not sent.
	Outlet uint8 `cbor:"0,keyasint,omitempty"`
	// Millilitres dispensed so far, in ml, at least 0. Absent is 0.
	Millilitres int64 `cbor:"1,keyasint,omitempty"`
	// Fen shown so far, at least 0. Absent is 0.
	Fen int64 `cbor:"2,keyasint,omitempty"`
	// State is what the outlet does. Absent is 0: not told.
	State MeterState `cbor:"3,keyasint,omitempty"`
}

// MeterState is what an outlet of a pump does, in the words of the IFSF. A number
// that a reader does not know is kept, not refused.
type MeterState uint8

// The states of version 1; 0 is not told. Being offline is none of them.
const (
	MeterClosed     MeterState = iota + 1 // shut down until a hand releases it
	MeterIdle                             // nozzles hung up, no start in force
	MeterCalling                          // a nozzle is up, no start in force
	MeterAuthorised                       // armed, no allowed nozzle lifted yet
	MeterStarted                          // an allowed nozzle is up, no fuel drawn yet
	MeterFuelling                         // fuel flows
	MeterSuspended                        // fuel flowed, the hand pauses
	MeterComplete                         // the use is over, its nozzle not back yet
	MeterFault                            // not working
)

var meterStates = [...]string{"unknown", "closed", "idle", "calling", "authorised", "started", "fuelling", "suspended", "complete", "fault"}

// String is the state's word in docs/protocol.md, "state 99" for an unknown one.
func (s MeterState) String() string {
	if s == 0 || int(s) >= len(meterStates) {
		return "state " + strconv.Itoa(int(s))
	}
	return meterStates[s]
}

// telemetryMessage is what is sent, plain.
type telemetryMessage struct {
	Version uint64 `cbor:"0,keyasint"`
	Telemetry
}

// EncodeTelemetry encodes t. Errors: ErrMalformed where t breaks a rule stated
// at its fields, ErrTooLarge beyond MaxTelemetry bytes.
func EncodeTelemetry(t Telemetry) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if len(t.Meters) > 0 {
		meters := make([]Meter, len(t.Meters))
		for i, m := range t.Meters {
			if m.Outlet == 1 {
				m.Outlet = 0
			}
			meters[i] = m
		}
		t.Meters = meters
	}
	return encodePlain(telemetryMessage{Version, t})
}

// DecodeTelemetry decodes what anyone who can publish may have made up. Errors:
// ErrTooLarge, ErrVersion, ErrMalformed.
func DecodeTelemetry(b []byte) (Telemetry, error) {
	var m telemetryMessage
	if err := decodePlain(b, &m, &m.Version); err != nil {
		return Telemetry{}, err
	}
	if len(m.Meters) == 0 {
		m.Meters = nil
	}
	for i := range m.Meters {
		if m.Meters[i].Outlet == 0 {
			m.Meters[i].Outlet = 1
		}
	}
	if err := m.check(); err != nil {
		return Telemetry{}, err
	}
	return m.Telemetry, nil
}

func (t *Telemetry) check() error {
	if t.Uptime > maxInt64 || len(t.Meters) > 8 {
		return malformed("telemetry at uptime %d with %d meters", t.Uptime, len(t.Meters))
	}
	if t.Battery != nil && *t.Battery > 100 {
		return malformed("battery at %d percent", *t.Battery)
	}
	if p := t.Position; p != nil && (p.Lat < -90e6 || p.Lat > 90e6 || p.Lng < -180e6 || p.Lng > 180e6) {
		return malformed("position outside the globe")
	}
	for _, m := range t.Meters {
		if m.Millilitres < 0 || m.Fen < 0 {
			return malformed("meter of outlet %d: %d ml, %d fen", m.Outlet, m.Millilitres, m.Fen)
		}
	}
	return nil
}

// encodePlain encodes an unsigned message within MaxTelemetry bytes.
func encodePlain(message any) ([]byte, error) {
	b, err := encode.Marshal(message)
	if err != nil {
		return nil, malformed("%w", err)
	}
	if len(b) > MaxTelemetry {
		return nil, ErrTooLarge
	}
	return b, nil
}

// decodePlain decodes an unsigned message; version points into it.
func decodePlain(b []byte, message any, version *uint64) error {
	if len(b) > MaxTelemetry {
		return ErrTooLarge
	}
	err := decode.Unmarshal(b, message)
	if err != nil {
		var h struct {
			Version uint64 `cbor:"0,keyasint"`
		}
		if decode.Unmarshal(b, &h) != nil || h.Version == Version {
			return malformed("%w", err)
		}
		*version = h.Version
	}
	if *version != Version {
		return fmt.Errorf("%w: message has version %d, want %d", ErrVersion, *version, Version)
	}
	return nil
}
