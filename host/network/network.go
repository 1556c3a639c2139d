package network

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"imprint/host/api"
	"imprint/host/cloud"
)

const zone = "nova"

func (d *draft) networkDocument(n *cloud.Network) api.Document {
	subnets := []string{}
	for _, s := range d.SubnetsOf(n.NetworkID) {
		subnets = append(subnets, string(s.SubnetID))
	}
	zones := []string{}
	if p := d.dhcpPortOf(n.NetworkID); p != nil && p.Host != "" {
		zones = append(zones, zone)
	}
	doc := api.Document{
		{Name: "id", Value: n.NetworkID}, {Name: "name", Value: n.Name}, {Name: "tenant_id", Value: n.ProjectID},
		{Name: "admin_state_up", Value: !n.AdminDown}, {Name: "mtu", Value: n.MTU}, {Name: "status", Value: "ACTIVE"},
		{Name: "subnets", Value: subnets}, {Name: "shared", Value: n.Shared},
		{Name: "availability_zone_hints", Value: []string{}}, {Name: "availability_zones", Value: zones},
		{Name: "ipv4_address_scope", Value: nil}, {Name: "ipv6_address_scope", Value: nil},
		{Name: "router:external", Value: n.External}, {Name: "description", Value: n.Description},
		{Name: "port_security_enabled", Value: true},
	}
	if n.External {
		doc = append(doc, api.Field{Name: "is_default", Value: false})
	}
	doc = append(doc, stamps(&n.Meta, n.RevisionNumber, n.ProjectID)...)
	return append(doc, api.Document{{Name: "provider:network_type", Value: "vxlan"},
		{Name: "provider:physical_network", Value: nil}, {Name: "provider:segmentation_id", Value: n.SegmentID}}...)
}

// stamps are the standard attributes that every document ends with.
func stamps(m *cloud.Meta, revision int, p cloud.ProjectID) api.Document {
	return api.Document{{Name: "tags", Value: []string{}}, {Name: "created_at", Value: m.CreatedAt.Format(time.RFC3339)},
		{Name: "updated_at", Value: m.UpdatedAt.Format(time.RFC3339)}, {Name: "revision_number", Value: revision},
		{Name: "project_id", Value: p}}
}

func sees(c cloud.Caller, n *cloud.Network) bool {
	return c.Sees(n.ProjectID) || n.Shared || n.External
}

// network returns the network with that id, if the caller may see it.
func (d *draft) network(c cloud.Caller, id cloud.NetworkID) (*cloud.Network, error) {
	n := d.Networks[id]
	if n == nil || !sees(c, n) {
		return nil, noNetwork(id)
	}
	return n, nil
}

// ownNetwork is network for a caller who wants to change it.
func (d *draft) ownNetwork(c cloud.Caller, id cloud.NetworkID) (*cloud.Network, error) {
	n, err := d.network(c, id)
	if err == nil && !c.Sees(n.ProjectID) {
		return nil, forbidden("Changing network " + string(id))
	}
	return n, err
}

func (r *Role) listNetworks(req *api.Request) (api.Response, error) {
	var docs []api.Document
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		for _, n := range m.Networks {
			if sees(req.Caller, n) {
				docs = append(docs, visible(d.networkDocument(n), req.Caller))
			}
		}
	})
	return list(req, "networks", docs)
}

func (r *Role) showNetwork(req *api.Request) (api.Response, error) {
	return r.answerNetwork(req, cloud.NetworkID(req.PathValue("id")), http.StatusOK)
}

func (r *Role) answerNetwork(req *api.Request, id cloud.NetworkID, status int) (api.Response, error) {
	var doc api.Document
	var err error
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		var n *cloud.Network
		if n, err = d.network(req.Caller, id); err == nil {
			doc = visible(d.networkDocument(n), req.Caller)
		}
	})
	if err != nil {
		return api.Response{}, err
	}
	if _, ok := doc.Get("is_default"); status == http.StatusCreated && !ok {
		doc = append(doc, api.Field{Name: "is_default", Value: false})
	}
	return show(req, status, "network", doc)
}

func (r *Role) createNetwork(req *api.Request) (api.Response, error) {
	o, err := req.Object("network")
	if err != nil {
		return api.Response{}, err
	}
	n := &cloud.Network{NetworkID: cloud.NetworkID(cloud.NewUUID()), MTU: r.mtu, RevisionNumber: 1}
	if n.ProjectID, err = project(req, o); err != nil {
		return api.Response{}, err
	}
	if err := r.readNetwork(req, o, n); err != nil {
		return api.Response{}, err
	}
	segment, err := r.store.NextNumber(req.Context(), "network-segment")
	if err != nil {
		return api.Response{}, err
	}
	n.SegmentID = int(segment)
	err = r.change(req.Context(), func(d *draft) error {
		d.put = append(d.put, n)
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.answerNetwork(req, n.NetworkID, http.StatusCreated)
}

// readNetwork sets what a request says of a network.
func (r *Role) readNetwork(req *api.Request, o *api.Object, n *cloud.Network) error {
	describe(o, &n.Name, &n.Description, &n.AdminDown)
	n.MTU = o.Int("mtu", n.MTU, 68, r.mtu)
	shared, external := o.Bool("shared", n.Shared), o.Bool("router:external", n.External)
	if (shared != n.Shared || external != n.External) && !req.Caller.Admin() {
		return forbidden("Setting shared or router:external")
	}
	n.Shared, n.External = shared, external
	if !o.Bool("port_security_enabled", true) {
		o.Fail("port_security_enabled", "Port security cannot be switched off.")
	}
	o.Refuse("provider:network_type", "provider:physical_network", "provider:segmentation_id", "segments", "qos_policy_id",
		"vlan_transparent", "is_default", "availability_zone_hints", "dns_domain")
	return o.Err()
}

func (r *Role) updateNetwork(req *api.Request) (api.Response, error) {
	o, err := req.Object("network")
	if err != nil {
		return api.Response{}, err
	}
	id := cloud.NetworkID(req.PathValue("id"))
	err = r.change(req.Context(), func(d *draft) error {
		n, err := d.ownNetwork(req.Caller, id)
		if err != nil {
			return err
		}
		wasShared := n.Shared
		n = d.touch(n)
		n.RevisionNumber++
		if err := r.readNetwork(req, o, n); err != nil {
			return err
		}
		if wasShared && !n.Shared && d.usedByOthers(n) {
			return fault(cloud.Conflict, "InvalidSharedSetting",
				"Unable to reconfigure sharing settings for network %s. Multiple tenants are using it.", n.NetworkID)
		}
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.answerNetwork(req, id, http.StatusOK)
}

func (d *draft) usedByOthers(n *cloud.Network) bool {
	return slices.ContainsFunc(d.PortsOn(n.NetworkID), func(p *cloud.Port) bool { return p.ProjectID != n.ProjectID })
}

// deleteNetwork removes a network with its subnets and its DHCP port; any
// other port keeps it.
func (r *Role) deleteNetwork(req *api.Request) (api.Response, error) {
	err := r.change(req.Context(), func(d *draft) error {
		n, err := d.ownNetwork(req.Caller, cloud.NetworkID(req.PathValue("id")))
		if err != nil {
			return err
		}
		var users []string
		for _, p := range d.PortsOn(n.NetworkID) {
			if p.DeviceOwner == cloud.OwnerDHCP {
				d.remove = append(d.remove, p)
			} else {
				users = append(users, string(p.PortID))
			}
		}
		if len(users) > 0 {
			users = users[:min(len(users), 10)]
			slices.Sort(users)
			return fault(cloud.Conflict, "NetworkInUse", "Unable to complete operation on network %s. "+
				"There are one or more ports still in use on the network, id for these ports is: %s.", n.NetworkID, strings.Join(users, ","))
		}
		for _, s := range d.SubnetsOf(n.NetworkID) {
			d.remove = append(d.remove, s)
		}
		d.remove = append(d.remove, n)
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}
