package order_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/memstore"
	"github.com/unlatch/unlatch/order"
)

var (
	campus = order.Venue{ID: "campus", Name: "Campus", TimeZone: "Asia/Shanghai", Open: true}
	bike   = billing.Tariff{ID: "bike", Version: 1, Name: "Bike", Rounding: billing.StartedBlocks,
		TimeRule: &billing.TimeRule{UnlockFee: 100, BlockMS: 60_000, BlockFee: 50,
			RideCap: 1000, DayCap: 1500}}
	ann, ben = order.Rider{ID: "01900000-0000-7000-8000-0000000000a1"}, order.Rider{ID: "01900000-0000-7000-8000-0000000000b2"}
	journal  = device.Journal{7}
)

// scene is a service on a memory store with a clock that stands still until it
// is moved, riders with money, and locks that say what a test lets them say.
type scene struct {
	rapid.TB
	now   time.Time
	store *memstore.Store
	svc   *order.Service
	locks map[device.ID]*lock
	drawn int // numbers keys and tickets

	mu   sync.Mutex
	sent []device.Command
}

type sealer struct{}

func (sealer) Seal(id device.ID, c device.Command) ([]byte, error) {
	return fmt.Appendf(nil, "%s/%d/%d/%s", id, c.Outlet, c.Seq, c.ID), nil
}

// catalog names one code per lock.
type catalog struct{}

func (catalog) Code(_ context.Context, number string) (order.Code, error) {
	switch number {
	case "revoked":
		return order.Code{Number: number, Device: "bike-1", Outlet: 1, Revoked: true}, nil
	case "unbound":
		return order.Code{Number: number}, nil
	case "nothing":
		return order.Code{}, order.ErrNotFound
	}
	return order.Code{Number: number, Device: device.ID(number), Outlet: 1}, nil
}

func (catalog) Passes(context.Context, string) ([]order.HeldPass, error) { return nil, nil }

func (catalog) TariffFor(context.Context, string, device.Kind, string) (billing.Tariff, error) {
	return bike, nil
}

func (s *scene) Dispatch(c []device.Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, c...)
}

// dispatched returns what was handed over since it was last asked.
func (s *scene) dispatched() []device.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	s.sent = nil
	return sent
}

// empty is a scene without devices or money. Ids are the same in every scene.
func empty(t rapid.TB, bend ...func(*order.ServiceConfig)) *scene {
	t.Helper()
	s := &scene{TB: t, now: time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC), locks: map[device.ID]*lock{}}
	s.store = memstore.New(func() time.Time { return s.now })
	s.store.Seed(campus, bike, ann, ben)
	c := order.ServiceConfig{Store: s.store, Catalog: catalog{}, Due: s.store, Stops: s.store, Carrier: s.store, Dispatcher: s,
		Tickets: order.Tickets{Secret: []byte("0123456789abcdef")}, Env: order.Env{Rand: rand.NewChaCha8([32]byte{1}), Sealer: sealer{}}}
	for _, f := range bend {
		f(&c)
	}
	svc, err := order.New(c)
	if err != nil {
		t.Fatalf("order.New: %v", err)
	}
	s.svc = svc
	return s
}

// ready is a scene with bike-1 on the air and 50.00 in Ann's wallet.
func ready(t rapid.TB, bend ...func(*order.ServiceConfig)) *scene {
	t.Helper()
	s := empty(t, bend...)
	s.topUp(ann, 5000)
	s.lock("bike-1")
	s.dispatched()
	return s
}

var staff = order.Audit{Staff: "s1", Act: "test", Reason: "the test says so"}

// lock provisions a device, anew where it is known, and lets it boot and beat.
func (s *scene) lock(id device.ID) *lock {
	s.Helper()
	d, err := s.svc.Provision(context.Background(), order.Provision{Device: id, Kind: device.Lock, Venue: campus.ID, Outlets: 1,
		Bluetooth: true, PublicKey: make([]byte, 32), Staff: staff})
	if err != nil {
		s.Fatalf("provision %s: %v", id, err)
	}
	l := &lock{s: s, id: id, epoch: d.Epoch, journal: device.Journal{7, byte(d.Epoch - 1)}, lowest: 1, closed: true}
	s.locks[id] = l
	s.hear(l.reboot(), l.beat())
	return l
}

func (s *scene) pass(d time.Duration) { s.now = s.now.Add(d) }

func (s *scene) topUp(r order.Rider, fen billing.Fen) {
	s.Helper()
	s.drawn++
	if _, err := s.money(order.Money{Rider: r.ID, Amount: fen, Key: order.KeyRef{Principal: "staff:s1", Key: fmt.Sprint("topup-", s.drawn)}}); err != nil {
		s.Fatalf("top up %d: %v", fen, err)
	}
}

func (s *scene) refund(id string, fen billing.Fen, key string) error {
	_, err := s.money(order.Money{Order: id, Amount: fen, Key: order.KeyRef{Principal: "staff:s1", Key: key}})
	return err
}

func (s *scene) money(m order.Money) (order.Placed, error) {
	m.Route, m.Staff = "money", staff
	m.Hash = sha256.Sum256(fmt.Append(nil, m.Rider, m.Order, m.Amount))
	m.Answer = func(_ order.Snapshot, a billing.Account, _ *order.Order) (int, []byte, error) {
		return 200, fmt.Append(nil, a.Posted), nil
	}
	return s.svc.Money(context.Background(), m)
}

// placing is Ann's request for bike-1, as after a scan.
func (s *scene) placing() order.Place {
	s.drawn++
	return order.Place{Rider: ann.ID, Ticket: order.Ticket{ID: fmt.Sprint("ticket-", s.drawn), Rider: ann.ID, Device: "bike-1", Outlet: 1, Epoch: 1,
		Tariff: bike.ID, Version: bike.Version, Expires: s.now.Add(time.Minute).UnixMilli()}, PayWith: order.PayWallet,
		Key:   order.KeyRef{Principal: "rider:" + ann.ID, Key: fmt.Sprint("key-", s.drawn)},
		Route: "orders", Hash: sha256.Sum256([]byte("body")),
		Answer: func(o order.Order) (int, []byte, error) { return 201, []byte(o.ID), nil }}
}

// place orders as placing says, bent by the caller; the start is dispatched.
func (s *scene) place(bend ...func(*order.Place)) (order.Order, device.Command) {
	s.Helper()
	p := s.placing()
	for _, f := range bend {
		f(&p)
	}
	s.dispatched()
	placed, err := s.svc.Place(context.Background(), p)
	if err != nil {
		s.Fatalf("place: %v", err)
	}
	sent := s.dispatched()
	if len(sent) != 1 || sent[0].Kind != device.Start {
		s.Fatalf("place dispatched %+v, want one start", sent)
	}
	return placed.Order, sent[0]
}

func on(id device.ID) func(*order.Place) { return func(p *order.Place) { p.Ticket.Device = id } }
func by(r order.Rider) func(*order.Place) {
	return func(p *order.Place) { p.Rider, p.Ticket.Rider, p.Key.Principal = r.ID, r.ID, "rider:"+r.ID }
}

// hear takes words in and returns the last answer.
func (s *scene) hear(words ...order.Hear) (last order.Heard) {
	s.Helper()
	for _, w := range words {
		h, err := s.svc.Hear(context.Background(), w)
		if err != nil {
			s.Fatalf("hear %+v: %v", w.Word, err)
		}
		last = h
	}
	return last
}

func (s *scene) act(id string, in order.ActInput, bend ...func(*order.Act)) (order.Order, error) {
	a := order.Act{Order: id, Input: in}
	if in == order.ForceEnd || in == order.GiveUpNow {
		who := staff
		a.Staff = &who
	}
	for _, f := range bend {
		f(&a)
	}
	acted, err := s.svc.Act(context.Background(), a)
	return acted.Order, err
}

// must is act where a refusal fails the test.
func (s *scene) must(id string, in order.ActInput) order.Order {
	s.Helper()
	o, err := s.act(id, in)
	if err != nil {
		s.Fatalf("%s: %v", in, err)
	}
	return o
}

func (s *scene) order(id string) order.Order {
	s.Helper()
	o, err := s.store.Order(context.Background(), id)
	if err != nil {
		s.Fatalf("read order: %v", err)
	}
	return o
}

func (s *scene) wants(id string, state order.State) order.Order {
	s.Helper()
	o := s.order(id)
	if o.State != state {
		s.Fatalf("order is %s (%s), want %s", o.State, o.Reason, state)
	}
	return o
}

func (s *scene) outlet(id device.ID) device.Outlet { return s.store.Outlets(id)[0] }

func (s *scene) account(id billing.AccountID) billing.Account {
	_, accounts := s.store.Ledger()
	for _, a := range accounts {
		if a.ID == id {
			return a
		}
	}
	return billing.Account{ID: id}
}

func (s *scene) wallet() billing.Account { return s.account(billing.Wallet(ann.ID)) }
func (s *scene) owed() billing.Fen       { return s.account(billing.Receivable(ann.ID)).Debt() }

func (s *scene) itemKinds() []string {
	var kinds []string
	for _, i := range s.store.Items() {
		kinds = append(kinds, i.Kind)
	}
	slices.Sort(kinds)
	return kinds
}

func (s *scene) command(id string) device.Command {
	for _, c := range s.store.Commands() {
		if c.ID == id {
			return c
		}
	}
	return device.Command{}
}

// lock is an honest lock, as far as its words go. Every method but the state it
// changes returns a word; whether the server ever hears it is the test's choice.
type lock struct {
	s        *scene
	id       device.ID
	epoch    uint32
	journal  device.Journal
	boot     device.Boot
	bootedAt time.Time
	boots    byte
	seq      uint64 // newest evidence
	lowest   uint64
	last     uint64 // highest burned
	closed   bool
	use      device.Command
}

func (l *lock) uptime() uint64 { return uint64(l.s.now.Sub(l.bootedAt).Milliseconds()) }

// piece journals one piece of evidence.
func (l *lock) piece(kind device.EvidenceKind, bend ...func(*device.Evidence)) order.Hear {
	l.seq++
	e := device.Evidence{Device: l.id, Epoch: l.epoch, Journal: l.journal, Seq: l.seq, Boot: l.boot, Uptime: l.uptime(), Kind: kind,
		Outlet: 1, LastSeq: l.last, Closed: l.closed}
	for _, f := range bend {
		f(&e)
	}
	e.Raw = fmt.Appendf(nil, "%+v", e)
	return order.Hear{Device: l.id, Word: device.Word{Evidence: &e}}
}

func about(c device.Command) func(*device.Evidence) {
	return func(e *device.Evidence) { e.CommandSeq, e.CommandID, e.Order = c.Seq, c.ID, c.Order }
}

func because(reason string) func(*device.Evidence) {
	return func(e *device.Evidence) { e.Reason = reason }
}

func (l *lock) beat() order.Hear {
	return order.Hear{Device: l.id, Word: device.Word{Beat: &device.Beat{Epoch: l.epoch, Boot: l.boot, Uptime: l.uptime(), Journal: l.journal,
		Lowest: l.lowest, Highest: l.seq, Outlets: []device.OutletBeat{{N: 1, LastSeq: l.last, Closed: l.closed}}}}}
}

func (l *lock) burn(c device.Command) { l.last = c.Seq }

func (l *lock) opens(c device.Command) order.Hear {
	l.burn(c)
	l.closed, l.use = false, c
	return l.piece(device.SeenExecuted, about(c))
}

func (l *lock) rejects(c device.Command) order.Hear {
	l.burn(c)
	return l.piece(device.SaidRejected, about(c), because("low_battery"))
}

func (l *lock) jams(c device.Command) order.Hear {
	l.burn(c)
	return l.piece(device.SaidFailed, about(c), because("jam"))
}

func (l *lock) closes() order.Hear {
	c := l.use
	l.closed, l.use = true, device.Command{}
	return l.piece(device.SaidEnded, about(c), because("closed_by_hand"))
}

// reboot draws a new boot id and journals the boot; a use that goes on, or is
// found over, is named.
func (l *lock) reboot(bend ...func(*device.Evidence)) order.Hear {
	l.boots++
	l.boot, l.bootedAt = device.Boot{0xb0, l.boots}, l.s.now.Add(-time.Second)
	c := l.use
	if l.closed {
		l.use = device.Command{}
	}
	return l.piece(device.Booted, append([]func(*device.Evidence){about(c)}, bend...)...)
}

// cut is a power cut after the burn of c, with the bolt shut at boot: the lock
// cannot tell whether it had moved.
func (l *lock) cut(c device.Command) order.Hear {
	l.burn(c)
	l.closed = true
	return l.reboot(func(e *device.Evidence) {
		e.Unknown = &device.UnknownStart{Outlet: 1, Seq: c.Seq, CommandID: c.ID, Order: c.Order}
	})
}

// riding places an order and opens the lock.
func riding(t testing.TB) (*scene, *lock, order.Order) {
	t.Helper()
	s := ready(t)
	o, c := s.place()
	l := s.locks["bike-1"]
	s.hear(l.opens(c))
	return s, l, s.wants(o.ID, order.Active)
}

// chance is a source of ids for one of several replicas.
func chance(replica int) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{2, byte(replica)}) }
