package fakewechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
)

// Errors of what riders do. The admin side answers 404 to the first two, 409 to the
// others of this list, and 400 to what is wrong with the request itself.
var (
	ErrUnknownRider  = errors.New("unknown rider")
	ErrUnknownOrder  = errors.New("unknown order")
	ErrNoMerchant    = errors.New("there is no merchant")
	ErrBadPayRequest = errors.New("requestPayment:fail invalid parameters or signature")
	ErrOtherRider    = errors.New("the order is somebody else's")
	ErrPrepayExpired = errors.New("the prepay id is older than two hours")
	ErrOrderPaid     = errors.New("the order is paid")
	ErrOrderClosed   = errors.New("the order is closed")
	ErrScoreState    = errors.New("the score order is in another state")
	ErrScoreRefused  = errors.New("pay score refuses the rider")
)

// Admin is what phones and WeChat's operators do: hand out codes, pay, confirm,
// break things, and look at what happened.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /riders/{name}/login-code", s.mintLoginCode)
	mux.HandleFunc("POST /riders/{name}/phone-code", s.mintPhoneCode)
	mux.HandleFunc("POST /riders/{name}/subscriptions", adminDo(func(r *http.Request, in struct {
		TemplateID string `json:"template_id"`
		Times      int    `json:"times"`
	}) error {
		return s.Accept(r.PathValue("name"), in.TemplateID, max(in.Times, 1))
	}))
	mux.HandleFunc("POST /riders/{name}/scan", s.scan)
	mux.HandleFunc("POST /riders/{name}/pay", adminDo(func(r *http.Request, in PayRequest) error {
		return s.Pay(r.PathValue("name"), in)
	}))
	mux.HandleFunc("POST /riders/{name}/confirm", s.confirmPage)
	mux.HandleFunc("POST /riders/{name}/score-orders/{number}/pay", adminDo(func(r *http.Request, _ struct{}) error {
		return s.PayScoreOrder(r.PathValue("name"), r.PathValue("number"))
	}))
	mux.HandleFunc("POST /riders/{name}/score", adminDo(func(r *http.Request, in ScoreConduct) error {
		return s.ScoreFor(r.PathValue("name"), in)
	}))
	mux.HandleFunc("POST /faults", adminSet(s.Break))
	mux.HandleFunc("POST /chaos", adminSet(s.SetChaos))
	mux.HandleFunc("GET /money", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, http.StatusOK, s.Money()) })
	mux.HandleFunc("GET /messages", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, http.StatusOK, s.Messages()) })
	mux.HandleFunc("GET /callbacks", func(w http.ResponseWriter, _ *http.Request) { adminAnswer(w, http.StatusOK, s.Callbacks()) })
	return mux
}

// confirmPage answers with what the confirm page hands to the mini-program when the
// rider goes back by its button: the query_id, and no state.
func (s *Server) confirmPage(w http.ResponseWriter, r *http.Request) {
	in, read := adminRead[struct {
		Package string `json:"package"`
	}](w, r)
	if !read {
		return
	}
	if err := s.Confirm(r.PathValue("name"), in.Package); err != nil {
		adminDone(w, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	adminAnswer(w, http.StatusOK, struct {
		QueryID string `json:"query_id"`
	}{s.pay.scoresByPack[in.Package].queryID})
}

// adminDo reads the body, does one thing and answers 204.
func adminDo[In any](do func(*http.Request, In) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if in, ok := adminRead[In](w, r); ok {
			adminDone(w, do(r, in))
		}
	}
}

func adminSet[In any](set func(In) error) http.HandlerFunc {
	return adminDo(func(_ *http.Request, in In) error { return set(in) })
}

func adminDone(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
		return
	case errors.Is(err, ErrUnknownRider), errors.Is(err, ErrUnknownOrder):
		status = http.StatusNotFound
	case errors.Is(err, ErrNoMerchant), errors.Is(err, ErrBadPayRequest), errors.Is(err, ErrOtherRider), errors.Is(err, ErrPrepayExpired),
		errors.Is(err, ErrOrderPaid), errors.Is(err, ErrOrderClosed), errors.Is(err, ErrScoreState), errors.Is(err, ErrScoreRefused):
		status = http.StatusConflict
	}
	adminAnswer(w, status, adminProblem{err.Error()})
}

// adminRead takes an empty body for an empty object.
func adminRead[In any](w http.ResponseWriter, r *http.Request) (in In, ok bool) {
	body, err := readBody(w, r)
	if err == nil && len(bytes.TrimSpace(body)) > 0 {
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		err = d.Decode(&in)
	}
	if err != nil {
		adminAnswer(w, http.StatusBadRequest, adminProblem{err.Error()})
	}
	return in, err == nil
}

func adminAnswer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

type adminProblem struct {
	Error string `json:"error"`
}
