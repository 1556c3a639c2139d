package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// account is a user and a group by their numbers.
type account struct{ uid, gid uint32 }

// findAccount reads a user and a group, each a number or a name. No user is
// this process's own; no group is the user's.
func findAccount(userName, groupName string) (account, error) {
	id := account{uint32(os.Geteuid()), uint32(os.Getegid())}
	if userName != "" {
		u, err := findUser(userName)
		if err != nil {
			return account{}, fmt.Errorf("metadata_proxy_user: %w", err)
		}
		id = u
	}
	if groupName != "" {
		gid, err := findGroup(groupName)
		if err != nil {
			return account{}, fmt.Errorf("metadata_proxy_group: %w", err)
		}
		id.gid = gid
	}
	return id, nil
}

// findUser takes a number for itself first; a user without an entry has the
// group of the same number.
func findUser(name string) (account, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		id := account{uint32(n), uint32(n)}
		if u, err := user.LookupId(name); err == nil {
			id.gid = number(u.Gid)
		}
		return id, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, err
	}
	return account{number(u.Uid), number(u.Gid)}, nil
}

func findGroup(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return number(g.Gid), nil
}

// number reads an id of the user database, which has only numbers here.
func number(id string) uint32 {
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return ^uint32(0)
	}
	return uint32(n)
}
