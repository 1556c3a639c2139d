package compute

import "imprint/host/api"

// maxPage bounds a list. nova: max_limit, 26.2.2.
const maxPage = 1000

// next is the link to the page after marker.
func next(req *api.Request, name, path, marker string) api.Field {
	return api.Field{Name: name + "_links", Value: []api.Document{{{Name: "rel", Value: "next"},
		{Name: "href", Value: req.Link(path + "?" + req.PageQuery(marker).Encode())}}}}
}
