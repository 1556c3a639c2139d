package api

import (
	"net/url"
	"strconv"

	"imprint/host/cloud"
)

// Page is the part of a list that a client asks for.
type Page struct {
	Limit  int    // 0: as many as there may be
	Marker string // the id after which the page begins
}

// Page reads limit and marker from the query.
func (r *Request) Page() (Page, error) {
	marker, _ := r.Query("marker")
	p := Page{Marker: marker}
	text, ok := r.Query("limit")
	if !ok {
		return p, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return Page{}, cloud.Errorf(cloud.Invalid, "%s", r.service.options.Dialect.Invalid("limit", "It must be a number that is not negative."))
	}
	p.Limit = n
	return p, nil
}

// Cut returns the page of items and whether more follow; never more than max
// items. A marker that is not among them is an error.
func Cut[T any](items []T, id func(T) string, p Page, max int) ([]T, bool, error) {
	if p.Marker != "" {
		i := 0
		for i < len(items) && id(items[i]) != p.Marker {
			i++
		}
		if i == len(items) {
			return nil, false, cloud.Errorf(cloud.Invalid, "marker [%.64s] not found", p.Marker)
		}
		items = items[i+1:]
	}
	if p.Limit > 0 && p.Limit < max {
		max = p.Limit
	}
	if len(items) > max {
		return items[:max], true, nil
	}
	return items, false, nil
}

// PageQuery returns the request's query with another marker: that of the next
// page.
func (r *Request) PageQuery(marker string) url.Values {
	q := r.URL.Query()
	q.Set("marker", marker)
	return q
}
