// Package fakewechat plays WeChat's servers for the demo and for tests.
//
// It owns what WeChat would remember: riders and the codes that their phones were
// given, access tokens, subscribe messages and scan rules on the side of the api;
// orders, refunds, Pay Score orders, callbacks and bills on the side of the pay
// host. It refuses what the real servers refuse, as strictly and in the same words,
// and it must never be reachable from an installation that takes money.
//
// # Invariants
//
//   - It reads no clock and no randomness but those it was given.
//   - The same app and rider name give the same openid in every run.
//   - The same randomness and the same order of calls give the same answers.
//   - Errors of the api come with status 200, as the real ones do; those of the pay
//     host with their own.
//   - Nothing moves money but a rider's payment, a debit and a refund, each once,
//     and Money tells of each.
//   - A success of the pay host is signed; a bill file alone is not.
//
// # Words
//
// An order is an order of the pay host (JSAPI), a score order one of Pay Score, and
// a transaction what money moved in. A conduct is what a rider's Pay Score does.
package fakewechat

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Config describes the mini-program and the people who use it.
type Config struct {
	// AppID and Secret are what the server under test must present.
	AppID, Secret string
	// Riders are the names that the admin side knows, each once.
	Riders []string
	// Unions says that the app is bound to an Open Platform account: answers then
	// hold a unionid.
	Unions bool
	// Now is the clock; required.
	Now func() time.Time
	// Stamp is the clock of signature headers: the window of requests and the stamps
	// of answers and callbacks. Nil means Now. A simulation with a clock of its own
	// gives the real one here, as the official SDK stamps with that.
	Stamp func() time.Time
	// Rand makes codes, keys and chances; required. It is read under a lock.
	Rand io.Reader
	// AllowedIPs are the addresses and networks ("192.0.2.0/24") that may ask for
	// access tokens and use them; nil means everybody, others get errcode 40164.
	AllowedIPs []string
	// Pages are the pages of the released version, without a leading slash; nil means
	// that every page exists.
	Pages []string
	// Templates are the subscribe messages of the account; nil means that every
	// template id is known, with whatever keys are sent.
	Templates []Template
	// Rules are the scan rules that exist at the start.
	Rules []Rule
	// Chaos breaks things by chance; its zero value breaks nothing.
	Chaos Chaos
	// Pay is the merchant; nil means that the pay host answers 404.
	Pay *PayConfig
}

// Server is the fake. Its handlers and methods are safe for concurrent use.
type Server struct {
	appID, secret string
	now, stamp    func() time.Time
	allowed       []netip.Prefix      // nil: everybody
	pages         map[string]bool     // nil: all exist
	templates     map[string][]string // keys by id; nil: all exist
	wake          chan struct{}       // one place: something new is due
	requests      atomic.Int64

	mu         sync.Mutex // guards all below
	random     io.Reader
	riders     map[string]*rider
	byOpenID   map[string]*rider
	codes      map[string]*loginCode
	phoneCodes map[string]*phoneCode
	tokens     tokens
	quotas     quotas
	rules      []Rule
	published  quota // of scan rules in this month
	messages   []Message
	faults     faults
	rates      map[string]float64
	agenda     agenda
	held       *event    // a callback that waits for the next one to pass it
	pay        *merchant // nil without a merchant
}

type rider struct {
	name, openID, unionID string
	calls                 []time.Time    // exchanges within the last minute, oldest first
	accepts               map[string]int // subscribe messages left, by template
	conduct               ScoreConduct
}

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.AppID == "" || cfg.Secret == "" || cfg.Now == nil || cfg.Rand == nil {
		return nil, errors.New("fake wechat: app id, secret, clock and randomness are required")
	}
	s := &Server{
		appID: cfg.AppID, secret: cfg.Secret, now: cfg.Now, stamp: cfg.Stamp, random: cfg.Rand,
		riders: map[string]*rider{}, byOpenID: map[string]*rider{}, codes: map[string]*loginCode{},
		phoneCodes: map[string]*phoneCode{}, quotas: quotas{}, faults: faults{}, wake: make(chan struct{}, 1),
	}
	if s.stamp == nil {
		s.stamp = cfg.Now
	}
	for _, name := range cfg.Riders {
		if name == "" || s.riders[name] != nil {
			return nil, fmt.Errorf("fake wechat: rider %q is empty or named twice", name)
		}
		r := &rider{name: name, openID: identity("openid", cfg.AppID, name), accepts: map[string]int{}}
		if cfg.Unions {
			r.unionID = identity("unionid", cfg.AppID, name)
		}
		s.riders[name], s.byOpenID[r.openID] = r, r
	}
	if err := s.furnish(cfg); err != nil {
		return nil, fmt.Errorf("fake wechat: %w", err)
	}
	return s, nil
}

// OpenID is a rider's openid, "" when there is no such rider: for who looks where it
// must not be.
func (s *Server) OpenID(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.riders[name]; r != nil {
		return r.openID
	}
	return ""
}

// furnish takes over the optional parts of the configuration.
func (s *Server) furnish(cfg Config) error {
	for _, text := range cfg.AllowedIPs {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var one netip.Addr
			if one, err = netip.ParseAddr(text); err != nil {
				return fmt.Errorf("allowed address %q is neither an address nor a network", text)
			}
			prefix = netip.PrefixFrom(one, one.BitLen())
		}
		s.allowed = append(s.allowed, prefix)
	}
	if cfg.Pages != nil {
		s.pages = map[string]bool{}
		for _, page := range cfg.Pages {
			s.pages[page] = true
		}
	}
	if cfg.Templates != nil {
		s.templates = map[string][]string{}
		for _, t := range cfg.Templates {
			s.templates[t.ID] = t.Keys
		}
	}
	for _, r := range cfg.Rules {
		if refused := s.addRule(r); refused != nil {
			return fmt.Errorf("scan rule %q: %s", r.Prefix, refused.text)
		}
	}
	if err := s.SetChaos(cfg.Chaos); err != nil {
		return err
	}
	if cfg.Pay != nil {
		m, err := newMerchant(*cfg.Pay)
		if err != nil {
			return err
		}
		s.pay = m
	}
	return nil
}

// identity is 28 characters that begin with an o, as real ones do.
func identity(kind, appID, name string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + appID + "\x00" + name))
	return ("o" + base64.RawURLEncoding.EncodeToString(sum[:]))[:28]
}

// Handler serves all sides on one address, for the demo and for tests.
func (s *Server) Handler() http.Handler {
	admin := s.Admin()
	mux := http.NewServeMux()
	mux.Handle("/", s.API())
	mux.Handle("/v3/", s.PayAPI())
	for _, path := range []string{"/riders/", "/faults", "/chaos", "/money", "/messages", "/callbacks"} {
		mux.Handle(path, admin)
	}
	return mux
}

// API is api.weixin.qq.com.
func (s *Server) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/sns/jscode2session", s.codeToSession)
	mux.HandleFunc("/cgi-bin/token", s.ordinaryToken)
	mux.HandleFunc("/cgi-bin/stable_token", s.stableToken)
	for path, call := range map[string]apiCall{
		"/wxa/business/getuserphonenumber":  {GroupPhone, s.phoneNumber},
		"/cgi-bin/message/subscribe/send":   {GroupMessage, s.sendMessage},
		"/wxa/getwxacodeunlimit":            {GroupCode, s.sunCode},
		"/wxa/generatescheme":               {GroupCode, s.urlScheme},
		"/wxa/generate_urllink":             {GroupCode, s.urlLink},
		"/cgi-bin/wxopen/qrcodejumpget":     {GroupScan, s.listRules},
		"/cgi-bin/wxopen/qrcodejumpadd":     {GroupScan, s.writeRule},
		"/cgi-bin/wxopen/qrcodejumppublish": {GroupScan, s.publishRule},
		"/cgi-bin/wxopen/qrcodejumpdelete":  {GroupScan, s.deleteRule},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { s.serveAPI(w, r, call) })
	}
	return mux
}

// readBody reads a whole body. A transport that calls the handler within the process
// may leave it nil.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
}

// draw is n bytes of the given randomness. The caller holds the lock.
func (s *Server) draw(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(s.random, b)
	return b, err
}

// refusal is an error answer of the api.
type refusal struct {
	code int
	text string
}

// answer writes what the real api writes: status 200 and JSON that calls itself
// text, without an errcode on success.
func (s *Server) answer(w http.ResponseWriter, success any, refused *refusal) {
	body := success
	if refused != nil {
		body = struct {
			Code    int    `json:"errcode"`
			Message string `json:"errmsg"`
		}{refused.code, refused.text + ", rid: " + s.requestID()}
	}
	w.Header().Set("Content-Type", "text/plain")
	_ = json.NewEncoder(w).Encode(body)
}

// requestID looks like 65f2c1a0-1b2c3d4e-5f607182.
func (s *Server) requestID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.draw(8)
	if err != nil {
		b = make([]byte, 8)
	}
	return fmt.Sprintf("%08x-%x-%x", s.now().Unix(), b[:4], b[4:])
}
