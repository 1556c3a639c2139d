package l3agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/daemon"
	"imprint/base/dhcp"
	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/base/nft"
	"imprint/host/cloud"
	"imprint/host/fabric"
)

// proxy answers every request with who asked for which host.
type proxy struct {
	mu   sync.Mutex
	held map[string]io.Closer
	item map[string]daemon.Item
	puts int
	away error
}

func newProxy() *proxy {
	return &proxy{held: map[string]io.Closer{}, item: map[string]daemon.Item{}}
}

func (p *proxy) Put(_ context.Context, item daemon.Item, files ...*os.File) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away != nil {
		return p.away
	}
	p.puts++
	if strings.HasPrefix(item.Key, dhcp.AdvertisementKey) {
		return p.advertise(item, files)
	}
	l, err := net.FileListener(files[0])
	if err != nil {
		return err
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s from %s for %s", item.Key, host, r.Host)
	})}
	go s.Serve(l)
	p.held[item.Key], p.item[item.Key] = s, item
	return nil
}

// advertise sends what it is told, as the worker would.
func (p *proxy) advertise(item daemon.Item, files []*os.File) error {
	var a dhcp.Advertisement
	if err := json.Unmarshal(item.Data, &a); err != nil {
		return err
	}
	p.item[item.Key] = item
	if len(files) == 0 {
		return nil
	}
	conn, err := net.FilePacketConn(files[0])
	if err != nil {
		return err
	}
	p.held[item.Key] = conn
	go dhcp.Advertise(context.Background(), conn.(*net.IPConn), func() *dhcp.Advertisement { return &a }, nil)
	return nil
}

func (p *proxy) Remove(_ context.Context, key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.held[key]; s != nil {
		s.Close()
	}
	delete(p.held, key)
	delete(p.item, key)
	return p.away
}

func (p *proxy) List(context.Context) (items []daemon.Item, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.item {
		items = append(items, i)
	}
	return items, p.away
}

type lab struct {
	*testing.T
	f       *fabric.Fabric
	proxy   *proxy
	adverts *proxy
	agent   *Agent
	slice   cloud.Slice
	reports []cloud.PortReport
}

func newLab(t *testing.T, prefix string) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	f, err := fabric.New(fabric.Config{Prefix: fmt.Sprintf("t%d-%s-", os.Getpid()%1e5, prefix), StateDir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, f: f, proxy: newProxy(), adverts: newProxy(), slice: cloud.NewSlice()}
	l.agent = l.newAgent()
	t.Cleanup(l.tearDown)
	return l
}

func (l *lab) newAgent() *Agent {
	return New(Config{}, l.f, Workers{Proxy: l.proxy, Advertiser: l.adverts}, func(r cloud.Report) { l.reports = append(l.reports, *r.Port) }, slog.New(slog.DiscardHandler))
}

func (l *lab) tearDown() {
	l.agent.tell.Wait()
	for _, p := range []*proxy{l.proxy, l.adverts} {
		for _, s := range p.held {
			s.Close()
		}
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

// reconcile waits for the bridges, too: what is plugged into one forwards.
func (l *lab) reconcile() {
	l.Helper()
	l.must(l.agent.reconcile(l.Context(), l.slice))
}

func newID[T ~string]() T { return T(cloud.NewUUID()) }

func (l *lab) network() cloud.NetworkID {
	id := newID[cloud.NetworkID]()
	l.slice.Networks[id] = cloud.DesiredNetwork{ID: id, MTU: 1450}
	return id
}

func (l *lab) port(network cloud.NetworkID, owner, device, addr string) cloud.DesiredPort {
	mac, err := cloud.ParseMAC(cloud.NewMAC().String())
	l.must(err)
	p := cloud.DesiredPort{
		ID: newID[cloud.PortID](), NetworkID: network, MAC: mac, Owner: owner, DeviceID: device, Local: true,
		Addrs: []cloud.PortAddr{{Prefix: netip.MustParsePrefix(addr)}},
	}
	l.slice.Ports[p.ID] = p
	return p
}

// router adds a router with a leg for each address.
func (l *lab) router(legs map[cloud.NetworkID]string) cloud.DesiredRouter {
	r := cloud.DesiredRouter{ID: newID[cloud.RouterID]()}
	for network, addr := range legs {
		r.Ports = append(r.Ports, l.port(network, cloud.OwnerRouterInterface, string(r.ID), addr).ID)
	}
	l.slice.Routers[r.ID] = r
	return r
}

// instance plugs one in, as its own configuration would: address, gateway.
func (l *lab) instance(network cloud.NetworkID, addr, gateway string) *netns.NS {
	l.Helper()
	ns, err := l.f.EnsureNamespace(l.f.Name("vm-" + cloud.NewUUID()[:8]))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { ns.Close() })
	p := l.port(network, "compute:nova", "", addr)
	l.must(l.f.Plug(fabric.Plug{Port: p, MTU: 1450, Target: ns, Name: "eth0"}))
	h, err := netdev.Open(ns)
	if err != nil {
		l.Fatal(err)
	}
	defer h.Close()
	l.must(h.Set("eth0", netdev.Settings{Up: true}))
	_, err = h.SetAddrs("eth0", []netip.Prefix{netip.MustParsePrefix(addr)})
	l.must(err)
	_, err = h.SetRoutes("eth0", []netdev.Route{{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(gateway)}})
	l.must(err)
	return ns
}

func inside(ns *netns.NS, command ...string) (string, error) {
	out, err := exec.Command("ip", append([]string{"netns", "exec", ns.Name()}, command...)...).CombinedOutput()
	return string(out), err
}

func (l *lab) state(name string) string {
	l.Helper()
	ns, err := netns.Open(name)
	if err != nil {
		l.Fatal(err)
	}
	defer ns.Close()
	var all strings.Builder
	for _, c := range []string{"ip -j -p addr", "ip route", "ip -6 route", "nft list ruleset", "ss -Hltn", "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding"} {
		out, err := inside(ns, strings.Fields(c)...)
		if err != nil {
			l.Errorf("%s: %v\n%s", c, err, out)
		}
		all.WriteString(out)
	}
	return all.String()
}

func TestMetadataIsRedirected(t *testing.T) {
	l := newLab(t, "redir")
	n1, n2 := l.network(), l.network()
	r := l.router(map[cloud.NetworkID]string{n1: "10.0.0.1/24", n2: "10.0.1.1/24"})
	l.reconcile()
	one, two := l.instance(n1, "10.0.0.5/24", "10.0.0.1"), l.instance(n2, "10.0.1.5/24", "10.0.1.1")

	out, err := inside(one, "curl", "-sS", "--max-time", "10", "http://169.254.169.254/latest")
	if want := fmt.Sprintf("router/%s from ::ffff:10.0.0.5 for 169.254.169.254", r.ID); strings.Replace(out, "from 10.", "from ::ffff:10.", 1) != want || err != nil {
		t.Errorf("metadata: %q, %v; want %q", out, err, want)
	}
	if got := l.redirected(r.ID); got != 1 {
		t.Errorf("%d connections counted, want 1", got)
	}
	for _, c := range []string{"ping -c1 -W5 10.0.0.1", "ping -c1 -W5 10.0.1.5"} {
		if out, err := inside(one, strings.Fields(c)...); err != nil {
			t.Errorf("%s: %v\n%s", c, err, out)
		}
	}
	if out, err := inside(two, "ping", "-c1", "-W5", "10.0.0.5"); err != nil {
		t.Errorf("from the other network: %v\n%s", err, out)
	}
	// Everything else to the router is dropped, the proxy's own port first.
	for _, url := range []string{"http://10.0.0.1:9697/", "http://10.0.1.1:9697/", "http://10.0.0.1:80/", "http://169.254.169.254:9697/"} {
		if out, err := inside(one, "curl", "-sS", "--max-time", "0.5", url); err == nil {
			t.Errorf("%s answered %q", url, out)
		}
	}
	if got := l.redirected(r.ID); got != 1 {
		t.Errorf("%d connections counted after the refused ones, want 1", got)
	}
}

func (l *lab) redirected(id cloud.RouterID) uint64 {
	l.Helper()
	ns, err := netns.Open(l.agent.namespace(id))
	if err != nil {
		l.Fatal(err)
	}
	defer ns.Close()
	table, err := nft.Read(ns, nft.Inet, Table)
	if err != nil {
		l.Fatal(err)
	}
	n, _ := table.Count(MetadataRule)
	return n.Packets
}

func TestReconcileTwiceChangesNothing(t *testing.T) {
	l := newLab(t, "twice")
	n := l.network()
	r := l.router(map[cloud.NetworkID]string{n: "10.0.0.1/24"})
	l.port(n, cloud.OwnerRouterInterface, string(r.ID), "2001:db8::1/64")
	l.reconcile()
	one := l.instance(n, "10.0.0.5/24", "10.0.0.1")
	if _, err := inside(one, "curl", "-sS", "--max-time", "10", "http://169.254.169.254/"); err != nil {
		t.Error(err)
	}
	name := l.agent.namespace(r.ID)
	before := l.state(name)
	l.agent = l.newAgent() // after a restart, too
	l.reconcile()
	l.reconcile()
	if diff := cmp.Diff(before, l.state(name)); diff != "" {
		t.Errorf("after repeating (-before +after):\n%s", diff)
	}
	if l.proxy.puts != 1 {
		t.Errorf("%d listeners were handed over, want 1", l.proxy.puts)
	}
	want := []cloud.PortReport{{ID: r.Ports[0], Up: true}, {ID: r.Ports[0], Up: true}}
	if diff := cmp.Diff(want, l.reports); diff != "" {
		t.Errorf("reports (-want +got):\n%s", diff)
	}
	for _, want := range []string{"10.0.0.1", "*:9697", "net.ipv4.ip_forward = 1", "counter packets 1 "} {
		if !strings.Contains(before, want) {
			t.Errorf("no %q in:\n%s", want, before)
		}
	}
}

func TestRouterGoes(t *testing.T) {
	l := newLab(t, "goes")
	n := l.network()
	gone, stays := l.router(map[cloud.NetworkID]string{n: "10.0.0.1/24"}), l.router(map[cloud.NetworkID]string{n: "10.0.0.2/24"})
	l.reconcile()
	delete(l.slice.Routers, gone.ID)
	for range 2 {
		l.reconcile()
	}
	if _, err := netns.Open(l.agent.namespace(gone.ID)); err == nil {
		t.Error("its namespace is still there")
	}
	if items, _ := l.proxy.List(t.Context()); len(items) != 1 || items[0].Key != "router/"+string(stays.ID) {
		t.Errorf("the proxy holds %v", items)
	}
	delete(l.slice.Routers, stays.ID)
	l.reconcile()
	if names, _ := l.f.Namespaces(); !slices.Equal(names, []string{l.f.Namespace()}) {
		t.Errorf("left: %v", names)
	}
}

func TestPoisonStopsNobody(t *testing.T) {
	l := newLab(t, "poison")
	n := l.network()
	foreign := l.router(map[cloud.NetworkID]string{n: "10.0.0.1/24"})
	theirs, err := netns.Create(l.agent.namespace(foreign.ID))
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Delete(theirs.Name())
	defer theirs.Close()
	l.slice.Routers["../etc"] = cloud.DesiredRouter{ID: "../etc"}
	strange := l.router(map[cloud.NetworkID]string{n: "10.0.0.3/24"})
	strange.Ports = append(strange.Ports, "no-such-port", l.port(n, "compute:nova", "x", "10.0.0.9/24").ID)
	l.slice.Routers[strange.ID] = strange
	good := l.router(map[cloud.NetworkID]string{n: "10.0.0.2/24"})

	err = l.agent.reconcile(t.Context(), l.slice)
	if !errors.Is(err, fabric.ErrForeign) || !strings.Contains(err.Error(), string(foreign.ID)) || strings.Contains(err.Error(), string(good.ID)) {
		t.Errorf("reconcile = %v", err)
	}
	up := map[cloud.PortID]bool{}
	for _, r := range l.reports {
		up[r.ID] = r.Up
	}
	if diff := cmp.Diff(map[cloud.PortID]bool{foreign.Ports[0]: false, strange.Ports[0]: true, good.Ports[0]: true}, up); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	if out, _ := inside(theirs, "ip", "-o", "link"); strings.Count(out, "\n") != 1 {
		t.Errorf("the foreign namespace was touched: %s", out)
	}
	l.slice = cloud.NewSlice()
	l.reconcile()
	if _, err := os.Stat(netns.Dir + "/" + theirs.Name()); err != nil {
		t.Errorf("the foreign namespace is gone: %v", err)
	}
}

func TestProxyComesBack(t *testing.T) {
	l := newLab(t, "proxy")
	n := l.network()
	l.router(map[cloud.NetworkID]string{n: "10.0.0.1/24"})
	l.proxy.away = errors.New("proxy is away")
	if err := l.agent.reconcile(t.Context(), l.slice); !errors.Is(err, l.proxy.away) {
		t.Errorf("reconcile = %v", err)
	}
	if len(l.reports) != 1 || !l.reports[0].Up {
		t.Errorf("the router is not there without its proxy: %v", l.reports)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	l.proxy.mu.Lock()
	l.proxy.away = nil
	l.proxy.mu.Unlock()
	go func() { ended <- l.agent.Run(ctx) }()
	l.agent.Update(l.slice)
	deadline := time.After(20 * time.Second)
	for {
		if items, _ := l.proxy.List(ctx); len(items) == 1 {
			break
		}
		select {
		case <-deadline:
			t.Fatal("no listener was handed over")
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A gateway that comes back with another MAC is known to instances at once.
func TestNewLegIsAnnounced(t *testing.T) {
	l := newLab(t, "garp")
	n := l.network()
	r := l.router(map[cloud.NetworkID]string{n: "10.0.0.1/24"})
	l.reconcile()
	vm := l.instance(n, "10.0.0.5/24", "10.0.0.1")
	if out, err := inside(vm, "ping", "-c1", "-W5", "10.0.0.1"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	delete(l.slice.Ports, r.Ports[0])
	leg := l.port(n, cloud.OwnerRouterInterface, string(r.ID), "10.0.0.1/24")
	r.Ports = []cloud.PortID{leg.ID}
	l.slice.Routers[r.ID] = r
	l.reconcile()
	if out, err := inside(vm, "ping", "-c5", "-i0.3", "-W1", "10.0.0.1"); err != nil {
		t.Errorf("after the leg was replaced: %v\n%s", err, out)
	}
	if out, _ := inside(vm, "ip", "neigh", "show", "10.0.0.1"); !strings.Contains(out, string(leg.MAC)) {
		t.Errorf("the instance knows the gateway as %q, want %s", out, leg.MAC)
	}
}
