// Package sim is a simulated device: a controller with its flash, a body (a lock,
// or a pump) and a clock, obeying docs/protocol.md clause by clause, and a fleet
// of them on a real broker with faults on demand.
//
// It owns the device's side of the contract, written from the document and from
// device/wire alone: it shares no rule with the server, so that a wrong belief
// of one end is contradicted by the other. It simulates the kinds of its table
// (kind.go); it refuses to play any other.
//
// Two layers. Controller and what it stands on (Flash, the bodies) do no I/O,
// start no goroutine and read no clock: time comes in as an argument, packets go
// out as a result, and the same seed gives the same run, so that a simulation in
// virtual time can drive it. Device, Fleet and Handler put it on MQTT and HTTP.
//
// # Invariants
//
//   - At most one movement (opening, arming) per (outlet, epoch, seq), whatever
//     arrives and wherever power is cut.
//   - Fuel flows only in a use, and a use ends with the power.
//   - The journal is dense; a piece of evidence is the same bytes for ever.
//   - Between a burn and its journalled result nothing is sent.
//   - What no ack covers is never forgotten.
//
// Clauses are cited by their numbers in docs/protocol.md.
package sim

import (
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// DefaultJournalCapacity is the number of pieces of evidence that a device holds (P4.10).
const DefaultJournalCapacity = 512

// Packet is one MQTT message that a device wants sent.
type Packet struct {
	Topic   string
	Payload []byte
	// QoS is 0 throughout: correctness never depends on it.
	QoS byte
	// Retained is false throughout.
	Retained bool
}

// Config makes a Controller. Only Device and Key have no default.
type Config struct {
	// Device is the id; see wire.ValidDevice.
	Device string
	// Epoch is that of the provisioning. A flash of another epoch is formatted at boot.
	Epoch uint32
	// Key signs evidence and beats.
	Key wire.Signer
	// Server checks commands. nil: the keys in flash do, so that they can rotate.
	Server wire.Verifier
	// ServerKeys are put into a flash that is formatted.
	ServerKeys []ed25519.PublicKey
	// Flash is the chip. nil: a new one.
	Flash *Flash
	// Kind is a name of the table in kind.go. Empty: "lock".
	Kind string
	// Lock is a lock's body. nil: NewLock.
	Lock *Lock
	// Pump is a pump's body. nil: NewPump of one outlet with one nozzle.
	Pump *Pump
	// Body is that of any kind without a field here. nil: a new one.
	Body any
	// Params are put into a flash that is formatted. nil: the defaults.
	Params map[wire.Param]int64
	// Displays are the screens that show codes, by outlet. nil: none does.
	Displays map[uint8]DisplayConfig
	// Rand draws boot ids, journal ids and jitter. nil: seeded by the operating system.
	Rand *rand.Rand
	// JournalCapacity is in pieces, at least 16, and 4 more for each outlet behind
	// the first. 0: DefaultJournalCapacity.
	JournalCapacity int
	// DriftPPM is how much too fast (positive) the device's clock runs.
	DriftPPM int
	// UptimeStart is what a fresh boot's clock shows.
	UptimeStart time.Duration
	// Firmware is the version text in beats. Empty: "unlatch-sim".
	Firmware string
	// Position is told in telemetry. nil: no fix.
	Position *wire.Position
	// Bluetooth: it has the second road (P10).
	Bluetooth bool
}

// Controller is one simulated device. It is not safe for concurrent use. Every
// method that takes now returns the packets to send, oldest first; now never
// goes back.
type Controller struct {
	Config
	flash *Flash
	kind  kind
	lock  *Lock // nil: not a lock
	pump  *pump // nil: not a pump

	// All below is lost with power.
	powered   bool
	connected bool
	answering bool // a command is being handled: answers go back by its road
	boot      wire.Boot
	bootedAt  time.Time
	out       []Packet

	beatAt      time.Time
	telemetryAt time.Time
	answerAt    time.Time // when a beat is owed to refused commands; zero: none is
	answeredAt  time.Time // when the last such beat was sent
	resendAt    time.Time // zero: nothing to resend
	resendStep  int
	sentUpTo    uint64 // pieces up to here were sent since the last connect, resend or replay
	phone       phone

	// These belong to the observer.
	moved uint64 // changes of the body, for who stores it
	cut   map[Step]bool
	stats Stats
	err   error
}

// Stats counts what an observer may want to know; a power cut does not clear them.
type Stats struct {
	Rejected uint64 `json:"rejected_messages"` // refused under P1.7
	Repeated uint64 `json:"repeated_messages"` // seq not above last_seq (P1.8)
	Beats    uint64 `json:"beats"`             // beats made
	Boots    uint64 `json:"boots"`
	Cuts     uint64 `json:"power_cuts"`
}

// NewController checks c and returns a device without power.
func NewController(c Config) (*Controller, error) {
	if !wire.ValidDevice(c.Device) {
		return nil, fmt.Errorf("device id %q is not 1 to 24 of [A-Za-z0-9_-]", c.Device)
	}
	if c.Key == nil {
		return nil, errors.New("device " + c.Device + " has no key to sign with")
	}
	if c.JournalCapacity == 0 {
		c.JournalCapacity = DefaultJournalCapacity
	}
	if c.Flash == nil {
		c.Flash = &Flash{}
	}
	if c.Firmware == "" {
		c.Firmware = "unlatch-sim"
	}
	if c.Rand == nil {
		var seed [32]byte
		if _, err := crand.Read(seed[:]); err != nil {
			return nil, err
		}
		c.Rand = rand.New(rand.NewChaCha8(seed))
	}
	row, err := kindOf(c.Kind)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", c.Device, err)
	}
	made := &Controller{Config: c, flash: c.Flash, cut: map[Step]bool{}}
	if made.kind, err = row.make(made); err != nil {
		return nil, err
	}
	if least := 16 + 2*made.reserve(); c.JournalCapacity < least {
		return nil, fmt.Errorf("device %s: a journal of %d places, want at least %d", c.Device, c.JournalCapacity, least)
	}
	return made, nil
}

// Err returns what broke the simulation itself (a message that cannot be
// sealed); nil in any sane configuration.
func (c *Controller) Err() error { return c.err }

// Powered reports whether the device runs.
func (c *Controller) Powered() bool { return c.powered }

// Connected reports whether the device believes to have a connection.
func (c *Controller) Connected() bool { return c.connected }

// BootID is the present run's; zero without power.
func (c *Controller) BootID() wire.Boot { return c.boot }

// Stats returns the counts so far.
func (c *Controller) Stats() Stats { return c.stats }

// Uptime is the device's own clock at now in ms (P7.2); 0 without power.
func (c *Controller) Uptime(now time.Time) uint64 {
	if !c.powered {
		return 0
	}
	run := now.Sub(c.bootedAt)
	run += time.Duration(int64(run/time.Microsecond) * int64(c.DriftPPM) / 1000)
	return uint64((c.UptimeStart + run) / time.Millisecond)
}

// ArmCut cuts power the next time the device passes step. Unknown steps are an error.
func (c *Controller) ArmCut(step Step) error {
	if !slices.Contains(Steps, step) {
		return fmt.Errorf("no step is called %q", step)
	}
	c.cut[step] = true
	return nil
}

// DisarmCuts takes back every ArmCut.
func (c *Controller) DisarmCuts() { clear(c.cut) }

// PowerCutAt is PowerCut at a known time: what flows flows until then.
func (c *Controller) PowerCutAt(now time.Time) {
	if c.powered {
		c.kind.advance(now)
	}
	c.PowerCut()
}

// PowerCut takes the power away: all but flash and body is lost. The body stops
// where the last call that had a time left it.
func (c *Controller) PowerCut() {
	if !c.powered {
		return
	}
	c.stats.Cuts++
	c.kind.dark()
	c.powered, c.connected = false, false
	c.boot = wire.Boot{}
	c.out = nil
	c.beatAt, c.telemetryAt, c.answerAt, c.answeredAt, c.resendAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	c.resendStep, c.sentUpTo = 0, 0
	c.phone = phone{}
}

// pass reports whether the device is still running after step.
func (c *Controller) pass(step Step) bool {
	if c.cut[step] {
		delete(c.cut, step)
		c.PowerCut()
	}
	return c.powered
}

// write changes flash in one whole write between two steps and reports whether
// the device still runs. change is not called where power fails first.
func (c *Controller) write(before, after Step, change func(*Flash)) bool {
	if !c.pass(before) {
		return false
	}
	change(c.flash)
	c.flash.Writes++
	return c.pass(after)
}

// Connect tells the device that it is connected and subscribed (P8.1).
func (c *Controller) Connect(now time.Time) []Packet {
	if !c.powered {
		return nil
	}
	if c.kind.advance(now); !c.powered {
		return nil
	}
	c.connected = true
	c.emitPresence()
	c.emitBeat(now)
	c.emitTelemetry(now)
	c.sentUpTo = 0
	c.restartResend(now)
	return c.done(now)
}

// Disconnect tells the device that its connection is gone (P8.4).
func (c *Controller) Disconnect() {
	c.connected = false
	c.resendAt = time.Time{}
}

// Will is the last will to leave with the broker at connect.
func (c *Controller) Will() Packet {
	payload, err := wire.EncodePresence(wire.Presence{Boot: c.boot})
	if err != nil {
		c.err = err
	}
	return Packet{Topic: wire.PresenceTopic(c.Device), Payload: payload}
}

// NextWake is when Tick next has something to do; zero: nothing until another
// method is called.
func (c *Controller) NextWake() time.Time {
	var next time.Time
	if !c.powered {
		return next
	}
	next = c.kind.next()
	if !c.connected && !c.phone.connected {
		return next
	}
	for _, at := range []time.Time{c.beatAt, c.telemetryAt, c.answerAt, c.resendAt, c.phone.resendAt} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// Tick does what is due at now: what time brings to the body, beats, owed
// answers, telemetry, resends. Early or repeated calls do nothing.
func (c *Controller) Tick(now time.Time) []Packet {
	if !c.powered {
		return nil
	}
	if c.kind.advance(now); !c.connected && !c.phone.connected {
		return c.done(now)
	}
	due := func(at time.Time) bool { return !at.IsZero() && !now.Before(at) }
	if due(c.answerAt) {
		c.answerAt = time.Time{}
		c.answeredAt = now
		c.emitBeat(now)
	}
	if due(c.beatAt) {
		c.emitBeat(now)
	}
	if due(c.telemetryAt) {
		c.emitTelemetry(now)
	}
	if due(c.resendAt) {
		c.resend(now)
	}
	if due(c.phone.resendAt) {
		c.phoneResend(now)
	}
	return c.done(now)
}

// Tamper opens the housing (P5.5). Without power nobody notices.
func (c *Controller) Tamper(now time.Time) []Packet {
	if !c.powered {
		return nil
	}
	if c.kind.advance(now); c.powered && c.hasPlace(placeAlarm) {
		c.journal(now, 1, StepBeforeAlarm, StepAlarmed, wire.Evidence{Kind: wire.EvidenceAlarm, Reason: wire.ReasonTamper}, func(*Outlet) {})
	}
	return c.done(now)
}

// emit queues a packet where there is a road for it.
func (c *Controller) emit(topic string, payload []byte, err error) {
	if err != nil {
		c.err = errors.Join(c.err, err)
		return
	}
	if c.connected || c.answering {
		c.out = append(c.out, Packet{Topic: topic, Payload: payload})
	}
}

// done lets the kind tell what changed and hands the queued packets over.
func (c *Controller) done(now time.Time) []Packet {
	if c.powered {
		c.kind.changed(now)
	}
	out := c.out
	c.out = nil
	return out
}

func (c *Controller) emitPresence() {
	payload, err := wire.EncodePresence(wire.Presence{Online: true, Boot: c.boot})
	c.emit(wire.PresenceTopic(c.Device), payload, err)
}

// emitBeat sends a beat, on every road, and sets the time of the next (P9.1).
func (c *Controller) emitBeat(now time.Time) {
	sealed, err := c.sealBeat(now)
	c.emit(wire.EvidenceTopic(c.Device), sealed, err)
	if err == nil {
		c.notify(sealed)
	}
	every, _ := c.kind.pace()
	if every == 0 {
		every = time.Duration(c.param(wire.ParamBeatSeconds)) * time.Second
	}
	c.beatAt = now.Add(every*9/10 + c.jitter(every/5))
}

func (c *Controller) sealBeat(now time.Time) ([]byte, error) {
	f := c.flash
	b := wire.Beat{
		Epoch: f.Epoch, Boot: c.boot, Uptime: c.Uptime(now), Journal: f.Journal, Lowest: f.Lowest(), Highest: f.Highest,
		Firmware: c.Firmware, Wire: wire.Version,
	}
	for _, n := range c.kind.outlets() {
		o := f.outlet(n)
		b.Outlets = append(b.Outlets, wire.OutletBeat{Outlet: n, LastSeq: o.LastSeq, Closed: c.kind.closed(n, o), Counters: c.kind.counters(n, o)})
	}
	c.stats.Beats++
	return wire.SealBeat(c.Key, c.Device, b)
}

// hastenBeat brings the next beat forward to the pace that the kind asks for now.
func (c *Controller) hastenBeat(now time.Time) {
	every, _ := c.kind.pace()
	if at := now.Add(every); every > 0 && c.beatAt.After(at) {
		c.beatAt = at
	}
}

// emitTelemetry sends telemetry and sets the time of the next.
func (c *Controller) emitTelemetry(now time.Time) {
	t := wire.Telemetry{Uptime: c.Uptime(now), Position: c.Position}
	c.kind.telemetry(&t)
	payload, err := wire.EncodeTelemetry(t)
	c.emit(wire.TelemetryTopic(c.Device), payload, err)
	_, every := c.kind.pace()
	if every == 0 {
		every = time.Duration(c.param(wire.ParamTelemetrySeconds)) * time.Second
	}
	c.telemetryAt = now.Add(every/2 + c.jitter(every))
}

// jitter draws evenly from [0, span).
func (c *Controller) jitter(span time.Duration) time.Duration {
	return time.Duration(c.Rand.Int64N(int64(span)))
}

// random8 draws 8 bytes that are not all zero.
func (c *Controller) random8() (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], c.Rand.Uint64()|1)
	return b
}

// paramRanges holds default, least and greatest value of each parameter.
var paramRanges = map[wire.Param][3]int64{
	wire.ParamBeatSeconds:       {240, 30, 3600},
	wire.ParamTelemetrySeconds:  {60, 5, 86400},
	wire.ParamLowBatteryPercent: {10, 0, 50},
	wire.ParamCodeSeconds:       {60, 6, 3600},
	wire.ParamCodeLength:        {8, 6, 32},
}

func (c *Controller) param(p wire.Param) int64 {
	if v, ok := c.flash.Params[p]; ok {
		return v
	}
	return paramRanges[p][0]
}
