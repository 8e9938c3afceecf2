package fakewechat

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// problem is a refusal of the pay host: an HTTP status, a code for programs and the
// number at the end of Request-Id, by which WeChat's support finds the reason.
type problem struct {
	status  int
	code    string
	message string
	tail    int
	detail  *problemDetail
}

type problemDetail struct {
	Field    string `json:"field"`
	Value    any    `json:"value,omitempty"`
	Issue    string `json:"issue"`
	Location string `json:"location"`
}

// Numbers at the end of Request-Id.
const (
	tailOrderUnknown = 268512771
	tailOrderPaid    = 268449538
	tailOtherParams  = 268498688
	tailOrderExpired = 268447914
	tailSignature    = 268443699
	tailNoOpenID     = 268501013
	tailAppMismatch  = 268445527
	tailValueRange   = 268435464
	tailTooOften     = 268435472
	tailBadAuth      = 270924332
)

func invalid(message string, tail int) *problem {
	return &problem{status: http.StatusBadRequest, code: "INVALID_REQUEST", message: message, tail: tail}
}

// badParam is PARAM_ERROR for one field, named by its path in the body.
func badParam(field, issue string) *problem {
	return &problem{
		status: http.StatusBadRequest, code: "PARAM_ERROR", message: "输入源“" + field + "”" + issue, tail: tailValueRange,
		detail: &problemDetail{Field: field, Issue: issue, Location: "body"},
	}
}

func badQuery(field, issue string) *problem {
	p := badParam(field, issue)
	p.detail.Location = "query"
	return p
}

func notFound(code, message string, tail int) *problem {
	return &problem{status: http.StatusNotFound, code: code, message: message, tail: tail}
}

// payCall is a request that passed the gate.
type payCall struct {
	*http.Request
	query url.Values
	body  []byte
	now   time.Time
}

// read decodes the body and refuses members that the call does not know, and those
// that are spelled in another case.
func (c *payCall) read(into any) *problem {
	d := json.NewDecoder(bytes.NewReader(c.body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badParam("/body", err.Error())
	}
	if d.More() || len(bytes.TrimSpace(c.body[d.InputOffset():])) > 0 {
		return badParam("/body", "data after the object")
	}
	if name := misspelt(c.body); name != "" {
		return badParam("/"+name, "unknown member")
	}
	return nil
}

// misspelt finds a member with a capital letter: encoding/json takes it for the one
// without, and the real hosts, whose names have none, do not.
func misspelt(body []byte) string {
	for i := 0; i < len(body); i++ {
		if body[i] != '"' {
			continue
		}
		start := i + 1
		for i = start; i < len(body) && body[i] != '"'; i++ {
			if body[i] == '\\' {
				i++
			}
		}
		if i >= len(body) {
			return "" // no JSON: junk behind the value
		}
		text := body[start:i]
		rest := bytes.TrimLeft(body[i+1:], " \t\r\n")
		if len(rest) > 0 && rest[0] == ':' && bytes.ContainsAny(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			return string(text)
		}
	}
	return ""
}

// endpoint answers one method of one path. It runs under the lock; a nil answer is a
// 204.
type endpoint struct {
	group  string
	answer func(*payCall) (any, *problem)
}

// rawFile is an answer that is no JSON and not signed.
type rawFile []byte

// PayAPI is api.mch.weixin.qq.com.
func (s *Server) PayAPI() http.Handler {
	mux := http.NewServeMux()
	if s.pay == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	}
	const (
		jsapi  = "/v3/pay/transactions"
		refund = "/v3/refund/domestic/refunds"
		score  = "/v3/payscore/serviceorder"
	)
	for path, methods := range map[string]map[string]endpoint{
		jsapi + "/jsapi":                       {"POST": {GroupPay, s.createOrder}},
		jsapi + "/out-trade-no/{number}":       {"GET": {GroupPay, s.queryOrder}},
		jsapi + "/out-trade-no/{number}/close": {"POST": {GroupPay, s.closeOrder}},
		jsapi + "/id/{id}":                     {"GET": {GroupPay, s.queryTransaction}},

		refund:                                 {"POST": {GroupRefund, s.createRefund}},
		refund + "/{number}":                   {"GET": {GroupRefund, s.queryRefund}},
		refund + "/{id}/apply-abnormal-refund": {"POST": {GroupRefund, s.applyAbnormalRefund}},
		"/v3/bill/tradebill":                   {"GET": {GroupBill, s.tradeBill}},
		"/v3/bill/fundflowbill":                {"GET": {GroupBill, s.fundFlowBill}},
		"/v3/billdownload/file":                {"GET": {GroupBill, s.downloadBill}},
		"/v3/certificates":                     {"GET": {GroupPay, s.noCertificates}},
		"/v3/payscore/permissions":             {"POST": {GroupScore, s.noPermissions}},
		score:                                  {"POST": {GroupScore, s.createScore}, "GET": {GroupScore, s.queryScore}},
		score + "/{number}/cancel":             {"POST": {GroupScore, s.cancelScore}},
		score + "/{number}/complete":           {"POST": {GroupScore, s.completeScore}},
		score + "/{number}/modify":             {"POST": {GroupScore, s.modifyScore}},
		score + "/{number}/sync":               {"POST": {GroupScore, s.syncScore}},
		score + "/{number}/pay":                {"POST": {GroupScore, s.collectScore}},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			e, ok := methods[r.Method]
			if !ok {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			s.servePay(w, r, e)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	return mux
}

// noCertificates is what a merchant hears that has the public key only.
func (s *Server) noCertificates(*payCall) (any, *problem) {
	return nil, notFound("RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥", 0)
}

// servePay is the gate before every endpoint.
func (s *Server) servePay(w http.ResponseWriter, r *http.Request, e endpoint) {
	body, err := readBody(w, r)
	if err != nil {
		s.refusePay(w, badParam("/body", err.Error()))
		return
	}
	refused := s.admit(r, body)
	s.mu.Lock()
	outage := s.strikes(FaultOutage, e.group, "")
	if refused == nil && !outage {
		refused = s.breakCall(e.group)
	}
	if refused != nil || outage {
		s.mu.Unlock()
		if outage {
			badGateway(w)
		} else {
			s.refusePay(w, refused)
		}
		return
	}
	answer, nonce, refused, bad, lost := s.perform(r, body, e)
	s.mu.Unlock()
	switch {
	case refused != nil:
		s.refusePay(w, refused)
	case lost:
		panic(http.ErrAbortHandler) // cuts the connection without an answer
	default:
		s.answerPay(w, answer, nonce, bad)
	}
}

// perform runs the endpoint under the lock, which the caller holds.
func (s *Server) perform(r *http.Request, body []byte, e endpoint) (answer any, nonce string, refused *problem, bad, lost bool) {
	b, err := s.draw(16)
	if err != nil {
		return nil, "", systemError, false, false
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, "", badQuery("/", err.Error()), false, false
	}
	answer, refused = e.answer(&payCall{Request: r, query: query, body: body, now: s.now()})
	if refused == nil {
		bad = s.strikes(FaultBadSignature, e.group, "")
		lost = s.strikes(FaultLost, e.group, "")
	}
	return answer, hex.EncodeToString(b), refused, bad, lost
}

var systemError = &problem{status: http.StatusInternalServerError, code: "SYSTEM_ERROR", message: "系统异常，请稍后重试"}

// breakCall is a failure before anything happens, if one is due.
func (s *Server) breakCall(group string) *problem {
	switch {
	case s.strikes(FaultSignError, group, ""):
		return &problem{status: http.StatusUnauthorized, code: "SIGN_ERROR", message: "签名错误，请检查后再试", tail: tailSignature}
	case s.strikes(FaultLimited, group, ""):
		return &problem{status: http.StatusTooManyRequests, code: "FREQUENCY_LIMITED", message: "频率超限，请稍后重试", tail: tailTooOften}
	case s.strikes(FaultSystemError, group, ""):
		return systemError
	}
	return nil
}

// admit checks headers and signature.
func (s *Server) admit(r *http.Request, body []byte) *problem {
	accept := r.Header.Get("Accept")
	if accept == "" || r.Header.Get("User-Agent") == "" {
		return invalid("Http头缺少Accept或User-Agent", 0)
	}
	if !strings.Contains(accept, "application/json") && !strings.Contains(accept, "*/*") && !strings.Contains(accept, "application/*") {
		return invalid("Http头Accept应为application/json", 0)
	}
	if len(body) > 0 {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return invalid("Http头Content-Type应为application/json", 0)
		}
	}
	if err := s.pay.authenticate(r, body, s.stamp()); err != nil {
		tail := tailSignature
		if err == errAuthorization {
			tail = tailBadAuth
		}
		return &problem{status: http.StatusUnauthorized, code: "SIGN_ERROR", message: err.Error(), tail: tail}
	}
	if id := r.Header.Get("Wechatpay-Serial"); id != "" && id != s.pay.KeyID {
		return badParam("Wechatpay-Serial", "is not the id of the WeChat Pay public key")
	}
	return nil
}

// label sets Request-Id, which ends in the number of the reason.
func (s *Server) label(w http.ResponseWriter, tail int) {
	w.Header().Set("Request-Id", fmt.Sprintf("08%016X10A1-%d", s.requests.Add(1), tail))
}

func (s *Server) refusePay(w http.ResponseWriter, p *problem) {
	s.label(w, p.tail)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(p.status)
	_ = json.NewEncoder(w).Encode(struct {
		Code    string         `json:"code"`
		Message string         `json:"message"`
		Detail  *problemDetail `json:"detail,omitempty"`
	}{p.code, p.message, p.detail})
}

// answerPay signs a success, unless it is a file.
func (s *Server) answerPay(w http.ResponseWriter, answer any, nonce string, bad bool) {
	s.label(w, 0)
	if file, ok := answer.(rawFile); ok {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(file)
		return
	}
	var body []byte
	status := http.StatusNoContent
	if answer != nil {
		var err error
		if body, err = json.Marshal(answer); err != nil {
			s.refusePay(w, systemError)
			return
		}
		status = http.StatusOK
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	signed := body
	if bad {
		signed = otherBytes(body)
	}
	if err := s.pay.stampHeaders(w.Header(), s.stamp(), nonce, signed); err != nil {
		s.refusePay(w, systemError)
		return
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func badGateway(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write([]byte("<html><body>502 Bad Gateway</body></html>"))
}
