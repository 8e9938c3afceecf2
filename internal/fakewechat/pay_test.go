package fakewechat

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOrderIsCreatedPaidAndTold(t *testing.T) {
	f := newShop(t)
	first, second := f.create("ride0001", "ann", 150), f.create("ride0001", "ann", 150)
	if first == second || !strings.HasPrefix(first, "wx") || len(first) != 36 {
		t.Errorf("prepay ids: got %q and %q, want two of 36 characters", first, second)
	}
	if q := f.query("ride0001"); q.text("trade_state") != "NOTPAY" || q.body["transaction_id"] != nil {
		t.Errorf("before: got %s", q.raw)
	}
	if err := f.s.Pay("ann", f.payRequest(first)); err != nil {
		t.Fatal(err)
	}
	f.run(0)
	q := f.must(200, f.query("ride0001"))
	if len(f.got) != 1 || !f.got[0].signed {
		t.Fatalf("callbacks: got %+v, want a signed one", f.got)
	}
	same(t, "callback and query", f.got[0].resource, q.body)
	same(t, "query", q.body, object{
		"appid": "wx1", "mchid": "1900000001", "out_trade_no": "ride0001", "transaction_id": q.text("transaction_id"), "trade_type": "JSAPI",
		"trade_state": "SUCCESS", "trade_state_desc": "支付成功", "bank_type": "OTHERS", "attach": "a",
		"success_time": "2026-11-02T12:00:00+08:00", "payer": object{"openid": f.openid("ann")},
		"amount":     object{"total": 150, "payer_total": 150, "currency": "CNY", "payer_currency": "CNY"},
		"scene_info": object{"device_id": "bike7"},
	})
	byID := f.must(200, f.call("GET", "/v3/pay/transactions/id/"+q.text("transaction_id")+"?mchid=1900000001", nil))
	same(t, "query by id", byID.body, q.body)
	same(t, "money", f.s.Money().Transactions, []MoneyTransaction{{
		OutTradeNo: "ride0001", TransactionID: q.text("transaction_id"), OpenID: f.openid("ann"), Rider: "ann", Fen: 150,
		PaidAt: f.clock(), TradeType: "JSAPI",
	}})
	again := f.call("POST", "/v3/pay/transactions/jsapi", f.order("ride0001", "ann", 150))
	if again.status != 400 || again.code() != "ORDERPAID" || again.tail() != "268449538" {
		t.Errorf("order of a paid number: got %d %s", again.status, again.raw)
	}
	closed := f.call("POST", "/v3/pay/transactions/out-trade-no/ride0001/close", object{"mchid": "1900000001"})
	if closed.status != 400 || closed.code() != "ORDER_PAID" {
		t.Errorf("close: got %d %s", closed.status, closed.raw)
	}
}

func TestOrderFields(t *testing.T) {
	f := newShop(t)
	good := f.order("ride0001", "ann", 150)
	scene := good["scene_info"].(object)
	for name, tc := range map[string]struct {
		change object
		status int
		code   string
		tail   string
	}{
		"no app":                 {object{"appid": nil}, 400, "PARAM_ERROR", "268435464"},
		"other app":              {object{"appid": "wx2"}, 400, "APPID_MCHID_NOT_MATCH", "268445527"},
		"other merchant":         {object{"mchid": "1900000002"}, 400, "APPID_MCHID_NOT_MATCH", "268445527"},
		"no merchant":            {object{"mchid": nil}, 400, "PARAM_ERROR", "268435464"},
		"no description":         {object{"description": ""}, 400, "PARAM_ERROR", "268435464"},
		"long description":       {object{"description": strings.Repeat("骑", 128)}, 400, "PARAM_ERROR", "268435464"},
		"short number":           {object{"out_trade_no": "12345"}, 400, "PARAM_ERROR", "268435464"},
		"long number":            {object{"out_trade_no": strings.Repeat("1", 33)}, 400, "PARAM_ERROR", "268435464"},
		"number with a dot":      {object{"out_trade_no": "ride.0001"}, 400, "PARAM_ERROR", "268435464"},
		"long attach":            {object{"attach": strings.Repeat("a", 129)}, 400, "PARAM_ERROR", "268435464"},
		"http":                   {object{"notify_url": "http://shop.example/n"}, 400, "PARAM_ERROR", "268435464"},
		"query":                  {object{"notify_url": shopNotify + "?a=1"}, 400, "PARAM_ERROR", "268435464"},
		"address":                {object{"notify_url": "https://192.0.2.1/n"}, 400, "PARAM_ERROR", "268435464"},
		"localhost":              {object{"notify_url": "https://localhost/n"}, 400, "PARAM_ERROR", "268435464"},
		"long url":               {object{"notify_url": shopNotify + strings.Repeat("a", 255)}, 400, "PARAM_ERROR", "268435464"},
		"goods tag":              {object{"goods_tag": strings.Repeat("a", 33)}, 400, "PARAM_ERROR", "268435464"},
		"nothing to pay":         {object{"amount": object{"total": 0}}, 400, "PARAM_ERROR", "268435464"},
		"half a fen":             {object{"amount": object{"total": 1.5}}, 400, "PARAM_ERROR", "268435464"},
		"fen as text":            {object{"amount": object{"total": "1"}}, 400, "PARAM_ERROR", "268435464"},
		"dollars":                {object{"amount": object{"total": 1, "currency": "USD"}}, 400, "PARAM_ERROR", "268435464"},
		"no payer":               {object{"payer": nil}, 400, "PARAM_ERROR", "268501013"},
		"stranger":               {object{"payer": object{"openid": "oX"}}, 400, "INVALID_REQUEST", "268501013"},
		"expiry without a zone":  {object{"time_expire": "2026-11-02T13:00:00"}, 400, "PARAM_ERROR", "268435464"},
		"expired":                {object{"time_expire": "2026-11-02T11:59:00+08:00"}, 400, "PARAM_ERROR", "268435464"},
		"expires too late":       {object{"time_expire": "2026-11-17T12:00:01+08:00"}, 400, "PARAM_ERROR", "268435464"},
		"scene without ip":       {object{"scene_info": object{"device_id": "b"}}, 400, "PARAM_ERROR", "268435464"},
		"scene with a bad ip":    {object{"scene_info": with(scene, object{"payer_client_ip": "x"})}, 400, "PARAM_ERROR", "268435464"},
		"long device":            {object{"scene_info": with(scene, object{"device_id": strings.Repeat("1", 33)})}, 400, "PARAM_ERROR", "268435464"},
		"store without id":       {object{"scene_info": with(scene, object{"store_info": object{}})}, 400, "PARAM_ERROR", "268435464"},
		"unknown member":         {object{"outtradeno": "x"}, 400, "PARAM_ERROR", "268435464"},
		"member in another case": {object{"appid": nil, "AppID": "wx1"}, 400, "PARAM_ERROR", "268435464"},
		"inner case":             {object{"amount": object{"Total": 1}}, 400, "PARAM_ERROR", "268435464"},
	} {
		r := f.call("POST", "/v3/pay/transactions/jsapi", with(good, tc.change))
		if r.status != tc.status || r.code() != tc.code || r.tail() != tc.tail {
			t.Errorf("%s: got %d %s %s, want %d %s %s", name, r.status, r.raw, r.tail(), tc.status, tc.code, tc.tail)
		}
	}
	for _, raw := range []string{"", "nonsense", "{} {}", "[]"} {
		if r := f.call("POST", "/v3/pay/transactions/jsapi", raw); r.status != 400 || r.code() != "PARAM_ERROR" {
			t.Errorf("body %q: got %d %s", raw, r.status, r.raw)
		}
	}
	if r := f.query("ride0001"); r.status != 404 || r.code() != "ORDER_NOT_EXIST" || r.tail() != "268512771" {
		t.Errorf("a refused order exists: %s", r.raw)
	}
	f.must(200, f.call("POST", "/v3/pay/transactions/jsapi", good))
	other := f.call("POST", "/v3/pay/transactions/jsapi", with(good, object{"description": "another"}))
	if other.status != 400 || other.code() != "INVALID_REQUEST" || other.tail() != "268498688" {
		t.Errorf("other parameters: got %d %s", other.status, other.raw)
	}
	for _, number := range []string{"a|b*c_-1", strings.Repeat("z", 32)} {
		f.must(200, f.call("POST", "/v3/pay/transactions/jsapi", with(good, object{"out_trade_no": number})))
	}
	f.must(200, f.query("a%7Cb*c_-1"))
}

func TestOrderLapses(t *testing.T) {
	f := newShop(t)
	f.create("week0001", "ann", 1)
	soon := with(f.order("soon0001", "ann", 1), object{"time_expire": "2026-11-02T12:00:10+08:00"})
	prepay := f.must(200, f.call("POST", "/v3/pay/transactions/jsapi", soon)).text("prepay_id")
	f.step(59 * time.Second) // ten seconds were raised to a minute
	if q := f.query("soon0001"); q.text("trade_state") != "NOTPAY" {
		t.Errorf("after 59 s: got %s", q.raw)
	}
	f.step(time.Second)
	if q := f.query("soon0001"); q.text("trade_state") != "CLOSED" {
		t.Errorf("after a minute: got %s", q.raw)
	}
	if err := f.s.Pay("ann", f.payRequest(prepay)); !errors.Is(err, ErrOrderClosed) {
		t.Errorf("pay: got %v", err)
	}
	if r := f.call("POST", "/v3/pay/transactions/jsapi", soon); r.code() != "ORDER_CLOSED" || r.tail() != "268447914" {
		t.Errorf("create again: got %s", r.raw)
	}
	f.step(7*24*time.Hour - time.Minute)
	if q := f.query("week0001"); q.text("trade_state") != "CLOSED" {
		t.Errorf("after a week: got %s", q.raw)
	}
}

func TestCloseRepeats(t *testing.T) {
	f := newShop(t)
	prepay := f.create("ride0001", "ann", 1)
	target := "/v3/pay/transactions/out-trade-no/ride0001/close"
	for range 2 {
		if r := f.must(204, f.call("POST", target, object{"mchid": "1900000001"})); len(r.raw) != 0 {
			t.Errorf("got a body: %s", r.raw)
		}
	}
	f.must(204, f.call("POST", "/v3/pay/transactions/out-trade-no/nobody01/close", object{"mchid": "1900000001"}))
	f.must(400, f.call("POST", target, object{}))
	f.must(400, f.call("POST", target, object{"mchid": "1"}))
	if err := f.s.Pay("ann", f.payRequest(prepay)); !errors.Is(err, ErrOrderClosed) {
		t.Errorf("pay: got %v", err)
	}
	if r := f.call("POST", "/v3/pay/transactions/jsapi", f.order("ride0001", "ann", 1)); r.code() != "ORDER_CLOSED" {
		t.Errorf("create: got %s", r.raw)
	}
}

func TestRequestPaymentIsChecked(t *testing.T) {
	f := newShop(t)
	good := f.payRequest(f.create("ride0001", "ann", 1))
	for name, tc := range map[string]struct {
		rider string
		bend  func(*PayRequest)
		want  error
	}{
		"nobody":      {"eve", nil, ErrUnknownRider},
		"other rider": {"bo", nil, ErrOtherRider},
		"app":         {"ann", func(r *PayRequest) { r.AppID = "wx2" }, ErrBadPayRequest},
		"stamp":       {"ann", func(r *PayRequest) { r.TimeStamp = "now" }, ErrBadPayRequest},
		"late stamp":  {"ann", func(r *PayRequest) { r.TimeStamp = "1600000000" }, ErrBadPayRequest},
		"nonce":       {"ann", func(r *PayRequest) { r.NonceStr = "x" }, ErrBadPayRequest},
		"package":     {"ann", func(r *PayRequest) { r.Package = strings.TrimPrefix(r.Package, "prepay_id=") }, ErrBadPayRequest},
		"sign type":   {"ann", func(r *PayRequest) { r.SignType = "MD5" }, ErrBadPayRequest},
		"signature":   {"ann", func(r *PayRequest) { r.PaySign = "A" + r.PaySign[1:] }, ErrBadPayRequest},
		"unknown":     {"ann", func(r *PayRequest) { *r = f.payRequest("wx0") }, ErrBadPayRequest},
	} {
		r := good
		if tc.bend != nil {
			tc.bend(&r)
		}
		if err := f.s.Pay(tc.rider, r); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	f.step(2*time.Hour + time.Second)
	if err := f.s.Pay("ann", good); !errors.Is(err, ErrPrepayExpired) {
		t.Errorf("after two hours: got %v", err)
	}
	fresh := f.payRequest(f.create("ride0001", "ann", 1))
	if err := f.s.Pay("ann", fresh); err != nil {
		t.Errorf("fresh prepay id: got %v", err)
	}
	if err := f.s.Pay("ann", fresh); !errors.Is(err, ErrOrderPaid) {
		t.Errorf("twice: got %v", err)
	}
	if n := len(f.s.Money().Transactions); n != 1 {
		t.Errorf("got %d transactions, want 1", n)
	}
}

func TestQueriesNameTheMerchant(t *testing.T) {
	f := newShop(t)
	id := f.paid("ride0001", "ann", 1)
	for target, want := range map[string]int{
		"/v3/pay/transactions/out-trade-no/ride0001":           400,
		"/v3/pay/transactions/out-trade-no/ride0001?mchid=1":   400,
		"/v3/pay/transactions/id/" + id:                        400,
		"/v3/pay/transactions/id/42?mchid=1900000001":          404,
		"/v3/pay/transactions/id/" + id + "?mchid=1900000001":  200,
		"/v3/pay/transactions/out-trade-no/x?mchid=1900000001": 404,
		"/v3/certificates": 404,
		"/v3/nothing":      404,
		"/v3/pay/transactions/out-trade-no/ride0001?mchid=%zz":    400,
		"/v3/pay/transactions/out-trade-no/a%7Cb?mchid=190000000": 400,
	} {
		if r := f.call("GET", target, nil); r.status != want {
			t.Errorf("%s: got %d %s, want %d", target, r.status, r.raw, want)
		}
	}
	if r := f.call("GET", "/v3/pay/transactions/jsapi", nil); r.status != 405 || len(r.raw) != 0 {
		t.Errorf("wrong method: got %d %q, want an empty 405", r.status, r.raw)
	}
}
