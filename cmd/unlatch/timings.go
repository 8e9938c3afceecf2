package main

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/gateway"
	"github.com/unlatch/unlatch/order"
)

// The hops of an order, from a rider's request to the device's word and back. Times
// of one clock are compared with themselves alone: publish and answer are differences
// of the database's clock, but for the reading of ours that ends publish.
const (
	hopLoad    = "load"    // read a snapshot
	hopApply   = "apply"   // commit a decision
	hopPublish = "publish" // from a command's commit to its first publish
	hopAnswer  = "answer"  // from a start's commit to the device's proof, committed
	hopHear    = "hear"    // take a verified word in, until its commit
)

// timings measures what passes through this replica.
type timings struct {
	hops *prometheus.HistogramVec
	http *prometheus.HistogramVec
	ends *prometheus.CounterVec // commands of riders by how they ended
}

func newTimings() *timings {
	buckets := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60}
	return &timings{
		hops: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "unlatch_hop_seconds", Buckets: buckets,
			Help: "Time of each hop of an order: load, apply, publish, answer, hear."}, []string{"hop"}),
		http: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "unlatch_http_seconds", Buckets: buckets,
			Help: "Time of each answer, by operation and class of status. Long polls count what they waited."}, []string{"operation", "status"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "unlatch_starts_total",
			Help: "Starts that ended, by how."}, []string{"end"}),
	}
}

func (t *timings) took(hop string, d time.Duration) {
	t.hops.WithLabelValues(hop).Observe(max(d, 0).Seconds())
}

// answered is api.Config.Observe.
func (t *timings) answered(operation string, status int, took time.Duration) {
	t.http.WithLabelValues(operation, strconv.Itoa(status/100)+"xx").Observe(took.Seconds())
}

// left is gateway.Dispatcher.Left. Only the first publish of a command tells how long
// its way out took.
func (t *timings) left(c device.Command) {
	if since := time.Since(c.CreatedAt); since < 500*time.Millisecond { // the first repeat comes after 600 ms
		t.took(hopPublish, since)
	}
}

// committed looks at what a decision changed.
func (t *timings) committed(c order.Changes) {
	for _, k := range c.Commands {
		if k.Kind == device.Start && !k.State.Open() && !k.DoneAt.IsZero() {
			t.ends.WithLabelValues(string(k.State)).Inc()
			if k.State == device.Executed || k.State == device.Rejected {
				t.took(hopAnswer, k.DoneAt.Sub(k.CreatedAt))
			}
		}
	}
}

// store measures an order.Store.
func (t *timings) store(s order.Store) order.Store { return timedStore{s, t} }

type timedStore struct {
	order.Store
	t *timings
}

func (s timedStore) Load(ctx context.Context, q order.Query) (order.Snapshot, error) {
	began := time.Now()
	snap, err := s.Store.Load(ctx, q)
	s.t.took(hopLoad, time.Since(began))
	return snap, err
}

func (s timedStore) Apply(ctx context.Context, c order.Changes) error {
	began := time.Now()
	err := s.Store.Apply(ctx, c)
	s.t.took(hopApply, time.Since(began))
	return err
}

// hearer measures a gateway.Hearer.
func (t *timings) hearer(h gateway.Hearer) gateway.Hearer { return timedHearer{h, t} }

type timedHearer struct {
	gateway.Hearer
	t *timings
}

func (h timedHearer) Hear(ctx context.Context, x order.Hear) (order.Heard, error) {
	began := time.Now()
	heard, err := h.Hearer.Hear(ctx, x)
	h.t.took(hopHear, time.Since(began))
	return heard, err
}
