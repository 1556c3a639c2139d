package image

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"imprint/host/api"
	"imprint/host/cloud"
)

// Sizes of a page. glance: limit_param_default and api_limit_max, 25.1.0.
const (
	defaultPage = 25
	maxPage     = 1000
)

func (r *Role) list(req *api.Request) (api.Response, error) {
	page, err := req.Page()
	if err != nil {
		return api.Response{}, err
	}
	if page.Limit == 0 {
		page.Limit = defaultPage
	}
	var images []*cloud.Image
	r.store.View(func(m *cloud.Model) { images = cloud.Sorted(m.Images) })
	slices.Reverse(images) // newest first
	query := req.URL.Query()
	images = slices.DeleteFunc(images, func(i *cloud.Image) bool { return !i.VisibleTo(req.Caller) || !matches(i, query) })
	images, more, err := api.Cut(images, (*cloud.Image).ID, page, maxPage)
	if err != nil {
		return api.Response{}, err
	}
	docs := make([]api.Document, 0, len(images))
	for _, i := range images {
		docs = append(docs, document(i))
	}
	d := api.Document{{Name: "images", Value: docs}, {Name: "first", Value: listPath(first(query))}, {Name: "schema", Value: "/v2/schemas/images"}}
	if more {
		d = append(d, api.Field{Name: "next", Value: listPath(req.PageQuery(images[len(images)-1].ID()))})
	}
	return api.OK(d)
}

func listPath(q url.Values) string {
	if len(q) == 0 {
		return "/v2/images"
	}
	return "/v2/images?" + q.Encode()
}

func first(q url.Values) url.Values {
	c := url.Values{}
	for k, v := range q {
		if k != "marker" {
			c[k] = v
		}
	}
	return c
}

// matches reports whether the image meets every filter of the query. What is
// no attribute is a property, as in Glance.
func matches(i *cloud.Image, query url.Values) bool {
	if _, ok := query["os_hidden"]; !ok && i.Hidden {
		return false
	}
	doc := document(i)
	for key, values := range query {
		switch key {
		case "limit", "marker", "sort", "sort_key", "sort_dir", "member_status":
			continue
		case "tag":
			if !slices.ContainsFunc(values, func(t string) bool { return slices.Contains(i.Tags, t) }) {
				return false
			}
			continue
		case "visibility":
			if values[0] == "all" {
				continue
			}
		case "size_min", "size_max":
			if !sizeMatches(i, key, values[0]) {
				return false
			}
			continue
		}
		have, ok := doc.Get(key)
		if !ok || !valueMatches(have, values[0]) {
			return false
		}
	}
	return true
}

func sizeMatches(i *cloud.Image, key, bound string) bool {
	n, err := strconv.ParseInt(bound, 10, 64)
	if err != nil || i.Status != active {
		return false
	}
	if key == "size_min" {
		return i.Size >= n
	}
	return i.Size <= n
}

// valueMatches compares a value with a filter: itself, or one of in:a,b.
func valueMatches(have any, want string) bool {
	text := ""
	if have != nil {
		text = fmt.Sprint(have)
	}
	if _, ok := have.(bool); ok {
		want = strings.ToLower(want)
	}
	if list, ok := strings.CutPrefix(want, "in:"); ok {
		return slices.Contains(strings.Split(list, ","), text)
	}
	return text == want
}
