package stage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
)

// reports are the ones that are told of events: the map reporting of the
// configuration. The log is one of them unless it is switched off.
// cloud-init: reporting/handlers.py.
type reports struct {
	log   *slog.Level // nil: not told
	print io.Writer   // nil: none
	hooks []*webhook
}

const (
	maxQueued    = 1000
	hookTimeout  = 10 * time.Second
	hookFailures = 3                // after these the rest of the queue is dropped
	hookFlush    = 30 * time.Second // at most, at the end of a stage
)

// level is how the log is told, nil if it is not.
func (r *reports) level() *slog.Level {
	if r == nil {
		debug := slog.LevelDebug
		return &debug
	}
	return r.log
}

func (r *reports) send(e Event) {
	if r == nil {
		return
	}
	if r.print != nil {
		_, _ = io.WriteString(r.print, e.String()+"\n")
	}
	for _, h := range r.hooks {
		h.post(e)
	}
}

// flush waits for the events that are on their way.
func (r *reports) flush() {
	if r == nil {
		return
	}
	for _, h := range r.hooks {
		h.close()
	}
}

// reportTo reads the map reporting of the configuration; what stood there
// before is replaced. Nothing there leaves the log alone.
func (b *Boot) reportTo(ctx context.Context, config *cloudconfig.Node) {
	b.reports.flush()
	r := &reports{log: (*reports)(nil).level()}
	for _, p := range config.Get("reporting").Pairs() {
		if err := r.add(ctx, b, p.Key.String(), p.Value); err != nil {
			b.Log.Warn("reporting: "+p.Key.String()+": "+err.Error(), clouddir.Component, "__init__.py")
		}
	}
	b.reports = r
}

func (r *reports) add(ctx context.Context, b *Boot, name string, n *cloudconfig.Node) error {
	if n.Kind != cloudconfig.KindMap {
		if name == "logging" {
			r.log = nil
		}
		return nil
	}
	kind, err := n.Text("type")
	if err != nil {
		return err
	}
	switch {
	case kind == "log":
		word, err := n.Text("level")
		level := logLevel(word)
		r.log = &level
		return err
	case kind == "print":
		r.print = b.Output
	case kind == "webhook":
		h, err := newWebhook(ctx, b.Log, n)
		if err != nil {
			return err
		}
		r.hooks = append(r.hooks, h)
	default:
		return fmt.Errorf("there is no handler of type %q", printable(kind))
	}
	return nil
}

func logLevel(word string) slog.Level {
	switch strings.ToUpper(word) {
	case "", "DEBUG":
		return slog.LevelDebug
	case "INFO":
		return slog.LevelInfo
	case "ERROR", "CRITICAL":
		return slog.LevelError
	}
	return slog.LevelWarn
}

// webhook posts events as JSON, in their order, while the boot goes on.
type webhook struct {
	url     string
	timeout time.Duration
	retries int
	log     *slog.Logger
	queue   chan Event
	done    chan struct{}
	stop    context.CancelFunc
}

func newWebhook(ctx context.Context, log *slog.Logger, n *cloudconfig.Node) (*webhook, error) {
	url, err := n.Text("endpoint")
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return nil, fmt.Errorf("endpoint %q is no address", printable(url))
	}
	for _, key := range []string{"consumer_key", "token_key", "token_secret", "consumer_secret"} {
		if n.Has(key) {
			return nil, fmt.Errorf("OAuth is not supported (%s)", key)
		}
	}
	h := &webhook{url: url, timeout: hookTimeout, log: log.With(clouddir.Component, "handlers.py"),
		queue: make(chan Event, maxQueued), done: make(chan struct{})}
	if s, err := n.Get("timeout").AsFloat(); err == nil && s > 0 && s < 600 {
		h.timeout = time.Duration(s * float64(time.Second))
	}
	if i, err := n.Get("retries").AsInt(); err == nil && i > 0 && i < 100 {
		h.retries = int(i)
	}
	ctx, h.stop = context.WithCancel(ctx)
	go h.run(ctx)
	return h, nil
}

// post queues an event; a full queue drops it.
func (h *webhook) post(e Event) {
	select {
	case h.queue <- e:
	default:
		h.log.Warn("Failed posting event: the queue is full")
	}
}

// close ends the queue and waits until it is worked off, for a bounded time.
func (h *webhook) close() {
	close(h.queue)
	select {
	case <-h.done:
	case <-time.After(hookFlush):
		h.stop()
		<-h.done
	}
	h.stop()
}

func (h *webhook) run(ctx context.Context) {
	defer close(h.done)
	failed := 0
	for e := range h.queue {
		if failed >= hookFailures {
			continue
		}
		if err := h.deliver(ctx, e); err != nil {
			failed++
			h.log.Warn("Failed posting event: " + e.String() + ": " + err.Error())
			if failed == hookFailures {
				h.log.Warn("Multiple consecutive failures in WebHookHandler. Cancelling all queued events.")
			}
			continue
		}
		failed = 0
	}
}

func (h *webhook) deliver(ctx context.Context, e Event) (err error) {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	for range h.retries + 1 {
		if err = h.try(ctx, body); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (h *webhook) try(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}
