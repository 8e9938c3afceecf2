package world

import (
	"math/rand/v2"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// machine is one device in the street: a real controller on its chip and body, and
// what only the world knows of it. What its kind alone has is in lock or pump.
type machine struct {
	id    device.ID
	kind  device.Kind
	c     *sim.Controller
	flash *sim.Flash
	lock  *lock // nil: a pump
	pump  *pump // nil: a lock
	ppm   int
	start time.Duration             // what its clock shows at boot
	epoch uint32                    // of its own provisioning
	keys  map[uint32]wire.KeyedHash // by epoch; 0 is none
	links [2]link

	phone  *phone // beside it, with a connection; nil: none
	tunnel bool   // it has no coverage

	wakeAt time.Duration   // when its own clock wakes it next
	wakes  int             // grows with each plan to wake
	outage int             // grows with each loss of power and of connection
	lossy  bool            // it lost evidence that was not acked; staff must repair it
	lostIn map[uint32]bool // the epochs in which it did
	boots  map[device.Boot]bootTruth
}

// bootTruth is what is true of one run of a machine.
type bootTruth struct {
	at    time.Duration
	heard bool
	fresh time.Duration // the shortest way that a word of it had to the store; true once heard
}

// install provisions a new machine, gives it power and lets the server hear it.
// body makes what its kind has, behind what all have.
func (w *world) install(id device.ID, kind device.Kind, body func(*machine)) {
	m := &machine{id: id, kind: kind, flash: &sim.Flash{}, start: w.between(0, 250*time.Millisecond), boots: map[device.Boot]bootTruth{},
		keys: map[uint32]wire.KeyedHash{}, lostIn: map[uint32]bool{}}
	body(m)
	if w.faults[Drift] {
		if m.ppm = w.rand.IntN(401) - 200; m.ppm != 0 {
			w.fault(Drift)
		}
	}
	w.machines, w.byID[id] = append(w.machines, m), m
	key := w.bytes(32)
	d := at(w, order.UseCase[device.Device](w.provisioning(m, key)))
	w.furnishKey(m, d.Epoch, key)
	w.power(m)
}

func (w *world) provisioning(m *machine, key []byte) order.Provision {
	p := order.Provision{Device: m.id, Kind: m.kind, Venue: "campus", Outlets: 1, PublicKey: key, Bluetooth: m.lock != nil,
		Staff: order.Audit{Staff: "s1", Act: "provision", Reason: "mounted"}}
	if m.pump != nil {
		p.Outlets, p.Grades, p.Display = len(m.pump.sides), m.pump.grades(), m.pump.display
	}
	return p
}

// furnishKey puts a new provisioning on a machine without power.
func (w *world) furnishKey(m *machine, epoch uint32, key []byte) {
	hash := wire.NewKeyedHash(key)
	m.epoch, m.keys[epoch] = epoch, hash
	config := sim.Config{Device: string(m.id), Epoch: epoch, Key: hash, Server: w.sealer.Signer.(wire.Verifier), Flash: m.flash,
		DriftPPM: m.ppm, UptimeStart: m.start, Bluetooth: m.lock != nil}
	if w.chance(0.3) {
		config.JournalCapacity = 16 + w.rand.IntN(8)
	}
	if m.pump != nil {
		config.Kind, config.Pump = "pump", m.pump.body
		if config.JournalCapacity > 0 {
			config.JournalCapacity += 4 * (len(m.pump.sides) - 1)
		}
	} else {
		config.Lock = m.lock.body
	}
	config.Rand = rand.New(rand.NewPCG(w.rand.Uint64(), 1))
	c, err := sim.NewController(config)
	if err != nil {
		w.oracle.violation("world: %v", err)
		return
	}
	m.c = c
}

// touch lets a machine's controller do something, and follows what came of it.
func (w *world) touch(m *machine, do func(now time.Time) []sim.Packet) {
	was := m.c.Powered()
	last := m.flash.Highest
	packets := do(w.now())
	if err := m.c.Err(); err != nil {
		w.oracle.violation("world: %s: %v", m.id, err)
	}
	w.followed(m, last)
	if was && !m.c.Powered() {
		w.fault(StepCut)
		w.dark(m, "in the middle of its work")
	}
	w.up(m, packets)
	w.planWake(m)
}

// followed looks at what a machine's body did, and at what it wrote of it behind
// number last.
func (w *world) followed(m *machine, last uint64) {
	if m.pump != nil {
		w.follow(m, last)
		return
	}
	for ; m.lock.moves < len(m.lock.body.Movements); m.lock.moves++ {
		w.moved(m, m.lock.body.Movements[m.lock.moves])
	}
	w.journalled(m, last)
}

// journalled follows what a machine wrote behind number last.
func (w *world) journalled(m *machine, last uint64) {
	if m.flash.Highest == last {
		return
	}
	for _, e := range m.flash.Entries {
		if e.Seq <= last {
			continue
		}
		w.note(string(m.id), "journals %s as %d", e.Kind, e.Seq)
		if m.pump != nil {
			w.signed(m, e)
		}
	}
}

// planWake lets the machine's own clock wake it.
func (w *world) planWake(m *machine) {
	next := m.c.NextWake()
	if next.IsZero() {
		m.wakeAt = 0
		m.wakes++
		return
	}
	at := next.Sub(w.began)
	if at == m.wakeAt {
		return
	}
	m.wakeAt = at
	m.wakes++
	plan := m.wakes
	w.after(at-w.at, func() {
		if m.wakes != plan {
			return
		}
		m.wakeAt = 0
		beats := m.c.Stats().Beats
		w.touch(m, m.c.Tick)
		if m.c.Stats().Beats > beats {
			w.note(string(m.id), "beats")
		}
	})
}

// silence swallows what a machine says for a while.
func (w *world) silence(m *machine, d time.Duration) {
	if m.links[up].cut {
		return
	}
	m.links[up].cut = true
	w.after(d, func() { m.links[up].cut = false })
}

// lose notes that evidence which was not acked is gone for good.
func (m *machine) lose() { m.lossy, m.lostIn[m.epoch] = true, true }

// wear loses every piece of evidence that the chip holds.
func (w *world) wear(m *machine) {
	if len(m.flash.Entries) == 0 {
		return
	}
	w.fault(Wear)
	w.note(string(m.id), "loses a worn page with its evidence")
	m.flash.Entries = nil
	m.lose()
}

// loseFlash takes the power and with it all that the chip knew.
func (w *world) loseFlash(m *machine) {
	w.fault(FlashLost)
	w.unplug(m)
	w.note(string(m.id), "forgets everything")
	*m.flash = sim.Flash{Epoch: m.flash.Epoch, Outlet: sim.Outlet{Opens: m.flash.Outlet.Opens}}
	m.lose()
	w.dark(m, "with its flash")
}

// unplug takes a machine's power at this very moment.
func (w *world) unplug(m *machine) {
	last := m.flash.Highest
	m.c.PowerCutAt(w.now()) // what time had brought by then it still wrote down
	w.followed(m, last)
}

// dark follows a loss of power and plans its return.
func (w *world) dark(m *machine, how string) {
	w.note(string(m.id), "loses power %s", how)
	m.outage++
	w.planWake(m)
	outage := m.outage
	wait := w.between(300*time.Millisecond, 4*time.Second)
	if !w.healing && w.chance(0.4) {
		wait = w.between(4*time.Second, 4*time.Minute)
	}
	if m.lock != nil && !m.lock.body.Closed && w.chance(0.3) {
		w.handShuts(m, w.between(0, wait))
	}
	w.after(wait, func() {
		if m.outage == outage {
			w.power(m)
		}
	})
}

// cutPower takes a machine's power at no particular step.
func (w *world) cutPower(m *machine) {
	if !m.c.Powered() {
		return
	}
	w.unplug(m)
	w.fault(PowerCut)
	w.dark(m, "in an idle moment")
}

// power gives a machine power: it boots, and connects a moment later.
func (w *world) power(m *machine) {
	if m.c.Powered() {
		return
	}
	last := m.flash.Highest
	w.note(string(m.id), "has power and boots")
	journal := m.flash.Journal
	m.c.Boot(w.now())
	if m.flash.Journal != journal {
		last = 0
	}
	m.boots[device.Boot(m.c.BootID())] = bootTruth{at: w.at}
	for _, e := range m.flash.Entries { // a boot that was cut short left its id in its words only
		if e.Seq > last {
			if u, err := wire.OpenUplink(m.keys[m.epoch], string(m.id), e.Sealed); err == nil {
				m.boots[device.Boot(u.Evidence.Boot)] = bootTruth{at: w.at}
			}
			if m.lock != nil && e.Kind == wire.EvidenceBoot { // a boot that is cut before this has told nobody what it saw
				m.lock.shutDark = false
			}
		}
	}
	w.followed(m, last)
	if !m.c.Powered() {
		w.fault(StepCut)
		w.dark(m, "while booting")
		return
	}
	if m.flash.Params == nil { // telemetry is rare here: it proves nothing
		m.flash.Params = map[wire.Param]int64{wire.ParamTelemetrySeconds: 86400}
	}
	w.planWake(m)
	w.connectSoon(m, w.between(200*time.Millisecond, 3*time.Second))
}

// connectSoon lets a machine with power reach its broker after a while.
func (w *world) connectSoon(m *machine, wait time.Duration) {
	outage := m.outage
	w.after(wait, func() {
		if m.outage != outage || !m.c.Powered() || m.c.Connected() {
			return
		}
		if m.tunnel || m.links[up].cut || m.links[down].cut {
			w.connectSoon(m, w.between(time.Second, 10*time.Second))
			return
		}
		w.note(string(m.id), "connects")
		w.touch(m, m.c.Connect)
	})
}

// disconnect breaks a machine's connection.
func (w *world) disconnect(m *machine) {
	if !m.c.Connected() {
		return
	}
	w.note(string(m.id), "loses its connection")
	m.c.Disconnect()
	w.planWake(m)
}
