package openstack

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// node is a place in the EC2 tree: a leaf with a body, or a directory, whose
// dir is not nil.
type node struct {
	body []byte
	dir  []child
	// label stands for the node in its parent's listing; "" is the name, with a
	// slash after a directory's.
	label string
}

// child is a node by its name; a directory has few, in any order.
type child struct {
	name string
	node
}

func leaf(name, text string) child { return child{name, node{body: []byte(text)}} }

func dir(name string, children ...child) child { return child{name, node{dir: children}} }

func (n node) find(name string) (node, bool) {
	for _, c := range n.dir {
		if c.name == name {
			return c.node, true
		}
	}
	return node{}, false
}

// listing has no newline at its end. nova: api/metadata/base.py, ec2_md_print.
func (n node) listing() string {
	sorted := slices.SortedFunc(slices.Values(n.dir), func(a, b child) int { return strings.Compare(a.name, b.name) })
	lines := make([]string, 0, len(sorted))
	for _, c := range sorted {
		switch {
		case c.label != "":
			lines = append(lines, c.label)
		case c.dir != nil:
			lines = append(lines, c.name+"/")
		default:
			lines = append(lines, c.name)
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
	m := make([]child, 0, 20) // as many as there are at most
	m = append(m,
		leaf("ami-id", i.EC2.ImageID),
		leaf("ami-launch-index", strconv.Itoa(i.LaunchIndex)),
		leaf("ami-manifest-path", "FIXME"),
		leaf("instance-id", i.EC2.InstanceID),
		leaf("hostname", i.Hostname),
		leaf("local-ipv4", addrText(local)),
		leaf("reservation-id", i.EC2.ReservationID),
		leaf("security-groups", strings.Join(i.EC2.SecurityGroups, "\n")),
	)
	if i.Key != nil {
		key := dir("0", leaf("openssh-key", i.Key.Data))
		key.label = "0=" + i.Key.Name
		m = append(m, dir("public-keys", key))
	}
	m = i.addLater(m, version)
	tree := dir("", dir("meta-data", m...))
	if i.UserData != nil {
		tree.dir = append(tree.dir, child{"user-data", node{body: i.UserData}})
	}
	return tree.node
}

// addLater adds what versions after the first one added.
func (i *Instance) addLater(m []child, version string) []child {
	has := ec2Has(version)
	if has(ec2Hostnames) {
		public := ""
		if len(i.EC2.PublicIPs) > 0 {
			public = i.EC2.PublicIPs[0].String()
		}
		m = append(m, leaf("local-hostname", i.Hostname), leaf("public-hostname", i.Hostname), leaf("public-ipv4", public))
	}
	if has(ec2Type) {
		m = append(m, leaf("instance-type", i.EC2.InstanceType))
	}
	if has(ec2Devices) {
		m = append(m, i.blockDevices())
		if i.EC2.KernelID != "" {
			m = append(m, leaf("kernel-id", i.EC2.KernelID))
		}
		if i.EC2.RamdiskID != "" {
			m = append(m, leaf("ramdisk-id", i.EC2.RamdiskID))
		}
	}
	if has(ec2Placement) {
		m = append(m, dir("placement", leaf("availability-zone", i.AvailabilityZone)))
	}
	if has(ec2Action) {
		m = append(m, leaf("instance-action", "none"))
	}
	return m
}

func (i *Instance) blockDevices() child {
	children := make([]child, 0, len(i.EC2.BlockDevices))
	for name, device := range i.EC2.BlockDevices {
		children = append(children, leaf(name, device))
	}
	return dir("block-device-mapping", children...)
}

// addrText is "" for no address.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
