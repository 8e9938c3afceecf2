package rider

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"":                                Chinese,
		"zh-CN,zh;q=0.9,en;q=0.8":         Chinese,
		"en-US,en;q=0.9":                  English,
		"en;q=0.5, zh-Hant;q=0.9":         Chinese,
		"de, en;q=0.1":                    English,
		"fr":                              Chinese,
		"en;q=0":                          Chinese,
		"en;q=nonsense, zh;q=0.1":         Chinese,
		"*":                               Chinese,
		strings.Repeat("x,", 1000) + "en": English,
	} {
		if got := Language(header); got != want {
			t.Errorf("Language(%.40q) = %s, want %s", header, got, want)
		}
	}
}

func TestPageLoadsNothingAndNamesTheDevice(t *testing.T) {
	for language, word := range map[string]string{Chinese: "可以使用", English: "Available"} {
		w := httptest.NewRecorder()
		err := Page(w, language, View{Operator: "Campus <Bikes>", Number: "1234-5678-9012-34", Kind: "lock", Venue: "North Gate",
			Availability: "available", Phone: "+86 21 1234"})
		if err != nil {
			t.Fatal(err)
		}
		body := w.Body.String()
		for _, want := range []string{word, "1234-5678-9012-34", "North Gate", "Campus &lt;Bikes&gt;", styleText, "tel:"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the page lacks %.60q", language, want)
			}
		}
		for _, bad := range []string{"<script", "src=", "http://", "https://", "@import", "url("} {
			if strings.Contains(body, bad) {
				t.Errorf("%s: the page holds %q", language, bad)
			}
		}
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Content-Security-Policy"), hashOf(styleText)) {
			t.Errorf("%s: status %d, policy %q", language, w.Code, w.Header().Get("Content-Security-Policy"))
		}
	}
}

func TestEveryTroubleHasWordsInEveryLanguage(t *testing.T) {
	for language, words := range languages {
		for _, wrong := range []Wrong{Mistyped, Forged, Unknown, Revoked, Unbound, Broken} {
			if words.Troubles[wrong].Title == "" || words.Troubles[wrong].Text == "" {
				t.Errorf("%s has no words for %s", language, wrong)
			}
			w := httptest.NewRecorder()
			if err := Page(w, language, View{Status: http.StatusGone, Wrong: wrong}); err != nil {
				t.Fatal(err)
			}
			if w.Code != http.StatusGone {
				t.Errorf("%s %s: status %d", language, wrong, w.Code)
			}
		}
	}
}
