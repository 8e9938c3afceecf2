package sim

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// Each test states clauses of docs/protocol.md, P6, as a fact.

func TestStartArmsAndMovesNothing(t *testing.T) { // P6.4 to P6.6
	r := pumping(t, nil)
	r.send(r.fuel(1, 1))
	r.want("executed")
	e := r.last()
	if e.Closed || e.CommandSeq != 1 || e.Order != sideID(2, 1, 1) || e.LastSeq != 1 || !reflect.DeepEqual(e.Counters.Totaliser, map[uint8]uint64{1: 0, 2: 0}) {
		t.Errorf("executed says %+v", e)
	}
	r.wantState(1, wire.MeterAuthorised)
	r.wantState(2, wire.MeterIdle)
	r.squeeze(1, 100)
	r.wait(10 * time.Second)
	if got := r.total(1, 1); got != 0 {
		t.Errorf("%d ml flowed and no nozzle was up", got)
	}
	r.send(r.fuel(1, 1)) // again
	r.send(r.fuel(1, 1))
	if got := len(r.c.pump.body.Armings); got != 1 {
		t.Errorf("armed %d times, want once", got)
	}
}

func TestAFillEndsWhenTheNozzleIsBack(t *testing.T) { // P6.7, P6.10, P6.13, P6.15
	r := pumping(t, nil)
	r.flowing(1, 1, 12*time.Second)
	r.wantState(1, wire.MeterFuelling)
	r.squeeze(1, 0)
	r.wantState(1, wire.MeterSuspended)
	r.wait(time.Minute)
	r.squeeze(1, 50)
	r.wait(2 * time.Second)
	r.hangUp(1)
	r.wantState(1, wire.MeterIdle)
	const want = 2*600*20/100 + 10*600 + 2*300
	e := r.lastOf(wire.EvidenceEnded)
	if e.Reason != wire.ReasonNozzleBack || e.Millilitres != want || e.Fen != 5_369 || !e.Closed || e.CommandSeq != 1 || e.Order != sideID(2, 1, 1) || e.Counters.Totaliser[1] != want {
		t.Errorf("ended says %+v, want %d ml", e, want)
	}
	if s := r.sale(0); s.Ml != want || s.How != "nozzle_back" || s.Nozzle != 1 || !s.EndedAt.Equal(r.now) {
		t.Errorf("sale is %+v", s)
	}
	r.wait(time.Hour)
	if got := r.total(1, 1); got != want {
		t.Errorf("totaliser at %d, want %d", got, want)
	}
}

func TestStatesAndWhatTelemetryTellsOfThem(t *testing.T) { // P6.2, P6.29, P6.30
	r := pumping(t, nil)
	told := func(want wire.MeterState) {
		t.Helper()
		r.wantState(1, want)
		if len(r.meters) == 0 || r.meters[len(r.meters)-1].State != want {
			t.Errorf("telemetry says %+v, want %v at once", r.meters, want)
		}
		r.meters = nil
	}
	told(wire.MeterIdle)
	r.lift(1, 1)
	told(wire.MeterCalling)
	r.hangUp(1)
	told(wire.MeterIdle)
	r.send(r.fuel(1, 1))
	told(wire.MeterAuthorised)
	r.lift(1, 1)
	told(wire.MeterStarted)
	r.squeeze(1, 100)
	told(wire.MeterFuelling)
	r.wait(10 * time.Second)
	if got := len(r.meters); got < 7 || got > 14 || r.meters[got-1].Millilitres < 4_000 || r.meters[got-1].Fen < 3_000 {
		t.Errorf("10 s of fuelling told %+v, want about one a second, growing", r.meters)
	}
	r.squeeze(1, 0)
	told(wire.MeterSuspended)
	r.take(r.c.PressStop(r.now, 1))
	told(wire.MeterComplete)
	r.hangUp(1)
	told(wire.MeterIdle)
	r.take(r.c.SetBroken(r.now, 1, true))
	told(wire.MeterFault)
	r.take(r.c.PressEmergency(r.now))
	r.wantState(1, wire.MeterClosed)
	r.wantState(2, wire.MeterClosed)
	r.take(r.c.Release(r.now))
	r.take(r.c.SetBroken(r.now, 1, false))
	r.wantState(1, wire.MeterIdle)
	r.meters = nil
	r.wait(10 * time.Minute)
	if len(r.meters) != 0 {
		t.Errorf("an idle pump tells %+v", r.meters)
	}
}

func TestNozzleThatIsUpBeforeTheStart(t *testing.T) { // P6.7
	r := pumping(t, nil)
	r.lift(1, 2)
	r.squeeze(1, 100)
	r.wait(time.Minute)
	if got := r.total(1, 2); got != 0 {
		t.Fatalf("%d ml flowed without a start", got)
	}
	r.send(r.fuel(1, 1))
	r.wantState(1, wire.MeterFuelling)
	r.wait(3 * time.Second)
	if got := r.total(1, 2); got != 840 {
		t.Errorf("%d ml, want 840", got)
	}
}

func TestNozzleThatIsNotAllowedNeverFlows(t *testing.T) { // P6.7, P6.8
	r := pumping(t, nil)
	c := r.fuel(1, 1)
	c.Start.UnitPrices = map[uint8]int64{2: 8_360, 9: 1}
	r.send(c)
	r.lift(1, 1)
	r.squeeze(1, 100)
	r.wait(30 * time.Second)
	r.wantState(1, wire.MeterAuthorised)
	r.hangUp(1)
	r.wantState(1, wire.MeterAuthorised)
	r.wait(31 * time.Second)
	r.wantEvidence("executed", "ended: not_lifted")
	if r.total(1, 1) != 0 || r.last().Millilitres != 0 {
		t.Errorf("%d ml flowed", r.total(1, 1))
	}
}

func TestNotLiftedInTimeDisarms(t *testing.T) { // P6.8
	r := pumping(t, nil)
	c := r.fuel(1, 1)
	r.send(c)
	armed := r.last().Uptime
	r.seen()
	r.wait(59_999 * time.Millisecond)
	r.wantEvidence()
	r.wait(time.Millisecond)
	r.wantEvidence("ended: not_lifted")
	if e := r.last(); e.Uptime != armed+60_000 || !e.Closed || e.Millilitres != 0 || e.Fen != 0 {
		t.Errorf("ended says %+v, want uptime %d", e, armed+60_000)
	}
	r.lift(1, 1)
	r.squeeze(1, 100)
	r.wait(time.Minute)
	if r.total(1, 1) != 0 {
		t.Error("fuel flowed after the pump disarmed")
	}
	r.wantState(1, wire.MeterCalling)
}

func TestLiftedAndNothingDrawn(t *testing.T) { // P6.10
	r := pumping(t, nil)
	r.send(r.fuel(1, 1))
	r.lift(1, 1)
	r.wait(10 * time.Minute)
	r.wantState(1, wire.MeterStarted)
	r.hangUp(1)
	if e := r.lastOf(wire.EvidenceEnded); e.Reason != wire.ReasonNozzleBack || e.Millilitres != 0 || e.Fen != 0 {
		t.Errorf("ended says %+v", e)
	}
}

func TestLimitsAreTheSmallerOfBothAndAreNeverPassed(t *testing.T) { // P6.12
	for _, test := range []struct {
		name           string
		maxMl, maxFen  int64
		nozzle         uint8
		limit, atLeast int64
	}{
		{"volume", 5_000, 10_000, 1, 5_000, 4_980}, {"amount", 40_000, 1_000, 1, 1_274, 1_254}, {"amount on the dearer nozzle", 40_000, 1_000, 2, 1_196, 1_176},
		{"volume alone", 3_000, 0, 1, 3_000, 2_980}, {"less than the residual flow", 10, 0, 1, 10, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := pumping(t, nil)
			c := r.fuel(1, 1)
			c.Start.MaxMillilitres, c.Start.MaxFen = test.maxMl, test.maxFen
			r.send(c)
			r.lift(1, test.nozzle)
			r.squeeze(1, 100)
			r.wait(5 * time.Minute)
			e := r.lastOf(wire.EvidenceEnded)
			most := max(test.limit, DefaultResidual)
			if e.Reason != wire.ReasonLimit || e.Millilitres > most || e.Millilitres < test.atLeast || r.sale(0).Limit != test.limit {
				t.Errorf("ended says %+v, sale %+v, want %d to %d ml", e, r.sale(0), test.atLeast, most)
			}
			if e.Fen != fenOf(e.Millilitres, c.Start.UnitPrices[test.nozzle]) {
				t.Errorf("%d Fen for %d ml", e.Fen, e.Millilitres)
			}
			r.wantState(1, wire.MeterComplete)
			if !e.Closed {
				t.Error("the valve is shut and closed is not said")
			}
		})
	}
}

func TestLimitOfNothingStartsNoMotor(t *testing.T) { // P6.12
	r := pumping(t, nil)
	c := r.fuel(1, 1)
	c.Start.UnitPrices, c.Start.MaxFen = map[uint8]int64{1: 100_000_000}, 1
	r.send(c)
	r.lift(1, 1)
	r.wantEvidence("executed", "ended: limit")
	if r.total(1, 1) != 0 {
		t.Errorf("%d ml flowed", r.total(1, 1))
	}
}

// TestLimitHoldsHoweverLateWeLook: a device that was held up for an hour stops
// where it would have stopped, and says when.
func TestLimitHoldsHoweverLateWeLook(t *testing.T) { // P6.12, P6.22
	on, late := pumping(t, nil), pumping(t, nil)
	for _, r := range []*rig{on, late} {
		r.send(r.fuel(1, 1))
		r.lift(1, 1)
		r.squeeze(1, 100)
	}
	on.wait(time.Hour)
	late.now = late.now.Add(time.Hour)
	late.take(late.c.Tick(late.now))
	a, b := on.lastOf(wire.EvidenceEnded), late.lastOf(wire.EvidenceEnded)
	limit := on.sale(0).Limit
	if a.Uptime != b.Uptime || a.Millilitres > limit || b.Millilitres > limit || a.Millilitres < limit-DefaultResidual || b.Millilitres < limit-DefaultResidual {
		t.Errorf("in time %+v\nlate %+v", a, b)
	}
}

func TestReasonsForWhichAPumpRefuses(t *testing.T) { // P6.3
	for _, test := range []struct {
		name, want string
		prepare    func(*rig)
		change     func(*wire.Command)
	}{
		{"ready", "executed", nil, nil},
		{"expired", "rejected: expired", nil, func(c *wire.Command) { c.NotAfter = 0 }},
		{"a lock's start", "rejected: unsupported", nil, func(c *wire.Command) { c.Start = nil }},
		{"other nozzles", "rejected: unsupported", nil, func(c *wire.Command) { c.Start.UnitPrices = map[uint8]int64{3: 1} }},
		{"one nozzle of ours", "executed", nil, func(c *wire.Command) { c.Start.UnitPrices = map[uint8]int64{3: 1, 2: 1} }},
		{"ring", "rejected: unsupported", nil, func(c *wire.Command) { c.Kind, c.Start = wire.KindRing, nil }},
		{"shut down", "rejected: shut_down", func(r *rig) { r.take(r.c.PressEmergency(r.now)) }, nil},
		{"gas", "rejected: shut_down", func(r *rig) { r.take(r.c.DetectGas(r.now)) }, nil},
		{"armed", "rejected: busy", func(r *rig) { r.send(r.fuel(1, 1)) }, nil},
		{"fuelling", "rejected: busy", func(r *rig) { r.flowing(1, 1, time.Second) }, nil},
		{"the other side fuelling", "executed", func(r *rig) { r.flowing(2, 1, time.Second) }, nil},
		{"broken", "rejected: not_working", func(r *rig) { r.take(r.c.SetBroken(r.now, 1, true)) }, nil},
		{"the other side broken", "executed", func(r *rig) { r.take(r.c.SetBroken(r.now, 2, true)) }, nil},
		{"repaired", "executed", func(r *rig) { r.take(r.c.SetBroken(r.now, 1, true)); r.take(r.c.SetBroken(r.now, 1, false)) }, nil},
		{"calling", "executed", func(r *rig) { r.lift(1, 1) }, nil},
		{"complete", "rejected: busy", func(r *rig) { r.flowing(1, 1, time.Second); r.take(r.c.PressStop(r.now, 1)) }, nil},
		{"hung up again", "executed", func(r *rig) {
			r.flowing(1, 1, time.Second)
			r.take(r.c.PressStop(r.now, 1))
			r.take(r.c.HangUp(r.now, 1))
		}, nil},
		{"found up at boot", "rejected: busy", func(r *rig) { r.lift(1, 1); r.reboot() }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := pumping(t, nil)
			if test.prepare != nil {
				test.prepare(r)
			}
			r.seen()
			c := r.fuel(1, 2)
			if test.change != nil {
				test.change(&c)
			}
			r.now = r.now.Add(time.Millisecond)
			r.send(c)
			r.wantEvidence(test.want)
		})
	}
}

func TestTwoSidesServeTwoRiders(t *testing.T) { // P6.1
	r := pumping(t, nil)
	r.send(r.fuel(2, 70))
	r.send(r.fuel(1, 7)) // a lower number: each side counts for itself
	r.lift(1, 1)
	r.lift(2, 2)
	r.squeeze(1, 100)
	r.squeeze(2, 50)
	r.wait(10 * time.Second)
	r.hangUp(1)
	r.wait(2 * time.Second)
	r.send(r.other(wire.KindStop, 1, 8, wire.ID{})) // nothing runs there
	r.wantState(2, wire.MeterFuelling)
	r.hangUp(2)
	r.wantEvidence("executed", "executed", "ended: nozzle_back", "ended: nozzle_back")
	one, two := r.evidence[4], r.evidence[5]
	if one.Outlet != 1 || one.Millilitres != 5_040 || one.LastSeq != 7 || two.Outlet != 2 || two.Millilitres != 120+3_000 || two.LastSeq != 70 || two.Counters.Totaliser[2] != 3_120 {
		t.Errorf("ended say\n%+v\n%+v", one, two)
	}
	r.send(r.other(wire.KindProbe, 3, 1, wire.ID{}))
	if got := r.c.Stats().Rejected; got != 1 {
		t.Errorf("a command to outlet 3: %d refused, want 1", got)
	}
	b := r.beats[len(r.beats)-1]
	if len(b.Outlets) != 2 || b.Outlets[0].LastSeq != 8 || b.Outlets[1].LastSeq != 70 || !b.Outlets[0].Closed || b.Outlets[1].Counters.Totaliser[2] != 3_120 {
		t.Errorf("beat says %+v", b)
	}
}

func TestStopClosesTheValveWhateverItsSeq(t *testing.T) { // P1.9, P6.17
	r := pumping(t, nil)
	r.send(r.other(wire.KindProbe, 1, 5, wire.ID{}))
	r.flowing(1, 6, 10*time.Second)
	r.seen()
	order := sideID(2, 1, 6)
	r.send(r.other(wire.KindStop, 1, 7, sideID(2, 1, 99))) // of another order: burned, no more
	r.want("beat")
	r.wantState(1, wire.MeterFuelling)
	writes := r.c.flash.Writes
	r.send(r.other(wire.KindStop, 1, 3, sideID(2, 1, 99)))
	r.wantState(1, wire.MeterFuelling)
	if r.c.flash.Writes != writes {
		t.Error("a stop without effect and below last_seq was written")
	}
	r.seen()
	r.send(r.other(wire.KindStop, 1, 4, order)) // below last_seq
	r.want("ended: stopped")
	r.wantState(1, wire.MeterComplete)
	ended := r.last()
	if ended.LastSeq != 7 || ended.CommandSeq != 6 {
		t.Errorf("ended says %+v", ended)
	}
	r.send(r.other(wire.KindStop, 1, 4, order)) // again: the same answer
	r.want("ended: stopped")
	r.send(r.other(wire.KindStop, 1, 8, order)) // new: burned, a beat
	r.want("beat")
	r.send(r.other(wire.KindStop, 1, 8, wire.ID{}))
	if got := r.c.flash.Outlet.LastSeq; got != 8 {
		t.Errorf("last seq %d, want 8", got)
	}
}

func TestStopOfWhateverRuns(t *testing.T) { // P6.17
	r := pumping(t, nil)
	r.flowing(1, 1, 10*time.Second)
	r.flowing(2, 1, time.Second)
	r.seen()
	r.send(r.other(wire.KindStop, 1, 2, wire.ID{}))
	r.want("ended: stopped", "beat")
	r.wantState(2, wire.MeterFuelling)
	if b := r.beats[len(r.beats)-1]; b.Outlets[0].LastSeq != 2 || !b.Outlets[0].Closed || b.Outlets[1].Closed {
		t.Errorf("beat says %+v", b.Outlets)
	}
	r.send(r.fuel(1, 1)) // the start it fences
	if got := len(r.c.pump.body.Armings); got != 2 {
		t.Errorf("%d armings, want 2", got)
	}
}

func TestStopBeforeLiftingEndsWithZero(t *testing.T) { // P6.17
	r := pumping(t, nil)
	r.send(r.fuel(1, 1))
	r.seen()
	r.send(r.other(wire.KindStop, 1, 2, sideID(2, 1, 1)))
	r.want("ended: stopped", "beat")
	if e := r.last(); e.Millilitres != 0 || !e.Closed {
		t.Errorf("ended says %+v", e)
	}
	r.lift(1, 1)
	r.wantState(1, wire.MeterCalling)
}

func TestTheHandsOwnStopButton(t *testing.T) { // P6.16
	r := pumping(t, nil)
	r.take(r.c.PressStop(r.now, 1))
	r.flowing(1, 1, 10*time.Second)
	r.seen()
	r.take(r.c.PressStop(r.now, 1))
	r.wantEvidence("ended: stopped")
	e := r.last()
	if e.Millilitres < 5_040 || e.Millilitres > 5_040+DefaultResidual {
		t.Errorf("%d ml, want 5040 and at most %d of residual flow", e.Millilitres, DefaultResidual)
	}
}

func TestLinkLossChangesNothing(t *testing.T) { // P6.22
	r := pumping(t, nil)
	r.send(r.fuel(1, 1))
	r.lift(1, 1)
	r.squeeze(1, 100)
	r.wait(2 * time.Second)
	r.c.Disconnect()
	r.seen()
	r.wait(time.Hour) // woken by NextWake alone
	if s := r.sale(0); s.How != "limit" || s.Ml > s.Limit || s.Ml < s.Limit-s.Residual {
		t.Fatalf("sale is %+v", s)
	}
	if at := r.c.NextWake(); !at.IsZero() {
		t.Errorf("a pump with nothing to do wants to wake at %v", at)
	}
	r.want()
	r.take(r.c.Connect(r.now))
	r.want("beat", "boot", "executed", "ended: limit")
	if e := r.last(); e.Uptime > 3_600_000/10 {
		t.Errorf("ended at uptime %d, want when the limit was reached", e.Uptime)
	}
}

func TestPowerLostInMidFlow(t *testing.T) { // P6.19, P6.20
	r := pumping(t, nil)
	r.flowing(1, 1, 10*time.Second)
	r.send(r.fuel(2, 1)) // armed
	r.c.PowerCutAt(r.now.Add(5 * time.Second))
	r.now = r.now.Add(time.Hour)
	if got := r.total(1, 1); got < 240+13*600 || got > 240+13*600+DefaultResidual {
		t.Errorf("%d ml passed, want %d and residual flow", got, 240+13*600)
	}
	r.seen()
	r.up()
	r.wantEvidence("interrupted: power", "interrupted: power", "boot")
	one, two, boot := r.evidence[4], r.evidence[5], r.evidence[6]
	if one.Outlet != 1 || one.Millilitres != r.total(1, 1) || one.Fen != fenOf(one.Millilitres, testPrice) || one.CommandSeq != 1 || one.Boot != r.c.BootID() || !one.Closed {
		t.Errorf("interrupted says %+v", one)
	}
	if two.Outlet != 2 || two.Millilitres != 0 || two.Order != sideID(2, 2, 1) {
		t.Errorf("interrupted says %+v", two)
	}
	if boot.CommandSeq != 0 || !boot.Order.IsZero() || !boot.Closed || boot.Unknown != nil || boot.Outlet != 1 {
		t.Errorf("boot says %+v, want no use", boot)
	}
	r.wantState(1, wire.MeterComplete)
	r.squeeze(1, 100)
	r.wait(time.Hour)
	if r.total(1, 1) != one.Millilitres || len(r.c.pump.body.Armings) != 2 {
		t.Error("armed again from memory")
	}
	if s := r.sale(0); s.How != "power" || s.Ml != one.Millilitres {
		t.Errorf("sale is %+v", s)
	}
}

func TestPowerLostBetweenBurnAndArming(t *testing.T) { // P6.18
	r := pumping(t, nil)
	r.arm(StepBurned)
	r.send(r.fuel(2, 1))
	r.seen()
	r.up()
	r.wantEvidence("rejected: power", "boot")
	if e := r.evidence[2]; e.Outlet != 2 || e.CommandSeq != 1 || !e.Closed {
		t.Errorf("rejected says %+v", e)
	}
	if e := r.last(); e.Unknown != nil || len(r.c.pump.body.Armings) != 0 {
		t.Errorf("boot says %+v", e)
	}
}

// TestCutsAtEveryStepOfAUse cuts power at each step of a use, and again at each
// step of the boot behind it: one end, with what the totaliser says.
func TestCutsAtEveryStepOfAUse(t *testing.T) { // P6.5, P6.9, P6.18, P6.19
	boots := []Step{"", StepBeforeSettled, StepSettled, StepBeforeBooted, StepBooted}
	for _, step := range []Step{StepBeforeBurn, StepBurned, StepJournalled, StepBeforeNoted, StepNoted, StepBeforeEnded, StepEnded} {
		for _, again := range boots {
			t.Run(fmt.Sprintf("%s, at boot %s", step, again), func(t *testing.T) {
				r := pumping(t, nil)
				r.arm(step)
				r.flowing(1, 1, 5*time.Second)
				r.hangUp(1)
				if r.c.Powered() {
					t.Fatal("not cut")
				}
				if again != "" {
					r.arm(again)
					r.up()
					r.c.DisarmCuts()
				}
				r.up()
				var ends, answers int
				for _, e := range r.evidence {
					if e.Kind == wire.EvidenceEnded || e.Kind == wire.EvidenceInterrupted {
						ends++
						if e.Millilitres != r.total(1, 1) {
							t.Errorf("%+v, the totaliser says %d", e, r.total(1, 1))
						}
					}
					if e.Kind.Answers() {
						answers++
					}
				}
				wantEnds, wantAnswers := 1, 1
				switch step {
				case StepBeforeBurn:
					wantEnds, wantAnswers = 0, 0
				case StepBurned:
					wantEnds = 0
				}
				if ends != wantEnds || answers != wantAnswers {
					t.Errorf("%d ends and %d answers, want %d and %d", ends, answers, wantEnds, wantAnswers)
				}
			})
		}
	}
}
