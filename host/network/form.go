package network

import (
	"imprint/host/api"
	"imprint/host/cloud"
)

// maxText bounds names and descriptions (neutron_lib/db/constants.py).
const maxText = 255

// project returns the project that a new thing is to belong to: another than
// the caller's only for administrators.
func project(r *api.Request, o *api.Object) (cloud.ProjectID, error) {
	id := o.Text("project_id", 0, 64)
	if tenant := o.Text("tenant_id", 0, 64); id == "" {
		id = tenant
	}
	if id == "" || cloud.ProjectID(id) == r.Caller.ProjectID {
		return r.Caller.ProjectID, nil
	}
	if !r.Caller.Admin() {
		return "", forbidden("Specifying another project_id")
	}
	return cloud.ProjectID(id), nil
}

// describe reads what everything has.
func describe(o *api.Object, name, description *string, down *bool) {
	if o.Has("name") {
		*name = o.Text("name", 0, maxText)
	}
	if o.Has("description") {
		*description = o.Text("description", 0, maxText)
	}
	if down != nil && o.Has("admin_state_up") {
		*down = !o.Bool("admin_state_up", true)
	}
}
