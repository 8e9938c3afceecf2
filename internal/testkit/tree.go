package testkit

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Tree copies the repository's sources into a folder of the test's own, which is
// thrown away. root is the way to the repository from the test's package.
func Tree(t *testing.T, root string) string {
	t.Helper()
	root, err := filepath.Abs(root)
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

// Patch applies a patch, by its absolute path, to a copied tree; with the flag
// --check it only looks whether it would.
func Patch(t *testing.T, dir, patch string, flags ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append(append([]string{"apply"}, flags...), patch)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s does not apply; make it anew: %v\n%s", filepath.Base(patch), err, out)
	}
}

// GoTest runs go test in a copied tree and returns what it printed; err is nil when
// all passed.
func GoTest(t *testing.T, dir string, args ...string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"test", "-count=1", "-trimpath", "-timeout=4m"}, args...)...)
	cmd.Dir = dir
	b, err := cmd.CombinedOutput()
	return string(b), err
}
