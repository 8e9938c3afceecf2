package wire

import (
	"crypto/ed25519"
	"strconv"
)

// CommandKind says what a command asks for.
type CommandKind uint8

// The command kinds of version 1. The zero kind is none of them.
const (
	KindStart    CommandKind = iota + 1 // open the lock; arm the pump
	KindRing                            // make a noise
	KindProbe                           // do nothing but burn the seq and answer with a beat
	KindStop                            // end what runs on the outlet
	KindConfig                          // parameters, wall time, second server key
	KindAck                             // evidence is committed up to n; carries no seq
	KindFirmware                        // reserved; a device of version 1 does not know it
)

var commandKinds = [...]string{"unknown", "start", "ring", "probe", "stop", "config", "ack", "firmware"}

// String is the kind's word in docs/protocol.md, "kind 99" for an unknown one.
func (k CommandKind) String() string {
	if k == 0 || int(k) >= len(commandKinds) {
		return "kind " + strconv.Itoa(int(k))
	}
	return commandKinds[k]
}

// Expires reports whether commands of this kind carry Boot and NotAfter.
func (k CommandKind) Expires() bool { return k == KindStart || k == KindRing }

// Command is a signed instruction from the server to one outlet of one device.
// Its sealed bytes are fixed: sending them twice is harmless.
type Command struct {
	// Epoch is the device's provisioning epoch; a device refuses any but its own.
	Epoch uint32 `cbor:"1,keyasint,omitempty"`
	// Outlet is 1 to 255. 0 is read as 1 when sealing; 1 is not sent.
	Outlet uint8 `cbor:"2,keyasint,omitempty"`
	// Seq is the outlet's sequence number, 1 to 2^63-1, rising, gaps allowed.
	// 0, absent, in an ack, and only there.
	Seq uint64 `cbor:"3,keyasint,omitempty"`
	// ID is the command's own id. Absent in an ack, and only there.
	ID ID `cbor:"4,keyasint,omitzero"`
	// Kind is never absent.
	Kind CommandKind `cbor:"5,keyasint"`
	// Order is the order that the command serves. Absent in a stop it means
	// whatever runs on the outlet; absent elsewhere: no order.
	Order ID `cbor:"6,keyasint,omitzero"`
	// Boot is the run of the device for which NotAfter counts. Present in start
	// and ring, absent elsewhere.
	Boot Boot `cbor:"7,keyasint,omitzero"`
	// NotAfter is the last uptime, in ms, at which a start or ring may still be
	// obeyed, at most 2^63-1. Absent is 0: already expired. Absent elsewhere.
	NotAfter uint64 `cbor:"8,keyasint,omitempty"`
	// Start is nil but in a pump's start. A lock takes no arguments and refuses
	// a start that has some.
	Start *StartArgs `cbor:"9,keyasint,omitempty"`
	// Config is present in a config, nil elsewhere.
	Config *ConfigArgs `cbor:"10,keyasint,omitempty"`
	// Ack is present in an ack, nil elsewhere.
	Ack *AckArgs `cbor:"11,keyasint,omitempty"`
}

// StartArgs are the limits of a pump's start. All are enforced by the pump.
type StartArgs struct {
	// UnitPrices holds, for each nozzle that may be lifted (1 to 255), its unit
	// price in milli-yuan per litre, 0 to 2^63-1. At least one, at most 16.
	UnitPrices map[uint8]int64 `cbor:"0,keyasint"`
	// MaxMillilitres is the volume limit in ml, at least 1; never absent.
	MaxMillilitres int64 `cbor:"1,keyasint"`
	// MaxFen is the amount limit in Fen, at least 1. Absent: no such limit.
	MaxFen int64 `cbor:"2,keyasint,omitempty"`
	// ArmMillis is how long the pump waits for a nozzle, in ms, at least 1; never absent.
	ArmMillis uint32 `cbor:"3,keyasint"`
}

// Param numbers a parameter of ConfigArgs. A device ignores those it does not know.
type Param uint16

// The parameters of version 1.
const (
	// ParamBeatSeconds is the time between beats in s; default 240, range 30 to 3600.
	ParamBeatSeconds Param = 1
	// ParamTelemetrySeconds is the time between telemetry in s; default 60, range 5 to 86400.
	ParamTelemetrySeconds Param = 2
	// ParamLowBatteryPercent is the charge below which starts are rejected, in
	// percent; default 10, range 0 to 50.
	ParamLowBatteryPercent Param = 3
	// ParamCodeSeconds is how long a displayed code stands, in s; default 60,
	// range 6 to 3600. A device without a display ignores it.
	ParamCodeSeconds Param = 4
	// ParamCodeLength is the length of the rotating part of a displayed code, in
	// characters; default 8, range 6 to 32. A device without a display ignores it.
	ParamCodeLength Param = 5
)

// ConfigArgs are what a config changes. What is absent stays as it is.
type ConfigArgs struct {
	// Params are parameters to set, at most 32. One out of its range is ignored.
	Params map[Param]int64 `cbor:"0,keyasint,omitempty"`
	// WallMillis is the wall time, Unix ms, that it was when the uptime of the run
	// WallBoot was WallUptime: delay on the way spoils nothing. A device in another
	// run ignores it. For display, its codes included, and logs: nothing that moves
	// or bills depends on it. Absent is 0: not told.
	WallMillis int64 `cbor:"1,keyasint,omitempty"`
	// SecondKey is a server key to accept besides the one that signed this very
	// command; every other is dropped. nil: keys stay.
	SecondKey *ServerKey `cbor:"2,keyasint,omitempty"`
	// WallBoot goes with WallMillis: both or neither.
	WallBoot Boot `cbor:"3,keyasint,omitzero"`
	// WallUptime is in ms, at most 2^53, only with WallBoot. Absent is 0: at the
	// very start of that run.
	WallUptime uint64 `cbor:"4,keyasint,omitempty"`
}

// ServerKey is a public key that a device accepts commands from.
type ServerKey struct {
	// ID is KeyID(Public); a message where it is not is malformed.
	ID []byte `cbor:"0,keyasint"`
	// Public is the 32 bytes of an Ed25519 public key.
	Public []byte `cbor:"1,keyasint"`
}

// AckArgs say how far the server holds a journal.
type AckArgs struct {
	// Journal is never absent. A device ignores an ack of another journal.
	Journal Journal `cbor:"0,keyasint"`
	// N is the evidence seq up to which everything is committed, without a gap.
	// Absent is 0: nothing is held, send all again from 1.
	N uint64 `cbor:"1,keyasint,omitempty"`
}

// commandMessage is what is signed.
type commandMessage struct {
	Version uint64 `cbor:"0,keyasint"`
	Command
}

// SealCommand encodes c and signs it for device. Errors: ErrMalformed where c
// breaks a rule stated at its fields, ErrTooLarge beyond MaxCommand bytes, and
// what s returns.
func SealCommand(s Signer, device string, c Command) ([]byte, error) {
	if c.Outlet == 0 {
		c.Outlet = 1
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Outlet == 1 {
		c.Outlet = 0
	}
	payload, err := encode.Marshal(commandMessage{Version, c})
	if err != nil {
		return nil, malformed("%w", err)
	}
	return seal(s, device, payload, MaxCommand)
}

// OpenCommand checks and decodes a command for device. Errors, in the order in
// which they are looked for: ErrTooLarge, ErrMalformed (the frame),
// ErrUnknownKey, ErrSignature, ErrVersion, *UnknownKindError, ErrMalformed.
// The kind firmware is known by name only and is an *UnknownKindError.
func OpenCommand(v Verifier, device string, b []byte) (Command, error) {
	payload, err := open(v, device, b, MaxCommand)
	if err != nil {
		return Command{}, err
	}
	return decodeCommand(payload)
}

func decodeCommand(payload []byte) (Command, error) {
	h, err := decodeHead(payload)
	if err != nil {
		return Command{}, err
	}
	if h.Command == absent {
		return Command{}, malformed("command without a kind")
	}
	if !knownCommand(h.Command) {
		return Command{}, &UnknownKindError{Kind: h.Command}
	}
	m := commandMessage{Command: Command{Outlet: 1}}
	if err := decode.Unmarshal(payload, &m); err != nil {
		return Command{}, malformed("%w", err)
	}
	if m.Config != nil && len(m.Config.Params) == 0 {
		m.Config.Params = nil
	}
	if err := m.check(); err != nil {
		return Command{}, err
	}
	return m.Command, nil
}

func knownCommand(kind uint64) bool { return kind >= uint64(KindStart) && kind <= uint64(KindAck) }

// check holds the rules stated at the fields, for both ends.
func (c *Command) check() error {
	if !knownCommand(uint64(c.Kind)) {
		return &UnknownKindError{Kind: uint64(c.Kind)}
	}
	if (c.Ack != nil) != (c.Kind == KindAck) || (c.Config != nil) != (c.Kind == KindConfig) ||
		c.Start != nil && c.Kind != KindStart {
		return malformed("%s command with the arguments of another kind, or without its own", c.Kind)
	}
	if c.Kind == KindAck {
		if c.Seq != 0 || !c.ID.IsZero() || !c.Order.IsZero() || c.Ack.Journal.IsZero() || c.Ack.N > maxInt64 {
			return malformed("ack needs a journal and has neither seq, id nor order")
		}
	} else if c.Seq == 0 || c.Seq > maxInt64 || c.ID.IsZero() {
		return malformed("%s command needs a seq of 1 to 2^63-1 and an id", c.Kind)
	}
	if c.Outlet == 0 {
		return malformed("outlet 0")
	}
	if c.Kind.Expires() == c.Boot.IsZero() || c.NotAfter > maxInt64 || !c.Kind.Expires() && c.NotAfter != 0 {
		return malformed("%s command: boot id and not_after belong to start and ring", c.Kind)
	}
	if c.Start != nil {
		return c.Start.check()
	}
	if c.Config != nil {
		return c.Config.check()
	}
	return nil
}

func (a *StartArgs) check() error {
	if len(a.UnitPrices) == 0 || len(a.UnitPrices) > 16 {
		return malformed("start allows %d nozzles, want 1 to 16", len(a.UnitPrices))
	}
	for nozzle, price := range a.UnitPrices {
		if nozzle == 0 || price < 0 {
			return malformed("nozzle %d at unit price %d", nozzle, price)
		}
	}
	if a.MaxMillilitres < 1 || a.MaxFen < 0 || a.ArmMillis < 1 {
		return malformed("start limits: %d ml, %d fen, %d ms", a.MaxMillilitres, a.MaxFen, a.ArmMillis)
	}
	return nil
}

func (a *ConfigArgs) check() error {
	if len(a.Params) > 32 || a.WallMillis < 0 {
		return malformed("config has %d parameters and wall time %d", len(a.Params), a.WallMillis)
	}
	if (a.WallMillis != 0) == a.WallBoot.IsZero() || a.WallUptime > maxUptime || a.WallUptime != 0 && a.WallMillis == 0 {
		return malformed("config: wall time %d of boot %s at uptime %d", a.WallMillis, a.WallBoot, a.WallUptime)
	}
	if k := a.SecondKey; k != nil {
		if len(k.Public) != ed25519.PublicKeySize || string(k.ID) != string(KeyID(k.Public)) {
			return malformed("second server key and its id do not fit")
		}
	}
	return nil
}
