package compute

import (
	"maps"
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

func (r *Role) listMetadata(req *api.Request) (api.Response, error) {
	v, err := r.seen(req)
	if err != nil {
		return api.Response{}, err
	}
	return metadataAnswer(v.Metadata)
}

func metadataAnswer(metadata map[string]string) (api.Response, error) {
	if metadata == nil {
		metadata = map[string]string{}
	}
	return api.OK(api.Document{{Name: "metadata", Value: metadata}})
}

// changeMetadata lets change make new metadata of the old.
func (r *Role) changeMetadata(req *api.Request, change func(map[string]string) (map[string]string, error)) (map[string]string, error) {
	var changed map[string]string
	err := r.changeServer(req, func(_ *cloud.Model, s *cloud.Server) (err error) {
		if s.Deleting {
			return wrongState(s, "update metadata", "task_state", "deleting")
		}
		old := s.Metadata
		if old == nil {
			old = map[string]string{}
		}
		if s.Metadata, err = change(old); err != nil {
			return err
		}
		if len(s.Metadata) > maxMetadata {
			return cloud.Errorf(cloud.Forbidden, "Maximum number of metadata items exceeds %d", maxMetadata)
		}
		changed = s.Metadata
		return nil
	})
	return changed, err
}

// readMetadata reads metadata below envelope.
func readMetadata(req *api.Request, envelope string) (map[string]string, error) {
	o, err := req.Object(envelope)
	if err != nil {
		return nil, err
	}
	pairs := readPairs(o, metadataKey, maxMetadata)
	return pairs, o.Err()
}

func (r *Role) addMetadata(req *api.Request) (api.Response, error) {
	pairs, err := readMetadata(req, "metadata")
	if err != nil {
		return api.Response{}, err
	}
	all, err := r.changeMetadata(req, func(have map[string]string) (map[string]string, error) {
		maps.Copy(have, pairs)
		return have, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return metadataAnswer(all)
}

func (r *Role) replaceMetadata(req *api.Request) (api.Response, error) {
	pairs, err := readMetadata(req, "metadata")
	if err != nil {
		return api.Response{}, err
	}
	all, err := r.changeMetadata(req, func(map[string]string) (map[string]string, error) { return pairs, nil })
	if err != nil {
		return api.Response{}, err
	}
	return metadataAnswer(all)
}

func (r *Role) showMetadata(req *api.Request) (api.Response, error) {
	v, err := r.seen(req)
	if err != nil {
		return api.Response{}, err
	}
	key := req.PathValue("key")
	value, ok := v.Metadata[key]
	if !ok {
		return api.Response{}, errMetadata
	}
	return metaAnswer(key, value)
}

var errMetadata = cloud.Errorf(cloud.NotFound, "Metadata item was not found")

func metaAnswer(key, value string) (api.Response, error) {
	return api.OK(api.Document{{Name: "meta", Value: map[string]string{key: value}}})
}

func (r *Role) setMetadata(req *api.Request) (api.Response, error) {
	pairs, err := readMetadata(req, "meta")
	if err != nil {
		return api.Response{}, err
	}
	key := req.PathValue("key")
	value, ok := pairs[key]
	if !ok || len(pairs) != 1 {
		return api.Response{}, cloud.Errorf(cloud.Invalid, "Request body and URI mismatch")
	}
	_, err = r.changeMetadata(req, func(have map[string]string) (map[string]string, error) {
		have[key] = value
		return have, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return metaAnswer(key, value)
}

func (r *Role) deleteMetadata(req *api.Request) (api.Response, error) {
	key := req.PathValue("key")
	_, err := r.changeMetadata(req, func(have map[string]string) (map[string]string, error) {
		if _, ok := have[key]; !ok {
			return nil, errMetadata
		}
		delete(have, key)
		return have, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}
