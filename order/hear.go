package order

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// Hear takes in one verified word of a device: DESIGN section 6, step 4.
type Hear struct {
	Device device.ID
	Word   device.Word
	Stands *Stand // where it last said that it is, nil = not known
	// Relayed: a phone brought it, which may have kept it for as long as it likes.
	Relayed bool
}

// Stand is where a device said that it is, and when that came in.
type Stand struct {
	Point
	Said time.Time
}

// Heard is what follows once the changes are committed.
type Heard struct {
	Ack  *device.Ack
	Send []device.Command // commands to publish again or for the first time
	// Trouble and Quarantined are counted by the caller.
	Trouble     device.Trouble
	Quarantined int
}

// Query names what Hear must see.
func (h Hear) Query() Query {
	q := Query{Device: h.Device}
	if e := h.Word.Evidence; e != nil {
		q.Epoch, q.Journal, q.Evidence, q.Names = e.Epoch, e.Journal, e.Seq, e.Order
	}
	return q
}

// Decide folds the word into the device, applies what became applicable to
// orders in journal order, and then looks for every proof that it completed.
func (h Hear) Decide(s Snapshot, env Env) (Changes, Heard, error) {
	if s.Device == nil {
		return Changes{}, Heard{}, fmt.Errorf("device %s: %w", h.Device, ErrNotFound)
	}
	t := newTurn(s, env)
	if e := h.Word.Evidence; e != nil && e.Epoch != s.Device.Epoch {
		return h.earlierEpoch(t)
	}
	if b := h.Word.Beat; b != nil && b.Epoch != s.Device.Epoch {
		return Changes{}, Heard{}, nil
	}
	word := h.Word
	word.Kept = h.Relayed && !t.saidLately(word)
	silent := !word.Kept && s.Now.Sub(s.Device.HeardAt) > env.Config.ProbeAfterIdle
	if word.Evidence != nil {
		e := *word.Evidence
		e.Received = s.Now
		word.Evidence = &e
	} else {
		b := *word.Beat
		b.Received = s.Now
		word.Beat = &b
	}
	heard := s.Device.Hear(word, s.Outlets, s.Waiting, s.Stored)
	t.adopt(heard)
	result := Heard{Ack: heard.Ack, Trouble: heard.Trouble}
	if heard.Kept != nil {
		t.evidence = append(t.evidence, *heard.Kept)
		if e := *heard.Kept; e.Status == device.Quarantined && heard.Trouble == device.NoTrouble { // it was given up as lost
			result.Quarantined++
			if err := t.item(ItemQuarantined, t.ref(e), e.Order, "late: "+string(e.Kind)); err != nil {
				return Changes{}, Heard{}, err
			}
		}
	}
	for _, e := range heard.Ready {
		applied, err := t.apply(e)
		if err != nil {
			return Changes{}, Heard{}, fmt.Errorf("apply evidence %s/%d: %w", h.Device, e.Seq, err)
		}
		if !applied {
			e.Status = device.Quarantined
			result.Quarantined++
			if err := t.item(ItemQuarantined, t.ref(e), e.Order, string(e.Kind)); err != nil {
				return Changes{}, Heard{}, err
			}
		}
		t.keep(e)
	}
	if err := t.report(heard); err != nil {
		return Changes{}, Heard{}, err
	}
	if err := t.parked(h); err != nil {
		return Changes{}, Heard{}, err
	}
	if err := t.kind().settled(t); err != nil {
		return Changes{}, Heard{}, err
	}
	if err := t.prove(); err != nil {
		return Changes{}, Heard{}, err
	}
	t.unblock()
	if err := t.relayed(); err != nil {
		return Changes{}, Heard{}, err
	}
	if err := t.tellTime(); err != nil {
		return Changes{}, Heard{}, err
	}
	if h.Word.Beat != nil {
		if err := t.rekey(); err != nil {
			return Changes{}, Heard{}, err
		}
	}
	if heard.Ack != nil {
		heard.Ack.Key = t.ackKey()
	}
	result.Send = append(result.Send, t.fresh...)
	// A word that is old or not believed ends no silence: answering it with commands that
	// a device without its memory answers in turn would go on for ever.
	if silent && heard.Changed && heard.Trouble == device.NoTrouble {
		for _, c := range t.openCommands() {
			if c.State == device.Published && !c.Kind.Expires() {
				result.Send = append(result.Send, c)
			}
		}
	}
	return t.changes(), result, nil
}

// ref names a piece of evidence on receipts and items: "{journal}/{number}".
func (t *turn) ref(e device.Evidence) string { return fmt.Sprintf("%x/%d", e.Journal, e.Seq) }

// keep replaces or adds the row of an evidence in its final status.
func (t *turn) keep(e device.Evidence) {
	for i := range t.evidence {
		if t.evidence[i].Seq == e.Seq && t.evidence[i].Journal == e.Journal {
			t.evidence[i] = e
			return
		}
	}
	t.evidence = append(t.evidence, e)
}

// adopt takes over what device.Hear concluded.
func (t *turn) adopt(h device.Hearing) {
	if !h.Changed {
		return
	}
	d := h.Device
	t.device = &d
	t.dirty["device"] = true
	for i, o := range h.Outlets {
		if !o.Same(t.outlets[i]) {
			t.outlets[i] = o
			t.touchOutlet(&t.outlets[i])
		}
	}
}

// openCommands returns copies of the open commands, by outlet and number.
func (t *turn) openCommands() []device.Command {
	var open []device.Command
	for _, c := range t.commands {
		if c.State.Open() {
			open = append(open, *c)
		}
	}
	slices.SortFunc(open, func(a, b device.Command) int {
		if a.Outlet != b.Outlet {
			return int(a.Outlet) - int(b.Outlet)
		}
		return int(int64(a.Seq) - int64(b.Seq))
	})
	return open
}

// earlierEpoch keeps evidence that an older provisioning of the device signed.
// It proves history, moves nothing and is never acked.
func (h Hear) earlierEpoch(t *turn) (Changes, Heard, error) {
	if t.snapshot.Stored != nil {
		return Changes{}, Heard{}, nil
	}
	e := *h.Word.Evidence
	e.Received, e.Status = t.now, device.Quarantined
	t.evidence = append(t.evidence, e)
	if err := t.item(ItemOldEpoch, fmt.Sprintf("%s/%d", t.ref(e), e.Epoch), e.Order, string(e.Kind)); err != nil {
		return Changes{}, Heard{}, err
	}
	return t.changes(), Heard{Quarantined: 1}, nil
}

// apply moves what a piece of evidence names. False: it names another or an
// unknown order or command, and is quarantined.
func (t *turn) apply(e device.Evidence) (bool, error) {
	if err := t.kind().heard(t, e); err != nil {
		return false, err
	}
	switch e.Kind {
	case device.Alarm:
		return true, t.alarmed(e)
	case device.Booted:
		return true, t.booted(e)
	}
	if c := t.commands[e.CommandID]; c != nil && c.Kind == device.Start && (c.Order != e.Order || c.Outlet != e.Outlet) {
		t.crossed(c, e)
		return false, nil
	}
	if e.Order == "" {
		return true, t.answered(e)
	}
	o := t.orders[e.Order]
	if o == nil || o.Device != e.Device || o.Outlet != e.Outlet {
		return false, nil
	}
	switch e.Kind {
	case device.SeenExecuted:
		if e.CommandID != o.Command {
			return false, nil
		}
		return true, t.executed(o, e)
	case device.SaidRejected, device.SaidFailed:
		if e.CommandID != o.Command { // of an earlier start of the same order
			return true, t.answered(e)
		}
		return true, t.refused(o, e)
	case device.SaidEnded, device.SaidInterrupted:
		if o.State == Active && o.Shut() && (o.Pause.State == PausePaused || e.CommandID != o.Command) {
			return false, nil // of an opening that ended before
		}
		return true, t.ended(o, e)
	}
	return false, nil
}

// crossed: a piece answers our start and names another use or outlet. It proves
// neither, and it is the very result that a fence would take to be missing: as far
// as proofs go, it is lost.
func (t *turn) crossed(c *device.Command, e device.Evidence) {
	if c.State.Open() {
		t.device.LostUpTo = max(t.device.LostUpTo, e.Seq)
		t.dirty["device"] = true
	}
}

// answered closes the command of a piece that names no order: a ring, or a use
// that the server never started and for which there is nothing to close.
func (t *turn) answered(e device.Evidence) error {
	switch e.Kind {
	case device.SeenExecuted:
		return t.finish(t.commands[e.CommandID], device.Execute)
	case device.SaidRejected, device.SaidFailed:
		return t.finish(t.commands[e.CommandID], device.Reject)
	}
	return nil
}

// finish moves an open command; one that is closed already stays as it is.
func (t *turn) finish(c *device.Command, in device.CommandInput) error {
	if c == nil || !c.State.Open() {
		return nil
	}
	moved, err := c.Move(in, t.now)
	if err != nil {
		return err
	}
	*c = moved
	t.touchCommand(c)
	return nil
}

// executed is the only way into active.
func (t *turn) executed(o *Order, e device.Evidence) error {
	if err := t.finish(t.commands[e.CommandID], device.Execute); err != nil {
		return err
	}
	switch o.State {
	case Starting, Unresolved:
		o.extend(e.Boot, e.Uptime)
		o.Evidence = append(o.Evidence, t.ref(e))
		return t.move(o, Executed, t.ref(e))
	case Active:
		if o.pauseState() == PauseResuming {
			return t.resumed(o, e)
		}
		return nil
	case Voided:
		if out := t.outlet(o.Outlet); out != nil && out.Block == device.Unproven {
			out.Block = device.AwaitClosed
			t.touchOutlet(out)
		}
		if err := t.end(o); err != nil { // nobody pays for it any more
			return err
		}
	}
	return t.item(ItemLateExecuted, o.ID, o.ID, "the device proved that it opened after the order was "+string(o.State))
}

// refused is the device's own word that the start moved nothing, or nothing for
// good.
func (t *turn) refused(o *Order, e device.Evidence) error {
	if err := t.finish(t.commands[e.CommandID], device.Reject); err != nil {
		return err
	}
	switch o.State {
	case Starting, Unresolved:
		o.Evidence = append(o.Evidence, t.ref(e))
		return t.void(o, Refused, t.ref(e), refusal(e), device.NotBlocked)
	case Active:
		if o.pauseState() == PauseResuming {
			return t.stayShut(o, t.ref(e), refusal(e))
		}
		return t.item(ItemLateRefusal, o.ID, o.ID, e.Reason)
	case Voided:
		t.release(o)
	}
	return nil
}

// refusal is the device's reason as a stable word.
func refusal(e device.Evidence) string {
	if e.Kind == device.SaidFailed {
		return "failed_" + e.Reason
	}
	return e.Reason
}

// release unblocks an outlet whose unproven command turned out harmless.
func (t *turn) release(o *Order) {
	if out := t.outlet(o.Outlet); out != nil && out.Block == device.Unproven {
		out.Block = device.NotBlocked
		t.touchOutlet(out)
	}
}

// ended is the device's word that the use is over.
func (t *turn) ended(o *Order, e device.Evidence) error {
	if o.State == Starting || o.State == Unresolved {
		// It implies that the start was executed; the piece that said so is lost,
		// so the ride begins, for the bill, where it ends.
		if err := t.finish(t.commands[o.Command], device.Execute); err != nil {
			return err
		}
		if err := t.move(o, Executed, t.ref(e)); err != nil {
			return err
		}
	}
	if o.State == Active && o.pauseState() == PauseResuming {
		// The same of a start that ended a pause.
		if err := t.finish(t.commands[o.Command], device.Execute); err != nil {
			return err
		}
		if err := t.resumed(o, e); err != nil {
			return err
		}
	}
	switch o.State {
	case Active:
		if t.pauses(o, e) {
			return t.shut(o, e)
		}
		o.endAt(e.Boot, e.Uptime)
		o.Evidence = append(o.Evidence, t.ref(e))
		o.Reason = e.Reason
		return t.finishUse(o, DeviceEnded, t.ref(e), device.NotBlocked, &e)
	case Voided:
		if ml := e.Counters.Millilitre; ml > 0 {
			if err := t.item(ItemUnbilled, o.ID, o.ID, fmt.Sprintf("%d ml flowed in an order that was voided", ml)); err != nil {
				return err
			}
		}
		if c := t.commands[o.Command]; c != nil && c.State.Open() {
			if err := t.finish(c, device.Execute); err != nil {
				return err
			}
			t.release(o)
			return t.item(ItemLateExecuted, o.ID, o.ID, "the device proved a whole use after the order was voided")
		}
	case Settled:
		if c := t.commands[e.CommandID]; c != nil && c.State.Open() { // of a resumption that was given up
			if err := t.finish(c, device.Execute); err != nil {
				return err
			}
			return t.item(ItemLateExecuted, o.ID, o.ID, "the device proved a whole use after the order was settled")
		}
		return t.proveLess(o, e)
	}
	return nil
}

// proveLess compares a bill that was made without the device's own end with what
// its late word proves: less is given back, more changes nothing for the rider.
func (t *turn) proveLess(o *Order, e device.Evidence) error {
	if o.EndedBy == DeviceEnded && o.Usage.Fuel != nil && e.Counters.Millilitre > 0 {
		return t.item(ItemUnbilled, o.ID, o.ID, fmt.Sprintf("its pump states a second end of it, of %d ml; %d ml were billed",
			e.Counters.Millilitre, o.Usage.Fuel.Millilitres))
	}
	if o.EndedBy == DeviceEnded || o.Shut() || len(o.Spans) == 0 {
		return nil
	}
	proved := *o
	proved.Spans = slices.Clone(o.Spans)
	proved.endAt(e.Boot, e.Uptime)
	proved.EndedBy = DeviceEnded
	usage, doubt, err := t.kind().measure(t, &proved, &e)
	if err != nil {
		return err
	}
	if doubt != "" {
		return t.item(ItemMismatch, o.ID, o.ID, doubt)
	}
	usage.DaySpent, usage.Pass = o.Usage.DaySpent, o.Usage.Pass
	total := o.Tariff.Quote(usage).Total
	if usage.Fuel != nil && total > o.Quote.Total {
		if err := t.item(ItemUnbilled, o.ID, o.ID, fmt.Sprintf("%d ml came to %v yuan, %v was billed before the pump said so",
			usage.Fuel.Millilitres, total, o.Quote.Total)); err != nil {
			return err
		}
	}
	t.drawLess(o, usage)
	less := o.Quote.Total - total - o.Refunded
	if less <= 0 {
		return nil
	}
	o.Evidence = append(o.Evidence, t.ref(e))
	return t.giveBack(o, less, t.ref(e))
}

// booted applies a device's word at its start.
func (t *turn) booted(e device.Evidence) error {
	if u := e.Unknown; u != nil {
		if err := t.cannotTell(e, *u); err != nil {
			return err
		}
	}
	out := t.outlet(e.Outlet)
	if out == nil || out.Order == "" {
		return nil
	}
	o := t.orders[out.Order]
	if o == nil || o.State != Active {
		return nil // starting and unresolved: as the proof rules say
	}
	return t.kind().booted(t, o, e)
}

// cannotTell: the device burned a start and lost power so that neither bolt nor
// counter shows what happened. It proves nothing, so nobody pays.
func (t *turn) cannotTell(e device.Evidence, u device.UnknownStart) error {
	c := t.commands[u.CommandID]
	if c == nil || !c.State.Open() {
		return nil
	}
	if err := t.finish(c, device.CannotTell); err != nil {
		return err
	}
	if err := t.item(ItemUnknown, c.ID, u.Order, "power was lost while the lock moved"); err != nil {
		return err
	}
	o := t.orders[c.Order]
	if o == nil {
		return nil
	}
	switch o.State {
	case Starting, Unresolved:
		return t.void(o, CannotTell, t.ref(e), "outcome_unknown", device.AwaitClosed)
	case Active:
		if o.Command == c.ID && o.pauseState() == PauseResuming {
			return t.stayShut(o, t.ref(e), "outcome_unknown")
		}
	case Voided:
		if out := t.outlet(o.Outlet); out != nil && out.Block == device.Unproven {
			out.Block = device.AwaitClosed
			t.touchOutlet(out)
		}
	}
	return nil
}

// finishUse ends an active order and settles it in the same turn. e is the piece
// that ended it, nil where none did.
func (t *turn) finishUse(o *Order, in Input, by string, block device.Block, e *device.Evidence) error {
	if err := t.move(o, in, by); err != nil {
		return err
	}
	t.free(o, block)
	return t.settle(o, by, e)
}

// report opens an item for each thing that staff should know of a word.
func (t *turn) report(h device.Hearing) error {
	if h.Lost != nil {
		if err := t.item(ItemLost, fmt.Sprintf("%x/%d", t.device.Journal, h.Lost.From), "",
			fmt.Sprintf("evidence %d to %d is below what the device still holds", h.Lost.From, h.Lost.To)); err != nil {
			return err
		}
	}
	for _, n := range h.Restored {
		if err := t.item(ItemRestored, fmt.Sprintf("%s/%d/%d", t.device.ID, t.device.Epoch, t.outlet(n).NextSeq), "",
			"the device burned numbers that we never made: an older backup runs"); err != nil {
			return err
		}
	}
	switch h.Trouble {
	case device.FlashReplaced:
		return t.item(ItemFlash, fmt.Sprintf("%s/%d", t.device.ID, t.device.Epoch), "", "the journal is a new one; provision the device again")
	case device.Contradiction:
		return t.item(ItemContradiction, fmt.Sprintf("%s/%d", t.device.ID, t.device.Epoch), "", "one evidence number came with two contents; provision the device again")
	}
	return nil
}

// goesOn extends each use to the newest moment at which the outlet was stated
// open, whether the word that says so came before or after the evidence that
// began the use. An open bolt alone does not prove it: the end of the use may be
// among the evidence that is still on its way or lost, and the bolt forced open
// since.
func (t *turn) goesOn() {
	if t.device.Applied < t.device.Head.Highest {
		return
	}
	for _, out := range t.outlets {
		said := out.Stated
		if o := t.orders[out.Order]; o != nil && o.State == Active && !o.Shut() && said.Known && !said.Closed &&
			o.began(said.Boot, said.Uptime) && !t.lostSince(o) && o.extend(said.Boot, said.Uptime) {
			t.touchOrder(o)
		}
	}
}

// lostSince tells whether evidence of the time after the order's start is lost.
func (t *turn) lostSince(o *Order) bool {
	first, known := o.firstPiece()
	return !known || t.device.LostUpTo > first
}

// firstPiece is the number of the piece that began the order's use.
func (o *Order) firstPiece() (number uint64, known bool) {
	if len(o.Evidence) == 0 {
		return 0, false
	}
	_, text, _ := strings.Cut(o.Evidence[0], "/")
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}

// began tells whether (boot, uptime) is not before the order's first span, as
// far as spans can tell: a beat of the time before the start proves nothing.
func (o *Order) began(boot device.Boot, uptime uint64) bool {
	for _, s := range o.Spans {
		if s.Boot == boot {
			return uptime >= s.From
		}
	}
	return false
}

// prove closes every open command that the device's words now settle.
func (t *turn) prove() error {
	for _, c := range t.openCommands() {
		open := t.commands[c.ID]
		switch {
		case !c.Kind.Expires():
			if c.State == device.Published && device.Burned(t.outlets, c.Outlet, c.Seq) && !t.stopping(c) {
				if err := t.finish(open, device.Burn); err != nil {
					return err
				}
				if c.Kind == device.Config && t.outlet(c.Outlet).LastSeq > c.Seq {
					t.untold()
				}
			}
		case t.device.Fenced(c):
			if err := t.notExecuted(open); err != nil {
				return err
			}
		}
	}
	return nil
}

// notExecuted is the proof of DESIGN section 5 at work.
func (t *turn) notExecuted(c *device.Command) error {
	if err := t.finish(c, device.Fence); err != nil {
		return err
	}
	o := t.orders[c.Order]
	if o == nil || o.Command != c.ID {
		return nil
	}
	switch o.State {
	case Starting, Unresolved:
		reason := "not_executed"
		if o.Cancelling {
			reason = "cancelled"
		}
		return t.void(o, Fenced, fmt.Sprintf("fence %s/%d", t.device.ID, c.Seq), reason, device.NotBlocked)
	case Active:
		if o.pauseState() == PauseResuming {
			return t.stayShut(o, fmt.Sprintf("fence %s/%d", t.device.ID, c.Seq), "not_executed")
		}
	case Voided:
		t.release(o)
	}
	return nil
}

// unblock frees outlets that only waited for the device's word that they are
// closed. The word counts once everything is here that the newest beat told of: what
// is still to come may say that they were opened again.
func (t *turn) unblock() {
	if t.device.Head.Boot == (device.Boot{}) || t.device.Applied < t.device.Head.Highest {
		return
	}
	for i := range t.outlets {
		out := &t.outlets[i]
		if out.Block == device.AwaitClosed && out.Stated.Known && out.Stated.Closed && t.openStart(out.N) == nil {
			out.Block = device.NotBlocked
			t.touchOutlet(out)
		}
	}
}

// Paid is what an order has cost its rider so far.
func (o Order) Paid() billing.Fen { return o.Charged + o.Debt - o.Refunded }
