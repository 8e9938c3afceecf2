package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/unlatch/unlatch/order"
)

// etagOf is an order's entity tag, quotes included: its version and, while a
// display runs, the moment on the device's clock at which it showed its figures.
func (a *API) etagOf(o order.Order) string { return tagOf(o, a.liveOf(o)) }

// tagOf is the entity tag of an order shown with the given figures.
func tagOf(o order.Order, live *LiveFigures) string {
	var figures uint64
	if live != nil {
		figures = live.uptime
	}
	return fmt.Sprintf(`"v%d.%d"`, o.Version, figures)
}

// matches tells whether an If-None-Match header names the tag, by the weak
// comparison of RFC 9110 section 13.1.2.
func matches(ifNoneMatch, etag string) bool {
	for part := range strings.SplitSeq(ifNoneMatch, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == etag || part == "*" {
			return true
		}
	}
	return false
}

// waitOf reads wait=N, whole seconds, of a Prefer header (RFC 7240 section 4.3).
// What cannot be understood is ignored, as that section wants; more than most is
// cut to it. 0 means that no wait is preferred.
func waitOf(prefer string, most time.Duration) time.Duration {
	for part := range strings.SplitSeq(prefer, ",") {
		part, _, _ = strings.Cut(part, ";") // parameters, of which wait has none
		name, value, ok := strings.Cut(part, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		value = strings.TrimSpace(value)
		if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return 0 // the first one counts
		}
		return min(time.Duration(n)*time.Second, most)
	}
	return 0
}

// preferenceOf is the Preference-Applied header of a wait that was understood.
func preferenceOf(wait time.Duration) string { return fmt.Sprintf("wait=%d", int(wait/time.Second)) }

// Keyed is the header of what must happen once.
type Keyed struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" pattern:"^[!-~]+$" doc:"The same key and body give the same answer; the same key and another body are refused"`
}

// keyFor returns the key as its owner's; errKeyMissing when there is none.
func (k Keyed) keyFor(principal string) (order.KeyRef, error) {
	if k.IdempotencyKey == "" {
		return order.KeyRef{}, errKeyMissing
	}
	return order.KeyRef{Principal: principal, Key: k.IdempotencyKey}, nil
}
