package iso9660

// rawRecord is a directory record as it stands in a volume (9.1). Its bytes
// are only good until the next one is read.
type rawRecord struct {
	offset int64
	b      []byte
}

// check finds what would make the other methods fail.
func (r rawRecord) check() error {
	if len(r.b) < recordHead+1 || r.idLen() == 0 || recordHead+r.idLen() > len(r.b) {
		return damaged(r.offset, "directory record of %d bytes", len(r.b))
	}
	return nil
}

func (r rawRecord) idLen() int    { return int(r.b[32]) }
func (r rawRecord) id() string    { return string(r.b[recordHead : recordHead+r.idLen()]) }
func (r rawRecord) flags() byte   { return r.b[25] }
func (r rawRecord) isDir() bool   { return r.flags()&flagDirectory != 0 }
func (r rawRecord) size() int64   { return int64(le.Uint32(r.b[10:])) }
func (r rawRecord) block() int64  { return int64(le.Uint32(r.b[2:])) + int64(r.b[1]) } // past the attributes (9.1.2)
func (r rawRecord) date() []byte  { return r.b[18:25] }
func (r rawRecord) isSplit() bool { return r.b[26] != 0 || r.b[27] != 0 } // interleaved (9.1.7, 9.1.8)

// use is the system use, and its offset in the volume.
func (r rawRecord) use() ([]byte, int64) {
	at := min(len(r.b), (recordHead+r.idLen()+1)&^1)
	return r.b[at:], r.offset + int64(at)
}

// eachRecord gives f the records in n bytes from offset at. Records lie within
// sectors; a length of zero ends a sector (6.8.1.1).
func (s *scanner) eachRecord(at, n int64, f func(rawRecord) error) error {
	if !s.holds(at, n) {
		return damaged(at, "directory of %d bytes passes the end of the volume at %d", n, s.size)
	}
	if err := s.charge(at, n); err != nil {
		return err
	}
	var buffer [sector]byte
	for end := at + n; at < end; {
		b := buffer[:min(sector-at%sector, end-at)]
		if err := s.read(b, at); err != nil {
			return err
		}
		for i := 0; i < len(b) && b[i] != 0; i += int(b[i]) {
			r := rawRecord{offset: at + int64(i), b: b[i:]}
			if int(b[i]) > len(r.b) {
				return damaged(r.offset, "directory record of %d bytes passes the end of its sector", b[i])
			}
			r.b = r.b[:b[i]]
			if err := r.check(); err != nil {
				return err
			}
			if err := f(r); err != nil {
				return err
			}
		}
		at += int64(len(b))
	}
	return nil
}

// charge counts bytes of metadata, so that what refers to the same bytes again
// and again ends somewhere.
func (s *scanner) charge(at, n int64) error {
	if s.budget -= n; s.budget < 0 {
		return damaged(at, "directories of more than %d bytes", maxMetadata)
	}
	return nil
}
