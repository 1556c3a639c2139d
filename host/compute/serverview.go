package compute

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// view is a server with what is shown of its surroundings.
type view struct {
	*cloud.Server
	ports    []*cloud.Port
	networks map[cloud.NetworkID]string // names
}

func look(m *cloud.Model, s *cloud.Server) view {
	v := view{Server: s, networks: map[cloud.NetworkID]string{}}
	for _, id := range s.Ports {
		p := m.Ports[id]
		if p == nil || p.DeviceID != string(s.ServerID) {
			continue
		}
		v.ports = append(v.ports, p)
		if n := m.Networks[p.NetworkID]; n != nil {
			v.networks[p.NetworkID] = n.Name
		}
	}
	return v
}

func serverSummary(_ *Role, req *api.Request, v view) (api.Document, error) {
	return api.Document{{Name: "id", Value: v.ServerID}, {Name: "name", Value: v.Name}, {Name: "links", Value: links(req, "servers", v.ID())}}, nil
}

// addresses are listed by the name of the network, in the order of the NICs.
func (v view) addresses(extended bool) api.Document {
	d := api.Document{}
	for _, p := range v.ports {
		name := v.networks[p.NetworkID]
		i := slices.IndexFunc(d, func(f api.Field) bool { return f.Name == name })
		if i < 0 {
			i, d = len(d), append(d, api.Field{Name: name, Value: []api.Document{}})
		}
		for _, ip := range p.FixedIPs {
			d[i].Value = append(d[i].Value.([]api.Document), address(p, ip, extended))
		}
	}
	return d
}

func address(p *cloud.Port, ip cloud.FixedIP, extended bool) api.Document {
	version := 4
	if ip.Addr.Is6() {
		version = 6
	}
	d := api.Document{{Name: "version", Value: version}, {Name: "addr", Value: ip.Addr}}
	if extended {
		d = append(d, api.Field{Name: "OS-EXT-IPS:type", Value: "fixed"}, api.Field{Name: "OS-EXT-IPS-MAC:mac_addr", Value: p.MAC})
	}
	return d
}

// hostID hides the node's name from the tenant. nova: utils.py
// generate_hostid, 26.2.2.
func (v view) hostID() string {
	if v.Host == "" {
		return ""
	}
	sum := sha256.Sum224([]byte(string(v.ProjectID) + v.Host))
	return hex.EncodeToString(sum[:])
}

func (v view) flavor(req *api.Request) api.Document {
	f := v.Flavor
	if !req.Version.AtLeast(2, 47) {
		return api.Document{{Name: "id", Value: f.FlavorID}, {Name: "links", Value: bookmark(req, "flavors", string(f.FlavorID))}}
	}
	return api.Document{{Name: "vcpus", Value: f.VCPUs}, {Name: "ram", Value: f.RAM}, {Name: "disk", Value: f.Disk},
		{Name: "ephemeral", Value: f.Ephemeral}, {Name: "swap", Value: f.Swap}, {Name: "original_name", Value: f.Name},
		{Name: "extra_specs", Value: specs(&f)}}
}

// brief is what every long answer begins with, the answer to an update
// included.
func (v view) brief(req *api.Request, extended bool) api.Document {
	st := stateOf(v.Server)
	metadata := v.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	d := api.Document{
		{Name: "id", Value: v.ServerID}, {Name: "name", Value: v.Name}, {Name: "status", Value: st.status},
		{Name: "tenant_id", Value: v.ProjectID}, {Name: "user_id", Value: v.UserID}, {Name: "metadata", Value: metadata},
		{Name: "hostId", Value: v.hostID()},
		{Name: "image", Value: api.Document{{Name: "id", Value: v.ImageID}, {Name: "links", Value: bookmark(req, "images", string(v.ImageID))}}},
		{Name: "flavor", Value: v.flavor(req)}, {Name: "created", Value: v.CreatedAt.Format(isoTime)},
		{Name: "updated", Value: v.UpdatedAt.Format(isoTime)}, {Name: "addresses", Value: v.addresses(extended)},
		{Name: "accessIPv4", Value: ""}, {Name: "accessIPv6", Value: ""}, {Name: "links", Value: links(req, "servers", v.ID())},
		{Name: "OS-DCF:diskConfig", Value: "MANUAL"},
	}
	if st.status == "ERROR" {
		d = append(d, api.Field{Name: "fault", Value: api.Document{{Name: "code", Value: 500},
			{Name: "created", Value: v.UpdatedAt.Format(isoTime)}, {Name: "message", Value: v.Fault}}})
	}
	if slices.Contains([]string{"ACTIVE", "BUILD", "REBUILD", "DELETED"}, st.status) {
		d = append(d, api.Field{Name: "progress", Value: 0})
	}
	return d
}

// serverDetail is the long form. nova: api/openstack/compute/views/servers.py
// ViewBuilder.show, 26.2.2.
func serverDetail(r *Role, req *api.Request, v view) (api.Document, error) {
	st := stateOf(v.Server)
	drive := ""
	if v.ConfigDrive {
		drive = "True"
	}
	d := append(v.brief(req, true), api.Document{
		{Name: "OS-EXT-AZ:availability_zone", Value: v.AvailabilityZone}, {Name: "config_drive", Value: drive},
		{Name: "key_name", Value: orNull(v.KeyName)}, {Name: "OS-SRV-USG:launched_at", Value: v.launched()},
		{Name: "OS-SRV-USG:terminated_at", Value: nil},
	}...)
	if len(v.ports) > 0 {
		d = append(d, api.Field{Name: "security_groups", Value: groupDocuments(v.SecurityGroups)})
	}
	extended, err := r.extended(req, v)
	if err != nil {
		return nil, err
	}
	d = append(d, extended...)
	d = append(d, api.Document{{Name: "OS-EXT-STS:task_state", Value: orNull(st.task)}, {Name: "OS-EXT-STS:vm_state", Value: st.vm},
		{Name: "OS-EXT-STS:power_state", Value: st.power}, {Name: "os-extended-volumes:volumes_attached", Value: []string{}}}...)
	return append(d, v.newer(req)...), nil
}

func (v view) launched() any {
	if v.LaunchedAt.IsZero() {
		return nil
	}
	return v.LaunchedAt.UTC().Format(microTime)
}

// newer is what later microversions add.
func (v view) newer(req *api.Request) api.Document {
	var d api.Document
	for _, f := range []struct {
		minor int
		field api.Field
	}{
		{9, api.Field{Name: "locked", Value: false}},
		{73, api.Field{Name: "locked_reason", Value: nil}},
		{19, api.Field{Name: "description", Value: orNull(v.Description)}},
		{26, api.Field{Name: "tags", Value: []string{}}},
		{63, api.Field{Name: "trusted_image_certificates", Value: nil}},
	} {
		if req.Version.AtLeast(2, f.minor) {
			d = append(d, f.field)
		}
	}
	if req.Version.AtLeast(2, 90) && !req.Caller.Admin() {
		d = append(d, api.Field{Name: "OS-EXT-SRV-ATTR:hostname", Value: v.HostName})
	}
	return d
}

// extended is what only administrators see.
func (r *Role) extended(req *api.Request, v view) (api.Document, error) {
	if !req.Caller.Admin() {
		return nil, nil
	}
	name := ""
	if v.Host != "" {
		name = fmt.Sprintf("instance-%08x", v.Number)
	}
	d := api.Document{{Name: "OS-EXT-SRV-ATTR:host", Value: orNull(v.Host)}, {Name: "OS-EXT-SRV-ATTR:instance_name", Value: name},
		{Name: "OS-EXT-SRV-ATTR:hypervisor_hostname", Value: orNull(v.Host)}}
	if req.Version.AtLeast(2, 3) {
		data, err := r.userData(v.Server)
		if err != nil {
			return nil, err
		}
		d = append(d, api.Document{
			{Name: "OS-EXT-SRV-ATTR:reservation_id", Value: v.ReservationID}, {Name: "OS-EXT-SRV-ATTR:launch_index", Value: v.LaunchIndex},
			{Name: "OS-EXT-SRV-ATTR:hostname", Value: v.HostName}, {Name: "OS-EXT-SRV-ATTR:kernel_id", Value: ""},
			{Name: "OS-EXT-SRV-ATTR:ramdisk_id", Value: ""}, {Name: "OS-EXT-SRV-ATTR:root_device_name", Value: "/dev/vda"},
			{Name: "OS-EXT-SRV-ATTR:user_data", Value: data}}...)
	}
	if req.Version.AtLeast(2, 16) {
		status := "UP"
		if v.Host == "" {
			status = ""
		}
		d = append(d, api.Field{Name: "host_status", Value: status})
	}
	return d, nil
}

// userData is the user data in base64, nil when there is none.
func (r *Role) userData(s *cloud.Server) (any, error) {
	if s.UserData == "" {
		return nil, nil
	}
	f, size, err := r.blobs.Open(s.UserData)
	if err != nil {
		return nil, fmt.Errorf("open user data of server %s: %v", s.ServerID, err) // a missing blob is no 404
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, size))
	if err != nil {
		return nil, fmt.Errorf("read user data of server %s: %w", s.ServerID, err)
	}
	return base64.StdEncoding.EncodeToString(data), nil
}
