// Package rider is the web page behind every code, for phones that open it outside
// of WeChat: it names the device and says how to ride.
//
// The page is one answer: it loads nothing, runs no script and keeps nothing on
// the phone. The package decides nothing; it says what a View holds, in Chinese
// or English. A demo shows the same page with the Journey on it: scripts that play
// a rider through the API. Nothing else may mount it.
//
// # Invariants
//
//   - Nothing of a page comes from another host, and nothing of one without a
//     Journey from a second request; the headers forbid it.
//   - A code that does not lead to a device has a page that says what to do, with
//     the HTTP status of its problem.
package rider

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

var (
	page = template.Must(template.New("page").Parse(pageText))
	// policy allows the one style element, by its hash, and forms to this host.
	policy = policyOf(styleText, "")
)

// policyOf allows one style element of this text, and what more says.
func policyOf(style, more string) string {
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; %sform-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		hashOf(style), more)
}

func hashOf(style string) string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Style is the style sheet that every page holds in its one style element; the
// headers allow exactly this text.
func Style() template.CSS { return template.CSS(styleText) } // our own file, so it is safe as it is

// Headers sets the headers of a page that holds Style.
func Headers(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// Wrong says why a code leads to no device; "" when it does.
type Wrong string

// Mistyped: not a number of ours in shape. Forged: not made by this operator.
// Unknown: made, but not in use here. Revoked: taken out of use. Unbound: printed
// and not on a device yet. Broken: we do not know, the fault is ours.
const (
	Mistyped Wrong = "mistyped"
	Forged   Wrong = "forged"
	Unknown  Wrong = "unknown"
	Revoked  Wrong = "revoked"
	Unbound  Wrong = "unbound"
	Broken   Wrong = "broken"
)

// View is what a page shows. Empty texts are left out.
type View struct {
	Status       int // of the answer
	Wrong        Wrong
	Operator     string
	Number       string // as printed
	Kind         string // lock or pump
	Device       string // its id, as on its body
	Outlet       int    // from 1
	Outlets      int    // how many the device has; above 1 the page says which
	Venue        string
	Availability string // in the words of device.Availability
	// Prices is the price rule in short sentences, by language.
	Prices map[string][]string
	// Tariff is the rule behind Prices as id@version, BlockMS the length of one block of
	// time by it; "" and 0 where there is none.
	Tariff  string
	BlockMS int64
	Phone   string
	// Bluetooth says that WeChat reaches the device from beside it, network or not.
	Bluetooth bool
	Code      string // the address that the code carries
	// WeChat opens the code in WeChat from a phone's browser: an https or weixin
	// address of the operator's own.
	WeChat string
}

// Page writes the page in the language, which is one that Language returns. An
// error means that nothing was written.
func Page(w http.ResponseWriter, language string, v View) error {
	return write(w, language, v, shell{Style: Style(), policy: policy})
}

// shell is what a page is written into.
type shell struct {
	Style   template.CSS
	Play    string        // the View and the riders in JSON; "": no journey
	Words   template.HTML // of the journey, in JSON
	Scripts []string      // addresses; the first one runs
	policy  string
}

func write(w http.ResponseWriter, language string, v View, s shell) error {
	words, ok := languages[language]
	if !ok {
		language, words = Chinese, languages[Chinese]
	}
	device := v.Device
	if v.Outlets > 1 {
		device = fmt.Sprintf("%s / %d", v.Device, v.Outlet)
	}
	near := v.Bluetooth && v.Availability == "non_contactable"
	var b bytes.Buffer
	err := page.Execute(&b, struct {
		View
		Shell    shell
		Language string
		Words    wording
		Thing    string
		Name     string
		State    string
		Usable   bool
		Near     bool
		Trouble  trouble
		Dial     string
		Open     template.URL
		Costs    []string
	}{
		View: v, Shell: s, Language: language, Words: words, Thing: words.Things[v.Kind], Name: device,
		State: words.States[v.Availability], Usable: near || v.Availability == "available", Near: near, Trouble: words.Troubles[v.Wrong],
		Dial: dial(v.Phone), Open: opener(v.WeChat), Costs: v.Prices[language],
	})
	if err != nil {
		return fmt.Errorf("write the page behind a code: %w", err)
	}
	Headers(w.Header())
	w.Header().Set("Content-Security-Policy", s.policy)
	w.Header().Set("Content-Language", language)
	w.Header().Set("Vary", "Accept-Language")
	status := v.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the phone may be gone; there is nobody to tell
	return nil
}

// opener is an address that may stand in a link; "" for any scheme but the two that
// open WeChat. html/template would not let weixin: through by itself.
func opener(address string) template.URL {
	if strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "weixin://") {
		return template.URL(address)
	}
	return ""
}

// dial is a phone number as a tel: address takes it.
func dial(phone string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r
		}
		return -1
	}, phone)
}
