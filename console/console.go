// Package console is the operator console: static ES modules, embedded, that run
// in a browser as they lie in web/. Nothing is built; a user never needs Node.
//
// The package serves files and decides nothing. Every fact that the console shows
// and every act that it offers goes through the public API under /v1/operator,
// with the roles and problems of any other caller; who may open the console is the
// caller's business.
//
// # Invariants
//
//   - The files of a tree are served under a path that holds the tree's hash, and
//     never change; the one page that names that path is never stored.
//   - No page loads anything from another host, but for map tiles from the origins
//     that Config.Images names. The headers forbid it.
//   - No script stands in a page but the import map, by its hash.
package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed web
var web embed.FS

// root is the path that everything here lies below.
const root = "/console/"

// Config is what the console depends on. The zero value works.
type Config struct {
	// Images returns the origins, as https://tiles.example, that map tiles may come
	// from besides this host; nil or an empty list: none. It is called for every page
	// and must be quick. What is not an http or https origin is left out.
	Images func() []string
}

// Console is an http.Handler for /console/ and everything below it.
type Console struct {
	images func() []string
	files  map[string]file // by path below web/
	base   string          // path of the tree, with its hash, without a last slash
	page   []byte          // index.html, filled in
	mapSum string          // hash of the import map, as a policy wants it
}

// file is one file as it is served.
type file struct {
	kind   string // content type
	plain  []byte
	zipped []byte // nil where gzip gains nothing
}

// imports are the bare names that modules import, and their files.
var imports = map[string]string{
	"preact":               "vendor/preact.mjs",
	"preact/hooks":         "vendor/hooks.mjs",
	"@preact/signals":      "vendor/signals.mjs",
	"@preact/signals-core": "vendor/signals-core.mjs",
	"htm":                  "vendor/htm.mjs",
	"leaflet":              "vendor/leaflet.js",
	"uplot":                "vendor/uPlot.esm.js",
}

// first are the modules that the first page runs; what they import is loaded with
// them.
var first = []string{"app.js", "pages/fleet.js"}

// New reads and packs the embedded files, some 100 ms of work. An error means that
// the tree is broken: no page, a library that is not there, an unknown kind of file.
func New(c Config) (*Console, error) {
	tree, err := fs.Sub(web, "web")
	if err != nil {
		return nil, fmt.Errorf("open the console's files: %w", err)
	}
	return of(tree, c)
}

// of serves a tree of files.
func of(tree fs.FS, c Config) (*Console, error) {
	s := &Console{images: c.Images, files: map[string]file{}}
	if s.images == nil {
		s.images = func() []string { return nil }
	}
	sum := sha256.New()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		plain, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(plain))
		sum.Write(plain)
		s.files[name], err = pack(name, plain)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the console's files: %w", err)
	}
	s.base = root + "a/" + hex.EncodeToString(sum.Sum(nil))[:16]
	return s, s.fill()
}

// kinds are the content types by the ends of names. The system's own table is not
// asked: a module with a wrong type does not run.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".mjs":  "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
	".png":  "image/png",
	".txt":  "text/plain; charset=utf-8",
}

func pack(name string, plain []byte) (file, error) {
	kind, ok := kinds[path.Ext(name)]
	if !ok {
		return file{}, fmt.Errorf("%s: no content type is known for its name", name)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return file{}, err
	}
	if _, err := z.Write(plain); err != nil {
		return file{}, err
	}
	if err := z.Close(); err != nil {
		return file{}, err
	}
	if b.Len() >= len(plain) {
		return file{kind: kind, plain: plain}, nil
	}
	return file{kind: kind, plain: plain, zipped: b.Bytes()}, nil
}

// fill makes the page: the import map, the list of modules to load at once and the
// path of the tree.
func (s *Console) fill() error {
	index, ok := s.files["index.html"]
	if !ok {
		return fmt.Errorf("the console's files hold no index.html")
	}
	addresses := map[string]string{}
	for name, at := range imports {
		if _, ok := s.files[at]; !ok {
			return fmt.Errorf("the import map names %s, which is not there", at)
		}
		addresses[name] = s.base + "/" + at
	}
	m, err := json.Marshal(map[string]any{"imports": addresses})
	if err != nil {
		return err
	}
	var links strings.Builder
	for _, m := range s.modules() {
		fmt.Fprintf(&links, "<link rel=\"modulepreload\" href=\"%s/%s\">\n", s.base, m)
	}
	sum := sha256.Sum256(m)
	s.mapSum = base64.StdEncoding.EncodeToString(sum[:])
	page := strings.NewReplacer("{base}", s.base, "{imports}", string(m), "{modules}\n", links.String()).Replace(string(index.plain))
	s.page = []byte(page)
	delete(s.files, "index.html")
	return nil
}

// imported finds what a module imports at its start, or passes on. A lazy
// import('...') is not meant.
var imported = regexp.MustCompile(`(?m)(?:^|;)\s*(?:import|export)\s*(?:[\w*{][^'"();]*?from\s*|\*\s*from\s*)?['"]([^'"]+)['"]`)

// modules lists the first modules and all that they import, in the order of their
// depth, so that a browser asks for all of them at once. What is not there is left out;
// a test sees to it that nothing is.
func (s *Console) modules() []string {
	var list []string
	queue := slices.Clone(first)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		f, ok := s.files[name]
		if !ok || slices.Contains(list, name) {
			continue
		}
		list = append(list, name)
		for _, m := range imported.FindAllSubmatch(f.plain, -1) {
			queue = append(queue, resolve(name, string(m[1])))
		}
	}
	return list
}

// resolve is the file that a module means by the name it imports.
func resolve(from, name string) string {
	if to, ok := imports[name]; ok {
		return to
	}
	return path.Join(path.Dir(from), name)
}

// ServeHTTP answers GET and HEAD below /console/: a file where the path names one of
// this tree, the page for every other path that is not a file's.
func (s *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	if name, ok := strings.CutPrefix(r.URL.Path, root+"a/"); ok {
		s.file(w, r, name)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.policy())
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "geolocation=(self), camera=(self), microphone=()")
	h.Set("Cache-Control", "no-store")
	w.Write(s.page) //nolint:errcheck // the browser went away
}

// file serves hash/name. A hash of another build is not found: its page must load
// again, and says so.
func (s *Console) file(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	hash, name, _ := strings.Cut(name, "/")
	f, ok := s.files[name]
	if !ok || root+"a/"+hash != s.base {
		h.Set("Cache-Control", "no-store")
		http.Error(w, "no such file in this build of the console: load the page again", http.StatusNotFound)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	body := f.plain
	if f.zipped != nil && accepts(r.Header.Get("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = f.zipped
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	w.Write(body) //nolint:errcheck // the browser went away
}

// accepts tells whether the list of encodings holds gzip with a weight above 0.
func accepts(list string) bool {
	for part := range strings.SplitSeq(list, ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, given := strings.CutPrefix(strings.TrimSpace(weight), "q=")
		v, err := strconv.ParseFloat(q, 64)
		return !given || err != nil || v > 0
	}
	return false
}

// origin is a scheme and a host with an optional port; nothing else may enter a
// policy.
var origin = regexp.MustCompile(`^https?://(\*\.)?[A-Za-z0-9.-]+(:[0-9]+)?$`)

func (s *Console) policy() string {
	images := "'self' data: blob:"
	for _, o := range s.images() {
		if origin.MatchString(o) {
			images += " " + o
		}
	}
	return "default-src 'none'; script-src 'self' 'sha256-" + s.mapSum + "'; style-src 'self'; img-src " + images +
		"; connect-src 'self'; media-src 'self' blob:; font-src 'none'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
}
