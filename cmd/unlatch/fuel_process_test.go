package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
)

// TestServerKilledInMidFuelling kills server, database and broker by SIGKILL while
// a pump of a process of its own gives fuel. The pump goes on, is hung up with
// nobody to tell, and the second start bills exactly what it signed.
func TestServerKilledInMidFuelling(t *testing.T) {
	t.Parallel()
	dir := readmeFolder(t)
	data, broker := filepath.Join(dir, "data"), freePort(t)
	first, r := running(t, dir, "--data", data, "--mqtt", broker)
	v, c := as(t, r, "ada")

	var key struct {
		Text string `json:"api_key"`
	}
	_, link, _ := strings.Cut(r.FirstRun, "link=")
	if err := (client{base: r.HTTP}).do(t.Context(), http.MethodPost, "/v1/operator/first-run", "", map[string]string{"link": link, "name": "Lin"}, &key); err != nil {
		t.Fatal(err)
	}
	staff := client{base: r.HTTP, token: key.Text}
	var made struct {
		Devices []struct{ File json.RawMessage }
	}
	if err := staff.do(t.Context(), http.MethodPost, "/v1/operator/devices", "", map[string]any{"reason": "test", "devices": []map[string]any{{
		"id": "far", "kind": "pump", "venue": demoStation, "sides": []map[string]any{{"nozzles": []map[string]any{{"nozzle": 1, "grade": "92"}}}}}}}, &made); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "far.json")
	if err := os.WriteFile(file, made.Devices[0].File, 0o600); err != nil {
		t.Fatal(err)
	}
	var code struct{ URL string }
	if err := staff.do(t.Context(), http.MethodPost, "/v1/operator/codes", "", map[string]any{"device": "far"}, &code); err != nil {
		t.Fatal(err)
	}
	pump := process(t, dir, "sim", file, "--memory", filepath.Join(dir, "memory"))
	t.Cleanup(func() { _ = pump.cmd.Process.Kill(); _ = pump.cmd.Wait() })
	stage := regexp.MustCompile(`http://[0-9.:]+`)
	pump.until(t, 30*time.Second, func() bool { return stage.MatchString(pump.printed()) })
	v.stage = stage.FindString(pump.printed())

	var o sale
	v.until("the pump can be bought from", 30*time.Second, func() bool {
		var err error
		o, err = v.buy(c, code.URL, map[string]any{"grade": "92", "amount_fen": 5_000})
		return err == nil
	})
	armed(v, c, o)
	v.lift("far", 1, 1)
	v.squeeze("far", 1, 50)
	v.flows("far", 1, 500)
	_ = syscall.Kill(first.cmd.Process.Pid, syscall.SIGKILL)
	_ = first.cmd.Wait()
	v.flows("far", 1, 1_500)
	v.hangUp("far", 1)
	gave := v.side("far", 1).Ml

	second, r := running(t, dir, "--data", data, "--mqtt", broker)
	stays := v.stage
	v, c = as(t, r, "ada")
	v.stage = stays
	got := v.sold(c, o.ID)
	if got.Fuel.Ml != gave || got.Charged != int64(billing.Price(gave, 7850)) || got.Reason != "nozzle_back" {
		t.Errorf("billed %d for %+v because of %q, the pump gave %d ml", got.Charged, got.Fuel, got.Reason, gave)
	}
	audit := process(t, dir, "audit", "--data", data)
	if err := audit.cmd.Wait(); err != nil {
		t.Errorf("audit beside the running demo: %v\n%s", err, audit.printed())
	}
	_ = second.cmd.Process.Signal(syscall.SIGTERM)
	_ = second.cmd.Wait()
}

// freePort names an address on which nothing listens now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
