// Package architecture holds the arrows between rooms as data and checks that the
// code has no other.
package architecture

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/unlatch/unlatch/"

// room is what one package may import besides the standard library: rooms of
// ours, each with the reason, and the libraries that only it may import.
type room struct {
	ours map[string]string
	own  []string
}

var rooms = map[string]room{
	"device":      {},
	"billing":     {},
	"device/wire": {own: []string{"github.com/fxamacker/cbor/v2", "github.com/veraison/go-cose"}},
	"qr":          {own: []string{"github.com/skip2/go-qrcode", "github.com/makiuchi-d/gozxing", "codeberg.org/go-pdf/fpdf"}},
	"order": {ours: map[string]string{"device": "orders use outlets and commands", "billing": "orders cost money",
		"qr": "a scan presents a code"}},
	"billing/wechat": {ours: map[string]string{"billing": "payments are in Fen"}, own: []string{"github.com/wechatpay-apiv3/wechatpay-go"}},
	"gateway": {ours: map[string]string{"device": "commands and evidence", "device/wire": "their bytes",
		"order": "evidence moves orders"}, own: []string{"github.com/eclipse/paho.mqtt.golang"}},
	"bus": {ours: map[string]string{"device": "devices log in", "order": "updates are routed"},
		own: []string{"github.com/nats-io/"}},
	"store": {ours: map[string]string{"device": "its rows", "qr": "codes", "billing": "the ledger",
		"order": "snapshots and changes"}, own: []string{"github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"}},
	"api": {ours: map[string]string{"device": "shown to staff", "qr": "codes are parsed and drawn", "billing": "receipts",
		"order": "use cases", "live": "the fleet as staff follow it", "rider": "the page behind a code"}, own: []string{"github.com/danielgtaylor/huma/v2", "github.com/go-webauthn/webauthn"}},
	"webhook":             {ours: map[string]string{"order": "what is due, and when again"}, own: []string{"github.com/standard-webhooks/"}},
	"live":                {ours: map[string]string{"device": "ids and kinds", "order": "the fleet's rows and the thresholds"}},
	"rider":               {},
	"console":             {},
	"firmware-sim":        {ours: map[string]string{"device/wire": "it speaks the contract and knows nothing else of us"}, own: []string{"github.com/eclipse/paho.mqtt.golang"}},
	"internal/localpg":    {own: []string{"github.com/jackc/pgx/v5"}},
	"internal/fakewechat": {},
	"internal/memstore": {ours: map[string]string{"device": "its rows", "qr": "codes", "billing": "the ledger",
		"order": "snapshots and changes"}},
	"internal/world": {ours: map[string]string{"device": "", "device/wire": "", "billing": "", "billing/wechat": "", "order": "",
		"gateway": "translation and signing", "firmware-sim": "devices", "internal/memstore": "the store", "internal/fakewechat": "riders"}},
	"internal/testkit": {ours: map[string]string{"device": "", "billing": "", "order": "the conformance suite", "internal/localpg": "a database per test"},
		own: []string{"github.com/jackc/pgx/v5"}},
	"internal/sabotage": {},
}

// anywhere lists libraries that any room but the pure ones may use.
var anywhere = []string{"github.com/google/uuid", "github.com/google/go-cmp", "golang.org/x/", "go.uber.org/goleak", "pgregory.net/rapid"}

// owned lists the libraries that only rooms which name them may import.
func owned() []string {
	var all []string
	for _, r := range rooms {
		all = append(all, r.own...)
	}
	return all
}

func TestArrowsAreTheOnesOfTheMap(t *testing.T) {
	for dir, imports := range packages(t) {
		if dir == "cmd/unlatch" {
			continue // wiring: everything meets there
		}
		r, known := rooms[dir]
		if !known {
			t.Errorf("%s is no room of the map; give it one here and in docs/architecture.md", dir)
			continue
		}
		for _, path := range imports {
			if ours, ok := strings.CutPrefix(path, module); ok {
				if _, allowed := r.ours[ours]; !allowed {
					t.Errorf("%s imports %s, which is no arrow of the map", dir, ours)
				}
				continue
			}
			if !strings.Contains(strings.Split(path, "/")[0], ".") {
				continue // the standard library
			}
			prefixed := func(p string) bool { return strings.HasPrefix(path, p) }
			if len(r.ours)+len(r.own) == 0 && dir != "rider" {
				t.Errorf("%s imports %s; it is to stand on the standard library alone", dir, path)
			} else if !slices.ContainsFunc(r.own, prefixed) && (slices.ContainsFunc(owned(), prefixed) || !slices.ContainsFunc(anywhere, prefixed)) {
				t.Errorf("%s imports %s, which belongs to another room or to none", dir, path)
			}
		}
	}
}

// TestOnlyTheDemoReachesTheWeChatDouble: an installation that takes money must
// have no way to the double.
func TestOnlyTheDemoReachesTheWeChatDouble(t *testing.T) {
	root := repository(t)
	files, err := filepath.Glob(filepath.Join(root, "cmd/unlatch/*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files of cmd/unlatch: %v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f)
		if strings.Contains(string(b), "internal/fakewechat") && name != "demo_wechat.go" && name != "bench.go" && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s imports the WeChat double", name)
		}
		if strings.Contains(string(b), "rider.NewJourney") && name != "demo_journey.go" {
			t.Errorf("%s mounts the demo's journey", name)
		}
	}
}

// TestEveryPackageSaysWhatItOwns demands a package comment.
func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	root := repository(t)
	for dir := range packages(t) {
		files, _ := filepath.Glob(filepath.Join(root, dir, "*.go"))
		said := false
		for _, f := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), f, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			said = said || parsed.Doc != nil && len(parsed.Doc.Text()) > 40
		}
		if !said {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatalf("not the repository's root: %v", err)
	}
	return root
}

// packages returns each folder's imports, tests left out.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	root := repository(t)
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, _ := filepath.Rel(root, filepath.Dir(path))
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			if !slices.Contains(found[dir], p) {
				found[dir] = append(found[dir], p)
			}
		}
		if found[dir] == nil {
			found[dir] = []string{}
		}
		return nil
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("packages found: %d, %v", len(found), err)
	}
	return found
}
