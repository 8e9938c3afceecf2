package fakewechat

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// receiverTime is how long a receiver may take to answer.
const receiverTime = 5 * time.Second

// repeats are the pauses after each failed delivery; after the last one WeChat gives
// up, a day and four minutes after the first.
var repeats = []time.Duration{
	15 * time.Second, 15 * time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute, 20 * time.Minute,
	30 * time.Minute, 30 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 3 * time.Hour, 3 * time.Hour,
	6 * time.Hour, 6 * time.Hour,
}

// notice is something to tell the merchant, with all its repeats.
type notice struct {
	id        string
	event     string
	original  string
	summary   string
	number    string // the merchant's own number: order, refund or score order
	url       string
	rider     string
	createdAt time.Time
	resource  any    // what is told, as it was when it happened
	plain     []byte // resource as JSON
	failures  int    // deliveries that were not accepted
	attempts  int
}

// delivery is one request of a notice. An extra one is no part of the repeats.
type delivery struct {
	notice  *notice
	extra   bool
	attempt int    // of the notice, from 1; 0 for a probe
	bent    string // the fault that it was given; empty for an honest one
}

// Delivery is a line of the callbacks log.
type Delivery struct {
	At        time.Time `json:"at"`
	ID        string    `json:"id"`
	EventType string    `json:"event_type"`
	// Number is the merchant's own: out_trade_no, out_refund_no or out_order_no.
	Number string `json:"number"`
	// Attempt counts from 1; it is 0 for a notice that was dropped and for a probe.
	Attempt int `json:"attempt"`
	// Status is the receiver's; 0 when there was none.
	Status int `json:"status"`
	// Error says why there was no answer in time.
	Error string `json:"error,omitempty"`
	// Fault is how the delivery was bent; empty for an honest one.
	Fault string `json:"fault,omitempty"`
	// Accepted says that WeChat sees the notice as received.
	Accepted bool `json:"accepted"`
	// Violation says that the receiver accepted what it had to refuse.
	Violation bool `json:"violation,omitempty"`
}

// Callbacks is the log of deliveries, oldest first.
func (s *Server) Callbacks() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pay == nil {
		return []Delivery{}
	}
	return append([]Delivery{}, s.pay.deliveries...)
}

// notify plans the deliveries of a notice. The caller holds the lock.
func (s *Server) notify(n notice, now time.Time) {
	s.pay.serial++
	n.id = fmt.Sprintf("%08x-0000-5000-8000-%012x", uint32(now.Unix()), s.pay.serial)
	n.createdAt = now
	plain, err := json.Marshal(n.resource)
	if err != nil {
		panic("fake wechat: a resource is no JSON: " + err.Error()) // all of them are structs of this package
	}
	n.plain = plain
	told := &n
	if s.strikes(FaultDrop, GroupCallback, n.rider) {
		s.pay.deliveries = append(s.pay.deliveries, Delivery{At: now, ID: n.id, EventType: n.event, Number: n.number, Fault: FaultDrop})
		return
	}
	at := now
	if late, ok := s.struck(FaultDelay, GroupCallback, n.rider); ok {
		at = now.Add(late.delay)
	}
	if s.strikes(FaultProbe, GroupCallback, n.rider) {
		s.plan(&event{deliver: &delivery{notice: told, extra: true, bent: FaultProbe}}, at)
	}
	first := &event{deliver: &delivery{notice: told}}
	if s.held == nil && s.strikes(FaultReorder, GroupCallback, n.rider) {
		s.held = s.plan(first, at.Add(time.Minute))
		return
	}
	s.plan(first, at)
	if s.strikes(FaultDuplicate, GroupCallback, n.rider) {
		s.plan(&event{deliver: &delivery{notice: told, extra: true}}, at.Add(time.Second))
	}
	if passed := s.held; passed != nil {
		s.held = nil
		s.plan(passed, at)
	}
}

// send delivers and books what became of it.
func (s *Server) send(ctx context.Context, d *delivery) {
	request, err := s.compose(d)
	started := s.now()
	var status int
	if err == nil {
		status, err = s.post(ctx, request)
	}
	if ctx.Err() != nil && err != nil {
		s.mu.Lock() // whoever steps next delivers it again
		s.plan(&event{deliver: d}, started)
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if err == nil && now.Sub(started) > receiverTime {
		err = errors.New("the answer took longer than 5 s")
	}
	n := d.notice
	welcome := err == nil && (status == http.StatusOK || status == http.StatusNoContent)
	bad := slices.Contains(mustRefuse, d.bent)
	entry := Delivery{
		At: started, ID: n.id, EventType: n.event, Number: n.number, Attempt: d.attempt, Status: status, Fault: d.bent,
		Accepted: welcome && !bad, Violation: bad && status >= 200 && status < 300,
	}
	if err != nil {
		entry.Error = err.Error()
	}
	s.pay.deliveries = append(s.pay.deliveries, entry)
	if d.extra || entry.Accepted {
		return
	}
	n.failures++
	if n.failures <= len(repeats) {
		s.plan(&event{deliver: &delivery{notice: n}}, now.Add(repeats[n.failures-1]))
	}
}

// post returns the receiver's status. A redirect is not followed.
func (s *Server) post(ctx context.Context, request *http.Request) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, receiverTime)
	defer cancel()
	resp, err := s.pay.Callbacks.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

type callbackBody struct {
	ID           string           `json:"id"`
	CreateTime   string           `json:"create_time"`
	ResourceType string           `json:"resource_type"`
	EventType    string           `json:"event_type"`
	Summary      string           `json:"summary"`
	Resource     callbackResource `json:"resource"`
}

type callbackResource struct {
	OriginalType   string `json:"original_type"`
	Algorithm      string `json:"algorithm"`
	Ciphertext     string `json:"ciphertext"`
	AssociatedData string `json:"associated_data"`
	Nonce          string `json:"nonce"`
}

// compose encrypts, bends and signs a delivery.
func (s *Server) compose(d *delivery) (*http.Request, error) {
	n := d.notice
	s.mu.Lock()
	if d.bent != FaultProbe {
		n.attempts++
		d.attempt = n.attempts
	}
	if d.bent == "" {
		for _, kind := range deliveryFaults {
			if s.strikes(kind, GroupCallback, n.rider) {
				d.bent = kind
				break
			}
		}
	}
	random, err := s.draw(12 + 16)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(callbackBody{
		ID: n.id, CreateTime: inChina(n.createdAt), ResourceType: "encrypt-resource", EventType: n.event, Summary: n.summary,
		Resource: s.pay.encrypt(d, letters(random[:12])),
	})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodPost, n.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	stamp, signed := s.stamp(), body
	switch d.bent {
	case FaultStale:
		stamp = stamp.Add(-2 * stampWindow)
	case FaultForged:
		signed = otherBytes(body)
	}
	h := request.Header
	if err := s.pay.stampHeaders(h, stamp, letters(random[12:]), signed); err != nil {
		return nil, err
	}
	switch d.bent {
	case FaultUnknownSerial:
		h.Set("Wechatpay-Serial", "PUB_KEY_ID_0000000000000000000000000000000000")
	case FaultProbe:
		h.Set("Wechatpay-Signature", probePrefix+h.Get("Wechatpay-Signature"))
	}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "*/*")
	h.Set("User-Agent", "Mozilla/4.0")
	h.Set("Request-Id", n.id)
	return request, nil
}

// letters turns random bytes into printable ones.
func letters(random []byte) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01"
	b := make([]byte, len(random))
	for i, r := range random {
		b[i] = alphabet[r&63]
	}
	return string(b)
}

// encrypt makes the resource of a delivery.
func (m *merchant) encrypt(d *delivery, nonce string) callbackResource {
	n := d.notice
	r := callbackResource{OriginalType: n.original, Algorithm: "AEAD_AES_256_GCM", AssociatedData: n.original, Nonce: nonce}
	plain, seal := n.plain, m.aead
	switch d.bent {
	case FaultEmptyAssociated:
		r.AssociatedData = ""
	case FaultOtherKey:
		seal = m.otherAEAD
	case FaultOtherAmount, FaultOtherApp, FaultOtherMerchant:
		plain = alter(plain, d.bent)
	}
	sealed := seal.Seal(nil, []byte(nonce), plain, []byte(r.AssociatedData))
	switch d.bent {
	case FaultTruncated:
		sealed = sealed[:len(sealed)-8]
	case FaultNonceLength:
		r.Nonce = nonce[:8]
	}
	r.Ciphertext = base64.StdEncoding.EncodeToString(sealed)
	return r
}

// alter changes a resource into one that is not about this merchant's money.
func alter(plain []byte, bent string) []byte {
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return plain
	}
	switch bent {
	case FaultOtherAmount:
		if amount, ok := v["amount"].(map[string]any); ok {
			addFen(amount, "total", "payer_total", "refund", "payer_refund")
		} else {
			addFen(v, "total_amount")
			if c, ok := v["collection"].(map[string]any); ok {
				addFen(c, "total_amount", "paying_amount", "paid_amount")
			}
		}
	case FaultOtherApp, FaultOtherMerchant:
		key := "mchid"
		if _, has := v["appid"]; has && bent == FaultOtherApp {
			key = "appid"
		}
		text, _ := v[key].(string)
		if text == "" {
			return plain
		}
		v[key] = strings.Repeat("9", len(text)-1) + "0"
	}
	other, err := json.Marshal(v)
	if err != nil {
		return plain
	}
	return other
}

func addFen(v map[string]any, names ...string) {
	for _, name := range names {
		if number, ok := v[name].(json.Number); ok {
			if fen, err := number.Int64(); err == nil {
				v[name] = fen + 1
			}
		}
	}
}
