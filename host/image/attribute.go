package image

import (
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Bounds of what describes an image. glance: image_property_quota and
// image_tag_quota, 25.1.0.
const (
	maxProperties    = 128
	maxPropertyKey   = 255
	maxPropertyValue = 16 << 10
	maxTags          = 128
)

// setAttribute sets the attribute or property key of i to the value that
// stands in o under field.
func setAttribute(i *cloud.Image, c cloud.Caller, key string, o *api.Object, field string) error {
	switch key {
	case "name":
		i.Name = o.Text(field, 0, 255)
	case "visibility":
		return setVisibility(i, c, o.Enum(field, "public", "private", "shared"))
	case "protected":
		i.Protected = o.Bool(field, false)
	case "os_hidden":
		i.Hidden = o.Bool(field, false)
	case "tags":
		i.Tags = slices.Compact(slices.Sorted(slices.Values(o.Texts(field, maxTags))))
	case "min_disk":
		i.MinDisk = int64(o.Int(field, 0, 0, 1<<31-1))
	case "min_ram":
		i.MinRAM = int64(o.Int(field, 0, 0, 1<<31-1))
	case "disk_format":
		i.DiskFormat = o.Enum(field, "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
	case "container_format":
		i.ContainerFormat = o.Enum(field, "ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
	case "owner":
		return setOwner(i, c, cloud.ProjectID(o.Text(field, 1, 64)))
	default:
		return setProperty(i, key, o, field)
	}
	return nil
}

func setVisibility(i *cloud.Image, c cloud.Caller, v string) error {
	if v == "public" && !c.Admin() {
		return cloud.Errorf(cloud.Forbidden, "You are not authorized to complete publicize_image action.")
	}
	i.Visibility = v
	return nil
}

func setOwner(i *cloud.Image, c cloud.Caller, owner cloud.ProjectID) error {
	if !c.Sees(owner) {
		return cloud.Errorf(cloud.Forbidden, "You are not permitted to create images owned by '%s'.", owner)
	}
	i.Owner = owner
	return nil
}

// fixed reports whether the service alone sets an attribute.
func fixed(key string) bool {
	return slices.Contains([]string{"status", "checksum", "size", "virtual_size", "created_at", "updated_at", "self", "file",
		"schema", "stores", "os_hash_algo", "os_hash_value", "locations", "direct_url", "deleted", "deleted_at"}, key)
}

// base reports whether key is an attribute that every image has.
func base(key string) bool {
	return fixed(key) || slices.Contains([]string{"id", "name", "visibility", "protected", "os_hidden", "tags", "min_disk",
		"min_ram", "disk_format", "container_format", "owner"}, key)
}

func setProperty(i *cloud.Image, key string, o *api.Object, field string) error {
	if fixed(key) {
		return cloud.Errorf(cloud.Forbidden, "Attribute '%s' is read-only.", key)
	}
	if key == "" || len(key) > maxPropertyKey || !api.Line(key) {
		o.Fail(field, "A property's name must have 1 to %d printable bytes.", maxPropertyKey)
		return nil
	}
	if !o.IsText(field) {
		o.Fail(field, "A property must be a text.")
	}
	i.Properties[key] = o.Multiline(field, 0, maxPropertyValue)
	if len(i.Properties) > maxProperties {
		return cloud.Errorf(cloud.TooLarge, "The limit has been exceeded on the number of allowed image properties. Attempted: %d, Maximum: %d",
			len(i.Properties), maxProperties)
	}
	return nil
}
