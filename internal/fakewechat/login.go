package fakewechat

import (
	"encoding/base64"
	"net/http"
	"time"
)

const (
	// codeLife is how long a login code from wx.login is good.
	codeLife = 5 * time.Minute
	// exchangesPerMinute is the limit of one rider.
	exchangesPerMinute = 100
)

type loginCode struct {
	rider  string
	minted time.Time
	used   bool
}

type session struct {
	SessionKey string `json:"session_key"`
	OpenID     string `json:"openid"`
	UnionID    string `json:"unionid,omitempty"`
}

// mintLoginCode is wx.login on the rider's phone.
func (s *Server) mintLoginCode(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.riders[name] == nil {
		adminAnswer(w, http.StatusNotFound, adminProblem{"unknown rider"})
		return
	}
	now := s.now()
	for code, c := range s.codes {
		if expired(c, now) {
			delete(s.codes, code)
		}
	}
	b, err := s.draw(24)
	if err != nil {
		adminAnswer(w, http.StatusInternalServerError, adminProblem{err.Error()})
		return
	}
	code := base64.RawURLEncoding.EncodeToString(b) // 32 characters, as real ones
	s.codes[code] = &loginCode{rider: name, minted: now}
	adminAnswer(w, http.StatusOK, struct {
		LoginCode string `json:"login_code"`
	}{code})
}

func expired(c *loginCode, now time.Time) bool { return now.Sub(c.minted) > codeLife }

// codeToSession is GET /sns/jscode2session.
func (s *Server) codeToSession(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	outage := s.strikes(FaultOutage, GroupLogin, "")
	s.mu.Unlock()
	if outage {
		badGateway(w)
		return
	}
	success, refused, lost := s.exchange(r)
	if lost {
		panic(http.ErrAbortHandler) // cuts the connection without an answer
	}
	s.answer(w, success, refused)
}

func (s *Server) exchange(r *http.Request) (_ *session, _ *refusal, lost bool) {
	if r.Method != http.MethodGet {
		return nil, &refusal{43001, "require GET method"}, false
	}
	query := r.URL.Query()
	for _, required := range []struct {
		name string
		refusal
	}{
		{"appid", refusal{41002, "appid missing"}},
		{"secret", refusal{41004, "appsecret missing"}},
		{"js_code", refusal{41008, "missing code"}},
	} {
		if query.Get(required.name) == "" {
			return nil, &required.refusal, false
		}
	}
	switch {
	case query.Get("grant_type") != "authorization_code":
		return nil, &refusal{40002, "invalid grant_type"}, false
	case query.Get("appid") != s.appID:
		return nil, &refusal{40013, "invalid appid"}, false
	case query.Get("secret") != s.secret:
		return nil, &refusal{40125, "invalid appsecret"}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strikes(FaultBusy, GroupLogin, "") {
		return nil, &refusal{-1, "system error"}, false
	}
	now := s.now()
	code := s.codes[query.Get("js_code")]
	if code == nil {
		return nil, &refusal{40029, "invalid code"}, false
	}
	rider := s.riders[code.rider]
	if !rider.mayCall(now) {
		return nil, &refusal{45011, "api minute-quota reach limit, mustslower, retry next minute"}, false
	}
	switch {
	case expired(code, now):
		return nil, &refusal{40029, "invalid code"}, false
	case code.used:
		return nil, &refusal{40163, "code been used"}, false
	}
	code.used = true
	if s.strikes(FaultHighRisk, GroupLogin, code.rider) {
		return nil, &refusal{40226, "code blocked"}, false
	}
	key, err := s.draw(16)
	if err != nil {
		return nil, &refusal{-1, "system error"}, false
	}
	return &session{
		SessionKey: base64.StdEncoding.EncodeToString(key), OpenID: rider.openID, UnionID: rider.unionID,
	}, nil, s.strikes(FaultLost, GroupLogin, "")
}

// mayCall counts a call of the last minute, unless there were too many.
func (r *rider) mayCall(now time.Time) bool {
	for len(r.calls) > 0 && now.Sub(r.calls[0]) >= time.Minute {
		r.calls = r.calls[1:]
	}
	if len(r.calls) >= exchangesPerMinute {
		return false
	}
	r.calls = append(r.calls, now)
	return true
}
