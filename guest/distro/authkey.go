package distro

import (
	"slices"
	"strings"
)

// keyTypes are the key types that sshd takes in an authorized_keys file
// (cloud-init: ssh_util.py VALID_KEY_TYPES, without certificates).
var keyTypes = []string{
	"ssh-rsa", "ssh-dss", "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
	"rsa-sha2-256", "rsa-sha2-512",
}

// authorizedKey is a line of an authorized_keys file (sshd(8)).
type authorizedKey struct {
	options, kind, blob, comment string
}

func (k authorizedKey) String() string {
	var f []string
	for _, s := range []string{k.options, k.kind, k.blob, k.comment} {
		if s != "" {
			f = append(f, s)
		}
	}
	return strings.Join(f, " ")
}

// parseKey reads one line; ok is false for comments and what is no key. Only
// the first line of text counts: a key cannot smuggle in a second one.
func parseKey(text string) (k authorizedKey, ok bool) {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	line = strings.TrimSpace(strings.ReplaceAll(line, "\r", " "))
	if line == "" || line[0] == '#' {
		return k, false
	}
	if k, ok = keyFields(line); ok {
		return k, true
	}
	options, rest := cutOptions(line)
	k, ok = keyFields(rest)
	k.options = options
	return k, ok
}

func keyFields(s string) (authorizedKey, bool) {
	f := strings.Fields(s)
	if len(f) < 2 || !slices.Contains(keyTypes, f[0]) {
		return authorizedKey{}, false
	}
	return authorizedKey{kind: f[0], blob: f[1], comment: strings.Join(f[2:], " ")}, true
}

// cutOptions splits the options, which may hold blanks in double quotes, from
// the rest of a line.
func cutOptions(s string) (options, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && s[i+1] == '"':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t'):
			return s[:i], strings.TrimSpace(s[i:])
		}
	}
	return s, ""
}
