package dhcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Lease is what a client was granted. It is a plain value and survives JSON.
type Lease struct {
	// Interface is the device that it was acquired on.
	Interface string `json:"interface"`
	// Address is the client's address with its subnet's prefix length.
	Address netip.Prefix `json:"address"`
	// ServerID names the server, for renewing.
	ServerID netip.Addr `json:"server_id"`
	// Router is option 3's first address; the zero Addr if there is none.
	// Routes are what counts.
	Router netip.Addr `json:"router"`
	// Routes are the routes to set: option 121 if the server sent it, else
	// 249, else a default route via Router. RFC 3442.
	Routes []Route      `json:"routes,omitempty"`
	DNS    []netip.Addr `json:"dns,omitempty"`
	NTP    []netip.Addr `json:"ntp,omitempty"`
	// Domain, Search and HostName hold only characters of host names: they
	// end up in files of the system.
	Domain   string   `json:"domain,omitempty"`
	Search   []string `json:"search,omitempty"`
	HostName string   `json:"host_name,omitempty"`
	// MTU is zero where the server sent none or one below 576.
	MTU int `json:"mtu,omitempty"`
	// Acquired is when the lease began; the durations count from then.
	Acquired time.Time     `json:"acquired"`
	Lifetime time.Duration `json:"lifetime"`
	Renew    time.Duration `json:"renew"`
	Rebind   time.Duration `json:"rebind"`
}

// ErrRefused is returned when the server says that the lease is not, or no
// longer, valid: the address must be given up and a new one acquired.
var ErrRefused = errors.New("dhcp server refused the lease")

// leastMTU is below what IPv4 asks of every link; dhclient-script ignores it too.
const leastMTU = 576

// newLease reads an ACK. Only address, mask and server must be right; anything
// else that makes no sense is left out, as if it had not been sent.
func newLease(ifname string, ack *dhcpv4.DHCPv4, now time.Time) (Lease, error) {
	addr, ok := address(ack.YourIPAddr)
	if !ok || addr.IsMulticast() || addr.IsLoopback() || addr == broadcast {
		return Lease{}, fmt.Errorf("dhcp lease on %s: %s is no address for a host", ifname, ack.YourIPAddr)
	}
	server, ok := address(ack.ServerIdentifier())
	if !ok {
		return Lease{}, fmt.Errorf("dhcp lease on %s: no server identifier", ifname)
	}
	bits, err := prefixLen(ack.SubnetMask(), addr)
	if err != nil {
		return Lease{}, fmt.Errorf("dhcp lease on %s: %w", ifname, err)
	}
	l := Lease{
		Interface: ifname,
		Address:   netip.PrefixFrom(addr, bits),
		ServerID:  server,
		DNS:       hosts(ack.DNS()),
		NTP:       hosts(ack.NTPServers()),
		Domain:    hostName(ack.DomainName()),
		HostName:  hostName(ack.HostName()),
		Search:    searchList(ack),
		MTU:       mtu(ack),
		Acquired:  now,
	}
	l.times(ack)
	l.route(ack)
	return l, nil
}

func prefixLen(mask net.IPMask, a netip.Addr) (int, error) {
	if mask == nil {
		mask = net.IP(a.AsSlice()).DefaultMask()
	}
	bits, size := mask.Size()
	if size != 32 || bits == 0 {
		return 0, fmt.Errorf("subnet mask %s is not one", mask)
	}
	return bits, nil
}

// times fills in what is missing as RFC 2131 4.4.5 says.
func (l *Lease) times(ack *dhcpv4.DHCPv4) {
	l.Lifetime = ack.IPAddressLeaseTime(DefaultLease)
	l.Renew = ack.IPAddressRenewalTime(l.Lifetime / 2)
	l.Rebind = ack.IPAddressRebindingTime(l.Lifetime / 8 * 7)
	if l.Renew > l.Rebind || l.Rebind > l.Lifetime {
		l.Renew, l.Rebind = l.Lifetime/2, l.Lifetime/8*7
	}
}

func (l *Lease) route(ack *dhcpv4.DHCPv4) {
	if routers := hosts(ack.Router()); len(routers) > 0 {
		l.Router = routers[0]
	}
	for _, code := range []dhcpv4.OptionCode{dhcpv4.OptionClasslessStaticRoute, optionMSRoutes} {
		if routes, ok := decodeRoutes(ack.Options.Get(code)); ok {
			l.Routes = routes
			return
		}
	}
	if l.Router.IsValid() {
		l.Routes = []Route{{To: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: l.Router}}
	}
}

// decodeRoutes reverses encodeRoutes. A value that ends in the middle of a
// route, or has a length over 32, counts as none at all.
func decodeRoutes(b []byte) ([]Route, bool) {
	var routes []Route
	for len(b) > 0 {
		bits := int(b[0])
		n := (bits + 7) / 8
		if bits > 32 || len(b) < 1+n+4 {
			return nil, false
		}
		var to [4]byte
		copy(to[:], b[1:1+n])
		routes = append(routes, Route{
			To:  netip.PrefixFrom(netip.AddrFrom4(to), bits).Masked(),
			Via: netip.AddrFrom4([4]byte(b[1+n : 5+n])),
		})
		b = b[5+n:]
	}
	return routes, len(routes) > 0
}

func hosts(ips []net.IP) []netip.Addr {
	var list []netip.Addr
	for _, ip := range ips {
		if a, ok := address(ip); ok && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

func mtu(ack *dhcpv4.DHCPv4) int {
	v := ack.Options.Get(dhcpv4.OptionInterfaceMTU)
	if len(v) != 2 {
		return 0
	}
	if n := int(v[0])<<8 | int(v[1]); n >= leastMTU {
		return n
	}
	return 0
}

func searchList(ack *dhcpv4.DHCPv4) []string {
	labels := ack.DomainSearch()
	if labels == nil {
		return nil
	}
	var list []string
	for _, s := range labels.Labels {
		if s = hostName(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// hostName gives back s if it can be a host or domain name, else nothing.
func hostName(s string) string {
	if !isName(s) {
		return ""
	}
	return s
}

// maxName is the most bytes that a name takes (RFC 1035, 2.3.4).
const maxName = 254

// isName tells whether s has a name's characters, and begins and ends with
// one that may.
func isName(s string) bool {
	word := func(c byte) bool {
		return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	if s == "" || len(s) > maxName || !word(s[0]) {
		return false
	}
	for i := range len(s) {
		if !word(s[i]) && s[i] != '.' && s[i] != '-' {
			return false
		}
	}
	return s[len(s)-1] != '-'
}
