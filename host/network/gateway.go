package network

import (
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// gatewayForm is what a request says of a router's external gateway.
type gatewayForm struct {
	given   bool // even as null
	network cloud.NetworkID
	snat    bool
	hasSNAT bool
	ips     []cloud.FixedIP
	hasIPs  bool
}

// readGateway reads external_gateway_info. Whether addresses are translated,
// and which address the router gets, is for administrators to say. neutron:
// conf/policies/router.py, 21.0.0.
func readGateway(req *api.Request, o *api.Object) (gatewayForm, error) {
	f := gatewayForm{given: o.Has("external_gateway_info") || o.Null("external_gateway_info")}
	if !o.Has("external_gateway_info") {
		return f, nil
	}
	g := o.Object("external_gateway_info")
	f.network = cloud.NetworkID(g.UUID("network_id"))
	f.hasSNAT, f.snat = g.Has("enable_snat"), g.Bool("enable_snat", true)
	f.hasIPs = g.Has("external_fixed_ips")
	for _, ip := range g.Objects("external_fixed_ips", maxFixedIPs) {
		w := cloud.FixedIP{SubnetID: cloud.SubnetID(ip.UUID("subnet_id")), Addr: ip.Addr("ip_address")}
		if w.SubnetID == "" && !w.Addr.IsValid() {
			o.Fail("external_fixed_ips", "IP allocation requires subnet_id or ip_address.")
		}
		f.ips = append(f.ips, w)
	}
	g.Refuse("qos_policy_id")
	if (f.hasSNAT || f.hasIPs) && !req.Caller.Admin() {
		return f, forbidden("Setting external_gateway_info:enable_snat or external_fixed_ips")
	}
	return f, nil
}

func (d *draft) gatewayDocument(r *cloud.Router) any {
	p := d.Ports[r.GatewayPort]
	if p == nil {
		return nil
	}
	return api.Document{{Name: "network_id", Value: p.NetworkID},
		{Name: "external_fixed_ips", Value: append([]cloud.FixedIP{}, p.FixedIPs...)}, {Name: "enable_snat", Value: !r.NoSNAT}}
}

// setGateway makes the router's gateway what the form says; r is written by
// this draft. neutron: db/l3_db.py _update_router_gw_info.
func (d *draft) setGateway(c cloud.Caller, r *cloud.Router, f gatewayForm) error {
	if !f.given {
		return nil
	}
	old := d.Ports[r.GatewayPort]
	if old != nil && (f.network != old.NetworkID || f.hasIPs) {
		if d.floatingOn(r.RouterID, nil) {
			return fault(cloud.Conflict, "RouterExternalGatewayInUseByFloatingIp",
				"Gateway cannot be updated for router %s, since a gateway to external network %s is required by one or more floating IPs.",
				r.RouterID, old.NetworkID)
		}
		d.free(old)
		d.remove = append(d.remove, old)
		d.touch(d.Networks[old.NetworkID])
		r.GatewayPort, old = "", nil
	}
	switch {
	case f.network == "":
		r.NoSNAT = false
		return nil
	case f.hasSNAT:
		r.NoSNAT = !f.snat
	}
	if old != nil {
		return nil
	}
	return d.addGateway(c, r, f)
}

// addGateway gives the router a port on an external network. It belongs to no
// project, so that its owner alone sees it, as the router's.
func (d *draft) addGateway(c cloud.Caller, r *cloud.Router, f gatewayForm) error {
	n, err := d.network(c, f.network)
	if err != nil {
		return err
	}
	if !n.External {
		return badRouter("Network %s is not an external network", n.NetworkID)
	}
	subnets := d.SubnetsOf(n.NetworkID)
	if err := d.separate(r.RouterID, subnets); err != nil {
		return err
	}
	p := &cloud.Port{PortID: cloud.PortID(cloud.NewUUID()), NetworkID: n.NetworkID, MAC: d.newMAC(n.NetworkID),
		DeviceID: string(r.RouterID), DeviceOwner: cloud.OwnerRouterGateway, Host: d.networkNode()}
	if err := d.allocate(p, subnets, f.ips, f.hasIPs); err != nil {
		return err
	}
	if len(p.FixedIPs) == 0 {
		return badRouter("No IPs available for external network %s", n.NetworkID)
	}
	d.touch(n)
	d.putPort(p)
	r.GatewayPort = p.PortID
	return nil
}

// floatingOn reports whether a floating address is translated by the router,
// for one of the subnets; with none, for any.
func (d *draft) floatingOn(id cloud.RouterID, subnets []cloud.SubnetID) bool {
	for _, f := range d.FloatingIPs {
		p := d.Ports[f.PortID]
		if f.RouterID != id || p == nil {
			continue
		}
		if subnets == nil || slices.ContainsFunc(p.FixedIPs, func(ip cloud.FixedIP) bool { return ip.Addr == f.FixedAddr && slices.Contains(subnets, ip.SubnetID) }) {
			return true
		}
	}
	return false
}
