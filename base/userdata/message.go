package userdata

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// message is one MIME entity as Python's email package reads it, which never
// fails: what is no header begins the body, what lacks a type is text/plain.
// People write these by hand.
type message struct {
	headers     headers
	contentType string // lower case, without parameters
	body        []byte
	line        int // where the body begins
}

// maxHeaders is how many header fields one entity may have.
const maxHeaders = 200

// parseMessage splits data, which begins at that line, into headers and body
// (email/feedparser.py, 3.11).
func parseMessage(data []byte, at int) (message, error) {
	m := message{line: at}
	var field []byte // the lines of the field being read
	for {
		line, rest := cutLine(data)
		name, _, colon := bytes.Cut(line, []byte(":"))
		switch {
		case len(line) > 0 && (line[0] == ' ' || line[0] == '\t'):
			if field != nil {
				field = field[:len(field)+len(line)] // the lines lie side by side
			}
		case colon && fieldName(name):
			m.add(field)
			field = line
		case bytes.HasPrefix(line, []byte("From ")):
			m.add(field)
			field = nil
		default:
			m.add(field)
			m.body = data
			if len(trimLine(line)) == 0 {
				m.body = rest
				m.line += min(len(line), 1)
			}
			m.contentType = m.headers.contentType()
			return m, nil
		}
		if len(m.headers) > maxHeaders {
			return message{line: at}, fmt.Errorf("more than %d headers", maxHeaders)
		}
		data = rest
		m.line++
	}
}

// add keeps a header field, unfolded; one without name says nothing.
func (m *message) add(field []byte) {
	name, value, _ := strings.Cut(strings.NewReplacer("\r", "", "\n", "").Replace(string(field)), ":")
	if name != "" {
		m.headers = append(m.headers, Header{name, strings.TrimLeft(value, " \t")})
	}
}

// fieldName tells whether s has the characters of a header name (RFC 5322
// 3.6.8).
func fieldName[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < 33 || s[i] > 126 {
			return false
		}
	}
	return true
}

// contentType is the type without parameters; text/plain when there is none
// that makes sense (RFC 2045 5.2).
func (h headers) contentType() string {
	value, _, _ := strings.Cut(h.get("Content-Type"), ";")
	value = strings.ToLower(strings.TrimSpace(value))
	if strings.Count(value, "/") != 1 {
		return "text/plain"
	}
	return value
}

func (m message) multipart() bool { return strings.HasPrefix(m.contentType, "multipart/") }

// filename is what the headers call the part, or "".
func (m message) filename() string {
	name := parameter(m.headers.get("Content-Disposition"), "filename")
	if name == "" {
		name = parameter(m.headers.get("Content-Type"), "name")
	}
	return strings.TrimSpace(name)
}

// uncompressed keeps the headers that still hold for a decompressed body
// (user_data.py _process_msg, 22.4).
func (m message) uncompressed() message {
	var kept headers
	if name := m.filename(); name != "" {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name)
		kept = append(kept, Header{"Content-Disposition", `attachment; filename="` + quoted + `"`})
	}
	if index := m.headers.get("Launch-Index"); index != "" {
		kept = append(kept, Header{"Launch-Index", index})
	}
	return message{headers: kept, line: m.line}
}

// section is a part of a multipart and the line that it begins at.
type section struct {
	data []byte
	line int
}

// split cuts a multipart into the bytes of its parts, at most limit of them
// (RFC 2046 5.1.1). What precedes the first boundary and follows the last is
// ignored; a missing last boundary is forgiven. The line end before a boundary
// is still there. With an error come the parts that there are.
func (m message) split(limit int) ([]section, error) {
	boundary := strings.TrimRight(parameter(m.headers.get("Content-Type"), "boundary"), " \t\r\n")
	if boundary == "" {
		return nil, fmt.Errorf("%s without boundary", m.contentType)
	}
	var parts []section
	rest, begin, between := m.body, 0, false
	open, first, at := false, 0, 0
	for n := m.line; len(rest) > 0; n++ {
		var line []byte
		line, rest = cutLine(rest)
		is, last := isBoundary(line, boundary)
		if is && open && !between {
			parts = append(parts, section{m.body[begin:at], first})
		}
		if is && last && !between {
			if !open {
				return nil, errors.New("multipart that ends before it begins")
			}
			return parts, nil
		}
		at += len(line)
		if is {
			open, begin, first = true, at, n+1
		}
		between = is
		if len(parts) >= limit {
			return parts, fmt.Errorf("multipart of more than %d parts", limit)
		}
	}
	if !open {
		return nil, fmt.Errorf("multipart in which the boundary %.80q is not found", boundary)
	}
	return append(parts, section{m.body[begin:], first}), nil
}

// isBoundary tells whether line is a boundary, and whether the last one.
func isBoundary(line []byte, boundary string) (is, last bool) {
	rest, ok := bytes.CutPrefix(line, []byte("--"))
	if ok {
		rest, ok = bytes.CutPrefix(rest, []byte(boundary))
	}
	if !ok {
		return false, false
	}
	rest, last = bytes.CutPrefix(rest, []byte("--"))
	is = len(bytes.Trim(trimLine(rest), " \t")) == 0
	return is, is && last
}

// cutLine splits off the first line with its end: CRLF, LF or CR.
func cutLine(data []byte) (line, rest []byte) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0:
		return data, nil
	case data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n':
		i++
	}
	return data[:i+1], data[i+1:]
}

// trimLine takes one line end off.
func trimLine(data []byte) []byte {
	if b, ok := bytes.CutSuffix(data, []byte("\r\n")); ok {
		return b
	}
	if b, ok := bytes.CutSuffix(data, []byte("\n")); ok {
		return b
	}
	return bytes.TrimSuffix(data, []byte("\r"))
}
