package identity

import (
	"crypto/sha256"
	"encoding/hex"

	"imprint/host/api"
)

// Endpoint is a service of the catalog.
type Endpoint struct {
	Type string // identity, compute, image, network
	Name string // keystone, nova, glance, neutron
	// URLs by interface; an empty Internal or Admin is as Public.
	Public, Internal, Admin string
}

// service is an entry of the catalog as tokens carry it.
type service struct {
	Endpoints []endpoint `json:"endpoints"`
	ID        string     `json:"id"`
	Type      string     `json:"type"`
	Name      string     `json:"name"`
}

type endpoint struct {
	ID        string `json:"id"`
	Interface string `json:"interface"`
	RegionID  string `json:"region_id"`
	URL       string `json:"url"`
	Region    string `json:"region"`
}

func buildCatalog(list []Endpoint, region string) []service {
	out := make([]service, 0, len(list))
	for _, e := range list {
		s := service{ID: stableID("service", e.Type), Type: e.Type, Name: e.Name}
		for _, i := range [...]struct{ name, url string }{{"public", e.Public}, {"internal", e.Internal}, {"admin", e.Admin}} {
			if i.url == "" {
				i.url = e.Public
			}
			s.Endpoints = append(s.Endpoints, endpoint{ID: stableID("endpoint", e.Type, i.name), Interface: i.name,
				RegionID: region, URL: i.url, Region: region})
		}
		out = append(out, s)
	}
	return out
}

func identityURL(list []Endpoint) string {
	for _, e := range list {
		if e.Type == "identity" {
			return e.Public
		}
	}
	return ""
}

// stableID makes an id of Keystone's form that is the same on each start.
func stableID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (r *Role) showCatalog(req *api.Request) (api.Response, error) {
	return api.OK(api.Document{{Name: "catalog", Value: r.catalog}, {Name: "links", Value: selfLinks(req, "/v3/auth/catalog")}})
}
