package dhcp

import (
	"fmt"
	"net"
)

// MAC is an Ethernet hardware address; it is comparable, so it serves as a key.
type MAC [6]byte

// ParseMAC reads the usual notations of a 48-bit address ("fa:16:3e:00:00:01",
// also with dashes); longer addresses, as InfiniBand has, are an error.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("hardware address %q is not six bytes", s)
	}
	return MAC(hw), nil
}

// String is the address in lower case with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText is String; it makes a MAC a text in JSON.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is [ParseMAC].
func (m *MAC) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMAC(string(b))
	return err
}
