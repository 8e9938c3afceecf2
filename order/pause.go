package order

import (
	"fmt"
	"time"

	"github.com/unlatch/unlatch/device"
)

// A pause is a temporary lock: the rider asks for it, shuts the lock by hand, and the
// order stays active with its outlet instead of ending; later another start of the same
// order opens it again. The device knows nothing of pauses: it says that a use ended,
// and that another start was executed.

// PauseState is how far a pause is.
type PauseState string

// Asked: the next closing is a pause, if it comes in time. Paused: the device said that
// it is shut. Resuming: another start is on its way, and only the device's word on it
// leads on.
const (
	PauseAsked    PauseState = "asked"
	PausePaused   PauseState = "paused"
	PauseResuming PauseState = "resuming"
)

// The inputs of a pause. The order stays active by all of them, so that they stand in
// its history and not in its table; PauseOver, which ends it, does.
const (
	PauseWanted  Input = "pause_wanted"
	PauseDropped Input = "pause_dropped"
	PauseBegan   Input = "pause_began"
	ResumeWanted Input = "resume_wanted"
	Resumed      Input = "resumed"
	ResumeFailed Input = "resume_failed"
)

// pauseNext is the whole machine of a pause; "" is none. An input missing from a row is
// ErrWrongState. Silence resumes nothing and fails nothing: only the device's word does.
var pauseNext = map[PauseState]map[Input]PauseState{
	"":            {PauseWanted: PauseAsked},
	PauseAsked:    {PauseWanted: PauseAsked, PauseDropped: "", PauseBegan: PausePaused},
	PausePaused:   {ResumeWanted: PauseResuming},
	PauseResuming: {Resumed: "", ResumeFailed: PausePaused},
}

// Next looks up a move of a pause.
func (s PauseState) Next(in Input) (PauseState, error) {
	if to, ok := pauseNext[s][in]; ok {
		return to, nil
	}
	return s, fmt.Errorf("pause in state %q, input %s: %w", s, in, ErrWrongState)
}

// Pause is the pause of an order. It is replaced, never changed in place. An order that
// ended out of a pause keeps it.
type Pause struct {
	State PauseState `json:"state"`
	// Until is by when the lock must be shut while asked, and from then on when the
	// order ends by itself; of a pause that is resuming, unless the lock opens.
	Until time.Time `json:"until"`
	// Boot and Uptime are Until on the device's own clock, as well as it was known when
	// the pause was asked for: what counts as in time must not depend on which word
	// comes first. Zero where no word of the device was known.
	Boot   device.Boot `json:"boot"`
	Uptime uint64      `json:"uptime"`
	// Reason says why the lock did not open again, a stable word; "" = nobody tried.
	Reason string `json:"reason,omitempty"`
}

// Shut tells whether the order is paused: its lock was shut, and is not proved to be
// open again.
func (o Order) Shut() bool { return o.Pause != nil && o.Pause.State != PauseAsked }

// pauseState is "" where there is no pause.
func (o Order) pauseState() PauseState {
	if o.Pause == nil {
		return ""
	}
	return o.Pause.State
}

// pausing moves an order's pause and writes the history row; p is what it becomes, nil
// where it is over.
func (t *turn) pausing(o *Order, in Input, by string, p *Pause) error {
	to, err := o.pauseState().Next(in)
	if err != nil || o.State != Active {
		return fmt.Errorf("order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	if o.Pause = nil; p != nil {
		next := *p
		next.State = to
		o.Pause = &next
	}
	t.record(o, o.State, in, by)
	return nil
}

// pause asks for a temporary lock. Asking again while it is asked for changes nothing.
func (t *turn) pause(o *Order) error {
	if o.State != Active || !t.kind().pauses() {
		return fmt.Errorf("pause order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	switch p := o.Pause; o.pauseState() {
	case PausePaused:
		return nil
	case PauseAsked:
		if !t.now.After(p.Until) {
			return nil
		}
	}
	p := Pause{Until: t.now.Add(t.env.Config.PauseAsk)}
	for _, seen := range t.device.Boots {
		if ms := p.Until.UnixMilli() - seen.Offset; seen.Boot == t.device.Sample.Boot && ms > 0 {
			p.Boot, p.Uptime = seen.Boot, uint64(ms)
		}
	}
	return t.pausing(o, PauseWanted, "rider", &p)
}

// inTime tells whether a closing comes within the time that was given for it: on the
// device's own clock, or of another boot by when the word of it came. What was shut
// before the rider asked counts: the word of it was on its way.
func (p *Pause) inTime(e device.Evidence) bool {
	if e.Boot == p.Boot {
		return e.Uptime <= p.Uptime
	}
	return !e.Received.After(p.Until)
}

// pauses tells whether the device's word that a use ended begins a pause, and not the end.
func (t *turn) pauses(o *Order, e device.Evidence) bool {
	return o.State == Active && o.pauseState() == PauseAsked && t.kind().pauses() && o.Pause.inTime(e)
}

// shut begins the pause of an order whose lock was closed. The use is proved up to here,
// and no further unless it is resumed.
func (t *turn) shut(o *Order, e device.Evidence) error {
	o.endAt(e.Boot, e.Uptime)
	o.Evidence = append(o.Evidence, t.ref(e))
	o.DueAt = t.now.Add(t.env.Config.PauseMost)
	if last := t.lastMoment(o); last.Before(o.DueAt) {
		o.DueAt = last
	}
	return t.pausing(o, PauseBegan, t.ref(e), &Pause{Until: o.DueAt})
}

// lastMoment is when the watchdog ends an active order.
func (t *turn) lastMoment(o *Order) time.Time { return o.ActiveAt.Add(t.env.Config.MaxRide) }

// resume publishes another start of a paused order, or takes back a pause that was only
// asked for. Asking twice changes nothing. The venue may be closed by now: what runs may
// go on. ErrOffline, ErrOutletOpen, ErrNotInService: the device could not start now.
func (t *turn) resume(o *Order) error {
	if o.State != Active {
		return fmt.Errorf("resume order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	switch p := o.Pause; {
	case p == nil:
		return nil
	case p.State == PauseAsked:
		return t.pausing(o, PauseDropped, "rider", nil)
	case p.State == PauseResuming && !o.Cancelling:
		return nil
	case p.State == PauseResuming, !t.now.Before(p.Until):
		return fmt.Errorf("resume order %s: %w", o.ID, ErrWrongState)
	case !t.now.Add(t.env.Config.StartDeadline).Before(t.lastMoment(o)): // it would end as it opens
		return fmt.Errorf("resume order %s, whose longest time is over at %s: %w", o.ID, t.lastMoment(o).Format(time.RFC3339), ErrWrongState)
	}
	out := t.outlet(o.Outlet)
	if t.device.Service != device.InService && t.device.Service != device.Maintenance {
		return fmt.Errorf("resume order %s: %w", o.ID, ErrNotInService)
	}
	if err := t.able(out); err != nil {
		return fmt.Errorf("resume order %s: %w", o.ID, err)
	}
	if t.openStart(out.N) != nil {
		return fmt.Errorf("resume order %s: %w", o.ID, ErrWrongState)
	}
	c, err := t.command(device.Start, out.N, o.ID)
	if err != nil {
		return err
	}
	o.Command, o.Seq, o.DueAt = c.ID, c.Seq, c.Deadline
	return t.pausing(o, ResumeWanted, "rider", o.Pause)
}

// resumed is the device's word that it opened again. The time of the pause counts like
// riding. A rider who wanted to end it meanwhile has an open lock to close.
func (t *turn) resumed(o *Order, e device.Evidence) error {
	o.extend(e.Boot, e.Uptime)
	if e.Kind == device.SeenExecuted { // else it is added as what ended the use
		o.Evidence = append(o.Evidence, t.ref(e))
	}
	o.Cancelling = false
	o.DueAt = t.lastMoment(o)
	return t.pausing(o, Resumed, t.ref(e), nil)
}

// stayShut is the proof that the start of a pause's end moved nothing: the order is
// paused as before, or ends where its rider asked for that meanwhile.
func (t *turn) stayShut(o *Order, by, reason string) error {
	p := Pause{Until: o.Pause.Until, Reason: reason}
	o.DueAt = p.Until
	if err := t.pausing(o, ResumeFailed, by, &p); err != nil || !o.Cancelling {
		return err
	}
	return t.endShut(o, RiderEnded, "rider", "ended_by_rider")
}

// endShut ends a paused order, billed up to the closing. Where the device does not state
// it closed (any more), or an open start may yet move it, its outlet waits for that.
func (t *turn) endShut(o *Order, in Input, by, reason string) error {
	o.Reason = reason
	if err := t.finishUse(o, in, by, device.AwaitClosed, nil); err != nil {
		return err
	}
	t.unblock()
	return nil
}

// endPaused is the rider's end of a paused order. While another start is under way a
// fence goes out first, and the order ends as the device proves.
func (t *turn) endPaused(o *Order) error {
	if o.Pause.State == PausePaused {
		return t.endShut(o, RiderEnded, "rider", "ended_by_rider")
	}
	if o.Cancelling {
		return nil
	}
	o.Cancelling = true
	t.touchOrder(o)
	_, err := t.command(device.Stop, o.Outlet, o.ID)
	return err
}

// elapsePause does what is due in a pause: its end, or of a start that nobody answered
// first the deadline and then the end of patience. A program that knew of no pauses may
// have closed the start without a word to its order: then what it concluded counts.
func (t *turn) elapsePause(o *Order) error {
	if o.Pause.State == PausePaused {
		return t.endShut(o, PauseOver, "rule", "pause_over")
	}
	c := t.commands[o.Command]
	switch {
	case c == nil || c.State == device.Unresolved:
	case c.State == device.Executed:
		o.Cancelling, o.DueAt = false, t.lastMoment(o)
		return t.pausing(o, Resumed, "rule", nil)
	case c.State != device.Published:
		return t.stayShut(o, "rule", string(c.State))
	default:
		if err := t.finish(c, device.Deadline); err != nil {
			return err
		}
		o.DueAt = t.now.Add(t.env.Config.Patience)
		t.touchOrder(o)
		if err := t.prove(); err != nil { // a beat past the expiry may be here already
			return err
		}
		if o.State != Active || o.Pause.State != PauseResuming {
			return nil
		}
		return t.probe(o.Outlet)
	}
	if err := t.endShut(o, PauseOver, "rule", "resume_never_resolved"); err != nil {
		return err
	}
	return t.item(ItemUnproven, o.ID, o.ID, "the device never said whether it opened again after a pause")
}
