package main

import (
	"io/fs"
	"os"
)

// socketMode is the mode of the agent's socket: who may write to it may
// connect. deduce goes by whether the proxies run as this process's user, or in
// its group (neutron: agent/metadata/agent.py, 21.0.0).
func (o agentOptions) socketMode() (fs.FileMode, error) {
	modes := map[string]fs.FileMode{"user": 0o644, "group": 0o664, "all": 0o666}
	if o.mode != "deduce" {
		return modes[o.mode], nil
	}
	if o.user == "" {
		return modes["user"], nil
	}
	proxy, err := findAccount(o.user, "")
	if err != nil {
		return 0, err
	}
	if proxy.uid == 0 || proxy.uid == uint32(os.Geteuid()) {
		return modes["user"], nil
	}
	if o.group == "" {
		return modes["group"], nil
	}
	gid, err := findGroup(o.group)
	if err != nil {
		return 0, err
	}
	if gid == uint32(os.Getegid()) {
		return modes["group"], nil
	}
	return modes["all"], nil
}
