package compute

import (
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

// noHost is Nova's fault of a server that no node can take.
const noHost = "No valid host was found. There are not enough hosts available."

func (r *Role) createServers(req *api.Request) (api.Response, error) {
	form, err := readServer(req)
	if err != nil {
		return api.Response{}, err
	}
	base, err := r.prepare(req, form)
	if err != nil {
		return api.Response{}, err
	}
	var servers []*cloud.Server
	for i := range form.max {
		s, err := r.launch(req, form, base, i)
		if err != nil {
			return api.Response{}, r.undo(req, servers, err)
		}
		servers = append(servers, s)
	}
	if form.onlyReservation {
		return api.Answer(http.StatusAccepted, map[string]string{"reservation_id": base.ReservationID})
	}
	return api.Response{Status: http.StatusAccepted, Body: created(req, servers[0], form.groups),
		Header: http.Header{"Location": {req.Link("/v2.1/servers/" + servers[0].ID())}}}, nil
}

// created is the answer to a launch. There is no adminPass in it, as with
// nova's enable_instance_password switched off: nothing would set it.
func created(req *api.Request, s *cloud.Server, groups []string) api.Document {
	if len(groups) == 0 {
		groups = s.SecurityGroups
	}
	return api.Document{{Name: "server", Value: api.Document{
		{Name: "id", Value: s.ServerID}, {Name: "links", Value: links(req, "servers", s.ID())},
		{Name: "OS-DCF:diskConfig", Value: "MANUAL"}, {Name: "security_groups", Value: groupDocuments(groups)}}}}
}

func groupDocuments(names []string) []api.Document {
	docs := []api.Document{}
	for _, n := range names {
		docs = append(docs, api.Document{{Name: "name", Value: n}})
	}
	return docs
}

// prepare checks all of a form before anything is kept, then keeps its bytes.
// It returns what all servers of the launch have in common.
func (r *Role) prepare(req *api.Request, form *serverForm) (*cloud.Server, error) {
	s := &cloud.Server{ProjectID: req.Caller.ProjectID, UserID: req.Caller.UserID, Description: form.description,
		Metadata: form.metadata, State: cloud.InstanceBuilding, Power: cloud.PowerOn,
		ReservationID: newReservation(), BootRoles: strings.Join(req.Caller.Roles, ",")}
	var err error
	r.store.View(func(m *cloud.Model) {
		if err = r.resolve(m, req.Caller, form, s); err == nil {
			_, err = r.wanted(m, req.Caller, form)
		}
	})
	if err != nil {
		return nil, err
	}
	return s, r.keep(req.Context(), form, s)
}

// resolve finds what the form names and copies into s what the guest will be
// told, as it is now.
func (r *Role) resolve(m *cloud.Model, c cloud.Caller, form *serverForm, s *cloud.Server) error {
	f, err := flavor(m, c, form.flavor)
	if err != nil {
		return cloud.Errorf(cloud.Invalid, "Invalid flavorRef provided.")
	}
	image := m.Images[form.image]
	if image == nil || !image.VisibleTo(c) {
		return cloud.Errorf(cloud.Invalid, "Can not find requested image")
	}
	s.Flavor, s.ConfigDrive = *f, form.configDrive
	if err := useImage(s, image); err != nil {
		return err
	}
	if err := useKey(m, c, s, form.key); err != nil {
		return err
	}
	if s.SecurityGroups, err = r.groups(c, form.groups); err != nil {
		return err
	}
	return form.place.check(m, c)
}

// useImage gives s the image if that fits its flavor.
func useImage(s *cloud.Server, i *cloud.Image) error {
	if err := fits(i, &s.Flavor); err != nil {
		return err
	}
	s.ImageID, s.Tree = i.ImageID, i.Properties[cloud.TreeProperty]
	// nova: virt/configdrive.py, required_by.
	s.ConfigDrive = s.ConfigDrive || i.Properties[cloud.DriveProperty] == cloud.DriveMandatory
	return nil
}

// useKey gives s the caller's key pair of that name, or with "" none.
func useKey(m *cloud.Model, c cloud.Caller, s *cloud.Server, name string) error {
	if name == "" {
		s.KeyName, s.KeyType, s.PublicKey = "", "", ""
		return nil
	}
	k := m.KeyPairs[cloud.KeyPairID(c.UserID, name)]
	if k == nil {
		return cloud.Errorf(cloud.Invalid, "Invalid key_name provided.")
	}
	s.KeyName, s.KeyType, s.PublicKey = k.Name, k.Type, k.PublicKey
	return nil
}

func (r *Role) groups(c cloud.Caller, asked []string) ([]string, error) {
	if len(asked) == 0 {
		asked = []string{"default"}
	}
	var names []string
	seen := map[string]bool{}
	for _, g := range asked {
		name, ok := r.ports.SecurityGroup(c.ProjectID, g)
		if !ok {
			return nil, cloud.Errorf(cloud.Invalid, "Security group %s not found for project %s.", g, c.ProjectID)
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names, nil
}

// fits refuses an image that is not ready or does not fit the flavor.
func fits(i *cloud.Image, f *cloud.Flavor) error {
	switch {
	case i.Status != "active":
		return cloud.Errorf(cloud.Invalid, "Image %s is not active.", i.ImageID)
	case int64(f.RAM) < i.MinRAM:
		return cloud.Errorf(cloud.Invalid, "Flavor's memory is too small for requested image.")
	case f.Disk != 0 && int64(f.Disk) < i.MinDisk:
		return cloud.Errorf(cloud.Invalid, "Flavor's disk is too small for requested image. Flavor disk is %d GiB, minimum size is %d GiB.",
			f.Disk, i.MinDisk)
	}
	return nil
}

// keep stores the bytes that the guest will get.
func (r *Role) keep(ctx context.Context, form *serverForm, s *cloud.Server) error {
	if len(form.userData) > 0 {
		d, _, err := r.blobs.Put(ctx, bytes.NewReader(form.userData), maxUserData)
		if err != nil {
			return err
		}
		s.UserData = d
	}
	for _, f := range form.files {
		d, n, err := r.blobs.Put(ctx, bytes.NewReader(f.contents), maxFileContent)
		if err != nil {
			return err
		}
		s.Files = append(s.Files, cloud.InjectedFile{Path: f.path, Blob: d, Size: n})
	}
	return nil
}

// launch makes server number i of a form: in one transaction the server, its
// place and its ports.
func (r *Role) launch(req *api.Request, form *serverForm, base *cloud.Server, i int) (*cloud.Server, error) {
	number, err := r.store.NextNumber(req.Context(), "server")
	if err != nil {
		return nil, err
	}
	id := cloud.ServerID(cloud.NewUUID())
	var s *cloud.Server
	err = r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		c := *base
		s = &c
		s.ServerID, s.Number, s.LaunchIndex = id, number, i
		nameServer(s, form.name, form.hostname, i, form.max)
		if err := r.resolve(m, req.Caller, form, s); err != nil {
			return cloud.Txn{}, err
		}
		tx, err := r.settle(m, req.Caller, form, s)
		tx.Put = append(tx.Put, s)
		return tx, err
	})
	return s, err
}

// settle places the server and plugs it. A server without a place is kept too:
// it says why.
func (r *Role) settle(m *cloud.Model, c cloud.Caller, form *serverForm, s *cloud.Server) (cloud.Txn, error) {
	nics, err := r.wanted(m, c, form)
	if err != nil {
		return cloud.Txn{}, err
	}
	node := form.place.choose(m)
	if node == nil {
		s.State, s.Fault, s.Ports, s.AvailabilityZone = cloud.InstanceError, noHost, []cloud.PortID{}, form.place.zone
		return cloud.Txn{}, nil
	}
	s.Host, s.AvailabilityZone = node.Name, zoneOf(node)
	s.ConfigDrive = s.ConfigDrive || node.ForceConfigDrive
	return r.plug(m, c, s, nics)
}

// undo removes the servers of a launch that failed half way.
func (r *Role) undo(req *api.Request, servers []*cloud.Server, cause error) error {
	ctx := context.WithoutCancel(req.Context())
	for _, s := range servers {
		if err := r.destroy(ctx, s.ServerID); err != nil {
			return err
		}
	}
	return cause
}

// newReservation is an id of Nova's form: r- and eight letters or digits.
func newReservation() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, 8)
	rand.Read(b)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return "r-" + string(b)
}
