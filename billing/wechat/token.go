package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	// tokenMargin is how long before its end a token is not used any more. WeChat hands
	// out the next one from five minutes before.
	tokenMargin = 4 * time.Minute
	// forcedEvery is how often WeChat lets a new token be forced: every 30 s, 20 times a
	// day.
	forcedEvery = time.Minute
)

// App calls the api host for one mini-program. It holds the access token that these
// calls need: stable tokens, of which each replica gets the same, so none has to tell
// another. It is safe for concurrent use.
type App struct {
	base          string
	appID, secret string
	client        http.Client
	now           func() time.Time

	turn   chan struct{} // a lock that a caller can stop waiting for; guards all below
	token  string
	ends   time.Time
	forced time.Time
}

// NewApp checks the configuration and calls nobody. Its only error is
// ErrMisconfigured.
func NewApp(cfg Config) (*App, error) {
	login, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &App{base: strings.TrimSuffix(login.endpoint, "/sns/jscode2session"), appID: cfg.AppID, secret: cfg.Secret,
		client: login.client, now: cfg.Now, turn: make(chan struct{}, 1)}, nil
}

// fault is an errcode of the api host and what of its errmsg may be repeated.
type fault struct {
	code    int
	message string // never shown whole
}

func (f *fault) Error() string { return refusal(f.code, f.message).Error() }

// dead tells whether the access token is what was refused.
func (f *fault) dead() bool { return f.code == 40001 || f.code == 40014 || f.code == 42001 }

// call posts in to a path that needs an access token and reads out. A dead token is
// replaced once. Its errors are *fault, ErrBusy and what token says.
func (a *App) call(ctx context.Context, path string, in, out any) error {
	token, err := a.fresh(ctx, "")
	if err != nil {
		return err
	}
	err = a.post(ctx, path+"?access_token="+url.QueryEscape(token), in, out)
	var refused *fault
	if !errors.As(err, &refused) || !refused.dead() {
		return err
	}
	if token, err = a.fresh(ctx, token); err != nil {
		return err
	}
	return a.post(ctx, path+"?access_token="+url.QueryEscape(token), in, out)
}

// fresh returns a token that is good for some minutes and is not the dead one.
func (a *App) fresh(ctx context.Context, dead string) (string, error) {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	defer func() { <-a.turn }()
	if a.token != "" && a.token != dead && a.now().Before(a.ends) {
		return a.token, nil
	}
	if err := a.fetch(ctx, false); err != nil {
		return "", err
	}
	if a.token != dead {
		return a.token, nil
	}
	// WeChat still hands out what it calls dead elsewhere.
	if now := a.now(); !a.forced.IsZero() && now.Sub(a.forced) < forcedEvery {
		return "", fmt.Errorf("%w: the access token was replaced a moment ago and is refused again", ErrBusy)
	}
	if err := a.fetch(ctx, true); err != nil {
		return "", err
	}
	return a.token, nil
}

// fetch asks for the stable token. The caller holds the turn.
func (a *App) fetch(ctx context.Context, force bool) error {
	in := struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}{"client_credential", a.appID, a.secret, force}
	var out struct {
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"`
	}
	a.token = ""
	if force {
		a.forced = a.now()
	}
	if err := a.post(ctx, "/cgi-bin/stable_token", in, &out); err != nil {
		return fmt.Errorf("ask for an access token: %w", err)
	}
	if out.Token == "" || len(out.Token) > 4096 || out.Expires <= 0 {
		return fmt.Errorf("ask for an access token: %w: it is not in the answer", ErrUnexpected)
	}
	life := time.Duration(min(out.Expires, 7200)) * time.Second
	a.token, a.ends = out.Token, a.now().Add(max(life-tokenMargin, life/2))
	return nil
}

// post makes one call. The address may hold a token and is never shown.
func (a *App) post(ctx context.Context, target string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%w: the request makes no JSON", ErrMisconfigured)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: the base URL makes no request", ErrMisconfigured)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return notReached(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxPayAnswer))
	if err != nil {
		return notReached(ctx, err)
	}
	var status struct {
		Code    int    `json:"errcode"`
		Message string `json:"errmsg"`
	}
	if json.Unmarshal(answer, &status) != nil {
		return fmt.Errorf("%w: status %d, no JSON", ErrBusy, response.StatusCode)
	}
	if status.Code != 0 {
		return &fault{status.Code, status.Message}
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: status %d", ErrBusy, response.StatusCode)
	}
	if json.Unmarshal(answer, out) != nil {
		return fmt.Errorf("%w: the answer has another form", ErrUnexpected)
	}
	return nil
}

// apiError turns a fault into this package's errors; what the call itself knows
// better comes in own.
func apiError(err error, own map[int]error) error {
	var refused *fault
	if !errors.As(err, &refused) {
		return err
	}
	var kind error
	switch refused.code {
	case -1, 45009, 45011, 44990:
		kind = ErrBusy
	case 40013, 41002, 40125, 41004:
		return refusal(refused.code, refused.message)
	case 40164:
		kind = fmt.Errorf("%w: WeChat does not take calls from %s: add it to the list of allowed addresses in the mini-program's console",
			ErrMisconfigured, callerIP(refused.message))
	case 48001:
		kind = fmt.Errorf("%w: the mini-program has no permission for this call", ErrMisconfigured)
	case 40001, 40014, 42001:
		kind = fmt.Errorf("%w: fresh access tokens are refused: another system may be using this app id", ErrMisconfigured)
	default:
		kind = ErrUnexpected
	}
	if better := own[refused.code]; better != nil {
		kind = better
	}
	return withRequest(kind, refused.code, refused.message)
}

// addressText finds the caller's address in the errmsg of 40164.
var addressText = regexp.MustCompile(`invalid ip ([0-9a-fA-F.:]{3,45})`)

func callerIP(message string) string {
	if found := addressText.FindStringSubmatch(message); found != nil {
		if ip, err := netip.ParseAddr(found[1]); err == nil {
			return ip.Unmap().String()
		}
	}
	return "this server's address"
}
