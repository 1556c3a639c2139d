package network

import (
	"net/http"
	"net/netip"
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

func badFloating(format string, args ...any) error {
	err := badRouter(format, args...).(*cloud.Error)
	err.Text = "Bad floatingip request: " + err.Text[len("Bad router request: "):]
	return err
}

func noFloating(id cloud.FloatingID) error {
	return fault(cloud.NotFound, "FloatingIPNotFound", "Floating IP %.64s could not be found", id)
}

// floatingDocument: a floating address is active when the router that
// translates it is.
func (d *draft) floatingDocument(f *cloud.FloatingIP) api.Document {
	var port, fixed, router, details any
	status := "DOWN"
	if p := d.Ports[f.PortID]; p != nil {
		port, fixed, router = f.PortID, f.FixedAddr.String(), f.RouterID
		details = api.Document{{Name: "name", Value: p.Name}, {Name: "network_id", Value: p.NetworkID}, {Name: "mac_address", Value: p.MAC},
			{Name: "admin_state_up", Value: !p.AdminDown}, {Name: "status", Value: portStatus(p)},
			{Name: "device_id", Value: p.DeviceID}, {Name: "device_owner", Value: p.DeviceOwner}}
		if r := d.Routers[f.RouterID]; r != nil && d.Ports[r.GatewayPort] != nil && d.Ports[r.GatewayPort].Up {
			status = "ACTIVE"
		}
	}
	doc := api.Document{
		{Name: "id", Value: f.FloatingID}, {Name: "tenant_id", Value: f.ProjectID}, {Name: "floating_ip_address", Value: f.Addr.String()},
		{Name: "floating_network_id", Value: f.NetworkID}, {Name: "router_id", Value: router}, {Name: "port_id", Value: port},
		{Name: "fixed_ip_address", Value: fixed}, {Name: "status", Value: status}, {Name: "description", Value: f.Description},
		{Name: "port_details", Value: details},
	}
	return append(doc, stamps(&f.Meta, f.RevisionNumber, f.ProjectID)...)
}

func (d *draft) floatingIP(c cloud.Caller, id cloud.FloatingID) (*cloud.FloatingIP, error) {
	f := d.FloatingIPs[id]
	if f == nil || !c.Sees(f.ProjectID) {
		return nil, noFloating(id)
	}
	return f, nil
}

func (r *Role) listFloatingIPs(req *api.Request) (api.Response, error) {
	var docs []api.Document
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		for _, f := range m.FloatingIPs {
			if req.Caller.Sees(f.ProjectID) {
				docs = append(docs, d.floatingDocument(f))
			}
		}
	})
	return list(req, "floatingips", docs)
}

func (r *Role) showFloatingIP(req *api.Request) (api.Response, error) {
	return r.answerFloatingIP(req, cloud.FloatingID(req.PathValue("id")), http.StatusOK)
}

func (r *Role) answerFloatingIP(req *api.Request, id cloud.FloatingID, status int) (api.Response, error) {
	var doc api.Document
	var err error
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		var f *cloud.FloatingIP
		if f, err = d.floatingIP(req.Caller, id); err == nil {
			doc = d.floatingDocument(f)
		}
	})
	if err != nil {
		return api.Response{}, err
	}
	return show(req, status, "floatingip", doc)
}

// floatingForm is what a request says of a floating address.
type floatingForm struct {
	network     cloud.NetworkID
	subnet      cloud.SubnetID
	addr        netip.Addr
	description string
	hasText     bool
	port        cloud.PortID
	hasPort     bool // given, even as null
	fixed       netip.Addr
}

func readFloating(o *api.Object) *floatingForm {
	f := &floatingForm{hasText: o.Has("description"), description: o.Text("description", 0, maxText)}
	f.hasPort, f.port = o.Has("port_id") || o.Null("port_id"), cloud.PortID(o.UUID("port_id"))
	f.fixed = o.Addr("fixed_ip_address")
	o.Ignore("tenant_id", "project_id")
	o.Refuse("qos_policy_id", "dns_name", "dns_domain", "distributed")
	return f
}

func (r *Role) createFloatingIP(req *api.Request) (api.Response, error) {
	o, err := req.Object("floatingip")
	if err != nil {
		return api.Response{}, err
	}
	owner, err := project(req, o)
	if err != nil {
		return api.Response{}, err
	}
	form := readFloating(o)
	form.network, form.subnet = cloud.NetworkID(o.UUID("floating_network_id")), cloud.SubnetID(o.UUID("subnet_id"))
	form.addr = o.Addr("floating_ip_address")
	o.Require("floating_network_id")
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	if form.addr.IsValid() && !req.Caller.Admin() {
		return api.Response{}, forbidden("Choosing floating_ip_address")
	}
	id := cloud.FloatingID(cloud.NewUUID())
	err = r.change(req.Context(), func(d *draft) error {
		f := &cloud.FloatingIP{FloatingID: id, ProjectID: owner, Description: form.description, NetworkID: form.network, RevisionNumber: 1}
		if err := d.addFloating(req.Caller, f, form); err != nil {
			return err
		}
		d.put = append(d.put, f)
		return d.associate(req.Caller, f, form)
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.answerFloatingIP(req, id, http.StatusCreated)
}

// addFloating takes an address of the external network, and the port that holds
// it. neutron: db/l3_db.py _create_floatingip.
func (d *draft) addFloating(c cloud.Caller, f *cloud.FloatingIP, form *floatingForm) error {
	n, err := d.network(c, form.network)
	if err != nil {
		return err
	}
	if !n.External {
		return badFloating("Network %s is not a valid external network", n.NetworkID)
	}
	subnets := slices.DeleteFunc(d.SubnetsOf(n.NetworkID), func(s *cloud.Subnet) bool { return s.CIDR.Addr().Is6() })
	if len(subnets) == 0 {
		return badFloating("Network %s does not contain any IPv4 subnet", n.NetworkID)
	}
	p := &cloud.Port{PortID: cloud.PortID(cloud.NewUUID()), NetworkID: n.NetworkID, MAC: d.newMAC(n.NetworkID),
		DeviceID: string(f.FloatingID), DeviceOwner: cloud.OwnerFloatingIP}
	wish := cloud.FixedIP{SubnetID: form.subnet, Addr: form.addr}
	asked := wish != cloud.FixedIP{}
	if err := d.allocate(p, subnets, []cloud.FixedIP{wish}, asked); err != nil {
		return err
	}
	d.touch(n)
	d.putPort(p)
	f.FloatingPort, f.Addr = p.PortID, p.FixedIPs[0].Addr
	return nil
}

func (r *Role) updateFloatingIP(req *api.Request) (api.Response, error) {
	o, err := req.Object("floatingip")
	if err != nil {
		return api.Response{}, err
	}
	form := readFloating(o)
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	id := cloud.FloatingID(req.PathValue("id"))
	err = r.change(req.Context(), func(d *draft) error {
		old, err := d.floatingIP(req.Caller, id)
		if err != nil {
			return err
		}
		f := *old
		f.RevisionNumber++
		if form.hasText {
			f.Description = form.description
		}
		d.put = append(d.put, &f)
		return d.associate(req.Caller, &f, form)
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.answerFloatingIP(req, id, http.StatusOK)
}

func (r *Role) deleteFloatingIP(req *api.Request) (api.Response, error) {
	err := r.change(req.Context(), func(d *draft) error {
		f, err := d.floatingIP(req.Caller, cloud.FloatingID(req.PathValue("id")))
		if err != nil {
			return err
		}
		d.remove = append(d.remove, f)
		if p := d.Ports[f.FloatingPort]; p != nil {
			d.remove = append(d.remove, p)
		}
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}
