package iso9660

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

const (
	maxPrimary = 31  // characters of an identifier, dot included, version not (7.5.1, 7.6.3)
	maxJoliet  = 103 // units of a name; 64 by the specification, mkisofs and Windows take 103
)

// checkName says why a name, one element of a path, cannot be carried.
// The characters are those that the Joliet Specification, "Allowed Character
// Set", forbids: every reader shall see the same name.
func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("name of %d bytes is longer than %d", len(name), maxName)
	}
	if n := len(utf16.Encode([]rune(name))); n > maxJoliet {
		return fmt.Errorf("name of %d UTF-16 units is longer than the %d of Joliet", n, maxJoliet)
	}
	for _, r := range name {
		if r < 0x20 || strings.ContainsRune(`*:;?\`, r) {
			return fmt.Errorf("name has the character %q, which Joliet forbids", r)
		}
	}
	return nil
}

// ucs2 is a text in the byte order of Joliet. Characters beyond 16 bits
// become pairs, as readers expect them today.
func ucs2(s string) string {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = be.AppendUint16(b, u)
	}
	return string(b)
}

// fromUCS2 reads ucs2; an odd byte at the end is left.
func fromUCS2(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = be.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// namer gives the entries of one directory their primary identifiers:
// different ones, also for readers that fold case.
type namer struct {
	taken map[string]bool
	next  map[string]int // number to try next, by wished identifier
}

// identifier is the primary identifier of a name, as mkisofs gives it for Nova
// (-allow-lowercase -allow-multidot -ldots -l): what is no letter, digit, dot
// or underscore becomes an underscore, and a file has a dot and a version.
func (m *namer) identifier(name string, isDir bool) string {
	clean := strings.Map(func(r rune) rune {
		if r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	stem, extension := clean, ""
	if i := strings.LastIndexByte(clean, '.'); i >= 0 {
		stem, extension = clean[:i], clean[i:]
	} else if !isDir {
		extension = "."
	}
	if len(clean) > maxPrimary {
		extension = extension[:min(len(extension), maxPrimary/2)]
	}
	id := m.unique(stem, extension)
	if isDir {
		return id
	}
	return id + ";1"
}

// unique joins stem and extension, with a number between them if they are taken.
func (m *namer) unique(stem, extension string) string {
	stem = stem[:min(len(stem), maxPrimary-len(extension))]
	wish := stem + extension
	id := wish
	for m.taken[fold(id)] {
		number := fmt.Sprintf("%03d", m.next[wish])
		m.next[wish]++
		id = stem[:min(len(stem), maxPrimary-len(extension)-len(number))] + number + extension
	}
	m.taken[fold(id)] = true
	return id
}

// fold is what an identifier has in common with those that some reader would
// take for the same: case and the dot at the end do not tell them apart.
func fold(id string) string { return strings.ToUpper(strings.TrimRight(id, ".")) }

// plainName is the name that a primary identifier stands for without
// extensions, as Linux gives it (fs/isofs/dir.c isofs_name_translate): lower
// case, without version 1 and without the dot of an empty extension.
func plainName(id string) string {
	id = strings.TrimSuffix(strings.TrimSuffix(id, ";1"), ".")
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case r == ';' || r == '/':
			return '.'
		}
		return r
	}, id)
}
