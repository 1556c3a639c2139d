package cloud

import (
	"fmt"
	"net"
)

// MAC is a 48-bit hardware address in lower-case colon form.
type MAC string

// ParseMAC reads a 48-bit hardware address in any of Go's forms.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != 6 {
		return "", fmt.Errorf("%q is not a 48-bit hardware address", s)
	}
	return MAC(hw.String()), nil
}

// Hardware returns the address as bytes; nil when m is malformed.
func (m MAC) Hardware() net.HardwareAddr {
	hw, err := net.ParseMAC(string(m))
	if err != nil {
		return nil
	}
	return hw
}
