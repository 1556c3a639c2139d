package network

import (
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

// maxSubnets bounds the subnets of one network, so that they can go in one
// transaction.
const maxSubnets = 50

func subnetDocument(s *cloud.Subnet) api.Document {
	version := 4
	if s.CIDR.Addr().Is6() {
		version = 6
	}
	dns := []string{}
	for _, a := range s.DNS {
		dns = append(dns, a.String())
	}
	doc := api.Document{
		{Name: "id", Value: s.SubnetID}, {Name: "name", Value: s.Name}, {Name: "tenant_id", Value: s.ProjectID},
		{Name: "network_id", Value: s.NetworkID}, {Name: "ip_version", Value: version}, {Name: "subnetpool_id", Value: nil},
		{Name: "enable_dhcp", Value: s.DHCP}, {Name: "ipv6_ra_mode", Value: orNull(s.IPv6RAMode)},
		{Name: "ipv6_address_mode", Value: orNull(s.IPv6AddrMode)}, {Name: "gateway_ip", Value: nil},
		{Name: "cidr", Value: s.CIDR.String()}, {Name: "allocation_pools", Value: append([]cloud.Range{}, s.Pools...)},
		{Name: "host_routes", Value: append([]cloud.Route{}, s.HostRoutes...)}, {Name: "dns_nameservers", Value: dns},
		{Name: "description", Value: s.Description}, {Name: "service_types", Value: []string{}},
	}
	if s.Gateway.IsValid() {
		doc[9].Value = s.Gateway.String()
	}
	return append(doc, stamps(&s.Meta, s.RevisionNumber, s.ProjectID)...)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// subnet returns the subnet with that id, if the caller may see it.
func (d *draft) subnet(c cloud.Caller, id cloud.SubnetID) (*cloud.Subnet, error) {
	s := d.Subnets[id]
	if s == nil || d.Networks[s.NetworkID] == nil || !(c.Sees(s.ProjectID) || sees(c, d.Networks[s.NetworkID])) {
		return nil, noSubnet(id)
	}
	return s, nil
}

// ownSubnet is subnet for a caller who wants to change it; it returns a copy
// and the network, touched.
func (d *draft) ownSubnet(c cloud.Caller, id cloud.SubnetID) (*cloud.Subnet, *cloud.Network, error) {
	s, err := d.subnet(c, id)
	if err != nil {
		return nil, nil, err
	}
	if !c.Sees(s.ProjectID) {
		return nil, nil, forbidden("Changing subnet " + string(id))
	}
	copied := *s
	return &copied, d.touch(d.Networks[s.NetworkID]), nil
}

func (r *Role) listSubnets(req *api.Request) (api.Response, error) {
	var docs []api.Document
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		for id := range m.Subnets {
			if s, err := d.subnet(req.Caller, id); err == nil {
				docs = append(docs, subnetDocument(s))
			}
		}
	})
	return list(req, "subnets", docs)
}

func (r *Role) showSubnet(req *api.Request) (api.Response, error) {
	return r.answerSubnet(req, cloud.SubnetID(req.PathValue("id")), http.StatusOK)
}

func (r *Role) answerSubnet(req *api.Request, id cloud.SubnetID, status int) (api.Response, error) {
	var s *cloud.Subnet
	var err error
	r.store.View(func(m *cloud.Model) { s, err = newDraft(m).subnet(req.Caller, id) })
	if err != nil {
		return api.Response{}, err
	}
	return show(req, status, "subnet", subnetDocument(s))
}

func (r *Role) createSubnet(req *api.Request) (api.Response, error) {
	form, err := readNewSubnet(req)
	if err != nil {
		return api.Response{}, err
	}
	var id cloud.SubnetID
	err = r.change(req.Context(), func(d *draft) error {
		n, err := d.ownNetwork(req.Caller, form.network)
		if err != nil {
			return err
		}
		s := &cloud.Subnet{SubnetID: cloud.SubnetID(cloud.NewUUID()), NetworkID: n.NetworkID, ProjectID: n.ProjectID}
		others := d.SubnetsOf(n.NetworkID)
		if err := form.fill(s, others); err != nil {
			return err
		}
		id = s.SubnetID
		n = d.touch(n)
		n.RevisionNumber++
		d.put = append(d.put, s)
		return d.dhcpPort(n, append(others, s))
	})
	if err != nil {
		return api.Response{}, err
	}
	if err := r.spread(req.Context(), id); err != nil {
		return api.Response{}, err
	}
	return r.answerSubnet(req, id, http.StatusCreated)
}

func (r *Role) updateSubnet(req *api.Request) (api.Response, error) {
	form, err := readSubnetChange(req)
	if err != nil {
		return api.Response{}, err
	}
	id := cloud.SubnetID(req.PathValue("id"))
	err = r.change(req.Context(), func(d *draft) error {
		s, n, err := d.ownSubnet(req.Caller, id)
		if err != nil {
			return err
		}
		old := *s
		if err := form.apply(s); err != nil {
			return err
		}
		if err := d.gatewayFree(&old, s); err != nil {
			return err
		}
		s.RevisionNumber++
		d.put = append(d.put, s)
		return d.dhcpPort(n, replaced(d.SubnetsOf(n.NetworkID), s))
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.answerSubnet(req, id, http.StatusOK)
}

// replaced returns the subnets with s in place of its stored version.
func replaced(subnets []*cloud.Subnet, s *cloud.Subnet) []*cloud.Subnet {
	for i := range subnets {
		if subnets[i].SubnetID == s.SubnetID {
			subnets[i] = s
		}
	}
	return subnets
}

// gatewayFree refuses to move a gateway that a router interface is.
func (d *draft) gatewayFree(old, s *cloud.Subnet) error {
	if old.Gateway == s.Gateway || !old.Gateway.IsValid() {
		return nil
	}
	p := d.PortAt(old.NetworkID, old.Gateway)
	if p == nil || p.DeviceOwner != cloud.OwnerRouterInterface {
		return nil
	}
	return fault(cloud.Conflict, "GatewayIpInUse", "Current gateway ip %s already in use by port %s. Unable to update.", old.Gateway, p.PortID)
}
