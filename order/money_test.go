package order_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/order"
)

func TestWhatAHoldDoesNotCoverIsADebtPaidFirst(t *testing.T) {
	s := ready(t)
	o := s.debt(t) // 10 minutes cost 600, the wallet had 150
	if o.Quote.Total != 600 || o.Charged != 150 || o.Debt != 450 || o.Paid() != 600 {
		t.Errorf("order: total %d, charged %d, debt %d; want 600, 150, 450", o.Quote.Total, o.Charged, o.Debt)
	}
	if s.wallet().Posted != 0 || s.owed() != 450 {
		t.Errorf("wallet %+v, owed %d; want empty, 450", s.wallet(), s.owed())
	}
	s.refused(s.placing(), order.ErrDebt)
	s.topUp(ann, 449)
	if s.wallet().Posted != 0 || s.owed() != 1 {
		t.Errorf("after 449: wallet %d, owed %d; want 0, 1", s.wallet().Posted, s.owed())
	}
	s.refused(s.placing(), order.ErrDebt)
	s.topUp(ann, 1000)
	if s.wallet().Posted != 999 || s.owed() != 0 {
		t.Errorf("after 1000: wallet %d, owed %d; want 999, 0", s.wallet().Posted, s.owed())
	}
	s.place()
	s.books()
}

func TestADebtIsPaidAtOnceFromWhatElseTheWalletHas(t *testing.T) {
	s := ready(t)
	s.spend(5000 - bike.Least(nil))
	o, c := s.place()
	l := s.locks["bike-1"]
	s.hear(l.opens(c))
	s.topUp(ann, 300) // in the middle of the ride
	s.pass(10 * time.Minute)
	s.hear(l.closes())
	if o = s.wants(o.ID, order.Settled); o.Charged != 150 || o.Debt != 450 || s.wallet().Posted != 0 || s.owed() != 150 {
		t.Errorf("charged %d, debt %d, wallet %d, owed %d; want 150, 450, 0, 150", o.Charged, o.Debt, s.wallet().Posted, s.owed())
	}
	s.books()
}

// ride is a whole ride of Ann's on bike-1.
func (s *scene) ride(length time.Duration) order.Order {
	s.Helper()
	l := s.locks["bike-1"]
	s.hear(l.beat())
	o, c := s.place()
	s.hear(l.opens(c))
	s.pass(length)
	s.hear(l.closes())
	return s.wants(o.ID, order.Settled)
}

func TestADaysRidesCostNoMoreThanTheDayCap(t *testing.T) {
	s := ready(t)
	total := billing.Fen(0)
	for i, want := range []billing.Fen{700, 700, 100, 0, 0} { // each ride of 12 minutes costs 700, the day at most 1500
		o := s.ride(12 * time.Minute)
		if o.Quote.Total != want || o.Usage.DaySpent != total {
			t.Errorf("ride %d: got %d after %d, want %d after %d", i+1, o.Quote.Total, o.Usage.DaySpent, want, total)
		}
		total += o.Quote.Total
	}
	if s.wallet().Posted != 3500 || s.wallet().Held != 0 {
		t.Errorf("wallet: %+v, want 3500 and nothing held", s.wallet())
	}
	// What is refunded no longer counts for the day.
	first := s.store.Orders()[0]
	if err := s.refund(first.ID, 300, "goodwill"); err != nil {
		t.Fatal(err)
	}
	if o := s.ride(12 * time.Minute); o.Quote.Total != 300 || o.Usage.DaySpent != 1200 {
		t.Errorf("ride after a refund of 300: got %d after %d, want 300 after 1200", o.Quote.Total, o.Usage.DaySpent)
	}
	s.pass(24 * time.Hour)
	if o := s.ride(12 * time.Minute); o.Quote.Total != 700 || o.Usage.DaySpent != 0 {
		t.Errorf("ride on the next day: got %d after %d, want 700 after 0", o.Quote.Total, o.Usage.DaySpent)
	}
	s.books()
}

func TestRefundsNeverPassWhatWasBilled(t *testing.T) {
	s := ready(t)
	o := s.ride(10 * time.Minute) // 600
	for _, c := range []struct {
		key    string
		amount billing.Fen
		want   error
		left   billing.Fen // of the order's price
	}{
		{"zero", 0, order.ErrOverRefund, 600},
		{"negative", -1, order.ErrOverRefund, 600},
		{"a fen too much", 601, order.ErrOverRefund, 600},
		{"a part", 250, nil, 350},
		{"more than is left", 351, order.ErrOverRefund, 350},
		{"the largest number", math.MaxInt64, order.ErrOverRefund, 350},
		{"the rest", 350, nil, 0},
		{"once more", 1, order.ErrOverRefund, 0},
	} {
		if err := s.refund(o.ID, c.amount, c.key); !errors.Is(err, c.want) {
			t.Errorf("%s, %d fen: got %v, want %v", c.key, c.amount, err, c.want)
		}
		if got := s.order(o.ID).Paid(); got != c.left {
			t.Errorf("after %s: paid %d, want %d", c.key, got, c.left)
		}
	}
	if s.wallet().Posted != 5000 {
		t.Errorf("wallet: got %d, want all 5000 back", s.wallet().Posted)
	}
	s.books()
}

func TestARefundHappensOncePerKey(t *testing.T) {
	s := ready(t)
	o := s.ride(10 * time.Minute)
	for range 3 {
		if err := s.refund(o.ID, 100, "k"); err != nil {
			t.Fatal(err)
		}
	}
	if s.order(o.ID).Refunded != 100 || s.wallet().Posted != 4500 {
		t.Errorf("refunded %d, wallet %d; want 100 once, 4500", s.order(o.ID).Refunded, s.wallet().Posted)
	}
	if err := s.refund(o.ID, 200, "k"); !errors.Is(err, order.ErrKeyReused) {
		t.Errorf("the same key for another amount: got %v, want ErrKeyReused", err)
	}
}

func TestARefundPaysADebtFirst(t *testing.T) {
	s := ready(t)
	o := s.debt(t) // owes 450 of 600
	if err := s.refund(o.ID, 500, "k"); err != nil {
		t.Fatal(err)
	}
	if s.owed() != 0 || s.wallet().Posted != 50 {
		t.Errorf("owed %d, wallet %d; want 0, 50", s.owed(), s.wallet().Posted)
	}
	s.books()
}

func TestOnlySettledOrdersAreRefunded(t *testing.T) {
	for _, state := range []string{"starting", "unresolved", "active", "voided"} {
		s, _, o, _, _ := until(t, state)
		if err := s.refund(o.ID, 1, "k"); !errors.Is(err, order.ErrWrongState) {
			t.Errorf("%s: got %v, want ErrWrongState", state, err)
		}
	}
	s := ready(t)
	if err := s.refund("nothing", 1, "k"); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("no order: got %v, want ErrNotFound", err)
	}
	if _, err := s.money(order.Money{Rider: "nobody", Amount: 1, Key: order.KeyRef{Principal: "staff:s1", Key: "n"}}); !errors.Is(err, order.ErrNotFound) {
		t.Errorf("top-up of nobody: got %v, want ErrNotFound", err)
	}
	if _, err := s.money(order.Money{Rider: ann.ID, Amount: -1, Key: order.KeyRef{Principal: "staff:s1", Key: "m"}}); !errors.Is(err, billing.ErrBadAmount) {
		t.Errorf("top-up of -1: got %v, want ErrBadAmount", err)
	}
}

func TestALateEndThatProvesLessIsRefunded(t *testing.T) {
	for _, c := range []struct {
		name           string
		closedAfter    time.Duration
		refundedBefore billing.Fen
		refunded       billing.Fen
	}{
		{"less", 3 * time.Minute, 0, 350},                            // 250 instead of 600
		{"less, a part refunded already", 3 * time.Minute, 100, 350}, // 250 more
		{"less, but all of that refunded already", 3 * time.Minute, 400, 400},
		{"as much", 10 * time.Minute, 0, 0},
		{"more", 25 * time.Minute, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, l, o := riding(t)
			// The lock was shut, and its word of it is late; a beat from a forced bolt
			// made the ride look longer.
			s.pass(10 * time.Minute)
			s.hear(l.beat())
			s.must(o.ID, order.ForceEnd)
			if o = s.wants(o.ID, order.Settled); o.Quote.Total != 600 || o.EndedBy != order.StaffEnded || o.Usage.Measured != billing.LastProven {
				t.Fatalf("ended by staff: %d, %+v; want 600 to the last proven moment", o.Quote.Total, o.Usage)
			}
			if c.refundedBefore > 0 {
				if err := s.refund(o.ID, c.refundedBefore, "goodwill"); err != nil {
					t.Fatal(err)
				}
			}
			s.pass(20 * time.Minute)
			word := l.closes()
			word.Word.Evidence.Uptime = o.Spans[0].From + uint64(c.closedAfter.Milliseconds())
			s.hear(word, word)
			o = s.wants(o.ID, order.Settled)
			if o.Refunded != c.refunded || o.Quote.Total != 600 || s.wallet().Posted != 5000-600+c.refunded {
				t.Errorf("refunded %d, quote %d, wallet %d; want %d, 600, %d", o.Refunded, o.Quote.Total, s.wallet().Posted, c.refunded, 5000-600+c.refunded)
			}
			s.books()
		})
	}
}

func TestARideWithinOneBootIsADifferenceOfUptimes(t *testing.T) {
	s := ready(t)
	o, c := s.place()
	l := s.locks["bike-1"]
	opened := l.opens(c)
	s.pass(61 * time.Second)
	ended := l.closes()
	s.pass(7 * time.Hour) // no network until now
	s.hear(opened, ended)
	if o = s.wants(o.ID, order.Settled); o.Usage.BilledMS != 61_000 || o.Usage.Measured != billing.WithinBoot {
		t.Errorf("usage: %+v, want 61000 ms within the boot", o.Usage)
	}
}

func TestAForcedBoltNeverMakesARideLonger(t *testing.T) {
	for name, mix := range map[string]func(opened, ended, beat order.Hear) []order.Hear{
		"in order":           func(opened, ended, beat order.Hear) []order.Hear { return []order.Hear{opened, ended, beat} },
		"the beat overtakes": func(opened, ended, beat order.Hear) []order.Hear { return []order.Hear{opened, beat, ended} },
		"all the wrong way":  func(opened, ended, beat order.Hear) []order.Hear { return []order.Hear{beat, ended, opened} },
	} {
		s := ready(t)
		o, c := s.place()
		l := s.locks["bike-1"]
		opened := l.opens(c)
		s.pass(time.Minute)
		ended := l.closes()
		s.pass(9 * time.Minute)
		l.closed = false
		s.hear(mix(opened, ended, l.beat())...)
		if o = s.wants(o.ID, order.Settled); o.Usage.BilledMS != 60_000 {
			t.Errorf("%s: billed %d ms, want the 60000 that the lock states", name, o.Usage.BilledMS)
		}
	}
}

func TestARideAcrossBootsIsEstimatedOrShortest(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after bool // a beat of the first, of the second boot is heard
		want          int64
		measured      billing.Measured
	}{
		// It opened in the first boot; the second began, a second before its evidence,
		// 2:30 later and saw it closed after a minute more.
		{"both boots placed by a beat", true, true, 210_000, billing.AcrossBoots},
		{"the first never beat", false, true, 61_000, billing.Shortest},
		{"the second never beat", true, false, 61_000, billing.Shortest},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := ready(t)
			l := s.locks["bike-1"]
			if !c.before { // the boot of the start is one that only evidence knows
				s.hear(l.reboot())
			} else {
				s.hear(l.beat())
			}
			o, cmd := s.place()
			s.hear(l.opens(cmd))
			s.pass(2*time.Minute + 30*time.Second)
			s.hear(l.reboot())
			if c.after {
				s.hear(l.beat())
			}
			s.wants(o.ID, order.Active)
			s.pass(time.Minute)
			s.hear(l.closes())
			o = s.wants(o.ID, order.Settled)
			if o.Usage.BilledMS != c.want || o.Usage.Measured != c.measured || len(o.Spans) != 2 {
				t.Errorf("usage: %+v over %+v, want %d ms, %s", o.Usage, o.Spans, c.want, c.measured)
			}
			if o.Quote.Lines[1].Note != string(c.measured) {
				t.Errorf("the receipt says %q, want %q", o.Quote.Lines[1].Note, c.measured)
			}
			s.books()
		})
	}
}

func TestABoltFoundShutAtBootIsBilledToTheLastProvenMoment(t *testing.T) {
	s, l, o := riding(t)
	s.pass(4 * time.Minute)
	s.hear(l.beat())
	s.pass(time.Hour)
	l.closed = true
	s.hear(l.reboot())
	o = s.wants(o.ID, order.Settled)
	if o.EndedBy != order.FoundShut || o.Usage.BilledMS != 240_000 || o.Usage.Measured != billing.LastProven {
		t.Errorf("billed %+v by %s, want 240000 ms to the last proven moment", o.Usage, o.EndedBy)
	}
	if out := s.outlet("bike-1"); out.Order != "" || out.Block != "" {
		t.Errorf("outlet: %+v, want it free", out)
	}
	s.books()
}

func TestABeatThatOvertakesTheStartCounts(t *testing.T) {
	for name, mix := range map[string]func(opened, beat order.Hear) []order.Hear{
		"in order":           func(opened, beat order.Hear) []order.Hear { return []order.Hear{opened, beat} },
		"the beat overtakes": func(opened, beat order.Hear) []order.Hear { return []order.Hear{beat, opened} },
	} {
		s := ready(t)
		o, c := s.place()
		l := s.locks["bike-1"]
		opened := l.opens(c)
		s.pass(5 * time.Minute)
		s.hear(mix(opened, l.beat())...)
		s.must(o.ID, order.ForceEnd)
		if o = s.wants(o.ID, order.Settled); o.Usage.BilledMS != 300_000 {
			t.Errorf("%s: billed %d ms, want 300000", name, o.Usage.BilledMS)
		}
	}
}
