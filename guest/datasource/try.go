package datasource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// statusError is an answer that is not 200.
type statusError struct {
	code  int
	after time.Duration // the service's wish (Retry-After), 0 without one
}

func (e statusError) Error() string {
	return fmt.Sprintf("status %d %s", e.code, http.StatusText(e.code))
}

func isStatus(err error, code int) bool {
	var s statusError
	return errors.As(err, &s) && s.code == code
}

func worthRetry(err error) bool {
	var s statusError
	if errors.As(err, &s) {
		return s.code == http.StatusTooManyRequests || s.code >= 500
	}
	return !errors.Is(err, errTooLarge)
}

// try asks once, and once more where only the token was missing or too old.
func (f *fetcher) try(ctx context.Context, method, base, path string, attempt int) ([]byte, error) {
	f.mu.Lock()
	had := f.token
	f.mu.Unlock()
	body, err := f.record(ctx, method, base, path, attempt, had)
	if !isStatus(err, http.StatusUnauthorized) || method == http.MethodPut {
		return body, err
	}
	token, terr := f.renew(ctx, base, had)
	if terr != nil {
		return nil, errors.Join(err, terr)
	}
	return f.record(ctx, method, base, path, attempt, token)
}

func (f *fetcher) record(ctx context.Context, method, base, path string, attempt int, token string) ([]byte, error) {
	t := Try{URL: shown(base + path), Attempt: attempt, At: f.env.now()}
	body, status, err := f.once(ctx, method, base+path, token)
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
		log.Info("metadata not read", "error", err, "waited", time.Since(f.started).Round(time.Second), "max_wait", f.set.MaxWait)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.tries) < maxTries {
		f.tries = append(f.tries, t)
	}
	// An answer from something in between (502, 503, 504) is not the service's.
	if status != 0 && status < 500 {
		f.answered = true
	}
	return body, err
}

var errTooLarge = errors.New("document is too large")

func (f *fetcher) once(ctx context.Context, method, url, token string) ([]byte, int, error) {
	ctx, cancel := context.WithTimeout(ctx, f.set.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	if method == http.MethodPut {
		req.Header.Set(tokenTTL, tokenSeconds)
	} else if token != "" {
		req.Header.Set(tokenHeader, token)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return nil, resp.StatusCode, statusError{resp.StatusCode, time.Duration(min(max(seconds, 0), 3600)) * time.Second}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err == nil && len(body) > maxDocument {
		err = errTooLarge
	}
	return body, resp.StatusCode, err
}
