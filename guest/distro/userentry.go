package distro

import (
	"fmt"
	"strconv"
	"time"
)

func (a *accounts) uid(u User) (int, error) {
	used := a.passwd.ids(2)
	if u.UID == "" {
		return a.defs.uids(u.System).next(used)
	}
	uid, err := strconv.Atoi(u.UID)
	if err != nil || uid < 0 {
		return 0, fmt.Errorf("invalid user id %q", u.UID)
	}
	if used[uid] {
		return 0, fmt.Errorf("user id %d is not unique", uid)
	}
	return uid, nil
}

func (a *accounts) gid(u User, uid int) (int, error) {
	switch {
	case u.PrimaryGroup != "":
		if gid, ok := a.group.groupID(u.PrimaryGroup); ok {
			return gid, nil
		}
		gid, err := strconv.Atoi(u.PrimaryGroup)
		if err != nil || !a.group.ids(2)[gid] {
			return 0, fmt.Errorf("group %q does not exist", u.PrimaryGroup)
		}
		return gid, nil
	case u.NoUserGroup:
		return defaultGroup, nil
	}
	if gid, ok := a.group.groupID(u.Name); ok {
		return gid, nil
	}
	return a.addGroup(u.Name, u.System, uid)
}

func (a *accounts) addShadow(u User, today int) error {
	password := u.Password
	if password == "" {
		password = "!"
	}
	expire := ""
	if u.Expire != "" {
		day, err := time.Parse(time.DateOnly, u.Expire)
		if err != nil {
			return fmt.Errorf("invalid expiry day %q", u.Expire)
		}
		expire = strconv.FormatInt(day.Unix()/86400, 10)
	}
	aging := []string{"", "", ""}
	if !u.System {
		for i, key := range []string{"PASS_MIN_DAYS", "PASS_MAX_DAYS", "PASS_WARN_AGE"} {
			aging[i] = strconv.Itoa(a.defs[key])
		}
	}
	return a.shadow.set(u.Name, password, strconv.Itoa(today), aging[0], aging[1], aging[2], u.Inactive, expire, "")
}

func (a *accounts) addSubordinate(u User) error {
	if u.System {
		return nil
	}
	for _, s := range []struct {
		t    *table
		kind string
	}{{&a.subuid, "UID"}, {&a.subgid, "GID"}} {
		if i, _ := s.t.find(u.Name); i >= 0 {
			continue
		}
		count := a.defs["SUB_"+s.kind+"_COUNT"]
		start, err := s.t.subordinate(a.defs["SUB_"+s.kind+"_MIN"], a.defs["SUB_"+s.kind+"_MAX"], count)
		if err != nil {
			return fmt.Errorf("%s: %w", s.t.name, err)
		}
		if err := s.t.set(u.Name, strconv.Itoa(start), strconv.Itoa(count)); err != nil {
			return err
		}
	}
	return nil
}
