package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/internal/fakewechat"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// venue is a whole installation for tests: real Postgres, the real broker, one
// or more replicas, simulated bikes and the WeChat double, reached over HTTP and
// MQTT alone.
type venue struct {
	t      testing.TB
	url    string // of the database
	keys   keys
	nodes  []*node
	cancel []context.CancelFunc // of each replica
	fleet  *sim.Fleet
	stage  string // address of stage directions
	wechat string
	double *double
	codes  map[string]string // device -> scan URL
	ctx    context.Context
	log    *slog.Logger
}

// venueConfig says how large it is.
type venueConfig struct {
	Replicas int
	Bikes    []string
	Pumps    []string // at the station, two sides each
	Phones   bool     // the bikes speak to riders' phones too
	Riders   []string
	Orders   order.Config
	WeChat   func(*fakewechat.Config) // bends the double; nil = as it is

	FeedEmail    string            // "" = no feed
	AuditEvery   time.Duration     // 0 = never
	Verification map[string][]byte // files by which WeChat checks the domain

	Database string            // "" = one of the test's own in the shared cluster
	Node     func(*nodeConfig) // bends each replica; nil = as it is
}

// newVenue starts everything and ends it with the test.
func newVenue(t testing.TB, c venueConfig) *venue {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	if c.Database == "" {
		c.Database = testkit.Migrated(t, store.Migrate)
	}
	v := &venue{t: t, url: c.Database, codes: map[string]string{}, ctx: ctx}
	v.log = suiteLog(t)
	t.Cleanup(func() {
		cancel()
		_ = group.Wait()
		for _, n := range v.nodes {
			if err := n.wait(); err != nil {
				t.Errorf("a replica ended with %v", err)
			}
		}
	})
	if _, err := store.Migrate(ctx, v.url); err != nil {
		t.Fatal(err)
	}
	var err error
	if v.keys, _, err = loadKeys("", "", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if v.double, err = newDouble(ctx, group, "127.0.0.1:0", c.Riders, c.WeChat); err != nil {
		t.Fatal(err)
	}
	v.wechat = v.double.url
	for _, name := range c.Riders {
		canary("openid", v.double.fake.OpenID(name))
	}
	for i := range max(1, c.Replicas) {
		nc := nodeConfig{DatabaseURL: v.url, Keys: v.keys, StoreDir: t.TempDir(), HTTP: "127.0.0.1:0", MQTT: "127.0.0.1:0", Metrics: "127.0.0.1:0",
			NATS: "127.0.0.1:0", Domain: "q.test", Orders: c.Orders, Log: v.log, Verification: c.Verification, AuditEvery: c.AuditEvery, FeedEmail: c.FeedEmail,
			Limits: unlimited}
		v.double.fill(&nc)
		if c.Node != nil {
			c.Node(&nc)
		}
		if i > 0 {
			nc.NATSURL, nc.MQTTURL = v.nodes[0].NATSAddr, "mqtt+nats://"+v.nodes[0].MQTTAddr
			nc.NATS = ""
		}
		v.restart(ctx, t, nc)
	}
	v.double.notifies(v.nodes[0].url())
	v.seed(c.Bikes, c.Pumps, c.Phones, group)
	return v
}

// restart starts a replica and adds it to the venue.
func (v *venue) restart(ctx context.Context, t testing.TB, c nodeConfig) {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	n, err := startNode(ctx, c)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	v.nodes, v.cancel = append(v.nodes, n), append(v.cancel, cancel)
}

// stop ends a replica and takes it out of the venue.
func (v *venue) stop(t testing.TB, i int) {
	t.Helper()
	v.cancel[i]()
	if err := v.nodes[i].wait(); err != nil {
		t.Errorf("a replica ended with %v", err)
	}
	v.nodes, v.cancel = slices.Delete(v.nodes, i, i+1), slices.Delete(v.cancel, i, i+1)
}

// testTariff: one yuan, then half a yuan a begun second, at most 20.
var testTariff = billing.Tariff{ID: "test", Name: "test", Rounding: billing.StartedBlocks,
	TimeRule: &billing.TimeRule{UnlockFee: 100, BlockMS: 1000, BlockFee: 50, RideCap: 2000}}

func (v *venue) seed(bikes, pumps []string, phones bool, group *errgroup.Group) {
	v.t.Helper()
	n := v.nodes[0]
	check := func(err error) {
		v.t.Helper()
		if err != nil {
			v.t.Fatal(err)
		}
	}
	check(n.db.PutVenue(v.ctx, order.Venue{ID: demoVenue, Name: "Campus", TimeZone: "Asia/Shanghai", Open: true}, seedAudit("a", "b")))
	_, err := n.db.AddTariff(v.ctx, order.TariffRow{Tariff: testTariff, Venue: demoVenue, Kind: device.Lock,
		EffectiveAt: time.Now().Add(-time.Hour)}, seedAudit("a", "b"))
	check(err)
	var files []sim.Provision
	for _, id := range bikes {
		file, err := n.provision(v.ctx, api.ProvisionRequest{Device: device.ID(id), Kind: device.Lock, Venue: demoVenue, Outlets: 1, Bluetooth: phones, Staff: seedAudit("a", "b")})
		check(err)
		files = append(files, file.(sim.Provision))
		number, err := n.mint(v.ctx, device.ID(id), 1, seedAudit("a", "b"))
		check(err)
		v.codes[id] = "https://q.test/d/" + number
		canary("code", number)
	}
	if len(pumps) > 0 {
		files = append(files, v.seedStation(pumps)...)
	}
	v.fleet, err = sim.NewFleet(sim.FleetConfig{Provisions: files, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Controller: rapidFlow})
	check(err)
	stage := httptest.NewServer(v.fleet.Handler())
	v.t.Cleanup(stage.Close)
	v.stage = stage.URL
	group.Go(func() error { return v.fleet.Run(v.ctx) })
	v.until("every device has spoken", 60*time.Second, func() bool {
		rows, err := n.db.Devices(v.ctx, "", "", "", len(bikes)+len(pumps)+1)
		check(err)
		for _, r := range rows {
			if !r.Device.Sample.Fresh(time.Now()) || r.Device.Applied == 0 {
				return false
			}
		}
		return true
	})
}

// until waits for a condition, looking often.
func (v *venue) until(what string, patience time.Duration, is func() bool) {
	v.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case <-look.C:
		case <-deadline.C:
			v.t.Fatalf("after %v it is still not so that %s", patience, what)
		}
	}
}

// rider logs in at one replica and gets money.
func (v *venue) rider(name string, replica int, money billing.Fen) client {
	v.t.Helper()
	n := v.nodes[replica]
	d := &demo{ready: readyFile{HTTP: n.url(), WeChat: v.wechat}}
	c, err := d.client(v.ctx, name)
	if err != nil {
		v.t.Fatalf("log %s in: %v", name, err)
	}
	canary("token", c.token)
	if money > 0 {
		v.topUp(c.id, name, money)
	}
	return c
}

func (v *venue) topUp(rider, key string, money billing.Fen) {
	v.t.Helper()
	_, err := v.nodes[0].orders.Money(v.ctx, order.Money{Rider: rider, Amount: money, Route: "t",
		Key: order.KeyRef{Principal: "staff:test", Key: key}, Staff: seedAudit("top_up", ""),
		Answer: func(order.Snapshot, billing.Account, *order.Order) (int, []byte, error) {
			return 200, []byte("{}"), nil
		}})
	if err != nil {
		v.t.Fatal(err)
	}
}

// seen is an order as a rider sees it.
type seen struct {
	ID      string
	State   string
	Reason  string
	EndedBy string `json:"ended_by"`
	Charged int64  `json:"charged_fen"`
	Quote   struct {
		Total int64 `json:"total_fen"`
		Lines []struct {
			Kind     string
			Evidence []string
			Tariff   string
		}
	}
}

// start scans a bike and orders it.
func (v *venue) start(c client, bike string) (seen, error) {
	var scan struct{ Ticket string }
	if err := c.do(v.ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": v.codes[bike]}, &scan); err != nil {
		return seen{}, err
	}
	var o seen
	return o, c.do(v.ctx, http.MethodPost, "/v1/orders", scan.Ticket, map[string]string{"ticket": scan.Ticket, "pay_with": "wallet"}, &o)
}

// order reads an order.
func (v *venue) order(c client, id string) seen {
	v.t.Helper()
	var o seen
	if err := c.do(v.ctx, http.MethodGet, "/v1/orders/"+id, "", nil, &o); err != nil {
		v.t.Fatal(err)
	}
	return o
}

// reaches waits until an order is in a state.
func (v *venue) reaches(c client, id, state string, patience time.Duration) seen {
	v.t.Helper()
	var o seen
	defer func() {
		if v.t.Failed() && o.State != state {
			v.t.Logf("order %s is %s: %+v", id, o.State, o)
		}
	}()
	v.until(fmt.Sprintf("order %s is %s", id, state), patience, func() bool {
		o = v.order(c, id)
		return o.State == state
	})
	return o
}

// direct gives a bike a stage direction.
func (v *venue) direct(bike, what string, body any) {
	v.t.Helper()
	if body == nil {
		body = map[string]string{}
	}
	if err := (client{base: v.stage}).do(v.ctx, http.MethodPost, "/devices/"+bike+"/"+what, "", body, nil); err != nil {
		v.t.Fatalf("direct %s to %s: %v", bike, what, err)
	}
}

// body is what a bike's lock really did.
func (v *venue) body(bike string) sim.DeviceState {
	v.t.Helper()
	var s sim.DeviceState
	if err := (client{base: v.stage}).do(v.ctx, http.MethodGet, "/devices/"+bike, "", nil, &s); err != nil {
		v.t.Fatal(err)
	}
	return s
}

// judge checks the promises after a scenario: the audit is clean, and each of
// the bikes moved exactly as often as orders of it became active. A bolt moves
// before its evidence is in, so it waits until no order is in the middle of its
// start.
func (v *venue) judge(bikes ...string) {
	v.t.Helper()
	for _, bike := range bikes {
		v.until(bike+" has no order that is starting", 30*time.Second, func() bool {
			orders, err := v.nodes[0].db.Orders(v.ctx, order.Page{Device: device.ID(bike), State: order.Starting, Limit: 1})
			if err != nil {
				v.t.Fatal(err)
			}
			return len(orders) == 0
		})
	}
	checked, err := v.nodes[0].db.Audit(v.ctx, func(string, int, int) {})
	if err != nil {
		v.t.Fatal(err)
	}
	for _, f := range checked.Findings {
		v.t.Errorf("audit: %s: %s: %s", f.View, f.Subject, f.What)
	}
	for _, bike := range bikes {
		orders, err := v.nodes[0].db.Orders(v.ctx, order.Page{Device: device.ID(bike), Limit: 500})
		if err != nil {
			v.t.Fatal(err)
		}
		active, opened := map[string]bool{}, 0
		for _, o := range orders {
			if o.ActiveAt.IsZero() {
				continue
			}
			active[o.ID] = true
			opened++
			moves, err := v.nodes[0].db.Moves(v.ctx, o.ID)
			if err != nil {
				v.t.Fatal(err)
			}
			for _, m := range moves {
				if m.Input == order.Resumed {
					opened++
				}
			}
		}
		moved := v.body(bike).Movements
		for _, m := range moved {
			if !active[m.Order.String()] {
				v.t.Errorf("%s moved for order %s, which never became active", bike, m.Order)
			}
		}
		if len(moved) != opened {
			v.t.Errorf("%s moved %d times, and its orders were proved to open %d times", bike, len(moved), opened)
		}
	}
}
