package network_test

import (
	"strings"
	"testing"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

// routed is a world with an external network and a router of project a between
// that and its subnet.
type routed struct {
	*world
	external, router string
}

func newRouted(t *testing.T) routed {
	w := routed{world: newWorld(t)}
	w.external = w.admin.Do("POST", "/v2.0/networks", object{"network": object{"name": "ext", "router:external": true}}).Want(201).Text("network.id")
	w.admin.Do("POST", "/v2.0/subnets", object{"subnet": object{"network_id": w.external, "cidr": "203.0.113.0/28", "enable_dhcp": false}}).Want(201)
	w.router = w.a.Do("POST", "/v2.0/routers", object{"router": object{"name": "r"}}).Want(201).Text("router.id")
	w.a.Do("PUT", "/v2.0/routers/"+w.router+"/add_router_interface", object{"subnet_id": w.sub}).Want(200)
	return w
}

func (w routed) gateway(c *apitest.Client, info any) *apitest.Answer {
	w.t.Helper()
	return c.Do("PUT", "/v2.0/routers/"+w.router, object{"router": object{"external_gateway_info": info}})
}

func (w routed) float(o object) *apitest.Answer {
	w.t.Helper()
	return w.a.Do("POST", "/v2.0/floatingips", object{"floatingip": o})
}

func TestGateway(t *testing.T) {
	w := newRouted(t)
	set := w.gateway(w.a, object{"network_id": w.external}).Want(200)
	addr := set.Text("router.external_gateway_info.external_fixed_ips.0.ip_address")
	if !strings.HasPrefix(addr, "203.0.113.") || set.Get("router.external_gateway_info.enable_snat") != true {
		t.Errorf("gateway %s", set.Body)
	}
	again := w.gateway(w.a, object{"network_id": w.external}).Want(200) // the same twice
	if again.Text("router.external_gateway_info.external_fixed_ips.0.ip_address") != addr {
		t.Errorf("another address: %s", again.Body)
	}
	ports := "/v2.0/ports?device_owner=network%3Arouter_gateway"
	if got := w.admin.Do("GET", ports, nil).Want(200); got.Text("ports.0.device_id") != w.router || got.Text("ports.0.binding:host_id") != "net1" || got.Get("ports.1") != nil {
		t.Errorf("gateway ports %s", got.Body)
	}
	w.a.Do("GET", ports, nil).Says(`{"ports":[]}`)
	w.admin.Do("DELETE", "/v2.0/ports/"+w.admin.Do("GET", ports, nil).Text("ports.0.id"), nil).Want(409)

	before := w.store.Dump()
	w.gateway(w.a, object{"network_id": w.external, "enable_snat": false}).Want(403)
	w.gateway(w.a, object{"network_id": w.external, "external_fixed_ips": []object{{"ip_address": "203.0.113.9"}}}).Want(403)
	w.gateway(w.a, object{"network_id": w.network}).Want(400).Says("not an external network")
	w.gateway(w.a, object{"network_id": cloud.NewUUID()}).Want(404)
	w.gateway(w.b, object{"network_id": w.external}).Want(404)
	w.gateway(w.admin, object{"network_id": w.external, "external_fixed_ips": []object{{"ip_address": "192.0.2.1"}}}).Want(400)
	w.gateway(w.a, "x").Want(400)
	if w.store.Dump() != before {
		t.Error("a refused change changed something")
	}
	w.admin.Do("DELETE", "/v2.0/networks/"+w.external, nil).Want(409)
	fixed := w.gateway(w.admin, object{"network_id": w.external, "enable_snat": false, "external_fixed_ips": []object{{"ip_address": "203.0.113.9"}}}).Want(200)
	fixed.Says(`"ip_address":"203.0.113.9"`).Says(`"enable_snat":false`)
	for range 2 {
		if got := w.gateway(w.a, nil).Want(200); got.Get("router.external_gateway_info") != nil {
			t.Errorf("cleared: %s", got.Body)
		}
	}
	w.gateway(w.a, object{}).Want(200)
	w.admin.Do("GET", ports, nil).Says(`{"ports":[]}`)

	// A router takes its gateway along.
	one := w.a.Do("POST", "/v2.0/routers", object{"router": object{"external_gateway_info": object{"network_id": w.external}}}).Want(201)
	w.a.Do("DELETE", "/v2.0/routers/"+one.Text("router.id"), nil).Want(204)
	w.admin.Do("GET", ports, nil).Says(`{"ports":[]}`)
}

func TestGatewayThatOverlaps(t *testing.T) {
	w := newRouted(t)
	other := w.admin.Do("POST", "/v2.0/networks", object{"network": object{"router:external": true}}).Want(201).Text("network.id")
	w.admin.Do("POST", "/v2.0/subnets", object{"subnet": object{"network_id": other, "cidr": "10.0.0.0/16"}}).Want(201)
	w.gateway(w.a, object{"network_id": other}).Want(400).Says("overlaps")
}

func TestFloatingIP(t *testing.T) {
	w := newRouted(t)
	port := w.port(object{"name": "vm"}).Want(201)
	id, fixed := port.Text("port.id"), port.Text("port.fixed_ips.0.ip_address")
	w.float(object{"floating_network_id": w.external, "port_id": id}).Want(404).Says("not reachable from subnet")
	w.gateway(w.a, object{"network_id": w.external}).Want(200)
	made := w.float(object{"floating_network_id": w.external, "port_id": id, "description": "d"}).Want(201)
	float := made.Text("floatingip.id")
	if made.Text("floatingip.fixed_ip_address") != fixed || made.Text("floatingip.router_id") != w.router || made.Text("floatingip.port_details.name") != "vm" ||
		made.Text("floatingip.status") != "DOWN" {
		t.Errorf("made %s", made.Body)
	}
	w.float(object{"floating_network_id": w.external, "port_id": id}).Want(409).Says("FloatingIPPortAlreadyAssociated")

	path := "/v2.0/floatingips/" + float
	put := func(o object) *apitest.Answer { return w.a.Do("PUT", path, object{"floatingip": o}) }
	before := w.store.Dump()
	w.b.Do("GET", path, nil).Want(404)
	w.b.Do("DELETE", path, nil).Want(404)
	w.gateway(w.a, nil).Want(409).Says("RouterExternalGatewayInUseByFloatingIp")
	w.a.Do("PUT", "/v2.0/routers/"+w.router+"/remove_router_interface", object{"subnet_id": w.sub}).Want(409).Says("RouterInterfaceInUseByFloatingIP")
	w.float(object{"floating_network_id": w.external, "floating_ip_address": "203.0.113.9"}).Want(403)
	w.float(object{"floating_network_id": w.network}).Want(400).Says("not a valid external network")
	w.float(object{}).Want(400)
	put(object{"port_id": nil, "fixed_ip_address": fixed}).Want(400)
	put(object{"port_id": id, "fixed_ip_address": "10.0.0.99"}).Want(400)
	put(object{"description": "a\nb"}).Want(400)
	if w.store.Dump() != before {
		t.Error("a refused change changed something")
	}
	for range 2 {
		put(object{"description": "e"}).Want(200).Says(`"description":"e"`).Says(id)
		put(object{"port_id": id}).Want(200).Says(fixed)
	}
	for range 2 {
		put(object{"port_id": nil}).Want(200).Says(`"router_id":null,"port_id":null,"fixed_ip_address":null,"status":"DOWN"`)
	}
	put(object{"port_id": id}).Want(200)
	// The port loses the address, and then goes.
	w.a.Do("PUT", "/v2.0/ports/"+id, object{"port": object{"fixed_ips": []object{{"ip_address": "10.0.0.77"}, {"ip_address": "10.0.0.78"}}}}).Want(200)
	w.a.Do("GET", path, nil).Says(`"port_id":null`)
	put(object{"port_id": id}).Want(400).Says("multiple fixed IPv4 addresses")
	put(object{"port_id": id, "fixed_ip_address": "10.0.0.78"}).Want(200)
	w.a.Do("DELETE", "/v2.0/ports/"+id, nil).Want(204)
	w.a.Do("GET", path, nil).Want(200).Says(`"port_id":null`)

	w.a.Do("GET", "/v2.0/floatingips?status=DOWN", nil).Says(float)
	w.b.Do("GET", "/v2.0/floatingips", nil).Says(`{"floatingips":[]}`)
	holder := w.admin.Do("GET", "/v2.0/ports?device_owner=network%3Afloatingip", nil).Text("ports.0.id")
	w.admin.Do("DELETE", "/v2.0/ports/"+holder, nil).Want(409)
	w.a.Do("DELETE", path, nil).Want(204)
	w.a.Do("DELETE", path, nil).Want(404)
	w.admin.Do("GET", "/v2.0/ports/"+holder, nil).Want(404)
}

// Two ask for the last addresses at the same time: nobody gets another's.
func TestFloatingIPsRunOut(t *testing.T) {
	w := newRouted(t)
	seen := map[string]bool{}
	for range 13 { // 14 hosts, one of them the gateway of the subnet
		a := w.float(object{"floating_network_id": w.external}).Want(201).Text("floatingip.floating_ip_address")
		if seen[a] {
			t.Errorf("%s twice", a)
		}
		seen[a] = true
	}
	w.float(object{"floating_network_id": w.external}).Want(409).Says("IpAddressGenerationFailure")
}
