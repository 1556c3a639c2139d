package module

import (
	"slices"
	"strings"

	"imprint/base/cloudconfig"
)

// defaultName stands for the system's default user in a list of users.
const defaultName = "default"

// account is one user of the configuration.
type account struct {
	name      string
	config    *cloudconfig.Node // a map
	isDefault bool
}

// group is one group of the configuration.
type group struct {
	name    string
	members []string
}

// accounts brings the many forms of users: and user: into one: a list in the
// order of creation, the default user last. cloud-init: distros/ug_util.py.
func (e *Env) accounts() ([]account, error) {
	defaults, err := e.defaultUser()
	if err != nil {
		return nil, err
	}
	users, err := readUsers(e.Config.Get("users"))
	if err != nil {
		return nil, err
	}
	if !e.Config.Get("user").IsNull() {
		users = addUser(users, defaultName, nil)
	}
	i := slices.IndexFunc(users, func(a account) bool { return a.name == defaultName })
	name, _ := defaults.Text("name")
	if i < 0 || name == "" {
		return slices.DeleteFunc(users, func(a account) bool { return a.name == defaultName }), nil
	}
	underDefault := users[i].config
	users = slices.Delete(users, i, i+1)
	var underName *cloudconfig.Node
	if i := slices.IndexFunc(users, func(a account) bool { return a.name == name }); i >= 0 {
		underName = users[i].config
		users = slices.Delete(users, i, i+1)
	}
	groups := append(names(underName.Get("groups")), names(defaults.Get("groups"))...)
	slices.Sort(groups)
	list := cloudconfig.NewString(strings.Join(slices.Compact(groups), ","))
	merged, err := cloudconfig.Combine(defaults.Without("name", "groups"), underDefault, underName.With("groups", list))
	if err != nil {
		return nil, err
	}
	return append(users, account{name: name, config: merged, isDefault: true}), nil
}

// defaultUser is the system's default user, changed by user:, which is a name
// or a map.
func (e *Env) defaultUser() (*cloudconfig.Node, error) {
	old := e.Config.Get("user")
	switch {
	case old.IsNull():
		return e.DefaultUser, nil
	case old.Kind == cloudconfig.KindString:
		return e.DefaultUser.With("name", old), nil
	case old.Kind == cloudconfig.KindMap:
		return cloudconfig.Combine(old, e.DefaultUser)
	}
	return nil, old.Errorf("user: expected a name or a map")
}

func readUsers(n *cloudconfig.Node) (users []account, err error) {
	switch n := n; {
	case n.IsNull():
	case n.Kind == cloudconfig.KindMap:
		for _, p := range n.Pairs() {
			if p.Value.Kind == cloudconfig.KindMap {
				users = addUser(users, p.Key.String(), p.Value)
			} else if on, err := p.Value.AsBool(); err == nil && on {
				users = addUser(users, p.Key.String(), nil)
			}
		}
	case n.Kind == cloudconfig.KindString:
		for _, name := range names(n) {
			users = addUser(users, name, nil)
		}
	case n.Kind == cloudconfig.KindList:
		for _, item := range n.Items() {
			if item.Kind != cloudconfig.KindMap {
				for _, name := range names(item) {
					users = addUser(users, name, nil)
				}
				continue
			}
			name, err := item.Text("name")
			if err != nil {
				return nil, err
			}
			if name == "" {
				name = defaultName
			}
			users = addUser(users, name, item.Without("name"))
		}
	default:
		return nil, n.Errorf("users: expected a list")
	}
	return users, nil
}

// addUser adds to a user that is there, or appends one. Keys may be written
// with hyphens.
func addUser(users []account, name string, config *cloudconfig.Node) []account {
	var pairs []cloudconfig.Pair
	for _, p := range config.Pairs() {
		key := strings.TrimSpace(strings.ReplaceAll(p.Key.String(), "-", "_"))
		pairs = append(pairs, cloudconfig.Pair{Key: cloudconfig.NewString(key), Value: p.Value})
	}
	for i, a := range users {
		if a.name != name {
			continue
		}
		for _, p := range pairs {
			if key := p.Key.String(); !a.config.Has(key) {
				users[i].config = users[i].config.With(key, p.Value)
			}
		}
		return users
	}
	clean := cloudconfig.NewMap()
	for _, p := range pairs {
		clean = clean.With(p.Key.String(), p.Value)
	}
	return append(users, account{name: name, config: clean})
}

// groups reads groups: a comma-separated string, a list of names and of maps
// from name to members, or such a map.
func (e *Env) groups() ([]group, error) {
	n := e.Config.Get("groups")
	var groups []group
	add := func(name string, members []string) {
		for i := range groups {
			if groups[i].name == name {
				groups[i].members = append(groups[i].members, members...)
				return
			}
		}
		groups = append(groups, group{name, members})
	}
	addMap := func(m *cloudconfig.Node) {
		for _, p := range m.Pairs() {
			add(p.Key.String(), names(p.Value))
		}
	}
	switch {
	case n.IsNull():
	case n.Kind == cloudconfig.KindMap:
		addMap(n)
	case n.Kind == cloudconfig.KindString:
		for _, name := range names(n) {
			add(name, nil)
		}
	case n.Kind == cloudconfig.KindList:
		for _, item := range n.Items() {
			if item.Kind == cloudconfig.KindMap {
				addMap(item)
				continue
			}
			for _, name := range names(item) {
				add(name, nil)
			}
		}
	default:
		return nil, n.Errorf("groups: expected a list")
	}
	for i := range groups {
		slices.Sort(groups[i].members)
		groups[i].members = slices.Compact(groups[i].members)
	}
	return groups, nil
}

// names reads a list of names, a comma-separated string, or a map's keys.
func names(n *cloudconfig.Node) []string {
	var out []string
	add := func(text string) {
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	switch {
	case n.IsNull():
	case n.Kind == cloudconfig.KindList:
		for _, item := range n.Items() {
			for _, name := range names(item) {
				add(name)
			}
		}
	case n.Kind == cloudconfig.KindMap:
		for _, key := range n.Keys() {
			add(key)
		}
	default:
		add(n.String())
	}
	return out
}
