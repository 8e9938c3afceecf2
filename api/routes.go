package api

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// routes builds the two private muxes behind their gates, and the public one.
func (a *API) routes() http.Handler {
	riders := http.NewServeMux()
	h := humago.New(riders, a.humaConfig())
	h.UseMiddleware(a.timed, a.riderGate) // before any operation is registered
	a.riderRoutes(h)

	operators := http.NewServeMux()
	h = humago.New(operators, a.humaConfig())
	h.UseMiddleware(a.timed, a.operatorGate)
	a.operatorRoutes(h)

	// What is below a batch has a mux of its own: in one with /codes/{number}/symbol.svg
	// neither pattern would be more specific.
	batches := http.NewServeMux()
	h = humago.New(batches, a.humaConfig())
	h.UseMiddleware(a.timed, a.operatorGate)
	a.batchRoutes(h)

	public := http.NewServeMux()
	public.Handle("/v1/", a.named(riders))
	public.Handle("/v1/operator/", a.named(operators))
	public.Handle("/v1/operator/codes/batches", a.named(operators)) // or the next line would redirect it
	public.Handle("/v1/operator/codes/batches/", a.named(batches))
	public.HandleFunc("GET /{$}", a.homePage)
	public.HandleFunc("POST /v1/wechat/notify", a.notify)
	public.HandleFunc("GET /d/{code}", a.codePage)
	public.HandleFunc("GET /gbfs/3.0/", a.gbfs)
	a.signInPageRoutes(public)
	public.HandleFunc("GET /openapi.json", a.openAPI)
	public.HandleFunc("GET /livez", a.livez)
	public.HandleFunc("GET /readyz", a.readyz)
	return a.guarded(a.verification(a.named(public)))
}

// named answers what a mux does not know with problems instead of its own text.
func (a *API) named(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, pattern := mux.Handler(r); pattern == "" {
			var p probe
			h.ServeHTTP(&p, r)
			switch p.status {
			case http.StatusNotFound:
				a.refuse(w, r, "route", errRoute)
				return
			case http.StatusMethodNotAllowed:
				w.Header().Set("Allow", p.Header().Get("Allow"))
				a.refuse(w, r, "route", errMethod)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

// probe learns what the mux would answer and drops the text.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *probe) Write(b []byte) (int, error) { return len(b), nil }

func (p *probe) WriteHeader(status int) { p.status = status }

// tracked knows whether an answer has begun.
type tracked struct {
	http.ResponseWriter
	begun  bool
	status int // 0 = not written yet
}

func (t *tracked) WriteHeader(status int) {
	t.begun = true
	if t.status == 0 {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(b []byte) (int, error) {
	t.begun = true
	if t.status == 0 {
		t.status = http.StatusOK
	}
	return t.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through, for flushing and deadlines.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// guarded sets the headers of every answer, limits each source and turns a panic
// into a problem. Checks of the process's health are not limited.
func (a *API) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &tracked{ResponseWriter: rw}
		defer func() {
			fault := recover()
			if fault == nil {
				return
			}
			if fault == http.ErrAbortHandler {
				panic(fault)
			}
			a.Log.Error("request panicked", "fault", fmt.Sprint(fault), "stack", string(debug.Stack()))
			if w.begun {
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
			a.refuse(w, r, "panic", errInternal)
		}()
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("Cache-Control", "no-store")
		if a.Scheme == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if r.URL.Path != "/livez" && r.URL.Path != "/readyz" {
			if err := a.sources.take(sourceOf(r, a.TrustProxy), time.Now()); err != nil {
				a.refuse(w, r, "source limit", err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// timed tells Observe how long an operation took, its gate included.
func (a *API) timed(ctx huma.Context, next func(huma.Context)) {
	a.inFlight.Add(1)
	defer a.inFlight.Add(-1)
	if a.Observe == nil {
		next(ctx)
		return
	}
	began := time.Now()
	_, w := humago.Unwrap(ctx)
	next(ctx)
	status := ctx.Status()
	if t, ok := w.(*tracked); ok && t.status != 0 { // a gate's refusal is written past huma
		status = t.status
	}
	a.Observe(ctx.Operation().OperationID, status, time.Since(began))
}

// Load is how many requests are being answered now, and how many of them only wait
// for an order to move.
func (a *API) Load() (requests, waits int64) {
	return a.inFlight.Load(), a.waits.count()
}

// livez says that the process answers.
func (a *API) livez(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyPatience bounds each part's check.
const readyPatience = 2 * time.Second

// Readiness is what /readyz answers: "ok" or the reason, by part.
type Readiness struct {
	Ready bool              `json:"ready"`
	Parts map[string]string `json:"parts"`
}

// readyz asks every part, all at once, and is 503 unless all are ready.
func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyPatience)
	defer cancel()
	answer := Readiness{Ready: true, Parts: map[string]string{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for part, check := range a.Ready {
		wg.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			answer.Parts[part] = "ok"
			if err != nil {
				answer.Ready, answer.Parts[part] = false, err.Error()
			}
		})
	}
	wg.Wait()
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, answer)
}

// openAPI serves the document, which cannot change while the process runs.
func (a *API) openAPI(w http.ResponseWriter, r *http.Request) {
	body, err := a.OpenAPI()
	if err != nil {
		a.refuse(w, r, "openapi", err)
		return
	}
	w.Header().Set("Content-Type", "application/openapi+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(body)
}
