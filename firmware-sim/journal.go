package sim

import (
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// The places that must be free for a piece of evidence of each class (P4.9), on a
// device of one outlet; see reserve.
const (
	placeStart  = 8 // a start may be obeyed
	placeAlarm  = 5
	placeReject = 4 // also a ring's result
	placeBoot   = 3 // a boot that settles nothing
)

// burst is how many pieces are sent again at a time (P4.4).
const burst = 16

// reserve is how many places more than on a device of one outlet must stay free
// for each class: a result and an end for each outlet behind the first (P4.9).
func (c *Controller) reserve() int { return 2 * (len(c.kind.outlets()) - 1) }

// hasPlace reports whether at least n places are free, besides the reserve.
func (c *Controller) hasPlace(n int) bool {
	return c.flash.free(c.JournalCapacity) >= n+c.reserve()
}

// journal numbers, signs and stores e in one write with a change of outlet n, then
// sends it (P4.1 to P4.3). Callers set kind, reason and what e is about;
// the rest is filled in, from the outlet as changed. It reports whether the
// device still runs. There must be a place.
func (c *Controller) journal(now time.Time, n uint8, before, after Step, e wire.Evidence, change func(*Outlet)) bool {
	if !c.pass(before) {
		return false
	}
	outlet := *c.flash.outlet(n)
	change(&outlet)
	e.Epoch, e.Outlet = c.flash.Epoch, n
	e.Boot, e.Uptime = c.boot, c.Uptime(now)
	e.Journal, e.Seq = c.flash.Journal, c.flash.Highest+1
	e.LastSeq = outlet.LastSeq
	e.Closed = c.kind.closed(n, &outlet)
	e.Counters = c.kind.counters(n, &outlet)
	sealed, err := wire.SealEvidence(c.Key, c.Device, e)
	if err != nil {
		c.err = err
		return false
	}
	entry := Entry{Seq: e.Seq, Kind: e.Kind, Outlet: n, Sealed: sealed}
	switch {
	case e.Kind == wire.EvidenceEnded || e.Kind == wire.EvidenceInterrupted:
		entry.Ends = e.Order
	case e.Kind.Answers():
		entry.CommandSeq, entry.CommandID = e.CommandSeq, e.CommandID
	}
	if !c.write("", after, func(f *Flash) {
		*f.outlet(n) = outlet
		f.append(entry, c.JournalCapacity)
	}) {
		return false
	}
	c.emitEntry(entry)
	c.notify(entry.Sealed)
	c.phoneJournalled(now, entry.Seq)
	if c.sentUpTo == entry.Seq-1 && c.connected {
		c.sentUpTo = entry.Seq
	}
	if c.resendAt.IsZero() {
		c.scheduleResend(now)
	}
	return true
}

func (c *Controller) emitEntry(e Entry) {
	c.emit(wire.EvidenceTopic(c.Device), e.Sealed, nil)
}

// ack handles the server's word on the journal (P4.5 to P4.7).
func (c *Controller) ack(now time.Time, ack wire.AckArgs) {
	f := c.flash
	if ack.Journal != f.Journal || ack.N > f.Highest {
		c.oweAnswer(now)
		return
	}
	n := ack.N
	if lowest := f.Lowest(); n+1 < lowest {
		n = lowest - 1
		c.oweAnswer(now)
	}
	if n == f.Acked {
		if ack.N < n {
			c.sentUpTo = n
			c.restartResend(now)
			c.phoneAcked(now, n, true)
		}
		return
	}
	replay := n < f.Acked
	if !c.write(StepBeforeAcked, StepAcked, func(f *Flash) { f.Acked = n }) {
		return
	}
	if replay {
		c.sentUpTo = n
	}
	c.restartResend(now)
	c.phoneAcked(now, n, replay)
}

// restartResend sends what may go now and was not sent, and starts waiting anew.
func (c *Controller) restartResend(now time.Time) {
	c.resendStep = 0
	c.sendBurst()
	c.scheduleResend(now)
}

// resend sends the oldest pieces that are not acked again.
func (c *Controller) resend(now time.Time) {
	c.sentUpTo = c.flash.Acked
	c.sendBurst()
	c.resendStep++
	c.scheduleResend(now)
}

// sendBurst sends, of the first pieces behind the ack, those not sent yet.
func (c *Controller) sendBurst() {
	if !c.connected {
		return
	}
	c.sentUpTo = max(c.sentUpTo, c.flash.Acked)
	for _, e := range c.flash.held(c.sentUpTo + 1) {
		if e.Seq > c.flash.Acked+burst {
			break
		}
		c.emitEntry(e)
		c.sentUpTo = e.Seq
	}
}

// scheduleResend sets the next wait: from the upper half of 1 s, 2 s, 4 s ... 30 s.
func (c *Controller) scheduleResend(now time.Time) {
	c.resendAt = time.Time{}
	if !c.connected || c.flash.Acked >= c.flash.Highest {
		return
	}
	wait := min(time.Second<<min(c.resendStep, 5), 30*time.Second)
	c.resendAt = now.Add(wait/2 + c.jitter(wait/2))
}

// oweAnswer owes a beat to a command that got nothing better: at once, or one
// second after the last such beat (P9.4).
func (c *Controller) oweAnswer(now time.Time) {
	if !c.answerAt.IsZero() {
		return
	}
	if at := c.answeredAt.Add(time.Second); !c.answeredAt.IsZero() && now.Before(at) {
		c.answerAt = at
		return
	}
	c.answeredAt = now
	c.emitBeat(now)
}
