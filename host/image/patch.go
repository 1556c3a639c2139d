package image

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

const maxPatch = 256

// change is one operation of a JSON patch (RFC 6902) on a top-level member.
type change struct {
	op, key string
	object  *api.Object // its value stands under "value"
}

func (r *Role) patch(req *api.Request) (api.Response, error) {
	changes, err := readPatch(req)
	if err != nil {
		return api.Response{}, err
	}
	err = r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		i, err := owned(m, req)
		if err != nil {
			return cloud.Txn{}, err
		}
		i.Properties, i.Tags = maps.Clone(i.Properties), slices.Clone(i.Tags)
		if i.Properties == nil {
			i.Properties = map[string]string{}
		}
		for _, c := range changes {
			if err := c.apply(i, req.Caller); err != nil {
				return cloud.Txn{}, err
			}
			if err := c.object.Err(); err != nil {
				return cloud.Txn{}, err
			}
		}
		return cloud.Txn{Put: []cloud.Record{i}}, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.answer(cloud.ImageID(req.PathValue("id")), http.StatusOK)
}

func readPatch(req *api.Request) ([]change, error) {
	if ctype := req.Header.Get("Content-Type"); !strings.HasPrefix(ctype, "application/openstack-images-v2.") {
		return nil, &api.StatusError{Status: http.StatusUnsupportedMediaType,
			Text:   "The content type must be application/openstack-images-v2.1-json-patch.",
			Header: http.Header{"Accept-Patch": {"application/openstack-images-v2.1-json-patch"}}}
	}
	list, err := req.List(maxPatch)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, o := range list {
		c := change{op: o.Enum("op", "add", "replace", "remove"), object: o}
		o.Require("op", "path")
		o.Ignore("value")
		path := o.Text("path", 2, maxPropertyKey)
		key, ok := strings.CutPrefix(path, "/")
		if !ok || strings.Contains(key, "/") {
			o.Fail("path", "It must name one attribute, such as /name.")
		}
		c.key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
		changes = append(changes, c)
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, changes[0].object.Err()
}

func (c change) apply(i *cloud.Image, caller cloud.Caller) error {
	_, exists := i.Properties[c.key]
	switch {
	case c.key == "id":
		return cloud.Errorf(cloud.Forbidden, "Attribute 'id' is read-only.")
	case c.op == "remove" && base(c.key):
		return cloud.Errorf(cloud.Forbidden, "Property %s may not be removed.", c.key)
	case c.op != "add" && !base(c.key) && !exists:
		return cloud.Errorf(cloud.Conflict, "Property %s does not exist.", c.key)
	case c.op == "remove":
		delete(i.Properties, c.key)
		return nil
	}
	return setAttribute(i, caller, c.key, c.object, "value")
}
