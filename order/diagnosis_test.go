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

// toldOf is a catalog whose prices and batteries a test sets.
type toldOf struct {
	catalog
	free    bool // no tariff is in force
	percent *int
}

func (c *toldOf) TariffFor(ctx context.Context, venue string, kind device.Kind, rider string) (billing.Tariff, error) {
	if c.free {
		return billing.Tariff{}, order.ErrNoTariff
	}
	return c.catalog.TariffFor(ctx, venue, kind, rider)
}

func (c *toldOf) Battery(device.ID) (int, bool) {
	if c.percent == nil {
		return 0, false
	}
	return *c.percent, true
}

func (c *toldOf) Position(device.ID) (order.Point, time.Time, bool) {
	return order.Point{}, time.Time{}, false
}

// wired is a scene whose bike-1 no phone reaches: what only warns of a device with a
// second road is in the way of this one.
func wired(t testing.TB) (*scene, *toldOf) {
	told := &toldOf{}
	s := empty(t, func(c *order.ServiceConfig) { c.Catalog, c.LastKnown = told, told })
	s.topUp(ann, 5000)
	s.provisioned("bike-1", false)
	l := s.locks["bike-1"]
	s.hear(l.reboot(), l.beat())
	s.dispatched()
	return s, told
}

// provisioned is a lock that has not spoken yet.
func (s *scene) provisioned(id device.ID, bluetooth bool) {
	s.Helper()
	d, err := s.svc.Provision(context.Background(), order.Provision{Device: id, Kind: device.Lock, Venue: campus.ID, Outlets: 1,
		Bluetooth: bluetooth, PublicKey: make([]byte, 32), Staff: staff})
	if err != nil {
		s.Fatal(err)
	}
	s.locks[id] = &lock{s: s, id: id, epoch: d.Epoch, journal: device.Journal{7, byte(d.Epoch - 1)}, lowest: 1, closed: true}
}

// diagnosing asks as the API does: with a code on the outlet and what was sent and said.
func (s *scene) diagnosing(bend ...func(*order.Diagnosing)) order.Diagnosis {
	s.Helper()
	q := order.Diagnosing{Device: "bike-1", Outlet: 1, Codes: []order.Code{{Number: "bike-1", Device: "bike-1", Outlet: 1}}, Prefs: order.DefaultPreferences()}
	q.Recent = slices.DeleteFunc(s.store.Commands(), func(c device.Command) bool { return c.Device != "bike-1" })
	slices.SortFunc(q.Recent, func(a, b device.Command) int { return int(b.Seq) - int(a.Seq) })
	for _, f := range bend {
		f(&q)
	}
	d, err := s.svc.Diagnose(context.Background(), q)
	if err != nil {
		s.Fatalf("diagnose: %v", err)
	}
	return d
}

// offered scans and orders for a rider who has money and no other order, and tells
// whether that went well.
func (s *scene) offered(number string) bool {
	s.Helper()
	scan, err := s.svc.Scan(context.Background(), ann.ID, number, "")
	if err != nil || scan.Availability != device.Available {
		return false
	}
	ticket, err := s.svc.Tickets.Open(scan.Ticket)
	if err != nil {
		s.Fatal(err)
	}
	p := s.placing()
	p.Ticket = ticket
	_, err = s.svc.Place(context.Background(), p)
	return err == nil
}

// TestADiagnosisSaysWhatAScanWouldLeadTo: each finding has a state that causes it, and the
// verdict is what a rider who scanned then would find.
func TestADiagnosisSaysWhatAScanWouldLeadTo(t *testing.T) {
	put := func(v order.Venue) func(*scene, *toldOf) { return func(s *scene, _ *toldOf) { s.store.Seed(v, bike) } }
	with := func(bend func(*order.Venue)) order.Venue { v := campus; bend(&v); return v }
	for _, c := range []struct {
		code, severity, opens string
		scene                 func(*scene, *toldOf)
		bend                  func(*order.Diagnosing)
		scan                  string // the code that is scanned
	}{
		{order.FindWell, "ok", "yes", nil, nil, ""},
		{order.FindNeverHeard, "blocks", "no", func(s *scene, _ *toldOf) { s.provisioned("bike-1", false) }, nil, ""},
		{order.FindNeverHeard, "warns", "unknown", func(s *scene, _ *toldOf) { s.provisioned("bike-1", true) }, nil, ""},
		{order.FindOffline, "blocks", "no", func(s *scene, _ *toldOf) { s.pass(device.SampleLife) }, nil, ""},
		{order.FindOffline, "warns", "unknown", func(s *scene, _ *toldOf) { s.lock("bike-1"); s.pass(device.SampleLife) }, nil, ""},
		{order.FindClock, "blocks", "no", func(s *scene, _ *toldOf) { // heard, and no beat yet
			s.provisioned("bike-1", false)
			s.hear(s.locks["bike-1"].reboot())
		}, nil, ""},
		{order.FindOutOfService, "blocks", "no", func(s *scene, _ *toldOf) { s.distrust("bike-1") }, nil, ""},
		{order.FindMaintenance, "blocks", "no", func(s *scene, _ *toldOf) { s.switchTo("bike-1", device.Maintenance) }, nil, ""},
		{order.FindRetired, "blocks", "no", func(s *scene, _ *toldOf) { s.switchTo("bike-1", device.Retired) }, nil, ""},
		{order.FindStopped, "blocks", "no", func(s *scene, _ *toldOf) {
			d := s.store.Devices()[0]
			d.Halt = &device.Halt{Reason: "smoke"}
			if err := s.store.Apply(context.Background(), order.Changes{Devices: []device.Device{d}}); err != nil {
				s.Fatal(err)
			}
		}, nil, ""},
		{order.FindBusy, "blocks", "no", func(s *scene, _ *toldOf) { s.topUp(ben, 5000); s.place(by(ben), epoch(s)) }, nil, ""},
		{order.FindReserved, "blocks", "no", func(s *scene, _ *toldOf) { s.reserve(ben, "bike-1") }, nil, ""},
		{order.FindOpen, "blocks", "no", func(s *scene, _ *toldOf) {
			l := s.locks["bike-1"]
			l.closed = false
			s.pass(time.Second)
			s.hear(l.beat())
		}, nil, ""},
		{order.FindUnproven, "blocks", "no", func(s *scene, _ *toldOf) { s.giveUp() }, nil, ""},
		{order.FindUnanswered, "warns", "no", func(s *scene, _ *toldOf) { s.giveUp() }, nil, ""},
		{order.FindAwaitClosed, "blocks", "no", func(s *scene, _ *toldOf) {
			s.topUp(ben, 5000)
			o, cmd := s.place(by(ben), epoch(s))
			s.hear(s.locks["bike-1"].opens(cmd))
			s.must(o.ID, order.ForceEnd)
		}, nil, ""},
		{order.FindVenueClosed, "blocks", "no", put(with(func(v *order.Venue) { v.Open = false })), nil, ""},
		{order.FindVenueNotOpen, "blocks", "no", put(with(func(v *order.Venue) {
			v.Hours, _ = order.ParseHours("Mo-Su 05:00-06:00") // it is noon
		})), nil, ""},
		{order.FindNoTariff, "blocks", "no", func(_ *scene, c *toldOf) { c.free = true }, nil, ""},
		{order.FindNoCode, "blocks", "no", nil, func(q *order.Diagnosing) { q.Codes = nil }, "nothing"},
		{order.FindNoCode, "blocks", "no", nil, func(q *order.Diagnosing) { q.Codes[0].Revoked = true }, "revoked"},
		{order.FindNoCode, "blocks", "no", nil, func(q *order.Diagnosing) { q.Codes[0].Outlet = 2 }, "unbound"},
		{order.FindGap, "warns", "yes", nil, func(q *order.Diagnosing) { q.Gaps = []order.EvidenceGap{{From: 3, To: 4}} }, ""},
		{order.FindFloor, "warns", "yes", nil, func(q *order.Diagnosing) { q.Gaps = []order.EvidenceGap{{From: 1, To: 1, Lost: true}} }, ""},
		{order.FindBattery, "blocks", "no", func(_ *scene, c *toldOf) { c.percent = new(int) }, nil, ""},
		{order.FindBattery, "warns", "yes", func(_ *scene, c *toldOf) { c.percent = new(int); *c.percent = 15 }, nil, ""},
		{order.FindJammed, "warns", "unknown", func(s *scene, _ *toldOf) {
			s.topUp(ben, 5000)
			_, cmd := s.place(by(ben), epoch(s))
			s.hear(s.locks["bike-1"].jams(cmd))
		}, nil, ""},
		{order.FindLastFailed, "warns", "yes", func(s *scene, _ *toldOf) {
			s.topUp(ben, 5000)
			_, cmd := s.place(by(ben), epoch(s))
			s.hear(s.locks["bike-1"].rejects(cmd))
		}, nil, ""},
		{order.FindKey, "warns", "yes", func(s *scene, _ *toldOf) { s.svc.Env.Keys.Name = "another" }, nil, ""},
		{order.FindOutside, "warns", "yes", put(with(func(v *order.Venue) {
			v.Fence = order.Fence{{{{Lat: 0, Lng: 0}, {Lat: 0, Lng: 1}, {Lat: 1, Lng: 1}, {Lat: 0, Lng: 0}}}}
		})), func(q *order.Diagnosing) { q.Stands = &order.Point{Lat: 31, Lng: 121} }, ""},
	} {
		t.Run(c.code+" "+c.severity, func(t *testing.T) {
			s, told := wired(t)
			if c.scene != nil {
				c.scene(s, told)
			}
			var bends []func(*order.Diagnosing)
			if c.bend != nil {
				bends = append(bends, c.bend)
			}
			d := s.diagnosing(bends...)
			i := slices.IndexFunc(d.Findings, func(f order.Finding) bool { return f.Code == c.code })
			if i < 0 || d.Findings[i].Severity != c.severity || d.Opens != c.opens {
				t.Fatalf("opens %s by %+v, want %s by %s, which %s", d.Opens, d.Findings, c.opens, c.code, c.severity)
			}
			if blocks := d.Findings[0].Severity == "blocks"; blocks != (d.Opens == "no") {
				t.Errorf("opens %s, and what is worst is %+v", d.Opens, d.Findings[0])
			}
			scan := c.scan
			if scan == "" {
				scan = "bike-1"
			}
			// A jammed lock is offered: nothing but its bolt stands in the way.
			if offered := s.offered(scan); offered != (c.opens == "yes" || c.code == order.FindJammed) {
				t.Errorf("a rider is served: %v; the diagnosis says %s", offered, d.Opens)
			}
		})
	}
}

// TestALooseStartIsInTheWay: an open start that neither order nor block shows refuses
// orders, and the diagnosis says so.
func TestALooseStartIsInTheWay(t *testing.T) {
	s, _ := wired(t)
	s.topUp(ben, 5000)
	s.place(by(ben), epoch(s))
	out := s.outlet("bike-1")
	out.Order = "" // as a snapshot of two moments shows it
	if err := s.store.Apply(context.Background(), order.Changes{Outlets: []device.Outlet{out}}); err != nil {
		t.Fatal(err)
	}
	d := s.diagnosing()
	if d.Opens != "no" || d.Findings[0].Code != order.FindUnanswered || d.Findings[0].Severity != "blocks" {
		t.Errorf("opens %s by %+v", d.Opens, d.Findings)
	}
}

func TestOfWhatIsNotThereThereIsNoDiagnosis(t *testing.T) {
	s, _ := wired(t)
	for _, q := range []order.Diagnosing{{Device: "bike-9", Outlet: 1}, {Device: "bike-1", Outlet: 2}} {
		if _, err := s.svc.Diagnose(context.Background(), q); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// TestAFailedStartIsToldWithItsReason: the newest of the outlet, as the device said it.
func TestAFailedStartIsToldWithItsReason(t *testing.T) {
	s, _ := wired(t)
	s.topUp(ben, 5000)
	_, cmd := s.place(by(ben), epoch(s))
	said := s.locks["bike-1"].rejects(cmd)
	s.hear(said)
	d := s.diagnosing(func(q *order.Diagnosing) { q.Evidence = []device.Evidence{*said.Word.Evidence} })
	if f := d.Findings[0]; f.Code != order.FindLastFailed || f.Facts["reason"] != "low_battery" || f.Facts["command"] != cmd.ID || f.Action.Operation != "service-unlock" {
		t.Errorf("findings %+v", d.Findings)
	}
}

// TestAJamLastsUntilItOpensOrStaffPutItIntoService: whoever asked, and whatever was said
// or done in between.
func TestAJamLastsUntilItOpensOrStaffPutItIntoService(t *testing.T) {
	tries := map[string]struct {
		say    func(l *lock, c device.Command) order.Hear
		jammed bool
	}{
		"it tried in vain": {(*lock).jams, true},
		"the bolt sticks": {func(l *lock, c device.Command) order.Hear {
			return l.piece(device.SaidRejected, about(c), because("jam"))
		}, true},
		"its battery was too low": {func(l *lock, c device.Command) order.Hear {
			return l.piece(device.SaidRejected, about(c), because("low_battery"))
		}, false},
		"it opened": {(*lock).opens, false},
	}
	for name, try := range tries {
		t.Run(name, func(t *testing.T) {
			s, _ := wired(t)
			l := s.locks["bike-1"]
			s.topUp(ben, 5000)
			start := func() device.Command { _, cmd := s.place(by(ben), epoch(s)); return cmd }
			said := try.say(l, start())
			s.hear(said)
			if got := s.outlet("bike-1").Jammed; got != try.jammed {
				t.Fatalf("jammed: %v, want %v", got, try.jammed)
			}
			if !try.jammed {
				return
			}
			find := func() (codes []string, opens string, of order.Finding) {
				d := s.diagnosing(func(q *order.Diagnosing) { q.Evidence = []device.Evidence{*said.Word.Evidence} })
				for _, f := range d.Findings {
					if codes = append(codes, f.Code); f.Code == order.FindJammed {
						of = f
					}
				}
				return codes, d.Opens, of
			}
			codes, opens, of := find()
			if !slices.Equal(codes, []string{order.FindJammed}) || opens != "unknown" || of.Facts["tried"] != (said.Word.Evidence.Kind == device.SaidFailed) || of.Action.Operation != "service-unlock" {
				t.Errorf("opens %s, %v, %+v", opens, codes, of)
			}
			switched := func(to device.Service) {
				t.Helper()
				if _, err := s.svc.SetService(context.Background(), order.SetService{Device: "bike-1", Service: to, Staff: staff}); err != nil {
					t.Fatal(err)
				}
			}
			// What is no word on the bolt leaves it.
			s.hear(l.rejects(start()))
			switched(device.Maintenance)
			if codes, opens, _ := find(); !slices.Equal(codes, []string{order.FindMaintenance, order.FindJammed}) || opens != "no" {
				t.Errorf("in maintenance it opens: %s, %v", opens, codes)
			}
			switched(device.InService)
			if codes, opens, _ := find(); slices.Contains(codes, order.FindJammed) || opens != "yes" {
				t.Errorf("put into service it opens: %s, %v", opens, codes)
			}
			s.hear(try.say(l, start()))
			s.hear(l.opens(start()))
			if s.outlet("bike-1").Jammed {
				t.Error("it opened, and is jammed all the same")
			}
		})
	}
}

// epoch lets a placing go by the provisioning that counts now.
func epoch(s *scene) func(*order.Place) {
	return func(p *order.Place) { p.Ticket.Epoch = s.locks[p.Ticket.Device].epoch }
}

// giveUp leaves bike-1 blocked by an order of Ben's that was voided without proof, its
// command open for a while.
func (s *scene) giveUp() {
	s.Helper()
	s.topUp(ben, 5000)
	o, _ := s.place(by(ben), epoch(s))
	s.pass(16 * time.Second)
	s.must(o.ID, order.Elapse)
	s.must(o.ID, order.GiveUpNow)
}

// TestADiagnosisTellsAServiceUnlockFromARide: who reads it must not look for a rider.
func TestADiagnosisTellsAServiceUnlockFromARide(t *testing.T) {
	for _, service := range []bool{true, false} {
		s, _ := wired(t)
		bend := by(ben)
		if service {
			bend = func(p *order.Place) {
				who := staff
				p.PayWith, p.Staff, p.Rider, p.Ticket.Rider, p.Ticket.Tariff = order.PayService, &who, "staff:s1", "staff:s1", "service"
			}
		} else {
			s.topUp(ben, 5000)
		}
		s.place(bend, epoch(s))
		if f := s.diagnosing().Findings[0]; f.Code != order.FindBusy || f.Facts["service"] != service {
			t.Errorf("of staff: %v, found %+v", service, f)
		}
	}
}
