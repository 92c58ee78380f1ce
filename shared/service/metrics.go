package service

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"synchro.example/shared/lifecycle"
	"synchro.example/shared/status"
)

// scrapeLimit bounds how long the services of a process are asked for.
const scrapeLimit = 5 * time.Second

// metrics answers GET /metrics in the form of Prometheus, with what the services of this
// process say of themselves to status.
func metrics(nc *nats.Conn, parts []lifecycle.Part) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &reporter{nc, parts})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

type reporter struct {
	nc    *nats.Conn
	parts []lifecycle.Part
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("synchro_"+name, help, append([]string{"role", "name"}, labels...), nil)
}

// The metrics. The label code is one of package fault, state one of package status.
var (
	descState   = desc("state", "1 for the state that the service is in.", "state")
	descDone    = desc("changes_total", "Changes that the service has carried out since it started.")
	descPending = desc("pending", "Changes that the service has in hand.")
	descLag     = desc("lag_seconds", "Age of the oldest change in hand, 0 when there is none.")
	descFailed  = desc("failed", "Objects in ERROR.", "code")
	descFolders = desc("queue_files", "Files in a folder of a classic queue.", "folder")
	descOdd     = desc("queue_odd", "Files of a classic queue that somebody should look at.")
	descDrift   = desc("drift", "Objects of a receiving site that somebody else has changed.")

	descPluginUp      = desc("plugin_up", "1 while the plugin is there.", "plugin")
	descPluginCalls   = desc("plugin_calls_total", "Calls of the plugin since the service started.", "plugin")
	descPluginErrors  = desc("plugin_errors_total", "Calls of the plugin without a good answer.", "plugin")
	descPluginSeconds = desc("plugin_seconds_total", "How long the calls of the plugin took together.", "plugin")
)

// Describe is for the registry.
func (r *reporter) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descState, descDone, descPending, descLag, descFailed, descFolders, descOdd, descDrift,
		descPluginUp, descPluginCalls, descPluginErrors, descPluginSeconds,
	} {
		out <- d
	}
}

// Collect asks each service. One that does not answer is stopped.
func (r *reporter) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeLimit)
	defer cancel()
	for _, p := range r.parts {
		role, name, ok := strings.Cut(p.Name, " ")
		if !ok {
			continue
		}
		report, err := status.Ask(ctx, r.nc, role, name)
		if err != nil {
			report = status.Report{State: status.Stopped}
		}
		collect(out, role, name, &report)
	}
}

func collect(out chan<- prometheus.Metric, role, name string, r *status.Report) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{role, name}, labels...)...)
	}
	gauge(descState, 1, r.State)
	if role == status.Queue {
		for folder, n := range r.Folders {
			gauge(descFolders, float64(n), folder)
		}
		gauge(descOdd, float64(len(r.Odd)))
		return
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, append([]string{role, name}, labels...)...)
	}
	counter(descDone, float64(r.Done))
	gauge(descPending, float64(r.Pending))
	lag := 0.0
	if !r.Oldest.IsZero() {
		lag = time.Since(r.Oldest).Seconds()
	}
	gauge(descLag, lag)
	for code, n := range r.Failed {
		gauge(descFailed, float64(n), code)
	}
	for _, p := range r.Plugins {
		up := 0.0
		if p.State == status.Up {
			up = 1
		}
		gauge(descPluginUp, up, p.ID)
		counter(descPluginCalls, float64(p.Calls), p.ID)
		counter(descPluginErrors, float64(p.Errors), p.ID)
		counter(descPluginSeconds, p.Seconds, p.ID)
	}
	if role == status.Importer {
		gauge(descDrift, float64(r.Drift))
	}
}
