package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"imprint/host/api"
	"imprint/host/blob"
	"imprint/host/cloud"
	"imprint/host/computeagent"
	"imprint/host/config"
	"imprint/host/configdrive"
	"imprint/host/container"
	"imprint/host/dhcpagent"
	"imprint/host/fabric"
	"imprint/host/feed"
	"imprint/host/identity"
	"imprint/host/l3agent"
	"imprint/host/metadata"
	"imprint/host/metadataagent"
	"imprint/host/store"
)

// node is a cloud of one node: every role and every agent, joined.
type node struct {
	name string
	dir  *stateDir
	log  *slog.Logger

	mu   sync.Mutex // guards conf
	conf config.Config

	secrets secrets
	store   *store.Store
	blobs   *blob.Store
	fabric  *fabric.Fabric
	proxy   *supervised
	dhcp    *supervised
	feed    *feed.Client
	driver  *container.Driver
	index   *metadata.Index

	metadataAgent *metadataagent.Agent
	dhcpAgent     *dhcpagent.Agent
	l3Agent       *l3agent.Agent
	computeAgent  *computeagent.Agent
}

// secrets of an Imprint; each in a file of its own.
type secrets struct {
	adminPassword, metadata string
	token                   []byte
}

// newNode opens the state and makes the roles' and agents' values; nothing
// runs yet.
func newNode(ctx context.Context, conf config.Config, dir *stateDir, log *slog.Logger) (*node, error) {
	n := &node{conf: conf, dir: dir, log: log}
	for _, step := range []func(context.Context) error{
		n.findName, n.makeDirs, n.openSecrets, n.openStore, n.bootstrap, n.writeCredentials, n.makeWorkers, n.makeAgents,
	} {
		if err := step(ctx); err != nil {
			n.close()
			return nil, err
		}
	}
	return n, nil
}

func (n *node) findName(context.Context) error {
	if n.name = n.conf.Node.Name; n.name != "" {
		return nil
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		return fmt.Errorf("this machine has no host name, and node.name is not configured: %w", err)
	}
	n.name = name
	return nil
}

// makeDirs makes the directories. The sockets of the unprivileged processes
// lie elsewhere than the state, which is closed to them.
func (n *node) makeDirs(context.Context) error {
	for _, d := range []string{storeDir, blobDir, instancesDir, networkDir, runDir} {
		if err := os.MkdirAll(n.dir.file(d), 0o700); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	}
	return nil
}

func (n *node) openSecrets(context.Context) error {
	var err error
	if n.secrets.adminPassword, err = secretFile(n.dir.path, adminPasswordFile, 12); err != nil {
		return err
	}
	if n.secrets.metadata, err = secretFile(n.dir.path, metadataKeyFile, 32); err != nil {
		return err
	}
	token, err := secretFile(n.dir.path, tokenKeyFile, 32)
	if err != nil {
		return err
	}
	if n.secrets.token, err = hex.DecodeString(token); err != nil {
		return fmt.Errorf("secret %s: %w", tokenKeyFile, err)
	}
	return nil
}

func (n *node) openStore(ctx context.Context) error {
	var err error
	n.store, err = store.Open(ctx, store.Options{
		Dir: n.dir.file(storeDir), Key: n.dir.file(secretsDir, storeKeyFile), Log: n.part("store"),
	})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	if n.blobs, err = blob.Open(n.dir.file(blobDir)); err != nil {
		return fmt.Errorf("open the blobs: %w", err)
	}
	return nil
}

// bootstrap makes the administrator and this node's record.
func (n *node) bootstrap(ctx context.Context) error {
	if err := identity.Bootstrap(ctx, n.store, n.secrets.adminPassword); err != nil {
		return fmt.Errorf("make the administrator: %w", err)
	}
	err := api.NewWriter(n.store).Change(ctx, func(m *cloud.Model) (cloud.Txn, error) {
		for _, other := range m.Nodes {
			if other.Name != n.name {
				return cloud.Txn{}, cloud.Errorf(cloud.Conflict, "the state directory belongs to node %s; to go on with it set node.name: %s", other.Name, other.Name)
			}
		}
		node := &cloud.Node{
			Name: n.name, Network: true, Compute: true, AvailabilityZone: n.conf.Node.AvailabilityZone,
			ForceConfigDrive: n.conf.Compute.ForceDrive,
		}
		if old := m.Nodes[n.name]; old != nil {
			node.Meta = old.Meta
			if *node == *old {
				return cloud.Txn{}, nil
			}
		}
		return cloud.Txn{Put: []cloud.Record{node}}, nil
	})
	if err != nil {
		return fmt.Errorf("register node %s: %w", n.name, err)
	}
	return nil
}

func (n *node) writeCredentials(context.Context) error {
	cred, err := adminCredentials(n.conf, n.dir.path)
	if err != nil {
		return err
	}
	if err := writeWhole(n.dir.file(cloudsFile), []byte(cred.cloudsYAML()), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", cloudsFile, err)
	}
	return nil
}

func (n *node) makeWorkers(context.Context) error {
	setup := logOf(n.conf)
	n.proxy = newSupervised("proxy", n.dir.file(runDir), n.conf.Metadata.ProxyUser, workerArgs(proxyWorker, setup, n.agentSocket()))
	n.dhcp = newSupervised("dhcp", n.dir.file(runDir), n.conf.DHCP.User, workerArgs(dhcpWorker, setup))
	return nil
}

func (n *node) makeAgents(context.Context) error {
	var err error
	n.fabric, err = fabric.New(fabric.Config{Prefix: n.conf.Network.Prefix, StateDir: n.dir.file(networkDir)}, n.part("fabric"))
	if err != nil {
		return err
	}
	if err := n.fabric.Check(); err != nil {
		return fmt.Errorf("%w (is another Imprint running with the same network.name_prefix, or was its state directory removed?)", err)
	}
	n.feed = &feed.Client{Dial: n.dialFeed, Log: n.part("feed")}
	n.metadataAgent, err = metadataagent.New(metadataagent.Config{
		Services: []string{hostPort("127.0.0.1", n.conf.Metadata.Port)}, Secret: n.secrets.metadata,
		ProxyUID: uint32(n.conf.Metadata.ProxyUser),
	}, n.part("metadata-agent"))
	if err != nil {
		return fmt.Errorf("metadata agent: %w", err)
	}
	n.l3Agent = l3agent.New(l3Settings(n.conf), n.fabric,
		l3agent.Workers{Proxy: n.proxy.handover, Advertiser: n.dhcp.handover}, n.feed.Report, n.part("l3-agent"))
	n.dhcpAgent = dhcpagent.New(dhcpSettings(n.conf), n.fabric,
		dhcpagent.Workers{DHCP: n.dhcp.handover, Proxy: n.proxy.handover}, n.feed.Report, n.part("dhcp-agent"))
	guest, err := guestProgram(n.conf)
	if err != nil {
		return err
	}
	n.driver = container.New(container.Config{
		Dir: n.dir.file(instancesDir), Guest: guest, MaxProcesses: n.conf.Compute.PIDs,
		Cgroup: cgroupName(n.conf.Network.Prefix), Log: n.part("container"),
	})
	n.computeAgent = computeagent.New(computeagent.Config{
		Driver: n.driver, Ports: n.fabric, Report: n.feed.Report, Dir: n.dir.file(instancesDir),
		Drive: configdrive.Volume{Format: configdrive.Format(n.conf.Compute.DriveFormat), Publisher: "Imprint " + version()},
		Trees: n.conf.Compute.Trees, Log: n.part("compute-agent"),
	})
	return nil
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

// reload takes a changed configuration file, or leaves everything as it is.
func (n *node) reload(o upOptions, level *slog.LevelVar) error {
	wanted, err := o.load()
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	taken, err := config.Reload(n.conf, wanted)
	if err != nil {
		return err
	}
	n.conf = taken
	level.Set(logOf(taken).slogLevel())
	n.dhcpAgent.Configure(dhcpSettings(taken))
	n.l3Agent.Configure(l3Settings(taken))
	n.log.Info("configuration reloaded")
	return nil
}

// part returns the logger of one part.
func (n *node) part(name string) *slog.Logger { return n.log.With("part", name) }

// agentSocket is where the proxy finds the metadata agent. It is outside the
// state directory, which the proxy cannot enter; only the proxy may connect.
func (n *node) agentSocket() string {
	return filepath.Join("/run", n.conf.Network.Prefix+"imprint-metadata-"+shortHash(n.dir.path)+".sock")
}

func (n *node) dialFeed(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", n.dir.file(runDir, "feed.sock"))
}

// ConsoleOutput meets compute.Console: the last lines of an instance's console,
// or all that is kept with a negative number.
func (n *node) ConsoleOutput(_ context.Context, node string, id cloud.ServerID, lines int) (string, error) {
	if node != n.name {
		return "", cloud.Errorf(cloud.NotFound, "Instance %s is on node %s.", id, node)
	}
	return n.driver.Console(id, lines)
}

// close lets go of what newNode opened.
func (n *node) close() {
	if n.store != nil {
		if err := n.store.Close(); err != nil {
			n.log.Error("close the store", "err", err)
		}
	}
}

// takeDown removes the namespaces and sockets; the state stays. What could not
// be removed is noted for whoever asked for it.
func (n *node) takeDown() error {
	err := n.remove()
	note := n.dir.file(runDir, leftFile)
	if err == nil {
		os.Remove(note)
		return nil
	}
	err = fmt.Errorf("take down: %w", err)
	return joinErrors(err, writeWhole(note, []byte(err.Error()+"\n"), 0o600))
}

func (n *node) remove() error {
	names, err := n.fabric.Namespaces()
	errs := []error{err}
	for _, name := range names {
		if name != n.fabric.Namespace() {
			errs = append(errs, n.fabric.RemoveNamespace(name))
		}
	}
	errs = append(errs, n.fabric.Remove())
	for _, w := range []*supervised{n.proxy, n.dhcp} {
		if pid, err := w.handover.PID(context.Background()); err == nil {
			errs = append(errs, fmt.Errorf("worker %s, process %d, did not stop", w.name, pid))
			continue
		}
		errs = append(errs, removeFile(w.socket))
	}
	for _, socket := range []string{n.agentSocket(), n.dir.file(runDir, "feed.sock"), n.dir.file(controlSocket)} {
		errs = append(errs, removeFile(socket))
	}
	return joinErrors(errs...)
}

// removeFile removes a file that may be gone already.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// joinErrors joins errors in one line.
func joinErrors(errs ...error) error {
	joined := errors.Join(errs...)
	if joined == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(joined.Error(), "\n", "; "))
}
