package iso9660

import (
	"maps"
	"os"
	"syscall"
	"testing"
)

// owner is the user and group of a file on disk.
func owner(t *testing.T, name string) (uid, gid uint32) {
	t.Helper()
	i, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	s := i.Sys().(*syscall.Stat_t)
	return s.Uid, s.Gid
}

// expectedOwners is what a peer can have extracted: only root gives files away.
func expectedOwners(want map[string]fact) map[string]fact {
	want = maps.Clone(want)
	if os.Getuid() == 0 {
		return want
	}
	for name, x := range want {
		x.UID, x.GID = uint32(os.Getuid()), uint32(os.Getgid())
		want[name] = x
	}
	return want
}
