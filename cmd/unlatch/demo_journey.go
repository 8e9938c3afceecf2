package main

import (
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/unlatch/unlatch/rider"
)

// journey puts the rider's whole way on the page behind a code, and what it needs of
// the simulated world on the same origin: the WeChat double and the stage directions
// listen on loopback, and a phone on the LAN must not reach all of them.
type journey struct {
	hands atomic.Pointer[http.Handler] // nil until there are devices
}

// What the page may do. The rest of both admin sides stays on loopback.
var (
	journeyWeChat     = []string{"login-code", "pay", "confirm"}
	journeyDirections = []string{"close", "jam", "network", "power", "nozzle", "squeeze"}
)

// fill gives the demo's node the page and what is beside it.
func (j *journey) fill(c *nodeConfig, riders []string, double *double) error {
	page, err := rider.NewJourney(riders)
	if err != nil {
		return err
	}
	weChat := double.fake.Admin()
	mux := http.NewServeMux()
	mux.Handle("GET "+rider.JourneyPath, page)
	mux.HandleFunc("POST /demo/wechat/{rider}/{what}", func(w http.ResponseWriter, r *http.Request) {
		name, what := r.PathValue("rider"), r.PathValue("what")
		if !slices.Contains(riders, name) || !slices.Contains(journeyWeChat, what) {
			http.NotFound(w, r)
			return
		}
		forward(weChat, w, r, "/riders/"+name+"/"+what)
	})
	mux.HandleFunc("GET /demo/hands/{device}", func(w http.ResponseWriter, r *http.Request) { j.direct(w, r, r.PathValue("device")) })
	mux.HandleFunc("POST /demo/hands/{device}/{direction}", func(w http.ResponseWriter, r *http.Request) {
		direction := r.PathValue("direction")
		if !slices.Contains(journeyDirections, direction) {
			http.NotFound(w, r)
			return
		}
		j.direct(w, r, r.PathValue("device")+"/"+direction)
	})
	// Another site that the same browser has open must not play with the devices.
	beside := http.NewCrossOriginProtection().Handler(mux)
	c.CodePage = page.Page
	c.Around = func(api http.Handler) http.Handler {
		all := http.NewServeMux()
		all.Handle("/", api)
		all.Handle("/demo/", beside)
		return all
	}
	return nil
}

// takes says who takes stage directions, once there are devices.
func (j *journey) takes(hands http.Handler) { j.hands.Store(&hands) }

func (j *journey) direct(w http.ResponseWriter, r *http.Request, path string) {
	hands := j.hands.Load()
	if hands == nil {
		http.Error(w, "the devices are not there yet", http.StatusServiceUnavailable)
		return
	}
	forward(*hands, w, r, "/devices/"+path)
}

// forward lets another handler of this process answer under its own address.
func forward(to http.Handler, w http.ResponseWriter, r *http.Request, path string) {
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = path, ""
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Header().Set("Cache-Control", "no-store")
	to.ServeHTTP(w, r)
}
