package network

import (
	"slices"

	"imprint/host/cloud"
)

// allocate gives port p its addresses on subnets, all of its network. wishes
// are what was asked for: a subnet, an address, or both; asked says that a list
// was given, even an empty one. Without one the port gets an address of each
// family. neutron: db/ipam_pluggable_backend.py.
func (d *draft) allocate(p *cloud.Port, subnets []*cloud.Subnet, wishes []cloud.FixedIP, asked bool) error {
	router := p.DeviceOwner == cloud.OwnerRouterInterface
	p.FixedIPs = nil
	if asked {
		if err := d.grant(p, subnets, wishes, router); err != nil {
			return err
		}
	} else if err := d.choose(p, subnets); err != nil {
		return err
	}
	if router {
		return nil
	}
	for _, s := range subnets {
		if automatic(s) && !has(p, s.SubnetID) {
			if err := d.take(p, s, cloud.FixedIP{SubnetID: s.SubnetID, Addr: eui64(s.CIDR, p.MAC)}); err != nil {
				return err
			}
		}
	}
	return nil
}

func has(p *cloud.Port, id cloud.SubnetID) bool {
	return slices.ContainsFunc(p.FixedIPs, func(ip cloud.FixedIP) bool { return ip.SubnetID == id })
}

// grant allocates what was asked for, addresses that were named first.
func (d *draft) grant(p *cloud.Port, subnets []*cloud.Subnet, wishes []cloud.FixedIP, router bool) error {
	for _, named := range [...]bool{true, false} {
		for _, w := range wishes {
			if w.Addr.IsValid() != named {
				continue
			}
			s, err := d.subnetFor(p, subnets, w, router)
			if err != nil {
				return err
			}
			if !named && automatic(s) && !router {
				continue // comes by itself
			}
			if !named {
				if w.Addr = d.pick(s, false); !w.Addr.IsValid() {
					return exhausted(p.NetworkID)
				}
			}
			if err := d.take(p, s, cloud.FixedIP{SubnetID: s.SubnetID, Addr: w.Addr}); err != nil {
				return err
			}
		}
	}
	return nil
}

// subnetFor finds the subnet that a wish means.
func (d *draft) subnetFor(p *cloud.Port, subnets []*cloud.Subnet, w cloud.FixedIP, router bool) (*cloud.Subnet, error) {
	if len(subnets) == 0 {
		return nil, invalidInput("IP allocation requires subnets for network")
	}
	i := slices.IndexFunc(subnets, func(s *cloud.Subnet) bool {
		return s.SubnetID == w.SubnetID || (w.SubnetID == "" && usable(s.CIDR, w.Addr, router))
	})
	switch {
	case i < 0 && w.SubnetID != "" && d.Subnets[w.SubnetID] == nil:
		return nil, noSubnet(w.SubnetID)
	case i < 0 && w.SubnetID != "":
		return nil, invalidInput("Failed to create port on network %s, because fixed_ips included invalid subnet %s", p.NetworkID, w.SubnetID)
	case i < 0:
		return nil, fault(cloud.Invalid, "InvalidIpForNetwork",
			"IP address %s is not a valid IP for any of the subnets on the specified network.", w.Addr)
	}
	s := subnets[i]
	switch {
	case !w.Addr.IsValid():
		return s, nil
	case !usable(s.CIDR, w.Addr, router):
		return nil, fault(cloud.Invalid, "InvalidIpForSubnet", "IP address %s is not a valid IP for the specified subnet.", w.Addr)
	case automatic(s) && !router && w.Addr != eui64(s.CIDR, p.MAC):
		return nil, fault(cloud.Invalid, "AllocationOnAutoAddressSubnet",
			"IPv6 address %s cannot be directly assigned to a port on subnet %s as the subnet is configured for automatic addresses",
			w.Addr, s.SubnetID)
	}
	return s, nil
}

// choose allocates one address of each family, from the first subnet that has
// one left.
func (d *draft) choose(p *cloud.Port, subnets []*cloud.Subnet) error {
	for _, v6 := range [...]bool{false, true} {
		wanted := false
		for _, s := range subnets {
			if s.CIDR.Addr().Is6() != v6 || automatic(s) {
				continue
			}
			wanted = true
			if a := d.pick(s, p.DeviceOwner == cloud.OwnerDHCP); a.IsValid() {
				if err := d.take(p, s, cloud.FixedIP{SubnetID: s.SubnetID, Addr: a}); err != nil {
					return err
				}
				wanted = false
				break
			}
		}
		if wanted {
			return exhausted(p.NetworkID)
		}
	}
	return nil
}

// take gives the port an address that nobody else has.
func (d *draft) take(p *cloud.Port, s *cloud.Subnet, ip cloud.FixedIP) error {
	if d.inUse(p.NetworkID, ip.Addr) {
		return fault(cloud.Conflict, "IpAddressAlreadyAllocated", "IP address %s already allocated in subnet %s", ip.Addr, s.SubnetID)
	}
	d.taken[networkAddr{p.NetworkID, ip.Addr}] = true
	p.FixedIPs = append(p.FixedIPs, ip)
	return nil
}

func exhausted(n cloud.NetworkID) error {
	return fault(cloud.Conflict, "IpAddressGenerationFailure", "No more IP addresses available on network %s.", n)
}
