package userdata

import (
	"bytes"
	"strings"
	"unicode"
)

// first is how a body may begin, and the type that this makes it; longer ones
// before their prefixes. The last three are for MIME parts, which name the
// type themselves; cloud-init lists them all the same.
var first = []struct{ text, contentType string }{
	{"text/x-shellscript-per-instance", TypeScriptPerInst},
	{"text/x-shellscript-per-boot", TypeScriptPerBoot},
	{"text/x-shellscript-per-once", TypeScriptPerOnce},
	{"#cloud-config-archive", TypeArchive},
	{"#cloud-config-jsonp", TypeCloudConfigJSONP},
	{"## template: jinja", TypeJinja},
	{"#cloud-boothook", TypeBoothook},
	{"#include-once", TypeIncludeOnce},
	{"#cloud-config", TypeCloudConfig},
	{"#part-handler", TypePartHandler},
	{"#include", TypeInclude},
	{"#!", TypeScript},
}

// TypeOf is the content type that the beginning of body announces, in any
// case and after any blanks, or "" (handlers/__init__.py
// type_from_starts_with, 22.4). A byte order mark is no blank.
func TypeOf(body []byte) string {
	body = bytes.TrimLeftFunc(body, blank)
	for _, f := range first {
		if len(body) >= len(f.text) && strings.EqualFold(string(body[:len(f.text)]), f.text) {
			return f.contentType
		}
	}
	return ""
}

// blank is Python's str.isspace.
func blank(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// handled tells whether one of cloud-init's own handlers takes the type.
func handled(contentType string) bool {
	switch contentType {
	case TypeCloudConfig, TypeCloudConfigJSONP, TypeScript, TypeScriptPerBoot, TypeScriptPerOnce,
		TypeScriptPerInst, TypeBoothook, TypePartHandler, TypeJinja:
		return true
	}
	return false
}

// compressed are the types whose body is decompressed first (user_data.py
// DECOMP_TYPES, 22.4).
func compressed(contentType string) bool {
	switch contentType {
	case "application/gzip", "application/gzip-compressed", "application/gzipped", "application/x-compress",
		"application/x-compressed", "application/x-gunzip", "application/x-gzip", "application/x-gzip-compressed":
		return true
	}
	return false
}

// CleanFilename is name as cloud-init uses it on disk (cloudinit/util.py
// clean_filename, 22.4): slashes become "_", and what is no ASCII letter,
// digit or one of "_-.()" goes. Departure: it never is "", "." or "..", where
// cloud-init fails, but "part", and at most 200 bytes long.
func CleanFilename(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '/':
			return '_'
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("_-.()", r):
			return r
		}
		return -1
	}, name)
	name = name[:min(len(name), 200)]
	if strings.Trim(name, ".") == "" && len(name) < 3 {
		return "part"
	}
	return name
}
