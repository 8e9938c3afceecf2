package fakewechat

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Role is what a person who scans is to the mini-program.
type Role string

// Roles. A developer may do what a member may.
const (
	Public    Role = ""
	Member    Role = "member" // of the experience version
	Developer Role = "developer"
)

// Versions of the mini-program that a test link opens.
const (
	OpenDevelop = 1 // for developers
	OpenTrial   = 2 // for members, too
	OpenRelease = 3
)

// Rule says that addresses below a prefix open a page of the mini-program instead of
// a web page.
type Rule struct {
	// Prefix is protocol, host, path and perhaps a query. One that ends with a slash
	// matches everything beneath; one that does not matches itself alone.
	Prefix string
	// Page is the page that opens, without a query.
	Page string
	// Published says that the rule works for everybody, not for its test links alone.
	Published bool
	// OpenVersion is one of OpenDevelop, OpenTrial and OpenRelease; 0 means OpenRelease.
	OpenVersion int
	// OccupySubRules says that nobody else may have a rule beneath this one.
	OccupySubRules bool
	// DebugURLs are the test links, five at most, below the prefix.
	DebugURLs []string
}

// Match is what WeChat does with a scanned address. The most specific rule decides,
// even when it is not published: it then hides a published one above it. ok is false
// when a web page opens instead. The query of the page has q, the address
// percent-encoded once, and scancode_time in unix seconds.
func Match(rules []Rule, scanned string, by Role, at time.Time) (page, query string, ok bool) {
	best, specific := -1, -1
	for i, r := range rules {
		if matches(r.Prefix, scanned) && len(r.Prefix) > specific {
			best, specific = i, len(r.Prefix)
		}
	}
	if best < 0 {
		return "", "", false
	}
	if r := rules[best]; !r.Published && !(slices.Contains(r.DebugURLs, scanned) && opens(r.OpenVersion, by)) {
		return "", "", false
	}
	return rules[best].Page, "q=" + percentEncode(scanned) + "&scancode_time=" + strconv.FormatInt(at.Unix(), 10), true
}

func opens(version int, by Role) bool {
	switch version {
	case OpenDevelop:
		return by == Developer
	case OpenTrial:
		return by == Developer || by == Member
	}
	return true
}

// matches compares protocol and host, then the path, then the query.
func matches(prefix, scanned string) bool {
	rule, scan := cutAddress(prefix), cutAddress(scanned)
	if rule.origin == "" || rule.origin != scan.origin {
		return false
	}
	if rule.query != "" {
		return rule.path == scan.path && strings.HasPrefix(scan.query, rule.query)
	}
	if strings.HasSuffix(rule.path, "/") {
		return strings.HasPrefix(scan.path, rule.path)
	}
	return rule.path == scan.path
}

type addressParts struct{ origin, path, query string }

// cutAddress leaves path and query as they were written: WeChat compares text.
func cutAddress(s string) addressParts {
	s, _, _ = strings.Cut(s, "#")
	s, query, _ := strings.Cut(s, "?")
	protocol, rest, ok := strings.Cut(s, "://")
	if !ok {
		return addressParts{}
	}
	host, path, slash := strings.Cut(rest, "/")
	if slash {
		path = "/" + path
	}
	return addressParts{strings.ToLower(protocol + "://" + host), path, query}
}

// percentEncode is encodeURIComponent.
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if made(string(rune(c)), "-_.!~*'()") && c < 0x80 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// checkRule is what the console and the api refuse about a rule by itself.
func checkRule(r Rule) *refusal {
	u, err := url.Parse(r.Prefix)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path == "" || u.Fragment != "":
		return &refusal{85066, "invalid link"}
	case r.Page == "" || strings.HasPrefix(r.Page, "/") || strings.Contains(r.Page, "?"):
		return &refusal{85095, "invalid data"}
	case r.OpenVersion < 0 || r.OpenVersion > OpenRelease || len(r.DebugURLs) > 5:
		return &refusal{85095, "invalid data"}
	}
	for _, test := range r.DebugURLs {
		if !matches(r.Prefix, test) {
			return &refusal{85068, "debug url is not under the rule"}
		}
	}
	return nil
}

// scan is a person who scans an ordinary code with WeChat.
func (s *Server) scan(w http.ResponseWriter, r *http.Request) {
	in, read := adminRead[struct {
		URL  string `json:"url"`
		Role Role   `json:"role"`
	}](w, r)
	if !read {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.riders[r.PathValue("name")] == nil {
		adminDone(w, ErrUnknownRider)
		return
	}
	page, query, found := Match(s.rules, in.URL, in.Role, s.now())
	adminAnswer(w, http.StatusOK, struct {
		Page  string `json:"page,omitempty"`
		Query string `json:"query,omitempty"`
		Web   bool   `json:"web"` // a web page opens instead
	}{page, query, !found})
}
