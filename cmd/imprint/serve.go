package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"imprint/base/daemon"
	"imprint/host/blob"
	"imprint/host/cloud"
	"imprint/host/config"
	"imprint/host/enroll"
	"imprint/host/feed"
	"imprint/host/metadata"
	"imprint/host/store"
)

// Directories of roles that are processes of their own, below the state
// directory.
const (
	identityDir  = "identity"  // key and certificate
	authorityDir = "authority" // what signs certificates
	revokedFile  = "revoked.json"
)

// storeRetry is how long to wait before the store is tried again.
const storeRetry = time.Second

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "run one role of the cloud alone: store, api or metadata",
		Long: "Each role can be a process of its own, of a user of its own. They know each other by certificates\n" +
			"('imprint authority'), and feed the nodes ('imprint node', 'imprint agent').",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(serveStoreCommand(), serveAPICommand(), serveMetadataCommand())
	return c
}

func serveStoreCommand() *cobra.Command {
	var flags processFlags
	var apiURL string
	c := &cobra.Command{
		Use:   "store",
		Short: "keep the cloud's records for the other roles",
		Long: "Serve store runs etcd on its state directory and lets the API and the metadata service use it, over TLS\n" +
			"with certificates on both sides. Its own certificate lies in identity/ in the state directory.",
		Example: "  imprint serve store\n  imprint serve store --state-dir /srv/store --config /etc/imprint.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return serveStore(cmd.Context(), flags, apiURL) },
	}
	flags.add(c, "/var/lib/imprint-store")
	apiFlag(c, &apiURL)
	return c
}

func serveStore(ctx context.Context, flags processFlags, apiURL string) error {
	var l []net.Listener
	return setup{
		command: "imprint serve store", flags: flags,
		prepare: func(p *process) (err error) {
			l, err = p.listen(place{"store.port", p.conf.Store.Listen, p.conf.Store.Port})
			return err
		},
		build: func(ctx context.Context, p *process) error {
			id, err := p.identity(apiURL)
			if err != nil {
				return err
			}
			engine, err := store.OpenEtcd(ctx, store.EtcdOptions{Dir: p.dir.file(storeDir), Log: p.part("store")})
			if err != nil {
				return err
			}
			p.closers = append(p.closers, engine.Close)
			p.addTask("store", func(ctx context.Context) error {
				return engine.Serve(ctx, l[0], id.ServerConfig(nil, isService))
			})
			p.told = append(p.told, "address", l[0].Addr())
			return nil
		},
	}.run(ctx)
}

// isService lets in services; the store itself tells which may do what.
func isService(p enroll.Peer) bool { return p.Role != "" }

// identity loads the process's certificate, and keeps it renewed by the
// authority at apiURL.
func (p *process) identity(apiURL string) (*enroll.Identity, error) {
	dir := p.dir.file(ofAgent(identityDir, p.agent, ""))
	id, err := enroll.LoadIdentity(dir)
	if err != nil {
		return nil, fmt.Errorf("%w (a service gets one from 'imprint authority issue', an agent from 'imprint node enroll')", err)
	}
	p.addTask("identity", func(ctx context.Context) error { return id.Run(ctx, apiURL, p.part("identity")) })
	return id, nil
}

func storeFlag(c *cobra.Command, endpoints *[]string) {
	c.Flags().StringSliceVar(endpoints, "store", []string{"https://127.0.0.1:6779"}, "addresses of the store's members")
}

// openEngine connects to the store of another process, and waits for it.
func (p *process) openEngine(ctx context.Context, id *enroll.Identity, endpoints []string) (store.Engine, error) {
	remote := store.Remote{Endpoints: endpoints, TLS: id.HostConfig(), Log: p.part("store")}
	for {
		engine, err := store.OpenRemote(ctx, remote)
		if err == nil || cloud.KindOf(err) != cloud.Unavailable {
			return engine, err
		}
		p.log.Warn("the store is not there yet", "store", endpoints, "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(storeRetry):
		}
	}
}

func serveAPICommand() *cobra.Command {
	var flags processFlags
	var endpoints []string
	c := &cobra.Command{
		Use:   "api",
		Short: "run the API services, and feed the nodes",
		Long: "Serve api runs identity, compute, image and network over a store that another process serves. It has the\n" +
			"authority that nodes enrol with, and feeds them at nodes.listen and nodes.port of the configuration.",
		Example: "  imprint serve api\n  imprint serve api --store https://a:6779,https://b:6779,https://c:6779",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return serveAPI(cmd.Context(), flags, endpoints) },
	}
	flags.add(c, defaultAPIDir)
	storeFlag(c, &endpoints)
	return c
}

// serveAPIPlaces are the API services' and last the nodes'.
func serveAPIPlaces(c config.Config) []place {
	return append(apiPlaces(c), place{"nodes.port", c.Nodes.Listen, c.Nodes.Port})
}

func serveAPI(ctx context.Context, flags processFlags, endpoints []string) error {
	return setup{
		command: "imprint serve api", flags: flags,
		prepare: func(p *process) error {
			return p.tryListen(serveAPIPlaces(p.conf)...)
		},
		build: func(ctx context.Context, p *process) error {
			authority, id, err := p.openAuthority()
			if err != nil {
				return err
			}
			engine, err := p.openEngine(ctx, id, endpoints)
			if err != nil {
				return err
			}
			l, err := p.listen(serveAPIPlaces(p.conf)...)
			if err != nil {
				return err
			}
			nodes := l[len(l)-1]
			c, err := newController(ctx, p, engine, l[:len(l)-1])
			if err != nil {
				return err
			}
			c.addNodes(nodes, authority, id)
			return nil
		},
	}.run(ctx)
}

// openAuthority opens the authority in the state directory, which is made at
// the first start, and the API's own identity.
func (p *process) openAuthority() (*enroll.Authority, *enroll.Identity, error) {
	authority, err := enroll.OpenAuthority(enroll.Options{Dir: p.dir.file(authorityDir), Log: p.part("authority")})
	if err != nil {
		return nil, nil, err
	}
	dir := p.dir.file(identityDir)
	renew := func() error { return authority.Issue(enroll.API, []string{p.conf.Nodes.Listen}, dir) }
	id, err := enroll.LoadIdentity(dir)
	if err != nil || time.Until(id.Peer().NotAfter) < identityLeft {
		if err := renew(); err != nil {
			return nil, nil, err
		}
		id, err = enroll.LoadIdentity(dir)
	}
	p.addTask("identity", func(ctx context.Context) error {
		p.renewOwn(ctx, id, renew)
		return nil
	})
	return authority, id, err
}

// The API replaces its own certificate when identityLeft of its time is left,
// looked for every identityPause.
const (
	identityLeft  = 10 * 24 * time.Hour
	identityPause = time.Hour
)

// renewOwn keeps the API's certificate good until ctx ends.
func (p *process) renewOwn(ctx context.Context, id *enroll.Identity, renew func() error) {
	tick := time.NewTicker(identityPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Until(id.Peer().NotAfter) > identityLeft {
			continue
		}
		if err := renew(); err != nil {
			p.log.Error("certificate not renewed", "until", id.Peer().NotAfter, "error", err)
		}
	}
}

// feedProtocol is what a node asks for in the TLS handshake (ALPN, RFC 7301) to
// be fed; without it the connection is for enrolment and blobs.
const feedProtocol = "imprint-feed"

// addNodes serves the nodes: enrolment and renewal of certificates, the feed,
// and the blobs for the metadata service.
func (c *controller) addNodes(l net.Listener, authority *enroll.Authority, id *enroll.Identity) {
	revoked := authority.Revocations()
	mux := http.NewServeMux()
	mux.Handle("/enroll", authority.Handler())
	mux.Handle("/renew", authority.Handler())
	mux.Handle("POST /passwords/{id}", passwordHandler(storedPasswords(c), revoked))
	mux.Handle("/blobs/", blob.Handler(c.blobs, blob.Access{Peer: peerName(revoked), Allow: mayReadBlobs}, c.part("blobs")))
	c.feed.Source = planSource{nouns: c.store, index: c.index, joined: c.joined}
	fed := newHandedConns(l.Addr())
	conf := id.EnrollConfig(revoked)
	conf.NextProtos = []string{feedProtocol, "http/1.1"}
	c.addTask("nodes", func(ctx context.Context) error { return serveTLS(ctx, l, conf, mux, fed, c.part("nodes")) })
	c.addTask("feed server", func(ctx context.Context) error { return c.feed.Serve(ctx, fed, identifyNode(revoked)) })
	c.extra = append(c.extra, nodeRoutes(c, authority)...)
	c.told = append(c.told, "nodes", l.Addr())
}

// identifyNode says which node is at the other end of a feed's connection, and
// for which of its roles it speaks.
func identifyNode(revoked *enroll.Revocations) func(net.Conn) (feed.Peer, error) {
	return func(conn net.Conn) (feed.Peer, error) {
		state, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
		if !ok {
			return feed.Peer{}, fmt.Errorf("a connection of type %T has no certificate", conn)
		}
		peer, err := revoked.Check(state.ConnectionState())
		if err != nil {
			return feed.Peer{}, err
		}
		who := feed.Peer{Node: peer.Node}
		for _, role := range peer.Roles {
			switch role {
			case enroll.NetworkNode:
				who.Parts.Network = true
			case enroll.ComputeNode:
				who.Parts.Compute = true
			case enroll.MetadataAgent:
				who.Parts.Metadata = true
			}
		}
		return who, nil
	}
}

// peerName names the peer of a request for a blob: a service by its role.
func peerName(revoked *enroll.Revocations) func(tls.ConnectionState) (string, error) {
	return func(state tls.ConnectionState) (string, error) {
		peer, err := revoked.Check(state)
		return string(peer.Role), err
	}
}

// mayReadBlobs: the metadata service tells all instances, nodes get what they
// need with their slice.
func mayReadBlobs(role string, _ cloud.Digest) bool { return role == string(enroll.Metadata) }

// metadataOptions are the flags of serve metadata, besides those of all.
type metadataOptions struct {
	endpoints      []string
	apiURL, listen string
	files          []string // nova.conf
	fixture        string
}

func serveMetadataCommand() *cobra.Command {
	var flags processFlags
	var o metadataOptions
	c := &cobra.Command{
		Use:   "metadata",
		Short: "run the metadata service; any number of replicas answer alike",
		Long: "Serve metadata answers metadata agents from memory. It reads the store and never writes to it, and gets\n" +
			"user data from 'serve api'. The secret that it shares with the agents is secrets/metadata.secret in the\n" +
			"state directory (Nova's metadata_proxy_shared_secret).\n\n" +
			"With --config-file it takes the settings of a nova.conf: trust, vendor data, TLS, listener and the secret.\n" +
			"With --fixture it needs neither store nor state directory, and tells instances that are described in files\n" +
			"(docs/metadata.md); without a nova.conf they are known by the address that they ask from.",
		Example: "  imprint serve metadata\n  imprint serve metadata --state-dir /var/lib/imprint-metadata-2 --listen 127.0.0.1:8785\n" +
			"  imprint serve metadata --config-file /etc/nova/nova.conf\n  imprint serve metadata --fixture instances --listen 127.0.0.1:8775",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.fixture != "" {
				ctx, _, stop := daemon.Signals(cmd.Context())
				defer stop()
				log := logSetup{"info", cmp.Or(flags.logFormat, "text")}.logger()
				return serveFixture(ctx, fixtureOptions{dir: o.fixture, files: o.files, listen: o.listen}, log)
			}
			return serveMetadata(cmd.Context(), flags, o)
		},
	}
	flags.add(c, "/var/lib/imprint-metadata")
	storeFlag(c, &o.endpoints)
	apiFlag(c, &o.apiURL)
	c.Flags().StringVar(&o.listen, "listen", "", "address and port; over the configuration's metadata.port, or nova.conf's metadata_listen and\nmetadata_listen_port")
	c.Flags().StringArrayVar(&o.files, "config-file", nil, "nova.conf; may be given several times, the last one's options count")
	c.Flags().StringVar(&o.fixture, "fixture", "", "directory with instances in files")
	return c
}

func apiFlag(c *cobra.Command, url *string) {
	c.Flags().StringVar(url, "api", "https://127.0.0.1:6781", "address of 'serve api' for nodes")
}

func serveMetadata(ctx context.Context, flags processFlags, o metadataOptions) error {
	var nova *config.Nova
	var at place
	return setup{
		command: "imprint serve metadata", flags: flags,
		prepare: func(p *process) (err error) {
			if nova, err = readNova(o.files, p.log); err != nil {
				return err
			}
			if at, err = metadataListen(p, o.listen, nova); err != nil {
				return err
			}
			return p.tryListen(at)
		},
		build: func(ctx context.Context, p *process) error {
			id, err := p.identity(o.apiURL)
			if err != nil {
				return err
			}
			site := metadataSite(p.conf)
			if nova != nil {
				site = metadata.SiteOf(*nova)
			}
			api := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: id.ClientConfig(enroll.API), MaxIdleConnsPerHost: 4}}
			index, err := p.openIndex(ctx, id, o, site, api)
			if err != nil {
				return err
			}
			l, err := p.listen(at)
			if err != nil {
				return err
			}
			p.ready = append(p.ready, index.Ready())
			p.told = append(p.told, "address", l[0].Addr())
			p.addTask("metadata index", index.Run)
			passwords := remotePasswords{apiURL: o.apiURL, client: api}
			if nova == nil {
				secret, err := p.sharedSecret()
				if err != nil {
					return err
				}
				return p.addMetadata(index, secret, passwords, l[0])
			}
			service, err := metadata.FromNova(*nova, index, passwords, p.part("metadata"))
			if err != nil {
				return err
			}
			p.addTask("metadata service", func(ctx context.Context) error { return service.Serve(ctx, l[0]) })
			return nil
		},
	}.run(ctx)
}

// readNova reads the settings of nova.conf files, nil where there are none.
func readNova(files []string, log *slog.Logger) (*config.Nova, error) {
	if len(files) == 0 {
		return nil, nil
	}
	ini, err := config.LoadINI(files...)
	if err != nil {
		return nil, err
	}
	nova, err := config.ReadNova(ini, log)
	return &nova, err
}

// metadataListen is where the metadata service listens. Without a nova.conf,
// which may ask for TLS, that is a loopback address.
func metadataListen(p *process, flag string, nova *config.Nova) (place, error) {
	if flag == "" && nova == nil {
		return metadataPlace(p.conf), nil
	}
	if flag == "" {
		flag = nova.Listen
	}
	addr, err := net.ResolveTCPAddr("tcp", flag)
	if err != nil || addr.Port == 0 {
		return place{}, &usageError{fmt.Errorf("--listen: %q is not an address and a port", flag)}
	}
	if nova == nil && !addr.IP.IsLoopback() {
		return place{}, &usageError{fmt.Errorf("--listen: %s is not a loopback address, and the service has no TLS without a nova.conf", flag)}
	}
	return place{"--listen", addr.IP.String(), addr.Port}, nil
}

// openIndex opens the store of another process, read-only, and the index over
// it.
func (p *process) openIndex(ctx context.Context, id *enroll.Identity, o metadataOptions, site metadata.Site, api *http.Client) (*metadata.Index, error) {
	engine, err := p.openEngine(ctx, id, o.endpoints)
	if err != nil {
		return nil, err
	}
	nouns, err := store.Open(ctx, store.Options{Engine: engine, ReadOnly: true, Log: p.part("store")})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	p.closers = append(p.closers, nouns.Close)
	return metadata.NewIndex(site, nouns, &blob.Remote{BaseURL: o.apiURL, Client: api}, p.part("metadata")), nil
}

// sharedSecret reads the secret of metadata agents and services, which must be
// there: each of them would make another.
func (p *process) sharedSecret() (string, error) {
	path := filepath.Join(secretsDir, metadataKeyFile)
	secret, err := readSecret(p.dir.file(path))
	if err != nil {
		return "", fmt.Errorf("%w (the metadata agent and the metadata service need the same %s)", err, path)
	}
	return secret, nil
}
