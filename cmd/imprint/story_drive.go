package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"imprint/host/config"
)

// The files that c3 is launched with.
var injected = map[string]string{"/etc/injected.conf": "first = 1\n", "/srv/injected/second": "the second file\n"}

// readsDrives reports whether the story's guest can read a config drive that
// is a file: ours can; one that asks the kernel to mount it cannot.
func (s *story) readsDrives() bool { return s.tree == config.HostTree }

// drive is the way without a network: no DHCP, everything from the drive.
func (s *story) drive(ctx context.Context) error {
	if !s.readsDrives() {
		s.asked("left out: a guest in a container that has the kernel mount its drive cannot read one")
		return nil
	}
	n, err := networks.Create(ctx, s.client.network, networks.CreateOpts{Name: "nodhcp_net"}).Extract()
	if err != nil {
		return fmt.Errorf("create network nodhcp_net: %w", err)
	}
	dhcp := false
	sub, err := subnets.Create(ctx, s.client.network, subnets.CreateOpts{
		NetworkID: n.ID, Name: "nodhcp_subnet", CIDR: "18.18.18.0/24", IPVersion: 4, EnableDHCP: &dhcp,
		DNSNameservers: []string{"18.18.18.53"},
	}).Extract()
	if err != nil {
		return fmt.Errorf("create subnet 18.18.18.0/24: %w", err)
	}
	s.asked("network nodhcp_net: %s; subnet %s without DHCP", n.ID, sub.CIDR)
	yes := true
	c2, err := s.launch(ctx, servers.CreateOpts{Name: "c2", ConfigDrive: &yes, Networks: []servers.Network{{UUID: n.ID}}})
	if err != nil {
		return err
	}
	s.checkDrive(ctx, c2, n.ID)
	return nil
}

func (s *story) checkDrive(ctx context.Context, c2 instance, network string) {
	kind, err := command(ctx, "head", "-c", "32774", filepath.Join(s.cloud.nodeDir, instancesDir, c2.id, "disk.config"))
	s.check("instances/<id>/disk.config is an ISO 9660 volume", err == nil && strings.HasSuffix(kind, "\x01CD001"), seen("", err))
	_, err = command(ctx, "test", "-e", "/run/netns/"+s.netns("qdhcp-"+network))
	s.check("nothing serves DHCP on its network", err != nil, "")
	name, err := c2.hostname(ctx)
	s.check("the hostname is c2, from the drive", err == nil && name == "c2", seen(name, err))
	addr, err := c2.address(ctx)
	s.check("eth0 has its address of 18.18.18.0/24, static", err == nil && addr == c2.fixed, seen(addr.String(), err))
	eni, err := c2.run(ctx, "/usr/bin/cat", "/etc/network/interfaces.d/50-cloud-init")
	s.check("the interfaces file says so", err == nil && strings.Contains(eni, "iface eth0 inet static") && strings.Contains(eni, c2.fixed.String()), seen("", err))
	resolv, err := c2.file(ctx, "/etc/resolv.conf")
	s.check("the name server is set", err == nil && strings.Contains(resolv, "nameserver 18.18.18.53"), seen(resolv, err))
	s.checkKey(ctx, c2)
}

// checkInjected looks for the files that a server was launched with.
func (s *story) checkInjected(ctx context.Context, i instance) {
	for path, want := range injected {
		text, err := i.file(ctx, path)
		s.check("the injected file "+path+" is written", err == nil && text == want, seen(text, err))
	}
}

// withFiles adds a config drive and the files to what c3 is launched with.
func (s *story) withFiles(o servers.CreateOpts) servers.CreateOpts {
	if !s.readsDrives() {
		return o
	}
	yes := true
	o.ConfigDrive = &yes
	for path, text := range injected {
		o.Personality = append(o.Personality, &servers.File{Path: path, Contents: []byte(text)})
	}
	return o
}
