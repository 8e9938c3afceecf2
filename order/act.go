package order

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// Act is something that a rider, staff or the passing of time does to an order.
type Act struct {
	Order string
	Input ActInput
	Rider string // whose order it must be; "" = staff or time
	Staff *Audit // who and why; nil = rider or time
	// Amount is what Decide sets the bill to: 0 to what the order holds.
	Amount billing.Fen
	// Instead is another way to pay for a pending order that Cancel calls off: PayBefore
	// in place of PayScore. "" = none.
	Instead PayWith
	// Once makes it happen once per key: for what moves metal. nil = it may be asked again.
	Once *Once
}

// Once is the key of a request and the bytes that it gets, then and ever after.
type Once struct {
	Key    KeyRef
	Route  string
	Hash   [32]byte // of the request's body
	Answer func(Order) (status int, body []byte, err error)
}

// ActInput names what is done.
type ActInput string

// Cancel asks for a fence, or for the end where a stop can bring it. End is the
// rider's word, believed where the outlet is proved closed, else asked of the device
// where a stop can bring it. RingIt makes the device tell where it is. PauseIt and
// ResumeIt are a temporary lock and its end. ForceEnd,
// GiveUpNow and Decide are staff's. Elapse is time.
const (
	Cancel    ActInput = "cancel"
	End       ActInput = "end"
	ForceEnd  ActInput = "force_end"
	GiveUpNow ActInput = "give_up"
	Decide    ActInput = "decide"
	Elapse    ActInput = "elapse"
	RingIt    ActInput = "ring"
	PauseIt   ActInput = "pause"
	ResumeIt  ActInput = "resume"
)

// Acted is what follows once the changes are committed.
type Acted struct {
	Order  Order
	Send   []device.Command
	Status int    // of the answer of Once
	Answer []byte // its bytes
}

// Query names what Act must see.
func (a Act) Query() Query {
	q := Query{Order: a.Order, Answered: a.Input == RingIt || a.Input == Elapse}
	if a.Once != nil {
		q.Key = &a.Once.Key
	}
	return q
}

// Decide does what the order's state allows; ErrWrongState says that it allows
// nothing, ErrNotFound also hides other riders' orders.
func (a Act) Decide(s Snapshot, env Env) (Changes, Acted, error) {
	fail := func(err error) (Changes, Acted, error) { return Changes{}, Acted{}, err }
	t := newTurn(s, env)
	o := t.orders[a.Order]
	if o == nil || t.device == nil || a.Rider != "" && o.Rider != a.Rider {
		return fail(ErrNotFound)
	}
	if k := s.Key; a.Once != nil && k != nil {
		if k.BodyHash != a.Once.Hash || k.Route != a.Once.Route {
			return fail(ErrKeyReused)
		}
		return Changes{}, Acted{Order: *o, Status: k.Status, Answer: k.Answer}, nil
	}
	if (a.Input == ForceEnd || a.Input == GiveUpNow || a.Input == Decide) && a.Staff == nil {
		return fail(ErrReason)
	}
	before := *o
	var err error
	switch a.Input {
	case Cancel:
		if a.Instead != "" {
			err = t.switchWay(o, a.Instead)
		} else {
			err = t.cancel(o)
		}
	case End:
		err = t.endByRider(o)
	case ForceEnd:
		err = t.endFromAfar(o, StaffEnded, a.by(), "ended_by_staff")
	case GiveUpNow:
		err = t.giveUp(o, a.by(), "given_up_by_staff")
	case Decide:
		err = t.decide(o, a.Amount, a.by())
	case Elapse:
		err = t.elapse(o)
	case PauseIt:
		err = t.pause(o)
	case ResumeIt:
		err = t.resume(o)
	case RingIt:
		err = t.ring(o)
	default:
		err = ErrWrongState
	}
	if err != nil {
		return fail(err)
	}
	if a.Staff != nil {
		if a.Staff.Reason == "" {
			return fail(ErrReason)
		}
		if len(t.dirty) == 0 { // done before: a second answer, not a second act
			return Changes{}, Acted{Order: *o}, nil
		}
		if err := t.audit(*a.Staff, "order "+o.ID, summary(before), summary(*o)); err != nil {
			return fail(err)
		}
	}
	acted := Acted{Order: *o}
	if x := a.Once; x != nil {
		shown := *o
		if t.dirty["order/"+o.ID] {
			shown.Version++
		}
		if acted.Status, acted.Answer, err = x.Answer(shown); err != nil {
			return fail(fmt.Errorf("render order: %w", err))
		}
		t.out.Keys = append(t.out.Keys, Key{KeyRef: x.Key, Route: x.Route, BodyHash: x.Hash, Status: acted.Status, Answer: acted.Answer, Order: o.ID, At: t.now})
	}
	changes := t.changes()
	acted.Send = t.fresh
	return changes, acted, nil
}

func (a Act) by() string {
	if a.Staff == nil {
		return "rule"
	}
	return "staff " + a.Staff.Staff
}

// summary is what the audit shows of an order.
func summary(o Order) json.RawMessage {
	b, _ := json.Marshal(map[string]any{"state": o.State, "total_fen": o.Quote.Total, "refunded_fen": o.Refunded})
	return b
}

// audit adds the row of a privileged act.
func (t *turn) audit(a Audit, object string, before, after json.RawMessage) error {
	id, err := t.env.newID(t.now)
	if err != nil {
		return err
	}
	a.ID, a.Object, a.Before, a.After, a.At = id, object, before, after, t.now
	t.out.Audits = append(t.out.Audits, a)
	return nil
}

// cancel asks the device to burn a higher number; only its word then voids the
// order. Asking twice changes nothing.
func (t *turn) cancel(o *Order) error {
	switch o.State {
	case Voided:
		if o.Cancelling {
			return nil
		}
		return fmt.Errorf("cancel order %s: %w", o.ID, ErrWrongState)
	case Pending:
		if !o.Cancelling && t.funded(o) { // only the device's word is missing, and nothing was sent that moves
			o.Cancelling = true
			return t.void(o, Cancelled, "rider", "cancelled", device.NotBlocked)
		}
		if !o.Cancelling {
			o.Cancelling = true
			t.unpay(o, "cancelled")
		}
		return nil
	case Starting, Unresolved:
	case Ended, Settled:
		if o.Cancelling { // the device answered it
			return nil
		}
		return fmt.Errorf("cancel order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	default:
		if o.State == Active && t.kind().stops() {
			break
		}
		return fmt.Errorf("cancel order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	if o.Cancelling {
		return nil
	}
	o.Cancelling = true
	t.touchOrder(o)
	_, err := t.command(device.Stop, o.Outlet, o.ID)
	return err
}

// switchWay calls off a score order that its rider could not confirm, in favour of
// paying before: once WeChat has said that it is called off, the same order asks for
// money in advance. Asking twice changes nothing.
func (t *turn) switchWay(o *Order, to PayWith) error {
	p := t.payment(o.Payment)
	switch {
	case to != PayBefore || !t.env.Config.WeChatPay:
		return ErrPayWith
	case o.PayWith == PayBefore && o.State == Pending:
		return nil
	case o.State != Pending || o.PayWith != PayScore || o.Cancelling || p == nil:
		return fmt.Errorf("pay otherwise for order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	t.unpay(o, payInstead)
	if p.State == PaymentClosing { // it may have been on its way out already
		p.Reason = payInstead
		t.touchPayment(p)
	}
	return nil
}

// payInstead is the reason of a payment that was withdrawn in favour of another.
const payInstead = "pay_before_instead"

// unpay takes back the payment that a pending order waits for. Only WeChat's answer
// voids the order: it may have been paid by then.
func (t *turn) unpay(o *Order, reason string) {
	t.withdraw(t.payment(o.Payment), reason)
	o.DueAt = time.Time{}
	t.touchOrder(o)
}

// end tells a device to end an order's use, where a stop can.
func (t *turn) end(o *Order) error {
	if !t.kind().stops() {
		return nil
	}
	_, err := t.command(device.Stop, o.Outlet, o.ID)
	return err
}

// decide settles an order whose figures did not agree at the amount that staff
// set.
func (t *turn) decide(o *Order, amount billing.Fen, by string) error {
	if o.State == Settled && o.Usage != nil && o.Usage.Decided != nil && *o.Usage.Decided == amount {
		return nil // asked again, or the first answer was lost
	}
	if o.State != Ended {
		return fmt.Errorf("decide order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	if amount < 0 || amount > o.HoldFen {
		return fmt.Errorf("decide order %s: %v yuan is not between 0 and the %v that it holds: %w", o.ID, amount, o.HoldFen, ErrInvalid)
	}
	usage := *o.Usage
	usage.Decided = &amount
	o.Usage, o.Quote = &usage, o.Tariff.Quote(usage)
	return t.capture(o, Decided, by)
}

// endByRider ends a ride whose lock is proved closed although its own word of it
// is lost. Asking again for an order that is over changes nothing.
func (t *turn) endByRider(o *Order) error {
	switch o.State {
	case Ended, Settled:
		return nil
	case Active:
	default:
		return fmt.Errorf("end order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	if o.Shut() {
		return t.endPaused(o)
	}
	out := t.outlet(o.Outlet)
	if !out.Stated.Known || !out.Stated.Closed || t.device.Applied < t.device.Head.Highest {
		// With evidence still on its way the ride's true end may be among it.
		if t.kind().stops() {
			return t.cancel(o)
		}
		return fmt.Errorf("end order %s: %w", o.ID, ErrStillOpen)
	}
	o.Reason = "ended_by_rider"
	return t.finishUse(o, RiderEnded, "rider", device.NotBlocked, nil)
}

// endFromAfar ends a ride without the device's word of its end, billed to the
// last proven moment. The outlet waits until it is proved closed.
func (t *turn) endFromAfar(o *Order, in Input, by, reason string) error {
	if o.State == Settled && o.EndedBy == in && in == StaffEnded {
		return nil // asked again, or the first answer was lost
	}
	if o.State != Active {
		return fmt.Errorf("end order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	o.Reason = reason
	if o.pauseState() == PauseResuming { // what may yet open for nobody is fenced
		if _, err := t.command(device.Stop, o.Outlet, o.ID); err != nil {
			return err
		}
	}
	if err := t.finishUse(o, in, by, device.AwaitClosed, nil); err != nil {
		return err
	}
	if err := t.end(o); err != nil {
		return err
	}
	t.unblock()
	return nil
}

// giveUp lets the rider go unbilled; the outlet stays blocked until its device's
// word resolves the command.
func (t *turn) giveUp(o *Order, by, reason string) error {
	if o.State == Voided && o.Reason == reason {
		return nil // asked again, or the first answer was lost
	}
	if o.State == Pending { // WeChat does not answer: what is paid after all goes back
		return t.void(o, GiveUp, by, reason, device.NotBlocked)
	}
	if o.State != Unresolved {
		return fmt.Errorf("give up order %s in state %s: %w", o.ID, o.State, ErrWrongState)
	}
	o.Unproven = true
	if err := t.void(o, GiveUp, by, reason, device.Unproven); err != nil {
		return err
	}
	if err := t.end(o); err != nil {
		return err
	}
	return t.item(ItemUnproven, o.ID, o.ID, "the device never said whether it opened")
}

// elapse does what is due by itself, and nothing when it is not due (any more).
func (t *turn) elapse(o *Order) error {
	if o.DueAt.IsZero() || t.now.Before(o.DueAt) {
		return nil
	}
	switch o.State {
	case Pending:
		if t.funded(o) {
			return t.void(o, GiveUp, "rule", "not_relayed", device.NotBlocked)
		}
		t.unpay(o, "not_paid")
	case Starting:
		if c := t.commands[o.Command]; c != nil && c.State == device.Published {
			if err := t.finish(c, device.Deadline); err != nil {
				return err
			}
		}
		if err := t.move(o, DeadlinePast, "deadline"); err != nil {
			return err
		}
		if err := t.prove(); err != nil { // a beat past the expiry may be here already
			return err
		}
		if o.State != Unresolved {
			return nil
		}
		return t.probe(o.Outlet)
	case Unresolved:
		return t.giveUp(o, "rule", "never_resolved")
	case Active:
		if o.Shut() {
			return t.elapsePause(o)
		}
		if err := t.endFromAfar(o, Watchdog, "rule", "ride_never_ended"); err != nil {
			return err
		}
		return t.item(ItemWatchdog, o.ID, o.ID, "the ride passed the longest time allowed")
	}
	return nil
}

// Ask publishes a probe for a device's outlet, so that its answer brings a clock
// sample.
type Ask struct {
	Device device.ID
	Outlet uint8
}

// Query names what Ask must see.
func (a Ask) Query() Query { return Query{Device: a.Device} }

// Decide publishes at most one unanswered probe, and none when the sample is
// fresh.
func (a Ask) Decide(s Snapshot, env Env) (Changes, Acted, error) {
	if s.Device == nil {
		return Changes{}, Acted{}, fmt.Errorf("device %s: %w", a.Device, ErrNotFound)
	}
	t := newTurn(s, env)
	if t.outlet(a.Outlet) == nil || s.Device.Contactable(s.Now) {
		return Changes{}, Acted{}, nil
	}
	if err := t.probe(a.Outlet); err != nil {
		return Changes{}, Acted{}, err
	}
	return t.changes(), Acted{Send: t.fresh}, nil
}

// Instruct is staff's ring, probe or stop on one outlet.
type Instruct struct {
	Device device.ID
	Outlet uint8
	Kind   device.CommandKind
	Staff  Audit
}

// Query names what Instruct must see.
func (i Instruct) Query() Query { return Query{Device: i.Device} }

// Decide publishes the command; a ring needs a fresh sample.
func (i Instruct) Decide(s Snapshot, env Env) (Changes, Acted, error) {
	fail := func(err error) (Changes, Acted, error) { return Changes{}, Acted{}, err }
	t := newTurn(s, env)
	switch {
	case s.Device == nil || t.outlet(i.Outlet) == nil:
		return fail(fmt.Errorf("device %s: %w", i.Device, ErrNotFound))
	case i.Kind != device.Ring && i.Kind != device.Probe && i.Kind != device.Stop:
		return fail(ErrWrongState)
	case s.Device.Service == device.Retired:
		return fail(ErrNotInService)
	case i.Kind.Expires() && !s.Device.Clock(s.Now).Fresh(s.Now):
		return fail(ErrOffline)
	case i.Staff.Reason == "":
		return fail(ErrReason)
	}
	c, err := t.command(i.Kind, i.Outlet, "")
	if err != nil {
		return fail(err)
	}
	after, _ := json.Marshal(map[string]any{"command": c.ID, "kind": c.Kind, "seq": c.Seq})
	if err := t.audit(i.Staff, "device "+string(i.Device), nil, after); err != nil {
		return fail(err)
	}
	return t.changes(), Acted{Send: t.fresh}, nil
}

// Money is staff moving money: a top-up of a rider's wallet, or a refund of one
// order. Key makes it happen once.
type Money struct {
	Rider  string // of a top-up
	Order  string // of a refund
	Amount billing.Fen
	// Alone is the most that may be given back of one order in all; 0 = no limit. More
	// is ErrSecondPerson.
	Alone billing.Fen
	// Request is the refund request that this carries out, "" = none.
	Request string
	Key     KeyRef
	Route   string
	Hash    [32]byte
	Staff   Audit
	Answer  func(Snapshot, billing.Account, *Order) (status int, body []byte, err error)
}

// Query names what Money must see.
func (m Money) Query() Query { return Query{Rider: m.Rider, Order: m.Order, Key: &m.Key} }

// Decide posts the transfers, the audit row and the key together.
func (m Money) Decide(s Snapshot, env Env) (Changes, Placed, error) {
	fail := func(err error) (Changes, Placed, error) { return Changes{}, Placed{}, err }
	if s.Key != nil {
		if s.Key.BodyHash != m.Hash || s.Key.Route != m.Route {
			return fail(ErrKeyReused)
		}
		return Changes{}, Placed{Status: s.Key.Status, Answer: s.Key.Answer, Replayed: true}, nil
	}
	if m.Staff.Reason == "" {
		return fail(ErrReason)
	}
	t := newTurn(s, env)
	key := m.Key.Principal + "/" + m.Key.Key
	var o *Order
	var err error
	var before json.RawMessage
	object, rider := "rider "+m.Rider, m.Rider
	switch {
	case m.Order != "":
		if o = t.orders[m.Order]; o == nil {
			return fail(ErrNotFound)
		}
		if o.State != Settled {
			return fail(fmt.Errorf("refund order %s in state %s: %w", o.ID, o.State, ErrWrongState))
		}
		object, rider = "order "+o.ID, o.Rider
		if m.Alone > 0 && o.Refunded+m.Amount > m.Alone && m.Amount <= o.Paid() {
			return fail(ErrSecondPerson)
		}
		before, _ = json.Marshal(map[string]any{"refunded_fen": o.Refunded})
		err = t.giveBack(o, m.Amount, key)
	case s.Rider == nil:
		return fail(ErrNotFound)
	case s.Rider.Erased:
		return fail(ErrRiderErased)
	default:
		if err = t.transfer(billing.Transfer{Kind: billing.Single, Debit: billing.TopUps, Credit: billing.Wallet(m.Rider),
			Amount: m.Amount, Purpose: billing.ForTopUp, Key: key}, nil); err == nil {
			err = t.payDebt(m.Rider, "", key)
		}
	}
	if err != nil {
		return fail(err)
	}
	said := map[string]any{"amount_fen": m.Amount}
	if m.Request != "" {
		said["request"] = m.Request
	}
	after, _ := json.Marshal(said)
	if err := t.audit(m.Staff, object, before, after); err != nil {
		return fail(err)
	}
	status, body, err := m.Answer(s, t.book.Account(billing.Wallet(rider)), o)
	if err != nil {
		return fail(fmt.Errorf("render: %w", err))
	}
	t.out.Keys = append(t.out.Keys, Key{KeyRef: m.Key, Route: m.Route, BodyHash: m.Hash, Status: status, Answer: body,
		Order: m.Order, At: t.now})
	p := Placed{Status: status, Answer: body}
	if o != nil {
		p.Order = *o
	}
	return t.changes(), p, nil
}
