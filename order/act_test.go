package order_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func TestAnActIsRefusedWhereTheStateDoesNotAllowIt(t *testing.T) {
	allowed := map[string]map[order.ActInput]order.State{
		"starting":   {order.Cancel: order.Starting, order.Elapse: order.Starting},
		"unresolved": {order.Cancel: order.Unresolved, order.GiveUpNow: order.Voided, order.Elapse: order.Unresolved},
		"active":     {order.ForceEnd: order.Settled, order.Elapse: order.Active},
		"settled":    {order.End: order.Settled, order.Elapse: order.Settled},
		"voided":     {order.Elapse: order.Voided},
	}
	for state, acts := range allowed {
		for _, in := range []order.ActInput{order.Cancel, order.End, order.ForceEnd, order.GiveUpNow, order.Elapse, "", "wish"} {
			s, _, before, _, _ := until(t, state)
			want, ok := acts[in]
			if !ok {
				want = before.State
			}
			_, err := s.act(before.ID, in)
			stillOpen := in == order.End && state == "active"
			if ok != (err == nil) || err != nil && !stillOpen && !errors.Is(err, order.ErrWrongState) || stillOpen && !errors.Is(err, order.ErrStillOpen) {
				t.Errorf("%s in %s: got %v, want allowed %v", in, state, err, ok)
			}
			if o := s.order(before.ID); o.State != want {
				t.Errorf("%s in %s: got %s, want %s", in, state, o.State, want)
			}
			s.books()
		}
	}
}

func TestForeignOrdersAreHidden(t *testing.T) {
	s, _, o := riding(t)
	for _, in := range []order.ActInput{order.Cancel, order.End} {
		if _, err := s.act(o.ID, in, func(a *order.Act) { a.Rider = ben.ID }); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("%s of Ann's order by Ben: got %v, want ErrNotFound", in, err)
		}
		if _, err := s.act("nothing", in); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("%s of no order: got %v, want ErrNotFound", in, err)
		}
	}
}

func TestStaffGiveAReason(t *testing.T) {
	s, _, o := riding(t)
	audits := len(s.store.Audits())
	if _, err := s.act(o.ID, order.ForceEnd, func(a *order.Act) { a.Staff.Reason = "" }); !errors.Is(err, order.ErrReason) {
		t.Errorf("without a reason: got %v, want ErrReason", err)
	}
	s.wants(o.ID, order.Active)
	s.must(o.ID, order.ForceEnd)
	rows := s.store.Audits()
	if len(rows) != audits+1 || rows[audits].Object != "order "+o.ID || rows[audits].Staff != staff.Staff || len(rows[audits].Before) == 0 {
		t.Errorf("audit rows: %+v, want one more, of the order, with what was before", rows[audits:])
	}
}

func TestACancelIsAFenceAndTheDevicesWordDecides(t *testing.T) {
	cancelled := func(t *testing.T) (*scene, *lock, order.Order, device.Command, device.Command) {
		s := ready(t)
		o, c := s.place()
		s.must(o.ID, order.Cancel)
		sent := s.dispatched()
		if len(sent) != 1 || sent[0].Kind != device.Stop || sent[0].Seq != c.Seq+1 || sent[0].Order != o.ID {
			t.Fatalf("sent by the cancel: %+v, want one stop that names the order", sent)
		}
		s.must(o.ID, order.Cancel) // impatience
		if again := s.dispatched(); len(again) != 0 {
			t.Errorf("sent by the second cancel: %+v, want nothing", again)
		}
		s.wants(o.ID, order.Starting)
		s.pass(time.Second)
		return s, s.locks["bike-1"], o, c, sent[0]
	}
	t.Run("not executed: voided, nothing billed", func(t *testing.T) {
		s, l, o, c, fence := cancelled(t)
		l.burn(fence)
		s.hear(l.beat())
		if o = s.wants(o.ID, order.Voided); o.Reason != "cancelled" || o.Unproven || s.wallet().Held != 0 {
			t.Errorf("order: %s, unproven %v, held %d; want cancelled with proof and no hold", o.Reason, o.Unproven, s.wallet().Held)
		}
		if a, b := s.command(c.ID).State, s.command(fence.ID).State; a != device.NotExecuted || b != device.Spent {
			t.Errorf("commands: start %s, stop %s; want not executed, spent", a, b)
		}
		if out := s.outlet("bike-1"); out.Order != "" || out.Block != device.NotBlocked {
			t.Errorf("outlet: %+v, want it free", out)
		}
		s.must(o.ID, order.Cancel) // its effect is there
		s.books()
	})
	t.Run("not executed, but evidence is on its way: it waits", func(t *testing.T) {
		s, l, o, _, fence := cancelled(t)
		l.burn(fence)
		alarm := l.piece(device.Alarm)
		s.hear(l.beat())
		s.wants(o.ID, order.Starting)
		s.hear(alarm)
		s.wants(o.ID, order.Voided)
	})
	t.Run("executed: a ride like any other", func(t *testing.T) {
		s, l, o, c, fence := cancelled(t)
		opened := l.opens(c)
		l.burn(fence)
		s.hear(l.beat())
		s.wants(o.ID, order.Starting) // a higher number is burned, but its evidence is missing
		s.hear(opened)
		s.wants(o.ID, order.Active)
		s.pass(time.Minute)
		s.hear(l.closes())
		if o = s.wants(o.ID, order.Settled); o.Quote.Total != 150 {
			t.Errorf("bill: got %d, want 150", o.Quote.Total)
		}
		s.books()
	})
	t.Run("rejected by itself", func(t *testing.T) {
		s, l, o, c, _ := cancelled(t)
		s.hear(l.rejects(c))
		s.wants(o.ID, order.Voided)
	})
}

func TestSilenceLeavesAnOrderUnresolved(t *testing.T) {
	s := ready(t)
	o, c := s.place()
	s.pass(14_999 * time.Millisecond)
	s.must(o.ID, order.Elapse)
	s.wants(o.ID, order.Starting)
	s.pass(time.Millisecond)
	s.must(o.ID, order.Elapse)
	o = s.wants(o.ID, order.Unresolved)
	if !o.DueAt.Equal(s.now.Add(10*time.Minute)) || s.wallet().Held != o.HoldFen {
		t.Errorf("unresolved: due %v, held %d; want in 10 min, the hold kept", o.DueAt, s.wallet().Held)
	}
	sent := s.dispatched()
	if len(sent) != 1 || sent[0].Kind != device.Probe || sent[0].Seq != c.Seq+1 {
		t.Errorf("sent: %+v, want a probe with the next number", sent)
	}
	l := s.locks["bike-1"]
	s.hear(l.beat()) // past the expiry in the same boot, number not burned
	if o = s.wants(o.ID, order.Voided); o.Reason != "not_executed" || o.Unproven {
		t.Errorf("order: %s, unproven %v; want not_executed with proof", o.Reason, o.Unproven)
	}
	if again := s.dispatched(); len(again) != 1 || again[0].ID != sent[0].ID {
		t.Errorf("sent on the word after a silence: %+v, want the unanswered probe again", again)
	}
	s.books()
}

func TestABeatPastTheExpiryProvesItTheMomentTheDeadlinePasses(t *testing.T) {
	s := ready(t)
	o, _ := s.place()
	s.pass(15 * time.Second)
	s.hear(s.locks["bike-1"].beat())
	s.wants(o.ID, order.Voided)
	s.dispatched()
	s.must(o.ID, order.Elapse)
	if sent := s.dispatched(); len(sent) != 0 {
		t.Errorf("sent for an order that is over: %+v", sent)
	}
}

func TestPatienceEndsForTheRiderAndTheOutletWaits(t *testing.T) {
	start := func(t *testing.T) (*scene, *lock, order.Order, device.Command) {
		s := ready(t)
		o, c := s.place()
		s.pass(15 * time.Second)
		s.must(o.ID, order.Elapse)
		s.pass(10 * time.Minute)
		s.must(o.ID, order.Elapse)
		o = s.wants(o.ID, order.Voided)
		if !o.Unproven || o.Slot != 0 || s.wallet().Held != 0 || o.Paid() != 0 {
			t.Errorf("order: %+v, want unproven, no slot, no hold, nothing paid", o)
		}
		if out := s.outlet("bike-1"); out.Order != "" || out.Block != device.Unproven {
			t.Errorf("outlet: %+v, want it blocked", out)
		}
		if c := s.command(c.ID); !c.State.Open() {
			t.Errorf("start: %s, want it open still", c.State)
		}
		s.lock("bike-2")
		s.place(on("bike-2")) // the rider is free
		return s, s.locks["bike-1"], o, c
	}
	block := func(s *scene, want device.Block) {
		s.Helper()
		if out := s.outlet("bike-1"); out.Block != want || out.Order != "" {
			s.Errorf("outlet: block %q, order %q; want %q, none", out.Block, out.Order, want)
		}
	}
	t.Run("not executed: unblocked", func(t *testing.T) {
		s, l, o, c := start(t)
		s.hear(l.beat())
		block(s, device.NotBlocked)
		if got := s.command(c.ID).State; got != device.NotExecuted || !slices.Equal(s.itemKinds(), []string{order.ItemUnproven}) {
			t.Errorf("start %s, items %v; want not executed, the first item alone", got, s.itemKinds())
		}
		s.wants(o.ID, order.Voided)
		s.books()
	})
	t.Run("rejected: unblocked", func(t *testing.T) {
		s, l, _, c := start(t)
		s.hear(l.rejects(c))
		block(s, device.NotBlocked)
	})
	t.Run("executed after all: an item, and blocked until closed", func(t *testing.T) {
		s, l, o, c := start(t)
		s.hear(l.opens(c), l.beat())
		block(s, device.AwaitClosed)
		if kinds := s.itemKinds(); !slices.Contains(kinds, order.ItemLateExecuted) {
			t.Errorf("items: got %v, want the late start", kinds)
		}
		p := s.placing()
		by(ben)(&p)
		s.topUp(ben, 5000)
		p.Ticket.Rider = ben.ID
		s.refused(p, order.ErrOutletBlocked)
		s.pass(time.Hour)
		s.hear(l.closes())
		block(s, device.NotBlocked)
		if o = s.wants(o.ID, order.Voided); o.Paid() != 0 {
			t.Errorf("paid: got %d, want nothing", o.Paid())
		}
		s.books()
	})
	t.Run("executed and ended, both late and together", func(t *testing.T) {
		s, l, o, c := start(t)
		opened := l.opens(c)
		s.pass(time.Minute)
		s.hear(l.closes(), opened)
		block(s, device.NotBlocked)
		s.wants(o.ID, order.Voided)
	})
	t.Run("the whole use, its start lost", func(t *testing.T) {
		s, l, _, c := start(t)
		l.opens(c)
		s.pass(time.Minute)
		ended := l.closes()
		l.lowest = l.seq
		s.hear(l.beat(), ended)
		block(s, device.NotBlocked)
		if got := s.command(c.ID).State; got != device.Executed || !slices.Contains(s.itemKinds(), order.ItemLateExecuted) {
			t.Errorf("start %s, items %v; want executed and an item", got, s.itemKinds())
		}
	})
	t.Run("a power cut in the middle", func(t *testing.T) {
		s, l, _, c := start(t)
		s.hear(l.cut(c))
		block(s, device.NotBlocked) // its boot states the bolt shut
		if got := s.command(c.ID).State; got != device.OutcomeUnknown {
			t.Errorf("start: got %s, want outcome unknown", got)
		}
	})
	t.Run("provisioned anew: free, and what the start did stays unknown", func(t *testing.T) {
		s, _, _, c := start(t)
		s.lock("bike-1")
		block(s, device.NotBlocked)
		if got := s.command(c.ID).State; got != device.OutcomeUnknown {
			t.Errorf("start: got %s, want outcome unknown", got)
		}
	})
}

func TestAnUnknownOutcomeIsNeverBilled(t *testing.T) {
	for _, state := range []string{"starting", "unresolved"} {
		s, l, o, c, _ := until(t, state)
		s.hear(l.cut(c))
		if o = s.wants(o.ID, order.Voided); o.Reason != "outcome_unknown" || s.wallet().Held != 0 || o.Paid() != 0 {
			t.Errorf("%s: %s, held %d, paid %d; want outcome_unknown and no money moved", state, o.Reason, s.wallet().Held, o.Paid())
		}
		if c := s.command(c.ID); c.State != device.OutcomeUnknown {
			t.Errorf("%s: start %s, want outcome unknown", state, c.State)
		}
		if out := s.outlet("bike-1"); out.Order != "" || out.Block != device.NotBlocked {
			t.Errorf("%s: outlet %+v, want it free, its boot states it closed", state, out)
		}
		if kinds := s.itemKinds(); !slices.Equal(kinds, []string{order.ItemUnknown}) {
			t.Errorf("%s: items %v, want the unknown outcome", state, kinds)
		}
		s.books()
	}
	t.Run("and the outlet waits while it is not stated closed", func(t *testing.T) {
		s, l, _, c, _ := until(t, "starting")
		word := l.cut(c)
		word.Word.Evidence.Closed = false
		s.hear(word)
		if out := s.outlet("bike-1"); out.Block != device.AwaitClosed {
			t.Errorf("outlet: %+v, want it waiting", out)
		}
		s.pass(time.Second)
		s.hear(l.beat())
		if out := s.outlet("bike-1"); out.Block != device.NotBlocked {
			t.Errorf("outlet after a closed beat: %+v, want it free", out)
		}
	})
}

func TestARiderEndsARideWhoseLockIsProvedClosed(t *testing.T) {
	s, l, o := riding(t)
	s.pass(2 * time.Minute)
	s.hear(l.beat())
	refused := func(when string) {
		t.Helper()
		if _, err := s.act(o.ID, order.End, func(a *order.Act) { a.Rider = ann.ID }); !errors.Is(err, order.ErrStillOpen) {
			t.Errorf("%s: got %v, want ErrStillOpen", when, err)
		}
		s.wants(o.ID, order.Active)
	}
	refused("while it is open")
	s.pass(time.Minute)
	l.closes()
	s.hear(l.beat())
	refused("while evidence is still on its way")
	// The end of the ride fell out of the lock's memory.
	l.lowest = l.seq + 1
	s.pass(time.Minute)
	s.hear(l.beat())
	s.must(o.ID, order.End)
	o = s.wants(o.ID, order.Settled)
	if o.EndedBy != order.RiderEnded || o.Usage.Measured != billing.LastProven || o.Usage.BilledMS != 120_000 || o.Quote.Total != 200 {
		t.Errorf("bill: %d for %+v by %s; want 200 for the 120000 ms up to the last open beat", o.Quote.Total, o.Usage, o.EndedBy)
	}
	s.must(o.ID, order.End) // asked again
	s.books()
}

func TestTheWatchdogEndsARideThatNeverEnds(t *testing.T) {
	s, l, o := riding(t)
	s.pass(3 * time.Minute)
	s.hear(l.beat())
	s.pass(24*time.Hour - 3*time.Minute - time.Millisecond)
	s.must(o.ID, order.Elapse)
	s.wants(o.ID, order.Active)
	s.pass(time.Millisecond)
	s.must(o.ID, order.Elapse)
	o = s.wants(o.ID, order.Settled)
	if o.EndedBy != order.Watchdog || o.Usage.BilledMS != 180_000 || o.Usage.Measured != billing.LastProven {
		t.Errorf("billed %+v by %s, want 180000 ms to the last proven moment by the watchdog", o.Usage, o.EndedBy)
	}
	if out := s.outlet("bike-1"); out.Block != device.AwaitClosed || !slices.Equal(s.itemKinds(), []string{order.ItemWatchdog}) {
		t.Errorf("outlet %+v, items %v; want it waiting, the item", out, s.itemKinds())
	}
	s.hear(l.closes())
	if out := s.outlet("bike-1"); out.Block != device.NotBlocked {
		t.Errorf("outlet after it closed: %+v, want it free", out)
	}
	s.books()
}

func TestStaffInstructADeviceWithAReason(t *testing.T) {
	s := ready(t)
	ctx := context.Background()
	instruct := func(kind device.CommandKind, bend ...func(*order.Instruct)) (device.Command, error) {
		i := order.Instruct{Device: "bike-1", Outlet: 1, Kind: kind, Staff: staff}
		for _, f := range bend {
			f(&i)
		}
		return s.svc.Instruct(ctx, i)
	}
	for n, kind := range []device.CommandKind{device.Ring, device.Probe, device.Stop} {
		audits := len(s.store.Audits())
		c, err := instruct(kind)
		if err != nil || c.Kind != kind || c.Seq != uint64(n+1) || kind.Expires() != (c.NotAfter > 0) {
			t.Errorf("%s: got %+v, %v, want number %d", kind, c, err, n+1)
		}
		if len(s.store.Audits()) != audits+1 {
			t.Errorf("%s: %d audit rows more, want 1", kind, len(s.store.Audits())-audits)
		}
	}
	for name, c := range map[string]struct {
		kind device.CommandKind
		bend func(*order.Instruct)
		want error
	}{
		"a start":            {device.Start, func(*order.Instruct) {}, order.ErrWrongState},
		"an unknown kind":    {"dance", func(*order.Instruct) {}, order.ErrWrongState},
		"no reason":          {device.Stop, func(i *order.Instruct) { i.Staff.Reason = "" }, order.ErrReason},
		"an unknown device":  {device.Stop, func(i *order.Instruct) { i.Device = "bike-9" }, order.ErrNotFound},
		"an unknown outlet":  {device.Stop, func(i *order.Instruct) { i.Outlet = 9 }, order.ErrNotFound},
		"a ring to a silent": {device.Ring, func(*order.Instruct) { s.pass(device.SampleLife) }, order.ErrOffline},
	} {
		if _, err := instruct(c.kind, c.bend); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestARingIsAnsweredWithoutAnOrder(t *testing.T) {
	for name, c := range map[string]struct {
		word func(l *lock, c device.Command) order.Hear
		want device.CommandState
	}{
		"it rang":          {func(l *lock, c device.Command) order.Hear { l.burn(c); return l.piece(device.SeenExecuted, about(c)) }, device.Executed},
		"it refused":       {(*lock).rejects, device.Rejected},
		"it never heard":   {func(l *lock, _ device.Command) order.Hear { l.s.pass(16 * time.Second); return l.beat() }, device.NotExecuted},
		"nobody knows yet": {func(l *lock, _ device.Command) order.Hear { return l.beat() }, device.Published},
	} {
		s := ready(t)
		ring, err := s.svc.Instruct(context.Background(), order.Instruct{Device: "bike-1", Outlet: 1, Kind: device.Ring, Staff: staff})
		if err != nil {
			t.Fatal(err)
		}
		s.pass(time.Second)
		s.hear(c.word(s.locks["bike-1"], ring))
		if got := s.command(ring.ID).State; got != c.want || len(s.itemKinds()) != 0 {
			t.Errorf("%s: got %s and items %v, want %s and none", name, got, s.itemKinds(), c.want)
		}
	}
}
