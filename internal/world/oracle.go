package world

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
)

// legal is the table of DESIGN section 6, written from the text. "" is before the
// order. A lock knows no Decided, a pump no CannotTell.
var legal = map[order.State]map[order.Input]order.State{
	"": {order.Authorised: order.Starting, order.Ordered: order.Pending},
	order.Pending: {order.Authorised: order.Starting, order.Refused: order.Voided, order.Cancelled: order.Voided,
		order.GiveUp: order.Voided},
	order.Starting: {order.Executed: order.Active, order.Refused: order.Voided, order.Fenced: order.Voided,
		order.CannotTell: order.Voided, order.DeadlinePast: order.Unresolved},
	order.Unresolved: {order.Executed: order.Active, order.Refused: order.Voided, order.Fenced: order.Voided,
		order.CannotTell: order.Voided, order.GiveUp: order.Voided},
	order.Active: {order.DeviceEnded: order.Ended, order.FoundShut: order.Ended, order.RiderEnded: order.Ended,
		order.StaffEnded: order.Ended, order.Watchdog: order.Ended, order.PauseOver: order.Ended,
		order.PauseWanted: order.Active, order.PauseDropped: order.Active, order.PauseBegan: order.Active,
		order.ResumeWanted: order.Active, order.Resumed: order.Active, order.ResumeFailed: order.Active},
	order.Ended: {order.Captured: order.Settled, order.Decided: order.Settled},
}

// edge is how Covered names a move.
func edge(kind device.Kind, from order.State, in order.Input) string {
	s := strings.TrimSpace(string(from) + " " + string(in))
	if kind != device.Lock {
		s = string(kind) + " " + s
	}
	return s
}

type numberKey struct {
	device device.ID
	outlet uint8
	epoch  uint32
	seq    uint64
}

// sideKey is an outlet in one epoch.
type sideKey struct {
	device device.ID
	epoch  uint32
	outlet uint8
}

type evidenceKey struct {
	device  device.ID
	epoch   uint32
	journal device.Journal
	seq     uint64
}

// movement is a true opening by the motor, or arming, with the device that made it.
type movement struct {
	sim.Movement
	by *machine
	at time.Duration
}

// oracle follows commits and bodies and knows which promises they may not break.
type oracle struct {
	w         *world
	names     map[string]string
	orders    map[string]order.Order
	commands  map[string]device.Command
	since     map[string]time.Duration // when a command was committed
	numbers   map[numberKey]string
	published int // commands that may still go out
	evidence  map[evidenceKey][]byte
	lost      map[device.ID]uint64
	keys      map[order.KeyRef]order.Key
	items     map[string]bool       // orders that some item names
	byOrder   map[string][]movement // true openings and armings, by order
	byNumber  map[numberKey]int     // and how many there were per command
	late      map[string]bool       // orders of which a start was proved executed once they were settled
	kept      map[string]order.Reservation
	commit    order.Changes // the running one
	ledger    ledger
	purse

	versions map[string]int       // of the tariff that a ticket pinned, by ticket
	sales    map[string]*sale     // true uses of pumps, by order
	beats    map[sideKey]uint64   // the evidence that a device had, by the newest beat; outlet 0
	free     map[sideKey]bool     // nothing went on at the side at the newest word
	gaps     map[sideKey][]gap    // that staff were told of
	applied  map[device.ID]uint64 // evidence up to there
	halts    map[device.ID]*halted
	stops    []*venueStop // in force
	begun    int64        // how many stops of the venue there were
}

func newOracle(w *world) *oracle {
	return &oracle{w: w, names: map[string]string{}, orders: map[string]order.Order{}, commands: map[string]device.Command{},
		since: map[string]time.Duration{}, numbers: map[numberKey]string{}, evidence: map[evidenceKey][]byte{},
		lost: map[device.ID]uint64{}, keys: map[order.KeyRef]order.Key{}, items: map[string]bool{},
		late: map[string]bool{}, kept: map[string]order.Reservation{}, byOrder: map[string][]movement{}, byNumber: map[numberKey]int{}, ledger: newLedger(), versions: map[string]int{},
		sales: map[string]*sale{}, beats: map[sideKey]uint64{}, free: map[sideKey]bool{}, gaps: map[sideKey][]gap{}, halts: map[device.ID]*halted{},
		applied: map[device.ID]uint64{}, purse: newPurse()}
}

// violation notes a broken promise.
func (o *oracle) violation(format string, args ...any) {
	text := fmt.Sprintf("%s %s", o.w.at.Round(time.Millisecond), fmt.Sprintf(format, args...))
	if len(o.w.result.Violations) < 50 {
		o.w.result.Violations = append(o.w.result.Violations, text)
	}
	o.w.note("oracle", "VIOLATION %s", text)
}

// name is how the story calls an order.
func (o *oracle) name(id string) string {
	if n, ok := o.names[id]; ok {
		return n
	}
	return "order " + id
}

// moves tells a commit's moves for the story.
func (o *oracle) moves(c order.Changes) string {
	if o.w.trace == nil {
		return ""
	}
	var s strings.Builder
	for _, m := range c.Moves {
		fmt.Fprintf(&s, "; %s %s -> %s (%s)", o.name(m.Order), m.From, m.To, m.Input)
	}
	for _, what := range o.news {
		fmt.Fprintf(&s, "; %s", what)
	}
	for _, i := range c.Items {
		fmt.Fprintf(&s, "; item %s", i.Kind)
	}
	return s.String()
}

// refused looks at what a use case would not do: only facts that the caller may
// hear are allowed to leave it.
func (o *oracle) refused(what string, err error) {
	for _, known := range []error{order.ErrNotFound, order.ErrTicketExpired, order.ErrTicketUsed, order.ErrTicketStale,
		order.ErrOutletBusy, order.ErrOutletOpen, order.ErrOutletBlocked, order.ErrNotInService, order.ErrOffline,
		order.ErrBatteryLow, order.ErrNoMoney, order.ErrDebt, order.ErrTooManyLive, order.ErrKeyReused, order.ErrWrongState,
		order.ErrStillOpen, order.ErrOverRefund, order.ErrStopped, order.ErrPreset, order.ErrSpendingCap,
		order.ErrReserved, order.ErrReserving, order.ErrReserveMost, order.ErrPayWith, order.ErrBalanceCap} {
		retry := strings.HasPrefix(what, "another try") // a later refund took it along, or its rider spent it
		if errors.Is(err, known) && !errors.Is(err, billing.ErrNoMoney) || retry && errors.Is(err, billing.ErrNoMoney) {
			if errors.Is(err, order.ErrPayWith) && o.w.env.Config.WeChatPay && o.w.env.Config.RiskCap > 0 {
				break // every way is offered
			}
			if strings.HasPrefix(what, "time of") && !errors.Is(err, order.ErrNotFound) {
				break // the passing of time is never wrong
			}
			return
		}
	}
	o.violation("E3: %s fails: %v", what, err)
}

// committed follows one transaction. by is the use case and loaded the moment
// of its snapshot.
func (o *oracle) committed(c order.Changes, by any, loaded time.Time) {
	o.news, o.commit = nil, c
	o.reserves(c)
	if s, ok := by.(step); ok && s.err == nil {
		delete(o.unknown, s.payment)
	}
	if x, ok := by.(word); ok {
		o.listens(x.n.Said, c)
	}
	for _, p := range c.Payments {
		o.payment(p)
		if o.claimedAt[p.ID] > loaded.Sub(o.w.began) {
			o.claims[p.ID]++ // see the package's limits
		}
	}
	for _, x := range c.Orders {
		o.order(x)
	}
	o.history(c)
	for _, m := range c.Moves {
		kind := o.orders[m.Order].Kind
		o.w.result.Covered[edge(kind, m.From, m.Input)]++
		to, ok := legal[m.From][m.Input]
		if !ok || to != m.To || m.Input == order.Decided && kind == device.Lock || m.Input == order.CannotTell && kind == device.Pump {
			o.violation("E3: %s moves %s -> %s by %s", o.name(m.Order), m.From, m.To, m.Input)
		}
	}
	for _, k := range c.Commands {
		o.command(k, c)
	}
	for _, e := range c.Evidence {
		k := evidenceKey{e.Device, e.Epoch, e.Journal, e.Seq}
		if have, ok := o.evidence[k]; ok && !bytes.Equal(have, e.Raw) {
			o.violation("E3: evidence %s/%d is replaced by other bytes", e.Device, e.Seq)
		}
		o.evidence[k] = e.Raw
	}
	for _, d := range c.Devices {
		o.lost[d.ID] = d.LostUpTo
	}
	for _, k := range c.Keys {
		if have, ok := o.keys[k.KeyRef]; ok {
			o.violation("E5: key %s is claimed again; it has %q", k.Key, have.Answer)
		}
		o.keys[k.KeyRef] = k
	}
	for _, i := range c.Items {
		o.items[i.Order], o.items[i.Kind+"/"+i.Order], o.items[i.Kind+"/"+i.Subject] = true, true, true
		if i.Kind == order.ItemTotaliser {
			o.gap(i)
		}
	}
	for _, d := range c.Devices {
		o.alarmed(d, c)
		o.applied[d.ID] = d.Applied
	}
	o.tellsToStop(c)
	o.stopsAndStarts(c, by, loaded.Sub(o.w.began))
	if err := o.ledger.post(c); err != nil {
		o.violation("%v", err)
	}
	o.posted(c)
	if h, ok := by.(order.Hear); ok {
		o.heard(h, loaded)
	}
	o.oneAtATime(c)
}

// history holds every order's chain of moves together: each begins where the
// last one ended, and an order's state changes by moves only.
func (o *oracle) history(c order.Changes) {
	for _, x := range c.Orders {
		state := o.orders[x.ID].State
		if state == order.Pending && x.State == order.Voided && x.Road == order.Bluetooth {
			o.w.result.Phones["voided as "+x.Reason]++
		}
		for _, m := range c.Moves {
			if m.Order == x.ID {
				if m.From != state {
					o.violation("E3: %s moves from %q but stood in %q", o.name(x.ID), m.From, state)
				}
				state = m.To
			}
		}
		if state != x.State {
			o.violation("E3: %s is written as %s, its moves lead to %s", o.name(x.ID), x.State, state)
		}
		o.orders[x.ID] = x
	}
}

// order looks at one written row of an order against the one before.
func (o *oracle) order(x order.Order) {
	was, known := o.orders[x.ID]
	if !known {
		o.names[x.ID] = fmt.Sprintf("order-%d", len(o.names)+1)
	}
	if was.State == order.Voided && x.State != was.State || was.State == order.Settled && (x.State != was.State ||
		x.Charged != was.Charged || x.Debt != was.Debt || x.Quote.Total != was.Quote.Total || x.Refunded < was.Refunded) {
		o.violation("E3: %s was %s and is changed", o.name(x.ID), was.State)
	}
	if x.State == order.Active && was.State != order.Active && len(o.byOrder[x.ID]) == 0 {
		o.violation("A5: %s becomes active and its %s never moved", o.name(x.ID), x.Kind)
	}
	o.pausing(x, was)
	if x.Kind == device.Pump {
		o.soldOrder(x, was)
	} else if x.State == order.Settled && was.State != order.Settled {
		o.settled(x)
	}
}

// command looks at one written row of a command against the one before.
func (o *oracle) command(k device.Command, c order.Changes) {
	was, known := o.commands[k.ID]
	if known && !was.State.Open() && was.State != k.State {
		o.violation("E3: %s #%d of %s was %s and becomes %s", k.Kind, k.Seq, k.Device, was.State, k.State)
	}
	if known && !bytes.Equal(was.Bytes, k.Bytes) {
		o.violation("A1: the bytes of %s #%d of %s change", k.Kind, k.Seq, k.Device)
	}
	number := numberKey{k.Device, k.Outlet, k.Epoch, k.Seq}
	if !known {
		if other, ok := o.numbers[number]; ok {
			o.violation("A1: #%d of %s is given to %s and %s", k.Seq, k.Device, other, k.ID)
		}
		o.numbers[number] = k.ID
		o.since[k.ID] = o.w.at
		if k.Kind == device.Start {
			o.funded(k, c)
			o.authorised(o.orders[k.Order])
			o.relayed(k, o.orders[k.Order], c)
		}
	}
	if k.State == device.Published && was.State != device.Published {
		o.published++
	}
	if was.State == device.Published && k.State != device.Published {
		o.published--
	}
	if was.State.Open() {
		o.lateStart(k, c)
	}
	o.commands[k.ID] = k
	if (k.State == device.NotExecuted || k.State == device.Rejected) && k.Kind == device.Start && o.byNumber[number] > 0 {
		o.violation("A5: start #%d of %s is %s, and it moved", k.Seq, k.Device, k.State)
	}
	if k.State == device.Executed && k.Kind == device.Start && o.byNumber[number] == 0 {
		o.violation("A5: start #%d of %s is executed, and it never moved", k.Seq, k.Device)
	}
}

// funded checks that a start comes with its hold, or for staff.
func (o *oracle) funded(k device.Command, c order.Changes) {
	x := o.orders[k.Order]
	if x.ID == "" {
		o.violation("A3: start #%d of %s serves no order", k.Seq, k.Device)
		return
	}
	if x.PayWith == order.PayService {
		return
	}
	if x.State == order.Active { // of a pause's end: by the hold of its first start
		if hold, ok := o.ledger.holds[x.Hold]; ok && hold.Order == x.ID && o.ledger.resolved[x.Hold].ID == "" {
			return
		}
	}
	least := min(o.w.tariff.UnlockFee+o.w.tariff.BlockFee, o.w.tariff.RideCap)
	if x.Kind == device.Pump {
		least = max(x.HoldFen, o.w.fuel().LeastAmount)
	}
	for _, t := range c.Transfers {
		if t.Kind == billing.Pending && t.Order == k.Order && t.Debit == purseOf(x) && t.Amount >= least {
			return
		}
	}
	o.violation("A3: start #%d of %s is committed without a hold", k.Seq, k.Device)
}

// purseOf is the account that an order's hold is on.
func purseOf(x order.Order) billing.AccountID {
	switch x.PayWith {
	case order.PayBefore:
		return billing.Prepaid(x.ID)
	case order.PayScore:
		return billing.ScoreDue
	}
	return billing.Wallet(x.Rider)
}

// heard notes the shortest way that any word of a boot had.
func (o *oracle) heard(h order.Hear, loaded time.Time) {
	m := o.w.byID[h.Device]
	var boot device.Boot
	var uptime uint64
	if e := h.Word.Evidence; e != nil {
		boot, uptime = e.Boot, e.Uptime
	} else {
		boot, uptime = h.Word.Beat.Boot, h.Word.Beat.Uptime
	}
	b, ok := m.boots[boot]
	if !ok {
		o.violation("world: %s speaks of an unknown boot", m.id)
		return
	}
	run := time.Duration(uptime)*time.Millisecond - m.start
	run -= time.Duration(int64(run/time.Microsecond) * int64(m.ppm) / 1000)
	way := loaded.Sub(o.w.began) - b.at - run
	if !b.heard || way < b.fresh {
		b.heard, b.fresh = true, way
		m.boots[boot] = b
	}
	if m.pump != nil {
		o.learns(m, h.Word)
	}
}

// oneAtATime checks A4 and A6 for the orders and commands that a commit touched.
func (o *oracle) oneAtATime(c order.Changes) {
	for _, x := range c.Orders {
		if !x.State.Live() {
			continue
		}
		for _, y := range o.orders {
			if y.ID == x.ID || !y.State.Live() {
				continue
			}
			if y.Device == x.Device && y.Outlet == x.Outlet {
				o.violation("A4: %s and %s are live on %s", o.name(x.ID), o.name(y.ID), x.Device)
			}
			if y.Rider == x.Rider && y.Kind == x.Kind && x.PayWith != order.PayService && y.PayWith != order.PayService && o.w.env.Config.LivePerKind == 1 {
				o.violation("A4: %s and %s of %s are live", o.name(x.ID), o.name(y.ID), x.Rider)
			}
		}
	}
	for _, k := range c.Commands {
		if k.Kind != device.Start || !k.State.Open() {
			continue
		}
		for _, other := range o.commands {
			if other.ID != k.ID && other.Device == k.Device && other.Outlet == k.Outlet && other.Kind == device.Start && other.State.Open() {
				o.violation("A6: starts #%d and #%d of %s are open", k.Seq, other.Seq, k.Device)
			}
		}
	}
}

// leaves looks at a command that goes on the air.
func (o *oracle) leaves(c device.Command) {
	if have, ok := o.commands[c.ID]; !ok || !bytes.Equal(have.Bytes, c.Bytes) {
		o.violation("S11: %s #%d of %s leaves and is not what was committed", c.Kind, c.Seq, c.Device)
	}
}

// acked looks at an ack that goes on the air: what it covers is committed, or
// closed as lost.
func (o *oracle) acked(m *machine, epoch uint32, a device.Ack) {
	for seq := uint64(1); seq <= a.N; seq++ {
		if _, ok := o.evidence[evidenceKey{m.id, epoch, a.Journal, seq}]; !ok && !(m.lossy && seq <= o.lost[m.id]) && !(epoch != m.epoch && m.lostIn[epoch]) {
			o.violation("E1: %s is acked up to %d and %d is not committed", m.id, a.N, seq)
		}
	}
}

// moved holds a true opening or arming against what was committed.
func (o *oracle) moved(by *machine, v sim.Movement) {
	number := numberKey{by.id, v.Outlet, v.Epoch, v.Seq}
	if o.byNumber[number]++; o.byNumber[number] > 1 {
		o.violation("A1: %s moves %d times for #%d of epoch %d", by.id, o.byNumber[number], v.Seq, v.Epoch)
	}
	k, ok := o.commands[o.numbers[number]]
	id := v.Order.String()
	switch {
	case !ok || k.Kind != device.Start || o.since[k.ID] > o.w.at:
		o.violation("A3: %s moves for #%d, which is no committed start", by.id, v.Seq)
		return
	case k.Order != id:
		o.violation("M6: %s moves for %s, start #%d serves %s", by.id, o.name(id), v.Seq, o.name(k.Order))
	case v.At.After(k.Deadline):
		o.violation("A2: %s moves %s after the deadline of #%d", by.id, v.At.Sub(k.Deadline), v.Seq)
	}
	if k.State == device.NotExecuted || k.State == device.Rejected {
		o.violation("A5: %s moves for #%d, which is %s", by.id, v.Seq, k.State)
	}
	o.byOrder[id] = append(o.byOrder[id], movement{v, by, o.w.at})
}
