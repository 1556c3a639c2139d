package identity

import (
	"imprint/host/api"
	"imprint/host/cloud"
)

func selfLinks(req *api.Request, path string) api.Document {
	return api.Document{{Name: "next", Value: nil}, {Name: "self", Value: req.Link(path)}, {Name: "previous", Value: nil}}
}

func collection(req *api.Request, name string, list []any) (api.Response, error) {
	if list == nil {
		list = []any{}
	}
	return api.OK(api.Document{{Name: name, Value: list}, {Name: "links", Value: selfLinks(req, req.URL.Path)}})
}

func projectDocument(req *api.Request, p *cloud.Project) api.Document {
	return api.Document{
		{Name: "id", Value: p.ProjectID}, {Name: "name", Value: p.Name}, {Name: "domain_id", Value: cloud.DomainID},
		{Name: "description", Value: p.Description}, {Name: "enabled", Value: !p.Disabled},
		{Name: "parent_id", Value: cloud.DomainID}, {Name: "is_domain", Value: false},
		{Name: "tags", Value: []string{}}, {Name: "options", Value: struct{}{}},
		{Name: "links", Value: api.Document{{Name: "self", Value: req.Link("/v3/projects/" + string(p.ProjectID))}}},
	}
}

func userDocument(req *api.Request, u *cloud.User) api.Document {
	return api.Document{
		{Name: "id", Value: u.UserID}, {Name: "name", Value: u.Name}, {Name: "domain_id", Value: cloud.DomainID},
		{Name: "enabled", Value: !u.Disabled}, {Name: "password_expires_at", Value: nil}, {Name: "options", Value: struct{}{}},
		{Name: "links", Value: api.Document{{Name: "self", Value: req.Link("/v3/users/" + string(u.UserID))}}},
	}
}

// projectsOf returns the projects that keep accepts, and name where the
// request filters by it.
func (r *Role) projectsOf(req *api.Request, keep func(*cloud.Project) bool) (api.Response, error) {
	name, filtered := req.Query("name")
	var list []any
	r.store.View(func(m *cloud.Model) {
		for _, p := range cloud.Sorted(m.Projects) {
			if keep(p) && (!filtered || p.Name == name) {
				list = append(list, projectDocument(req, p))
			}
		}
	})
	return collection(req, "projects", list)
}

// member returns whether a user has a role in a project.
func (r *Role) member(id cloud.UserID) func(*cloud.Project) bool {
	var user *cloud.User
	r.store.View(func(m *cloud.Model) { user = m.Users[id] })
	return func(p *cloud.Project) bool { return user != nil && len(user.Roles[p.ProjectID]) > 0 }
}

func (r *Role) ownProjects(req *api.Request) (api.Response, error) {
	return r.projectsOf(req, r.member(req.Caller.UserID))
}

func (r *Role) userProjects(req *api.Request) (api.Response, error) {
	id := cloud.UserID(req.PathValue("id"))
	if id != req.Caller.UserID && !req.Caller.Admin() {
		return api.Response{}, notFound("user", string(id))
	}
	return r.projectsOf(req, r.member(id))
}

// listProjects shows an administrator all, others their own, as the stock
// client asks this list when it knows a project by name only.
func (r *Role) listProjects(req *api.Request) (api.Response, error) {
	if req.Caller.Admin() {
		return r.projectsOf(req, func(*cloud.Project) bool { return true })
	}
	return r.ownProjects(req)
}

func (r *Role) showProject(req *api.Request) (api.Response, error) {
	id := req.PathValue("id")
	member := r.member(req.Caller.UserID)
	var p *cloud.Project
	r.store.View(func(m *cloud.Model) { p = m.Projects[cloud.ProjectID(id)] })
	if p == nil || !(req.Caller.Admin() || member(p)) {
		return api.Response{}, notFound("project", id)
	}
	return api.OK(api.Document{{Name: "project", Value: projectDocument(req, p)}})
}

func (r *Role) listUsers(req *api.Request) (api.Response, error) {
	name, filtered := req.Query("name")
	var list []any
	r.store.View(func(m *cloud.Model) {
		for _, u := range cloud.Sorted(m.Users) {
			if (req.Caller.Admin() || u.UserID == req.Caller.UserID) && (!filtered || u.Name == name) {
				list = append(list, userDocument(req, u))
			}
		}
	})
	return collection(req, "users", list)
}

func (r *Role) showUser(req *api.Request) (api.Response, error) {
	id := req.PathValue("id")
	var u *cloud.User
	r.store.View(func(m *cloud.Model) { u = m.Users[cloud.UserID(id)] })
	if u == nil || (u.UserID != req.Caller.UserID && !req.Caller.Admin()) {
		return api.Response{}, notFound("user", id)
	}
	return api.OK(api.Document{{Name: "user", Value: userDocument(req, u)}})
}

func domainDocument(req *api.Request) api.Document {
	return api.Document{
		{Name: "id", Value: cloud.DomainID}, {Name: "name", Value: cloud.DomainName},
		{Name: "description", Value: "The default domain"}, {Name: "enabled", Value: true},
		{Name: "tags", Value: []string{}}, {Name: "options", Value: struct{}{}},
		{Name: "links", Value: api.Document{{Name: "self", Value: req.Link("/v3/domains/" + cloud.DomainID)}}},
	}
}

func (r *Role) listDomains(req *api.Request) (api.Response, error) {
	if name, ok := req.Query("name"); ok && name != cloud.DomainName {
		return collection(req, "domains", nil)
	}
	return collection(req, "domains", []any{domainDocument(req)})
}

func (r *Role) showDomain(req *api.Request) (api.Response, error) {
	if id := req.PathValue("id"); id != cloud.DomainID {
		return api.Response{}, notFound("domain", id)
	}
	return api.OK(api.Document{{Name: "domain", Value: domainDocument(req)}})
}
