package restapi

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"imprint/host/cloud"
)

func (c gopher) mustBe(status int, err error) {
	c.t.Helper()
	if !gophercloud.ResponseCodeIs(err, status) {
		c.t.Fatalf("%v, want status %d", err, status)
	}
}

func TestGophercloudKeys(t *testing.T) {
	ctx := context.Background()
	s := newSystem(t)
	c := s.gophercloud(t)
	token, err := tokens.Get(ctx, c.identity, c.identity.Token()).ExtractUser()
	c.must(err)
	if token.Name != "admin" || token.Domain.ID != "default" {
		t.Errorf("the token is of %+v", token)
	}
	public := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAB/ek7pJ5opycP8O9FzCHBaRVUqCY8NxxxAOmLxkygW peer@seed"
	imported, err := keypairs.Create(ctx, c.compute, keypairs.CreateOpts{Name: "imported", PublicKey: public}).Extract()
	c.must(err)
	if imported.PublicKey != public || imported.PrivateKey != "" || imported.Fingerprint != "8b:9a:03:10:66:41:3c:7e:71:d3:af:d5:2c:af:cb:89" {
		t.Errorf("imported %+v", imported)
	}
	_, err = keypairs.Create(ctx, c.compute, keypairs.CreateOpts{Name: "imported", PublicKey: public}).Extract()
	c.mustBe(409, err)
	list := listed(c, keypairs.List(c.compute, nil), keypairs.ExtractKeyPairs)
	if len(list) != 1 || list[0].Name != "imported" {
		t.Errorf("list %+v", list)
	}
	shown, err := keypairs.Get(ctx, c.compute, "imported", nil).Extract()
	c.must(err)
	if shown.Fingerprint != imported.Fingerprint || shown.UserID != token.ID {
		t.Errorf("shown %+v", shown)
	}
	c.must(keypairs.Delete(ctx, c.compute, "imported", nil).ExtractErr())
	c.mustBe(404, keypairs.Delete(ctx, c.compute, "imported", nil).ExtractErr())
}

func TestGophercloudNetworks(t *testing.T) {
	ctx := context.Background()
	c := newSystem(t).gophercloud(t)
	net, err := networks.Create(ctx, c.network, networks.CreateOpts{Name: "net"}).Extract()
	c.must(err)
	name, about := "net2", "the second name"
	_, err = networks.Update(ctx, c.network, net.ID, networks.UpdateOpts{Name: &name, Description: &about}).Extract()
	c.must(err)
	if list := listed(c, networks.List(c.network, networks.ListOpts{Name: name}), networks.ExtractNetworks); len(list) != 1 ||
		list[0].ID != net.ID || list[0].Description != about || list[0].Status != "ACTIVE" {
		t.Errorf("networks %+v", list)
	}
	sub, err := subnets.Create(ctx, c.network, subnets.CreateOpts{NetworkID: net.ID, Name: "sub", CIDR: "10.77.0.0/24", IPVersion: gophercloud.IPv4,
		DNSNameservers:  []string{"192.0.2.53"},
		AllocationPools: []subnets.AllocationPool{{Start: "10.77.0.10", End: "10.77.0.99"}}}).Extract()
	c.must(err)
	off := false
	sub, err = subnets.Update(ctx, c.network, sub.ID, subnets.UpdateOpts{EnableDHCP: &off,
		HostRoutes: &[]subnets.HostRoute{{DestinationCIDR: "198.51.100.0/24", NextHop: "10.77.0.254"}}}).Extract()
	c.must(err)
	if sub.EnableDHCP || len(sub.HostRoutes) != 1 || sub.DNSNameservers[0] != "192.0.2.53" {
		t.Errorf("subnet %+v", sub)
	}
	if list := listed(c, subnets.List(c.network, subnets.ListOpts{NetworkID: net.ID}), subnets.ExtractSubnets); len(list) != 1 || list[0].ID != sub.ID {
		t.Errorf("subnets %+v", list)
	}
	port, err := ports.Create(ctx, c.network, ports.CreateOpts{NetworkID: net.ID, Name: "port",
		FixedIPs: []ports.IP{{SubnetID: sub.ID, IPAddress: "10.77.0.50"}}}).Extract()
	c.must(err)
	port, err = ports.Update(ctx, c.network, port.ID, ports.UpdateOpts{Description: &about}).Extract()
	c.must(err)
	list := listed(c, ports.List(c.network, ports.ListOpts{FixedIPs: []ports.FixedIPOpts{{IPAddress: "10.77.0.50"}}}), ports.ExtractPorts)
	if len(list) != 1 || list[0].ID != port.ID || list[0].Description != about || list[0].Status != "DOWN" {
		t.Errorf("ports %+v", list)
	}
	router, err := routers.Create(ctx, c.network, routers.CreateOpts{Name: "rtr"}).Extract()
	c.must(err)
	leg, err := routers.AddInterface(ctx, c.network, router.ID, routers.AddInterfaceOpts{SubnetID: sub.ID}).Extract()
	c.must(err)
	if shown, err := ports.Get(ctx, c.network, leg.PortID).Extract(); err != nil || shown.FixedIPs[0].IPAddress != "10.77.0.1" {
		t.Errorf("the router's port %+v, %v", shown, err)
	}
	c.mustBe(409, routers.Delete(ctx, c.network, router.ID).ExtractErr())
	if list := listed(c, routers.List(c.network, routers.ListOpts{Name: "rtr"}), routers.ExtractRouters); len(list) != 1 || list[0].Status != "ACTIVE" {
		t.Errorf("routers %+v", list)
	}
	_, err = routers.RemoveInterface(ctx, c.network, router.ID, routers.RemoveInterfaceOpts{PortID: leg.PortID}).Extract()
	c.must(err)
	c.must(routers.Delete(ctx, c.network, router.ID).ExtractErr())
	c.must(ports.Delete(ctx, c.network, port.ID).ExtractErr())
	c.must(subnets.Delete(ctx, c.network, sub.ID).ExtractErr())
	c.must(networks.Delete(ctx, c.network, net.ID).ExtractErr())
	_, err = networks.Get(ctx, c.network, net.ID).Extract()
	c.mustBe(404, err)
}

func TestGophercloudImages(t *testing.T) {
	ctx := context.Background()
	c := newSystem(t).gophercloud(t)
	public := images.ImageVisibilityPublic
	image, err := images.Create(ctx, c.image, images.CreateOpts{Name: "image", DiskFormat: "raw", ContainerFormat: "bare", Visibility: &public}).Extract()
	c.must(err)
	c.must(imagedata.Upload(ctx, c.image, image.ID, strings.NewReader("the bytes")).ExtractErr())
	image, err = images.Update(ctx, c.image, image.ID, images.UpdateOpts{images.ReplaceImageName{NewName: "image2"},
		images.UpdateImageProperty{Op: images.AddOp, Name: "k", Value: "v"}}).Extract()
	c.must(err)
	if image.Name != "image2" || image.Properties["k"] != "v" || image.SizeBytes != 9 || image.Visibility != public {
		t.Errorf("image %+v", image)
	}
	if list := listed(c, images.List(c.image, images.ListOpts{Name: "image2", Status: images.ImageStatusActive}), images.ExtractImages); len(list) != 1 {
		t.Errorf("images %+v", list)
	}
	body, err := imagedata.Download(ctx, c.image, image.ID).Extract()
	c.must(err)
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || string(got) != "the bytes" {
		t.Errorf("downloaded %q, %v", got, err)
	}
	c.must(images.Delete(ctx, c.image, image.ID).ExtractErr())
	_, err = images.Get(ctx, c.image, image.ID).Extract()
	c.mustBe(404, err)
}

func TestGophercloudServers(t *testing.T) {
	ctx := context.Background()
	s := newSystem(t)
	x := s.things()
	c := s.gophercloud(t)
	found := listed(c, flavors.ListDetail(c.compute, nil), flavors.ExtractFlavors)
	if len(found) != 1 || found[0].Name != "small" || found[0].RAM != 256 {
		t.Errorf("flavors %+v", found)
	}
	drive := true
	opts := servers.CreateOpts{Name: "c1", ImageRef: x.image, FlavorRef: x.flavor, AvailabilityZone: "nova", ConfigDrive: &drive,
		UserData: []byte("#cloud-config\n"), Metadata: map[string]string{"k": "v"},
		Networks:    []servers.Network{{UUID: x.network, FixedIP: "17.17.17.60"}},
		Personality: servers.Personality{{Path: "/etc/a", Contents: []byte("one")}, {Path: "/etc/b", Contents: []byte("two")}}}
	made, err := servers.Create(ctx, c.compute, opts, nil).Extract()
	c.must(err)
	_, err = servers.Create(ctx, c.compute, opts, nil).Extract() // the address is taken
	c.mustBe(400, err)
	s.report(made.ID, cloud.InstanceActive)

	newer := *c.compute
	newer.Microversion = "2.90"
	server, err := servers.Get(ctx, &newer, made.ID).Extract()
	c.must(err)
	if !server.ConfigDrive || server.Metadata["k"] != "v" || *server.Hostname != "c1" || *server.Userdata != "I2Nsb3VkLWNvbmZpZwo=" {
		t.Errorf("server %+v", server)
	}
	_, err = servers.UpdateMetadata(ctx, c.compute, made.ID, servers.MetadataOpts{"k2": "v2"}).Extract()
	c.must(err)
	if got, err := servers.Metadata(ctx, c.compute, made.ID).Extract(); err != nil || got["k"] != "v" || got["k2"] != "v2" {
		t.Errorf("metadata %v, %v", got, err)
	}
	if text, err := servers.ShowConsoleOutput(ctx, c.compute, made.ID, servers.ShowConsoleOutputOpts{Length: 2}).Extract(); err != nil || text != "two\nthree\n" {
		t.Errorf("console %q, %v", text, err)
	}
	for _, step := range []struct {
		do     func() error
		after  cloud.InstanceState
		status string
	}{
		{func() error { return servers.Stop(ctx, c.compute, made.ID).ExtractErr() }, cloud.InstanceStopped, "SHUTOFF"},
		{func() error { return servers.Start(ctx, c.compute, made.ID).ExtractErr() }, cloud.InstanceActive, "ACTIVE"},
		{func() error {
			return servers.Reboot(ctx, c.compute, made.ID, servers.RebootOpts{Type: servers.HardReboot}).ExtractErr()
		}, cloud.InstanceActive, "ACTIVE"},
	} {
		c.must(step.do())
		s.report(made.ID, step.after)
		if got, err := servers.Get(ctx, c.compute, made.ID).Extract(); err != nil || got.Status != step.status {
			t.Errorf("%+v, %v, want %s", got, err, step.status)
		}
	}
	several := opts
	several.Name, several.Networks, several.Min, several.Max = "m", []servers.Network{{UUID: x.network}}, 2, 2
	_, err = servers.Create(ctx, c.compute, several, nil).Extract()
	c.must(err)
	if list := listed(c, servers.List(c.compute, servers.ListOpts{Name: "^m-[12]$"}), servers.ExtractServers); len(list) != 2 {
		t.Errorf("several %+v", list)
	}
	c.must(servers.Delete(ctx, c.compute, made.ID).ExtractErr())
	s.report(made.ID, cloud.InstanceDeleted)
	_, err = servers.Get(ctx, c.compute, made.ID).Extract()
	c.mustBe(404, err)
	c.must(flavors.Delete(ctx, c.compute, x.flavor).ExtractErr())
}
