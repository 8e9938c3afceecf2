package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrBadCode: the login code is unknown, expired (five minutes) or used. The
	// rider's phone must get a new one.
	ErrBadCode = errors.New("login code is not valid")
	// ErrBusy: WeChat did not answer, or asked for patience. Trying again is
	// allowed; if the lost answer was a success the code is used up and the next
	// try says ErrBadCode.
	ErrBusy = errors.New("WeChat is busy or not reachable")
	// ErrRefused: WeChat holds this person for a risk and does not say more.
	ErrRefused = errors.New("WeChat refuses this person")
	// ErrMisconfigured: an app id, a secret or another setting is wrong; the text says
	// which.
	ErrMisconfigured = errors.New("WeChat is misconfigured")
	// ErrUnexpected: an errcode that this call is not documented to give.
	ErrUnexpected = errors.New("unexpected answer from WeChat")
)

const (
	defaultBaseURL = "https://api.weixin.qq.com"
	// callPatience bounds one call of the default client; a rider is waiting.
	callPatience = 5 * time.Second
	maxAnswer    = 64 << 10
	// maxLoginCode is far above the 32 characters of today's codes.
	maxLoginCode = 256
)

// OpenID names a person towards one mini-program: at most 128 characters. It is
// personal data and shows as *** however it is printed; string(id) gives it.
type OpenID string

// UnionID names a person towards all apps of one company; empty when the
// mini-program is bound to no Open Platform account. It masks itself like OpenID.
type UnionID string

const mask = "***"

// Format hides the value under every verb.
func (OpenID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// LogValue hides the value.
func (OpenID) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText hides the value inside of what is logged or stored as JSON.
func (OpenID) MarshalText() ([]byte, error) { return []byte(mask), nil }

// Format hides the value under every verb.
func (UnionID) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// LogValue hides the value.
func (UnionID) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText hides the value inside of what is logged or stored as JSON.
func (UnionID) MarshalText() ([]byte, error) { return []byte(mask), nil }

// Config is the mini-program's account.
type Config struct {
	// AppID and Secret are from the mini-program's console.
	AppID, Secret string
	// BaseURL is WeChat's, https://api.weixin.qq.com, when empty.
	BaseURL string
	// HTTP makes the calls; nil means a client with a limit of five seconds.
	// Redirects are never followed: the address holds the secret.
	HTTP *http.Client
	// Now is the clock by which access tokens age; nil = time.Now.
	Now func() time.Time
}

// Login exchanges login codes. It is safe for concurrent use.
type Login struct {
	endpoint string
	appID    string
	secret   string
	client   http.Client
}

// New checks the configuration and calls nobody. Its only error is
// ErrMisconfigured.
func New(cfg Config) (*Login, error) {
	if cfg.AppID == "" || cfg.Secret == "" {
		return nil, fmt.Errorf("%w: app id and secret are required", ErrMisconfigured)
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = defaultBaseURL
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" || base.RawQuery != "" {
		return nil, fmt.Errorf("%w: the base URL needs a scheme and a host", ErrMisconfigured)
	}
	l := &Login{
		endpoint: strings.TrimSuffix(cfg.BaseURL, "/") + "/sns/jscode2session",
		appID:    cfg.AppID, secret: cfg.Secret,
		client: http.Client{Timeout: callPatience},
	}
	if cfg.HTTP != nil {
		l.client = *cfg.HTTP
	}
	// A followed redirect would carry the address, and the secret in it, in the
	// Referer header.
	l.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return l, nil
}

// Exchange asks WeChat whose login code this is.
//
// Errors: ErrBadCode, ErrBusy (together with the context's error when that ended),
// ErrRefused, ErrMisconfigured, ErrUnexpected. A nil error does not promise that
// we know this person.
func (l *Login) Exchange(ctx context.Context, loginCode string) (OpenID, UnionID, error) {
	openID, unionID, err := l.exchange(ctx, loginCode)
	if err != nil {
		return "", "", fmt.Errorf("exchange login code: %w", err)
	}
	return openID, unionID, nil
}

func (l *Login) exchange(ctx context.Context, loginCode string) (OpenID, UnionID, error) {
	if loginCode == "" || len(loginCode) > maxLoginCode {
		return "", "", fmt.Errorf("%w: %d characters", ErrBadCode, len(loginCode))
	}
	query := url.Values{
		"appid": {l.appID}, "secret": {l.secret}, "js_code": {loginCode}, "grant_type": {"authorization_code"},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.endpoint+"?"+query.Encode(), nil)
	if err != nil {
		return "", "", fmt.Errorf("%w: the base URL makes no request", ErrMisconfigured)
	}
	response, err := l.client.Do(request)
	if err != nil {
		return "", "", notReached(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", "", notReached(ctx, err)
	}
	// No member for the session key: it goes no further than the body.
	var answer struct {
		Code    int     `json:"errcode"` // absent on success
		Message string  `json:"errmsg"`
		OpenID  string  `json:"openid"`
		UnionID UnionID `json:"unionid"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", "", fmt.Errorf("%w: status %d, no JSON", ErrBusy, response.StatusCode)
	}
	if answer.Code != 0 {
		return "", "", refusal(answer.Code, answer.Message)
	}
	if response.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("%w: status %d", ErrBusy, response.StatusCode)
	}
	if answer.OpenID == "" || len(answer.OpenID) > 128 {
		return "", "", fmt.Errorf("%w: no openid", ErrUnexpected)
	}
	return OpenID(answer.OpenID), answer.UnionID, nil
}

// notReached says why there was no answer without quoting the error of net/http,
// which holds the address and so the secret.
func notReached(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%w: %w", ErrBusy, cause)
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: no answer in time", ErrBusy)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("%w: its name is not found; is there a way to the internet?", ErrBusy)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return fmt.Errorf("%w: nothing answers there; is there a way to the internet?", ErrBusy)
	}
	// Only the type: "*net.OpError", "*tls.CertificateVerificationError".
	return fmt.Errorf("%w: %T", ErrBusy, err)
}

// requestID is what WeChat's support asks for. errmsg ends with it in one of two
// spellings; the rest of errmsg is not repeated.
var requestID = regexp.MustCompile(`(?:rid|req_id): ?([0-9A-Za-z_-]{1,64})`)

func refusal(code int, message string) error {
	var err error
	switch code {
	case 40029, 40163, 41008:
		err = ErrBadCode
	case -1, 45011:
		err = ErrBusy
	case 40226:
		err = ErrRefused
	case 40013, 41002:
		err = fmt.Errorf("%w: WeChat does not know the app id: check it against the console", ErrMisconfigured)
	case 40125, 41004:
		err = fmt.Errorf("%w: the app secret is wrong or was reset: copy it from the console", ErrMisconfigured)
	default:
		err = ErrUnexpected
	}
	return withRequest(err, code, message)
}

// withRequest adds what WeChat's support asks for.
func withRequest(err error, code int, message string) error {
	if id := requestID.FindStringSubmatch(message); id != nil {
		return fmt.Errorf("%w (errcode %d, request %s)", err, code, id[1])
	}
	return fmt.Errorf("%w (errcode %d)", err, code)
}
