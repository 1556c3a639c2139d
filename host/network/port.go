package network

import (
	"net/http"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

func (d *draft) portDocument(p *cloud.Port) api.Document {
	groups := []string{}
	if !strings.HasPrefix(p.DeviceOwner, "network:") {
		groups = append(groups, defaultGroup(p.ProjectID))
	}
	vif := "unbound"
	details := api.Document{}
	if p.Host != "" {
		vif = "bridge"
		details = api.Document{{Name: "connectivity", Value: "l2"}, {Name: "port_filter", Value: true}}
	}
	doc := api.Document{
		{Name: "id", Value: p.PortID}, {Name: "name", Value: p.Name}, {Name: "network_id", Value: p.NetworkID},
		{Name: "tenant_id", Value: p.ProjectID}, {Name: "mac_address", Value: p.MAC}, {Name: "admin_state_up", Value: !p.AdminDown},
		{Name: "status", Value: portStatus(p)}, {Name: "device_id", Value: p.DeviceID}, {Name: "device_owner", Value: p.DeviceOwner},
		{Name: "fixed_ips", Value: append([]cloud.FixedIP{}, p.FixedIPs...)}, {Name: "allowed_address_pairs", Value: []string{}},
		{Name: "extra_dhcp_opts", Value: append([]cloud.DHCPOption{}, p.DHCPOptions...)}, {Name: "security_groups", Value: groups}, {Name: "description", Value: p.Description},
		{Name: "binding:vnic_type", Value: "normal"}, {Name: "binding:profile", Value: api.Document{}},
		{Name: "binding:host_id", Value: p.Host}, {Name: "binding:vif_type", Value: vif}, {Name: "binding:vif_details", Value: details},
		{Name: "port_security_enabled", Value: !strings.HasPrefix(p.DeviceOwner, "network:")},
	}
	return append(doc, stamps(&p.Meta, p.RevisionNumber, p.ProjectID)...)
}

func portStatus(p *cloud.Port) string {
	if p.Up {
		return "ACTIVE"
	}
	return "DOWN"
}

// seesPort: a network's owner sees all of its ports.
func (d *draft) seesPort(c cloud.Caller, p *cloud.Port) bool {
	n := d.Networks[p.NetworkID]
	return c.Sees(p.ProjectID) || (n != nil && c.Sees(n.ProjectID))
}

// port returns the port with that id, if the caller may see it.
func (d *draft) port(c cloud.Caller, id cloud.PortID) (*cloud.Port, error) {
	p := d.Ports[id]
	if p == nil || !d.seesPort(c, p) {
		return nil, noPort(id)
	}
	return p, nil
}

func (r *Role) listPorts(req *api.Request) (api.Response, error) {
	var docs []api.Document
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		for _, p := range m.Ports {
			if d.seesPort(req.Caller, p) {
				docs = append(docs, visible(d.portDocument(p), req.Caller))
			}
		}
	})
	return list(req, "ports", docs)
}

func (r *Role) showPort(req *api.Request) (api.Response, error) {
	return r.answerPort(req, cloud.PortID(req.PathValue("id")), http.StatusOK)
}

func (r *Role) answerPort(req *api.Request, id cloud.PortID, status int) (api.Response, error) {
	var doc api.Document
	var err error
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		var p *cloud.Port
		if p, err = d.port(req.Caller, id); err == nil {
			doc = visible(d.portDocument(p), req.Caller)
		}
	})
	if err != nil {
		return api.Response{}, err
	}
	return show(req, status, "port", doc)
}

func (r *Role) createPort(req *api.Request) (api.Response, error) {
	o, err := req.Object("port")
	if err != nil {
		return api.Response{}, err
	}
	owner, err := project(req, o)
	if err != nil {
		return api.Response{}, err
	}
	network := cloud.NetworkID(o.UUID("network_id"))
	o.Require("network_id")
	form, err := readPort(req, o, owner)
	if err != nil {
		return api.Response{}, err
	}
	id := cloud.PortID(cloud.NewUUID())
	err = r.change(req.Context(), func(d *draft) error {
		p := &cloud.Port{PortID: id, NetworkID: network, ProjectID: owner}
		form.apply(p)
		return d.addPort(req.Caller, p, form.ips, form.hasIPs)
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.answerPort(req, id, http.StatusCreated)
}

// addPort writes a new port: it gets a hardware address, unless it has one,
// and addresses.
func (d *draft) addPort(c cloud.Caller, p *cloud.Port, wishes []cloud.FixedIP, asked bool) error {
	n, err := d.network(c, p.NetworkID)
	if err != nil {
		return err
	}
	if !c.Sees(n.ProjectID) && !n.Shared {
		return forbidden("Creating a port on network " + string(n.NetworkID))
	}
	switch {
	case p.MAC == "":
		p.MAC = d.newMAC(n.NetworkID)
	case d.macInUse(n.NetworkID, p.MAC):
		return macInUse(p)
	}
	if err := d.allocate(p, d.SubnetsOf(n.NetworkID), wishes, asked); err != nil {
		return err
	}
	d.touch(n)
	d.putPort(p)
	return nil
}

func macInUse(p *cloud.Port) error {
	return fault(cloud.Conflict, "MacAddressInUse",
		"Unable to complete operation for network %s. The mac address %s is in use.", p.NetworkID, p.MAC)
}

func (r *Role) updatePort(req *api.Request) (api.Response, error) {
	o, err := req.Object("port")
	if err != nil {
		return api.Response{}, err
	}
	id := cloud.PortID(req.PathValue("id"))
	var old *cloud.Port
	r.store.View(func(m *cloud.Model) { old, err = newDraft(m).port(req.Caller, id) })
	if err != nil {
		return api.Response{}, err
	}
	form, err := readPort(req, o, old.ProjectID)
	if err != nil {
		return api.Response{}, err
	}
	err = r.change(req.Context(), func(d *draft) error { return d.changePort(req.Caller, id, form) })
	if err != nil {
		return api.Response{}, err
	}
	return r.answerPort(req, id, http.StatusOK)
}

func (d *draft) changePort(c cloud.Caller, id cloud.PortID, form *portForm) error {
	old, err := d.port(c, id)
	if err != nil {
		return err
	}
	p := *old
	form.apply(&p)
	if strings.HasPrefix(old.DeviceOwner, "network:") && (form.hasIPs || form.mac != "" || form.hasDevice) {
		return fault(cloud.Conflict, "UnsupportedPortDeviceOwner",
			"Operation update is not supported for device_owner %s on port %s.", old.DeviceOwner, id)
	}
	if p.MAC != old.MAC && d.macInUse(p.NetworkID, p.MAC) {
		return macInUse(&p)
	}
	if form.hasIPs || p.MAC != old.MAC {
		wishes := form.ips
		if !form.hasIPs {
			wishes = d.steady(old)
		}
		d.free(old)
		if err := d.allocate(&p, d.SubnetsOf(p.NetworkID), wishes, true); err != nil {
			return err
		}
		d.touch(d.Networks[p.NetworkID])
		d.unfloat(old, p.FixedIPs)
	}
	d.putPort(&p)
	return nil
}

// steady are the port's addresses that do not follow from its hardware address.
func (d *draft) steady(p *cloud.Port) []cloud.FixedIP {
	var ips []cloud.FixedIP
	for _, ip := range p.FixedIPs {
		if s := d.Subnets[ip.SubnetID]; s != nil && !automatic(s) {
			ips = append(ips, ip)
		}
	}
	return ips
}

// serves reports whether a port belongs to something that looks after it.
func (d *draft) serves(p *cloud.Port) bool {
	switch p.DeviceOwner {
	case cloud.OwnerDHCP:
		return true
	case cloud.OwnerRouterInterface, cloud.OwnerRouterGateway:
		return d.Routers[cloud.RouterID(p.DeviceID)] != nil
	case cloud.OwnerFloatingIP:
		return d.FloatingIPs[cloud.FloatingID(p.DeviceID)] != nil
	}
	return false
}

func (r *Role) deletePort(req *api.Request) (api.Response, error) {
	err := r.change(req.Context(), func(d *draft) error {
		p, err := d.port(req.Caller, cloud.PortID(req.PathValue("id")))
		if err != nil {
			return err
		}
		if d.serves(p) {
			return fault(cloud.Conflict, "ServicePortInUse",
				"Port %s cannot be deleted directly via the port API: has device owner %s.", p.PortID, p.DeviceOwner)
		}
		d.removePort(p)
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}
