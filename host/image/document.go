package image

import (
	"maps"
	"slices"
	"time"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Status of an image.
const (
	queued = "queued"
	active = "active"
)

// document is an image as the API shows it. glance: api/v2/images.py
// ResponseSerializer, 25.1.0.
func document(i *cloud.Image) api.Document {
	var d api.Document
	for _, k := range slices.Sorted(maps.Keys(i.Properties)) {
		d = append(d, api.Field{Name: k, Value: i.Properties[k]})
	}
	path := "/v2/images/" + string(i.ImageID)
	d = append(d, api.Document{
		{Name: "name", Value: orNull(i.Name)},
		{Name: "disk_format", Value: orNull(i.DiskFormat)},
		{Name: "container_format", Value: orNull(i.ContainerFormat)},
		{Name: "visibility", Value: i.Visibility},
		{Name: "size", Value: size(i)},
		{Name: "virtual_size", Value: virtualSize(i)},
		{Name: "status", Value: i.Status},
		{Name: "checksum", Value: orNull(i.MD5)},
		{Name: "protected", Value: i.Protected},
		{Name: "min_ram", Value: i.MinRAM},
		{Name: "min_disk", Value: i.MinDisk},
		{Name: "owner", Value: i.Owner},
		{Name: "os_hidden", Value: i.Hidden},
		{Name: "os_hash_algo", Value: hashAlgorithm(i)},
		{Name: "os_hash_value", Value: orNull(i.SHA512)},
		{Name: "id", Value: i.ImageID},
		{Name: "created_at", Value: i.CreatedAt.Format(time.RFC3339)},
		{Name: "updated_at", Value: i.UpdatedAt.Format(time.RFC3339)},
		{Name: "tags", Value: append([]string{}, i.Tags...)},
		{Name: "self", Value: path},
		{Name: "file", Value: path + "/file"},
		{Name: "schema", Value: "/v2/schemas/image"},
	}...)
	if i.Status == active {
		d = append(d, api.Field{Name: "stores", Value: "disk"})
	}
	return d
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func size(i *cloud.Image) any {
	if i.Status != active {
		return nil
	}
	return i.Size
}

// virtualSize is known for raw images only.
func virtualSize(i *cloud.Image) any {
	if i.DiskFormat != "raw" {
		return nil
	}
	return size(i)
}

func hashAlgorithm(i *cloud.Image) any {
	if i.SHA512 == "" {
		return nil
	}
	return "sha512"
}
