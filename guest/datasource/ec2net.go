package datasource

import (
	"fmt"
	"slices"
	"strings"

	"imprint/base/cloudconfig"
	"imprint/guest/netstate"
)

// ec2Network is the network configuration, in version 2, that follows from an EC2
// tree for a system with these NICs: DHCP on each that the tree knows, with the
// further addresses by hand. Nil if the tree says nothing of the network; the
// problems are what was left out.
// cloud-init 22.4: sources/DataSourceEc2.py, convert_ec2_metadata_network_config.
func ec2Network(md *cloudconfig.Node, nics []netstate.NIC) (doc *cloudconfig.Node, problems []string) {
	macs := md.Get("network", "interfaces", "macs")
	if macs == nil || macs.Kind != cloudconfig.KindMap {
		return nil, nil
	}
	nics = slices.Clone(nics)
	slices.SortFunc(nics, func(a, b netstate.NIC) int { return strings.Compare(a.MAC, b.MAC) })
	var devices []device
	number := int64(0)
	for _, nic := range nics {
		told := macs.Get(nic.MAC)
		if nic.MAC == "" || len(told.Pairs()) == 0 {
			continue
		}
		if n, err := told.Get("device-number").AsInt(); err == nil {
			number = n
		}
		number++
		d := device{nic: nic, metric: number * 100, six: len(listOrText(told.Get("ipv6s"))) > 0}
		d.addresses, problems = moreAddresses(told, nic, problems)
		devices = append(devices, d)
	}
	ethernets := cloudconfig.NewMap()
	for _, d := range devices {
		ethernets = ethernets.With(d.nic.Name, d.node(len(devices) > 1))
	}
	return cloudconfig.NewMap().With("version", cloudconfig.NewInt(2)).With("ethernets", ethernets), problems
}

// device is one NIC of the configuration.
type device struct {
	nic       netstate.NIC
	metric    int64
	six       bool
	addresses []*cloudconfig.Node
}

func (d device) node(metrics bool) *cloudconfig.Node {
	n := cloudconfig.NewMap().With("dhcp4", cloudconfig.NewBool(true)).With("dhcp6", cloudconfig.NewBool(d.six)).
		With("match", cloudconfig.NewMap().With("macaddress", cloudconfig.NewString(d.nic.MAC))).
		With("set-name", cloudconfig.NewString(d.nic.Name))
	if metrics {
		metric := cloudconfig.NewMap().With("route-metric", cloudconfig.NewInt(d.metric))
		n = n.With("dhcp4-overrides", metric)
		if d.six {
			n = n.With("dhcp6-overrides", metric)
		}
	}
	if len(d.addresses) > 0 {
		n = n.With("addresses", cloudconfig.NewList(d.addresses...))
	}
	return n
}

// listOrText are a leaf's lines.
func listOrText(n *cloudconfig.Node) []string {
	texts, err := n.AsStrings()
	if err != nil || len(texts) == 1 && texts[0] == "" {
		return nil
	}
	return texts
}

// moreAddresses are those that DHCP does not bring: all but the first.
func moreAddresses(told *cloudconfig.Node, nic netstate.NIC, problems []string) ([]*cloudconfig.Node, []string) {
	var all []string
	for _, family := range []struct{ list, block, prefix string }{
		{"local-ipv4s", "subnet-ipv4-cidr-block", "24"}, {"ipv6s", "subnet-ipv6-cidr-block", "128"},
	} {
		addresses := listOrText(told.Get(family.list))
		if len(addresses) < 2 {
			continue
		}
		_, prefix, ok := strings.Cut(text(told, family.block), "/")
		if !ok || strings.Contains(prefix, "/") {
			prefix = family.prefix
			problems = append(problems, fmt.Sprintf("network of %s: no %s, /%s is taken", nic.Name, family.block, prefix))
		}
		for _, a := range addresses[1:] {
			all = append(all, a+"/"+prefix)
		}
	}
	slices.Sort(all)
	var nodes []*cloudconfig.Node
	for _, a := range all {
		nodes = append(nodes, cloudconfig.NewString(a))
	}
	return nodes, problems
}
