package main

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/unlatch/unlatch/device/wire"
)

// phone stands beside one bike and speaks to it over Bluetooth.
type phone struct {
	v     *venue
	bike  string
	in    wire.Assembler
	began time.Time
}

// writes carries messages, base64 as in an order's relay, and returns, base64, what the
// lock notified since the last time.
func (p *phone) writes(messages ...string) (words []string) {
	p.v.t.Helper()
	frames := []string{}
	for _, text := range messages {
		m, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			p.v.t.Fatalf("%s cannot be carried: %v", text, err)
		}
		for _, f := range wire.Frames(m) {
			frames = append(frames, hex.EncodeToString(f))
		}
	}
	return p.frames(frames)
}

func (p *phone) frames(frames []string) (words []string) {
	p.v.t.Helper()
	var out struct{ Frames []string }
	body := map[string][]string{"frames": frames}
	if err := (client{base: p.v.stage}).do(p.v.ctx, http.MethodPost, "/devices/"+p.bike+"/bluetooth", "", body, &out); err != nil {
		p.v.t.Fatal(err)
	}
	for _, text := range out.Frames {
		f, err := hex.DecodeString(text)
		if err != nil {
			p.v.t.Fatal(err)
		}
		if m, ok := p.in.Add(f, time.Since(p.began)); ok {
			words = append(words, base64.StdEncoding.EncodeToString(m))
		}
	}
	return words
}

// carried is an order as the phone of its rider needs it.
type carried struct {
	seen
	Next    struct{ What string }
	Relay   *struct{ Send []string }
	Version int64
}

func (v *venue) carried(c client, id string) (o carried) {
	v.t.Helper()
	if err := c.do(v.ctx, http.MethodGet, "/v1/orders/"+id, "", nil, &o); err != nil {
		v.t.Fatal(err)
	}
	if o.Relay == nil {
		v.t.Fatalf("order %s is %s and its phone has nothing to carry", id, o.State)
	}
	return o
}

// relay brings words for an order.
func (v *venue) relay(c client, id string, words ...string) (o carried, err error) {
	return o, c.do(v.ctx, http.MethodPost, "/v1/orders/"+id+"/relay", "", map[string][]string{"words": words}, &o)
}

func (v *venue) relayed(c client, id string, words ...string) carried {
	v.t.Helper()
	o, err := v.relay(c, id, words...)
	if err != nil {
		v.t.Fatal(err)
	}
	return o
}

// overPhone scans a bike and orders it with the phone beside it.
func (v *venue) overPhone(c client, bike string) (o carried) {
	v.t.Helper()
	var scan struct {
		Ticket string
		Device struct {
			Availability string
			Bluetooth    *struct{ Service, Name string }
		}
	}
	if err := c.do(v.ctx, http.MethodPost, "/v1/scans", "", map[string]string{"url": v.codes[bike]}, &scan); err != nil {
		v.t.Fatal(err)
	}
	if b := scan.Device.Bluetooth; b == nil || b.Service != wire.ServiceUUID || b.Name != bike {
		v.t.Errorf("the scan tells Bluetooth %+v, want the service and the lock's name", b)
	}
	request := map[string]string{"ticket": scan.Ticket, "pay_with": "wallet"}
	if scan.Device.Availability == "non_contactable" {
		v.refuses("device_offline", c.do(v.ctx, http.MethodPost, "/v1/orders", scan.Ticket, request, nil))
	}
	request["road"] = "bluetooth"
	if err := c.do(v.ctx, http.MethodPost, "/v1/orders", scan.Ticket, request, &o); err != nil {
		v.t.Fatal(err)
	}
	return o
}

func (v *venue) refuses(code string, err error) {
	v.t.Helper()
	if refusal := (*apiRefusal)(nil); !errors.As(err, &refusal) || refusal.Code != code {
		v.t.Errorf("got %v, want the problem %s", err, code)
	}
}

// forgets makes the database's clock samples of a bike an hour older.
func (v *venue) forgets(bike string) {
	v.t.Helper()
	conn, err := pgx.Connect(v.ctx, v.url)
	if err != nil {
		v.t.Fatal(err)
	}
	defer conn.Close(v.ctx)
	if _, err := conn.Exec(v.ctx, `UPDATE devices SET version = version + 1, heard_at = heard_at - interval '1 hour',
		sample = jsonb_set(sample, '{at}', to_jsonb((sample->>'at')::timestamptz - interval '1 hour')) WHERE id = $1`, bike); err != nil {
		v.t.Fatal(err)
	}
}

func TestALockWithoutANetworkIsRiddenOverBluetooth(t *testing.T) {
	t.Parallel()
	v := newVenue(t, venueConfig{Bikes: []string{"bike-1", "bike-2"}, Phones: true, Riders: []string{"ada", "bob"}})
	ada, bob := v.rider("ada", 0, 5000), v.rider("bob", 0, 5000)
	near, other := &phone{v: v, bike: "bike-1", began: time.Now()}, &phone{v: v, bike: "bike-2", began: time.Now()}
	v.direct("bike-1", "network", map[string]any{"do": "off"})
	v.until("bike-1 has no connection", 20*time.Second, func() bool { return !v.body("bike-1").Connected })
	old := near.writes() // a beat that somebody recorded
	foreign := other.writes()
	if len(old) == 0 || len(foreign) == 0 {
		t.Fatalf("a phone that connects hears %d and %d words, want a beat", len(old), len(foreign))
	}
	v.forgets("bike-1")

	placed := v.overPhone(ada, "bike-1")
	o := v.carried(ada, placed.ID)
	if o.State != "pending" || o.Next.What != "wait_for_relay" {
		t.Fatalf("the order is %s and waits to %s, want pending, wait_for_relay", o.State, o.Next.What)
	}
	waiting := o.Version

	// Words that are old, forged, broken or another lock's start nothing.
	v.relayed(ada, o.ID, old...)
	forged, _ := base64.StdEncoding.DecodeString(old[0])
	forged[len(forged)-1] ^= 1
	for _, bad := range [][]string{{base64.StdEncoding.EncodeToString(forged)}, {"!"}, foreign[:1]} {
		_, err := v.relay(ada, o.ID, bad...)
		v.refuses("word_refused", err)
	}
	_, err := v.relay(ada, o.ID, slices.Repeat(old[:1], 17)...)
	v.refuses("bad_request", err)
	_, err = v.relay(ada, o.ID, slices.Repeat([]string{base64.StdEncoding.EncodeToString(make([]byte, 1024))}, 16)...)
	v.refuses("word_refused", err)
	_, err = v.relay(bob, o.ID, old...)
	v.refuses("order_unknown", err)
	if o = v.carried(ada, o.ID); o.State != "pending" || o.Version != waiting {
		t.Fatalf("the order is %s in version %d, want pending in version %d", o.State, o.Version, waiting)
	}

	// The probe brings a fresh sample, and with it the start.
	first := o.Relay.Send
	o = v.relayed(ada, o.ID, near.writes(first...)...)
	if o.State != "starting" {
		t.Fatalf("after the probe's answer the order is %s, want starting", o.State)
	}
	start := o.Relay.Send
	broken := []string{}
	for _, text := range start { // a bit flips in each first frame, or the last frame is lost
		m, _ := base64.StdEncoding.DecodeString(text)
		frames := wire.Frames(m)
		frames[0][5] ^= 4
		for _, f := range append(frames, wire.Frames(m)[:len(frames)-1]...) {
			broken = append(broken, hex.EncodeToString(f))
		}
	}
	near.frames(broken)
	if moves := len(v.body("bike-1").Movements); moves != 0 {
		t.Fatalf("the lock moved %d times on broken frames", moves)
	}
	o = v.relayed(ada, o.ID, near.writes(start...)...)
	if o.State != "active" {
		t.Fatalf("after the start's answer the order is %s, want active", o.State)
	}
	near.writes(slices.Concat(start, first, start)...) // a phone that cannot stop
	if moves := len(v.body("bike-1").Movements); moves != 1 {
		t.Errorf("the lock moved %d times, want once", moves)
	}

	// The ride ends without a network, and the ack comes back by the same road.
	v.direct("bike-1", "close", nil)
	words := near.writes()
	o = v.relayed(ada, o.ID, words...)
	if o.State != "settled" || o.EndedBy != "device_ended" || o.Charged != o.Quote.Total || o.Charged < 100 {
		t.Fatalf("the order is %s by %s, charged %d of %d", o.State, o.EndedBy, o.Charged, o.Quote.Total)
	}
	near.writes(o.Relay.Send...)
	if j := v.body("bike-1").Journal; j.Acked != j.Highest || v.body("bike-1").Connected {
		t.Errorf("acked %d of %d over the phone alone", j.Acked, j.Highest)
	}
	if again := v.relayed(ada, o.ID, words...); again.Version != o.Version || again.Charged != o.Charged {
		t.Errorf("the same words again: version %d, charged %d; want %d, %d", again.Version, again.Charged, o.Version, o.Charged)
	}

	// Now it was heard: the next order starts at once. Its end comes by both roads.
	second := v.carried(ada, v.overPhone(ada, "bike-1").ID)
	if second.State != "starting" {
		t.Fatalf("with a fresh sample the order is %s, want starting", second.State)
	}
	v.relayed(ada, second.ID, near.writes(second.Relay.Send...)...)
	v.direct("bike-1", "close", nil)
	end := near.writes()
	v.direct("bike-1", "network", map[string]any{"do": "on"})
	var both sync.WaitGroup
	for range 4 {
		both.Go(func() {
			if _, err := v.relay(ada, second.ID, end...); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	v.until("bike-1 is connected and acked", 30*time.Second, func() bool {
		s := v.body("bike-1")
		return s.Connected && s.Journal.Acked == s.Journal.Highest
	})
	last := v.carried(ada, second.ID)
	s := v.body("bike-1")
	if last.State != "settled" || len(s.Movements) != 2 {
		t.Errorf("the second order is %s after %d movements, want settled and 2", last.State, len(s.Movements))
	}
	evidence, err := v.nodes[0].db.EvidenceOf(v.ctx, "bike-1", time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(evidence) != int(s.Journal.Highest) {
		t.Errorf("%d pieces of evidence are stored, and the lock journalled %d", len(evidence), s.Journal.Highest)
	}
	var wallet struct {
		Balance int64 `json:"balance_fen"`
	}
	if err := ada.do(v.ctx, http.MethodGet, "/v1/me/wallet", "", nil, &wallet); err != nil {
		t.Fatal(err)
	}
	if want := 5000 - o.Charged - last.Charged; wallet.Balance != want {
		t.Errorf("the wallet has %d, want %d: each ride is billed once", wallet.Balance, want)
	}
	v.judge("bike-1", "bike-2")
}
