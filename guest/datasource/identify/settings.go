package identify

import "strings"

// wanted are the options that decide anything.
var wanted = [...]string{"datasource_list", "MAAS", "NoCloud", "user-data", "meta-data", "strict_id", "disable_vmware_customization"}

// ReadSettings finds the options that decide anything in a cloud.cfg, as
// ds-identify reads it: by line, whatever they are nested in. Data of any kind
// are taken.
func ReadSettings(file string, data []byte) (out []Setting) {
	for line := range lines(data) {
		for _, key := range wanted {
			rest, ok := strings.CutPrefix(line, key+":")
			if ok && (rest == "" || rest[0] == ' ') {
				out = append(out, Setting{Key: key, Value: strings.TrimPrefix(rest, " "), File: file})
			}
		}
	}
	return out
}

// ReadIdentity reads ds-identify.cfg. Data of any kind are taken.
func ReadIdentity(data []byte) (out []Setting) {
	for line := range lines(data) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		out = append(out, Setting{Key: squeeze(key), Value: unquote(squeeze(value)), File: IdentityConfig})
	}
	return out
}

// lines yields what a shell's read makes of a file: trimmed, with backslashes
// applied, and without a last line that has no end; comments are taken off.
func lines(data []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for rest := string(data); ; {
			var line strings.Builder
			i := 0
			for ; i < len(rest) && rest[i] != '\n'; i++ {
				if rest[i] != '\\' {
					line.WriteByte(rest[i])
				} else if i++; i < len(rest) && rest[i] != '\n' {
					line.WriteByte(rest[i])
				}
			}
			if i >= len(rest) {
				return
			}
			rest = rest[i+1:]
			text, _, _ := strings.Cut(strings.Trim(line.String(), " \t"), "#")
			if !yield(text) {
				return
			}
		}
	}
}

// squeeze is a shell's unquoted "$*": one space between words.
func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}

// array reads a list of YAML on one line.
func array(s string) []string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	var out []string
	for item := range strings.SplitSeq(s, ",") {
		out = append(out, strings.Fields(unquote(squeeze(item)))...)
	}
	return out
}

// setting is the last one of that name.
func (e Evidence) setting(key string) (Setting, bool) { return last(e.Settings, key, nil) }

func last(all []Setting, key string, in func(file string) bool) (found Setting, ok bool) {
	for _, s := range all {
		if s.Key == key && (in == nil || in(s.File)) {
			found, ok = s, true
		}
	}
	return found, ok
}

// defaultList is what ds-identify looks for where nothing is configured.
func defaultList() []string {
	return []string{"MAAS", "ConfigDrive", "NoCloud", "AltCloud", "Azure", "Bigstep", "CloudSigma", "CloudStack",
		"DigitalOcean", "Vultr", "AliYun", "Ec2", "GCE", "OpenNebula", "OpenStack", "OVF", "SmartOS", "Scaleway",
		"Hetzner", "IBMCloud", "Oracle", "Exoscale", "RbxCloud", "UpCloud", "VMware", "LXD", "NWCS"}
}

// datasourceList is from the command line (cc:{datasource_list: [...]}), from
// the last file that has one, or built in.
func (e Evidence) datasourceList() (list []string, from string) {
	if _, after, ok := strings.Cut(e.CommandLine, "cc:"); ok && strings.Contains(after, "datasource_list") {
		text := e.CommandLine[strings.LastIndex(e.CommandLine, "datasource_list")+len("datasource_list"):]
		text, _, _ = strings.Cut(text, "]")
		if list = array(text[strings.LastIndexByte(text, '[')+1:]); len(list) > 0 {
			return list, "the kernel command line"
		}
	}
	if s, ok := e.setting("datasource_list"); ok {
		if list = array(s.Value); len(list) > 0 {
			return list, s.File
		}
	}
	return defaultList(), "the built-in list"
}

// named is the source that the command line or ds-identify.cfg names.
func (e Evidence) named() (source, from string) {
	if s, ok := last(e.Identity, "datasource", nil); ok {
		source, from = s.Value, "in "+s.File
	}
	for word := range strings.FieldsSeq(e.CommandLine) {
		key, value, _ := option(word)
		if key == "ci.ds" || key == "ci.datasource" {
			source, from = value, "on the kernel command line"
		}
	}
	return source, from
}

// option splits KEY=VALUE; a word without = is both, as the shell has it.
func option(word string) (key, value string, ok bool) {
	if key, value, ok = strings.Cut(word, "="); !ok {
		value = word
	}
	return key, value, ok
}
