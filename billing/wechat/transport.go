package wechat

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// errOtherHost: a request was about to leave for a host that is not WeChat's.
var errOtherHost = errors.New("refused to call another host")

// errTooLong: an answer was cut off before its end.
var errTooLong = errors.New("the answer is too long")

// guard lets requests through to one host. The SDK knows the pay host as a constant,
// so a double is reached by rewriting; the signature covers path and query only and
// stays good. A download address that WeChat names is checked by the same rule.
type guard struct {
	base *url.URL // where requests go
	next http.RoundTripper
	max  int64 // bytes of an answer's body; 0 = as many as come
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	real, _ := url.Parse(payURL)
	if !sameHost(r.URL, real) && !sameHost(r.URL, g.base) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("%w: %.100q", errOtherHost, r.URL.Host)
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = g.base.Scheme, g.base.Host, g.base.Host
	answer, err := g.next.RoundTrip(out)
	if err == nil && g.max > 0 {
		answer.Body = &cut{ReadCloser: answer.Body, left: g.max}
	}
	return answer, err
}

func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host && a.User == nil }

// cut fails instead of ending where a body is longer than allowed.
type cut struct {
	io.ReadCloser
	left int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		if n, err := c.ReadCloser.Read(p[:min(len(p), 1)]); n == 0 {
			return 0, err
		}
		return 0, errTooLong
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// guarded is a client that reaches the pay host and no other.
func guarded(cfg PayConfig, max int64) *http.Client {
	client := http.Client{}
	if cfg.HTTP != nil {
		client = *cfg.HTTP
	}
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	base := cfg.BaseURL
	if base == "" {
		base = payURL
	}
	to, _ := url.Parse(base) // checked by PayConfig
	client.Transport = &guard{base: &url.URL{Scheme: to.Scheme, Host: to.Host}, next: next, max: max}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}
