package device

import (
	"maps"
	"time"
)

// Trouble is a statement that takes a device out of service.
type Trouble string

// FlashReplaced: a new journal under the same epoch. Contradiction: the same
// evidence number with other bytes.
const (
	NoTrouble     Trouble = ""
	FlashReplaced Trouble = "flash_replaced"
	Contradiction Trouble = "evidence_contradicts"
)

// Ack tells a device that its evidence 1..N of Journal is committed. It never
// passes a gap.
type Ack struct {
	Journal Journal
	N       uint64
	Key     string // of the server's keys, the one that the device knows; see Device.ServerKey
}

// Gap is a run of evidence numbers that can never arrive.
type Gap struct{ From, To uint64 }

// Hearing is what one word changed.
type Hearing struct {
	Device  Device
	Outlets []Outlet
	Changed bool // Device or an outlet differs from what was loaded

	Kept     *Evidence  // the heard piece, to be inserted; nil for a duplicate or a beat
	Ready    []Evidence // now applicable in this order; may begin with *Kept
	Lost     *Gap
	Restored []uint8 // outlets whose next number had to be raised: we are an older backup
	Trouble  Trouble
	Ack      *Ack // what may be acked once this is committed; nil = nothing
}

// Hear folds one verified word into what is believed of a device. outlets are
// the device's; waiting is the evidence behind a gap, any order; stored is what
// is already kept under the number of the word's evidence, or nil.
//
// Hear never applies evidence to an order: Ready does that in the caller, in the
// same transaction. Words of another epoch must not be passed in.
func (d Device) Hear(w Word, outlets []Outlet, waiting []Evidence, stored *Evidence) Hearing {
	h := Hearing{Device: d, Outlets: append([]Outlet(nil), outlets...)}
	if w.Evidence != nil {
		h.hearEvidence(*w.Evidence, w.Kept, waiting, stored)
	} else {
		h.hearBeat(*w.Beat, w.Kept, waiting)
	}
	return h
}

func (h *Hearing) hearEvidence(e Evidence, kept bool, waiting []Evidence, stored *Evidence) {
	d := &h.Device
	if (d.Journal != Journal{}) && e.Journal != d.Journal {
		e.Status = Quarantined
		if stored == nil {
			h.Kept = &e
		}
		h.distrust(FlashReplaced)
		return
	}
	if stored != nil {
		if !stored.Same(e) {
			h.distrust(Contradiction)
			return
		}
		h.Ack = &Ack{Journal: d.Journal, N: d.Applied}
		return
	}
	d.Journal = e.Journal
	h.heard(e.Boot, e.Uptime, e.Seq, e.Received, false, kept)
	if e.Seq <= d.Applied { // closed as lost, and here it is after all
		e.Status = Quarantined
		h.Kept = &e
		h.Ack = &Ack{Journal: d.Journal, N: d.Applied}
		return
	}
	e.Status = Waiting
	h.Kept = &e
	h.advance(append(waiting, e))
	if len(h.Ready) > 0 && h.Ready[0].Seq == e.Seq {
		h.Kept.Status = Applied
	}
	h.Ack = &Ack{Journal: d.Journal, N: d.Applied}
}

func (h *Hearing) hearBeat(b Beat, kept bool, waiting []Evidence) {
	d := &h.Device
	if (d.Journal != Journal{}) && b.Journal != d.Journal {
		h.distrust(FlashReplaced)
		return
	}
	d.Journal = b.Journal
	h.heard(b.Boot, b.Uptime, b.Highest, b.Received, true, kept)
	if b.Lowest > d.Applied+1 {
		// What lies between is below the device's floor: nobody has it any more,
		// except where a piece waits here already.
		h.closeGap(b.Lowest-1, waiting)
	}
	h.advance(waiting)
	if b.Highest > d.Head.Highest ||
		b.Highest == d.Head.Highest && d.newer(b.Boot, b.Uptime, d.Head.Boot, d.Head.Uptime) {
		head := Head{Boot: b.Boot, Uptime: b.Uptime, Highest: b.Highest, LastSeq: map[uint8]uint64{}}
		for _, o := range b.Outlets {
			head.LastSeq[o.N] = o.LastSeq
		}
		d.Head = head
		if b.Firmware != "" {
			d.Firmware = b.Firmware
		}
	}
	for _, said := range b.Outlets {
		h.stated(said.N, said.LastSeq, said.Closed, said.Counters, b.Boot, b.Uptime, b.Highest)
	}
	if b.Highest > d.Applied {
		h.Ack = &Ack{Journal: d.Journal, N: d.Applied} // also the replay request
	}
}

// heard notes boot, sample and the time of a word.
func (h *Hearing) heard(boot Boot, uptime, journalled uint64, received time.Time, beat, kept bool) {
	d := &h.Device
	h.Changed = true
	d.Boots = d.sawBoot(boot, uptime, journalled, received, beat)
	if kept {
		return
	}
	if received.After(d.HeardAt) {
		d.HeardAt = received
	}
	if d.Sample.Boot == boot || d.Sample.Boot == (Boot{}) || d.later(boot, d.Sample.Boot) {
		d.dated(Sample{Boot: boot, Uptime: uptime, At: received})
	}
}

// advance moves the applied prefix over every piece that now follows without a
// gap, and notes what each states.
func (h *Hearing) advance(pieces []Evidence) {
	d := &h.Device
	byNumber := make(map[uint64]Evidence, len(pieces))
	for _, e := range pieces {
		if e.Journal == d.Journal {
			byNumber[e.Seq] = e
		}
	}
	for {
		e, ok := byNumber[d.Applied+1]
		if !ok {
			return
		}
		d.Applied++
		h.Changed = true
		e.Status = Applied
		if e.Kind == Booted {
			if i := d.bootAt(e.Boot); i >= 0 {
				d.Boots[i].Seq = e.Seq
			}
		}
		h.stated(e.Outlet, e.LastSeq, e.Closed, e.Counters, e.Boot, e.Uptime, e.Seq)
		h.Ready = append(h.Ready, e)
	}
}

// closeGap gives up every missing number up to and including to. Pieces that
// wait in between are applied as if the gap had been filled before them.
func (h *Hearing) closeGap(to uint64, waiting []Evidence) {
	d := &h.Device
	gap := Gap{From: d.Applied + 1, To: to}
	for d.Applied < to {
		next := to + 1 // the lowest number that waits beyond the gap; a device may claim a huge one
		for _, e := range waiting {
			if e.Journal == d.Journal && e.Seq > d.Applied {
				next = min(next, e.Seq)
			}
		}
		if next == d.Applied+1 {
			h.advance(waiting)
			continue
		}
		d.Applied, d.LostUpTo = next-1, next-1
	}
	h.Changed = true
	h.Lost = &gap
}

// stated notes what a word says of one outlet: the numbers only grow, and the
// bolt's state is that of the newest moment on the device's own time line. Of two
// words of one millisecond a beat that knew less of the journal than what is applied
// was made before it.
func (h *Hearing) stated(n uint8, lastSeq uint64, closed bool, c Counters, boot Boot, uptime, journalled uint64) {
	for i := range h.Outlets {
		o := &h.Outlets[i]
		if o.N != n {
			continue
		}
		h.Changed = true
		o.LastSeq = max(o.LastSeq, lastSeq)
		if o.LastSeq >= o.NextSeq {
			o.NextSeq = o.LastSeq + 1
			h.Restored = append(h.Restored, n)
		}
		o.Opens = max(o.Opens, c.Opens)
		tie := boot == o.Stated.Boot && uptime == o.Stated.Uptime
		if !o.Stated.Known || h.Device.newer(boot, uptime, o.Stated.Boot, o.Stated.Uptime) && !(tie && journalled < h.Device.Applied) {
			o.Stated = Stated{Known: true, Closed: closed, Boot: boot, Uptime: uptime}
			if c.Totaliser != nil {
				o.Meter.Stated = maps.Clone(c.Totaliser)
			}
		}
	}
}

// distrust takes the device out of service until it is provisioned anew.
func (h *Hearing) distrust(t Trouble) {
	h.Trouble = t
	if h.Device.Service == InService || h.Device.Service == Maintenance {
		h.Device.Service = OutOfService
		h.Device.ServiceReason = string(t)
		h.Changed = true
	}
}

// Fenced tells whether it is proved that the open start c will never move
// anything (DESIGN section 5). after is the device with the newest word heard.
//
// The proof needs the evidence without a gap up to a beat's head and no result
// of c among it; a result would have ended c already, so being asked about an
// open command states that. A lost piece numbered above c's floor may have been
// that result and spoils the proof. Then one of three facts settles it: a higher
// number is burned; or c's own is not burned and the device has started again;
// or c's own is not burned and its uptime has passed in the boot it names.
func (d Device) Fenced(c Command) bool {
	if !c.State.Open() || c.Journal != d.Journal && c.Journal != (Journal{}) {
		return false
	}
	head := d.Head
	last, said := head.LastSeq[c.Outlet]
	if !said || d.Applied < head.Highest || d.LostUpTo > c.Floor {
		return false
	}
	switch {
	case last > c.Seq:
		return true
	case last < c.Seq && head.Boot == c.Boot:
		return head.Uptime > c.NotAfter
	case last < c.Seq:
		// The beat must itself be of the later boot, and all it holds is here.
		return d.later(head.Boot, c.Boot) && d.bootedAfter(c.Boot)
	}
	return false
}

// Burned tells whether the device has said that it burned number seq of outlet
// n, in this epoch.
func Burned(outlets []Outlet, n uint8, seq uint64) bool {
	for _, o := range outlets {
		if o.N == n {
			return o.LastSeq >= seq
		}
	}
	return false
}
