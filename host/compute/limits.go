package compute

import (
	"maps"
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// limits tells what a project may have and has. -1 is without limit.
func (r *Role) limits(req *api.Request) (api.Response, error) {
	instances, cores, ram := 0, 0, 0
	r.store.View(func(m *cloud.Model) {
		for _, s := range m.Servers {
			if s.ProjectID == req.Caller.ProjectID {
				instances, cores, ram = instances+1, cores+s.Flavor.VCPUs, ram+s.Flavor.RAM
			}
		}
	})
	d := api.Document{
		{Name: "maxTotalInstances", Value: -1}, {Name: "maxTotalCores", Value: -1}, {Name: "maxTotalRAMSize", Value: -1},
		{Name: "maxServerMeta", Value: maxMetadata}, {Name: "maxTotalKeypairs", Value: maxKeyPairs},
		{Name: "maxServerGroups", Value: 0}, {Name: "maxServerGroupMembers", Value: 0},
		{Name: "totalInstancesUsed", Value: instances}, {Name: "totalCoresUsed", Value: cores}, {Name: "totalRAMUsed", Value: ram},
		{Name: "totalServerGroupsUsed", Value: 0},
	}
	if !req.Version.AtLeast(2, 57) {
		d = append(d, api.Field{Name: "maxPersonality", Value: maxFiles}, api.Field{Name: "maxPersonalitySize", Value: maxFileContent})
	}
	return api.OK(api.Document{{Name: "limits", Value: api.Document{{Name: "rate", Value: []string{}}, {Name: "absolute", Value: d}}}})
}

func (r *Role) listZones(*api.Request) (api.Response, error) {
	list := []api.Document{}
	for _, z := range r.zones() {
		list = append(list, zoneDocument(z.Name, nil))
	}
	return api.OK(api.Document{{Name: "availabilityZoneInfo", Value: list}})
}

// listZoneNodes lists the zones with their nodes, for administrators.
func (r *Role) listZoneNodes(req *api.Request) (api.Response, error) {
	if err := admin(req, "os_compute_api:os-availability-zone:detail"); err != nil {
		return api.Response{}, err
	}
	list := []api.Document{}
	for _, z := range r.zones() {
		hosts := api.Document{}
		for _, n := range z.Value.([]string) {
			service := map[string]any{"active": true, "available": true, "updated_at": nil}
			hosts = append(hosts, api.Field{Name: n, Value: map[string]any{"nova-compute": service}})
		}
		list = append(list, zoneDocument(z.Name, hosts))
	}
	return api.OK(api.Document{{Name: "availabilityZoneInfo", Value: list}})
}

func zoneDocument(name string, hosts any) api.Document {
	return api.Document{{Name: "zoneName", Value: name}, {Name: "zoneState", Value: map[string]bool{"available": true}}, {Name: "hosts", Value: hosts}}
}

// zones are the availability zones, each with the names of its nodes.
func (r *Role) zones() api.Document {
	nodes := map[string][]string{}
	r.store.View(func(m *cloud.Model) {
		for _, name := range slices.Sorted(maps.Keys(m.Nodes)) {
			if n := m.Nodes[name]; n.Compute {
				nodes[zoneOf(n)] = append(nodes[zoneOf(n)], name)
			}
		}
	})
	var zones api.Document
	for _, z := range slices.Sorted(maps.Keys(nodes)) {
		zones = append(zones, api.Field{Name: z, Value: nodes[z]})
	}
	return zones
}

// listInterfaces lists a server's NICs.
func (r *Role) listInterfaces(req *api.Request) (api.Response, error) {
	v, err := r.seen(req)
	if err != nil {
		return api.Response{}, err
	}
	list := []api.Document{}
	for _, p := range v.ports {
		state := "DOWN"
		if p.Up {
			state = "ACTIVE"
		}
		list = append(list, api.Document{{Name: "port_state", Value: state}, {Name: "fixed_ips", Value: append([]cloud.FixedIP{}, p.FixedIPs...)},
			{Name: "port_id", Value: p.PortID}, {Name: "net_id", Value: p.NetworkID}, {Name: "mac_addr", Value: p.MAC}})
	}
	return api.OK(api.Document{{Name: "interfaceAttachments", Value: list}})
}
