package compute

import (
	"imprint/host/api"
)

// The microversions of nova 26.2.2.
func minVersion() api.Version { return api.Version{Major: 2, Minor: 1} }
func maxVersion() api.Version { return api.Version{Major: 2, Minor: 93} }

func versionDocument(req *api.Request) api.Document {
	return api.Document{
		{Name: "id", Value: "v2.1"}, {Name: "status", Value: "CURRENT"}, {Name: "version", Value: maxVersion().String()},
		{Name: "min_version", Value: minVersion().String()}, {Name: "updated", Value: "2013-07-23T11:33:21Z"},
		{Name: "links", Value: []api.Document{{{Name: "rel", Value: "self"}, {Name: "href", Value: req.Link("/v2.1/")}}}},
	}
}

func versions(req *api.Request) (api.Response, error) {
	return api.OK(api.Document{{Name: "versions", Value: []api.Document{versionDocument(req)}}})
}

func version(req *api.Request) (api.Response, error) {
	d := versionDocument(req)
	d[5].Value = append(d[5].Value.([]api.Document), api.Document{{Name: "rel", Value: "describedby"},
		{Name: "type", Value: "text/html"}, {Name: "href", Value: "http://docs.openstack.org/"}})
	d = append(d, api.Field{Name: "media-types", Value: []api.Document{{{Name: "base", Value: "application/json"},
		{Name: "type", Value: "application/vnd.openstack.compute+json;version=2.1"}}}})
	return api.OK(api.Document{{Name: "version", Value: d}})
}
