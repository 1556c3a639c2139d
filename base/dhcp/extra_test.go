package dhcp

import (
	"encoding/hex"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

// extras are port options in Neutron's words; dnsmasq's file is made of them.
var extras = [][2]string{
	{"bootfile-name", "pxelinux.0"}, {"tftp-server", "192.0.2.8"}, {"server-ip-address", "192.0.2.9"}, {"150", "192.0.2.10"},
	{"ntp-server", "192.0.2.11,192.0.2.12"}, {"domain-search", "a.example,b.test"}, {"42", "192.0.2.13"}, {"router", ""},
	{"time-offset", "-3600"}, {"default-ttl", "64"}, {"224", "12"}, {"225", "70000"}, {"226", "01:ab:ff"}, {"227", "some text"},
	{"dns-server", "192.0.2.14"}, {"tag:ipxe,228", "for ipxe"}, {"tag:!ipxe,229", "for others"}, {"domain-name", "other.example"},
}

func withExtras(t *testing.T, n *Network, options [][2]string) {
	h := n.Hosts[testMAC]
	for _, e := range options {
		o, err := ParseOption(e[0], e[1])
		if err != nil {
			t.Fatal(err)
		}
		h.Options = append(h.Options, o)
	}
	n.Hosts[testMAC] = h
}

// TestExtraOptionsAsDnsmasq sends the same DISCOVERs to dnsmasq, which has the
// options in a file as Neutron writes it, and compares whole offers.
func TestExtraOptionsAsDnsmasq(t *testing.T) {
	w := newWire(t)
	dir := t.TempDir()
	file := "tag:subnet-1,option:router,17.17.17.1\ntag:subnet-1,option:dns-server,192.0.2.53\n" +
		"tag:subnet-1,option:classless-static-route,169.254.169.254/32,17.17.17.1,0.0.0.0/0,17.17.17.1\n" +
		"tag:subnet-1,249,169.254.169.254/32,17.17.17.1,0.0.0.0/0,17.17.17.1\n"
	options := slices.Clone(extras)
	// dnsmasq takes one of two options with the same number by chance.
	options = slices.DeleteFunc(options, func(e [2]string) bool { return e[0] == "42" })
	for _, e := range options {
		name, tag := e[0], ""
		if t, rest, ok := cutTag(name); ok {
			name, tag = rest, t+","
		}
		if _, named := names4[name]; named {
			name = "option:" + name
		}
		line := "tag:port-1," + tag + name
		if e[1] != "" {
			line += "," + e[1]
		}
		file += line + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "opts"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	start(t, w.server, "dnsmasq", "--keep-in-foreground", "--log-facility=-", "--port=0", "--conf-file=/dev/null", "--user=root",
		"--pid-file=", "--interface=serv", "--except-interface=lo", "--bind-dynamic", "--domain=openstacklocal",
		"--dhcp-leasefile="+filepath.Join(dir, "leases"), "--no-resolv", "--no-hosts", "--no-ping", "--dhcp-match=set:ipxe,175",
		"--dhcp-range=set:subnet-1,17.17.17.0,static,255.255.255.0,86400s", "--dhcp-optsfile="+filepath.Join(dir, "opts"),
		"--dhcp-host="+testMAC.String()+",set:port-1,host-17-17-17-5,17.17.17.5", "--dhcp-option-force=option:mtu,1450")
	n := testNetwork()
	withExtras(t, n, options)
	all := dhcpv4.WithRequestedOptions()
	for c := uint8(1); c < 255; c++ {
		all = both(all, dhcpv4.WithRequestedOptions(dhcpv4.GenericOptionCode(c)))
	}
	few := dhcpv4.WithRequestedOptions(dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionClasslessStaticRoute)
	large := dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1500))
	for name, mod := range map[string]dhcpv4.Modifier{
		"everything asked": both(all, large), "little asked": both(few, large),
		"iPXE": both(both(all, large), dhcpv4.WithOption(dhcpv4.OptGeneric(optionIPXE, []byte{1}))),
	} {
		t.Run(name, func(t *testing.T) {
			packet := message(t, dhcpv4.MessageTypeDiscover, mod)
			theirs := offer(t, w, packet)
			ours, _, _, err := n.Reply(packet, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(raw(theirs), raw(ours)); d != "" {
				t.Errorf("options (-dnsmasq +ours):\n%s", d)
			}
			for field, at := range map[string][2]int{"siaddr": {20, 24}, "sname": {44, 108}, "file": {108, 236}} {
				if a, b := string(theirs[at[0]:at[1]]), string(ours[at[0]:at[1]]); a != b {
					t.Errorf("%s: dnsmasq %q, ours %q", field, a, b)
				}
			}
		})
	}
}

func cutTag(name string) (tag, rest string, ok bool) {
	for _, tag := range []string{"tag:ipxe", "tag:!ipxe"} {
		if len(name) > len(tag) && name[:len(tag)] == tag {
			return tag, name[len(tag)+1:], true
		}
	}
	return "", name, false
}

// offer repeats packet until somebody answers it.
func offer(t *testing.T, w wire, packet []byte) []byte {
	t.Helper()
	var l link
	err := w.client.Do(func() error {
		ifi, err := net.InterfaceByName("eth0")
		if err == nil {
			l, err = openRaw(ifi)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	buf := make([]byte, 2048)
	for range 100 {
		l.Send(padded(slices.Clone(packet)))
		l.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if b, err := l.Receive(buf); err == nil && len(b) > 240 && string(b[4:8]) == string(packet[4:8]) {
			return b
		}
	}
	t.Fatal("no offer")
	return nil
}

// raw lists options as "code value".
func raw(p []byte) (list []string) {
	for b := p[240:]; len(b) > 2 && b[0] != 255; {
		v := b[2 : 2+b[1]]
		list = append(list, hex.EncodeToString(b[:1])+" "+hex.EncodeToString(v))
		b = b[2+len(v):]
	}
	return list
}

func TestParseOptionRefuses(t *testing.T) {
	for _, c := range [][2]string{
		{"no-such-option", "1"}, {"", "1"}, {"bootfile-name", "a\nb"}, {"bootfile-name", "a\x00"}, {"boot\x1bfile-name", "a"}, {"message-type", "1"},
		{"53", "1"}, {"54", "192.0.2.1"}, {"51", "5"}, {"255", "x"}, {"0", "x"}, {"99999", "x"}, {"mtu", "70000"}, {"mtu", "x"}, {"router", "x"},
		{"router", "2001:db8::1"}, {"ntp-server", "192.0.2.1,x"}, {"domain-search", "a..b"}, {"classless-static-route", "10.0.0.0/8"},
		{"classless-static-route", "10.0.0.0/8,x"}, {"tag:other,67", "x"}, {"mtu\n", "1"}, {"-1", "x"},
	} {
		if o, err := ParseOption(c[0], c[1]); err == nil {
			t.Errorf("%q = %q: taken as %v", c[0], c[1], o)
		}
	}
	if _, err := ParseOption("225", string(make([]byte, 2000))); err == nil {
		t.Error("2000 zero bytes are taken")
	}
}

func TestParseOption6(t *testing.T) {
	for name, c := range map[string]struct {
		value string
		want  Option
	}{
		"dns-server":    {"[2001:db8::1],2001:db8::2", Option{Code: 23, Value: slices.Concat(addr6("2001:db8::1"), addr6("2001:db8::2"))}},
		"bootfile-url":  {"tftp://[2001:db8::1]/x", Option{Code: 59, Value: []byte("tftp://[2001:db8::1]/x")}},
		"domain-search": {"a.b", Option{Code: 24, Value: []byte("\x01a\x01b\x00")}},
		"59":            {"tftp://x/", Option{Code: 59, Value: []byte("tftp://x/")}},
		"1234":          {"1:2:3", Option{Code: 1234, Value: []byte("1:2:3")}},
	} {
		got, err := ParseOption6(name, c.value)
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
	}
	for _, name := range []string{"1", "ia-na", "3", "dns-server"} {
		if _, err := ParseOption6(name, "192.0.2.1"); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func addr6(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

// A host with several addresses is granted the one that it asks for.
func TestSeveralAddresses(t *testing.T) {
	n := testNetwork()
	second := n.Subnets[0]
	second.Prefix, second.Server, second.Gateway = netip.MustParsePrefix("10.1.0.0/16"), netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.1.0.1")
	n.Subnets = append(n.Subnets, second)
	h := n.Hosts[testMAC]
	h.Others = []netip.Addr{netip.MustParseAddr("17.17.17.6"), netip.MustParseAddr("10.1.0.5")}
	n.Hosts = maps.Clone(n.Hosts)
	n.Hosts[testMAC] = h
	for name, c := range map[string]struct {
		packet []byte
		addr   string
		mt     dhcpv4.MessageType
		server string
	}{
		"no wish":            {message(t, dhcpv4.MessageTypeDiscover), "17.17.17.5", 2, "17.17.17.2"},
		"a foreign wish":     {message(t, dhcpv4.MessageTypeDiscover, withRequested("17.17.17.7")), "17.17.17.5", 2, "17.17.17.2"},
		"the second":         {message(t, dhcpv4.MessageTypeDiscover, withRequested("17.17.17.6")), "17.17.17.6", 2, "17.17.17.2"},
		"other subnet":       {message(t, dhcpv4.MessageTypeRequest, withRequested("10.1.0.5")), "10.1.0.5", 5, "10.1.0.2"},
		"renewing the other": {message(t, dhcpv4.MessageTypeRequest, withUsing("10.1.0.5")), "10.1.0.5", 5, "10.1.0.2"},
	} {
		reply, _, ev, err := n.Reply(c.packet, testNow)
		if err != nil || ev == nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		m, err := dhcpv4.FromBytes(reply)
		if err != nil || m.YourIPAddr.String() != c.addr || m.MessageType() != c.mt || m.ServerIdentifier().String() != c.server {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

func TestLeaseForEver(t *testing.T) {
	n := testNetwork()
	n.Lease = -time.Second
	reply, _, ev, _ := n.Reply(message(t, dhcpv4.MessageTypeRequest, withUsing("17.17.17.5")), testNow)
	m, err := dhcpv4.FromBytes(reply)
	if err != nil || m.IPAddressLeaseTime(0) != Forever || m.Options.Has(dhcpv4.OptionRenewTimeValue) || !ev.Expires.IsZero() {
		t.Errorf("%v, %v, %+v", m, err, ev)
	}
}

func FuzzParseOption(f *testing.F) {
	for _, e := range extras {
		f.Add(e[0], e[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		for _, parse := range []func(string, string) (Option, error){ParseOption, ParseOption6} {
			if o, err := parse(name, value); err == nil && len(o.Value) > maxValue {
				t.Errorf("%d bytes", len(o.Value))
			}
		}
	})
}
