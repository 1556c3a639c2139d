package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"imprint/base/daemon"
	"imprint/host/cloud"
	"imprint/host/feed"
)

func upCommand() *cobra.Command {
	var flags processFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "start everything on this machine: a cloud of one node",
		Long: "Up starts the store, the API services, the metadata service and the agents of one node, and runs until\n" +
			"SIGTERM, SIGINT or 'imprint down'. Instances that were running start again with the next 'imprint up'.\n\n" +
			"SIGHUP and 'imprint reload' take a changed configuration file. How to reach the services stands in\n" +
			"clouds.yaml in the state directory.",
		Example: "  imprint up\n  imprint up --state-dir /srv/imprint --config /etc/imprint.yaml\n" +
			"  OS_CLIENT_CONFIG_FILE=/var/lib/imprint/clouds.yaml OS_CLOUD=imprint openstack server list",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot("imprint up"); err != nil {
				return err
			}
			return up(cmd.Context(), flags)
		},
	}
	flags.add(c, defaultStateDir)
	return c
}

// up runs a cloud of one node until it is told to stop.
func up(ctx context.Context, flags processFlags) error {
	var l []net.Listener
	return setup{
		command: "imprint", flags: flags,
		prepare: func(p *process) (err error) {
			if err := checkCompute(p); err != nil {
				return err
			}
			l, err = p.listen(append(apiPlaces(p.conf), metadataPlace(p.conf))...)
			return err
		},
		build: func(ctx context.Context, p *process) error { return buildAll(ctx, p, l) },
	}.run(ctx)
}

// buildAll joins every role and every agent in one process.
func buildAll(ctx context.Context, p *process, l []net.Listener) error {
	name, err := nodeName(p.conf)
	if err != nil {
		return err
	}
	c, err := newController(ctx, p, nil, l)
	if err != nil {
		return err
	}
	if err := c.registerOnlyNode(ctx, name); err != nil {
		return err
	}
	secret, err := secretFile(p.dir.path, metadataKeyFile, 32)
	if err != nil {
		return err
	}
	metadata := l[len(l)-1]
	if err := p.addMetadata(c.index, secret, storedPasswords(c), metadata); err != nil {
		return err
	}
	socket := p.dir.file(runDir, "feed.sock")
	if err := c.feedOwnNode(name, socket); err != nil {
		return err
	}
	n := newNode(p, name, func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	})
	if err := n.addCompute(); err != nil {
		return err
	}
	if err := n.addNetwork(); err != nil {
		return err
	}
	return n.addMetadataAgent([]string{metadata.Addr().String()}, secret)
}

// registerOnlyNode makes the record of the cloud's only node.
func (c *controller) registerOnlyNode(ctx context.Context, name string) error {
	return c.register(ctx, name, func(n *cloud.Node) {
		n.Network, n.Compute = true, true
		n.AvailabilityZone, n.ForceConfigDrive = c.conf.Node.AvailabilityZone, c.conf.Compute.ForceDrive
	}, func(m *cloud.Model) error {
		for _, other := range m.Nodes {
			if other.Name != name {
				return cloud.Errorf(cloud.Conflict, "the state directory belongs to node %s; to go on with it set node.name: %s", other.Name, other.Name)
			}
		}
		return nil
	})
}

// feedOwnNode feeds this machine's agents over a unix socket: only root can
// connect, and that is this node.
func (c *controller) feedOwnNode(name, socket string) error {
	l, err := daemon.ListenUnix(socket, 0o600, -1, -1)
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	identify := func(conn net.Conn) (feed.Peer, error) {
		peer, err := daemon.PeerCredentials(conn)
		if err == nil && peer.UID != 0 {
			err = fmt.Errorf("user %d is no node", peer.UID)
		}
		return feed.Peer{Node: name, Parts: feed.Parts{Network: true, Compute: true, Metadata: true}}, err
	}
	c.addTask("feed server", func(ctx context.Context) error { return c.feed.Serve(ctx, l, identify) })
	c.remove = append(c.remove, func() error { return removeFile(socket) })
	return nil
}
