package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"time"

	"imprint/base/daemon"
	"imprint/base/openstack"
	"imprint/host/api"
	"imprint/host/cloud"
	"imprint/host/compute"
	"imprint/host/feed"
	"imprint/host/identity"
	"imprint/host/image"
	"imprint/host/metadata"
	"imprint/host/network"
)

// tasks joins the roles and agents to what runs, in the order of the request's
// way: API, metadata service, feed, agents, workers.
func (n *node) tasks(l listeners, c control) ([]daemon.Task, error) {
	services, sink, err := n.services(l)
	if err != nil {
		return nil, err
	}
	meta, err := n.metadata(l.metadata)
	if err != nil {
		return nil, err
	}
	agents, err := n.agents(sink, c)
	if err != nil {
		return nil, err
	}
	return append(append(services, meta...), agents...), nil
}

// drain is how long a service may take to answer what it has begun.
const drain = 5 * time.Second

// services are the four API roles; sink takes the nodes' reports.
func (n *node) services(l listeners) ([]daemon.Task, feed.Sink, error) {
	ident, err := identity.New(identity.Options{
		Store: n.store, Key: n.secrets.token, Region: n.conf.API.Region, Catalog: n.catalog(), Log: n.part("identity"),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("identity service: %w", err)
	}
	url := authURL(n.conf)
	images := image.New(image.Options{
		Store: n.store, Blobs: n.blobs, Auth: ident, AuthURL: url, MaxSize: n.conf.API.MaxImage, Log: n.part("image"),
	})
	net := network.New(network.Options{
		Store: n.store, Auth: ident, AuthURL: url, MTU: n.conf.Network.MTU, Log: n.part("network"),
	})
	comp := compute.New(compute.Options{
		Store: n.store, Blobs: n.blobs, Ports: net, Auth: ident, AuthURL: url, Console: n, Log: n.part("compute"),
	})
	return []daemon.Task{
		n.serve("identity service", l.identity, ident.Handler()),
		n.serve("image service", l.image, images.Handler()),
		n.serve("network service", l.network, net.Handler()),
		n.serve("compute service", l.compute, comp.Handler()),
	}, comp.OnReport, nil
}

func (n *node) serve(name string, l net.Listener, h http.Handler) daemon.Task {
	return daemon.Task{Name: name, Run: func(ctx context.Context) error {
		return api.Run(ctx, l, h, drain, n.log)
	}}
}

// catalog lists the services as clients reach them.
func (n *node) catalog() []identity.Endpoint {
	at := func(port int, path string) string {
		return "http://" + hostPort(n.conf.API.Listen, port) + path
	}
	return []identity.Endpoint{
		{Type: "identity", Name: "keystone", Public: at(n.conf.API.Identity, "/v3")},
		{Type: "compute", Name: "nova", Public: at(n.conf.API.Compute, "/v2.1")},
		{Type: "image", Name: "glance", Public: at(n.conf.API.Image, "")},
		{Type: "network", Name: "neutron", Public: at(n.conf.API.Network, "")},
	}
}

// metadata is the metadata service and the index that it answers from.
func (n *node) metadata(l net.Listener) ([]daemon.Task, error) {
	log := n.part("metadata")
	site := metadata.Site{Domain: n.conf.Metadata.DHCPDomain, VendorData: openstack.VendorData{}, FlatInjected: n.conf.Compute.FlatInjected}
	n.index = metadata.NewIndex(site, n.store, n.blobs, log)
	service, err := metadata.NewService(n.index, n.secrets.metadata, log)
	if err != nil {
		return nil, fmt.Errorf("metadata service: %w", err)
	}
	return []daemon.Task{
		{Name: "metadata index", Run: n.index.Run},
		{Name: "metadata service", Run: func(ctx context.Context) error { return service.Run(ctx, l) }},
	}, nil
}

// agents are the feed, the agents, their workers and the control socket.
func (n *node) agents(sink feed.Sink, c control) ([]daemon.Task, error) {
	feedListener, err := daemon.ListenUnix(n.dir.file(runDir, "feed.sock"), 0o600, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	controlListener, err := daemon.ListenUnix(n.dir.file(controlSocket), 0o600, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	user := n.conf.Metadata.ProxyUser
	agentListener, err := daemon.ListenUnix(n.agentSocket(), 0o600, user, user)
	if err != nil {
		return nil, fmt.Errorf("metadata agent: %w", err)
	}
	server := feed.Server{Source: planSource{nouns: n.store, index: n.index}, Sink: sink, Log: n.part("feed")}
	return []daemon.Task{
		{Name: "control", Run: func(ctx context.Context) error {
			return api.Run(ctx, controlListener, c.handler(), drain, n.log)
		}},
		{Name: "blob sweep", Run: n.sweepBlobs},
		{Name: "feed server", Run: func(ctx context.Context) error {
			return server.Serve(ctx, feedListener, n.identify)
		}},
		{Name: "feed", Run: n.followFeed},
		{Name: "metadata agent", Run: func(ctx context.Context) error { return n.metadataAgent.Run(ctx, agentListener) }},
		{Name: "l3 agent", Run: n.l3Agent.Run},
		{Name: "dhcp agent", Run: n.dhcpAgent.Run},
		{Name: "compute agent", Run: n.computeAgent.Run},
		n.proxy.task(n.log, func() { n.l3Agent.Again(); n.dhcpAgent.Again() }),
		n.dhcp.task(n.log, func() { n.l3Agent.Again(); n.dhcpAgent.Again() }),
	}, nil
}

// followFeed gives the agents what they are to do, once their workers are there.
func (n *node) followFeed(ctx context.Context) error {
	for _, w := range []*supervised{n.proxy, n.dhcp} {
		select {
		case <-w.there:
		case <-ctx.Done():
			return nil
		}
	}
	return n.feed.Run(ctx, n.apply)
}

// identify says which node is at the other end of the feed: on this machine's
// socket only root, and that is this node.
func (n *node) identify(c net.Conn) (string, error) {
	peer, err := daemon.PeerCredentials(c)
	if err != nil {
		return "", err
	}
	if peer.UID != 0 {
		return "", fmt.Errorf("user %d is no node", peer.UID)
	}
	return n.name, nil
}

// apply gives every agent a new slice.
func (n *node) apply(s cloud.Slice) {
	n.metadataAgent.Update(s)
	n.l3Agent.Update(s)
	n.dhcpAgent.Update(s)
	n.computeAgent.Apply(s)
}

// shortHash tells paths apart in a name.
func shortHash(path string) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:4])
}
