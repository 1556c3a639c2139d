package network

import (
	"context"
	"net/http"
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// portsAtOnce bounds the ports that one transaction changes, each with its
// claims.
const portsAtOnce = 20

// spread gives every port of an automatic subnet's network its own address
// there. Each step is complete in itself.
func (r *Role) spread(ctx context.Context, id cloud.SubnetID) error {
	for more := true; more; {
		err := r.change(ctx, func(d *draft) error {
			more = false
			s := d.Subnets[id]
			if s == nil || !automatic(s) {
				return nil
			}
			for _, p := range d.PortsOn(s.NetworkID) {
				if p.DeviceOwner == cloud.OwnerRouterInterface || has(p, id) || d.inUse(s.NetworkID, eui64(s.CIDR, p.MAC)) {
					continue
				}
				if len(d.put) == portsAtOnce {
					more = true
					break
				}
				c := *p
				c.FixedIPs = append(slices.Clone(p.FixedIPs), cloud.FixedIP{SubnetID: id, Addr: eui64(s.CIDR, p.MAC)})
				d.putPort(&c)
			}
			if len(d.put) > 0 {
				d.touch(d.Networks[s.NetworkID])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteSubnet removes a subnet that nobody uses. Addresses that ports made
// themselves do not count; they go with it, in as many steps as it takes.
func (r *Role) deleteSubnet(req *api.Request) (api.Response, error) {
	for more := true; more; {
		err := r.change(req.Context(), func(d *draft) error {
			s, n, err := d.ownSubnet(req.Caller, cloud.SubnetID(req.PathValue("id")))
			if err != nil {
				return err
			}
			more, err = d.clear(s)
			if err != nil || more {
				return err
			}
			n.RevisionNumber++
			d.remove = append(d.remove, s)
			rest := slices.DeleteFunc(d.SubnetsOf(n.NetworkID), func(o *cloud.Subnet) bool { return o.SubnetID == s.SubnetID })
			return d.dhcpPort(n, rest)
		})
		if err != nil {
			return api.Response{}, err
		}
	}
	return api.Done(http.StatusNoContent)
}

// clear takes the subnet's automatic addresses off ports and reports whether
// it did; a port with another address there is an error.
func (d *draft) clear(s *cloud.Subnet) (more bool, err error) {
	for _, p := range d.PortsOn(s.NetworkID) {
		if !has(p, s.SubnetID) || p.DeviceOwner == cloud.OwnerDHCP {
			continue
		}
		if !automatic(s) || p.DeviceOwner == cloud.OwnerRouterInterface {
			return false, fault(cloud.Conflict, "SubnetInUse",
				"Unable to complete operation on subnet %s: One or more ports have an IP allocation from this subnet.", s.SubnetID)
		}
		if len(d.put) < portsAtOnce {
			c := *p
			c.FixedIPs = slices.DeleteFunc(slices.Clone(p.FixedIPs), func(ip cloud.FixedIP) bool { return ip.SubnetID == s.SubnetID })
			d.putPort(&c)
		}
		more = true
	}
	return more, nil
}
