package order_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

var (
	station = order.Venue{ID: "station", Name: "Station", TimeZone: "Asia/Shanghai", Open: true}
	fuel    = billing.Tariff{ID: "fuel", Version: 1, Name: "Fuel", Rounding: billing.HalfUp, FuelRule: &billing.FuelRule{
		Grades:      []billing.Grade{{ID: "92", Name: "92#", UnitPrice: 7850}, {ID: "95", Name: "95#", UnitPrice: 8390}},
		LeastAmount: 100, MostAmount: 100_000, MostMillilitres: 200_000}}
)

// dispenser is an honest pump of two sides, as far as its words go. Nozzle 1 of
// each side has grade 92, nozzle 2 grade 95.
type dispenser struct {
	lock
	sides map[uint8]*side
}

type side struct {
	total map[uint8]uint64
	last  uint64
	use   device.Command
	began map[uint8]uint64
}

// forecourt is a scene with pump-1 on the air and 500.00 in Ann's wallet.
func forecourt(t testing.TB, bend ...func(*order.ServiceConfig)) (*scene, *dispenser) {
	t.Helper()
	s := empty(t, append([]func(*order.ServiceConfig){func(c *order.ServiceConfig) { c.Env.Config.PrintedCap = -1 }}, bend...)...)
	s.store.Seed(station, fuel, ann, ben)
	s.topUp(ann, 500_00)
	s.topUp(ben, 500_00)
	return s, s.dispenser("pump-1", false)
}

func (s *scene) dispenser(id device.ID, display bool) *dispenser {
	s.Helper()
	return s.dispenserWith(id, nil, display)
}

// dispenserWith provisions a pump whose totalisers stand as its body has them.
func (s *scene) dispenserWith(id device.ID, body map[uint8]*side, display ...bool) *dispenser {
	s.Helper()
	grades := map[uint8]string{1: "92", 2: "95"}
	d, err := s.svc.Provision(context.Background(), order.Provision{Device: id, Kind: device.Pump, Venue: station.ID, Outlets: 2,
		Grades: map[uint8]map[uint8]string{1: grades, 2: grades}, Display: len(display) > 0 && display[0], PublicKey: make([]byte, 32), Staff: staff})
	if err != nil {
		s.Fatalf("provision %s: %v", id, err)
	}
	sides := map[uint8]*side{1: {total: map[uint8]uint64{1: 1000, 2: 2000}}, 2: {total: map[uint8]uint64{1: 3000, 2: 4000}}}
	p := &dispenser{lock: lock{s: s, id: id, epoch: d.Epoch, journal: device.Journal{9, byte(d.Epoch)}, lowest: 1, closed: true}, sides: sides}
	for n, earlier := range body {
		sides[n].total = earlier.total
	}
	s.hear(p.boots2(), p.beat())
	s.dispatched()
	return p
}

// boots2 starts the pump: every use is over, as its interrupted has said or lost.
func (p *dispenser) boots2() order.Hear {
	p.boots++
	p.boot, p.bootedAt = device.Boot{0xb0, p.boots}, p.s.now.Add(-time.Second)
	for _, s := range p.sides {
		s.use = device.Command{}
	}
	return p.piece(1, device.Booted)
}

func (p *dispenser) piece(n uint8, kind device.EvidenceKind, bend ...func(*device.Evidence)) order.Hear {
	side := p.sides[n]
	return p.lock.piece(kind, append([]func(*device.Evidence){func(e *device.Evidence) {
		e.Outlet, e.LastSeq, e.Closed = n, side.last, side.use.ID == ""
		e.Counters.Totaliser = maps.Clone(side.total)
	}}, bend...)...)
}

func (p *dispenser) beat() order.Hear {
	b := &device.Beat{Epoch: p.epoch, Boot: p.boot, Uptime: p.uptime(), Journal: p.journal, Lowest: p.lowest, Highest: p.seq}
	for n := uint8(1); n <= 2; n++ {
		side := p.sides[n]
		b.Outlets = append(b.Outlets, device.OutletBeat{N: n, LastSeq: side.last, Closed: side.use.ID == "",
			Counters: device.Counters{Totaliser: maps.Clone(side.total)}})
	}
	return order.Hear{Device: p.id, Word: device.Word{Beat: b}}
}

func (p *dispenser) arms(c device.Command) order.Hear {
	side := p.sides[c.Outlet]
	side.last, side.use, side.began = c.Seq, c, maps.Clone(side.total)
	return p.piece(c.Outlet, device.SeenExecuted, about(c))
}

func (p *dispenser) flows(n, nozzle uint8, ml uint64) { p.sides[n].total[nozzle] += ml }

// ends states the end of a side's use with what its totaliser moved by.
func (p *dispenser) ends(n uint8, reason string, bend ...func(*device.Evidence)) order.Hear {
	return p.over(n, device.SaidEnded, reason, bend...)
}

func (p *dispenser) over(n uint8, kind device.EvidenceKind, reason string, bend ...func(*device.Evidence)) order.Hear {
	side := p.sides[n]
	c, ml, price := side.use, int64(0), int64(0)
	for nozzle, total := range side.total {
		if flowed := int64(total - side.began[nozzle]); flowed > 0 {
			ml, price = ml+flowed, []int64{0, 7850, 8390}[nozzle]
		}
	}
	side.use = device.Command{}
	return p.piece(n, kind, append([]func(*device.Evidence){about(c), because(reason), func(e *device.Evidence) {
		e.Counters.Millilitre, e.Counters.Fen = ml, int64(billing.Price(ml, price))
	}}, bend...)...)
}

// at is Ann's order of grade 92 up to 200 yuan at a side of pump-1.
func at(n uint8, bend ...func(*order.Place)) func(*order.Place) {
	return func(p *order.Place) {
		p.Ticket.Device, p.Ticket.Outlet, p.Ticket.Tariff = "pump-1", n, fuel.ID
		p.Preset = billing.Preset{Grade: "92", Amount: 200_00}
		for _, f := range bend {
			f(p)
		}
	}
}

func choosing(p billing.Preset) func(*order.Place) { return func(x *order.Place) { x.Preset = p } }

// fuelling is an order whose pump is armed.
func fuelling(t testing.TB) (*scene, *dispenser, order.Order) {
	t.Helper()
	s, p := forecourt(t)
	o, c := s.place(at(1))
	s.hear(p.arms(c))
	return s, p, s.wants(o.ID, order.Active)
}
