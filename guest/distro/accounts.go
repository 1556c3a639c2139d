package distro

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	publicMode fs.FileMode = 0o644
	shadowMode fs.FileMode = 0o640
)

// accounts are the files of users and groups, edited together.
type accounts struct {
	passwd, group, shadow, gshadow, subuid, subgid table
	defs                                           loginDefs
}

// Account is an entry of /etc/passwd.
type Account struct {
	Name     string
	UID, GID int
	Home     string
}

// Account looks name up; ok is false if there is none.
func (d *Distro) Account(name string) (a Account, ok bool) {
	t := table{name: "/etc/passwd"}
	if t.load(d) != nil {
		return a, false
	}
	_, f := t.find(name)
	if len(f) < 7 {
		return a, false
	}
	uid, err := strconv.Atoi(f[2])
	if err != nil {
		return a, false
	}
	gid, err := strconv.Atoi(f[3])
	if err != nil {
		return a, false
	}
	return Account{Name: name, UID: uid, GID: gid, Home: f[5]}, true
}

// GroupID looks a group up; ok is false if there is none.
func (d *Distro) GroupID(name string) (gid int, ok bool) {
	t := table{name: "/etc/group"}
	if t.load(d) != nil {
		return 0, false
	}
	return t.groupID(name)
}

func (t *table) groupID(name string) (int, bool) {
	_, f := t.find(name)
	if len(f) < 3 {
		return 0, false
	}
	gid, err := strconv.Atoi(f[2])
	return gid, err == nil
}

func (d *Distro) shadowGID() int {
	gid, _ := d.GroupID("shadow")
	return gid
}

// edit changes the account files under the lock that passwd(1) and its kin
// respect. Each file is replaced atomically and passwd comes last: a user
// that is there is complete.
func (d *Distro) edit(change func(*accounts) error) error {
	unlock, err := d.lockAccounts()
	if err != nil {
		return err
	}
	defer unlock()
	a := accounts{
		passwd:  table{name: "/etc/passwd", mode: publicMode},
		group:   table{name: "/etc/group", mode: publicMode},
		shadow:  table{name: "/etc/shadow", mode: shadowMode},
		gshadow: table{name: "/etc/gshadow", mode: shadowMode, optional: true},
		subuid:  table{name: "/etc/subuid", mode: publicMode, optional: true},
		subgid:  table{name: "/etc/subgid", mode: publicMode, optional: true},
		defs:    d.loginDefs(),
	}
	files := []*table{&a.subuid, &a.subgid, &a.group, &a.gshadow, &a.shadow, &a.passwd}
	for _, t := range files {
		if err := t.load(d); err != nil {
			return err
		}
	}
	if err := change(&a); err != nil {
		return err
	}
	for _, t := range files {
		if err := t.store(d); err != nil {
			return err
		}
	}
	return nil
}

// addGroup adds a group, with the id preferred if that is free.
func (a *accounts) addGroup(name string, system bool, preferred int) (int, error) {
	if err := checkName("group", name); err != nil {
		return 0, err
	}
	used := a.group.ids(2)
	gid := preferred
	if gid < 0 || used[gid] {
		var err error
		if gid, err = a.defs.gids(system).next(used); err != nil {
			return 0, fmt.Errorf("group %s: %w", name, err)
		}
	}
	if err := a.group.set(name, "x", strconv.Itoa(gid), ""); err != nil {
		return 0, err
	}
	return gid, a.gshadow.set(name, "!", "", "")
}

// addMember adds user to group, in gshadow too.
func (a *accounts) addMember(group, user string) error {
	for _, t := range []*table{&a.group, &a.gshadow} {
		_, f := t.find(group)
		if len(f) < 4 {
			continue
		}
		members := strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
		if slices.Contains(members, user) {
			continue
		}
		f[3] = strings.Join(append(members, user), ",")
		if err := t.set(f...); err != nil {
			return err
		}
	}
	return nil
}

// owner returns the numbers of a file's user and group.
func owner(info os.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return 0, 0
}

// checkName refuses what useradd and groupadd of Debian refuse, and control
// characters. An unusual name is no error.
func checkName(kind, name string) error {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(":,/\"\\", r) }
	switch {
	case name == "", name == ".", name == "..", len(name) > 32,
		strings.ContainsAny(name[:1], "-+~"), strings.ContainsFunc(name, bad):
		return fmt.Errorf("invalid %s name %q", kind, name)
	}
	return nil
}
