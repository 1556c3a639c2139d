package restapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imprint/host/api/apitest"
	"imprint/host/cloud"
)

// recorded is one command of the stock client with its calls, as
// python-openstackclient 6.0.0 made them to a real Zed (nova 26.2.2, neutron
// 21.0.0, glance 25.1.0, keystone 22.0.2).
type recorded struct {
	Command string
	Calls   []call
}

type call struct {
	Method, URL    string
	Headers        map[string]string
	Body, Response any
	Status         int
}

// differs lists where our answers may differ from the recorded ones, by the
// path of the field, and why.
var differs = map[string]string{
	"server.adminPass":                           "nothing would set it; as with nova's enable_instance_password=False",
	"server.addresses":                           "ports are made with the server, so a building one has addresses",
	"server.security_groups":                     "likewise",
	"server.OS-EXT-SRV-ATTR:host":                "the place is known at once",
	"server.OS-EXT-SRV-ATTR:instance_name":       "likewise",
	"server.OS-EXT-SRV-ATTR:hypervisor_hostname": "likewise",
	"extensions":                                 "the record has no list",
	"network.is_default":                         "neutron shows it on creation only, and where external",
	"networks.0.is_default":                      "likewise",
	"networks.0.provider:physical_network":       "the first recorded network is a flat one",
	"networks.0.provider:segmentation_id":        "likewise",
	"subnets.0.ipv6_ra_mode":                     "the first recorded subnet is another",
	"subnets.0.ipv6_address_mode":                "likewise",
}

// TestReplay sends every recorded call of the stock client, with our ids in
// place of the recorded ones, and compares status, field set and JSON types.
func TestReplay(t *testing.T) {
	text, err := os.ReadFile("testdata/nova-zed-cli-requests.json")
	if err != nil {
		t.Fatal(err)
	}
	var commands []recorded
	if err := json.Unmarshal(text, &commands); err != nil {
		t.Fatal(err)
	}
	r := &replay{system: newSystem(t), ids: map[string]string{}}
	r.prepare()
	compared := 0
	for _, c := range commands {
		t.Run(strings.TrimPrefix(c.Command, "openstack "), func(t *testing.T) {
			for _, call := range c.Calls {
				if r.left(call) {
					continue
				}
				compared++
				r.send(t, call)
			}
		})
	}
	if compared < 150 {
		t.Errorf("only %d calls were compared", compared)
	}
}

type replay struct {
	*system
	ids map[string]string // recorded → ours
}

// prepare makes what the recorded cloud had before.
func (r *replay) prepare() {
	for _, id := range []string{"f-full", "f-tiny"} {
		r.compute.Do("POST", "/v2.1/flavors", object{"flavor": object{"id": id, "name": id, "ram": 64, "vcpus": 1, "disk": 1}}).Want(200)
	}
	r.store.Seed(&cloud.Node{Name: "peer-host1", Compute: true, AvailabilityZone: "peer-az"})
	external := r.network.Do("POST", "/v2.0/networks", object{"network": object{"name": "ext_net", "router:external": true}}).Want(201).Text("network.id")
	r.network.Do("POST", "/v2.0/subnets", object{"subnet": object{"network_id": external, "cidr": "203.0.113.0/24", "enable_dhcp": false}}).Want(201)
	r.ids["39978fca-62db-44d6-841b-10099c716d72"] = external
}

// left reports whether a call is about what we have not: security groups of
// one's own.
func (r *replay) left(c call) bool {
	return strings.Contains(c.URL, "sg-two") || strings.Contains(c.URL, "/auth/tokens")
}

func path(u string) string {
	p, err := url.Parse(u)
	if err != nil {
		panic(err)
	}
	if p.RawQuery != "" {
		return p.Path + "?" + p.RawQuery
	}
	if p.Path == "" {
		return "/"
	}
	return p.Path
}

func (r *replay) translate(text string) string {
	for _, theirs := range slices.Sorted(maps.Keys(r.ids)) {
		text = strings.ReplaceAll(text, theirs, r.ids[theirs])
	}
	return text
}

func (r *replay) client(t *testing.T, c call) *apitest.Client {
	port := regexp.MustCompile(`:(\d+)`).FindStringSubmatch(strings.TrimPrefix(c.URL, "http"))[1]
	base := map[string]*apitest.Client{"5000": r.identity, "8774": r.compute, "9292": r.image, "9696": r.network}[port]
	if base == nil {
		t.Fatalf("no service for %s", c.URL)
	}
	client := &apitest.Client{T: t, Handler: base.Handler, Header: base.Header.Clone()}
	client.Header.Del("Accept")
	for name, value := range c.Headers {
		if name != "X-Auth-Token" {
			client.Header.Set(name, value)
		}
	}
	return client
}

// settle brings servers to the state that the recorded answer shows.
func (r *replay) settle(c call) {
	if (c.Method == "GET" && c.Status == 404 && strings.Contains(c.URL, "/servers/")) || strings.Contains(c.URL, "/v2.0/ports") {
		r.each(func(s *cloud.Server) bool { return s.Deleting }, cloud.InstanceDeleted)
		return
	}
	m, ok := c.Response.(map[string]any)
	if !ok {
		return
	}
	server, _ := m["server"].(map[string]any)
	if _, list := m["servers"]; list || server["status"] == "ACTIVE" {
		r.each(func(s *cloud.Server) bool { return !s.Deleting }, cloud.InstanceActive)
	}
}

func (r *replay) each(which func(*cloud.Server) bool, state cloud.InstanceState) {
	var servers []*cloud.Server
	r.store.View(func(m *cloud.Model) { servers = cloud.Sorted(m.Servers) })
	for _, s := range servers {
		if which(s) && s.State != cloud.InstanceError {
			r.reportFrom(s.Host, s.ID(), state)
		}
	}
}

func (r *replay) send(t *testing.T, c call) {
	t.Helper()
	r.settle(c)
	var body any
	if c.Body != nil {
		body = r.body(t, c)
	}
	answer := r.client(t, c).Do(c.Method, r.translate(path(c.URL)), body)
	what := c.Method + " " + path(c.URL)
	if answer.Status != c.Status {
		t.Fatalf("%s: status %d, recorded %d: %s", what, answer.Status, c.Status, answer.Body)
	}
	if answer.Header.Get("X-Openstack-Request-Id") == "" {
		t.Errorf("%s: no request id", what)
	}
	if v := c.Headers["X-OpenStack-Nova-API-Version"]; v != "" && answer.Header.Get("X-Openstack-Nova-Api-Version") != v {
		t.Errorf("%s: version %q, recorded %s", what, answer.Header.Get("X-Openstack-Nova-Api-Version"), v)
	}
	if _, isText := c.Response.(string); isText || c.Response == nil {
		return
	}
	for _, d := range compare("", c.Response, any(answer.JSON())) {
		t.Errorf("%s: %s", what, d)
	}
	r.learn(c.Response, any(answer.JSON()))
}

func (r *replay) body(t *testing.T, c call) any {
	if strings.HasSuffix(c.URL, "/file") {
		return strings.Repeat("x", 65536)
	}
	text, err := json.Marshal(c.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), `"security_groups"`) {
		groups := r.network.Do("GET", "/v2.0/security-groups", nil)
		var m map[string]map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		for _, g := range groups.Get("security_groups").([]any) {
			var admin cloud.ProjectID
			r.store.View(func(model *cloud.Model) { admin = cloud.Sorted(model.Projects)[0].ProjectID })
			if doc := g.(map[string]any); doc["project_id"] == string(admin) {
				m["server"]["security_groups"] = []object{{"name": doc["id"]}}
			}
		}
		text, _ = json.Marshal(m)
	}
	return r.translate(string(text))
}

// learn remembers which of our ids stand for which recorded ones.
func (r *replay) learn(theirs, ours any) {
	switch x := theirs.(type) {
	case map[string]any:
		y, _ := ours.(map[string]any)
		for k, v := range x {
			r.learn(v, y[k])
		}
	case []any:
		y, _ := ours.([]any)
		if len(x) == 1 && len(y) == 1 {
			r.learn(x[0], y[0])
		}
	case string:
		if y, ok := ours.(string); ok && cloud.IsUUID(x) && cloud.IsUUID(y) {
			if _, known := r.ids[x]; !known {
				r.ids[x] = y
			}
		}
	}
}

// compare tells where two JSON values differ in their fields and types. A list
// is compared by its first item, null with anything that may be null.
func compare(at string, theirs, ours any) []string {
	if differs[at] != "" {
		return nil
	}
	if kind(theirs) != kind(ours) {
		return []string{fmt.Sprintf("%s is %s, recorded %s", at, kind(ours), kind(theirs))}
	}
	var out []string
	switch x := theirs.(type) {
	case map[string]any:
		y := ours.(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(x)) {
			sub := strings.TrimPrefix(at+"."+k, ".")
			if _, ok := y[k]; ok {
				out = append(out, compare(sub, x[k], y[k])...)
			} else if differs[sub] == "" {
				out = append(out, sub+" is missing")
			}
		}
		for _, k := range slices.Sorted(maps.Keys(y)) {
			sub := strings.TrimPrefix(at+"."+k, ".")
			if _, ok := x[k]; !ok && differs[sub] == "" {
				out = append(out, sub+" is ours alone")
			}
		}
	case []any:
		if y := ours.([]any); len(x) > 0 && len(y) > 0 {
			return compare(at+".0", x[0], y[0])
		}
	}
	return out
}

func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "object"
	case []any:
		return "list"
	case string:
		return "text"
	case bool:
		return "bool"
	}
	return "number"
}
