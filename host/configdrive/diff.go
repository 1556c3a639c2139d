package configdrive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
)

// Entry is a file or directory of a tree.
type Entry struct {
	Path   string `json:"path"`
	Mode   string `json:"mode"` // as ls writes it
	Size   int64  `json:"size"` // 0 for a directory
	SHA256 string `json:"sha256,omitempty"`
}

// Difference is a path at which two trees differ; of A and B the one that has
// no such path is nil.
type Difference struct {
	Path string `json:"path"`
	A    *Entry `json:"a,omitempty"`
	B    *Entry `json:"b,omitempty"`
	What string `json:"what"` // in words
}

// randomSeed is the one part of a drive that no two drives share.
var randomSeed = regexp.MustCompile(`("random_seed": ?")[A-Za-z0-9+/=]*"`)

// List returns what is in a tree, the root left out, in the order of the paths.
// sums adds the files' digests, of which random_seed is left out if seedless;
// at most limit bytes are read for them.
func List(fsys fs.FS, sums, seedless bool, limit int64) ([]Entry, error) {
	var all []Entry
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		e := Entry{Path: name, Mode: i.Mode().String()}
		if i.Mode().IsRegular() {
			e.Size = i.Size()
			if limit -= e.Size; sums && limit < 0 {
				return fmt.Errorf("%s: the files together are many times larger than the volume", name)
			}
			if sums {
				e.SHA256, err = sum(fsys, name, seedless)
			}
		}
		all = append(all, e)
		return err
	})
	return all, err
}

func sum(fsys fs.FS, name string, seedless bool) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	var r io.Reader = f
	if i, err := f.Stat(); seedless && err == nil && i.Size() <= maxDocument {
		b, err := io.ReadAll(io.LimitReader(f, maxDocument))
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		r = bytes.NewReader(randomSeed.ReplaceAll(b, []byte(`$1"`)))
	}
	if _, err := io.Copy(h, r); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Diff compares two trees by what they list.
func Diff(a, b []Entry) []Difference {
	index := func(list []Entry) map[string]*Entry {
		m := map[string]*Entry{}
		for i := range list {
			m[list[i].Path] = &list[i]
		}
		return m
	}
	inA, inB := index(a), index(b)
	all := maps.Clone(inA)
	maps.Copy(all, inB)
	var found []Difference
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if what := differ(inA[name], inB[name]); what != "" {
			found = append(found, Difference{Path: name, A: inA[name], B: inB[name], What: what})
		}
	}
	return found
}

// differ says in words how a and b differ, "" if they do not.
func differ(a, b *Entry) string {
	switch {
	case b == nil:
		return "only in the first"
	case a == nil:
		return "only in the second"
	case a.Mode != b.Mode:
		return fmt.Sprintf("mode %s, then %s", a.Mode, b.Mode)
	case a.Size != b.Size:
		return fmt.Sprintf("%d bytes, then %d", a.Size, b.Size)
	case a.SHA256 != b.SHA256:
		return "other content"
	}
	return ""
}
