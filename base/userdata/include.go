package userdata

import "strings"

// Includes are the lines of an #include or #include-once body: one address a
// line, also behind the word itself; other lines that begin with "#" are
// comments (user_data.py _do_include, 22.4).
func Includes(body []byte) []Include {
	var out []Include
	once, number := false, 0
	for line := range strings.SplitSeq(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(body)), "\n") {
		number++
		if rest, ok := cutFold(line, "#include-once"); ok {
			line, once = rest, true
		} else if rest, ok := cutFold(line, "#include"); ok {
			line, once = rest, false
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		if address := strings.TrimFunc(line, blank); address != "" {
			out = append(out, Include{address, once, number})
		}
	}
	return out
}

// cutFold takes a prefix in any case and the blanks after it away.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return strings.TrimLeftFunc(s[len(prefix):], blank), true
}

// include fetches the lines of an #include part and parses what they bring,
// or keeps the part when there is nobody to fetch.
func (p *parser) include(contentType string, m message, body []byte, depth int) {
	if p.opts.Fetch == nil {
		p.attach(Part{Type: contentType, Filename: m.filename(), Body: body, Headers: m.headers, Line: m.line})
		return
	}
	if depth >= p.opts.MaxDepth {
		p.drop("", m.line, "more than %d nested includes", p.opts.MaxDepth)
		return
	}
	for _, inc := range Includes(body) {
		if p.fetched++; p.fetched > p.opts.MaxParts {
			p.drop("", m.line+inc.Line-1, "more than %d includes", p.opts.MaxParts)
			return
		}
		data, err := p.opts.Fetch(inc)
		if err != nil {
			p.dropFatal("", m.line+inc.Line-1, "include %.200s: %v", inc.URL, err)
			continue
		}
		was := p.source
		p.source = inc.URL
		p.blob(data, depth+1)
		p.source = was
	}
}
