package compute

import (
	"net/http"

	"imprint/host/api"
	"imprint/host/cloud"
)

// maxPassword bounds a password in bytes. nova: api/metadata/password.py.
const maxPassword = 1020

// showPassword tells what an instance set as its password over the metadata
// service. nova: api/openstack/compute/server_password.py.
func (r *Role) showPassword(req *api.Request) (api.Response, error) {
	v, err := r.seen(req)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.Document{{Name: "password", Value: v.Password}})
}

// clearPassword lets the instance set another one.
func (r *Role) clearPassword(req *api.Request) (api.Response, error) {
	err := r.changeServer(req, func(_ *cloud.Model, s *cloud.Server) error {
		s.Password = ""
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}

// setPassword is for a metadata service that may not write to the store: it
// sets the password of a server that has none. Nova has no such request; its
// metadata service writes to the database.
func (r *Role) setPassword(req *api.Request) (api.Response, error) {
	if err := admin(req, "os_compute_api:os-server-password:set"); err != nil {
		return api.Response{}, err
	}
	o, err := req.Object("")
	if err != nil {
		return api.Response{}, err
	}
	o.Require("password")
	password := o.Multiline("password", 1, maxPassword)
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	if len(password) > maxPassword {
		return api.Response{}, cloud.Errorf(cloud.Invalid, "The password is longer than %d bytes.", maxPassword)
	}
	err = r.changeServer(req, func(_ *cloud.Model, s *cloud.Server) error {
		if s.Password != "" {
			return cloud.Errorf(cloud.Conflict, "The server has a password.")
		}
		s.Password = password
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusNoContent)
}
