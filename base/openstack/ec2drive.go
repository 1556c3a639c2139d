package openstack

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// ec2Document is meta-data.json of the EC2 tree, which the config drive alone
// has. The order of the fields is the document's; what a later version added
// is nil before.
// nova: api/metadata/base.py, get_ec2_metadata.
type ec2Document struct {
	ImageID        string            `json:"ami-id"`
	LaunchIndex    int               `json:"ami-launch-index"`
	ManifestPath   string            `json:"ami-manifest-path"`
	InstanceID     string            `json:"instance-id"`
	Hostname       string            `json:"hostname"`
	LocalIPv4      *string           `json:"local-ipv4"` // null without an address: nobody asks
	ReservationID  string            `json:"reservation-id"`
	SecurityGroups []string          `json:"security-groups"`
	PublicKeys     map[string]ec2Key `json:"public-keys,omitempty"`
	*ec2Public
	InstanceType *string `json:"instance-type,omitempty"`
	*ec2Disks
	Placement map[string]string `json:"placement,omitempty"`
	Action    string            `json:"instance-action,omitempty"`
}

// ec2Public came with version [ec2Hostnames].
type ec2Public struct {
	LocalHostname  string `json:"local-hostname"`
	PublicHostname string `json:"public-hostname"`
	PublicIPv4     string `json:"public-ipv4"`
}

// ec2Disks came with version [ec2Devices].
type ec2Disks struct {
	BlockDevices blockMapping `json:"block-device-mapping"`
	KernelID     string       `json:"kernel-id,omitempty"`
	RamdiskID    string       `json:"ramdisk-id,omitempty"`
}

// ec2Key is a public key. Name is its line in the service's listing.
type ec2Key struct {
	Name string `json:"_name"`
	Data string `json:"openssh-key"`
}

// ec2MetaData returns the document of a version.
func (i *Instance) ec2MetaData(version string) []byte {
	d := ec2Document{
		ImageID: i.EC2.ImageID, LaunchIndex: i.LaunchIndex, ManifestPath: "FIXME", InstanceID: i.EC2.InstanceID,
		Hostname: i.Hostname, ReservationID: i.EC2.ReservationID, SecurityGroups: append([]string{}, i.EC2.SecurityGroups...),
	}
	if a := i.firstIPv4(); a.IsValid() {
		text := a.String()
		d.LocalIPv4 = &text
	}
	if i.Key != nil {
		d.PublicKeys = map[string]ec2Key{"0": {"0=" + i.Key.Name, i.Key.Data}}
	}
	i.addLaterFields(&d, version)
	return encode(d)
}

// addLaterFields adds what versions after the first one added.
func (i *Instance) addLaterFields(d *ec2Document, version string) {
	has := ec2Has(version)
	if has(ec2Hostnames) {
		d.ec2Public = &ec2Public{LocalHostname: i.Hostname, PublicHostname: i.Hostname}
		if len(i.EC2.PublicIPs) > 0 {
			d.PublicIPv4 = i.EC2.PublicIPs[0].String()
		}
	}
	if has(ec2Type) {
		d.InstanceType = &i.EC2.InstanceType
	}
	if has(ec2Devices) {
		d.ec2Disks = &ec2Disks{BlockDevices: i.EC2.BlockDevices, KernelID: i.EC2.KernelID, RamdiskID: i.EC2.RamdiskID}
	}
	if has(ec2Placement) {
		d.Placement = map[string]string{"availability-zone": i.AvailabilityZone}
	}
	if has(ec2Action) {
		d.Action = "none"
	}
}

// blockMapping is written as Nova orders it: the image, the root, swap, the
// rest. nova: block_device.py, instance_block_mapping.
type blockMapping map[string]string

// MarshalJSON returns the mapping as an object.
func (m blockMapping) MarshalJSON() ([]byte, error) {
	first := map[string]int{"ami": -3, "root": -2, "swap": -1}
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(first[a], first[b]), cmp.Compare(a, b))
	})
	var b bytes.Buffer
	b.WriteByte('{')
	for n, name := range names {
		if n > 0 {
			b.WriteByte(',')
		}
		b.Write(quote(name))
		b.WriteByte(':')
		b.Write(quote(m[name]))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
