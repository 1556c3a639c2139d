package netapply

import (
	"fmt"
	"strings"

	"imprint/guest/netstate"
)

// resolver writes /etc/resolv.conf. Without a name server it is left as it is.
func (a *Applier) resolver(r Result) error {
	if a.Root == nil || len(r.DNS) == 0 {
		return nil
	}
	if err := a.Root.WriteFile("/etc/resolv.conf", []byte(resolvConf(r)), 0o644); err != nil {
		return fmt.Errorf("set name servers: %w", err)
	}
	return nil
}

// ResolvConf is the content of /etc/resolv.conf as far as the configuration
// alone tells it, without what leases bring; nil if it names no server.
func ResolvConf(s *netstate.State) []byte {
	var r Result
	if r.names(s); len(r.DNS) == 0 {
		return nil
	}
	return []byte(resolvConf(r))
}

// resolvConf is the file as Debian's dhclient-script orders it: the search
// list, which stands for the domain too, then the servers. resolv.conf(5).
func resolvConf(r Result) string {
	var b strings.Builder
	if len(r.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(r.Search, " "))
	}
	for _, a := range r.DNS {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	return b.String()
}
