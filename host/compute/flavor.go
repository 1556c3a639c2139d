package compute

import (
	"cmp"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"

	"imprint/host/api"
	"imprint/host/cloud"
)

// maxNumber is the largest number that Nova's database takes.
const maxNumber = math.MaxInt32

var flavorID = regexp.MustCompile(`^[a-zA-Z0-9. _-]+$`)

func flavorSummary(req *api.Request, f *cloud.Flavor) api.Document {
	d := api.Document{{Name: "id", Value: f.FlavorID}, {Name: "name", Value: f.Name},
		{Name: "links", Value: links(req, "flavors", string(f.FlavorID))}}
	if req.Version.AtLeast(2, 55) {
		d = append(d, api.Field{Name: "description", Value: orNull(f.Description)})
	}
	return d
}

func flavorDocument(req *api.Request, f *cloud.Flavor) api.Document {
	d := api.Document{
		{Name: "id", Value: f.FlavorID}, {Name: "name", Value: f.Name}, {Name: "ram", Value: f.RAM}, {Name: "disk", Value: f.Disk},
		{Name: "swap", Value: f.Swap}, {Name: "OS-FLV-EXT-DATA:ephemeral", Value: f.Ephemeral},
		{Name: "OS-FLV-DISABLED:disabled", Value: false}, {Name: "vcpus", Value: f.VCPUs},
		{Name: "os-flavor-access:is_public", Value: !f.Private}, {Name: "rxtx_factor", Value: decimal(f.RXTXFactor)},
		{Name: "links", Value: links(req, "flavors", string(f.FlavorID))},
	}
	if f.Swap == 0 && !req.Version.AtLeast(2, 75) {
		d[4].Value = ""
	}
	if req.Version.AtLeast(2, 55) {
		d = append(d, api.Field{Name: "description", Value: orNull(f.Description)})
	}
	if req.Version.AtLeast(2, 61) {
		d = append(d, api.Field{Name: "extra_specs", Value: specs(f)})
	}
	return d
}

func specs(f *cloud.Flavor) map[string]string {
	if f.ExtraSpecs == nil {
		return map[string]string{}
	}
	return f.ExtraSpecs
}

// flavor returns the flavor with that id, if the caller may use it.
func flavor(m *cloud.Model, c cloud.Caller, id string) (*cloud.Flavor, error) {
	f := m.Flavors[cloud.FlavorID(id)]
	if f == nil || (f.Private && !c.Admin()) {
		return nil, cloud.Errorf(cloud.NotFound, "Flavor %.255s could not be found.", id)
	}
	return f, nil
}

func (r *Role) listFlavors(document func(*api.Request, *cloud.Flavor) api.Document) api.Handler {
	return func(req *api.Request) (api.Response, error) {
		page, err := req.Page()
		if err != nil {
			return api.Response{}, err
		}
		keep := flavorFilter(req)
		var flavors []*cloud.Flavor
		r.store.View(func(m *cloud.Model) { flavors = slices.Collect(maps.Values(m.Flavors)) })
		flavors = slices.DeleteFunc(flavors, func(f *cloud.Flavor) bool { return !keep(f) })
		slices.SortFunc(flavors, func(a, b *cloud.Flavor) int { return cmp.Compare(a.FlavorID, b.FlavorID) })
		flavors, more, err := api.Cut(flavors, (*cloud.Flavor).ID, page, maxPage)
		if err != nil {
			return api.Response{}, err
		}
		list := []api.Document{}
		for _, f := range flavors {
			list = append(list, document(req, f))
		}
		d := api.Document{{Name: "flavors", Value: list}}
		if more {
			d = append(d, next(req, "flavors", req.URL.Path, flavors[len(flavors)-1].ID()))
		}
		return api.OK(d)
	}
}

// flavorFilter: administrators may ask for private flavors (is_public=False)
// or all (is_public=None); otherwise there are only public ones.
func flavorFilter(req *api.Request) func(*cloud.Flavor) bool {
	asked, ok := req.Query("is_public")
	if !ok || !req.Caller.Admin() {
		return func(f *cloud.Flavor) bool { return !f.Private }
	}
	switch asked {
	case "None", "none":
		return func(*cloud.Flavor) bool { return true }
	case "False", "false", "0":
		return func(f *cloud.Flavor) bool { return f.Private }
	}
	return func(f *cloud.Flavor) bool { return !f.Private }
}

func readFlavor(req *api.Request) (*cloud.Flavor, error) {
	o, err := req.Object("flavor")
	if err != nil {
		return nil, err
	}
	o.Require("name", "ram", "vcpus", "disk")
	f := &cloud.Flavor{
		Name: o.Name("name", 255), RAM: o.Int("ram", 0, 1, maxNumber), VCPUs: o.Int("vcpus", 0, 1, maxNumber),
		Disk: o.Int("disk", 0, 0, maxNumber), Ephemeral: o.Int("OS-FLV-EXT-DATA:ephemeral", 0, 0, maxNumber),
		Swap: o.Int("swap", 0, 0, maxNumber), RXTXFactor: o.Float("rxtx_factor", 1, 1e-9, 3.4e38),
		Private: !o.Bool("os-flavor-access:is_public", true),
	}
	if req.Version.AtLeast(2, 55) {
		f.Description = o.Multiline("description", 0, 65535)
	}
	id := o.Text("id", 0, 255)
	switch {
	case id == "" || id == "auto":
		id = cloud.NewUUID()
	case !flavorID.MatchString(id):
		o.Fail("id", "It may have letters, digits, periods, dashes, underscores and spaces.")
	}
	f.FlavorID = cloud.FlavorID(id)
	return f, o.Err()
}

func (r *Role) createFlavor(req *api.Request) (api.Response, error) {
	if err := admin(req, "os_compute_api:os-flavor-manage:create"); err != nil {
		return api.Response{}, err
	}
	f, err := readFlavor(req)
	if err != nil {
		return api.Response{}, err
	}
	err = r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		if m.Flavors[f.FlavorID] != nil {
			return cloud.Txn{}, cloud.Errorf(cloud.Conflict, "Flavor with ID %s already exists.", f.FlavorID)
		}
		for _, other := range m.Flavors {
			if other.Name == f.Name {
				return cloud.Txn{}, cloud.Errorf(cloud.Conflict, "Flavor with name %s already exists.", f.Name)
			}
		}
		return cloud.Txn{Put: []cloud.Record{f}}, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.Document{{Name: "flavor", Value: flavorDocument(req, f)}})
}

func (r *Role) showFlavor(req *api.Request) (api.Response, error) {
	f, err := r.namedFlavor(req)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.Document{{Name: "flavor", Value: flavorDocument(req, f)}})
}

func (r *Role) namedFlavor(req *api.Request) (f *cloud.Flavor, err error) {
	r.store.View(func(m *cloud.Model) { f, err = flavor(m, req.Caller, req.PathValue("id")) })
	return f, err
}

func (r *Role) deleteFlavor(req *api.Request) (api.Response, error) {
	if err := admin(req, "os_compute_api:os-flavor-manage:delete"); err != nil {
		return api.Response{}, err
	}
	err := r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		f, err := flavor(m, req.Caller, req.PathValue("id"))
		if err != nil {
			return cloud.Txn{}, err
		}
		return cloud.Txn{Delete: []cloud.Record{f}}, nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusAccepted)
}
