package wechat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// What the checks of the mini-program are called.
const (
	checkedApp   = "app id and secret"
	checkedRule  = "code rule"
	checkedFile  = "verification file"
	checkedClock = "clock"
)

// checkApp asks for an access token, which takes the app id, the secret and an
// address that the console allows.
func (d *doctor) checkApp(ctx context.Context) []Finding {
	if d.app == nil {
		return []Finding{bad(checkedApp, "app id or secret is missing", "copy both from the mini-program's console under development settings")}
	}
	_, err := d.app.fresh(ctx, "")
	if err == nil {
		return []Finding{good(checkedApp, "WeChat gives out access tokens")}
	}
	var refused *fault
	fix := "check that this server reaches " + d.app.base
	if errors.As(err, &refused) {
		switch refused.code {
		case 40013, 41002:
			fix = "copy the app id from the mini-program's console"
		case 40125, 41004:
			fix = "copy the app secret from the mini-program's console; after a reset the old one is dead"
		case 40164:
			fix = "add " + callerIP(refused.message) + " to the list of allowed addresses in the mini-program's console"
		default:
			fix = "wait and try again; give WeChat's support the request id"
		}
	}
	return []Finding{bad(checkedApp, reason(apiError(err, nil)), fix)}
}

// checkRule looks for the one rule that covers every printed code. The most specific
// rule is chosen before its state is looked at, so a draft below ours takes its codes
// away from riders.
func (d *doctor) checkRule(ctx context.Context) []Finding {
	if !hostText.MatchString(d.Domain) {
		return []Finding{bad(checkedRule, "the domain of the codes is missing or no host name", "set the domain that is printed on the codes, such as q.example.cn")}
	}
	want := "https://" + d.Domain + "/d/"
	if d.app == nil {
		return []Finding{bad(checkedRule, "not checked without app id and secret", "set both")}
	}
	rules, open, err := d.app.Rules(ctx)
	if errors.Is(err, ErrBusy) {
		return []Finding{bad(checkedRule, reason(err), "ask again in a minute")}
	}
	if err != nil {
		return []Finding{bad(checkedRule, reason(err), "repair app id and secret first; the rule is in the console under development settings, scan of ordinary links")}
	}
	publish := "in the console under development settings, scan of ordinary links, publish a rule with the prefix " + want
	var found []Finding
	state, near := "there is no rule "+want, ""
	published := false
	for _, r := range rules {
		switch {
		case r.Prefix == want && r.Published():
			published = true
			if d.Page != "" && strings.TrimPrefix(r.Page, "/") != strings.TrimPrefix(d.Page, "/") {
				found = append(found, bad(checkedRule, fmt.Sprintf("the rule opens the page %.100q", r.Page), fmt.Sprintf("point it at %.100q", d.Page)))
			}
		case r.Prefix == want:
			state = "the rule " + want + " is a draft"
		case strings.HasPrefix(r.Prefix, want) && !r.Published():
			found = append(found, bad(checkedRule, fmt.Sprintf("a draft rule %.200q takes its codes away from %s", r.Prefix, want), "publish or delete the draft"))
		case r.Published() && strings.TrimSuffix(r.Prefix, "/") == strings.TrimSuffix(want, "/"), r.Published() && strings.HasPrefix(r.Prefix, "http://"+d.Domain):
			near = fmt.Sprintf("; the published %.200q is another rule: protocol, host and the slash at the end must be equal", r.Prefix)
		}
	}
	switch {
	case !published:
		found = append(found, bad(checkedRule, state+near, publish))
	case !open:
		found = append(found, bad(checkedRule, "scans of ordinary links are switched off", "switch them on in the console under development settings"))
	case len(found) == 0:
		found = append(found, good(checkedRule, want+" is published"))
	}
	return found
}

var hostText = regexp.MustCompile(`^[0-9a-z-]+(\.[0-9a-z-]+)+$`)

// checkFile fetches what proves the domain to WeChat, as WeChat does.
func (d *doctor) checkFile(ctx context.Context) []Finding {
	if d.VerifyFile == "" {
		return nil
	}
	target := "https://" + d.Domain + "/d/" + url.PathEscape(d.VerifyFile)
	status, body, _, err := d.visit(ctx, http.MethodGet, target, "")
	keep := "serve the file of the console at " + target + ", and leave it there for good"
	switch {
	case err != nil:
		return []Finding{bad(checkedFile, target+" is not reachable: "+err.Error(), keep)}
	case status != http.StatusOK:
		return []Finding{bad(checkedFile, fmt.Sprintf("%s answers %d", target, status), keep)}
	case strings.TrimSpace(string(body)) != strings.TrimSpace(d.VerifyContent):
		return []Finding{bad(checkedFile, target+" has other content", keep)}
	}
	return []Finding{good(checkedFile, target+" is as WeChat wants it")}
}

// checkClock compares our clock with WeChat's. Signatures more than five minutes
// apart are refused on both sides.
func (d *doctor) checkClock(ctx context.Context) []Finding {
	base := d.PayBaseURL
	if base == "" {
		base = payURL
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/v3/certificates", nil)
	if err != nil {
		return []Finding{bad(checkedClock, "the pay host's address makes no request", "check the base URL")}
	}
	// Unsigned, so refused; the answer's Date is all that is wanted.
	before := d.Now()
	answer, err := (&http.Client{Transport: transport(d.HTTP)}).Do(request)
	if err != nil {
		return []Finding{bad(checkedClock, "the pay host is not reachable: "+reached(ctx, err), "let this server reach "+base)}
	}
	_ = answer.Body.Close()
	theirs, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return []Finding{bad(checkedClock, "the pay host's answer has no date", "check what stands between this server and "+base)}
	}
	// The answer was dated some time between the two readings.
	after, fix := d.Now(), "synchronise this server's clock by NTP"
	var off time.Duration
	switch {
	case theirs.Before(before.Truncate(time.Second)):
		off = before.Sub(theirs)
	case theirs.After(after):
		off = after.Sub(theirs)
	}
	detail := fmt.Sprintf("%s apart from WeChat's", off.Abs().Round(time.Second))
	switch {
	case off.Abs() >= stampLife:
		return []Finding{bad(checkedClock, detail, fix)}
	case off.Abs() >= time.Minute:
		return []Finding{{What: checkedClock, OK: true, Detail: detail, Fix: fix}}
	}
	return []Finding{good(checkedClock, detail)}
}

// visit calls an address of this installation as a stranger. Its error says why
// there was no answer.
func (d *doctor) visit(ctx context.Context, method, target, body string) (int, []byte, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return 0, nil, nil, errors.New("it is no address")
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := d.site.Do(request)
	if err != nil {
		return 0, nil, nil, errors.New(reached(ctx, err))
	}
	defer func() { _ = answer.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return 0, nil, nil, errors.New(reached(ctx, err))
	}
	return answer.StatusCode, read, answer.Header, nil
}

// reached says why an address gave no answer.
func reached(ctx context.Context, err error) string {
	return strings.TrimPrefix(notReached(ctx, err).Error(), ErrBusy.Error()+": ")
}
