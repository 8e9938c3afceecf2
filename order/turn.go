package order

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
)

// turn is one decision in the making: working copies of what was loaded, and
// what has been added. changes collects the result.
type turn struct {
	env      Env
	now      time.Time
	snapshot Snapshot
	device   *device.Device
	outlets  []device.Outlet
	orders   map[string]*Order
	commands map[string]*device.Command
	payments map[string]*Payment
	passes   map[string]*HeldPass
	book     *billing.Book
	dirty    map[string]bool // "device", "outlet/1", "order/{id}", "command/{id}"
	evidence []device.Evidence
	out      Changes
	fresh    []device.Command // published in this turn
	flowed   map[string]int64 // ml that totalisers moved by in a use, by order; absent = not known
}

func newTurn(s Snapshot, env Env) *turn {
	t := &turn{env: env, now: s.Now, snapshot: s, orders: map[string]*Order{},
		commands: map[string]*device.Command{}, payments: map[string]*Payment{}, passes: map[string]*HeldPass{}, book: billing.NewBook(s.Accounts...), dirty: map[string]bool{},
		flowed: map[string]int64{}}
	if s.Device != nil {
		d := *s.Device
		t.device = &d
	}
	t.outlets = slices.Clone(s.Outlets)
	for _, o := range s.Orders {
		o.Spans = slices.Clone(o.Spans)
		o.Evidence = slices.Clone(o.Evidence)
		t.orders[o.ID] = &o
	}
	for _, c := range s.Commands {
		t.commands[c.ID] = &c
	}
	for _, p := range s.Payments {
		p.Debits = slices.Clone(p.Debits)
		t.payments[p.ID] = &p
	}
	for _, h := range s.Passes {
		t.passes[h.ID] = &h
	}
	return t
}

func (t *turn) outlet(n uint8) *device.Outlet {
	for i := range t.outlets {
		if t.outlets[i].N == n {
			return &t.outlets[i]
		}
	}
	return nil
}

func (t *turn) touchOutlet(o *device.Outlet)   { t.dirty[fmt.Sprintf("outlet/%d", o.N)] = true }
func (t *turn) touchOrder(o *Order)            { t.dirty["order/"+o.ID] = true }
func (t *turn) touchCommand(c *device.Command) { t.dirty["command/"+c.ID] = true }

// openStart returns the open start on outlet n, or nil; A6 says there is at
// most one.
func (t *turn) openStart(n uint8) *device.Command {
	for _, c := range t.commands {
		if c.Kind == device.Start && c.Outlet == n && c.State.Open() {
			return c
		}
	}
	return nil
}

// move takes an order through its table and writes the history row and the
// update. by names the evidence, person or rule.
func (t *turn) move(o *Order, in Input, by string) error {
	from := o.State
	to, err := from.Next(in)
	if err != nil {
		return fmt.Errorf("order %s: %w", o.ID, err)
	}
	o.State = to
	switch to {
	case Active:
		o.ActiveAt, o.DueAt = t.now, t.now.Add(t.env.Config.MaxRide)
	case Unresolved:
		o.DueAt = t.now.Add(t.env.Config.Patience)
	case Ended:
		o.EndedAt, o.EndedBy, o.DueAt = t.now, in, time.Time{}
	case Voided, Settled:
		o.DoneAt, o.DueAt = t.now, time.Time{}
	}
	if !to.Live() {
		o.Slot = 0
	}
	t.record(o, from, in, by)
	return nil
}

// record adds a row to the history of an order that stands where in brought it.
func (t *turn) record(o *Order, from State, in Input, by string) {
	t.touchOrder(o)
	n := int(o.Version) * 8 // an order moves at most five times in one turn
	for _, m := range t.out.Moves {
		if m.Order == o.ID {
			n++
		}
	}
	t.out.Moves = append(t.out.Moves, Move{Order: o.ID, N: n, From: from, To: o.State, Input: in, At: t.now, By: by})
}

// stateMoved tells whether an order is in another state than before the turn.
func (t *turn) stateMoved(o *Order) bool {
	i := slices.IndexFunc(t.out.Moves, func(m Move) bool { return m.Order == o.ID })
	return i >= 0 && t.out.Moves[i].From != o.State
}

// free takes a finished order off its outlet.
func (t *turn) free(o *Order, block device.Block) {
	out := t.outlet(o.Outlet)
	if out == nil || out.Order != o.ID {
		return
	}
	out.Order, out.Block = "", block
	t.touchOutlet(out)
}

// void ends an order unbilled: its hold is released, its outlet freed or blocked.
func (t *turn) void(o *Order, in Input, by, reason string, block device.Block) error {
	if err := t.move(o, in, by); err != nil {
		return err
	}
	o.Reason, o.Quote = reason, billing.Quote{} // nothing happened, nothing is due
	if hold := o.HoldTransfer(); hold != nil {
		if err := t.transfer(billing.Transfer{Kind: billing.Void, Debit: hold.Debit, Credit: hold.Credit,
			Amount: hold.Amount, Purpose: billing.ForRelease, Order: o.ID, Hold: hold.ID}, hold); err != nil {
			return err
		}
	}
	t.free(o, block)
	return ways[o.PayWith].voided(t, o, reason)
}

// transfer draws an id and moves money in the turn's book.
func (t *turn) transfer(m billing.Transfer, hold *billing.Transfer) error {
	if m.ID == "" {
		id, err := t.env.newID(t.now)
		if err != nil {
			return err
		}
		m.ID = id
	}
	return t.book.Move(m, hold)
}

// errUnsealed says that a command could not be signed here. Nothing was changed.
var errUnsealed = errors.New("not signed")

// command signs the next command of an outlet and takes its number.
func (t *turn) command(kind device.CommandKind, n uint8, orderID string, args ...device.Args) (*device.Command, error) {
	return t.commandBy("", kind, n, orderID, args...)
}

// commandBy is command, signed by a key of the server's that is not the device's yet.
func (t *turn) commandBy(key string, kind device.CommandKind, n uint8, orderID string, args ...device.Args) (*device.Command, error) {
	out := t.outlet(n)
	if out == nil || t.device == nil {
		return nil, fmt.Errorf("%s for outlet %d: %w", kind, n, ErrNotFound)
	}
	id, err := t.env.newID(t.now)
	if err != nil {
		return nil, err
	}
	c := device.Command{ID: id, Device: t.device.ID, Outlet: n, Epoch: t.device.Epoch, Seq: out.NextSeq, Kind: kind,
		Order: orderID, Journal: t.device.Journal, Floor: t.device.Applied, State: device.Published, CreatedAt: t.now}
	if kind.Expires() {
		clock := t.device.Clock(t.now)
		c.Boot = clock.Boot
		c.Deadline = t.now.Add(t.env.Config.StartDeadline)
		c.NotAfter = clock.NotAfter(c.Deadline)
	}
	for _, a := range args {
		c.Args = a
	}
	c.Key = t.device.ServerKey
	if key != "" {
		c.Key = key
	}
	if c.Bytes, err = t.env.Sealer.Seal(t.device.ID, c); err != nil {
		return nil, fmt.Errorf("seal %s: %w: %w", kind, errUnsealed, err)
	}
	c.Args, c.Key = device.Args{}, ""
	out.NextSeq++
	t.touchOutlet(out)
	t.commands[c.ID] = &c
	t.touchCommand(&c)
	t.fresh = append(t.fresh, c)
	return &c, nil
}

// probe publishes a fence for an outlet unless one with no answer is out that
// already covers every number in use.
func (t *turn) probe(n uint8) error {
	for _, c := range t.commands {
		if c.Outlet == n && c.State == device.Published && !c.Kind.Expires() && c.Seq+1 == t.outlet(n).NextSeq {
			return nil
		}
	}
	_, err := t.command(device.Probe, n, "")
	return err
}

// item opens one thing for staff.
func (t *turn) item(kind, subject, orderID, detail string) error {
	id, err := t.env.newID(t.now)
	if err != nil {
		return err
	}
	it := Item{ID: id, Kind: kind, Subject: subject, Order: orderID, Detail: detail, At: t.now}
	if t.device != nil {
		it.Device, it.Venue = t.device.ID, t.device.Venue
	}
	t.out.Items = append(t.out.Items, it)
	return nil
}

// changes closes the turn. Rows are sorted in lock order: outlets, orders,
// accounts.
func (t *turn) changes() Changes {
	c := t.out
	if t.dirty["device"] {
		c.Devices = append(c.Devices, *t.device)
	}
	for _, o := range t.outlets {
		if t.dirty[fmt.Sprintf("outlet/%d", o.N)] {
			c.Outlets = append(c.Outlets, o)
		}
	}
	for _, o := range t.orders {
		if t.dirty["order/"+o.ID] {
			c.Orders = append(c.Orders, *o)
			u := orderUpdate(*o)
			u.Moved = t.stateMoved(o)
			c.Updates = append(c.Updates, u)
		}
	}
	for _, p := range t.payments {
		if t.dirty["payment/"+p.ID] {
			c.Payments = append(c.Payments, *p)
		}
	}
	// What is there already first: a payment that ends makes room for the next.
	slices.SortFunc(c.Payments, func(a, b Payment) int {
		if (a.Version == 0) != (b.Version == 0) {
			return int(min(b.Version, 1) - min(a.Version, 1))
		}
		return strings.Compare(a.ID, b.ID)
	})
	for _, k := range t.commands {
		if t.dirty["command/"+k.ID] {
			c.Commands = append(c.Commands, *k)
		}
	}
	slices.SortFunc(c.Orders, func(a, b Order) int { return strings.Compare(a.ID, b.ID) })
	slices.SortFunc(c.Updates, func(a, b Update) int { return strings.Compare(a.Subject, b.Subject) })
	slices.SortFunc(c.Commands, func(a, b device.Command) int { return strings.Compare(a.ID, b.ID) })
	transfers, accounts := t.book.Changes()
	c.Transfers = append(c.Transfers, transfers...)
	c.Accounts = append(c.Accounts, accounts...)
	c.Passes = t.changedPasses()
	c.Evidence = append(c.Evidence, t.evidence...)
	if t.device != nil && (t.dirty["device"] || len(c.Outlets) > 0) {
		c.Updates = append(c.Updates, deviceUpdate(*t.device, c.Outlets))
	}
	return c
}

func orderUpdate(o Order) Update {
	payload, _ := json.Marshal(struct { // of plain fields: cannot fail
		ID      string      `json:"id"`
		State   State       `json:"state"`
		Version int64       `json:"version"`
		Device  device.ID   `json:"device"`
		Outlet  uint8       `json:"outlet"`
		Kind    device.Kind `json:"kind"`
		Venue   string      `json:"venue"`
	}{o.ID, o.State, o.Version + 1, o.Device, o.Outlet, o.Kind, o.Venue})
	return Update{Subject: "order." + o.ID, Payload: payload}
}

func deviceUpdate(d device.Device, outlets []device.Outlet) Update {
	type outlet struct {
		N      uint8        `json:"outlet"`
		Order  string       `json:"order,omitempty"`
		Block  device.Block `json:"block,omitempty"`
		Closed *bool        `json:"closed,omitempty"`
	}
	payload := struct {
		ID      device.ID      `json:"id"`
		Service device.Service `json:"service"`
		Heard   time.Time      `json:"heard_at"`
		Outlets []outlet       `json:"outlets,omitempty"`
	}{ID: d.ID, Service: d.Service, Heard: d.HeardAt}
	for _, o := range outlets {
		v := outlet{N: o.N, Order: o.Order, Block: o.Block}
		if o.Stated.Known {
			v.Closed = &o.Stated.Closed
		}
		payload.Outlets = append(payload.Outlets, v)
	}
	b, _ := json.Marshal(payload) // of plain fields: cannot fail
	return Update{Subject: "device." + string(d.ID), Payload: b}
}
