package world

import (
	"math/rand/v2"
	"time"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// lock is one device in the street: a real controller on its chip and body, and
// what only the world knows of it.
type lock struct {
	id    device.ID
	c     *sim.Controller
	flash *sim.Flash
	body  *sim.Lock
	ppm   int
	start time.Duration             // what its clock shows at boot
	epoch uint32                    // of its own provisioning
	keys  map[uint32]wire.KeyedHash // by epoch; 0 is none
	links [2]link

	moves    int           // movements seen by the oracle
	wakeAt   time.Duration // when its own clock wakes it next
	wakes    int           // grows with each plan to wake
	outage   int           // grows with each loss of power and of connection
	lossy    bool          // it lost evidence that was not acked; staff must repair it
	shutDark bool          // shut by hand since a boot last journalled what it saw
	shuts    []time.Duration
	forced   []time.Duration
	boots    map[device.Boot]bootTruth
}

// bootTruth is what is true of one run of a lock.
type bootTruth struct {
	at    time.Duration
	heard bool
	fresh time.Duration // the shortest way that a word of it had to the store; true once heard
}

// install provisions a new lock, gives it power and lets the server hear it.
func (w *world) install(id device.ID) {
	l := &lock{id: id, flash: &sim.Flash{}, body: sim.NewLock(), start: w.between(0, 250*time.Millisecond), boots: map[device.Boot]bootTruth{},
		keys: map[uint32]wire.KeyedHash{}}
	if w.faults[Drift] {
		if l.ppm = w.rand.IntN(401) - 200; l.ppm != 0 {
			w.fault(Drift)
		}
	}
	w.locks, w.byID[id] = append(w.locks, l), l
	key := w.bytes(32)
	d := at(w, order.UseCase[device.Device](w.provisioning(l, key)))
	w.furnishKey(l, d.Epoch, key)
	w.power(l)
}

func (w *world) provisioning(l *lock, key []byte) order.Provision {
	return order.Provision{Device: l.id, Kind: device.Lock, Venue: "campus", Outlets: 1, PublicKey: key,
		Staff: order.Audit{Staff: "s1", Act: "provision", Reason: "mounted"}}
}

// furnishKey puts a new provisioning on a lock without power.
func (w *world) furnishKey(l *lock, epoch uint32, key []byte) {
	hash := wire.NewKeyedHash(key)
	l.epoch, l.keys[epoch] = epoch, hash
	capacity := 0
	if w.chance(0.3) {
		capacity = 16 + w.rand.IntN(8)
	}
	c, err := sim.NewController(sim.Config{Device: string(l.id), Epoch: epoch, Key: hash,
		Server: w.sealer.Signer.(wire.Verifier), Flash: l.flash, Lock: l.body, JournalCapacity: capacity,
		Rand: rand.New(rand.NewPCG(w.rand.Uint64(), 1)), DriftPPM: l.ppm, UptimeStart: l.start})
	if err != nil {
		w.oracle.violation("world: %v", err)
		return
	}
	l.c = c
}

// touch lets a lock's controller do something, and follows what came of it.
func (w *world) touch(l *lock, do func(now time.Time) []sim.Packet) {
	was := l.c.Powered()
	last := l.flash.Highest
	packets := do(w.now())
	if err := l.c.Err(); err != nil {
		w.oracle.violation("world: %s: %v", l.id, err)
	}
	for ; l.moves < len(l.body.Movements); l.moves++ {
		w.moved(l, l.body.Movements[l.moves])
	}
	if w.trace != nil && l.flash.Highest > last {
		for _, e := range l.flash.Entries {
			if e.Seq > last {
				if e.Kind == wire.EvidenceBoot { // a boot that is cut before this has told nobody what it saw
					l.shutDark = false
				}
				w.note(string(l.id), "journals %s as %d", e.Kind, e.Seq)
			}
		}
	}
	if was && !l.c.Powered() {
		w.fault(StepCut)
		w.dark(l, "in the middle of its work")
	}
	w.up(l, packets)
	w.planWake(l)
}

// planWake lets the lock's own clock wake it.
func (w *world) planWake(l *lock) {
	next := l.c.NextWake()
	if next.IsZero() {
		l.wakeAt = 0
		l.wakes++
		return
	}
	at := next.Sub(w.began)
	if at == l.wakeAt {
		return
	}
	l.wakeAt = at
	l.wakes++
	plan := l.wakes
	w.after(at-w.at, func() {
		if l.wakes != plan {
			return
		}
		l.wakeAt = 0
		beats := l.c.Stats().Beats
		w.touch(l, l.c.Tick)
		if l.c.Stats().Beats > beats {
			w.note(string(l.id), "beats")
		}
	})
}

// moved follows a true opening by the motor.
func (w *world) moved(l *lock, m sim.Movement) {
	w.note(string(l.id), "OPENS for start #%d of %s", m.Seq, w.oracle.name(m.Order.String()))
	w.oracle.moved(l, m)
	switch { // what proves it is lost before it leaves
	case w.strikes(Wear, 0.25):
		w.silence(l, 5*time.Second)
		w.after(time.Millisecond, func() { w.wear(l) })
	case w.strikes(FlashLost, 0.3):
		w.silence(l, 5*time.Second)
		w.after(time.Millisecond, func() { w.loseFlash(l) })
	}
	wait := w.between(20*time.Second, 12*time.Minute)
	if w.healing {
		wait = w.between(2*time.Second, 20*time.Second)
	} else if w.chance(0.12) {
		wait = 3 * time.Hour // forgotten: the watchdog or the repair must end it
	}
	w.handShuts(l, wait)
}

// handShuts lets a hand push the bolt home after a while, if it is still this
// opening.
func (w *world) handShuts(l *lock, wait time.Duration) {
	opening := l.body.Opens
	w.after(wait, func() {
		if l.body.Opens == opening {
			w.shut(l)
		}
	})
}

// shut pushes the bolt home.
func (w *world) shut(l *lock) {
	if l.body.Closed {
		return
	}
	use := l.flash.Outlet.Use != nil
	l.shuts = append(l.shuts, w.at)
	w.note(string(l.id), "is pushed shut by hand")
	defer func() { // the power may go in this very moment
		l.shutDark = l.shutDark || !l.c.Powered()
	}()
	if use && l.c.Powered() && w.strikes(Wear, 0.6) {
		// The page that holds what was not acked wears out before it leaves.
		w.silence(l, time.Second)
		w.touch(l, l.c.CloseByHand)
		w.wear(l)
		if w.strikes(ForcedOpen, 0.5) {
			w.vandal(l)
		}
		return
	}
	if use && l.c.Powered() && w.strikes(ForcedOpen, 0.2) {
		w.vandal(l)
	}
	w.touch(l, l.c.CloseByHand)
}

// vandal comes to a lock in a tunnel right after its rider has gone: its next
// word is of a bolt that is open again.
func (w *world) vandal(l *lock) {
	w.disconnect(l)
	w.after(w.between(time.Second, 40*time.Second), func() { w.force(l) })
	if w.chance(0.3) {
		w.after(w.between(40*time.Second, 50*time.Second), func() { w.cutPower(l) })
	}
	w.connectSoon(l, w.between(50*time.Second, 70*time.Second))
}

// silence swallows what a lock says for a while.
func (w *world) silence(l *lock, d time.Duration) {
	if l.links[up].cut {
		return
	}
	l.links[up].cut = true
	w.after(d, func() { l.links[up].cut = false })
}

// wear loses every piece of evidence that the chip holds.
func (w *world) wear(l *lock) {
	if len(l.flash.Entries) == 0 {
		return
	}
	w.fault(Wear)
	w.note(string(l.id), "loses a worn page with its evidence")
	l.flash.Entries = nil
	l.lossy = true
}

// force tears the bolt open, where a sensor could tell (see the package's limits).
func (w *world) force(l *lock) {
	burn := l.flash.Outlet.Burn
	if !l.body.Closed || !l.c.Powered() && (l.shutDark || burn.Moving && !burn.Settled) {
		return
	}
	w.fault(ForcedOpen)
	w.note(string(l.id), "is torn open")
	l.forced = append(l.forced, w.at)
	w.touch(l, l.c.ForceOpen)
	w.handShuts(l, w.between(5*time.Second, 2*time.Minute))
}

// dark follows a loss of power and plans its return.
func (w *world) dark(l *lock, how string) {
	w.note(string(l.id), "loses power %s", how)
	l.outage++
	w.planWake(l)
	outage := l.outage
	wait := w.between(300*time.Millisecond, 4*time.Second)
	if !w.healing && w.chance(0.4) {
		wait = w.between(4*time.Second, 4*time.Minute)
	}
	if !l.body.Closed && w.chance(0.3) {
		w.handShuts(l, w.between(0, wait))
	}
	w.after(wait, func() {
		if l.outage == outage {
			w.power(l)
		}
	})
}

// cutPower takes a lock's power at no particular step.
func (w *world) cutPower(l *lock) {
	if !l.c.Powered() {
		return
	}
	w.fault(PowerCut)
	l.c.PowerCut()
	w.dark(l, "in an idle moment")
}

// power gives a lock power: it boots, and connects a moment later.
func (w *world) power(l *lock) {
	if l.c.Powered() {
		return
	}
	last := l.flash.Highest
	w.note(string(l.id), "has power and boots")
	journal := l.flash.Journal
	l.c.Boot(w.now())
	if l.flash.Journal != journal {
		last = 0
	}
	l.boots[device.Boot(l.c.BootID())] = bootTruth{at: w.at}
	for _, e := range l.flash.Entries { // a boot that was cut short left its id in its words only
		if e.Seq > last {
			if u, err := wire.OpenUplink(l.keys[l.epoch], string(l.id), e.Sealed); err == nil {
				l.boots[device.Boot(u.Evidence.Boot)] = bootTruth{at: w.at}
			}
			w.note(string(l.id), "journals %s as %d", e.Kind, e.Seq)
		}
	}
	if !l.c.Powered() {
		w.fault(StepCut)
		w.dark(l, "while booting")
		return
	}
	if l.flash.Params == nil { // telemetry is rare here: it proves nothing
		l.flash.Params = map[wire.Param]int64{wire.ParamTelemetrySeconds: 86400}
	}
	w.connectSoon(l, w.between(200*time.Millisecond, 3*time.Second))
}

// connectSoon lets a lock with power reach its broker after a while.
func (w *world) connectSoon(l *lock, wait time.Duration) {
	outage := l.outage
	w.after(wait, func() {
		if l.outage != outage || !l.c.Powered() || l.c.Connected() {
			return
		}
		if l.links[up].cut || l.links[down].cut {
			w.connectSoon(l, w.between(time.Second, 10*time.Second))
			return
		}
		w.note(string(l.id), "connects")
		w.touch(l, l.c.Connect)
	})
}

// disconnect breaks a lock's connection.
func (w *world) disconnect(l *lock) {
	if !l.c.Connected() {
		return
	}
	w.note(string(l.id), "loses its connection")
	l.c.Disconnect()
	w.planWake(l)
}
