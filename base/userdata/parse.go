package userdata

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"imprint/base/cloudconfig"
)

// Parse takes user data (or vendor data) apart, in order. Nothing is dropped
// silently; hostile input costs at most what the limits in opts allow.
//
// Departure: text in MIME parts stays the UTF-8 that it is. cloud-init spoils
// it when the part has no transfer encoding ("é" becomes an invalid byte, "中"
// the text \u4e2d).
func Parse(raw []byte, opts Options) ([]Part, []Problem) {
	return ParseList([][]byte{raw}, opts)
}

// ParseList is [Parse] for several blobs after each other, numbered through
// (vendor data may be a list).
func ParseList(raws [][]byte, opts Options) ([]Part, []Problem) {
	opts = opts.withDefaults()
	p := &parser{opts: opts, left: opts.MaxSize}
	for _, raw := range raws {
		p.blob(raw, 0)
	}
	return p.parts, p.problems
}

// parser collects the parts of one instance's user data.
type parser struct {
	opts     Options
	left     int    // bytes that bodies may still take
	source   string // of the blob being parsed
	fetched  int
	numbered int // parts that count for part-NNN
	parts    []Part
	problems []Problem
}

func (p *parser) drop(part string, line int, format string, args ...any) {
	p.note(Problem{Part: part, Line: line, Dropped: true, Text: fmt.Sprintf(format, args...)})
}

func (p *parser) dropFatal(part string, line int, format string, args ...any) {
	p.note(Problem{Part: part, Line: line, Dropped: true, Fatal: true, Text: fmt.Sprintf(format, args...)})
}

// note keeps a problem; there are never more than a few per part.
func (p *parser) note(problem Problem) {
	problem.Source = p.source
	if len(p.problems) < 4*p.opts.MaxParts {
		p.problems = append(p.problems, problem)
	}
}

// blob parses the whole user data, or what one include line brought.
func (p *parser) blob(raw []byte, depth int) {
	if len(raw) > p.left {
		p.drop("", 0, "more than %d bytes of user data", p.opts.MaxSize)
		return
	}
	if plain, err := gunzip(raw, p.left); err == nil {
		raw = plain
	} else if errors.Is(err, errTooLarge) {
		p.drop("", 0, "compressed user data: %v", err)
		return
	}
	if !bytes.Contains(bytes.ToLower(raw[:min(len(raw), 4096)]), []byte("mime-version:")) {
		p.leaf(message{contentType: TypeUnknown, body: raw, line: 1}, depth)
		return
	}
	if !utf8.Valid(raw) {
		p.dropFatal("", 0, "MIME message that is not UTF-8")
		return
	}
	m, err := parseMessage(raw, 1)
	if err != nil {
		p.drop("", m.line, "%v", err)
		return
	}
	if m.multipart() {
		p.multipart(m, depth)
		return
	}
	p.leaf(m, depth)
}

// multipart walks down to the leaves.
func (p *parser) multipart(m message, depth int) {
	if depth >= p.opts.MaxDepth {
		p.drop(m.filename(), m.line, "more than %d nested multiparts", p.opts.MaxDepth)
		return
	}
	sections, err := m.split(p.opts.MaxParts)
	if err != nil {
		p.drop(m.filename(), m.line, "%v", err)
	}
	for _, section := range sections {
		part, err := parseMessage(section.data, section.line)
		switch {
		case err != nil:
			p.drop("", part.line, "%v", err)
		case part.multipart():
			p.multipart(part, depth+1)
		default:
			part.body = trimLine(part.body)
			p.leaf(part, depth)
		}
	}
}

// leaf finds out what a part is and keeps it, or goes into what it brings.
func (p *parser) leaf(m message, depth int) {
	body := m.decode()
	contentType := m.contentType
	if compressed(contentType) {
		var err error
		body, err = gunzip(body, p.left)
		if err == nil && !utf8.Valid(body) {
			err = errors.New("not UTF-8")
		}
		if err != nil {
			p.dropFatal(m.filename(), m.line, "decompress %s: %v", contentType, err)
			return
		}
		contentType = "text/plain"
		m = m.uncompressed()
	}
	switch contentType {
	case "text/plain", TypeUnknown, TypeScript:
		if found := TypeOf(body); found != "" {
			contentType = found
		}
	}
	switch {
	case contentType == TypeArchive:
		p.archive(body, m.line)
	case contentType == TypeInclude || contentType == TypeIncludeOnce:
		p.include(contentType, m, body, depth)
	default:
		p.number(contentType, m, body)
	}
}

// number attaches a part that counts for part-NNN, and reports what
// cloud-init's own handlers do not take (handlers/__init__.py
// walker_callback, 22.4).
func (p *parser) number(contentType string, m message, body []byte) {
	p.numbered++
	name := m.filename()
	if name == "" {
		name = fmt.Sprintf("part-%03d", p.numbered)
	}
	p.attach(Part{Type: contentType, Filename: name, Body: body, Headers: m.headers, Line: m.line})
	if handled(contentType) || len(body) == 0 {
		return
	}
	kind := "unknown content-type"
	if contentType == TypeUnknown {
		kind = "non-multipart"
	}
	line, _, _ := bytes.Cut(body, []byte("\n"))
	p.note(Problem{Part: name, Line: m.line, Unhandled: true, Text: fmt.Sprintf("Unhandled %s (%s) userdata: %q", kind, contentType, start(line, 24))})
}

// attach keeps a part, filling in what follows from its headers and body.
func (p *parser) attach(part Part) {
	if len(p.parts) >= p.opts.MaxParts || len(part.Body) > p.left {
		p.drop(part.Filename, part.Line, "over the limit of %d parts and %d bytes", p.opts.MaxParts, p.opts.MaxSize)
		return
	}
	p.left -= len(part.Body)
	part.Source = p.source
	part.Jinja = part.Type == TypeJinja
	// These two, and no other spelling, are what cloud-init looks at
	// (handlers/cloud_config.py _extract_mergers, 22.4).
	part.MergeType = headers(part.Headers).exact("Merge-Type")
	if part.MergeType == "" {
		part.MergeType = headers(part.Headers).exact("X-Merge-Type")
	}
	part.LaunchIndex = p.launchIndex(part)
	p.parts = append(p.parts, part)
}

// launchIndex is the header's number, else the document's
// (user_data.py _attach_launch_index, 22.4).
func (p *parser) launchIndex(part Part) int {
	if text := part.Header("Launch-Index"); text != "" {
		if i, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && i >= 0 {
			return i
		}
		p.note(Problem{Part: part.Filename, Line: part.Line, Text: fmt.Sprintf("header Launch-Index: %.40q is no number", text)})
		return -1
	}
	if part.Type != TypeCloudConfig || !bytes.Contains(part.Body, []byte("launch-index")) {
		return -1
	}
	doc, err := cloudconfig.Parse(part.Body)
	if err != nil {
		return -1 // whoever reads the document will say so
	}
	if i, err := doc.Get("launch-index").AsInt(); err == nil && i >= 0 && i <= 1<<31 {
		return int(i)
	}
	return -1
}

// start is the first n characters of b.
func start(b []byte, n int) string {
	b = b[:min(len(b), 4*n)]
	runes := []rune(string(b))
	if len(runes) <= n {
		return string(b)
	}
	return string(runes[:n]) + "..."
}
