package identity

import (
	"net/http"

	"imprint/host/api"
)

// versionDocument is what keystone 22.0.2 says of itself.
func versionDocument(r *api.Request) api.Document {
	return api.Document{
		{Name: "id", Value: "v3.14"},
		{Name: "status", Value: "stable"},
		{Name: "updated", Value: "2020-04-07T00:00:00Z"},
		{Name: "links", Value: []any{api.Document{{Name: "rel", Value: "self"}, {Name: "href", Value: r.Link("/v3/")}}}},
		{Name: "media-types", Value: []any{api.Document{{Name: "base", Value: "application/json"},
			{Name: "type", Value: "application/vnd.openstack.identity-v3+json"}}}},
	}
}

func versions(r *api.Request) (api.Response, error) {
	return api.Answer(http.StatusMultipleChoices,
		api.Document{{Name: "versions", Value: api.Document{{Name: "values", Value: []any{versionDocument(r)}}}}})
}

func version(r *api.Request) (api.Response, error) {
	return api.OK(api.Document{{Name: "version", Value: versionDocument(r)}})
}
