package compute

import (
	"fmt"
	"strings"
	"unicode"

	"imprint/host/cloud"
)

// maxHostname is dnsmasq's limit, the lowest of all.
const maxHostname = 63

// sanitizeHostname makes a host name of a server's name: characters beyond
// Latin-1 are dropped, then the first 63 kept, blanks, underscores and periods
// become dashes, what is neither letter nor digit goes. Letters such as é stay,
// as in Nova. nova: utils.py sanitize_hostname, 26.2.2.
func sanitizeHostname(name string) string {
	var b strings.Builder
	n := 0
	for _, r := range name {
		if r > unicode.MaxLatin1 {
			continue
		}
		if n++; n > maxHostname {
			break
		}
		switch {
		case r == ' ' || r == '_' || r == '.' || r == '-':
			b.WriteByte('-')
		case unicode.IsLetter(r) || unicode.IsNumber(r):
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return strings.Trim(b.String(), "-")
}

// nameServer sets the name and the host name of server number index (from 0) of
// count that one request makes. nova: compute/api.py _populate_instance_names.
func nameServer(s *cloud.Server, name, hostname string, index, count int) {
	s.Name, s.HostName = name, hostname
	if hostname == "" {
		s.HostName = sanitizeHostname(name)
		switch {
		case s.HostName == "":
			s.HostName = "Server-" + string(s.ServerID)
		case count > 1:
			s.HostName = fmt.Sprintf("%s-%d", s.HostName, index+1)
		}
	}
	if count > 1 {
		s.Name = fmt.Sprintf("%s-%d", name, index+1)
	}
}
