package rider

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A phone on a slow network gets the whole journey; these are its limits in bytes.
const (
	journeyLimit     = 28 << 10
	journeyGzipLimit = 9728
)

// scripts returns the journey's modules by name.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	files, err := fs.Glob(journeyFiles, "journey/*.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	all := map[string]string{}
	for _, f := range files {
		b, err := fs.ReadFile(journeyFiles, f)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(f, "journey/")] = string(b)
	}
	return all
}

func journeyOf(t *testing.T) *Journey {
	t.Helper()
	j, err := NewJourney([]string{"ada", "ben"})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestJourneyIsSmall(t *testing.T) {
	var plain, packed bytes.Buffer
	all := scripts(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		plain.WriteString(all[name])
	}
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if plain.Len() >= journeyLimit || packed.Len() >= journeyGzipLimit {
		t.Errorf("the scripts have %d bytes, %d packed; want below %d and %d", plain.Len(), packed.Len(), journeyLimit, journeyGzipLimit)
	}
}

func TestJourneyHasEveryWordInEveryLanguage(t *testing.T) {
	b, err := fs.ReadFile(journeyFiles, "journey/words.json")
	if err != nil {
		t.Fatal(err)
	}
	var words map[string]map[string]string
	if err := json.Unmarshal(b, &words); err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`\{\d\}`)
	han := regexp.MustCompile(`\p{Han}`)
	for key, english := range words[English] {
		chinese := words[Chinese][key]
		if english == "" || chinese == "" {
			t.Errorf("%s: %q, %q", key, english, chinese)
		}
		a, b := place.FindAllString(english, -1), place.FindAllString(chinese, -1)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(a, b) {
			t.Errorf("%s fills in %v in English and %v in Chinese", key, a, b)
		}
		if key != "other" && (han.MatchString(english) || len(place.ReplaceAllString(chinese, "")) > 6 && !han.MatchString(chinese)) {
			t.Errorf("%s is in the wrong language: %q, %q", key, english, chinese)
		}
	}
	if len(words) != 2 || len(words[Chinese]) != len(words[English]) {
		t.Errorf("%d languages, of %d and %d words", len(words), len(words[Chinese]), len(words[English]))
	}
	for name, text := range scripts(t) {
		for _, used := range regexp.MustCompile(`\bt\('([a-zA-Z_]+)'`).FindAllStringSubmatch(text, -1) {
			if words[English][used[1]] == "" {
				t.Errorf("%s says %q, which is no word", name, used[1])
			}
		}
	}
}

// notARiders are the refusals that no scan, order, payment or pause of the journey gets:
// those of staff, of what it does not offer, and of a request that it never makes.
var notARiders = []string{"bad_request", "cursor_invalid", "idempotency_key_missing", "notice_forged", "notice_strange", "role_insufficient",
	"route_unknown", "method_not_allowed", "not_acceptable", "body_too_slow", "body_too_large", "media_type_unsupported", "code_bound",
	"code_of_other_venue", "code_batch_unknown", "code_batch_too_large", "label_invalid", "reservation_held", "too_many_reservations",
	"reservations_not_offered", "balance_cap", "order_not_over", "wallet_not_empty", "payment_open", "too_many", "pass_unknown",
	"pass_price_changed", "too_many_passes", "last_admin_key", "confirmation_expired", "reason_missing", "refund_too_large", "amount_invalid",
	"tariff_invalid", "value_invalid", "reference_unknown", "exists", "word_refused", "first_run_link_invalid", "venue_unknown",
	"rider_unknown", "reservation_unknown", "payment_unknown", "fault_unknown", "photo_invalid", "open_item_unknown", "close_unknown",
	"api_key_unknown", "sign_in_refused", "cross_origin", "venue_scope", "login_needed", "proof_needed", "password_weak", "password_wrong", "passkey_refused",
	"passkeys_elsewhere", "invite_invalid", "login_unknown", "passkey_unknown", "staff_unknown",
	"fleet_unread", "phone_not_asked", "alarm_unknown", "webhook_unknown", "delivery_unknown", "refund_unknown", "refund_waits", "second_person_needed", "bulk_unknown", "bulk_set_changed", "venue_image_unknown", "settings_changed"}

func TestJourneyHasWordsForEveryRefusalThatARiderMeets(t *testing.T) {
	var words map[string]map[string]string
	var api struct {
		Components struct {
			Schemas struct {
				Problem struct {
					Properties struct{ Code struct{ Enum []string } }
				}
			}
		}
	}
	for name, into := range map[string]any{"journey/words.json": &words, "../api/openapi.json": &api} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, into); err != nil {
			t.Fatal(err)
		}
	}
	codes := api.Components.Schemas.Problem.Properties.Code.Enum
	if len(codes) < 50 {
		t.Fatalf("the API has %d codes", len(codes))
	}
	for _, code := range codes {
		if words[English][code] == "" && !slices.Contains(notARiders, code) {
			t.Errorf("the journey has no words for %s", code)
		}
	}
}

func TestJourneyLoadsFromThisOriginAlone(t *testing.T) {
	j := journeyOf(t)
	w := httptest.NewRecorder()
	if err := j.Page(w, English, View{Kind: "lock", Device: "bike-1", Outlet: 1, Outlets: 1, Operator: "</script><b>", Availability: "available"}); err != nil {
		t.Fatal(err)
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", hashOf(j.style)} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy lacks %s: %s", want, policy)
		}
	}
	body := w.Body.String()
	if strings.Contains(policy, "unsafe") || strings.Contains(body, "</script><b>") || strings.Contains(body, "ZgotmplZ") {
		t.Errorf("policy %s, page %s", policy, body)
	}
	named := regexp.MustCompile(`(?:src|href)="([^"#]*)"`).FindAllStringSubmatch(body, -1)
	if len(named) != len(scripts(t)) || named[0][1] != JourneyPath+"journey.js" {
		t.Errorf("the page names %v", named)
	}
	for _, n := range named {
		got := httptest.NewRecorder()
		j.ServeHTTP(got, httptest.NewRequest(http.MethodGet, n[1], nil))
		if got.Code != http.StatusOK || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/javascript") {
			t.Errorf("%s: status %d, %s", n[1], got.Code, got.Header().Get("Content-Type"))
		}
	}
	for name, text := range scripts(t) {
		for _, bad := range []string{"http:", "https:", "//cdn", "innerHTML", "eval("} {
			if strings.Contains(text, bad) && name != "page.js" {
				t.Errorf("%s holds %s", name, bad)
			}
		}
		for _, path := range regexp.MustCompile(`from '([^']*)'`).FindAllStringSubmatch(text, -1) {
			if _, there := scripts(t)[strings.TrimPrefix(path[1], "./")]; !there {
				t.Errorf("%s imports %s", name, path[1])
			}
		}
	}
	for _, path := range []string{"style.css", "words.json", "", "no.js", "../page.html"} {
		got := httptest.NewRecorder()
		j.ServeHTTP(got, httptest.NewRequest(http.MethodGet, JourneyPath+path, nil))
		if got.Code != http.StatusNotFound {
			t.Errorf("%q: status %d, want 404", path, got.Code)
		}
	}
}

func TestACodeThatLeadsNowhereHasNoJourney(t *testing.T) {
	w := httptest.NewRecorder()
	if err := journeyOf(t).Page(w, Chinese, View{Status: http.StatusGone, Wrong: Revoked}); err != nil {
		t.Fatal(err)
	}
	if body := w.Body.String(); w.Code != http.StatusGone || strings.Contains(body, "<script") || strings.Contains(w.Header().Get("Content-Security-Policy"), "script-src") {
		t.Errorf("status %d: %s", w.Code, body)
	}
}

func TestOnlyTheTwoSchemesThatOpenWeChatAreLinked(t *testing.T) {
	for address, linked := range map[string]bool{
		"":                                  false,
		"https://wxaurl.cn/abc":             true,
		"weixin://dl/business/?t=abc&x=\"'": true,
		"javascript:alert(1)":               false,
		"http://example.com":                false,
	} {
		w := httptest.NewRecorder()
		if err := Page(w, English, View{Kind: "lock", Availability: "available", WeChat: address}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(w.Body.String(), `class="open"`); got != linked || strings.Contains(w.Body.String(), `"'`) {
			t.Errorf("%q is linked: %v, want %v", address, got, linked)
		}
	}
}

func TestADeviceWithoutANetworkIsOfferedByBluetoothAlone(t *testing.T) {
	for bluetooth, want := range map[bool]string{true: "Bluetooth", false: "take another"} {
		w := httptest.NewRecorder()
		if err := Page(w, English, View{Kind: "lock", Availability: "non_contactable", Bluetooth: bluetooth}); err != nil {
			t.Fatal(err)
		}
		if body := w.Body.String(); !strings.Contains(body, want) || strings.Contains(body, "<ol>") != bluetooth {
			t.Errorf("bluetooth %v: %s", bluetooth, body)
		}
	}
}
