package device_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/device"
)

// life draws what an honest device says over a few boots: every piece of
// evidence from the floor on, and beats in between. Nothing of it was acked, so
// its floor stays where it was at the beginning; what lies below is lost.
func life(t *rapid.T) []device.Word {
	var words []device.Word
	floor := rapid.Uint64Range(1, 4).Draw(t, "floor")
	seq, last, closed := uint64(0), uint64(0), true
	say := func(boot device.Boot, uptime uint64, kind device.EvidenceKind) {
		seq++
		w := piece(seq, boot, uptime, kind, closed)
		w.Evidence.LastSeq, w.Evidence.Counters.Opens = last, last
		if seq >= floor {
			words = append(words, w)
		}
	}
	boot, uptime := device.Boot{}, uint64(0)
	for n := range rapid.IntRange(1, 4).Draw(t, "boots") {
		boot, uptime = device.Boot{byte(n + 1)}, uint64(3)
		say(boot, uptime, device.Booted)
		for range rapid.IntRange(0, 5).Draw(t, "moments") {
			uptime += rapid.Uint64Range(1, 100_000).Draw(t, "pause")
			switch rapid.SampledFrom([]string{"beat", "beat", "opens", "closes", "fence"}).Draw(t, "moment") {
			case "opens":
				last++
				closed = false
				say(boot, uptime, device.SeenExecuted)
			case "closes":
				closed = true
				say(boot, uptime, device.SaidEnded)
			case "fence":
				last++
			case "beat":
				if seq < floor {
					continue // it would hold nothing and tell of a lower floor
				}
				w := beat(boot, uptime, floor, seq, last, closed)
				w.Beat.Firmware = fmt.Sprint("1.", n)
				w.Beat.Outlets[0].Counters.Opens = last
				words = append(words, w)
			}
		}
	}
	if seq >= floor {
		w := beat(boot, uptime+1, floor, seq, last, closed)
		w.Beat.Firmware = fmt.Sprint("1.", boot[0]-1)
		words = append(words, w)
	}
	return words
}

// TestAnyOrderOfTheSameWordsGivesTheSameBelief is promise E2 at the device: the
// network may repeat and reorder as it likes.
func TestAnyOrderOfTheSameWordsGivesTheSameBelief(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := life(t)
		if len(words) == 0 {
			return
		}
		straight := newListener()
		for _, w := range words {
			straight.hear(w)
		}
		again := rapid.SliceOfN(rapid.SampledFrom(words), 0, len(words)).Draw(t, "duplicates")
		mixed := rapid.Permutation(append(slices.Clone(words), again...)).Draw(t, "order")
		bent := newListener()
		for _, w := range mixed {
			bent.hear(w)
		}
		if diff := cmp.Diff(straight.d, bent.d); diff != "" {
			t.Fatalf("device (-in order +mixed):\n%s", diff)
		}
		if diff := cmp.Diff(straight.outlets, bent.outlets); diff != "" {
			t.Fatalf("outlets (-in order +mixed):\n%s", diff)
		}
		if diff := cmp.Diff(straight.ready, bent.ready); diff != "" {
			t.Fatalf("ready (-in order +mixed):\n%s", diff)
		}
		for _, n := range []uint64{0, 1, 2, 5} {
			c := device.Command{Outlet: 1, Seq: n, Kind: device.Start, Boot: device.Boot{1}, NotAfter: 50_000, State: device.Published,
				Journal: journal, Floor: 3}
			if a, b := straight.d.Fenced(c), bent.d.Fenced(c); a != b {
				t.Fatalf("proof of number %d: %v in order, %v mixed", n, a, b)
			}
		}
	})
}

// TestNoOrderOfHonestWordsIsTrouble: whatever the network does, it alone must
// never take a device out of service.
func TestNoOrderOfHonestWordsIsTrouble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := life(t)
		if len(words) == 0 {
			return
		}
		l := newListener()
		applied := uint64(0)
		for range 2 * len(words) {
			h := l.hear(rapid.SampledFrom(words).Draw(t, "word"))
			if h.Trouble != device.NoTrouble || l.d.Service != device.InService {
				t.Fatalf("trouble %q, service %s", h.Trouble, l.d.Service)
			}
			if l.d.Applied < applied || h.Ack != nil && h.Ack.N > l.d.Applied {
				t.Fatalf("applied fell from %d to %d, or ack %+v passed it", applied, l.d.Applied, h.Ack)
			}
			applied = l.d.Applied
		}
		for i := 1; i < len(l.ready); i++ {
			if l.ready[i] <= l.ready[i-1] {
				t.Fatalf("applied out of order: %v", l.ready)
			}
		}
	})
}
