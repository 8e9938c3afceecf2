package api

import (
	"container/list"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit is a token bucket: PerSecond fills it, Burst is its size.
type Limit struct {
	PerSecond float64
	Burst     int
}

// Limits bounds what one party may ask. A zero field means its default.
type Limits struct {
	Rider  Limit // per rider; 10/s, burst 40
	Words  Limit // relayed words per rider, each of which may be a commit; 8/s, burst 64, at least 16
	Code   Limit // scans and page views per code; 2/s, burst 10
	Source Limit // per source address (an IPv6 /64 is one source; a campus may be one too); 300/s, burst 1500
	SignIn Limit // tries to sign in, per source and per name; 1 in 12 s, burst 10
	// WaitsPerRider is how many long polls and streams one rider may have open; 6.
	WaitsPerRider int
	// Kept is how many parties each table remembers; 20,000. The one that was
	// silent longest is forgotten first, and begins with a full bucket again.
	Kept int
}

func (l Limits) withDefaults() Limits {
	set := func(to *Limit, d Limit) {
		if to.PerSecond == 0 {
			to.PerSecond = d.PerSecond
		}
		if to.Burst == 0 {
			to.Burst = d.Burst
		}
	}
	set(&l.Rider, Limit{10, 40})
	set(&l.Words, Limit{8, 64})
	l.Words.Burst = max(l.Words.Burst, 16) // one full request
	set(&l.Code, Limit{2, 10})
	set(&l.Source, Limit{300, 1500})
	set(&l.SignIn, Limit{1.0 / 12, 10})
	if l.WaitsPerRider == 0 {
		l.WaitsPerRider = 6
	}
	if l.Kept == 0 {
		l.Kept = 20_000
	}
	return l
}

// limited is an errTooMany that knows when to come back.
type limited struct{ after time.Duration }

func (l *limited) Error() string { return fmt.Sprintf("%v (%v)", errTooMany, l.after) }
func (l *limited) Unwrap() error { return errTooMany }

// buckets holds a token bucket per party, bounded.
type buckets struct {
	limit Limit
	kept  int

	mu    sync.Mutex
	byKey map[string]*list.Element
	order *list.List // of *bucket, most recently used first
}

type bucket struct {
	key     string
	limiter *rate.Limiter
}

func newBuckets(l Limit, kept int) *buckets {
	return &buckets{limit: l, kept: kept, byKey: map[string]*list.Element{}, order: list.New()}
}

// take takes one token of the party's bucket, or returns a *limited. A refused
// request takes nothing, so that who keeps asking is not kept out for longer.
func (b *buckets) take(key string, now time.Time) error { return b.takeMany(key, 1, now) }

// takeMany takes n tokens or none.
func (b *buckets) takeMany(key string, n int, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byKey[key]
	if e == nil {
		for len(b.byKey) >= b.kept {
			oldest := b.order.Back()
			delete(b.byKey, oldest.Value.(*bucket).key)
			b.order.Remove(oldest)
		}
		e = b.order.PushFront(&bucket{key, rate.NewLimiter(rate.Limit(b.limit.PerSecond), b.limit.Burst)})
		b.byKey[key] = e
	} else {
		b.order.MoveToFront(e)
	}
	reservation := e.Value.(*bucket).limiter.ReserveN(now, n)
	if after := reservation.DelayFrom(now); after > 0 {
		reservation.CancelAt(now)
		return &limited{after}
	}
	return nil
}

// size is how many parties are remembered.
func (b *buckets) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.byKey)
}

// sourceOf names where a request came from. An IPv6 source is its /64, which is
// what one household or phone has.
func sourceOf(r *http.Request, trustProxy bool) string {
	host := r.RemoteAddr
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if trustProxy {
		// The last entry is our own proxy's word; those before it are the caller's.
		if all := r.Header.Values("X-Forwarded-For"); len(all) > 0 {
			last := all[len(all)-1]
			if i := strings.LastIndexByte(last, ','); i >= 0 {
				last = last[i+1:]
			}
			host = strings.TrimSpace(last)
		}
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "unknown"
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}
