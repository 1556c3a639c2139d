// Package lab sets topologies up and asks through them: several packages
// joined as the programs join them, in one process.
package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"imprint/base/daemon"
	"imprint/base/openstack"
	"imprint/host/cloud"
	"imprint/host/metadata"
	"imprint/host/metadataagent"
	"imprint/host/nsproxy"
	"imprint/host/plan"
)

// hops is the way of a request in one process: proxy, unix socket, agent,
// loopback, service; each with a log of its own.
type hops struct {
	socket                        string // the agent's
	proxy                         *nsproxy.Proxy
	proxyLog, agentLog, served    lockedBuffer
	stopProxy, stopAgent, stopAll func()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// requests returns the log's lines about requests, in their order.
func (l *lockedBuffer) requests(t *testing.T) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []map[string]any
	for line := range strings.Lines(l.b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["trace_id"] != nil {
			all = append(all, m)
		}
	}
	return all
}

// still is a model that does not change.
type still struct{ model *cloud.Model }

func (s still) View(f func(*cloud.Model)) { f(s.model) }

func (s still) Changes(context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	c <- struct{}{}
	return c
}

type noBlobs struct{}

func (noBlobs) ReadAll(d cloud.Digest, _ int64) ([]byte, error) {
	return nil, fmt.Errorf("no blob %s", d)
}

const (
	hopSecret = "a secret between hops"
	hopNode   = "node"
	hopNetA   = cloud.NetworkID("aaaaaaaa-0000-4000-8000-000000000001")
	hopNetB   = cloud.NetworkID("bbbbbbbb-0000-4000-8000-000000000002")
	hopRouter = cloud.RouterID("dddddddd-0000-4000-8000-000000000004")
)

// hopModel has two networks with the same addresses; a router on the first.
func hopModel() *cloud.Model {
	m := cloud.NewModel()
	put := func(r cloud.Record) { m.Apply(cloud.Change{Record: r}) }
	put(&cloud.Node{Name: hopNode, Network: true})
	put(&cloud.Router{RouterID: hopRouter})
	port := func(id string, n cloud.NetworkID, addr, owner, device string) {
		put(&cloud.Port{
			PortID: cloud.PortID(id), NetworkID: n, ProjectID: "p-" + cloud.ProjectID(n), DeviceOwner: owner, DeviceID: device, Host: hopNode,
			FixedIPs: []cloud.FixedIP{{SubnetID: cloud.SubnetID("s-" + n), Addr: netip.MustParseAddr(addr)}},
		})
	}
	for _, n := range []cloud.NetworkID{hopNetA, hopNetB} {
		put(&cloud.Network{NetworkID: n})
		put(&cloud.Subnet{SubnetID: cloud.SubnetID("s-" + n), NetworkID: n, CIDR: netip.MustParsePrefix("127.0.0.0/24")})
		port("dhcp-"+string(n), n, "127.0.0.3", cloud.OwnerDHCP, "dhcp")
		for i, addr := range []string{"127.0.0.1", "127.0.0.2"} {
			id := cloud.ServerID(fmt.Sprintf("%s-%d", n, i))
			port("port-"+string(id), n, addr, cloud.OwnerComputePrefix+"nova", string(id))
			put(&cloud.Server{
				ServerID: id, ProjectID: "p-" + cloud.ProjectID(n), Name: string(id), HostName: string(id),
				Number: int64(i), Ports: []cloud.PortID{cloud.PortID("port-" + id)},
			})
		}
	}
	port("leg", hopNetA, "127.0.0.4", cloud.OwnerRouterInterface, string(hopRouter))
	return m
}

func startHops(t testing.TB) *hops { return startHopsFor(t, hopModel(), metadataagent.Limits{}) }

// startHopsFor serves the instances of a model.
func startHopsFor(t testing.TB, m *cloud.Model, limits metadataagent.Limits) *hops {
	t.Helper()
	h := &hops{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	run := func(what string, f func() error) {
		running.Go(func() {
			if err := f(); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
	index := metadata.NewIndex(metadata.Site{Domain: "novalocal"}, still{m}, noBlobs{}, nil)
	service, err := metadata.NewService(index, hopSecret, h.served.logger())
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run("index", func() error { return index.Run(ctx) })
	<-index.Ready()
	run("service", func() error { return service.Run(ctx, tcp) })

	socket := filepath.Join(t.TempDir(), "metadata")
	h.socket = socket
	agent, err := metadataagent.New(metadataagent.Config{
		Services: []string{tcp.Addr().String()}, Secret: hopSecret, ProxyUID: uint32(os.Getuid()), Limits: limits,
	}, h.agentLog.logger())
	if err != nil {
		t.Fatal(err)
	}
	agent.Update(plan.For(m, hopNode))
	unix, err := daemon.ListenUnix(socket, 0o600, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	agentCtx, stopAgent := context.WithCancel(ctx)
	agentEnded := make(chan struct{})
	run("agent", func() error { defer close(agentEnded); return agent.Run(agentCtx, unix) })
	h.stopAgent = func() { stopAgent(); <-agentEnded }

	h.proxy = nsproxy.New(socket, nsproxy.DefaultLimits(), h.proxyLog.logger())
	h.stopProxy = sync.OnceFunc(h.proxy.Close)
	h.stopAll = sync.OnceFunc(func() { h.stopProxy(); cancel(); running.Wait() })
	t.Cleanup(h.stopAll)
	return h
}

func (h *hops) listen(t testing.TB, key string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.proxy.Put(daemon.Item{Key: key}, []*os.File{f}); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// curl asks from a loopback address that plays the instance's.
func curl(t *testing.T, from, address, path string, header http.Header) (int, string) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	req, err := http.NewRequest("GET", "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestMetadataHops(t *testing.T) {
	h := startHops(t)
	byRouter := h.listen(t, "router/"+string(hopRouter))
	byNetwork := h.listen(t, "network/"+string(hopNetB))
	forged := http.Header{}
	for _, name := range []string{"X-Forwarded-For", "X-Instance-ID", "X_Instance_ID", "X-Tenant-ID", "X-Neutron-Router-ID", "X-Neutron-Network-ID"} {
		forged.Set(name, "127.0.0.2")
	}
	for name, c := range map[string]struct {
		from, to string
		header   http.Header
		server   string // "" for none
	}{
		"router way":                    {"127.0.0.1", byRouter, nil, string(hopNetA) + "-0"},
		"DHCP way, same address":        {"127.0.0.1", byNetwork, nil, string(hopNetB) + "-0"},
		"second instance":               {"127.0.0.2", byRouter, nil, string(hopNetA) + "-1"},
		"forged headers":                {"127.0.0.1", byRouter, forged, string(hopNetA) + "-0"},
		"the DHCP port's address":       {"127.0.0.3", byNetwork, nil, ""},
		"the router's address":          {"127.0.0.4", byRouter, nil, ""},
		"an address of nobody":          {"127.0.0.9", byRouter, nil, ""},
		"router's address on the other": {"127.0.0.4", byNetwork, nil, ""},
	} {
		status, body := curl(t, c.from, c.to, "/openstack/latest/meta_data.json", c.header.Clone())
		if c.server == "" {
			if status != http.StatusNotFound {
				t.Errorf("%s: %d", name, status)
			}
			continue
		}
		m, err := openstack.ParseMetaData([]byte(body))
		if status != http.StatusOK || err != nil || m.UUID != c.server || m.Hostname != c.server+".novalocal" {
			t.Errorf("%s: %d %v %q, want %s", name, status, err, m.UUID, c.server)
		}
	}
}

func TestOneTraceOverAllHops(t *testing.T) {
	h := startHops(t)
	address := h.listen(t, "router/"+string(hopRouter))
	for i := range 5 {
		if status, _ := curl(t, "127.0.0.2", address, fmt.Sprintf("/latest/meta-data/hostname?%d", i), nil); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	h.stopAll()
	taken, forwarded, served := h.proxyLog.requests(t), h.agentLog.requests(t), h.served.requests(t)
	if len(taken) != len(forwarded) || len(taken) != len(served) || len(taken) < 5 {
		t.Fatalf("%d, %d, %d lines", len(taken), len(forwarded), len(served))
	}
	seen := map[any]bool{}
	for i := range taken {
		id := taken[i]["trace_id"]
		if id != forwarded[i]["trace_id"] || id != served[i]["trace_id"] || seen[id] {
			t.Errorf("request %d: traces %v, %v, %v", i, id, forwarded[i]["trace_id"], served[i]["trace_id"])
		}
		seen[id] = true
	}
	last := len(taken) - 1
	if taken[last]["client"] != "127.0.0.2" || forwarded[last]["server_id"] != string(hopNetA)+"-1" || served[last]["server_id"] != string(hopNetA)+"-1" {
		t.Errorf("%v\n%v\n%v", taken[last], forwarded[last], served[last])
	}
	for _, log := range []string{h.proxyLog.b.String(), h.agentLog.b.String(), h.served.b.String()} {
		if strings.Contains(log, hopSecret) || strings.Contains(log, cloud.Signature(hopSecret, cloud.ServerID(hopNetA)+"-1")) {
			t.Error("a log tells the secret or a signature")
		}
	}
}

func TestAgentGoneKeepsListeners(t *testing.T) {
	h := startHops(t)
	address := h.listen(t, "router/"+string(hopRouter))
	h.stopAgent()
	status, body := curl(t, "127.0.0.1", address, "/latest", nil)
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "agent does not answer") {
		t.Errorf("%d %q", status, body)
	}
	if len(h.proxy.List()) != 1 {
		t.Error("the proxy let go of its listener")
	}
}
