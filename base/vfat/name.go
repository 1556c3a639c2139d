package vfat

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// longUnits gives name as a long directory entry stores it, or says why FAT
// cannot carry it (FAT 1.03 "Name Limits and Character Sets"). Characters
// beyond U+FFFF become surrogate pairs, as Linux and Windows store them.
func longUnits(name string) ([]uint16, error) {
	if !utf8.ValidString(name) {
		return nil, errors.New("the name is not UTF-8")
	}
	for _, r := range name {
		if r < 0x20 || strings.ContainsRune(`"*/:<>?\|`, r) {
			return nil, fmt.Errorf("FAT cannot carry the character %q", r)
		}
	}
	// Spaces at the ends and periods at the end "are ignored": such a name
	// would come back as another.
	if strings.Trim(name, " ") != name || strings.HasSuffix(name, ".") {
		return nil, fmt.Errorf("FAT cannot carry the name %q: a space at an end, or a period at the end", name)
	}
	units := utf16.Encode([]rune(name))
	if len(units) > maxUnits {
		return nil, fmt.Errorf("the name has %d UTF-16 units; FAT carries %d", len(units), maxUnits)
	}
	return units, nil
}

// fold maps names that differ only in case to one string, agreeing with
// strings.EqualFold (FAT 1.03 "Name Matching In Short & Long Names").
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		if r < utf8.RuneSelf {
			return r
		}
		least := r
		for s := unicode.SimpleFold(r); s != r; s = unicode.SimpleFold(s) {
			least = min(least, s)
		}
		return least
	}, name)
}

// shortName is the name field of a directory entry: eight characters and three
// of extension, padded with spaces.
type shortName [11]byte

// makeShort fits base and ext, both ASCII, into a short name.
func makeShort(base, ext string) shortName {
	s := shortName([]byte("           "))
	copy(s[:8], base)
	copy(s[8:], ext)
	return s
}

// checksum ties long entries to their short one, FAT 1.03 "Organization and
// Association of Short & Long Directory Entries", ChkSum.
func (s shortName) checksum() byte {
	var sum byte
	for _, c := range s {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}

// legalShort reports whether an upper-cased ASCII character may stand in a
// short name, FAT 1.03 "Name Limits and Character Sets".
func legalShort(c rune) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`"*+,./:;<=>?[\]|`, c)
}

// checkLabel says why a volume cannot have label. The characters are those of
// a short name, and the space, FAT 1.03 "FAT Directory Structure"; lower case
// is taken as mkfs.fat takes it, for config drives are found by such a label.
func checkLabel(label string) error {
	if len(label) > len(shortName{}) {
		return fmt.Errorf("vfat: label %q has more than 11 characters", label)
	}
	for _, c := range label {
		if c != ' ' && !legalShort(c) {
			return fmt.Errorf("vfat: label %q: FAT cannot carry the character %q", label, c)
		}
	}
	if strings.Trim(label, " ") != label {
		return fmt.Errorf("vfat: label %q has a space at an end", label)
	}
	return nil
}
