package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/order"
	"github.com/unlatch/unlatch/store"
)

func hookAudit(act string) order.Audit {
	return order.Audit{ID: uuid.NewString(), Staff: "test", Act: act, Object: "webhook", At: time.Now()}
}

// hooked adds a webhook for which n events wait, each a millisecond after the one before.
func hooked(t *testing.T, db *store.DB, conn *pgx.Conn, label string, n int) order.Webhook {
	t.Helper()
	w := order.Webhook{ID: uuid.NewString(), Label: label, URL: "https://" + label + ".example/", Events: []string{order.EventAlarmRaised}, Enabled: true, Created: time.Now()}
	if err := db.AddWebhook(t.Context(), w, make([]byte, 32), hookAudit("webhook.add")); err != nil {
		t.Fatal(err)
	}
	run(t, conn, `INSERT INTO webhook_deliveries (id, webhook, event, type, body, at, due_at) SELECT gen_random_uuid(), $1, gen_random_uuid(), 'alarm.raised', '{}',
		now() - interval '1 hour' + n * interval '1 millisecond', now() - interval '1 hour' + n * interval '1 millisecond' FROM generate_series(1, $2::int) n`, w.ID, n)
	return w
}

// TestAWebhookTakesNoMoreThanItsShare: however many replicas take at once, and however
// long its queue is, it leaves room for others.
func TestAWebhookTakesNoMoreThanItsShare(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	long, short := hooked(t, db, conn, "long", 200), hooked(t, db, conn, "short", 2)
	var replicas sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	for range 8 {
		replicas.Go(func() {
			due, err := db.TakeDeliveries(t.Context(), 50)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, d := range due {
				count[d.Webhook]++
			}
		})
	}
	replicas.Wait()
	if count[long.ID] != order.WebhookAtOnce || count[short.ID] != 2 {
		t.Errorf("eight replicas took %d of the long queue and %d of the short one, want %d and 2", count[long.ID], count[short.ID], order.WebhookAtOnce)
	}
	// Who died with them in hand leaves them to others after a minute.
	run(t, conn, `UPDATE webhook_deliveries SET due_at = now() - interval '1 second' WHERE taken`)
	if due, err := db.TakeDeliveries(t.Context(), 50); err != nil || len(due) != order.WebhookAtOnce+2 {
		t.Errorf("a minute after their taker died %d are taken, %v", len(due), err)
	}
}

// TestAFailingWebhookIsLeftAlone: its queue waits for one try, longer each time, and
// flows again once one arrived.
func TestAFailingWebhookIsLeftAlone(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	bad := hooked(t, db, conn, "bad", 50)
	hooked(t, db, conn, "good", 50)
	take := func() (all []order.Sending, ofBad []order.Sending) {
		t.Helper()
		all, err := db.TakeDeliveries(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			if d.Webhook == bad.ID {
				ofBad = append(ofBad, d)
			}
		}
		return all, ofBad
	}
	became := func(of []order.Sending, failure string) {
		t.Helper()
		for _, d := range of {
			if err := db.Delivered(t.Context(), d.Delivery, order.Tried{Status: 500, Failure: failure, Wait: 5 * time.Second}); err != nil {
				t.Fatal(err)
			}
		}
	}
	rest := func() (w order.Webhook) {
		t.Helper()
		all, err := db.Webhooks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, w = range all {
			if w.ID == bad.ID {
				return w
			}
		}
		t.Fatal("the webhook is gone")
		return w
	}
	all, ofBad := take()
	if len(all) != 2*order.WebhookAtOnce || len(ofBad) != order.WebhookAtOnce {
		t.Fatalf("%d taken, %d of one", len(all), len(ofBad))
	}
	became(ofBad, "down") // four that were under way together are one strike
	if w := rest(); w.Strikes != 1 || time.Until(w.Rests) < 3*time.Second || time.Until(w.Rests) > 6*time.Second || w.Waiting != 50 {
		t.Errorf("after its first failures: %+v", w)
	}
	if _, ofBad = take(); len(ofBad) != 0 {
		t.Errorf("%d are tried while it rests", len(ofBad))
	}
	for strike := 2; strike < 9; strike++ {
		run(t, conn, `UPDATE webhooks SET rest_until = now() WHERE id = $1`, bad.ID)
		if _, ofBad = take(); len(ofBad) != 1 {
			t.Fatalf("%d are tried after its rest, want one", len(ofBad))
		}
		became(ofBad, "down")
		if w := rest(); w.Strikes != strike || time.Until(w.Rests) < order.WebhookRest(strike)-2*time.Second || time.Until(w.Rests) > order.WebhookRest(strike)+time.Second {
			t.Errorf("strike %d: %+v", strike, w)
		}
	}
	run(t, conn, `UPDATE webhooks SET rest_until = now() WHERE id = $1`, bad.ID)
	_, ofBad = take()
	became(ofBad, "")
	if w := rest(); w.Strikes != 0 || !w.Rests.IsZero() || w.Waiting != 49 {
		t.Errorf("after one arrived: %+v", w)
	}
	if _, ofBad = take(); len(ofBad) != order.WebhookAtOnce {
		t.Errorf("%d are tried once it is well, want %d", len(ofBad), order.WebhookAtOnce)
	}

	// Staff who send a test want to see it now.
	became(ofBad, "down")
	if err := db.TestWebhook(t.Context(), bad.ID, uuid.NewString(), []byte(`{}`), hookAudit("webhook.test")); err != nil {
		t.Fatal(err)
	}
	if _, ofBad = take(); len(ofBad) != 1 {
		t.Errorf("%d are tried after staff sent a test", len(ofBad))
	}
}

// TestAQueueThatIsTooLongLosesItsOldest: and says so at its webhook.
func TestAQueueThatIsTooLongLosesItsOldest(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	long, short := hooked(t, db, conn, "long", 2_500), hooked(t, db, conn, "short", 100)
	dropped, err := db.TrimDeliveries(t.Context(), 100)
	if err != nil || dropped != 2_400 {
		t.Fatalf("%d dropped, %v, want 2400", dropped, err)
	}
	all, err := db.Webhooks(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, w := range all {
		if want := map[string]int64{long.ID: 2_400, short.ID: 0}[w.ID]; w.Dropped != want || w.Waiting != 100 {
			t.Errorf("%s: %d dropped, %d wait, want %d and 100", w.Label, w.Dropped, w.Waiting, want)
		}
	}
	var oldest int
	if err := conn.QueryRow(t.Context(), `SELECT round(extract(epoch FROM min(at) - (SELECT max(at) FROM webhook_deliveries WHERE webhook = $1)) * 1000)
		FROM webhook_deliveries WHERE webhook = $1`, long.ID).Scan(&oldest); err != nil || oldest != -99 {
		t.Errorf("the oldest left is %d ms from the newest, %v, want the newest hundred", oldest, err)
	}
	if again, err := db.TrimDeliveries(t.Context(), 100); err != nil || again != 0 {
		t.Errorf("a second look drops %d, %v", again, err)
	}
}

// TestAWebhookIsForgottenAtOnceAndItsDeliveriesInSlices: no statement deletes them all.
func TestAWebhookIsForgottenAtOnceAndItsDeliveriesInSlices(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	many, kept := hooked(t, db, conn, "many", 10_000), hooked(t, db, conn, "kept", 3)
	count := func(of order.Webhook) (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM webhook_deliveries WHERE webhook = $1`, of.ID).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := db.RemoveWebhook(t.Context(), many.ID, hookAudit("webhook.remove")); err != nil {
		t.Fatal(err)
	}
	if n := count(many); n != 10_000 {
		t.Errorf("removing deleted %d deliveries in its own transaction", 10_000-n)
	}
	if all, err := db.Webhooks(t.Context()); err != nil || len(all) != 1 || all[0].ID != kept.ID {
		t.Errorf("webhooks are %+v, %v", all, err)
	}
	var secret string
	if err := conn.QueryRow(t.Context(), `SELECT url || coalesce(old_secret::text, '') || trim(LEADING '0' FROM encode(secret, 'hex')) FROM webhooks WHERE id = $1`, many.ID).Scan(&secret); err != nil || secret != "" {
		t.Errorf("of the removed one %q is kept, %v", secret, err)
	}
	for what, err := range map[string]error{"put": db.PutWebhook(t.Context(), many, hookAudit("webhook.put")), "remove": db.RemoveWebhook(t.Context(), many.ID, hookAudit("webhook.remove")),
		"test": db.TestWebhook(t.Context(), many.ID, uuid.NewString(), []byte(`{}`), hookAudit("webhook.test"))} {
		if !errors.Is(err, order.ErrNotFound) {
			t.Errorf("%s of a removed one: %v", what, err)
		}
	}
	if due, err := db.TakeDeliveries(t.Context(), 100); err != nil || len(due) != 3 {
		t.Errorf("%d are sent, %v, want those of the other one", len(due), err)
	}
	gone, err := db.Sweep(t.Context(), store.DefaultRetention)
	if err != nil || gone["webhook_deliveries"] != 10_000 || gone["webhooks"] != 1 || count(kept) != 3 {
		t.Errorf("swept %v, %v", gone, err)
	}
	// What refers to a webhook is found by an index, here and by the foreign key.
	var indexed bool
	if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = 'webhook_deliveries'::regclass AND a.attname = 'webhook' AND i.indpred IS NULL)`).Scan(&indexed); err != nil || !indexed {
		t.Errorf("no index begins with the webhook: %v", err)
	}
}

// TestWhatIsGivenUpStaysSo: it is never due again, and its webhook counts it.
func TestWhatIsGivenUpStaysSo(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	hooked(t, db, conn, "gone", 1)
	due, err := db.TakeDeliveries(t.Context(), 10)
	if err != nil || len(due) != 1 {
		t.Fatal(due, err)
	}
	if err := db.Delivered(t.Context(), due[0].Delivery, order.Tried{Status: 410, Failure: "answered 410 Gone", GivenUp: true}); err != nil {
		t.Fatal(err)
	}
	run(t, conn, `UPDATE webhooks SET rest_until = NULL, strikes = 0`)
	if again, err := db.TakeDeliveries(t.Context(), 10); err != nil || len(again) != 0 {
		t.Errorf("given up, and taken again: %v, %v", again, err)
	}
	all, err := db.Webhooks(t.Context())
	if err != nil || all[0].Failing != 1 || all[0].Waiting != 0 {
		t.Errorf("%d given up, %d wait, %v; want 1 and 0", all[0].Failing, all[0].Waiting, err)
	}
	list, err := db.Deliveries(t.Context(), all[0].ID, "", 10)
	if err != nil || len(list) != 1 || !list[0].DueAt.IsZero() || !list[0].DoneAt.IsZero() || list[0].Tries != 1 || list[0].Status != 410 {
		t.Errorf("deliveries are %+v, %v", list, err)
	}
}

// TestReplicasThatTrimAtOnceDropNoMoreThanIsTooMany.
func TestReplicasThatTrimAtOnceDropNoMoreThanIsTooMany(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	for _, label := range []string{"a", "b"} {
		hooked(t, db, conn, label, 2_600)
	}
	var replicas sync.WaitGroup
	for range 6 {
		replicas.Go(func() {
			if _, err := db.TrimDeliveries(t.Context(), 2_000); err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	all, err := db.Webhooks(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, w := range all {
		if w.Waiting != 2_000 || w.Dropped != 600 {
			t.Errorf("%s: %d wait, %d were dropped; want 2000 and 600", w.Label, w.Waiting, w.Dropped)
		}
	}
}

// TestALateWordOfATryChangesNothing: what became of a try is of its own taking; another
// replica's, or a replay of staff's, goes on as it was.
func TestALateWordOfATryChangesNothing(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	hooked(t, db, conn, "w", 1)
	take := func() order.Delivery {
		t.Helper()
		due, err := db.TakeDeliveries(t.Context(), 10)
		if err != nil || len(due) != 1 {
			t.Fatal(due, err)
		}
		return due[0].Delivery
	}
	became := func(d order.Delivery, what order.Tried) {
		t.Helper()
		if err := db.Delivered(t.Context(), d, what); err != nil {
			t.Fatal(err)
		}
	}
	is := func() (d order.Delivery, w order.Webhook) {
		t.Helper()
		all, err := db.Webhooks(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		list, err := db.Deliveries(t.Context(), all[0].ID, "", 10)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		return list[0], all[0]
	}
	failed := order.Tried{Failure: "no answer", Wait: 5 * time.Second}
	slow := take()
	run(t, conn, `UPDATE webhook_deliveries SET due_at = now() - interval '1 second'`) // a minute passes
	second := take()
	became(slow, failed)
	if d, w := is(); !d.DueAt.Equal(second.DueAt) || d.Tries != 0 || w.Strikes != 0 {
		t.Errorf("while another replica tries it the slow one noted %+v, %d strikes", d, w.Strikes)
	}
	became(second, order.Tried{Status: 200})
	became(slow, failed)
	if d, w := is(); !d.DueAt.IsZero() || d.DoneAt.IsZero() || d.Tries != 1 || w.Strikes != 0 {
		t.Errorf("it arrived, and is %+v, %d strikes", d, w.Strikes)
	}
	// Staff replay it while its last try is under way.
	run(t, conn, `UPDATE webhook_deliveries SET due_at = now() - interval '1 second', done_at = NULL, tries = 9`)
	last := take()
	if err := db.ReplayDelivery(t.Context(), last.Webhook, last.ID, hookAudit("webhook.replay")); err != nil {
		t.Fatal(err)
	}
	became(last, order.Tried{Status: 500, Failure: "down", GivenUp: true})
	if d, w := is(); d.DueAt.IsZero() || d.Tries != 0 || w.Failing != 0 {
		t.Errorf("a replay is given up with the try before it: %+v, %d given up", d, w.Failing)
	}
}

// TestTheMarkOfAMoveIsNotToldToStreams: it reaches webhooks, and neither the payload that
// is routed nor what a webhook hears has it.
func TestTheMarkOfAMoveIsNotToldToStreams(t *testing.T) {
	db, url := open(t)
	conn := owner(t, url)
	w := order.Webhook{ID: uuid.NewString(), Label: "w", URL: "https://w.example/", Events: []string{order.EventOrderSettled}, Enabled: true, Created: time.Now()}
	if err := db.AddWebhook(t.Context(), w, make([]byte, 32), hookAudit("webhook.add")); err != nil {
		t.Fatal(err)
	}
	moved, touched := order.Update{Subject: "order.a", Payload: []byte(`{"id": "a", "state": "settled"}`), Moved: true},
		order.Update{Subject: "order.b", Payload: []byte(`{"id": "b", "state": "settled"}`)}
	if err := db.Apply(t.Context(), order.Changes{Updates: []order.Update{moved, touched}}); err != nil {
		t.Fatal(err)
	}
	var routed []order.Update
	if _, err := db.Relay(t.Context(), 10, func(us []order.Update) error { routed = us; return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]order.Update{moved, touched}, routed); diff != "" {
		t.Errorf("routed (-want +got):\n%s", diff)
	}
	var heard string
	if err := conn.QueryRow(t.Context(), `SELECT string_agg(body->>'data', ' ') FROM webhook_deliveries`).Scan(&heard); err != nil || heard != string(moved.Payload) {
		t.Errorf("the webhook hears %s, %v; want %s", heard, err, moved.Payload)
	}
}
