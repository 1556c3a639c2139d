package module

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/guest/distro"
)

// UsersGroups makes groups and users. cloud-init stops at the first user that
// fails; here the others, among them the default user, who comes last, are
// still made.
func UsersGroups(_ context.Context, e *Env) error {
	groups, err := e.groups()
	if err != nil {
		return err
	}
	users, err := e.accounts()
	if err != nil {
		return err
	}
	var errs []error
	for _, g := range groups {
		if err := e.Distro.AddGroup(g.name, g.members...); err != nil {
			errs = append(errs, fmt.Errorf("create group %s: %w", g.name, err))
		}
	}
	for _, u := range users {
		if err := e.createUser(u, defaultOf(users)); err != nil {
			errs = append(errs, fmt.Errorf("user %s: %w", u.name, err))
		}
	}
	return errors.Join(errs...)
}

// defaultOf is the name of the default user, "" without one.
func defaultOf(users []account) string {
	for _, u := range users {
		if u.isDefault {
			return u.name
		}
	}
	return ""
}

func (e *Env) createUser(u account, defaultUser string) error {
	if err := u.conflict(); err != nil {
		return err
	}
	spec, err := u.spec()
	if err != nil {
		return err
	}
	if _, err := e.Distro.AddUser(spec); err != nil {
		return err
	}
	if err := e.setUserPassword(u); err != nil {
		return err
	}
	if err := e.giveSudo(u); err != nil {
		return err
	}
	return e.giveKeys(u, defaultUser)
}

// conflict finds options that exclude each other.
func (u account) conflict() error {
	noHome, _ := u.config.Bool("no_create_home")
	system, _ := u.config.Bool("system")
	for _, key := range []string{"ssh_authorized_keys", "ssh_import_id", "ssh_redirect_user"} {
		set := !u.config.Get(key).IsNull()
		if set && (noHome.Or(false) || system.Or(false)) {
			return u.config.Errorf("%s cannot be provided with no_create_home or system", key)
		}
		if set && key != "ssh_redirect_user" && u.config.Has("ssh_redirect_user") {
			return u.config.Errorf("ssh_redirect_user cannot be provided with %s", key)
		}
	}
	return nil
}

// spec reads what useradd would be told.
func (u account) spec() (distro.User, error) {
	spec := distro.User{Name: u.name, Groups: names(u.config.Get("groups"))}
	var errs []error
	for key, to := range map[string]*string{
		"gecos": &spec.Gecos, "homedir": &spec.Home, "shell": &spec.Shell, "uid": &spec.UID,
		"primary_group": &spec.PrimaryGroup, "passwd": &spec.Password,
		"expiredate": &spec.Expire, "inactive": &spec.Inactive,
	} {
		var err error
		*to, err = u.config.Text(key)
		errs = append(errs, err)
	}
	for key, to := range map[string]*bool{
		"no_user_group": &spec.NoUserGroup, "system": &spec.System, "no_create_home": &spec.NoCreateHome,
	} {
		on, err := u.config.Bool(key)
		*to = on.Or(false)
		errs = append(errs, err)
	}
	return spec, errors.Join(errs...)
}

func (e *Env) setUserPassword(u account) error {
	for _, form := range []struct {
		key   string
		plain bool
	}{{"plain_text_passwd", true}, {"hashed_passwd", false}} {
		password, err := u.config.Text(form.key)
		if err != nil {
			return err
		}
		if password == "" {
			continue
		}
		if err := e.Distro.SetPassword(form.plain, map[string]string{u.name: password}); err != nil {
			return err
		}
	}
	lock, err := u.config.Bool("lock_passwd")
	if err != nil || !lock.Or(true) {
		return err
	}
	return e.Distro.LockPassword(u.name)
}

func (e *Env) giveSudo(u account) error {
	rules := u.config.Get("sudo")
	if rules.IsNull() {
		return nil
	}
	if rules.Kind == cloudconfig.KindBool {
		if on, _ := rules.AsBool(); on {
			return rules.Errorf("sudo: expected rules, not true")
		}
		return nil
	}
	list, err := rules.AsStrings()
	if err != nil || len(list) == 0 || list[0] == "" {
		return err
	}
	return e.Distro.AddSudoRules(u.name, list)
}

func (e *Env) giveKeys(u account, defaultUser string) error {
	if u.config.Has("ssh_authorized_keys") {
		return e.Distro.AuthorizeKeys(u.name, keyList(u.config.Get("ssh_authorized_keys")), "")
	}
	redirect := u.config.Get("ssh_redirect_user")
	on, err := redirect.AsBool()
	if word, _ := redirect.AsString(); redirect.IsNull() || err == nil && !on {
		return nil
	} else if err != nil && word != defaultName {
		return redirect.Errorf("ssh_redirect_user: expected true, default or false")
	}
	switch {
	case defaultUser == "":
		e.Log.Warn("Ignoring ssh_redirect_user for " + u.name + ": there is no default user")
		return nil
	case len(e.Cloud.PublicKeys) == 0:
		e.Log.Warn("Unable to disable SSH logins for " + u.name + ": no cloud public-keys present.")
		return nil
	}
	return e.Distro.AuthorizeKeys(u.name, e.Cloud.PublicKeys, refuse(refusal, defaultUser, u.name))
}

// keyList reads keys given as a string, a list or a map.
func keyList(n *cloudconfig.Node) []string {
	var keys []string
	switch kindOf(n) {
	case cloudconfig.KindList:
		for _, item := range n.Items() {
			keys = append(keys, item.String())
		}
	case cloudconfig.KindMap:
		for _, p := range n.Pairs() {
			keys = append(keys, p.Value.String())
		}
	case cloudconfig.KindString:
		keys = append(keys, n.String())
	}
	return keys
}

// refusal are the key options that tell a person to log in as somebody else.
// cloud-init: ssh_util.py DISABLE_USER_OPTS.
const refusal = `no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command="echo 'Please login as the user \"$USER\" rather than the user \"$DISABLE_USER\".';echo;sleep 10;exit 142"`

func refuse(options, user, instead string) string {
	return strings.NewReplacer("$USER", user, "$DISABLE_USER", instead).Replace(options)
}
