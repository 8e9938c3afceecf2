package world

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unlatch/unlatch/billing"
	"github.com/unlatch/unlatch/internal/fakewechat"
)

// Of our own side of notifications.
const (
	NobodyHome Fault = "nobody_home" // a notification finds no replica
	StoreFails Fault = "store_fails" // a notification is kept or not, and nobody says
)

// atWeChat names a kind of the double's faults.
func atWeChat(kind string) Fault { return Fault("wechat/" + kind) }

// doubleFaults are the double's kinds with the most that a schedule may have of each.
var doubleFaults = []struct {
	kind string
	most float64
}{
	{fakewechat.FaultLost, 0.15}, {fakewechat.FaultSystemError, 0.12}, {fakewechat.FaultLimited, 0.1}, {fakewechat.FaultBadSignature, 0.1},
	{fakewechat.FaultOutage, 0.06}, {fakewechat.FaultSignError, 0.03}, {fakewechat.FaultNotEnough, 0.3},
	{fakewechat.FaultRefundAbnormal, 0.25}, {fakewechat.FaultRefundClosed, 0.3},
	{fakewechat.FaultDrop, 0.3}, {fakewechat.FaultDelay, 0.3}, {fakewechat.FaultReorder, 0.3}, {fakewechat.FaultDuplicate, 0.3},
	{fakewechat.FaultProbe, 0.2}, {fakewechat.FaultForged, 0.2}, {fakewechat.FaultStale, 0.1}, {fakewechat.FaultUnknownSerial, 0.1},
	{fakewechat.FaultTruncated, 0.1}, {fakewechat.FaultNonceLength, 0.1}, {fakewechat.FaultOtherKey, 0.1},
	{fakewechat.FaultEmptyAssociated, 0.2}, {fakewechat.FaultOtherAmount, 0.15}, {fakewechat.FaultOtherApp, 0.15},
	{fakewechat.FaultOtherMerchant, 0.15},
}

// drawRates draws how often the double does what amiss, and how Pay Score treats whom.
func (m *merchant) drawRates() {
	w := m.w
	m.rates = map[string]float64{}
	for _, f := range doubleFaults {
		if rate := f.most * (0.2 + 0.8*w.rand.Float64()); w.faults[atWeChat(f.kind)] {
			m.rates[f.kind] = rate
		}
	}
	m.chaos(m.rates)
	for _, name := range w.riders {
		var c fakewechat.ScoreConduct
		if w.chance(0.12) {
			c.RefuseCode = "271300099"
		}
		if w.chance(0.25) {
			c.FailingDebits = w.rand.IntN(7) - 1
		}
		if w.chance(0.2) {
			c.PartialFen = 30 + w.rand.Int64N(200)
		}
		m.conduct(name, c)
	}
}

func (m *merchant) chaos(rates map[string]float64) {
	if err := m.double.SetChaos(fakewechat.Chaos{Rates: rates}); err != nil {
		m.w.oracle.violation("world: %v", err)
	}
}

func (m *merchant) conduct(rider string, c fakewechat.ScoreConduct) {
	if err := m.double.ScoreFor(rider, c); err != nil {
		m.w.oracle.violation("world: %v", err)
	}
	m.expect()
}

// fails lets the whole pay host be down for a while.
func (m *merchant) fails() {
	w := m.w
	if m.trouble || w.healing {
		return
	}
	m.trouble = true
	w.note("wechat", "its pay host is down")
	rates := map[string]float64{fakewechat.FaultOutage: 1}
	for kind, rate := range m.rates {
		if kind != fakewechat.FaultOutage {
			rates[kind] = rate
		}
	}
	m.chaos(rates)
	w.after(w.between(5*time.Second, 3*time.Minute), func() {
		m.trouble = false
		if !w.healing {
			w.note("wechat", "its pay host is up again")
			m.chaos(m.rates)
		}
	})
}

// heal ends the double's faults, and lets riders have money.
func (m *merchant) heal() {
	m.chaos(nil)
	for _, name := range m.w.riders {
		m.conduct(name, fakewechat.ScoreConduct{})
	}
}

// counts looks at an answer of the double and counts what was amiss. What it finds
// fault with in a request is ours.
func (m *merchant) counts(a *answer) {
	w := m.w
	var refusal struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if a.status >= 400 {
		_ = json.Unmarshal(a.body.Bytes(), &refusal) // an outage answers HTML
	}
	struck := map[string]string{"SIGN_ERROR": fakewechat.FaultSignError, "FREQUENCY_LIMITED": fakewechat.FaultLimited,
		"SYSTEM_ERROR": fakewechat.FaultSystemError, "NOT_ENOUGH": fakewechat.FaultNotEnough}[refusal.Code]
	switch {
	case a.status == http.StatusBadGateway:
		struck = fakewechat.FaultOutage
	case a.status < 300 && m.verify != nil && m.verify(slices.Concat([]byte(a.header.Get("Wechatpay-Timestamp")+"\n"+
		a.header.Get("Wechatpay-Nonce")+"\n"), a.body.Bytes(), []byte("\n")), a.header.Get("Wechatpay-Signature")) != nil:
		struck = fakewechat.FaultBadSignature
	case struck == fakewechat.FaultSignError && m.rates[struck] == 0,
		refusal.Code == "PARAM_ERROR" && !overtaken(refusal.Message):
		w.oracle.violation("world: WeChat finds fault with a request: %s %s", refusal.Code, refusal.Message)
	}
	if struck != "" {
		w.fault(atWeChat(struck))
	}
}

// overtaken tells whether a field is refused because a step came late: after the time for
// paying, or after more was collected.
func overtaken(message string) bool {
	return strings.Contains(message, "in the past") || strings.Contains(message, "/total_amount")
}

// heard tells what came of a call.
func (m *merchant) heard(r *replica, what string, said billing.Said, err error) {
	switch {
	case err != nil:
		m.w.note(r.name, "gets no answer that counts to %s", what)
	case said.Stands == billing.StandsRefused:
		m.w.note(r.name, "is refused %s: %s", what, said.Why)
	default:
		m.w.note(r.name, "hears upon %s: %s, %v yuan of %v moved", what, said.Stands, said.Moved, said.Amount)
	}
}

// read tells of the deliveries since the last look and counts those that were bent.
func (m *merchant) read() {
	w := m.w
	log := m.double.Callbacks()
	for _, d := range log[m.told:] {
		what := fmt.Sprintf("its word on %s (%s)", w.oracle.number(d.Number), d.EventType)
		switch {
		case d.Fault == fakewechat.FaultDrop:
			w.note("wechat", "%s will never come", what)
		case d.Violation:
			w.oracle.violation("S4: a %s notification of %s was accepted: %d", d.Fault, w.oracle.number(d.Number), d.Status)
		case d.Fault != "":
			w.note("wechat", "%s goes out as %s: %d", what, d.Fault, d.Status)
		default:
			w.note("wechat", "%s goes out: %d", what, d.Status)
		}
		if d.Fault != "" {
			w.fault(atWeChat(d.Fault))
		}
	}
	m.told = len(log)
}

// timing counts, in the end, what became late, overtaken and doubled: the log does
// not name it.
func (m *merchant) timing() {
	taken, first := map[string]bool{}, map[string]bool{}
	newest := ""
	for _, d := range m.double.Callbacks() {
		if d.Fault == fakewechat.FaultDrop || d.Fault == fakewechat.FaultProbe {
			continue
		}
		if taken[d.ID] {
			m.w.fault(atWeChat(fakewechat.FaultDuplicate))
		}
		taken[d.ID] = taken[d.ID] || d.Accepted
		if first[d.ID] {
			continue
		}
		first[d.ID] = true
		made, err := strconv.ParseUint(d.ID[:8], 16, 32)
		if err != nil {
			m.w.oracle.violation("world: a notification's id %q: %v", d.ID, err)
			continue
		}
		switch late := d.At.Unix() - int64(uint32(made)); {
		case newest > d.ID && m.rates[fakewechat.FaultReorder] > 0, late == 60:
			m.w.fault(atWeChat(fakewechat.FaultReorder))
		case late > 0:
			m.w.fault(atWeChat(fakewechat.FaultDelay))
		}
		newest = max(newest, d.ID)
	}
	for _, r := range m.double.Money().Refunds {
		kind := map[string]string{"ABNORMAL": fakewechat.FaultRefundAbnormal, "CLOSED": fakewechat.FaultRefundClosed}[r.Status]
		if kind != "" {
			m.w.fault(atWeChat(kind))
		}
	}
}

// console is staff in WeChat's merchant console, who give an abnormal refund another
// way to its rider.
func (m *merchant) console(number, id string) {
	if m.sign == nil {
		return // only the keyed hash is at hand here
	}
	body := []byte(`{"out_refund_no":"` + number + `","type":"MERCHANT_BANK_CARD"}`)
	path := "/v3/refund/domestic/refunds/" + id + "/apply-abnormal-refund"
	r, err := http.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		m.w.oracle.violation("world: %v", err)
		return
	}
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	signature, _ := m.sign(slices.Concat([]byte("POST\n"+path+"\n"+stamp+"\nnonce\n"), body, []byte("\n")))
	r.Header.Set("Authorization", `WECHATPAY2-SHA256-RSA2048 mchid="`+payMch+`",nonce_str="nonce",timestamp="`+stamp+
		`",serial_no="`+paySerial+`",signature="`+signature+`"`)
	for name, value := range map[string]string{"Accept": "application/json", "User-Agent": "console", "Content-Type": "application/json"} {
		r.Header.Set(name, value)
	}
	if a, err := (line{m}).RoundTrip(r); err == nil {
		m.w.note("wechat", "its console is told to pay %s out otherwise: %d", m.w.oracle.number(number), a.StatusCode)
	}
	m.expect()
}
