package order_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// paused is a ride whose lock was shut for a pause, ten minutes after it began.
func paused(t *testing.T) (*scene, *lock, order.Order) {
	t.Helper()
	s, l, o := riding(t)
	s.pass(10 * time.Minute)
	s.must(o.ID, order.PauseIt)
	s.pass(20 * time.Second)
	s.hear(l.closes(), l.beat())
	return s, l, s.wantsPause(o.ID, order.PausePaused)
}

func (s *scene) wantsPause(id string, state order.PauseState) order.Order {
	s.Helper()
	o := s.wants(id, order.Active)
	if got := o.Pause; state == "" && got != nil || state != "" && (got == nil || got.State != state) {
		s.Fatalf("pause is %+v, want %q", got, state)
	}
	return o
}

// resumes asks for another start, which it returns.
func (s *scene) resumes(id string) device.Command {
	s.Helper()
	s.dispatched()
	s.must(id, order.ResumeIt)
	sent := s.dispatched()
	if len(sent) != 1 || sent[0].Kind != device.Start || sent[0].Order != id {
		s.Fatalf("resume dispatched %+v, want one start of the order", sent)
	}
	return sent[0]
}

func billed(o order.Order) time.Duration { return time.Duration(o.Usage.BilledMS) * time.Millisecond }

func TestAPauseKeepsTheBikeAndItsTimeCountsLikeRiding(t *testing.T) {
	s, l, o := paused(t)
	if out := s.outlet("bike-1"); out.Order != o.ID || out.Block != device.NotBlocked {
		t.Errorf("the outlet of a paused ride: %+v", out)
	}
	if _, err := s.svc.Place(t.Context(), s.placing()); !errors.Is(err, order.ErrOutletBusy) {
		t.Errorf("another order on a paused bike: %v, want ErrOutletBusy", err)
	}
	if want := s.now.Add(15 * time.Minute); !o.DueAt.Equal(want) || !o.Pause.Until.Equal(want) {
		t.Errorf("due %v, until %v, want %v", o.DueAt, o.Pause.Until, want)
	}
	s.pass(5 * time.Minute)
	s.hear(l.beat())
	c := s.resumes(o.ID)
	if c.Seq <= o.Seq || c.ID == o.Command {
		t.Errorf("the second start is #%d, the first was #%d", c.Seq, o.Seq)
	}
	s.wantsPause(o.ID, order.PauseResuming)
	s.hear(l.opens(c))
	s.wantsPause(o.ID, "")
	s.pass(3 * time.Minute)
	s.hear(l.closes())
	o = s.wants(o.ID, order.Settled)
	if want := 10*time.Minute + 20*time.Second + 5*time.Minute + 3*time.Minute; billed(o) != want || o.Usage.Measured != billing.WithinBoot || o.EndedBy != order.DeviceEnded {
		t.Errorf("billed %v (%s) by %s, want %v", billed(o), o.Usage.Measured, o.EndedBy, want)
	}
	var inputs []order.Input
	moves, _ := s.store.Moves(t.Context(), o.ID)
	for _, m := range moves {
		inputs = append(inputs, m.Input)
	}
	if want := []order.Input{order.Authorised, order.Executed, order.PauseWanted, order.PauseBegan, order.ResumeWanted, order.Resumed,
		order.DeviceEnded, order.Captured}; !slices.Equal(inputs, want) {
		t.Errorf("history %v, want %v", inputs, want)
	}
	s.books()
}

func TestAPauseThatNobodyResumesEndsTheRideAtTheClosing(t *testing.T) {
	s, _, o := paused(t)
	s.pass(15*time.Minute - time.Millisecond)
	s.must(o.ID, order.Elapse)
	s.wantsPause(o.ID, order.PausePaused)
	s.pass(time.Millisecond)
	s.must(o.ID, order.Elapse)
	o = s.wants(o.ID, order.Settled)
	if billed(o) != 10*time.Minute+20*time.Second || o.EndedBy != order.PauseOver || o.Usage.Measured != billing.WithinBoot {
		t.Errorf("billed %v (%s) by %s, want the time up to the closing", billed(o), o.Usage.Measured, o.EndedBy)
	}
	if out := s.outlet("bike-1"); out.Order != "" || out.Block != device.NotBlocked {
		t.Errorf("the outlet afterwards: %+v, want free", out)
	}
	if _, err := s.act(o.ID, order.ResumeIt); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("resume after the end: %v, want ErrWrongState", err)
	}
	s.books()
}

func TestTheRiderEndsAPausedRideAtTheClosing(t *testing.T) {
	s, l, o := paused(t)
	s.pass(4 * time.Minute)
	s.hear(l.beat())
	s.must(o.ID, order.End)
	o = s.wants(o.ID, order.Settled)
	if billed(o) != 10*time.Minute+20*time.Second || o.Usage.Measured != billing.WithinBoot {
		t.Errorf("billed %v (%s)", billed(o), o.Usage.Measured)
	}
	s.must(o.ID, order.End)
	s.books()
}

func TestAClosingThatNobodyAskedToBeAPauseEndsTheRide(t *testing.T) {
	for name, do := range map[string]func(s *scene, l *lock, id string){
		"not asked":  func(*scene, *lock, string) {},
		"taken back": func(s *scene, _ *lock, id string) { s.must(id, order.PauseIt); s.must(id, order.ResumeIt) },
		"too late":   func(s *scene, _ *lock, id string) { s.must(id, order.PauseIt); s.pass(2*time.Minute + time.Second) },
		"too late in a new boot": func(s *scene, l *lock, id string) {
			s.must(id, order.PauseIt)
			s.pass(2 * time.Minute)
			s.hear(l.reboot())
			s.pass(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, l, o := riding(t)
			s.pass(time.Minute)
			do(s, l, o.ID)
			s.hear(l.closes())
			s.wants(o.ID, order.Settled)
		})
	}
}

// TestALateWordOfAClosingInTimeIsAPause: the lock was shut in time, where nobody heard it.
func TestALateWordOfAClosingInTimeIsAPause(t *testing.T) {
	s, l, o := riding(t)
	s.pass(time.Minute)
	s.hear(l.beat())
	s.must(o.ID, order.PauseIt)
	s.pass(time.Minute)
	closing := l.closes()
	s.pass(20 * time.Minute)
	s.must(o.ID, order.Elapse)
	s.hear(closing)
	s.wantsPause(o.ID, order.PausePaused)
}

func TestAskingTwiceChangesNothing(t *testing.T) {
	s, l, o := riding(t)
	for range 2 {
		s.must(o.ID, order.PauseIt)
	}
	v := s.order(o.ID).Version
	s.pass(time.Minute)
	if s.must(o.ID, order.PauseIt); s.order(o.ID).Version != v {
		t.Error("a second tap wrote something")
	}
	s.hear(l.closes(), l.beat())
	s.must(o.ID, order.PauseIt)
	s.resumes(o.ID)
	s.must(o.ID, order.ResumeIt)
	if sent := s.dispatched(); len(sent) != 0 {
		t.Errorf("a second resume sent %+v", sent)
	}
	if _, err := s.act(o.ID, order.PauseIt); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("a pause while resuming: %v, want ErrWrongState", err)
	}
	if _, err := s.act(o.ID, order.RingIt); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("a ring, whose number would fence the start: %v, want ErrWrongState", err)
	}
}

func TestAResumptionThatFailsLeavesTheRidePaused(t *testing.T) {
	for name, fails := range map[string]struct {
		do     func(s *scene, l *lock, c device.Command)
		reason string
		items  []string
	}{
		"refused":     {func(s *scene, l *lock, c device.Command) { s.hear(l.rejects(c)) }, "low_battery", nil},
		"jammed":      {func(s *scene, l *lock, c device.Command) { s.hear(l.jams(c)) }, "failed_jam", nil},
		"cannot tell": {func(s *scene, l *lock, c device.Command) { s.hear(l.cut(c)) }, "outcome_unknown", []string{order.ItemUnknown}},
		"fenced": {func(s *scene, l *lock, c device.Command) {
			s.pass(16 * time.Second)
			s.must(c.Order, order.Elapse)
			s.hear(l.beat())
		}, "not_executed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, l, o := paused(t)
			fails.do(s, l, s.resumes(o.ID))
			again := s.wantsPause(o.ID, order.PausePaused)
			if again.Pause.Reason != fails.reason || !again.DueAt.Equal(o.DueAt) || !slices.Equal(s.itemKinds(), fails.items) {
				t.Errorf("reason %q, due %v, items %v; want %q, %v, %v", again.Pause.Reason, again.DueAt, s.itemKinds(), fails.reason, o.DueAt, fails.items)
			}
			s.hear(l.beat())
			s.hear(l.opens(s.resumes(o.ID)))
			s.wantsPause(o.ID, "")
		})
	}
}

func TestAnUnansweredResumptionForbidsAnother(t *testing.T) {
	s, l, o := paused(t)
	c := s.resumes(o.ID)
	s.pass(16 * time.Second)
	s.must(o.ID, order.Elapse)
	if sent := s.dispatched(); len(sent) != 1 || sent[0].Kind != device.Probe {
		t.Errorf("after the deadline: %+v, want a probe", sent)
	}
	s.must(o.ID, order.ResumeIt)
	s.pass(time.Second)
	for _, k := range s.dispatched() {
		if k.Kind == device.Start {
			t.Errorf("a second start #%d while #%d is unresolved", k.Seq, c.Seq)
		}
	}
	s.hear(l.opens(c)) // it moved in time, and says so late
	s.wantsPause(o.ID, "")
}

func TestAnEndWhileResumingFencesFirst(t *testing.T) {
	for name, opens := range map[string]bool{"fenced": false, "it opened first": true} {
		t.Run(name, func(t *testing.T) {
			s, l, o := paused(t)
			c := s.resumes(o.ID)
			s.must(o.ID, order.End)
			s.wantsPause(o.ID, order.PauseResuming)
			sent := s.dispatched()
			if len(sent) != 1 || sent[0].Kind != device.Stop {
				t.Fatalf("an end while resuming sent %+v, want a fence", sent)
			}
			if opens {
				s.hear(l.opens(c))
				if o := s.wantsPause(o.ID, ""); o.Cancelling {
					t.Error("an open lock waits for its cancellation")
				}
				return
			}
			l.burn(sent[0])
			s.hear(l.beat())
			o = s.wants(o.ID, order.Settled)
			if billed(o) != 10*time.Minute+20*time.Second || o.EndedBy != order.RiderEnded {
				t.Errorf("billed %v by %s", billed(o), o.EndedBy)
			}
		})
	}
}

// TestALateOpeningAfterThePauseWasGivenUp: nobody pays for it, staff hear of it, and the
// bike waits until it is proved closed.
func TestALateOpeningAfterThePauseWasGivenUp(t *testing.T) {
	s, l, o := paused(t)
	c := s.resumes(o.ID)
	for _, d := range []time.Duration{16 * time.Second, 11 * time.Minute} {
		s.pass(d)
		s.must(o.ID, order.Elapse)
	}
	o = s.wants(o.ID, order.Settled)
	if out := s.outlet("bike-1"); out.Order != "" || out.Block != device.AwaitClosed {
		t.Fatalf("the outlet beside an open start: %+v, want blocked", out)
	}
	if !slices.Equal(s.itemKinds(), []string{order.ItemUnproven}) {
		t.Errorf("items %v", s.itemKinds())
	}
	opened := l.opens(c)
	s.hear(opened, l.beat())
	if out := s.outlet("bike-1"); out.Block != device.AwaitClosed || !slices.Contains(s.itemKinds(), order.ItemLateExecuted) {
		t.Errorf("after it opened: %+v, items %v", out, s.itemKinds())
	}
	s.pass(time.Minute)
	s.hear(l.closes(), l.beat())
	if out := s.outlet("bike-1"); out.Block != device.NotBlocked {
		t.Errorf("proved closed: %+v, want free", out)
	}
	if after := s.order(o.ID); after.Paid() != o.Paid() {
		t.Errorf("paid %d, then %d", o.Paid(), after.Paid())
	}
	s.books()
}

func TestABootWhilePausedLeavesItPausedAndItsTimeUnproved(t *testing.T) {
	s, l, o := paused(t)
	s.pass(time.Minute)
	s.hear(l.reboot(), l.beat())
	s.wantsPause(o.ID, order.PausePaused)
	s.pass(time.Minute)
	l.closed = false // torn open
	s.hear(l.piece(device.Alarm, because("forced_open")), l.beat())
	if !slices.Equal(s.itemKinds(), []string{order.ItemAlarm}) {
		t.Errorf("items %v, want an alarm", s.itemKinds())
	}
	if _, err := s.act(o.ID, order.ResumeIt); !errors.Is(err, order.ErrOutletOpen) {
		t.Errorf("resume of a bike that is open: %v, want ErrOutletOpen", err)
	}
	s.pass(20 * time.Minute)
	s.must(o.ID, order.Elapse)
	o = s.wants(o.ID, order.Settled)
	if billed(o) != 10*time.Minute+20*time.Second {
		t.Errorf("billed %v, want the time up to the closing", billed(o))
	}
	if out := s.outlet("bike-1"); out.Block != device.AwaitClosed {
		t.Errorf("a bike that is open: %+v, want blocked", out)
	}
}

// TestABikeTornOpenWhilePausedIsNotBilledFor: whoever tore it open, the rider had locked it.
func TestABikeTornOpenWhilePausedIsNotBilledFor(t *testing.T) {
	s, l, o := paused(t)
	s.pass(time.Minute)
	l.closed = false
	s.hear(l.piece(device.Alarm, because("forced_open")), l.beat())
	s.pass(4 * time.Minute)
	s.hear(l.beat())
	l.closed = true
	s.pass(time.Minute)
	s.hear(l.beat())
	s.must(o.ID, order.End)
	if o = s.wants(o.ID, order.Settled); billed(o) != 10*time.Minute+20*time.Second {
		t.Errorf("billed %v, want the time up to the closing", billed(o))
	}
}

func TestARideGoesOnInAnotherBootAfterAPause(t *testing.T) {
	s, l, o := paused(t)
	s.pass(time.Minute)
	s.hear(l.reboot(), l.beat())
	s.pass(time.Minute)
	s.hear(l.beat())
	s.hear(l.opens(s.resumes(o.ID)))
	s.pass(2 * time.Minute)
	s.hear(l.closes())
	o = s.wants(o.ID, order.Settled)
	if want := 14*time.Minute + 20*time.Second; billed(o) != want || o.Usage.Measured != billing.AcrossBoots {
		t.Errorf("billed %v (%s), want %v", billed(o), o.Usage.Measured, want)
	}
}

func TestAResumptionWhoseOpeningIsLostIsImpliedByItsEnd(t *testing.T) {
	s, l, o := paused(t)
	c := s.resumes(o.ID)
	l.opens(c) // its word is lost for good
	s.pass(time.Minute)
	closing := l.closes()
	l.lowest = l.seq
	s.hear(l.beat(), closing)
	o = s.wants(o.ID, order.Settled)
	if billed(o) != 11*time.Minute+20*time.Second || s.command(c.ID).State != device.Executed {
		t.Errorf("billed %v, the start is %s", billed(o), s.command(c.ID).State)
	}
	for i, ref := range o.Evidence {
		if slices.Contains(o.Evidence[:i], ref) {
			t.Errorf("the receipt names %s twice", ref)
		}
	}
}

func TestStaffEndARideThatIsBeingResumed(t *testing.T) {
	s, l, o := paused(t)
	c := s.resumes(o.ID)
	s.must(o.ID, order.ForceEnd)
	o = s.wants(o.ID, order.Settled)
	if out := s.outlet("bike-1"); out.Block != device.AwaitClosed || billed(o) != 10*time.Minute+20*time.Second {
		t.Fatalf("billed %v; the outlet beside an open start: %+v, want blocked", billed(o), out)
	}
	sent := s.dispatched()
	if len(sent) != 1 || sent[0].Kind != device.Stop {
		t.Fatalf("sent %+v, want a fence", sent)
	}
	l.burn(sent[0])
	s.hear(l.beat())
	if out := s.outlet("bike-1"); out.Block != device.NotBlocked || s.command(c.ID).State != device.NotExecuted {
		t.Errorf("fenced: %+v, the start is %s", out, s.command(c.ID).State)
	}
}

func TestWhatADeviceCannotStartIsNotResumed(t *testing.T) {
	s, _, o := paused(t)
	s.pass(11 * time.Minute)
	if _, err := s.act(o.ID, order.ResumeIt); !errors.Is(err, order.ErrOffline) {
		t.Errorf("resume of a silent lock: %v, want ErrOffline", err)
	}
	if sent := s.dispatched(); len(sent) != 1 || sent[0].Kind != device.Probe {
		t.Errorf("a silent lock was sent %+v, want a probe, so that the next try may go", sent)
	}
	s.wantsPause(o.ID, order.PausePaused)
}

func TestAWordOfAnEarlierOpeningMovesNothing(t *testing.T) {
	s, l, o := paused(t)
	c := s.resumes(o.ID)
	first := s.command(o.Command)
	if h := s.hear(l.piece(device.SaidEnded, about(first))); h.Quarantined != 1 {
		t.Errorf("an end of the first opening while resuming: %+v, want quarantined", h)
	}
	s.wantsPause(o.ID, order.PauseResuming)
	s.hear(l.opens(c))
	s.wantsPause(o.ID, "")
}

func TestAPumpIsNotPaused(t *testing.T) {
	s, _, o := fuelling(t)
	if _, err := s.act(o.ID, order.PauseIt); !errors.Is(err, order.ErrWrongState) {
		t.Errorf("pause of a sale: %v, want ErrWrongState", err)
	}
}

func TestAPauseMovesOnlyAsItsTableSays(t *testing.T) {
	for state, inputs := range map[order.PauseState][]order.Input{"": {order.PauseBegan, order.Resumed, order.PauseDropped, order.ResumeWanted},
		order.PauseAsked: {order.ResumeWanted, order.Resumed, order.ResumeFailed}, order.PausePaused: {order.PauseWanted, order.Resumed, order.PauseBegan, order.ResumeFailed},
		order.PauseResuming: {order.ResumeWanted, order.PauseWanted, order.PauseBegan}, "melted": {order.PauseWanted}} {
		for _, in := range inputs {
			if to, err := state.Next(in); !errors.Is(err, order.ErrWrongState) || to != state {
				t.Errorf("%q on %s: %q, %v, want ErrWrongState", state, in, to, err)
			}
		}
	}
}

func TestAPauseEndsWithTheLongestTime(t *testing.T) {
	s, l, o := riding(t)
	s.pass(24*time.Hour - 5*time.Minute)
	s.hear(l.beat())
	s.must(o.ID, order.PauseIt)
	s.hear(l.closes(), l.beat())
	last := o.ActiveAt.Add(24 * time.Hour)
	if o = s.wantsPause(o.ID, order.PausePaused); !o.DueAt.Equal(last) || !o.Pause.Until.Equal(last) {
		t.Errorf("due %v, until %v, want %v", o.DueAt, o.Pause.Until, last)
	}
	s.pass(5*time.Minute - 15*time.Second)
	s.hear(l.beat())
	s.dispatched()
	if _, err := s.act(o.ID, order.ResumeIt); !errors.Is(err, order.ErrWrongState) || len(s.dispatched()) != 0 {
		t.Errorf("a resumption that the watchdog would end at once: %v, want ErrWrongState and no start", err)
	}
	s.pass(15 * time.Second)
	s.must(o.ID, order.Elapse)
	if o = s.wants(o.ID, order.Settled); o.EndedBy != order.PauseOver {
		t.Errorf("ended by %s, want %s", o.EndedBy, order.PauseOver)
	}
}

func TestAResumptionShortOfTheLongestTimeOpens(t *testing.T) {
	s, l, o := riding(t)
	s.pass(24*time.Hour - 5*time.Minute)
	s.hear(l.beat())
	s.must(o.ID, order.PauseIt)
	s.hear(l.closes(), l.beat())
	s.pass(5*time.Minute - 16*time.Second)
	s.hear(l.beat())
	s.hear(l.opens(s.resumes(o.ID)))
	s.must(o.ID, order.Elapse)
	s.wantsPause(o.ID, "")
}

// TestAStartThatAnOlderProgramClosed: it knew of no pauses, and closed the start without a
// word to its order.
func TestAStartThatAnOlderProgramClosed(t *testing.T) {
	for said, c := range map[device.CommandInput]struct {
		pause  order.PauseState
		reason string
	}{device.Execute: {"", ""}, device.Reject: {order.PausePaused, "rejected"}, device.Fence: {order.PausePaused, "not_executed"}} {
		t.Run(string(said), func(t *testing.T) {
			s, l, o := paused(t)
			start := s.resumes(o.ID)
			closed, err := s.command(start.ID).Move(said, s.now)
			if err == nil {
				err = s.store.Apply(t.Context(), order.Changes{Commands: []device.Command{closed}})
			}
			if err != nil {
				t.Fatal(err)
			}
			s.pass(16 * time.Second)
			s.must(o.ID, order.Elapse)
			o = s.wantsPause(o.ID, c.pause)
			if o.Pause != nil && o.Pause.Reason != c.reason || len(s.itemKinds()) != 0 {
				t.Errorf("pause %+v, items %v; want the reason %q", o.Pause, s.itemKinds(), c.reason)
			}
			if c.pause != "" {
				return
			}
			l.opens(start)
			s.pass(time.Minute)
			s.hear(l.closes(), l.beat())
		})
	}
}

func TestARingIsMadeOnceInTenSeconds(t *testing.T) {
	s, l, o := riding(t)
	s.dispatched()
	s.must(o.ID, order.RingIt)
	rings := s.dispatched()
	if len(rings) != 1 || rings[0].Kind != device.Ring {
		t.Fatalf("a ring sent %+v", rings)
	}
	l.burn(rings[0])
	s.hear(l.piece(device.SeenExecuted, func(e *device.Evidence) { e.CommandSeq, e.CommandID = rings[0].Seq, rings[0].ID }))
	if c := s.command(rings[0].ID); c.State != device.Executed {
		t.Fatalf("the ring is %s", c.State)
	}
	s.pass(order.RingEvery - time.Millisecond)
	s.must(o.ID, order.RingIt)
	if sent := s.dispatched(); len(sent) != 0 {
		t.Errorf("a second ring in ten seconds sent %+v", sent)
	}
	s.pass(time.Millisecond)
	s.must(o.ID, order.RingIt)
	if sent := s.dispatched(); len(sent) != 1 {
		t.Errorf("a ring ten seconds later sent %+v", sent)
	}
}
