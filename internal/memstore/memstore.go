// Package memstore keeps the store's promises in memory, for the simulation: the
// same Changes under the same guards, one lock instead of Postgres. The
// conformance suite in internal/testkit holds both to one behaviour.
//
// It refuses to be durable, and it never runs outside simulation and tests.
package memstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

type outletKey struct {
	device device.ID
	n      uint8
}

type evidenceKey struct {
	device  device.ID
	epoch   uint32
	journal device.Journal
	seq     uint64
}

// schedule is when a command goes out next, beside the command as in Postgres.
type schedule struct {
	due   time.Time
	sends int
}

// Store is an order.Store in memory. Now is its clock.
type Store struct {
	Now func() time.Time

	mu        sync.Mutex
	venues    map[string]order.Venue
	tariffs   map[string]billing.Tariff
	riders    map[string]order.Rider
	devices   map[device.ID]device.Device
	keys      map[device.ID]map[uint32][]byte
	outlets   map[outletKey]device.Outlet
	orders    map[string]order.Order
	commands  map[string]device.Command
	schedules map[string]schedule
	evidence  map[evidenceKey]device.Evidence
	accounts  map[billing.AccountID]billing.Account
	transfers map[string]billing.Transfer
	idem      map[order.KeyRef]order.Key
	items     []order.Item
	moves     []order.Move
	updates   []order.Update
	audits    []order.Audit
	payments  map[string]order.Payment
	held      map[string]order.HeldPass
	reserved  map[string]order.Reservation
	offers    map[string]order.PassRow
	notices   []notice
	messages  []order.Message

	paymentMoves []order.PaymentMove
	stops        []stop
}

// stop is a stop of a venue with what became of it. Its number is its place.
type stop struct {
	order.Stop
	reached bool
}

// New returns an empty store with the given clock.
func New(now func() time.Time) *Store {
	return &Store{Now: now, venues: map[string]order.Venue{}, tariffs: map[string]billing.Tariff{},
		riders: map[string]order.Rider{}, devices: map[device.ID]device.Device{},
		keys: map[device.ID]map[uint32][]byte{}, outlets: map[outletKey]device.Outlet{},
		orders: map[string]order.Order{}, commands: map[string]device.Command{}, schedules: map[string]schedule{},
		evidence: map[evidenceKey]device.Evidence{}, accounts: map[billing.AccountID]billing.Account{},
		transfers: map[string]billing.Transfer{}, idem: map[order.KeyRef]order.Key{},
		payments: map[string]order.Payment{}, held: map[string]order.HeldPass{}, reserved: map[string]order.Reservation{}, offers: map[string]order.PassRow{}}
}

// Seed adds what the use cases only read.
func (s *Store) Seed(v order.Venue, t billing.Tariff, riders ...order.Rider) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.venues[v.ID] = v
	s.tariffs[fmt.Sprintf("%s@%d", t.ID, t.Version)] = t
	for _, r := range riders {
		s.riders[r.ID] = r
	}
}

// live lists the orders in scope of a query's device, as the Postgres store does.
func (s *Store) inScope(q order.Query, d device.ID) []order.Order {
	ids := map[string]bool{q.Order: true, q.Names: true}
	if d != "" {
		for k, o := range s.outlets {
			if k.device == d {
				ids[o.Order] = true
			}
		}
		for _, c := range s.commands {
			if c.Device == d && c.State.Open() {
				ids[c.Order] = true
			}
		}
		for k, e := range s.evidence {
			if k.device == d && e.Status == device.Waiting {
				ids[e.Order] = true
			}
		}
	}
	var found []order.Order
	for id := range ids {
		if o, ok := s.orders[id]; ok {
			found = append(found, clone(o))
		}
	}
	slices.SortFunc(found, func(a, b order.Order) int { return strings.Compare(a.ID, b.ID) })
	return found
}

// venue is a venue as a decision sees it.
func (s *Store) venue(id string) (order.Venue, bool) {
	v, ok := s.venues[id]
	v.Stopped = slices.ContainsFunc(s.stops, func(x stop) bool { return x.Venue == id && !x.reached })
	for _, d := range s.devices {
		v.Halted = v.Halted || d.Venue == id && d.Halt != nil && d.Service != device.Retired
	}
	return v, ok
}

func clone(o order.Order) order.Order {
	o.Spans, o.Evidence = slices.Clone(o.Spans), slices.Clone(o.Evidence)
	return o
}

// Load implements order.Store.
func (s *Store) Load(_ context.Context, q order.Query) (order.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap := order.Snapshot{Now: s.Now().UTC().Truncate(time.Microsecond)}
	if p, ok := s.payments[q.Payment]; ok {
		q.Order, q.Rider = p.Order, p.Rider
	}
	if r, ok := s.reserved[q.Reservation]; ok {
		q.Device, q.Rider = r.Device, r.Rider
	}
	id := q.Device
	if o, ok := s.orders[q.Order]; ok && id == "" {
		id = o.Device
	}
	if q.Device != "" || q.Order != "" {
		s.loadDevice(&snap, q, id)
	}
	if q.Rider != "" {
		if r, ok := s.riders[q.Rider]; ok {
			snap.Rider = &r
		}
		s.addAccounts(&snap, q.Rider)
		for _, o := range s.orders {
			if o.Rider == q.Rider && o.Slot > 0 {
				snap.Live = append(snap.Live, clone(o))
			}
		}
		snap.Spent = map[string]billing.Fen{}
		for _, o := range s.orders {
			if o.Rider == q.Rider && o.Class == order.Printed && o.State != order.Voided {
				if o.State == order.Settled {
					snap.Spent[o.Day] += o.Paid()
				} else {
					snap.Spent[o.Day] += o.HoldFen
				}
			}
		}
	}
	s.loadPayments(&snap, q)
	s.loadPasses(&snap, q)
	s.loadReservations(&snap, q)
	if q.Key != nil {
		if k, ok := s.idem[*q.Key]; ok {
			snap.Key = &k
		}
	}
	for _, o := range s.orders {
		snap.Used = snap.Used || q.Ticket != "" && o.Ticket == q.Ticket
	}
	if t, ok := s.tariffs[fmt.Sprintf("%s@%d", q.Tariff, q.TariffVersion)]; ok {
		snap.Tariff = &t
	}
	return snap, nil
}

func (s *Store) loadDevice(snap *order.Snapshot, q order.Query, id device.ID) {
	if d, ok := s.devices[id]; ok {
		d.Boots = slices.Clone(d.Boots)
		snap.Device = &d
		if v, ok := s.venue(d.Venue); ok {
			snap.Venue = &v
		}
	}
	for k, o := range s.outlets {
		if k.device == id {
			snap.Outlets = append(snap.Outlets, o)
		}
	}
	slices.SortFunc(snap.Outlets, func(a, b device.Outlet) int { return int(a.N) - int(b.N) })
	for _, c := range s.commands {
		if c.Device == id && c.State.Open() {
			snap.Commands = append(snap.Commands, c)
		}
	}
	slices.SortFunc(snap.Commands, func(a, b device.Command) int {
		return cmp.Or(int(a.Outlet)-int(b.Outlet), cmp.Compare(a.Seq, b.Seq))
	})
	if q.Answered {
		o := s.orders[q.Order]
		for _, c := range s.commands {
			if !c.State.Open() && (c.ID == o.Command || c.Device == o.Device && c.Outlet == o.Outlet && s.Now().Sub(c.CreatedAt) < order.RingEvery) {
				snap.Commands = append(snap.Commands, c)
			}
		}
	}
	for k, e := range s.evidence {
		if k.device == id && e.Status == device.Waiting {
			snap.Waiting = append(snap.Waiting, e)
		}
	}
	slices.SortFunc(snap.Waiting, func(a, b device.Evidence) int { return cmp.Compare(a.Seq, b.Seq) })
	if e, ok := s.evidence[evidenceKey{q.Device, q.Epoch, q.Journal, q.Evidence}]; ok && q.Evidence != 0 {
		snap.Stored = &e
	}
	snap.Orders = s.inScope(q, id)
	for _, o := range snap.Orders {
		r, known := s.riders[o.Rider]
		if known && o.State == order.Pending && !slices.Contains(snap.Riders, r) {
			snap.Riders = append(snap.Riders, r)
		}
	}
	snap.DaySpent = map[string]billing.Fen{}
	for _, o := range snap.Orders {
		s.addAccounts(snap, o.Rider)
		if a, ok := s.accounts[billing.Prepaid(o.ID)]; ok {
			snap.Accounts = append(snap.Accounts, a)
		}
		if o.State == order.Settled || o.State == order.Voided {
			continue
		}
		snap.DaySpent[o.ID] = 0
		for _, p := range s.orders {
			if p.Rider == o.Rider && p.Day == o.Day && p.Venue == o.Venue && p.Kind == o.Kind && p.ID != o.ID &&
				p.State == order.Settled {
				snap.DaySpent[o.ID] += p.Paid()
			}
		}
	}
}

func (s *Store) addAccounts(snap *order.Snapshot, rider string) {
	for _, id := range []billing.AccountID{billing.Wallet(rider), billing.Receivable(rider)} {
		a, ok := s.accounts[id]
		if ok && !slices.ContainsFunc(snap.Accounts, func(b billing.Account) bool { return b.ID == id }) {
			snap.Accounts = append(snap.Accounts, a)
		}
	}
}

// Apply implements order.Store: it checks every guard, then writes.
func (s *Store) Apply(_ context.Context, c order.Changes) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if what := s.stale(c); what != "" {
		return fmt.Errorf("%w: %s", order.ErrStale, what)
	}
	for _, d := range c.Devices {
		d.Version++
		s.devices[d.ID] = d
		if s.keys[d.ID] == nil {
			s.keys[d.ID] = map[uint32][]byte{}
		}
		s.keys[d.ID][d.Epoch] = d.PublicKey
	}
	for _, o := range c.Outlets {
		o.Version++
		s.outlets[outletKey{o.Device, o.N}] = o
	}
	for _, o := range c.Orders {
		o.Version++
		s.orders[o.ID] = clone(o)
	}
	for _, a := range c.Accounts {
		a.Version++
		s.accounts[a.ID] = a
	}
	s.applyPayments(c)
	s.applyPasses(c)
	s.applyReservations(c)
	for _, k := range c.Commands {
		if k.Version == 0 && k.State == device.Published {
			s.schedules[k.ID] = schedule{s.Now().Add(600 * time.Millisecond), 1}
		} else if k.State != device.Published {
			delete(s.schedules, k.ID)
		}
		k.Version++
		s.commands[k.ID] = k
	}
	for _, e := range c.Evidence {
		e.Version++
		s.evidence[evidenceKey{e.Device, e.Epoch, e.Journal, e.Seq}] = e
	}
	for _, t := range c.Transfers {
		s.transfers[t.ID] = t
	}
	for _, k := range c.Keys {
		s.idem[k.KeyRef] = k
	}
	for _, i := range c.Items {
		if !slices.ContainsFunc(s.items, func(have order.Item) bool { return have.Kind == i.Kind && have.Subject == i.Subject }) {
			s.items = append(s.items, i)
		}
	}
	s.moves = append(s.moves, c.Moves...)
	s.updates = append(s.updates, c.Updates...)
	s.audits = append(s.audits, c.Audits...)
	for _, x := range c.Stops {
		s.applyStop(x)
	}
	return nil
}

// stale names the first guard that fails: a version that moved on, or a unique
// key that is taken. The list is that of the migrations' constraints.
func (s *Store) stale(c order.Changes) string {
	for _, d := range c.Devices {
		if s.devices[d.ID].Version != d.Version {
			return "device"
		}
	}
	for _, o := range c.Outlets {
		if s.outlets[outletKey{o.Device, o.N}].Version != o.Version {
			return "outlet"
		}
	}
	for _, o := range c.Orders {
		if s.orders[o.ID].Version != o.Version {
			return "order"
		}
		for _, have := range s.orders {
			switch {
			case have.ID == o.ID:
			case have.Ticket == o.Ticket:
				return "orders_ticket"
			case o.State.Live() && have.State.Live() && have.Device == o.Device && have.Outlet == o.Outlet:
				return "orders_one_live_per_outlet"
			case o.Slot > 0 && have.Slot == o.Slot && have.Rider == o.Rider && have.Kind == o.Kind:
				return "orders_slot"
			}
		}
	}
	for _, a := range c.Accounts {
		if s.accounts[a.ID].Version != a.Version {
			return "account"
		}
	}
	for _, k := range c.Commands {
		if s.commands[k.ID].Version != k.Version {
			return "command"
		}
		for _, have := range s.commands {
			switch {
			case have.ID == k.ID || have.Device != k.Device || have.Outlet != k.Outlet:
			case have.Epoch == k.Epoch && have.Seq == k.Seq:
				return "commands_number"
			case k.Kind == device.Start && k.State.Open() && have.Kind == device.Start && have.State.Open():
				return "commands_one_open_start"
			}
		}
	}
	for _, e := range c.Evidence {
		if s.evidence[evidenceKey{e.Device, e.Epoch, e.Journal, e.Seq}].Version != e.Version {
			return "evidence"
		}
	}
	for _, k := range c.Keys {
		if _, taken := s.idem[k.KeyRef]; taken {
			return "idempotency_keys_pkey"
		}
	}
	if what := s.stalePayments(c); what != "" {
		return what
	}
	if what := s.stalePasses(c); what != "" {
		return what
	}
	if what := s.staleReservations(c); what != "" {
		return what
	}
	return s.staleTransfers(c)
}

func (s *Store) staleTransfers(c order.Changes) string {
	once := func(p billing.Purpose) bool {
		return p == billing.ForHold || p == billing.ForCapture || p == billing.ForRelease || p == billing.ForDebt
	}
	for _, t := range c.Transfers {
		for _, have := range s.transfers {
			switch {
			case t.Hold != "" && have.Hold == t.Hold:
				return "transfers_hold_resolves_once"
			case once(t.Purpose) && have.Purpose == t.Purpose && have.Order == t.Order:
				return "transfers_one_per_order"
			case t.Key != "" && have.Key == t.Key && have.Purpose == t.Purpose && have.Credit == t.Credit:
				return "transfers_once_per_key"
			}
		}
	}
	return ""
}

// Due implements order.Due.
func (s *Store) Due(_ context.Context, limit int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []order.Order
	for _, o := range s.orders {
		if !o.DueAt.IsZero() && !o.DueAt.After(s.Now()) {
			due = append(due, o)
		}
	}
	slices.SortFunc(due, func(a, b order.Order) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), strings.Compare(a.ID, b.ID))
	})
	var ids []string
	for _, o := range due[:min(limit, len(due))] {
		ids = append(ids, o.ID)
	}
	return ids, nil
}

// Outgoing claims commands whose next send is due, on the schedule that the
// Postgres store keeps.
func (s *Store) Outgoing(_ context.Context, limit int) ([]device.Command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	var ids []string
	for id, x := range s.schedules {
		if !x.due.After(now) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var out []device.Command
	for _, id := range ids[:min(limit, len(ids))] {
		c, x := s.commands[id], s.schedules[id]
		out = append(out, c)
		next, again := resend(c, x.sends, now)
		if !again {
			delete(s.schedules, id)
			continue
		}
		s.schedules[id] = schedule{next, x.sends + 1}
	}
	return out, nil
}

func resend(c device.Command, sends int, now time.Time) (time.Time, bool) {
	expires := !c.Deadline.IsZero()
	after := func(sinceCommit, least time.Duration) time.Time {
		return maxTime(c.CreatedAt.Add(sinceCommit), now.Add(least))
	}
	switch {
	case expires && now.After(c.Deadline):
		return time.Time{}, false
	case sends == 1:
		return after(1500*time.Millisecond, 500*time.Millisecond), true
	case sends == 2:
		return after(3*time.Second, time.Second), true
	case sends == 3:
		return after(6*time.Second, 2*time.Second), true
	case expires:
		return time.Time{}, false
	case sends == 4:
		return now.Add(6 * time.Second), true
	case sends == 5:
		return now.Add(12 * time.Second), true
	}
	return now.Add(30 * time.Second), true
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
