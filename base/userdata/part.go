// Package userdata turns bytes into parts: gzip, MIME, archive, headers,
// Jinja; no I/O.
//
// It follows cloudinit/user_data.py and cloudinit/handlers/__init__.py, 22.4.
package userdata

import "strings"

// Content types that cloud-init knows (handlers/__init__.py
// INCLUSION_TYPES_MAP, 22.4).
const (
	TypeCloudConfig      = "text/cloud-config"
	TypeCloudConfigJSONP = "text/cloud-config-jsonp"
	TypeArchive          = "text/cloud-config-archive" // taken apart by Parse
	TypeScript           = "text/x-shellscript"
	TypeScriptPerBoot    = "text/x-shellscript-per-boot"
	TypeScriptPerOnce    = "text/x-shellscript-per-once"
	TypeScriptPerInst    = "text/x-shellscript-per-instance"
	TypeBoothook         = "text/cloud-boothook"
	TypePartHandler      = "text/part-handler"
	TypeInclude          = "text/x-include-url"
	TypeIncludeOnce      = "text/x-include-once-url"
	TypeJinja            = "text/jinja2"
	TypeUnknown          = "text/x-not-multipart" // bytes without a known header
)

// Header is one header field of a part.
type Header struct{ Name, Value string }

// Part is one piece of user data. Its body may share memory with the bytes
// that it was parsed from.
type Part struct {
	Type     string   // content type, lower case, after looking at the body's first line
	Filename string   // as given, or part-NNN; hostile text: see [CleanFilename]
	Body     []byte   // decoded and decompressed
	Headers  []Header // of the MIME part or archive entry, in order, as given
	Source   string   // address of the include that brought it, "" for the user data itself
	Line     int      // of that (decompressed) text where the body, encoded or not, begins; from 1

	MergeType   string // header Merge-Type or X-Merge-Type, "" without
	LaunchIndex int    // header Launch-Index, else the document's key launch-index; -1 without
	Jinja       bool   // a template that must be rendered first; TypeOf tells the type of what comes out
}

// Header is the value of the first header of that name in any case, or "".
func (p *Part) Header(name string) string { return headers(p.Headers).get(name) }

// headers are the header fields of a part or message, in order.
type headers []Header

// get is the first value of name in any case, or "".
func (h headers) get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// exact is get for a name in this very spelling.
func (h headers) exact(name string) string {
	for _, f := range h {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Problem is something that was dropped, or that no handler will take.
type Problem struct {
	Part    string // file name of the part, "" for the whole or for one without name
	Source  string // as in [Part]
	Line    int    // as in [Part]; of the entry at fault within an archive; 0 when unknown
	Dropped bool   // it is not among the parts
	// Unhandled: cloud-init's own handlers do not take the part's type; one
	// that a #part-handler brings may.
	Unhandled bool
	Fatal     bool // cloud-init 22.4 gives up all user data on it; this package goes on
	Text      string
}

// Include is one line of an #include part.
type Include struct {
	URL  string
	Once bool // fetch once per instance, then use the kept copy
	Line int  // of the part's body, from 1
}

// Options of [Parse]. The zero value is ready to use.
type Options struct {
	// Fetch returns what an #include line names; its bytes are parsed in
	// turn, in place. It is called one line after the other. Nil leaves
	// #include parts among the result, without a number in their name.
	Fetch func(Include) ([]byte, error)

	MaxSize  int // bytes of all bodies together, decompressed; default 16 MiB
	MaxParts int // parts, and fetches; default 1000
	MaxDepth int // nested multiparts and includes; default 16
}

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = 16 << 20
	}
	if o.MaxParts <= 0 {
		o.MaxParts = 1000
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = 16
	}
	return o
}

// ForLaunchIndex keeps the parts without launch index and those with index
// (cloudinit/filters/launch_index.py, 22.4).
func ForLaunchIndex(parts []Part, index int) []Part {
	var out []Part
	for _, p := range parts {
		if p.LaunchIndex < 0 || p.LaunchIndex == index {
			out = append(out, p)
		}
	}
	return out
}
