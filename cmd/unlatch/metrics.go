package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/unlatch/unlatch/bus"
	"github.com/unlatch/unlatch/device"
	"github.com/unlatch/unlatch/order"
)

// metrics serves what this replica counts and how the installation stands.
// docs/operations.md names each of them. Counters are read when asked for.
func (n *node) metrics(conn *bus.Conn) http.Handler {
	r := prometheus.NewRegistry()
	counter := func(name, help string, read func() float64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "unlatch_" + name + "_total", Help: help}, read))
	}
	gauge := func(name, help string, read func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "unlatch_" + name, Help: help}, read))
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
	counter("webhooks_arrived", "Events that a webhook took.", func() float64 { arrived, _, _ := n.webhooks.Counts(); return float64(arrived) })
	counter("webhooks_failed", "Tries that a webhook did not take.", func() float64 { _, failed, _ := n.webhooks.Counts(); return float64(failed) })
	counter("webhooks_given_up", "Events that a webhook never took.", func() float64 { _, _, up := n.webhooks.Counts(); return float64(up) })
	counter("webhooks_dropped", "Events that waited for a webhook in too long a queue.", func() float64 { return float64(n.webhooks.Dropped()) })
	gauge("http_in_flight", "Requests that are being answered, waiting ones included.", func() float64 { requests, _ := n.api.Load(); return float64(requests) })
	gauge("http_waiting", "Requests that only wait for an order to move.", func() float64 { _, waits := n.api.Load(); return float64(waits) })
	counter("command_hops_lost", "Times of commands that were not written down.", func() float64 { return float64(n.hops.Lost.Load()) })
	l := n.live.Counts()
	counter("fleet_events", "Events of the fleet's stream.", func() float64 { return float64(l.Events.Load()) })
	counter("fleet_resyncs", "Streams that were told to begin anew: too slow, cut for too long, or of another replica.", func() float64 { return float64(l.Resyncs.Load()) })
	counter("fleet_snapshots", "Snapshots of the fleet that were written.", func() float64 { return float64(l.Snapshots.Load()) })
	counter("fleet_failures", "Looks at the fleet that the database did not answer.", func() float64 { return float64(l.Failures.Load()) })
	gauge("fleet_streams", "Streams of the fleet that are open.", func() float64 { return float64(n.live.Size().Followers) })
	gauge("fleet_devices", "Devices that this replica holds in memory; 0 while nobody looks.", func() float64 { return float64(n.live.Size().Devices) })
	gauge("fleet_ring_events", "Events that a stream can go on over.", func() float64 { return float64(n.live.Size().Events) })
	gauge("fleet_ring_bytes", "Bytes of them.", func() float64 { return float64(n.live.Size().Bytes) })
	gauge("nats_connected", "1 while the connection to NATS is up.", func() float64 { return truth(conn.Stats().Connected) })
	gauge("broker_connected", "1 while the connection to the broker is up and devices can log in.", func() float64 {
		return truth(n.link.Connected() && n.trouble.Load() == nil)
	})
	gauge("database_connections_busy", "Connections of this replica's pool in use.", func() float64 { return float64(n.db.Pool().Busy) })
	gauge("database_connections_most", "Most that the pool opens.", func() float64 { return float64(n.db.Pool().Most) })
	counter("database_waits", "How often a connection had to be waited for.", func() float64 { return float64(n.db.Pool().Waited) })
	counter("database_wait_seconds", "For how long, in all.", func() float64 { return n.db.Pool().WaitedFor.Seconds() })
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		n.timings.hops, n.timings.http, n.timings.ends, &vitals{read: n.db.Vitals}, build{},
		refusals{n, prometheus.NewDesc("unlatch_refusals_total", "Requests refused, by the problem's code.", []string{"code"}, nil)})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return mux
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
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

// build tells which version runs.
type build struct{}

var buildDesc = prometheus.NewDesc("unlatch_build_info", "1, labelled with the program's version.", []string{"version"}, nil)

func (build) Describe(ch chan<- *prometheus.Desc) { ch <- buildDesc }

func (build) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(buildDesc, prometheus.GaugeValue, 1, version)
}

// vitals are what the database knows, the same on every replica. They are read once
// per vitalsLife however often somebody scrapes.
type vitals struct {
	read func(context.Context) (order.Vitals, error)

	mu   sync.Mutex
	at   time.Time
	last order.Vitals
	err  error
}

const (
	vitalsLife     = 5 * time.Second
	vitalsPatience = 3 * time.Second
)

func vital(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("unlatch_"+name, help, labels, nil)
}

var (
	vitalsUp        = vital("database_up", "1 when the gauges of the database could be read.")
	vitalOrders     = vital("orders_open", "Orders that are not settled or voided, by state.", "state")
	vitalUnresolved = vital("unresolved_oldest_seconds", "For how long the oldest unresolved order has been so; 0 = none.")
	vitalWaiting    = vital("evidence_waiting", "Evidence behind a gap.")
	vitalWaitingFor = vital("evidence_waiting_oldest_seconds", "Age of the oldest of it; 0 = none.")
	vitalBehind     = vital("evidence_behind", "Pieces that devices say they hold and that are not applied yet.")
	vitalDue        = vital("commands_due", "Commands whose next send is due.")
	vitalDueFor     = vital("commands_due_oldest_seconds", "For how long the oldest of them has been; 0 = none.")
	vitalOutbox     = vital("outbox_updates", "Updates that are not routed yet.")
	vitalPayments   = vital("payments_open", "Payments at WeChat that are not done, by state.", "state")
	vitalLate       = vital("payments_late_seconds", "For how long the next step of a payment has been due; 0 = none.")
	vitalItems      = vital("items_open", "Open items by kind.", "kind")
	vitalAlarms     = vital("alarms_open", "Alarms that are open and not hidden, by severity.", "severity")
	vitalDevices    = vital("devices", "Devices by service.", "service")
	vitalSilent     = vital("devices_silent", "Devices in service that were not heard for ten minutes.")
	vitalFindings   = vital("audit_findings", "What the newest audit found, by view.", "view")
	vitalAuditAt    = vital("audit_last_timestamp_seconds", "When it ran; 0 = never.")
	vitalAuditTook  = vital("audit_last_duration_seconds", "How long it took.")
)

func (v *vitals) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{vitalsUp, vitalOrders, vitalUnresolved, vitalWaiting, vitalWaitingFor, vitalBehind, vitalDue, vitalDueFor,
		vitalOutbox, vitalPayments, vitalLate, vitalItems, vitalAlarms, vitalDevices, vitalSilent, vitalFindings, vitalAuditAt, vitalAuditTook} {
		ch <- d
	}
}

func (v *vitals) look() (order.Vitals, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.at) < vitalsLife {
		return v.last, v.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), vitalsPatience)
	defer cancel()
	v.last, v.err = v.read(ctx)
	v.at = time.Now()
	return v.last, v.err
}

func (v *vitals) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	x, err := v.look()
	gauge(vitalsUp, truth(err == nil))
	if err != nil {
		return
	}
	for _, s := range []order.State{order.Pending, order.Starting, order.Unresolved, order.Active, order.Ended} {
		gauge(vitalOrders, float64(x.Orders[s]), string(s)) // zeros too: a series that comes and goes cannot be alarmed on
	}
	gauge(vitalUnresolved, x.UnresolvedFor.Seconds())
	gauge(vitalWaiting, float64(x.Waiting))
	gauge(vitalWaitingFor, x.WaitingFor.Seconds())
	gauge(vitalBehind, float64(x.Behind))
	gauge(vitalDue, float64(x.CommandsDue))
	gauge(vitalDueFor, x.DueFor.Seconds())
	gauge(vitalOutbox, float64(x.Outbox))
	for s, count := range x.Payments {
		gauge(vitalPayments, float64(count), string(s))
	}
	gauge(vitalLate, x.LateFor.Seconds())
	for kind, count := range x.Items {
		gauge(vitalItems, float64(count), kind)
	}
	for _, s := range []order.Severity{order.Critical, order.Warning} {
		gauge(vitalAlarms, float64(x.Alarms[s]), string(s))
	}
	for _, s := range []device.Service{device.InService, device.Maintenance, device.OutOfService, device.Retired} {
		gauge(vitalDevices, float64(x.Devices[string(s)]), string(s))
	}
	gauge(vitalSilent, float64(x.Silent))
	for view, count := range x.Audit.Findings {
		gauge(vitalFindings, float64(count), view)
	}
	at := 0.0
	if !x.Audit.At.IsZero() {
		at = float64(x.Audit.At.Unix())
	}
	gauge(vitalAuditAt, at)
	gauge(vitalAuditTook, x.Audit.Took.Seconds())
}

// auditing runs the audit now and then, one replica for all, so that the metrics tell
// what it finds before somebody asks.
func (n *node) auditing(ctx context.Context) error {
	if n.c.AuditEvery <= 0 {
		return nil
	}
	next := time.NewTimer(min(time.Minute, n.c.AuditEvery)) // not into the rush of a start
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-next.C:
		}
		switch run, ran, err := n.db.AuditAlone(ctx, n.c.AuditEvery); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			n.c.Log.Error("audit not run", "err", err)
		case ran:
			for view, count := range run.Findings {
				if count > 0 {
					n.c.Log.Error("the audit found something; run: unlatch audit", "view", view, "findings", count)
				}
			}
		}
		next.Reset(min(n.c.AuditEvery, 10*time.Minute)) // whoever is first after the time is over
	}
}
