package iso9660

import "time"

// maxAreas is how many continuation areas a record may lead through, and
// maxArea how long one may be. Volumes have one or two, of less than a sector.
const (
	maxAreas = 32
	maxArea  = 64 << 10
)

// use is what the system use of a record says.
type use struct {
	name       string // "" if it says none
	nameOpen   bool   // more of the name follows
	hasMode    bool
	mode       uint32
	attributes Attributes
	modTime    time.Time
	link       link
	child      int64 // block of the directory that was relocated from here
	relocated  bool  // the directory's own place is elsewhere
	unreadable string
	extension  string // identifier of an announced extension
}

// area is a part of a system use.
type area struct {
	b      []byte
	offset int64
}

// findRockRidge looks for SUSP's mark in the root's own record (SUSP 5.3) and
// for Rock Ridge in its system use.
func (s *scanner) findRockRidge() (found bool, err error) {
	err = s.firstRecord(s.rootAt, s.rootAt.block(), func(r rawRecord) error {
		b, _ := r.use()
		if len(b) < 7 || string(b[:3]) != "SP\x07" || string(b[4:6]) != "\xbe\xef" {
			return nil
		}
		u, err := s.systemUse(r)
		s.skip = int(b[6])
		found = u.hasMode || isRockRidge(u.extension)
		return err
	})
	return found, err
}

// isRockRidge knows the identifiers of RRIP 1.09 and 1.12 (RRIP 4.3) and that
// of the IEEE's draft.
func isRockRidge(id string) bool {
	return id == "RRIP_1991A" || id == "IEEE_P1282" || id == "IEEE_1282"
}

// firstRecord calls f with a directory's own record, which from leads to.
func (s *scanner) firstRecord(from rawRecord, block int64, f func(rawRecord) error) error {
	at := block * s.blockSize
	var b [maxRecord + 1]byte
	if err := s.read(b[:recordHead+1], at); err != nil {
		return err
	}
	r := rawRecord{offset: at, b: b[:max(recordHead+1, int(b[0]))]}
	if err := s.read(r.b, at); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	if r.id() != rootID {
		return damaged(from.offset, "byte %d has no directory", at)
	}
	return f(r)
}

// childSize is the size of a relocated directory, from its own record
// (RRIP 4.1.5.1).
func (s *scanner) childSize(from rawRecord, block int64) (size int64, err error) {
	err = s.firstRecord(from, block, func(r rawRecord) error {
		size = r.size()
		return nil
	})
	return size, err
}

// systemUse reads the entries of a record's system use (SUSP 4) and of its
// continuations.
func (s *scanner) systemUse(r rawRecord) (use, error) {
	var u use
	b, offset := r.use()
	skip := min(s.skip, len(b))
	if r.offset == s.rootAt.block()*s.blockSize {
		skip = 0
	}
	next := &area{b: b[skip:], offset: offset + int64(skip)}
	for range maxAreas {
		var err error
		if next, err = s.area(&u, *next); err != nil || next == nil {
			return u, err
		}
	}
	return u, damaged(r.offset, "more than %d continuation areas", maxAreas)
}

// area reads the entries of one area; it returns the one that continues it.
func (s *scanner) area(u *use, a area) (next *area, err error) {
	for len(a.b) >= 4 && a.b[0] != 0 {
		n := int(a.b[2])
		if n < 4 || n > len(a.b) {
			return nil, damaged(a.offset, "system use entry of %d bytes, %d are left", n, len(a.b))
		}
		signature, e := string(a.b[:2]), a.b[:n]
		switch signature {
		case "ST": // SUSP 5.4
			return next, nil
		case "CE":
			if next, err = s.continuation(e, a.offset); err != nil {
				return nil, err
			}
		default:
			if reason := u.take(signature, e); reason != "" {
				return nil, damaged(a.offset, "system use entry %s: %s", signature, reason)
			}
		}
		a.b, a.offset = a.b[n:], a.offset+int64(n)
	}
	return next, nil
}

// continuation reads the area that a CE entry names (SUSP 5.1).
func (s *scanner) continuation(e []byte, offset int64) (*area, error) {
	if len(e) < lenCE {
		return nil, damaged(offset, "system use entry CE: %d bytes", len(e))
	}
	size := int64(le.Uint32(e[20:]))
	next := &area{offset: int64(le.Uint32(e[4:]))*s.blockSize + int64(le.Uint32(e[12:]))}
	if size > maxArea {
		return nil, damaged(offset, "continuation area of %d bytes", size)
	}
	if err := s.charge(offset, size+1); err != nil {
		return nil, err
	}
	next.b = make([]byte, size)
	return next, s.read(next.b, next.offset)
}
