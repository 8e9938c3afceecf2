package sim

import (
	"fmt"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

const testPrice = 7_850 // milli-yuan per litre

// pumping is a rig whose device is a dispenser of two sides with two nozzles
// each, booted and connected; what it said so far is read.
func pumping(t fataler, change func(*Config)) *rig {
	t.Helper()
	r := running(t, func(c *Config) {
		c.Kind, c.Lock = "pump", nil
		c.Pump = NewPump(NewSide(1, map[uint8]string{1: "92", 2: "95"}), NewSide(2, map[uint8]string{1: "92", 2: "95"}))
		if change != nil {
			change(c)
		}
	})
	r.seen()
	return r
}

// fuel is a start of a side: all nozzles, 40 litres, 100 yuan, a minute to lift.
func (r *rig) fuel(outlet uint8, seq uint64) wire.Command {
	c := r.command(wire.KindStart, seq)
	c.Outlet, c.ID, c.Order = outlet, sideID(1, outlet, seq), sideID(2, outlet, seq)
	c.Start = &wire.StartArgs{UnitPrices: map[uint8]int64{1: testPrice, 2: 8_360}, MaxMillilitres: 40_000, MaxFen: 10_000, ArmMillis: 60_000}
	return c
}

// sideID names a command (kind 1) or an order (kind 2) of a side.
func sideID(kind byte, outlet uint8, seq uint64) wire.ID { return id(kind, uint64(outlet)<<32|seq) }

// other is a command of another kind to a side; a stop names order.
func (r *rig) other(kind wire.CommandKind, outlet uint8, seq uint64, order wire.ID) wire.Command {
	c := r.command(kind, seq)
	c.Outlet, c.ID, c.Order = outlet, sideID(1, outlet, seq), order
	return c
}

func (r *rig) lift(outlet, nozzle uint8) { r.t.Helper(); r.take(r.c.Lift(r.now, outlet, nozzle)) }
func (r *rig) hangUp(outlet uint8)       { r.t.Helper(); r.take(r.c.HangUp(r.now, outlet)) }
func (r *rig) squeeze(outlet uint8, percent int) {
	r.t.Helper()
	r.take(r.c.Squeeze(r.now, outlet, percent))
}

// flowing starts a side, lifts nozzle 1 and squeezes it for a time.
func (r *rig) flowing(outlet uint8, seq uint64, d time.Duration) {
	r.t.Helper()
	r.send(r.fuel(outlet, seq))
	r.lift(outlet, 1)
	r.squeeze(outlet, 100)
	r.wait(d)
}

// side is the body of an outlet.
func (r *rig) side(outlet uint8) *Side { return r.c.pump.body.Side(outlet) }

func (r *rig) total(outlet, nozzle uint8) int64 {
	return int64(r.side(outlet).Nozzle(nozzle).Totaliser)
}

func (r *rig) sale(i int) *Sale {
	r.t.Helper()
	sales := r.c.pump.body.Sales
	if i >= len(sales) {
		r.t.Fatalf("%d sales, want more than %d", len(sales), i)
	}
	return sales[i]
}

func (r *rig) wantState(outlet uint8, want wire.MeterState) {
	r.t.Helper()
	if got := r.side(outlet).State; got != want {
		r.t.Errorf("outlet %d is %v, want %v", outlet, got, want)
	}
}

// lastOf is the newest evidence of that kind.
func (r *rig) lastOf(kind wire.EvidenceKind) wire.Evidence {
	r.t.Helper()
	for n := r.c.flash.Highest; n > 0; n-- {
		if e, ok := r.evidence[n]; ok && e.Kind == kind {
			return e
		}
	}
	r.t.Fatalf("no %v was sent", kind)
	return wire.Evidence{}
}

// wantEvidence is want of new evidence alone: neither beats nor what is sent again.
func (r *rig) wantEvidence(words ...string) {
	r.t.Helper()
	got := []string{}
	for seq := r.heard + 1; r.evidence[seq].Seq != 0; seq++ {
		e := r.evidence[seq]
		word := e.Kind.String()
		if e.Reason != wire.ReasonNone {
			word += ": " + e.Reason.String()
		}
		got = append(got, word)
	}
	r.seen()
	if fmt.Sprint(got) != fmt.Sprint(words) {
		r.t.Errorf("device journalled %v, want %v", got, words)
	}
}
