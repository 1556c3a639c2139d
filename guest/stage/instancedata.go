package stage

import (
	"fmt"
	"strings"

	"imprint/guest/datasource"
	"imprint/guest/module"
)

// cloudOf is what modules are told of the instance.
func cloudOf(i *datasource.Instance) module.Cloud {
	name := i.FQDN
	if name == "" {
		name = i.LocalHostname
	}
	return module.Cloud{
		InstanceID: i.InstanceID, LocalHostname: name, PublicKeys: i.PublicKeys,
		Source: i.String(), Fallback: i.Name == noneName,
	}
}

// record writes the instance data that other programs read.
func (b *Boot) record(i *datasource.Instance) error {
	ds := map[string]any{"meta_data": plain(i.MetaData)}
	if i.EC2 != nil {
		ds["ec2_metadata"] = plain(i.EC2)
	}
	if len(i.NetworkData) > 0 {
		ds["network_json"] = plain(rawJSON(i.NetworkData))
	}
	hostname := i.LocalHostname
	if hostname == "" { // cloud-init: sources/__init__.py get_hostname
		hostname, _, _ = strings.Cut(b.Distro.Live(), ".")
	}
	keys := i.PublicKeys
	if keys == nil {
		keys = []string{}
	}
	sensitive, public := b.instanceData(ds, map[string]any{
		"availability_zone": orNull(i.AvailabilityZone), "cloud_id": cloudID(i), "cloud_name": i.CloudName,
		"instance_id": i.InstanceID, "local_hostname": hostname, "platform": i.Platform,
		"public_ssh_keys": keys, "region": orNull(i.Region), "subplatform": i.Subplatform,
	})
	if err := b.Dir.StoreInstanceData(cloudID(i), sensitive, public); err != nil {
		return fmt.Errorf("record instance data: %w", err)
	}
	return nil
}

// cloudID is the cloud's name, or the platform's where the cloud does not say.
// cloud-init: sources/__init__.py canonical_cloud_id.
func cloudID(i *datasource.Instance) string {
	if i.CloudName == "unknown" && i.Platform != "" {
		return i.Platform
	}
	return i.CloudName
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
