package order

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Webhook is an address that is told of events, as Standard Webhooks 1.0.0 has it.
type Webhook struct {
	ID      string
	Label   string
	URL     string // https, or http where the sender may reach private addresses
	Events  []string
	Enabled bool
	Failing int // deliveries given up since one arrived
	Created time.Time
	Version int64
	// Strikes are tries that failed since one arrived; several at once count as one.
	Strikes int
	// Rests: nothing is tried before this moment; zero = its newest try arrived.
	Rests time.Time
	// Dropped are deliveries that too long a queue lost, since the webhook was last changed.
	Dropped int64
	Waiting int64 // deliveries that have still to arrive
}

// What one webhook may take of the sender, so that one that hangs or is gone delays no
// other and fills no disk.
const (
	// WebhookAtOnce is how many of its deliveries are tried at once, by all replicas; after
	// one failed it is one.
	WebhookAtOnce = 4
	// WebhookQueue is how many of its deliveries wait at most; the oldest go first.
	WebhookQueue = 100_000
)

// WebhookRest is for how long a webhook is left alone after so many failed tries.
func WebhookRest(strikes int) time.Duration {
	return min(5*time.Second<<min(max(strikes-1, 0), 10), 5*time.Minute)
}

// The types of events that webhooks may ask for.
const (
	EventAlarmRaised  = "alarm.raised"
	EventAlarmCleared = "alarm.cleared"
	EventOrderActive  = "order.active"
	EventOrderSettled = "order.settled"
	EventOrderVoided  = "order.voided"
	EventUnresolved   = "order.unresolved"
	EventTest         = "webhook.test" // on demand; nobody asks for it
)

// EventTypes lists what a webhook may ask for.
func EventTypes() []string {
	return []string{EventAlarmRaised, EventAlarmCleared, EventOrderActive, EventOrderSettled, EventOrderVoided, EventUnresolved}
}

// Check returns ErrInvalid, saying what to do.
func (w Webhook) Check() error {
	bad := func(text string) error { return fmt.Errorf("%s: %w", text, ErrInvalid) }
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return bad("url must be an https address without a name, a password or a #fragment")
	case len(w.URL) > 2000:
		return bad("url has more than 2000 characters")
	case len(w.Events) == 0:
		return bad("events must name at least one of " + strings.Join(EventTypes(), ", "))
	case strings.TrimSpace(w.Label) == "":
		return bad("label must say whom it tells")
	}
	for _, e := range w.Events {
		if !slices.Contains(EventTypes(), e) {
			return bad("events knows " + strings.Join(EventTypes(), ", ") + "; not " + e)
		}
	}
	return nil
}

// Delivery is one event on its way to one webhook. Its body is the same for every try and
// every webhook.
type Delivery struct {
	ID      string
	Webhook string
	Event   string // id of the event: whoever hears it twice knows it by this
	Type    string
	Body    json.RawMessage
	At      time.Time
	DueAt   time.Time // of the next try; zero = never again
	Tries   int
	Status  int    // of the newest answer; 0 = there was none
	Error   string // of the newest try
	DoneAt  time.Time
}

// Sending is a delivery with what its try needs.
type Sending struct {
	Delivery
	URL     string
	Secrets [][]byte // the newest first; each signs
}

// Tried is what became of one try.
type Tried struct {
	Status  int    // of the answer; 0 = there was none
	Failure string // "" = it arrived
	// Wait is until the next try. GivenUp: there is none. Neither counts when it arrived.
	Wait    time.Duration
	GivenUp bool
}

// retries are the waits between tries; after the last the delivery is given up. They are
// those that the Standard Webhooks specification recommends.
var retries = []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour}

// NextTry is the wait after so many failed tries; ok is false when it is given up.
func NextTry(tries int) (wait time.Duration, ok bool) {
	if tries < 1 || tries > len(retries) {
		return 0, false
	}
	return retries[tries-1], true
}

// EventOf says which event an update of the outbox is for webhooks; "" = none. Of an order
// only the update that brought it into its state is one: it is updated for much else.
func EventOf(u Update) string {
	noun, _, _ := strings.Cut(u.Subject, ".")
	var said struct {
		State string `json:"state"`
	}
	if noun != "order" && noun != "alarm" || noun == "order" && !u.Moved || json.Unmarshal(u.Payload, &said) != nil {
		return ""
	}
	if name := noun + "." + said.State; slices.Contains(EventTypes(), name) {
		return name
	}
	return ""
}

// CloudEvent is an event as webhooks get it: the attributes of CloudEvents 1.0, and data.
type CloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
}

// Event makes the event of an update. What has happened to an order or alarm since is read
// over the API: data names it and its state.
func Event(id, kind string, at time.Time, u Update) CloudEvent {
	return CloudEvent{SpecVersion: "1.0", ID: id, Source: "/unlatch", Type: kind, Subject: strings.Replace(u.Subject, ".", "/", 1), Time: at.UTC(),
		DataContentType: "application/json", Data: u.Payload}
}
