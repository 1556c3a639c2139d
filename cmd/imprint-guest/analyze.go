package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"imprint/guest/clouddir"
)

// journalFiles are what an analysis reads and writes.
type journalFiles struct{ in, out string }

func (p *program) analyzeCommand() *command {
	f := journalFiles{in: clouddir.LogFile, out: "-"}
	format := "%I%D @%Es +%ds"
	io := []option{
		{names: []string{"-i", "--infile"}, meta: "INFILE", value: &f.in, help: "specify where to read input."},
		{names: []string{"-o", "--outfile"}, meta: "OUTFILE", value: &f.out, help: "specify where to write output."},
	}
	show := slices.Concat([]option{{names: []string{"-f", "--format"}, meta: "PRINT_FORMAT", value: &format, help: "specify formatting of output."}}, io)
	return &command{
		name:    "analyze",
		summary: "Devel tool: Analyze cloud-init logs and data.",
		subs: []*command{
			{name: "blame", summary: "Print list of executed stages ordered by time to init", options: io,
				run: func() int { return p.analyze(f, blame) }},
			{name: "show", summary: "Print list of in-order events during execution", options: show,
				run: func() int { return p.analyze(f, func(e []logEvent) (string, int) { return showEvents(e, format) }) }},
			{name: "dump", summary: "Dump cloud-init events in JSON format", options: io,
				run: func() int { return p.analyze(f, dumpEvents) }},
			{name: "boot", summary: "Print list of boot times for kernel and cloud-init", options: io,
				run: func() int { return p.analyze(f, p.bootTimes) }},
		},
	}
}

// analyze reads a log, or the events that dump wrote, and prints what form
// makes of it.
func (p *program) analyze(f journalFiles, form func([]logEvent) (string, int)) int {
	in := os.Stdin
	if f.in != "-" {
		var err error
		if in, err = os.Open(f.in); err != nil {
			fmt.Fprintf(p.err, "Cannot open file %s\n", f.in)
			return exitFailed
		}
		defer in.Close()
	}
	out := p.out
	if f.out != "-" {
		file, err := os.Create(f.out)
		if err != nil {
			fmt.Fprintf(p.err, "Cannot open file %s\n", f.out)
			return exitFailed
		}
		defer file.Close()
		out = file
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return p.fail(err)
	}
	var events []logEvent
	if json.Unmarshal(data, &events) != nil || len(events) == 0 {
		events = readEvents(string(data))
	}
	text, status := form(events)
	if _, err := io.WriteString(out, text); err != nil {
		return p.fail(err)
	}
	if status != exitOK {
		fmt.Fprintln(p.err, "failure")
	}
	return status
}

// record is what is printed of a boot.
type record struct {
	lines []string
}

const (
	recordHead = "-- Boot Record %02d --\n"
	showHead   = "The total time elapsed since completing an event is printed after the \"@\" character.\n" +
		"The time the event takes is printed after the \"+\" character.\n\n"
)

func showEvents(events []logEvent, format string) (string, int) {
	var b strings.Builder
	all := records(events, format)
	for i, r := range all {
		fmt.Fprintf(&b, recordHead, i+1)
		b.WriteString(showHead + strings.Join(r.lines, "\n") + "\n")
	}
	fmt.Fprintf(&b, "%d boot records analyzed\n", len(all))
	return b.String(), exitOK
}

var blameLine = regexp.MustCompile(`^\s+\d+\.\d+`)

func blame(events []logEvent) (string, int) {
	var b strings.Builder
	all := records(events, "     %ds (%n)")
	for i, r := range all {
		lines := slices.DeleteFunc(slices.Clone(r.lines), func(l string) bool { return !blameLine.MatchString(l) })
		slices.SortFunc(lines, func(a, b string) int { return strings.Compare(b, a) })
		fmt.Fprintf(&b, recordHead, i+1)
		b.WriteString(strings.Join(lines, "\n") + "\n\n")
	}
	fmt.Fprintf(&b, "%d boot records analyzed\n", len(all))
	return b.String(), exitOK
}

func dumpEvents(events []logEvent) (string, int) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if enc.Encode(events) != nil { // they came from text or JSON
		return "", exitFailed
	}
	return b.String(), exitOK
}

// records pairs the events of each boot. An event whose end does not follow at
// once is a stage. cloud-init: analyze/show.py generate_records.
func records(events []logEvent, format string) []record {
	var all []record
	var now record
	var begun *float64
	var open []logEvent
	total := 0.0
	for i, e := range events {
		if e.Type != "start" {
			if len(open) == 0 || open[len(open)-1].Name != e.Name {
				continue
			}
			start := open[len(open)-1]
			open = open[:len(open)-1]
			now.lines = append(now.lines, formatEvent("Finished stage: (%n) %d seconds", *begun, start, e)+"\n")
			total += e.Timestamp - start.Timestamp
			continue
		}
		if len(now.lines) > 0 && e.Name == "init-local" {
			now.lines = append(now.lines, totalTime(total))
			all, now, begun, total = append(all, now), record{}, nil, 0
		}
		if begun == nil {
			begun = &events[i].Timestamp
		}
		if i+1 < len(events) && events[i+1].Name == e.Name {
			if events[i+1].Type == "finish" {
				now.lines = append(now.lines, formatEvent(format, *begun, e, events[i+1]))
			}
			continue
		}
		now.lines = append(now.lines, "Starting stage: "+e.Name)
		open = append(open, e)
	}
	now.lines = append(now.lines, totalTime(total))
	return append(all, now)
}

func totalTime(seconds float64) string { return fmt.Sprintf("Total Time: %3.5f seconds\n", seconds) }

// formatEvent fills a format of %n, %d and so on in (analyze/show.py
// format_key).
func formatEvent(format string, begun float64, start, finish logEvent) string {
	seconds := func(s float64) string { return fmt.Sprintf("%08.5f", s) }
	return strings.NewReplacer(
		"%d", seconds(finish.Timestamp-start.Timestamp), "%D", finish.Description, "%E", seconds(start.Timestamp-begun),
		"%e", finish.Type, "%I", "|"+strings.Repeat(" ", max(strings.Count(start.Name, "/")-1, 0))+"`->",
		"%n", finish.Name, "%o", finish.Origin, "%r", finish.Result, "%t", seconds(finish.Timestamp),
	).Replace(format)
}
