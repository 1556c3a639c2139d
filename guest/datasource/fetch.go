package datasource

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxDocument bounds one answer; Nova's user data have 64 KiB at most.
	maxDocument = 8 << 20
	// maxTries bounds what is remembered of a crawl.
	maxTries = 512
	// dialTimeout bounds the wait for a connection: the address is one hop
	// away, or nobody's.
	dialTimeout = 2 * time.Second
	// parallel is how many documents are asked for at once.
	parallel     = 5
	maxRedirects = 3
	userAgent    = "imprint-guest"
)

// fetcher asks one metadata service and remembers every try. Safe for concurrent
// use once it has a base.
type fetcher struct {
	env     Env
	set     Settings
	client  *http.Client
	started time.Time
	// base is the address that answered, "" until one did.
	base string

	mu       sync.Mutex
	answered bool
	tries    []Try
	token    string // IMDSv2's; a secret
}

func newFetcher(env Env, set Settings) *fetcher {
	transport := env.Transport
	if transport == nil {
		// No proxy, whatever the environment says, and no decompression: it
		// would get around the limit.
		transport = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    parallel,
			MaxResponseHeaderBytes: 64 << 10,
		}
	}
	set = set.withDefaults()
	if env.BaseURL != "" {
		set.URLs = []string{env.BaseURL}
	}
	return &fetcher{
		env: env, set: set, started: time.Now(),
		client: &http.Client{Transport: transport, CheckRedirect: sameHost},
	}
}

// begin bounds a crawl in time, whatever the service does.
func (f *fetcher) begin(ctx context.Context, source string) (context.Context, context.CancelFunc) {
	f.env.log().Info("metadata asked for", "source", source, "urls", shownAll(f.set.URLs), "max_wait", f.set.MaxWait)
	return context.WithTimeoutCause(ctx, max(f.set.MaxWait, 0)+maxCrawl, errTooSlow)
}

var errTooSlow = fmt.Errorf("not read within %s", maxCrawl)

// done ends a crawl: it makes i's tries, or the error, complete.
func (f *fetcher) done(source string, i *Instance, err error) (*Instance, error) {
	f.client.CloseIdleConnections()
	took := time.Since(f.started).Round(time.Millisecond)
	if err != nil {
		return nil, &CrawlError{Source: source, Tries: f.tries, Err: err}
	}
	i.Tries = f.tries
	f.env.log().Info("metadata read", "source", source, "url", shown(f.base), "requests", len(f.tries), "took", took)
	return i, nil
}

// sameHost follows redirects within the service only; any other is an answer
// like any that is not 200.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// get reads a document. Until an address has answered, all are asked, as long
// as MaxWait. After that the document is asked for again, a few times, after an
// answer that says nothing of it (429, 5xx) and after none. The error names the
// address; it is a statusError, [ErrUnreachable] or the context's.
func (f *fetcher) get(ctx context.Context, path string) ([]byte, error) {
	return f.request(ctx, http.MethodGet, path)
}

func (f *fetcher) request(ctx context.Context, method, path string) ([]byte, error) {
	if f.base == "" {
		return f.first(ctx, method, path)
	}
	for attempt := 1; ; attempt++ {
		body, err := f.try(ctx, method, f.base, path, attempt)
		if err == nil {
			return body, nil
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if ctx.Err() != nil || !worthRetry(err) || attempt > f.set.Retries {
			return nil, named(f.base+path, err)
		}
		if err := sleep(ctx, f.pause(attempt, err)); err != nil {
			return nil, named(f.base+path, err)
		}
	}
}

// all reads several documents at once, in the order of paths. err is of the
// first one that failed; ones that are not there (404) are nil.
func (f *fetcher) all(ctx context.Context, paths []string) ([][]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	bodies, errs := make([][]byte, len(paths)), make([]error, len(paths))
	turns := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for n, path := range paths {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			bodies[n], errs[n] = f.get(ctx, path)
			if errs[n] != nil && !isStatus(errs[n], http.StatusNotFound) {
				cancel()
			}
		})
	}
	wg.Wait()
	var failed error
	for n, err := range errs {
		switch {
		case err == nil:
			if bodies[n] == nil {
				bodies[n] = []byte{}
			}
		case isStatus(err, http.StatusNotFound):
		case failed == nil, errors.Is(failed, context.Canceled):
			failed = err
		}
	}
	return bodies, failed
}

// maxPause bounds the wait that a service may ask for.
const maxPause = 10 * time.Second

// pause grows, unless the configuration or the service says how long it is.
func (f *fetcher) pause(attempt int, err error) time.Duration {
	var s statusError
	if errors.As(err, &s) && s.after > 0 {
		return min(s.after, maxPause)
	}
	if f.set.Pause > 0 {
		return f.set.Pause
	}
	return min(200*time.Millisecond<<min(attempt-1, 8), 2*time.Second)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
