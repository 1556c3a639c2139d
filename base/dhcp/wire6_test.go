package dhcp

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve6 runs our server, and advertise our router, on the wire until the test
// ends.
func serve6(t *testing.T, w wire, n *Network6) <-chan Event {
	t.Helper()
	events := make(chan Event, 64)
	var conn *net.UDPConn
	if err := w.server.Do(func() (err error) { conn, err = OpenServer6("serv"); return }); err != nil {
		t.Fatal(err)
	}
	during(t, func(ctx context.Context) error {
		defer conn.Close()
		return Serve6(ctx, conn, func() *Network6 { return n }, func(e Event) { events <- e }, nil)
	})
	return events
}

// during runs f until the test ends.
func during(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

var routerMAC = MAC{0xfa, 0x16, 0x3e, 0, 0, 0xaa}

// newWire6 is a wire whose ends have settled link-local addresses.
func newWire6(t *testing.T) wire {
	t.Helper()
	w := newWire(t)
	ip(t, w.server, "link set serv down")
	ip(t, w.client, "link set eth0 down")
	w.server.SetSysctl("ipv6/conf/serv/accept_dad", "0")
	w.server.SetSysctl("ipv6/conf/serv/forwarding", "1")
	w.client.SetSysctl("ipv6/conf/eth0/accept_dad", "0")
	w.client.SetSysctl("ipv6/conf/eth0/accept_ra", "1")
	ip(t, w.server, "link set serv address "+routerMAC.String()+" up")
	ip(t, w.server, "addr add 2001:db8::1/64 dev serv nodad")
	ip(t, w.client, "link set eth0 up")
	shows(t, w, "ip -6 addr show eth0", "fe80::f816:3eff:fe00:1/64")
	return w
}

func advertise(t *testing.T, w wire, a *Advertisement) {
	t.Helper()
	var conn *net.IPConn
	if err := w.server.Do(func() (err error) { conn, err = OpenAdvertiser("serv"); return }); err != nil {
		t.Fatal(err)
	}
	during(t, func(ctx context.Context) error {
		defer conn.Close()
		return Advertise(ctx, conn, func() *Advertisement { return a }, nil)
	})
}

// shows waits until a command in the client's namespace prints want.
func shows(t *testing.T, w wire, command, want string) {
	t.Helper()
	var out []byte
	for began := time.Now(); time.Since(began) < 20*time.Second; {
		out, _ = exec.Command("ip", append([]string{"netns", "exec", w.client.Name()}, strings.Fields(command)...)...).CombinedOutput()
		if strings.Contains(string(out), want) {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("%s never shows %q:\n%s", command, want, out)
}

// TestKernelMakesItsAddress: the kernel takes our advertisement for SLAAC, MTU
// and default route; the router's other link-local address is not used.
func TestKernelMakesItsAddress(t *testing.T) {
	w := newWire6(t)
	ip(t, w.server, "addr add fe80::a9fe:a9fe/64 dev serv nodad")
	advertise(t, w, &Advertisement{MAC: routerMAC, MTU: 1450, DNS: []netip.Addr{netip.MustParseAddr("2001:db8::2")},
		Prefixes: []AdvertisedPrefix{{netip.MustParsePrefix("2001:db8::/64"), true}, {netip.MustParsePrefix("2001:db8:1::/64"), false}}})
	// The client solicits anew when its link comes up.
	ip(t, w.client, "link set eth0 down")
	ip(t, w.client, "link set eth0 up")
	shows(t, w, "ip -6 addr show eth0", "2001:db8::f816:3eff:fe00:1/64")
	shows(t, w, "ip -6 route", "default via fe80::f816:3eff:fe00:aa dev eth0 proto ra")
	shows(t, w, "ip -6 route", "2001:db8:1::/64 dev eth0")
	shows(t, w, "cat /proc/sys/net/ipv6/conf/eth0/mtu", "1450")
	out, err := exec.Command("ip", "-n", w.client.Name(), "-6", "addr").Output()
	if err != nil || strings.Contains(string(out), "2001:db8:1:") {
		t.Errorf("an address of the prefix that is not for that: %v\n%s", err, out)
	}
}

func TestServer6WithDhclient(t *testing.T) {
	w := newWire6(t)
	events := serve6(t, w, testNetwork6(true))
	env := bound(t, w, "BOUND6", "dhclient", "-6", "-1", "-d", "-sf", "SCRIPT", "-cf", "/etc/dhcp/dhclient.conf", "-lf", "DIR/leases", "-pf", "DIR/pid", "eth0")
	check(t, env, map[string]string{"new_ip6_address": "2001:db8::5", "new_dhcp6_name_servers": "2001:db8::2", "new_dhcp6_domain_search": "openstacklocal."})
	if got := kinds(t, events, 2); got[0] != Offered || got[1] != Acked {
		t.Errorf("got %q", got)
	}
}

func TestServer6StatelessWithDhclient(t *testing.T) {
	w := newWire6(t)
	events := serve6(t, w, testNetwork6(false))
	env := bound(t, w, "RENEW6", "dhclient", "-6", "-S", "-1", "-d", "-sf", "SCRIPT", "-cf", "/etc/dhcp/dhclient.conf", "-lf", "DIR/leases", "-pf", "DIR/pid", "eth0")
	check(t, env, map[string]string{"new_dhcp6_name_servers": "2001:db8::2"})
	if got := kinds(t, events, 1); got[0] != Informed {
		t.Errorf("got %q", got)
	}
}

// TestDhcpcd has one client for everything: DHCPv4, advertisement, DHCPv6.
func TestDhcpcd(t *testing.T) {
	w := newWire6(t)
	serve(t, w, testNetwork())
	serve6(t, w, testNetwork6(true))
	advertise(t, w, &Advertisement{MAC: routerMAC, Managed: true, Prefixes: []AdvertisedPrefix{{netip.MustParsePrefix("2001:db8::/64"), false}}})
	// Its default address is not made of the MAC, and would not pass a port.
	const private = "mkdir -p /var/lib/dhcpcd /run/dhcpcd && mount -t tmpfs none /var/lib/dhcpcd && mount -t tmpfs none /run/dhcpcd && exec dhcpcd \"$@\""
	if _, err := exec.LookPath("dhcpcd"); err != nil {
		t.Skip("dhcpcd is not installed")
	}
	env := bound(t, w, "BOUND6", "unshare", "-m", "sh", "-c", private, "dhcpcd", "-B", "-C", "resolv.conf", "-C", "hostname", "-c", "SCRIPT", "-f", conf(t, "slaac hwaddr\nnoipv4ll\nipv6ra_autoconf\nipv6rs\nia_na\nnoarp\noption classless_static_routes\n"), "eth0")
	check(t, env, map[string]string{"new_dhcp6_ia_na1_ia_addr1": "2001:db8::5"})
	shows(t, w, "ip addr show eth0", "17.17.17.5/24")
	shows(t, w, "ip addr show eth0", "2001:db8::5/128")
	shows(t, w, "ip route", "169.254.169.254 via 17.17.17.1")
	shows(t, w, "ip -6 route", "default via fe80::f816:3eff:fe00:aa")
}

// conf writes a configuration file.
func conf(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "conf")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestNetworkd has systemd's own client: DHCPv4, and DHCPv6 because the
// advertisement says so.
func TestNetworkd(t *testing.T) {
	const networkd = "/lib/systemd/systemd-networkd"
	if _, err := os.Stat(networkd); err != nil {
		t.Skip("systemd-networkd is not installed")
	}
	w := newWire6(t)
	events := serve(t, w, testNetwork())
	serve6(t, w, testNetwork6(true))
	advertise(t, w, &Advertisement{MAC: routerMAC, Managed: true, Prefixes: []AdvertisedPrefix{{netip.MustParsePrefix("2001:db8::/64"), false}}})
	// Without udev behind a writable /sys it would wait for that.
	const script = `mount -t tmpfs none /run && mkdir -p /run/systemd/network /run/systemd/netif && mount -o remount,ro /sys
		printf '[Match]\nName=eth0\n[Network]\nDHCP=yes\n' > /run/systemd/network/eth0.network
		SYSTEMD_LOG_TARGET=console exec ` + networkd
	start(t, w.client, "unshare", "-m", "sh", "-c", script)
	shows(t, w, "ip addr show eth0", "17.17.17.5/24")
	shows(t, w, "ip addr show eth0", "2001:db8::5/128")
	shows(t, w, "ip route", "169.254.169.254 via 17.17.17.1")
	shows(t, w, "ip -6 route", "default via fe80::f816:3eff:fe00:aa")
	if got := kinds(t, events, 2); got[0] != Offered || got[1] != Acked {
		t.Errorf("got %q", got)
	}
}
