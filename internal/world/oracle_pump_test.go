package world

import (
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// The same for pumps: each lie told after a sane schedule must be seen.
func TestOracleSeesEachLieAboutAPump(t *testing.T) {
	placed := func(o *oracle, x order.Order) {
		x.ID, x.State = "new", order.Starting
		o.committed(order.Changes{Orders: []order.Order{x}, Moves: []order.Move{{Order: "new", To: order.Starting, Input: order.Authorised}}}, nil, o.w.now())
	}
	bill := func(o *oracle, x order.Order, bend func(*order.Order)) {
		usage, fuel := *x.Usage, *x.Usage.Fuel
		usage.Fuel, x.Usage = &fuel, &usage
		bend(&x)
		o.measured(x)
	}
	for name, lie := range map[string]struct {
		promise string
		tell    func(*oracle, order.Order, *sale)
	}{
		"armed twice": {"A1", func(o *oracle, _ order.Order, s *sale) { o.moved(s.m, s.m.pump.body.Armings[0]) }},
		"armed late": {"A2", func(o *oracle, _ order.Order, s *sale) {
			a := s.m.pump.body.Armings[0]
			a.At = a.At.Add(time.Hour)
			o.moved(s.m, a)
		}},
		"armed beyond the hold":  {"A3", func(o *oracle, _ order.Order, s *sale) { s.MaxFen++; o.armed(s) }},
		"another grade":          {"A3", func(o *oracle, x order.Order, s *sale) { x.Preset.Grade = "98"; o.orders[x.ID] = x; o.dispensed(s) }},
		"another price":          {"M5", func(o *oracle, _ order.Order, s *sale) { s.Price++; o.dispensed(s) }},
		"above the limit":        {"A7", func(o *oracle, _ order.Order, s *sale) { s.Ml = s.Limit + s.Residual + s.sticky + 1; o.dispensed(s) }},
		"flows behind the valve": {"A8", func(o *oracle, _ order.Order, s *sale) { s.Ml++; o.judge() }},
		"open without power": {"A8", func(o *oracle, _ order.Order, s *sale) {
			s.over, s.EndedAt = false, time.Time{}
			s.side.sale = s
			s.m.c.PowerCut()
			o.w.follow(s.m, s.m.flash.Highest)
		}},
		"billed for more": {"M5", func(o *oracle, x order.Order, _ *sale) {
			bill(o, x, func(x *order.Order) { x.Usage.Fuel.Millilitres++ })
		}},
		"billed above the amount": {"M5", func(o *oracle, x order.Order, _ *sale) { bill(o, x, func(x *order.Order) { x.Quote.Total++ }) }},
		"billed from afar for more": {"M5", func(o *oracle, x order.Order, _ *sale) {
			bill(o, x, func(x *order.Order) { x.EndedBy = order.StaffEnded; x.Usage.Fuel.Millilitres += 1 << 20 })
		}},
		"settled on wrong figures": {"M5", func(o *oracle, x order.Order, s *sale) { s.said.Fen += 500; o.measured(x) }},
		"waits for no reason":      {"M5", func(o *oracle, x order.Order, _ *sale) { x.State = order.Ended; o.measured(x) }},
		"settled behind staff": {"M5", func(o *oracle, x order.Order, _ *sale) {
			was := x
			was.State = order.Ended
			o.soldOrder(x, was)
		}},
		"a debt":           {"M5", func(o *oracle, x order.Order, _ *sale) { x.Debt = 1; o.judgeSale(x) }},
		"another version":  {"M5", func(o *oracle, x order.Order, _ *sale) { x.Tariff.Version++; o.judgeSale(x) }},
		"fuel for nothing": {"M5", func(o *oracle, x order.Order, _ *sale) { x.Charged = 0; delete(o.items, x.ID); o.judgeSale(x) }},
		"dearer than it was": {"M5", func(o *oracle, x order.Order, _ *sale) {
			x.EndedBy, x.Charged = order.Watchdog, x.Charged+100
			o.judgeSale(x)
		}},
		"a voided order that cost": {"M5", func(o *oracle, x order.Order, _ *sale) { x.State = order.Voided; o.judgeOrder(x) }},
		"accepted by a stopped pump": {"P1", func(o *oracle, x order.Order, s *sale) {
			o.halts[x.Device] = &halted{}
			placed(o, x)
		}},
		"accepted at a stopped venue": {"P1", func(o *oracle, x order.Order, _ *sale) {
			o.stops = append(o.stops, &venueStop{})
			placed(o, x)
		}},
		"armed behind a stop": {"P1", func(o *oracle, _ order.Order, s *sale) {
			o.halts[s.m.id] = &halted{seqs: map[uint8]uint64{s.Outlet: s.Seq}}
			o.armed(s)
		}},
		"a stop that nobody ended": {"P2", func(o *oracle, _ order.Order, s *sale) {
			o.halts[s.m.id] = &halted{at: o.w.at + 1}
			o.committed(order.Changes{Devices: []device.Device{{ID: s.m.id, Service: device.InService}}}, nil, o.w.now())
		}},
		"a crank that nobody tells": {"A7", func(o *oracle, _ order.Order, s *sale) {
			s.side.cranks = append(s.side.cranks, crank{epoch: s.m.epoch, ml: 5, based: true})
			o.judgeGaps(s.m, s.side)
		}},
		"a false alarm": {"A7", func(o *oracle, _ order.Order, s *sale) {
			k := sideKey{s.m.id, 0, s.side.n}
			o.gaps[k] = append(o.gaps[k], gap{ml: 1})
			o.judgeGaps(s.m, s.side)
		}},
		"flow in no use": {"A7", func(o *oracle, _ order.Order, s *sale) { s.m.pump.body.Unauthorised++; o.judge() }},
		"a meter unseen": {"E2", func(o *oracle, _ order.Order, s *sale) { s.side.body.Nozzles[0].Totaliser++; o.judge() }},
		"a hold that waits": {"M4", func(o *oracle, x order.Order, _ *sale) {
			delete(o.ledger.resolved, x.Hold)
			o.judge()
		}},
	} {
		w, x, s := soldOne(t)
		if lie.tell(w.oracle, x, s); !strings.Contains(strings.Join(w.result.Violations, "\n"), " "+lie.promise+": ") {
			t.Errorf("%s, a lie about %s, is not seen; violations: %q", name, lie.promise, w.result.Violations)
		}
	}
}

// soldOne plays a schedule with a rider's sale that its pump measured.
func soldOne(t *testing.T) (*world, order.Order, *sale) {
	t.Helper()
	for seed := uint64(baseSeed); ; seed++ {
		w := play(seed+seed%2, Options{})
		for _, x := range w.store.Orders() {
			s := w.oracle.sales[x.ID]
			if s == nil || x.State != order.Settled || x.EndedBy != order.DeviceEnded || x.Charged < 100 || x.Refunded > 0 || x.Charged+5 > x.HoldFen ||
				x.Usage.Measured != billing.ByPump || x.Usage.Decided != nil || len(s.m.lostIn) > 0 || s.m.epoch != 1 || s.m.lossy {
				continue
			}
			if len(w.result.Violations) > 0 {
				t.Fatalf("seed %d: %q", seed, w.result.Violations)
			}
			return w, x, s
		}
	}
}
