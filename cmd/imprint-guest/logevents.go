package main

import (
	"math"
	"regexp"
	"strings"
	"time"
)

// logEvent is an event as the log has it. The field order is the sorted key
// order of `cloud-init analyze dump`.
type logEvent struct {
	Description string  `json:"description"`
	Type        string  `json:"event_type"`
	Name        string  `json:"name"`
	Origin      string  `json:"origin"`
	Result      string  `json:"result,omitempty"`
	Timestamp   float64 `json:"timestamp"`
}

var (
	logLine   = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) - \S+: (.*)$`)
	beginLine = regexp.MustCompile(`^Cloud-init v\. \S+ running '([^']+)' at `)
	eventLine = regexp.MustCompile(`^(start|finish): (\S+): (.*)$`)
)

// stageDescriptions are analyze/dump.py's stage_to_description.
func stageDescription(name string) (string, bool) {
	d, ok := map[string]string{
		"init-local": "starting search for local datasources", "init-network": "searching for network datasources",
		"modules-config": "running config modules", "modules-final": "finalizing modules",
		"modules-init": "running modules for", "single": "running single module ",
	}[name]
	return d, ok
}

// readEvents finds the events in a log; other lines count for nothing.
func readEvents(log string) []logEvent {
	events := []logEvent{}
	for line := range strings.Lines(log) {
		m := logLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		at, err := time.ParseInLocation("2006-01-02 15:04:05,000", m[1], time.Local)
		if err != nil {
			continue
		}
		if e, ok := readEvent(m[2]); ok {
			e.Origin, e.Timestamp = "cloudinit", math.Round(float64(at.UnixMilli()))/1e3
			events = append(events, e)
		}
	}
	return events
}

func readEvent(text string) (logEvent, bool) {
	if m := beginLine.FindStringSubmatch(text); m != nil {
		name := strings.ReplaceAll(m[1], ":", "-")
		if name == "init" {
			name = "init-network"
		}
		description, ok := stageDescription(name)
		return logEvent{Description: description, Type: "start", Name: name}, ok
	}
	m := eventLine.FindStringSubmatch(text)
	if m == nil {
		return logEvent{}, false
	}
	e := logEvent{Description: m[3], Type: m[1], Name: m[2]}
	if e.Type == "finish" {
		result, rest, _ := strings.Cut(e.Description, ":")
		e.Result, e.Description = result, strings.TrimSpace(rest)
	}
	return e, true
}
