package wechat

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/unlatch/unlatch/billing"
)

// TestRefusalsAreFactsOrNothing has a row for every refusal that the product knows.
func TestRefusalsAreFactsOrNothing(t *testing.T) {
	const unsure = billing.Standing("unsure")
	T, S, R := billing.Transaction, billing.Score, billing.Refund
	for _, tc := range []struct {
		road    billing.Road
		step    billing.Step
		status  int
		code    string
		number  string
		want    billing.Standing
		why     string
		message string
	}{
		{road: T, step: billing.AskQuery, status: 404, code: "ORDER_NOT_EXIST", want: billing.StandsUnknown},
		{road: T, step: billing.AskQuery, status: 404, code: "ORDERNOTEXIST", want: billing.StandsUnknown},
		{road: T, step: billing.AskQuery, status: 400, code: "INVALID_REQUEST", number: "268512771", want: billing.StandsUnknown},
		{road: R, step: billing.AskQuery, status: 404, code: "RESOURCE_NOT_EXISTS", want: billing.StandsUnknown},
		{road: S, step: billing.AskQuery, status: 400, code: "271317510", want: billing.StandsUnknown},
		{road: S, step: billing.AskQuery, status: 404, code: "RESOURCE_NOT_EXISTS", number: "271317510", want: billing.StandsUnknown},
		{road: T, step: billing.AskQuery, status: 404, code: "NOT_FOUND", want: unsure},
		{road: T, step: billing.AskQuery, status: 401, code: "SIGN_ERROR", want: unsure},
		{road: T, step: billing.AskQuery, status: 403, code: "NO_AUTH", want: unsure},
		{road: T, step: billing.AskQuery, status: 400, code: "PARAM_ERROR", want: unsure},

		{road: T, step: billing.AskCreate, status: 400, code: "ORDERPAID", number: "268449538", want: billing.StandsRefused, why: billing.WhyState},
		{road: T, step: billing.AskCreate, status: 400, code: "INVALID_REQUEST", message: "该订单已支付", want: billing.StandsRefused, why: billing.WhyState},
		{road: T, step: billing.AskCreate, status: 400, code: "INVALID_REQUEST", number: "268498688", want: billing.StandsRefused, why: billing.WhyFigures},
		{road: T, step: billing.AskCreate, status: 400, code: "INVALID_REQUEST", message: "re-entry (268498688)", want: billing.StandsRefused, why: billing.WhyFigures},
		{road: T, step: billing.AskCreate, status: 403, code: "OUT_TRADE_NO_USED", want: billing.StandsRefused, why: billing.WhyFigures},
		{road: T, step: billing.AskCreate, status: 400, code: "ORDER_CLOSED", number: "268447914", want: billing.StandsClosed},
		{road: T, step: billing.AskCreate, status: 400, code: "PARAM_ERROR", number: "268435464", want: billing.StandsRefused, why: "PARAM_ERROR"},
		{road: T, step: billing.AskCreate, status: 400, code: "APPID_MCHID_NOT_MATCH", want: billing.StandsRefused, why: billing.WhySetup},
		{road: T, step: billing.AskCreate, status: 401, code: "SIGN_ERROR", want: billing.StandsRefused, why: billing.WhySetup},
		{road: T, step: billing.AskCreate, status: 401, code: "SOMETHING_NEW", want: billing.StandsRefused, why: billing.WhySetup},
		{road: T, step: billing.AskCreate, status: 403, code: "NO_AUTH", want: billing.StandsRefused, why: billing.WhySetup},
		{road: T, step: billing.AskCreate, status: 403, code: "NO_AUTH", number: "268503786", want: billing.StandsRefused, why: billing.WhySetup},
		{road: T, step: billing.AskCreate, status: 403, code: "RULE_LIMIT", want: billing.StandsRefused, why: "RULE_LIMIT"},
		{road: T, step: billing.AskCreate, status: 403, code: "SOMETHING_NEW", want: unsure},
		{road: T, step: billing.AskCreate, status: 429, code: "FREQUENCY_LIMITED", number: "268435472", want: unsure},
		{road: T, step: billing.AskCreate, status: 400, code: "INVALID_REQUEST", number: "268435472", want: unsure},
		{road: T, step: billing.AskCreate, status: 429, code: "RATELIMIT_EXCEEDED", want: unsure},
		{road: T, step: billing.AskCreate, status: 500, code: "SYSTEM_ERROR", want: unsure},
		{road: T, step: billing.AskCreate, status: 500, code: "ORDER_NOT_EXIST", want: unsure},
		{road: T, step: billing.AskCreate, status: 503, code: "", want: unsure},
		{road: T, step: billing.AskClose, status: 400, code: "ORDER_PAID", want: billing.StandsRefused, why: billing.WhyState},
		{road: T, step: billing.AskClose, status: 400, code: "ORDER_CLOSED", want: billing.StandsClosed},
		{road: T, step: billing.AskClose, status: 404, code: "ORDER_NOT_EXIST", want: billing.StandsUnknown},

		{road: R, step: billing.AskCreate, status: 403, code: "NOT_ENOUGH", want: billing.StandsRefused, why: billing.WhyFunds},
		{road: R, step: billing.AskCreate, status: 404, code: "RESOURCE_NOT_EXISTS", want: billing.StandsRefused, why: "RESOURCE_NOT_EXISTS"},
		{road: R, step: billing.AskCreate, status: 403, code: "USER_ACCOUNT_ABNORMAL", want: billing.StandsRefused, why: "USER_ACCOUNT_ABNORMAL"},
		{road: R, step: billing.AskCreate, status: 400, code: "INVALID_REQUEST", want: billing.StandsRefused, why: "INVALID_REQUEST"},
		{road: R, step: billing.AskCreate, status: 400, code: "ORDER_CLOSED", want: billing.StandsRefused, why: "ORDER_CLOSED"},

		{road: S, step: billing.AskCreate, status: 403, code: "NO_AUTH", number: "271300099", want: billing.StandsRefused, why: billing.WhyRisk},
		{road: S, step: billing.AskCreate, status: 403, code: "RULE_LIMIT", number: "271299627", want: billing.StandsRefused, why: billing.WhyArrears},
		{road: S, step: billing.AskCreate, status: 400, code: "INVALID_REQUEST", number: "268560785", want: billing.StandsRefused, why: billing.WhyRisk},
		{road: S, step: billing.AskCreate, status: 403, code: "NO_AUTH", number: "268503786", want: billing.StandsRefused, why: billing.WhySetup},
		{road: S, step: billing.AskCreate, status: 403, code: "NO_AUTH", want: billing.StandsRefused, why: billing.WhySetup},
		{road: S, step: billing.AskCreate, status: 400, code: "INVALID_REQUEST", number: "271316598", want: billing.StandsRefused, why: billing.WhyFigures},
		{road: S, step: billing.AskCreate, status: 400, code: "PARAM_ERROR", number: "271316656", want: billing.StandsRefused, why: billing.WhySetup},
		{road: S, step: billing.AskClose, status: 400, code: "INVALID_REQUEST", number: "271316592", want: billing.StandsRefused, why: billing.WhyState},
		{road: S, step: billing.AskComplete, status: 400, code: "INVALID_REQUEST", number: "271302262", want: billing.StandsRefused, why: billing.WhyState},
		{road: S, step: billing.AskComplete, status: 400, code: "PARAM_ERROR", number: "271316637", want: billing.StandsRefused, why: "PARAM_ERROR"},
		{road: S, step: billing.AskComplete, status: 403, code: "NO_AUTH", number: "268503786", want: billing.StandsRefused, why: billing.WhySetup},
		{road: S, step: billing.AskModify, status: 404, code: "RESOURCE_NOT_EXISTS", number: "271317510", want: billing.StandsUnknown},
		{road: S, step: billing.AskCollect, status: 400, code: "INVALID_REQUEST", number: "271316754", want: billing.StandsCollecting},
		{road: S, step: billing.AskCollect, status: 400, code: "INVALID_REQUEST", number: "271316574", want: billing.StandsCollecting},
		{road: S, step: billing.AskCollect, status: 400, code: "INVALID_REQUEST", number: "271316657", want: billing.StandsRefused, why: billing.WhyState},
		{road: S, step: billing.AskModify, status: 400, code: "INVALID_REQUEST", number: "271316754", want: billing.StandsRefused, why: billing.WhyState},
	} {
		name := fmt.Sprintf("%s %s %d %s %s %s", tc.step, tc.road, tc.status, tc.code, tc.number, tc.message)
		request := "08F9CBA2A40610A1-0"
		if tc.number != "" {
			request = "08F9CBA2A40610A1-" + tc.number
		}
		s := newScripted(t, said{status: tc.status, request: request,
			body: fmt.Sprintf(`{"code":%q,"message":%q,"detail":{"value":"CANARYBODY"}}`, tc.code, tc.message+" oCANARYpayer")})
		got, err := s.Do(t.Context(), ask(tc.road, tc.step))
		noCanaries(t, err)
		if tc.want == unsure {
			if !errors.Is(err, billing.ErrUnsure) || !strings.Contains(err.Error(), fmt.Sprintf("status %d", tc.status)) {
				t.Errorf("%s: got %+v, %v, want ErrUnsure", name, got, err)
			}
			continue
		}
		if err != nil || got.Stands != tc.want || got.Why != tc.why || got.Number != testNumber || got.Road != tc.road {
			t.Errorf("%s: got %+v, %v, want %s %q", name, got, err, tc.want, tc.why)
		}
	}
}

// TestAnswersThatCannotBeTrustedLeaveUsUnsure bends the signed answer of a paid
// transaction.
func TestAnswersThatCannotBeTrustedLeaveUsUnsure(t *testing.T) {
	for name, tc := range map[string]struct {
		answer said
		want   string
	}{
		"serial": {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Set("Wechatpay-Serial", "PUB_KEY_ID_other") }}, "another public key"},
		"platform certificate": {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Set("Wechatpay-Serial", testSerial) }},
			"platform certificate"},
		"bytes":        {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Set("Wechatpay-Nonce", "other") }}, "not of these bytes"},
		"probe":        {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/CANARYBODY=") }}, "not of these bytes"},
		"stale":        {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Set("Wechatpay-Timestamp", "1500000000") }}, "five minutes"},
		"huge stamp":   {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Set("Wechatpay-Timestamp", "9223372036854775807") }}, "five minutes"},
		"no number":    {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Set("Wechatpay-Timestamp", "CANARYBODY") }}, "no number"},
		"no signature": {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Del("Wechatpay-Signature") }}, "0 headers Wechatpay-Signature"},
		"twice":        {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Add("Wechatpay-Serial", "other") }}, "2 headers Wechatpay-Serial"},
		"type": {said{status: 200, body: paidBody, bend: func(h http.Header) { h.Set("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3") }},
			"a type that is not supported"},
		"no JSON":      {said{status: 200, body: `CANARYBODY`}, ""},
		"another form": {said{status: 200, body: `{"trade_state":"SUCCESS","amount":"CANARYBODY"}`}, ""},
		"state":        {said{status: 200, body: strings.Replace(paidBody, "SUCCESS", "CANARYBODY", 1)}, "trade_state"},
		"number":       {said{status: 200, body: strings.Replace(paidBody, testNumber, "0199c2aa55e17d7b8c3f5a0b1c2d0000", 1)}, "another number"},
		"no time":      {said{status: 200, body: strings.Replace(paidBody, "success_time", "other", 1)}, "lacks its id, amount or time"},
		"no amount":    {said{status: 200, body: strings.Replace(paidBody, "total", "other", 1)}, "lacks its id, amount or time"},
		"negative":     {said{status: 200, body: strings.Replace(paidBody, "150", "-150", 1)}, "below zero"},
		"HTML 404":     {said{status: 404, body: `<html>CANARYBODY</html>`}, "status 404, no code"},
		"too long":     {said{status: 200, body: strings.Repeat(" ", maxPayAnswer) + paidBody}, "too long"},
		"empty 204":    {said{status: 204}, ""},
	} {
		s := newScripted(t, tc.answer)
		got, err := s.Do(t.Context(), ask(billing.Transaction, billing.AskQuery))
		if !errors.Is(err, billing.ErrUnsure) || !strings.Contains(err.Error(), tc.want) || !reflect.DeepEqual(got, billing.Said{}) {
			t.Errorf("%s: got %+v, %v, want ErrUnsure and %q", name, got, err, tc.want)
		}
		noCanaries(t, err)
	}
}

const paidBody = `{"appid":"wxcanaryapp","mchid":"1900000109","out_trade_no":"` + testNumber + `","transaction_id":"4200001","trade_type":"JSAPI",
	"trade_state":"SUCCESS","success_time":"2026-11-01T10:00:00+08:00","payer":{"openid":"oCANARYpayer"},
	"amount":{"total":150,"payer_total":100,"currency":"CNY","payer_currency":"CNY"}}`

func TestQueriesAreTranslated(t *testing.T) {
	refund := `{"refund_id":"5030","out_refund_no":"` + testNumber + `","transaction_id":"4200001","out_trade_no":"0199c2aa55e17d7b8c3f5a0b1c2d3e50",
		"status":"SUCCESS","success_time":"2026-11-01T10:00:00+08:00","create_time":"2026-11-01T09:00:00+08:00","amount":{"total":2000,"refund":150,"currency":"CNY"}}`
	edit := func(body string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(body) }
	for name, tc := range map[string]struct {
		road billing.Road
		body string
		want billing.Said
	}{
		"paid": {billing.Transaction, paidBody, billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200001"}},
		"partly given back": {billing.Transaction, edit(paidBody, "SUCCESS", "REFUND"),
			billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200001"}},
		"open": {billing.Transaction, edit(paidBody, "SUCCESS", "NOTPAY", "transaction_id", "x", "success_time", "y"),
			billing.Said{Stands: billing.StandsOpen, Amount: 150}},
		"closed": {billing.Transaction, edit(paidBody, "SUCCESS", "CLOSED", "transaction_id", "x"), billing.Said{Stands: billing.StandsClosed, Amount: 150}},
		"other merchant": {billing.Transaction, edit(paidBody, "1900000109", "1900000110"),
			billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200001", Foreign: `mchid "1900000110"`}},
		"other app": {billing.Transaction, edit(paidBody, "wxcanaryapp", "wxother"),
			billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200001", Foreign: `appid "wxother"`}},
		"no app": {billing.Transaction, edit(paidBody, `"appid":"wxcanaryapp",`, ""),
			billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200001", Foreign: `appid ""`}},
		"dollars": {billing.Transaction, edit(paidBody, `"payer_currency":"CNY"`, `"payer_currency":"USD"`),
			billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "4200001", Foreign: `currency "USD"`}},
		"given back":  {billing.Refund, refund, billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "5030"}},
		"on its way":  {billing.Refund, edit(refund, "SUCCESS", "PROCESSING", "success_time", "x"), billing.Said{Stands: billing.StandsProcessing, Amount: 150, ID: "5030"}},
		"stuck":       {billing.Refund, edit(refund, "SUCCESS", "ABNORMAL", "success_time", "x"), billing.Said{Stands: billing.StandsAbnormal, Amount: 150, ID: "5030"}},
		"not at all":  {billing.Refund, edit(refund, "SUCCESS", "CLOSED", "success_time", "x"), billing.Said{Stands: billing.StandsClosed, Amount: 150, ID: "5030"}},
		"other trade": {billing.Refund, edit(refund, "3e50", "3e51"), billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "5030", Foreign: `transaction "0199c2aa55e17d7b8c3f5a0b1c2d3e51"`}},
	} {
		s := newScripted(t, said{status: 200, body: tc.body})
		got, err := s.Do(t.Context(), ask(tc.road, billing.AskQuery))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Stands == billing.StandsPaid && got.At.Format("2006-01-02T15:04:05Z") != "2026-11-01T02:00:00Z" {
			t.Errorf("%s: at %v", name, got.At)
		}
		tc.want.Road, tc.want.Number, tc.want.At = tc.road, testNumber, got.At
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
	}
}

// TestEverySilenceIsUnsure cuts every answer off: nothing is known, and nothing is tried
// twice.
func TestEverySilenceIsUnsure(t *testing.T) {
	for road, steps := range (&Cashier{}).steps() {
		for step := range steps {
			s := newScripted(t, said{status: 200, body: "{}", bend: func(http.Header) { panic(http.ErrAbortHandler) }})
			a := ask(road, step)
			_, err := s.Do(t.Context(), a)
			if !errors.Is(err, billing.ErrUnsure) || s.heard().calls != 1 {
				t.Errorf("%s %s: got %v after %d calls, want ErrUnsure after one", step, road, err, s.heard().calls)
			}
			noCanaries(t, err)
		}
	}
}
