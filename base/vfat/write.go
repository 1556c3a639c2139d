package vfat

import (
	"fmt"
	"io"
)

// WriteTo writes the whole volume to w in one pass and returns how many bytes
// w took. After an error what w has is no volume.
func (p *Plan) WriteTo(w io.Writer) (int64, error) {
	var n int64
	s := newSink(false, func(b []byte, _ int64) error {
		m, err := w.Write(b)
		n += int64(m)
		return err
	})
	return n, p.emit(s)
}

// WriteSparse makes the volume the whole content of f: cut to nothing, set to
// the volume's size, and written only where the volume has something, so that
// the rest stays a hole. After an error what f has is no volume.
func (p *Plan) WriteSparse(f SparseFile) error {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("vfat: empty the file: %w", err)
	}
	if err := f.Truncate(p.size); err != nil {
		return fmt.Errorf("vfat: make the file %d bytes long: %w", p.size, err)
	}
	s := newSink(true, func(b []byte, off int64) error {
		_, err := f.WriteAt(b, off)
		return err
	})
	return p.emit(s)
}

// emit is the one layout behind both ways.
func (p *Plan) emit(s *sink) error {
	for _, part := range []func(*sink) error{p.emitReserved, p.emitTables, p.emitRoot, p.emitData} {
		if err := part(s); err != nil {
			return fmt.Errorf("vfat: write volume: %w", err)
		}
	}
	if err := s.seek(p.size); err != nil {
		return fmt.Errorf("vfat: write volume: %w", err)
	}
	if err := s.flush(); err != nil {
		return fmt.Errorf("vfat: write volume: %w", err)
	}
	return nil
}

// emitReserved writes the boot sector, for FAT32 with its companion and copy.
func (p *Plan) emitReserved(s *sink) error {
	if err := s.write(p.boot()); err != nil || p.g.typ != FAT32 {
		return err
	}
	if err := s.write(p.fsInfo()); err != nil {
		return err
	}
	if err := s.seek(backupSector * sectorSize); err != nil {
		return err
	}
	if err := s.write(p.boot()); err != nil {
		return err
	}
	return s.write(p.fsInfo())
}

// emitTables writes the file allocation table and its copy.
func (p *Plan) emitTables(s *sink) error {
	for i := range p.g.fats {
		if err := s.seek(p.g.fatOff + i*p.g.fatLen); err != nil {
			return err
		}
		if err := p.emitTable(s); err != nil {
			return err
		}
	}
	return nil
}

// emitTable writes one table; every chain is in one piece. Entry 0 has the
// media byte, entry 1 an end mark with "clean" and "no errors" set (FAT 1.03
// "FAT Data Structure").
func (p *Plan) emitTable(s *sink) error {
	end := p.g.typ.endOfChain() | 7
	t := packer{sink: s, bits: uint(p.g.typ)}
	t.put(end&^0xff | 0xf8)
	t.put(end)
	for _, n := range p.nodes {
		last := n.first + n.clusters - 1
		for c := n.first; c < last; c++ {
			t.put(c + 1)
		}
		t.put(end)
		if t.err != nil {
			return t.err
		}
	}
	return t.close()
}

// packer packs entries of 12, 16 or 32 bits, the low bits first.
type packer struct {
	sink *sink
	bits uint
	acc  uint64
	have uint
	err  error
}

func (t *packer) put(v uint32) {
	t.acc |= uint64(v) << t.have
	t.have += t.bits
	for t.have >= 8 && t.err == nil {
		t.err = t.sink.write([]byte{byte(t.acc)})
		t.acc >>= 8
		t.have -= 8
	}
}

func (t *packer) close() error {
	if t.have > 0 {
		t.put(0)
	}
	return t.err
}

// emitRoot writes the fixed root directory.
func (p *Plan) emitRoot(s *sink) error {
	if p.g.typ == FAT32 {
		return nil
	}
	if err := s.seek(p.g.rootOff); err != nil {
		return err
	}
	return p.emitDir(s, p.root)
}

func (p *Plan) emitDir(s *sink, d *node) error {
	b := p.appendHead(make([]byte, 0, 1024), d)
	for _, c := range d.children {
		if err := s.write(b); err != nil {
			return err
		}
		b = c.appendNode(b[:0])
	}
	return s.write(b)
}

// emitData writes the directories and files that have clusters.
func (p *Plan) emitData(s *sink) error {
	for _, n := range p.nodes {
		if err := s.seek(p.g.clusterOff(n.first)); err != nil {
			return err
		}
		if n.isDir() {
			if err := p.emitDir(s, n); err != nil {
				return err
			}
			continue
		}
		if err := s.file(n.file); err != nil {
			return fmt.Errorf("%s: %w", n.path(), err)
		}
	}
	return nil
}
