package store_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// station is a petrol station on a real database: use cases move its orders, and
// its pumps say what a test makes them say.
type station struct {
	t     *testing.T
	db    *store.DB
	owner *pgxpool.Pool // as the schema's owner
	svc   *order.Service
	drawn atomic.Int64 // numbers keys and tickets
}

const stationID = "station"

var stationFuel = billing.Tariff{ID: "station-fuel", Name: "Fuel", Rounding: billing.HalfUp, FuelRule: &billing.FuelRule{
	Grades: []billing.Grade{
		{ID: "92", Name: "92号车用汽油", UnitPrice: 7850, TaxCode: "1070101010100000000", TaxPermille: 130},
		{ID: "95", Name: "=95#", UnitPrice: 8390, TaxCode: "@107", TaxPermille: 130}},
	LeastAmount: 100, MostAmount: 100_000, MostMillilitres: 200_000}}

func newStation(t *testing.T) *station {
	t.Helper()
	db, url := open(t)
	owner, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(owner.Close)
	s := &station{t: t, db: db, owner: owner}
	env := testkit.Env
	env.Rand = rand.Reader
	env.Config.PrintedCap = -1
	if s.svc, err = order.New(order.ServiceConfig{Store: db, Catalog: db, Due: db, Stops: db, Dispatcher: silent{},
		Tickets: order.Tickets{Secret: []byte("0123456789abcdef")}, Env: env}); err != nil {
		t.Fatal(err)
	}
	s.venue(stationID)
	if _, err := db.AddTariff(t.Context(), order.TariffRow{Tariff: stationFuel, Venue: stationID, Kind: device.Pump,
		EffectiveAt: time.Now().Add(-time.Hour)}, s.audit("tariff")); err != nil {
		t.Fatal(err)
	}
	return s
}

type silent struct{}

func (silent) Dispatch([]device.Command) {}

func (s *station) audit(act string) order.Audit {
	return order.Audit{ID: uuid.Must(uuid.NewV7()).String(), Staff: "s1", Act: act, Reason: "the test says so", At: time.Now()}
}

func (s *station) venue(id string) {
	s.t.Helper()
	if err := s.db.PutVenue(s.t.Context(), order.Venue{ID: id, Name: "Station", TimeZone: "Asia/Shanghai", Open: true}, s.audit("venue")); err != nil {
		s.t.Fatal(err)
	}
}

// no numbers what must be unique.
func (s *station) no() string { return fmt.Sprint("n", s.drawn.Add(1)) }

// rider is a new rider with money.
func (s *station) rider(money billing.Fen) string {
	s.t.Helper()
	id := uuid.Must(uuid.NewV7())
	if _, err := s.owner.Exec(s.t.Context(), `INSERT INTO riders (id, openid_mac, openid_box, created_at) VALUES ($1, $2, '\x02', now())`,
		id.String(), id[:]); err != nil {
		s.t.Fatal(err)
	}
	if err := s.money(order.Money{Rider: id.String(), Amount: money}); err != nil {
		s.t.Fatal(err)
	}
	return id.String()
}

func (s *station) money(m order.Money) error {
	m.Key, m.Route, m.Staff = order.KeyRef{Principal: "staff:s1", Key: s.no()}, "money", s.audit("money")
	m.Answer = func(order.Snapshot, billing.Account, *order.Order) (int, []byte, error) {
		return 201, []byte("{}"), nil
	}
	_, err := s.svc.Money(s.t.Context(), m)
	return err
}

func (s *station) refund(o order.Order, amount billing.Fen) {
	s.t.Helper()
	if err := s.money(order.Money{Order: o.ID, Amount: amount}); err != nil {
		s.t.Errorf("refund: %v", err)
	}
}

// stationPump is an honest pump, as far as its words go.
type stationPump struct {
	s       *station
	id      device.ID
	epoch   uint32
	journal device.Journal
	boot    device.Boot
	seq     uint64
	total   map[uint8]map[uint8]uint64 // by side and nozzle
	grades  map[uint8]map[uint8]string
}

// pump provisions a pump, anew where it is known, and lets it beat.
func (s *station) pump(id device.ID, grades map[uint8]map[uint8]string) *stationPump {
	s.t.Helper()
	d, err := s.svc.Provision(s.t.Context(), order.Provision{Device: id, Kind: device.Pump, Venue: stationID, Outlets: len(grades), Grades: grades,
		PublicKey: make([]byte, 32), Staff: s.audit("provision")})
	if err != nil {
		s.t.Fatal(err)
	}
	p := &stationPump{s: s, id: id, epoch: d.Epoch, grades: grades, total: map[uint8]map[uint8]uint64{}}
	_, _ = rand.Read(p.journal[:])
	_, _ = rand.Read(p.boot[:])
	for side, nozzles := range grades {
		p.total[side] = map[uint8]uint64{}
		for n := range nozzles {
			p.total[side][n] = 1_000_000 * uint64(n)
		}
	}
	p.beat()
	return p
}

func (s *station) hear(h order.Hear) {
	s.t.Helper()
	if _, err := s.svc.Hear(context.WithoutCancel(s.t.Context()), h); err != nil {
		s.t.Errorf("hear: %v", err)
	}
}

func (p *stationPump) beat() {
	p.s.t.Helper()
	b := &device.Beat{Epoch: p.epoch, Boot: p.boot, Uptime: 1000 + 1000*p.seq, Journal: p.journal, Lowest: min(p.seq, 1), Highest: p.seq}
	for n := range uint8(len(p.grades)) {
		b.Outlets = append(b.Outlets, device.OutletBeat{N: n + 1, Closed: true, Counters: device.Counters{Totaliser: maps.Clone(p.total[n+1])}})
	}
	p.s.hear(order.Hear{Device: p.id, Word: device.Word{Beat: b}})
}

func (p *stationPump) says(kind device.EvidenceKind, o order.Order, counters device.Counters) {
	p.s.t.Helper()
	p.seq++
	counters.Totaliser = maps.Clone(p.total[o.Outlet])
	e := device.Evidence{Device: p.id, Epoch: p.epoch, Journal: p.journal, Seq: p.seq, Boot: p.boot, Uptime: 1000 + 1000*p.seq, Kind: kind,
		Outlet: o.Outlet, LastSeq: o.Seq, CommandSeq: o.Seq, CommandID: o.Command, Order: o.ID, Closed: kind != device.SeenExecuted, Counters: counters}
	e.Raw = fmt.Appendf(nil, "%s %d %s", p.id, p.seq, kind)
	p.s.hear(order.Hear{Device: p.id, Word: device.Word{Evidence: &e}})
}

// order places one and arms the side.
func (p *stationPump) order(rider string, side uint8, preset billing.Preset) order.Order {
	p.s.t.Helper()
	n := p.s.no()
	place := order.Place{Rider: rider, PayWith: order.PayWallet, Preset: preset, Key: order.KeyRef{Principal: "rider:" + rider, Key: n}, Route: "orders",
		Hash: sha256.Sum256([]byte(n)), Answer: func(o order.Order) (int, []byte, error) { return 201, []byte(o.ID), nil },
		Ticket: order.Ticket{ID: n, Rider: rider, Device: p.id, Outlet: side, Epoch: p.epoch, Class: order.Printed, Tariff: stationFuel.ID,
			Version: 1, Expires: time.Now().Add(time.Hour).UnixMilli()}}
	if rider == "staff:s1" {
		act := p.s.audit("order.unlock")
		place.PayWith, place.Staff, place.Ticket.Class = order.PayService, &act, order.Uncoded
	}
	placed, err := p.s.svc.Place(p.s.t.Context(), place)
	if err != nil {
		p.s.t.Fatalf("place: %v", err)
	}
	p.says(device.SeenExecuted, placed.Order, device.Counters{})
	return placed.Order
}

// ends lets ml flow through a nozzle and states the end, with bend to its figures.
func (p *stationPump) ends(o order.Order, nozzle uint8, ml int64, bend ...func(*device.Counters)) order.Order {
	p.s.t.Helper()
	p.total[o.Outlet][nozzle] += uint64(ml)
	grade, _ := stationFuel.Grade(o.Preset.Grade)
	c := device.Counters{Millilitre: ml, Fen: int64(billing.Price(ml, grade.UnitPrice))}
	if o.PayWith == order.PayService {
		c.Fen = 0
	}
	for _, f := range bend {
		f(&c)
	}
	p.says(device.SaidEnded, o, c)
	return p.s.order(o.ID)
}

func (s *station) order(id string) order.Order {
	s.t.Helper()
	o, err := s.db.Order(context.WithoutCancel(s.t.Context()), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

// sale is a whole sale of grade 92 by nozzle 1 of side 1.
func (p *stationPump) sale(rider string, ml int64) order.Order {
	p.s.t.Helper()
	o := p.ends(p.order(rider, 1, billing.Preset{Grade: "92", Amount: 200_00}), 1, ml)
	if o.State != order.Settled {
		p.s.t.Fatalf("sale of %d ml is %s", ml, o.State)
	}
	return o
}

var oneSide = map[uint8]map[uint8]string{1: {1: "92", 2: "95"}}

func (s *station) taking(venue string, period order.Period, key string) order.TakeClose {
	return order.TakeClose{ID: uuid.Must(uuid.NewV7()).String(), Venue: venue, Period: period, Key: order.KeyRef{Principal: "staff:s1", Key: key},
		Route: "closes of " + venue, Hash: sha256.Sum256([]byte(period)), Staff: s.audit("venue.close"),
		Answer: func(c order.Close) (int, []byte, error) { b, err := json.Marshal(c); return 201, b, err }}
}

func (s *station) take(period order.Period) order.Close {
	s.t.Helper()
	var c order.Close
	_, body, err := s.db.TakeClose(s.t.Context(), s.taking(stationID, period, s.no()))
	if err != nil {
		s.t.Fatalf("close: %v", err)
	}
	if err := json.Unmarshal(body, &c); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *station) clean() {
	s.t.Helper()
	for _, f := range audit(s.t, s.db).Findings {
		s.t.Errorf("audit: %s: %s: %s", f.View, f.Subject, f.What)
	}
}

func ml(v int64) *int64 { return &v }

// wantNozzles compares nozzles, but for epochs.
func wantNozzles(t *testing.T, c order.Close, want ...order.NozzleTotal) {
	t.Helper()
	if diff := cmp.Diff(want, c.Nozzles, cmpopts.IgnoreFields(order.NozzleTotal{}, "Epoch"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("nozzles of close %d (-want +got):\n%s", c.Number, diff)
	}
}
