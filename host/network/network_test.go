package network_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
	"imprint/host/network"
)

type object = map[string]any

// world is a network role with two ordinary projects and an administrator.
type world struct {
	t            *testing.T
	store        *apitest.Store
	a, b, admin  *apitest.Client
	role         *network.Role
	network, sub string // of project a
}

func callers() apitest.Callers {
	return apitest.Callers{"a": {UserID: "ua", ProjectID: "a", Roles: []string{"member"}},
		"b": {UserID: "ub", ProjectID: "b", Roles: []string{"member"}}, "admin": {UserID: "u", ProjectID: "p", Roles: []string{"admin"}}}
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: apitest.NewStore(time.Now)}
	w.store.Seed(&cloud.Project{ProjectID: "a", Name: "a"}, &cloud.Project{ProjectID: "b", Name: "b"}, &cloud.Node{Name: "net1", Network: true})
	w.role = network.New(network.Options{Store: w.store, Auth: callers()})
	client := func(token string) *apitest.Client { return apitest.NewClient(t, w.role.Handler(), token) }
	w.a, w.b, w.admin = client("a"), client("b"), client("admin")
	w.network = w.a.Do("POST", "/v2.0/networks", object{"network": object{"name": "n"}}).Want(201).Text("network.id")
	w.sub = w.subnet(object{"cidr": "10.0.0.0/24"})
	return w
}

func (w *world) subnet(o object) string {
	w.t.Helper()
	o["network_id"] = w.network
	return w.a.Do("POST", "/v2.0/subnets", object{"subnet": o}).Want(201).Text("subnet.id")
}

func (w *world) port(o object) *apitest.Answer {
	w.t.Helper()
	if o == nil {
		o = object{}
	}
	o["network_id"] = w.network
	return w.a.Do("POST", "/v2.0/ports", object{"port": o})
}

// addresses lists a port's addresses.
func addresses(t *testing.T, a *apitest.Answer) []string {
	t.Helper()
	var v struct {
		Port struct {
			FixedIPs []cloud.FixedIP `json:"fixed_ips"`
		}
	}
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, ip := range v.Port.FixedIPs {
		out = append(out, ip.Addr.String())
	}
	return out
}

func (w *world) dhcp() *apitest.Answer {
	return w.a.Do("GET", "/v2.0/ports?device_owner=network%3Adhcp&network_id="+w.network, nil).Want(200)
}

func TestDHCPPort(t *testing.T) {
	w := newWorld(t)
	first := w.dhcp()
	if first.Text("ports.0.fixed_ips.0.ip_address") != "10.0.0.2" {
		t.Errorf("DHCP port %s", first.Body)
	}
	six := w.subnet(object{"cidr": "2001:db8::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"})
	both := w.dhcp()
	if both.Get("ports.0.id") != first.Get("ports.0.id") || both.Get("ports.0.fixed_ips.1.subnet_id") != six {
		t.Errorf("with a second subnet: %s", both.Body)
	}
	put := func(id string, dhcp bool) *apitest.Answer {
		return w.a.Do("PUT", "/v2.0/subnets/"+id, object{"subnet": object{"enable_dhcp": dhcp}})
	}
	put(w.sub, false).Want(200)
	if left := w.dhcp(); left.Get("ports.0.fixed_ips.0.subnet_id") != six || left.Get("ports.0.fixed_ips.1") != nil {
		t.Errorf("without DHCP on the first: %s", left.Body)
	}
	put(six, false).Want(400) // its modes need it
	w.a.Do("DELETE", "/v2.0/subnets/"+six, nil).Want(204)
	w.dhcp().Says(`{"ports":[]}`)
	put(w.sub, true).Want(200)
	w.dhcp().Says("10.0.0.2")
	put(w.sub, true).Want(200) // again: no second port
	if again := w.dhcp(); again.Get("ports.1") != nil {
		t.Errorf("two DHCP ports: %s", again.Body)
	}
	host := w.admin.Do("GET", "/v2.0/ports?network_id="+w.network, nil)
	if host.Text("ports.0.binding:host_id") != "net1" {
		t.Errorf("host %s", host.Body)
	}
	w.a.Do("DELETE", "/v2.0/networks/"+w.network, nil).Want(204)
	w.a.Do("GET", "/v2.0/subnets/"+w.sub, nil).Want(404)
	w.admin.Do("GET", "/v2.0/ports", nil).Says(`{"ports":[]}`)
}

func TestAutomaticAddresses(t *testing.T) {
	w := newWorld(t)
	old := w.port(object{"mac_address": "FA:16:3E:77:54:4F"}).Want(201)
	six := w.subnet(object{"cidr": "2001:db8:77::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"})
	const own = "2001:db8:77:0:f816:3eff:fe77:544f"
	shown := w.a.Do("GET", "/v2.0/ports/"+old.Text("port.id"), nil)
	if got := addresses(t, shown); len(got) != 2 || got[1] != own {
		t.Errorf("a port that was there before got %v", got)
	}
	w.port(object{"fixed_ips": []object{{"subnet_id": six, "ip_address": "2001:db8:77::5"}}}).Want(400).Says("AllocationOnAutoAddressSubnet")
	if got := addresses(t, w.port(object{"fixed_ips": []object{{"subnet_id": six}}}).Want(201)); len(got) != 1 || !strings.HasPrefix(got[0], "2001:db8:77:0:f816:3eff:fe") {
		t.Errorf("a port of that subnet only got %v", got)
	}
	w.a.Do("DELETE", "/v2.0/subnets/"+six, nil).Want(204)
	if got := addresses(t, w.a.Do("GET", "/v2.0/ports/"+old.Text("port.id"), nil)); len(got) != 1 {
		t.Errorf("after the subnet went: %v", got)
	}
}

func TestPortUpdate(t *testing.T) {
	w := newWorld(t)
	id := w.port(object{"name": "p", "fixed_ips": []object{{"ip_address": "10.0.0.50"}}}).Want(201).Text("port.id")
	put := func(o object) *apitest.Answer { return w.a.Do("PUT", "/v2.0/ports/"+id, object{"port": o}) }
	for range 2 { // the same twice
		if got := addresses(t, put(object{"fixed_ips": []object{{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}}}).Want(200)); fmt.Sprint(got) != "[10.0.0.50 10.0.0.51]" {
			t.Errorf("addresses %v", got)
		}
	}
	put(object{"name": "q", "mac_address": "fa:16:3e:00:00:07"}).Want(200).Says(`"name":"q"`).Says("fa:16:3e:00:00:07").Says("10.0.0.51")
	before := w.store.Dump()
	put(object{"fixed_ips": []object{{"ip_address": "10.0.0.2"}}}).Want(409)
	put(object{"device_owner": "network:dhcp"}).Want(403)
	put(object{"binding:host_id": "net1"}).Want(403)
	if w.store.Dump() != before {
		t.Error("a refused change changed something")
	}
	put(object{"fixed_ips": []object{}}).Want(200).Says(`"fixed_ips":[]`)
	w.port(object{"mac_address": "fa:16:3e:00:00:07"}).Want(409).Says("MacAddressInUse")
}

func TestRouterInterfaces(t *testing.T) {
	w := newWorld(t)
	router := w.a.Do("POST", "/v2.0/routers", object{"router": object{"name": "r"}}).Want(201).Text("router.id")
	put := func(verb string, o object) *apitest.Answer {
		return w.a.Do("PUT", "/v2.0/routers/"+router+"/"+verb+"_router_interface", o)
	}
	added := put("add", object{"subnet_id": w.sub}).Want(200)
	if len(added.JSON()) != 6 || added.Get("subnet_ids.0") != w.sub || added.Get("id") != router {
		t.Errorf("answer %s", added.Body)
	}
	put("add", object{"subnet_id": w.sub}).Want(400).Says("Router already has a port on subnet " + w.sub)
	w.a.Do("PUT", "/v2.0/subnets/"+w.sub, object{"subnet": object{"gateway_ip": "10.0.0.254"}}).Want(409)
	w.a.Do("GET", "/v2.0/routers/"+router, nil).Says(`"availability_zones":["nova"]`)

	// A gateway address that a port has already.
	second := w.subnet(object{"cidr": "10.0.1.0/24"})
	taken := w.port(object{"fixed_ips": []object{{"ip_address": "10.0.1.1"}}}).Want(201).Text("port.id")
	put("add", object{"subnet_id": second}).Want(409).Says("IP address 10.0.1.1 already allocated in subnet " + second)
	put("add", object{"port_id": taken}).Want(200) // but the port itself will do
	put("remove", object{"port_id": taken, "subnet_id": w.sub}).Want(400).Says("SubnetMismatchForPort")
	put("remove", object{"port_id": taken}).Want(200)
	w.a.Do("GET", "/v2.0/ports/"+taken, nil).Want(404)

	// Two IPv6 subnets of a network share a port.
	third, fourth := w.subnet(object{"cidr": "2001:db8:3::/64"}), w.subnet(object{"cidr": "2001:db8:4::/64"})
	one, two := put("add", object{"subnet_id": third}).Want(200), put("add", object{"subnet_id": fourth}).Want(200)
	if one.Text("port_id") != two.Text("port_id") {
		t.Error("two ports")
	}
	put("remove", object{"subnet_id": third}).Want(200)
	if got := addresses(t, w.a.Do("GET", "/v2.0/ports/"+two.Text("port_id"), nil)); fmt.Sprint(got) != "[2001:db8:4::]" {
		t.Errorf("left %v", got)
	}
	none := w.subnet(object{"cidr": "10.0.9.0/24", "gateway_ip": nil})
	put("add", object{"subnet_id": none}).Want(400).Says("Subnet for router interface must have a gateway IP")
	w.b.Do("PUT", "/v2.0/routers/"+router+"/add_router_interface", object{"subnet_id": none}).Want(404)
}

func TestSharedNetwork(t *testing.T) {
	w := newWorld(t)
	w.b.Do("GET", "/v2.0/networks/"+w.network, nil).Want(404)
	w.admin.Do("PUT", "/v2.0/networks/"+w.network, object{"network": object{"shared": true}}).Want(200)
	w.b.Do("GET", "/v2.0/networks/"+w.network, nil).Want(200)
	w.b.Do("PUT", "/v2.0/networks/"+w.network, object{"network": object{"name": "mine"}}).Want(403)
	w.b.Do("DELETE", "/v2.0/networks/"+w.network, nil).Want(403)
	w.b.Do("DELETE", "/v2.0/subnets/"+w.sub, nil).Want(403)
	port := w.b.Do("POST", "/v2.0/ports", object{"port": object{"network_id": w.network}}).Want(201)
	if port.Get("port.project_id") != "b" || port.Get("port.binding:host_id") != nil {
		t.Errorf("port %s", port.Body)
	}
	w.admin.Do("PUT", "/v2.0/networks/"+w.network, object{"network": object{"shared": false}}).Want(409).Says("InvalidSharedSetting")
	w.a.Do("GET", "/v2.0/ports/"+port.Text("port.id"), nil).Want(200) // the network's owner sees it
}

func TestLists(t *testing.T) {
	w := newWorld(t)
	for _, n := range []string{"x", "y", "z"} {
		w.a.Do("POST", "/v2.0/networks", object{"network": object{"name": n, "admin_state_up": n != "z"}}).Want(201)
	}
	for query, want := range map[string]string{
		"name=x&fields=name":                             `{"networks":[{"name":"x"}]}`,
		"name=x&name=y&fields=name&sort_key=name":        `{"networks":[{"name":"x"},{"name":"y"}]}`,
		"fields=name&sort_key=name&sort_dir=desc":        `{"networks":[{"name":"z"},{"name":"y"},{"name":"x"},{"name":"n"}]}`,
		"fields=%28%27name%27%2C+%27nosuch%27%29&name=y": `{"networks":[{"name":"y"}]}`,
		"admin_state_up=False&fields=name":               `{"networks":[{"name":"z"}]}`,
		"name=nobody":                                    `{"networks":[]}`,
		"subnets=" + w.sub + "&fields=name":              `{"networks":[{"name":"n"}]}`,
	} {
		if a := w.a.Do("GET", "/v2.0/networks?"+query, nil).Want(200); string(a.Body) != want {
			t.Errorf("%s: %s", query, a.Body)
		}
	}
	page := w.a.Do("GET", "/v2.0/networks?limit=3", nil).Want(200)
	next := page.Text("networks_links.0.href")
	rest := w.a.Do("GET", strings.TrimPrefix(next, "http://cloud.test"), nil).Want(200)
	if rest.Get("networks.0") == nil || rest.Get("networks.1") != nil || rest.Get("networks_links") != nil {
		t.Errorf("the rest is %s", rest.Body)
	}
	w.a.Do("GET", "/v2.0/ports?fixed_ips=ip_address%3D10.0.0.2&fields=device_owner", nil).Says(`[{"device_owner":"network:dhcp"}]`)
}

// TestRivals lets two processes fill a small subnet at once: every address is
// given once, and then there are no more.
func TestRivals(t *testing.T) {
	w := newWorld(t)
	small := w.a.Do("POST", "/v2.0/networks", object{"network": object{"name": "small"}}).Text("network.id")
	w.a.Do("POST", "/v2.0/subnets", object{"subnet": object{"network_id": small, "cidr": "10.9.0.0/28"}}).Want(201)
	rival := network.New(network.Options{Store: w.store, Auth: callers()})
	clients := []*apitest.Client{w.a, apitest.NewClient(t, rival.Handler(), "a")}
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			a := clients[i%2].Do("POST", "/v2.0/ports", object{"port": object{"network_id": small}})
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	wg.Wait()
	if statuses[201] != 12 || statuses[409] != 4 { // 14 hosts, less the gateway and the DHCP port
		t.Errorf("statuses %v", statuses)
	}
	seen := map[string]bool{}
	w.store.View(func(m *cloud.Model) {
		for _, p := range m.PortsOn(cloud.NetworkID(small)) {
			for _, ip := range p.FixedIPs {
				if seen[ip.Addr.String()] {
					t.Errorf("%s twice", ip.Addr)
				}
				seen[ip.Addr.String()] = true
			}
		}
	})
}

// TestRemovalRaces lets a network be deleted while ports are made on it: there
// is never a port without its network.
func TestRemovalRaces(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		id := w.a.Do("POST", "/v2.0/networks", object{"network": object{}}).Want(201).Text("network.id")
		var wg sync.WaitGroup
		wg.Go(func() { w.a.Do("POST", "/v2.0/ports", object{"port": object{"network_id": id}}) })
		wg.Go(func() { w.a.Do("DELETE", "/v2.0/networks/"+id, nil) })
		wg.Wait()
		w.store.View(func(m *cloud.Model) {
			if n, ports := m.Networks[cloud.NetworkID(id)], m.PortsOn(cloud.NetworkID(id)); (n == nil) != (len(ports) == 0) {
				t.Errorf("network %v, ports %v", n, ports)
			}
		})
	}
}
