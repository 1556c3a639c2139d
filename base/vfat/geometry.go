package vfat

// geometry says where the parts of a volume lie; offsets and lengths are in
// bytes. FAT 1.03 "Boot Sector and BPB".
type geometry struct {
	typ     Type
	sector  int64
	cluster int64

	fatOff, fatLen int64 // the first table, or the active one; of one table
	fats           int64
	rootOff        int64 // of the fixed root directory; FAT12 and FAT16
	rootLen        int64
	rootCluster    uint32 // FAT32
	dataOff        int64  // of cluster 2
	clusters       uint32 // numbered from 2
	end            int64  // of the last sector counted in the boot sector
}

// maxClusters bounds the numbers of clusters of each type. The type follows
// from the number alone, with 4085 and 65525 as the borders; 16 clusters of
// distance from these keep off readers that count wrongly, as FAT 1.03 "FAT
// Type Determination" recommends. The table has two entries more than there
// are clusters.
func (t Type) maxClusters() int64 {
	switch t {
	case FAT12:
		return 4085 - 1 - 16
	case FAT16:
		return 65525 - 1 - 16
	}
	return 0x0ffffff7 - 2 - 16 // what is from 0x0ffffff7 on is no cluster
}

// minClusters is the other end of maxClusters.
func (t Type) minClusters() int64 {
	switch t {
	case FAT12:
		return 1
	case FAT16:
		return 4085 + 16
	}
	return 65525 + 16
}

// end-of-chain marks start here, FAT 1.03 "FAT Data Structure"; one less is a
// bad cluster.
func (t Type) endOfChain() uint32 {
	switch t {
	case FAT12:
		return 0xff8
	case FAT16:
		return 0xfff8
	}
	return 0x0ffffff8
}

// clusterOff is where cluster c starts.
func (g *geometry) clusterOff(c uint32) int64 {
	return g.dataOff + int64(c-2)*g.cluster
}

// holds reports whether c is the number of a data cluster.
func (g *geometry) holds(c uint32) bool {
	return c >= 2 && c-2 < g.clusters
}

// ceil rounds n up to a multiple of unit.
func ceil(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// shape is what a geometry is made from: the choice of type and of sectors per
// cluster, and the entries of the root directory.
type shape struct {
	typ         Type
	spc         int64
	rootEntries int64
}

// reserved is the length of the reserved region in sectors: one for FAT12 and
// FAT16, 32 for FAT32 (FAT 1.03, BPB_RsvdSecCnt), rounded up to clusters as
// mkfs.fat does, so that clusters lie on multiples of their size.
func (s shape) reserved() int64 {
	if s.typ == FAT32 {
		return ceil(32, s.spc)
	}
	return ceil(1, s.spc)
}

// root is the length of the fixed root directory in sectors: at least the
// usual 512 entries.
func (s shape) root() int64 {
	if s.typ == FAT32 {
		return 0
	}
	return ceil(max(512, s.rootEntries)*entrySize, sectorSize) / sectorSize
}

// smallest is the size in sectors of the smallest volume with n clusters.
func (s shape) smallest(n int64) int64 {
	const sectorBits = sectorSize * 8
	fat := ceil(ceil((n+2)*int64(s.typ), sectorBits)/sectorBits, s.spc)
	return ceil(s.reserved()+2*fat+s.root()+n*s.spc, sectorsPerTrack)
}

// geometry lays a volume of that many sectors out.
func (s shape) geometry(sectors int64) geometry {
	// The smallest table that has (data - 2*fat)/spc + 2 entries.
	data := max(0, sectors-s.reserved()-s.root())
	bits := int64(s.typ)
	per := sectorSize*8*s.spc + 2*bits
	fat := ceil(ceil(bits*(data+2*s.spc), per)/per, s.spc)
	g := geometry{typ: s.typ, sector: sectorSize, cluster: s.spc * sectorSize, fats: 2, end: sectors * sectorSize}
	g.fatOff = s.reserved() * sectorSize
	g.fatLen = fat * sectorSize
	g.rootOff = g.fatOff + 2*g.fatLen
	g.rootLen = s.root() * sectorSize
	g.dataOff = g.rootOff + g.rootLen
	if s.typ == FAT32 {
		g.rootCluster = 2
	}
	if n := (g.end - g.dataOff) / g.cluster; n > 0 && n <= FAT32.maxClusters() {
		g.clusters = uint32(n)
	}
	return g
}
