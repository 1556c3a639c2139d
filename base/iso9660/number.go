package iso9660

import "encoding/binary"

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// put16 writes a 16-bit number in both byte orders (7.2.3).
func put16(b []byte, v uint16) {
	le.PutUint16(b, v)
	be.PutUint16(b[2:], v)
}

// put32 writes a 32-bit number in both byte orders (7.3.3).
func put32(b []byte, v uint32) {
	le.PutUint32(b, v)
	be.PutUint32(b[4:], v)
}

// append32 is put32 at the end of b.
func append32(b []byte, v uint32) []byte {
	return be.AppendUint32(le.AppendUint32(b, v), v)
}

// blocks is the number of blocks that n bytes take.
func blocks(n int64) int64 { return (n + sector - 1) / sector }
