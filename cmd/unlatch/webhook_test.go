package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/api"
	"github.com/unlatch/unlatch/internal/testkit"
	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
	"github.com/unlatch/unlatch/webhook"
)

// TestAReceiverThatIsGoneIsAskedOnce: 410 ends a delivery at once and for good.
func TestAReceiverThatIsGoneIsAskedOnce(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Node: func(c *nodeConfig) { c.WebhooksPrivate = true }})
	var asked atomic.Int64
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(http.StatusGone) }))
	defer gone.Close()
	admin := v.staff()
	var hook api.NewWebhook
	status, code, raw := v.ask(admin, http.MethodPost, "/v1/operator/webhooks", "", `{"label":"x","url":"`+gone.URL+`","events":["alarm.raised"],"reason":"r"}`)
	if status != http.StatusCreated || json.Unmarshal(raw, &hook) != nil {
		t.Fatal(status, code)
	}
	for n := range 3 { // each test ends the rest after the one before: what is due goes out
		if status, code, _ := v.ask(admin, http.MethodPost, "/v1/operator/webhooks/"+hook.ID+"/test", "", ""); status >= 300 {
			t.Fatal(status, code)
		}
		v.until("it is given up", 30*time.Second, func() bool {
			var list api.WebhookList
			if err := admin.do(v.ctx, http.MethodGet, "/v1/operator/webhooks", "", nil, &list); err != nil {
				t.Fatal(err)
			}
			return list.Webhooks[0].Failing == n+1 && list.Webhooks[0].Waiting == 0
		})
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("a receiver that is gone was asked %d times for three events", n)
	}
}

// TestAReceiverThatHangsDelaysNobodyElse: it says nothing for as long as it is asked, with
// a long queue that is older than another receiver's, which hears all of its own meanwhile.
func TestAReceiverThatHangsDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	url := testkit.Database(t)
	if _, err := store.Migrate(ctx, url); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(ctx, store.Config{URL: url, IdentityKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	released := make(chan struct{})
	var asked, heard atomic.Int64
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-released:
		case <-r.Context().Done():
		}
	}))
	defer hangs.Close()
	defer close(released)
	all := make(chan struct{})
	const events = 40
	hears := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if heard.Add(1) == events {
			close(all)
		}
	}))
	defer hears.Close()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for n, hook := range []struct {
		address string
		waiting int
	}{{hangs.URL, 500}, {hears.URL, events}} {
		w := order.Webhook{ID: newUUID(), Label: "x", URL: hook.address, Events: order.EventTypes(), Enabled: true, Created: time.Now()}
		if err := db.AddWebhook(ctx, w, make([]byte, 32), seedAudit("webhook.add", "webhook "+w.ID)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(ctx, `INSERT INTO webhook_deliveries (id, webhook, event, type, body, at, due_at) SELECT gen_random_uuid(), $1, gen_random_uuid(),
			'alarm.raised', '{}', now(), now() - $2::int * interval '1 minute' FROM generate_series(1, $3::int)`, w.ID, 2-n, hook.waiting); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	began := time.Now()
	go func() {
		ended <- (&webhook.Sender{Store: db, Log: slog.New(slog.DiscardHandler), Private: true}).Run(ctx)
	}()
	select {
	case <-all:
		t.Logf("all %d arrived after %v", events, time.Since(began))
	case <-time.After(2 * time.Second):
		t.Errorf("%d of %d events arrived in 2 s beside a receiver that hangs", heard.Load(), events)
	}
	if n := asked.Load(); n == 0 || n > order.WebhookAtOnce {
		t.Errorf("the one that hangs was asked %d times at once, want 1 to %d", n, order.WebhookAtOnce)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
