package datasource

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
)

// Limits of the walk; Nova's tree has about 25 leaves and three levels.
const (
	maxLeaves = 256
	maxLevels = 6
)

// entry is a line of a directory: where it is and what it is called.
type entry struct {
	name, path string
	dir        bool
}

// entries reads a directory: a name, a name with a slash for a directory, or
// N=NAME for a public key. Credentials are not for keeping.
func entries(list string) (out []entry) {
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		e := entry{name: strings.TrimRight(line, "/"), dir: strings.HasSuffix(line, "/")}
		e.path = e.name
		if number, name, ok := strings.Cut(line, "="); ok && strings.Trim(number, "0123456789") == "" {
			e = entry{name: name, path: number + "/openssh-key"}
		}
		known := slices.ContainsFunc(out, func(o entry) bool { return o.name == e.name })
		if e.name == "" || e.name == "security-credentials" || known || !safePath(e.path) {
			continue
		}
		out = append(out, e)
	}
	// Directories come first, as in cloud-init's value.
	slices.SortStableFunc(out, func(a, b entry) int {
		switch {
		case a.dir == b.dir:
			return 0
		case a.dir:
			return -1
		}
		return 1
	})
	return out
}

// safePath keeps names from a listing within their directory.
func safePath(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "?#%\\ \t\x00") {
			return false
		}
	}
	return true
}

// branch is a directory that is being read.
type branch struct {
	path string
	list []byte // nil: still to be read
	key  string
	kids []*branch
	leaf *cloudconfig.Node
	gone bool
}

// readTree turns a directory and all below it into one value, level by level,
// several documents at once. list is the directory's own text, nil to read it.
// The problems name what is listed and not there.
func readTree(ctx context.Context, f *fetcher, dir string, list []byte) (*cloudconfig.Node, []string, error) {
	if list == nil {
		body, err := f.get(ctx, dir)
		if err != nil {
			return nil, nil, fmt.Errorf("read meta-data: %w", err)
		}
		list = body
	}
	root := &branch{path: dir, list: list}
	var problems []string
	asked := 0
	for level, dirs := 0, []*branch{root}; len(dirs) > 0; level++ {
		if level > maxLevels {
			return nil, nil, named(f.base+dirs[0].path, fmt.Errorf("more than %d levels", maxLevels))
		}
		var next []*branch
		for _, d := range dirs {
			next = append(next, d.open()...)
		}
		if asked += len(next); asked > maxLeaves {
			return nil, nil, named(f.base+dir, fmt.Errorf("more than %d entries", maxLeaves))
		}
		gone, err := readBranches(ctx, f, next)
		if err != nil {
			return nil, nil, fmt.Errorf("read meta-data: %w", err)
		}
		problems = append(problems, gone...)
		dirs = slices.DeleteFunc(next, func(b *branch) bool { return b.list == nil })
	}
	return root.node(), problems, nil
}

// open makes the entries of a directory.
func (b *branch) open() []*branch {
	for _, e := range entries(string(b.list)) {
		kid := &branch{path: b.path + e.path, key: e.name}
		if e.dir {
			kid.path += "/"
		}
		b.kids = append(b.kids, kid)
	}
	return b.kids
}

func readBranches(ctx context.Context, f *fetcher, all []*branch) (problems []string, err error) {
	var paths []string
	for _, b := range all {
		paths = append(paths, b.path)
	}
	bodies, err := f.all(ctx, paths)
	if err != nil {
		return nil, err
	}
	for n, b := range all {
		switch {
		case bodies[n] == nil:
			b.gone = true
			problems = append(problems, shown(f.base+b.path)+": listed, but not there")
		case strings.HasSuffix(b.path, "/"):
			b.list = bodies[n]
		default:
			b.leaf = leaf(string(bodies[n]))
		}
	}
	return problems, nil
}

func (b *branch) node() *cloudconfig.Node {
	if b.leaf != nil {
		return b.leaf
	}
	var pairs []cloudconfig.Pair
	for _, kid := range b.kids {
		if !kid.gone {
			pairs = append(pairs, cloudconfig.Pair{Key: cloudconfig.NewString(kid.key), Value: kid.node()})
		}
	}
	return cloudconfig.NewMap(pairs...)
}

// leaf is an object if it reads as one, a list of lines if there are several.
func leaf(s string) *cloudconfig.Node {
	if t := strings.TrimSpace(s); strings.HasPrefix(t, "{") && strings.HasSuffix(t, "}") {
		if n, err := cloudconfig.ParseJSON([]byte(t)); err == nil {
			return n
		}
	}
	if !strings.Contains(s, "\n") {
		return cloudconfig.NewString(s)
	}
	var lines []*cloudconfig.Node
	for line := range strings.Lines(s) {
		lines = append(lines, cloudconfig.NewString(strings.TrimRight(line, "\r\n")))
	}
	return cloudconfig.NewList(lines...)
}
