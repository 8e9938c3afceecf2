package fakewechat

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	at := time.Unix(1700000000, 0)
	live := func(prefix string) Rule { return Rule{Prefix: prefix, Page: "p" + prefix[8:], Published: true} }
	draft := func(prefix string, version int, tests ...string) Rule {
		return Rule{Prefix: prefix, Page: "draft", OpenVersion: version, DebugURLs: tests}
	}
	for name, tc := range map[string]struct {
		rules   []Rule
		scanned string
		by      Role
		want    string // the page; empty for a web page
	}{
		"no rules":                   {nil, "https://q.cn/d/1", Public, ""},
		"beneath":                    {[]Rule{live("https://q.cn/d/")}, "https://q.cn/d/1", Public, "pq.cn/d/"},
		"deep beneath":               {[]Rule{live("https://q.cn/d/")}, "https://q.cn/d/1/2?x=1", Public, "pq.cn/d/"},
		"the rule itself":            {[]Rule{live("https://q.cn/d/")}, "https://q.cn/d/", Public, "pq.cn/d/"},
		"without the slash":          {[]Rule{live("https://q.cn/d/")}, "https://q.cn/d", Public, ""},
		"exact":                      {[]Rule{live("https://q.cn/a/b")}, "https://q.cn/a/b", Public, "pq.cn/a/b"},
		"exact with a query":         {[]Rule{live("https://q.cn/a/b")}, "https://q.cn/a/b?x=1", Public, "pq.cn/a/b"},
		"longer word":                {[]Rule{live("https://q.cn/a/b")}, "https://q.cn/a/bc", Public, ""},
		"below an exact one":         {[]Rule{live("https://q.cn/a/b")}, "https://q.cn/a/b/123", Public, ""},
		"other protocol":             {[]Rule{live("https://q.cn/d/")}, "http://q.cn/d/1", Public, ""},
		"other host":                 {[]Rule{live("https://q.cn/d/")}, "https://x.q.cn/d/1", Public, ""},
		"host in capitals":           {[]Rule{live("https://q.cn/d/")}, "HTTPS://Q.CN/d/1", Public, "pq.cn/d/"},
		"path in capitals":           {[]Rule{live("https://q.cn/d/")}, "https://q.cn/D/1", Public, ""},
		"other port":                 {[]Rule{live("https://q.cn/d/")}, "https://q.cn:8443/d/1", Public, ""},
		"query":                      {[]Rule{live("https://q.cn/d?k=1")}, "https://q.cn/d?k=12&x=2", Public, "pq.cn/d?k=1"},
		"query further back":         {[]Rule{live("https://q.cn/d?k=1")}, "https://q.cn/d?x=2&k=1", Public, ""},
		"no query":                   {[]Rule{live("https://q.cn/d?k=1")}, "https://q.cn/d", Public, ""},
		"fragment":                   {[]Rule{live("https://q.cn/d/")}, "https://q.cn/d/1#top", Public, "pq.cn/d/"},
		"no address":                 {[]Rule{live("https://q.cn/d/")}, "hello", Public, ""},
		"most specific":              {[]Rule{live("https://q.cn/a/"), live("https://q.cn/a/b/")}, "https://q.cn/a/b/1", Public, "pq.cn/a/b/"},
		"in any order":               {[]Rule{live("https://q.cn/a/b/"), live("https://q.cn/a/")}, "https://q.cn/a/b/1", Public, "pq.cn/a/b/"},
		"draft hides":                {[]Rule{live("https://q.cn/a/"), draft("https://q.cn/a/b/", 1)}, "https://q.cn/a/b/1", Public, ""},
		"draft hides from all":       {[]Rule{live("https://q.cn/a/"), draft("https://q.cn/a/b/", 1)}, "https://q.cn/a/b/1", Developer, ""},
		"draft elsewhere":            {[]Rule{live("https://q.cn/a/"), draft("https://q.cn/a/b/", 1)}, "https://q.cn/a/c", Public, "pq.cn/a/"},
		"test link, developer":       {[]Rule{draft("https://q.cn/a/", 1, "https://q.cn/a/t")}, "https://q.cn/a/t", Developer, "draft"},
		"test link, member":          {[]Rule{draft("https://q.cn/a/", 1, "https://q.cn/a/t")}, "https://q.cn/a/t", Member, ""},
		"test link, public":          {[]Rule{draft("https://q.cn/a/", 2, "https://q.cn/a/t")}, "https://q.cn/a/t", Public, ""},
		"trial link, member":         {[]Rule{draft("https://q.cn/a/", 2, "https://q.cn/a/t")}, "https://q.cn/a/t", Member, "draft"},
		"trial link, developer":      {[]Rule{draft("https://q.cn/a/", 2, "https://q.cn/a/t")}, "https://q.cn/a/t", Developer, "draft"},
		"release link, public":       {[]Rule{draft("https://q.cn/a/", 3, "https://q.cn/a/t")}, "https://q.cn/a/t", Public, "draft"},
		"beside a test link":         {[]Rule{draft("https://q.cn/a/", 2, "https://q.cn/a/t")}, "https://q.cn/a/u", Developer, ""},
		"published needs no testers": {[]Rule{{Prefix: "https://q.cn/a/", Page: "p", Published: true, OpenVersion: 1}}, "https://q.cn/a/t", Public, "p"},
	} {
		page, query, found := Match(tc.rules, tc.scanned, tc.by, at)
		if page != tc.want || found != (tc.want != "") || (query == "") == found {
			t.Errorf("%s: got %q %q %v, want %q", name, page, query, found, tc.want)
		}
	}
	_, query, _ := Match([]Rule{live("https://q.cn/d/")}, "https://q.cn/d/锁 1?a=b&c=%41", Public, at)
	if want := "q=https%3A%2F%2Fq.cn%2Fd%2F%E9%94%81%201%3Fa%3Db%26c%3D%2541&scancode_time=1700000000"; query != want {
		t.Errorf("query: got %s, want %s", query, want)
	}
}

func TestRulesThroughTheAPI(t *testing.T) {
	f := newShop(t, func(c *Config) {
		c.Pages = []string{"pages/scan"}
		c.Rules = []Rule{{Prefix: "https://q.cn/d/", Page: "pages/scan", Published: true, OccupySubRules: true}}
	})
	token := f.token()
	ask := func(path, body string) object {
		f.step(time.Second)
		return f.send(f.request("POST", path+"?access_token="+token, []byte(body))).body
	}
	list := ask("/cgi-bin/wxopen/qrcodejumpget", "")
	same(t, "list", list, object{
		"errcode": 0, "errmsg": "ok", "qrcodejump_open": 1, "list_size": 1, "total_count": 1, "qrcodejump_pub_quota": 100,
		"rule_list": []object{{"prefix": "https://q.cn/d/", "permit_sub_rule": 2, "path": "pages/scan", "open_version": 3, "debug_url": []string{}, "state": 2}},
	})
	for _, tc := range []struct {
		path, body string
		want       float64
	}{
		{"add", `{"prefix":"https://q.cn/d/","path":"pages/scan","open_version":"1","permit_sub_rule":"1"}`, 85071},
		{"add", `{"prefix":"ftp://q.cn/d/","path":"pages/scan","open_version":"1","permit_sub_rule":"1"}`, 85066},
		{"add", `{"prefix":"https://q.cn/e/","path":"pages/none","open_version":"1","permit_sub_rule":"1"}`, 41030},
		{"add", `{"prefix":"https://q.cn/e/","path":"pages/scan","open_version":"4","permit_sub_rule":"1"}`, 85095},
		{"add", `{"prefix":"https://q.cn/e/","path":"pages/scan","open_version":"1","permit_sub_rule":"1","debug_url":["https://q.cn/f/1"]}`, 85068},
		{"add", `{"prefix":"https://q.cn/e/","path":"pages/scan","open_version":1,"permit_sub_rule":1,"debug_url":["https://q.cn/e/1"]}`, 0},
		{"add", `{"prefix":"https://q.cn/e/","path":"pages/scan","open_version":2,"permit_sub_rule":1,"is_edit":1}`, 0},
		{"add", `{"prefix":"https://q.cn/x/","path":"pages/scan","open_version":2,"permit_sub_rule":1,"is_edit":1}`, 85066},
		{"publish", `{"prefix":"https://q.cn/x/"}`, 85066},
		{"publish", `{"prefix":"https://q.cn/e/"}`, 0},
		{"get", `{"get_type":3}`, 85095},
		{"get", `nonsense`, 47001},
		{"delete", `{"prefix":"https://q.cn/d/"}`, 0},
	} {
		if got := ask("/cgi-bin/wxopen/qrcodejump"+tc.path, tc.body); got["errcode"] != tc.want {
			t.Errorf("%s %s: got %v, want %v", tc.path, tc.body, got, tc.want)
		}
	}
	list = ask("/cgi-bin/wxopen/qrcodejumpget", `{"get_type":1,"prefix_list":["https://q.cn/e/"]}`)
	if rule := list["rule_list"].([]any)[0].(object); rule["state"] != 2.0 || rule["open_version"] != 2.0 || list["qrcodejump_pub_quota"] != 99.0 {
		t.Errorf("got %v", list)
	}
	scan := f.send(f.request("POST", "/riders/ann/scan", []byte(`{"url":"https://q.cn/e/1"}`)))
	if scan.text("page") != "pages/scan" || !strings.HasPrefix(scan.text("query"), "q=https%3A") || scan.body["web"] != false {
		t.Errorf("scan: got %s", scan.raw)
	}
	if r := f.send(f.request("POST", "/riders/eve/scan", nil)); r.status != 404 {
		t.Errorf("nobody scans: got %d", r.status)
	}
	for i := range 6 {
		r := f.send(f.request("POST", "/cgi-bin/wxopen/qrcodejumpget?access_token="+token, nil))
		if limited := r.body["errcode"] == 44990.0; limited != (i >= 4) { // one call was in this second
			t.Errorf("call %d of a second: got %v", i+2, r.body["errcode"])
		}
	}
	for i := range 100 {
		_ = ask("/cgi-bin/wxopen/qrcodejumpadd", fmt.Sprintf(`{"prefix":"https://q.cn/%d/","path":"pages/scan","open_version":1,"permit_sub_rule":1}`, i))
	}
	if got := ask("/cgi-bin/wxopen/qrcodejumpadd", `{"prefix":"https://q.cn/more/","path":"pages/scan","open_version":1,"permit_sub_rule":1}`); got["errcode"] != 85073.0 {
		t.Errorf("the 101st rule: got %v", got)
	}
	if got := ask("/cgi-bin/wxopen/qrcodejumpget", `{"get_type":2,"page_num":2,"page_size":60}`); got["list_size"] != 40.0 || got["total_count"] != 100.0 {
		t.Errorf("second page: got %v of %v", got["list_size"], got["total_count"])
	}
	for i := range 100 {
		want := 0.0
		if i == 99 {
			want = 886000
		}
		if got := ask("/cgi-bin/wxopen/qrcodejumppublish", `{"prefix":"https://q.cn/e/"}`); got["errcode"] != want {
			t.Fatalf("publish %d: got %v, want %v", i+2, got, want)
		}
	}
	if got := ask("/cgi-bin/wxopen/qrcodejumpadd", `{"prefix":"https://q.cn/e/","path":"","open_version":1,"permit_sub_rule":1,"is_edit":1}`); got["errcode"] != 85095.0 {
		t.Errorf("edit without a page: got %v", got)
	}
}
