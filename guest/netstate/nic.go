package netstate

import (
	"slices"
	"strconv"
	"strings"
)

// NIC is an interface that the system has, as far as choosing one matters.
type NIC struct {
	Name string
	MAC  string // lower case, colons; "" if it has none
	Kind string // the kernel's: "" for hardware and lo, veth, bridge, bond, vlan …
	// Carrier is true where the other end is known to be there; the carrier of
	// a NIC that is down is not known.
	Carrier bool
	// Dead NICs can not be brought up (operational state notpresent, testing).
	Dead bool
}

// Fallback is the configuration where nobody configured anything: DHCPv4 on the
// NIC most likely connected. It is nil without a NIC that could be.
// cloud-init 22.4: net/__init__.py, generate_fallback_config.
func Fallback(nics []NIC) *State {
	nic, ok := FallbackNIC(nics)
	if !ok {
		return nil
	}
	return &State{Links: []Link{{
		Name: nic.Name, Type: Physical, MAC: nic.MAC,
		Subnets: []Subnet{{Method: DHCP4}},
	}}}
}

// FallbackNIC chooses as cloud-init 22.4 does (net/__init__.py,
// find_candidate_nics_on_linux): no lo, no bridge, no bond, nothing without a
// hardware address, nothing called veth… (that is a host's end; a container's
// own end has another name); connected ones first, eth0 before others, and
// then in natural order.
func FallbackNIC(nics []NIC) (NIC, bool) {
	var candidates []NIC
	for _, n := range nics {
		if n.Name == "lo" || n.MAC == "" || strings.HasPrefix(n.Name, "veth") || n.Kind == "bridge" || n.Kind == "bond" || n.Dead {
			continue
		}
		candidates = append(candidates, n)
	}
	if len(candidates) == 0 {
		return NIC{}, false
	}
	return slices.MinFunc(candidates, compareNICs), true
}

func compareNICs(a, b NIC) int {
	if c := compareBool(a.Carrier, b.Carrier); c != 0 {
		return c
	}
	if c := compareBool(a.Name == "eth0", b.Name == "eth0"); c != 0 {
		return c
	}
	return slices.CompareFunc(natural(a.Name), natural(b.Name), comparePart)
}

// compareBool puts true before false.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// natural splits a name into digits and the rest, in turn.
func natural(s string) []string {
	var parts []string
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	for from, i := 0, 1; i <= len(s); i++ {
		if i == len(s) || digit(s[i]) != digit(s[i-1]) {
			parts = append(parts, strings.ToLower(s[from:i]))
			from = i
		}
	}
	return parts
}

func comparePart(a, b string) int {
	x, errA := strconv.ParseUint(a, 10, 64)
	y, errB := strconv.ParseUint(b, 10, 64)
	if errA == nil && errB == nil && x != y {
		if x < y {
			return -1
		}
		return 1
	}
	return strings.Compare(a, b)
}

// byMAC finds the NIC that network_data means: not one that borrows another's
// address, as bridges, bonds and VLANs do.
// cloud-init 22.4: net/__init__.py, get_interfaces.
func byMAC(nics []NIC, mac string) (NIC, bool) {
	for _, n := range nics {
		if n.MAC == mac && n.Kind != "bridge" && n.Kind != "bond" && n.Kind != "vlan" {
			return n, true
		}
	}
	return NIC{}, false
}
