package compute

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

// maxPattern bounds the regular expressions of filters, in bytes.
const maxPattern = 255

// listServers lists with the short or the long document.
func (r *Role) listServers(document func(*Role, *api.Request, view) (api.Document, error)) api.Handler {
	return func(req *api.Request) (api.Response, error) {
		page, err := req.Page()
		if err != nil {
			return api.Response{}, err
		}
		keep, err := serverFilter(req)
		if err != nil {
			return api.Response{}, err
		}
		views, more, err := r.views(req, keep, page)
		if err != nil {
			return api.Response{}, err
		}
		list := []api.Document{}
		for _, v := range views {
			d, err := document(r, req, v)
			if err != nil {
				return api.Response{}, err
			}
			list = append(list, d)
		}
		answer := api.Document{{Name: "servers", Value: list}}
		if more {
			answer = append(answer, next(req, "servers", req.URL.Path, views[len(views)-1].ID()))
		}
		return api.OK(answer)
	}
}

// views returns a page of the servers that keep accepts.
func (r *Role) views(req *api.Request, keep func(*cloud.Model, *cloud.Server) bool, page api.Page) (views []view, more bool, err error) {
	less, err := order(req.URL.Query())
	if err != nil {
		return nil, false, err
	}
	r.store.View(func(m *cloud.Model) {
		var servers []*cloud.Server
		for _, s := range m.Servers {
			if keep(m, s) {
				servers = append(servers, s)
			}
		}
		slices.SortFunc(servers, less)
		if servers, more, err = api.Cut(servers, (*cloud.Server).ID, page, maxPage); err != nil {
			return
		}
		for _, s := range servers {
			views = append(views, look(m, s))
		}
	})
	return views, more, err
}

// order is the order that a query asks for; newest first when it asks nothing.
func order(q url.Values) (func(a, b *cloud.Server) int, error) {
	var by func(a, b *cloud.Server) int
	switch q.Get("sort_key") {
	case "", "created_at":
		by = func(a, b *cloud.Server) int { return a.CreatedAt.Compare(b.CreatedAt) }
	case "updated_at":
		by = func(a, b *cloud.Server) int { return a.UpdatedAt.Compare(b.UpdatedAt) }
	case "display_name", "name":
		by = func(a, b *cloud.Server) int { return cmp.Compare(a.Name, b.Name) }
	case "uuid":
		by = func(a, b *cloud.Server) int { return cmp.Compare(a.ServerID, b.ServerID) }
	default:
		return nil, cloud.Errorf(cloud.Invalid, "Invalid input for query parameters sort_key.")
	}
	sign := -1
	if q.Get("sort_dir") == "asc" {
		sign = 1
	}
	return func(a, b *cloud.Server) int {
		return sign * cmp.Or(by(a, b), cmp.Compare(a.Number, b.Number))
	}, nil
}

// serverFilter makes the query's filters into one; a parameter that is none of
// Nova's means nothing, as there.
func serverFilter(req *api.Request) (func(*cloud.Model, *cloud.Server) bool, error) {
	q := req.URL.Query()
	scope, err := serverScope(req, q)
	if err != nil {
		return nil, err
	}
	filters := []func(*cloud.Model, *cloud.Server) bool{scope}
	for key := range q {
		want := q.Get(key)
		if get := patterned(key); get != nil {
			pattern, err := compile(key, want)
			if err != nil {
				return nil, err
			}
			filters = append(filters, func(m *cloud.Model, s *cloud.Server) bool {
				return slices.ContainsFunc(get(m, s), pattern.MatchString)
			})
		} else if get := exact(key, req.Caller); get != nil {
			filters = append(filters, func(_ *cloud.Model, s *cloud.Server) bool { return strings.EqualFold(get(s), want) })
		}
	}
	return func(m *cloud.Model, s *cloud.Server) bool {
		for _, f := range filters {
			if !f(m, s) {
				return false
			}
		}
		return true
	}, nil
}

// serverScope: the caller's project, or for administrators another or all.
func serverScope(req *api.Request, q url.Values) (func(*cloud.Model, *cloud.Server) bool, error) {
	switch strings.ToLower(q.Get("deleted")) {
	case "true", "1":
		return func(*cloud.Model, *cloud.Server) bool { return false }, nil
	}
	project := req.Caller.ProjectID
	switch strings.ToLower(q.Get("all_tenants")) {
	case "", "0", "false":
		if _, bare := q["all_tenants"]; !bare || q.Get("all_tenants") != "" {
			return func(_ *cloud.Model, s *cloud.Server) bool { return s.ProjectID == project }, nil
		}
	}
	if err := admin(req, "os_compute_api:servers:index:get_all_tenants"); err != nil {
		return nil, err
	}
	asked := cloud.ProjectID(cmp.Or(q.Get("project_id"), q.Get("tenant_id")))
	return func(_ *cloud.Model, s *cloud.Server) bool { return asked == "" || s.ProjectID == asked }, nil
}

func compile(key, text string) (*regexp.Regexp, error) {
	if len(text) > maxPattern {
		return nil, cloud.Errorf(cloud.Invalid, "Invalid input for query parameters %s. It is too long.", key)
	}
	pattern, err := regexp.Compile("(?i)" + text)
	if err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "Invalid input for query parameters %s. It is not a regular expression.", key)
	}
	return pattern, nil
}

// patterned returns the values that a regular expression filters by.
func patterned(key string) func(*cloud.Model, *cloud.Server) []string {
	switch key {
	case "name", "display_name":
		return func(_ *cloud.Model, s *cloud.Server) []string { return []string{s.Name} }
	case "hostname":
		return func(_ *cloud.Model, s *cloud.Server) []string { return []string{s.HostName} }
	case "description":
		return func(_ *cloud.Model, s *cloud.Server) []string { return []string{s.Description} }
	case "ip", "ip6":
		return func(m *cloud.Model, s *cloud.Server) []string { return addressesOf(m, s, key == "ip6") }
	}
	return nil
}

func addressesOf(m *cloud.Model, s *cloud.Server, v6 bool) []string {
	var out []string
	for _, p := range look(m, s).ports {
		for _, ip := range p.FixedIPs {
			if ip.Addr.Is6() == v6 {
				out = append(out, ip.Addr.String())
			}
		}
	}
	return out
}

// exact returns the value that a parameter must equal.
func exact(key string, c cloud.Caller) func(*cloud.Server) string {
	switch key {
	case "status":
		return func(s *cloud.Server) string { return stateOf(s).status }
	case "vm_state":
		return func(s *cloud.Server) string { return stateOf(s).vm }
	case "uuid":
		return func(s *cloud.Server) string { return s.ID() }
	case "image":
		return func(s *cloud.Server) string { return string(s.ImageID) }
	case "flavor":
		return func(s *cloud.Server) string { return string(s.Flavor.FlavorID) }
	case "key_name":
		return func(s *cloud.Server) string { return s.KeyName }
	case "user_id":
		return func(s *cloud.Server) string { return string(s.UserID) }
	case "availability_zone":
		return func(s *cloud.Server) string { return s.AvailabilityZone }
	case "reservation_id":
		return func(s *cloud.Server) string { return s.ReservationID }
	case "launch_index":
		return func(s *cloud.Server) string { return fmt.Sprint(s.LaunchIndex) }
	}
	if key == "host" && c.Admin() {
		return func(s *cloud.Server) string { return s.Host }
	}
	return nil
}
