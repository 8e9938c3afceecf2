package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/unlatch/unlatch/order"
)

func (a *API) webhookRoutes(h huma.API) {
	register(a, h, forStaff("list-webhooks", http.MethodGet, "/v1/operator/webhooks", "Who is told of events over HTTP"), a.listWebhooks)
	op := forStaff("add-webhook", http.MethodPost, "/v1/operator/webhooks", "Tell an address of events")
	op.Description += " As Standard Webhooks 1.0.0 has it: headers webhook-id, webhook-timestamp and webhook-signature (v1, HMAC-SHA256). The secret is shown once."
	op.DefaultStatus = http.StatusCreated
	register(a, h, op, a.addWebhook)
	register(a, h, forStaff("put-webhook", http.MethodPut, "/v1/operator/webhooks/{id}", "Change a webhook, or switch it off and on"), a.putWebhook)
	register(a, h, forStaff("remove-webhook", http.MethodPost, "/v1/operator/webhooks/{id}/remove", "Forget a webhook and what waits for it"), a.removeWebhook)
	op = forStaff("rotate-webhook", http.MethodPost, "/v1/operator/webhooks/{id}/rotate", "Give a webhook a new secret")
	op.Description += " For 24 hours every delivery is signed with both."
	register(a, h, op, a.rotateWebhook)
	op = forStaff("test-webhook", http.MethodPost, "/v1/operator/webhooks/{id}/test", "Send an event of type webhook.test")
	op.DefaultStatus = http.StatusAccepted
	register(a, h, op, a.testWebhook)
	register(a, h, forStaff("list-deliveries", http.MethodGet, "/v1/operator/webhooks/{id}/deliveries", "What was sent, newest first"), a.listDeliveries)
	op = forStaff("replay-delivery", http.MethodPost, "/v1/operator/webhooks/{id}/deliveries/{delivery}/replay", "Send an event again")
	op.DefaultStatus = http.StatusAccepted
	register(a, h, op, a.replayDelivery)
}

// webhookOverlap is for how long a rotated secret still signs.
const webhookOverlap = 24 * time.Hour

// Webhook is an address that is told of events.
type Webhook struct {
	ID      string   `json:"id"`
	Label   string   `json:"label"`
	URL     string   `json:"url"`
	Events  []string `json:"events"`
	Enabled bool     `json:"enabled"`
	Failing int      `json:"failing" doc:"Deliveries that were given up since one arrived"`
	// A receiver that fails is asked again after a while, and by one delivery.
	FailedTries int        `json:"failed_tries" doc:"Tries that failed since one arrived; several at once count as one"`
	RestsUntil  *time.Time `json:"rests_until,omitempty" doc:"Nothing is sent before: its newest try failed"`
	Waiting     int64      `json:"waiting" doc:"Deliveries that have still to arrive, at most about 100,000"`
	Dropped     int64      `json:"dropped" doc:"Deliveries that too long a queue lost since the webhook was last changed"`
	CreatedAt   time.Time  `json:"created_at"`
}

// WebhookList is all webhooks, and what they may ask for.
type WebhookList struct {
	Webhooks   []Webhook `json:"webhooks"`
	EventTypes []string  `json:"event_types"`
}

// NewWebhook is a webhook with its secret.
type NewWebhook struct {
	Webhook
	Secret string `json:"secret" doc:"whsec_ and base64, shown this once"`
}

func webhookOf(w order.Webhook) Webhook {
	return Webhook{ID: w.ID, Label: w.Label, URL: w.URL, Events: w.Events, Enabled: w.Enabled, Failing: w.Failing, CreatedAt: w.Created,
		FailedTries: w.Strikes, RestsUntil: optionalTime(w.Rests), Waiting: w.Waiting, Dropped: w.Dropped}
}

type listWebhooksOutput struct{ Body WebhookList }

func (a *API) listWebhooks(ctx context.Context, _ *struct{}) (*listWebhooksOutput, error) {
	rows, err := a.Store.Webhooks(ctx)
	if err != nil {
		return nil, err
	}
	return &listWebhooksOutput{WebhookList{Webhooks: each(rows, webhookOf), EventTypes: order.EventTypes()}}, nil
}

// WebhookBody is what a webhook is to be.
type WebhookBody struct {
	Label   string   `json:"label" minLength:"1" maxLength:"100" pattern:"\\S"`
	URL     string   `json:"url" minLength:"1" maxLength:"2000"`
	Events  []string `json:"events" minItems:"1" maxItems:"20" nullable:"false"`
	Enabled *bool    `json:"enabled,omitempty" doc:"true unless given"`
	Reason  string   `json:"reason" minLength:"1" maxLength:"500" pattern:"\\S"`
}

func (b WebhookBody) webhook() order.Webhook {
	return order.Webhook{Label: b.Label, URL: b.URL, Events: b.Events, Enabled: b.Enabled == nil || *b.Enabled}
}

type addWebhookInput struct{ Body WebhookBody }

type newWebhookOutput struct{ Body NewWebhook }

// drawSecret makes a webhook's secret and the text in which Standard Webhooks hands it out.
func drawSecret() (secret []byte, text string) {
	secret = make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return secret, "whsec_" + base64.StdEncoding.EncodeToString(secret)
}

func (a *API) addWebhook(ctx context.Context, in *addWebhookInput) (*newWebhookOutput, error) {
	w := in.Body.webhook()
	if err := w.Check(); err != nil {
		return nil, err
	}
	w.Created = time.Now()
	w.ID = newID(w.Created)
	secret, text := drawSecret()
	if err := a.Store.AddWebhook(ctx, w, secret, audit(ctx, "webhook.add", "webhook "+w.ID, in.Body.Reason, webhookOf(w))); err != nil {
		return nil, err
	}
	return &newWebhookOutput{NewWebhook{webhookOf(w), text}}, nil
}

type putWebhookInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body WebhookBody
}

func (a *API) putWebhook(ctx context.Context, in *putWebhookInput) (*listWebhooksOutput, error) {
	w := in.Body.webhook()
	w.ID = in.ID
	if err := w.Check(); err != nil {
		return nil, err
	}
	if err := a.Store.PutWebhook(ctx, w, audit(ctx, "webhook.put", "webhook "+w.ID, in.Body.Reason,
		map[string]any{"label": w.Label, "url": w.URL, "events": w.Events, "enabled": w.Enabled})); err != nil {
		return nil, instead(err, errWebhookUnknown)
	}
	return a.listWebhooks(ctx, nil)
}

type webhookActInput struct {
	ID   string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Body ReasonBody
}

type webhookPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

func (a *API) removeWebhook(ctx context.Context, in *webhookActInput) (*struct{}, error) {
	act := audit(ctx, "webhook.remove", "webhook "+in.ID, in.Body.Reason, nil)
	return nil, instead(a.Store.RemoveWebhook(ctx, in.ID, act), errWebhookUnknown)
}

// WebhookSecret is a webhook's new secret.
type WebhookSecret struct {
	Secret string `json:"secret" doc:"Shown this once; the old one signs too for 24 hours"`
}

type webhookSecretOutput struct{ Body WebhookSecret }

func (a *API) rotateWebhook(ctx context.Context, in *webhookActInput) (*webhookSecretOutput, error) {
	secret, text := drawSecret()
	act := audit(ctx, "webhook.rotate", "webhook "+in.ID, in.Body.Reason, nil)
	if err := a.Store.RotateWebhook(ctx, in.ID, secret, webhookOverlap, act); err != nil {
		return nil, instead(err, errWebhookUnknown)
	}
	return &webhookSecretOutput{WebhookSecret{text}}, nil
}

func (a *API) testWebhook(ctx context.Context, in *webhookPath) (*struct{}, error) {
	now := time.Now()
	id := newID(now)
	data, _ := json.Marshal(map[string]string{"webhook": in.ID}) // of plain strings: cannot fail
	body, err := json.Marshal(order.Event(id, order.EventTest, now, order.Update{Subject: "webhook." + in.ID, Payload: data}))
	if err != nil {
		return nil, err
	}
	err = a.Store.TestWebhook(ctx, in.ID, id, body, audit(ctx, "webhook.test", "webhook "+in.ID, "", nil))
	return nil, instead(err, errWebhookUnknown)
}

// Delivery is one event for one webhook.
type Delivery struct {
	ID        string          `json:"id"`
	Event     string          `json:"event" doc:"The header webhook-id: the same for every try and replay"`
	Type      string          `json:"type"`
	Body      json.RawMessage `json:"body"`
	At        time.Time       `json:"at"`
	State     string          `json:"state" enum:"arrived,waiting,given_up"`
	DueAt     *time.Time      `json:"due_at,omitempty" doc:"Of the next try"`
	Tries     int             `json:"tries"`
	Status    int             `json:"status,omitempty" doc:"Of the newest answer"`
	Error     string          `json:"error,omitempty"`
	ArrivedAt *time.Time      `json:"arrived_at,omitempty"`
}

// DeliveryPage is one page of deliveries.
type DeliveryPage struct {
	Deliveries []Delivery `json:"deliveries"`
	NextCursor string     `json:"next_cursor,omitempty"`
}

type listDeliveriesInput struct {
	PageQuery
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

type listDeliveriesOutput struct{ Body DeliveryPage }

func (a *API) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*listDeliveriesOutput, error) {
	after, err := in.after()
	if err != nil {
		return nil, err
	}
	rows, err := a.Store.Deliveries(ctx, in.ID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	rows, next := cut(rows, in.Limit, func(d order.Delivery) string { return d.ID })
	return &listDeliveriesOutput{DeliveryPage{NextCursor: next, Deliveries: each(rows, func(d order.Delivery) Delivery {
		v := Delivery{ID: d.ID, Event: d.Event, Type: d.Type, Body: d.Body, At: d.At, State: "given_up", DueAt: optionalTime(d.DueAt),
			Tries: d.Tries, Status: d.Status, Error: d.Error, ArrivedAt: optionalTime(d.DoneAt)}
		if v.ArrivedAt != nil {
			v.State = "arrived"
		} else if v.DueAt != nil {
			v.State = "waiting"
		}
		return v
	})}}, nil
}

type deliveryPath struct {
	ID       string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Delivery string `path:"delivery" pattern:"^[A-Za-z0-9_-]{1,64}$"`
}

func (a *API) replayDelivery(ctx context.Context, in *deliveryPath) (*struct{}, error) {
	err := a.Store.ReplayDelivery(ctx, in.ID, in.Delivery, audit(ctx, "webhook.replay", "webhook "+in.ID, "", map[string]string{"delivery": in.Delivery}))
	return nil, instead(err, errDeliveryUnknown)
}
