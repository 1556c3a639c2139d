package cloud

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"strings"

	"github.com/google/uuid"
)

// Identifiers are lower-case text: UUIDs with dashes for what Nova, Neutron and
// Glance own, 32 hexadecimal digits for Keystone's projects and users. The
// empty identifier names nothing.
type (
	ProjectID string
	UserID    string
	ImageID   string
	FlavorID  string
	ServerID  string
	NetworkID string
	SubnetID  string
	PortID    string
	RouterID  string

	FloatingID string
)

// NewUUID returns a random (version 4) UUID in its 36-character form.
func NewUUID() string { return uuid.NewString() }

// NewHexID returns 32 random hexadecimal digits, Keystone's form of an id.
func NewHexID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

// IsUUID reports whether s is a UUID in the 36-character form.
func IsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	_, err := uuid.Parse(s)
	return err == nil
}

// Short returns the first 11 characters of an id: what Neutron puts after
// tap, qr-, ns- and brq in the name of an interface (neutron:
// common/constants and plugins/ml2/drivers/linuxbridge, 21.0.0). The result
// plus a prefix of three or four characters fits the kernel's limit of 15.
func Short[T ~string](id T) string {
	if len(id) < 11 {
		return string(id)
	}
	return string(id[:11])
}

// NewMAC returns a random hardware address below Neutron's default base
// fa:16:3e:00:00:00 (neutron.conf base_mac).
func NewMAC() net.HardwareAddr {
	mac := net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 0}
	rand.Read(mac[3:])
	return mac
}

// NewSecret returns n random bytes in hexadecimal.
func NewSecret(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// Digest is the SHA-256 of some bytes, 64 hexadecimal digits; it names them in
// the blob store. The zero value names nothing.
type Digest string

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(hex.EncodeToString(sum[:]))
}

// Valid reports whether d has the form of a digest, so that it may become a
// file name.
func (d Digest) Valid() bool {
	if len(d) != sha256.Size*2 {
		return false
	}
	_, err := hex.DecodeString(string(d))
	return err == nil && strings.ToLower(string(d)) == string(d)
}
