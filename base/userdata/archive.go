package userdata

import (
	"errors"
	"strings"

	"imprint/base/cloudconfig"
)

// archive attaches the entries of a #cloud-config-archive: texts, or maps
// with content, type, filename, launch-index and header fields
// (user_data.py _explode_archive, 22.4). Types that cloud-init does not look
// into here, nested archives and includes, are attached as they are.
func (p *parser) archive(body []byte, line int) {
	doc, err := cloudconfig.Parse(body)
	if err != nil {
		if at, ok := errors.AsType[*cloudconfig.Error](err); ok && at.Line > 0 {
			line += at.Line - 1
		}
		p.drop("", line, "cloud-config-archive: %v", err)
		return
	}
	if doc.Kind != cloudconfig.KindList && !doc.IsNull() {
		p.drop("", line, "cloud-config-archive: %v", doc.Errorf("want a list, have a %s", doc.Kind))
		return
	}
	for i, entry := range doc.Items() {
		if i >= p.opts.MaxParts {
			p.drop("", line, "cloud-config-archive of more than %d entries", p.opts.MaxParts)
			return
		}
		p.entry(entry, line+entry.Line-1)
	}
}

func (p *parser) entry(entry *cloudconfig.Node, line int) {
	content := entry.Get("content")
	switch {
	case entry.Kind == cloudconfig.KindString:
		content, entry = entry, nil
	case entry.Kind != cloudconfig.KindMap:
		p.drop("", line, "cloud-config-archive: %v", entry.Errorf("an entry must be a text or a map, not a %s", entry.Kind))
		return
	}
	var body []byte
	name, _ := entry.Text("filename")
	if content != nil {
		if content.Kind != cloudconfig.KindString && content.Kind != cloudconfig.KindBinary {
			p.dropFatal(name, line, "cloud-config-archive: %v", content.Errorf("content must be a text, not a %s", content.Kind))
			return
		}
		body = []byte(content.String())
	}
	contentType := entryType(entry, content, body)
	if strings.Count(contentType, "/") != 1 {
		p.dropFatal(name, line, "cloud-config-archive: %v", entry.Errorf("type %.40q is no content type", contentType))
		return
	}
	p.number(contentType, message{headers: entryHeaders(entry), line: line}, body)
}

// entryType is the type that the entry names, else what its content begins
// with, else #cloud-config, or unknown bytes for !!binary.
func entryType(entry, content *cloudconfig.Node, body []byte) string {
	if t := entry.Get("type"); !t.IsNull() && t.String() != "" {
		return strings.ToLower(t.String())
	}
	if found := TypeOf(body); found != "" {
		return found
	}
	if content != nil && content.Kind == cloudconfig.KindBinary {
		return "application/octet-stream"
	}
	return TypeCloudConfig
}

// entryHeaders are the header fields that an entry stands for.
func entryHeaders(entry *cloudconfig.Node) headers {
	var out headers
	for _, pair := range entry.Pairs() {
		name, value := pair.Key.String(), pair.Value.String()
		switch strings.ToLower(name) {
		case "content", "type", "content-disposition", "content-type", "number-attachments":
		case "filename":
			quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
			out = append(out, Header{"Content-Disposition", `attachment; filename="` + quoted + `"`})
		case "launch-index":
			out = append(out, Header{"Launch-Index", value})
		default:
			out = append(out, Header{name, value})
		}
	}
	return out
}
