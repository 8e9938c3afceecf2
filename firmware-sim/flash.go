package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/unlatch/unlatch/device/wire"
)

// A Step is a point in a device's work at which power can be cut: just before
// or just after one write to flash, or after one movement. A write itself is
// whole or undone, never torn.
type Step string

// The steps, in the order in which a start, a boot and a use pass them. A pump
// passes all but moving and moved: arming moves nothing.
const (
	StepBeforeBurn Step = "before_burn" // command checked, nothing written
	StepBurned     Step = "burned"      // seq burned, neither moving mark nor result written
	StepMoving     Step = "moving"      // moving mark written, bolt not moved
	StepMoved      Step = "moved"       // bolt moved, result not journalled
	StepJournalled Step = "journalled"  // result journalled, not sent

	StepBeforeSettled Step = "before_settled" // at boot, a burned seq or a use of a pump is about to be settled
	StepSettled       Step = "settled"        // at boot, its result or its end is journalled
	StepBeforeBooted  Step = "before_booted"  // at boot, the boot is about to be journalled
	StepBooted        Step = "booted"         // at boot, the boot is journalled

	StepBeforeEnded Step = "before_ended" // bolt shut by hand, valve shut; end not journalled
	StepEnded       Step = "ended"        // end journalled, not sent
	StepBeforeAlarm Step = "before_alarm" // alarm noticed, not journalled
	StepAlarmed     Step = "alarmed"      // alarm journalled, not sent
	StepBeforeAcked Step = "before_acked" // ack read, not written
	StepAcked       Step = "acked"        // ack written
	StepBeforeNoted Step = "before_noted" // bolt moved outside a use, nozzle lifted in one, release not told; not written
	StepNoted       Step = "noted"        // and written
)

// Steps lists every step at which a cut can be armed.
var Steps = []Step{
	StepBeforeBurn, StepBurned, StepMoving, StepMoved, StepJournalled,
	StepBeforeSettled, StepSettled, StepBeforeBooted, StepBooted,
	StepBeforeEnded, StepEnded, StepBeforeAlarm, StepAlarmed,
	StepBeforeAcked, StepAcked, StepBeforeNoted, StepNoted,
}

// Flash is everything that a device remembers over a power cut. The zero Flash
// is an unformatted chip; a Controller formats it at its first boot.
type Flash struct {
	Epoch   uint32       `json:"epoch"`
	Journal wire.Journal `json:"journal"`
	// Entries are the pieces held, dense and rising (clause P4.1).
	Entries []Entry `json:"entries"`
	// Highest is the seq of the last piece ever journalled; 0: none.
	Highest uint64 `json:"highest"`
	// Acked is the n of the newest ack (P4.5, P4.6).
	Acked uint64 `json:"acked"`
	// Outlet is outlet 1, Outlets are the others by their numbers; see outlet.
	Outlet  Outlet            `json:"outlet"`
	Outlets map[uint8]*Outlet `json:"outlets,omitempty"`
	// Params are what config commands set (P2.2).
	Params map[wire.Param]int64 `json:"params,omitempty"`
	// Wall is the newest wall time of a config (P6.31); nil: none came.
	Wall *Wall `json:"wall,omitempty"`
	// ServerKeys are the Ed25519 public keys to accept commands from, at most two (P1.2, S12).
	ServerKeys [][]byte `json:"server_keys"`
	// Writes counts the writes ever made: the chip's wear.
	Writes uint64 `json:"writes"`
}

// Entry is one journalled piece of evidence, signed once (P4.2).
type Entry struct {
	Seq    uint64            `json:"seq"`
	Kind   wire.EvidenceKind `json:"kind"`
	Outlet uint8             `json:"outlet,omitempty"` // 0: 1
	Sealed []byte            `json:"sealed"`
	// CommandSeq and CommandID are those that the piece answers; 0 where it answers none.
	CommandSeq uint64  `json:"command_seq,omitempty"`
	CommandID  wire.ID `json:"command_id"`
	// Ends is the order whose use the piece ends; zero: it ends none.
	Ends wire.ID `json:"ends,omitzero"`
}

// Wall is a wall time: Millis, in Unix ms, at that uptime, in ms, of that run.
type Wall struct {
	Boot   wire.Boot `json:"boot"`
	Uptime uint64    `json:"uptime_ms"`
	Millis int64     `json:"wall_ms"`
}

// Outlet is the flash of one outlet.
type Outlet struct {
	LastSeq uint64 `json:"last_seq"`
	// Opens is the counter that evidence states.
	Opens uint64 `json:"opens"`
	Burn  Burn   `json:"burn"`
	// Use is the use that runs; nil: none.
	Use *Use `json:"use,omitempty"`
	// KnownOpen says that the last state written was open, so that a bolt found
	// open at boot is news or not.
	KnownOpen bool `json:"known_open"`
	// Told is the shut-down that was last journalled, OweRelease that a release
	// found no place; outlet 1 has them for the whole of a pump (P6.27).
	Told       wire.Reason `json:"told,omitempty"`
	OweRelease bool        `json:"owe_release,omitempty"`
}

// Burn is the last burned command (P2.1).
type Burn struct {
	Seq   uint64           `json:"seq"`
	ID    wire.ID          `json:"id"`
	Kind  wire.CommandKind `json:"kind"`
	Order wire.ID          `json:"order"`
	Opens uint64           `json:"opens"` // the counter when burned
	// Moving is the moving mark (P2.4).
	Moving bool `json:"moving"`
	// Settled says that the result is journalled, or that none is owed.
	Settled bool `json:"settled"`
}

// Use is a use that goes on: the start that began it.
type Use struct {
	Seq   uint64  `json:"seq"`
	ID    wire.ID `json:"id"`
	Order wire.ID `json:"order"`

	// A pump's start began it with these limits and prices, nil for a lock,
	Args *wire.StartArgs `json:"args,omitempty"`
	// with these totalisers, in ml by nozzle (P6.5),
	From map[uint8]uint64 `json:"from,omitempty"`
	// and this nozzle was lifted for it; 0: none yet (P6.9).
	Nozzle uint8 `json:"nozzle,omitempty"`
}

// outlet is the flash of outlet n, made where it is missing.
func (f *Flash) outlet(n uint8) *Outlet {
	if n == 1 {
		return &f.Outlet
	}
	o := f.Outlets[n]
	if o == nil {
		if f.Outlets == nil {
			f.Outlets = map[uint8]*Outlet{}
		}
		o = &Outlet{}
		f.Outlets[n] = o
	}
	return o
}

// Lowest is the seq of the oldest piece held; 0: none was ever journalled.
func (f *Flash) Lowest() uint64 {
	if len(f.Entries) == 0 {
		if f.Highest == 0 {
			return 0
		}
		return f.Highest + 1
	}
	return f.Entries[0].Seq
}

// held returns the pieces from seq on, oldest first.
func (f *Flash) held(from uint64) []Entry {
	if len(f.Entries) == 0 || from > f.Highest {
		return nil
	}
	if low := f.Entries[0].Seq; from > low {
		return f.Entries[from-low:]
	}
	return f.Entries
}

// result finds the journalled answer to a command (P1.8).
func (f *Flash) result(outlet uint8, seq uint64, id wire.ID) (Entry, bool) {
	return f.find(func(e Entry) bool {
		return e.Kind.Answers() && max(e.Outlet, 1) == outlet && e.CommandSeq == seq && e.CommandID == id
	})
}

// end finds the journalled end of an order's use (P6.17).
func (f *Flash) end(outlet uint8, order wire.ID) (Entry, bool) {
	return f.find(func(e Entry) bool { return !order.IsZero() && max(e.Outlet, 1) == outlet && e.Ends == order })
}

func (f *Flash) find(match func(Entry) bool) (Entry, bool) {
	i := slices.IndexFunc(f.Entries, match)
	if i < 0 {
		return Entry{}, false
	}
	return f.Entries[i], true
}

// keep is how many acked pieces a journal of that capacity keeps (P4.8). Chips
// too small for 256 keep half.
func keep(capacity int) int { return min(256, capacity/2) }

// free counts the places for evidence: those empty and those whose piece may be given up.
func (f *Flash) free(capacity int) int {
	acked := len(f.Entries) - len(f.held(f.Acked+1))
	return capacity - len(f.Entries) + max(0, acked-keep(capacity))
}

// append journals e, giving up the oldest piece where there is no empty place.
func (f *Flash) append(e Entry, capacity int) {
	if len(f.Entries) >= capacity {
		f.Entries = slices.Delete(f.Entries, 0, len(f.Entries)-capacity+1)
	}
	f.Entries = append(f.Entries, e)
	f.Highest = e.Seq
}

// Memory is what outlives the process of a simulated device: its chip and its body.
type Memory struct {
	Flash Flash `json:"flash"`
	Lock  Lock  `json:"lock"`
	// Pump is nil but for a pump.
	Pump *Pump `json:"pump,omitempty"`
	// Body is that of any kind without a field here.
	Body any `json:"body,omitempty"`
}

// Save writes m as JSON.
func (m *Memory) Save(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(m); err != nil {
		return fmt.Errorf("save device memory: %w", err)
	}
	return nil
}

// LoadMemory reads what Save wrote.
func LoadMemory(r io.Reader) (*Memory, error) {
	var m Memory
	if err := json.NewDecoder(r).Decode(&m); err != nil {
		return nil, fmt.Errorf("load device memory: %w", err)
	}
	return &m, nil
}
