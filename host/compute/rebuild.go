package compute

import (
	"net/http"
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// rebuildForm is what a rebuild asks: the image, and of what the guest is told
// that which is to change. What a request gives as null is unset.
type rebuildForm struct {
	serverForm
	newDescription, newKey, newUserData bool
}

// readRebuild reads the field "rebuild". What create does not do is refused
// here too, a password among it. nova: api/openstack/compute/schemas/servers.py
// rebuild, 26.2.2.
func readRebuild(req *api.Request, root *api.Object) (*rebuildForm, error) {
	o, v := root.Object("rebuild"), req.Version
	given := func(name string) bool { return o.Has(name) || o.Null(name) }
	f := &rebuildForm{}
	o.Require("imageRef")
	f.name, f.image = o.Name("name", 255), cloud.ImageID(o.UUID("imageRef"))
	f.readGuest(o, v)
	f.newDescription = v.AtLeast(2, 19) && given("description")
	if v.AtLeast(2, 54) {
		f.key, f.newKey = o.Text("key_name", 1, 255), given("key_name")
	}
	if v.AtLeast(2, 57) {
		f.userData, f.newUserData = readBase64(o, "user_data", maxUserData), given("user_data")
	}
	if v.AtLeast(2, 63) {
		o.Refuse("trusted_image_certificates")
	}
	o.Enum("OS-DCF:diskConfig", "AUTO", "MANUAL")
	o.Refuse("adminPass", "accessIPv4", "accessIPv6", "preserve_ephemeral")
	return f, root.Err()
}

// apply makes of s the server that was asked for. Its hostname, flavor, NICs and
// the password that the old guest set stay; injected files are those of the
// request alone. nova: compute/api.py rebuild, 26.2.2.
func (f *rebuildForm) apply(m *cloud.Model, c cloud.Caller, s *cloud.Server) error {
	st := stateOf(s)
	switch {
	case s.Host == "" || !slices.Contains([]string{"active", "stopped", "error"}, st.vm):
		return wrongState(s, "rebuild", "vm_state", st.vm)
	case st.task != "":
		return wrongState(s, "rebuild", "task_state", st.task)
	}
	image := m.Images[f.image]
	if image == nil || !image.VisibleTo(c) {
		return cloud.Errorf(cloud.Invalid, "Cannot find image for rebuild")
	}
	if err := useImage(s, image); err != nil {
		return err
	}
	if f.newKey {
		if err := useKey(m, c, s, f.key); err != nil {
			return err
		}
	}
	f.tell(s)
	if node := m.Nodes[s.Host]; node != nil {
		s.ConfigDrive = s.ConfigDrive || node.ForceConfigDrive
	}
	s.Power = cloud.PowerOn
	if st.vm == "stopped" {
		s.Power = cloud.PowerOff
	}
	s.RebuildGeneration++
	s.DriveGeneration++
	return nil
}

// tell changes what the guest is told in so many words.
func (f *rebuildForm) tell(s *cloud.Server) {
	if f.name != "" {
		s.Name = f.name
	}
	if f.hostname != "" {
		s.HostName = f.hostname
	}
	if f.newDescription {
		s.Description = f.description
	}
	if f.metadata != nil {
		s.Metadata = f.metadata
	}
}

// rebuild has the server's node make it anew of an image.
func (r *Role) rebuild(req *api.Request, o *api.Object) (api.Response, error) {
	f, err := readRebuild(req, o)
	if err != nil {
		return api.Response{}, err
	}
	if err := r.rebuildable(req, f); err != nil {
		return api.Response{}, err
	}
	var kept cloud.Server
	if err := r.keep(req.Context(), &f.serverForm, &kept); err != nil {
		return api.Response{}, err
	}
	err = r.changeServer(req, func(m *cloud.Model, s *cloud.Server) error {
		s.Files = kept.Files
		if f.newUserData {
			s.UserData = kept.UserData
		}
		return f.apply(m, req.Caller, s)
	})
	if err != nil {
		return api.Response{}, err
	}
	return r.rebuilt(req)
}

// rebuildable checks all of a form before its bytes are kept.
func (r *Role) rebuildable(req *api.Request, f *rebuildForm) (err error) {
	r.store.View(func(m *cloud.Model) {
		var old *cloud.Server
		if old, err = server(m, req); err == nil {
			s := *old
			err = f.apply(m, req.Caller, &s)
		}
	})
	return err
}

// rebuilt is the answer to a rebuild. As with create, there is no adminPass in
// it. nova: api/openstack/compute/servers.py _action_rebuild, 26.2.2.
func (r *Role) rebuilt(req *api.Request) (api.Response, error) {
	v, err := r.seen(req)
	if err != nil {
		return api.Response{}, err
	}
	var d api.Document
	if req.Version.AtLeast(2, 75) {
		if d, err = serverDetail(r, req, v); err != nil {
			return api.Response{}, err
		}
		d = slices.DeleteFunc(d, func(f api.Field) bool { return f.Name == "OS-EXT-SRV-ATTR:user_data" })
	} else {
		d = v.brief(req, false)
		if req.Version.AtLeast(2, 54) {
			d = append(d, api.Field{Name: "key_name", Value: orNull(v.KeyName)})
		}
		d = append(d, v.newer(req)...)
	}
	if req.Version.AtLeast(2, 71) {
		d = append(d, api.Field{Name: "server_groups", Value: []string{}})
	}
	if req.Version.AtLeast(2, 57) {
		data, err := r.userData(v.Server)
		if err != nil {
			return api.Response{}, err
		}
		d = append(d, api.Field{Name: "user_data", Value: data})
	}
	return api.Response{Status: http.StatusAccepted, Body: api.Document{{Name: "server", Value: d}},
		Header: http.Header{"Location": {req.Link("/v2.1/servers/" + v.ID())}}}, nil
}
