package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

const testDevice = "BIKE-0001"

var (
	testServer = wire.NewKeyedHash([]byte("server"))
	testKey    = wire.NewKeyedHash([]byte("device"))
)

// rig is a controller in virtual time with a server's end that only signs and reads.
type rig struct {
	t   fataler
	c   *Controller
	now time.Time
	// evidence is everything seen, by journal seq; bytes that differ fail the test.
	evidence map[uint64]wire.Evidence
	sealed   map[uint64][]byte
	beats    []wire.Beat
	fresh    []wire.Uplink // seen since the last call of seen
	heard    uint64        // the highest journal seq among what seen returned
	meters   []wire.Meter  // of outlet 1, in telemetry, since a test cleared them
}

func newRig(t fataler, change func(*Config)) *rig {
	t.Helper()
	c := Config{
		Device: testDevice, Epoch: 1, Key: testKey, Server: testServer,
		Flash: &Flash{}, Lock: NewLock(), Rand: rand.New(rand.NewPCG(1, 2)),
	}
	if change != nil {
		change(&c)
	}
	controller, err := NewController(c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	r := &rig{t: t, c: controller, now: time.Unix(1_800_000_000, 0), evidence: map[uint64]wire.Evidence{}, sealed: map[uint64][]byte{}}
	return r
}

// running is a rig whose device is booted and connected.
func running(t fataler, change func(*Config)) *rig {
	t.Helper()
	r := newRig(t, change)
	r.up()
	return r
}

func (r *rig) up() {
	r.c.Boot(r.now)
	r.take(r.c.Connect(r.now))
}

// take reads what the device sent and holds it against what it sent before.
func (r *rig) take(packets []Packet) {
	r.t.Helper()
	for _, p := range packets {
		if p.Retained || p.QoS != 0 {
			r.t.Fatalf("packet on %s is retained or above QoS 0", p.Topic)
		}
		if p.Topic != wire.EvidenceTopic(testDevice) {
			r.takeMeters(p)
			continue
		}
		u, err := wire.OpenUplink(testKey, testDevice, p.Payload)
		if err != nil {
			r.t.Fatalf("device sent what does not open: %v", err)
		}
		r.fresh = append(r.fresh, u)
		if u.Beat != nil {
			r.beats = append(r.beats, *u.Beat)
			continue
		}
		seq := u.Evidence.Seq
		if was, ok := r.sealed[seq]; ok && !bytes.Equal(was, p.Payload) {
			r.t.Fatalf("evidence %d was sent with other bytes before", seq)
		}
		r.sealed[seq] = p.Payload
		r.evidence[seq] = *u.Evidence
	}
	if err := r.c.Err(); err != nil {
		r.t.Fatalf("simulation broke: %v", err)
	}
}

func (r *rig) takeMeters(p Packet) {
	r.t.Helper()
	if p.Topic != wire.TelemetryTopic(testDevice) {
		return
	}
	m, err := wire.DecodeTelemetry(p.Payload)
	if err != nil {
		r.t.Fatalf("device sent telemetry that does not open: %v", err)
	}
	for _, meter := range m.Meters {
		if meter.Outlet == 1 {
			r.meters = append(r.meters, meter)
		}
	}
}

// seen returns, as words, what arrived since it was last called.
func (r *rig) seen() []string {
	words := []string{}
	for _, u := range r.fresh {
		if u.Beat != nil {
			words = append(words, "beat")
			continue
		}
		word := u.Evidence.Kind.String()
		if u.Evidence.Reason != wire.ReasonNone {
			word += ": " + u.Evidence.Reason.String()
		}
		words = append(words, word)
	}
	r.heard = max(r.heard, r.highest())
	r.fresh = nil
	return words
}

// highest is the highest journal seq that was ever seen.
func (r *rig) highest() (n uint64) {
	for seq := range r.sealed {
		n = max(n, seq)
	}
	return n
}

func (r *rig) want(words ...string) {
	r.t.Helper()
	if got := fmt.Sprint(r.seen()); got != fmt.Sprint(words) {
		r.t.Errorf("device sent %v, want %v", got, words)
	}
}

func (r *rig) wantMoves(n int) {
	r.t.Helper()
	if got := len(r.c.lock.Movements); got != n {
		r.t.Errorf("got %d movements, want %d: %+v", got, n, r.c.lock.Movements)
	}
}

// last is the newest evidence seen.
func (r *rig) last() wire.Evidence {
	r.t.Helper()
	e, ok := r.evidence[r.c.flash.Highest]
	if !ok {
		r.t.Fatalf("evidence %d was never sent", r.c.flash.Highest)
	}
	return e
}

func id(kind byte, n uint64) (id wire.ID) {
	id[0] = kind
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

func (r *rig) command(kind wire.CommandKind, seq uint64) wire.Command {
	c := wire.Command{Epoch: 1, Outlet: 1, Seq: seq, ID: id(1, seq), Kind: kind, Order: id(2, seq)}
	if kind.Expires() {
		c.Boot, c.NotAfter = r.c.BootID(), r.c.Uptime(r.now)+15_000
	}
	if kind == wire.KindConfig {
		c.Config = &wire.ConfigArgs{}
	}
	return c
}

func (r *rig) seal(c wire.Command) []byte {
	r.t.Helper()
	b, err := wire.SealCommand(testServer, testDevice, c)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	return b
}

func (r *rig) send(c wire.Command) { r.t.Helper(); r.take(r.c.Receive(r.now, r.seal(c))) }

func (r *rig) start(seq uint64) { r.t.Helper(); r.send(r.command(wire.KindStart, seq)) }

func (r *rig) ack(n uint64) {
	r.t.Helper()
	r.send(wire.Command{Epoch: 1, Kind: wire.KindAck, Ack: &wire.AckArgs{Journal: r.c.flash.Journal, N: n}})
}

// wait lets virtual time pass, ticking when the device asks to.
func (r *rig) wait(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for {
		at := r.c.NextWake()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.Before(r.now) {
			at = r.now
		}
		r.now = at
		r.take(r.c.Tick(r.now))
	}
	r.now = end
	r.take(r.c.Tick(r.now))
}

// reboot cuts and restores power, a second apart.
func (r *rig) reboot() {
	r.t.Helper()
	r.c.PowerCut()
	r.now = r.now.Add(time.Second)
	r.up()
}

// arm arms a cut.
func (r *rig) arm(step Step) {
	r.t.Helper()
	if err := r.c.ArmCut(step); err != nil {
		r.t.Fatalf("%v", err)
	}
}

var _ fataler = (*testing.T)(nil)
