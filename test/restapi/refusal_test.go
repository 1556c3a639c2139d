package restapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"imprint/host/api/apitest"
)

// TestRefusals sends what must be refused; each gets its service's own error
// and changes nothing.
func TestRefusals(t *testing.T) {
	s := newSystem(t)
	x := s.things()
	unknown := "00000000-0000-4000-8000-000000000000"
	long := strings.Repeat("n", 256)
	server := func(extra object) object { return x.server("c", extra) }
	subnet := func(cidr string, extra object) object {
		o := object{"network_id": x.network, "cidr": cidr}
		for k, v := range extra {
			o[k] = v
		}
		return object{"subnet": o}
	}
	port := func(extra object) object {
		o := object{"network_id": x.network}
		for k, v := range extra {
			o[k] = v
		}
		return object{"port": o}
	}
	keypair := func(name, public string) object { return object{"keypair": object{"name": name, "public_key": public}} }
	image := func(k string, v any) object { return object{k: v} }
	public := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAB/ek7pJ5opycP8O9FzCHBaRVUqCY8NxxxAOmLxkygW peer@seed"

	nova, neutron, glance, keystone := s.compute, s.network, s.image, s.identity
	for i, c := range []struct {
		client *apitest.Client
		method string
		path   string
		body   any
		status int
		says   string
	}{
		{nova, "POST", "/v2.1/servers", "", 400, `{"badRequest":{"code":400,"message":"Malformed request body: it is empty`},
		{nova, "POST", "/v2.1/servers", "{", 400, "ends too early"},
		{nova, "POST", "/v2.1/servers", "[]", 400, "Malformed"},
		{nova, "POST", "/v2.1/servers", `{"server":{}} x`, 400, "after the JSON value"},
		{nova, "POST", "/v2.1/servers", "{}", 400, "server. It is required"},
		{nova, "POST", "/v2.1/servers", server(object{"name": 7}), 400, "server.name. It must be a text"},
		{nova, "POST", "/v2.1/servers", server(object{"name": long}), 400, "server.name. It is too long"},
		{nova, "POST", "/v2.1/servers", server(object{"name": "  "}), 400, "server.name"},
		{nova, "POST", "/v2.1/servers", server(object{"name": "a\nb"}), 400, "server.name. It has characters"},
		{nova, "POST", "/v2.1/servers", server(object{"nosuch": 1}), 400, "server.nosuch. Additional properties are not allowed"},
		{nova, "POST", "/v2.1/servers", server(object{"hostname": "x1"}), 400, "server.hostname. Additional"},
		{nova, "POST", "/v2.1/servers", server(object{"imageRef": unknown}), 400, "Can not find requested image"},
		{nova, "POST", "/v2.1/servers", server(object{"imageRef": ""}), 400, "imageRef"},
		{nova, "POST", "/v2.1/servers", server(object{"flavorRef": "none"}), 400, "Invalid flavorRef provided."},
		{nova, "POST", "/v2.1/servers", server(object{"key_name": "none"}), 400, "Invalid key_name provided."},
		{nova, "POST", "/v2.1/servers", server(object{"user_data": "%%%"}), 400, "user_data. It is not valid base64"},
		{nova, "POST", "/v2.1/servers", server(object{"user_data": strings.Repeat("A", 65536)}), 400, "user_data. It is too long"},
		{nova, "POST", "/v2.1/servers", server(object{"networks": []object{{"uuid": unknown}}}), 400, "Network " + unknown + " could not be found."},
		{nova, "POST", "/v2.1/servers", server(object{"networks": []object{{"port": unknown}}}), 400, "Port " + unknown + " could not be found."},
		{nova, "POST", "/v2.1/servers", server(object{"networks": []object{{"uuid": x.network, "fixed_ip": "18.0.0.1"}}}), 400, "not a valid IP"},
		{nova, "POST", "/v2.1/servers", server(object{"networks": []object{{"uuid": x.network, "fixed_ip": "17.17.17.255"}}}), 400, "not a valid IP"},
		{nova, "POST", "/v2.1/servers", server(object{"networks": []object{{"uuid": x.network, "fixed_ip": "x"}}}), 400, "networks.0.fixed_ip"},
		{nova, "POST", "/v2.1/servers", server(object{"security_groups": []object{{"name": "none"}}}), 400, "Security group none not found"},
		{nova, "POST", "/v2.1/servers", server(object{"availability_zone": "mars"}), 400, "The requested availability zone is not available"},
		{nova, "POST", "/v2.1/servers", server(object{"min_count": 3, "max_count": 2}), 400, "min_count must be"},
		{nova, "POST", "/v2.1/servers", server(object{"max_count": 1000}), 400, "max_count"},
		{nova, "POST", "/v2.1/servers", server(object{"metadata": object{"k": strings.Repeat("v", 256)}}), 400, "metadata.k"},
		{nova, "POST", "/v2.1/servers", server(object{"metadata": object{"k": 1}}), 400, "metadata.k. It must be a text"},
		{nova, "POST", "/v2.1/servers", server(object{"metadata": object{"k/": "v"}}), 400, "metadata.k/"},
		{nova, "POST", "/v2.1/servers", server(object{"adminPass": "x"}), 400, "adminPass. It is not supported"},
		{nova, "GET", "/v2.1/servers/" + unknown, nil, 404, `{"itemNotFound":{"code":404,"message":"Instance ` + unknown + ` could not be found."}}`},
		{nova, "DELETE", "/v2.1/servers/" + unknown, nil, 404, "itemNotFound"},
		{nova, "POST", "/v2.1/servers/" + unknown + "/action", object{"reboot": object{"type": "SOFT"}}, 404, "itemNotFound"},
		{nova, "POST", "/v2.1/servers/" + unknown + "/action", object{"fly": nil}, 400, "There is no such action"},
		{nova, "GET", "/v2.1/servers?name=(", nil, 400, "name"},
		{nova, "GET", "/v2.1/servers?limit=x", nil, 400, "limit"},
		{nova, "GET", "/v2.1/servers?marker=x", nil, 400, "marker"},
		{nova, "GET", "/v2.1/nosuch", nil, 404, "itemNotFound"},
		{nova, "PATCH", "/v2.1/servers", nil, 405, "badMethod"},
		{nova, "POST", "/v2.1/os-keypairs", keypair("a/b", public), 400, "unsafe characters"},
		{nova, "POST", "/v2.1/os-keypairs", keypair("k", "rubbish"), 400, "failed to generate fingerprint"},
		{nova, "POST", "/v2.1/os-keypairs", keypair("k", public+"\n"+public), 400, "failed to generate fingerprint"},
		{nova, "POST", "/v2.1/os-keypairs", keypair("k", `command="x" `+public), 400, "failed to generate fingerprint"},
		{nova, "POST", "/v2.1/flavors", object{"flavor": object{"name": "small", "ram": 1, "vcpus": 1, "disk": 1}}, 409, "conflictingRequest"},
		{nova, "POST", "/v2.1/flavors", object{"flavor": object{"name": "f", "ram": 0, "vcpus": 1, "disk": 1}}, 400, "flavor.ram"},
		{nova.With("OpenStack-API-Version", "compute 2.94"), "GET", "/v2.1/servers", nil, 406, `{"computeFault":{"code":406,"message":"Version 2.94 is not supported`},
		{nova.With("OpenStack-API-Version", "compute two"), "GET", "/v2.1/servers", nil, 400, "invalid format"},
		{nova.With("X-OpenStack-Nova-API-Version", "2.92"), "POST", "/v2.1/os-keypairs", object{"keypair": object{"name": "k"}}, 400, "public_key. It is required"},
		{nova.With("X-OpenStack-Nova-API-Version", "2.57"), "POST", "/v2.1/servers", server(object{"personality": []object{}}), 400, "server.personality. Additional"},
		{nova.With("X-OpenStack-Nova-API-Version", "2.37"), "POST", "/v2.1/servers", server(object{"networks": nil}), 400, "server.networks. It is required"},

		{neutron, "GET", "/v2.0/networks/x-net", nil, 404, `{"NeutronError":{"type":"NetworkNotFound","message":"Network x-net could not be found.","detail":""}}`},
		{neutron, "POST", "/v2.0/networks", object{"network": object{"name": "a\x00b"}}, 400, "Invalid input for network.name. Reason"},
		{neutron, "POST", "/v2.0/networks", object{"network": object{"name": "n", "mtu": 9000}}, 400, "network.mtu"},
		{neutron, "POST", "/v2.0/networks", object{"network": object{"name": "n", "provider:network_type": "vlan"}}, 400, "not supported"},
		{neutron, "GET", "/v2.0/networks?nosuch=1", nil, 400, "is invalid attribute for filtering"},
		{neutron, "POST", "/v2.0/subnets", subnet("17.17.0.0/16", nil), 400, `"type":"InvalidInput","message":"Invalid input for operation: Requested subnet with cidr: 17.17.0.0/16 for network: ` + x.network + ` overlaps with another subnet."`},
		{neutron, "POST", "/v2.0/subnets", subnet("0.0.0.0/0", nil), 400, "prefix length"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/31", nil), 400, "incompatible with DHCP"},
		{neutron, "POST", "/v2.0/subnets", subnet("127.0.0.0/24", nil), 400, "cannot be used"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"ip_version": 6}), 400, "subnet.ip_version"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"gateway_ip": "18.0.0.0"}), 400, "Gateway is not valid on subnet"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"allocation_pools": []object{{"start": "18.0.0.1", "end": "18.0.0.9"}}}), 409, "GatewayConflictWithAllocationPools"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"allocation_pools": []object{{"start": "18.0.0.9", "end": "18.0.0.2"}}}), 400, "InvalidAllocationPool"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"allocation_pools": []object{{"start": "18.0.0.9", "end": "18.0.1.2"}}}), 400, "OutOfBoundsAllocationPool"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"allocation_pools": []object{{"start": "18.0.0.9", "end": "18.0.0.20"}, {"start": "18.0.0.20", "end": "18.0.0.30"}}}), 409, "OverlappingAllocationPools"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"dns_nameservers": []string{"1.1.1.1\n"}}), 400, "dns_nameservers"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"dns_nameservers": []string{"ns.example"}}), 400, "dns_nameservers"},
		{neutron, "POST", "/v2.0/subnets", subnet("18.0.0.0/24", object{"host_routes": []object{{"destination": "1.0.0.0/8", "nexthop": "x"}}}), 400, "host_routes.0.nexthop"},
		{neutron, "POST", "/v2.0/subnets", subnet("2001:db8::/48", object{"ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}), 400, "EUI-64"},
		{neutron, "POST", "/v2.0/ports", port(object{"fixed_ips": []object{{"ip_address": "17.17.17.2"}}}), 409, `"type":"IpAddressAlreadyAllocated","message":"IP address 17.17.17.2 already allocated in subnet`},
		{neutron, "POST", "/v2.0/ports", port(object{"fixed_ips": []object{{"ip_address": "17.17.17.255"}}}), 400, "InvalidIpForNetwork"},
		{neutron, "POST", "/v2.0/ports", port(object{"fixed_ips": []object{{"subnet_id": x.subnet, "ip_address": "17.17.17.0"}}}), 400, "InvalidIpForSubnet"},
		{neutron, "POST", "/v2.0/ports", port(object{"fixed_ips": []object{{"subnet_id": unknown}}}), 404, "SubnetNotFound"},
		{neutron, "POST", "/v2.0/ports", port(object{"fixed_ips": []object{{}}}), 400, "IP allocation requires"},
		{neutron, "POST", "/v2.0/ports", port(object{"mac_address": "01:00:00:00:00:01"}), 400, "port.mac_address"},
		{neutron, "POST", "/v2.0/ports", port(object{"device_owner": "network:dhcp"}), 400, "port.device_owner"},
		{neutron, "POST", "/v2.0/ports", port(object{"port_security_enabled": false}), 400, "port_security_enabled"},
		{neutron, "PUT", "/v2.0/routers/" + x.router + "/add_router_interface", object{}, 400, "Bad router request: Either subnet_id or port_id must be specified."},
		{neutron, "PUT", "/v2.0/routers/" + x.router + "/add_router_interface", object{"subnet_id": unknown}, 404, "SubnetNotFound"},
		{neutron, "PUT", "/v2.0/routers/" + x.router + "/remove_router_interface", object{"subnet_id": x.subnet}, 404, "RouterInterfaceNotFoundForSubnet"},
		{neutron, "PUT", "/v2.0/routers/" + x.router, object{"router": object{"external_gateway_info": object{"network_id": x.network}}}, 400, "is not an external network"},
		{neutron, "GET", "/v2.0/nosuch", nil, 404, "NeutronError"},

		{glance, "GET", "/v2/images/x-img", nil, 404, `"title":"Not Found"`},
		{glance, "POST", "/v2/images", image("disk_format", "floppy"), 400, "disk_format"},
		{glance, "POST", "/v2/images", image("status", "active"), 403, "read-only"},
		{glance, "POST", "/v2/images", image("k", 7), 400, "must be a text"},
		{glance, "POST", "/v2/images", image("id", x.image), 409, "already exists"},
		{glance.With("Content-Type", "application/octet-stream"), "PUT", "/v2/images/" + x.image + "/file", "again", 409, "from active to saving"},
		{glance.With("Content-Type", "text/plain"), "PUT", "/v2/images/" + x.image + "/file", "again", 415, ""},
		{glance, "PATCH", "/v2/images/" + x.image, []object{}, 415, ""},
		{glance.With("Content-Type", "application/openstack-images-v2.1-json-patch"), "PATCH", "/v2/images/" + x.image, []object{{"op": "remove", "path": "/name"}}, 403, "may not be removed"},
		{glance.With("Content-Type", "application/openstack-images-v2.1-json-patch"), "PATCH", "/v2/images/" + x.image, []object{{"op": "replace", "path": "/none", "value": "v"}}, 409, "does not exist"},

		{keystone, "POST", "/v3/auth/tokens", object{"auth": object{}}, 400, `{"error":{"code":400,"message":"Invalid input for field 'auth.identity.methods'`},
		{keystone, "POST", "/v3/auth/tokens", auth("admin", "wrong", "admin"), 401, `{"error":{"code":401,"message":"The request you have made requires authentication.","title":"Unauthorized"}}`},
		{keystone, "POST", "/v3/auth/tokens", auth("nobody", "wrong", "admin"), 401, "requires authentication"},
		{keystone, "POST", "/v3/auth/tokens", auth("alice", alicePassword, "admin"), 401, "requires authentication"},
		{keystone, "GET", "/v3/projects/nosuch", nil, 404, "Could not find project: nosuch."},
		{keystone, "GET", "/v3/nosuch", nil, 404, `"title":"Not Found"`},
	} {
		t.Run(fmt.Sprintf("%d %s %s", i, c.method, strings.ReplaceAll(c.path, "/", "_")), func(t *testing.T) {
			s.unchanged(func() {
				answer := c.client.Do(c.method, c.path, c.body)
				answer.T = t
				answer.Want(c.status).Says(c.says)
				if answer.Header.Get("X-Openstack-Request-Id") == "" {
					t.Error("no request id")
				}
			})
		})
	}
}

func TestTokens(t *testing.T) {
	s := newSystem(t)
	token := s.compute.Header.Get("X-Auth-Token")
	subject := s.identity.With("X-Subject-Token", token)
	if got := subject.Do("GET", "/v3/auth/tokens", nil).Want(200); got.Text("token.user.name") != "admin" || got.Get("token.catalog.1.endpoints.0.url") == nil {
		t.Errorf("the token is %s", got.Body)
	}
	unscoped := s.identity.Do("POST", "/v3/auth/tokens", auth("admin", adminPassword, "")).Want(201)
	if unscoped.Get("token.project") != nil || unscoped.Get("token.catalog") != nil {
		t.Errorf("unscoped: %s", unscoped.Body)
	}
	loose := unscoped.Header.Get("X-Subject-Token")
	apitest.NewClient(t, s.services["compute"], loose).Do("GET", "/v2.1/servers", nil).Want(403)
	apitest.NewClient(t, s.services["identity"], loose).Do("GET", "/v3/auth/projects", nil).Want(200).Says(`"name":"admin"`)

	// A token can be traded for another scope, but not for a longer life.
	s.now.add(30 * time.Minute)
	traded := s.identity.Do("POST", "/v3/auth/tokens", object{"auth": object{"identity": object{"methods": []string{"token"},
		"token": object{"id": loose}}, "scope": object{"project": object{"name": "admin", "domain": object{"name": "Default"}}}}}).Want(201)
	if traded.Text("token.expires_at") != unscoped.Text("token.expires_at") {
		t.Errorf("the traded token lives until %s", traded.Text("token.expires_at"))
	}

	for name, bad := range map[string]string{"none": "", "forged": token[:len(token)-2] + "AA", "short": "gAAA", "long": strings.Repeat("A", 5000)} {
		answer := apitest.NewClient(t, s.services["compute"], bad).Do("GET", "/v2.1/servers", nil).Want(401)
		if !strings.HasPrefix(answer.Header.Get("Www-Authenticate"), "Keystone uri=") {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
	}
	s.identity.With("X-Subject-Token", loose).Do("DELETE", "/v3/auth/tokens", nil).Want(204)
	apitest.NewClient(t, s.services["identity"], loose).Do("GET", "/v3/auth/projects", nil).Want(401)
	s.compute.Do("GET", "/v2.1/servers", nil).Want(200)
	s.now.add(31 * time.Minute)
	s.compute.Do("GET", "/v2.1/servers", nil).Want(401)
}

func TestGuessing(t *testing.T) {
	s := newSystem(t)
	for range 10 {
		s.identity.Do("POST", "/v3/auth/tokens", auth("admin", "wrong", "admin")).Want(401)
	}
	s.identity.Do("POST", "/v3/auth/tokens", auth("admin", adminPassword, "admin")).Want(429).Says("Too many wrong passwords")
	s.identity.Do("POST", "/v3/auth/tokens", auth("alice", alicePassword, "demo")).Want(201)
	s.now.add(3 * time.Second)
	s.identity.Do("POST", "/v3/auth/tokens", auth("admin", adminPassword, "admin")).Want(201)
}
