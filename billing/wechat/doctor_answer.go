package wechat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/wechatpay-apiv3/wechatpay-go/core/consts"
)

// recorder remembers the last answer of the pay host, of which a cashier keeps only
// the meaning.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	last *heard
}

// heard is an answer as far as a doctor needs it.
type heard struct {
	status  int
	code    string
	message string // looked at, never shown
	request string
}

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	answer, err := r.next.RoundTrip(q)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = nil
	if err != nil {
		return answer, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxPayAnswer))
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	h := &heard{status: answer.StatusCode, request: answer.Header.Get(consts.RequestID)}
	var refusal struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &refusal) == nil && codeText.MatchString(refusal.Code) {
		h.code, h.message = refusal.Code, refusal.Message
	}
	r.last = h
	return answer, nil
}

// answer is nil when none came.
func (r *recorder) answer() *heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// name is what support asks for.
func (h *heard) name() string {
	text := fmt.Sprintf("status %d", h.status)
	if h.code != "" {
		text += ", code " + h.code
	}
	if requestText.MatchString(h.request) {
		text += ", request " + h.request
	}
	return text
}
