package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/device/wire"
)

// TestWhateverHappensTheInvariantsHold throws commands (new, repeated, old,
// late, broken), acks, hands, jams and power cuts at a lock and checks the
// package's invariants after every step.
func TestWhateverHappensTheInvariantsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		capacity := rapid.SampledFrom([]int{16, 24, 64}).Draw(t, "capacity")
		r := running(t, func(c *Config) {
			c.Rand = rand.New(rand.NewPCG(seed, 1))
			c.JournalCapacity = capacity
			c.DriftPPM = rapid.IntRange(-200, 200).Draw(t, "drift")
		})
		var past []wire.Command
		next := uint64(1)
		acked := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				if !r.c.Powered() {
					return
				}
				c := r.command(wire.KindStart, next)
				next++
				past = append(past, c)
				if rapid.Bool().Draw(t, "arrives") {
					r.send(c)
				}
			},
			"other command": func(t *rapid.T) {
				if !r.c.Powered() {
					return
				}
				kind := rapid.SampledFrom([]wire.CommandKind{wire.KindRing, wire.KindProbe, wire.KindStop, wire.KindConfig}).Draw(t, "kind")
				c := r.command(kind, next)
				next++
				past = append(past, c)
				r.send(c)
			},
			"again": func(t *rapid.T) {
				if len(past) > 0 {
					r.send(rapid.SampledFrom(past).Draw(t, "command"))
				}
			},
			"bit flip": func(t *rapid.T) {
				if len(past) == 0 {
					return
				}
				b := r.seal(rapid.SampledFrom(past).Draw(t, "command"))
				b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				last := r.c.flash.Outlet.LastSeq
				r.take(r.c.Receive(r.now, b))
				if r.c.flash.Outlet.LastSeq != last {
					t.Fatalf("a broken command burned a seq")
				}
			},
			"ack": func(t *rapid.T) {
				// A server acks what it holds without a gap, now and then an older state of it.
				for r.evidence[acked+1].Seq != 0 {
					acked++
				}
				r.ack(rapid.Uint64Range(acked-min(acked, 3), acked).Draw(t, "n"))
			},
			"close":      func(*rapid.T) { r.take(r.c.CloseByHand(r.now)) },
			"force":      func(*rapid.T) { r.take(r.c.ForceOpen(r.now)) },
			"jam":        func(t *rapid.T) { r.c.SetJammed(rapid.Bool().Draw(t, "jammed")) },
			"battery":    func(t *rapid.T) { r.take(r.c.SetBattery(r.now, rapid.Uint8Range(5, 100).Draw(t, "percent"))) },
			"cut":        func(*rapid.T) { r.c.PowerCut() },
			"power":      func(*rapid.T) { r.up() },
			"disconnect": func(*rapid.T) { r.c.Disconnect() },
			"connect":    func(*rapid.T) { r.take(r.c.Connect(r.now)) },
			"arm":        func(t *rapid.T) { r.arm(rapid.SampledFrom(Steps).Draw(t, "step")) },
			"time": func(t *rapid.T) {
				r.wait(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "ms")) * time.Millisecond)
			},
			"": func(t *rapid.T) { checkInvariants(t, r, capacity) },
		})
		r.c.DisarmCuts()
		r.up()
		r.take(r.c.Connect(r.now))
		for range 100 { // the server comes back: everything arrives
			r.ack(min(r.c.flash.Highest, highestGapFree(r)))
			r.wait(31 * time.Second)
		}
		if got := highestGapFree(r); got != r.c.flash.Highest {
			t.Fatalf("server holds 1 to %d, the device made %d", got, r.c.flash.Highest)
		}
		checkResults(t, r)
	})
}

func highestGapFree(r *rig) (n uint64) {
	for r.evidence[n+1].Seq != 0 {
		n++
	}
	return n
}

func checkInvariants(t *rapid.T, r *rig, capacity int) {
	f := r.c.flash
	moved := map[uint64]bool{}
	for _, m := range r.c.lock.Movements {
		if moved[m.Seq] {
			t.Fatalf("seq %d moved twice", m.Seq)
		}
		moved[m.Seq] = true
	}
	checkJournal(t, r, capacity)
	if b := f.Outlet.Burn; r.c.Powered() && !b.Settled && b.Seq != 0 {
		t.Fatalf("burned seq %d has no result and the device went on", b.Seq)
	}
	for _, b := range r.beats {
		if b.Outlets[0].LastSeq > f.Outlet.LastSeq || b.Highest > f.Highest {
			t.Fatalf("beat %+v runs ahead of flash", b)
		}
	}
}

// checkJournal: dense, whole, and nothing forgotten that is not acked.
func checkJournal(t *rapid.T, r *rig, capacity int) {
	f := r.c.flash
	if len(f.Entries) > capacity {
		t.Fatalf("%d pieces in a journal of %d", len(f.Entries), capacity)
	}
	for i, e := range f.Entries {
		if e.Seq != f.Lowest()+uint64(i) {
			t.Fatalf("journal is not dense: piece %d at place %d, lowest %d", e.Seq, i, f.Lowest())
		}
		u, err := wire.OpenUplink(testKey, testDevice, e.Sealed)
		if err != nil || u.Evidence.Seq != e.Seq {
			t.Fatalf("piece %d holds %+v, %v", e.Seq, u, err)
		}
	}
	if f.Lowest() > f.Acked+1 {
		t.Fatalf("pieces %d to %d are gone and not acked", f.Acked+1, f.Lowest()-1)
	}
}

// checkResults holds the evidence, now complete, against the body.
func checkResults(t *rapid.T, r *rig) {
	results := map[uint64]wire.EvidenceKind{}
	settled := map[uint64]uint64{} // command seq to the evidence that settles it
	unknown := map[uint64]bool{}
	var opens uint64
	for _, seq := range sortedKeys(r.evidence) {
		e := r.evidence[seq]
		if e.Counters.Opens < opens {
			t.Fatalf("counter goes back to %d at evidence %d", e.Counters.Opens, seq)
		}
		opens = e.Counters.Opens
		if e.Unknown != nil {
			unknown[e.Unknown.Seq] = true
			settled[e.Unknown.Seq] = seq
		}
		if !e.Kind.Answers() {
			continue
		}
		if was, ok := results[e.CommandSeq]; ok {
			t.Fatalf("seq %d has two results, %v and %v", e.CommandSeq, was, e.Kind)
		}
		results[e.CommandSeq] = e.Kind
		settled[e.CommandSeq] = seq
	}
	for _, b := range r.beats { // P2.7: what a beat shows as burned is in the journal that it shows
		for command, seq := range settled {
			if b.Outlets[0].LastSeq >= command && b.Highest < seq {
				t.Fatalf("a beat shows seq %d burned and evidence up to %d; its result is %d", b.Outlets[0].LastSeq, b.Highest, seq)
			}
		}
	}
	for _, m := range r.c.lock.Movements {
		if results[m.Seq] != wire.EvidenceExecuted && !unknown[m.Seq] {
			t.Fatalf("seq %d moved; evidence says %v", m.Seq, results[m.Seq])
		}
	}
	if opens > r.c.lock.Opens {
		t.Fatalf("evidence counts %d opens, the body %d", opens, r.c.lock.Opens)
	}
}

func sortedKeys(m map[uint64]wire.Evidence) []uint64 {
	keys := make([]uint64, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestSameSeedSameRun: the core draws from its seed alone.
func TestSameSeedSameRun(t *testing.T) {
	run := func() (out []string) {
		r := running(t, nil)
		for seq := uint64(1); seq < 20; seq++ {
			r.start(seq)
			r.wait(7 * time.Second)
			r.take(r.c.CloseByHand(r.now))
		}
		r.reboot()
		r.wait(time.Hour)
		for _, b := range r.sealed {
			out = append(out, string(b))
		}
		slices.Sort(out)
		return append(out, r.now.String(), r.c.BootID().String())
	}
	if a, b := run(), run(); !slices.Equal(a, b) {
		t.Error("two runs of one seed differ")
	}
}
