package device

import (
	"cmp"
	"slices"
	"time"
)

// drift is the worst clock that the wire contract allows: 200 ppm, clause 7.
const driftDivisor = 5000

// Sample pairs an uptime of one boot with the database's clock at ingest. It is
// always late, never early: At is at or after the moment at which the device
// read Uptime.
type Sample struct {
	Boot   Boot      `json:"boot"`
	Uptime uint64    `json:"uptime"`
	At     time.Time `json:"at"`
}

// Fresh tells whether the sample may still date a command.
func (s Sample) Fresh(now time.Time) bool {
	return s.Boot != Boot{} && !s.At.IsZero() && now.Sub(s.At) < SampleLife
}

// Better returns the sample to keep of s and a newly heard one: within one boot
// the one with the greatest uptime - At, which is the one that travelled
// fastest; an aged one or one of an earlier boot gives way.
func (s Sample) Better(heard Sample) Sample {
	if s.Boot != heard.Boot || !s.Fresh(heard.At) {
		return heard
	}
	if int64(heard.Uptime)-heard.At.UnixMilli() >= int64(s.Uptime)-s.At.UnixMilli() {
		return heard
	}
	return s
}

// dated takes a newly heard sample in. Beats come every four minutes, and the one that
// travelled fastest may be as old as it may get when a slower one comes: the fastest of
// those that are half a life younger stands by, so that a device which is heard can
// always be dated.
func (d *Device) dated(heard Sample) {
	if heard.Boot == d.Sample.Boot && heard.Uptime <= max(d.Sample.Uptime, d.Spare.Uptime) && d.Sample != (Sample{}) {
		return // said before one that we have: it came later, so it dates no better
	}
	kept := d.Sample.Better(heard)
	switch {
	case kept == heard && d.Sample.Fresh(heard.At), d.Sample.Boot != heard.Boot:
		d.Spare = Sample{}
	case kept == heard: // the old one has aged
		kept, d.Spare = d.Spare.Better(heard), Sample{}
	case heard.At.Sub(d.Sample.At) >= SampleLife/2:
		d.Spare = d.Spare.Better(heard)
	}
	d.Sample = kept
}

// Clock is the sample that dates a command now: the fastest of the last ten minutes, as
// far as it is known. It is not Fresh where the device was not heard for so long.
func (d Device) Clock(now time.Time) Sample {
	if !d.Sample.Fresh(now) && d.Spare.Fresh(now) {
		return d.Spare
	}
	return d.Sample
}

// NotAfter converts a deadline on the database's clock into the device's
// uptime: not_after = u + (E - g), DESIGN section 5, less the drift that the
// device's clock may have lost between the sample and the deadline and less what
// both whole milliseconds and the division cut off. Executing only while uptime
// <= NotAfter therefore implies that the true time is at or before the deadline.
func (s Sample) NotAfter(deadline time.Time) uint64 {
	span := deadline.Sub(s.At).Milliseconds()
	return s.Uptime + uint64(max(span-span/driftDivisor-2, 0))
}

// bootAt returns the index of b in the list, or -1.
func (d Device) bootAt(b Boot) int {
	for i := range d.Boots {
		if d.Boots[i].Boot == b {
			return i
		}
	}
	return -1
}

// maxBoots is how many boots a device's row remembers. A ride across more
// restarts than that is billed by what its own spans prove.
const maxBoots = 8

// sawBoot notes that a word of boot b with the given uptime was taken in at
// received, and returns the list's new value (the old one is not changed).
// journalled is the word's own number, of a beat its highest: boots follow each
// other in the journal, so it places the boot among the others.
func (d Device) sawBoot(b Boot, uptime, journalled uint64, received time.Time, beat bool) []BootSeen {
	boots := append([]BootSeen(nil), d.Boots...)
	offset := received.UnixMilli() - int64(uptime)
	i := d.bootAt(b)
	if i < 0 {
		i = len(boots)
		boots = append(boots, BootSeen{Boot: b, Offset: offset})
	}
	boots[i].Offset = min(boots[i].Offset, offset)
	boots[i].Beaten = boots[i].Beaten || beat
	boots[i].Journalled = max(boots[i].Journalled, journalled)
	slices.SortStableFunc(boots, func(a, b BootSeen) int { return cmp.Compare(a.Journalled, b.Journalled) })
	// What falls out is the oldest, which may be b itself: a word from so long ago
	// says nothing of today.
	return boots[max(len(boots)-maxBoots, 0):]
}

// later tells whether boot a is known to have come after boot b.
func (d Device) later(a, b Boot) bool { return d.bootAt(a) > d.bootAt(b) }

// newer tells whether the moment (boot, uptime) is at or after (than, at) on
// the device's own time line.
func (d Device) newer(boot Boot, uptime uint64, than Boot, at uint64) bool {
	if boot == than {
		return uptime >= at
	}
	return than == Boot{} || d.later(boot, than)
}

// bootedAfter tells whether the journal proves that the device started again
// after boot b: a later boot evidence is applied and so is the one of b.
func (d Device) bootedAfter(b Boot) bool {
	i := d.bootAt(b)
	if i < 0 || d.Boots[i].Seq == 0 {
		return false
	}
	for _, other := range d.Boots {
		if other.Seq > d.Boots[i].Seq {
			return true
		}
	}
	return false
}
