package compute

import (
	"maps"
	"net/http"
	"regexp"

	"imprint/host/api"
	"imprint/host/cloud"
)

const maxSpecs = 128

var specKey = regexp.MustCompile(`^[a-zA-Z0-9_:. -]+$`)

// readPairs reads an object of short texts whose names have the given form.
func readPairs(o *api.Object, form *regexp.Regexp, max int) map[string]string {
	names := o.Names()
	if len(names) > max {
		o.Fail("", "It may have at most %d entries.", max)
	}
	pairs := map[string]string{}
	for _, n := range names {
		if len(n) > 255 || !form.MatchString(n) {
			o.Fail(n, "The name may have 1 to 255 letters, digits, spaces and _ - : . characters.")
		}
		if !o.IsText(n) {
			o.Fail(n, "It must be a text.")
		}
		pairs[n] = o.Multiline(n, 0, 255)
	}
	return pairs
}

func (r *Role) listSpecs(req *api.Request) (api.Response, error) {
	f, err := r.namedFlavor(req)
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.Document{{Name: "extra_specs", Value: specs(f)}})
}

func (r *Role) showSpec(req *api.Request) (api.Response, error) {
	f, err := r.namedFlavor(req)
	if err != nil {
		return api.Response{}, err
	}
	key := req.PathValue("key")
	v, ok := f.ExtraSpecs[key]
	if !ok {
		return api.Response{}, noSpec(f, key)
	}
	return api.OK(map[string]string{key: v})
}

func noSpec(f *cloud.Flavor, key string) error {
	return cloud.Errorf(cloud.NotFound, "Flavor %s has no extra specs with key %.255s.", f.FlavorID, key)
}

// changeSpecs lets change work on a copy of the flavor's extra specs.
func (r *Role) changeSpecs(req *api.Request, change func(*cloud.Flavor, map[string]string) error) error {
	if err := admin(req, "os_compute_api:os-flavor-extra-specs"); err != nil {
		return err
	}
	return r.writer.Change(req.Context(), func(m *cloud.Model) (cloud.Txn, error) {
		old, err := flavor(m, req.Caller, req.PathValue("id"))
		if err != nil {
			return cloud.Txn{}, err
		}
		f := *old
		f.ExtraSpecs = maps.Clone(specs(old))
		if err := change(&f, f.ExtraSpecs); err != nil {
			return cloud.Txn{}, err
		}
		if len(f.ExtraSpecs) > maxSpecs {
			return cloud.Txn{}, cloud.Errorf(cloud.Forbidden, "A flavor may have at most %d extra specs.", maxSpecs)
		}
		return cloud.Txn{Put: []cloud.Record{&f}}, nil
	})
}

func (r *Role) addSpecs(req *api.Request) (api.Response, error) {
	o, err := req.Object("extra_specs")
	if err != nil {
		return api.Response{}, err
	}
	pairs := readPairs(o, specKey, maxSpecs)
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	err = r.changeSpecs(req, func(_ *cloud.Flavor, have map[string]string) error {
		maps.Copy(have, pairs)
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(api.Document{{Name: "extra_specs", Value: pairs}})
}

func (r *Role) setSpec(req *api.Request) (api.Response, error) {
	o, err := req.Object("")
	if err != nil {
		return api.Response{}, err
	}
	key := req.PathValue("key")
	pairs := readPairs(o, specKey, 1)
	if _, ok := pairs[key]; !ok {
		o.Fail(key, "The body must have the name that the path has.")
	}
	if err := o.Err(); err != nil {
		return api.Response{}, err
	}
	err = r.changeSpecs(req, func(_ *cloud.Flavor, have map[string]string) error {
		maps.Copy(have, pairs)
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.OK(pairs)
}

func (r *Role) deleteSpec(req *api.Request) (api.Response, error) {
	key := req.PathValue("key")
	err := r.changeSpecs(req, func(f *cloud.Flavor, have map[string]string) error {
		if _, ok := have[key]; !ok {
			return noSpec(f, key)
		}
		delete(have, key)
		return nil
	})
	if err != nil {
		return api.Response{}, err
	}
	return api.Done(http.StatusOK)
}
