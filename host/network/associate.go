package network

import (
	"net/netip"

	"imprint/host/cloud"
)

// associate makes a floating address stand for what the form says; f is
// written by this draft. neutron: db/l3_db.py _check_and_get_fip_assoc.
func (d *draft) associate(c cloud.Caller, f *cloud.FloatingIP, form *floatingForm) error {
	switch {
	case form.hasPort && form.port == "" && form.fixed.IsValid(), !form.hasPort && form.fixed.IsValid() && f.PortID == "":
		return badFloating("fixed_ip_address cannot be specified without a port_id")
	case form.hasPort && form.port == "":
		release(f)
		return nil
	case !form.hasPort && !form.fixed.IsValid():
		return nil
	case !form.hasPort:
		form.port = f.PortID
	}
	p, err := d.port(c, form.port)
	if err != nil {
		return err
	}
	ip, err := fixedFor(p, form.fixed)
	if err != nil {
		return err
	}
	for _, other := range d.FloatingIPsOf(p.PortID) {
		if other.FloatingID != f.FloatingID && other.FixedAddr == ip.Addr {
			return fault(cloud.Conflict, "FloatingIPPortAlreadyAssociated",
				"Cannot associate floating IP %s (%s) with port %s using fixed IP %s, as that fixed IP already has a floating IP on external network %s.",
				f.Addr, f.FloatingID, p.PortID, ip.Addr, other.NetworkID)
		}
	}
	router := d.routerBetween(f.NetworkID, p.NetworkID, ip.SubnetID)
	if router == nil {
		return fault(cloud.NotFound, "ExternalGatewayForFloatingIPNotFound",
			"External network %s is not reachable from subnet %s.  Therefore, cannot associate Port %s with a Floating IP.",
			f.NetworkID, ip.SubnetID, p.PortID)
	}
	d.based = append(d.based, p, router)
	f.PortID, f.FixedAddr, f.RouterID = p.PortID, ip.Addr, router.RouterID
	return nil
}

func release(f *cloud.FloatingIP) { f.PortID, f.FixedAddr, f.RouterID = "", netip.Addr{}, "" }

// fixedFor chooses the port's address: the one that was asked for, or its only
// IPv4 address.
func fixedFor(p *cloud.Port, asked netip.Addr) (cloud.FixedIP, error) {
	var found []cloud.FixedIP
	for _, ip := range p.FixedIPs {
		if ip.Addr.Is4() && (ip.Addr == asked || !asked.IsValid()) {
			found = append(found, ip)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return cloud.FixedIP{}, badFloating("Port %s has multiple fixed IPv4 addresses.  "+
			"Must provide a specific IPv4 address when assigning a floating IP", p.PortID)
	case asked.IsValid():
		return cloud.FixedIP{}, badFloating("Port %s does not have fixed ip %s", p.PortID, asked)
	}
	return cloud.FixedIP{}, badFloating("Cannot add floating IP to port %s that has no fixed IPv4 addresses", p.PortID)
}

// routerBetween is the router that joins a subnet with an external network: of
// several the one that is the subnet's gateway.
func (d *draft) routerBetween(external, network cloud.NetworkID, subnet cloud.SubnetID) (found *cloud.Router) {
	s := d.Subnets[subnet]
	for _, p := range d.PortsOn(network) {
		r := d.Routers[cloud.RouterID(p.DeviceID)]
		if p.DeviceOwner != cloud.OwnerRouterInterface || r == nil || !has(p, subnet) {
			continue
		}
		gateway := d.Ports[r.GatewayPort]
		if gateway == nil || gateway.NetworkID != external {
			continue
		}
		for _, ip := range p.FixedIPs {
			if s != nil && ip.Addr == s.Gateway {
				return r
			}
		}
		if found == nil {
			found = r
		}
	}
	return found
}

// removePort removes a port; floating addresses stand for it no longer.
func (d *draft) removePort(p *cloud.Port) {
	d.remove = append(d.remove, p)
	d.unfloat(p, nil)
}

// unfloat takes the floating addresses off a port, but for those that stand
// for one of the addresses that it keeps.
func (d *draft) unfloat(p *cloud.Port, keep []cloud.FixedIP) {
	for _, f := range d.FloatingIPsOf(p.PortID) {
		kept := false
		for _, ip := range keep {
			kept = kept || ip.Addr == f.FixedAddr
		}
		if !kept {
			c := *f
			c.RevisionNumber++
			release(&c)
			d.put = append(d.put, &c)
		}
	}
}
