package metadata

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// Target is a service that is asked for vendor data of each instance.
type Target struct {
	Name string // the key of its answer in vendor_data2.json
	URL  string
}

// ParseTarget reads the form of nova.conf, name@url. nova:
// api/metadata/vendordata_dynamic.py.
func ParseTarget(s string) (Target, error) {
	name, url, ok := strings.Cut(s, "@")
	if !ok || name == "" || url == "" {
		return Target{}, fmt.Errorf("vendor data target %.80q is not name@url", s)
	}
	return Target{name, url}, nil
}

// VendorOptions say how dynamic vendor data is asked for.
type VendorOptions struct {
	Targets []Target
	// Domain is cut off the host name that targets are told.
	Domain string
	// RootCAs check the certificates of https targets; nil is the system's.
	RootCAs *x509.CertPool
	// A target has this long to take the connection, and then to answer. Zero
	// is Nova's default of 5 s.
	ConnectTimeout, ReadTimeout time.Duration
	// FailureFatal refuses the document when a target fails that has no older
	// answer; else its answer is empty.
	FailureFatal bool
	// Lifetime is that of answers without Cache-Control, and how long a target
	// that failed is left alone for an instance.
	Lifetime time.Duration
	// Tokens authenticates the requests; nil sends them without.
	Tokens Tokens
	// Metrics counts; nil for nothing.
	Metrics *Metrics
	Log     *slog.Logger
}

const (
	defaultTimeout = 5 * time.Second
	maxFetches     = 512       // requests to a target at once
	maxAnswer      = 256 << 10 // bytes
	maxAnswers     = 64 << 20  // bytes of all that are kept
	answerCost     = 512       // bytes of one beside its value
)

// Vendor asks dynamic targets and keeps their answers, each for one instance.
// Of a target and an instance one request is under way at a time; it runs on
// its own, and whoever asked for the document waits for it no longer than the
// timeouts. It is safe for concurrent use; [Vendor.Close] ends it.
type Vendor struct {
	o      VendorOptions
	client *http.Client
	places []chan struct{} // per target
	now    func() time.Time
	log    *slog.Logger

	ctx     context.Context // of the requests, which outlive who asked
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	size    int // bytes of the answers
	closed  bool
	answers map[answerKey]*vendorAnswer
}

type answerKey struct {
	server cloud.ServerID
	target int
}

// vendorAnswer is what is known of a target's answer for an instance; guarded
// by the Vendor's lock.
type vendorAnswer struct {
	value openstack.VendorValue
	have  bool
	until time.Time     // when it is asked for again
	done  chan struct{} // closed when the request under way ends; nil for none
}

// NewVendor returns targets that have not been asked yet.
func NewVendor(o VendorOptions) *Vendor {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = defaultTimeout
	}
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = defaultTimeout
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	v := &Vendor{o: o, client: newClient(o), now: time.Now, log: orDiscard(o.Log), answers: map[answerKey]*vendorAnswer{}}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	for range o.Targets {
		v.places = append(v.places, make(chan struct{}, maxFetches))
	}
	return v
}

// Close ends the requests that are under way and waits for them.
func (v *Vendor) Close() {
	v.mu.Lock()
	v.closed = true
	v.mu.Unlock()
	v.cancel()
	v.running.Wait()
}

// budget is how long a request to a target, and who waits for it, may take.
func (v *Vendor) budget() time.Duration { return v.o.ConnectTimeout + v.o.ReadTimeout }

var errNoAnswer = errors.New("a target of vendor data has no answer")

// Answers returns what the targets say of an instance, in their order. It
// waits for at most the two timeouts; the error says that a target has no
// answer and that this is fatal, or is that of ctx.
func (v *Vendor) Answers(ctx context.Context, i *openstack.Instance) ([]openstack.VendorAnswer, error) {
	budget, cancel := context.WithTimeout(ctx, v.budget())
	defer cancel()
	asked := make([]*vendorAnswer, len(v.o.Targets))
	for n := range v.o.Targets {
		asked[n] = v.start(n, i) // all at once
	}
	out := make([]openstack.VendorAnswer, 0, len(v.o.Targets))
	for n, t := range v.o.Targets {
		value, ok := v.wait(budget, asked[n])
		if !ok && v.o.FailureFatal {
			return nil, errNoAnswer
		}
		out = append(out, openstack.VendorAnswer{Name: t.Name, Data: value})
	}
	return out, ctx.Err()
}

// start begins a request unless a fresh answer is there or one is under way.
func (v *Vendor) start(n int, i *openstack.Instance) *vendorAnswer {
	key := answerKey{cloud.ServerID(i.UUID), n}
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.answers[key]
	if a == nil {
		a = &vendorAnswer{}
		v.answers[key] = a
		v.grow(answerCost)
	}
	if v.closed || a.done != nil || v.now().Before(a.until) {
		return a
	}
	a.done = make(chan struct{})
	v.running.Go(func() { v.refresh(n, i, a) })
	return a
}

// grow notes that n bytes more are kept, and forgets some answers when that is
// too much. It needs v.mu.
func (v *Vendor) grow(n int) {
	v.size += n
	for key, a := range v.answers {
		if v.size <= maxAnswers {
			return
		}
		if a.done == nil {
			v.forget(key, a)
		}
	}
}

// forget needs v.mu. Who waits for the answer still gets it.
func (v *Vendor) forget(key answerKey, a *vendorAnswer) {
	if v.answers[key] == a {
		delete(v.answers, key)
		v.size -= answerCost + a.value.Size()
	}
}

// wait returns the answer when the request for it has ended, or the older one
// when the budget has.
func (v *Vendor) wait(budget context.Context, a *vendorAnswer) (openstack.VendorValue, bool) {
	v.mu.Lock()
	done := a.done
	v.mu.Unlock()
	if done != nil {
		select {
		case <-done:
		case <-budget.Done():
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return a.value, a.have
}

// refresh asks target n and notes the answer. An answer that fails leaves the
// older one in place.
func (v *Vendor) refresh(n int, i *openstack.Instance, a *vendorAnswer) {
	got, err := v.fetch(n, i)
	target := v.o.Targets[n].Name
	if err != nil {
		v.o.Metrics.vendor.WithLabelValues(target, "failed").Inc()
		v.log.Warn("dynamic vendor data failed", "target", target, "server_id", i.UUID, "error", err)
		got.lifetime = v.o.Lifetime
	} else {
		v.o.Metrics.vendor.WithLabelValues(target, "ok").Inc()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	close(a.done)
	a.done = nil
	a.until = v.now().Add(got.lifetime)
	if err != nil {
		return
	}
	key := answerKey{cloud.ServerID(i.UUID), n}
	more := got.value.Size() - a.value.Size()
	a.value, a.have = got.value, true
	if v.answers[key] == a {
		v.grow(more)
	}
	if got.unkept {
		v.forget(key, a)
	}
}
