package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	sim "github.com/unlatch/unlatch/firmware-sim"
)

// again stops the only replica and starts it on the same addresses with other keys.
func (v *venue) again(k keys) {
	v.t.Helper()
	n := v.nodes[0]
	c := n.c
	c.HTTP, c.MQTT, c.Metrics, c.Keys = n.HTTPAddr, n.MQTTAddr, n.MetricsAddr, k
	v.stop(v.t, 0)
	v.restart(v.ctx, v.t, c)
	v.keys = k
}

// TestTheSigningKeyRotatesWhileAFleetRides: every device learns the new key, proves it
// and drops the old one, one that was silent learns it later, and a stolen old key
// opens nothing.
func TestTheSigningKeyRotatesWhileAFleetRides(t *testing.T) {
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2", "bike-3"}, Pumps: []string{"pump-1"}, Riders: []string{"ada", "ben"}})
	ada, ben := v.rider("ada", 0, 5000), v.rider("ben", 0, 5000)
	dir := t.TempDir()
	if err := v.keys.save(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	tell := func(args ...string) (string, int) {
		var out, bad bytes.Buffer
		exit := run(append(args, "--data", dir, "--database-url", v.url), &out, &bad)
		return out.String() + bad.String(), exit
	}
	// One is on the road, and one hears nothing, while the key changes.
	o, err := v.start(ada, "bike-2")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 60*time.Second)
	v.direct("bike-3", "network", map[string]any{"do": "off", "direction": "both"})

	old := v.keys
	if out, exit := func() (string, int) {
		var out, bad bytes.Buffer
		exit := run([]string{"keys", "rotate", "--data", dir}, &out, &bad)
		return out.String() + bad.String(), exit
	}(); exit != 0 || !strings.Contains(out, old.keyID()) {
		t.Fatalf("rotate: exit %d, %s", exit, out)
	}
	rotated, _, err := loadKeys("", "", dir)
	if err != nil || !bytes.Equal(rotated.Previous, old.Signing) || bytes.Equal(rotated.Signing, old.Signing) || !bytes.Equal(rotated.Secret, old.Secret) {
		t.Fatalf("the rotated file: %v", err)
	}
	v.again(rotated)
	behind := func() []string {
		ids, _, err := v.nodes[0].db.BehindKey(v.ctx, rotated.keyID())
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	v.until("who is heard and idle has changed", 90*time.Second, func() bool {
		return slices.Equal(behind(), []string{"bike-2", "bike-3"})
	})
	if out, exit := tell("keys", "status"); exit != 1 || !strings.Contains(out, "Behind: bike-2 bike-3") || !strings.Contains(out, "2 of 4") {
		t.Errorf("status: exit %d, %s", exit, out)
	}
	if out, exit := tell("keys", "forget"); exit != 1 || !strings.Contains(out, "bike-2 bike-3") {
		t.Errorf("forget too early: exit %d, %s", exit, out)
	}
	// A ride under the new key, and the end of the one that began under the old.
	o2, err := v.start(ben, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ben, o2.ID, "active", 60*time.Second)
	v.direct("bike-1", "close", nil)
	v.reaches(ben, o2.ID, "settled", 60*time.Second)
	v.direct("bike-2", "close", nil)
	v.reaches(ada, o.ID, "settled", 60*time.Second)
	v.direct("bike-3", "network", map[string]any{"do": "on"})
	for _, bike := range []string{"bike-2", "bike-3"} { // beats come when asked for, or every few minutes
		staff := v.staff()
		v.until(bike+" has changed", 120*time.Second, func() bool {
			if !slices.Contains(behind(), bike) {
				return true
			}
			_ = staff.do(v.ctx, http.MethodPost, "/v1/operator/devices/"+bike+"/commands", "", map[string]string{"kind": "probe", "reason": "the test looks"}, nil)
			return false
		})
	}
	if out, exit := tell("keys", "status"); exit != 0 || !strings.Contains(out, "4 of 4 devices have changed") {
		t.Errorf("status in the end: exit %d, %s", exit, out)
	}
	if out, exit := tell("keys", "forget"); exit != 0 {
		t.Fatalf("forget: exit %d, %s", exit, out)
	}
	now, _, err := loadKeys("", "", dir)
	if err != nil || now.Previous != nil {
		t.Fatalf("after forgetting: %v, %v", now.Previous != nil, err)
	}
	v.again(now)

	// The thief has the old key, and every other fact that a start needs.
	rows, err := v.nodes[0].db.Devices(v.ctx, "bike-1", "", "", 1)
	if err != nil {
		t.Fatal(err)
	}
	d, id := rows[0].Device, uuid.Must(uuid.NewV7())
	steal := func(k keys) {
		signer, _ := k.signer()
		b, err := wire.SealCommand(signer, "bike-1", wire.Command{Epoch: d.Epoch, Outlet: 1, Seq: rows[0].Outlets[0].NextSeq + 5, ID: wire.ID(id), Kind: wire.KindStart,
			Order: wire.ID(uuid.Must(uuid.NewV7())), Boot: wire.Boot(d.Sample.Boot), NotAfter: d.Sample.Uptime + 3600_000})
		if err != nil {
			t.Fatal(err)
		}
		_ = v.nodes[0].link.Publish(wire.CommandTopic("bike-1"), b)
	}
	o3, err := v.start(ben, "bike-1")
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ben, o3.ID, "active", 60*time.Second)
	v.direct("bike-1", "close", nil)
	v.reaches(ben, o3.ID, "settled", 60*time.Second)
	before := v.body("bike-1")
	v.until("the forged start was refused", 30*time.Second, func() bool { steal(old); return v.body("bike-1").Rejected > before.Rejected })
	if got := v.body("bike-1"); len(got.Movements) != len(before.Movements) {
		t.Fatalf("a start signed by the old key moved the bolt: %+v", got.Movements)
	}
	v.judge("bike-1", "bike-2", "bike-3")
}

// TestADeviceGetsNewKeysAndTheOldOnesOpenNothing: provisioned anew, a bike's first file
// logs in no more, its second one rides.
func TestADeviceGetsNewKeysAndTheOldOnesOpenNothing(t *testing.T) {
	v := newVenue(t, venueConfig{Riders: []string{"ada"}})
	n := v.nodes[0]
	provision := func() sim.Provision {
		t.Helper()
		file, err := n.provision(v.ctx, api.ProvisionRequest{Device: "bike-9", Kind: device.Lock, Venue: demoVenue, Outlets: 1, Staff: seedAudit("a", "b")})
		if err != nil {
			t.Fatal(err)
		}
		return file.(sim.Provision)
	}
	memory := t.TempDir()
	play := func(p sim.Provision) (end func()) {
		t.Helper()
		fleet, err := sim.NewFleet(sim.FleetConfig{Provisions: []sim.Provision{p}, Dir: memory, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(v.ctx)
		done := make(chan error, 1)
		go func() { done <- fleet.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the fleet ended with %v", err)
			}
		}
	}
	heard := func(epoch uint32) bool {
		rows, err := n.db.Devices(v.ctx, "bike-9", "", "", 1)
		if err != nil {
			t.Fatal(err)
		}
		return rows[0].Device.Epoch == epoch && rows[0].Device.Head.Boot != device.Boot{} && rows[0].Device.Sample.Fresh(time.Now())
	}
	first := provision()
	end := play(first)
	v.until("the bike is heard by its first keys", 60*time.Second, func() bool { return heard(1) })
	second := provision()
	if bytes.Equal(first.Key, second.Key) || first.MQTTPassword == second.MQTTPassword || second.Epoch != 2 {
		t.Error("the second file has something of the first")
	}
	v.until("its first login is over", 60*time.Second, func() bool { return n.logins.Check("bike-9", first.MQTTPassword) != nil })
	end()
	defer play(second)()
	v.until("the bike is heard by its second keys", 60*time.Second, func() bool { return heard(2) })
	v.judge()
}
