package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/unlatch/unlatch/bus"
)

// metrics serves what this replica counts. Counters are read when asked for.
func (n *node) metrics(conn *bus.Conn) http.Handler {
	r := prometheus.NewRegistry()
	counter := func(name, help string, read func() float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "unlatch_" + name + "_total", Help: help}, read))
	}
	c := n.ingest.Counts()
	counter("words_heard", "Verified words of devices taken in.", func() float64 { return float64(c.Heard.Load()) })
	counter("words_dropped", "Uplinks dropped because a queue was full.", func() float64 { return float64(c.Dropped.Load()) })
	counter("words_malformed", "Uplinks that are no message of the contract.", func() float64 { return float64(c.Malformed.Load()) })
	counter("words_forged", "Uplinks whose signature does not fit.", func() float64 { return float64(c.Forged.Load()) })
	counter("words_unknown_device", "Uplinks of devices that are not known or retired.", func() float64 { return float64(c.Unknown.Load()) })
	counter("words_failed", "Verified words that could not be taken in.", func() float64 { return float64(c.Failed.Load()) })
	counter("evidence_quarantined", "Evidence kept apart because it names nothing of ours.", func() float64 { return float64(c.Quarantined.Load()) })
	counter("acks", "Acks published.", func() float64 { return float64(c.Acked.Load()) })
	counter("commands_sent", "Publishes of commands that left.", func() float64 { return float64(n.dispatch.Sent.Load()) })
	counter("commands_unsent", "Publishes of commands that did not leave.", func() float64 { return float64(n.dispatch.Unsent.Load()) })
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		refusals{n, prometheus.NewDesc("unlatch_refusals_total", "Requests refused, by the problem's code.", []string{"code"}, nil)})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return mux
}

// refusals reads the API's refusals by code.
type refusals struct {
	n    *node
	desc *prometheus.Desc
}

func (r refusals) Describe(ch chan<- *prometheus.Desc) { ch <- r.desc }

func (r refusals) Collect(ch chan<- prometheus.Metric) {
	for code, count := range r.n.api.Refusals() {
		ch <- prometheus.MustNewConstMetric(r.desc, prometheus.CounterValue, float64(count), code)
	}
}
