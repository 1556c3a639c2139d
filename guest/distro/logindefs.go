package distro

import (
	"errors"
	"strconv"
	"strings"
)

// loginDefs are the numbers of /etc/login.defs, by their names there.
type loginDefs map[string]int

// loginDefs reads the file; Debian's values stand for what it leaves out
// (login.defs(5)).
func (d *Distro) loginDefs() loginDefs {
	defs := loginDefs{
		"UID_MIN": 1000, "UID_MAX": 60000, "SYS_UID_MIN": 100, "SYS_UID_MAX": 999,
		"GID_MIN": 1000, "GID_MAX": 60000, "SYS_GID_MIN": 100, "SYS_GID_MAX": 999,
		"SUB_UID_MIN": 100000, "SUB_UID_MAX": 600100000, "SUB_UID_COUNT": 65536,
		"SUB_GID_MIN": 100000, "SUB_GID_MAX": 600100000, "SUB_GID_COUNT": 65536,
		"PASS_MIN_DAYS": 0, "PASS_MAX_DAYS": 99999, "PASS_WARN_AGE": 7,
		"UMASK": 0o022,
	}
	data, err := d.Root.ReadFile("/etc/login.defs")
	if err != nil {
		return defs
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(f[1], 0, 32); err == nil {
			defs[f[0]] = int(n)
		}
	}
	return defs
}

// idRange is where new ids are taken from.
type idRange struct {
	min, max int
	down     bool // from the top, as for system accounts
}

func (l loginDefs) uids(system bool) idRange {
	if system {
		return idRange{l["SYS_UID_MIN"], l["SYS_UID_MAX"], true}
	}
	return idRange{l["UID_MIN"], l["UID_MAX"], false}
}

func (l loginDefs) gids(system bool) idRange {
	if system {
		return idRange{l["SYS_GID_MIN"], l["SYS_GID_MAX"], true}
	}
	return idRange{l["GID_MIN"], l["GID_MAX"], false}
}

var errNoID = errors.New("no free id is left")

// next is the id that useradd would take: one above the highest in use, or
// the lowest free one at the end of the range; the highest free for system
// accounts (shadow 4.13 libmisc/find_new_uid.c).
func (r idRange) next(used map[int]bool) (int, error) {
	if r.down {
		for id := r.max; id >= r.min; id-- {
			if !used[id] {
				return id, nil
			}
		}
		return 0, errNoID
	}
	highest := r.min - 1
	for id := range used {
		if id >= r.min && id <= r.max {
			highest = max(highest, id)
		}
	}
	if highest < r.max {
		return highest + 1, nil
	}
	for id := r.min; id <= r.max; id++ {
		if !used[id] {
			return id, nil
		}
	}
	return 0, errNoID
}

// subordinate is the start of a new range of subordinate ids: behind the last
// one in use (shadow 4.13 libmisc/find_new_sub_uids.c).
func (t *table) subordinate(low, high, count int) (int, error) {
	start := low
	for _, line := range t.lines {
		f := strings.Split(line, ":")
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.Atoi(f[1])
		n, err2 := strconv.Atoi(f[2])
		if err1 == nil && err2 == nil && first+n > start && first <= high {
			start = first + n
		}
	}
	if start+count-1 > high {
		return 0, errNoID
	}
	return start, nil
}
