package api

import (
	"net/url"
	"testing"
)

// TestWeChatLinkCarriesTheCode: WeChat unescapes the parameter query once, and the
// mini-program its parameter q once more.
func TestWeChatLinkCarriesTheCode(t *testing.T) {
	const code = "https://q.example.cn/d/12345678901234-ab%2B"
	link, err := url.Parse(weChatLink("weixin://dl/business/?appid=wx1&path=pages/scan&query=q%3D{code}", code))
	if err != nil {
		t.Fatal(err)
	}
	query, err := url.ParseQuery(link.Query().Get("query"))
	if err != nil || query.Get("q") != code {
		t.Errorf("the mini-program gets %q, %v; want %q", query.Get("q"), err, code)
	}
	if got := weChatLink("https://wxaurl.cn/abc", code); got != "https://wxaurl.cn/abc" {
		t.Errorf("a link without a place for the code became %q", got)
	}
}
