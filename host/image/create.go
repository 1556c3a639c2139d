package image

import (
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

func (r *Role) create(req *api.Request) (api.Response, error) {
	i, err := readImage(req)
	if err != nil {
		return api.Response{}, err
	}
	err = r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		if m.Images[i.ImageID] != nil {
			return cloud.Txn{}, cloud.Errorf(cloud.Conflict, "Image ID %s already exists!", i.ImageID)
		}
		return cloud.Txn{Put: []cloud.Record{i}}, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	res, err := r.answer(i.ImageID, http.StatusCreated)
	res.Header = http.Header{"Location": {req.Link("/v2/images/" + string(i.ImageID))}}
	return res, err
}

// readImage makes the image that a request describes.
func readImage(req *api.Request) (*cloud.Image, error) {
	o, err := req.Object("")
	if err != nil {
		return nil, err
	}
	i := &cloud.Image{Owner: req.Caller.ProjectID, Status: queued, Visibility: "shared", Properties: map[string]string{}}
	for _, key := range o.Names() {
		if !o.Has(key) || key == "id" {
			continue
		}
		if err := setAttribute(i, req.Caller, key, o, key); err != nil {
			return nil, err
		}
	}
	i.ImageID = cloud.ImageID(o.UUID("id"))
	if i.ImageID == "" {
		i.ImageID = cloud.ImageID(cloud.NewUUID())
	}
	return i, o.Err()
}

// answer shows the image as it is now.
func (r *Role) answer(id cloud.ImageID, status int) (api.Response, error) {
	var i *cloud.Image
	r.store.View(func(m *cloud.Model) { i = m.Images[id] })
	if i == nil {
		return api.Response{}, cloud.Errorf(cloud.NotFound, "No image found with ID %s", id)
	}
	return api.Answer(status, document(i))
}

func (r *Role) show(req *api.Request) (api.Response, error) {
	var i *cloud.Image
	var err error
	r.store.View(func(m *cloud.Model) { i, err = find(m, req) })
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(document(i))
}

func (r *Role) remove(req *api.Request) (api.Response, error) {
	err := r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		i, err := owned(m, req)
		if err != nil {
			return cloud.Txn{}, err
		}
		if i.Protected {
			return cloud.Txn{}, cloud.Errorf(cloud.Forbidden, "Image %s is protected and cannot be deleted.", i.ImageID)
		}
		return cloud.Txn{Delete: []cloud.Record{i}}, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}
