// Package thirdkind shows what a third kind of hardware costs: washer.patch adds a
// washing machine that runs for the minutes a rider paid, from the wire contract to
// the HTTP API, and a test that plays one wash over HTTP, Postgres and MQTT.
//
// It owns the patch. Product and firmware know no washer.
package thirdkind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unlatch/unlatch/internal/testkit"
)

// atMost is how many lines a kind that brings a price rule and arguments of its own
// may add to files that are there already. It was 35 when it was written: 15 give
// the start a new argument (device, wire, gateway), 16 are a choice and a price
// (billing, api), 4 are its lines in the two tables (order, firmware-sim).
const atMost = 40

func TestAThirdKindCostsAFilePerLayerAndAFewLines(t *testing.T) {
	patch, err := filepath.Abs("washer.patch")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	added, changed := count(string(text))
	sum := 0
	for file, lines := range changed {
		if strings.Contains(file, "testdata") {
			continue // generated
		}
		t.Logf("%3d lines in %s", lines, file)
		sum += lines
	}
	for file, lines := range added {
		t.Logf("%3d lines in new %s", lines, file)
		if base := filepath.Base(file); base != "washer.go" && base != "washer_test.go" {
			t.Errorf("new file %s is not the kind's own", file)
		}
	}
	t.Logf("%d lines outside the kind's own files", sum)
	if sum > atMost {
		t.Errorf("the kind adds %d lines to files of others, want at most %d", sum, atMost)
	}
	dir := testkit.Tree(t, "../..")
	testkit.Patch(t, dir, patch)
	if out, err := testkit.GoTest(t, dir, "-run", "^TestAWasher", "./cmd/unlatch"); err != nil {
		t.Errorf("the wash failed: %v\n%s", err, out)
	}
	if out, err := testkit.GoTest(t, dir, "./device/wire", "./internal/testkit/architecture"); err != nil {
		t.Errorf("the contract or the map does not hold with a third kind: %v\n%s", err, out)
	}
}

// count returns the lines that a patch adds, by file: to new ones and to others.
func count(patch string) (added, changed map[string]int) {
	added, changed = map[string]int{}, map[string]int{}
	file, fresh := "", false
	for line := range strings.Lines(patch) {
		switch {
		case strings.HasPrefix(line, "--- "):
			fresh = strings.HasPrefix(line, "--- /dev/null")
		case strings.HasPrefix(line, "+++ b/"):
			file = strings.TrimSpace(strings.TrimPrefix(line, "+++ b/"))
		case strings.HasPrefix(line, "+") && fresh:
			added[file]++
		case strings.HasPrefix(line, "+"):
			changed[file]++
		}
	}
	return added, changed
}
