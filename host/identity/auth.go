package identity

import (
	"context"
	"slices"

	"imprint/host/cloud"
)

// identityOf is what a token stands for at this moment.
type identityOf struct {
	claims  claims
	user    *cloud.User
	project *cloud.Project // nil for an unscoped token
	roles   []string
}

func (i identityOf) caller() cloud.Caller {
	c := cloud.Caller{UserID: i.user.UserID, UserName: i.user.Name, Roles: i.roles}
	if i.project != nil {
		c.ProjectID = i.project.ProjectID
	}
	return c
}

// Authenticate returns who a token belongs to. A token that is forged, expired
// or revoked, or whose user or project is gone or disabled, or whose user has
// lost every role in it, is an error of kind [cloud.Unauthorized].
func (r *Role) Authenticate(_ context.Context, token string) (cloud.Caller, error) {
	i, err := r.identify(token)
	if err != nil {
		return cloud.Caller{}, err
	}
	return i.caller(), nil
}

func (r *Role) identify(token string) (identityOf, error) {
	c, err := r.tokens.open(token, r.now())
	if err != nil {
		return identityOf{}, err
	}
	if r.revoked.has(c) {
		return identityOf{}, errToken
	}
	return r.present(c)
}

// present looks up what claims stand for now.
func (r *Role) present(c claims) (i identityOf, err error) {
	i.claims = c
	r.store.View(func(m *cloud.Model) {
		i.user = m.Users[c.User]
		if c.Project != "" {
			i.project = m.Projects[c.Project]
		}
	})
	if i.user == nil || i.user.Disabled {
		return identityOf{}, errToken
	}
	if c.Project == "" {
		return i, nil
	}
	i.roles = slices.Clone(i.user.Roles[c.Project])
	if i.project == nil || i.project.Disabled || len(i.roles) == 0 {
		return identityOf{}, errToken
	}
	return i, nil
}
