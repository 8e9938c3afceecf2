package world

import (
	"time"

	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
)

// lock is what a machine has that is a bike's lock.
type lock struct {
	body     *sim.Lock
	moves    int  // movements seen by the oracle
	shutDark bool // shut by hand since a boot last journalled what it saw
	shuts    []time.Duration
}

// installLock mounts a lock.
func (w *world) installLock(id device.ID) {
	w.install(id, device.Lock, func(m *machine) {
		m.lock = &lock{body: sim.NewLock()}
		w.locks = append(w.locks, m)
	})
}

// moved follows a true opening by the motor.
func (w *world) moved(m *machine, v sim.Movement) {
	w.note(string(m.id), "OPENS for start #%d of %s", v.Seq, w.oracle.name(v.Order.String()))
	w.oracle.moved(m, v)
	w.losesProof(m)
	wait := w.between(20*time.Second, 12*time.Minute)
	if w.healing {
		wait = w.between(2*time.Second, 20*time.Second)
	} else if w.chance(0.12) {
		wait = 3 * time.Hour // forgotten: the watchdog or the repair must end it
	}
	w.handShuts(m, wait)
}

// losesProof may lose what proves a start before it leaves.
func (w *world) losesProof(m *machine) {
	switch {
	case w.strikes(Wear, 0.25):
		w.silence(m, 5*time.Second)
		w.after(time.Millisecond, func() { w.wear(m) })
	case w.strikes(FlashLost, 0.3):
		w.silence(m, 5*time.Second)
		w.after(time.Millisecond, func() { w.loseFlash(m) })
	}
}

// handShuts lets a hand push the bolt home after a while, if it is still this
// opening.
func (w *world) handShuts(m *machine, wait time.Duration) {
	opening := m.lock.body.Opens
	w.after(wait, func() {
		if m.lock.body.Opens == opening {
			w.shut(m)
		}
	})
}

// shut pushes the bolt home.
func (w *world) shut(m *machine) {
	if m.lock.body.Closed {
		return
	}
	use := m.flash.Outlet.Use != nil
	m.lock.shuts = append(m.lock.shuts, w.at)
	w.note(string(m.id), "is pushed shut by hand")
	defer func() { // the power may go in this very moment
		m.lock.shutDark = m.lock.shutDark || !m.c.Powered()
	}()
	if use && m.c.Powered() && w.strikes(Wear, 0.6) {
		// The page that holds what was not acked wears out before it leaves.
		w.silence(m, time.Second)
		w.touch(m, m.c.CloseByHand)
		w.wear(m)
		if w.strikes(ForcedOpen, 0.5) {
			w.vandal(m)
		}
		return
	}
	if use && m.c.Powered() && w.strikes(ForcedOpen, 0.2) {
		w.vandal(m)
	}
	w.touch(m, m.c.CloseByHand)
}

// vandal comes to a lock in a tunnel right after its rider has gone: its next
// word is of a bolt that is open again.
func (w *world) vandal(m *machine) {
	w.disconnect(m)
	w.after(w.between(time.Second, 40*time.Second), func() { w.force(m) })
	if w.chance(0.3) {
		w.after(w.between(40*time.Second, 50*time.Second), func() { w.cutPower(m) })
	}
	w.connectSoon(m, w.between(50*time.Second, 70*time.Second))
}

// force tears the bolt open, where a sensor could tell (see the package's limits).
func (w *world) force(m *machine) {
	burn := m.flash.Outlet.Burn
	if !m.lock.body.Closed || !m.c.Powered() && (m.lock.shutDark || burn.Moving && !burn.Settled) {
		return
	}
	w.fault(ForcedOpen)
	w.note(string(m.id), "is torn open")
	w.touch(m, m.c.ForceOpen)
	w.handShuts(m, w.between(5*time.Second, 2*time.Minute))
}

// drain empties a lock's battery for a while.
func (w *world) drain(m *machine) {
	w.fault(LowBattery)
	charge := uint8(w.rand.IntN(10))
	w.note(string(m.id), "its battery falls to %d%%", charge)
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetBattery(now, charge) })
	w.after(w.between(time.Minute, 6*time.Minute), func() {
		w.note(string(m.id), "its battery is charged")
		w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetBattery(now, 100) })
	})
}

// jam blocks the motor until a mechanic frees it.
func (w *world) jam(m *machine) {
	w.fault(Jam)
	w.note(string(m.id), "jams")
	m.c.SetJammed(true)
	w.after(w.between(time.Minute, 6*time.Minute), func() {
		w.note(string(m.id), "is freed by a mechanic")
		m.c.SetJammed(false)
	})
}

// healLock repairs a lock and lets a hand shut it.
func (w *world) healLock(m *machine) {
	m.c.SetJammed(false)
	w.touch(m, func(now time.Time) []sim.Packet { return m.c.SetBattery(now, 100) })
}
