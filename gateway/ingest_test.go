package gateway

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/device/wire"
	"github.com/unlatch/unlatch/order"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// private is the key of a device's epoch, or of whoever n stands for.
func private(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(slices.Repeat([]byte{n}, ed25519.SeedSize))
}

func public(n byte) ed25519.PublicKey { return private(n).Public().(ed25519.PublicKey) }

// ring holds devices' keys as a test scripts them. Its zero value knows nobody.
type ring struct {
	mu    sync.Mutex
	keys  map[device.ID][]Key
	err   error
	asked int
}

func (r *ring) Keys(_ context.Context, id device.ID) ([]Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return r.keys[id], r.err
}

func (r *ring) set(id device.ID, keys ...Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.keys = map[device.ID][]Key{}
	}
	r.keys[id] = keys
}

// ear takes words in; its zero value acks everything.
type ear struct {
	mu    sync.Mutex
	heard []order.Hear
	hear  func(order.Hear) (order.Heard, error)
}

func (e *ear) Hear(_ context.Context, h order.Hear) (order.Heard, error) {
	if e.hear != nil {
		if r, err := e.hear(h); err != nil {
			return r, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard = append(e.heard, h)
	if p := h.Word.Evidence; p != nil {
		return order.Heard{Ack: &device.Ack{Journal: p.Journal, N: p.Seq}}, nil
	}
	return order.Heard{}, nil
}

// air is what was published.
type air struct {
	mu   sync.Mutex
	sent []sending
	err  error
}

type sending struct {
	topic   string
	payload []byte
}

func (a *air) Publish(topic string, payload []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	a.sent = append(a.sent, sending{topic, payload})
	return nil
}

func (a *air) all() []sending {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.sent)
}

const server = 200

type parts struct {
	in   *Ingest
	keys *ring
	ear  *ear
	air  *air
}

func ingest(t *testing.T, bend ...func(*IngestConfig)) parts {
	t.Helper()
	p := parts{keys: &ring{}, ear: &ear{}, air: &air{}}
	p.keys.set("bike-1", Key{1, public(1)})
	c := IngestConfig{Hearer: p.ear, Keys: p.keys, Publisher: p.air, Sealer: Sealer{Signer: wire.NewSigner(private(server))}}
	for _, f := range bend {
		f(&c)
	}
	in, err := NewIngest(c)
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	return p
}

func evidence(t *testing.T, id string, key byte, epoch uint32, seq uint64) []byte {
	t.Helper()
	b, err := wire.SealEvidence(wire.NewSigner(private(key)), id, wire.Evidence{Epoch: epoch, Outlet: 1, Boot: wire.Boot{1}, Kind: wire.EvidenceAlarm,
		Uptime: 10 * seq, Journal: wire.Journal{7}, Seq: seq, Closed: true, Reason: wire.ReasonTamper})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func beat(t *testing.T, id string, key byte, epoch uint32) []byte {
	t.Helper()
	b, err := wire.SealBeat(wire.NewSigner(private(key)), id, wire.Beat{Epoch: epoch, Boot: wire.Boot{1}, Uptime: 5, Journal: wire.Journal{7},
		Lowest: 1, Highest: 2, Firmware: "1.0", Outlets: []wire.OutletBeat{{Outlet: 1, LastSeq: 4, Closed: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// counted is Counts as plain numbers.
type counted struct{ heard, dropped, malformed, forged, unknown, quarantined, failed, acked int64 }

func (p parts) counted() counted {
	c := p.in.Counts()
	return counted{c.Heard.Load(), c.Dropped.Load(), c.Malformed.Load(), c.Forged.Load(), c.Unknown.Load(), c.Quarantined.Load(), c.Failed.Load(), c.Acked.Load()}
}

func TestOnlyAVerifiedWordIsHeard(t *testing.T) {
	good := evidence(t, "bike-1", 1, 1, 1)
	bent := slices.Clone(good)
	bent[len(bent)-1] ^= 1
	const up = "ul/1/bike-1/up/evt"
	for _, c := range []struct {
		name    string
		topic   string
		payload []byte
		want    counted
	}{
		{"evidence", up, good, counted{heard: 1}},
		{"a beat", up, beat(t, "bike-1", 1, 1), counted{heard: 1}},
		{"nothing", up, nil, counted{malformed: 1}},
		{"noise", up, []byte("hello"), counted{malformed: 1}},
		{"cut short", up, good[:len(good)-1], counted{malformed: 1}},
		{"oversized", up, append(slices.Clone(good), make([]byte, wire.MaxUplink)...), counted{malformed: 1}},
		{"a bent signature", up, bent, counted{forged: 1}},
		{"signed by another device", up, evidence(t, "bike-1", 9, 1, 1), counted{forged: 1}},
		{"said for another device", up, evidence(t, "bike-2", 1, 1, 1), counted{forged: 1}},
		{"the key of one epoch, the word of another", up, evidence(t, "bike-1", 1, 2, 1), counted{forged: 1}},
		{"the server's own key", up, evidence(t, "bike-1", server, 1, 1), counted{forged: 1}},
		{"an unknown device", "ul/1/bike-9/up/evt", evidence(t, "bike-9", 1, 1, 1), counted{unknown: 1}},
		{"a command topic", "ul/1/bike-1/cmd", good, counted{malformed: 1}},
		{"another version's topic", "ul/2/bike-1/up/evt", good, counted{malformed: 1}},
		{"a wildcard", "ul/1/+/up/evt", good, counted{malformed: 1}},
		{"no topic", "", good, counted{malformed: 1}},
		{"noise as telemetry", "ul/1/bike-1/up/tel", []byte("hello"), counted{malformed: 1}},
		{"noise as presence", "ul/1/bike-1/up/pre", []byte("hello"), counted{malformed: 1}},
	} {
		p := ingest(t)
		p.in.Take(t.Context(), c.topic, c.payload)
		if got := p.counted(); got != c.want {
			t.Errorf("%s: counted %+v, want %+v", c.name, got, c.want)
		}
		if got := len(p.ear.heard); got != int(c.want.heard) {
			t.Errorf("%s: heard %d words, want %d", c.name, got, c.want.heard)
		}
		p.in.flush()
		if acked := len(p.air.all()); c.want.heard == 0 && acked != 0 {
			t.Errorf("%s: %d acks for a word that was refused", c.name, acked)
		}
	}
}

func TestAWordIsTranslatedWithItsProof(t *testing.T) {
	p := ingest(t)
	raw := evidence(t, "bike-1", 1, 1, 3)
	p.in.Take(t.Context(), "ul/1/bike-1/up/evt", raw)
	p.in.Take(t.Context(), "ul/1/bike-1/up/evt", beat(t, "bike-1", 1, 1))
	e, b := p.ear.heard[0].Word.Evidence, p.ear.heard[1].Word.Beat
	if e == nil || e.Device != "bike-1" || e.Seq != 3 || e.Kind != device.Alarm || e.Reason != "tamper" || !e.Closed || e.Uptime != 30 ||
		string(e.Raw) != string(raw) || !e.Received.IsZero() || e.Journal != (device.Journal{7}) {
		t.Errorf("evidence: %+v", e)
	}
	if b == nil || b.Highest != 2 || b.Firmware != "1.0" || len(b.Outlets) != 1 || b.Outlets[0].LastSeq != 4 || !b.Outlets[0].Closed {
		t.Errorf("beat: %+v", b)
	}
}

func TestAWordCountsForTheEpochWhoseKeySignedIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		key   byte
		epoch uint32
		want  counted
	}{
		{"the current epoch", 2, 2, counted{heard: 1}},
		{"late evidence of the earlier epoch", 1, 1, counted{heard: 1}},
		{"the old key in the new epoch", 1, 2, counted{forged: 1}},
		{"the new key in the old epoch", 2, 1, counted{forged: 1}},
		{"an epoch to come", 2, 3, counted{forged: 1}},
	} {
		p := ingest(t)
		p.keys.set("bike-1", Key{1, public(1)}, Key{2, public(2)})
		p.in.Take(t.Context(), "ul/1/bike-1/up/evt", evidence(t, "bike-1", c.key, c.epoch, 1))
		if got := p.counted(); got != c.want {
			t.Errorf("%s: counted %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestADeviceProvisionedAnewIsHeardAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := ingest(t)
		take := func(key byte, epoch uint32) {
			p.in.Take(t.Context(), "ul/1/bike-1/up/evt", evidence(t, "bike-1", key, epoch, 1))
		}
		take(1, 1)
		p.keys.set("bike-1", Key{1, public(1)}, Key{2, public(2)})
		time.Sleep(2 * time.Second)
		take(2, 2)
		if got := p.counted(); got != (counted{heard: 2}) || p.keys.asked != 2 {
			t.Errorf("counted %+v, keys asked for %d times; want both heard, 2", got, p.keys.asked)
		}
		for range 100 { // a stranger must not make us ask for each word
			take(9, 1)
		}
		if p.keys.asked > 3 {
			t.Errorf("keys asked for %d times by one stranger in an instant", p.keys.asked)
		}
	})
}

func TestARetiredDeviceIsSoonNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := ingest(t)
		take := func() { p.in.Take(t.Context(), "ul/1/bike-1/up/evt", evidence(t, "bike-1", 1, 1, 1)) }
		take()
		p.keys.set("bike-1")
		time.Sleep(31 * time.Second)
		take()
		if got := p.counted(); got != (counted{heard: 1, unknown: 1}) {
			t.Errorf("counted %+v, want heard once, then unknown", got)
		}
	})
}

func TestAStoreThatIsAwayIsNotTheDevicesFault(t *testing.T) {
	p := ingest(t)
	p.keys.err = errors.New("the database is away")
	p.in.Take(t.Context(), "ul/1/bike-1/up/evt", evidence(t, "bike-1", 1, 1, 1))
	if got := p.counted(); got != (counted{failed: 1}) {
		t.Errorf("no keys: counted %+v, want failed", got)
	}
	p = ingest(t)
	p.ear.hear = func(order.Hear) (order.Heard, error) { return order.Heard{}, order.ErrBusy }
	p.in.Take(t.Context(), "ul/1/bike-1/up/evt", evidence(t, "bike-1", 1, 1, 1))
	p.in.flush()
	if got := p.counted(); got != (counted{failed: 1}) || len(p.air.all()) != 0 {
		t.Errorf("not taken in: counted %+v, %d acks; want failed, 0", got, len(p.air.all()))
	}
}

// TestAnAckFollowsTheCommitAndCoversABurst is promise E1 at the gateway.
func TestAnAckFollowsTheCommitAndCoversABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := ingest(t)
		p.keys.set("bike-2", Key{1, public(2)})
		p.ear.hear = func(h order.Hear) (order.Heard, error) {
			if e := h.Word.Evidence; e.Seq == 4 && h.Device == "bike-1" {
				return order.Heard{Ack: &device.Ack{Journal: e.Journal, N: 4}}, order.ErrBusy
			}
			time.Sleep(time.Millisecond) // a commit takes its time
			return order.Heard{}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.in.Run(ctx) }()
		for seq := uint64(1); seq <= 4; seq++ {
			if !p.in.Offer("ul/1/bike-1/up/evt", evidence(t, "bike-1", 1, 1, seq)) {
				t.Errorf("word %d was not taken", seq)
			}
		}
		p.in.Offer("ul/1/bike-2/up/evt", evidence(t, "bike-2", 2, 1, 1))
		time.Sleep(99 * time.Millisecond)
		if n := len(p.air.all()); n != 0 {
			t.Errorf("%d acks before they were gathered", n)
		}
		time.Sleep(2 * time.Millisecond)
		got := map[string]uint64{}
		for _, s := range p.air.all() {
			id, channel, err := wire.ParseTopic(s.topic)
			if err != nil || channel != wire.ChannelCommand {
				t.Fatalf("ack on topic %q: %v", s.topic, err)
			}
			c, err := wire.OpenCommand(wire.NewVerifier(public(server)), id, s.payload)
			if err != nil || c.Kind != wire.KindAck || c.Epoch != 1 || c.Ack.Journal != (wire.Journal{7}) {
				t.Fatalf("ack to %s: %+v, %v", id, c, err)
			}
			if _, twice := got[id]; twice {
				t.Errorf("two acks to %s for one burst", id)
			}
			got[id] = c.Ack.N
		}
		if fmt.Sprint(got) != "map[bike-1:3 bike-2:1]" {
			t.Errorf("acked %v, want 3 and 1; number 4 did not commit", got)
		}
		p.in.Offer("ul/1/bike-1/up/evt", evidence(t, "bike-1", 1, 1, 5))
		time.Sleep(2 * time.Millisecond)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a clean stop: got %v, want nil", err)
		}
		if n := len(p.air.all()); n != 3 {
			t.Errorf("acks after the stop: got %d, want the last one flushed", n)
		}
		if got := p.counted(); got.acked != 3 || got.failed != 1 || got.heard != 5 {
			t.Errorf("counted %+v, want 5 heard, 1 failed, 3 acked", got)
		}
	})
}

func TestALaterSmallerAckDoesNotReplaceALargerOne(t *testing.T) {
	a := acks{waiting: map[device.ID]pendingAck{}}
	for _, c := range []struct {
		epoch uint32
		ack   device.Ack
		want  uint64
	}{{1, device.Ack{Journal: device.Journal{1}, N: 5}, 5}, {1, device.Ack{Journal: device.Journal{1}, N: 3}, 5},
		{1, device.Ack{Journal: device.Journal{1}, N: 6}, 6}, {1, device.Ack{Journal: device.Journal{2}, N: 1}, 1}, {2, device.Ack{Journal: device.Journal{2}}, 0}} {
		if a.add("bike-1", c.epoch, c.ack, ""); a.waiting["bike-1"].ack.N != c.want {
			t.Errorf("after %+v: got %d, want %d", c, a.waiting["bike-1"].ack.N, c.want)
		}
	}
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	p := ingest(t, func(c *IngestConfig) { c.Workers, c.Queue = 1, 2 })
	word := evidence(t, "bike-1", 1, 1, 1)
	for i := range 5 {
		if took := p.in.Offer("ul/1/bike-1/up/evt", word); took != (i < 2) {
			t.Errorf("word %d: taken %v, want %v", i+1, took, i < 2)
		}
	}
	if p.in.Offer("ul/1/bike 1/up/evt", word) {
		t.Error("a word on nobody's topic was taken")
	}
	if got := p.counted(); got != (counted{dropped: 3, malformed: 1}) {
		t.Errorf("counted %+v, want 3 dropped, 1 malformed", got)
	}
}

func TestAnOfferedWordIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := ingest(t)
		word := evidence(t, "bike-1", 1, 1, 1)
		p.in.Offer("ul/1/bike-1/up/evt", word)
		clear(word) // as paho does with its buffer
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.in.Run(ctx) }()
		synctest.Wait()
		if got := p.counted(); got.heard != 1 {
			t.Errorf("counted %+v, want it heard", got)
		}
		cancel()
		<-done
	})
}

func TestADevicesWordsStayInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := ingest(t)
		for seq := uint64(1); seq <= 50; seq++ {
			p.in.Offer("ul/1/bike-1/up/evt", evidence(t, "bike-1", 1, 1, seq))
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.in.Run(ctx) }()
		synctest.Wait()
		for i, h := range p.ear.heard {
			if h.Word.Evidence.Seq != uint64(i+1) {
				t.Fatalf("word %d heard is number %d", i+1, h.Word.Evidence.Seq)
			}
		}
		cancel()
		<-done
	})
}

// screen is what is shown of what nobody signed.
type screen struct {
	telemetry []wire.Telemetry
	presence  []wire.Presence
}

func (s *screen) Telemetry(_ device.ID, t wire.Telemetry) { s.telemetry = append(s.telemetry, t) }
func (s *screen) Presence(_ device.ID, p wire.Presence)   { s.presence = append(s.presence, p) }

func TestWhatIsNotSignedIsShownAndNeverHeard(t *testing.T) {
	seen := &screen{}
	p := ingest(t, func(c *IngestConfig) { c.Seen = seen })
	percent := uint8(77)
	tel, err := wire.EncodeTelemetry(wire.Telemetry{Battery: &percent})
	if err != nil {
		t.Fatal(err)
	}
	pre, err := wire.EncodePresence(wire.Presence{Online: true, Boot: wire.Boot{1}})
	if err != nil {
		t.Fatal(err)
	}
	p.in.Take(t.Context(), "ul/1/bike-1/up/tel", tel)
	p.in.Take(t.Context(), "ul/1/bike-1/up/pre", pre)
	p.in.Take(t.Context(), "ul/1/bike-1/up/tel", evidence(t, "bike-1", 1, 1, 1))
	if len(seen.telemetry) != 1 || *seen.telemetry[0].Battery != 77 || len(seen.presence) != 1 || !seen.presence[0].Online {
		t.Errorf("shown: %+v", seen)
	}
	if got := p.counted(); got != (counted{malformed: 1}) || len(p.ear.heard) != 0 {
		t.Errorf("counted %+v, heard %d; want the evidence on the wrong topic malformed, none heard", got, len(p.ear.heard))
	}
	quiet := ingest(t)
	quiet.in.Take(t.Context(), "ul/1/bike-1/up/tel", tel) // nobody wants it
	quiet.in.Take(t.Context(), "ul/1/bike-1/up/pre", pre)
	if got := quiet.counted(); got != (counted{}) {
		t.Errorf("counted %+v, want nothing", got)
	}
}

func TestAnIngestNeedsItsParts(t *testing.T) {
	signer := Sealer{Signer: wire.NewSigner(private(server))}
	for name, c := range map[string]IngestConfig{
		"hearer":    {Keys: &ring{}, Publisher: &air{}, Sealer: signer},
		"keys":      {Hearer: &ear{}, Publisher: &air{}, Sealer: signer},
		"publisher": {Hearer: &ear{}, Keys: &ring{}, Sealer: signer},
		"sealer":    {Hearer: &ear{}, Keys: &ring{}, Publisher: &air{}},
	} {
		if _, err := NewIngest(c); err == nil {
			t.Errorf("made without its %s", name)
		}
	}
}
