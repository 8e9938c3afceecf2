package sim

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/device/wire"
)

func (b *broker) provisionPump(device string) Provision {
	p := b.provision(device)
	p.Kind = "pump"
	p.CodeSeconds = 30
	p.Outlets = []ProvisionOutlet{
		{Outlet: 1, Nozzles: map[uint8]string{1: "92", 2: "95"}, Display: &ProvisionDisplay{URL: "https://ul.example/d/12345678901234-", Secret: []byte("0123456789abcdef")}},
		{Outlet: 2, Nozzles: map[uint8]string{1: "92", 2: "95"}},
	}
	return p
}

func fuelOf(beat *wire.Beat, outlet uint8, seq uint64) wire.Command {
	c := startOf(beat, seq)
	c.Outlet, c.ID, c.Order = outlet, sideID(1, outlet, seq), sideID(2, outlet, seq)
	c.Start = &wire.StartArgs{UnitPrices: map[uint8]int64{1: testPrice}, MaxMillilitres: 100, ArmMillis: 60_000}
	return c
}

func TestPumpOnARealBroker(t *testing.T) {
	b := startBroker(t)
	dir := t.TempDir()
	f, stop := b.runFleet(dir, b.provisionPump("PUMP-1"))
	beat := b.awaitBeat("PUMP-1")
	if len(beat.Outlets) != 2 || !beat.Outlets[0].Closed || !beat.Outlets[1].Closed {
		t.Errorf("beat says %+v", beat)
	}
	b.send("PUMP-1", wire.Command{Kind: wire.KindConfig, Seq: 1, ID: id(1, 1), Config: &wire.ConfigArgs{
		WallMillis: time.Now().UnixMilli(), WallBoot: beat.Boot, WallUptime: beat.Uptime}})
	b.await("beat of the config", func(h heard) bool { return h.uplink.Beat != nil && h.uplink.Beat.Outlets[0].LastSeq == 1 })
	s := stage(t, f, "PUMP-1", "")
	if d := s.Pump.Outlets[0].Display; len(d.Code) != 8 || d.URL != "https://ul.example/d/12345678901234-"+d.Code {
		t.Errorf("the display shows %+v", d)
	}

	for range 2 {
		b.send("PUMP-1", fuelOf(beat, 1, 2))
	}
	b.send("PUMP-1", fuelOf(beat, 2, 1))
	for range 2 {
		b.awaitEvidence("PUMP-1", wire.EvidenceExecuted)
	}
	stage(t, f, "PUMP-1/nozzle", `{"do":"lift","nozzle":1}`)
	stage(t, f, "PUMP-1/squeeze", `{"percent":100}`) // 80 ml at 120 ml/s
	ended := b.awaitEvidence("PUMP-1", wire.EvidenceEnded)
	if ended.Reason != wire.ReasonLimit || ended.Millilitres < 80 || ended.Millilitres > 100 || ended.Fen != fenOf(ended.Millilitres, testPrice) || ended.Order != sideID(2, 1, 2) {
		t.Errorf("ended says %+v", ended)
	}
	s = stage(t, f, "PUMP-1/nozzle", `{"do":"hang_up"}`)
	sold := slices.IndexFunc(s.Pump.Sales, func(x Sale) bool { return x.Outlet == 1 }) // the starts of two sides may overtake each other
	if o := s.Pump.Outlets; o[0].State != "idle" || o[1].State != "authorised" || s.Closed || !s.Riding || len(s.Movements) != 2 || sold < 0 || s.Pump.Sales[sold].Ml != ended.Millilitres {
		t.Errorf("state is %+v", s.Pump)
	}
	stage(t, f, "PUMP-1/power", `{"do":"cut"}`)
	stage(t, f, "PUMP-1/power", `{"do":"restore"}`)
	if e := b.awaitEvidence("PUMP-1", wire.EvidenceInterrupted); e.Outlet != 2 || e.Millilitres != 0 {
		t.Errorf("interrupted says %+v", e)
	}
	stage(t, f, "PUMP-1/emergency", `{"do":"press"}`)
	if e := b.awaitEvidence("PUMP-1", wire.EvidenceAlarm); e.Reason != wire.ReasonEmergencyStop {
		t.Errorf("alarm says %+v", e)
	}
	stage(t, f, "PUMP-1/crank", `{"outlet":2,"nozzle":2,"ml":700}`)
	stop()

	f, _ = b.runFleet(dir, b.provisionPump("PUMP-1"))
	b.await("beat of another boot", func(h heard) bool {
		return h.uplink.Beat != nil && h.uplink.Beat.Outlets[1].Counters.Totaliser[2] == 700
	})
	s = stage(t, f, "PUMP-1", "")
	if o := s.Pump.Outlets; s.Pump.ShutDown != "emergency_stop" || o[0].State != "closed" || o[0].Nozzles[0].Totaliser != uint64(ended.Millilitres) || len(s.Pump.Sales) != 2 {
		t.Errorf("after a restart: %+v", s.Pump)
	}
	stage(t, f, "PUMP-1/gas", "{}")
	stage(t, f, "PUMP-1/emergency", `{"do":"release"}`)
	stage(t, f, "PUMP-1/stop", `{"outlet":2}`)
	if s = stage(t, f, "PUMP-1/fault", `{"outlet":2,"broken":true}`); s.Pump.Outlets[1].State != "fault" || s.Pump.ShutDown != "" {
		t.Errorf("state is %+v", s.Pump)
	}
}

func TestStageDirectionsThatDoNotFitAreProblems(t *testing.T) {
	b := startBroker(t)
	f, _ := b.runFleet("", b.provisionPump("PUMP-1"), b.provision("BIKE-1"))
	for _, bad := range []struct {
		path, body string
		status     int
	}{
		{"PUMP-1/close", `{}`, 400}, {"PUMP-1/battery", `{"percent":5}`, 400}, {"PUMP-1/jam", `{"jammed":true}`, 400}, {"PUMP-1/open", `{"how":"force"}`, 400},
		{"BIKE-1/nozzle", `{"do":"lift","nozzle":1}`, 400}, {"BIKE-1/squeeze", `{"percent":5}`, 400}, {"BIKE-1/stop", `{}`, 400},
		{"BIKE-1/emergency", `{"do":"press"}`, 400}, {"BIKE-1/gas", `{}`, 400}, {"BIKE-1/fault", `{"broken":true}`, 400}, {"BIKE-1/crank", `{}`, 400},
		{"PUMP-1/nozzle", `{"do":"drop"}`, 400}, {"PUMP-1/nozzle", `{"do":"lift","nozzle":9}`, 400}, {"PUMP-1/nozzle", `{"do":"hang_up"}`, 400},
		{"PUMP-1/nozzle", `{"outlet":3,"do":"lift","nozzle":1}`, 400}, {"PUMP-1/squeeze", `{"percent":50}`, 400}, {"PUMP-1/squeeze", `{}`, 400},
		{"PUMP-1/emergency", `{"do":"hug"}`, 400}, {"PUMP-1/fault", `{"sticky_ml":-1}`, 400}, {"PUMP-1/crank", `{"nozzle":1,"ml":-5}`, 400}, {"PUMP-1/crank", `{"nozzle":7,"ml":5}`, 400},
		{"PUMP-1/nozzle", `{`, 400}, {"PUMP-1/dance", `{}`, 404}, {"PUMP-9/gas", `{}`, 404},
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
	stage(t, f, "PUMP-1/nozzle", `{"outlet":2,"do":"lift","nozzle":2}`)
	if s := stage(t, f, "PUMP-1/squeeze", `{"outlet":2,"percent":50}`); s.Pump.Outlets[1].State != "calling" || s.Pump.Outlets[1].Hand != 50 {
		t.Errorf("state is %+v", s.Pump)
	}
}

func TestProvisioningFileOfAPumpIsRead(t *testing.T) {
	const file = `{"device":"PUMP-1","kind":"pump","epoch":3,"device_key":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",
		"mqtt_password":"pw","broker":"mqtt://localhost:1883","server_keys":["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="],"code_seconds":30,"code_length":10,
		"outlets":[{"outlet":2,"nozzles":{"3":"98"}},{"outlet":1,"nozzles":{"2":"95","1":"92"},
		"display":{"url":"https://ul.example/d/12345678901234-","secret":"MDEyMzQ1Njc4OWFiY2RlZg=="}}]}`
	p, err := ReadProvision(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	c := p.Config()
	if c.Kind != "pump" || c.Pump.Side(1).Nozzle(2).Grade != "95" || c.Pump.Side(2).Nozzle(3).Grade != "98" || c.Pump.Sides[0].Outlet != 1 ||
		string(c.Displays[1].Secret) != "0123456789abcdef" || c.Params[wire.ParamCodeSeconds] != 30 || c.Params[wire.ParamCodeLength] != 10 {
		t.Errorf("got %+v", c)
	}
	for what, bad := range map[string]string{
		"no outlets": strings.Replace(file, `"outlets"`, `"inlets"`, 1), "no outlet 1": strings.Replace(file, `{"outlet":1`, `{"outlet":3`, 1),
		"an outlet twice": strings.Replace(file, `{"outlet":2`, `{"outlet":1`, 1), "no nozzles": strings.Replace(file, `{"3":"98"}`, `{}`, 1),
		"nozzle 0": strings.Replace(file, `{"3":"98"}`, `{"0":"98"}`, 1), "nozzle 256": strings.Replace(file, `{"3":"98"}`, `{"256":"98"}`, 1),
		"a short secret": strings.Replace(file, "MDEyMzQ1Njc4OWFiY2RlZg==", "MDEyMzQ1Njc4OWFiY2Rl", 1), "no url": strings.Replace(file, `"url"`, `"uri"`, 1),
		"code_seconds": strings.Replace(file, `"code_seconds":30`, `"code_seconds":5`, 1), "code_length": strings.Replace(file, `"code_length":10`, `"code_length":33`, 1),
		"a lock with outlets": strings.Replace(file, `"pump"`, `"lock"`, 1),
	} {
		if _, err := ReadProvision(strings.NewReader(bad)); err == nil {
			t.Errorf("taken: %s", what)
		}
	}
}

func TestAPumpTooGreatForABeatIsRefused(t *testing.T) {
	var sides []*Side
	for outlet := range uint8(16) {
		nozzles := map[uint8]string{}
		for n := range uint8(8) {
			nozzles[n+1] = ""
		}
		sides = append(sides, NewSide(outlet+1, nozzles))
	}
	if _, err := NewController(Config{Device: "P", Kind: "pump", Key: testKey, Pump: NewPump(sides...)}); err == nil {
		t.Error("128 nozzles fit a beat")
	}
	if _, err := NewController(Config{Device: "P", Kind: "pump", Key: testKey, Pump: NewPump(sides[:8]...)}); err != nil {
		t.Errorf("64 nozzles: %v", err)
	}
	if _, err := NewController(Config{Device: "P", Kind: "boat", Key: testKey}); err == nil {
		t.Error("a boat was taken")
	}
}

// TestPumpMemorySurvivesJSON: a process that dies in mid-fuelling is a power cut.
func TestPumpMemorySurvivesJSON(t *testing.T) { // P6.19
	r := pumping(t, nil)
	r.flowing(1, 1, 10*time.Second)
	path := t.TempDir() + "/m.json"
	if err := writeMemory(path, &Memory{Flash: *r.c.flash, Pump: r.c.pump.body}); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, err := LoadMemory(file)
	if err != nil {
		t.Fatal(err)
	}
	again := newRig(t, func(c *Config) { c.Kind, c.Lock, c.Flash, c.Pump = "pump", nil, &m.Flash, m.Pump })
	again.now = r.now
	again.up()
	e := again.lastOf(wire.EvidenceInterrupted)
	if e.Millilitres != 5_040 || e.Order != sideID(2, 1, 1) || again.sale(0).How != "power" || again.sale(0).Ml != 5_040 {
		t.Errorf("interrupted says %+v, sale %+v", e, again.sale(0))
	}
}
