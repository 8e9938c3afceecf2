package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/unlatch/unlatch/billing"
)

const (
	refundNotice = `{"mchid":"1900000109","transaction_id":"4200001","out_trade_no":"x","refund_id":"5030","out_refund_no":"` + testNumber + `",
		"refund_status":"%s","success_time":"2026-11-01T10:00:00+08:00","user_received_account":"oCANARY","amount":{"total":2000,"refund":150,"payer_total":2000,"payer_refund":150}}`
	scoreNotice = `{"appid":"wxcanaryapp","mchid":"1900000109","service_id":"` + testService + `","out_order_no":"` + testNumber + `","openid":"oCANARYpayer",
		"package":"secret","state":"%s","state_description":"%s","risk_fund":{"amount":2000}%s}`
)

func TestNoticesSayWhatAQuerySays(t *testing.T) {
	c := testCashier(t, nil)
	paidScore := `,"total_amount":150,"collection":{"state":"USER_PAID","total_amount":150,"paid_amount":150,"details":[{"amount":150,"paid_time":"20261101100000","transaction_id":"4200002"}]}`
	for _, tc := range []struct {
		kind, content string
		want          billing.Said
	}{
		{"TRANSACTION.SUCCESS", paidBody, billing.Said{Road: billing.Transaction, Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200001"}},
		{"REFUND.SUCCESS", fmt.Sprintf(refundNotice, "SUCCESS"), billing.Said{Road: billing.Refund, Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "5030"}},
		{"REFUND.ABNORMAL", fmt.Sprintf(refundNotice, "ABNORMAL"), billing.Said{Road: billing.Refund, Stands: billing.StandsAbnormal, Amount: 150, ID: "5030"}},
		{"REFUND.CLOSED", fmt.Sprintf(refundNotice, "CLOSED"), billing.Said{Road: billing.Refund, Stands: billing.StandsClosed, Amount: 150, ID: "5030"}},
		{"PAYSCORE.USER_CONFIRM", fmt.Sprintf(scoreNotice, "DOING", "USER_CONFIRM", ""), billing.Said{Road: billing.Score, Stands: billing.StandsConfirmed, Amount: 2000}},
		{"PAYSCORE.USER_PAID", fmt.Sprintf(scoreNotice, "DONE", "", paidScore), billing.Said{Road: billing.Score, Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200002",
			Debits: []billing.Debit{{ID: "4200002", Amount: 150}}}},
		{"REFUND.SUCCESS", strings.Replace(fmt.Sprintf(refundNotice, "SUCCESS"), "1900000109", "1900000110", 1),
			billing.Said{Road: billing.Refund, Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "5030", Foreign: `mchid "1900000110"`}},
		{"TRANSACTION.SUCCESS", strings.Replace(paidBody, "wxcanaryapp", "wxother", 1),
			billing.Said{Road: billing.Transaction, Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200001", Foreign: `appid "wxother"`}},
		{"TRANSACTION.SUCCESS", strings.Replace(paidBody, `"total":150`, `"total":151`, 1),
			billing.Said{Road: billing.Transaction, Stands: billing.StandsPaid, Amount: 151, Moved: 151, ID: "4200001"}},
	} {
		body := sealed(tc.kind, tc.content, nil)
		got, kind, err := c.Open(t.Context(), stamped(body, time.Now()), body)
		if err != nil || kind != tc.kind {
			t.Errorf("%s: got %s, %v", tc.kind, kind, err)
			continue
		}
		if got.Stands == billing.StandsPaid && !got.At.Equal(time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: at %v", tc.kind, got.At)
		}
		tc.want.Number, tc.want.At = testNumber, got.At
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, want %+v", tc.kind, got, tc.want)
		}
	}
}

func TestForgedNoticesAreTold(t *testing.T) {
	now := time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)
	c := testCashier(t, func(c *PayConfig) { c.Now = func() time.Time { return now } })
	body := sealed("TRANSACTION.SUCCESS", paidBody, nil)
	if _, _, err := c.Open(t.Context(), stamped(body, now), body); err != nil {
		t.Fatalf("in order: %v", err)
	}
	for name, tc := range map[string]struct {
		at   time.Time
		bend func(http.Header)
		body []byte
		want string
	}{
		"other bytes": {now, nil, append(bytes.Clone(body), ' '), "not of these bytes"},
		"one letter":  {now, nil, bytes.Replace(body, []byte("summary"), []byte("Summary"), 1), "not of these bytes"},
		"old":         {now.Add(-5 * time.Minute), nil, body, "five minutes"},
		"early":       {now.Add(5 * time.Minute), nil, body, "five minutes"},
		"serial":      {now, func(h http.Header) { h.Set("Wechatpay-Serial", "PUB_KEY_ID_CANARYBODY") }, body, "another public key"},
		"certificate": {now, func(h http.Header) { h.Set("Wechatpay-Serial", "CANARYBODY") }, body, "platform certificate"},
		"probe":       {now, func(h http.Header) { h.Set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/CANARYBODY") }, body, "not of these bytes"},
		"no stamp":    {now, func(h http.Header) { h.Del("Wechatpay-Timestamp") }, body, "0 headers Wechatpay-Timestamp"},
		"two nonces":  {now, func(h http.Header) { h.Add("Wechatpay-Nonce", "CANARYBODY") }, body, "2 headers Wechatpay-Nonce"},
		"empty nonce": {now, func(h http.Header) { h.Set("Wechatpay-Nonce", " ") }, body, "want one"},
		"nothing":     {now, func(h http.Header) { clear(h) }, nil, "0 headers"},
	} {
		header := stamped(body, tc.at)
		if tc.bend != nil {
			tc.bend(header)
		}
		got, kind, err := c.Open(t.Context(), header, tc.body)
		if !errors.Is(err, ErrForged) || !strings.Contains(err.Error(), tc.want) || kind != "" || !reflect.DeepEqual(got, billing.Said{}) {
			t.Errorf("%s: got %+v, %q, %v, want ErrForged and %q", name, got, kind, err, tc.want)
		}
		noCanaries(t, err)
	}
	// Just within the five minutes.
	for _, off := range []time.Duration{-299 * time.Second, 299 * time.Second} {
		if _, _, err := c.Open(t.Context(), stamped(body, now.Add(off)), body); err != nil {
			t.Errorf("%s: %v", off, err)
		}
	}
}

func TestSignedNonsenseIsNotUnderstood(t *testing.T) {
	c := testCashier(t, nil)
	resource := func(key string, value any) func(map[string]any) {
		return func(r map[string]any) { r[key] = value }
	}
	for name, tc := range map[string]struct {
		body []byte
		want string
	}{
		"no JSON":        {[]byte("CANARYBODY"), "no JSON"},
		"list":           {[]byte("[]"), "no JSON"},
		"no event":       {[]byte("{}"), "no event type"},
		"odd event":      {sealed("canary body", "{}", nil), "no event type"},
		"no resource":    {[]byte(`{"event_type":"TRANSACTION.SUCCESS"}`), "no resource"},
		"short nonce":    {sealed("TRANSACTION.SUCCESS", paidBody, resource("nonce", "01234567")), "nonce has 8 bytes"},
		"long nonce":     {sealed("TRANSACTION.SUCCESS", paidBody, resource("nonce", "0123456789abcdef")), "nonce has 16 bytes"},
		"no nonce":       {sealed("TRANSACTION.SUCCESS", paidBody, resource("nonce", "")), "nonce has 0 bytes"},
		"other nonce":    {sealed("TRANSACTION.SUCCESS", paidBody, resource("nonce", "0123456789ac")), "key does not open"},
		"algorithm":      {sealed("TRANSACTION.SUCCESS", paidBody, resource("algorithm", "CANARYBODY")), "algorithm"},
		"no text":        {sealed("TRANSACTION.SUCCESS", paidBody, resource("ciphertext", "")), "key does not open"},
		"cut text":       {sealed("TRANSACTION.SUCCESS", paidBody, resource("ciphertext", "aGVsbG8=")), "key does not open"},
		"no base64":      {sealed("TRANSACTION.SUCCESS", paidBody, resource("ciphertext", "CANARYBODY!")), "key does not open"},
		"no object":      {sealed("TRANSACTION.SUCCESS", `"CANARYBODY"`, nil), "no JSON of the known form"},
		"null":           {sealed("TRANSACTION.SUCCESS", `null`, nil), "trade_state"},
		"other content":  {sealed("TRANSACTION.SUCCESS", fmt.Sprintf(refundNotice, "SUCCESS"), nil), "trade_state"},
		"refund content": {sealed("REFUND.SUCCESS", paidBody, nil), "status"},
		"no state":       {sealed("PAYSCORE.USER_PAID", fmt.Sprintf(scoreNotice, "", "", ""), nil), "no state"},
		"other number":   {sealed("TRANSACTION.SUCCESS", strings.Replace(paidBody, testNumber, "../CANARYBODY", 1), nil), "names no number"},
	} {
		got, _, err := c.Open(t.Context(), stamped(tc.body, time.Now()), tc.body)
		if !errors.Is(err, ErrNotice) || !strings.Contains(err.Error(), tc.want) || !reflect.DeepEqual(got, billing.Said{}) {
			t.Errorf("%s: got %+v, %v, want ErrNotice and %q", name, got, err, tc.want)
		}
		noCanaries(t, err)
	}
	for _, kind := range []string{"PAYSCORE.USER_OPEN_SERVICE", "UNLATCH.PROBE"} {
		body := sealed(kind, "{}", nil)
		if _, got, err := c.Open(t.Context(), stamped(body, time.Now()), body); !errors.Is(err, ErrIgnored) || got != kind {
			t.Errorf("%s: got %q, %v, want ErrIgnored", kind, got, err)
		}
	}
	empty := sealed("TRANSACTION.SUCCESS", paidBody, func(r map[string]any) { r["associated_data"] = "other" })
	if _, _, err := c.Open(t.Context(), stamped(empty, time.Now()), empty); !errors.Is(err, ErrNotice) {
		t.Errorf("other associated data: got %v", err)
	}
}

func TestLoggedWordsHoldNoSecrets(t *testing.T) {
	c := testCashier(t, nil)
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	for kind, content := range map[string]string{"TRANSACTION.SUCCESS": paidBody, "REFUND.SUCCESS": fmt.Sprintf(refundNotice, "SUCCESS"),
		"PAYSCORE.USER_CONFIRM": fmt.Sprintf(scoreNotice, "DOING", "USER_CONFIRM", "")} {
		body := sealed(kind, content, nil)
		got, _, err := c.Open(t.Context(), stamped(body, time.Now()), body)
		log.Info("notice", "said", got, "err", err, "payer", testPayer, "phone", []PhoneNumber{"+86CANARYBODY"})
	}
	for _, canary := range append(canaries, "secret") {
		if strings.Contains(out.String(), canary) {
			t.Errorf("the log tells %q: %s", canary, out.String())
		}
	}
}

// FuzzOpen takes any body for signed: nothing may panic, and what is believed is
// complete.
func FuzzOpen(f *testing.F) {
	c, err := NewCashier(PayConfig{AppID: testApp, MchID: testMch, APIv3Key: testAPIv3, NotifyURL: "https://pay.example.cn/n", ServiceID: testService,
		Signer: unsigned{}, Validator: passing{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed("TRANSACTION.SUCCESS", paidBody, nil), true)
	f.Add(sealed("REFUND.SUCCESS", fmt.Sprintf(refundNotice, "SUCCESS"), nil), false)
	f.Add([]byte(paidBody), true)
	f.Add([]byte(fmt.Sprintf(scoreNotice, "DOING", "USER_CONFIRM", "")), true)
	f.Add([]byte(fmt.Sprintf(refundNotice, "ABNORMAL")), true)
	f.Add([]byte(`{"event_type":"TRANSACTION.SUCCESS","resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"x","ciphertext":"AAAA"}}`), false)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		bodies := [][]byte{data}
		if seal { // as the decrypted content of each kind
			bodies = nil
			for kind := range events {
				bodies = append(bodies, sealed(kind, string(data), nil))
			}
		}
		for _, body := range bodies {
			said, kind, err := c.Open(t.Context(), http.Header{}, body)
			if err != nil {
				if !errors.Is(err, ErrNotice) && !errors.Is(err, ErrIgnored) {
					t.Fatalf("got %v", err)
				}
				continue
			}
			if !numberText.MatchString(said.Number) || said.Stands == "" || said.Amount < 0 || said.Moved < 0 || said.Moved > said.Amount ||
				said.Key != "" || kind == "" || said.Stands == billing.StandsPaid && said.Road != billing.Score && (said.Moved == 0 || said.ID == "") {
				t.Fatalf("got %+v", said)
			}
			if _, err := json.Marshal(said); err != nil {
				t.Fatal(err)
			}
		}
	})
}
