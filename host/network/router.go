package network

import (
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

// interfaces are the ports of a router.
func (d *draft) interfaces(id cloud.RouterID) []*cloud.Port {
	var ports []*cloud.Port
	for _, p := range d.PortsOf(string(id)) {
		if p.DeviceOwner == cloud.OwnerRouterInterface {
			ports = append(ports, p)
		}
	}
	return ports
}

func (d *draft) routerDocument(r *cloud.Router) api.Document {
	zones := []string{}
	if len(d.interfaces(r.RouterID)) > 0 && d.networkNode() != "" {
		zones = append(zones, zone)
	}
	doc := api.Document{
		{Name: "id", Value: r.RouterID}, {Name: "name", Value: r.Name}, {Name: "tenant_id", Value: r.ProjectID},
		{Name: "admin_state_up", Value: !r.AdminDown}, {Name: "status", Value: "ACTIVE"}, {Name: "external_gateway_info", Value: d.gatewayDocument(r)},
		{Name: "description", Value: r.Description}, {Name: "availability_zones", Value: zones}, {Name: "distributed", Value: false},
		{Name: "ha", Value: false}, {Name: "availability_zone_hints", Value: []string{}}, {Name: "routes", Value: []string{}},
		{Name: "flavor_id", Value: nil},
	}
	return append(doc, stamps(&r.Meta, r.RevisionNumber, r.ProjectID)...)
}

// router returns the router with that id, if the caller may see it.
func (d *draft) router(c cloud.Caller, id cloud.RouterID) (*cloud.Router, error) {
	r := d.Routers[id]
	if r == nil || !c.Sees(r.ProjectID) {
		return nil, noRouter(id)
	}
	return r, nil
}

// putRouter writes a copy of the router, so that no other decision about its
// interfaces passes this one.
func (d *draft) putRouter(r *cloud.Router) *cloud.Router {
	c := *r
	c.RevisionNumber++
	d.put = append(d.put, &c)
	return &c
}

func (r *Role) listRouters(req *api.Request) (api.Response, error) {
	var docs []api.Document
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		for _, router := range m.Routers {
			if req.Caller.Sees(router.ProjectID) {
				docs = append(docs, visible(d.routerDocument(router), req.Caller))
			}
		}
	})
	return list(req, "routers", docs)
}

func (r *Role) showRouter(req *api.Request) (api.Response, error) {
	return r.answerRouter(req, cloud.RouterID(req.PathValue("id")), http.StatusOK)
}

func (r *Role) answerRouter(req *api.Request, id cloud.RouterID, status int) (api.Response, error) {
	var doc api.Document
	var err error
	r.store.View(func(m *cloud.Model) {
		d := newDraft(m)
		var router *cloud.Router
		if router, err = d.router(req.Caller, id); err == nil {
			doc = visible(d.routerDocument(router), req.Caller)
		}
	})
	if err != nil {
		return api.Response{}, err
	}
	return show(req, status, "router", doc)
}

// readRouter sets what a request says of a router.
func readRouter(o *api.Object, r *cloud.Router) error {
	describe(o, &r.Name, &r.Description, &r.AdminDown)
	o.Refuse("routes", "distributed", "ha", "flavor_id", "availability_zone_hints")
	o.Ignore("tenant_id", "project_id")
	return o.Err()
}

func (r *Role) createRouter(req *api.Request) (api.Response, error) {
	o, err := req.Object("router")
	if err != nil {
		return api.Response{}, err
	}
	router := &cloud.Router{RouterID: cloud.RouterID(cloud.NewUUID())}
	if router.ProjectID, err = project(req, o); err != nil {
		return api.Response{}, err
	}
	gateway, err := readGateway(req, o)
	if err == nil {
		err = readRouter(o, router)
	}
	if err != nil {
		return api.Response{}, err
	}
	err = r.change(req.Context(), func(d *draft) error { return d.setGateway(req.Caller, d.putRouter(router), gateway) })
	if err != nil {
		return api.Response{}, err
	}
	return r.answerRouter(req, router.RouterID, http.StatusCreated)
}

func (r *Role) updateRouter(req *api.Request) (api.Response, error) {
	o, err := req.Object("router")
	if err != nil {
		return api.Response{}, err
	}
	gateway, err := readGateway(req, o)
	if err != nil {
		return api.Response{}, err
	}
	id := cloud.RouterID(req.PathValue("id"))
	err = r.change(req.Context(), func(d *draft) error {
		router, err := d.router(req.Caller, id)
		if err != nil {
			return err
		}
		router = d.putRouter(router)
		if err := readRouter(o, router); err != nil {
			return err
		}
		return d.setGateway(req.Caller, router, gateway)
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.answerRouter(req, id, http.StatusOK)
}

func (r *Role) deleteRouter(req *api.Request) (api.Response, error) {
	err := r.change(req.Context(), func(d *draft) error {
		router, err := d.router(req.Caller, cloud.RouterID(req.PathValue("id")))
		if err != nil {
			return err
		}
		if len(d.interfaces(router.RouterID)) > 0 {
			return fault(cloud.Conflict, "RouterInUse", "Router %s still has ports", router.RouterID)
		}
		d.remove = append(d.remove, router)
		if p := d.Ports[router.GatewayPort]; p != nil {
			d.remove = append(d.remove, p)
		}
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}
