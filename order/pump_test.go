package order_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func TestAPumpsOrderSettlesOnWhatThePumpSigned(t *testing.T) {
	s, p, o := fuelling(t)
	if o.HoldFen != 200_00 || s.wallet().Held != 200_00 {
		t.Fatalf("held %v of an order of 200 yuan, wallet %v", o.HoldFen, s.wallet().Held)
	}
	p.flows(1, 1, 12_345)
	s.hear(p.ends(1, "nozzle_back"))
	o = s.wants(o.ID, order.Settled)
	want := billing.Price(12_345, 7850) // 96.91
	if want != 96_91 || o.Quote.Total != want || o.Charged != want || o.Debt != 0 || s.wallet().Posted != 500_00-want || s.wallet().Held != 0 {
		t.Errorf("billed %v, charged %v, debt %v, wallet %+v; want %v", o.Quote.Total, o.Charged, o.Debt, s.wallet(), want)
	}
	if f := o.Usage.Fuel; f.Millilitres != 12_345 || f.Grade != "92" || o.Usage.Measured != billing.ByPump || o.Reason != "nozzle_back" {
		t.Errorf("usage %+v of %+v, reason %s", f, o.Usage, o.Reason)
	}
	if kinds := s.itemKinds(); len(kinds) != 0 {
		t.Errorf("items %v, want none", kinds)
	}
}

func TestNothingDispensedCostsNothing(t *testing.T) {
	s, p, o := fuelling(t)
	s.hear(p.ends(1, "not_lifted"))
	o = s.wants(o.ID, order.Settled)
	if o.Quote.Total != 0 || o.Charged != 0 || s.wallet().Posted != 500_00 || s.wallet().Held != 0 || o.Reason != "not_lifted" {
		t.Errorf("billed %v, charged %v, wallet %+v, reason %s", o.Quote.Total, o.Charged, s.wallet(), o.Reason)
	}
}

func TestPresetsBecomeLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		preset billing.Preset
		hold   billing.Fen
		ml     int64
		price  int64
		want   error
	}{
		{"an amount", billing.Preset{Grade: "95", Amount: 200_00}, 200_00, 23_838, 8390, nil},
		{"a volume", billing.Preset{Grade: "92", Millilitres: 20_000}, 157_00, 20_000, 7850, nil},
		{"a full tank", billing.Preset{Grade: "92"}, 500_00, 63_694, 7850, nil},
		{"no grade", billing.Preset{Amount: 200_00}, 0, 0, 0, order.ErrPreset},
		{"a grade that is not sold", billing.Preset{Grade: "98", Amount: 200_00}, 0, 0, 0, order.ErrPreset},
		{"both limits", billing.Preset{Grade: "92", Amount: 1, Millilitres: 1}, 0, 0, 0, order.ErrPreset},
		{"less than the least", billing.Preset{Grade: "92", Amount: 99}, 0, 0, 0, order.ErrPreset},
		{"more than the most", billing.Preset{Grade: "92", Amount: 100_001}, 0, 0, 0, order.ErrPreset},
		{"more than a tank", billing.Preset{Grade: "92", Millilitres: 200_001}, 0, 0, 0, order.ErrPreset},
		{"more than the balance", billing.Preset{Grade: "92", Amount: 500_01}, 0, 0, 0, order.ErrNoMoney},
		{"a negative amount", billing.Preset{Grade: "92", Amount: -1}, 0, 0, 0, order.ErrPreset},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sealed []device.Command
			s, _ := forecourt(t, func(x *order.ServiceConfig) { x.Env.Sealer = spy{&sealed} })
			p := s.placing()
			at(1, choosing(c.preset))(&p)
			placed, err := s.svc.Place(context.Background(), p)
			if !errors.Is(err, c.want) || err == nil && placed.Order.HoldFen != c.hold {
				t.Fatalf("place: held %v, %v; want %v, %v", placed.Order.HoldFen, err, c.hold, c.want)
			}
			if err != nil {
				return
			}
			args := sealed[len(sealed)-1].Args.Start
			nozzle := map[int64]uint8{7850: 1, 8390: 2}[c.price]
			if args == nil || args.MaxFen != int64(c.hold) || args.MaxMillilitres != c.ml || args.ArmMillis != 60_000 ||
				!maps.Equal(args.UnitPrices, map[uint8]int64{nozzle: c.price}) {
				t.Errorf("start: %+v, want %d ml at most at %d", args, c.ml, c.price)
			}
		})
	}
}

// spy keeps what it is asked to seal.
type spy struct{ seen *[]device.Command }

func (s spy) Seal(id device.ID, c device.Command) ([]byte, error) {
	*s.seen = append(*s.seen, c)
	return sealer{}.Seal(id, c)
}

func TestTwoSidesServeTwoRiders(t *testing.T) {
	s, p := forecourt(t)
	a, ca := s.place(at(1))
	b, cb := s.place(at(2), by(ben))
	s.hear(p.arms(cb), p.arms(ca))
	p.flows(1, 1, 5_000)
	p.flows(2, 1, 7_000)
	s.hear(p.ends(2, "nozzle_back"), p.ends(1, "nozzle_back"))
	if x, y := s.wants(a.ID, order.Settled), s.wants(b.ID, order.Settled); x.Usage.Fuel.Millilitres != 5_000 || y.Usage.Fuel.Millilitres != 7_000 {
		t.Errorf("side 1 %+v, side 2 %+v", x.Usage.Fuel, y.Usage.Fuel)
	}
	if kinds := s.itemKinds(); len(kinds) != 0 {
		t.Errorf("items %v, want none", kinds)
	}
}

func TestASecondRiderAtOneSideIsRefused(t *testing.T) {
	s, _, _ := fuelling(t)
	p := s.placing()
	at(1, by(ben))(&p)
	if _, err := s.svc.Place(context.Background(), p); !errors.Is(err, order.ErrOutletBusy) {
		t.Errorf("second phone: got %v, want ErrOutletBusy", err)
	}
}

func TestCancellingAPumpAsksItToStopUntilItHas(t *testing.T) {
	for _, c := range []struct {
		name string
		in   order.ActInput
		ml   uint64
	}{{"before the nozzle is lifted", order.Cancel, 0}, {"while it flows", order.Cancel, 3_000}, {"by the end button", order.End, 3_000}} {
		t.Run(c.name, func(t *testing.T) {
			s, p, o := fuelling(t)
			p.flows(1, 1, c.ml)
			s.hear(p.beat())
			s.dispatched()
			s.must(o.ID, c.in)
			sent := s.dispatched()
			if len(sent) != 1 || sent[0].Kind != device.Stop || sent[0].Order != o.ID || !s.wants(o.ID, order.Active).Cancelling {
				t.Fatalf("sent %+v, want one stop of the order", sent)
			}
			s.must(o.ID, c.in) // once more changes nothing
			if again := s.dispatched(); len(again) != 0 {
				t.Errorf("asked twice, sent %+v", again)
			}
			// The number is burned and the end not told: the stop goes on.
			p.sides[1].last = sent[0].Seq
			s.hear(p.beat())
			if got := s.command(sent[0].ID).State; got != device.Published {
				t.Errorf("stop that was burned before the use ended: got %s, want published", got)
			}
			s.hear(p.ends(1, "stopped"))
			if o = s.wants(o.ID, order.Settled); o.Quote.Total != billing.Price(int64(c.ml), 7850) {
				t.Errorf("billed %v for %d ml", o.Quote.Total, c.ml)
			}
			if got := s.command(sent[0].ID).State; got != device.Spent {
				t.Errorf("stop after the end: got %s, want spent", got)
			}
		})
	}
}

// A pump answers a stop that it has burned with the end that it journalled: if that
// copy of an old word called for the stop again, the two would talk for ever.
func TestACopyOfAnOldEndEndsNoSilence(t *testing.T) {
	s, p, o := fuelling(t)
	s.must(o.ID, order.Cancel)
	over := p.ends(1, "nozzle_back")
	s.hear(over)
	s.dispatched()
	s.pass(time.Minute)
	if s.hear(over); len(s.dispatched()) != 0 {
		t.Error("a copy of an old end was answered with a command")
	}
	if s.hear(p.beat()); len(s.dispatched()) != 1 {
		t.Error("a beat after a silence was not answered with the open stop")
	}
}

func TestResidualAboveTheLimitIsTheOperatorsLoss(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 25_500) // 200.18 yuan
	s.hear(p.ends(1, "limit"))
	o = s.wants(o.ID, order.Settled)
	if o.Quote.Total != 200_00 || o.Charged != 200_00 || o.Debt != 0 {
		t.Errorf("billed %v, charged %v, debt %v; want the limit of 200.00", o.Quote.Total, o.Charged, o.Debt)
	}
	if lines := o.Quote.Lines; len(lines) != 2 || lines[1].Kind != billing.LineLimit || lines[1].Amount != -18 {
		t.Errorf("lines %+v", lines)
	}
	if kinds := s.itemKinds(); !slices.Equal(kinds, []string{order.ItemUnbilled}) {
		t.Errorf("items %v, want one of fuel that nobody pays", kinds)
	}
}

func TestInterruptedSettlesOnItsTotals(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 4_200)
	interrupted := p.over(1, device.SaidInterrupted, "power")
	s.hear(interrupted, p.boots2(), p.beat())
	if o = s.wants(o.ID, order.Settled); o.Usage.Fuel.Millilitres != 4_200 || o.EndedBy != order.DeviceEnded {
		t.Errorf("usage %+v, ended by %s", o.Usage.Fuel, o.EndedBy)
	}
}

func TestABootEndsAUseOnTheTotaliser(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 4_200)
	p.over(1, device.SaidInterrupted, "power") // lost for good
	boot := p.boots2()
	p.lowest = p.seq
	s.hear(boot, p.beat())
	o = s.wants(o.ID, order.Settled)
	if o.Usage.Fuel.Millilitres != 4_200 || o.Quote.Total != billing.Price(4_200, 7850) || o.Usage.Measured != billing.ByTotaliser || o.EndedBy != order.FoundShut {
		t.Errorf("usage %+v of %+v, ended by %s", o.Usage.Fuel, o.Usage, o.EndedBy)
	}
	if kinds := s.itemKinds(); !slices.Equal(kinds, []string{order.ItemLost}) {
		t.Errorf("items %v, want the lost evidence alone", kinds)
	}
	// The next sale begins where this one ended.
	_, c := s.place(at(1))
	s.hear(p.arms(c))
	if kinds := s.itemKinds(); !slices.Equal(kinds, []string{order.ItemLost}) {
		t.Errorf("items after the next start %v", kinds)
	}
}

func TestATotaliserBillsNobodyWhereOtherSalesMayBeLost(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 4_200)
	p.ends(1, "nozzle_back") // lost, and so is a whole sale after it
	p.piece(1, device.SaidRejected)
	p.flows(1, 1, 9_000)
	boot := p.boots2()
	p.lowest = p.seq
	s.hear(boot, p.beat())
	o = s.wants(o.ID, order.Ended)
	if o.Charged != 0 || !slices.Contains(s.itemKinds(), order.ItemMismatch) {
		t.Errorf("charged %v, items %v; want staff to decide", o.Charged, s.itemKinds())
	}
}

func TestABeatOfTheSameMillisecondEndsNothing(t *testing.T) {
	s, p := forecourt(t)
	o, c := s.place(at(1))
	idle := p.beat() // made before the start was obeyed, heard after it
	s.hear(p.arms(c), idle)
	s.wants(o.ID, order.Active)
	if out := s.store.Outlets("pump-1")[0]; out.Stated.Closed {
		t.Error("the side counts as closed")
	}
}

func TestNewKeysForgetNoTotaliser(t *testing.T) {
	s, p := forecourt(t)
	p.flows(1, 1, 750)
	s.dispenserWith("pump-1", p.sides)
	if items := s.store.Items(); len(items) != 1 || items[0].Kind != order.ItemTotaliser || !strings.Contains(items[0].Detail, "750 ml") {
		t.Errorf("items %+v, want the fuel that flowed while the pump had no keys", items)
	}
}

func TestANozzleOfAnotherGradeExplainsNothing(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 9_500)
	p.flows(1, 2, 500)
	s.hear(p.ends(1, "nozzle_back", func(e *device.Evidence) { e.Counters.Millilitre, e.Counters.Fen = 10_000, 78_50 }))
	s.wants(o.ID, order.Ended)
	if kinds := s.itemKinds(); !slices.Contains(kinds, order.ItemTotaliser) || !slices.Contains(kinds, order.ItemMismatch) {
		t.Errorf("items %v, want a gap and a decision", kinds)
	}
	p.flows(2, 1, 500)
	p.sides[2].total[2] -= 500 // no sum shows it
	before := len(s.store.Items())
	s.hear(p.beat())
	if len(s.store.Items()) != before+1 {
		t.Error("two nozzles that moved against each other went unnoticed")
	}
}

func TestALateWordThatWasGivenUpIsShown(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 4_200)
	late := p.over(1, device.SaidInterrupted, "power")
	boot := p.boots2()
	p.lowest = p.seq
	s.hear(boot, p.beat())
	s.wants(o.ID, order.Settled)
	s.hear(late)
	if kinds := s.itemKinds(); !slices.Contains(kinds, order.ItemQuarantined) {
		t.Errorf("items %v, want the piece that came after it was given up", kinds)
	}
}

func TestASecondEndOfASaleIsShown(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 1_000)
	use := p.sides[1].use
	s.hear(p.ends(1, "nozzle_back"))
	s.wants(o.ID, order.Settled)
	p.sides[1].use, p.sides[1].began = use, maps.Clone(p.sides[1].total)
	p.flows(1, 1, 5_000)
	s.hear(p.ends(1, "nozzle_back"))
	if got := s.wants(o.ID, order.Settled); got.Paid() != billing.Price(1_000, 7850) || !slices.Contains(s.itemKinds(), order.ItemUnbilled) {
		t.Errorf("paid %v, items %v; want the first end's bill and an item for the second", got.Paid(), s.itemKinds())
	}
}

func TestAPumpWithoutTotalisersIsNotBelieved(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 1_000)
	s.hear(p.ends(1, "nozzle_back", func(e *device.Evidence) { e.Counters.Totaliser = nil }))
	if s.wants(o.ID, order.Ended); !slices.Contains(s.itemKinds(), order.ItemMismatch) {
		t.Errorf("items %v, want staff to decide", s.itemKinds())
	}
}

func TestATestDeliveryHasALimit(t *testing.T) {
	s, _ := forecourt(t)
	p := s.placing()
	who := staff
	at(1, choosing(billing.Preset{Grade: "92", Millilitres: 100_001}))(&p)
	p.PayWith, p.Staff = order.PayService, &who
	if _, err := s.svc.Place(context.Background(), p); !errors.Is(err, order.ErrPreset) {
		t.Errorf("more than 100 l: got %v, want ErrPreset", err)
	}
	p.Preset.Millilitres = 100_000
	if _, err := s.svc.Place(context.Background(), p); err != nil {
		t.Errorf("100 l: %v", err)
	}
}

func TestABeatBeforeTheEndSettlesNothing(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 4_200)
	end := p.ends(1, "nozzle_back")
	s.hear(p.beat()) // closed, and it holds a piece that is not here yet
	s.wants(o.ID, order.Active)
	s.hear(end)
	if o = s.wants(o.ID, order.Settled); o.Usage.Measured != billing.ByPump {
		t.Errorf("measured by %s", o.Usage.Measured)
	}
}

func TestFuelThatNoSaleAccountsForIsOneItemAndExactlyThat(t *testing.T) {
	for name, tell := range map[string]func(*scene, *dispenser){
		"by a beat":           func(s *scene, p *dispenser) { s.hear(p.beat(), p.beat()) },
		"by the next start":   func(s *scene, p *dispenser) { _, c := s.place(at(1)); s.hear(p.arms(c), p.beat()) },
		"by the beat of both": func(s *scene, p *dispenser) { s.hear(p.beat()); _, c := s.place(at(1)); s.hear(p.arms(c)) },
	} {
		t.Run(name, func(t *testing.T) {
			s, p := forecourt(t)
			p.flows(1, 2, 750)
			tell(s, p)
			items := s.store.Items()
			if len(items) != 1 || items[0].Kind != order.ItemTotaliser || !strings.Contains(items[0].Detail, "750 ml") {
				t.Errorf("items %+v, want one gap of 750 ml", items)
			}
		})
	}
}

func TestFiguresThatDoNotAgreeWaitForStaff(t *testing.T) {
	for name, bend := range map[string]func(*device.Evidence){
		"amount above volume x price":   func(e *device.Evidence) { e.Counters.Fen++ },
		"amount below volume x price":   func(e *device.Evidence) { e.Counters.Fen-- },
		"more than the totaliser moved": func(e *device.Evidence) { e.Counters.Millilitre, e.Counters.Fen = 20_000, 157_00 },
	} {
		t.Run(name, func(t *testing.T) {
			s, p, o := fuelling(t)
			p.flows(1, 1, 10_000)
			s.hear(p.ends(1, "nozzle_back", bend))
			o = s.wants(o.ID, order.Ended)
			if !slices.Contains(s.itemKinds(), order.ItemMismatch) || s.wallet().Held != 200_00 || o.Charged != 0 {
				t.Fatalf("items %v, wallet %+v, order %+v", s.itemKinds(), s.wallet(), o)
			}
			decide := func(fen billing.Fen) error {
				_, err := s.act(o.ID, order.Decide, func(a *order.Act) { who := staff; a.Staff, a.Amount = &who, fen })
				return err
			}
			if err := decide(200_01); !errors.Is(err, order.ErrInvalid) {
				t.Errorf("more than held: got %v, want ErrInvalid", err)
			}
			if _, err := s.act(o.ID, order.Decide, func(a *order.Act) { a.Amount = 1 }); !errors.Is(err, order.ErrReason) {
				t.Errorf("by nobody: got %v, want ErrReason", err)
			}
			if err := decide(78_50); err != nil {
				t.Fatalf("decide: %v", err)
			}
			if err := decide(78_50); err != nil {
				t.Errorf("decided again, alike: %v", err)
			}
			if err := decide(78_51); !errors.Is(err, order.ErrWrongState) {
				t.Errorf("decided again, otherwise: got %v, want ErrWrongState", err)
			}
			o = s.wants(o.ID, order.Settled)
			if o.Charged != 78_50 || s.wallet().Held != 0 || o.Tariff.Quote(*o.Usage).Total != 78_50 {
				t.Errorf("charged %v, wallet %+v, quote %+v", o.Charged, s.wallet(), o.Quote)
			}
		})
	}
}

func TestAPriceChangeInMidFuellingKeepsTheTicketsPrice(t *testing.T) {
	s, p, o := fuelling(t)
	dearer := fuel
	rule := *fuel.FuelRule
	rule.Grades = []billing.Grade{{ID: "92", Name: "92#", UnitPrice: 9999}}
	dearer.Version, dearer.FuelRule = 2, &rule
	s.store.Seed(station, dearer)
	p.flows(1, 1, 10_000)
	s.hear(p.ends(1, "nozzle_back"))
	if o = s.wants(o.ID, order.Settled); o.Quote.Total != 78_50 || o.Tariff.Version != 1 {
		t.Errorf("billed %v by version %d", o.Quote.Total, o.Tariff.Version)
	}
}

func TestForcedEndBillsWhatABeatProvedAndStopsThePump(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 6_000)
	s.hear(p.beat())
	p.flows(1, 1, 1_000)
	s.dispatched()
	s.must(o.ID, order.ForceEnd)
	o = s.wants(o.ID, order.Settled)
	if o.Usage.Fuel.Millilitres != 6_000 || o.Usage.Measured != billing.ByTotaliser {
		t.Errorf("usage %+v", o.Usage.Fuel)
	}
	if sent := s.dispatched(); len(sent) != 1 || sent[0].Kind != device.Stop {
		t.Errorf("sent %+v, want a stop", sent)
	}
	if b := s.store.Outlets("pump-1")[0].Block; b != device.AwaitClosed {
		t.Errorf("outlet %s, want it to wait until it is closed", b)
	}
	s.hear(p.ends(1, "stopped"))
	if got := s.wants(o.ID, order.Settled); got.Paid() != billing.Price(6_000, 7850) {
		t.Errorf("a late word that proves more changed the bill to %v", got.Paid())
	}
	if b := s.store.Outlets("pump-1")[0].Block; b != device.NotBlocked {
		t.Errorf("outlet is blocked by %q after its end", b)
	}
	if kinds := s.itemKinds(); !slices.Equal(kinds, []string{order.ItemUnbilled}) {
		t.Errorf("items %v, want the litre that nobody pays", kinds)
	}
}

// A later command may reach the pump first: its number fences the stop, and the use
// of which nobody takes the bill any more goes on.
func TestAStopIsNotDoneWhileTheUseThatItEndsGoesOn(t *testing.T) {
	s, p, o := fuelling(t)
	p.flows(1, 1, 2_000)
	s.dispatched()
	s.must(o.ID, order.ForceEnd)
	stop := s.dispatched()[0]
	p.sides[1].last = stop.Seq + 1
	if s.hear(p.beat()); stop.Kind != device.Stop || s.command(stop.ID).State != device.Published {
		t.Fatalf("%s #%d is %s while its use goes on", stop.Kind, stop.Seq, s.command(stop.ID).State)
	}
	if s.hear(p.ends(1, "stopped")); s.command(stop.ID).State != device.Spent {
		t.Errorf("the stop is %s when its use is over", s.command(stop.ID).State)
	}
}

func TestAPumpThatArmsForAVoidedOrderIsStopped(t *testing.T) {
	s, p := forecourt(t)
	o, c := s.place(at(1))
	s.pass(16 * time.Second)
	s.must(o.ID, order.Elapse)
	s.pass(11 * time.Minute)
	s.must(o.ID, order.Elapse)
	s.wants(o.ID, order.Voided)
	s.dispatched()
	late := p.arms(c)
	s.hear(late)
	var stops int
	for _, x := range s.dispatched() {
		if x.Kind == device.Stop && x.Order == o.ID {
			stops++
		}
	}
	if stops == 0 {
		t.Error("a pump that runs for nobody was not told to stop")
	}
	p.flows(1, 1, 500)
	s.hear(p.ends(1, "stopped"))
	if kinds := s.itemKinds(); !slices.Contains(kinds, order.ItemUnbilled) || !slices.Contains(kinds, order.ItemLateExecuted) {
		t.Errorf("items %v, want the late start and the fuel that nobody pays", kinds)
	}
	if w := s.wallet(); w.Posted != 500_00 || w.Held != 0 {
		t.Errorf("wallet %+v: a voided order cost something", w)
	}
}

func TestAVenueMayForbidTheForecourt(t *testing.T) {
	s, _ := forecourt(t)
	v := station
	v.KioskOnly = true
	s.store.Seed(v, fuel)
	x := s.placing()
	at(1)(&x)
	if _, err := s.svc.Place(context.Background(), x); !errors.Is(err, order.ErrKioskOnly) {
		t.Errorf("on the forecourt: got %v, want ErrKioskOnly", err)
	}
	x.Ticket.Kiosk = true
	if _, err := s.svc.Place(context.Background(), x); err != nil {
		t.Errorf("at the kiosk: %v", err)
	}
}

func TestPrintedCodesHaveALimitPerDay(t *testing.T) {
	s, p := forecourt(t, func(c *order.ServiceConfig) { c.Env.Config.PrintedCap = 300_00 })
	printed := func(x *order.Place) { x.Ticket.Class = order.Printed }
	o, c := s.place(at(1), printed)
	s.hear(p.arms(c))
	p.flows(1, 1, 20_000) // 157.00
	s.hear(p.ends(1, "nozzle_back"))
	s.wants(o.ID, order.Settled)
	x := s.placing()
	at(1, printed)(&x)
	if _, err := s.svc.Place(context.Background(), x); !errors.Is(err, order.ErrSpendingCap) {
		t.Errorf("200 more of 300: got %v, want ErrSpendingCap", err)
	}
	x.Preset = billing.Preset{Grade: "92"}
	placed, err := s.svc.Place(context.Background(), x)
	if err != nil || placed.Order.HoldFen > 143_00 || placed.Order.HoldFen < 142_90 {
		t.Errorf("a full tank: held %v, %v; want what is left of the day", placed.Order.HoldFen, err)
	}
	rotating := s.placing()
	at(2, func(x *order.Place) { x.Ticket.Class = order.Rotating }, by(ben))(&rotating)
	rotating.Preset.Amount = 400_00
	if _, err := s.svc.Place(context.Background(), rotating); err != nil {
		t.Errorf("a code on the screen: %v", err)
	}
}

func TestADisplayIsToldTheTimeOncePerBoot(t *testing.T) {
	var sealed []device.Command
	s, _ := forecourt(t, func(x *order.ServiceConfig) { x.Env.Sealer = spy{&sealed} })
	told := func() (n int) {
		for _, c := range sealed {
			if c.Kind == device.Config {
				n++
				if w := c.Args.Wall; w == nil || w.At.IsZero() || w.Boot == (device.Boot{}) {
					t.Errorf("config without a time: %+v", c.Args)
				}
			}
		}
		return n
	}
	if n := told(); n != 0 {
		t.Errorf("a pump without a screen was told the time %d times", n)
	}
	p := s.dispenser("screen-1", true)
	s.hear(p.beat(), p.beat())
	if n := told(); n != 1 {
		t.Errorf("told %d times in one boot, want 1", n)
	}
	s.hear(p.boots2(), p.beat())
	if n := told(); n != 2 {
		t.Errorf("told %d times in two boots, want 2", n)
	}
	s.pass(6 * time.Hour)
	s.hear(p.beat())
	if n := told(); n != 3 {
		t.Errorf("told %d times after six hours, want 3", n)
	}
	config := sealed[len(sealed)-1]
	p.sides[config.Outlet].last = config.Seq + 1 // a later command came first, and fenced it
	if s.hear(p.beat()); told() != 4 {
		t.Errorf("told %d times after a config that came too late, want 4", told())
	}
	p.sides[config.Outlet].last = sealed[len(sealed)-1].Seq
	if s.hear(p.beat(), p.beat()); told() != 4 {
		t.Errorf("told %d times after a config that came in time, want 4", told())
	}
}

func TestPumpsAreProvisionedWithTheirNozzles(t *testing.T) {
	s, _ := forecourt(t)
	for name, grades := range map[string]map[uint8]map[uint8]string{
		"no side":               nil,
		"one side of two":       {1: {1: "92"}},
		"a side without nozzle": {1: {1: "92"}, 2: {}},
		"nozzle 0":              {1: {1: "92"}, 2: {0: "92"}},
		"no grade":              {1: {1: "92"}, 2: {1: ""}},
	} {
		_, err := s.svc.Provision(context.Background(), order.Provision{Device: "p", Kind: device.Pump, Venue: station.ID, Outlets: 2,
			Grades: grades, PublicKey: make([]byte, 32), Staff: staff})
		if !errors.Is(err, order.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if err := order.CheckTariff(device.Pump, bike); !errors.Is(err, billing.ErrBadTariff) {
		t.Errorf("a bike's tariff for a pump: %v", err)
	}
	if err := order.CheckTariff(device.Lock, fuel); !errors.Is(err, billing.ErrBadTariff) {
		t.Errorf("a pump's tariff for a lock: %v", err)
	}
	if err := order.CheckTariff("kite", bike); !errors.Is(err, billing.ErrBadTariff) {
		t.Errorf("a tariff for nothing: %v", err)
	}
}
