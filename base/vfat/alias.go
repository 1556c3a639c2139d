package vfat

import (
	"fmt"
	"strings"
)

// maxTail is the largest numeric tail, FAT 1.03 "The Numeric-Tail Generation
// Algorithm".
const maxTail = 999999

// basis makes the short name's parts of a long name, FAT 1.03 "The Basis-Name
// Generation Algorithm". fits means that they say the whole name but for its
// case. What is not ASCII counts as missing from the code page, for nobody
// knows the reader's.
func basis(name string) (base, ext string, fits bool) {
	clean := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			r += 'A' - 'a'
		}
		switch {
		case r == ' ':
			return -1
		case r == '.' || legalShort(r):
			return r
		}
		return '_'
	}, name)
	clean = strings.TrimLeft(clean, ".")
	base, _, _ = strings.Cut(clean, ".")
	if i := strings.LastIndexByte(clean, '.'); i >= 0 {
		ext = clean[i+1:]
	}
	base, ext = base[:min(len(base), 8)], ext[:min(len(ext), 3)]
	return base, ext, strings.EqualFold(name, joinShort(base, ext))
}

func joinShort(base, ext string) string {
	if ext == "" {
		return base
	}
	return base + "." + ext
}

// giveAliases sets the short name of every child of d, unique among the short
// and long names of the directory; FAT 1.03 "Naming Conventions and Long Names".
func (d *node) giveAliases() error {
	taken := map[shortName]bool{}
	var rest []*node
	for _, c := range d.children {
		base, ext, fits := basis(c.name)
		if !fits {
			rest = append(rest, c)
			continue
		}
		c.short = makeShort(base, ext)
		taken[c.short] = true
		if c.name == joinShort(base, ext) {
			c.long = nil // a short name of its own, in upper case
		}
	}
	// Names that begin alike share one count, so that many of them stay cheap.
	last := map[string]int{}
	for _, c := range rest {
		base, ext, _ := basis(c.name)
		base = base[:min(len(base), 6)]
		n := last[joinShort(base, ext)]
		for {
			n++
			if n > maxTail {
				return fmt.Errorf("vfat: %s: no short name is left", c.path())
			}
			tail := fmt.Sprintf("~%d", n)
			cut := base[:min(len(base), 8-len(tail))] + tail
			c.short = makeShort(cut, ext)
			if !taken[c.short] && d.byName[fold(joinShort(cut, ext))] == nil {
				break
			}
		}
		last[joinShort(base, ext)] = n
		taken[c.short] = true
	}
	return nil
}
