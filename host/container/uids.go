package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"imprint/host/cloud"
)

// Every instance has idCount users and groups of the machine for itself, at
// the same numbers. The ranges lie in the part that systemd's "Users, Groups,
// UIDs and GIDs" reserves for containers (524288 to 1879048191), above what
// useradd hands out to users by default.
const (
	idCount    = 1 << 16
	firstRange = 0x2000 // in units of idCount
	rangeCount = 0x4000
)

// uids returns the first user of the instance's range. It is chosen once, by
// the instance's id, so that the instances of several Imprints on one machine
// are unlikely to share one; those of this driver never do.
func (d *Driver) uids(dir string, id cloud.ServerID) (uint32, error) {
	name := filepath.Join(dir, identityFile)
	var known identity
	text, err := os.ReadFile(name)
	if err == nil {
		if err := json.Unmarshal(text, &known); err != nil {
			return 0, fmt.Errorf("read %s: %w", name, err)
		}
		return known.UIDs, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return 0, err
	}
	d.choosing.Lock()
	defer d.choosing.Unlock()
	taken, err := d.takenUIDs()
	if err != nil {
		return 0, err
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	uid, err := chooseRange(h.Sum32(), taken)
	if err != nil {
		return 0, err
	}
	return uid, writeJSON(name, identity{UIDs: uid})
}

// chooseRange returns the first free range at or after the one that hash points at.
func chooseRange(hash uint32, taken []interval) (uint32, error) {
	for i := range uint32(rangeCount) {
		first := (firstRange + (hash+i)%rangeCount) * idCount
		if !overlaps(taken, first) {
			return first, nil
		}
	}
	return 0, errors.New("no range of users is left for another container")
}

// interval is a set of consecutive users.
type interval struct{ first, count uint64 }

func overlaps(taken []interval, first uint32) bool {
	for _, t := range taken {
		if uint64(first) < t.first+t.count && t.first < uint64(first)+idCount {
			return true
		}
	}
	return false
}

// takenUIDs returns the ranges of the other instances and those that the
// machine's administrator gave to users. subuid(5), subgid(5)
func (d *Driver) takenUIDs() ([]interval, error) {
	var taken []interval
	ids, err := d.List()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		text, err := os.ReadFile(filepath.Join(d.config.Dir, string(id), identityFile))
		var known identity
		if err == nil && json.Unmarshal(text, &known) == nil {
			taken = append(taken, interval{uint64(known.UIDs), idCount})
		}
	}
	for _, name := range []string{"/etc/subuid", "/etc/subgid"} {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		taken = append(taken, parseSubIDs(string(text))...)
	}
	return taken, nil
}

func parseSubIDs(text string) []interval {
	var list []interval
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[1], 10, 32)
		count, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil {
			list = append(list, interval{first, count})
		}
	}
	return list
}
