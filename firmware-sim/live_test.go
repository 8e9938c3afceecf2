package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/unlatch/unlatch/device/wire"
)

// patience is how long a live test waits for what must come.
const patience = 20 * time.Second

// broker is an embedded broker on a free port, and a server's ear and mouth on it.
type broker struct {
	t      *testing.T
	url    string
	client mqtt.Client
	key    ed25519.PrivateKey
	heard  chan heard
}

type heard struct {
	device   string
	channel  wire.Channel
	uplink   wire.Uplink
	presence wire.Presence
}

func seedKey(text string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%-32s", text))[:32])
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	opts := &server.Options{
		ServerName: "sim-test", DontListen: true, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
		MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: -1},
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("broker does not come up")
	}
	b := &broker{t: t, url: fmt.Sprintf("mqtt://127.0.0.1:%d", opts.MQTT.Port), key: seedKey("server"), heard: make(chan heard, 4096)}
	b.client = mqtt.NewClient(mqtt.NewClientOptions().AddBroker(b.url).SetClientID("server").SetOrderMatters(true))
	b.do(b.client.Connect())
	b.do(b.client.Subscribe(wire.UplinkFilter, 0, b.hear))
	t.Cleanup(func() { b.client.Disconnect(0) })
	return b
}

func (b *broker) do(token mqtt.Token) {
	b.t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		b.t.Fatalf("MQTT: %v", token.Error())
	}
}

func (b *broker) hear(_ mqtt.Client, m mqtt.Message) {
	device, ch, err := wire.ParseTopic(m.Topic())
	if err != nil {
		return
	}
	h := heard{device: device, channel: ch}
	switch ch {
	case wire.ChannelEvidence:
		h.uplink, err = wire.OpenUplink(wire.NewVerifier(seedKey(device).Public().(ed25519.PublicKey)), device, m.Payload())
	case wire.ChannelPresence:
		h.presence, err = wire.DecodePresence(m.Payload())
	case wire.ChannelTelemetry:
		_, err = wire.DecodeTelemetry(m.Payload())
	}
	if err == nil {
		b.heard <- h
	}
}

// await reads what comes until match says so.
func (b *broker) await(what string, match func(heard) bool) heard {
	b.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case h := <-b.heard:
			if match(h) {
				return h
			}
		case <-deadline.C:
			b.t.Fatalf("no %s in %v", what, patience)
		}
	}
}

func (b *broker) awaitBeat(device string) *wire.Beat {
	b.t.Helper()
	return b.await("beat of "+device, func(h heard) bool { return h.device == device && h.uplink.Beat != nil }).uplink.Beat
}

func (b *broker) awaitEvidence(device string, kind wire.EvidenceKind) *wire.Evidence {
	b.t.Helper()
	return b.await(kind.String()+" of "+device, func(h heard) bool {
		return h.device == device && h.uplink.Evidence != nil && h.uplink.Evidence.Kind == kind
	}).uplink.Evidence
}

func (b *broker) send(device string, c wire.Command) {
	b.t.Helper()
	c.Epoch = 1
	sealed, err := wire.SealCommand(wire.NewSigner(b.key), device, c)
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(b.client.Publish(wire.CommandTopic(device), 0, false, sealed))
}

func startOf(beat *wire.Beat, seq uint64) wire.Command {
	return wire.Command{Seq: seq, ID: id(1, seq), Kind: wire.KindStart, Order: id(2, seq), Boot: beat.Boot, NotAfter: beat.Uptime + 60_000}
}

func (b *broker) provision(device string) Provision {
	return Provision{
		Device: device, Kind: "lock", Epoch: 1, Key: seedKey(device).Seed(), MQTTPassword: "secret", Broker: b.url,
		ServerKeys: [][]byte{b.key.Public().(ed25519.PublicKey)}, Lat: 31.23, Lng: 121.47,
	}
}

// fleet runs locks, and runFleet any devices, until stop or the test's end.
func (b *broker) fleet(dir string, ids ...string) (f *Fleet, stop func()) {
	b.t.Helper()
	var locks []Provision
	for _, id := range ids {
		locks = append(locks, b.provision(id))
	}
	return b.runFleet(dir, locks...)
}

func (b *broker) runFleet(dir string, devices ...Provision) (f *Fleet, stop func()) {
	b.t.Helper()
	cfg := FleetConfig{Dir: dir, Provisions: devices}
	f, err := NewFleet(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stopped := false
	stop = func() {
		b.t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("fleet: %v", err)
		}
	}
	b.t.Cleanup(stop)
	return f, stop
}

// stage is a stage direction by HTTP; body nil: GET.
func stage(t *testing.T, f *Fleet, path, body string) (state DeviceState) {
	t.Helper()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest(method, "/devices/"+path, strings.NewReader(body)))
	if w.Code != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil {
		t.Fatal(err)
	}
	return state
}

func TestLockOnARealBrokerOpensAndCloses(t *testing.T) {
	b := startBroker(t)
	f, _ := b.fleet("", "BIKE-1", "BIKE-2")
	birth := b.await("birth", func(h heard) bool { return h.device == "BIKE-1" && h.channel == wire.ChannelPresence })
	if !birth.presence.Online {
		t.Errorf("birth says %+v", birth.presence)
	}
	beat := b.awaitBeat("BIKE-1")
	b.awaitEvidence("BIKE-1", wire.EvidenceBoot)
	for range 3 {
		b.send("BIKE-1", startOf(beat, 1))
	}
	executed := b.awaitEvidence("BIKE-1", wire.EvidenceExecuted)
	if executed.Order != id(2, 1) {
		t.Errorf("executed names order %v", executed.Order)
	}
	if s := stage(t, f, "BIKE-1", ""); s.Closed || !s.Riding || len(s.Movements) != 1 || s.Movements[0].Seq != 1 || !s.Connected {
		t.Errorf("state is %+v", s)
	}
	stage(t, f, "BIKE-1/close", "{}")
	ended := b.awaitEvidence("BIKE-1", wire.EvidenceEnded)
	b.send("BIKE-1", wire.Command{Kind: wire.KindAck, Ack: &wire.AckArgs{Journal: ended.Journal, N: ended.Seq}})
	b.send("BIKE-1", wire.Command{Kind: wire.KindProbe, Seq: 2, ID: id(1, 2)})
	b.await("beat of the probe", func(h heard) bool {
		return h.device == "BIKE-1" && h.uplink.Beat != nil && h.uplink.Beat.Outlets[0].LastSeq == 2
	})
	if s := stage(t, f, "BIKE-2", ""); len(s.Movements) != 0 {
		t.Errorf("the other lock moved: %+v", s)
	}
}

func TestPowerCutByStageDirectionIsSettledAtBoot(t *testing.T) {
	b := startBroker(t)
	f, _ := b.fleet("", "BIKE-1")
	beat := b.awaitBeat("BIKE-1")
	stage(t, f, "BIKE-1/power", `{"do":"cut","at":"burned"}`)
	b.send("BIKE-1", startOf(beat, 1))
	b.await("will", func(h heard) bool {
		return h.channel == wire.ChannelPresence && !h.presence.Online && h.presence.Boot == beat.Boot
	})
	if s := stage(t, f, "BIKE-1", ""); s.Powered || s.Connected || s.LastSeq != 1 {
		t.Errorf("after the cut: %+v", s)
	}
	stage(t, f, "BIKE-1/power", `{"do":"restore"}`)
	if e := b.awaitEvidence("BIKE-1", wire.EvidenceRejected); e.Reason != wire.ReasonPower || e.CommandSeq != 1 {
		t.Errorf("got %+v, want rejected: power of 1", e)
	}
}

func TestTunnelDelaysTheEndAndLosesNothing(t *testing.T) {
	b := startBroker(t)
	f, _ := b.fleet("", "BIKE-1")
	beat := b.awaitBeat("BIKE-1")
	b.send("BIKE-1", startOf(beat, 1))
	b.awaitEvidence("BIKE-1", wire.EvidenceExecuted)
	stage(t, f, "BIKE-1/network", `{"do":"off"}`)
	b.await("will", func(h heard) bool { return h.channel == wire.ChannelPresence && !h.presence.Online })
	s := stage(t, f, "BIKE-1/close", "{}")
	if s.Connected || !s.Closed || s.Riding {
		t.Errorf("in the tunnel: %+v", s)
	}
	stage(t, f, "BIKE-1/network", `{"do":"on"}`)
	if e := b.awaitEvidence("BIKE-1", wire.EvidenceEnded); e.Order != id(2, 1) {
		t.Errorf("ended says %+v", e)
	}
}

func TestFlippedAndDuplicatedCommandsMoveOnce(t *testing.T) {
	b := startBroker(t)
	f, _ := b.fleet("", "BIKE-1")
	beat := b.awaitBeat("BIKE-1")
	stage(t, f, "BIKE-1/network", `{"do":"flip","direction":"down","count":1}`)
	stage(t, f, "BIKE-1/network", `{"do":"duplicate","direction":"down"}`)
	b.send("BIKE-1", startOf(beat, 1)) // broken on the way
	b.awaitBeat("BIKE-1")              // the answer to it
	b.send("BIKE-1", startOf(beat, 1))
	b.awaitEvidence("BIKE-1", wire.EvidenceExecuted)
	s := stage(t, f, "BIKE-1", "")
	if len(s.Movements) != 1 || s.Rejected != 2 {
		t.Errorf("%d movements, %d rejected messages, want 1 and 2 (one message, twice)", len(s.Movements), s.Rejected)
	}
}

func TestFleetRemembersAcrossProcesses(t *testing.T) {
	b := startBroker(t)
	dir := t.TempDir()
	_, stop := b.fleet(dir, "BIKE-1")
	beat := b.awaitBeat("BIKE-1")
	b.send("BIKE-1", startOf(beat, 1))
	executed := b.awaitEvidence("BIKE-1", wire.EvidenceExecuted)
	stop()
	f, _ := b.fleet(dir, "BIKE-1")
	again := b.await("beat of the second boot", func(h heard) bool { return h.uplink.Beat != nil && h.uplink.Beat.Boot != beat.Boot }).uplink.Beat
	if again.Journal != beat.Journal || again.Outlets[0].LastSeq != 1 || again.Outlets[0].Closed {
		t.Errorf("beat says %+v", again)
	}
	if e := b.awaitEvidence("BIKE-1", wire.EvidenceExecuted); e.Seq != executed.Seq {
		t.Errorf("executed came back as %d, want %d", e.Seq, executed.Seq)
	}
	b.send("BIKE-1", startOf(beat, 1))
	if s := stage(t, f, "BIKE-1", ""); len(s.Movements) != 1 || !s.Riding {
		t.Errorf("state is %+v", s)
	}
}

func TestManyDevicesShareAProcess(t *testing.T) {
	b := startBroker(t)
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("BIKE-%03d", i))
	}
	f, _ := b.fleet("", ids...)
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	b.await("beat of every device", func(h heard) bool {
		if h.uplink.Beat != nil {
			delete(missing, h.device)
		}
		return len(missing) == 0
	})
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/devices", nil))
	var states []DeviceState
	if err := json.Unmarshal(w.Body.Bytes(), &states); err != nil || len(states) != len(ids) {
		t.Errorf("GET /devices: %d states, %v, want %d", len(states), err, len(ids))
	}
}

func TestBadStageDirectionsAreProblems(t *testing.T) {
	b := startBroker(t)
	f, _ := b.fleet("", "BIKE-1")
	for _, bad := range []struct {
		path, body string
		status     int
	}{
		{"BIKE-9/close", `{}`, 404}, {"BIKE-1/open", `{"how":"gently"}`, 400}, {"BIKE-1/open", `{`, 400},
		{"BIKE-1/power", `{"do":"cut","at":"lunch"}`, 400}, {"BIKE-1/power", `{"do":"maybe"}`, 400},
		{"BIKE-1/network", `{"do":"explode"}`, 400}, {"BIKE-1/battery", `{"percent":101}`, 400}, {"BIKE-1/battery", `{}`, 400}, {"BIKE-1/jam", `{}`, 400},
	} {
		w := httptest.NewRecorder()
		f.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/devices/"+bad.path, strings.NewReader(bad.body)))
		var p struct {
			Status int    `json:"status"`
			Code   string `json:"code"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != bad.status || p.Status != bad.status || p.Code == "" {
			t.Errorf("POST %s %s: got %d %s, want a problem with %d", bad.path, bad.body, w.Code, w.Body, bad.status)
		}
	}
	if s := stage(t, f, "BIKE-1/battery", `{"percent":55}`); s.Battery != 55 {
		t.Errorf("battery %d, want 55", s.Battery)
	}
	if s := stage(t, f, "BIKE-1/jam", `{"jammed":true}`); !s.Jammed {
		t.Error("not jammed")
	}
	if s := stage(t, f, "BIKE-1/open", `{"how":"force"}`); s.Closed || s.Opens != 1 || len(s.Movements) != 0 {
		t.Errorf("forced open: %+v", s)
	}
}

func TestProvisioningFileIsRead(t *testing.T) {
	const file = `{"device":"BIKE-1","kind":"lock","epoch":3,"device_key":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
		"mqtt_password":"pw","broker":"mqtt://localhost:1883","server_keys":["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="],"lat":31.230416,"lng":121.473701}`
	p, err := ReadProvision(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	c := p.Config()
	if c.Device != "BIKE-1" || c.Epoch != 3 || *c.Position != (wire.Position{Lat: 31_230_416, Lng: 121_473_701}) || !bytes.Equal(p.Key, bytes.Repeat([]byte{2}, 32)) {
		t.Errorf("got %+v", c)
	}
	for _, bad := range []string{`{`, strings.Replace(file, "lock", "pump", 1), strings.Replace(file, "BIKE-1", "BIKE/1", 1), strings.Replace(file, "AgIC", "", 1),
		strings.Replace(file, `"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="`, "", 1)} {
		if _, err := ReadProvision(strings.NewReader(bad)); err == nil {
			t.Errorf("taken: %s", bad)
		}
	}
}
