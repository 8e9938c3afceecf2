// Package sabotage plants bugs, one patch each, and demands that the test which
// the patch names catches it. A promise whose guard can be taken out unseen is
// not tested.
//
// It owns the patches in bugs/. It refuses to touch the working tree: a bug is
// planted in a copy, which is thrown away.
package sabotage

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/internal/testkit"
)

// bug is one patch: its first lines say what it breaks and which test must fail.
type bug struct {
	name    string
	patch   string // path
	breaks  string
	pkg     string // package of the test
	run     string // -run pattern
	failing string // the test that must be among the failed ones
}

var header = regexp.MustCompile(`(?m)^Breaks: (.+)\nCaught by: (\./\S+) (\S+)$`)

func bugs(t *testing.T) []bug {
	t.Helper()
	paths, err := filepath.Glob("bugs/*.patch")
	if err != nil || len(paths) < 12 {
		t.Fatalf("found %d patches (%v), want at least 12", len(paths), err)
	}
	var all []bug
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		m := header.FindStringSubmatch(string(text))
		if m == nil {
			t.Fatalf("%s: wants the lines 'Breaks: ...' and 'Caught by: ./package TestName' first", p)
		}
		absolute, err := filepath.Abs(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bug{name: strings.TrimSuffix(filepath.Base(p), ".patch"), patch: absolute, breaks: m[1], pkg: m[2],
			run: "^" + strings.Split(m[3], "/")[0] + "$", failing: m[3]})
	}
	return all
}

func TestEveryPatchApplies(t *testing.T) {
	dir := testkit.Tree(t, "../..")
	for _, b := range bugs(t) {
		t.Run(b.name, func(t *testing.T) { testkit.Patch(t, dir, b.patch, "--check") })
	}
}

// TestPlantedBugsAreCaught plants five bugs chosen by the day, or those that
// SABOTAGE names: "all", or a part of a name.
func TestPlantedBugsAreCaught(t *testing.T) {
	chosen := bugs(t)
	switch want := os.Getenv("SABOTAGE"); want {
	case "all":
	case "":
		seed := uint64(time.Now().Unix() / 86400)
		if s, err := strconv.ParseUint(os.Getenv("SABOTAGE_SEED"), 10, 64); err == nil {
			seed = s
		}
		t.Logf("replay with SABOTAGE_SEED=%d", seed)
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
		chosen = chosen[:5]
	default:
		chosen = slices.DeleteFunc(chosen, func(b bug) bool { return !strings.Contains(b.name, want) })
		if len(chosen) == 0 {
			t.Fatalf("no patch is named like SABOTAGE=%s", want)
		}
	}
	for _, b := range chosen {
		t.Run(b.name, func(t *testing.T) {
			dir := testkit.Tree(t, "../..")
			testkit.Patch(t, dir, b.patch)
			out, err := testkit.GoTest(t, dir, "-run", b.run, b.pkg)
			switch {
			case err == nil:
				t.Errorf("not caught: %s; %s %s passed", b.breaks, b.pkg, b.failing)
			case !strings.Contains(out, "--- FAIL: "+b.failing):
				t.Errorf("%s %s did not fail by itself:\n%s", b.pkg, b.failing, tail(out))
			default:
				t.Logf("caught: %s", b.breaks)
			}
		})
	}
}

func tail(s string) string {
	lines := strings.Split(s, "\n")
	return fmt.Sprintln(strings.Join(lines[max(0, len(lines)-30):], "\n"))
}
