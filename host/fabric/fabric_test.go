package fabric

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imprint/base/netdev"
	"imprint/base/netns"
	"imprint/host/cloud"
)

// lab is a fabric of a test's own.
type lab struct {
	*testing.T
	f *Fabric
}

func newLab(t *testing.T, prefix string) *lab {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	f, err := New(Config{Prefix: fmt.Sprintf("t%d-%s-", os.Getpid()%1e5, prefix), StateDir: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t, f}
	t.Cleanup(func() {
		names, err := f.Namespaces()
		l.must(err)
		for _, name := range names {
			if name != f.Namespace() {
				l.must(f.RemoveNamespace(name))
			}
		}
		l.must(f.Remove())
		if _, err := netns.Open(f.Namespace()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("fabric is left behind: %v", err)
		}
	})
	return l
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Error(err)
	}
}

// namespace makes one of the lab's own.
func (l *lab) namespace(name string) *netns.NS {
	l.Helper()
	ns, err := l.f.EnsureNamespace(l.f.Name(name))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { ns.Close() })
	return ns
}

func port(network cloud.NetworkID, owner string, mac cloud.MAC, addrs ...string) cloud.DesiredPort {
	p := cloud.DesiredPort{ID: cloud.PortID(cloud.NewUUID()), NetworkID: network, MAC: mac, Owner: owner, Local: true}
	for _, a := range addrs {
		p.Addrs = append(p.Addrs, cloud.PortAddr{Prefix: netip.MustParsePrefix(a)})
	}
	return p
}

// state is everything that the stock tools show of a namespace.
func (l *lab) state(ns string) string {
	l.Helper()
	var all strings.Builder
	for _, args := range [][]string{
		{"ip", "-j", "-p", "link"}, {"ip", "-j", "-p", "addr"}, {"ip", "route"}, {"nft", "list", "ruleset"},
	} {
		out, err := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...).CombinedOutput()
		if err != nil {
			l.Fatalf("%v: %v\n%s", args, err, out)
		}
		all.Write(out)
	}
	return all.String()
}

// links are the names and aliases that the stock tool shows, without lo.
func (l *lab) links(ns string) map[string]string {
	l.Helper()
	out, err := exec.Command("ip", "-n", ns, "-j", "link").Output()
	l.must(err)
	var all []struct{ Ifname, Ifalias string }
	l.must(json.Unmarshal(out, &all))
	found := map[string]string{}
	for _, link := range all {
		if link.Ifname != "lo" {
			found[link.Ifname] = link.Ifalias
		}
	}
	return found
}

func TestPlugTwiceChangesNothing(t *testing.T) {
	l := newLab(t, "twice")
	network := cloud.NetworkID(cloud.NewUUID())
	vm := port(network, "compute:nova", "fa:16:3e:00:00:01", "10.0.0.5/24", "2001:db8::5/64")
	dhcp := port(network, cloud.OwnerDHCP, "fa:16:3e:00:00:02", "10.0.0.2/24")
	a, b := l.namespace("a"), l.namespace("b")
	plug := func() {
		t.Helper()
		l.must(l.f.Plug(Plug{Port: vm, MTU: 1450, Target: a, Name: "eth0"}))
		l.must(l.f.Plug(Plug{Port: dhcp, MTU: 1450, Target: b, Name: PortLink(dhcp)}))
	}
	plug()
	before := l.state(l.f.Namespace()) + l.state(a.Name()) + l.state(b.Name())
	plug()
	if diff := cmp.Diff(before, l.state(l.f.Namespace())+l.state(a.Name())+l.state(b.Name())); diff != "" {
		t.Errorf("second Plug (-before +after):\n%s", diff)
	}
	p := l.f.maker
	want := map[string]string{
		"brq" + cloud.Short(network): p + ":network:" + string(network),
		"tap" + cloud.Short(vm.ID):   p + ":instance:" + string(vm.ID),
		"tap" + cloud.Short(dhcp.ID): p + ":dhcp:" + string(dhcp.ID),
	}
	if diff := cmp.Diff(want, l.links(l.f.Namespace())); diff != "" {
		t.Errorf("links of the fabric (-want +got):\n%s", diff)
	}

	// What an instance did to its own end stays; an agent's end is mended.
	run(t, a, "ip link set eth0 name mine && ip link set mine mtu 1000")
	run(t, b, "ip link set "+PortLink(dhcp)+" mtu 1000")
	plug()
	if _, there := l.links(a.Name())["mine"]; !there {
		t.Error("the instance's link was taken from it")
	}
	if got := l.state(b.Name()); strings.Contains(got, `"mtu": 1000`) {
		t.Errorf("the agent's link is not mended:\n%s", got)
	}
}

func run(t *testing.T, ns *netns.NS, script string) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", ns.Name(), "bash", "-ec", script).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

func TestPlugMovesAndFollows(t *testing.T) {
	l := newLab(t, "move")
	vm := port(cloud.NetworkID(cloud.NewUUID()), "compute:nova", "fa:16:3e:00:00:01", "10.0.0.5/24")
	first, second := l.namespace("a"), l.namespace("b")
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1450, Target: first, Name: "eth0"}))
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1400, Target: second, Name: "eth0"}))
	if len(l.links(first.Name())) != 0 || len(l.links(second.Name())) != 1 {
		t.Errorf("links %v and %v", l.links(first.Name()), l.links(second.Name()))
	}
	vm.Addrs[0].Prefix = netip.MustParsePrefix("10.0.0.6/24")
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1400, Target: second, Name: "eth0"}))
	rules := l.state(l.f.Namespace())
	if strings.Contains(rules, "10.0.0.5") || !strings.Contains(rules, "10.0.0.6") {
		t.Errorf("rules do not follow the port's address:\n%s", rules)
	}
	l.must(l.f.Unplug(vm.ID))
	l.must(l.f.Unplug(vm.ID))
	if rules := l.state(l.f.Namespace()); strings.Contains(rules, "10.0.0.6") || strings.Contains(rules, "tap") {
		t.Errorf("left after Unplug:\n%s", rules)
	}
}

func TestSweep(t *testing.T) {
	l := newLab(t, "sweep")
	network, other := cloud.NetworkID(cloud.NewUUID()), cloud.NetworkID(cloud.NewUUID())
	kept := port(network, "compute:nova", "fa:16:3e:00:00:01")
	gone := port(other, "compute:nova", "fa:16:3e:00:00:02")
	dead := port(network, "compute:nova", "fa:16:3e:00:00:03")
	router := port(network, cloud.OwnerRouterInterface, "fa:16:3e:00:00:04")
	a, b := l.namespace("a"), l.namespace("b")
	l.must(l.f.Plug(Plug{Port: kept, MTU: 1450, Target: a, Name: "eth0"}))
	l.must(l.f.Plug(Plug{Port: gone, MTU: 1450, Target: a, Name: "eth1"}))
	l.must(l.f.Plug(Plug{Port: dead, MTU: 1450, Target: a, Name: "eth2"}))
	l.must(l.f.Plug(Plug{Port: router, MTU: 1450, Target: b, Name: PortLink(router)}))
	run(t, a, "ip link del eth2")

	for range 2 {
		l.must(l.f.Sweep(Instance, map[cloud.PortID]bool{kept.ID: true, dead.ID: true}))
	}
	want := []string{bridgeName(network), tapName(kept.ID), tapName(router.ID)}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(l.links(l.f.Namespace()))); !slices.Equal(got, want) {
		t.Errorf("links %v, want %v", got, want)
	}
	rules := l.state(l.f.Namespace())
	if strings.Contains(rules, tapName(dead.ID)) || !strings.Contains(rules, "jump "+tapName(kept.ID)) {
		t.Errorf("rules after Sweep:\n%s", rules)
	}
	l.must(l.f.Sweep(Instance, nil))
	l.must(l.f.Sweep(Router, nil))
	if got := l.links(l.f.Namespace()); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestForeignThingsStay(t *testing.T) {
	l := newLab(t, "foreign")
	vm := port(cloud.NetworkID(cloud.NewUUID()), "compute:nova", "fa:16:3e:00:00:01")
	a := l.namespace("a")
	l.must(l.f.with(true, func(s *session) error { return s.ensureNetwork(vm.NetworkID, 1450) }))
	fabric, err := netns.Open(l.f.Namespace())
	if err != nil {
		t.Fatal(err)
	}
	defer fabric.Close()
	tap := tapName(vm.ID)

	run(t, fabric, "ip link add "+tap+" type bridge")
	refused(t, l.f.Plug(Plug{Port: vm, MTU: 1450, Target: a, Name: "eth0"}), tap)
	refused(t, l.f.Unplug(vm.ID), tap)
	l.must(l.f.Sweep(Instance, nil))
	refused(t, l.f.Remove(), tap)
	if _, there := l.links(fabric.Name())[tap]; !there {
		t.Error("a link of others is gone")
	}
	run(t, fabric, "ip link del "+tap)

	run(t, a, "ip link add eth0 type bridge")
	refused(t, l.f.Plug(Plug{Port: vm, MTU: 1450, Target: a, Name: "eth0"}), "eth0")
	run(t, a, "ip link del eth0")
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1450, Target: a, Name: "eth0"}))
}

func refused(t *testing.T, err error, name string) {
	t.Helper()
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v, want ErrForeign with %s", err, name)
	}
}

func TestNamespaces(t *testing.T) {
	l := newLab(t, "names")
	name := l.f.Name("x")
	theirs, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.f.EnsureNamespace(name)
	refused(t, err, name)
	l.must(l.f.RemoveNamespace(name))
	theirs.Close()
	l.must(netns.Delete(name)) // it was still there

	ours, err := l.f.EnsureNamespace(name)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := ours.ID()
	ours.Close()
	again, err := l.f.EnsureNamespace(name)
	if err != nil {
		t.Fatal(err)
	}
	if now, _ := again.ID(); now != id {
		t.Error("a second EnsureNamespace made another one")
	}
	again.Close()

	// Killed between the record and the name: with nothing there, and with a
	// file that nothing is mounted on.
	l.must(netns.Delete(name))
	again, err = l.f.EnsureNamespace(name)
	l.must(err)
	again.Close()
	l.must(netns.Delete(name))
	l.must(os.WriteFile(filepath.Join(netns.Dir, name), nil, 0))
	again, err = l.f.EnsureNamespace(name)
	l.must(err)
	again.Close()

	// A record that a loss of power spoilt is none: what is there is not ours.
	l.must(os.WriteFile(l.f.owned.path(name), nil, 0o600))
	_, err = l.f.EnsureNamespace(name)
	refused(t, err, name)
	l.must(netns.Delete(name)) // as the power's loss did
	again, err = l.f.EnsureNamespace(name)
	l.must(err)
	again.Close()

	names, err := l.f.Namespaces()
	if err != nil || !slices.Equal(names, []string{name}) {
		t.Errorf("Namespaces = %v, %v", names, err)
	}
}

// Somebody takes the name between our look and our making: no record is left
// that would make theirs ours.
func TestNameTakenMeanwhile(t *testing.T) {
	l := newLab(t, "taken")
	other, err := l.f.EnsureNamespace(l.f.Name("y"))
	l.must(err)
	other.Close()
	name := l.f.Name("x")
	theirs, err := netns.Create(name)
	l.must(err)
	defer theirs.Close()
	t.Cleanup(func() { netns.Delete(name) })
	_, err = netns.CreateAfter(name, func(ns *netns.NS) error { return l.f.owned.sign(name, ns) })
	if !errors.Is(err, fs.ErrExist) {
		t.Fatalf("the name was taken twice: %v", err)
	}
	_, err = l.f.EnsureNamespace(name)
	refused(t, err, name)
	l.must(l.f.RemoveNamespace(name))
	if _, err := netns.Open(name); err != nil {
		t.Errorf("their namespace is gone: %v", err)
	}
}

// The kernel puts devices of its own into every namespace; they are no reason
// to keep one.
func TestRemoveTakesTheKernelsOwnAlong(t *testing.T) {
	l := newLab(t, "tunl")
	a := l.namespace("a")
	vm := port(cloud.NetworkID(cloud.NewUUID()), "compute:nova", "fa:16:3e:00:00:01", "10.0.0.5/24")
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1450, Target: a, Name: "eth0"}))
	ns, err := netns.Open(l.f.Namespace())
	l.must(err)
	defer ns.Close()
	run(t, ns, "ip tuntap add tunl0 mode tun")
	l.must(l.f.Remove())
	if _, err := netns.Open(l.f.Namespace()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the fabric is still there: %v", err)
	}
}

// A fabric that an agent still has a port in stays.
func TestRemoveIdle(t *testing.T) {
	l := newLab(t, "idle")
	vm := port(cloud.NetworkID(cloud.NewUUID()), "compute:nova", "fa:16:3e:00:00:01")
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1450, Target: l.namespace("a"), Name: "eth0"}))
	l.must(l.f.RemoveIdle())
	if len(l.links(l.f.Namespace())) != 2 {
		t.Errorf("links left: %v", l.links(l.f.Namespace()))
	}
	l.must(l.f.Unplug(vm.ID))
	l.must(l.f.RemoveIdle())
	if _, err := netns.Open(l.f.Namespace()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the idle fabric is still there: %v", err)
	}
}

// A tap that a killed process left without its mark is taken for ours.
func TestUnfinishedIsFinished(t *testing.T) {
	l := newLab(t, "half")
	vm := port(cloud.NetworkID(cloud.NewUUID()), "compute:nova", "fa:16:3e:00:00:01")
	a := l.namespace("a")
	l.must(l.f.with(true, func(s *session) error {
		l.must(s.h.AddBridge(bridgeName(vm.NetworkID), groupOurs))
		return s.h.AddVeth(netdev.Veth{Name: tapName(vm.ID), Group: groupOurs, PeerName: "eth0", PeerNS: a})
	}))
	l.must(l.f.Plug(Plug{Port: vm, MTU: 1450, Target: a, Name: "eth0"}))
	want := map[string]string{
		bridgeName(vm.NetworkID): l.f.mark(kindNetwork, string(vm.NetworkID)),
		tapName(vm.ID):           l.f.mark(string(Instance), string(vm.ID)),
	}
	if diff := cmp.Diff(want, l.links(l.f.Namespace())); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
}

func TestPlugRefusesNonsense(t *testing.T) {
	l := newLab(t, "bad")
	a := l.namespace("a")
	good := Plug{Port: port(cloud.NetworkID(cloud.NewUUID()), "compute:nova", "fa:16:3e:00:00:01"), MTU: 1450, Target: a, Name: "eth0"}
	for name, spoil := range map[string]func(*Plug){
		"id":      func(p *Plug) { p.Port.ID = "../x" },
		"network": func(p *Plug) { p.Port.NetworkID = "n" },
		"mac":     func(p *Plug) { p.Port.MAC = "fa:16" },
		"name":    func(p *Plug) { p.Name = "a-name-of-16-chr" },
		"target":  func(p *Plug) { p.Target = nil },
		"mtu":     func(p *Plug) { p.MTU = 5 },
	} {
		bad := good
		spoil(&bad)
		if err := l.f.Plug(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	l.must(l.f.Plug(good))
}

// Two agents of a node are two processes: nothing that one does is lost.
func TestAgentsAtTheSameTime(t *testing.T) {
	l := newLab(t, "par")
	network := cloud.NetworkID(cloud.NewUUID())
	dir := filepath.Dir(l.f.dir)
	var agents sync.WaitGroup
	var want []string
	for i := range 4 {
		f, err := New(Config{Prefix: l.f.prefix, StateDir: dir}, nil)
		l.must(err)
		ns := l.namespace(fmt.Sprint("n", i))
		var ports []cloud.DesiredPort
		for j := range 5 {
			p := port(network, "compute:nova", cloud.MAC(fmt.Sprintf("fa:16:3e:00:%02x:%02x", i, j)))
			ports, want = append(ports, p), append(want, "jump "+tapName(p.ID))
		}
		agents.Go(func() {
			for j, p := range ports {
				l.must(f.Plug(Plug{Port: p, MTU: 1450, Target: ns, Name: fmt.Sprint("eth", j)}))
				l.must(f.Sweep(Router, nil))
			}
		})
	}
	agents.Wait()
	rules := l.state(l.f.Namespace())
	for _, jump := range want {
		if !strings.Contains(rules, jump) {
			t.Errorf("no %q", jump)
		}
	}
}
