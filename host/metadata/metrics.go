package metadata

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics counts what a service does, for Prometheus. Safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	usual    map[string]prometheus.Counter // requests with status 200, by class of path
	latency  prometheus.Histogram
	refusals *prometheus.CounterVec
	unlogged prometheus.Counter
	vendor   *prometheus.CounterVec
}

const metricPrefix = "imprint_metadata_"

// NewMetrics returns metrics that are all zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "requests_total", Help: "Requests by class of path and status.",
		}, []string{"path", "status"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricPrefix + "request_seconds", Help: "Time from a request's headers to the last byte handed to the kernel.",
			Buckets: prometheus.ExponentialBuckets(16e-6, 4, 10),
		}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "refusals_total", Help: "Requests that got no document, by reason.",
		}, []string{"reason"}),
		unlogged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metricPrefix + "unlogged_total", Help: "Requests of instances that filled their share of the access log.",
		}),
		vendor: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "vendor_fetches_total", Help: "Requests to targets of dynamic vendor data, by target and result.",
		}, []string{"target", "result"}),
	}
	m.registry.MustRegister(m.requests, m.latency, m.refusals, m.unlogged, m.vendor)
	m.usual = map[string]prometheus.Counter{}
	for _, class := range pathClasses() {
		m.usual[class] = m.requests.WithLabelValues(class, "200")
	}
	return m
}

// Watch adds what there is to know of an index. It is called at most once.
func (m *Metrics) Watch(x *Index) {
	gauge := func(name, help string, value func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: metricPrefix + name, Help: help}, value))
	}
	gauge("feed_lag_seconds", "How long the last change took from its commit until it was told.", func() float64 { return x.Lag().Seconds() })
	gauge("servers", "Servers in the index.", func() float64 { return float64(x.Len()) })
	gauge("cache_bytes", "Rendered documents that are kept, in bytes.", func() float64 {
		_, bytes := x.cache.usage()
		return float64(bytes)
	})
}

// Handler serves the metrics in the text form of Prometheus. It is not for the
// listener of the instances.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) request(path string, status int, took time.Duration) {
	class := pathClass(path)
	if status == http.StatusOK {
		m.usual[class].Inc()
	} else {
		m.requests.WithLabelValues(class, strconv.Itoa(status)).Inc()
	}
	m.latency.Observe(took.Seconds())
}

// pathClasses lists what [pathClass] returns.
func pathClasses() []string {
	return []string{"root", "ec2", "openstack", "content",
		"meta_data.json", "user_data", "password", "vendor_data.json", "vendor_data2.json", "network_data.json"}
}

// pathClass is one of few names, whatever clients ask for; path is clean.
func pathClass(path string) string {
	if path == "/" {
		return "root"
	}
	rest, found := strings.CutPrefix(path, "/openstack")
	if !found || rest != "" && rest[0] != '/' {
		return "ec2"
	}
	if strings.HasPrefix(rest, "/content/") {
		return "content"
	}
	switch name := rest[strings.LastIndexByte(rest, '/')+1:]; name {
	case "meta_data.json", "user_data", "password", "vendor_data.json", "vendor_data2.json", "network_data.json":
		return name
	}
	return "openstack"
}
