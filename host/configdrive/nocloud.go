package configdrive

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	"imprint/base/openstack"
)

// The documents of a NoCloud volume are YAML; JSON is that too. cloud-init 22.4:
// sources/DataSourceNoCloud.py, and its network configuration version 2.
type (
	noCloudMeta struct {
		InstanceID    string   `json:"instance-id"`
		LocalHostname string   `json:"local-hostname"`
		Zone          string   `json:"availability-zone,omitempty"`
		PublicKeys    []string `json:"public-keys,omitempty"`
	}
	noCloudNetwork struct {
		Version   int                 `json:"version"`
		Ethernets map[string]ethernet `json:"ethernets"`
	}
	ethernet struct {
		Match       map[string]string `json:"match"`
		SetName     string            `json:"set-name"`
		MTU         int               `json:"mtu,omitempty"`
		DHCP4       bool              `json:"dhcp4,omitempty"`
		DHCP6       bool              `json:"dhcp6,omitempty"`
		AcceptRA    bool              `json:"accept-ra,omitempty"`
		Addresses   []netip.Prefix    `json:"addresses,omitempty"`
		Routes      []ethernetRoute   `json:"routes,omitempty"`
		Nameservers *nameservers      `json:"nameservers,omitempty"`
	}
	ethernetRoute struct {
		To  netip.Prefix `json:"to"`
		Via netip.Addr   `json:"via"`
	}
	nameservers struct {
		Addresses []netip.Addr `json:"addresses"`
	}
)

// noCloud are the files of an instance's NoCloud volume: what the format can
// carry of it. It has no place for injected files.
func noCloud(i *openstack.Instance) ([]openstack.DriveFile, error) {
	if len(i.Files) > 0 {
		return nil, fmt.Errorf("a volume labelled %s has no place for injected files, such as %q", NoCloud, i.Files[0].Path)
	}
	meta := noCloudMeta{InstanceID: i.UUID, LocalHostname: i.Hostname, Zone: i.AvailabilityZone}
	if i.Key != nil && i.Key.Type != "x509" {
		meta.PublicKeys = []string{i.Key.Data}
	}
	network := noCloudNetwork{Version: 2, Ethernets: map[string]ethernet{}}
	for n, p := range i.Ports {
		name := fmt.Sprintf("eth%d", n)
		network.Ethernets[name] = ethernetOf(name, p)
	}
	var vendor map[string]any
	if err := json.Unmarshal(i.VendorData.Encode(), &vendor); err != nil {
		return nil, fmt.Errorf("vendor data: %w", err)
	}
	files := []openstack.DriveFile{{Path: "user-data", Body: append([]byte{}, i.UserData...)}}
	if text, ok := vendor["cloud-init"].(string); ok {
		files = append(files, openstack.DriveFile{Path: "vendor-data", Body: []byte(text)})
	}
	for name, document := range map[string]any{"meta-data": meta, "network-config": network} {
		if name == "network-config" && len(i.Ports) == 0 {
			continue
		}
		body, err := json.Marshal(document)
		if err != nil {
			return nil, errors.Join(errors.New(name), err)
		}
		files = append(files, openstack.DriveFile{Path: name, Body: append(body, '\n')})
	}
	return files, nil
}

// ethernetOf is a NIC with its first address of each of its subnets.
func ethernetOf(name string, p openstack.Port) ethernet {
	e := ethernet{Match: map[string]string{"macaddress": p.MAC}, SetName: name, MTU: p.MTU}
	for _, s := range p.Subnets {
		v4 := s.CIDR.Addr().Is4()
		switch {
		case s.AddressMode == "slaac" || s.AddressMode == "dhcpv6-stateless":
			e.AcceptRA = true
			continue
		case s.DHCP && v4:
			e.DHCP4 = true
			continue
		case s.DHCP:
			e.DHCP6, e.AcceptRA = true, true
			continue
		case len(s.Addrs) == 0:
			continue
		}
		e.Addresses = append(e.Addresses, netip.PrefixFrom(s.Addrs[0], s.CIDR.Bits()))
		if s.Gateway.IsValid() {
			everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if !v4 {
				everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			e.Routes = append(e.Routes, ethernetRoute{everywhere, s.Gateway})
		}
		for _, r := range s.Routes {
			e.Routes = append(e.Routes, ethernetRoute{r.Destination, r.Gateway})
		}
		if len(s.DNS) > 0 {
			if e.Nameservers == nil {
				e.Nameservers = &nameservers{}
			}
			e.Nameservers.Addresses = append(e.Nameservers.Addresses, s.DNS...)
		}
	}
	return e
}
