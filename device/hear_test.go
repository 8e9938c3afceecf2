package device_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unlatch/unlatch/device"
)

var (
	bootA, bootB, bootC = device.Boot{0xa}, device.Boot{0xb}, device.Boot{0xc}
	journal             = device.Journal{7}
	noon                = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// listener keeps what a store keeps between two words: the device, its outlets,
// and every piece of evidence by number.
type listener struct {
	d       device.Device
	outlets []device.Outlet
	kept    map[string]device.Evidence
	ready   []uint64
	last    device.Hearing
}

func newListener() *listener {
	return &listener{d: device.Device{ID: "bike-1", Kind: device.Lock, Epoch: 1, Service: device.InService},
		outlets: []device.Outlet{{Device: "bike-1", N: 1, NextSeq: 1}}, kept: map[string]device.Evidence{}}
}

func key(e device.Evidence) string { return fmt.Sprintf("%x/%d", e.Journal, e.Seq) }

func (l *listener) hear(w device.Word) device.Hearing {
	var stored *device.Evidence
	if w.Evidence != nil {
		if e, ok := l.kept[key(*w.Evidence)]; ok {
			stored = &e
		}
	}
	var waiting []device.Evidence
	for _, e := range l.kept {
		if e.Status == device.Waiting {
			waiting = append(waiting, e)
		}
	}
	h := l.d.Hear(w, l.outlets, waiting, stored)
	l.d, l.outlets, l.last = h.Device, h.Outlets, h
	if h.Kept != nil {
		l.kept[key(*h.Kept)] = *h.Kept
	}
	for _, e := range h.Ready {
		l.kept[key(e)] = e
		l.ready = append(l.ready, e.Seq)
	}
	return h
}

// piece is evidence number seq of boot b.
func piece(seq uint64, b device.Boot, uptime uint64, kind device.EvidenceKind, closed bool) device.Word {
	return device.Word{Evidence: &device.Evidence{Device: "bike-1", Epoch: 1, Journal: journal, Seq: seq, Boot: b, Uptime: uptime,
		Kind: kind, Outlet: 1, Closed: closed, Received: noon, Raw: fmt.Appendf(nil, "%d", seq)}}
}

// beat says that the device holds evidence lowest to highest and burned lastSeq.
func beat(b device.Boot, uptime, lowest, highest, lastSeq uint64, closed bool) device.Word {
	return device.Word{Beat: &device.Beat{Epoch: 1, Boot: b, Uptime: uptime, Journal: journal, Lowest: lowest, Highest: highest,
		Outlets: []device.OutletBeat{{N: 1, LastSeq: lastSeq, Closed: closed}}, Received: noon}}
}

func TestEvidenceIsAppliedInTheOrderOfItsJournal(t *testing.T) {
	one, two, three := piece(1, bootA, 10, device.Booted, true), piece(2, bootA, 20, device.Alarm, true), piece(3, bootA, 30, device.Alarm, true)
	for _, c := range []struct {
		name  string
		words []device.Word
		ready []uint64
		ack   uint64
	}{
		{"in order", []device.Word{one, two, three}, []uint64{1, 2, 3}, 3},
		{"a gap holds back what follows", []device.Word{two, three}, nil, 0},
		{"a gap in the middle acks what lies before it", []device.Word{one, three}, []uint64{1}, 1},
		{"a filled gap lets all go", []device.Word{three, two, one}, []uint64{1, 2, 3}, 3},
		{"a duplicate changes nothing and is acked again", []device.Word{one, one, two, one}, []uint64{1, 2}, 2},
		{"a duplicate behind a gap waits once", []device.Word{three, three, one}, []uint64{1}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newListener()
			for _, w := range c.words {
				l.hear(w)
			}
			if diff := cmp.Diff(c.ready, l.ready); diff != "" {
				t.Errorf("ready (-want +got):\n%s", diff)
			}
			if l.last.Ack == nil || l.last.Ack.N != c.ack || l.last.Ack.Journal != journal {
				t.Errorf("last ack: got %+v, want %d of the journal", l.last.Ack, c.ack)
			}
			if l.d.Service != device.InService || l.d.LostUpTo != 0 {
				t.Errorf("device: service %s, lost up to %d; want in service, 0", l.d.Service, l.d.LostUpTo)
			}
		})
	}
}

func TestAnAckNeverPassesAGap(t *testing.T) {
	l := newListener()
	for _, seq := range []uint64{5, 2, 9, 1, 4} {
		h := l.hear(piece(seq, bootA, seq, device.Alarm, true))
		for n := uint64(1); n <= h.Ack.N; n++ {
			if e, ok := l.kept[key(*piece(n, bootA, n, device.Alarm, true).Evidence)]; !ok || e.Status == device.Waiting {
				t.Errorf("after number %d: acked %d, but %d is not applied", seq, h.Ack.N, n)
			}
		}
	}
	if l.d.Applied != 2 {
		t.Errorf("applied: got %d, want 2", l.d.Applied)
	}
}

func TestABeatAsksForWhatIsMissing(t *testing.T) {
	l := newListener()
	if h := l.hear(beat(bootA, 100, 0, 0, 0, true)); h.Ack != nil {
		t.Errorf("ack of a beat without evidence: got %+v, want none", h.Ack)
	}
	if h := l.hear(beat(bootA, 200, 1, 2, 0, true)); h.Ack == nil || h.Ack.N != 0 {
		t.Errorf("ack of a beat ahead of us: got %+v, want 0, the replay request", h.Ack)
	}
	l.hear(piece(1, bootA, 150, device.Booted, true))
	l.hear(piece(2, bootA, 160, device.Alarm, true))
	if h := l.hear(beat(bootA, 300, 1, 2, 0, true)); h.Ack != nil {
		t.Errorf("ack of a beat that holds nothing new: got %+v, want none", h.Ack)
	}
}

func TestAGapBelowTheFloorIsLost(t *testing.T) {
	t.Run("and what waits behind it is applied", func(t *testing.T) {
		l := newListener()
		l.hear(piece(1, bootA, 10, device.Booted, true))
		l.hear(piece(5, bootA, 50, device.Alarm, true))
		h := l.hear(beat(bootA, 60, 5, 5, 0, true))
		if h.Lost == nil || *h.Lost != (device.Gap{From: 2, To: 4}) {
			t.Errorf("lost: got %+v, want 2 to 4", h.Lost)
		}
		if l.d.Applied != 5 || l.d.LostUpTo != 4 {
			t.Errorf("applied %d, lost up to %d; want 5, 4", l.d.Applied, l.d.LostUpTo)
		}
	})
	t.Run("but for the pieces that wait inside it", func(t *testing.T) {
		l := newListener()
		l.hear(piece(2, bootA, 20, device.Alarm, true))
		l.hear(piece(4, bootA, 40, device.Alarm, true))
		l.hear(beat(bootA, 60, 5, 4, 0, true)) // lowest = highest + 1: it keeps none
		if diff := cmp.Diff([]uint64{2, 4}, l.ready); diff != "" {
			t.Errorf("ready (-want +got):\n%s", diff)
		}
		if l.d.Applied != 4 || l.d.LostUpTo != 3 {
			t.Errorf("applied %d, lost up to %d; want 4, 3", l.d.Applied, l.d.LostUpTo)
		}
	})
	t.Run("and a lost piece that comes after all is kept, not applied", func(t *testing.T) {
		l := newListener()
		l.hear(beat(bootA, 60, 3, 3, 0, true))
		h := l.hear(piece(2, bootA, 20, device.SeenExecuted, false))
		if h.Kept == nil || h.Kept.Status != device.Quarantined || len(h.Ready) != 0 {
			t.Errorf("late piece: kept %+v, ready %v; want quarantined, none", h.Kept, h.Ready)
		}
		if l.d.Applied != 2 || l.d.LostUpTo != 2 || l.d.Service != device.InService {
			t.Errorf("device: applied %d, lost up to %d, %s; want 2, 2, in service", l.d.Applied, l.d.LostUpTo, l.d.Service)
		}
	})
	t.Run("however far up it claims to be", func(t *testing.T) {
		const far = 1<<63 - 2 // the highest that the wire carries
		l := newListener()
		l.hear(piece(1, bootA, 10, device.Booted, true))
		l.hear(piece(1<<40, bootA, 20, device.Alarm, true))
		h := l.hear(beat(bootA, 60, far, far, 0, true))
		if h.Lost == nil || *h.Lost != (device.Gap{From: 2, To: far - 1}) || l.d.Applied != far-1 || l.d.LostUpTo != far-1 {
			t.Errorf("lost %+v, applied %d, lost up to %d; want all up to %d", h.Lost, l.d.Applied, l.d.LostUpTo, uint64(far-1))
		}
		if diff := cmp.Diff([]uint64{1, 1 << 40}, l.ready); diff != "" {
			t.Errorf("ready (-want +got):\n%s", diff)
		}
	})
	t.Run("and a floor at or below the next number loses nothing", func(t *testing.T) {
		for _, lowest := range []uint64{0, 1, 2} {
			l := newListener()
			l.hear(piece(1, bootA, 10, device.Booted, true))
			if h := l.hear(beat(bootA, 60, lowest, 3, 0, true)); h.Lost != nil {
				t.Errorf("lowest %d, applied 1: got lost %+v, want none", lowest, h.Lost)
			}
		}
	})
}

func TestOneNumberWithTwoContentsEndsTrust(t *testing.T) {
	for name, before := range map[string][]device.Word{
		"applied":      {piece(1, bootA, 10, device.Booted, true)},
		"behind a gap": {piece(3, bootA, 10, device.Booted, true)},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListener()
			for _, w := range before {
				l.hear(w)
			}
			was := l.d.Applied
			other := *before[0].Evidence
			other.Raw = []byte("something else")
			h := l.hear(device.Word{Evidence: &other})
			if h.Trouble != device.Contradiction || l.d.Service != device.OutOfService || l.d.ServiceReason == "" {
				t.Errorf("trouble %q, service %s (%q); want a contradiction, out of service with a reason", h.Trouble, l.d.Service, l.d.ServiceReason)
			}
			if h.Ack != nil || h.Kept != nil || len(h.Ready) != 0 || l.d.Applied != was {
				t.Errorf("the second content was taken in: ack %+v, kept %+v, ready %v, applied %d", h.Ack, h.Kept, h.Ready, l.d.Applied)
			}
		})
	}
}

func TestANewJournalUnderTheSameEpochEndsTrust(t *testing.T) {
	fresh := device.Journal{8}
	evidence, alive := *piece(1, bootB, 10, device.Booted, true).Evidence, *beat(bootB, 10, 1, 1, 9, true).Beat
	evidence.Journal, alive.Journal = fresh, fresh
	for name, w := range map[string]device.Word{"evidence": {Evidence: &evidence}, "beat": {Beat: &alive}} {
		t.Run(name, func(t *testing.T) {
			l := newListener()
			l.hear(piece(1, bootA, 10, device.Booted, true))
			before, outlets := l.d, l.outlets
			h := l.hear(w)
			if h.Trouble != device.FlashReplaced || l.d.Service != device.OutOfService {
				t.Errorf("trouble %q, service %s; want flash replaced, out of service", h.Trouble, l.d.Service)
			}
			before.Service, before.ServiceReason = l.d.Service, l.d.ServiceReason
			if diff := cmp.Diff(before, l.d); diff != "" {
				t.Errorf("the device's belief moved (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(outlets, l.outlets); diff != "" {
				t.Errorf("an outlet moved (-before +after):\n%s", diff)
			}
			if h.Ack != nil || len(h.Ready) != 0 {
				t.Errorf("ack %+v, ready %v; want none", h.Ack, h.Ready)
			}
			if w.Evidence != nil && (h.Kept == nil || h.Kept.Status != device.Quarantined) {
				t.Errorf("kept: got %+v, want it quarantined", h.Kept)
			}
		})
	}
	t.Run("a retired device stays retired", func(t *testing.T) {
		l := newListener()
		l.hear(piece(1, bootA, 10, device.Booted, true))
		l.d.Service = device.Retired
		if l.hear(device.Word{Beat: &alive}); l.d.Service != device.Retired {
			t.Errorf("service: got %s, want retired", l.d.Service)
		}
	})
}

func TestARestoredBackupRaisesItsNextNumber(t *testing.T) {
	for _, c := range []struct {
		name           string
		next, said     uint64
		want           uint64
		restored       bool
		appliedTo, has uint64
	}{
		{"the device burned what we never made", 3, 9, 10, true, 0, 0},
		{"it burned exactly our next one", 3, 3, 4, true, 0, 0},
		{"it burned our newest one", 3, 2, 3, false, 0, 0},
		{"it burned none", 3, 0, 3, false, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for kind, w := range map[string]device.Word{"beat": beat(bootA, 10, 1, 4, c.said, true),
				"evidence": {Evidence: func() *device.Evidence {
					e := *piece(1, bootA, 10, device.Booted, true).Evidence
					e.LastSeq = c.said
					return &e
				}()}} {
				l := newListener()
				l.outlets[0].NextSeq = c.next
				h := l.hear(w)
				if l.outlets[0].NextSeq != c.want || (len(h.Restored) == 1) != c.restored {
					t.Errorf("%s, next %d, last_seq %d: got next %d, restored %v; want %d, %v", kind, c.next, c.said,
						l.outlets[0].NextSeq, h.Restored, c.want, c.restored)
				}
				if l.outlets[0].LastSeq != c.said {
					t.Errorf("%s: last_seq got %d, want %d", kind, l.outlets[0].LastSeq, c.said)
				}
			}
		})
	}
	t.Run("and takes the replay from what it holds", func(t *testing.T) {
		l := newListener()
		l.d.Journal, l.d.Applied = journal, 40
		h := l.hear(beat(bootA, 10, 1, 60, 0, true))
		if h.Ack == nil || h.Ack.N != 40 || h.Lost != nil {
			t.Errorf("ack %+v, lost %+v; want 40, none", h.Ack, h.Lost)
		}
	})
}

func TestAWordOfAnUnknownOutletMovesNoOther(t *testing.T) {
	l := newListener()
	b := *beat(bootA, 10, 0, 0, 5, false).Beat
	b.Outlets[0].N = 2
	l.hear(device.Word{Beat: &b})
	if want := (device.Outlet{Device: "bike-1", N: 1, NextSeq: 1}); !l.outlets[0].Same(want) {
		t.Errorf("outlet 1: got %+v, want %+v", l.outlets[0], want)
	}
}

func TestAnOldWordNeverFlipsTheBolt(t *testing.T) {
	bootedA, bootedB := piece(1, bootA, 5, device.Booted, true), piece(2, bootB, 5, device.Booted, true)
	for _, c := range []struct {
		name  string
		words []device.Word
		want  device.Stated
	}{
		{"newer words do", []device.Word{beat(bootA, 100, 0, 0, 0, true), beat(bootA, 200, 0, 0, 0, false)},
			device.Stated{Known: true, Closed: false, Boot: bootA, Uptime: 200}},
		{"an old beat of the same boot", []device.Word{beat(bootA, 200, 0, 0, 0, false), beat(bootA, 100, 0, 0, 0, true)},
			device.Stated{Known: true, Closed: false, Boot: bootA, Uptime: 200}},
		{"an old piece of evidence of the same boot", []device.Word{beat(bootA, 200, 1, 1, 0, false), bootedA},
			device.Stated{Known: true, Closed: false, Boot: bootA, Uptime: 200}},
		{"a beat of an earlier boot", []device.Word{bootedA, bootedB, beat(bootB, 300, 1, 2, 0, false), beat(bootA, 900, 1, 1, 0, true)},
			device.Stated{Known: true, Closed: false, Boot: bootB, Uptime: 300}},
		{"a beat of an earlier boot not heard of before", []device.Word{beat(bootB, 300, 1, 2, 0, false), beat(bootA, 900, 1, 1, 0, true)},
			device.Stated{Known: true, Closed: false, Boot: bootB, Uptime: 300}},
		{"a beat of an earlier boot whose evidence is lost", []device.Word{beat(bootB, 300, 2, 2, 0, false), bootedB,
			beat(bootA, 900, 1, 1, 0, true), beat(bootB, 400, 2, 2, 0, false)},
			device.Stated{Known: true, Closed: false, Boot: bootB, Uptime: 400}},
		{"a later boot with a smaller uptime does", []device.Word{bootedA, beat(bootA, 900, 1, 1, 0, true), bootedB, beat(bootB, 9, 1, 2, 0, false)},
			device.Stated{Known: true, Closed: false, Boot: bootB, Uptime: 9}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newListener()
			for _, w := range c.words {
				l.hear(w)
			}
			if l.outlets[0].Stated != c.want {
				t.Errorf("stated: got %+v, want %+v", l.outlets[0].Stated, c.want)
			}
			if l.d.Sample.Boot != c.want.Boot {
				t.Errorf("clock sample: got boot %x, want %x", l.d.Sample.Boot, c.want.Boot)
			}
		})
	}
	t.Run("a beat recorded more restarts ago than the row remembers", func(t *testing.T) {
		l := newListener()
		l.hear(bootedA)
		for n := uint64(2); n <= 12; n++ {
			l.hear(piece(n, device.Boot{1, byte(n)}, 5, device.Booted, false))
		}
		newest := device.Boot{1, 12}
		l.hear(beat(newest, 100, 1, 12, 0, false))
		l.hear(beat(bootA, 900, 1, 1, 0, true)) // a broker may replay it at any time
		if got := l.outlets[0].Stated; got.Closed || got.Boot != newest {
			t.Errorf("stated after the replay: got %+v, want open, of the newest boot", got)
		}
		l.hear(beat(newest, 200, 1, 12, 0, false))
		if got := l.d.Sample; got.Boot != newest || got.Uptime != 200 {
			t.Errorf("sample: got %+v, want uptime 200 of the newest boot", got)
		}
		if len(l.d.Boots) > 8 {
			t.Errorf("boots remembered: got %d, want at most 8", len(l.d.Boots))
		}
	})
}
