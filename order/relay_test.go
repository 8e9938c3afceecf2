package order_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

func overBluetooth(p *order.Place) { p.Road = order.Bluetooth }

// hidden is a scene whose lock has been out of coverage for longer than a sample lives,
// with an order that waits for Ann's phone.
func hidden(s *scene, bend ...func(*order.Place)) (l *lock, o order.Order, probe device.Command) {
	s.Helper()
	s.pass(device.SampleLife + time.Minute)
	s.dispatched()
	p := s.placing()
	for _, f := range append(bend, overBluetooth) {
		f(&p)
	}
	placed, err := s.svc.Place(context.Background(), p)
	if err != nil {
		s.Fatalf("place: %v", err)
	}
	sent := s.dispatched()
	if len(sent) != 1 || sent[0].Kind != device.Probe {
		s.Fatalf("placing dispatched %+v, want one probe", sent)
	}
	o = s.wants(placed.Order.ID, order.Pending)
	if o.Command != "" || o.Hold != "" {
		s.Fatalf("pending with command %q and hold %q, want neither", o.Command, o.Hold)
	}
	return s.locks["bike-1"], o, sent[0]
}

// answers burns a probe and says so.
func (l *lock) answers(probe device.Command) order.Hear {
	l.burn(probe)
	return l.beat()
}

// fresh tells whether a start may be obeyed for 15 s from now, less what clocks drift.
func (l *lock) fresh(start device.Command) bool {
	left := int64(start.NotAfter) - int64(l.uptime())
	return start.Boot == l.boot && left > 14_900 && left <= 15_000
}

// start is the one that was dispatched now.
func (s *scene) start() device.Command {
	s.Helper()
	for _, c := range s.dispatched() {
		if c.Kind == device.Start {
			return c
		}
	}
	s.Fatalf("no start was dispatched")
	return device.Command{}
}

// carried are the kinds of what a phone may carry, and the number acked, -1 for none.
func (s *scene) carried(id string) (kinds []string, acked int) {
	s.Helper()
	c, err := s.svc.Carry(context.Background(), s.order(id))
	if err != nil {
		s.Fatalf("carry: %v", err)
	}
	if c == nil {
		return nil, -1
	}
	for _, b := range c.Commands {
		for _, k := range s.store.Commands() {
			if string(k.Bytes) == string(b) {
				kinds = append(kinds, string(k.Kind))
			}
		}
	}
	if c.Ack == nil {
		return kinds, -1
	}
	return kinds, int(c.Ack.N)
}

func TestAnUnheardLockStartsOnceItsProbeWasCarried(t *testing.T) {
	s := ready(t)
	s.pass(device.SampleLife + time.Minute)
	if got, err := s.svc.Scan(context.Background(), ann.ID, "bike-1", ""); err != nil || got.Ticket == "" || got.Availability != device.NonContactable {
		t.Fatalf("scan: ticket %q, %s, %v; want a ticket for a lock that is non_contactable", got.Ticket, got.Availability, err)
	}
	probes := s.dispatched()
	p := s.placing()
	if _, err := s.svc.Place(context.Background(), p); !errors.Is(err, order.ErrOffline) {
		t.Fatalf("without a second road: %v, want ErrOffline", err)
	}
	overBluetooth(&p)
	placed, err := s.svc.Place(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	own := s.dispatched()
	if len(probes) != 1 || len(own) != 1 || own[0].Kind != device.Probe {
		t.Fatalf("scan sent %d commands and placing %d; want a probe of each", len(probes), len(own))
	}
	id := placed.Order.ID
	if kinds, _ := s.carried(id); !slices.Equal(kinds, []string{"probe"}) {
		t.Errorf("the phone may carry %v, want the probe", kinds)
	}
	l := s.locks["bike-1"]
	s.hear(l.answers(own[0]))
	o, start := s.wants(id, order.Starting), s.start()
	if want := s.now.Add(s.svc.Env.Config.StartDeadline); !l.fresh(start) || !o.DueAt.Equal(want) || o.Hold == "" {
		t.Errorf("not after %d, due %v, hold %q; want %d, %v and a hold: all is made now", start.NotAfter, o.DueAt, o.Hold, l.uptime()+15_000, want)
	}
	if kinds, _ := s.carried(id); !slices.Equal(kinds, []string{"start"}) {
		t.Errorf("the phone may carry %v, want the start alone", kinds)
	}
	s.hear(l.opens(start))
	s.wants(id, order.Active)
	s.pass(3 * time.Minute)
	s.hear(l.closes())
	if o := s.wants(id, order.Settled); o.Charged != 250 {
		t.Errorf("charged %d, want 250", o.Charged)
	}
	if _, acked := s.carried(id); acked != 3 {
		t.Errorf("after the end the phone carries an ack of %d, want 3", acked)
	}
	s.pass(order.CarryAfter)
	if kinds, acked := s.carried(id); kinds != nil || acked != -1 {
		t.Errorf("long after the end: %v, ack %d, want nothing", kinds, acked)
	}
}

func TestAWordFromBeforeTheProbeStartsNothing(t *testing.T) {
	s := ready(t)
	l := s.locks["bike-1"]
	s.pass(time.Minute)
	kept := l.beat() // somebody recorded it
	l, o, probe := hidden(s)
	s.hear(kept, kept)
	s.wants(o.ID, order.Pending)
	s.hear(l.answers(probe))
	s.wants(o.ID, order.Starting)
	if start := s.start(); !l.fresh(start) {
		t.Errorf("not after %d at an uptime of %d: the replayed beat must not make it older", start.NotAfter, l.uptime())
	}
}

func TestWhatIsOpenFromBeforeDoesNotDoForTheProbe(t *testing.T) {
	s := ready(t)
	l := s.locks["bike-1"]
	first, start := s.place()
	s.must(first.ID, order.Cancel)
	stop := s.dispatched()[0]
	s.hear(l.jams(start))
	s.pass(device.SampleLife + time.Minute)
	if err := s.svc.Ask(context.Background(), "bike-1", 1); err != nil {
		t.Fatal(err)
	}
	kept := l.answers(stop) // it was carried there, and its answer kept
	l, o, probe := hidden(s)
	s.hear(kept)
	s.wants(o.ID, order.Pending)
	if kinds, _ := s.carried(o.ID); !slices.Equal(kinds, []string{"probe"}) {
		t.Errorf("the phone may carry %v, want the order's own probe alone", kinds)
	}
	s.hear(l.answers(probe))
	s.wants(o.ID, order.Starting)
}

func TestNobodyCarriesTheProbeAndNothingIsBilled(t *testing.T) {
	s := ready(t)
	l, o, probe := hidden(s)
	s.pass(s.svc.Env.Config.PayTime - time.Second)
	s.must(o.ID, order.Elapse)
	s.wants(o.ID, order.Pending)
	s.pass(time.Second)
	s.must(o.ID, order.Elapse)
	if o := s.wants(o.ID, order.Voided); o.Reason != "not_relayed" || o.Charged != 0 || s.wallet().Posted != 5000 || s.wallet().Held != 0 {
		t.Errorf("%q, charged %d, wallet %+v; want not_relayed and an untouched wallet", o.Reason, o.Charged, s.wallet())
	}
	s.hear(l.answers(probe)) // too late
	s.wants(o.ID, order.Voided)
	for _, c := range s.dispatched() {
		if c.Kind == device.Start {
			t.Errorf("a start goes out for an order that is over")
		}
	}
}

func TestAWaitingRiderCancelsAtOnce(t *testing.T) {
	s := ready(t)
	_, o, _ := hidden(s)
	s.must(o.ID, order.Cancel)
	s.must(o.ID, order.Cancel)
	if o := s.wants(o.ID, order.Voided); o.Reason != "cancelled" {
		t.Errorf("voided because %q, want cancelled", o.Reason)
	}
	if out := s.outlet("bike-1"); out.Order != "" || out.Block != device.NotBlocked {
		t.Errorf("outlet %+v, want free: nothing was sent that moves", out)
	}
}

func TestMoneySpentWhileWaitingVoids(t *testing.T) {
	s := ready(t)
	l, o, probe := hidden(s)
	s.spend(s.wallet().Available() - o.HoldFen + 1)
	s.hear(l.answers(probe))
	if o := s.wants(o.ID, order.Voided); o.Reason != "no_money" {
		t.Errorf("voided because %q, want no_money", o.Reason)
	}
}

func TestALockThatWasHeardStartsAtOnceByBothRoads(t *testing.T) {
	s := ready(t)
	o, start := s.place(overBluetooth)
	if c, err := s.svc.Carry(context.Background(), o); err != nil || len(c.Commands) != 1 || string(c.Commands[0]) != string(start.Bytes) {
		t.Errorf("the phone may carry %+v, %v; want the start's very bytes", c, err)
	}
}

func TestALockWithoutBluetoothIsRefusedUnheard(t *testing.T) {
	s := empty(t)
	s.topUp(ann, 5000)
	if _, err := s.svc.Provision(context.Background(), order.Provision{Device: "bike-1", Kind: device.Lock, Venue: campus.ID, Outlets: 1,
		PublicKey: make([]byte, 32), Staff: staff}); err != nil {
		t.Fatal(err)
	}
	p := s.placing()
	overBluetooth(&p)
	if _, err := s.svc.Place(context.Background(), p); !errors.Is(err, order.ErrOffline) {
		t.Errorf("got %v, want ErrOffline", err)
	}
}

func TestTheWaitingOrderReservesItsOutlet(t *testing.T) {
	s := ready(t)
	s.topUp(ben, 5000)
	hidden(s)
	p := s.placing()
	by(ben)(&p)
	overBluetooth(&p)
	if _, err := s.svc.Place(context.Background(), p); !errors.Is(err, order.ErrOutletBusy) {
		t.Errorf("a second rider: %v, want ErrOutletBusy", err)
	}
	if got, err := s.svc.Scan(context.Background(), ben.ID, "bike-1", ""); err != nil || got.Availability != device.Reserved {
		t.Errorf("a second rider's scan: %s, %v; want reserved", got.Availability, err)
	}
}

func TestALockFoundOpenByItsRelayedWordStartsNothing(t *testing.T) {
	s := ready(t)
	l, o, probe := hidden(s)
	l.closed = false
	s.hear(l.answers(probe))
	if o := s.wants(o.ID, order.Voided); o.Reason != "outlet_open" {
		t.Errorf("voided because %q, want outlet_open", o.Reason)
	}
}

func TestPhonesCarryNothingOfOthers(t *testing.T) {
	s := ready(t)
	s.topUp(ben, 5000)
	first, start := s.place()
	l := s.locks["bike-1"]
	s.hear(l.opens(start), l.closes())
	second, _ := s.place(by(ben))
	kinds, acked := s.carried(first.ID)
	if len(kinds) != 0 || acked != 3 {
		t.Errorf("the first rider's phone may carry %v, ack %d; want no command of the second's order, ack 3", kinds, acked)
	}
	if kinds, _ := s.carried(second.ID); !slices.Equal(kinds, []string{"start"}) {
		t.Errorf("the second rider's phone may carry %v, want the start", kinds)
	}
	s.pass(16 * time.Second)
	if kinds, _ := s.carried(second.ID); slices.Contains(kinds, "start") {
		t.Errorf("a start past its deadline is carried: %v", kinds)
	}
}

func TestPaymentAndProbeMustBothCome(t *testing.T) {
	for _, way := range []order.PayWith{order.PayBefore, order.PayScore} {
		for _, first := range []string{"payment", "probe"} {
			t.Run(string(way)+", "+first+" first", func(t *testing.T) {
				c := atCounter(t)
				l, o, probe := hidden(c.scene, paying(way))
				c.turn()
				pay := func() {
					if way == order.PayBefore {
						c.bank.pays(c.bank.only(billing.Transaction))
					} else {
						c.bank.confirms(c.bank.only(billing.Score))
					}
					c.deliver()
					c.turn()
				}
				steps := []func(){pay, func() { c.hear(l.answers(probe)) }}
				if first == "probe" {
					slices.Reverse(steps)
				}
				steps[0]()
				if o := c.wants(o.ID, order.Pending); o.Command != "" {
					t.Fatalf("with one of the two it has command %q", o.Command)
				}
				steps[1]()
				c.wants(o.ID, order.Starting)
				c.hear(l.opens(c.start()), l.closes())
				c.wants(o.ID, order.Settled)
			})
		}
	}
}

func TestPaidForAndNeverRelayedGoesBack(t *testing.T) {
	for _, way := range []order.PayWith{order.PayBefore, order.PayScore} {
		for _, how := range []order.ActInput{order.Elapse, order.Cancel} {
			t.Run(string(way)+", "+string(how), func(t *testing.T) {
				c := atCounter(t)
				_, o, _ := hidden(c.scene, paying(way))
				c.turn()
				if way == order.PayBefore {
					c.bank.pays(c.bank.only(billing.Transaction))
				} else {
					c.bank.confirms(c.bank.only(billing.Score))
				}
				c.pass(100 * time.Second)
				c.deliver()
				c.turn()
				c.pass(100 * time.Second) // the first patience is over, that for the relay is not
				c.must(o.ID, order.Elapse)
				c.wants(o.ID, order.Pending)
				if how == order.Elapse {
					c.pass(20 * time.Second)
				}
				c.must(o.ID, how)
				if o := c.wants(o.ID, order.Voided); o.Charged != 0 || !strings.Contains("not_relayed cancelled", o.Reason) {
					t.Errorf("charged %d, %q", o.Charged, o.Reason)
				}
				c.turn()
				c.bank.works()
				c.deliver()
				c.turn()
				c.resting()
				if c.bank.net() != 0 {
					t.Errorf("WeChat has %d of it, want all given back", c.bank.net())
				}
			})
		}
	}
}

func TestALateWordStartsNoOrderWhoseTimeIsOver(t *testing.T) {
	for _, way := range []order.PayWith{order.PayWallet, order.PayScore} {
		t.Run(string(way), func(t *testing.T) {
			c := atCounter(t)
			l, o, probe := hidden(c.scene, paying(way))
			if way == order.PayScore {
				c.turn()
				c.bank.confirms(c.bank.only(billing.Score))
				c.deliver()
				c.turn()
			}
			l.burn(probe)
			c.pass(time.Hour) // nobody's loop ran meanwhile
			c.dispatched()
			c.hear(l.beat())
			if o := c.wants(o.ID, order.Voided); o.Reason != "not_relayed" || o.Command != "" {
				t.Errorf("%q with command %q; want not_relayed and none", o.Reason, o.Command)
			}
			for _, k := range c.dispatched() {
				if k.Kind == device.Start {
					t.Error("a start goes out an hour after its rider stood there")
				}
			}
		})
	}
}

func TestWhoeverOrdersAndCancelsLeavesOneProbeOpen(t *testing.T) {
	s := ready(t)
	s.pass(device.SampleLife + time.Minute)
	var probes []device.Command
	for range 40 {
		p := s.placing()
		overBluetooth(&p)
		placed, err := s.svc.Place(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		probes = append(probes, s.dispatched()...)
		s.must(placed.Order.ID, order.Cancel)
		s.pass(time.Second)
	}
	open := 0
	for _, c := range s.store.Commands() {
		if c.State.Open() {
			open++
		}
	}
	if open != 1 || len(probes) != 40 {
		t.Errorf("%d of %d probes are open, want the newest alone", open, len(probes))
	}
	_, o, own := hidden(s)
	l := s.locks["bike-1"]
	l.burn(probes[39])
	if h := s.hear(l.beat()); len(h.Send) != 1 || h.Send[0].ID != own.ID {
		t.Errorf("one beat sends %d commands, want the order's own probe", len(h.Send))
	}
	s.wants(o.ID, order.Pending)
	s.hear(l.answers(own))
	s.wants(o.ID, order.Starting)
}

func TestWhoMayNotRideAnyMoreIsNotLetOnByARelayedWord(t *testing.T) {
	for want, bar := range map[string]func(s *scene){
		"rider_blocked": func(s *scene) { s.store.Seed(campus, bike, order.Rider{ID: ann.ID, Blocked: true}) },
		"rider_erased":  func(s *scene) { s.store.Seed(campus, bike, order.Rider{ID: ann.ID, Erased: true}) },
		"debt_unpaid":   func(s *scene) { s.owes(120) },
	} {
		t.Run(want, func(t *testing.T) {
			s := ready(t)
			l, o, probe := hidden(s)
			bar(s)
			s.hear(l.answers(probe))
			if o := s.wants(o.ID, order.Voided); o.Reason != want || o.Hold != "" {
				t.Errorf("voided because %q, hold %q; want %s and none", o.Reason, o.Hold, want)
			}
		})
	}
}

// seals signs nothing while it is told to.
type seals struct {
	sealer
	broken bool
}

func (x *seals) Seal(id device.ID, c device.Command) ([]byte, error) {
	if x.broken {
		return nil, errors.New("the key is not here")
	}
	return x.sealer.Seal(id, c)
}

func TestAWordIsTakenInWhereTheStartCannotBeSigned(t *testing.T) {
	x := &seals{}
	s := ready(t, func(c *order.ServiceConfig) { c.Env.Sealer = x })
	l, o, probe := hidden(s)
	x.broken = true
	s.hear(l.answers(probe))
	if o := s.wants(o.ID, order.Pending); o.Hold != "" || s.wallet().Held != 0 || s.outlet("bike-1").LastSeq != probe.Seq {
		t.Errorf("hold %q, wallet %+v, outlet %+v; want the word taken in and the order waiting", o.Hold, s.wallet(), s.outlet("bike-1"))
	}
	x.broken = false
	s.pass(time.Second)
	s.hear(l.beat())
	if o := s.wants(o.ID, order.Starting); o.Hold == "" {
		t.Error("started without its hold")
	}
}
