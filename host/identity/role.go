package identity

import (
	"context"
	"fmt"
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
}

// Options say what the role works with.
type Options struct {
	Store Store
	// Key seals the tokens: 32 bytes that nobody else knows.
	Key []byte
	// Lifetime of a token; 0 means an hour.
	Lifetime time.Duration
	// Region of the catalog's endpoints; empty means RegionOne.
	Region string
	// Catalog lists the services.
	Catalog []Endpoint
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log gets the requests; nil discards.
	Log *slog.Logger
}

// Role is the identity service. It is safe for concurrent use.
type Role struct {
	store   Store
	tokens  *sealer
	revoked *revocations
	doors   *doors
	catalog []service
	now     func() time.Time
	service *api.Service
	baseURL string
}

// New makes the role. A key of the wrong length is an error.
func New(o Options) (*Role, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Lifetime == 0 {
		o.Lifetime = time.Hour
	}
	if o.Region == "" {
		o.Region = "RegionOne"
	}
	tokens, err := newSealer(o.Key, o.Lifetime)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	doors, err := newDoors(o.Now)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	r := &Role{store: o.Store, tokens: tokens, revoked: newRevocations(o.Now), doors: doors,
		catalog: buildCatalog(o.Catalog, o.Region), now: o.Now, baseURL: identityURL(o.Catalog)}
	r.service = api.New(api.Options{Name: "identity", Dialect: api.Keystone(), Auth: r, AuthURL: r.baseURL, Log: o.Log}, r.routes())
	return r, nil
}

// Handler serves the role's API.
func (r *Role) Handler() http.Handler { return r.service }

func (r *Role) routes() []api.Route {
	return []api.Route{
		{Pattern: "GET /{$}", Do: versions, Access: api.Anyone},
		{Pattern: "GET /v3", Do: version, Access: api.Anyone},
		{Pattern: "GET /v3/{$}", Do: version, Access: api.Anyone},
		{Pattern: "POST /v3/auth/tokens", Do: r.issue, Access: api.Anyone},
		{Pattern: "GET /v3/auth/tokens", Do: r.validate, Access: api.Token},
		{Pattern: "DELETE /v3/auth/tokens", Do: r.revoke, Access: api.Token},
		{Pattern: "GET /v3/auth/catalog", Do: r.showCatalog, Access: api.Scoped},
		{Pattern: "GET /v3/auth/projects", Do: r.ownProjects, Access: api.Token},
		{Pattern: "GET /v3/projects", Do: r.listProjects, Access: api.Token},
		{Pattern: "GET /v3/projects/{id}", Do: r.showProject, Access: api.Token},
		{Pattern: "GET /v3/users", Do: r.listUsers, Access: api.Token},
		{Pattern: "GET /v3/users/{id}", Do: r.showUser, Access: api.Token},
		{Pattern: "GET /v3/users/{id}/projects", Do: r.userProjects, Access: api.Token},
		{Pattern: "GET /v3/roles", Do: r.listRoles, Access: api.Token},
		{Pattern: "GET /v3/domains", Do: r.listDomains, Access: api.Token},
		{Pattern: "GET /v3/domains/{id}", Do: r.showDomain, Access: api.Token},
	}
}

// notFound is Keystone's answer to an id that names nothing the caller may see.
func notFound(kind, id string) error {
	return cloud.Errorf(cloud.NotFound, "Could not find %s: %.64s.", kind, id)
}
