package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/qr"
	"github.com/unlatch/unlatch/store"
)

type demoCmd struct {
	database `embed:""`

	HTTP   string `default:"127.0.0.1:8080" env:"UNLATCH_HTTP" help:"Address for riders and staff."`
	MQTT   string `name:"mqtt" default:"127.0.0.1:0" env:"UNLATCH_MQTT" help:"Address of the broker for devices."`
	NATS   string `name:"nats" env:"UNLATCH_NATS" help:"Open the NATS server on this address too."`
	Sim    string `default:"127.0.0.1:8081" env:"UNLATCH_SIM" help:"Address on which the simulated devices take stage directions."`
	WeChat string `name:"wechat" default:"127.0.0.1:8082" env:"UNLATCH_WECHAT" help:"Address of the WeChat double."`
	LAN    bool   `name:"lan" help:"Let phones on the local network follow the code."`

	Bikes     int      `default:"200" help:"Simulated locks."`
	Riding    int      `default:"12" help:"How many of them simulated riders keep busy."`
	Pumps     int      `default:"12" help:"Simulated petrol pumps of two sides, at a station beside the campus."`
	Fuelling  int      `default:"4" help:"How many simulated drivers fill up there."`
	Riders    []string `default:"ada,ben,cho,dai,eve" help:"Names that exist in the WeChat double, each with 100 yuan."`
	ReadyFile string   `type:"path" env:"UNLATCH_READY_FILE" placeholder:"FILE" help:"Write addresses, codes and riders there as JSON when ready."`

	StartDeadline time.Duration `default:"15s" help:"How long a start may take before it is unresolved."`
	Patience      time.Duration `default:"10m" help:"How long an unresolved order waits for its device."`
	MaxRide       time.Duration `default:"24h" help:"The longest ride before the watchdog ends it."`
}

// Help teaches what it does and what it leaves.
func (demoCmd) Help() string {
	return `Everything runs in this one process and nothing is charged to anybody. Ctrl-C leaves nothing behind unless --data DIR is
given; with it a second start goes on where the first stopped. Every address may have port 0.`
}

const demoVenue = "campus"

// demoBalanceCap leaves room for a top-up above the 100 yuan that each rider has.
const demoBalanceCap = 300_00

// demoLimits leave room for scripts that play many riders from one address.
var demoLimits = api.Limits{Rider: api.Limit{PerSecond: 200, Burst: 1000}, Code: api.Limit{PerSecond: 100, Burst: 500},
	Source: api.Limit{PerSecond: 5000, Burst: 20_000}, WaitsPerRider: 50}

// readyFile is what --ready-file writes.
type readyFile struct {
	HTTP      string   `json:"http"`
	MQTT      string   `json:"mqtt"`
	NATS      string   `json:"nats"`
	Database  string   `json:"database"`
	Sim       string   `json:"sim"`
	WeChat    string   `json:"wechat"`
	Codes     []string `json:"codes"`      // of the bikes
	PumpCodes []string `json:"pump_codes"` // of the pumps' sides
	Riders    []string `json:"riders"`
	FirstRun  string   `json:"first_run"` // link that makes the first member of staff; empty when there are staff
	Keys      string   `json:"keys"`      // the key file
}

// demo is a demo in the making.
type demo struct {
	demoCmd
	log     *slog.Logger
	dir     string
	node    *node
	fleet   *sim.Fleet
	codes   []string
	sticker map[string]string // device -> address in its symbol
	ready   readyFile
	journey journey
}

// Run plays until it is told to stop.
func (d demoCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	switch {
	case len(d.Riders) == 0 || d.Riders[0] == "":
		return errors.New("--riders: give at least one name")
	case d.Bikes < 1 || d.Bikes > 5000:
		return errors.New("--bikes: give 1 to 5000")
	case d.Pumps < 0 || d.Pumps > 500:
		return errors.New("--pumps: give 0 to 500")
	case d.Riding < 0 || d.Fuelling < 0:
		return errors.New("--riding, --fuelling: give 0 or more")
	case d.StartDeadline <= 0 || d.Patience <= 0 || d.MaxRide <= 0:
		return errors.New("--start-deadline, --patience and --max-ride must be above zero")
	}
	run := &demo{demoCmd: d, log: log, dir: d.Data}
	if d.Data == "" {
		dir, err := os.MkdirTemp("", "unlatch-demo-")
		if err != nil {
			return fmt.Errorf("make a temporary folder: %w", err)
		}
		defer os.RemoveAll(dir)
		run.dir = dir
	}
	fmt.Fprintln(out, "Starting the database, the broker, the WeChat double, the bikes and the pumps ...")
	db, err := d.open(ctx, log, false)
	if err != nil {
		return err
	}
	return joinStop(run.play(ctx, db, out), db.stop)
}

func (d *demo) play(ctx context.Context, db opened, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, err := store.Migrate(ctx, db.url); err != nil {
		return err
	}
	k, _, err := loadKeys("", "", d.dir)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return db.watch(ctx) })
	double, err := newDouble(ctx, group, d.WeChat, slices.Concat(d.bots(), d.drivers(), d.Riders), nil)
	if err != nil {
		return fmt.Errorf("--wechat: %w", err)
	}
	d.ready.WeChat = double.url
	address, domain, err := d.addresses()
	if err != nil {
		return err
	}
	c := nodeConfig{DatabaseURL: db.url, Keys: k, StoreDir: d.dir, HTTP: address, MQTT: d.MQTT, NATS: d.NATS,
		Domain: domain, CodeScheme: "http", Operator: "Demo Campus", Log: d.log, Limits: demoLimits, WebhooksPrivate: true,
		Orders: order.Config{StartDeadline: d.StartDeadline, Patience: d.Patience, MaxRide: d.MaxRide, BalanceCap: demoBalanceCap}}
	double.fill(&c)
	if err := d.journey.fill(&c, d.Riders, double); err != nil {
		return err
	}
	if d.node, err = startNode(ctx, c); err != nil {
		return err
	}
	double.notifies(d.node.url())
	defer func() { // on any way out nothing may still write into the folder
		cancel()
		_ = group.Wait()
		d.node.end()
	}()
	d.ready.HTTP, d.ready.MQTT, d.ready.NATS = d.node.url(), "tcp://"+d.node.MQTTAddr, d.node.NATSAddr
	d.ready.Database, d.ready.Riders, d.ready.Keys = db.url, d.Riders, filepath.Join(d.dir, keyFile)
	if d.ready.FirstRun, err = d.node.firstRun(ctx); err != nil {
		return err
	}
	if err := d.prepare(ctx); err != nil {
		return err
	}
	group.Go(func() error { return d.fleet.Run(ctx) })
	d.journey.takes(d.fleet.Handler())
	if d.ready.Sim, err = listen(ctx, group, d.Sim, d.stage()); err != nil {
		return fmt.Errorf("--sim: %w", err)
	}
	if err := d.heard(ctx); err != nil {
		return err
	}
	d.startTraffic(ctx, group)
	d.startFuelling(ctx, group)
	if err := d.announce(out); err != nil {
		return err
	}
	group.Go(d.node.wait)
	return group.Wait()
}

// addresses returns where to listen for HTTP and the host that codes carry.
func (d *demo) addresses() (listen, domain string, err error) {
	if !d.LAN {
		return d.HTTP, "", nil
	}
	_, port, err := net.SplitHostPort(d.HTTP)
	if err != nil {
		return "", "", fmt.Errorf("--http: %w", err)
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return "", "", fmt.Errorf("look for a LAN address: %w", err)
	}
	for _, a := range interfaces {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && n.IP.IsPrivate() {
			return net.JoinHostPort(n.IP.String(), port), "", nil
		}
	}
	return "", "", errors.New("this machine has no private IPv4 address to show phones; run without --lan")
}

// listen serves a handler until ctx ends and returns its URL.
func listen(ctx context.Context, group *errgroup.Group, address string, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return s.Close()
	})
	return "http://" + l.Addr().String(), nil
}

// prepare puts venue, tariff, bikes, codes and money in place; what an earlier
// start with the same data folder made stays as it is.
func (d *demo) prepare(ctx context.Context) error {
	n := d.node
	venues, err := n.db.Venues(ctx)
	if err != nil {
		return err
	}
	if len(venues) == 0 {
		if err := n.db.PutVenue(ctx, order.Venue{ID: demoVenue, Name: "Willow Campus", TimeZone: "Asia/Shanghai", Open: true,
			Lat: 31.0262, Lng: 121.4332, Phone: "400-000-0000"}, seedAudit("put_venue", "venue "+demoVenue)); err != nil {
			return err
		}
		if _, err := n.db.AddTariff(ctx, order.TariffRow{Venue: demoVenue, Kind: device.Lock, EffectiveAt: time.Now().Add(-time.Minute),
			Tariff: billing.Tariff{ID: "campus-bike", Name: "Campus bike", Rounding: billing.StartedBlocks,
				TimeRule: &billing.TimeRule{UnlockFee: 100, BlockMS: 60_000, BlockFee: 50,
					RideCap: 2000, DayCap: 4000}}}, seedAudit("add_tariff", "tariff campus-bike")); err != nil {
			return err
		}
	}
	if err := d.openStation(ctx); err != nil {
		return err
	}
	provisions, err := d.provisions(ctx)
	if err != nil {
		return err
	}
	memory := ""
	if d.Data != "" {
		memory = filepath.Join(d.dir, "bikes")
	}
	if d.fleet, err = sim.NewFleet(sim.FleetConfig{Provisions: provisions, Dir: memory, Log: d.log}); err != nil {
		return err
	}
	return d.fund(ctx)
}

// provisions returns the bikes' provisioning files, from the data folder where
// an earlier start left them.
func (d *demo) provisions(ctx context.Context) ([]sim.Provision, error) {
	path := filepath.Join(d.dir, "provisions.json")
	var all []sim.Provision
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &all); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for i := range all {
			all[i].Broker = d.node.broker()
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	bikes, pumps := 0, 0
	for _, p := range all {
		if p.Kind == string(device.Pump) {
			pumps++
		} else {
			bikes++
		}
	}
	for i := bikes; i < d.Bikes; i++ {
		id := device.ID(fmt.Sprintf("bike-%03d", i+1))
		lat, lng := campusSpot(i)
		made, err := d.node.provision(ctx, api.ProvisionRequest{Device: id, Kind: device.Lock, Venue: demoVenue, Outlets: 1, Bluetooth: true,
			Staff: seedAudit("device.provision", "device "+string(id))})
		if err != nil {
			return nil, err
		}
		if err := d.node.db.PlaceDevice(ctx, id, lat, lng); err != nil {
			return nil, err
		}
		file := made.(sim.Provision)
		file.Lat, file.Lng = lat, lng
		all = append(all, file)
		if _, err := d.node.mint(ctx, id, 1, seedAudit("mint_code", "device "+string(id))); err != nil {
			return nil, err
		}
	}
	for i := pumps + 1; i <= d.Pumps; i++ {
		file, err := d.provisionPump(ctx, i)
		if err != nil {
			return nil, err
		}
		all = append(all, file)
	}
	codes, err := d.node.db.Codes(ctx, "", 10*len(all)+10)
	if err != nil {
		return nil, err
	}
	byDevice := map[string]string{}
	d.sticker = map[string]string{}
	for _, c := range codes {
		if !c.Revoked {
			byDevice[stickerOf(string(c.Device), c.Outlet)] = c.Number
		}
	}
	for _, p := range all {
		for side := uint8(1); side <= uint8(max(1, len(p.Outlets))); side++ {
			number := byDevice[stickerOf(p.Device, side)]
			if number == "" {
				continue
			}
			address := d.node.url() + "/d/" + number
			d.sticker[stickerOf(p.Device, side)] = address
			if p.Kind == string(device.Pump) {
				d.ready.PumpCodes = append(d.ready.PumpCodes, address)
			} else {
				d.codes = append(d.codes, address)
			}
		}
	}
	d.ready.Codes = d.codes
	b, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return all, os.WriteFile(path, b, 0o600)
}

// campusSpot places bikes on eight rows around the campus's lawn; degrees WGS-84.
func campusSpot(i int) (lat, lng float64) {
	row, column := i%8, i/8
	return 31.0240 + 0.0006*float64(row), 121.4300 + 0.00025*float64(column)
}

// fund gives each rider 100 yuan once, and the simulated drivers more.
func (d *demo) fund(ctx context.Context) error {
	yuan := map[string]billing.Fen{}
	for _, name := range d.drivers() {
		yuan[name] = 50_000_00 // tanks are dear
	}
	for _, name := range slices.Concat(d.bots(), d.drivers(), d.Riders) {
		c, err := d.client(ctx, name)
		if err != nil {
			return fmt.Errorf("log %s in: %w", name, err)
		}
		staff := seedAudit("top_up", "")
		_, err = d.node.orders.Money(ctx, order.Money{Rider: c.id, Amount: max(10_000, yuan[name]), Key: order.KeyRef{Principal: "staff:unlatch", Key: "demo-" + name},
			Route: "demo", Staff: staff,
			Answer: func(order.Snapshot, billing.Account, *order.Order) (int, []byte, error) {
				return 200, []byte("{}"), nil
			}})
		if err != nil {
			return fmt.Errorf("fund %s: %w", name, err)
		}
	}
	return nil
}

// stage serves stage directions, and the sticker of each bike and pump: GET
// /codes/{id}, or /codes/{id}/{side}, answers the address in its symbol, for scripts
// that cannot read one.
func (d *demo) stage() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", d.fleet.Handler())
	sticker := func(w http.ResponseWriter, r *http.Request) {
		side := r.PathValue("side")
		if side == "" {
			side = "1"
		}
		code, ok := d.sticker[r.PathValue("device")+"/"+side]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, code)
	}
	mux.HandleFunc("GET /codes/{device}", sticker)
	mux.HandleFunc("GET /codes/{device}/{side}", sticker)
	return mux
}

// heard waits until most bikes have spoken, so that the first scan finds one.
func (d *demo) heard(ctx context.Context) error {
	deadline := time.Now().Add(60 * time.Second)
	for {
		rows, err := d.node.db.Devices(ctx, "", "", "", d.Bikes+d.Pumps+1)
		if err != nil {
			return err
		}
		spoke := 0
		for _, r := range rows {
			if r.Device.Clock(time.Now()).Fresh(time.Now()) {
				spoke++
			}
		}
		if spoke >= len(rows)-len(rows)/50 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d of %d devices reached the broker within a minute; run with --log=info to see why", spoke, len(rows))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// announce prints how to ride and writes the ready file.
func (d *demo) announce(out io.Writer) error {
	if len(d.codes) == 0 {
		return errors.New("the demo needs at least one bike")
	}
	scan := d.codes[len(d.codes)-1]
	m, err := qr.Encode(scan)
	if err != nil {
		return err
	}
	bike := fmt.Sprintf("bike-%03d", len(d.codes))
	w := &strings.Builder{}
	fmt.Fprintf(w, "\nunlatch is ready: %s  (%d bikes, %d pumps, Ctrl-C ends it)\n\n%s\n", d.ready.HTTP, len(d.codes), d.Pumps, m.Terminal())
	fmt.Fprintf(w, "Ride it in a browser, from the scan to the receipt: %s\n", scan)
	fmt.Fprintf(w, "Ride %s as %s, in another terminal:\n", bike, d.Riders[0])
	fmt.Fprintf(w, "  API=%s WECHAT=%s SIM=%s\n", d.ready.HTTP, d.ready.WeChat, d.ready.Sim)
	fmt.Fprintf(w, "  pick() { sed -n 's/.*\"'$1'\":\"\\([^\"]*\\)\".*/\\1/p'; }\n")
	fmt.Fprintf(w, "  post() { curl -s -X POST \"$@\" -H 'Content-Type: application/json' -H \"Authorization: Bearer $TOKEN\"; }\n")
	fmt.Fprintf(w, "  CODE=$(curl -s -X POST $WECHAT/riders/%s/login-code | pick login_code)\n", d.Riders[0])
	fmt.Fprintf(w, "  TOKEN=$(post $API/v1/login -d '{\"login_code\":\"'$CODE'\"}' | pick token)\n")
	fmt.Fprintf(w, "  TICKET=$(post $API/v1/scans -d '{\"url\":\"%s\"}' | pick ticket)\n", scan)
	fmt.Fprintf(w, "  ORDER=$(post $API/v1/orders -H \"Idempotency-Key: $TICKET\" -d '{\"ticket\":\"'$TICKET'\",\"pay_with\":\"wallet\"}' | pick id)\n")
	fmt.Fprintf(w, "  curl -s $API/v1/orders/$ORDER -H \"Authorization: Bearer $TOKEN\" -H 'Prefer: wait=5' -H 'If-None-Match: \"v1.0\"'; echo   # active: it opened\n")
	fmt.Fprintf(w, "  curl -s -X POST $SIM/devices/%s/close; echo                          # push the lock shut\n", bike)
	fmt.Fprintf(w, "  curl -s $API/v1/orders/$ORDER -H \"Authorization: Bearer $TOKEN\" -H 'Prefer: wait=5' -H 'If-None-Match: \"v2.0\"'; echo   # settled: the receipt\n")
	d.announceStation(w)
	fmt.Fprintf(w, "Top up, ride on Pay Score, pay before fuelling: README.md, \"Pay with WeChat\"; WeChat's double listens on $WECHAT.\n")
	if d.ready.FirstRun != "" {
		fmt.Fprintf(w, "Staff and console, once: %s\n", d.ready.FirstRun)
	}
	if _, err := io.WriteString(out, w.String()); err != nil {
		return err
	}
	if d.ReadyFile == "" {
		return nil
	}
	b, err := json.MarshalIndent(d.ready, "", "  ")
	if err != nil {
		return err
	}
	// Written beside and renamed: whoever waits for the file never reads half.
	if err := os.WriteFile(d.ReadyFile+".part", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	return os.Rename(d.ReadyFile+".part", d.ReadyFile)
}
