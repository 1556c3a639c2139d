package network

import (
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// attachment is what an interface request names, and then what it did.
type attachment struct {
	router  *cloud.Router
	port    *cloud.Port
	portID  cloud.PortID
	subnet  cloud.SubnetID
	subnets []cloud.SubnetID
}

func readAttachment(req *api.Request, removing bool) (attachment, error) {
	o, err := req.Object("")
	if err != nil {
		return attachment{}, err
	}
	a := attachment{portID: cloud.PortID(o.UUID("port_id")), subnet: cloud.SubnetID(o.UUID("subnet_id"))}
	if err := o.Err(); err != nil {
		return attachment{}, err
	}
	if a.portID == "" && a.subnet == "" {
		return attachment{}, badRouter("Either subnet_id or port_id must be specified")
	}
	if a.portID != "" && a.subnet != "" && !removing {
		return attachment{}, badRouter("Cannot specify both subnet-id and port-id")
	}
	return a, nil
}

// attach changes the router's interfaces and answers what was changed.
func (r *Role) attach(req *api.Request, removing bool, decide func(*draft, *attachment) error) (api.Response, error) {
	asked, err := readAttachment(req, removing)
	if err != nil {
		return api.Response{}, err
	}
	var done attachment
	err = r.change(req.Context(), func(d *draft) error {
		done = asked
		router, err := d.router(req.Caller, cloud.RouterID(req.PathValue("id")))
		if err != nil {
			return err
		}
		done.router = d.putRouter(router)
		return decide(d, &done)
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.Document{
		{Name: "id", Value: done.router.RouterID}, {Name: "tenant_id", Value: done.router.ProjectID},
		{Name: "port_id", Value: done.port.PortID}, {Name: "network_id", Value: done.port.NetworkID},
		{Name: "subnet_id", Value: done.subnets[len(done.subnets)-1]}, {Name: "subnet_ids", Value: done.subnets},
	})
}

func (r *Role) addInterface(req *api.Request) (api.Response, error) {
	return r.attach(req, false, func(d *draft, a *attachment) error {
		if a.portID != "" {
			return d.attachPort(req.Caller, a)
		}
		return d.attachSubnet(req.Caller, a)
	})
}

// attachSubnet gives the router a port with the subnet's gateway address. A
// second IPv6 subnet of a network joins the port of the first. neutron:
// db/l3_db.py _add_interface_by_subnet.
func (d *draft) attachSubnet(c cloud.Caller, a *attachment) error {
	s, err := d.subnet(c, a.subnet)
	if err != nil {
		return err
	}
	switch {
	case !s.Gateway.IsValid():
		return badRouter("Subnet for router interface must have a gateway IP")
	case !c.Sees(s.ProjectID):
		return badRouter("Cannot add interface to router because subnet %s is not owned by project making the request", s.SubnetID)
	}
	if err := d.separate(a.router.RouterID, []*cloud.Subnet{s}); err != nil {
		return err
	}
	d.based = append(d.based, s)
	a.subnets = []cloud.SubnetID{s.SubnetID}
	wish := cloud.FixedIP{SubnetID: s.SubnetID, Addr: s.Gateway}
	if p := d.sharedInterface(a.router.RouterID, s); p != nil {
		joined := *p
		joined.FixedIPs = slices.Clone(p.FixedIPs)
		if err := d.take(&joined, s, wish); err != nil {
			return err
		}
		d.touch(d.Networks[s.NetworkID])
		d.putPort(&joined)
		a.port = &joined
		return nil
	}
	a.port = &cloud.Port{PortID: cloud.PortID(cloud.NewUUID()), NetworkID: s.NetworkID, ProjectID: a.router.ProjectID,
		DeviceID: string(a.router.RouterID), DeviceOwner: cloud.OwnerRouterInterface, Host: d.networkNode()}
	return d.addPort(c, a.port, []cloud.FixedIP{wish}, true)
}

// sharedInterface is the router's IPv6 port on the network of an IPv6 subnet.
func (d *draft) sharedInterface(id cloud.RouterID, s *cloud.Subnet) *cloud.Port {
	for _, p := range d.interfaces(id) {
		if s.CIDR.Addr().Is6() && p.NetworkID == s.NetworkID && len(p.FixedIPs) > 0 && p.FixedIPs[0].Addr.Is6() {
			return p
		}
	}
	return nil
}

// separate refuses subnets that the router has or that overlap with one.
func (d *draft) separate(id cloud.RouterID, subnets []*cloud.Subnet) error {
	for _, p := range d.interfaces(id) {
		for _, ip := range p.FixedIPs {
			have := d.Subnets[ip.SubnetID]
			for _, s := range subnets {
				switch {
				case ip.SubnetID == s.SubnetID:
					return badRouter("Router already has a port on subnet %s", s.SubnetID)
				case have != nil && have.CIDR.Overlaps(s.CIDR):
					return badRouter("Cidr %s of subnet %s overlaps with cidr %s of subnet %s", s.CIDR, s.SubnetID, have.CIDR, have.SubnetID)
				}
			}
		}
	}
	return nil
}

// attachPort makes a port that nobody uses an interface of the router.
func (d *draft) attachPort(c cloud.Caller, a *attachment) error {
	old, err := d.port(c, a.portID)
	if err != nil {
		return err
	}
	switch {
	case !c.Sees(old.ProjectID):
		return forbidden("Changing port " + string(old.PortID))
	case old.DeviceID != "":
		return portInUse(old)
	case len(old.FixedIPs) == 0:
		return badRouter("Router port must have at least one fixed IP")
	}
	var subnets []*cloud.Subnet
	v4 := 0
	for _, ip := range old.FixedIPs {
		s := d.Subnets[ip.SubnetID]
		if s == nil {
			return noSubnet(ip.SubnetID)
		}
		if s.CIDR.Addr().Is4() {
			v4++
		}
		subnets, a.subnets = append(subnets, s), append(a.subnets, s.SubnetID)
	}
	if v4 > 1 {
		return badRouter("Cannot have multiple IPv4 subnets on router port")
	}
	if err := d.separate(a.router.RouterID, subnets); err != nil {
		return err
	}
	p := *old
	p.DeviceID, p.DeviceOwner, p.Host = string(a.router.RouterID), cloud.OwnerRouterInterface, d.networkNode()
	d.putPort(&p)
	a.port = &p
	return nil
}

func (r *Role) removeInterface(req *api.Request) (api.Response, error) {
	return r.attach(req, true, func(d *draft, a *attachment) error {
		p, err := d.detached(req.Caller, a)
		if err != nil {
			return err
		}
		a.port = p
		if d.floatingOn(a.router.RouterID, a.subnets) {
			return fault(cloud.Conflict, "RouterInterfaceInUseByFloatingIP",
				"Router interface for subnet %s on router %s cannot be deleted, as it is required by one or more floating IPs.",
				a.subnets[0], a.router.RouterID)
		}
		rest := slices.DeleteFunc(slices.Clone(p.FixedIPs), func(ip cloud.FixedIP) bool { return slices.Contains(a.subnets, ip.SubnetID) })
		d.touch(d.Networks[p.NetworkID])
		if len(rest) == 0 {
			d.remove = append(d.remove, p)
			return nil
		}
		left := *p
		left.FixedIPs = rest
		d.putPort(&left)
		return nil
	})
}

// detached finds the interface that a request names and the subnets that the
// router is to leave.
func (d *draft) detached(c cloud.Caller, a *attachment) (*cloud.Port, error) {
	id := a.router.RouterID
	for _, p := range d.interfaces(id) {
		if (a.portID != "" && p.PortID != a.portID) || (a.portID == "" && !has(p, a.subnet)) {
			continue
		}
		switch {
		case a.subnet != "" && !has(p, a.subnet):
			return nil, fault(cloud.Invalid, "SubnetMismatchForPort", "Subnet on port %s does not match the requested subnet %s.", p.PortID, a.subnet)
		case a.portID == "":
			a.subnets = []cloud.SubnetID{a.subnet}
		default:
			for _, ip := range p.FixedIPs {
				a.subnets = append(a.subnets, ip.SubnetID)
			}
		}
		return p, nil
	}
	if a.portID != "" {
		return nil, fault(cloud.NotFound, "RouterInterfaceNotFound", "Router %s does not have an interface with id %s", id, a.portID)
	}
	if _, err := d.subnet(c, a.subnet); err != nil {
		return nil, err
	}
	return nil, fault(cloud.NotFound, "RouterInterfaceNotFoundForSubnet", "Router %s has no interface on subnet %s", id, a.subnet)
}
