package clouddir

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// Component is the attribute key that names the origin of a log line, which
// stands before the level: "cc_runcmd.py[DEBUG]: ...". The names are those of
// cloud-init's files, because that is what people filter by.
const Component = "component"

// maxKept bounds the warnings that a stage repeats in status.json.
const maxKept = 100

// Log is a slog.Handler that writes cloud-init's lines:
//
//	2026-11-21 03:59:34,110 - cc_timezone.py[DEBUG]: message key=value
//
// Everything goes to the file, warnings and errors to the console too, and
// these are kept for status.json. It is safe for concurrent use.
type Log struct {
	sink      *sink
	component string
	attrs     string
}

type sink struct {
	mu      sync.Mutex
	file    io.Writer
	console io.Writer
	kept    map[string][]string
	count   int
}

// NewLog returns a log that writes to file and, from warnings on, to console.
// Either may be nil.
func NewLog(file, console io.Writer) *Log {
	return &Log{sink: &sink{file: file, console: console, kept: map[string][]string{}}, component: "main.py"}
}

// Kept returns the warnings and errors logged so far, by level.
func (l *Log) Kept() map[string][]string {
	l.sink.mu.Lock()
	defer l.sink.mu.Unlock()
	kept := make(map[string][]string, len(l.sink.kept))
	for level, lines := range l.sink.kept {
		kept[level] = append([]string(nil), lines...)
	}
	return kept
}

// Enabled accepts every level: cloud-init's default is DEBUG.
func (l *Log) Enabled(context.Context, slog.Level) bool { return true }

// WithGroup returns l: the line format has no groups.
func (l *Log) WithGroup(string) slog.Handler { return l }

// WithAttrs returns a log that adds attrs to its lines.
func (l *Log) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	for _, a := range attrs {
		c.add(a)
	}
	return &c
}

func (l *Log) add(a slog.Attr) {
	if a.Key == Component {
		l.component = a.Value.String()
		return
	}
	l.attrs += fmt.Sprintf(" %s=%s", a.Key, quote(a.Value.Resolve().String()))
}

// Handle writes one record.
func (l *Log) Handle(_ context.Context, r slog.Record) error {
	c := *l
	r.Attrs(func(a slog.Attr) bool { c.add(a); return true })
	message := oneLine(r.Message + c.attrs)
	level := levelName(r.Level)
	line := fmt.Sprintf("%s,%03d - %s[%s]: %s\n", r.Time.Format("2006-01-02 15:04:05"),
		r.Time.Nanosecond()/1e6, c.component, level, message)
	return l.sink.write(r.Level, level, message, line)
}

func (s *sink) write(level slog.Level, name, message, line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if level >= slog.LevelWarn {
		if s.count < maxKept {
			s.count++
			s.kept[name] = append(s.kept[name], message)
		}
		if s.console != nil {
			_, _ = io.WriteString(s.console, line)
		}
	}
	if s.file == nil {
		return nil
	}
	_, err := io.WriteString(s.file, line)
	return err
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}

func quote(s string) string {
	if s == "" || strings.ContainsAny(s, " \"=\n\t") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// oneLine keeps a message that holds a tenant's bytes from forging lines.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		if r < ' ' && r != '\t' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
