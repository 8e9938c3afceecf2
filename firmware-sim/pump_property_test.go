package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/device/wire"
)

// TestWhateverHappensAPumpDispensesWhatItSays throws commands (new, repeated,
// late, out of order), hands, faults, link cuts and power cuts at a dispenser of
// two sides and holds its body against its evidence.
func TestWhateverHappensAPumpDispensesWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		capacity := rapid.SampledFrom([]int{24, 40, 64}).Draw(t, "capacity")
		r := pumping(t, func(c *Config) {
			c.Rand = rand.New(rand.NewPCG(seed, 1))
			c.JournalCapacity = capacity
			c.DriftPPM = rapid.IntRange(-200, 200).Draw(t, "drift")
		})
		w := &pumpWatch{r: r, cranked: map[string]int64{}, totals: map[string]int64{}}
		var past []wire.Command
		next, acked := map[uint8]uint64{1: 1, 2: 1}, uint64(0)
		outlet := rapid.Uint8Range(1, 2)
		nozzle := rapid.Uint8Range(1, 2)
		command := func(t *rapid.T, kind wire.CommandKind) wire.Command {
			n := outlet.Draw(t, "outlet")
			c := r.other(kind, n, next[n], wire.ID{})
			next[n]++
			if kind == wire.KindStart {
				c.Order = sideID(2, n, c.Seq)
				c.Start = &wire.StartArgs{
					UnitPrices:     rapid.MapOfN(rapid.SampledFrom([]uint8{1, 1, 2, 2, 3}), rapid.Int64Range(0, 12_000), 1, 2).Draw(t, "prices"),
					MaxMillilitres: rapid.Int64Range(1, 5_000).Draw(t, "ml"), MaxFen: rapid.Int64Range(0, 3_000).Draw(t, "fen"),
					ArmMillis: rapid.Uint32Range(1, 20_000).Draw(t, "arm"),
				}
			}
			if kind == wire.KindStop && rapid.Bool().Draw(t, "names an order") {
				c.Order = sideID(2, n, rapid.Uint64Range(1, next[n]).Draw(t, "order"))
			}
			past = append(past, c)
			return c
		}
		start := func(t *rapid.T) {
			if r.c.Powered() {
				if c := command(t, wire.KindStart); rapid.IntRange(0, 9).Draw(t, "arrives") > 0 {
					r.send(c)
				}
			}
		}
		lift := func(t *rapid.T) { r.lift(outlet.Draw(t, "outlet"), nozzle.Draw(t, "nozzle")) }
		squeeze := func(t *rapid.T) { r.squeeze(outlet.Draw(t, "outlet"), rapid.IntRange(0, 100).Draw(t, "percent")) }
		pass := func(t *rapid.T) {
			seconds := rapid.SampledFrom([]int{0, 1, 3, 5, 8, 15, 70}).Draw(t, "s")
			r.wait(time.Duration(seconds)*time.Second + time.Duration(rapid.IntRange(0, 999_999).Draw(t, "us"))*time.Microsecond)
		}
		// fill does all that it takes for fuel to flow, as far as nothing is in the way.
		fill := func(t *rapid.T) {
			if !r.c.Powered() {
				r.up()
				w.booted(t)
			}
			n, hose := outlet.Draw(t, "outlet"), nozzle.Draw(t, "nozzle")
			r.take(r.c.Release(r.now))
			r.take(r.c.SetBroken(r.now, n, false))
			r.hangUp(n)
			if r.c.Powered() && r.c.pump.use(r.c.pump.side(n)) != nil {
				r.take(r.c.PressStop(r.now, n))
			}
			if !r.c.Powered() { // a cut was armed
				return
			}
			c := r.fuel(n, next[n])
			next[n]++
			c.Start.MaxMillilitres = rapid.Int64Range(10, 5_000).Draw(t, "ml")
			past = append(past, c)
			r.send(c)
			r.lift(n, hose)
			r.squeeze(n, rapid.IntRange(10, 100).Draw(t, "percent"))
			pass(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"fill": fill, "fill too": fill, "fill again": fill, "fill once more": fill,
			"start": start, "start too": start, "lift": lift, "lift too": lift, "squeeze": squeeze, "squeeze too": squeeze, "time": pass, "time too": pass,
			"other command": func(t *rapid.T) {
				if r.c.Powered() {
					r.send(command(t, rapid.SampledFrom([]wire.CommandKind{wire.KindRing, wire.KindProbe, wire.KindStop, wire.KindStop, wire.KindConfig}).Draw(t, "kind")))
				}
			},
			"again": func(t *rapid.T) {
				if len(past) > 0 {
					r.send(rapid.SampledFrom(past).Draw(t, "command"))
				}
			},
			"ack": func(t *rapid.T) {
				for r.evidence[acked+1].Seq != 0 {
					acked++
				}
				r.ack(rapid.Uint64Range(acked-min(acked, 3), acked).Draw(t, "n"))
			},
			"hang up": func(t *rapid.T) { r.hangUp(outlet.Draw(t, "outlet")) },
			"button":  func(t *rapid.T) { r.take(r.c.PressStop(r.now, outlet.Draw(t, "outlet"))) },
			"shut down": func(t *rapid.T) {
				if rapid.IntRange(0, 2).Draw(t, "strikes") > 0 {
					return
				}
				if rapid.Bool().Draw(t, "gas") {
					r.take(r.c.DetectGas(r.now))
				} else {
					r.take(r.c.PressEmergency(r.now))
				}
			},
			"release": func(*rapid.T) { r.take(r.c.Release(r.now)) },
			"broken": func(t *rapid.T) {
				r.take(r.c.SetBroken(r.now, outlet.Draw(t, "outlet"), rapid.IntRange(0, 2).Draw(t, "broken") == 0))
			},
			"crank": func(t *rapid.T) {
				n, hose, ml := outlet.Draw(t, "outlet"), nozzle.Draw(t, "nozzle"), rapid.Int64Range(1, 2_000).Draw(t, "ml")
				before := r.c.pump.body.Unauthorised
				r.take(r.c.Crank(r.now, n, hose, ml))
				w.cranked[hoseName(n, hose)] += r.c.pump.body.Unauthorised - before
			},
			"late": func(t *rapid.T) { // nobody wakes the device for a while
				r.now = r.now.Add(time.Duration(rapid.IntRange(0, 30_000).Draw(t, "ms")) * time.Millisecond)
			},
			"cut": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "to the moment") {
					r.c.PowerCutAt(r.now)
				} else {
					r.c.PowerCut()
				}
			},
			"power": func(*rapid.T) {
				dark := !r.c.Powered()
				if r.up(); dark {
					w.booted(t)
				}
			},
			"disconnect": func(*rapid.T) { r.c.Disconnect() },
			"connect":    func(*rapid.T) { r.take(r.c.Connect(r.now)) },
			"arm":        func(t *rapid.T) { r.arm(rapid.SampledFrom(Steps).Draw(t, "step")) },
			"":           func(t *rapid.T) { checkJournal(t, r, capacity); w.check(t) },
		})
		r.c.DisarmCuts()
		r.c.PowerCutAt(r.now) // whatever runs ends
		r.up()
		for range 100 { // the server comes back: everything arrives
			r.ack(min(r.c.flash.Highest, highestGapFree(r)))
			r.wait(31 * time.Second)
		}
		if got := highestGapFree(r); got != r.c.flash.Highest {
			t.Fatalf("server holds 1 to %d, the device made %d", got, r.c.flash.Highest)
		}
		w.check(t)
		w.judge(t)
	})
}

// pumpWatch holds a pump's body against what is true of any pump.
type pumpWatch struct {
	r       *rig
	cranked map[string]int64 // by nozzle, ml
	totals  map[string]int64 // by nozzle, as last seen
}

func hoseName(outlet, nozzle uint8) string { return fmt.Sprint(outlet, "/", nozzle) }

// booted: nothing is armed from memory.
func (w *pumpWatch) booted(t *rapid.T) {
	for _, s := range w.r.c.pump.sides {
		if w.r.c.Powered() && (w.r.c.pump.use(s) != nil || s.flow != nil || s.sale != nil || !s.armUntil.IsZero()) {
			t.Fatalf("outlet %d is in use after a boot", s.Outlet)
		}
	}
}

func (w *pumpWatch) check(t *rapid.T) {
	p := w.r.c.pump
	sold := map[string]int64{}
	for i, sale := range p.body.Sales {
		sold[hoseName(sale.Outlet, sale.Nozzle)] += sale.Ml
		if sale.Ml > sale.Limit+sale.Residual || sale.Nozzle == 0 && sale.Ml != 0 || sale.Fen != fenOf(sale.Ml, sale.Price) {
			t.Fatalf("sale %d: %+v", i, sale)
		}
		if sale.EndedAt.IsZero() && !w.r.c.Powered() {
			t.Fatalf("sale %d goes on without power: %+v", i, sale)
		}
	}
	for _, s := range p.body.Sides {
		for _, n := range s.Nozzles {
			hose := hoseName(s.Outlet, n.Number)
			if got := int64(n.Totaliser); got != sold[hose]+w.cranked[hose] || got < w.totals[hose] {
				t.Fatalf("totaliser of %s: %d ml after %d, of which %d sold and %d cranked", hose, got, w.totals[hose], sold[hose], w.cranked[hose])
			}
			w.totals[hose] = int64(n.Totaliser)
		}
	}
	type arming struct {
		outlet uint8
		seq    uint64
	}
	armed := map[arming]bool{}
	for _, m := range p.body.Armings {
		if armed[arming{m.Outlet, m.Seq}] {
			t.Fatalf("seq %d of outlet %d armed twice", m.Seq, m.Outlet)
		}
		armed[arming{m.Outlet, m.Seq}] = true
	}
	for _, b := range w.r.beats {
		for _, o := range b.Outlets {
			if o.LastSeq > w.r.c.flash.outlet(o.Outlet).LastSeq || b.Highest > w.r.c.flash.Highest {
				t.Fatalf("beat %+v runs ahead of flash", b)
			}
		}
	}
}

// judge holds the evidence, now complete, against the body.
func (w *pumpWatch) judge(t *rapid.T) {
	r := w.r
	type start struct {
		outlet uint8
		seq    uint64
	}
	results, ends := map[start]wire.Evidence{}, map[start]wire.Evidence{}
	totals := map[string]uint64{}
	var billed int64
	for _, seq := range sortedKeys(r.evidence) {
		e := r.evidence[seq]
		about := start{e.Outlet, e.CommandSeq}
		if e.Unknown != nil || e.Kind == wire.EvidenceBoot && e.CommandSeq != 0 || e.Kind == wire.EvidenceFailed {
			t.Fatalf("a pump says %+v", e)
		}
		for n, ml := range e.Counters.Totaliser {
			hose := hoseName(e.Outlet, n)
			if ml < totals[hose] {
				t.Fatalf("totaliser of %s goes back to %d in %+v", hose, ml, e)
			}
			totals[hose] = ml
		}
		switch {
		case e.Kind.Answers():
			if was, ok := results[about]; ok {
				t.Fatalf("two results:\n%+v\n%+v", was, e)
			}
			results[about] = e
		case e.Kind == wire.EvidenceEnded || e.Kind == wire.EvidenceInterrupted:
			if was, ok := ends[about]; ok || results[about].Kind != wire.EvidenceExecuted || !e.Closed {
				t.Fatalf("two ends, or one without a beginning, or not closed:\n%+v\n%+v", was, e)
			}
			ends[about] = e
			billed += e.Millilitres
		}
	}
	var sold int64
	for _, sale := range r.c.pump.body.Sales {
		e, ok := ends[start{sale.Outlet, sale.Seq}]
		if !ok || e.Order != sale.Order || e.Millilitres != sale.Ml || e.Fen != sale.Fen {
			t.Fatalf("evidence of an end:\n%+v\nsale:\n%+v", e, sale)
		}
		if e.Reason.String() != sale.How && e.Kind != wire.EvidenceInterrupted {
			t.Fatalf("ended for %v, in truth %s", e.Reason, sale.How)
		}
		sold += sale.Ml
	}
	if len(ends) != len(r.c.pump.body.Sales) || billed != sold {
		t.Fatalf("%d ends of %d ml, %d sales of %d ml", len(ends), billed, len(r.c.pump.body.Sales), sold)
	}
	for about, e := range results {
		if _, ended := ends[about]; (e.Kind == wire.EvidenceExecuted) != ended {
			t.Fatalf("%+v: ended is %v", e, ended)
		}
		for _, b := range r.beats { // P2.7: what a beat shows as burned is in the journal that it shows
			for _, o := range b.Outlets {
				if o.Outlet == about.outlet && o.LastSeq >= about.seq && b.Highest < e.Seq {
					t.Fatalf("a beat shows seq %d of outlet %d burned and evidence up to %d; its result is %d", about.seq, about.outlet, b.Highest, e.Seq)
				}
			}
		}
	}
}
