package metadataagent

import (
	"net/http"
	"net/netip"
	"strings"

	"imprint/host/cloud"
)

// query is what the proxy says of a request.
type query struct {
	cloud.Sender
	forwarded string // Addr as the proxy spelled it
}

// parseQuery reads the proxy's headers. Anything but exactly one id of exactly
// one kind is refused. Of several addresses the last counts: it is the one
// that the nearest hop added.
func parseQuery(h http.Header) (query, *refusal) {
	ids := neutronIDs(h)
	routers, networks := h.Values(cloud.HeaderRouterID), h.Values(cloud.HeaderNetworkID)
	if ids > 1 {
		return query{}, severalIDs()
	}
	if len(routers)+len(networks) != 1 {
		return query{}, badRequest("The request must carry one router id or one network id.")
	}
	if !cloud.IsUUID(append(routers, networks...)[0]) {
		return query{}, badRequest("The router id or network id is malformed.")
	}
	q, ok := lastAddr(h.Values(cloud.HeaderForwardedFor))
	if !ok {
		return query{}, badRequest("The request must carry the address of its sender.")
	}
	if len(routers) == 1 {
		q.Router = cloud.RouterID(routers[0])
		return q, nil
	}
	q.Network = cloud.NetworkID(networks[0])
	return q, nil
}

// neutronIDs counts what some hop might take for a router's or network's id:
// X-Neutron-*-ID in any spelling. haproxy deletes names with dashes only.
func neutronIDs(h http.Header) int {
	n := 0
	for name, values := range h {
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if strings.HasPrefix(plain, "x-neutron-") && strings.HasSuffix(plain, "-id") {
			n += len(values)
		}
	}
	return n
}

func lastAddr(values []string) (query, bool) {
	if len(values) == 0 {
		return query{}, false
	}
	last := values[len(values)-1]
	last = strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
	addr, err := netip.ParseAddr(last)
	if addr.Zone() != "" {
		addr = addr.WithZone("")
		last = addr.String()
	}
	return query{Sender: cloud.Sender{Addr: addr.Unmap()}, forwarded: last}, err == nil
}
