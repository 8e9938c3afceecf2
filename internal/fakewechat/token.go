package fakewechat

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	tokenLife = 7200 * time.Second
	// tokenRenewal is how long before its end a stable token is replaced.
	tokenRenewal = 5 * time.Minute
	// tokenGrace is how long an ordinary token outlives its successor's birth.
	tokenGrace = 5 * time.Minute

	ordinaryPerDay   = 2000
	stablePerMinute  = 10000
	stablePerDay     = 500000
	forcedPerDay     = 20
	betweenForcedOne = 30 * time.Second
)

// tokens are the access tokens of both kinds, which leave each other alone.
type tokens struct {
	issued           map[string]*accessToken
	ordinary, stable *accessToken // the newest of each kind
	forced           time.Time    // when a stable one was last forced
}

type accessToken struct {
	text    string
	expires time.Time
	killed  time.Time // from when a successor invalidates it; zero for never
}

func (t *accessToken) alive(now time.Time) bool {
	return t != nil && now.Before(t.expires) && (t.killed.IsZero() || now.Before(t.killed))
}

// issue makes a token of 512 characters, which is what callers must have room for.
func (s *Server) issue(now time.Time) (*accessToken, *refusal) {
	b, err := s.draw(384)
	if err != nil {
		return nil, busy
	}
	for text, t := range s.tokens.issued {
		if now.Sub(t.expires) > 24*time.Hour {
			delete(s.tokens.issued, text)
		}
	}
	t := &accessToken{text: base64.RawURLEncoding.EncodeToString(b), expires: now.Add(tokenLife)}
	if s.tokens.issued == nil {
		s.tokens.issued = map[string]*accessToken{}
	}
	s.tokens.issued[t.text] = t
	return t, nil
}

var busy = &refusal{-1, "system error"}

type tokenAnswer struct {
	Token     string `json:"access_token"`
	ExpiresIn int    `json:"expires_in"`
}

// ordinaryToken is GET /cgi-bin/token.
func (s *Server) ordinaryToken(w http.ResponseWriter, r *http.Request) {
	s.serveToken(w, r, func(now time.Time) (*accessToken, *refusal) {
		q := r.URL.Query()
		if r.Method != http.MethodGet {
			return nil, &refusal{43001, "require GET method"}
		}
		if refused := s.checkApp(q.Get("grant_type"), q.Get("appid"), q.Get("secret")); refused != nil {
			return nil, refused
		}
		if !s.quotas.spend("token", day(now), ordinaryPerDay) {
			return nil, &refusal{45009, "reach max api daily quota limit"}
		}
		t, refused := s.issue(now)
		if refused != nil {
			return nil, refused
		}
		if old := s.tokens.ordinary; old != nil {
			old.killed = now.Add(tokenGrace)
		}
		s.tokens.ordinary = t
		return t, nil
	})
}

// stableToken is POST /cgi-bin/stable_token.
func (s *Server) stableToken(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r)
	s.serveToken(w, r, func(now time.Time) (*accessToken, *refusal) {
		if r.Method != http.MethodPost {
			return nil, &refusal{43002, "require POST method"}
		}
		var in struct {
			GrantType    string `json:"grant_type"`
			AppID        string `json:"appid"`
			Secret       string `json:"secret"`
			ForceRefresh bool   `json:"force_refresh"`
		}
		if err != nil {
			return nil, notJSON
		}
		if refused := readAPI(body, &in); refused != nil {
			return nil, refused
		}
		if refused := s.checkApp(in.GrantType, in.AppID, in.Secret); refused != nil {
			return nil, refused
		}
		if !s.quotas.spend("stable minute", minute(now), stablePerMinute) {
			return nil, tooOften
		}
		if !s.quotas.spend("stable day", day(now), stablePerDay) {
			return nil, &refusal{45009, "reach max api daily quota limit"}
		}
		return s.freshStable(now, in.ForceRefresh)
	})
}

func (s *Server) freshStable(now time.Time, force bool) (*accessToken, *refusal) {
	old := s.tokens.stable
	if !force {
		if old.alive(now) && old.expires.Sub(now) > tokenRenewal {
			return old, nil
		}
	} else {
		if !s.tokens.forced.IsZero() && now.Sub(s.tokens.forced) < betweenForcedOne {
			return nil, tooOften
		}
		if !s.quotas.spend("forced", day(now), forcedPerDay) {
			return nil, &refusal{45009, "reach max api daily quota limit"}
		}
	}
	t, refused := s.issue(now)
	if refused != nil {
		return nil, refused
	}
	if force {
		s.tokens.forced = now
		if old != nil {
			old.killed = now
		}
	}
	s.tokens.stable = t
	return t, nil
}

var (
	notJSON  = &refusal{47001, "data format error"}
	tooOften = &refusal{45011, "api minute-quota reach limit, mustslower, retry next minute"}
)

func (s *Server) checkApp(grant, appID, secret string) *refusal {
	switch {
	case appID == "":
		return &refusal{41002, "appid missing"}
	case secret == "":
		return &refusal{41004, "appsecret missing"}
	case grant != "client_credential":
		return &refusal{40002, "invalid grant_type"}
	case appID != s.appID:
		return &refusal{40013, "invalid appid"}
	case secret != s.secret:
		return &refusal{40125, "invalid appsecret"}
	}
	return nil
}

// serveToken answers with a token, or with what is left of its life.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, get func(time.Time) (*accessToken, *refusal)) {
	s.mu.Lock()
	if s.strikes(FaultOutage, GroupToken, "") {
		s.mu.Unlock()
		badGateway(w)
		return
	}
	now := s.now()
	refused := s.checkCaller(r)
	if refused == nil && s.strikes(FaultBusy, GroupToken, "") {
		refused = busy
	}
	var t *accessToken
	if refused == nil {
		t, refused = get(now)
	}
	lost := refused == nil && s.strikes(FaultLost, GroupToken, "")
	s.mu.Unlock()
	switch {
	case lost:
		panic(http.ErrAbortHandler)
	case refused != nil:
		s.answer(w, nil, refused)
	default:
		s.answer(w, tokenAnswer{t.text, int(t.expires.Sub(now) / time.Second)}, nil)
	}
}

// checkCaller is the allow list of addresses.
func (s *Server) checkCaller(r *http.Request) *refusal {
	if s.allowed == nil {
		return nil
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err == nil {
		for _, prefix := range s.allowed {
			if prefix.Contains(addr.Unmap()) {
				return nil
			}
		}
	}
	return &refusal{40164, "invalid ip " + host + " ipv6 ::ffff:" + host + ", not in whitelist"}
}

// checkToken is the access_token of a call.
func (s *Server) checkToken(text string, now time.Time) *refusal {
	t := s.tokens.issued[text]
	switch {
	case text == "":
		return &refusal{41001, "access_token missing"}
	case t == nil, !t.killed.IsZero() && !now.Before(t.killed):
		return &refusal{40001, "invalid credential, access_token is invalid or not latest"}
	case !now.Before(t.expires):
		return &refusal{42001, "access_token expired"}
	}
	return nil
}

// apiCall is an endpoint of the api that wants a POST with an access token and JSON.
// It runs under the lock.
type apiCall struct {
	group string
	do    func(body []byte, now time.Time) (any, *refusal)
}

// picture is an answer that is no JSON.
type picture []byte

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, call apiCall) {
	body, err := readBody(w, r)
	s.mu.Lock()
	if s.strikes(FaultOutage, call.group, "") {
		s.mu.Unlock()
		badGateway(w)
		return
	}
	now := s.now()
	var answer any
	refused := s.checkCaller(r)
	if refused == nil {
		refused = s.checkToken(r.URL.Query().Get("access_token"), now)
	}
	switch {
	case refused != nil:
	case r.Method != http.MethodPost:
		refused = &refusal{43002, "require POST method"}
	case err != nil:
		refused = notJSON
	case s.strikes(FaultBusy, call.group, ""):
		refused = busy
	default:
		answer, refused = call.do(body, now)
	}
	lost := refused == nil && s.strikes(FaultLost, call.group, "")
	s.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler)
	}
	if p, ok := answer.(picture); ok && refused == nil {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(p)
		return
	}
	s.answer(w, answer, refused)
}

// readAPI decodes a body strictly: the api ignores what it does not know, but a
// member that it does not know is a mistake of the caller's.
func readAPI(body []byte, into any) *refusal {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil || d.More() || misspelt(body) != "" {
		return notJSON
	}
	return nil
}

// fine is what an api answer begins with when it is not a session or a token.
type fine struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

var ok = fine{0, "ok"}
