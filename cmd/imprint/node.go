package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"imprint/base/daemon"
	"imprint/host/cloud"
	"imprint/host/computeagent"
	"imprint/host/config"
	"imprint/host/configdrive"
	"imprint/host/container"
	"imprint/host/dhcpagent"
	"imprint/host/fabric"
	"imprint/host/feed"
	"imprint/host/l3agent"
	"imprint/host/metadataagent"
)

// node is what a process runs of a node: some of its agents, all fed with the
// same slice.
type node struct {
	*process
	name    string
	feed    *feed.Client
	fabric  *fabric.Fabric
	workers []*supervised
	fed     chan struct{} // closed when the agents know what they are to do
	apply   []func(cloud.Slice)
}

// newNode makes a node without agents. dial connects to the feed.
func newNode(p *process, name string, dial func(context.Context) (net.Conn, error)) *node {
	n := &node{process: p, name: name, feed: &feed.Client{Dial: dial, Log: p.part("feed")}, fed: make(chan struct{})}
	n.ready = append(n.ready, n.fed)
	n.told = append(n.told, "node", name)
	n.addTask("feed", n.follow)
	return n
}

// nodeName is the name of the machine's node.
func nodeName(c config.Config) (string, error) {
	if c.Node.Name != "" {
		return c.Node.Name, nil
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "", fmt.Errorf("this machine has no host name, and node.name is not configured: %w", err)
	}
	return name, nil
}

// follow gives the agents what they are to do, once their workers are there.
func (n *node) follow(ctx context.Context) error {
	for _, w := range n.workers {
		select {
		case <-w.there:
		case <-ctx.Done():
			return nil
		}
	}
	first := sync.OnceFunc(func() { close(n.fed) })
	return n.feed.Run(ctx, func(s cloud.Slice) {
		for _, apply := range n.apply {
			apply(s)
		}
		first()
	})
}

// openFabric opens the bridges of the node, which its agents share.
func (n *node) openFabric() error {
	if n.fabric != nil {
		return nil
	}
	if err := n.makeDirs(networkDir, runDir); err != nil {
		return err
	}
	f, err := fabric.New(fabric.Config{Prefix: n.conf.Network.Prefix, StateDir: n.dir.file(networkDir)}, n.part("fabric"))
	if err != nil {
		return err
	}
	if err := f.Check(); err != nil {
		return fmt.Errorf("%w (is another Imprint running with the same network.name_prefix, or was its state directory removed?)", err)
	}
	n.fabric = f
	return nil
}

// addNetwork adds the L3 agent, the DHCP agent and their workers.
func (n *node) addNetwork() error {
	if err := n.openFabric(); err != nil {
		return err
	}
	log := logOf(n.conf)
	proxy := n.addWorker("proxy", n.conf.Metadata.ProxyUser, workerArgs(proxyWorker, log, agentSocket(n.conf, n.dir.path)))
	dhcp := n.addWorker("dhcp", n.conf.DHCP.User, workerArgs(dhcpWorker, log))
	l3 := l3agent.New(l3Settings(n.conf), n.fabric,
		l3agent.Workers{Proxy: proxy.handover, Advertiser: dhcp.handover}, n.feed.Report, n.part("l3-agent"))
	dhcpAgent := dhcpagent.New(dhcpSettings(n.conf), n.fabric,
		dhcpagent.Workers{DHCP: dhcp.handover, Proxy: proxy.handover}, n.feed.Report, n.part("dhcp-agent"))
	n.apply = append(n.apply, l3.Update, dhcpAgent.Update)
	n.changed = append(n.changed, func(c config.Config) {
		dhcpAgent.Configure(dhcpSettings(c))
		l3.Configure(l3Settings(c))
	})
	n.addTask("l3 agent", l3.Run)
	n.addTask("dhcp agent", dhcpAgent.Run)
	again := func() { l3.Again(); dhcpAgent.Again() }
	n.superviseWorker(proxy, again)
	n.superviseWorker(dhcp, again)
	n.remove = append(n.remove, n.removeNetworks)
	return nil
}

// removeNetworks removes the namespaces and ports of the network agents.
func (n *node) removeNetworks() error {
	names, err := n.fabric.Namespaces()
	errs := []error{err}
	for _, name := range names {
		if name != n.fabric.Namespace() {
			errs = append(errs, n.fabric.RemoveNamespace(name))
		}
	}
	return joinErrors(append(errs, n.fabric.Sweep(fabric.Router, nil), n.fabric.Sweep(fabric.DHCP, nil), n.fabric.RemoveIdle())...)
}

// dhcpSettings are the DHCP agent's part of the configuration.
func dhcpSettings(c config.Config) dhcpagent.Config {
	return dhcpagent.Config{
		ForceMetadata: c.DHCP.ForceMetadata, IsolatedMetadata: c.DHCP.IsolatedMeta,
		Domain: c.DHCP.Domain, Lease: time.Duration(c.DHCP.LeaseSeconds) * time.Second,
	}
}

// l3Settings are the L3 agent's part of the configuration.
func l3Settings(c config.Config) l3agent.Config {
	return l3agent.Config{DHCPMetadata: c.DHCP.ForceMetadata || c.DHCP.IsolatedMeta}
}

// addCompute adds the compute agent and its driver.
func (n *node) addCompute() error {
	if err := n.openFabric(); err != nil {
		return err
	}
	if err := n.makeDirs(instancesDir); err != nil {
		return err
	}
	guest, err := guestProgram(n.conf)
	if err != nil {
		return err
	}
	driver := container.New(container.Config{
		Dir: n.dir.file(instancesDir), Guest: guest, MaxProcesses: n.conf.Compute.PIDs,
		Cgroup: cgroupName(n.conf.Network.Prefix), Log: n.part("container"),
	})
	agent := computeagent.New(computeagent.Config{
		Driver: driver, Ports: n.fabric, Report: n.feed.Report, Dir: n.dir.file(instancesDir),
		Drive: configdrive.Volume{
			Format: configdrive.Format(n.conf.Compute.DriveFormat), Publisher: "Imprint " + version(),
			Skip: strings.Fields(n.conf.Compute.DriveSkips),
		},
		RefreshDrives: n.conf.Compute.DriveRefresh, Trees: n.conf.Compute.Trees, KeepInstances: n.keep, Log: n.part("compute-agent"),
	})
	n.feed.Console = func(_ context.Context, id cloud.ServerID, lines int) (string, error) {
		return driver.Console(id, lines)
	}
	n.apply = append(n.apply, agent.Apply)
	n.addTask("compute agent", agent.Run)
	n.remove = append(n.remove, func() error {
		return joinErrors(n.fabric.Sweep(fabric.Instance, nil), n.fabric.RemoveIdle())
	})
	return nil
}

// checkCompute finds out whether instances can run on this machine.
func checkCompute(p *process) error {
	if err := checkKernel(); err != nil {
		return err
	}
	if _, err := guestProgram(p.conf); err != nil {
		return err
	}
	return joinErrors(container.New(container.Config{Dir: p.dir.path, Cgroup: cgroupName(p.conf.Network.Prefix)}).Check())
}

// guestProgram finds imprint-guest.
func guestProgram(c config.Config) (string, error) {
	path := c.Compute.Guest
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("find this program: %w", err)
		}
		path = filepath.Join(filepath.Dir(self), "imprint-guest")
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0 {
		return "", fmt.Errorf("the guest program %s is not there (configuration key compute.guest)", path)
	}
	return path, nil
}

// addMetadataAgent adds the metadata agent, which hears the proxy on l and asks
// the services with the secret.
func (n *node) addMetadataAgent(services []string, secret string) error {
	agent, err := metadataagent.New(metadataagent.Config{
		Services: services, Secret: secret, ProxyUID: uint32(n.conf.Metadata.ProxyUser),
	}, n.part("metadata-agent"))
	if err != nil {
		return fmt.Errorf("metadata agent: %w", err)
	}
	path := agentSocket(n.conf, n.dir.path)
	l, err := n.listenForProxy(path)
	if err != nil {
		return fmt.Errorf("metadata agent: %w (configuration key metadata.proxy_socket)", err)
	}
	n.apply = append(n.apply, agent.Update)
	n.addTask("metadata agent", func(ctx context.Context) error { return agent.Run(ctx, l) })
	n.remove = append(n.remove, func() error { return removeFile(path) })
	return nil
}

// listenForProxy opens the metadata agent's socket. Root gives it to the
// proxy's user; another user lets all connect, and the agent hears the proxy
// alone.
func (n *node) listenForProxy(path string) (net.Listener, error) {
	if os.Geteuid() == 0 {
		return daemon.ListenUnix(path, 0o600, n.conf.Metadata.ProxyUser, n.conf.Metadata.ProxyUser)
	}
	return daemon.ListenUnix(path, 0o666, -1, -1)
}

// shortHash tells paths apart in a name.
func shortHash(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:4])
}

// agentSocket is where the proxy finds the metadata agent. By default it is
// outside the state directory, which the proxy cannot enter.
func agentSocket(c config.Config, stateDir string) string {
	if c.Metadata.ProxySocket != "" {
		return c.Metadata.ProxySocket
	}
	return filepath.Join("/run", c.Network.Prefix+"imprint-metadata-"+shortHash(stateDir)+".sock")
}
