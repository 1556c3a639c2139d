package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"time"

	"imprint/base/openstack"
	"imprint/host/api"
	"imprint/host/blob"
	"imprint/host/cloud"
	"imprint/host/compute"
	"imprint/host/config"
	"imprint/host/feed"
	"imprint/host/identity"
	"imprint/host/image"
	"imprint/host/metadata"
	"imprint/host/network"
	"imprint/host/store"
)

// controller is the cloud's side of an Imprint: the API services, and what
// they tell the nodes.
type controller struct {
	*process
	store *store.Store
	blobs *blob.Store
	index *metadata.Index
	feed  *feed.Server
}

// drain is how long a service may take to answer what it has begun.
const drain = 5 * time.Second

// newController opens the state, makes the administrator, and adds the API
// services on l, in the order of apiPlaces. engine is nil for a store in this
// process.
func newController(ctx context.Context, p *process, engine store.Engine, l []net.Listener) (*controller, error) {
	c := &controller{process: p}
	if err := p.makeDirs(blobDir, runDir); err != nil {
		return nil, err
	}
	if err := c.openStore(ctx, engine); err != nil {
		return nil, err
	}
	if err := c.makeAdministrator(ctx); err != nil {
		return nil, err
	}
	c.index = metadata.NewIndex(metadataSite(p.conf), c.store, c.blobs, p.part("metadata"))
	c.ready = append(c.ready, c.index.Ready())
	c.addTask("metadata index", c.index.Run)
	c.addTask("blob sweep", c.sweepBlobs)
	c.feed = &feed.Server{Source: planSource{nouns: c.store, index: c.index}, Log: p.part("feed")}
	return c, c.addServices(l)
}

func (c *controller) openStore(ctx context.Context, engine store.Engine) error {
	var err error
	c.store, err = store.Open(ctx, store.Options{
		Dir: c.dir.file(storeDir), Engine: engine, Key: c.dir.file(secretsDir, storeKeyFile), Log: c.part("store"),
	})
	if err != nil {
		return fmt.Errorf("open the store: %w", err)
	}
	c.closers = append(c.closers, c.store.Close)
	if c.blobs, err = blob.Open(c.dir.file(blobDir)); err != nil {
		return fmt.Errorf("open the blobs: %w", err)
	}
	return nil
}

// makeAdministrator makes the user admin, and clouds.yaml with how to log in.
func (c *controller) makeAdministrator(ctx context.Context) error {
	password, err := secretFile(c.dir.path, adminPasswordFile, 12)
	if err != nil {
		return err
	}
	if err := identity.Bootstrap(ctx, c.store, password); err != nil {
		return fmt.Errorf("make the administrator: %w", err)
	}
	cred, err := adminCredentials(c.conf, c.dir.path)
	if err != nil {
		return err
	}
	if err := writeWhole(c.dir.file(cloudsFile), []byte(cred.cloudsYAML()), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", cloudsFile, err)
	}
	c.told = append(c.told, "auth_url", cred.AuthURL, "clouds_yaml", c.dir.file(cloudsFile))
	return nil
}

// tokenKey seals the identity service's tokens.
func (c *controller) tokenKey() ([]byte, error) {
	text, err := secretFile(c.dir.path, tokenKeyFile, 32)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", tokenKeyFile, err)
	}
	return key, nil
}

// addServices joins the four API roles; the compute role takes the nodes'
// reports.
func (c *controller) addServices(l []net.Listener) error {
	key, err := c.tokenKey()
	if err != nil {
		return err
	}
	ident, err := identity.New(identity.Options{
		Store: c.store, Key: key, Region: c.conf.API.Region, Catalog: catalog(c.conf), Log: c.part("identity"),
	})
	if err != nil {
		return fmt.Errorf("identity service: %w", err)
	}
	url := authURL(c.conf)
	images := image.New(image.Options{
		Store: c.store, Blobs: c.blobs, Auth: ident, AuthURL: url, MaxSize: c.conf.API.MaxImage, Log: c.part("image"),
	})
	net := network.New(network.Options{
		Store: c.store, Auth: ident, AuthURL: url, MTU: c.conf.Network.MTU, Log: c.part("network"),
	})
	comp := compute.New(compute.Options{
		Store: c.store, Blobs: c.blobs, Ports: net, Auth: ident, AuthURL: url, Console: c.feed, Log: c.part("compute"),
	})
	c.feed.Sink = comp.OnReport
	for i, service := range []struct {
		name    string
		handler http.Handler
	}{
		{"identity service", ident.Handler()}, {"compute service", comp.Handler()},
		{"image service", images.Handler()}, {"network service", net.Handler()},
	} {
		c.addTask(service.name, func(ctx context.Context) error {
			return api.Run(ctx, l[i], service.handler, drain, c.log)
		})
	}
	return nil
}

// catalog lists the services as clients reach them.
func catalog(c config.Config) []identity.Endpoint {
	at := func(port int, path string) string {
		return "http://" + hostPort(c.API.Listen, port) + path
	}
	return []identity.Endpoint{
		{Type: "identity", Name: "keystone", Public: at(c.API.Identity, "/v3")},
		{Type: "compute", Name: "nova", Public: at(c.API.Compute, "/v2.1")},
		{Type: "image", Name: "glance", Public: at(c.API.Image, "")},
		{Type: "network", Name: "neutron", Public: at(c.API.Network, "")},
	}
}

// metadataSite is what all instances are told alike.
func metadataSite(c config.Config) metadata.Site {
	return metadata.Site{Domain: c.Metadata.DHCPDomain, VendorData: openstack.VendorData{}, FlatInjected: c.Compute.FlatInjected}
}

// addMetadata adds the metadata service, in the mode in which agents sign.
func (p *process) addMetadata(index *metadata.Index, secret string, passwords metadata.Passwords, l net.Listener) error {
	service, err := metadata.New(metadata.Options{Instances: index, Secret: secret, Passwords: passwords, Log: p.part("metadata")})
	if err != nil {
		return fmt.Errorf("metadata service: %w", err)
	}
	p.addTask("metadata service", func(ctx context.Context) error { return service.Run(ctx, l) })
	return nil
}

// register writes a node's record, if it is not there as it should be. Others
// that must not be there are an error of check.
func (c *controller) register(ctx context.Context, name string, change func(*cloud.Node), check func(*cloud.Model) error) error {
	err := api.NewWriter(c.store).Change(ctx, func(m *cloud.Model) (cloud.Txn, error) {
		if err := check(m); err != nil {
			return cloud.Txn{}, err
		}
		node := &cloud.Node{Name: name}
		if old := m.Nodes[name]; old != nil {
			*node = *old
		}
		change(node)
		if old := m.Nodes[name]; old != nil && *node == *old {
			return cloud.Txn{}, nil
		}
		return cloud.Txn{Put: []cloud.Record{node}}, nil
	})
	if err != nil {
		return fmt.Errorf("register node %s: %w", name, err)
	}
	return nil
}
