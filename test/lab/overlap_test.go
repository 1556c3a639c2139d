package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"imprint/base/daemon"
	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
	"imprint/host/metadataagent"
)

// tenant is a network behind a router, with one instance, all in namespaces.
type tenant struct {
	name     string
	router   cloud.RouterID
	network  cloud.NetworkID
	server   cloud.ServerID
	instance *netns.NS
}

// Every tenant has the same addresses, the hardware address too.
const (
	overlapGateway = "10.0.0.1/24"
	overlapAddr    = "10.0.0.5/24"
	overlapMAC     = "fa:16:3e:00:00:05"
	overlapRouter  = "fe80::1/64"
)

func newTenant(n int) *tenant {
	id := func(kind int) string { return fmt.Sprintf("%08d-0000-4000-8000-%012d", n, kind) }
	return &tenant{name: fmt.Sprint("t", n), router: cloud.RouterID(id(1)), network: cloud.NetworkID(id(2)), server: cloud.ServerID(id(3))}
}

// put adds the tenant's records.
func (t *tenant) put(m *cloud.Model) {
	put := func(r cloud.Record) { m.Apply(cloud.Change{Record: r}) }
	subnet := cloud.SubnetID("s-" + t.network)
	port := func(id, addr, mac, owner, device string) cloud.PortID {
		put(&cloud.Port{
			PortID: cloud.PortID(id), NetworkID: t.network, ProjectID: cloud.ProjectID(t.name), DeviceOwner: owner, DeviceID: device, Host: hopNode,
			MAC: cloud.MAC(mac), FixedIPs: []cloud.FixedIP{{SubnetID: subnet, Addr: netip.MustParsePrefix(addr).Addr()}},
		})
		return cloud.PortID(id)
	}
	put(&cloud.Network{NetworkID: t.network})
	put(&cloud.Subnet{SubnetID: subnet, NetworkID: t.network, CIDR: netip.MustParsePrefix(overlapGateway).Masked()})
	put(&cloud.Router{RouterID: t.router})
	vm := port("vm-"+t.name, overlapAddr, overlapMAC, cloud.OwnerComputePrefix+"nova", string(t.server))
	port("leg-"+t.name, overlapGateway, "fa:16:3e:00:00:01", cloud.OwnerRouterInterface, string(t.router))
	put(&cloud.Server{ServerID: t.server, ProjectID: cloud.ProjectID(t.name), Name: t.name, HostName: t.name, Ports: []cloud.PortID{vm}})
}

// plug makes the tenant's namespaces, and has the proxy listen in the router's.
func (t *tenant) plug(test *testing.T, h *hops) {
	test.Helper()
	must := func(err error) {
		test.Helper()
		if err != nil {
			test.Fatal(err)
		}
	}
	make := func(name string) *netns.NS {
		name = fmt.Sprintf("overlap-%s-%s-%d", t.name, name, os.Getpid())
		ns, err := netns.Create(name)
		must(err)
		test.Cleanup(func() { netns.Delete(name); ns.Close() })
		must(ns.SetSysctl("ipv6/conf/default/accept_dad", "0")) // its addresses are usable at once
		return ns
	}
	router := make("router")
	t.instance = make("instance")
	mac, err := net.ParseMAC(overlapMAC)
	must(err)
	address := func(ns *netns.NS, link string, addrs ...string) {
		nl, err := netdev.Open(ns)
		must(err)
		defer nl.Close()
		if ns == router {
			must(nl.AddVeth(netdev.Veth{Name: link, PeerName: "eth0", PeerMAC: mac, PeerNS: t.instance}))
		}
		must(nl.Set(link, netdev.Settings{Up: true}))
		var want []netip.Prefix
		for _, a := range addrs {
			want = append(want, netip.MustParsePrefix(a))
		}
		_, err = nl.SetAddrs(link, want)
		must(err)
	}
	address(router, "qr-0", overlapGateway, overlapRouter)
	address(t.instance, "eth0", overlapAddr)
	l, err := router.ListenTCP(test.Context(), "tcp", netip.AddrPortFrom(netip.IPv6Unspecified(), 9697))
	must(err)
	files, err := daemon.Files(l)
	must(err)
	must(h.proxy.Put(daemon.Item{Key: "router/" + string(t.router)}, files))
}

// TestTenantsThatOverlap: instances of different tenants with the same
// addresses, down to the hardware address, each get their own documents, over
// the kernel's own paths.
func TestTenantsThatOverlap(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	m := cloud.NewModel()
	m.Apply(cloud.Change{Record: &cloud.Node{Name: hopNode, Network: true}})
	tenants := []*tenant{newTenant(1), newTenant(2), newTenant(3)}
	for _, one := range tenants {
		one.put(m)
	}
	h := startHopsFor(t, m, metadataagent.Limits{})
	for _, one := range tenants {
		one.plug(t, h)
	}
	for _, one := range tenants {
		for _, to := range []string{"10.0.0.1:9697", "[fe80::1%eth0]:9697"} {
			transport := &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, _, _ string) (c net.Conn, err error) {
				err = one.instance.Do(func() (err error) {
					c, err = net.DialTimeout("tcp", to, 10*time.Second)
					return err
				})
				return c, err
			}}
			req, err := http.NewRequest("GET", "http://169.254.169.254/latest/meta-data/hostname", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			res.Body.Close()
			if string(body) != one.name+".novalocal" {
				t.Errorf("%s over %s: %d %q", one.name, to, res.StatusCode, body)
			}
		}
	}
}
