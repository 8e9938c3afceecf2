package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/api"
	sim "github.com/unlatch/unlatch/firmware-sim"
)

// tool runs a command against a venue's installation, as staff.
func (v *venue) tool(args ...string) (stdout, stderr string, exit int) {
	v.t.Helper()
	staff := v.staff()
	var out, bad bytes.Buffer
	exit = run(append(args, "--api", staff.base, "--api-key", staff.token), &out, &bad)
	return out.String(), bad.String(), exit
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFleetComesInFromCSVRowByRow(t *testing.T) {
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1"}, Riders: []string{"ada"}})
	staff, dir := v.staff(), t.TempDir()
	if err := staff.do(v.ctx, http.MethodPut, "/v1/operator/venues/south", "", map[string]any{"name": "South", "time_zone": "Asia/Shanghai", "open": true,
		"geofence": map[string]any{"type": "MultiPolygon", "coordinates": [][][][2]float64{{{{120, 30}, {121, 30}, {121, 31}, {120, 30}}}}}}, nil); err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "files")

	bad := write(t, filepath.Join(dir, "bad.csv"), `id,kind,venue,lat,lng,sides,display
bike-1,lock,campus,30.5,120.5,,
bike-1,lock,campus,,,,
bike 2,lock,campus,,,,
bike-3,bicycle,campus,,,,
bike-4,lock,nowhere,,,,
bike-5,lock,campus,95,120,,
bike-6,lock,campus,,,1=92,
pump-1,pump,campus,,,,
bike-7,lock,campus,,,,maybe
bike-8,lock,south,10,10,,
`)
	out, stderr, exit := v.tool("devices", "import", bad, "--out", files)
	if exit != 1 || !strings.Contains(stderr, "8 of 10 rows are wrong; nothing was changed") {
		t.Errorf("exit %d, %q; want 8 wrong rows", exit, stderr)
	}
	for _, want := range []string{"line 2    bike-1                   known", "line 3    bike-1                   WRONG  line 2 has the same id",
		"bike 2", "line 5    bike-3                   WRONG", "line 6    bike-4                   WRONG  there is no such venue", "lat \"95\" is no number of degrees",
		"line 8    bike-6                   WRONG", "line 9    pump-1                   WRONG", "display is yes or no",
		"line 11   bike-8                   new    venue south has no tariff in force for a lock: nobody can order; its position is outside of the geofence"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if _, err := os.Stat(files); !os.IsNotExist(err) {
		t.Errorf("a refused import made %s: %v", files, err)
	}

	good := write(t, filepath.Join(dir, "good.csv"), "\xef\xbb\xbfid;kind;venue;lat;lng\r\nbike-1;lock;campus;30.5;120.5\r\nbike-2;lock;campus;30.6;120.6\r\n")
	if out, stderr, exit = v.tool("devices", "import", good, "--out", files, "--dry-run"); exit != 0 || !strings.Contains(out, "2 rows: 1 new, 1 known, 0 wrong. Nothing was changed") {
		t.Errorf("dry run: exit %d, %s%s", exit, out, stderr)
	}
	if rows, err := v.nodes[0].db.Devices(v.ctx, "bike-2", "", "", 1); err != nil || len(rows) != 0 {
		t.Fatalf("a dry run made bike-2 known: %v, %v", rows, err)
	}
	if out, stderr, exit = v.tool("devices", "import", good, "--out", files); exit != 0 || !strings.Contains(out, "position noted") || !strings.Contains(out, "provisioned") {
		t.Fatalf("import: exit %d, %s%s", exit, out, stderr)
	}
	first, err := os.ReadFile(filepath.Join(files, "bike-2.json"))
	if err != nil {
		t.Fatal(err)
	}
	if out, stderr, exit = v.tool("devices", "import", good, "--out", files); exit != 0 || !strings.Contains(out, "2 rows: 0 new, 2 known, 0 wrong") {
		t.Errorf("the same import again: exit %d, %s%s", exit, out, stderr)
	}
	if again, err := os.ReadFile(filepath.Join(files, "bike-2.json")); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second import touched the file: %v", err)
	}

	// The file is a device's whole start in life.
	p, err := sim.ReadProvision(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := sim.NewFleet(sim.FleetConfig{Provisions: []sim.Provision{p}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	v.nodes[0].beside(fleet.Run)
	v.until("bike-2 has spoken", 60*time.Second, func() bool {
		rows, err := v.nodes[0].db.Devices(v.ctx, "bike-2", "", "", 1)
		return err == nil && len(rows) == 1 && rows[0].Device.Sample.Fresh(time.Now())
	})

	exported, stderr, exit := v.tool("devices", "export")
	if exit != 0 || !strings.Contains(exported, "bike-2,lock,campus,30.6,120.6,,no,,1,in_service,") {
		t.Errorf("export: exit %d, %s%s", exit, exported, stderr)
	}
	if out, stderr, exit = v.tool("devices", "import", write(t, filepath.Join(dir, "export.csv"), exported), "--out", files); exit != 0 ||
		!strings.Contains(out, "2 rows: 0 new, 2 known, 0 wrong") || strings.Contains(out, "noted") {
		t.Errorf("what was exported comes in again: exit %d, %s%s", exit, out, stderr)
	}

	if out, stderr, exit = v.tool("devices", "transfer", "bike-2", "nobody", "--venue", "south", "--reason", "moved"); exit != 1 || !strings.Contains(out, "bike-2 is at south") || !strings.Contains(out, "nobody: ") {
		t.Errorf("transfer: exit %d, %s%s", exit, out, stderr)
	}
	if _, stderr, exit = v.tool("devices", "import", good, "--out", files); exit != 1 || !strings.Contains(stderr, "1 of 2 rows are wrong") {
		t.Errorf("an import into the venue before: exit %d, %s", exit, stderr)
	}
	if out, stderr, exit = v.tool("devices", "retire", "bike-2", "--reason", "stolen"); exit != 0 {
		t.Errorf("retire: exit %d, %s%s", exit, out, stderr)
	}
	var d api.Device
	if err := staff.do(v.ctx, http.MethodGet, "/v1/operator/devices/bike-2", "", nil, &d); err != nil || d.Venue != "south" || d.Service != "retired" {
		t.Errorf("bike-2 in the end: %+v, %v", d, err)
	}
	v.judge("bike-1")
}
