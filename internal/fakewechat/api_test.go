package fakewechat

import (
	"bytes"
	"fmt"
	"image/png"
	"strings"
	"testing"
	"time"
)

const tokenQuery = "/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s3cret"

func (f *shop) token() string {
	f.t.Helper()
	return f.must(200, f.send(f.request("GET", tokenQuery, nil))).text("access_token")
}

func (f *shop) stable(force bool) reply {
	return f.send(f.request("POST", "/cgi-bin/stable_token",
		fmt.Appendf(nil, `{"grant_type":"client_credential","appid":"wx1","secret":"s3cret","force_refresh":%v}`, force)))
}

// api calls an endpoint with a token and returns its errcode.
func (f *shop) api(path, token, body string) (float64, reply) {
	r := f.send(f.request("POST", path+"?access_token="+token, []byte(body)))
	code, _ := r.body["errcode"].(float64)
	return code, r
}

func TestStableTokenIsStable(t *testing.T) {
	f := newShop(t)
	first := f.stable(false)
	if len(first.text("access_token")) != 512 || first.body["expires_in"] != 7200.0 {
		t.Fatalf("got %s", first.raw)
	}
	f.step(7200*time.Second - 5*time.Minute - time.Second)
	again := f.stable(false)
	if again.text("access_token") != first.text("access_token") || again.body["expires_in"] != 301.0 {
		t.Errorf("before the last five minutes: got %s", again.raw)
	}
	f.step(time.Second)
	second := f.stable(false)
	if second.text("access_token") == first.text("access_token") || second.body["expires_in"] != 7200.0 {
		t.Errorf("within the last five minutes: got %s", second.raw)
	}
	try := func(token string) float64 {
		code, _ := f.api("/cgi-bin/wxopen/qrcodejumpget", token, "")
		f.step(time.Second)
		return code
	}
	same(t, "the old one until its end", try(first.text("access_token")), 0)
	forced := f.stable(true)
	same(t, "the one before the forced", try(second.text("access_token")), 40001)
	same(t, "the forced", try(forced.text("access_token")), 0)
	if r := f.stable(true); r.body["errcode"] != 45011.0 {
		t.Errorf("forced again at once: got %s", r.raw)
	}
	for i := range 19 {
		f.step(30 * time.Second)
		if r := f.stable(true); r.text("access_token") == "" {
			t.Fatalf("forced %d times: got %s", i+2, r.raw)
		}
	}
	f.step(30 * time.Second)
	if r := f.stable(true); r.body["errcode"] != 45009.0 {
		t.Errorf("forced 21 times: got %s", r.raw)
	}
	f.step(24 * time.Hour)
	if r := f.stable(true); r.text("access_token") == "" {
		t.Errorf("on the next day: got %s", r.raw)
	}
}

func TestTokensDie(t *testing.T) {
	f := newShop(t)
	stable := f.stable(false).text("access_token")
	first := f.token()
	second := f.token()
	try := func(token string) float64 {
		code, _ := f.api("/cgi-bin/wxopen/qrcodejumpget", token, "")
		f.step(time.Second)
		return code
	}
	same(t, "the old one for five minutes", try(first), 0)
	f.step(5 * time.Minute)
	same(t, "the old one", try(first), 40001)
	same(t, "the new one", try(second), 0)
	same(t, "the stable one", try(stable), 0)
	same(t, "none", try(""), 41001)
	same(t, "made up", try("x"), 40001)
	f.step(2 * time.Hour)
	same(t, "after two hours", try(second), 42001)
	f.step(26 * time.Hour)
	f.token() // sweeps
	same(t, "after a day", try(second), 40001)
	for range 1999 {
		f.token()
	}
	if r := f.send(f.request("GET", tokenQuery, nil)); r.body["errcode"] != 45009.0 {
		t.Errorf("the 2001st: got %s", r.raw)
	}
}

func TestTokenCallers(t *testing.T) {
	f := newShop(t)
	for target, want := range map[string]float64{
		"/cgi-bin/token":                         41002,
		"/cgi-bin/token?appid=wx1":               41004,
		"/cgi-bin/token?appid=wx1&secret=s3cret": 40002,
		"/cgi-bin/token?grant_type=client_credential&appid=wx2&secret=s3cret": 40013,
		"/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=s":      40125,
		"/cgi-bin/stable_token":                                                      43002,
		"/wxa/generatescheme?access_token=" + f.token():                              43002,
		"/wxa/getwxacodeunlimit?access_token=&scene=1&page=pages%2Findex&width=1280": 41001,
	} {
		if r := f.send(f.request("GET", target, nil)); r.body["errcode"] != want || !strings.Contains(r.text("errmsg"), "rid: ") {
			t.Errorf("%s: got %s, want %v", target, r.raw, want)
		}
	}
	if r := f.send(f.request("POST", tokenQuery, nil)); r.body["errcode"] != 43001.0 {
		t.Errorf("POST: got %s", r.raw)
	}
	if r := f.send(f.request("POST", "/cgi-bin/stable_token", []byte("x"))); r.body["errcode"] != 47001.0 {
		t.Errorf("nonsense: got %s", r.raw)
	}
	for allowed, want := range map[string]float64{"192.0.2.1": 0, "192.0.2.0/24": 0, "198.51.100.0/24": 40164, "2001:db8::1": 40164} {
		f := newShop(t, func(c *Config) { c.AllowedIPs = []string{allowed} }) // httptest calls from 192.0.2.1
		r := f.send(f.request("GET", tokenQuery, nil))
		code, _ := r.body["errcode"].(float64)
		if code != want {
			t.Errorf("%s: got %s, want %v", allowed, r.raw, want)
		}
		q := f.request("POST", "/cgi-bin/wxopen/qrcodejumpget?access_token="+r.text("access_token"), nil)
		q.RemoteAddr = "203.0.113.7:1"
		if r := f.send(q); r.body["errcode"] != 40164.0 {
			t.Errorf("call from elsewhere: got %s", r.raw)
		}
	}
}

func TestPhoneNumber(t *testing.T) {
	f := newShop(t)
	token := f.token()
	mint := func(body string) string {
		return f.must(200, f.send(f.request("POST", "/riders/ann/phone-code", []byte(body)))).text("phone_code")
	}
	ask := func(code, openid string) (float64, reply) {
		return f.api("/wxa/business/getuserphonenumber", token, fmt.Sprintf(`{"code":%q,"openid":%q}`, code, openid))
	}
	code := mint(`{"phone_number":"13800138000"}`)
	if got, r := ask(code, f.openid("bo")); got != 40029 {
		t.Errorf("somebody else's: got %s", r.raw)
	}
	_, r := ask(code, f.openid("ann"))
	same(t, "answer", r.body, object{"errcode": 0, "errmsg": "ok", "phone_info": object{
		"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86",
		"watermark": object{"timestamp": f.clock().Unix(), "appid": "wx1"},
	}})
	if got, _ := ask(code, ""); got != 40029 {
		t.Errorf("twice: got %v", got)
	}
	late := mint("")
	login := f.must(200, f.send(f.request("POST", "/riders/ann/login-code", nil))).text("login_code")
	if got, _ := ask(login, ""); got != 40029 {
		t.Errorf("login code: got %v", got)
	}
	first, _ := f.s.PhoneCode("ann", "")
	f.step(5 * time.Minute)
	if _, r := ask(first, ""); !strings.HasPrefix(r.body["phone_info"].(object)["phoneNumber"].(string), "13") {
		t.Errorf("number of its own: got %s", r.raw)
	}
	f.step(time.Second)
	if got, _ := ask(late, ""); got != 40029 {
		t.Errorf("after five minutes: got %v", got)
	}
	if got, _ := f.api("/wxa/business/getuserphonenumber", token, "x"); got != 47001 {
		t.Errorf("nonsense: got %v", got)
	}
	if r := f.send(f.request("POST", "/riders/eve/phone-code", nil)); r.status != 404 {
		t.Errorf("nobody: got %d", r.status)
	}
}

func TestSubscribeMessages(t *testing.T) {
	f := newShop(t, func(c *Config) {
		c.Pages = []string{"pages/ride"}
		c.Templates = []Template{{ID: "t1", Keys: []string{"thing1", "amount2", "time3"}}, {ID: "t2", Keys: []string{"thing1"}}}
	})
	token := f.token()
	good := object{
		"touser": f.openid("ann"), "template_id": "t1", "page": "pages/ride?id=1", "miniprogram_state": "trial", "lang": "zh_CN",
		"data": object{"thing1": object{"value": "骑行结束"}, "amount2": object{"value": "￥2.50"}, "time3": object{"value": "2026年11月2日 12:00"}},
	}
	send := func(change object) (float64, reply) {
		r := f.call("POST", "/cgi-bin/message/subscribe/send?access_token="+token, with(good, change))
		code, _ := r.body["errcode"].(float64)
		return code, r
	}
	f.t = quiet{t} // answers of the api are not signed
	if got, _ := send(nil); got != 43101 {
		t.Errorf("without an accept: got %v", got)
	}
	for _, body := range []string{`{"template_id":"t1","times":1}`, `{"template_id":"t1"}`} {
		if r := f.send(f.request("POST", "/riders/ann/subscriptions", []byte(body))); r.status != 204 {
			t.Fatalf("accept: got %d %s", r.status, r.raw)
		}
	}
	data := good["data"].(object)
	for name, tc := range map[string]struct {
		change object
		want   float64
		text   string
	}{
		"openid":       {object{"touser": "oX"}, 40003, ""},
		"template":     {object{"template_id": "t9"}, 40037, ""},
		"other":        {object{"template_id": "t2"}, 47003, "data.amount2"},
		"page":         {object{"page": "pages/none"}, 41030, ""},
		"slash":        {object{"page": "/pages/ride"}, 41030, ""},
		"state":        {object{"miniprogram_state": "beta"}, 40097, ""},
		"language":     {object{"lang": "xx"}, 40097, ""},
		"missing":      {object{"data": with(data, object{"thing1": nil})}, 47003, "data.thing1.value"},
		"empty":        {object{"data": with(data, object{"thing1": object{"value": ""}})}, 47003, "data.thing1.value"},
		"long":         {object{"data": with(data, object{"thing1": object{"value": strings.Repeat("好", 21)}})}, 47003, "data.thing1.value"},
		"no amount":    {object{"data": with(data, object{"amount2": object{"value": "free"}})}, 47003, "data.amount2.value"},
		"no time":      {object{"data": with(data, object{"time3": object{"value": "noon"}})}, 47003, "data.time3.value"},
		"unknown kind": {object{"unknown": 1}, 47001, ""},
	} {
		if got, r := send(tc.change); got != tc.want || !strings.Contains(r.text("errmsg"), tc.text) {
			t.Errorf("%s: got %s, want %v %s", name, r.raw, tc.want, tc.text)
		}
	}
	for i, want := range []float64{0, 0, 43101} {
		if got, r := send(nil); got != want {
			t.Errorf("message %d: got %s, want %v", i+1, r.raw, want)
		}
	}
	sent := f.s.Messages()
	if len(sent) != 2 || sent[0].Rider != "ann" || sent[0].Data["amount2"] != "￥2.50" || sent[0].State != "trial" {
		t.Errorf("sent: got %+v", sent)
	}
	for _, err := range []error{f.s.Accept("eve", "t1", 1), f.s.Accept("ann", "t9", 1), f.s.Accept("ann", "t1", 0), f.s.Accept("ann", "", 1)} {
		if err == nil {
			t.Error("a bad accept was taken")
		}
	}
}

// quiet hears no complaints of its fixture; the test itself has the real one.
type quiet struct{ testing.TB }

func (quiet) Errorf(string, ...any) {}

func TestValuesFit(t *testing.T) {
	for value, want := range map[string]bool{
		"thing1 " + strings.Repeat("好", 20): true, "thing1 " + strings.Repeat("好", 21): false,
		"number1 12.5": true, "number1 12a": false, "letter1 abc": true, "letter1 a1": false, "symbol1 !!!!!": true, "symbol1 !!!!!!": false,
		"character_string1 No-1": true, "character_string1 号": false, "time1 15:01": true, "time1 2019年10月1日 15:01": true, "time1 15": false,
		"date1 2019年10月1日": true, "date1 2019-10-01 15:01": true, "date1 15:01": false, "amount1 100元": true, "amount1 ￥1.5元": true, "amount1 1,5": false,
		"phone_number1 +86-0766-66888866": true, "phone_number1 +86-0766-668888660": false, "phone_number1 abc": false,
		"car_number1 粤A8Z888挂": true, "car_number1 粤A8Z888挂挂": false, "name1 张三": true, "name1 " + strings.Repeat("三", 11): false,
		"name1 " + strings.Repeat("a", 20): true, "phrase1 配送中": true, "phrase1 abc": false, "phrase1 配送中配送中": false,
		"thing x": false, "word1 x": false,
	} {
		key, text, _ := strings.Cut(value, " ")
		if got := fits(key, text); got != want {
			t.Errorf("%s %q: got %v, want %v", key, text, got, want)
		}
	}
}

func TestSunCode(t *testing.T) {
	f := newShop(t, func(c *Config) { c.Pages = []string{"pages/scan"} })
	token := f.token()
	for body, want := range map[string]float64{
		`{"scene":""}`: 40169,
		`{"scene":"` + strings.Repeat("1", 33) + `"}`: 40169,
		`{"scene":"锁"}`:                                                        40169,
		`{"scene":"a%20b"}`:                                                    40169,
		`{"scene":"1","page":"/pages/scan"}`:                                   41030,
		`{"scene":"1","page":"pages/scan?a=1"}`:                                41030,
		`{"scene":"1","page":"pages/new"}`:                                     41030,
		`{"scene":"1","width":279}`:                                            40097,
		`{"scene":"1","width":1281}`:                                           40097,
		`{"scene":"1","env_version":"beta"}`:                                   40097,
		`{"scene":1}`:                                                          47001,
		`{"scene":"1","page":"pages/new","check_path":false,"width":280}`:      0,
		`{"scene":"!#$&'()*+,/:;=?@-._~09azAZ","page":"pages/scan"}`:           0,
		`{"scene":"1","line_color":{"r":0,"g":0,"b":0},"env_version":"trial"}`: 0,
	} {
		got, r := f.api("/wxa/getwxacodeunlimit", token, body)
		if got != want {
			t.Errorf("%s: got %s, want %v", body, r.raw, want)
		}
		if want != 0 {
			continue
		}
		picture, err := png.Decode(bytes.NewReader(r.raw))
		if err != nil || r.header.Get("Content-Type") != "image/png" || picture.Bounds().Dx() < 280 {
			t.Errorf("%s: got %v, %s", body, err, r.header.Get("Content-Type"))
		}
	}
	f.s.quotas["sun code"] = &quota{minute(f.clock()), 4999}
	for _, want := range []float64{0, 45009} {
		if got, _ := f.api("/wxa/getwxacodeunlimit", token, `{"scene":"1"}`); got != want {
			t.Errorf("at the limit of a minute: got %v, want %v", got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	f := newShop(t, func(c *Config) { c.Pages = []string{"pages/scan"} })
	token := f.token()
	at := func(d time.Duration) int64 { return f.clock().Add(d).Unix() }
	day := 24 * time.Hour
	for _, tc := range []struct {
		jump, term string
		want       float64
	}{
		{`"path":"/pages/scan","query":"q=1"`, ``, 0},
		{`"path":"pages/scan"`, `,"expire_type":1,"expire_interval":30`, 0},
		{`"path":"pages/scan"`, `,"expire_type":1,"expire_interval":31`, 85400},
		{`"path":"pages/scan"`, `,"expire_type":1`, 85400},
		{`"path":"pages/scan"`, fmt.Sprintf(`,"is_expire":true,"expire_time":%d`, at(30*day)), 0},
		{`"path":"pages/scan"`, fmt.Sprintf(`,"is_expire":true,"expire_time":%d`, at(30*day+time.Second)), 85400},
		{`"path":"pages/scan"`, fmt.Sprintf(`,"is_expire":true,"expire_time":%d`, at(0)), 85400},
		{`"path":"pages/scan"`, `,"is_expire":true`, 85400},
		{`"path":"pages/scan"`, `,"expire_type":2`, 40097},
		{`"path":"pages/none"`, ``, 40165},
		{`"path":"pages/scan?a=1"`, ``, 40165},
		{`"path":"pages/scan","query":"` + strings.Repeat("a", 1025) + `"`, ``, 40212},
		{`"path":"pages/scan","query":"锁"`, ``, 40212},
		{`"path":"pages/scan","env_version":"beta"`, ``, 40097},
	} {
		for path, body := range map[string]string{
			"/wxa/generatescheme":   `{"jump_wxa":{` + tc.jump + `}` + tc.term + `}`,
			"/wxa/generate_urllink": `{` + tc.jump + tc.term + `}`,
		} {
			got, r := f.api(path, token, body)
			link := r.text("openlink") + r.text("url_link")
			if got != tc.want || (link != "") != (tc.want == 0) {
				t.Errorf("%s %s: got %s, want %v", path, body, r.raw, tc.want)
			}
		}
	}
	f.s.quotas["link"].count = linksPerDay
	if got, _ := f.api("/wxa/generatescheme", token, `{"jump_wxa":{}}`); got != 44993 {
		t.Errorf("at the limit of a day: got %v", got)
	}
	for _, path := range []string{"/wxa/generatescheme", "/wxa/generate_urllink"} {
		if got, _ := f.api(path, token, "x"); got != 47001 {
			t.Errorf("%s nonsense: got %v", path, got)
		}
	}
}

func TestFaultsOfTheAPI(t *testing.T) {
	f := newShop(t)
	token := f.token()
	f.fault(FaultOutage, 2)
	for range 2 {
		if r := f.send(f.request("GET", tokenQuery, nil)); r.status != 502 {
			t.Errorf("outage: got %d", r.status)
		}
		f.step(time.Second)
		f.fault(FaultOutage, 1)
		if _, r := f.api("/cgi-bin/wxopen/qrcodejumpget", token, ""); r.status != 502 {
			t.Errorf("outage: got %d", r.status)
		}
		f.fault(FaultOutage, 1)
	}
	f.fault(FaultOutage, 0)
	once := 1
	for _, group := range []string{GroupToken, GroupScan} {
		for _, kind := range []string{FaultBusy, FaultLost} {
			if err := f.s.Break(Fault{Kind: kind, On: group, Times: &once}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if r := f.send(f.request("GET", tokenQuery, nil)); r.body["errcode"] != -1.0 {
		t.Errorf("busy token: got %s", r.raw)
	}
	if r := f.send(f.request("GET", tokenQuery, nil)); !r.cut {
		t.Errorf("lost token: got %s", r.raw)
	}
	if got, _ := f.api("/cgi-bin/wxopen/qrcodejumpget", token, ""); got != -1 {
		t.Errorf("busy scan: got %v", got)
	}
	if _, r := f.api("/cgi-bin/wxopen/qrcodejumpget", token, ""); !r.cut {
		t.Errorf("lost scan: got %s", r.raw)
	}
	if err := f.s.Break(Fault{Kind: FaultBusy, On: GroupPay}); err == nil {
		t.Error("busy on the pay host was taken")
	}
}
