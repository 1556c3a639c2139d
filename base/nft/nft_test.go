package nft

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/netns"
)

func fresh(t *testing.T) *netns.NS {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	name := fmt.Sprintf("tnf-%d-%s", os.Getpid(), strings.ToLower(t.Name()[4:]))
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
	return ns
}

// stock is what the stock tool shows.
func stock(t *testing.T, ns *netns.NS) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", ns.Name(), "nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		t.Fatalf("nft: %s", out)
	}
	return string(out)
}

func apply(t *testing.T, ns *netns.NS, want Table) bool {
	t.Helper()
	changed, err := Apply(ns, want)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

var (
	mac, _ = net.ParseMAC("fa:16:3e:01:02:03")
	other4 = netip.MustParseAddr("10.0.0.6")
	addr4  = netip.MustParseAddr("10.0.0.5")
	addr6  = netip.MustParseAddr("fe80::a9fe:a9fe")
)

func router() Table {
	return Table{Family: Inet, Name: "imprint-router", Chains: []Chain{
		{Name: "incoming", Hook: Hook{Type: NAT, Point: Prerouting, Priority: -100}, Rules: []Rule{
			NewRule("metadata", InName("qr-*"), Protocol4(), Dest(addr4), TCPDest(80), Counter(), Redirect(9697)),
			NewRule("", InName("qr-12345678-9"), Protocol6(), Dest(addr6), TCPDest(80), Redirect(9697)),
			NewRule("", Protocol4(), Dest(addr4), DestNAT(other4)),
		}},
		{Name: "outgoing", Hook: Hook{Type: NAT, Point: Postrouting, Priority: 100}, Rules: []Rule{
			NewRule("", OutNameNot("qg-1"), NotRedirected(), Accept()),
			NewRule("", Protocol4(), Source(other4), SourceNAT(addr4)),
			NewRule("", OutName("qg-1"), Protocol4(), SourceNAT(addr4)),
			NewRule("", InNameNot("qg-1"), Redirected(), Protocol6(), Fragmented6(), SourceNAT(addr6)),
		}},
		{Name: "input", Hook: Hook{Type: Filter, Point: Input, Drop: true}, Rules: []Rule{
			NewRule("", Established(), Accept()),
			NewRule("", TCPDest(9697), Redirected(), Accept()),
			NewRule("", ICMP(), Accept()),
			NewRule("", ICMPv6(), Accept()),
			NewRule("", UDPDest(53), Counter(), Jump("dns")),
		}},
		{Name: "dns", Rules: []Rule{NewRule("", Protocol4(), Source(addr4), Drop())}},
	}}
}

func bridge() Table {
	return Table{Family: Bridge, Name: "imprint-spoof", Chains: []Chain{
		{Name: "in", Hook: Hook{Type: Filter, Point: Prerouting, Priority: -300, Drop: true}, Rules: []Rule{
			NewRule("", InGroup(7), Accept()),
			NewRule("", InName("tap0"), Jump("tap0")),
		}},
		{Name: "tap0", Rules: []Rule{
			NewRule("mac", EtherSourceNot(mac), Counter(), Drop()),
			NewRule("", EtherType(EtherARP), ARPSender(mac, addr4), Accept()),
			NewRule("", EtherType(EtherIPv4), UDPSource(67), Drop()),
			NewRule("", EtherType(EtherIPv4), Source(addr4), Accept()),
			NewRule("", EtherType(EtherIPv6), ICMPv6Type(RouterAdvertisement), Drop()),
			NewRule("", EtherType(EtherIPv6), ICMPv6Type(NeighborAdvertisement), NeighborTarget(addr6), Accept()),
			NewRule("", EtherType(EtherIPv6), Source(addr6), Accept()),
			NewRule("", EtherType(EtherIPv6), UDP(), LaterFragment6(), Drop()),
			NewRule("", EtherType(EtherIPv6), TCP(), Fragmented6(), Drop()),
		}},
	}}
}

const stockRuleset = `table inet imprint-router {
	chain incoming {
		type nat hook prerouting priority dstnat; policy accept;
		iifname "qr-*" ip daddr 10.0.0.5 tcp dport 80 counter packets 0 bytes 0 redirect to :9697 comment "metadata"
		iifname "qr-12345678-9" ip6 daddr fe80::a9fe:a9fe tcp dport 80 redirect to :9697
		ip daddr 10.0.0.5 dnat ip to 10.0.0.6
	}

	chain outgoing {
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "qg-1" ct status ! dnat accept
		ip saddr 10.0.0.6 snat ip to 10.0.0.5 fully-random
		oifname "qg-1" meta nfproto ipv4 snat ip to 10.0.0.5 fully-random
		iifname != "qg-1" ct status dnat exthdr frag exists snat ip6 to fe80::a9fe:a9fe fully-random
	}

	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		tcp dport 9697 ct status dnat accept
		meta l4proto icmp accept
		meta l4proto ipv6-icmp accept
		udp dport 53 counter packets 0 bytes 0 jump dns
	}

	chain dns {
		ip saddr 10.0.0.5 drop
	}
}
table bridge imprint-spoof {
	chain in {
		type filter hook prerouting priority dstnat; policy drop;
		iifgroup 7 accept
		iifname "tap0" jump tap0
	}

	chain tap0 {
		ether saddr != fa:16:3e:01:02:03 counter packets 0 bytes 0 drop comment "mac"
		arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp saddr ether fa:16:3e:01:02:03 arp saddr ip 10.0.0.5 accept
		ether type ip udp sport 67 drop
		ip saddr 10.0.0.5 accept
		icmpv6 type nd-router-advert drop
		icmpv6 type nd-neighbor-advert @th,64,128 0xfe8000000000000000000000a9fea9fe accept
		ip6 saddr fe80::a9fe:a9fe accept
		meta l4proto udp frag frag-off != 0 drop
		meta l4proto tcp exthdr frag exists drop
	}
}
`

func TestApply(t *testing.T) {
	ns := fresh(t)
	for _, want := range []Table{router(), bridge()} {
		if !apply(t, ns, want) {
			t.Errorf("%s: nothing changed", want.Name)
		}
		if apply(t, ns, want) {
			t.Errorf("%s: a second time changed something", want.Name)
		}
		got, err := Read(ns, want.Family, want.Name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(stockRuleset, stock(t, ns)); diff != "" {
		t.Errorf("nft list ruleset (-want +got):\n%s", diff)
	}
	for _, want := range []Table{router(), bridge(), bridge()} {
		if err := Delete(ns, want.Family, want.Name); err != nil {
			t.Error(err)
		}
	}
	if got := stock(t, ns); got != "" {
		t.Errorf("left over: %s", got)
	}
	if _, err := Read(ns, Inet, "imprint-router"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Read = %v", err)
	}
}

func TestApplyTouchesOnlyTheDifference(t *testing.T) {
	ns := fresh(t)
	apply(t, ns, router())
	run(t, ns, "ip link set lo up")
	// One packet for the dns rule's counter.
	run(t, ns, "bash -c 'echo x > /dev/udp/127.0.0.1/53'")

	edited := router()
	edited.Chains[3] = Chain{Name: "names", Rules: []Rule{NewRule("", Protocol6(), Accept())}}
	rules := edited.Chains[2].Rules
	rules[len(rules)-1] = NewRule("", UDPDest(53), Counter(), Jump("names"))
	edited.Chains[0].Rules = edited.Chains[0].Rules[:1]
	for i, want := range []Table{edited, router(), edited} {
		if !apply(t, ns, want) || apply(t, ns, want) {
			t.Errorf("edit %d: want a change, and only once", i)
		}
		got, err := Read(ns, Inet, want.Name)
		if err != nil || !got.Equal(want) {
			t.Errorf("edit %d: %v\n%s", i, err, cmp.Diff(want, got))
		}
	}
}

func TestCounters(t *testing.T) {
	ns := fresh(t)
	want := router()
	rules := want.Chains[2].Rules
	rules[len(rules)-1] = NewRule("names", UDPDest(53), Counter(), Jump("dns"))
	apply(t, ns, want)
	run(t, ns, "ip link set lo up")
	run(t, ns, "bash -c 'echo x > /dev/udp/127.0.0.1/53'")
	want.Chains[0].Rules = want.Chains[0].Rules[:1]
	apply(t, ns, want) // leaves the input chain alone
	got, err := Read(ns, want.Family, want.Name)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := got.Count("names"); !ok || n != (Count{1, 30}) {
		t.Errorf("counted %+v, %v; want 1 packet of 30 bytes", n, ok)
	}
	if _, ok := got.Count("nothing"); ok {
		t.Error("a rule that does not exist has counted")
	}
}

func TestApplyReplacesWhatOthersChanged(t *testing.T) {
	ns := fresh(t)
	apply(t, ns, router())
	before := stock(t, ns)
	for _, change := range []string{
		"nft flush chain inet imprint-router input",
		"nft add rule inet imprint-router dns meta mark set 5",
		"nft add chain inet imprint-router more { type filter hook forward priority 0\\; }",
		"nft delete rule inet imprint-router incoming handle $(nft -a list chain inet imprint-router incoming | sed -n 's/.*metadata.*handle //p')",
		"nft add rule inet imprint-router dns ip protocol tcp synproxy mss 1460 wscale 9",
		"nft add rule inet imprint-router dns meta mark set jhash ip saddr mod 4",
	} {
		run(t, ns, change)
		if !apply(t, ns, router()) {
			t.Errorf("%s: nothing changed", change)
		}
		if diff := cmp.Diff(before, stock(t, ns)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", change, diff)
		}
	}
}

func TestManyRulesInOneTransaction(t *testing.T) {
	ns := fresh(t)
	want := Table{Family: IPv4, Name: "many"}
	for i := range 300 {
		c := Chain{Name: fmt.Sprintf("c%d", i)}
		for j := range 10 {
			c.Rules = append(c.Rules, NewRule("", Source(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j)})), Counter(), Accept()))
		}
		want.Chains = append(want.Chains, c)
	}
	if !apply(t, ns, want) || apply(t, ns, want) {
		t.Error("want a change, and only once")
	}
}

func run(t *testing.T, ns *netns.NS, script string) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", ns.Name(), "bash", "-c", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}
