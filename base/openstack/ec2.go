package openstack

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// node is a place in the EC2 tree: a leaf with a body, or a directory.
type node struct {
	body []byte
	dir  map[string]node
	// label stands for the node in its parent's listing; "" is the name, with a
	// slash after a directory's.
	label string
}

func leaf(text string) node { return node{body: []byte(text)} }

func dir(children map[string]node) node { return node{dir: children} }

// listing has no newline at its end. nova: api/metadata/base.py, ec2_md_print.
func (n node) listing() string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(n.dir)) {
		switch child := n.dir[name]; {
		case child.label != "":
			lines = append(lines, child.label)
		case child.dir != nil:
			lines = append(lines, name+"/")
		default:
			lines = append(lines, name)
		}
	}
	return strings.Join(lines, "\n")
}

// ec2Tree is what lies below a version of the EC2 tree. peer stands in for a
// fixed address when the instance has none; it may be invalid.
// nova: api/metadata/base.py, get_ec2_metadata.
func (i *Instance) ec2Tree(version string, peer netip.Addr) node {
	local := i.firstIPv4()
	if !local.IsValid() {
		local = peer
	}
	m := map[string]node{
		"ami-id":            leaf(i.EC2.ImageID),
		"ami-launch-index":  leaf(strconv.Itoa(i.LaunchIndex)),
		"ami-manifest-path": leaf("FIXME"),
		"instance-id":       leaf(i.EC2.InstanceID),
		"hostname":          leaf(i.Hostname),
		"local-ipv4":        leaf(addrText(local)),
		"reservation-id":    leaf(i.EC2.ReservationID),
		"security-groups":   leaf(strings.Join(i.EC2.SecurityGroups, "\n")),
	}
	if i.Key != nil {
		key := dir(map[string]node{"openssh-key": leaf(i.Key.Data)})
		key.label = "0=" + i.Key.Name
		m["public-keys"] = dir(map[string]node{"0": key})
	}
	i.addLater(m, version)
	tree := map[string]node{"meta-data": dir(m)}
	if i.UserData != nil {
		tree["user-data"] = node{body: i.UserData}
	}
	return dir(tree)
}

// addLater adds what versions after the first one added.
func (i *Instance) addLater(m map[string]node, version string) {
	has := ec2Has(version)
	if has(ec2Hostnames) {
		m["local-hostname"] = leaf(i.Hostname)
		m["public-hostname"] = leaf(i.Hostname)
		m["public-ipv4"] = leaf("")
		if len(i.EC2.PublicIPs) > 0 {
			m["public-ipv4"] = leaf(i.EC2.PublicIPs[0].String())
		}
	}
	if has(ec2Type) {
		m["instance-type"] = leaf(i.EC2.InstanceType)
	}
	if has(ec2Devices) {
		m["block-device-mapping"] = blockDevices(i.EC2.BlockDevices)
		if i.EC2.KernelID != "" {
			m["kernel-id"] = leaf(i.EC2.KernelID)
		}
		if i.EC2.RamdiskID != "" {
			m["ramdisk-id"] = leaf(i.EC2.RamdiskID)
		}
	}
	if has(ec2Placement) {
		m["placement"] = dir(map[string]node{"availability-zone": leaf(i.AvailabilityZone)})
	}
	if has(ec2Action) {
		m["instance-action"] = leaf("none")
	}
}

func blockDevices(mapping map[string]string) node {
	children := map[string]node{}
	for name, device := range mapping {
		children[name] = leaf(device)
	}
	return dir(children)
}

// addrText is "" for no address.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
