package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"imprint/base/daemon"
	"imprint/base/netns"
	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/dhcpagent"
	"imprint/host/fabric"
	"imprint/host/l3agent"
	"imprint/host/metadataagent"
	"imprint/host/nsproxy"
	"imprint/host/plan"
)

// topology is a model that the node's agents realise: kernel, DHCP, routers,
// proxy, metadata agent and service, in one process.
type topology struct {
	*testing.T
	model *cloud.Model
	f     *fabric.Fabric
	dhcp  *dhcpagent.Agent
	l3    *l3agent.Agent
	hops  *hops
}

// handler is a worker in this process.
type handler struct {
	mu sync.Mutex
	*nsproxy.Proxy
}

func (h *handler) Put(_ context.Context, item daemon.Item, files ...*os.File) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var copies []*os.File // a handler closes what it is given, and so does who gave it
	for _, f := range files {
		c, err := duplicate(f)
		if err != nil {
			return err
		}
		copies = append(copies, c)
	}
	return h.Proxy.Put(item, copies)
}

func (h *handler) Remove(_ context.Context, key string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.Proxy.Remove(key)
}

func (h *handler) List(context.Context) ([]daemon.Item, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.Proxy.List(), nil
}

func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return os.NewFile(uintptr(fd), f.Name()), err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// realise starts everything for the model's only node.
func realise(t *testing.T, m *cloud.Model, dc dhcpagent.Config, lc l3agent.Config) *topology {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	f, err := fabric.New(fabric.Config{Prefix: fmt.Sprintf("l%d-", os.Getpid()%1e5), StateDir: dir}, nil)
	must(t, err)
	l := &topology{T: t, model: m, f: f, hops: startHopsFor(t, m, metadataagent.Limits{})}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		l.hops.stopProxy()
		l.tearDown()
	})
	socket := filepath.Join(dir, "dhcp")
	control, err := daemon.ListenUnix(socket, 0o600, -1, -1)
	must(t, err)
	served := daemon.NewHandover(socket)
	t.Cleanup(func() { served.Close() })
	proxy := &handler{Proxy: l.hops.proxy}
	report := func(cloud.Report) {}
	l.dhcp = dhcpagent.New(dc, f, dhcpagent.Workers{DHCP: served, Proxy: proxy}, report, nil)
	l.l3 = l3agent.New(lc, f, l3agent.Workers{Proxy: proxy, Advertiser: served}, report, nil)
	for _, run := range []func(context.Context) error{
		func(ctx context.Context) error { return dhcpagent.Serve(ctx, control, nil, 0) }, l.dhcp.Run, l.l3.Run,
	} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	l.update()
	return l
}

func (l *topology) update() {
	s := plan.For(l.model, hopNode)
	l.dhcp.Update(s)
	l.l3.Update(s)
}

func (l *topology) tearDown() {
	names, err := l.f.Namespaces()
	failed := err
	for _, name := range names {
		if name != l.f.Namespace() {
			failed = errors.Join(failed, l.f.RemoveNamespace(name))
		}
	}
	if err := errors.Join(failed, l.f.Remove()); err != nil {
		l.Error(err)
	}
}

// vm plugs a server's port into a namespace that takes up what it is told by
// advertisements.
func (l *topology) vm(id string) *netns.NS {
	l.Helper()
	ns, err := l.f.EnsureNamespace(l.f.Name("vm-" + id))
	must(l.T, err)
	l.Cleanup(func() { ns.Close() })
	must(l.T, ns.SetSysctl("ipv6/conf/default/accept_ra", "1"))
	must(l.T, ns.SetSysctl("ipv6/conf/default/accept_dad", "0"))
	p := plan.For(l.model, hopNode).Ports[portID(id)]
	must(l.T, l.f.Plug(fabric.Plug{Port: p, MTU: 1450, Target: ns, Name: "eth0"}))
	l.inside(ns, "ip link set eth0 up")
	return ns
}

func run(ns *netns.NS, command string) (string, error) {
	out, err := exec.Command("ip", append([]string{"netns", "exec", ns.Name()}, strings.Fields(command)...)...).CombinedOutput()
	return string(out), err
}

func (l *topology) inside(ns *netns.NS, command string) string {
	l.Helper()
	out, err := run(ns, command)
	if err != nil {
		l.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// eventually repeats a command until it prints want.
func (l *topology) eventually(ns *netns.NS, command, want string) {
	l.Helper()
	var out string
	for began := time.Now(); time.Since(began) < 15*time.Second; {
		out, _ = run(ns, command)
		if strings.Contains(out, want) {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	l.Fatalf("%s never prints %q:\n%s", command, want, out)
}

// lease has udhcpc ask, and takes addresses and routes as it says.
func (l *topology) lease(ns *netns.NS) {
	l.Helper()
	script := filepath.Join(l.TempDir(), "udhcpc")
	text := `#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr replace $ip/$mask dev eth0
set -- $staticroutes
while [ $# -ge 2 ]; do
	if [ $2 = 0.0.0.0 ]; then ip route replace $1 dev eth0; else ip route replace $1 via $2; fi
	shift 2
done
`
	must(l.T, os.WriteFile(script, []byte(text), 0o755))
	l.inside(ns, "busybox udhcpc -i eth0 -f -q -n -t 50 -T 1 -O staticroutes -s "+script)
}

// lease6 has dhclient ask for an address by DHCPv6.
func (l *topology) lease6(ns *netns.NS) {
	l.Helper()
	dir := l.TempDir()
	script := filepath.Join(dir, "script")
	must(l.T, os.WriteFile(script, []byte("#!/bin/sh\n[ \"$reason\" = BOUND6 ] && ip -6 addr add $new_ip6_address/$new_ip6_prefixlen dev eth0 nodad\nexit 0\n"), 0o755))
	l.eventually(ns, "ip -6 addr show eth0", "fe80::")
	cmd := exec.Command("ip", "netns", "exec", ns.Name(), "dhclient", "-6", "-1", "-d", "-sf", script, "-lf", dir+"/leases", "-pf", dir+"/pid", "eth0")
	cmd.Stderr = l.Output()
	must(l.T, cmd.Start())
	l.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// who asks for meta_data.json and returns the instance that it tells of.
func who(ns *netns.NS, url string) (string, error) {
	out, err := run(ns, "curl -sSgf --max-time 2 "+url+"/openstack/latest/meta_data.json")
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	m, err := openstack.ParseMetaData([]byte(out))
	return m.UUID, err
}

const (
	url4 = "http://169.254.169.254"
	url6 = "http://[fe80::a9fe:a9fe%25eth0]"
)

// isWho repeats who until it is the instance's own id.
func (l *topology) isWho(ns *netns.NS, url, id string) {
	l.Helper()
	var got string
	var err error
	for began := time.Now(); time.Since(began) < 10*time.Second; {
		if got, err = who(ns, url); err == nil {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	if got != id || err != nil {
		l.Errorf("%s tells of %q, %v; want %q", url, got, err, id)
	}
}

// world makes networks with instances; each part of a name says what is there:
// v4, slaac or stateful; routed or isolated.
func world(kinds ...string) *cloud.Model {
	m := cloud.NewModel()
	put := func(r cloud.Record) { m.Apply(cloud.Change{Record: r}) }
	put(&cloud.Node{Name: hopNode, Network: true, Compute: true})
	router := cloud.RouterID("dddddddd-0000-4000-8000-00000000000d")
	put(&cloud.Router{RouterID: router})
	for i, kind := range kinds {
		n := cloud.NetworkID(portID(kind))
		put(&cloud.Network{NetworkID: n, MTU: 1450})
		w := &network{put: put, id: n, router: router, number: i, kind: kind}
		w.fill()
	}
	return m
}

type network struct {
	put    func(cloud.Record)
	id     cloud.NetworkID
	router cloud.RouterID
	number int
	kind   string
}

func (w *network) fill() {
	four := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(w.number), 0, 0}), 24)
	six := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(w.number)}), 64)
	if w.has("v4") {
		w.subnet(&cloud.Subnet{CIDR: four, Gateway: four.Addr().Next()})
	}
	for _, mode := range []string{cloud.ModeSLAAC, cloud.ModeStateful} {
		if w.has(strings.TrimPrefix(mode, "dhcpv6-")) {
			w.subnet(&cloud.Subnet{CIDR: six, Gateway: six.Addr().Next(), IPv6RAMode: mode, IPv6AddrMode: mode})
		}
	}
	if w.has("routed") {
		w.port(1, "leg4", cloud.OwnerRouterInterface, string(w.router), 1, four)
		w.port(3, "leg6", cloud.OwnerRouterInterface, string(w.router), 1, six)
	}
	w.port(2, "dhcp", cloud.OwnerDHCP, "dhcp", 2, four, six)
	for i := range 2 {
		id := cloud.ServerID(fmt.Sprintf("%s-%d", w.kind, i))
		p := w.port(byte(10+i), string(id), cloud.OwnerComputePrefix+"nova", string(id), byte(10+i), four, six)
		w.put(&cloud.Server{ServerID: id, ProjectID: "p", Name: string(id), HostName: "host", Host: hopNode, Power: cloud.PowerOn, Ports: []cloud.PortID{p.PortID}})
	}
}

func (w *network) has(part string) bool { return strings.Contains(w.kind, part) }

func (w *network) subnet(s *cloud.Subnet) {
	s.SubnetID, s.NetworkID, s.DHCP = cloud.SubnetID(fmt.Sprintf("%s-%v", w.id, s.CIDR.Addr().Is6())), w.id, true
	w.put(s)
}

// portID makes an id of a name.
func portID(name string) cloud.PortID {
	return cloud.PortID(uuid.NewSHA1(uuid.Nil, []byte(name)).String())
}

// port makes one with an address in each of the prefixes that the network has.
func (w *network) port(mac byte, name, owner, device string, host byte, prefixes ...netip.Prefix) *cloud.Port {
	p := &cloud.Port{PortID: portID(string(w.id) + name), NetworkID: w.id, ProjectID: "p", DeviceOwner: owner, DeviceID: device, Host: hopNode}
	if owner == cloud.OwnerComputePrefix+"nova" {
		p.PortID = portID(name)
	}
	p.MAC, _ = cloud.ParseMAC(fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", w.number, len(name), mac))
	for _, x := range prefixes {
		six := x.Addr().Is6()
		if six && !w.has("slaac") && !w.has("stateful") || !six && !w.has("v4") {
			continue
		}
		b := x.Addr().AsSlice()
		b[len(b)-1] = host
		if hw := p.MAC.Hardware(); six && w.has("slaac") && owner != cloud.OwnerRouterInterface {
			copy(b[8:], []byte{hw[0] ^ 2, hw[1], hw[2], 0xff, 0xfe, hw[3], hw[4], hw[5]})
		}
		a, _ := netip.AddrFromSlice(b)
		p.FixedIPs = append(p.FixedIPs, cloud.FixedIP{SubnetID: cloud.SubnetID(fmt.Sprintf("%s-%v", w.id, six)), Addr: a})
	}
	if len(p.FixedIPs) > 0 {
		w.put(p)
	}
	return p
}
