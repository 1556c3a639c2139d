package container

import (
	"fmt"
	"os"
	"path/filepath"

	"imprint/host/cloud"
)

// spec is what a shim is told.
type spec struct {
	ID  cloud.ServerID `json:"id"`
	Dir string         `json:"dir"` // the instance's folder
	// Tree is the directory of the root file system.
	Tree string `json:"tree"`
	// Usr, for HostTree, is a directory that is laid over this machine's /usr;
	// it and Tree are then to be made.
	Usr    string `json:"usr,omitempty"`
	Guest  string `json:"guest,omitempty"` // program bound to /usr/bin/imprint-guest
	Drive  string `json:"drive,omitempty"` // name below /dev of the config drive
	UIDs   uint32 `json:"uids"`            // first of idCount users and groups
	RAM    int64  `json:"ram"`             // bytes
	PIDs   int    `json:"pids"`
	Cgroup string `json:"cgroup"`
	Boots  int    `json:"boots"` // this start's number, from 1
}

// identity is the file container.json: what an instance keeps for all its life.
type identity struct {
	UIDs uint32 `json:"uids"`
}

const identityFile = "container.json"

// prepare makes the parts of the instance's folder that are missing.
func (d *Driver) prepare(dir string, inst cloud.DesiredInstance, tree string) (spec, error) {
	s := spec{
		ID: inst.ID, Dir: dir, Tree: tree, RAM: int64(inst.RAM) << 20,
		PIDs: d.config.MaxProcesses, Cgroup: d.config.Cgroup, Boots: 1,
	}
	if inst.RAM <= 0 {
		return s, fmt.Errorf("%d MiB of memory", inst.RAM)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s, fmt.Errorf("make instance folder: %w", err)
	}
	var err error
	if s.UIDs, err = d.uids(dir, inst.ID); err != nil {
		return s, err
	}
	if rec, err := readRecord(dir); err == nil {
		s.Boots = rec.Boots + 1
	}
	if s.Drive, err = driveDevice(dir); err != nil {
		return s, err
	}
	if tree == HostTree {
		return s, d.prepareHostTree(&s)
	}
	if st, err := os.Stat(filepath.Join(tree, "usr")); err != nil || !st.IsDir() {
		return s, fmt.Errorf("image tree %s is not a root file system: it has no directory usr", tree)
	}
	return s, nil
}

func (d *Driver) prepareHostTree(s *spec) error {
	skeleton := filepath.Join(s.Dir, "skeleton")
	if err := os.RemoveAll(skeleton); err != nil {
		return fmt.Errorf("renew skeleton: %w", err)
	}
	s.Tree, s.Usr = filepath.Join(skeleton, "root"), filepath.Join(skeleton, "usr")
	if s.Guest = d.config.Guest; s.Guest == "" {
		return nil
	}
	st, err := os.Stat(s.Guest)
	if err != nil {
		return fmt.Errorf("guest program: %w", err)
	}
	if st.Mode()&0o111 == 0 {
		return fmt.Errorf("guest program %s is not executable", s.Guest)
	}
	return nil
}
