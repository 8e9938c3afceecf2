package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

func TestOwnFaultEndsTheUseWithItsTotals(t *testing.T) { // P6.21
	r := pumping(t, nil)
	r.flowing(1, 1, 10*time.Second)
	r.seen()
	r.take(r.c.SetBroken(r.now, 1, true))
	r.wantEvidence("ended: broken")
	if e := r.last(); e.Millilitres < 5_040 || e.Millilitres != r.total(1, 1) {
		t.Errorf("ended says %+v", e)
	}
	r.reboot()
	r.wantState(1, wire.MeterFault)
}

func TestEmergencyStopAndRelease(t *testing.T) { // P6.24, P6.26, P6.28
	r := pumping(t, nil)
	r.flowing(1, 1, 10*time.Second)
	r.flowing(2, 1, time.Second)
	r.seen()
	r.take(r.c.PressEmergency(r.now))
	r.wantEvidence("ended: stopped", "ended: stopped", "alarm: emergency_stop")
	if r.sale(0).EndedAt != r.now || r.sale(1).EndedAt != r.now || !r.last().Closed {
		t.Errorf("sales are %+v, %+v", r.sale(0), r.sale(1))
	}
	r.take(r.c.PressEmergency(r.now)) // pressed already
	r.wantEvidence()
	r.reboot()
	r.wantState(2, wire.MeterClosed)
	r.seen()
	r.send(r.fuel(2, 2))
	r.wantEvidence("rejected: shut_down")
	r.take(r.c.Release(r.now))
	r.wantEvidence("alarm: released")
	r.take(r.c.HangUp(r.now, 2))
	r.send(r.fuel(2, 3))
	r.wantEvidence("executed")
}

func TestGasShutsTheWholeDeviceDown(t *testing.T) { // P6.25
	r := pumping(t, nil)
	r.flowing(2, 1, time.Second)
	r.seen()
	r.take(r.c.DetectGas(r.now))
	r.wantEvidence("ended: stopped", "alarm: gas")
	r.take(r.c.PressEmergency(r.now))
	r.wantEvidence("alarm: emergency_stop")
	r.take(r.c.Release(r.now))
	r.wantEvidence("alarm: released")
}

func TestReleaseOfAPumpThatIsNotShutDownIsTold(t *testing.T) { // P6.26
	r := pumping(t, nil)
	r.take(r.c.Release(r.now))
	r.wantEvidence("alarm: released")
	r.take(r.c.Release(r.now))
	r.wantEvidence("alarm: released")
}

func TestShutDownInTheDarkIsToldAtBoot(t *testing.T) { // P6.27, P6.28
	for _, step := range []Step{"", StepBeforeAlarm, StepAlarmed} {
		r := pumping(t, nil)
		r.flowing(1, 1, time.Second)
		if step == "" {
			r.c.PowerCutAt(r.now)
		} else {
			r.arm(step)
		}
		r.take(r.c.PressEmergency(r.now))
		r.up()
		r.up()
		alarms := 0
		for _, e := range r.evidence {
			if e.Reason == wire.ReasonEmergencyStop {
				alarms++
			}
		}
		if alarms != 1 {
			t.Errorf("cut %q: %d alarms, want 1", step, alarms)
		}
		r.wantState(1, wire.MeterClosed)
		r.c.PowerCutAt(r.now)
		r.take(r.c.Release(r.now))
		r.seen()
		r.up()
		if words := r.seen(); !strings.Contains(strings.Join(words, ","), "alarm: released") {
			t.Errorf("cut %q: released in the dark and at boot told %v", step, words)
		}
	}
}

func TestAFullJournalTellsAShutDownLater(t *testing.T) { // P4.9, P6.27
	r := pumping(t, func(c *Config) { c.JournalCapacity = 32 })
	r.flowing(1, 1, time.Second)
	r.flowing(2, 1, time.Second)
	for range 40 {
		r.take(r.c.Tamper(r.now))
	}
	r.seen()
	r.take(r.c.PressEmergency(r.now))
	r.wantEvidence("ended: stopped", "ended: stopped")
	r.ack(r.c.flash.Highest)
	r.wantEvidence("alarm: emergency_stop")
	for range 40 {
		r.take(r.c.Tamper(r.now))
	}
	r.take(r.c.Release(r.now))
	r.take(r.c.Release(r.now))
	r.seen()
	r.ack(r.c.flash.Highest)
	r.wantEvidence("alarm: released")
	for range 40 {
		r.take(r.c.Tamper(r.now))
	}
	r.take(r.c.Release(r.now)) // not shut down, and no place: noted
	r.reboot()
	r.seen()
	r.ack(r.c.flash.Highest)
	r.wantEvidence("alarm: released")
}

func TestResultsAndEndsOfAllSidesAlwaysFindAPlace(t *testing.T) { // P4.9
	r := pumping(t, func(c *Config) { c.JournalCapacity = 32 })
	r.flowing(1, 1, time.Second)
	r.send(r.fuel(2, 1))
	for n := uint64(2); n < 60; n++ {
		r.send(r.fuel(2, n)) // busy: rejections fill what they may
		r.take(r.c.Tamper(r.now))
	}
	places := 32 - len(r.c.flash.Entries)
	if places < 4 {
		t.Fatalf("%d places left, want at least an end and a result for each side", places)
	}
	r.reboot()
	if got := 32 - len(r.c.flash.Entries); got != places-3 && got != places-2 {
		t.Errorf("%d places left of %d after two interrupted uses", got, places)
	}
	ends := 0
	for _, e := range r.c.flash.Entries {
		if e.Kind == wire.EvidenceInterrupted {
			ends++
		}
	}
	if ends != 2 {
		t.Errorf("%d uses were ended, want 2", ends)
	}
	if _, err := NewController(Config{Device: "P", Kind: "pump", Key: testKey, JournalCapacity: 16, Pump: NewPump(NewSide(1, map[uint8]string{1: ""}), NewSide(2, map[uint8]string{1: ""}))}); err == nil {
		t.Error("16 places for two sides were taken")
	}
}

func TestCrankShowsInTheTotaliserAlone(t *testing.T) { // P6.23
	r := pumping(t, nil)
	r.take(r.c.Crank(r.now, 2, 1, 500))
	r.want("beat")
	if b := r.beats[len(r.beats)-1]; b.Outlets[1].Counters.Totaliser[1] != 500 {
		t.Errorf("beat says %+v", b.Outlets)
	}
	r.send(r.fuel(2, 1))
	if e := r.last(); e.Counters.Totaliser[1] != 500 {
		t.Errorf("executed says %+v", e)
	}
	r.take(r.c.Crank(r.now, 2, 1, 500)) // in use: no
	if got := r.total(2, 1); got != 500 || r.c.pump.body.Unauthorised != 500 {
		t.Errorf("totaliser %d, unauthorised %d", got, r.c.pump.body.Unauthorised)
	}
}

func TestTotaliserOutlivesTheFlash(t *testing.T) { // P6.15
	r := pumping(t, nil)
	r.flowing(1, 1, 10*time.Second)
	r.hangUp(1)
	again := newRig(t, func(c *Config) { *c = r.c.Config; c.Epoch = 2 })
	again.now = r.now
	again.up()
	if e := again.last(); e.Counters.Totaliser[1] != 5_040 || e.Seq != 1 {
		t.Errorf("boot of the new epoch says %+v", e)
	}
}

func TestBeatsComeOftenWhileFuelMayFlow(t *testing.T) { // P9.1
	r := pumping(t, nil)
	r.send(r.fuel(1, 1))
	r.lift(1, 1)
	r.ack(r.c.flash.Highest)
	before := len(r.beats)
	r.wait(time.Minute)
	if got := len(r.beats) - before; got < 10 || got > 15 {
		t.Errorf("%d beats in a minute of a lifted nozzle, want about 12", got)
	}
	r.hangUp(1)
	r.ack(r.c.flash.Highest)
	r.wait(6 * time.Second)
	before = len(r.beats)
	r.wait(time.Hour)
	if got := len(r.beats) - before; got < 13 || got > 17 {
		t.Errorf("%d beats in an idle hour, want about 15", got)
	}
}

func TestCodeIsShownOnlyWithConnectionAndWallTime(t *testing.T) { // P6.31, P6.32
	secret := []byte("0123456789abcdef")
	r := pumping(t, func(c *Config) {
		c.Displays = map[uint8]DisplayConfig{1: {URL: "https://ul.example/d/12345678901234-", Secret: secret}}
	})
	none := func(when string) {
		t.Helper()
		if d := r.c.Display(r.now, 1); d.Code != "" || d.URL != "" || len(d.Lines) == 0 {
			t.Errorf("%s the display shows %+v", when, d)
		}
	}
	none("before any config")
	config := func(seq uint64, args wire.ConfigArgs) {
		c := r.other(wire.KindConfig, 1, seq, wire.ID{})
		c.Config = &args
		r.send(c)
	}
	config(1, wire.ConfigArgs{WallMillis: 1_795_000_000_000, WallBoot: wire.Boot{9}})
	none("with the wall time of another boot")
	uptime := r.c.Uptime(r.now)
	r.wait(25 * time.Second) // on its way
	config(2, wire.ConfigArgs{WallMillis: 1_795_000_000_000, WallBoot: r.c.BootID(), WallUptime: uptime})
	want := rotatingCode(secret, 1_795_000_025, 60, 8)
	if d := r.c.Display(r.now, 1); d.Code != want || d.URL != "https://ul.example/d/12345678901234-"+want || want == exampleCode {
		t.Errorf("the display shows %+v, want %s", d, want)
	}
	if d := r.c.Display(r.now, 2); d.Code != "" {
		t.Errorf("an outlet without a screen shows %+v", d)
	}
	config(3, wire.ConfigArgs{Params: map[wire.Param]int64{wire.ParamCodeSeconds: 10, wire.ParamCodeLength: 12}})
	if d := r.c.Display(r.now, 1); d.Code != rotatingCode(secret, 1_795_000_025, 10, 12) {
		t.Errorf("the display shows %+v", d)
	}
	r.c.Disconnect()
	none("offline")
	r.take(r.c.Connect(r.now))
	r.reboot()
	none("after a boot")
}

func TestDisplayShowsWhatIsBilled(t *testing.T) { // P6.13, P6.14
	r := pumping(t, nil)
	lines := func(want string) {
		t.Helper()
		if got := strings.Join(r.c.Display(r.now, 1).Lines, " | "); got != want {
			t.Errorf("the display shows %q, want %q", got, want)
		}
	}
	lines("Scan to pay")
	r.send(r.fuel(1, 1))
	lines("Lift 92 or 95")
	r.lift(1, 1)
	lines("92 | 0.000 L | 0.00 yuan")
	r.squeeze(1, 100)
	r.wait(10 * time.Second)
	lines("92 | 5.040 L | 39.56 yuan")
	r.squeeze(1, 0)
	r.take(r.c.PressStop(r.now, 1))
	lines("5.040 L | 39.56 yuan | Hang up the nozzle")
	if e := r.last(); e.Millilitres != 5_040 || e.Fen != 3_956 {
		t.Errorf("ended says %+v", e)
	}
	r.c.Disconnect()
	r.hangUp(1)
	lines("Scan to pay | Offline")
	r.take(r.c.DetectGas(r.now))
	lines("Stopped. Ask the staff. | Offline")
}
