package distro

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// User is an account to be made. Name alone is enough.
type User struct {
	Name  string
	Gecos string
	// Home defaults to /home/NAME.
	Home string
	// Shell defaults to the one of /etc/default/useradd, or /bin/sh.
	Shell string
	// UID is a number or empty: then the next free one.
	UID string
	// PrimaryGroup is a name or number; empty means a group named as the user.
	PrimaryGroup string
	// Groups are further groups; ones that are missing are made.
	Groups []string
	// Password is a crypt(3) hash; empty means none: "!".
	Password string
	// Expire is a day, YYYY-MM-DD, and Inactive a number of days; or empty.
	Expire, Inactive string
	// NoUserGroup takes the group 100 (users) instead of an own one.
	NoUserGroup bool
	// System takes ids from the system's range, and no home is made.
	System bool
	// NoCreateHome leaves the home directory out.
	NoCreateHome bool
}

// defaultGroup is useradd's GROUP on Debian: users.
const defaultGroup = 100

// AddGroup makes a group and adds members to it. A group that is there is
// kept; members that are no users are skipped with a warning.
func (d *Distro) AddGroup(name string, members ...string) error {
	return d.edit(func(a *accounts) error {
		if i, _ := a.group.find(name); i >= 0 {
			d.Log.Warn("Skipping creation of existing group '" + name + "'")
		} else if _, err := a.addGroup(name, false, -1); err != nil {
			return err
		}
		for _, m := range members {
			if i, _ := a.passwd.find(m); i < 0 {
				d.Log.Warn("Unable to add group member '" + m + "' to group '" + name + "'; user does not exist.")
				continue
			}
			if err := a.addMember(name, m); err != nil {
				return err
			}
		}
		return nil
	})
}

// AddUser makes an account with its groups, subordinate ids and home
// directory, or leaves one that is there as it is: then added is false.
func (d *Distro) AddUser(u User) (added bool, err error) {
	err = d.edit(func(a *accounts) error {
		if i, _ := a.passwd.find(u.Name); i >= 0 {
			d.Log.Info("User " + u.Name + " already exists, skipping.")
			return nil
		}
		added = true
		d.Log.Debug("Adding user " + u.Name)
		return d.addUser(a, u)
	})
	if err != nil {
		return false, fmt.Errorf("create user %s: %w", u.Name, err)
	}
	return added, nil
}

func (d *Distro) addUser(a *accounts, u User) error {
	if err := u.check(); err != nil {
		return err
	}
	for _, g := range u.wantedGroups() {
		if _, ok := a.group.groupID(g); ok {
			continue
		}
		if _, err := a.addGroup(g, false, -1); err != nil {
			return err
		}
	}
	uid, err := a.uid(u)
	if err != nil {
		return err
	}
	gid, err := a.gid(u, uid)
	if err != nil {
		return err
	}
	for _, g := range u.Groups {
		if err := a.addMember(g, u.Name); err != nil {
			return err
		}
	}
	if err := a.addShadow(u, d.today()); err != nil {
		return err
	}
	if err := a.addSubordinate(u); err != nil {
		return err
	}
	home, shell := d.places(u)
	if !u.System && !u.NoCreateHome {
		if err := d.makeHome(home, uid, gid, a.defs); err != nil {
			return err
		}
	}
	return a.passwd.set(u.Name, "x", strconv.Itoa(uid), strconv.Itoa(gid), u.Gecos, home, shell)
}

// wantedGroups are the groups that must be there. A primary group given by
// number is not made.
func (u User) wantedGroups() []string {
	groups := slices.Clone(u.Groups)
	if _, err := strconv.Atoi(u.PrimaryGroup); err != nil && u.PrimaryGroup != "" {
		groups = append(groups, u.PrimaryGroup)
	}
	return groups
}

// check refuses what useradd would.
func (u User) check() error {
	if err := checkName("user", u.Name); err != nil {
		return err
	}
	for what, p := range map[string]string{"home directory": u.Home, "shell": u.Shell} {
		if p != "" && (!path.IsAbs(p) || strings.ContainsAny(p, ":\n")) {
			return fmt.Errorf("invalid %s %q", what, p)
		}
	}
	if strings.ContainsAny(u.Gecos, ":\n") {
		return fmt.Errorf("invalid comment %q", u.Gecos)
	}
	if strings.ContainsAny(u.Password, ":\n") {
		return fmt.Errorf("invalid password field")
	}
	return nil
}

// today is the day number of shadow(5).
func (d *Distro) today() int { return int(d.Now().Unix() / 86400) }
