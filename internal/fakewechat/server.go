// Package fakewechat plays WeChat's servers for the demo and for tests.
//
// It owns what WeChat would remember about riders: their identities and the login
// codes that their phones were given. It refuses what the real servers refuse, as
// strictly and in the same words, and it must never be reachable from an
// installation that takes money.
//
// # Invariants
//
//   - It reads no clock and no randomness but those it was given.
//   - The same app and rider name give the same openid in every run.
//   - Errors of the api come with status 200, as the real ones do.
package fakewechat

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
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
	// Rand makes codes and keys; required. It is read under a lock.
	Rand io.Reader
}

// Server is the fake. Its handlers are safe for concurrent use.
type Server struct {
	appID, secret string
	now           func() time.Time

	mu     sync.Mutex // guards all below
	random io.Reader
	riders map[string]*rider
	codes  map[string]*loginCode
	faults faults
}

type rider struct {
	openID, unionID string
	calls           []time.Time // exchanges within the last minute, oldest first
}

// New checks the configuration.
func New(cfg Config) (*Server, error) {
	if cfg.AppID == "" || cfg.Secret == "" || cfg.Now == nil || cfg.Rand == nil {
		return nil, errors.New("fake wechat: app id, secret, clock and randomness are required")
	}
	s := &Server{
		appID: cfg.AppID, secret: cfg.Secret, now: cfg.Now, random: cfg.Rand,
		riders: map[string]*rider{}, codes: map[string]*loginCode{},
	}
	for _, name := range cfg.Riders {
		if name == "" || s.riders[name] != nil {
			return nil, fmt.Errorf("fake wechat: rider %q is empty or named twice", name)
		}
		r := &rider{openID: identity("openid", cfg.AppID, name)}
		if cfg.Unions {
			r.unionID = identity("unionid", cfg.AppID, name)
		}
		s.riders[name] = r
	}
	return s, nil
}

// identity is 28 characters that begin with an o, as real ones do.
func identity(kind, appID, name string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + appID + "\x00" + name))
	return ("o" + base64.RawURLEncoding.EncodeToString(sum[:]))[:28]
}

// Handler serves both sides on one address, for the demo and for tests.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.API())
	mux.Handle("/riders/", s.Admin())
	mux.Handle("/faults", s.Admin())
	return mux
}

// API is api.weixin.qq.com.
func (s *Server) API() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/sns/jscode2session", s.codeToSession)
	return mux
}

// Admin is what phones and WeChat's operators do: hand out login codes and break
// things.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /riders/{name}/login-code", s.mintLoginCode)
	mux.HandleFunc("POST /faults", s.injectFault)
	return mux
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

func adminAnswer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

type adminProblem struct {
	Error string `json:"error"`
}

// Fault is the body of POST /faults: the next Times calls fail in that way.
type Fault struct {
	// Kind is one of the Fault constants.
	Kind string `json:"kind"`
	// Rider limits FaultHighRisk to one rider; empty means whoever comes.
	Rider string `json:"rider,omitempty"`
	// Times is 1 when absent; 0 to take a fault back.
	Times *int `json:"times,omitempty"`
}

// Kinds of Fault, in the order in which they take effect.
const (
	FaultOutage   = "outage"    // status 502 and a page of HTML
	FaultBusy     = "busy"      // errcode -1
	FaultHighRisk = "high_risk" // errcode 40226; the code is used up
	FaultLost     = "lost"      // the exchange happens, the answer is cut off
)

// faults counts what is still to fail, by kind, and high_risk by rider.
type faults map[faultKey]int

type faultKey struct{ kind, rider string }

// take uses one failure up, if there is one.
func (f faults) take(kind, rider string) bool {
	for _, key := range []faultKey{{kind, rider}, {kind, ""}} {
		if f[key] > 0 {
			f[key]--
			return true
		}
	}
	return false
}

func (s *Server) injectFault(w http.ResponseWriter, r *http.Request) {
	var fault Fault
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4096))
	if err == nil {
		in := json.NewDecoder(bytes.NewReader(body))
		in.DisallowUnknownFields()
		err = in.Decode(&fault)
	}
	if err != nil {
		adminAnswer(w, http.StatusBadRequest, adminProblem{err.Error()})
		return
	}
	times := 1
	if fault.Times != nil {
		times = *fault.Times
	}
	switch fault.Kind {
	case FaultOutage, FaultBusy, FaultLost, FaultHighRisk:
	default:
		adminAnswer(w, http.StatusBadRequest, adminProblem{"unknown kind of fault"})
		return
	}
	if times < 0 || (fault.Rider != "" && fault.Kind != FaultHighRisk) {
		adminAnswer(w, http.StatusBadRequest, adminProblem{"times is negative, or this kind takes no rider"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault.Rider != "" && s.riders[fault.Rider] == nil {
		adminAnswer(w, http.StatusNotFound, adminProblem{"unknown rider"})
		return
	}
	if s.faults == nil {
		s.faults = faults{}
	}
	s.faults[faultKey{fault.Kind, fault.Rider}] = times
	w.WriteHeader(http.StatusNoContent)
}
