package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imprint/base/daemon"
	"imprint/base/netns"
	"imprint/host/cloud"
	"imprint/host/dhcpagent"
	"imprint/host/fabric"
	"imprint/host/l3agent"
	"imprint/host/metadataagent"
	"imprint/host/plan"
)

// TestMain makes the test binary the agents' process, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "agents" {
		if err := runAgents(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// mortal is a log that ends the process, as kill -9 does, when it is told of
// the nth change: agents log every change that they make.
type mortal struct {
	slog.Handler
	mu   *sync.Mutex
	left *int
}

func (m mortal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (m mortal) Handle(_ context.Context, r slog.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.Level != slog.LevelInfo {
		return nil
	}
	if *m.left--; *m.left == 0 {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return nil
}

// runAgents runs both agents on the slice in dir, and dies at a change.
func runAgents(dir, dieAt string) error {
	left, err := strconv.Atoi(dieAt)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(filepath.Join(dir, "slice"))
	if err != nil {
		return err
	}
	var s cloud.Slice
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	log := slog.New(mortal{slog.DiscardHandler, &sync.Mutex{}, &left})
	f, err := fabric.New(fabric.Config{Prefix: filepath.Base(dir), StateDir: dir}, log)
	if err != nil {
		return err
	}
	served, proxy := daemon.NewHandover(filepath.Join(dir, "dhcp")), daemon.NewHandover(filepath.Join(dir, "proxy"))
	report := func(cloud.Report) {}
	d := dhcpagent.New(dhcpagent.Config{IsolatedMetadata: true}, f, dhcpagent.Workers{DHCP: served, Proxy: proxy}, report, log)
	l := l3agent.New(l3agent.Config{DHCPMetadata: true}, f, l3agent.Workers{Proxy: proxy, Advertiser: served}, report, log)
	d.Update(s)
	l.Update(s)
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{l.Run, d.Run} {
		running.Go(func() { run(context.Background()) })
	}
	running.Wait()
	return nil
}

// site is where agents are killed: their state directory and their workers.
type site struct {
	*testing.T
	dir    string
	f      *fabric.Fabric
	slice  cloud.Slice
	served *daemon.Handover
	proxy  *daemon.Handover
}

func newSite(t *testing.T, name string, m *cloud.Model) *site {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	s := &site{T: t, dir: filepath.Join(t.TempDir(), fmt.Sprintf("k%d-%s-", os.Getpid()%1e4, name)), slice: plan.For(m, hopNode)}
	must(t, os.MkdirAll(s.dir, 0o700))
	b, err := json.Marshal(s.slice)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(s.dir, "slice"), b, 0o600))
	s.f, err = fabric.New(fabric.Config{Prefix: filepath.Base(s.dir), StateDir: s.dir}, nil)
	must(t, err)
	h := startHopsFor(t, m, metadataagent.Limits{})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		h.stopProxy()
		(&topology{T: t, f: s.f}).tearDown()
	})
	listen := func(name string, serve func(context.Context, string) error) *daemon.Handover {
		running.Go(func() {
			if err := serve(ctx, filepath.Join(s.dir, name)); err != nil {
				t.Error(err)
			}
		})
		w := daemon.NewHandover(filepath.Join(s.dir, name))
		t.Cleanup(func() { w.Close() })
		return w
	}
	s.served = listen("dhcp", func(ctx context.Context, path string) error {
		l, err := daemon.ListenUnix(path, 0o600, -1, -1)
		if err != nil {
			return err
		}
		return dhcpagent.Serve(ctx, l, nil, 0)
	})
	s.proxy = listen("proxy", func(ctx context.Context, path string) error {
		l, err := daemon.ListenUnix(path, 0o600, -1, -1)
		if err != nil {
			return err
		}
		return daemon.ServeHandover(ctx, l, slog.New(slog.DiscardHandler), h.proxy, 0)
	})
	for _, w := range []*daemon.Handover{s.served, s.proxy} {
		for w := w; ; {
			if _, err := w.List(t.Context()); err == nil {
				break
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	return s
}

// agents runs the agents' process until it has killed itself (true) or done
// reports that there is nothing left to do.
func (s *site) agents(dieAt int, want string, done func() bool) bool {
	s.Helper()
	cmd := exec.Command("/proc/self/exe", "agents", s.dir, fmt.Sprint(dieAt))
	cmd.Stderr = s.Output()
	must(s.T, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	began := time.Now()
	for {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				s.Fatalf("the agents ended: %v", err)
			}
			return true
		case <-time.After(20 * time.Millisecond):
		}
		if done() {
			cmd.Process.Kill()
			<-ended
			return false
		}
		if time.Since(began) > 8*time.Second {
			cmd.Process.Kill()
			<-ended
			s.Fatalf("not done after %s; state (-want +got):\n%s", time.Since(began), cmp.Diff(want, s.state()))
		}
	}
}

var changing = regexp.MustCompile(`(?m)^\d+: |@if\d+|link-netnsid \d+|qlen \d+|valid_lft \d+sec|preferred_lft \d+sec|iif \d+`)

var ether = regexp.MustCompile(`link/ether \S+`)

// state is what the stock tools show of all namespaces of the site, and what
// the workers hold.
func (s *site) state() string {
	names, err := s.f.Namespaces()
	must(s.T, err)
	var all strings.Builder
	for _, name := range names {
		fmt.Fprintln(&all, "==", strings.TrimPrefix(name, filepath.Base(s.dir)))
		for _, c := range []string{"ip -o link", "ip -o addr", "ip route", "ip -6 route", "nft -s list ruleset", "ss -Hltun"} {
			out, _ := exec.Command("ip", append([]string{"netns", "exec", name}, strings.Fields(c)...)...).Output()
			lines := strings.Split(changing.ReplaceAllString(string(out), ""), "\n")
			if !strings.HasPrefix(c, "nft") {
				slices.Sort(lines)
			}
			for _, line := range lines {
				// The kernel chooses the MACs of bridges and taps.
				if strings.HasPrefix(line, "brq") || strings.HasPrefix(line, "tap") {
					line = ether.ReplaceAllString(line, "link/ether")
				}
				fmt.Fprintln(&all, strings.ReplaceAll(line, s.f.Name(""), ""))
			}
		}
	}
	for _, w := range []*daemon.Handover{s.served, s.proxy} {
		items, err := w.List(s.Context())
		must(s.T, err)
		for _, i := range items {
			fmt.Fprintln(&all, i.Key)
		}
	}
	return all.String()
}

// TestKilledAtEveryStep kills the agents' process at each change that it makes;
// the next one makes everything as if nothing had been.
func TestKilledAtEveryStep(t *testing.T) {
	m := world("v4-slaac-routed")
	reference := newSite(t, "r", m)
	before, since := "", time.Now()
	reference.agents(0, "", func() bool {
		if now := reference.state(); now != before {
			before, since = now, time.Now()
		}
		return strings.Contains(before, "router/") && strings.Count(before, "network/") == 2 && strings.Contains(before, "advertise/") &&
			time.Since(since) > time.Second
	})
	want := before
	steps := 0
	for at := 1; ; at++ {
		var died bool
		ok := t.Run(fmt.Sprint(at), func(t *testing.T) {
			s := newSite(t, fmt.Sprint(at), m)
			foreign := s.foreign()
			complete := func() bool { return s.state() == want }
			if died = s.agents(at, want, complete); died {
				s.agents(0, want, complete)
			}
			foreign()
		})
		if !ok {
			return
		}
		if !died {
			break
		}
		steps++
	}
	if steps < 12 {
		t.Errorf("only %d steps", steps)
	}
}

// foreign makes things of others, and returns a check that they are untouched.
func (s *site) foreign() func() {
	s.Helper()
	name := filepath.Base(s.dir) + "theirs"
	ns, err := netns.Create(name)
	must(s.T, err)
	s.Cleanup(func() { ns.Close(); netns.Delete(name) })
	for _, c := range []string{"nft add table inet theirs", "ip link add theirs type bridge"} {
		if out, err := run(ns, c); err != nil {
			s.Fatalf("%v %s", err, out)
		}
	}
	return func() {
		s.Helper()
		for c, want := range map[string]string{"nft list tables": "table inet theirs", "ip -o link": "theirs"} {
			if out, err := run(ns, c); err != nil || !strings.Contains(out, want) {
				s.Errorf("%s: %v %s", c, err, out)
			}
		}
	}
}

// TestBrokenByHand breaks one thing after the other; each is mended by the next
// pass, and what others put beside ours stays.
func TestBrokenByHand(t *testing.T) {
	l := realise(t, world("v4-slaac-routed", "v4-isolated"), dhcpagent.Config{IsolatedMetadata: true, Resync: 200 * time.Millisecond},
		l3agent.Config{DHCPMetadata: true, Resync: 200 * time.Millisecond})
	routed, isolated := l.vm("v4-slaac-routed-0"), l.vm("v4-isolated-0")
	l.lease(routed)
	l.lease(isolated)
	check := func(after string) {
		t.Helper()
		l.isWho(routed, url4, "v4-slaac-routed-0")
		l.isWho(routed, url6, "v4-slaac-routed-0")
		l.isWho(isolated, url4, "v4-isolated-0")
		l.isWho(isolated, url6, "v4-isolated-0")
		if t.Failed() {
			t.Fatalf("after: %s", after)
		}
	}
	check("start")
	names, err := l.f.Namespaces()
	must(t, err)
	in := func(kind string) *netns.NS {
		i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, kind) })
		ns, err := netns.Open(names[i])
		must(t, err)
		t.Cleanup(func() { ns.Close() })
		return ns
	}
	for _, kind := range []string{"qrouter-", "qdhcp-", "imprint-fabric"} {
		for _, c := range []string{"nft add table inet theirs", "nft add chain inet theirs c", "nft add table ip " + l3agent.Table} {
			l.inside(in(kind), c)
		}
	}
	for _, c := range []struct{ kind, command string }{
		{"qrouter-", "ip link del QR"}, {"qrouter-", "ip addr flush dev QR"}, {"qrouter-", "ip link set QR down"},
		{"qrouter-", "ip link set QR name other0"}, {"qrouter-", "ip link set QR address 02:00:00:00:00:01"},
		{"qrouter-", "nft flush ruleset"}, {"qrouter-", "nft delete table inet " + l3agent.Table}, {"qrouter-", "sysctl -q net.ipv4.ip_forward=0"},
		{"qdhcp-", "ip link del NS"}, {"qdhcp-", "ip addr flush dev NS"}, {"qdhcp-", "ip link set NS down"},
		{"imprint-fabric", "ip link del TAP"}, {"imprint-fabric", "ip link set TAP down"}, {"imprint-fabric", "ip link set TAP nomaster"},
	} {
		ns := in(c.kind)
		command := c.command
		for mark, prefix := range map[string]string{"QR": "qr-", "NS": "ns-", "TAP": "tap"} {
			command = strings.ReplaceAll(command, mark, l.link(ns, prefix, c.kind))
		}
		if out, err := run(ns, command); err != nil {
			t.Fatalf("%s: %v %s", command, err, out)
		}
		check(command)
	}
	for _, kind := range []string{"qdhcp-", "imprint-fabric"} { // the router's was flushed above
		if out := l.inside(in(kind), "nft list tables"); !strings.Contains(out, "inet theirs") || !strings.Contains(out, "ip "+l3agent.Table) {
			t.Errorf("%s: tables of others are gone: %s", kind, out)
		}
	}
	// Whole namespaces.
	for _, kind := range []string{"qrouter-", "qdhcp-"} {
		i := slices.IndexFunc(names, func(n string) bool { return strings.Contains(n, kind) })
		// The agent may clean up between the two steps of a removal by hand.
		if err := netns.Delete(names[i]); !errors.Is(err, fs.ErrNotExist) {
			must(t, err)
		}
		check("the namespace " + names[i] + " removed")
	}
	// Nothing is wanted any more.
	l.dhcp.Update(cloud.NewSlice())
	l.l3.Update(cloud.NewSlice())
	for began := time.Now(); ; {
		names, err := l.f.Namespaces()
		must(t, err)
		left := slices.DeleteFunc(names, func(n string) bool { return strings.Contains(n, "vm-") || n == l.f.Namespace() })
		if len(left) == 0 {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("left: %v", left)
		}
		<-time.After(20 * time.Millisecond)
	}
	if _, err := netns.Open(names[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if d := cmp.Diff(0, len(l.hops.proxy.List())); d != "" {
		t.Errorf("the proxy still holds: %s", d)
	}
}

// link is the first link in ns whose name begins so: for a tap, one of an agent.
func (l *topology) link(ns *netns.NS, prefix, kind string) string {
	l.Helper()
	for line := range strings.Lines(l.inside(ns, "ip -o link")) {
		f := strings.Fields(line)
		name, _, _ := strings.Cut(strings.TrimSuffix(f[1], ":"), "@")
		agents := kind != "imprint-fabric" || strings.Contains(line, "group 1768779777") // trusted
		if strings.HasPrefix(name, prefix) && agents {
			return name
		}
	}
	return "none"
}
