package iso9660

import (
	"fmt"
	"math"
)

// maxSection is the most that one record can say of a file, in whole blocks
// (9.1.4 has 32 bits). A longer file has several records, one per section
// (6.5.1, ISO 9660 interchange level 3).
const maxSection = math.MaxUint32 &^ (sector - 1)

// maxVolume is the size of a volume whose blocks can just be numbered (7.3).
const maxVolume = math.MaxUint32 * sector

// layout is where everything of a volume is: descriptors, path tables, the
// primary directories, what their records have no room for, the Joliet
// directories, the contents.
type layout struct {
	image Image
	trees [2]*hierarchy
	rest  restArea
	end   int64 // blocks of the volume

	buffer [sector]byte // of the record that is made
}

func (l *layout) size() int64 { return l.end * sector }

func (i Image) layout() (*layout, error) {
	if err := i.Volume.check(); err != nil {
		return nil, err
	}
	root, err := i.tree()
	if err != nil {
		return nil, err
	}
	l := &layout{image: i}
	for kind := range l.trees {
		if l.trees[kind], err = newHierarchy(kind, root); err != nil {
			return nil, err
		}
	}
	l.place()
	if l.size() > maxVolume {
		return nil, fmt.Errorf("%d bytes are more than a volume can number", l.size())
	}
	return l, nil
}

// place gives everything its blocks.
func (l *layout) place() {
	l.end = systemArea + 3
	for _, h := range l.trees {
		for order := range h.tables {
			h.tables[order] = l.take(h.tableSize())
		}
	}
	l.placeRest()
	l.placeDirectories(primary)
	l.rest.block = l.take(l.rest.size)
	l.placeDirectories(joliet)
	l.eachFile(func(n *node) error {
		n.block = uint32(l.take(n.Size))
		return nil
	})
}

func (l *layout) placeDirectories(kind int) {
	for _, d := range l.trees[kind].dirs {
		l.measure(kind, d)
		d.block = l.take(d.size)
	}
}

// take returns the first block of n bytes more.
func (l *layout) take(n int64) int64 {
	at := l.end
	l.end += blocks(n)
	return at
}

// eachFile calls f for the files that have a content, in the order of their
// blocks, until it fails.
func (l *layout) eachFile(f func(*node) error) error {
	for _, d := range l.trees[primary].dirs {
		for _, n := range d.kids {
			if n.isDir() || n.Size == 0 {
				continue
			}
			if err := f(n); err != nil {
				return fmt.Errorf("file %q: %w", n.Path, err)
			}
		}
	}
	return nil
}

func (l *layout) write(s *stream) error {
	for range systemArea {
		s.put(s.zeros[:])
	}
	l.writeDescriptors(s)
	for _, h := range l.trees {
		h.writeTables(s)
	}
	l.writeDirectories(s, primary)
	l.writeRest(s)
	l.writeDirectories(s, joliet)
	err := l.eachFile(func(n *node) error { return s.copy(n.File) })
	if err == nil {
		err = s.flush()
	}
	if s.out.err != nil {
		return s.out.err
	}
	return err
}
