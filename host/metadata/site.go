package metadata

import (
	"fmt"
	"slices"

	"imprint/base/openstack"
	"imprint/host/cloud"
)

// Site is what all instances are told alike.
type Site struct {
	// Domain is appended to host names (nova.conf dhcp_domain); "" for none.
	Domain     string
	VendorData openstack.VendorData
	// FlatInjected tells the configuration of networks without DHCP as a file
	// for the instance's system (nova.conf flat_injected).
	FlatInjected bool
	// CompleteNetwork has network_data.json tell all of the ports instead of
	// what Nova tells.
	CompleteNetwork bool
	// Addresses keeps an index of fixed addresses, which the modes of trust
	// other than [TrustSigned] need.
	Addresses bool
	// CacheBytes bounds the rendered documents; 0 is 256 MiB.
	CacheBytes int
}

const defaultCache = 256 << 20

func (s Site) cacheBytes() int {
	if s.CacheBytes == 0 {
		return defaultCache
	}
	return s.CacheBytes
}

// siteData is a site as it was at some time; pointers tell two times apart.
type siteData struct{ Site }

// facts are the records that an instance's documents are made of.
type facts struct {
	server *cloud.Server
	nics   []nic
}

// nic is a server's port with its surroundings.
type nic struct {
	port    *cloud.Port
	network *cloud.Network
	subnets []*cloud.Subnet // those that the port has an address on, oldest first
	vlan    openstack.VLAN  // of a sub-port, which is not in the server's own list; else zero
}

// factsOf collects the facts of a server; records that are not there (yet)
// are left out.
func factsOf(m *cloud.Model, s *cloud.Server) facts {
	f := facts{server: s}
	if len(s.Ports) > 0 {
		f.nics = make([]nic, 0, len(s.Ports))
	}
	for _, id := range s.Ports {
		f.add(m, id, openstack.VLAN{})
		if port := m.Ports[id]; port != nil {
			for _, sub := range port.SubPorts {
				f.add(m, sub.PortID, openstack.VLAN{ID: sub.SegmentationID, Parent: string(id)})
			}
		}
	}
	return f
}

// ports calls each with the ports that the facts depend on, there or not.
func (f *facts) ports(each func(cloud.PortID)) {
	for _, id := range f.server.Ports {
		each(id)
	}
	for _, n := range f.nics {
		for _, sub := range n.port.SubPorts {
			each(sub.PortID)
		}
	}
}

func (f *facts) add(m *cloud.Model, id cloud.PortID, vlan openstack.VLAN) {
	port := m.Ports[id]
	if port == nil || m.Networks[port.NetworkID] == nil {
		return
	}
	n := nic{port: port, network: m.Networks[port.NetworkID], vlan: vlan}
	for _, ip := range port.FixedIPs {
		if subnet := m.Subnets[ip.SubnetID]; subnet != nil && !slices.Contains(n.subnets, subnet) {
			n.subnets = append(n.subnets, subnet)
		}
	}
	slices.SortFunc(n.subnets, func(a, b *cloud.Subnet) int { return a.CreatedAt.Compare(b.CreatedAt) })
	f.nics = append(f.nics, n)
}

// same reports whether f and g are the same records. Records never change, so
// comparing pointers tells.
func (f facts) same(g facts) bool {
	return f.server == g.server && slices.EqualFunc(f.nics, g.nics, func(a, b nic) bool {
		return a.port == b.port && a.network == b.network && slices.Equal(a.subnets, b.subnets)
	})
}

// blobs are the bytes that the documents need: the user data, and where there
// is a config drive to carry them the injected files.
func (f facts) blobs() []cloud.Digest {
	var needed []cloud.Digest
	if f.server.UserData != "" {
		needed = append(needed, f.server.UserData)
	}
	if f.server.ConfigDrive {
		for _, file := range f.server.Files {
			needed = append(needed, file.Blob)
		}
	}
	return needed
}

// instance turns the facts into what the documents are made of; loaded has
// their blobs.
func (f facts) instance(site Site, loaded map[cloud.Digest][]byte) *openstack.Instance {
	s := f.server
	i := &openstack.Instance{
		UUID: string(s.ServerID), ProjectID: string(s.ProjectID), Name: s.Name, Hostname: s.HostName,
		AvailabilityZone: s.AvailabilityZone, LaunchIndex: s.LaunchIndex, Meta: s.Metadata,
		UserData: loaded[s.UserData], VendorData: site.VendorData, EC2: f.ec2(), Password: s.Password,
		ImageID: string(s.ImageID), BootRoles: s.BootRoles, DedicatedCPUs: s.DedicatedCPUs, CompleteNetwork: site.CompleteNetwork,
	}
	for _, d := range s.Devices {
		i.Devices = append(i.Devices, openstack.Device(d))
	}
	if site.Domain != "" {
		i.Hostname += "." + site.Domain
	}
	if s.KeyName != "" {
		i.Key = &openstack.Key{Name: s.KeyName, Type: s.KeyType, Data: s.PublicKey}
	}
	for _, n := range f.nics {
		if n.vlan.ID == 0 || site.CompleteNetwork {
			i.Ports = append(i.Ports, n.describe(site))
		}
	}
	if s.ConfigDrive {
		for _, file := range s.Files {
			i.Files = append(i.Files, openstack.InjectedFile{Path: file.Path, Content: loaded[file.Blob]})
		}
	}
	return i
}

// ec2 departs from Nova in one point: Nova numbers images as it meets them
// (s3_image table); here the image's UUID gives the eight digits, so that the
// id stays the same without a table.
func (f facts) ec2() openstack.EC2 {
	s := f.server
	e := openstack.EC2{
		InstanceID:    fmt.Sprintf("i-%08x", s.Number),
		ImageID:       fmt.Sprintf("ami-%.8s", s.ImageID),
		InstanceType:  s.Flavor.Name,
		ReservationID: s.ReservationID,
		BlockDevices:  blockDevices(s.Flavor),
	}
	for _, n := range f.nics {
		if n.vlan.ID == 0 {
			e.SecurityGroups = append(e.SecurityGroups, s.SecurityGroups...)
		}
	}
	return e
}

// blockDevices names the disks as virtio does. nova: block_device.py,
// instance_block_mapping.
func blockDevices(f cloud.Flavor) map[string]string {
	devices := map[string]string{"ami": "vda", "root": "/dev/vda"}
	next := 'b'
	if f.Ephemeral > 0 {
		devices["ephemeral0"] = "/dev/vd" + string(next)
		next++
	}
	if f.Swap > 0 {
		devices["swap"] = "/dev/vd" + string(next)
	}
	return devices
}

func (n nic) describe(site Site) openstack.Port {
	p := openstack.Port{
		ID: string(n.port.PortID), NetworkID: string(n.port.NetworkID), MAC: string(n.port.MAC),
		LinkID: "tap" + cloud.Short(n.port.PortID), LinkType: "bridge", MTU: n.network.MTU,
		Injected: site.FlatInjected,
	}
	if b := n.port.Bond; b != nil {
		p.Bond = &openstack.Bond{Mode: b.Mode, MIIMon: b.MIIMon, HashPolicy: b.HashPolicy}
		for _, mac := range b.Links {
			p.Bond.MACs = append(p.Bond.MACs, string(mac))
		}
	}
	if n.vlan.ID > 0 {
		p.VLAN = &n.vlan
	}
	for _, s := range n.subnets {
		p.Subnets = append(p.Subnets, n.subnet(s))
	}
	return p
}

func (n nic) subnet(s *cloud.Subnet) openstack.Subnet {
	d := openstack.Subnet{CIDR: s.CIDR, Gateway: s.Gateway, DHCP: s.DHCP, AddressMode: s.IPv6AddrMode, DNS: s.DNS}
	for _, r := range s.HostRoutes {
		d.Routes = append(d.Routes, openstack.SubnetRoute{Destination: r.Destination, Gateway: r.NextHop})
	}
	for _, ip := range n.port.FixedIPs {
		if ip.SubnetID == s.SubnetID {
			d.Addrs = append(d.Addrs, ip.Addr)
		}
	}
	return d
}
