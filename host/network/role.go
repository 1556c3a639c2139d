package network

import (
	"context"
	"log/slog"
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Store is what the role needs of the store.
type Store interface {
	View(func(*cloud.Model))
	Commit(ctx context.Context, tx cloud.Txn) error
	NextNumber(ctx context.Context, name string) (int64, error)
}

// Options say what the role works with.
type Options struct {
	Store Store
	Auth  api.Authenticator
	// MTU of new networks, and the most that a network may have; 0 means 1450.
	MTU int
	// AuthURL tells rejected clients where to get a token.
	AuthURL string
	// Log gets the requests; nil discards.
	Log *slog.Logger
}

// Role is the network service. It is safe for concurrent use.
type Role struct {
	store   Store
	writer  *api.Writer
	mtu     int
	service *api.Service
}

// New makes the role.
func New(o Options) *Role {
	if o.MTU == 0 {
		o.MTU = 1450
	}
	r := &Role{store: o.Store, writer: api.NewWriter(o.Store), mtu: o.MTU}
	r.service = api.New(api.Options{Name: "network", Dialect: api.Neutron(), Auth: o.Auth, AuthURL: o.AuthURL, Log: o.Log}, r.routes())
	return r
}

// Handler serves the role's API.
func (r *Role) Handler() http.Handler { return r.service }

func (r *Role) routes() []api.Route {
	return []api.Route{
		{Pattern: "GET /{$}", Do: versions, Access: api.Anyone},
		{Pattern: "GET /v2.0", Do: resources, Access: api.Anyone},
		{Pattern: "GET /v2.0/{$}", Do: resources, Access: api.Anyone},
		{Pattern: "GET /v2.0/extensions", Do: listExtensions},
		{Pattern: "GET /v2.0/extensions/{alias}", Do: showExtension},
		{Pattern: "GET /v2.0/networks", Do: r.listNetworks},
		{Pattern: "POST /v2.0/networks", Do: r.createNetwork},
		{Pattern: "GET /v2.0/networks/{id}", Do: r.showNetwork},
		{Pattern: "PUT /v2.0/networks/{id}", Do: r.updateNetwork},
		{Pattern: "DELETE /v2.0/networks/{id}", Do: r.deleteNetwork},
		{Pattern: "GET /v2.0/subnets", Do: r.listSubnets},
		{Pattern: "POST /v2.0/subnets", Do: r.createSubnet},
		{Pattern: "GET /v2.0/subnets/{id}", Do: r.showSubnet},
		{Pattern: "PUT /v2.0/subnets/{id}", Do: r.updateSubnet},
		{Pattern: "DELETE /v2.0/subnets/{id}", Do: r.deleteSubnet},
		{Pattern: "GET /v2.0/ports", Do: r.listPorts},
		{Pattern: "POST /v2.0/ports", Do: r.createPort},
		{Pattern: "GET /v2.0/ports/{id}", Do: r.showPort},
		{Pattern: "PUT /v2.0/ports/{id}", Do: r.updatePort},
		{Pattern: "DELETE /v2.0/ports/{id}", Do: r.deletePort},
		{Pattern: "GET /v2.0/routers", Do: r.listRouters},
		{Pattern: "POST /v2.0/routers", Do: r.createRouter},
		{Pattern: "GET /v2.0/routers/{id}", Do: r.showRouter},
		{Pattern: "PUT /v2.0/routers/{id}", Do: r.updateRouter},
		{Pattern: "DELETE /v2.0/routers/{id}", Do: r.deleteRouter},
		{Pattern: "PUT /v2.0/routers/{id}/add_router_interface", Do: r.addInterface},
		{Pattern: "PUT /v2.0/routers/{id}/remove_router_interface", Do: r.removeInterface},
		{Pattern: "GET /v2.0/floatingips", Do: r.listFloatingIPs},
		{Pattern: "POST /v2.0/floatingips", Do: r.createFloatingIP},
		{Pattern: "GET /v2.0/floatingips/{id}", Do: r.showFloatingIP},
		{Pattern: "PUT /v2.0/floatingips/{id}", Do: r.updateFloatingIP},
		{Pattern: "DELETE /v2.0/floatingips/{id}", Do: r.deleteFloatingIP},
		{Pattern: "GET /v2.0/security-groups", Do: r.listSecurityGroups},
		{Pattern: "GET /v2.0/security-groups/{id}", Do: r.showSecurityGroup},
		{Pattern: "GET /v2.0/security-group-rules", Do: r.listSecurityGroupRules},
	}
}

// change runs decide with a draft of the model and commits it.
func (r *Role) change(ctx context.Context, decide func(*draft) error) error {
	return r.writer.Change(ctx, func(m *cloud.Model) (cloud.Txn, error) {
		d := newDraft(m)
		if err := decide(d); err != nil {
			return cloud.Txn{}, err
		}
		return d.txn(), nil
	})
}
