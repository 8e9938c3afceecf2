package order_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

var month = order.PassRow{Pass: billing.Pass{ID: "month", Version: 1, Name: "Month", Price: 1900, Days: 30,
	PassTerms: billing.PassTerms{UnlockFree: true, BudgetMS: 3600_000}}, Venue: campus.ID, Kind: device.Lock, OnSale: true}

func (s *scene) buying(key string) order.BuyPass {
	return order.BuyPass{Rider: ann.ID, Pass: "month", Price: 1900, Key: order.KeyRef{Principal: "rider:" + ann.ID, Key: key}, Route: "passes",
		Hash:   sha256.Sum256([]byte("month")),
		Answer: func(h order.HeldPass) (int, []byte, error) { return 201, []byte(h.ID), nil }}
}

// holding is a scene in which Ann bought a month.
func holding(t *testing.T) (*scene, order.HeldPass) {
	t.Helper()
	s := ready(t)
	s.store.SeedPass(month)
	if _, err := s.svc.BuyPass(context.Background(), s.buying("b1")); err != nil {
		t.Fatal(err)
	}
	return s, s.held()
}

func (s *scene) held() order.HeldPass {
	s.Helper()
	snap, err := s.store.Load(context.Background(), order.Query{Rider: ann.ID})
	if err != nil || len(snap.Passes) == 0 {
		s.Fatalf("passes: %+v, %v; want one", snap.Passes, err)
	}
	return snap.Passes[0]
}

func TestAPassIsPaidOnceAndTheNextBeginsWhereItEnds(t *testing.T) {
	s, first := holding(t)
	if again, err := s.svc.BuyPass(context.Background(), s.buying("b1")); err != nil || string(again.Answer) != first.ID {
		t.Errorf("the same key again: %q, %v; want the same pass", again.Answer, err)
	}
	if got := s.wallet().Posted; got != 5000-1900 {
		t.Errorf("wallet: %d, want one price less", got)
	}
	s.pass(time.Hour)
	if _, err := s.svc.BuyPass(context.Background(), s.buying("b2")); err != nil {
		t.Fatal(err)
	}
	snap, _ := s.store.Load(context.Background(), order.Query{Rider: ann.ID})
	if len(snap.Passes) != 2 || !snap.Passes[1].From.Equal(first.Until) || !snap.Passes[1].Until.Equal(first.Until.Add(30*24*time.Hour)) {
		t.Errorf("passes %+v; want the second to begin where the first ends", snap.Passes)
	}
}

func TestAPassIsRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*scene, *order.BuyPass)
		want error
	}{
		{"that nobody offers", func(_ *scene, b *order.BuyPass) { b.Pass = "year" }, order.ErrPassUnknown},
		{"that is withdrawn", func(s *scene, _ *order.BuyPass) { p := month; p.OnSale = false; s.store.SeedPass(p) }, order.ErrPassUnknown},
		{"of another group", func(s *scene, _ *order.BuyPass) { p := month; p.Group = "teachers"; s.store.SeedPass(p) }, order.ErrPassUnknown},
		{"at an older price", func(_ *scene, b *order.BuyPass) { b.Price = 1 }, order.ErrPassPrice},
		{"beyond the balance", func(s *scene, _ *order.BuyPass) { s.spend(4000) }, order.ErrNoMoney},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := ready(t)
			s.store.SeedPass(month)
			b := s.buying("b")
			c.set(s, &b)
			before := s.wallet()
			if _, err := s.svc.BuyPass(context.Background(), b); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if got := s.wallet(); got.Posted != before.Posted {
				t.Errorf("the refusal took %d", before.Posted-got.Posted)
			}
		})
	}
}

func TestARideOfAPassHolderDrawsItsBudgetOnce(t *testing.T) {
	s, _ := holding(t)
	s.spend(3100) // nothing is left: the pass alone funds the start
	o, c := s.place()
	if o.Pass == "" || o.HoldFen != 0 {
		t.Fatalf("order with pass %q and a hold of %d; want the pass and no hold", o.Pass, o.HoldFen)
	}
	l := s.locks["bike-1"]
	s.hear(l.opens(c))
	s.pass(time.Duration(bike.FreeMS)*time.Millisecond + 10*time.Minute)
	end := l.closes()
	s.hear(end)
	o = s.wants(o.ID, order.Settled)
	want := o.Tariff.Drawn(*o.Usage)
	if o.Quote.Total != 0 || want == 0 || s.held().Drawn != want || o.Usage.Pass.Drawn != want {
		t.Errorf("total %d, drawn %d, the usage says %d, want 0 and %d twice", o.Quote.Total, s.held().Drawn, o.Usage.Pass.Drawn, want)
	}
	s.hear(end)
	if got := s.held().Drawn; got != want {
		t.Errorf("the end heard twice: drawn %d, want %d", got, want)
	}
}

func TestAPassDoesNotFundWhatItDoesNotCover(t *testing.T) {
	for name, bend := range map[string]func(s *scene, h order.HeldPass){
		"revoked": func(s *scene, h order.HeldPass) {
			if _, err := s.svc.RevokePass(context.Background(), order.RevokePass{Rider: ann.ID, Held: h.ID, Staff: staff}); err != nil {
				s.Fatal(err)
			}
		},
		"not begun yet": func(s *scene, h order.HeldPass) { // the second begins where the first ended
			s.topUp(ann, 1900)
			if _, err := s.svc.BuyPass(context.Background(), s.buying("ahead")); err != nil {
				s.Fatal(err)
			}
			if _, err := s.svc.RevokePass(context.Background(), order.RevokePass{Rider: ann.ID, Held: h.ID, Staff: staff}); err != nil {
				s.Fatal(err)
			}
		},
		"over": func(s *scene, h order.HeldPass) {
			s.pass(31 * 24 * time.Hour)
			s.hear(s.locks["bike-1"].beat())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, h := holding(t)
			s.spend(3100)
			bend(s, h)
			if _, err := s.svc.Place(context.Background(), s.placing()); !errors.Is(err, order.ErrNoMoney) {
				t.Errorf("a ride without money: %v, want ErrNoMoney", err)
			}
		})
	}
}

func TestALateProofOfAShorterRideGivesItsMinutesBack(t *testing.T) {
	s, _ := holding(t)
	o, c := s.place()
	l := s.locks["bike-1"]
	s.hear(l.opens(c))
	s.pass(time.Duration(bike.FreeMS)*time.Millisecond + 10*time.Minute)
	end := l.closes()
	s.pass(20 * time.Minute)
	still := l.beat() // a bent sensor, of which the end's piece knows better
	still.Word.Beat.Highest, still.Word.Beat.Outlets[0].Closed = l.seq-1, false
	s.hear(still)
	s.must(o.ID, order.ForceEnd)
	before := s.held().Drawn
	s.hear(end)
	o = s.wants(o.ID, order.Settled)
	if after := s.held().Drawn; after >= before || after != o.Usage.Pass.Drawn || after == 0 {
		t.Errorf("drawn %d before the proof, %d after, the usage says %d; want fewer, and the same", before, after, o.Usage.Pass.Drawn)
	}
}

func TestStaffGiveAPassWithAReasonAndAnAuditRow(t *testing.T) {
	s := ready(t)
	row := month
	row.Group, row.OnSale = "teachers", false
	s.store.SeedPass(row)
	grant := order.GrantPass{Rider: ann.ID, Pass: "month", Key: order.KeyRef{Principal: "staff:s1", Key: "g"}, Route: "grants",
		Answer: func(h order.HeldPass) (int, []byte, error) { return 201, []byte(h.ID), nil }}
	if _, err := s.svc.GrantPass(context.Background(), grant); !errors.Is(err, order.ErrReason) {
		t.Errorf("without a reason: %v, want ErrReason", err)
	}
	grant.Staff = staff
	for range 2 { // the answer was lost, and staff ask again
		given, err := s.svc.GrantPass(context.Background(), grant)
		if err != nil || s.held().ID != string(given.Answer) || s.wallet().Posted != 5000 {
			t.Errorf("given: %s, %v, wallet %d; want a pass for nothing", given.Answer, err, s.wallet().Posted)
		}
	}
	found := 0
	for _, a := range s.store.Audits() {
		if a.Object == "rider "+ann.ID && a.Act == staff.Act {
			found++
		}
	}
	if want := 2; found != want { // the top-up is the other
		t.Errorf("%d audit rows of the rider, want %d: %s", found, want, fmt.Sprint(s.store.Audits()))
	}
}

// budgeted is a pass of minutes alone.
func budgeted(id string, ms int64) order.PassRow {
	p := month
	p.Pass.ID, p.Pass.Name, p.Pass.Price = id, id, 0
	p.Pass.PassTerms = billing.PassTerms{BudgetMS: ms}
	return p
}

func (s *scene) buy(p order.PassRow) order.HeldPass {
	s.Helper()
	s.store.SeedPass(p)
	s.drawn++
	b := s.buying(fmt.Sprint("buy-", s.drawn))
	b.Pass, b.Price = p.Pass.ID, p.Pass.Price
	placed, err := s.svc.BuyPass(context.Background(), b)
	if err != nil {
		s.Fatal(err)
	}
	snap, err := s.store.Load(context.Background(), order.Query{Rider: ann.ID})
	if err != nil {
		s.Fatal(err)
	}
	for _, h := range snap.Passes {
		if h.ID == string(placed.Answer) {
			return h
		}
	}
	s.Fatalf("bought %s, and it is not held", placed.Answer)
	return order.HeldPass{}
}

func (s *scene) rideFor(d time.Duration) order.Order {
	s.Helper()
	o, c := s.place()
	l := s.locks["bike-1"]
	s.hear(l.opens(c))
	s.pass(d)
	s.hear(l.closes())
	return s.wants(o.ID, order.Settled)
}

func TestAPassWhoseMinutesAreUsedUpIsFollowedAtOnce(t *testing.T) {
	s := ready(t)
	first := s.buy(budgeted("minutes", 10*60_000))
	s.rideFor(15 * time.Minute)
	if next := s.buy(budgeted("minutes", 10*60_000)); !next.From.Before(first.Until) {
		t.Errorf("the next one begins %v, want now, before %v", next.From, first.Until)
	}
	if o := s.rideFor(5 * time.Minute); o.Usage.Pass == nil || o.Usage.Pass.Drawn == 0 {
		t.Errorf("a ride after it: %+v, want minutes of the new one", o.Usage.Pass)
	}
}

func TestOfTwoPassesTheOneThatMakesTheRideCheaperIsDrawn(t *testing.T) {
	s := ready(t)
	s.buy(budgeted("leftover", 30_000)) // saves no block of a longer ride, and ends first
	s.pass(time.Minute)
	s.hear(s.locks["bike-1"].beat())
	large := s.buy(budgeted("large", 600*60_000))
	o := s.rideFor(10 * time.Minute)
	if o.Pass != large.ID || o.Quote.Total != bike.UnlockFee || o.Usage.Pass.Drawn != 10*60_000 {
		t.Errorf("the ride met %q and cost %d (%+v), want %q and the unlock alone", o.Pass, o.Quote.Total, o.Usage.Pass, large.ID)
	}
}

func TestTheDaysLimitOfPrintedCodesHoldsForPassesToo(t *testing.T) {
	s := ready(t, func(c *order.ServiceConfig) { c.Env.Config.PrintedCap = 500 })
	p := month
	p.Pass.Price, p.Pass.PassTerms = 0, billing.PassTerms{UnlockFree: true, RideFreeMS: 1000}
	s.buy(p)
	printed := func(p *order.Place) { p.Ticket.Class = order.Printed }
	o, c := s.place(printed)
	l := s.locks["bike-1"]
	s.hear(l.opens(c))
	s.pass(9*time.Minute + 30*time.Second)
	s.hear(l.closes())
	s.wants(o.ID, order.Settled)
	again := s.placing()
	printed(&again)
	if _, err := s.svc.Place(context.Background(), again); !errors.Is(err, order.ErrSpendingCap) {
		t.Errorf("beyond the day's limit: %v, want ErrSpendingCap", err)
	}
}
