package sim

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

// A washing machine that runs for a fixed time: a third kind, as one file and
// one line of the table (kind.go) would add it.

type washerBody struct {
	Cycles int    `json:"cycles"`
	Water  uint64 `json:"water"`
}

type washer struct {
	plain
	body  *washerBody
	until time.Time
}

const washes = 30 * time.Minute

var washerRow = kindRow{
	make: func(c *Controller) (kind, error) {
		body, err := bodyOf(c, washerBody{})
		return &washer{plain: plain{c}, body: body}, err
	},
	stage: map[string]stageFunc{"kick": func(ctx context.Context, d *Device, _ []byte) error { return d.Tamper(ctx) }},
}

func (w *washer) start(now time.Time, cmd wire.Command) {
	if w.c.flash.Outlet.Use != nil {
		w.c.reject(now, cmd, wire.ReasonBusy)
		return
	}
	if w.c.answer(now, cmd, wire.EvidenceExecuted, wire.ReasonNone, func(o *Outlet) { o.Use = &Use{Seq: cmd.Seq, ID: cmd.ID, Order: cmd.Order} }) {
		w.until = now.Add(washes)
	}
}

func (w *washer) next() time.Time { return w.until }

func (w *washer) advance(now time.Time) {
	if use := w.c.flash.Outlet.Use; use != nil && !w.until.IsZero() && !now.Before(w.until) {
		at := w.until
		w.until = time.Time{}
		w.body.Cycles++
		w.c.journal(at, 1, StepBeforeEnded, StepEnded, wire.Evidence{
			Kind: wire.EvidenceEnded, Reason: wire.ReasonLimit, CommandSeq: use.Seq, CommandID: use.ID, Order: use.Order,
		}, func(o *Outlet) { o.Use = nil })
	}
}

func (w *washer) dark() { w.until = time.Time{} }

func (w *washer) boot(now time.Time) {
	if use := w.c.flash.Outlet.Use; use == nil || w.c.journal(now, 1, StepBeforeSettled, StepSettled, wire.Evidence{
		Kind: wire.EvidenceInterrupted, Reason: wire.ReasonPower, CommandSeq: use.Seq, CommandID: use.ID, Order: use.Order,
	}, func(o *Outlet) { o.Use = nil }) {
		w.c.journalBoot(now, wire.Evidence{}, false, func(*Outlet) {})
	}
}

func (w *washer) show(_ time.Time, s *DeviceState) { s.Body = w.body }

func withWashers(t *testing.T) {
	t.Helper()
	kinds["washer"] = washerRow
	t.Cleanup(func() { delete(kinds, "washer") })
}

func TestAThirdKindIsOneFileAndOneLine(t *testing.T) {
	withWashers(t)
	r := running(t, func(c *Config) { c.Kind, c.Lock = "washer", nil })
	r.seen()
	r.start(1)
	r.start(2)
	r.want("executed", "rejected: busy")
	r.send(r.command(wire.KindRing, 3))
	r.want("rejected: unsupported")
	r.c.Disconnect()
	r.wait(washes)
	r.take(r.c.Connect(r.now))
	if e := r.last(); e.Kind != wire.EvidenceEnded || e.Order != id(2, 1) || !e.Closed {
		t.Errorf("the last piece is %+v", e)
	}
	r.start(4)
	r.reboot()
	if e := r.lastOf(wire.EvidenceInterrupted); e.CommandSeq != 4 {
		t.Errorf("interrupted says %+v", e)
	}

	// Its body outlives the process through Memory.Body.
	saved, err := json.Marshal(Memory{Body: r.c.Body})
	if err != nil {
		t.Fatal(err)
	}
	m, err := LoadMemory(strings.NewReader(string(saved)))
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDevice(DeviceConfig{Provision: Provision{
		Device: "WASH-1", Kind: "washer", Epoch: 1, Key: seedKey("w").Seed(), ServerKeys: [][]byte{make([]byte, 32)},
	}, Memory: m})
	if err != nil {
		t.Fatal(err)
	}
	if body, ok := m.Body.(*washerBody); !ok || body.Cycles != 1 || d.c.Body != m.Body {
		t.Errorf("body is %+v", m.Body)
	}
}

func TestAThirdKindTakesItsOwnStageDirections(t *testing.T) {
	withWashers(t)
	d := &Device{cfg: DeviceConfig{Provision: Provision{Device: "WASH-1", Kind: "washer"}}}
	for name, want := range map[string]string{"kick": "", "power": "", "close": "is for a lock", "crank": "is for a pump", "dance": "no such stage direction"} {
		act, err := direction(d, name)
		if (act == nil) == (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
