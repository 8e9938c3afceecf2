package testkit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// Subject is a store under the conformance suite.
type Subject interface {
	order.Store
	order.Due
	order.StopLog
	order.Purses
	AddNotice(context.Context, billing.Said, string) error
	Outgoing(context.Context, int) ([]device.Command, error)
}

// Seeded is a store that holds Venue, Tariff, Fuel, Pass and Rider.
type Seeded func(t *testing.T) Subject

// What a seeded store holds.
var (
	Venue  = order.Venue{ID: "campus", Name: "Campus", TimeZone: "Asia/Shanghai", Open: true}
	Tariff = billing.Tariff{ID: "bike", Version: 1, Name: "Bike", Rounding: billing.StartedBlocks,
		TimeRule: &billing.TimeRule{UnlockFee: 100, FreeMS: 0, BlockMS: 60_000, BlockFee: 50,
			RideCap: 1000, DayCap: 1500}}
	Rider = order.Rider{ID: "01900000-0000-7000-8000-000000000001"}
)

type plainSealer struct{}

func (plainSealer) Seal(id device.ID, c device.Command) ([]byte, error) {
	return fmt.Appendf(nil, "%s/%d/%d", id, c.Outlet, c.Seq), nil
}

// Env is an environment for decisions in tests of stores: real chance, bytes
// that name the command instead of signing it.
var Env = order.Env{Rand: rand.Reader, Sealer: plainSealer{}, Config: order.Config{}.WithDefaults()}

// act loads, decides and applies once; a failed guard fails the test.
func act[R any](t *testing.T, s order.Store, u order.UseCase[R]) R {
	t.Helper()
	changes, r := decide(t, s, u)
	if err := s.Apply(t.Context(), changes); err != nil {
		t.Fatalf("apply %T: %v", u, err)
	}
	return r
}

func decide[R any](t *testing.T, s order.Store, u order.UseCase[R]) (order.Changes, R) {
	t.Helper()
	snap, err := s.Load(t.Context(), u.Query())
	if err != nil {
		t.Fatalf("load for %T: %v", u, err)
	}
	changes, r, err := u.Decide(snap, Env)
	if err != nil {
		t.Fatalf("decide %T: %v", u, err)
	}
	return changes, r
}

var (
	boot    = device.Boot{1}
	journal = device.Journal{2}
)

// provision makes lock id known and lets it beat once.
func provision(t *testing.T, s order.Store, id device.ID) {
	t.Helper()
	act(t, s, order.UseCase[device.Device](order.Provision{Device: id, Kind: device.Lock, Venue: Venue.ID, Outlets: 1,
		PublicKey: make([]byte, 32), Staff: order.Audit{Staff: "test", Act: "provision", Reason: "test"}}))
	beat(t, s, id, 1000, 0, 0)
}

func beat(t *testing.T, s order.Store, id device.ID, uptime, highest, lastSeq uint64) order.Heard {
	t.Helper()
	return act(t, s, order.UseCase[order.Heard](order.Hear{Device: id, Word: device.Word{Beat: &device.Beat{Epoch: 1, Boot: boot,
		Uptime: uptime, Journal: journal, Lowest: min(highest, 1), Highest: highest,
		Outlets: []device.OutletBeat{{N: 1, LastSeq: lastSeq, Closed: true}}}}}))
}

func topUp(t *testing.T, s order.Store, key string, amount billing.Fen) {
	t.Helper()
	act(t, s, order.UseCase[order.Placed](order.Money{Rider: Rider.ID, Amount: amount, Key: order.KeyRef{Principal: "staff:1", Key: key},
		Route: "topup", Staff: order.Audit{Staff: "1", Act: "topup", Reason: "test"},
		Answer: func(order.Snapshot, billing.Account, *order.Order) (int, []byte, error) {
			return 200, []byte("{}"), nil
		}}))
}

func placing(id device.ID, ticket, key string) order.Place {
	return order.Place{Rider: Rider.ID, Ticket: order.Ticket{ID: ticket, Rider: Rider.ID, Device: id, Outlet: 1, Epoch: 1,
		Tariff: Tariff.ID, Version: 1, Expires: time.Now().Add(time.Hour).UnixMilli()}, PayWith: order.PayWallet,
		Key: order.KeyRef{Principal: "rider:" + Rider.ID, Key: key}, Route: "orders", Hash: sha256.Sum256([]byte(ticket)),
		Answer: func(o order.Order) (int, []byte, error) { return 201, []byte(o.ID), nil }}
}

func said(id device.ID, o order.Order, seq uint64, kind device.EvidenceKind, uptime uint64) order.Hear {
	return order.Hear{Device: id, Word: device.Word{Evidence: &device.Evidence{Device: id, Epoch: 1, Journal: journal, Seq: seq,
		Boot: boot, Uptime: uptime, Kind: kind, Outlet: 1, LastSeq: o.Seq, CommandSeq: o.Seq, CommandID: o.Command, Order: o.ID,
		Closed: kind != device.SeenExecuted, Raw: fmt.Appendf(nil, "%d %s", seq, kind)}}}
}

// StoreConformance holds a store to the promises of order.Store.
func StoreConformance(t *testing.T, open Seeded) {
	t.Run("a ride is read back as it was written", func(t *testing.T) { wholeRide(t, open(t)) })
	t.Run("a jam lasts until staff put the lock into service", func(t *testing.T) { jam(t, open(t)) })
	t.Run("a stale row of any kind refuses everything", func(t *testing.T) { staleRows(t, open) })
	t.Run("a taken unique key refuses everything", func(t *testing.T) { takenKeys(t, open) })
	t.Run("of many racing orders one wins", func(t *testing.T) { racingOrders(t, open(t)) })
	t.Run("evidence behind a gap waits and is found", func(t *testing.T) { gap(t, open(t)) })
	t.Run("due commands are claimed once", func(t *testing.T) { outgoing(t, open(t)) })
	t.Run("a sale of fuel is read back as it was written", func(t *testing.T) { wholeSale(t, open(t)) })
	t.Run("a stop of a venue reaches every device", func(t *testing.T) { venueStop(t, open(t)) })
	t.Run("a payment is read back as it was written, and claimed once", func(t *testing.T) { payments(t, open(t)) })
	t.Run("a notification is kept once and dealt with once", func(t *testing.T) { notices(t, open(t)) })
	t.Run("a pass is read back as it was written, and drawn on once", func(t *testing.T) { passes(t, open(t)) })
	t.Run("a pause is read back as it was written", func(t *testing.T) { pauses(t, open(t)) })
	t.Run("a reservation is read back as it was written, and used once", func(t *testing.T) { reservations(t, open(t)) })
	t.Run("an order over Bluetooth waits for its lock and starts", func(t *testing.T) { secondRoad(t, open(t)) })
	t.Run("nothing unknown is an error", func(t *testing.T) { unknown(t, open(t)) })
}

func jam(t *testing.T, s Subject) {
	provision(t, s, "bike-1")
	topUp(t, s, "k1", 5000)
	p := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
	failed := said("bike-1", p.Order, 1, device.SaidFailed, 2000)
	failed.Word.Evidence.Reason = "jam"
	act(t, s, order.UseCase[order.Heard](failed))
	for _, c := range []struct {
		to     device.Service
		jammed bool
	}{{"", true}, {device.Maintenance, true}, {device.InService, false}} {
		if c.to != "" {
			act(t, s, order.UseCase[device.Device](order.SetService{Device: "bike-1", Service: c.to, Staff: order.Audit{Staff: "1", Act: "device.service", Reason: "test"}}))
		}
		snap, err := s.Load(t.Context(), order.Query{Device: "bike-1"})
		if err != nil {
			t.Fatal(err)
		}
		if got := snap.Outlets[0]; got.Jammed != c.jammed || got.Order != "" {
			t.Errorf("after a jam, switched to %q: %+v, want jammed %v", c.to, got, c.jammed)
		}
	}
}

func wholeRide(t *testing.T, s Subject) {
	provision(t, s, "bike-1")
	topUp(t, s, "k1", 5000)
	p := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
	snap, err := s.Load(t.Context(), order.Query{Order: p.Order.ID, Rider: Rider.ID, Ticket: "t1",
		Key: &order.KeyRef{Principal: "rider:" + Rider.ID, Key: "p1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := p.Order
	want.Version = 1
	if diff := cmp.Diff(want, snap.Orders[0], cmpopts.EquateApproxTime(time.Microsecond), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("order read back (-want +got):\n%s", diff)
	}
	if !snap.Used || snap.Key == nil || string(snap.Key.Answer) != p.Order.ID || len(snap.Commands) != 1 || len(snap.Live) != 1 {
		t.Errorf("snapshot after placing: used %v, key %v, commands %d, live %d; want true, the answer, 1, 1",
			snap.Used, snap.Key, len(snap.Commands), len(snap.Live))
	}
	wallet := snap.Accounts[slices.IndexFunc(snap.Accounts, func(a billing.Account) bool { return a.ID == billing.Wallet(Rider.ID) })]
	if wallet.Posted != 5000 || wallet.Held != 1000 {
		t.Errorf("wallet while riding: %+v, want 5000 posted and 1000 held", wallet)
	}
	h := act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 1, device.SeenExecuted, 2000)))
	if h.Ack == nil || h.Ack.N != 1 {
		t.Fatalf("ack of executed: %+v, want 1", h.Ack)
	}
	act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 2, device.SaidEnded, 2000+61_000)))
	snap, err = s.Load(t.Context(), order.Query{Order: p.Order.ID, Rider: Rider.ID, Device: "bike-1", Epoch: 1, Journal: journal, Evidence: 2})
	if err != nil {
		t.Fatal(err)
	}
	o := snap.Orders[0]
	if o.State != order.Settled || o.Charged != 200 || o.Usage == nil || o.Usage.BilledMS != 61_000 {
		t.Errorf("settled order: state %s, charged %d, usage %+v; want settled, 200, 61000 ms", o.State, o.Charged, o.Usage)
	}
	if snap.Stored == nil || snap.Stored.Status != device.Applied || string(snap.Stored.Raw) != "2 ended" {
		t.Errorf("stored evidence: %+v, want the applied piece 2", snap.Stored)
	}
	if len(snap.Live) != 0 || snap.Outlets[0].Order != "" || len(snap.Commands) != 0 {
		t.Errorf("after the ride: live %d, outlet order %q, open commands %d; want none", len(snap.Live), snap.Outlets[0].Order, len(snap.Commands))
	}
	if q := o.Tariff.Quote(*o.Usage); !cmp.Equal(q, o.Quote) {
		t.Errorf("recomputed quote %+v, want the stored %+v", q, o.Quote)
	}
}

func staleRows(t *testing.T, open Seeded) {
	for name, spoil := range map[string]func(*order.Changes){
		"device":  func(c *order.Changes) { c.Devices[0].Version-- },
		"outlet":  func(c *order.Changes) { c.Outlets[0].Version-- },
		"order":   func(c *order.Changes) { c.Orders[0].Version-- },
		"account": func(c *order.Changes) { c.Accounts[0].Version-- },
		"command": func(c *order.Changes) { c.Commands[0].Version = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			provision(t, s, "bike-1")
			topUp(t, s, "k1", 5000)
			p := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
			act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 1, device.SeenExecuted, 2000)))
			changes, _ := decide(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 2, device.SaidEnded, 9000)))
			changes.Commands = append(changes.Commands, device.Command{ID: p.Order.Command, Version: 2, State: device.Executed})
			before, _ := s.Load(t.Context(), order.Query{Order: p.Order.ID})
			spoil(&changes)
			if err := s.Apply(t.Context(), changes); !errors.Is(err, order.ErrStale) {
				t.Fatalf("apply with a stale %s: %v, want ErrStale", name, err)
			}
			after, _ := s.Load(t.Context(), order.Query{Order: p.Order.ID})
			if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(order.Snapshot{}, "Now"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("something was written (-before +after):\n%s", diff)
			}
		})
	}
}

func takenKeys(t *testing.T, open Seeded) {
	for name, second := range map[string]func(t *testing.T, s Subject, first order.Placed) order.Changes{
		"ticket": func(t *testing.T, s Subject, _ order.Placed) order.Changes {
			c, _ := decide(t, s, order.UseCase[order.Placed](placing("bike-2", "t2", "p2")))
			c.Orders[0].Ticket, c.Orders[0].Slot = "t1", 2
			return c
		},
		"slot": func(t *testing.T, s Subject, _ order.Placed) order.Changes {
			c, _ := decide(t, s, order.UseCase[order.Placed](placing("bike-2", "t2", "p2")))
			c.Orders[0].Slot = 1
			return c
		},
		"idempotency key": func(t *testing.T, s Subject, _ order.Placed) order.Changes {
			c, _ := decide(t, s, order.UseCase[order.Placed](placing("bike-2", "t2", "p2")))
			c.Orders[0].Slot, c.Keys[0].Key = 2, "p1"
			return c
		},
		"capture": func(t *testing.T, s Subject, first order.Placed) order.Changes {
			m := *first.Order.HoldTransfer()
			id := "01900000-0000-7000-8000-0000000000aa"
			return order.Changes{Transfers: []billing.Transfer{
				{ID: id, Kind: billing.Post, Debit: m.Debit, Credit: m.Credit, Amount: 1, Purpose: "x", Hold: m.ID},
				{ID: id[:35] + "b", Kind: billing.Void, Debit: m.Debit, Credit: m.Credit, Amount: 1, Purpose: "y", Hold: m.ID}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			provision(t, s, "bike-1")
			provision(t, s, "bike-2")
			topUp(t, s, "k1", 5000)
			env := Env
			env.Config.LivePerKind = 2
			old := Env
			Env = env
			defer func() { Env = old }()
			first := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
			c := second(t, s, first)
			if name == "capture" { // the first resolution lands, the second must not
				if err := s.Apply(t.Context(), order.Changes{Transfers: c.Transfers[:1]}); err != nil {
					t.Fatal(err)
				}
				c.Transfers = c.Transfers[1:]
			}
			if err := s.Apply(t.Context(), c); !errors.Is(err, order.ErrStale) {
				t.Fatalf("second use of the %s: %v, want ErrStale", name, err)
			}
			snap, _ := s.Load(t.Context(), order.Query{Device: "bike-2"})
			if snap.Outlets[0].Order != "" || len(snap.Commands) != 0 {
				t.Errorf("the refused order left its outlet taken or a command behind: %+v", snap.Outlets[0])
			}
		})
	}
}

func racingOrders(t *testing.T, s Subject) {
	provision(t, s, "bike-1")
	topUp(t, s, "k1", 5000)
	const racers = 8
	changes := make([]order.Changes, racers)
	for i := range changes {
		changes[i], _ = decide(t, s, order.UseCase[order.Placed](placing("bike-1", fmt.Sprint("t", i), fmt.Sprint("p", i))))
	}
	var wg sync.WaitGroup
	results := make([]error, racers)
	for i := range racers {
		wg.Go(func() { results[i] = s.Apply(t.Context(), changes[i]) })
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, order.ErrStale):
			t.Errorf("a loser got %v, want ErrStale", err)
		}
	}
	if won != 1 {
		t.Errorf("%d orders won the outlet, want 1", won)
	}
}

func gap(t *testing.T, s Subject) {
	provision(t, s, "bike-1")
	topUp(t, s, "k1", 5000)
	p := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
	h := act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 2, device.SaidEnded, 63_000)))
	if h.Ack == nil || h.Ack.N != 0 {
		t.Fatalf("ack behind a gap: %+v, want 0", h.Ack)
	}
	h = act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 1, device.SeenExecuted, 2000)))
	if h.Ack == nil || h.Ack.N != 2 {
		t.Fatalf("ack after the gap filled: %+v, want 2", h.Ack)
	}
	snap, _ := s.Load(t.Context(), order.Query{Order: p.Order.ID})
	if snap.Orders[0].State != order.Settled || len(snap.Waiting) != 0 {
		t.Errorf("after the gap filled: state %s, waiting %d; want settled, 0", snap.Orders[0].State, len(snap.Waiting))
	}
}

func outgoing(t *testing.T, s Subject) {
	provision(t, s, "bike-1")
	topUp(t, s, "k1", 5000)
	p := act(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
	deadline := time.Now().Add(5 * time.Second)
	for {
		due, err := s.Outgoing(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(due) == 1 {
			if due[0].ID != p.Order.Command || string(due[0].Bytes) != "bike-1/1/1" {
				t.Errorf("claimed %+v, want the order's start with its bytes", due[0])
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the published start never came due")
		}
	}
	if again, _ := s.Outgoing(t.Context(), 10); len(again) != 0 {
		t.Errorf("claimed %d commands at once again, want 0", len(again))
	}
	act(t, s, order.UseCase[order.Heard](said("bike-1", p.Order, 1, device.SaidRejected, 2000)))
	for end := time.Now().Add(1200 * time.Millisecond); time.Now().Before(end); {
		if due, _ := s.Outgoing(t.Context(), 10); len(due) != 0 {
			t.Fatalf("a rejected start was sent again: %+v", due)
		}
	}
}

func unknown(t *testing.T, s Subject) {
	snap, err := s.Load(t.Context(), order.Query{Device: "nobody", Order: "not-a-uuid", Rider: "nobody", Ticket: "x",
		Key: &order.KeyRef{Principal: "x", Key: "y"}, Names: "zzz", Tariff: "none", TariffVersion: 3})
	if err != nil {
		t.Fatal(err)
	}
	if snap.Device != nil || snap.Rider != nil || snap.Key != nil || snap.Used || snap.Tariff != nil || len(snap.Orders) != 0 {
		t.Errorf("unknown things were found: %+v", snap)
	}
}

// ThreeOrders leaves a store with one settled, one voided and one starting order
// of Rider, on bike-1, bike-2 and bike-3.
func ThreeOrders(t *testing.T, s order.Store) {
	t.Helper()
	topUp(t, s, "k1", 5000)
	for i, id := range []device.ID{"bike-1", "bike-2", "bike-3"} {
		provision(t, s, id)
		p := act(t, s, order.UseCase[order.Placed](placing(id, fmt.Sprint("t", i+1), fmt.Sprint("p", i+1))))
		switch i {
		case 0:
			act(t, s, order.UseCase[order.Heard](said(id, p.Order, 1, device.SeenExecuted, 2000)))
			act(t, s, order.UseCase[order.Heard](said(id, p.Order, 2, device.SaidEnded, 63_000)))
		case 1:
			act(t, s, order.UseCase[order.Heard](said(id, p.Order, 1, device.SaidRejected, 2000)))
		}
	}
}

// StartInFlight returns the changes of a start on bike-1 that is decided and not
// yet applied.
func StartInFlight(t *testing.T, s order.Store) order.Changes {
	t.Helper()
	provision(t, s, "bike-1")
	topUp(t, s, "k1", 5000)
	changes, _ := decide(t, s, order.UseCase[order.Placed](placing("bike-1", "t1", "p1")))
	return changes
}
