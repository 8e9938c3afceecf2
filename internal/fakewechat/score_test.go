package fakewechat

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

const scorePath = "/v3/payscore/serviceorder"

func (f *shop) score(number, rider string) object {
	o := object{
		"out_order_no": number, "appid": "wx1", "service_id": shopService, "service_introduction": "骑行", "notify_url": shopNotify + "/score",
		"time_range": object{"start_time": "OnAccept"}, "risk_fund": object{"name": "ESTIMATE_ORDER_COST", "amount": 10000},
		"device": object{"start_device_id": "bike7"}, "post_payments": []object{{"name": "计费规则", "description": "1元/30分钟"}},
	}
	if rider != "" {
		o["openid"] = f.openid(rider)
	}
	return o
}

// confirmed is a score order of which the rider has confirmed.
func (f *shop) confirmed(number, rider string) {
	f.t.Helper()
	r := f.must(200, f.call("POST", scorePath, f.score(number, rider)))
	if err := f.s.Confirm(rider, r.text("package")); err != nil {
		f.t.Fatal(err)
	}
}

func (f *shop) ids() object { return object{"appid": "wx1", "service_id": shopService} }

func (f *shop) bill(fen int) object {
	end := f.clock()
	return with(f.ids(), object{
		"total_amount": fen, "time_range": object{"start_time": compact(end.Add(-time.Minute)), "end_time": compact(end)},
		"post_payments": []object{
			{"name": "计费规则", "description": "1元/30分钟"}, {"name": "骑行时长", "description": "1分钟"}, {"name": "骑行费用", "amount": fen, "count": 1},
		},
	})
}

func (f *shop) complete(number string, fen int) reply {
	f.t.Helper()
	return f.call("POST", scorePath+"/"+number+"/complete", f.bill(fen))
}

func (f *shop) queryScore(number string) reply {
	f.t.Helper()
	return f.call("GET", scorePath+"?service_id="+shopService+"&appid=wx1&out_order_no="+number, nil)
}

// triple is how WeChat tells a state.
func triple(body object) string {
	collection, _ := body["collection"].(object)
	return strings.Trim(fmt.Sprint(body["state"], " ", or(body["state_description"]), " ", or(collection["state"])), " ")
}

func or(v any) any {
	if v == nil {
		return "-"
	}
	return v
}

func bike(c *Config) { c.Pay.BikeRules = true }

func TestScoreOrderRunsItsCourse(t *testing.T) {
	f := newShop(t, bike)
	r := f.must(200, f.call("POST", scorePath, f.score("ride1", "")))
	if triple(r.body) != "CREATED - -" || r.text("package") == "" || r.text("order_id") == "" || r.body["openid"] != nil {
		t.Fatalf("created: got %s", r.raw)
	}
	same(t, "repeat", f.must(200, f.call("POST", scorePath, f.score("ride1", ""))).body, r.body)
	if err := f.s.Confirm("ann", r.text("package")); err != nil {
		t.Fatal(err)
	}
	f.run(0)
	q := f.must(200, f.queryScore("ride1"))
	if triple(q.body) != "DOING USER_CONFIRM -" || q.text("openid") != f.openid("ann") || q.body["package"] != nil ||
		q.body["time_range"].(object)["start_time"] != "20261102120000" {
		t.Errorf("confirmed: got %s", q.raw)
	}
	same(t, "callback", f.got[0].resource, q.body)
	f.step(10 * time.Minute)
	done := f.must(200, f.complete("ride1", 250))
	if triple(done.body) != "DOING MCH_COMPLETE USER_PAYING" || done.body["need_collection"] != true {
		t.Errorf("completed: got %s", done.raw)
	}
	same(t, "repeat", f.must(200, f.complete("ride1", 250)).body, done.body)
	if r := f.complete("ride1", 249); r.status != 400 || r.tail() != "271316598" {
		t.Errorf("other completion: got %s -%s", r.raw, r.tail())
	}
	f.run(time.Second)
	q = f.must(200, f.queryScore("ride1"))
	if triple(q.body) != "DONE - USER_PAID" {
		t.Errorf("paid: got %s", q.raw)
	}
	same(t, "events", f.events(), []string{"PAYSCORE.USER_CONFIRM", "PAYSCORE.USER_PAID"})
	same(t, "callback", f.got[1].resource, q.body)
	money := f.s.Money()
	if len(money.Transactions) != 1 || money.Transactions[0].TradeType != "AUTH" || money.Transactions[0].Fen != 250 ||
		money.Transactions[0].OutOrderNo != "ride1" || money.Transactions[0].OutTradeNo == "ride1" {
		t.Fatalf("money: got %+v", money)
	}
	same(t, "score orders", money.ScoreOrders, []MoneyScoreOrder{{
		OutOrderNo: "ride1", OrderID: r.text("order_id"), OpenID: f.openid("ann"), Rider: "ann", State: "DONE", CollectionState: "USER_PAID",
		Total: 250, Paid: 250,
	}})
	if r := f.complete("ride1", 250); r.status != 400 || r.tail() != "271302262" {
		t.Errorf("completion of a paid order: got %s -%s", r.raw, r.tail())
	}

	id := money.Transactions[0].TransactionID
	byNumber := object{"out_trade_no": "ride1", "out_refund_no": "b1", "amount": object{"refund": 1, "total": 250, "currency": "CNY"}}
	f.must(404, f.call("POST", "/v3/refund/domestic/refunds", byNumber))
	f.must(200, f.call("POST", "/v3/refund/domestic/refunds", with(byNumber, object{"out_trade_no": nil, "transaction_id": id})))
	f.run(time.Minute)
	if e := f.events(); e[len(e)-1] != "REFUND.SUCCESS" {
		t.Errorf("a refund is told to the order's notify_url: got %v", e)
	}
}

func TestScoreFieldsAtCreation(t *testing.T) {
	f := newShop(t, bike)
	good := f.score("ride1", "ann")
	item := object{"name": "计费规则", "description": "a"}
	for name, tc := range map[string]struct {
		change object
		status int
		code   string
		tail   string
	}{
		"no number":       {object{"out_order_no": nil}, 400, "PARAM_ERROR", "268435464"},
		"long number":     {object{"out_order_no": strings.Repeat("1", 33)}, 400, "PARAM_ERROR", "268435464"},
		"no app":          {object{"appid": nil}, 400, "PARAM_ERROR", "268435464"},
		"other app":       {object{"appid": "wx2"}, 400, "INVALID_REQUEST", "271302149"},
		"no service":      {object{"service_id": nil}, 400, "PARAM_ERROR", "268435464"},
		"other service":   {object{"service_id": strings.Repeat("1", 32)}, 403, "NO_AUTH", "268503786"},
		"no confirmation": {object{"need_user_confirm": false}, 403, "NO_AUTH", "268503786"},
		"introduction":    {object{"service_introduction": strings.Repeat("骑", 21)}, 400, "PARAM_ERROR", "268435464"},
		"no introduction": {object{"service_introduction": nil}, 400, "PARAM_ERROR", "268435464"},
		"notify":          {object{"notify_url": nil}, 400, "PARAM_ERROR", "268435464"},
		"no risk":         {object{"risk_fund": nil}, 400, "PARAM_ERROR", "268435464"},
		"risk name":       {object{"risk_fund": object{"name": "押金", "amount": 1}}, 400, "PARAM_ERROR", "268435464"},
		"risk of nothing": {object{"risk_fund": object{"name": "DEPOSIT", "amount": 0}}, 400, "PARAM_ERROR", "268435464"},
		"risk over cap":   {object{"risk_fund": object{"name": "DEPOSIT", "amount": 20001}}, 400, "INVALID_REQUEST", "271316656"},
		"no time":         {object{"time_range": nil}, 400, "PARAM_ERROR", "268435464"},
		"RFC 3339":        {object{"time_range": object{"start_time": "2026-11-02T12:00:00+08:00"}}, 400, "PARAM_ERROR", "268435464"},
		"past start":      {object{"time_range": object{"start_time": "20261102115000"}}, 400, "INVALID_REQUEST", "271316637"},
		"yesterday":       {object{"time_range": object{"start_time": "20261101"}}, 400, "INVALID_REQUEST", "271316637"},
		"end first":       {object{"time_range": object{"start_time": "20261102130000", "end_time": "20261102130000"}}, 400, "INVALID_REQUEST", "271316637"},
		"mixed":           {object{"time_range": object{"start_time": "20261102130000", "end_time": "20261103"}}, 400, "PARAM_ERROR", "268435464"},
		"bad end":         {object{"time_range": object{"start_time": "OnAccept", "end_time": "soon"}}, 400, "PARAM_ERROR", "268435464"},
		"remark":          {object{"time_range": object{"start_time": "OnAccept", "start_time_remark": strings.Repeat("a", 21)}}, 400, "PARAM_ERROR", "268435464"},
		"attach":          {object{"attach": "订单"}, 400, "PARAM_ERROR", "268435464"},
		"place":           {object{"location": object{"start_location": strings.Repeat("a", 51)}}, 400, "PARAM_ERROR", "268435464"},
		"no device":       {object{"device": nil}, 400, "PARAM_ERROR", "268435464"},
		"long device":     {object{"device": object{"start_device_id": strings.Repeat("a", 33)}}, 400, "PARAM_ERROR", "268435464"},
		"stranger":        {object{"openid": "oX"}, 400, "INVALID_REQUEST", "268501013"},
		"no items":        {object{"post_payments": nil}, 400, "PARAM_ERROR", "268435464"},
		"other item":      {object{"post_payments": []object{with(item, object{"name": "骑行费用"})}}, 400, "PARAM_ERROR", "268435464"},
		"amount":          {object{"post_payments": []object{with(item, object{"amount": 0})}}, 400, "PARAM_ERROR", "268435464"},
		"long text":       {object{"post_payments": []object{with(item, object{"description": strings.Repeat("元", 31)})}}, 400, "PARAM_ERROR", "268435464"},
		"many items":      {object{"post_payments": slices.Repeat([]object{item}, 101)}, 400, "PARAM_ERROR", "268435464"},
		"many discounts":  {object{"post_discounts": slices.Repeat([]object{item}, 31)}, 400, "PARAM_ERROR", "268435464"},
		"count":           {object{"post_discounts": []object{with(item, object{"count": 0})}}, 400, "PARAM_ERROR", "268435464"},
		"negative":        {object{"post_discounts": []object{with(item, object{"amount": -1})}}, 400, "PARAM_ERROR", "268435464"},
		"nameless":        {object{"post_discounts": []object{with(item, object{"name": ""})}}, 400, "PARAM_ERROR", "268435464"},
		"unknown member":  {object{"state": "DOING"}, 400, "PARAM_ERROR", "268435464"},
	} {
		if r := f.call("POST", scorePath, with(good, tc.change)); r.status != tc.status || r.code() != tc.code || r.tail() != tc.tail {
			t.Errorf("%s: got %d %s -%s, want %d %s -%s", name, r.status, r.raw, r.tail(), tc.status, tc.code, tc.tail)
		}
	}
	if r := f.queryScore("ride1"); r.status != 404 || r.tail() != "271317510" {
		t.Errorf("a refused order exists: %s", r.raw)
	}
	for i, span := range []object{
		{"start_time": "20261102"}, {"start_time": "20261102120000", "end_time": "20261102120001"}, {"start_time": "OnAccept", "end_time": "20261103"},
	} {
		f.must(200, f.call("POST", scorePath, with(good, object{"out_order_no": fmt.Sprint("span", i), "time_range": span})))
	}
	f.must(200, f.call("POST", scorePath, good))
	if r := f.call("POST", scorePath, with(good, object{"attach": "b"})); r.status != 400 || r.tail() != "271316598" {
		t.Errorf("other parameters: got %s", r.raw)
	}
	none := newShop(t, func(c *Config) { c.Pay.ServiceID = "" })
	for _, r := range []reply{none.call("POST", scorePath, good), none.queryScore("ride1"), f.call("POST", "/v3/payscore/permissions", good)} {
		if r.status != 403 || r.code() != "NO_AUTH" || !strings.Contains(string(r.raw), "268503786") {
			t.Errorf("not granted: got %d %s", r.status, r.raw)
		}
	}
}

func TestScoreFieldsAtCompletion(t *testing.T) {
	f := newShop(t, bike)
	f.confirmed("ride1", "ann")
	f.step(time.Hour)
	good := f.bill(100)
	items := good["post_payments"].([]object)
	span := func(from, to string) object { return object{"time_range": object{"start_time": from, "end_time": to}} }
	for name, tc := range map[string]struct {
		change object
		tail   string
	}{
		"no total":      {object{"total_amount": nil}, "268435464"},
		"negative":      {object{"total_amount": -1}, "268435464"},
		"other total":   {object{"total_amount": 99}, "268435464"},
		"discount":      {object{"post_discounts": []object{{"name": "券", "description": "a", "amount": 1}}}, "268435464"},
		"no items":      {object{"post_payments": nil}, "268435464"},
		"no rule":       {object{"post_payments": items[1:]}, "268435464"},
		"no duration":   {object{"post_payments": []object{items[0], items[2]}}, "268435464"},
		"strange item":  {object{"post_payments": append(slices.Clone(items), object{"name": "小费", "amount": 0})}, "268435464"},
		"over cap":      {object{"total_amount": 20001, "post_payments": append(slices.Clone(items[:2]), object{"name": "骑行费用", "amount": 20001})}, "271316656"},
		"no time":       {object{"time_range": nil}, "268435464"},
		"OnAccept":      {span("OnAccept", "20261102130000"), "268435464"},
		"no end":        {span("20261102120000", ""), "268435464"},
		"future end":    {span("20261102120000", "20261102130001"), "271316637"},
		"end first":     {span("20261102120000", "20261102120000"), "271316637"},
		"long place":    {object{"location": object{"end_location": strings.Repeat("a", 51)}}, "268435464"},
		"goods tag":     {object{"goods_tag": strings.Repeat("a", 33)}, "268435464"},
		"long device":   {object{"device": object{"end_device_id": strings.Repeat("a", 33)}}, "268435464"},
		"other app":     {object{"appid": "wx2"}, "271302149"},
		"other service": {object{"service_id": "1"}, "268503786"},
	} {
		if r := f.call("POST", scorePath+"/ride1/complete", with(good, tc.change)); r.status < 400 || r.tail() != tc.tail {
			t.Errorf("%s: got %d %s -%s, want -%s", name, r.status, r.raw, r.tail(), tc.tail)
		}
	}
	if q := f.queryScore("ride1"); triple(q.body) != "DOING USER_CONFIRM -" {
		t.Errorf("after the refusals: got %s", q.raw)
	}
	full := with(good, object{
		"total_amount": 90, "post_discounts": []object{{"name": "券", "description": "a", "amount": 10}},
		"location": object{"end_location": "here"}, "device": object{"end_device_id": "bike7"}, "goods_tag": "t",
	})
	r := f.must(200, f.call("POST", scorePath+"/ride1/complete", full))
	same(t, "device", r.body["device"], object{"start_device_id": "bike7", "end_device_id": "bike7"})

	f.must(200, f.call("POST", scorePath, with(f.score("ride2", "ann"), object{"risk_fund": object{"name": "DEPOSIT", "amount": 99}})))
	if err := f.s.Confirm("ann", f.s.pay.scores["ride2"].pack); err != nil {
		t.Fatal(err)
	}
	if r := f.complete("ride2", 100); r.tail() != "271316656" {
		t.Errorf("more than the deposit: got %s", r.raw)
	}
	f.must(200, f.complete("ride2", 99))
}

// TestScoreStatesRefuse tries every call in every state.
func TestScoreStatesRefuse(t *testing.T) {
	calls := map[scoreInput]func(f *shop) reply{
		inputCancel: func(f *shop) reply {
			return f.call("POST", scorePath+"/ride1/cancel", with(f.ids(), object{"reason": "broken"}))
		},
		inputComplete: func(f *shop) reply { return f.complete("ride1", 70) },
		inputModify: func(f *shop) reply {
			return f.call("POST", scorePath+"/ride1/modify", with(f.ids(), object{
				"reason": "kind", "total_amount": 60, "post_payments": []object{{"name": "骑行费用", "amount": 60}},
			}))
		},
		inputCollect: func(f *shop) reply {
			f.step(2 * time.Second)
			return f.call("POST", scorePath+"/ride1/pay", f.ids())
		},
		inputSync: func(f *shop) reply {
			return f.call("POST", scorePath+"/ride1/sync", with(f.ids(), object{"type": "Order_Paid", "detail": object{"paid_time": compact(f.clock())}}))
		},
	}
	tails := map[scoreInput]string{
		inputCancel: "271316592", inputComplete: "271302262", inputModify: "271316657", inputCollect: "271316657", inputSync: "271316657",
	}
	reach := map[scoreState]func(f *shop){
		scoreCreated:   func(f *shop) { f.must(200, f.call("POST", scorePath, f.score("ride1", "ann"))) },
		scoreConfirmed: func(f *shop) { f.confirmed("ride1", "ann") },
		scorePaying: func(f *shop) {
			f.confirmed("ride1", "ann")
			f.must(200, f.complete("ride1", 100))
			if err := f.s.ScoreFor("ann", ScoreConduct{FailingDebits: -1}); err != nil {
				t.Fatal(err)
			}
			f.run(time.Second)
		},
		scoreDone: func(f *shop) {
			f.confirmed("ride1", "ann")
			f.must(200, f.complete("ride1", 100))
			f.run(time.Second)
		},
		scoreRevoked: func(f *shop) {
			f.confirmed("ride1", "ann")
			f.must(200, calls[inputCancel](f))
		},
		scoreExpired: func(f *shop) {
			f.must(200, f.call("POST", scorePath, f.score("ride1", "ann")))
			f.step(30 * 24 * time.Hour)
		},
	}
	for state, arrive := range reach {
		for _, in := range slices.Sorted(maps.Keys(calls)) {
			f := newShop(t)
			arrive(f)
			r := calls[in](f)
			after := triple(f.queryScore("ride1").body)
			next, allowed := scoreNext[state][in]
			if in == inputComplete && state == scorePaying {
				if r.tail() != "271316598" {
					t.Errorf("other completion while %s: got %s", state, r.raw)
				}
				continue
			}
			if !allowed {
				if r.status != 400 || r.tail() != tails[in] {
					t.Errorf("%s while %s: got %d %s -%s, want -%s", in, state, r.status, r.raw, r.tail(), tails[in])
				}
				next = state
			} else if r.status != 200 {
				t.Errorf("%s while %s: got %d %s, want 200", in, state, r.status, r.raw)
			}
			words := scoreWords[next]
			if want := fmt.Sprint(words.state, " ", dash(words.description), " ", dash(words.collection)); after != want {
				t.Errorf("%s while %s: state is %q, want %q", in, state, after, want)
			}
		}
	}
	f := newShop(t)
	for _, in := range slices.Sorted(maps.Keys(calls)) {
		if r := calls[in](f); r.status != 404 || r.tail() != "271317510" {
			t.Errorf("%s of nothing: got %d %s", in, r.status, r.raw)
		}
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func TestConfirmationIsChecked(t *testing.T) {
	f := newShop(t)
	pack := f.must(200, f.call("POST", scorePath, f.score("ride1", "ann"))).text("package")
	for _, tc := range []struct {
		rider, pack string
		want        error
	}{{"eve", pack, ErrUnknownRider}, {"ann", "x", ErrUnknownOrder}, {"bo", pack, ErrOtherRider}, {"ann", pack, nil}, {"ann", pack, ErrScoreState}} {
		if err := f.s.Confirm(tc.rider, tc.pack); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.rider, err, tc.want)
		}
	}
	late := f.must(200, f.call("POST", scorePath, f.score("ride2", ""))).text("package")
	f.step(30*24*time.Hour - time.Second)
	if q := f.queryScore("ride2"); q.text("state") != "CREATED" {
		t.Errorf("before thirty days: got %s", q.raw)
	}
	f.step(time.Second)
	if err := f.s.Confirm("bo", late); !errors.Is(err, ErrScoreState) {
		t.Errorf("after thirty days: got %v", err)
	}
	if q := f.queryScore("ride2"); triple(q.body) != "EXPIRED - -" || q.body["package"] != nil {
		t.Errorf("after thirty days: got %s", q.raw)
	}
}

func TestRiskControlRefuses(t *testing.T) {
	f := newShop(t)
	conduct := func(c ScoreConduct) {
		t.Helper()
		if err := f.s.ScoreFor("ann", c); err != nil {
			t.Fatal(err)
		}
	}
	conduct(ScoreConduct{RefuseCode: "268560785", RefuseMessage: "未成年"})
	r := f.call("POST", scorePath, f.score("ride1", "ann"))
	if r.status != 403 || r.tail() != "268560785" || r.text("message") != "未成年(268560785)" {
		t.Errorf("refused: got %d %s -%s", r.status, r.raw, r.tail())
	}
	pack := f.must(200, f.call("POST", scorePath, f.score("ride0", ""))).text("package")
	if err := f.s.Confirm("ann", pack); !errors.Is(err, ErrScoreRefused) {
		t.Errorf("refused on the page: got %v", err)
	}
	conduct(ScoreConduct{})
	for i := range 3 {
		f.confirmed(fmt.Sprint("run", i), "ann")
	}
	if r := f.call("POST", scorePath, f.score("run3", "ann")); r.tail() != "271300099" || !strings.Contains(r.text("message"), "271300099") {
		t.Errorf("the fourth running order: got %s", r.raw)
	}
	f.must(200, f.call("POST", scorePath, f.score("run3", "bo")))
	f.must(200, f.complete("run0", 100))
	f.must(200, f.call("POST", scorePath, f.score("run4", "ann")))
	conduct(ScoreConduct{FailingDebits: -1})
	f.run(time.Hour)
	if r := f.call("POST", scorePath, f.score("run5", "ann")); r.tail() != "271299627" || !strings.Contains(r.text("message"), "271299627") {
		t.Errorf("with an overdue order: got %s", r.raw)
	}
	for _, bad := range []ScoreConduct{{RefuseCode: "x"}, {PartialFen: -1}, {FailingDebits: -2}} {
		if f.s.ScoreFor("ann", bad) == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if err := f.s.ScoreFor("eve", ScoreConduct{}); err != ErrUnknownRider {
		t.Errorf("nobody: got %v", err)
	}
}

func TestScoreQueryById(t *testing.T) {
	f := newShop(t)
	pack := f.must(200, f.call("POST", scorePath, f.score("ride1", "ann"))).text("package")
	ids := "?service_id=" + shopService + "&appid=wx1"
	w := f.send(f.request("POST", "/riders/ann/confirm", []byte(`{"package":"`+pack+`"}`)))
	if q := f.call("GET", scorePath+ids+"&query_id="+w.text("query_id"), nil); q.text("out_order_no") != "ride1" {
		t.Errorf("got %s", q.raw)
	}
	f.must(404, f.call("GET", scorePath+ids+"&query_id=x", nil))
	f.must(400, f.call("GET", scorePath+ids, nil))
	f.must(400, f.call("GET", scorePath+ids+"&query_id=x&out_order_no=ride1", nil))
	for _, reason := range []string{"", strings.Repeat("a", 51)} {
		f.must(400, f.call("POST", scorePath+"/ride1/cancel", with(f.ids(), object{"reason": reason})))
		f.must(400, f.call("POST", scorePath+"/ride1/cancel", object{"reason": reason}))
	}
}
