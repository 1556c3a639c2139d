package netdev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/netns"
)

// fresh makes a namespace of the test's own, with a handle.
func fresh(t *testing.T, suffix string) (*netns.NS, *Handle) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	name := fmt.Sprintf("tnd-%d-%s%s", os.Getpid(), strings.ToLower(t.Name()[4:]), suffix)
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	h, err := Open(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return ns, h
}

// ip is the stock tool's view, decoded.
func ip(t *testing.T, ns *netns.NS, args ...string) []map[string]any {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"-j", "-n", ns.Name()}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var v []map[string]any
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestVethAndBridge(t *testing.T) {
	a, h := fresh(t, "a")
	b, hb := fresh(t, "b")
	mac, _ := net.ParseMAC("fa:16:3e:01:02:03")
	veth := Veth{Name: "tap0", MTU: 1450, PeerName: "eth0", PeerMAC: mac, PeerNS: b}
	must(t, h.AddVeth(veth))
	must(t, h.AddBridge("br0", 0))
	if err := h.AddVeth(veth); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second AddVeth: %v, want ErrExist", err)
	}
	must(t, hb.Set("eth0", Settings{Name: "ns-1"}))
	for range 2 {
		must(t, h.Set("br0", Settings{Alias: "imprint:network:1", MTU: 1450, Up: true}))
		must(t, h.Set("tap0", Settings{Alias: "imprint:port:1", Group: 7, Master: "br0", Up: true}))
		must(t, hb.Set("ns-1", Settings{Up: true}))
	}

	tap, err := h.Link("tap0")
	must(t, err)
	bridge, err := h.Link("br0")
	must(t, err)
	peer, err := hb.Link("ns-1")
	must(t, err)
	number, err := h.PeerNS(b)
	must(t, err)
	if tap.Master != bridge.Index || tap.Peer != peer.Index || peer.Peer != tap.Index || tap.PeerNS != number || number < 0 {
		t.Errorf("tap %+v, bridge %+v, peer %+v, namespace number %d", tap, bridge, peer, number)
	}
	if peer.MAC.String() != mac.String() || peer.MTU != 1450 || tap.Group != 7 || bridge.Kind != "bridge" || !peer.Up {
		t.Errorf("tap %+v, bridge %+v, peer %+v", tap, bridge, peer)
	}
	stock := ip(t, a, "link", "show", "tap0")[0]
	got := []any{stock["master"], stock["ifalias"], stock["mtu"], stock["group"]}
	if diff := cmp.Diff([]any{"br0", "imprint:port:1", 1450.0, "7"}, got); diff != "" {
		t.Errorf("ip link (-want +got):\n%s", diff)
	}

	must(t, hb.DeleteLink("ns-1"))
	if _, err := h.Link("tap0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the other end is still there: %v", err)
	}
	if err := h.DeleteLink("tap0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("DeleteLink: %v", err)
	}
	links, err := h.Links()
	must(t, err)
	if len(links) != 2 || links[0].Name != "lo" || links[0].Kind != "" {
		t.Errorf("links left: %+v", links)
	}
}

func prefixes(s ...string) (all []netip.Prefix) {
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

func TestSetAddrs(t *testing.T) {
	ns, h := fresh(t, "")
	must(t, h.AddBridge("br0", 0))
	must(t, h.Set("br0", Settings{Up: true}))
	steps := [][]netip.Prefix{
		prefixes("10.0.0.1/24", "10.0.0.2/24", "169.254.169.254/32", "2001:db8::1/64", "fe80::a9fe:a9fe/64"),
		prefixes("10.0.0.2/24", "10.0.0.3/24", "2001:db8::1/64"), // loses the primary address
		prefixes("10.0.0.2/16"),
		nil,
	}
	for _, want := range steps {
		changed, err := h.SetAddrs("br0", want)
		must(t, err)
		if !changed {
			t.Errorf("%v: nothing changed", want)
		}
		before := ip(t, ns, "addr")
		changed, err = h.SetAddrs("br0", want)
		must(t, err)
		if diff := cmp.Diff(before, ip(t, ns, "addr")); diff != "" || changed {
			t.Errorf("%v twice: changed %v\n%s", want, changed, diff)
		}
		got, err := h.Addrs("br0")
		must(t, err)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
	}
}

func TestSetRoutes(t *testing.T) {
	ns, h := fresh(t, "")
	must(t, h.AddBridge("br0", 0))
	must(t, h.Set("br0", Settings{Up: true}))
	_, err := h.SetAddrs("br0", prefixes("10.0.0.1/24", "2001:db8::1/64"))
	must(t, err)
	via := netip.MustParseAddr
	steps := [][]Route{
		{{netip.MustParsePrefix("0.0.0.0/0"), via("10.0.0.254")}, {netip.MustParsePrefix("192.0.2.0/24"), netip.Addr{}}, {netip.MustParsePrefix("2001:db8:1::/48"), via("2001:db8::2")}},
		{{netip.MustParsePrefix("0.0.0.0/0"), via("10.0.0.253")}},
		nil,
	}
	for _, want := range steps {
		changed, err := h.SetRoutes("br0", want)
		must(t, err)
		if !changed {
			t.Errorf("%v: nothing changed", want)
		}
		before := ip(t, ns, "route")
		changed, err = h.SetRoutes("br0", want)
		must(t, err)
		if diff := cmp.Diff(before, ip(t, ns, "route")); diff != "" || changed {
			t.Errorf("%v twice: changed %v\n%s", want, changed, diff)
		}
		got, err := h.Routes("br0")
		must(t, err)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b Route) bool { return a == b })); diff != "" {
			t.Errorf("routes (-want +got):\n%s", diff)
		}
	}
}

func TestLinkLocal(t *testing.T) {
	mac, _ := net.ParseMAC("fa:16:3e:89:0b:5e")
	if got := LinkLocal(mac).String(); got != "fe80::f816:3eff:fe89:b5e" {
		t.Errorf("LinkLocal = %s", got)
	}
	if LinkLocal(nil).IsValid() {
		t.Error("no MAC has an address")
	}
}
