package datasource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// maxDocument bounds one answer; Nova's user data have 64 KiB at most.
	maxDocument = 8 << 20
	// dialTimeout bounds the wait for a connection: the address is one hop
	// away, or nobody's.
	dialTimeout = 2 * time.Second
	// laterTries is how often a document is asked for once the service has
	// answered at all.
	laterTries   = 4
	maxRedirects = 3
	userAgent    = "imprint-guest"
)

// statusError is an answer that is not 200.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("status %d %s", int(e), http.StatusText(int(e)))
}

func isStatus(err error, code int) bool {
	var s statusError
	return errors.As(err, &s) && int(s) == code
}

// fetcher asks one metadata service and remembers every try.
type fetcher struct {
	env      Env
	set      Settings
	client   *http.Client
	started  time.Time
	answered bool
	tries    []Try
}

func newFetcher(env Env, set Settings) *fetcher {
	transport := env.Transport
	if transport == nil {
		// No proxy, whatever the environment says, and no decompression: it
		// would get around the limit.
		transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 1,
		}
	}
	return &fetcher{
		env: env, set: set.withDefaults(), started: time.Now(),
		client: &http.Client{Transport: transport, CheckRedirect: sameHost},
	}
}

func (f *fetcher) close() { f.client.CloseIdleConnections() }

// sameHost follows redirects within the service only; any other is an answer
// like any that is not 200.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// get reads a document. It asks again after an answer that says nothing of the
// document (429, 5xx) and after none: as long as MaxWait while nobody has ever
// answered, else a few times. The error is a statusError, [ErrUnreachable] or
// the context's.
func (f *fetcher) get(ctx context.Context, path string) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		body, err := f.try(ctx, path, attempt)
		switch {
		case err == nil:
			return body, nil
		case ctx.Err() != nil:
			return nil, f.lost(context.Cause(ctx))
		case !worthRetry(err):
			return nil, err
		case f.answered && attempt >= laterTries, !f.answered && time.Since(f.started) >= f.set.MaxWait:
			return nil, f.lost(err)
		}
		if err := sleep(ctx, pause(attempt)); err != nil {
			return nil, f.lost(err)
		}
	}
}

// lost marks an error as that of a service that never answered.
func (f *fetcher) lost(err error) error {
	if f.answered {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

func worthRetry(err error) bool {
	var s statusError
	if errors.As(err, &s) {
		return s == http.StatusTooManyRequests || s >= 500
	}
	return !errors.Is(err, errTooLarge)
}

func pause(attempt int) time.Duration {
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

func (f *fetcher) try(ctx context.Context, path string, attempt int) ([]byte, error) {
	t := Try{URL: f.env.baseURL() + path, Attempt: attempt, At: f.env.now()}
	body, status, err := f.once(ctx, t.URL)
	t.Took, t.Status = f.env.now().Sub(t.At), status
	log := f.env.log().With("url", t.URL, "attempt", attempt, "took", t.Took)
	switch {
	case err == nil:
		log.Debug("metadata read", "bytes", len(body))
	case isStatus(err, http.StatusNotFound):
		t.Error = err.Error()
		log.Debug("metadata not there")
	default:
		t.Error = err.Error()
		log.Info("metadata not read", "error", err)
	}
	f.tries = append(f.tries, t)
	// An answer from something in between (502, 503, 504) is not the service's.
	if status != 0 && status < 500 {
		f.answered = true
	}
	return body, err
}

var errTooLarge = errors.New("document is too large")

func (f *fetcher) once(ctx context.Context, url string) ([]byte, int, error) {
	ctx, cancel := context.WithTimeout(ctx, f.set.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, resp.StatusCode, statusError(resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err == nil && len(body) > maxDocument {
		err = errTooLarge
	}
	return body, resp.StatusCode, err
}
