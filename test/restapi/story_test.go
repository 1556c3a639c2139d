package restapi

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"imprint/host/cloud"
)

func TestLaunchStory(t *testing.T) {
	s := newSystem(t)
	key := s.compute.Do("POST", "/v2.1/os-keypairs", object{"keypair": object{"name": "cloudman"}}).Want(200)
	signer, err := ssh.ParsePrivateKey([]byte(key.Text("keypair.private_key")))
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key.Text("keypair.public_key")))
	if err != nil || string(public.Marshal()) != string(signer.PublicKey().Marshal()) {
		t.Fatalf("the private key does not fit the public one: %v", err)
	}
	if strings.Contains(s.store.Dump(), "PRIVATE") {
		t.Fatal("the private key is stored")
	}
	x := s.things()

	// The network has a DHCP port with the first address after the gateway.
	ports := s.network.Do("GET", "/v2.0/ports?device_owner=network:dhcp&network_id="+x.network, nil).Want(200)
	if got := ports.Text("ports.0.fixed_ips.0.ip_address"); got != "17.17.17.2" {
		t.Errorf("the DHCP port has %s", got)
	}
	if id := ports.Text("ports.0.device_id"); !strings.HasPrefix(id, "dhcp") || !strings.HasSuffix(id, "-"+x.network) {
		t.Errorf("the DHCP port's device is %s", id)
	}

	created := s.compute.Do("POST", "/v2.1/servers", x.server("c1", object{"key_name": "cloudman", "metadata": object{"role": "web"}})).Want(202)
	id := created.Text("server.id")
	show := "/v2.1/servers/" + id
	build := s.compute.Do("GET", show, nil).Want(200)
	if got := build.Text("server.status") + build.Text("server.OS-EXT-STS:task_state"); got != "BUILDspawning" {
		t.Errorf("after the launch: %s", got)
	}
	addr := build.Text("server.addresses.test_net.0.addr")
	if !strings.HasPrefix(addr, "17.17.17.") || addr == "17.17.17.1" || addr == "17.17.17.2" {
		t.Errorf("the server got %s", addr)
	}

	s.report(id, cloud.InstanceActive)
	port := s.network.Do("GET", "/v2.0/ports?device_id="+id, nil).Want(200)
	if port.Text("ports.0.status") != "DOWN" || port.Text("ports.0.device_owner") != "compute:nova" || port.Text("ports.0.binding:host_id") != node {
		t.Errorf("the server's port: %s", port.Body)
	}
	portID := cloud.PortID(port.Text("ports.0.id"))
	if err := s.role.OnReport(context.Background(), node, cloud.Report{Port: &cloud.PortReport{ID: portID, Up: true}}); err != nil {
		t.Fatal(err)
	}
	if got := s.network.Do("GET", "/v2.0/ports/"+string(portID), nil).Want(200).Text("port.status"); got != "ACTIVE" {
		t.Errorf("the plugged port is %s", got)
	}

	added := s.network.Do("PUT", "/v2.0/routers/"+x.router+"/add_router_interface", object{"subnet_id": x.subnet}).Want(200)
	if got := s.network.Do("GET", "/v2.0/ports/"+added.Text("port_id"), nil).Text("port.fixed_ips.0.ip_address"); got != "17.17.17.1" {
		t.Errorf("the router has %s", got)
	}

	s.compute.Do("POST", show+"/action", object{"reboot": object{"type": "HARD"}}).Want(202)
	s.compute.Do("GET", show, nil).Says(`"status":"HARD_REBOOT"`)
	s.report(id, cloud.InstanceActive)
	s.compute.Do("GET", show, nil).Says(`"status":"ACTIVE"`)
	s.compute.Do("POST", show+"/action", object{"os-stop": nil}).Want(202)
	s.compute.Do("GET", show, nil).Says(`"powering-off"`)
	s.report(id, cloud.InstanceStopped)
	s.compute.Do("GET", show, nil).Says(`"status":"SHUTOFF"`)
	s.compute.Do("POST", show+"/action", object{"os-stop": nil}).Want(409).Says("Cannot 'stop' instance")
	s.compute.Do("POST", show+"/action", object{"os-start": nil}).Want(202)
	s.compute.Do("GET", show, nil).Says(`"powering-on"`)
	s.report(id, cloud.InstanceActive)
	s.report(id, cloud.InstanceStopped) // it halted itself
	s.compute.Do("GET", show, nil).Says(`"status":"SHUTOFF"`).Says(`OS-EXT-STS:task_state":null`)
	s.compute.Do("POST", show+"/action", object{"os-start": nil}).Want(202)
	s.report(id, cloud.InstanceActive)
	s.compute.Do("GET", show, nil).Says(`"status":"ACTIVE"`)
	s.compute.Do("POST", show+"/action", object{"os-getConsoleOutput": object{}}).Want(200).Says(`{"output":"one\ntwo\nthree\n"}`)

	// In use, nothing goes.
	s.unchanged(func() {
		s.network.Do("DELETE", "/v2.0/networks/"+x.network, nil).Want(409).Says("NetworkInUse")
		s.network.Do("DELETE", "/v2.0/subnets/"+x.subnet, nil).Want(409).Says("SubnetInUse")
		s.network.Do("DELETE", "/v2.0/routers/"+x.router, nil).Want(409).Says("RouterInUse")
		s.network.Do("DELETE", "/v2.0/ports/"+added.Text("port_id"), nil).Want(409).Says("ServicePortInUse")
	})

	s.compute.Do("DELETE", show, nil).Want(204)
	s.compute.Do("GET", show, nil).Says(`"deleting"`)
	s.report(id, cloud.InstanceDeleted)
	s.compute.Do("GET", show, nil).Want(404)
	s.network.Do("GET", "/v2.0/ports/"+string(portID), nil).Want(404)
	s.network.Do("PUT", "/v2.0/routers/"+x.router+"/remove_router_interface", object{"subnet_id": x.subnet}).Want(200)
	s.network.Do("DELETE", "/v2.0/routers/"+x.router, nil).Want(204)
	s.network.Do("DELETE", "/v2.0/networks/"+x.network, nil).Want(204)
	s.image.Do("DELETE", "/v2/images/"+x.image, nil).Want(204)
	s.compute.Do("DELETE", "/v2.1/flavors/"+x.flavor, nil).Want(202)
	s.compute.Do("DELETE", "/v2.1/os-keypairs/cloudman", nil).Want(202)
	if dump := s.store.Dump(); strings.Contains(dump, "network") && strings.Contains(dump, "port/") {
		t.Errorf("something is left: %s", dump)
	}
}

// TestProjectsApart tries everything of one project as a user of another.
func TestProjectsApart(t *testing.T) {
	s := newSystem(t)
	x := s.things()
	id := s.compute.Do("POST", "/v2.1/servers", x.server("c1", nil)).Want(202).Text("server.id")
	s.compute.Do("POST", "/v2.1/os-keypairs", object{"keypair": object{"name": "mine"}}).Want(200)
	private := s.image.Do("POST", "/v2/images", object{"name": "private", "visibility": "private"}).Want(201).Text("id")
	port := s.network.Do("GET", "/v2.0/ports?device_id="+id, nil).Text("ports.0.id")

	s.login("alice", alicePassword, "demo")
	s.unchanged(func() {
		for _, path := range []string{"networks/" + x.network, "subnets/" + x.subnet, "routers/" + x.router, "ports/" + port} {
			s.network.Do("GET", "/v2.0/"+path, nil).Want(404)
			s.network.Do("DELETE", "/v2.0/"+path, nil).Want(404)
			kind := strings.TrimSuffix(path[:strings.IndexByte(path, '/')], "s")
			s.network.Do("PUT", "/v2.0/"+path, object{kind: object{"name": "hers"}}).Want(404)
		}
		s.network.Do("PUT", "/v2.0/routers/"+x.router+"/add_router_interface", object{"subnet_id": x.subnet}).Want(404)
		s.network.Do("POST", "/v2.0/subnets", object{"subnet": object{"network_id": x.network, "cidr": "18.0.0.0/24"}}).Want(404)
		s.network.Do("POST", "/v2.0/ports", object{"port": object{"network_id": x.network}}).Want(404)
		s.network.Do("POST", "/v2.0/networks", object{"network": object{"name": "n", "shared": true}}).Want(403)
		s.network.Do("POST", "/v2.0/networks", object{"network": object{"name": "n", "project_id": "someone"}}).Want(403)
		for _, list := range []string{"networks", "subnets", "routers", "ports"} {
			s.network.Do("GET", "/v2.0/"+list, nil).Want(200).Says(`{"` + list + `":[]}`)
		}
		show := "/v2.1/servers/" + id
		s.compute.Do("GET", show, nil).Want(404)
		s.compute.Do("PUT", show, object{"server": object{"name": "hers"}}).Want(404)
		s.compute.Do("DELETE", show, nil).Want(404)
		s.compute.Do("GET", show+"/metadata", nil).Want(404)
		s.compute.Do("GET", show+"/os-interface", nil).Want(404)
		for _, action := range []object{{"reboot": object{"type": "HARD"}}, {"os-stop": nil}, {"os-getConsoleOutput": object{}}} {
			s.compute.Do("POST", show+"/action", action).Want(404)
		}
		s.compute.Do("GET", "/v2.1/servers/detail", nil).Want(200).Says(`{"servers":[]}`)
		s.compute.Do("GET", "/v2.1/servers?all_tenants=1", nil).Want(403)
		s.compute.Do("GET", "/v2.1/servers?all_tenants=", nil).Want(403)
		s.compute.Do("GET", "/v2.1/os-keypairs/mine", nil).Want(404)
		s.compute.Do("POST", "/v2.1/flavors", object{"flavor": object{"name": "f", "ram": 1, "vcpus": 1, "disk": 1}}).Want(403)
		s.compute.Do("DELETE", "/v2.1/flavors/"+x.flavor, nil).Want(403)
		s.compute.Do("POST", "/v2.1/servers", x.server("hers", nil)).Want(400).Says("Network " + x.network + " could not be found.")
		s.compute.Do("POST", "/v2.1/servers", x.server("hers", object{"networks": []object{{"port": port}}})).Want(400).Says("could not be found")
		s.compute.Do("POST", "/v2.1/servers", x.server("hers", object{"networks": nil, "imageRef": private})).Want(400).Says("Can not find requested image")
		s.compute.Do("POST", "/v2.1/servers", x.server("hers", object{"networks": nil, "availability_zone": "nova:" + node})).Want(403)
		s.image.Do("GET", "/v2/images/"+private, nil).Want(404)
		s.image.Do("DELETE", "/v2/images/"+private, nil).Want(404)
		s.image.Do("GET", "/v2/images/"+x.image, nil).Want(200) // public
		s.image.Do("DELETE", "/v2/images/"+x.image, nil).Want(403)
		s.image.Do("POST", "/v2/images", object{"visibility": "public"}).Want(403)
		s.identity.Do("GET", "/v3/projects?name=admin", nil).Want(200).Says(`"projects":[]`)
		s.identity.Do("GET", "/v3/users?name=admin", nil).Want(200).Says(`"users":[]`)
	})
	own := s.network.Do("POST", "/v2.0/networks", object{"network": object{"name": "hers"}}).Want(201)
	if strings.Contains(string(own.Body), "provider:") {
		t.Errorf("she sees the segment: %s", own.Body)
	}
}

func TestLaunchForms(t *testing.T) {
	s := newSystem(t)
	x := s.things()
	post := func(extra object) string {
		t.Helper()
		return s.compute.Do("POST", "/v2.1/servers", x.server("Web 1_a.b!", extra)).Want(202).Text("server.id")
	}
	get := func(id string) *cloud.Server {
		var server *cloud.Server
		s.store.View(func(m *cloud.Model) { server = m.Servers[cloud.ServerID(id)] })
		return server
	}
	t.Run("guest data", func(t *testing.T) {
		server := get(post(object{"user_data": "I2Nsb3VkLWNvbmZpZwo=", "config_drive": true, "description": nil,
			"personality": []object{{"path": "/etc/a", "contents": "ZmlsZQ=="}}}))
		if server.HostName != "web-1-a-b" || server.Name != "Web 1_a.b!" || !server.ConfigDrive {
			t.Errorf("server %+v", server)
		}
		if server.UserData != cloud.DigestOf([]byte("#cloud-config\n")) || server.Files[0].Blob != cloud.DigestOf([]byte("file")) {
			t.Errorf("blobs %+v", server)
		}
	})
	t.Run("tree", func(t *testing.T) {
		s.image.With("Content-Type", "application/openstack-images-v2.1-json-patch").
			Do("PATCH", "/v2/images/"+x.image, []object{{"op": "add", "path": "/" + cloud.TreeProperty, "value": "host"}}).Want(200)
		if server := get(post(nil)); server.Tree != "host" {
			t.Errorf("tree %q", server.Tree)
		}
	})
	t.Run("the only network", func(t *testing.T) {
		if server := get(post(object{"networks": nil})); len(server.Ports) != 1 {
			t.Errorf("ports %v", server.Ports)
		}
	})
	t.Run("fixed address", func(t *testing.T) {
		free := netip.MustParseAddr("17.17.17.200")
		s.store.View(func(m *cloud.Model) {
			for m.PortAt(cloud.NetworkID(x.network), free) != nil { // the servers before have any address
				free = free.Prev()
			}
		})
		nets := []object{{"uuid": x.network, "fixed_ip": free.String()}}
		id := post(object{"networks": nets})
		s.compute.Do("GET", "/v2.1/servers/"+id, nil).Says(free.String())
		s.unchanged(func() {
			s.compute.Do("POST", "/v2.1/servers", x.server("second", object{"networks": nets})).Want(400).Says("already allocated")
		})
	})
	t.Run("own port outlives the server", func(t *testing.T) {
		port := s.network.Do("POST", "/v2.0/ports", object{"port": object{"network_id": x.network, "name": "mine"}}).Want(201).Text("port.id")
		id := post(object{"networks": []object{{"port": port}}})
		s.unchanged(func() {
			s.compute.Do("POST", "/v2.1/servers", x.server("second", object{"networks": []object{{"port": port}}})).Want(409)
		})
		s.report(id, cloud.InstanceActive)
		s.compute.Do("DELETE", "/v2.1/servers/"+id, nil).Want(204)
		s.report(id, cloud.InstanceDeleted)
		left := s.network.Do("GET", "/v2.0/ports/"+port, nil).Want(200)
		if left.Text("port.device_id") != "" || left.Text("port.device_owner") != "" || left.Text("port.status") != "DOWN" {
			t.Errorf("the port is not free: %s", left.Body)
		}
	})
	t.Run("several", func(t *testing.T) {
		first := get(post(object{"min_count": 2, "max_count": "3"}))
		s.store.View(func(m *cloud.Model) {
			for _, server := range m.Servers {
				if server.ReservationID != first.ReservationID {
					continue
				}
				n := fmt.Sprint(server.LaunchIndex + 1)
				if server.Name != "Web 1_a.b!-"+n || server.HostName != "web-1-a-b-"+n {
					t.Errorf("server %d is %q, %q", server.LaunchIndex, server.Name, server.HostName)
				}
			}
		})
	})
	t.Run("no host", func(t *testing.T) {
		id := post(object{"availability_zone": "nova:elsewhere"})
		s.compute.Do("GET", "/v2.1/servers/"+id, nil).Says(`"status":"ERROR"`).Says("No valid host was found.")
		s.compute.Do("DELETE", "/v2.1/servers/"+id, nil).Want(204)
		s.compute.Do("GET", "/v2.1/servers/"+id, nil).Want(404)
	})
	t.Run("two networks and none named", func(t *testing.T) {
		s.network.Do("POST", "/v2.0/networks", object{"network": object{"name": "second"}}).Want(201)
		s.unchanged(func() {
			s.compute.Do("POST", "/v2.1/servers", x.server("c", object{"networks": nil})).Want(409).Says("Multiple possible networks found")
		})
	})
}

// TestDeleteOfFailed: the stock client that waits for a deletion gives up when
// it sees an error, so the failure of the past must not look like one of the
// deletion.
func TestDeleteOfFailed(t *testing.T) {
	s := newSystem(t)
	x := s.things()
	id := s.compute.Do("POST", "/v2.1/servers", x.server("c1", nil)).Want(202).Text("server.id")
	failed := func(fault string) {
		t.Helper()
		if err := s.role.OnReport(context.Background(), node, cloud.Report{Instance: &cloud.InstanceReport{
			ID: cloud.ServerID(id), State: cloud.InstanceError, Fault: fault}}); err != nil {
			t.Fatal(err)
		}
	}
	failed("no tree")
	s.compute.Do("GET", "/v2.1/servers/"+id, nil).Want(200).Says(`"status":"ERROR"`).Says("no tree")
	s.compute.Do("DELETE", "/v2.1/servers/"+id, nil).Want(204)
	going := s.compute.Do("GET", "/v2.1/servers/"+id, nil).Want(200)
	if going.Text("server.status") == "ERROR" || going.Get("server.fault") != nil || going.Text("server.OS-EXT-STS:task_state") != "deleting" {
		t.Errorf("while it is deleted: %s", going.Body)
	}
	failed("the mount is busy")
	s.compute.Do("GET", "/v2.1/servers/"+id, nil).Want(200).Says(`"status":"ERROR"`).Says("the mount is busy")
	s.report(id, cloud.InstanceDeleted)
	s.compute.Do("GET", "/v2.1/servers/"+id, nil).Want(404)
}

func TestReports(t *testing.T) {
	s := newSystem(t)
	x := s.things()
	id := s.compute.Do("POST", "/v2.1/servers", x.server("c1", nil)).Want(202).Text("server.id")
	other := func(node string, r cloud.Report) {
		t.Helper()
		if err := s.role.OnReport(context.Background(), node, r); err != nil {
			t.Fatal(err)
		}
	}
	instance := func(state cloud.InstanceState) cloud.Report {
		return cloud.Report{Instance: &cloud.InstanceReport{ID: cloud.ServerID(id), State: state}}
	}
	s.unchanged(func() {
		other("stranger", instance(cloud.InstanceActive))
		other("stranger", instance(cloud.InstanceDeleted))
		other(node, cloud.Report{Instance: &cloud.InstanceReport{ID: "gone", State: cloud.InstanceActive}})
		other(node, cloud.Report{Port: &cloud.PortReport{ID: "gone", Up: true}})
	})
	if err := s.role.OnReport(context.Background(), node, cloud.Report{}); err == nil {
		t.Error("an empty report is taken")
	}
	other(node, cloud.Report{Instance: &cloud.InstanceReport{ID: cloud.ServerID(id), State: cloud.InstanceError, Fault: "no\nroom"}})
	s.compute.Do("GET", "/v2.1/servers/"+id, nil).Says(`"message":"no room"`)
	other(node, instance(cloud.InstanceActive))
	s.unchanged(func() { other(node, instance(cloud.InstanceActive)) })
	other(node, instance(cloud.InstanceDeleted)) // nobody asked for it
	s.compute.Do("GET", "/v2.1/servers/"+id, nil).Want(200).Says(`"status":"ERROR"`)
	s.compute.Do("DELETE", "/v2.1/servers/"+id, nil).Want(204)
	other(node, instance(cloud.InstanceDeleted))
	s.compute.Do("GET", "/v2.1/servers/"+id, nil).Want(404)
}
