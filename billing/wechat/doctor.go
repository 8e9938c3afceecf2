package wechat

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Finding is the answer of one check. OK with a Fix works today and should be seen
// to.
type Finding struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// ExamineConfig is an installation's settings as somebody typed them in: nothing in
// it needs to be right.
type ExamineConfig struct {
	// Domain is the host of the printed codes, q.example.cn.
	Domain        string
	AppID, Secret string
	// Page is the mini-program's page behind the codes; "" = not checked.
	Page string
	// VerifyFile and VerifyContent are what the console gave out to prove the domain;
	// "" = not checked.
	VerifyFile, VerifyContent string

	// Pay asks for the rest, which may be empty without it.
	Pay                    bool
	MchID, MerchantSerial  string
	MerchantKey, PublicKey []byte // PEM
	PublicKeyID            string
	APIv3Key               string
	ServiceID              string // "" = no Pay Score
	NotifyURL              string
	APIBaseURL, PayBaseURL string // of a double; "" = the real hosts
	SiteBaseURL            string // where Domain and NotifyURL are reached; "" = there
	HTTP                   *http.Client
	Now                    func() time.Time // nil = time.Now
}

// checkPatience bounds one check.
const checkPatience = 15 * time.Second

// doctor is one examination.
type doctor struct {
	ExamineConfig
	site *http.Client
	app  *App // nil where app id or secret are missing
}

// Examine checks an installation against WeChat and from outside. It moves no money
// and changes nothing. Every check stands alone: one that fails hides no other.
// Findings come in the same order always; their texts hold no secret.
func Examine(ctx context.Context, cfg ExamineConfig) []Finding {
	d := newDoctor(cfg)
	checks := []func(context.Context) []Finding{d.checkApp, d.checkRule, d.checkFile, d.checkClock}
	if cfg.Pay {
		checks = append(checks, d.checkAPIv3Key, d.checkNotify, d.checkMerchant, d.checkScore)
	}
	results := make([][]Finding, len(checks))
	var wait sync.WaitGroup
	for i, check := range checks {
		wait.Go(func() {
			call, stop := context.WithTimeout(ctx, checkPatience)
			defer stop()
			results[i] = check(call)
		})
	}
	wait.Wait()
	var all []Finding
	for _, found := range results {
		all = append(all, found...)
	}
	return all
}

func newDoctor(cfg ExamineConfig) *doctor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &doctor{ExamineConfig: cfg}
	client := http.Client{}
	if cfg.HTTP != nil {
		client = *cfg.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if cfg.SiteBaseURL != "" {
		client.Transport = &detour{to: cfg.SiteBaseURL, next: transport(cfg.HTTP)}
	}
	d.site = &client
	d.app, _ = NewApp(Config{AppID: cfg.AppID, Secret: cfg.Secret, BaseURL: cfg.APIBaseURL, HTTP: cfg.HTTP, Now: cfg.Now})
	return d
}

func transport(c *http.Client) http.RoundTripper {
	if c != nil && c.Transport != nil {
		return c.Transport
	}
	return http.DefaultTransport
}

// detour reaches this installation's own addresses elsewhere, for tests.
type detour struct {
	to   string
	next http.RoundTripper
}

func (d *detour) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := url.Parse(d.to)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = to.Scheme, to.Host
	return d.next.RoundTrip(out)
}

func good(what, detail string) Finding     { return Finding{What: what, OK: true, Detail: detail} }
func bad(what, detail, fix string) Finding { return Finding{What: what, Detail: detail, Fix: fix} }

// reason is an error's text without what this package puts before it.
func reason(err error) string {
	text := err.Error()
	for _, prefix := range []string{"ask for an access token: ", "list the code rules: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return text
}
