package iso9660

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// node is a file or directory that is to be written. It stands in both
// hierarchies, in each under an identifier of its own.
type node struct {
	File
	parent  *node // of the root: itself
	kids    map[string]*node
	subdirs uint32
	listed  bool          // by the caller, not only on the way of another
	ids     [2]string     // by hierarchy
	dirs    [2]*directory // by hierarchy; nil for a file
	block   uint32        // of a file's content
	rest    continuation  // what its record has no room for
}

func (n *node) isDir() bool { return n.Mode.IsDir() }

// grove is the tree of nodes while it grows.
type grove struct {
	image Image
	root  *node
	nodes int
}

// tree makes nodes of the files; it returns the root.
func (i Image) tree() (*node, error) {
	g := grove{image: i}
	g.root = g.newNode(File{Path: ".", Mode: fs.ModeDir})
	g.root.parent = g.root
	for _, f := range i.Files {
		err := f.check()
		if err == nil {
			err = g.plant(f)
		}
		if err != nil {
			return nil, fmt.Errorf("file %q: %w", f.Path, err)
		}
	}
	return g.root, nil
}

// check says what is wrong with f alone.
func (f File) check() error {
	switch {
	case !fs.ValidPath(f.Path):
		return errors.New("not a relative path in its shortest form")
	case len(f.Path) > maxPath:
		return fmt.Errorf("path is longer than %d bytes", maxPath)
	case f.Mode.Type() != 0 && !f.Mode.IsDir():
		return fmt.Errorf("neither file nor directory: %v", f.Mode)
	case f.Path == "." && !f.Mode.IsDir():
		return errors.New("the root is a directory")
	case f.Size < 0 || f.Mode.IsDir() && f.Size != 0:
		return fmt.Errorf("size of %d bytes", f.Size)
	case f.Size > maxVolume:
		return fmt.Errorf("%d bytes are more than a volume can number", f.Size)
	case f.Size > 0 && f.Open == nil:
		return fmt.Errorf("nothing opens its %d bytes", f.Size)
	}
	return checkDate(f.ModTime)
}

// plant puts f into the tree, with the directories on its way.
func (g *grove) plant(f File) error {
	n, err := g.place(f.Path)
	switch {
	case err != nil:
		return err
	case n.listed:
		return errors.New("listed twice")
	case len(n.kids) > 0 && !f.Mode.IsDir():
		return errors.New("is a file and a directory")
	case g.nodes > maxEntries:
		return fmt.Errorf("more than %d files and directories", maxEntries)
	}
	n.File, n.listed = g.complete(f), true
	return nil
}

// place walks to a path, and makes directories of what is not there yet.
func (g *grove) place(name string) (*node, error) {
	at := g.root
	if name == "." {
		return at, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if !at.isDir() {
			return nil, fmt.Errorf("%q is a file and a directory", at.Path)
		}
		kid := at.kids[part]
		if kid == nil {
			if err := checkName(part); err != nil {
				return nil, err
			}
			kid = g.newNode(File{Path: path.Join(at.Path, part), Mode: fs.ModeDir})
			kid.parent = at
			if at.kids == nil {
				at.kids = map[string]*node{}
			}
			at.kids[part] = kid
		}
		at = kid
	}
	return at, nil
}

func (g *grove) newNode(f File) *node {
	g.nodes++
	return &node{File: g.complete(f)}
}

// complete replaces the zero values that stand for a default.
func (g *grove) complete(f File) File {
	switch {
	case f.Mode.Perm() != 0:
	case f.Mode.IsDir():
		f.Mode |= 0o555
	default:
		f.Mode |= 0o444
	}
	if f.ModTime.IsZero() {
		f.ModTime = g.image.Created
	}
	return f
}
