package openstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Encode returns the instance's own JSON form, which [ParseInstance] reads: one
// object whose keys stand beside the fields of [Instance] and of what it is
// made of. Bytes (user_data, a file's content) are base64, addresses and
// prefixes are text, vendor_data is the object itself; what is empty is left
// out. It is how the facts of an instance travel and rest; none of the
// documents looks like it.
func (i *Instance) Encode() []byte {
	b, err := json.Marshal(i)
	if err != nil {
		panic(fmt.Sprintf("encode instance: %v", err)) // no part of it can fail
	}
	return b
}

// ParseInstance reads the form that [Instance.Encode] writes. Unknown keys are
// left out, so that a newer program may tell more; a missing uuid, a subnet
// without a prefix, an address that is none or of the other family and a file
// without a path are errors. The caller bounds the size of b.
func ParseInstance(b []byte) (*Instance, error) {
	i := &Instance{}
	err := json.Unmarshal(b, i)
	if err == nil {
		err = i.check()
	}
	if err != nil {
		return nil, fmt.Errorf("instance: %w", err)
	}
	return i, nil
}

func (i *Instance) check() error {
	if i.UUID == "" {
		return errors.New("no uuid")
	}
	for _, p := range i.Ports {
		for _, s := range p.Subnets {
			if err := s.check(); err != nil {
				return fmt.Errorf("port %q: %w", p.ID, err)
			}
		}
	}
	if !allValid(i.EC2.PublicIPs) {
		return errors.New("a public address is empty")
	}
	for n, f := range i.Files {
		if f.Path == "" {
			return fmt.Errorf("file %d has no path", n)
		}
	}
	return nil
}

func (s Subnet) check() error {
	if !s.CIDR.IsValid() {
		return errors.New("a subnet has no cidr")
	}
	for _, a := range s.Addrs {
		if a.BitLen() != s.CIDR.Addr().BitLen() {
			return fmt.Errorf("subnet %s: address %q is not one of its family", s.CIDR, addrText(a))
		}
	}
	for _, r := range s.Routes {
		if !r.Destination.IsValid() || !r.Gateway.IsValid() {
			return fmt.Errorf("subnet %s: a route lacks its destination or gateway", s.CIDR)
		}
	}
	if !allValid(s.DNS) {
		return fmt.Errorf("subnet %s: a name server is empty", s.CIDR)
	}
	return nil
}

func allValid(addrs []netip.Addr) bool {
	return !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.IsValid() })
}
