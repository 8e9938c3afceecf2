package sim

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// Each test states one clause of docs/protocol.md as a fact.

func TestStartOpensAndIsExecuted(t *testing.T) { // P2.5
	r := running(t, nil)
	r.want("beat", "boot")
	r.start(1)
	r.want("executed")
	r.wantMoves(1)
	e := r.last()
	if e.Closed || e.CommandSeq != 1 || e.CommandID != id(1, 1) || e.Order != id(2, 1) || e.LastSeq != 1 || e.Counters.Opens != 1 || e.Boot != r.c.BootID() {
		t.Errorf("executed says %+v", e)
	}
}

func TestForeignCommandsWearNothingAndAreAnsweredOnceASecond(t *testing.T) { // P1.1 to P1.7, P9.4
	r := running(t, nil)
	good := r.command(wire.KindStart, 1)
	sealed := r.seal(good)
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	other, err := wire.SealCommand(testServer, "BIKE-0002", good)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := wire.SealCommand(wire.NewKeyedHash([]byte("other")), testDevice, good)
	if err != nil {
		t.Fatal(err)
	}
	epoch, outlet, boot := good, good, good
	epoch.Epoch, outlet.Outlet, boot.Boot = 2, 2, wire.Boot{1}
	messages := map[string][]byte{
		"too long": make([]byte, wire.MaxCommand+1), "bit flipped": flipped, "other device": other, "other key": foreign,
		"other epoch": r.seal(epoch), "other outlet": r.seal(outlet), "other boot": r.seal(boot), "nothing": nil,
	}
	r.seen()
	writes, highest := r.c.flash.Writes, r.c.flash.Highest
	for name, m := range messages {
		before := r.c.Stats().Rejected
		r.take(r.c.Receive(r.now, m))
		if got := r.c.Stats().Rejected; got != before+1 {
			t.Errorf("%s: not counted", name)
		}
	}
	r.want("beat")
	if r.c.flash.Writes != writes || r.c.flash.Highest != highest {
		t.Errorf("flash was written %d times, %d pieces made", r.c.flash.Writes-writes, r.c.flash.Highest-highest)
	}
	r.c.flash.Acked = r.c.flash.Highest // silence resends
	r.c.resendAt = time.Time{}
	r.wait(time.Second)
	r.want("beat")
	r.wantMoves(0)
}

func TestSameSeqTwiceMovesOnce(t *testing.T) { // P1.8, P2.8
	r := running(t, nil)
	c := r.command(wire.KindStart, 1)
	r.send(c)
	r.seen()
	r.send(c)
	r.want("executed")
	r.wantMoves(1)
	c.ID = id(9, 9)
	r.send(c)
	r.want("beat")
	r.wantMoves(1)
}

func TestOldSeqMovesNothing(t *testing.T) { // P1.8
	r := running(t, nil)
	late := r.command(wire.KindStart, 1)
	r.send(r.command(wire.KindProbe, 2))
	r.seen()
	r.now = r.now.Add(2 * time.Second)
	r.send(late)
	r.want("beat")
	r.wantMoves(0)
}

func TestProbeStopAndConfigBurnAndAnswerWithABeat(t *testing.T) { // P2.2, P5.2
	r := running(t, nil)
	r.start(1)
	r.seen()
	r.send(r.command(wire.KindProbe, 2))
	r.send(r.command(wire.KindStop, 3))
	r.send(r.command(wire.KindConfig, 4))
	r.want("beat", "beat", "beat")
	if b := r.beats[len(r.beats)-1]; b.Outlets[0].LastSeq != 4 || b.Outlets[0].Closed {
		t.Errorf("beat says %+v, want last seq 4 and the lock still open", b.Outlets[0])
	}
	if r.c.flash.Outlet.Use == nil {
		t.Error("a stop ended a lock's use")
	}
}

func TestExpiredStartIsRejected(t *testing.T) { // P2.3
	r := running(t, nil)
	r.seen()
	c := r.command(wire.KindStart, 1)
	r.now = r.now.Add(15*time.Second + time.Millisecond)
	r.send(c)
	r.want("rejected: expired")
	r.wantMoves(0)
	c = r.command(wire.KindStart, 2)
	r.now = r.now.Add(15 * time.Second)
	r.send(c)
	r.want("executed")
}

func TestReasonsOfRefusal(t *testing.T) { // P2.3, P2.6
	for _, test := range []struct {
		name, want string
		prepare    func(*rig)
		change     func(*wire.Command)
	}{
		{"open", "rejected: busy", func(r *rig) { r.start(1) }, nil},
		{"forced open", "rejected: busy", func(r *rig) { r.take(r.c.ForceOpen(r.now)) }, nil},
		{"low battery", "rejected: low_battery", func(r *rig) { r.take(r.c.SetBattery(r.now, 9)) }, nil},
		{"just enough battery", "executed", func(r *rig) { r.take(r.c.SetBattery(r.now, 10)) }, nil},
		{"jam found", "failed: jam", func(r *rig) { r.c.SetJammed(true) }, nil},
		{"jam known", "rejected: not_working", func(r *rig) { r.c.SetJammed(true); r.start(1) }, nil},
		{"jam repaired", "executed", func(r *rig) { r.c.SetJammed(true); r.start(1); r.c.SetJammed(false) }, nil},
		{"pump's arguments", "rejected: unsupported", func(*rig) {}, func(c *wire.Command) {
			c.Start = &wire.StartArgs{UnitPrices: map[uint8]int64{1: 1}, MaxMillilitres: 1, ArmMillis: 1}
		}},
		{"ring", "executed", func(*rig) {}, func(c *wire.Command) { c.Kind = wire.KindRing }},
		{"ring too late", "rejected: expired", func(r *rig) { r.now = r.now.Add(time.Minute) }, func(c *wire.Command) { c.Kind, c.NotAfter = wire.KindRing, 1 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := running(t, nil)
			test.prepare(r)
			r.seen()
			c := r.command(wire.KindStart, 2)
			if test.change != nil {
				test.change(&c)
			}
			r.send(c)
			r.want(test.want)
		})
	}
}

func TestRejectionSaysClosed(t *testing.T) {
	r := running(t, nil)
	r.take(r.c.SetBattery(r.now, 1))
	r.start(1)
	if e := r.last(); !e.Closed || e.Kind != wire.EvidenceRejected {
		t.Errorf("got %+v", e)
	}
}

func TestCutBeforeBurnLeavesNoTrace(t *testing.T) { // P2.1
	r := running(t, nil)
	c := r.command(wire.KindStart, 1)
	r.arm(StepBeforeBurn)
	r.send(c)
	r.seen()
	r.up()
	r.want("beat", "boot", "boot")
	if got := r.c.flash.Outlet.LastSeq; got != 0 {
		t.Errorf("last seq %d, want 0", got)
	}
	r.now = r.now.Add(2 * time.Second)
	r.send(c) // of the earlier boot
	r.want("beat")
	r.wantMoves(0)
}

func TestCutAfterBurnBeforeMovingRejectsWithPower(t *testing.T) { // P3.2
	r := running(t, nil)
	r.arm(StepBurned)
	r.start(1)
	r.seen()
	r.up()
	r.want("beat", "boot", "rejected: power", "boot")
	r.wantMoves(0)
	if e := r.evidence[2]; e.Boot != r.c.BootID() || e.CommandSeq != 1 {
		t.Errorf("rejected says %+v, want the new boot and seq 1", e)
	}
}

func TestCutWhileMovingIsUnknown(t *testing.T) { // P3.3
	for _, moved := range []bool{false, true} {
		r := running(t, nil)
		r.arm(StepMoving)
		if moved {
			r.c.DisarmCuts()
			r.arm(StepMoved)
		}
		r.start(1)
		r.c.CloseByHand(r.now)
		r.seen()
		r.up()
		r.want("beat", "boot", "boot")
		e := r.last()
		if u := e.Unknown; u == nil || u.Seq != 1 || u.CommandID != id(1, 1) || u.Order != id(2, 1) || !e.Closed || e.LastSeq != 1 {
			t.Errorf("moved %v: boot says %+v, want closed and the outcome of 1 unknown", moved, e)
		}
		r.reboot()
		if e := r.last(); e.Unknown != nil {
			t.Errorf("moved %v: the second boot says it again: %+v", moved, e)
		}
		r.start(2)
		r.wantMoves(map[bool]int{false: 1, true: 2}[moved])
	}
}

func TestCutAfterMovingIsExecutedOnceAtBoot(t *testing.T) { // P3.1
	r := running(t, nil)
	r.arm(StepMoved)
	c := r.command(wire.KindStart, 1)
	r.send(c)
	r.want("beat", "boot")
	r.up()
	r.want("beat", "boot", "executed", "boot")
	if e := r.last(); e.Counters.Opens != 1 || e.Closed || e.Order != id(2, 1) {
		t.Errorf("boot says %+v, want one opening and the use going on", e)
	}
	r.reboot()
	if e := r.last(); e.Kind != wire.EvidenceBoot || e.Counters.Opens != 1 {
		t.Errorf("second boot says %+v", e)
	}
	r.wantMoves(1)
}

func TestCutAfterJournallingStillTells(t *testing.T) { // P4.3
	r := running(t, nil)
	r.arm(StepJournalled)
	r.start(1)
	r.want("beat", "boot")
	r.up()
	r.want("beat", "boot", "executed", "boot")
	r.wantMoves(1)
}

func TestCutsAtBootSettleOnce(t *testing.T) { // P3
	for _, step := range []Step{StepBeforeSettled, StepSettled, StepBeforeBooted, StepBooted} {
		r := running(t, nil)
		r.arm(StepMoved)
		r.start(1)
		r.arm(step)
		r.up() // dies again
		if r.c.Powered() {
			t.Fatalf("no cut at %s", step)
		}
		r.up()
		executed := 0
		for _, e := range r.evidence {
			if e.Kind == wire.EvidenceExecuted {
				executed++
			}
		}
		if executed != 1 || r.c.flash.Outlet.Opens != 1 {
			t.Errorf("cut at %s: %d times executed, %d opens, want 1 and 1", step, executed, r.c.flash.Outlet.Opens)
		}
	}
}

func TestClosingByHandEndsTheUseOffline(t *testing.T) { // P5.1, P8.4
	r := running(t, nil)
	r.start(1)
	r.ack(2)
	r.c.Disconnect()
	r.now = r.now.Add(20 * time.Minute)
	closed := r.c.Uptime(r.now)
	r.take(r.c.CloseByHand(r.now))
	r.seen()
	r.now = r.now.Add(time.Hour)
	r.take(r.c.Connect(r.now))
	r.want("beat", "ended: closed_by_hand")
	if e := r.last(); e.Uptime != closed || e.Order != id(2, 1) || e.CommandSeq != 1 || !e.Closed {
		t.Errorf("ended says %+v, want uptime %d and order %v", e, closed, id(2, 1))
	}
}

func TestRebootEndsNoUse(t *testing.T) { // P5.3, P3.4
	r := running(t, nil)
	r.start(1)
	r.reboot()
	if e := r.last(); e.Kind != wire.EvidenceBoot || e.Closed || e.Order != id(2, 1) || e.Reason != wire.ReasonNone {
		t.Errorf("boot says %+v, want open and the order", e)
	}
	r.take(r.c.CloseByHand(r.now))
	if e := r.last(); e.Kind != wire.EvidenceEnded || e.Order != id(2, 1) {
		t.Errorf("got %+v, want ended of the order", e)
	}
}

func TestBoltShutAtBootEndsTheUse(t *testing.T) { // P3.5
	r := running(t, nil)
	r.start(1)
	r.c.PowerCut()
	r.c.CloseByHand(r.now)
	r.up()
	if e := r.last(); e.Kind != wire.EvidenceBoot || !e.Closed || e.Order != id(2, 1) || e.Reason != wire.ReasonClosedByHand {
		t.Errorf("boot says %+v, want closed by hand and the order", e)
	}
	r.start(2)
	r.wantMoves(2)
}

func TestForcedOpeningIsAnAlarmAndNoUse(t *testing.T) { // P5.4
	r := running(t, nil)
	r.seen()
	r.take(r.c.ForceOpen(r.now))
	r.want("alarm: forced_open")
	if e := r.last(); e.Closed || e.Counters.Opens != 1 || !e.Order.IsZero() {
		t.Errorf("alarm says %+v", e)
	}
	r.take(r.c.CloseByHand(r.now))
	r.want("beat")
	r.c.PowerCut()
	r.c.ForceOpen(r.now)
	r.up()
	r.want("beat", "boot", "alarm: forced_open", "alarm: forced_open", "boot")
	r.reboot()
	r.want("beat", "boot", "alarm: forced_open", "alarm: forced_open", "boot", "boot")
	r.wantMoves(0)
	r.take(r.c.Tamper(r.now))
	r.want("alarm: tamper")
}

func TestForcedOpenBeforeMovingIsNotExecuted(t *testing.T) { // P3.2
	r := running(t, nil)
	r.arm(StepBurned)
	r.start(1)
	r.c.ForceOpen(r.now)
	r.seen()
	r.up()
	r.want("beat", "boot", "rejected: power", "alarm: forced_open", "boot")
}

func TestEvidenceIsResentUntilAckedWithACap(t *testing.T) { // P4.4, P4.5
	r := running(t, nil)
	r.start(1)
	r.seen()
	var waits []time.Duration
	for range 9 {
		waits = append(waits, r.c.resendAt.Sub(r.now))
		r.now = r.c.resendAt
		r.take(r.c.Tick(r.now))
		sent := 0
		for _, word := range r.seen() {
			if word == "boot" || word == "executed" {
				sent++
			}
		}
		if sent != 2 {
			t.Fatalf("resend sent %d pieces, want 2", sent)
		}
	}
	for i, wait := range waits {
		full := min(time.Second<<i, 30*time.Second)
		if wait < full/2 || wait > full {
			t.Errorf("wait %d is %v, want from %v to %v", i, wait, full/2, full)
		}
	}
	r.ack(2)
	r.seen()
	if at := r.c.resendAt; !at.IsZero() {
		t.Errorf("all is acked and a resend is due at %v", at)
	}
	r.start(2)
	r.take(r.c.CloseByHand(r.now))
}

func TestLowerAckIsAReplayRequest(t *testing.T) { // P4.6
	r := running(t, nil)
	for seq := uint64(1); seq <= 30; seq++ {
		r.start(seq)
		r.take(r.c.CloseByHand(r.now))
	}
	r.ack(61)
	r.seen()
	r.ack(20)
	if got := len(r.seen()); got != burst {
		t.Errorf("replay sent %d pieces, want %d", got, burst)
	}
	r.ack(30)
	if got := len(r.seen()); got != 10 {
		t.Errorf("ack that moved by 10 let %d pieces in, want 10", got)
	}
	r.ack(61)
	r.want()
}

func TestAckOfAnotherJournalOrOfTheFutureChangesNothing(t *testing.T) { // P4.7
	r := running(t, nil)
	r.seen()
	r.send(wire.Command{Epoch: 1, Kind: wire.KindAck, Ack: &wire.AckArgs{Journal: wire.Journal{1}, N: 1}})
	r.want("beat")
	r.now = r.now.Add(2 * time.Second)
	r.ack(2)
	if r.c.flash.Acked != 0 {
		t.Errorf("acked %d, want 0", r.c.flash.Acked)
	}
}

func TestJournalKeepsWhatIsAckedAndNeverDropsWhatIsNot(t *testing.T) { // P4.5, P4.8, P4.9
	r := running(t, func(c *Config) { c.JournalCapacity = 32 })
	full := uint64(0)
	for seq := uint64(1); seq <= 40; seq++ {
		r.start(seq)
		r.take(r.c.CloseByHand(r.now))
		if full == 0 && r.last().Reason == wire.ReasonJournalFull {
			full = seq
		}
		if r.c.flash.Lowest() != 1 {
			t.Fatalf("evidence %d was dropped and nothing is acked", r.c.flash.Lowest()-1)
		}
	}
	if want := uint64(13); full != want { // boot + 2 x 12 = 25 pieces, 7 free
		t.Errorf("journal_full from start %d on, want %d", full, want)
	}
	if got := len(r.c.flash.Entries); got != 29 { // 3 free: no rejection is written any more
		t.Errorf("%d pieces held, want 29", got)
	}
	moves := len(r.c.lock.Movements)
	for range 5 {
		r.take(r.c.Tamper(r.now))
		r.reboot()
	}
	if got := len(r.c.flash.Entries); got != 30 {
		t.Errorf("%d pieces held after boots and alarms, want 30: the places of a result and an end stay", got)
	}
	r.ack(r.c.flash.Highest)
	r.start(41)
	r.wantMoves(moves + 1)
	if got := len(r.c.flash.Entries); got != 31 {
		t.Errorf("%d pieces held, want 31: what is acked is kept while there is place", got)
	}
	for seq := uint64(42); seq < 60; seq++ {
		r.take(r.c.CloseByHand(r.now))
		r.start(seq)
		r.ack(r.c.flash.Highest)
	}
	if len(r.c.flash.Entries) != 32 {
		t.Errorf("%d pieces held, want a full journal of 32", len(r.c.flash.Entries))
	}
}

func TestFullJournalStillEndsARunningUse(t *testing.T) { // P4.9
	r := running(t, func(c *Config) { c.JournalCapacity = 16 })
	r.start(1)
	for range 20 {
		r.take(r.c.Tamper(r.now))
		r.reboot()
	}
	r.take(r.c.CloseByHand(r.now))
	if e := r.c.flash.Entries[len(r.c.flash.Entries)-1]; e.Kind != wire.EvidenceEnded {
		t.Errorf("newest piece is %v, want ended", e.Kind)
	}
}

func TestBeatsComeAtTheirTimeWithJitter(t *testing.T) { // P9.1
	r := running(t, nil)
	r.ack(1)
	first := len(r.beats)
	r.wait(time.Hour)
	if got := len(r.beats) - first; got < 13 || got > 17 {
		t.Errorf("got %d beats in an hour, want about 15", got)
	}
}

func TestConfigSetsParametersWithinRange(t *testing.T) { // P2.2
	r := running(t, nil)
	c := r.command(wire.KindConfig, 1)
	c.Config = &wire.ConfigArgs{Params: map[wire.Param]int64{wire.ParamBeatSeconds: 30, wire.ParamLowBatteryPercent: 51, 999: 1}}
	r.send(c)
	if r.c.param(wire.ParamBeatSeconds) != 30 || r.c.param(wire.ParamLowBatteryPercent) != 10 {
		t.Errorf("parameters are %v", r.c.flash.Params)
	}
	r.reboot()
	if r.c.param(wire.ParamBeatSeconds) != 30 {
		t.Error("a reboot forgot the parameters")
	}
}

func TestServerKeyRotates(t *testing.T) { // S12, P1.2
	key := func(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }
	pub := func(b byte) ed25519.PublicKey { return key(b).Public().(ed25519.PublicKey) }
	r := running(t, func(c *Config) { c.Server, c.ServerKeys = nil, []ed25519.PublicKey{pub(1)} })
	probe := func(b byte, seq uint64, second ...byte) {
		c := r.command(wire.KindProbe, seq)
		if len(second) > 0 {
			c.Kind, c.Config = wire.KindConfig, &wire.ConfigArgs{SecondKey: &wire.ServerKey{ID: wire.KeyID(pub(second[0])), Public: pub(second[0])}}
		}
		sealed, err := wire.SealCommand(wire.NewSigner(key(b)), testDevice, c)
		if err != nil {
			t.Fatal(err)
		}
		r.take(r.c.Receive(r.now, sealed))
	}
	last := func(want uint64, what string) {
		t.Helper()
		if got := r.c.flash.Outlet.LastSeq; got != want {
			t.Errorf("%s: last seq %d, want %d", what, got, want)
		}
	}
	probe(2, 1)
	last(0, "unknown key")
	probe(1, 2, 2)
	probe(2, 3)
	last(3, "second key")
	probe(1, 4)
	last(4, "first key beside the second")
	probe(2, 5, 3)
	probe(1, 6)
	last(5, "first key replaced")
	probe(3, 7)
	last(7, "third key")
}

func TestNewEpochFormatsTheFlash(t *testing.T) { // P4.1
	r := running(t, nil)
	r.start(1)
	r.take(r.c.CloseByHand(r.now))
	again := newRig(t, func(c *Config) { c.Flash, c.Lock, c.Epoch = r.c.flash, r.c.lock, 2; c.Rand = r.c.Rand })
	journal := r.c.flash.Journal
	again.up()
	if f := again.c.flash; f.Journal == journal || f.Outlet.LastSeq != 0 || f.Highest != 1 || f.Outlet.Opens != 1 {
		t.Errorf("flash of the new epoch: %+v", f)
	}
}

func TestUptimeDriftsAndStartsWhereTold(t *testing.T) { // P7.2
	r := running(t, func(c *Config) { c.DriftPPM = 200; c.UptimeStart = time.Minute })
	r.now = r.now.Add(100_000 * time.Second)
	if got, want := r.c.Uptime(r.now), uint64(100_080_000); got != want {
		t.Errorf("uptime %d ms, want %d", got, want)
	}
}

func TestEachBootHasItsOwnID(t *testing.T) { // P7.1
	r := running(t, nil)
	was := r.c.BootID()
	r.reboot()
	if r.c.BootID() == was || was.IsZero() {
		t.Errorf("boot ids %v and %v", was, r.c.BootID())
	}
}

func TestMemorySurvivesJSON(t *testing.T) {
	r := running(t, nil)
	r.start(1)
	var buf bytes.Buffer
	if err := (&Memory{Flash: *r.c.flash, Lock: *r.c.lock}).Save(&buf); err != nil {
		t.Fatal(err)
	}
	m, err := LoadMemory(&buf)
	if err != nil {
		t.Fatal(err)
	}
	again := newRig(t, func(c *Config) { c.Flash, c.Lock = &m.Flash, &m.Lock })
	again.up()
	again.want("beat", "boot", "executed", "boot")
	again.take(again.c.CloseByHand(again.now))
	again.want("ended: closed_by_hand")
}

func TestCommandWithoutAConnectionIsAnsweredByItsOwnRoad(t *testing.T) {
	r := newRig(t, nil)
	r.c.Boot(r.now)
	r.start(1)
	r.want("executed")
	if r.c.NextWake() != (time.Time{}) {
		t.Error("a device without a connection wants to wake")
	}
}
