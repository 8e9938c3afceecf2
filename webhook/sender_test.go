package webhook

import (
	"context"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/unlatch/unlatch/order"
)

// oneDelivery hands out one delivery and hears what became of it.
type oneDelivery struct {
	d     order.Sending
	taken bool
	order.Tried
	done chan struct{}
}

func (o *oneDelivery) TakeDeliveries(context.Context, int) ([]order.Sending, error) {
	if o.taken {
		return nil, nil
	}
	o.taken = true
	return []order.Sending{o.d}, nil
}

func (o *oneDelivery) TrimDeliveries(context.Context, int) (int64, error) { return 0, nil }

func (o *oneDelivery) Delivered(_ context.Context, _ order.Delivery, became order.Tried) error {
	o.Tried = became
	close(o.done)
	return nil
}

func deliver(t *testing.T, s *Sender, d order.Sending) *oneDelivery {
	t.Helper()
	o := &oneDelivery{d: d, done: make(chan struct{})}
	s.Store, s.Log = o, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	select {
	case <-o.done:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing became of the delivery within 20 s")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return o
}

var (
	newSecret = []byte("the newest secret of 32 bytes ..")
	oldSecret = []byte("the older secret, of 32 bytes ..")
)

func sending(url string) order.Sending {
	return order.Sending{URL: url, Secrets: [][]byte{newSecret, oldSecret}, Delivery: order.Delivery{ID: "d", Webhook: "w",
		Event: "0198-event", Type: order.EventAlarmRaised, Body: []byte(`{"specversion":"1.0","type":"alarm.raised"}`)}}
}

// TestReceiversCheckWithAnyStandardLibrary verifies what arrives with the library that the
// specification publishes, by the new secret and by the old one.
func TestReceiversCheckWithAnyStandardLibrary(t *testing.T) {
	var body []byte
	var head http.Header
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ = io.ReadAll(r.Body)
		head = r.Header
	}))
	defer receiver.Close()
	o := deliver(t, &Sender{Client: receiver.Client()}, sending(receiver.URL+"/hooks"))
	if o.Tried != (order.Tried{Status: http.StatusOK}) {
		t.Fatalf("became %+v", o.Tried)
	}
	for _, secret := range [][]byte{newSecret, oldSecret} {
		w, err := standard.NewWebhook(base64.StdEncoding.EncodeToString(secret))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Verify(body, head); err != nil {
			t.Errorf("a receiver with %q: %v", secret, err)
		}
		if err := w.Verify(append(body, ' '), head); err == nil {
			t.Error("another body is taken for ours")
		}
	}
	if head.Get("webhook-id") != "0198-event" {
		t.Errorf("webhook-id is %q, want the event's, the same for every try", head.Get("webhook-id"))
	}
}

func TestAFailureIsTriedAgainAndSaid(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		tries  int
		wait   time.Duration // 0 = it is given up
		say    string
	}{
		"an error":        {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no disk", 500) }, 0, 5 * time.Second, "500 Internal Server Error: no disk"},
		"the second time": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 1, 5 * time.Minute, "503"},
		"the last time":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, 9, 0, "503"},
		"gone":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, 0, 0, "410"},
		"a redirect":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, 0, 5 * time.Second, "302"},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := httptest.NewServer(test.answer)
			defer receiver.Close()
			d := sending(receiver.URL)
			d.Tries = test.tries
			o := deliver(t, &Sender{Private: true}, d)
			if o.Wait != test.wait || o.GivenUp != (test.wait == 0) || !strings.Contains(o.Failure, test.say) {
				t.Errorf("became %+v; want wait %v and %q", o.Tried, test.wait, test.say)
			}
		})
	}
}

// TestNoWebhookReachesThisMachine: what an admin may type must not turn the server into
// one that asks its neighbours.
func TestNoWebhookReachesThisMachine(t *testing.T) {
	asked := false
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer receiver.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(receiver.URL, "https://"), ":")
	for url, why := range map[string]string{receiver.URL: "private network", "https://localhost:" + port: "private network",
		"https://[::ffff:127.0.0.1]:" + port: "private network", "http://127.0.0.1:" + port: "not https"} {
		if o := deliver(t, &Sender{}, sending(url)); !strings.Contains(o.Failure, why) || asked {
			t.Errorf("%s: %q, want %q", url, o.Failure, why)
		}
	}
	for _, text := range []string{"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:db8::1", "198.18.0.1"} {
		if public(netip.MustParseAddr(text)) {
			t.Errorf("%s is taken for a public address", text)
		}
	}
	for _, text := range []string{"1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "172.32.0.1", "100.128.0.1"} {
		if !public(netip.MustParseAddr(text)) {
			t.Errorf("%s is not taken for a public address", text)
		}
	}
}
