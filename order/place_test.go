package order_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// refused places p, wants the error, and wants nothing at all to have been written.
func (s *scene) refused(p order.Place, want error) {
	s.Helper()
	s.dispatched()
	type state struct {
		Orders   []order.Order
		Devices  []device.Device
		Outlets  []device.Outlet
		Commands []device.Command
		Accounts []billing.Account
		Moved    []billing.Transfer
		Items    []order.Item
		Audits   []order.Audit
	}
	read := func() state {
		transfers, accounts := s.store.Ledger()
		return state{s.store.Orders(), s.store.Devices(), s.store.Outlets("bike-1"), s.store.Commands(), accounts, transfers, s.store.Items(), s.store.Audits()}
	}
	before := read()
	if _, err := s.svc.Place(context.Background(), p); !errors.Is(err, want) {
		s.Errorf("got %v, want %v", err, want)
	}
	if diff := cmp.Diff(before, read()); diff != "" {
		s.Errorf("a refusal wrote something (-before +after):\n%s", diff)
	}
	if sent := s.dispatched(); len(sent) != 0 {
		s.Errorf("a refusal dispatched %+v", sent)
	}
	snap, err := s.store.Load(context.Background(), p.Query())
	if err != nil || snap.Key != nil {
		s.Errorf("the key of a refusal is taken: %+v, %v", snap.Key, err)
	}
}

func TestEachRefusalHasItsNameAndWritesNothing(t *testing.T) {
	low := 9
	asStaff := func(p *order.Place) {
		who := staff
		p.PayWith, p.Staff = order.PayService, &who
	}
	for _, c := range []struct {
		name  string
		scene func(t *testing.T, s *scene)
		bend  func(*order.Place)
		want  error
	}{
		{"a way to pay that nobody offers", nil, func(p *order.Place) { p.PayWith = "shells" }, order.ErrPayWith},
		{"no way to pay", nil, func(p *order.Place) { p.PayWith = "" }, order.ErrPayWith},
		{"service without staff", nil, func(p *order.Place) { p.PayWith = order.PayService }, order.ErrPayWith},
		{"service without a reason", nil, func(p *order.Place) { asStaff(p); p.Staff.Reason = "" }, order.ErrReason},
		{"a stolen ticket", nil, func(p *order.Place) { p.Rider = ben.ID }, order.ErrTicketForeign},
		{"a ticket without a rider", nil, func(p *order.Place) { p.Ticket.Rider = "" }, order.ErrTicketForeign},
		{"an expired ticket", func(_ *testing.T, s *scene) { s.pass(2 * time.Minute) },
			func(p *order.Place) { p.Ticket.Expires -= 2 * time.Minute.Milliseconds() }, order.ErrTicketExpired},
		{"a ticket for a device that is gone", nil, on("bike-9"), order.ErrNotFound},
		{"a ticket for an outlet that is not there", nil, func(p *order.Place) { p.Ticket.Outlet = 2 }, order.ErrNotFound},
		{"a ticket of an earlier provisioning", nil, func(p *order.Place) { p.Ticket.Epoch = 0 }, order.ErrTicketStale},
		{"a tariff version that is not there", nil, func(p *order.Place) { p.Ticket.Version = 9 }, order.ErrTicketStale},
		{"a service ticket paid from the wallet", nil, func(p *order.Place) { p.Ticket.Tariff = "service" }, order.ErrTicketStale},
		{"a device in maintenance", func(_ *testing.T, s *scene) { s.switchTo("bike-1", device.Maintenance) }, nil, order.ErrNotInService},
		{"a device that is not trusted", func(_ *testing.T, s *scene) { s.distrust("bike-1") }, nil, order.ErrNotInService},
		{"a device that is not trusted, for service", func(_ *testing.T, s *scene) { s.distrust("bike-1") }, asStaff, order.ErrNotInService},
		{"a retired device", func(_ *testing.T, s *scene) { s.switchTo("bike-1", device.Retired) }, nil, order.ErrNotInService},
		{"a retired device, for service", func(_ *testing.T, s *scene) { s.switchTo("bike-1", device.Retired) }, asStaff, order.ErrNotInService},
		{"a closed venue", func(_ *testing.T, s *scene) {
			closed := campus
			closed.Open = false
			s.store.Seed(closed, bike)
		}, nil, order.ErrVenueClosed},
		{"an outlet that is taken", func(_ *testing.T, s *scene) { s.topUp(ben, 5000); s.place(by(ben)) }, nil, order.ErrOutletBusy},
		{"an outlet that waits for its device's word", func(_ *testing.T, s *scene) { s.giveUpOnBen() }, nil, order.ErrOutletBlocked},
		{"a device that is silent", func(_ *testing.T, s *scene) { s.pass(device.SampleLife) },
			func(p *order.Place) { p.Ticket.Expires += device.SampleLife.Milliseconds() }, order.ErrOffline},
		{"a lock that stands open", func(_ *testing.T, s *scene) {
			l := s.locks["bike-1"]
			l.closed = false
			s.pass(time.Second)
			s.hear(l.beat())
		},
			nil, order.ErrOutletOpen},
		{"a battery below the least", nil, func(p *order.Place) { p.Battery = &low }, order.ErrBatteryLow},
		{"a rider that nobody knows", nil, func(p *order.Place) { p.Rider, p.Ticket.Rider = "nobody", "nobody" }, order.ErrNotFound},
		{"a blocked rider", func(_ *testing.T, s *scene) { s.store.Seed(campus, bike, order.Rider{ID: ann.ID, Blocked: true}) }, nil, order.ErrRiderBlocked},
		{"a second live order of the kind", func(_ *testing.T, s *scene) { s.lock("bike-2"); s.place(on("bike-2")) }, nil, order.ErrTooManyLive},
		{"a debt", func(t *testing.T, s *scene) { s.debt(t) }, nil, order.ErrDebt},
		{"an empty wallet", nil, by(ben), order.ErrNoMoney},
		{"a fen less than the least ride", func(_ *testing.T, s *scene) { s.topUp(ben, bike.Least(nil)-1) }, by(ben), order.ErrNoMoney},
		{"an answer that cannot be written", nil, func(p *order.Place) {
			p.Answer = func(order.Order) (int, []byte, error) { return 0, nil, errRender }
		}, errRender},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := ready(t)
			if c.scene != nil {
				c.scene(t, s)
			}
			p := s.placing()
			if c.bend != nil {
				c.bend(&p)
			}
			s.refused(p, c.want)
		})
	}
}

var errRender = errors.New("no words for it")

// switchTo is staff's switch.
func (s *scene) switchTo(id device.ID, to device.Service) {
	s.Helper()
	if _, err := s.svc.SetService(context.Background(), order.SetService{Device: id, Service: to, Staff: staff}); err != nil {
		s.Fatalf("switch %s to %s: %v", id, to, err)
	}
}

// distrust lets the device speak from a new journal.
func (s *scene) distrust(id device.ID) {
	l := *s.locks[id]
	l.journal = device.Journal{0xee}
	s.hear(l.beat())
}

// giveUpOnBen leaves bike-1 blocked by an order of Ben's that was voided without
// proof; the device is heard, and its evidence is not.
func (s *scene) giveUpOnBen() (order.Order, device.Command) {
	s.Helper()
	s.topUp(ben, 5000)
	o, c := s.place(by(ben))
	s.pass(16 * time.Second)
	s.must(o.ID, order.Elapse)
	s.must(o.ID, order.GiveUpNow)
	return s.wants(o.ID, order.Voided), c
}

// debt spends Ann's wallet down to the least ride, then lets her ride longer.
func (s *scene) debt(t *testing.T) order.Order {
	t.Helper()
	l := s.lock("bike-2")
	s.spend(5000 - bike.Least(nil))
	o, c := s.place(on("bike-2"))
	s.hear(l.opens(c))
	s.pass(10 * time.Minute)
	s.hear(l.closes(), s.locks["bike-1"].beat())
	return s.wants(o.ID, order.Settled)
}

// spend takes money off Ann's wallet behind the service's back.
func (s *scene) spend(fen billing.Fen) {
	s.Helper()
	book := billing.NewBook(s.wallet())
	m := billing.Transfer{ID: "spent", Kind: billing.Single, Debit: billing.Wallet(ann.ID), Credit: billing.Revenue, Amount: fen, Purpose: "test"}
	if err := book.Move(m, nil); err != nil {
		s.Fatalf("spend %d: %v", fen, err)
	}
	transfers, accounts := book.Changes()
	if err := s.store.Apply(context.Background(), order.Changes{Transfers: transfers, Accounts: accounts}); err != nil {
		s.Fatalf("spend %d: %v", fen, err)
	}
}

// owes gives Ann a debt, of whatever came in between.
func (s *scene) owes(fen billing.Fen) {
	s.Helper()
	book := billing.NewBook(s.account(billing.Receivable(ann.ID)), s.account(billing.Revenue))
	if err := book.Move(billing.Transfer{ID: "owed", Kind: billing.Single, Debit: billing.Receivable(ann.ID), Credit: billing.Revenue, Amount: fen, Purpose: "test"}, nil); err != nil {
		s.Fatalf("owe %d: %v", fen, err)
	}
	transfers, accounts := book.Changes()
	if err := s.store.Apply(context.Background(), order.Changes{Transfers: transfers, Accounts: accounts}); err != nil {
		s.Fatalf("owe %d: %v", fen, err)
	}
}

// A snapshot's rows may be of different moments: who comes in between is a rider
// on the outlet, not a block that waits for the device.
func TestAStartSeenBeforeItsOrderIsARider(t *testing.T) {
	s := ready(t)
	s.topUp(ben, 5000)
	p := s.placing()
	torn, err := s.store.Load(context.Background(), p.Query())
	if err != nil {
		t.Fatal(err)
	}
	s.place(by(ben))
	after, err := s.store.Load(context.Background(), p.Query())
	if err != nil {
		t.Fatal(err)
	}
	torn.Commands = after.Commands
	if _, _, err := p.Decide(torn, order.Env{Rand: rand.NewChaCha8([32]byte{2}), Sealer: sealer{}}); !errors.Is(err, order.ErrOutletBusy) {
		t.Errorf("got %v, want ErrOutletBusy", err)
	}
}

func TestAnAcceptedKeyGivesTheSameBytesAgain(t *testing.T) {
	s := ready(t)
	p := s.placing()
	first, err := s.svc.Place(context.Background(), p)
	if err != nil || first.Replayed || first.Status != 201 {
		t.Fatalf("first: %+v, %v", first, err)
	}
	s.pass(time.Hour) // the ticket is long over, the order moved on
	s.must(first.Order.ID, order.Elapse)
	s.dispatched()
	for range 2 {
		p.Answer = func(order.Order) (int, []byte, error) { return 500, nil, errRender }
		again, err := s.svc.Place(context.Background(), p)
		if err != nil || !again.Replayed || again.Status != 201 || string(again.Answer) != string(first.Answer) {
			t.Errorf("again: status %d, %q, replayed %v, %v; want 201, %q, true", again.Status, again.Answer, again.Replayed, err, first.Answer)
		}
	}
	if len(s.store.Orders()) != 1 || len(s.dispatched()) != 0 {
		t.Errorf("orders: got %d, want 1 and nothing dispatched", len(s.store.Orders()))
	}
	other := p
	other.Hash = sha256.Sum256([]byte("another body"))
	if _, err := s.svc.Place(context.Background(), other); !errors.Is(err, order.ErrKeyReused) {
		t.Errorf("the same key with another body: got %v, want ErrKeyReused", err)
	}
	other = p
	other.Route = "topups"
	if _, err := s.svc.Place(context.Background(), other); !errors.Is(err, order.ErrKeyReused) {
		t.Errorf("the same key on another route: got %v, want ErrKeyReused", err)
	}
	other = p
	other.Key.Principal = "rider:" + ben.ID
	if _, err := s.svc.Place(context.Background(), other); !errors.Is(err, order.ErrTicketUsed) {
		t.Errorf("the same key of another rider: got %v, want the ticket's ErrTicketUsed", err)
	}
}

func TestATicketIsUsedOnce(t *testing.T) {
	s := ready(t)
	p := s.placing()
	if _, err := s.svc.Place(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	p.Key.Key = "another"
	s.refused(p, order.ErrTicketUsed)
	s.hear(s.locks["bike-1"].rejects(s.store.Commands()[0]))
	s.refused(p, order.ErrTicketUsed) // even though its order is over
}

func TestARefusalFreesItsKey(t *testing.T) {
	s := ready(t)
	p := s.placing()
	p.Battery = new(int)
	s.refused(p, order.ErrBatteryLow)
	p.Battery = nil
	if placed, err := s.svc.Place(context.Background(), p); err != nil || placed.Replayed {
		t.Errorf("the same key after a refusal: got %+v, %v, want a new order", placed, err)
	}
}

func TestAnOrderHoldsItsPriceAndTakesTheNextNumber(t *testing.T) {
	s := ready(t)
	o, c := s.place()
	if o.State != order.Starting || o.HoldFen != 1000 || o.Slot != 1 || o.Day != "2026-03-01" || !o.DueAt.Equal(s.now.Add(15*time.Second)) {
		t.Errorf("order: %+v, want starting, a hold of 1000, slot 1, due in 15 s", o)
	}
	if w := s.wallet(); w.Posted != 5000 || w.Held != 1000 {
		t.Errorf("wallet: %+v, want 5000 with 1000 held", w)
	}
	d := s.store.Devices()[0]
	if c.Seq != 1 || c.Order != o.ID || c.ID != o.Command || c.Boot != d.Sample.Boot || c.NotAfter != d.Sample.NotAfter(o.DueAt) || c.Journal != journal || c.Floor != 1 {
		t.Errorf("start: %+v, want number 1 of the order, dated by the sample %+v", c, d.Sample)
	}
	if out := s.outlet("bike-1"); out.Order != o.ID || out.NextSeq != 2 {
		t.Errorf("outlet: %+v, want the order and next number 2", out)
	}
	if string(c.Bytes) != "bike-1/1/1/"+c.ID {
		t.Errorf("bytes: %s", c.Bytes)
	}
	quote := bike.Quote(billing.Usage{Measured: billing.WithinBoot})
	if diff := cmp.Diff(quote, o.Quote); diff != "" {
		t.Errorf("first quote is not the least ride (-want +got):\n%s", diff)
	}
}

func TestAHoldIsWhatTheWalletHas(t *testing.T) {
	s := ready(t)
	s.topUp(ben, bike.Least(nil))
	o, _ := s.place(by(ben))
	if o.HoldFen != bike.Least(nil) {
		t.Errorf("hold: got %d, want all of %d", o.HoldFen, bike.Least(nil))
	}
}

func TestARiderMayHaveAsManyOrdersAsTheOperatorAllows(t *testing.T) {
	s := ready(t, func(c *order.ServiceConfig) { c.Env.Config.LivePerKind = 2 })
	s.lock("bike-2")
	s.lock("bike-3")
	a, _ := s.place()
	b, _ := s.place(on("bike-2"))
	if a.Slot != 1 || b.Slot != 2 {
		t.Errorf("slots: got %d and %d, want 1 and 2", a.Slot, b.Slot)
	}
	p := s.placing()
	on("bike-3")(&p)
	s.refused(p, order.ErrTooManyLive)
	s.hear(s.locks["bike-1"].rejects(s.command(a.Command)))
	if c, _ := s.place(on("bike-3")); c.Slot != 1 {
		t.Errorf("slot after the first was freed: got %d, want 1", c.Slot)
	}
}

func TestAServiceUnlockIsAnOrderWithoutMoney(t *testing.T) {
	for name, scene := range map[string]func(s *scene){
		"in service":     func(*scene) {},
		"in maintenance": func(s *scene) { s.switchTo("bike-1", device.Maintenance) },
		"a closed venue": func(s *scene) {
			closed := campus
			closed.Open = false
			s.store.Seed(closed, bike)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := ready(t)
			scene(s)
			audits := len(s.store.Audits())
			low := 1
			o, c := s.place(func(p *order.Place) {
				who := staff
				p.PayWith, p.Staff, p.Rider, p.Ticket.Rider, p.Ticket.Tariff, p.Battery = order.PayService, &who, "staff:s1", "staff:s1", "service", &low
			})
			if o.Hold != "" || o.Slot != 0 || o.Tariff.ID != "service" {
				t.Errorf("order: %+v, want no hold, no slot, the service tariff", o)
			}
			l := s.locks["bike-1"]
			s.hear(l.opens(c))
			s.pass(9 * time.Hour)
			s.hear(l.closes())
			if o = s.wants(o.ID, order.Settled); o.Quote.Total != 0 || o.Paid() != 0 {
				t.Errorf("billed: %+v, want nothing", o.Quote)
			}
			transfers, _ := s.store.Ledger()
			if len(transfers) != 1 { // Ann's top-up
				t.Errorf("transfers: got %+v, want Ann's top-up alone", transfers)
			}
			if got := s.store.Audits(); len(got) != audits+1 || got[audits].Object != "order "+o.ID || got[audits].Reason == "" {
				t.Errorf("audits: got %+v, want one more, of the order with its reason", got)
			}
		})
	}
}

func TestTheDayIsTheVenuesOwn(t *testing.T) {
	s := ready(t)
	s.now = time.Date(2026, 3, 1, 15, 59, 59, 0, time.UTC) // a second before midnight in Shanghai
	s.hear(s.locks["bike-1"].beat())
	o, c := s.place()
	if o.Day != "2026-03-01" {
		t.Errorf("day before midnight: got %s, want 2026-03-01", o.Day)
	}
	s.hear(s.locks["bike-1"].rejects(c))
	s.pass(time.Second)
	if o, _ := s.place(); o.Day != "2026-03-02" {
		t.Errorf("day at midnight: got %s, want 2026-03-02", o.Day)
	}
}

func TestATicketOpensOnlyWhenItWasMadeHere(t *testing.T) {
	tickets := order.Tickets{Secret: []byte("0123456789abcdef")}
	want := order.Ticket{Rider: ann.ID, Device: "bike-1", Outlet: 1, Epoch: 2, Tariff: "bike", Version: 3, Expires: 99}
	token, err := tickets.Make(rand.NewChaCha8([32]byte{}), want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tickets.Open(token)
	if err != nil || got.ID == "" {
		t.Fatalf("open: %+v, %v", got, err)
	}
	want.ID = got.ID
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(token)
	for i := range raw {
		bent := append([]byte(nil), raw...)
		bent[i] ^= 1
		if _, err := tickets.Open(base64.RawURLEncoding.EncodeToString(bent)); !errors.Is(err, order.ErrTicketInvalid) {
			t.Errorf("byte %d bent: got %v, want ErrTicketInvalid", i, err)
		}
	}
	for name, forged := range map[string]string{"empty": "", "no token": "!", "short": "AAAA", "cut": token[:len(token)-4], "grown": token + "AAAA",
		"huge": strings.Repeat("A", 100_000), "16 zero bytes": "AAAAAAAAAAAAAAAAAAAAAA"} {
		if _, err := tickets.Open(forged); !errors.Is(err, order.ErrTicketInvalid) {
			t.Errorf("%s: got %v, want ErrTicketInvalid", name, err)
		}
	}
	if _, err := (order.Tickets{Secret: []byte("another secret..")}).Open(token); !errors.Is(err, order.ErrTicketInvalid) {
		t.Errorf("another installation's: got %v, want ErrTicketInvalid", err)
	}
	if second, _ := tickets.Make(rand.NewChaCha8([32]byte{1}), want); second == token {
		t.Error("two tickets are the same")
	}
}

func TestAScanWritesNothingButAProbeToASilentDevice(t *testing.T) {
	s := ready(t)
	for range 2 {
		scanned, err := s.svc.Scan(context.Background(), ann.ID, "bike-1", "")
		if err != nil || scanned.Availability != device.Available || scanned.Tariff.ID != "bike" || !scanned.Expires.Equal(s.now.Add(2*time.Minute)) {
			t.Fatalf("scan: %+v, %v", scanned, err)
		}
		ticket, err := order.Tickets{Secret: []byte("0123456789abcdef")}.Open(scanned.Ticket)
		if err != nil || ticket.Rider != ann.ID || ticket.Device != "bike-1" || ticket.Epoch != 1 || ticket.Version != 1 {
			t.Errorf("ticket: %+v, %v", ticket, err)
		}
	}
	if n := len(s.store.Commands()); n != 0 {
		t.Errorf("commands after two scans: got %d, want 0", n)
	}
	s.pass(device.SampleLife)
	for range 3 {
		scanned, err := s.svc.Scan(context.Background(), ann.ID, "bike-1", "")
		if err != nil || scanned.Availability != device.NonContactable {
			t.Fatalf("scan of a silent device: %s, %v", scanned.Availability, err)
		}
	}
	if sent := s.dispatched(); len(sent) != 1 || sent[0].Kind != device.Probe {
		t.Errorf("sent after three scans: got %+v, want one probe", sent)
	}
	l := s.locks["bike-1"]
	l.last = 1
	s.hear(l.beat())
	if scanned, err := s.svc.Scan(context.Background(), ann.ID, "bike-1", ""); err != nil || scanned.Availability != device.Available {
		t.Errorf("scan after the answer: %s, %v, want available", scanned.Availability, err)
	}
	if c := s.store.Commands()[0]; c.State != device.Spent {
		t.Errorf("the answered probe is %s, want spent", c.State)
	}
	for number, want := range map[string]error{"revoked": order.ErrCodeRevoked, "unbound": order.ErrCodeUnbound, "nothing": order.ErrNotFound,
		"bike-9": order.ErrNotFound} {
		if _, err := s.svc.Scan(context.Background(), ann.ID, number, ""); !errors.Is(err, want) {
			t.Errorf("scan of %s: got %v, want %v", number, err, want)
		}
	}
}
