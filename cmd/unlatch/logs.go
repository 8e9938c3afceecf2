package main

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
)

// newLogger writes structured lines in which no personal value can appear: types
// mask themselves, callers log ids alone, and what comes by way of a foreign
// library's error text is masked here.
func newLogger(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: masked}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// personal is what a line must not show. Ids of ours (UUIDs, 32 hex digits) are none
// of these. A dash may begin and end a token, so that edges are not those of words.
var personal = []struct {
	what *regexp.Regexp
	mask string
}{
	{regexp.MustCompile(`(?i)bearer\s+\S+`), "Bearer ***"},
	{regexp.MustCompile(`(?i)(openid|secret|access_token|session_key|js_code|login_code|passw(?:or)?d|token|api_?key)(["']?\s*[=:]\s*["']?)[^\s"'&,;}]+`), "$1$2***"},
	{regexp.MustCompile(`://[^/\s:@]+:[^/\s@]+@`), "://***@"},                                          // user and password of an address
	{regexp.MustCompile(`(^|[^A-Za-z0-9_-])o[A-Za-z0-9_-]{27}($|[^A-Za-z0-9_-])`), "${1}o***$2"},       // a WeChat openid
	{regexp.MustCompile(`(^|[^A-Za-z0-9_-])(?:ul_)?[A-Za-z0-9_-]{43}($|[^A-Za-z0-9_-])`), "${1}***$2"}, // 32 bytes in base64url: tokens and keys
	{regexp.MustCompile(`(^|[^A-Za-z0-9+/=])[A-Za-z0-9+/]{43}=($|[^A-Za-z0-9+/=])`), "${1}***$2"},      // and in base64
	{regexp.MustCompile(`(^|[^0-9A-Za-z])(?:\+?86)?1[3-9]\d{9}($|[^0-9A-Za-z])`), "${1}1**********$2"}, // a mobile number
	{regexp.MustCompile(`\b\d{4}-\d{4}-\d{4}-\d{2}\b|\b\d{14}\b`), "**************"},                   // a code
	{regexp.MustCompile(`(?i)\b(lat|lng|latitude|longitude)(["']?\s*[=:]\s*)-?\d+(\.\d+)?`), "$1$2***"},
}

// secretKey is a key of a line whose value is never shown.
var secretKey = regexp.MustCompile(`(?i)openid|secret|token|passw|phone|code|lat|lng|key$`)

// scrub masks what is personal in a text.
func scrub(text string) string {
	for _, p := range personal {
		// Twice: two values with one character between them share it.
		text = p.what.ReplaceAllString(p.what.ReplaceAllString(text, p.mask), p.mask)
	}
	return text
}

// masked scrubs every text of a line: messages, strings, errors and what prints itself.
func masked(_ []string, a slog.Attr) slog.Attr {
	if secretKey.MatchString(a.Key) {
		return slog.String(a.Key, "***")
	}
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(scrub(v.String()))
	case slog.KindAny:
		switch x := v.Any().(type) {
		case *slog.Source:
		case error:
			a.Value = slog.StringValue(scrub(x.Error()))
		default:
			a.Value = slog.StringValue(scrub(fmt.Sprint(x)))
		}
	}
	return a
}
