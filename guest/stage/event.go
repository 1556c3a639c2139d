package stage

import (
	"context"
	"log/slog"
	"time"

	"imprint/guest/clouddir"
)

// Event is the start or the end of a piece of work, in the form in which
// cloud-init tells it to those who watch a boot (reporting/events.py).
type Event struct {
	Name        string  `json:"name"`
	Description string  `json:"description"`
	Type        string  `json:"event_type"`
	Origin      string  `json:"origin"`
	Timestamp   float64 `json:"timestamp"`
	Result      string  `json:"result,omitempty"`
}

// Types and results of events.
const (
	EventStart  = "start"
	EventFinish = "finish"

	ResultSuccess = "SUCCESS"
	ResultFail    = "FAIL"
)

// String is the event's line in the log.
func (e Event) String() string {
	if e.Type == EventFinish {
		return e.Type + ": " + e.Name + ": " + e.Result + ": " + e.Description
	}
	return e.Type + ": " + e.Name + ": " + e.Description
}

// phase is a stage while it runs: the name of its events, and whether a step
// of it failed.
type phase struct {
	name   string
	failed bool
}

// step is a piece of work between its start and finish events.
type step struct {
	b          *Boot
	name, text string
}

// begin starts a step of the stage that runs.
func (b *Boot) begin(ctx context.Context, name, text string) step {
	return b.beginAt(ctx, b.Now(), name, text)
}

// beginAt starts a step that began at this time.
func (b *Boot) beginAt(ctx context.Context, at time.Time, name, text string) step {
	s := step{b, b.phase.name + "/" + name, text}
	b.tell(ctx, at, Event{Name: s.name, Description: text, Type: EventStart})
	return s
}

// end finishes a step; an empty message repeats that of its start.
func (s step) end(ctx context.Context, ok bool, message string) {
	if message == "" {
		message = s.text
	}
	s.b.phase.failed = s.b.phase.failed || !ok
	s.b.tell(ctx, s.b.Now(), Event{Name: s.name, Description: message, Type: EventFinish, Result: resultOf(ok)})
}

func resultOf(ok bool) string {
	if ok {
		return ResultSuccess
	}
	return ResultFail
}

// tell hands an event to the log and to those whom the configuration names.
func (b *Boot) tell(ctx context.Context, at time.Time, e Event) {
	e.Origin, e.Timestamp = "cloudinit", float64(at.UnixMicro())/1e6
	if level := b.reports.level(); level != nil {
		r := slog.NewRecord(at, *level, e.String(), 0)
		r.AddAttrs(slog.String(clouddir.Component, "handlers.py"))
		_ = b.Log.Handler().Handle(ctx, r) // a log that fails has nobody to tell
	}
	b.reports.send(e)
}
