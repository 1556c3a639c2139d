package datasource

import (
	"net/url"
	"path"
	"strings"

	"imprint/guest/netstate"
)

// linkLocal is OpenStack's metadata address for instances without IPv4; it needs
// the NIC's name. Neutron serves it (neutron_lib METADATA_V6_IP); newer cloud-inits
// ask there as well (sources/DataSourceOpenStack.py, DEF_MD_URLS), 22.4 does not.
const linkLocal = "http://[fe80::a9fe:a9fe%25"

// linkLocalURL is that address over the NIC that would be configured first; ""
// without one.
func (e Env) linkLocalURL() string {
	nic := e.Interface
	if nic == "" {
		nic = firstNIC(e.Root)
	}
	if nic == "" {
		return ""
	}
	u := linkLocal + url.PathEscape(nic) + "]"
	if _, err := url.Parse(u); err != nil {
		return ""
	}
	return u
}

// firstNIC chooses from /sys/class/net as [netstate.FallbackNIC] does.
func firstNIC(root Files) string {
	const dir = "/sys/class/net"
	if root == nil {
		return ""
	}
	value := func(nic, file string) string {
		b, err := root.ReadFile(path.Join(dir, nic, file))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	}
	is := func(nic, kind string) bool {
		entries, err := root.ReadDir(path.Join(dir, nic, kind))
		return err == nil && len(entries) > 0
	}
	entries, _ := root.ReadDir(dir)
	var nics []netstate.NIC
	for _, e := range entries {
		n := netstate.NIC{Name: e.Name(), MAC: value(e.Name(), "address"), Carrier: value(e.Name(), "carrier") == "1"}
		for _, kind := range []string{"bridge", "bonding"} {
			if is(n.Name, kind) {
				n.Kind = map[string]string{"bridge": "bridge", "bonding": "bond"}[kind]
			}
		}
		nics = append(nics, n)
	}
	nic, _ := netstate.FallbackNIC(nics)
	return nic.Name
}
