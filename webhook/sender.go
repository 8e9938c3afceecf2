// Package webhook tells addresses of the operator what happened, as Standard Webhooks
// 1.0.0 has it (https://www.standardwebhooks.com). What is sent, to whom and when again is
// rows of the store, written in the transaction that routes the event; nothing is lost by a
// crash, and a receiver knows by the header webhook-id what it has heard before.
package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/unlatch/unlatch/order"
)

// Store keeps what is to be sent.
type Store interface {
	// TakeDeliveries claims what is due for a minute, of one webhook never more than
	// order.WebhookAtOnce at a time.
	TakeDeliveries(ctx context.Context, limit int) ([]order.Sending, error)
	// TrimDeliveries drops the oldest of what waits for a webhook beyond most.
	TrimDeliveries(ctx context.Context, most int) (dropped int64, err error)
	// Delivered notes what became of the try that d was taken for; a try of a later taking
	// is none of its business.
	Delivered(ctx context.Context, d order.Delivery, t order.Tried) error
}

// Sender sends what is due. Any number of replicas may run one.
type Sender struct {
	Store Store
	Log   *slog.Logger
	// Private lets it reach addresses of this machine and of private networks, and http
	// without TLS. Whoever may add webhooks can then make this server ask such addresses.
	Private bool
	// Client asks; nil: one that follows Private.
	Client *http.Client

	arrived, failed, givenUp, dropped atomic.Int64
}

const (
	patience = 15 * time.Second // for one answer, as the specification recommends
	flying   = 64               // tries under way at once, of all webhooks
	every    = time.Second
	trimmed  = time.Minute // between two looks at the length of queues
	told     = 200         // bytes of an answer that are kept
)

// ErrPrivate says that an address is none that may be asked.
var ErrPrivate = errors.New("the address is one of this machine or of a private network; start with --webhooks-private to allow those")

// Counts are deliveries since the start.
func (s *Sender) Counts() (arrived, failed, givenUp int64) {
	return s.arrived.Load(), s.failed.Load(), s.givenUp.Load()
}

// Dropped counts deliveries that were lost to queues that were too long.
func (s *Sender) Dropped() int64 { return s.dropped.Load() }

// Run sends until ctx ends. A try that ends makes room for the next at once, so that a
// receiver that hangs holds up nobody but itself.
func (s *Sender) Run(ctx context.Context) error {
	client := s.Client
	if client == nil {
		client = s.client()
	}
	var tries sync.WaitGroup
	defer tries.Wait()
	tick, trim := time.NewTicker(every), time.NewTicker(trimmed)
	defer tick.Stop()
	defer trim.Stop()
	landed := make(chan struct{}, flying)
	free := flying
	for {
		if due := s.take(ctx, free); len(due) > 0 {
			free -= len(due)
			for _, d := range due {
				tries.Go(func() { s.send(ctx, client, d); landed <- struct{}{} })
			}
			continue // until every webhook has what it may take
		}
		select {
		case <-ctx.Done():
			return nil
		case <-landed:
			free++
		case <-tick.C:
		case <-trim.C:
			s.trim(ctx)
		}
	}
}

// take claims what is due, at most so much.
func (s *Sender) take(ctx context.Context, room int) []order.Sending {
	if room == 0 {
		return nil
	}
	due, err := s.Store.TakeDeliveries(ctx, room)
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("webhooks not read", "err", err)
	}
	return due
}

// trim keeps queues from growing for ever.
func (s *Sender) trim(ctx context.Context) {
	n, err := s.Store.TrimDeliveries(ctx, order.WebhookQueue)
	s.dropped.Add(n)
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("webhooks' queues not trimmed", "err", err)
	} else if n > 0 {
		s.Log.Warn("webhooks' queues too long: the oldest were dropped", "lines", n)
	}
}

// send tries one delivery and notes what became of it. A try that the end of this process
// cut off is not noted: it is due again in a minute.
func (s *Sender) send(ctx context.Context, client *http.Client, d order.Sending) {
	status, failure := s.try(ctx, client, d)
	if ctx.Err() != nil {
		return
	}
	became := order.Tried{Status: status, Failure: failure}
	switch next, again := order.NextTry(d.Tries + 1); {
	case failure == "":
		s.arrived.Add(1)
	case again && status != http.StatusGone: // 410: do not come again
		s.failed.Add(1)
		became.Wait = next
	default:
		became.GivenUp = true
		s.failed.Add(1)
		s.givenUp.Add(1)
		s.Log.Warn("webhook given up", "webhook", d.Webhook, "event", d.Type, "attempt", d.Tries+1)
	}
	if err := s.Store.Delivered(ctx, d.Delivery, became); err != nil && ctx.Err() == nil {
		s.Log.Warn("webhook's answer not noted; it goes out again", "webhook", d.Webhook, "err", err)
	}
}

// try sends once; failure "" = it arrived.
func (s *Sender) try(ctx context.Context, client *http.Client, d order.Sending) (status int, failure string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if u, err := url.Parse(d.URL); err != nil || u.Scheme != "https" && !s.Private {
		return 0, "the address is not https"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.URL, bytes.NewReader(d.Body))
	if err != nil {
		return 0, err.Error()
	}
	at := time.Now()
	signature, err := sign(d, at)
	if err != nil {
		return 0, err.Error()
	}
	r.Header.Set("Content-Type", "application/cloudevents+json")
	r.Header.Set("User-Agent", "unlatch")
	r.Header.Set(standard.HeaderWebhookID, d.Event)
	r.Header.Set(standard.HeaderWebhookTimestamp, fmt.Sprint(at.Unix()))
	r.Header.Set(standard.HeaderWebhookSignature, signature)
	answer, err := client.Do(r)
	if err != nil {
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err // without the address, which may hold a secret
		}
		return 0, shorten(err.Error())
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, told))
	if answer.StatusCode/100 == 2 {
		return answer.StatusCode, ""
	}
	return answer.StatusCode, shorten(strings.TrimSpace(fmt.Sprintf("answered %s: %s", answer.Status, strings.ToValidUTF8(string(body), "?"))))
}

// shorten keeps what fits a row, and nothing that Postgres cannot hold.
func shorten(text string) string {
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) > 2*told {
		text = strings.ToValidUTF8(text[:2*told], "")
	}
	return text
}

// sign signs with every secret, the newest first, parted by spaces.
func sign(d order.Sending, at time.Time) (string, error) {
	var all []string
	for _, secret := range d.Secrets {
		w, err := standard.NewWebhook(base64.StdEncoding.EncodeToString(secret))
		if err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		one, err := w.Sign(d.Event, at, d.Body)
		if err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		all = append(all, one)
	}
	return strings.Join(all, " "), nil
}

// client asks no proxy, follows no redirect and, unless Private, reaches public addresses
// alone: each address is judged after the name was resolved, as it is dialled.
func (s *Sender) client() *http.Client {
	dialer := &net.Dialer{Timeout: patience}
	if !s.Private {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil || !public(to.Addr()) {
				return ErrPrivate
			}
			return nil
		}
	}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: patience, MaxIdleConns: flying, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// special are the ranges that belong to no public host: IANA's registries of special
// purpose addresses, as far as net/netip has no word for them.
var special = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

// public tells whether an address may be that of a host on the internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
