package restapi

import (
	"context"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"imprint/host/cloud"
)

// gopher is gophercloud's clients of a system.
type gopher struct {
	t                                 *testing.T
	identity, compute, network, image *gophercloud.ServiceClient
}

func (c gopher) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// gophercloud logs in as the administrator, over TCP.
func (s *system) gophercloud(t *testing.T) (c gopher) {
	t.Helper()
	c.t = t
	provider, err := openstack.AuthenticatedClient(context.Background(), gophercloud.AuthOptions{IdentityEndpoint: s.urls["identity"] + "/v3",
		Username: "admin", Password: adminPassword, TenantName: "admin", DomainID: "default"})
	c.must(err)
	region := gophercloud.EndpointOpts{Region: "RegionOne"}
	c.identity, err = openstack.NewIdentityV3(provider, region)
	c.must(err)
	c.compute, err = openstack.NewComputeV2(provider, region)
	c.must(err)
	c.network, err = openstack.NewNetworkV2(provider, region)
	c.must(err)
	c.image, err = openstack.NewImageV2(provider, region)
	c.must(err)
	return c
}

// listed reads a list to its end.
func listed[T any](c gopher, pages pagination.Pager, extract func(pagination.Page) ([]T, error)) []T {
	c.t.Helper()
	all, err := pages.AllPages(context.Background())
	c.must(err)
	list, err := extract(all)
	c.must(err)
	return list
}

// TestGophercloud tells the story with a client that others wrote, over TCP.
func TestGophercloud(t *testing.T) {
	s := newSystem(t)
	ctx := context.Background()
	c := s.gophercloud(t)
	must, nova, neutron, glance := c.must, c.compute, c.network, c.image

	key, err := keypairs.Create(ctx, nova, keypairs.CreateOpts{Name: "cloudman"}).Extract()
	must(err)
	if !strings.HasPrefix(key.PrivateKey, "-----BEGIN OPENSSH PRIVATE KEY-----") {
		t.Errorf("private key %.40q", key.PrivateKey)
	}
	net, err := networks.Create(ctx, neutron, networks.CreateOpts{Name: "test_net"}).Extract()
	must(err)
	sub, err := subnets.Create(ctx, neutron, subnets.CreateOpts{NetworkID: net.ID, CIDR: "17.17.17.0/24", IPVersion: gophercloud.IPv4}).Extract()
	must(err)
	if sub.GatewayIP != "17.17.17.1" || sub.AllocationPools[0] != (subnets.AllocationPool{Start: "17.17.17.2", End: "17.17.17.254"}) {
		t.Errorf("subnet %+v", sub)
	}
	router, err := routers.Create(ctx, neutron, routers.CreateOpts{Name: "test_router"}).Extract()
	must(err)
	_, err = routers.AddInterface(ctx, neutron, router.ID, routers.AddInterfaceOpts{SubnetID: sub.ID}).Extract()
	must(err)
	flavor, err := flavors.Create(ctx, nova, flavors.CreateOpts{Name: "small", RAM: 256, VCPUs: 1, Disk: gophercloud.IntToPointer(1)}).Extract()
	must(err)
	image, err := images.Create(ctx, glance, images.CreateOpts{Name: "tree", DiskFormat: "raw", ContainerFormat: "bare",
		Properties: map[string]string{cloud.TreeProperty: "host"}}).Extract()
	must(err)
	must(imagedata.Upload(ctx, glance, image.ID, strings.NewReader("bytes")).ExtractErr())
	image, err = images.Get(ctx, glance, image.ID).Extract()
	must(err)
	if image.Status != images.ImageStatusActive || image.SizeBytes != 5 || image.Properties[cloud.TreeProperty] != "host" {
		t.Errorf("image %+v", image)
	}

	server, err := servers.Create(ctx, nova, keypairs.CreateOptsExt{KeyName: "cloudman", CreateOptsBuilder: servers.CreateOpts{
		Name: "c1", ImageRef: image.ID, FlavorRef: flavor.ID, Networks: []servers.Network{{UUID: net.ID}},
		UserData: []byte("#cloud-config\n"), Metadata: map[string]string{"k": "v"}}}, nil).Extract()
	must(err)
	s.report(server.ID, cloud.InstanceActive)
	server, err = servers.Get(ctx, nova, server.ID).Extract()
	must(err)
	if server.Status != "ACTIVE" || server.KeyName != "cloudman" || server.Metadata["k"] != "v" || len(server.Addresses) != 1 {
		t.Errorf("server %+v", server)
	}
	must(servers.Reboot(ctx, nova, server.ID, servers.RebootOpts{Type: servers.SoftReboot}).ExtractErr())
	server, err = servers.Get(ctx, nova, server.ID).Extract()
	must(err)
	if server.Status != "REBOOT" {
		t.Errorf("status %s", server.Status)
	}
	s.report(server.ID, cloud.InstanceActive)
	list := listed(c, servers.List(nova, servers.ListOpts{Name: "^c1$", Limit: 1}), servers.ExtractServers)
	if len(list) != 1 || list[0].ID != server.ID {
		t.Errorf("list %+v", list)
	}
	must(servers.Delete(ctx, nova, server.ID).ExtractErr())
	s.report(server.ID, cloud.InstanceDeleted)
	if _, err := servers.Get(ctx, nova, server.ID).Extract(); !gophercloud.ResponseCodeIs(err, 404) {
		t.Errorf("the deleted server: %v", err)
	}
	_, err = routers.RemoveInterface(ctx, neutron, router.ID, routers.RemoveInterfaceOpts{SubnetID: sub.ID}).Extract()
	must(err)
	must(routers.Delete(ctx, neutron, router.ID).ExtractErr())
	must(networks.Delete(ctx, neutron, net.ID).ExtractErr())
}
