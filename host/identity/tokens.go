package identity

import (
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

const tokenTime = "2006-01-02T15:04:05.000000Z"

// tokenDocument is the body that goes with a token. keystone:
// token/... render_token.py, 22.0.2.
type tokenDocument struct {
	Methods   []string    `json:"methods"`
	User      tokenUser   `json:"user"`
	AuditIDs  []string    `json:"audit_ids"`
	ExpiresAt string      `json:"expires_at"`
	IssuedAt  string      `json:"issued_at"`
	Project   *scopedTo   `json:"project,omitempty"`
	IsDomain  *bool       `json:"is_domain,omitempty"`
	Roles     []reference `json:"roles,omitempty"`
	Catalog   []service   `json:"catalog,omitempty"`
}

type tokenUser struct {
	Domain            reference `json:"domain"`
	ID                string    `json:"id"`
	Name              string    `json:"name"`
	PasswordExpiresAt *string   `json:"password_expires_at"`
}

type scopedTo struct {
	Domain reference `json:"domain"`
	ID     string    `json:"id"`
	Name   string    `json:"name"`
}

type reference struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

var domain = reference{cloud.DomainID, cloud.DomainName}

func (r *Role) document(i identityOf) api.Document {
	d := tokenDocument{
		Methods: i.claims.Methods, AuditIDs: []string{i.claims.Audit},
		User:      tokenUser{Domain: domain, ID: string(i.user.UserID), Name: i.user.Name},
		ExpiresAt: i.claims.expires().Format(tokenTime), IssuedAt: i.claims.issued().Format(tokenTime),
	}
	if i.project != nil {
		d.Project = &scopedTo{domain, string(i.project.ProjectID), i.project.Name}
		d.IsDomain, d.Catalog = new(bool), r.catalog
		for _, name := range i.roles {
			d.Roles = append(d.Roles, role(name))
		}
	}
	return api.Document{{Name: "token", Value: d}}
}

// issue answers POST /v3/auth/tokens.
func (r *Role) issue(req *api.Request) (api.Response, error) {
	l, err := readLogin(req)
	if err != nil {
		return api.Response{}, err
	}
	c, err := r.authenticate(req, l)
	if err != nil {
		return api.Response{}, err
	}
	i, err := r.present(c)
	if err != nil {
		return api.Response{}, err
	}
	token, err := r.tokens.seal(c)
	if err != nil {
		return api.Response{}, err
	}
	return api.Response{Status: http.StatusCreated, Body: r.document(i),
		Header: http.Header{"X-Subject-Token": {token}, "Vary": {"X-Auth-Token"}}}, nil
}

// subject returns the token that a request is about, which must belong to the
// caller unless that is an administrator.
func (r *Role) subject(req *api.Request) (identityOf, error) {
	i, err := r.identify(req.Header.Get("X-Subject-Token"))
	if err != nil || (i.user.UserID != req.Caller.UserID && !req.Caller.Admin()) {
		return identityOf{}, notFound("token", "")
	}
	return i, nil
}

func (r *Role) validate(req *api.Request) (api.Response, error) {
	i, err := r.subject(req)
	if err != nil {
		return api.Response{}, err
	}
	return api.Response{Body: r.document(i),
		Header: http.Header{"X-Subject-Token": {req.Header.Get("X-Subject-Token")}, "Vary": {"X-Auth-Token"}}}, nil
}

func (r *Role) revoke(req *api.Request) (api.Response, error) {
	i, err := r.subject(req)
	if err != nil {
		return api.Response{}, err
	}
	if err := r.revoked.add(i.claims); err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}

// roleNames are the roles that there are.
func roleNames() []string { return []string{"admin", "member", "reader"} }

func role(name string) reference { return reference{stableID("role", name), name} }

func (r *Role) listRoles(req *api.Request) (api.Response, error) {
	var list []any
	name, filtered := req.Query("name")
	for _, n := range roleNames() {
		if filtered && n != name {
			continue
		}
		list = append(list, api.Document{{Name: "id", Value: role(n).ID}, {Name: "name", Value: n},
			{Name: "domain_id", Value: nil}, {Name: "description", Value: nil}, {Name: "options", Value: struct{}{}},
			{Name: "links", Value: api.Document{{Name: "self", Value: req.Link("/v3/roles/" + role(n).ID)}}}})
	}
	return collection(req, "roles", list)
}
