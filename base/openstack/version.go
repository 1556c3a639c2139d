package openstack

import "slices"

// Version is the date that names a version of the OpenStack tree.
type Version string

// The versions of the OpenStack tree and what each added.
// nova: api/metadata/base.py, OPENSTACK_VERSIONS.
const (
	Folsom    Version = "2012-08-10" // meta_data.json, user_data
	Grizzly   Version = "2013-04-04" // random_seed, password
	Havana    Version = "2013-10-17" // vendor_data.json
	Liberty   Version = "2015-10-15" // project_id, network_data.json
	NewtonOne Version = "2016-06-30" // devices
	NewtonTwo Version = "2016-10-06" // vendor_data2.json
	Ocata     Version = "2017-02-22" // vlan of a device
	Rocky     Version = "2018-08-27" // vf_trusted of a device
	Victoria  Version = "2020-10-14" // dedicated_cpus
	Epoxy     Version = "2025-04-04" // shares among the devices; Nova 31
)

// Latest is the name that stands for the newest version in both trees.
const Latest = "latest"

// Versions returns the versions of the OpenStack tree, oldest first.
func Versions() []Version {
	return []Version{Folsom, Grizzly, Havana, Liberty, NewtonOne, NewtonTwo, Ocata, Rocky, Victoria, Epoxy}
}

// ParseVersion reads a version, or "latest" as the newest.
func ParseVersion(s string) (Version, bool) {
	if s == Latest {
		return Epoxy, true
	}
	return Version(s), slices.Contains(Versions(), Version(s))
}

// Has reports whether what was added with version added is part of v. The
// versions are dates, so their order is that of their text.
func (v Version) Has(added Version) bool { return v >= added }

// The versions of the EC2 tree that added something.
// nova: api/metadata/base.py, get_ec2_metadata.
const (
	ec2Hostnames = "2007-01-19" // local-hostname, public-hostname, public-ipv4
	ec2Type      = "2007-08-29" // instance-type
	ec2Devices   = "2007-12-15" // block-device-mapping, kernel-id, ramdisk-id
	ec2Placement = "2008-02-01" // placement/
	ec2Action    = "2008-09-01" // instance-action
	ec2Newest    = "2009-04-04"
)

// EC2Versions returns the versions of the EC2 tree, oldest first.
// nova: api/metadata/base.py, VERSIONS.
func EC2Versions() []string {
	return []string{
		"1.0", ec2Hostnames, "2007-03-01", ec2Type, "2007-10-10",
		ec2Devices, ec2Placement, ec2Action, ec2Newest,
	}
}

// ec2Has returns whether what was added with a version is part of another.
func ec2Has(version string) func(added string) bool {
	versions := EC2Versions()
	at := slices.Index(versions, version)
	return func(added string) bool { return at >= slices.Index(versions, added) }
}

// parseEC2Version reads a version of the EC2 tree, or "latest" as the newest.
func parseEC2Version(s string) (string, bool) {
	if s == Latest {
		return ec2Newest, true
	}
	return s, slices.Contains(EC2Versions(), s)
}
