package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func console(t *testing.T, c Config) *Console {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(t *testing.T, h http.Handler, method, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEveryAddressOfTheConsoleIsThePage(t *testing.T) {
	s := console(t, Config{})
	for _, target := range []string{"/console/", "/console/devices/bike-1", "/console/orders?state=active", "/console/nothing/of/the/kind"} {
		r := ask(t, s, http.MethodGet, target)
		text := body(t, r)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %v", target, r.StatusCode, r.Header)
		}
		if strings.ContainsAny(text, "{}") && regexp.MustCompile(`\{(base|imports|modules)\}`).MatchString(text) {
			t.Errorf("%s: a hole of the page is left open:\n%s", target, text)
		}
	}
}

func TestPolicyAllowsTheImportMapAndNothingInline(t *testing.T) {
	s := console(t, Config{Images: func() []string {
		return []string{"https://tiles.example", "https://*.tiles.example:8443", "https://a.example/path", "javascript:x", "https://x.example; script-src *", "'unsafe-inline'"}
	}})
	r := ask(t, s, http.MethodGet, "/console/")
	policy, page := r.Header.Get("Content-Security-Policy"), body(t, r)

	scripts := regexp.MustCompile(`(?s)<script([^>]*)>(.*?)</script>`).FindAllStringSubmatch(page, -1)
	if len(scripts) != 3 {
		t.Errorf("got %d scripts, want the boot script, the import map and the app", len(scripts))
	}
	for _, m := range scripts {
		if m[2] == "" {
			continue
		}
		sum := sha256.Sum256([]byte(m[2]))
		if want := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("the policy does not allow the inline script %q", m[2])
		}
	}
	for _, bad := range []string{"unsafe", "javascript", "a.example", "x.example", "script-src *", "http:"} {
		if strings.Contains(policy, bad) {
			t.Errorf("the policy says %q: %s", bad, policy)
		}
	}
	for _, want := range []string{"default-src 'none'", "img-src 'self' data: blob: https://tiles.example https://*.tiles.example:8443;", "connect-src 'self'", "frame-ancestors 'none'",
		"form-action 'self'", "base-uri 'none'", "style-src 'self';", "font-src 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %q: %s", want, policy)
		}
	}
	if regexp.MustCompile(`(?i)\son\w+=|\sstyle=|<style`).MatchString(page) {
		t.Errorf("the page holds what its policy refuses:\n%s", page)
	}
}

func TestFilesOfATreeNeverChange(t *testing.T) {
	s := console(t, Config{})
	app := s.base + "/app.js"

	r := ask(t, s, http.MethodGet, app)
	plain := body(t, r)
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Encoding") != "" || r.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" ||
		r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("plain: got %d %v", r.StatusCode, r.Header)
	}

	r = ask(t, s, http.MethodGet, app, "Accept-Encoding", "br, gzip;q=0.8")
	if r.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("gzip asked for: got %v", r.Header)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := io.ReadAll(z)
	if err != nil || string(unzipped) != plain {
		t.Errorf("the zipped file is another one: %v", err)
	}

	for _, refusal := range []string{"gzip;q=0", "br", "identity", ""} {
		if r := ask(t, s, http.MethodGet, app, "Accept-Encoding", refusal); r.Header.Get("Content-Encoding") != "" {
			t.Errorf("Accept-Encoding %q: got %s", refusal, r.Header.Get("Content-Encoding"))
		}
	}
	if r := ask(t, s, http.MethodHead, app); body(t, r) != "" || r.Header.Get("Content-Length") != fmt.Sprint(len(plain)) {
		t.Errorf("HEAD: got %v", r.Header)
	}
	if r := ask(t, s, http.MethodPost, "/console/"); r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got %d", r.StatusCode)
	}
}

func TestWhatIsNotInTheTreeIsNotFoundAndNotKept(t *testing.T) {
	s := console(t, Config{})
	for _, target := range []string{s.base + "/nothing.js", s.base + "/", s.base, s.base + "/index.html", "/console/a/0000000000000000/app.js", "/console/a/", s.base + "/../console.go"} {
		req := httptest.NewRequest(http.MethodGet, "/console/", nil)
		req.URL.Path = target
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		r := w.Result()
		if r.StatusCode != http.StatusNotFound || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d, %s", target, r.StatusCode, r.Header.Get("Cache-Control"))
		}
	}
}

func TestAnotherTreeHasAnotherPath(t *testing.T) {
	tree := fstest.MapFS{"index.html": {Data: []byte("{base}")}, "app.js": {Data: []byte("1")}}
	for _, at := range imports {
		tree[at] = &fstest.MapFile{Data: []byte("export {}")}
	}
	one, err := of(tree, Config{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := of(tree, Config{})
	if err != nil {
		t.Fatal(err)
	}
	tree["app.js"] = &fstest.MapFile{Data: []byte("2")}
	other, err := of(tree, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if one.base != again.base || one.base == other.base {
		t.Errorf("paths: %s, the same tree %s, another tree %s", one.base, again.base, other.base)
	}
	delete(tree, "vendor/preact.mjs")
	if _, err := of(tree, Config{}); err == nil {
		t.Error("a tree without a library was taken")
	}
}

// Each import of each module must be there, statically and lazily, and be a name that
// the import map holds or a path.
func TestEveryImportIsThere(t *testing.T) {
	s := console(t, Config{})
	lazy := regexp.MustCompile(`import\(\s*['"]([^'"]+)['"]\s*\)`)
	for name, f := range s.files {
		if !strings.HasSuffix(name, ".js") && !strings.HasSuffix(name, ".mjs") || name == "vendor/leaflet.js" {
			continue
		}
		for _, m := range append(imported.FindAllSubmatch(f.plain, -1), lazy.FindAllSubmatch(f.plain, -1)...) {
			spec := string(m[1])
			if _, known := imports[spec]; !known && !strings.HasPrefix(spec, "./") && !strings.HasPrefix(spec, "../") {
				t.Errorf("%s imports %q, which is neither a path nor in the import map", name, spec)
				continue
			}
			if _, ok := s.files[resolve(name, spec)]; !ok {
				t.Errorf("%s imports %q, which is not there", name, spec)
			}
		}
	}
}

// The pages that app.js names are modules in pages/, with words of their own.
func TestEveryPageIsThere(t *testing.T) {
	s := console(t, Config{})
	app := string(s.files["app.js"].plain)
	from := strings.Index(app, "export const pages = {")
	if from < 0 {
		t.Fatal("app.js names no pages")
	}
	list := app[from : from+strings.Index(app[from:], "\n}")]
	pages := regexp.MustCompile(`': '(\w+)'`).FindAllStringSubmatch(list, -1)
	if len(pages) < 25 {
		t.Errorf("got %d pages of app.js: %s", len(pages), list)
	}
	for _, m := range pages {
		if _, ok := s.files["pages/"+m[1]+".js"]; !ok {
			t.Errorf("page %s: pages/%s.js is not there", m[1], m[1])
		}
	}
}

// The list of modules to load at once is the app, the fleet's page and what both
// import, and nothing that waits for another page.
func TestFirstModulesAreWhatTheFirstPageRuns(t *testing.T) {
	s := console(t, Config{})
	list := s.modules()
	for _, want := range []string{"app.js", "pages/fleet.js", "words/fleet.js", "lib/fleet.js", "vendor/preact.mjs", "vendor/hooks.mjs", "vendor/signals.mjs", "vendor/signals-core.mjs", "vendor/htm.mjs"} {
		if !slices.Contains(list, want) {
			t.Errorf("%s is not loaded at once: %v", want, list)
		}
	}
	for _, late := range []string{"pages/me.js", "pages/orders.js", "vendor/uPlot.esm.js"} {
		if slices.Contains(list, late) {
			t.Errorf("%s is loaded at once", late)
		}
	}
	size := len(zip(t, s.page)) + len(s.files["boot.js"].zipped)
	for _, m := range regexp.MustCompile(`rel="stylesheet" href="[^"]*/a/[0-9a-f]+/([^"]+)"`).FindAllStringSubmatch(string(s.page), -1) {
		size += len(s.files[m[1]].zipped)
	}
	for _, name := range list {
		size += len(s.files[name].zipped)
	}
	if most := 250 << 10; size > most {
		t.Errorf("the first page costs %d bytes, more than %d", size, most)
	}
	t.Logf("the first page: %d modules, %d bytes", len(list), size)
}

func zip(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestVendoredFilesAreWhatWasPublished(t *testing.T) {
	list, err := os.ReadFile("web/vendor/VENDOR.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := []string{"VENDOR.txt", "LICENSES.txt"}
	licences, err := os.ReadFile("web/vendor/LICENSES.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(list), "\n") {
		f := strings.Fields(line)
		if len(f) != 6 || len(f[4]) != 64 {
			continue
		}
		b, err := os.ReadFile(path.Join("web/vendor", f[3]))
		if err != nil {
			t.Error(err)
			continue
		}
		sum := sha256.Sum256(b)
		if got := hex.EncodeToString(sum[:]); got != f[4] {
			t.Errorf("%s: got %s, want %s", f[3], got, f[4])
		}
		if !strings.Contains(string(licences), "==== "+f[0]+" "+f[1]+" ("+f[5]+")") {
			t.Errorf("LICENSES.txt lacks %s %s (%s)", f[0], f[1], f[5])
		}
		listed = append(listed, f[3])
	}
	there, err := fs.Glob(web, "web/vendor/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range there {
		if !slices.Contains(listed, path.Base(name)) {
			t.Errorf("%s is not in VENDOR.txt", name)
		}
	}
	if len(listed) != len(there) {
		t.Errorf("VENDOR.txt lists %d files, there are %d", len(listed), len(there))
	}
}
