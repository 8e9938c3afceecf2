package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
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
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

// again stops the only replica, and starts it on the same addresses with other keys
// once every device has noticed.
func (v *venue) again(k keys) {
	v.t.Helper()
	n := v.nodes[0]
	c := n.c
	c.HTTP, c.MQTT, c.Metrics, c.Keys = n.HTTPAddr, n.MQTTAddr, n.MetricsAddr, k
	v.stop(v.t, 0)
	v.until("no device believes that it is connected", 30*time.Second, func() bool {
		var all []sim.DeviceState
		if err := (client{base: v.stage}).do(v.ctx, http.MethodGet, "/devices", "", nil, &all); err != nil {
			v.t.Fatal(err)
		}
		return !slices.ContainsFunc(all, func(s sim.DeviceState) bool { return s.Connected })
	})
	v.restart(v.ctx, v.t, c)
	v.keys = k
}

// TestTheSigningKeyRotatesWhileAFleetRides: every device learns the new key, proves it
// and drops the old one, one that was silent learns it later, and a stolen old key
// opens nothing.
func TestTheSigningKeyRotatesWhileAFleetRides(t *testing.T) {
	t.Parallel()
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
	// After some short connections a device waits up to a minute before it tries
	// again; a start that it does not hear in its window is voided, as it should be.
	v.until("bike-1 is connected again", 90*time.Second, func() bool { return v.body("bike-1").Connected })

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

// TestABackupFromBeforeARotationOfTheSigningKeyIsServed: the database knows the old key,
// and every device the new one alone.
func TestABackupFromBeforeARotationOfTheSigningKeyIsServed(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Riders: []string{"ada"}, Orders: order.Config{KeyPatience: 5 * time.Second}})
	dir := t.TempDir()
	path := filepath.Join(dir, keyFile)
	if err := v.keys.save(path); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.tar")
	if err := (backupCmd{database: database{DatabaseURL: v.url, Data: dir}, Out: file}).Run(t.Context(), v.log, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := (keysRotateCmd{Data: dir}).Run(io.Discard); err != nil {
		t.Fatal(err)
	}
	changed := func(k keys) bool {
		behind, _, err := v.nodes[0].db.BehindKey(v.ctx, k.keyID())
		if err != nil {
			t.Fatal(err)
		}
		return len(behind) == 0
	}
	rotated, err := existingKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	v.again(rotated)
	v.until("both have changed", 90*time.Second, func() bool { return changed(rotated) })
	ada := v.rider("ada", 0, 5000)
	o, err := v.start(ada, "bike-2") // the backup does not know it, and it goes on
	if err != nil {
		t.Fatal(err)
	}
	v.reaches(ada, o.ID, "active", 60*time.Second)
	if err := (keysForgetCmd{database: database{DatabaseURL: v.url, Data: dir}}).Run(t.Context(), v.log, io.Discard); err != nil {
		t.Fatal(err)
	}

	old := v.nodes[0]
	v.stop(t, 0)
	home, url := t.TempDir(), testkit.Database(t)
	r := restoreCmd{database: database{DatabaseURL: url, Data: home}, File: file, Keys: path}
	if err := r.Run(t.Context(), v.log, io.Discard); err != nil {
		t.Fatal(err)
	}
	c := old.c
	c.DatabaseURL, c.StoreDir, c.MQTT, c.HTTP, v.url = url, t.TempDir(), old.MQTTAddr, old.HTTPAddr, url
	if c.Keys, err = existingKeys(home); err != nil {
		t.Fatal(err)
	}
	v.restart(v.ctx, t, c)
	v.keys = c.Keys
	v.until("both are found by the key that they know", 4*time.Minute, func() bool { return changed(c.Keys) })
	v.direct("bike-2", "close", nil)
	ada = v.rider("ada", 0, 5000)
	for _, bike := range []string{"bike-1", "bike-2"} {
		var o seen
		v.until(bike+" is free", 90*time.Second, func() bool { o, err = v.start(ada, bike); return err == nil })
		v.reaches(ada, o.ID, "active", 60*time.Second)
		v.direct(bike, "close", nil)
		v.reaches(ada, o.ID, "settled", 60*time.Second)
	}
}

// TestADeviceGetsNewKeysAndTheOldOnesOpenNothing: provisioned anew, a bike's first file
// logs in no more, its second one rides.
func TestADeviceGetsNewKeysAndTheOldOnesOpenNothing(t *testing.T) {
	t.Parallel()
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

// rotates draws a new signing key for a home, as unlatch keys rotate does.
func (h *home) rotates(t *testing.T) (before keys) {
	t.Helper()
	before = h.keys
	if err := (keysRotateCmd{Data: h.data}).Run(io.Discard); err != nil {
		t.Fatal(err)
	}
	var err error
	if h.keys, err = existingKeys(h.data); err != nil {
		t.Fatal(err)
	}
	return before
}

// adopts is what serve does with the keys as it starts.
func (h home) adopts(t *testing.T) {
	t.Helper()
	db := h.open(t)
	defer db.Close()
	if err := db.AdoptKey(t.Context(), h.keys.keyID()); err != nil {
		t.Fatal(err)
	}
}

func TestTheSigningKeyOfBeforeStaysBesideTheNewOne(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(h.data, keyFileBefore)
	if _, err := os.Stat(path); err == nil {
		t.Error("the first keys have keys before them")
	}
	old := h.rotates(t)
	k, err := readKeys(path)
	if err != nil || !bytes.Equal(k.Signing, old.Signing) {
		t.Errorf("%s: %v, want the keys of before", path, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want 0600", info, err)
	}
	if err := h.keys.save(filepath.Join(h.data, keyFile)); err != nil {
		t.Fatal(err)
	}
	if k, err = readKeys(path); err != nil || !bytes.Equal(k.Signing, old.Signing) {
		t.Errorf("saving the same keys again takes away those of before: %v", err)
	}
}

func TestTheSigningKeyOfTheEnvironmentIsNotRotatedInAFile(t *testing.T) {
	h := newHome(t)
	t.Setenv("UNLATCH_SIGNING_KEY", "c2V0")
	var out, bad bytes.Buffer
	if exit := run([]string{"keys", "rotate", "--data", h.data}, &out, &bad); exit == 0 || !strings.Contains(bad.String(), "UNLATCH_SIGNING_KEY") {
		t.Errorf("exit %d, %q; want a refusal that names UNLATCH_SIGNING_KEY", exit, bad.String())
	}
	if k, err := existingKeys(h.data); err != nil || k.keyID() != h.keys.keyID() {
		t.Errorf("the file changed: %v", err)
	}
}

// TestTheOldSigningKeyIsNotForgottenBeforeServeHasTheNew: the file would fit the database
// no more, and nothing could be served.
func TestTheOldSigningKeyIsNotForgottenBeforeServeHasTheNew(t *testing.T) {
	h := newHome(t)
	h.rotates(t)
	where := database{DatabaseURL: h.url, Data: h.data}
	for _, abandon := range []bool{false, true} {
		err := keysForgetCmd{database: where, Abandon: abandon}.Run(t.Context(), h.log, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "restart every serve first") {
			t.Errorf("abandon %v: %v, want that serve must run first", abandon, err)
		}
	}
	if k, err := existingKeys(h.data); err != nil || k.Previous == nil {
		t.Errorf("the old key is gone: %v", err)
	}
	var said bytes.Buffer
	if err := (keysStatusCmd{where}).Run(t.Context(), h.log, &said); !errors.Is(err, errFound) || !strings.Contains(said.String(), "restart every serve") {
		t.Errorf("status: %v, %q", err, said.String())
	}
	h.adopts(t)
	if err := (keysForgetCmd{database: where}).Run(t.Context(), h.log, io.Discard); err != nil {
		t.Errorf("once serve has the new key: %v", err)
	}
}

// TestARotatedSigningKeyFitsBeforeServeRestarts: backup, restore and doctor accept what
// serve does.
func TestARotatedSigningKeyFitsBeforeServeRestarts(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	before, err := h.backup(t)
	if err != nil {
		t.Fatal(err)
	}
	old := h.rotates(t)
	if _, err := h.backup(t); err != nil {
		t.Errorf("backup: %v", err)
	}
	for _, f := range checkKeys(serveCmd{database: database{Data: h.data}}, map[string]string{"signing_key": old.keyID()}) {
		if !f.OK || !strings.Contains(f.Fix, "restart every serve") {
			t.Errorf("doctor: %+v", f)
		}
	}
	data := t.TempDir()
	if err := h.keys.save(filepath.Join(data, keyFile)); err != nil {
		t.Fatal(err)
	}
	r := restoreCmd{database: database{DatabaseURL: ownerOf(t), Data: data}, File: before}
	if err := r.Run(t.Context(), h.log, io.Discard); err != nil {
		t.Errorf("restore: %v", err)
	}
	if k, err := existingKeys(data); err != nil || k.keyID() != h.keys.keyID() || !bytes.Equal(k.Previous, old.Signing) {
		t.Errorf("the keys in place were changed: %v", err)
	}
}

// TestABackupFromBeforeARotationIsRestoredWithTheSigningKeyOfNow.
func TestABackupFromBeforeARotationIsRestoredWithTheSigningKeyOfNow(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	backup, err := h.backup(t)
	if err != nil {
		t.Fatal(err)
	}
	old := h.rotates(t)
	h.adopts(t)
	if err := (keysForgetCmd{database: database{DatabaseURL: h.url, Data: h.data}}).Run(t.Context(), h.log, io.Discard); err != nil {
		t.Fatal(err)
	}
	now := filepath.Join(h.data, keyFile)
	foreign := t.TempDir()
	if _, _, err := loadKeys("", "", foreign); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	err = restoreCmd{database: database{DatabaseURL: ownerOf(t), Data: data}, File: backup, Keys: filepath.Join(foreign, keyFile)}.Run(t.Context(), h.log, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "another installation") {
		t.Errorf("with foreign keys: %v", err)
	}
	r := restoreCmd{database: database{DatabaseURL: ownerOf(t), Data: data}, File: backup, Keys: now}
	if err := r.Run(t.Context(), h.log, io.Discard); err != nil {
		t.Fatal(err)
	}
	k, err := existingKeys(data)
	if err != nil || k.keyID() != h.keys.keyID() || !bytes.Equal(k.Previous, old.Signing) || !k.fits(old.keyID()) ||
		k.identities()[0].ID != old.identities()[0].ID {
		t.Errorf("the restored keys are %s, %v; want those of now with the backup's before them", k.keyID(), err)
	}
}

// TestARestoredSigningKeyKeepsRidersReadable: identities may have got another key as well.
func TestARestoredSigningKeyKeepsRidersReadable(t *testing.T) {
	h := newHome(t)
	old := h.keys
	if err := (rotateIdentityCmd{Data: h.data}).Run(io.Discard); err != nil {
		t.Fatal(err)
	}
	moving, err := existingKeys(h.data)
	if err != nil {
		t.Fatal(err)
	}
	done := moving
	done.PreviousIdentity = nil
	for name, c := range map[string]struct{ now, old keys }{"not moved": {done, old}, "moving": {done, moving}, "moved": {done, done}} {
		k, err := c.now.after(c.old)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, need := range c.old.identities() {
			if !slices.ContainsFunc(k.identities(), func(have store.IdentityKey) bool { return have.ID == need.ID && bytes.Equal(have.Key, need.Key) }) {
				t.Errorf("%s: identity key %q is missing", name, need.ID)
			}
		}
	}
}

// TestAReplicaEndsWhenTheSigningKeyWasRotatedWithoutIt.
func TestAReplicaEndsWhenTheSigningKeyWasRotatedWithoutIt(t *testing.T) {
	h := newHome(t)
	db := h.open(t)
	defer db.Close()
	n := &node{c: nodeConfig{Keys: h.keys, Log: h.log}, db: db}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := n.watchKey(ctx, time.Millisecond); err != nil {
		t.Errorf("with the installation's key: %v", err)
	}
	h.rotates(t)
	h.adopts(t)
	if err := n.watchKey(t.Context(), time.Millisecond); err == nil || !strings.Contains(err.Error(), h.keys.keyID()) {
		t.Errorf("after the rotation: %v, want an error that names the new key", err)
	}
}
