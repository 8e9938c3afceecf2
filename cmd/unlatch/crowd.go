package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	sim "github.com/unlatch/unlatch/firmware-sim"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// crowdCmd is a large installation to measure the console against: most devices are only
// rows, some are simulated in another process and connected, and what those tell comes in
// through the broker as everything does.
type crowdCmd struct {
	database  `embed:""`
	HTTP      string `default:"127.0.0.1:0" help:"Address for staff."`
	Devices   int    `default:"50000" help:"In the database."`
	Connected int    `default:"10000" help:"Of them, simulated and connected."`
	Changes   int    `default:"500" help:"Per second, of what the connected ones tell."`
	ReadyFile string `type:"path" placeholder:"FILE" help:"Write the addresses there as JSON once all are connected and the changes come."`
}

// Help teaches what is measured with it.
func (crowdCmd) Help() string {
	return `For measuring the console. Every address may have port 0; the link in "first_run" makes the first member of staff, as in a demo. The
simulated devices run in a process of their own, which ends with this one. Ctrl-C leaves nothing behind unless --data DIR is given.`
}

const crowdVenues = 8

// crowdBatch is how many devices one transaction stores.
const crowdBatch = 500

// Run fills, starts, connects and tells until it is told to stop.
func (c crowdCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	if c.Connected < 1 || c.Connected > c.Devices || c.Changes < 0 {
		return errors.New("--connected is 1 to --devices, --changes 0 or more")
	}
	dir, err := os.MkdirTemp("", "unlatch-crowd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := c.open(ctx, log, false)
	if err != nil {
		return err
	}
	return joinStop(c.play(ctx, db.url, dir, log, out), db.stop)
}

func (c crowdCmd) play(ctx context.Context, url, dir string, log *slog.Logger, out io.Writer) error {
	if _, err := store.Migrate(ctx, url); err != nil {
		return err
	}
	keys, _, err := loadKeys("", "", dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	defer func() { cancel(); _ = group.Wait() }()
	double, err := newDouble(ctx, group, "127.0.0.1:0", nil, nil)
	if err != nil {
		return err
	}
	nc := nodeConfig{DatabaseURL: url, Keys: keys, StoreDir: dir, HTTP: c.HTTP, MQTT: "127.0.0.1:0", Metrics: "127.0.0.1:0", CodeScheme: "http",
		Operator: "Crowd", Log: log, Limits: unlimited}
	double.fill(&nc)
	n, err := startNode(ctx, nc)
	if err != nil {
		return err
	}
	defer n.end()
	group.Go(n.wait)
	files, err := c.fill(ctx, n)
	if err != nil {
		return err
	}
	if err := n.logins.Refresh(ctx); err != nil {
		return err
	}
	path := filepath.Join(dir, "devices.json")
	if err := writeJSON(path, files); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, program, "crowd-devices", path, fmt.Sprintf("--changes=%d", c.Changes))
	child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
	child.WaitDelay = 10 * time.Second
	child.Stderr = os.Stderr
	said, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := child.Start(); err != nil {
		return fmt.Errorf("start the simulated devices: %w", err)
	}
	group.Go(func() error {
		if err := child.Wait(); ctx.Err() == nil {
			return fmt.Errorf("the simulated devices ended: %w", err)
		}
		return nil
	})
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		fmt.Fprintln(out, lines.Text())
		if lines.Text() != crowdTells {
			continue
		}
		fmt.Fprintf(out, "%d devices of %d are connected after %v.\n", c.Connected, c.Devices, time.Since(began).Round(time.Second))
		if err := c.announce(ctx, n, out); err != nil {
			return err
		}
	}
	return group.Wait()
}

// announce says where everything is.
func (c crowdCmd) announce(ctx context.Context, n *node, out io.Writer) error {
	link, err := n.firstRun(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "unlatch is ready: %s/console/\nFirst member of staff, once: %s\nMetrics: http://%s/metrics\n", n.url(), link, n.MetricsAddr)
	if c.ReadyFile == "" {
		return nil
	}
	return writeJSON(c.ReadyFile, map[string]any{"http": n.url(), "first_run": link, "metrics": "http://" + n.MetricsAddr, "mqtt": "tcp://" + n.MQTTAddr,
		"devices": c.Devices, "connected": c.Connected, "changes": c.Changes, "pid": os.Getpid()})
}

func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	// Whole or not at all: somebody waits for the file.
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// fill makes venues and devices and returns the provisioning files of those that connect.
func (c crowdCmd) fill(ctx context.Context, n *node) ([]sim.Provision, error) {
	for i := range crowdVenues {
		id := fmt.Sprintf("campus-%d", i+1)
		if err := n.db.PutVenue(ctx, order.Venue{ID: id, Name: fmt.Sprintf("Campus %d", i+1), TimeZone: "Asia/Shanghai", Open: true,
			Lat: 31.02 + 0.02*float64(i/4), Lng: 121.43 + 0.02*float64(i%4)}, seedAudit("put_venue", "venue "+id)); err != nil {
			return nil, err
		}
		tariff := "bike-" + id
		if _, err := n.db.AddTariff(ctx, order.TariffRow{Venue: id, Kind: device.Lock, EffectiveAt: time.Now().Add(-time.Minute),
			Tariff: billing.Tariff{ID: tariff, Name: "Bike", Rounding: billing.StartedBlocks,
				TimeRule: &billing.TimeRule{UnlockFee: 100, BlockMS: 60_000, BlockFee: 50, RideCap: 2000, DayCap: 4000}}}, seedAudit("add_tariff", "tariff "+tariff)); err != nil {
			return nil, err
		}
	}
	// Most of the fleet is rows alone: an alarm for each of them is not what is measured.
	prefs, err := n.db.Preferences(ctx)
	if err != nil {
		return nil, err
	}
	prefs.OfflineAfter = 24 * time.Hour
	if err := n.db.PutPreferences(ctx, prefs, seedAudit("settings.put", "settings")); err != nil {
		return nil, err
	}
	luck := mathrand.New(mathrand.NewPCG(1, 2)) // the same fleet each time
	_, server := n.c.Keys.signer()
	var files []sim.Provision
	bar := progress(c.Devices, "devices")
	defer func() { _ = bar.Finish() }()
	for from := 0; from < c.Devices; from += crowdBatch {
		var batch order.Changes
		var places []order.DeviceAt
		for i := from; i < min(from+crowdBatch, c.Devices); i++ {
			public, private, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return nil, err
			}
			id := device.ID(fmt.Sprintf("bike-%05d", i+1))
			d := device.Device{ID: id, Kind: device.Lock, Venue: fmt.Sprintf("campus-%d", i%crowdVenues+1), Epoch: 1, PublicKey: public,
				Service: device.InService, ServerKey: n.orders.Env.Keys.Name}
			lat := 31.01 + 0.02*float64(i%crowdVenues/4) + 0.015*luck.Float64()
			lng := 121.42 + 0.02*float64(i%crowdVenues%4) + 0.018*luck.Float64()
			if i < c.Connected {
				// No position of its own: what is written stays.
				files = append(files, sim.Provision{Device: string(id), Kind: string(d.Kind), Epoch: 1, Key: private.Seed(),
					MQTTPassword: n.logins.Password(id, 1), Broker: n.broker(), ServerKeys: [][]byte{server}})
			} else { // as a fleet is found: most lately, some long ago, a few never or not in service
				d.Firmware = []string{"1.4.0", "1.4.2", "1.5.0"}[luck.IntN(3)]
				d.HeardAt = time.Now().Add(-time.Duration(luck.ExpFloat64() * float64(4*time.Hour)))
				switch luck.IntN(100) {
				case 0:
					d.Service, d.ServiceReason = device.Maintenance, "chain"
				case 1:
					d.HeardAt, d.Firmware = time.Time{}, ""
				}
			}
			batch.Devices = append(batch.Devices, d)
			batch.Outlets = append(batch.Outlets, device.Outlet{Device: id, N: 1, NextSeq: 1})
			places = append(places, order.DeviceAt{Device: id, Point: order.Point{Lat: lat, Lng: lng}})
		}
		if err := n.db.Apply(ctx, batch); err != nil {
			return nil, err
		}
		if _, err := n.db.NotePositions(ctx, places, false); err != nil {
			return nil, err
		}
		_ = bar.Add(len(batch.Devices))
	}
	return files, nil
}

// crowdTells is what the simulated devices' process prints when all are connected and
// changes begin.
const crowdTells = "All simulated devices are connected."

// crowdDevicesCmd is that process.
type crowdDevicesCmd struct {
	File    string `arg:"" type:"existingfile" help:"Provisioning files, as one JSON array."`
	Changes int    `default:"500" help:"Per second."`
}

// Run connects all and lets one after the other tell another battery.
func (c crowdDevicesCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	var files []sim.Provision
	if err := json.Unmarshal(b, &files); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	quiet := map[wire.Param]int64{wire.ParamTelemetrySeconds: 86400} // what is told is told by the loop below
	fleet, err := sim.NewFleet(sim.FleetConfig{Provisions: files, Log: log, Controller: func(c *sim.Config) { c.Params = quiet }})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return fleet.Run(ctx) })
	group.Go(func() error { return c.tell(ctx, fleet, out) })
	return group.Wait()
}

func (c crowdDevicesCmd) tell(ctx context.Context, fleet *sim.Fleet, out io.Writer) error {
	ids := fleet.IDs()
	look := time.NewTicker(2 * time.Second)
	defer look.Stop()
	for left := ids; len(left) > 0; {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
		left = slices.DeleteFunc(slices.Clone(left), func(id string) bool {
			s, err := fleet.Device(id).State(ctx)
			return err == nil && s.Connected
		})
	}
	if _, err := fmt.Fprintln(out, crowdTells); err != nil {
		return err
	}
	const beat = 100 * time.Millisecond
	tick := time.NewTicker(beat)
	defer tick.Stop()
	began, told, reported := time.Now(), 0, time.Now()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			// By the time that passed, so that a late tick catches up.
			for due := int(now.Sub(began).Seconds() * float64(c.Changes)); told < due && ctx.Err() == nil; told++ {
				id := ids[told%len(ids)]
				if err := fleet.Device(id).SetBattery(ctx, uint8(20+(told/len(ids)*7+told)%80)); err != nil && ctx.Err() == nil {
					return err
				}
			}
			if now.Sub(reported) >= 10*time.Second {
				reported = now
				fmt.Fprintf(out, "%.0f changes a second were told.\n", float64(told)/now.Sub(began).Seconds())
			}
		}
	}
	return nil
}
