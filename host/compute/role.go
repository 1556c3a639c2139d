package compute

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Store is what the role needs of the store.
type Store interface {
	View(func(*cloud.Model))
	Commit(ctx context.Context, tx cloud.Txn) error
	NextNumber(ctx context.Context, name string) (int64, error)
}

// Blobs keeps user data and injected files. Safe for concurrent use.
type Blobs interface {
	Put(ctx context.Context, r io.Reader, limit int64) (cloud.Digest, int64, error)
	Open(d cloud.Digest) (io.ReadCloser, int64, error)
}

// Ports is what the role needs of the network role. All methods decide on the
// model that they are given, under the store's lock, and return a transaction
// that the caller commits together with its own.
type Ports interface {
	// AddPorts makes ports that come with id, network, project, device, host
	// and perhaps addresses; it gives them what is missing. It may be called
	// once for a transaction.
	AddPorts(m *cloud.Model, c cloud.Caller, ports ...*cloud.Port) (cloud.Txn, error)
	// BindPorts gives ports that nobody uses to a device.
	BindPorts(m *cloud.Model, c cloud.Caller, device, owner, host string, ids ...cloud.PortID) (cloud.Txn, error)
	// ReleasePorts deletes the ports of a device that made names, and frees
	// its others.
	ReleasePorts(m *cloud.Model, device string, made func(cloud.PortID) bool, ids ...cloud.PortID) cloud.Txn
	// NetworksOf lists the networks for servers that name none.
	NetworksOf(m *cloud.Model, c cloud.Caller) []*cloud.Network
	// SecurityGroup returns the name of a project's group given by name or id.
	SecurityGroup(p cloud.ProjectID, nameOrID string) (string, bool)
	// ReportPort notes what a node said of a port; empty when nothing changes.
	ReportPort(m *cloud.Model, node string, report cloud.PortReport) cloud.Txn
}

// Console reads what an instance wrote to its console: the last lines of it,
// or all with a negative number. Safe for concurrent use.
type Console interface {
	Console(ctx context.Context, node string, id cloud.ServerID, lines int) (string, error)
}

// Options say what the role works with.
type Options struct {
	Store Store
	Blobs Blobs
	Ports Ports
	Auth  api.Authenticator
	// Console is nil where consoles cannot be read.
	Console Console
	// AuthURL tells rejected clients where to get a token.
	AuthURL string
	// Log gets the requests; nil discards.
	Log *slog.Logger
}

// Role is the compute service. It is safe for concurrent use.
type Role struct {
	store   Store
	writer  *api.Writer
	blobs   Blobs
	ports   Ports
	console Console
	service *api.Service
}

// New makes the role.
func New(o Options) *Role {
	r := &Role{store: o.Store, writer: api.NewWriter(o.Store), blobs: o.Blobs, ports: o.Ports, console: o.Console}
	r.service = api.New(api.Options{
		Name: "compute", Dialect: api.Nova(), Auth: o.Auth, AuthURL: o.AuthURL, Log: o.Log,
		Microversions: &api.Microversions{Service: "compute", Legacy: "X-OpenStack-Nova-API-Version", Min: minVersion(), Max: maxVersion()},
	}, r.routes())
	return r
}

// Handler serves the role's API.
func (r *Role) Handler() http.Handler { return r.service }

func (r *Role) routes() []api.Route {
	return []api.Route{
		{Pattern: "GET /{$}", Do: versions, Access: api.Anyone},
		{Pattern: "GET /v2.1", Do: version, Access: api.Anyone},
		{Pattern: "GET /v2.1/{$}", Do: version, Access: api.Anyone},
		{Pattern: "GET /v2.1/os-keypairs", Do: r.listKeyPairs},
		{Pattern: "POST /v2.1/os-keypairs", Do: r.createKeyPair},
		{Pattern: "GET /v2.1/os-keypairs/{name}", Do: r.showKeyPair},
		{Pattern: "DELETE /v2.1/os-keypairs/{name}", Do: r.deleteKeyPair},
		{Pattern: "GET /v2.1/flavors", Do: r.listFlavors(flavorSummary)},
		{Pattern: "GET /v2.1/flavors/detail", Do: r.listFlavors(flavorDocument)},
		{Pattern: "POST /v2.1/flavors", Do: r.createFlavor},
		{Pattern: "GET /v2.1/flavors/{id}", Do: r.showFlavor},
		{Pattern: "DELETE /v2.1/flavors/{id}", Do: r.deleteFlavor},
		{Pattern: "GET /v2.1/flavors/{id}/os-extra_specs", Do: r.listSpecs},
		{Pattern: "POST /v2.1/flavors/{id}/os-extra_specs", Do: r.addSpecs},
		{Pattern: "GET /v2.1/flavors/{id}/os-extra_specs/{key}", Do: r.showSpec},
		{Pattern: "PUT /v2.1/flavors/{id}/os-extra_specs/{key}", Do: r.setSpec},
		{Pattern: "DELETE /v2.1/flavors/{id}/os-extra_specs/{key}", Do: r.deleteSpec},
		{Pattern: "GET /v2.1/servers", Do: r.listServers(serverSummary)},
		{Pattern: "GET /v2.1/servers/detail", Do: r.listServers(serverDetail)},
		{Pattern: "POST /v2.1/servers", Do: r.createServers},
		{Pattern: "GET /v2.1/servers/{id}", Do: r.showServer},
		{Pattern: "PUT /v2.1/servers/{id}", Do: r.updateServer},
		{Pattern: "DELETE /v2.1/servers/{id}", Do: r.deleteServer},
		{Pattern: "POST /v2.1/servers/{id}/action", Do: r.act},
		{Pattern: "GET /v2.1/servers/{id}/metadata", Do: r.listMetadata},
		{Pattern: "POST /v2.1/servers/{id}/metadata", Do: r.addMetadata},
		{Pattern: "PUT /v2.1/servers/{id}/metadata", Do: r.replaceMetadata},
		{Pattern: "GET /v2.1/servers/{id}/metadata/{key}", Do: r.showMetadata},
		{Pattern: "PUT /v2.1/servers/{id}/metadata/{key}", Do: r.setMetadata},
		{Pattern: "DELETE /v2.1/servers/{id}/metadata/{key}", Do: r.deleteMetadata},
		{Pattern: "GET /v2.1/servers/{id}/os-interface", Do: r.listInterfaces},
		{Pattern: "GET /v2.1/servers/{id}/os-server-password", Do: r.showPassword},
		{Pattern: "POST /v2.1/servers/{id}/os-server-password", Do: r.setPassword},
		{Pattern: "DELETE /v2.1/servers/{id}/os-server-password", Do: r.clearPassword},
		{Pattern: "GET /v2.1/limits", Do: r.limits},
		{Pattern: "GET /v2.1/os-availability-zone", Do: r.listZones},
		{Pattern: "GET /v2.1/os-availability-zone/detail", Do: r.listZoneNodes},
	}
}

// Forms of time in Nova's answers.
const (
	isoTime   = time.RFC3339
	microTime = "2006-01-02T15:04:05.000000"
)

// links are the self and bookmark links of a thing.
func links(req *api.Request, collection, id string) []api.Document {
	return append([]api.Document{{{Name: "rel", Value: "self"}, {Name: "href", Value: req.Link("/v2.1/" + collection + "/" + id)}}},
		bookmark(req, collection, id)...)
}

func bookmark(req *api.Request, collection, id string) []api.Document {
	return []api.Document{{{Name: "rel", Value: "bookmark"}, {Name: "href", Value: req.Link("/" + collection + "/" + id)}}}
}

// admin refuses callers who are not administrators.
func admin(req *api.Request, rule string) error {
	if req.Caller.Admin() {
		return nil
	}
	return cloud.Errorf(cloud.Forbidden, "Policy doesn't allow %s to be performed.", rule)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
