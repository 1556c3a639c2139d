package cloudconfig

import (
	"fmt"
	"net/url"
	"strings"
)

// CommandLine is the configuration that a kernel command line holds between
// "cc:" and "end_cc" or its end, as often as it is there, percent-encoded or
// not, \n for newlines; "" without (cloudinit/util.py read_cc_from_cmdline,
// 22.4).
func CommandLine(line string) string {
	const begin, end = "cc:", "end_cc"
	var out []string
	for {
		_, rest, found := strings.Cut(line, begin)
		if !found {
			return strings.Join(out, "\n")
		}
		text, after, _ := strings.Cut(rest, end)
		out = append(out, strings.ReplaceAll(percentDecoded(strings.TrimLeftFunc(text, blank)), `\n`, "\n"))
		line = after
	}
}

// percentDecoded undoes percent-encoding; a percent sign that begins nothing
// stands for itself.
func percentDecoded(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		if text[0] == '%' && len(text) > 2 {
			if c, err := url.PathUnescape(text[:3]); err == nil {
				out.WriteString(c)
				text = text[3:]
				continue
			}
		}
		out.WriteByte(text[0])
		text = text[1:]
	}
	return strings.ToValidUTF8(out.String(), "\ufffd")
}

// blank is Python's str.isspace.
func blank(r rune) bool { return strings.TrimSpace(string(r)) == "" || 0x1c <= r && r <= 0x1f }

// CommandLineURL is the address of a configuration that a kernel command line
// names, and the option that names it: cloud-config-url, or the deprecated
// url; "" without. What is found there counts only if it begins with
// "#cloud-config" (cloudinit/cmd/main.py parse_cmdline_url, 22.4).
func CommandLineURL(line string) (option, address string) {
	values := map[string]string{}
	for word := range strings.FieldsFuncSeq(line, blank) {
		key, value, _ := strings.Cut(word, "=")
		values[key] = value
	}
	for _, option := range []string{"cloud-config-url", "url"} {
		if address, ok := values[option]; ok {
			return option, address
		}
	}
	return "", ""
}

// System are the layers of a system's own configuration; nil for what is not
// there.
type System struct {
	BuiltIn     *Node
	Main        *Node   // cloud.cfg
	Directory   []*Node // cloud.cfg.d/*.cfg by name; a later one wins
	Runtime     *Node   // /run/cloud-init/cloud.cfg
	CommandLine *Node   // what [CommandLine] gave
}

// Combine lays the command line over the runtime configuration, over the
// directory's files, over the main file, over what is built in
// (cloudinit/stages.py fetch_base_config and util.py read_conf_with_confd,
// 22.4). A layer's own merge_how counts within its file's directory only.
func (s System) Combine() (*Node, error) {
	var files []*Node
	for i := len(s.Directory) - 1; i >= 0; i-- {
		files = append(files, s.Directory[i])
	}
	directory, err := Combine(files...)
	if err != nil {
		return nil, fmt.Errorf("merge the configuration directory: %w", err)
	}
	main, err := Combine(directory, s.Main)
	if err != nil {
		return nil, fmt.Errorf("merge the main configuration: %w", err)
	}
	return Combine(s.CommandLine, s.Runtime, main, s.BuiltIn)
}
