package wechat

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/unlatch/unlatch/billing"
)

func TestScoreOrdersAreJudgedByAllThreeParts(t *testing.T) {
	c := testCashier(t, nil)
	head := `"appid":"wxcanaryapp","mchid":"1900000109","service_id":"` + testService + `","out_order_no":"` + testNumber + `","risk_fund":{"amount":2000}`
	for _, tc := range []struct {
		body string
		want billing.Said
	}{
		{`"state":"CREATED","package":"key"`, billing.Said{Stands: billing.StandsOpen, Amount: 2000, Key: "key"}},
		{`"state":"DOING","state_description":"USER_CONFIRM"`, billing.Said{Stands: billing.StandsConfirmed, Amount: 2000}},
		{`"state":"DOING","state_description":"MCH_COMPLETE","total_amount":150,"collection":{"state":"USER_PAYING","total_amount":150,"paying_amount":150,"paid_amount":0}`,
			billing.Said{Stands: billing.StandsCollecting, Amount: 150}},
		{`"state":"DOING","state_description":"MCH_COMPLETE","total_amount":150,"collection":{"state":"USER_PAYING","total_amount":150,"paid_amount":100,
			"details":[{"seq":1,"amount":100,"paid_time":"20261101100000","transaction_id":"a"}]}`,
			billing.Said{Stands: billing.StandsCollecting, Amount: 150, Moved: 100, ID: "a", Debits: []billing.Debit{{ID: "a", Amount: 100}}, At: time.Date(2026, 11, 1, 2, 0, 0, 0, time.UTC)}},
		{`"state":"DONE","total_amount":150,"collection":{"state":"USER_PAID","total_amount":150,"paid_amount":150,
			"details":[{"amount":40,"paid_time":"20261101100000","transaction_id":"a"},{"amount":110,"paid_time":"2026-11-01T10:05:00+08:00","transaction_id":"b"}]}`,
			billing.Said{Stands: billing.StandsPaid, Amount: 150, Moved: 150, ID: "b",
				Debits: []billing.Debit{{ID: "a", Amount: 40}, {ID: "b", Amount: 110}}, At: time.Date(2026, 11, 1, 2, 5, 0, 0, time.UTC)}},
		{`"state":"DONE","total_amount":0`, billing.Said{Stands: billing.StandsPaid}},
		{`"state":"REVOKED"`, billing.Said{Stands: billing.StandsClosed}},
		{`"state":"EXPIRED"`, billing.Said{Stands: billing.StandsClosed}},
		{`"order_id":"1"`, billing.Said{}},
		{`"state":"CLOSED"`, billing.Said{Stands: "unsure"}},
		{`"state":"DOING"`, billing.Said{Stands: "unsure"}},
		{`"state":"DOING","state_description":"WAIT_PAY"`, billing.Said{Stands: "unsure"}},
		{`"state":"DOING","state_description":"USER_CONFIRM","collection":{"state":"USER_PAID"}`, billing.Said{Stands: "unsure"}},
		{`"state":"DONE","total_amount":150`, billing.Said{Stands: "unsure"}},
		{`"state":"DONE","total_amount":150,"collection":{"state":"USER_PAYING","total_amount":150}`, billing.Said{Stands: "unsure"}},
		{`"state":"DONE","total_amount":150,"collection":{"state":"USER_PAID","total_amount":150,"paid_amount":151}`, billing.Said{Stands: "unsure"}},
		{`"state":"DONE","total_amount":150,"collection":{"state":"USER_PAID","total_amount":151,"paid_amount":151}`, billing.Said{Stands: "unsure"}},
		{`"state":"DONE","total_amount":150,"collection":{"state":"USER_PAID","total_amount":150,"details":[{"amount":150,"paid_time":"yesterday"}]}`,
			billing.Said{Stands: "unsure"}},
		{`"state":"CREATED","risk_fund":{"amount":-1}`, billing.Said{Stands: "unsure"}},
	} {
		var w scoreWord
		if err := json.Unmarshal([]byte("{"+head+","+tc.body+"}"), &w); err != nil {
			t.Fatal(err)
		}
		got, err := c.scoreHeard(w)
		if tc.want.Stands == "unsure" {
			if !errors.Is(err, billing.ErrUnsure) {
				t.Errorf("%s: got %+v, %v, want ErrUnsure", tc.body, got, err)
			}
			continue
		}
		tc.want.Road, tc.want.Number = billing.Score, testNumber
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %+v, %v, want %+v", tc.body, got, err, tc.want)
		}
	}
	for _, pair := range [][3]string{{"wxcanaryapp", "wxother", `appid "wxother"`}, {"1900000109", "1900000110", `mchid "1900000110"`},
		{testService, "0000", `service_id "0000"`}} {
		var w scoreWord
		if err := json.Unmarshal([]byte(strings.Replace("{"+head+`,"state":"REVOKED"}`, pair[0], pair[1], 1)), &w); err != nil {
			t.Fatal(err)
		}
		if got, err := c.scoreHeard(w); err != nil || got.Foreign != pair[2] {
			t.Errorf("got %+v, %v, want %s", got, err, pair[2])
		}
	}
}

func TestTariffsFitIntoThirtyCharacters(t *testing.T) {
	for want, tariff := range map[string]billing.Tariff{
		"起步1元,每10分钟0.5元,封顶20元":        {TimeRule: &billing.TimeRule{UnlockFee: 100, BlockMS: 600_000, BlockFee: 50, RideCap: 2000}},
		"前5分钟免时长费,每30分钟1.05元,封顶20元":   {TimeRule: &billing.TimeRule{FreeMS: 300_000, BlockMS: 1_800_000, BlockFee: 105, RideCap: 2000}},
		"起步10元,每1小时30分钟12.5元,封顶1000元": {TimeRule: &billing.TimeRule{UnlockFee: 1000, BlockMS: 5_400_000, BlockFee: 1250, RideCap: 100_000, DayCap: 200_000}},
		"免费":                   {},
		"92号7.85元/升,95号8.3元/升": {FuelRule: &billing.FuelRule{Grades: []billing.Grade{{ID: "92", UnitPrice: 7850}, {ID: "95", UnitPrice: 8300}}}},
		"以小程序内公示价格为准":          {FuelRule: &billing.FuelRule{Grades: []billing.Grade{{ID: strings.Repeat("9", 30), UnitPrice: 1}}}},
	} {
		got := ruleText(tariff)
		if got != want || utf8.RuneCountInString(got) > maxItemText {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for want, d := range map[string]time.Duration{"1分钟": 0, "12分钟": 12 * time.Minute, "13分钟": 12*time.Minute + time.Millisecond, "1小时": time.Hour, "1小时5分钟": 65 * time.Minute} {
		if got := lengthText(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestUseEndsAfterItsStartAndNotInTheFuture(t *testing.T) {
	now := time.Date(2026, 11, 1, 2, 0, 0, 500, time.UTC)
	for _, tc := range []struct {
		from, until time.Time
		used        time.Duration
		want        scoreRange
	}{
		{now.Add(-time.Hour), now.Add(-time.Minute), 0, scoreRange{"20261101090000", "20261101095900"}},
		{now.Add(-time.Hour), now.Add(time.Minute), 0, scoreRange{"20261101090000", "20261101100000"}},
		{now, now, 0, scoreRange{"20261101095959", "20261101100000"}},
		{now.Add(time.Hour), now, 0, scoreRange{"20261101095959", "20261101100000"}},
		{time.Time{}, time.Time{}, 12 * time.Minute, scoreRange{"20261101094800", "20261101100000"}},
		{time.Time{}, time.Time{}, 0, scoreRange{"20261101095959", "20261101100000"}},
	} {
		if got := useRange(billing.Ask{From: tc.from, Until: tc.until, Used: tc.used}, now); *got != tc.want {
			t.Errorf("%v to %v: got %v, want %v", tc.from, tc.until, *got, tc.want)
		}
	}
}

// TestStepsWithoutAStateStandWhereTheyLead: the answers to a cancellation and a
// collection only echo the number.
func TestStepsWithoutAStateStandWhereTheyLead(t *testing.T) {
	echo := `{"appid":"wxcanaryapp","mchid":"1900000109","service_id":"` + testService + `","out_order_no":"` + testNumber + `","order_id":"15646546545165651651"}`
	for step, want := range map[billing.Step]billing.Standing{
		billing.AskClose: billing.StandsClosed, billing.AskCollect: billing.StandsCollecting, billing.AskComplete: billing.StandsCollecting,
	} {
		s := newScripted(t, said{status: 200, body: echo})
		if got, err := s.Do(t.Context(), ask(billing.Score, step)); err != nil || got.Stands != want {
			t.Errorf("%s: got %+v, %v, want %s", step, got, err, want)
		}
	}
	for _, step := range []billing.Step{billing.AskCreate, billing.AskQuery} {
		s := newScripted(t, said{status: 200, body: echo})
		if got, err := s.Do(t.Context(), ask(billing.Score, step)); !errors.Is(err, billing.ErrUnsure) {
			t.Errorf("%s: got %+v, %v, want ErrUnsure", step, got, err)
		}
	}
}
