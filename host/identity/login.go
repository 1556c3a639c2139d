package identity

import (
	"net"

	"imprint/host/api"
	"imprint/host/cloud"
)

// login is what a request for a token asks.
type login struct {
	methods    []string
	user       named
	password   string
	token      string
	scoped     bool
	project    named
	wrongRealm bool // a domain that does not exist
}

// named is a reference by id or, in the one domain, by name.
type named struct{ id, name string }

func readLogin(req *api.Request) (login, error) {
	auth, err := req.Object("auth")
	if err != nil {
		return login{}, err
	}
	var l login
	identity := auth.Object("identity")
	identity.Require("methods")
	l.methods = identity.Texts("methods", 4)
	for _, m := range l.methods {
		switch m {
		case "password":
			identity.Require("password")
			l.readUser(identity.Object("password").Object("user"))
		case "token":
			identity.Require("token")
			t := identity.Object("token")
			t.Require("id")
			l.token = t.Text("id", 1, maxToken)
		default:
			identity.Fail("methods", "The only methods are password and token.")
		}
	}
	if len(l.methods) != 1 {
		identity.Fail("methods", "One method must be given.")
	}
	l.readScope(auth)
	return l, auth.Err()
}

func (l *login) readUser(user *api.Object) {
	user.Require("password")
	l.user = l.readNamed(user)
	l.password = user.Multiline("password", 0, maxPasswordLen)
}

func (l *login) readScope(auth *api.Object) {
	if auth.IsText("scope") {
		auth.Enum("scope", "unscoped")
		return
	}
	if !auth.Has("scope") {
		return
	}
	scope := auth.Object("scope")
	scope.Require("project")
	l.scoped, l.project = true, l.readNamed(scope.Object("project"))
}

// readNamed reads {"id"} or {"name", "domain": {"id" or "name"}}.
func (l *login) readNamed(o *api.Object) named {
	n := named{id: o.Text("id", 0, 64), name: o.Text("name", 0, maxNameLength)}
	if n.id == "" && n.name == "" {
		o.Fail("id", "An id or a name is required.")
	}
	if n.id != "" {
		o.Ignore("domain")
		return n
	}
	o.Require("domain")
	domain := o.Object("domain")
	id, name := domain.Text("id", 0, 64), domain.Text("name", 0, maxNameLength)
	if (id != "" && id != cloud.DomainID) || (id == "" && name != cloud.DomainName) {
		l.wrongRealm = true
	}
	return n
}

// errLogin is the same for every reason, so that it tells nothing of them.
var errLogin = cloud.Errorf(cloud.Unauthorized, "The request you have made requires authentication.")

// authenticate returns the claims that the login earns. A token that is traded
// for another does not live longer for it.
func (r *Role) authenticate(req *api.Request, l login) (claims, error) {
	user, until, err := r.who(req, l)
	if err != nil {
		return claims{}, err
	}
	project, err := r.scope(user, l)
	if err != nil {
		return claims{}, err
	}
	c := r.tokens.issue(user.UserID, project, l.methods, r.now())
	if until != 0 {
		c.Expires = until
	}
	return c, nil
}

// who checks the password, or the token that is to be traded for another,
// whose end it returns.
func (r *Role) who(req *api.Request, l login) (user *cloud.User, until int64, err error) {
	if l.token != "" {
		i, err := r.identify(l.token)
		if err != nil {
			return nil, 0, errLogin
		}
		return i.user, i.claims.Expires, nil
	}
	r.store.View(func(m *cloud.Model) { user = findUser(m, l.user) })
	if l.wrongRealm {
		user = nil
	}
	addr, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		addr = req.RemoteAddr
	}
	ok, err := r.doors.check(req.Context(), l.user.id+"/"+l.user.name, addr, user, l.password)
	if err != nil {
		return nil, 0, err
	}
	if !ok {
		return nil, 0, errLogin
	}
	return user, 0, nil
}

// scope returns the project asked for. A user without a role in it is told
// nothing about it.
func (r *Role) scope(user *cloud.User, l login) (cloud.ProjectID, error) {
	if !l.scoped {
		return "", nil
	}
	var project *cloud.Project
	r.store.View(func(m *cloud.Model) { project = findProject(m, l.project) })
	if l.wrongRealm || project == nil || project.Disabled || len(user.Roles[project.ProjectID]) == 0 {
		return "", errLogin
	}
	return project.ProjectID, nil
}

func findUser(m *cloud.Model, n named) *cloud.User {
	if n.id != "" {
		return m.Users[cloud.UserID(n.id)]
	}
	for _, u := range m.Users {
		if u.Name == n.name {
			return u
		}
	}
	return nil
}

func findProject(m *cloud.Model, n named) *cloud.Project {
	if n.id != "" {
		return m.Projects[cloud.ProjectID(n.id)]
	}
	for _, p := range m.Projects {
		if p.Name == n.name {
			return p
		}
	}
	return nil
}
