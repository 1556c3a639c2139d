package metadataagent

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"imprint/host/cloud"
)

// query is what the proxy says of a request: the address it came from, and the
// one router or network that it came through.
type query struct {
	router  cloud.RouterID  // "" for the DHCP way
	network cloud.NetworkID // "" for the router way
	addr    netip.Addr      // neither mapped nor zoned
}

// parseQuery reads the proxy's headers. Anything but exactly one id is
// refused. Of several addresses the last counts: it is the one that the
// nearest hop added.
func parseQuery(h http.Header) (query, *refusal) {
	routers, networks := h.Values(cloud.HeaderRouterID), h.Values(cloud.HeaderNetworkID)
	if len(routers)+len(networks) != 1 {
		return query{}, badRequest("The request must carry one router id or one network id.")
	}
	addr, ok := lastAddr(h.Values(cloud.HeaderForwardedFor))
	if !ok {
		return query{}, badRequest("The request must carry the address of its sender.")
	}
	if len(routers) == 1 {
		return query{router: cloud.RouterID(routers[0]), addr: addr}, nil
	}
	return query{network: cloud.NetworkID(networks[0]), addr: addr}, nil
}

// linkLocal reports whether the sender is known by its hardware address only.
func (q query) linkLocal() bool { return q.addr.Is6() && q.addr.IsLinkLocalUnicast() }

func lastAddr(values []string) (netip.Addr, bool) {
	if len(values) == 0 {
		return netip.Addr{}, false
	}
	last := values[len(values)-1]
	last = last[strings.LastIndexByte(last, ',')+1:]
	addr, err := netip.ParseAddr(strings.TrimSpace(last))
	return addr.Unmap().WithZone(""), err == nil
}

// eui64 returns the hardware address that a link-local address was formed of;
// the bit for "universal" is inverted there. RFC 4291 2.5.1 and appendix A.
func eui64(a netip.Addr) (cloud.MAC, bool) {
	b := a.As16()
	if b[11] != 0xff || b[12] != 0xfe || [6]byte(b[2:8]) != [6]byte{} {
		return "", false
	}
	mac := net.HardwareAddr{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}
	return cloud.MAC(mac.String()), true
}
