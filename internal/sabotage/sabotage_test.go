// Package sabotage plants bugs, one patch each, and demands that the test which
// the patch names catches it. A promise whose guard can be taken out unseen is
// not tested.
//
// It owns the patches in bugs/. It refuses to touch the working tree: a bug is
// planted in a copy, which is thrown away.
package sabotage

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
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

// tree copies the repository's sources into a folder of the test's own.
func tree(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	into := t.TempDir()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." || rel == "bin" || d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(into, rel), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(into, rel), b, 0o644)
	})
	if err != nil {
		t.Fatalf("copy the tree: %v", err)
	}
	return into
}

func (b bug) plant(t *testing.T, dir string, flags ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append(append([]string{"apply"}, flags...), b.patch)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s does not apply; make it anew: %v\n%s", b.name, err, out)
	}
}

func TestEveryPatchApplies(t *testing.T) {
	dir := tree(t)
	for _, b := range bugs(t) {
		t.Run(b.name, func(t *testing.T) { b.plant(t, dir, "--check") })
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
			dir := tree(t)
			b.plant(t, dir)
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-trimpath", "-timeout=4m", "-run", b.run, b.pkg)
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			switch {
			case err == nil:
				t.Errorf("not caught: %s; %s %s passed", b.breaks, b.pkg, b.failing)
			case !strings.Contains(string(out), "--- FAIL: "+b.failing):
				t.Errorf("%s %s did not fail by itself:\n%s", b.pkg, b.failing, tail(string(out)))
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
