package vfat

import (
	"fmt"
	"math"
)

// Plan is a volume with every cluster assigned, ready to be written. It is
// safe for concurrent use if the openers of its files are.
type Plan struct {
	image Image
	g     geometry
	size  int64
	root  *node
	nodes []*node // all that have clusters, in the clusters' order
	next  uint32  // the first unused cluster
}

// Size is the size of the whole volume in bytes.
func (p *Plan) Size() int64 { return p.size }

// Type is FAT12, FAT16 or FAT32.
func (p *Plan) Type() Type { return p.g.typ }

// ClusterSize is the unit of allocation in bytes.
func (p *Plan) ClusterSize() int64 { return p.g.cluster }

// Plan checks im and lays it out. The errors are [ErrTooBig] and those of a
// name, a path, a label or a size that FAT cannot carry; they name it. The
// files must not change while the plan is in use.
func (im *Image) Plan() (*Plan, error) {
	if err := checkLabel(im.Label); err != nil {
		return nil, err
	}
	if im.Type != Auto && im.Type != FAT12 && im.Type != FAT16 && im.Type != FAT32 || im.Size < 0 {
		return nil, fmt.Errorf("vfat: no volume of type %d and %d bytes", im.Type, im.Size)
	}
	root, err := im.buildTree()
	if err != nil {
		return nil, err
	}
	p := &Plan{image: *im, root: root, size: im.Size}
	all := root.all()
	if p.g, err = im.choose(all); err != nil {
		return nil, err
	}
	if im.Size == 0 {
		p.size = p.g.end
	}
	p.assign(all)
	return p, nil
}

// bytes is how much of the data region n takes, before rounding.
func (p *Plan) bytes(n *node) int64 { return p.image.bytes(n, p.g.typ) }

func (im *Image) bytes(n *node, t Type) int64 {
	switch {
	case n.parent == nil && t != FAT32:
		return 0
	case n.isDir():
		return int64(max(1, n.entries(im.Label != ""))) * entrySize
	}
	return n.file.Size
}

// assign gives every node its clusters: directories first, then files, each in
// one piece.
func (p *Plan) assign(all []*node) {
	p.next = 2
	for _, n := range all {
		n.clusters = uint32(ceil(p.bytes(n), p.g.cluster) / p.g.cluster)
		if n.clusters == 0 {
			continue // an empty file has cluster 0, FAT 1.03 DIR_FstClusLO
		}
		n.first = p.next
		p.next += n.clusters
		p.nodes = append(p.nodes, n)
	}
}

// clusterSizes are the sectors per cluster in the order of preference: what
// mkfs.fat takes first, then larger ones as the size asks, then smaller ones.
func (t Type) clusterSizes() []int64 {
	if t == FAT32 {
		return []int64{8, 16, 32, 64, 4, 2, 1}
	}
	return []int64{4, 8, 16, 32, 64, 2, 1}
}

// choose finds the geometry for the nodes: the first of the preferred shapes
// that fits a given size, or the smallest volume of the first type that fits.
func (im *Image) choose(all []*node) (geometry, error) {
	types := []Type{FAT16, FAT32, FAT12}
	if im.Type != Auto {
		types = []Type{im.Type}
	}
	least := int64(math.MaxInt64)
	for _, t := range types {
		best, found := shape{}, int64(math.MaxInt64)
		for _, spc := range t.clusterSizes() {
			s := shape{typ: t, spc: spc, rootEntries: int64(all[0].entries(im.Label != ""))}
			need, ok := im.need(s, all)
			if !ok {
				continue
			}
			sectors := s.smallest(max(need, t.minClusters()))
			if im.Size != 0 && s.takes(im.Size, need) {
				return s.geometry(trackSectors(im.Size)), nil
			}
			if sectors < found && s.takes(sectors*sectorSize, need) {
				best, found = s, sectors
			}
		}
		if im.Size == 0 && found <= maxSectors {
			return best.geometry(found), nil
		}
		least = min(least, found)
	}
	switch {
	case least > maxSectors:
		return geometry{}, fmt.Errorf("vfat: %w: the files fit no %v volume", ErrTooBig, im.Type)
	case least*sectorSize > im.Size:
		return geometry{}, fmt.Errorf("vfat: %w: the files need a %v volume of %d bytes or more, not %d", ErrTooBig, im.Type, least*sectorSize, im.Size)
	}
	return geometry{}, fmt.Errorf("vfat: no %v volume of %d bytes holds the files", im.Type, im.Size)
}

// maxSectors is the most that BPB_TotSec32 counts.
const maxSectors = math.MaxUint32

// need counts the clusters that the nodes take; not ok means that the shape
// cannot have that many, or not so many entries in its root.
func (im *Image) need(s shape, all []*node) (clusters int64, ok bool) {
	size := s.spc * sectorSize
	for _, n := range all {
		clusters += ceil(im.bytes(n, s.typ), size) / size
	}
	// BPB_RootEntCnt has 16 bits.
	return clusters, clusters <= s.typ.maxClusters() && s.root()*sectorSize/entrySize <= math.MaxUint16
}

// trackSectors is how many sectors of a volume of size bytes are used: whole
// tracks, for mtools takes no other.
func trackSectors(size int64) int64 {
	return size / sectorSize / sectorsPerTrack * sectorsPerTrack
}

// takes reports whether a volume of size bytes can have the shape and has need
// clusters.
func (s shape) takes(size, need int64) bool {
	sectors := trackSectors(size)
	if sectors > maxSectors {
		return false
	}
	n := int64(s.geometry(sectors).clusters)
	return n >= max(need, s.typ.minClusters()) && n <= s.typ.maxClusters()
}
