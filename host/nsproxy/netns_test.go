package nsproxy

import (
	"bufio"
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
)

// wired are two namespaces with a wire between them: a service's, with link
// ns-x, and an instance's with eth0.
type wired struct{ service, instance *netns.NS }

func newWired(t *testing.T, service, instance []string) wired {
	t.Helper()
	make := func(name string) *netns.NS {
		name = fmt.Sprintf("nsproxy-%s-%d", name, os.Getpid())
		ns, err := netns.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netns.Delete(name); ns.Close() })
		if err := ns.SetSysctl("ipv6/conf/default/accept_dad", "0"); err != nil { // its addresses are usable at once
			t.Fatal(err)
		}
		return ns
	}
	w := wired{make("service"), make("instance")}
	mac, err := net.ParseMAC("fa:16:3e:00:00:05")
	if err != nil {
		t.Fatal(err)
	}
	h, err := netdev.Open(w.service)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.AddVeth(netdev.Veth{Name: "ns-x", PeerName: "eth0", PeerMAC: mac, PeerNS: w.instance}); err != nil {
		t.Fatal(err)
	}
	setUp(t, w.instance, "eth0", instance)
	setUp(t, w.service, "ns-x", service)
	return w
}

func setUp(t *testing.T, ns *netns.NS, link string, addrs []string) {
	t.Helper()
	h, err := netdev.Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	var want []netip.Prefix
	for _, a := range addrs {
		want = append(want, netip.MustParsePrefix(a))
	}
	if err := h.Set(link, netdev.Settings{Up: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SetAddrs(link, want); err != nil {
		t.Fatal(err)
	}
}

// TestInNamespaces: as in a router's namespace, one socket takes both
// families; as in a network's, each metadata address has one. The instance is
// known by the address that it asks from.
func TestInNamespaces(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	const linkLocal = "fe80::f816:3eff:fe00:5"
	w := newWired(t,
		[]string{"10.0.0.1/24", "2001:db8::1/64", "169.254.169.254/16", "fe80::a9fe:a9fe/64"},
		[]string{"10.0.0.5/24", "2001:db8::5/64", "169.254.1.5/16", linkLocal + "/64"})
	var way, from string
	r := newRig(t, DefaultLimits(), func(_ http.ResponseWriter, req *http.Request) {
		way = req.Header.Get(cloud.HeaderRouterID) + req.Header.Get(cloud.HeaderNetworkID)
		from = req.Header.Get(cloud.HeaderForwardedFor)
	})
	for key, addresses := range map[string][]string{
		routerKey: {"[::]:9697"}, networkKey: {"169.254.169.254:80", "[fe80::a9fe:a9fe%ns-x]:80"},
	} {
		var files []*os.File
		for _, a := range addresses {
			l, err := w.service.ListenTCP(t.Context(), "tcp", netip.MustParseAddrPort(a))
			if err != nil {
				t.Fatal(err)
			}
			more, err := daemon.Files(l)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, more...)
		}
		if err := r.proxy.Put(daemon.Item{Key: key}, files); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ to, key, from string }{
		{"10.0.0.1:9697", routerKey, "10.0.0.5"},
		{"[2001:db8::1]:9697", routerKey, "2001:db8::5"},
		{"[fe80::a9fe:a9fe%eth0]:9697", routerKey, linkLocal},
		{"169.254.169.254:80", networkKey, "169.254.1.5"},
		{"[fe80::a9fe:a9fe%eth0]:80", networkKey, linkLocal},
	} {
		way, from = "", ""
		res := askFrom(t, w.instance, c.to)
		if res.StatusCode != 200 || way != c.key[len(c.key)-36:] || from != c.from {
			t.Errorf("%s: %d by %q from %q", c.to, res.StatusCode, way, from)
		}
	}
}

func askFrom(t *testing.T, ns *netns.NS, address string) *http.Response {
	t.Helper()
	var c net.Conn
	err := ns.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", address, 10*time.Second)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, get)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return res
}
