package metadata

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"imprint/host/cloud"
)

const (
	maxLogPath = 256 // bytes
	maxLogVerb = 32
	// A trace's header is of one length. W3C Trace Context 1, 3.2.
	maxLogTrace = 55
	// What one server may cause in the log: a burst of lines, and then so
	// many a second.
	logRate  = 2
	logBurst = 200
	// Lines that wait for the log, and for how long.
	logQueue = 1 << 13
	logPause = 50 * time.Millisecond
)

// line is a line of the access log.
type line struct {
	server        cloud.ServerID // "" when who asked is not proven
	trace         string
	method, path  string
	status, bytes int
	took          time.Duration
}

// accessLog writes a line for each request, off the goroutines that serve:
// a log that is slow delays nobody. What does not fit is counted. Safe for
// concurrent use.
type accessLog struct {
	log     *slog.Logger
	queue   chan line
	unknown allowance // of all requests whose sender is not proven
	skipped func()
}

func newAccessLog(log *slog.Logger, skipped func()) *accessLog {
	return &accessLog{log: log, queue: make(chan line, logQueue), skipped: skipped}
}

// add does not wait. share is that of the server, nil when it is not proven.
func (a *accessLog) add(l line, share *allowance, now time.Time) {
	if !a.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	if share == nil {
		share = &a.unknown
	}
	if !share.spend(now) {
		a.skipped()
		return
	}
	l.method, l.path = clip(l.method, maxLogVerb), clip(l.path, maxLogPath)
	if len(l.trace) > maxLogTrace {
		l.trace = "" // none
	}
	select {
	case a.queue <- l:
	default:
		a.skipped()
	}
}

// clip returns the first n bytes of s, and lets go of the others.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.Clone(s[:n])
}

// run writes lines until ctx ends, and then those that still wait. It looks
// for them now and then: to be woken for each would cost more than the line.
func (a *accessLog) run(ctx context.Context) {
	tick := time.NewTicker(logPause)
	defer tick.Stop()
	for {
		a.flush()
		select {
		case <-tick.C:
		case <-ctx.Done():
			a.flush()
			return
		}
	}
}

// flush writes the lines that wait.
func (a *accessLog) flush() {
	for {
		select {
		case l := <-a.queue:
			a.write(l)
		default:
			return
		}
	}
}

func (a *accessLog) write(l line) {
	a.log.LogAttrs(context.Background(), slog.LevelInfo, "metadata request",
		slog.String("trace_id", cloud.TraceID(l.trace)), slog.String("server_id", string(l.server)),
		slog.String("method", l.method), slog.String("path", l.path),
		slog.Int("status", l.status), slog.Int("bytes", l.bytes), slog.Int64("microseconds", l.took.Microseconds()))
}
