package datasource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// stagger is how much later than the one before it an address is asked.
// cloud-init 22.4: url_helper.py, dual_stack.
const stagger = 150 * time.Millisecond

// first asks all addresses for a document, again and again, until one of them
// answers or MaxWait is over, and makes the one that did the base. It does so
// once at least. An answer that is final (404 as well) ends it.
// cloud-init 22.4: url_helper.py, wait_for_url.
func (f *fetcher) first(ctx context.Context, method, path string) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		base, body, err := f.race(ctx, method, path, attempt)
		var status statusError
		if err == nil || errors.As(err, &status) && !worthRetry(err) || errors.Is(err, errTooLarge) {
			f.base = base
			return body, named(base+path, err)
		}
		over := time.Since(f.started) >= f.set.MaxWait && !(f.answered && attempt <= f.set.Retries)
		if ctx.Err() == nil && !over {
			if sleep(ctx, f.pause(attempt, err)) == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		err = named(strings.Join(shownAll(f.set.URLs), ", ")+path, err)
		if f.answered {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
}

// named puts an address before an error; nil stays nil.
func named(address string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", shown(address), err)
}

// reply is what one address gave.
type reply struct {
	base string
	body []byte
	err  error
}

// better tells whether a goes before b: a service's own answer before one from
// in between, and that before none.
func (a reply) better(b reply) bool {
	rank := func(x reply) int {
		switch s := statusOf(x.err); {
		case x.err == nil:
			return 3
		case s == 0:
			return 0
		case s >= 500:
			return 1
		}
		return 2
	}
	return b.base == "" || rank(a) > rank(b)
}

// race asks each address a little later than the one before it, unless that one
// has taken the connection, and at once if it has failed. The first that has the
// document wins. No request is left behind.
func (f *fetcher) race(ctx context.Context, method, path string, attempt int) (string, []byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	urls, answers, taken := f.set.URLs, make(chan reply), make(chan struct{}, len(f.set.URLs))
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		select {
		case taken <- struct{}{}:
		default:
		}
	}}
	asked := 0
	ask := func() {
		if asked == len(urls) {
			return
		}
		base := urls[asked]
		asked++
		go func() {
			body, err := f.try(httptrace.WithClientTrace(ctx, trace), method, base, path, attempt)
			answers <- reply{base, body, err}
		}()
	}
	ask()
	var best reply
	later := time.NewTimer(stagger)
	defer later.Stop()
	for got := 0; got < asked; {
		select {
		case a := <-answers:
			got++
			if a.better(best) {
				best = a
			}
			if best.err == nil {
				cancel()
				urls = urls[:asked] // nobody else
			}
			ask()
			later.Reset(stagger)
		case <-taken:
			later.Stop()
		case <-later.C:
			ask()
			later.Reset(stagger)
		}
	}
	return best.base, best.body, best.err
}

// statusOf is an answer's status; 0 without one.
func statusOf(err error) int {
	var s statusError
	errors.As(err, &s)
	return s.code
}

// IMDSv2: a token, got by PUT, goes with each request.
// cloud-init 22.4: sources/DataSourceEc2.py.
const (
	tokenPath    = "/latest/api/token"
	tokenHeader  = "X-aws-ec2-metadata-token"
	tokenTTL     = tokenHeader + "-ttl-seconds"
	tokenSeconds = "21600"
)

// useToken gets a token for all requests to come; it is also how the service is
// met where every request needs one.
func (f *fetcher) useToken(ctx context.Context) error {
	body, err := f.request(ctx, http.MethodPut, tokenPath)
	if err != nil {
		return fmt.Errorf("get session token: %w", err)
	}
	f.token = tokenOf(body)
	return nil
}

// renew gets another token than old; one that somebody else got meanwhile will
// do.
func (f *fetcher) renew(ctx context.Context, base, old string) (string, error) {
	f.mu.Lock()
	now := f.token
	f.mu.Unlock()
	if now != old {
		return now, nil
	}
	body, err := f.record(ctx, http.MethodPut, base, tokenPath, 1, "")
	if err != nil {
		return "", fmt.Errorf("get session token: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = tokenOf(body)
	return f.token, nil
}

// tokenOf makes sure that the text can be a header's value.
func tokenOf(body []byte) string {
	token := strings.TrimSpace(string(body))
	if len(token) > 4096 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return token
}
