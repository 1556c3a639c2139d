package dhcpagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/daemon"
	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

const nobody = 65534

// TestMain makes the test binary the DHCP worker, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "dhcp-worker" {
		if err := runWorker(); err != nil && !errors.Is(err, daemon.ErrStop) {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runWorker() error {
	l, err := daemon.EnterWorker()
	if err != nil {
		return err
	}
	return Serve(context.Background(), l, daemon.NewLogger(os.Stderr, slog.LevelWarn, false), 0)
}

// proxy answers requests with the address that they were sent to.
type proxy struct {
	mu   sync.Mutex
	held map[string][]*http.Server
	item map[string]daemon.Item
}

func (p *proxy) Put(_ context.Context, item daemon.Item, files ...*os.File) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			return err
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s at %s from %s", item.Key, l.Addr(), r.RemoteAddr[:strings.LastIndex(r.RemoteAddr, ":")])
		})}
		go s.Serve(l)
		p.held[item.Key] = append(p.held[item.Key], s)
	}
	p.item[item.Key] = item
	return nil
}

func (p *proxy) Remove(_ context.Context, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.held[key] {
		s.Close()
	}
	delete(p.held, key)
	delete(p.item, key)
	return nil
}

func (p *proxy) List(context.Context) (items []daemon.Item, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.item {
		items = append(items, i)
	}
	return items, nil
}

type lab struct {
	*testing.T
	f       *fabric.Fabric
	proxy   *proxy
	control string
	agent   *Agent
	slice   cloud.Slice
	reports []cloud.PortReport
}

func newLab(t *testing.T, prefix string, cfg Config) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	f, err := fabric.New(fabric.Config{Prefix: fmt.Sprintf("t%d-%s-", os.Getpid()%1e5, prefix), StateDir: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, f: f, control: filepath.Join(dir, "dhcp"), slice: cloud.NewSlice(),
		proxy: &proxy{held: map[string][]*http.Server{}, item: map[string]daemon.Item{}}}
	l.startWorker()
	l.agent = l.newAgent(cfg)
	t.Cleanup(l.tearDown)
	return l
}

// startWorker runs the DHCP worker as an ordinary user until the test ends.
func (l *lab) startWorker() {
	ctx, cancel := context.WithCancel(context.Background())
	there, ended := make(chan struct{}, 1), make(chan error, 1)
	c := daemon.Command{Args: []string{"dhcp-worker"}, UID: nobody, GID: nobody, Log: os.Stderr, Grace: 5 * time.Second}
	go func() {
		ended <- daemon.Supervise(ctx, nil, l.control, c, func() { there <- struct{}{} })
	}()
	<-there
	l.Cleanup(func() {
		cancel()
		l.must(<-ended)
	})
}

func (l *lab) newAgent(cfg Config) *Agent {
	h := daemon.NewHandover(l.control)
	l.Cleanup(func() { h.Close() })
	return New(cfg, l.f, Workers{DHCP: h, Proxy: l.proxy}, func(r cloud.Report) { l.reports = append(l.reports, *r.Port) }, nil)
}

func (l *lab) tearDown() {
	for key := range l.proxy.item {
		l.proxy.Remove(context.Background(), key)
	}
	names, err := l.f.Namespaces()
	l.must(err)
	for _, name := range names {
		if name != l.f.Namespace() {
			l.must(l.f.RemoveNamespace(name))
		}
	}
	l.must(l.f.Remove())
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Error(err)
	}
}

func (l *lab) reconcile() {
	l.Helper()
	l.must(l.agent.reconcile(l.Context(), l.slice))
}

func newID[T ~string]() T { return T(cloud.NewUUID()) }

func (l *lab) port(network cloud.NetworkID, owner string, subnet cloud.SubnetID, addr string) cloud.DesiredPort {
	mac, err := cloud.ParseMAC(cloud.NewMAC().String())
	l.must(err)
	p := cloud.DesiredPort{
		ID: newID[cloud.PortID](), NetworkID: network, MAC: mac, Owner: owner, Local: true,
		Addrs: []cloud.PortAddr{{SubnetID: subnet, Prefix: netip.MustParsePrefix(addr)}},
	}
	l.slice.Ports[p.ID] = p
	return p
}

// network is 17.17.17.0/24 with DHCP at .2 and a gateway at .1.
func (l *lab) network() cloud.DesiredNetwork {
	n := cloud.DesiredNetwork{ID: newID[cloud.NetworkID](), MTU: 1450}
	subnet := cloud.DesiredSubnet{ID: newID[cloud.SubnetID](), CIDR: netip.MustParsePrefix("17.17.17.0/24"), Gateway: netip.MustParseAddr("17.17.17.1"), DHCP: true}
	n.Subnets = []cloud.DesiredSubnet{subnet}
	n.DHCPPort = l.port(n.ID, cloud.OwnerDHCP, subnet.ID, "17.17.17.2/24").ID
	l.slice.Networks[n.ID] = n
	return n
}

// instance plugs one in that asks for its address.
func (l *lab) instance(id cloud.NetworkID, addr string) *netns.NS {
	l.Helper()
	n := l.slice.Networks[id]
	p := l.port(id, "compute:nova", n.Subnets[0].ID, addr)
	n.Hosts = append(n.Hosts, cloud.Host{PortID: p.ID, MAC: p.MAC, Addrs: []netip.Addr{p.Addrs[0].Prefix.Addr()}})
	l.slice.Networks[id] = n
	ns, err := l.f.EnsureNamespace(l.f.Name("vm-" + cloud.NewUUID()[:8]))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { ns.Close() })
	l.must(ns.SetSysctl("ipv6/conf/default/accept_dad", "0")) // its address is usable at once
	l.must(l.f.Plug(fabric.Plug{Port: p, MTU: 1450, Target: ns, Name: "eth0"}))
	h, err := netdev.Open(ns)
	if err != nil {
		l.Fatal(err)
	}
	defer h.Close()
	l.must(h.Set("eth0", netdev.Settings{Up: true}))
	return ns
}

func inside(ns *netns.NS, command ...string) (string, error) {
	out, err := exec.Command("ip", append([]string{"netns", "exec", ns.Name()}, command...)...).CombinedOutput()
	return string(out), err
}

// lease asks with a real client, takes the address, and returns what it got.
func (l *lab) lease(ns *netns.NS) map[string]string {
	l.Helper()
	script := filepath.Join(l.TempDir(), "udhcpc")
	text := "#!/bin/sh\n[ $1 = bound ] || exit 0\nip addr replace $ip/$mask dev eth0\nenv\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		l.Fatal(err)
	}
	out, err := inside(ns, "busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-T", "1", "-O", "staticroutes", "-O", "mtu", "-s", script)
	if err != nil {
		l.Errorf("udhcpc: %v\n%s", err, out)
	}
	got := map[string]string{}
	for _, key := range []string{"ip", "mask", "router", "staticroutes", "mtu", "hostname", "domain", "dns", "serverid"} {
		for line := range strings.Lines(out) {
			if v, ok := strings.CutPrefix(line, key+"="); ok {
				got[key] = strings.TrimSpace(v)
			}
		}
	}
	return got
}

func TestRealClientGetsItsLease(t *testing.T) {
	l := newLab(t, "lease", Config{Domain: "openstacklocal", IsolatedMetadata: true})
	n := l.network()
	vm := l.instance(n.ID, "17.17.17.5/24")
	l.reconcile()
	want := map[string]string{
		"ip": "17.17.17.5", "mask": "24", "router": "17.17.17.1", "serverid": "17.17.17.2", "mtu": "1450",
		"hostname": "host-17-17-17-5", "domain": "openstacklocal", "dns": "17.17.17.2",
		"staticroutes": "169.254.169.254/32 17.17.17.2 0.0.0.0/0 17.17.17.1",
	}
	if diff := cmp.Diff(want, l.lease(vm)); diff != "" {
		t.Errorf("lease (-want +got):\n%s", diff)
	}
	l.checkMetadata(vm, n.ID)

	// The network gets a router, and the agent is another one: same socket.
	l.agent = l.newAgent(Config{Domain: "openstacklocal", IsolatedMetadata: true})
	routed := l.slice.Networks[n.ID]
	routed.Subnets = slices.Clone(routed.Subnets)
	routed.Subnets[0].Router = netip.MustParseAddr("17.17.17.1")
	l.slice.Networks[n.ID] = routed
	l.reconcile()
	if got := l.lease(vm)["staticroutes"]; got != "169.254.169.254/32 17.17.17.1 0.0.0.0/0 17.17.17.1" {
		t.Errorf("routes with a router: %q", got)
	}
	if items, _ := l.proxy.List(t.Context()); len(items) != 0 {
		t.Errorf("the proxy still holds %v", items)
	}
	if got := l.state(n.ID); strings.Contains(got, "169.254") || strings.Contains(got, "fe80::a9fe:a9fe") {
		t.Errorf("the metadata address is still there:\n%s", got)
	}
	if diff := cmp.Diff([]cloud.PortReport{{ID: n.DHCPPort, Up: true}, {ID: n.DHCPPort, Up: true}}, l.reports); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
}

// checkMetadata asks over both families, as the lease says.
func (l *lab) checkMetadata(vm *netns.NS, id cloud.NetworkID) {
	l.Helper()
	if out, err := inside(vm, "ip", "route", "add", "169.254.169.254/32", "via", "17.17.17.2"); err != nil {
		l.Fatalf("%v\n%s", err, out)
	}
	out, err := inside(vm, "curl", "-sS", "--max-time", "10", "http://169.254.169.254/")
	if want := fmt.Sprintf("network/%s at 169.254.169.254:80 from 17.17.17.5", id); out != want || err != nil {
		l.Errorf("metadata: %q, %v; want %q", out, err, want)
	}
	out, err = inside(vm, "curl", "-sSg", "--max-time", "10", "http://[fe80::a9fe:a9fe%25eth0]/")
	if !strings.Contains(out, "at [fe80::a9fe:a9fe]:80 from [fe80::") || err != nil {
		l.Errorf("metadata over IPv6: %q, %v", out, err)
	}
}

func (l *lab) state(id cloud.NetworkID) string {
	l.Helper()
	ns, err := netns.Open(l.agent.namespace(id))
	if err != nil {
		l.Fatal(err)
	}
	defer ns.Close()
	var all strings.Builder
	for _, c := range []string{"ip -j -p addr", "ip route", "ip -6 route", "ss -Hltun"} {
		out, err := inside(ns, strings.Fields(c)...)
		l.must(err)
		all.WriteString(out)
	}
	return all.String()
}

func TestReconcileTwiceChangesNothing(t *testing.T) {
	l := newLab(t, "twice", Config{ForceMetadata: true})
	n := l.network()
	l.reconcile()
	before := l.state(n.ID)
	l.reconcile()
	l.agent = l.newAgent(Config{ForceMetadata: true})
	l.reconcile()
	if diff := cmp.Diff(before, l.state(n.ID)); diff != "" {
		t.Errorf("after repeating (-before +after):\n%s", diff)
	}
	if got := len(l.proxy.held[keyPrefix+string(n.ID)]); got != 2 {
		t.Errorf("the proxy holds %d listeners, want one of each family", got)
	}
	for _, want := range []string{"17.17.17.2", "169.254.169.254:80", ":67 "} {
		if !strings.Contains(before, want) {
			t.Errorf("no %q in:\n%s", want, before)
		}
	}
	l.agent.Configure(Config{})
	l.reconcile()
	if items, _ := l.proxy.List(t.Context()); len(items) != 0 || strings.Contains(l.state(n.ID), "169.254.169.254") {
		t.Errorf("metadata is switched off, and still there: %v", items)
	}
}

// A namespace that others removed, or a link, comes back with new sockets.
func TestRepairs(t *testing.T) {
	l := newLab(t, "repair", Config{})
	n := l.network()
	vm := l.instance(n.ID, "17.17.17.5/24")
	l.reconcile()
	for _, breakIt := range []func() error{
		func() error { return l.f.Unplug(n.DHCPPort) },
		func() error { return netns.Delete(l.agent.namespace(n.ID)) },
	} {
		l.must(breakIt())
		l.reconcile()
		if got := l.lease(vm)["ip"]; got != "17.17.17.5" {
			t.Errorf("lease %q", got)
		}
	}
}

func TestNetworkGoes(t *testing.T) {
	l := newLab(t, "goes", Config{ForceMetadata: true})
	gone, undhcped := l.network(), l.network()
	l.reconcile()
	delete(l.slice.Networks, gone.ID)
	undhcped.DHCPPort = ""
	l.slice.Networks[undhcped.ID] = undhcped
	for range 2 {
		l.reconcile()
	}
	if names, _ := l.f.Namespaces(); !slices.Equal(names, []string{l.f.Namespace()}) {
		t.Errorf("left: %v", names)
	}
	held, err := l.agent.workers.DHCP.List(t.Context())
	if items, _ := l.proxy.List(t.Context()); len(items)+len(held) != 0 || err != nil {
		t.Errorf("the workers hold %v and %v, %v", held, items, err)
	}
}

func TestPoisonStopsNobody(t *testing.T) {
	l := newLab(t, "poison", Config{})
	foreign, good, strange := l.network(), l.network(), l.network()
	theirs, err := netns.Create(l.agent.namespace(foreign.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Delete(theirs.Name())
	defer theirs.Close()
	strange.DHCPPort = "no-such-port"
	l.slice.Networks[strange.ID] = strange
	err = l.agent.reconcile(t.Context(), l.slice)
	if !errors.Is(err, fabric.ErrForeign) || strings.Contains(err.Error(), string(good.ID)) || !strings.Contains(err.Error(), "no-such-port") {
		t.Errorf("reconcile = %v", err)
	}
	held, err := l.agent.workers.DHCP.List(t.Context())
	if len(held) != 1 || held[0].Key != keyPrefix+string(good.ID) || err != nil {
		t.Errorf("served: %v, %v", held, err)
	}
	l.slice = cloud.NewSlice()
	l.reconcile()
	if _, err := os.Stat(netns.Dir + "/" + theirs.Name()); err != nil {
		t.Errorf("the foreign namespace is gone: %v", err)
	}
}

func TestWorkerRefusesNonsense(t *testing.T) {
	w := &worker{ctx: t.Context(), log: slog.New(slog.DiscardHandler), held: map[string]*held{}}
	for name, item := range map[string]daemon.Item{
		"no data":      {Key: "network/1"},
		"not JSON":     {Key: "network/1", Data: []byte("x")},
		"bad domain":   {Key: "network/1", Data: []byte(`{"domain":"a\nb"}`)},
		"bad server":   {Key: "network/1", Data: []byte(`{"server_id":"x","subnets6":[{}]}`)},
		"no router":    {Key: "advertise/1", Data: []byte(`{"mac":"x"}`)},
		"no socket 6":  {Key: "advertise/1", Data: []byte(`{}`)},
		"bad prefix":   {Key: "network/1", Data: []byte(`{"subnets":[{"Prefix":"10"}]}`)},
		"no socket":    {Key: "network/1", Data: []byte(`{}`)},
		"a plain file": {Key: "network/1", Data: []byte(`{}`)},
	} {
		var files []*os.File
		if name == "a plain file" {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		if err := w.Put(item, files); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if len(w.List()) != 0 {
		t.Errorf("held: %v", w.List())
	}
}
