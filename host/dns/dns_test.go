package dns

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"imprint/base/netns"
)

func facts() Facts {
	a := netip.MustParseAddr
	return Facts{
		Domain: "openstacklocal",
		Names: map[string][]netip.Addr{
			"host-127-0-0-5": {a("127.0.0.5")}, "host-fd00--5": {a("fd00::5")}, "both": {a("127.0.0.6"), a("fd00::6")},
		},
		Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("::1/128")},
	}
}

func question(t testing.TB, name string, kind dnsmessage.Type, change func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7, RecursionDesired: true}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}}}
	if change != nil {
		change(&m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// text is an answer in a line: its code, whether it was cut off, its records.
func text(t testing.TB, b []byte) string {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(b); err != nil {
		return "no message"
	}
	s := strings.TrimPrefix(m.RCode.String(), "RCode")
	if m.Truncated {
		s += " truncated"
	}
	for _, r := range m.Answers {
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			s += " " + netip.AddrFrom4(b.A).String()
		case *dnsmessage.AAAAResource:
			s += " " + netip.AddrFrom16(b.AAAA).String()
		case *dnsmessage.PTRResource:
			s += " " + b.PTR.String()
		}
		s += fmt.Sprintf("/%d", r.Header.TTL)
	}
	return s
}

// questions are those that dnsmasq and we answer alike.
var questions = []struct {
	name string
	kind dnsmessage.Type
	want string
}{
	{"host-127-0-0-5.openstacklocal.", dnsmessage.TypeA, "Success 127.0.0.5/0"},
	{"HOST-127-0-0-5.OpenStackLocal.", dnsmessage.TypeA, "Success 127.0.0.5/0"},
	{"host-127-0-0-5.", dnsmessage.TypeA, "Success 127.0.0.5/0"},
	{"host-fd00--5.openstacklocal.", dnsmessage.TypeAAAA, "Success fd00::5/0"},
	{"both.openstacklocal.", dnsmessage.TypeAAAA, "Success fd00::6/0"},
	{"both.openstacklocal.", dnsmessage.TypeA, "Success 127.0.0.6/0"},
	{"5.0.0.127.in-addr.arpa.", dnsmessage.TypePTR, "Success host-127-0-0-5.openstacklocal./0"},
	{"5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.", dnsmessage.TypePTR, "Success host-fd00--5.openstacklocal./0"},
	{"example.com.", dnsmessage.TypeA, "Refused"},
	{"4.3.2.1.in-addr.arpa.", dnsmessage.TypePTR, "Refused"},
}

func TestAnswers(t *testing.T) {
	z := NewZone(facts())
	for _, q := range questions {
		reply, _ := z.answer(question(t, q.name, q.kind, nil), 0)
		if got := text(t, reply); got != q.want {
			t.Errorf("%s %s: %q, want %q", q.name, q.kind, got, q.want)
		}
	}
	const known = "host-127-0-0-5.openstacklocal."
	for name, c := range map[string]struct {
		packet []byte
		want   string
	}{
		"another type":      {question(t, known, dnsmessage.TypeAAAA, nil), "Success"},
		"unknown here":      {question(t, "nobody.openstacklocal.", dnsmessage.TypeA, nil), "NameError"},
		"below a name":      {question(t, "x."+known, dnsmessage.TypeA, nil), "NameError"},
		"the domain":        {question(t, "openstacklocal.", dnsmessage.TypeA, nil), "Success"},
		"unknown address":   {question(t, "9.0.0.127.in-addr.arpa.", dnsmessage.TypePTR, nil), "NameError"},
		"half an address":   {question(t, "0.0.127.in-addr.arpa.", dnsmessage.TypePTR, nil), "Refused"},
		"all":               {question(t, "both.openstacklocal.", dnsmessage.TypeALL, nil), "Success 127.0.0.6/0 fd00::6/0"},
		"other class":       {question(t, "version.bind.", dnsmessage.TypeTXT, func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }), "Refused"},
		"two questions":     {question(t, known, dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), "FormatError"},
		"none":              {question(t, known, dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = nil }), "FormatError"},
		"an update":         {question(t, known, dnsmessage.TypeA, func(m *dnsmessage.Message) { m.OpCode = 5 }), "NotImplemented"},
		"cut off":           {question(t, known, dnsmessage.TypeA, nil)[:20], "FormatError"},
		"a reply":           {question(t, known, dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true }), "no message"},
		"less than header":  {[]byte{0, 1, 2}, "no message"},
		"compression loop":  {hexed("000701000001000000000000c00c00010001"), "FormatError"},
		"EDNS, version one": {question(t, known, dnsmessage.TypeA, edns(1<<16, 4096)), "Success"},
	} {
		reply, _ := z.answer(c.packet, 0)
		if got := text(t, reply); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func hexed(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func edns(flags uint32, size uint16) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		m.Additionals = append(m.Additionals, dnsmessage.Resource{Body: &dnsmessage.OPTResource{}, Header: dnsmessage.ResourceHeader{
			Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeOPT, Class: dnsmessage.Class(size), TTL: flags}})
	}
}

func TestSizes(t *testing.T) {
	f := facts()
	for i := range 60 {
		f.Names["many"] = append(f.Names["many"], netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}))
	}
	z := NewZone(f)
	for name, c := range map[string]struct {
		change func(*dnsmessage.Message)
		limit  int
		cut    bool
	}{
		"plain": {nil, 0, true}, "EDNS": {edns(0, 1232), 0, false}, "too large a wish": {edns(0, 65535), 0, false},
		"too small a wish": {edns(0, 100), 0, true}, "TCP": {nil, 65535, false},
	} {
		reply, _ := z.answer(question(t, "many.openstacklocal.", dnsmessage.TypeA, c.change), c.limit)
		if got := strings.Contains(text(t, reply), "truncated"); got != c.cut || len(reply) > 1232 {
			t.Errorf("%s: truncated %v, %d bytes", name, got, len(reply))
		}
	}
}

func lab(t *testing.T) *netns.NS {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	ns, err := netns.Create(fmt.Sprintf("dnstest-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close(); netns.Delete(ns.Name()) })
	if out, err := exec.Command("ip", "-n", ns.Name(), "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return ns
}

// serve runs a server on the namespace's loopback until the test ends.
func serve(t *testing.T, ns *netns.NS, z *Zone) {
	t.Helper()
	s := Server{Zone: func() *Zone { return z }}
	if err := ns.Do(func() (err error) { s.UDP, s.TCP, err = Open("lo", true); return err }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.UDP.Close()
		s.TCP.Close()
	})
}

func TestQuestionsAsDnsmasq(t *testing.T) {
	ns := lab(t)
	path, err := exec.LookPath("dnsmasq")
	if err != nil {
		t.Skip("dnsmasq is not installed")
	}
	hosts := filepath.Join(t.TempDir(), "addn_hosts")
	text0 := "127.0.0.5 host-127-0-0-5.openstacklocal host-127-0-0-5\nfd00::5 host-fd00--5.openstacklocal host-fd00--5\n" +
		"127.0.0.6 both.openstacklocal both\nfd00::6 both.openstacklocal both\n"
	if err := os.WriteFile(hosts, []byte(text0), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(hosts), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-hosts", "--no-resolv",
		"--addn-hosts="+hosts, "--domain=openstacklocal", "--interface=lo", "--bind-interfaces")
	cmd.Stderr = t.Output()
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	for _, q := range questions {
		if got := text(t, exchange(t, ns, question(t, q.name, q.kind, nil))); got != q.want {
			t.Errorf("dnsmasq says of %s %s: %q, we say %q", q.name, q.kind, got, q.want)
		}
	}
}

// exchange asks until there is an answer.
func exchange(t *testing.T, ns *netns.NS, packet []byte) []byte {
	t.Helper()
	var conn net.Conn
	if err := ns.Do(func() (err error) { conn, err = net.Dial("udp", "127.0.0.1:53"); return err }); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 4096)
	for range 100 {
		conn.Write(packet)
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := conn.Read(buf); err == nil {
			return buf[:n]
		}
		select { // refused while nobody listens
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatal("no answer")
	return nil
}

func kdig(t *testing.T, ns *netns.NS, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("kdig")
	if err != nil {
		t.Skip("kdig is not installed")
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns.Name(), path, "+short", "+time=5"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("kdig %v: %v %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestServed asks with a stock client over both protocols and both families.
func TestServed(t *testing.T) {
	ns := lab(t)
	serve(t, ns, NewZone(facts()))
	const name = "host-127-0-0-5.openstacklocal"
	for _, args := range [][]string{{"@127.0.0.1"}, {"@127.0.0.9"}, {"@::1"}, {"@127.0.0.1", "+tcp"}, {"@::1", "+tcp"}, {"@127.0.0.1", "+bufsize=4096", "+edns"}} {
		if got := kdig(t, ns, append(args, name, "A")...); got != "127.0.0.5" {
			t.Errorf("%v: %q", args, got)
		}
	}
	if got := kdig(t, ns, "@::1", "-x", "fd00::5"); got != "host-fd00--5.openstacklocal." {
		t.Errorf("reverse: %q", got)
	}
}

// TestForwards has a second server as upstream, and one that is silent before it.
func TestForwards(t *testing.T) {
	ns := lab(t)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	upstream := listenUpstream(t)
	f := facts()
	f.Timeout = 200 * time.Millisecond
	f.Upstream = []netip.AddrPort{netip.MustParseAddrPort(silent.LocalAddr().String()), upstream}
	serve(t, ns, NewZone(f))
	for _, args := range [][]string{{"@127.0.0.1"}, {"@127.0.0.1", "+tcp"}} {
		if got := kdig(t, ns, append(args, "elsewhere.example", "A")...); got != "192.0.2.7" {
			t.Errorf("%v: %q", args, got)
		}
	}
	if got := kdig(t, ns, "@127.0.0.1", "nobody.openstacklocal", "A"); got != "" {
		t.Errorf("a name of the network's was asked elsewhere: %q", got)
	}
	if got := text(t, exchange(t, ns, question(t, "broken.example.", dnsmessage.TypeA, nil))); got != "ServerFailure" {
		t.Errorf("no upstream answers: %q", got)
	}
}

// listenUpstream answers every name with 192.0.2.7, over UDP first with wrong
// ids; broken.example never.
func listenUpstream(t *testing.T) netip.AddrPort {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	reply := func(packet []byte, wrong byte) []byte {
		q, _, _ := parse(packet)
		if q.name == "broken.example" {
			return nil
		}
		b, _ := q.reply(dnsmessage.RCodeSuccess, []dnsmessage.ResourceBody{&dnsmessage.AResource{A: [4]byte{192, 0, 2, 7 + wrong}}})
		b[0] ^= wrong
		return b
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, wrong := range []byte{1, 0} {
				if b := reply(buf[:n], wrong); b != nil {
					udp.WriteTo(b, from)
				}
			}
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			if packet, err := readTCP(conn); err == nil {
				writeTCP(conn, reply(packet, 0))
			}
			conn.Close()
		}
	}()
	return netip.MustParseAddrPort(udp.LocalAddr().String())
}

// TestStrangersAreNotServed: a client from outside the network is not answered.
func TestStrangersAreNotServed(t *testing.T) {
	z := NewZone(facts())
	for a, want := range map[string]bool{"127.0.0.9": true, "::ffff:127.0.0.9": true, "fe80::1%eth0": true, "fd00::9": true, "10.0.0.1": false, "fd01::1": false, "169.254.1.1": false} {
		if got := z.serves(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
}

// TestConnectionsAreBounded: a client that holds connections open does not keep
// others out.
func TestConnectionsAreBounded(t *testing.T) {
	ns := lab(t)
	serve(t, ns, NewZone(facts()))
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range 3 * maxConnsEach {
		ns.Do(func() error {
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}}).Dial("tcp", "127.0.0.1:53")
			if err == nil {
				held = append(held, c)
			}
			return err
		})
	}
	if got := kdig(t, ns, "@127.0.0.1", "+tcp", "both.openstacklocal", "A"); got != "127.0.0.6" {
		t.Errorf("%q", got)
	}
	if len(held) != 3*maxConnsEach {
		t.Fatalf("%d connections", len(held))
	}
	last := held[len(held)-1]
	last.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := last.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the connection over the limit is open: %v", err)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	f := facts()
	f.Names = map[string][]netip.Addr{"": nil, "a..b": nil, strings.Repeat("x", 64): nil, strings.Repeat("x.", 130): nil}
	if d := cmp.Diff(map[string][]netip.Addr{}, NewZone(f).byName); d != "" {
		t.Error(d)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, q := range questions {
		f.Add(question(f, q.name, q.kind, nil))
		f.Add(question(f, q.name, q.kind, edns(0, 900)))
	}
	with := facts()
	with.Upstream = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53")}
	z := NewZone(with)
	f.Fuzz(func(t *testing.T, packet []byte) {
		reply, v := z.answer(packet, 0)
		if (reply != nil) != (v == answered) || len(reply) > edns0Size {
			t.Fatalf("%d bytes, verdict %d", len(reply), v)
		}
		if v == forwarded {
			answers(packet, packet, 0)
			reply = failure(packet)
		}
		var m dnsmessage.Message
		if reply != nil && (m.Unpack(reply) != nil || !m.Response || reply[0] != packet[0] || reply[1] != packet[1]) {
			t.Fatalf("%x answered with %x", packet, reply)
		}
	})
}
