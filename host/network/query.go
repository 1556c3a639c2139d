package network

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

// maxPage bounds a list without a limit of its own.
const maxPage = 10_000

// list answers a collection: filtered, sorted, paged, cut to the fields that
// were asked for.
func list(r *api.Request, name string, docs []api.Document) (api.Response, error) {
	page, err := r.Page()
	if err != nil {
		return api.Response{}, err
	}
	query := r.URL.Query()
	if docs, err = filter(docs, query); err != nil {
		return api.Response{}, err
	}
	sortBy(docs, query.Get("sort_key"), query.Get("sort_dir") == "desc")
	docs, more, err := api.Cut(docs, func(d api.Document) string { return text(d, "id") }, page, maxPage)
	if err != nil {
		return api.Response{}, err
	}
	answer := api.Document{{Name: name}}
	if more {
		next := r.PageQuery(text(docs[len(docs)-1], "id"))
		answer = append(answer, api.Field{Name: name + "_links", Value: []any{api.Document{{Name: "rel", Value: "next"},
			{Name: "href", Value: r.Link(r.URL.Path + "?" + next.Encode())}}}})
	}
	for i := range docs {
		docs[i] = fields(docs[i], query)
	}
	answer[0].Value = append([]api.Document{}, docs...)
	return api.OK(answer)
}

// show answers one thing.
func show(r *api.Request, status int, name string, d api.Document) (api.Response, error) {
	return api.Answer(status, api.Document{{Name: name, Value: fields(d, r.URL.Query())}})
}

// fields cuts a document to those asked for. The stock client sends the text
// of a Python tuple of names, which Neutron understands too.
func fields(d api.Document, query url.Values) api.Document {
	var names []string
	for _, v := range query["fields"] {
		names = append(names, strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune("()', ", r) })...)
	}
	if len(names) == 0 {
		return d
	}
	return d.Only(names...)
}

func text(d api.Document, name string) string {
	v, _ := d.Get(name)
	return fmt.Sprint(v)
}

func sortBy(docs []api.Document, key string, descending bool) {
	if key == "" {
		key = "id"
	}
	slices.SortStableFunc(docs, func(a, b api.Document) int {
		c := cmp.Or(strings.Compare(text(a, key), text(b, key)), strings.Compare(text(a, "id"), text(b, "id")))
		if descending {
			return -c
		}
		return c
	})
}

// filter keeps the documents that meet every parameter; a parameter that no
// resource of this kind has is refused, as Neutron's filter-validation does.
func filter(docs []api.Document, query url.Values) ([]api.Document, error) {
	out := docs
	for key, values := range query {
		switch key {
		case "fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse":
			continue
		}
		if len(docs) > 0 {
			if _, ok := docs[0].Get(key); !ok && !adminOnly(key) && key != "is_default" {
				return nil, fault(cloud.Invalid, "HTTPBadRequest", "['%.64s'] is invalid attribute for filtering", key)
			}
		}
		out = slices.DeleteFunc(slices.Clone(out), func(d api.Document) bool {
			have, ok := d.Get(key)
			return !ok || !slices.ContainsFunc(values, func(want string) bool { return matches(have, want) })
		})
	}
	return out, nil
}

func matches(have any, want string) bool {
	switch v := have.(type) {
	case nil:
		return want == "" || want == "None"
	case bool:
		switch strings.ToLower(want) {
		case "true", "1":
			return v
		case "false", "0":
			return !v
		}
		return false
	case []cloud.FixedIP:
		return slices.ContainsFunc(v, func(ip cloud.FixedIP) bool { return fixedIPMatches(ip, want) })
	case []string:
		return slices.Contains(v, want)
	}
	return fmt.Sprint(have) == want
}

func fixedIPMatches(ip cloud.FixedIP, want string) bool {
	if id, ok := strings.CutPrefix(want, "subnet_id="); ok {
		return string(ip.SubnetID) == id
	}
	if a, ok := strings.CutPrefix(want, "ip_address="); ok {
		addr, err := netip.ParseAddr(a)
		return err == nil && addr == ip.Addr
	}
	part, ok := strings.CutPrefix(want, "ip_address_substr=")
	return ok && strings.Contains(ip.Addr.String(), part)
}

// adminOnly reports whether only administrators see an attribute. neutron:
// conf/policies, 21.0.0.
func adminOnly(name string) bool {
	return strings.HasPrefix(name, "provider:") || name == "distributed" || name == "ha" ||
		slices.Contains([]string{"binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details"}, name)
}

// visible removes what c may not see.
func visible(d api.Document, c cloud.Caller) api.Document {
	if c.Admin() {
		return d
	}
	return slices.DeleteFunc(d, func(f api.Field) bool { return adminOnly(f.Name) })
}
