package rider

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed journey
var journeyFiles embed.FS

// JourneyPath is where Journey's files belong; the page asks for them there.
const JourneyPath = "/demo/journey/"

// Journey is the page with a rider's whole way on it: who scans, how they pay, what
// the device proves, the receipt. Its scripts speak to /v1 as any client does and, for
// what only a demo has, to /demo/wechat/{rider}/{what} and
// /demo/hands/{device}/{direction} on the same origin; whoever mounts it serves these.
type Journey struct {
	riders  []string
	scripts []string
	style   string
	words   template.HTML
	policy  string
	files   http.Handler
}

// NewJourney makes the journey for riders of these names.
func NewJourney(riders []string) (*Journey, error) {
	j := &Journey{riders: riders}
	folder, err := fs.Sub(journeyFiles, "journey")
	if err != nil {
		return nil, err
	}
	j.files = http.StripPrefix(JourneyPath, http.FileServerFS(folder))
	scripts, err := fs.Glob(folder, "*.js")
	if err != nil {
		return nil, err
	}
	j.scripts = []string{JourneyPath + "journey.js"} // it runs; what it imports is fetched beside it
	for _, name := range scripts {
		if name != "journey.js" {
			j.scripts = append(j.scripts, JourneyPath+name)
		}
	}
	more, err := fs.ReadFile(folder, "style.css")
	if err != nil {
		return nil, err
	}
	j.style = styleText + string(more)
	j.policy = policyOf(j.style, "script-src 'self'; connect-src 'self'; ")
	drawings, err := fs.ReadFile(folder, "drawings.svg")
	if err != nil {
		return nil, err
	}
	words, err := fs.ReadFile(folder, "words.json")
	if err != nil {
		return nil, err
	}
	// JSON by our own marshaller: it escapes what would end the element.
	escaped, err := json.Marshal(json.RawMessage(words))
	if err != nil {
		return nil, fmt.Errorf("read the journey's words: %w", err)
	}
	j.words = template.HTML(string(drawings) + `<script type="application/json" id="words">` + string(escaped) + "</script>\n")
	return j, nil
}

// Page writes the page behind a code, as the function of this name does, with the
// journey on it where the code leads to a device.
func (j *Journey) Page(w http.ResponseWriter, language string, v View) error {
	if v.Wrong != "" {
		return Page(w, language, v)
	}
	play, err := json.Marshal(map[string]any{"operator": v.Operator, "kind": v.Kind, "device": v.Device, "outlet": v.Outlet,
		"outlets": v.Outlets, "number": v.Number, "venue": v.Venue, "availability": v.Availability, "prices": v.Prices,
		"tariff": v.Tariff, "block_ms": v.BlockMS, "phone": v.Phone, "code": v.Code, "riders": j.riders})
	if err != nil {
		return fmt.Errorf("write the journey: %w", err)
	}
	return write(w, language, v, shell{Style: template.CSS(j.style), Play: string(play), Words: j.words, Scripts: j.scripts, policy: j.policy})
}

// ServeHTTP serves the scripts, below JourneyPath.
func (j *Journey) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, ".js") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8") // what the system calls it differs
	j.files.ServeHTTP(w, r)
}
