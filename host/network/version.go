package network

import (
	"imprint/host/api"
	"imprint/host/cloud"
)

func link(r *api.Request, path string) []any {
	return []any{api.Document{{Name: "rel", Value: "self"}, {Name: "href", Value: r.Link(path)}}}
}

func versions(r *api.Request) (api.Response, error) {
	return api.OK(api.Document{{Name: "versions", Value: []any{api.Document{
		{Name: "id", Value: "v2.0"}, {Name: "status", Value: "CURRENT"}, {Name: "links", Value: link(r, "/v2.0/")}}}}})
}

func resources(r *api.Request) (api.Response, error) {
	var list []any
	for _, n := range [...][2]string{{"network", "networks"}, {"subnet", "subnets"}, {"port", "ports"}, {"router", "routers"}, {"floatingip", "floatingips"},
		{"security-group", "security-groups"}, {"extension", "extensions"}} {
		list = append(list, api.Document{{Name: "links", Value: link(r, "/v2.0/"+n[1])}, {Name: "name", Value: n[0]}, {Name: "collection", Value: n[1]}})
	}
	return api.OK(api.Document{{Name: "resources", Value: list}})
}

// extensions are those of Neutron's extensions that hold here.
func extensions() []api.Document {
	list := [...][3]string{
		{"availability_zone", "Availability Zone", "Availability zone support."},
		{"binding", "Port Binding", "Expose port bindings of a virtual port to external application"},
		{"ext-gw-mode", "Neutron L3 Configurable external gateway mode", "Extension of the router abstraction for specifying whether SNAT should occur on the external gateway"},
		{"external-net", "Neutron external network", "Adds external network attribute to network resource."},
		{"extra_dhcp_opt", "Neutron Extra DHCP options", "Extra options configuration for DHCP. For example PXE boot options to DHCP clients can be specified (e.g. tftp-server, server-ip-address, bootfile-name)"},
		{"filter-validation", "Filter parameters validation", "Provides validation on filter parameters."},
		{"fip-port-details", "Floating IP Port Details Extension", "Add port_details attribute to Floating IP resource"},
		{"net-mtu", "Network MTU", "Provides MTU attribute for a network resource."},
		{"net-mtu-writable", "Network MTU (writable)", "Provides a writable MTU attribute for a network resource."},
		{"network_availability_zone", "Network Availability Zone", "Availability zone support for network."},
		{"project-id", "project_id field enabled", "Extension that indicates that project_id field is enabled."},
		{"provider", "Provider Network", "Expose mapping of virtual networks to physical networks"},
		{"router", "Neutron L3 Router", "Router abstraction for basic L3 forwarding between L2 Neutron networks."},
		{"router_availability_zone", "Router Availability Zone", "Availability zone support for router."},
		{"security-group", "security-group", "The security groups extension."},
		{"standard-attr-description", "standard-attr-description", "Extension to add descriptions to standard attributes"},
		{"standard-attr-revisions", "Resource revision numbers", "This extension will display the revision number of neutron resources."},
		{"standard-attr-timestamp", "Resource timestamps", "Adds created_at and updated_at fields to all Neutron resources that have Neutron standard attributes."},
	}
	docs := make([]api.Document, 0, len(list))
	for _, e := range list {
		docs = append(docs, api.Document{{Name: "name", Value: e[1]}, {Name: "alias", Value: e[0]}, {Name: "description", Value: e[2]},
			{Name: "updated", Value: "2016-09-12T10:00:00-00:00"}, {Name: "links", Value: []any{}}})
	}
	return docs
}

func listExtensions(*api.Request) (api.Response, error) {
	return api.OK(api.Document{{Name: "extensions", Value: extensions()}})
}

func showExtension(r *api.Request) (api.Response, error) {
	alias := r.PathValue("alias")
	for _, e := range extensions() {
		if v, _ := e.Get("alias"); v == alias {
			return api.OK(api.Document{{Name: "extension", Value: e}})
		}
	}
	return api.Response{}, fault(cloud.NotFound, "ExtensionsNotFound", "Extensions not found: ['%.64s'].", alias)
}
