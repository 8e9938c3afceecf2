package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	t.Parallel()
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
		"bike 2", `line 5    bike-3                   WRONG  kind "bicycle": write lock or pump`, "line 6    bike-4                   WRONG  there is no venue nowhere", "lat \"95\" is no number of degrees",
		"line 8    bike-6                   WRONG", "line 9    pump-1                   WRONG", "display is yes or no",
		"line 11   bike-8                   new    venue south has no tariff in force for a lock: nobody can order; its position is outside of the geofence"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if _, err := os.Stat(files); !os.IsNotExist(err) {
		t.Errorf("a refused import made %s: %v", files, err)
	}

	good := write(t, filepath.Join(dir, "good.csv"), "\xef\xbb\xbfid;kind;venue;lat;lng;bluetooth\r\nbike-1;lock;campus;30.5;120.5;\r\nbike-2;lock;campus;30.6;120.6;yes\r\n")
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
	if !p.Bluetooth {
		t.Error("the file does not tell the lock that it has Bluetooth")
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
	if exit != 0 || !strings.Contains(exported, "bike-2,lock,campus,30.6,120.6,,no,,yes,1,in_service,") {
		t.Errorf("export: exit %d, %s%s", exit, exported, stderr)
	}
	if out, stderr, exit = v.tool("devices", "import", write(t, filepath.Join(dir, "export.csv"), exported), "--out", files); exit != 0 ||
		!strings.Contains(out, "2 rows: 0 new, 2 known, 0 wrong") || strings.Contains(out, "noted") {
		t.Errorf("what was exported comes in again: exit %d, %s%s", exit, out, stderr)
	}

	if out, stderr, exit = v.tool("devices", "transfer", "bike-2", "nobody", "--venue", "south", "--reason", "moved"); exit != 1 || !strings.Contains(out, "bike-2 is at south") || !strings.Contains(out, "nobody: ") {
		t.Errorf("transfer: exit %d, %s%s", exit, out, stderr)
	}
	if _, stderr, exit = v.tool("devices", "import", good, "--out", files); exit != 1 || !strings.Contains(stderr, "1 of 2 rows is wrong") {
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

func TestALineOfAFleetIsReadByItself(t *testing.T) {
	const header = "id,kind,venue,lat,lng\n"
	for name, c := range map[string]struct {
		text string
		want []string // per row "line id: what is wrong"
	}{
		"empty rows":           {header + ",,,,\n\nb,lock,v\n , ,\n", []string{"4 b: "}},
		"CRLF and a lone CR":   {"id;kind;venue\r\na;lock;v\rb;LOCK;v", []string{"2 a: ", "3 b: "}},
		"too many fields":      {header + "a,lock,v,30,27,120,12\nb,lock,v\n", []string{`2 a: 7 fields where the header has 5: quote a value that holds ","`, "3 b: "}},
		"empty ones too many":  {header + "a,lock,v,,,,,\n", []string{"2 a: "}},
		"too few fields":       {header + "a\n", []string{"2 a: 1 field where the header has 5; kind is missing; venue is missing"}},
		"a bare quote":         {header + "a,lo\"ck,v\nb,lock,v\n", []string{"2 a: bare \" in non-quoted", "3 b: "}},
		"a quote never closed": {header + "a,\"lock,v\nb,lock,v\n", []string{"2 a: extraneous or missing \"", "3 b: "}},
		"decimal commas": {"id;kind;venue;latitude;LONG\na;lock;v;30,27;120,1\n",
			[]string{`2 a: lat "30,27": write a point, not a comma; lng "120,1": write a point, not a comma`}},
		"swapped": {header + "a,lock,v,120.1,30.2\n", []string{`2 a: lat "120.1" is no number of degrees from -90 to 90; are lat and lng swapped?`}},
		"kinds":   {header + "a,Lock,v\nb,bike,v\n", []string{"2 a: ", `3 b: kind "bike": write lock or pump`}},
		"unnamed": {"id,kind,venue,,\na,lock,v,,\nb,lock,v,,7\n", []string{"2 a: ", `3 b: 5 fields where the header has 3: quote a value that holds ","`}},
	} {
		rows, err := readFleet([]byte(c.text))
		if err != nil || len(rows) != len(c.want) {
			t.Errorf("%s: %d rows, %v; want %q", name, len(rows), err, c.want)
			continue
		}
		for i, r := range rows {
			wrong := strings.Join(r.wrong, "; ")
			at, _, quote := strings.Cut(wrong, ": ") // of quotes the library's column and words
			if quote && strings.HasPrefix(at, "column ") {
				wrong = strings.TrimPrefix(wrong, at+": ")
			}
			got := fmt.Sprintf("%d %s: %s", r.line, r.device.ID, wrong)
			if exact := c.want[i]; got != exact && (!strings.Contains(exact, `"`) || !strings.HasPrefix(got, exact)) {
				t.Errorf("%s: got %q, want %q", name, got, exact)
			}
		}
	}
	for text, want := range map[string]string{
		"\xff\xfei\x00d\x00":                   "save it as CSV UTF-8",
		"id,kind,venue,lat,latitude\na,lock,v": "columns 4 and 5 are both lat",
		"id,kind,venue,latitud\na,lock,v":      `column "latitud" is not known`,
		"id,kind,lat\na,lock,1":                `column "venue" is missing`,
		header + ",,,,\n":                      "no rows below the header",
		"":                                     "no header",
	} {
		if _, err := readFleet([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// TestAFleetsCodesAndPlacesAreJudgedFirst imports one installation's devices with
// wrong codes and odd positions, then with right ones, then in a race.
func TestAFleetsCodesAndPlacesAreJudgedFirst(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}})
	staff, dir := v.staff(), t.TempDir()
	south := map[string]any{"name": "South", "time_zone": "Asia/Shanghai", "open": true, "lat": 1.3, "lng": 51.5,
		"geofence": map[string]any{"type": "MultiPolygon", "coordinates": [][][][2]float64{{{{51, 1}, {52, 1}, {52, 2}, {51, 2}, {51, 1}}}}}}
	campus := map[string]any{"name": "Campus", "time_zone": "Asia/Shanghai", "open": true, "lat": 30.5, "lng": 120.5}
	for id, facts := range map[string]any{"south": south, demoVenue: campus} {
		if err := staff.do(v.ctx, http.MethodPut, "/v1/operator/venues/"+id, "", facts, nil); err != nil {
			t.Fatal(err)
		}
	}
	var batch, other api.CodeBatch
	for id, into := range map[string]*api.CodeBatch{demoVenue: &batch, "south": &other} {
		if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/codes/batches", "batch-"+id, map[string]any{"venue": id, "count": 3}, into); err != nil {
			t.Fatal(err)
		}
	}
	codes, foreign := v.batchCodes(staff, batch.ID, 10), v.batchCodes(staff, other.ID, 10)
	number := func(bike string) string { return strings.TrimPrefix(v.codes[bike], "https://q.test/d/") }
	if err := staff.do(v.ctx, http.MethodPost, "/v1/operator/codes/"+codes[2].Number+"/revoke", "", map[string]any{"reason": "torn"}, nil); err != nil {
		t.Fatal(err)
	}
	last := codes[0].Number[13]
	mistyped := codes[0].Number[:13] + string('0'+(last-'0'+1)%10)
	files := filepath.Join(dir, "files")
	lacks := func(what, out string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: the report lacks %q:\n%s", what, w, out)
			}
		}
	}

	bad := write(t, filepath.Join(dir, "bad.csv"), strings.Join([]string{"id,kind,venue,lat,lng,code",
		"bike-1,lock,campus,,," + number("bike-1"),
		"bike-2,lock,campus,,," + number("bike-1"),
		"a,lock,campus,,," + mistyped,
		"b,lock,campus,,," + codes[2].Number,
		"c,lock,campus,30.5,120.5," + codes[0].Printed,
		"d,lock,campus,,," + codes[0].Number,
		"e,lock,campus,,," + number("bike-2"),
		"f,lock,campus,,," + foreign[0].Number,
		"g,lock,campus,,,gibberish",
		"C,lock,campus,,,",
		"h,lock,south,51.5,1.3,",
		"i,lock,campus,,,batches",
		",,,,,"}, "\n"))
	out, stderr, exit := v.tool("devices", "import", bad, "--out", files)
	if exit != 1 || !strings.Contains(stderr, "9 of 12 rows are wrong; nothing was changed") {
		t.Errorf("exit %d, %q; want 9 wrong rows", exit, stderr)
	}
	lacks("bad codes", out,
		"bike-1                   known  \n", "bike-2                   WRONG  line 2 has the same code",
		"a                        WRONG  code "+mistyped+": ", "b                        WRONG  code "+codes[2].Printed+" is no longer in use",
		"c                        new    code "+codes[0].Printed+" would be bound", "d                        WRONG  line 6 has the same code",
		"e                        WRONG  code", "hangs on bike-2; if it is to hang here: unlatch codes bind",
		"f                        WRONG  code "+foreign[0].Printed+" was printed for venue south", "g                        WRONG  code gibberish: ",
		"C                        WRONG  c of line 6 differs in capitals only",
		"its position is outside of the geofence of venue south; its position is 7", "; with lat and lng swapped it would be near",
		`code "batches" is no code`, "12 rows: 2 new, 1 known, 9 wrong. Nothing was changed.")
	if acts := v.acts(); len(acts) > 0 && acts[len(acts)-1].Act == "code.bind" {
		t.Errorf("a refused import bound a code: %+v", acts[len(acts)-1])
	}

	moved := write(t, filepath.Join(dir, "moved.csv"), "id,kind,venue,lat,lon\nbike-1,lock,nowhere,,\nbike-2,lock,south,,\n")
	out, _, _ = v.tool("devices", "import", moved, "--out", files)
	lacks("other venues", out, "there is no venue nowhere; it is at venue campus\n", "unlatch devices transfer bike-2 --venue south --reason ")

	near := write(t, filepath.Join(dir, "near.csv"), "id,kind,venue,lat,lon,code\nbike-1,Lock,campus,30.5,120.5,"+codes[0].Printed+"\n")
	out, stderr, exit = v.tool("devices", "import", near, "--out", files)
	if exit != 0 || strings.Contains(out, "provisioning file") {
		t.Errorf("one known row: exit %d, %s%s", exit, out, stderr)
	}
	lacks("a known device", out, "position noted; code "+codes[0].Printed+" bound", "1 row: 0 new, 1 known, 0 wrong.\n")
	far := write(t, filepath.Join(dir, "far.csv"), "id,kind,venue,lat,lon,code\nbike-1,lock,campus,30.5,118.5,"+codes[0].Printed+"\n")
	out, _, exit = v.tool("devices", "import", far, "--out", files, "--dry-run")
	lacks("a dry move", out, "known  position would move by 192 km; its position is 192 km from venue campus\n", "Nothing was changed: --dry-run.")
	if exit != 0 {
		t.Errorf("a dry move: exit %d", exit)
	}
	out, _, _ = v.tool("devices", "import", far, "--out", files)
	lacks("a move", out, "position noted, 192 km from the one before; its position is 192 km from venue campus")

	// Another import makes new-1 known between this one's check and its turn; then the
	// server breaks down at new-3.
	target, err := url.Parse(staff.base)
	if err != nil {
		t.Fatal(err)
	}
	broken := atomic.Bool{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		provisions := r.Method == http.MethodPost && r.URL.Path == "/v1/operator/devices" && !bytes.Contains(body, []byte(`"dry_run":true`))
		switch {
		case provisions && bytes.Contains(body, []byte(`"new-1"`)):
			first := api.ProvisionBody{Reason: "first", Devices: []api.NewDevice{{ID: "new-1", Kind: "lock", Venue: demoVenue}}}
			if err := staff.do(r.Context(), http.MethodPost, "/v1/operator/devices", "", first, nil); err != nil {
				t.Error(err)
			}
		case provisions && bytes.Contains(body, []byte(`"new-3"`)) && !broken.Swap(true):
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close)
	race := write(t, filepath.Join(dir, "race.csv"), "id,kind,venue\nnew-1,lock,campus\nnew-2,lock,campus\nnew-3,lock,campus\nnew-4,lock,campus\n")
	var report, trouble bytes.Buffer
	exit = run([]string{"devices", "import", race, "--out", files, "--api", between.URL, "--api-key", staff.token}, &report, &trouble)
	if exit != 1 || !strings.Contains(trouble.String(), "the device's older file, if any, no longer works: unlatch devices provision new-3 --kind lock --venue campus --out ") {
		t.Errorf("a server that breaks down: exit %d, %s", exit, trouble.String())
	}
	lacks("a race and a breakdown", report.String(), "new-1                    known  made known meanwhile", "new-2                    new    provisioned",
		"new-3                    FAILED", "new-4                    left", "4 rows: 1 new, 1 known, 0 wrong, 2 left.", "The provisioning file of the new device is in")
	for _, id := range []string{"new-1", "new-3"} {
		if _, err := os.Stat(filepath.Join(files, id+".json")); !os.IsNotExist(err) {
			t.Errorf("%s has a file that holds nothing: %v", id, err)
		}
	}
	if out, stderr, exit = v.tool("devices", "import", race, "--out", files); exit != 0 || !strings.Contains(out, "4 rows: 2 new, 2 known, 0 wrong.\n") {
		t.Errorf("the import again: exit %d, %s%s", exit, out, stderr)
	}
}

// TestAFleetFileThatCannotBeKeptSaysWhatIsLost breaks the file after the keys are made.
func TestAFleetFileThatCannotBeKeptSaysWhatIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bike-1.json")
	err := writeOnce(path, func() (any, error) { return func() {}, nil }) // no JSON can be made of it
	if err == nil || !strings.Contains(err.Error(), "older file, if any, no longer works") {
		t.Errorf("got %v, want errKeysLost", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}
