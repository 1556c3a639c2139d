package image

import "imprint/host/api"

// versions lists what glance 25.1.0 without optional stores lists.
func versions(status int) api.Handler {
	return func(r *api.Request) (api.Response, error) {
		links := []any{api.Document{{Name: "rel", Value: "self"}, {Name: "href", Value: r.Link("/v2/")}}}
		list := []any{
			api.Document{{Name: "id", Value: "v2.15"}, {Name: "status", Value: "CURRENT"}, {Name: "links", Value: links}},
		}
		for _, id := range [...]string{"v2.13", "v2.9", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"} {
			list = append(list, api.Document{{Name: "id", Value: id}, {Name: "status", Value: "SUPPORTED"}, {Name: "links", Value: links}})
		}
		return api.Answer(status, api.Document{{Name: "versions", Value: list}})
	}
}

// schemaProperties names the attributes that every image has, with their types.
func schemaProperties() api.Document {
	text := api.Document{{Name: "type", Value: []string{"null", "string"}}}
	number := api.Document{{Name: "type", Value: []string{"null", "integer"}}}
	truth := api.Document{{Name: "type", Value: "boolean"}}
	var d api.Document
	for _, n := range [...]string{"id", "name", "status", "visibility", "checksum", "os_hash_algo", "os_hash_value", "owner",
		"created_at", "updated_at", "container_format", "disk_format", "self", "file", "schema"} {
		d = append(d, api.Field{Name: n, Value: text})
	}
	for _, n := range [...]string{"size", "virtual_size", "min_ram", "min_disk"} {
		d = append(d, api.Field{Name: n, Value: number})
	}
	return append(d, api.Field{Name: "protected", Value: truth}, api.Field{Name: "os_hidden", Value: truth},
		api.Field{Name: "tags", Value: api.Document{{Name: "type", Value: "array"}}})
}

func imageSchema(*api.Request) (api.Response, error) {
	return api.OK(api.Document{{Name: "name", Value: "image"}, {Name: "properties", Value: schemaProperties()},
		{Name: "additionalProperties", Value: api.Document{{Name: "type", Value: "string"}}}})
}

func imagesSchema(*api.Request) (api.Response, error) {
	items := api.Document{{Name: "type", Value: "array"}, {Name: "items", Value: api.Document{{Name: "$ref", Value: "/v2/schemas/image"}}}}
	return api.OK(api.Document{{Name: "name", Value: "images"}, {Name: "properties", Value: api.Document{{Name: "images", Value: items}}}})
}
