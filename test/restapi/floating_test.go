package restapi

import (
	"context"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/external"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/extradhcpopts"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
)

// TestGophercloudFloatingIPs takes a port to the outside and back.
func TestGophercloudFloatingIPs(t *testing.T) {
	ctx := context.Background()
	c := newSystem(t).gophercloud(t)
	yes := true
	ext, err := networks.Create(ctx, c.network, external.CreateOptsExt{CreateOptsBuilder: networks.CreateOpts{Name: "ext"}, External: &yes}).Extract()
	c.must(err)
	_, err = subnets.Create(ctx, c.network, subnets.CreateOpts{NetworkID: ext.ID, CIDR: "203.0.113.0/24", IPVersion: 4}).Extract()
	c.must(err)
	net, err := networks.Create(ctx, c.network, networks.CreateOpts{Name: "net"}).Extract()
	c.must(err)
	sub, err := subnets.Create(ctx, c.network, subnets.CreateOpts{NetworkID: net.ID, CIDR: "10.78.0.0/24", IPVersion: 4}).Extract()
	c.must(err)
	router, err := routers.Create(ctx, c.network, routers.CreateOpts{Name: "rtr", GatewayInfo: &routers.GatewayInfo{NetworkID: ext.ID}}).Extract()
	c.must(err)
	if router.GatewayInfo.NetworkID != ext.ID || len(router.GatewayInfo.ExternalFixedIPs) != 1 {
		t.Errorf("router %+v", router)
	}
	leg, err := routers.AddInterface(ctx, c.network, router.ID, routers.AddInterfaceOpts{SubnetID: sub.ID}).Extract()
	c.must(err)
	file := "pxelinux.0"
	port, err := ports.Create(ctx, c.network, extradhcpopts.CreateOptsExt{CreateOptsBuilder: ports.CreateOpts{NetworkID: net.ID},
		ExtraDHCPOpts: []extradhcpopts.CreateExtraDHCPOpt{{OptName: "bootfile-name", OptValue: file, IPVersion: 4}}}).Extract()
	c.must(err)
	float, err := floatingips.Create(ctx, c.network, floatingips.CreateOpts{FloatingNetworkID: ext.ID, PortID: port.ID}).Extract()
	c.must(err)
	if float.RouterID != router.ID || float.FixedIP != port.FixedIPs[0].IPAddress {
		t.Errorf("floating %+v", float)
	}
	if list := listed(c, floatingips.List(c.network, floatingips.ListOpts{PortID: port.ID}), floatingips.ExtractFloatingIPs); len(list) != 1 || list[0].ID != float.ID {
		t.Errorf("list %+v", list)
	}
	none := ""
	float, err = floatingips.Update(ctx, c.network, float.ID, floatingips.UpdateOpts{PortID: &none}).Extract()
	c.must(err)
	if float.PortID != "" {
		t.Errorf("released %+v", float)
	}
	c.must(floatingips.Delete(ctx, c.network, float.ID).ExtractErr())
	_, err = routers.RemoveInterface(ctx, c.network, router.ID, routers.RemoveInterfaceOpts{PortID: leg.PortID}).Extract()
	c.must(err)
	c.must(routers.Delete(ctx, c.network, router.ID).ExtractErr())
	c.must(ports.Delete(ctx, c.network, port.ID).ExtractErr())
	c.must(networks.Delete(ctx, c.network, ext.ID).ExtractErr())
	c.must(networks.Delete(ctx, c.network, net.ID).ExtractErr())
}
